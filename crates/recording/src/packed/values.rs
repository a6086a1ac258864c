//! Values, and what has been the value at a capture before.

use std::ops::Range;

use super::Coding;
use super::coder::Coder;
use super::model::{Context, Model, mix, mix_long};
use crate::stream::{BigInt, Error, ErrorKind, Numbers, ObjectId, Reason, Value};

/// How a captured value is told.
pub(super) mod how {
    /// It is computed.
    pub(in crate::packed) const COMPUTED: u8 = 0;
    /// It came last time after the same two values.
    pub(in crate::packed) const AFTER_TWO: u8 = 1;
    /// It came last time after the same value.
    pub(in crate::packed) const AFTER_ONE: u8 = 2;
    /// It is the last one, or as far from it as that was from the one before.
    pub(in crate::packed) const NEXT: u8 = 3;
    /// It is written.
    pub(in crate::packed) const WRITTEN: u8 = 4;
}

/// What was captured at one place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    last: Value,
    /// Of the value before the last one.
    before: u32,
    stride: i64,
    /// How it was told the last times, the last one in the lowest three bits.
    pub(super) hows: u32,
}

impl Default for Entry {
    fn default() -> Self {
        Entry {
            last: Value::Null,
            before: 0,
            stride: 0,
            hows: 0,
        }
    }
}

impl Entry {
    /// How the next one will be told, most likely.
    #[inline]
    pub(super) fn likely(&self) -> u8 {
        (self.hows & 7) as u8
    }

    #[inline]
    pub(super) fn told(&mut self, how: u8) {
        self.hows = self.hows << 3 | u32::from(how);
    }
}

/// Places that have the same hash share what is known of them.
const MEMORY: u32 = 15;
const RING: usize = 256;
/// Ints that are written anew each time.
const SMALL: Range<i64> = -1024..1024;

/// Values by what was before.
pub(super) struct Memory {
    after_one: Vec<Value>,
    after_two: Vec<Value>,
    contents: Vec<Value>,
    floats: Ring<u64>,
    pub(super) objects: Ring<u64>,
    /// Those that are not small.
    ints: Ring<i64>,
    pub(super) big_ints: Vec<BigInt>,
    pub(super) complexes: Vec<[u64; 2]>,
}

/// What came last.
pub(super) struct Ring<T> {
    items: [T; RING],
    /// Where the next one goes, less than [`RING`].
    next: usize,
}

impl<T: Copy + Default + PartialEq> Ring<T> {
    fn new() -> Self {
        Ring {
            items: [T::default(); RING],
            next: 0,
        }
    }

    #[inline]
    pub(super) fn push(&mut self, item: T) {
        if self.get(0) != item {
            self.items[self.next] = item;
            self.next = (self.next + 1) % RING;
        }
    }

    /// How many came after it.
    pub(super) fn rank(&self, item: T) -> Option<usize> {
        let (newer, older) = self.items.split_at(self.next);
        let mut items = newer.iter().rev().chain(older.iter().rev());
        items.position(|&known| known == item)
    }

    #[inline]
    pub(super) fn get(&self, rank: usize) -> T {
        self.items[(self.next + 2 * RING - 1 - rank) % RING]
    }
}

#[inline]
fn hash(value: Value) -> u32 {
    match value {
        Value::Null => 1,
        Value::None => 2,
        Value::Bool(false) => 3,
        Value::Bool(true) => 4,
        Value::Ellipsis => 5,
        Value::NotImplemented => 6,
        Value::Int(int) => mix_long(7, int.cast_unsigned()),
        Value::Float(bits) => mix_long(8, bits),
        Value::Tagged(int) => mix_long(9, int.cast_unsigned()),
        Value::Object(id) => mix_long(10, id.0),
        Value::BigInt(_) | Value::Complex(_) | Value::Unknown(_) | Value::Redacted => 11,
    }
}

/// Whether two values that are equal are the same: large numbers are known by where they are kept.
#[inline]
fn is_plain(value: Value) -> bool {
    !matches!(value, Value::BigInt(_) | Value::Complex(_))
}

impl Memory {
    pub(super) fn new() -> Self {
        Memory {
            after_one: vec![Value::Null; 1 << MEMORY],
            after_two: vec![Value::Null; 1 << MEMORY],
            contents: vec![Value::Null; 1 << MEMORY],
            floats: Ring::new(),
            objects: Ring::new(),
            ints: Ring::new(),
            big_ints: Vec::new(),
            complexes: Vec::new(),
        }
    }

    #[inline]
    fn places(number: u32, entry: &Entry) -> [usize; 2] {
        let one = mix(number, hash(entry.last));
        let two = mix(one, entry.before);
        [one, two].map(|hash| (hash >> (32 - MEMORY)) as usize)
    }

    /// The value that is meant by `how` at this place.
    #[inline]
    pub(super) fn candidate(&self, number: u32, entry: &Entry, how: u8) -> Value {
        let [one, two] = Self::places(number, entry);
        match how {
            how::AFTER_TWO => self.after_two[two],
            how::AFTER_ONE => self.after_one[one],
            _ => match entry.last {
                Value::Int(last) => Value::Int(last.wrapping_add(entry.stride)),
                last => last,
            },
        }
    }

    /// How a value that is not computed can be told.
    pub(super) fn how(&self, number: u32, entry: &Entry, value: Value) -> u8 {
        if !is_plain(value) {
            return how::WRITTEN;
        }
        let likely = entry.likely();
        [likely, how::AFTER_TWO, how::AFTER_ONE, how::NEXT]
            .into_iter()
            .filter(|&how| (how::AFTER_TWO..=how::NEXT).contains(&how))
            .find(|&how| self.candidate(number, entry, how) == value)
            .unwrap_or(how::WRITTEN)
    }

    /// This value was there.
    #[inline]
    pub(super) fn captured(&mut self, number: u32, entry: &mut Entry, value: Value) {
        let value = if is_plain(value) { value } else { Value::Null };
        let [one, two] = Self::places(number, entry);
        self.after_one[one] = value;
        self.after_two[two] = value;
        entry.stride = match (entry.last, value) {
            (Value::Int(last), Value::Int(now)) => now.wrapping_sub(last),
            _ => 0,
        };
        entry.before = hash(entry.last);
        entry.last = value;
        self.seen(value);
    }

    #[inline]
    fn content_place(at: At) -> usize {
        (mix(at.place, at.before) >> (32 - MEMORY)) as usize
    }

    /// This value is in an object's contents.
    #[inline]
    pub(super) fn is_in(&mut self, at: At, value: Value) {
        self.contents[Self::content_place(at)] = if is_plain(value) { value } else { Value::Null };
        self.seen(value);
    }

    #[inline]
    pub(super) fn seen(&mut self, value: Value) {
        match value {
            Value::Float(bits) => self.floats.push(bits),
            Value::Object(id) => self.objects.push(id.0),
            Value::Int(int) if !SMALL.contains(&int) => self.ints.push(int),
            _ => {}
        }
    }
}

/// Sorts of contexts: each has weights of its own.
mod set {
    pub(super) const KIND: u8 = 16;
    pub(super) const INT: u8 = 17;
    pub(super) const FLOAT: u8 = 18;
    pub(super) const RANK: u8 = 19;
    pub(super) const OBJECT: u8 = 20;
    pub(super) const KNOWN: u8 = 21;
    pub(super) const OTHER: u8 = 22;
    pub(super) const INT_RANK: u8 = 24;
}

/// Kinds of values, as they are written.
mod kind {
    pub(super) const NULL: u32 = 0;
    pub(super) const NONE: u32 = 1;
    pub(super) const FALSE: u32 = 2;
    pub(super) const TRUE: u32 = 3;
    /// From coding 5 on also NotImplemented.
    pub(super) const ELLIPSIS: u32 = 4;
    pub(super) const NOT_IMPLEMENTED: u32 = 5;
    /// From coding 5 on.
    pub(super) const INT_AGAIN: u32 = 5;
    pub(super) const INT: u32 = 6;
    pub(super) const BIG_INT: u32 = 7;
    pub(super) const FLOAT: u32 = 8;
    pub(super) const COMPLEX: u32 = 9;
    pub(super) const TAGGED: u32 = 10;
    pub(super) const OBJECT: u32 = 11;
    pub(super) const UNKNOWN: u32 = 12;
    pub(super) const REDACTED: u32 = 13;
    pub(super) const FLOAT_AGAIN: u32 = 14;
    pub(super) const OBJECT_AGAIN: u32 = 15;
}

/// A value at a place, `place`, in more general places.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) place: u32,
    pub(super) before: u32,
}

/// Writes or reads a value in full.
pub(super) fn value<C: Coder>(
    model: &mut Model<C>,
    memory: &mut Memory,
    newest: ObjectId,
    at: At,
    given: Value,
    numbers: Numbers<'_>,
) -> Result<Value, Error> {
    let At { place, before } = at;
    let float_rank = match given {
        Value::Float(bits) => memory.floats.rank(bits),
        _ => None,
    };
    let object_rank = match given {
        Value::Object(id) if id <= newest => memory.objects.rank(id.0),
        _ => None,
    };
    let is_five = model.coding() != Coding::Four;
    let int_rank = match given {
        Value::Int(int) if is_five && !SMALL.contains(&int) => memory.ints.rank(int),
        _ => None,
    };
    let given_kind = match given {
        Value::Null => kind::NULL,
        Value::None => kind::NONE,
        Value::Bool(false) => kind::FALSE,
        Value::Bool(true) => kind::TRUE,
        Value::Ellipsis => kind::ELLIPSIS,
        Value::NotImplemented if is_five => kind::ELLIPSIS,
        Value::NotImplemented => kind::NOT_IMPLEMENTED,
        Value::Int(_) if int_rank.is_some() => kind::INT_AGAIN,
        Value::Int(_) => kind::INT,
        Value::BigInt(_) => kind::BIG_INT,
        Value::Float(_) if float_rank.is_some() => kind::FLOAT_AGAIN,
        Value::Float(_) => kind::FLOAT,
        Value::Complex(_) => kind::COMPLEX,
        Value::Tagged(_) => kind::TAGGED,
        Value::Object(_) if object_rank.is_some() => kind::OBJECT_AGAIN,
        Value::Object(_) => kind::OBJECT,
        Value::Unknown(_) => kind::UNKNOWN,
        Value::Redacted => kind::REDACTED,
    };
    let found = model.symbol(Context::new(set::KIND, place, before, 0), 4, given_kind);
    let other = Context::new(set::OTHER, found, place, before);
    let value = match found {
        kind::NULL => Value::Null,
        kind::NONE => Value::None,
        kind::FALSE => Value::Bool(false),
        kind::TRUE => Value::Bool(true),
        kind::ELLIPSIS if is_five => match model.bit(other, given == Value::NotImplemented) {
            false => Value::Ellipsis,
            true => Value::NotImplemented,
        },
        kind::ELLIPSIS => Value::Ellipsis,
        kind::INT_AGAIN if is_five => {
            let rank = int_rank.unwrap_or_default() as u32;
            let rank = model.symbol(Context::new(set::INT_RANK, place, before, 0), 8, rank);
            Value::Int(memory.ints.get(rank as usize))
        }
        kind::NOT_IMPLEMENTED => Value::NotImplemented,
        kind::INT => {
            let given = if let Value::Int(int) = given { int } else { 0 };
            Value::Int(model.signed(Context::new(set::INT, place, before, 0), given))
        }
        kind::BIG_INT => {
            let index = if let Value::BigInt(index) = given {
                index
            } else {
                0
            };
            let known = numbers.big_ints.get(index as usize);
            let read = big_int(model, other, known)?;
            let place = memory.big_ints.len() as u32;
            memory.big_ints.push(read);
            if known.is_some() {
                given
            } else {
                Value::BigInt(place)
            }
        }
        kind::FLOAT => {
            let given = if let Value::Float(bits) = given {
                bits
            } else {
                0
            };
            Value::Float(model.float(Context::new(set::FLOAT, 0, place, before), given))
        }
        kind::FLOAT_AGAIN => {
            let rank = float_rank.unwrap_or_default() as u32;
            let rank = model.symbol(Context::new(set::RANK, place, before, 0), 8, rank);
            Value::Float(memory.floats.get(rank as usize))
        }
        kind::COMPLEX => {
            let index = if let Value::Complex(index) = given {
                index
            } else {
                0
            };
            let known = numbers.complexes.get(index as usize);
            let parts = known.copied().unwrap_or_default();
            let read = parts.map(|part| model.float(other, part));
            let place = memory.complexes.len() as u32;
            memory.complexes.push(read);
            if known.is_some() {
                given
            } else {
                Value::Complex(place)
            }
        }
        kind::TAGGED => {
            let given = if let Value::Tagged(int) = given {
                int
            } else {
                0
            };
            Value::Tagged(model.signed(other, given))
        }
        kind::OBJECT => {
            let given = if let Value::Object(id) = given {
                id.0
            } else {
                0
            };
            let context = Context::new(set::OBJECT, place, before, 0);
            let behind = model.signed(context, newest.0.wrapping_sub(given).cast_signed());
            Value::Object(ObjectId(newest.0.wrapping_sub(behind.cast_unsigned())))
        }
        kind::OBJECT_AGAIN => {
            let rank = object_rank.unwrap_or_default() as u32;
            let rank = model.symbol(Context::new(set::RANK, place | 1, before, 1), 8, rank);
            Value::Object(ObjectId(memory.objects.get(rank as usize)))
        }
        kind::UNKNOWN => {
            let given = if let Value::Unknown(reason) = given {
                reason.0
            } else {
                0
            };
            Value::Unknown(Reason(model.number(other, given)))
        }
        _ => Value::Redacted,
    };
    Ok(value)
}

fn big_int<C: Coder>(
    model: &mut Model<C>,
    context: Context,
    given: Option<&BigInt>,
) -> Result<BigInt, Error> {
    let (is_exact, sign) = match given {
        Some(BigInt::Exact { negative, .. }) => (true, *negative),
        Some(BigInt::Huge { negative, .. }) => (false, *negative),
        None => (false, false),
    };
    let is_exact = model.bit(context.with(1), is_exact);
    let negative = model.bit(context.with(2), sign);
    if is_exact {
        let known = match given {
            Some(BigInt::Exact { magnitude, .. }) => &magnitude[..],
            _ => &[],
        };
        let magnitude = model
            .bytes(set::INT, known)
            .ok_or(ErrorKind::Truncated.at(0))?;
        return Ok(BigInt::Exact {
            negative,
            magnitude,
        });
    }
    let (bits, leading) = match given {
        Some(BigInt::Huge { bits, leading, .. }) => (*bits, *leading),
        _ => (0, 0),
    };
    Ok(BigInt::Huge {
        negative,
        bits: model.number(context.with(3), bits),
        leading: model.number(context.with(4), leading),
    })
}

/// A value in an object's contents: likely the one that was last in this place.
pub(super) fn content<C: Coder>(
    model: &mut Model<C>,
    memory: &mut Memory,
    newest: ObjectId,
    at: At,
    given: Value,
    numbers: Numbers<'_>,
) -> Result<Value, Error> {
    let known = memory.contents[Memory::content_place(at)];
    let is_known = is_plain(known) && known == given;
    let found = if model.bit(
        Context::new(set::KNOWN, at.place, at.before, hash(known)),
        is_known,
    ) {
        known
    } else {
        value(model, memory, newest, at, given, numbers)?
    };
    memory.is_in(at, found);
    Ok(found)
}

/// What a value is a part of, told by the value before it.
#[inline]
pub(super) fn after(value: Value) -> u32 {
    hash(value)
}
