//! The top of the value stack at every step, encoded into a ring in memory.
//!
//! This is what the hot path of a recorder has to do and nothing else, so it tells what recording costs at least.
//!
//! ```text
//! record   head  instruction  [payload]  [code]
//! head     one byte: bits 0-2 the kind; bit 3: `code` is present, because it is not that of the record before
//! instruction  index in its code object, 4 bytes
//! payload  0 empty stack: none   1 NULL: none   2 int: 8 bytes, signed   3 float: 8 bytes   4 object: its address, 8 bytes
//! code     address of the original code object, 8 bytes
//! ```
//!
//! Everything is little-endian. The sizes are fixed because bytes cost less than branches here.

use std::sync::Arc;

use pyo3::{PyResult, Python};

use crate::event::Event;
use crate::frame::LiveFrame;
use crate::gil::GilCell;
use crate::glance::Glance;
use crate::native::Native;
use crate::tracer::{Handler, Tracer};

/// No record is longer.
const LONGEST: usize = 1 + 4 + 8 + 8;
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
        Self {
            ring: GilCell::new(Ring {
                bytes,
                at: 0,
                code: 0,
                before: 0,
            }),
        }
    }

    #[inline]
    pub(crate) fn step(&self, py: Python<'_>, event: &Event<'_, '_>) {
        let code = event.code.original(py).as_ptr() as u64;
        let top = event.glance_at_top(py);
        self.ring
            .with(py, |ring| ring.push(code, event.instruction.0, top));
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
            None => (0, 0),
            Some(Glance::Null) => (1, 0),
            Some(Glance::Int(value)) => (2, value.cast_unsigned()),
            Some(Glance::Float(value)) => (3, value.to_bits()),
            Some(Glance::Object(address)) => (4, address),
        };
        let Some(room) = self.bytes[self.at..].first_chunk_mut::<LONGEST>() else {
            return;
        };
        room[0] = kind;
        room[1..5].copy_from_slice(&instruction.to_le_bytes());
        // Written in any case, and overwritten by what follows a record without payload.
        room[5..13].copy_from_slice(&payload.to_le_bytes());
        let mut length = if kind < 2 { 5 } else { 13 };
        if code != self.code {
            room[0] |= CODE_FOLLOWS;
            room[length..length + 8].copy_from_slice(&code.to_le_bytes());
            length += 8;
            self.code = code;
        }
        self.at += length;
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
        TopOfStack::step(self, py, event);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(capacity: usize) -> Ring {
        Ring {
            bytes: vec![0; capacity].into(),
            at: 0,
            code: 0,
            before: 0,
        }
    }

    #[test]
    fn code_is_named_once() {
        let mut ring = ring(256);
        ring.push(0x0102, 5, Some(Glance::Int(-2)));
        ring.push(0x0102, 200, Some(Glance::Int(64)));
        ring.push(0x0102, 6, None);
        let minus_two = [0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
        let records = [
            &[2 | CODE_FOLLOWS, 5, 0, 0, 0][..],
            &minus_two,
            &[2, 1, 0, 0, 0, 0, 0, 0],
            &[2, 200, 0, 0, 0],
            &[64, 0, 0, 0, 0, 0, 0, 0],
            &[0, 6, 0, 0, 0],
        ];
        assert_eq!(ring.bytes[..ring.at], records.concat());
    }

    #[test]
    fn the_longest_record_fits() {
        let mut ring = ring(LONGEST);
        for _ in 0..3 {
            ring.push(u64::MAX, u32::MAX, Some(Glance::Int(i64::MIN)));
            assert_eq!(ring.at, LONGEST);
        }
        assert_eq!(ring.before, 2 * LONGEST as u64);
    }

    #[test]
    fn starting_over_names_the_code_again() {
        let mut ring = ring(2 * LONGEST);
        for _ in 0..100 {
            ring.push(7, 0, Some(Glance::Float(0.5)));
            assert!(ring.bytes[0] & CODE_FOLLOWS != 0);
        }
    }
}
