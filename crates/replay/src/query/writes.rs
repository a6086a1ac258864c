//! Who has bound a place.

use std::ops::ControlFlow;
use std::sync::Arc;

use debugop_bytecode::{InstrIdx, Op, Output, effect};
use debugop_recording::stream::FrameNumber;
use debugop_value as data;
use rustc_hash::FxHashMap;

use crate::code::Code;
use crate::index::Mention;
use crate::machine::{Step, Watch};
use crate::recording::{OpenError, Recording};
use crate::state::{Frame, State};
use crate::value::Value;

use super::search::{self, Found};
use super::{Place, instruction, walk};

/// How deep containers in containers are shown.
const DEPTH: u32 = 2;

/// How a place got its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The step's instruction bound it.
    Bound,
    /// The step's instruction deleted it.
    Deleted,
    /// The frame started with it: an argument, or a free variable.
    Argument,
    /// It had changed after the step: something that the instruction called did it.
    Changed,
}

/// A binding of a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// The step that did it.
    pub step: u64,
    /// Its frame.
    pub frame: FrameNumber,
    /// The number of the frame's code object.
    pub code: u32,
    /// The instruction.
    pub at: InstrIdx,
    /// How.
    pub how: How,
    /// What is there since; `None` if nothing is.
    pub value: Option<data::Value>,
}

/// Every binding of a place from step `from` on, up to and without `to`.
///
/// # Errors
/// [`OpenError`].
pub fn writes(
    recording: &Arc<Recording>,
    place: &Place,
    from: u64,
    to: u64,
) -> Result<Vec<Write>, OpenError> {
    let mut search = Search::new(recording, place);
    search.across = true;
    for chunk in search::chunks_between(recording.index()?, from, to) {
        if recording.is_behind_loss(chunk)? {
            // What it had before cannot be compared with what it has.
            search.content = None;
        }
        search.chunk(chunk, from, to)?;
    }
    Ok(search.found)
}

/// The last binding of a place before a step. `None`: it is not in the recording, as when steps are missing between the last one that is and the step.
///
/// # Errors
/// [`OpenError`].
pub fn last_write(
    recording: &Arc<Recording>,
    place: &Place,
    before: u64,
) -> Result<Option<Write>, OpenError> {
    if let Place::Local(frame, _) = place {
        return last_write_of_local(recording, place, *frame, before);
    }
    let mut search = Search::new(recording, place);
    let index = recording.index()?;
    let from = recording.known_from(before)?;
    for chunk in search::chunks_before(index, before) {
        if index.firsts()[chunk] < from {
            break;
        }
        if !index.may_bind(chunk, place) {
            continue;
        }
        search.content = None;
        if let Some(last) = search.last(chunk, before)? {
            return Ok(Some(last));
        }
    }
    Ok(None)
}

/// The last binding of a local variable: its frame's instructions say where, the values there only what was bound.
fn last_write_of_local(
    recording: &Arc<Recording>,
    place: &Place,
    frame: FrameNumber,
    before: u64,
) -> Result<Option<Write>, OpenError> {
    let index = recording.index()?;
    let mut search = Search::new(recording, place);
    let mut cursor = recording.cursor();
    let mut end = before;
    for chunk in search::chunks_before(index, before) {
        if !index.has_frame(chunk, frame) {
            continue;
        }
        let codes = search.codes_of_frame(chunk, frame)?;
        while let Some(watch) = search.watch(chunk, &codes)? {
            let of_frame = |step: &Step, _: &State| (step.frame == frame).then_some(*step);
            let last = search::last_in_chunk(recording, chunk, watch, end, false, of_frame)?;
            let Some(step) = last else { break };
            cursor.seek(step.number)?;
            let state = cursor.state();
            let bound = state.and_then(|state| binding(recording, place, &step, state));
            if bound.is_some() {
                return Ok(bound);
            }
            end = step.number;
        }
    }
    Ok(None)
}

/// What has to be looked at in a chunk.
enum Wanted {
    Nothing,
    /// Contents change in it that no recorded instruction changes.
    EveryStep,
    These(Watch),
}

/// Looks for the bindings of a place, chunk by chunk.
struct Search<'a> {
    recording: &'a Arc<Recording>,
    place: &'a Place,
    found: Vec<Write>,
    /// What the recorded contents last had there, of an attribute or item.
    content: Option<Value>,
    /// Whether chunks are looked at in order, so that what is there can be compared with what was there in the one before.
    across: bool,
    /// By code object, the instructions that may bind it.
    binding: FxHashMap<u32, Vec<InstrIdx>>,
}

impl<'a> Search<'a> {
    fn new(recording: &'a Arc<Recording>, place: &'a Place) -> Self {
        Self {
            recording,
            place,
            found: Vec::new(),
            content: None,
            across: false,
            binding: FxHashMap::default(),
        }
    }

    /// What has to be looked at in a chunk.
    fn wanted(&mut self, chunk: usize) -> Result<Wanted, OpenError> {
        let index = self.recording.index()?;
        let codes = match self.place {
            Place::Local(frame, _) if !index.has_frame(chunk, *frame) => {
                return Ok(Wanted::Nothing);
            }
            Place::Local(frame, _) => self.codes_of_frame(chunk, *frame)?,
            Place::Cell(id) | Place::Attribute(id, _) | Place::Item(id, _) => {
                match index.mentions(chunk, *id) {
                    Mention::No => return Ok(Wanted::Nothing),
                    // Nothing of it is bound; what there is can differ from earlier chunks only.
                    Mention::Known if !self.across || !self.content_changes(chunk)? => {
                        return Ok(Wanted::Nothing);
                    }
                    Mention::Known | Mention::Changed => index.codes(chunk),
                }
            }
            Place::Global(..) => index.codes(chunk),
        };
        if self.content_changes(chunk)? {
            return Ok(Wanted::EveryStep);
        }
        let watch = self.watch(chunk, &codes)?;
        Ok(watch.map_or(Wanted::Nothing, Wanted::These))
    }

    /// Adds the bindings in a chunk.
    fn chunk(&mut self, chunk: usize, from: u64, to: u64) -> Result<(), OpenError> {
        let watch = match self.wanted(chunk)? {
            Wanted::Nothing => return Ok(()),
            Wanted::EveryStep => return self.step_by_step(chunk, from, to),
            Wanted::These(watch) => watch,
        };
        let (recording, place, found) = (self.recording, self.place, &mut self.found);
        search::in_chunk::<()>(recording, chunk, watch, from, to, |stop| {
            if let Found::Step(step, state) = stop {
                found.extend(binding(recording, place, step, state));
            }
            ControlFlow::Continue(())
        })?;
        Ok(())
    }

    /// The last binding in a chunk before a step.
    fn last(&mut self, chunk: usize, before: u64) -> Result<Option<Write>, OpenError> {
        let watch = match self.wanted(chunk)? {
            Wanted::Nothing => return Ok(None),
            Wanted::EveryStep => return self.last_step_by_step(chunk, before),
            Wanted::These(watch) => watch,
        };
        let (recording, place) = (self.recording, self.place);
        search::last_in_chunk(recording, chunk, watch, before, true, |step, state| {
            binding(recording, place, step, state)
        })
    }

    /// The last binding in a chunk before a step, also one that only the recorded contents show: looked for part by part, from the end.
    fn last_step_by_step(&mut self, chunk: usize, before: u64) -> Result<Option<Write>, OpenError> {
        let firsts = self.recording.firsts()?;
        let mut end = firsts
            .get(chunk + 1)
            .map_or(before, |&next| next.min(before));
        let Some(last) = end.checked_sub(1) else {
            return Ok(None);
        };
        // On the way there the states become known between which the parts are.
        self.recording.cursor().seek(last)?;
        let states = self.recording.decoded(chunk)?.states;
        for start in states.before(end).iter().rev() {
            self.content = None;
            // The step before the part has what was there when it began.
            let from = start.number.saturating_sub(1);
            self.step_by_step(chunk, from, end)?;
            if let Some(last) = self.found.pop() {
                return Ok(Some(last));
            }
            end = start.number;
        }
        Ok(None)
    }

    /// The code objects that a frame may be of which has steps in a chunk.
    fn codes_of_frame(&self, chunk: usize, frame: FrameNumber) -> Result<Vec<u32>, OpenError> {
        let index = self.recording.index()?;
        let code = index.code_of(chunk, frame);
        Ok(code.map_or_else(|| index.codes(chunk), |code| vec![code]))
    }

    /// The instructions of these code objects that may bind the place; `None` if none of them is executed in a chunk.
    fn watch(&mut self, chunk: usize, codes: &[u32]) -> Result<Option<Watch>, OpenError> {
        let mut watch = Watch::default();
        for &number in codes {
            let (known, place) = (self.recording.codes(), self.place);
            let binding = self.binding.entry(number).or_insert_with(|| {
                let code = known.get(number);
                code.map_or_else(Vec::new, |code| may_bind(place, code))
            });
            watch.add(number, binding.iter().copied());
        }
        let index = self.recording.index()?;
        Ok(search::may_have(index, chunk, &watch).then_some(watch))
    }

    /// Whether the recorded contents of the object have something else in the place at some time in the chunk than at another, or than before it.
    fn content_changes(&mut self, chunk: usize) -> Result<bool, OpenError> {
        let (Place::Attribute(id, _) | Place::Item(id, _)) = self.place else {
            return Ok(false);
        };
        let decoded = self.recording.chunk(chunk)?;
        let mut state = State::new(Arc::clone(&decoded));
        let before = self.content;
        let mut changes = false;
        for record in decoded.told_of(*id) {
            state.tell(record);
            let now = self.place.value(&state);
            changes |= now.is_some() && self.content.is_some() && now != self.content;
            self.content = now.or(self.content);
        }
        if changes {
            self.content = before;
        }
        Ok(changes)
    }

    /// Adds the bindings in a chunk, with those that only the recorded contents show: what C code has changed.
    fn step_by_step(&mut self, chunk: usize, from: u64, to: u64) -> Result<(), OpenError> {
        let firsts = self.recording.firsts()?;
        let Some(&[first, end]) = firsts.get(chunk..chunk + 2) else {
            return Ok(());
        };
        let mut before: Option<Step> = None;
        let (recording, place) = (self.recording, self.place);
        walk::<()>(recording, from.max(first), to.min(end), |step, state| {
            if let Some(now) = place.value(state) {
                let last = self.found.last().map(|last| last.step);
                let told = last.is_some() && last == before.map(|before| before.number);
                if let (Some(was), Some(before)) = (self.content, before)
                    && was != now
                    && !told
                {
                    let value = Some(state.describe(recording.codes(), now, DEPTH));
                    self.found.push(write(&before, How::Changed, value));
                }
                self.content = Some(now);
            }
            self.found.extend(binding(recording, place, step, state));
            before = Some(*step);
            ControlFlow::Continue(())
        })?;
        Ok(())
    }
}

/// The instructions of a code object that may bind a place.
fn may_bind(place: &Place, code: &Code) -> Vec<InstrIdx> {
    let named = |arg: u32, wanted: &str| {
        let name = code.data().names.get(arg as usize);
        name.is_some_and(|name| name == wanted.as_bytes())
    };
    let binds = |at: InstrIdx| {
        let Some((op, opcode, arg)) = instruction(code, at) else {
            return false;
        };
        let starts = op == Op::Resume && arg & 3 == 0;
        match place {
            Place::Local(_, slot) => {
                let effect = effect(code.version(), opcode, arg, false);
                starts
                    || effect
                        .is_some_and(|effect| effect.writes.iter().any(|write| write.0 == *slot))
            }
            Place::Cell(_) => starts || matches!(op, Op::StoreDeref | Op::DeleteDeref),
            Place::Global(_, name) => {
                matches!(
                    op,
                    Op::StoreGlobal | Op::StoreName | Op::DeleteGlobal | Op::DeleteName
                ) && named(arg, name)
            }
            Place::Attribute(_, name) => {
                matches!(op, Op::StoreAttr | Op::DeleteAttr) && named(arg, name)
            }
            Place::Item(..) => matches!(op, Op::StoreSubscr | Op::DeleteSubscr),
        }
    };
    let all = 0..code.analysis().instructions().len() as u32;
    all.map(InstrIdx).filter(|at| binds(*at)).collect()
}

fn write(step: &Step, how: How, value: Option<data::Value>) -> Write {
    Write {
        step: step.number,
        frame: step.frame,
        code: step.code,
        at: step.at,
        how,
        value,
    }
}

/// The binding of a place by a step's instruction, if it is one.
fn binding(recording: &Recording, place: &Place, step: &Step, state: &State) -> Option<Write> {
    let (how, value) = binds(place, step, state.frame()?, state)?;
    let value = value.map(|value| state.describe(recording.codes(), value, DEPTH));
    Some(write(step, how, value))
}

/// Whether the step's instruction binds the place, and what to.
fn binds(place: &Place, step: &Step, frame: &Frame, state: &State) -> Option<(How, Option<Value>)> {
    let (op, opcode, arg) = instruction(frame.code(), step.at)?;
    let below = |depth: usize| frame.stack().rev_nth(depth);
    let name = |arg: u32| -> Option<&[u8]> {
        let names = &frame.code().data().names;
        names.get(arg as usize).map(Vec::as_slice)
    };
    match place {
        Place::Local(number, slot) => {
            if frame.number() != *number {
                return None;
            }
            if op == Op::Resume && arg & 3 == 0 && frame.get(*slot) != Value::Null {
                return Some((How::Argument, Some(frame.get(*slot))));
            }
            let effect = effect(frame.code().version(), opcode, arg, false)?;
            let written = effect.writes.iter().rev().find(|write| write.0 == *slot)?;
            Some(match written.1 {
                Output::Null => (How::Deleted, None),
                Output::Below(depth) => (How::Bound, below(depth as usize)),
                Output::Local(slot) => (How::Bound, Some(frame.get(slot))),
                _ => (How::Bound, None),
            })
        }
        Place::Cell(id) => {
            let holds = |arg: u32| frame.get(arg) == Value::Object(*id);
            match op {
                Op::StoreDeref if holds(arg) => Some((How::Bound, below(1))),
                Op::DeleteDeref if holds(arg) => Some((How::Deleted, None)),
                Op::Resume if arg & 3 == 0 => {
                    let slots = frame.code().data().locals.iter().zip(0..);
                    let mut cells = slots.filter(|(local, _)| local.kind.is_cell());
                    let value = state.object(*id)?.cell?;
                    let made = cells.any(|(_, slot)| holds(slot)) && value != Value::Null;
                    made.then_some((How::Argument, Some(value)))
                }
                _ => None,
            }
        }
        Place::Global(file, global) => {
            let named = |arg: u32| name(arg) == Some(global.as_bytes());
            let is_module = || &*frame.code().data().name == b"<module>";
            let how = match op {
                Op::StoreGlobal if named(arg) => How::Bound,
                Op::StoreName if named(arg) && is_module() => How::Bound,
                Op::DeleteGlobal if named(arg) => How::Deleted,
                Op::DeleteName if named(arg) && is_module() => How::Deleted,
                _ => return None,
            };
            if frame.code().filename() != *file {
                return None;
            }
            Some((how, if how == How::Bound { below(1) } else { None }))
        }
        Place::Attribute(id, attribute) => {
            let named = name(arg) == Some(attribute.as_bytes());
            if !named || below(1) != Some(Value::Object(*id)) {
                return None;
            }
            match op {
                Op::StoreAttr => Some((How::Bound, below(2))),
                Op::DeleteAttr => Some((How::Deleted, None)),
                _ => None,
            }
        }
        Place::Item(id, key) => {
            let holds = |depth| below(depth) == Some(Value::Object(*id));
            let is_key = |depth| below(depth).is_some_and(|value| frame.is_key(value, key, state));
            match op {
                Op::StoreSubscr if holds(2) && is_key(1) => Some((How::Bound, below(3))),
                Op::DeleteSubscr if holds(2) && is_key(1) => Some((How::Deleted, None)),
                _ => None,
            }
        }
    }
}

/// Elements from the end.
trait FromEnd {
    /// The element so many from the end, 1 being the last.
    fn rev_nth(self, depth: usize) -> Option<Value>;
}

impl<I: ExactSizeIterator<Item = Value>> FromEnd for I {
    fn rev_nth(mut self, depth: usize) -> Option<Value> {
        let index = self.len().checked_sub(depth)?;
        self.nth(index)
    }
}
