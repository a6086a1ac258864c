//! The JSON form of a value, as `jsonl` carries it; [`Value`] implements [`Serialize`] with it.
//!
//! What JSON says exactly is written plainly: `null` for `None`, booleans, integers up to 2⁵³ − 1 in magnitude, and
//! whole strings without surrogates. Everything else is an object whose `type` names its kind:
//!
//! | value | JSON |
//! |---|---|
//! | empty stack slot | `{"type":"NULL"}` |
//! | other `int` | `{"type":"int","value":"18446744073709551616"}` |
//! | `int` too large to be captured | `{"type":"int","bits":1000000,"leading":"8000000000000000","negative":false}`, `leading` being its 64 highest bits |
//! | `float` | `{"type":"float","value":1.5}`, or `"nan"`, `"inf"`, `"-inf"` |
//! | `complex` | `{"type":"complex","real":0.0,"imag":1.0}`, parts as for `float` |
//! | `str` that was cut | `{"type":"str","value":"abc","length":10000}` |
//! | `str` with surrogates | `{"type":"str","wtf8":"edb280","length":1}`: hexadecimal |
//! | `bytes`, `bytearray` | `{"type":"bytes","hex":"00ff","length":2}` |
//! | `list`, `tuple`, `set`, `frozenset` | `{"type":"list","id":1,"items":[1,2],"length":2}` |
//! | `dict` | `{"type":"dict","id":1,"pairs":[["a",1]],"length":1}` |
//! | `range`, `slice` | `{"type":"range","start":0,"stop":3,"step":1}` |
//! | exception | `{"type":"exception","class":"ValueError","id":1,"args":["bad"]}`; no `args` if they are not known |
//! | cell | `{"type":"cell","id":1,"contents":3}`; no `contents` if it is empty |
//! | function, builtin, method, class, module, code | `{"type":"function","name":"lol","id":1}` |
//! | tagged integer | `{"type":"raw","value":0}` |
//! | too deep to be captured | `{"type":"deeper"}` |
//! | any other object | `{"type":"object","class":"range_iterator","id":1}` |
//!
//! Contents that may have changed since they were looked at have `"certain":false` beside their `type`.
//!
//! `length` is the true length; fewer items than that means that the rest was cut.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::{BigInt, Bytes, Items, Text, Value};

/// Integers beyond this magnitude are not exact in every JSON reader.
const EXACT: u64 = (1 << 53) - 1;

struct FloatForm(f64);

impl Serialize for FloatForm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else {
            serializer.serialize_str(&crate::float_repr(self.0))
        }
    }
}

struct Hex<'a>(&'a [u8]);

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
        let text: String = self
            .0
            .iter()
            .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
            .collect();
        serializer.serialize_str(&text)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::None => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) if value.unsigned_abs() <= EXACT => serializer.serialize_i64(*value),
            Value::Str(text) => text_form(text, serializer),
            _ => tagged(self, serializer),
        }
    }
}

fn text_form<S: Serializer>(text: &Text, serializer: S) -> Result<S::Ok, S::Error> {
    match text.as_str() {
        Some(whole) if !text.is_cut() => serializer.serialize_str(whole),
        held => {
            let mut map = serializer.serialize_map(Some(3))?;
            map.serialize_entry("type", "str")?;
            match held {
                Some(head) => map.serialize_entry("value", head)?,
                None => map.serialize_entry("wtf8", &Hex(text.as_wtf8()))?,
            }
            map.serialize_entry("length", &text.len())?;
            map.end()
        }
    }
}

fn tagged<S: Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("type", type_tag(value))?;
    if let Value::Uncertain(_) = value {
        map.serialize_entry("certain", &false)?;
    }
    match value.known() {
        Value::Int(int) => map.serialize_entry("value", &int.to_string())?,
        Value::BigInt(int) => match &**int {
            BigInt::Exact(int) => map.serialize_entry("value", &int.to_string())?,
            BigInt::Huge {
                negative,
                leading,
                bits,
            } => {
                map.serialize_entry("bits", bits)?;
                map.serialize_entry("leading", &format!("{leading:016x}"))?;
                map.serialize_entry("negative", negative)?;
            }
        },
        Value::TaggedInt(int) => map.serialize_entry("value", int)?,
        Value::Float(float) => map.serialize_entry("value", &FloatForm(*float))?,
        Value::Complex { real, imaginary } => {
            map.serialize_entry("real", &FloatForm(*real))?;
            map.serialize_entry("imag", &FloatForm(*imaginary))?;
        }
        Value::Bytes(Bytes { head, length }) | Value::ByteArray(Bytes { head, length }) => {
            map.serialize_entry("hex", &Hex(head))?;
            map.serialize_entry("length", length)?;
        }
        Value::List(Items { id, items, length })
        | Value::Tuple(Items { id, items, length })
        | Value::Set(Items { id, items, length })
        | Value::FrozenSet(Items { id, items, length }) => {
            map.serialize_entry("id", id)?;
            map.serialize_entry("items", items)?;
            map.serialize_entry("length", length)?;
        }
        Value::Dict(dict) => {
            map.serialize_entry("id", &dict.id)?;
            map.serialize_entry("pairs", &dict.pairs)?;
            map.serialize_entry("length", &dict.length)?;
        }
        Value::Range(parts) | Value::Slice(parts) => {
            for (key, part) in ["start", "stop", "step"].iter().zip(&**parts) {
                map.serialize_entry(key, part)?;
            }
        }
        Value::Function { qualname: name, id }
        | Value::Method { qualname: name, id }
        | Value::Code { qualname: name, id }
        | Value::Builtin { name, id }
        | Value::Class { name, id }
        | Value::Module { name, id } => {
            map.serialize_entry("name", name)?;
            map.serialize_entry("id", id)?;
        }
        Value::Exception(exception) => {
            map.serialize_entry("class", &exception.type_name)?;
            map.serialize_entry("id", &exception.id)?;
            if let Some(args) = &exception.args {
                map.serialize_entry("args", args)?;
            }
        }
        Value::Cell { id, contents } => {
            map.serialize_entry("id", id)?;
            if let Some(contents) = contents {
                map.serialize_entry("contents", contents)?;
            }
        }
        Value::Object { type_name, id } => {
            map.serialize_entry("class", type_name)?;
            map.serialize_entry("id", id)?;
        }
        Value::Instance {
            type_name,
            attributes,
        } => {
            map.serialize_entry("class", type_name)?;
            map.serialize_entry("id", &attributes.id)?;
            map.serialize_entry("attributes", &attributes.pairs)?;
            map.serialize_entry("length", &attributes.length)?;
        }
        Value::Subclass {
            type_name,
            contents,
            attributes,
        } => {
            map.serialize_entry("class", type_name)?;
            map.serialize_entry("id", &attributes.id)?;
            map.serialize_entry("contents", contents)?;
            map.serialize_entry("attributes", &attributes.pairs)?;
            map.serialize_entry("length", &attributes.length)?;
        }
        Value::Unknown(reason) => map.serialize_entry("reason", reason)?,
        Value::Null
        | Value::None
        | Value::Bool(_)
        | Value::Ellipsis
        | Value::NotImplemented
        | Value::Str(_)
        | Value::Uncertain(_)
        | Value::Deeper => {}
    }
    map.end()
}

fn type_tag(value: &Value) -> &'static str {
    match value {
        Value::Uncertain(value) => type_tag(value),
        Value::Null => "NULL",
        Value::None => "None",
        Value::Bool(_) => "bool",
        Value::Ellipsis => "Ellipsis",
        Value::NotImplemented => "NotImplemented",
        Value::Int(_) | Value::BigInt(_) => "int",
        Value::Float(_) => "float",
        Value::Complex { .. } => "complex",
        Value::Str(_) => "str",
        Value::Bytes(_) => "bytes",
        Value::ByteArray(_) => "bytearray",
        Value::List(_) => "list",
        Value::Tuple(_) => "tuple",
        Value::Set(_) => "set",
        Value::FrozenSet(_) => "frozenset",
        Value::Dict(_) => "dict",
        Value::Range(_) => "range",
        Value::Slice(_) => "slice",
        Value::Function { .. } => "function",
        Value::Builtin { .. } => "builtin",
        Value::Method { .. } => "method",
        Value::Class { .. } => "class",
        Value::Module { .. } => "module",
        Value::Code { .. } => "code",
        Value::Exception(_) => "exception",
        Value::Cell { .. } => "cell",
        Value::Object { .. } => "object",
        Value::TaggedInt(_) => "raw",
        Value::Deeper => "deeper",
        Value::Instance { .. } | Value::Subclass { .. } => "object",
        Value::Unknown(_) => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pairs;

    fn check(value: &Value, expected: &str) {
        assert_eq!(serde_json::to_string(value).expect("serialises"), expected);
    }

    #[test]
    fn what_may_have_changed_says_so() {
        check(
            &Value::Uncertain(Box::new(Value::List(Items::whole(1, vec![Value::Int(1)])))),
            r#"{"type":"list","certain":false,"id":1,"items":[1],"length":1}"#,
        );
    }

    #[test]
    fn what_json_says_exactly_is_plain() {
        check(&Value::None, "null");
        check(&Value::Bool(true), "true");
        check(&Value::Int(-3), "-3");
        check(&Value::str("é\n"), "\"é\\n\"");
    }

    #[test]
    fn everything_else_is_tagged() {
        check(&Value::Null, r#"{"type":"NULL"}"#);
        check(
            &Value::Int(1 << 53),
            r#"{"type":"int","value":"9007199254740992"}"#,
        );
        check(&Value::Float(1.0), r#"{"type":"float","value":1.0}"#);
        check(&Value::Float(-0.0), r#"{"type":"float","value":-0.0}"#);
        check(&Value::Float(f64::NAN), r#"{"type":"float","value":"nan"}"#);
        check(
            &Value::Str(Text::from_wtf8(*b"ab", 9)),
            r#"{"type":"str","value":"ab","length":9}"#,
        );
        check(
            &Value::Str(Text::from_wtf8(*b"\xed\xb2\x80", 1)),
            r#"{"type":"str","wtf8":"edb280","length":1}"#,
        );
        check(
            &Value::Dict(Pairs::whole(7, vec![(Value::str("a"), Value::Deeper)])),
            r#"{"type":"dict","id":7,"pairs":[["a",{"type":"deeper"}]],"length":1}"#,
        );
        check(
            &Value::BigInt(Box::new(BigInt::from_bytes_le(
                true,
                &[0, 0, 0, 0, 0, 0, 0, 0, 1],
            ))),
            r#"{"type":"int","value":"-18446744073709551616"}"#,
        );
    }
}
