//! Taking insertions out again.

use crate::error::Error;
use crate::exception_table::{self, ExceptionEntry};
use crate::insert::Inserted;
use crate::instruction::{Instruction, push, reference};
use crate::location_table::{Location, Reader, Writer};
use crate::opcode::Opcode;

/// The parts of a code object that insertion changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeParts {
    /// `co_code`.
    pub code: Vec<u8>,
    /// `co_exceptiontable`.
    pub exception_table: Vec<u8>,
    /// `co_linetable`.
    pub location_table: Vec<u8>,
    /// `co_stacksize`.
    pub stack_size: u32,
}

/// Undoes an insertion: what comes out is byte for byte what went in.
///
/// Original instructions, jump targets, ranges and locations are read from the new code and tables.
///
/// # Errors
/// As for reading tables; none unless the parts were changed after the insertion.
pub fn remove(inserted: &Inserted) -> Result<CodeParts, Error> {
    let back = Back::new(inserted)?;
    Ok(CodeParts {
        code: back.code()?,
        exception_table: match &inserted.original.exception_table {
            Some(table) => table.clone(),
            None => back.exceptions()?,
        },
        location_table: match &inserted.original.location_table {
            Some(table) => table.clone(),
            None => back.locations()?,
        },
        stack_size: inserted.original.stack_size,
    })
}

struct Back<'a> {
    inserted: &'a Inserted,
    /// The instructions at their original offsets, with the new arguments.
    instructions: Vec<Instruction>,
    /// New byte offset of each instruction's first prefix, after what was inserted before it.
    begins: Vec<u32>,
}

impl<'a> Back<'a> {
    fn new(inserted: &'a Inserted) -> Result<Self, Error> {
        let map = &inserted.map;
        let mut grown = inserted.original.grown.iter().peekable();
        let mut start = 0;
        let mut instructions = Vec::with_capacity(map.new.len());
        let mut begins = Vec::with_capacity(map.new.len());
        for (index, (&new, &offset)) in (0u32..).zip(map.new.iter().zip(&map.original)) {
            let by = grown
                .next_if(|grown| grown.0 == index)
                .map_or(0, |grown| u32::from(grown.1));
            let prefixes = (offset - start) / 2 + by;
            let begin = new - 2 * prefixes;
            let missing = Error::DanglingPrefix { offset: new };
            let units = inserted
                .code
                .get(begin as usize..new as usize + 2)
                .ok_or(missing)?;
            let arg = units
                .chunks_exact(2)
                .fold(0, |arg, unit| arg << 8 | u32::from(unit[1]));
            let opcode = Opcode(inserted.code[new as usize]);
            let info = opcode
                .info(inserted.version)
                .ok_or(Error::UndefinedOpcode {
                    offset: new,
                    opcode: opcode.0,
                    version: inserted.version,
                })?;
            let instruction = Instruction {
                start,
                offset,
                arg,
                opcode,
                caches: info.caches,
            };
            start = instruction.end();
            instructions.push(instruction);
            begins.push(begin);
        }
        Ok(Self {
            inserted,
            instructions,
            begins,
        })
    }

    /// The original start of the instruction that is now landed on at, or now begins at, byte `new`.
    fn original_start(&self, new: u32) -> Option<u32> {
        let map = &self.inserted.map;
        if new == map.body {
            return Some(self.inserted.original.length);
        }
        let index = map
            .landing
            .partition_point(|&landing| landing <= new)
            .checked_sub(1)?;
        Some(self.instructions[index].start)
    }

    fn code(&self) -> Result<Vec<u8>, Error> {
        let version = self.inserted.version;
        let mut code = Vec::with_capacity(self.inserted.original.length as usize);
        for (instruction, &new) in self.instructions.iter().zip(&self.inserted.map.new) {
            let info = instruction.opcode.info(version);
            let moved = Instruction {
                offset: new,
                ..*instruction
            };
            let arg = match info.and_then(|info| reference(&moved, info)) {
                None => instruction.arg,
                Some(target) => {
                    let far = Error::JumpTarget {
                        offset: new,
                        target,
                    };
                    let start = u32::try_from(target)
                        .ok()
                        .and_then(|target| self.original_start(target))
                        .ok_or(far)?;
                    start.abs_diff(instruction.end()) / 2
                }
            };
            push(
                &mut code,
                version,
                instruction.opcode,
                arg,
                instruction.prefixes(),
                instruction.caches,
            );
        }
        Ok(code)
    }

    fn exceptions(&self) -> Result<Vec<u8>, Error> {
        let entries = exception_table::parse(&self.inserted.exception_table)?;
        let mut originals = Vec::with_capacity(entries.len());
        for entry in entries
            .into_iter()
            .filter(|entry| Some(entry.target) != self.inserted.unwind)
            // Those behind it are detours'.
            .filter(|entry| entry.start < self.inserted.map.body)
        {
            let start = |new| {
                self.original_start(new)
                    .ok_or(Error::HandlerTarget { target: new })
            };
            originals.push(ExceptionEntry {
                start: start(entry.start)?,
                end: start(entry.end)?,
                target: start(entry.target)?,
                ..entry
            });
        }
        Ok(exception_table::write(&originals))
    }

    /// An original entry's location is found where its first unit is now.
    fn locations(&self) -> Result<Vec<u8>, Error> {
        let original = &self.inserted.original;
        let first_line = self.inserted.first_line;
        let mut reader = Reader::new(&self.inserted.location_table, first_line);
        let mut writer = Writer::new(first_line, self.inserted.location_table.len());
        let (mut unit, mut position, mut location) = (0, 0, Location::default());
        for &units in &original.location_units {
            let wanted = self.new_unit(unit);
            while position <= wanted {
                let Some(entry) = reader.next_entry()? else {
                    break;
                };
                position += u32::from(entry.units);
                location = entry.location;
            }
            writer.push(units, &location);
            unit += u32::from(units);
        }
        Ok(writer.finish())
    }

    /// New position of an original code unit.
    fn new_unit(&self, unit: u32) -> u32 {
        let offset = unit * 2;
        let index = self
            .instructions
            .partition_point(|instruction| instruction.start <= offset)
            .saturating_sub(1);
        let instruction = &self.instructions[index];
        let map = &self.inserted.map;
        let new = if offset < instruction.offset {
            self.begins[index] + (offset - instruction.start)
        } else {
            map.new[index] + (offset - instruction.offset)
        };
        new / 2
    }
}
