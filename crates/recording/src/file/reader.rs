//! Reads a recording, also while it is written.

pub(super) mod scan;

use std::fs::File;
use std::path::{Path, PathBuf};

use super::compression::decompress;
use super::format::{self, CHUNK_HEADER, FILE_HEADER};
use super::writer::tail_path;
use super::writer::thread::Entry;
use super::{ChunkKind, CodeRecord, Compression, Damage, Error, Header, Source, Summary, Uuid};
use super::{code, os, tail};
use scan::Chunks;

/// How the recording that is in a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was finished.
    Finished,
    /// It is being written. [`Reader::open`] it again to see more.
    Writing,
    /// The process was killed; the tail has everything that had been committed.
    Killed,
    /// Writing has failed, and the process may have gone on for long; the system's number for why, or 0. The tail has what had been committed until then.
    Failed(u32),
    /// It is not finished, and whether it is being written cannot be known here.
    Unfinished,
}

/// Where a chunk is and how large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkInfo {
    /// What it holds.
    pub kind: ChunkKind,
    /// Its number among the chunks of its kind.
    pub sequence: u64,
    /// Offset of its header in the file; `None` for what is in the tail.
    pub offset: Option<u64>,
    /// How it is stored.
    pub compression: Compression,
    /// Its size in the file or tail, in bytes, without the header.
    pub stored: u64,
    /// Its size once decompressed, in bytes.
    pub raw: u64,
    /// The number of its first step, if it has been counted.
    pub first_step: Option<u64>,
    /// When it begins: nanoseconds since the recording began.
    pub time: u64,
}

/// A chunk of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamChunk {
    /// Where it comes from.
    pub info: ChunkInfo,
    /// For a [`Decoder`](crate::stream::Decoder).
    pub contents: Vec<u8>,
}

/// Where a chunk's contents are.
#[derive(Debug, Clone)]
enum Place {
    File(Entry),
    Tail(tail::Found),
}

/// A recording that can be read, chunk by chunk. May be used by several threads at once.
#[derive(Debug)]
pub struct Reader {
    file: File,
    path: PathBuf,
    uuid: Uuid,
    header: Header,
    summary: Option<Summary>,
    ending: Ending,
    codes: Vec<Place>,
    stream: Vec<Place>,
    sources: Vec<Place>,
    replayed: Vec<Place>,
}

impl Reader {
    /// Opens a recording. Of a finished one only the index is read, of another one the headers of the chunks.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is no recording or is damaged where it has been read, or if its end is missing and no
    /// tail is there. [`recover`](super::recover) takes what is intact of such a file.
    pub fn open(path: &Path) -> Result<Self, Error> {
        // The tail first: what has left it meanwhile is then in the file. A finished recording has none.
        let tail = File::open(tail_path(path));
        let mut file = File::open(path).map_err(Error::io("open the recording"))?;
        let mut uuid = read_uuid(&file)?;
        let mut found = None;
        if let Ok(tail) = tail {
            found = tail::read(&tail, uuid).map_err(Error::io("read the tail file"))?;
            // A ring may have put another file in the place of this one meanwhile.
            file = File::open(path).map_err(Error::io("open the recording"))?;
            let again = read_uuid(&file)?;
            if again != uuid {
                (uuid, found) = (again, None);
            }
        }
        let chunks = Chunks::find(&file)?;
        if chunks.end.is_none() && found.is_none() {
            return Err(Damage::Truncated.at(chunks.cut));
        }
        Self::from_parts(file, path, uuid, &chunks, found)
    }

    fn from_parts(
        file: File,
        path: &Path,
        uuid: Uuid,
        chunks: &Chunks,
        tail: Option<tail::Contents>,
    ) -> Result<Self, Error> {
        let ending = match (&chunks.end, &tail) {
            (Some(_), _) => Ending::Finished,
            (None, Some(tail)) => match (tail.failed, tail.process.is_running()) {
                (Some(error), _) => Ending::Failed(error),
                (None, Some(true)) => Ending::Writing,
                (None, Some(false)) => Ending::Killed,
                (None, None) => Ending::Unfinished,
            },
            (None, None) => Ending::Unfinished,
        };
        let mut reader = Reader {
            file,
            path: path.to_owned(),
            uuid,
            header: Header::default(),
            summary: None,
            ending,
            codes: Vec::new(),
            stream: Vec::new(),
            sources: Vec::new(),
            replayed: Vec::new(),
        };
        let header = match chunks.entries.first() {
            Some(first) if first.header.kind == Some(ChunkKind::Header) => *first,
            _ => return Err(Damage::NoHeader.at(FILE_HEADER as u64)),
        };
        reader.header = reader.json(&header)?;
        for entry in &chunks.entries {
            match entry.header.kind {
                Some(ChunkKind::Code) => reader.codes.push(Place::File(*entry)),
                Some(ChunkKind::Stream) => reader.stream.push(Place::File(*entry)),
                Some(ChunkKind::Source) => reader.sources.push(Place::File(*entry)),
                Some(ChunkKind::Replayed) => reader.replayed.push(Place::File(*entry)),
                Some(ChunkKind::Summary) => reader.summary = Some(reader.json(entry)?),
                Some(ChunkKind::Header | ChunkKind::Index | ChunkKind::End) | None => {}
            }
        }
        if reader.ending != Ending::Finished {
            reader.add_tail(tail.map_or_else(Vec::new, |tail| tail.slots));
        }
        Ok(reader)
    }

    /// What is in the tail and not in the file, in order, without a gap.
    fn add_tail(&mut self, mut slots: Vec<tail::Found>) {
        slots.sort_by_key(|slot| slot.sequence);
        slots.retain(|slot| !slot.contents.is_empty());
        for (kind, places) in [
            (ChunkKind::Code, &mut self.codes),
            (ChunkKind::Stream, &mut self.stream),
        ] {
            let mut next = places.last().map_or(0, |last| last.info(kind).sequence + 1);
            for slot in &slots {
                if slot.kind == kind as u32 && slot.sequence == next {
                    places.push(Place::Tail(slot.clone()));
                    next += 1;
                }
            }
        }
    }

    /// Where the recording is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// Where it comes from.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How it ended; `None` if it was not finished.
    #[must_use]
    pub fn summary(&self) -> Option<&Summary> {
        self.summary.as_ref()
    }

    /// Whether it was finished.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.ending
    }

    /// The size of the file in bytes.
    ///
    /// # Errors
    ///
    /// If the system does not tell.
    pub fn size(&self) -> Result<u64, Error> {
        let metadata = self.file.metadata();
        Ok(metadata.map_err(Error::io("read the recording"))?.len())
    }

    /// Every chunk of code, stream and sources.
    pub fn chunks(&self) -> impl Iterator<Item = ChunkInfo> {
        let of = |places: &'_ [Place], kind| -> Vec<ChunkInfo> {
            places.iter().map(|place| place.info(kind)).collect()
        };
        let mut all = of(&self.codes, ChunkKind::Code);
        all.extend(of(&self.sources, ChunkKind::Source));
        all.extend(of(&self.stream, ChunkKind::Stream));
        all.into_iter()
    }

    /// The number of stream chunks.
    #[must_use]
    pub fn stream_len(&self) -> usize {
        self.stream.len()
    }

    /// Where stream chunk `index` is; the first has index 0, also in a ring.
    #[must_use]
    pub fn stream_info(&self, index: usize) -> Option<ChunkInfo> {
        Some(self.stream.get(index)?.info(ChunkKind::Stream))
    }

    /// Reads a stream chunk.
    ///
    /// # Errors
    ///
    /// If there is none with this index, or it is damaged.
    pub fn stream(&self, index: usize) -> Result<StreamChunk, Error> {
        let place = self.stream.get(index).ok_or(Error::NoChunk(index))?;
        Ok(StreamChunk {
            info: place.info(ChunkKind::Stream),
            contents: self.contents_of(place)?,
        })
    }

    /// Reads all code objects, in the order of their numbers.
    ///
    /// # Errors
    ///
    /// If a chunk is damaged.
    pub fn codes(&self) -> Result<Vec<CodeRecord>, Error> {
        let mut codes = Vec::new();
        for place in &self.codes {
            let contents = self.contents_of(place)?;
            let offset = place.info(ChunkKind::Code).offset.unwrap_or(0);
            codes
                .extend(code::read_all(&contents).map_err(|error| Damage::Code(error).at(offset))?);
        }
        Ok(codes)
    }

    /// Reads all source files.
    ///
    /// # Errors
    ///
    /// If a chunk is damaged.
    pub fn sources(&self) -> Result<Vec<Source>, Error> {
        self.sources
            .iter()
            .map(|place| {
                let contents = self.contents_of(place)?;
                let offset = place.info(ChunkKind::Source).offset.unwrap_or(0);
                read_source(&contents).ok_or_else(|| Damage::Contents.at(offset))
            })
            .collect()
    }

    fn json<T: serde::de::DeserializeOwned>(&self, entry: &Entry) -> Result<T, Error> {
        read_json(&self.file, entry)
    }

    fn contents_of(&self, place: &Place) -> Result<Vec<u8>, Error> {
        match place {
            Place::File(entry) => read_contents(&self.file, entry),
            Place::Tail(found) => Ok(found.contents.clone()),
        }
    }

    /// Every chunk of code, sources and stream with its contents, in this order.
    /// The contents of the chunks in which it says itself what is in an index beside others.
    pub(super) fn replayed(&self) -> impl Iterator<Item = Result<Vec<u8>, Error>> {
        self.replayed.iter().map(|place| self.contents_of(place))
    }

    /// Every chunk of code, sources and stream, with its contents.
    pub(super) fn contents_of_all(
        &self,
    ) -> impl Iterator<Item = (ChunkInfo, Result<Vec<u8>, Error>)> {
        let parts = [
            (ChunkKind::Code, &self.codes),
            (ChunkKind::Source, &self.sources),
            (ChunkKind::Stream, &self.stream),
        ];
        parts.into_iter().flat_map(move |(kind, places)| {
            places
                .iter()
                .map(move |place| (place.info(kind), self.contents_of(place)))
        })
    }
}

impl Place {
    fn info(&self, kind: ChunkKind) -> ChunkInfo {
        match self {
            Place::File(Entry { header, offset }) => ChunkInfo {
                kind,
                sequence: header.sequence,
                offset: Some(*offset),
                compression: header.compression,
                stored: header.stored.into(),
                raw: header.raw.into(),
                first_step: Some(header.first_step).filter(|&step| step != super::UNKNOWN_STEP),
                time: header.time,
            },
            Place::Tail(found) => ChunkInfo {
                kind,
                sequence: found.sequence,
                offset: None,
                compression: Compression::None,
                stored: found.contents.len() as u64,
                raw: found.contents.len() as u64,
                first_step: None,
                time: found.time,
            },
        }
    }
}

fn read_uuid(file: &File) -> Result<Uuid, Error> {
    let mut bytes = [0; FILE_HEADER];
    let length = scan::length(file)?;
    let there = length.min(FILE_HEADER as u64) as usize;
    os::read_at(file, &mut bytes[..there], 0).map_err(Error::io("read the recording"))?;
    format::read_file_header(&bytes[..there])
}

/// Reads a chunk and checks it against its checksum.
pub(super) fn read_contents(file: &File, entry: &Entry) -> Result<Vec<u8>, Error> {
    let stored = read_stored(file, entry)?;
    let header = entry.header;
    decompress(header.compression, stored, header.raw as usize)
        .map_err(|damage| damage.at(entry.offset))
}

/// Reads a chunk that holds JSON.
pub(super) fn read_json<T: serde::de::DeserializeOwned>(
    file: &File,
    entry: &Entry,
) -> Result<T, Error> {
    serde_json::from_slice(&read_contents(file, entry)?)
        .map_err(|error| Damage::Json(error.to_string()).at(entry.offset))
}

/// Reads a chunk as it is stored. What the index says of it must be what stands there.
pub(super) fn read_stored(file: &File, entry: &Entry) -> Result<Vec<u8>, Error> {
    let Entry { header, offset } = *entry;
    if scan::header_at(file, offset)? != Some(header) {
        return Err(Damage::Index.at(offset));
    }
    let mut stored = vec![0; header.stored as usize];
    let begin = offset.saturating_add(CHUNK_HEADER as u64);
    if !os::read_at(file, &mut stored, begin).map_err(Error::io("read the recording"))? {
        return Err(Damage::Truncated.at(offset));
    }
    match crc32c::crc32c(&stored) == header.checksum {
        true => Ok(stored),
        false => Err(Damage::Contents.at(offset)),
    }
}

fn read_source(contents: &[u8]) -> Option<Source> {
    let (length, rest) = contents.split_first_chunk()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (filename, text) = rest.split_at_checked(length)?;
    Some(Source {
        filename: filename.to_vec(),
        text: text.to_vec(),
    })
}
