//! Streams that `tests/data/record.py` recorded.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use debugop_bytecode::{Analysis, CodeView, InstrIdx, Version};
use debugop_report::{CodeInfo, CodeNames, Counter, Event, Report, Sources, Step};
use debugop_value::{Exception, Items, Pairs, Value};
use serde_json::Value as Json;

/// Every recorded program.
pub(crate) const PROGRAMS: [&str; 7] = [
    "deep",
    "lol",
    "fib",
    "errors",
    "generators",
    "multiline",
    "threads",
];

/// The versions that record.py can record with.
pub(crate) const VERSIONS: [&str; 2] = ["3.11", "3.14"];

/// A writer whose contents can still be read when a report owns it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    pub(crate) fn text(&self) -> String {
        let bytes = self.0.lock().expect("no panic while writing").clone();
        String::from_utf8(bytes).expect("reports are UTF-8")
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic while writing").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn data(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(path)
}

/// The sources of the recorded programs.
pub(crate) fn sources() -> Sources {
    let mut sources = Sources::new();
    for program in PROGRAMS {
        let path = data(&format!("programs/{program}.py"));
        let text = fs::read_to_string(path).expect("the program is there");
        sources.register(&format!("{program}.py"), text);
    }
    sources
}

/// A recorded program.
pub(crate) struct Stream {
    pub(crate) codes: Vec<CodeInfo>,
    pub(crate) steps: Vec<RecordedStep>,
}

/// A step that owns what it tells.
#[derive(Clone)]
pub(crate) struct RecordedStep {
    pub(crate) thread: u64,
    pub(crate) frame: u64,
    pub(crate) depth: u32,
    /// Index of the code object.
    pub(crate) code: usize,
    pub(crate) instruction: InstrIdx,
    pub(crate) event: Event,
    pub(crate) stack: Vec<Value>,
    pub(crate) exception: Option<Value>,
}

impl RecordedStep {
    pub(crate) fn step<'a>(&'a self, number: u64, codes: &'a [CodeInfo]) -> Step<'a> {
        Step {
            number,
            thread: self.thread,
            frame: self.frame,
            depth: self.depth,
            code: &codes[self.code],
            instruction: self.instruction,
            event: self.event,
            stack: &self.stack,
            exception: self.exception.as_ref(),
        }
    }
}

impl Stream {
    pub(crate) fn load(program: &str, version: &str) -> Self {
        let path = data(&format!("streams/{program}-{version}.json"));
        let text = fs::read_to_string(path).expect("the stream is there");
        let mut lines = text
            .lines()
            .map(|line| serde_json::from_str::<Json>(line).expect("JSON"));
        let header = lines.next().expect("a header");
        let minor = u8::try_from(number_of(&header["minor"])).expect("a minor version");
        let version = Version::from_minor(minor).expect("a known version");
        let codes: Vec<CodeInfo> = array(&header["codes"])
            .iter()
            .map(|code| code_info(version, code))
            .collect();
        let steps = lines.map(|line| recorded_step(&codes, &line)).collect();
        Stream { codes, steps }
    }

    /// Sends all steps to a report, and ends it.
    pub(crate) fn play(&self, mut report: Box<dyn Report>) -> io::Result<()> {
        let mut counter = Counter::default();
        for (number, recorded) in (1..).zip(&self.steps) {
            let step = recorded.step(number, &self.codes);
            counter.step(&step);
            report.step(&step)?;
        }
        report.finish(&counter.summary())
    }
}

fn recorded_step(codes: &[CodeInfo], line: &Json) -> RecordedStep {
    let small = |key: &str| u32::try_from(number_of(&line[key])).expect("small");
    let code = small("code") as usize - 1;
    let offset = small("offset");
    let at = codes[code]
        .instructions()
        .iter()
        .position(|info| info.offset == offset)
        .unwrap_or_else(|| {
            panic!(
                "no instruction at {offset} of {}",
                codes[code].names.qualname
            )
        });
    RecordedStep {
        thread: number_of(&line["thread"]),
        frame: number_of(&line["frame"]),
        depth: small("depth"),
        code,
        instruction: InstrIdx(u32::try_from(at).expect("small")),
        event: match text(&line["event"]) {
            "unwind" => Event::Unwind,
            _ => Event::Instruction,
        },
        stack: array(&line["stack"]).iter().map(value).collect(),
        exception: line.get("exception").map(value),
    }
}

fn code_info(version: Version, code: &Json) -> CodeInfo {
    let bytes = |key: &str| hex(text(&code[key]));
    let view = CodeView {
        version,
        code: &bytes("code"),
        exception_table: &bytes("exception_table"),
        location_table: &bytes("location_table"),
        first_line: i32::try_from(number_of(&code["first_line"])).expect("a line"),
        stack_size: u32::try_from(number_of(&code["stack_size"])).expect("a size"),
    };
    let texts = |key: &str| {
        array(&code[key])
            .iter()
            .map(|name| text(name).to_owned())
            .collect()
    };
    let names = CodeNames {
        name: text(&code["name"]).into(),
        qualname: text(&code["qualname"]).into(),
        filename: text(&code["filename"]).into(),
        first_line: view.first_line,
        module: Some("__main__".into()),
        consts: array(&code["consts"]).iter().map(value).collect(),
        names: texts("names"),
        localsplus: texts("localsplus"),
    };
    let analysis = Analysis::new(&view).expect("code of a real program");
    let id = u32::try_from(number_of(&code["id"])).expect("small");
    CodeInfo::new(id, names, &analysis)
}

fn value(json: &Json) -> Value {
    let id = json.get("id").map_or(0, number_of);
    let name = || json.get("name").map_or("", text).into();
    let class = || json.get("class").map_or("", text).into();
    let part = |key: &str| value(&json[key]);
    let items = |key: &str| array(&json[key]).iter().map(value).collect::<Vec<_>>();
    let sized = || Items {
        id,
        items: items("items").into(),
        length: number_of(&json["length"]),
    };
    let kind = match json {
        Json::Null => return Value::None,
        Json::Bool(bool) => return Value::Bool(*bool),
        Json::Number(number) => return Value::Int(number.as_i64().expect("an int")),
        Json::String(string) => return Value::str(string),
        _ => text(&json["type"]),
    };
    match kind {
        "NULL" => Value::Null,
        "raw" => Value::TaggedInt(json["value"].as_i64().expect("an int")),
        "float" => Value::Float(json["value"].as_f64().expect("a float")),
        "list" => Value::List(sized()),
        "tuple" => Value::Tuple(sized()),
        "set" => Value::Set(sized()),
        "dict" => Value::Dict(Pairs {
            id,
            pairs: array(&json["pairs"])
                .iter()
                .map(|pair| (value(&pair[0]), value(&pair[1])))
                .collect(),
            length: number_of(&json["length"]),
        }),
        "range" => Value::Range(Box::new([part("start"), part("stop"), part("step")])),
        "function" => Value::Function {
            qualname: name(),
            id,
        },
        "builtin" => Value::Builtin { name: name(), id },
        "method" => Value::Method {
            qualname: name(),
            id,
        },
        "code" => Value::Code {
            qualname: name(),
            id,
        },
        "module" => Value::Module { name: name(), id },
        "class" => Value::Class { name: name(), id },
        "exception" => Value::Exception(Box::new(Exception {
            type_name: class(),
            id,
            args: Some(items("args").into()),
        })),
        "object" => Value::Object {
            type_name: class(),
            id,
        },
        other => panic!("record.py wrote a value of type {other}"),
    }
}

fn array(json: &Json) -> &[Json] {
    json.as_array().expect("an array")
}

fn text(json: &Json) -> &str {
    json.as_str().expect("a string")
}

fn number_of(json: &Json) -> u64 {
    json.as_u64().expect("a number")
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal"))
        .collect()
}
