//! Value-stack slots of 3.14 and 3.15: `_PyStackRef`, a tagged word (`Include/internal/pycore_stackref.h`).
//!
//! Bits 0-1: 0 = owned object, 1 = borrowed, deferred or immortal object, 3 = tagged integer (value in the bits above),
//! 2 = invalid or a wrapped raw pointer (3.15). NULL is the bare tag 1.

use pyo3::ffi::{Py_DECREF, PyObject};

const TAG_BITS: usize = 3;
const TAG_OWNED: usize = 0;
const TAG_BORROWED: usize = 1;
const TAG_INT: usize = 3;
/// Set where the slot holds neither an object nor nothing.
const TAG_OTHER: usize = 2;

/// One slot of `localsplus`.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Slot(usize);

/// An empty slot.
pub(crate) const NULL: Slot = Slot(TAG_BORROWED);

/// What a slot holds. The pointer is borrowed from the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Null,
    Object(*mut PyObject),
    /// A bare integer of the interpreter's own: the index beside an iterator (3.15), an exception's `lasti`.
    Tagged(isize),
    /// A word that is none of these; never dereferenced.
    Opaque,
}

#[inline]
pub(crate) fn content(slot: Slot) -> Content {
    if slot.0 & TAG_OTHER != 0 {
        return match slot.0 & TAG_BITS {
            // An arithmetic shift keeps the sign (PyStackRef_UntagInt).
            TAG_INT => Content::Tagged(slot.0.cast_signed() >> 2),
            _ => Content::Opaque,
        };
    }
    match object(slot) {
        object if object.is_null() => Content::Null,
        object => Content::Object(object),
    }
}

/// The object in a slot that holds one or nothing; NULL if it holds nothing.
#[inline(always)]
pub(crate) fn object(slot: Slot) -> *mut PyObject {
    (slot.0 & !TAG_BORROWED) as *mut PyObject
}

unsafe extern "C" {
    /// `Include/cpython/object.h`, 3.14+.
    fn PyUnstable_IsImmortal(object: *mut PyObject) -> std::ffi::c_int;
}

/// A slot that owns the reference `object`, which is consumed.
///
/// Immortal objects carry tag 1 as `PyStackRef_FromPyObjectNew` gives them: the interpreter compares whole words with
/// `PyStackRef_True`, `_False` and `_None`.
///
/// # Safety
/// `object` is a live object; the GIL is held.
pub(crate) unsafe fn from_owned(object: *mut PyObject) -> Slot {
    // SAFETY: by the contract above. An immortal object needs no reference, so none is leaked.
    let immortal = unsafe { PyUnstable_IsImmortal(object) } != 0;
    Slot(object as usize | if immortal { TAG_BORROWED } else { TAG_OWNED })
}

/// Whether a slot, which holds an object, owns its reference.
#[inline]
pub(crate) fn owns(slot: Slot) -> bool {
    slot.0 & TAG_BITS == TAG_OWNED
}

/// A slot that holds `object` without a reference of its own.
///
/// # Safety
/// Something else keeps `object` alive for as long as the slot holds it.
pub(crate) unsafe fn borrowed(object: *mut PyObject) -> Slot {
    Slot(object as usize | TAG_BORROWED)
}

/// Gives up what an overwritten slot owned.
///
/// # Safety
/// `slot` was read from a frame's `localsplus` and has been overwritten there; the GIL is held.
pub(crate) unsafe fn release(slot: Slot) {
    if slot.0 != 0 && slot.0 & TAG_BITS == TAG_OWNED {
        // SAFETY: tag 0 means that the slot owned one reference (PyStackRef_CLOSE, 3.14.10 and 3.15.2).
        unsafe { Py_DECREF(slot.0 as *mut PyObject) }
    }
}
