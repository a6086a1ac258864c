//! Where chunks go: the slots of a recording's file, and, when writing has failed, nowhere.

use std::ffi::CStr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use debugop_bytecode::PLAN_VERSION;
use debugop_recording::file::{
    CodeRecord, Error, Header, Interpreter, Next, Options, Parent, Source, Summary, Uuid, Writer,
};
use debugop_recording::stream::SHORT;
use pyo3::exceptions::PyOSError;
use pyo3::types::{PyAnyMethods, PyString};
use pyo3::{PyResult, Python};
use rustc_hash::FxHashSet;

use super::codes;
use super::pen::Limits;
use super::planned::PlannedCode;
use crate::modules::sys;
use crate::value::string;

/// Larger sources are left out, in bytes.
const MAX_SOURCE: u64 = 4 << 20;

/// What is committed to a sink.
static NOWHERE: AtomicU64 = AtomicU64::new(0);

/// A recording that is being written.
pub struct Store {
    writer: Writer,
    /// The current chunk's memory: that of a slot, or of `sink`.
    bytes: *mut u8,
    capacity: usize,
    /// Where it stands how much of that is part of the recording: the slot's, or [`NOWHERE`].
    committed: *const AtomicU64,
    /// Takes what cannot be written.
    sink: Option<Box<[u8]>>,
    /// The files whose texts have been added, or cannot be.
    sources: FxHashSet<Box<str>>,
}

// SAFETY: used with the GIL held only; the pointer is into memory that the writer or the sink owns.
unsafe impl Send for Store {}

impl Store {
    /// Begins a recording in `path`, of a process that has been started by that of `parent`, if that is recorded too.
    ///
    /// # Errors
    /// `OSError`: the file or its neighbour cannot be written.
    pub fn create(
        py: Python<'_>,
        path: &Path,
        ring: Option<u64>,
        limits: &Limits,
        parent: Option<Parent>,
    ) -> PyResult<Self> {
        let options = Options {
            ring,
            ..Options::default()
        };
        let header = Header {
            parent,
            ..header(py, limits)?
        };
        let mut writer = Writer::create(path, &header, &options).map_err(|error| match error {
            Error::Io { source, .. } => {
                let code = source.raw_os_error();
                let text = source.to_string();
                let text = text.split(" (os error").next().unwrap_or_default();
                PyOSError::new_err((code, text.to_owned(), path.as_os_str().to_owned()))
            }
            error => PyOSError::new_err(error.to_string()),
        })?;
        // The first slot of a new tail is free.
        let ready = matches!(writer.try_next(0), Ok(Next::Ready));
        debug_assert!(ready);
        let mut store = Self {
            writer,
            bytes: std::ptr::null_mut(),
            capacity: 0,
            committed: &raw const NOWHERE,
            sink: None,
            sources: FxHashSet::default(),
        };
        store.take_slot();
        Ok(store)
    }

    fn take_slot(&mut self) {
        if let Some(slot) = self.writer.slot() {
            self.committed = slot.committed_word().as_ptr();
            let bytes = slot.bytes_mut();
            (self.bytes, self.capacity) = (bytes.as_mut_ptr(), bytes.len());
        } else {
            self.committed = &raw const NOWHERE;
            let size = self.capacity.max(256 << 10);
            let sink = self.sink.get_or_insert_with(|| vec![0; size].into());
            (self.bytes, self.capacity) = (sink.as_mut_ptr(), sink.len());
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The memory of the current chunk, until [`Self::next`].
    #[inline]
    pub(super) fn bytes(&mut self) -> &'static mut [u8] {
        // SAFETY: the slot's memory stays until the writer hands it over, in `next` or `finish`, and the sink as long as `self`; the
        // recorder, which alone asks for it, uses one encoder at a time and none across those.
        unsafe { std::slice::from_raw_parts_mut(self.bytes, self.capacity) }
    }

    /// Whether there is room for a short record at `at`.
    #[inline]
    pub(super) fn has_room(&self, at: usize) -> bool {
        self.capacity.saturating_sub(at) >= SHORT
    }

    /// The memory of a short record.
    ///
    /// # Safety
    /// There is [room](Self::has_room).
    #[inline]
    pub(super) unsafe fn short(&mut self, at: usize) -> &'static mut [u8; SHORT] {
        debug_assert!(self.has_room(at));
        // SAFETY: by the contract, and as in `bytes`.
        unsafe { &mut *self.bytes.add(at).cast() }
    }

    /// The first `at` bytes, which are not more than there are, are part of the recording.
    #[inline]
    pub(super) fn commit(&mut self, at: usize) {
        debug_assert!(at <= self.capacity);
        // SAFETY: the slot stays until the writer hands it over, in `next` or `finish`.
        let committed = unsafe { &*self.committed };
        committed.store(at as u64, Ordering::Release);
    }

    /// Ends the chunk and begins the next one, `time` nanoseconds after the recording began. Waits for the disk if that cannot keep up.
    pub(super) fn next(&mut self, time: u64) {
        while matches!(self.writer.try_next(time), Ok(Next::Full)) {
            self.writer.waiter().wait();
        }
        self.take_slot();
    }

    /// Adds a code object before a record names its sites. `None`: there is no memory for it.
    pub(super) fn add_code(
        &mut self,
        py: Python<'_>,
        code: &PlannedCode,
        number: u32,
        base: u32,
    ) -> Option<CodeRecord> {
        let file = code.probed().names().file;
        if !self.sources.contains(file) {
            self.sources.insert(file.into());
            // A name that is no file's is that of a text which somebody has compiled, or of a file that is gone.
            if std::fs::metadata(file).is_ok_and(|file| file.is_file() && file.len() <= MAX_SOURCE)
                && let Ok(text) = std::fs::read(file)
            {
                self.put_source(file, text);
            }
        }
        let record = codes::record(py, code, number, base).ok()?;
        // That writing has failed is said once, at the end.
        let _ = self.writer.add_code(&record);
        Some(record)
    }

    /// Adds a text that is in no file, by the name that its code objects have.
    pub fn add_source(&mut self, filename: &str, text: &str) {
        if self.sources.insert(filename.into()) {
            self.put_source(filename, text.as_bytes().to_vec());
        }
    }

    fn put_source(&mut self, filename: &str, text: Vec<u8>) {
        let filename = filename.as_bytes().to_vec();
        // That writing has failed is said once, at the end.
        let _ = self.writer.add_source(&Source { filename, text });
    }

    /// Ends the writer's thread until there is something to write: a fork should find the program's threads only.
    pub(super) fn pause(&mut self) {
        self.writer.pause();
    }

    /// In the child of a fork: lets go of everything that is the parent's.
    pub(super) fn forget(self) {
        self.writer.forget();
    }

    /// The name of the recording.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        self.writer.uuid()
    }

    /// Ends the recording; returns its size in bytes, or what has gone wrong.
    ///
    /// # Errors
    /// Something has not been written; what has been can be read.
    pub fn finish(
        self,
        records: u64,
        lost: u64,
        elapsed: Duration,
        exit_status: Option<i32>,
    ) -> Result<u64, Error> {
        let failure = self.writer.failure();
        let summary = Summary {
            duration: u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX),
            records: Some(records),
            lost: Some(lost),
            exit_status,
            ..Summary::default()
        };
        let finished = self.writer.finish(&summary);
        match failure {
            Some(failure) => Err(failure),
            None => finished.map(|finished| finished.size),
        }
    }
}

fn header(py: Python<'_>, limits: &Limits) -> PyResult<Header> {
    let text = |name: &CStr| -> String {
        let value = sys(py, name).ok();
        let value = value.and_then(|value| value.cast_into::<PyString>().ok());
        value.map(|value| string(&value)).unwrap_or_default()
    };
    let version = sys(py, c"version_info")?;
    let part = |index: usize| version.get_item(index)?.extract::<u32>();
    let command = sys(py, c"orig_argv")?.extract().unwrap_or_default();
    let start = SystemTime::now().duration_since(UNIX_EPOCH);
    let number = |value: u64| serde_json::Value::from(value);
    let limits = [
        ("items", number(limits.items as u64)),
        ("length", number(limits.length as u64)),
        ("bits", number(limits.bits)),
        ("depth", number(u64::from(limits.depth))),
    ];
    Ok(Header {
        debugop: env!("CARGO_PKG_VERSION").to_owned(),
        interpreter: Interpreter {
            implementation: "CPython".to_owned(),
            version: [part(0)?, part(1)?, part(2)?],
            build: text(c"version"),
            executable: text(c"executable"),
        },
        platform: format!("{}-{}", text(c"platform"), std::env::consts::ARCH),
        command,
        directory: std::env::current_dir()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        pid: std::process::id(),
        start: start.map_or(0, |start| u64::try_from(start.as_nanos()).unwrap_or(0)),
        parent: None,
        limits: limits
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        plan_version: PLAN_VERSION,
    })
}
