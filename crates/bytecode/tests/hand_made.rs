//! Code objects that no compiler wrote: real ones with something changed, and absurd ones. Each is refused with a typed error or
//! gets its probes; none makes anything panic, or take time or memory out of proportion.

mod common;

use std::time::Duration;

use common::example::{Example, examples};
use common::function::{Function, statements};
use common::oracle::{self, probe};
use cpu_time::ThreadTime;
use debugop_bytecode::instruction::{MAX_CODE, MAX_STACK};
use debugop_bytecode::{
    Analysis, CodeView, Error, Insertion, InstrIdx, Locals, Op, Opcode, Place, Plan, Table, Unwind,
    Version, callable_depth, insert, operands, sites, stores_sum, unsettled, write_policy,
};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;

/// What is done to a code object. Parts are `co_code`, `co_exceptiontable` and `co_linetable`.
#[derive(Clone, Debug)]
enum Change {
    /// Inverts bits of a byte.
    Flip(usize, Index, u8),
    /// Puts a defined opcode in the place of another one.
    Opcode(Index, Index),
    /// Changes an argument.
    Arg(Index, u8),
    Truncate(usize, Index),
    Empty(usize),
    /// Appends a part to itself.
    Double(usize),
    /// Takes two bytes out.
    Remove(usize, Index),
    StackSize(u32),
    FirstLine(i32),
}

fn change() -> impl Strategy<Value = Change> {
    let part = || 0usize..3;
    prop_oneof![
        3 => (part(), any::<Index>(), any::<u8>()).prop_map(|(part, at, bits)| Change::Flip(part, at, bits)),
        6 => (any::<Index>(), any::<Index>()).prop_map(|(at, opcode)| Change::Opcode(at, opcode)),
        6 => (any::<Index>(), 0u8..12).prop_map(|(at, arg)| Change::Arg(at, arg)),
        1 => (part(), any::<Index>()).prop_map(|(part, at)| Change::Truncate(part, at)),
        1 => part().prop_map(Change::Empty),
        1 => part().prop_map(Change::Double),
        1 => (part(), any::<Index>()).prop_map(|(part, at)| Change::Remove(part, at)),
        1 => prop_oneof![0u32..4, Just(MAX_STACK), any::<u32>()].prop_map(Change::StackSize),
        1 => any::<i32>().prop_map(Change::FirstLine),
    ]
}

fn apply(example: &mut Example, change: &Change) {
    let defined = example.version.opcodes();
    let [code, ..] = &mut example.parts;
    let unit = |at: &Index| at.index(code.len() / 2) * 2;
    match *change {
        Change::Opcode(at, opcode) if code.len() > 1 => {
            let at = unit(&at);
            code[at] = defined[opcode.index(defined.len())].opcode.0;
        }
        Change::Arg(at, arg) if code.len() > 1 => {
            let at = unit(&at);
            code[at + 1] = arg;
        }
        Change::Opcode(..) | Change::Arg(..) => {}
        Change::StackSize(size) => example.stack_size = size,
        Change::FirstLine(line) => example.first_line = line,
        Change::Flip(part, ..)
        | Change::Truncate(part, _)
        | Change::Empty(part)
        | Change::Double(part)
        | Change::Remove(part, _) => change_part(&mut example.parts[part], change),
    }
}

fn change_part(part: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Empty(_) => part.clear(),
        Change::Double(_) => part.extend_from_within(..),
        Change::Flip(_, at, bits) if !part.is_empty() => {
            let at = at.index(part.len());
            part[at] ^= bits;
        }
        Change::Truncate(_, at) if !part.is_empty() => part.truncate(at.index(part.len())),
        Change::Remove(_, at) if part.len() > 1 => {
            let at = at.index(part.len() - 1);
            part.drain(at..at + 2);
        }
        _ => {}
    }
}

/// Everything that probing asks of a code object; the error is that of reading it.
fn probing(view: &CodeView<'_>, constant: u32) -> Result<(), Error> {
    oracle::check(view, constant)?;
    let analysis = Analysis::new(view)?;
    for index in (0..analysis.instructions().len() as u32).map(InstrIdx) {
        std::hint::black_box(callable_depth(view.version, analysis.get(index)));
        std::hint::black_box(unsettled(&analysis, index));
        std::hint::black_box(stores_sum(&analysis, index));
        let instruction = analysis.get(index);
        operands(view.version, instruction.opcode, instruction.arg);
        for slot in 0..analysis.depth(index).unwrap_or(0).min(8) {
            write_policy(&analysis, index, slot);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 2_000 } else { 20_000 }))]

    #[test]
    fn changed_code_is_refused_or_probed(
        example in prop::sample::select(examples()),
        changes in prop::collection::vec(change(), 1..6),
        constant in prop::sample::select(vec![0, 300, 70_000]),
    ) {
        let mut example = example;
        for change in &changes {
            apply(&mut example, change);
        }
        let _ = probing(&example.view(), constant);
    }

    #[test]
    fn changed_functions_are_refused_or_probed(
        version in prop::sample::select(&Version::ALL[..]),
        statements in statements(),
        changes in prop::collection::vec(change(), 1..4),
    ) {
        let function = Function::new(version, &statements);
        let mut example = Example {
            version,
            name: "generated",
            first_line: 10,
            stack_size: function.stack_size,
            parts: [function.code, function.exception_table, function.location_table],
        };
        for change in &changes {
            apply(&mut example, change);
        }
        let _ = probing(&example.view(), 300);
    }
}

#[test]
fn a_good_part_of_the_changes_is_accepted() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = (prop::sample::select(examples()), change());
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..500 {
        let (mut example, change) = strategy
            .new_tree(&mut runner)
            .expect("nothing is filtered")
            .current();
        apply(&mut example, &change);
        match Analysis::new(&example.view()) {
            Ok(_) => accepted += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(accepted > 50 && refused > 50, "{accepted}, {refused}");
}

/// Bytes of the large code objects; debug builds are some twenty times slower.
const LARGE: usize = if cfg!(debug_assertions) {
    500_000
} else {
    10_000_000
};
/// CPU time for each byte of code and tables.
const TIME: Duration = Duration::from_nanos(if cfg!(debug_assertions) {
    20_000
} else {
    1_000
});

fn opcode(version: Version, op: Op) -> Opcode {
    op.opcode(version).expect("every version has it")
}

fn code(version: Version, instructions: impl IntoIterator<Item = (Op, u8)>) -> Vec<u8> {
    let mut code = Vec::new();
    for (op, arg) in instructions {
        let opcode = opcode(version, op);
        let caches = opcode.info(version).expect("defined").caches;
        code.extend([opcode.0, arg]);
        code.resize(code.len() + 2 * usize::from(caches), 0);
    }
    code
}

/// Reads a code object, probes it everywhere, and looks at the time.
fn in_proportion(version: Version, parts: [&[u8]; 3], stack_size: u32) -> Result<(), Error> {
    let [code, exception_table, location_table] = parts;
    let view = CodeView {
        version,
        code,
        exception_table,
        location_table,
        first_line: 1,
        stack_size,
    };
    let started = ThreadTime::now();
    let done = (|| {
        let analysis = Analysis::new(&view)?;
        let found = sites(&analysis);
        let sequence = probe(version, 70_000);
        let insertions = found.sites.iter().map(|site| Insertion {
            place: site.place,
            sequence: &sequence,
            first: 0,
            branches: None,
        });
        let unwind = Unwind {
            sequence: &sequence,
        };
        insert(&view, &analysis, insertions, Some(unwind)).map(drop)
    })();
    let bytes: usize = parts.iter().map(|part| part.len()).sum();
    let (took, allowed) = (started.elapsed(), TIME * bytes as u32);
    assert!(took < allowed, "{took:?} for {bytes} bytes");
    done
}

/// No location for so many bytes of code.
fn blank(code: &[u8]) -> Vec<u8> {
    let units = code.len() / 2;
    let mut table = vec![0xff; units / 8];
    if !units.is_multiple_of(8) {
        table.push(0xf8 | (units % 8 - 1) as u8);
    }
    table
}

/// The probe after the start of the frame is that of the loop's first round, too. (3.11's `SEND` pops where it jumps, so it cannot come first; from 3.13 on it may have a probe
/// of its own.)
#[test]
fn a_delegation_may_stand_where_a_frame_starts() {
    let version = Version::V3_12;
    let once = [(Op::Resume, 0), (Op::Send, 0)];
    let looped = [
        (Op::Resume, 0),
        (Op::Send, 1),
        (Op::JumpBackwardNoInterrupt, 3),
    ];
    for head in [&once[..], &looped] {
        let tail = [(Op::LoadConst, 0), (Op::ReturnValue, 0)];
        let code = code(version, head.iter().copied().chain(tail));
        let view = CodeView {
            version,
            code: &code,
            exception_table: &[],
            location_table: &blank(&code),
            first_line: 1,
            stack_size: 64,
        };
        oracle::check(&view, 300).expect("accepted");
        let analysis = Analysis::new(&view).expect("accepted");
        let first = &sites(&analysis).sites[0];
        assert_eq!(first.place, Place::After(InstrIdx(0)));
        assert_eq!(first.reports[..], [InstrIdx(0), InstrIdx(1)]);
    }
}

/// Control comes into the middle of a call with a value that nobody has looked at, where no probe may stand.
#[test]
fn a_call_into_whose_middle_a_value_is_brought_has_no_plan() {
    let code = code(
        Version::V3_11,
        [
            (Op::Resume, 0),
            (Op::LoadConst, 0),
            (Op::LoadConst, 0),
            (Op::Send, 2),
            (Op::PopTop, 0),
            (Op::KwNames, 0),
            (Op::PopTop, 0),
            (Op::LoadConst, 0),
            (Op::ReturnValue, 0),
        ],
    );
    let view = CodeView {
        version: Version::V3_11,
        code: &code,
        exception_table: &[],
        location_table: &blank(&code),
        first_line: 1,
        stack_size: 64,
    };
    let analysis = Analysis::new(&view).expect("accepted");
    let planned = Plan::new(&analysis, &Locals::default());
    assert_eq!(
        planned,
        Err(debugop_bytecode::plan::PlanError::NoPlace { offset: 12 })
    );
}

#[test]
fn large_code_takes_time_in_proportion() {
    for version in [Version::V3_11, Version::V3_13] {
        let units = LARGE / 2;
        let around = |body: Vec<(Op, u8)>| {
            let head = [(Op::Resume, 0)];
            let tail = [(Op::LoadConst, 0), (Op::ReturnValue, 0)];
            code(version, head.into_iter().chain(body).chain(tail))
        };
        let nops = around(vec![(Op::Nop, 0); units]);
        let jumps = around(vec![(Op::JumpForward, 0); units]);
        // Far jumps, all of which grow, next to each other.
        let far = around([vec![(Op::JumpForward, 200); units], vec![(Op::Nop, 0); 200]].concat());
        // Sums whose left operands were pushed long before.
        let deep = (MAX_STACK as usize).min(units / 4);
        let sums = [(Op::BinaryOp, 0), (Op::StoreFast, 0)].repeat(deep / 2);
        let sums = around([vec![(Op::LoadFast, 0); deep], sums].concat());
        for code in [&nops, &jumps, &far, &sums] {
            let done = in_proportion(version, [code, &[], &blank(code)], MAX_STACK);
            assert_eq!(done, Ok(()), "{version}");
        }
    }
}

#[test]
fn absurd_tables_take_time_in_proportion() {
    let version = Version::V3_13;
    let small = code(
        version,
        [(Op::Resume, 0), (Op::LoadConst, 0), (Op::ReturnValue, 0)],
    );
    // Empty ranges, all at the start.
    let empty = [0x80, 0, 0, 0].repeat(LARGE / 4);
    assert_eq!(
        in_proportion(version, [&small, &empty, &blank(&small)], 4),
        Ok(())
    );
    let units = vec![0xf8; LARGE];
    assert!(matches!(
        in_proportion(version, [&small, &[], &units], 4),
        Err(Error::LocationLength { units: 3, .. })
    ));
    let endless = vec![0x7f; LARGE];
    for table in [&[&[0x80], &endless[..]].concat(), &endless] {
        assert!(in_proportion(version, [&small, table, &blank(&small)], 4).is_err());
        assert!(in_proportion(version, [&small, &[], table], 4).is_err());
    }
    assert!(matches!(
        in_proportion(version, [&small, &[], &[]], 4),
        Err(Error::LocationLength { .. })
    ));
}

#[test]
fn what_is_too_large_is_refused_at_once() {
    let version = Version::V3_13;
    let small = code(version, [(Op::LoadConst, 0), (Op::ReturnValue, 0)]);
    let large = vec![0x80; MAX_CODE + 2];
    let refused = |parts, stack_size| in_proportion(version, parts, stack_size).expect_err("large");
    let length = MAX_CODE + 2;
    let most = MAX_CODE;
    assert_eq!(
        refused([&large, &[], &[]], 4),
        Error::TooLong { length, most }
    );
    let table = Table::Exception;
    assert_eq!(
        refused([&small, &large, &[]], 4),
        Error::TableTooLong {
            table,
            length,
            most
        }
    );
    let table = Table::Location;
    assert_eq!(
        refused([&small, &[], &large], 4),
        Error::TableTooLong {
            table,
            length,
            most
        }
    );
    assert_eq!(
        refused([&small, &[], &blank(&small)], MAX_STACK + 1),
        Error::StackTooLarge {
            stack_size: MAX_STACK + 1,
            most: MAX_STACK
        }
    );
}
