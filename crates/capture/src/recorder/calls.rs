//! What most sites execute that do not fire in the frame on top: the first one of a frame that it has called, which starts or goes on after a suspension, and
//! one behind a call, when the frame on top has ended or been suspended.
//!
//! As in [`straight`](super::straight) nothing is called, allocated or freed. Everything else is jumped to, before anything has been changed.

use std::ptr::NonNull;

use debugop_recording::stream::{Short, SiteNumber};
use pyo3::{Python, ffi};

use super::Recorder;
use super::following::Follower;
use super::planned::{PlannedSite, Way};
use super::straight::{arrive, captured, captures, look_in_place, on_top, ready};
use super::threads::Shadow;
use super::{READY, through};
use crate::frame::Frame;
use crate::layout::InterpreterFrame;
use crate::layout::slot::Content;

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
    // SAFETY: by the contract; below the place of every frame there is another one ([`Frames`](super::frames::Frames)), which has no frame's address, nor
    // NULL, if it is nobody's.
    unsafe {
        let below = (*recorder).top.sub(1);
        match (*below).address == running as usize {
            true => go_back::<CAPTURES>(recorder, site, NonNull::new_unchecked(running)),
            false => otherwise::<CAPTURES>(recorder, site),
        }
    }
}

/// The same where the frame below does not go on.
///
/// # Safety
/// As for [`elsewhere`].
#[inline(never)]
unsafe extern "C" fn otherwise<const CAPTURES: usize>(
    recorder: *mut Recorder,
    site: *const PlannedSite,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract.
    unsafe {
        let py = Python::assume_attached();
        match (*site).way.get() {
            Way::Start => fire_beginning::<CAPTURES, false>(py, site),
            Way::Resume => fire_beginning::<CAPTURES, true>(py, site),
            Way::Step | Way::Slow => arrive(recorder, site),
        }
    }
}

/// A planned site is reached that has so many captures, or [`ANY`](super::ANY) number, where a frame starts, or, if it `RESUMES`, goes on after a suspension. Returns a new
/// reference to None.
///
/// # Safety
/// `site` is alive, and such a site.
#[inline(always)]
pub(crate) unsafe fn fire_beginning<const CAPTURES: usize, const RESUMES: bool>(
    py: Python<'_>,
    site: *const PlannedSite,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract; see `ready`.
    unsafe {
        let Some((recorder, running)) = ready(py) else {
            return arrive(READY.0.get(), site);
        };
        let Some(running) = NonNull::new(running) else {
            return arrive(recorder, site);
        };
        match RESUMES {
            true => resume::<CAPTURES>(recorder, site, running),
            false => start::<CAPTURES>(recorder, site, running),
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

/// The frame on top has ended or been suspended, and the one below goes on, at whose address that is which runs.
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
    if top.copy != frame.code_address() || top.copy != site.straight.get() {
        // SAFETY: both are alive.
        return unsafe { otherwise::<CAPTURES>(recorder, site) };
    }
    if top.have_touched(ended) {
        // SAFETY: as by the contract.
        return unsafe { look_and_go_back::<CAPTURES>(recorder, site, running) };
    }
    // SAFETY: as in `fire_straight`.
    let mut to = Short::new(unsafe { recorder.store.short(recorder.at) });
    to.pop_one();
    let last = top.last.popped();
    if !leads_to(last, site, &mut to) {
        // SAFETY: both are alive; nothing has been committed.
        return unsafe { arrive(recorder, site) };
    }
    recorder.top = top;
    // SAFETY: those of the current thread, as long as there is a frame on top.
    unsafe { (*recorder.frames).pop() };
    top.has_fired(site);
    captures::<CAPTURES>(py, recorder, site, frame, to)
}

/// The same, and the last instruction of one of the two may have changed something.
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
        let has_changed = (*(*recorder).top.sub(1)).has_touched();
        match !has_changed && look_in_place(recorder, (*recorder).top) {
            true => go_back::<CAPTURES>(recorder, site, running),
            false => arrive(recorder, site),
        }
    }
}

/// A frame starts.
///
/// # Safety
/// As for [`elsewhere`].
#[inline(always)]
unsafe fn start<const CAPTURES: usize>(
    recorder: *mut Recorder,
    site: *const PlannedSite,
    running: NonNull<InterpreterFrame>,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract.
    let (py, recorder, site, top, frame) = unsafe { parts(recorder, site, running) };
    // SAFETY: above the place of every frame there is another one, and nobody has a reference to that.
    let has_place = unsafe { (*recorder.top.add(1)).has_been_used() };
    let Some(calls) =
        called_by(recorder, top, site, frame).filter(|_| has_place && !frame.is_generators())
    else {
        // SAFETY: by the contract.
        return unsafe { through::begin::<CAPTURES, false>(recorder, site, running) };
    };
    // SAFETY: as in `fire_straight`.
    let mut to = Short::new(unsafe { recorder.store.short(recorder.at) });
    let last = top.last.at_once();
    let calling = calls.calling.get();
    to.made_before(calling.enter);
    if !leads_to(last, site, &mut to) {
        // SAFETY: both are alive; nothing has been committed.
        return unsafe { arrive(recorder, site) };
    }
    if calling.is_touching {
        top.forget_touched();
        calls.has_called(py, site);
    }
    let number = recorder.next_frame;
    recorder.next_frame += 1;
    // SAFETY: there is a place.
    let top = unsafe { add(recorder) };
    top.begin_at(frame, site, number);
    captures::<CAPTURES>(py, recorder, site, frame, to)
}

/// A frame goes on after a suspension.
///
/// # Safety
/// As for [`elsewhere`].
#[inline(always)]
unsafe fn resume<const CAPTURES: usize>(
    recorder: *mut Recorder,
    site: *const PlannedSite,
    running: NonNull<InterpreterFrame>,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract; above the place of every frame there is another one, and nobody else has a reference to that.
    let (py, recorder, site, top, frame, place) = unsafe {
        let (py, recorder, site, top, frame) = parts(recorder, site, running);
        let place = &*recorder.top.add(1);
        (py, recorder, site, top, frame, place)
    };
    let known = match place.address == frame.address() && place.copy == site.begins.get() {
        true => recorder.generators.at(place.suspended),
        false => None,
    };
    // As long as nobody else has been found at its address, it is the frame that has been suspended there.
    let known =
        known.filter(|known| known.number == place.number && known.chunk == recorder.pen.chunk);
    let Some(known) = known else {
        let is_on_top = frame.address() == top.address;
        // SAFETY: by the contract.
        return unsafe {
            match is_on_top {
                true => through::go_on::<CAPTURES>(recorder, site, running),
                false => resume_anew::<CAPTURES>(recorder, site, running),
            }
        };
    };
    let Some(calls) = called_by(recorder, top, site, frame) else {
        // SAFETY: by the contract.
        return unsafe { through::begin::<CAPTURES, true>(recorder, site, running) };
    };
    // SAFETY: as in `fire_straight`.
    let mut to = Short::new(unsafe { recorder.store.short(recorder.at) });
    let last = top.last.at_once();
    if !to.reenter_as(known.reenter, calls.calling.get().enter) || !leads_to(last, site, &mut to) {
        // SAFETY: both are alive; nothing has been committed.
        return unsafe { arrive(recorder, site) };
    }
    // What has been touched is what the instruction that calls may change, by `called_by`, and no other code runs in it.
    top.forget_touched();
    // SAFETY: a frame has stood there, so there is a place.
    let place = unsafe { add(recorder) };
    place.goes_on_at(frame, site);
    captures_of_resumption::<CAPTURES>(py, recorder, site, frame, to)
}

/// As [`captures`], where the frame goes on: mostly nothing has been sent to it.
#[inline(always)]
pub(super) fn captures_of_resumption<const CAPTURES: usize>(
    py: Python<'_>,
    recorder: &mut Recorder,
    site: &PlannedSite,
    frame: Frame<'_>,
    mut to: Short<'_>,
) -> *mut ffi::PyObject {
    if CAPTURES == 1 {
        let [first, ..] = *site.few_slots();
        // SAFETY: as in `record`.
        let content = unsafe { frame.local(u32::from(first)) };
        // SAFETY: None is alive.
        if matches!(content, Content::Object(object) if object == unsafe { ffi::Py_None() }) {
            to.none();
            return captured(recorder, site, CAPTURES, to.len());
        }
    }
    captures::<CAPTURES>(py, recorder, site, frame, to)
}

/// The same where another frame has stood in its place since.
///
/// # Safety
/// As for [`elsewhere`].
#[inline(never)]
unsafe extern "C" fn resume_anew<const CAPTURES: usize>(
    recorder: *mut Recorder,
    site: *const PlannedSite,
    running: NonNull<InterpreterFrame>,
) -> *mut ffi::PyObject {
    // SAFETY: as in `start`.
    let (py, recorder, site, top, frame, has_place) = unsafe {
        let (py, recorder, site, top, frame) = parts(recorder, site, running);
        let has_place = (*recorder.top.add(1)).has_been_used();
        (py, recorder, site, top, frame, has_place)
    };
    let Some(calls) = called_by(recorder, top, site, frame).filter(|_| has_place) else {
        // SAFETY: by the contract.
        return unsafe { through::begin::<CAPTURES, true>(recorder, site, running) };
    };
    let (copy, chunk) = (site.copy.get(), recorder.pen.chunk);
    let Some((place, known)) = recorder.generators.find(frame.address(), copy, chunk) else {
        // SAFETY: both are alive.
        return unsafe { arrive(recorder, site) };
    };
    let number = known.number;
    // SAFETY: as in `fire_straight`.
    let mut to = Short::new(unsafe { recorder.store.short(recorder.at) });
    let last = top.last.at_once();
    if !to.reenter_as(known.reenter, calls.calling.get().enter) || !leads_to(last, site, &mut to) {
        // SAFETY: both are alive; nothing has been committed.
        return unsafe { arrive(recorder, site) };
    }
    // As in `resume`.
    top.forget_touched();
    // SAFETY: there is a place.
    let top = unsafe { add(recorder) };
    top.begin_at(frame, site, number);
    top.suspended = place as u32;
    captures::<CAPTURES>(py, recorder, site, frame, to)
}

/// The site that fired last in the frame on top, if that has called `frame` itself, and in the same way as before ([`Calling`](super::planned::Calling)), so that
/// nothing is to be told of it; `frame` runs the copy of `site`, whose way is that of one that begins.
#[inline(always)]
fn called_by<'a>(
    recorder: &Recorder,
    top: &Shadow,
    site: &PlannedSite,
    frame: Frame<'_>,
) -> Option<&'a PlannedSite> {
    if frame.code_address() != site.begins.get() || !frame.is_called_by(top.address) {
        return None;
    }
    let caller = on_top(recorder, top);
    // SAFETY: the site lives as long as the frame.
    let calls = unsafe { top.site.as_ref() }?;
    let calling = calls.calling.get();
    // The address is one in the copy of that site, which is the one that the frame on top runs: so that is what is there.
    debug_assert!(calling.at != caller.instruction_address() || top.copy == caller.code_address());
    // What else has been touched may have been changed before the frame has come to this instruction.
    if calling.at != caller.instruction_address() || !calling.is_touching && top.has_touched() {
        return None;
    }
    Some(calls)
}

/// Says which site it is that comes behind `last`, if that is not the one that came there before. Whether it is known which one came there: otherwise nothing has been
/// changed.
#[inline(always)]
pub(super) fn leads_to(last: &Follower, site: &PlannedSite, to: &mut Short<'_>) -> bool {
    let number = SiteNumber(site.number.get());
    last.is(number) || to.made(site.said.get()) && last.corrects(number)
}

/// The place of a frame that the one on top has called, which is on top now.
///
/// # Safety
/// There is one.
#[inline(always)]
pub(super) unsafe fn add<'a>(recorder: &mut Recorder) -> &'a mut Shadow {
    // SAFETY: those of the current thread, as long as there is a frame on top; by the contract.
    unsafe {
        let place = recorder.top.add(1);
        (*recorder.frames).rise();
        recorder.top = place;
        &mut *place
    }
}
