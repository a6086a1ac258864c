//! Which stack slots remember the exception that was being handled before.
//!
//! `PUSH_EXC_INFO` makes the exception on the top of the stack the handled one and pushes the one that was handled before below it;
//! `POP_EXCEPT` puts that back. No instruction of a compiler's raises in between without a cleanup handler that does so,
//! but a probe may: whoever raises there has to know what to put back.

use smallvec::SmallVec;

use crate::analysis::{Analysis, InstrIdx};
use crate::opcode::{Flow, Op};

/// Stack slots, bottom first, that hold what `POP_EXCEPT` will put back.
type Slots = SmallVec<[u32; 4]>;

/// What an exception raised just before an instruction leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsettled {
    /// Nothing: the handler that it meets, or the frame's end, finds what it expects.
    Nothing,
    /// The handled exception must become what this slot holds: the handler drops the slot without `POP_EXCEPT`.
    Restore {
        /// The slot, 0 = bottom.
        slot: u32,
    },
    /// The handler is the cleanup of an exception that has arrived but is not yet the handled one: what `PUSH_EXC_INFO` does must be
    /// done first, with this slot, which holds that exception.
    Push {
        /// The slot, 0 = bottom.
        slot: u32,
    },
}

/// What an exception raised just before `at` leaves behind, given the handler that covers `at`.
#[must_use]
pub fn unsettled(analysis: &Analysis, at: InstrIdx) -> Unsettled {
    let kept = analysis.exception_entry(at).map_or(0, |entry| entry.depth);
    if let (Some(Op::PushExcInfo), Some(depth)) = (analysis.op(at.0), analysis.depth(at))
        && depth > 0
        && kept >= depth
    {
        return Unsettled::Push { slot: depth - 1 };
    }
    let dropped = slots_at(analysis, at)
        .into_iter()
        .find(|slot| *slot >= kept);
    dropped.map_or(Unsettled::Nothing, |slot| Unsettled::Restore { slot })
}

/// The slots at one instruction. Walks the code until it meets it; for the rare case that something raises.
fn slots_at(analysis: &Analysis, at: InstrIdx) -> Slots {
    let mut seen = vec![false; analysis.instructions().len()];
    let mut pending = vec![(0, Slots::new())];
    while let Some((index, slots)) = pending.pop() {
        let Some(visited) = seen.get_mut(index as usize) else {
            continue;
        };
        if std::mem::replace(visited, true) {
            continue;
        }
        if index == at.0 {
            return slots;
        }
        let here = InstrIdx(index);
        if let Some(entry) = analysis.exception_entry(here)
            && let Some(handler) = analysis.at_start(entry.target)
        {
            let kept = slots
                .iter()
                .copied()
                .filter(|slot| *slot < entry.depth)
                .collect();
            pending.push((handler.0, kept));
        }
        let Some(info) = analysis.info(index) else {
            continue;
        };
        let mut after = slots;
        match info.op {
            Op::PushExcInfo => {
                after.extend(analysis.depth(here).and_then(|depth| depth.checked_sub(1)));
            }
            Op::PopExcept => {
                after.pop();
            }
            _ => {}
        }
        if let (Flow::Jump | Flow::Conditional, Some(target)) = (info.flow, analysis.target(here)) {
            pending.push((target.0, after.clone()));
        }
        if matches!(info.flow, Flow::Next | Flow::Conditional | Flow::Yield) {
            pending.push((index + 1, after));
        }
    }
    Slots::new()
}
