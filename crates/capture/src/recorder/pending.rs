//! Values that no site has looked at yet, when other code runs in the middle of an instruction, or the instruction raises.
//!
//! A plan leaves a value alone until the instruction comes that would lose it. Until then it is in its slot, but for two occasions, and at both
//! the slot is looked at before: when a recorded frame begins or goes on that the instruction has called ([`Recorder::enter`]); and when the
//! instruction raises, because the stack is unwound then. The interpreter makes an entry of the traceback first (`error` in `Python/ceval.c`,
//! 3.11-3.15), and for that it asks for memory of a certain size ([`crate::identity`]): that is when [`raising`] is called. What else has
//! this size does no harm: what is looked at once too often is the same.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use debugop_recording::stream::{Encoder, Reason};
use pyo3::Python;

use super::planned::PlannedCode;
use super::threads::{Caller, Shadow};
use super::{ACTIVE, Recorder, give_up};
use crate::frame::Frame;

/// What is left of a chunk for a record that comes between sites.
pub(super) const ROOM: usize = 24 << 10;

/// Whether the recorder is at work: what it allocates itself is no exception.
static BUSY: Busy = Busy(Cell::new(false));

struct Busy(Cell<bool>);

// SAFETY: read and written with the GIL held only; see `GilCell`.
unsafe impl Sync for Busy {}

/// Begins work of the recorder's, or ends it.
#[inline]
pub(super) fn set_busy(_py: Python<'_>, busy: bool) {
    BUSY.0.set(busy);
}

/// An entry of a traceback is about to be made, or something else of its size; or there is no memory for an object.
pub(crate) fn raising(py: Python<'_>, has_memory: bool) {
    if BUSY.0.get() {
        return;
    }
    // SAFETY: as in `with_active`: the recorder is not at work, and is not entered again until this is over.
    let Some(recorder) = (unsafe { ACTIVE.0.get().as_mut() }) else {
        return;
    };
    let Some(frame) = Frame::current(py) else {
        return;
    };
    // The interpreter makes the frame's object before the entry.
    if has_memory && !frame.has_object() {
        return;
    }
    set_busy(py, true);
    let told = catch_unwind(AssertUnwindSafe(|| recorder.tell_raising(py, frame)));
    set_busy(py, false);
    if told.is_err() {
        give_up(py);
    }
}

/// What of a frame is as it was when the instruction began.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Intact {
    /// All that is pending.
    All,
    /// The locals, and so many slots of the stack.
    Below(u32),
}

impl Shadow {
    /// Everything is known in the middle of this unit; see [`Shadow::told`].
    pub(super) const NOT_TOLD: u32 = u32::MAX;
    /// The frame is on its way out: what it had on its stack is gone.
    pub(super) const GONE: u32 = u32::MAX - 1;
    /// The frame has been made to go on at the `RESUME` with which it has started, and is not past that.
    pub(super) const AGAIN: u32 = u32::MAX - 2;

    /// Whether an exception has left it.
    pub(super) fn has_been_left(&self) -> bool {
        self.told == Self::GONE
    }

    /// The unit that the frame is in the middle of, if values are pending there that have not been told.
    fn untold(&self, frame: Frame<'_>) -> Option<u32> {
        if self.is_traced(frame) {
            return None;
        }
        let unit = self.unit(frame)?;
        self.is_untold(unit).then_some(unit)
    }

    /// Whether values are pending in the middle of a unit that have not been told.
    #[inline]
    pub(super) fn is_untold(&self, unit: u32) -> bool {
        // SAFETY: the code lives as long as a frame that runs it.
        let code = unsafe { &*self.code };
        self.told != unit && self.told != Self::GONE && code.has_pending(unit)
    }
}

impl Recorder {
    /// Tells what is pending in the frame on top of the current thread's, which has called the one that comes next; whether anything is.
    #[inline]
    pub(super) fn tell_caller(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        caller: &Caller,
    ) -> bool {
        let (Caller::Unit(unit) | Caller::Foreign(Some(unit))) = *caller else {
            return false;
        };
        let top = self.threads[self.current].frames.last();
        if !top.is_some_and(|top| top.is_untold(unit)) {
            return false;
        }
        self.tell(py, to, unit, Intact::All)
    }

    /// Tells what is pending in the frame on top of the current thread's, which is in the middle of `unit`: a record of its own. Whether it did.
    #[inline(never)]
    pub(super) fn tell(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        unit: u32,
        intact: Intact,
    ) -> bool {
        let Some(top) = self.threads[self.current].frames.last_mut() else {
            return false;
        };
        let (Some(address), Some(state)) = (
            NonNull::new(top.address as *mut _),
            NonNull::new(self.threads[self.current].state),
        ) else {
            return false;
        };
        // SAFETY: a frame of a live thread, which has been found on its stack and has begun.
        let frame = unsafe { Frame::at(address, state) };
        let Some(top) = self.threads[self.current].frames.last_mut() else {
            return false;
        };
        // SAFETY: the code lives as long as a frame that runs it.
        let code = unsafe { &*top.code };
        // A handler has left it.
        let is_over = intact != Intact::All;
        if !is_over && !code.is_inside(frame, unit) {
            return false;
        }
        top.told = unit;
        let intact = match intact {
            // If nobody says when exceptions are raised, the stack may have been unwound.
            Intact::All if !self.pen.identities.hears_of_tracebacks(py) => Intact::Below(0),
            intact => intact,
        };
        self.write_pending(py, to, code, frame, unit, intact);
        if !to.overflowed() {
            self.at = to.at();
        }
        true
    }

    fn write_pending(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        code: &PlannedCode,
        frame: Frame<'_>,
        unit: u32,
        intact: Intact,
    ) {
        let slots = code.pending(unit);
        let at = match self.pen.redacted.is_off() {
            true => None,
            false => code.probed().analysis().at_offset(unit * 2),
        };
        let end = match intact {
            Intact::All => u32::MAX,
            Intact::Below(depth) => code.locals() + depth,
        };
        let end = end.min(frame.most_slots());
        to.pending(unit, slots.len() as u64);
        for &slot in slots {
            if slot >= end {
                to.unknown(Reason::UNREADABLE);
            } else if !to.has_room(ROOM / 8) {
                to.unknown(Reason::TOO_LARGE);
            } else {
                // SAFETY: a local, or a slot of the stack that the plan says is live throughout the instruction, which the frame is in the
                // middle of; the stack has not been unwound.
                let content = unsafe { frame.local(slot) };
                if at.is_some() && self.pen.redacted.holds(code.number.get(), at, slot) {
                    self.pen.redact_slot(py, to, content);
                } else {
                    self.pen.slot(py, to, content);
                }
            }
        }
    }

    /// The running frame's instruction raises, perhaps.
    fn tell_raising(&mut self, py: Python<'_>, frame: Frame<'_>) {
        self.close();
        let Some(index) = self.thread_of(py, frame) else {
            return;
        };
        let thread = &self.threads[index];
        let Some(at) = thread.frames.iter().rposition(|shadow| shadow.is(frame)) else {
            return;
        };
        if thread.chunk != self.pen.chunk || thread.frames[at].untold(frame).is_none() {
            return;
        }
        if !self.tell_of(py, index, at, frame) {
            self.next_chunk(py, None);
        }
    }

    /// Tells what is pending in the recorded frame `at` of a thread; those above have ended. A record of its own. Whether it was not too large.
    pub(super) fn tell_of(
        &mut self,
        py: Python<'_>,
        index: usize,
        at: usize,
        frame: Frame<'_>,
    ) -> bool {
        match self.threads[index].frames[at].untold(frame) {
            Some(unit) => self.tell_in(py, index, at, frame, unit),
            None => true,
        }
    }

    /// The same if the frame is executing this unit, even if nothing is pending there.
    pub(super) fn tell_in(
        &mut self,
        py: Python<'_>,
        index: usize,
        at: usize,
        frame: Frame<'_>,
        unit: u32,
    ) -> bool {
        // SAFETY: the code lives as long as a frame that runs it.
        let code = unsafe { &*self.threads[index].frames[at].code };
        if !code.is_inside(frame, unit) {
            return true;
        }
        let mut to = Encoder::new(self.store.bytes(), self.at);
        let to = &mut to;
        if !to.has_room(ROOM) {
            return true;
        }
        if index != self.current {
            self.current = index;
            self.state = frame.thread_state();
            to.thread(debugop_recording::stream::ThreadNumber(
                self.threads[index].number,
            ));
        }
        self.pop_to(py, to, at + 1, None);
        if let Some(top) = self.threads[index].frames.last_mut()
            && !top.is_touching(unit)
        {
            self.pen.look_again(py, to, top);
        }
        self.tell(py, to, unit, Intact::All);
        self.store.commit(self.at);
        !to.overflowed()
    }

    /// Before the chunk ends: tells which threads have ended, since the next one does not know of them, and what is pending in the frames of
    /// those that do not run.
    pub(super) fn tell_waiting(&mut self, py: Python<'_>) {
        let mut to = Encoder::new(self.store.bytes(), self.at);
        if to.has_room(ROOM) {
            self.end_threads(py, &mut to);
        }
        if !to.overflowed() {
            self.at = to.at();
            self.store.commit(self.at);
        }
        let (current, state) = (self.current, self.state);
        for index in 0..self.threads.len() {
            if index == current || self.threads[index].chunk != self.pen.chunk {
                continue;
            }
            if let Some(&(at, frame)) = self.threads[index].live(py, None).last() {
                // Where it does not fit the next chunk knows.
                self.tell_of(py, index, at, frame);
            }
        }
        (self.current, self.state) = (current, state);
    }
}
