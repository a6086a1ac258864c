//! Takes every intact chunk of a file into a new one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use super::compression::{self, Compressor};
use super::format::{self, ChunkHeader, FILE_HEADER, MARKER};
use super::reader::{read_json, read_stored, scan};
use super::writer::tail_path;
use super::writer::thread::{Appender, Entry};
use super::{ChunkKind, Damage, Error, Header, Summary, UNKNOWN_STEP, Uuid, os, tail};

/// What was recovered.
#[derive(Debug)]
pub struct Recovered {
    /// Chunks of code, sources and stream that were taken over, those of the tail included.
    pub chunks: u64,
    /// How many of them are chunks of the stream.
    pub stream_chunks: u64,
    /// What was damaged, in the order of the file; each was passed over.
    pub damage: Vec<Error>,
    /// Size of the new file in bytes.
    pub size: u64,
}

/// An intact chunk, as it is stored.
struct Intact {
    header: ChunkHeader,
    stored: Place,
}

enum Place {
    /// Behind the chunk header at this offset of the file.
    File(u64),
    Tail(Vec<u8>),
}

/// By kind, then by number: the order in which they go into the new file.
type Found = BTreeMap<(u8, u64), Intact>;

/// Takes every intact chunk of the recording at `from`, and of its tail if that is there, into a new, finished recording
/// at `to`. Numbers of stream chunks begin anew from 0 there; where some are missing, [`Summary::gaps`] says so. If the header
/// chunk is lost, the new file has an empty one.
///
/// # Errors
///
/// If `from` does not begin as a recording does or cannot be read, or if `to` cannot be written or is `from`.
pub fn recover(from: &Path, to: &Path) -> Result<Recovered, Error> {
    refuse_same(from, to)?;
    // The tail is read first: what leaves it meanwhile is then in the file.
    let tail = File::open(tail_path(from));
    let file = File::open(from).map_err(Error::io("open the recording"))?;
    let mut damage = Vec::new();
    let uuid = match file_uuid(&file) {
        Ok(uuid) => Some(uuid),
        Err(error @ Error::Damaged { .. }) => {
            damage.push(error);
            None
        }
        Err(error) => return Err(error),
    };
    let mut slots = Vec::new();
    if let (Ok(tail), Some(uuid)) = (tail, uuid) {
        let contents = tail::read(&tail, uuid).map_err(Error::io("read the tail file"))?;
        slots = contents.map_or_else(Vec::new, |tail| tail.slots);
    }
    let mut found = Found::new();
    search(&file, &mut found, &mut damage)?;
    add_tail(slots, &mut found)?;
    write(&file, to, uuid, found, damage)
}

/// Writing to the file that is read would destroy it.
pub(super) fn refuse_same(from: &Path, to: &Path) -> Result<(), Error> {
    match (from.canonicalize(), to.canonicalize()) {
        (Ok(from), Ok(to)) if from == to => {
            Err(Error::io("write to the file that is read")(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "the new one needs a name of its own",
            )))
        }
        _ => Ok(()),
    }
}

fn file_uuid(file: &File) -> Result<Uuid, Error> {
    let mut bytes = vec![0; FILE_HEADER];
    let length = scan::length(file)?;
    bytes.truncate(usize::try_from(length).unwrap_or(FILE_HEADER));
    os::read_at(file, &mut bytes, 0).map_err(Error::io("read the recording"))?;
    format::read_file_header(&bytes)
}

/// Goes through the file from chunk to chunk; where none begins, to the next marker.
fn search(file: &File, found: &mut Found, damage: &mut Vec<Error>) -> Result<(), Error> {
    let length = scan::length(file)?;
    let mut at = FILE_HEADER as u64;
    while at < length {
        let checked = match scan::header_at(file, at) {
            Ok(Some(header)) => {
                let entry = Entry { header, offset: at };
                read_stored(file, &entry).map(|_| entry)
            }
            Ok(None) => Err(Damage::Truncated.at(at)),
            Err(error) => Err(error),
        };
        let checked = checked.and_then(|entry| {
            // What is not understood at the beginning would make all of the new file unreadable.
            match entry.header.kind {
                Some(ChunkKind::Header) => read_json::<Header>(file, &entry).map(|_| entry),
                _ => Ok(entry),
            }
        });
        match checked {
            Ok(entry) => {
                if let Some(kind) = entry.header.kind {
                    let intact = Intact {
                        header: entry.header,
                        stored: Place::File(at),
                    };
                    found
                        .entry((rank(kind), entry.header.sequence))
                        .or_insert(intact);
                }
                at += entry.size();
            }
            Err(error @ Error::Damaged { .. }) => {
                damage.push(error);
                match next_marker(file, at + 1, length)? {
                    Some(next) => at = next,
                    None => break,
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The order of the kinds in the new file.
fn rank(kind: ChunkKind) -> u8 {
    match kind {
        ChunkKind::Code => 3,
        ChunkKind::Source => 4,
        ChunkKind::Stream => 5,
        // Before the stream, whose gaps are added to it.
        ChunkKind::Summary => 2,
        ChunkKind::Replayed => 8,
        ChunkKind::Header | ChunkKind::Index | ChunkKind::End => kind as u8,
    }
}

/// The offset of the next marker at or behind `from`.
fn next_marker(file: &File, from: u64, length: u64) -> Result<Option<u64>, Error> {
    const BLOCK: u64 = 1 << 20;
    let mut block = Vec::new();
    let mut at = from;
    while at + MARKER.len() as u64 <= length {
        block.resize((length - at).min(BLOCK) as usize, 0);
        if !os::read_at(file, &mut block, at).map_err(Error::io("read the recording"))? {
            return Ok(None);
        }
        let is_marker = |window: &[u8]| window == MARKER;
        if let Some(position) = block.windows(MARKER.len()).position(is_marker) {
            return Ok(Some(at + position as u64));
        }
        // A marker may lie across two blocks.
        at += block.len() as u64 - MARKER.len() as u64 + 1;
    }
    Ok(None)
}

fn add_tail(slots: Vec<tail::Found>, found: &mut Found) -> Result<(), Error> {
    let mut compressor =
        Compressor::new(compression::RECORDING).map_err(Error::io("begin to compress"))?;
    for slot in slots {
        let kind = [ChunkKind::Code, ChunkKind::Stream]
            .into_iter()
            .find(|&kind| kind as u32 == slot.kind);
        let Some(kind) = kind.filter(|_| !slot.contents.is_empty()) else {
            continue;
        };
        let mut stored = Vec::new();
        let compression = compressor.compress(kind, &slot.contents, false, &mut stored);
        let header = ChunkHeader {
            kind: Some(kind),
            compression,
            stored: stored.len() as u32,
            raw: slot.contents.len() as u32,
            sequence: slot.sequence,
            first_step: UNKNOWN_STEP,
            time: slot.time,
            checksum: crc32c::crc32c(&stored),
        };
        found.entry((rank(kind), slot.sequence)).or_insert(Intact {
            header,
            stored: Place::Tail(stored),
        });
    }
    Ok(())
}

fn write(
    file: &File,
    to: &Path,
    uuid: Option<Uuid>,
    found: Found,
    mut damage: Vec<Error>,
) -> Result<Recovered, Error> {
    let uuid = match uuid {
        Some(uuid) => uuid,
        None => Uuid::random()?,
    };
    let mut appender = Appender::create(to, uuid)?;
    let is_header = |&(kind, _): &(u8, u64)| kind == rank(ChunkKind::Header);
    if !found.keys().any(is_header) {
        appender.append(ChunkKind::Header, 0, 0, b"{}")?;
    }
    let mut summary = Summary::default();
    let mut next = [0u64; 256];
    // Of a recording that has been recovered before.
    let mut gaps = Vec::new();
    let (mut chunks, mut last_stream) = (0, None);
    for ((_, sequence), intact) in found {
        let kind = intact.header.kind.map_or(0, |kind| kind as u8);
        match intact.header.kind {
            Some(ChunkKind::Summary) => {
                if let Place::File(offset) = intact.stored {
                    let header = intact.header;
                    match read_json(file, &Entry { header, offset }) {
                        Ok(found) => {
                            summary = found;
                            gaps = std::mem::take(&mut summary.gaps);
                        }
                        Err(error) => damage.push(error),
                    }
                }
                continue;
            }
            // What has been found out by replaying need not be true of what is left.
            Some(ChunkKind::Index | ChunkKind::End | ChunkKind::Replayed) | None => continue,
            Some(ChunkKind::Stream) => {
                let is_behind_gap = gaps.contains(&sequence);
                if is_behind_gap || last_stream.is_some_and(|last| last + 1 != sequence) {
                    summary.gaps.push(next[usize::from(kind)]);
                }
                last_stream = Some(sequence);
                chunks += 1;
            }
            // There is one, whatever its number.
            Some(ChunkKind::Header) if next[usize::from(kind)] > 0 => continue,
            Some(ChunkKind::Header) => {}
            Some(ChunkKind::Code | ChunkKind::Source) => chunks += 1,
        }
        let header = ChunkHeader {
            sequence: next[usize::from(kind)],
            // With chunks missing before it, the number is not true any more.
            first_step: UNKNOWN_STEP,
            ..intact.header
        };
        next[usize::from(kind)] += 1;
        let stored = stored_of(file, &intact)?;
        appender.append_stored(header, &stored)?;
    }
    summary.recovered = true;
    let json = serde_json::to_vec(&summary).unwrap_or_default();
    let finished = appender.finish(&json)?;
    Ok(Recovered {
        chunks,
        stream_chunks: finished.chunks,
        damage,
        size: finished.size,
    })
}

fn stored_of(file: &File, intact: &Intact) -> Result<Vec<u8>, Error> {
    match &intact.stored {
        Place::Tail(bytes) => Ok(bytes.clone()),
        &Place::File(offset) => read_stored(
            file,
            &Entry {
                header: intact.header,
                offset,
            },
        ),
    }
}
