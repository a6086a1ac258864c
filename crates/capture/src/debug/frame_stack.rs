//! The value stack of a frame that a debugger looks at.

use debugop_bytecode::operands::operands;
use debugop_bytecode::{Analysis, InstrIdx};
use pyo3::exceptions::{PyIndexError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::types::PyFrame;
use pyo3::{Bound, PyAny, PyResult, Python};

use super::session;
use crate::code_object::CodeFields;
use crate::engine::Engine;
use crate::event::{Event, EventKind};
use crate::frame::{CodeShape, Frame, SlotValue};
use crate::layout::VERSION;
use crate::probed::ProbedCode;
use crate::stack::{StackError, writable};

/// The slots of the value stack of `frame`, bottom first. With `begun` its instruction has taken its operands, which are not shown
/// then: it has called what runs now, has raised, or returns.
///
/// # Errors
/// RuntimeError: the frame does not run on this thread, or a generator's is suspended. ValueError: its bytecode is not what a compiler writes,
/// or cannot be reached.
pub fn frame_stack<'py>(
    py: Python<'py>,
    frame: &Bound<'py, PyFrame>,
    begun: bool,
) -> PyResult<Vec<SlotValue<'py>>> {
    let raw = running(py, frame).ok_or_else(|| {
        PyRuntimeError::new_err("the frame is not running on this thread, so it has no value stack")
    })?;
    let code = raw.code(py);
    let analysis = Analysis::new(&CodeFields::read(&code)?.view())
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    let offset = raw.instruction_offset().unwrap_or(0);
    let depth = depth_at(&analysis, offset, begun)
        .ok_or_else(|| PyValueError::new_err("the depth of the value stack is not known here"))?;
    let shape = CodeShape::of(&code);
    Ok((0..depth)
        .map(|index| raw.read(py, &shape, index))
        .collect())
}

/// Puts `value` into slot `index`, bottom first, of the value stack of `frame`, in which this thread's session has stopped before an instruction.
///
/// # Errors
/// RuntimeError: it has not. IndexError: there is no such slot. ValueError: the depth of the stack is not known. TypeError: an instruction
/// that will use the slot could not survive the value.
pub fn set_slot<'py>(
    py: Python<'py>,
    frame: &Bound<'py, PyFrame>,
    index: u32,
    value: Bound<'py, PyAny>,
) -> PyResult<()> {
    let stopped = session::current(py).is_some_and(|one| one.is_before_instruction(frame));
    let raw = running(py, frame)
        .filter(|_| stopped)
        .ok_or_else(|| PyRuntimeError::new_err("the frame is not stopped before an instruction"))?;
    let code = ProbedCode::observe(Engine::Settrace, &raw.code(py), "")
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    let unknown = || PyValueError::new_err("the depth of the value stack is not known here");
    let analysis = code.analysis();
    let instruction = raw
        .instruction_offset()
        .and_then(|offset| at(analysis, offset))
        .ok_or_else(unknown)?;
    let depth = analysis.depth(instruction).ok_or_else(unknown)?;
    if index >= depth {
        return Err(PyIndexError::new_err(match depth {
            0 => "the value stack is empty".to_owned(),
            _ => format!(
                "there is no slot {index}: the value stack has 0 to {}",
                depth - 1
            ),
        }));
    }
    let event = Event {
        kind: EventKind::Instruction,
        code: &code,
        instruction,
        frame: raw,
        shape: code.shape().ok_or_else(unknown)?,
        depth,
    };
    let old = event.slot(py, index);
    let refused = |error: StackError| match error {
        StackError::Forbidden { reason, .. } => PyTypeError::new_err(reason),
        other => PyRuntimeError::new_err(other.to_string()),
    };
    let value = writable(&code, instruction, index, &old, Some(value)).map_err(refused)?;
    if let Some(value) = value {
        #[cfg(not(Py_3_12))]
        crate::precall::settle(py, &event);
        event.frame.write(event.shape, index, value);
    }
    drop(old);
    Ok(())
}

/// Whether `frame` has ended: it neither runs nor is suspended.
#[must_use]
pub fn frame_is_over(frame: &Bound<'_, PyFrame>) -> bool {
    Frame::has_ended(frame)
}

/// The frame of this thread that `object` stands for.
fn running<'py>(py: Python<'py>, object: &Bound<'py, PyFrame>) -> Option<Frame<'py>> {
    let mut frame = Frame::current(py);
    while let Some(one) = frame {
        if one.stands_for(object) {
            return Some(one);
        }
        frame = one.previous();
    }
    None
}

/// How many slots are filled at `offset`, which is that of an instruction or of one of its prefixes.
fn depth_at(analysis: &Analysis, offset: u32, begun: bool) -> Option<u32> {
    let at = at(analysis, offset)?;
    let depth = analysis.depth(at)?;
    if !begun {
        return Some(depth);
    }
    let instruction = analysis.get(at);
    let taken = operands(VERSION, instruction.opcode, instruction.arg)?.pops();
    depth.checked_sub(u32::try_from(taken).ok()?)
}

/// The instruction that `offset` is in or the beginning of.
fn at(analysis: &Analysis, offset: u32) -> Option<InstrIdx> {
    analysis
        .at_offset(offset)
        .or_else(|| analysis.at_start(offset))
        .or_else(|| last_before(analysis, offset))
}

/// The instruction that a unit which is no instruction's own belongs to: a prefix.
fn last_before(analysis: &Analysis, offset: u32) -> Option<InstrIdx> {
    let after = analysis
        .instructions()
        .partition_point(|one| one.offset < offset);
    u32::try_from(after)
        .ok()
        .filter(|&after| (after as usize) < analysis.instructions().len())
        .map(InstrIdx)
}
