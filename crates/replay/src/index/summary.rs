//! The index of one chunk, as bytes. All numbers are varints:
//!
//! steps, number of the next new frame, newest object id (both at its beginning), frames that exceptions have left, how often something is missing << 1 | (1 if
//! steps may be); then five parts, each behind its
//! length in bytes: threads (their numbers), carried frames (difference of the number from that of the one before, code object, 0 or 1 + last instruction), objects
//! (one byte, 0: all may be there; then a list of `id << 2 | later << 1 | changed`), places (one byte, 0: all may have been bound; then the list of
//! their hashes), codes. Of each code object: difference of the number, then behind its length in
//! bytes the counts of its instructions from the first on (`run length, count`), 0, and the arrivals at lines (`difference of the instruction, count`). Lists
//! are rising: see [`list`](super::list).

use debugop_bytecode::InstrIdx;
use debugop_recording::stream::{FrameNumber, ObjectId};

use super::list::{self, List};
use crate::chunk::Listed;
use crate::code::Codes;
use crate::machine::Counts;

/// Objects from before a chunk that are spoken of in it are listed up to so many.
pub(super) const MOST_OBJECTS: usize = 4096;

/// What a chunk tells of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mention {
    /// Nothing.
    No,
    /// It is there.
    Known,
    /// It is there, and something of it may have been bound, its contents may have changed, or it may be new.
    Changed,
}

/// A frame from before a chunk that has steps in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carried {
    pub(crate) frame: FrameNumber,
    /// The number of its code object.
    pub(crate) code: u32,
    /// Its last step before the chunk, if that is in the recording.
    pub(crate) before: Option<InstrIdx>,
}

/// What is to be written of a chunk.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) steps: u64,
    pub(super) next_frame: u64,
    pub(super) newest: u64,
    pub(super) unwound: u64,
    /// [`Chunk::lost`](crate::Chunk).
    pub(super) lost: (u64, bool),
    pub(super) threads: Vec<u32>,
    pub(super) carried: Vec<Carried>,
    /// `None`: too many.
    pub(super) objects: Option<Vec<Listed>>,
    /// Hashes, rising; `None`: too many.
    pub(super) places: Option<Vec<u32>>,
    pub(super) codes: Vec<(u32, Counts)>,
}

pub(super) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_part(out: &mut Vec<u8>, part: &[u8]) {
    put(out, part.len() as u64);
    out.extend_from_slice(part);
}

impl Found {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let lost = self.lost.0 << 1 | u64::from(self.lost.1);
        for number in [self.steps, self.next_frame, self.newest, self.unwound, lost] {
            put(out, number);
        }
        let mut part = Vec::new();
        for &thread in &self.threads {
            put(&mut part, thread.into());
        }
        put_part(out, &part);
        part.clear();
        let mut before = 0;
        for carried in &self.carried {
            put(&mut part, carried.frame.0 - before);
            put(&mut part, carried.code.into());
            put(
                &mut part,
                carried.before.map_or(0, |at| u64::from(at.0) + 1),
            );
            before = carried.frame.0;
        }
        put_part(out, &part);
        part.clear();
        part.push(u8::from(self.objects.is_some()));
        let objects = self.objects.iter().flatten().map(|listed| {
            let flags = u64::from(listed.later) << 1 | u64::from(listed.changed);
            listed.object.0 << 2 | flags
        });
        list::write(objects, &mut part);
        put_part(out, &part);
        part.clear();
        part.push(u8::from(self.places.is_some()));
        let places = self.places.iter().flatten();
        list::write(places.map(|&place| place.into()), &mut part);
        put_part(out, &part);
        part.clear();
        let mut before = 0;
        let mut counts = Vec::new();
        for (number, code) in &self.codes {
            put(&mut part, u64::from(number - before));
            before = *number;
            counts.clear();
            write_counts(code, &mut counts);
            put_part(&mut part, &counts);
        }
        put_part(out, &part);
    }
}

fn write_counts(counts: &Counts, out: &mut Vec<u8>) {
    for run in counts.executed.chunk_by(|one, other| one == other) {
        put(out, run.len() as u64);
        put(out, run[0]);
    }
    put(out, 0);
    let mut before = 0;
    for (at, &count) in counts.arrived.iter().enumerate() {
        if count > 0 {
            put(out, (at - before) as u64);
            put(out, count);
            before = at;
        }
    }
}

/// Reads what [`Found::write`] has written; `None` at what it has not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    #[inline]
    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn part(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let end = self.at.checked_add(length)?;
        let part = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(part)
    }
}

/// The index of a chunk, to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Summary<'a> {
    pub(super) steps: u64,
    pub(super) next_frame: u64,
    pub(super) newest: u64,
    pub(super) unwound: u64,
    pub(super) lost: u64,
    threads: &'a [u8],
    carried: &'a [u8],
    objects: &'a [u8],
    places: &'a [u8],
    codes: &'a [u8],
}

impl<'a> Summary<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Option<Self> {
        Some(Self {
            steps: reader.number()?,
            next_frame: reader.number()?,
            newest: reader.number()?,
            unwound: reader.number()?,
            lost: reader.number()?,
            threads: reader.part()?,
            carried: reader.part()?,
            objects: reader.part()?,
            places: reader.part()?,
            codes: reader.part()?,
        })
    }

    /// Whether all parts can be read to their ends, and speak of instructions that there are.
    pub(super) fn check(&self, known: &Codes) -> Option<()> {
        let mut codes = Reader::new(self.codes);
        let mut number: u64 = 0;
        while !codes.is_at_end() {
            number = number.checked_add(codes.number()?)?;
            let code = known.get(u32::try_from(number).ok()?)?;
            let instructions = code.analysis().instructions().len() as u64;
            let mut counts = Reader::new(codes.part()?);
            let mut at: u64 = 0;
            loop {
                match counts.number()? {
                    0 => break,
                    run => at = at.checked_add(run).filter(|&at| at <= instructions)?,
                }
                counts.number()?;
            }
            let mut at: u64 = 0;
            while !counts.is_at_end() {
                let skipped = counts.number()?;
                at = at.checked_add(skipped).filter(|&at| at < instructions)?;
                counts.number()?;
            }
        }
        for part in [self.objects, self.places] {
            List::new(part.get(1..)?)?.check()?;
        }
        for part in [self.threads, self.carried] {
            let mut reader = Reader::new(part);
            while !reader.is_at_end() {
                reader.number()?;
            }
        }
        Some(())
    }

    pub(super) fn threads(&self) -> impl Iterator<Item = u32> {
        let mut reader = Reader::new(self.threads);
        std::iter::from_fn(move || u32::try_from(reader.number()?).ok())
    }

    pub(super) fn carried(&self) -> impl Iterator<Item = Carried> + 'a {
        let mut reader = Reader::new(self.carried);
        let mut number: u64 = 0;
        std::iter::from_fn(move || {
            number = number.checked_add(reader.number()?)?;
            let code = u32::try_from(reader.number()?).ok()?;
            let at = u32::try_from(reader.number()?).ok()?;
            Some(Carried {
                frame: FrameNumber(number),
                code,
                before: at.checked_sub(1).map(InstrIdx),
            })
        })
    }

    /// What it tells of an object, and whether the keyframe may leave it out.
    pub(super) fn mentions(&self, object: ObjectId) -> (Mention, bool) {
        let Some((1, listed)) = self.objects.split_first() else {
            return (Mention::Changed, true);
        };
        let wanted = object.0 << 2;
        let found = List::new(listed).and_then(|list| list.at_least(wanted));
        match found.filter(|found| found >> 2 == object.0) {
            None => (Mention::No, false),
            Some(found) if found & 1 == 0 => (Mention::Known, found & 2 != 0),
            Some(found) => (Mention::Changed, found & 2 != 0),
        }
    }

    /// Whether one of two hashes of places is listed.
    pub(super) fn lists(&self, wanted: [u32; 2]) -> bool {
        let Some((1, listed)) = self.places.split_first() else {
            return true;
        };
        let Some(list) = List::new(listed) else {
            return true;
        };
        wanted
            .into_iter()
            .any(|wanted| list.at_least(wanted.into()) == Some(wanted.into()))
    }

    pub(super) fn codes(&self) -> impl Iterator<Item = (u32, &'a [u8])> + 'a {
        let mut reader = Reader::new(self.codes);
        let mut number: u64 = 0;
        std::iter::from_fn(move || {
            number = number.checked_add(reader.number()?)?;
            Some((u32::try_from(number).ok()?, reader.part()?))
        })
    }

    pub(super) fn executed(&self, code: u32) -> Option<Executed<'a>> {
        let found = self.codes().find(|(number, _)| *number == code)?;
        Some(Executed(found.1))
    }
}

/// What was executed of a code object in a chunk.
#[derive(Clone, Copy, Debug)]
pub struct Executed<'a>(&'a [u8]);

impl<'a> Executed<'a> {
    /// The executed instructions in order, each with how often it was a step.
    pub fn steps(self) -> impl Iterator<Item = (InstrIdx, u64)> + 'a {
        self.runs()
            .filter(|run| run.2 > 0)
            .flat_map(|(first, length, count)| {
                (first..first.saturating_add(length)).map(move |at| (InstrIdx(at), count))
            })
    }

    /// First instruction, how many, count.
    fn runs(self) -> impl Iterator<Item = (u32, u32, u64)> + 'a {
        let mut reader = Reader::new(self.0);
        let mut at: u32 = 0;
        std::iter::from_fn(move || {
            let length = u32::try_from(reader.number()?)
                .ok()
                .filter(|&run| run > 0)?;
            let first = at;
            at = at.saturating_add(length);
            Some((first, length, reader.number()?))
        })
    }

    /// Whether one of these instructions was executed; they are in order.
    pub fn any_of(self, wanted: &[InstrIdx]) -> bool {
        self.runs().any(|(first, length, count)| {
            let index = wanted.partition_point(|at| at.0 < first);
            count > 0 && wanted.get(index).is_some_and(|at| at.0 - first < length)
        })
    }

    /// The instructions with which execution came to a source line, in order, each with how often it did.
    pub fn arrivals(self) -> impl Iterator<Item = (InstrIdx, u64)> + 'a {
        let mut reader = Reader::new(self.0);
        while let Some(1..) = reader.number() {
            reader.number();
        }
        let mut at: u32 = 0;
        std::iter::from_fn(move || {
            at = at.checked_add(u32::try_from(reader.number()?).ok()?)?;
            Some((InstrIdx(at), reader.number()?))
        })
    }
}
