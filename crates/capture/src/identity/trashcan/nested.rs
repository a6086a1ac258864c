//! CPython 3.11 and 3.12: `Py_TRASHCAN_BEGIN` is a counter of nested deallocations in the thread state, and two functions.

use pyo3::ffi;

unsafe extern "C" {
    fn _PyTrash_begin(
        state: *mut ffi::PyThreadState,
        object: *mut ffi::PyObject,
    ) -> std::ffi::c_int;
    fn _PyTrash_end(state: *mut ffi::PyThreadState);
}

/// Calls `original` as if its own `Py_TRASHCAN_BEGIN` and `END` (`Include/cpython/object.h`) took it for the type's `tp_dealloc`.
///
/// # Safety
/// `object` is one with a header for the garbage collector and no references, whose type's `tp_dealloc` is being called, and `original`
/// the function that stood there, which begins with `PyObject_GC_UnTrack` and `Py_TRASHCAN_BEGIN`.
pub(in crate::identity) unsafe fn dealloc(object: *mut ffi::PyObject, original: ffi::destructor) {
    // SAFETY: by the contract; untracking twice is once, and what waits must be untracked. The thread is attached.
    unsafe {
        let state = ffi::compat::PyThreadState_GetUnchecked();
        ffi::PyObject_GC_UnTrack(object.cast());
        // Puts it off: `tp_dealloc`, we, will be called again.
        if _PyTrash_begin(state, object) == 0 {
            original(object);
            _PyTrash_end(state);
        }
    }
}
