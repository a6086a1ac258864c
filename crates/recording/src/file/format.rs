//! The fixed parts: the file's header, a chunk's header, the end. All numbers are little-endian.

use std::fmt;

use super::{Compression, Damage, Error};

/// The newest version of the format; all up to it are read.
pub const FORMAT_VERSION: u16 = 7;
/// The largest contents of a chunk, in bytes, stored or not.
pub const MAX_CONTENTS: usize = 16 << 20;
/// As a chunk's first step: not known.
pub const UNKNOWN_STEP: u64 = u64::MAX;

pub(super) const MAGIC: [u8; 8] = *b"\x89debugop";
pub(super) const FILE_HEADER: usize = 40;
pub(super) const MARKER: [u8; 8] = *b"\xf3chunk\r\n";
pub(super) const CHUNK_HEADER: usize = 56;
/// Contents of the end chunk: where the index is.
pub(super) const END_CONTENTS: usize = 8;
pub(super) const INDEX_ENTRY: usize = 48;
/// How many entries an index chunk has at most.
pub(super) const INDEX_ENTRIES: usize = 100_000;

/// Names a recording: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Uuid(pub [u8; 16]);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Uuid {
    /// A new one.
    pub(super) fn random() -> Result<Self, Error> {
        let mut bytes = [0; 16];
        let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
            .map_err(|source| Error::Io {
                doing: "get random bytes",
                source: source.into(),
            })?;
        debug_assert_eq!(filled, 16, "so few bytes come at once");
        Ok(Uuid(bytes))
    }

    /// From its 32 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.is_ascii() {
            return None;
        }
        let mut bytes = [0; 16];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
        }
        Some(Uuid(bytes))
    }
}

/// What a chunk holds. Kinds of 128 and more may be passed over by a reader that does not know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ChunkKind {
    /// [`Header`](super::Header), in JSON. The first chunk.
    Header = 1,
    /// Code objects, each with its length before it.
    Code = 2,
    /// A chunk of the [stream](crate::stream).
    Stream = 3,
    /// [`Summary`](super::Summary), in JSON.
    Summary = 5,
    /// Where the chunks are.
    Index = 6,
    /// Where the index is. The last chunk.
    End = 7,
    /// A source file: name and text.
    Source = 128,
    /// A part of what a reader has found out by replaying: the version of that (two bytes), and some of it.
    Replayed = 129,
}

impl ChunkKind {
    pub(super) fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => ChunkKind::Header,
            2 => ChunkKind::Code,
            3 => ChunkKind::Stream,
            5 => ChunkKind::Summary,
            6 => ChunkKind::Index,
            7 => ChunkKind::End,
            128 => ChunkKind::Source,
            129 => ChunkKind::Replayed,
            _ => return None,
        })
    }
}

/// The numbers of a header, in order.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self
            .0
            .split_first_chunk()
            .expect("headers are of a fixed size");
        self.0 = rest;
        *taken
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    pub(super) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    pub(super) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

/// The first [`FILE_HEADER`] bytes.
pub(super) fn write_file_header(uuid: Uuid) -> [u8; FILE_HEADER] {
    let mut header = Vec::with_capacity(FILE_HEADER);
    header.extend(MAGIC);
    header.extend(FORMAT_VERSION.to_le_bytes());
    header.extend([0; 2]);
    header.extend(uuid.0);
    header.extend([0; 8]);
    header.extend(crc32c::crc32c(&header).to_le_bytes());
    header.try_into().expect("fields of a fixed size")
}

/// The recording that a file holds.
pub(super) fn read_file_header(bytes: &[u8]) -> Result<Uuid, Error> {
    let same = bytes.iter().zip(&MAGIC).take_while(|(byte, of)| byte == of);
    let offset = same.count();
    if offset < MAGIC.len() {
        return Err(Error::NotARecording {
            offset: offset as u64,
            found: match offset == bytes.len() {
                true => "it ends",
                false => "something else is",
            },
        });
    }
    let Some(header) = bytes.first_chunk::<FILE_HEADER>() else {
        return Err(Damage::Truncated.at(bytes.len() as u64));
    };
    let mut fields = Fields(&header[MAGIC.len()..]);
    let found = fields.u16();
    if found == 0 || found > FORMAT_VERSION {
        return Err(Error::Version { found });
    }
    let _reserved = fields.u16();
    let uuid = Uuid(fields.take());
    let _reserved = fields.u64();
    if fields.u32() != crc32c::crc32c(&header[..FILE_HEADER - 4]) {
        return Err(Damage::FileHeader.at(0));
    }
    Ok(uuid)
}

/// The header of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkHeader {
    /// `None`: unknown, and may be passed over.
    pub(super) kind: Option<ChunkKind>,
    pub(super) compression: Compression,
    /// Bytes in the file behind the header.
    pub(super) stored: u32,
    /// Bytes once decompressed.
    pub(super) raw: u32,
    /// Number among the chunks of this kind.
    pub(super) sequence: u64,
    pub(super) first_step: u64,
    /// Nanoseconds since the recording began.
    pub(super) time: u64,
    /// Of the bytes in the file behind the header.
    pub(super) checksum: u32,
}

impl ChunkHeader {
    pub(super) fn write(&self) -> [u8; CHUNK_HEADER] {
        let mut header = Vec::with_capacity(CHUNK_HEADER);
        header.extend(MARKER);
        header.push(self.kind.map_or(0, |kind| kind as u8));
        header.push(self.compression as u8);
        header.extend([0; 2]);
        header.extend(self.stored.to_le_bytes());
        header.extend(self.raw.to_le_bytes());
        header.extend([0; 4]);
        header.extend(self.sequence.to_le_bytes());
        header.extend(self.first_step.to_le_bytes());
        header.extend(self.time.to_le_bytes());
        header.extend(self.checksum.to_le_bytes());
        header.extend(crc32c::crc32c(&header).to_le_bytes());
        header.try_into().expect("fields of a fixed size")
    }

    /// From the bytes at `offset` of the file.
    pub(super) fn read(bytes: &[u8; CHUNK_HEADER], offset: u64) -> Result<Self, Error> {
        if !bytes.starts_with(&MARKER) {
            return Err(Damage::Marker.at(offset));
        }
        let mut fields = Fields(&bytes[MARKER.len()..]);
        let [kind, compression] = fields.take();
        let _reserved = fields.u16();
        let stored = fields.u32();
        let raw = fields.u32();
        let _reserved = fields.u32();
        let header = ChunkHeader {
            kind: ChunkKind::from_number(kind),
            compression: Compression::from_number(compression).unwrap_or(Compression::None),
            stored,
            raw,
            sequence: fields.u64(),
            first_step: fields.u64(),
            time: fields.u64(),
            checksum: fields.u32(),
        };
        if fields.u32() != crc32c::crc32c(&bytes[..CHUNK_HEADER - 4]) {
            return Err(Damage::ChunkHeader.at(offset));
        }
        for length in [stored, raw] {
            if length as usize > MAX_CONTENTS {
                return Err(Damage::Length(length.into()).at(offset));
            }
        }
        if header.kind.is_none() && kind < 128 {
            return Err(Damage::Kind(kind).at(offset));
        }
        let known = Compression::from_number(compression);
        let fits = |compression: Compression| {
            compression.coding().is_none() || header.kind == Some(ChunkKind::Stream)
        };
        if !known.is_some_and(fits) {
            return Err(Damage::Compression(compression).at(offset));
        }
        Ok(header)
    }
}
