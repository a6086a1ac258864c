//! Writes a recording.

pub(super) mod thread;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::tail::{FreeSlot, Layout, Slot, Tail};
use super::{ChunkKind, CodeRecord, Error, Header, Source, Summary, Uuid, code, os};
use thread::{Appender, Job, Shared, Worker};

/// How a recording is written.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many slots the tail has, at least 3. When all are full the recorder waits for the disk.
    pub slots: usize,
    /// How large a slot is, in bytes: at least 4096. No chunk is larger before compression.
    pub slot_size: usize,
    /// Keep only about so many bytes of stream chunks, the newest, as they are on disk.
    pub ring: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            slots: 8,
            slot_size: 1 << 20,
            ring: None,
        }
    }
}

/// What [`Writer::try_next`] has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// There is a new slot.
    Ready,
    /// All slots wait for the disk: [`wait`](Waiter::wait), then try again.
    Full,
}

/// A recording that is being written.
///
/// ```no_run
/// # fn main() -> Result<(), debugop_recording::file::Error> {
/// use debugop_recording::file::{Header, Next, Options, Summary, Writer};
/// use debugop_recording::stream::Encoder;
///
/// let mut writer = Writer::create("run.debugop".as_ref(), &Header::default(), &Options::default())?;
/// while writer.try_next(0)? == Next::Full {
///     writer.waiter().wait();
/// }
/// let slot = writer.slot().expect("just made");
/// let mut encoder = Encoder::new(slot.bytes_mut(), 0);
/// // … the keyframe, then records …
/// encoder.hit();
/// let end = encoder.at();
/// slot.commit(end);
/// writer.finish(&Summary::default())?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    tail: Arc<Tail>,
    path: PathBuf,
    thread: Option<Worker>,
    /// While no thread runs, between [`pause`](Writer::pause) and the next job.
    resting: Option<Box<Appender>>,
    uuid: Uuid,
    stream: Option<Slot>,
    codes: Option<Slot>,
    next_stream: u64,
    next_code: u64,
    code_end: usize,
}

/// How a recording ended that was finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// Size of the file in bytes.
    pub size: u64,
    /// Its stream chunks.
    pub chunks: u64,
    /// Bytes of the stream before compression, also of chunks that a ring has dropped.
    pub stream_bytes: u64,
}

/// Where the tail of a recording is: beside it, `.tail` appended to its name.
#[must_use]
pub fn tail_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tail");
    name.into()
}

impl Writer {
    /// Begins a recording in a new file. A file of this name is replaced.
    ///
    /// Starts a thread, on which all signals are blocked, so that it takes none from the program.
    ///
    /// # Errors
    ///
    /// If the file or its tail cannot be created.
    pub fn create(path: &Path, header: &Header, options: &Options) -> Result<Self, Error> {
        let mut made = Made::default();
        let writer = Self::begin(path, header, options, &mut made);
        if writer.is_err() {
            made.take_away();
        }
        writer
    }

    fn begin(
        path: &Path,
        header: &Header,
        options: &Options,
        made: &mut Made,
    ) -> Result<Self, Error> {
        let uuid = Uuid::random()?;
        let file = os::create_new(path).map_err(Error::io("create the recording"))?;
        made.0.push(path.to_owned());
        let mut appender = Appender::begin(file, path, uuid)?;
        appender.set_ring(options.ring);
        let json = serde_json::to_vec(header).unwrap_or_default();
        appender.append(ChunkKind::Header, 0, 0, &json)?;
        let layout = Layout::new(options.slots, options.slot_size);
        let tail = tail_path(path);
        let file = os::create_new(&tail).map_err(Error::io("create the recording's tail file"))?;
        made.0.push(tail);
        let tail = Arc::new(Tail::create(&file, layout, uuid)?);
        let shared = Arc::new(Shared::new(FreeSlot::all(&tail)));
        let thread = thread::start(Box::new(appender), Arc::clone(&tail), Arc::clone(&shared))
            .map_err(Error::io("start the recording's thread"))?;
        Ok(Writer {
            shared,
            tail,
            path: path.to_owned(),
            thread: Some(thread),
            resting: None,
            uuid,
            stream: None,
            codes: None,
            next_stream: 0,
            next_code: 0,
            code_end: 0,
        })
    }

    /// The recording's name.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// The current chunk's memory; `None` before the first and after [`Next::Full`].
    #[inline]
    pub fn slot(&mut self) -> Option<&mut Slot> {
        self.stream.as_mut()
    }

    /// Ends the current chunk, if there is one and something has been committed to it, and begins the next one, `time` nanoseconds
    /// after the recording began. Never waits.
    ///
    /// # Errors
    ///
    /// [`Error::FailedBefore`] if writing has failed: nothing more can be recorded. [`failure`](Self::failure) says why.
    pub fn try_next(&mut self, time: u64) -> Result<Next, Error> {
        self.hand_over_stream();
        let Some(free) = self.shared.try_take()? else {
            return Ok(Next::Full);
        };
        let sequence = self.next_stream;
        self.next_stream += 1;
        self.stream = Some(Slot::take(
            &self.tail,
            &free,
            ChunkKind::Stream,
            sequence,
            time,
        ));
        Ok(Next::Ready)
    }

    /// To wait with when all slots are full, where the writer itself is not at hand: without the GIL.
    #[must_use]
    pub fn waiter(&self) -> Waiter {
        Waiter(Arc::clone(&self.shared))
    }

    /// Adds a code object. To be called before a record that names one of its sites is committed. It survives a kill from then on.
    ///
    /// Waits for the disk if all slots are full.
    ///
    /// # Errors
    ///
    /// If writing has failed, or the code object is too large.
    pub fn add_code(&mut self, code: &CodeRecord) -> Result<(), Error> {
        let bytes = code::with_length(&code.write());
        if bytes.len() > super::MAX_CONTENTS {
            return Err(Error::TooLarge("a code object"));
        }
        if self
            .codes
            .as_ref()
            .is_some_and(|slot| slot.capacity() - self.code_end < bytes.len())
        {
            self.hand_over_codes();
        }
        let sequence = self.next_code;
        if self.codes.is_none() {
            self.next_code += 1;
            let capacity = self.tail.slot_size();
            if bytes.len() > capacity {
                let job = Job::Owned(ChunkKind::Code, sequence, bytes);
                return self.resume().push_and_wait(job);
            }
            let free = self.shared.take()?;
            let slot = Slot::take(&self.tail, &free, ChunkKind::Code, sequence, 0);
            self.codes = Some(slot);
            self.code_end = 0;
        }
        if let Some(slot) = &mut self.codes {
            let end = self.code_end + bytes.len();
            if let Some(place) = slot.bytes_mut().get_mut(self.code_end..end) {
                place.copy_from_slice(&bytes);
                slot.commit(end);
                self.code_end = end;
            }
        }
        Ok(())
    }

    /// Adds the text of a source file. It is lost if the process is killed soon after.
    ///
    /// # Errors
    ///
    /// If writing has failed, or the text is too large.
    pub fn add_source(&mut self, source: &Source) -> Result<(), Error> {
        let bytes = thread::source_contents(source);
        if bytes.len() > super::MAX_CONTENTS {
            return Err(Error::TooLarge("a source file"));
        }
        self.resume().push_and_wait(Job::Source(bytes))
    }

    /// What has gone wrong, if something has: once, for the one warning. Does not wait.
    pub fn failure(&self) -> Option<Error> {
        self.shared.take_failure()
    }

    /// Ends the recording: writes what is left, the summary and the index, and removes the tail.
    ///
    /// # Errors
    ///
    /// If writing fails now, or has failed before: then file and tail are left as they are, readable up to the failure. [`Error::FailedBefore`]
    /// if [`failure`](Self::failure) has told why.
    pub fn finish(mut self, summary: &Summary) -> Result<Finished, Error> {
        self.hand_over_stream();
        self.hand_over_codes();
        let json = serde_json::to_vec(summary).unwrap_or_default();
        self.resume().push(Job::Finish(json));
        if let Some(thread) = self.thread.take() {
            // It does not panic; if it did, there is no result and that is told.
            let _ = thread.join();
        }
        let finished = self.shared.finished()?;
        // Its directory may have gone meanwhile, and the file with it.
        std::fs::metadata(&self.path).map_err(Error::io("find the recording"))?;
        match std::fs::remove_file(tail_path(&self.path)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("remove the recording's tail file")(error))
            }
            _ => Ok(finished),
        }
    }

    /// Ends the thread, after it has written what it was handed, until there is something to write again: before a fork, which
    /// should find no other thread than the program's.
    pub fn pause(&mut self) {
        if let Some(thread) = self.thread.take() {
            let threads = threads();
            self.shared.push(Job::Stop);
            // It does not panic; if it did, or has failed, there is nothing to go on with.
            self.resting = thread.join().ok().flatten();
            // The system counts a thread for a moment after it has been joined, and CPython warns of forks by that count.
            let mut rest = 100;
            while rest > 0 && threads > 0 && self::threads() >= threads {
                std::thread::sleep(std::time::Duration::from_micros(200));
                rest -= 1;
            }
        }
    }

    /// What jobs are pushed to; a thread is there to do them.
    fn resume(&mut self) -> &Shared {
        if let Some(appender) = self.resting.take() {
            match thread::start(appender, Arc::clone(&self.tail), Arc::clone(&self.shared)) {
                Ok(thread) => self.thread = Some(thread),
                Err(error) => {
                    let error = Error::io("start the recording's thread")(error);
                    self.tail.set_failed(error.os_error());
                    self.shared.fail(error);
                }
            }
        }
        &self.shared
    }

    /// In the child of a fork: lets go of everything without touching file, tail or locks, which are the parent's.
    pub fn forget(self) {
        std::mem::forget(self);
    }

    fn hand_over_stream(&mut self) {
        let Some(slot) = self.stream.take() else {
            return;
        };
        if slot.committed() == 0 {
            self.next_stream -= 1;
            self.shared.give_back(slot.discard());
            return;
        }
        // The code that the chunk needs comes before it.
        self.hand_over_codes();
        self.resume().push(Job::Slot(slot.hand_over()));
    }

    fn hand_over_codes(&mut self) {
        if let Some(slot) = self.codes.take() {
            self.resume().push(Job::Slot(slot.hand_over()));
        }
    }
}

impl Drop for Writer {
    /// Without [`finish`](Writer::finish): as if the process had been killed, except that the thread ends.
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.shared.push(Job::Stop);
        }
    }
}

/// The files that have been made for a recording that may not come about.
#[derive(Default)]
struct Made(Vec<PathBuf>);

impl Made {
    fn take_away(self) {
        for path in self.0 {
            // What cannot be taken away stays.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Waits until a slot is free.
#[derive(Debug, Clone)]
pub struct Waiter(Arc<Shared>);

impl Waiter {
    /// Waits until a slot is free or writing has failed.
    pub fn wait(&self) {
        self.0.wait_for_free();
    }
}

/// How many threads the system says that this process has; 0 where it does not say.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}
