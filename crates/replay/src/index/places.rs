//! Attributes and items by a hash: which of them may have been bound, or may have changed, in a chunk.

use debugop_recording::file::Constant;
use debugop_recording::stream::{self, Contents, ObjectId, Pairs};
use rustc_hash::FxHashSet;

use crate::chunk::Chunk;
use crate::code::Code;
use crate::query::Place;
use crate::segment::{Operand, Part, Store};
use crate::state::Frame;
use crate::value::Value;

/// Hashes have so many bits.
const BITS: u32 = 32;
/// Places of a chunk are listed up to so many.
pub(crate) const MOST_PLACES: usize = 1 << 14;

/// FNV-1a, 64 bits.
pub(crate) fn of_text(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn of_int(int: i64) -> u64 {
    !(int as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The finaliser of MurmurHash3, of which the upper bits are taken.
#[inline]
fn place(object: ObjectId, part: u64) -> u32 {
    let mut hash = object.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ part;
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (hash >> (64 - BITS)) as u32
}

/// Of a place that nothing more is known of than its object.
fn anywhere(object: ObjectId) -> u32 {
    place(object, 0)
}

/// The hashes of which one is listed if a place may have been bound or may have changed; `None` if that is not listed.
pub(super) fn hashes(wanted: &Place) -> Option<[u32; 2]> {
    let (object, part) = match wanted {
        Place::Attribute(object, name) => (*object, of_text(name.as_bytes())),
        // What is at a negative index depends on the length.
        Place::Item(object, debugop_value::Value::Int(int @ 0..)) => (*object, of_int(*int)),
        Place::Item(object, debugop_value::Value::Str(text)) => {
            (*object, of_text(text.as_str()?.as_bytes()))
        }
        Place::Item(..) | Place::Local(..) | Place::Cell(_) | Place::Global(..) => return None,
    };
    Some([place(object, part), anywhere(object)])
}

/// The places of objects from before a chunk that it has bound so far.
#[derive(Debug, Default)]
pub(crate) struct Places {
    hashes: FxHashSet<u32>,
    /// It may have bound any.
    any: bool,
}

impl Places {
    fn add(&mut self, hash: u32) {
        if !self.any && self.hashes.insert(hash) && self.hashes.len() > MOST_PLACES {
            self.bound_somewhere();
        }
    }

    /// An object that is not known has been stored to.
    pub(crate) fn bound_somewhere(&mut self) {
        self.any = true;
        self.hashes = FxHashSet::default();
    }

    /// A frame is about to go a way on which it stores to an object.
    pub(crate) fn bound(
        &mut self,
        object: ObjectId,
        store: &Store,
        frame: &Frame,
        chunk: &Chunk,
        values: usize,
    ) {
        let part = match store.part {
            Part::Cell => return,
            Part::Attribute(hash) => Some(hash),
            Part::Item(Operand::Unknown) => None,
            Part::Item(operand) => match of_key(operand.read(frame, chunk, values), frame, chunk) {
                Some(part) => Some(part),
                // Nobody can ask for it.
                None => return,
            },
        };
        self.add(part.map_or_else(|| anywhere(object), |part| place(object, part)));
    }

    /// Adds what the contents that were recorded in a chunk have in other places than before, and returns all; `None` if they may be any.
    pub(super) fn with_changes(mut self, chunk: &Chunk) -> Option<Vec<u32>> {
        for (object, before, now) in chunk.changes_from_before() {
            if self.any {
                return None;
            }
            self.changed(chunk, object, before, now);
        }
        if self.any {
            return None;
        }
        let mut hashes: Vec<u32> = self.hashes.into_iter().collect();
        hashes.sort_unstable();
        Some(hashes)
    }

    fn changed(&mut self, chunk: &Chunk, object: ObjectId, before: &Contents, now: &Contents) {
        if let Some(now) = now.items() {
            let before = before.items().map_or(&[][..], |before| &before.items);
            for (index, item) in (0..).zip(&now.items) {
                if before.get(index as usize) != Some(item) {
                    self.add(place(object, of_int(index)));
                }
            }
        }
        if let Some(now) = now.pairs() {
            self.changed_pairs(chunk, object, before.pairs(), now);
        }
        if let Some(now) = now.attributes() {
            self.changed_pairs(chunk, object, before.attributes(), now);
        }
    }

    fn changed_pairs(
        &mut self,
        chunk: &Chunk,
        object: ObjectId,
        before: Option<&Pairs>,
        now: &Pairs,
    ) {
        let before = before.map_or(&[][..], |before| &before.pairs);
        for (index, pair) in now.pairs.iter().enumerate() {
            if before.get(index) != Some(pair)
                && !before.contains(pair)
                && let Some(part) = of_value(pair.0.into(), chunk)
            {
                self.add(place(object, part));
            }
        }
    }
}

/// The hash of a key that places are asked for by.
fn of_key(key: Value, frame: &Frame, chunk: &Chunk) -> Option<u64> {
    match key {
        Value::Constant(code, index) if code == frame.code => {
            match frame.object.data().constants.get(index as usize)? {
                Constant::Str(text) => Some(of_text(text)),
                _ => None,
            }
        }
        other => of_value(other, chunk),
    }
}

fn of_value(key: Value, chunk: &Chunk) -> Option<u64> {
    match key {
        Value::Int(int) => Some(of_int(int)),
        Value::Bool(bool) => Some(of_int(bool.into())),
        Value::Object(id) => chunk.text(id).map(of_text),
        _ => None,
    }
}

impl Operand {
    /// What it is when a frame begins the way.
    pub(crate) fn read(self, frame: &Frame, chunk: &Chunk, values: usize) -> Value {
        match self {
            Self::Slot(slot) => frame.get(slot),
            Self::Constant(index) => frame.constant(index),
            Self::Int(int) => Value::Int(int.into()),
            Self::Common(common) => common.into(),
            Self::Capture(index) => {
                let value: Option<stream::Value> = chunk.value(values + index as usize);
                value.map_or(Value::Null, Value::from)
            }
            Self::Unknown => Value::Pending,
        }
    }
}

/// The hash of a name of a code object's.
pub(crate) fn of_name(code: &Code, name: u32) -> Option<u64> {
    let name = code.data().names.get(name as usize)?;
    Some(of_text(name))
}
