//! CPython 3.13: `Py_TRASHCAN_BEGIN` looks how much of the C stack is left, by a counter in the thread state.

use pyo3::ffi;

use crate::current;

unsafe extern "C" {
    fn _PyTrash_thread_deposit_object(state: *mut ffi::PyThreadState, object: *mut ffi::PyObject);
}

/// `Py_TRASHCAN_HEADROOM`.
const HEADROOM: i32 = 50;

/// Calls `original` as if its own `Py_TRASHCAN_BEGIN` (`Include/cpython/object.h`) took it for the type's `tp_dealloc`. It counts
/// and empties the trashcan in any case.
///
/// # Safety
/// `object` is one with a header for the garbage collector and no references, whose type's `tp_dealloc` is being called, and `original`
/// the function that stood there, which begins with `PyObject_GC_UnTrack` and `Py_TRASHCAN_BEGIN`.
#[inline]
pub(in crate::identity) unsafe fn dealloc(object: *mut ffi::PyObject, original: ffi::destructor) {
    // SAFETY: by the contract; what waits must be untracked. The thread is attached.
    unsafe {
        let state = current::any_state();
        if (*state).c_recursion_remaining <= HEADROOM {
            // `tp_dealloc`, we, will be called again.
            ffi::PyObject_GC_UnTrack(object.cast());
            _PyTrash_thread_deposit_object(state.cast(), object);
        } else {
            original(object);
        }
    }
}
