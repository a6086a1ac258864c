//! The shortest way from a site to its record, for most of them: sites in the middle of what a frame executes, in the frame that has recorded
//! last, where the last one led before, whose few captures are ints, floats, constants and objects that have been named lately. It
//! writes the same bytes as [`Recorder::record`], to which everything else is left.
//!
//! It calls nothing but to leave for good, so that it needs few registers and no memory of its own.

use debugop_recording::stream::{Encoder, Last, ObjectId, Short, SiteNumber};
use pyo3::{Python, ffi};

use super::Recorder;
use super::pen::{Pen, small_int};
use super::planned::{FEW, PlannedSite};
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
    /// The next one is an int of which the strides have been told.
    is_told: bool,
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
        if !site.is_quick.get()
            || top.address != frame.address()
            || top.copy != site.copy.get()
            || top.copy != frame.code_address()
            || self.state != frame.thread_state()
            || !self
                .predictor
                .predicts(Last::site(SiteNumber(top.last), false), number)
        {
            return self.fire_slowly(py, site, frame);
        }
        if top.has_touched() {
            return self.look_again(py, site, frame);
        }
        top.last = number.0;
        top.reraises = PlannedSite::NO_UNIT;
        top.told = Shadow::NOT_TOLD;
        top.site = std::ptr::from_ref(site);
        // SAFETY: there is room as long as `top` is not NULL: `limit` is that far from the end of the memory.
        let mut to = Short::new(unsafe { self.store.short(self.at) });
        let captures = site.few();
        if captures.is_empty() {
            to.hit();
        }
        for (index, &slot) in captures.iter().enumerate() {
            // SAFETY: as in `record`.
            let content = unsafe { frame.local(u32::from(slot)) };
            let (mut is_written, mut is_told) = (false, false);
            if let Content::Object(object) = content {
                // SAFETY: the slot keeps the object alive.
                if let Some(value) = unsafe { small_int(object) } {
                    is_written = to.captured_int(&mut self.strides, number, index, value);
                    is_told = true;
                } else {
                    // SAFETY: as above.
                    is_written = unsafe { self.pen.put_quickly(py, &mut to, object) };
                }
            }
            if !is_written {
                let far = Far {
                    at: self.at + to.len(),
                    captures: index,
                    is_told,
                };
                return self.finish_slowly(py, site, frame, &far);
            }
        }
        self.at += to.len();
        self.values += captures.len() as u64;
        self.records += 1;
        self.store.commit(self.at);
        if site.has_touches || self.at >= self.limit {
            self.leave(py, site, frame);
        }
    }

    /// Writes what the last instruction has changed, then goes on.
    #[inline(never)]
    fn look_again(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        let mut to = Encoder::new(self.store.bytes(), self.at);
        // SAFETY: as in `record_quickly`.
        if let Some(top) = unsafe { self.top.as_mut() } {
            self.pen.look_again(py, &mut to, top);
        }
        if to.overflowed() || !self.store.has_room(to.at()) {
            self.finish_long(py, site, frame);
        } else {
            self.at = to.at();
            self.record_quickly(py, site, frame);
        }
    }

    /// Writes the captures that are not quick, and what comes behind them.
    #[inline(never)]
    fn finish_slowly(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>, far: &Far) {
        let number = SiteNumber(site.number.get());
        let mut to = Encoder::new(self.store.bytes(), far.at);
        let to = &mut to;
        let mut is_told = far.is_told;
        for (index, &slot) in site.captures.iter().enumerate().skip(far.captures) {
            // SAFETY: as in `record`.
            let content = unsafe { frame.local(slot) };
            let int = match content {
                Content::Object(object) => self.pen.captured(object),
                _ => None,
            };
            match (int, content) {
                (Some(value), _) if std::mem::take(&mut is_told) => to.int(value),
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
        if site.has_touches || self.at >= self.limit {
            self.leave(py, site, frame);
        }
    }

    /// What is to be done behind some records.
    #[inline(never)]
    fn leave(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        // SAFETY: as in `record_quickly`.
        if let Some(top) = unsafe { self.top.as_mut() }
            && site.has_touches
        {
            self.pen.touch(py, site, frame, top);
        }
        if self.at >= self.limit {
            self.top = std::ptr::null_mut();
            if site.ends_chunk {
                self.turn(py, site, frame);
            }
        }
    }

    /// There was no room for all of a record.
    #[cold]
    fn finish_long(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        // SAFETY: as in `record_quickly`.
        if let Some(top) = unsafe { self.top.as_mut() } {
            top.reraises = PlannedSite::NO_UNIT;
            top.told = Shadow::NOT_TOLD;
            top.site = std::ptr::from_ref(site);
            self.pen.touch(py, site, frame, top);
        }
        self.values += site.captures.len() as u64;
        self.top = std::ptr::null_mut();
        self.overflow(py, site, frame);
    }
}

impl Pen {
    /// Writes a value that is no small int if that is quick; whether it was.
    ///
    /// # Safety
    /// The object is alive.
    #[inline(always)]
    unsafe fn put_quickly(
        &self,
        py: Python<'_>,
        to: &mut Short<'_>,
        object: *mut ffi::PyObject,
    ) -> bool {
        // SAFETY: by the contract; the field of an exact float is read.
        unsafe {
            let class = ffi::Py_TYPE(object);
            if class == &raw mut ffi::PyFloat_Type {
                to.float(ffi::PyFloat_AS_DOUBLE(object).to_bits());
            } else if let Some(id) = self.identities.recent(py, object, self.chunk << 1 | 1) {
                // Some tuples are used again for others.
                return class != &raw mut ffi::PyTuple_Type
                    && to.object(&self.recent, ObjectId(id.get()));
            } else if object == ffi::Py_None() {
                to.none();
            } else if class == &raw mut ffi::PyBool_Type {
                to.bool(object == ffi::Py_True());
            } else {
                return false;
            }
        }
        true
    }
}
