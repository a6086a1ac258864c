//! `co_exceptiontable`: which handler takes an exception raised where.
//!
//! An entry is four integers, in code units: start, length, target, `depth << 1 | lasti`
//! (`Objects/exception_handling_notes.txt`; `get_exception_handler` in `Python/ceval.c` reads it).

use crate::error::{Error, Table};
use crate::varint::{Cursor, push_big_endian};

const FIRST_BYTE: u8 = 0x80;

/// One range of instructions and their handler. Offsets are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExceptionEntry {
    /// Start of the first covered instruction.
    pub start: u32,
    /// Just after the last covered instruction.
    pub end: u32,
    /// Start of the handler's first instruction.
    pub target: u32,
    /// Values that stay on the stack when the handler is entered.
    pub depth: u32,
    /// Whether the offset of the raising instruction is pushed below the exception.
    pub lasti: bool,
}

impl ExceptionEntry {
    /// Values on the stack at the handler's first instruction.
    pub fn handler_depth(&self) -> u32 {
        self.depth + u32::from(self.lasti) + 1
    }
}

/// Reads a table in the order it is written.
///
/// # Errors
/// [`Error::EntryStart`], [`Error::Varint`], [`Error::TableTruncated`]; [`Error::ExceptionRange`] when a range's end exceeds
/// 32 bits.
pub fn parse(table: &[u8]) -> Result<Vec<ExceptionEntry>, Error> {
    Ok(read(table)?.0)
}

/// [`parse`], and whether [`write`] gives the same bytes.
pub(crate) fn read(table: &[u8]) -> Result<(Vec<ExceptionEntry>, bool), Error> {
    let mut cursor = Cursor::new(table, Table::Exception);
    let mut entries = Vec::with_capacity(table.len() / 5);
    let mut canonical = true;
    while let Some(first) = cursor.peek() {
        if first & FIRST_BYTE == 0 {
            return Err(Error::EntryStart {
                table: Table::Exception,
                position: cursor.position(),
            });
        }
        let mut next = |may_be_first: bool| {
            if !may_be_first && let Some(FIRST_BYTE..) = cursor.peek() {
                // Bit 7 belongs to the first byte of an entry only: the lookup's bisection steps back to it.
                return Err(Error::Varint {
                    table: Table::Exception,
                    position: cursor.position(),
                });
            }
            let (value, shortest) = cursor.big_endian()?;
            canonical &= shortest;
            Ok(value)
        };
        let start = next(true)? * 2;
        let [length, target, rest] = [next(false)?, next(false)?, next(false)?];
        let end = start.checked_add(length * 2).ok_or(Error::ExceptionRange {
            start,
            end: u32::MAX,
        })?;
        entries.push(ExceptionEntry {
            start,
            end,
            target: target * 2,
            depth: rest >> 1,
            lasti: rest & 1 != 0,
        });
    }
    Ok((entries, canonical))
}

/// Writes entries as CPython's assembler does; the inverse of [`parse`].
pub fn write(entries: &[ExceptionEntry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.len() * 6);
    for entry in entries {
        push(&mut out, entry);
    }
    out
}

/// Appends one entry.
pub(crate) fn push(out: &mut Vec<u8>, entry: &ExceptionEntry) {
    push_big_endian(out, entry.start / 2, FIRST_BYTE);
    push_big_endian(out, (entry.end - entry.start) / 2, 0);
    push_big_endian(out, entry.target / 2, 0);
    push_big_endian(out, entry.depth << 1 | u32::from(entry.lasti), 0);
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test panics")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `def f():\n try: g()\n except E: pass` on 3.11.
    const TRY_EXCEPT: &[u8] = b"\x81\x0e\x11\x00\x91\x0a\x1f\x03\x9e\x01\x1f\x03";

    #[test]
    fn reads_what_the_compiler_wrote() {
        let entries = parse(TRY_EXCEPT).unwrap();
        assert_eq!(entries.len(), 3);
        assert_eq!(
            entries[0],
            ExceptionEntry {
                start: 2,
                end: 30,
                target: 34,
                depth: 0,
                lasti: false
            }
        );
        assert_eq!(
            entries[1],
            ExceptionEntry {
                start: 34,
                end: 54,
                target: 62,
                depth: 1,
                lasti: true
            }
        );
        assert_eq!(entries[1].handler_depth(), 3);
        assert_eq!(write(&entries), TRY_EXCEPT);
    }

    proptest! {
        #[test]
        fn what_is_canonical_is_written_again(table in prop::collection::vec(prop_oneof![0u8..4, 0x40u8..0x43, 0x80u8..0x84, 0xc0u8..0xc2], 0..14)) {
            if let Ok((entries, canonical)) = read(&table) {
                prop_assert_eq!(write(&entries) == table, canonical);
            }
        }
    }

    #[test]
    fn damaged_tables_are_typed_errors() {
        assert!(matches!(
            parse(b"\x02\x0f\x13\x00"),
            Err(Error::EntryStart { position: 0, .. })
        ));
        assert!(matches!(
            parse(b"\x82\x0f\x13"),
            Err(Error::TableTruncated { position: 3, .. })
        ));
        assert!(matches!(
            parse(b"\x82\x8f\x13\x00"),
            Err(Error::Varint { position: 1, .. })
        ));
    }
}
