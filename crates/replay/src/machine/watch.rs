//! Instructions that a machine stops at, and at no others.

use debugop_bytecode::InstrIdx;
use rustc_hash::FxHashMap;

use super::Step;
use crate::segment::{SegmentId, Segments};

/// Where [`Machine::next_watched`](super::Machine::next_watched) has stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// At a step that is watched for.
    At(Step),
    /// An exception has left a frame.
    Unwound,
    /// At the number of the step that it was not to go beyond, or a little behind it.
    Until,
    /// At the chunk's end.
    End,
}

/// What to stop at. For one machine, or one [`Cursor`](crate::Cursor).
#[derive(Debug, Default)]
pub struct Watch {
    /// By code object, the instructions in order.
    codes: FxHashMap<u32, Vec<InstrIdx>>,
    /// Whether also when an exception leaves a frame.
    pub(crate) unwound: bool,
    /// From this step on nothing is wanted.
    pub(crate) until: u64,
    /// Of each way whether one of the instructions is on it, if that is known.
    ways: Vec<Option<bool>>,
    /// The segments' generation that `ways` is of.
    generation: u32,
}

impl Watch {
    /// Stops at these instructions of a code object too.
    pub fn add(&mut self, code: u32, at: impl IntoIterator<Item = InstrIdx>) {
        let mut at = at.into_iter().peekable();
        if at.peek().is_none() {
            return;
        }
        let known = self.codes.entry(code).or_default();
        known.extend(at);
        known.sort_unstable();
        known.dedup();
    }

    /// The instructions of each code object.
    pub(crate) fn codes(&self) -> impl Iterator<Item = (u32, &[InstrIdx])> {
        self.codes.iter().map(|(code, at)| (*code, at.as_slice()))
    }

    /// Whether there is nothing to stop at.
    pub(crate) fn is_empty(&self) -> bool {
        self.codes.is_empty() && !self.unwound
    }

    /// Whether this step is watched for.
    #[inline]
    pub(crate) fn has(&self, step: &Step) -> bool {
        let known = self.codes.get(&step.code);
        known.is_some_and(|known| known.binary_search(&step.at).is_ok())
    }

    #[inline]
    pub(super) fn has_way(&mut self, segments: &Segments, id: SegmentId) -> bool {
        if self.generation != segments.generation() {
            self.generation = segments.generation();
            self.ways.clear();
        }
        if let Some(Some(known)) = self.ways.get(id.index()) {
            return *known;
        }
        if self.ways.len() <= id.index() {
            self.ways.resize(id.index() + 1, None);
        }
        let segment = segments.get(id);
        let has = self.codes.get(&segment.code).is_some_and(|known| {
            let mut steps = segment.steps.iter();
            steps.any(|step| known.binary_search(&step.at).is_ok())
        });
        self.ways[id.index()] = Some(has);
        has
    }
}
