//! What a code object of 3.12-3.15 begins with (`Include/cpython/code.h`).

use pyo3::ffi::{PyObject, PyVarObject};

/// `PyCodeObject` up to `co_linetable`. But for the object's header, nothing of it changes after it is made.
#[repr(C)]
pub(crate) struct CodeHead {
    pub ob_base: PyVarObject,
    pub co_consts: *mut PyObject,
    pub co_names: *mut PyObject,
    pub co_exceptiontable: *mut PyObject,
    pub co_flags: i32,
    pub co_argcount: i32,
    pub co_posonlyargcount: i32,
    pub co_kwonlyargcount: i32,
    pub co_stacksize: i32,
    pub co_firstlineno: i32,
    pub co_nlocalsplus: i32,
    /// Words of a frame, its head included.
    pub co_framesize: i32,
    pub co_nlocals: i32,
    co_ncellvars: i32,
    co_nfreevars: i32,
    co_version: u32,
    pub co_localsplusnames: *mut PyObject,
    pub co_localspluskinds: *mut PyObject,
    pub co_filename: *mut PyObject,
    pub co_name: *mut PyObject,
    pub co_qualname: *mut PyObject,
    pub co_linetable: *mut PyObject,
}
