//! Forks: a session goes on in one of the two processes.

use pyo3::{PyResult, Python};

use super::{session, turns};
use crate::gil::GilCell;

static CHILD: GilCell<bool> = GilCell::new(false);
static LEFT: GilCell<bool> = GilCell::new(false);

/// Whether sessions go on in the child of a fork, and not in the parent.
pub fn follow_child(py: Python<'_>, child: bool) {
    CHILD.set(py, child);
}

/// This process is one side of a fork that has just happened. The sessions of the side that is not followed are ended, this thread's with its
/// events; nothing else of the program is changed.
///
/// # Errors
/// As for [`super::stop`].
pub fn forked(py: Python<'_>, in_child: bool) -> PyResult<()> {
    if in_child {
        turns::forked(py);
    }
    if session::current(py).is_none() || CHILD.get(py) == in_child {
        return Ok(());
    }
    LEFT.set(py, true);
    session::stop(py)
}

/// Whether this process has been left by a session at a fork.
#[must_use]
pub fn is_left(py: Python<'_>) -> bool {
    LEFT.get(py)
}
