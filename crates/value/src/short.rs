//! The short text of a value: `repr` where it fits, cut to a width where it does not.
//!
//! Two functions do the work. `Line::whole` writes all that is known of a value and gives up as soon as it exceeds the
//! room that is left; `cut` is called only when that happened, and cuts at most one item of a container, so the time
//! is bounded by the square of the width whatever the value is.

use std::fmt;

use crate::escape::{escaped, grouped, head, printable, width, write_code_point};
use crate::number::{complex_repr, float_repr};
use crate::{BigInt, Bytes, Value};

/// What stands behind a value that may have changed, if its text shows what that is.
fn mark(value: &Value) -> &'static str {
    match value {
        Value::Instance { .. } => "",
        _ => "?",
    }
}

/// A value that displays itself in at most a number of columns; see [`Value::short`].
#[derive(Debug, Clone, Copy)]
pub struct Short<'a> {
    pub(crate) value: &'a Value,
    pub(crate) width: usize,
}

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&short(self.value, self.width, Place::Outside))
    }
}

/// Whether a value stands for itself. The length of a string that was captured whole but is cut here is shown only then;
/// inside another value it is in the way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Inside,
}

fn short(value: &Value, room: usize, place: Place) -> String {
    let mut line = Line::new(room);
    match line.whole(value) {
        Ok(()) => line.text,
        Err(Full) => cut(value, room, place),
    }
}

/// The text does not fit.
struct Full;

/// Text with a bound on its columns.
struct Line {
    text: String,
    room: usize,
}

impl Line {
    fn new(room: usize) -> Self {
        Line {
            text: String::new(),
            room,
        }
    }

    fn push(&mut self, text: &str) -> Result<(), Full> {
        self.room = self.room.checked_sub(width(text)).ok_or(Full)?;
        self.text.push_str(text);
        Ok(())
    }

    fn whole(&mut self, value: &Value) -> Result<(), Full> {
        match value {
            Value::Str(_) | Value::Bytes(_) | Value::ByteArray(_) => match Quoted::of(value) {
                Some(quoted) => self.whole_quoted(&quoted),
                None => Err(Full),
            },
            Value::BigInt(int) => match &**int {
                BigInt::Exact(digits) if enough_columns(digits.bits(), self.room) => {
                    self.push(&int.to_string())
                }
                BigInt::Exact(_) => Err(Full),
                BigInt::Huge { .. } => self.push(&format!("{int}{}", bits_left(int))),
            },
            Value::Uncertain(value) => {
                // What is in it may have changed as well.
                self.whole(&value.as_seen())?;
                self.push(mark(value))
            }
            _ => match Group::of(value) {
                Some(group) => self.whole_group(&group),
                None => self.push(&atom(value)),
            },
        }
    }

    fn whole_quoted(&mut self, quoted: &Quoted<'_>) -> Result<(), Full> {
        self.push(&quoted.open)?;
        for index in 0..quoted.units.len() {
            self.push(&quoted.unit(index))?;
        }
        if (quoted.units.len() as u64) < quoted.length {
            self.push(&quoted.end_with_length())
        } else {
            self.push(&quoted.close)
        }
    }

    fn whole_group(&mut self, group: &Group<'_>) -> Result<(), Full> {
        self.push(&group.open)?;
        for index in 0..group.items.len() {
            if index > 0 {
                self.push(", ")?;
            }
            self.whole_item(group, index)?;
        }
        if group.comma_after_one && group.length == 1 {
            self.push(",")?;
        }
        self.push(&group.rest(group.items.len() as u64))?;
        self.push(group.close)
    }

    fn whole_item(&mut self, group: &Group<'_>, index: usize) -> Result<(), Full> {
        match group.items {
            Members::Items(items) => self.whole(&items[index]),
            Members::Pairs(pairs) => {
                let (key, value) = &pairs[index];
                self.whole(key)?;
                self.push(": ")?;
                self.whole(value)
            }
        }
    }
}

/// What stands between a pair of brackets.
#[derive(Clone, Copy)]
enum Members<'a> {
    Items(&'a [Value]),
    Pairs(&'a [(Value, Value)]),
}

impl Members<'_> {
    fn len(&self) -> usize {
        match self {
            Members::Items(items) => items.len(),
            Members::Pairs(pairs) => pairs.len(),
        }
    }
}

/// A value that is written as a bracketed list of others.
struct Group<'a> {
    open: String,
    close: &'static str,
    items: Members<'a>,
    length: u64,
    comma_after_one: bool,
}

/// A class's name without the module, or the class, that it is in.
fn last_name(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// The end of a group that stands in parentheses.
fn in_parentheses(close: &'static str) -> &'static str {
    match close {
        "]" => "])",
        "}" => "})",
        "})" => "}))",
        _ => "))",
    }
}

impl<'a> Group<'a> {
    fn of(value: &'a Value) -> Option<Self> {
        let fixed = |open: String, close, items: &'a [Value]| Group {
            open,
            close,
            items: Members::Items(items),
            length: items.len() as u64,
            comma_after_one: false,
        };
        let sized = |open: &str, close, items: &'a crate::Items| Group {
            length: items.length,
            ..fixed(open.into(), close, &items.items)
        };
        Some(match value {
            Value::List(items) => sized("[", "]", items),
            Value::Tuple(items) => Group {
                comma_after_one: true,
                ..sized("(", ")", items)
            },
            Value::Set(items) if items.length == 0 => sized("set(", ")", items),
            Value::Set(items) => sized("{", "}", items),
            Value::FrozenSet(items) if items.length == 0 => sized("frozenset(", ")", items),
            Value::FrozenSet(items) => sized("frozenset({", "})", items),
            Value::Dict(pairs) => Group {
                items: Members::Pairs(&pairs.pairs),
                length: pairs.length,
                ..fixed("{".into(), "}", &[])
            },
            Value::Range(parts) => {
                let shown = if parts[2] == Value::Int(1) { 2 } else { 3 };
                fixed("range(".into(), ")", &parts[..shown])
            }
            Value::Slice(parts) => fixed("slice(".into(), ")", &parts[..]),
            Value::Subclass {
                type_name,
                contents,
                ..
            } => {
                let inside = Self::of(contents)?;
                Group {
                    // As their `repr` has it: without the module.
                    open: format!("{}({}", escaped(last_name(type_name)), inside.open),
                    close: in_parentheses(inside.close),
                    ..inside
                }
            }
            Value::Cell {
                contents: Some(contents),
                ..
            } => fixed("<cell ".into(), ">", std::slice::from_ref(contents)),
            Value::Exception(exception) => {
                let name = type_text(&exception.type_name);
                fixed(
                    format!("{name}("),
                    ")",
                    exception.args.as_deref().unwrap_or(&[Value::Deeper]),
                )
            }
            _ => return None,
        })
    }

    /// What tells how many items follow the first `shown`.
    fn rest(&self, shown: u64) -> String {
        match self.length.saturating_sub(shown) {
            0 => String::new(),
            left if shown == 0 => format!("…+{}", grouped(left)),
            left => format!(", …+{}", grouped(left)),
        }
    }
}

/// What stands between a pair of quotes: code points, or the values of bytes.
struct Quoted<'a> {
    open: String,
    close: String,
    quote: &'static str,
    units: Units<'a>,
    length: u64,
}

/// The code points of a `str` (collected: WTF-8 is not indexable), or the bytes of a `bytes`.
enum Units<'a> {
    Text(Vec<u32>),
    Bytes(&'a [u8]),
}

impl Units<'_> {
    fn len(&self) -> usize {
        match self {
            Units::Text(code_points) => code_points.len(),
            Units::Bytes(bytes) => bytes.len(),
        }
    }
}

impl<'a> Quoted<'a> {
    fn of(value: &'a Value) -> Option<Self> {
        let of_bytes = |open: &str, bytes: &'a Bytes, end: &str| {
            let quote = quote_of(&bytes.head);
            Quoted {
                open: format!("{open}{quote}"),
                close: format!("{quote}{end}"),
                quote,
                units: Units::Bytes(&bytes.head),
                length: bytes.length,
            }
        };
        Some(match value {
            Value::Str(text) => {
                let quote = quote_of(text.as_wtf8());
                Quoted {
                    open: quote.into(),
                    close: quote.into(),
                    quote,
                    units: Units::Text(text.code_points().collect()),
                    length: text.len(),
                }
            }
            Value::Bytes(bytes) => of_bytes("b", bytes, ""),
            Value::ByteArray(bytes) => of_bytes("bytearray(b", bytes, ")"),
            _ => return None,
        })
    }

    fn unit(&self, index: usize) -> String {
        match &self.units {
            Units::Text(code_points) => escape(code_points[index], self.quote),
            Units::Bytes(bytes) if bytes[index] < 0x80 => escape(bytes[index].into(), self.quote),
            Units::Bytes(bytes) => format!("\\x{:02x}", bytes[index]),
        }
    }

    fn end_with_length(&self) -> String {
        format!("…{} ({})", self.close, grouped(self.length))
    }
}

/// The text of a value that has no parts.
fn atom(value: &Value) -> String {
    let tagged = |kind: &str, name: &str| format!("<{kind} {}>", type_text(name));
    match value {
        Value::Null => "NULL".into(),
        Value::None => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Ellipsis => "Ellipsis".into(),
        Value::NotImplemented => "NotImplemented".into(),
        Value::Int(int) => int.to_string(),
        Value::Float(float) => float_repr(*float),
        Value::Complex { real, imaginary } => complex_repr(*real, *imaginary),
        Value::Function { qualname, .. } => tagged("function", qualname),
        Value::Builtin { name, .. } => tagged("built-in", name),
        Value::Method { qualname, .. } => tagged("method", qualname),
        Value::Class { name, .. } => tagged("class", name),
        Value::Module { name, .. } => format!("<module {}>", escaped(name)),
        Value::Code { qualname, .. } => tagged("code", qualname),
        Value::Cell { .. } => "<cell empty>".into(),
        Value::Object { type_name, .. } => format!("<{}>", type_text(type_name)),
        Value::Instance { type_name, .. } => format!("<{}>", type_text(type_name)),
        Value::TaggedInt(int) => format!("<raw {int}>"),
        Value::Unknown(reason) => format!("<unknown: {}>", escaped(reason)),
        // The rest are strings, big integers and groups, which are written elsewhere.
        _ => "…".into(),
    }
}

/// A type's name without `__main__.`, which says nothing to somebody who traces a script.
fn type_text(name: &str) -> std::borrow::Cow<'_, str> {
    escaped(name.strip_prefix("__main__.").unwrap_or(name))
}

/// A value that does not fit `room` columns, or that was captured only in part.
fn cut(value: &Value, room: usize, place: Place) -> String {
    if room < 3 {
        return cut_text("…", room);
    }
    match value {
        Value::Str(_) | Value::Bytes(_) | Value::ByteArray(_) => match Quoted::of(value) {
            Some(quoted) => cut_quoted(&quoted, room, place),
            None => cut_text("…", room),
        },
        Value::BigInt(int) => cut_int(int, room),
        Value::Uncertain(value) => {
            let mark = mark(value);
            short(&value.as_seen(), room - width(mark), place) + mark
        }
        _ => match Group::of(value) {
            Some(group) => cut_group(&group, room),
            None => cut_text(&atom(value), room),
        },
    }
}

/// `text` in `room` columns; `<…>` keeps its closing bracket.
fn cut_text(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.into();
    }
    let end = if text.starts_with('<') && room >= 4 {
        "…>"
    } else if room == 0 {
        ""
    } else {
        "…"
    };
    let mut out = head(text, room - width(end)).to_owned();
    out.push_str(end);
    out
}

/// As many characters as fit, then the length where there is room for it beside four columns of characters.
fn cut_quoted(quoted: &Quoted<'_>, room: usize, place: Place) -> String {
    let fixed = width(&quoted.open);
    let with_length = quoted.end_with_length();
    let without = format!("…{}", quoted.close);
    let known_whole = quoted.units.len() as u64 >= quoted.length;
    let wanted = place == Place::Outside || !known_whole;
    let end = if wanted && fixed + 4 + width(&with_length) <= room {
        with_length
    } else if fixed + 1 + width(&without) <= room {
        without
    } else {
        return cut_text("…", room);
    };
    let mut line = Line::new(room - width(&end));
    if line.push(&quoted.open).is_ok() {
        for index in 0..quoted.units.len() {
            if line.push(&quoted.unit(index)).is_err() {
                break;
            }
        }
    }
    line.text + &end
}

fn cut_int(int: &BigInt, room: usize) -> String {
    let digits = match int {
        BigInt::Exact(digits) if digits.bits() <= 4096 => digits.to_string(),
        BigInt::Exact(digits) => {
            let bits = digits.bits();
            let leading = digits.magnitude() >> (bits - 64);
            let leading = leading.iter_u64_digits().next().unwrap_or(0);
            let negative = digits.sign() == num_bigint::Sign::Minus;
            BigInt::Huge {
                negative,
                leading,
                bits,
            }
            .to_string()
        }
        huge @ BigInt::Huge { .. } => huge.to_string(),
    };
    let end = bits_left(int);
    match room.checked_sub(width(&end)) {
        Some(left) if left >= 4 => format!("{}{end}", head(&digits, left)),
        _ => format!("{}…", head(&digits, room - 1)),
    }
}

fn bits_left(int: &BigInt) -> String {
    format!("… ({} bits)", grouped(int.bits()))
}

/// Whether an integer of this many bits can possibly fit: an integer has at least `bits * 0.3` decimal digits.
fn enough_columns(bits: u64, room: usize) -> bool {
    bits.saturating_sub(1) * 3 / 10 <= room as u64
}

/// As many whole items as fit; after them, where there is room, a part of the next; then how many are left.
fn cut_group(group: &Group<'_>, room: usize) -> String {
    let closing = width(group.close);
    let rest = |shown| group.rest(shown);
    let fits = |line: &Line, shown: u64| width(&rest(shown)) + closing <= line.room;

    let mut line = Line::new(room);
    if line.push(&group.open).is_err() || line.room < closing + 1 {
        // The name of the type is what is left to show.
        return cut_text(&format!("{}…", group.open), room);
    }
    if !fits(&line, 0) && group.items.len() == 0 {
        return format!("{}…{}", group.open, group.close);
    }
    // Where the last count of items ends that leaves room for what has to follow.
    let mut best = (line.text.len(), line.room, 0);
    let mut shown = 0;
    while shown < group.items.len() {
        if shown > 0 && line.push(", ").is_err() {
            break;
        }
        if line.whole_item(group, shown).is_err() {
            break;
        }
        shown += 1;
        if fits(&line, shown as u64) {
            best = (line.text.len(), line.room, shown);
        }
    }
    let (end, left, shown) = best;
    line.text.truncate(end);
    line.room = left;
    if shown < group.items.len() {
        let separator = if shown > 0 { ", " } else { "" };
        let rest = rest(shown as u64 + 1);
        let taken = width(separator) + width(&rest) + closing;
        let least = if shown == 0 { 3 } else { 10 };
        if let Some(item_room) = left.checked_sub(taken).filter(|&room| room >= least) {
            let item = cut_item(group, shown, item_room);
            return format!("{}{separator}{item}{rest}{}", line.text, group.close);
        }
    }
    let rest = if fits(&line, shown as u64) {
        rest(shown as u64)
    } else {
        "…".into()
    };
    format!("{}{rest}{}", line.text, group.close)
}

fn cut_item(group: &Group<'_>, index: usize, room: usize) -> String {
    match group.items {
        Members::Items(items) => short(&items[index], room, Place::Inside),
        Members::Pairs(pairs) => {
            let (key, value) = &pairs[index];
            let mut line = Line::new(room.saturating_sub(5));
            if line.whole(key).is_ok() {
                let left = room - width(&line.text) - 2;
                format!("{}: {}", line.text, short(value, left, Place::Inside))
            } else if room >= 6 {
                format!("{}: …", short(key, room - 3, Place::Inside))
            } else {
                "…".into()
            }
        }
    }
}

/// Python's rule: single quotes, unless that needs an escape and double quotes do not.
fn quote_of(text: &[u8]) -> &'static str {
    if text.contains(&b'\'') && !text.contains(&b'"') {
        "\""
    } else {
        "'"
    }
}

fn escape(code_point: u32, quote: &str) -> String {
    let mut out = String::new();
    match char::from_u32(code_point) {
        Some('\n') => out.push_str("\\n"),
        Some('\r') => out.push_str("\\r"),
        Some('\t') => out.push_str("\\t"),
        Some('\\') => out.push_str("\\\\"),
        Some('\'') if quote == "'" => out.push_str("\\'"),
        Some(c) if printable(c) => out.push(c),
        _ => write_code_point(&mut out, code_point),
    }
    out
}

#[cfg(test)]
mod tests;
