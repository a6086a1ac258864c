//! Makes a recording smaller, for keeping.

use std::path::Path;

use super::format::ChunkHeader;
use super::reader::Reader;
use super::recover::refuse_same;
use super::writer::thread::Appender;
use super::{ChunkInfo, ChunkKind, Compression, Ending, Error, Summary, UNKNOWN_STEP};

/// What packing has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// Size of the old file in bytes, without its tail.
    pub before: u64,
    /// Size of the new file in bytes.
    pub after: u64,
}

/// Zstandard's level: 0.4 to 0.8 of what recording leaves, at 2 MB/s and less. All chunks in one frame leave 3 % less of a mixture and more of
/// a sort, so there is no dictionary.
const LEVEL: i32 = 19;

/// Writes the recording at `from` anew, to `to`, as small as is sensible. It is the same recording: uuid, chunks, numbers. `index` is
/// written into it.
///
/// # Errors
///
/// If `from` cannot be read, is damaged or is still being written, or if `to` cannot be written or is `from`.
pub fn pack(from: &Path, to: &Path, index: Option<&[u8]>) -> Result<Packed, Error> {
    refuse_same(from, to)?;
    let reader = Reader::open(from)?;
    if reader.ending() == Ending::Writing {
        return Err(Error::BeingWritten);
    }
    let mut appender = Appender::create(to, reader.uuid())?;
    let mut compressor =
        zstd::bulk::Compressor::new(LEVEL).map_err(Error::io("compress the recording"))?;
    let mut append = |kind, info: Option<ChunkInfo>, contents: &[u8]| {
        let stored = compressor
            .compress(contents)
            .map_err(Error::io("compress the recording"))?;
        let header = ChunkHeader {
            kind: Some(kind),
            compression: Compression::Zstd,
            stored: super::writer::thread::length(stored.len())?,
            raw: super::writer::thread::length(contents.len())?,
            sequence: info.map_or(0, |info| info.sequence),
            first_step: info
                .and_then(|info| info.first_step)
                .unwrap_or(UNKNOWN_STEP),
            time: info.map_or(0, |info| info.time),
            checksum: crc32c::crc32c(&stored),
        };
        appender.append_stored(header, &stored)
    };
    let json = serde_json::to_vec(reader.header()).unwrap_or_default();
    append(ChunkKind::Header, None, &json)?;
    for (info, contents) in reader.contents_of_all() {
        append(info.kind, Some(info), &contents?)?;
    }
    for (sequence, contents) in (0..).zip(index.into_iter().flat_map(super::index::chunks)) {
        let info = ChunkInfo {
            kind: ChunkKind::Replayed,
            sequence,
            offset: None,
            compression: Compression::Zstd,
            stored: 0,
            raw: contents.len() as u64,
            first_step: None,
            time: 0,
        };
        append(info.kind, Some(info), &contents)?;
    }
    let summary = reader.summary().cloned().unwrap_or_else(Summary::default);
    let json = serde_json::to_vec(&summary).unwrap_or_default();
    let finished = appender.finish(&json)?;
    Ok(Packed {
        before: reader.size()?,
        after: finished.size,
    })
}
