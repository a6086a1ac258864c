//! What is told of an instruction raises: a trace function, or a callback of `sys.monitoring`. The instruction is not executed then.
//!
//! The traceback says only where the frame is, as if the instruction had raised. So it is noted down when the function returns; and because nothing of the
//! instruction will be looked at any more, a chunk begins there, which says what the frame's slots hold.
//!
//! When what is told of a jump has raised, 3.12 and the first releases of 3.13 look for a handler at no instruction of the code (`INSTRUMENTED_JUMP`,
//! `Python/ceval_macros.h`, computes its destination once more, from what is NULL by then). The frame is left past all of its handlers, ours too, so no site
//! fires. That is noticed when the thread's next record says that the frame has ended, and the site of what leaves frames is written then.

use debugop_recording::stream::{Encoder, Progress, Reason, SiteNumber};
use pyo3::{Python, ffi};
use smallvec::SmallVec;

use super::planned::PlannedSite;
use super::raised::Raise;
use super::threads::Shadow;
use super::{Left, Recorder, is_active, raised, with_active};
use crate::frame::Frame;

/// A frame in which that has happened, until the exception arrives at a site of it.
pub(super) struct Refused {
    /// The addresses of the frame and the code that it runs.
    frame: (usize, usize),
    /// That of the exception; 0 if it has not been made yet (3.11).
    exception: usize,
    at: At,
    /// Whether it was told of a jump, so that no site may fire.
    jumps: bool,
}

impl Refused {
    /// How far the frame is with this unit, where it stands, if that is the one of which it was told.
    pub(super) fn progress(&self, frame: Frame<'_>, unit: u32) -> Option<Progress> {
        let is_its = self.frame == (frame.address(), frame.code_address());
        match self.at {
            At::Unit(at, progress) => (is_its && at == unit).then_some(progress),
            At::Byte(_) => None,
        }
    }
}

/// What the program is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// What an instruction is going to do or has done.
    Instruction,
    /// Where a jump leads to.
    Jump,
    /// An exception, of which the traceback's entry has been made.
    Exception,
}

/// Where the frame is.
#[derive(Clone, Copy)]
enum At {
    /// At this unit, so far.
    Unit(u32, Progress),
    /// At this byte of its code, and not known to the stream: it starts, or has been suspended.
    Byte(u32),
}

/// What is told of the running frame has raised; in place of an exception, if it is told of one.
#[cold]
pub(crate) fn refused(py: Python<'_>, told: Told) {
    if !is_active(py) {
        return;
    }
    with_raised_aside(|exception| {
        with_active(py, |recorder| recorder.refuse(py, exception, told));
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
    fn refuse(&mut self, py: Python<'_>, exception: usize, told: Told) {
        let Some(frame) = Frame::current(py) else {
            return;
        };
        let Some(index) = self.thread_of(py, frame) else {
            return;
        };
        let mut shadows = self.threads[index].frames.iter();
        let shadow = shadows.rfind(|shadow| shadow.is_now(frame));
        let doing = shadow.and_then(|shadow| shadow.doing(py, frame, &self.refused));
        let at = match (doing, frame.instruction_offset()) {
            // At a handler whose site has fired early.
            (Some((unit, Progress::Ready)), _) => At::Unit(unit, Progress::Arrived),
            (Some((unit, progress)), _) => At::Unit(unit, progress),
            (None, Some(offset)) => At::Byte(offset),
            (None, None) => return,
        };
        let has_come = matches!(at, At::Unit(_, Progress::Arrived | Progress::Told));
        let jumps = told == Told::Jump && matches!(at, At::Unit(..));
        if !has_come && !jumps && told != Told::Exception {
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
            jumps,
        });
        let At::Unit(unit, _) = at else { return };
        if !has_come && !jumps {
            return;
        }
        self.begin_changed(py);
        let mut shadows = self.threads[index].frames.iter_mut();
        let shadow = shadows.rfind(|shadow| shadow.is(frame));
        if let Some(shadow) = shadow.filter(|shadow| shadow.told != Shadow::AGAIN) {
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

    /// Whether an exception may be leaving a frame in which no site will fire: until it is known that it has, each record looks which frames have ended.
    pub(super) fn may_leave_past_all(&self) -> bool {
        self.refused.iter().any(|one| one.jumps)
    }

    /// Of the current thread's frames from `left` on, which have ended, those are told that an exception has left past all handlers, each by a record of its own,
    /// to which the prefixes that have been written belong. `arrived`: what has arrived at the site that fires.
    pub(super) fn leave_past_all(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        left: usize,
        arrived: Option<usize>,
    ) {
        let frames = &self.threads[self.current].frames;
        let ended = frames.iter().enumerate().skip(left).rev();
        let found: SmallVec<[(usize, Refused); 1]> = ended
            .filter_map(|(at, shadow)| {
                let is_its =
                    |one: &Refused| one.jumps && one.frame == (shadow.address, shadow.copy);
                let found = self.refused.iter().position(is_its)?;
                Some((at, self.refused.swap_remove(found)))
            })
            .collect();
        for (at, refused) in found {
            self.leave_past(py, to, at, &refused, arrived);
        }
    }

    fn leave_past(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        at: usize,
        refused: &Refused,
        arrived: Option<usize>,
    ) {
        let At::Unit(unit, progress) = refused.at else {
            return;
        };
        let pops = self.pop_to(py, to, at + 1, arrived);
        let top = &mut self.threads[self.current].frames[at];
        // SAFETY: the code of a frame that the exception's traceback keeps; had it died, the frame would have no address ([`super::forget`]).
        let sites = unsafe { (*top.code).plan_sites() };
        // The last one is that of what leaves the frame.
        let Some(site) = sites.last() else { return };
        to.raised(unit, progress);
        if top.has_touched() {
            self.pen.look_again(py, to, top);
        }
        let number = SiteNumber(site.number.get());
        if !self.followers.follows(top.last.behind(pops > 0), number) {
            to.site(number);
        }
        // Who has caught it has it; nobody else says that it is alive.
        if arrived == Some(refused.exception) {
            let exception = refused.exception as *mut ffi::PyObject;
            self.pen.other_value(py, to, exception, 0);
        } else {
            to.unknown(Reason::UNREADABLE);
        }
        top.last = site.following.get();
        self.values += 1;
        self.records += 1;
        if !to.overflowed() {
            self.at = to.at();
        }
    }

    /// A chunk has begun: frames that are not in it will not be told to have been left.
    pub(super) fn forget_refused(&mut self) {
        let frames = || self.threads.iter().flat_map(|thread| &thread.frames);
        let is_known =
            |one: &Refused| frames().any(|shadow| (shadow.address, shadow.copy) == one.frame);
        self.refused.retain(|one| !one.jumps || is_known(one));
    }
}
