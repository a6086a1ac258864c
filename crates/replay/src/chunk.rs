//! A chunk of the stream, decoded: what its records refer to lies side by side, so that any of them can be gone to.

use std::ops::Range;

use debugop_recording::stream::{
    self, BigInt, Decoder, Definition, Keyframe, Prefix, Record, SiteNumber, ThreadNumber,
};

/// A decoded chunk.
#[derive(Debug)]
pub struct Chunk {
    /// Index among the chunks of the stream.
    pub(crate) number: u64,
    pub(crate) keyframe: Keyframe,
    records: Vec<Entry>,
    prefixes: Vec<Prefix>,
    objects: Vec<Definition>,
    values: Vec<stream::Value>,
    big_ints: Vec<BigInt>,
    complexes: Vec<[u64; 2]>,
}

#[derive(Debug)]
struct Entry {
    offset: u32,
    site: Option<SiteNumber>,
    thread: ThreadNumber,
    /// Where its prefixes, objects and values end.
    prefixes: u32,
    objects: u32,
    values: u32,
}

/// A record of a chunk: ranges of the chunk's prefixes, objects and values.
#[derive(Clone, Debug)]
pub(crate) struct RecordRef {
    pub(crate) offset: usize,
    pub(crate) site: Option<SiteNumber>,
    pub(crate) thread: ThreadNumber,
    pub(crate) prefixes: Range<usize>,
    pub(crate) objects: Range<usize>,
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
            records: Vec::new(),
            prefixes: Vec::new(),
            values: Vec::new(),
            big_ints: Vec::new(),
            complexes: Vec::new(),
        };
        chunk.records.push(Entry {
            offset: 0,
            site: None,
            thread: chunk.keyframe.current,
            prefixes: 0,
            objects: chunk.objects.len() as u32,
            values: 0,
        });
        let mut record = Record::default();
        let error = loop {
            match decoder.next(&mut record) {
                Ok(true) => chunk.push(&mut record),
                Ok(false) => break None,
                Err(error) => break Some(error),
            }
        };
        chunk.big_ints = decoder.big_ints().to_vec();
        chunk.complexes = decoder.complexes().to_vec();
        Ok((chunk, error))
    }

    fn push(&mut self, record: &mut Record) {
        self.prefixes.append(&mut record.prefixes);
        self.objects.append(&mut record.objects);
        self.values.append(&mut record.values);
        // A chunk's contents are shorter than 4 GiB, and each of these takes a byte at least.
        self.records.push(Entry {
            offset: record.offset as u32,
            site: record.site,
            thread: record.thread,
            prefixes: self.prefixes.len() as u32,
            objects: self.objects.len() as u32,
            values: self.values.len() as u32,
        });
    }

    /// Number of records.
    pub(crate) fn len(&self) -> usize {
        self.records.len() - 1
    }

    pub(crate) fn record(&self, index: usize) -> Option<RecordRef> {
        let (before, entry) = (self.records.get(index)?, self.records.get(index + 1)?);
        Some(RecordRef {
            offset: entry.offset as usize,
            site: entry.site,
            thread: entry.thread,
            prefixes: before.prefixes as usize..entry.prefixes as usize,
            objects: before.objects as usize..entry.objects as usize,
            values: before.values as usize..entry.values as usize,
        })
    }

    pub(crate) fn prefix(&self, index: usize) -> Option<&Prefix> {
        self.prefixes.get(index)
    }

    /// A definition, by the index that the state keeps.
    pub(crate) fn definition(&self, index: u32) -> Option<&Definition> {
        self.objects.get(index as usize)
    }

    /// How many definitions the keyframe has.
    pub(crate) fn keyframe_objects(&self) -> usize {
        self.records
            .first()
            .map_or(0, |entry| entry.objects as usize)
    }

    pub(crate) fn value(&self, index: usize) -> Option<stream::Value> {
        self.values.get(index).copied()
    }

    /// What [`Value::BigInt`](crate::Value::BigInt) is an index of.
    pub fn big_ints(&self) -> &[BigInt] {
        &self.big_ints
    }

    /// What [`Value::Complex`](crate::Value::Complex) is an index of.
    pub fn complexes(&self) -> &[[u64; 2]] {
        &self.complexes
    }
}
