//! A session's breakpoints, compiled into the code ([`crate::breakpoint`]).
//!
//! While the session runs to its next breakpoint, what its `Breakpoint` objects say is in the bytecode. Where one is reached, the
//! line event of that line is asked for once: by that the `Bdb` is told, as by any other, and [`effective`](super::effective) answers with what
//! has been decided already. While the session steps, line events tell of breakpoints too, and those in the bytecode rest.

use std::sync::Arc;

use pyo3::types::{PyAnyMethods, PyDict, PyDictMethods, PyFrame};
use pyo3::{Bound, Py, PyAny, PyResult, Python, intern};

use super::session::Session;
use super::{session, turns, watch};
use crate::breakpoint::{self, Breakpoint, Listener, Wanted};
use crate::function::code_of_frame;
use crate::gil::{GilCell, release};
use crate::thread;

/// One `bdb.Breakpoint`.
struct Placed {
    python: Py<PyAny>,
    /// What it was made from.
    condition: Option<String>,
    log: Option<String>,
    breakpoint: Arc<Breakpoint>,
    /// The hits that the Python object knows of.
    told: u64,
}

static PLACED: GilCell<Vec<Placed>> = GilCell::new(Vec::new());

struct Reached {
    /// The `Bdb`.
    owner: Py<PyAny>,
    python: Py<PyAny>,
}

impl Listener for Reached {
    fn stop<'py>(
        &self,
        py: Python<'py>,
        _breakpoint: &Arc<Breakpoint>,
        frame: &Bound<'py, PyFrame>,
        raised: bool,
    ) -> PyResult<()> {
        let Some(session) = turns::for_stop(py)? else {
            return Ok(());
        };
        session.decide(frame, self.python.clone_ref(py), !raised);
        watch::arm(py, &code_of_frame(frame))
    }

    fn log(&self, py: Python<'_>, _breakpoint: &Arc<Breakpoint>, text: &str) -> PyResult<()> {
        session::say(self.owner.bind(py), text)
    }
}

/// Puts into the bytecode what the session's `Bdb` has for breakpoints now, and says whether that is anything new.
///
/// # Errors
/// What the attributes of the breakpoints raise; `MemoryError`.
pub(super) fn agree(py: Python<'_>, session: &Arc<Session>) -> PyResult<bool> {
    let old = PLACED.take(py);
    let mut new = Vec::new();
    // Breakpoints of several sessions are told by events.
    if session.decides && session::all(py).len() == 1 {
        let placed = session
            .breakpoints
            .bind(py)
            .getattr(intern!(py, "bplist"))?;
        let breaks = session.owner.bind(py).getattr(intern!(py, "breaks"))?;
        for (file, lines) in breaks.cast::<PyDict>()?.iter() {
            for line in lines.try_iter()? {
                let Ok(here) = placed.get_item((&file, line?)) else {
                    continue;
                };
                for python in here.try_iter()? {
                    let python = python?;
                    if python.getattr(intern!(py, "enabled"))?.is_truthy()? {
                        new.push(place(session, &file, &python, &old)?);
                    }
                }
            }
        }
    }
    let same = old.len() == new.len()
        && old
            .iter()
            .zip(&new)
            .all(|(old, new)| Arc::ptr_eq(&old.breakpoint, &new.breakpoint));
    let all: Vec<_> = new.iter().map(|one| Arc::clone(&one.breakpoint)).collect();
    release((old, PLACED.replace(py, new)));
    if !same {
        breakpoint::set(py, &all)?;
    }
    resume(py, session);
    Ok(!same)
}

/// The breakpoint for one `bdb.Breakpoint`: the one that there was, if it says the same.
fn place<'py>(
    session: &Arc<Session>,
    file: &Bound<'py, PyAny>,
    python: &Bound<'py, PyAny>,
    old: &[Placed],
) -> PyResult<Placed> {
    let py = python.py();
    let condition = python.getattr(intern!(py, "cond"))?;
    // `bdb.effective` looks whether it is true, and gives it to `eval`, which takes code too.
    let text = if condition.is_truthy()? {
        Some(condition.extract::<String>().ok())
    } else {
        None
    };
    let log = super::breakpoint::log_of(python)?;
    let by_events =
        matches!(text, Some(None)) || python.getattr(intern!(py, "funcname"))?.is_truthy()?;
    let condition = text.flatten();
    let ignore = python.getattr(intern!(py, "ignore"))?.extract::<i64>()?;
    let ignore = u64::try_from(ignore).unwrap_or(0);
    let known = old.iter().find(|old| {
        old.python.is(python)
            && old.condition == condition
            && old.log == log
            && old.breakpoint.is_by_events() == by_events
    });
    let breakpoint = if let Some(known) = known {
        known.breakpoint.set_ignore(py, ignore);
        Arc::clone(&known.breakpoint)
    } else {
        let wanted = |condition: Option<&str>, by_events| -> PyResult<Arc<Breakpoint>> {
            Breakpoint::new(
                py,
                Wanted {
                    file: &file.extract::<String>()?,
                    line: python.getattr(intern!(py, "line"))?.extract()?,
                    condition,
                    ignore,
                    log: log.as_deref(),
                    by_events,
                    thread: session.only_thread(py),
                    listener: Arc::new(Reached {
                        owner: session.owner.clone_ref(py),
                        python: python.clone().unbind(),
                    }),
                },
            )
        };
        // What is no expression raises whenever it is evaluated.
        wanted(condition.as_deref(), by_events).or_else(|_| wanted(None, true))?
    };
    Ok(Placed {
        python: python.clone().unbind(),
        told: breakpoint.hits(py),
        condition,
        log,
        breakpoint,
    })
}

/// The session steps, or an event is being handed over to it: line events tell its thread of breakpoints, or nothing does.
pub(super) fn pause(py: Python<'_>, session: &Session) {
    if session.follows {
        breakpoint::pause_thread(py, thread::address(py));
    } else {
        breakpoint::pause(py, true);
    }
}

/// The session runs.
pub(super) fn resume(py: Python<'_>, session: &Session) {
    if session.follows {
        breakpoint::pause_thread(py, 0);
    } else {
        breakpoint::pause(py, false);
    }
}

/// A session has ended.
///
/// # Errors
/// As for [`breakpoint::set`].
pub(super) fn forget(py: Python<'_>) -> PyResult<()> {
    tell_counts(py)?;
    // Breakpoints that are none of the session's go on.
    breakpoint::pause(py, false);
    breakpoint::pause_thread(py, 0);
    let old = PLACED.take(py);
    if old.is_empty() {
        return Ok(());
    }
    release(old);
    breakpoint::set(py, &[])
}

/// Writes what has been counted into the Python objects.
///
/// # Errors
/// What setting their attributes raises.
pub(super) fn tell_counts(py: Python<'_>) -> PyResult<()> {
    let counts = PLACED.with(py, |placed| {
        let counts = placed.iter_mut().map(|one| {
            let hits = one.breakpoint.hits(py);
            let new = hits - std::mem::replace(&mut one.told, hits);
            (one.python.clone_ref(py), new, one.breakpoint.ignore(py))
        });
        counts.filter(|(_, new, _)| *new > 0).collect::<Vec<_>>()
    });
    for (python, new, ignore) in counts {
        let python = python.into_bound(py);
        let hits = python.getattr(intern!(py, "hits"))?.add(new)?;
        python.setattr(intern!(py, "hits"), hits)?;
        python.setattr(intern!(py, "ignore"), ignore)?;
    }
    Ok(())
}
