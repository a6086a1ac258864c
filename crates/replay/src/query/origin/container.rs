//! Which instruction put an item into a list, tuple or dict, and where the item was then.
//!
//! All that recorded code does to the container is gone through backwards, and the item's index with it. What other code may have done to it ends the search, unless
//! the item is an object that was in one place of the container before.

use std::ops::ControlFlow;
use std::sync::Arc;

use debugop_bytecode::{InstrIdx, Op};
use debugop_recording::stream::{Contents, FrameNumber, Kind, ObjectId};
use debugop_value as data;

use super::super::argument::{Call, Within};
use super::super::search::{self, Found};
use super::super::{Place, frame_of, instruction};
use super::iterated::{self, Given};
use super::{Slot, Why};
use crate::code::{Code, Codes};
use crate::cursor::Cursor;
use crate::index::{Index, Mention};
use crate::machine::{Step, Watch};
use crate::recording::{OpenError, Recording};
use crate::state::{Frame, State};
use crate::value::Value;

/// An item may have been in so many containers, one after the other.
const MOST_CONTAINERS: usize = 8;
/// So many parts of the recording are looked at for one item.
const MOST_CHUNKS: usize = 3;

/// An item of a container.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) container: ObjectId,
    pub(super) key: Key,
    pub(super) value: Value,
    /// The step before which it is there, and where the container is then: a frame and a slot.
    pub(super) held: (u64, FrameNumber, Slot),
    /// Where the container was before that, if it is not there any more.
    pub(super) was: Option<(u64, FrameNumber, Slot)>,
}

/// Where in a container.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Key {
    Index(u64),
    /// A string or an int, of a dict.
    Key(data::Value),
}

/// Where an item came from.
#[derive(Clone, Debug)]
pub(super) enum Put {
    /// It was in this slot just before this step.
    Slot(u64, FrameNumber, Slot),
    Ends(Why),
}

/// What an instruction does to the container.
#[derive(Clone, Debug)]
enum What {
    /// The item gets what is in the slot of the value stack.
    Set(Key, u32),
    /// So many items, and the next one gets what is in the slot.
    Append(u64, u32),
    /// So many items, and those of what is in the slot follow.
    Extend(u64, u32),
    Insert(u64, u32),
    /// The item at this index goes.
    Remove(u64),
    /// The items of the dict in the slot.
    Update(u32),
    /// It is made by the instruction.
    Made(InstrIdx),
    /// Who knows. Where the item was before: so often, and there last.
    Anything(Option<(usize, u64)>),
}

struct Event {
    step: u64,
    frame: FrameNumber,
    what: What,
}

impl Item {
    /// The item of a container in a slot, by what an instruction takes; `None` if it is not known. `value`: what it is where
    /// its contents are not all known.
    pub(super) fn new(
        state: &State,
        codes: &Codes,
        (step, frame, slot): (u64, FrameNumber, u32),
        key: Value,
        value: Option<Value>,
    ) -> Option<Self> {
        let holder = frame_of(state, frame)?;
        let Value::Object(container) = holder.stack().nth(slot as usize)? else {
            return None;
        };
        let key = Key::of(state, codes, container, key)?;
        Self::at(
            state,
            (step, frame, Slot::Stack(slot)),
            container,
            key,
            value,
        )
    }

    pub(super) fn at(
        state: &State,
        held: (u64, FrameNumber, Slot),
        container: ObjectId,
        key: Key,
        value: Option<Value>,
    ) -> Option<Self> {
        let cut_off = || value.filter(|_| is_cut(state, container));
        let value = key.value(state, container).or_else(cut_off)?;
        Some(Self {
            container,
            key,
            value,
            held,
            was: None,
        })
    }
}

impl From<Within> for Key {
    fn from(within: Within) -> Self {
        match within {
            Within::Index(index) => Self::Index(index),
            Within::Name(name) => {
                // In WTF-8 each code point has one byte that continues none.
                let begins = name.iter().filter(|&&byte| byte & 0xc0 != 0x80);
                let length = begins.count() as u64;
                Self::Key(data::Value::Str(data::Text::from_wtf8(name, length)))
            }
        }
    }
}

impl Key {
    /// The item of `*args` or `**kwargs` that it is.
    fn within(&self) -> Option<Within> {
        match self {
            Self::Index(index) => Some(Within::Index(*index)),
            Self::Key(data::Value::Str(name)) => Some(Within::Name(name.as_wtf8().into())),
            Self::Key(_) => None,
        }
    }

    /// Of the kind of container that it is of.
    pub(super) fn of(
        state: &State,
        codes: &Codes,
        container: ObjectId,
        key: Value,
    ) -> Option<Self> {
        let object = state.object(container)?;
        match object.class.kind {
            Kind::List | Kind::Tuple => match (key, object.contents?) {
                (Value::Int(index), Contents::Items(items)) => {
                    let length = i64::try_from(items.length).ok()?;
                    let index = if index < 0 { index + length } else { index };
                    u64::try_from(index).ok().map(Self::Index)
                }
                _ => None,
            },
            Kind::Dict => match state.describe_as_seen(codes, key, 0) {
                key @ (data::Value::Int(_) | data::Value::Str(_)) => Some(Self::Key(key)),
                _ => None,
            },
            _ => None,
        }
    }

    /// What is there, as far as it was captured.
    pub(super) fn value(&self, state: &State, container: ObjectId) -> Option<Value> {
        match self {
            Self::Index(index) => {
                state.item(container, &data::Value::Int(i64::try_from(*index).ok()?))
            }
            Self::Key(key) => state.item(container, key),
        }
    }
}

/// Where an item comes from, as it was just before a step.
pub(super) fn put(recording: &Arc<Recording>, item: Item) -> Result<Put, OpenError> {
    let mut item = item;
    for _ in 0..MOST_CONTAINERS {
        match Search::new(recording, &item)?.find(item.held.0)? {
            Next::Put(put) => return Ok(put),
            Next::Item(next) => item = next,
        }
    }
    Ok(Put::Ends(Why::NotFollowed))
}

enum Next {
    Put(Put),
    Item(Item),
}

impl Next {
    /// Of what an iterator has given; `None` if it has it from nowhere.
    fn of(given: Given) -> Option<Self> {
        match given {
            Given::Nothing => None,
            Given::Item(item) => Some(Self::Item(item)),
            Given::Constant((step, frame, slot)) => {
                Some(Self::Put(Put::Slot(step, frame, Slot::Stack(slot))))
            }
            Given::Ends(why) => Some(why.into()),
        }
    }
}

impl From<Why> for Next {
    fn from(why: Why) -> Self {
        Self::Put(Put::Ends(why))
    }
}

struct Search<'a> {
    recording: &'a Arc<Recording>,
    cursor: Cursor,
    item: &'a Item,
    kind: Option<Kind>,
    /// Whether the recording has what is there, and not only how long the container is.
    is_captured: bool,
    key: Key,
    /// Why the search ends if nothing is found.
    otherwise: Why,
}

impl<'a> Search<'a> {
    fn new(recording: &'a Arc<Recording>, item: &'a Item) -> Result<Self, OpenError> {
        let mut cursor = recording.cursor();
        cursor.seek(item.held.0)?;
        let object = cursor
            .state()
            .and_then(|state| state.object(item.container));
        Ok(Self {
            recording,
            item,
            is_captured: object.is_some_and(|_| {
                let state = cursor.state();
                state.is_some_and(|state| item.key.value(state, item.container).is_some())
            }),
            kind: object.map(|object| object.class.kind),
            key: item.key.clone(),
            otherwise: Why::NotRecorded,
            cursor,
        })
    }

    fn find(mut self, before: u64) -> Result<Next, OpenError> {
        let (index, id) = (self.recording.index()?, self.item.container);
        let from = self.recording.known_from(before)?;
        let mut looked = 0;
        for chunk in search::chunks_before(index, before) {
            if index.firsts()[chunk] < from {
                return Ok(Why::NotRecorded.into());
            }
            if index.mentions(chunk, id) == Mention::No {
                continue;
            }
            let is_new = index.is_new(chunk, id);
            if !is_new && self.is_untouched(index, chunk) {
                continue;
            }
            looked += 1;
            if looked > MOST_CHUNKS {
                return Ok(Why::NotFollowed.into());
            }
            let events = self.events(chunk, before, is_new)?;
            for event in events.iter().rev() {
                if let Some(next) = self.undo(event)? {
                    return Ok(next);
                }
            }
            if is_new {
                break;
            }
        }
        // It has its items since it was made.
        let held = self.item.was.unwrap_or(self.item.held);
        if matches!(self.kind, Some(Kind::Tuple | Kind::Dict))
            && let Some(within) = self.key.within()
            && let Some(put) = super::passed::starred(
                self.recording,
                held,
                Value::Object(self.item.container),
                &within,
                self.item.value,
            )?
        {
            return Ok(Next::Put(put));
        }
        Ok(match self.kind {
            Some(Kind::Tuple) => {
                let (step, frame, slot) = held;
                Next::Put(Put::Slot(step, frame, slot))
            }
            _ => self.otherwise.into(),
        })
    }

    /// Whether the item, an object, was where it is all through a chunk: what is captured would show it elsewhere, or another one there.
    fn is_untouched(&self, index: &Index, chunk: usize) -> bool {
        let key = match &self.key {
            Key::Index(index) => data::Value::Int(i64::try_from(*index).unwrap_or(i64::MAX)),
            Key::Key(key) => key.clone(),
        };
        let place = Place::Item(self.item.container, key);
        self.is_captured
            && matches!(self.item.value, Value::Object(_))
            && !index.may_change(chunk, &place)
    }

    /// What is done to the container in a chunk before a step; whether it is made in the chunk.
    fn events(&self, chunk: usize, before: u64, is_new: bool) -> Result<Vec<Event>, OpenError> {
        let index = self.recording.index()?;
        let mut watch = Watch::default();
        for number in index.codes(chunk) {
            if let Some(code) = self.recording.codes().get(number) {
                watch.add(number, concerned(code));
            }
        }
        let mut found = Vec::new();
        let mut is_there = !is_new;
        // That it has been made is seen with the next step.
        search::in_chunk::<()>(self.recording, chunk, watch, 0, before + 1, |stop| {
            if let Found::Step(step, state) = stop {
                if let Some((made, is_given)) = self.made_before(step, state)
                    && (is_given || !is_there)
                {
                    found.push(made);
                    is_there |= !is_given;
                }
                if step.number < before {
                    found.extend(self.of_step(step, state));
                }
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// That the container may have been made by the instruction before a step, and whether that is a loop's, whose iterator gives one tuple again and again.
    fn made_before(&self, step: &Step, state: &State) -> Option<(Event, bool)> {
        let frame = state.frame()?;
        let made = step.at.0.checked_sub(1).map(InstrIdx)?;
        let (op, ..) = instruction(frame.code(), made)?;
        let is_on_top = frame.stack().last() == Some(Value::Object(self.item.container));
        if frame.before() != Some(made) || !is_on_top || !makes(op) {
            return None;
        }
        let is_given = op == Op::ForIter;
        if is_given && !iterated::makes_tuples(state, frame) {
            return None;
        }
        let event = Event {
            step: frame.previous_number?,
            frame: step.frame,
            what: What::Made(made),
        };
        Some((event, is_given))
    }

    /// What is done to the container with a step.
    fn of_step(&self, step: &Step, state: &State) -> Option<Event> {
        Some(Event {
            step: step.number,
            frame: step.frame,
            what: self.does(state, state.frame()?, step.at)?,
        })
    }

    /// What an instruction is about to do to the container.
    fn does(&self, state: &State, frame: &Frame, at: InstrIdx) -> Option<What> {
        let (op, _, arg) = instruction(frame.code(), at)?;
        let id = self.item.container;
        let depth = frame.stack().len();
        let below = |below: u32| {
            let index = depth.checked_sub(below as usize)?;
            frame.stack().nth(index)
        };
        let is = |depth: u32| below(depth) == Some(Value::Object(id));
        let slot = |below: u32| (depth as u32).saturating_sub(below);
        let codes = self.recording.codes();
        let anything = || What::Anything(self.place(state));
        let set = |key: Value, of: u32| match self.compare(state, codes, key) {
            Some(true) => Some(What::Set(self.item.key.clone(), slot(of))),
            Some(false) => None,
            None => Some(anything()),
        };
        match op {
            Op::StoreSubscr if is(2) => match self.kind {
                Some(Kind::List) => Some(match Key::of(state, codes, id, below(1)?) {
                    Some(key) => What::Set(key, slot(3)),
                    None => anything(),
                }),
                _ => set(below(1)?, 3),
            },
            Op::DeleteSubscr if is(2) => match Key::of(state, codes, id, below(1)?) {
                Some(Key::Index(index)) => Some(What::Remove(index)),
                _ => Some(anything()),
            },
            Op::StoreSlice if is(3) => Some(anything()),
            Op::ListAppend if is(arg + 1) => Some(What::Append(length(state, id)?, slot(1))),
            Op::MapAdd if is(arg + 2) => set(below(2)?, 1),
            Op::ListExtend if is(arg + 1) => Some(What::Extend(length(state, id)?, slot(1))),
            Op::DictUpdate | Op::DictMerge if is(arg + 1) => Some(What::Update(slot(1))),
            Op::BinaryOp if is(2) => match frame.code().version().binary_ops().get(arg as usize) {
                Some(&"+=") => Some(What::Extend(length(state, id)?, slot(1))),
                Some(symbol) if symbol.ends_with('=') => Some(anything()),
                _ => None,
            },
            Op::Call | Op::CallKw => {
                let taken = (1..=arg + 3).any(is);
                let call = Call::of(codes, state, frame).filter(|_| taken);
                match call {
                    Some(call) => self.called(state, frame, &call),
                    None => taken.then(anything),
                }
            }
            Op::CallFunctionEx if (1..=4).any(is) => Some(anything()),
            _ => None,
        }
    }

    /// What a call is about to do to the container.
    fn called(&self, state: &State, frame: &Frame, call: &Call) -> Option<What> {
        let id = self.item.container;
        let stack: Vec<Value> = frame.stack().collect();
        let arguments = stack.get(call.unnamed.start..)?;
        let is_taken = arguments.contains(&Value::Object(id));
        let Value::Object(callable) = call.callable else {
            return is_taken.then(|| What::Anything(self.place(state)));
        };
        let name = match state.object(callable) {
            // What they do, they do with instructions.
            Some(object) if matches!(object.class.kind, Kind::Function | Kind::Method) => {
                return None;
            }
            Some(object) => match object.contents {
                Some(Contents::Name(name)) => &**name,
                _ => b"",
            },
            None => b"",
        };
        if !is_taken || READERS.contains(&name) {
            return None;
        }
        let is_own = arguments.first() == Some(&Value::Object(id));
        let first = call.unnamed.start as u32;
        let count = arguments.len();
        let index =
            |at: usize| match Key::of(state, self.recording.codes(), id, *arguments.get(at)?) {
                Some(Key::Index(index)) => Some(index),
                _ => None,
            };
        let known = match name {
            b"list.append" if is_own && count == 2 => {
                length(state, id).map(|length| What::Append(length, first + 1))
            }
            b"list.extend" if is_own && count == 2 => {
                length(state, id).map(|length| What::Extend(length, first + 1))
            }
            b"list.insert" if is_own && count == 3 => length(state, id)
                .zip(index(1))
                .map(|(length, index)| What::Insert(index.min(length), first + 2)),
            b"list.pop" if is_own && count == 1 => {
                length(state, id)?.checked_sub(1).map(What::Remove)
            }
            b"list.pop" if is_own && count == 2 => index(1).map(What::Remove),
            // It is no key of the item's, or the item could not be there.
            b"dict.pop" if is_own => return None,
            b"dict.setdefault" if is_own && count == 3 => {
                let codes = self.recording.codes();
                match self.compare(state, codes, arguments[1]) {
                    Some(false) => return None,
                    Some(true) if self.item.key.value(state, id).is_some() => return None,
                    Some(true) => Some(What::Set(self.item.key.clone(), first + 2)),
                    None => None,
                }
            }
            b"dict.update" if is_own && count == 2 && call.names.is_empty() => {
                Some(What::Update(first + 1))
            }
            _ => None,
        };
        Some(known.unwrap_or_else(|| What::Anything(self.place(state))))
    }

    /// Whether a key of a dict is the item's; `None` if that is not known.
    fn compare(&self, state: &State, codes: &Codes, key: Value) -> Option<bool> {
        let Key::Key(own) = &self.item.key else {
            return None;
        };
        match (own, state.describe_as_seen(codes, key, 0)) {
            (data::Value::Int(own), data::Value::Bool(key)) => Some(*own == i64::from(key)),
            (own, key @ (data::Value::Int(_) | data::Value::Str(_))) => Some(*own == key),
            _ => None,
        }
    }

    /// How often the item, an object, is in the list, and where last.
    fn place(&self, state: &State) -> Option<(usize, u64)> {
        let Value::Object(_) = self.item.value else {
            return None;
        };
        let object = state.object(self.item.container)?;
        let Some(Contents::Items(items)) = object.contents else {
            return None;
        };
        // Wherever it was, what is found is compared with it.
        if items.items.len() as u64 != items.length {
            return None;
        }
        let mut places = (0u64..).zip(&items.items);
        let mut found = (0, 0);
        for (index, _) in places
            .by_ref()
            .filter(|(_, item)| Value::from(**item) == self.item.value)
        {
            found = (found.0 + 1, index);
        }
        Some(found)
    }

    /// Where the item was before the event, if that has put it into the container; otherwise its index before is known.
    fn undo(&mut self, event: &Event) -> Result<Option<Next>, OpenError> {
        let to = |slot| Some((event, slot));
        let taken = match (&event.what, &mut self.key) {
            (What::Set(key, slot), own) if *key == *own => to(*slot),
            (What::Append(length, slot), Key::Index(index)) if *index == *length => to(*slot),
            (What::Insert(at, slot), Key::Index(index)) => {
                if *index == *at {
                    to(*slot)
                } else {
                    *index -= u64::from(*index > *at);
                    None
                }
            }
            (What::Append(length, _), Key::Index(index)) if *index > *length => {
                return Ok(Some(Why::NotRecorded.into()));
            }
            (What::Remove(at), Key::Index(index)) => {
                *index += u64::from(*index >= *at);
                None
            }
            (What::Extend(length, slot), Key::Index(index)) if *index >= *length => {
                let index = *index - *length;
                return self.of_other(event, *slot, Some(index)).map(Some);
            }
            (What::Update(slot), Key::Key(key)) => {
                let key = key.clone();
                return self.updated(event, *slot, &key);
            }
            (What::Made(at), _) => return self.made(event, *at),
            (What::Anything(place), Key::Index(index)) => match place {
                Some((1, at)) => {
                    *index = *at;
                    None
                }
                Some((0, _)) | None => return Ok(Some(Why::Called.into())),
                Some(_) => return Ok(Some(Why::OneOf.into())),
            },
            (What::Anything(_), Key::Key(_)) => return Ok(Some(Why::Called.into())),
            _ => None,
        };
        let Some((event, slot)) = taken else {
            return Ok(None);
        };
        self.stored(event, slot).map(Some)
    }

    /// It was in this slot, if what is there is what is in the container.
    fn stored(&mut self, event: &Event, slot: u32) -> Result<Next, OpenError> {
        let value = self.operand(event, slot)?;
        let is_it = value.is_some_and(|value| match value {
            Value::Constant(..) | Value::BigInt(_) | Value::Complex(_) => true,
            Value::Null | Value::Unknown(_) | Value::Pending => false,
            // The others are numbered anew in each chunk.
            value => {
                value == self.item.value
                    || matches!(self.item.value, Value::BigInt(_) | Value::Complex(_))
            }
        });
        Ok(match is_it {
            true => Next::Put(Put::Slot(event.step, event.frame, Slot::Stack(slot))),
            false => Why::Called.into(),
        })
    }

    fn operand(&mut self, event: &Event, slot: u32) -> Result<Option<Value>, OpenError> {
        self.cursor.seek(event.step)?;
        let state = self.cursor.state();
        let frame = state.and_then(|state| frame_of(state, event.frame));
        Ok(frame.and_then(|frame| frame.stack().nth(slot as usize)))
    }

    /// It was the item with this index, if that is known, of what is in this slot, or that an iterator there gives.
    fn of_other(
        &mut self,
        event: &Event,
        slot: u32,
        index: Option<u64>,
    ) -> Result<Next, OpenError> {
        let held = (event.step, event.frame, slot);
        let value = self.operand(event, slot)?;
        if let Some(Value::Constant(..)) = value {
            let (step, frame, slot) = held;
            return Ok(Next::Put(Put::Slot(step, frame, Slot::Stack(slot))));
        }
        let key = index.map(|index| Value::Int(i64::try_from(index).unwrap_or(i64::MAX)));
        let item = self.cursor.state().zip(key).and_then(|(state, key)| {
            Item::new(
                state,
                self.recording.codes(),
                held,
                key,
                Some(self.item.value),
            )
        });
        if let Some(item) = item {
            return Ok(match item.value == self.item.value {
                true => Next::Item(item),
                false => Why::Called.into(),
            });
        }
        let at = self.cursor.seek(event.step)?;
        let wanted = (index, self.item.value);
        let found = iterated::of_all(self.recording, &mut self.cursor, &at, slot, wanted)?;
        Ok(Next::of(found).unwrap_or_else(|| Why::Called.into()))
    }

    /// A dict has got the items of what is in the slot.
    fn updated(
        &mut self,
        event: &Event,
        slot: u32,
        key: &data::Value,
    ) -> Result<Option<Next>, OpenError> {
        let other = self.operand(event, slot)?;
        let Some(state) = self.cursor.state() else {
            return Ok(Some(Why::NotRecorded.into()));
        };
        let Some(Value::Object(other)) = other else {
            return Ok(Some(Why::Called.into()));
        };
        let contents = state
            .object(other)
            .filter(|object| object.class.kind == Kind::Dict);
        let Some(Contents::Pairs(pairs)) = contents.and_then(|object| object.contents) else {
            return Ok(Some(Why::Called.into()));
        };
        let held = (event.step, event.frame, Slot::Stack(slot));
        match Item::at(state, held, other, Key::Key(key.clone()), None) {
            Some(item) if item.value == self.item.value => Ok(Some(Next::Item(item))),
            None if pairs.pairs.len() as u64 == pairs.length => Ok(None),
            _ => Ok(Some(Why::Called.into())),
        }
    }

    /// The container is made by the instruction, or given by the call, which may not have made it: `None`.
    fn made(&mut self, event: &Event, at: InstrIdx) -> Result<Option<Next>, OpenError> {
        self.cursor.seek(event.step)?;
        let Some(state) = self.cursor.state() else {
            return Ok(Some(Why::NotRecorded.into()));
        };
        let Some(frame) = frame_of(state, event.frame) else {
            return Ok(Some(Why::NotRecorded.into()));
        };
        let Some((op, _, arg)) = instruction(frame.code(), at) else {
            return Ok(Some(Why::NotRecorded.into()));
        };
        if op == Op::ForIter {
            return self.of_round(event).map(Some);
        }
        let codes = self.recording.codes();
        let stack: Vec<Value> = frame.stack().collect();
        let depth = stack.len() as u32;
        let slot = match (op, &self.key) {
            (Op::BuildList | Op::BuildTuple, Key::Index(index)) => {
                let index = u32::try_from(*index).ok().filter(|index| *index < arg);
                index.and_then(|index| (depth + index).checked_sub(arg))
            }
            (Op::BuildMap, Key::Key(_)) => {
                let pairs = (0..arg)
                    .rev()
                    .filter_map(|pair| (depth + 2 * pair).checked_sub(2 * arg));
                let mut found = None;
                for key in pairs {
                    match self.compare(state, codes, stack[key as usize]) {
                        Some(true) => {
                            found = Some(key + 1);
                            break;
                        }
                        Some(false) => {}
                        None => break,
                    }
                }
                found
            }
            (Op::BuildConstKeyMap, Key::Key(own)) => {
                let keys = stack
                    .last()
                    .map(|keys| state.describe_as_seen(codes, *keys, 1));
                let Some(data::Value::Tuple(keys)) = keys else {
                    return Ok(Some(Why::NotRecorded.into()));
                };
                let index = keys.items.iter().rposition(|key| key == own);
                index.and_then(|index| (depth - 1 + index as u32).checked_sub(arg))
            }
            (Op::Call | Op::CallKw, _) => {
                let call = Call::of(codes, state, frame);
                let named = call.and_then(|call| named(state, &call, &self.key));
                match named {
                    Some(slot) => Some(slot),
                    None => return self.copied(event),
                }
            }
            _ => None,
        };
        match slot {
            Some(slot) => self.stored(event, slot).map(Some),
            None => Ok(Some(Why::NotRecorded.into())),
        }
    }

    /// A round of a loop has begun with the container, which the iterator has made.
    fn of_round(&mut self, event: &Event) -> Result<Next, OpenError> {
        let held = self.item.held;
        if let Key::Index(position) = self.key {
            let at = self.cursor.seek(event.step)?;
            let tuple = (self.item.container, position);
            let seen = (held.0, self.item.value);
            let found = iterated::of_tuple(self.recording, &mut self.cursor, &at, tuple, seen)?;
            if let Some(next) = Next::of(found) {
                return Ok(next);
            }
        }
        Ok(Next::Put(Put::Slot(held.0, held.1, held.2)))
    }

    /// The container is given by a call: it is a copy, or has been somewhere before, or what was called has made it.
    fn copied(&mut self, event: &Event) -> Result<Option<Next>, OpenError> {
        let found = self.cursor.state().and_then(|state| {
            let frame = frame_of(state, event.frame)?;
            let call = Call::of(self.recording.codes(), state, frame)?;
            let Value::Object(callable) = call.callable else {
                return None;
            };
            let Some(Contents::Name(name)) = state.object(callable)?.contents else {
                return None;
            };
            let sorts = &**name == b"sorted";
            let copies = matches!(
                &**name,
                b"list" | b"tuple" | b"dict" | b"list.copy" | b"dict.copy"
            );
            let is_one = call.unnamed.len() == 1 && (sorts || call.names.is_empty());
            ((copies || sorts) && is_one).then_some((call.unnamed.start as u32, sorts))
        });
        let Some((slot, sorts)) = found else {
            self.otherwise = Why::Called;
            return Ok(None);
        };
        match self.key.clone() {
            Key::Index(index) => {
                let index = Some(index).filter(|_| !sorts);
                self.of_other(event, slot, index).map(Some)
            }
            Key::Key(key) => {
                let next = self.updated(event, slot, &key)?;
                Ok(next.or_else(|| Some(Why::Called.into())))
            }
        }
    }
}

/// Builtins that change nothing of the containers that they are called with, and run nothing that has them.
const READERS: &[&[u8]] = &[
    b"len",
    b"print",
    b"repr",
    b"id",
    b"isinstance",
    b"iter",
    b"enumerate",
    b"zip",
    b"reversed",
    b"list",
    b"tuple",
    b"dict",
    b"set",
    b"frozenset",
    b"bool",
    b"str",
    b"type",
    b"any",
    b"all",
    b"sum",
    b"min",
    b"max",
    b"sorted",
    b"list.index",
    b"list.count",
    b"list.copy",
    b"dict.get",
    b"dict.keys",
    b"dict.values",
    b"dict.items",
    b"dict.copy",
    b"str.join",
];

/// Whether more may be in a container than was captured.
fn is_cut(state: &State, container: ObjectId) -> bool {
    let object = state.object(container);
    if object.is_some_and(|object| !object.certain) {
        return true;
    }
    match object.and_then(|object| object.contents) {
        Some(Contents::Items(items)) => (items.items.len() as u64) < items.length,
        Some(Contents::Pairs(pairs)) => (pairs.pairs.len() as u64) < pairs.length,
        _ => false,
    }
}

fn length(state: &State, id: ObjectId) -> Option<u64> {
    match state.object(id)?.contents? {
        Contents::Items(items) => Some(items.length),
        _ => None,
    }
}

/// The slot of the argument by this name, of a call of `dict`.
fn named(state: &State, call: &Call, key: &Key) -> Option<u32> {
    let (Value::Object(callable), Key::Key(data::Value::Str(key))) = (call.callable, key) else {
        return None;
    };
    let Some(Contents::Name(name)) = state.object(callable)?.contents else {
        return None;
    };
    let at = call
        .names
        .iter()
        .position(|name| **name == *key.as_wtf8())?;
    (&**name == b"dict").then_some((call.unnamed.end + at) as u32)
}

/// Whether an instruction may make a container whose items it takes, or give one that an iterator has made.
fn makes(op: Op) -> bool {
    matches!(
        op,
        Op::BuildList
            | Op::BuildTuple
            | Op::BuildMap
            | Op::BuildConstKeyMap
            | Op::Call
            | Op::CallKw
            | Op::ForIter
    )
}

/// The instructions that may make or change a container, and those behind which one may be seen that has been made.
fn concerned(code: &Code) -> Vec<InstrIdx> {
    let all = 0..code.analysis().instructions().len() as u32;
    let op = |at: u32| instruction(code, InstrIdx(at)).map(|(op, ..)| op);
    let is_concerned = |at: u32| {
        at.checked_sub(1).and_then(op).is_some_and(makes)
            || op(at).is_some_and(|op| {
                matches!(
                    op,
                    Op::StoreSubscr
                        | Op::DeleteSubscr
                        | Op::StoreSlice
                        | Op::ListAppend
                        | Op::MapAdd
                        | Op::ListExtend
                        | Op::DictUpdate
                        | Op::DictMerge
                        | Op::BinaryOp
                        | Op::Call
                        | Op::CallKw
                        | Op::CallFunctionEx
                )
            })
    };
    all.filter(|&at| is_concerned(at)).map(InstrIdx).collect()
}
