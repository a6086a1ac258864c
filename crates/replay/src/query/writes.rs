//! Who has bound a place.

use std::ops::ControlFlow;
use std::sync::Arc;

use debugop_bytecode::{InstrIdx, Op, Output, effect};
use debugop_recording::stream::FrameNumber;
use debugop_value as data;

use crate::machine::Step;
use crate::recording::{OpenError, Recording};
use crate::state::{Frame, State};
use crate::value::Value;

use super::{Place, chunks_before, instruction, walk};

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
    let mut found: Vec<Write> = Vec::new();
    let mut content: Option<Value> = None;
    let mut before: Option<Step> = None;
    let watched = matches!(place, Place::Attribute(..) | Place::Item(..));
    walk::<()>(recording, from, to, |step, state| {
        // What C code has changed shows in the recorded contents.
        if watched && let Some(now) = place.value(state) {
            let told = found
                .last()
                .is_some_and(|last| Some(last.step) == before.map(|b| b.number));
            if let (Some(was), Some(before)) = (content, before)
                && was != now
                && !told
            {
                let value = Some(state.describe(recording.codes(), now, DEPTH));
                found.push(write(&before, How::Changed, value));
            }
            content = Some(now);
        }
        if let Some(frame) = state.frame()
            && let Some((how, value)) = binds(place, step, frame, state)
        {
            let value = value.map(|value| state.describe(recording.codes(), value, DEPTH));
            found.push(write(step, how, value));
        }
        before = Some(*step);
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// The last binding of a place before a step.
///
/// # Errors
/// [`OpenError`].
pub fn last_write(
    recording: &Arc<Recording>,
    place: &Place,
    before: u64,
) -> Result<Option<Write>, OpenError> {
    for (first, end) in chunks_before(recording, before)? {
        if let Some(last) = writes(recording, place, first, end)?.pop() {
            return Ok(Some(last));
        }
    }
    Ok(None)
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
            let is_key = |depth| below(depth).is_some_and(|value| state.is_key(value, key));
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
