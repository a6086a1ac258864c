//! Ways by which a value reaches an instruction that trusts it without staying on the stack.
//!
//! The compiler passes values to itself: the iterator of a generator expression is an argument, a generic function's
//! defaults too, the parameters of a generic class a variable (`.type_params`), the annotations that were executed a set
//! in `__conditional_annotations__`. `Python/codegen.c` (3.14+; `Python/compile.c` before).

use crate::analysis::{Analysis, InstrIdx};
use crate::opcode::{ArgKind, Op};
use crate::version::Version;

/// What the function that is called here trusts of its arguments.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Callee {
    /// An ordinary function: nothing.
    Any,
    /// A comprehension or generator expression (3.11 to 3.14) runs `FOR_ITER` on its one argument.
    Comprehension,
    /// The function that makes type parameters (3.12+) takes defaults for a tuple and keyword defaults for a dict.
    TypeParameters,
}

/// Recognises calls that only the compiler makes, by the instructions in front of them.
pub(super) fn callee(analysis: &Analysis, at: InstrIdx, op: Op) -> Callee {
    let before = |distance: u32| {
        let index = InstrIdx(at.0.checked_sub(distance)?);
        Some(analysis.get(index).opcode.info(analysis.version())?.op)
    };
    let first = match op {
        Op::Call if analysis.version() == Version::V3_11 => 2,
        Op::Call | Op::Precall => 1,
        _ => return Callee::Any,
    };
    match (before(first + 1), before(first)) {
        (_, Some(Op::GetIter)) => Callee::Comprehension,
        (Some(Op::MakeFunction | Op::SetFunctionAttribute), Some(Op::Swap)) => {
            Callee::TypeParameters
        }
        _ => Callee::Any,
    }
}

/// A variable of the code object.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Variable {
    /// Index into localsplus, of a variable that is no cell.
    Local(u32),
    /// Index into localsplus: what the cell there holds.
    Cell(u32),
    /// Index into `co_names`: names of a class or module body, globals.
    Name(u32),
}

/// The variable that an instruction stores an operand in. `role` tells two operands apart.
pub(super) fn stored(op: Op, oparg: u32, role: &str) -> Option<Variable> {
    Some(match op {
        Op::StoreFast => Variable::Local(oparg),
        Op::StoreDeref => Variable::Cell(oparg),
        Op::StoreFastLoadFast => Variable::Local(oparg >> 4),
        Op::StoreFastStoreFast if role == "first value" => Variable::Local(oparg >> 4),
        Op::StoreFastStoreFast => Variable::Local(oparg & 15),
        Op::StoreName | Op::StoreGlobal => Variable::Name(oparg),
        _ => return None,
    })
}

/// The instructions that load a variable, each with the stack slot that the value is in afterwards.
pub(super) fn loads(analysis: &Analysis, variable: Variable) -> Vec<(InstrIdx, u32)> {
    let mut found = Vec::new();
    for (index, instruction) in (0..).map(InstrIdx).zip(analysis.instructions()) {
        let version = analysis.version();
        let (Some(info), Some(depth)) = (instruction.opcode.info(version), analysis.depth(index))
        else {
            continue;
        };
        let oparg = instruction.arg;
        let mut load = |loaded: Variable, slot: u32| {
            if loaded == variable {
                found.push((index, slot));
            }
        };
        match info.op {
            Op::LoadFast | Op::LoadFastBorrow | Op::LoadFastCheck => {
                load(Variable::Local(oparg), depth);
            }
            Op::LoadDeref | Op::LoadClassderef => load(Variable::Cell(oparg), depth),
            Op::LoadFastLoadFast | Op::LoadFastBorrowLoadFastBorrow => {
                load(Variable::Local(oparg >> 4), depth);
                load(Variable::Local(oparg & 15), depth + 1);
            }
            Op::StoreFastLoadFast => load(Variable::Local(oparg & 15), depth.saturating_sub(1)),
            Op::LoadFromDictOrDeref => load(Variable::Cell(oparg), depth.saturating_sub(1)),
            Op::LoadFromDictOrGlobals => load(Variable::Name(oparg), depth.saturating_sub(1)),
            Op::LoadName => load(Variable::Name(oparg), depth),
            // Before 3.13 the NULL of a call is pushed first.
            Op::LoadGlobal if version <= Version::V3_12 => {
                load(Variable::Name(oparg >> 1), depth + (oparg & 1));
            }
            Op::LoadGlobal => load(Variable::Name(oparg >> 1), depth),
            _ => {}
        }
    }
    found
}

/// Whether a variable is a cell: an instruction of this code object treats it as one.
pub(super) fn is_cell(analysis: &Analysis, local: u32) -> bool {
    analysis.instructions().iter().any(|instruction| {
        let info = instruction.opcode.info(analysis.version());
        instruction.arg == local && info.is_some_and(|info| info.arg == ArgKind::Free)
    })
}
