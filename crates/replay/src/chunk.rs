//! A chunk of the stream, decoded: what its records refer to lies side by side, so that any of them can be gone to.

use std::collections::HashMap;
use std::ops::Range;

use debugop_recording::stream::{
    self, BigInt, Contents, Decoder, Definition, Keyframe, ObjectId, Prefix, Record, SiteNumber,
    ThreadNumber,
};
use rustc_hash::FxHashSet;
use smallvec::{SmallVec, smallvec};

use crate::loss::Lost;

/// A decoded chunk.
#[derive(Debug)]
pub struct Chunk {
    /// Index among the chunks of the stream.
    pub(crate) number: u64,
    pub(crate) keyframe: Keyframe,
    /// Where the threads are when the chunk ends.
    pub(crate) following: Option<Box<Keyframe>>,
    records: Vec<Entry>,
    prefixes: Vec<Prefix>,
    objects: Vec<Definition>,
    values: Vec<stream::Value>,
    big_ints: Vec<BigInt>,
    complexes: Vec<[u64; 2]>,
    histories: Histories,
}

/// What is told of an object: in which record, counted from 1 (0: the keyframe), and which definition.
type History = SmallVec<[(u32, u32); 1]>;

/// Objects by id: those that are new in the chunk have ids in a row.
#[derive(Debug, Default)]
struct Histories {
    first: u64,
    new: Vec<History>,
    old: HashMap<u64, History>,
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

#[derive(Debug)]
struct Entry {
    offset: u32,
    site: Option<SiteNumber>,
    pending: Option<u32>,
    thread: ThreadNumber,
    /// Where its prefixes and values end.
    prefixes: u32,
    values: u32,
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
        match Self::decode_lossy(number, bytes, captures)? {
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
        let (mut decoder, mut keyframe) = Decoder::new(bytes, captures)?;
        let mut chunk = Self {
            number,
            objects: std::mem::take(&mut keyframe.objects),
            keyframe,
            following: None,
            records: Vec::new(),
            prefixes: Vec::new(),
            values: Vec::new(),
            big_ints: Vec::new(),
            complexes: Vec::new(),
            histories: Histories::default(),
        };
        // What is decoded is added to what is there.
        let mut record = Record {
            objects: std::mem::take(&mut chunk.objects),
            ..Record::default()
        };
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

    /// Gives it the contents of the next chunk, whose keyframe says how far each thread has come since its last record.
    ///
    /// # Errors
    /// When that has no keyframe.
    pub fn followed_by(mut self, next: &[u8], captures: &[u32]) -> Result<Self, stream::Error> {
        let (_, keyframe) = Decoder::new(next, captures)?;
        self.following = Some(Box::new(keyframe));
        Ok(self)
    }

    /// Adds a record, whose objects begin at `known`.
    #[inline]
    fn push(&mut self, record: &Record, known: usize) {
        if known < record.objects.len() {
            let number = self.records.len() as u32;
            self.histories.add_all(number, &record.objects, known);
        }
        // A chunk's contents are shorter than 4 GiB, and each of these takes a byte at least.
        self.records.push(Entry {
            offset: record.offset as u32,
            site: record.site,
            pending: record.pending,
            thread: record.thread,
            prefixes: record.prefixes.len() as u32,
            values: record.values.len() as u32,
        });
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
        let history = self.histories.get(id)?.iter();
        let mut contents = history.map(|told| self.objects.get(told.1 as usize)?.contents.as_ref());
        match contents.find_map(|contents| contents)? {
            Contents::Bytes { head, .. } => Some(head),
            _ => None,
        }
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
