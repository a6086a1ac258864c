//! Steps of a kind, one after the other, either way: a chunk at a time.

use std::ops::ControlFlow;
use std::sync::Arc;

use debugop_bytecode::{InstrIdx, Op};

use crate::index::Executed;
use crate::machine::{Step, Watch};
use crate::recording::{OpenError, Recording};

use super::hits::comes;
use super::{instruction, search};

/// Which steps are gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Execution comes to a source line, as [`hits`](super::hits) has it.
    Line,
    /// A frame starts, as [`calls`](super::calls) has it: its `RESUME`.
    Call,
}

/// The steps of a kind, forwards or backwards.
#[derive(Debug)]
pub struct Marks {
    recording: Arc<Recording>,
    mark: Mark,
    backwards: bool,
    /// The chunks that are still to come.
    chunks: std::ops::Range<usize>,
    ready: std::vec::IntoIter<Step>,
}

impl Marks {
    /// All of a recording.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn new(recording: &Arc<Recording>, mark: Mark, backwards: bool) -> Result<Self, OpenError> {
        Ok(Self {
            recording: Arc::clone(recording),
            mark,
            backwards,
            chunks: 0..recording.index()?.len(),
            ready: Vec::new().into_iter(),
        })
    }

    /// The next one.
    ///
    /// # Errors
    /// [`OpenError`].
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator's next has no error to itself"
    )]
    pub fn next(&mut self) -> Result<Option<Step>, OpenError> {
        loop {
            if let Some(step) = self.ready.next() {
                return Ok(Some(step));
            }
            let chunk = match self.backwards {
                false => self.chunks.next(),
                true => self.chunks.next_back(),
            };
            let Some(chunk) = chunk else { return Ok(None) };
            let mut found = self.of_chunk(chunk)?;
            if self.backwards {
                found.reverse();
            }
            self.ready = found.into_iter();
        }
    }

    fn of_chunk(&self, chunk: usize) -> Result<Vec<Step>, OpenError> {
        let recording = &self.recording;
        let index = recording.index()?;
        let mut watch = Watch::default();
        for number in index.codes(chunk) {
            let executed = index.executed(chunk, number);
            let Some(code) = recording.codes().get(number) else {
                continue;
            };
            let starts = |at: &InstrIdx| {
                let found = instruction(code, *at);
                matches!(found, Some((Op::Resume, _, arg)) if arg & 3 == 0)
            };
            match self.mark {
                Mark::Line => {
                    let arrivals = executed.into_iter().flat_map(Executed::arrivals);
                    let arrivals = arrivals.map(|(at, _)| at);
                    watch.add(number, arrivals.filter(|at| code.line(*at).is_some()));
                }
                Mark::Call => {
                    let steps = executed.into_iter().flat_map(Executed::steps);
                    watch.add(number, steps.map(|(at, _)| at).filter(starts));
                }
            }
        }
        let mut found = Vec::new();
        if watch.is_empty() {
            return Ok(found);
        }
        search::steps_in_chunk::<()>(recording, chunk, watch, 0, u64::MAX, |step, state| {
            if self.mark == Mark::Call || comes(step, state) {
                found.push(*step);
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }
}
