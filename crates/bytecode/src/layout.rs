//! Where everything comes to stand: positions of the original instructions among the insertions, in code units.

use std::ops::Range;

use crate::analysis::Analysis;
use crate::error::Error;
use crate::insert::{Insertion, Place};
use crate::instruction::{MAX_CODE, needed_prefixes};
use crate::offset_map::OffsetMap;
use crate::opcode::{ArgKind, JumpKind};
use crate::sequence::Shapes;
use crate::sites::{forbidden, reads_unit_before};

/// A jump and the unit it jumps over.
const DECOY_UNITS: u32 = 2;

/// Units that follow a sequence where the interpreter reads the unit before an instruction: that unit is repeated there and
/// jumped over.
fn decoy_units(analysis: &Analysis, place: Place) -> u32 {
    match place {
        Place::Before(index)
            if !analysis.is_plain(index.0) && reads_unit_before(analysis, index.0) =>
        {
            DECOY_UNITS
        }
        _ => 0,
    }
}

/// Positions of one code object's instructions. Prefixes only ever grow.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Where jumps to each instruction land; one more for the end.
    landings: Vec<u32>,
    /// The unit of each instruction's opcode.
    opcodes: Vec<u32>,
    /// Of each of the analysis' references.
    arguments: Vec<Argument>,
    /// The deepest stack of the insertions.
    pub(crate) depth: u32,
}

/// The argument of an instruction that names another one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Argument {
    pub(crate) value: u32,
    /// `EXTENDED_ARG` units that were added.
    pub(crate) grown: u32,
}

impl Layout {
    /// Checks the insertions and finds room for them.
    pub(crate) fn new(analysis: &Analysis, insertions: &[Insertion<'_>]) -> Result<Self, Error> {
        let count = analysis.instructions.len();
        let mut layout = Self {
            landings: Vec::with_capacity(count + 1),
            opcodes: Vec::with_capacity(count),
            arguments: Vec::new(),
            depth: 0,
        };
        let mut gaps = Gaps {
            analysis,
            rest: insertions.iter(),
            shapes: Shapes::new(analysis.version),
            depth: 0,
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
        layout.settle(analysis)?;
        Ok(layout)
    }

    /// Positions move jumps apart, distances that outgrow a byte need a prefix, prefixes move jumps apart: until nothing grows.
    /// Each round but the last adds a prefix, of which a jump has three at most; real code settles in three or four. A round
    /// looks at the jumps only: how far a distance has grown is the difference of two running sums.
    fn settle(&mut self, analysis: &Analysis) -> Result<(), Error> {
        let references = &analysis.references;
        if references.is_empty() {
            return Ok(());
        }
        let spans = self.spans(analysis)?;
        self.arguments = vec![Argument { value: 0, grown: 0 }; references.len()];
        // Units that were added by the references before each one; one more for all.
        let mut added = vec![0u32; references.len() + 1];
        loop {
            let mut settled = true;
            for (number, (span, argument)) in spans.iter().zip(&mut self.arguments).enumerate() {
                let (here, there) = (added[number + 1], added[span.before_target as usize]);
                let moved = if span.forward {
                    i64::from(there) - i64::from(here)
                } else {
                    i64::from(here) - i64::from(there)
                };
                let from = references[number].0;
                let distance = u32::try_from(span.distance + moved).map_err(|_| {
                    let offset = analysis.instructions[from as usize].offset;
                    Error::JumpTooFar { offset }
                })?;
                argument.value = distance;
                let needed = needed_prefixes(distance);
                if needed > span.prefixes + argument.grown {
                    argument.grown = needed - span.prefixes;
                    settled = false;
                }
            }
            if settled {
                break;
            }
            let mut sum = 0;
            for (added, argument) in added[1..].iter_mut().zip(&self.arguments) {
                sum += argument.grown;
                *added = sum;
            }
        }
        self.make_room(analysis, &added);
        Ok(())
    }

    /// The references' distances without any added prefix.
    fn spans(&self, analysis: &Analysis) -> Result<Vec<Span>, Error> {
        let references = &analysis.references;
        let facts = analysis.version.facts();
        let span = |(number, &(from, to)): (usize, &(u32, u32))| {
            let instruction = &analysis.instructions[from as usize];
            let forward = facts[usize::from(instruction.opcode.0)].reference == JumpKind::Forward;
            let end = i64::from(self.end(analysis, from));
            // Branch monitoring wants the instruction itself, not what was inserted before it.
            let is_origin = || {
                analysis
                    .info(from)
                    .is_some_and(|info| info.arg == ArgKind::JumpOrigin)
            };
            let landing = if !forward && is_origin() {
                let prefixes = analysis.instructions[to as usize].prefixes();
                i64::from(self.opcodes[to as usize] - prefixes)
            } else {
                i64::from(self.landings[to as usize])
            };
            Span {
                distance: if forward {
                    landing - end
                } else {
                    end - landing
                },
                before_target: references_before(references, number, to),
                prefixes: instruction.prefixes(),
                forward,
            }
        };
        Ok(references.iter().enumerate().map(span).collect())
    }

    /// Moves everything by the prefixes that were added before it.
    fn make_room(&mut self, analysis: &Analysis, added: &[u32]) {
        let references = &analysis.references;
        if added.last() == Some(&0) {
            return;
        }
        let count = self.opcodes.len();
        for (number, &(from, _)) in references.iter().enumerate() {
            let next = references
                .get(number + 1)
                .map_or(count, |next| next.0 as usize);
            let by = added[number + 1];
            let from = from as usize;
            let last = if next == count { count + 1 } else { next + 1 };
            for opcode in &mut self.opcodes[from..next] {
                *opcode += by;
            }
            for landing in &mut self.landings[from + 1..last] {
                *landing += by;
            }
        }
    }

    /// The arguments of the analysis' references, in their order.
    pub(crate) fn arguments(&self) -> &[Argument] {
        &self.arguments
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
        let grown = found.map_or(0, |number| self.arguments[number].grown);
        self.opcode(index) - grown - analysis.instructions[index as usize].prefixes()
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

    /// Where jumps to an instruction land.
    pub(crate) fn lands(&self, index: u32) -> u32 {
        self.landings[index as usize]
    }

    /// The units inserted before an instruction.
    pub(crate) fn inserted_before(&self, analysis: &Analysis, index: u32) -> Range<u32> {
        self.lands(index)..self.begin(analysis, index)
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
        let pairs = analysis.references.iter().zip(&self.arguments);
        pairs
            .filter(|(_, argument)| argument.grown > 0)
            .map(|(reference, argument)| (reference.0, argument.grown as u8))
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

/// How far a reference reaches, without added prefixes.
struct Span {
    distance: i64,
    /// How many references stand before the instruction that it names.
    before_target: u32,
    /// Original prefixes.
    prefixes: u32,
    forward: bool,
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
    /// The deepest stack so far.
    depth: u32,
}

impl<'a> Gaps<'a> {
    /// The next insertion, after its position in the order.
    fn next(&mut self) -> Option<(u64, &'a Insertion<'a>)> {
        let insertion = self.rest.next()?;
        Some((insertion.place.order(), insertion))
    }

    /// The units that an insertion takes.
    fn units(&mut self, insertion: &Insertion<'_>) -> Result<u64, Error> {
        let place = insertion.place;
        if let Some(reason) = forbidden(self.analysis, place) {
            return Err(Error::Forbidden { place, reason });
        }
        let (height, units) = self.shapes.measure(insertion.sequence)?;
        let depth = depth_at(self.analysis, place).saturating_add(height);
        self.depth = self.depth.max(depth);
        Ok(u64::from(units + decoy_units(self.analysis, place)))
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
