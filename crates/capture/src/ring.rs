//! The top of the value stack at every step, encoded into a ring in memory.
//!
//! This is what the hot path of a recorder has to do and nothing else, so it tells what recording costs at least.
//!
//! ```text
//! record   kind  instruction  payload, 16 bytes together
//! kind     4 bytes: 0 empty stack   1 NULL   2 int   3 float   4 object   5 code
//! instruction  index in its code object, 4 bytes
//! payload  8 bytes. 2: signed   3: the float   4: the object's address
//!          5: the address of the original code object that the records after this are of
//! ```
//!
//! Everything is little-endian. All records have one size because bytes cost less than branches here.

use std::sync::Arc;

use debugop_bytecode::InstrIdx;
use pyo3::{PyResult, Python};

use crate::event::Event;
use crate::frame::LiveFrame;
use crate::gil::GilCell;
use crate::glance::Glance;
use crate::native::Native;
use crate::tracer::{Handler, Tracer};

/// Bytes of a record.
const RECORD: usize = 16;

type Record = [u8; RECORD];

const CODE: u32 = 5;

/// A handler that encodes the top of the value stack of every step.
pub struct TopOfStack {
    ring: GilCell<Ring>,
}

struct Ring {
    records: Box<[Record]>,
    at: usize,
    code: u64,
    /// Records written in earlier rounds.
    before: usize,
}

impl TopOfStack {
    /// Keeps the last records, in `capacity` bytes (at least two records' worth).
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            ring: GilCell::new(Ring::new(capacity)),
        }
    }

    /// Encodes the step at `instruction` of `code` (the address of the original).
    #[inline]
    pub(crate) fn step(
        &self,
        py: Python<'_>,
        code: u64,
        instruction: InstrIdx,
        top: Option<Glance>,
    ) {
        self.ring
            .with(py, |ring| ring.push(code, instruction.0, top));
    }

    /// Bytes written so far, those that were overwritten included.
    #[must_use]
    pub fn written(&self, py: Python<'_>) -> usize {
        self.ring.with(py, |ring| (ring.before + ring.at) * RECORD)
    }

    /// The records since the ring last started over, which makes the first of them name its code.
    #[must_use]
    pub fn records(&self, py: Python<'_>) -> Vec<u8> {
        self.ring.with(py, |ring| ring.records[..ring.at].concat())
    }
}

impl Ring {
    fn new(capacity: usize) -> Self {
        Self {
            records: vec![[0; RECORD]; (capacity / RECORD).max(2)].into(),
            at: 0,
            code: 0,
            before: 0,
        }
    }

    #[inline]
    fn push(&mut self, code: u64, instruction: u32, top: Option<Glance>) {
        if code != self.code || self.at == self.records.len() {
            self.name(code);
        }
        let (kind, payload) = match top {
            None => (0, 0),
            Some(Glance::Null) => (1, 0),
            Some(Glance::Int(value)) => (2, value.cast_unsigned()),
            Some(Glance::Float(value)) => (3, value.to_bits()),
            Some(Glance::Object(address)) => (4, address),
        };
        self.write(kind, instruction, payload);
    }

    /// Says which code the records after this are of, and starts over if there is no room for it and one more.
    #[cold]
    fn name(&mut self, code: u64) {
        if self.records.len() - self.at < 2 {
            self.before += self.at;
            self.at = 0;
        }
        self.code = code;
        self.write(CODE, 0, code);
    }

    #[inline]
    fn write(&mut self, kind: u32, instruction: u32, payload: u64) {
        let head = u64::from(kind) | u64::from(instruction) << 32;
        let record = u128::from(head) | u128::from(payload) << 64;
        if let Some(room) = self.records.get_mut(self.at) {
            *room = record.to_le_bytes();
            self.at += 1;
        }
    }
}

impl Handler for Arc<TopOfStack> {
    fn runs_python(&self) -> bool {
        false
    }

    fn native(&self) -> Option<Native> {
        Some(Native::TopOfStack(Arc::clone(self)))
    }

    fn step<'py>(
        &self,
        py: Python<'py>,
        _: &Arc<Tracer>,
        event: &Event<'_, 'py>,
        _: Option<LiveFrame>,
    ) -> PyResult<()> {
        let code = event.code.original(py).as_ptr() as u64;
        let top = event.stack_len().checked_sub(1);
        let top = top.map(|index| event.frame.glance(py, event.shape, index));
        TopOfStack::step(self, py, code, event.instruction, top);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32, instruction: u32, payload: i64) -> Vec<u8> {
        [
            &kind.to_le_bytes()[..],
            &instruction.to_le_bytes(),
            &payload.to_le_bytes(),
        ]
        .concat()
    }

    #[test]
    fn code_is_named_once() {
        let mut ring = Ring::new(256);
        ring.push(0x0102, 5, Some(Glance::Int(-2)));
        ring.push(0x0102, 200, Some(Glance::Int(64)));
        ring.push(0x0102, 6, None);
        let records = [
            record(CODE, 0, 0x0102),
            record(2, 5, -2),
            record(2, 200, 64),
            record(0, 6, 0),
        ];
        assert_eq!(ring.records[..ring.at].concat(), records.concat());
    }

    #[test]
    fn starting_over_names_the_code_again() {
        let mut ring = Ring::new(3 * RECORD);
        for _ in 0..4 {
            ring.push(7, 0, Some(Glance::Float(0.5)));
            assert_eq!(ring.records[0], *record(CODE, 0, 7));
        }
        assert_eq!((ring.before, ring.at), (3, 3));
        ring.push(8, 0, None);
        assert_eq!((ring.before, ring.at), (6, 2));
    }

    #[test]
    fn there_is_always_room_for_a_step() {
        let mut ring = Ring::new(0);
        for number in 0..5 {
            ring.push(1 + number % 2, 0, None);
            assert_eq!(ring.at, 2);
        }
    }
}
