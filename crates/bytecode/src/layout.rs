//! Where everything comes to stand: positions of the original instructions among the insertions, in code units.

use std::ops::Range;

use crate::analysis::{Analysis, NONE};
use crate::error::Error;
use crate::insert::{Insertion, Place};
use crate::instruction::{MAX_CODE, needed_prefixes};
use crate::offset_map::OffsetMap;
use crate::opcode::{JumpKind, Op};
use crate::sequence::Shapes;
use crate::sites::{forbidden, reads_unit_before};
use crate::version::Version;

/// A jump and the unit it jumps over.
const DECOY_UNITS: u32 = 2;

/// Positions of one code object's instructions. Prefixes only ever grow.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Where jumps to each instruction land; one more for the end.
    landings: Vec<u32>,
    /// The unit of each instruction's opcode.
    opcodes: Vec<u32>,
    /// The analysis' references, in their order.
    references: Vec<Reference>,
    /// The deepest stack of the insertions.
    pub(crate) depth: u32,
    /// Instructions that the unit before them is repeated for, after what is inserted.
    decoys: Vec<u32>,
    /// Instructions before which what is inserted has no location.
    blanks: Vec<u32>,
}

/// An instruction whose argument names another one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reference {
    /// The argument.
    pub(crate) value: u32,
    /// `EXTENDED_ARG` units that were added to it,
    pub(crate) grown: u8,
    /// and that it had.
    prefixes: u8,
    forward: bool,
    /// How many references stand before the instruction that it names.
    before_target: u32,
    /// Units that were added to all references before it.
    added: u32,
    /// How far it is to what it names without any added unit.
    distance: i64,
}

impl Layout {
    /// Checks the insertions and finds room for them.
    pub(crate) fn new(analysis: &Analysis, insertions: &[Insertion<'_>]) -> Result<Self, Error> {
        let count = analysis.instructions.len();
        let mut layout = Self {
            landings: Vec::with_capacity(count + 1),
            opcodes: Vec::with_capacity(count),
            references: Vec::new(),
            depth: 0,
            decoys: Vec::new(),
            blanks: Vec::new(),
        };
        let mut gaps = Gaps {
            analysis,
            rest: insertions.iter(),
            shapes: Shapes::new(analysis.version),
            depth: 0,
            decoys: Vec::new(),
            blanks: Vec::new(),
        };
        let mut next = gaps.next();
        let mut position = 0u64;
        for (index, instruction) in (0u64..).zip(&analysis.instructions) {
            layout.landings.push(position as u32);
            if let Some((place, insertion)) = next
                && place == index * 2
            {
                position += gaps.units(insertion)?;
                next = gaps.next();
            }
            position += u64::from(instruction.prefixes());
            layout.opcodes.push(position as u32);
            position += u64::from(1 + u32::from(instruction.caches));
            if let Some((place, insertion)) = next
                && place == index * 2 + 1
            {
                position += gaps.units(insertion)?;
                next = gaps.next();
            }
        }
        if let Some((_, insertion)) = next {
            return Err(gaps.misplaced(insertion));
        }
        // Three units more a jump at worst; beyond that offsets could leave 32 bits.
        if position > MAX_CODE as u64 {
            return Err(Error::TooLong {
                length: usize::try_from(position * 2).unwrap_or(usize::MAX),
            });
        }
        layout.landings.push(position as u32);
        layout.depth = gaps.depth;
        layout.decoys = gaps.decoys;
        layout.blanks = gaps.blanks;
        layout.settle(analysis)?;
        Ok(layout)
    }

    /// Positions move jumps apart, distances that outgrow a byte need a prefix, prefixes move jumps apart: until nothing grows.
    /// Each round but the last adds a prefix, of which a jump has three at most; real code settles in three or four. A round
    /// looks at the jumps only: how far a distance has grown is the difference of two running sums.
    fn settle(&mut self, analysis: &Analysis) -> Result<(), Error> {
        let mut references = self.references(analysis);
        let mut total = 0;
        loop {
            let mut settled = true;
            for number in 0..references.len() {
                let reference = references[number];
                let there = references
                    .get(reference.before_target as usize)
                    .map_or(total, |before| before.added);
                let here = reference.added + u32::from(reference.grown);
                let moved = i64::from(there) - i64::from(here);
                let distance = reference.distance + if reference.forward { moved } else { -moved };
                let value = u32::try_from(distance).map_err(|_| {
                    let from = analysis.references[number].0;
                    let offset = analysis.instructions[from as usize].offset;
                    Error::JumpTooFar { offset }
                })?;
                let prefixes = reference.prefixes + reference.grown;
                let missing = (needed_prefixes(value) as u8).saturating_sub(prefixes);
                settled &= missing == 0;
                references[number].value = value;
                references[number].grown += missing;
            }
            if settled {
                break;
            }
            total = 0;
            for reference in &mut references {
                reference.added = total;
                total += u32::from(reference.grown);
            }
        }
        self.references = references;
        if total > 0 {
            self.make_room(analysis);
        }
        Ok(())
    }

    /// The references with their arguments still missing.
    fn references(&self, analysis: &Analysis) -> Vec<Reference> {
        let facts = analysis.version.facts();
        let reference = |(number, &(from, to)): (usize, &(u32, u32))| {
            let instruction = &analysis.instructions[from as usize];
            let facts = &facts[usize::from(instruction.opcode.0)];
            let forward = facts.reference == JumpKind::Forward;
            let end = i64::from(self.end(analysis, from));
            let landing = i64::from(if facts.jumps() {
                self.landings[to as usize]
            } else {
                // Branch monitoring wants the instruction itself, not what was inserted before it.
                self.opcodes[to as usize] - analysis.instructions[to as usize].prefixes()
            });
            Reference {
                value: 0,
                grown: 0,
                prefixes: instruction.prefixes() as u8,
                forward,
                before_target: references_before(&analysis.references, number, to),
                added: 0,
                distance: if forward {
                    landing - end
                } else {
                    end - landing
                },
            }
        };
        analysis
            .references
            .iter()
            .enumerate()
            .map(reference)
            .collect()
    }

    /// Moves everything by the prefixes that were added before it.
    fn make_room(&mut self, analysis: &Analysis) {
        let count = self.opcodes.len();
        for (number, reference) in self.references.iter().enumerate() {
            let by = reference.added + u32::from(reference.grown);
            let from = analysis.references[number].0 as usize;
            // Up to the next one, whose landing moves too; after the last one there is the landing at the end.
            let next = analysis.references.get(number + 1);
            let next = next.map_or(count, |next| next.0 as usize);
            for opcode in &mut self.opcodes[from..next] {
                *opcode += by;
            }
            for landing in &mut self.landings[from + 1..=next] {
                *landing += by;
            }
        }
    }

    /// The analysis' references, in their order.
    pub(crate) fn settled(&self) -> &[Reference] {
        &self.references
    }

    /// The unit of an instruction's opcode.
    pub(crate) fn opcode(&self, index: u32) -> u32 {
        self.opcodes[index as usize]
    }

    /// The units of all instructions' opcodes.
    pub(crate) fn opcodes(&self) -> &[u32] {
        &self.opcodes
    }

    /// First unit after an instruction's caches.
    pub(crate) fn end(&self, analysis: &Analysis, index: u32) -> u32 {
        let caches = u32::from(analysis.instructions[index as usize].caches);
        self.opcode(index) + 1 + caches
    }

    /// First unit of an instruction, after what was inserted before it.
    fn begin(&self, analysis: &Analysis, index: u32) -> u32 {
        let found = analysis
            .references
            .binary_search_by_key(&index, |reference| reference.0);
        let grown = found.map_or(0, |number| self.references[number].grown);
        self.opcode(index) - u32::from(grown) - analysis.instructions[index as usize].prefixes()
    }

    /// The argument of a jump from the unit before instruction `index` to instruction `to`, which must fit one unit.
    pub(crate) fn decoy_distance(
        &self,
        analysis: &Analysis,
        index: u32,
        to: u32,
    ) -> Result<u8, Error> {
        let distance = self.landings[to as usize]
            .checked_sub(self.begin(analysis, index))
            .and_then(|distance| u8::try_from(distance).ok());
        distance.ok_or(Error::JumpTooFar {
            offset: analysis.instructions[index as usize].offset,
        })
    }

    /// The instructions before which the unit before them is repeated.
    pub(crate) fn decoys(&self) -> &[u32] {
        &self.decoys
    }

    /// The first unit of what stands between a sequence and the instruction, where the unit before it is repeated.
    pub(crate) fn decoy(&self, analysis: &Analysis, index: u32) -> u32 {
        self.begin(analysis, index) - DECOY_UNITS
    }

    /// The inserted units that must not have a location.
    pub(crate) fn blanks(&self, analysis: &Analysis) -> impl Iterator<Item = Range<u32>> {
        let blank = |&index: &u32| self.lands(index)..self.begin(analysis, index);
        self.blanks.iter().map(blank)
    }

    /// Where jumps to an instruction land.
    pub(crate) fn lands(&self, index: u32) -> u32 {
        self.landings[index as usize]
    }

    /// Units in total.
    pub(crate) fn length(&self) -> u32 {
        self.landings.last().copied().unwrap_or(0)
    }

    /// New byte offset where the instruction that started at `offset` is landed on; `offset` may be the code's end.
    pub(crate) fn landing(&self, analysis: &Analysis, offset: u32) -> u32 {
        match analysis.starts.index(offset / 2) {
            Some(index) => self.lands(index) * 2,
            None => self.length() * 2,
        }
    }

    /// New position of the original code unit `within` units behind the start of an instruction.
    pub(crate) fn unit(&self, analysis: &Analysis, index: u32, within: u32) -> u32 {
        if within == 0 {
            return self.lands(index);
        }
        let prefixes = analysis.instructions[index as usize].prefixes();
        if within < prefixes {
            self.begin(analysis, index) + within
        } else {
            self.opcode(index) + (within - prefixes)
        }
    }

    /// The instructions that got prefixes.
    pub(crate) fn grown(&self, analysis: &Analysis) -> Vec<(u32, u8)> {
        let pairs = analysis.references.iter().zip(&self.references);
        pairs
            .filter(|(_, reference)| reference.grown > 0)
            .map(|(&(from, _), reference)| (from, reference.grown))
            .collect()
    }

    pub(crate) fn into_map(mut self, analysis: &Analysis, body: u32) -> OffsetMap {
        self.landings.pop();
        let bytes = |mut units: Vec<u32>| {
            for unit in &mut units {
                *unit *= 2;
            }
            units
        };
        OffsetMap {
            original: analysis
                .instructions
                .iter()
                .map(|instruction| instruction.offset)
                .collect(),
            new: bytes(self.opcodes),
            landing: bytes(self.landings),
            body,
        }
    }
}

/// How many references stand before instruction `to`. Most jumps are short, so the search widens from the jump itself.
fn references_before(references: &[(u32, u32)], number: usize, to: u32) -> u32 {
    let is_before = |reference: &(u32, u32)| reference.0 < to;
    let mut step = 1;
    let (mut low, mut high) = (number, number);
    if is_before(&references[number]) {
        while high < references.len() && is_before(&references[high]) {
            low = high;
            high += step;
            step *= 2;
        }
    } else {
        while low > 0 && !is_before(&references[low]) {
            high = low;
            low = low.saturating_sub(step);
            step *= 2;
        }
    }
    let high = high.min(references.len());
    (low + references[low..high].partition_point(is_before)) as u32
}

/// The insertions in their order, checked.
struct Gaps<'a> {
    analysis: &'a Analysis,
    rest: std::slice::Iter<'a, Insertion<'a>>,
    shapes: Shapes,
    /// As in [`Layout`], so far.
    depth: u32,
    decoys: Vec<u32>,
    blanks: Vec<u32>,
}

impl<'a> Gaps<'a> {
    /// The next insertion, after its position in the order.
    fn next(&mut self) -> Option<(u64, &'a Insertion<'a>)> {
        let insertion = self.rest.next()?;
        Some((insertion.place.order(), insertion))
    }

    /// The units that an insertion takes.
    #[inline]
    fn units(&mut self, insertion: &Insertion<'_>) -> Result<u64, Error> {
        let (height, mut units) = self.shapes.measure(insertion.sequence)?;
        let depth = match insertion.place {
            Place::Before(index)
                if self.analysis.is_plain(index.0)
                    && self.analysis.depths[index.usize()] != NONE =>
            {
                self.analysis.depths[index.usize()]
            }
            place => {
                units += self.special(place)?;
                depth_at(self.analysis, place)
            }
        };
        self.depth = self.depth.max(depth.saturating_add(height));
        Ok(u64::from(units))
    }

    /// The units that follow a sequence. Where the interpreter reads the unit before an instruction, that unit is repeated there
    /// and jumped over.
    fn special(&mut self, place: Place) -> Result<u32, Error> {
        if let Some(reason) = forbidden(self.analysis, place) {
            return Err(Error::Forbidden { place, reason });
        }
        let Place::Before(index) = place else {
            return Ok(0);
        };
        // From 3.12 on, `END_ASYNC_FOR` never starts a line (`initialize_lines` in `Python/instrumentation.c`), but what stands
        // before it would.
        if self.analysis.version >= Version::V3_12
            && self.analysis.op(index.0) == Some(Op::EndAsyncFor)
        {
            self.blanks.push(index.0);
        }
        if reads_unit_before(self.analysis, index.0) {
            self.decoys.push(index.0);
            return Ok(DECOY_UNITS);
        }
        Ok(0)
    }

    /// What is wrong with an insertion that is not met on the way through the code.
    fn misplaced(&self, insertion: &Insertion<'_>) -> Error {
        let place = insertion.place;
        let (Place::Before(index) | Place::After(index)) = place;
        match forbidden(self.analysis, place) {
            Some(reason) if index.usize() >= self.analysis.instructions.len() => {
                Error::Forbidden { place, reason }
            }
            _ => Error::InsertionOrder { place },
        }
    }
}

/// Only asked about places that are allowed, thus reachable.
fn depth_at(analysis: &Analysis, place: Place) -> u32 {
    let (Place::Before(index) | Place::After(index)) = place;
    let depth = analysis.depths[index.usize()];
    match place {
        Place::Before(_) => depth,
        Place::After(_) => {
            let arg = analysis.instructions[index.usize()].arg;
            let effect = analysis
                .info(index.0)
                .map_or(0, |info| info.effect.next.of(arg));
            depth.saturating_add_signed(effect)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn references_are_counted_from_anywhere(
            from in prop::collection::btree_set(0u32..200, 1..40),
            to in 0u32..202,
        ) {
            let references: Vec<_> = from.into_iter().map(|from| (from, 0)).collect();
            let wanted = references.iter().filter(|reference| reference.0 < to).count() as u32;
            for number in 0..references.len() {
                prop_assert_eq!(references_before(&references, number, to), wanted);
            }
        }
    }
}
