//! Where everything comes to stand: positions of the original instructions among the insertions, in code units.

use std::ops::Range;

use crate::analysis::Analysis;
use crate::error::Error;
use crate::insert::{Insertion, Place};
use crate::instruction::{MAX_CODE, needed_prefixes};
use crate::offset_map::OffsetMap;
use crate::opcode::{ArgKind, JumpKind};
use crate::sequence::Shapes;
use crate::sites::reads_unit_before;

/// A jump and the unit it jumps over.
const DECOY_UNITS: u32 = 2;

/// Units that follow a sequence where the interpreter reads the unit before an instruction: that unit is repeated there and
/// jumped over.
fn decoy_units(analysis: &Analysis, place: Place) -> u32 {
    match place {
        Place::Before(index) if reads_unit_before(analysis, index.0) => DECOY_UNITS,
        _ => 0,
    }
}

/// Positions of one code object's instructions. Prefixes only ever grow.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Where jumps to each instruction land; one more for the end.
    landings: Vec<u32>,
    /// Units inserted before each instruction, after its landing.
    before: Vec<u32>,
    /// Units inserted after each instruction, before the next landing.
    after: Vec<u32>,
    /// `EXTENDED_ARG` units of each instruction.
    pub(crate) prefixes: Vec<u8>,
}

impl Layout {
    pub(crate) fn new(analysis: &Analysis, insertions: &[Insertion<'_>]) -> Result<Self, Error> {
        let count = analysis.instructions.len();
        let mut layout = Self {
            landings: vec![0; count + 1],
            before: vec![0; count],
            after: vec![0; count],
            prefixes: analysis
                .instructions
                .iter()
                .map(|instruction| instruction.prefixes() as u8)
                .collect(),
        };
        let mut length = analysis.owners.len() as u64;
        let mut shapes = Shapes::new(analysis.version);
        for insertion in insertions {
            let units = shapes.units(insertion.sequence)? + decoy_units(analysis, insertion.place);
            length += u64::from(units);
            match insertion.place {
                Place::Before(index) => layout.before[index.usize()] = units,
                Place::After(index) => layout.after[index.usize()] = units,
            }
        }
        // Four bytes more a jump at worst; beyond that offsets could leave 32 bits.
        if length > MAX_CODE as u64 {
            return Err(Error::TooLong {
                length: usize::try_from(length * 2).unwrap_or(usize::MAX),
            });
        }
        layout.settle(analysis)?;
        Ok(layout)
    }

    /// Positions move jumps apart, distances that outgrow a byte need a prefix, prefixes move jumps apart: until nothing grows.
    /// Each round but the last adds a prefix, of which a jump has three at most; real code settles in three or four.
    fn settle(&mut self, analysis: &Analysis) -> Result<(), Error> {
        loop {
            let mut position = 0;
            for (index, instruction) in analysis.instructions.iter().enumerate() {
                self.landings[index] = position;
                position += self.before[index]
                    + u32::from(self.prefixes[index])
                    + 1
                    + u32::from(instruction.caches)
                    + self.after[index];
            }
            self.landings[analysis.instructions.len()] = position;
            let mut settled = true;
            for &(from, to) in &analysis.references {
                let distance = self.distance(analysis, from, to)?;
                let needed = needed_prefixes(distance) as u8;
                let prefixes = &mut self.prefixes[from as usize];
                if needed > *prefixes {
                    *prefixes = needed;
                    settled = false;
                }
            }
            if settled {
                return Ok(());
            }
        }
    }

    /// The argument with which instruction `from` names instruction `to`.
    pub(crate) fn distance(&self, analysis: &Analysis, from: u32, to: u32) -> Result<u32, Error> {
        let end = self.end(analysis, from);
        let landing = self.landings[to as usize];
        let info = analysis.info(from);
        let distance = match info.map(|info| (info.arg, info.jump)) {
            // Branch monitoring wants the instruction itself, not what was inserted before it.
            Some((ArgKind::JumpOrigin, _)) => end.checked_sub(landing + self.before[to as usize]),
            Some((_, JumpKind::Backward)) => end.checked_sub(landing),
            _ => landing.checked_sub(end),
        };
        distance.ok_or(Error::JumpTooFar {
            offset: analysis.instructions[from as usize].offset,
        })
    }

    /// First unit after an instruction's caches.
    pub(crate) fn end(&self, analysis: &Analysis, index: u32) -> u32 {
        let caches = u32::from(analysis.instructions[index as usize].caches);
        self.opcode(index) + 1 + caches
    }

    /// The argument of a jump from the unit before instruction `index` to instruction `to`, which must fit one unit.
    pub(crate) fn decoy_distance(
        &self,
        analysis: &Analysis,
        index: u32,
        to: u32,
    ) -> Result<u8, Error> {
        let begin = self.landings[index as usize] + self.before[index as usize];
        let distance = self.landings[to as usize]
            .checked_sub(begin)
            .and_then(|distance| u8::try_from(distance).ok());
        distance.ok_or(Error::JumpTooFar {
            offset: analysis.instructions[index as usize].offset,
        })
    }

    /// The units inserted before an instruction.
    pub(crate) fn inserted_before(&self, index: u32) -> Range<u32> {
        let landing = self.landings[index as usize];
        landing..landing + self.before[index as usize]
    }

    fn opcode(&self, index: u32) -> u32 {
        let index = index as usize;
        self.landings[index] + self.before[index] + u32::from(self.prefixes[index])
    }

    /// Units in total.
    pub(crate) fn length(&self) -> u32 {
        self.landings.last().copied().unwrap_or(0)
    }

    /// New byte offset where the instruction that started at `offset` is landed on; `offset` may be the code's end.
    pub(crate) fn landing(&self, analysis: &Analysis, offset: u32) -> u32 {
        self.unit(analysis, offset / 2) * 2
    }

    /// New position of an original code unit, which may lie within an instruction or be the end.
    pub(crate) fn unit(&self, analysis: &Analysis, unit: u32) -> u32 {
        let Some(&owner) = analysis.owners.get(unit as usize) else {
            return self.length();
        };
        let instruction = &analysis.instructions[owner as usize];
        let within = unit - instruction.start / 2;
        let first = self.landings[owner as usize];
        if within == 0 {
            return first;
        }
        let prefixes = instruction.prefixes();
        let grown = u32::from(self.prefixes[owner as usize]) - prefixes;
        first + self.before[owner as usize] + within + if within < prefixes { 0 } else { grown }
    }

    /// The instructions that got prefixes.
    pub(crate) fn grown(&self, analysis: &Analysis) -> Vec<(u32, u8)> {
        let grown = |&(from, _): &(u32, u32)| {
            let by = self.prefixes[from as usize]
                - analysis.instructions[from as usize].prefixes() as u8;
            (by > 0).then_some((from, by))
        };
        analysis.references.iter().filter_map(grown).collect()
    }

    pub(crate) fn into_map(self, analysis: &Analysis, body: u32) -> OffsetMap {
        let count = analysis.instructions.len();
        OffsetMap {
            original: analysis
                .instructions
                .iter()
                .map(|instruction| instruction.offset)
                .collect(),
            new: (0..count as u32)
                .map(|index| self.opcode(index) * 2)
                .collect(),
            landing: self.landings[..count]
                .iter()
                .map(|landing| landing * 2)
                .collect(),
            body,
        }
    }
}
