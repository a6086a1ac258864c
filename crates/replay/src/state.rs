//! The recorded world at a step: threads, frames, objects.

use std::sync::Arc;

use debugop_bytecode::InstrIdx;
use debugop_recording::file::Constant;
use debugop_recording::stream::{
    Caller, Contents, Definition, FrameNumber, ObjectId, ThreadNumber, Type,
};
use rustc_hash::FxHashMap;

use crate::chunk::Chunk;
use crate::code::Code;
use crate::segment::From;
use crate::value::Value;

/// A frame.
#[derive(Clone, Debug)]
pub struct Frame {
    pub(crate) number: FrameNumber,
    pub(crate) code: u32,
    pub(crate) object: Arc<Code>,
    pub(crate) slots: Vec<Value>,
    pub(crate) at: InstrIdx,
    pub(crate) caller: Caller,
    /// Where its next way begins.
    pub(crate) from: From,
    /// Up to where that has been executed.
    pub(crate) done: Option<InstrIdx>,
    /// Its last step, the one that is presented included.
    pub(crate) stepped: Stepped,
    /// Its step before the one that is presented.
    pub(crate) previous: Stepped,
    /// The numbers of both, if they are of this chunk.
    pub(crate) stepped_number: Option<u64>,
    pub(crate) previous_number: Option<u64>,
}

/// A frame's last step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stepped {
    /// It is in an earlier chunk, if there is any.
    #[default]
    Unknown,
    /// There has been none yet.
    Never,
    /// It was this instruction.
    At(InstrIdx),
}

impl Frame {
    /// Its number in the recording.
    pub fn number(&self) -> FrameNumber {
        self.number
    }

    /// Its code object.
    pub fn code(&self) -> &Arc<Code> {
        &self.object
    }

    /// The instruction that it is about to execute or, of a frame that has called another one, in the middle of.
    pub fn at(&self) -> InstrIdx {
        self.at
    }

    /// Its last step; `None` if there has been none, or that is not known in this chunk.
    pub fn stepped(&self) -> Option<InstrIdx> {
        match self.stepped {
            Stepped::At(at) => Some(at),
            Stepped::Unknown | Stepped::Never => None,
        }
    }

    /// Which instruction called it.
    pub fn caller(&self) -> Caller {
        self.caller
    }

    /// Its step before the one that it is at, as far as that is known: `None` if there was none, or if none is known.
    pub fn before(&self) -> Option<InstrIdx> {
        match self.previous {
            Stepped::At(before) => Some(before),
            Stepped::Never | Stepped::Unknown => None,
        }
    }

    /// localsplus.
    pub fn locals(&self) -> impl ExactSizeIterator<Item = Value> {
        self.slice(0, self.object.locals().slots)
    }

    /// The value stack before the instruction, bottom first.
    pub fn stack(&self) -> impl ExactSizeIterator<Item = Value> {
        let depth = self.object.analysis().depth(self.at).unwrap_or(0);
        self.slice(self.object.locals().slots, depth)
    }

    /// A constant of its code object.
    pub fn constant(&self, index: u32) -> Value {
        match self.object.data().constants.get(index as usize) {
            Some(Constant::None) => Value::None,
            Some(Constant::Bool(bool)) => Value::Bool(*bool),
            Some(Constant::Ellipsis) => Value::Ellipsis,
            Some(Constant::Int(int)) => Value::Int(*int),
            Some(Constant::Float(bits)) => Value::Float(*bits),
            _ => Value::Constant(self.code, index),
        }
    }

    /// Whether a value of the frame is this int or string.
    pub(crate) fn is_key(&self, value: Value, key: &debugop_value::Value, state: &State) -> bool {
        match value {
            Value::Constant(code, index) if code == self.code => {
                match (self.object.data().constants.get(index as usize), key) {
                    (Some(Constant::Str(text)), debugop_value::Value::Str(key)) => {
                        key.as_str().is_some_and(|key| key.as_bytes() == text)
                    }
                    _ => false,
                }
            }
            value => state.is_key(value, key),
        }
    }

    /// Slots that were never written are `NULL`.
    fn slice(&self, first: u32, count: u32) -> impl ExactSizeIterator<Item = Value> {
        (first as usize..first as usize + count as usize)
            .map(|slot| self.slots.get(slot).copied().unwrap_or_default())
    }

    #[inline]
    pub(crate) fn get(&self, slot: u32) -> Value {
        self.slots.get(slot as usize).copied().unwrap_or_default()
    }

    #[cold]
    fn set_new(&mut self, slot: usize, value: Value) {
        self.slots.resize(slot + 1, Value::Null);
        self.slots[slot] = value;
    }

    #[inline]
    pub(crate) fn set(&mut self, slot: u32, value: Value) {
        match self.slots.get_mut(slot as usize) {
            Some(known) => *known = value,
            None => self.set_new(slot as usize, value),
        }
    }
}

/// A thread with recorded frames.
#[derive(Clone, Debug, Default)]
pub struct Thread {
    pub(crate) number: ThreadNumber,
    pub(crate) native: u64,
    pub(crate) name: Box<[u8]>,
    pub(crate) below: u64,
    /// So many frames are gone already, which the next `POP`s will speak of: they went on in another thread.
    pub(crate) left: u32,
    pub(crate) frames: Vec<Frame>,
}

impl Thread {
    #[inline]
    pub(crate) fn top(&mut self) -> Option<&mut Frame> {
        self.frames.last_mut()
    }

    /// The system's number for it.
    pub fn native(&self) -> u64 {
        self.native
    }

    /// Its name in WTF-8, as far as known.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Its recorded frames, outermost first.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// How many recorded frames lie below them that this part of the recording does not show.
    pub fn below(&self) -> u64 {
        self.below
    }
}

/// What is known at a step.
#[derive(Clone, Debug)]
pub struct State {
    pub(crate) chunk: Arc<Chunk>,
    /// The current one is at `current`, if there is any.
    pub(crate) threads: Vec<Thread>,
    pub(crate) current: usize,
    pub(crate) suspended: FxHashMap<FrameNumber, Frame>,
    /// What cells hold that have been stored to.
    pub(crate) cells: FxHashMap<ObjectId, (usize, Value)>,
    /// The record that is being executed, counted from 1; 0: the keyframe.
    pub(crate) record: usize,
    /// Whether its changes of objects have been made.
    pub(crate) updated: bool,
    /// The last record in which code that changes objects may have run.
    pub(crate) opaque: usize,
    /// Code that changes objects may run before the record looks at those that it tells of first.
    pub(crate) ahead: bool,
    /// Frames that C code has called are ending: what they have changed was looked at when that had gone on.
    pub(crate) late: bool,
    pub(crate) time: u64,
}

/// An object as far as it is known.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// Its identity.
    pub id: ObjectId,
    /// Its type.
    pub class: &'a Type,
    /// Its contents; `None` if they were not captured. A cell's are in `cell`.
    pub contents: Option<&'a Contents>,
    /// Of a cell: what it holds.
    pub cell: Option<Value>,
    /// Whether nothing can have changed them since they were looked at.
    pub certain: bool,
    /// Whether it may have been known by another id before: the recorder had forgotten which objects it knew, because they were too many.
    pub doubtful: bool,
}

impl State {
    /// At the beginning of a chunk, without the frames that are there.
    pub(crate) fn new(chunk: Arc<Chunk>) -> Self {
        Self {
            threads: Vec::new(),
            current: 0,
            suspended: FxHashMap::default(),
            cells: FxHashMap::default(),
            record: 0,
            updated: true,
            opaque: 0,
            ahead: false,
            late: false,
            time: chunk.keyframe.time,
            chunk,
        }
    }

    /// Goes to what is told of objects up to a record, that record's changes included.
    pub(crate) fn tell(&mut self, record: usize) {
        self.record = record;
        self.updated = true;
        self.ahead = false;
    }

    /// Makes a thread the current one; a thread that has not been introduced has no frames.
    pub(crate) fn switch(&mut self, number: ThreadNumber) {
        if self.threads.get(self.current).map(|thread| thread.number) == Some(number) {
            return;
        }
        let known = self
            .threads
            .iter()
            .position(|thread| thread.number == number);
        self.current = known.unwrap_or_else(|| {
            self.threads.push(Thread {
                number,
                ..Thread::default()
            });
            self.threads.len() - 1
        });
    }

    /// The frame on top of the current thread.
    #[inline]
    pub(crate) fn top(&mut self) -> Option<&mut Frame> {
        self.threads.get_mut(self.current)?.top()
    }

    /// The thread on whose stack a frame still is.
    pub(crate) fn thread_of(&self, number: FrameNumber) -> Option<usize> {
        self.threads.iter().position(|thread| {
            let mut frames = thread.frames.iter();
            frames.any(|frame| frame.number == number)
        })
    }

    /// The thread that runs.
    pub fn thread(&self) -> Option<(ThreadNumber, &Thread)> {
        let thread = self.threads.get(self.current)?;
        Some((thread.number, thread))
    }

    /// All threads.
    pub fn threads(&self) -> impl Iterator<Item = (ThreadNumber, &Thread)> {
        self.threads.iter().map(|thread| (thread.number, thread))
    }

    /// The frame that runs.
    pub fn frame(&self) -> Option<&Frame> {
        self.thread()?.1.frames.last()
    }

    /// The suspended frames that this part of the recording has shown.
    pub fn suspended(&self) -> impl Iterator<Item = &Frame> {
        self.suspended.values()
    }

    /// Nanoseconds since the recording began, as of the last time that was noted.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// The part of the recording that values refer to.
    pub fn chunk(&self) -> &Arc<Chunk> {
        &self.chunk
    }

    /// An object.
    pub fn object(&self, id: ObjectId) -> Option<Object<'_>> {
        let known = self.chunk.definition(id, self.record, self.updated);
        let (record, definition) = match known {
            Some(known) => known,
            // It has been made on the way to where the next chunk begins, which says how it is then.
            None => (0, self.chunk.defined_later(id)?),
        };
        let is_told = known.is_some();
        let Definition {
            class, contents, ..
        } = definition;
        let cell = match contents {
            Some(Contents::Cell(value)) => match self.cells.get(&id) {
                Some((stored, value)) if *stored >= record => Some(*value),
                _ => Some((*value).into()),
            },
            _ => None,
        };
        Some(Object {
            id,
            class,
            contents: contents.as_ref(),
            cell,
            doubtful: self.chunk.is_doubtful(id),
            // Other threads may run at any time, unrecorded code of theirs too.
            certain: is_immutable(class.kind)
                || (is_told
                    && record >= self.opaque
                    && self.threads.len() <= 1
                    && !(self.ahead && record == self.record)
                    && !(self.late && record == self.record && definition.update)),
        })
    }
}

impl State {
    /// An attribute of an object, as far as it was captured.
    pub fn attribute(&self, id: ObjectId, name: &str) -> Option<Value> {
        let pairs = match self.object(id)?.contents? {
            Contents::Pairs(pairs) => pairs,
            contents => contents.attributes()?,
        };
        let mut pairs = pairs.pairs.iter();
        let found = pairs.find(|(known, _)| self.is_text((*known).into(), name));
        found.map(|(_, value)| (*value).into())
    }

    /// An item of a list, tuple or dict, as far as it was captured.
    pub fn item(&self, id: ObjectId, key: &debugop_value::Value) -> Option<Value> {
        match self.object(id)?.contents? {
            Contents::Items(items) | Contents::Collection { items, .. } => {
                let debugop_value::Value::Int(index) = *key else {
                    return None;
                };
                let length = i64::try_from(items.length).ok()?;
                let index = if index < 0 { index + length } else { index };
                let item = items.items.get(usize::try_from(index).ok()?)?;
                Some((*item).into())
            }
            Contents::Pairs(pairs) | Contents::Mapping { pairs, .. } => {
                let mut pairs = pairs.pairs.iter();
                let found = pairs.find(|(known, _)| self.is_key((*known).into(), key));
                found.map(|(_, value)| (*value).into())
            }
            _ => None,
        }
    }

    /// Whether a value is this string.
    pub(crate) fn is_text(&self, value: Value, text: &str) -> bool {
        let Value::Object(id) = value else {
            return false;
        };
        match self.object(id).and_then(|object| object.contents) {
            Some(Contents::Bytes { head, .. }) => &**head == text.as_bytes(),
            _ => false,
        }
    }

    /// Whether a value is this int or string.
    pub(crate) fn is_key(&self, value: Value, key: &debugop_value::Value) -> bool {
        match (value, key) {
            (Value::Int(int), debugop_value::Value::Int(key)) => int == *key,
            (Value::Bool(bool), debugop_value::Value::Int(key)) => i64::from(bool) == *key,
            (value, debugop_value::Value::Str(text)) => {
                text.as_str().is_some_and(|text| self.is_text(value, text))
            }
            _ => false,
        }
    }
}

/// Whether contents of objects of this kind are what they were when the object was made.
pub(crate) fn is_immutable(kind: debugop_recording::stream::Kind) -> bool {
    use debugop_recording::stream::Kind;
    matches!(
        kind,
        Kind::Str
            | Kind::Bytes
            | Kind::Tuple
            | Kind::FrozenSet
            | Kind::Builtin
            | Kind::Method
            | Kind::Range
            | Kind::Slice
            | Kind::Code
    )
}
