//! From a step to the next or the previous place to stop at.

use std::collections::VecDeque;
use std::sync::Arc;

use debugop_recording::stream::FrameNumber;
use debugop_replay::query::{self, How, Write};
use debugop_replay::{Cursor, OpenError, Recording, Step};
use debugop_value as data;
use rustc_hash::FxHashSet;

use crate::breaks::Breaks;
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
    /// A search that begins at a step.
    ///
    /// # Errors
    /// [`OpenError`], also if there is no such step.
    pub fn new(
        recording: &Arc<Recording>,
        step: u64,
        motion: Motion,
        backwards: bool,
        breaks: Breaks,
    ) -> Result<Self, OpenError> {
        let mut cursor = recording.cursor();
        let origin = cursor.seek(step)?;
        let frames = cursor.state().and_then(|state| state.thread());
        let frames = frames.map_or(&[][..], |(_, thread)| thread.frames());
        let below = frames.iter().map(debugop_replay::Frame::number);
        let below = below.filter(|number| *number != origin.frame).collect();
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

    /// The next place to stop at; `None` where the recording ends or, backwards, begins. `interrupted` is asked now and then.
    ///
    /// # Errors
    /// [`SearchError`].
    pub fn find(
        &mut self,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Stop>, SearchError> {
        loop {
            if let Some(stop) = self.found.pop_front() {
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

    /// What to look at next; ranges end where chunks do.
    fn next_range(&mut self) -> Result<Option<(u64, u64)>, OpenError> {
        let range = self.range;
        self.range = range.saturating_mul(GROWTH);
        let firsts = self.recording.firsts()?;
        if self.backwards {
            if self.at == 0 {
                return Ok(None);
            }
            let index = firsts.partition_point(|&first| first < self.at);
            let chunk = firsts.get(index.saturating_sub(1)).copied().unwrap_or(0);
            return Ok(Some((self.at.saturating_sub(range).max(chunk), self.at)));
        }
        if self.at >= self.length {
            return Ok(None);
        }
        let index = firsts.partition_point(|&first| first <= self.at);
        let chunk = firsts.get(index).copied().unwrap_or(self.length);
        Ok(Some((self.at, self.at.saturating_add(range).min(chunk))))
    }

    /// Finds the places of a range.
    fn look(&mut self, first: u64, end: u64) -> Result<(), OpenError> {
        let mut stops: Vec<Stop> = Vec::new();
        if self.motion != Motion::Breaks || self.breaks.want_steps() {
            self.look_at_steps(first, end, &mut stops)?;
        }
        for (index, place) in self.breaks.places.iter().enumerate() {
            for write in query::writes(&self.recording, place, first, end)? {
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
        Scan::new(&mut self.cursor).run(
            first,
            end,
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
        self.ended = reach.ended;
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
