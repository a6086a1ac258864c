//! 3.12+: how frames that run the original get into the copy.
//!
//! The interpreter tells of a LINE before it executes the line's first instruction, and goes on where the frame points then, because a debugger may have jumped. So there a
//! frame can be given the copy, and a place in it where the same comes next: the probes before that instruction, which fire as for any frame.
//!
//! A frame stays in the original, at least until the next line,
//!
//! - while another tool watches it, or its thread has a trace or profile function: what that is told of is the original's;
//! - where its stack says where an exception was raised (`lasti`), because it says so by units of the original;
//! - if the copy's stack is deeper and there is no room behind the frame: frames of generators are followed by other objects;
//! - if there is a JIT, which knows the code of frames that it has made.

use std::sync::Arc;

use debugop_bytecode::InstrIdx;
use pyo3::types::PyCode;
use pyo3::{Bound, Python};

use super::silence::Live;
use super::{ProbedCode, leave};
use crate::frame::Frame;
use crate::jit;
use crate::layout::{CodeObject, MonitoringData, OPCODES};
use crate::registry;
use crate::whole::Traceback;

/// Where a frame can go on in a copy.
pub(crate) struct Entrance<'py> {
    pub(crate) entry: Arc<ProbedCode>,
    copy: Bound<'py, PyCode>,
    /// Byte offset.
    offset: u32,
}

impl ProbedCode {
    /// The copy of this code, which is observed, if frames may be moved to it.
    pub(crate) fn movable<'py>(&self, py: Python<'py>) -> Option<(Arc<Self>, Bound<'py, PyCode>)> {
        let may = self.is_observed() && self.woven.is_none() && !jit::is_enabled(py);
        let (entry, copy) = registry::find(self.original(py)).filter(|_| may)?;
        let is_in_use = !entry.is_woven() && entry.has_watchers(py) && !entry.silenced.get(py);
        is_in_use.then_some((entry, copy))
    }

    /// Whether nobody but the tool with this number is told of what the code does.
    pub(crate) fn is_only_for(&self, py: Python<'_>, tool: u8) -> bool {
        // SAFETY: a live code object, and what it keeps of its instrumentation.
        unsafe {
            let code = self.observed(py).as_ptr().cast::<CodeObject>();
            let monitoring: Option<&MonitoringData> = (*code).co_monitoring.as_ref();
            monitoring.is_none_or(|monitoring| monitoring.is_only_for(tool))
        }
    }

    /// Whether `frame`, which runs this observed code, begins a line, of which a tool of `sys.monitoring` is told.
    pub(crate) fn is_told_of_line(&self, py: Python<'_>, frame: Frame<'_>) -> bool {
        // What it is executing stands for what begins a line, and that is executed without `tracing` raised.
        let unit = frame.instruction_offset().map(|offset| offset as usize / 2);
        let opcode = unit.and_then(|unit| Live::of(self.observed(py)).try_get(unit));
        frame.is_in_callback()
            && opcode.is_some_and(|[opcode, _]| Some(opcode) == OPCODES.instrumented_line)
    }

    /// Where `frame`, which runs this observed code and of which the tool is told that it begins a line with `at`, goes on in the copy; `fell`: it has fallen through to
    /// it from the instruction before.
    pub(crate) fn entrance<'py>(
        &self,
        py: Python<'py>,
        frame: Frame<'_>,
        at: InstrIdx,
        fell: bool,
        tool: u8,
    ) -> Option<Entrance<'py>> {
        let (entry, copy) = self.movable(py)?;
        let depth = self.analysis().depth(at)?;
        let is_possible = frame.code_address() == self.original.as_ptr() as usize
            && frame.is_undisturbed()
            && self.is_only_for(py, tool)
            && Live::of(&copy).is_quiet()
            && !(0..depth).any(|slot| self.holds_lasti(at, slot));
        if !is_possible {
            return None;
        }
        let offset = match fell.then(|| at.0.checked_sub(1)).flatten() {
            // What is inserted behind that is come to in no other way.
            Some(before) => {
                let before = self.analysis().get(InstrIdx(before));
                entry.copied_opcode(before.offset)? + (before.end() - before.offset)
            }
            None => entry.map()?.to_landing(self.analysis().get(at).offset)?,
        };
        Some(Entrance {
            entry,
            copy,
            offset,
        })
    }
}

impl Entrance<'_> {
    /// Moves the frame. False: it has not the room, and stays.
    ///
    /// # Safety
    /// The innermost call is that of a callback for the LINE event of the instruction that this is the entrance for, of the frame, which is the innermost one.
    pub(crate) unsafe fn enter(self, py: Python<'_>, frame: Frame<'_>) -> bool {
        let tracebacks: Vec<_> = leave::tracebacks_of(py, frame)
            .into_iter()
            .filter_map(|traceback| {
                // SAFETY: it is one.
                let lasti = unsafe { (*traceback.as_ptr().cast::<Traceback>()).tb_lasti };
                let offset = self.entry.copied_offset(u32::try_from(lasti).ok()?)?;
                Some((traceback, offset))
            })
            .collect();
        // SAFETY: by the contract; the copy has the original's variables (`with_parts`), and comes to the instruction by way of its probes, which leave the stack as it is.
        // Its entry, which it keeps alive, has the original.
        let has_entered = unsafe { frame.enter(self.copy, self.offset) };
        for (traceback, offset) in tracebacks {
            if has_entered {
                // SAFETY: a live traceback; the field is a plain number.
                unsafe { (*traceback.as_ptr().cast::<Traceback>()).tb_lasti = offset.cast_signed() }
            }
        }
        has_entered
    }
}
