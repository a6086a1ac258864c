//! JSON Lines: one object per line, as `docs/jsonl.md` describes and `docs/jsonl.schema.json` defines.

use std::io::{self, BufWriter, Write};

use debugop_bytecode::argument::Argument;
use debugop_replay::{Loss, Written};
use debugop_value::Value;
use rustc_hash::FxHashSet;
use serde::Serialize;

use crate::Report;
use crate::code::{CodeInfo, InstructionInfo};
use crate::step::{Event, FrameEvent, Step};
use crate::story::{Happening, Story};
use crate::summary::Summary;
use crate::thread::{ThreadChange, ThreadEvent};

/// The version that the header names. It grows when a reader of the old form would misread the new one;
/// new keys and new values of `event` and `frame_event` do not count.
pub const FORMAT_VERSION: u32 = 1;

/// Writes a header, each code object before its first step, the steps, before each the events that it shows, and a summary.
#[derive(Debug)]
pub struct JsonlReport<W: Write> {
    out: BufWriter<W>,
    announced: FxHashSet<u32>,
    started: bool,
    story: Story,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line<'a> {
    Header(Header),
    Code(CodeLine<'a>),
    Event(EventLine<'a>),
    Thread(ThreadLine<'a>),
    Lost(LostLine),
    Output(OutputLine<'a>),
    Step(StepLine<'a>),
    Summary(SummaryLine),
}

#[derive(Serialize)]
struct Header {
    format: &'static str,
    version: u32,
    generator: &'static str,
}

#[derive(Serialize)]
struct CodeLine<'a> {
    code: u32,
    python: String,
    name: &'a str,
    qualname: &'a str,
    module: Option<&'a str>,
    filename: &'a str,
    first_line: i32,
    instructions: Vec<InstructionLine<'a>>,
}

#[derive(Serialize)]
struct InstructionLine<'a> {
    offset: u32,
    opcode: u8,
    opname: &'static str,
    arg: Option<u32>,
    argrepr: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    handler: bool,
    /// Line, end line, column, end column.
    position: [Option<i64>; 4],
}

#[derive(Serialize)]
struct EventLine<'a> {
    event: &'static str,
    step: u64,
    thread: u64,
    frame: u64,
    code: u32,
    offset: Option<u32>,
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handler: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callable: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exception: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced: Option<&'a Value>,
}

#[derive(Serialize)]
struct ThreadLine<'a> {
    event: &'static str,
    step: u64,
    thread: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ident: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[derive(Serialize)]
struct OutputLine<'a> {
    step: Option<u64>,
    stream: &'static str,
    text: &'a Value,
}

#[derive(Serialize)]
struct LostLine {
    step: u64,
    what: &'static str,
    text: String,
}

#[derive(Serialize)]
struct StepLine<'a> {
    step: u64,
    thread: u64,
    frame: u64,
    depth: u32,
    code: u32,
    offset: u32,
    opname: &'static str,
    arg: Option<u32>,
    argrepr: &'a str,
    line: Option<u32>,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    frame_event: Option<&'static str>,
    stack: &'a [Value],
    #[serde(skip_serializing_if = "Option::is_none")]
    exception: Option<&'a Value>,
}

#[derive(Serialize)]
struct SummaryLine {
    steps: u64,
    frames: u64,
    functions: u64,
    threads: u64,
    limit_reached: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    elapsed: Option<f64>,
}

impl<W: Write + Send> JsonlReport<W> {
    /// Writes to `out`, which is buffered here.
    pub fn new(out: W) -> Self {
        JsonlReport {
            out: BufWriter::with_capacity(1 << 16, out),
            announced: FxHashSet::default(),
            started: false,
            story: Story::default(),
        }
    }

    fn write(&mut self, line: &Line<'_>) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")
    }

    fn header(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.started, true) {
            return Ok(());
        }
        self.write(&Line::Header(Header {
            format: "debugop",
            version: FORMAT_VERSION,
            generator: concat!("debugop ", env!("CARGO_PKG_VERSION")),
        }))
    }
}

impl<W: Write + Send> Report for JsonlReport<W> {
    fn step(&mut self, step: &Step<'_>) -> io::Result<()> {
        self.header()?;
        if self.announced.insert(step.code.id) {
            self.write(&Line::Code(code_line(step.code)))?;
        }
        let Some(info) = step.info() else {
            let message = "a step names an instruction that its code object does not have";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        };
        for happening in self.story.step(step) {
            self.write(&Line::Event(event_line(step, &happening)))?;
        }
        let frame_event = step.frame_event();
        let exception = match frame_event {
            Some(FrameEvent::Handle(exception)) => Some(exception),
            _ => step.exception,
        };
        self.write(&Line::Step(StepLine {
            step: step.number,
            thread: step.thread,
            frame: step.frame,
            depth: step.depth,
            code: step.code.id,
            offset: info.offset,
            opname: info.op.name(),
            arg: info.arg,
            argrepr: &info.argrepr,
            line: info.line(),
            event: match step.event {
                Event::Instruction => "instruction",
                Event::Unwind => "unwind",
            },
            frame_event: frame_event.map(|event| event.name()),
            stack: step.stack,
            exception,
        }))
    }

    fn thread(&mut self, event: &ThreadEvent<'_>) -> io::Result<()> {
        self.header()?;
        let &ThreadEvent {
            thread,
            step,
            change,
        } = event;
        let (event, ident, name) = match change {
            ThreadChange::Start { ident, name } => ("start", ident, name),
            ThreadChange::End => ("end", None, None),
        };
        self.write(&Line::Thread(ThreadLine {
            event,
            step,
            thread,
            ident,
            name,
        }))
    }

    fn lost(&mut self, loss: &Loss) -> io::Result<()> {
        self.header()?;
        if loss.what.has_steps() {
            // What the frames have done meanwhile is not known.
            self.story = Story::default();
        }
        self.write(&Line::Lost(LostLine {
            step: loss.step,
            what: loss.what.name(),
            text: loss.what.to_string(),
        }))
    }

    fn written(&mut self, written: &Written) -> io::Result<()> {
        self.header()?;
        self.write(&Line::Output(OutputLine {
            step: written.step,
            stream: written.name(),
            text: &written.text(),
        }))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(mut self: Box<Self>, summary: &Summary) -> io::Result<()> {
        self.header()?;
        let &Summary {
            steps,
            frames,
            functions,
            threads,
            elapsed,
            limit_reached,
        } = summary;
        self.write(&Line::Summary(SummaryLine {
            steps,
            frames,
            functions,
            threads,
            limit_reached,
            elapsed: elapsed.map(|elapsed| elapsed.as_secs_f64()),
        }))?;
        self.out.flush()
    }
}

fn event_line<'a>(step: &Step<'_>, happening: &'a Happening<'_>) -> EventLine<'a> {
    let info = |instruction| step.code.instruction(instruction);
    let by = happening.instruction.and_then(info);
    let what = &happening.what;
    EventLine {
        event: what.name(),
        step: step.number,
        thread: step.thread,
        frame: step.frame,
        code: step.code.id,
        offset: by.map(|by| by.offset),
        line: by.and_then(InstructionInfo::line),
        handler: what.handler().and_then(info).map(|info| info.offset),
        from: what.from(),
        callable: what.callable(),
        result: what.result(),
        exception: what.exception(),
        replaced: what.replaced(),
    }
}

fn code_line(code: &CodeInfo) -> CodeLine<'_> {
    let names = &code.names;
    CodeLine {
        code: code.id,
        python: code.version.to_string(),
        name: &names.name,
        qualname: &names.qualname,
        module: names.module.as_deref(),
        filename: &names.filename,
        first_line: names.first_line,
        instructions: code.instructions().iter().map(instruction_line).collect(),
    }
}

fn instruction_line(info: &InstructionInfo) -> InstructionLine<'_> {
    let location = info.location;
    InstructionLine {
        offset: info.offset,
        opcode: info.opcode.0,
        opname: info.op.name(),
        arg: info.arg,
        argrepr: &info.argrepr,
        target: match info.argument {
            Argument::Jump(target) => Some(target),
            _ => None,
        },
        handler: info.is_handler,
        position: [
            location.line.map(i64::from),
            location.end_line.map(i64::from),
            location.column.map(i64::from),
            location.end_column.map(i64::from),
        ],
    }
}
