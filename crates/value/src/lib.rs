//! Captured Python values as data, and their short, safe text. No Python, no unsafe.
//!
//! A [`Value`] is what was copied out of a Python object when it was looked at: a scalar in full, a container or a
//! string up to a bound together with its true length, anything else by type name and identity. It outlives the
//! object. [`Value::short`] is its text for a terminal; its `serde` form is what `jsonl` carries (see [`json`]).

mod escape;
pub mod json;
mod number;
mod short;
mod text;

pub use escape::{counted, escaped, grouped, head, width};
pub use number::{BigInt, complex_repr, float_repr};
pub use short::Short;
pub use text::{Bytes, Text};

/// The identity of a Python object, as `id()` gives it: unique among the objects alive at the same moment.
pub type Id = u64;

/// One captured Python value.
///
/// Names of functions, classes and types are as the interpreter holds them; they may contain any character, so they
/// are escaped wherever they are shown.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// An empty slot of the value stack: no object at all, which is not `None`.
    Null,
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// `...`.
    Ellipsis,
    /// `NotImplemented`.
    NotImplemented,
    /// An `int` that fits 64 bits.
    Int(i64),
    /// An `int` that does not.
    BigInt(Box<BigInt>),
    /// A `float`, NaN and the sign of zero included.
    Float(f64),
    /// A `complex`.
    Complex {
        /// The real part.
        real: f64,
        /// The imaginary part.
        imaginary: f64,
    },
    /// A `str`.
    Str(Text),
    /// A `bytes`.
    Bytes(Bytes),
    /// A `bytearray`.
    ByteArray(Bytes),
    /// A `list`.
    List(Items),
    /// A `tuple`.
    Tuple(Items),
    /// A `set`, in its own iteration order.
    Set(Items),
    /// A `frozenset`, in its own iteration order.
    FrozenSet(Items),
    /// A `dict`, in insertion order.
    Dict(Pairs),
    /// `range(start, stop, step)`, in this order; each is `Int` or `BigInt`.
    Range(Box<[Value; 3]>),
    /// `slice(start, stop, step)`, in this order; each may be any value.
    Slice(Box<[Value; 3]>),
    /// A Python function.
    Function {
        /// `__qualname__`.
        qualname: Box<str>,
        /// Its identity.
        id: Id,
    },
    /// A function or method that is written in C, bound or not, or a type's slot wrapper.
    Builtin {
        /// `__name__`, or `Type.name` where the type is known.
        name: Box<str>,
        /// Its identity.
        id: Id,
    },
    /// A Python function bound to an instance or class.
    Method {
        /// `__qualname__` of the function.
        qualname: Box<str>,
        /// Identity of the method object.
        id: Id,
    },
    /// A class.
    Class {
        /// `module.qualname`; without the module for built-in types.
        name: Box<str>,
        /// Its identity.
        id: Id,
    },
    /// A module.
    Module {
        /// `__name__`.
        name: Box<str>,
        /// Its identity.
        id: Id,
    },
    /// A code object.
    Code {
        /// `co_qualname`.
        qualname: Box<str>,
        /// Its identity.
        id: Id,
    },
    /// An exception instance.
    Exception(Box<Exception>),
    /// A closure cell.
    Cell {
        /// Its identity.
        id: Id,
        /// What it holds; `None` for an empty cell.
        contents: Option<Box<Value>>,
    },
    /// Any other object: iterators, generators, instances, …
    Object {
        /// The type's name, qualified as for [`Value::Class`].
        type_name: Box<str>,
        /// Its identity.
        id: Id,
    },
    /// A machine integer that CPython 3.14 and later keeps in a stack slot itself: an iteration index or a handler's
    /// `lasti`. No object.
    TaggedInt(i64),
    /// A value that lies deeper in a container than was looked.
    Deeper,
    /// A plain instance whose attributes were captured.
    Instance {
        /// The type's name, qualified as for [`Value::Class`].
        type_name: Box<str>,
        /// Names and values of its attributes; its identity is theirs.
        attributes: Pairs,
    },
    /// An instance of a subclass of a built-in container, or a `collections.deque`, of which the contents were captured.
    Subclass {
        /// The type's name, qualified as for [`Value::Class`].
        type_name: Box<str>,
        /// The container, as one of the built-in class: `List` (also of a deque), `Tuple`, `Set`, `FrozenSet` or `Dict`.
        contents: Box<Value>,
        /// Names and values of its attributes; its identity is theirs.
        attributes: Pairs,
    },
    /// A value that is not known, and why.
    Unknown(Box<str>),
    /// A value that has these contents unless they have changed since they were looked at, which nothing tells.
    Uncertain(Box<Value>),
}

/// The contents of a sequence or set: the first items, and how many there are.
#[derive(Debug, Clone, PartialEq)]
pub struct Items {
    /// Identity of the container.
    pub id: Id,
    /// The first items; all of them when their number is `length`.
    pub items: Box<[Value]>,
    /// `len()` of the container.
    pub length: u64,
}

/// The contents of a mapping: the first pairs, and how many there are.
#[derive(Debug, Clone, PartialEq)]
pub struct Pairs {
    /// Identity of the mapping.
    pub id: Id,
    /// The first pairs of key and value; all of them when their number is `length`.
    pub pairs: Box<[(Value, Value)]>,
    /// `len()` of the mapping.
    pub length: u64,
}

/// An exception instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Exception {
    /// The class's name, qualified as for [`Value::Class`].
    pub type_name: Box<str>,
    /// Its identity.
    pub id: Id,
    /// `args`, when they could be read without running code of the program; all exact built-in values.
    pub args: Option<Box<[Value]>>,
}

impl Items {
    /// A container that was captured whole.
    pub fn whole(id: Id, items: impl Into<Box<[Value]>>) -> Self {
        let items = items.into();
        let length = items.len() as u64;
        Items { id, items, length }
    }
}

impl Pairs {
    /// A mapping that was captured whole.
    pub fn whole(id: Id, pairs: impl Into<Box<[(Value, Value)]>>) -> Self {
        let pairs = pairs.into();
        let length = pairs.len() as u64;
        Pairs { id, pairs, length }
    }
}

impl Pairs {
    fn are_certain(&self) -> bool {
        let mut pairs = self.pairs.iter();
        pairs.all(|(key, value)| key.is_certain() && value.is_certain())
    }
}

impl Value {
    /// A complete `str`.
    pub fn str(text: &str) -> Self {
        Value::Str(Text::new(text))
    }

    /// The value, whether it is certain or not.
    pub fn known(&self) -> &Self {
        match self {
            Value::Uncertain(value) => value,
            value => value,
        }
    }

    /// The value as it was when it was looked at, without saying what of it is not certain.
    #[must_use]
    pub fn as_seen(&self) -> Self {
        let all = |values: &[Self]| values.iter().map(Self::as_seen).collect::<Box<[_]>>();
        let items = |items: &Items| Items {
            items: all(&items.items),
            ..*items
        };
        let pairs = |pairs: &Pairs| Pairs {
            pairs: pairs
                .pairs
                .iter()
                .map(|(key, value)| (key.as_seen(), value.as_seen()))
                .collect(),
            ..*pairs
        };
        match self {
            Value::Uncertain(value) => value.as_seen(),
            Value::List(list) => Value::List(items(list)),
            Value::Tuple(tuple) => Value::Tuple(items(tuple)),
            Value::Set(set) => Value::Set(items(set)),
            Value::FrozenSet(set) => Value::FrozenSet(items(set)),
            Value::Dict(dict) => Value::Dict(pairs(dict)),
            Value::Instance {
                type_name,
                attributes,
            } => Value::Instance {
                type_name: type_name.clone(),
                attributes: pairs(attributes),
            },
            Value::Subclass {
                type_name,
                contents,
                attributes,
            } => Value::Subclass {
                type_name: type_name.clone(),
                contents: Box::new(contents.as_seen()),
                attributes: pairs(attributes),
            },
            Value::Cell { id, contents } => Value::Cell {
                id: *id,
                contents: contents.as_deref().map(|value| Box::new(value.as_seen())),
            },
            value => value.clone(),
        }
    }

    /// Whether nothing can have changed what is shown of it, and of what is in it, since that was looked at.
    pub fn is_certain(&self) -> bool {
        match self {
            Value::Uncertain(_) => false,
            Value::List(items)
            | Value::Tuple(items)
            | Value::Set(items)
            | Value::FrozenSet(items) => items.items.iter().all(Self::is_certain),
            Value::Dict(pairs)
            | Value::Instance {
                attributes: pairs, ..
            } => pairs.are_certain(),
            Value::Subclass {
                contents,
                attributes,
                ..
            } => contents.is_certain() && attributes.are_certain(),
            Value::Range(parts) | Value::Slice(parts) => parts.iter().all(Self::is_certain),
            Value::Exception(exception) => exception.args.iter().flatten().all(Self::is_certain),
            Value::Cell {
                contents: Some(contents),
                ..
            } => contents.is_certain(),
            _ => true,
        }
    }

    /// The text of this value in at most `width` terminal columns: Python's `repr` where that is known, cut with `…`
    /// and with the true length where it does not fit. Control characters are escaped.
    pub fn short(&self, width: usize) -> Short<'_> {
        Short { value: self, width }
    }
}
