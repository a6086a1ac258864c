//! Makes a recording smaller, for keeping.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

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

/// How a recording is packed, by several threads at once.
pub struct Packing<'a> {
    /// Makes contents of a chunk of the stream those of a packed chunk; of what it does not, the contents are compressed.
    pub packs: &'a (dyn Fn(&[u8]) -> Option<Vec<u8>> + Sync),
    /// Is told of each chunk that is done.
    pub done: &'a (dyn Fn() + Sync),
}

impl std::fmt::Debug for Packing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Packing")
    }
}

/// So many chunks are read at once: what is packed of them waits until all are done.
const AT_ONCE: usize = 64;

/// Contents as they are stored.
type Stored = (Compression, Vec<u8>);

/// Writes the recording at `from` anew, to `to`, as small as is sensible. It is the same recording: uuid, chunks, numbers. `index` is
/// written into it.
///
/// # Errors
///
/// If `from` cannot be read, is damaged or is still being written, or if `to` cannot be written or is `from`.
pub fn pack(
    from: &Path,
    to: &Path,
    index: Option<&[u8]>,
    packing: &Packing<'_>,
) -> Result<Packed, Error> {
    refuse_same(from, to)?;
    let reader = Reader::open(from)?;
    if reader.ending() == Ending::Writing {
        return Err(Error::BeingWritten);
    }
    let mut appender = Appender::create(to, reader.uuid())?;
    let mut compressor = compressor()?;
    let mut append = |kind, info: Option<ChunkInfo>, contents: &[u8], stored: Option<Stored>| {
        let (compression, stored) =
            stored.unwrap_or_else(|| compressed(&mut compressor, kind, contents));
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
        let mut read = Vec::new();
        for (info, contents) in all.by_ref().take(AT_ONCE) {
            read.push((info, contents?));
        }
        for ((info, contents), stored) in read.iter().zip(pack_all(&read, packing)?) {
            append(info.kind, Some(*info), contents, stored)?;
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

fn compressor() -> Result<Compressor, Error> {
    Compressor::new(compression::KEEPING).map_err(Error::io("compress the recording"))
}

fn compressed(compressor: &mut Compressor, kind: ChunkKind, contents: &[u8]) -> Stored {
    let mut stored = Vec::new();
    let compression = compressor.compress(kind, contents, false, &mut stored);
    (compression, stored)
}

/// Chunks as they are to be stored, made on all processors.
fn pack_all(
    chunks: &[(ChunkInfo, Vec<u8>)],
    packing: &Packing<'_>,
) -> Result<Vec<Option<Stored>>, Error> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let made = Mutex::new(vec![None; chunks.len()]);
    let work = || -> Result<(), Error> {
        let mut compressor = compressor()?;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((info, contents)) = chunks.get(index) else {
                return Ok(());
            };
            let is_stream = info.kind == ChunkKind::Stream;
            let stored = match info.compression.coding() {
                // What is packed already stays so.
                Some(_) => (info.compression, contents.clone()),
                None => match is_stream.then(|| (packing.packs)(contents)).flatten() {
                    Some(packed) => (Compression::Packed, packed),
                    None => compressed(&mut compressor, info.kind, contents),
                },
            };
            made.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(stored);
            if is_stream {
                (packing.done)();
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers.min(chunks.len()))
            .map(|_| scope.spawn(work))
            .collect();
        let mut joined = workers.into_iter().map(|worker| match worker.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.try_for_each(|done| done)
    })?;
    Ok(made.into_inner().unwrap_or_else(PoisonError::into_inner))
}
