//! The running thread.

use pyo3::Python;

unsafe extern "C" {
    /// `Include/pythread.h`: what `threading.get_ident` returns.
    fn PyThread_get_thread_ident() -> std::ffi::c_ulong;
}

/// The identifier of the running thread, as `threading.get_ident` gives it.
#[must_use]
pub fn thread_ident(_py: Python<'_>) -> u64 {
    // SAFETY: the function has no preconditions.
    unsafe { PyThread_get_thread_ident() }
}

/// Whether the caller holds the only reference to `object`.
#[inline]
#[must_use]
pub fn is_unshared<T>(object: &pyo3::Bound<'_, T>) -> bool {
    // SAFETY: a live object, with the GIL held.
    unsafe { pyo3::ffi::Py_REFCNT(object.as_ptr()) == 1 }
}
