//! What each instruction does to the value stack and the locals, slot by slot, and what else it may do.
//!
//! [`effect`] is the part that can be computed: copies, constants, `NULL`s; whatever an instruction makes by itself is
//! [`Output::Produced`] and has to be looked at. [`nature`] says what else may happen while it executes. Both are a reading of
//! `Python/ceval.c` (3.11) and `Python/bytecodes.c` (3.12+). That the counts are right is tested against the stack effects that the
//! interpreters give (`OpcodeInfo::effect`); that the values are, by replaying recordings next to full traces.

use smallvec::{SmallVec, smallvec};

use crate::opcode::{Op, Opcode};
use crate::operands::operands;
use crate::version::Version::{self, V3_11, V3_12, V3_13, V3_14, V3_15};

/// What an instruction does to a frame's slots, when nothing is raised.
///
/// First the outputs are evaluated, all of them over the slots as they were; then `pops` slots are taken, the locals written, two
/// slots exchanged, and the outputs pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Slots taken from the top.
    pub pops: u32,
    /// What is pushed, lowest first.
    pub pushes: SmallVec<[Output; 3]>,
    /// Locals that are written, in order: index into localsplus, and what.
    pub writes: SmallVec<[(u32, Output); 2]>,
    /// Exchange the top with the slot so many below it, 1 being the top itself (`SWAP`). 0: none.
    pub swap: u32,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// From the slot so many below the top, 1 being the top itself.
    Below(u32),
    /// From a local: index into localsplus.
    Local(u32),
    /// From `co_consts`.
    Constant(u32),
    /// A small integer.
    SmallInt(u32),
    /// A constant of the interpreter's, known by its value.
    Common(Common),
    /// `NULL`: an empty slot.
    Null,
    /// The tagged index so many below the top, plus one; `NULL` if there is `NULL` (3.15).
    Next(u32),
    /// `True` or `False`, made by the instruction.
    Bool,
    /// Something that only the interpreter knows.
    Produced,
}

/// What `LOAD_COMMON_CONSTANT` loads of what is known by its value (`CONSTANT_NONE` and its like, `Include/internal/pycore_opcode_utils.h`, 3.15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Common {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// `-1`.
    MinusOne,
}

impl Common {
    /// That with this oparg.
    fn of(version: Version, oparg: u32) -> Option<Self> {
        match *version.common_constants().get(oparg as usize)? {
            "None" => Some(Self::None),
            "True" => Some(Self::Bool(true)),
            "False" => Some(Self::Bool(false)),
            "-1" => Some(Self::MinusOne),
            _ => None,
        }
    }
}

/// What may happen while an instruction executes, besides its [`Effect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Nothing, but for finalisers of objects whose last reference goes.
    Quiet,
    /// It may raise; it runs no code of a program and changes no object.
    Raises,
    /// It may run anything.
    Opaque,
}

/// The nature of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nature {
    /// What may happen.
    pub class: Class,
    /// The slots, counted from the top (1 is the top), of objects which it may change: `first` is the lowest one, `count` of them upwards.
    pub touches: Touches,
    /// Of a conditional jump that pops or looks at an exact bool: what that was when the jump is taken.
    pub jumps_if: Option<bool>,
}

/// Adjacent slots with objects that an instruction may change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touches {
    /// The lowest slot, counted from the top (1 is the top).
    pub below: u32,
    /// How many, upwards. 0: none.
    pub count: u32,
}

impl Effect {
    fn new(pops: u32, pushes: &[Output]) -> Self {
        Self {
            pops,
            pushes: pushes.into(),
            writes: SmallVec::new(),
            swap: 0,
        }
    }

    /// The same, if it is not known which constant of the interpreter's is loaded.
    #[must_use]
    pub fn without_common(mut self) -> Self {
        for output in &mut self.pushes {
            if matches!(output, Output::Common(_)) {
                *output = Output::Produced;
            }
        }
        self
    }

    fn write(mut self, local: u32, output: Output) -> Self {
        self.writes.push((local, output));
        self
    }
}

/// What an instruction does to the slots when it goes on with the next instruction or, with `jump`, when it jumps. `None` for an undefined
/// opcode.
pub fn effect(version: Version, opcode: Opcode, oparg: u32, jump: bool) -> Option<Effect> {
    use Output::{Below, Bool, Constant, Local, Next, Null, Produced, SmallInt};
    let op = opcode.info(version)?.op;
    let (high, low) = (oparg >> 4, oparg & 15);
    Some(match op {
        Op::LoadConst => Effect::new(0, &[Constant(oparg)]),
        Op::LoadSmallInt => Effect::new(0, &[SmallInt(oparg)]),
        Op::LoadCommonConstant => {
            let common = Common::of(version, oparg).map_or(Produced, Output::Common);
            Effect::new(0, &[common])
        }
        Op::LoadFast | Op::LoadFastBorrow | Op::LoadFastCheck | Op::LoadClosure => {
            Effect::new(0, &[Local(oparg)])
        }
        Op::LoadFastAndClear => Effect::new(0, &[Local(oparg)]).write(oparg, Null),
        Op::LoadFastLoadFast | Op::LoadFastBorrowLoadFastBorrow => {
            Effect::new(0, &[Local(high), Local(low)])
        }
        Op::StoreFast => Effect::new(1, &[]).write(oparg, Below(1)),
        // The value is stored before the other local is loaded: they may be the same.
        Op::StoreFastLoadFast if high == low => Effect::new(1, &[Below(1)]).write(high, Below(1)),
        Op::StoreFastLoadFast => Effect::new(1, &[Local(low)]).write(high, Below(1)),
        Op::StoreFastStoreFast => Effect::new(2, &[])
            .write(high, Below(1))
            .write(low, Below(2)),
        Op::DeleteFast => Effect::new(0, &[]).write(oparg, Null),
        Op::MakeCell => Effect::new(0, &[]).write(oparg, Produced),
        Op::PushNull => Effect::new(0, &[Null]),
        Op::Copy => Effect::new(0, &[Below(oparg)]),
        Op::Swap => Effect {
            swap: oparg,
            ..Effect::new(0, &[])
        },
        Op::LoadGlobal if oparg & 1 == 0 => Effect::new(0, &[Produced]),
        Op::LoadGlobal if version <= V3_12 => Effect::new(0, &[Null, Produced]),
        Op::LoadGlobal => Effect::new(0, &[Produced, Null]),
        Op::EndSend if version >= V3_15 => Effect::new(3, &[Below(1)]),
        Op::EndSend | Op::SetFunctionAttribute => Effect::new(2, &[Below(1)]),
        Op::PushExcInfo => Effect::new(1, &[Produced, Below(1)]),
        Op::IsOp | Op::ContainsOp => Effect::new(2, &[Bool]),
        Op::CompareOp if version >= V3_13 && oparg & 16 != 0 => Effect::new(2, &[Bool]),
        // CHECK_EXC_MATCH leaves the exception below the type that it takes.
        Op::UnaryNot | Op::ToBool | Op::CheckExcMatch => Effect::new(1, &[Bool]),
        Op::MatchMapping | Op::MatchSequence => Effect::new(0, &[Bool]),
        Op::JumpIfFalseOrPop | Op::JumpIfTrueOrPop => Effect::new(u32::from(!jump), &[]),
        Op::ForIter if version >= V3_15 => Effect::new(
            1,
            if jump {
                &[Next(1), Null][..]
            } else {
                &[Next(1), Produced][..]
            },
        ),
        Op::ForIter if jump && version == V3_11 => Effect::new(1, &[]),
        // END_FOR takes it away again.
        Op::ForIter if jump => Effect::new(0, &[Null]),
        Op::ForIter => Effect::new(0, &[Produced]),
        Op::Send if version >= V3_15 => Effect::new(2, &[Produced, Produced]),
        Op::Send if jump && version == V3_11 => Effect::new(2, &[Produced]),
        Op::Send => Effect::new(1, &[Produced]),
        Op::GetLen | Op::MatchKeys | Op::GetAnext | Op::ImportFrom | Op::WithExceptStart => {
            Effect::new(0, &[Produced])
        }
        Op::Precall => Effect::new(0, &[]),
        Op::ListAppend
        | Op::SetAdd
        | Op::ListExtend
        | Op::SetUpdate
        | Op::DictUpdate
        | Op::DictMerge => Effect::new(1, &[]),
        Op::MapAdd => Effect::new(2, &[]),
        Op::Reraise => Effect::new(1, &[]),
        _ => produced(version, opcode, oparg)?,
    })
}

/// Of an instruction that replaces all it takes by what it makes.
fn produced(version: Version, opcode: Opcode, oparg: u32) -> Option<Effect> {
    let operands = operands(version, opcode, oparg)?;
    let pops = u32::try_from(operands.pops()).unwrap_or(u32::MAX);
    // More than a stack can hold is refused where depths are computed.
    let pushes = operands.pushes.min(crate::instruction::MAX_STACK.into()) as usize;
    Some(Effect {
        pops,
        pushes: smallvec![Output::Produced; pushes],
        writes: SmallVec::new(),
        swap: 0,
    })
}

/// What else an instruction may do. `None` for an undefined opcode.
pub fn nature(version: Version, opcode: Opcode, oparg: u32) -> Option<Nature> {
    let op = opcode.info(version)?.op;
    let (class, touches) = match op {
        // RESUME and backward jumps handle signals, which may run anything: no value is outstanding there (`plan`).
        Op::Nop
        | Op::Resume
        | Op::JumpBackwardNoInterrupt
        | Op::NotTaken
        | Op::ExtendedArg
        | Op::KwNames
        | Op::Precall
        | Op::LoadConst
        | Op::LoadSmallInt
        | Op::LoadFastBorrow
        | Op::LoadClosure
        | Op::LoadFastAndClear
        | Op::LoadFastLoadFast
        | Op::LoadFastBorrowLoadFastBorrow
        | Op::StoreFast
        | Op::StoreFastLoadFast
        | Op::StoreFastStoreFast
        | Op::StoreDeref
        | Op::PushNull
        | Op::Copy
        | Op::Swap
        | Op::PopTop
        | Op::EndFor
        | Op::PopIter
        | Op::EndSend
        | Op::PushExcInfo
        | Op::PopExcept
        | Op::IsOp
        | Op::MatchMapping
        | Op::MatchSequence
        | Op::JumpForward
        | Op::SetFunctionAttribute
        | Op::LoadCommonConstant
        | Op::LoadAssertionError
        | Op::PopJumpIfNone
        | Op::PopJumpIfNotNone
        | Op::PopJumpForwardIfNone
        | Op::PopJumpForwardIfNotNone
        | Op::PopJumpBackwardIfNone
        | Op::PopJumpBackwardIfNotNone
        | Op::ReturnValue
        | Op::ReturnConst
        | Op::ReturnGenerator
        | Op::CopyFreeVars
        | Op::YieldValue
        | Op::InterpreterExit => (Class::Quiet, Touches::default()),
        // From 3.12 on the compiler makes LOAD_FAST_CHECK where a local may be unbound.
        Op::LoadFast if version >= V3_12 => (Class::Quiet, Touches::default()),
        Op::UnaryNot | Op::PopJumpIfFalse | Op::PopJumpIfTrue if version >= V3_13 => {
            (Class::Quiet, Touches::default())
        }
        Op::LoadFast
        | Op::LoadFastCheck
        | Op::LoadDeref
        | Op::LoadGlobal
        | Op::LoadBuildClass
        | Op::LoadLocals
        | Op::DeleteFast
        | Op::DeleteDeref
        | Op::MakeCell
        | Op::MakeFunction
        | Op::BuildTuple
        | Op::BuildList
        | Op::BuildSlice
        | Op::BuildString
        | Op::BuildTemplate
        | Op::BuildInterpolation
        | Op::CheckExcMatch
        | Op::EndAsyncFor
        | Op::ExitInitCheck
        | Op::AsyncGenWrap
        | Op::Reraise => (Class::Raises, Touches::default()),
        Op::Call | Op::CallKw | Op::CallFunctionEx | Op::BeforeWith | Op::BeforeAsyncWith => {
            (Class::Opaque, all_inputs(version, opcode, oparg)?)
        }
        // The function that is called, and the exception.
        Op::WithExceptStart if version >= V3_14 => (Class::Opaque, Touches { below: 5, count: 5 }),
        Op::WithExceptStart => (Class::Opaque, Touches { below: 4, count: 4 }),
        Op::StoreAttr | Op::DeleteAttr => (Class::Opaque, Touches { below: 1, count: 1 }),
        Op::StoreSubscr | Op::DeleteSubscr => (Class::Opaque, Touches { below: 2, count: 1 }),
        Op::StoreSlice => (Class::Opaque, Touches { below: 3, count: 1 }),
        Op::BinaryOp if is_in_place(version, oparg) => {
            (Class::Opaque, Touches { below: 2, count: 1 })
        }
        Op::ListAppend => (Class::Raises, container(oparg, 1)),
        Op::SetAdd | Op::ListExtend | Op::SetUpdate | Op::DictUpdate | Op::DictMerge => {
            (Class::Opaque, container(oparg, 1))
        }
        Op::MapAdd => (Class::Opaque, container(oparg, 2)),
        // LIST_TO_TUPLE runs nothing, but the list, which the instruction before may have changed, is gone afterwards.
        _ => (Class::Opaque, Touches::default()),
    };
    Some(Nature {
        class,
        touches,
        jumps_if: jumps_if(op),
    })
}

/// The container that is so many slots below the operands of an instruction like `LIST_APPEND`.
fn container(oparg: u32, operands: u32) -> Touches {
    Touches {
        below: oparg.saturating_add(operands),
        count: 1,
    }
}

fn all_inputs(version: Version, opcode: Opcode, oparg: u32) -> Option<Touches> {
    let count = u32::try_from(operands(version, opcode, oparg)?.pops()).unwrap_or(u32::MAX);
    Some(Touches {
        below: count,
        count,
    })
}

fn is_in_place(version: Version, oparg: u32) -> bool {
    let symbol = version.binary_ops().get(oparg as usize);
    symbol.is_none_or(|symbol| symbol.ends_with('='))
}

/// Of a jump on a condition that is true or false: what the condition is when it jumps.
fn jumps_if(op: Op) -> Option<bool> {
    match op {
        Op::PopJumpIfFalse
        | Op::PopJumpForwardIfFalse
        | Op::PopJumpBackwardIfFalse
        | Op::JumpIfFalseOrPop => Some(false),
        Op::PopJumpIfTrue
        | Op::PopJumpForwardIfTrue
        | Op::PopJumpBackwardIfTrue
        | Op::JumpIfTrueOrPop => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opcode::{Flow, OpcodeInfo};

    fn opargs(op: Op) -> Vec<u32> {
        match op {
            Op::BuildSlice => vec![2, 3],
            Op::Swap => (2..40).collect(),
            Op::Copy
            | Op::ListAppend
            | Op::SetAdd
            | Op::MapAdd
            | Op::ListExtend
            | Op::SetUpdate
            | Op::DictUpdate
            | Op::DictMerge => (1..40).collect(),
            Op::RaiseVarargs => (0..3).collect(),
            Op::MakeFunction => (0..16).collect(),
            _ => (0..40).chain([255, 256, 511, 0x0102]).collect(),
        }
    }

    fn net(version: Version, info: &OpcodeInfo, oparg: u32, jump: bool) -> i64 {
        let effect = effect(version, info.opcode, oparg, jump).expect("defined");
        effect.pushes.len() as i64 - i64::from(effect.pops)
    }

    #[test]
    fn pushes_less_pops_is_the_stack_effect() {
        for version in Version::ALL {
            for info in version.opcodes() {
                if info.flow == Flow::Return {
                    continue; // What is "left" on the stack of a frame that is over is nobody's business.
                }
                for oparg in opargs(info.op) {
                    let name = format!("{version} {:?} {oparg}", info.op);
                    let next = i64::from(info.effect.next.of(oparg));
                    assert_eq!(net(version, info, oparg, false), next, "{name}");
                    if info.flow == Flow::Conditional {
                        let jump = i64::from(info.effect.jump.of(oparg));
                        assert_eq!(net(version, info, oparg, true), jump, "{name}, jumping");
                    }
                }
            }
        }
    }

    #[test]
    fn what_stays_is_not_produced() {
        // Slots that an instruction leaves in their place (`Fate::Stays`) are no outputs of it.
        for version in Version::ALL {
            for info in version.opcodes() {
                for oparg in opargs(info.op) {
                    let operands = operands(version, info.opcode, oparg).expect("defined");
                    let effect = effect(version, info.opcode, oparg, false).expect("defined");
                    let staying: u64 = operands
                        .inputs
                        .iter()
                        .take_while(|group| group.fate == crate::operands::Fate::Stays)
                        .map(|group| group.count)
                        .sum();
                    let taken = operands.pops() - staying;
                    let index = version >= V3_15 && matches!(info.op, Op::ForIter | Op::Send);
                    let swap = info.op == Op::Swap || info.op == Op::Copy;
                    if !index && !swap {
                        assert!(
                            u64::from(effect.pops) <= taken,
                            "{version} {:?} {oparg}: {effect:?}",
                            info.op
                        );
                    }
                }
            }
        }
    }
}
