//! Probe plans: from every site each way is unique and every value gets looked at.

#![allow(clippy::print_stdout, reason = "a test that reports figures")]

mod common;
#[allow(dead_code, reason = "what `dis` says is for the other tests")]
#[path = "corpus/reader.rs"]
mod reader;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use common::example::examples;
use common::function::{Function, statements};
use common::oracle::probe;
use cpu_time::ThreadTime;
use debugop_bytecode::plan::numeric::{self, Number, Numeric};
use debugop_bytecode::plan::{LAST_LOOKING_AT_COMMON_VERSION, LAST_MISSING_ENDS_VERSION, check};
use debugop_bytecode::{
    Analysis, ArgKind, CodeView, Insertion, InstrIdx, Locals, Op, PLAN_VERSION, Place, Plan,
    SiteKind, Unwind, Version, insert, sites,
};
use proptest::prelude::*;
use reader::Corpus;

/// As many locals as the code names, every second an argument.
fn locals(analysis: &Analysis) -> Locals {
    let of = |instruction: &debugop_bytecode::Instruction| {
        let info = instruction
            .opcode
            .info(analysis.version())
            .expect("defined");
        match info.arg {
            ArgKind::Local | ArgKind::Free => instruction.arg.saturating_add(1),
            ArgKind::LocalPair => (instruction.arg >> 4).max(instruction.arg & 15) + 1,
            _ => 0,
        }
    };
    let slots = analysis.instructions().iter().map(of).max().unwrap_or(0);
    Locals {
        locals: slots,
        slots,
        arguments: slots / 2,
    }
}

#[derive(Default)]
struct Figures {
    codes: u64,
    instructions: u64,
    everywhere: u64,
    sites: BTreeMap<&'static str, u64>,
    captures: u64,
    /// Code objects that have a numeric half, and the sites that it does not have.
    numeric: u64,
    left_out: u64,
    planning: Duration,
}

/// Some constants are small, some larger, some floats and some no numbers.
fn constants() -> Vec<Option<Number>> {
    let number = |index: u32| match index % 4 {
        0 => Number::int(1),
        1 => Number::int(1 << 30),
        2 => Number::float(0.5_f64.to_bits()),
        _ => None,
    };
    (0..256).map(number).collect()
}

fn check_plan(name: &str, view: &CodeView<'_>, figures: &mut Figures) {
    let analysis = Analysis::new(view).unwrap_or_else(|error| panic!("{name}: {error}"));
    let locals = locals(&analysis);
    let started = ThreadTime::now();
    let plan = Plan::new(&analysis, &locals).unwrap_or_else(|error| {
        panic!("{name}: {error}\n{}", listing(&analysis, &Plan::default()))
    });
    figures.planning += started.elapsed();
    if let Err(violation) = check::check(&analysis, &locals, &plan) {
        panic!("{name}: {violation}\n{}", listing(&analysis, &plan));
    }
    let constants = constants();
    let numeric = Numeric::new(&analysis, &locals, &plan, &constants);
    if let Err(violation) = numeric::check::check(&analysis, &locals, &plan, &constants, &numeric) {
        panic!(
            "{name}: {violation}\n{numeric:?}\n{}",
            listing(&analysis, &plan)
        );
    }
    if !numeric.sites.is_empty() {
        figures.numeric += 1;
        figures.left_out += (plan.sites.len() - numeric.sites.len()) as u64;
    }
    let sequence = probe(view.version, 300);
    let places = plan
        .sites
        .iter()
        .filter(|site| site.kind != SiteKind::Unwind);
    let insertions: Vec<_> = places
        .map(|site| Insertion {
            place: site.place,
            sequence: &sequence,
            first: 0,
            branches: None,
        })
        .collect();
    let unwind = Unwind {
        sequence: &sequence,
    };
    insert(view, &analysis, &insertions, Some(unwind))
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    figures.codes += 1;
    let reached = (0..analysis.instructions().len() as u32)
        .filter(|&index| analysis.depth(InstrIdx(index)).is_some());
    figures.instructions += reached.count() as u64;
    figures.everywhere += sites(&analysis).sites.len() as u64;
    for site in &plan.sites {
        let kind = match site.kind {
            SiteKind::Start => "start",
            SiteKind::Resume => "resume",
            SiteKind::Handler => "handler",
            SiteKind::Unwind => "unwind",
            SiteKind::Step if !site.touches.is_empty() => "touch",
            SiteKind::Step if !site.captures.is_empty() => "values",
            SiteKind::Step => "way only",
        };
        *figures.sites.entry(kind).or_default() += 1;
        figures.captures += site.captures.len() as u64;
    }
}

/// The code with its sites, for whoever looks into a failure.
fn listing(analysis: &Analysis, plan: &Plan) -> String {
    let mut text = String::new();
    for (index, instruction) in analysis.instructions().iter().enumerate() {
        let index = InstrIdx(index as u32);
        let mut site = |place| {
            if let Some(number) = plan.at(place) {
                text += &format!("      {number}: {:?}\n", plan.sites[number as usize]);
            }
        };
        site(Place::Before(index));
        let name = instruction.opcode.name(analysis.version());
        let after = Place::After(index);
        let (depth, target) = (analysis.depth(index), analysis.target(index));
        text += &format!(
            "{:4} {name} {} depth {depth:?} to {target:?}\n",
            index.0, instruction.arg
        );
        let mut site = |place| {
            if let Some(number) = plan.at(place) {
                text += &format!("      {number}: {:?}\n", plan.sites[number as usize]);
            }
        };
        site(after);
    }
    text
}

/// Before version 4 of plans what `LOAD_COMMON_CONSTANT` loads is looked at, whatever it is.
#[test]
fn common_constants_known_by_value_are_not_looked_at() {
    let mut returned = 0;
    for example in examples() {
        let view = example.view();
        let analysis = Analysis::new(&view).expect("the compiler wrote it");
        let locals = locals(&analysis);
        let [older, newer] = [LAST_LOOKING_AT_COMMON_VERSION, PLAN_VERSION].map(|version| {
            let plan = Plan::of_version(&analysis, &locals, version).expect("planned");
            check::check(&analysis, &locals, &plan).expect("every value is looked at or known");
            plan
        });
        let code = analysis.instructions();
        for (at, pair) in (0..).zip(code.windows(2)) {
            let ops =
                [&pair[0], &pair[1]].map(|one| one.opcode.info(view.version).map(|info| info.op));
            if ops != [Some(Op::LoadCommonConstant), Some(Op::ReturnValue)] {
                continue;
            }
            let end = InstrIdx(at + 1);
            let slot = locals.slots + analysis.depth(end).expect("it is reached") - 1;
            let looks = |plan: &Plan| {
                let sites =
                    [Place::Before(end), Place::After(InstrIdx(at))].map(|place| plan.at(place));
                let mut sites = sites.into_iter().flatten();
                sites.any(|site| plan.sites[site as usize].captures.contains(&slot))
            };
            let is_known = ["None", "True", "False", "-1"]
                .contains(&view.version.common_constants()[pair[0].arg as usize]);
            assert!(looks(&older), "{} {at}", example.name);
            assert_eq!(looks(&newer), !is_known, "{} {at}", example.name);
            returned += u32::from(is_known);
        }
    }
    assert!(returned > 0);
}

/// Before version 5 of plans the numeric half left out sites to which more than 256 instructions lead without another one, where another way leads to the same place.
#[test]
fn ways_of_any_length_stay_unique() {
    use common::function::Statement::{Add, If, Nops, While, With, Yield};
    let mut ambiguous = 0;
    let all = Version::ALL.into_iter();
    for (version, times) in all.flat_map(|version| (235..265).map(move |times| (version, times))) {
        let long = || Nops { times };
        let branch = If(vec![], vec![long(), If(vec![], vec![]), Add]);
        let loops = While(vec![Add, Yield]);
        for statements in [
            vec![With(vec![branch])],
            vec![If(vec![long(), loops, Nops { times: 30 }], vec![]), Yield],
        ] {
            let function = Function::new(version, &statements);
            let analysis = Analysis::new(&function.view()).expect("valid");
            let locals = locals(&analysis);
            // Numbers are arguments, too.
            let locals = Locals {
                arguments: locals.locals,
                ..locals
            };
            let check = |plans| {
                let plan = Plan::of_version(&analysis, &locals, plans).expect("planned");
                let numeric = Numeric::of_version(&analysis, &locals, &plan, &[], plans);
                numeric::check::check(&analysis, &locals, &plan, &[], &numeric)
            };
            assert_eq!(check(PLAN_VERSION), Ok(()), "{version} {times}");
            ambiguous += u32::from(check(LAST_MISSING_ENDS_VERSION).is_err());
        }
    }
    assert!(ambiguous > 0);
}

#[test]
fn what_compilers_write_is_planned() {
    for example in examples() {
        let name = format!("{} {}", example.version, example.name);
        check_plan(&name, &example.view(), &mut Figures::default());
    }
}

/// `PROPTEST_CASES`, or so many.
fn cases(usual: u32) -> u32 {
    let wanted = std::env::var("PROPTEST_CASES");
    wanted.map_or(usual, |wanted| wanted.parse().expect("a number"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(256)))]

    #[test]
    fn any_function_of_the_grammar_is_planned(
        version in prop::sample::select(&Version::ALL[..]),
        statements in statements(),
    ) {
        let function = Function::new(version, &statements);
        check_plan("generated", &function.view(), &mut Figures::default());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(2000)))]

    /// What no compiler wrote has a plan that is enough, or none.
    #[test]
    fn changed_code_is_planned_or_refused(
        example in prop::sample::select(examples()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut example = example;
        for (at, byte) in changes {
            let code = &mut example.parts[0];
            let at = at.index(code.len());
            code[at] = byte;
        }
        if let Ok(analysis) = Analysis::new(&example.view()) {
            let locals = locals(&analysis);
            if let Ok(plan) = Plan::new(&analysis, &locals) {
                let checked = check::check(&analysis, &locals, &plan);
                prop_assert!(checked.is_ok(), "{:?}\n{}", checked, listing(&analysis, &plan));
                let constants = constants();
                let numeric = Numeric::new(&analysis, &locals, &plan, &constants);
                let checked = numeric::check::check(&analysis, &locals, &plan, &constants, &numeric);
                prop_assert!(checked.is_ok(), "{:?}\n{}", checked, listing(&analysis, &plan));
            }
        }
    }
}

/// Of so many files one is looked at.
const STEP: u64 = if cfg!(debug_assertions) { 25 } else { 1 };

fn check_version(version: Version) {
    let Some(corpus) = Corpus::open(version) else {
        println!("{version}: skipped, there is no dump; `cargo xtask corpus` makes one");
        return;
    };
    let mut figures = Figures::default();
    let files = Cell::new(0u64);
    let keep = |_: &str| files.replace(files.get() + 1).is_multiple_of(STEP);
    corpus.for_each(keep, |code| {
        check_plan(&code.name, &code.view, &mut figures);
    });
    assert!(figures.codes > 0);
    let sites: u64 = figures.sites.values().sum();
    println!(
        "{version}: {} have a numeric half, without {} of their sites",
        figures.numeric, figures.left_out
    );
    println!(
        "{version}: {} code objects, {} reachable instructions, {} sites everywhere, {sites} planned ({:.1} %), {:.2} captures a site\n    \
         {:?}\n    planning: {:.1} million instructions per second of CPU time",
        figures.codes,
        figures.instructions,
        figures.everywhere,
        100.0 * sites as f64 / figures.instructions as f64,
        figures.captures as f64 / sites as f64,
        figures.sites,
        figures.instructions as f64 / figures.planning.as_secs_f64() / 1e6,
    );
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
