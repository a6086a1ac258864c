//! Which operand of an instruction is what an argument of the function that it called began with.
//!
//! A call of a function says it by position or by name. Of what was called in another way (by C code, by an operator) it is told by identity only. Nothing is
//! concluded from equal numbers: two operands may be equal.

use std::ops::Range;
use std::sync::Arc;

use debugop_bytecode::{InstrIdx, Op, operands};
use debugop_recording::stream::{Contents, Kind};
use debugop_value as data;

use crate::code::{Code, Codes};
use crate::state::{Frame, State};
use crate::value::Value;

use super::instruction;

/// `CO_VARARGS` and `CO_VARKEYWORDS` (`Include/cpython/code.h`).
const VARARGS: u32 = 4;
const VARKEYWORDS: u32 = 8;

/// How deep a tuple of names is looked into.
const DEPTH: u32 = 1;

/// Which item of a tuple or dict of arguments.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Within {
    Index(u64),
    /// In WTF-8.
    Name(Box<[u8]>),
}

/// What was passed for an argument.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Passed {
    /// The operand with this index in the value stack.
    Operand(u32),
    /// An item of it.
    Item(u32, Within),
}

/// A frame that starts, and one of its slots, or an item of its `*args` or `**kwargs`.
pub(super) struct Started {
    code: Arc<Code>,
    slot: u32,
    item: Option<Within>,
    value: Value,
    /// What the first slot begins with.
    first: Value,
}

/// What a slot of a frame begins with. A variable that an inner function uses is in a cell by then.
fn began(state: &State, frame: &Frame, slot: u32) -> Value {
    match frame.get(slot) {
        Value::Object(id) if frame.code().holds_cell(slot) => {
            let cell = state.object(id).and_then(|object| object.cell);
            cell.unwrap_or_default()
        }
        value => value,
    }
}

impl Started {
    /// Of a frame that is about to execute its first instruction.
    pub(super) fn new(state: &State, frame: &Frame, slot: u32) -> Self {
        Self {
            code: Arc::clone(frame.code()),
            slot,
            item: None,
            value: began(state, frame, slot),
            first: began(state, frame, 0),
        }
    }

    /// The item of what is its `*args` or `**kwargs`, if `container` is that.
    pub(super) fn starred(
        state: &State,
        frame: &Frame,
        container: Value,
        item: Within,
        value: Value,
    ) -> Option<Self> {
        let data = frame.code().data();
        let has = |flag: u32| data.flags & flag != 0;
        let named = data.argument_count + data.keyword_only_count;
        let slot = match item {
            Within::Index(_) => has(VARARGS).then_some(named),
            Within::Name(_) => has(VARKEYWORDS).then_some(named + u32::from(has(VARARGS))),
        };
        let slot = slot.filter(|&slot| began(state, frame, slot) == container)?;
        Some(Self {
            item: Some(item),
            value,
            ..Self::new(state, frame, slot)
        })
    }

    /// What the slot begins with; of a variable that is in a cell, what is in that.
    pub(super) fn value(&self) -> Value {
        self.value
    }

    /// What of the value stack of the frame below, which is about to execute what has called this one, the argument was.
    /// `None` if it was nothing there (a default), or that cannot be told.
    pub(super) fn passed(&self, codes: &Codes, state: &State, caller: &Frame) -> Option<Passed> {
        let (op, opcode, arg) = instruction(caller.code(), caller.at())?;
        let stack: Vec<Value> = caller.stack().collect();
        let is_call = matches!(op, Op::Call | Op::CallKw);
        if is_call
            && let Some(call) = Call::new(codes, state, caller, op, arg as usize, &stack)
            && let Some(missing) = self.missing(state, call.callable)
        {
            let index = self.operand(&call, missing)?;
            let is_it = self.is(*stack.get(index)?);
            return is_it.then_some(Passed::Operand(index as u32));
        }
        if op == Op::CallFunctionEx {
            let pops = operands(caller.code().version(), opcode, arg)?.pops();
            let spread = Spread::new(&stack, usize::try_from(pops).ok()?)?;
            let missing = self.missing(state, spread.callable)?;
            return self.spread(state, &stack, &spread, missing);
        }
        if self.item.is_some() {
            return None;
        }
        let taken = operands(caller.code().version(), opcode, arg)?.pops();
        let from = stack.len().checked_sub(usize::try_from(taken).ok()?)?;
        let mut found = (from..stack.len()).filter(|&index| stack[index] == self.value);
        // What an operator calls is a method of one of its operands; what C code calls may get any number.
        let is_method = !is_call
            && matches!(self.first, Value::Object(_))
            && stack[from..].contains(&self.first);
        if !matches!(self.value, Value::Object(_)) && !is_method {
            return None;
        }
        let index = found.next()?;
        let is_it = found.next().is_none();
        is_it.then_some(Passed::Operand(index as u32))
    }

    /// How many of the function's first parameters are not among what it is called with; `None` if the callable may have called something else first.
    fn missing(&self, state: &State, callable: Value) -> Option<usize> {
        let own = self.code.data();
        let is_own = |value: Value| match value {
            Value::Object(id) => match state.object(id)?.contents? {
                // It may have been looked at before its code was met.
                Contents::Code { qualname, code } => {
                    Some(code.map_or(**qualname == *own.qualname, |code| code == own.number))
                }
                _ => None,
            },
            _ => None,
        };
        let Value::Object(id) = callable else {
            return None;
        };
        let object = state.object(id)?;
        match (object.class.kind, object.contents) {
            (Kind::Function, _) => is_own(callable)?.then_some(0),
            (Kind::Method, Some(Contents::Method { function, .. })) => {
                is_own((*function).into())?.then_some(1)
            }
            // A class with a metaclass of its own may be called in any way.
            (Kind::Type, _) => {
                let is_plain = &*object.class.name == b"type";
                let makes = own.name == b"__init__";
                (is_plain && makes).then_some(1)
            }
            _ => None,
        }
    }

    /// Which of the arguments without name it is, if there are as many; `missing` have not been passed by the call.
    fn position(&self, missing: usize) -> Option<usize> {
        let count = self.code.data().argument_count;
        let position = match self.item {
            None => (self.slot < count).then_some(self.slot as usize)?,
            Some(Within::Index(index)) => {
                usize::try_from(index).ok()?.checked_add(count as usize)?
            }
            Some(Within::Name(_)) => return None,
        };
        position.checked_sub(missing)
    }

    /// By which name it may have been passed.
    fn name(&self) -> Option<&[u8]> {
        let data = self.code.data();
        match &self.item {
            None => {
                let may_be_named = self.slot >= data.positional_only_count
                    && self.slot < data.argument_count + data.keyword_only_count;
                let local = data.locals.get(self.slot as usize);
                local.filter(|_| may_be_named).map(|local| &*local.name)
            }
            Some(Within::Index(_)) => None,
            Some(Within::Name(name)) => Some(name),
        }
    }

    /// The index of the operand that is passed for it.
    fn operand(&self, call: &Call, missing: usize) -> Option<usize> {
        let by_position = self.position(missing);
        let by_position = by_position.and_then(|position| call.unnamed.clone().nth(position));
        by_position.or_else(|| {
            let name = self.name()?;
            let named = call.names.iter().position(|known| **known == *name);
            named.map(|at| call.unnamed.end + at)
        })
    }

    /// Which item of the tuple or dict of a call is passed for it.
    fn spread(
        &self,
        state: &State,
        stack: &[Value],
        spread: &Spread,
        missing: usize,
    ) -> Option<Passed> {
        let position = self.position(missing);
        let by_position = position.and_then(|position| match stack[spread.tuple] {
            Value::Object(id) => match state.object(id)?.contents? {
                Contents::Items(items) => {
                    let index = position as u64;
                    let is_there = index < items.length;
                    is_there.then_some(Passed::Item(spread.tuple as u32, Within::Index(index)))
                }
                _ => None,
            },
            // What else is there has no names to come by.
            Value::Constant(..) if spread.dict.is_none() => {
                Some(Passed::Operand(spread.tuple as u32))
            }
            _ => None,
        });
        by_position.or_else(|| {
            let name = Within::Name(self.name()?.into());
            Some(Passed::Item(spread.dict? as u32, name))
        })
    }

    /// Whether the parameter can have begun with an operand.
    fn is(&self, operand: Value) -> bool {
        match operand {
            // A constant has become an object with the call, the others are numbered anew in each chunk.
            Value::Constant(..) | Value::BigInt(_) | Value::Complex(_) => true,
            Value::Null | Value::Unknown(_) | Value::Pending => false,
            _ => operand == self.value,
        }
    }
}

/// A call by `CALL_FUNCTION_EX`.
struct Spread {
    callable: Value,
    /// The index of the tuple in the value stack.
    tuple: usize,
    /// That of the dict, if there is one.
    dict: Option<usize>,
}

impl Spread {
    /// That which takes so many values from the stack: NULL and the callable (from 3.13 on the other way round), the tuple, perhaps the dict, from 3.14 on perhaps NULL in
    /// place of that.
    fn new(stack: &[Value], pops: usize) -> Option<Self> {
        let from = stack.len().checked_sub(pops)?;
        let both = (*stack.get(from)?, *stack.get(from + 1)?);
        let ((Value::Null, callable) | (callable, Value::Null)) = both else {
            return None;
        };
        let dict = stack.get(from + 3).filter(|&&dict| dict != Value::Null);
        stack.get(from + 2)?;
        Some(Self {
            callable,
            tuple: from + 2,
            dict: dict.map(|_| from + 3),
        })
    }
}

/// A call by `CALL` or `CALL_KW`.
pub(super) struct Call {
    pub(super) callable: Value,
    /// Where the arguments without name are in the value stack; those with names are behind them.
    pub(super) unnamed: Range<usize>,
    /// In WTF-8.
    pub(super) names: Vec<Box<[u8]>>,
}

impl Call {
    /// That which a frame is about to execute, if it is one.
    pub(super) fn of(codes: &Codes, state: &State, caller: &Frame) -> Option<Self> {
        let (op, _, arg) = instruction(caller.code(), caller.at())?;
        if !matches!(op, Op::Call | Op::CallKw) {
            return None;
        }
        let stack: Vec<Value> = caller.stack().collect();
        Self::new(codes, state, caller, op, arg as usize, &stack)
    }

    fn new(
        codes: &Codes,
        state: &State,
        caller: &Frame,
        op: Op,
        count: usize,
        stack: &[Value],
    ) -> Option<Self> {
        let names = match op {
            Op::CallKw => stack.last().copied(),
            _ => names_before(caller),
        };
        let end = stack.len().checked_sub(usize::from(op == Op::CallKw))?;
        let names = match names {
            Some(names) => texts(&state.describe(codes, names, DEPTH))?,
            None => Vec::new(),
        };
        let from = end.checked_sub(count)?;
        let (below, above) = (*stack.get(from.checked_sub(2)?)?, *stack.get(from - 1)?);
        // Up to 3.12 NULL or the method is below, from 3.13 on the callable, and NULL or `self` above it.
        let (callable, has_self) = match (below, above) {
            (Value::Null, callable) | (callable, Value::Null) => (callable, false),
            (callable, _) => (callable, true),
        };
        Some(Self {
            callable,
            unnamed: from - usize::from(has_self)..end.checked_sub(names.len())?,
            names,
        })
    }
}

/// What `KW_NAMES` has said of the call that a frame is about to execute (3.11, 3.12).
fn names_before(caller: &Frame) -> Option<Value> {
    let before = |count: u32| {
        let at = caller.at().0.checked_sub(count)?;
        instruction(caller.code(), InstrIdx(at))
    };
    let said = match before(1)? {
        (Op::Precall, ..) => before(2)?,
        said => said,
    };
    match said {
        (Op::KwNames, _, index) => Some(caller.constant(index)),
        _ => None,
    }
}

/// The strings in a tuple; `None` if they are not all known.
fn texts(tuple: &data::Value) -> Option<Vec<Box<[u8]>>> {
    let data::Value::Tuple(items) = tuple else {
        return None;
    };
    let texts = items.items.iter().map(|item| match item {
        data::Value::Str(text) => Some(text.as_wtf8().into()),
        _ => None,
    });
    let texts = texts.collect::<Option<Vec<_>>>()?;
    (texts.len() as u64 == items.length).then_some(texts)
}
