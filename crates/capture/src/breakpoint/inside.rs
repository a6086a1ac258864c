//! Threads that evaluate a condition, or have stopped: breakpoints that they reach meanwhile are passed over, as under `bdb`, where
//! tracing pauses.

use pyo3::{PyErr, Python};

use crate::gil::{GilCell, release};
use crate::thread;

/// Addresses of the thread states.
static INSIDE: GilCell<Vec<usize>> = GilCell::new(Vec::new());

/// Whether the running thread is among them.
#[inline]
pub(super) fn is(py: Python<'_>) -> bool {
    INSIDE.with(py, |inside| !inside.is_empty()) && is_among(py)
}

#[cold]
fn is_among(py: Python<'_>) -> bool {
    INSIDE.with(py, |inside| inside.contains(&thread::address(py)))
}

/// The running thread is from now on.
pub(super) fn enter(py: Python<'_>) {
    INSIDE.with(py, |inside| inside.push(thread::address(py)));
}

/// It is no more.
pub(super) fn leave(py: Python<'_>) {
    let thread = thread::address(py);
    INSIDE.with(py, |inside| {
        if let Some(at) = inside.iter().position(|one| *one == thread) {
            inside.swap_remove(at);
        }
    });
}

/// Runs `f` inside.
pub(super) fn during<R>(py: Python<'_>, f: impl FnOnce() -> R) -> R {
    struct Leave<'py>(Python<'py>);
    impl Drop for Leave<'_> {
        fn drop(&mut self) {
            leave(self.0);
        }
    }
    enter(py);
    let _leave = Leave(py);
    f()
}

/// What has ended a debugger in the middle of a condition.
static FAILURE: GilCell<Option<PyErr>> = GilCell::new(None);

/// A debugger that has stopped in the middle of a condition has ended by `error`, such as `bdb.BdbQuit`: the condition's breakpoint raises it
/// again, because what a condition raises goes nowhere.
pub fn failed(py: Python<'_>, error: &PyErr) {
    if is(py) {
        release(FAILURE.replace(py, Some(error.clone_ref(py))));
    }
}

/// What is to be raised by the breakpoint whose condition has just raised.
pub(super) fn take_failure(py: Python<'_>) -> Option<PyErr> {
    FAILURE.take(py)
}
