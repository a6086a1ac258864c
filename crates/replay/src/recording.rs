//! A recording as steps that can be gone to, forwards and backwards.

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use debugop_bytecode::Version;
use debugop_recording::file::{self, ChunkKind, Ending, Reader};
use debugop_recording::stream::{self, FrameNumber, Keyframe, ObjectId, ThreadNumber};

use crate::chunk::Chunk;
use crate::code::{Code, Codes};
use crate::error::{Error, ErrorKind};
use crate::index::build::Replayed;
use crate::index::{self, Index, Progress};
use crate::loss::Loss;
use crate::machine::{Checkpoint, Machine, Step, Stop, Unwound, Watch};
use crate::moment::Moment;
use crate::positions::{Backwards, Positions};
use crate::state::State;

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
    progress: Option<Tell>,
    /// The chunks decoded last, with their indices.
    kept: Mutex<VecDeque<(usize, Arc<Chunk>)>>,
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

/// Is told how far the making of an index has come.
type Tell = Box<dyn Fn(Progress) + Send + Sync>;

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
        let mut codes = Codes::default();
        for record in reader.codes()? {
            codes.add(record, version)?;
        }
        Ok(Self {
            reader,
            codes: Arc::new(codes),
            index: OnceLock::new(),
            progress: None,
            kept: Mutex::default(),
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

    pub(crate) fn progress(&self) -> Option<&(dyn Fn(Progress) + Send + Sync)> {
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
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(chunk) = kept().iter().find(|kept| kept.0 == index) {
            return Ok(Arc::clone(&chunk.1));
        }
        let chunk = self.decode(index)?;
        let mut kept = kept();
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back((index, Arc::clone(&chunk)));
        Ok(chunk)
    }

    pub(crate) fn decode(&self, index: usize) -> Result<Arc<Chunk>, OpenError> {
        let contents = self.reader.stream(index)?.contents;
        let number = index as u64;
        let decoded = Chunk::decode(number, &contents, self.codes.captures());
        let error = |chunk, error: stream::Error| Error {
            chunk,
            offset: error.offset,
            kind: ErrorKind::Stream(error),
        };
        let mut chunk = decoded.map_err(|found| error(number, found))?;
        if index + 1 < self.reader.stream_len() {
            if self.is_behind_gap(index + 1) {
                // How far the threads have come before it nobody knows.
                return Ok(Arc::new(chunk));
            }
            let next = self.reader.stream(index + 1)?.contents;
            chunk = chunk
                .followed_by(&next, self.codes.captures())
                .map_err(|found| error(number + 1, found))?;
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
        Cursor {
            recording: Arc::clone(self),
            place: None,
            next: 0,
            unwound: Vec::new(),
            lost: Vec::new(),
            ahead: None,
        }
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

/// So many decoded chunks are kept: a chunk of 256 KiB takes some 20 MB.
const KEPT: usize = 4;

/// States of the chunk that a cursor is in are kept every so many records.
const SPACING: usize = 4096;
/// And, where a cursor goes backwards, every so many.
const FINE_SPACING: usize = 32;

/// A thread that decodes a chunk.
type Decoding = JoinHandle<Result<Arc<Chunk>, OpenError>>;

/// Goes through the steps of a recording.
#[derive(Debug)]
pub struct Cursor {
    recording: Arc<Recording>,
    place: Option<InChunk>,
    /// The chunk to go on with, when there is no place.
    next: usize,
    unwound: Vec<Unwound>,
    lost: Vec<Loss>,
    /// A chunk that is being decoded, because the cursor goes through one after the other.
    ahead: Option<(usize, Decoding)>,
}

/// Where a cursor is.
#[derive(Debug)]
struct InChunk {
    index: usize,
    machine: Machine,
    /// By record, rising.
    checkpoints: Vec<Checkpoint>,
    /// Near where the cursor is going backwards.
    fine: Vec<Checkpoint>,
    at: Option<Step>,
}

impl Cursor {
    /// The recording.
    pub fn recording(&self) -> &Arc<Recording> {
        &self.recording
    }

    /// The world before the step that the cursor is at; `None` before the first one.
    pub fn state(&self) -> Option<&State> {
        Some(self.place.as_ref()?.machine.state())
    }

    /// The world before the step that the cursor is at, to keep.
    pub fn moment(&self) -> Option<Moment> {
        let place = self.place.as_ref()?;
        let codes = Arc::clone(&self.recording.codes);
        Some(Moment::new(place.at?, place.machine.state().clone(), codes))
    }

    /// The exceptions that have left frames between the step before and the one that [`Cursor::next`] has gone to; at the recording's end,
    /// those after its last step.
    pub fn unwound(&self) -> &[Unwound] {
        &self.unwound
    }

    /// What is missing between the step before and the one that [`Cursor::next`] has gone to; at the recording's end, what is behind its last step.
    pub fn lost(&self) -> &[Loss] {
        &self.lost
    }

    /// The step that the cursor is at.
    pub fn step(&self) -> Option<Step> {
        self.place.as_ref()?.at
    }

    /// Goes to the next step. `None` at the end: the cursor stays at the last one.
    ///
    /// # Errors
    /// [`OpenError`].
    #[expect(clippy::should_implement_trait, reason = "it borrows and fails")]
    pub fn next(&mut self) -> Result<Option<Step>, OpenError> {
        self.unwound.clear();
        self.lost.clear();
        loop {
            let mut position = 0;
            if let Some(place) = &mut self.place {
                let step = place.next()?;
                self.unwound.extend_from_slice(place.machine.unwound());
                self.lost.extend_from_slice(place.machine.lost());
                if step.is_some() {
                    return Ok(step);
                }
                self.next = place.index + 1;
                position = place.machine.position();
                self.recording.verify(place.index, position)?;
            }
            let is_over = self.next >= self.recording.reader.stream_len();
            let what = match is_over {
                true => self.recording.lost_at_end(),
                false => self.recording.lost_before(self.next),
            };
            let step = position;
            self.lost.extend(what.map(|what| Loss { step, what }));
            if is_over {
                return Ok(None);
            }
            self.enter(self.next)?;
        }
    }

    /// Goes to the next step that is watched for and has a lower number than `until`, executing what comes before it way by way. `None`: there is none;
    /// the cursor is at no step then, until it has sought one.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn next_watched(
        &mut self,
        watch: &mut Watch,
        until: u64,
    ) -> Result<Option<Step>, OpenError> {
        self.unwound.clear();
        self.lost.clear();
        watch.until = until;
        loop {
            if let Some(place) = &mut self.place {
                let stop = place.machine.next_watched(watch)?;
                self.unwound.extend_from_slice(place.machine.unwound());
                match stop {
                    Stop::At(step) if step.number < until => {
                        place.at = Some(step);
                        return Ok(Some(step));
                    }
                    Stop::At(_) | Stop::Until => {
                        place.at = None;
                        return Ok(None);
                    }
                    Stop::Unwound => continue,
                    Stop::End => {}
                }
                place.at = None;
                self.next = place.index + 1;
                let end = place.machine.position();
                self.recording.verify(place.index, end)?;
                if end >= until {
                    return Ok(None);
                }
            }
            if self.next >= self.recording.reader.stream_len() {
                return Ok(None);
            }
            self.enter(self.next)?;
        }
    }

    /// Goes to the step before. `None` at the first one, where the cursor stays.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn previous(&mut self) -> Result<Option<Step>, OpenError> {
        let Some(step) = self.step() else {
            return Ok(None);
        };
        let Some(before) = step.number.checked_sub(1) else {
            return Ok(None);
        };
        if let Some(place) = &mut self.place
            && place.back(before)?
        {
            return Ok(place.at);
        }
        self.seek(before).map(Some)
    }

    /// Goes to a step.
    ///
    /// # Errors
    /// [`ErrorKind::NoStep`] in [`OpenError::Replay`], and what does not fit.
    pub fn seek(&mut self, step: u64) -> Result<Step, OpenError> {
        self.unwound.clear();
        self.lost.clear();
        let firsts = self.recording.firsts()?;
        let missing = || {
            OpenError::Replay(Error {
                chunk: 0,
                offset: 0,
                kind: ErrorKind::NoStep(step),
            })
        };
        let after = firsts.partition_point(|&first| first <= step);
        if after == 0 || after >= firsts.len() {
            return Err(missing());
        }
        let index = after - 1;
        if self.place.as_ref().is_none_or(|place| place.index != index) {
            self.enter(index)?;
        }
        let found = match &mut self.place {
            Some(place) => place.seek(step)?,
            None => None,
        };
        found.ok_or_else(missing)
    }

    /// A chunk; if the cursor goes from one to the `next`, the one behind it is decoded meanwhile.
    fn chunk(&mut self, index: usize, next: bool) -> Result<Arc<Chunk>, OpenError> {
        let chunk = match self.ahead.take() {
            Some((ahead, thread)) if ahead == index => match thread.join() {
                Ok(chunk) => chunk?,
                Err(panic) => std::panic::resume_unwind(panic),
            },
            _ => self.recording.chunk(index)?,
        };
        let behind = index + 1;
        if next && behind < self.recording.reader.stream_len() {
            let recording = Arc::clone(&self.recording);
            // Where there are no more threads it is decoded when it is needed.
            let thread = std::thread::Builder::new().spawn(move || recording.chunk(behind));
            self.ahead = thread.ok().map(|thread| (behind, thread));
        }
        Ok(chunk)
    }

    fn enter(&mut self, index: usize) -> Result<(), OpenError> {
        let mut before = self.place.take();
        let first = match &mut before {
            // Going on from the chunk before, whose steps have just been counted.
            Some(place) if place.index + 1 == index && place.at.is_some() => {
                while place.machine.skip_record()?.is_some() {}
                Some(place.machine.position())
            }
            _ => None,
        };
        let first = match (first, index) {
            (Some(first), _) => first,
            (None, 0) => 0,
            (None, _) => self.recording.firsts()?[index],
        };
        let is_next = before
            .as_ref()
            .is_some_and(|place| place.index + 1 == index);
        let chunk = self.chunk(index, is_next)?;
        let carried = self
            .recording
            .index
            .get()
            .map(|known| known.last_steps(index));
        let carried = carried.unwrap_or_default();
        let machine = match before {
            Some(mut place) => {
                place.machine.enter_with_carried(chunk, first, carried)?;
                place.machine
            }
            None => {
                Machine::with_carried(Arc::clone(&self.recording.codes), chunk, first, carried)?
            }
        };
        let start = machine.checkpoint();
        self.place = Some(InChunk {
            index,
            machine,
            checkpoints: start.into_iter().collect(),
            fine: Vec::new(),
            at: None,
        });
        Ok(())
    }
}

impl InChunk {
    fn next(&mut self) -> Result<Option<Step>, Error> {
        let step = self.machine.next()?;
        if step.is_some() {
            self.at = step;
        }
        Ok(step)
    }

    /// Goes to a step of the chunk.
    fn seek(&mut self, step: u64) -> Result<Option<Step>, Error> {
        // On from here if that is nearest.
        let nearest = self
            .checkpoints
            .iter()
            .rev()
            .find(|checkpoint| checkpoint.number <= step);
        let here = self.at.is_some_and(|at| at.number < step);
        match nearest {
            Some(nearest) if !here || nearest.number > self.machine.position() => {
                self.machine.restore(nearest);
            }
            _ => {}
        }
        // With states now and then on the way, to go back to.
        loop {
            let next = self.checkpoints.last().map_or(0, |last| last.record) + SPACING;
            if !self.machine.skip_to(next, step)? || self.machine.record_index() < next {
                break;
            }
            let known = self.checkpoints.len();
            self.checkpoints.extend(self.machine.checkpoint());
            if self.checkpoints.len() == known {
                break;
            }
        }
        let at = self.machine.advance_to(step)?;
        self.at = at.or(self.at);
        Ok(at)
    }

    /// Goes back to a step, if it is in this chunk.
    fn back(&mut self, step: u64) -> Result<bool, Error> {
        if self
            .checkpoints
            .first()
            .is_none_or(|first| first.number > step)
        {
            return Ok(false);
        }
        let usable = |fine: &[Checkpoint]| {
            fine.first().is_some_and(|first| first.number <= step)
                && fine.last().is_some_and(|last| step < last.number)
        };
        if !usable(&self.fine) {
            self.fill(step)?;
        }
        let mut fine = self.fine.iter().rev();
        let Some(nearest) = fine.find(|checkpoint| checkpoint.number <= step) else {
            return Ok(false);
        };
        self.machine.restore(nearest);
        while let Some(at) = self.next()? {
            if at.number == step {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Keeps the states on the way from the nearest checkpoint to a step and a little beyond.
    fn fill(&mut self, step: u64) -> Result<(), Error> {
        self.seek(step)?;
        let mut checkpoints = self.checkpoints.iter().rev();
        let Some(nearest) = checkpoints.find(|checkpoint| checkpoint.number <= step) else {
            return Ok(());
        };
        self.machine.restore(nearest);
        self.fine.clear();
        let mut last = 0;
        loop {
            let record = self.machine.record_index();
            let beyond = self.machine.position() > step;
            if self.fine.is_empty() || beyond || record >= last + FINE_SPACING {
                self.fine.extend(self.machine.checkpoint());
                last = record;
            }
            if beyond || self.machine.skip_record()?.is_none() {
                return Ok(());
            }
        }
    }
}
