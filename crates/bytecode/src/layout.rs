//! Where everything comes to stand: positions of the original instructions among the insertions, in code units.

use std::borrow::Borrow;
use std::ops::Range;

use crate::analysis::{Analysis, NONE};
use crate::error::Error;
use crate::fragment::{self, Branches};
use crate::insert::{Insertion, Place};
use crate::instruction::{MAX_GROWN, needed_prefixes};
use crate::offset_map::OffsetMap;
use crate::opcode::{JumpKind, Op};
use crate::sequence::Shapes;
use crate::sites::{forbidden, reads_unit_before};
use crate::version::Version;

/// A jump and the unit it jumps over.
const DECOY_UNITS: u32 = 2;

/// How often prefixes are added one by one.
const MAX_ROUNDS: u32 = 16;

/// `EXTENDED_ARG` units before one instruction.
const MAX_PREFIXES: u32 = 3;

/// Positions of one code object's instructions. Prefixes only ever grow.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Where jumps to each instruction land; one more for the end.
    landings: Vec<u32>,
    /// The unit of each instruction's opcode.
    opcodes: Vec<u32>,
    /// Its byte offset in the original.
    original: Vec<u32>,
    /// The analysis' references, in their order.
    references: Vec<Reference>,
    /// The deepest stack of the insertions.
    pub(crate) depth: u32,
    /// How many insertions there are.
    pub(crate) insertions: u32,
    /// Instructions that the unit before them is repeated for, after what is inserted.
    decoys: Vec<u32>,
    /// Where what is inserted has no location.
    blanks: Vec<Place>,
    /// Instructions whose insertion is jumped over by what falls through to it, and how many units that is.
    skips: Vec<(u32, u32)>,
    /// Whether any insertion branches.
    pub(crate) has_fragments: bool,
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
    pub(crate) fn new<'a>(
        analysis: &Analysis,
        mut insertions: impl Iterator<Item: Borrow<Insertion<'a>>>,
    ) -> Result<Self, Error> {
        let count = analysis.instructions.len();
        let mut layout = Self {
            landings: Vec::with_capacity(count + 1),
            opcodes: Vec::with_capacity(count),
            original: Vec::with_capacity(count),
            references: Vec::new(),
            depth: 0,
            insertions: 0,
            decoys: Vec::new(),
            blanks: Vec::new(),
            skips: Vec::new(),
            has_fragments: false,
        };
        let mut gaps = Gaps {
            analysis,
            count: 0,
            shapes: Shapes::new(analysis.version),
            depth: 0,
            decoys: Vec::new(),
            blanks: Vec::new(),
            skips: Vec::new(),
            has_fragments: false,
        };
        let mut next = insertions.next();
        let order = |next: &Option<_>| next.as_ref().map_or(u64::MAX, order);
        let mut place = order(&next);
        let mut position = 0u64;
        for (index, instruction) in (0u64..).zip(&analysis.instructions) {
            if place == index * 2
                && let Some(insertion) = next
            {
                let (skip, units) = gaps.units(insertion.borrow())?;
                layout.landings.push((position + skip) as u32);
                position += skip + units;
                next = insertions.next();
                place = order(&next);
            } else {
                layout.landings.push(position as u32);
            }
            position += u64::from(instruction.prefixes());
            layout.opcodes.push(position as u32);
            layout.original.push(instruction.offset);
            position += u64::from(1 + u32::from(instruction.caches));
            if place == index * 2 + 1
                && let Some(insertion) = next
            {
                position += gaps.units(insertion.borrow())?.1;
                next = insertions.next();
                place = order(&next);
            }
        }
        if let Some(insertion) = next {
            return Err(gaps.misplaced(insertion.borrow()));
        }
        // Three units more a jump at worst, which keeps within 32 bits.
        let length = usize::try_from(position * 2).unwrap_or(usize::MAX);
        if length > MAX_GROWN {
            let most = MAX_GROWN;
            return Err(Error::TooLong { length, most });
        }
        layout.landings.push(position as u32);
        layout.depth = gaps.depth;
        layout.insertions = gaps.count;
        layout.decoys = gaps.decoys;
        layout.blanks = gaps.blanks;
        layout.skips = gaps.skips;
        layout.has_fragments = gaps.has_fragments;
        layout.settle(analysis)?;
        Ok(layout)
    }

    /// Positions move jumps apart, distances that outgrow a byte need a prefix, prefixes move jumps apart: until nothing grows.
    /// Each round but the last adds a prefix, of which a jump has three at most; real code settles in three or four. A round
    /// looks at the jumps only: how far a distance has grown is the difference of two running sums. In code made for it one
    /// jump's growth makes the next one grow, and so on; there jumps may get more prefixes than they need.
    fn settle(&mut self, analysis: &Analysis) -> Result<(), Error> {
        let mut references = self.references(analysis);
        let mut total = 0;
        let mut rounds = 0;
        while !round(analysis, &mut references, total)? {
            rounds += 1;
            if rounds == MAX_ROUNDS {
                grow_for_good(&mut references);
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
        let blank = |&place: &Place| match place {
            Place::Before(index) => self.lands(index.0)..self.begin(analysis, index.0),
            Place::After(index) => self.end(analysis, index.0)..self.lands(index.0 + 1),
        };
        self.blanks.iter().map(blank)
    }

    /// How many units the jump over an insertion passes, if there is one; it ends where the insertion begins.
    pub(crate) fn skip(&self, place: Place) -> Option<u32> {
        let Place::Before(index) = place else {
            return None;
        };
        let found = self.skips.binary_search_by_key(&index.0, |skip| skip.0);
        found.ok().map(|found| self.skips[found].1)
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
        let is_grown = |reference: &&Reference| reference.grown > 0;
        let mut grown = Vec::with_capacity(self.references.iter().filter(is_grown).count());
        for (&(from, _), reference) in analysis.references.iter().zip(&self.references) {
            if reference.grown > 0 {
                grown.push((from, reference.grown));
            }
        }
        grown
    }

    pub(crate) fn into_map(mut self, body: u32) -> OffsetMap {
        self.landings.pop();
        let bytes = |mut units: Vec<u32>| {
            for unit in &mut units {
                *unit *= 2;
            }
            units
        };
        OffsetMap {
            original: self.original,
            new: bytes(self.opcodes),
            landing: bytes(self.landings),
            body,
        }
    }
}

/// Computes the arguments with the prefixes known so far; whether they all have room, and more prefixes where not.
fn round(analysis: &Analysis, references: &mut [Reference], total: u32) -> Result<bool, Error> {
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
    Ok(settled)
}

/// Gives each reference as many prefixes as it needs if all that it passes get as many as there can be.
fn grow_for_good(references: &mut [Reference]) {
    for (number, reference) in (1u32..).zip(references) {
        let passed = reference.before_target.abs_diff(number);
        let distance = reference.distance + i64::from(passed) * i64::from(MAX_PREFIXES);
        let needed = needed_prefixes(u32::try_from(distance).unwrap_or(u32::MAX)) as u8;
        let grown = needed.saturating_sub(reference.prefixes);
        reference.grown = reference.grown.max(grown);
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

/// Position in the order of insertions.
fn order<'a>(insertion: &impl Borrow<Insertion<'a>>) -> u64 {
    insertion.borrow().place.order()
}

/// Checks and measures the insertions, in their order.
struct Gaps<'a, 's> {
    analysis: &'a Analysis,
    /// How many there were.
    count: u32,
    shapes: Shapes<'s>,
    /// As in [`Layout`], so far.
    depth: u32,
    decoys: Vec<u32>,
    blanks: Vec<Place>,
    skips: Vec<(u32, u32)>,
    /// Whether any insertion branches.
    has_fragments: bool,
}

impl<'s> Gaps<'_, 's> {
    /// The units that an insertion takes: of the jump over it, and its own.
    #[inline]
    fn units(&mut self, insertion: &Insertion<'s>) -> Result<(u64, u64), Error> {
        let (skip, (height, mut units)) = match &insertion.branches {
            None => (0, self.shapes.measure(insertion.sequence, insertion.first)?),
            Some(branches) => self.fragment(insertion, branches)?,
        };
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
        self.count += 1;
        Ok((u64::from(skip), u64::from(units)))
    }

    /// Of a fragment: the units of the jump over it; and the most values that it has on the stack, and its own units.
    #[cold]
    fn fragment(
        &mut self,
        insertion: &Insertion<'_>,
        branches: &Branches<'_>,
    ) -> Result<(u32, (u32, u32)), Error> {
        if insertion.first != 0 {
            // Prefixes would move what its jumps lead to.
            return Err(Error::FragmentJump);
        }
        self.has_fragments = true;
        let measured = fragment::measure(self.analysis.version, insertion.sequence, branches)?;
        let Place::Before(index) = insertion.place else {
            return match branches.skips_fall_through {
                true => Err(Error::FragmentJump),
                false => Ok((0, measured)),
            };
        };
        self.blanks.push(insertion.place);
        if !branches.skips_fall_through {
            return Ok((0, measured));
        }
        self.skips.push((index.0, measured.1));
        Ok((needed_prefixes(measured.1) + 1, measured))
    }

    /// The units that follow a sequence. Where the interpreter reads the unit before an instruction, that unit is repeated there
    /// and jumped over.
    fn special(&mut self, place: Place) -> Result<u32, Error> {
        if let Some(reason) = forbidden(self.analysis, place) {
            return Err(Error::Forbidden { place, reason });
        }
        let index = match place {
            Place::Before(index) => index,
            Place::After(index) => {
                if self.analysis.entry == Some(index.0) {
                    self.blanks.push(place);
                }
                return Ok(0);
            }
        };
        // From 3.12 on, `END_ASYNC_FOR` never starts a line (`initialize_lines` in `Python/instrumentation.c`), but what stands
        // before it would.
        if self.analysis.version >= Version::V3_12
            && self.analysis.op(index.0) == Some(Op::EndAsyncFor)
            && self.blanks.last() != Some(&place)
        {
            self.blanks.push(place);
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
pub(crate) fn depth_at(analysis: &Analysis, place: Place) -> u32 {
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
