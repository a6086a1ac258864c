//! The value stack of a step: reading, and writing that cannot crash the interpreter.

use std::sync::Arc;

use debugop_bytecode::InstrIdx;
use pyo3::{Bound, PyAny, Python};

use crate::event::{Event, EventKind};
use crate::frame::{LiveFrame, SlotValue};
use crate::probed::ProbedCode;

/// The value stack that a step's callback may look at and change.
#[derive(Clone)]
pub struct LiveStack {
    code: Arc<ProbedCode>,
    frame: LiveFrame,
    instruction: InstrIdx,
    kind: EventKind,
    depth: u32,
}

/// Why a slot cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// The callback has returned, or this is another thread.
    #[error("this step is over: its value stack can only be used by the callback that it was handed to, while that runs")]
    Stale,
    /// Below the bottom or above the top.
    #[error("value stack index out of range: it has {depth} slots")]
    OutOfRange {
        /// How many slots there are.
        depth: u32,
    },
    /// The interpreter trusts the slot's type, and the value does not have it.
    #[error("cannot write stack[{index}]: {reason}")]
    Forbidden {
        /// The slot, bottom first.
        index: u32,
        /// Which instruction relies on what.
        reason: String,
    },
}

impl LiveStack {
    /// The stack of `event`, for as long as `live` lives.
    #[must_use]
    pub fn new(event: &Event<'_, '_>, live: LiveFrame) -> Self {
        let (instruction, kind, depth) = (event.instruction, event.kind, event.stack_len());
        Self { code: Arc::clone(event.code), frame: live, instruction, kind, depth }
    }

    /// Points to the stack of another event; cheaper than a new one where the code is the same.
    pub fn retarget(&mut self, event: &Event<'_, '_>, live: LiveFrame) {
        if !Arc::ptr_eq(&self.code, event.code) {
            self.code = Arc::clone(event.code);
        }
        self.frame = live;
        self.instruction = event.instruction;
        self.kind = event.kind;
        self.depth = event.stack_len();
    }

    /// The code that runs.
    #[must_use]
    pub fn code(&self) -> &Arc<ProbedCode> {
        &self.code
    }

    /// The frame, as long as it may be looked at.
    #[must_use]
    pub fn frame(&self) -> LiveFrame {
        self.frame
    }

    /// The instruction that is about to run.
    #[must_use]
    pub fn instruction(&self) -> InstrIdx {
        self.instruction
    }

    /// Why the step is reported.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// The exception that has just arrived ([`Event::exception`]).
    ///
    /// # Errors
    /// [`StackError::Stale`].
    pub fn exception<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, PyAny>>, StackError> {
        let frame = self.frame.get(py).ok_or(StackError::Stale)?;
        let shape = self.code.shape(py).ok_or(StackError::Stale)?;
        let event = Event { kind: self.kind, code: &self.code, instruction: self.instruction, frame, shape, depth: self.depth };
        Ok(event.exception(py))
    }

    /// How many slots there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.depth
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.depth == 0
    }

    /// Slot `index`, bottom first.
    ///
    /// # Errors
    /// [`StackError::Stale`], [`StackError::OutOfRange`].
    #[inline]
    pub fn get<'py>(&self, py: Python<'py>, index: u32) -> Result<SlotValue<'py>, StackError> {
        if index >= self.depth {
            return Err(StackError::OutOfRange { depth: self.depth });
        }
        let frame = self.frame.get(py).ok_or(StackError::Stale)?;
        let shape = self.code.shape(py).ok_or(StackError::Stale)?;
        Ok(frame.read(py, &shape, index))
    }

    /// Calls `each` with every slot, bottom first.
    ///
    /// # Errors
    /// [`StackError::Stale`].
    pub fn for_each<'py>(&self, py: Python<'py>, mut each: impl FnMut(SlotValue<'py>)) -> Result<(), StackError> {
        let frame = self.frame.get(py).ok_or(StackError::Stale)?;
        let shape = self.code.shape(py).ok_or(StackError::Stale)?;
        for index in 0..self.depth {
            each(frame.read(py, &shape, index));
        }
        Ok(())
    }
}
