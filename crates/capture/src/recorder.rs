//! The recorder: writes down which planned sites fire and the values that are captured there.
//!
//! A planned site ([`planned`]) is a probe whose place the plan of the code object has chosen ([`debugop_bytecode::plan`]). When it
//! fires, [`Recorder::record`] appends one record to the stream ([`debugop_recording::stream`]): what happened to the thread's
//! frames since its last record ([`threads`]), what the last instruction changed, and the values ([`pen`], [`contents`]). Nothing
//! here runs code of the program, takes a lock or waits, but for a new chunk ([`keyframe`]).

use std::cell::Cell;
use std::ptr::NonNull;
use std::time::Duration;

use debugop_bytecode::{InstrIdx, SiteKind};
use debugop_filter::Pattern;
use debugop_recording::stream::{
    Encoder, FrameNumber, Progress, Reason, SiteNumber, Strides, WrittenBy,
};
use pyo3::{PyResult, Python, ffi};

use crate::current::Variable;
use crate::frame::Frame;
use crate::gil::GilCell;
use crate::layout::ThreadState;
use crate::layout::slot::Content;
use crate::output::{Listener, Stream};
use crate::probed::ProbedCode;
use crate::registry;
use crate::site::none;
use bounds::Bounds;
use clock::Clock;
use following::Followers;
use frames::Frames;
use generators::{Generators, Suspendable};
use greenlets::Stacks;
use pen::Pen;
use planned::IGNORED;
use threads::{Shadow, Thread};

mod arrive;
mod assigned;
mod begin;
mod bounds;
mod callables;
mod calls;
mod clock;
mod codes;
mod compare;
mod contents;
mod describe;
mod early;
mod following;
mod frames;
mod generators;
mod greenlets;
pub mod history;
mod identities;
mod in_place;
mod keyframe;
mod meet;
mod parts;
mod pen;
mod pending;
mod planned;
mod planned_site;
mod quick;
mod raised;
mod redacted;
mod refused;
mod rows;
mod running;
mod session;
mod shadows;
mod spots;
mod store;
mod straight;
mod threads;
mod through;
mod touched;
mod types;
mod witness;
mod words;

#[cfg(not(Py_3_13))]
pub(crate) use assigned::Locals;
pub use bounds::Most;
pub(crate) use calls::fire_beginning;
pub(crate) use early::telling;
pub use pen::Limits;
pub(crate) use pending::raising;
pub(crate) use planned::{Now, PlannedCode, PlannedSite};
pub(crate) use refused::{Told, refused};
#[cfg(Py_3_12)]
pub(crate) use running::{may_move, move_on, passes_over};
pub use session::{Plan, Session};
pub use store::Store;
pub(crate) use straight::{ANY, fire_guarded, fire_straight};
pub(crate) use threads::top_frame;
pub use witness::Witness;

/// A record that captures much is kept out of the last bytes of a chunk: a new one begins.
const RESERVE: usize = 64 << 10;

/// So large is a chunk, in bytes, if its keyframe is not more than half of that. Behind a larger one, of thousands of frames, as much follows: otherwise a
/// recording would be keyframes for the most part.
const CHUNK: usize = 192 << 10;

/// The time is told after so many bytes of the stream: some thousand records.
const TIME_EVERY: usize = 2 << 10;

/// Hears what the program writes.
struct Ear;

impl Listener for Ear {
    fn written(&self, py: Python<'_>, stream: Stream, bytes: &[u8]) {
        if !bytes.is_empty() {
            with_active(py, |recorder| recorder.output(py, stream, bytes));
        }
    }
}

/// Whether the short ways are open. A recorder begins with it.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Ready {
    /// The recorder's `state`, if `top` is not NULL; else NULL, which is no thread's.
    state: *mut ThreadState,
    /// Where the current thread's state is.
    running: Variable,
}

const _: () = assert!(
    std::mem::offset_of!(Recorder, ready) == 0 && align_of::<Recorder>() == align_of::<Ready>()
);

/// Records a run.
#[repr(C)]
pub struct Recorder {
    /// What sites ask first.
    ready: Ready,
    state: *mut ThreadState,
    /// The frame on top of the current thread, if sites in it may be recorded [quickly](quick) and there is [room](Store::has_room) for one at
    /// `at`; in `threads`, which nobody changes meanwhile. Else NULL.
    top: *mut Shadow,
    /// The frames that `top` is the last of, if that is not NULL.
    frames: *mut Frames,
    /// Where the next byte of the chunk goes.
    at: usize,
    /// Behind a record that ends after this the time is told, or the chunk ends.
    limit: usize,
    /// After so many bytes the chunk ends.
    full: usize,
    /// Records written.
    records: u64,
    followers: Followers,
    strides: Strides,
    store: Store,
    /// Values captured.
    values: u64,
    /// How often something could not be recorded.
    lost: u64,
    pen: Pen,
    threads: Vec<Thread>,
    /// Which of them is which.
    stacks: Stacks,
    /// The one that runs.
    current: usize,
    next_frame: u64,
    generators: Generators,
    /// Threads that a debugger has stopped.
    held: Vec<history::Held>,
    /// Whether code is recorded by the sites that are left while numbers are calculated with; not once locals may have been assigned from outside.
    calculates: bool,
    /// Whether what reports steps as well has no other tracer than a [`Witness`], which changes nothing.
    beside_witness: bool,
    /// What the chunk's beginning is to leave out, or has left out: a frame, by its address and that of its code, and its number.
    without: Option<(usize, usize, u64)>,
    /// Of the chunk that begins: a frame, by its address, that stands before this instruction; whether the site there [has fired](Progress::Ready).
    before: Option<(usize, InstrIdx, Progress)>,
    /// What is recorded at most, if not everything.
    bounds: Option<Box<Bounds>>,
    /// Of what is followed only functions that one of these names are recorded, if there are any.
    functions: Vec<Pattern>,
    /// Whether a frame has been made to go on at the `RESUME` with which it had started.
    has_begun_again: bool,
    /// Sites of handlers that have fired before their frames have come to them.
    early: Vec<early::Early>,
    /// Frames, by their addresses and those of their code, that have been assigned to before they have told of themselves.
    assigned: Vec<(usize, usize)>,
    /// Frames in which exceptions are on their way that what tells of instructions has raised.
    refused: Vec<refused::Refused>,
    /// Frames that another engine reports.
    begun: running::Begun,
    /// Numbers given to sites and code objects.
    sites: u32,
    codes: u32,
    clock: Clock,
    /// Nanoseconds after that, as last written.
    time: u64,
}

/// How a frame is left that another engine reports.
#[derive(Clone, Copy)]
struct Left {
    /// What leaves it.
    exception: *mut ffi::PyObject,
    /// The unit that has raised it first.
    unit: u32,
}

/// A recording that has come to its end.
pub struct Finished {
    /// What was written.
    pub store: Store,
    /// How many sites have fired.
    pub records: u64,
    /// How many values were captured.
    pub values: u64,
    /// How often something could not be recorded.
    pub lost: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// The recorder that runs in this process.
static ACTIVE: Active = Active(Cell::new(std::ptr::null_mut()));

/// The same; if there is none, what begins as one whose short ways are closed. Sites ask this, so they need not look whether there is one.
static READY: Active = Active(Cell::new(NOBODY));

/// Only its [`Ready`] may be read.
const NOBODY: *mut Recorder = (&raw const CLOSED).cast_mut().cast();

static CLOSED: Closed = Closed(Ready {
    state: std::ptr::null_mut(),
    running: Variable::UNKNOWN,
});

#[repr(transparent)]
struct Closed(Ready);

// SAFETY: nobody writes to it, and its pointer is NULL.
unsafe impl Sync for Closed {}

struct Active(Cell<*mut Recorder>);

// SAFETY: read and written with the GIL held only, and only in the main interpreter (see `GilCell`).
unsafe impl Sync for Active {}

/// Where the probes of new copies stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Density {
    /// Before every step, for tracers.
    Steps,
    /// Where the plan wants them, for a recorder.
    Planned,
    /// Both.
    Both,
}

static DENSITY: GilCell<Density> = GilCell::new(Density::Steps);

/// Where the probes of new copies stand.
pub(crate) fn density(py: Python<'_>) -> Density {
    DENSITY.get(py)
}

/// The recorder that has recorded [all it may](Most), until its recording is ended.
static ENDED: Active = Active(Cell::new(std::ptr::null_mut()));

/// In the child of a fork: the recorder of its parent, until it is [abandoned](Recorder::abandon).
static PARENTS: Active = Active(Cell::new(std::ptr::null_mut()));

/// A fork has made this process: from here on nothing is written to the parent's recording. Only stores pointers.
pub(crate) fn forked() {
    READY.0.set(NOBODY);
    let recorder = ACTIVE.0.replace(std::ptr::null_mut());
    if !recorder.is_null() {
        PARENTS.0.set(recorder);
    }
}

/// Whether a recording is being made.
pub fn is_active(_py: Python<'_>) -> bool {
    !ACTIVE.0.get().is_null()
}

/// Whether a recording is being made, or has recorded all it may and is to be ended.
pub fn is_being_made(py: Python<'_>) -> bool {
    is_active(py) || !ENDED.0.get().is_null() || session::is_kept(py)
}

/// Nothing more is recorded.
fn retire(py: Python<'_>) {
    READY.0.set(NOBODY);
    ENDED.0.set(ACTIVE.0.replace(std::ptr::null_mut()));
    session::wind_up_soon(py);
}

/// Runs `f` with the active recorder, if there is one.
fn with_active<R>(py: Python<'_>, f: impl FnOnce(&mut Recorder) -> R) -> Option<R> {
    // SAFETY: the pointer is that of a live box (`start`, `stop`); the GIL is held, and what runs with it neither gives the GIL up nor
    // runs code that comes here again.
    let recorder = unsafe { ACTIVE.0.get().as_mut()? };
    recorder.close();
    pending::set_busy(py, true);
    let done = f(recorder);
    pending::set_busy(py, false);
    Some(done)
}

/// Runs `f` with the active recorder's pen, if there is one.
fn with_pen<R>(py: Python<'_>, f: impl FnOnce(&mut Pen) -> R) -> Option<R> {
    // SAFETY: as in `with_active`.
    let recorder = unsafe { ACTIVE.0.get().as_mut()? };
    pending::set_busy(py, true);
    let done = f(&mut recorder.pen);
    pending::set_busy(py, false);
    Some(done)
}

/// The first planned site of a code object is reached: what there is to know of it is made, if a recording is.
pub(crate) fn plan(py: Python<'_>, code: &ProbedCode) {
    if is_active(py) {
        straight::at_work(py, || {
            code.plan_now(py);
        });
    }
}

/// A planned site is reached that may have more to do: recorded by the very functions that record where there is nothing else.
pub(crate) fn fire(py: Python<'_>, site: &PlannedSite) {
    // SAFETY: our own reference to None.
    unsafe { ffi::Py_DECREF(fire_now(py, site)) };
}

/// The same where another may fire in the place of the planned site, which is one of the plan's. Returns a new reference to None.
pub(crate) fn fire_now(py: Python<'_>, site: &PlannedSite) -> *mut ffi::PyObject {
    if !is_active(py) {
        return none();
    }
    let Some(site) = Frame::current(py).and_then(|frame| site.firing(py, frame)) else {
        return none();
    };
    // SAFETY: the site has so many captures.
    unsafe {
        match site.count() {
            0 => fire_straight::<0>(py, site),
            1 => fire_straight::<1>(py, site),
            2 => fire_straight::<2>(py, site),
            _ => fire_straight::<ANY>(py, site),
        }
    }
}

/// The recorder has failed: nothing is recorded any more. What was written stays readable.
#[cold]
pub(crate) fn give_up(py: Python<'_>) {
    // The file stays as if the process had been killed here.
    drop(Recorder::take(py));
    pending::set_busy(py, false);
}

/// A code object with planned sites is gone: no frame runs it.
pub(crate) fn forget(code: &PlannedCode) {
    // SAFETY: as in `with_active`: probed code is dropped with the GIL held.
    if let Some(recorder) = unsafe { ACTIVE.0.get().as_mut() } {
        recorder.close();
        for thread in &mut recorder.threads {
            for shadow in &mut thread.frames {
                if std::ptr::eq(shadow.code, code) {
                    shadow.address = Shadow::NOWHERE;
                }
            }
        }
    }
}

impl Recorder {
    /// A recorder that writes to `store`.
    ///
    /// # Errors
    /// `RuntimeError`: the interpreter is not as it should be.
    pub fn new(
        py: Python<'_>,
        store: Store,
        limits: Limits,
        redact: Vec<Pattern>,
    ) -> PyResult<Box<Self>> {
        Ok(Box::new(Self {
            pen: Pen::new(py, limits, redact)?,
            followers: Followers::default(),
            strides: Strides::new(1 << 12),
            limit: TIME_EVERY,
            full: CHUNK.min(limits.chunk),
            ready: Ready {
                state: std::ptr::null_mut(),
                running: Variable::found(py),
            },
            store,
            at: 0,
            threads: Vec::new(),
            stacks: Stacks::default(),
            current: usize::MAX,
            state: std::ptr::null_mut(),
            top: std::ptr::null_mut(),
            frames: std::ptr::null_mut(),
            next_frame: 0,
            generators: Generators::default(),
            held: Vec::new(),
            without: None,
            before: None,
            bounds: None,
            functions: Vec::new(),
            has_begun_again: false,
            early: Vec::new(),
            assigned: Vec::new(),
            refused: Vec::new(),
            begun: running::Begun::default(),
            calculates: true,
            beside_witness: false,
            sites: 0,
            codes: 0,
            clock: Clock::start(),
            time: 0,
            records: 0,
            values: 0,
            lost: 0,
        }))
    }

    /// Begins to record what sites fire from now on.
    ///
    /// # Errors
    /// The recorder itself, if a recording is being made already.
    pub fn start(py: Python<'_>, recorder: Box<Self>) -> Result<(), Box<Self>> {
        if is_being_made(py) {
            return Err(recorder);
        }
        for code in registry::all(py)
            .into_iter()
            .chain(crate::engine::observed(py))
        {
            if let Some(planned) = code.planned() {
                planned.reset(py);
            }
        }
        Followers::begin(py);
        let recorder = Box::into_raw(recorder);
        ACTIVE.0.set(recorder);
        READY.0.set(recorder);
        with_active(py, Self::begin);
        Ok(())
    }

    /// Ends that; what was written is in the store.
    pub fn stop(py: Python<'_>) -> Option<Finished> {
        with_active(py, |recorder| recorder.end(py));
        Self::take(py)
    }

    fn take(py: Python<'_>) -> Option<Finished> {
        READY.0.set(NOBODY);
        let mut recorder = ACTIVE.0.replace(std::ptr::null_mut());
        if recorder.is_null() {
            recorder = ENDED.0.replace(std::ptr::null_mut());
        }
        if recorder.is_null() {
            return None;
        }
        assigned::unwatch(py);
        // SAFETY: made by `Box::into_raw` in `start`, and taken out of both places once.
        let recorder = unsafe { Box::from_raw(recorder) };
        recorder.pen.identities.uninstall(py);
        Some(Finished {
            store: recorder.store,
            records: recorder.records,
            values: recorder.values,
            lost: recorder.lost,
            elapsed: recorder.clock.elapsed(),
        })
    }

    /// In the child of a fork: nothing is recorded any more, and nothing of what the parent's recorder holds is touched.
    pub fn abandon(py: Python<'_>) {
        let parents = PARENTS.0.replace(std::ptr::null_mut());
        if !parents.is_null() {
            ACTIVE.0.set(parents);
        }
        if let Some(finished) = Self::take(py) {
            finished.store.forget();
        }
    }

    #[inline(never)]
    fn fire_slowly(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        if site.number.get() >= IGNORED {
            if !self.meet(py, site) {
                return;
            }
            let Some(site) = site.firing(py, frame) else {
                return;
            };
            return self.fire_slowly(py, site, frame);
        }
        // `~site` outside of the code that it was made for.
        if frame.code_address() != site.copy.get() {
            return;
        }
        if site.kind == SiteKind::Handler && self.has_fired_early(site, frame) {
            return;
        }
        self.record(py, site, frame);
    }

    /// From now on everything is recorded by its whole plan.
    fn go_whole(&mut self, py: Python<'_>) {
        if std::mem::take(&mut self.calculates) {
            for code in registry::all(py) {
                if let Some(planned) = code.planned() {
                    planned.go_whole(py, false);
                }
            }
        }
    }

    #[inline]
    fn record(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        self.record_any(py, site, frame, None);
    }

    /// An exception leaves a frame that runs the original of its code.
    #[cold]
    fn record_left(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>, left: Left) {
        self.record_any(py, site, frame, Some(left));
    }

    #[inline(always)]
    fn record_any(
        &mut self,
        py: Python<'_>,
        site: &PlannedSite,
        frame: Frame<'_>,
        left: Option<Left>,
    ) {
        self.close();
        if self.is_too_deep(py, site, frame) {
            return;
        }
        let is_another = frame.thread_state() != self.state;
        if is_another && !self.goes_on(py, site, frame) {
            return;
        }
        let is_elsewhere = is_another || self.has_left_stack(py, site, frame);
        if is_elsewhere {
            self.leave_stack(py, frame);
        }
        let mut to = Encoder::new(self.store.bytes(), self.at);
        let to = &mut to;
        self.say_time(to);
        if is_elsewhere {
            self.switch(py, to, frame);
        }
        let top = self.threads[self.current].frames.last_mut();
        let last = match top {
            Some(top) if site.kind == SiteKind::Step && top.is(frame) => top.last.behind(false),
            _ if !is_another && Self::is_the_debuggers(py, frame) => return,
            _ => self.arrive(py, to, site, frame, left),
        };
        let thread = &mut self.threads[self.current];
        let Some(top) = thread.frames.last_mut() else {
            return;
        };
        if top.has_touched() {
            self.pen.look_again(py, to, top);
        }
        let number = SiteNumber(site.number.get());
        if !self.followers.follows(last, number) {
            to.site(number);
        }
        if site.captures.is_empty() {
            to.hit();
        }
        if let Some(left) = left {
            self.pen.other_value(py, to, left.exception, 0);
        } else if site.is_simple() {
            for (index, &slot) in site.captures.iter().enumerate() {
                // SAFETY: the plan names locals, and slots below the depth of the stack at the site; the frame runs the code that the
                // plan was made for.
                match unsafe { frame.local(slot) } {
                    Content::Object(object) => match self.pen.captured(object) {
                        Some(value) => {
                            to.captured_int(&mut self.strides, number, index, value);
                        }
                        None => self.pen.other_value(py, to, object, 0),
                    },
                    content => self.pen.slot(py, to, content),
                }
            }
        } else {
            self.pen.unusual(py, to, site, frame, &mut self.strides);
        }
        self.values += site.captures.len() as u64;
        (top.last, top.reraises) = (site.following.get(), site.reraises);
        top.told = site.told;
        let before = top.site;
        top.site = std::ptr::from_ref(site);
        if site.reraises != PlannedSite::NO_UNIT {
            top.exception = raised::on_top(site, frame);
        }
        if !site.touches.is_empty() {
            self.pen.touch(py, site, frame, top);
        }
        if to.overflowed() {
            self.overflow(py, site, frame);
            return;
        }
        self.records += 1;
        self.at = to.at();
        self.store.commit(self.at);
        if self.bounds.is_some() {
            // SAFETY: sites live as long as the frames in which they have fired.
            let last = unsafe { before.as_ref() };
            if self.is_enough(py, last, site, frame) {
                return;
            }
        }
        let begins = match self.assigned.is_empty() {
            true => None,
            false => self.begins_behind(py, site, frame),
        };
        if begins == Some(true) {
            self.next_chunk(py, Some((site, frame)));
        } else if self.at >= self.limit && site.ends_chunk {
            self.turn(py, site, frame);
        } else if begins.is_some() {
            self.close();
        } else if self.may_be_quick() {
            let frames = &mut self.threads[self.current].frames;
            (self.top, self.frames) = (frames.top(), frames);
            self.ready.state = self.state;
        }
    }

    /// Whether the next record may be written by a short way.
    #[inline]
    fn may_be_quick(&self) -> bool {
        let is_simple = self.pen.redacted.is_off() && !self.may_leave_past_all();
        is_simple && self.bounds.is_none() && self.store.has_room(self.at)
    }

    /// All sites go the general way, until one has gone it behind which others need not.
    #[inline(always)]
    fn close(&mut self) {
        self.top = std::ptr::null_mut();
        self.ready.state = std::ptr::null_mut();
    }

    /// Where the exception was raised, as the program would find it below an exception. Written, but for an `int`.
    #[cold]
    fn lasti(to: &mut Encoder<'_>, code: &PlannedCode, content: Content) -> Option<i64> {
        let shown = |units: i64| {
            let units = u32::try_from(units).ok()?;
            code.probed().shown_unit(units).map(i64::from)
        };
        match content {
            // SAFETY: a live object; of an exact int the digits are read.
            Content::Object(object) => match unsafe { pen::small_int(object) }.and_then(shown) {
                Some(units) => return Some(units),
                None => to.unknown(Reason::UNREADABLE),
            },
            #[cfg(Py_3_14)]
            Content::Tagged(units) => match shown(units as i64) {
                Some(units) => to.tagged_int(units),
                None => to.unknown(Reason::UNREADABLE),
            },
            _ => to.null(),
        }
        None
    }

    /// The record did not fit into what is left of the chunk.
    #[cold]
    fn overflow(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        self.next_chunk(py, Some((site, frame)));
        let mut to = Encoder::new(self.store.bytes(), self.at);
        to.lost(Reason::DROPPED);
        self.lost += 1;
        self.at = to.at();
        self.store.commit(self.at);
    }

    /// A record ends behind the limit: the chunk is nearly full, or the time is to be given.
    #[cold]
    fn turn(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        self.limit = self.full.min(self.at + TIME_EVERY);
        if self.at >= self.full {
            self.next_chunk(py, Some((site, frame)));
        } else {
            let now = self.now();
            let mut to = Encoder::new(self.store.bytes(), self.at);
            to.time(now - self.time);
            self.time = now;
            self.at = to.at();
        }
    }

    /// The program has written something.
    fn output(&mut self, py: Python<'_>, stream: Stream, bytes: &[u8]) {
        /// In one piece.
        const PIECE: usize = 16 << 10;
        if self.is_held_here(py) {
            // The debugger's own.
            return;
        }
        if self.current == usize::MAX {
            // No step has been recorded that it could belong to.
            return;
        }
        let by = self.writing(py);
        let mut to = Encoder::new(self.store.bytes(), self.at);
        let number = match stream {
            Stream::Output => 1,
            Stream::Error => 2,
        };
        for piece in bytes.chunks(PIECE) {
            // What comes after it until the next site needs room, too.
            if to.has_room(piece.len() + PIECE) {
                to.output(number, piece, by);
            } else {
                to.lost(Reason::TOO_LARGE);
                self.lost += 1;
                break;
            }
        }
        if !to.overflowed() {
            self.at = to.at();
            self.store.commit(self.at);
        }
    }

    /// The recorded frame in which the running thread is, and its instruction; `None` if there is none, or it is not in the middle of one.
    fn writing(&self, py: Python<'_>) -> Option<WrittenBy> {
        let innermost = Frame::current(py)?;
        let thread = self.threads.get(self.thread_of(py, innermost)?)?;
        std::iter::successors(Some(innermost), |frame| frame.previous()).find_map(|frame| {
            let mut frames = thread.frames.iter().rev();
            let shadow = frames.find(|shadow| shadow.is(frame))?;
            let by = || {
                Some(WrittenBy {
                    frame: FrameNumber(shadow.number),
                    unit: shadow.unit(frame)?,
                })
            };
            let is_inside = !shadow.is_traced(frame) && shadow.is_now(frame);
            Some(is_inside.then(by).flatten())
        })?
    }

    fn now(&self) -> u64 {
        self.clock.now()
    }
}

impl Pen {
    /// Captures of a site that tells where an exception was raised, or leaves some out.
    #[cold]
    #[inline(never)]
    fn unusual(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        site: &PlannedSite,
        frame: Frame<'_>,
        strides: &mut Strides,
    ) {
        let number = SiteNumber(site.number.get());
        for (index, &slot) in site.captures.iter().enumerate() {
            // SAFETY: as in `record`.
            let content = unsafe { frame.local(slot) };
            if site.redacts(index) {
                self.redact_slot(py, to, content);
                continue;
            }
            let small = match content {
                _ if site.lasti && index == 0 => match Recorder::lasti(to, site.code(), content) {
                    Some(units) => Some(units),
                    None => continue,
                },
                Content::Object(object) => self.captured(object),
                _ => None,
            };
            match small {
                Some(value) => to.captured_int(strides, number, index, value),
                None => self.slot(py, to, content),
            }
        }
    }
}

/// A thread's state by the frame that it runs.
impl Frame<'_> {
    #[inline]
    fn thread_state(self) -> *mut ThreadState {
        self.thread_address() as *mut ThreadState
    }

    pub(crate) fn native_thread(self) -> u64 {
        // SAFETY: the frame executes on this thread, so its state is alive.
        NonNull::new(self.thread_state())
            .map_or(0, |state| unsafe { state.as_ref() }.native_thread_id)
    }
}
