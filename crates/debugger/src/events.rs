//! What a trace function would be told at a step.

use debugop_bytecode::{InstrIdx, Op};
use debugop_replay::Code;

/// What happens at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A function begins.
    Call,
    /// Execution comes to a source line.
    Line,
    /// The frame is about to return.
    Return,
    /// The frame is about to yield.
    Yield,
    /// None of these.
    Instruction,
}

/// The operation and argument of an instruction.
pub(crate) fn operation(code: &Code, at: InstrIdx) -> Option<(Op, u32)> {
    let instruction = code.analysis().instructions().get(at.0 as usize)?;
    let op = instruction.opcode.info(code.version())?.op;
    Some((op, instruction.arg))
}

/// Whether an instruction begins a function: not the continuation of a generator.
pub(crate) fn begins(code: &Code, at: InstrIdx) -> bool {
    matches!(operation(code, at), Some((Op::Resume, arg)) if arg & 3 == 0)
}

/// What happens at an instruction that its frame executes after `before`, `None` if that is not known.
///
/// A line is come to from another line, by a jump backwards, and at a function's beginning.
pub(crate) fn event(code: &Code, before: Option<InstrIdx>, at: InstrIdx) -> Event {
    if begins(code, at) {
        return Event::Call;
    }
    let line = code.line(at);
    let comes = match before {
        Some(before) => at < before || code.line(before) != line || begins(code, before),
        None => false,
    };
    if line.is_some() && comes {
        return Event::Line;
    }
    match operation(code, at) {
        Some((Op::ReturnValue | Op::ReturnConst, _)) => Event::Return,
        Some((Op::YieldValue, _)) => Event::Yield,
        _ => Event::Instruction,
    }
}

/// Whether the frame is over after this instruction.
pub(crate) fn returns(code: &Code, at: InstrIdx) -> bool {
    matches!(
        operation(code, at),
        Some((Op::ReturnValue | Op::ReturnConst, _))
    )
}
