//! The shortest way from a site to its record, for most of them: sites in the middle of what a frame executes, in the frame that has recorded
//! last, where the last one led before, whose few captures are ints, floats, constants and objects that have been named lately. It
//! writes the same bytes as [`Recorder::record`], to which everything else is left.
//!
//! It calls nothing but to leave for good, and for what is rare, so that it needs few registers and little memory of its own.

use debugop_recording::stream::{Encoder, ObjectId, Short, SiteNumber};
use pyo3::{Python, ffi};

use super::Recorder;
use super::compare::is_tuple_of;
use super::pen::{CONTENTS_RESERVE, Pen, small_int};
use super::planned::{FEW, PlannedSite, Way};
use super::threads::Shadow;
use crate::frame::Frame;
use crate::layout::LongObject;
use crate::layout::slot::Content;

const _: () = assert!(FEW <= Short::VALUES);

/// What has become of a capture.
pub(super) enum Put {
    Done,
    /// It is this int, which [`Strides`](debugop_recording::stream::Strides) know of by now and did not expect.
    Int(i64),
    /// Nothing yet. NULL: it is no object.
    Other(*mut ffi::PyObject),
}

/// How far a record has been written.
struct Far {
    /// Where the next byte goes.
    at: usize,
    /// So many captures have been written.
    captures: usize,
}

impl Recorder {
    /// Records a site, quickly if it can: writes what comes before the captures, that is, what the last instruction has changed, that a frame has
    /// started, gone on or ended, and a site that has not been expected.
    pub(super) fn arrive_quickly(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        if self.top.is_null()
            || frame.code_address() != site.copy.get()
            || self.state != frame.thread_state()
        {
            return self.fire_slowly(py, site, frame);
        }
        match site.way.get() {
            Way::Slow => self.fire_slowly(py, site, frame),
            Way::Step => self.go_on_quickly(py, site, frame),
            Way::Start | Way::Resume => self.begin_quickly(py, site, frame),
        }
    }

    /// The frame on top goes on, or the one below, which had called it.
    #[inline(always)]
    fn go_on_quickly(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        // SAFETY: the shadow of the current thread's frame on top: whoever changes `threads` sets the pointer to NULL before, and so does
        // everybody who gets at the recorder by another way (`with_active`).
        match unsafe { self.top.as_ref() }.is_some_and(|top| top.is(frame)) {
            true => self.step_quickly(py, site, frame),
            false => self.return_quickly(py, site, frame),
        }
    }

    /// The frame on top goes on, and its last instruction may have changed something, or it is not where it has been expected.
    #[inline(never)]
    fn step_quickly(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        // SAFETY: as in `go_on_quickly`.
        let Some(top) = (unsafe { self.top.as_mut() }) else {
            return;
        };
        if top.has_touched() && !self.look_again(py) {
            return self.start_over(py, site, frame);
        }
        // SAFETY: as in `go_on_quickly`.
        let mut to = Short::new(unsafe { self.store.short(self.at) });
        let number = SiteNumber(site.number.get());
        if !self.followers.follows(top.last.at_once(), number) {
            to.site(number);
        }
        self.capture_quickly(py, site, frame, top, to);
    }

    /// The frame on top has ended or been suspended, and the one below goes on.
    #[inline(never)]
    fn return_quickly(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        // SAFETY: as in `go_on_quickly`; below the place of every frame there is another one ([`Frames`](super::frames::Frames)).
        let (ended, top) = unsafe { (&*self.top, &mut *self.top.sub(1)) };
        if !top.is(frame) {
            return self.fire_slowly(py, site, frame);
        }
        if ended.has_touched() && !self.look_again(py) {
            return self.start_over(py, site, frame);
        }
        self.pop_one();
        let mut to_pop = true;
        if top.has_touched() {
            self.write_pop();
            to_pop = false;
            if !self.look_again(py) {
                return self.start_over(py, site, frame);
            }
        }
        // SAFETY: as in `go_on_quickly`.
        let mut to = Short::new(unsafe { self.store.short(self.at) });
        if to_pop {
            to.pop_one();
        }
        let number = SiteNumber(site.number.get());
        if !self.followers.follows(top.last.behind(true), number) {
            to.site(number);
        }
        self.capture_quickly(py, site, frame, top, to);
    }

    /// The frame on top, which has called nothing that is left, has ended or been suspended.
    #[inline(always)]
    pub(super) fn pop_one(&mut self) {
        self.threads[self.current].frames.pop();
        // SAFETY: as in `return_quickly`.
        self.top = unsafe { self.top.sub(1) };
    }

    /// Says so, where something comes behind it that has no short form. There is room.
    #[inline]
    pub(super) fn write_pop(&mut self) {
        // SAFETY: as in `go_on_quickly`, or because `look_again` has said so.
        let mut to = Short::new(unsafe { self.store.short(self.at) });
        to.pop_one();
        self.at += to.len();
    }

    /// There is not room any more for all of the record: the chunk ends.
    #[cold]
    #[inline(never)]
    pub(super) fn start_over(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        self.at = self.store.capacity();
        self.fire_slowly(py, site, frame);
    }

    /// Writes the captures, and what comes behind them.
    #[inline(always)]
    pub(super) fn capture_quickly(
        &mut self,
        py: Python<'_>,
        site: &PlannedSite,
        frame: Frame<'_>,
        top: &mut Shadow,
        mut to: Short<'_>,
    ) {
        top.has_fired(site);
        let captures = site.few();
        if captures.is_empty() {
            to.hit();
        }
        self.capture_from(py, site, frame, top, to, 0);
    }

    /// Writes the captures from that with this index on, and what comes behind them.
    #[inline(always)]
    pub(super) fn capture_from(
        &mut self,
        py: Python<'_>,
        site: &PlannedSite,
        frame: Frame<'_>,
        top: &mut Shadow,
        mut to: Short<'_>,
        first: usize,
    ) {
        let captures = site.few();
        for (index, &slot) in captures.iter().enumerate().skip(first) {
            // SAFETY: as in `record`.
            let content = unsafe { frame.local(u32::from(slot)) };
            let number = SiteNumber(site.number.get());
            match self.put_quickly(py, content, number, index, &mut to) {
                Put::Done => {}
                Put::Int(value) => to.int(value),
                Put::Other(object) => match self.put_rarely(py, site, object, index, to) {
                    Ok(longer) => to = longer,
                    Err(far) => return self.finish_slowly(py, site, frame, &far),
                },
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

    /// Captures what is in most slots.
    #[inline(always)]
    pub(super) fn put_quickly(
        &mut self,
        py: Python<'_>,
        content: Content,
        site: SiteNumber,
        capture: usize,
        to: &mut Short<'_>,
    ) -> Put {
        let object = match content {
            Content::Object(object) => object,
            Content::Null => {
                to.null();
                return Put::Done;
            }
            #[cfg(Py_3_14)]
            _ => return Put::Other(std::ptr::null_mut()),
        };
        // SAFETY: the slot keeps the object alive; fields of exact types are read.
        unsafe {
            let class = ffi::Py_TYPE(object);
            if class == &raw mut ffi::PyLong_Type {
                let Some(value) = (*object.cast::<LongObject>()).compact() else {
                    return Put::Other(object);
                };
                if !to.expected_int(&mut self.strides, site, capture, value)
                    && !to.little_int(value)
                {
                    return Put::Int(value);
                }
            } else if class == &raw mut ffi::PyFloat_Type {
                to.float(ffi::PyFloat_AS_DOUBLE(object).to_bits());
            } else if object == ffi::Py_None() {
                to.none();
            } else {
                // No id stands for a bool.
                if let Some(id) = self.pen.identities.standing_for(py, object).map(ObjectId) {
                    let recent = &mut self.pen.recent;
                    if to.recent_object(recent, id) || to.little_object(recent, id) {
                        return Put::Done;
                    }
                }
                if class != &raw mut ffi::PyBool_Type {
                    return Put::Other(object);
                }
                to.bool(object == ffi::Py_True());
            }
        }
        Put::Done
    }

    /// Captures what no id stands for, but is known all the same: an int of a few digits, an object that has been recorded in this chunk, a tuple that is still what it was then. Whether
    /// it is; otherwise nothing is written. NULL is not. Nothing here panics.
    #[inline(always)]
    pub(super) fn put_known(
        &mut self,
        py: Python<'_>,
        object: *mut ffi::PyObject,
        site: SiteNumber,
        capture: usize,
        to: &mut Short<'_>,
    ) -> bool {
        if object.is_null() {
            return false;
        }
        // SAFETY: the slot that it is in keeps the object alive; a field of an exact int is read.
        unsafe {
            if ffi::Py_TYPE(object) == &raw mut ffi::PyLong_Type {
                let Some(value) = (*object.cast::<LongObject>()).few_digits() else {
                    return false;
                };
                to.captured_int(&mut self.strides, site, capture, value);
                return true;
            }
        }
        let id = self.pen.known_at_once(py, object);
        if let Some(id) = id {
            to.object(&mut self.pen.recent, id);
        }
        id.is_some()
    }

    /// Captures what is not often met, and written in a few bytes or a new object; `object` is NULL if there is none. `Err`: how far the record has
    /// been written.
    #[inline(never)]
    fn put_rarely<'a>(
        &mut self,
        py: Python<'_>,
        site: &PlannedSite,
        object: *mut ffi::PyObject,
        capture: usize,
        mut to: Short<'a>,
    ) -> Result<Short<'a>, Far> {
        let as_it_was = Far {
            at: self.at + to.len(),
            captures: capture,
        };
        if object.is_null() {
            return Err(as_it_was);
        }
        // SAFETY: the slot that it is in keeps the object alive.
        if unsafe { ffi::Py_TYPE(object) } == &raw mut ffi::PyLong_Type {
            // SAFETY: as above.
            let Some(value) = (unsafe { small_int(object) }) else {
                return Err(as_it_was);
            };
            let number = SiteNumber(site.number.get());
            to.captured_int(&mut self.strides, number, capture, value);
            return Ok(to);
        }
        let mut further = Encoder::new(self.store.bytes(), as_it_was.at);
        let has_room = further.has_room(CONTENTS_RESERVE);
        match self.pen.is_usual(py, has_room, object) {
            Some(met) if self.pen.meet_opaque(py, &mut to, object, met) => return Ok(to),
            Some(met) => self.pen.meet(py, &mut further, object, met, 0),
            None => self.pen.object_again(py, &mut further, object, 0),
        }
        let to = further;
        if to.overflowed() {
            // Nothing is left for what has not been written.
            let at = self.store.capacity();
            return Err(Far { at, ..as_it_was });
        }
        let (at, next) = (to.at(), capture + 1);
        match Short::room_behind(at - self.at, site.captures.len() - next) {
            // SAFETY: there is room for a short record as long as there is for a little of one, and for that `limit` says so.
            Some(written) => Ok(Short::behind(unsafe { self.store.short(self.at) }, written)),
            None => Err(Far { at, captures: next }),
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
        // SAFETY: as in `go_on_quickly`.
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
    pub(super) fn leave(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        self.close();
        if site.ends_chunk {
            self.turn(py, site, frame);
        }
    }

    /// There was no room for all of a record.
    #[cold]
    fn finish_long(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        // SAFETY: as in `go_on_quickly`.
        if let Some(top) = unsafe { self.top.as_mut() } {
            self.pen.touch(py, site, frame, top);
        }
        self.values += site.captures.len() as u64;
        self.close();
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
    /// The id of an object that has been recorded in this chunk, and looked up lately; of a tuple, if it is what it was then.
    #[inline(always)]
    fn known_at_once(&mut self, py: Python<'_>, object: *mut ffi::PyObject) -> Option<ObjectId> {
        let now = self.identities.now_at_once(py)?;
        let entry = now.recent(object as usize)?;
        if entry.epoch != self.chunk << 1 | 1 {
            return None;
        }
        // SAFETY: a live object.
        let is_tuple = unsafe { ffi::Py_TYPE(object) } == &raw mut ffi::PyTuple_Type;
        if !is_tuple {
            self.identities.stand_for(py, object);
        } else if !self.is_tuple_still(py, object, entry.index) {
            return None;
        }
        Some(ObjectId(entry.id.get()))
    }

    /// Whether a tuple, whose entry has this index, is what it was when it was recorded, if that is seen at once.
    #[inline(never)]
    fn is_tuple_still(&mut self, py: Python<'_>, tuple: *mut ffi::PyObject, index: u32) -> bool {
        let (now, shadow) = (self.identities.now_at_once(py), self.shadows.find(index));
        let (Some(now), Some(shadow)) = (now, shadow) else {
            return false;
        };
        // SAFETY: a live object, as for `known_at_once`.
        let is_still = unsafe { is_tuple_of(now, tuple, shadow) };
        let deaths = now.deaths();
        if is_still && let Some(shadow) = self.shadows.find_mut(index) {
            shadow.deaths = deaths;
        }
        is_still
    }

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
                let is_tuple = class == &raw mut ffi::PyTuple_Type;
                if is_tuple && !self.is_same_tuple(py, object) {
                    return None;
                }
                if !is_tuple {
                    self.identities.stand_for(py, object);
                }
                Some(Simple::Object(ObjectId(id.get())))
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
