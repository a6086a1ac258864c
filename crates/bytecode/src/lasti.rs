//! Which stack slots say where an exception was raised.
//!
//! A handler whose exception-table entry asks for it finds below the exception the code unit that raised, and keeps it there until
//! `RERAISE` uses it or it is popped (`Objects/exception_handling_notes.txt`).

use smallvec::SmallVec;

use crate::analysis::{Analysis, InstrIdx};
use crate::opcode::Flow;

/// Stack slots, 0 = bottom, in ascending order.
pub(crate) type Slots = SmallVec<[u32; 2]>;

/// For each instruction the slots that hold a `lasti` on every way to it. Linear in the size of the code and the number of
/// slots.
#[must_use]
pub fn lasti_slots(analysis: &Analysis) -> Vec<Slots> {
    let count = analysis.instructions().len();
    let mut found = vec![Slots::new(); count];
    if !analysis.exception_entries().iter().any(|entry| entry.lasti) {
        return found;
    }
    let mut seen = vec![false; count];
    let mut pending = vec![(0, Slots::new())];
    while let Some((index, slots)) = pending.pop() {
        let here = InstrIdx(index);
        let (Some(depth), Some(info)) = (analysis.depth(here), analysis.info(index)) else {
            continue;
        };
        let known = &mut found[index as usize];
        let mut slots: Slots = slots.into_iter().filter(|slot| *slot < depth).collect();
        if std::mem::replace(&mut seen[index as usize], true) {
            slots.retain(|slot| known.contains(slot));
            if slots == *known {
                continue;
            }
        }
        known.clone_from(&slots);
        if let Some(entry) = analysis.exception_entry(here)
            && let Some(handler) = analysis.at_start(entry.target)
        {
            let mut kept: Slots = slots
                .iter()
                .copied()
                .filter(|slot| *slot < entry.depth)
                .collect();
            if entry.lasti {
                kept.push(entry.depth);
            }
            pending.push((handler.0, kept));
        }
        // What the instruction pops is gone although something else may be pushed in its place.
        let next = analysis.depth(InstrIdx(index + 1));
        let kept = |after: Option<u32>| -> Slots {
            let least = after.map_or(depth, |after| after.min(depth));
            slots.iter().copied().filter(|slot| *slot < least).collect()
        };
        if matches!(info.flow, Flow::Next | Flow::Conditional | Flow::Yield)
            && (index as usize) + 1 < count
        {
            pending.push((index + 1, kept(next)));
        }
        if let Some(target) = analysis.target(here) {
            pending.push((target.0, kept(analysis.depth(target))));
        }
    }
    found
}
