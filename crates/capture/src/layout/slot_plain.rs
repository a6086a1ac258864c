//! Value-stack slots of 3.11-3.13: plain owned `PyObject *`, NULL for an empty slot.

use pyo3::ffi::{Py_XDECREF, PyObject};

/// One slot of `localsplus`.
pub(crate) type Slot = *mut PyObject;

/// An empty slot.
pub(crate) const NULL: Slot = std::ptr::null_mut();

/// What a slot holds. The pointer is borrowed from the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Null,
    Object(*mut PyObject),
}

#[inline]
pub(crate) fn content(slot: Slot) -> Content {
    if slot.is_null() {
        Content::Null
    } else {
        Content::Object(slot)
    }
}

/// A slot that owns the reference `object`, which is consumed.
///
/// # Safety
/// `object` is a live object; the GIL is held.
pub(crate) unsafe fn from_owned(object: *mut PyObject) -> Slot {
    object
}

/// Whether a slot, which holds an object, owns its reference.
#[inline]
pub(crate) fn owns(_: Slot) -> bool {
    true
}

/// A slot that holds `object` as one does which does not own it: there is none such.
///
/// # Safety
/// `object` is a live object; the GIL is held.
pub(crate) unsafe fn borrowed(object: *mut PyObject) -> Slot {
    // SAFETY: by the contract above.
    unsafe { pyo3::ffi::Py_NewRef(object) }
}

/// Gives up what an overwritten slot owned.
///
/// # Safety
/// `slot` was read from a frame's `localsplus` and has been overwritten there; the GIL is held.
pub(crate) unsafe fn release(slot: Slot) {
    // SAFETY: on 3.11-3.13 every non-NULL slot owns its reference (Python/ceval.c); the caller took it out of the frame.
    unsafe { Py_XDECREF(slot) }
}
