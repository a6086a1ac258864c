//! The extension module `debugop._core`: PyO3 classes and conversion, nothing else.

mod article;
mod breakpoint;
mod children;
mod command;
mod convert;
mod debug;
mod event;
mod identity;
mod instruction;
mod main_program;
mod output;
mod past;
mod positions;
mod predicate;
mod progress;
mod record;
mod recording;
mod recording_error;
mod replay;
mod replay_events;
mod ring;
mod run;
mod stack;
mod step;
mod tracer;
mod value;

/// The native half of `debugop`; its public names are re-exported by the Python package.
#[pyo3::pymodule(gil_used = true)]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::article::{
        callable_index, insert_debug_op, python_functions, short_repr, source_instruction,
    };
    #[pymodule_export]
    use crate::breakpoint::{
        CompiledBreakpoint, breakpoint_reasons, log_message, pause_breakpoints, set_breakpoints,
    };
    #[pymodule_export]
    use crate::command::{
        DebugChildRequest, DebugRequest, InstallRequest, SelfcheckRequest, child_command,
        parse_command_line, record_command,
    };
    #[pymodule_export]
    use crate::convert::StaleStep;
    #[pymodule_export]
    use crate::debug::{
        Sys, another_thread_has_stopped, changed_by, current_frames, effective, follow_fork,
        follow_programs, forked_in_child, forked_in_parent, frame_is_over, frame_stack, getprofile,
        gettrace, is_left, leave_process, session_changed, set_frame_slot, set_places, setprofile,
        setprofile_running_threads, settrace, settrace_running_threads, start_session, take_turn,
        threads_waiting_to_stop,
    };
    #[pymodule_export]
    use crate::event::EventRecord;
    #[pymodule_export]
    use crate::identity::PyIdentities;
    #[pymodule_export]
    use crate::instruction::{Instruction, instructions};
    #[pymodule_export]
    use crate::main_program::{report_uncaught, run_code, run_file};
    #[pymodule_export]
    use crate::output::Written;
    #[pymodule_export]
    use crate::past::{Past, PastMoment, PastSearch, PastValue};
    #[pymodule_export]
    use crate::positions::{ReplayMarks, ReplayStep, ReplaySteps};
    #[pymodule_export]
    use crate::predicate::{Predicate, depth, file, function, line, module, opcode};
    #[pymodule_export]
    use crate::record::{Record, Records};
    #[pymodule_export]
    use crate::recording::{
        RecordRequest, Recording, compare_recording, describe_recording, hold_recording,
        is_recording, recorded_stores, recording_is_debugged, release_recording, replay_recording,
        start_recording,
    };
    #[pymodule_export]
    use crate::recording_error::{
        DamagedRecording, IncompleteRecording, NotARecording, RecordingError, WrongVersion,
    };
    #[pymodule_export]
    use crate::replay::{Frame, Moment, Replay};
    #[pymodule_export]
    use crate::replay_events::{ReplayEventIterator, ReplayEvents};
    #[pymodule_export]
    use crate::ring::TopOfStack;
    #[pymodule_export]
    use crate::run::{Run, RunRequest};
    #[pymodule_export]
    use crate::stack::Stack;
    #[pymodule_export]
    use crate::step::Step;
    #[pymodule_export]
    use crate::tracer::{PyFollow, Tracer};
    #[pymodule_export]
    use crate::value::Value;

    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        debugop_capture::interpreter::check(py)?;
        debugop_capture::prepare(py)?;
        module.add("Site", debugop_capture::site::site_type(py)?)?;
        module.add("DebugOp", debugop_capture::op_target::debug_op_type(py)?)?;
        module.add("DEBUG_OP", debugop_capture::op_target::debug_op(py)?)?;
        module.add("NULL", crate::convert::null(py)?)
    }

    /// Byte offsets of the interpreter's fields that this build relies on, by CPython's names.
    #[pyfunction]
    fn layout_offsets() -> Vec<(&'static str, usize)> {
        debugop_capture::layout::offsets()
    }

    /// Opcodes of running bytecode that this build relies on, by CPython's names.
    #[pyfunction]
    fn layout_opcodes() -> Vec<(&'static str, u8)> {
        debugop_capture::layout::opcodes()
    }
}
