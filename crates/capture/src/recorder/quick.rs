//! The shortest way from a site to its record, for most of them: sites in the middle of what a frame executes, in the frame that has recorded
//! last, whose few captures are small ints, floats, constants and objects that have been seen lately. It writes the same bytes as
//! [`Recorder::record`], to which everything else is left.

use debugop_recording::stream::{Encoder, Last, ObjectId, Short, SiteNumber};
use pyo3::{Python, ffi};

use super::Recorder;
use super::pen::{Pen, small_int};
use super::planned::{FEW, PlannedSite};
use super::threads::Shadow;
use crate::frame::Frame;
use crate::layout::slot::Content;

const _: () = assert!(FEW <= Short::VALUES);

impl Recorder {
    /// Records a site, if that is quick; whether it has been recorded.
    #[inline]
    pub(super) fn record_quickly(
        &mut self,
        py: Python<'_>,
        site: &PlannedSite,
        frame: Frame<'_>,
    ) -> bool {
        // SAFETY: the shadow of the current thread's frame on top: whoever changes `threads` sets the pointer to NULL before, and so does
        // everybody who gets at the recorder by another way (`with_active`).
        let Some(top) = (unsafe { self.top.as_mut() }) else {
            return false;
        };
        if !site.is_quick.get()
            || top.address != frame.address()
            || top.copy != site.copy.get()
            || top.copy != frame.code_address()
            || self.state != frame.thread_state()
        {
            return false;
        }
        if top.has_touched() && !self.look_again(py, top) {
            return self.finish_long(py, site, frame);
        }
        // SAFETY: there is room as long as `top` is not NULL (`limit` is that far from the end of the memory), and behind what `look_again` and `write` have written.
        let mut to = Short::new(unsafe { self.store.short(self.at) });
        let number = SiteNumber(site.number.get());
        if !self
            .predictor
            .follows(Last::site(SiteNumber(top.last), false), number)
        {
            to.site(number);
        }
        top.last = number.0;
        top.reraises = PlannedSite::NO_UNIT;
        top.site = std::ptr::from_ref(site);
        let captures = site.few();
        if captures.is_empty() {
            to.hit();
        }
        for (index, &slot) in captures.iter().enumerate() {
            // SAFETY: as in `record`.
            let content = unsafe { frame.local(u32::from(slot)) };
            if let Content::Object(object) = content {
                // SAFETY: the slot keeps the object alive.
                if let Some(value) = unsafe { small_int(object) } {
                    to.captured_int(&mut self.strides, number, index, value);
                    continue;
                }
                // SAFETY: as above.
                if unsafe { self.pen.put_quickly(py, &mut to, object) } {
                    continue;
                }
            }
            self.at += to.len();
            if !self.write(py, content, number, index) {
                return self.finish_long(py, site, frame);
            }
            // SAFETY: as above.
            to = Short::new(unsafe { self.store.short(self.at) });
        }
        self.at += to.len();
        self.values += captures.len() as u64;
        self.records += 1;
        self.store.commit(self.at);
        if site.has_touches {
            self.pen.touch(py, site, frame, top);
        }
        if self.at >= self.limit {
            self.turn_or_wait(py, site, frame);
        }
        true
    }

    /// The time is to be told, or the chunk ends, as soon as it can.
    #[cold]
    #[inline(never)]
    fn turn_or_wait(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        self.top = std::ptr::null_mut();
        if site.ends_chunk {
            self.turn(py, site, frame);
        }
    }

    /// Writes what the last instruction has changed; whether that fitted, and a short record fits behind it.
    #[inline(never)]
    fn look_again(&mut self, py: Python<'_>, top: &mut Shadow) -> bool {
        let mut to = Encoder::new(self.store.bytes(), self.at);
        self.pen.look_again(py, &mut to, top);
        self.at = to.at();
        !to.overflowed() && self.store.has_room(self.at)
    }

    /// Writes a captured value that is not quick, behind what has been written of the record; whether it fitted, and a short record fits behind
    /// it.
    #[inline(never)]
    fn write(
        &mut self,
        py: Python<'_>,
        content: Content,
        number: SiteNumber,
        index: usize,
    ) -> bool {
        let mut to = Encoder::new(self.store.bytes(), self.at);
        let to = &mut to;
        let int = match content {
            Content::Object(object) => self.pen.captured(object),
            _ => None,
        };
        match (int, content) {
            (Some(value), _) => to.captured_int(&mut self.strides, number, index, value),
            (None, Content::Object(object)) => self.pen.other_value(py, to, object, 0),
            (None, content) => self.pen.slot(py, to, content),
        }
        self.at = to.at();
        !to.overflowed() && self.store.has_room(self.at)
    }

    /// There was no room for all of a record.
    #[cold]
    fn finish_long(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) -> bool {
        // SAFETY: as in `record_quickly`.
        if let Some(top) = unsafe { self.top.as_mut() } {
            top.reraises = PlannedSite::NO_UNIT;
            top.site = std::ptr::from_ref(site);
            self.pen.touch(py, site, frame, top);
        }
        self.values += site.captures.len() as u64;
        self.top = std::ptr::null_mut();
        self.overflow(py, site, frame);
        true
    }
}

impl Pen {
    /// Writes a value that is no small int if that is quick; whether it was.
    ///
    /// # Safety
    /// The object is alive.
    #[inline]
    unsafe fn put_quickly(
        &mut self,
        py: Python<'_>,
        to: &mut Short<'_>,
        object: *mut ffi::PyObject,
    ) -> bool {
        // SAFETY: by the contract; the field of an exact float is read.
        unsafe {
            let class = ffi::Py_TYPE(object);
            if class == &raw mut ffi::PyFloat_Type {
                to.float(ffi::PyFloat_AS_DOUBLE(object).to_bits());
            } else if let Some(entry) = self.identities.recent(py, object)
                && entry.epoch == self.chunk << 1 | 1
                && class != &raw mut ffi::PyTuple_Type
            {
                to.object(&mut self.recent, ObjectId(entry.id.get()));
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
