//! What a record says of frames before its site: called, ended, suspended, met in the middle.

use std::sync::Arc;

use debugop_bytecode::{Flow, InstrIdx, SiteKind};
use debugop_recording::stream::{Caller, FrameNumber, Prefix, Progress};

use super::ahead::is_unwound;
use super::{After, MOST_SPARE, Machine, Phase};
use crate::chunk::Described;
use crate::error::{Error, ErrorKind};
use crate::loss::{Loss, Lost};
use crate::segment::{From, To, call_of, flow, standing};
use crate::state::{Frame, Stepped};
use crate::value::Value;

impl Machine {
    pub(super) fn prefix(&mut self, index: usize, popping: u32) -> Result<(), Error> {
        self.later = None;
        if index >= self.record.prefixes.end {
            self.phase = Phase::Site;
            return Ok(());
        }
        self.phase = Phase::Prefix(index + 1, 0);
        self.state.late &= popping > 0;
        match self.state.chunk.prefix(index) {
            None => Ok(()),
            Some(&Prefix::Pop(count)) => {
                self.state.opaque = self.next_record;
                let left = match popping {
                    0 => {
                        self.state.late = self.values
                            && (self.are_called_by_others(count as usize)
                                || self.goes_on_opaquely(count as usize));
                        count
                    }
                    left => left,
                };
                if left > 1 {
                    self.phase = Phase::Prefix(index, left - 1);
                }
                self.pop()
            }
            Some(&Prefix::Enter(number, caller)) => {
                self.call(caller)?;
                let frame = self.new_frame(number, caller)?;
                self.entering = Some(frame);
                self.after = After::Push;
                Ok(())
            }
            Some(_) => self.rare_prefix(index),
        }
    }

    pub(super) fn rare_prefix(&mut self, index: usize) -> Result<(), Error> {
        let chunk = Arc::clone(&self.state.chunk);
        let Some(prefix) = chunk.prefix(index) else {
            return Ok(());
        };
        match prefix {
            Prefix::Pop(_) | Prefix::Enter(..) => {}
            Prefix::Reenter(number, caller) => {
                let missing = || self.error(ErrorKind::Reenter(number.0));
                if !self.state.suspended.contains_key(number) {
                    // Another thread has suspended it, and has had no record since.
                    let other = self.state.thread_of(*number).ok_or_else(missing)?;
                    self.state.current = other;
                    self.phase = Phase::Prefix(index, 0);
                    return self.leave_early();
                }
                self.state.switch(self.record.thread);
                let missing = self.error(ErrorKind::Reenter(number.0));
                let mut frame = self.state.suspended.remove(number).ok_or(missing)?;
                self.call(*caller)?;
                frame.caller = *caller;
                self.entering = Some(frame);
                self.after = After::Push;
            }
            Prefix::Attach(frame) => {
                let mut frame = self.known_frame(frame)?;
                if let Some(known) = self.state.suspended.get(&frame.number) {
                    frame.stepped = known.stepped;
                    frame.stepped_number = known.stepped_number;
                }
                self.attached(&mut frame);
                self.push(frame);
            }
            Prefix::Inside(unit) => self.call(Caller::Unit(*unit))?,
            Prefix::Told(unit) => self.told(*unit)?,
            Prefix::Stands(frame) => {
                let (unit, progress) = (frame.unit, frame.progress);
                self.stands(index, unit, progress)?;
            }
            Prefix::Raised(unit, progress) => self.raised = Some((*unit, *progress)),
            Prefix::Time(time) => self.state.time = *time,
            Prefix::Thread(thread) => {
                self.thread(thread)?;
            }
            Prefix::ThreadEnd(number) => {
                // Its frames have come to their end, unless the process ended them.
                self.state.switch(*number);
                if self.top().is_none() {
                    self.ended.push(*number);
                    self.state.switch(self.record.thread);
                } else {
                    self.phase = Phase::Prefix(index, 0);
                    if self.pop().is_err() {
                        self.popped();
                        self.after = After::Nothing;
                    }
                }
            }
            Prefix::Lost(reason) => {
                let what = Lost::of(*reason, self.record.thread, self.next_record == 1);
                let step = self.number;
                self.lost.push(Loss { step, what });
            }
            Prefix::Output(output) => self.writes(index, output),
        }
        Ok(())
    }

    /// Whether something else than a recorded frame has called one of so many frames on top.
    pub(super) fn are_called_by_others(&self, count: usize) -> bool {
        let thread = self.state.threads.get(self.state.current);
        let frames = thread.iter().flat_map(|thread| thread.frames.iter().rev());
        frames
            .take(count)
            .any(|frame| !matches!(frame.caller, Caller::Unit(_)))
    }

    /// Whether the frame below so many on top may have run anything after their end and before the record looked at what they have changed.
    fn goes_on_opaquely(&mut self, count: usize) -> bool {
        let thread = self.state.threads.get(self.state.current);
        let below = thread.and_then(|thread| thread.frames.iter().rev().nth(count));
        let Some(below) = below else {
            return false;
        };
        let site = self.record.site.and_then(|site| self.codes.site(site));
        let to = match (site, &self.record.pending) {
            (Some((code, index, _)), None) if code == below.code => To::Site(index),
            _ => return true,
        };
        let (from, done) = (below.from, below.done);
        let way = self.segments.find(&below.object, from, done, to);
        way.is_none_or(|way| self.segments.get(way).opaque_end > 0)
    }

    /// The frame on top ends or is suspended.
    pub(super) fn pop(&mut self) -> Result<(), Error> {
        self.after = After::Pop;
        let current = self.state.current;
        if let Some(thread) = self.state.threads.get_mut(current)
            && thread.left > 0
        {
            thread.left -= 1;
            self.after = After::Nothing;
            return Ok(());
        }
        self.run_out()
    }

    /// The frame on top goes to its end or suspension.
    pub(super) fn run_out(&mut self) -> Result<(), Error> {
        let Some(frame) = self.top() else {
            return Ok(());
        };
        if is_unwound(frame) {
            return Ok(());
        }
        self.go(To::Exit)
    }

    /// The frame on top ends or is suspended before the record comes that says so.
    pub(super) fn leave_early(&mut self) -> Result<(), Error> {
        self.run_out()?;
        self.after = After::LeaveEarly;
        Ok(())
    }

    pub(super) fn left_early(&mut self) {
        self.popped();
        let current = self.state.current;
        if let Some(thread) = self.state.threads.get_mut(current) {
            thread.left += 1;
        }
        self.state.switch(self.record.thread);
    }

    pub(super) fn popped(&mut self) {
        let current = self.state.current;
        let Some(thread) = self.state.threads.get_mut(current) else {
            return;
        };
        let Some(mut frame) = thread.frames.pop() else {
            thread.below = thread.below.saturating_sub(1);
            return;
        };
        if let Some(mut resolver) = self.resolver.take() {
            self.resolve_returned(&frame, &mut resolver);
            self.resolver = Some(resolver);
        }
        self.slots = self.slots.saturating_sub(frame.slots.len() + 8);
        match frame.done {
            Some(at) if flow(&frame.object, at) == Flow::Yield => {
                frame.from = From::In(at);
                frame.done = None;
                self.slots += frame.slots.len() + 8;
                self.state.suspended.insert(frame.number, frame);
            }
            _ => {
                if let Some(tally) = &mut self.tally
                    && frame.number < tally.first_frame
                {
                    tally.ended.push(frame.number);
                }
                if self.spare.len() < MOST_SPARE {
                    self.spare.push(frame.slots);
                }
            }
        }
    }

    pub(super) fn push(&mut self, frame: Frame) {
        if !self.state.suspended.is_empty() {
            self.state.suspended.remove(&frame.number);
        }
        self.state.switch(self.record.thread);
        let current = self.state.current;
        self.state.threads[current].frames.push(frame);
    }

    /// The recorded frame on top is in the middle of an instruction.
    pub(super) fn call(&mut self, caller: Caller) -> Result<(), Error> {
        self.state.opaque = self.next_record;
        let (Caller::Unit(unit) | Caller::Foreign(Some(unit))) = caller else {
            return Ok(());
        };
        let Some(frame) = self.top() else {
            return Ok(());
        };
        if is_unwound(frame) {
            // A trace function is told that it has.
            return Ok(());
        }
        let at = frame.object.at_unit(unit);
        match at.map(|at| call_of(&frame.object, at)) {
            Some(at) => self.go(To::In(at)),
            None => {
                let code = frame.code;
                Err(self.error(ErrorKind::Unit(code, unit)))
            }
        }
    }

    /// The recorded frame on top has come to an instruction, and what is told of that runs.
    fn told(&mut self, unit: u32) -> Result<(), Error> {
        self.state.opaque = self.next_record;
        let Some(frame) = self.top() else {
            return Ok(());
        };
        let code = Arc::clone(&frame.object);
        let at = self.instruction(&code, unit)?;
        self.go(To::Before(at))
    }

    /// The recorded frame on top has come to an instruction, what is told of that runs, and the prefix with this index says how the frame stands.
    fn stands(&mut self, index: usize, unit: u32, progress: Progress) -> Result<(), Error> {
        self.state.opaque = self.next_record;
        let Some(frame) = self.top() else {
            return Ok(());
        };
        let code = Arc::clone(&frame.object);
        self.later = Some(Described::Prefix(index));
        let to = match progress {
            Progress::Told => To::Told(self.unit(&code, unit)?),
            Progress::Ready => To::At(self.instruction(&code, unit)?),
            Progress::Executing => To::In(self.unit(&code, unit)?),
            Progress::Arrived => To::Before(self.instruction(&code, unit)?),
        };
        self.go(to)
    }

    pub(super) fn new_frame(
        &mut self,
        number: FrameNumber,
        caller: Caller,
    ) -> Result<Frame, Error> {
        let site = self.record.site.unwrap_or_default();
        let found = self.codes.site(site).map(|found| found.0);
        let code = found.ok_or_else(|| self.error(ErrorKind::NoFrame(site.0)))?;
        let object = self.code(code)?;
        let Some(at) = object.analysis().first_resume() else {
            return Err(self.error(ErrorKind::Code(code)));
        };
        let slots = match self.values {
            true => object.locals().slots as usize,
            false => 0,
        };
        self.count_slots(slots)?;
        let mut frame = Frame {
            number,
            code,
            slots: {
                let mut new = self.spare.pop().unwrap_or_default();
                new.clear();
                new.resize(slots, Value::Null);
                new
            },
            object,
            at,
            caller,
            from: From::Start,
            done: None,
            stepped: Stepped::Never,
            previous: Stepped::Never,
            stepped_number: None,
            previous_number: None,
        };
        self.capture(site, &mut frame);
        Ok(frame)
    }

    /// A frame is met where the record's site fires.
    pub(super) fn attached(&self, frame: &mut Frame) {
        let site = self.record.site.and_then(|site| self.codes.site(site));
        let Some((code, index, planned)) = site else {
            return;
        };
        let Some(next) = standing(&frame.object, index) else {
            return;
        };
        if frame.from != From::At(next) || frame.code != code {
            return;
        }
        frame.from = match planned.kind {
            // The RESUME has been executed.
            SiteKind::Resume if next.0 > 0 => From::At(InstrIdx(next.0 - 1)),
            _ => From::Fired(index),
        };
    }
}
