//! The `jsonl` report: every line conforms to the published schema, and says what the stream says.

use crate::support::{PROGRAMS, Shared, Stream, VERSIONS};
use debugop_report::{FORMAT_VERSION, JsonlReport, Report, Summary, SummaryReport};
use jsonschema::Validator;
use serde_json::Value as Json;

const SCHEMA: &str = include_str!("../../../../docs/jsonl.schema.json");

fn schema() -> Validator {
    let schema: Json = serde_json::from_str(SCHEMA).expect("JSON");
    jsonschema::meta::validate(&schema).expect("a valid schema");
    jsonschema::validator_for(&schema).expect("a schema without external references")
}

fn report(program: &str, version: &str) -> String {
    let out = Shared::default();
    Stream::load(program, version)
        .play(Box::new(JsonlReport::new(out.clone())))
        .expect("written");
    // The snapshot must not change with each release.
    out.text().replace(
        concat!("debugop ", env!("CARGO_PKG_VERSION")),
        "debugop VERSION",
    )
}

fn lines(text: &str) -> Vec<Json> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn every_line_conforms_to_the_schema() {
    let schema = schema();
    for program in PROGRAMS {
        for version in VERSIONS {
            for line in lines(&report(program, version)) {
                if let Err(error) = schema.validate(&line) {
                    panic!("{program} {version}: {error} in {line}");
                }
            }
        }
    }
}

#[test]
fn the_schema_refuses_what_it_should() {
    let schema = schema();
    let step = lines(&report("lol", "3.14"))
        .into_iter()
        .find(|line| line["kind"] == "step")
        .expect("a step");
    assert!(schema.is_valid(&step));
    let with = |key: &str, value: Json| {
        let mut step = step.clone();
        step[key] = value;
        schema.is_valid(&step)
    };
    assert!(!with("event", "explode".into()));
    assert!(!with("surprise", 1.into()));
    assert!(!with("stack", serde_json::json!([{ "type": "list" }])));
    assert!(!with("stack", serde_json::json!([1.5])));
    assert!(with(
        "stack",
        serde_json::json!([{ "type": "float", "value": "nan" }])
    ));
}

#[test]
fn as_programs_see_it() {
    insta::assert_snapshot!(report("lol", "3.14"));
}

#[test]
fn the_header_comes_first_and_code_before_its_steps() {
    let lines = lines(&report("generators", "3.11"));
    assert_eq!(lines[0]["kind"], "header");
    assert_eq!(lines[0]["version"], FORMAT_VERSION);
    assert_eq!(lines.last().expect("lines")["kind"], "summary");
    let mut announced = Vec::new();
    for line in &lines {
        match line["kind"].as_str() {
            Some("code") => {
                assert!(!announced.contains(&line["code"]), "announced twice");
                announced.push(line["code"].clone());
            }
            Some("step") => assert!(announced.contains(&line["code"])),
            _ => {}
        }
    }
}

#[test]
fn frames_end_as_often_as_they_start() {
    for program in PROGRAMS {
        let lines = lines(&report(program, "3.14"));
        let count = |event: &str| {
            lines
                .iter()
                .filter(|line| line["frame_event"] == event)
                .count()
        };
        assert_eq!(
            count("enter"),
            count("return") + count("unwind"),
            "{program}"
        );
    }
}

#[test]
fn a_stream_without_steps_is_still_a_report() {
    let out = Shared::default();
    let report = Box::new(JsonlReport::new(out.clone()));
    report.finish(&Summary::default()).expect("written");
    let kinds: Vec<Json> = lines(&out.text())
        .iter()
        .map(|line| line["kind"].clone())
        .collect();
    assert_eq!(kinds, ["header", "summary"]);
}

#[test]
fn the_shortest_report_is_the_summary() {
    let out = Shared::default();
    Stream::load("threads", "3.14")
        .play(Box::new(SummaryReport::new(out.clone())))
        .expect("written");
    assert_eq!(
        out.text(),
        "41 instructions, 3 frames, 2 functions, 2 threads\n"
    );
}
