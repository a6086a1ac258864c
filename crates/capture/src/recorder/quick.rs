//! The shortest way from a site to its record, for most of them: sites in the middle of what a frame executes, in the frame that has recorded
//! last, where the last one led before, whose few captures are ints, floats, constants and objects that have been named lately. It
//! writes the same bytes as [`Recorder::record`], to which everything else is left.
//!
//! It calls nothing but to leave for good, and for what is rare, so that it needs few registers and little memory of its own.

use debugop_recording::stream::{Encoder, FrameNumber, Last, ObjectId, Short, SiteNumber};
use pyo3::{Python, ffi};

use super::Recorder;
use super::generators::Suspendable;
use super::pen::{Pen, small_int};
use super::pending::Intact;
use super::planned::{Arrival, FEW, PlannedSite, Way};
use super::threads::Shadow;
use crate::frame::Frame;
use crate::layout::slot::Content;

const _: () = assert!(FEW <= Short::VALUES);

/// What has called a frame.
struct Called {
    /// The recorded frame on top has ended or been suspended; else that is the caller.
    has_ended: bool,
    /// The unit that the caller is executing.
    unit: u32,
    /// Whether it has called the frame itself.
    is_direct: bool,
    /// Whether there may be changes to be told by an instruction of the caller before that.
    has_changed: bool,
    /// Whether what the instruction may change is changed by nobody but what is recorded.
    is_alone: bool,
    /// Whether values are pending that have not been told.
    is_untold: bool,
}

/// How far a record has been written.
struct Far {
    /// Where the next byte goes.
    at: usize,
    /// So many captures have been written.
    captures: usize,
}

impl Recorder {
    /// Records a site, quickly if it can.
    #[inline(always)]
    pub(super) fn record_quickly(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        // SAFETY: the shadow of the current thread's frame on top: whoever changes `threads` sets the pointer to NULL before, and so does
        // everybody who gets at the recorder by another way (`with_active`).
        let Some(top) = (unsafe { self.top.as_mut() }) else {
            return self.fire_slowly(py, site, frame);
        };
        let number = SiteNumber(site.number.get());
        if site.way.get() != Way::Step
            || top.address != frame.address()
            || top.copy != site.copy.get()
            || top.copy != frame.code_address()
            || self.state != frame.thread_state()
            || top.has_touched()
            || !self
                .predictor
                .predicts(Last::site(SiteNumber(top.last), false), number)
        {
            return self.arrive_quickly(py, site, frame);
        }
        // SAFETY: there is room as long as `top` is not NULL: `limit` is that far from the end of the memory.
        let to = Short::new(unsafe { self.store.short(self.at) });
        self.capture_quickly(py, site, frame, top, to);
    }

    /// Writes what comes before the captures: what the last instruction has changed, that a frame has started, gone on or ended, and a site that has
    /// not been expected.
    fn arrive_quickly(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        if frame.code_address() != site.copy.get() || self.state != frame.thread_state() {
            return self.fire_slowly(py, site, frame);
        }
        match site.way.get() {
            Way::Slow => self.fire_slowly(py, site, frame),
            Way::Step => self.go_on_quickly(py, site, frame),
            Way::Start | Way::Resume => self.begin_quickly(py, site, frame),
        }
    }

    /// The frame on top goes on, or the one below, which had called it.
    #[inline(never)]
    fn go_on_quickly(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        // SAFETY: as in `record_quickly`.
        let Some(top) = (unsafe { self.top.as_mut() }) else {
            return;
        };
        let has_ended = !top.is(frame);
        let mut to_pop = has_ended;
        if has_ended {
            let frames = &self.threads[self.current].frames[..];
            if !matches!(frames, [.., below, _] if below.is(frame)) {
                return self.fire_slowly(py, site, frame);
            }
        }
        if top.has_touched() && !self.look_again(py) {
            return self.start_over(py, site, frame);
        }
        if has_ended {
            self.pop_one();
            // SAFETY: as in `record_quickly`.
            if unsafe { self.top.as_ref() }.is_some_and(Shadow::has_touched) {
                self.write_pop();
                to_pop = false;
                if !self.look_again(py) {
                    return self.start_over(py, site, frame);
                }
            }
        }
        // SAFETY: as in `record_quickly`.
        let Some(top) = (unsafe { self.top.as_mut() }) else {
            return;
        };
        // SAFETY: as in `record_quickly`.
        let mut to = Short::new(unsafe { self.store.short(self.at) });
        if to_pop {
            to.pop_one();
        }
        let number = SiteNumber(site.number.get());
        if !self
            .predictor
            .follows(Self::last(top.last, has_ended), number)
        {
            to.site(number);
        }
        self.capture_quickly(py, site, frame, top, to);
    }

    /// A frame starts, or goes on after a suspension.
    #[inline(never)]
    fn begin_quickly(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        let is_resume = site.way.get() == Way::Resume;
        let Some(called) = self.called_quickly(py, frame) else {
            return self.fire_slowly(py, site, frame);
        };
        let number = match is_resume {
            false => self.next_frame,
            true => match self.generators.get(frame.address()) {
                Some(known)
                    if known.copy == frame.code_address() && known.chunk == self.pen.chunk =>
                {
                    known.number
                }
                _ => return self.fire_slowly(py, site, frame),
            },
        };
        let mut to_pop = called.has_ended;
        if called.has_ended {
            // SAFETY: as in `record_quickly`.
            let has_touched = unsafe { self.top.as_ref() }.is_some_and(Shadow::has_touched);
            if has_touched && !self.look_again(py) {
                return self.start_over(py, site, frame);
            }
            self.pop_one();
        }
        let mut has_told = false;
        if called.has_changed || called.is_untold {
            if to_pop {
                self.write_pop();
                to_pop = false;
            }
            if called.has_changed && !self.look_again(py) {
                return self.start_over(py, site, frame);
            }
            if called.is_untold {
                let mut to = Encoder::new(self.store.bytes(), self.at);
                has_told = self.tell(py, &mut to, called.unit, Intact::All);
                if to.overflowed() || !self.store.has_room(self.at) {
                    return self.start_over(py, site, frame);
                }
            }
        }
        // SAFETY: as in `record_quickly`.
        let Some(top) = (unsafe { self.top.as_mut() }) else {
            return;
        };
        if called.is_alone {
            top.has_called(py, site, frame, called.is_direct);
        }
        let last = Self::last(top.last, called.has_ended && !has_told);
        // SAFETY: as in `record_quickly`.
        let mut to = Short::new(unsafe { self.store.short(self.at) });
        if to_pop {
            to.pop_one();
        }
        match (is_resume, called.is_direct) {
            (false, true) => to.enter(called.unit),
            (false, false) => to.enter_foreign(called.unit),
            (true, true) => to.reenter(FrameNumber(number), called.unit),
            (true, false) => to.reenter_foreign(FrameNumber(number), called.unit),
        }
        if !is_resume {
            self.next_frame += 1;
            if frame.is_generators() {
                self.generators.insert(Suspendable {
                    address: frame.address(),
                    number,
                    copy: frame.code_address(),
                    chunk: self.pen.chunk,
                });
            }
        }
        let frames = &mut self.threads[self.current].frames;
        frames.push(Shadow::new(frame, site.code(), number));
        let Some(top) = frames.last_mut() else { return };
        self.top = top;
        let number = SiteNumber(site.number.get());
        if !self.predictor.follows(last, number) {
            to.site(number);
        }
        // SAFETY: as in `record_quickly`; of the shadow there is no other reference any more.
        if let Some(top) = unsafe { self.top.as_mut() } {
            self.capture_quickly(py, site, frame, top, to);
        }
    }

    /// What has called `frame`, if that is the frame on top or the one below that, and is as all are.
    ///
    /// As [`Thread::place`](super::threads::Thread::place): what stands between the two frames is not recorded, because what is below a recorded frame that is
    /// executed is what has been there when it was recorded.
    #[inline(always)]
    fn called_quickly(&self, py: Python<'_>, frame: Frame<'_>) -> Option<Called> {
        /// So many frames between the two are looked at.
        const FAR: usize = 5;
        let (top, others) = self.threads[self.current].frames.split_last()?;
        let mut found = frame;
        let mut distance = 0;
        let (shadow, has_ended) = loop {
            found = found.below()?;
            distance += 1;
            if found.is_pythons() {
                if top.is(found) {
                    break (top, false);
                }
                if let Some(next) = others.last()
                    && next.is(found)
                {
                    break (next, true);
                }
            }
            if distance == FAR {
                return None;
            }
        };
        let is_direct = distance == 1 && frame.direct_caller().is_some();
        if !is_direct && Self::is_the_debuggers(py, frame) {
            return None;
        }
        let offset = found.instruction_offset()?;
        // SAFETY: the code lives as long as a frame that runs it.
        let code = unsafe { &*shadow.code };
        let spot = code.spot(offset)?;
        let is_usual = shadow.reraises == PlannedSite::NO_UNIT
            && (is_direct && !has_ended || code.arrival(offset) == Arrival::Executing);
        if !is_usual {
            return None;
        }
        let is_touching = shadow.is_touching(spot.unit);
        Some(Called {
            has_ended,
            unit: spot.unit,
            is_direct,
            has_changed: !is_touching && shadow.has_touched(),
            is_alone: is_touching
                && (is_direct || frame.maker().is_some_and(|maker| maker == found)),
            is_untold: spot.has_pending && shadow.told != spot.unit && shadow.told != Shadow::GONE,
        })
    }

    /// The frame on top has ended or been suspended.
    #[inline(always)]
    fn pop_one(&mut self) {
        let frames = &mut self.threads[self.current].frames;
        frames.pop();
        self.top = match frames.last_mut() {
            Some(top) => top,
            None => std::ptr::null_mut(),
        };
    }

    /// Says so, where something comes behind it that has no short form. There is room.
    #[inline]
    fn write_pop(&mut self) {
        // SAFETY: as in `record_quickly`, or because `look_again` has said so.
        let mut to = Short::new(unsafe { self.store.short(self.at) });
        to.pop_one();
        self.at += to.len();
    }

    /// There is not room any more for all of the record: the chunk ends.
    #[cold]
    #[inline(never)]
    fn start_over(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        self.at = self.store.capacity();
        self.fire_slowly(py, site, frame);
    }

    /// Writes the captures, and what comes behind them.
    #[inline(always)]
    fn capture_quickly(
        &mut self,
        py: Python<'_>,
        site: &PlannedSite,
        frame: Frame<'_>,
        top: &mut Shadow,
        mut to: Short<'_>,
    ) {
        let number = SiteNumber(site.number.get());
        top.last = number.0;
        top.reraises = PlannedSite::NO_UNIT;
        top.told = Shadow::NOT_TOLD;
        top.site = std::ptr::from_ref(site);
        let captures = site.few();
        if captures.is_empty() {
            to.hit();
        }
        for (index, &slot) in captures.iter().enumerate() {
            // SAFETY: as in `record`.
            let content = unsafe { frame.local(u32::from(slot)) };
            let is_written = match content {
                // SAFETY: the slot keeps the object alive.
                Content::Object(object) => match unsafe { small_int(object) } {
                    Some(value) => {
                        to.captured_int(&mut self.strides, number, index, value);
                        true
                    }
                    // SAFETY: as above.
                    None => match unsafe { self.pen.simple(py, object) } {
                        Some(value) => {
                            self.pen.put_simple(&mut to, value);
                            true
                        }
                        None => false,
                    },
                },
                Content::Null => {
                    to.null();
                    true
                }
                #[cfg(Py_3_14)]
                _ => false,
            };
            if !is_written {
                let far = Far {
                    at: self.at + to.len(),
                    captures: index,
                };
                return self.finish_slowly(py, site, frame, &far);
            }
        }
        self.at += to.len();
        self.values += captures.len() as u64;
        self.records += 1;
        self.store.commit(self.at);
        self.pen.touch_quickly(py, site, frame, top);
        if self.at >= self.limit {
            self.leave(py, site, frame);
        }
    }

    /// Writes the captures that are not quick, and what comes behind them.
    #[inline(never)]
    fn finish_slowly(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>, far: &Far) {
        let number = SiteNumber(site.number.get());
        let mut to = Encoder::new(self.store.bytes(), far.at);
        let to = &mut to;
        for (index, &slot) in site.captures.iter().enumerate().skip(far.captures) {
            // SAFETY: as in `record`.
            let content = unsafe { frame.local(slot) };
            let int = match content {
                Content::Object(object) => self.pen.captured(object),
                _ => None,
            };
            match (int, content) {
                (Some(value), _) => to.captured_int(&mut self.strides, number, index, value),
                (None, Content::Object(object)) => self.pen.other_value(py, to, object, 0),
                (None, content) => self.pen.slot(py, to, content),
            }
        }
        if to.overflowed() {
            return self.finish_long(py, site, frame);
        }
        self.at = to.at();
        self.values += site.captures.len() as u64;
        self.records += 1;
        self.store.commit(self.at);
        // SAFETY: as in `record_quickly`.
        if let Some(top) = unsafe { self.top.as_mut() } {
            self.pen.touch_quickly(py, site, frame, top);
        }
        if self.at >= self.limit {
            self.leave(py, site, frame);
        }
    }

    /// What is to be done behind some records: the time is to be told, or the chunk ends.
    #[cold]
    #[inline(never)]
    fn leave(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        self.top = std::ptr::null_mut();
        if site.ends_chunk {
            self.turn(py, site, frame);
        }
    }

    /// There was no room for all of a record.
    #[cold]
    fn finish_long(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        // SAFETY: as in `record_quickly`.
        if let Some(top) = unsafe { self.top.as_mut() } {
            self.pen.touch(py, site, frame, top);
        }
        self.values += site.captures.len() as u64;
        self.top = std::ptr::null_mut();
        self.overflow(py, site, frame);
    }
}

/// A value that is written in a few bytes, and for which nothing has to be described first.
#[derive(Clone, Copy)]
pub(super) enum Simple {
    Int(i64),
    Float(u64),
    Object(ObjectId),
    None,
    Bool(bool),
}

impl Pen {
    /// What there is to write of a value that is no `int`, if that is simple.
    ///
    /// # Safety
    /// The object is alive.
    #[inline(always)]
    pub(super) unsafe fn simple(
        &self,
        py: Python<'_>,
        object: *mut ffi::PyObject,
    ) -> Option<Simple> {
        // SAFETY: by the contract; the field of an exact float is read.
        unsafe {
            let class = ffi::Py_TYPE(object);
            if class == &raw mut ffi::PyFloat_Type {
                Some(Simple::Float(ffi::PyFloat_AS_DOUBLE(object).to_bits()))
            } else if let Some(id) = self.identities.recent(py, object, self.chunk << 1 | 1) {
                // Some tuples are used again for others.
                (class != &raw mut ffi::PyTuple_Type || self.is_same_tuple(py, object))
                    .then_some(Simple::Object(ObjectId(id.get())))
            } else if object == ffi::Py_None() {
                Some(Simple::None)
            } else if class == &raw mut ffi::PyBool_Type {
                Some(Simple::Bool(object == ffi::Py_True()))
            } else {
                None
            }
        }
    }

    /// Writes it.
    #[inline(always)]
    pub(super) fn put_simple(&mut self, to: &mut Short<'_>, value: Simple) {
        match value {
            Simple::Int(value) => to.int(value),
            Simple::Float(bits) => to.float(bits),
            Simple::Object(id) => to.object(&mut self.recent, id),
            Simple::None => to.none(),
            Simple::Bool(value) => to.bool(value),
        }
    }
}
