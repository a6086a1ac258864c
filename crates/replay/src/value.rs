//! A value in a slot.

use debugop_bytecode::Common;
use debugop_recording::stream::{self, ObjectId, Reason};

/// What is in a slot. Two slots with the same `Object` hold the same object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Value {
    /// No object.
    #[default]
    Null,
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// `...`.
    Ellipsis,
    /// `NotImplemented`.
    NotImplemented,
    /// An `int` of at most 64 bits.
    Int(i64),
    /// A larger one: index into the chunk's [`big_ints`](crate::Machine::big_ints).
    BigInt(u32),
    /// A `float`, as its bits.
    Float(u64),
    /// A `complex`: index into the chunk's [`complexes`](crate::Machine::complexes).
    Complex(u32),
    /// A machine integer in a stack slot.
    Tagged(i64),
    /// An object of [`State`](crate::State).
    Object(ObjectId),
    /// An item of a code object's constants: number of the code object, index. Constants that are known by value, `None` or an `int`,
    /// are written as that.
    Constant(u32, u32),
    /// It is not known, for this reason.
    Unknown(Reason),
    /// Not known before the next site of its frame: something runs inside an instruction that runs nothing as a rule (a finaliser, a
    /// signal handler).
    Pending,
    /// Not recorded because its name was to be left out.
    Redacted,
}

impl From<stream::Value> for Value {
    fn from(value: stream::Value) -> Self {
        match value {
            stream::Value::Null => Value::Null,
            stream::Value::None => Value::None,
            stream::Value::Bool(bool) => Value::Bool(bool),
            stream::Value::Ellipsis => Value::Ellipsis,
            stream::Value::NotImplemented => Value::NotImplemented,
            stream::Value::Int(int) => Value::Int(int),
            stream::Value::BigInt(index) => Value::BigInt(index),
            stream::Value::Float(bits) => Value::Float(bits),
            stream::Value::Complex(index) => Value::Complex(index),
            stream::Value::Tagged(int) => Value::Tagged(int),
            stream::Value::Object(id) => Value::Object(id),
            stream::Value::Unknown(reason) => Value::Unknown(reason),
            stream::Value::Redacted => Value::Redacted,
        }
    }
}

impl From<Common> for Value {
    fn from(constant: Common) -> Self {
        match constant {
            Common::None => Value::None,
            Common::Bool(bool) => Value::Bool(bool),
            Common::MinusOne => Value::Int(-1),
        }
    }
}
