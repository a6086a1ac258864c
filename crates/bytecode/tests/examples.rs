//! Where probes stand in what each version's compiler wrote for a handful of functions (`examples/functions.py`).
//!
//! A line of a snapshot is an instruction; above it the probe that stands there and what it reports, or after it why
//! it is silent.

mod common;

use common::example::{Example, examples};
use common::oracle;
use debugop_bytecode::{Analysis, InstrIdx, Place, sites};
use std::fmt::Write;

fn listing(example: &Example) -> String {
    let analysis = Analysis::new(&example.view()).expect("the compiler's own");
    let found = sites(&analysis);
    let name = |index: InstrIdx| analysis.get(index).opcode.name(example.version);
    let mut text = String::new();
    let probe = |text: &mut String, place| {
        for site in found.sites.iter().filter(|site| site.place == place) {
            let reports: Vec<_> = site.reports.iter().map(|&index| name(index)).collect();
            let edge = if matches!(place, Place::After(_)) {
                "falling through"
            } else {
                "always"
            };
            writeln!(text, "      > {edge}: {}", reports.join(", ")).expect("a string");
        }
    };
    for index in (0..analysis.instructions().len() as u32).map(InstrIdx) {
        probe(&mut text, Place::Before(index));
        let silent = found.silent.iter().find(|silent| silent.0 == index);
        let silent = silent.map_or(String::new(), |silent| format!("  silent: {:?}", silent.1));
        let depth = analysis
            .depth(index)
            .map_or(String::from("-"), |depth| depth.to_string());
        let mark = if analysis.is_handler(index) {
            "!"
        } else if analysis.is_jump_target(index) {
            ":"
        } else {
            " "
        };
        writeln!(
            text,
            "{:4}{mark} {depth} {}{silent}",
            analysis.get(index).offset,
            name(index)
        )
        .expect("a string");
        probe(&mut text, Place::After(index));
    }
    text
}

#[test]
fn probes_stand_where_they_may() {
    for example in examples() {
        let name = format!("{}_{}", example.version, example.name);
        insta::assert_snapshot!(name, listing(&example));
    }
}

#[test]
fn insertion_keeps_every_promise() {
    for example in examples() {
        oracle::check(&example.view(), 300).expect("the compiler's own");
    }
}
