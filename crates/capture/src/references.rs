//! Reference counts.

/// Whether the caller holds the only reference to `object`.
#[inline]
#[must_use]
pub fn is_unshared<T>(object: &pyo3::Bound<'_, T>) -> bool {
    // SAFETY: a live object, with the GIL held.
    unsafe { pyo3::ffi::Py_REFCNT(object.as_ptr()) == 1 }
}
