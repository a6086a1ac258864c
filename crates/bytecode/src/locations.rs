//! Source positions of one code object, kept as the table they come in.
//!
//! A decoded location takes ten times the space of its table entry, and most are never asked for. So the table is kept, with
//! the reader's state at every sixteenth entry.

use crate::error::Error;
use crate::location_table::{Location, LocationEntry, Reader, Writer};

const STRIDE: usize = 16;

/// `co_linetable`, checked and indexed.
#[derive(Clone, Debug)]
pub(crate) struct Locations {
    table: Vec<u8>,
    first_line: i32,
    /// Where to begin reading, by code unit, if not at the start.
    checkpoints: Vec<Checkpoint>,
    /// Whether writing the entries gives the same bytes.
    canonical: bool,
}

#[derive(Clone, Copy, Debug)]
struct Checkpoint {
    unit: u32,
    position: u32,
    line: i32,
}

impl Locations {
    /// Reads a table that must cover exactly `units` code units.
    pub(crate) fn new(table: &[u8], first_line: i32, units: usize) -> Result<Self, Error> {
        let mut reader = Reader::new(table, first_line);
        let mut scratch = Writer::new(first_line, 0);
        let mut canonical = true;
        let mut checkpoints = Vec::new();
        let mut covered = 0u64;
        let mut count = 0;
        loop {
            let (position, line) = reader.state();
            let entry = match reader.next_short() {
                Some(entry) => entry,
                None => match reader.next_other()? {
                    Some(entry) => entry,
                    None => break,
                },
            };
            if count % STRIDE == 0 && count > 0 && covered < units as u64 {
                checkpoints.push(Checkpoint {
                    unit: covered as u32,
                    position: position as u32,
                    line,
                });
            }
            canonical &= reader.is_canonical(
                &entry,
                &table[position..reader.state().0],
                line,
                &mut scratch,
            );
            covered += u64::from(entry.units);
            if covered > units as u64 {
                break;
            }
            count += 1;
        }
        if covered != units as u64 {
            return Err(Error::LocationLength {
                covered,
                units: units as u64,
            });
        }
        Ok(Self {
            table: table.to_vec(),
            first_line,
            checkpoints,
            canonical,
        })
    }

    /// The location of a code unit; none past the end.
    pub(crate) fn at(&self, unit: u32) -> Location {
        let after = self
            .checkpoints
            .partition_point(|checkpoint| checkpoint.unit <= unit);
        let start = Checkpoint {
            unit: 0,
            position: 0,
            line: self.first_line,
        };
        let from = after
            .checked_sub(1)
            .map_or(start, |index| self.checkpoints[index]);
        let mut covered = from.unit;
        let mut reader = Reader::resume(&self.table, from.position as usize, from.line);
        while let Ok(Some(entry)) = reader.next_entry() {
            covered += u32::from(entry.units);
            if unit < covered {
                return entry.location;
            }
        }
        Location::default()
    }

    /// All entries, in order. `new` has read them once, so none is an error.
    pub(crate) fn entries(&self) -> impl Iterator<Item = LocationEntry> {
        let mut reader = self.reader();
        std::iter::from_fn(move || reader.next_entry().ok().flatten())
    }

    /// From the first entry on.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader::new(&self.table, self.first_line)
    }

    pub(crate) fn first_line(&self) -> i32 {
        self.first_line
    }

    pub(crate) fn table(&self) -> &[u8] {
        &self.table
    }

    pub(crate) fn is_canonical(&self) -> bool {
        self.canonical
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::location_table;

    #[test]
    fn every_unit_is_found() {
        let entry = |line| LocationEntry {
            units: (line % 8 + 1) as u8,
            location: Location {
                line: Some(line),
                end_line: Some(line),
                column: Some(1),
                end_column: Some(2),
            },
        };
        let entries: Vec<_> = (1..100).map(entry).collect();
        let units: Vec<_> = entries
            .iter()
            .flat_map(|entry| (0..entry.units).map(|_| entry.location))
            .collect();
        let table = location_table::write(&entries, 1);
        let locations = Locations::new(&table, 1, units.len()).expect("just written");
        assert!(locations.is_canonical());
        for (unit, location) in (0..).zip(&units) {
            assert_eq!(locations.at(unit), *location);
        }
        assert_eq!(locations.entries().collect::<Vec<_>>(), entries);
        let covered = units.len() as u64;
        let short =
            Locations::new(&table, 1, units.len() + 1).expect_err("one unit is not covered");
        assert_eq!(
            short,
            Error::LocationLength {
                covered,
                units: covered + 1
            }
        );
    }
}
