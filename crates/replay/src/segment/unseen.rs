//! What may run, and change objects, beside what an instruction does by itself: finalisers, and what CPython does where it looks whether something is asked of it.
//!
//! Of recorded code the recording tells. This is of what it cannot tell: a finaliser or a weak reference's callback that is a C function or in code which is not
//! recorded, a thread of such code.

use debugop_bytecode::{InstrIdx, Op, Output, Version, effect};
use smallvec::SmallVec;

use crate::code::Code;

/// What may happen unseen with an instruction that is not opaque.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unseen {
    Nothing,
    /// The finaliser of what is in these slots before it.
    Drops(SmallVec<[u32; 2]>),
    Anything,
}

pub(super) fn unseen(code: &Code, at: InstrIdx) -> Unseen {
    let (analysis, version) = (code.analysis(), code.version());
    let instruction = analysis.get(at);
    let Some(op) = instruction.opcode.info(version).map(|info| info.op) else {
        return Unseen::Anything;
    };
    match op {
        // Other threads may go on, signals are handled, and from 3.12 on cyclic garbage is collected.
        Op::Resume => return Unseen::Anything,
        // What a cell held; an exception, which may hold frames.
        Op::StoreDeref | Op::DeleteDeref | Op::PopExcept | Op::Reraise | Op::EndAsyncFor => {
            return Unseen::Anything;
        }
        Op::PopJumpBackwardIfNone | Op::PopJumpBackwardIfNotNone => return Unseen::Anything,
        // Up to 3.11 cyclic garbage is collected where an object is made that takes part.
        Op::BuildList
        | Op::BuildTuple
        | Op::BuildSlice
        | Op::MakeCell
        | Op::MakeFunction
        | Op::ReturnGenerator
            if version < Version::V3_12 =>
        {
            return Unseen::Anything;
        }
        _ => {}
    }
    let Some(effect) = effect(version, instruction.opcode, instruction.arg, false) else {
        return Unseen::Anything;
    };
    let mut slots: SmallVec<[u32; 2]> = effect.writes.iter().map(|write| write.0).collect();
    if lets_go(op) {
        let Some(depth) = analysis.depth(at) else {
            return Unseen::Anything;
        };
        let top = code.locals().slots + depth;
        let outputs = || {
            effect
                .pushes
                .iter()
                .chain(effect.writes.iter().map(|write| &write.1))
        };
        let goes_on = |below| outputs().any(|&output| output == Output::Below(below));
        let gone = (1..=effect.pops).filter(|&below| !goes_on(below));
        slots.extend(gone.filter_map(|below| top.checked_sub(below)));
    }
    match slots.is_empty() {
        true => Unseen::Nothing,
        false => Unseen::Drops(slots),
    }
}

/// Whether what it takes from the stack is gone, and not in what it makes.
fn lets_go(op: Op) -> bool {
    matches!(
        op,
        Op::PopTop
            | Op::EndFor
            | Op::PopIter
            | Op::EndSend
            | Op::IsOp
            | Op::CheckExcMatch
            | Op::ExitInitCheck
            | Op::PopJumpIfNone
            | Op::PopJumpIfNotNone
            | Op::PopJumpForwardIfNone
            | Op::PopJumpForwardIfNotNone
    )
}
