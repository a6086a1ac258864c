//! What an oparg means, as `dis` tells it (`argval` and `argrepr`), without Python objects.

use std::fmt::Write as _;

use crate::instruction::Instruction;
use crate::opcode::{ArgKind, COMPARE_OPS, FUNCTION_ATTRIBUTES, JumpKind, Opcode};
use crate::version::Version;

/// The meaning of one instruction's oparg.
///
/// Indices refer to the code object: constants to `co_consts`, names to `co_names`, locals and free
/// variables to localsplus. Offsets are byte offsets into `co_code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Argument {
    /// The instruction has none.
    None,
    /// A plain number.
    Int(u32),
    /// The integer that is pushed (`LOAD_SMALL_INT`).
    SmallInt(u32),
    /// A constant.
    Const(u32),
    /// A name, and what the instruction does besides looking it up.
    Name(u32, NameUse),
    /// A local variable.
    Local(u32),
    /// Two local variables, in the order of their use.
    LocalPair(u32, u32),
    /// A cell or free variable.
    Free(u32),
    /// A rich comparison.
    Compare {
        /// `<`, `<=`, `==`, `!=`, `>` or `>=`.
        op: &'static str,
        /// The result is converted to a bool (3.13+).
        to_bool: bool,
    },
    /// The offset jumped to: the start of the target, its EXTENDED_ARG prefix included.
    Jump(u32),
    /// The offset that `END_ASYNC_FOR` refers back to (3.14+).
    JumpOrigin(u32),
    /// The operator's symbol: `+`, `+=`, `[]` …
    BinaryOp(&'static str),
    /// The function of `CALL_INTRINSIC_1` or `CALL_INTRINSIC_2`: `INTRINSIC_PRINT` …
    Intrinsic(&'static str),
    /// The method of `LOAD_SPECIAL`: `__enter__` …
    SpecialMethod(&'static str),
    /// The object of `LOAD_COMMON_CONSTANT` as `dis` shows it: `AssertionError`, `None` …
    CommonConstant(&'static str),
    /// `FORMAT_VALUE`: the conversion, and whether a format spec is on the stack.
    Format(Conversion, bool),
    /// `CONVERT_VALUE`.
    Conversion(Conversion),
    /// A set of [`FUNCTION_ATTRIBUTES`], lowest bit first.
    FunctionAttributes(u32),
    /// `is` (false) or `is not` (true).
    Is(bool),
    /// `in` (false) or `not in` (true).
    Contains(bool),
    /// An oparg that the instruction does not allow, such as a binary operator that does not exist.
    Invalid(u32),
}

/// What an instruction does with a name besides looking it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameUse {
    /// Nothing.
    Plain,
    /// Pushes NULL too: above the value since 3.13, below it before (`LOAD_GLOBAL`).
    Null,
    /// Pushes two slots: a function and self, or a value and NULL (`LOAD_ATTR`, `LOAD_SUPER_ATTR`).
    /// Before 3.13 NULL stands below the value.
    Method,
    /// Imports lazily (`IMPORT_NAME`, 3.15+).
    Lazy,
    /// Imports at once even where laziness was asked for globally (`IMPORT_NAME`, 3.15+).
    Eager,
}

/// The conversion of a formatted value: `!s`, `!r`, `!a`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it all")]
pub enum Conversion {
    None,
    Str,
    Repr,
    Ascii,
}

impl Conversion {
    fn new(oparg: u32) -> Conversion {
        match oparg & 3 {
            0 => Conversion::None,
            1 => Conversion::Str,
            2 => Conversion::Repr,
            _ => Conversion::Ascii,
        }
    }

    /// The built-in function it calls; empty for none.
    pub const fn name(self) -> &'static str {
        match self {
            Conversion::None => "",
            Conversion::Str => "str",
            Conversion::Repr => "repr",
            Conversion::Ascii => "ascii",
        }
    }
}

/// Describes an instruction's oparg.
pub fn argument(version: Version, instruction: &Instruction) -> Argument {
    Argument::new(
        version,
        instruction.opcode,
        instruction.arg,
        instruction.end(),
    )
}

impl Argument {
    /// Describes the oparg `arg` of `opcode`. `end` is the byte offset behind the instruction's inline
    /// caches, from which jumps count. Undefined opcodes have an [`Argument::Int`].
    pub fn new(version: Version, opcode: Opcode, arg: u32, end: u32) -> Argument {
        let Some(info) = opcode.info(version) else {
            return Argument::Int(arg);
        };
        let named = |names: &[&'static str], make: fn(&'static str) -> Argument| {
            names
                .get(arg as usize)
                .map_or(Argument::Invalid(arg), |name| make(name))
        };
        match info.arg {
            ArgKind::None => Argument::None,
            ArgKind::Int | ArgKind::Extended => Argument::Int(arg),
            ArgKind::SmallInt => Argument::SmallInt(arg),
            ArgKind::Const => Argument::Const(arg),
            ArgKind::Name => Argument::Name(arg, NameUse::Plain),
            ArgKind::NameNull => Argument::Name(arg >> 1, flag(arg, NameUse::Null)),
            ArgKind::NameMethod => Argument::Name(arg >> 1, flag(arg, NameUse::Method)),
            ArgKind::NameSuper => Argument::Name(arg >> 2, flag(arg, NameUse::Method)),
            ArgKind::NameImport => {
                let eager = if arg & 2 == 0 {
                    NameUse::Plain
                } else {
                    NameUse::Eager
                };
                Argument::Name(arg >> 2, if arg & 1 == 0 { eager } else { NameUse::Lazy })
            }
            ArgKind::Local => Argument::Local(arg),
            ArgKind::LocalPair => Argument::LocalPair(arg >> 4, arg & 15),
            ArgKind::Free => Argument::Free(arg),
            ArgKind::Compare => compare(version, arg),
            ArgKind::Jump if info.jump == JumpKind::Forward => {
                distance(arg, end, u32::checked_add).map_or(Argument::Invalid(arg), Argument::Jump)
            }
            ArgKind::Jump => {
                distance(arg, end, u32::checked_sub).map_or(Argument::Invalid(arg), Argument::Jump)
            }
            ArgKind::JumpOrigin => distance(arg, end, u32::checked_sub)
                .map_or(Argument::Invalid(arg), Argument::JumpOrigin),
            ArgKind::BinaryOp => named(version.binary_ops(), Argument::BinaryOp),
            ArgKind::Intrinsic1 => named(version.intrinsics_1(), Argument::Intrinsic),
            ArgKind::Intrinsic2 => named(version.intrinsics_2(), Argument::Intrinsic),
            ArgKind::SpecialMethod => named(version.special_methods(), Argument::SpecialMethod),
            ArgKind::CommonConstant => named(version.common_constants(), Argument::CommonConstant),
            ArgKind::FormatValue => Argument::Format(Conversion::new(arg), arg & 4 != 0),
            ArgKind::ConvertValue if arg > 3 => Argument::Invalid(arg),
            ArgKind::ConvertValue => Argument::Conversion(Conversion::new(arg)),
            ArgKind::FunctionAttributes => Argument::FunctionAttributes(arg),
            ArgKind::Is => Argument::Is(arg != 0),
            ArgKind::Contains => Argument::Contains(arg != 0),
        }
    }

    /// The text that `dis` of that version shows in parentheses (`argrepr`); empty where it shows none.
    ///
    /// One exception: 3.11's `dis` shows nothing for `KW_NAMES`, this shows the constant as later versions do.
    pub fn repr(self, version: Version, resolve: &impl Resolve) -> String {
        let mut text = String::new();
        match self {
            Argument::None | Argument::Int(_) | Argument::SmallInt(_) | Argument::Invalid(_) => {}
            Argument::Const(index) => resolve.constant(index, &mut text),
            Argument::Name(index, used) => {
                resolve.name(index, &mut text);
                if !text.is_empty() {
                    add_use(version, used, &mut text);
                }
            }
            Argument::Local(index) | Argument::Free(index) => resolve.local(index, &mut text),
            Argument::LocalPair(first, second) => {
                resolve.local(first, &mut text);
                text.push_str(", ");
                resolve.local(second, &mut text);
            }
            Argument::Compare { op, to_bool: false } => text.push_str(op),
            Argument::Compare { op, to_bool: true } => push(&mut text, format_args!("bool({op})")),
            Argument::Jump(offset) => push_place(&mut text, "to", version, offset, resolve),
            Argument::JumpOrigin(offset) => push_place(&mut text, "from", version, offset, resolve),
            Argument::BinaryOp(name)
            | Argument::Intrinsic(name)
            | Argument::SpecialMethod(name)
            | Argument::CommonConstant(name) => text.push_str(name),
            Argument::Conversion(conversion) | Argument::Format(conversion, false) => {
                text.push_str(conversion.name());
            }
            Argument::Format(Conversion::None, true) => text.push_str("with format"),
            Argument::Format(conversion, true) => {
                push(
                    &mut text,
                    format_args!("{}, with format", conversion.name()),
                );
            }
            Argument::FunctionAttributes(set) => {
                let known = if version >= Version::V3_14 { 5 } else { 4 };
                for (bit, name) in FUNCTION_ATTRIBUTES.iter().enumerate().take(known) {
                    if set & 1 << bit != 0 {
                        let comma = if text.is_empty() { "" } else { ", " };
                        push(&mut text, format_args!("{comma}{name}"));
                    }
                }
            }
            Argument::Is(_) | Argument::Contains(_) if version < Version::V3_14 => {}
            Argument::Is(not) => text.push_str(if not { "is not" } else { "is" }),
            Argument::Contains(not) => text.push_str(if not { "not in" } else { "in" }),
        }
        text
    }
}

/// Supplies the texts that depend on the code object. Each method appends to `text`, nothing where the
/// index is out of range.
pub trait Resolve {
    /// Appends the `repr` of `co_consts[index]`.
    fn constant(&self, index: u32, text: &mut String);
    /// Appends `co_names[index]`.
    fn name(&self, index: u32, text: &mut String);
    /// Appends the name of `localsplus[index]`.
    fn local(&self, index: u32, text: &mut String);
    /// The number of the label at an offset, counted from 1 in the order of offsets over all jump and
    /// handler targets, as `dis` numbers them since 3.13. `None`: the offset itself is shown.
    fn label(&self, offset: u32) -> Option<u32>;
}

fn flag(arg: u32, set: NameUse) -> NameUse {
    if arg & 1 == 0 { NameUse::Plain } else { set }
}

fn compare(version: Version, arg: u32) -> Argument {
    let shift = match version {
        Version::V3_11 => 0,
        Version::V3_12 => 4,
        _ => 5,
    };
    match COMPARE_OPS.get((arg >> shift) as usize) {
        Some(op) => Argument::Compare {
            op,
            to_bool: version >= Version::V3_13 && arg & 16 != 0,
        },
        None => Argument::Invalid(arg),
    }
}

fn distance(arg: u32, end: u32, move_by: fn(u32, u32) -> Option<u32>) -> Option<u32> {
    move_by(end, arg.checked_mul(2)?)
}

fn add_use(version: Version, used: NameUse, name: &mut String) {
    let mark = match used {
        NameUse::Plain => return,
        NameUse::Null => "NULL",
        NameUse::Method => "NULL|self",
        NameUse::Lazy => "lazy",
        NameUse::Eager => "eager",
    };
    // The order of the text follows the order of the slots.
    if version.callable_is_below_self() {
        push(name, format_args!(" + {mark}"));
    } else {
        name.insert_str(0, " + ");
        name.insert_str(0, mark);
    }
}

fn push_place(
    text: &mut String,
    preposition: &str,
    version: Version,
    offset: u32,
    resolve: &impl Resolve,
) {
    let label = if version >= Version::V3_13 {
        resolve.label(offset)
    } else {
        None
    };
    match label {
        Some(label) => push(text, format_args!("{preposition} L{label}")),
        None => push(text, format_args!("{preposition} {offset}")),
    }
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments)
        .expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests {
    use super::{Argument, NameUse, Resolve};
    use crate::opcode::Op;
    use crate::version::Version::{self, V3_11, V3_12, V3_13, V3_14, V3_15};

    struct Names;

    impl Resolve for Names {
        fn constant(&self, index: u32, text: &mut String) {
            text.push_str(["None", "'a'"].get(index as usize).unwrap_or(&""));
        }
        fn name(&self, index: u32, text: &mut String) {
            text.push_str(["print", "append"].get(index as usize).unwrap_or(&""));
        }
        fn local(&self, index: u32, text: &mut String) {
            text.push_str(["x", "y"].get(index as usize).unwrap_or(&""));
        }
        fn label(&self, offset: u32) -> Option<u32> {
            (offset == 20).then_some(2)
        }
    }

    fn argument(version: Version, op: Op, arg: u32) -> Argument {
        Argument::new(version, op.opcode(version).expect("exists"), arg, 10)
    }

    fn repr(version: Version, op: Op, arg: u32) -> String {
        argument(version, op, arg).repr(version, &Names)
    }

    #[test]
    fn the_null_of_a_call_stands_where_the_version_pushes_it() {
        assert_eq!(
            argument(V3_11, Op::LoadGlobal, 1),
            Argument::Name(0, NameUse::Null)
        );
        assert_eq!(repr(V3_11, Op::LoadGlobal, 1), "NULL + print");
        assert_eq!(repr(V3_13, Op::LoadGlobal, 1), "print + NULL");
        assert_eq!(repr(V3_11, Op::LoadAttr, 1), "append");
        assert_eq!(repr(V3_12, Op::LoadAttr, 3), "NULL|self + append");
        assert_eq!(repr(V3_14, Op::LoadSuperAttr, 7), "append + NULL|self");
        assert_eq!(repr(V3_14, Op::LoadSuperAttr, 6), "append");
    }

    #[test]
    fn jumps_count_from_behind_the_caches() {
        assert_eq!(argument(V3_11, Op::JumpForward, 5), Argument::Jump(20));
        assert_eq!(argument(V3_12, Op::JumpBackward, 5), Argument::Jump(0));
        assert_eq!(argument(V3_12, Op::JumpBackward, 6), Argument::Invalid(6));
        assert_eq!(
            argument(V3_12, Op::JumpForward, u32::MAX),
            Argument::Invalid(u32::MAX)
        );
        assert_eq!(repr(V3_12, Op::JumpForward, 5), "to 20");
        assert_eq!(repr(V3_13, Op::JumpForward, 5), "to L2");
        assert_eq!(repr(V3_13, Op::JumpForward, 6), "to 22");
        assert_eq!(repr(V3_14, Op::EndAsyncFor, 3), "from 4");
    }

    #[test]
    fn comparisons_moved_up_twice() {
        assert_eq!(repr(V3_11, Op::CompareOp, 4), ">");
        assert_eq!(repr(V3_12, Op::CompareOp, 4 << 4 | 8), ">");
        assert_eq!(repr(V3_13, Op::CompareOp, 4 << 5 | 2), ">");
        assert_eq!(repr(V3_13, Op::CompareOp, 4 << 5 | 16 | 2), "bool(>)");
        assert_eq!(argument(V3_11, Op::CompareOp, 6), Argument::Invalid(6));
    }

    #[test]
    fn opargs_with_names_of_their_own() {
        assert_eq!(repr(V3_11, Op::BinaryOp, 13), "+=");
        assert_eq!(repr(V3_14, Op::BinaryOp, 26), "[]");
        assert_eq!(argument(V3_13, Op::BinaryOp, 26), Argument::Invalid(26));
        assert_eq!(
            repr(V3_12, Op::CallIntrinsic1, 3),
            "INTRINSIC_STOPITERATION_ERROR"
        );
        assert_eq!(repr(V3_14, Op::LoadSpecial, 1), "__exit__");
        assert_eq!(repr(V3_15, Op::LoadCommonConstant, 7), "None");
        assert_eq!(repr(V3_12, Op::FormatValue, 6), "repr, with format");
        assert_eq!(repr(V3_13, Op::ConvertValue, 3), "ascii");
        assert_eq!(repr(V3_11, Op::MakeFunction, 9), "defaults, closure");
        assert_eq!(repr(V3_14, Op::SetFunctionAttribute, 16), "annotate");
        assert_eq!(repr(V3_13, Op::SetFunctionAttribute, 16), "");
        assert_eq!(repr(V3_13, Op::IsOp, 1), "");
        assert_eq!(repr(V3_14, Op::IsOp, 1), "is not");
        assert_eq!(repr(V3_15, Op::ImportName, 1), "print + lazy");
        assert_eq!(repr(V3_13, Op::LoadFastLoadFast, 0x01), "x, y");
    }
}
