//! Threads that stop take turns: one is in the debugger, the others wait where they have come to a stop.
//!
//! A session that follows the threads of its program ([`Session::follows`](super::session::Session)) belongs to one of them at a time. Another thread that comes
//! to a breakpoint waits until nobody is in the debugger, and then takes the session over.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use pyo3::types::{PyAnyMethods, PyFrame};
use pyo3::{Bound, PyAny, PyResult, Python, ffi, intern};

#[cfg(Py_3_12)]
use super::session::{Mode, current};
use super::session::{SESSIONS, Session};
#[cfg(Py_3_12)]
use super::{compiled, watch};
use crate::frame::Frame;
use crate::gil::GilCell;
#[cfg(Py_3_12)]
use crate::gil::release;
use crate::thread;

/// The address of the state of the thread that is in the debugger or about to enter it; 0: none.
static BUSY: GilCell<usize> = GilCell::new(0);

/// `threading.get_ident()` of those that wait.
static WAITING: GilCell<Vec<u64>> = GilCell::new(Vec::new());

static LOCK: Mutex<()> = Mutex::new(());
static DONE: Condvar = Condvar::new();

/// How long a thread waits before it looks whether there are signals for it, or whether the one that it waits for has ended.
const LOOK: Duration = Duration::from_millis(50);

/// Whether another thread is in the debugger.
#[must_use]
pub fn is_others(py: Python<'_>) -> bool {
    let busy = BUSY.get(py);
    busy != 0 && busy != thread::address(py)
}

/// Whether this thread is.
pub(super) fn is_own(py: Python<'_>) -> bool {
    BUSY.get(py) == thread::address(py)
}

/// Who waits, as `threading.get_ident()`.
#[must_use]
pub fn waiting(py: Python<'_>) -> Vec<u64> {
    WAITING.cloned(py)
}

/// It is this thread's turn, as soon as no other one is in the debugger.
///
/// # Errors
/// What a handler of a signal raises meanwhile.
pub fn take(py: Python<'_>) -> PyResult<()> {
    if !is_others(py) {
        BUSY.set(py, thread::address(py));
        return Ok(());
    }
    let ident = Frame::current(py).map(Frame::thread_ident);
    WAITING.with(py, |waiting| waiting.extend(ident));
    let outcome = wait(py);
    WAITING.with(py, |waiting| {
        if let Some(at) = waiting.iter().position(|one| Some(*one) == ident) {
            waiting.remove(at);
        }
    });
    outcome?;
    BUSY.set(py, thread::address(py));
    Ok(())
}

fn wait(py: Python<'_>) -> PyResult<()> {
    while is_others(py) {
        py.detach(|| {
            let guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
            drop(DONE.wait_timeout(guard, LOOK));
        });
        py.check_signals()?;
        let busy = BUSY.get(py);
        if !thread::states(py).contains(&(busy as *mut ffi::PyThreadState)) {
            // It has ended in the middle.
            BUSY.set(py, 0);
        }
    }
    Ok(())
}

/// This thread's turn is over.
pub(super) fn end(py: Python<'_>) {
    if BUSY.get(py) == thread::address(py) {
        BUSY.set(py, 0);
        DONE.notify_all();
    }
}

/// In the child of a fork there are no other threads.
pub(super) fn forked(py: Python<'_>) {
    WAITING.take(py);
    if is_others(py) {
        BUSY.set(py, 0);
    }
}

/// The session that follows threads, if there is one and no other.
pub(super) fn following(py: Python<'_>) -> Option<Arc<Session>> {
    SESSIONS.with(py, |sessions| match sessions.as_slice() {
        [one] if one.follows => Some(Arc::clone(one)),
        _ => None,
    })
}

/// Whether a session that belongs to another thread would follow this one.
#[cfg(Py_3_12)]
pub(super) fn follows(py: Python<'_>) -> bool {
    following(py).is_some()
}

/// The session for this thread, which has come to where it may stop: its own, or one that follows threads and now is its own. It waits
/// while another thread is in the debugger. To be ended by [`Session::end_turn`], where nothing is handed over.
///
/// # Errors
/// What a handler of a signal raises meanwhile, and what setting the attributes of the `Bdb` raises.
#[cfg(Py_3_12)]
pub(super) fn for_stop(py: Python<'_>) -> PyResult<Option<Arc<Session>>> {
    if let Some(session) = current(py) {
        if session.follows {
            take(py)?;
        }
        return Ok(Some(session));
    }
    if following(py).is_none() {
        return Ok(None);
    }
    take(py)?;
    let Some(session) = following(py) else {
        end(py);
        return Ok(None);
    };
    match session.take_over(py) {
        Ok(true) => Ok(Some(session)),
        other => {
            end(py);
            other.map(|_| None)
        }
    }
}

/// Whether `dispatch`, a bound method, is of the `Bdb` of a session that belongs to another thread now.
pub(super) fn has_gone_over(dispatch: &Bound<'_, PyAny>) -> bool {
    let py = dispatch.py();
    let Ok(owner) = dispatch.getattr(intern!(py, "__self__")) else {
        return false;
    };
    SESSIONS.with(py, |sessions| {
        sessions
            .iter()
            .any(|one| one.follows && one.owner.is(&owner))
    })
}

impl Session {
    /// The thread that it belongs to now, if it does not follow threads.
    pub(super) fn only_thread(&self, py: Python<'_>) -> Option<usize> {
        (!self.follows).then(|| self.thread.get(py))
    }

    pub(super) fn is_at_home(&self, py: Python<'_>) -> bool {
        self.thread.get(py) == self.home.with(py, |home| home.0)
    }

    /// It belongs to this thread from now on, in which nothing has been stopped: it runs. Says whether it can.
    #[cfg(Py_3_12)]
    fn take_over(self: &Arc<Self>, py: Python<'_>) -> PyResult<bool> {
        let bottom = intern!(py, "botframe");
        if self.is_at_home(py) {
            let own = self.attribute(py, bottom)?.unbind();
            release(self.home.with(py, |home| home.1.replace(own)));
        }
        // The thread before may have been stepping, and has a trace function: it goes at its next event.
        if self.mode.get(py) != Mode::Running {
            if !watch::enter(py)? {
                return Ok(false);
            }
            self.mode.set(py, Mode::Running);
        }
        self.thread.set(py, thread::address(py));
        let home = if self.is_at_home(py) {
            self.home
                .with(py, |home| home.1.as_ref().map(|one| one.clone_ref(py)))
        } else {
            None
        };
        let frame = match home {
            Some(frame) => frame,
            None => match bottom_frame(py) {
                Some(frame) => frame.unbind(),
                None => return Ok(false),
            },
        };
        self.go_on_from(py, frame.bind(py))?;
        compiled::resume(py, self);
        Ok(true)
    }

    /// What `set_continue` does, with `bottom` for the frame below which nothing is debugged.
    fn go_on_from(&self, py: Python<'_>, bottom: &Bound<'_, PyAny>) -> PyResult<()> {
        let owner = self.owner.bind(py);
        owner.setattr(intern!(py, "botframe"), bottom)?;
        owner.setattr(intern!(py, "stopframe"), bottom)?;
        owner.setattr(intern!(py, "returnframe"), py.None())?;
        owner.setattr(intern!(py, "stoplineno"), -1)?;
        let by_instruction = intern!(py, "_by_instruction");
        owner.setattr(by_instruction, false)
    }

    /// The last frame of a thread that is being stepped through is left: the program goes on to its next stop.
    pub(super) fn leave_thread(
        self: &Arc<Self>,
        py: Python<'_>,
        frame: &Bound<'_, PyFrame>,
    ) -> PyResult<()> {
        if !self.follows || self.is_at_home(py) || self.is_over(py) {
            return Ok(());
        }
        if !frame.getattr(intern!(py, "f_back"))?.is_none() {
            return Ok(());
        }
        self.go_on_from(py, frame)?;
        self.settle(py)
    }

    /// Other threads may come to a stop, if nothing is being handed over.
    pub(super) fn end_turn(&self, py: Python<'_>) {
        if self.inside.get(py) == 0 {
            end(py);
        }
    }
}

/// The outermost frame of this thread.
#[cfg(Py_3_12)]
fn bottom_frame(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    let mut frame = Frame::current(py)?;
    while let Some(previous) = frame.previous() {
        frame = previous;
    }
    frame.object(py).map(Bound::into_any)
}
