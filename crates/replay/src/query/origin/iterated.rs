//! What iterators give, and where they have it from: lists, tuples and dicts, also through `enumerate`, `zip`, `reversed`, `iter`, and the values and items of a dict.
//!
//! Which of the items it is, is told by identity if it is an object that is there once; else by how many have been given before, if all of them are known.

use std::ops::ControlFlow;
use std::sync::Arc;

use debugop_bytecode::{InstrIdx, Op};
use debugop_recording::stream::{Contents, FrameNumber, Kind, ObjectId};
use debugop_value as data;

use super::super::argument::Call;
use super::super::{frame_of, instruction, search};
use super::container::{Item, Key};
use super::item::may_be;
use super::{Origin, Slot, Why};
use crate::code::Codes;
use crate::cursor::Cursor;
use crate::machine::{Step, Watch};
use crate::recording::{OpenError, Recording};
use crate::state::{Frame, State};
use crate::value::Value;

/// Iterators are followed so far.
const MOST_HOPS: usize = 8;
/// Iterators of iterators are followed so deep.
const MOST_ITERATORS: usize = 4;
/// Rounds of a loop are counted in so many parts of the recording.
const MOST_CHUNKS: usize = 3;

/// Types of iterators that make nothing.
const GIVES_ITEMS: &[&[u8]] = &[
    b"list_iterator",
    b"tuple_iterator",
    b"list_reverseiterator",
    b"reversed",
    b"dict_valueiterator",
];

/// Types of iterators that make tuples.
const MAKES_TUPLES: &[&[u8]] = &[b"enumerate", b"zip", b"dict_itemiterator"];

/// Just before this step, in this frame, in the value stack at this index.
pub(super) type Held = (u64, FrameNumber, u32);

/// Where what an iterator has given comes from.
pub(super) enum Given {
    /// From no container, as far as can be told.
    Nothing,
    Item(Item),
    /// From the constant in this slot.
    Constant(Held),
    Ends(Why),
}

/// A container whose items are given one after the other.
struct Source {
    /// Where it was when the iterator was made.
    held: Held,
    /// `None`: a constant.
    container: Option<ObjectId>,
    order: Order,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Forward,
    Backward,
    /// The values of a dict.
    Values,
}

/// What an iterator gives.
enum Gives {
    Items(Source),
    /// The keys and values of a dict, in pairs.
    Pairs(Source),
    /// Numbers from this one on, if that is known, each with an item.
    Numbered(Option<i64>, Fresh<Source>),
    /// Tuples with an item of each; `None`: of something that is not followed.
    Together(Vec<Option<Fresh<Source>>>),
}

/// Something that can be gone through, where it was passed, and whether nothing had been taken from it by then.
struct Fresh<T> {
    from: T,
    is_fresh: bool,
}

/// What can be gone through, by its type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// A list or tuple.
    Sequence,
    /// A view of a dict.
    View,
    Iterator,
}

impl Class {
    fn of(state: &State, value: Value) -> Option<Self> {
        let id = match value {
            Value::Constant(..) => return Some(Self::Sequence),
            value => object(value)?,
        };
        let class = state.object(id)?.class;
        match (class.kind, &*class.name) {
            (Kind::List | Kind::Tuple, _) => Some(Self::Sequence),
            // A class of the program's own may have any name.
            (Kind::Instance, _) => None,
            (_, b"dict_values" | b"dict_items") => Some(Self::View),
            (
                _,
                b"list_iterator"
                | b"tuple_iterator"
                | b"list_reverseiterator"
                | b"reversed"
                | b"enumerate"
                | b"zip"
                | b"dict_valueiterator"
                | b"dict_itemiterator",
            ) => Some(Self::Iterator),
            _ => None,
        }
    }
}

fn object(value: Value) -> Option<ObjectId> {
    match value {
        Value::Object(id) => Some(id),
        _ => None,
    }
}

fn look(cursor: &Cursor, frame: FrameNumber) -> Option<(&State, &Frame)> {
    let state = cursor.state()?;
    Some((state, frame_of(state, frame)?))
}

/// What is in a slot of the value stack.
fn value_in(cursor: &mut Cursor, (step, frame, slot): Held) -> Result<Option<Value>, OpenError> {
    cursor.seek(step)?;
    let found = look(cursor, frame);
    Ok(found.and_then(|(_, frame)| frame.stack().nth(slot as usize)))
}

/// The call or `GET_ITER` that an iterator comes from, through whatever it was copied.
fn made(
    recording: &Arc<Recording>,
    cursor: &mut Cursor,
    (step, frame, slot): Held,
) -> Result<Option<Origin>, OpenError> {
    let mut next = Some((step, frame, Slot::Stack(slot)));
    for _ in 0..MOST_HOPS {
        let Some((step, frame, slot)) = next else {
            break;
        };
        let Some(hop) = super::origin(recording, step, frame, slot)? else {
            break;
        };
        cursor.seek(hop.step)?;
        let op = look(cursor, hop.frame).and_then(|(_, frame)| instruction(frame.code(), hop.at));
        match op {
            Some((Op::GetIter | Op::Call | Op::CallKw, ..)) if hop.next.is_none() => {
                return Ok(Some(hop));
            }
            _ => next = hop.next,
        }
    }
    Ok(None)
}

/// What the iterator or container in a slot gives to the instruction there, if that can be told.
fn gives(
    recording: &Arc<Recording>,
    cursor: &mut Cursor,
    held: Held,
    most: usize,
) -> Result<Option<Fresh<Gives>>, OpenError> {
    let Some(value) = value_in(cursor, held)? else {
        return Ok(None);
    };
    let Some((state, user)) = look(cursor, held.1) else {
        return Ok(None);
    };
    let (code, user) = (Arc::clone(user.code()), user.at());
    let class = Class::of(state, value);
    match class {
        Some(Class::Sequence) => {
            let from = Gives::Items(Source {
                held,
                container: object(value),
                order: Order::Forward,
            });
            return Ok(Some(Fresh {
                from,
                is_fresh: true,
            }));
        }
        Some(Class::View | Class::Iterator) if most > 0 => {}
        _ => return Ok(None),
    }
    let Some(made) = made(recording, cursor, held)? else {
        return Ok(None);
    };
    // What an instruction has made the next one takes; on 3.11 there is one between calls that does nothing.
    let is_next = |at: InstrIdx| {
        let between = instruction(&code, InstrIdx(at.0 + 1)).map(|(op, ..)| op);
        user.0 == at.0 + 1 || user.0 == at.0 + 2 && between == Some(Op::Precall)
    };
    let is_fresh = class == Some(Class::View) || made.frame == held.1 && is_next(made.at);
    let Some((_, frame)) = look(cursor, made.frame) else {
        return Ok(None);
    };
    let found = match instruction(frame.code(), made.at) {
        Some((Op::GetIter, ..)) => {
            let top = (frame.stack().len() as u32).checked_sub(1);
            let operand = top.map(|top| (made.step, made.frame, top));
            let operand = operand.map(|held| gives(recording, cursor, held, most - 1));
            // Nobody but the loop has what it makes.
            return Ok(operand.transpose()?.flatten());
        }
        _ => called(recording, cursor, &made, most - 1)?,
    };
    Ok(found.map(|(from, has_used)| Fresh {
        from,
        is_fresh: is_fresh && !has_used,
    }))
}

/// What the iterator or view gives that a call has made, and whether something may have been taken from what it was made of.
fn called(
    recording: &Arc<Recording>,
    cursor: &mut Cursor,
    made: &Origin,
    most: usize,
) -> Result<Option<(Gives, bool)>, OpenError> {
    let found = look(cursor, made.frame).and_then(|(state, frame)| {
        let call = Call::of(recording.codes(), state, frame)?;
        let Some(Contents::Name(name)) = state.object(object(call.callable)?)?.contents else {
            return None;
        };
        Some((name.clone(), start(frame, &call), call))
    });
    let Some((name, start, call)) = found else {
        return Ok(None);
    };
    let count = call.unnamed.len();
    let mut arguments = call
        .unnamed
        .map(|index| (made.step, made.frame, index as u32));
    let mut source = |held: Held| {
        let found = gives(recording, cursor, held, most)?;
        Ok::<_, OpenError>(found.and_then(|found| match found.from {
            Gives::Items(from) => Some(Fresh {
                from,
                is_fresh: found.is_fresh,
            }),
            _ => None,
        }))
    };
    if &*name == b"zip" {
        let sources = arguments.map(source).collect::<Result<Vec<_>, _>>()?;
        return Ok(Some((Gives::Together(sources), false)));
    }
    let Some(first) = arguments.next() else {
        return Ok(None);
    };
    Ok(match &*name {
        b"iter" if count == 1 => {
            source(first)?.map(|found| (Gives::Items(found.from), !found.is_fresh))
        }
        b"reversed" if count == 1 => {
            let found = source(first)?;
            let order = found.as_ref().map(|found| found.from.order);
            let order = match order {
                Some(Order::Forward) => Some(Order::Backward),
                _ => None,
            };
            order.zip(found).map(|(order, found)| {
                let from = Source {
                    order,
                    ..found.from
                };
                (Gives::Items(from), !found.is_fresh)
            })
        }
        b"enumerate" => source(first)?.map(|found| (Gives::Numbered(start, found), false)),
        b"dict.values" | b"dict.items" if count == 1 => {
            let dict = value_in(cursor, first)?.and_then(object);
            let is_dict = |dict: &ObjectId| {
                let object = cursor.state().and_then(|state| state.object(*dict));
                object.is_some_and(|object| object.class.kind == Kind::Dict)
            };
            dict.filter(is_dict).map(|dict| {
                let from = Source {
                    held: first,
                    container: Some(dict),
                    order: Order::Values,
                };
                let gives = match &*name {
                    b"dict.items" => Gives::Pairs(from),
                    _ => Gives::Items(from),
                };
                (gives, false)
            })
        }
        _ => None,
    })
}

/// The number from which a call of `enumerate` counts.
fn start(frame: &Frame, call: &Call) -> Option<i64> {
    let named = call.names.iter().position(|name| **name == *b"start");
    let index = match named {
        Some(named) => call.unnamed.end + named,
        None if call.unnamed.len() == 1 => return Some(0),
        None => call.unnamed.start + 1,
    };
    match frame.stack().nth(index) {
        Some(Value::Int(start)) => Some(start),
        _ => None,
    }
}

/// Whether the iterator makes a tuple with which a loop's round has just begun, and that is on top of the value stack.
pub(super) fn makes_tuples(state: &State, frame: &Frame) -> bool {
    let makes = |value: Value| {
        let iterator = object(value).and_then(|id| state.object(id));
        iterator.is_some_and(|iterator| MAKES_TUPLES.contains(&&*iterator.class.name))
    };
    // From 3.15 on NULL is between the two.
    let below = frame.stack().len().saturating_sub(3);
    frame.stack().skip(below).take(2).any(makes)
}

/// The index in the value stack of the iterator that a loop's round takes from. From 3.15 on NULL is above it.
fn iterator(frame: &Frame) -> Option<u32> {
    let above = 1 + usize::from(frame.stack().last() == Some(Value::Null));
    let index = frame.stack().len().checked_sub(above)?;
    u32::try_from(index).ok()
}

/// What the iterator gives with which a loop's round begins, and how many rounds there have been before, if it had given nothing before the loop.
fn of_loop(
    recording: &Arc<Recording>,
    cursor: &mut Cursor,
    at: &Step,
) -> Result<Option<(Gives, Rounds)>, OpenError> {
    cursor.seek(at.number)?;
    let Some(slot) = look(cursor, at.frame).and_then(|(_, frame)| iterator(frame)) else {
        return Ok(None);
    };
    let held = (at.number, at.frame, slot);
    let Some(made) = made(recording, cursor, held)? else {
        return Ok(None);
    };
    let found = gives(recording, cursor, held, MOST_ITERATORS)?;
    Ok(found.map(|found| {
        let rounds = match found.is_fresh {
            true => Rounds::Since(made.step),
            false => Rounds::Unknown,
        };
        (found.from, rounds)
    }))
}

/// How many have been given before.
#[derive(Clone, Copy)]
enum Rounds {
    Exactly(u64),
    /// As many as the loop has had since this step.
    Since(u64),
    Unknown,
}

/// Where what a round of a loop begins with comes from.
pub(super) fn of_round(
    recording: &Arc<Recording>,
    cursor: &mut Cursor,
    at: &Step,
    value: Option<Value>,
) -> Result<Given, OpenError> {
    match of_loop(recording, cursor, at)? {
        Some((Gives::Items(source), rounds)) => {
            given(recording, cursor, at, &source, value, rounds)
        }
        Some(_) => Ok(Given::Nothing),
        None => {
            cursor.seek(at.number)?;
            let takes = look(cursor, at.frame).is_some_and(|(state, frame)| {
                let slot = iterator(frame).and_then(|slot| frame.stack().nth(slot as usize));
                let iterator = slot.and_then(object);
                let class = iterator.and_then(|iterator| Some(state.object(iterator)?.class));
                class.is_some_and(|class| GIVES_ITEMS.contains(&&*class.name))
            });
            Ok(match takes {
                true => Given::Ends(Why::NotFollowed),
                false => Given::Nothing,
            })
        }
    }
}

/// Where what is at this position comes from, in a tuple that a round of a loop begins with.
pub(super) fn of_tuple(
    recording: &Arc<Recording>,
    cursor: &mut Cursor,
    at: &Step,
    (tuple, position): (ObjectId, u64),
    (seen, value): (u64, Value),
) -> Result<Given, OpenError> {
    let Some((gives, rounds)) = of_loop(recording, cursor, at)? else {
        return Ok(Given::Nothing);
    };
    cursor.seek(seen)?;
    let number = || match cursor.state()?.item(tuple, &data::Value::Int(0))? {
        Value::Int(number) => Some(number),
        _ => None,
    };
    match gives {
        Gives::Numbered(start, found) if position == 1 => {
            let index = number().zip(start).and_then(|(number, start)| {
                let index = number.checked_sub(start)?;
                u64::try_from(index).ok()
            });
            let rounds = match index.filter(|_| found.is_fresh) {
                Some(index) => Rounds::Exactly(index),
                None => Rounds::Unknown,
            };
            given(recording, cursor, at, &found.from, Some(value), rounds)
        }
        Gives::Together(mut sources) => {
            let position = usize::try_from(position).ok();
            let source = position.and_then(|position| sources.get_mut(position)?.take());
            let Some(found) = source else {
                return Ok(Given::Nothing);
            };
            let rounds = match found.is_fresh {
                true => rounds,
                false => Rounds::Unknown,
            };
            given(recording, cursor, at, &found.from, Some(value), rounds)
        }
        Gives::Pairs(source) if position == 1 => {
            let key = cursor.state().and_then(|state| {
                let key = state.item(tuple, &data::Value::Int(0))?;
                Key::of(state, recording.codes(), source.container?, key)
            });
            match key {
                Some(key) => source.item(cursor, at.number, key, value),
                None => Ok(Given::Ends(Why::NotFollowed)),
            }
        }
        _ => Ok(Given::Nothing),
    }
}

/// Where an item comes from that an instruction takes from what is in a slot, and goes through all of that; it is the one with this index, if that is known.
pub(super) fn of_all(
    recording: &Arc<Recording>,
    cursor: &mut Cursor,
    at: &Step,
    slot: u32,
    (index, value): (Option<u64>, Value),
) -> Result<Given, OpenError> {
    let held = (at.number, at.frame, slot);
    let found = gives(recording, cursor, held, MOST_ITERATORS)?;
    match found {
        Some(Fresh {
            from: Gives::Items(source),
            is_fresh,
        }) => {
            let rounds = match index.filter(|_| is_fresh) {
                Some(index) => Rounds::Exactly(index),
                None => Rounds::Unknown,
            };
            given(recording, cursor, at, &source, Some(value), rounds)
        }
        _ => Ok(Given::Nothing),
    }
}

/// Where an item that a container has given with a step comes from.
fn given(
    recording: &Arc<Recording>,
    cursor: &mut Cursor,
    at: &Step,
    source: &Source,
    value: Option<Value>,
    rounds: Rounds,
) -> Result<Given, OpenError> {
    let Some(container) = source.container else {
        return Ok(Given::Constant(source.held));
    };
    let Some(value) = value else {
        return Ok(Given::Ends(Why::NotRecorded));
    };
    let codes = recording.codes();
    cursor.seek(at.number)?;
    let state = cursor.state();
    if let Some(keys) = state.and_then(|state| places(state, codes, container, value)) {
        match keys.as_slice() {
            [key] => return source.item(cursor, at.number, key.clone(), value),
            [] => return Ok(Given::Ends(Why::Called)),
            _ => {}
        }
    }
    let before = match rounds {
        Rounds::Exactly(before) => before,
        Rounds::Unknown => return Ok(Given::Ends(Why::OneOf)),
        Rounds::Since(since) => match count(recording, at, since)? {
            Some(before) => before,
            None => return Ok(Given::Ends(Why::NotFollowed)),
        },
    };
    cursor.seek(source.held.0)?;
    let state = cursor.state();
    let key = state.and_then(|state| source.key(state, codes, container, before));
    cursor.seek(at.number)?;
    let still = |key: &Key| {
        let state = cursor.state();
        let now = state.and_then(|state| source.key(state, codes, container, before));
        source.order != Order::Values || now.as_ref() == Some(key)
    };
    match key.filter(still) {
        Some(key) => source.item(cursor, at.number, key, value),
        None => Ok(Given::Ends(Why::NotFollowed)),
    }
}

impl Source {
    /// The item that is given after so many, of what is in the container when nothing has been given yet.
    fn key(&self, state: &State, codes: &Codes, container: ObjectId, before: u64) -> Option<Key> {
        match (self.order, state.object(container)?.contents?) {
            (Order::Forward, _) => Some(Key::Index(before)),
            (Order::Backward, Contents::Items(items)) => {
                let last = items.length.checked_sub(1)?;
                last.checked_sub(before).map(Key::Index)
            }
            (Order::Values, Contents::Pairs(pairs)) => {
                let (key, _) = pairs.pairs.get(usize::try_from(before).ok()?)?;
                Key::of(state, codes, container, (*key).into())
            }
            _ => None,
        }
    }

    /// The item as it is at a step.
    fn item(
        &self,
        cursor: &mut Cursor,
        step: u64,
        key: Key,
        value: Value,
    ) -> Result<Given, OpenError> {
        let (made, frame, slot) = self.held;
        let Some(container) = self.container else {
            return Ok(Given::Nothing);
        };
        cursor.seek(step)?;
        let state = cursor.state();
        let known = state.and_then(|state| key.value(state, container));
        if known.is_some_and(|known| !may_be(known, value)) {
            return Ok(Given::Ends(Why::Called));
        }
        let slot = Slot::Stack(slot);
        Ok(Given::Item(Item {
            container,
            key,
            value,
            // It is where the iterator is, as far as anybody can tell.
            held: (step, frame, slot),
            was: Some((made, frame, slot)),
        }))
    }
}

/// Where an object is in a list, a tuple, or the values of a dict; `None` if that is not known, or it is no object.
fn places(state: &State, codes: &Codes, container: ObjectId, value: Value) -> Option<Vec<Key>> {
    object(value)?;
    match state.object(container)?.contents? {
        Contents::Items(items) if items.items.len() as u64 == items.length => {
            let all = (0..).zip(&items.items);
            let found = all.filter(|(_, item)| Value::from(**item) == value);
            Some(found.map(|(index, _)| Key::Index(index)).collect())
        }
        Contents::Pairs(pairs) if pairs.pairs.len() as u64 == pairs.length => {
            let all = pairs.pairs.iter();
            let found = all.filter(|(_, item)| Value::from(*item) == value);
            found
                .map(|(key, _)| Key::of(state, codes, container, (*key).into()))
                .collect()
        }
        _ => None,
    }
}

/// How often the frame has come to the step's instruction since a step; `None` if that is far away.
fn count(recording: &Arc<Recording>, at: &Step, since: u64) -> Result<Option<u64>, OpenError> {
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
