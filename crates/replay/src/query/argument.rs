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

/// How deep a tuple of names is looked into.
const DEPTH: u32 = 1;

/// A frame that starts, and one of its slots.
pub(super) struct Started {
    code: Arc<Code>,
    slot: u32,
    value: Value,
    /// What the first slot begins with.
    first: Value,
}

impl Started {
    /// Of a frame that is about to execute its first instruction.
    pub(super) fn new(state: &State, frame: &Frame, slot: u32) -> Self {
        // A variable that an inner function uses is in a cell by then.
        let began = |slot| match frame.get(slot) {
            Value::Object(id) if frame.code().holds_cell(slot) => {
                let cell = state.object(id).and_then(|object| object.cell);
                cell.unwrap_or_default()
            }
            value => value,
        };
        Self {
            code: Arc::clone(frame.code()),
            slot,
            value: began(slot),
            first: began(0),
        }
    }

    /// What the slot begins with; of a variable that is in a cell, what is in that.
    pub(super) fn value(&self) -> Value {
        self.value
    }

    /// The index, in the value stack of the frame below, which is about to execute what has called this one, of the operand that the argument was.
    /// `None` if it was none of them (a default, an item of `*args`), or that cannot be told.
    pub(super) fn operand(&self, codes: &Codes, state: &State, caller: &Frame) -> Option<u32> {
        let (op, opcode, arg) = instruction(caller.code(), caller.at())?;
        let stack: Vec<Value> = caller.stack().collect();
        let is_call = matches!(op, Op::Call | Op::CallKw);
        if is_call
            && let Some(call) = Call::new(codes, state, caller, op, arg as usize, &stack)
            && let Some(missing) = self.missing(state, &call)
        {
            let index = self.passed(&call, missing)?;
            let is_it = self.is(*stack.get(index)?);
            return is_it.then_some(index as u32);
        }
        let taken = operands(caller.code().version(), opcode, arg)?.pops();
        let from = stack.len().checked_sub(usize::try_from(taken).ok()?)?;
        let mut found = (from..stack.len()).filter(|&index| stack[index] == self.value);
        // What an operator calls is a method of one of its operands; what C code calls may get any number.
        let is_method = !is_call
            && op != Op::CallFunctionEx
            && matches!(self.first, Value::Object(_))
            && stack[from..].contains(&self.first);
        if !matches!(self.value, Value::Object(_)) && !is_method {
            return None;
        }
        let index = found.next()?;
        found.next().is_none().then_some(index as u32)
    }

    /// How many of the function's first parameters are not among the call's operands; `None` if the call may have called something else first.
    fn missing(&self, state: &State, call: &Call) -> Option<usize> {
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
        let Value::Object(id) = call.callable else {
            return None;
        };
        let object = state.object(id)?;
        match (object.class.kind, object.contents) {
            (Kind::Function, _) => is_own(call.callable)?.then_some(0),
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

    /// The index of the operand that is passed for the parameter.
    fn passed(&self, call: &Call, missing: usize) -> Option<usize> {
        let data = self.code.data();
        let slot = self.slot;
        let by_position = match slot < data.argument_count {
            true => call
                .unnamed
                .clone()
                .nth((slot as usize).checked_sub(missing)?),
            false => None,
        };
        let may_be_named = slot >= data.positional_only_count
            && slot < data.argument_count + data.keyword_only_count;
        let local = data.locals.get(slot as usize).filter(|_| may_be_named);
        by_position.or_else(|| {
            let name = &*local?.name;
            let named = call.names.iter().position(|known| **known == *name);
            named.map(|at| call.unnamed.end + at)
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
