//! The instruction sets of CPython 3.11-3.15 as data.
//!
//! The tables in `opcode/v3_*.rs` and the list of names in `opcode/op.rs` are written by `cargo xtask
//! opcodes` from what each interpreter says about itself (`opcode`, `_opcode`, `dis.stack_effect`).
//! They hold the opcodes that occur in `co_code`: no specialised, instrumented or pseudo
//! instructions, no `CACHE`, and no `RESERVED`.
//!
//! An opcode *number* ([`Opcode`]) means something only together with a [`Version`]; a *name*
//! ([`Op`]) means the same in every version that has it, so analyses match on [`OpcodeInfo::op`].

mod facts;
mod op;
mod table;
mod v3_11;
mod v3_12;
mod v3_13;
mod v3_14;
mod v3_15;

pub(crate) use facts::Facts;
pub use op::Op;
use table::Table;

use crate::version::Version;

/// An opcode number, the first byte of a code unit. Its meaning depends on the [`Version`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opcode(pub u8);

/// What is known about one opcode of one version.
#[derive(Debug, PartialEq, Eq)]
pub struct OpcodeInfo {
    /// The instruction, independent of its number.
    pub op: Op,
    /// Its number in this version.
    pub opcode: Opcode,
    /// Inline cache entries that follow it, in code units of two bytes.
    pub caches: u8,
    /// What its oparg means. [`ArgKind::None`]: the oparg is ignored.
    pub arg: ArgKind,
    /// Whether, and in which direction, the oparg is a jump distance.
    pub jump: JumpKind,
    /// Where control goes afterwards.
    pub flow: Flow,
    /// Its effect on the depth of the value stack, for both outcomes of a jump.
    pub effect: Effects,
}

/// The meaning of an oparg.
///
/// "Local" and "free" opargs both index the frame's *localsplus* array (`co_varnames` without cells,
/// then `co_cellvars`, then `co_freevars`), as everywhere since 3.11.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArgKind {
    /// No oparg.
    None,
    /// The high bits of the next instruction's oparg (`EXTENDED_ARG`).
    Extended,
    /// A plain number: a count, a depth, a flag set.
    Int,
    /// The value itself (`LOAD_SMALL_INT`).
    SmallInt,
    /// Index into `co_consts`.
    Const,
    /// Index into `co_names`.
    Name,
    /// Index into `co_names` in the bits above bit 0; bit 0: also push NULL (`LOAD_GLOBAL`).
    NameNull,
    /// Index into `co_names` in the bits above bit 0; bit 0: method load, which pushes two slots
    /// (`LOAD_ATTR`, 3.12+).
    NameMethod,
    /// Index into `co_names` in the bits above bit 1; bit 0: method load, bit 1: two-argument
    /// `super` (`LOAD_SUPER_ATTR`).
    NameSuper,
    /// Index into `co_names` in the bits above bit 1; bit 0: lazy, bit 1: eager (`IMPORT_NAME`, 3.15).
    NameImport,
    /// Index into localsplus, of a local variable.
    Local,
    /// Two indices into localsplus: bits 4-7, then bits 0-3.
    LocalPair,
    /// Index into localsplus, of a cell or free variable.
    Free,
    /// A comparison: index of the operator, from bit 0 (3.11), 4 (3.12) or 5 (3.13+). From 3.13 on, bit 4:
    /// the result is turned into a bool. The other bits are hints for the specialiser.
    Compare,
    /// A jump distance in code units, counted from behind the inline caches.
    Jump,
    /// The distance back to the instruction that `END_ASYNC_FOR` ends (3.14+). Not a jump, but it must
    /// follow its target when code moves: branch monitoring computes the `SEND` from it.
    JumpOrigin,
    /// Index into [`Version::binary_ops`].
    BinaryOp,
    /// Index into [`Version::intrinsics_1`].
    Intrinsic1,
    /// Index into [`Version::intrinsics_2`].
    Intrinsic2,
    /// Index into [`Version::special_methods`].
    SpecialMethod,
    /// Index into [`Version::common_constants`].
    CommonConstant,
    /// Bits 0-1: conversion (none, str, repr, ascii), bit 2: a format spec is on the stack.
    FormatValue,
    /// Conversion: none, str, repr, ascii.
    ConvertValue,
    /// A set of [`FUNCTION_ATTRIBUTES`]: which of them are on the stack (`MAKE_FUNCTION`, 3.11 and 3.12)
    /// or is set (`SET_FUNCTION_ATTRIBUTE`).
    FunctionAttributes,
    /// 0: `is`, 1: `is not`.
    Is,
    /// 0: `in`, 1: `not in`.
    Contains,
}

/// The names of the bits of [`ArgKind::FunctionAttributes`], lowest first. `annotate` exists since 3.14.
pub const FUNCTION_ATTRIBUTES: [&str; 5] = [
    "defaults",
    "kwdefaults",
    "annotations",
    "closure",
    "annotate",
];

/// The operators of [`ArgKind::Compare`] (`Include/cpython/object.h`: `Py_LT` … `Py_GE`).
pub const COMPARE_OPS: [&str; 6] = ["<", "<=", "==", "!=", ">", ">="];

/// Direction of a jump. All jumps of 3.11+ are relative to the end of the jump's inline caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JumpKind {
    /// Not a jump.
    None,
    /// The oparg is added.
    Forward,
    /// The oparg is subtracted.
    Backward,
}

/// Where control goes after an instruction, exceptions aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flow {
    /// To the next instruction.
    Next,
    /// To the jump's target.
    Jump,
    /// To the next instruction or to the jump's target.
    Conditional,
    /// Out of the frame, which is over.
    Return,
    /// Out of the frame, which may be resumed at the next instruction (`YIELD_VALUE`, `RETURN_GENERATOR`).
    Yield,
    /// To an exception handler or out of the frame: always raises.
    Raise,
}

/// Change of the value stack's depth, for both outcomes of a jump. Equal for other instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effects {
    /// When control continues with the next instruction. Of an instruction that never does,
    /// the pops and pushes that happen before it leaves.
    pub next: StackEffect,
    /// When the jump is taken.
    pub jump: StackEffect,
}

/// A change of the value stack's depth as a function of the oparg: `base` plus the sum of `terms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackEffect {
    /// The effect when every term is 0, in slots.
    pub base: i32,
    /// What the oparg adds; empty for most instructions.
    pub terms: &'static [Term],
}

/// One summand of a [`StackEffect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// `((oparg >> shift) & mask) * scale`
    Bits {
        /// Lowest bit of the field.
        shift: u8,
        /// The field's width as a mask; `u32::MAX`: all higher bits.
        mask: u32,
        /// Slots per unit.
        scale: i32,
    },
    /// `scale` when the oparg is `value`, else 0.
    Equals {
        /// The oparg meant.
        value: u32,
        /// Slots.
        scale: i32,
    },
}

impl StackEffect {
    /// The effect for one oparg, in slots. Saturates: absurd opargs are for the caller to reject.
    pub fn of(self, oparg: u32) -> i32 {
        let mut effect = i64::from(self.base);
        for term in self.terms {
            effect += match *term {
                Term::Bits { shift, mask, scale } => {
                    i64::from((oparg >> shift) & mask) * i64::from(scale)
                }
                Term::Equals { value, scale } if value == oparg => i64::from(scale),
                Term::Equals { .. } => 0,
            };
        }
        effect.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
    }
}

impl Opcode {
    /// `CACHE`, an inline cache entry: the same number in every version, never an instruction.
    pub const CACHE: Opcode = Opcode(0);

    /// What is known about it, or `None` where the number is not a real opcode of that version.
    #[inline]
    pub fn info(self, version: Version) -> Option<&'static OpcodeInfo> {
        version.table().by_number[usize::from(self.0)]
    }

    /// The opcode called `name` (as in `dis.opmap`), or `None` where that version does not have it.
    pub fn by_name(version: Version, name: &str) -> Option<Opcode> {
        Op::by_name(name)?.opcode(version)
    }

    /// Its name as in `dis.opname`: `<123>` where that version does not define it.
    pub fn name(self, version: Version) -> &'static str {
        match self.info(version) {
            Some(info) => info.op.name(),
            None if self == Opcode::CACHE => "CACHE",
            None => table::UNDEFINED[usize::from(self.0)],
        }
    }
}

impl Op {
    /// Its number in a version, or `None` where that version does not have it.
    #[inline]
    pub fn opcode(self, version: Version) -> Option<Opcode> {
        version.table().by_op[self as usize]
    }

    /// The instruction with this name, as in `dis.opmap`.
    pub fn by_name(name: &str) -> Option<Op> {
        Op::ALL.iter().copied().find(|op| op.name() == name)
    }
}

impl Version {
    fn table(self) -> &'static Table {
        match self {
            Version::V3_11 => &v3_11::TABLE,
            Version::V3_12 => &v3_12::TABLE,
            Version::V3_13 => &v3_13::TABLE,
            Version::V3_14 => &v3_14::TABLE,
            Version::V3_15 => &v3_15::TABLE,
        }
    }

    /// Every real opcode of this version, by number.
    pub fn opcodes(self) -> &'static [OpcodeInfo] {
        self.table().opcodes
    }

    /// The symbols of `BINARY_OP`, by oparg (`opcode._nb_ops`).
    pub fn binary_ops(self) -> &'static [&'static str] {
        self.table().binary_ops
    }

    /// The functions of `CALL_INTRINSIC_1`, by oparg (`opcode._intrinsic_1_descs`). Empty in 3.11.
    pub fn intrinsics_1(self) -> &'static [&'static str] {
        self.table().intrinsics_1
    }

    /// The functions of `CALL_INTRINSIC_2`, by oparg (`opcode._intrinsic_2_descs`). Empty in 3.11.
    pub fn intrinsics_2(self) -> &'static [&'static str] {
        self.table().intrinsics_2
    }

    /// The methods of `LOAD_SPECIAL`, by oparg (`opcode._special_method_names`). Empty before 3.14.
    pub fn special_methods(self) -> &'static [&'static str] {
        self.table().special_methods
    }

    /// The constants of `LOAD_COMMON_CONSTANT`, by oparg, as `dis` shows them (`opcode._common_constants`).
    /// Empty before 3.14.
    pub fn common_constants(self) -> &'static [&'static str] {
        self.table().common_constants
    }
}

#[cfg(test)]
mod tests {
    use super::{Flow, JumpKind, Op, Opcode};
    use crate::version::Version;

    #[test]
    fn names_and_numbers_agree() {
        for version in Version::ALL {
            for info in version.opcodes() {
                assert_eq!(info.opcode.info(version), Some(info));
                assert_eq!(info.op.opcode(version), Some(info.opcode));
                assert_eq!(Opcode::by_name(version, info.op.name()), Some(info.opcode));
                assert_eq!(info.opcode.name(version), info.op.name());
            }
        }
    }

    #[test]
    fn numbers_that_are_not_opcodes_have_no_information() {
        assert_eq!(Opcode::CACHE.info(Version::V3_12), None);
        assert_eq!(Opcode::CACHE.name(Version::V3_12), "CACHE");
        assert_eq!(Opcode(17).info(Version::V3_12), None, "RESERVED");
        assert_eq!(Opcode(200).name(Version::V3_11), "<200>");
        assert_eq!(Opcode::by_name(Version::V3_11, "RETURN_CONST"), None);
        assert_eq!(Opcode::by_name(Version::V3_14, "NO_SUCH_THING"), None);
    }

    #[test]
    fn the_opcode_that_carries_probes_exists_unchanged_everywhere() {
        for version in Version::ALL {
            let invert = Op::UnaryInvert
                .opcode(version)
                .and_then(|opcode| opcode.info(version));
            let invert = invert.expect("every version has UNARY_INVERT");
            assert_eq!((invert.caches, invert.effect.next.of(0)), (0, 0));
        }
    }

    #[test]
    fn stack_effects_depend_on_the_oparg() {
        let effect = |version, op: Op, oparg| {
            let info = op.opcode(version).and_then(|opcode| opcode.info(version));
            info.expect("exists").effect.next.of(oparg)
        };
        assert_eq!(effect(Version::V3_11, Op::Call, 3), -4);
        assert_eq!(effect(Version::V3_11, Op::Precall, 3), 0);
        assert_eq!(effect(Version::V3_12, Op::UnpackEx, 0x0203), 5);
        assert_eq!(effect(Version::V3_13, Op::BuildSlice, 2), -1);
        assert_eq!(effect(Version::V3_13, Op::BuildSlice, 3), -2);
        assert_eq!(effect(Version::V3_12, Op::MakeFunction, 0b1011), -3);
        assert_eq!(effect(Version::V3_14, Op::LoadGlobal, 4), 1);
        assert_eq!(effect(Version::V3_14, Op::LoadGlobal, 5), 2);
        assert_eq!(effect(Version::V3_14, Op::BuildList, u32::MAX), i32::MIN);
    }

    #[test]
    fn jumps_and_only_jumps_have_a_direction() {
        for version in Version::ALL {
            for info in version.opcodes() {
                let jumps = matches!(info.flow, Flow::Jump | Flow::Conditional);
                assert_eq!(
                    jumps,
                    info.jump != JumpKind::None,
                    "{version} {:?}",
                    info.op
                );
            }
        }
    }
}
