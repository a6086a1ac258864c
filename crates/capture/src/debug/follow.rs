//! Forks: a session goes on in one of the two processes, or in both.

use pyo3::{PyResult, Python};

use super::{session, turns};
use crate::gil::GilCell;

/// The processes of a fork in which sessions go on: the parent, the child.
static FOLLOWED: GilCell<(bool, bool)> = GilCell::new((true, false));
static LEFT: GilCell<bool> = GilCell::new(false);

/// Whether sessions go on in the parent of a fork, and whether in the child.
pub fn follow_fork(py: Python<'_>, parent: bool, child: bool) {
    FOLLOWED.set(py, (parent, child));
}

/// This process is left from now on: its sessions are over, or end with this stop.
pub fn leave(py: Python<'_>) {
    LEFT.set(py, true);
}

/// This process is one side of a fork that has just happened. The sessions of a side that is not followed are ended, this thread's with its
/// events; nothing else of the program is changed.
///
/// # Errors
/// As for [`super::stop`].
pub fn forked(py: Python<'_>, in_child: bool) -> PyResult<()> {
    if in_child {
        turns::forked(py);
    }
    let (parent, child) = FOLLOWED.get(py);
    if session::current(py).is_none() || if in_child { child } else { parent } {
        return Ok(());
    }
    LEFT.set(py, true);
    session::stop(py)
}

/// Whether this process has been left: by a session at a fork, or because somebody has said so.
#[must_use]
pub fn is_left(py: Python<'_>) -> bool {
    LEFT.get(py)
}
