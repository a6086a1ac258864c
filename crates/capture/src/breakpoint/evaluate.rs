//! Evaluating as `bdb` does: `eval` in the namespaces of a frame.

use pyo3::types::{PyAnyMethods, PyCode, PyFrame};
use pyo3::{Bound, PyAny, PyResult, ffi, intern};

unsafe extern "C" {
    /// Reads changed locals back from the frame's dictionary (`Objects/frameobject.c`); from 3.13 on, where `f_locals` writes
    /// through (PEP 667), it does nothing.
    fn PyFrame_LocalsToFast(frame: *mut ffi::PyFrameObject, clear: std::ffi::c_int);
}

/// The value of `code`, which was compiled for `eval`, in `frame`.
///
/// # Errors
/// What it raises.
pub(super) fn evaluate<'py>(
    code: &Bound<'py, PyCode>,
    frame: &Bound<'py, PyFrame>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = frame.py();
    let globals = frame.getattr(intern!(py, "f_globals"))?;
    let locals = frame.getattr(intern!(py, "f_locals"))?;
    // SAFETY: a code object, a frame's globals, a mapping; `eval` of a code object calls the same function
    // (`Python/bltinmodule.c`). A new reference or NULL with an exception.
    let value = unsafe {
        Bound::from_owned_ptr_or_err(
            py,
            ffi::PyEval_EvalCode(code.as_ptr(), globals.as_ptr(), locals.as_ptr()),
        )
    };
    // SAFETY: a live frame object whose dictionary of locals has just been filled. What `call_trampoline` does after a trace
    // function (`Python/sysmodule.c`).
    unsafe { PyFrame_LocalsToFast(frame.as_ptr().cast(), 1) };
    value
}
