//! Objects, their types and contents.

use std::sync::Arc;

use super::{FrameNumber, ObjectId, Value};

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// What kind of contents the objects of a type have. The number is what stands in a type's definition.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Kind {
            $($(#[$doc])* $name = $number,)*
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &[Kind] = &[$(Kind::$name),*];

            /// The kind with this number.
            #[must_use]
            pub fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Kind::$name),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// Nothing: the type and the identity are all.
    Opaque = 0,
    /// Code points: [`Contents::Bytes`] in WTF-8.
    Str = 1,
    /// [`Contents::Bytes`].
    Bytes = 2,
    /// [`Contents::Bytes`].
    ByteArray = 3,
    /// [`Contents::Items`].
    List = 4,
    /// [`Contents::Items`].
    Tuple = 5,
    /// [`Contents::Items`] in iteration order.
    Set = 6,
    /// [`Contents::Items`] in iteration order.
    FrozenSet = 7,
    /// [`Contents::Pairs`] in insertion order.
    Dict = 8,
    /// Attributes: [`Contents::Pairs`] of name and value.
    Instance = 9,
    /// [`Contents::Cell`].
    Cell = 10,
    /// [`Contents::Code`]: `__qualname__` and code.
    Function = 11,
    /// [`Contents::Name`]: `__name__`, or `Type.name`.
    Builtin = 12,
    /// [`Contents::Method`].
    Method = 13,
    /// [`Contents::Name`]: `module.qualname`; without the module for built-in types.
    Type = 14,
    /// [`Contents::Name`].
    Module = 15,
    /// [`Contents::Exception`].
    Exception = 16,
    /// [`Contents::Parts`]: start, stop, step.
    Range = 17,
    /// [`Contents::Parts`]: start, stop, step.
    Slice = 18,
    /// [`Contents::Code`]: `co_qualname` and itself.
    Code = 19,
    /// A generator, coroutine or asynchronous generator: [`Contents::Generator`].
    Generator = 20,
    /// An instance of a subclass of `list`: [`Contents::Collection`].
    ListSubclass = 21,
    /// An instance of a subclass of `tuple`: [`Contents::Collection`].
    TupleSubclass = 22,
    /// An instance of a subclass of `set`: [`Contents::Collection`] in iteration order.
    SetSubclass = 23,
    /// An instance of a subclass of `frozenset`: [`Contents::Collection`] in iteration order.
    FrozenSetSubclass = 24,
    /// An instance of a subclass of `dict`: [`Contents::Mapping`]; of `collections.OrderedDict` in its order.
    DictSubclass = 25,
    /// A `collections.deque`, or an instance of a subclass: [`Contents::Collection`].
    Deque = 26,
}

impl Kind {
    /// Whether what has changed of an object of this kind may be told alone: UPDATE_PART.
    #[must_use]
    pub fn changes_in_part(self) -> bool {
        matches!(
            self,
            Kind::List
                | Kind::Dict
                | Kind::Instance
                | Kind::ListSubclass
                | Kind::DictSubclass
                | Kind::Deque
        )
    }
}

/// Objects with more parts than this in their contents are not updated in part.
pub const MAX_PARTS: usize = 64;

/// How the contents of a list, dict, instance, deque, or of an instance of a subclass of list or dict (but for its attributes), differ from those that were given last in the chunk, besides the true number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Not at all.
    Length,
    /// This item, or the value of this pair, is another one.
    Replace(usize),
    /// An item or pair has come before this place.
    Insert(usize),
}

impl Change {
    /// As it is written.
    #[must_use]
    pub fn number(self) -> u64 {
        match self {
            Change::Length => 0,
            Change::Replace(place) => place as u64 * 2 + 1,
            Change::Insert(place) => place as u64 * 2 + 2,
        }
    }

    /// What was written, if it can be.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        let place = |number: u64| usize::try_from(number / 2).ok();
        Some(match number {
            0 => Change::Length,
            odd if odd % 2 == 1 => Change::Replace(place(odd)?),
            even => Change::Insert(place(even)? - 1),
        })
    }
}

/// A type, as its definition in a chunk gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Type {
    /// Its number in the recording: the same in every chunk.
    pub number: u64,
    /// What its objects' contents look like.
    pub kind: Kind,
    /// `module.qualname` in WTF-8; without the module for built-in types.
    pub name: Box<[u8]>,
}

/// The first items, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Items {
    /// The true number.
    pub length: u64,
    /// The first of them.
    pub items: Box<[Value]>,
}

/// The first pairs, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pairs {
    /// The true number.
    pub length: u64,
    /// The first of them.
    pub pairs: Box<[(Value, Value)]>,
}

/// The arguments of an exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arguments {
    /// They could not be read without running code of the program.
    Unknown,
    /// `args`.
    Known(Items),
}

/// What is in an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// Not captured, or none.
    Opaque,
    /// A string's or byte string's head.
    Bytes {
        /// `len()`: for `str` in code points.
        length: u64,
        /// The first of them; for `str` in WTF-8.
        head: Box<[u8]>,
    },
    /// A sequence's or set's items.
    Items(Items),
    /// A mapping's items or an instance's attributes.
    Pairs(Pairs),
    /// What a cell holds; [`Value::Null`] if it is empty.
    Cell(Value),
    /// A function or code object.
    Code {
        /// The qualified name in WTF-8.
        qualname: Box<[u8]>,
        /// The number of its code object in the recording, if that is recorded.
        code: Option<u32>,
    },
    /// Something that has a name only; in WTF-8.
    Name(Box<[u8]>),
    /// A bound method.
    Method {
        /// `__func__`.
        function: Value,
        /// `__self__`.
        receiver: Value,
    },
    /// An exception.
    Exception {
        /// `args`.
        arguments: Arguments,
        /// Its attributes: pairs of name and value.
        attributes: Pairs,
    },
    /// Items of an object that has attributes as well.
    Collection {
        /// Its items.
        items: Items,
        /// Its attributes: pairs of name and value.
        attributes: Pairs,
    },
    /// Pairs of an object that has attributes as well.
    Mapping {
        /// Its keys and values.
        pairs: Pairs,
        /// Its attributes: pairs of name and value.
        attributes: Pairs,
    },
    /// start, stop and step.
    Parts([Value; 3]),
    /// A generator or coroutine.
    Generator {
        /// The qualified name in WTF-8.
        qualname: Box<[u8]>,
        /// Its frame, if that has been recorded.
        frame: Option<FrameNumber>,
    },
}

impl Contents {
    /// The items of a sequence or set.
    #[must_use]
    pub fn items(&self) -> Option<&Items> {
        match self {
            Self::Items(items) | Self::Collection { items, .. } => Some(items),
            _ => None,
        }
    }

    /// The keys and values of a mapping. Of [`Contents::Pairs`] the kind says whether they are attributes.
    #[must_use]
    pub fn pairs(&self) -> Option<&Pairs> {
        match self {
            Self::Pairs(pairs) | Self::Mapping { pairs, .. } => Some(pairs),
            _ => None,
        }
    }

    /// The attributes of what has them beside something else.
    #[must_use]
    pub fn attributes(&self) -> Option<&Pairs> {
        match self {
            Self::Exception { attributes, .. }
            | Self::Collection { attributes, .. }
            | Self::Mapping { attributes, .. } => Some(attributes),
            _ => None,
        }
    }

    /// Every value that it mentions.
    pub fn values_mut(&mut self) -> Vec<&mut Value> {
        match self {
            Self::Items(items) => items.items.iter_mut().collect(),
            Self::Pairs(pairs) => pairs.values_mut().collect(),
            Self::Cell(value) => vec![value],
            Self::Method { function, receiver } => vec![function, receiver],
            Self::Exception {
                arguments,
                attributes,
            } => {
                let arguments = match arguments {
                    Arguments::Known(items) => &mut items.items[..],
                    Arguments::Unknown => &mut [],
                };
                arguments
                    .iter_mut()
                    .chain(attributes.values_mut())
                    .collect()
            }
            Self::Collection { items, attributes } => {
                let items = items.items.iter_mut();
                items.chain(attributes.values_mut()).collect()
            }
            Self::Mapping { pairs, attributes } => {
                pairs.values_mut().chain(attributes.values_mut()).collect()
            }
            Self::Parts(parts) => parts.iter_mut().collect(),
            Self::Opaque
            | Self::Bytes { .. }
            | Self::Code { .. }
            | Self::Name(_)
            | Self::Generator { .. } => Vec::new(),
        }
    }
}

impl Pairs {
    fn values_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        let pairs = self.pairs.iter_mut();
        pairs.flat_map(|(key, value)| [key, value])
    }
}

/// An object becomes known, or its contents do, or have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The object.
    pub id: ObjectId,
    /// Its type.
    pub class: Arc<Type>,
    /// Its contents as of now; `None` if they were not captured.
    pub contents: Option<Contents>,
    /// Whether it was known in this chunk and the last instruction has changed it.
    pub update: bool,
    /// Whether it may have had another id before: the recorder had forgotten objects.
    pub doubtful: bool,
}
