//! A question being answered.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;

use debugop_bytecode::InstrIdx;
use debugop_recording::stream::FrameNumber;
use debugop_replay::query::{self, Call, Filter, Kind, Outcome, Part, Place, Target};
use debugop_replay::{Code, Moment, OpenError, Recording, Sort, Step};
use debugop_report::replayed::Described;
use debugop_report::{CodeInfo, Sources};
use debugop_value::{Value, counted, escaped, grouped};
use serde_json::json;

use crate::show::sources;

/// Columns of a value.
const WIDTH: usize = 60;
/// Columns of something that the program has written.
const OUTPUT_WIDTH: usize = 100;
/// Functions that are named for having a variable.
const OTHERS: usize = 3;

/// Why there is no answer.
pub(super) enum Refused {
    Recording(OpenError),
    Said(String),
}

/// A value as it was when it was looked at.
fn text_of(value: &Value) -> String {
    value.as_seen().short(WIDTH).to_string()
}

impl From<OpenError> for Refused {
    fn from(error: OpenError) -> Self {
        Self::Recording(error)
    }
}

/// A question being answered.
pub(super) struct Asked {
    pub(super) recording: Arc<Recording>,
    described: Described,
    sources: Sources,
    json: bool,
    pub(super) text: String,
}

impl Asked {
    pub(super) fn new(recording: Arc<Recording>, json: bool) -> Self {
        Self {
            sources: sources(&recording),
            recording,
            described: Described::default(),
            json,
            text: String::new(),
        }
    }

    /// Steps that are missing may be missing in the answer.
    pub(super) fn say_what_is_missing(&mut self) {
        // What cannot be read has been said already, if it concerns the answer.
        let losses = self.recording.losses().unwrap_or_default();
        let losses = losses.iter().filter(|loss| loss.what.has_steps());
        for loss in losses.filter(|_| !self.json) {
            let _ = writeln!(self.text, "(missing at step {}: {})", loss.step, loss.what);
        }
    }

    pub(super) fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn object(&mut self, object: &serde_json::Value) {
        let _ = writeln!(self.text, "{object}");
    }

    fn info(&mut self, code: u32) -> Option<Arc<CodeInfo>> {
        let code = self.recording.codes().get(code)?;
        Some(self.described.of(code))
    }

    fn moment(&self, step: u64) -> Result<Moment, Refused> {
        let length = self.recording.len()?;
        if step >= length {
            return Err(Refused::Said(format!(
                "there is no step {}: the recording has {} steps, numbered from 0",
                grouped(step),
                grouped(length)
            )));
        }
        let mut cursor = self.recording.cursor();
        cursor.seek(step)?;
        let gone = || Refused::Said(format!("nothing is known at step {step}"));
        cursor.moment().ok_or_else(gone)
    }

    /// `function  file:line`, and the source line.
    fn place(&mut self, code: u32, at: InstrIdx) -> (String, String) {
        let Some(info) = self.info(code) else {
            return Default::default();
        };
        let line = info
            .instruction(at)
            .and_then(debugop_report::InstructionInfo::line);
        let file = &info.names.filename;
        let shown = match line {
            Some(line) => format!("{}  {}:{line}", info.names.qualname, base(file)),
            None => format!("{}  {}", info.names.qualname, base(file)),
        };
        let source = line.and_then(|line| self.sources.line(file, line));
        let source = source.unwrap_or_default().trim().to_owned();
        (escaped(&shown).into_owned(), escaped(&source).into_owned())
    }

    /// `offset OPNAME arg`.
    fn instruction(&mut self, code: u32, at: InstrIdx) -> String {
        let Some(info) = self.info(code) else {
            return String::new();
        };
        let Some(found) = info.instruction(at) else {
            return String::new();
        };
        let name = found.opcode.name(info.version);
        format!("{} {name} {}", found.offset, found.argrepr)
            .trim_end()
            .to_owned()
    }

    fn where_json(&mut self, code: u32, at: InstrIdx) -> serde_json::Value {
        let Some(info) = self.info(code) else {
            return serde_json::Value::Null;
        };
        let found = info.instruction(at);
        json!({
            "function": info.names.qualname,
            "file": info.names.filename,
            "line": found.and_then(debugop_report::InstructionInfo::line),
            "offset": found.map(|found| found.offset),
            "opname": found.map(|found| found.opcode.name(info.version)),
        })
    }

    pub(super) fn state(&mut self, step: u64) -> Result<(), Refused> {
        let moment = self.moment(step)?;
        let frames = moment.frames();
        for (index, frame) in frames.iter().enumerate().rev() {
            let code = frame.code().data().number;
            let names = frame.code().data().locals.iter();
            let locals: Vec<(String, Value)> = names
                .zip(frame.locals())
                .map(|(local, value)| {
                    let name = String::from_utf8_lossy(&local.name).into_owned();
                    (name, moment.value(value))
                })
                .filter(|(_, value)| *value != Value::Null)
                .collect();
            let stack: Vec<Value> = frame.stack().map(|value| moment.value(value)).collect();
            if self.json {
                let object = json!({
                    "step": step,
                    "frame": frame.number().0,
                    "depth": index,
                    "at": self.where_json(code, frame.at()),
                    "locals": locals.iter().map(|(name, value)| json!([name, value])).collect::<Vec<_>>(),
                    "stack": stack,
                });
                self.object(&object);
                continue;
            }
            let (place, source) = self.place(code, frame.at());
            let instruction = self.instruction(code, frame.at());
            let mark = if index + 1 == frames.len() { '>' } else { ' ' };
            self.line(&format!("{mark} #{index} {place}  {source}"));
            self.line(&format!("    {instruction}"));
            for (name, value) in locals {
                self.line(&format!("    {} = {}", escaped(&name), text_of(&value)));
            }
            let stack: Vec<String> = stack.iter().map(text_of).collect();
            if !stack.is_empty() {
                self.line(&format!("    stack: {}", stack.join(" | ")));
            }
        }
        Ok(())
    }

    pub(super) fn origin(&mut self, step: u64, place: &str, hops: usize) -> Result<(), Refused> {
        let moment = self.moment(step)?;
        let Some(frame) = moment.frames().last() else {
            return Err(Refused::Said(format!("no frame is known at step {step}")));
        };
        let target = Target::find(&self.recording, place, frame, moment.state(), step)
            .map_err(|error| Refused::Said(error.to_string()))?;
        let found = query::origins_of(&self.recording, step, &target, hops)?;
        for hop in &found {
            let what = match hop.kind {
                Kind::Literal => "a constant of",
                Kind::Produced => "made by",
                Kind::Returned => "returned to",
                Kind::Argument => "an argument of",
                Kind::Loaded => "loaded by",
                Kind::Bound => "bound by",
                Kind::Changed => "changed by what is called by",
                Kind::Unknown => "known since",
            };
            if self.json {
                let object = json!({
                    "step": hop.step,
                    "frame": hop.frame.0,
                    "at": self.where_json(hop.code, hop.at),
                    "kind": format!("{:?}", hop.kind).to_lowercase(),
                    "value": hop.value,
                    "ends": hop.ends.map(query::Why::text),
                    "operands": hop.operands.iter().map(|operand| &operand.value).collect::<Vec<_>>(),
                });
                self.object(&object);
                continue;
            }
            let (place, source) = self.place(hop.code, hop.at);
            let instruction = self.instruction(hop.code, hop.at);
            let value = text_of(&hop.value);
            self.line(&format!("{:>8}  {value}", hop.step));
            self.line(&format!("          {what} {instruction}"));
            self.line(&format!("          in {place}  {source}"));
            let operands: Vec<String> = hop
                .operands
                .iter()
                .map(|operand| text_of(&operand.value))
                .collect();
            if !operands.is_empty() {
                self.line(&format!("          from {}", operands.join(" | ")));
            }
            if let Some(why) = hop.ends {
                self.line(&format!("          ends here: {}", why.text()));
            }
        }
        Ok(())
    }

    fn place_at(&self, step: u64, place: &str) -> Result<Place, Refused> {
        let moment = self.moment(step)?;
        let Some(frame) = moment.frames().last() else {
            return Err(Refused::Said(format!("no frame is known at step {step}")));
        };
        Place::find(&self.recording, place, frame, moment.state(), step)
            .map_err(|error| Refused::Said(error.to_string()))
    }

    pub(super) fn states(&mut self, step: u64, place: &str) -> Result<(), Refused> {
        let place = self.place_at(step, place)?;
        for held in query::states(&self.recording, &place)? {
            let write = held.write;
            if self.json {
                let object = json!({
                    "first": held.first,
                    "last": held.last,
                    "value": write.value,
                    "step": write.step,
                    "how": format!("{:?}", write.how).to_lowercase(),
                    "at": self.where_json(write.code, write.at),
                });
                self.object(&object);
                continue;
            }
            let value = match &write.value {
                Some(value) => text_of(value),
                None => "(nothing)".to_owned(),
            };
            let (place, _) = self.place(write.code, write.at);
            let steps = format!("{}..{}", held.first, held.last);
            self.line(&format!("{steps:>20}  {value}  since {place}"));
        }
        Ok(())
    }

    pub(super) fn writes(&mut self, step: u64, place: &str, last: bool) -> Result<(), Refused> {
        let place = self.place_at(step, place)?;
        let found = match last {
            true => Vec::from_iter(query::last_write(&self.recording, &place, step)?),
            false => query::writes(&self.recording, &place, 0, u64::MAX)?,
        };
        for write in &found {
            if self.json {
                let object = json!({
                    "step": write.step,
                    "frame": write.frame.0,
                    "at": self.where_json(write.code, write.at),
                    "how": format!("{:?}", write.how).to_lowercase(),
                    "value": write.value,
                });
                self.object(&object);
                continue;
            }
            let (place, source) = self.place(write.code, write.at);
            let instruction = self.instruction(write.code, write.at);
            let value = match &write.value {
                Some(value) => text_of(value),
                None => "(nothing)".to_owned(),
            };
            let how = match write.how {
                query::How::Bound => "",
                query::How::Deleted => " deleted",
                query::How::Argument => " as an argument",
                query::How::Changed => " by what was called",
            };
            self.line(&format!("{:>8}  {value}{how}", write.step));
            self.line(&format!("          {instruction}  in {place}  {source}"));
        }
        Ok(())
    }

    pub(super) fn calls(&mut self, function: &str) -> Result<(), Refused> {
        for call in query::calls(&self.recording, function)? {
            let name = self.info(call.code).map(|info| info.names.qualname.clone());
            let name = name.unwrap_or_default();
            if self.json {
                let (outcome, end, value) = match &call.outcome {
                    Outcome::Running => ("running", None, None),
                    Outcome::Suspended => ("suspended", None, None),
                    Outcome::Returned(step, value) => ("returned", Some(*step), Some(value)),
                    Outcome::Raised(step, value) => ("raised", Some(*step), Some(value)),
                };
                let object = json!({
                    "step": call.step,
                    "frame": call.frame.0,
                    "function": name,
                    "kind": call.sort.name(),
                    "caller": call.caller,
                    "arguments": call.arguments.iter().map(|(name, value)| json!([name, value])).collect::<Vec<_>>(),
                    "yields": call.yields,
                    "yielded": call.yielded,
                    "outcome": outcome,
                    "end": end,
                    "value": value,
                });
                self.object(&object);
                continue;
            }
            let arguments: Vec<String> = call
                .arguments
                .iter()
                .map(|(name, value)| format!("{}={}", escaped(name), text_of(value)))
                .collect();
            let end = match &call.outcome {
                Outcome::Running => "has not ended".to_owned(),
                Outcome::Suspended => "is suspended".to_owned(),
                Outcome::Returned(_, value) => format!("returned {}", text_of(value)),
                Outcome::Raised(_, value) => format!("raised {}", text_of(value)),
            };
            self.line(&format!(
                "{:>8}  {}{}({})  {}{end}",
                call.step,
                kind(call.sort),
                escaped(&name),
                arguments.join(", "),
                yielded(&call),
            ));
        }
        Ok(())
    }

    /// From where a place is seen at a step, and which functions have a variable of that name, if the one that runs has none.
    pub(super) fn seen_from(&mut self, step: u64, place: &str) -> Option<String> {
        let moment = self.moment(step).ok()?;
        let running = moment.frames().last()?.code();
        let root = place.split(['.', '[']).next()?.trim();
        let has = |code: &Code| {
            let mut locals = code.data().locals.iter();
            locals.any(|local| local.name == root.as_bytes())
        };
        let mut seen = format!(
            ", as seen from {}, which runs at step {}",
            running.qualname(),
            grouped(step)
        );
        if !has(running) {
            let others = self.recording.codes().iter().filter(|code| has(code));
            let others: BTreeSet<String> = others.map(|code| code.qualname()).collect();
            let shown = others.iter().take(OTHERS).map(String::as_str);
            let shown: Vec<&str> = shown.collect();
            if !shown.is_empty() {
                let more = if others.len() > OTHERS { ", …" } else { "" };
                let _ = write!(seen, "; {root} is a variable of {}{more}", shown.join(", "));
            }
        }
        Some(seen)
    }

    /// What `FILE:LINE` says, if something of the file was recorded.
    pub(super) fn source_line(&self, place: &str) -> Result<(String, i32), Refused> {
        let parsed = place
            .rsplit_once(':')
            .and_then(|(file, line)| Some((file, line.parse::<i32>().ok()?)));
        let Some((file, line)) = parsed else {
            return Err(Refused::Said(format!(
                "{place:?} is no source line; write FILE:LINE, as in script.py:12"
            )));
        };
        if self.recording.code_of_file(file).next().is_none() {
            return Err(Refused::Said(format!("nothing of {file:?} was recorded")));
        }
        Ok((file.to_owned(), line))
    }

    pub(super) fn hits(&mut self, place: &str, count: bool) -> Result<(), Refused> {
        let (file, line) = self.source_line(place)?;
        if count {
            let hits = query::hit_count(&self.recording, &file, line)?;
            match self.json {
                true => self.object(&json!({ "hits": hits })),
                false => self.line(&grouped(hits)),
            }
            return Ok(());
        }
        for step in query::hits(&self.recording, &file, line, 0, u64::MAX)? {
            self.step(&step);
        }
        Ok(())
    }

    pub(super) fn steps(&mut self, filter: &Filter, limit: usize) -> Result<(), Refused> {
        let recording = Arc::clone(&self.recording);
        let (mut found, mut is_cut) = (0, false);
        query::steps(&recording, filter, 0, u64::MAX, |step| {
            if found == limit {
                is_cut = true;
                return ControlFlow::Break(());
            }
            found += 1;
            self.step(step);
            ControlFlow::Continue(())
        })?;
        if is_cut && !self.json {
            let limit = grouped(limit as u64);
            self.line(&format!(
                "(there are more than {limit}; --limit N shows more)"
            ));
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) {
        if self.json {
            let object = json!({
                "step": step.number,
                "frame": step.frame.0,
                "thread": step.thread.0,
                "at": self.where_json(step.code, step.at),
            });
            self.object(&object);
            return;
        }
        let (place, source) = self.place(step.code, step.at);
        let FrameNumber(frame) = step.frame;
        self.line(&format!(
            "{:>8}  frame {frame}  {place}  {source}",
            step.number
        ));
    }

    pub(super) fn exceptions(&mut self) -> Result<(), Refused> {
        for found in query::exceptions(&self.recording, 0, u64::MAX)? {
            if self.json {
                let object = json!({
                    "step": found.step,
                    "frame": found.frame.0,
                    "at": self.where_json(found.code, found.at),
                    "exception": found.exception,
                    "handlers": found.handlers,
                    "unwound": found.unwound,
                });
                self.object(&object);
                continue;
            }
            let (place, source) = self.place(found.code, found.at);
            let step = found.step.map_or("?".to_owned(), |step| step.to_string());
            let handled = match found.handlers.first() {
                Some(handler) => format!("handled at step {handler}"),
                None => format!("left {} frames", found.unwound),
            };
            self.line(&format!(
                "{step:>8}  {}  {handled}",
                text_of(&found.exception)
            ));
            self.line(&format!("          in {place}  {source}"));
        }
        Ok(())
    }

    pub(super) fn output(
        &mut self,
        stream: Option<&str>,
        contains: Option<&str>,
    ) -> Result<(), Refused> {
        let recording = Arc::clone(&self.recording);
        let mut cursor = recording.cursor();
        for chunk in 0..recording.reader().stream_len() {
            for written in recording.written_in(chunk)? {
                let has = |text: &str| {
                    let mut parts = written.bytes.windows(text.len().max(1));
                    text.is_empty() || parts.any(|part| part == text.as_bytes())
                };
                if stream.is_some_and(|stream| stream != written.name())
                    || contains.is_some_and(|text| !has(text))
                {
                    continue;
                }
                let step = written.step.map(|step| cursor.seek(step)).transpose()?;
                if self.json {
                    let object = json!({
                        "step": written.step,
                        "thread": written.thread.map(|thread| thread.0),
                        "frame": written.frame.map(|frame| frame.0),
                        "at": step.map(|step| self.where_json(step.code, step.at)),
                        "stream": written.name(),
                        "text": written.text(),
                    });
                    self.object(&object);
                    continue;
                }
                let number = written.step.map_or("?".to_owned(), |step| step.to_string());
                let text = written.text().short(OUTPUT_WIDTH).to_string();
                self.line(&format!("{number:>8}  {}  {text}", written.name()));
                if let Some(step) = step {
                    let (place, source) = self.place(step.code, step.at);
                    self.line(&format!("          in {place}  {source}"));
                }
            }
        }
        Ok(())
    }

    pub(super) fn diff(&mut self, other: &Arc<Recording>) -> Result<(), Refused> {
        let Some(found) = query::diff(&self.recording, other)? else {
            let length = self.recording.len()?;
            if self.json {
                self.object(&json!({"same": length}));
            } else {
                self.line(&format!("no difference in {} steps", grouped(length)));
            }
            return Ok(());
        };
        if self.json {
            let part = match &found.part {
                Part::Ended(left, right) => json!({"ended": [left, right]}),
                Part::Instruction => json!("instruction"),
                Part::Stack(index, left, right) => json!({"stack": index, "values": [left, right]}),
                Part::Local(name, left, right) => json!({"local": name, "values": [left, right]}),
            };
            let place = found.left.map(|step| self.where_json(step.code, step.at));
            self.object(&json!({"step": found.step, "at": place, "part": part}));
            return Ok(());
        }
        let what = match &found.part {
            Part::Ended(true, _) => "the first recording is over".to_owned(),
            Part::Ended(..) => "the second recording is over".to_owned(),
            Part::Instruction => "they execute different instructions".to_owned(),
            Part::Stack(index, left, right) => format!(
                "slot {index} of the value stack is {} in the first and {} in the second",
                text_of(left),
                text_of(right)
            ),
            Part::Local(name, left, right) => format!(
                "{} is {} in the first and {} in the second",
                escaped(name),
                text_of(left),
                text_of(right)
            ),
        };
        self.line(&format!("step {}: {what}", found.step));
        if let Some(step) = found.left {
            let (place, source) = self.place(step.code, step.at);
            let instruction = self.instruction(step.code, step.at);
            self.line(&format!("          {instruction}  in {place}  {source}"));
        }
        Ok(())
    }
}

/// The last part of a path.
fn base(file: &str) -> &str {
    file.rsplit(['/', '\\']).next().unwrap_or(file)
}

/// What is said of a call that makes a generator or coroutine, before its name.
fn kind(sort: Sort) -> String {
    match sort {
        Sort::Function => String::new(),
        _ => format!("{} ", sort.name()),
    }
}

/// What a call has yielded, before how it ended.
fn yielded(call: &Call) -> String {
    match (call.yields, call.sort) {
        (0, _) => String::new(),
        (times, Sort::Coroutine) => format!("suspended {}  ", counted(times, "time")),
        (count, _) => {
            let values = call.yielded.iter().map(|(_, value)| text_of(value));
            let mut text = values
                .map(|value| value.to_string())
                .collect::<Vec<_>>()
                .join(", ");
            if count > call.yielded.len() as u64 {
                let _ = write!(text, ", … ({} items)", grouped(count));
            }
            format!("yielded {text}  ")
        }
    }
}
