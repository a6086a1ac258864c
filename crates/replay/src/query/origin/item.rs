//! Which item of which container an instruction has taken.

use std::sync::Arc;

use debugop_bytecode::Op;
use debugop_recording::stream::{Contents, FrameNumber};

use super::super::argument::Call;
use super::super::{frame_of, instruction};
use super::Why;
use super::container::Item;
use super::iterated::{self, Given};
use crate::code::Codes;
use crate::cursor::Cursor;
use crate::machine::Step;
use crate::recording::{OpenError, Recording};
use crate::state::{Frame, State};
use crate::value::Value;

/// What an instruction has taken its value from.
pub(super) enum Taken {
    /// From no container.
    Nothing,
    Item(Item),
    /// From a constant in this slot, before this step.
    Constant(u64, FrameNumber, u32),
    Ends(Why),
}

impl From<Given> for Taken {
    fn from(given: Given) -> Self {
        match given {
            Given::Nothing => Self::Nothing,
            Given::Item(item) => Self::Item(item),
            Given::Constant((step, frame, slot)) => Self::Constant(step, frame, slot),
            Given::Ends(why) => Self::Ends(why),
        }
    }
}

/// What the instruction of a step has taken what it has put into a slot from: index into localsplus and the stack behind it. `value`: what that is.
pub(super) fn taken(
    recording: &Arc<Recording>,
    cursor: &mut Cursor,
    at: &Step,
    slot: u32,
    value: Option<Value>,
) -> Result<Taken, OpenError> {
    cursor.seek(at.number)?;
    let Some(state) = cursor.state() else {
        return Ok(Taken::Nothing);
    };
    let Some(frame) = frame_of(state, at.frame) else {
        return Ok(Taken::Nothing);
    };
    let Some((op, _, arg)) = instruction(frame.code(), at.at) else {
        return Ok(Taken::Nothing);
    };
    let codes = recording.codes();
    let depth = frame.stack().len() as u32;
    let pushed = slot.checked_sub(frame.code().locals().slots);
    let found = match op {
        Op::UnpackSequence | Op::UnpackEx => {
            let position = pushed
                .zip(depth.checked_sub(1))
                .and_then(|(pushed, from)| pushed.checked_sub(from));
            position.map_or(Taken::Nothing, |position| {
                unpacked(codes, (state, frame), at, (op, arg), (position, value))
            })
        }
        // The index beneath (3.15) is taken from nothing.
        Op::ForIter if pushed == Some(depth) => {
            // Of a list or tuple there is no iterator where an index is on the stack (3.15).
            let index = match frame.stack().last() {
                Some(Value::Tagged(index)) => Some(index),
                _ => None,
            };
            match index.zip(depth.checked_sub(2)) {
                Some((index, held)) => {
                    let held = (at.number, at.frame, held);
                    in_slot(codes, (state, frame), held, Value::Int(index), value)
                }
                None => return iterated::of_round(recording, cursor, at, value).map(Taken::from),
            }
        }
        Op::Call => got(state, codes, frame, at),
        Op::BinarySubscr | Op::BinaryOp
            if op == Op::BinarySubscr
                || frame.code().version().binary_ops().get(arg as usize) == Some(&"[]") =>
        {
            let key = frame.stack().last();
            key.zip(depth.checked_sub(2))
                .map_or(Taken::Nothing, |(key, held)| {
                    in_slot(
                        codes,
                        (state, frame),
                        (at.number, at.frame, held),
                        key,
                        value,
                    )
                })
        }
        _ => Taken::Nothing,
    };
    if let (Taken::Nothing, Op::UnpackSequence | Op::UnpackEx, Some(value)) = (&found, op, value)
        && let (Some(index), Some(held)) = (position(frame, slot), depth.checked_sub(1))
    {
        let wanted = (Some(u64::from(index)), value);
        return iterated::of_all(recording, cursor, at, held, wanted).map(Taken::from);
    }
    Ok(match (found, value) {
        (Taken::Item(item), Some(value)) if !may_be(item.value, value) => match op {
            Op::Call => Taken::Nothing,
            _ => Taken::Ends(Why::Called),
        },
        (found, _) => found,
    })
}

/// Whether an item and what has been taken may be one, as far as they can be compared.
pub(super) fn may_be(item: Value, value: Value) -> bool {
    let is_numbered = |value| {
        matches!(
            value,
            Value::BigInt(_) | Value::Complex(_) | Value::Constant(..)
        )
    };
    item == value || is_numbered(item) || is_numbered(value)
}

fn in_slot(
    codes: &Codes,
    (state, frame): (&State, &Frame),
    held: (u64, FrameNumber, u32),
    key: Value,
    value: Option<Value>,
) -> Taken {
    match frame.stack().nth(held.2 as usize) {
        Some(Value::Constant(..)) => Taken::Constant(held.0, held.1, held.2),
        _ => Item::new(state, codes, held, key, value).map_or(Taken::Nothing, Taken::Item),
    }
}

/// Which of the items, from the first, an unpacking that a frame is about to execute puts into a slot; `None` if it does not, or counts them from the last.
pub(super) fn position(frame: &Frame, slot: u32) -> Option<u32> {
    let (op, _, arg) = instruction(frame.code(), frame.at())?;
    let from = frame.code().locals().slots + (frame.stack().len() as u32).checked_sub(1)?;
    let position = slot.checked_sub(from)?;
    // The first item is on top.
    match op {
        Op::UnpackSequence => arg.checked_sub(1 + position),
        Op::UnpackEx => {
            let (before, after) = (arg & 0xff, arg >> 8);
            let index = (before + 1 + after).checked_sub(1 + position)?;
            (index < before).then_some(index)
        }
        _ => None,
    }
}

/// What an unpacking puts so many slots above the first.
fn unpacked(
    codes: &Codes,
    (state, frame): (&State, &Frame),
    at: &Step,
    (op, arg): (Op, u32),
    (position, value): (u32, Option<Value>),
) -> Taken {
    let Some(held) = (frame.stack().len() as u32).checked_sub(1) else {
        return Taken::Nothing;
    };
    let (before, after) = (arg & 0xff, arg >> 8);
    let count = if op == Op::UnpackEx {
        before + 1 + after
    } else {
        arg
    };
    // The first item is on top.
    let Some(index) = count.checked_sub(1 + position) else {
        return Taken::Nothing;
    };
    let index = match op {
        Op::UnpackEx if index == before => return Taken::Nothing,
        Op::UnpackEx if index > before => i64::from(index) - i64::from(count),
        _ => i64::from(index),
    };
    let held = (at.number, at.frame, held);
    in_slot(codes, (state, frame), held, Value::Int(index), value)
}

/// What a method of a dict or list that gives an item gives.
fn got(state: &State, codes: &Codes, frame: &Frame, at: &Step) -> Taken {
    let found = || {
        let call = Call::of(codes, state, frame)?;
        let Value::Object(callable) = call.callable else {
            return None;
        };
        let Some(Contents::Name(name)) = state.object(callable)?.contents else {
            return None;
        };
        let stack: Vec<Value> = frame.stack().collect();
        let arguments = stack.get(call.unnamed.clone())?;
        let key = match (&**name, arguments) {
            (b"dict.get" | b"dict.pop" | b"dict.setdefault", [_, key, ..]) => *key,
            (b"list.pop", [_]) => Value::Int(-1),
            (b"list.pop", [_, index]) => *index,
            _ => return None,
        };
        let held = (at.number, at.frame, call.unnamed.start as u32);
        Item::new(state, codes, held, key, None)
    };
    found().map_or(Taken::Nothing, Taken::Item)
}
