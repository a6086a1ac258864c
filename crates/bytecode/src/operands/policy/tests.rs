use super::{Policy, Reason, write_policy};
use crate::analysis::{Analysis, CodeView, InstrIdx};
use crate::exception_table::{self, ExceptionEntry};
use crate::opcode::Op::{self, *};
use crate::version::Version::{self, V3_11, V3_12, V3_13, V3_14, V3_15};

/// Assembles small opargs and analyses the result. Handlers are (start, end, target, depth), as indices of
/// instructions, and push lasti.
fn analyse(
    version: Version,
    code: &[(Op, u8)],
    handlers: &[(usize, usize, usize, u32)],
) -> Analysis {
    let mut bytes = Vec::new();
    let mut starts = Vec::new();
    for &(op, arg) in code {
        starts.push(bytes.len() as u32);
        let opcode = op.opcode(version).expect("the version has it");
        bytes.extend([opcode.0, arg]);
        let caches = opcode.info(version).expect("it is defined").caches;
        bytes.resize(bytes.len() + 2 * usize::from(caches), 0);
    }
    starts.push(bytes.len() as u32);
    let entries: Vec<_> = handlers
        .iter()
        .map(|&(start, end, target, depth)| ExceptionEntry {
            start: starts[start],
            end: starts[end],
            target: starts[target],
            depth,
            lasti: true,
        })
        .collect();
    let locations: Vec<u8> = bytes
        .chunks(16)
        .map(|units| 0xf8 | (units.len() / 2 - 1) as u8)
        .collect();
    let view = CodeView {
        version,
        code: &bytes,
        exception_table: &exception_table::write(&entries),
        location_table: &locations,
        first_line: 1,
        stack_size: 20,
    };
    Analysis::new(&view).expect("it is valid")
}

fn operand(by: u32, role: &'static str) -> Reason {
    Reason::Operand {
        by: InstrIdx(by),
        role,
    }
}

#[test]
fn operands_of_operators_are_free() {
    let code = [
        (Resume, 0),
        (LoadFast, 0),
        (LoadFast, 1),
        (BinaryOp, 0),
        (ReturnValue, 0),
    ];
    for version in Version::ALL {
        let analysis = analyse(version, &code, &[]);
        assert_eq!(write_policy(&analysis, InstrIdx(3), 0), Policy::Any);
        assert_eq!(write_policy(&analysis, InstrIdx(3), 1), Policy::Any);
        assert_eq!(
            write_policy(&analysis, InstrIdx(3), 2),
            Policy::Fixed(Reason::NotOnStack)
        );
    }
}

#[test]
fn an_iterator_must_stay_one_and_a_list_a_list() {
    // [x for x in y]
    let code = [
        (Resume, 0),
        (LoadFast, 0),
        (GetIter, 0),
        (BuildList, 0),
        (Swap, 2),
        (ForIter, 3),
        (ListAppend, 2),
        (JumpBackward, 5),
        (EndFor, 0),
        (PopTop, 0),
        (ReturnValue, 0),
    ];
    let analysis = analyse(V3_13, &code, &[]);
    // Before SWAP: [iterator, list]; after it: [list, iterator].
    assert_eq!(
        write_policy(&analysis, InstrIdx(4), 0),
        Policy::Iterator(operand(5, "iterator"))
    );
    assert_eq!(
        write_policy(&analysis, InstrIdx(4), 1),
        Policy::SameType(operand(6, "list"))
    );
    assert_eq!(
        write_policy(&analysis, InstrIdx(5), 0),
        Policy::SameType(operand(6, "list"))
    );
    assert_eq!(
        write_policy(&analysis, InstrIdx(5), 1),
        Policy::Iterator(operand(5, "iterator"))
    );
    // The item, just before it is appended.
    assert_eq!(write_policy(&analysis, InstrIdx(6), 2), Policy::Any);
    // The iterable is still anything.
    assert_eq!(write_policy(&analysis, InstrIdx(2), 0), Policy::Any);
}

#[test]
fn the_iterator_a_comprehension_is_called_with_stays_one() {
    let head = [
        (Resume, 0),
        (LoadConst, 0),
        (MakeFunction, 0),
        (LoadFast, 0),
        (GetIter, 0),
    ];
    let mut code = head.to_vec();
    code.extend([(Call, 0), (ReturnValue, 0)]);
    let analysis = analyse(V3_13, &code, &[]);
    assert_eq!(write_policy(&analysis, InstrIdx(4), 1), Policy::Any);
    assert_eq!(
        write_policy(&analysis, InstrIdx(5), 1),
        Policy::Iterator(operand(5, "iterator"))
    );
    assert_eq!(write_policy(&analysis, InstrIdx(5), 0), Policy::Any);
    let mut code = head.to_vec();
    code.extend([(Precall, 0), (Call, 0), (ReturnValue, 0)]);
    let analysis = analyse(V3_11, &code, &[]);
    assert_eq!(
        write_policy(&analysis, InstrIdx(5), 1),
        Policy::Iterator(operand(5, "iterator"))
    );
    assert_eq!(
        write_policy(&analysis, InstrIdx(6), 1),
        Policy::Iterator(operand(6, "iterator"))
    );
}

#[test]
fn defaults_of_a_generic_function_stay_what_they_are() {
    // def f[T](x=1): ...
    let code = [
        (Resume, 0),
        (LoadConst, 0),
        (LoadConst, 1),
        (MakeFunction, 0),
        (Swap, 2),
        (Call, 0),
        (ReturnValue, 0),
    ];
    for version in [V3_13, V3_14, V3_15] {
        let analysis = analyse(version, &code, &[]);
        let same = Policy::SameType(operand(5, "defaults"));
        assert_eq!(write_policy(&analysis, InstrIdx(2), 0), same);
        assert_eq!(write_policy(&analysis, InstrIdx(5), 1), same);
        assert_eq!(write_policy(&analysis, InstrIdx(5), 0), Policy::Any);
    }
}

#[test]
fn a_variable_that_the_compiler_trusts_is_followed() {
    // class C[T]: ..., in 3.12: the parameters go through the variable .type_params.
    let code = [
        (MakeCell, 0),
        (Resume, 0),
        (LoadConst, 0),
        (BuildTuple, 1),
        (StoreDeref, 0),
        (LoadDeref, 0),
        (CallIntrinsic1, 10),
        (ReturnValue, 0),
    ];
    let analysis = analyse(V3_12, &code, &[]);
    let same = Policy::SameType(operand(6, "type parameters"));
    assert_eq!(write_policy(&analysis, InstrIdx(4), 0), same);
    assert_eq!(write_policy(&analysis, InstrIdx(3), 0), Policy::Any);
    // An ordinary variable.
    let mut code = code;
    code[6] = (PopTop, 0);
    code[7] = (ReturnConst, 0);
    assert_eq!(
        write_policy(&analyse(V3_12, &code, &[]), InstrIdx(4), 0),
        Policy::Any
    );
}

#[test]
fn what_a_cell_holds_is_not_the_cell() {
    // x = ...; def f(): x
    let code = [
        (MakeCell, 0),
        (Resume, 0),
        (LoadConst, 0),
        (StoreDeref, 0),
        (LoadFast, 0),
        (BuildTuple, 1),
        (LoadConst, 0),
        (MakeFunction, 0),
        (SetFunctionAttribute, 8),
        (ReturnValue, 0),
    ];
    for version in [V3_13, V3_14, V3_15] {
        let analysis = analyse(version, &code, &[]);
        assert_eq!(write_policy(&analysis, InstrIdx(3), 0), Policy::Any);
        let closure = Policy::Fixed(operand(8, "closure"));
        assert_eq!(write_policy(&analysis, InstrIdx(5), 0), closure);
    }
}

#[test]
fn the_self_or_null_of_a_call_takes_anything() {
    let code = [
        (Resume, 0),
        (LoadGlobal, 1),
        (LoadFast, 0),
        (Call, 1),
        (ReturnValue, 0),
    ];
    for version in [V3_13, V3_14, V3_15] {
        let analysis = analyse(version, &code, &[]);
        let policy = |slot| write_policy(&analysis, InstrIdx(3), slot);
        assert_eq!(
            [policy(0), policy(1), policy(2)],
            [Policy::Any, Policy::AnyOrNull, Policy::Any]
        );
    }
    let analysis = analyse(V3_12, &code, &[]);
    assert_eq!(write_policy(&analysis, InstrIdx(3), 0), Policy::AnyOrNull);
    assert_eq!(write_policy(&analysis, InstrIdx(3), 1), Policy::Any);
}

#[test]
fn cells_on_their_way_into_a_closure_stay() {
    let code = [
        (MakeCell, 0),
        (Resume, 0),
        (LoadFast, 0),
        (BuildTuple, 1),
        (LoadConst, 0),
        (MakeFunction, 0),
        (SetFunctionAttribute, 8),
        (ReturnValue, 0),
    ];
    let analysis = analyse(V3_13, &code, &[]);
    assert_eq!(
        write_policy(&analysis, InstrIdx(3), 0),
        Policy::Fixed(operand(6, "closure"))
    );
    assert_eq!(
        write_policy(&analysis, InstrIdx(4), 0),
        Policy::Fixed(operand(6, "closure"))
    );
    assert_eq!(
        write_policy(&analysis, InstrIdx(5), 1),
        Policy::Fixed(operand(5, "code"))
    );
    assert_eq!(write_policy(&analysis, InstrIdx(7), 0), Policy::Any);
    // The same tuple, merely returned.
    let analysis = analyse(V3_13, &[code[1], code[2], code[3], code[7]], &[]);
    assert_eq!(write_policy(&analysis, InstrIdx(2), 0), Policy::Any);
}

#[test]
fn a_cell_saved_by_an_inlined_comprehension_stays() {
    let code = [
        (Resume, 0),
        (LoadFastAndClear, 0),
        (MakeCell, 0),
        (Nop, 0),
        (StoreFast, 0),
        (LoadConst, 0),
        (ReturnValue, 0),
    ];
    let analysis = analyse(V3_12, &code, &[]);
    let fixed = Policy::Fixed(Reason::Cell { by: InstrIdx(4) });
    assert_eq!(write_policy(&analysis, InstrIdx(3), 0), fixed);
    let mut plain = code;
    plain[2] = (Nop, 0);
    assert_eq!(
        write_policy(&analyse(V3_12, &plain, &[]), InstrIdx(3), 0),
        Policy::Any
    );
}

#[test]
fn handlers_see_what_was_on_the_stack() {
    let code = [
        (Resume, 0),
        (LoadFast, 0),
        (GetIter, 0),
        (Nop, 0), // covered, the iterator stays on the stack
        (PopTop, 0),
        (LoadConst, 0),
        (ReturnValue, 0),
        (PushExcInfo, 0), // [iterator, lasti, exception]
        (PopTop, 0),
        (PopExcept, 0),
        (PopTop, 0),
        (ForIter, 1),
        (ReturnValue, 0),
        (LoadConst, 0),
        (ReturnValue, 0),
    ];
    let analysis = analyse(V3_11, &code, &[(3, 4, 7, 1)]);
    assert_eq!(
        write_policy(&analysis, InstrIdx(3), 0),
        Policy::Iterator(operand(11, "iterator"))
    );
    assert_eq!(write_policy(&analysis, InstrIdx(4), 0), Policy::Any);
    assert_eq!(
        write_policy(&analysis, InstrIdx(7), 2),
        Policy::Exception(operand(7, "exception"))
    );
    assert_eq!(
        write_policy(&analysis, InstrIdx(8), 2),
        Policy::Exception(operand(9, "previous exception"))
    );
    assert_eq!(write_policy(&analysis, InstrIdx(8), 3), Policy::Any);
}

#[test]
fn lasti_is_not_an_ordinary_value() {
    let code = [
        (Resume, 0),
        (Nop, 0),
        (LoadConst, 0),
        (ReturnValue, 0),
        (Copy, 2),
        (PopTop, 0),
        (Reraise, 1),
    ];
    let analysis = analyse(V3_14, &code, &[(1, 2, 4, 0)]);
    assert_eq!(
        write_policy(&analysis, InstrIdx(4), 0),
        Policy::Fixed(operand(6, "lasti"))
    );
    assert_eq!(
        write_policy(&analysis, InstrIdx(4), 1),
        Policy::Exception(operand(6, "exception"))
    );
    assert_eq!(write_policy(&analysis, InstrIdx(5), 2), Policy::Any);
}

#[test]
fn a_value_that_stays_on_the_stack_when_a_jump_is_taken_is_followed() {
    // x or <iterate>
    let code = [
        (Resume, 0),
        (LoadFast, 0),
        (JumpIfTrueOrPop, 1),
        (LoadFast, 1),
        (ForIter, 1),
        (ReturnValue, 0),
        (LoadConst, 0),
        (ReturnValue, 0),
    ];
    let analysis = analyse(V3_11, &code, &[]);
    assert_eq!(
        write_policy(&analysis, InstrIdx(2), 0),
        Policy::Iterator(operand(4, "iterator"))
    );
}
