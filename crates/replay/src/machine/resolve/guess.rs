//! What an instruction is going to put into a slot, guessed from what is known before it.

use debugop_bytecode::InstrIdx;
use debugop_recording::stream::{self, Contents, Kind};

use super::{Recipe, Resolver, Sort, is_text};
use crate::compute::{self, Binary};
use crate::index::of_text;
use crate::state::{Frame, State};
use crate::value::Value;

impl Resolver {
    /// What an instruction is going to put into a slot.
    pub(super) fn guess(
        &mut self,
        state: &State,
        frame: &Frame,
        at: InstrIdx,
        recipe: &Recipe,
        slot: u32,
    ) -> Value {
        let operand = |below: u32| frame.get(recipe.top.wrapping_sub(below));
        let is_result = slot == recipe.result;
        let found = match recipe.sort {
            Sort::Binary(operator) => compute::binary(operator, operand(2), operand(1)),
            Sort::Compare(comparison) => compute::compare(comparison, operand(2), operand(1)),
            Sort::Is(not) => Some(Value::Bool((operand(2) == operand(1)) != not)),
            Sort::Contains(not) => {
                contains(state, operand(1), operand(2)).map(|is_in| Value::Bool(is_in != not))
            }
            Sort::Negative => compute::negative(operand(1)),
            Sort::Inverted => compute::inverted(operand(1)),
            Sort::Not => truth(state, operand(1)).map(|truth| Value::Bool(!truth)),
            Sort::Truth => truth(state, operand(1)).map(Value::Bool),
            Sort::Item => item(state, frame, operand(2), operand(1)),
            Sort::Attribute(name) => {
                let owner = operand(1);
                // The object itself comes with its method.
                let method = recipe.result > recipe.left;
                let is_self = method && (slot == recipe.result);
                match is_self {
                    true => Some(owner),
                    false => self.attribute(state, frame, at, owner, name),
                }
            }
            Sort::Named => self.last.get(&(frame.code, at.0)).map(|last| last.1),
            Sort::Cell(slot) => match frame.get(slot) {
                Value::Object(cell) => state.object(cell).and_then(|object| object.cell),
                _ => None,
            },
            Sort::ForIter if is_result => self.next_of(state, operand(1)),
            Sort::Unpack => match operand(1) {
                Value::Object(of) => {
                    let object = state.object(of).and_then(|object| object.contents);
                    match object {
                        Some(Contents::Items(items)) => {
                            let index = recipe.result.checked_sub(slot);
                            let item = index.and_then(|index| items.items.get(index as usize));
                            item.map(|&item| item.into())
                        }
                        _ => None,
                    }
                }
                _ => None,
            },
            Sort::Call(arguments) => self.called(state, frame, recipe, arguments),
            _ => None,
        };
        found.unwrap_or_default()
    }

    /// What a call returns that enters no recorded frame.
    fn called(
        &self,
        state: &State,
        frame: &Frame,
        recipe: &Recipe,
        arguments: u32,
    ) -> Option<Value> {
        let below = [arguments + 2, arguments + 1].map(|below| recipe.top.checked_sub(below));
        let callable = below
            .into_iter()
            .flatten()
            .map(|slot| frame.get(slot))
            .find_map(|value| match value {
                Value::Object(id) => state.object(id),
                _ => None,
            })?;
        let argument = frame.get(recipe.top.checked_sub(1)?);
        match callable.contents? {
            Contents::Name(name) if arguments == 1 => match &**name {
                b"len" => length(state, argument).map(Value::Int),
                b"abs" => compute::absolute(argument),
                b"sqrt" => compute::root(argument),
                b"float" => compute::binary(Binary::Add, argument, Value::Float(0)),
                _ => None,
            },
            _ => None,
        }
    }

    fn attribute(
        &mut self,
        state: &State,
        frame: &Frame,
        at: InstrIdx,
        owner: Value,
        name: u32,
    ) -> Option<Value> {
        let Value::Object(id) = owner else {
            return None;
        };
        let object = state.object(id)?;
        let name = frame.object.data().names.get(name as usize)?;
        if let Some(Contents::Pairs(pairs)) = object.contents
            && object.class.kind == Kind::Instance
        {
            let is = |key: stream::Value| matches!(key, stream::Value::Object(key) if is_text(state, key, name));
            let likely = self.last.get(&(frame.code, at.0)).map_or(0, |last| last.0);
            let found = pairs.pairs.get(likely as usize).filter(|pair| is(pair.0));
            self.found = found.is_some() && self.last.contains_key(&(frame.code, at.0));
            let found = found.or_else(|| pairs.pairs.iter().find(|pair| is(pair.0)));
            if let Some(pair) = found {
                return Some(pair.1.into());
            }
        }
        let key = (object.class.number, of_text(name));
        self.of_types.get(&key).copied()
    }

    fn next_of(&self, state: &State, iterator: Value) -> Option<Value> {
        let Value::Object(iterator) = iterator else {
            return None;
        };
        let Some(&(through, place)) = self.iterators.get(&iterator) else {
            return Some(self.returned.0);
        };
        let Value::Object(through) = through else {
            return None;
        };
        match state.object(through)?.contents? {
            Contents::Items(items) => {
                Some((*items.items.get(usize::try_from(place).ok()?)?).into())
            }
            Contents::Pairs(pairs) => Some(pairs.pairs.get(usize::try_from(place).ok()?)?.0.into()),
            Contents::Parts([stream::Value::Int(start), _, stream::Value::Int(step)]) => {
                let far = step.checked_mul(i64::try_from(place).ok()?)?;
                Some(Value::Int(start.checked_add(far)?))
            }
            _ => Some(self.returned.0),
        }
    }
}

fn length(state: &State, value: Value) -> Option<i64> {
    let Value::Object(id) = value else {
        return None;
    };
    let object = state.object(id)?;
    let length = match object.contents? {
        Contents::Bytes { length, .. } => *length,
        Contents::Items(items) => items.length,
        Contents::Pairs(pairs) if object.class.kind == Kind::Dict => pairs.length,
        _ => return None,
    };
    i64::try_from(length).ok()
}

fn truth(state: &State, value: Value) -> Option<bool> {
    match value {
        Value::Object(_) => Some(length(state, value) != Some(0)),
        value => compute::truth(value),
    }
}

fn item(state: &State, frame: &Frame, of: Value, key: Value) -> Option<Value> {
    let Value::Object(id) = of else {
        return None;
    };
    match (state.object(id)?.contents?, key) {
        (Contents::Items(items), Value::Int(index)) => {
            let length = i64::try_from(items.length).ok()?;
            let index = if index < 0 {
                index.checked_add(length)?
            } else {
                index
            };
            let item = items.items.get(usize::try_from(index).ok()?)?;
            Some((*item).into())
        }
        (Contents::Pairs(pairs), key) => {
            let text = match key {
                Value::Constant(code, index) if code == frame.code => {
                    match frame.object.data().constants.get(index as usize) {
                        Some(debugop_recording::file::Constant::Str(text)) => Some(text),
                        _ => None,
                    }
                }
                _ => None,
            };
            let is = |known: stream::Value| match (known, text) {
                (stream::Value::Object(known), Some(text)) => is_text(state, known, text),
                (known, _) => Value::from(known) == key,
            };
            let found = pairs.pairs.iter().find(|pair| is(pair.0))?;
            Some(found.1.into())
        }
        _ => None,
    }
}

fn contains(state: &State, of: Value, value: Value) -> Option<bool> {
    let Value::Object(id) = of else {
        return None;
    };
    match state.object(id)?.contents? {
        Contents::Items(items) => Some(items.items.iter().any(|&item| Value::from(item) == value)),
        Contents::Pairs(pairs) => Some(pairs.pairs.iter().any(|pair| Value::from(pair.0) == value)),
        _ => None,
    }
}
