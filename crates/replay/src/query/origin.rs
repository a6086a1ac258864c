//! Where a value comes from.

mod container;
mod item;
mod iterated;
mod passed;

use std::cell::Cell;
use std::sync::Arc;

use debugop_bytecode::{Argument, InstrIdx, Op, Opcode, Output, effect, operands};
use debugop_recording::stream::FrameNumber;
use debugop_value as data;

use crate::code::Code;
use crate::cursor::Cursor;
use crate::machine::Step;
use crate::recording::{OpenError, Recording};
use crate::state::{Frame, State};
use crate::value::Value;

use self::container::Put;
use self::item::Taken;
use self::passed::{argument, is_driven};
use super::{How, Place, PlaceError, Write, frame_of, instruction, last_write, search};

/// How deep containers in containers are shown.
const DEPTH: u32 = 2;

/// A slot of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// Index into localsplus.
    Local(u32),
    /// Index into the value stack, 0 being the bottom.
    Stack(u32),
}

impl Slot {
    /// The slot of the value stack that `stack[N]` names, where 0 is the top; `None` if the text is no such name.
    fn on_stack(text: &str, frame: &Frame) -> Result<Option<Self>, PlaceError> {
        let inside = text.strip_prefix("stack[");
        let Some(index) = inside.and_then(|rest| rest.strip_suffix(']')) else {
            return Ok(None);
        };
        let depth = frame.stack().len();
        let index: usize = index
            .trim()
            .parse()
            .map_err(|_| PlaceError::StackSyntax(text.to_owned()))?;
        let found = index
            .checked_add(1)
            .and_then(|from| depth.checked_sub(from));
        found
            .map(|found| Some(Self::Stack(found as u32)))
            .ok_or(PlaceError::NotOnStack(depth))
    }
}

/// What one can ask the origin of.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// What is in a slot of a frame.
    Slot(FrameNumber, Slot),
    /// What is in another place: a global, a cell, an attribute, an item.
    Place(Place),
}

impl Target {
    /// What a text asks for, as seen from a frame just before a step: a [place](Place::find), or `stack[N]`, where 0 is the top.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn find(
        recording: &Arc<Recording>,
        text: &str,
        frame: &Frame,
        state: &State,
        step: u64,
    ) -> Result<Self, PlaceError> {
        if let Some(slot) = Slot::on_stack(text, frame)? {
            return Ok(Self::Slot(frame.number(), slot));
        }
        Ok(match Place::find(recording, text, frame, state, step)? {
            Place::Local(frame, slot) => Self::Slot(frame, Slot::Local(slot)),
            place => Self::Place(place),
        })
    }
}

/// What an instruction made a value from.
#[derive(Clone, Debug, PartialEq)]
pub struct Operand {
    /// Where it was, before the step.
    pub slot: Slot,
    /// What it was.
    pub value: data::Value,
}

/// How a value came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A constant of the code.
    Literal,
    /// The instruction made it from its operands, or got it from what it called.
    Produced,
    /// A call has returned or yielded it: the origin goes on in the callee.
    Returned,
    /// It was an argument: the origin goes on in the caller.
    Argument,
    /// It was taken from a variable, an attribute or an item: the origin goes on where that was bound.
    Loaded,
    /// The place that was asked for has been bound to it.
    Bound,
    /// It was in the place that was asked for after the instruction: something that this called has put it there.
    Changed,
    /// The frame had it when the recording began, or what made it is not recorded.
    Unknown,
}

/// Why an origin goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// It came from a call of what is not recorded, such as C code, or that may have put it there.
    Called,
    /// It is one of several, and nothing tells which.
    OneOf,
    /// What did it is not in the recording.
    NotRecorded,
    /// It is too far away, or came in a way that is not followed.
    NotFollowed,
}

impl Why {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Called => "it came from a call of what is not recorded",
            Self::OneOf => "it is one of several, and nothing tells which",
            Self::NotRecorded => "nothing in the recording tells what put it there",
            Self::NotFollowed => "what put it there is not looked for any further",
        }
    }
}

/// One hop: which instruction produced a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// The step of the instruction; of an argument, the step with which the frame starts.
    pub step: u64,
    /// Its frame.
    pub frame: FrameNumber,
    /// The number of the frame's code object.
    pub code: u32,
    /// The instruction.
    pub at: InstrIdx,
    /// How it came to be.
    pub kind: Kind,
    /// The value.
    pub value: data::Value,
    /// What the instruction took.
    pub operands: Vec<Operand>,
    /// Where the origin goes on: just before this step, in this frame, in this slot.
    pub next: Option<(u64, FrameNumber, Slot)>,
    /// Why it does not, where the instruction is not the end by itself.
    pub ends: Option<Why>,
}

thread_local! {
    static NESTED: Cell<u32> = const { Cell::new(0) };
}

/// Where a value comes from may depend on where another does, such as the iterator that gave it: so deep at most, whatever a recording holds.
struct Nested;

impl Nested {
    const MOST: u32 = 32;

    fn deeper() -> Option<Self> {
        let is_less = NESTED.get() < Self::MOST;
        is_less.then(|| {
            NESTED.set(NESTED.get() + 1);
            Self
        })
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        NESTED.set(NESTED.get() - 1);
    }
}

/// Where a value in a slot, as it is just before a step, comes from: the instruction that produced it, through whatever it was copied.
///
/// # Errors
/// [`OpenError`].
pub fn origin(
    recording: &Arc<Recording>,
    step: u64,
    frame: FrameNumber,
    slot: Slot,
) -> Result<Option<Origin>, OpenError> {
    let Some(_nested) = Nested::deeper() else {
        return Ok(None);
    };
    let mut cursor = recording.cursor();
    let Some(code) = code_of(&mut cursor, step, frame)? else {
        return Ok(None);
    };
    let base = code.locals().slots;
    let mut slot = match slot {
        Slot::Local(local) => local,
        Slot::Stack(index) => base + index,
    };
    let number = code.data().number;
    if let Some(literal) = returned_constant(recording, &mut cursor, step, frame, slot)? {
        return Ok(Some(literal));
    }
    let mut before = step;
    let known_from = recording.known_from(step)?;
    loop {
        let affecting = affecting(&code, slot);
        let last = search::last_of_frame(recording, frame, number, &affecting, before)?;
        let Some(at) = last.filter(|at| at.number >= known_from) else {
            // The step itself may be the frame's first.
            let first = search::first_of_frame(recording, frame, number, before + 1)?;
            // Between its last steps before this one some may be missing.
            let first = first.filter(|first| first.number >= known_from);
            let hop = first.map(|first| argument(recording, &mut cursor, &first, slot));
            return hop.transpose();
        };
        let mut from = source(&code, at.at, slot, false);
        if from != source(&code, at.at, slot, true) {
            let next = search::next_of_frame(recording, &at, step)?;
            let jumped = next.is_some_and(|next| {
                next.at.0 != at.at.0 + 1 && code.analysis().target(at.at) == Some(next.at)
            });
            from = source(&code, at.at, slot, jumped);
        }
        let kind = match from {
            Some(From::Slot(from)) => {
                slot = from;
                before = at.number;
                continue;
            }
            Some(From::Made(kind)) => kind,
            None => Kind::Unknown,
        };
        return produced(recording, &mut cursor, &at, kind, step, slot).map(Some);
    }
}

/// The hop to `RETURN_CONST` (3.12, 3.13), which a frame is about to execute: its value is where nothing is on the stack yet.
fn returned_constant(
    recording: &Arc<Recording>,
    cursor: &mut Cursor,
    step: u64,
    number: FrameNumber,
    slot: u32,
) -> Result<Option<Origin>, OpenError> {
    let at = cursor.seek(step)?;
    let Some(state) = cursor.state() else {
        return Ok(None);
    };
    let frame = state.frame().filter(|frame| frame.number() == number);
    let Some(frame) =
        frame.filter(|frame| slot == frame.code().locals().slots + frame.stack().len() as u32)
    else {
        return Ok(None);
    };
    let Some((Op::ReturnConst, _, index)) = instruction(frame.code(), at.at) else {
        return Ok(None);
    };
    Ok(Some(Origin {
        step,
        frame: number,
        code: at.code,
        at: at.at,
        kind: Kind::Literal,
        value: state.describe(recording.codes(), frame.constant(index), DEPTH),
        operands: Vec::new(),
        next: None,
        ends: None,
    }))
}

/// The instructions after which something else may be in a slot than before, in order.
fn affecting(code: &Code, slot: u32) -> Vec<InstrIdx> {
    let all = 0..code.analysis().instructions().len() as u32;
    let keeps = |at: InstrIdx, jumped| source(code, at, slot, jumped) == Some(From::Slot(slot));
    all.map(InstrIdx)
        .filter(|&at| code.is_step(at) && !(keeps(at, false) && keeps(at, true)))
        .collect()
}

/// The origin of a value, hop by hop, at most so many.
///
/// # Errors
/// [`OpenError`].
pub fn origins(
    recording: &Arc<Recording>,
    step: u64,
    frame: FrameNumber,
    slot: Slot,
    most: usize,
) -> Result<Vec<Origin>, OpenError> {
    let mut found = Vec::new();
    let mut next = Some((step, frame, slot));
    while let Some((step, frame, slot)) = next.take()
        && found.len() < most
    {
        let Some(hop) = origin(recording, step, frame, slot)? else {
            break;
        };
        next = hop.next;
        found.push(hop);
    }
    Ok(found)
}

/// The origin of what was asked for, as it is just before a step: at most `most` hops, of a place first the instruction that bound it.
///
/// # Errors
/// [`OpenError`].
pub fn origins_of(
    recording: &Arc<Recording>,
    step: u64,
    target: &Target,
    most: usize,
) -> Result<Vec<Origin>, OpenError> {
    let place = match target {
        Target::Slot(frame, slot) => return origins(recording, step, *frame, *slot, most),
        Target::Place(place) => place,
    };
    let mut write = last_write(recording, place, step)?;
    if write.is_none()
        && let Place::Cell(_) = place
    {
        // The frame that is about to begin makes it of an argument.
        let began = last_write(recording, place, step + 1)?;
        write = began.filter(|write| write.how == How::Argument);
    }
    let Some(write) = write else {
        return Ok(Vec::new());
    };
    if write.how == How::Argument
        && let Some(slot) = stored_slot(recording, place, &write)?
    {
        return origins(recording, write.step, write.frame, slot, most);
    }
    let mut found = vec![bound(recording, place, &write)?];
    if let Some((step, frame, slot)) = found[0].next {
        let further = most.saturating_sub(1);
        found.extend(origins(recording, step, frame, slot, further)?);
    }
    Ok(found)
}

/// The hop to the instruction that bound a place.
fn bound(recording: &Arc<Recording>, place: &Place, write: &Write) -> Result<Origin, OpenError> {
    let (kind, slot) = match write.how {
        How::Bound => (Kind::Bound, stored_slot(recording, place, write)?),
        How::Changed => (Kind::Changed, None),
        How::Argument => (Kind::Argument, stored_slot(recording, place, write)?),
        How::Deleted => (Kind::Unknown, None),
    };
    let value = write.value.clone();
    Ok(Origin {
        step: write.step,
        frame: write.frame,
        code: write.code,
        at: write.at,
        kind,
        value: value.unwrap_or_else(|| data::Value::Unknown("nothing".into())),
        operands: Vec::new(),
        next: slot.map(|slot| (write.step, write.frame, slot)),
        ends: (write.how == How::Changed).then_some(Why::Called),
    })
}

fn code_of(
    cursor: &mut Cursor,
    step: u64,
    frame: FrameNumber,
) -> Result<Option<Arc<Code>>, OpenError> {
    cursor.seek(step)?;
    let frame = cursor.state().and_then(|state| {
        let mut threads = state.threads();
        threads.find_map(|(_, thread)| {
            let mut frames = thread.frames().iter();
            frames.find(|known| known.number() == frame)
        })
    });
    Ok(frame.map(|frame| Arc::clone(frame.code())))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// From this slot, before the instruction: index into localsplus and the stack behind it.
    Slot(u32),
    Made(Kind),
}

/// Where what is in a slot after an instruction was before it; `None` if that cannot be told.
fn source(code: &Code, at: InstrIdx, slot: u32, jumped: bool) -> Option<From> {
    let (_, opcode, arg) = instruction(code, at)?;
    let effect = effect(code.version(), opcode, arg, jumped)?;
    let base = code.locals().slots;
    let depth = code.analysis().depth(at)?;
    let output = |output: Output| match output {
        Output::Below(below) => (base + depth).checked_sub(below).map(From::Slot),
        Output::Local(local) => Some(From::Slot(local)),
        Output::Constant(_) | Output::SmallInt(_) | Output::Common(_) | Output::Null => {
            Some(From::Made(Kind::Literal))
        }
        Output::Next(_) | Output::Bool | Output::Produced => Some(From::Made(Kind::Produced)),
    };
    if slot < base {
        let written = effect.writes.iter().rev().find(|write| write.0 == slot);
        return match written {
            Some(written) => output(written.1),
            None => Some(From::Slot(slot)),
        };
    }
    let index = slot - base;
    let kept = depth.checked_sub(effect.pops)?;
    if effect.swap > 0 {
        let (top, other) = (depth.checked_sub(1)?, depth.checked_sub(effect.swap)?);
        let from = match index {
            index if index == top => other,
            index if index == other => top,
            index => index,
        };
        return Some(From::Slot(base + from));
    }
    match index.checked_sub(kept) {
        None => Some(From::Slot(slot)),
        Some(pushed) => output(*effect.pushes.get(pushed as usize)?),
    }
}

/// The hop to an instruction that made a value, which was seen before step `seen`.
fn produced(
    recording: &Arc<Recording>,
    cursor: &mut Cursor,
    at: &Step,
    kind: Kind,
    seen: u64,
    slot: u32,
) -> Result<Origin, OpenError> {
    cursor.seek(at.number)?;
    let mut hop = Origin {
        step: at.number,
        frame: at.frame,
        code: at.code,
        at: at.at,
        kind,
        value: data::Value::Unknown("not known".into()),
        operands: Vec::new(),
        next: None,
        ends: None,
    };
    let Some(state) = cursor.state() else {
        return Ok(hop);
    };
    let codes = recording.codes();
    let Some(frame) = frame_of(state, at.frame) else {
        return Ok(hop);
    };
    let depth = frame.stack().len();
    let op = instruction(frame.code(), at.at);
    if kind == Kind::Produced
        && let Some((_, opcode, arg)) = op
    {
        let pops = operands(frame.code().version(), opcode, arg).map_or(0, |found| found.pops());
        let first = depth.saturating_sub(usize::try_from(pops).unwrap_or(usize::MAX));
        let taken = frame.stack().enumerate().skip(first);
        hop.operands = taken
            .map(|(index, value)| Operand {
                slot: Slot::Stack(index as u32),
                value: state.describe(codes, value, DEPTH),
            })
            .collect();
    }
    let loaded = op.and_then(|op| place_of(op, frame));
    let after = value_after(recording, cursor, at, seen, slot)?;
    let is_known = after.is_some();
    let (value, shown) = after.unzip();
    hop.value = shown.unwrap_or(hop.value);
    if kind != Kind::Produced && loaded.is_none() {
        return Ok(hop);
    }
    if kind == Kind::Produced
        && let Some(returned) = callee(
            recording,
            cursor,
            at,
            (seen, slot),
            value.filter(|_| is_known),
        )?
    {
        hop.kind = Kind::Returned;
        hop.next = Some(returned);
        return Ok(hop);
    }
    if let Some(place) = loaded {
        if let Some(write) = last_write(recording, &place, at.number)? {
            hop.kind = Kind::Loaded;
            hop.next =
                stored_slot(recording, &place, &write)?.map(|slot| (write.step, write.frame, slot));
            hop.ends = (hop.next.is_none() && write.how == How::Changed).then_some(Why::Called);
        }
        return Ok(hop);
    }
    let is_call =
        op.is_some_and(|(op, ..)| matches!(op, Op::Call | Op::CallKw | Op::CallFunctionEx));
    let makes_generator = match value {
        Some(Value::Object(id)) => cursor
            .state()
            .and_then(|state| state.object(id))
            .is_some_and(|object| is_driven(&object)),
        _ => false,
    };
    match item::taken(recording, cursor, at, slot, value.filter(|_| is_known))? {
        Taken::Nothing => hop.ends = (is_call && !makes_generator).then_some(Why::Called),
        Taken::Constant(step, frame, slot) => {
            hop.kind = Kind::Loaded;
            hop.next = Some((step, frame, Slot::Stack(slot)));
        }
        Taken::Item(item) => {
            hop.kind = Kind::Loaded;
            match container::put(recording, item)? {
                Put::Slot(step, frame, slot) => hop.next = Some((step, frame, slot)),
                Put::Ends(why) => hop.ends = Some(why),
            }
        }
        Taken::Ends(why) => hop.ends = Some(why),
    }
    Ok(hop)
}

/// The value in a slot after a step, in the frame's next step.
fn value_after(
    recording: &Arc<Recording>,
    cursor: &mut Cursor,
    at: &Step,
    seen: u64,
    slot: u32,
) -> Result<Option<(Value, data::Value)>, OpenError> {
    let next = search::next_of_frame(recording, at, seen)?;
    cursor.seek(next.map_or(seen, |next| next.number))?;
    let Some(state) = cursor.state() else {
        return Ok(None);
    };
    let value = frame_of(state, at.frame).map(|frame| frame.get(slot));
    let shown = |value| state.describe(recording.codes(), value, DEPTH);
    Ok(value.map(|value| (value, shown(value))))
}

/// The place that an instruction loads from.
fn place_of((op, opcode, arg): (Op, Opcode, u32), frame: &Frame) -> Option<Place> {
    let version = frame.code().version();
    let name = |arg: u32| {
        let wtf8 = frame.code().data().names.get(arg as usize)?;
        Some(String::from_utf8_lossy(wtf8).into_owned())
    };
    let below = |depth: usize| {
        let mut stack = frame.stack();
        let index = stack.len().checked_sub(depth)?;
        stack.nth(index)
    };
    match op {
        Op::LoadGlobal => {
            // The lowest bit tells whether NULL is pushed too (`dis`, "LOAD_GLOBAL").
            Some(Place::Global(frame.code().filename(), name(arg >> 1)?))
        }
        Op::LoadName => Some(Place::Global(frame.code().filename(), name(arg)?)),
        Op::LoadDeref => match frame.get(arg) {
            Value::Object(id) => Some(Place::Cell(id)),
            _ => None,
        },
        Op::LoadAttr => {
            let Argument::Name(index, _) = Argument::new(version, opcode, arg, 0) else {
                return None;
            };
            match below(1)? {
                Value::Object(id) => Some(Place::Attribute(id, name(index)?)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The slot, before the step of a write, of the value that it stored.
fn stored_slot(
    recording: &Arc<Recording>,
    place: &Place,
    write: &Write,
) -> Result<Option<Slot>, OpenError> {
    let mut cursor = recording.cursor();
    cursor.seek(write.step)?;
    let Some(frame) = cursor
        .state()
        .and_then(|state| frame_of(state, write.frame))
    else {
        return Ok(None);
    };
    let Some((op, ..)) = instruction(frame.code(), write.at) else {
        return Ok(None);
    };
    let below = match op {
        // The cell is made of the argument.
        Op::Resume => {
            let Place::Cell(cell) = place else {
                return Ok(None);
            };
            let mut slots = (0..).zip(frame.locals());
            let found = slots.find(|(_, value)| *value == Value::Object(*cell));
            return Ok(found.map(|(slot, _)| Slot::Local(slot)));
        }
        Op::StoreGlobal | Op::StoreName | Op::StoreDeref | Op::StoreFast => 1,
        Op::StoreAttr => 2,
        Op::StoreSubscr => 3,
        _ => return Ok(None),
    };
    let index = frame.stack().len().checked_sub(below);
    Ok(index.map(|index| Slot::Stack(index as u32)))
}

/// If a recorded frame has returned or yielded the value that the instruction has put into a slot: the step with which it did, and where the value was.
fn callee(
    recording: &Arc<Recording>,
    cursor: &mut Cursor,
    at: &Step,
    (seen, slot): (u64, u32),
    value: Option<Value>,
) -> Result<Option<(u64, FrameNumber, Slot)>, OpenError> {
    cursor.seek(at.number)?;
    // What is unpacked may be yielded one after the other.
    let from_first = cursor.state().and_then(|state| {
        let frame = frame_of(state, at.frame)?;
        item::position(frame, slot)
    });
    let frames = |cursor: &Cursor| {
        let thread = cursor.state().and_then(State::thread);
        thread.map_or(0, |(_, thread)| thread.frames().len())
    };
    let below = frames(cursor);
    let until = search::next_of_frame(recording, at, seen)?.map_or(seen, |next| next.number);
    // What has run last directly above the frame, before that went on.
    let mut step = match until > at.number + 1 {
        true => cursor.seek(until - 1).map(Some)?,
        false => None,
    };
    let mut yielded = Vec::new();
    while let Some(there) = step
        && there.number > at.number
    {
        if there.thread == at.thread && frames(cursor) == below + 1 {
            let frame = cursor.state().and_then(State::frame);
            let Some(frame) = frame else { break };
            let depth = frame.stack().len();
            let left = match instruction(frame.code(), there.at) {
                Some((Op::ReturnValue | Op::YieldValue, ..)) => {
                    let top = depth.checked_sub(1);
                    top.and_then(|top| Some((top, frame.stack().nth(top)?)))
                }
                // It is nowhere before: `returned_constant`.
                Some((Op::ReturnConst, _, index)) => Some((depth, frame.constant(index))),
                _ => None,
            };
            let is_yielded = matches!(
                instruction(frame.code(), there.at),
                Some((Op::YieldValue, ..))
            );
            let is_it = |left: Value| value.is_none_or(|value| item::may_be(left, value));
            let found = left.map(|(top, left)| {
                let place = (there.number, there.frame, Slot::Stack(top as u32));
                (place, is_it(left))
            });
            match from_first {
                None => return Ok(found.filter(|found| found.1).map(|found| found.0)),
                Some(_) if is_yielded => yielded.extend(found),
                Some(_) => {}
            }
        }
        step = cursor.previous()?;
    }
    let found = from_first.and_then(|position| yielded.into_iter().nth_back(position as usize));
    Ok(found.filter(|found| found.1).map(|found| found.0))
}
