//! The two variable-length integers of a code object.
//!
//! Both carry six bits a byte and mark a byte that is followed by another one with bit 6. The exception table writes the
//! most significant group first and marks the first byte of an entry with bit 7 (`Objects/exception_handling_notes.txt`);
//! the location table writes the least significant group first (`Objects/locations.md`, in later versions
//! `InternalDocs/code_objects.md`).

use crate::error::{Error, Table};

const GROUP: u8 = 0x3f;
const MORE: u8 = 0x40;

/// A position in one of a code object's two tables.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
    table: Table,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8], table: Table) -> Self {
        Self {
            bytes,
            position: 0,
            table,
        }
    }

    pub(crate) fn at(bytes: &'a [u8], table: Table, position: usize) -> Self {
        Self {
            bytes,
            position,
            table,
        }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.position == self.bytes.len()
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    /// The next two bytes, if there are two.
    #[inline]
    pub(crate) fn pair(&self) -> Option<[u8; 2]> {
        self.bytes.get(self.position..)?.first_chunk().copied()
    }

    /// Goes on behind the next two bytes, which must be there.
    #[inline]
    pub(crate) fn skip_pair(&mut self) {
        self.position += 2;
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Error> {
        let byte = self.peek().ok_or(Error::TableTruncated {
            table: self.table,
            position: self.position,
        })?;
        self.position += 1;
        Ok(byte)
    }

    /// Most significant group first; at most 30 bits, the bound that CPython's assembler asserts. And whether it has no
    /// group too many.
    pub(crate) fn big_endian(&mut self) -> Result<(u32, bool), Error> {
        let start = self.position;
        let mut byte = self.byte()?;
        let mut value = u32::from(byte & GROUP);
        let shortest = value != 0 || byte & MORE == 0;
        while byte & MORE != 0 {
            byte = self.byte()?;
            if byte & 0x80 != 0 || value >= 1 << 24 {
                return Err(Error::Varint {
                    table: self.table,
                    position: start,
                });
            }
            value = value << 6 | u32::from(byte & GROUP);
        }
        Ok((value, shortest))
    }

    /// Least significant group first; at most 32 bits.
    pub(crate) fn little_endian(&mut self) -> Result<u32, Error> {
        let start = self.position;
        let mut value = 0u32;
        let mut shift = 0;
        loop {
            let byte = self.byte()?;
            let group = u32::from(byte & GROUP);
            if byte & 0x80 != 0 || shift > 30 || (shift == 30 && group > 3) {
                return Err(Error::Varint {
                    table: self.table,
                    position: start,
                });
            }
            value |= group << shift;
            if byte & MORE == 0 {
                return Ok(value);
            }
            shift += 6;
        }
    }

    /// The sign is the least significant bit, the magnitude the others.
    pub(crate) fn signed(&mut self) -> Result<i32, Error> {
        let value = self.little_endian()?;
        let magnitude = (value >> 1).cast_signed();
        Ok(if value & 1 != 0 {
            -magnitude
        } else {
            magnitude
        })
    }
}

/// Appends `value` (below 2^30), most significant group first, with `first` or-ed into its first byte.
pub(crate) fn push_big_endian(out: &mut Vec<u8>, value: u32, first: u8) {
    let groups = (32 - value.leading_zeros()).div_ceil(6).max(1);
    for group in (0..groups).rev() {
        let mark = if group + 1 == groups { first } else { 0 };
        let more = if group > 0 { MORE } else { 0 };
        out.push((value >> (6 * group)) as u8 & GROUP | more | mark);
    }
}

/// Appends `value`, least significant group first.
pub(crate) fn push_little_endian(out: &mut Vec<u8>, mut value: u32) {
    while value >= 64 {
        out.push(value as u8 & GROUP | MORE);
        value >>= 6;
    }
    out.push(value as u8);
}

/// Appends a signed value, its sign in the least significant bit.
pub(crate) fn push_signed(out: &mut Vec<u8>, value: i32) {
    push_little_endian(out, value.unsigned_abs() << 1 | u32::from(value < 0));
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test panics")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn big_endian_round_trips(value in 0u32..1 << 30) {
            let mut bytes = Vec::new();
            push_big_endian(&mut bytes, value, 0x80);
            prop_assert_eq!(bytes[0] & 0x80, 0x80);
            let mut cursor = Cursor::new(&bytes, Table::Exception);
            prop_assert_eq!(cursor.big_endian().unwrap(), (value, true));
            prop_assert!(cursor.is_at_end());
        }

        #[test]
        fn little_endian_round_trips(value: u32, signed in -0x7fff_ffff..0x7fff_ffff) {
            let mut bytes = Vec::new();
            push_little_endian(&mut bytes, value);
            push_signed(&mut bytes, signed);
            let mut cursor = Cursor::new(&bytes, Table::Location);
            prop_assert_eq!(cursor.little_endian().unwrap(), value);
            prop_assert_eq!(cursor.signed().unwrap(), signed);
            prop_assert!(cursor.is_at_end());
        }
    }

    #[test]
    fn an_endless_varint_is_an_error() {
        let bytes = [0x7f; 9];
        assert!(matches!(
            Cursor::new(&bytes, Table::Location).little_endian(),
            Err(Error::Varint { position: 0, .. })
        ));
        assert!(matches!(
            Cursor::new(&bytes[..3], Table::Exception).big_endian(),
            Err(Error::TableTruncated { position: 3, .. })
        ));
    }
}
