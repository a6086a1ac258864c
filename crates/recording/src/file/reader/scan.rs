//! Finds the chunks of a file: by its index, or from header to header.

use std::fs::File;

use crate::file::format::{self, CHUNK_HEADER, ChunkHeader, END_CONTENTS, FILE_HEADER};
use crate::file::writer::thread::Entry;
use crate::file::{ChunkKind, Damage, Error, os};

/// The chunks of a file.
#[derive(Debug)]
pub(in crate::file) struct Chunks {
    pub(in crate::file) entries: Vec<Entry>,
    /// Where the end chunk is, if the file has one.
    pub(in crate::file) end: Option<u64>,
    /// Behind the last whole chunk.
    pub(in crate::file) cut: u64,
}

pub(in crate::file) fn length(file: &File) -> Result<u64, Error> {
    let metadata = file.metadata();
    Ok(metadata.map_err(Error::io("read the recording"))?.len())
}

/// The header at this offset; `None` if the file ends before its end.
pub(in crate::file) fn header_at(file: &File, offset: u64) -> Result<Option<ChunkHeader>, Error> {
    let mut bytes = [0; CHUNK_HEADER];
    match os::read_at(file, &mut bytes, offset).map_err(Error::io("read the recording"))? {
        true => ChunkHeader::read(&bytes, offset).map(Some),
        false => Ok(None),
    }
}

impl Chunks {
    pub(in crate::file) fn find(file: &File) -> Result<Self, Error> {
        match Self::by_index(file)? {
            Some(chunks) => Ok(chunks),
            None => Self::one_by_one(file),
        }
    }

    /// From a file that ends in an end chunk; `None` if it does not.
    fn by_index(file: &File) -> Result<Option<Self>, Error> {
        let length = length(file)?;
        let end = length.checked_sub((CHUNK_HEADER + END_CONTENTS) as u64);
        let Some(end) = end.filter(|&end| end >= FILE_HEADER as u64) else {
            return Ok(None);
        };
        // Bytes that are no header are no error yet: then the file has no end.
        let Ok(Some(header)) = header_at(file, end) else {
            return Ok(None);
        };
        if header.kind != Some(ChunkKind::End) || header.stored as usize != END_CONTENTS {
            return Ok(None);
        }
        let contents = super::read_contents(
            file,
            &Entry {
                header,
                offset: end,
            },
        )?;
        let index = contents
            .first_chunk()
            .map(|bytes| u64::from_le_bytes(*bytes))
            .ok_or(Damage::Index.at(end))?;
        let mut chunks = Chunks {
            entries: Vec::new(),
            end: Some(end),
            cut: length,
        };
        let mut at = index;
        let mut order = Order::default();
        while at < end {
            let header = header_at(file, at)?.ok_or(Damage::Truncated.at(at))?;
            if header.kind != Some(ChunkKind::Index) {
                return Err(Damage::Index.at(at));
            }
            let entry = Entry { header, offset: at };
            let contents = super::read_contents(file, &entry)?;
            let (parts, rest) = contents.as_chunks::<{ format::INDEX_ENTRY }>();
            if !rest.is_empty() {
                return Err(Damage::Index.at(at));
            }
            for part in parts {
                let entry = Entry::read(part).ok_or(Damage::Index.at(at))?;
                let inside = entry
                    .offset
                    .checked_add(entry.size())
                    .is_some_and(|behind| behind <= index);
                if !inside {
                    return Err(Damage::Index.at(at));
                }
                order.check(&entry)?;
                chunks.entries.push(entry);
            }
            at += entry.size();
        }
        if at != end || index < FILE_HEADER as u64 {
            return Err(Damage::Index.at(end));
        }
        Ok(Some(chunks))
    }

    /// From a file without an end: that of a process that has been killed, or that is still writing.
    fn one_by_one(file: &File) -> Result<Self, Error> {
        let length = length(file)?;
        let mut chunks = Chunks {
            entries: Vec::new(),
            end: None,
            cut: FILE_HEADER as u64,
        };
        let mut order = Order::default();
        while let Some(header) = header_at(file, chunks.cut)? {
            let entry = Entry {
                header,
                offset: chunks.cut,
            };
            let behind = chunks.cut.saturating_add(entry.size());
            if behind > length {
                break;
            }
            order.check(&entry)?;
            chunks.entries.push(entry);
            chunks.cut = behind;
            if header.kind == Some(ChunkKind::End) {
                // It was not where the file ends: something has been appended.
                return Err(Damage::Marker.at(behind));
            }
        }
        Ok(chunks)
    }
}

/// Chunks of each kind come in the order of their numbers; only a ring's stream begins later than 0.
struct Order {
    next: [Option<u64>; 256],
}

impl Default for Order {
    fn default() -> Self {
        Order { next: [None; 256] }
    }
}

impl Order {
    fn check(&mut self, entry: &Entry) -> Result<(), Error> {
        let Some(kind) = entry.header.kind else {
            return Ok(());
        };
        let found = entry.header.sequence;
        let next = &mut self.next[kind as usize];
        let expected = match *next {
            Some(expected) => expected,
            None if kind == ChunkKind::Stream => found,
            None => 0,
        };
        if found != expected {
            return Err(Damage::Sequence { expected, found }.at(entry.offset));
        }
        *next = Some(found.saturating_add(1));
        Ok(())
    }
}
