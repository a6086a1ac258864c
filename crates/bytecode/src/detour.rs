//! Detours: blocks behind the code that insertions can be made to lead to, and that lead back to behind them.
//!
//! Nothing leads to a detour until somebody overwrites its insertion by a jump to it. Frames that run on after their insertions have
//! lost their use leave the code there ([`leaving_places`]).

use crate::analysis::{Analysis, InstrIdx};
use crate::error::Error;
use crate::exception_table::ExceptionEntry;
use crate::insert::Place;
use crate::instruction::{needed_prefixes, put};
use crate::location_table::Location;
use crate::opcode::{Op, Opcode};
use crate::sequence::{Sequences, Shapes};
use crate::version::Version;

/// A block behind the code that leads back to behind an insertion.
#[derive(Clone, Copy, Debug)]
pub struct Detour<'a> {
    /// Which of the insertions, by its number in their order.
    pub insertion: usize,
    /// Code that leaves the stack as it finds it; prefixes, caches and the jump back are added.
    pub sequence: &'a [(Opcode, u32)],
}

/// What a detour needs to know of its insertion.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around {
    pub(crate) place: Place,
    /// The unit behind it.
    pub(crate) back: u32,
    /// Whether it is on the line of the instruction that it is before or after.
    pub(crate) has_line: bool,
}

/// A detour that has got its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed<'a> {
    sequence: &'a [(Opcode, u32)],
    /// Its first unit, that of its jump's opcode, and the one behind it.
    start: u32,
    jump: u32,
    pub(crate) end: u32,
    around: Around,
}

/// Finds room for detours from unit `start` on, and the deepest stack that they need. `around` is of each one's insertion; `depth`, how many
/// values are on the stack at a place.
///
/// # Errors
/// [`Error::Sequence`], [`Error::UnbalancedSequence`].
pub(crate) fn place<'a>(
    version: Version,
    detours: &[Detour<'a>],
    around: &[Around],
    depth: impl Fn(Place) -> u32,
    mut start: u32,
) -> Result<(Vec<Placed<'a>>, u32), Error> {
    let mut deepest = 0;
    let mut placed = Vec::with_capacity(detours.len());
    for (detour, &around) in detours.iter().zip(around) {
        let (height, units) = Shapes::new(version).measure(detour.sequence, 0)?;
        deepest = deepest.max(depth(around.place).saturating_add(height));
        let mut jump = start + units;
        // Each prefix makes the way back one longer.
        while needed_prefixes(jump + 1 - around.back) > jump - start - units {
            jump += 1;
        }
        placed.push(Placed {
            sequence: detour.sequence,
            start,
            jump,
            end: jump + 1,
            around,
        });
        start = jump + 1;
    }
    Ok((placed, deepest))
}

impl Placed<'_> {
    /// The byte offset of its first unit.
    pub(crate) fn offset(&self) -> u32 {
        self.start * 2
    }

    pub(crate) fn units(&self) -> u32 {
        self.end - self.start
    }

    /// Where in the source its insertion is.
    pub(crate) fn location(&self, analysis: &Analysis) -> Location {
        let (Place::Before(index) | Place::After(index)) = self.around.place;
        match self.around.has_line {
            true => analysis.location(index),
            false => Location::default(),
        }
    }

    /// Writes it to zeroed units.
    pub(crate) fn put(&self, units: &mut [[u8; 2]], version: Version) {
        let behind = Sequences::new(version).put(units, self.start as usize, self.sequence, 0);
        // It looks at no eval breaker and has no cache.
        if let Some(jump) = Op::JumpBackwardNoInterrupt.opcode(version) {
            let at = self.jump as usize;
            let prefixes = (at - behind) as u32;
            put(
                units,
                at,
                version,
                jump,
                self.end - self.around.back,
                prefixes,
            );
        }
    }

    /// What handles its exceptions: the original entry of the instruction that it is before or after, at its new place.
    pub(crate) fn handled(
        &self,
        analysis: &Analysis,
        landing: impl Fn(u32) -> u32,
    ) -> Option<ExceptionEntry> {
        let (Place::Before(index) | Place::After(index)) = self.around.place;
        let entry = analysis.exception_entry(index)?;
        Some(ExceptionEntry {
            start: self.start * 2,
            end: self.end * 2,
            target: landing(entry.target),
            ..*entry
        })
    }
}

/// How many instructions of a loop are looked at.
const MOST: u32 = 64;

/// For each loop the first of `places`, which are in order, where a frame has the object that the instruction before has pushed on top of its
/// stack: the place's number and the instruction that comes next there. Each only once, in order. Places whose number `may` refuses are left
/// out. What `yield from` and `await` do again and again is a loop, too.
pub fn leaving_places(
    analysis: &Analysis,
    places: &[Place],
    may: impl Fn(usize) -> bool,
) -> Vec<(usize, InstrIdx)> {
    let jumps = analysis.references.iter();
    let back = jumps.filter(|(from, to)| to <= from);
    let mut heads: Vec<_> = back.map(|&(from, to)| (to, from)).collect();
    heads.sort_unstable();
    let mut found = Vec::new();
    for (head, end) in heads {
        let all = head + 1..=end.min(head.saturating_add(MOST));
        let mut all = all.filter(|&next| pushes_object(analysis, next - 1));
        found.extend(all.find_map(|next| {
            let next = InstrIdx(next);
            let wanted = [Place::After(InstrIdx(next.0 - 1)), Place::Before(next)];
            let number = wanted.iter().find_map(|place| {
                let order = |other: &Place| other.order();
                let number = places.binary_search_by_key(&place.order(), order).ok();
                number.filter(|&number| may(number))
            })?;
            Some((number, next))
        }));
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Whether an instruction is in a loop, and there is something on the stack before it.
pub fn is_in_loop(analysis: &Analysis, at: InstrIdx) -> bool {
    let mut jumps = analysis.references.iter();
    analysis.depth(at).is_some_and(|depth| depth > 0)
        && jumps.any(|&(from, to)| (to..=from).contains(&at.0))
}

/// Whether an instruction falls through and leaves an object, which is never NULL, on top of the stack that it has put there, or that the
/// frame has been resumed with.
fn pushes_object(analysis: &Analysis, index: u32) -> bool {
    let has_flag = || analysis.get(InstrIdx(index)).arg & 1 == 1;
    let is_before = |op| index.checked_sub(1).and_then(|index| analysis.op(index)) == Some(op);
    analysis.depth(InstrIdx(index)).is_some()
        && match analysis.op(index) {
            Some(
                Op::BinaryOp
                | Op::BinarySubscr
                | Op::Call
                | Op::CallFunctionEx
                | Op::CallKw
                | Op::CompareOp
                | Op::ContainsOp
                | Op::ForIter
                | Op::IsOp
                | Op::LoadConst
                | Op::LoadDeref
                | Op::LoadFast
                | Op::LoadFastBorrow
                | Op::LoadFastBorrowLoadFastBorrow
                | Op::LoadFastCheck
                | Op::LoadFastLoadFast
                | Op::LoadName
                | Op::LoadSmallInt
                | Op::StoreFastLoadFast
                | Op::ToBool
                | Op::UnaryNegative
                | Op::UnaryNot,
            ) => true,
            // With NULL, which from 3.13 on is above what is to be called.
            Some(Op::LoadGlobal) => !has_flag(),
            Some(Op::Resume) => is_before(Op::YieldValue),
            _ => false,
        }
}
