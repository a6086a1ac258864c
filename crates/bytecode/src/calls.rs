//! Where a call finds its callable.

use crate::instruction::Instruction;
use crate::opcode::Op;
use crate::version::Version;

/// How far below the top of the stack the callable of a call stands before the call, in slots (1: the top), or `None` for
/// instructions that are not calls.
///
/// Before 3.13 a call without `self` has NULL there and the callable above it; since 3.13 NULL, if any, is above the
/// callable (`Python/bytecodes.c`: `CALL`, `CALL_KW`, `CALL_FUNCTION_EX`; 3.11: `Python/ceval.c`).
#[must_use]
pub fn callable_depth(version: Version, instruction: &Instruction) -> Option<u32> {
    match instruction.opcode.info(version)?.op {
        Op::Call => instruction.arg.checked_add(2),
        Op::CallKw => instruction.arg.checked_add(3),
        // The keyword arguments have a slot of their own even when there are none since 3.14.
        Op::CallFunctionEx if version >= Version::V3_14 => Some(4),
        Op::CallFunctionEx => Some(3 + (instruction.arg & 1)),
        _ => None,
    }
}
