//! Records of a packed chunk: coded bit by bit, each by how likely it is after what came before.
//!
//! The same code goes both ways ([`Coder`]): [`Packer`] is given a record and writes it, [`Unpacker`] makes it. Both keep what predicts the next
//! record: which site came next last time, which value was captured there after which. What can be computed is not written at all: a
//! capture is then one bit, and whoever replays knows the value. This crate knows neither code objects nor instructions: it hands out which
//! captures are computed ([`Unpacker::next`]) and is told their values ([`Unpacker::resolved`]) before the next record.

mod coder;
mod contents;
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
    /// What is written.
    Five,
}

pub use records::{Packer, Unpacker};
