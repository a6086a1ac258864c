//! Executes records: from one step to the next, or from one record to the next.

mod ahead;
mod checkpoint;
mod cut;
mod frames;
mod keyframe;
mod places;
mod resolve;
mod run;
mod site;
mod tally;
mod watch;
mod written;

use std::sync::Arc;

use debugop_bytecode::InstrIdx;
use debugop_recording::stream::{self, FrameNumber, Prefix, Progress, SiteNumber, ThreadNumber};

use crate::chunk::{Chunk, Described, RecordRef};
use crate::code::{Code, Codes};
use crate::error::{Error, ErrorKind};
use crate::loss::Loss;
use crate::segment::{From, SegmentId, Segments, To, call_of};
use crate::state::{Frame, State};
use crate::value::Value;
use crate::written::Written;
use written::Unplaced;

pub(crate) use checkpoint::Checkpoint;

pub(crate) use places::Way;
pub(crate) use resolve::Resolver;
pub(crate) use tally::{Counts, Tally};
pub(crate) use watch::Stop;
pub use watch::Watch;

/// Frames alive at once have at most so many slots.
const MOST_SLOTS: usize = 1 << 24;
/// So many vectors of ended frames are kept for new ones.
const MOST_SPARE: usize = 64;

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
    /// Of the frame in `entering`.
    Push,
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

type Later = Option<Described>;

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
    /// Of the frame whose run is that to where it is described.
    later: Later,
    after: After,
    /// The unit of the frame that raised, and how far the frame was with it.
    raised: Option<(u32, Progress)>,
    /// What [`After::Push`] pushes.
    entering: Option<Frame>,
    /// Vectors of frames that have ended, for new ones.
    spare: Vec<Vec<Value>>,
    /// Copies of the code objects that are this machine's alone, with [`Machine::keep_codes`]: several machines that count references of the
    /// same one stand in each other's way.
    own_codes: Option<Vec<Option<Arc<Code>>>>,
    /// The last steps of frames from before the chunk, by number.
    carried: Vec<(FrameNumber, InstrIdx)>,
    tally: Option<Box<Tally>>,
    /// Of a packed chunk that is being read or made.
    resolver: Option<Box<Resolver>>,
    /// Whether frames get their values: without, they are only followed ([`Machine::next_way`]).
    values: bool,
    /// In all frames of the chunk.
    slots: usize,
    /// A step has been presented and is still to be executed.
    presented: bool,
    /// What has left frames since the step before.
    unwound: Vec<Unwound>,
    /// What the records since then say is missing.
    lost: Vec<Loss>,
    /// What has been written since then, and on the way that has been begun.
    written: Vec<Written>,
    /// Threads that have ended since the step before.
    ended: Vec<ThreadNumber>,
    /// What was written in steps that have not come.
    unplaced: Vec<Unplaced>,
    /// All threads are where the next chunk begins.
    finished: bool,
    /// Whether a record that does not fit ends its chunk, as if what comes behind it were missing: [`Machine::ends_where_lost`].
    ends_where_lost: bool,
    /// The chunk has ended so.
    is_cut: bool,
}

impl Machine {
    /// At the beginning of a chunk, whose first step has this number.
    ///
    /// # Errors
    /// If the keyframe does not fit the code objects.
    pub fn new(codes: Arc<Codes>, chunk: Arc<Chunk>, first: u64) -> Result<Self, Error> {
        let mut machine = Self::without_frames(codes, chunk, first);
        machine.keyframe()?;
        Ok(machine)
    }

    /// As [`Machine::new`], with the last steps of frames from before the chunk, by number, and what another machine has compiled.
    pub(crate) fn with_compiled(
        codes: Arc<Codes>,
        chunk: Arc<Chunk>,
        first: u64,
        carried: Vec<(FrameNumber, InstrIdx)>,
        compiled: Segments,
    ) -> Result<Self, Error> {
        let mut machine = Self::without_frames(codes, chunk, first);
        machine.carried = carried;
        machine.segments = compiled;
        machine.keyframe()?;
        Ok(machine)
    }

    /// What it has compiled, for the next machine.
    pub(crate) fn into_compiled(self) -> Segments {
        self.segments
    }

    fn without_frames(codes: Arc<Codes>, chunk: Arc<Chunk>, first: u64) -> Self {
        let record = RecordRef {
            offset: 0,
            site: None,
            pending: None,
            thread: chunk.keyframe.current,
            prefixes: 0..0,
            values: 0..0,
        };
        Self {
            codes,
            segments: Segments::default(),
            state: State::new(chunk),
            number: first,
            next_record: 0,
            record,
            phase: Phase::End,
            run: None,
            later: None,
            after: After::Nothing,
            raised: None,
            entering: None,
            spare: Vec::new(),
            own_codes: None,
            carried: Vec::new(),
            tally: None,
            resolver: None,
            values: true,
            slots: 0,
            presented: false,
            unwound: Vec::new(),
            lost: Vec::new(),
            written: Vec::new(),
            ended: Vec::new(),
            unplaced: Vec::new(),
            finished: false,
            ends_where_lost: false,
            is_cut: false,
        }
    }

    /// Goes to the beginning of another chunk, keeping what has been compiled.
    ///
    /// # Errors
    /// As [`Machine::new`].
    pub fn enter(&mut self, chunk: Arc<Chunk>, first: u64) -> Result<(), Error> {
        self.enter_with_carried(chunk, first, Vec::new())
    }

    /// As [`Machine::enter`], with the last steps of frames from before the chunk, by number.
    pub(crate) fn enter_with_carried(
        &mut self,
        chunk: Arc<Chunk>,
        first: u64,
        carried: Vec<(FrameNumber, InstrIdx)>,
    ) -> Result<(), Error> {
        let mut next = Self::without_frames(Arc::clone(&self.codes), chunk, first);
        next.carried = carried;
        next.segments = std::mem::take(&mut self.segments);
        next.spare = std::mem::take(&mut self.spare);
        next.own_codes = self.own_codes.take();
        next.values = self.values;
        next.ends_where_lost = self.ends_where_lost;
        *self = next;
        self.keyframe()
    }

    /// Goes to the beginning of another chunk and counts what is executed there.
    pub(crate) fn enter_and_count(&mut self, chunk: Arc<Chunk>) -> Result<(), Error> {
        let (first_frame, newest) = (chunk.keyframe.next_frame, chunk.keyframe.newest);
        self.enter(chunk, 0)?;
        self.tally = Some(Box::new(Tally::new(first_frame, newest)));
        Ok(())
    }

    /// What has been counted since [`Machine::enter_and_count`].
    pub(crate) fn counted(&mut self) -> Option<Tally> {
        self.add_up();
        self.tally.take().map(|tally| *tally)
    }

    fn add_up(&mut self) {
        if let Some(tally) = &mut self.tally {
            tally.add_up(&self.segments, |number| self.codes.get(number).cloned());
        }
    }

    /// Every frame that is on a thread's stack or suspended.
    pub(crate) fn frames(&self) -> impl Iterator<Item = &Frame> {
        let running = self.state.threads.iter().flat_map(|thread| &thread.frames);
        running.chain(self.state.suspended.values())
    }

    /// From now on it uses copies of the code objects that no other machine uses.
    pub(crate) fn keep_codes(&mut self) {
        self.own_codes.get_or_insert_default();
    }

    /// The world now.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The chunk, as long as nobody else has it.
    pub(crate) fn chunk_mut(&mut self) -> Option<&mut Chunk> {
        Arc::get_mut(&mut self.state.chunk)
    }

    /// Goes on in the whole chunk, of which it has executed a part.
    pub(crate) fn go_on_in(&mut self, whole: Arc<Chunk>) {
        self.state.chunk = whole;
    }

    /// The world now, alone.
    pub(crate) fn into_state(self) -> State {
        self.state
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
        self.lost.clear();
        self.written.clear();
        self.ended.clear();
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

    /// What is missing between the step before and the step that [`Machine::next`] has gone to, as far as records of the chunk say it.
    pub(crate) fn lost(&self) -> &[Loss] {
        &self.lost
    }

    /// The threads that have ended between the step before and the step that [`Machine::next`] has gone to.
    pub(crate) fn ended(&self) -> &[ThreadNumber] {
        &self.ended
    }

    /// Executes to the end of the record and returns the number of steps that come next; `None` at the chunk's end. After
    /// [`Machine::next`] the step that it stopped at is executed first.
    ///
    /// # Errors
    /// As [`Machine::next`].
    pub fn skip_record(&mut self) -> Result<Option<u64>, Error> {
        self.unwound.clear();
        self.lost.clear();
        self.written.clear();
        self.ended.clear();
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

    /// Goes to the next step from this number on, executing what comes before it way by way; stops there as [`Machine::next`] does. `None` at the
    /// chunk's end.
    ///
    /// # Errors
    /// As [`Machine::next`].
    pub fn advance_to(&mut self, number: u64) -> Result<Option<Step>, Error> {
        self.unwound.clear();
        self.lost.clear();
        self.written.clear();
        self.ended.clear();
        loop {
            if self.number + self.steps_left() > number {
                while let Some(step) = self.run_to_step() {
                    if step.number >= number {
                        return Ok(Some(step));
                    }
                }
            } else {
                self.run_to_end();
            }
            if !self.proceed()? {
                return Ok(None);
            }
        }
    }

    /// Executes whole ways until so many records have been begun, or the step that comes next has at least this number; not beyond it. `false` at
    /// the chunk's end.
    pub(crate) fn skip_to(&mut self, record: usize, number: u64) -> Result<bool, Error> {
        self.unwound.clear();
        self.lost.clear();
        self.written.clear();
        self.ended.clear();
        loop {
            if self.number + self.steps_left() > number {
                return Ok(true);
            }
            self.run_to_end();
            self.settle();
            if matches!(self.phase, Phase::End) && self.next_record >= record {
                return Ok(true);
            }
            if !self.proceed()? {
                return Ok(false);
            }
        }
    }

    /// The steps of the way that is being executed which have not been presented.
    fn steps_left(&self) -> u64 {
        self.run.as_ref().map_or(0, |run| {
            let first = run.step + usize::from(self.presented);
            let steps = self.segments.get(run.segment).steps.len();
            steps.saturating_sub(first) as u64
        })
    }

    /// Goes to the next step that is watched for, executing what comes before it way by way.
    ///
    /// # Errors
    /// As [`Machine::next`].
    pub(crate) fn next_watched(&mut self, watch: &mut Watch) -> Result<Stop, Error> {
        self.unwound.clear();
        self.lost.clear();
        self.written.clear();
        self.ended.clear();
        loop {
            if let Some(run) = &self.run {
                if watch.has_way(&self.segments, run.segment) {
                    while let Some(step) = self.run_to_step() {
                        if watch.has(&step) {
                            return Ok(Stop::At(step));
                        }
                    }
                } else {
                    self.run_to_end();
                }
            }
            // What leaves frames now does so behind that step.
            if self.number > watch.until {
                return Ok(Stop::Until);
            }
            self.settle();
            if watch.unwound && !self.unwound.is_empty() {
                return Ok(Stop::Unwound);
            }
            if !self.proceed()? {
                return Ok(Stop::End);
            }
        }
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

    fn code(&mut self, number: u32) -> Result<Arc<Code>, Error> {
        let index = number as usize;
        if let Some(own) = &self.own_codes
            && let Some(Some(code)) = own.get(index)
        {
            return Ok(Arc::clone(code));
        }
        let Some(code) = self.codes.get(number).cloned() else {
            return Err(self.error(ErrorKind::Code(number)));
        };
        let Some(own) = &mut self.own_codes else {
            return Ok(code);
        };
        if own.len() <= index {
            own.resize(index + 1, None);
        }
        let copy = Arc::new(Code::clone(&code));
        own[index] = Some(Arc::clone(&copy));
        Ok(copy)
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

    /// Begins the next record if it is nothing but a site of the frame on top that is reached on the way that was gone from there last.
    #[inline]
    fn begin_plain(&mut self) -> bool {
        if !self.unplaced.is_empty() {
            return false;
        }
        let Some(thread) = self.state.threads.get_mut(self.state.current) else {
            return false;
        };
        let number = thread.number;
        let Some((offset, site, values)) = self.state.chunk.plain(self.next_record, number) else {
            return false;
        };
        let Some(frame) = thread.frames.last_mut() else {
            return false;
        };
        let (From::Site(from), None) = (frame.from, frame.done) else {
            return false;
        };
        let index = site.0.wrapping_sub(frame.object.data().site_base);
        let Some(segment) = self.segments.recent(frame.code, from, index) else {
            return false;
        };
        frame.from = From::Site(index);
        self.next_record += 1;
        self.state.record = self.next_record;
        self.state.updated = false;
        self.state.late = false;
        self.raised = None;
        self.record.offset = offset;
        self.record.site = Some(site);
        self.record.thread = number;
        // Empty, at wherever the ones before were: it has no prefixes.
        self.record.prefixes.start = self.record.prefixes.end;
        self.record.values = values;
        self.run = Some(Run {
            segment,
            step: 0,
            done: 0,
        });
        true
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
    #[inline]
    fn settle(&mut self) {
        if !matches!(self.after, After::Nothing) {
            self.settle_what_follows();
        }
    }

    #[inline(never)]
    fn settle_what_follows(&mut self) {
        match std::mem::take(&mut self.after) {
            After::Nothing => {}
            After::Pop => self.popped(),
            After::LeaveEarly => self.left_early(),
            After::Push => {
                if let Some(mut frame) = self.entering.take() {
                    if let Some(mut resolver) = self.resolver.take() {
                        self.resolve_arguments(&mut frame, &mut resolver);
                        self.resolver = Some(resolver);
                    }
                    self.push(frame);
                }
            }
            After::Handle(site) => self.handled(site),
        }
    }

    /// Goes on with the record, or with the next one; `false` at the end.
    #[inline]
    fn proceed(&mut self) -> Result<bool, Error> {
        match self.go_on() {
            Err(error) if self.ends_where_lost => {
                self.cut(&error);
                self.give_up_placing();
                Ok(false)
            }
            Ok(false) => {
                self.give_up_placing();
                Ok(false)
            }
            went => went,
        }
    }

    fn go_on(&mut self) -> Result<bool, Error> {
        self.settle();
        match self.phase {
            Phase::End => {
                if self.begin_plain() {
                    return Ok(true);
                }
                if !self.begin() {
                    if self.state.chunk.following.is_none() || self.finished {
                        return Ok(false);
                    }
                    self.phase = Phase::Finish(0);
                } else if self.record.prefixes.is_empty() {
                    self.phase = Phase::End;
                    self.site()?;
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
                self.state.late = false;
                self.site()?;
                Ok(true)
            }
        }
    }

    /// A thread goes to where the next chunk begins with it. Nothing is wrong if there is no way: the process may have done what is not
    /// recorded.
    fn finish(&mut self, index: usize, thread: &stream::Thread) {
        self.phase = Phase::Finish(index + 1);
        self.later = None;
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
            let mut frames = thread.frames.iter().enumerate();
            frames.find(|(_, known)| known.number == frame.number)
        };
        let moved = self.moved();
        let Some(frame) = self.state.top() else {
            return;
        };
        let went = match known(frame) {
            Some(_) if moved == Some(frame.number) => Ok(()),
            Some((number, there)) => {
                let code = Arc::clone(&frame.object);
                self.later = Some(Described::Next(index, number));
                let at = match there.progress {
                    Progress::Arrived => self.instruction(&code, there.unit).map(To::Before),
                    Progress::Ready => self.instruction(&code, there.unit).map(To::At),
                    Progress::Executing => self.unit(&code, there.unit).map(To::In),
                    Progress::Told => self.unit(&code, there.unit).map(To::Told),
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

    /// The frame that is made to go on elsewhere at the chunk's end: the last that is said is how it stands, and nothing is told of it.
    fn moved(&self) -> Option<FrameNumber> {
        if self.record.site.is_some() {
            return None;
        }
        let last = self.record.prefixes.clone().next_back()?;
        match self.state.chunk.prefix(last)? {
            Prefix::Stands(frame) => Some(frame.number),
            _ => None,
        }
    }

    /// Puts the record's values into their slots.
    fn capture(&self, site: SiteNumber, frame: &mut Frame) {
        if !self.values {
            return;
        }
        let Some((_, _, planned)) = self.codes.site(site) else {
            return;
        };
        for (&slot, index) in planned.captures.iter().zip(self.record.values.clone()) {
            if let Some(value) = self.state.chunk.value(index) {
                frame.set(slot, value.into());
            }
        }
    }
}
