//! `debugop.settrace` and its like.

use debugop_capture::debug;
use pyo3::prelude::*;

/// Set the trace function of this thread; None takes it away.
#[pyfunction]
#[pyo3(signature = (function, /))]
pub(crate) fn settrace(function: &Bound<'_, PyAny>) -> PyResult<()> {
    debug::set_trace(function)
}

/// The trace function of this thread that `settrace` has set.
#[pyfunction]
pub(crate) fn gettrace(py: Python<'_>) -> Option<Py<PyAny>> {
    debug::get_trace(py)
}

/// Set the profile function of this thread; None takes it away.
#[pyfunction]
#[pyo3(signature = (function, /))]
pub(crate) fn setprofile(function: &Bound<'_, PyAny>) -> PyResult<()> {
    debug::set_profile(function)
}

/// The profile function of this thread that `setprofile` has set.
#[pyfunction]
pub(crate) fn getprofile(py: Python<'_>) -> Option<Py<PyAny>> {
    debug::get_profile(py)
}

/// Set the trace function of every thread that runs.
#[pyfunction]
#[pyo3(signature = (function, /))]
pub(crate) fn settrace_running_threads(function: &Bound<'_, PyAny>) -> PyResult<()> {
    debug::set_trace_all_threads(function)
}

/// Set the profile function of every thread that runs.
#[pyfunction]
#[pyo3(signature = (function, /))]
pub(crate) fn setprofile_running_threads(function: &Bound<'_, PyAny>) -> PyResult<()> {
    debug::set_profile_all_threads(function)
}
