//! All steps of a recording, forwards or backwards, without the values there: frames are followed and nothing is rebuilt.

use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::chunk::Chunk;
use crate::machine::{Machine, Step, Way};
use crate::recording::{OpenError, Recording};

/// A thread that decodes a chunk.
type Decoding = JoinHandle<Result<Arc<Chunk>, OpenError>>;

/// The chunks of a recording, one after the other; the next one is decoded meanwhile.
#[derive(Debug)]
struct Chunks {
    recording: Arc<Recording>,
    machine: Option<Machine>,
    ahead: Option<(usize, Decoding)>,
}

impl Chunks {
    fn new(recording: &Arc<Recording>) -> Self {
        Self {
            recording: Arc::clone(recording),
            machine: None,
            ahead: None,
        }
    }

    /// Goes to the beginning of a chunk, whose first step has this number; `next` comes after it.
    fn enter(&mut self, index: usize, first: u64, next: Option<usize>) -> Result<(), OpenError> {
        let chunk = match self.ahead.take() {
            Some((ahead, thread)) if ahead == index => match thread.join() {
                Ok(chunk) => chunk?,
                Err(panic) => std::panic::resume_unwind(panic),
            },
            _ => self.recording.chunk(index)?,
        };
        if let Some(next) = next.filter(|&next| next < self.recording.reader().stream_len()) {
            let recording = Arc::clone(&self.recording);
            // Where there are no more threads it is decoded when it is needed.
            let thread = std::thread::Builder::new().spawn(move || recording.chunk(next));
            self.ahead = thread.ok().map(|thread| (next, thread));
        }
        match &mut self.machine {
            Some(machine) => machine.enter(chunk, first)?,
            None => {
                let mut machine = Machine::new(Arc::clone(self.recording.codes()), chunk, first)?;
                machine.without_values();
                machine.keep_codes();
                machine.ends_where_lost();
                self.machine = Some(machine);
            }
        }
        Ok(())
    }

    fn next_way(&mut self) -> Result<Option<Way>, OpenError> {
        match &mut self.machine {
            Some(machine) => Ok(machine.next_way()?),
            None => Ok(None),
        }
    }
}

/// Steps in the order in which they were executed: a third of the work of a [`Cursor`](crate::Cursor), which has the values too.
#[derive(Debug)]
pub struct Positions {
    chunks: Chunks,
    /// The chunk that comes next.
    next: usize,
    way: Option<Way>,
    /// The step of the way that comes next.
    step: usize,
    /// Its first steps are left out up to this one.
    from: u64,
}

impl Positions {
    /// From a step on.
    ///
    /// # Errors
    /// As [`Recording::firsts`], which is asked unless this is the first step.
    pub(crate) fn new(recording: &Arc<Recording>, from: u64) -> Result<Self, OpenError> {
        let next = match from {
            0 => 0,
            from => chunk_of(recording.firsts()?, from),
        };
        Ok(Self {
            chunks: Chunks::new(recording),
            next,
            way: None,
            step: 0,
            from,
        })
    }

    /// The next step; `None` at the end.
    ///
    /// # Errors
    /// [`OpenError`].
    #[expect(clippy::should_implement_trait, reason = "it fails")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Step>, OpenError> {
        if let (Some(way), Some(machine)) = (&self.way, &self.chunks.machine)
            && let Some(step) = machine.step_of(way, self.step)
        {
            self.step += 1;
            return Ok(Some(step));
        }
        self.next_of_another_way()
    }

    fn next_of_another_way(&mut self) -> Result<Option<Step>, OpenError> {
        loop {
            self.way = self.chunks.next_way()?;
            if let (Some(way), Some(machine)) = (&self.way, &self.chunks.machine) {
                let left_out = self.from.saturating_sub(way.first).min(way.count as u64) as usize;
                if let Some(step) = machine.step_of(way, left_out) {
                    self.step = left_out + 1;
                    return Ok(Some(step));
                }
                continue;
            }
            let recording = &self.chunks.recording;
            let ended = self.chunks.machine.as_ref().map(Machine::position);
            if let Some(end) = ended
                && let Some(before) = self.next.checked_sub(1)
            {
                recording.verify(before, end)?;
            }
            if self.next >= recording.reader().stream_len() {
                return Ok(None);
            }
            let first = match (ended, self.next) {
                (Some(end), _) => end,
                (None, 0) => 0,
                (None, index) => recording.firsts()?[index],
            };
            self.chunks.enter(self.next, first, Some(self.next + 1))?;
            self.next += 1;
        }
    }
}

/// The chunk that a step is in, or the number of chunks.
fn chunk_of(firsts: &[u64], step: u64) -> usize {
    firsts
        .partition_point(|&first| first <= step)
        .saturating_sub(1)
}

/// So many steps are kept to go back over. More than nearly all chunks have.
const KEPT: u64 = 1 << 20;

/// Steps from the last one to the first one.
#[derive(Debug)]
pub struct Backwards {
    chunks: Chunks,
    /// Those that come next, the last one first.
    steps: Vec<Step>,
    /// What is before them.
    end: u64,
}

impl Backwards {
    /// From the step before this one.
    pub(crate) fn new(recording: &Arc<Recording>, end: u64) -> Result<Self, OpenError> {
        let end = end.min(recording.len()?);
        Ok(Self {
            chunks: Chunks::new(recording),
            steps: Vec::new(),
            end,
        })
    }

    /// The step before; `None` at the beginning.
    ///
    /// # Errors
    /// [`OpenError`].
    #[expect(clippy::should_implement_trait, reason = "it fails")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Step>, OpenError> {
        if let Some(step) = self.steps.pop() {
            return Ok(Some(step));
        }
        self.fill()?;
        Ok(self.steps.pop())
    }

    /// The steps of the chunk, or the last ones of what is left of it.
    fn fill(&mut self) -> Result<(), OpenError> {
        let Some(last) = self.end.checked_sub(1) else {
            return Ok(());
        };
        let recording = Arc::clone(&self.chunks.recording);
        let firsts = recording.firsts()?;
        let index = chunk_of(firsts, last);
        let first = firsts[index];
        self.chunks.enter(index, first, index.checked_sub(1))?;
        let wanted = first.max(self.end.saturating_sub(KEPT))..self.end;
        while let Some(way) = self.chunks.next_way()? {
            if let Some(machine) = &self.chunks.machine {
                self.steps
                    .extend(within(&way, &wanted).filter_map(|index| machine.step_of(&way, index)));
            }
            if way.first + way.count as u64 >= wanted.end {
                break;
            }
        }
        if self.steps.len() as u64 != wanted.end - wanted.start {
            // There are fewer than the index says.
            let end = self
                .chunks
                .machine
                .as_ref()
                .map_or(first, Machine::position);
            recording.verify(index, end)?;
        }
        self.end = wanted.start;
        Ok(())
    }
}

/// The steps of a way that are among those.
fn within(way: &Way, wanted: &Range<u64>) -> Range<usize> {
    let of = |step: u64| step.saturating_sub(way.first).min(way.count as u64) as usize;
    of(wanted.start)..of(wanted.end)
}
