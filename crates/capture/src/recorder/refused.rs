//! What is told of an instruction raises: a trace function, or a callback of `sys.monitoring`. The instruction is not executed then.
//!
//! The traceback says only where the frame is, as if the instruction had raised. So it is noted down when the function returns; and because nothing of the
//! instruction will be looked at any more, a chunk begins there, which says what the frame's slots hold.

use debugop_recording::stream::Progress;
use pyo3::{Python, ffi};

use super::planned::PlannedSite;
use super::raised::Raise;
use super::{Left, Recorder, is_active, raised, with_active};
use crate::frame::Frame;

/// A frame in which that has happened, until the exception arrives at a site of it.
pub(super) struct Refused {
    /// The addresses of the frame and the code that it runs.
    frame: (usize, usize),
    /// That of the exception; 0 if it has not been made yet (3.11).
    exception: usize,
    at: At,
}

/// Where the frame is.
#[derive(Clone, Copy)]
enum At {
    /// At this unit, so far.
    Unit(u32, Progress),
    /// At this byte of its code, and not known to the stream: it starts, or has been suspended.
    Byte(u32),
}

/// What is told of the running frame has raised; `is_other`: in place of an exception that it is told of, of which the traceback's entry has been made.
#[cold]
pub(crate) fn refused(py: Python<'_>, is_other: bool) {
    if !is_active(py) {
        return;
    }
    with_raised_aside(|exception| {
        with_active(py, |recorder| recorder.refuse(py, exception, is_other));
    });
}

/// Runs `f`, which is given the address of what is being raised, while nothing is.
#[cfg(Py_3_12)]
fn with_raised_aside(f: impl FnOnce(usize)) {
    // SAFETY: the thread is attached, as the token of who calls this says; what is raised is put back as it was.
    unsafe {
        let exception = ffi::PyErr_GetRaisedException();
        f(exception as usize);
        ffi::PyErr_SetRaisedException(exception);
    }
}

/// Runs `f`, which is given the address of what is being raised, or 0 if that has not been made yet, while nothing is.
#[cfg(not(Py_3_12))]
fn with_raised_aside(f: impl FnOnce(usize)) {
    let (mut kind, mut value, mut traceback) = Default::default();
    // SAFETY: the thread is attached, as the token of who calls this says; a class and a value are live objects or NULL, and of the value's type a field is
    // read. What is raised is put back as it was.
    unsafe {
        ffi::PyErr_Fetch(&raw mut kind, &raw mut value, &raw mut traceback);
        let is_made = !value.is_null()
            && (*ffi::Py_TYPE(value)).tp_flags & ffi::Py_TPFLAGS_BASE_EXC_SUBCLASS != 0;
        f(if is_made { value as usize } else { 0 });
        ffi::PyErr_Restore(kind, value, traceback);
    }
}

impl Recorder {
    fn refuse(&mut self, py: Python<'_>, exception: usize, is_other: bool) {
        let Some(frame) = Frame::current(py) else {
            return;
        };
        let (state, native) = (frame.thread_state(), frame.native_thread());
        let mut threads = self.threads.iter();
        let Some(index) = threads.position(|one| one.state == state && one.native == native) else {
            return;
        };
        let mut shadows = self.threads[index].frames.iter();
        let shadow = shadows.rfind(|shadow| shadow.is_now(frame));
        let doing = shadow.and_then(|shadow| shadow.doing(py, frame));
        let at = match (doing, frame.instruction_offset()) {
            // At a handler whose site has fired early.
            (Some((unit, Progress::Ready)), _) => At::Unit(unit, Progress::Arrived),
            (Some((unit, progress)), _) => At::Unit(unit, progress),
            (None, Some(offset)) => At::Byte(offset),
            (None, None) => return,
        };
        let has_come = matches!(at, At::Unit(_, Progress::Arrived | Progress::Told));
        if !has_come && !is_other {
            // The traceback will say where.
            return;
        }
        let place = (frame.address(), frame.code_address());
        self.early.retain(|one| !one.is_of(place));
        self.refused.retain(|one| one.frame.0 != place.0);
        self.refused.push(Refused {
            frame: place,
            exception,
            at,
        });
        let At::Unit(unit, Progress::Arrived | Progress::Told) = at else {
            return;
        };
        self.begin_changed(py);
        let mut shadows = self.threads[index].frames.iter_mut();
        if let Some(shadow) = shadows.rfind(|shadow| shadow.is(frame)) {
            shadow.told = unit;
        }
    }

    /// The unit that a frame has not begun, because what was told of it has raised what arrives at `site`; and how far it was.
    pub(super) fn take_refused(
        &mut self,
        site: &PlannedSite,
        frame: Frame<'_>,
        left: Option<Left>,
    ) -> Option<Raise> {
        if self.refused.is_empty() {
            return None;
        }
        let place = (frame.address(), frame.code_address());
        let found = self.refused.iter().position(|one| one.frame == place)?;
        let refused = self.refused.swap_remove(found);
        let arrived = match left {
            Some(left) => Some(left.exception),
            None => raised::exception(site, frame),
        };
        let is_it = arrived.is_some_and(|one| [0, one as usize].contains(&refused.exception));
        if !is_it {
            return None;
        }
        match refused.at {
            At::Unit(unit, progress) => Some(Raise {
                unit,
                progress,
                starts: false,
            }),
            At::Byte(offset) => Raise::at(site, offset),
        }
    }
}
