//! The recorded frames of each thread, as the stream knows them.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use debugop_bytecode::{Op, SiteKind};
use debugop_recording::stream::Progress;
use pyo3::{Python, ffi};

use super::following::{self, Following};
use super::frames::Frames;
use super::greenlets::{Innermost, Stack};
use super::planned::{self, Arrival, Callee, PlannedCode, PlannedSite};
use super::refused::Refused;
use crate::frame::Frame;
use crate::layout::{InterpreterFrame, ThreadState, VERSION};
use crate::whole;

/// How many objects an instruction may change that are looked at again afterwards.
pub(super) const TOUCHED: usize = 8;

/// A recorded frame. What comes and goes with it is in its first 64 bytes.
#[repr(C, align(64))]
pub(super) struct Shadow {
    /// Where it is; [`Self::NOWHERE`] when its code is gone, and it with it.
    pub(super) address: usize,
    /// The address of the probed copy that it runs.
    pub(super) copy: usize,
    pub(super) code: *const PlannedCode,
    pub(super) number: u64,
    /// The site that fired last, which lives as long as the frame; NULL if none has since the frame was pushed.
    pub(super) site: *const PlannedSite,
    /// What is known to follow the site that fired last in it, in this chunk; [nothing](following::nothing) for none.
    pub(super) last: &'static Following,
    /// The unit of the instruction behind that site, if it raises again; see [`PlannedSite`].
    pub(super) reraises: u32,
    /// The unit in the middle of which everything is known, [`Self::NOT_TOLD`], [`Self::GONE`] or [`Self::AGAIN`].
    pub(super) told: u32,
    /// How deep in trace functions the thread was when the frame came.
    tracing: i32,
    /// How many of `touched` there are.
    count: u8,
    /// Where its [`Suspendable`](super::generators::Suspendable) was when it last went on: no more than that, until it has been looked at.
    pub(super) suspended: u32,
    /// What the instruction at `reraises` raises again, by its address; 0 if it is not on the stack. Of no meaning without that.
    pub(super) exception: usize,
    /// The newest id before `touched`. Of no meaning without that.
    newest: u64,
    /// Objects that the next instruction may change, and where their memory begins.
    touched: [MaybeUninit<(*mut ffi::PyObject, usize)>; TOUCHED],
}

const _: () = assert!(std::mem::offset_of!(Shadow, count) < 64);

/// How deep in trace functions the frame's thread is.
fn tracing(frame: Frame<'_>) -> i32 {
    // SAFETY: a frame that executes has a thread, whose state is alive (3.11-3.15).
    unsafe { frame.thread_state().as_ref() }.map_or(0, |state| state.tracing)
}

impl Shadow {
    /// No frame's address, nor NULL, which a thread may have in place of a frame.
    pub(super) const NOWHERE: usize = usize::MAX;

    pub(super) fn new(frame: Frame<'_>, code: &PlannedCode, number: u64) -> Self {
        let mut made = Self::nobodys();
        made.begin(frame, code, number);
        // An engine that reports the frame does so in a trace function.
        made.tracing -= i32::from(code.probed().is_observed());
        made
    }

    /// That of no frame.
    pub(super) fn nobodys() -> Self {
        Self {
            address: Self::NOWHERE,
            copy: 0,
            code: std::ptr::null(),
            number: u64::MAX,
            site: std::ptr::null(),
            last: following::nothing(),
            reraises: PlannedSite::NO_UNIT,
            told: Self::NOT_TOLD,
            tracing: 0,
            count: 0,
            suspended: 0,
            exception: 0,
            newest: 0,
            touched: [const { MaybeUninit::uninit() }; TOUCHED],
        }
    }

    /// It is that of `frame` now, which runs a copy of `code`, whatever it was.
    #[inline(always)]
    pub(super) fn begin(&mut self, frame: Frame<'_>, code: &PlannedCode, number: u64) {
        self.address = frame.address();
        self.copy = frame.code_address();
        self.code = std::ptr::from_ref(code);
        self.number = number;
        self.site = std::ptr::null();
        self.last = following::nothing();
        self.reraises = PlannedSite::NO_UNIT;
        self.told = Self::NOT_TOLD;
        self.tracing = tracing(frame);
        self.count = 0;
    }

    /// The same, and `site` is the first to fire in it, about which nothing is special, and whose copy it runs.
    #[inline(always)]
    pub(super) fn begin_at(&mut self, frame: Frame<'_>, site: &PlannedSite, number: u64) {
        self.address = frame.address();
        self.copy = site.copy.get();
        self.code = std::ptr::from_ref(site.code());
        self.number = number;
        self.has_fired(site);
        self.tracing = tracing(frame);
        self.count = 0;
    }

    /// It runs the copy with the sites `to` now, which have the numbers of those that it had. A callback of the engine that has reported it has done that.
    #[cfg(Py_3_12)]
    pub(super) fn has_moved(&mut self, frame: Frame<'_>, from: &PlannedCode, to: &PlannedCode) {
        self.copy = frame.code_address();
        self.code = std::ptr::from_ref(to);
        self.tracing = tracing(frame) - 1;
        // SAFETY: the site lives as long as `from`.
        let fired = unsafe { self.site.as_ref() }.zip(from.sites.first());
        let index = fired.map(|(site, first)| site.number.get() - first.number.get());
        let same = index.and_then(|index| to.sites.get(index as usize));
        self.site = same.map_or(std::ptr::null(), std::ptr::from_ref);
    }

    /// The same of the frame that it was before that was suspended: `site` fires where it goes on.
    #[inline(always)]
    pub(super) fn goes_on_at(&mut self, frame: Frame<'_>, site: &PlannedSite) {
        debug_assert!(self.is(frame) && self.copy == site.copy.get());
        self.has_fired(site);
        self.tracing = tracing(frame);
        self.count = 0;
    }

    /// Whether a frame has stood in this place: then there is [one more](super::frames::Frames) above it.
    #[inline(always)]
    pub(super) fn has_been_used(&self) -> bool {
        self.address != Self::NOWHERE
    }

    /// A site about which nothing is special has fired in it, and nothing else is to be said of it.
    #[inline(always)]
    pub(super) fn has_fired(&mut self, site: &PlannedSite) {
        self.last = site.following.get();
        (self.reraises, self.told) = (PlannedSite::NO_UNIT, Self::NOT_TOLD);
        self.site = std::ptr::from_ref(site);
    }

    /// Whether a trace function is being told of the frame, which is this one and on top of its thread's: it may not have begun its instruction.
    pub(super) fn is_traced(&self, frame: Frame<'_>) -> bool {
        tracing(frame) > self.tracing
    }

    /// Whether the instruction at `unit` is the one that may change what has been touched.
    #[inline]
    pub(super) fn is_touching(&self, unit: u32) -> bool {
        // SAFETY: the site lives as long as the frame.
        unsafe { self.site.as_ref() }.is_some_and(|site| site.is_before(unit))
    }

    /// Whether it is this frame.
    #[inline]
    pub(super) fn is(&self, frame: Frame<'_>) -> bool {
        self.address == frame.address() && self.copy == frame.code_address()
    }

    /// The next instruction may change `object`, whose memory begins at `block`; ids up to `newest` have been given.
    #[inline]
    pub(super) fn touch(&mut self, object: *mut ffi::PyObject, block: usize, newest: u64) {
        if let Some(place) = self.touched.get_mut(usize::from(self.count)) {
            place.write((object, block));
            self.count += 1;
            self.newest = newest;
        }
    }

    /// The next instruction may take long: what time it is behind it is noted, by NULL among what it may change.
    #[inline]
    pub(super) fn may_wait(&mut self, newest: u64) {
        self.touch(std::ptr::null_mut(), 0, newest);
    }

    /// What the instruction may have changed, and the newest id before it.
    #[inline]
    pub(super) fn touched(&self) -> (&[(*mut ffi::PyObject, usize)], u64) {
        let touched = &self.touched[..usize::from(self.count)];
        // SAFETY: as many have been written; `MaybeUninit<T>` is laid out as `T`.
        let touched = unsafe { std::slice::from_raw_parts(touched.as_ptr().cast(), touched.len()) };
        (touched, self.newest)
    }

    /// Nothing may have been changed.
    #[inline]
    pub(super) fn forget_touched(&mut self) {
        self.count = 0;
    }

    #[inline]
    pub(super) fn has_touched(&self) -> bool {
        self.count > 0
    }

    /// Whether one of two has.
    #[inline(always)]
    pub(super) fn have_touched(&self, other: &Self) -> bool {
        self.count | other.count != 0
    }

    /// What the frame, which is this one and alive, is doing. `refused`: where what is told of instructions has raised.
    pub(super) fn doing(
        &self,
        py: Python<'_>,
        frame: Frame<'_>,
        refused: &[Refused],
    ) -> Option<(u32, Progress)> {
        // SAFETY: as in `unit`.
        let code = unsafe { &*self.code };
        let offset = frame.instruction_offset();
        let arrived = offset.and_then(|offset| code.arrived(offset));
        // What raises again, and what leaves the frame, makes it point to where that was raised first, which may have been there.
        let raises_again = |unit: u32| {
            self.has_been_left()
                || ![PlannedSite::NO_UNIT, unit].contains(&self.reraises)
                    && self.reraising().is_some()
        };
        if let Some(unit) = arrived.filter(|&unit| !raises_again(unit)) {
            return Some((
                unit,
                match self.is_at_handler(unit) {
                    // Its site has fired early.
                    true => Progress::Ready,
                    false => Progress::Arrived,
                },
            ));
        }
        // Up to 3.12 what is told of a jump finds the frame where that leads, which may be a probe behind the jump.
        let is_past = || offset.is_some_and(|offset| code.is_past(offset));
        let progress = match whole::told_of(py, frame) {
            // The step of its `RESUME` is reported behind that.
            _ if self.told == Self::AGAIN => Progress::Arrived,
            Some(whole::Instant::Line) if is_past() => Progress::Executing,
            Some(whole::Instant::Line) => Progress::Arrived,
            Some(whole::Instant::Instruction) => Progress::Told,
            #[cfg(Py_3_13)]
            Some(whole::Instant::Jump) => Progress::Executing,
            None => Progress::Executing,
        };
        let unit = self.unit(frame)?;
        // Until the exception has arrived somewhere, others are told of it where the frame still stands.
        let mut refused = refused.iter();
        let has_come = refused.find_map(|one| one.progress(frame, unit));
        Some((unit, has_come.unwrap_or(progress)))
    }

    /// Whether the site that fired last is that of the handler which begins at `unit`.
    fn is_at_handler(&self, unit: u32) -> bool {
        // SAFETY: the site lives as long as the frame.
        let site = unsafe { self.site.as_ref() };
        site.is_some_and(|site| site.kind == SiteKind::Handler && site.is_before(unit))
    }

    /// Nobody but it has called `frame`, in which `site` is the first to fire; `directly`, not [to make](Frame::maker) an instance.
    #[inline]
    pub(super) fn has_called(
        &mut self,
        py: Python<'_>,
        site: &PlannedSite,
        frame: Frame<'_>,
        directly: bool,
    ) {
        // What the called frame changes its own sites see, and no other code runs in the instruction.
        self.forget_touched();
        // SAFETY: the site lives as long as the frame.
        if let Some(calls) = unsafe { self.site.as_ref() }
            && directly
            && site.kind == SiteKind::Start
        {
            debug_assert!(site.copy.get() == frame.code_address());
            calls.has_called(py, site);
        }
    }

    /// The unit of the original that the frame, which is this one and alive, is executing.
    pub(super) fn unit(&self, frame: Frame<'_>) -> Option<u32> {
        debug_assert!(self.is(frame));
        if self.reraises != PlannedSite::NO_UNIT
            && let Some(unit) = self.reraising()
        {
            return Some(unit);
        }
        // SAFETY: the code lives as long as a frame that runs it.
        unsafe { (*self.code).unit(frame.instruction_offset()?) }
    }
}

impl PlannedSite {
    /// The instruction behind it has called a function, in whose frame `site` is the first to fire.
    #[inline(always)]
    pub(super) fn has_called(&self, py: Python<'_>, site: &PlannedSite) {
        if self.calls {
            let callee = Callee::Recorded(site.copy.get(), planned::deaths(py));
            self.callee.set(callee);
        }
    }
}

impl Shadow {
    /// Whether it is this frame, which is alive and may have stopped anywhere.
    ///
    /// A frame that is in a `RESUME`, and not for the second time (another thread runs meanwhile, or a finaliser or signal handler), or has not come to its first one, has
    /// not told of itself yet: then what is known is a frame that was there before, or the same one before it was suspended.
    pub(super) fn is_now(&self, frame: Frame<'_>) -> bool {
        self.is(frame) && !self.is_arriving(frame)
    }

    fn is_arriving(&self, frame: Frame<'_>) -> bool {
        let Some(offset) = frame.instruction_offset() else {
            return true;
        };
        // SAFETY: the code lives as long as a frame that runs it.
        let code = unsafe { &*self.code };
        code.arrival(offset) == Arrival::Arriving
            && self.told != Self::AGAIN
            && !self.raises_again_at(offset)
    }

    /// Whether the frame raises again behind its first `RESUME` what was raised at byte `offset`, or thrown into it there: it points there then.
    fn raises_again_at(&self, offset: u32) -> bool {
        if self.reraises == PlannedSite::NO_UNIT {
            return false;
        }
        // SAFETY: as in `is_arriving`.
        let code = unsafe { &*self.code };
        let analysis = code.probed().analysis();
        let at = code
            .unit(offset)
            .and_then(|unit| analysis.at_offset(unit * 2));
        at > analysis.first_resume() && self.reraising().is_some()
    }

    /// The unit of the `RERAISE` that the frame is executing, if it is. That makes the frame point to where the exception was raised first,
    /// and may run finalisers then (`Python/bytecodes.c`).
    #[cold]
    fn reraising(&self) -> Option<u32> {
        // SAFETY: as in `unit`.
        let analysis = unsafe { (*self.code).probed().analysis() };
        let instruction = analysis.get(analysis.at_offset(self.reraises * 2)?);
        let info = instruction.opcode.info(VERSION)?;
        (info.op == Op::Reraise).then_some(self.reraises)
    }
}

/// A thread that has recorded something.
pub(super) struct Thread {
    pub(super) state: *mut ThreadState,
    pub(super) native: u64,
    /// The one that its frames are on: a thread has another one in turn where there are greenlets.
    pub(super) stack: Stack,
    pub(super) number: u32,
    pub(super) name: Box<str>,
    /// The chunk in which it has been introduced last.
    pub(super) chunk: u32,
    /// Bottom first. What has ended since the thread last recorded is in it still.
    pub(super) frames: Frames,
    /// No frame below the one at this address is known: whoever has been looked for last, from right above it, has found none. 0: nobody has.
    bottom: Cell<usize>,
}

/// Where a frame stands that is not on top of the recorded ones.
pub(super) struct Place {
    /// How many recorded frames have ended or been suspended.
    pub(super) pops: u32,
    pub(super) caller: Caller,
}

/// What called a frame.
pub(super) enum Caller {
    /// This unit of the recorded frame below.
    Unit(u32),
    /// Something else; and the unit that the recorded frame below is at, if there is one.
    Foreign(Option<u32>),
    /// A trace function or the like is told that the recorded frame below has come to this unit, and has not begun it.
    Told(u32, Progress),
}

impl Thread {
    /// One without recorded frames, which has been introduced in `chunk`.
    pub(super) fn new(
        state: *mut ThreadState,
        native: u64,
        stack: Stack,
        number: u32,
        name: Option<String>,
        chunk: u32,
    ) -> Self {
        Self {
            state,
            native,
            stack,
            number,
            name: name.unwrap_or_default().into(),
            chunk,
            frames: Frames::default(),
            bottom: Cell::new(0),
        }
    }

    /// The same with these frames, bottom first.
    pub(super) fn with(self, frames: Frames) -> Self {
        Self { frames, ..self }
    }

    /// Where `frame`, which is not among the recorded ones, stands on them.
    #[inline]
    pub(super) fn place(&self, py: Python<'_>, frame: Frame<'_>, refused: &[Refused]) -> Place {
        if let Some(below) = frame.direct_caller()
            && let Some(top) = self.frames.last()
            && top.is(below)
            && let Some(unit) = top.unit(below)
        {
            let caller = Caller::Unit(unit);
            return Place { pops: 0, caller };
        }
        self.search(py, frame, refused)
    }

    #[cold]
    fn search(&self, py: Python<'_>, frame: Frame<'_>, refused: &[Refused]) -> Place {
        let nowhere = Place {
            pops: self.frames.len() as u32,
            caller: Caller::Foreign(None),
        };
        let mut below = frame.previous();
        let caller = below.map_or(0, Frame::address);
        if self.bottom.get() == frame.address() {
            self.bottom.set(caller);
            return nowhere;
        }
        let direct = frame.direct_caller().map(Frame::address);
        while let Some(found) = below {
            let is_known = |shadow: &Shadow| shadow.is_now(found);
            if let Some(at) = self.frames.iter().rposition(is_known) {
                let caller = match self.frames[at].doing(py, found, refused) {
                    Some((unit, Progress::Executing)) if direct == Some(found.address()) => {
                        Caller::Unit(unit)
                    }
                    Some((unit, Progress::Executing)) => Caller::Foreign(Some(unit)),
                    Some((unit, progress)) => Caller::Told(unit, progress),
                    None => Caller::Foreign(None),
                };
                let pops = (self.frames.len() - 1 - at) as u32;
                return Place { pops, caller };
            }
            below = found.previous();
        }
        // They stay unknown until one of them records, which looks here first.
        self.bottom.set(caller);
        nowhere
    }

    /// Where its frames end.
    fn innermost<'py>(&self, py: Python<'py>) -> Innermost<'py> {
        match is_alive(py, self.state, self.native) {
            true => self.stack.innermost(py, self.state),
            false => Innermost::Nothing,
        }
    }

    /// Whether none of its frames are there any more, and it does not run.
    pub(super) fn has_ended(&self, py: Python<'_>) -> bool {
        match self.innermost(py) {
            Innermost::Nothing => {
                !is_alive(py, self.state, self.native) || !self.stack.is_on(py, self.state)
            }
            Innermost::Frame(_) | Innermost::Unknown => false,
        }
    }

    /// Whether its frames are there and cannot be found.
    pub(super) fn is_hidden(&self, py: Python<'_>) -> bool {
        matches!(self.innermost(py), Innermost::Unknown)
    }

    /// Its recorded frames that have not ended, bottom first, if they can be found: which recorded one, and the frame.
    /// A site of `running` is firing: it has told of itself, wherever it stands.
    pub(super) fn live<'py>(
        &self,
        py: Python<'py>,
        running: Option<Frame<'_>>,
    ) -> Vec<(usize, Frame<'py>)> {
        let running = running.map(Frame::address);
        let mut live = Vec::new();
        let mut at = self.frames.len();
        let mut next = match self.innermost(py) {
            Innermost::Frame(frame) => Some(frame),
            Innermost::Nothing | Innermost::Unknown => None,
        };
        while let Some(frame) = next {
            if let Some(found) = self.frames[..at].iter().rposition(|shadow| {
                match running == Some(frame.address()) {
                    true => shadow.is(frame),
                    false => shadow.is_now(frame),
                }
            }) {
                live.push((found, frame));
                at = found;
            }
            next = frame.previous();
        }
        live.reverse();
        live
    }
}

/// The innermost Python frame of a thread.
///
/// # Safety
/// `state` is a live thread state of this interpreter; the GIL is held as long as the frame is used.
pub(crate) unsafe fn top_frame<'py>(state: *mut ThreadState) -> Option<Frame<'py>> {
    // SAFETY: by the contract: frames of threads that do not run stay as they are.
    unsafe {
        let raw: *mut InterpreterFrame = (*state).current_frame();
        let frame = Frame::at(NonNull::new(raw)?, NonNull::new(state)?);
        if frame.is_pythons() {
            Some(frame)
        } else {
            frame.previous()
        }
    }
}

unsafe extern "C" {
    /// `Include/cpython/pystate.h`; both only read.
    fn PyInterpreterState_ThreadHead(
        interpreter: *mut ffi::PyInterpreterState,
    ) -> *mut ffi::PyThreadState;
    fn PyThreadState_Next(state: *mut ffi::PyThreadState) -> *mut ffi::PyThreadState;
}

/// Whether there still is such a thread, with this number of the system's.
pub(super) fn is_alive(_py: Python<'_>, state: *mut ThreadState, native: u64) -> bool {
    // SAFETY: the GIL is held; states are taken out of the list by threads that hold it.
    unsafe {
        let mut one = PyInterpreterState_ThreadHead(ffi::PyInterpreterState_Get());
        while !one.is_null() {
            if one.cast() == state {
                return (*state).native_thread_id == native;
            }
            one = PyThreadState_Next(one);
        }
    }
    false
}
