//! Counts what is executed, way by way.

use debugop_bytecode::InstrIdx;
use debugop_recording::stream::{FrameNumber, ObjectId};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::chunk::Chunk;
use crate::code::Code;
use crate::index::Places;
use crate::segment::{Segment, SegmentId, Segments};
use crate::state::{Frame, Stepped};
use crate::value::Value;

/// What was executed of one code object: by instruction, how often it was a step, and how often execution came to its line with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) executed: Vec<u64>,
    pub(crate) arrived: Vec<u64>,
}

/// What was executed in a chunk, as far as whole ways were.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Of each compiled way how often it was gone, and how often its first step came to a line.
    ways: Vec<[u64; 2]>,
    codes: FxHashMap<u32, Counts>,
    /// Frames from before the chunk with their first step in it, in order.
    pub(crate) carried: Vec<(FrameNumber, u32, InstrIdx)>,
    /// Frames that have ended, of those from before the chunk.
    pub(crate) ended: Vec<FrameNumber>,
    /// Frames from this number on are new in the chunk.
    pub(crate) first_frame: FrameNumber,
    /// Objects of which an attribute or item was bound, and cells that were.
    pub(crate) stored: FxHashSet<ObjectId>,
    /// Whether that of others was too.
    pub(crate) stores_unknown: bool,
    /// Which attributes and items.
    pub(crate) places: Places,
    /// Objects up to this one are from before the chunk.
    newest: ObjectId,
    /// The threads that have had steps, each at least once.
    pub(crate) threads: Vec<u32>,
    /// How many frames exceptions have left.
    pub(crate) unwound: u64,
}

impl Tally {
    pub(crate) fn new(first_frame: FrameNumber, newest: ObjectId) -> Self {
        Self {
            first_frame,
            newest,
            ..Self::default()
        }
    }

    /// A frame is about to go a way; the record's values begin at `values`.
    #[inline]
    pub(crate) fn stores(
        &mut self,
        segment: &Segment,
        frame: &Frame,
        chunk: &Chunk,
        values: usize,
    ) {
        for store in &segment.stores {
            match store.object.read(frame, chunk, values) {
                Value::Object(id) if id <= self.newest => {
                    self.stored.insert(id);
                    self.places.bound(id, store, frame, chunk, values);
                }
                Value::Pending => {
                    self.stores_unknown = true;
                    self.places.bound_somewhere();
                }
                _ => {}
            }
        }
    }

    /// A thread has a step.
    #[inline]
    pub(crate) fn thread(&mut self, number: u32) {
        if self.threads.last() != Some(&number) {
            self.threads.push(number);
        }
    }

    /// A frame goes a whole way, at least one step of which has not been executed.
    #[inline]
    pub(crate) fn way(&mut self, id: SegmentId, frame: &Frame, first: InstrIdx) {
        let index = id.index();
        if index >= self.ways.len() {
            self.ways.resize(index + 1, [0; 2]);
        }
        let arrives = match frame.stepped {
            Stepped::At(before) => frame.object.comes_to_line(before, first),
            Stepped::Never => true,
            Stepped::Unknown => {
                self.carried.push((frame.number, frame.code, first));
                false
            }
        };
        let way = &mut self.ways[index];
        way[0] += 1;
        way[1] += u64::from(arrives);
    }

    /// Adds what the ways so far come to: before they are forgotten.
    pub(crate) fn add_up(&mut self, segments: &Segments, code: impl Fn(u32) -> Option<CodeOf>) {
        for (index, [runs, arrivals]) in std::mem::take(&mut self.ways).into_iter().enumerate() {
            if runs == 0 {
                continue;
            }
            let segment = segments.get(SegmentId::from_index(index));
            let Some(of) = code(segment.code) else {
                continue;
            };
            let counts = self.codes.entry(segment.code).or_default();
            let instructions = of.analysis().instructions().len();
            counts.executed.resize(instructions, 0);
            counts.arrived.resize(instructions, 0);
            let mut before: Option<InstrIdx> = None;
            for step in &segment.steps {
                let at = step.at.0 as usize;
                counts.executed[at] += runs;
                counts.arrived[at] += match before {
                    None => arrivals,
                    Some(before) if of.comes_to_line(before, step.at) => runs,
                    Some(_) => 0,
                };
                before = Some(step.at);
            }
        }
    }

    /// What was executed, by number of the code object, in order.
    pub(crate) fn into_codes(self) -> Vec<(u32, Counts)> {
        let mut codes: Vec<_> = self.codes.into_iter().collect();
        codes.sort_unstable_by_key(|(number, _)| *number);
        codes
    }
}

/// A code object that steps are counted of.
type CodeOf = std::sync::Arc<Code>;
