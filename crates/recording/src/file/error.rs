//! What can go wrong with a file.

use std::io;

use super::Uuid;
use crate::stream;

/// Offset of the format version in a file.
const VERSION_AT: u64 = 8;

/// Why a recording cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused something.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was to be done: "create the file", …
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The file does not begin as recordings do.
    #[error("not a debugop recording: {found} at byte {offset}")]
    NotARecording {
        /// Offset in the file, in bytes, of what shows it.
        offset: u64,
        /// What is there: "something else is", "it ends".
        found: &'static str,
    },
    /// The file has been written by a newer debugop.
    #[error(
        "format version {found} at byte {VERSION_AT}, written by a newer debugop; this one reads up to version {known}",
        known = super::FORMAT_VERSION
    )]
    Version {
        /// The file's format version.
        found: u16,
    },
    /// The file is damaged.
    #[error("damaged at byte {offset}: {damage}")]
    Damaged {
        /// Offset in the file, in bytes, of the header or chunk that is damaged.
        offset: u64,
        /// How.
        damage: Damage,
    },
    /// There is no such chunk.
    #[error("there is no stream chunk {0}")]
    NoChunk(usize),
    /// The recording is not complete yet.
    #[error("the recording is still being written")]
    BeingWritten,
    /// The recorder must stop: an earlier write has failed, and that has been told.
    #[error("writing the recording has failed before")]
    FailedBefore,
    /// A recording may not have so many sites or so large a code object.
    #[error("{0} is more than a recording can hold")]
    TooLarge(&'static str),
}

/// How a file is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The file's header does not have its checksum.
    #[error("the file header's checksum is wrong")]
    FileHeader,
    /// No chunk begins where one must.
    #[error("no chunk begins here")]
    Marker,
    /// A chunk's header does not have its checksum.
    #[error("the chunk header's checksum is wrong")]
    ChunkHeader,
    /// A chunk's contents do not have their checksum.
    #[error("the checksum of the chunk's contents is wrong")]
    Contents,
    /// The file ends in the middle of a chunk, or before the end chunk.
    #[error("the recording ends here, unfinished, and its tail file is not there")]
    Truncated,
    /// A length beyond [`MAX_CONTENTS`](super::MAX_CONTENTS).
    #[error("the chunk's length of {0} bytes is more than allowed")]
    Length(u64),
    /// A kind of chunk that must be understood and is not known.
    #[error("{0} is not a known kind of chunk")]
    Kind(u8),
    /// A compression that is not known.
    #[error("{0} is not a known compression")]
    Compression(u8),
    /// The contents cannot be decompressed.
    #[error("the chunk's contents cannot be decompressed")]
    Decompression,
    /// Chunks of a kind are numbered in order.
    #[error("chunk number {expected} was expected, not {found}")]
    Sequence {
        /// What the number must be.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// The chunk belongs to another recording.
    #[error("this belongs to recording {0}")]
    Uuid(Uuid),
    /// Metadata that is not what it should be.
    #[error("the chunk's JSON is not what it should be: {0}")]
    Json(String),
    /// A code object that cannot be read.
    #[error("{0}")]
    Code(stream::Error),
    /// The index does not fit the file.
    #[error("the index does not fit the file")]
    Index,
    /// There is no header chunk at the beginning.
    #[error("there is no header chunk")]
    NoHeader,
}

impl Error {
    /// For `map_err`: what was to be done, as in "cannot create the file".
    pub fn io(doing: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Error::Io { doing, source }
    }

    /// Offset in the file, in bytes, of what is wrong, if something is.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        match self {
            Error::NotARecording { offset, .. } | Error::Damaged { offset, .. } => Some(*offset),
            Error::Version { .. } => Some(VERSION_AT),
            _ => None,
        }
    }

    /// The system's number for what it refused, or 0.
    pub(super) fn os_error(&self) -> u32 {
        match self {
            Error::Io { source, .. } => source.raw_os_error().map_or(0, i32::unsigned_abs),
            _ => 0,
        }
    }
}

impl Damage {
    pub(super) fn at(self, offset: u64) -> Error {
        Error::Damaged {
            offset,
            damage: self,
        }
    }
}
