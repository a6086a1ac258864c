//! Running code as if nothing had called it.

use pyo3::types::{PyCode, PyDict};
use pyo3::{Bound, PyAny, PyErr, PyResult, Python, ffi};

use crate::layout::{InterpreterFrame, ThreadState};

/// Puts the callers back when dropped, also while a panic passes through.
struct Callers {
    state: *mut ThreadState,
    frame: *mut InterpreterFrame,
}

impl Drop for Callers {
    fn drop(&mut self) {
        // SAFETY: the thread state is this thread's own and outlives the call; the frames in `frame` are those of our own
        // callers, which cannot have ended before us.
        unsafe { (*self.state).set_current_frame(self.frame) }
    }
}

/// Runs `code` in `globals` with an empty call stack below it, as the interpreter runs a main program: `sys._getframe(1)`
/// fails, tracebacks start with `code`, and `inspect.stack()` shows none of our frames.
///
/// # Errors
/// What the code raises, with a traceback of its own frames only.
pub fn run<'py>(py: Python<'py>, code: &Bound<'py, PyCode>, globals: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the token shows that the thread is attached. With `current_frame` NULL the thread looks as it does before its
    // first frame (Python/pylifecycle.c runs the main program so); evaluating code pushes an entry frame whose `previous` is
    // NULL and pops it again, so the guard restores exactly what was there. Checked on 3.11.7, 3.12.1, 3.13.0, 3.14.10, 3.15.2.
    unsafe {
        let state = ffi::compat::PyThreadState_GetUnchecked().cast::<ThreadState>();
        let callers = Callers { state, frame: (*state).current_frame() };
        (*state).set_current_frame(std::ptr::null_mut());
        let result = ffi::PyEval_EvalCode(code.as_ptr(), globals.as_ptr(), globals.as_ptr());
        drop(callers);
        Bound::from_owned_ptr_or_opt(py, result).ok_or_else(|| PyErr::fetch(py))
    }
}

/// Reports an uncaught exception as the interpreter does at the end of a main program: through `sys.excepthook`, with
/// `sys.last_exc` set. `SystemExit` ends the process here, after the usual finalisation.
pub fn report_uncaught(py: Python<'_>, error: PyErr) {
    error.restore(py);
    // SAFETY: an exception is set and the thread is attached.
    unsafe { ffi::PyErr_PrintEx(1) }
}
