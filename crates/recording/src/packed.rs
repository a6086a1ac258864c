//! Records of a packed chunk: coded bit by bit, each by how likely it is after what came before.
//!
//! The same code goes both ways ([`Coder`]): [`Packer`] is given a record and writes it, [`Unpacker`] makes it. Both keep what predicts the next
//! record: which site came next last time, which value was captured there after which. What can be computed is not written at all: a
//! capture is then one bit, and whoever replays knows the value. This crate knows neither code objects nor instructions: it hands out which
//! captures are computed ([`Unpacker::next`]) and is told their values ([`Unpacker::resolved`]) before the next record.

mod coder;
mod contents;
mod directions;
mod model;
mod prefixes;
mod records;
mod shapes;
mod values;

/// How a packed chunk is coded: by the format version that has brought it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Only read any more.
    Four,
    /// Only read any more.
    Five,
    /// What is written: contents are told by what has been stored into objects.
    Six,
}

/// On its way to a record a frame has stored something into an object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stored {
    /// The object, if it is known.
    pub object: Option<ObjectId>,
    /// What has been stored.
    pub value: Value,
}

/// Finds what has been stored on the way to a record, in order, as far as that is known from what came before it. Of the record thread, prefixes and body are known.
pub type Follow<'a> = dyn FnMut(&Record, &mut Vec<Stored>) + 'a;

use crate::stream::{ObjectId, Record, Value};

pub use directions::{Packer, Unpacker};
