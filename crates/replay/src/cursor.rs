//! Goes through a recording, with the values at each step.

use std::sync::Arc;
use std::thread::JoinHandle;

use debugop_recording::stream::ThreadNumber;

use crate::error::{Error, ErrorKind};
use crate::kept::{Decoded, States};
use crate::loss::Loss;
use crate::machine::{Checkpoint, Machine, Step, Stop, Unwound, Watch};
use crate::moment::Moment;
use crate::recording::{OpenError, Recording};
use crate::state::State;
use crate::written::Written;

/// So many states of a chunk that a cursor goes through are kept, evenly spread over its records,
const STATES: usize = 32;
/// and where a cursor goes backwards, one every so many records.
const FINE_SPACING: usize = 32;

/// A thread that decodes a chunk.
type Decoding = JoinHandle<Result<Decoded, OpenError>>;

/// Goes through the steps of a recording.
#[derive(Debug)]
pub struct Cursor {
    recording: Arc<Recording>,
    place: Option<InChunk>,
    /// The chunk to go on with, when there is no place.
    next: usize,
    unwound: Vec<Unwound>,
    lost: Vec<Loss>,
    written: Vec<Written>,
    ended: Vec<ThreadNumber>,
    /// A chunk that is being decoded, because the cursor goes through one after the other.
    ahead: Option<(usize, Decoding)>,
}

/// Where a cursor is.
#[derive(Debug)]
struct InChunk {
    index: usize,
    machine: Machine,
    states: Arc<States>,
    /// There is one every so many records.
    spacing: usize,
    /// Near where the cursor is going backwards.
    fine: Vec<Checkpoint>,
    at: Option<Step>,
}

impl Drop for Cursor {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.recording.kept().give_back(place.machine);
        }
    }
}

impl Cursor {
    /// Before the first step.
    pub(crate) fn new(recording: &Arc<Recording>) -> Self {
        Self {
            recording: Arc::clone(recording),
            place: None,
            next: 0,
            unwound: Vec::new(),
            lost: Vec::new(),
            written: Vec::new(),
            ended: Vec::new(),
            ahead: None,
        }
    }

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
        let codes = Arc::clone(self.recording.codes());
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

    /// The threads that have ended between the step before and the one that [`Cursor::next`] has gone to.
    pub fn ended(&self) -> &[ThreadNumber] {
        &self.ended
    }

    /// What the program has written that has become known since the step before, with the steps in which it was: they may come still, and need not be in order. Only after
    /// [`Cursor::next`].
    pub fn written(&self) -> &[Written] {
        &self.written
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
        self.written.clear();
        self.ended.clear();
        loop {
            let mut position = 0;
            if let Some(place) = &mut self.place {
                let step = place.next()?;
                self.unwound.extend_from_slice(place.machine.unwound());
                self.lost.extend_from_slice(place.machine.lost());
                self.written.extend_from_slice(place.machine.written());
                self.ended.extend_from_slice(place.machine.ended());
                if step.is_some() {
                    return Ok(step);
                }
                if place.complete(&self.recording)? {
                    continue;
                }
                self.next = place.index + 1;
                position = place.machine.position();
                self.recording.verify(place.index, position)?;
            }
            let is_over = self.next >= self.recording.reader().stream_len();
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
        self.written.clear();
        self.ended.clear();
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
                    Stop::End if place.complete(&self.recording)? => continue,
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
            if self.next >= self.recording.reader().stream_len() {
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
        self.written.clear();
        self.ended.clear();
        let index = self.chunk_of(step)?;
        let in_chunk = step - self.recording.firsts()?[index];
        if self
            .place
            .as_ref()
            .is_none_or(|place| place.index != index || !place.covers(in_chunk))
        {
            self.enter_to(index, Some(in_chunk))?;
        }
        let found = match &mut self.place {
            Some(place) => place.seek(step)?,
            None => None,
        };
        found.ok_or_else(|| no_step(step))
    }

    /// Goes to just before a step, from where [`Cursor::next_watched`] comes to that step too: the cursor is at no step then.
    ///
    /// # Errors
    /// As [`Cursor::seek`].
    pub fn seek_before(&mut self, step: u64) -> Result<(), OpenError> {
        let recording = Arc::clone(&self.recording);
        let index = recording.index()?;
        let chunk = self.chunk_of(step)?;
        // What has left frames behind the last step of the chunk before is told with the next step.
        let firsts = index.firsts();
        let mut before = (0..chunk).rev();
        let leaves = |chunk: &usize| index.unwound(*chunk) > 0;
        let left = before.find(|chunk| leaves(chunk) || firsts[*chunk] < step);
        if firsts[chunk] != step || left.as_ref().is_some_and(leaves) {
            self.seek(step.saturating_sub(1))?;
            return Ok(());
        }
        self.unwound.clear();
        self.lost.clear();
        self.written.clear();
        self.ended.clear();
        if self.place.as_ref().is_none_or(|place| place.index != chunk) {
            self.enter(chunk)?;
        }
        if let Some(place) = &mut self.place {
            place.begin();
        }
        Ok(())
    }

    /// The chunk that a step is in.
    fn chunk_of(&self, step: u64) -> Result<usize, OpenError> {
        let firsts = self.recording.firsts()?;
        let after = firsts.partition_point(|&first| first <= step);
        match after.checked_sub(1) {
            Some(chunk) if after < firsts.len() => Ok(chunk),
            _ => Err(no_step(step)),
        }
    }

    /// A chunk, or what is needed of it for a step; if the cursor goes from one to the `next`, the one behind it is decoded meanwhile.
    fn chunk(&mut self, index: usize, next: bool, step: Option<u64>) -> Result<Decoded, OpenError> {
        let chunk = match self.ahead.take() {
            Some((ahead, thread)) if ahead == index => match thread.join() {
                Ok(chunk) => chunk?,
                Err(panic) => std::panic::resume_unwind(panic),
            },
            _ => match step {
                Some(step) => self.recording.decoded_to(index, step)?,
                None => self.recording.decoded(index)?,
            },
        };
        let behind = index + 1;
        if next && behind < self.recording.reader().stream_len() {
            let recording = Arc::clone(&self.recording);
            // Where there are no more threads it is decoded when it is needed.
            let thread = std::thread::Builder::new().spawn(move || recording.decoded(behind));
            self.ahead = thread.ok().map(|thread| (behind, thread));
        }
        Ok(chunk)
    }

    fn enter(&mut self, index: usize) -> Result<(), OpenError> {
        self.enter_to(index, None)
    }

    /// Enters a chunk, of which nothing behind this step of it may be there.
    fn enter_to(&mut self, index: usize, step: Option<u64>) -> Result<(), OpenError> {
        let mut before = self.place.take();
        let recording = Arc::clone(&self.recording);
        let is_next = before
            .as_ref()
            .is_some_and(|place| place.index + 1 == index);
        let known = recording.known_index();
        let first = match (known, &mut before) {
            (Some(known), _) => known.firsts()[index],
            // Going on from the chunk before, whose steps have just been counted.
            (None, Some(place)) if is_next && place.at.is_some() => {
                while place.machine.skip_record()?.is_some() {}
                place.machine.position()
            }
            (None, _) if index == 0 => 0,
            (None, _) => recording.firsts()?[index],
        };
        let Decoded { chunk, states, .. } = self.chunk(index, is_next, step)?;
        let spacing = (chunk.record_count() / STATES).max(1);
        let carried = known.map(|known| known.last_steps(index));
        let carried = carried.unwrap_or_default();
        let machine = match before {
            Some(mut place) => {
                place.machine.enter_with_carried(chunk, first, carried)?;
                place.machine
            }
            None => recording.machine(chunk, first, carried)?,
        };
        let states = match known {
            Some(_) => states,
            None => Arc::default(),
        };
        if states.is_empty() {
            states.add(machine.checkpoint());
        }
        self.place = Some(InChunk {
            index,
            machine,
            states,
            spacing,
            fine: Vec::new(),
            at: None,
        });
        Ok(())
    }
}

fn no_step(step: u64) -> OpenError {
    OpenError::Replay(Error {
        chunk: 0,
        offset: 0,
        kind: ErrorKind::NoStep(step),
    })
}

impl InChunk {
    /// Whether the step with this number in the chunk can be gone to.
    fn covers(&self, step: u64) -> bool {
        self.machine.state().chunk().covers(step)
    }

    /// At the end of a part of the chunk, gets the rest of it; `false` if there is none.
    fn complete(&mut self, recording: &Recording) -> Result<bool, OpenError> {
        if self.machine.state().chunk().is_whole() {
            return Ok(false);
        }
        let Decoded { chunk, states, .. } = recording.decoded(self.index)?;
        states.take_over(&self.states, &chunk);
        self.spacing = (chunk.record_count() / STATES).max(1);
        self.fine.clear();
        self.states = states;
        self.machine.go_on_in(chunk);
        Ok(true)
    }

    fn next(&mut self) -> Result<Option<Step>, Error> {
        let step = self.machine.next()?;
        if step.is_some() {
            self.at = step;
        }
        Ok(step)
    }

    /// Goes to the beginning of the chunk.
    fn begin(&mut self) {
        if let Some(first) = self.states.begin() {
            self.machine.restore(&first);
        }
        self.at = None;
    }

    /// Goes to a step of the chunk.
    fn seek(&mut self, step: u64) -> Result<Option<Step>, Error> {
        // On from here if that is nearest.
        let nearest = self.states.to(step);
        let here = self.at.is_some_and(|at| at.number < step);
        match nearest {
            Some(nearest) if !here || nearest.number > self.machine.position() => {
                self.machine.restore(&nearest);
            }
            _ => {}
        }
        // With states now and then on the way, to go back to.
        loop {
            let next = self.states.last_record() + self.spacing;
            if !self.machine.skip_to(next, step)?
                || self.machine.record_index() < next
                || !self.states.add(self.machine.checkpoint())
            {
                break;
            }
        }
        let at = self.machine.advance_to(step)?;
        self.at = at.or(self.at);
        Ok(at)
    }

    /// Goes back to a step, if it is in this chunk.
    fn back(&mut self, step: u64) -> Result<bool, Error> {
        if self.states.first().is_none_or(|first| first > step) {
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
        let Some(nearest) = self.states.to(step) else {
            return Ok(());
        };
        self.machine.restore(&nearest);
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
