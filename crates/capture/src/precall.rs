//! 3.11: what `PRECALL` does to the stack before `CALL` is reported.
//!
//! `PRECALL` and `CALL` are one place for a probe, so `CALL` is reported before `PRECALL` has run. If the callable is a bound
//! method, `PRECALL` replaces NULL and the method by the function and `self` (`TARGET(PRECALL)` in `Python/ceval.c`); this
//! gives the stack as `CALL` finds it. Later versions have no `PRECALL`.

use debugop_bytecode::Op;
use pyo3::{Bound, Python, ffi};

use crate::event::Event;
use crate::frame::SlotValue;
use crate::layout::VERSION;
use crate::value::{PyMethod_Function, PyMethod_Type};

unsafe extern "C" {
    /// The instance of a bound method, borrowed.
    fn PyMethod_Self(method: *mut ffi::PyObject) -> *mut ffi::PyObject;
}

/// The function and `self` that `CALL` will find, and the slot of the first; `None` if the stack stays as it is.
fn unbound<'py>(py: Python<'py>, event: &Event<'_, 'py>) -> Option<(u32, [SlotValue<'py>; 2])> {
    let instruction = event.instruction();
    if instruction.opcode.info(VERSION)?.op != Op::Call {
        return None;
    }
    let slot = event.depth.checked_sub(instruction.arg.checked_add(2)?)?;
    let (SlotValue::Null, SlotValue::Object(callable)) =
        (event.raw(py, slot), event.raw(py, slot + 1))
    else {
        return None;
    };
    // SAFETY: an exact bound method, held by `callable`, owns both parts, which are never NULL.
    unsafe {
        if ffi::Py_TYPE(callable.as_ptr()) != &raw mut PyMethod_Type {
            return None;
        }
        let function = Bound::from_borrowed_ptr(py, PyMethod_Function(callable.as_ptr()));
        let owner = Bound::from_borrowed_ptr(py, PyMethod_Self(callable.as_ptr()));
        Some((
            slot,
            [SlotValue::Object(function), SlotValue::Object(owner)],
        ))
    }
}

/// Slot `index` as the instruction of `event` finds it.
pub(crate) fn read<'py>(py: Python<'py>, event: &Event<'_, 'py>, index: u32) -> SlotValue<'py> {
    match unbound(py, event) {
        Some((slot, [function, _])) if index == slot => function,
        Some((slot, [_, owner])) if index == slot + 1 => owner,
        _ => event.raw(py, index),
    }
}

/// Does what `PRECALL` is about to do, so that a slot can be written as `CALL` finds it. `PRECALL` then has nothing left to do:
/// it takes a callable with `self` as it is.
pub(crate) fn settle<'py>(py: Python<'py>, event: &Event<'_, 'py>) {
    if let Some((slot, [SlotValue::Object(function), SlotValue::Object(owner)])) =
        unbound(py, event)
    {
        event.frame.write(event.shape, slot, function);
        event.frame.write(event.shape, slot + 1, owner);
    }
}
