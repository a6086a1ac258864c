//! CPython 3.14 and 3.15: `_Py_Dealloc` has the trashcan, before it calls `tp_dealloc` (`Objects/object.c`).

use pyo3::ffi;

/// Calls `original`.
///
/// # Safety
/// As for calling `tp_dealloc`.
#[inline]
pub(in crate::identity) unsafe fn dealloc(object: *mut ffi::PyObject, original: ffi::destructor) {
    // SAFETY: by the contract.
    unsafe { original(object) };
}
