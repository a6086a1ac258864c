//! What the recorded programs' steps tell between them.

use std::fmt::Write as _;

use debugop_report::{Story, What};
use debugop_value::Value;

use crate::support::{Stream, VERSIONS};

/// A line an event: `frame qualname offset event details`.
fn told(program: &str, version: &str) -> String {
    let stream = Stream::load(program, version);
    let mut story = Story::default();
    let mut text = String::new();
    for (number, recorded) in (1..).zip(&stream.steps) {
        let step = recorded.step(number, &stream.codes);
        for happening in story.step(&step) {
            let offset = |at| step.code.instruction(at).map(|info| info.offset);
            let by = happening.instruction.and_then(offset);
            let by = by.map_or("?".to_owned(), |by| by.to_string());
            let what = &happening.what;
            let (frame, name) = (step.frame, &step.code.names.qualname);
            // Writing to a String cannot fail.
            let _ = write!(text, "{frame} {name} {by} {}", what.name());
            let mut detail = |name: &str, value: Option<&Value>| {
                if let Some(value) = value {
                    let _ = write!(text, " {name}={}", value.short(40));
                }
            };
            detail("callable", what.callable());
            detail("result", what.result());
            detail("exception", what.exception());
            detail("replaced", what.replaced());
            if let Some(from) = what.from() {
                let _ = write!(text, " from={from}");
            }
            if let Some(handler) = what.handler().and_then(offset) {
                let _ = write!(text, " handler={handler}");
            }
            text.push('\n');
        }
    }
    text
}

#[test]
fn exceptions_and_calls_are_told() {
    for program in ["errors", "generators"] {
        for version in VERSIONS {
            insta::assert_snapshot!(format!("{program}-{version}"), told(program, version));
        }
    }
}

/// Whatever is missing, each event names an instruction that its kind of event comes from.
#[test]
fn holes_make_it_say_less_and_not_wrong() {
    for version in VERSIONS {
        let mut stream = Stream::load("errors", version);
        for holes in 2..9 {
            let mut story = Story::default();
            let mut number = 0;
            stream.steps.retain(|_| {
                number += 1;
                number % holes != 0
            });
            for (number, recorded) in (1..).zip(&stream.steps) {
                let step = recorded.step(number, &stream.codes);
                for happening in story.step(&step) {
                    let info = happening
                        .instruction
                        .and_then(|at| step.code.instruction(at));
                    match happening.what {
                        What::CCall(_) | What::CReturn { .. } | What::UnfollowedReturn { .. } => {
                            let info = info.expect("a call is a step of its own");
                            assert!(info.callable_depth.is_some(), "{info:?}");
                        }
                        _ => {}
                    }
                }
            }
        }
    }
}
