//! The value stack of a step: reading, and writing that cannot crash the interpreter.

use std::sync::Arc;

use debugop_bytecode::operands::Reason;
use debugop_bytecode::{InstrIdx, Policy, write_policy};
use pyo3::exceptions::PyBaseException;
use pyo3::types::{PyAnyMethods, PyList};
use pyo3::{Bound, IntoPyObject, PyAny, PyErr, Python, ffi};

use crate::event::{Event, EventKind};
use crate::frame::{Frame, LiveFrame, SlotValue};
use crate::gil::GilCell;
use crate::layout::VERSION;
use crate::probed::ProbedCode;

/// The value stack that a step's callback may look at and change.
///
/// It can be pointed to the stack of another step while others hold it, which is what spares a callback new objects.
pub struct LiveStack {
    code: GilCell<Arc<ProbedCode>>,
    at: GilCell<At>,
}

#[derive(Clone, Copy)]
struct At {
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
    /// Python raised.
    #[error(transparent)]
    Python(#[from] PyErr),
}

impl LiveStack {
    /// The stack of `event`, for as long as `live` lives.
    #[must_use]
    pub fn new(event: &Event<'_, '_>, live: LiveFrame) -> Self {
        Self {
            code: GilCell::new(Arc::clone(event.code)),
            at: GilCell::new(At::of(event, live)),
        }
    }

    /// Points to the stack of another event; cheaper than a new one where the code is the same.
    #[inline]
    pub fn retarget(&self, py: Python<'_>, event: &Event<'_, '_>, live: LiveFrame) {
        self.set_code(py, event.code);
        self.at.set(py, At::of(event, live));
    }

    /// Points to the same stack as `other`; cheaper than a copy where the code is the same.
    #[inline]
    pub fn follow(&self, py: Python<'_>, other: &Self) {
        let same = other.code.with(py, |code| self.code.is(py, code));
        if !same {
            self.set_code(py, &other.code(py));
        }
        self.at.set(py, other.at.get(py));
    }

    #[inline]
    fn set_code(&self, py: Python<'_>, code: &Arc<ProbedCode>) {
        if !self.code.is(py, code) {
            drop(self.code.replace(py, Arc::clone(code)));
        }
    }

    /// One more that points to the same stack.
    #[must_use]
    pub fn copy(&self, py: Python<'_>) -> Self {
        Self {
            code: GilCell::new(self.code(py)),
            at: GilCell::new(self.at.get(py)),
        }
    }

    /// The code that runs.
    #[must_use]
    pub fn code(&self, py: Python<'_>) -> Arc<ProbedCode> {
        self.code.cloned(py)
    }

    /// The frame, as long as it may be looked at.
    #[must_use]
    pub fn live_frame(&self, py: Python<'_>) -> LiveFrame {
        self.at.get(py).frame
    }

    /// The instruction that is about to run.
    #[must_use]
    pub fn instruction(&self, py: Python<'_>) -> InstrIdx {
        self.at.get(py).instruction
    }

    /// Why the step is reported.
    #[must_use]
    pub fn kind(&self, py: Python<'_>) -> EventKind {
        self.at.get(py).kind
    }

    /// How many slots there are.
    #[must_use]
    pub fn len(&self, py: Python<'_>) -> u32 {
        self.at.get(py).depth
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self, py: Python<'_>) -> bool {
        self.len(py) == 0
    }

    /// The exception that has just arrived ([`Event::exception`]).
    ///
    /// # Errors
    /// [`StackError::Stale`].
    pub fn exception<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, PyAny>>, StackError> {
        self.with_event(py, |event| event.exception(py))
    }

    /// Runs `f`, which must not run Python code, on the event that this is the stack of.
    #[inline]
    fn with_event<'py, R>(
        &self,
        py: Python<'py>,
        f: impl FnOnce(&Event<'_, 'py>) -> R,
    ) -> Result<R, StackError> {
        let at = self.at.get(py);
        let frame = at.frame.get(py).ok_or(StackError::Stale)?;
        self.code
            .with(py, |code| Some(f(&at.event(code, frame)?)))
            .ok_or(StackError::Stale)
    }

    /// Slot `index`, bottom first.
    ///
    /// # Errors
    /// [`StackError::Stale`], [`StackError::OutOfRange`].
    #[inline]
    pub fn get<'py>(&self, py: Python<'py>, index: u32) -> Result<SlotValue<'py>, StackError> {
        let depth = self.len(py);
        if index >= depth {
            self.live_frame(py).get(py).ok_or(StackError::Stale)?;
            return Err(StackError::OutOfRange { depth });
        }
        self.with_event(py, |event| event.slot(py, index))
    }

    /// Every slot, bottom first.
    ///
    /// # Errors
    /// [`StackError::Stale`].
    pub fn slots<'py>(&self, py: Python<'py>) -> Result<Vec<SlotValue<'py>>, StackError> {
        let depth = self.len(py);
        self.with_event(py, |event| {
            (0..depth).map(|index| event.slot(py, index)).collect()
        })
    }

    /// Every slot, bottom first, in a new list, with `null` for what is not an object.
    ///
    /// # Errors
    /// [`StackError::Stale`], [`StackError::Python`].
    #[inline]
    pub fn list<'py>(
        &self,
        py: Python<'py>,
        null: &Bound<'py, PyAny>,
    ) -> Result<Bound<'py, PyList>, StackError> {
        let depth = self.len(py);
        // SAFETY: a new list, which nobody else sees before each of its `depth` items, NULL until then, has been set once.
        // Making it may collect garbage and so run Python code, which is why it is made before the stack is looked at.
        unsafe {
            let list = Bound::from_owned_ptr_or_err(py, ffi::PyList_New(depth as ffi::Py_ssize_t))?;
            self.with_event(py, |event| {
                for index in 0..depth {
                    let item = match event.slot(py, index) {
                        SlotValue::Object(object) => object,
                        SlotValue::Tagged(number) => {
                            let Ok(number) = number.into_pyobject(py);
                            number.into_any()
                        }
                        SlotValue::Null | SlotValue::Opaque => null.clone(),
                    };
                    ffi::PyList_SET_ITEM(list.as_ptr(), index as ffi::Py_ssize_t, item.into_ptr());
                }
            })?;
            Ok(list.cast_into_unchecked())
        }
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
        let (code, at) = (self.code(py), self.at.get(py));
        let value = writable(&code, at.instruction, index, &old, value)?;
        let Some(value) = value else {
            return Ok(());
        };
        // The old value is kept alive until the new one is in place and the frame is no longer looked at.
        let frame = at.frame.get(py).ok_or(StackError::Stale)?;
        let event = at.event(&code, frame).ok_or(StackError::Stale)?;
        #[cfg(not(Py_3_12))]
        crate::precall::settle(py, &event);
        event.frame.write(event.shape, index, value);
        drop(old);
        Ok(())
    }
}

/// `value`, if `instruction` of `code` and those after it can take it in slot `index`, where `old` is; `None`: both are NULL.
///
/// # Errors
/// [`StackError::Forbidden`].
pub(crate) fn writable<'py>(
    code: &ProbedCode,
    instruction: InstrIdx,
    index: u32,
    old: &SlotValue<'_>,
    value: Option<Bound<'py, PyAny>>,
) -> Result<Option<Bound<'py, PyAny>>, StackError> {
    let forbidden = |reason: String| StackError::Forbidden { index, reason };
    let Some(value) = value else {
        // Whoever expects an object would follow the NULL.
        return match old {
            SlotValue::Null => Ok(None),
            _ => Err(forbidden(
                "NULL may only be written where NULL is".to_owned(),
            )),
        };
    };
    let policy = write_policy(code.analysis(), instruction, index);
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
        SlotValue::Object(object) if is_cell(object) => {
            return Err(forbidden(
                "the slot holds a closure cell, which the interpreter takes for one".to_owned(),
            ));
        }
        _ => {}
    }
    if code.holds_lasti(instruction, index) {
        return Err(forbidden(
            "the slot holds the code unit that an exception was raised in".to_owned(),
        ));
    }
    permitted(code, &policy, old, &value).map_err(forbidden)?;
    Ok(Some(value))
}

impl At {
    #[inline]
    fn of(event: &Event<'_, '_>, frame: LiveFrame) -> Self {
        Self {
            frame,
            instruction: event.instruction,
            kind: event.kind,
            depth: event.stack_len(),
        }
    }

    /// The event in `frame`; `None` if `code` has lost its probed copy.
    #[inline]
    fn event<'a, 'py>(
        self,
        code: &'a Arc<ProbedCode>,
        frame: Frame<'py>,
    ) -> Option<Event<'a, 'py>> {
        Some(Event {
            kind: self.kind,
            code,
            instruction: self.instruction,
            frame,
            shape: code.shape()?,
            depth: self.depth,
        })
    }
}

/// Whether `policy` lets `value` take the place of `old`; otherwise why not.
fn permitted(
    code: &ProbedCode,
    policy: &Policy,
    old: &SlotValue<'_>,
    value: &Bound<'_, PyAny>,
) -> Result<(), String> {
    let got = || crate::value::type_name(&value.get_type());
    match policy {
        Policy::Any | Policy::AnyOrNull => Ok(()),
        Policy::Exception(reason) if !value.is_instance_of::<PyBaseException>() => Err(format!(
            "{} an exception instance, not {}",
            expects(code, reason),
            got()
        )),
        Policy::Iterator(reason) if !is_iterator(value) => Err(format!(
            "{} an iterator, not {}",
            expects(code, reason),
            got()
        )),
        Policy::SameType(reason) => match old {
            SlotValue::Object(old) if old.get_type().is(value.get_type()) => Ok(()),
            SlotValue::Object(old) => {
                let expected = crate::value::type_name(&old.get_type());
                Err(format!(
                    "{} exactly {expected}, not {}",
                    expects(code, reason),
                    got()
                ))
            }
            _ => Err(format!("{} what is there now", expects(code, reason))),
        },
        Policy::Fixed(reason) => Err(format!(
            "{} exactly what is there now",
            expects(code, reason)
        )),
        Policy::Exception(reason) if !has_traceback_if_needed(value) => Err(format!(
            "{} an exception with a traceback (3.11)",
            expects(code, reason)
        )),
        Policy::Exception(_) | Policy::Iterator(_) => Ok(()),
    }
}

/// The first half of a refusal: who relies on the slot.
fn expects(code: &ProbedCode, reason: &Reason) -> String {
    let name = |by: &InstrIdx| {
        let instruction = code.analysis().get(*by);
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
