//! `co_linetable`: the source position of every code unit, as PEP 657 and `Objects/locations.md` describe it.
//!
//! An entry is a byte `1 cccc lll` (code, length − 1) and what the code says:
//!
//! | code | line delta | end line | columns |
//! |---|---|---|---|
//! | 0–9 | 0 | same | one byte: low 3 bits of the start and 4 bits of width; the code is the start's high bits |
//! | 10–12 | code − 10 | same | one byte each |
//! | 13 | signed varint | same | none |
//! | 14 | signed varint | varint delta | varints, 0 = none |
//! | 15 | – | – | no location at all |

use crate::error::{Error, Table};
use crate::varint::{Cursor, push_little_endian, push_signed};

/// Code units one entry can cover.
pub const MAX_UNITS: u8 = 8;

const ONE_LINE: u8 = 10;
const NO_COLUMNS: u8 = 13;
const LONG: u8 = 14;
const NONE: u8 = 15;

/// A range in the source. Lines start at 1 (a module's first `RESUME` is on line 0), columns are UTF-8 byte offsets from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Location {
    /// Line of the first character; `None` when the instruction has no location.
    pub line: Option<i32>,
    /// Line of the last character.
    pub end_line: Option<i32>,
    /// Column of the first character.
    pub column: Option<u32>,
    /// Column after the last character.
    pub end_column: Option<u32>,
}

/// What one entry says about the next `units` code units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocationEntry {
    /// 1 to 8 code units.
    pub units: u8,
    /// Of each of them.
    pub location: Location,
}

/// Reads a table. `first_line` is `co_firstlineno`.
///
/// # Errors
/// [`Error::EntryStart`], [`Error::Varint`], [`Error::TableTruncated`].
pub fn parse(table: &[u8], first_line: i32) -> Result<Vec<LocationEntry>, Error> {
    let mut reader = Reader::new(table, first_line);
    let mut entries = Vec::with_capacity(table.len() / 3);
    while let Some(entry) = reader.next_entry()? {
        entries.push(entry);
    }
    Ok(entries)
}

/// Writes entries in the shortest form CPython's assembler would choose; the inverse of [`parse`] for every table it wrote.
pub fn write(entries: &[LocationEntry], first_line: i32) -> Vec<u8> {
    let mut writer = Writer::new(first_line, entries.len() * 3);
    for entry in entries {
        writer.push(entry.units, &entry.location);
    }
    writer.finish()
}

/// Reads entries one by one.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    cursor: Cursor<'a>,
    line: i32,
    /// What the [`Form::Long`] read last says.
    long: Location,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(table: &'a [u8], first_line: i32) -> Self {
        Self {
            cursor: Cursor::new(table, Table::Location),
            line: first_line,
            long: Location::default(),
        }
    }

    /// Where it is in the table, and the line that the next entry's delta is added to.
    pub(crate) fn state(&self) -> (usize, i32) {
        (self.cursor.position(), self.line)
    }

    /// A reader that continues from a [`state`](Self::state).
    pub(crate) fn resume(table: &'a [u8], position: usize, line: i32) -> Self {
        Self {
            cursor: Cursor::at(table, Table::Location, position),
            line,
            long: Location::default(),
        }
    }

    pub(crate) fn next_entry(&mut self) -> Result<Option<LocationEntry>, Error> {
        let raw = self.next_raw()?;
        Ok(raw.map(|raw| LocationEntry {
            units: raw.units,
            location: self.location(&raw),
        }))
    }

    /// Lines wrap as CPython's `int` arithmetic does, so no table is too far off to be read.
    #[inline]
    pub(crate) fn next_raw(&mut self) -> Result<Option<RawEntry>, Error> {
        match self.next_short() {
            Some(entry) => Ok(Some(entry)),
            None => self.next_other(),
        }
    }

    /// The next entry if it has the commonest form.
    #[inline]
    pub(crate) fn next_short(&mut self) -> Option<RawEntry> {
        let [head, columns] = self.cursor.pair()?;
        let code = (head & 0x7f) >> 3;
        if head < 0x80 || code >= ONE_LINE {
            return None;
        }
        self.cursor.skip_pair();
        let units = (head & 7) + 1;
        let form = Form::Short { code, columns };
        Some(RawEntry { units, form })
    }

    /// The next entry, whatever its form.
    pub(crate) fn next_other(&mut self) -> Result<Option<RawEntry>, Error> {
        if self.cursor.is_at_end() {
            return Ok(None);
        }
        let position = self.cursor.position();
        let head = self.cursor.byte()?;
        if head & 0x80 == 0 {
            return Err(Error::EntryStart {
                table: Table::Location,
                position,
            });
        }
        let form = match head >> 3 & 15 {
            NONE => Form::Nothing,
            code @ (LONG | NO_COLUMNS) => {
                self.long(code)?;
                Form::Long
            }
            code @ ONE_LINE..NO_COLUMNS => {
                let delta = code - ONE_LINE;
                self.line = self.line.wrapping_add(i32::from(delta));
                let columns = [self.cursor.byte()?, self.cursor.byte()?];
                Form::OneLine { delta, columns }
            }
            code => Form::Short {
                code,
                columns: self.cursor.byte()?,
            },
        };
        let units = (head & 7) + 1;
        Ok(Some(RawEntry { units, form }))
    }

    /// Reads what follows the head of a [`Form::Long`].
    fn long(&mut self, code: u8) -> Result<(), Error> {
        self.line = self.line.wrapping_add(self.cursor.signed()?);
        let line = Some(self.line);
        self.long = Location {
            line,
            end_line: line,
            column: None,
            end_column: None,
        };
        if code == LONG {
            let lines = self.cursor.little_endian()?;
            self.long.end_line = Some(self.line.wrapping_add_unsigned(lines));
            self.long.column = self.cursor.little_endian()?.checked_sub(1);
            self.long.end_column = self.cursor.little_endian()?.checked_sub(1);
        }
        Ok(())
    }

    /// What the entry read last says.
    pub(crate) fn location(&self, last: &RawEntry) -> Location {
        let (column, end_column) = match last.form {
            Form::Nothing => return Location::default(),
            Form::Long => return self.long,
            Form::OneLine { columns, .. } => (u32::from(columns[0]), u32::from(columns[1])),
            Form::Short { code, columns } => {
                let column = u32::from(code) << 3 | u32::from(columns >> 4);
                (column, column + u32::from(columns & 15))
            }
        };
        Location {
            line: Some(self.line),
            end_line: Some(self.line),
            column: Some(column),
            end_column: Some(end_column),
        }
    }

    /// Whether [`Writer`] writes the entry read last with these bytes, given the line before it. `scratch` is written to.
    #[inline]
    pub(crate) fn is_canonical(
        &self,
        last: &RawEntry,
        bytes: &[u8],
        before: i32,
        scratch: &mut Writer,
    ) -> bool {
        match last.form {
            Form::Nothing => true,
            Form::Short { columns, .. } => columns < 0x80,
            Form::OneLine { delta, columns } => {
                columns[0] < 0x80
                    && columns[1] < 0x80
                    && !(delta == 0 && short_form(columns[0].into(), columns[1].into()))
            }
            Form::Long => {
                scratch.out.clear();
                scratch.line = before;
                scratch.push(last.units, &self.long);
                scratch.out == bytes
            }
        }
    }
}

/// An entry as it is written: enough to write it again, together with the [`Reader`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawEntry {
    /// Code units, 1 to 8.
    pub(crate) units: u8,
    form: Form,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    /// 15.
    Nothing,
    /// 0-9, on the line of the entry before.
    Short { code: u8, columns: u8 },
    /// 10-12.
    OneLine { delta: u8, columns: [u8; 2] },
    /// 13, 14: in [`Reader::long`].
    Long,
}

/// Whether columns on the line of the entry before have a form of one byte.
#[inline]
fn short_form(column: u32, end_column: u32) -> bool {
    column < 80 && end_column >= column && end_column - column < 16
}

/// Appends entries one by one.
#[derive(Debug)]
pub(crate) struct Writer {
    out: Vec<u8>,
    line: i32,
}

impl Writer {
    pub(crate) fn new(first_line: i32, capacity: usize) -> Self {
        Self {
            out: Vec::with_capacity(capacity),
            line: first_line,
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }

    /// Appends as many entries as `units` code units need.
    pub(crate) fn push_run(&mut self, mut units: u32, location: &Location) {
        while units > u32::from(MAX_UNITS) {
            self.push(MAX_UNITS, location);
            units -= u32::from(MAX_UNITS);
        }
        if units > 0 {
            self.push(units as u8, location);
        }
    }

    /// Appends the entry that `reader` has read last, for as many code units as it has now. Gives the bytes that
    /// [`push_run`](Self::push_run) gives, if the entry [is canonical](Reader::is_canonical).
    #[inline]
    pub(crate) fn push_raw(&mut self, units: u32, entry: RawEntry, reader: &Reader<'_>) {
        match entry.form {
            Form::Short { code, columns } if self.line == reader.line => {
                self.short_run(units, code, columns);
            }
            Form::OneLine { columns, .. } if columns[0] < 0x80 && columns[1] < 0x80 => {
                self.one_line_run(units, columns, reader.line);
            }
            _ => self.push_run(units, &reader.location(&entry)),
        }
    }

    #[inline]
    fn short_run(&mut self, mut units: u32, code: u8, columns: u8) {
        while units > 0 {
            let some = units.min(u32::from(MAX_UNITS));
            let head = 0x80 | code << 3 | (some - 1) as u8;
            self.out.extend_from_slice(&[head, columns]);
            units -= some;
        }
    }

    fn one_line_run(&mut self, mut units: u32, columns: [u8; 2], line: i32) {
        let (column, end_column) = (u32::from(columns[0]), u32::from(columns[1]));
        while units > 0 {
            let delta = line.wrapping_sub(self.line);
            if delta == 0 && short_form(column, end_column) {
                let width = (end_column - column) as u8;
                self.short_run(units, columns[0] >> 3, (columns[0] & 7) << 4 | width);
                return;
            }
            let some = units.min(u32::from(MAX_UNITS)) as u8;
            let location = Location {
                line: Some(line),
                end_line: Some(line),
                column: Some(column),
                end_column: Some(end_column),
            };
            if !(0..3).contains(&delta) {
                self.push_run(units, &location);
                return;
            }
            self.line = line;
            self.head(ONE_LINE + delta as u8, some);
            self.out.extend_from_slice(&columns);
            units -= u32::from(some);
        }
    }

    fn head(&mut self, code: u8, units: u8) {
        debug_assert!((1..=MAX_UNITS).contains(&units));
        self.out.push(0x80 | code << 3 | (units - 1) & 7);
    }

    pub(crate) fn push(&mut self, units: u8, location: &Location) {
        let Some(line) = location.line else {
            self.head(NONE, units);
            return;
        };
        let delta = line.wrapping_sub(self.line);
        let same_line = location.end_line == Some(line);
        self.line = line;
        if let (Some(column), Some(end_column)) = (location.column, location.end_column) {
            if same_line && delta == 0 && short_form(column, end_column) {
                self.head((column >> 3) as u8, units);
                self.out
                    .push((column as u8 & 7) << 4 | (end_column - column) as u8);
                return;
            }
            if same_line && (0..3).contains(&delta) && column < 128 && end_column < 128 {
                self.head(ONE_LINE + delta as u8, units);
                self.out.extend([column as u8, end_column as u8]);
                return;
            }
        } else if location.column.or(location.end_column).is_none()
            && (same_line || location.end_line.is_none())
        {
            self.head(NO_COLUMNS, units);
            push_signed(&mut self.out, delta);
            return;
        }
        self.head(LONG, units);
        push_signed(&mut self.out, delta);
        let end_line = location.end_line.unwrap_or(line);
        push_little_endian(&mut self.out, end_line.wrapping_sub(line).cast_unsigned());
        for column in [location.column, location.end_column] {
            push_little_endian(
                &mut self.out,
                column.map_or(0, |column| column.wrapping_add(1)),
            );
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test panics")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn location() -> impl Strategy<Value = Location> {
        let some = (
            1i32..100_000,
            0i32..4,
            prop::option::of(0u32..300),
            prop::option::of(0u32..300),
        )
            .prop_map(|(line, lines, column, end_column)| Location {
                line: Some(line),
                end_line: Some(line + lines),
                column,
                end_column,
            });
        prop_oneof![some, Just(Location::default())]
    }

    fn each_unit(table: &[u8], first_line: i32) -> Vec<Location> {
        let entries = parse(table, first_line).unwrap();
        let units = |entry: &LocationEntry| vec![entry.location; usize::from(entry.units)];
        entries.iter().flat_map(units).collect()
    }

    proptest! {
        #[test]
        fn round_trips(
            entries in prop::collection::vec((1u8..=8, location()), 0..40),
            first_line in 0i32..100_000,
        ) {
            let entries: Vec<_> = entries.into_iter().map(|(units, location)| LocationEntry { units, location }).collect();
            let table = write(&entries, first_line);
            prop_assert_eq!(parse(&table, first_line).unwrap(), entries);
        }

        #[test]
        fn copying_entries_is_writing_them(
            entries in prop::collection::vec((1u8..=8, location(), 0u32..30), 0..40),
            bytes: Vec<u8>,
            first_line in 0i32..100_000,
        ) {
            let written: Vec<_> = entries.iter().map(|&(units, location, _)| LocationEntry { units, location }).collect();
            for table in [write(&written, first_line), bytes] {
                let mut runs = entries.iter().map(|entry| entry.2).cycle();
                let (mut reader, mut parsed) = (Reader::new(&table, first_line), Reader::new(&table, first_line));
                let mut copied = Writer::new(first_line, 0);
                let mut rewritten = Writer::new(first_line, 0);
                let mut canonical = true;
                let (mut before, mut raw) = (reader.state(), reader.next_raw());
                while let Ok(Some(entry)) = raw {
                    let location = parsed.next_entry().unwrap().unwrap().location;
                    let units = runs.next().unwrap_or(3);
                    canonical &= reader.is_canonical(&entry, &table[before.0..reader.state().0], before.1, &mut Writer::new(7, 0));
                    copied.push_raw(units, entry, &reader);
                    rewritten.push_run(units, &location);
                    (before, raw) = (reader.state(), reader.next_raw());
                }
                if raw.is_ok() {
                    prop_assert_eq!(write(&parse(&table, first_line).unwrap(), first_line) == table, canonical);
                }
                let (copied, rewritten) = (copied.finish(), rewritten.finish());
                if canonical {
                    prop_assert_eq!(&copied, &rewritten);
                }
                prop_assert_eq!(each_unit(&copied, first_line), each_unit(&rewritten, first_line));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, first_line: i32) {
            if let Ok(entries) = parse(&bytes, first_line) {
                write(&entries, first_line);
            }
        }
    }

    #[test]
    fn reads_what_the_compiler_wrote() {
        // `def f():\n    return g(1)` on 3.11.7: f's co_linetable.
        let table = b"\x80\x00\xdd\x0b\x0c\x88Q\x894\x8c4\x80K";
        let entries = parse(table, 1).unwrap();
        assert_eq!(
            entries[0].location,
            Location {
                line: Some(1),
                end_line: Some(1),
                column: Some(0),
                end_column: Some(0)
            }
        );
        assert_eq!(write(&entries, 1), table);
    }
}
