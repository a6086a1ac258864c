//! Values that a packed chunk leaves out, computed from what the machine knows.
//!
//! A machine that resolves is given the values of one record after the other and looks at each as it goes into its slot: what would it have
//! guessed? Who packs learns which guesses are right; who unpacks takes them. Both execute the same and so guess the same.

mod guess;

use std::sync::Arc;

use debugop_bytecode::{Argument, Flow, InstrIdx, Op as Name, argument, effect};
use debugop_recording::stream::{self, Caller, Contents, Kind, ObjectId};
use rustc_hash::FxHashMap;

use super::run::Part;
use super::{Machine, Run};
use crate::code::Code;
use crate::compute::{Binary, Comparison};
use crate::index::of_text;
use crate::segment::{From, Op, Segment, Source, flow};
use crate::state::{Frame, State};
use crate::value::Value;

/// So much is remembered by name or object; beyond that everything is forgotten.
const MOST: usize = 1 << 16;

/// What an instruction does, as far as its result can be guessed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sort {
    Other,
    Binary(Binary),
    Item,
    Compare(Comparison),
    Is(bool),
    Contains(bool),
    Negative,
    Inverted,
    Not,
    Truth,
    Attribute(u32),
    /// A global: likely what it was the last time here.
    Named,
    Cell(u32),
    GetIter,
    ForIter,
    Unpack,
    Call(u32),
}

/// An instruction, with its slots counted from the bottom of localsplus.
#[derive(Clone, Copy, Debug)]
struct Recipe {
    sort: Sort,
    /// Above its topmost operand.
    top: u32,
    /// Its lowest operand.
    left: u32,
    /// The topmost slot that it fills.
    result: u32,
}

impl Recipe {
    fn new(code: &Code, at: InstrIdx) -> Option<Self> {
        let analysis = code.analysis();
        let version = code.version();
        let instruction = analysis.instructions().get(at.0 as usize)?;
        let name = instruction.opcode.info(version)?.op;
        let effect = effect(version, instruction.opcode, instruction.arg, false)?;
        let top = code.locals().slots.checked_add(analysis.depth(at)?)?;
        let left = top.checked_sub(effect.pops)?;
        let sort = match (name, argument(version, instruction)) {
            (_, Argument::BinaryOp("[]")) | (Name::BinarySubscr, _) => Sort::Item,
            (_, Argument::BinaryOp(symbol)) => Binary::of(symbol).map_or(Sort::Other, Sort::Binary),
            (_, Argument::Compare { op, .. }) => {
                Comparison::of(op).map_or(Sort::Other, Sort::Compare)
            }
            (_, Argument::Is(not)) => Sort::Is(not),
            (_, Argument::Contains(not)) => Sort::Contains(not),
            (Name::UnaryNegative, _) => Sort::Negative,
            (Name::UnaryInvert, _) => Sort::Inverted,
            (Name::UnaryNot, _) => Sort::Not,
            (Name::ToBool, _) => Sort::Truth,
            (Name::LoadAttr | Name::LoadMethod, Argument::Name(name, _)) => Sort::Attribute(name),
            (_, Argument::Name(..)) if effect.pops == 0 => Sort::Named,
            (Name::LoadDeref, Argument::Free(slot)) => Sort::Cell(slot),
            (Name::GetIter, _) => Sort::GetIter,
            (Name::ForIter, _) => Sort::ForIter,
            (Name::UnpackSequence, _) => Sort::Unpack,
            (Name::Call, _) => Sort::Call(instruction.arg),
            _ => Sort::Other,
        };
        let pushed = effect.pushes.len() as u32;
        Some(Recipe {
            sort,
            top,
            left,
            result: (left + pushed).saturating_sub(1),
        })
    }
}

impl Recipe {
    /// Whether something of it is remembered.
    fn is_noted(&self) -> bool {
        matches!(
            self.sort,
            Sort::GetIter | Sort::ForIter | Sort::Named | Sort::Attribute(_)
        )
    }
}

/// What a machine that resolves knows besides.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    /// The values of the record that is being executed; where `open`, to be computed.
    pub(crate) values: Vec<stream::Value>,
    pub(crate) open: Vec<bool>,
    /// Which of them have been guessed right, or computed.
    pub(crate) guessed: Vec<bool>,
    /// Whether what is open is computed, instead of being looked whether it could be.
    fills: bool,
    /// The attribute has been found where it was the last time.
    found: bool,
    /// What the frame that has ended last returned, and its first local: a new object, if that was an `__init__`.
    returned: (Value, Value),
    /// By the iterator: what it goes through, and how far it has come.
    iterators: FxHashMap<ObjectId, (Value, u64)>,
    /// By code object and instruction: where an attribute was found, and the last result.
    last: FxHashMap<(u32, u32), (u32, Value)>,
    /// Attributes that are not the object's own, by type and name.
    of_types: FxHashMap<(u64, u64), Value>,
    /// Objects that are constants.
    constants: FxHashMap<(u32, u32), stream::Value>,
    recipes: FxHashMap<(u32, u32), Option<Recipe>>,
    /// Of each compiled way its pieces.
    ways: Vec<Option<Box<[Piece]>>>,
    generation: u32,
}

/// Some of a way's operations.
#[derive(Clone, Debug)]
struct Piece {
    begin: u32,
    end: u32,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    /// Nothing becomes known.
    Moves,
    /// This instruction makes something.
    Makes(InstrIdx, Recipe),
    /// What the frame is in the middle of is over.
    GoesOn,
    /// The record shows what is in slots.
    Shows,
}

impl Resolver {
    /// A way in pieces.
    fn pieces(&mut self, code: &Code, segment: &Segment) -> Box<[Piece]> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut done = 0;
        let all = segment.ops.len() as u32;
        let ranges = std::iter::once((What::GoesOn, segment.begin))
            .chain(segment.steps.iter().map(|step| {
                let recipe = self.recipe(code, step.at);
                let what = recipe.map_or(What::Shows, |recipe| What::Makes(step.at, recipe));
                (what, step.end)
            }))
            .chain([(What::Shows, all)]);
        for (what, end) in ranges {
            let end = end.min(all);
            if end <= done {
                continue;
            }
            let ops = &segment.ops[done as usize..end as usize];
            let mut known = ops
                .iter()
                .map(|op| !matches!(op, Op::Set(_, Source::Capture(_) | Source::Pending)));
            let is_noted = matches!(&what, What::Makes(_, recipe) if recipe.is_noted());
            let what = match known.all(|known| known) && !is_noted {
                true => What::Moves,
                false => what,
            };
            match (&what, pieces.last_mut()) {
                (What::Moves, Some(last)) if matches!(last.what, What::Moves) => last.end = end,
                _ => pieces.push(Piece {
                    begin: done,
                    end,
                    what,
                }),
            }
            done = end;
        }
        pieces.into()
    }

    /// Executes operations that put values into slots; `made` by this instruction, or left by a call.
    fn make(
        &mut self,
        state: &mut State,
        values: usize,
        ops: &[Op],
        made: Option<(InstrIdx, &Recipe)>,
        call: Option<Recipe>,
    ) {
        let Some(frame) = state.frame() else {
            return;
        };
        let operand = made.map(|(_, recipe)| frame.get(recipe.top.wrapping_sub(1)));
        // Everything is of the slots as they were.
        let mut met = smallvec::SmallVec::<[Value; 4]>::new();
        for op in ops {
            let &Op::Set(slot, source @ (Source::Capture(_) | Source::Pending)) = op else {
                continue;
            };
            let guess = match (made, &call) {
                (Some((at, recipe)), _) => self.guess(state, frame, at, recipe, slot),
                (None, Some(call)) if call.result == slot => {
                    let callables = [call.left, call.left + 1].map(|slot| frame.get(slot));
                    self.returned_to(state, callables)
                }
                _ => frame.get(slot),
            };
            let value = match source {
                Source::Capture(index) => {
                    let value = self.meet(index as usize, guess);
                    self.learn(index as usize, guess);
                    value
                }
                _ => guess,
            };
            met.push(value);
        }
        let mut met = met.into_iter();
        let Some(mut part) = Part::new(state, (values, None)) else {
            return;
        };
        for op in ops {
            match op {
                Op::Set(slot, Source::Capture(_) | Source::Pending) => {
                    if let Some(value) = met.next() {
                        part.frame.set(*slot, value);
                    }
                }
                op => part.execute(std::slice::from_ref(op)),
            }
        }
        if let (Some((at, recipe)), Some(operand)) = (made, operand)
            && let Some(frame) = state.frame()
        {
            self.executed(state, frame, at, recipe, operand);
        }
    }

    /// `fills`: whether values that are left out are computed, instead of being compared.
    pub(crate) fn new(fills: bool) -> Self {
        Self {
            fills,
            ..Self::default()
        }
    }

    /// Takes the values of the record that comes next.
    pub(crate) fn begin(&mut self, values: &[stream::Value]) {
        self.values.clear();
        self.values.extend_from_slice(values);
        self.open.clear();
        self.open.resize(values.len(), !self.fills);
        self.guessed.clear();
        self.guessed.resize(values.len(), false);
    }

    fn recipe(&mut self, code: &Code, at: InstrIdx) -> Option<Recipe> {
        let key = (code.data().number, at.0);
        if let Some(known) = self.recipes.get(&key) {
            return *known;
        }
        let new = Recipe::new(code, at);
        forget(&mut self.recipes);
        self.recipes.insert(key, new);
        new
    }

    /// A value goes into a slot; this has been guessed.
    fn meet(&mut self, index: usize, guess: Value) -> Value {
        let Some(&value) = self.values.get(index) else {
            return Value::Null;
        };
        // What is met again is known.
        let is_open = self.open.get_mut(index).is_some_and(std::mem::take);
        if !is_open {
            return value.into();
        }
        let known = self.as_captured(guess);
        if self.fills {
            if let Some(known) = known {
                self.values[index] = known;
                self.guessed[index] = true;
            }
        } else {
            self.guessed[index] = known == Some(value);
        }
        self.values[index].into()
    }

    /// What a value is in a record, as far as that is known.
    pub(super) fn as_captured(&self, value: Value) -> Option<stream::Value> {
        match value {
            Value::Constant(code, index) => self.constants.get(&(code, index)).copied(),
            value => plain(value),
        }
    }

    /// A constant turns out to be this object.
    fn learn(&mut self, index: usize, guess: Value) {
        if let (Value::Constant(code, place), Some(&value @ stream::Value::Object(_))) =
            (guess, self.values.get(index))
        {
            forget(&mut self.constants);
            self.constants.insert((code, place), value);
        }
    }

    /// An instruction has been executed, with these operands.
    fn executed(
        &mut self,
        state: &State,
        frame: &Frame,
        at: InstrIdx,
        recipe: &Recipe,
        operand: Value,
    ) {
        match recipe.sort {
            Sort::GetIter => {
                if let Value::Object(iterator) = frame.get(recipe.result)
                    && frame.get(recipe.result) != operand
                {
                    forget(&mut self.iterators);
                    self.iterators.insert(iterator, (operand, 0));
                }
            }
            Sort::ForIter => {
                if let Value::Object(iterator) = operand
                    && let Some(known) = self.iterators.get_mut(&iterator)
                {
                    known.1 = known.1.saturating_add(1);
                }
            }
            Sort::Named => {
                let results = [recipe.left, recipe.result].map(|slot| frame.get(slot));
                let result = results.into_iter().find(|result| *result != Value::Null);
                forget(&mut self.last);
                let result = result.unwrap_or_default();
                self.last.insert((frame.code, at.0), (0, result));
            }
            Sort::Attribute(_) if std::mem::take(&mut self.found) => {}
            Sort::Attribute(name) => self.attribute_was(state, frame, at, recipe, operand, name),
            _ => {}
        }
    }

    fn attribute_was(
        &mut self,
        state: &State,
        frame: &Frame,
        at: InstrIdx,
        recipe: &Recipe,
        owner: Value,
        name: u32,
    ) {
        let (Value::Object(id), Some(name)) = (owner, frame.object.data().names.get(name as usize))
        else {
            return;
        };
        let Some(object) = state.object(id) else {
            return;
        };
        if let Some(Contents::Pairs(pairs)) = object.contents {
            let is = |key: stream::Value| matches!(key, stream::Value::Object(key) if is_text(state, key, name));
            let likely = self.last.get(&(frame.code, at.0)).map(|last| last.0);
            let likely_pair = likely.and_then(|place| pairs.pairs.get(place as usize));
            if likely_pair.is_some_and(|pair| is(pair.0)) {
                return;
            }
            if let Some(place) = pairs.pairs.iter().position(|pair| is(pair.0)) {
                forget(&mut self.last);
                self.last
                    .insert((frame.code, at.0), (place as u32, Value::Null));
                return;
            }
        }
        let value = match frame.get(recipe.left) {
            Value::Null => frame.get(recipe.result),
            value => value,
        };
        forget(&mut self.of_types);
        let key = (object.class.number, of_text(name));
        self.of_types.insert(key, value);
    }
}

/// Empties what has become too large.
fn forget<K, V>(map: &mut FxHashMap<K, V>) {
    if map.len() >= MOST {
        map.clear();
    }
}

/// As it is captured.
fn plain(value: Value) -> Option<stream::Value> {
    Some(match value {
        Value::None => stream::Value::None,
        Value::Bool(bool) => stream::Value::Bool(bool),
        Value::Ellipsis => stream::Value::Ellipsis,
        Value::NotImplemented => stream::Value::NotImplemented,
        Value::Int(int) => stream::Value::Int(int),
        Value::Float(bits) => stream::Value::Float(bits),
        Value::Tagged(int) => stream::Value::Tagged(int),
        Value::Object(id) => stream::Value::Object(id),
        _ => return None,
    })
}

fn is_text(state: &State, object: ObjectId, text: &[u8]) -> bool {
    match state.object(object).and_then(|object| object.contents) {
        Some(Contents::Bytes { head, .. }) => **head == *text,
        _ => false,
    }
}

impl Machine {
    /// From now on [`Machine::skip_record`] takes the values that the resolver has been given.
    pub(crate) fn set_resolver(&mut self, resolver: Resolver) {
        self.resolver = Some(Box::new(resolver));
    }

    pub(crate) fn resolver(&mut self) -> Option<&mut Resolver> {
        self.resolver.as_deref_mut()
    }

    /// Executes a way and computes values on it.
    pub(super) fn run_resolving(&mut self, run: &Run, resolver: &mut Resolver) {
        let generation = self.segments.generation();
        if resolver.generation != generation {
            resolver.generation = generation;
            resolver.ways.clear();
        }
        let index = run.segment.index();
        if resolver.ways.len() <= index {
            resolver.ways.resize(index + 1, None);
        }
        let segment = self.segments.get(run.segment);
        let Some(frame) = self.state.frame() else {
            return;
        };
        let (code, called) = (Arc::clone(&frame.object), frame.at);
        let pieces = match resolver.ways[index].take() {
            Some(known) => known,
            None => resolver.pieces(&code, segment),
        };
        for piece in &pieces {
            let ops = segment.ops.get(piece.begin as usize..piece.end as usize);
            let ops = ops.unwrap_or_default();
            match &piece.what {
                What::Moves => {
                    if let Some(mut part) =
                        Part::new(&mut self.state, (self.record.values.start, None))
                    {
                        part.execute(ops);
                    }
                }
                What::Makes(at, recipe) => {
                    let made = Some((*at, recipe));
                    resolver.make(&mut self.state, self.record.values.start, ops, made, None);
                }
                What::GoesOn => {
                    let call = resolver.recipe(&code, called);
                    let values = self.record.values.start;
                    resolver.make(&mut self.state, values, ops, None, call);
                }
                What::Shows => {
                    let values = self.record.values.start;
                    resolver.make(&mut self.state, values, ops, None, None);
                }
            }
        }
        resolver.ways[index] = Some(pieces);
    }

    /// A frame starts: its arguments are on the stack of the one that calls it.
    pub(super) fn resolve_arguments(&mut self, frame: &mut Frame, resolver: &mut Resolver) {
        let Some(site) = self.record.site.and_then(|site| self.codes.site(site)) else {
            return;
        };
        if site.0 != frame.code || frame.from != From::Start {
            return;
        }
        let arguments = match (frame.caller, self.state.frame()) {
            (Caller::Unit(_), Some(caller)) => self.arguments(caller, resolver),
            _ => smallvec::SmallVec::new(),
        };
        for (index, &slot) in site.2.captures.iter().enumerate() {
            let guess = arguments.get(slot as usize).copied().unwrap_or_default();
            let value = resolver.meet(index, guess);
            resolver.learn(index, guess);
            frame.set(slot, value);
        }
    }

    fn arguments(&self, caller: &Frame, resolver: &mut Resolver) -> smallvec::SmallVec<[Value; 8]> {
        let mut found = smallvec::SmallVec::new();
        let Some(recipe) = resolver.recipe(&caller.object, caller.at) else {
            return found;
        };
        let mut first = recipe.left;
        if let Sort::Call(arguments) = recipe.sort {
            let Some(receiver) = recipe.top.checked_sub(arguments.saturating_add(1)) else {
                return found;
            };
            let below = caller.get(receiver.saturating_sub(1));
            let is_above = caller.object.version().callable_is_below_self();
            let receives = match is_above {
                true => caller.get(receiver) != Value::Null,
                false => below != Value::Null,
            };
            let callable = match is_above || receives {
                true => below,
                false => caller.get(receiver),
            };
            first = receiver + 1;
            if receives {
                first = receiver;
            } else if let Value::Object(id) = callable
                && let Some(object) = self.state.object(id)
            {
                match object.contents {
                    Some(Contents::Method { receiver, .. }) => found.push((*receiver).into()),
                    _ if object.class.kind == Kind::Type => found.push(Value::Null),
                    _ => {}
                }
            }
        }
        // No more than any function has.
        for slot in first..recipe.top.min(first.saturating_add(256)) {
            found.push(caller.get(slot));
        }
        found
    }

    /// The frame on top ends or is suspended.
    pub(super) fn resolve_returned(&self, frame: &Frame, resolver: &mut Resolver) {
        let Some(at) = frame.done else {
            return;
        };
        let version = frame.object.version();
        let code = &frame.object;
        let instruction = code.analysis().instructions().get(at.0 as usize);
        let name = instruction.and_then(|found| Some((found.opcode.info(version)?.op, found.arg)));
        let depth = code.analysis().depth(at).unwrap_or(0);
        let top = code.locals().slots.saturating_add(depth);
        let value = match name {
            Some((Name::ReturnConst, index)) => frame.constant(index),
            Some((Name::ReturnValue, _)) => frame.get(top.saturating_sub(1)),
            _ if flow(code, at) == Flow::Yield => frame.get(top.saturating_sub(1)),
            _ => Value::Null,
        };
        resolver.returned = (value, frame.get(0));
    }
}

impl Resolver {
    /// What somebody gets who has called this.
    fn returned_to(&self, state: &State, callables: [Value; 2]) -> Value {
        let is_type = |callable| match callable {
            Value::Object(id) => {
                let object = state.object(id);
                object.is_some_and(|object| object.class.kind == Kind::Type)
            }
            _ => false,
        };
        match self.returned.0 == Value::None && callables.into_iter().any(is_type) {
            true => self.returned.1,
            false => self.returned.0,
        }
    }
}
