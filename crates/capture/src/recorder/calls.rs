//! What most sites execute that do not fire in the frame on top: the first one of a frame that it has called, which starts or goes on after a suspension, and
//! one behind a call, when the frame on top has ended or been suspended.
//!
//! As in [`straight`](super::straight) nothing is called, allocated or freed. Everything else is jumped to, before anything has been changed.

use std::ptr::NonNull;

use debugop_recording::stream::{Last, Short, SiteNumber};
use pyo3::{Python, ffi};

use super::Recorder;
use super::planned::{PlannedSite, Way};
use super::straight::{arrive, captures, look_in_place, on_top};
use super::threads::Shadow;
use super::through;
use crate::frame::Frame;
use crate::layout::InterpreterFrame;

/// A planned site is reached that has so many captures, or [`ANY`](super::ANY) number, in the frame at `running`, which is not the one on top.
///
/// # Safety
/// Both are alive. There is a frame on top, of the thread that runs, which executes the frame at `running`, if that is not NULL.
#[inline(always)]
pub(super) unsafe fn elsewhere<const CAPTURES: usize>(
    recorder: *mut Recorder,
    site: *const PlannedSite,
    running: *mut InterpreterFrame,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract.
    unsafe {
        let Some(running) = NonNull::new(running) else {
            return arrive(recorder, site);
        };
        match (*site).way.get() {
            Way::Step => go_back::<CAPTURES>(recorder, site, running),
            Way::Start => start::<CAPTURES>(recorder, site, running),
            Way::Resume => resume::<CAPTURES>(recorder, site, running),
            Way::Slow => arrive(recorder, site),
        }
    }
}

/// What each way works with: the recorder, the site, the frame on top, and the one that runs.
///
/// # Safety
/// As for [`elsewhere`]; nobody else has a reference to the recorder or to what it knows of the frame on top.
#[inline(always)]
unsafe fn parts<'a>(
    recorder: *mut Recorder,
    site: *const PlannedSite,
    running: NonNull<InterpreterFrame>,
) -> (
    Python<'a>,
    &'a mut Recorder,
    &'a PlannedSite,
    &'a mut Shadow,
    Frame<'a>,
) {
    // SAFETY: by the contract: the thread is attached, and has a state as long as one of its frames is on top.
    unsafe {
        let (py, recorder) = (Python::assume_attached(), &mut *recorder);
        let top = &mut *recorder.top;
        let frame = Frame::at(running, NonNull::new_unchecked(recorder.state));
        (py, recorder, &*site, top, frame)
    }
}

/// The frame on top has ended or been suspended, and the one below goes on.
///
/// # Safety
/// As for [`elsewhere`].
#[inline(never)]
unsafe extern "C" fn go_back<const CAPTURES: usize>(
    recorder: *mut Recorder,
    site: *const PlannedSite,
    running: NonNull<InterpreterFrame>,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract; below the place of every frame there is another one ([`Frames`](super::frames::Frames)), and nobody else has a reference
    // to that.
    let (py, recorder, site, ended, frame, top) = unsafe {
        let (py, recorder, site, ended, frame) = parts(recorder, site, running);
        let top = &mut *recorder.top.sub(1);
        (py, recorder, site, ended, frame, top)
    };
    if !top.is(frame) || top.copy != site.straight.get() || top.has_touched() {
        // SAFETY: both are alive.
        return unsafe { arrive(recorder, site) };
    }
    if ended.has_touched() {
        // SAFETY: as by the contract.
        return unsafe { look_and_go_back::<CAPTURES>(recorder, site, running) };
    }
    // SAFETY: as in `fire_straight`.
    let mut to = Short::new(unsafe { recorder.store.short(recorder.at) });
    to.pop_one();
    let last = Last::site(SiteNumber(top.last), true);
    if !leads_to(recorder, last, site, &mut to) {
        // SAFETY: both are alive; nothing has been committed.
        return unsafe { arrive(recorder, site) };
    }
    recorder.top = top;
    // SAFETY: those of the current thread, as long as there is a frame on top.
    unsafe { (*recorder.frames).pop() };
    top.has_fired(site);
    captures::<CAPTURES>(py, recorder, site, frame, to)
}

/// The same, and the last instruction of the frame that has ended may have changed something.
///
/// # Safety
/// As for [`elsewhere`].
#[inline(never)]
unsafe extern "C" fn look_and_go_back<const CAPTURES: usize>(
    recorder: *mut Recorder,
    site: *const PlannedSite,
    running: NonNull<InterpreterFrame>,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract.
    unsafe {
        match look_in_place(recorder, (*recorder).top) {
            true => go_back::<CAPTURES>(recorder, site, running),
            false => arrive(recorder, site),
        }
    }
}

/// A frame starts.
///
/// # Safety
/// As for [`elsewhere`].
#[inline(never)]
unsafe extern "C" fn start<const CAPTURES: usize>(
    recorder: *mut Recorder,
    site: *const PlannedSite,
    running: NonNull<InterpreterFrame>,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract.
    let (py, recorder, site, top, frame) = unsafe { parts(recorder, site, running) };
    let Some(calls) = called_by(recorder, top, site, frame).filter(|_| !frame.is_generators())
    else {
        // SAFETY: by the contract.
        return unsafe { through::begin::<CAPTURES, false>(recorder, site, running) };
    };
    // SAFETY: as in `fire_straight`.
    let mut to = Short::new(unsafe { recorder.store.short(recorder.at) });
    let last = Last::site(SiteNumber(top.last), false);
    let calling = calls.calling.get();
    if !to.little_enter(calling.unit) || !leads_to(recorder, last, site, &mut to) {
        // SAFETY: both are alive; nothing has been committed.
        return unsafe { arrive(recorder, site) };
    }
    if calling.is_touching {
        top.forget_touched();
        calls.has_called(py, site);
    }
    let number = recorder.next_frame;
    recorder.next_frame += 1;
    // SAFETY: there is a place, by `called_by`.
    let top = unsafe { add(recorder) };
    top.begin_at(frame, site, number);
    captures::<CAPTURES>(py, recorder, site, frame, to)
}

/// A frame goes on after a suspension.
///
/// # Safety
/// As for [`elsewhere`].
#[inline(never)]
unsafe extern "C" fn resume<const CAPTURES: usize>(
    recorder: *mut Recorder,
    site: *const PlannedSite,
    running: NonNull<InterpreterFrame>,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract.
    let (py, recorder, site, top, frame) = unsafe { parts(recorder, site, running) };
    let Some(calls) = called_by(recorder, top, site, frame) else {
        // SAFETY: by the contract.
        return unsafe { through::begin::<CAPTURES, true>(recorder, site, running) };
    };
    let chunk = recorder.pen.chunk;
    let known = &recorder.generators;
    let Some(known) = known.known(frame.address(), site.copy.get(), chunk) else {
        // SAFETY: both are alive.
        return unsafe { arrive(recorder, site) };
    };
    let number = known.number;
    // SAFETY: as in `fire_straight`.
    let mut to = Short::new(unsafe { recorder.store.short(recorder.at) });
    let last = Last::site(SiteNumber(top.last), false);
    if !to.reenter_as(known.reenter, calls.calling.get().unit)
        || !leads_to(recorder, last, site, &mut to)
    {
        // SAFETY: both are alive; nothing has been committed.
        return unsafe { arrive(recorder, site) };
    }
    // What has been touched is what the instruction that calls may change, by `called_by`, and no other code runs in it.
    top.forget_touched();
    // SAFETY: there is a place, by `called_by`.
    let top = unsafe { add(recorder) };
    top.begin_at(frame, site, number);
    captures::<CAPTURES>(py, recorder, site, frame, to)
}

/// The site that fired last in the frame on top, if that has called `frame` itself, and in the same way as before ([`Calling`](super::planned::Calling)), so that
/// nothing is to be told of it; there is a place for `frame`, which runs the copy of `site`.
#[inline(always)]
fn called_by<'a>(
    recorder: &Recorder,
    top: &Shadow,
    site: &PlannedSite,
    frame: Frame<'_>,
) -> Option<&'a PlannedSite> {
    // SAFETY: those of the current thread, as long as there is a frame on top.
    let has_place = unsafe { (*recorder.frames).has_place() };
    if frame.code_address() != site.copy.get() || !has_place || !frame.is_called_by(top.address) {
        return None;
    }
    let caller = on_top(recorder, top);
    if top.copy != caller.code_address() {
        return None;
    }
    // SAFETY: the site lives as long as the frame.
    let calls = unsafe { top.site.as_ref() }?;
    let calling = calls.calling.get();
    // What else has been touched may have been changed before the frame has come to this instruction.
    if calling.at != caller.instruction_address() || !calling.is_touching && top.has_touched() {
        return None;
    }
    Some(calls)
}

/// Says which site it is that comes behind `last`, if that is not the one that came there before. Whether it is known which one came there: otherwise nothing has been
/// changed.
#[inline(always)]
pub(super) fn leads_to(
    recorder: &mut Recorder,
    last: Last,
    site: &PlannedSite,
    to: &mut Short<'_>,
) -> bool {
    let number = SiteNumber(site.number.get());
    recorder.predictor.predicts(last, number)
        || to.little_site(number) && recorder.predictor.corrects(last, number)
}

/// The place of a frame that the one on top has called, which is on top now.
///
/// # Safety
/// There is one.
#[inline(always)]
pub(super) unsafe fn add<'a>(recorder: &mut Recorder) -> &'a mut Shadow {
    // SAFETY: those of the current thread, as long as there is a frame on top; by the contract.
    unsafe {
        (*recorder.frames).rise();
        recorder.top = recorder.top.add(1);
        &mut *recorder.top
    }
}
