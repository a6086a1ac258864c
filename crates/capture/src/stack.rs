//! The value stack of a step: reading, and writing that cannot crash the interpreter.

use std::sync::Arc;

use debugop_bytecode::operands::Reason;
use debugop_bytecode::{InstrIdx, Policy, write_policy};
use pyo3::exceptions::PyBaseException;
use pyo3::types::PyAnyMethods;
use pyo3::{Bound, PyAny, Python, ffi};

use crate::event::{Event, EventKind};
use crate::frame::{LiveFrame, SlotValue};
use crate::layout::VERSION;
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
    #[error(
        "this step is over: its value stack can only be used by the callback that it was handed to, while that runs"
    )]
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
        Self {
            code: Arc::clone(event.code),
            frame: live,
            instruction,
            kind,
            depth,
        }
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

    /// Points to the same stack as `other`; cheaper than a clone where the code is the same.
    pub fn follow(&mut self, other: &Self) {
        if !Arc::ptr_eq(&self.code, &other.code) {
            self.code = Arc::clone(&other.code);
        }
        self.frame = other.frame;
        self.instruction = other.instruction;
        self.kind = other.kind;
        self.depth = other.depth;
    }

    /// The code that runs.
    #[must_use]
    pub fn code(&self) -> &Arc<ProbedCode> {
        &self.code
    }

    /// The frame, as long as it may be looked at.
    #[must_use]
    pub fn live_frame(&self) -> LiveFrame {
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
        Ok(self.event(py)?.exception(py))
    }

    /// The event that this is the stack of, as long as its frame may be looked at.
    #[inline]
    fn event<'py>(&self, py: Python<'py>) -> Result<Event<'_, 'py>, StackError> {
        let frame = self.frame.get(py).ok_or(StackError::Stale)?;
        let shape = self.code.shape().ok_or(StackError::Stale)?;
        Ok(Event {
            kind: self.kind,
            code: &self.code,
            instruction: self.instruction,
            frame,
            shape,
            depth: self.depth,
        })
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
        Ok(self.event(py)?.slot(py, index))
    }

    /// Every slot, bottom first.
    ///
    /// # Errors
    /// [`StackError::Stale`].
    pub fn slots<'py>(
        &self,
        py: Python<'py>,
    ) -> Result<impl ExactSizeIterator<Item = SlotValue<'py>>, StackError> {
        let event = self.event(py)?;
        Ok((0..self.depth).map(move |index| event.slot(py, index)))
    }

    /// Calls `each` with every slot, bottom first.
    ///
    /// # Errors
    /// [`StackError::Stale`].
    pub fn for_each<'py>(
        &self,
        py: Python<'py>,
        mut each: impl FnMut(SlotValue<'py>),
    ) -> Result<(), StackError> {
        let event = self.event(py)?;
        (0..self.depth).for_each(|index| each(event.slot(py, index)));
        Ok(())
    }

    /// Puts `value` into slot `index`, bottom first; `None` stands for NULL.
    ///
    /// The interpreter trusts what the compiler arranged (`FOR_ITER` calls `tp_iternext` of whatever it finds), so the slot
    /// is followed to the instructions that will use it ([`write_policy`]) and a value that one of them could not survive is
    /// refused.
    ///
    /// # Errors
    /// [`StackError::Stale`], [`StackError::OutOfRange`], [`StackError::Forbidden`].
    pub fn set<'py>(
        &self,
        py: Python<'py>,
        index: u32,
        value: Option<Bound<'py, PyAny>>,
    ) -> Result<(), StackError> {
        let old = self.get(py, index)?;
        let forbidden = |reason: String| StackError::Forbidden { index, reason };
        let Some(value) = value else {
            // Whoever expects an object would follow the NULL.
            return match old {
                SlotValue::Null => Ok(()),
                _ => Err(forbidden(
                    "NULL may only be written where NULL is".to_owned(),
                )),
            };
        };
        let policy = write_policy(self.code.analysis(), self.instruction, index);
        match old {
            SlotValue::Null if !matches!(policy, Policy::Any | Policy::AnyOrNull) => {
                return Err(forbidden(
                    "the slot is empty (NULL) and what uses it expects that".to_owned(),
                ));
            }
            SlotValue::Tagged(_) => {
                return Err(forbidden(
                    "the slot holds a bare integer of the interpreter's own".to_owned(),
                ));
            }
            SlotValue::Opaque => {
                return Err(forbidden(
                    "the slot holds a word of the interpreter's own".to_owned(),
                ));
            }
            SlotValue::Object(ref object) if is_cell(object) => {
                return Err(forbidden(
                    "the slot holds a closure cell, which the interpreter takes for one".to_owned(),
                ));
            }
            _ => {}
        }
        self.permitted(&policy, &old, &value).map_err(forbidden)?;
        // The old value is kept alive until the new one is in place and the frame is no longer looked at.
        let event = self.event(py)?;
        #[cfg(not(Py_3_12))]
        crate::precall::settle(py, &event);
        event.frame.write(event.shape, index, value);
        drop(old);
        Ok(())
    }

    /// Whether `policy` lets `value` take the place of `old`; otherwise why not.
    fn permitted(
        &self,
        policy: &Policy,
        old: &SlotValue<'_>,
        value: &Bound<'_, PyAny>,
    ) -> Result<(), String> {
        let got = || crate::value::type_name(&value.get_type());
        match policy {
            Policy::Any | Policy::AnyOrNull => Ok(()),
            Policy::Exception(reason) if !value.is_instance_of::<PyBaseException>() => {
                Err(format!(
                    "{} an exception instance, not {}",
                    self.expects(reason),
                    got()
                ))
            }
            Policy::Iterator(reason) if !is_iterator(value) => Err(format!(
                "{} an iterator, not {}",
                self.expects(reason),
                got()
            )),
            Policy::SameType(reason) => match old {
                SlotValue::Object(old) if old.get_type().is(value.get_type()) => Ok(()),
                SlotValue::Object(old) => {
                    let expected = crate::value::type_name(&old.get_type());
                    Err(format!(
                        "{} exactly {expected}, not {}",
                        self.expects(reason),
                        got()
                    ))
                }
                _ => Err(format!("{} what is there now", self.expects(reason))),
            },
            Policy::Fixed(reason) => Err(format!(
                "{} exactly what is there now",
                self.expects(reason)
            )),
            Policy::Exception(reason) if !has_traceback_if_needed(value) => Err(format!(
                "{} an exception with a traceback (3.11)",
                self.expects(reason)
            )),
            Policy::Exception(_) | Policy::Iterator(_) => Ok(()),
        }
    }

    /// The first half of a refusal: who relies on the slot.
    fn expects(&self, reason: &Reason) -> String {
        let name = |by: &InstrIdx| {
            let instruction = self.code.analysis().get(*by);
            format!(
                "{} at offset {}",
                instruction.opcode.name(VERSION),
                instruction.offset
            )
        };
        match reason {
            Reason::Operand { by, role } => format!(
                "{} takes it as its {role} without a check and needs",
                name(by)
            ),
            Reason::Cell { by } => format!(
                "{} puts it back where a closure cell belongs and needs",
                name(by)
            ),
            Reason::TooFar => {
                "too many instructions lie ahead to tell who uses it, so it must stay".to_owned()
            }
            Reason::NotOnStack => "the slot is not on the stack, so it must stay".to_owned(),
        }
    }
}

/// Whether `FOR_ITER` and `SEND` may call the `tp_iternext` of `value`.
fn is_iterator(value: &Bound<'_, PyAny>) -> bool {
    // SAFETY: PyIter_Check reads a slot of the type of a live object.
    unsafe { ffi::PyIter_Check(value.as_ptr()) != 0 }
}

/// 3.11's `WITH_EXCEPT_START` hands the traceback to `__exit__` without looking whether there is one (`Python/ceval.c`); later
/// versions put None in its place.
fn has_traceback_if_needed(value: &Bound<'_, PyAny>) -> bool {
    #[cfg(not(Py_3_12))]
    {
        // SAFETY: the caller has checked that `value` is an exception; the function returns a new reference or NULL.
        unsafe {
            Bound::from_owned_ptr_or_opt(value.py(), ffi::PyException_GetTraceback(value.as_ptr()))
        }
        .is_some()
    }
    #[cfg(Py_3_12)]
    {
        let _ = value;
        true
    }
}

fn is_cell(value: &Bound<'_, PyAny>) -> bool {
    // SAFETY: compares the type pointer of a live object.
    unsafe { ffi::Py_TYPE(value.as_ptr()) == &raw mut ffi::PyCell_Type }
}
