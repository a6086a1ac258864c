//! What the interpreters do not say about their opcodes: kinds of opargs, direction of jumps, flow.

use anyhow::{Result, bail};

use super::{Facts, Opcode};

/// The `ArgKind` of an opcode.
///
/// Follows `Lib/dis.py` of each version: `_get_instructions_bytes` (3.11, 3.12) and
/// `ArgResolver.get_argval_argrepr` (3.13+), in their order.
pub(super) fn arg_kind(minor: u8, opcode: &Opcode) -> Result<&'static str> {
    let is = |group: &str| opcode.groups.contains(group);
    let name = opcode.name.as_str();
    Ok(match name {
        _ if !opcode.has_arg => "None",
        "EXTENDED_ARG" => "Extended",
        "LOAD_GLOBAL" => "NameNull",
        "LOAD_ATTR" if minor >= 12 => "NameMethod",
        "LOAD_SUPER_ATTR" => "NameSuper",
        "IMPORT_NAME" if minor >= 15 => "NameImport",
        "END_ASYNC_FOR" => "JumpOrigin",
        "LOAD_SMALL_INT" => "SmallInt",
        "BINARY_OP" => "BinaryOp",
        "CALL_INTRINSIC_1" => "Intrinsic1",
        "CALL_INTRINSIC_2" => "Intrinsic2",
        "LOAD_SPECIAL" => "SpecialMethod",
        "LOAD_COMMON_CONSTANT" => "CommonConstant",
        "FORMAT_VALUE" => "FormatValue",
        "CONVERT_VALUE" => "ConvertValue",
        "MAKE_FUNCTION" | "SET_FUNCTION_ATTRIBUTE" => "FunctionAttributes",
        "IS_OP" => "Is",
        "CONTAINS_OP" => "Contains",
        // Two opargs of four bits, whether or not the version lists it under haslocal.
        "LOAD_FAST_LOAD_FAST"
        | "LOAD_FAST_BORROW_LOAD_FAST_BORROW"
        | "STORE_FAST_LOAD_FAST"
        | "STORE_FAST_STORE_FAST" => "LocalPair",
        // 3.14 lists it under haslocal; the slot holds a cell in every version.
        "LOAD_DEREF" => "Free",
        _ if is("hasjabs") => {
            bail!("{name} of 3.{minor} is an absolute jump, which 3.11+ should not have")
        }
        _ if is("hasconst") => "Const",
        _ if is("hasname") => "Name",
        _ if is("hasjrel") => "Jump",
        _ if is("haslocal") => "Local",
        _ if is("hasfree") => "Free",
        _ if is("hascompare") => "Compare",
        _ => "Int",
    })
}

/// The `JumpKind` of an opcode. `dis` goes by the name too (`_is_backward_jump`).
pub(super) fn jump_kind(opcode: &Opcode) -> &'static str {
    match opcode.name.as_str() {
        "END_ASYNC_FOR" => "None",
        _ if !opcode.groups.contains("hasjrel") => "None",
        name if name.contains("BACKWARD") => "Backward",
        _ => "Forward",
    }
}

/// The `Flow` of an opcode.
pub(super) fn flow(opcode: &Opcode) -> Result<&'static str> {
    let name = opcode.name.as_str();
    Ok(match name {
        "JUMP_FORWARD" | "JUMP_BACKWARD" | "JUMP_BACKWARD_NO_INTERRUPT" => "Jump",
        "RETURN_VALUE" | "RETURN_CONST" | "INTERPRETER_EXIT" => "Return",
        "RAISE_VARARGS" | "RERAISE" => "Raise",
        "YIELD_VALUE" | "RETURN_GENERATOR" => "Yield",
        "FOR_ITER" | "SEND" => "Conditional",
        _ if jump_kind(opcode) == "None" => "Next",
        _ if name.contains("JUMP") && name.contains("_IF_") => "Conditional",
        _ => bail!("{name} is a jump of unknown kind"),
    })
}

/// Fails where an assumption that is not stored in the tables does not hold.
pub(super) fn check_assumptions(facts: &Facts) -> Result<()> {
    if facts.compare_ops != ["<", "<=", "==", "!=", ">", ">="] {
        bail!("{}: cmp_op is {:?}", facts.version, facts.compare_ops);
    }
    Ok(())
}
