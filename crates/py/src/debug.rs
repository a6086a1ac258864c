//! `debugop.settrace` and its like.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use debugop_capture::debug;
use pyo3::prelude::*;
use pyo3::types::{PyCode, PyDict, PyFrame};

use crate::children;

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

/// Start a `Bdb` in this thread.
#[pyfunction]
pub(crate) fn start_session(
    owner: &Bound<'_, PyAny>,
    dispatch: &Bound<'_, PyAny>,
    breakpoints: &Bound<'_, PyAny>,
    decides: bool,
    hears_calls: bool,
) -> PyResult<()> {
    debug::start(&debug::Start {
        owner,
        dispatch,
        breakpoints,
        decides,
        hears_calls,
    })
}

/// Stands for `sys` in the standard library's debuggers: `settrace` is another, whatever else is asked for or assigned is `sys`'s.
/// In Rust, so that no call of it is told to a debugger.
#[pyclass(frozen, module = "debugop._core")]
pub(crate) struct Sys {
    sys: Py<PyAny>,
}

#[pymethods]
impl Sys {
    #[new]
    fn new(sys: Py<PyAny>) -> Self {
        Self { sys }
    }

    /// As `sys.settrace`; a method of a `Bdb` of ours starts its session.
    #[pyo3(signature = (function, /))]
    #[expect(clippy::unused_self, reason = "a method, as a module has functions")]
    fn settrace(&self, function: &Bound<'_, PyAny>) -> PyResult<()> {
        debug::stop(function.py())?;
        if let Some(owner) = function.getattr_opt("__self__")?
            && let Some(start) = owner.getattr_opt("_start_session")?
        {
            start.call1((function,))?;
            return Ok(());
        }
        debug::set_trace(function)
    }

    fn __getattr__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        self.sys.bind(py).getattr(name)
    }

    fn __setattr__(&self, py: Python<'_>, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.sys.bind(py).setattr(name, value)
    }

    fn __delattr__(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        self.sys.bind(py).delattr(name)
    }
}

/// What `owner` stops at is different now.
#[pyfunction]
pub(crate) fn session_changed(owner: &Bound<'_, PyAny>, breaks: bool) -> PyResult<()> {
    debug::changed(owner, breaks)
}

/// The first of `breakpoints` that is in effect in `frame`, and whether it may be deleted if it is temporary; or (None, None).
#[pyfunction]
pub(crate) fn effective<'py>(
    breakpoints: &Bound<'py, PyAny>,
    frame: &Bound<'py, PyFrame>,
) -> PyResult<(Option<Bound<'py, PyAny>>, Option<bool>)> {
    Ok(debug::effective(breakpoints, frame)?.unzip())
}

/// The value stack of a running frame, bottom first, empty slots as NULL; with `begun` without what its instruction has taken.
#[pyfunction]
pub(crate) fn frame_stack<'py>(
    py: Python<'py>,
    frame: &Bound<'py, PyFrame>,
    begun: bool,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    debug::frame_stack(py, frame, begun)?
        .into_iter()
        .map(|slot| crate::convert::slot(py, slot))
        .collect()
}

/// Puts an object into a slot of the value stack, bottom first, of the running frame that is about to execute an instruction.
#[pyfunction]
pub(crate) fn set_frame_slot<'py>(
    py: Python<'py>,
    frame: &Bound<'py, PyFrame>,
    index: u32,
    value: Bound<'py, PyAny>,
) -> PyResult<()> {
    debug::set_slot(py, frame, index, value)
}

/// Whether a frame has ended.
#[pyfunction]
pub(crate) fn frame_is_over(frame: &Bound<'_, PyFrame>) -> bool {
    debug::frame_is_over(frame)
}

/// What the sessions of `owner` want to hear of besides lines: of the instructions at the offsets that `instructions(code)` answers
/// with (None: of none; three sets: each time, if a place of `watched` has changed, and the same while it steps only), by `owner._reached_place(frame)`; and of exceptions, by `owner._reached_exception(frame, exception, traceback)`.
/// Where these answer True, `owner._at_place(frame)` is called.
#[pyfunction]
/// `codes` are the only code objects that have such instructions, if that is known.
#[pyo3(signature = (owner, instructions, exceptions, watched, codes=None))]
pub(crate) fn set_places(
    owner: &Bound<'_, PyAny>,
    instructions: Option<Bound<'_, PyAny>>,
    exceptions: bool,
    watched: &Bound<'_, PyAny>,
    codes: Option<Vec<Bound<'_, PyCode>>>,
) -> PyResult<()> {
    debug::set_places(owner, instructions, exceptions, watched, codes)
}

/// The instruction that has changed a watched dictionary last, a code object and an offset in it, if that is known and has not been asked for.
#[pyfunction]
pub(crate) fn changed_by(py: Python<'_>) -> Option<(Bound<'_, PyCode>, u32)> {
    debug::writer(py)
}

/// Whether sessions go on in the parent of a fork, and whether in the child.
#[pyfunction]
pub(crate) fn follow_fork(py: Python<'_>, parent: bool, child: bool) {
    debug::follow_fork(py, parent, child);
}

/// From now on the Pythons that this process executes are debugged: `directory` is where the package `debugop` is, `session` the file that says to
/// them what goes along. None: they are not.
#[pyfunction]
pub(crate) fn follow_programs(
    py: Python<'_>,
    directory: OsString,
    session: Option<PathBuf>,
) -> PyResult<()> {
    let begins = session.is_some();
    *lock(&SESSION) = session;
    // Followed from the first time on; `Debugged` says whether.
    if begins && !IS_ASKED.swap(true, Ordering::Relaxed) {
        children::follow(py, Debugged, directory, None)
            .inspect_err(|_| IS_ASKED.store(false, Ordering::Relaxed))?;
    }
    Ok(())
}

static SESSION: Mutex<Option<PathBuf>> = Mutex::new(None);
static IS_ASKED: AtomicBool = AtomicBool::new(false);

/// Nothing is done while it is locked that could panic.
fn lock(session: &Mutex<Option<PathBuf>>) -> MutexGuard<'_, Option<PathBuf>> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the programs that a debugged one executes are to be.
struct Debugged;

impl children::Followed for Debugged {
    const COMMAND: &str = "debug-child";

    fn follows(&self) -> bool {
        lock(&SESSION).is_some()
    }

    fn child_options(&self, _directory: &Path, _replaces: bool) -> Vec<OsString> {
        match &*lock(&SESSION) {
            Some(session) => vec!["--session".into(), session.into()],
            None => Vec::new(),
        }
    }

    fn end(&self, _py: Python<'_>, _status: Option<i32>) {}
}

/// This process is left by the debugger from now on.
#[pyfunction]
pub(crate) fn leave_process(py: Python<'_>) {
    debug::leave(py);
}

/// A fork has happened, and this is the child.
#[pyfunction]
pub(crate) fn forked_in_child(py: Python<'_>) -> PyResult<()> {
    debug::forked(py, true)
}

/// A fork has happened, and this is the parent.
#[pyfunction]
pub(crate) fn forked_in_parent(py: Python<'_>) -> PyResult<()> {
    debug::forked(py, false)
}

/// Whether this process has been left by the debugger: at a fork, or by `leave_process`.
#[pyfunction]
pub(crate) fn is_left(py: Python<'_>) -> bool {
    debug::is_left(py)
}

/// Waits until no other thread is in the debugger. This one is, until the first event that is handed over to its session has been dealt with.
#[pyfunction]
pub(crate) fn take_turn(py: Python<'_>) -> PyResult<()> {
    debug::take_turn(py)
}

/// Whether another thread is in the debugger.
#[pyfunction]
pub(crate) fn another_thread_has_stopped(py: Python<'_>) -> bool {
    debug::is_others(py)
}

/// `sys._current_frames()`, where the collector cannot keep it from returning (gh-106883, up to 3.11.8).
#[pyfunction]
pub(crate) fn current_frames(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    debugop_capture::current_frames(py)
}

/// `threading.get_ident()` of the threads that have come to a stop and wait until no other one is in the debugger.
#[pyfunction]
pub(crate) fn threads_waiting_to_stop(py: Python<'_>) -> Vec<u64> {
    debug::waiting(py)
}
