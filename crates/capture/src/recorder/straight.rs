//! What most sites execute: one in the middle of what its frame executes, in the frame that has recorded last, where the last one led before, with few
//! captures, each of which is a byte or a few. Everything else is jumped to, so that nothing is called here: no frame is made, no register is saved, and there is
//! nothing to unwind. Who is jumped to catches panics.

use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use debugop_recording::stream::{Last, Short, SiteNumber};
use pyo3::{Python, ffi};

use super::planned::PlannedSite;
use super::quick::Put;
use super::threads::Shadow;
use super::{ACTIVE, Recorder, give_up, pending};
use crate::frame::Frame;
use crate::site::none;

/// More captures than are written here.
pub(crate) const ANY: usize = 3;

/// A planned site is reached that has so many captures, or [`ANY`] number. Returns a new reference to None.
///
/// # Safety
/// `site` is alive, and a site with so many captures.
#[inline(always)]
pub(crate) unsafe fn fire_straight<const CAPTURES: usize>(
    py: Python<'_>,
    site: *const PlannedSite,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract; the recorder as in `with_active`; the shadow as in `go_on_quickly`.
    let (site, recorder, top) = unsafe {
        let Some(recorder) = ACTIVE.0.get().as_mut() else {
            return none();
        };
        let Some(top) = recorder.top.as_mut() else {
            return arrive(recorder, site);
        };
        (&*site, recorder, top)
    };
    let Some(frame) = running(py, recorder, top).filter(|frame| {
        top.copy == site.straight.get() && top.copy == frame.code_address() && !top.has_touched()
    }) else {
        // SAFETY: both are alive.
        return unsafe { arrive(recorder, site) };
    };
    let number = SiteNumber(site.number.get());
    let last = Last::site(SiteNumber(top.last), false);
    if !recorder.predictor.predicts(last, number) {
        // SAFETY: as above.
        return unsafe { turn_off(recorder, site) };
    }
    top.has_fired(site);
    let at = recorder.at;
    // SAFETY: there is room as long as `top` is not NULL: `limit` is that far from the end of the memory.
    let mut to = Short::new(unsafe { recorder.store.short(at) });
    if CAPTURES == 0 {
        to.hit();
    }
    let rest = 'captures: {
        if CAPTURES >= ANY {
            break 'captures Some((0, None));
        }
        for index in 0..CAPTURES {
            // SAFETY: as in `record`.
            let content = unsafe { frame.local(u32::from(site.few_slots()[index])) };
            match recorder.put_quickly(py, content, number, index, &mut to) {
                Put::Done => {}
                Put::Int(value) => break 'captures Some((index, Some(value))),
                Put::Other(_) => break 'captures Some((index, None)),
            }
        }
        None
    };
    if let Some((index, int)) = rest {
        let far = to.len() | index << u8::BITS;
        // SAFETY: as above.
        return unsafe { capture(recorder, site, far, int.is_some(), int.unwrap_or_default()) };
    }
    let at = at + to.len();
    recorder.at = at;
    recorder.values += CAPTURES as u64;
    recorder.records += 1;
    recorder.store.commit(at);
    if at >= recorder.limit || site.touch != PlannedSite::NO_TOUCH {
        // SAFETY: as above.
        return unsafe { finish(recorder, site) };
    }
    none()
}

/// The frame on top, if this thread is running it.
#[inline(always)]
fn running<'py>(py: Python<'py>, recorder: &Recorder, top: &Shadow) -> Option<Frame<'py>> {
    let state = recorder.running.read(py);
    if recorder.state != state {
        return None;
    }
    // SAFETY: it is the state of this thread, which is attached: that of the thread that has recorded last is not NULL as long as there is a frame on top. Nor is the
    // address of that frame, unless it is gone, which no frame is that a thread is running.
    unsafe {
        let frame = (*state).current_frame();
        (frame as usize == top.address)
            .then(|| Frame::at(NonNull::new_unchecked(frame), NonNull::new_unchecked(state)))
    }
}

/// What is jumped to returns this: None, without being known to.
#[inline(always)]
fn new_none() -> *mut ffi::PyObject {
    black_box(none())
}

/// Records a site in the running frame.
///
/// # Safety
/// Both are alive; the GIL is held, and whoever comes here uses the recorder no more.
#[inline(never)]
pub(super) unsafe extern "C" fn arrive(
    recorder: *mut Recorder,
    site: *const PlannedSite,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract.
    let (py, recorder, site) = unsafe { (Python::assume_attached(), &mut *recorder, &*site) };
    at_work(py, || {
        if let Some(frame) = Frame::current(py) {
            recorder.arrive_quickly(py, site, frame);
        }
    });
    new_none()
}

/// Records a site that has not been expected, but nothing else about it is special.
///
/// # Safety
/// As for [`arrive`], and the frame on top is running.
#[inline(never)]
unsafe extern "C" fn turn_off(
    recorder: *mut Recorder,
    site: *const PlannedSite,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract.
    let (py, recorder, site) = unsafe { (Python::assume_attached(), &mut *recorder, &*site) };
    at_work(py, || {
        // SAFETY: as in `go_on_quickly`.
        if let Some(top) = unsafe { recorder.top.as_mut() }
            && let Some(frame) = running(py, recorder, top)
        {
            let number = SiteNumber(site.number.get());
            // SAFETY: as in `fire_straight`.
            let mut to = Short::new(unsafe { recorder.store.short(recorder.at) });
            if !recorder
                .predictor
                .follows(Recorder::last(top.last, false), number)
            {
                to.site(number);
            }
            recorder.capture_quickly(py, site, frame, top, to);
        }
    });
    new_none()
}

/// Writes the captures of a site that has fired. So much has been done: the lowest byte says how many bytes have been written, the others how many captures. `has_int`:
/// the next one is this int, which [`Strides`](debugop_recording::stream::Strides) know of.
///
/// # Safety
/// As for [`turn_off`].
#[inline(never)]
unsafe extern "C" fn capture(
    recorder: *mut Recorder,
    site: *const PlannedSite,
    far: usize,
    has_int: bool,
    int: i64,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract.
    let (py, recorder, site) = unsafe { (Python::assume_attached(), &mut *recorder, &*site) };
    at_work(py, || {
        // SAFETY: as in `go_on_quickly`.
        if let Some(top) = unsafe { recorder.top.as_mut() }
            && let Some(frame) = running(py, recorder, top)
        {
            // SAFETY: as in `fire_straight`.
            let bytes = unsafe { recorder.store.short(recorder.at) };
            let mut to = Short::behind(bytes, far as u8);
            if has_int {
                to.int(int);
            }
            let next = (far >> u8::BITS) + usize::from(has_int);
            recorder.capture_from(py, site, frame, top, to, next);
        }
    });
    new_none()
}

/// What comes behind some records.
///
/// # Safety
/// As for [`turn_off`].
#[inline(never)]
unsafe extern "C" fn finish(
    recorder: *mut Recorder,
    site: *const PlannedSite,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract.
    let (py, recorder, site) = unsafe { (Python::assume_attached(), &mut *recorder, &*site) };
    at_work(py, || {
        // SAFETY: as in `go_on_quickly`.
        if let Some(top) = unsafe { recorder.top.as_mut() }
            && let Some(frame) = running(py, recorder, top)
        {
            recorder.pen.touch_quickly(py, site, frame, top);
            if recorder.at >= recorder.limit {
                recorder.leave(py, site, frame);
            }
        }
    });
    new_none()
}

/// Does work of the recorder's that may ask for memory, or panic: then the recording ends.
#[inline(always)]
fn at_work(py: Python<'_>, work: impl FnOnce()) {
    pending::set_busy(py, true);
    let done = catch_unwind(AssertUnwindSafe(work));
    pending::set_busy(py, false);
    if done.is_err() {
        give_up(py);
    }
}
