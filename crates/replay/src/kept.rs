//! What is kept while a recording is looked at: decoded chunks with states on the way through them, and what machines have compiled.
//!
//! A question has a machine of its own and one chunk or a few; the next question asks for the same ones as a rule.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::chunk::{Chunk, Room};
use crate::machine::{Checkpoint, Machine};
use crate::segment::Segments;

/// So many decoded chunks are kept: a chunk of 256 KiB takes some 20 MB.
const MOST_CHUNKS: usize = 4;
/// What so many machines have compiled is kept: a search, a cursor, and a question within a question.
const MOST_COMPILED: usize = 4;

/// What is kept of a recording.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Those that were asked for last, the newest at the end.
    chunks: Mutex<VecDeque<Decoded>>,
    compiled: Mutex<Vec<Segments>>,
    rooms: Mutex<Vec<Room>>,
}

/// A decoded chunk, and the states on the way through it that are known.
#[derive(Clone, Debug)]
pub(crate) struct Decoded {
    pub(crate) index: usize,
    pub(crate) chunk: Arc<Chunk>,
    pub(crate) states: Arc<States>,
}

impl Kept {
    pub(crate) fn chunk(&self, index: usize) -> Option<Decoded> {
        let mut chunks = held(&self.chunks);
        let at = chunks.iter().position(|known| known.index == index)?;
        let known = chunks.remove(at)?;
        chunks.push_back(known.clone());
        Some(known)
    }

    /// Keeps a chunk, unless another thread has decoded it meanwhile; what is kept. A whole one takes the place of a part of it.
    pub(crate) fn keep(&self, index: usize, chunk: Arc<Chunk>) -> Decoded {
        if let Some(known) = self.chunk(index)
            && (known.chunk.is_whole() || !chunk.is_whole())
        {
            return known;
        }
        let new = Decoded {
            index,
            chunk,
            states: Arc::default(),
        };
        let mut chunks = held(&self.chunks);
        let part = chunks.iter().position(|known| known.index == index);
        let oldest = match part {
            Some(part) => chunks.remove(part),
            None if chunks.len() >= MOST_CHUNKS => chunks.pop_front(),
            None => None,
        };
        chunks.push_back(new.clone());
        drop(chunks);
        if let Some(Decoded { chunk, states, .. }) = oldest {
            // They refer to the chunk.
            drop(states);
            self.leave(chunk);
        }
        new
    }

    /// Somebody does not need a chunk any more. If nobody else does, its memory is for the next one.
    pub(crate) fn leave(&self, chunk: Arc<Chunk>) {
        if let Some(chunk) = Arc::into_inner(chunk) {
            let room = chunk.into();
            let mut rooms = held(&self.rooms);
            if rooms.len() < MOST_CHUNKS {
                rooms.push(room);
            }
        }
    }

    /// Where a chunk can be decoded.
    pub(crate) fn room(&self) -> Room {
        held(&self.rooms).pop().unwrap_or_default()
    }

    /// What some machine has compiled, for a new one.
    pub(crate) fn compiled(&self) -> Segments {
        held(&self.compiled).pop().unwrap_or_default()
    }

    /// A machine is not needed any more.
    pub(crate) fn give_back(&self, machine: Machine) {
        let mut compiled = held(&self.compiled);
        if compiled.len() < MOST_COMPILED {
            compiled.push(machine.into_compiled());
        }
    }
}

fn held<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// States on the way through a chunk, by record, rising, with values. The index was known when they were made, so they know what frames did before the chunk.
#[derive(Debug, Default)]
pub(crate) struct States(Mutex<Vec<Arc<Checkpoint>>>);

impl States {
    /// The last one from which a step can be gone to.
    pub(crate) fn to(&self, step: u64) -> Option<Arc<Checkpoint>> {
        let states = held(&self.0);
        let after = states.partition_point(|state| state.number <= step);
        states.get(after.checked_sub(1)?).cloned()
    }

    /// Those after which steps with lower numbers than this come, rising; of several with one number only the last.
    pub(crate) fn before(&self, step: u64) -> Vec<Arc<Checkpoint>> {
        let states = held(&self.0);
        let mut found: Vec<Arc<Checkpoint>> = Vec::new();
        for state in states.iter().take_while(|state| state.number < step) {
            if found.last().is_some_and(|last| last.number == state.number) {
                found.pop();
            }
            found.push(Arc::clone(state));
        }
        found
    }

    pub(crate) fn is_empty(&self) -> bool {
        held(&self.0).is_empty()
    }

    /// The one at the beginning of the chunk.
    pub(crate) fn begin(&self) -> Option<Arc<Checkpoint>> {
        held(&self.0).first().cloned()
    }

    /// The number of the first step of the chunk.
    pub(crate) fn first(&self) -> Option<u64> {
        held(&self.0).first().map(|first| first.number)
    }

    /// The record before which the last one is.
    pub(crate) fn last_record(&self) -> usize {
        held(&self.0).last().map_or(0, |last| last.record)
    }

    /// Takes over what is known of a part of the chunk, if nothing is known yet.
    pub(crate) fn take_over(&self, of_part: &Self, whole: &Arc<Chunk>) {
        let known = held(&of_part.0).clone();
        let mut states = held(&self.0);
        if states.is_empty() {
            let moved = |state: Arc<Checkpoint>| Arc::new(state.in_whole(whole));
            states.extend(known.into_iter().map(moved));
        }
    }

    /// Adds a state, if it lies behind all others.
    pub(crate) fn add(&self, state: Option<Checkpoint>) -> bool {
        let Some(state) = state else { return false };
        let mut states = held(&self.0);
        let is_new = states.last().is_none_or(|last| last.record < state.record);
        if is_new {
            states.push(Arc::new(state));
        }
        is_new
    }
}
