//! Which types keep dead objects for reuse, one file for versions that have the same.

#[cfg(not(Py_3_14))]
#[path = "freelists/few.rs"]
mod current;
#[cfg(Py_3_14)]
#[path = "freelists/many.rs"]
mod current;

pub(super) use current::KINDS;
use pyo3::ffi;

unsafe extern "C" {
    static mut PyContext_Type: ffi::PyTypeObject;
    static mut PyListIter_Type: ffi::PyTypeObject;
    static mut PyTupleIter_Type: ffi::PyTypeObject;
    static mut PyMethod_Type: ffi::PyTypeObject;
    static mut PyCMethod_Type: ffi::PyTypeObject;
}

/// Those whose deallocation function may be another type's as well, in every version. The others are met with their first object.
pub(super) fn types() -> [*mut ffi::PyTypeObject; 13] {
    [
        &raw mut ffi::PyList_Type,
        &raw mut ffi::PyTuple_Type,
        &raw mut ffi::PyDict_Type,
        &raw mut ffi::PySlice_Type,
        &raw mut ffi::PyRange_Type,
        &raw mut ffi::PyRangeIter_Type,
        &raw mut ffi::PyCFunction_Type,
        &raw mut PyCMethod_Type,
        &raw mut PyMethod_Type,
        &raw mut PyContext_Type,
        &raw mut PyListIter_Type,
        &raw mut PyTupleIter_Type,
        // SAFETY: a variable of the interpreter, set before anything is imported.
        unsafe { ffi::PyExc_MemoryError.cast() },
    ]
}
