//! The operands of every instruction of every version.

use super::{Accepts, Fate};
use crate::opcode::Op;
use crate::version::Version::{self, V3_12, V3_13, V3_14, V3_15};

/// The inputs of an instruction, bottom first, and how many further slots it pushes.
pub(super) struct Shape {
    pub(super) inputs: &'static [Input],
    pub(super) new: Count,
}

/// One group of input slots.
#[derive(Clone, Copy)]
pub(super) struct Input {
    pub(super) role: &'static str,
    pub(super) count: Count,
    pub(super) accepts: Accepts,
    pub(super) fate: Fate,
}

/// A number of slots as a function of the oparg.
#[derive(Clone, Copy)]
pub(super) enum Count {
    Is(u8),
    Oparg,
    OpargLess(u8),
    TwiceOparg,
    /// One if any of these bits is set.
    Bits(u8),
    /// One if the oparg has this value.
    If(u32),
    /// `UNPACK_EX`: as many before the star as bits 0-7 say, the starred list, as many after it as the rest says.
    Unpack,
}

impl Count {
    pub(super) fn of(self, oparg: u32) -> u64 {
        match self {
            Count::Is(count) => u64::from(count),
            Count::Oparg => u64::from(oparg),
            Count::OpargLess(less) => u64::from(oparg.saturating_sub(u32::from(less))),
            Count::TwiceOparg => u64::from(oparg) * 2,
            Count::Bits(bits) => u64::from(oparg & u32::from(bits) != 0),
            Count::If(value) => u64::from(oparg == value),
            Count::Unpack => u64::from(oparg & 0xff) + 1 + u64::from(oparg >> 8),
        }
    }
}

impl Input {
    const fn times(self, count: Count) -> Input {
        Input { count, ..self }
    }

    const fn stays(self) -> Input {
        Input {
            fate: Fate::Stays,
            ..self
        }
    }

    const fn moves(self, fate: Fate) -> Input {
        Input { fate, ..self }
    }
}

const fn input(role: &'static str, accepts: Accepts) -> Input {
    Input {
        role,
        count: Count::Is(1),
        accepts,
        fate: Fate::Consumed,
    }
}

const fn any(role: &'static str) -> Input {
    input(role, Accepts::Any)
}

const fn element(role: &'static str) -> Input {
    input(role, Accepts::Element)
}

const fn typed(role: &'static str) -> Input {
    input(role, Accepts::SameType)
}

const fn exception(role: &'static str) -> Input {
    input(role, Accepts::Exception)
}

const fn fixed(role: &'static str) -> Input {
    input(role, Accepts::Fixed)
}

const fn structure(role: &'static str) -> Input {
    input(role, Accepts::Structure)
}

const fn or_null(role: &'static str) -> Input {
    input(role, Accepts::AnyOrNull)
}

/// The slots between a container and the top, with the oparg counting from the top.
const fn between() -> Input {
    any("unused").times(Count::OpargLess(1)).stays()
}

macro_rules! shape {
    ([$($input:expr),* $(,)?] => $new:expr) => {
        Shape { inputs: const { &[$($input),*] }, new: $new }
    };
}

/// Looks up the shape of an instruction. Only a few depend on the oparg.
pub(super) fn shape(version: Version, op: Op, oparg: u32) -> Shape {
    use Count::{Bits, If, Is, Oparg, OpargLess, TwiceOparg, Unpack};

    match op {
        // Nothing on the stack.
        Op::Nop
        | Op::NotTaken
        | Op::Resume
        | Op::ExtendedArg
        | Op::KwNames
        | Op::MakeCell
        | Op::CopyFreeVars
        | Op::SetupAnnotations
        | Op::JumpForward
        | Op::JumpBackward
        | Op::JumpBackwardNoInterrupt
        | Op::ReturnConst
        | Op::DeleteFast
        | Op::DeleteDeref
        | Op::DeleteGlobal
        | Op::DeleteName => shape!([] => Is(0)),

        // Loads.
        Op::LoadConst
        | Op::LoadSmallInt
        | Op::LoadCommonConstant
        | Op::LoadFast
        | Op::LoadFastBorrow
        | Op::LoadFastCheck
        | Op::LoadFastAndClear
        | Op::LoadDeref
        | Op::LoadClosure
        | Op::LoadClassderef
        | Op::LoadName
        | Op::LoadLocals
        | Op::LoadBuildClass
        | Op::LoadAssertionError
        | Op::PushNull
        | Op::ReturnGenerator => shape!([] => Is(1)),
        Op::LoadFastLoadFast | Op::LoadFastBorrowLoadFastBorrow => shape!([] => Is(2)),
        Op::LoadGlobal if oparg & 1 == 0 => shape!([] => Is(1)),
        Op::LoadGlobal => shape!([] => Is(2)),
        Op::LoadFromDictOrGlobals | Op::LoadFromDictOrDeref => shape!([any("mapping")] => Is(1)),
        Op::LoadAttr if version >= V3_12 && oparg & 1 != 0 => shape!([any("owner")] => Is(2)),
        Op::LoadAttr => shape!([any("owner")] => Is(1)),
        Op::LoadMethod | Op::LoadSpecial => shape!([any("owner")] => Is(2)),
        Op::LoadSuperAttr if oparg & 1 == 0 => {
            shape!([any("super"), any("class"), any("self")] => Is(1))
        }
        Op::LoadSuperAttr => shape!([any("super"), any("class"), any("self")] => Is(2)),

        // Stores.
        Op::StoreFast | Op::StoreDeref | Op::StoreGlobal | Op::StoreName => {
            shape!([any("value")] => Is(0))
        }
        Op::StoreFastLoadFast => shape!([any("value")] => Is(1)),
        Op::StoreFastStoreFast => shape!([any("second value"), any("first value")] => Is(0)),
        Op::StoreAttr => shape!([any("value"), any("owner")] => Is(0)),
        Op::DeleteAttr => shape!([any("owner")] => Is(0)),
        Op::StoreSubscr => shape!([any("value"), any("container"), any("index")] => Is(0)),
        Op::DeleteSubscr => shape!([any("container"), any("index")] => Is(0)),
        Op::StoreSlice => {
            shape!([any("value"), any("container"), any("start"), any("stop")] => Is(0))
        }

        // Rearranging.
        Op::PopTop => shape!([any("value")] => Is(0)),
        Op::EndFor if version == V3_12 => shape!([any("iterator"), any("value")] => Is(0)),
        Op::EndFor => shape!([any("value")] => Is(0)),
        Op::PopIter if version >= V3_15 => {
            shape!([any("iterator"), fixed("index_or_null")] => Is(0))
        }
        Op::PopIter => shape!([any("iterator")] => Is(0)),
        Op::Copy => shape!([any("value").moves(Fate::Copied), between()] => Is(1)),
        Op::Swap => shape!([
            any("bottom").moves(Fate::Top),
            any("unused").times(OpargLess(2)).stays(),
            any("top").moves(Fate::Bottom),
        ] => Is(0)),

        // Operators.
        Op::UnaryPositive
        | Op::UnaryNegative
        | Op::UnaryInvert
        | Op::ToBool
        | Op::ConvertValue
        | Op::FormatSimple => {
            shape!([any("value")] => Is(1))
        }
        Op::UnaryNot if version >= V3_13 => shape!([typed("bool")] => Is(1)),
        Op::UnaryNot => shape!([any("value")] => Is(1)),
        Op::BinaryOp | Op::CompareOp | Op::IsOp => shape!([any("left"), any("right")] => Is(1)),
        Op::ContainsOp => shape!([any("value"), any("container")] => Is(1)),
        Op::BinarySubscr => shape!([any("container"), any("index")] => Is(1)),
        Op::BinarySlice => shape!([any("container"), any("start"), any("stop")] => Is(1)),
        Op::FormatWithSpec => shape!([any("value"), any("format spec")] => Is(1)),
        Op::FormatValue => shape!([any("value"), any("format spec").times(Bits(4))] => Is(1)),

        // Building.
        Op::BuildTuple | Op::BuildList | Op::BuildSet => {
            shape!([element("items").times(Oparg)] => Is(1))
        }
        Op::BuildMap => shape!([any("keys and values").times(TwiceOparg)] => Is(1)),
        Op::BuildConstKeyMap => shape!([any("values").times(Oparg), fixed("keys")] => Is(1)),
        Op::BuildString => shape!([any("pieces").times(Oparg)] => Is(1)),
        Op::BuildSlice => shape!([any("start"), any("stop"), any("step").times(If(3))] => Is(1)),
        Op::BuildTemplate => shape!([structure("strings"), structure("interpolations")] => Is(1)),
        Op::BuildInterpolation => {
            shape!([any("value"), typed("expression"), typed("format spec").times(Bits(1))] => Is(1))
        }
        Op::ListAppend => shape!([typed("list").stays(), between(), element("value")] => Is(0)),
        Op::SetAdd => shape!([typed("set").stays(), between(), any("value")] => Is(0)),
        Op::MapAdd => shape!([typed("dict").stays(), between(), any("key"), any("value")] => Is(0)),
        Op::ListExtend => shape!([typed("list").stays(), between(), any("iterable")] => Is(0)),
        Op::SetUpdate => shape!([typed("set").stays(), between(), any("iterable")] => Is(0)),
        Op::DictUpdate => shape!([typed("dict").stays(), between(), any("mapping")] => Is(0)),
        // The callable is named in the error message.
        Op::DictMerge if version <= V3_12 => shape!([
            any("callable").stays(),
            any("unused").stays(),
            typed("dict").stays(),
            between(),
            any("mapping"),
        ] => Is(0)),
        Op::DictMerge => shape!([
            any("callable").stays(),
            or_null("unused").times(Is(2)).stays(),
            typed("dict").stays(),
            between(),
            any("mapping"),
        ] => Is(0)),
        Op::ListToTuple => shape!([typed("list")] => Is(1)),
        Op::UnpackSequence => shape!([any("sequence")] => Oparg),
        Op::UnpackEx => shape!([any("iterable")] => Unpack),

        // Functions and calls.
        Op::MakeFunction if version <= V3_12 => shape!([
            typed("defaults").times(Bits(1)),
            typed("kwdefaults").times(Bits(2)),
            fixed("annotations").times(Bits(4)),
            structure("closure").times(Bits(8)),
            fixed("code"),
        ] => Is(1)),
        Op::MakeFunction => shape!([fixed("code")] => Is(1)),
        Op::SetFunctionAttribute => match oparg {
            1 => shape!([typed("defaults"), fixed("function").moves(Fate::Bottom)] => Is(0)),
            2 => shape!([typed("kwdefaults"), fixed("function").moves(Fate::Bottom)] => Is(0)),
            16 => shape!([typed("annotate"), fixed("function").moves(Fate::Bottom)] => Is(0)),
            8 => shape!([structure("closure"), fixed("function").moves(Fate::Bottom)] => Is(0)),
            _ => shape!([fixed("attribute"), fixed("function").moves(Fate::Bottom)] => Is(0)),
        },
        Op::Precall => shape!([
            or_null("method_or_null").stays(),
            any("callable_or_self").stays(),
            any("args").times(Oparg).stays(),
        ] => Is(0)),
        Op::Call if version <= V3_12 => {
            shape!([or_null("method_or_null"), any("callable_or_self"), any("args").times(Oparg)] => Is(1))
        }
        Op::Call => {
            shape!([any("callable"), or_null("self_or_null"), any("args").times(Oparg)] => Is(1))
        }
        Op::CallKw => shape!([
            any("callable"),
            or_null("self_or_null"),
            any("args").times(Oparg),
            structure("keyword names"),
        ] => Is(1)),
        // The NULL is dropped without a look, so an object in its place would leak.
        Op::CallFunctionEx if version <= V3_12 => {
            shape!([fixed("null"), any("callable"), any("args"), typed("kwargs").times(Bits(1))] => Is(1))
        }
        Op::CallFunctionEx if version == V3_13 => {
            shape!([any("callable"), fixed("null"), any("args"), typed("kwargs").times(Bits(1))] => Is(1))
        }
        Op::CallFunctionEx => {
            shape!([any("callable"), fixed("null"), any("args"), typed("kwargs_or_null")] => Is(1))
        }
        Op::CallIntrinsic1 => intrinsic_1(version, oparg),
        Op::CallIntrinsic2 => intrinsic_2(version, oparg),
        Op::PrintExpr => shape!([any("value")] => Is(0)),
        Op::ImportStar => shape!([any("module")] => Is(0)),
        Op::AsyncGenWrap => shape!([any("value")] => Is(1)),
        Op::ImportName if version >= V3_15 => shape!([typed("level"), typed("fromlist")] => Is(1)),
        Op::ImportName => shape!([any("level"), any("fromlist")] => Is(1)),
        Op::ImportFrom => shape!([any("module").stays()] => Is(1)),

        // Control flow.
        Op::PopJumpIfFalse | Op::PopJumpIfTrue if version >= V3_13 => {
            shape!([typed("bool")] => Is(0))
        }
        Op::PopJumpIfFalse
        | Op::PopJumpIfTrue
        | Op::PopJumpIfNone
        | Op::PopJumpIfNotNone
        | Op::PopJumpForwardIfFalse
        | Op::PopJumpForwardIfTrue
        | Op::PopJumpForwardIfNone
        | Op::PopJumpForwardIfNotNone
        | Op::PopJumpBackwardIfFalse
        | Op::PopJumpBackwardIfTrue
        | Op::PopJumpBackwardIfNone
        | Op::PopJumpBackwardIfNotNone
        | Op::JumpIfFalseOrPop
        | Op::JumpIfTrueOrPop => shape!([any("condition")] => Is(0)),
        Op::ReturnValue | Op::InterpreterExit | Op::ExitInitCheck => {
            shape!([any("value")] => Is(0))
        }
        Op::YieldValue => shape!([any("value")] => Is(1)),

        // Iteration, generators and coroutines.
        Op::GetIter if version >= V3_15 => shape!([any("iterable")] => Is(2)),
        Op::GetIter | Op::GetYieldFromIter | Op::GetAwaitable | Op::GetAiter => {
            shape!([any("iterable")] => Is(1))
        }
        Op::GetAnext => shape!([any("async iterator").stays()] => Is(1)),
        // The index counts into the iterable itself: both belong together.
        Op::ForIter if version >= V3_15 => {
            shape!([typed("iterator").stays(), fixed("index_or_null").stays()] => Is(1))
        }
        Op::ForIter => shape!([input("iterator", Accepts::Iterator).stays()] => Is(1)),
        Op::Send if version >= V3_15 => shape!([
            typed("receiver").stays(),
            fixed("index_or_null").stays(),
            any("value"),
        ] => Is(1)),
        Op::Send => shape!([any("receiver").stays(), any("value")] => Is(1)),
        Op::EndSend if version >= V3_15 => {
            shape!([any("receiver"), fixed("index_or_null"), any("value").moves(Fate::Bottom)] => Is(0))
        }
        Op::EndSend => shape!([any("receiver"), any("value").moves(Fate::Bottom)] => Is(0)),
        Op::CleanupThrow if version >= V3_15 => shape!([
            any("receiver"),
            fixed("index_or_null"),
            any("last sent"),
            exception("exception"),
        ] => Is(3)),
        Op::CleanupThrow => {
            shape!([any("receiver"), any("last sent"), exception("exception")] => Is(2))
        }
        Op::EndAsyncFor => shape!([any("awaitable"), exception("exception")] => Is(0)),

        // Exceptions and context managers.
        Op::RaiseVarargs => shape!([any("exception and cause").times(Oparg)] => Is(0)),
        Op::Reraise if oparg == 0 => shape!([exception("exception")] => Is(0)),
        Op::Reraise => shape!([fixed("lasti").stays(), between(), exception("exception")] => Is(0)),
        Op::PushExcInfo => shape!([exception("exception").moves(Fate::Top)] => Is(1)),
        Op::PopExcept => shape!([exception("previous exception")] => Is(0)),
        Op::CheckExcMatch => shape!([exception("exception").stays(), any("type")] => Is(1)),
        Op::CheckEgMatch => shape!([exception("exception"), any("type")] => Is(2)),
        Op::PrepReraiseStar => shape!([exception("original"), structure("exceptions")] => Is(1)),
        Op::BeforeWith | Op::BeforeAsyncWith => shape!([any("manager")] => Is(2)),
        Op::WithExceptStart if version >= V3_14 => shape!([
            any("exit").stays(),
            or_null("self_or_null").stays(),
            fixed("lasti").stays(),
            any("unused").stays(),
            exception("exception").stays(),
        ] => Is(1)),
        Op::WithExceptStart => shape!([
            any("exit").stays(),
            fixed("lasti").stays(),
            any("unused").stays(),
            exception("exception").stays(),
        ] => Is(1)),

        // Pattern matching.
        Op::GetLen => shape!([any("subject").stays()] => Is(1)),
        Op::MatchMapping | Op::MatchSequence => shape!([any("subject").stays()] => Is(1)),
        Op::MatchKeys => shape!([any("subject").stays(), typed("keys").stays()] => Is(1)),
        Op::MatchClass => shape!([any("subject"), any("type"), typed("names")] => Is(1)),
    }
}

/// `Python/intrinsics.c`. Most functions only assert the type of their argument.
fn intrinsic_1(version: Version, oparg: u32) -> Shape {
    let name = version
        .intrinsics_1()
        .get(oparg as usize)
        .copied()
        .unwrap_or_default();
    match name {
        "INTRINSIC_PRINT"
        | "INTRINSIC_IMPORT_STAR"
        | "INTRINSIC_ASYNC_GEN_WRAP"
        | "INTRINSIC_UNARY_POSITIVE" => shape!([any("value")] => Count::Is(1)),
        "INTRINSIC_STOPITERATION_ERROR" => shape!([exception("exception")] => Count::Is(1)),
        "INTRINSIC_LIST_TO_TUPLE" => shape!([typed("list")] => Count::Is(1)),
        "INTRINSIC_TYPEVAR" | "INTRINSIC_PARAMSPEC" | "INTRINSIC_TYPEVARTUPLE" => {
            shape!([typed("name")] => Count::Is(1))
        }
        "INTRINSIC_SUBSCRIPT_GENERIC" => shape!([typed("type parameters")] => Count::Is(1)),
        // INTRINSIC_TYPEALIAS, and any that a later release may add.
        _ => shape!([structure("argument")] => Count::Is(1)),
    }
}

fn intrinsic_2(version: Version, oparg: u32) -> Shape {
    let name = version
        .intrinsics_2()
        .get(oparg as usize)
        .copied()
        .unwrap_or_default();
    match name {
        "INTRINSIC_PREP_RERAISE_STAR" => {
            shape!([exception("original"), structure("exceptions")] => Count::Is(1))
        }
        "INTRINSIC_TYPEVAR_WITH_BOUND" | "INTRINSIC_TYPEVAR_WITH_CONSTRAINTS" => {
            shape!([typed("name"), typed("evaluate")] => Count::Is(1))
        }
        "INTRINSIC_SET_FUNCTION_TYPE_PARAMS" => {
            shape!([fixed("function"), typed("type parameters")] => Count::Is(1))
        }
        "INTRINSIC_SET_TYPEPARAM_DEFAULT" => {
            shape!([typed("type parameter"), typed("default")] => Count::Is(1))
        }
        _ => shape!([structure("first"), structure("second")] => Count::Is(1)),
    }
}
