//! The report that `debugop selfcheck` compares: a line a step, the same from every engine and in every process.
//!
//! ```text
//! THREAD FRAME DEPTH HAPPENS NAME:LINE:QUALNAME OFFSET OPNAME | SLOT | SLOT … ! EXCEPTION
//! ```
//!
//! Threads are numbered in the order of their first steps, frames within the thread that entered them. Scalars are written in
//! full, of everything else the type; addresses and times never. A slot that depends on whether an
//! instruction is specialised ([`Varying::Super`]) is written as `super:…`. The last line is `end STEPS FRAMES`.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};

use debugop_bytecode::Varying;
use debugop_value::Value;
use rustc_hash::FxHashMap;

use crate::{Event, FrameEvent, Report, Step, Summary};

/// Columns of a scalar; longer ones are cut, with their length.
const SCALAR_WIDTH: usize = 2000;

/// Beyond this many remembered frames (suspended generators that nobody resumes) all are forgotten.
const MOST_FRAMES: usize = 1 << 16;

/// Writes the lines.
#[derive(Debug)]
pub struct CheckReport<W: Write> {
    out: BufWriter<W>,
    line: String,
    /// For each thread its number and how many frames it has entered.
    threads: FxHashMap<u64, (u64, u64)>,
    /// For each frame that is not over the number of the thread that entered it, and its own.
    frames: FxHashMap<u64, (u64, u64)>,
}

impl<W: Write + Send> CheckReport<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self {
            out: BufWriter::new(out),
            line: String::new(),
            threads: FxHashMap::default(),
            frames: FxHashMap::default(),
        }
    }

    fn frame(&mut self, step: &Step<'_>) -> (u64, (u64, u64)) {
        let next = self.threads.len() as u64 + 1;
        let thread = self.threads.entry(step.thread).or_insert((next, 0));
        if !self.frames.contains_key(&step.frame) {
            if self.frames.len() >= MOST_FRAMES {
                self.frames.clear();
            }
            thread.1 += 1;
            self.frames.insert(step.frame, *thread);
        }
        (thread.0, self.frames[&step.frame])
    }
}

impl<W: Write + Send> Report for CheckReport<W> {
    fn step(&mut self, step: &Step<'_>) -> io::Result<()> {
        let (thread, (origin, frame)) = self.frame(step);
        let happens = match (step.event, step.frame_event()) {
            (Event::Unwind, _) => "unwind",
            (_, Some(event)) => event.name(),
            _ => "step",
        };
        if matches!(
            step.frame_event(),
            Some(FrameEvent::Return(_) | FrameEvent::Unwind(_))
        ) {
            self.frames.remove(&step.frame);
        }
        let names = &step.code.names;
        self.line.clear();
        // Writing to a String cannot fail.
        let _ = write!(
            self.line,
            "{thread} {origin}.{frame} {} {happens} {}:{}:{}",
            step.depth, names.name, names.first_line, names.qualname
        );
        if let Some(info) = step.info() {
            let version = step.code.version;
            let _ = write!(self.line, " {} {}", info.offset, info.opcode.name(version));
            for (slot, value) in (0..).zip(step.stack) {
                self.line.push_str(" | ");
                if info.varying.contains(&(slot, Varying::Super)) {
                    self.line.push_str("super:");
                }
                text(&mut self.line, value);
            }
        }
        if let Some(exception) = step.exception {
            self.line.push_str(" ! ");
            text(&mut self.line, exception);
        }
        self.line.push('\n');
        self.out.write_all(self.line.as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(mut self: Box<Self>, summary: &Summary) -> io::Result<()> {
        writeln!(self.out, "end {} {}", summary.steps, summary.frames)?;
        self.out.flush()
    }
}

fn text(line: &mut String, value: &Value) {
    let word = match value {
        Value::None
        | Value::Bool(_)
        | Value::Ellipsis
        | Value::NotImplemented
        | Value::Int(_)
        | Value::BigInt(_)
        | Value::Float(_)
        | Value::Complex { .. }
        | Value::Str(_)
        | Value::Bytes(_) => {
            let _ = write!(line, "{}", value.short(SCALAR_WIDTH));
            return;
        }
        Value::TaggedInt(number) => {
            let _ = write!(line, "tagged:{number}");
            return;
        }
        Value::List(items) => return sized(line, "list", items.length),
        Value::Tuple(items) => return sized(line, "tuple", items.length),
        Value::Set(items) => return sized(line, "set", items.length),
        Value::FrozenSet(items) => return sized(line, "frozenset", items.length),
        Value::Dict(pairs) => return sized(line, "dict", pairs.length),
        Value::Null => "NULL",
        Value::ByteArray(_) => "bytearray",
        Value::Range(_) => "range",
        Value::Slice(_) => "slice",
        Value::Function { qualname, .. }
        | Value::Method { qualname, .. }
        | Value::Code { qualname, .. } => qualname,
        Value::Builtin { name, .. } | Value::Class { name, .. } | Value::Module { name, .. } => {
            name
        }
        Value::Exception(exception) => &exception.type_name,
        Value::Cell { .. } => "cell",
        Value::Object { type_name, .. } => type_name,
        _ => "?",
    };
    let _ = write!(line, "<{}>", debugop_value::escaped(word));
}

fn sized(line: &mut String, name: &str, length: u64) {
    let _ = write!(line, "<{name} {length}>");
}
