//! 3.12+: CPython tells of each function that is made (`PyFunction_AddWatcher`, `Objects/funcobject.c`).

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::exceptions::PyRuntimeError;
use pyo3::types::PyFunction;
use pyo3::{Bound, PyErr, PyResult, Python, ffi};

use crate::gil::GilCell;

/// `PyFunction_EVENT_CREATE` (`Include/cpython/funcobject.h`, 3.12-3.15).
const CREATE: c_int = 0;
/// `PyFunction_EVENT_DESTROY`.
const DESTROY: c_int = 1;

type Callback = unsafe extern "C" fn(c_int, *mut ffi::PyObject, *mut ffi::PyObject) -> c_int;

unsafe extern "C" {
    fn PyFunction_AddWatcher(callback: Callback) -> c_int;
    fn PyFunction_ClearWatcher(watcher: c_int) -> c_int;
}

static WATCHER: GilCell<Option<c_int>> = GilCell::new(None);

/// Begins to look at new functions.
///
/// # Errors
/// `RuntimeError`: eight others look already, which is all that CPython allows.
pub(super) fn watch(py: Python<'_>) -> PyResult<()> {
    if WATCHER.get(py).is_some() {
        return Ok(());
    }
    // SAFETY: the GIL is held; `on_event` has the right signature and lives as long as the process.
    let watcher = unsafe { PyFunction_AddWatcher(on_event) };
    if watcher < 0 {
        return Err(PyErr::fetch(py));
    }
    WATCHER.set(py, Some(watcher));
    Ok(())
}

/// Stops looking.
pub(super) fn unwatch(py: Python<'_>) {
    if let Some(watcher) = WATCHER.take(py) {
        // SAFETY: the GIL is held; the number is our own.
        if unsafe { PyFunction_ClearWatcher(watcher) } < 0 {
            PyErr::fetch(py).write_unraisable(py, None);
        }
    }
}

/// # Safety
/// Called by CPython with an event, a function that is alive (half dead at its destruction) and the new value of a field.
unsafe extern "C" fn on_event(
    event: c_int,
    function: *mut ffi::PyObject,
    _new_value: *mut ffi::PyObject,
) -> c_int {
    if event == CREATE || event == DESTROY {
        // SAFETY: the thread is attached, by CPython's calling convention.
        super::sweep(unsafe { Python::assume_attached() });
    }
    if event != CREATE {
        return 0;
    }
    // SAFETY: the thread is attached, by CPython's calling convention; a new function is complete when it is announced.
    let (py, function) = unsafe {
        let py = Python::assume_attached();
        let function = Bound::from_borrowed_ptr(py, function);
        (py, function.cast_into_unchecked::<PyFunction>())
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| super::adopt_new(&function)));
    let outcome = outcome.unwrap_or_else(|_| {
        Err(PyRuntimeError::new_err(
            "debugop failed while it looked at a new function",
        ))
    });
    match outcome {
        Ok(()) => 0,
        Err(error) => {
            // CPython reports it as unraisable.
            error.restore(py);
            -1
        }
    }
}
