//! The shortest way from a site to its record, for most of them: sites in the middle of what a frame executes, in the frame that has recorded
//! last, where the last one led before, whose few captures are ints, floats, constants and objects that have been named lately. It
//! writes the same bytes as [`Recorder::record`], to which everything else is left.
//!
//! It calls nothing but to leave for good, and for what is rare, so that it needs few registers and little memory of its own.

use debugop_recording::stream::{Encoder, FrameNumber, Last, ObjectId, Short, SiteNumber};
use pyo3::{Python, ffi};

use super::Recorder;
use super::pen::{Pen, small_int};
use super::planned::{FEW, PlannedSite, Way};
use super::threads::Shadow;
use crate::frame::Frame;
use crate::layout::slot::Content;

const _: () = assert!(FEW <= Short::VALUES);

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

    /// Writes what comes before the captures: what the last instruction has changed, that a frame has started or gone on which the one on top
    /// has called itself, or that it has ended, and a site that has not been expected.
    #[inline(never)]
    fn arrive_quickly(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        // SAFETY: as in `record_quickly`.
        let Some(top) = (unsafe { self.top.as_mut() }) else {
            return;
        };
        let is_resume = site.way.get() == Way::Resume;
        let is_start = is_resume || site.way.get() == Way::Start;
        if site.way.get() == Way::Slow
            || frame.code_address() != site.copy.get()
            || self.state != frame.thread_state()
        {
            return self.fire_slowly(py, site, frame);
        }
        let frames = &mut self.threads[self.current].frames;
        let (top, last, called) = if is_start {
            let below = frame.direct_caller().filter(|below| top.is(*below));
            let Some(unit) = below.and_then(|below| top.unit(below)) else {
                return self.fire_slowly(py, site, frame);
            };
            let changed = top.has_touched() && !top.is_touching(unit);
            if frame.is_generators() != is_resume || changed || top.is_untold(unit) {
                return self.fire_slowly(py, site, frame);
            }
            let number = match is_resume {
                false => {
                    self.next_frame += 1;
                    self.next_frame - 1
                }
                true => match self.generators.get(&frame.address()) {
                    Some(known)
                        if known.copy == frame.code_address() && known.chunk == self.pen.chunk =>
                    {
                        known.number
                    }
                    _ => return self.fire_slowly(py, site, frame),
                },
            };
            top.has_called(py, site, frame);
            let last = Last::site(SiteNumber(top.last), false);
            frames.push(Shadow::new(frame, site.code(), number));
            (frames.last_mut(), last, Some((unit, number)))
        } else {
            if top.has_touched() {
                return self.look_again(py, site, frame);
            }
            if top.is(frame) {
                let last = Last::site(SiteNumber(top.last), false);
                (Some(top), last, None)
            } else {
                let below = frames.len().checked_sub(2).and_then(|at| frames.get(at));
                if !below.is_some_and(|below| below.is(frame) && !below.has_touched()) {
                    return self.fire_slowly(py, site, frame);
                }
                frames.pop();
                let below = frames.last_mut();
                let last = below.as_ref().map_or(u32::MAX, |below| below.last);
                let last = Self::last(last, true);
                (below, last, None)
            }
        };
        let Some(top) = top else { return };
        // SAFETY: as in `record_quickly`.
        let mut to = Short::new(unsafe { self.store.short(self.at) });
        match called {
            Some((unit, number)) if is_resume => to.reenter(FrameNumber(number), unit),
            Some((unit, _)) => to.enter(unit),
            None if !std::ptr::eq(top, self.top) => to.pop_one(),
            None => {}
        }
        self.top = top;
        let number = SiteNumber(site.number.get());
        if !self.predictor.follows(last, number) {
            to.site(number);
        }
        // SAFETY: as above; of the shadow there is no other reference any more.
        if let Some(top) = unsafe { self.top.as_mut() } {
            self.capture_quickly(py, site, frame, top, to);
        }
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

    /// Writes what the last instruction has changed, then begins again.
    #[inline(never)]
    fn look_again(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        // SAFETY: as in `record_quickly`.
        if let Some(top) = unsafe { self.top.as_mut() } {
            let (touched, newest) = top.touched();
            for &(object, block) in touched {
                if self.store.has_room(self.at) {
                    // SAFETY: there is room.
                    let mut to = Short::new(unsafe { self.store.short(self.at) });
                    if self.pen.update_shortly(py, &mut to, object, block, newest) {
                        self.at += to.len();
                        continue;
                    }
                }
                let mut to = Encoder::new(self.store.bytes(), self.at);
                self.pen.update(py, &mut to, object, block, newest);
                self.at = match to.overflowed() {
                    true => self.store.capacity(),
                    false => to.at(),
                };
            }
            top.forget_touched();
        }
        if !self.store.has_room(self.at) {
            // What follows does not fit, either: the chunk ends.
            self.at = self.store.capacity();
            return self.fire_slowly(py, site, frame);
        }
        self.arrive_quickly(py, site, frame);
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
