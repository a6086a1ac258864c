//! As [`calls`](super::calls), where something stands between a frame and the recorded one that has called it: C code that drives a generator, or the making of an
//! instance, whose `__init__` it is. Also the first site of a generator, and of a frame that begins where another one has ended with nothing recorded in between.

use std::ptr::NonNull;

use debugop_recording::stream::{Reenter, Short};
use pyo3::{Python, ffi};

use super::Recorder;
use super::calls::{add, captures_of_resumption, leads_to};
use super::generators::Suspendable;
use super::planned::{Calling, PlannedSite};
use super::straight::{arrive, captures};
use super::threads::Shadow;
use crate::frame::Frame;
use crate::layout::InterpreterFrame;

/// What has called a frame in the same way as before, so that nothing is to be told of it.
struct Caller<'a> {
    shadow: &'a mut Shadow,
    calling: Calling,
    /// The recorded frame on top has ended or been suspended, and this is the one below.
    has_ended: bool,
    /// It has called the frame itself.
    is_direct: bool,
    /// Nobody else runs in its instruction but what is recorded.
    is_alone: bool,
}

impl<'a> Caller<'a> {
    /// What has called `frame`, if that is the frame on top or the one below that.
    ///
    /// As in `called_quickly`: what else stands between is not recorded.
    #[inline(always)]
    fn of(
        py: Python<'_>,
        top: &'a mut Shadow,
        next: &'a mut Shadow,
        frame: Frame<'_>,
    ) -> Option<Self> {
        let near = frame.below()?;
        let (found, is_near) = match near.is_pythons() && (top.is(near) || next.is(near)) {
            true => (near, true),
            false => (near.below().filter(|far| far.is_pythons())?, false),
        };
        let has_ended = !top.is(found);
        if has_ended && (!next.is(found) || top.has_touched()) {
            return None;
        }
        let shadow = match has_ended {
            true => next,
            false => top,
        };
        // SAFETY: the site lives as long as the frame.
        let calling = unsafe { shadow.site.as_ref() }?.calling.get();
        let is_direct = is_near && frame.direct_caller().is_some();
        let is_usual = calling.at == found.instruction_address()
            && (calling.is_touching || !shadow.has_touched())
            && (is_direct || !Recorder::is_the_debuggers(py, frame));
        // The frame of a generator is none of an `__init__`.
        let is_made = !is_near && !frame.is_generators() && frame.maker() == Some(found);
        is_usual.then_some(Self {
            is_alone: calling.is_touching && (is_direct || is_made),
            shadow,
            calling,
            has_ended,
            is_direct,
        })
    }
}

/// A frame starts, or, if it `RESUMES`, goes on after a suspension.
///
/// # Safety
/// As for [`elsewhere`](super::calls::elsewhere).
#[inline(never)]
pub(super) unsafe extern "C" fn begin<const CAPTURES: usize, const RESUMES: bool>(
    recorder: *mut Recorder,
    site: *const PlannedSite,
    running: NonNull<InterpreterFrame>,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract; below the place of every frame there is another one ([`Frames`](super::frames::Frames)), and nobody else has a reference
    // to one of them.
    let (py, recorder, site, top, next, frame) = unsafe {
        let (py, recorder) = (Python::assume_attached(), &mut *recorder);
        let (top, next) = (&mut *recorder.top, &mut *recorder.top.sub(1));
        let frame = Frame::at(running, NonNull::new_unchecked(recorder.state));
        (py, recorder, &*site, top, next, frame)
    };
    // SAFETY: those of the current thread, as long as there is a frame on top.
    let has_place = unsafe { (*recorder.frames).has_place() };
    // 0 as long as the site has no number.
    let (address, copy, chunk) = (frame.address(), site.begins.get(), recorder.pen.chunk);
    let caller = match frame.code_address() == copy && has_place {
        true => Caller::of(py, top, next, frame),
        false => None,
    };
    let Some(caller) = caller else {
        // SAFETY: both are alive.
        return unsafe { arrive(recorder, site) };
    };
    let is_new_generator = !RESUMES && frame.is_generators();
    let known = match RESUMES {
        true => recorder.generators.find(address, copy, chunk),
        false => None,
    };
    let (number, reenter, place) = match known {
        Some((place, known)) => (known.number, known.reenter, place),
        None => (recorder.next_frame, Reenter::default(), 0),
    };
    if RESUMES && known.is_none() || is_new_generator && !recorder.generators.has_room() {
        // SAFETY: both are alive.
        return unsafe { arrive(recorder, site) };
    }
    // SAFETY: as in `fire_straight`.
    let mut to = Short::new(unsafe { recorder.store.short(recorder.at) });
    if caller.has_ended {
        to.pop_one();
    }
    let (unit, enter) = (caller.calling.unit, caller.calling.enter);
    let is_written = match (RESUMES, caller.is_direct) {
        (false, true) => to.made(enter),
        (false, false) => to.little_enter_foreign(unit),
        (true, true) => to.reenter_as(reenter, enter),
        (true, false) => to.reenter_foreign_as(reenter, unit),
    };
    let last = match caller.has_ended {
        true => caller.shadow.last.popped(),
        false => caller.shadow.last.at_once(),
    };
    if !is_written || !leads_to(last, site, &mut to) {
        // SAFETY: both are alive; nothing has been committed.
        return unsafe { arrive(recorder, site) };
    }
    if caller.is_alone {
        caller.shadow.has_called(py, site, frame, caller.is_direct);
    }
    if !RESUMES {
        recorder.next_frame += 1;
    }
    if is_new_generator {
        let one = Suspendable::new(address, number, copy, chunk);
        recorder.generators.insert_in_room(one);
    }
    let top = match caller.has_ended {
        // It takes the place of the one that has ended.
        // SAFETY: as above.
        true => unsafe { &mut *recorder.top },
        // SAFETY: there is a place.
        false => unsafe { add(recorder) },
    };
    top.begin_at(frame, site, number);
    if RESUMES {
        top.suspended = place as u32;
    }
    captures::<CAPTURES>(py, recorder, site, frame, to)
}

/// The generator that is the frame on top, suspended last, goes on: the one below, or C code that it has called, drives it, and nothing else has been recorded in between.
///
/// # Safety
/// As for [`elsewhere`](super::calls::elsewhere).
#[inline(never)]
pub(super) unsafe extern "C" fn go_on<const CAPTURES: usize>(
    recorder: *mut Recorder,
    site: *const PlannedSite,
    running: NonNull<InterpreterFrame>,
) -> *mut ffi::PyObject {
    // SAFETY: as in `begin`.
    let (py, recorder, site, top, next, frame) = unsafe {
        let (py, recorder) = (Python::assume_attached(), &mut *recorder);
        let (top, next) = (&mut *recorder.top, &*recorder.top.sub(1));
        let frame = Frame::at(running, NonNull::new_unchecked(recorder.state));
        (py, recorder, &*site, top, next, frame)
    };
    let is_same = top.copy == frame.code_address() && top.copy == site.begins.get();
    let known = recorder
        .generators
        .at(top.suspended)
        .filter(|known| is_same && known.number == top.number && known.chunk == recorder.pen.chunk);
    let (Some(known), Some((calling, is_direct))) = (known, driver(py, top, next, frame)) else {
        // SAFETY: by the contract.
        return unsafe { begin::<CAPTURES, true>(recorder, site, running) };
    };
    // SAFETY: as in `fire_straight`.
    let mut to = Short::new(unsafe { recorder.store.short(recorder.at) });
    to.pop_one();
    let is_written = match is_direct {
        true => to.reenter_as(known.reenter, calling.enter),
        false => to.reenter_foreign_as(known.reenter, calling.unit),
    };
    let last = next.last.popped();
    if !is_written || !leads_to(last, site, &mut to) {
        // SAFETY: both are alive; nothing has been committed.
        return unsafe { arrive(recorder, site) };
    }
    top.goes_on_at(frame, site);
    captures_of_resumption::<CAPTURES>(py, recorder, site, frame, to)
}

/// Where the frame of `next` stands, and whether it drives `frame`, that on top, itself; if it is the one that does, in the same way as before, and nothing else is to be told.
#[inline(always)]
fn driver(
    py: Python<'_>,
    top: &Shadow,
    next: &Shadow,
    frame: Frame<'_>,
) -> Option<(Calling, bool)> {
    let near = frame.below()?;
    let (found, is_near) = match near.is_pythons() {
        true => (near, true),
        false => (near.below().filter(|far| far.is_pythons())?, false),
    };
    // If it does so itself, nobody else runs in its instruction, and what that changes need not be looked at: that is seen to elsewhere.
    let is_direct = is_near && frame.direct_caller().is_some();
    if !next.is(found) || top.has_touched() || next.has_touched() && is_direct {
        return None;
    }
    // SAFETY: the site lives as long as the frame.
    let calling = unsafe { next.site.as_ref() }?.calling.get();
    let is_usual = calling.at == found.instruction_address()
        && (calling.is_touching || !next.has_touched())
        && (is_direct || !Recorder::is_the_debuggers(py, frame));
    is_usual.then_some((calling, is_direct))
}
