//! What most sites execute: one in the middle of what its frame executes, in the frame that has recorded last, where the last one led before, with few
//! captures, each of which is a byte or a few. Everything else is jumped to, so that nothing is called here: no frame is made, no register is saved, and there is
//! nothing to unwind. Who is jumped to catches panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use debugop_recording::stream::{Short, SiteNumber};
use pyo3::{Python, ffi};

use super::calls::elsewhere;
use super::planned::{PlannedSite, is_number};
use super::quick::Put;
use super::threads::Shadow;
use super::touched::tells_of_itself;
use super::{NOBODY, READY, Ready, Recorder, fire_now, give_up, pending};
use crate::frame::Frame;
use crate::layout::InterpreterFrame;
use crate::layout::slot::Content;
use crate::site::none;

/// More captures than are written here.
pub(crate) const ANY: usize = 3;

/// The active recorder, and the innermost frame of this thread, which may be NULL; `None`: the short ways are closed. What is returned has a frame on top, of this thread, of
/// which nobody else has a reference.
///
/// # Safety
/// Whoever calls this uses the recorder before anybody else does.
#[inline(always)]
pub(super) unsafe fn ready(py: Python<'_>) -> Option<(*mut Recorder, *mut InterpreterFrame)> {
    let recorder = READY.0.get();
    // SAFETY: what is `READY` has these fields, and if the first is this thread's state, which is attached, it is the recorder, alive as in `with_active`; the shadow then
    // as in `go_on_quickly`.
    unsafe {
        let Ready {
            state: expected,
            running,
        } = (*recorder).ready;
        let state = running.read(py);
        (state == expected).then(|| (recorder, (*state).current_frame()))
    }
}

/// A planned site is reached that has so many captures, or [`ANY`] number. Returns a new reference to None.
///
/// # Safety
/// `site` is alive, and a site with so many captures.
#[inline(always)]
pub(crate) unsafe fn fire_straight<const CAPTURES: usize>(
    py: Python<'_>,
    site: *const PlannedSite,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract; see `ready`.
    let (site, recorder, top, running) = unsafe {
        let Some((recorder, running)) = ready(py) else {
            return arrive(READY.0.get(), site);
        };
        (&*site, &mut *recorder, &mut *(*recorder).top, running)
    };
    if running as usize != top.address {
        // SAFETY: both are alive, and so is the frame, which this thread is running.
        return unsafe { elsewhere::<CAPTURES>(recorder, site, running) };
    }
    let frame = on_top(recorder, top);
    if top.copy != site.straight.get() || top.copy != frame.code_address() {
        // SAFETY: as above.
        return unsafe { arrive(recorder, site) };
    }
    fire_on_top::<CAPTURES>(py, recorder, site, top, frame)
}

/// The same in the frame on top, which is running and of the site's code.
#[inline(always)]
fn fire_on_top<const CAPTURES: usize>(
    py: Python<'_>,
    recorder: &mut Recorder,
    site: &PlannedSite,
    top: &mut Shadow,
    frame: Frame<'_>,
) -> *mut ffi::PyObject {
    if top.has_touched() {
        // SAFETY: both are alive, and so is the frame.
        return unsafe { look::<CAPTURES>(recorder, site) };
    }
    if !top.last.at_once().is(SiteNumber(site.number.get())) {
        // SAFETY: as above.
        return unsafe { turn_off::<CAPTURES>(recorder, site) };
    }
    // SAFETY: there is room as long as `top` is not NULL: `limit` is that far from the end of the memory.
    let to = Short::new(unsafe { recorder.store.short(recorder.at) });
    write::<CAPTURES>(py, recorder, site, top, frame, to)
}

/// A planned site is reached that fires in the place of `planned`, one of the plan's, if there are numbers in the slots that it guards; it has so many captures, or [`ANY`]
/// number. Returns a new reference to None.
///
/// # Safety
/// Both are alive, of the same code; `site` has so many captures.
#[inline(always)]
pub(crate) unsafe fn fire_guarded<const CAPTURES: usize>(
    py: Python<'_>,
    site: *const PlannedSite,
    planned: *const PlannedSite,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract; see `ready`.
    let (firing, recorder, top, running) = unsafe {
        let Some((recorder, running)) = ready(py) else {
            return guarded_elsewhere::<CAPTURES>(site, planned);
        };
        (&*site, &mut *recorder, &mut *(*recorder).top, running)
    };
    if running as usize != top.address {
        // SAFETY: by the contract.
        return unsafe { guarded_elsewhere::<CAPTURES>(site, planned) };
    }
    let frame = on_top(recorder, top);
    if top.copy != firing.straight.get() || top.copy != frame.code_address() {
        // SAFETY: as above.
        return unsafe { guarded_elsewhere::<CAPTURES>(site, planned) };
    }
    // SAFETY: the frame runs the code that the plan was made for: that of the copy.
    if !unsafe { lets_through(firing, frame) } {
        // SAFETY: by the contract.
        return unsafe { ask(planned) };
    }
    fire_on_top::<CAPTURES>(py, recorder, firing, top, frame)
}

/// The same where that is not the frame on top.
///
/// # Safety
/// As for [`fire_guarded`].
#[inline(never)]
unsafe extern "C" fn guarded_elsewhere<const CAPTURES: usize>(
    site: *const PlannedSite,
    planned: *const PlannedSite,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract; the GIL is held.
    let (py, firing) = unsafe { (Python::assume_attached(), &*site) };
    let Some(frame) = Frame::current(py) else {
        return none();
    };
    // SAFETY: by the contract; the frame runs the code that the plan was made for, if it runs its copy.
    unsafe {
        match frame.code_address() == firing.copy.get() && lets_through(firing, frame) {
            true => fire_straight::<CAPTURES>(py, site),
            false => ask(planned),
        }
    }
}

/// Whether there are numbers in the slots that a site guards.
///
/// # Safety
/// They are slots of the frame that are live.
#[inline(always)]
unsafe fn lets_through(site: &PlannedSite, frame: Frame<'_>) -> bool {
    // Not `all`, which would be called.
    for &slot in site.guards() {
        // SAFETY: by the contract.
        if !unsafe { is_number(frame.local(slot)) } {
            return false;
        }
    }
    true
}

/// Finds out which site fires in the place of `planned`, and records that.
///
/// # Safety
/// It is alive, and one of the plan's.
#[inline(never)]
unsafe extern "C" fn ask(planned: *const PlannedSite) -> *mut ffi::PyObject {
    // SAFETY: by the contract; the GIL is held.
    let (py, planned) = unsafe { (Python::assume_attached(), &*planned) };
    let asked = catch_unwind(AssertUnwindSafe(|| fire_now(py, planned)));
    asked.unwrap_or_else(|_| {
        give_up(py);
        new_none()
    })
}

/// Writes a site in the frame on top, which is running, behind what has to be said before.
#[inline(always)]
fn write<const CAPTURES: usize>(
    py: Python<'_>,
    recorder: &mut Recorder,
    site: &PlannedSite,
    top: &mut Shadow,
    frame: Frame<'_>,
    to: Short<'_>,
) -> *mut ffi::PyObject {
    top.has_fired(site);
    captures::<CAPTURES>(py, recorder, site, frame, to)
}

/// Writes the captures of a site that [has fired](Shadow::has_fired) in the frame on top, which is running.
#[inline(always)]
pub(super) fn captures<const CAPTURES: usize>(
    py: Python<'_>,
    recorder: &mut Recorder,
    site: &PlannedSite,
    frame: Frame<'_>,
    mut to: Short<'_>,
) -> *mut ffi::PyObject {
    let [first, second, ..] = *site.few_slots();
    // Not a loop where it is known how often: a compiler makes one of it, with registers saved and counters kept; and calls a closure that is used twice.
    let put = 'put: {
        if CAPTURES == ANY {
            for (index, &slot) in site.few().iter().enumerate() {
                if let Err(rest) = put(py, recorder, site, frame, (index, slot), &mut to) {
                    break 'put Err(rest);
                }
            }
            break 'put Ok(());
        }
        if CAPTURES >= 1
            && let Err(rest) = put(py, recorder, site, frame, (0, first), &mut to)
        {
            break 'put Err(rest);
        }
        if CAPTURES >= 2
            && let Err(rest) = put(py, recorder, site, frame, (1, second), &mut to)
        {
            break 'put Err(rest);
        }
        Ok(())
    };
    if CAPTURES == 0 {
        to.hit();
    }
    if let Err((index, int)) = put {
        let far = to.len() | index << u8::BITS;
        // SAFETY: both are alive, and the frame is running.
        return unsafe {
            capture_known(recorder, site, far, int.is_some(), int.unwrap_or_default())
        };
    }
    captured(recorder, site, CAPTURES, to.len())
}

/// What comes behind the captures of a site, of which there are so many, or [`ANY`] number: the record is of so many bytes.
#[inline(always)]
pub(super) fn captured(
    recorder: &mut Recorder,
    site: &PlannedSite,
    captures: usize,
    bytes: usize,
) -> *mut ffi::PyObject {
    let at = recorder.at + bytes;
    recorder.at = at;
    recorder.values += match captures {
        ANY => site.few().len() as u64,
        _ => captures as u64,
    };
    recorder.records += 1;
    recorder.store.commit(at);
    if at >= recorder.limit {
        // SAFETY: as above.
        return unsafe { finish(recorder, site) };
    }
    match site.touch {
        PlannedSite::NO_TOUCH => none(),
        // SAFETY: as above.
        PlannedSite::CALLS => unsafe { before_call(recorder, site) },
        // SAFETY: as above.
        PlannedSite::TOUCHES => unsafe { finish(recorder, site) },
        // SAFETY: as above.
        _ => unsafe { touch_one(recorder, site) },
    }
}

/// Writes the capture with this index, of this slot. `Err`: it is left to do, but for what has been found out: its index, and if it is an int that
/// [`Strides`](debugop_recording::stream::Strides) know of by now, that.
#[inline(always)]
fn put(
    py: Python<'_>,
    recorder: &mut Recorder,
    site: &PlannedSite,
    frame: Frame<'_>,
    (index, slot): (usize, u16),
    to: &mut Short<'_>,
) -> Result<(), (usize, Option<i64>)> {
    // SAFETY: as in `record`.
    let content = unsafe { frame.local(u32::from(slot)) };
    match recorder.put_quickly(py, content, SiteNumber(site.number.get()), index, to) {
        Put::Done => Ok(()),
        Put::Int(value) => Err((index, Some(value))),
        Put::Other(_) => Err((index, None)),
    }
}

/// The frame on top, which this thread is running.
#[inline(always)]
pub(super) fn on_top<'py>(recorder: &Recorder, top: &Shadow) -> Frame<'py> {
    debug_assert!(!recorder.state.is_null() && top.address != 0);
    // SAFETY: the state of this thread and the address of a frame that it is running: neither is NULL.
    unsafe {
        let state = NonNull::new_unchecked(recorder.state);
        Frame::at(NonNull::new_unchecked(top.address as *mut _), state)
    }
}

/// What is jumped to returns this: None, without being known to.
#[inline(always)]
fn new_none() -> *mut ffi::PyObject {
    let mut none = none();
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    #[expect(
        clippy::pointers_in_nomem_asm_block,
        reason = "what it points to is not looked at"
    )]
    // SAFETY: no instruction.
    unsafe {
        std::arch::asm!("/* {0} */", inout(reg) none, options(pure, nomem, nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        none = std::hint::black_box(none);
    }
    none
}

/// Records a site in the running frame, if there is a recorder.
///
/// # Safety
/// Both are alive, or the first is [`NOBODY`]; the GIL is held, and whoever comes here uses the recorder no more.
#[inline(never)]
pub(super) unsafe extern "C" fn arrive(
    recorder: *mut Recorder,
    site: *const PlannedSite,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract.
    let (py, site) = unsafe { (Python::assume_attached(), &*site) };
    if std::ptr::eq(recorder, NOBODY) {
        return new_none();
    }
    // SAFETY: by the contract.
    let recorder = unsafe { &mut *recorder };
    at_work(py, || {
        if let Some(frame) = Frame::current(py) {
            recorder.arrive_quickly(py, site, frame);
        }
    });
    new_none()
}

/// Records a site that is not where the last one led before, if nothing else about it is special.
///
/// # Safety
/// As for [`arrive`], and the frame on top is running.
#[inline(never)]
unsafe extern "C" fn turn_off<const CAPTURES: usize>(
    recorder: *mut Recorder,
    site: *const PlannedSite,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract; the shadow as in `go_on_quickly`.
    let (py, recorder, site, top) = unsafe {
        let top = &mut *(*recorder).top;
        (Python::assume_attached(), &mut *recorder, &*site, top)
    };
    // SAFETY: as in `fire_straight`.
    let mut to = Short::new(unsafe { recorder.store.short(recorder.at) });
    let number = SiteNumber(site.number.get());
    if !to.made(site.said.get()) || !top.last.at_once().corrects(number) {
        // SAFETY: both are alive; nothing has been committed.
        return unsafe { arrive(recorder, site) };
    }
    let frame = on_top(recorder, top);
    write::<CAPTURES>(py, recorder, site, top, frame, to)
}

/// Records a site behind an instruction that may have changed something, if what it has changed is seen at once.
///
/// # Safety
/// As for [`turn_off`].
#[inline(never)]
unsafe extern "C" fn look<const CAPTURES: usize>(
    recorder: *mut Recorder,
    site: *const PlannedSite,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract; the shadow as in `go_on_quickly`.
    unsafe {
        match look_in_place(recorder, (*recorder).top) {
            true => go_on::<CAPTURES>(recorder, site),
            false => look_further(recorder, site),
        }
    }
}

/// The same behind that.
///
/// # Safety
/// As for [`turn_off`].
#[inline(never)]
unsafe extern "C" fn go_on<const CAPTURES: usize>(
    recorder: *mut Recorder,
    site: *const PlannedSite,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract; the shadow as in `go_on_quickly`.
    let (py, recorder, site, top) = unsafe {
        let Some(top) = (*recorder).top.as_mut() else {
            return arrive(recorder, site);
        };
        (Python::assume_attached(), &mut *recorder, &*site, top)
    };
    if !top.last.at_once().is(SiteNumber(site.number.get())) {
        // SAFETY: both are alive.
        return unsafe { turn_off::<CAPTURES>(recorder, site) };
    }
    let frame = on_top(recorder, top);
    // SAFETY: as in `fire_straight`; before the limit, which is farther from the end, there has been room for what has changed, too.
    let to = Short::new(unsafe { recorder.store.short(recorder.at) });
    write::<CAPTURES>(py, recorder, site, top, frame, to)
}

/// Writes what the last instruction of a frame may have changed, as far as that is seen at once. Whether it is, all of it; otherwise what has been written is not seen to have changed again.
///
/// # Safety
/// As for [`turn_off`]; the shadow is that of the frame on top, or NULL.
#[inline(never)]
pub(super) unsafe fn look_in_place(recorder: *mut Recorder, shadow: *mut Shadow) -> bool {
    // SAFETY: by the contract.
    let (py, recorder, shadow) = unsafe {
        let Some(shadow) = shadow.as_mut() else {
            return false;
        };
        (Python::assume_attached(), &mut *recorder, shadow)
    };
    let (touched, newest) = shadow.touched();
    let is_done = match *touched {
        [(object, _)] => look_at(py, recorder, object, newest),
        _ => look_at_all(py, recorder, touched, newest),
    };
    if is_done {
        shadow.forget_touched();
    }
    is_done
}

/// The same of one object.
#[inline(always)]
fn look_at(
    py: Python<'_>,
    recorder: &mut Recorder,
    object: *mut ffi::PyObject,
    newest: u64,
) -> bool {
    if recorder.at >= recorder.limit {
        return false;
    }
    if object.is_null() {
        recorder.note_time();
        return true;
    }
    // SAFETY: there is room: the limit is that far from the end of the memory, and farther.
    let mut to = Short::new(unsafe { recorder.store.short(recorder.at) });
    let is_done = recorder.pen.update_in_place(py, &mut to, object, newest);
    if is_done {
        recorder.at += to.len();
    }
    is_done
}

/// The same of any number.
#[inline(never)]
fn look_at_all(
    py: Python<'_>,
    recorder: &mut Recorder,
    touched: &[(*mut ffi::PyObject, usize)],
    newest: u64,
) -> bool {
    let mut touched = touched.iter();
    touched.all(|&(object, _)| look_at(py, recorder, object, newest))
}

/// The same of whatever the instruction may have changed, of which [`Pen::update_in_place`](super::pen::Pen::update_in_place) would say no more.
///
/// # Safety
/// As for [`turn_off`].
#[inline(never)]
unsafe extern "C" fn look_further(
    recorder: *mut Recorder,
    site: *const PlannedSite,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract.
    let (py, recorder, site) = unsafe { (Python::assume_attached(), &mut *recorder, &*site) };
    at_work(py, || {
        if let Some(frame) = Frame::current(py) {
            match recorder.look_further(py) {
                true => recorder.arrive_quickly(py, site, frame),
                false => recorder.start_over(py, site, frame),
            }
        }
    });
    new_none()
}

/// Notes the only object that the instruction behind a site may change, if it is none that is called.
///
/// # Safety
/// As for [`turn_off`], and there is such a slot.
#[inline(never)]
unsafe extern "C" fn touch_one(
    recorder: *mut Recorder,
    site: *const PlannedSite,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract; the shadow as in `go_on_quickly`.
    unsafe {
        if let Some(top) = (*recorder).top.as_mut() {
            let frame = on_top(&*recorder, top);
            (*recorder).pen.touch_one((*site).touch, frame, top);
        }
    }
    new_none()
}

/// Notes what the call behind a site may change, if it calls anything else than a function that tells of itself.
///
/// # Safety
/// As for [`turn_off`].
#[inline(never)]
unsafe extern "C" fn before_call(
    recorder: *mut Recorder,
    site: *const PlannedSite,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract; the shadow as in `go_on_quickly`.
    unsafe {
        let frame = on_top(&*recorder, &*(*recorder).top);
        match tells_of_itself(Python::assume_attached(), &*site, frame) {
            true => new_none(),
            false => finish(recorder, site),
        }
    }
}

/// Goes on with the captures of a site that has fired where one has not been written at once, if it is known: an int of any length, an object or a tuple that has been recorded in this
/// chunk, even if no id stands for it. So much has been done: the lowest byte says how many bytes have been written, the others how many captures. `has_int`: the next one is this int, which
/// [`Strides`](debugop_recording::stream::Strides) know of.
///
/// # Safety
/// As for [`turn_off`].
#[inline(never)]
unsafe extern "C" fn capture_known(
    recorder: *mut Recorder,
    site: *const PlannedSite,
    far: usize,
    has_int: bool,
    int: i64,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract; the shadow as in `go_on_quickly`.
    let (py, recorder, site, top) = unsafe {
        let Some(top) = (*recorder).top.as_mut() else {
            return new_none();
        };
        (Python::assume_attached(), &mut *recorder, &*site, top)
    };
    let index = far >> u8::BITS;
    // SAFETY: as in `fire_straight`.
    let mut to = Short::behind(unsafe { recorder.store.short(recorder.at) }, far as u8);
    if has_int {
        to.int(int);
    } else {
        let slot = site.few().get(index).copied().unwrap_or_default();
        // SAFETY: as in `record`.
        let content = unsafe { on_top(recorder, top).local(u32::from(slot)) };
        let Content::Object(object) = content else {
            // SAFETY: both are alive, and the frame is running.
            return unsafe { capture(recorder, site, far) };
        };
        let number = SiteNumber(site.number.get());
        if !recorder.put_known(py, object, number, index, &mut to) {
            // SAFETY: as above.
            return unsafe { capture(recorder, site, far) };
        }
    }
    if index + 1 < site.few().len() {
        // SAFETY: as above.
        return unsafe { capture_rest(recorder, site, to.len() | (index + 1) << u8::BITS) };
    }
    captured(recorder, site, ANY, to.len())
}

/// Goes on behind that. So much has been done: as for [`capture_known`].
///
/// # Safety
/// As for [`turn_off`].
#[inline(never)]
unsafe extern "C" fn capture_rest(
    recorder: *mut Recorder,
    site: *const PlannedSite,
    far: usize,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract; the shadow as in `go_on_quickly`.
    let (py, recorder, site, top) = unsafe {
        let Some(top) = (*recorder).top.as_mut() else {
            return new_none();
        };
        (Python::assume_attached(), &mut *recorder, &*site, top)
    };
    let frame = on_top(recorder, top);
    // SAFETY: as in `fire_straight`.
    let mut to = Short::behind(unsafe { recorder.store.short(recorder.at) }, far as u8);
    let rest = site.few().iter().enumerate().skip(far >> u8::BITS);
    for (index, &slot) in rest {
        if let Err((index, int)) = put(py, recorder, site, frame, (index, slot), &mut to) {
            let far = to.len() | index << u8::BITS;
            // SAFETY: both are alive, and the frame is running.
            return unsafe {
                capture_known(recorder, site, far, int.is_some(), int.unwrap_or_default())
            };
        }
    }
    captured(recorder, site, ANY, to.len())
}

/// The same of any. So much has been done: as for [`capture_known`].
///
/// # Safety
/// As for [`turn_off`].
#[inline(never)]
unsafe extern "C" fn capture(
    recorder: *mut Recorder,
    site: *const PlannedSite,
    far: usize,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract.
    let (py, recorder, site) = unsafe { (Python::assume_attached(), &mut *recorder, &*site) };
    at_work(py, || {
        // SAFETY: as in `go_on_quickly`.
        if let Some(top) = unsafe { recorder.top.as_mut() } {
            let frame = on_top(recorder, top);
            // SAFETY: as in `fire_straight`.
            let bytes = unsafe { recorder.store.short(recorder.at) };
            let to = Short::behind(bytes, far as u8);
            recorder.capture_from(py, site, frame, top, to, far >> u8::BITS);
        }
    });
    new_none()
}

/// What comes behind some records.
///
/// # Safety
/// As for [`turn_off`].
#[inline(never)]
pub(super) unsafe extern "C" fn finish(
    recorder: *mut Recorder,
    site: *const PlannedSite,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract.
    let (py, recorder, site) = unsafe { (Python::assume_attached(), &mut *recorder, &*site) };
    at_work(py, || {
        // SAFETY: as in `go_on_quickly`.
        if let Some(top) = unsafe { recorder.top.as_mut() } {
            let frame = on_top(recorder, top);
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
pub(super) fn at_work(py: Python<'_>, work: impl FnOnce()) {
    pending::set_busy(py, true);
    let done = catch_unwind(AssertUnwindSafe(work));
    pending::set_busy(py, false);
    if done.is_err() {
        give_up(py);
    }
}
