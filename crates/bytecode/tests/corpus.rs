//! What must hold for every code object of each interpreter's standard library, tests included.
//!
//! `cargo xtask corpus` makes the dumps and runs this, optimised; without dumps the tests say so and pass. A debug build
//! takes only every 25th file.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that reports figures"
)]

mod common;
#[path = "corpus/reader.rs"]
mod reader;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use cpu_time::ThreadTime;
use debugop_bytecode::argument::{Argument, Resolve, argument};
use debugop_bytecode::opcode::{Op, Opcode};
use debugop_bytecode::{
    Analysis, Branches, CodeView, Inserted, Insertion, InstrIdx, Location, Place, Policy, Silent,
    Unwind, Version, assemble, decode, exception_table, insert, line_starts, location_table,
    operands, remove, sites, write_policy,
};
use reader::{Code, Corpus, Listed};

/// Of so many files one is looked at.
const STEP: u64 = if cfg!(debug_assertions) { 25 } else { 1 };

/// Figures of one version.
#[derive(Default)]
struct Figures {
    codes: u64,
    instructions: u64,
    /// How much larger `co_stacksize` is than the deepest stack of the reachable code.
    slack: BTreeMap<i64, u64>,
    silent: BTreeMap<String, u64>,
    policies: BTreeMap<&'static str, u64>,
    /// Places where a line starts, and instructions of which that cannot be told beforehand.
    lines: (u64, u64),
    transforming: Duration,
}

fn check_version(version: Version) {
    let Some(corpus) = Corpus::open(version) else {
        println!("{version}: skipped, there is no dump; `cargo xtask corpus` makes one");
        return;
    };
    let mut figures = Figures::default();
    let files = Cell::new(0u64);
    let keep = |_: &str| files.replace(files.get() + 1).is_multiple_of(STEP);
    corpus.for_each(keep, |code| check(code, &mut figures));
    assert!(figures.codes > 0);
    println!(
        "{version} ({}): {} code objects, {} instructions\n    \
         co_stacksize beyond the deepest stack: {:?}\n    never reported: {:?}\n    \
         policies of all slots: {:?}\n    \
         line starts, and those that depend on the way: {:?}\n    \
         analysis, sites, insertion and removal: {:.1} million instructions per second of CPU time",
        corpus.interpreter.split(' ').next().unwrap(),
        figures.codes,
        figures.instructions,
        figures.slack,
        figures.silent,
        figures.policies,
        figures.lines,
        figures.instructions as f64 / figures.transforming.as_secs_f64() / 1e6,
    );
}

fn check(code: &Code<'_>, figures: &mut Figures) {
    let name = &code.name;
    let view = &code.view;
    check_round_trips(name, view);
    let started = ThreadTime::now();
    let analysis = Analysis::new(view).unwrap_or_else(|error| panic!("{name}: {error}"));
    figures.transforming += started.elapsed();
    check_dis(code, &analysis);
    check_depths(name, view, &analysis, figures);
    check_insertion(code, &analysis, figures);
    check_line_starts(code, &analysis, figures);
    check_policies(&analysis, figures);
    figures.codes += 1;
    figures.instructions += analysis.instructions().len() as u64;
}

fn check_round_trips(name: &str, view: &CodeView<'_>) {
    let instructions =
        decode(view.version, view.code).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(
        assemble(view.version, &instructions) == view.code,
        "{name}: co_code"
    );
    let entries = exception_table::parse(view.exception_table).unwrap();
    assert!(
        exception_table::write(&entries) == view.exception_table,
        "{name}: co_exceptiontable"
    );
    let locations = location_table::parse(view.location_table, view.first_line).unwrap();
    let written = location_table::write(&locations, view.first_line);
    assert!(written == view.location_table, "{name}: co_linetable");
}

/// `dis` lists the same instructions: offset, opcode, oparg, jump target, labels, positions.
fn check_dis(code: &Code<'_>, analysis: &Analysis) {
    let version = analysis.version();
    let extended = Op::ExtendedArg.opcode(version).unwrap();
    let mut labels = vec![false; analysis.instructions().len()];
    for instruction in analysis.instructions() {
        if let Argument::Jump(target) | Argument::JumpOrigin(target) =
            argument(version, instruction)
        {
            labels[analysis.at_start(target).unwrap().0 as usize] = true;
        }
    }
    let mut prefixes = 0;
    let mut label = false;
    let mut listed = code.dis.iter();
    for (index, instruction) in analysis.instructions().iter().enumerate() {
        let index = InstrIdx(index as u32);
        let line: &Listed = loop {
            let line = listed
                .next()
                .unwrap_or_else(|| panic!("{}: dis lists less", code.name));
            label |= line.label != 0;
            if line.opcode != i32::from(extended.0) {
                break line;
            }
            prefixes += 1;
        };
        let fail = |what: &str| {
            panic!(
                "{}: {what} of {instruction:?}, dis says {line:?}",
                code.name
            )
        };
        let info = instruction.opcode.info(version).unwrap();
        if line.offset != instruction.offset as i32 {
            fail("offset");
        }
        if line.opcode != i32::from(instruction.opcode.0) {
            fail("opcode");
        }
        if instruction.prefixes() != prefixes {
            fail("prefixes");
        }
        prefixes = 0;
        if line.arg != -1 && line.arg != instruction.arg as i32 {
            fail("oparg");
        }
        if (line.arg == -1) != (info.arg == debugop_bytecode::ArgKind::None) {
            fail("presence of an oparg");
        }
        let target = match argument(version, instruction) {
            Argument::Jump(target) | Argument::JumpOrigin(target) => target as i32,
            Argument::Invalid(_) => fail("validity"),
            _ => -1,
        };
        if target != line.target {
            fail("jump target");
        }
        if info.jump != debugop_bytecode::JumpKind::None
            && instruction.jump_target(version) != Some(target as u32)
        {
            fail("jump_target()");
        }
        if std::mem::take(&mut label) != labels[index.0 as usize] {
            fail("label");
        }
        if analysis.is_jump_target(index) && !labels[index.0 as usize] {
            fail("is_jump_target()");
        }
        if positions(&analysis.location(index)) != line.positions {
            fail("positions");
        }
    }
    assert!(listed.next().is_none(), "{}: dis lists more", code.name);
}

fn positions(location: &Location) -> [i32; 4] {
    let column = |column: Option<u32>| column.map_or(-1, |column| column as i32);
    [
        location.line.unwrap_or(-1),
        location.end_line.unwrap_or(-1),
        column(location.column),
        column(location.end_column),
    ]
}

fn check_depths(name: &str, view: &CodeView<'_>, analysis: &Analysis, figures: &mut Figures) {
    let mut deepest = 0;
    for (index, instruction) in analysis.instructions().iter().enumerate() {
        let Some(depth) = analysis.depth(InstrIdx(index as u32)) else {
            continue;
        };
        let operands = operands(view.version, instruction.opcode, instruction.arg).unwrap();
        assert!(
            operands.pops() <= u64::from(depth),
            "{name}: {instruction:?} at depth {depth}"
        );
        let after = u64::from(depth) - operands.pops() + operands.pushes;
        deepest = deepest.max(u64::from(depth)).max(after);
    }
    assert!(
        deepest <= u64::from(view.stack_size),
        "{name}: {deepest} > {}",
        view.stack_size
    );
    *figures
        .slack
        .entry(i64::from(view.stack_size) - deepest as i64)
        .or_default() += 1;
}

/// Inserts everywhere, with short and long opargs in turn, and takes everything out again.
fn check_insertion(code: &Code<'_>, analysis: &Analysis, figures: &mut Figures) {
    let view = &code.view;
    let version = view.version;
    let [load, invert, pop] =
        [Op::LoadConst, Op::UnaryInvert, Op::PopTop].map(|op| op.opcode(version).unwrap());
    let sequences = [7, 300, 70_000].map(|constant| [(load, constant), (invert, 0), (pop, 0)]);

    let started = ThreadTime::now();
    let sites = sites(analysis);
    let insertions: Vec<_> = sites
        .sites
        .iter()
        .enumerate()
        .map(|(number, site)| Insertion {
            place: site.place,
            sequence: &sequences[(number % 50) / 20],
            first: 0,
            branches: None,
        })
        .collect();
    let unwind = Unwind {
        sequence: &sequences[0],
    };
    let inserted = insert(view, analysis, &insertions, Some(unwind))
        .unwrap_or_else(|error| panic!("{}: {error}", code.name));
    let removed = remove(&inserted).unwrap_or_else(|error| panic!("{}: {error}", code.name));
    figures.transforming += started.elapsed();

    assert!(
        removed.code == view.code,
        "{}: co_code after removal",
        code.name
    );
    assert!(
        removed.exception_table == view.exception_table,
        "{}: exceptions after removal",
        code.name
    );
    assert!(
        removed.location_table == view.location_table,
        "{}: locations after removal",
        code.name
    );
    assert_eq!(removed.stack_size, view.stack_size, "{}", code.name);
    check_inserted(code, analysis, &inserted);

    let count = analysis.instructions().len();
    let mut spoken_for = vec![0; count];
    for site in &sites.sites {
        for index in &site.reports {
            spoken_for[index.0 as usize] += 1;
        }
    }
    for (index, reason) in &sites.silent {
        assert_eq!(
            spoken_for[index.0 as usize], 0,
            "{}: {index:?} is silent and reported",
            code.name
        );
        spoken_for[index.0 as usize] += 1;
        if *reason == Silent::Unreachable {
            assert_eq!(analysis.depth(*index), None, "{}: {index:?}", code.name);
        }
        let op = analysis.get(*index).opcode.name(version);
        let key = if *reason == Silent::Unreachable {
            "Unreachable".to_owned()
        } else {
            format!("{reason:?} {op}")
        };
        *figures.silent.entry(key).or_default() += 1;
    }
    for (index, &times) in spoken_for.iter().enumerate() {
        let instruction = &analysis.instructions()[index];
        assert!(
            times > 0,
            "{}: nothing speaks for {instruction:?}",
            code.name
        );
    }
}

/// Original instructions keep opcode, oparg (jumps: their target), location, depth and handler.
fn check_inserted(code: &Code<'_>, analysis: &Analysis, inserted: &Inserted) {
    let name = &code.name;
    let new_view = CodeView {
        code: &inserted.code,
        exception_table: &inserted.exception_table,
        location_table: &inserted.location_table,
        stack_size: inserted.stack_size,
        ..code.view
    };
    let new =
        Analysis::new(&new_view).unwrap_or_else(|error| panic!("{name}: inserted code: {error}"));
    let appended = if inserted.unwind.is_some() { 1 } else { 0 };
    assert!(
        inserted.stack_size + 1 >= code.view.stack_size + appended,
        "{name}"
    );
    for (index, instruction) in analysis.instructions().iter().enumerate() {
        let index = InstrIdx(index as u32);
        let offset = inserted.map.to_new(instruction.offset).unwrap();
        let fail = |what: &str| panic!("{name}: {what} of {instruction:?}, now at {offset}");
        let Some(moved) = new.at_offset(offset) else {
            fail("place")
        };
        if inserted.map.to_original(offset) != Some(instruction.offset) {
            fail("way back");
        }
        let now = new.get(moved);
        if now.opcode != instruction.opcode {
            fail("opcode");
        }
        if new.location(moved) != analysis.location(index) {
            fail("location");
        }
        if new.depth(moved) != analysis.depth(index) {
            fail("depth");
        }
        match analysis.target(index) {
            None if now.arg != instruction.arg => {
                // END_ASYNC_FOR counts back to the instruction it ends.
                let is_origin = matches!(
                    argument(code.view.version, instruction),
                    Argument::JumpOrigin(_)
                );
                if !is_origin {
                    fail("oparg");
                }
            }
            None => {}
            Some(target) => {
                let landing = inserted.map.to_landing(analysis.get(target).offset);
                if now.jump_target(code.view.version) != landing {
                    fail("jump target");
                }
            }
        }
        if let Some(entry) = analysis.exception_entry(index) {
            let Some(now) = new.exception_entry(moved) else {
                fail("handler")
            };
            let handler = analysis
                .get(analysis.at_start(entry.target).unwrap())
                .offset;
            if (now.depth, now.lasti) != (entry.depth, entry.lasti)
                || Some(now.target) != inserted.map.to_landing(handler)
            {
                fail("handler");
            }
        }
    }
}

/// A condition with a handler of its own at every line start.
fn check_line_starts(code: &Code<'_>, analysis: &Analysis, figures: &mut Figures) {
    let name = &code.name;
    let found = line_starts(analysis);
    figures.lines.0 += found.starts.len() as u64;
    figures.lines.1 += found.unsettled.len() as u64;
    let fragments =
        [7, 70_000].map(|constant| common::oracle::conditional(analysis.version(), constant));
    let insertions: Vec<_> = found
        .starts
        .iter()
        .map(|start| {
            let fragment = &fragments[usize::from(start.at.0 % 16 == 0)];
            Insertion {
                place: Place::Before(start.at),
                sequence: &fragment.sequence,
                first: 0,
                branches: Some(Branches {
                    protected: &fragment.protected,
                    skips_fall_through: start.skips_fall_through,
                }),
            }
        })
        .collect();
    let inserted = insert(&code.view, analysis, &insertions, None)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    check_inserted(code, analysis, &inserted);
    let removed = remove(&inserted).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(removed.code == code.view.code, "{name}");
    assert!(
        removed.exception_table == code.view.exception_table,
        "{name}"
    );
    assert!(removed.location_table == code.view.location_table, "{name}");
}

fn check_policies(analysis: &Analysis, figures: &mut Figures) {
    let count = analysis.instructions().len() as u32;
    // Each question is answered anew, so only some are asked about long code.
    let step = 1 + count / 100;
    for index in (0..count).step_by(step as usize).map(InstrIdx) {
        for slot in 0..analysis.depth(index).unwrap_or(0) {
            let policy = match write_policy(analysis, index, slot) {
                Policy::Any => "any",
                Policy::AnyOrNull => "any or null",
                Policy::Exception(_) => "exception",
                Policy::Iterator(_) => "iterator",
                Policy::SameType(_) => "same type",
                Policy::Fixed(operands::Reason::TooFar) => "too far",
                Policy::Fixed(_) => "fixed",
            };
            *figures.policies.entry(policy).or_default() += 1;
        }
    }
}

/// Shows the index of everything.
struct StandIns;

impl Resolve for StandIns {
    fn constant(&self, index: u32, text: &mut String) {
        *text += &format!("c{index}");
    }
    fn name(&self, index: u32, text: &mut String) {
        *text += &format!("n{index}");
    }
    fn local(&self, index: u32, text: &mut String) {
        *text += &format!("v{index}");
    }
    fn label(&self, _offset: u32) -> Option<u32> {
        None
    }
}

#[derive(serde::Deserialize)]
struct Argreprs {
    opargs: Vec<u32>,
    argreprs: BTreeMap<String, Vec<Option<String>>>,
}

#[test]
fn dis_shows_the_same_argreprs() {
    for version in Version::ALL {
        let Some(text) = Corpus::open(version).and_then(|corpus| corpus.extra("arguments.json"))
        else {
            println!("{version}: argreprs not compared, there is no dump");
            continue;
        };
        let Argreprs { opargs, argreprs } = serde_json::from_slice(&text).unwrap();
        let mut compared = 0;
        for (name, expected) in &argreprs {
            let opcode =
                Opcode::by_name(version, name).unwrap_or_else(|| panic!("{version} {name}"));
            for (&arg, expected) in opargs.iter().zip(expected) {
                if version == Version::V3_11 && name == "KW_NAMES" {
                    continue; // 3.11's dis leaves it blank: _get_const_value() knows only LOAD_CONST.
                }
                let argument = Argument::new(version, opcode, arg, 100_000);
                let shown = match argument {
                    Argument::Invalid(_) => None,
                    argument => Some(argument.repr(version, &StandIns)),
                };
                assert_eq!(shown, *expected, "{version} {name} {arg}: {argument:?}");
                compared += 1;
            }
        }
        println!(
            "{version}: {compared} argreprs of {} opcodes as dis shows them",
            argreprs.len()
        );
    }
}

#[test]
fn headers_count_the_same_operands() {
    for version in Version::ALL {
        let Some(text) = Corpus::open(version).and_then(|corpus| corpus.extra("counts")) else {
            println!("{version}: operand counts not compared, the dump has none");
            continue;
        };
        let mut compared = 0;
        for line in String::from_utf8(text).unwrap().lines() {
            let numbers: Vec<u32> = line
                .split(' ')
                .map(|number| number.parse().unwrap())
                .collect();
            let [opcode, oparg, popped, pushed] = numbers[..] else {
                panic!("{line}")
            };
            let opcode = Opcode(opcode as u8);
            let Some(info) = opcode.info(version) else {
                continue;
            };
            let Some(operands) = operands(version, opcode, oparg) else {
                panic!("{line}")
            };
            // Outside what the compiler emits the headers just subtract: opargs that count slots from the top
            // start at 1 (COPY, LIST_APPEND …) or 2 (SWAP), and a slice has two or three parts.
            let allowed = match info.op {
                Op::BuildSlice => 2..=3,
                Op::Swap => 2..=u32::MAX,
                Op::Copy
                | Op::ListAppend
                | Op::SetAdd
                | Op::MapAdd
                | Op::ListExtend
                | Op::SetUpdate
                | Op::DictUpdate
                | Op::DictMerge => 1..=u32::MAX,
                _ => 0..=u32::MAX,
            };
            // 3.14 counts the value that RETURN_VALUE leaves to the caller.
            if !allowed.contains(&oparg) || info.op == Op::ReturnValue {
                continue;
            }
            let counts = (operands.pops(), operands.pushes);
            assert_eq!(
                counts,
                (u64::from(popped), u64::from(pushed)),
                "{version} {:?} {oparg}",
                info.op
            );
            compared += 1;
        }
        println!("{version}: {compared} operand counts as in pycore_opcode_metadata.h");
    }
}

#[test]
fn v3_11() {
    check_version(Version::V3_11);
}

#[test]
fn v3_12() {
    check_version(Version::V3_12);
}

#[test]
fn v3_13() {
    check_version(Version::V3_13);
}

#[test]
fn v3_14() {
    check_version(Version::V3_14);
}

#[test]
fn v3_15() {
    check_version(Version::V3_15);
}
