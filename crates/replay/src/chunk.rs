//! A chunk of the stream, decoded: what its records refer to lies side by side, so that any of them can be gone to.

use std::collections::HashMap;
use std::ops::Range;

use debugop_bytecode::Op;
use debugop_recording::stream::{
    self, BigInt, Contents, Decoder, Definition, Keyframe, ObjectId, Prefix, Progress, Record,
    SiteNumber, ThreadNumber,
};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::{SmallVec, smallvec};

use crate::code::Codes;
use crate::loss::Lost;
use crate::packed::each_value;

/// There is room for what a chunk of so many bytes has before it is read.
const MOST_RESERVED: usize = 1 << 18;

/// A decoded chunk.
#[derive(Debug)]
pub struct Chunk {
    /// Index among the chunks of the stream.
    pub(crate) number: u64,
    pub(crate) keyframe: Keyframe,
    /// Where the threads are when the chunk ends, and what is in their frames then: values refer to what this chunk has, and to its objects.
    pub(crate) following: Option<Box<Keyframe>>,
    records: Vec<Entry>,
    prefixes: Vec<Prefix>,
    objects: Vec<Definition>,
    values: Vec<stream::Value>,
    big_ints: Vec<BigInt>,
    complexes: Vec<[u64; 2]>,
    histories: Histories,
    /// It has been unpacked up to where so many steps are executed, and no further.
    part: Option<u64>,
}

impl Chunk {
    /// The last time that is noted in it.
    pub(crate) fn last_time(&self) -> u64 {
        let noted = self.prefixes.iter().rev().find_map(|prefix| match prefix {
            Prefix::Time(time) => Some(*time),
            _ => None,
        });
        noted.unwrap_or(self.keyframe.time)
    }
}

/// Where the slots of a frame are described that is somewhere between two sites.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Described {
    /// In the next chunk's keyframe, by the indices of a thread there and of a frame of it.
    Next(usize, usize),
    /// In the prefix with this index, a [`Prefix::Stands`].
    Prefix(usize),
}

/// What is told of an object: in which record, counted from 1 (0: the keyframe), and which definition.
type History = SmallVec<[(u32, u32); 1]>;

/// Objects by id: those that are new in the chunk have ids in a row.
#[derive(Debug, Default)]
struct Histories {
    first: u64,
    new: Vec<History>,
    old: FxHashMap<u64, History>,
    /// Whether any of them may have had another id.
    doubtful: bool,
}

impl Histories {
    fn get(&self, id: ObjectId) -> Option<&History> {
        let index = id.0.checked_sub(self.first);
        let new = index.and_then(|index| self.new.get(usize::try_from(index).ok()?));
        new.or_else(|| self.old.get(&id.0))
    }

    /// Adds the definitions from the one with number `from` on.
    fn add_all(&mut self, record: u32, objects: &[Definition], from: usize) {
        for (number, definition) in (from as u32..).zip(&objects[from..]) {
            self.add(record, number, definition);
        }
    }

    fn add(&mut self, record: u32, number: u32, definition: &Definition) {
        self.doubtful |= definition.doubtful;
        let id = definition.id.0;
        let history = match id.checked_sub(self.first).map(usize::try_from) {
            Some(Ok(index)) if index < self.new.len() => &mut self.new[index],
            // Ids that were given out of order are among the others, and stay there.
            Some(Ok(index)) if index == self.new.len() && !self.old.contains_key(&id) => {
                self.new.push(smallvec![(record, number)]);
                return;
            }
            _ => self.old.entry(id).or_default(),
        };
        // Without contents, a known object is only named again.
        if definition.contents.is_some() || history.is_empty() {
            history.push((record, number));
        }
    }
}

/// An object from before a chunk, of which it speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listed {
    pub(crate) object: ObjectId,
    /// Whether something of it may have been bound, or its contents may have changed.
    pub(crate) changed: bool,
    /// Whether the keyframe does not speak of it.
    pub(crate) later: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    offset: u32,
    site: Option<SiteNumber>,
    pending: Option<u32>,
    thread: ThreadNumber,
    /// Where its prefixes and values end.
    prefixes: u32,
    values: u32,
}

impl Entry {
    /// Of a record whose prefixes and values end there in the chunk's.
    #[inline]
    fn new(record: &Record, [prefixes, values]: [usize; 2]) -> Self {
        // A chunk's contents are shorter than 4 GiB, and each of these takes a byte at least.
        Self {
            offset: record.offset as u32,
            site: record.site,
            pending: record.pending,
            thread: record.thread,
            prefixes: prefixes as u32,
            values: values as u32,
        }
    }
}

/// The vectors of a chunk that is not needed any more, empty, for the next one: memory of this size goes back to the system otherwise, which gives it anew page by page.
#[derive(Debug, Default)]
pub(crate) struct Room {
    records: Vec<Entry>,
    prefixes: Vec<Prefix>,
    objects: Vec<Definition>,
    values: Vec<stream::Value>,
}

impl From<Chunk> for Room {
    fn from(chunk: Chunk) -> Self {
        fn empty<T>(mut vector: Vec<T>) -> Vec<T> {
            vector.clear();
            vector
        }
        Self {
            records: empty(chunk.records),
            prefixes: empty(chunk.prefixes),
            objects: empty(chunk.objects),
            values: empty(chunk.values),
        }
    }
}

/// A number that values refer to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Large {
    Int(BigInt),
    Complex([u64; 2]),
}

/// A record of a chunk: ranges of the chunk's prefixes, objects and values.
#[derive(Clone, Debug)]
pub(crate) struct RecordRef {
    pub(crate) offset: usize,
    pub(crate) site: Option<SiteNumber>,
    /// The unit in the middle of which the frame on top is looked at.
    pub(crate) pending: Option<u32>,
    pub(crate) thread: ThreadNumber,
    pub(crate) prefixes: Range<usize>,
    pub(crate) values: Range<usize>,
}

impl Chunk {
    /// Decodes a chunk's uncompressed contents. The objects of the keyframe come first.
    ///
    /// # Errors
    /// What the decoder says. Records before the error are lost with it; [`Chunk::decode_lossy`] keeps them.
    pub fn decode(number: u64, bytes: &[u8], captures: &[u32]) -> Result<Self, stream::Error> {
        Self::decode_into(Room::default(), number, bytes, captures)
    }

    /// As [`Chunk::decode`], where another chunk has been.
    pub(crate) fn decode_into(
        room: Room,
        number: u64,
        bytes: &[u8],
        captures: &[u32],
    ) -> Result<Self, stream::Error> {
        match Self::decode_what_can_be(room, number, bytes, captures)? {
            (chunk, None) => Ok(chunk),
            (_, Some(error)) => Err(error),
        }
    }

    /// As [`Chunk::decode`], but an error after the keyframe ends the chunk.
    ///
    /// # Errors
    /// When there is no keyframe.
    pub fn decode_lossy(
        number: u64,
        bytes: &[u8],
        captures: &[u32],
    ) -> Result<(Self, Option<stream::Error>), stream::Error> {
        Self::decode_what_can_be(Room::default(), number, bytes, captures)
    }

    fn decode_what_can_be(
        room: Room,
        number: u64,
        bytes: &[u8],
        captures: &[u32],
    ) -> Result<(Self, Option<stream::Error>), stream::Error> {
        let (mut decoder, mut keyframe) = Decoder::appending(bytes, captures)?;
        // What is decoded is added to what is there.
        let mut record = Record {
            prefixes: room.prefixes,
            objects: room.objects,
            values: room.values,
            ..Record::default()
        };
        record.objects.append(&mut keyframe.objects);
        let mut chunk = Self {
            number,
            objects: Vec::new(),
            keyframe,
            following: None,
            records: room.records,
            prefixes: Vec::new(),
            values: Vec::new(),
            big_ints: Vec::new(),
            complexes: Vec::new(),
            histories: Histories::default(),
            part: None,
        };
        // A record takes two bytes or three as a rule, and so does a value.
        chunk.records.reserve(bytes.len() / 3);
        record.values.reserve(bytes.len() / 2);
        chunk.histories.first = chunk.keyframe.newest.0.saturating_add(1);
        chunk.histories.add_all(0, &record.objects, 0);
        chunk.records.push(Entry {
            offset: 0,
            site: None,
            pending: None,
            thread: chunk.keyframe.current,
            prefixes: 0,
            values: 0,
        });
        let error = loop {
            let known = record.objects.len();
            match decoder.append(&mut record) {
                Ok(true) => chunk.push(&record, known),
                Ok(false) => break None,
                Err(error) => break Some(error),
            }
        };
        chunk.prefixes = record.prefixes;
        chunk.objects = record.objects;
        chunk.values = record.values;
        chunk.big_ints = decoder.big_ints().to_vec();
        chunk.complexes = decoder.complexes().to_vec();
        Ok((chunk, error))
    }

    /// A chunk that is read record by record: [`Chunk::extend`]; `raw`: the length of its contents as a stream.
    pub(crate) fn begun(room: Room, number: u64, mut keyframe: Keyframe, raw: usize) -> Self {
        let (mut records, mut objects) = (room.records, room.objects);
        let (prefixes, mut values) = (room.prefixes, room.values);
        // As of a chunk of the stream, but what its length is said to be need not be true.
        let raw = raw.min(MOST_RESERVED);
        records.reserve(raw / 3);
        values.reserve(raw / 2);
        objects.append(&mut keyframe.objects);
        records.push(Entry {
            offset: 0,
            site: None,
            pending: None,
            thread: keyframe.current,
            prefixes: 0,
            values: 0,
        });
        let mut chunk = Self {
            number,
            objects,
            following: None,
            records,
            prefixes,
            values,
            big_ints: Vec::new(),
            complexes: Vec::new(),
            histories: Histories {
                first: keyframe.newest.0.saturating_add(1),
                ..Histories::default()
            },
            keyframe,
            part: None,
        };
        chunk.histories.add_all(0, &chunk.objects, 0);
        chunk
    }

    /// Adds a record, and empties it.
    pub(crate) fn extend(&mut self, record: &mut Record) {
        let known = self.objects.len();
        if !record.objects.is_empty() {
            self.objects.append(&mut record.objects);
            let number = self.records.len() as u32;
            self.histories.add_all(number, &self.objects, known);
        }
        self.prefixes.append(&mut record.prefixes);
        self.values.append(&mut record.values);
        let ends = [self.prefixes.len(), self.values.len()];
        self.records.push(Entry::new(record, ends));
    }

    /// Says what the values of the last record are.
    pub(crate) fn resolved(&mut self, values: &[stream::Value]) {
        if let Some(begin) = self.values.len().checked_sub(values.len()) {
            self.values[begin..].copy_from_slice(values);
        }
    }

    /// Numbers large ints and complex numbers by what they are, as in `known`.
    pub(crate) fn renumber(&mut self, known: &mut HashMap<Large, u32>) {
        let (big_ints, complexes) = (&self.big_ints, &self.complexes);
        let mut number = |value: &mut stream::Value| {
            let large = match *value {
                stream::Value::BigInt(index) => {
                    let found = big_ints.get(index as usize).cloned();
                    found.map(Large::Int)
                }
                stream::Value::Complex(index) => {
                    let found = complexes.get(index as usize).copied();
                    found.map(Large::Complex)
                }
                _ => return,
            };
            let Some(large) = large else { return };
            let next = known.len() as u32;
            let index = *known.entry(large).or_insert(next);
            if let stream::Value::BigInt(known) | stream::Value::Complex(known) = value {
                *known = index;
            }
        };
        self.values.iter_mut().for_each(&mut number);
        for definition in &mut self.objects {
            each_value(definition, &mut number);
        }
        let attached = self.prefixes.iter_mut().filter_map(|prefix| match prefix {
            Prefix::Attach(frame) | Prefix::Stands(frame) => Some(&mut **frame),
            _ => None,
        });
        let threads = self.keyframe.threads.iter_mut();
        let frames = threads.flat_map(|thread| &mut thread.frames);
        for frame in attached.chain(frames) {
            frame.slots.iter_mut().for_each(&mut number);
        }
    }

    /// Whether it says the same as another chunk, wherever each has it from.
    pub(crate) fn says(&self, other: &Self) -> bool {
        let records = |chunk: &Self| chunk.records.len();
        let mut pairs = self.records.iter().zip(&other.records);
        self.keyframe == other.keyframe
            && self.prefixes == other.prefixes
            && self.objects == other.objects
            && self.values == other.values
            && records(self) == records(other)
            && pairs.all(|(one, other)| {
                let offset = other.offset;
                *other
                    == Entry {
                        offset,
                        ..one.clone()
                    }
            })
    }

    /// Says that it goes no further than so many steps.
    pub(crate) fn ending_after(mut self, steps: u64) -> Self {
        self.part = Some(steps);
        self
    }

    /// Whether all its records are there, not the first ones only.
    pub(crate) fn is_whole(&self) -> bool {
        self.part.is_none()
    }

    /// Whether the records that execute the step with this number, from 0, are there.
    pub(crate) fn covers(&self, step: u64) -> bool {
        self.part.is_none_or(|steps| step < steps)
    }

    /// Gives it the large numbers that values refer to.
    pub(crate) fn with_numbers(mut self, big_ints: &[BigInt], complexes: &[[u64; 2]]) -> Self {
        self.big_ints = big_ints.to_vec();
        self.complexes = complexes.to_vec();
        self
    }

    /// Gives it the contents of the next chunk, whose keyframe says how far each thread has come since its last record.
    ///
    /// # Errors
    /// When that has no keyframe.
    pub fn followed_by(mut self, next: &[u8]) -> Result<Self, stream::Error> {
        let (decoder, mut keyframe) = Decoder::new(next, &[])?;
        self.adopt(&mut keyframe, decoder.big_ints(), decoder.complexes());
        self.following = Some(Box::new(keyframe));
        Ok(self)
    }

    /// Makes the values of the next chunk's keyframe refer to what this chunk has, which gets what they need.
    pub(crate) fn adopt(
        &mut self,
        keyframe: &mut Keyframe,
        big_ints: &[BigInt],
        complexes: &[[u64; 2]],
    ) {
        if big_ints.is_empty() && complexes.is_empty() {
            return;
        }
        let by = [self.big_ints.len() as u32, self.complexes.len() as u32];
        self.big_ints.extend_from_slice(big_ints);
        self.complexes.extend_from_slice(complexes);
        let move_to = |value: &mut stream::Value| match value {
            stream::Value::BigInt(index) => *index += by[0],
            stream::Value::Complex(index) => *index += by[1],
            _ => {}
        };
        let frames = keyframe.threads.iter_mut();
        let frames = frames.flat_map(|thread| &mut thread.frames);
        frames.flat_map(|frame| &mut frame.slots).for_each(move_to);
        let contents = keyframe.objects.iter_mut();
        let contents = contents.filter_map(|object| object.contents.as_mut());
        contents.flat_map(Contents::values_mut).for_each(move_to);
    }

    /// Whether an object may have another id in earlier chunks, or earlier in this one.
    pub(crate) fn is_doubtful(&self, id: ObjectId) -> bool {
        if !self.histories.doubtful && self.following.is_none() {
            return false;
        }
        let history = self.histories.get(id).into_iter().flatten();
        let mut told = history.filter_map(|told| self.objects.get(told.1 as usize));
        let later = || self.defined_later(id).is_some_and(|one| one.doubtful);
        told.any(|definition| definition.doubtful) || later()
    }

    /// What is in a slot of a frame where that is described. An instruction that is being executed may have taken what was in it.
    pub(crate) fn described(&self, by: Described, slot: u32) -> Option<stream::Value> {
        let frame = match by {
            Described::Next(thread, frame) => {
                let thread = self.following.as_ref()?.threads.get(thread)?;
                thread.frames.get(frame)?
            }
            Described::Prefix(index) => match self.prefixes.get(index)? {
                Prefix::Stands(frame) => frame,
                _ => return None,
            },
        };
        let value = frame.slots.get(slot as usize).copied();
        let may_be_taken = frame.progress == Progress::Executing;
        value.filter(|&value| !may_be_taken || value != stream::Value::Null)
    }

    /// What the next chunk's keyframe tells of an object that this chunk does not speak of.
    pub(crate) fn defined_later(&self, id: ObjectId) -> Option<&Definition> {
        if self.histories.get(id).is_some() {
            return None;
        }
        let mut objects = self.following.as_ref()?.objects.iter();
        objects.find(|object| object.id == id)
    }

    /// Adds a record, whose objects begin at `known`.
    #[inline]
    fn push(&mut self, record: &Record, known: usize) {
        if known < record.objects.len() {
            let number = self.records.len() as u32;
            self.histories.add_all(number, &record.objects, known);
        }
        let ends = [record.prefixes.len(), record.values.len()];
        self.records.push(Entry::new(record, ends));
    }

    /// The last that is told of an object up to a record (0: the keyframe), with that record's changes of objects or without them.
    pub(crate) fn definition(
        &self,
        id: ObjectId,
        record: usize,
        updated: bool,
    ) -> Option<(usize, &Definition)> {
        let history = self.histories.get(id)?;
        let end = history.partition_point(|known| known.0 as usize <= record);
        history[..end].iter().rev().find_map(|&(told, number)| {
            let definition = self.objects.get(number as usize)?;
            let is_new = told as usize == record && definition.update;
            (updated || !is_new).then_some((told as usize, definition))
        })
    }

    /// The records that tell something of an object, rising; 0 is the keyframe.
    pub(crate) fn told_of(&self, id: ObjectId) -> impl Iterator<Item = usize> {
        let history = self.histories.get(id).into_iter().flatten();
        history.map(|told| told.0 as usize)
    }

    /// The objects from before the chunk that are spoken of in it and can change, by id; `None` if there are more than so many.
    pub(crate) fn objects_from_before(
        &self,
        most: usize,
        stored: &FxHashSet<ObjectId>,
    ) -> Option<Vec<Listed>> {
        let mut found = Vec::new();
        for (&id, history) in &self.histories.old {
            let first = history
                .first()
                .and_then(|told| self.objects.get(told.1 as usize));
            if id == 0
                || id > self.keyframe.newest.0
                || first.is_some_and(|first| crate::state::is_immutable(first.class.kind))
            {
                continue;
            }
            if found.len() == most {
                return None;
            }
            let id = ObjectId(id);
            found.push(Listed {
                object: id,
                changed: history.len() > 1 || stored.contains(&id),
                later: history.first().is_some_and(|told| told.0 > 0),
            });
        }
        found.sort_unstable_by_key(|listed| listed.object);
        Some(found)
    }

    /// Of objects from before the chunk, what was in them and what was then, one after the other.
    pub(crate) fn changes_from_before(
        &self,
    ) -> impl Iterator<Item = (ObjectId, &Contents, &Contents)> {
        let newest = self.keyframe.newest;
        let old = self.histories.old.iter();
        let old = old.filter(move |(id, history)| **id <= newest.0 && history.len() > 1);
        old.flat_map(move |(&id, history)| {
            let contents = |told: &(u32, u32)| self.objects.get(told.1 as usize)?.contents.as_ref();
            let mut before = None;
            history.iter().filter_map(move |told| {
                let now = contents(told)?;
                let before = before.replace(now)?;
                Some((ObjectId(id), before, now))
            })
        })
    }

    /// The text of a string, as far as it was captured.
    pub(crate) fn text(&self, id: ObjectId) -> Option<&[u8]> {
        let history = self.histories.get(id).into_iter().flatten();
        let contents = history.map(|told| self.objects.get(told.1 as usize)?.contents.as_ref());
        let later = std::iter::once_with(|| self.defined_later(id)?.contents.as_ref());
        match contents.chain(later).find_map(|contents| contents)? {
            Contents::Bytes { head, .. } => Some(head),
            _ => None,
        }
    }

    /// How often what is told of an instruction raises, or has its frame go on elsewhere, so that it is not executed, or, of a `NOT_TAKEN`, so that nothing behind it is.
    pub(crate) fn refusals(&self, codes: &Codes) -> usize {
        let is_not_taken = |site: Option<SiteNumber>, unit: u32| {
            let (code, ..) = codes.site(site?)?;
            let object = codes.get(code)?;
            let instruction = object.analysis().get(object.at_unit(unit)?);
            let info = instruction.opcode.info(object.version())?;
            Some(info.op == Op::NotTaken)
        };
        let of_record = |[before, entry]: &[Entry; 2]| {
            let prefixes = before.prefixes as usize..entry.prefixes as usize;
            let refused = |prefix: &&Prefix| match prefix {
                Prefix::Raised(_, Progress::Arrived | Progress::Told) => true,
                Prefix::Raised(unit, Progress::Executing) => {
                    is_not_taken(entry.site, *unit) == Some(true)
                }
                Prefix::Stands(_) => entry.site.is_none(),
                _ => false,
            };
            let prefixes = self.prefixes.get(prefixes).unwrap_or_default();
            prefixes.iter().filter(refused).count()
        };
        self.records.array_windows().map(of_record).sum()
    }

    /// A record of this thread that is a site without prefixes: offset, site, where its values begin and end.
    #[inline]
    pub(crate) fn plain(
        &self,
        index: usize,
        thread: ThreadNumber,
    ) -> Option<(usize, SiteNumber, Range<usize>)> {
        let [before, entry] = self.records.get(index..)?.first_chunk()?;
        if before.prefixes != entry.prefixes || entry.thread != thread {
            return None;
        }
        let values = before.values as usize..entry.values as usize;
        Some((entry.offset as usize, entry.site?, values))
    }

    /// How many records it has.
    pub(crate) fn record_count(&self) -> usize {
        self.records.len().saturating_sub(1)
    }

    pub(crate) fn record(&self, index: usize) -> Option<RecordRef> {
        let (before, entry) = (self.records.get(index)?, self.records.get(index + 1)?);
        Some(RecordRef {
            offset: entry.offset as usize,
            site: entry.site,
            pending: entry.pending,
            thread: entry.thread,
            prefixes: before.prefixes as usize..entry.prefixes as usize,
            values: before.values as usize..entry.values as usize,
        })
    }

    pub(crate) fn prefix(&self, index: usize) -> Option<&Prefix> {
        self.prefixes.get(index)
    }

    /// Whether the program has written something.
    pub(crate) fn has_output(&self) -> bool {
        let mut prefixes = self.prefixes.iter();
        prefixes.any(|prefix| matches!(prefix, Prefix::Output(_)))
    }

    pub(crate) fn value(&self, index: usize) -> Option<stream::Value> {
        self.values.get(index).copied()
    }

    /// How often something is said to be missing, and whether steps may be.
    pub(crate) fn lost(&self) -> (u64, bool) {
        let in_first = self
            .records
            .get(1)
            .map_or(0, |first| first.prefixes as usize);
        let mut found = (0, false);
        for (at, prefix) in self.prefixes.iter().enumerate() {
            if let &Prefix::Lost(reason) = prefix {
                let lost = Lost::of(reason, self.keyframe.current, at < in_first);
                found = (found.0 + 1, found.1 || lost.has_steps());
            }
        }
        found
    }

    /// What [`Value::BigInt`](crate::Value::BigInt) is an index of.
    pub fn big_ints(&self) -> &[BigInt] {
        &self.big_ints
    }

    /// What [`Value::Complex`](crate::Value::Complex) is an index of.
    pub fn complexes(&self) -> &[[u64; 2]] {
        &self.complexes
    }

    /// Says how far each thread has come since its last record.
    pub(crate) fn followed_by_keyframe(&mut self, keyframe: Keyframe) {
        self.following = Some(Box::new(keyframe));
    }
}
