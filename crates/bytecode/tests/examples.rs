//! Where probes stand in what each version's compiler wrote for a handful of functions (`examples/functions.py`).
//!
//! A line of a snapshot is an instruction; above it the probe that stands there and what it reports, or after it why
//! it is silent.

mod common;

use common::oracle;
use debugop_bytecode::{Analysis, CodeView, InstrIdx, Place, Version, sites};
use std::fmt::Write;

struct Example {
    version: Version,
    name: &'static str,
    first_line: i32,
    stack_size: u32,
    /// `co_code`, `co_exceptiontable`, `co_linetable`.
    parts: [Vec<u8>; 3],
}

impl Example {
    fn view(&self) -> CodeView<'_> {
        let [code, exception_table, location_table] = &self.parts;
        let (first_line, stack_size) = (self.first_line, self.stack_size);
        CodeView {
            version: self.version,
            code,
            exception_table,
            location_table,
            first_line,
            stack_size,
        }
    }
}

fn examples() -> Vec<Example> {
    let files = [
        include_str!("examples/3.11.txt"),
        include_str!("examples/3.12.txt"),
        include_str!("examples/3.13.txt"),
        include_str!("examples/3.14.txt"),
        include_str!("examples/3.15.txt"),
    ];
    let mut examples = Vec::new();
    for (version, file) in Version::ALL.into_iter().zip(files) {
        let lines: Vec<_> = file.lines().collect();
        for lines in lines.chunks_exact(5) {
            let (first_line, stack_size) = lines[1].split_once(' ').expect("two numbers");
            examples.push(Example {
                version,
                name: lines[0],
                first_line: first_line.parse().expect("a number"),
                stack_size: stack_size.parse().expect("a number"),
                parts: [hex(lines[2]), hex(lines[3]), hex(lines[4])],
            });
        }
    }
    examples
}

fn hex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

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
