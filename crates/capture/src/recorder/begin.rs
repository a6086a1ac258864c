//! The shortest way for the first site of a frame, which starts or goes on after a suspension: see [`quick`](super::quick).
//!
//! Mostly it has been called by an instruction of the frame on top, behind the site that fired last there, by which that has called before: what there is to know of
//! the caller then is kept at that site ([`Calling`]).

use debugop_recording::stream::{Encoder, FrameNumber, Little, Short, SiteNumber};
use pyo3::Python;

use super::Recorder;
use super::generators::Suspendable;
use super::pending::Intact;
use super::planned::{Arrival, Calling, PlannedSite, Way};
use super::threads::Shadow;
use crate::frame::Frame;
use crate::whole;

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

impl Recorder {
    /// A frame starts, or goes on after a suspension.
    #[inline(always)]
    pub(super) fn begin_quickly(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        match site.way.get() {
            Way::Resume => self.resume_quickly(py, site, frame),
            _ => self.start_quickly(py, site, frame),
        }
    }

    /// A frame starts.
    #[inline(never)]
    fn start_quickly(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        // SAFETY: as in `go_on_quickly`.
        let Some(top) = (unsafe { self.top.as_mut() }) else {
            return;
        };
        let Some(calling) = Self::calling(top, frame) else {
            return self.begin_known(py, site, frame);
        };
        if calling.is_touching {
            top.has_called(py, site, frame, true);
        }
        let last = top.last.at_once();
        // SAFETY: as in `go_on_quickly`.
        let mut to = Short::new(unsafe { self.store.short(self.at) });
        to.enter(calling.unit);
        let number = self.next_frame;
        self.count_frame(frame);
        let top = self.add_frame(site, frame, number);
        let number = SiteNumber(site.number.get());
        if !self.followers.follows(last, number) {
            to.site(number);
        }
        self.capture_quickly(py, site, frame, top, to);
    }

    /// A frame goes on after a suspension.
    #[inline(never)]
    fn resume_quickly(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        // SAFETY: as in `go_on_quickly`.
        let Some(top) = (unsafe { self.top.as_mut() }) else {
            return;
        };
        let Some(calling) = Self::calling(top, frame) else {
            return self.begin_known(py, site, frame);
        };
        let Some(number) = self.suspended(frame) else {
            return self.begin_otherwise(py, site, frame);
        };
        if calling.is_touching {
            top.has_called(py, site, frame, true);
        }
        let last = top.last.at_once();
        // SAFETY: as in `go_on_quickly`.
        let mut to = Short::new(unsafe { self.store.short(self.at) });
        to.reenter(FrameNumber(number), calling.unit);
        let top = self.add_frame(site, frame, number);
        let number = SiteNumber(site.number.get());
        if !self.followers.follows(last, number) {
            to.site(number);
        }
        self.capture_quickly(py, site, frame, top, to);
    }

    /// What is known of the frame on top, if it has called `frame` itself, and in the same way as before: nothing is to be told of it.
    #[inline(always)]
    fn calling(top: &Shadow, frame: Frame<'_>) -> Option<Calling> {
        let caller = frame.direct_caller()?;
        if !top.is(caller) {
            return None;
        }
        // SAFETY: the site lives as long as the frame.
        let calling = unsafe { top.site.as_ref() }?.calling.get();
        // What else has been touched may have been changed before the frame has come to this instruction.
        let is_same = calling.at == caller.instruction_address()
            && (calling.is_touching || !top.has_touched());
        is_same.then_some(calling)
    }

    /// The number of a frame that has been suspended, if it is known in this chunk.
    #[inline(always)]
    fn suspended(&self, frame: Frame<'_>) -> Option<u64> {
        let (address, copy) = (frame.address(), frame.code_address());
        let known = self.generators.known(address, copy, self.pen.chunk)?;
        Some(known.number)
    }

    /// A new frame has got the next number.
    #[inline(always)]
    fn count_frame(&mut self, frame: Frame<'_>) {
        if frame.is_generators() {
            let (copy, chunk) = (frame.code_address(), self.pen.chunk);
            let one = Suspendable::new(frame.address(), self.next_frame, copy, chunk);
            self.generators.insert(one);
        }
        self.next_frame += 1;
    }

    /// The frame is on top now. What is returned is valid as long as `top` is.
    #[inline(always)]
    fn add_frame<'a>(
        &mut self,
        site: &PlannedSite,
        frame: Frame<'_>,
        number: u64,
    ) -> &'a mut Shadow {
        let frames = &mut self.threads[self.current].frames;
        (self.top, self.frames) = (frames.add(), frames);
        // SAFETY: as in `go_on_quickly`.
        let top = unsafe { &mut *self.top };
        top.begin(frame, site.code(), number);
        top
    }

    /// A frame starts, or goes on after a suspension, that C code or the making of an instance has called, or behind one that has ended or been
    /// suspended; the caller is known from last time.
    #[inline(never)]
    fn begin_known(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        // SAFETY: as in `record_quickly`; below the place of every frame there is another one.
        let (top, next) = unsafe { (&mut *self.top, &mut *self.top.sub(1)) };
        let Some(near) = frame.below() else {
            return self.begin_otherwise(py, site, frame);
        };
        let (found, is_near) = match near.is_pythons() && (top.is(near) || next.is(near)) {
            true => (near, true),
            false => match near.below() {
                Some(far) if far.is_pythons() => (far, false),
                _ => return self.begin_otherwise(py, site, frame),
            },
        };
        let has_ended = !top.is(found);
        if has_ended && (!next.is(found) || top.has_touched()) {
            return self.begin_otherwise(py, site, frame);
        }
        let caller = match has_ended {
            true => next,
            false => top,
        };
        // SAFETY: the site lives as long as the frame.
        let calling =
            unsafe { caller.site.as_ref() }.map_or(Calling::UNKNOWN, |last| last.calling.get());
        let is_resume = site.way.get() == Way::Resume;
        let number = match is_resume {
            true => self.suspended(frame),
            false => Some(self.next_frame),
        };
        let is_direct = is_near && frame.direct_caller().is_some();
        let (true, Some(number)) = (
            calling.at == found.instruction_address()
                && (calling.is_touching || !caller.has_touched())
                && (is_direct || !Self::is_the_debuggers(py, frame)),
            number,
        ) else {
            return self.begin_otherwise(py, site, frame);
        };
        if calling.is_touching && (is_direct || !is_near && frame.maker() == Some(found)) {
            caller.has_called(py, site, frame, is_direct);
        }
        let last = caller.last.behind(has_ended);
        // SAFETY: as in `record_quickly`.
        let mut to = Short::new(unsafe { self.store.short(self.at) });
        if has_ended {
            to.pop_one();
            self.pop_one();
        }
        match (is_resume, is_direct) {
            (false, true) => to.enter(calling.unit),
            (false, false) => to.enter_foreign(calling.unit),
            (true, true) => to.reenter(FrameNumber(number), calling.unit),
            (true, false) => to.reenter_foreign(FrameNumber(number), calling.unit),
        }
        if !is_resume {
            self.count_frame(frame);
        }
        let top = self.add_frame(site, frame, number);
        let number = SiteNumber(site.number.get());
        if !self.followers.follows(last, number) {
            to.site(number);
        }
        self.capture_quickly(py, site, frame, top, to);
    }

    /// A frame starts, or goes on after a suspension, that may have been called in any way.
    #[inline(never)]
    fn begin_otherwise(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) {
        let is_resume = site.way.get() == Way::Resume;
        let Some(called) = self.called_quickly(py, frame) else {
            return self.fire_slowly(py, site, frame);
        };
        let number = match is_resume {
            false => Some(self.next_frame),
            true => self.suspended(frame),
        };
        let Some(number) = number else {
            return self.fire_slowly(py, site, frame);
        };
        let mut to_pop = called.has_ended;
        if called.has_ended {
            // SAFETY: as in `go_on_quickly`.
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
        // SAFETY: as in `go_on_quickly`.
        let Some(top) = (unsafe { self.top.as_mut() }) else {
            return;
        };
        if called.is_alone {
            top.has_called(py, site, frame, called.is_direct);
        }
        let last = top.last.behind(called.has_ended && !has_told);
        // SAFETY: as in `go_on_quickly`.
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
            self.count_frame(frame);
        }
        let top = self.add_frame(site, frame, number);
        let number = SiteNumber(site.number.get());
        if !self.followers.follows(last, number) {
            to.site(number);
        }
        self.capture_quickly(py, site, frame, top, to);
    }

    /// What has called `frame`, if that is the frame on top or the one below that, and is as all are.
    ///
    /// As [`Thread::place`](super::threads::Thread::place): what stands between the two frames is not recorded, because what is below a recorded frame that is
    /// executed is what has been there when it was recorded.
    fn called_quickly(&self, py: Python<'_>, frame: Frame<'_>) -> Option<Called> {
        /// So many frames between the two are looked at.
        const FAR: usize = 5;
        // SAFETY: as in `go_on_quickly`; below the place of every frame there is another one.
        let (top, next) = unsafe { (&*self.top, &*self.top.sub(1)) };
        let mut found = frame;
        let mut distance = 0;
        let (shadow, has_ended) = loop {
            found = found.below()?;
            distance += 1;
            if found.is_pythons() {
                if top.is(found) {
                    break (top, false);
                }
                if next.is(found) {
                    break (next, true);
                }
            }
            if distance == FAR {
                return None;
            }
        };
        let is_direct = distance == 1 && frame.direct_caller().is_some();
        if !is_direct && (Self::is_the_debuggers(py, frame) || whole::is_telling(py)) {
            return None;
        }
        let offset = found.instruction_offset()?;
        // SAFETY: the code lives as long as a frame that runs it.
        let code = unsafe { &*shadow.code };
        let spot = code.spot(offset)?;
        let is_executing = code.arrival(offset) == Arrival::Executing;
        let is_usual =
            shadow.reraises == PlannedSite::NO_UNIT && (is_direct && !has_ended || is_executing);
        if !is_usual {
            return None;
        }
        let is_touching = shadow.is_touching(spot.unit);
        // SAFETY: the site lives as long as the frame.
        let last = unsafe { shadow.site.as_ref() };
        if let Some(last) = last
            && is_executing
            && !spot.has_pending
        {
            let enter = Little::enter(spot.unit);
            last.calling.set(match enter == Little::NONE {
                true => Calling::UNKNOWN,
                false => Calling {
                    at: found.instruction_address(),
                    unit: spot.unit,
                    enter,
                    is_touching,
                },
            });
        }
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
}
