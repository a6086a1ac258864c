//! Which item of which container an instruction has taken.

use std::ops::ControlFlow;
use std::sync::Arc;

use debugop_bytecode::{InstrIdx, Op};
use debugop_recording::stream::{Contents, FrameNumber, Kind, ObjectId};

use super::super::argument::Call;
use super::super::{frame_of, instruction, search};
use super::container::{Item, Key};
use super::{Slot, Why};
use crate::code::Codes;
use crate::cursor::Cursor;
use crate::machine::{Step, Watch};
use crate::recording::{OpenError, Recording};
use crate::state::{Frame, State};
use crate::value::Value;

/// Iterators are followed so far.
const MOST_HOPS: usize = 8;
/// Rounds of a loop are counted in so many parts of the recording.
const MOST_CHUNKS: usize = 3;

/// What an instruction has taken its value from.
pub(super) enum Taken {
    /// From no container.
    Nothing,
    Item(Item),
    /// From a constant in this slot, before this step.
    Constant(u64, FrameNumber, u32),
    Ends(Why),
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
        Op::ForIter => return iterated(recording, cursor, at, value),
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

/// What a round of a loop over a list or tuple begins with.
fn iterated(
    recording: &Arc<Recording>,
    cursor: &mut Cursor,
    at: &Step,
    value: Option<Value>,
) -> Result<Taken, OpenError> {
    let Some(state) = cursor.state() else {
        return Ok(Taken::Nothing);
    };
    let Some(frame) = frame_of(state, at.frame) else {
        return Ok(Taken::Nothing);
    };
    let codes = recording.codes();
    let stack: Vec<Value> = frame.stack().collect();
    let Some(top) = (stack.len() as u32).checked_sub(1) else {
        return Ok(Taken::Nothing);
    };
    // Of a list or tuple there is no iterator where an index is on the stack (3.15).
    if let (Some(Value::Tagged(index)), Some(held)) = (stack.last().copied(), top.checked_sub(1)) {
        let held = (at.number, at.frame, held);
        return Ok(in_slot(
            codes,
            (state, frame),
            held,
            Value::Int(index),
            value,
        ));
    }
    let Some(&Value::Object(iterator)) = stack.last() else {
        return Ok(Taken::Nothing);
    };
    let class = state.object(iterator).map(|object| object.class);
    if !class.is_some_and(|class| matches!(&*class.name, b"list_iterator" | b"tuple_iterator")) {
        return Ok(Taken::Nothing);
    }
    let Some((made, of)) = iterable(recording, cursor, (at.number, at.frame, top))? else {
        return Ok(Taken::Ends(Why::NotFollowed));
    };
    cursor.seek(made.0)?;
    let Some(state) = cursor.state() else {
        return Ok(Taken::Nothing);
    };
    let held = frame_of(state, made.1).and_then(|frame| frame.stack().nth(of as usize));
    let container = match held {
        Some(Value::Constant(..)) => return Ok(Taken::Constant(made.0, made.1, of)),
        Some(Value::Object(container)) => container,
        _ => return Ok(Taken::Ends(Why::NotFollowed)),
    };
    let Some(value) = value else {
        return Ok(Taken::Ends(Why::NotRecorded));
    };
    cursor.seek(at.number)?;
    let Some(state) = cursor.state() else {
        return Ok(Taken::Nothing);
    };
    if let Some(places) = places(state, container, value) {
        match places.as_slice() {
            [index] => {
                // The container is where the iterator is, as far as anybody can tell.
                let held = (at.number, made.1, Slot::Stack(of));
                let key = Key::Index(*index);
                return Ok(Taken::Item(held_then(container, key, value, held, made)));
            }
            [] => return Ok(Taken::Ends(Why::Called)),
            _ => {}
        }
    }
    let is_plain = made.1 == at.frame && made.2.0 + 1 == at.at.0;
    if !is_plain {
        return Ok(Taken::Ends(Why::OneOf));
    }
    let Some(index) = rounds(recording, at, made.0)? else {
        return Ok(Taken::Ends(Why::NotFollowed));
    };
    let known = state.item(container, &debugop_value::Value::Int(index as i64));
    if known.is_some_and(|known| !may_be(known, value)) {
        return Ok(Taken::Ends(Why::Called));
    }
    let held = (at.number, made.1, Slot::Stack(of));
    Ok(Taken::Item(held_then(
        container,
        Key::Index(index),
        value,
        held,
        made,
    )))
}

/// An item as it is at a step, of a container that was in a slot when the iterator was made.
fn held_then(
    container: ObjectId,
    key: Key,
    value: Value,
    held: (u64, FrameNumber, Slot),
    made: (u64, FrameNumber, InstrIdx),
) -> Item {
    Item {
        container,
        key,
        value,
        held,
        was: Some((made.0, made.1, held.2)),
    }
}

/// Where an object is in a list or tuple; `None` if that is not known, or it is no object.
fn places(state: &State, container: ObjectId, value: Value) -> Option<Vec<u64>> {
    let object = state.object(container)?;
    let (Some(Contents::Items(items)), Value::Object(_)) = (object.contents, value) else {
        return None;
    };
    if !matches!(object.class.kind, Kind::List | Kind::Tuple)
        || items.items.len() as u64 != items.length
    {
        return None;
    }
    let all = (0..).zip(&items.items);
    Some(
        all.filter(|(_, item)| Value::from(**item) == value)
            .map(|(index, _)| index)
            .collect(),
    )
}

/// The instruction that made an iterator, and the slot of what it goes through.
#[expect(
    clippy::type_complexity,
    reason = "a step, its frame, its instruction; a slot"
)]
fn iterable(
    recording: &Arc<Recording>,
    cursor: &mut Cursor,
    (step, frame, top): (u64, FrameNumber, u32),
) -> Result<Option<((u64, FrameNumber, InstrIdx), u32)>, OpenError> {
    let mut next = Some((step, frame, Slot::Stack(top)));
    for _ in 0..MOST_HOPS {
        let Some((step, frame, slot)) = next else {
            break;
        };
        let Some(hop) = super::origin(recording, step, frame, slot)? else {
            break;
        };
        cursor.seek(hop.step)?;
        let made = cursor.state().and_then(|state| frame_of(state, hop.frame));
        if let Some(made) = made
            && let Some((Op::GetIter, ..)) = instruction(made.code(), hop.at)
        {
            let top = (made.stack().len() as u32).checked_sub(1);
            return Ok(top.map(|top| ((hop.step, hop.frame, hop.at), top)));
        }
        next = hop.next;
    }
    Ok(None)
}

/// How often the frame has come to the step's instruction since a step; `None` if that is far away.
fn rounds(recording: &Arc<Recording>, at: &Step, since: u64) -> Result<Option<u64>, OpenError> {
    let index = recording.index()?;
    let chunks: Vec<usize> = search::chunks_between(index, since, at.number).collect();
    if chunks.len() > MOST_CHUNKS {
        return Ok(None);
    }
    let mut count = 0;
    for chunk in chunks {
        let mut watch = Watch::default();
        watch.add(at.code, [at.at]);
        search::steps_in_chunk::<()>(recording, chunk, watch, since, at.number, |step, _| {
            count += u64::from(step.frame == at.frame);
            ControlFlow::Continue(())
        })?;
    }
    Ok(Some(count))
}
