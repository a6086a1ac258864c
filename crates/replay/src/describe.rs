//! What a recording says of code objects and values, as data that can be shown.

use debugop_recording::file::Constant;
use debugop_recording::stream::{Arguments, BigInt, Contents, Kind, Pairs, Reason};
use debugop_value::{self as data, Bytes, Exception, Text};

use crate::chunk::Chunk;
use crate::code::Codes;
use crate::state::{Object, State};
use crate::value::Value;

/// A name as text: WTF-8 whose surrogates, which no compiler lets into a name, are shown as U+FFFD.
pub(crate) fn name(wtf8: &[u8]) -> String {
    String::from_utf8_lossy(wtf8).into_owned()
}

fn text(wtf8: &[u8]) -> Text {
    let length = Text::from_wtf8(wtf8, 0).code_points().count() as u64;
    Text::from_wtf8(wtf8, length)
}

fn bytes(head: &[u8], length: u64) -> Bytes {
    Bytes {
        head: head.into(),
        length,
    }
}

pub(crate) fn constant(constant: &Constant) -> data::Value {
    let all = |items: &[Constant]| -> data::Items {
        data::Items::whole(0, items.iter().map(self::constant).collect::<Vec<_>>())
    };
    match constant {
        Constant::None => data::Value::None,
        Constant::Bool(bool) => data::Value::Bool(*bool),
        Constant::Ellipsis => data::Value::Ellipsis,
        Constant::Int(int) => data::Value::Int(*int),
        Constant::BigInt(negative, magnitude) => {
            data::Value::BigInt(Box::new(data::BigInt::from_bytes_le(*negative, magnitude)))
        }
        Constant::Float(bits) => data::Value::Float(f64::from_bits(*bits)),
        Constant::Complex(real, imaginary) => data::Value::Complex {
            real: f64::from_bits(*real),
            imaginary: f64::from_bits(*imaginary),
        },
        Constant::Str(wtf8) => data::Value::Str(text(wtf8)),
        Constant::Bytes(bytes) => data::Value::Bytes(Bytes::whole(bytes)),
        Constant::Tuple(items) => data::Value::Tuple(all(items)),
        Constant::FrozenSet(items) => data::Value::FrozenSet(all(items)),
        Constant::Slice(parts) => {
            data::Value::Slice(Box::new([0, 1, 2].map(|part| self::constant(&parts[part]))))
        }
        Constant::Code(qualname, _) => data::Value::Code {
            qualname: name(qualname).into(),
            id: 0,
        },
        Constant::Other(type_name) => data::Value::Object {
            type_name: name(type_name).into(),
            id: 0,
        },
    }
}

/// Turns values of a state into data: containers so many levels deep, identities being the recording's object ids.
pub(crate) struct Describer<'a> {
    pub(crate) state: &'a State,
    pub(crate) codes: &'a Codes,
    /// Whether to say what is not certain.
    pub(crate) doubts: bool,
}

impl Describer<'_> {
    fn chunk(&self) -> &Chunk {
        self.state.chunk()
    }

    /// A value.
    pub(crate) fn value(&self, value: Value, depth: u32) -> data::Value {
        match value {
            Value::Null => data::Value::Null,
            Value::None => data::Value::None,
            Value::Bool(bool) => data::Value::Bool(bool),
            Value::Ellipsis => data::Value::Ellipsis,
            Value::NotImplemented => data::Value::NotImplemented,
            Value::Int(int) => data::Value::Int(int),
            Value::BigInt(index) => self.big_int(index),
            Value::Float(bits) => data::Value::Float(f64::from_bits(bits)),
            Value::Complex(index) => match self.chunk().complexes().get(index as usize) {
                Some(&[real, imaginary]) => data::Value::Complex {
                    real: f64::from_bits(real),
                    imaginary: f64::from_bits(imaginary),
                },
                None => data::Value::Unknown("damaged".into()),
            },
            Value::Tagged(int) => data::Value::TaggedInt(int),
            Value::Constant(code, index) => {
                let code = self.codes.get(code);
                code.and_then(|code| code.data().constants.get(index as usize))
                    .map(constant)
                    .unwrap_or_else(|| data::Value::Unknown("damaged".into()))
            }
            Value::Unknown(reason) => data::Value::Unknown(why(reason).into()),
            Value::Pending => data::Value::Unknown("not known yet".into()),
            Value::Redacted => data::Value::Unknown("redacted".into()),
            Value::Object(id) => match self.state.object(id) {
                Some(object) => {
                    let known = self.object(&object, depth);
                    match object.certain || !self.doubts || !can_change(&known) {
                        true => known,
                        false => data::Value::Uncertain(Box::new(known)),
                    }
                }
                None => data::Value::Unknown("not defined in this part of the recording".into()),
            },
        }
    }

    fn big_int(&self, index: u32) -> data::Value {
        let int = match self.chunk().big_ints().get(index as usize) {
            Some(BigInt::Exact {
                negative,
                magnitude,
            }) => data::BigInt::from_bytes_le(*negative, magnitude),
            Some(&BigInt::Huge {
                negative,
                bits,
                leading,
            }) => data::BigInt::Huge {
                negative,
                leading,
                bits,
            },
            None => return data::Value::Unknown("damaged".into()),
        };
        data::Value::BigInt(Box::new(int))
    }

    fn values(
        &self,
        values: &[debugop_recording::stream::Value],
        depth: u32,
    ) -> Box<[data::Value]> {
        let item = |&value: &_| self.value(Value::from(value), depth);
        values.iter().map(item).collect()
    }

    /// Pairs in an object, keys and values so deep.
    fn pairs(&self, object: &Object<'_>, pairs: &Pairs, (keys, values): (u32, u32)) -> data::Pairs {
        let pair = |&(key, value): &_| {
            let key = self.value(Value::from(key), keys);
            (key, self.value(Value::from(value), values))
        };
        data::Pairs {
            id: object.id.0,
            pairs: pairs.pairs.iter().map(pair).collect(),
            length: pairs.length,
        }
    }

    fn subclass(
        &self,
        object: &Object<'_>,
        contents: data::Value,
        attributes: &Pairs,
        inner: u32,
    ) -> data::Value {
        data::Value::Subclass {
            type_name: name(&object.class.name).into(),
            contents: Box::new(contents),
            attributes: self.pairs(object, attributes, (0, inner)),
        }
    }

    fn object(&self, object: &Object<'_>, depth: u32) -> data::Value {
        let id = object.id.0;
        let plain = || data::Value::Object {
            type_name: name(&object.class.name).into(),
            id,
        };
        let Some(contents) = object.contents else {
            return plain();
        };
        let inner = depth.saturating_sub(1);
        match (object.class.kind, contents) {
            (Kind::Str, Contents::Bytes { length, head }) => {
                data::Value::Str(Text::from_wtf8(&**head, *length))
            }
            (Kind::Bytes, Contents::Bytes { length, head }) => {
                data::Value::Bytes(bytes(head, *length))
            }
            (Kind::ByteArray, Contents::Bytes { length, head }) => {
                data::Value::ByteArray(bytes(head, *length))
            }
            (
                Kind::List | Kind::Tuple | Kind::Set | Kind::FrozenSet | Kind::Dict,
                Contents::Items(_) | Contents::Pairs(_),
            ) if depth == 0 => data::Value::Deeper,
            (kind, Contents::Items(items)) => {
                let items = data::Items {
                    id,
                    items: self.values(&items.items, inner),
                    length: items.length,
                };
                match kind {
                    Kind::List => data::Value::List(items),
                    Kind::Tuple => data::Value::Tuple(items),
                    Kind::Set => data::Value::Set(items),
                    Kind::FrozenSet => data::Value::FrozenSet(items),
                    _ => plain(),
                }
            }
            (Kind::Dict, Contents::Pairs(pairs)) => {
                data::Value::Dict(self.pairs(object, pairs, (inner, inner)))
            }
            (_, Contents::Collection { .. } | Contents::Mapping { .. }) if depth == 0 => plain(),
            (kind, Contents::Collection { items, attributes }) => {
                let items = data::Items {
                    id,
                    items: self.values(&items.items, inner),
                    length: items.length,
                };
                let contents = match kind {
                    Kind::TupleSubclass => data::Value::Tuple(items),
                    Kind::SetSubclass => data::Value::Set(items),
                    Kind::FrozenSetSubclass => data::Value::FrozenSet(items),
                    _ => data::Value::List(items),
                };
                self.subclass(object, contents, attributes, inner)
            }
            (_, Contents::Mapping { pairs, attributes }) => {
                let pairs = self.pairs(object, pairs, (inner, inner));
                self.subclass(object, data::Value::Dict(pairs), attributes, inner)
            }
            (Kind::Instance, Contents::Pairs(_)) if depth == 0 => plain(),
            (Kind::Instance, Contents::Pairs(pairs)) => data::Value::Instance {
                type_name: name(&object.class.name).into(),
                attributes: self.pairs(object, pairs, (0, inner)),
            },
            (Kind::Cell, Contents::Cell(_)) => data::Value::Cell {
                id,
                contents: match object.cell {
                    None | Some(Value::Null) => None,
                    Some(_) if depth == 0 => Some(Box::new(data::Value::Deeper)),
                    Some(value) => Some(Box::new(self.value(value, inner))),
                },
            },
            (Kind::Function, Contents::Code { qualname, .. }) => data::Value::Function {
                qualname: name(qualname).into(),
                id,
            },
            (Kind::Code, Contents::Code { qualname, .. }) => data::Value::Code {
                qualname: name(qualname).into(),
                id,
            },
            (Kind::Builtin, Contents::Name(wtf8)) => data::Value::Builtin {
                name: name(wtf8).into(),
                id,
            },
            (Kind::Type, Contents::Name(wtf8)) => data::Value::Class {
                name: name(wtf8).into(),
                id,
            },
            (Kind::Module, Contents::Name(wtf8)) => data::Value::Module {
                name: name(wtf8).into(),
                id,
            },
            (Kind::Method, Contents::Method { function, .. }) => {
                match self.value(Value::from(*function), inner) {
                    data::Value::Function { qualname, .. } => data::Value::Method { qualname, id },
                    _ => plain(),
                }
            }
            (Kind::Exception, Contents::Exception { arguments, .. }) => {
                let args = match arguments {
                    Arguments::Known(items) if items.length == items.items.len() as u64 => {
                        Some(self.values(&items.items, inner))
                    }
                    _ => None,
                };
                data::Value::Exception(Box::new(Exception {
                    type_name: name(&object.class.name).into(),
                    id,
                    args,
                }))
            }
            (Kind::Range, Contents::Parts(parts)) => {
                data::Value::Range(Box::new(parts.map(|part| self.value(part.into(), inner))))
            }
            (Kind::Slice, Contents::Parts(parts)) => {
                data::Value::Slice(Box::new(parts.map(|part| self.value(part.into(), inner))))
            }
            _ => plain(),
        }
    }
}

/// Whether it shows contents that can change.
fn can_change(value: &data::Value) -> bool {
    match value {
        data::Value::Cell { contents, .. } => {
            !matches!(contents.as_deref(), Some(data::Value::Deeper))
        }
        data::Value::List(_)
        | data::Value::Dict(_)
        | data::Value::Set(_)
        | data::Value::ByteArray(_)
        | data::Value::Instance { .. }
        | data::Value::Subclass { .. } => true,
        _ => false,
    }
}

fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::LIMIT => "beyond the recording's limits",
        Reason::UNREADABLE => "cannot be read without running code of the program",
        Reason::TOO_LARGE => "too large",
        Reason::NO_MEMORY => "there was no memory for it",
        Reason::DROPPED => "dropped",
        _ => "not recorded",
    }
}
