//! Makes a recording smaller, for keeping.

use std::borrow::Cow;
use std::path::Path;

use super::compression::{self, Compressor};
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

/// Makes contents of chunks of the stream those of packed chunks, as far as that can be done.
pub type Packing<'a> = dyn FnMut(&[Vec<u8>]) -> Vec<Option<Vec<u8>>> + 'a;

/// So many chunks are read and packed at once.
const AT_ONCE: usize = 16;

/// Writes the recording at `from` anew, to `to`, as small as is sensible. It is the same recording: uuid, chunks, numbers. `index` is
/// written into it. `packs` is given the contents of chunks of the stream, several at once, and makes them the contents of packed chunks; where it does not, they are compressed.
///
/// # Errors
///
/// If `from` cannot be read, is damaged or is still being written, or if `to` cannot be written or is `from`.
pub fn pack(
    from: &Path,
    to: &Path,
    index: Option<&[u8]>,
    packs: &mut Packing<'_>,
) -> Result<Packed, Error> {
    refuse_same(from, to)?;
    let reader = Reader::open(from)?;
    if reader.ending() == Ending::Writing {
        return Err(Error::BeingWritten);
    }
    let mut appender = Appender::create(to, reader.uuid())?;
    let mut compressor =
        Compressor::new(compression::KEEPING).map_err(Error::io("compress the recording"))?;
    let mut append =
        |kind, info: Option<ChunkInfo>, contents: &[u8], packed: Option<(&[u8], Compression)>| {
            let (compression, stored) = match packed {
                Some((packed, compression)) => (compression, Cow::Borrowed(packed)),
                None => {
                    let mut stored = Vec::new();
                    let compression = compressor.compress(kind, contents, false, &mut stored);
                    (compression, Cow::Owned(stored))
                }
            };
            let raw = match info {
                Some(info) => u32::try_from(info.raw).unwrap_or(u32::MAX),
                None => super::writer::thread::length(contents.len())?,
            };
            let header = ChunkHeader {
                kind: Some(kind),
                compression,
                stored: super::writer::thread::length(stored.len())?,
                raw,
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
    append(ChunkKind::Header, None, &json, None)?;
    let mut all = reader.contents_of_all().peekable();
    while all.peek().is_some() {
        let (mut infos, mut contents) = (Vec::new(), Vec::new());
        for (info, read) in all.by_ref().take(AT_ONCE) {
            infos.push(info);
            contents.push(read?);
        }
        // What is packed already stays so.
        let is_open = |info: &&ChunkInfo| {
            info.kind == ChunkKind::Stream && info.compression.coding().is_none()
        };
        let open: Vec<Vec<u8>> = infos
            .iter()
            .zip(&contents)
            .filter(|(info, _)| is_open(info))
            .map(|(_, contents)| contents.clone())
            .collect();
        let mut packed = packs(&open).into_iter();
        for (info, contents) in infos.iter().zip(&contents) {
            let new = match is_open(&info) {
                true => packed.next().flatten(),
                false => None,
            };
            let packed = match (&new, info.compression.coding()) {
                (_, Some(_)) => Some((&contents[..], info.compression)),
                (Some(new), None) => Some((&new[..], Compression::Packed)),
                (None, None) => None,
            };
            append(info.kind, Some(*info), contents, packed)?;
        }
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
        append(info.kind, Some(info), &contents, None)?;
    }
    let summary = reader.summary().cloned().unwrap_or_else(Summary::default);
    let json = serde_json::to_vec(&summary).unwrap_or_default();
    let finished = appender.finish(&json)?;
    Ok(Packed {
        before: reader.size()?,
        after: finished.size,
    })
}
