//! What a probe reports.

use std::sync::Arc;

use debugop_bytecode::{InstrIdx, Instruction};
use pyo3::{Bound, PyAny, PyErr, Python};

use crate::frame::{CodeShape, Frame, SlotValue};
use crate::probed::ProbedCode;

/// Why a step is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// An instruction is about to be executed.
    Instruction,
    /// An exception that the instruction raised is about to leave the frame.
    Unwind,
}

/// An exception has been set in the running thread. It carries nothing, so that success costs nothing to say.
#[derive(Debug)]
pub(crate) struct Raised;

impl Raised {
    /// Sets `error` in the running thread.
    #[cold]
    #[inline(never)]
    pub(crate) fn set(py: Python<'_>, error: PyErr) -> Self {
        error.restore(py);
        Self
    }
}

/// One report of a probe, valid while the probe is being executed.
pub struct Event<'a, 'py> {
    /// Why it is reported.
    pub kind: EventKind,
    /// The code that runs.
    pub code: &'a Arc<ProbedCode>,
    /// The instruction that is about to run, or that raised.
    pub instruction: InstrIdx,
    /// The frame that runs it.
    pub frame: Frame<'py>,
    pub(crate) shape: &'a CodeShape,
    pub(crate) depth: u32,
}

impl<'py> Event<'_, 'py> {
    /// The instruction itself.
    #[must_use]
    pub fn instruction(&self) -> &Instruction {
        self.code.analysis().get(self.instruction)
    }

    /// Number of slots on the value stack, before the instruction.
    #[must_use]
    pub fn stack_len(&self) -> u32 {
        self.depth
    }

    /// Value-stack slot `index`, bottom first; `None` from [`Event::stack_len`] on.
    #[must_use]
    pub fn stack(&self, py: Python<'py>, index: u32) -> Option<SlotValue<'py>> {
        (index < self.depth).then(|| self.slot(py, index))
    }

    /// Slot `index`, which is below [`Event::stack_len`], as the instruction would find it in the original.
    #[inline]
    pub(crate) fn slot(&self, py: Python<'py>, index: u32) -> SlotValue<'py> {
        #[cfg(not(Py_3_12))]
        let found = crate::precall::read(py, self, index);
        #[cfg(Py_3_12)]
        let found = self.raw(py, index);
        if self.code.holds_lasti(self.instruction, index) {
            self.code.original_lasti(py, found)
        } else {
            found
        }
    }

    /// Slot `index`, which is below [`Event::stack_len`], as it is now.
    #[inline]
    pub(crate) fn raw(&self, py: Python<'py>, index: u32) -> SlotValue<'py> {
        self.frame.read(py, self.shape, index)
    }

    /// The exception that has just arrived: at an exception handler the one that it handles, when a frame is left the one
    /// that leaves it.
    #[must_use]
    pub fn exception(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        if self.kind == EventKind::Unwind && self.code.is_observed() {
            return crate::engine::leaving(py, self.frame);
        }
        // The handler of exceptions that leave finds `lasti` in slot 0 and the exception in slot 1.
        let slot = match self.kind {
            EventKind::Unwind => 1,
            EventKind::Instruction if self.code.analysis().is_handler(self.instruction) => {
                self.depth.checked_sub(1)?
            }
            EventKind::Instruction => return None,
        };
        match self.frame.read(py, self.shape, slot) {
            SlotValue::Object(exception) => Some(exception),
            _ => None,
        }
    }

    /// Whether the depth that the interpreter itself saved agrees with the computed one; `None` where it saves none.
    ///
    /// The site itself may or may not be counted when the slot is called, so both are right.
    #[must_use]
    pub fn depth_agrees(&self) -> Option<bool> {
        let own = if self.kind == EventKind::Unwind {
            2
        } else {
            self.depth
        };
        self.frame
            .saved_depth(self.shape)
            .map(|saved| saved == own || saved == own + 1)
    }
}
