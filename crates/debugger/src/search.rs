//! From a step to the next or the previous place to stop at.

use std::collections::VecDeque;
use std::sync::Arc;

use debugop_recording::stream::FrameNumber;
use debugop_replay::query::{self, How, Write};
use debugop_replay::{Cursor, OpenError, Recording, Step};
use debugop_value as data;
use rustc_hash::FxHashSet;

use crate::breaks::Breaks;
use crate::chunks::{Chunks, Ends};
use crate::events::{Event, begins, returns};
use crate::scan::{Raised, Scan, Seen};

/// How many steps are looked at first.
const NEAR: u64 = 512;
/// Then so many times as many each time, up to a chunk.
const GROWTH: u64 = 8;
/// How deep containers in containers are shown.
const DEPTH: u32 = 2;
/// `CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR`.
const SUSPENDS: u32 = 0x20 | 0x80 | 0x200;

/// What a search goes to, besides what [`Breaks`] stop at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// The next instruction of the thread.
    Instruction,
    /// The next instruction of the function, or of one that it returns to.
    InstructionOver,
    /// The next line of the thread, and beginnings and ends of functions.
    Line,
    /// The next line of the function, or of one that it returns to.
    LineOver,
    /// Forwards to where the function returns, backwards to its call.
    Out,
    /// The next line of the function from this one on, or its end.
    Until(i32),
    /// Only what `Breaks` stop at.
    Breaks,
}

/// What has changed in a watched place.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Which one, counted from 0.
    pub place: usize,
    /// The step whose instruction did it.
    pub step: u64,
    /// How.
    pub how: How,
    /// What was there before, if that is known.
    pub before: Option<data::Value>,
    /// What is there since, if that is known; `None` if nothing is.
    pub value: Option<data::Value>,
}

/// A place to stop at: just before a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Stop {
    /// The step.
    pub step: u64,
    /// What happens there, if the step was looked at.
    pub event: Event,
    /// Whether the motion ends here.
    pub reached: bool,
    /// Whether a breakpoint is here.
    pub breakpoint: bool,
    /// The exception that the step raises.
    pub raised: Option<data::Value>,
    /// What the step before has changed; backwards, what this step will.
    pub changes: Vec<Change>,
}

/// Why a search does not go on.
#[derive(Debug)]
pub enum SearchError {
    /// It was told to stop.
    Interrupted,
    /// The recording cannot be read.
    Open(OpenError),
}

impl From<OpenError> for SearchError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

/// A search from a step on.
#[derive(Debug)]
pub struct Search {
    recording: Arc<Recording>,
    cursor: Cursor,
    motion: Motion,
    backwards: bool,
    breaks: Breaks,
    chunks: Chunks,
    /// The code objects of the frames in which the motion can end.
    of_ends: FxHashSet<u32>,
    origin: Step,
    /// The frames of the thread at the origin: the one that runs, and those below it.
    frame: FrameNumber,
    below: FxHashSet<FrameNumber>,
    /// Whether the frame at the origin is over, forwards, or has not begun, backwards.
    ended: bool,
    /// Up to where everything has been looked at: forwards the first step that was not, backwards the end of what was not.
    at: u64,
    range: u64,
    length: u64,
    found: VecDeque<Stop>,
}

impl Search {
    /// A search that begins at a step. `cursor` is of the recording: one that has been near is quickest.
    ///
    /// # Errors
    /// [`OpenError`], also if there is no such step.
    pub fn new(
        mut cursor: Cursor,
        step: u64,
        motion: Motion,
        backwards: bool,
        breaks: Breaks,
    ) -> Result<Self, OpenError> {
        let recording = &Arc::clone(cursor.recording());
        let origin = cursor.seek(step)?;
        let frames = cursor.state().and_then(|state| state.thread());
        let frames = frames.map_or(&[][..], |(_, thread)| thread.frames());
        let below = frames.iter().map(debugop_replay::Frame::number);
        let below: FxHashSet<FrameNumber> =
            below.filter(|number| *number != origin.frame).collect();
        let others = below.iter().copied();
        let of_others = frames.iter().filter(|frame| frame.number() != origin.frame);
        let mut of_ends: FxHashSet<u32> = match motion {
            Motion::Breaks => FxHashSet::default(),
            _ => of_others.map(|frame| frame.code().data().number).collect(),
        };
        if motion != Motion::Breaks && !(motion == Motion::Out && backwards) {
            of_ends.insert(origin.code);
        }
        let ends = match motion {
            Motion::Breaks => Ends::Nowhere,
            Motion::Instruction | Motion::Line => Ends::Thread(origin.thread),
            Motion::Out if backwards => Ends::Frames(others.collect()),
            Motion::Out => Ends::Return(origin.code, others.collect()),
            _ => Ends::Frames(others.chain([origin.frame]).collect()),
        };
        let chunks = Chunks::new(recording, &breaks, ends);
        let code = recording.codes().get(origin.code);
        let ended = code.is_none_or(|code| match backwards {
            true => begins(code, origin.at),
            false => returns(code, origin.at) || code.data().flags & SUSPENDS == 0,
        });
        Ok(Self {
            recording: Arc::clone(recording),
            cursor,
            motion,
            backwards,
            breaks,
            chunks,
            of_ends,
            origin,
            frame: origin.frame,
            below,
            ended,
            at: if backwards { step } else { step + 1 },
            range: NEAR,
            length: recording.len()?,
            found: VecDeque::new(),
        })
    }

    /// The cursor, for the next search.
    pub fn into_cursor(self) -> Cursor {
        self.cursor
    }

    /// The next place to stop at; `None` where the recording ends or, backwards, begins. `interrupted` is asked now and then.
    ///
    /// # Errors
    /// [`SearchError`].
    pub fn find(
        &mut self,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Stop>, SearchError> {
        loop {
            if let Some(mut stop) = self.found.pop_front() {
                for change in &mut stop.changes {
                    change.before = self.before(change)?;
                }
                return Ok(Some(stop));
            }
            let Some((first, end)) = self.next_range()? else {
                return Ok(None);
            };
            if interrupted() {
                return Err(SearchError::Interrupted);
            }
            self.look(first, end)?;
            if self.backwards {
                self.at = first;
            } else {
                self.at = end;
            }
        }
    }

    /// What was in a place before a change.
    fn before(&mut self, change: &Change) -> Result<Option<data::Value>, OpenError> {
        self.cursor.seek(change.step)?;
        let place = self.breaks.places.get(change.place);
        let state = self.cursor.state();
        Ok(place.zip(state).and_then(|(place, state)| {
            let value = place.value(state)?;
            let known = value != debugop_replay::Value::Null;
            known.then(|| state.describe(self.recording.codes(), value, DEPTH))
        }))
    }

    /// What to look at next: ranges end where chunks do, and chunks in which there is nothing to stop at are left out.
    fn next_range(&mut self) -> Result<Option<(u64, u64)>, OpenError> {
        let recording = Arc::clone(&self.recording);
        let firsts = recording.firsts()?;
        loop {
            let over = if self.backwards {
                self.at == 0
            } else {
                self.at >= self.length
            };
            if over {
                return Ok(None);
            }
            let after = if self.backwards {
                firsts.partition_point(|&first| first < self.at)
            } else {
                firsts.partition_point(|&first| first <= self.at)
            };
            let chunk = after.saturating_sub(1);
            let first = firsts.get(chunk).copied().unwrap_or(0);
            let end = firsts.get(after).copied().unwrap_or(self.length);
            if !self.chunks.may_stop(&recording, chunk)? {
                self.at = if self.backwards { first } else { end };
                // It is not near, and the next chunk has to be read anyway.
                self.range = u64::MAX;
                continue;
            }
            let range = self.range;
            self.range = range.saturating_mul(GROWTH);
            return Ok(Some(if self.backwards {
                (self.at.saturating_sub(range).max(first), self.at)
            } else {
                (self.at, self.at.saturating_add(range).min(end))
            }));
        }
    }

    /// Finds the places of a range.
    fn look(&mut self, first: u64, end: u64) -> Result<(), OpenError> {
        let mut stops: Vec<Stop> = Vec::new();
        if self.motion != Motion::Breaks || self.breaks.want_steps() {
            self.look_at_steps(first, end, &mut stops)?;
        }
        for (index, place) in self.breaks.places.iter().enumerate() {
            // Whether contents have changed is seen by the step after.
            let from = first.saturating_sub(1);
            for write in query::writes(&self.recording, place, from, end)? {
                if write.step < first && write.how != How::Changed {
                    continue;
                }
                let step = if self.backwards {
                    write.step
                } else {
                    (write.step + 1).min(self.length - 1)
                };
                let mut stop = Stop::at(step);
                stop.changes.push(Change::new(index, write));
                stops.push(stop);
            }
        }
        stops.sort_by_key(|stop| stop.step);
        stops.dedup_by(|next, stop| next.step == stop.step && stop.take(next));
        if self.backwards {
            stops.reverse();
        }
        self.found.extend(stops);
        Ok(())
    }

    fn look_at_steps(
        &mut self,
        first: u64,
        end: u64,
        stops: &mut Vec<Stop>,
    ) -> Result<(), OpenError> {
        let mut reach = Reach {
            motion: self.motion,
            backwards: self.backwards,
            origin: self.origin,
            frame: self.frame,
            below: &self.below,
            ended: self.ended,
        };
        let breaks = &self.breaks;
        let codes = Arc::clone(self.recording.codes());
        let mut exceptions = Vec::new();
        let (origin, backwards) = (self.origin.number, self.backwards);
        let watch = self.chunks.watch(&self.recording, &self.of_ends);
        let left = Scan::new(&mut self.cursor).run(
            first,
            end,
            watch,
            breaks.exceptions,
            |seen| {
                let reached = reach.is_reached(&seen);
                let at = seen.step.at;
                let code = seen.step.code;
                let breakpoint = breaks.concern(code)
                    && (breaks.at_instruction(code, at)
                        || (seen.event == Event::Line
                            && seen
                                .state
                                .frame()
                                .is_some_and(|frame| breaks.at_line(frame.code(), at))));
                if reached || breakpoint {
                    stops.push(Stop {
                        event: seen.event,
                        reached,
                        breakpoint,
                        ..Stop::at(seen.step.number)
                    });
                }
            },
            |state, raised: Raised| {
                let beyond = if backwards {
                    raised.step >= origin
                } else {
                    raised.step <= origin
                };
                // What was raised before the range has been told of there.
                if !beyond && raised.step >= first && raised.step < end {
                    let exception = state.describe(&codes, raised.exception, DEPTH);
                    exceptions.push(Stop {
                        raised: Some(exception),
                        ..Stop::at(raised.step)
                    });
                }
            },
        )?;
        self.ended = reach.ended || left.contains(&self.frame);
        stops.append(&mut exceptions);
        Ok(())
    }
}

impl Stop {
    fn at(step: u64) -> Self {
        Self {
            step,
            event: Event::Instruction,
            reached: false,
            breakpoint: false,
            raised: None,
            changes: Vec::new(),
        }
    }

    /// Takes over what another one at the same step says.
    fn take(&mut self, other: &mut Self) -> bool {
        if self.event == Event::Instruction {
            self.event = other.event;
        }
        self.reached |= other.reached;
        self.breakpoint |= other.breakpoint;
        self.raised = self.raised.take().or(other.raised.take());
        self.changes.append(&mut other.changes);
        true
    }
}

impl Change {
    fn new(place: usize, write: Write) -> Self {
        Self {
            place,
            step: write.step,
            how: write.how,
            before: None,
            value: write.value,
        }
    }
}

/// Where a motion ends.
struct Reach<'a> {
    motion: Motion,
    backwards: bool,
    origin: Step,
    frame: FrameNumber,
    below: &'a FxHashSet<FrameNumber>,
    ended: bool,
}

impl Reach<'_> {
    fn is_reached(&mut self, seen: &Seen<'_>) -> bool {
        if seen.left.contains(&self.frame) {
            self.ended = true;
        }
        let step = &seen.step;
        if step.thread != self.origin.thread {
            return false;
        }
        let own = step.frame == self.frame;
        let below = self.below.contains(&step.frame);
        // A generator that has only yielded is not over.
        let returned = self.ended && below;
        let event = seen.event;
        let comes = matches!(event, Event::Line) || (self.backwards && event == Event::Call);
        let reached = match self.motion {
            Motion::Breaks => false,
            Motion::Instruction => true,
            Motion::InstructionOver => own || returned,
            Motion::Line => comes || (!self.backwards && event != Event::Instruction),
            Motion::LineOver => {
                (comes && (own || returned)) || (own && event == Event::Return && !self.backwards)
            }
            Motion::Out if self.backwards => below,
            Motion::Out => (own && returning(seen)) || (returned && comes),
            Motion::Until(least) => {
                let line = seen.state.frame().and_then(debugop_replay::Frame::line);
                (own && comes && line.is_some_and(|line| line >= least))
                    || (own && event == Event::Return)
                    || (returned && comes)
            }
        };
        if own && !self.backwards && returning(seen) {
            self.ended = true;
        }
        reached
    }
}

/// Whether the step returns from its frame, also where a line begins with that.
fn returning(seen: &Seen<'_>) -> bool {
    seen.event == Event::Return
        || seen
            .state
            .frame()
            .is_some_and(|frame| returns(frame.code(), seen.step.at))
}
