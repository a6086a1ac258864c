//! Packed chunks: what replay can compute is left out, and computed again.
//!
//! Both directions follow the frames with a [`Machine`] that guesses each captured value before it is known
//! ([`Resolver`]); the records themselves are coded by [`debugop_recording::packed`].

use std::collections::HashMap;
use std::sync::Arc;

use debugop_recording::file::StreamChunk;
use debugop_recording::packed::{Coding, Packer, Stored, Unpacker};
use debugop_recording::stream::{
    self, Arguments, Contents, Decoder, Definition, Keyframe, Numbers, Pairs, Record,
};

use crate::chunk::{Chunk, Room};
use crate::code::Codes;
use crate::error::{Error, ErrorKind};
use crate::machine::{Machine, Resolver};

fn error(chunk: u64, error: stream::Error) -> Error {
    Error {
        chunk,
        offset: error.offset,
        kind: ErrorKind::Stream(error),
    }
}

/// Packs the contents of a chunk of the stream. `None` if it is to be kept as it is: it does not fit the code objects, or what would be read back is
/// not the same.
pub fn pack(codes: &Arc<Codes>, contents: &[u8]) -> Option<Vec<u8>> {
    pack_as(Coding::Six, codes, contents)
}

/// As [`pack`], in a coding of one's choice.
pub fn pack_as(coding: Coding, codes: &Arc<Codes>, contents: &[u8]) -> Option<Vec<u8>> {
    let (mut followed, keyframe) = Followed::new(codes, contents)?;
    let (captures, numbers) = (codes.captures(), Numbers::of(&followed.decoder));
    let mut packer = Packer::new(coding, captures, contents.len(), &keyframe, numbers).ok()?;
    while followed.next()? {
        let numbers = Numbers::of(&followed.decoder);
        let guessed = &followed.machine.resolver()?.guessed;
        let (record, stored) = (&followed.record, &followed.stored);
        packer.record(record, guessed, stored, numbers).ok()?;
    }
    let packed = packer.finish().ok()?;
    let again = unpack(coding, codes, 0, &packed, contents.len()).ok()?;
    let mut chunk = followed.into_chunk()?;
    is_same(&mut chunk, again).then_some(packed)
}

/// What is known, when the objects of a chunk's records are told, of what has been stored into objects: by the record, counted from 0. `None` if the chunk does
/// not fit the code objects.
pub fn stores(codes: &Arc<Codes>, contents: &[u8]) -> Option<Vec<(usize, Stored)>> {
    let (mut followed, _) = Followed::new(codes, contents)?;
    let mut stores = Vec::new();
    for record in 0.. {
        if !followed.next()? {
            break;
        }
        stores.extend(followed.stored.iter().map(|&stored| (record, stored)));
    }
    Some(stores)
}

/// A chunk of the stream, record by record, with what its reader will know of each before it is told.
struct Followed<'a> {
    machine: Machine,
    chunk: Arc<Chunk>,
    decoder: Decoder<'a>,
    record: Record,
    stored: Vec<Stored>,
}

impl<'a> Followed<'a> {
    fn new(codes: &'a Arc<Codes>, contents: &'a [u8]) -> Option<(Self, Keyframe)> {
        let captures = codes.captures();
        let chunk = Arc::new(Chunk::decode(0, contents, captures).ok()?);
        let mut machine = Machine::new(Arc::clone(codes), Arc::clone(&chunk), 0).ok()?;
        machine.set_resolver(Resolver::new(false));
        let (decoder, keyframe) = Decoder::new(contents, captures).ok()?;
        let followed = Followed {
            machine,
            chunk,
            decoder,
            record: Record::default(),
            stored: Vec::new(),
        };
        Some((followed, keyframe))
    }

    /// Goes to the next record; `false` at the end.
    fn next(&mut self) -> Option<bool> {
        if !self.decoder.next(&mut self.record).ok()? {
            return Some(false);
        }
        self.stored.clear();
        if !self.record.objects.is_empty() {
            self.machine.store_ahead(&self.record, &mut self.stored);
        }
        self.machine.resolver()?.begin(&self.record.values);
        self.machine.skip_record().ok()?;
        Some(true)
    }

    fn into_chunk(self) -> Option<Chunk> {
        drop(self.machine);
        Arc::into_inner(self.chunk)
    }
}

/// Reads a packed chunk; `raw`: the length that its contents would have as a stream.
///
/// # Errors
///
/// If it cannot be what [`pack`] has made.
pub fn unpack(
    coding: Coding,
    codes: &Arc<Codes>,
    number: u64,
    packed: &[u8],
    raw: usize,
) -> Result<Chunk, Error> {
    let room = Room::default();
    unpack_to(room, coding, codes, number, packed, raw, u64::MAX)
}

/// As [`unpack`], where another chunk has been, and only as far as is needed for the step with this number, counted from the beginning of the chunk.
fn unpack_to(
    room: Room,
    coding: Coding,
    codes: &Arc<Codes>,
    number: u64,
    packed: &[u8],
    raw: usize,
    step: u64,
) -> Result<Chunk, Error> {
    let said = |found| error(number, found);
    let read = Unpacker::new(coding, packed, raw, codes.captures());
    let (mut unpacker, keyframe) = read.map_err(said)?;
    let chunk = Arc::new(Chunk::begun(room, number, keyframe, raw));
    let mut machine = Machine::new(Arc::clone(codes), chunk, 0)?;
    machine.set_resolver(Resolver::new(true));
    let mut record = Record::default();
    let damaged = |offset| Error {
        chunk: number,
        offset,
        kind: ErrorKind::Computed,
    };
    let mut part = None;
    loop {
        if machine.position() > step {
            part = Some(machine.position());
            break;
        }
        let mut follow =
            |record: &Record, found: &mut Vec<Stored>| machine.store_ahead(record, found);
        if !unpacker.next(&mut record, &mut follow).map_err(said)? {
            break;
        }
        let offset = record.offset;
        let resolver = machine.resolver().ok_or_else(|| damaged(offset))?;
        resolver.begin(&record.values);
        for (index, open) in resolver.open.iter_mut().enumerate() {
            *open = unpacker.is_computed(index);
        }
        let chunk = machine.chunk_mut().ok_or_else(|| damaged(offset))?;
        chunk.extend(&mut record);
        machine.skip_record()?;
        let resolver = machine.resolver().ok_or_else(|| damaged(offset))?;
        let mut guessed = resolver.guessed.iter().enumerate();
        if guessed.any(|(index, guessed)| unpacker.is_computed(index) != *guessed) {
            return Err(damaged(offset));
        }
        let values = std::mem::take(&mut resolver.values);
        let chunk = machine.chunk_mut().ok_or_else(|| damaged(offset))?;
        chunk.resolved(&values);
        unpacker.resolved(&values);
        if let Some(resolver) = machine.resolver() {
            resolver.values = values;
        }
    }
    let chunk = Arc::into_inner(machine.into_state().chunk).ok_or_else(|| damaged(0))?;
    let chunk = chunk.with_numbers(unpacker.big_ints(), unpacker.complexes());
    Ok(match part {
        Some(steps) => chunk.ending_after(steps),
        None => chunk,
    })
}

impl Chunk {
    /// Decodes a chunk as it is in a file.
    ///
    /// # Errors
    ///
    /// As [`Chunk::decode`], and if what has been left out of a packed one cannot be computed.
    pub fn read(codes: &Arc<Codes>, number: u64, stored: &StreamChunk) -> Result<Self, Error> {
        Self::read_into(Room::default(), codes, number, stored)
    }

    /// As [`Chunk::read`], where another chunk has been.
    pub(crate) fn read_into(
        room: Room,
        codes: &Arc<Codes>,
        number: u64,
        stored: &StreamChunk,
    ) -> Result<Self, Error> {
        Self::read_to(room, codes, number, stored, u64::MAX)
    }

    /// As [`Chunk::read_into`]; a packed one only as far as is needed for the step with this number, counted from its beginning.
    pub(crate) fn read_to(
        room: Room,
        codes: &Arc<Codes>,
        number: u64,
        stored: &StreamChunk,
        step: u64,
    ) -> Result<Self, Error> {
        let contents = &stored.contents;
        let raw = stored.info.raw as usize;
        match stored.info.compression.coding() {
            Some(coding) => unpack_to(room, coding, codes, number, contents, raw, step),
            _ => Chunk::decode_into(room, number, contents, codes.captures())
                .map_err(|found| error(number, found)),
        }
    }

    /// Gives it the next chunk, whose keyframe says how far each thread has come since its last record.
    ///
    /// # Errors
    ///
    /// When that has no keyframe.
    pub fn before(self, codes: &Codes, next: &StreamChunk) -> Result<Self, Error> {
        let number = self.number + 1;
        let said = |found| error(number, found);
        let (contents, captures) = (&next.contents, codes.captures());
        let Some(coding) = next.info.compression.coding() else {
            return self.followed_by(contents).map_err(said);
        };
        let raw = next.info.raw as usize;
        let (unpacker, mut keyframe) =
            Unpacker::new(coding, contents, raw, captures).map_err(said)?;
        let mut chunk = self;
        chunk.adopt(&mut keyframe, unpacker.big_ints(), unpacker.complexes());
        chunk.followed_by_keyframe(keyframe);
        Ok(chunk)
    }
}

/// Whether two chunks say the same. Large numbers may be in another order.
fn is_same(one: &mut Chunk, mut other: Chunk) -> bool {
    let mut known = HashMap::new();
    one.renumber(&mut known);
    other.renumber(&mut known);
    one.says(&other)
}

fn each_of_pairs(pairs: &mut Pairs, mut see: impl FnMut(&mut stream::Value)) {
    for (key, value) in &mut pairs.pairs {
        see(key);
        see(value);
    }
}

/// Calls something for each value of a definition.
pub(crate) fn each_value(definition: &mut Definition, mut see: impl FnMut(&mut stream::Value)) {
    match &mut definition.contents {
        Some(Contents::Items(items)) => items.items.iter_mut().for_each(see),
        Some(Contents::Pairs(pairs)) => each_of_pairs(pairs, see),
        Some(Contents::Cell(value)) => see(value),
        Some(Contents::Method { function, receiver }) => {
            see(function);
            see(receiver);
        }
        Some(Contents::Exception {
            arguments,
            attributes,
        }) => {
            if let Arguments::Known(items) = arguments {
                items.items.iter_mut().for_each(&mut see);
            }
            each_of_pairs(attributes, see);
        }
        Some(Contents::Collection { items, attributes }) => {
            items.items.iter_mut().for_each(&mut see);
            each_of_pairs(attributes, see);
        }
        Some(Contents::Mapping { pairs, attributes }) => {
            each_of_pairs(pairs, &mut see);
            each_of_pairs(attributes, see);
        }
        Some(Contents::Parts(parts)) => parts.iter_mut().for_each(see),
        Some(
            Contents::Opaque
            | Contents::Bytes { .. }
            | Contents::Code { .. }
            | Contents::Name(_)
            | Contents::Generator { .. },
        )
        | None => {}
    }
}
