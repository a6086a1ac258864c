//! A session's breakpoints, compiled into the code ([`crate::breakpoint`]).
//!
//! While the session runs to its next breakpoint, what its `Breakpoint` objects say is in the bytecode. Where one is reached, the
//! line event of that line is asked for once: by that the `Bdb` is told, as by any other, and [`effective`](super::effective) answers with what
//! has been decided already. While the session steps, line events tell of breakpoints too, and those in the bytecode rest.

use std::sync::Arc;

use pyo3::types::{PyAnyMethods, PyDict, PyDictMethods, PyFrame};
use pyo3::{Bound, Py, PyAny, PyResult, Python, intern};

use super::session;
#[cfg(not(Py_3_12))]
use super::session::Mode;
use super::session::Session;
#[cfg(Py_3_12)]
use super::{turns, watch};
use crate::breakpoint::{self, Breakpoint, Listener, Wanted};
use crate::engine::running::{generators, running_frames};
#[cfg(not(Py_3_12))]
use crate::frame::Frame;
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
        #[cfg(Py_3_12)]
        let session = turns::for_stop(py)?;
        #[cfg(not(Py_3_12))]
        let session = session::current(py);
        let Some(session) = session else {
            return Ok(());
        };
        session.decide(frame, self.python.clone_ref(py), !raised);
        arm(&session, frame)
    }

    fn log(&self, py: Python<'_>, _breakpoint: &Arc<Breakpoint>, text: &str) -> PyResult<()> {
        session::say(self.owner.bind(py), text)
    }
}

/// The next line event of `frame`, which runs, comes.
#[cfg(Py_3_12)]
fn arm(_session: &Arc<Session>, frame: &Bound<'_, PyFrame>) -> PyResult<()> {
    watch::arm(frame.py(), &code_of_frame(frame))
}

#[cfg(not(Py_3_12))]
fn arm(session: &Arc<Session>, frame: &Bound<'_, PyFrame>) -> PyResult<()> {
    frame.setattr(intern!(frame.py(), "f_trace"), &session.dispatch)?;
    session.trace(frame.py())
}

/// A session begins. On 3.11 what is run from now on is prepared for breakpoints that are set later.
///
/// # Errors
/// The interpreter is not as it should be.
pub(super) fn begin(py: Python<'_>) -> PyResult<()> {
    #[cfg(not(Py_3_12))]
    breakpoint::nested::keep(py, true)?;
    #[cfg(Py_3_12)]
    let _ = py;
    Ok(())
}

/// Whether nothing stops but what is in the bytecode or told by line events. `changed`: what is in the bytecode is different now.
///
/// # Errors
/// What the attributes of the `Bdb` raise; `MemoryError`.
#[cfg(Py_3_12)]
#[expect(clippy::unnecessary_wraps, reason = "as on 3.11")]
pub(super) fn tells_all(_: Python<'_>, _: &Arc<Session>, _changed: bool) -> PyResult<bool> {
    Ok(true)
}

/// Whether the last answer of [`tells_all`] was yes: what is made afterwards has its breakpoints.
#[cfg(not(Py_3_12))]
static TOLD: GilCell<bool> = GilCell::new(false);

/// Line events are told by nothing but a trace function on 3.11.
#[cfg(not(Py_3_12))]
pub(super) fn tells_all(py: Python<'_>, session: &Arc<Session>, changed: bool) -> PyResult<bool> {
    session.behind.set(py, 0);
    let by_events = PLACED.with(py, |placed| {
        placed.iter().any(|one| one.breakpoint.is_by_events())
    });
    if by_events
        || session.hears_calls
        || session.known_places(py)?.is_none()
        // Where a frame stands in the recording is known at its own instructions only.
        || crate::recorder::is_active(py)
        || session::all(py).len() != 1
        || !breakpoint::reasons(py).is_empty()
    {
        TOLD.set(py, false);
        return Ok(false);
    }
    if TOLD.get(py) && !changed {
        return Ok(true);
    }
    let mut behind = Vec::new();
    for frame in running_frames(py, &generators(py))? {
        let frame = frame.cast::<PyFrame>()?;
        let code = code_of_frame(frame);
        let wants = || -> PyResult<bool> {
            Ok(session.breaks_in(&code)?
                || session.offsets(&code)?.is_some()
                || breakpoint::nested::may_make_unbroken(&code))
        };
        if !breakpoint::is_complete(&code) && wants()? {
            behind.push(frame.as_ptr() as usize);
        }
    }
    let told = behind.is_empty();
    // One that is all that stands in the way goes over to its copy.
    session
        .behind
        .set(py, if let [one] = behind[..] { one } else { 0 });
    TOLD.set(py, told);
    Ok(told)
}

/// All that runs has what is to be told of in its bytecode now: the session runs.
///
/// # Errors
/// What an audit hook raises.
#[cfg(not(Py_3_12))]
pub(super) fn run(py: Python<'_>, session: &Arc<Session>) -> PyResult<()> {
    session.behind.set(py, 0);
    TOLD.set(py, true);
    session.mode.set(py, Mode::Running);
    resume(py, session);
    super::trampoline::set_trace(py.None().bind(py))
}

/// Breakpoints have turned out not to be in the bytecode of something that is about to run: a session that runs steps from now on.
///
/// # Errors
/// As for [`session::start`].
#[cfg(not(Py_3_12))]
pub(crate) fn fall_back(py: Python<'_>) -> PyResult<()> {
    let Some(session) = session::current(py).filter(|session| session.is_running(py)) else {
        return Ok(());
    };
    step(py, &session)
}

/// A session that runs steps from now on.
///
/// # Errors
/// As for [`session::start`].
#[cfg(not(Py_3_12))]
pub(super) fn step(py: Python<'_>, session: &Arc<Session>) -> PyResult<()> {
    session.mode.set(py, Mode::Stepping);
    pause(py, session);
    if let Some(frame) = Frame::current(py).and_then(|frame| frame.object(py)) {
        frame.setattr(intern!(py, "f_trace"), &session.dispatch)?;
        session.arm_callers(py, &frame)?;
    }
    if session.has_places(py) {
        session.prepare_all(py)?;
    }
    session.trace(py)
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
            let lines: Vec<u32> = lines.extract()?;
            for line in &lines {
                let Ok(here) = placed.get_item((&file, line)) else {
                    continue;
                };
                let is_only = here.len()? == 1;
                for python in here.try_iter()? {
                    let python = python?;
                    if python.getattr(intern!(py, "enabled"))?.is_truthy()? {
                        new.push(place(session, (&file, &lines, is_only), &python, &old)?);
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
    #[cfg_attr(Py_3_12, expect(unused_mut, reason = "3.11 has places too"))]
    let mut all: Vec<_> = new.iter().map(|one| Arc::clone(&one.breakpoint)).collect();
    #[cfg(not(Py_3_12))]
    let same = super::change_over::agree(py, session, &mut all)? && same;
    release((old, PLACED.replace(py, new)));
    if !same {
        breakpoint::set(py, &all)?;
        if all.iter().any(|one| one.is_disputed(py)) {
            return agree(py, session);
        }
    }
    resume(py, session);
    Ok(!same)
}

/// The breakpoint for one `bdb.Breakpoint`: the one that there was, if it says the same. Its file has breakpoints at `lines`; `is_only`: it is the
/// only one on its own.
fn place<'py>(
    session: &Arc<Session>,
    (file, lines, is_only): (&Bound<'py, PyAny>, &[u32], bool),
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
    let function = python.getattr(intern!(py, "funcname"))?;
    let function = if function.is_truthy()? {
        Some(function.extract::<String>()?)
    } else {
        None
    };
    // What `bdb.checkfuncname` has found.
    let first = python.getattr(intern!(py, "func_first_executable_line"))?;
    let line_in_function = match &function {
        Some(_) if first.is_truthy()? => Some(first.extract::<u32>()?),
        _ => None,
    };
    let hidden_at = if function.is_some() { lines } else { &[] };
    let evaluated = !matches!(text, Some(None));
    let condition = text.flatten();
    let ignore = python.getattr(intern!(py, "ignore"))?.extract::<i64>()?;
    let ignore = u64::try_from(ignore).unwrap_or(0);
    let known = old.iter().find(|old| {
        old.python.is(python)
            && old.condition == condition
            && old.log == log
            && old.breakpoint.function() == function.as_deref()
            && old.breakpoint.hidden_at() == hidden_at
            && (line_in_function.is_none()
                || old.breakpoint.line_in_function(py) == line_in_function)
    });
    let by_events = !evaluated
        || match &function {
            // Where another one stops `bdb` has not looked at this one yet, and finds it at the next line.
            Some(_) if line_in_function.is_none() && !is_only => true,
            Some(function) if line_in_function.is_none() => match known {
                Some(known) if !known.breakpoint.is_by_events() => known.breakpoint.is_disputed(py),
                _ => is_running(session, file, function)?,
            },
            _ => false,
        };
    let known = known
        .map(|known| &known.breakpoint)
        .filter(|known| known.is_by_events() == by_events && !known.is_disputed(py));
    let breakpoint = if let Some(known) = known {
        known.set_ignore(py, ignore);
        Arc::clone(known)
    } else {
        let wanted = |condition: Option<&str>, by_events| -> PyResult<Arc<Breakpoint>> {
            Breakpoint::new(
                py,
                Wanted {
                    file: &file.extract::<String>()?,
                    line: python.getattr(intern!(py, "line"))?.extract()?,
                    function: function.as_deref(),
                    line_in_function,
                    hidden_at,
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

/// Whether a frame runs a function of this name: the next line in it, whichever that is, is where `bdb.checkfuncname` will say that the function begins.
fn is_running(session: &Session, file: &Bound<'_, PyAny>, function: &str) -> PyResult<bool> {
    let py = file.py();
    for frame in running_frames(py, &generators(py))? {
        let code = code_of_frame(frame.cast::<PyFrame>()?);
        if !code.getattr(intern!(py, "co_name"))?.eq(function)? {
            continue;
        }
        let name = code.getattr(intern!(py, "co_filename"))?;
        let canonic = session
            .owner
            .bind(py)
            .call_method1(intern!(py, "canonic"), (name,))?;
        if canonic.eq(file)? {
            return Ok(true);
        }
    }
    Ok(false)
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
    let any = !old.is_empty();
    #[cfg(not(Py_3_12))]
    let any = super::change_over::forget(py) || any;
    release(old);
    if any {
        breakpoint::set(py, &[])?;
    }
    #[cfg(not(Py_3_12))]
    if session::all(py).is_empty() {
        breakpoint::nested::keep(py, false)?;
    }
    Ok(())
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
            let place = one.breakpoint.line_in_function(py);
            (
                one.python.clone_ref(py),
                new,
                one.breakpoint.ignore(py),
                place,
            )
        });
        counts.filter(|(_, new, ..)| *new > 0).collect::<Vec<_>>()
    });
    for (python, new, ignore, place) in counts {
        let python = python.into_bound(py);
        // As `bdb.checkfuncname` does when it comes there first.
        let first = intern!(py, "func_first_executable_line");
        if place.is_some() && !python.getattr(first)?.is_truthy()? {
            python.setattr(first, place)?;
        }
        let hits = python.getattr(intern!(py, "hits"))?.add(new)?;
        python.setattr(intern!(py, "hits"), hits)?;
        python.setattr(intern!(py, "ignore"), ignore)?;
    }
    Ok(())
}
