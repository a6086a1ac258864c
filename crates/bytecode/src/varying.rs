//! Which stack slots depend on how the interpreter runs a code object, not on what the program computes.

use smallvec::SmallVec;

use crate::analysis::{Analysis, InstrIdx};
use crate::opcode::{Flow, Op};

/// Why a slot depends on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Varying {
    /// It says which code unit raised an exception. A handler whose exception-table entry asks for it finds it below the exception, and
    /// keeps it there until `RERAISE` uses it or it is popped (`Objects/exception_handling_notes.txt`).
    Lasti,
    /// It is one of the two slots that the method form of `LOAD_SUPER_ATTR` (3.12+) leaves for a call: a function and `self` if the
    /// instruction was specialised, otherwise a bound method and NULL (`Python/bytecodes.c`).
    Super,
}

/// Stack slots, 0 = bottom, with the reasons.
pub(crate) type Slots = SmallVec<[(u32, Varying); 2]>;

/// For each instruction the slots that depend so on every way to it. Linear in the size of the code and the number of slots.
#[must_use]
pub fn varying_slots(analysis: &Analysis) -> Vec<Slots> {
    let count = analysis.instructions().len();
    let mut found = vec![Slots::new(); count];
    let loads_super = |index: u32| analysis.op(index) == Some(Op::LoadSuperAttr);
    if !analysis.exception_entries().iter().any(|entry| entry.lasti)
        && !(0..count as u32).any(loads_super)
    {
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
        let mut slots: Slots = slots.into_iter().filter(|slot| slot.0 < depth).collect();
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
                .filter(|slot| slot.0 < entry.depth)
                .collect();
            if entry.lasti {
                kept.push((entry.depth, Varying::Lasti));
            }
            pending.push((handler.0, kept));
        }
        // What the instruction pops is gone although something else may be pushed in its place.
        let next = analysis.depth(InstrIdx(index + 1));
        let kept = |after: Option<u32>| -> Slots {
            let least = after.map_or(depth, |after| after.min(depth));
            slots
                .iter()
                .copied()
                .filter(|slot| slot.0 < least)
                .collect()
        };
        if matches!(info.flow, Flow::Next | Flow::Conditional | Flow::Yield)
            && (index as usize) + 1 < count
        {
            let mut after = kept(next);
            if loads_super(index)
                && analysis.get(here).arg & 1 == 1
                && let Some(next) = next
            {
                // It takes three and leaves two.
                after.retain(|slot| slot.0 + 2 < next);
                after.extend([next - 2, next - 1].map(|slot| (slot, Varying::Super)));
            }
            pending.push((index + 1, after));
        }
        if let Some(target) = analysis.target(here) {
            pending.push((target.0, kept(analysis.depth(target))));
        }
    }
    found
}
