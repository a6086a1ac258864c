//! The two directions: who writes a chunk, and who reads it.

use super::coder::{Reader, Writer};
use super::records::{Codec, Given};
use super::values::how;
use super::{Coding, Follow, Stored};
use crate::stream::{BigInt, Error, Keyframe, Numbers, Record, Value};

/// Writes a chunk.
pub struct Packer<'a> {
    codec: Codec<'a, Writer>,
    spare: Record,
}

impl<'a> Packer<'a> {
    /// A chunk of a recording whose sites capture so many values each; `raw`: the length of its contents as a stream.
    ///
    /// # Errors
    ///
    /// If it cannot be packed.
    pub fn new(
        coding: Coding,
        captures: &'a [u32],
        raw: usize,
        keyframe: &Keyframe,
        numbers: Numbers<'_>,
    ) -> Result<Self, Error> {
        let mut codec = Codec::new(Writer::new(), coding, raw, captures);
        codec.keyframe(Some(keyframe), numbers)?;
        Ok(Packer {
            codec,
            spare: Record::default(),
        })
    }

    /// Writes a record. `computed`: which of its values whoever replays can compute; `stored`: what its reader's [`Follow`] will find.
    ///
    /// # Errors
    ///
    /// If it cannot be packed.
    pub fn record(
        &mut self,
        record: &Record,
        computed: &[bool],
        stored: &[Stored],
        numbers: Numbers<'_>,
    ) -> Result<(), Error> {
        let given = Given {
            record,
            computed,
            numbers,
        };
        let spare = &mut self.spare;
        spare.values.clear();
        spare.prefixes.clear();
        spare.objects.clear();
        let mut follow = |_: &Record, found: &mut Vec<Stored>| found.extend_from_slice(stored);
        self.codec.record(Some(given), &mut follow, spare)?;
        self.codec.resolved(&record.values);
        Ok(())
    }

    /// Ends the chunk.
    ///
    /// # Errors
    ///
    /// If it cannot be packed.
    pub fn finish(mut self) -> Result<Vec<u8>, Error> {
        self.codec.record(None, &mut |_, _| {}, &mut self.spare)?;
        Ok(self.codec.model.coder.finish())
    }
}

/// Reads a packed chunk, whatever its bytes are.
pub struct Unpacker<'a> {
    codec: Codec<'a, Reader<'a>>,
}

impl<'a> Unpacker<'a> {
    /// `bytes`: the chunk's contents; `raw`: the length that they would have as a stream; `captures`: of each site the number of values that it captures.
    ///
    /// # Errors
    ///
    /// If there is no keyframe.
    pub fn new(
        coding: Coding,
        bytes: &'a [u8],
        raw: usize,
        captures: &'a [u32],
    ) -> Result<(Self, Keyframe), Error> {
        let mut codec = Codec::new(Reader::new(bytes), coding, raw, captures);
        let keyframe = codec.keyframe(None, Numbers::default())?;
        Ok((Unpacker { codec }, keyframe))
    }

    /// Reads a record; `false` at the end. [`Unpacker::resolved`] comes before the next one.
    ///
    /// # Errors
    ///
    /// If nothing more can be read.
    pub fn next(&mut self, record: &mut Record, follow: &mut Follow<'_>) -> Result<bool, Error> {
        record.values.clear();
        record.prefixes.clear();
        record.objects.clear();
        self.codec.record(None, follow, record)
    }

    /// Whether a value of the record has to be computed.
    #[inline]
    #[must_use]
    pub fn is_computed(&self, index: usize) -> bool {
        self.codec.hows.get(index) == Some(&how::COMPUTED)
    }

    /// Says what the values of the record are.
    pub fn resolved(&mut self, values: &[Value]) {
        self.codec.resolved(values);
    }

    /// What [`Value::BigInt`] indexes.
    #[must_use]
    pub fn big_ints(&self) -> &[BigInt] {
        &self.codec.memory.big_ints
    }

    /// What [`Value::Complex`] indexes.
    #[must_use]
    pub fn complexes(&self) -> &[[u64; 2]] {
        &self.codec.memory.complexes
    }
}
