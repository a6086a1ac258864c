//! Replays the chunks that can have an answer, and stops only where one can be.

use std::ops::ControlFlow;
use std::sync::Arc;

use debugop_bytecode::InstrIdx;
use debugop_recording::stream::FrameNumber;

use crate::index::{Executed, Index};
use crate::kept::States;
use crate::machine::{Machine, Step, Stop, Unwound, Watch};
use crate::recording::{OpenError, Recording};
use crate::state::State;

/// What a search has come to.
pub(super) enum Found<'a> {
    /// A step that is watched for, and the world before it.
    Step(&'a Step, &'a State),
    /// Exceptions have left frames; the number of the step before, and the world now.
    Unwound(&'a [Unwound], Option<u64>, &'a State),
}

/// The chunks with steps before a step, the last one first.
pub(super) fn chunks_before(index: &Index, before: u64) -> impl Iterator<Item = usize> {
    let end = index.firsts().partition_point(|&first| first < before);
    (0..end.min(index.len())).rev()
}

/// The chunks with steps from one step up to and without another.
pub(super) fn chunks_between(index: &Index, from: u64, to: u64) -> impl Iterator<Item = usize> {
    let firsts = index.firsts();
    (0..index.len()).filter(move |&chunk| firsts[chunk + 1] > from && firsts[chunk] < to)
}

/// Whether something that is watched for may be in a chunk.
pub(super) fn may_have(index: &Index, chunk: usize, watch: &Watch) -> bool {
    watch.unwound && index.unwound(chunk) > 0
        || watch.codes().any(|(code, wanted)| {
            let executed = index.executed(chunk, code);
            executed.is_some_and(|executed| executed.any_of(wanted))
        })
}

/// Shows what is watched for in a chunk, from one step up to and without another, until `visit` breaks.
pub(super) fn in_chunk<B>(
    recording: &Arc<Recording>,
    chunk: usize,
    watch: Watch,
    from: u64,
    to: u64,
    mut visit: impl FnMut(Found<'_>) -> ControlFlow<B>,
) -> Result<Option<B>, OpenError> {
    let mut passage = Passage::new(recording, chunk, watch)?;
    passage.skip(from);
    let found = passage.go(from, to, &mut visit)?;
    passage.end();
    Ok(found)
}

/// As [`in_chunk`], where nobody looks at values: frames are what they are, their slots are not.
pub(super) fn steps_in_chunk<B>(
    recording: &Arc<Recording>,
    chunk: usize,
    watch: Watch,
    from: u64,
    to: u64,
    mut visit: impl FnMut(&Step, &State) -> ControlFlow<B>,
) -> Result<Option<B>, OpenError> {
    let mut passage = Passage::new(recording, chunk, watch)?;
    passage.skip(from);
    passage.machine.without_values();
    let found = passage.go(from, to, &mut |found| match found {
        Found::Step(step, state) => visit(step, state),
        Found::Unwound(..) => ControlFlow::Continue(()),
    })?;
    passage.end();
    Ok(found)
}

/// What `find` finds at the last step in a chunk, before another, that is watched for and where it finds something; it looks at values only if there are `values`. Behind
/// the last known state it is looked for first, then between that and the one before.
pub(super) fn last_in_chunk<T>(
    recording: &Arc<Recording>,
    chunk: usize,
    watch: Watch,
    before: u64,
    values: bool,
    mut find: impl FnMut(&Step, &State) -> Option<T>,
) -> Result<Option<T>, OpenError> {
    let mut passage = Passage::new(recording, chunk, watch)?;
    if !values {
        passage.machine.without_values();
    }
    let (mut last, mut end) = (None, before);
    for start in passage.states.before(before).iter().rev() {
        passage.machine.restore(start);
        passage.go::<()>(start.number, end, &mut |found| {
            if let Found::Step(step, state) = found
                && let Some(found) = find(step, state)
            {
                last = Some(found);
            }
            ControlFlow::Continue(())
        })?;
        if last.is_some() {
            break;
        }
        end = start.number;
    }
    passage.end();
    Ok(last)
}

/// A machine that goes through a chunk, or parts of it, and stops at what is watched for.
struct Passage<'a> {
    recording: &'a Recording,
    chunk: usize,
    watch: Watch,
    machine: Machine,
    states: Arc<States>,
}

impl<'a> Passage<'a> {
    /// At the beginning of a chunk. The machine knows what the frames have done before.
    fn new(recording: &'a Recording, chunk: usize, watch: Watch) -> Result<Self, OpenError> {
        let index = recording.index()?;
        let first = index.firsts().get(chunk).copied().unwrap_or(0);
        let decoded = recording.decoded(chunk)?;
        let machine = recording.machine(decoded.chunk, first, index.last_steps(chunk))?;
        if decoded.states.is_empty() {
            decoded.states.add(machine.checkpoint());
        }
        Ok(Self {
            recording,
            chunk,
            watch,
            machine,
            states: decoded.states,
        })
    }

    /// What comes before the nearest known state to a step is not needed. What has left frames right before that step is.
    fn skip(&mut self, from: u64) {
        if let Some(state) = from
            .checked_sub(1)
            .and_then(|before| self.states.to(before))
        {
            self.machine.restore(&state);
        }
    }

    /// Goes on, and shows what is watched for from one step up to and without another, until `visit` breaks.
    fn go<B>(
        &mut self,
        from: u64,
        to: u64,
        visit: &mut impl FnMut(Found<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>, OpenError> {
        let machine = &mut self.machine;
        self.watch.until = to;
        loop {
            let stop = machine.next_watched(&mut self.watch)?;
            let found = match &stop {
                Stop::At(step) if step.number >= to => return Ok(None),
                Stop::At(step) if step.number < from => continue,
                Stop::At(step) => Found::Step(step, machine.state()),
                Stop::Unwound if machine.position() > to => return Ok(None),
                Stop::Unwound if machine.position() < from => continue,
                Stop::Unwound => {
                    let before = machine.position().checked_sub(1);
                    Found::Unwound(machine.unwound(), before, machine.state())
                }
                Stop::Until => return Ok(None),
                Stop::End => {
                    self.recording.verify(self.chunk, machine.position())?;
                    return Ok(None);
                }
            };
            if let ControlFlow::Break(found) = visit(found) {
                return Ok(Some(found));
            }
        }
    }

    /// The machine's compiled ways are for the next one.
    fn end(self) {
        self.recording.kept().give_back(self.machine);
    }
}

/// Shows what is watched for from one step up to and without another, until `visit` breaks.
pub(super) fn between<B>(
    recording: &Arc<Recording>,
    watch: impl Fn() -> Watch,
    from: u64,
    to: u64,
    mut visit: impl FnMut(Found<'_>) -> ControlFlow<B>,
) -> Result<Option<B>, OpenError> {
    let index = recording.index()?;
    for chunk in chunks_between(index, from, to) {
        let watch = watch();
        if may_have(index, chunk, &watch)
            && let Some(found) = in_chunk(recording, chunk, watch, from, to, &mut visit)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The next step of a frame after one of its steps, up to and with step `last`.
pub(super) fn next_of_frame(
    recording: &Arc<Recording>,
    at: &Step,
    last: u64,
) -> Result<Option<Step>, OpenError> {
    let index = recording.index()?;
    let (from, to) = (at.number + 1, last.saturating_add(1));
    for chunk in chunks_between(index, from, to) {
        if !index.has_frame(chunk, at.frame) {
            continue;
        }
        let mut watch = Watch::default();
        let executed = index.executed(chunk, at.code).into_iter();
        watch.add(
            at.code,
            executed.flat_map(Executed::steps).map(|(at, _)| at),
        );
        let found = steps_in_chunk(recording, chunk, watch, from, to, |step, _| {
            match step.frame == at.frame {
                true => ControlFlow::Break(*step),
                false => ControlFlow::Continue(()),
            }
        })?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The last step before another that a frame has had at one of these instructions of its code object, which are in order.
pub(super) fn last_of_frame(
    recording: &Arc<Recording>,
    frame: FrameNumber,
    code: u32,
    wanted: &[InstrIdx],
    before: u64,
) -> Result<Option<Step>, OpenError> {
    let index = recording.index()?;
    for chunk in chunks_before(index, before) {
        let executed = index.executed(chunk, code);
        if !executed.is_some_and(|executed| executed.any_of(wanted))
            || !index.has_frame(chunk, frame)
        {
            continue;
        }
        let mut watch = Watch::default();
        watch.add(code, wanted.iter().copied());
        let last = last_in_chunk(recording, chunk, watch, before, false, |step, _| {
            (step.frame == frame).then_some(*step)
        })?;
        if last.is_some() {
            return Ok(last);
        }
    }
    Ok(None)
}

/// The first step of a frame, if it is before another.
pub(super) fn first_of_frame(
    recording: &Arc<Recording>,
    frame: FrameNumber,
    code: u32,
    before: u64,
) -> Result<Option<Step>, OpenError> {
    let index = recording.index()?;
    for chunk in chunks_between(index, 0, before) {
        if !index.has_frame(chunk, frame) {
            continue;
        }
        let mut watch = Watch::default();
        let executed = index.executed(chunk, code).into_iter();
        watch.add(code, executed.flat_map(Executed::steps).map(|(at, _)| at));
        let found = steps_in_chunk(recording, chunk, watch, 0, before, |step, _| {
            match step.frame == frame {
                true => ControlFlow::Break(*step),
                false => ControlFlow::Continue(()),
            }
        })?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
