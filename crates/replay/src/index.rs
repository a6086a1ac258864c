//! What is in each chunk: how many steps, which instructions, which frames and objects from before it.
//!
//! It is made by replaying everything once, on all processors, and kept beside the recording ([`debugop_recording::file::index`]). With it a step is
//! found without counting, and a question replays only the chunks that can answer it.

pub(crate) mod build;
mod list;
mod places;
mod summary;

use std::collections::BTreeSet;

use debugop_bytecode::InstrIdx;
use debugop_recording::stream::{FrameNumber, ObjectId};

use crate::code::Codes;
use crate::query::Place;

pub(crate) use build::build;
pub(crate) use places::{Places, of_name, of_text};
pub(crate) use summary::Carried;
pub use summary::{Executed, Mention};
use summary::{Reader, Summary};

/// The index of a recording.
#[derive(Debug)]
pub struct Index {
    bytes: Vec<u8>,
    chunks: Vec<Chunk>,
    firsts: Vec<u64>,
}

/// What is asked of each chunk at once.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    /// Its summary begins here.
    at: usize,
    /// New frames and objects have these numbers and greater ones.
    next_frame: FrameNumber,
    newest: ObjectId,
    unwound: u64,
    lost: u64,
}

impl Index {
    /// From its bytes; `None` if they are not an index of so many chunks and these code objects.
    pub(crate) fn read(bytes: Vec<u8>, chunks: usize, codes: &Codes) -> Option<Self> {
        let mut reader = Reader::new(&bytes);
        let mut found = Vec::new();
        let mut firsts = vec![0];
        let mut total: u64 = 0;
        for _ in 0..chunks {
            let at = reader.at();
            let summary = Summary::read(&mut reader)?;
            summary.check(codes)?;
            total = total.checked_add(summary.steps)?;
            firsts.push(total);
            found.push(Chunk {
                at,
                next_frame: FrameNumber(summary.next_frame),
                newest: ObjectId(summary.newest),
                unwound: summary.unwound,
                lost: summary.lost,
            });
        }
        reader.is_at_end().then_some(())?;
        Some(Self {
            chunks: found,
            firsts,
            bytes,
        })
    }

    /// Its bytes: for [`Index::read`].
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The number of the first step of each chunk and, at the end, the number of all steps.
    pub fn firsts(&self) -> &[u64] {
        &self.firsts
    }

    /// The number of chunks.
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Whether there is no chunk.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    fn summary(&self, chunk: usize) -> Option<Summary<'_>> {
        let known = self.chunks.get(chunk)?;
        Summary::read(&mut Reader::new(self.bytes.get(known.at..)?))
    }

    /// What was executed of a code object in a chunk; `None` if nothing was.
    pub fn executed(&self, chunk: usize, code: u32) -> Option<Executed<'_>> {
        self.summary(chunk)?.executed(code)
    }

    /// The numbers of the code objects of which something was executed in a chunk.
    pub fn codes(&self, chunk: usize) -> Vec<u32> {
        let summary = self.summary(chunk);
        summary.map_or_else(Vec::new, |summary| {
            summary.codes().map(|(code, _)| code).collect()
        })
    }

    /// How many frames exceptions have left in a chunk.
    pub fn unwound(&self, chunk: usize) -> u64 {
        self.chunks.get(chunk).map_or(0, |chunk| chunk.unwound)
    }

    /// How often a chunk says that something is missing.
    pub(crate) fn lost(&self, chunk: usize) -> u64 {
        self.chunks.get(chunk).map_or(0, |chunk| chunk.lost >> 1)
    }

    /// Whether a chunk says that steps may be missing at its beginning.
    pub(crate) fn has_dropped(&self, chunk: usize) -> bool {
        self.chunks
            .get(chunk)
            .is_some_and(|chunk| chunk.lost & 1 != 0)
    }

    /// The numbers of the threads that have run in a chunk.
    pub fn threads(&self, chunk: usize) -> Vec<u32> {
        self.summary(chunk)
            .map_or_else(Vec::new, |summary| summary.threads().collect())
    }

    /// Frames from before the chunk that have steps in it, by number, each with its last step before.
    pub(crate) fn carried(&self, chunk: usize) -> Vec<Carried> {
        self.summary(chunk)
            .map_or_else(Vec::new, |summary| summary.carried().collect())
    }

    /// The last steps of frames from before a chunk that have steps in it, by number.
    pub(crate) fn last_steps(&self, chunk: usize) -> Vec<(FrameNumber, InstrIdx)> {
        let carried = self.carried(chunk).into_iter();
        carried
            .filter_map(|carried| Some((carried.frame, carried.before?)))
            .collect()
    }

    /// Whether one of these frames may have steps in a chunk.
    pub fn has_any_frame(&self, chunk: usize, frames: &BTreeSet<FrameNumber>) -> bool {
        let Some(known) = self.chunks.get(chunk) else {
            return false;
        };
        let next = self.chunks.get(chunk + 1);
        let mut new = frames.range(known.next_frame..);
        if (new.next()).is_some_and(|first| next.is_none_or(|next| *first < next.next_frame)) {
            return true;
        }
        // Frames that are new in a chunk come after all others.
        frames
            .first()
            .is_some_and(|first| *first < known.next_frame)
            && self.summary(chunk).is_some_and(|summary| {
                let mut carried = summary.carried();
                carried.any(|carried| frames.contains(&carried.frame))
            })
    }

    /// Whether a frame may have steps in a chunk.
    pub fn has_frame(&self, chunk: usize, frame: FrameNumber) -> bool {
        let Some(known) = self.chunks.get(chunk) else {
            return false;
        };
        if frame >= known.next_frame {
            let next = self.chunks.get(chunk + 1);
            return next.is_none_or(|next| frame < next.next_frame);
        }
        self.summary(chunk)
            .is_some_and(|summary| summary.carried().any(|carried| carried.frame == frame))
    }

    /// The code object of a frame that has steps in a chunk, if the index says it.
    pub(crate) fn code_of(&self, chunk: usize, frame: FrameNumber) -> Option<u32> {
        let mut carried = self.summary(chunk)?.carried();
        Some(carried.find(|carried| carried.frame == frame)?.code)
    }

    /// Whether an object that is known at the chunk's end was not known when it began.
    pub(crate) fn is_new(&self, chunk: usize, object: ObjectId) -> bool {
        let known = self.chunks.get(chunk);
        known.is_some_and(|known| object > known.newest)
    }

    /// Whether an object is spoken of in a chunk.
    pub fn mentions(&self, chunk: usize, object: ObjectId) -> Mention {
        let Some(known) = self.chunks.get(chunk) else {
            return Mention::No;
        };
        if object > known.newest {
            let next = self.chunks.get(chunk + 1);
            return match next.is_none_or(|next| object <= next.newest) {
                true => Mention::Changed,
                false => Mention::No,
            };
        }
        self.summary(chunk)
            .map_or(Mention::No, |summary| summary.mentions(object).0)
    }

    /// Whether an attribute or item may have been bound in a chunk, or may have another value at some time in it than at another. Of other places
    /// nothing is known: `true`.
    pub fn may_bind(&self, chunk: usize, place: &Place) -> bool {
        let (Place::Attribute(object, _) | Place::Item(object, _)) = place else {
            return true;
        };
        if self.mentions(chunk, *object) == Mention::No {
            return false;
        }
        match (places::hashes(place), self.chunks.get(chunk)) {
            (Some(hashes), Some(known)) if *object <= known.newest => self
                .summary(chunk)
                .is_none_or(|summary| summary.lists(hashes)),
            _ => true,
        }
    }

    /// Whether an attribute or item may have been bound in a chunk, or may be seen to have changed there: if a chunk speaks of an object that its keyframe
    /// does not speak of, something may be in it that was not there in the chunk before.
    pub fn may_change(&self, chunk: usize, place: &Place) -> bool {
        let (Place::Attribute(object, _) | Place::Item(object, _)) = place else {
            return true;
        };
        let later = |summary: Summary<'_>| summary.mentions(*object).1;
        self.may_bind(chunk, place) || self.summary(chunk).is_none_or(later)
    }
}
