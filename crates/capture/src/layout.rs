//! The parts of CPython's private structs that debugop reads, one file per version.
//!
//! Each version module defines the same names with that version's layout; exactly one is compiled. Offsets are compared
//! with the real headers by `python/tests/test_layout.py`, and with `_Py_DebugOffsets` at import ([`crate::interpreter`]).

#[cfg(not(Py_3_12))]
#[path = "layout/v3_11.rs"]
mod current;
#[cfg(all(Py_3_12, not(Py_3_13)))]
#[path = "layout/v3_12.rs"]
mod current;
#[cfg(all(Py_3_13, not(Py_3_14)))]
#[path = "layout/v3_13.rs"]
mod current;
#[cfg(all(Py_3_14, not(Py_3_15)))]
#[path = "layout/v3_14.rs"]
mod current;
#[cfg(Py_3_15)]
#[path = "layout/v3_15.rs"]
mod current;

#[cfg(not(Py_3_14))]
#[path = "layout/slot_plain.rs"]
pub(crate) mod slot;
#[cfg(Py_3_14)]
#[path = "layout/slot_tagged.rs"]
pub(crate) mod slot;

#[cfg(not(Py_3_12))]
#[path = "layout/int_sized.rs"]
mod int;
#[cfg(Py_3_12)]
#[path = "layout/int_tagged.rs"]
mod int;

pub use current::VERSION;
#[cfg(Py_3_13)]
pub(crate) use current::debug_offsets;
pub(crate) use current::{
    CodeObject, FunctionObject, InterpreterFrame, ThreadState, owner_is_python,
};
pub(crate) use int::LongObject;
use pyo3::ffi::PyObject;

/// `struct _frame` up to `f_trace_opcodes`, the same in 3.11-3.15 (`Include/internal/pycore_frame.h`).
#[repr(C)]
pub(crate) struct FrameObject {
    pub ob_base: PyObject,
    pub f_back: *mut PyObject,
    pub f_frame: *mut InterpreterFrame,
    pub f_trace: *mut PyObject,
    f_lineno: i32,
    f_trace_lines: i8,
    pub f_trace_opcodes: i8,
}

/// `_PyCodeObjectExtra` (`Objects/codeobject.c`, the same in 3.11-3.15).
#[repr(C)]
pub(crate) struct CodeExtra {
    /// How many there are.
    pub size: isize,
    values: [*mut std::ffi::c_void; 1],
}

/// Byte offsets of every field that this build relies on, by CPython's own names, for comparison with the headers.
#[must_use]
pub fn offsets() -> Vec<(&'static str, usize)> {
    use std::mem::offset_of;
    let mut all = vec![
        ("PyFrameObject.f_frame", offset_of!(FrameObject, f_frame)),
        ("PyFrameObject.f_trace", offset_of!(FrameObject, f_trace)),
        (
            "PyFrameObject.f_trace_opcodes",
            offset_of!(FrameObject, f_trace_opcodes),
        ),
        (
            "PyThreadState.c_tracefunc",
            offset_of!(ThreadState, c_tracefunc),
        ),
        (
            "PyThreadState.c_profilefunc",
            offset_of!(ThreadState, c_profilefunc),
        ),
        (
            "PyThreadState.c_profileobj",
            offset_of!(ThreadState, c_profileobj),
        ),
        (
            "PyThreadState.c_traceobj",
            offset_of!(ThreadState, c_traceobj),
        ),
        (
            "PyCodeObject.co_stacksize",
            offset_of!(CodeObject, co_stacksize),
        ),
        (
            "PyCodeObject.co_nlocalsplus",
            offset_of!(CodeObject, co_nlocalsplus),
        ),
        ("PyCodeObject.co_extra", offset_of!(CodeObject, co_extra)),
        (
            "PyCodeObject.co_code_adaptive",
            offset_of!(CodeObject, co_code_adaptive),
        ),
        (
            "PyThreadState.thread_id",
            offset_of!(ThreadState, thread_id),
        ),
        (
            "PyFunctionObject.func_code",
            offset_of!(FunctionObject, func_code),
        ),
        (
            "PyFunctionObject.func_version",
            offset_of!(FunctionObject, func_version),
        ),
        (
            "_PyInterpreterFrame.previous",
            offset_of!(InterpreterFrame, previous),
        ),
        (
            "_PyInterpreterFrame.f_globals",
            offset_of!(InterpreterFrame, f_globals),
        ),
        (
            "_PyInterpreterFrame.frame_obj",
            offset_of!(InterpreterFrame, frame_obj),
        ),
        (
            "_PyInterpreterFrame.owner",
            offset_of!(InterpreterFrame, owner),
        ),
        (
            "_PyInterpreterFrame.localsplus",
            offset_of!(InterpreterFrame, localsplus),
        ),
    ];
    all.extend(current::version_offsets());
    all.extend(int::offsets());
    all
}
