//! A recording as steps that can be gone to, forwards and backwards.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use debugop_bytecode::{InstrIdx, Version};
use debugop_recording::file::{self, ChunkKind, Ending, Reader};
use debugop_recording::stream::{self, FrameNumber, Keyframe, ObjectId, ThreadNumber};

use crate::chunk::Chunk;
use crate::code::{Code, Codes};
use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind};
use crate::index::build::Replayed;
use crate::index::{self, Index};
use crate::kept::{Decoded, Kept};
use crate::machine::Machine;
use crate::positions::{Backwards, Positions};
use crate::progress::{Progress, Tell};

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] file::Error),
    /// It is of an interpreter that is not known.
    #[error("it was recorded under Python {0}.{1}, which is not known here")]
    Version(u32, u32),
    /// A code object is not what was recorded.
    #[error(transparent)]
    Code(#[from] ErrorKind),
    /// A record does not fit.
    #[error(transparent)]
    Replay(#[from] Error),
}

/// A recording.
pub struct Recording {
    reader: Reader,
    codes: Arc<Codes>,
    index: OnceLock<Index>,
    progress: Option<Box<Tell<'static>>>,
    kept: Kept,
    /// Where a thread stands that has been stopped while it is recorded.
    present: Option<Keyframe>,
    /// With that, what is known of its chunks.
    replayed: Option<Arc<Replayed>>,
}

/// Where a thread stands that has been stopped while it is recorded: farther than its last record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// The thread.
    pub thread: ThreadNumber,
    /// Its recorded frames, outermost first, each with the instruction that it is executing, as an offset in the original code in code units (2 bytes). The last
    /// frame is about to execute it.
    pub frames: Vec<(FrameNumber, u32)>,
}

impl Present {
    fn keyframe(self) -> Keyframe {
        let frame = |(number, unit)| stream::Frame {
            number,
            code: 0,
            unit,
            progress: stream::Progress::Executing,
            slots: Box::default(),
        };
        let thread = stream::Thread {
            number: self.thread,
            native: 0,
            name: Box::default(),
            below: 0,
            frames: self.frames.into_iter().map(frame).collect(),
        };
        Keyframe {
            time: 0,
            newest: ObjectId(0),
            next_frame: FrameNumber(0),
            threads: vec![thread],
            current: self.thread,
            objects: Vec::new(),
        }
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.reader.path();
        f.debug_struct("Recording")
            .field("path", &path)
            .finish_non_exhaustive()
    }
}

impl Recording {
    /// Opens a recording.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::new(Reader::open(path)?)
    }

    /// The recording that a reader reads.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn new(reader: Reader) -> Result<Self, OpenError> {
        let [major, minor, _] = reader.header().interpreter.version;
        let found = Version::ALL
            .into_iter()
            .find(|version| version.to_string() == format!("{major}.{minor}"));
        let version = found.ok_or(OpenError::Version(major, minor))?;
        let mut codes = Codes::of_platform(&reader.header().platform);
        for record in reader.codes()? {
            codes.add(record, version)?;
        }
        Ok(Self {
            reader,
            codes: Arc::new(codes),
            index: OnceLock::new(),
            progress: None,
            kept: Kept::default(),
            present: None,
            replayed: None,
        })
    }

    /// Opens a recording that is being made while one of its threads is stopped: its last step is the one that this thread is about to execute.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_at(path: &Path, present: Present) -> Result<Self, OpenError> {
        let mut recording = Self::open(path)?;
        recording.present = Some(present.keyframe());
        recording.replayed = Some(Arc::default());
        Ok(recording)
    }

    /// Opens the recording again, which has gone on: what has been replayed of it for its index is not replayed once more.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn reopen_at(&self, present: Present) -> Result<Self, OpenError> {
        let mut recording = Self::open_at(self.reader.path(), present)?;
        let is_same = recording.reader.uuid() == self.reader.uuid();
        if let Some(replayed) = self.replayed.as_ref().filter(|_| is_same) {
            recording.replayed = Some(Arc::clone(replayed));
        }
        Ok(recording)
    }

    pub(crate) fn replayed(&self) -> Option<&Replayed> {
        self.replayed.as_deref()
    }

    /// `tell` is called every half second while the index is made, once that has taken two seconds, and at last when it is made. Several threads may
    /// call it, one at a time.
    #[must_use]
    pub fn with_progress(mut self, tell: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Box::new(tell));
        self
    }

    pub(crate) fn progress(&self) -> Option<&Tell<'static>> {
        self.progress.as_deref()
    }

    /// The file.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The code objects.
    pub fn codes(&self) -> &Arc<Codes> {
        &self.codes
    }

    /// The code objects with this qualified name, or with this name at its end: of `method`, also `Class.method`.
    pub fn functions(&self, name: &str) -> impl Iterator<Item = &Arc<Code>> {
        self.codes
            .iter()
            .filter(move |code| ends_with(&code.qualname(), name, &['.']))
    }

    /// The code objects of a file: its path as recorded, or the end of it.
    pub fn code_of_file(&self, file: &str) -> impl Iterator<Item = &Arc<Code>> {
        self.codes
            .iter()
            .filter(move |code| ends_with(&code.filename(), file, &['/', '\\']))
    }

    /// Reads and decodes a chunk; the last few are kept.
    ///
    /// # Errors
    /// [`OpenError::File`], [`OpenError::Replay`].
    pub fn chunk(&self, index: usize) -> Result<Arc<Chunk>, OpenError> {
        Ok(self.decoded(index)?.chunk)
    }

    /// As [`Recording::chunk`], with the states that are known of it.
    pub(crate) fn decoded(&self, index: usize) -> Result<Decoded, OpenError> {
        match self.kept.chunk(index) {
            Some(known) if known.chunk.is_whole() => Ok(known),
            _ => Ok(self.kept.keep(index, self.decode(index)?)),
        }
    }

    /// As [`Recording::decoded`], but of a packed chunk that nobody has asked for yet only what is needed for a step of it, counted from its beginning.
    pub(crate) fn decoded_to(&self, index: usize, step: u64) -> Result<Decoded, OpenError> {
        match self.kept.chunk(index) {
            Some(known) if known.chunk.covers(step) => Ok(known),
            // Who comes back asks for more of it, and goes through it anew each time.
            Some(_) => self.decoded(index),
            None => Ok(self.kept.keep(index, self.decode_to(index, step)?)),
        }
    }

    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// A machine at the beginning of a chunk, with the last steps of frames from before it.
    pub(crate) fn machine(
        &self,
        chunk: Arc<Chunk>,
        first: u64,
        carried: Vec<(FrameNumber, InstrIdx)>,
    ) -> Result<Machine, Error> {
        let codes = Arc::clone(&self.codes);
        let compiled = self.kept.compiled();
        let mut machine = Machine::with_compiled(codes, chunk, first, carried, compiled)?;
        machine.ends_where_lost();
        Ok(machine)
    }

    pub(crate) fn decode(&self, index: usize) -> Result<Arc<Chunk>, OpenError> {
        self.decode_to(index, u64::MAX)
    }

    fn decode_to(&self, index: usize, step: u64) -> Result<Arc<Chunk>, OpenError> {
        let stored = self.reader.stream(index)?;
        let room = self.kept.room();
        let mut chunk = Chunk::read_to(room, &self.codes, index as u64, &stored, step)?;
        if !chunk.is_whole() {
            return Ok(Arc::new(chunk));
        }
        if index + 1 < self.reader.stream_len() {
            if self.is_behind_gap(index + 1) {
                // How far the threads have come before it nobody knows.
                return Ok(Arc::new(chunk));
            }
            let next = self.reader.stream(index + 1)?;
            chunk = chunk.before(&self.codes, &next)?;
        } else if let Some(present) = &self.present {
            chunk.followed_by_keyframe(present.clone());
        }
        Ok(Arc::new(chunk))
    }

    /// What is in each chunk. The first time it is read from beside the recording or, if it is not there, made by replaying everything, and kept
    /// there if the recording is complete and its directory can be written to.
    ///
    /// # Errors
    /// As [`Recording::chunk`], and what does not fit.
    pub fn index(&self) -> Result<&Index, OpenError> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let chunks = self.reader.stream_len();
        let kept = self
            .reader
            .index()
            .and_then(|bytes| Index::read(bytes, chunks, &self.codes));
        let index = match kept {
            Some(index) => index,
            None => {
                let bytes = index::build(self)?;
                // Where it cannot be kept, it is made again next time.
                let _ = self.reader.keep_index(&bytes);
                Index::read(bytes, chunks, &self.codes).ok_or(OpenError::Replay(Error {
                    chunk: 0,
                    offset: 0,
                    kind: ErrorKind::Index,
                }))?
            }
        };
        Ok(self.index.get_or_init(|| index))
    }

    /// The index, if it has been asked for already.
    pub(crate) fn known_index(&self) -> Option<&Index> {
        self.index.get()
    }

    /// The number of the first step of each chunk and, at the end, the number of all steps.
    ///
    /// # Errors
    /// As [`Recording::index`].
    pub fn firsts(&self) -> Result<&[u64], OpenError> {
        Ok(self.index()?.firsts())
    }

    /// The number of all steps of a finished recording: from its index, which is made now if the stream has at most so many bytes. `None` if that is not so, or it cannot be
    /// replayed.
    pub fn count(&self, most: u64) -> Option<u64> {
        if self.reader.ending() != Ending::Finished {
            return None;
        }
        let stream = self.reader.chunks();
        let stream = stream.filter(|chunk| chunk.kind == ChunkKind::Stream);
        if self.reader.index().is_none() && stream.map(|chunk| chunk.raw).sum::<u64>() > most {
            return None;
        }
        self.firsts().ok()?.last().copied()
    }

    /// The number of steps, found out by replaying chunks of together at most so many bytes: all of them, or some from everywhere, if these are too
    /// many; whether it is exact. Nothing is kept.
    ///
    /// # Errors
    /// As [`Recording::chunk`], and what does not fit.
    pub fn count_or_estimate(&self, most: u64) -> Result<(u64, bool), OpenError> {
        let chunks = self.reader.stream_len();
        let size = |chunk: usize| self.reader.stream_info(chunk).map_or(0, |info| info.raw);
        let all: u64 = (0..chunks).map(size).sum();
        let every = usize::try_from(all.div_ceil(most.max(1))).unwrap_or(usize::MAX);
        let mut machine: Option<Machine> = None;
        let (mut steps, mut replayed) = (0, 0);
        // From the middle of each part: the first and the last chunk are not like the others.
        for index in (every / 2..chunks).step_by(every.max(1)) {
            let chunk = self.decode(index)?;
            let machine = match &mut machine {
                Some(machine) => {
                    machine.enter(chunk, 0)?;
                    machine
                }
                None => {
                    let codes = Arc::clone(&self.codes);
                    let new = machine.insert(Machine::new(codes, chunk, 0)?);
                    new.without_values();
                    new.ends_where_lost();
                    new
                }
            };
            while machine.skip_record()?.is_some() {}
            steps += machine.position();
            replayed += size(index);
        }
        if every <= 1 || replayed == 0 {
            return Ok((steps, every <= 1));
        }
        Ok(((steps as f64 / replayed as f64 * all as f64) as u64, false))
    }

    /// The last time that was noted, in nanoseconds since the recording began.
    ///
    /// # Errors
    /// As [`Recording::chunk`].
    pub fn last_time(&self) -> Result<u64, OpenError> {
        match self.reader.stream_len().checked_sub(1) {
            Some(last) => Ok(self.decode(last)?.last_time()),
            None => Ok(0),
        }
    }

    /// What the index says of a chunk that has been replayed to its end must be true.
    pub(crate) fn verify(&self, chunk: usize, end: u64) -> Result<(), Error> {
        let firsts = self.index.get().map(Index::firsts);
        match firsts.and_then(|firsts| firsts.get(chunk + 1)) {
            Some(&said) if said != end => Err(Error {
                chunk: chunk as u64,
                offset: 0,
                kind: ErrorKind::Index,
            }),
            _ => Ok(()),
        }
    }

    /// The number of steps.
    ///
    /// # Errors
    /// As [`Recording::firsts`].
    pub fn len(&self) -> Result<u64, OpenError> {
        Ok(self.firsts()?.last().copied().unwrap_or(0))
    }

    /// Whether there is no step.
    ///
    /// # Errors
    /// As [`Recording::firsts`].
    pub fn is_empty(&self) -> Result<bool, OpenError> {
        Ok(self.len()? == 0)
    }

    /// The steps from step `from` on, without the values there.
    ///
    /// # Errors
    /// As [`Recording::firsts`], unless `from` is 0.
    pub fn positions(self: &Arc<Self>, from: u64) -> Result<Positions, OpenError> {
        Positions::new(self, from)
    }

    /// The steps before step `end`, the last one first, without the values there.
    ///
    /// # Errors
    /// As [`Recording::firsts`].
    pub fn backwards(self: &Arc<Self>, end: u64) -> Result<Backwards, OpenError> {
        Backwards::new(self, end)
    }

    /// A cursor before the first step.
    pub fn cursor(self: &Arc<Self>) -> Cursor {
        Cursor::new(self)
    }
}

/// Whether a name is `end`, or ends with it after one of the separators.
fn ends_with(name: &str, end: &str, separators: &[char]) -> bool {
    match name.strip_suffix(end) {
        Some("") => true,
        Some(before) => before.ends_with(separators),
        None => false,
    }
}
