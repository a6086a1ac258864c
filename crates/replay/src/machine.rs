//! Executes records: from one step to the next, or from one record to the next.

use std::collections::HashMap;
use std::sync::Arc;

use debugop_bytecode::{Flow, InstrIdx, Place, SiteKind, Version};
use debugop_recording::stream::{
    self, Caller, Contents, FrameNumber, Prefix, SiteNumber, ThreadNumber,
};

use crate::chunk::{Chunk, RecordRef};
use crate::code::{Code, Codes};
use crate::error::{Error, ErrorKind};
use crate::segment::{From, Op, SegmentId, Segments, Source, To, call_of, flow, standing};
use crate::state::{Frame, State, Thread};
use crate::value::Value;

/// Frames alive at once have at most so many slots.
const MOST_SLOTS: usize = 1 << 24;

/// A step: the frame on top of the thread is about to execute the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its number, from 0.
    pub number: u64,
    /// The thread.
    pub thread: ThreadNumber,
    /// The frame.
    pub frame: FrameNumber,
    /// The number of its code object.
    pub code: u32,
    /// The instruction.
    pub at: InstrIdx,
}

/// A state between two records, to which a machine can go back.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoint {
    /// Index of the record that comes next.
    pub(crate) record: usize,
    /// The step that comes next.
    pub(crate) number: u64,
    state: State,
    slots: usize,
}

/// An exception has left a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Unwound {
    /// The thread.
    pub thread: ThreadNumber,
    /// The frame.
    pub frame: FrameNumber,
    /// How many frames of the thread lie below it.
    pub depth: usize,
    /// The number of its code object.
    pub code: u32,
    /// The instruction that raised it.
    pub at: InstrIdx,
    /// The exception.
    pub exception: Value,
}

/// What follows a way.
#[derive(Debug, Default)]
enum After {
    #[default]
    Nothing,
    Pop,
    LeaveEarly,
    Push(Box<Frame>),
    /// The exception is handled at this site.
    Handle(u32),
}

/// A way that is being executed, by the frame on top.
#[derive(Debug)]
struct Run {
    segment: SegmentId,
    /// The next step.
    step: usize,
    /// Operations done.
    done: usize,
}

/// What comes next of a record.
#[derive(Debug)]
enum Phase {
    /// The prefix with this index; of a `POP`, so many frames are still to be popped.
    Prefix(usize, u32),
    /// The site itself.
    Site,
    /// The next record.
    End,
    /// No record is left; the thread with this index of the next chunk's keyframe.
    Finish(usize),
}

/// Replays one chunk after the other.
#[derive(Debug)]
pub struct Machine {
    codes: Arc<Codes>,
    segments: Segments,
    state: State,
    /// The step that comes next.
    number: u64,
    /// Index of the record that comes next.
    next_record: usize,
    record: RecordRef,
    phase: Phase,
    run: Option<Run>,
    after: After,
    raised: Option<u32>,
    /// In all frames of the chunk.
    slots: usize,
    /// A step has been presented and is still to be executed.
    presented: bool,
    /// What has left frames since the step before.
    unwound: Vec<Unwound>,
    /// All threads are where the next chunk begins.
    finished: bool,
}

impl Machine {
    /// At the beginning of a chunk, whose first step has this number.
    ///
    /// # Errors
    /// If the keyframe does not fit the code objects.
    pub fn new(codes: Arc<Codes>, chunk: Arc<Chunk>, first: u64) -> Result<Self, Error> {
        let record = RecordRef {
            offset: 0,
            site: None,
            thread: chunk.keyframe.current,
            prefixes: 0..0,
            values: 0..0,
        };
        let state = State {
            threads: Vec::new(),
            current: 0,
            suspended: HashMap::new(),
            cells: HashMap::new(),
            record: 0,
            updated: true,
            opaque: 0,
            time: chunk.keyframe.time,
            chunk,
        };
        let mut machine = Self {
            codes,
            segments: Segments::default(),
            state,
            number: first,
            next_record: 0,
            record,
            phase: Phase::End,
            run: None,
            after: After::Nothing,
            raised: None,
            slots: 0,
            presented: false,
            unwound: Vec::new(),
            finished: false,
        };
        machine.keyframe()?;
        Ok(machine)
    }

    /// Goes to the beginning of another chunk, keeping what has been compiled.
    ///
    /// # Errors
    /// As [`Machine::new`].
    pub fn enter(&mut self, chunk: Arc<Chunk>, first: u64) -> Result<(), Error> {
        let segments = std::mem::take(&mut self.segments);
        *self = Self::new(Arc::clone(&self.codes), chunk, first)?;
        self.segments = segments;
        Ok(())
    }

    /// The world now.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The code objects.
    pub fn codes(&self) -> &Arc<Codes> {
        &self.codes
    }

    /// The number of the step that [`Machine::next`] goes to.
    pub fn position(&self) -> u64 {
        self.number
    }

    /// Goes to the next step of the chunk, and stops before it is executed.
    ///
    /// # Errors
    /// The record that does not fit. The machine stays where it is.
    #[expect(clippy::should_implement_trait, reason = "it fails")]
    pub fn next(&mut self) -> Result<Option<Step>, Error> {
        self.unwound.clear();
        loop {
            if let Some(step) = self.run_to_step() {
                return Ok(Some(step));
            }
            if !self.proceed()? {
                return Ok(None);
            }
        }
    }

    /// The exceptions that have left frames between the step before and the step that [`Machine::next`] has gone to, in order; after its
    /// `None`, those at the chunk's end.
    pub fn unwound(&self) -> &[Unwound] {
        &self.unwound
    }

    /// Executes to the end of the record and returns the number of steps that come next; `None` at the chunk's end. After
    /// [`Machine::next`] the step that it stopped at is executed first.
    ///
    /// # Errors
    /// As [`Machine::next`].
    pub fn skip_record(&mut self) -> Result<Option<u64>, Error> {
        self.unwound.clear();
        let mut any = false;
        loop {
            any |= self.run.is_some();
            self.run_to_end();
            self.settle();
            if matches!(self.phase, Phase::End) && any {
                return Ok(Some(self.number));
            }
            if !self.proceed()? {
                return Ok(any.then_some(self.number));
            }
            any = true;
        }
    }

    /// Whether no record has been begun and not ended.
    pub(crate) fn is_between_records(&self) -> bool {
        self.run.is_none()
            && matches!(self.phase, Phase::End)
            && matches!(self.after, After::Nothing)
    }

    /// The state now; `None` within a record.
    pub(crate) fn checkpoint(&self) -> Option<Checkpoint> {
        self.is_between_records().then(|| Checkpoint {
            record: self.next_record,
            number: self.number,
            state: self.state.clone(),
            slots: self.slots,
        })
    }

    /// Goes back to a state of the same chunk.
    pub(crate) fn restore(&mut self, checkpoint: &Checkpoint) {
        self.state.clone_from(&checkpoint.state);
        self.number = checkpoint.number;
        self.next_record = checkpoint.record;
        self.slots = checkpoint.slots;
        self.phase = Phase::End;
        self.run = None;
        self.after = After::Nothing;
        self.raised = None;
        self.presented = false;
        self.unwound.clear();
        self.finished = false;
    }

    /// Index of the record that comes next.
    pub(crate) fn record_index(&self) -> usize {
        self.next_record
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error {
            chunk: self.state.chunk.number,
            offset: self.record.offset,
            kind,
        }
    }

    fn code(&self, number: u32) -> Result<Arc<Code>, Error> {
        let code = self.codes.get(number);
        code.cloned()
            .ok_or_else(|| self.error(ErrorKind::Code(number)))
    }

    fn keyframe(&mut self) -> Result<(), Error> {
        let chunk = Arc::clone(&self.state.chunk);
        for thread in &chunk.keyframe.threads {
            self.thread(thread)?;
        }
        self.state.switch(chunk.keyframe.current);
        Ok(())
    }

    fn thread(&mut self, thread: &stream::Thread) -> Result<(), Error> {
        let mut frames = Vec::new();
        for frame in &thread.frames {
            frames.push(self.known_frame(frame)?);
        }
        let new = Thread {
            number: thread.number,
            native: thread.native,
            name: thread.name.clone(),
            left: 0,
            below: thread.below,
            frames,
        };
        self.state.switch(thread.number);
        let current = self.state.current;
        self.state.threads[current] = new;
        Ok(())
    }

    fn known_frame(&mut self, frame: &stream::Frame) -> Result<Frame, Error> {
        let object = self.code(frame.code)?;
        let at = match frame.executing {
            true => self.unit(&object, frame.unit)?,
            false => self.instruction(&object, frame.unit)?,
        };
        let mut slots: Vec<Value> = frame.slots.iter().map(|&value| value.into()).collect();
        slots.truncate(self.most_slots(&object));
        self.count_slots(slots.len())?;
        Ok(Frame {
            number: frame.number,
            code: frame.code,
            object,
            slots,
            at,
            caller: Caller::Foreign(None),
            from: match frame.executing {
                true => From::In(at),
                false => From::At(at),
            },
            done: None,
        })
    }

    fn most_slots(&self, code: &Code) -> usize {
        code.locals().slots as usize + code.data().stack_size as usize
    }

    fn count_slots(&mut self, slots: usize) -> Result<(), Error> {
        self.slots += slots + 8;
        if self.slots > MOST_SLOTS {
            return Err(self.error(ErrorKind::TooManySlots(MOST_SLOTS)));
        }
        Ok(())
    }

    /// The instruction at a code unit; of a call's parts, the call.
    fn unit(&self, code: &Code, unit: u32) -> Result<InstrIdx, Error> {
        Ok(call_of(code, self.instruction(code, unit)?))
    }

    fn instruction(&self, code: &Code, unit: u32) -> Result<InstrIdx, Error> {
        let missing = || self.error(ErrorKind::Unit(code.data().number, unit));
        code.at_unit(unit).ok_or_else(missing)
    }

    #[inline]
    fn top(&mut self) -> Option<&mut Frame> {
        self.state.top()
    }

    /// Begins the next record.
    fn begin(&mut self) -> bool {
        let Some(record) = self.state.chunk.record(self.next_record) else {
            return false;
        };
        self.next_record += 1;
        self.state.record = self.next_record;
        self.state.updated = false;
        let known = self.state.thread().map(|(number, _)| number);
        if known != Some(record.thread) {
            // Other threads may have changed anything meanwhile.
            self.state.opaque = self.next_record;
        }
        self.state.switch(record.thread);
        self.raised = None;
        self.phase = Phase::Prefix(record.prefixes.start, 0);
        self.record = record;
        true
    }

    /// What follows the way that is over.
    fn settle(&mut self) {
        match std::mem::take(&mut self.after) {
            After::Nothing => {}
            After::Pop => self.popped(),
            After::LeaveEarly => self.left_early(),
            After::Push(frame) => self.push(*frame),
            After::Handle(site) => self.handled(site),
        }
    }

    /// Goes on with the record, or with the next one; `false` at the end.
    fn proceed(&mut self) -> Result<bool, Error> {
        self.settle();
        match self.phase {
            Phase::End => {
                if !self.begin() {
                    if self.state.chunk.following.is_none() || self.finished {
                        return Ok(false);
                    }
                    self.phase = Phase::Finish(0);
                }
                Ok(true)
            }
            Phase::Finish(index) => {
                let chunk = Arc::clone(&self.state.chunk);
                let mut threads = chunk
                    .following
                    .iter()
                    .flat_map(|following| &following.threads);
                match threads.nth(index) {
                    Some(thread) => self.finish(index, thread),
                    None => {
                        self.finished = true;
                        self.phase = Phase::End;
                    }
                }
                Ok(true)
            }
            Phase::Prefix(index, popping) => {
                self.prefix(index, popping)?;
                Ok(true)
            }
            Phase::Site => {
                self.phase = Phase::End;
                self.site()?;
                Ok(true)
            }
        }
    }

    /// A thread goes to where the next chunk begins with it. Nothing is wrong if there is no way: the process may have done what is not
    /// recorded.
    fn finish(&mut self, index: usize, thread: &stream::Thread) {
        self.phase = Phase::Finish(index + 1);
        if !self
            .state
            .threads
            .iter()
            .any(|known| known.number == thread.number)
        {
            return;
        }
        self.state.switch(thread.number);
        self.record.thread = thread.number;
        let known = |frame: &Frame| {
            thread
                .frames
                .iter()
                .find(|known| known.number == frame.number)
        };
        let Some(frame) = self.state.top() else {
            return;
        };
        let went = match known(frame) {
            Some(there) => {
                let code = Arc::clone(&frame.object);
                let at = match there.executing {
                    true => self.unit(&code, there.unit).map(To::In),
                    false => self.instruction(&code, there.unit).map(To::At),
                };
                at.and_then(|to| self.go(to))
            }
            // It has ended since. A frame that the keyframe leaves out is below those that it has.
            None if !thread.frames.is_empty() || thread.below == 0 => {
                self.phase = Phase::Finish(index);
                let went = self.pop();
                if went.is_err() {
                    self.phase = Phase::Finish(index + 1);
                    self.after = After::Nothing;
                }
                went
            }
            None => Ok(()),
        };
        // Where it cannot be followed, the next chunk begins anew.
        drop(went);
    }

    fn prefix(&mut self, index: usize, popping: u32) -> Result<(), Error> {
        if index >= self.record.prefixes.end {
            self.phase = Phase::Site;
            return Ok(());
        }
        self.phase = Phase::Prefix(index + 1, 0);
        let chunk = Arc::clone(&self.state.chunk);
        let Some(prefix) = chunk.prefix(index) else {
            return Ok(());
        };
        match prefix {
            Prefix::Pop(count) => {
                self.state.opaque = self.next_record;
                let left = match popping {
                    0 => *count,
                    left => left,
                };
                if left > 1 {
                    self.phase = Phase::Prefix(index, left - 1);
                }
                self.pop()?;
            }
            Prefix::Enter(number, caller) => {
                self.call(*caller)?;
                let frame = self.new_frame(*number, *caller)?;
                self.after = After::Push(Box::new(frame));
            }
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
                self.after = After::Push(Box::new(frame));
            }
            Prefix::Attach(frame) => {
                let mut frame = self.known_frame(frame)?;
                self.attached(&mut frame);
                self.push(frame);
            }
            Prefix::Inside(unit) => self.call(Caller::Unit(*unit))?,
            Prefix::Raised(unit) => self.raised = Some(*unit),
            Prefix::Time(time) => self.state.time = *time,
            Prefix::Thread(thread) => {
                self.thread(thread)?;
            }
            Prefix::ThreadEnd(number) => {
                // Its frames have come to their end, unless the process ended them.
                self.state.switch(*number);
                if self.top().is_none() {
                    self.state.switch(self.record.thread);
                } else {
                    self.phase = Phase::Prefix(index, 0);
                    if self.pop().is_err() {
                        self.popped();
                        self.after = After::Nothing;
                    }
                }
            }
            Prefix::Output(_) | Prefix::Lost(_) => {}
        }
        Ok(())
    }

    /// The frame on top ends or is suspended.
    fn pop(&mut self) -> Result<(), Error> {
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
    fn run_out(&mut self) -> Result<(), Error> {
        let Some(frame) = self.top() else {
            return Ok(());
        };
        let unwound = match frame.from {
            From::Site(site) => frame
                .object
                .plan()
                .sites
                .get(site as usize)
                .is_some_and(|site| site.kind == SiteKind::Unwind),
            _ => false,
        };
        if unwound {
            return Ok(());
        }
        self.go(To::Exit)
    }

    /// The frame on top ends or is suspended before the record comes that says so.
    fn leave_early(&mut self) -> Result<(), Error> {
        self.run_out()?;
        self.after = After::LeaveEarly;
        Ok(())
    }

    fn left_early(&mut self) {
        self.popped();
        let current = self.state.current;
        if let Some(thread) = self.state.threads.get_mut(current) {
            thread.left += 1;
        }
        self.state.switch(self.record.thread);
    }

    fn popped(&mut self) {
        let current = self.state.current;
        let Some(thread) = self.state.threads.get_mut(current) else {
            return;
        };
        let Some(mut frame) = thread.frames.pop() else {
            thread.below = thread.below.saturating_sub(1);
            return;
        };
        self.slots = self.slots.saturating_sub(frame.slots.len() + 8);
        if let Some(at) = frame.done
            && flow(&frame.object, at) == Flow::Yield
        {
            frame.from = From::In(at);
            frame.done = None;
            self.slots += frame.slots.len() + 8;
            self.state.suspended.insert(frame.number, frame);
        }
    }

    fn push(&mut self, frame: Frame) {
        self.state.suspended.remove(&frame.number);
        self.state.switch(self.record.thread);
        let current = self.state.current;
        self.state.threads[current].frames.push(frame);
    }

    /// The recorded frame on top is in the middle of an instruction.
    fn call(&mut self, caller: Caller) -> Result<(), Error> {
        self.state.opaque = self.next_record;
        let (Caller::Unit(unit) | Caller::Foreign(Some(unit))) = caller else {
            return Ok(());
        };
        let Some(frame) = self.top() else {
            return Ok(());
        };
        let code = Arc::clone(&frame.object);
        let at = self.unit(&code, unit)?;
        self.go(To::In(at))
    }

    fn new_frame(&mut self, number: FrameNumber, caller: Caller) -> Result<Frame, Error> {
        let site = self.record.site.unwrap_or_default();
        let found = self.codes.site(site).map(|found| found.0);
        let code = found.ok_or_else(|| self.error(ErrorKind::NoFrame(site.0)))?;
        let object = self.code(code)?;
        let Some(at) = object.analysis().first_resume() else {
            return Err(self.error(ErrorKind::Code(code)));
        };
        self.count_slots(object.locals().slots as usize)?;
        let mut frame = Frame {
            number,
            code,
            slots: vec![Value::Null; object.locals().slots as usize],
            object,
            at,
            caller,
            from: From::Start,
            done: None,
        };
        self.capture(site, &mut frame);
        Ok(frame)
    }

    /// A frame is met where the record's site fires.
    fn attached(&self, frame: &mut Frame) {
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

    /// Puts the record's values into their slots.
    fn capture(&self, site: SiteNumber, frame: &mut Frame) {
        let Some((_, _, planned)) = self.codes.site(site) else {
            return;
        };
        for (&slot, index) in planned.captures.iter().zip(self.record.values.clone()) {
            if let Some(value) = self.state.chunk.value(index) {
                frame.set(slot, value.into());
            }
        }
    }

    /// The site fires.
    fn site(&mut self) -> Result<(), Error> {
        let Some(site) = self.record.site else {
            return Ok(());
        };
        let raised = self.raised;
        let Some(frame) = self.state.top() else {
            return Err(self.error(ErrorKind::NoFrame(site.0)));
        };
        let index = site.0.wrapping_sub(frame.object.data().site_base);
        let Some(kind) = frame
            .object
            .plan()
            .sites
            .get(index as usize)
            .map(|site| site.kind)
        else {
            return Err(self.error(ErrorKind::ForeignSite(site.0)));
        };
        match raised {
            _ if frame.from == From::Fired(index) => {
                frame.from = From::Site(index);
                Ok(())
            }
            Some(unit) if matches!(kind, SiteKind::Handler | SiteKind::Unwind) => {
                let object = Arc::clone(&frame.object);
                let at = self.unit(&object, unit)?;
                self.check_handler(&object, at, index)?;
                self.raise(at)?;
                if flow(&object, at) == Flow::Yield {
                    // What is thrown into a suspended frame comes with a None on the stack (`gen_send_ex`, `Objects/genobject.c`).
                    let depth = object.analysis().depth(at).unwrap_or_default();
                    let slot = object.locals().slots + depth.saturating_sub(1);
                    if let Some(frame) = self.top() {
                        frame.set(slot, Value::None);
                    }
                }
                self.after = After::Handle(index);
                Ok(())
            }
            _ => self.go(To::Site(index)),
        }
    }

    /// Whether an exception raised by an instruction is handled at a site.
    fn check_handler(&self, code: &Code, at: InstrIdx, site: u32) -> Result<(), Error> {
        let planned = code.plan().sites.get(site as usize);
        let handler = code
            .analysis()
            .exception_entry(at)
            .and_then(|entry| code.analysis().at_start(entry.target));
        let fits = match (planned.map(|site| (site.kind, site.place)), handler) {
            (Some((SiteKind::Unwind, _)), None) => true,
            (Some((SiteKind::Handler, place)), Some(handler)) => place == Place::Before(handler),
            _ => false,
        };
        fits.then_some(())
            .ok_or_else(|| self.error(ErrorKind::Handler(at.0)))
    }

    /// The frame on top goes on to the instruction that raises.
    fn raise(&mut self, at: InstrIdx) -> Result<(), Error> {
        let Some(frame) = self.top() else {
            return Ok(());
        };
        if frame.done.is_none()
            && (frame.from == From::In(at) || is_thrown_in(&frame.object, frame.from, at))
        {
            return Ok(());
        }
        self.go(To::In(at))
    }

    fn handled(&mut self, site: u32) {
        let number = self.record.site.unwrap_or_default();
        let current = self.state.current;
        let Some(thread) = self.state.threads.get_mut(current) else {
            return;
        };
        let Some(mut frame) = thread.frames.pop() else {
            return;
        };
        self.capture(number, &mut frame);
        frame.from = From::Site(site);
        frame.done = None;
        let planned = frame.object.plan().sites.get(site as usize);
        if planned.is_some_and(|planned| planned.kind == SiteKind::Unwind) {
            let exception = self.record.values.clone().next_back();
            let exception = exception.and_then(|index| self.state.chunk.value(index));
            let thread = &self.state.threads[current];
            self.unwound.push(Unwound {
                thread: thread.number,
                frame: frame.number,
                depth: thread.below as usize + thread.frames.len(),
                code: frame.code,
                at: frame.at,
                exception: exception.map_or(Value::Null, Value::from),
            });
        }
        self.state.threads[current].frames.push(frame);
    }

    /// The frame on top begins the way to what it does next.
    fn go(&mut self, to: To) -> Result<(), Error> {
        self.segments.make_room();
        let Some(frame) = self.state.top() else {
            return Ok(());
        };
        let (from, done) = (frame.from, frame.done);
        let Some(segment) = self.segments.find(&frame.object, from, done, to) else {
            let code = frame.code;
            return Err(self.error(ErrorKind::NoWay { code, from, to }));
        };
        match to {
            To::Site(site) => {
                frame.from = From::Site(site);
                frame.done = None;
            }
            To::At(at) => {
                frame.from = From::At(at);
                frame.done = None;
            }
            To::In(_) | To::Exit => {
                frame.done = self.segments.get(segment).last.or(done);
            }
        }
        self.run = Some(Run {
            segment,
            step: 0,
            done: 0,
        });
        Ok(())
    }

    /// Executes to the next step of the way; `None` at its end.
    #[inline]
    fn run_to_step(&mut self) -> Option<Step> {
        let mut run = self.run.take()?;
        let segment = self.segments.get(run.segment);
        let end = if self.presented {
            self.presented = false;
            run.step += 1;
            let number = run.step - 1;
            segment.steps.get(number).map_or(0, |step| step.end) as usize
        } else {
            segment.begin as usize
        };
        let next = segment.steps.get(run.step).copied();
        let changed = match segment.touching {
            Some(touching) => run.step >= touching as usize,
            // What did it is over.
            None => matches!(self.phase, Phase::End),
        };
        self.execute(run.segment, run.done, end);
        self.state.updated |= changed;
        run.done = end;
        let Some(step) = next else {
            self.execute(run.segment, run.done, usize::MAX);
            self.rest(run.segment);
            return None;
        };
        self.presented = true;
        self.run = Some(run);
        let number = self.number;
        self.number += 1;
        let thread = self.state.thread()?.0;
        let frame = self.state.top()?;
        frame.at = step.at;
        Some(Step {
            number,
            thread,
            frame: frame.number,
            code: frame.code,
            at: step.at,
        })
    }

    /// Executes the rest of the way.
    #[inline]
    fn run_to_end(&mut self) {
        let Some(run) = self.run.take() else { return };
        let first = run.step + usize::from(std::mem::take(&mut self.presented));
        let segment = self.segments.get(run.segment);
        let (steps, last) = (segment.steps.len(), segment.steps.last().copied());
        self.execute(run.segment, run.done, usize::MAX);
        self.number += (steps - first.min(steps)) as u64;
        if let (Some(step), Some(frame)) = (last, self.state.top()) {
            frame.at = step.at;
        }
        self.rest(run.segment);
    }

    /// The frame has come to the end of a way.
    #[inline]
    fn rest(&mut self, segment: SegmentId) {
        if let (Some(at), Some(frame)) = (self.segments.get(segment).next, self.state.top()) {
            frame.at = at;
        }
        let touching = self.segments.get(segment).touching.is_some();
        self.state.updated |= touching || matches!(self.phase, Phase::End);
    }

    /// Executes operations of a way.
    #[inline]
    fn execute(&mut self, segment: SegmentId, from: usize, to: usize) {
        let segment = self.segments.get(segment);
        if segment.opaque {
            self.state.opaque = self.next_record;
        }
        let values = self.record.values.start;
        let State {
            threads,
            current,
            cells,
            chunk,
            record,
            ..
        } = &mut self.state;
        let Some(frame) = threads.get_mut(*current).and_then(Thread::top) else {
            return;
        };
        let to = to.min(segment.ops.len());
        for op in segment.ops.get(from..to).unwrap_or_default() {
            match *op {
                Op::Set(slot, source) => {
                    let value = read(frame, chunk, values, source);
                    frame.set(slot, value);
                }
                Op::Swap(one, other) => {
                    let (first, second) = (frame.get(one), frame.get(other));
                    frame.set(one, second);
                    frame.set(other, first);
                }
                Op::Unbind(slot) => {
                    if let (Value::Null, Value::Object(id)) = (frame.get(slot), frame.get(slot + 1))
                        && let Some((_, definition)) = chunk.definition(id, *record, true)
                        && let Some(Contents::Method { function, receiver }) = definition.contents
                    {
                        frame.set(slot, function.into());
                        frame.set(slot + 1, receiver.into());
                    }
                }
                Op::SetCell(cell, source) => {
                    if let Value::Object(id) = frame.get(cell) {
                        let value = read(frame, chunk, values, source);
                        cells.insert(id, (*record, value));
                    }
                }
            }
        }
    }
}

/// Whether an exception that `at` raises has been thrown into a frame that is suspended. It is raised where the frame is to go on: behind
/// its `YIELD_VALUE` or, on 3.11, if what it delegates to has ended with it, at the end of the delegation's loop (`_gen_throw` in
/// `Objects/genobject.c`).
fn is_thrown_in(code: &Code, from: From, at: InstrIdx) -> bool {
    let From::In(yielding) = from else {
        return false;
    };
    if flow(code, yielding) != Flow::Yield {
        return false;
    }
    let sends = InstrIdx(yielding.0.wrapping_sub(1));
    let end = code.analysis().target(sends).filter(|end| end.0 > at.0);
    at.0 == yielding.0 + 1
        || code.version() == Version::V3_11 && end.is_some_and(|end| end.0 == at.0 + 1)
}

#[inline]
fn read(frame: &Frame, chunk: &Chunk, values: usize, source: Source) -> Value {
    match source {
        Source::Slot(slot) => frame.get(slot),
        Source::Capture(index) => chunk
            .value(values + index as usize)
            .map_or(Value::Null, Value::from),
        Source::Int(int) => Value::Int(int.into()),
        Source::Null => Value::Null,
        Source::Bool(bool) => Value::Bool(bool),
        Source::Pending => Value::Pending,
        Source::Constant(index) => frame.constant(index),
        Source::Next(slot) => match frame.get(slot) {
            Value::Tagged(index) => Value::Tagged(index.wrapping_add(1)),
            other => other,
        },
    }
}
