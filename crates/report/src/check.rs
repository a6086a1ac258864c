//! The report that `debugop selfcheck` compares: a line a step and a line an event, the same from every engine and in every process.
//!
//! ```text
//! THREAD FRAME DEPTH HAPPENS NAME:LINE:QUALNAME OFFSET OPNAME | SLOT | SLOT … ! EXCEPTION
//! THREAD FRAME DEPTH event:NAME NAME:LINE:QUALNAME OFFSET OPNAME | VALUE … ! EXCEPTION
//! THREAD event:thread_start NAME
//! THREAD event:thread_end
//! ```
//!
//! The values of an event are what was called, what it returned, the frame that an exception left, where it has arrived and in whose
//! place it came, as far as there are such ([`What`](crate::What)); its instruction is the one that did it. Threads are numbered in the order of their first steps, frames within the thread that entered them. Scalars are written in
//! full, of everything else the type; addresses and times never. A slot that depends on whether an
//! instruction is specialised ([`Varying::Super`]) is written as `super:…`. The last line is `end STEPS FRAMES`.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};

use debugop_bytecode::Varying;
use debugop_value::Value;
use rustc_hash::FxHashMap;

use crate::{
    Event, FrameEvent, Happening, Report, Step, Story, Summary, ThreadChange, ThreadEvent,
};

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
    /// The same for frames that an exception has left.
    left: FxHashMap<u64, (u64, u64)>,
    story: Story,
}

impl<W: Write + Send> CheckReport<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self {
            out: BufWriter::new(out),
            line: String::new(),
            threads: FxHashMap::default(),
            frames: FxHashMap::default(),
            left: FxHashMap::default(),
            story: Story::default(),
        }
    }

    /// A thread's number, and how many frames it has entered.
    fn numbered(&mut self, thread: u64) -> &mut (u64, u64) {
        let next = self.threads.len() as u64 + 1;
        self.threads.entry(thread).or_insert((next, 0))
    }

    fn frame(&mut self, step: &Step<'_>) -> (u64, (u64, u64)) {
        let known = self.frames.get(&step.frame).copied();
        let thread = self.numbered(step.thread);
        let Some(frame) = known else {
            thread.1 += 1;
            let thread = *thread;
            if self.frames.len() >= MOST_FRAMES {
                self.frames.clear();
            }
            self.frames.insert(step.frame, thread);
            return (thread.0, thread);
        };
        (thread.0, frame)
    }

    /// The line of something that has happened in the frame of `step`, which begins with `place`.
    fn event(&mut self, place: &str, step: &Step<'_>, happening: &Happening<'_>) -> io::Result<()> {
        let what = &happening.what;
        let names = &step.code.names;
        let line = &mut self.line;
        line.clear();
        // Writing to a String cannot fail.
        let _ = write!(
            line,
            "{place} event:{} {}:{}:{}",
            what.name(),
            names.name,
            names.first_line,
            names.qualname
        );
        let version = step.code.version;
        let info = |instruction| step.code.instruction(instruction);
        if let Some(by) = happening.instruction.and_then(info) {
            let _ = write!(line, " {} {}", by.offset, by.opcode.name(version));
        }
        match what.callable() {
            // The class before it is the object's where the method is bound, and the method's own where it is not, which depends on whether
            // `super().method` is specialised.
            Some(Value::Builtin { name, .. }) => {
                let method = name.rsplit('.').next().unwrap_or_default();
                let _ = write!(line, " | <{}>", debugop_value::escaped(method));
            }
            Some(callable) => {
                line.push_str(" | ");
                text(line, callable);
            }
            None => {}
        }
        for value in [what.result(), what.replaced()].into_iter().flatten() {
            line.push_str(" | ");
            text(line, value);
        }
        if let Some((origin, frame)) = what.from().and_then(|from| self.left.remove(&from)) {
            let _ = write!(line, " | {origin}.{frame}");
        }
        if let Some(handler) = what.handler().and_then(info) {
            let _ = write!(line, " | {}", handler.offset);
        }
        if let Some(exception) = what.exception() {
            line.push_str(" ! ");
            text(line, exception);
        }
        line.push('\n');
        self.out.write_all(line.as_bytes())
    }
}

impl<W: Write + Send> Report for CheckReport<W> {
    fn step(&mut self, step: &Step<'_>) -> io::Result<()> {
        let (thread, (origin, frame)) = self.frame(step);
        let happenings = self.story.step(step);
        if !happenings.is_empty() {
            let place = format!("{thread} {origin}.{frame} {}", step.depth);
            for happening in &happenings {
                self.event(&place, step, happening)?;
            }
        }
        let happens = match (step.event, step.frame_event()) {
            (Event::Unwind, _) => "unwind",
            (_, Some(event)) => event.name(),
            _ => "step",
        };
        if matches!(
            step.frame_event(),
            Some(FrameEvent::Return(_) | FrameEvent::Unwind(_))
        ) {
            let over = self.frames.remove(&step.frame);
            if let (Some(FrameEvent::Unwind(_)), Some(over)) = (step.frame_event(), over) {
                if self.left.len() >= MOST_FRAMES {
                    self.left.clear();
                }
                self.left.insert(step.frame, over);
            }
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

    fn thread(&mut self, event: &ThreadEvent<'_>) -> io::Result<()> {
        let thread = self.numbered(event.thread).0;
        match event.change {
            ThreadChange::Start { name, .. } => {
                let name = debugop_value::escaped(name.unwrap_or_default());
                writeln!(self.out, "{thread} event:thread_start {name}")
            }
            ThreadChange::End => writeln!(self.out, "{thread} event:thread_end"),
        }
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
    let word = match value.known() {
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
