//! Where an argument was before it was passed: among the operands of the call, in the tuple or dict that this was made with, or where a generator or coroutine was made.

use std::sync::Arc;

use debugop_bytecode::Op;
use debugop_recording::stream::FrameNumber;
use debugop_value as data;

use super::super::argument::{Call, Passed, Started, Within};
use super::super::{frame_of, instruction, last_step};
use super::container::{self, Item, Key, Put};
use super::{DEPTH, Kind, Origin, Slot, Why, item, origin};
use crate::code::Codes;
use crate::cursor::Cursor;
use crate::machine::Step;
use crate::recording::{OpenError, Recording};
use crate::state::{Frame, Object, State, Thread};
use crate::value::Value;

/// A generator may have gone by so many names since it was made.
const MOST_ALIASES: usize = 8;

/// The hop from a frame's start to the caller.
pub(super) fn argument(
    recording: &Arc<Recording>,
    cursor: &mut Cursor,
    first: &Step,
    slot: u32,
) -> Result<Origin, OpenError> {
    cursor.seek(first.number)?;
    let mut hop = Origin {
        step: first.number,
        frame: first.frame,
        code: first.code,
        at: first.at,
        kind: Kind::Unknown,
        value: data::Value::Unknown("not known".into()),
        operands: Vec::new(),
        next: None,
        ends: None,
    };
    let Some(state) = cursor.state() else {
        return Ok(hop);
    };
    let Some((_, thread)) = state.thread() else {
        return Ok(hop);
    };
    let Some(frame) = frame_of(state, first.frame) else {
        return Ok(hop);
    };
    let started = Started::new(state, frame, slot);
    hop.value = state.describe(recording.codes(), started.value(), DEPTH);
    let starts =
        matches!(instruction(frame.code(), first.at), Some((Op::Resume, _, arg)) if arg & 3 == 0);
    if !starts || slot >= frame.code().locals().slots {
        return Ok(hop);
    }
    hop.kind = Kind::Argument;
    let Some(caller) = below(thread) else {
        return Ok(hop);
    };
    match passed(recording, cursor, &started, caller, first.number)? {
        Some(Put::Slot(step, frame, slot)) => hop.next = Some((step, frame, slot)),
        Some(Put::Ends(why)) => hop.ends = Some(why),
        None => hop.ends = Some(Why::NotFollowed),
    }
    Ok(hop)
}

/// The recorded frame below the innermost one.
fn below(thread: &Thread) -> Option<FrameNumber> {
    let frames = thread.frames();
    let below = frames.len().checked_sub(2)?;
    frames.get(below).map(Frame::number)
}

/// Where an item of `*args` or `**kwargs` comes from: of a container that was in a slot just before a step. `None` if it is neither, or that cannot be told.
pub(super) fn starred(
    recording: &Arc<Recording>,
    held: (u64, FrameNumber, Slot),
    container: Value,
    within: &Within,
    value: Value,
) -> Result<Option<Put>, OpenError> {
    let mut cursor = recording.cursor();
    let mut next = Some(held);
    for _ in 0..MOST_ALIASES {
        let Some((step, frame, slot)) = next else {
            break;
        };
        let Some(hop) = origin(recording, step, frame, slot)? else {
            break;
        };
        next = hop.next;
        if hop.kind != Kind::Argument || next.is_some() {
            continue;
        }
        cursor.seek(hop.step)?;
        let started = cursor.state().and_then(|state| {
            let frame = frame_of(state, hop.frame)?;
            let started = Started::starred(state, frame, container, within.clone(), value)?;
            Some((started, below(state.thread()?.1)?))
        });
        return match started {
            Some((started, caller)) => passed(recording, &mut cursor, &started, caller, hop.step),
            None => Ok(None),
        };
    }
    Ok(None)
}

/// Where an argument of a frame was before it was passed; the frame that has called it is in the middle of that just before the step.
fn passed(
    recording: &Arc<Recording>,
    cursor: &mut Cursor,
    started: &Started,
    caller: FrameNumber,
    before: u64,
) -> Result<Option<Put>, OpenError> {
    // Its operands are where they were before.
    let Some(called) = last_step(recording, caller, before)? else {
        return Ok(None);
    };
    let called = called.number;
    if let Some(put) = passed_at(recording, cursor, started, (called, caller))? {
        return Ok(Some(put));
    }
    cursor.seek(called)?;
    let generator = cursor.state().and_then(|state| {
        let caller = frame_of(state, caller)?;
        let index = driven(recording.codes(), state, caller)?;
        Some(Slot::Stack(index as u32))
    });
    match generator {
        Some(slot) => generator_argument(recording, cursor, started, (called, caller, slot)),
        None => Ok(None),
    }
}

/// Whether it is a generator or coroutine.
pub(super) fn is_driven(object: &Object<'_>) -> bool {
    matches!(&*object.class.name, b"generator" | b"coroutine")
}

/// The index in the value stack of the generator or coroutine that a frame is about to have go on.
fn driven(codes: &Codes, state: &State, frame: &Frame) -> Option<usize> {
    let stack: Vec<Value> = frame.stack().collect();
    let is_generator = |index: &usize| match stack.get(*index) {
        Some(Value::Object(id)) => state.object(*id).is_some_and(|object| is_driven(&object)),
        _ => false,
    };
    let below = |from: usize| (from..=from + 1).filter_map(|below| stack.len().checked_sub(below));
    match instruction(frame.code(), frame.at())?.0 {
        // From 3.15 on NULL or an index is above what is gone through.
        Op::ForIter | Op::UnpackSequence | Op::UnpackEx => below(1).find(is_generator),
        Op::Send => below(2).find(is_generator),
        // `next`, `send`.
        Op::Call => {
            let call = Call::of(codes, state, frame)?;
            Some(call.unnamed.start).filter(is_generator)
        }
        _ => None,
    }
}

/// The same by the call that a frame is about to make with a step.
fn passed_at(
    recording: &Arc<Recording>,
    cursor: &mut Cursor,
    started: &Started,
    (step, number): (u64, FrameNumber),
) -> Result<Option<Put>, OpenError> {
    cursor.seek(step)?;
    let Some(state) = cursor.state() else {
        return Ok(None);
    };
    let Some(caller) = frame_of(state, number) else {
        return Ok(None);
    };
    let (slot, within) = match started.passed(recording.codes(), state, caller) {
        Some(Passed::Operand(index)) => {
            return Ok(Some(Put::Slot(step, number, Slot::Stack(index))));
        }
        Some(Passed::Item(slot, within)) => (slot, within),
        None => return Ok(None),
    };
    let Some(Value::Object(container)) = caller.stack().nth(slot as usize) else {
        return Ok(None);
    };
    let held = (step, number, Slot::Stack(slot));
    let item = Item::at(
        state,
        held,
        container,
        Key::from(within),
        Some(started.value()),
    );
    match item.filter(|item| item::may_be(item.value, started.value())) {
        Some(item) => container::put(recording, item).map(Some),
        None => Ok(None),
    }
}

/// Where an argument of a generator was before the call that made it, which is in this slot just before this step.
fn generator_argument(
    recording: &Arc<Recording>,
    cursor: &mut Cursor,
    started: &Started,
    generator: (u64, FrameNumber, Slot),
) -> Result<Option<Put>, OpenError> {
    let mut next = Some(generator);
    for _ in 0..MOST_ALIASES {
        let Some((step, frame, slot)) = next else {
            break;
        };
        let Some(hop) = origin(recording, step, frame, slot)? else {
            break;
        };
        cursor.seek(hop.step)?;
        let state = cursor.state();
        let Some(frame) = state.and_then(|state| frame_of(state, hop.frame)) else {
            break;
        };
        match instruction(frame.code(), hop.at) {
            Some((Op::Call | Op::CallKw | Op::CallFunctionEx, ..))
                if hop.kind == Kind::Produced =>
            {
                return passed_at(recording, cursor, started, (hop.step, hop.frame));
            }
            // A generator is its own iterator, a coroutine what is awaited, and either is what a method of it is called with.
            Some((
                Op::GetIter
                | Op::GetYieldFromIter
                | Op::GetAwaitable
                | Op::LoadAttr
                | Op::LoadMethod,
                ..,
            )) if hop.next.is_none() => {
                let top = (frame.stack().len() as u32).checked_sub(1);
                next = top.map(|top| (hop.step, hop.frame, Slot::Stack(top)));
            }
            _ => next = hop.next,
        }
    }
    Ok(None)
}
