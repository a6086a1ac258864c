//! The writer's thread: compresses what it is handed, appends it, gives the slots back.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use nix::sys::signal::{SigSet, SigmaskHow};

use super::Finished;
use crate::file::compression::{self, Compressor};
use crate::file::format::{self, CHUNK_HEADER, ChunkHeader, FILE_HEADER};
use crate::file::tail::{FreeSlot, HandedOver, Tail};
use crate::file::{ChunkKind, Error, Source, UNKNOWN_STEP, Uuid, os};

/// What the thread is to do.
#[derive(Debug)]
pub(super) enum Job {
    /// Append this slot.
    Slot(HandedOver),
    /// Append these contents, with their number among the chunks of the kind.
    Owned(ChunkKind, u64, Vec<u8>),
    /// Append this source file.
    Source(Vec<u8>),
    /// Append this summary, the index and the end, and end.
    Finish(Vec<u8>),
    /// End; [`start`] may go on with the appender.
    Stop,
}

#[derive(Debug, Default)]
struct Queue {
    free: Vec<FreeSlot>,
    jobs: VecDeque<Job>,
    /// Jobs that have been pushed, and that are done.
    pushed: u64,
    done: u64,
    failed: bool,
    failure: Option<Error>,
    finished: Option<Finished>,
}

/// Between the recorder and the thread.
#[derive(Debug)]
pub(super) struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
    progress: Condvar,
}

impl Shared {
    pub(super) fn new(free: Vec<FreeSlot>) -> Self {
        Shared {
            queue: Mutex::new(Queue {
                free,
                ..Queue::default()
            }),
            work: Condvar::new(),
            progress: Condvar::new(),
        }
    }

    /// A panic elsewhere leaves the queue as it was: every change is one statement.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(condition: &Condvar, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        condition
            .wait(queue)
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, job: Job) {
        self.push_to(&mut self.queue(), job);
    }

    /// After a failure there is nobody to do it: what a slot holds stays there.
    fn push_to(&self, queue: &mut Queue, job: Job) {
        if !queue.failed {
            queue.jobs.push_back(job);
            queue.pushed += 1;
            self.work.notify_one();
        }
    }

    /// Pushes a job and waits until it is done.
    pub(super) fn push_and_wait(&self, job: Job) -> Result<(), Error> {
        let mut queue = self.queue();
        self.push_to(&mut queue, job);
        let mine = queue.pushed;
        while queue.done < mine && !queue.failed {
            queue = Self::wait(&self.progress, queue);
        }
        match queue.failed {
            true => Err(Error::FailedBefore),
            false => Ok(()),
        }
    }

    pub(super) fn try_take(&self) -> Result<Option<FreeSlot>, Error> {
        let mut queue = self.queue();
        match queue.failed {
            true => Err(Error::FailedBefore),
            false => Ok(queue.free.pop()),
        }
    }

    /// A free slot, once there is one.
    pub(super) fn take(&self) -> Result<FreeSlot, Error> {
        loop {
            if let Some(slot) = self.try_take()? {
                return Ok(slot);
            }
            self.wait_for_free();
        }
    }

    pub(super) fn wait_for_free(&self) {
        let mut queue = self.queue();
        while queue.free.is_empty() && !queue.failed {
            queue = Self::wait(&self.progress, queue);
        }
    }

    pub(super) fn give_back(&self, slot: FreeSlot) {
        self.queue().free.push(slot);
        self.progress.notify_all();
    }

    pub(super) fn take_failure(&self) -> Option<Error> {
        self.queue().failure.take()
    }

    pub(super) fn finished(&self) -> Result<Finished, Error> {
        let mut queue = self.queue();
        match queue.finished {
            Some(finished) => Ok(finished),
            None => Err(queue.failure.take().unwrap_or(Error::FailedBefore)),
        }
    }

    /// The next job, and how many wait behind it.
    fn next_job(&self) -> (Job, usize) {
        let mut queue = self.queue();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return (job, queue.jobs.len());
            }
            queue = Self::wait(&self.work, queue);
        }
    }

    /// The job is done; its slot, if it had one, is free.
    fn done(&self, slot: Option<FreeSlot>) {
        let mut queue = self.queue();
        queue.done += 1;
        queue.free.extend(slot);
        self.progress.notify_all();
    }

    pub(super) fn fail(&self, error: Error) {
        let mut queue = self.queue();
        queue.done += 1;
        queue.failed = true;
        queue.failure = Some(error);
        self.progress.notify_all();
    }
}

/// The thread, which gives the appender back when it was [stopped](Job::Stop).
pub(super) type Worker = JoinHandle<Option<Box<Appender>>>;

/// Starts the thread with all signals blocked: none that is sent to the process may be taken by a thread that is not
/// the program's.
pub(super) fn start(
    appender: Box<Appender>,
    tail: Arc<Tail>,
    shared: Arc<Shared>,
) -> std::io::Result<Worker> {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let thread = std::thread::Builder::new()
        .name("debugop-writer".into())
        .spawn(move || work(appender, &tail, &shared));
    before.thread_set_mask()?;
    thread
}

fn work(mut appender: Box<Appender>, tail: &Tail, shared: &Shared) -> Option<Box<Appender>> {
    loop {
        let (job, behind) = shared.next_job();
        appender.in_a_hurry = behind >= tail.slots() / 2;
        let result = match job {
            Job::Slot(slot) => appender
                .append(slot.kind, slot.sequence, slot.time, tail.contents(&slot))
                .map(|()| Some(tail.free(slot))),
            Job::Owned(kind, sequence, contents) => {
                appender.append(kind, sequence, 0, &contents).map(|()| None)
            }
            Job::Source(contents) => appender.append_source(&contents).map(|()| None),
            Job::Finish(summary) => {
                match appender.finish(&summary) {
                    Ok(finished) => shared.queue().finished = Some(finished),
                    Err(error) => {
                        tail.set_failed(error.os_error());
                        shared.fail(error);
                    }
                }
                return None;
            }
            Job::Stop => {
                shared.done(None);
                return Some(appender);
            }
        };
        match result {
            Ok(slot) => shared.done(slot),
            // What could not be written stays in its slot, for the reader to find there.
            Err(error) => {
                tail.set_failed(error.os_error());
                shared.fail(error);
                return None;
            }
        }
    }
}

/// File name and text, as a source chunk holds them.
pub(super) fn source_contents(source: &Source) -> Vec<u8> {
    let mut contents = (source.filename.len() as u64).to_le_bytes().to_vec();
    contents.extend(&source.filename);
    contents.extend(&source.text);
    contents
}

/// A chunk in the file, for the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::file) struct Entry {
    pub(in crate::file) header: ChunkHeader,
    pub(in crate::file) offset: u64,
}

impl Entry {
    /// Bytes in the file.
    pub(in crate::file) fn size(&self) -> u64 {
        CHUNK_HEADER as u64 + u64::from(self.header.stored)
    }

    /// The inverse of [`write`](Self::write); `None` where that has not written this.
    pub(in crate::file) fn read(bytes: &[u8; format::INDEX_ENTRY]) -> Option<Self> {
        let mut fields = format::Fields(bytes);
        let [kind, compression] = fields.take();
        let _reserved = fields.u16();
        let checksum = fields.u32();
        let offset = fields.u64();
        let header = ChunkHeader {
            kind: ChunkKind::from_number(kind),
            compression: crate::file::Compression::from_number(compression)?,
            stored: fields.u32(),
            raw: fields.u32(),
            sequence: fields.u64(),
            first_step: fields.u64(),
            time: fields.u64(),
            checksum,
        };
        Some(Entry { header, offset })
    }

    /// The [`INDEX_ENTRY`](format::INDEX_ENTRY) bytes of an index.
    pub(in crate::file) fn write(&self, out: &mut Vec<u8>) {
        let header = &self.header;
        out.push(header.kind.map_or(0, |kind| kind as u8));
        out.push(header.compression as u8);
        out.extend([0; 2]);
        out.extend(header.checksum.to_le_bytes());
        out.extend(self.offset.to_le_bytes());
        out.extend(header.stored.to_le_bytes());
        out.extend(header.raw.to_le_bytes());
        out.extend(header.sequence.to_le_bytes());
        out.extend(header.first_step.to_le_bytes());
        out.extend(header.time.to_le_bytes());
    }
}

/// Appends chunks to a file.
#[derive(Debug)]
pub(in crate::file) struct Appender {
    file: File,
    path: PathBuf,
    end: u64,
    entries: Vec<Entry>,
    sources: u64,
    ring: Option<u64>,
    /// Bytes of the stream chunks that are in the file.
    stream_stored: u64,
    stream_bytes: u64,
    compressor: Compressor,
    compressed: Vec<u8>,
    in_a_hurry: bool,
}

impl Appender {
    /// Begins a new file.
    pub(in crate::file) fn create(path: &Path, uuid: Uuid) -> Result<Self, Error> {
        let file = os::create_new(path).map_err(Error::io("create the recording"))?;
        Self::begin(file, path, uuid)
    }

    /// Begins in a file that has just been made.
    pub(super) fn begin(file: File, path: &Path, uuid: Uuid) -> Result<Self, Error> {
        os::write_all_at(&file, &format::write_file_header(uuid), 0)
            .map_err(Error::io("write the recording"))?;
        Self::new(file, path, FILE_HEADER as u64, None)
    }

    /// Keeps only about so many bytes of stream chunks from now on.
    pub(super) fn set_ring(&mut self, ring: Option<u64>) {
        self.ring = ring;
    }

    fn new(file: File, path: &Path, end: u64, ring: Option<u64>) -> Result<Self, Error> {
        Ok(Appender {
            file,
            path: path.to_owned(),
            end,
            entries: Vec::new(),
            sources: 0,
            ring,
            stream_stored: 0,
            stream_bytes: 0,
            compressor: Compressor::new(compression::RECORDING)
                .map_err(Error::io("begin to compress"))?,
            compressed: Vec::new(),
            in_a_hurry: false,
        })
    }

    /// Appends a chunk, compressed if that pays. What has been written of it in vain is cut off again.
    pub(in crate::file) fn append(
        &mut self,
        kind: ChunkKind,
        sequence: u64,
        time: u64,
        contents: &[u8],
    ) -> Result<(), Error> {
        let mut compressed = std::mem::take(&mut self.compressed);
        let compression =
            self.compressor
                .compress(kind, contents, self.in_a_hurry, &mut compressed);
        let header = ChunkHeader {
            kind: Some(kind),
            compression,
            stored: length(compressed.len())?,
            raw: length(contents.len())?,
            sequence,
            first_step: UNKNOWN_STEP,
            time,
            checksum: crc32c::crc32c(&compressed),
        };
        let result = self.append_stored(header, &compressed);
        self.compressed = compressed;
        result?;
        if kind == ChunkKind::Stream {
            self.stream_bytes += contents.len() as u64;
            self.shorten()?;
        }
        Ok(())
    }

    /// Appends a chunk whose contents are stored as they are given.
    pub(in crate::file) fn append_stored(
        &mut self,
        header: ChunkHeader,
        stored: &[u8],
    ) -> Result<(), Error> {
        let mut chunk = header.write().to_vec();
        chunk.extend_from_slice(stored);
        if let Err(source) = os::write_all_at(&self.file, &chunk, self.end) {
            // If even this fails, the reader passes over it: the chunk is not whole.
            let _ = self.file.set_len(self.end);
            return Err(Error::io("write the recording")(source));
        }
        let entry = Entry {
            header,
            offset: self.end,
        };
        if header.kind == Some(ChunkKind::Stream) {
            self.stream_stored += entry.size();
        }
        self.entries.push(entry);
        self.end += entry.size();
        Ok(())
    }

    pub(in crate::file) fn append_source(&mut self, contents: &[u8]) -> Result<(), Error> {
        let sequence = self.sources;
        self.sources += 1;
        self.append(ChunkKind::Source, sequence, 0, contents)
    }

    /// Ends the file: summary, index, end.
    pub(in crate::file) fn finish(&mut self, summary: &[u8]) -> Result<Finished, Error> {
        self.append(ChunkKind::Summary, 0, 0, summary)?;
        let at = self.end;
        let entries = self.entries.clone();
        for (sequence, part) in (0..).zip(entries.chunks(format::INDEX_ENTRIES)) {
            let mut index = Vec::with_capacity(part.len() * format::INDEX_ENTRY);
            for entry in part {
                entry.write(&mut index);
            }
            self.append(ChunkKind::Index, sequence, 0, &index)?;
        }
        let contents = at.to_le_bytes();
        let header = ChunkHeader {
            kind: Some(ChunkKind::End),
            compression: crate::file::Compression::None,
            stored: length(contents.len())?,
            raw: length(contents.len())?,
            sequence: 0,
            first_step: UNKNOWN_STEP,
            time: 0,
            checksum: crc32c::crc32c(&contents),
        };
        self.append_stored(header, &contents)?;
        let is_stream = |entry: &&Entry| entry.header.kind == Some(ChunkKind::Stream);
        Ok(Finished {
            size: self.end,
            chunks: self.entries.iter().filter(is_stream).count() as u64,
            stream_bytes: self.stream_bytes,
        })
    }

    /// A ring: once it holds half as much again as it should, it is written anew with the newest chunks only and
    /// put in the old one's place, so that there is a whole recording at any moment.
    fn shorten(&mut self) -> Result<(), Error> {
        let Some(wanted) = self.ring else {
            return Ok(());
        };
        if self.stream_stored <= wanted.saturating_add(wanted / 2) {
            return Ok(());
        }
        let mut kept = 0;
        let mut first_kept = u64::MAX;
        for entry in self.entries.iter().rev() {
            if entry.header.kind == Some(ChunkKind::Stream) {
                kept += entry.size();
                if kept > wanted && first_kept != u64::MAX {
                    break;
                }
                first_kept = entry.header.sequence;
            }
        }
        let is_kept = |entry: &Entry| {
            entry.header.kind != Some(ChunkKind::Stream) || entry.header.sequence >= first_kept
        };
        let mut name = self.path.as_os_str().to_owned();
        name.push(".new");
        let path = PathBuf::from(name);
        let file = os::create_new(&path).map_err(Error::io("create the recording anew"))?;
        let mut shorter = Appender::new(file, &self.path, FILE_HEADER as u64, self.ring)?;
        let copied = self.copy_to(&mut shorter, is_kept).and_then(|()| {
            std::fs::rename(&path, &self.path).map_err(Error::io("replace the recording"))
        });
        if let Err(error) = copied {
            // The old one is whole; the new one is of no use.
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        shorter.sources = self.sources;
        shorter.stream_bytes = self.stream_bytes;
        shorter.compressed = std::mem::take(&mut self.compressed);
        *self = shorter;
        Ok(())
    }

    fn copy_to(&self, to: &mut Appender, is_kept: impl Fn(&Entry) -> bool) -> Result<(), Error> {
        let read = |size: usize, offset: u64| {
            let mut bytes = vec![0; size];
            match os::read_at(&self.file, &mut bytes, offset) {
                Ok(true) => Ok(bytes),
                Ok(false) => Err(std::io::ErrorKind::UnexpectedEof.into()),
                Err(error) => Err(error),
            }
            .map_err(Error::io("read the recording"))
        };
        let header = read(FILE_HEADER, 0)?;
        os::write_all_at(&to.file, &header, 0).map_err(Error::io("write the recording"))?;
        for entry in self.entries.iter().filter(|entry| is_kept(entry)) {
            let stored = read(
                entry.header.stored as usize,
                entry.offset + CHUNK_HEADER as u64,
            )?;
            to.append_stored(entry.header, &stored)?;
        }
        Ok(())
    }
}

/// A length for a chunk's header.
pub(in crate::file) fn length(length: usize) -> Result<u32, Error> {
    u32::try_from(length)
        .ok()
        .filter(|_| length <= crate::file::MAX_CONTENTS)
        .ok_or(Error::TooLarge("a chunk"))
}
