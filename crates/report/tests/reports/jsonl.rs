//! The `jsonl` report: every line conforms to the published schema, and says what the stream says.

use crate::support::{PROGRAMS, Shared, Stream, VERSIONS};
use debugop_report::{FORMAT_VERSION, JsonlReport, Report, Summary, SummaryReport};
use debugop_value::{BigInt, Bytes, Exception, Items, Pairs, Text, Value};
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

/// One value of each kind, whole and cut.
fn every_kind_of_value() -> Vec<Value> {
    let name = || Box::<str>::from("name");
    let items = |items: Vec<Value>, length| Items {
        id: 1,
        items: items.into(),
        length,
    };
    let bytes = Bytes {
        head: [0, 255].into(),
        length: 9,
    };
    let exception = |args: Option<Vec<Value>>| {
        Value::Exception(Box::new(Exception {
            type_name: name(),
            id: 1,
            args: args.map(Into::into),
        }))
    };
    let huge = BigInt::Huge {
        negative: true,
        leading: 1 << 63,
        bits: 1_000_000,
    };
    vec![
        Value::Null,
        Value::None,
        Value::Bool(true),
        Value::Ellipsis,
        Value::NotImplemented,
        Value::Int(-1),
        Value::Int(i64::MIN),
        Value::BigInt(Box::new(BigInt::from_bytes_le(true, &[1; 20]))),
        Value::BigInt(Box::new(huge)),
        Value::Float(-0.0),
        Value::Float(f64::NAN),
        Value::Float(f64::NEG_INFINITY),
        Value::Complex {
            real: f64::INFINITY,
            imaginary: 1.0,
        },
        Value::str("é\u{1f642}\0"),
        Value::Str(Text::from_wtf8(*b"ab", 9)),
        Value::Str(Text::from_wtf8(*b"\xed\xb2\x80", 1)),
        Value::Bytes(bytes.clone()),
        Value::ByteArray(bytes),
        Value::List(items(vec![Value::Deeper], 3)),
        Value::Tuple(items(vec![], 0)),
        Value::Set(items(vec![Value::Int(1)], 1)),
        Value::FrozenSet(items(vec![], 7)),
        Value::Dict(Pairs::whole(1, vec![(Value::Null, Value::str("x"))])),
        Value::Range(Box::new([0, 3, 1].map(Value::Int))),
        Value::Slice(Box::new([Value::None, Value::str("a"), Value::None])),
        Value::Function {
            qualname: name(),
            id: 1,
        },
        Value::Builtin {
            name: name(),
            id: 1,
        },
        Value::Method {
            qualname: name(),
            id: 1,
        },
        Value::Class {
            name: name(),
            id: 1,
        },
        Value::Module {
            name: name(),
            id: 1,
        },
        Value::Code {
            qualname: name(),
            id: 1,
        },
        exception(None),
        exception(Some(vec![Value::Int(1)])),
        Value::Cell {
            id: 1,
            contents: None,
        },
        Value::Cell {
            id: 1,
            contents: Some(Box::new(Value::TaggedInt(3))),
        },
        Value::Object {
            type_name: name(),
            id: 1,
        },
        Value::TaggedInt(-1),
        Value::Deeper,
    ]
}

#[test]
fn every_kind_of_value_conforms_to_the_schema() {
    let schema = schema();
    let mut stream = Stream::load("lol", "3.14");
    stream.steps.truncate(1);
    for value in every_kind_of_value() {
        stream.steps[0].stack = vec![value.clone()];
        let out = Shared::default();
        stream
            .play(Box::new(JsonlReport::new(out.clone())))
            .expect("written");
        for line in lines(&out.text()) {
            if let Err(error) = schema.validate(&line) {
                panic!("{value:?}: {error} in {line}");
            }
        }
    }
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
