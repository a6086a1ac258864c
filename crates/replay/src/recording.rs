//! A recording, step by step.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use debugop_bytecode::Version;
use debugop_recording::file::{CodeRecord, Header, Reader};

use crate::chunk::Chunk;
use crate::code::{Code, Codes};
use crate::describe;
use crate::error::{Error, ErrorKind, OpenError};
use crate::index::{self, Index};
use crate::machine::{Machine, Step};
use crate::moment::Moment;
use crate::state::State;

/// Decoded chunks that are kept.
const KEPT: usize = 4;

/// A recording that is open: any of its steps can be gone to.
#[derive(Debug)]
pub struct Recording {
    reader: Reader,
    version: Version,
    codes: Arc<Codes>,
    records: Vec<CodeRecord>,
    index: Index,
    /// The last used first.
    chunks: Vec<(usize, Arc<Chunk>)>,
    /// Where it has been gone to, and the machine that stands there.
    machine: Option<Machine>,
    at: Option<Step>,
    chunk: usize,
}

impl Recording {
    /// Opens a recording and counts its steps.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_with(path, &|_, _| {})
    }

    /// As [`Recording::open`]; `progress` is told how many chunks have been counted, and of how many.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_with(
        path: &Path,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Self, OpenError> {
        let reader = Reader::open(path)?;
        let [major, minor, _] = reader.header().interpreter.version;
        let version = u8::try_from(minor).ok().and_then(Version::from_minor);
        let version = version
            .filter(|_| major == 3)
            .ok_or(OpenError::Interpreter(major, minor))?;
        let records = reader.codes()?;
        let mut codes = Codes::default();
        for record in &records {
            let planned = record.plan_version;
            if planned != debugop_bytecode::plan::PLAN_VERSION {
                return Err(OpenError::Plan(planned));
            }
            codes
                .add(describe::code_data(record, version))
                .map_err(|kind| Error {
                    chunk: 0,
                    offset: 0,
                    kind,
                })?;
        }
        let codes = Arc::new(codes);
        let index = Index::count(&reader, &codes, progress)?;
        Ok(Self {
            reader,
            version,
            codes,
            records,
            index,
            chunks: Vec::new(),
            machine: None,
            at: None,
            chunk: 0,
        })
    }

    /// Number of steps.
    pub fn len(&self) -> u64 {
        self.index.len()
    }

    /// Whether there is no step.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Where it comes from.
    pub fn header(&self) -> &Header {
        self.reader.header()
    }

    /// The file.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The interpreter's version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Its chunks.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The code objects.
    pub fn codes(&self) -> &Arc<Codes> {
        &self.codes
    }

    /// What the file says of a code object.
    pub fn code_record(&self, number: u32) -> Option<&CodeRecord> {
        let index = self
            .records
            .partition_point(|record| record.number < number);
        self.records
            .get(index)
            .filter(|record| record.number == number)
    }

    /// The code objects with this qualified name, or with this name at its end (`Class.method`, `method`).
    pub fn functions<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Arc<Code>> + 'a {
        self.codes.iter().filter(move |code| {
            let qualname = &*code.data().qualname;
            qualname == name
                || qualname
                    .strip_suffix(name)
                    .is_some_and(|before| before.ends_with('.'))
        })
    }

    /// The code objects of a file: its path as recorded, or the end of it.
    pub fn code_of_file<'a>(&'a self, file: &'a str) -> impl Iterator<Item = &'a Arc<Code>> + 'a {
        self.codes.iter().filter(move |code| {
            let filename = &*code.data().filename;
            filename == file
                || filename
                    .strip_suffix(file)
                    .is_some_and(|before| before.ends_with(['/', '\\']))
        })
    }

    fn decoded(&mut self, number: usize) -> Result<Arc<Chunk>, OpenError> {
        if let Some(found) = self.chunks.iter().position(|chunk| chunk.0 == number) {
            self.chunks[..=found].rotate_right(1);
        } else {
            let (chunk, _) = index::read_chunk(&self.reader, &self.codes, number)?;
            self.chunks.truncate(KEPT - 1);
            self.chunks.insert(0, (number, Arc::new(chunk)));
        }
        Ok(Arc::clone(&self.chunks[0].1))
    }

    /// The machine at the beginning of a chunk.
    fn enter(&mut self, number: usize) -> Result<&mut Machine, OpenError> {
        let chunk = self.decoded(number)?;
        let first = self.index.chunks[number].first;
        self.at = None;
        self.chunk = number;
        match self.machine.take() {
            Some(mut machine) => {
                machine.enter(chunk, first)?;
                Ok(self.machine.insert(machine))
            }
            None => {
                let machine = Machine::new(Arc::clone(&self.codes), chunk, first)?;
                Ok(self.machine.insert(machine))
            }
        }
    }

    /// Goes to a step: the world just before it is executed.
    ///
    /// # Errors
    /// [`ErrorKind::NoStep`], and what is damaged.
    pub fn go_to(&mut self, step: u64) -> Result<(Step, &State), OpenError> {
        let missing = || OpenError::from(Error::at_start(ErrorKind::NoStep(step)));
        let chunk = self.index.chunk_of(step).ok_or_else(missing)?;
        let ahead = self.machine.is_some()
            && self.chunk == chunk
            && self.at.is_some_and(|at| at.number <= step);
        if !ahead {
            self.enter(chunk)?;
        }
        let Some(machine) = &mut self.machine else {
            return Err(missing());
        };
        let mut at = self.at;
        while at.is_none_or(|at| at.number < step) {
            match machine.next() {
                Ok(Some(next)) => at = Some(next),
                Ok(None) => break,
                Err(error) => {
                    self.machine = None;
                    self.at = None;
                    return Err(error.into());
                }
            }
        }
        self.at = at;
        match (at, &self.machine) {
            (Some(at), Some(machine)) if at.number == step => Ok((at, machine.state())),
            _ => Err(missing()),
        }
    }

    /// The world just before a step.
    ///
    /// # Errors
    /// As [`Recording::go_to`].
    pub fn at(&mut self, step: u64) -> Result<Moment, OpenError> {
        let codes = Arc::clone(&self.codes);
        let (step, state) = self.go_to(step)?;
        Ok(Moment::new(step, state.clone(), codes))
    }

    /// Shows every step from `from` on, up to and without `to`, until `visit` breaks.
    ///
    /// # Errors
    /// As [`Recording::go_to`].
    pub fn walk<B>(
        &mut self,
        from: u64,
        to: u64,
        mut visit: impl FnMut(&Step, &State) -> ControlFlow<B>,
    ) -> Result<Option<B>, OpenError> {
        let to = to.min(self.len());
        let mut next = from;
        while next < to {
            let (step, state) = self.go_to(next)?;
            if let ControlFlow::Break(found) = visit(&step, state) {
                return Ok(Some(found));
            }
            next += 1;
            let end = self.index.chunks[self.chunk].first + self.index.chunks[self.chunk].steps;
            let Some(machine) = &mut self.machine else {
                continue;
            };
            while next < to.min(end) {
                let Some(step) = machine.next()? else { break };
                self.at = Some(step);
                if let ControlFlow::Break(found) = visit(&step, machine.state()) {
                    return Ok(Some(found));
                }
                next += 1;
            }
        }
        Ok(None)
    }

    /// The steps of a chunk, in order.
    ///
    /// # Errors
    /// As [`Recording::go_to`].
    pub(crate) fn steps_of(&mut self, chunk: usize) -> Result<Vec<Step>, OpenError> {
        let Some(entry) = self.index.chunks.get(chunk) else {
            return Ok(Vec::new());
        };
        let (first, steps) = (entry.first, entry.steps);
        let mut found = Vec::with_capacity(usize::try_from(steps).unwrap_or(0).min(1 << 20));
        self.walk::<()>(first, first + steps, |step, _| {
            found.push(*step);
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }
}
