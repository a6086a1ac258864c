//! The top of the value stack at every step, encoded into a ring in memory.
//!
//! This is what the hot path of a recorder has to do and nothing else, so it tells what recording costs at least.
//!
//! ```text
//! record   head  [code]  instruction  payload
//! head     one byte: bits 0-2 the kind; bit 3: `code` is present, because it is not that of the record before
//! code     address of the original code object, 8 bytes little-endian
//! instruction  index in its code object, varint (7 bits a byte, least significant first)
//! payload  0 empty stack: none   1 NULL: none   2 int: zigzag varint   3 float: 8 bytes   4 object: its address, 8 bytes
//! ```

use std::sync::Arc;

use pyo3::{PyResult, Python};

use crate::event::Event;
use crate::frame::LiveFrame;
use crate::gil::GilCell;
use crate::glance::Glance;
use crate::tracer::{Handler, Tracer};

/// No record is longer: head 1, code 8, instruction 5, payload 10.
const LONGEST: usize = 24;
const CODE_FOLLOWS: u8 = 8;

/// A handler that encodes the top of the value stack of every step.
pub struct TopOfStack {
    ring: GilCell<Ring>,
}

struct Ring {
    bytes: Box<[u8]>,
    at: usize,
    code: u64,
    /// Bytes written in earlier rounds.
    before: u64,
}

impl TopOfStack {
    /// Keeps the last records, in `capacity` bytes (at least one record's worth).
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let bytes = vec![0; capacity.max(LONGEST)].into();
        Self { ring: GilCell::new(Ring { bytes, at: 0, code: 0, before: 0 }) }
    }

    /// Bytes written so far, those that were overwritten included.
    #[must_use]
    pub fn written(&self, py: Python<'_>) -> u64 {
        self.ring.with(py, |ring| ring.before + ring.at as u64)
    }

    /// The records since the ring last started over, which makes the first of them name its code.
    #[must_use]
    pub fn records(&self, py: Python<'_>) -> Vec<u8> {
        self.ring.with(py, |ring| ring.bytes[..ring.at].to_vec())
    }
}

impl Ring {
    #[inline]
    fn push(&mut self, code: u64, instruction: u32, top: Option<Glance>) {
        if self.bytes.len() - self.at < LONGEST {
            self.before += self.at as u64;
            self.at = 0;
            self.code = 0;
        }
        let (kind, payload) = match top {
            None => (0, Payload::None),
            Some(Glance::Null) => (1, Payload::None),
            Some(Glance::Int(value)) => (2, Payload::Varint(((value << 1) ^ (value >> 63)).cast_unsigned())),
            Some(Glance::Float(value)) => (3, Payload::Word(value.to_bits())),
            Some(Glance::Object(address)) => (4, Payload::Word(address)),
        };
        let same = code == self.code;
        let Some(room) = self.bytes[self.at..].first_chunk_mut::<LONGEST>() else { return };
        let mut at = 1;
        room[0] = kind;
        if !same {
            room[0] |= CODE_FOLLOWS;
            room[at..at + 8].copy_from_slice(&code.to_le_bytes());
            at += 8;
            self.code = code;
        }
        at = varint(room, at, u64::from(instruction));
        match payload {
            Payload::None => {}
            Payload::Varint(value) => at = varint(room, at, value),
            Payload::Word(word) => {
                room[at..at + 8].copy_from_slice(&word.to_le_bytes());
                at += 8;
            }
        }
        self.at += at;
    }
}

enum Payload {
    None,
    Varint(u64),
    Word(u64),
}

#[inline]
fn varint(room: &mut [u8; LONGEST], mut at: usize, mut value: u64) -> usize {
    while value >= 0x80 {
        room[at] = value as u8 | 0x80;
        value >>= 7;
        at += 1;
    }
    room[at] = value as u8;
    at + 1
}

impl Handler for Arc<TopOfStack> {
    fn runs_python(&self) -> bool {
        false
    }

    fn step<'py>(&self, py: Python<'py>, _: &Arc<Tracer>, event: &Event<'_, 'py>, _: Option<LiveFrame>) -> PyResult<()> {
        let code = event.code.original(py).as_ptr() as u64;
        let top = event.glance_at_top(py);
        self.ring.with(py, |ring| ring.push(code, event.instruction.0, top));
        Ok(())
    }
}
