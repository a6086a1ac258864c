//! `debugop info`: what a recording is of, and how much of it there is.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use debugop_recording::file::{ChunkKind, Ending, Error, Reader, Recovered, Relatives, recover};
use debugop_replay::{Loss, Recording};
use debugop_value::{counted, escaped, grouped};
use serde_json::json;

use crate::Answer;

/// Show what a recording is of: the program, the interpreter, its size and how it ended.
///
/// A recording that is still being written can be looked at, and one of a process that was killed. Of one that is
/// damaged or cut off, --recover takes every chunk that is intact into a new file; FILE stays as it is.
#[derive(Debug, Args)]
#[command(name = "info", after_help = EXAMPLES, disable_version_flag = true)]
pub(crate) struct InfoArguments {
    /// The recording; with --recover, the damaged one
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Write every intact chunk of FILE to a new recording OUT, which must not exist yet
    #[arg(long, value_name = "OUT")]
    recover: Option<PathBuf>,

    /// Answer in JSON, one object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  debugop info script.debugop
  debugop info damaged.debugop --recover new.debugop
  debugop info script.debugop --json | jq .steps";

/// Options of `debugop info`, complete and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InfoOptions {
    /// The recording.
    pub file: PathBuf,
    /// Where to write what is intact of it.
    pub recover: Option<PathBuf>,
    /// Whether to answer in JSON.
    pub json: bool,
}

impl InfoArguments {
    pub(crate) fn into_options(self) -> InfoOptions {
        InfoOptions {
            file: self.file,
            recover: self.recover,
            json: self.json,
        }
    }
}

impl InfoOptions {
    /// Carries the command out.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let Some(to) = &self.recover else {
            return match Reader::open(&self.file).and_then(|reader| self.about(reader)) {
                Ok(text) => Answer::text(text),
                Err(error) => Answer::error(&self.file, &error, advice(&error)),
            };
        };
        if let Err(error) = self.file.metadata() {
            return Answer::error(&self.file, &error, RECOVERS);
        }
        if to.symlink_metadata().is_ok() {
            let error = io::Error::new(io::ErrorKind::AlreadyExists, "exists already");
            return Answer::error(to, &error, RECOVERS);
        }
        match recover(&self.file, to) {
            Ok(recovered) => Answer::text(self.about_recovered(&recovered, to)),
            Err(error) => Answer::error(&self.file, &error, ""),
        }
    }

    fn about(&self, reader: Reader) -> Result<String, Error> {
        let mut facts = Facts::of(&reader)?;
        let told = |facts: &Facts, reader: &Reader| match self.json {
            true => facts.json(reader),
            false => facts.text(reader),
        };
        if facts.steps.is_some() {
            return Ok(told(&facts, &reader));
        }
        let without = told(&facts, &reader);
        // What cannot be replayed is described as far as it can be read.
        let Ok(recording) = Recording::new(reader) else {
            return Ok(without);
        };
        facts.steps = recording.count(MOST_COUNTED);
        if facts.steps.is_some() {
            facts.losses = recording.losses().ok();
        }
        Ok(told(&facts, recording.reader()))
    }

    fn about_recovered(&self, recovered: &Recovered, to: &Path) -> String {
        let damage: Vec<String> = recovered.damage.iter().map(ToString::to_string).collect();
        if self.json {
            let object = json!({
                "recovered": to.to_string_lossy(),
                "chunks": recovered.chunks,
                "stream_chunks": recovered.stream_chunks,
                "size": recovered.size,
                "damage": damage,
            });
            return format!("{object}\n");
        }
        let mut text = String::new();
        for damage in damage {
            let _ = writeln!(text, "{}: {damage}", shown(&self.file));
        }
        let _ = writeln!(
            text,
            "{}: {} recovered, {} of them of the stream, {}",
            shown(to),
            counted(recovered.chunks, "chunk"),
            grouped(recovered.stream_chunks),
            size(recovered.size),
        );
        text
    }
}

/// Which file is which.
const RECOVERS: &str =
    "\n  debugop info FILE --recover OUT reads the damaged FILE and writes OUT, a new file";

/// The steps of a recording that has no index are counted if its stream is no longer than this, in bytes: half a second.
const MOST_COUNTED: u64 = 32 << 20;

/// So many losses are listed.
const MOST_LOSSES: usize = 20;

fn as_json(loss: &Loss) -> serde_json::Value {
    json!({ "step": loss.step, "what": loss.what.name(), "text": loss.what.to_string() })
}

/// What helps with an error.
fn advice(error: &Error) -> &'static str {
    match error {
        Error::Damaged { .. } => "\n  --recover OUT takes what is intact into a new file",
        _ => "",
    }
}

/// A path, safe for a terminal.
pub(crate) fn shown(path: &Path) -> String {
    escaped(&path.to_string_lossy()).into_owned()
}

/// A number of bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    let exact = bytes as f64;
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..0x10_0000 => format!("{:.1} KiB", exact / 1024.0),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", exact / 1_048_576.0),
        _ => format!("{:.2} GiB", exact / 1_073_741_824.0),
    }
}

/// What is counted for the answer.
struct Facts {
    /// The number of steps, if it is known.
    steps: Option<u64>,
    size: u64,
    codes: usize,
    sources: usize,
    stream_chunks: usize,
    stream_stored: u64,
    stream_bytes: u64,
    /// Everything that is missing, where the steps are counted.
    losses: Option<Vec<Loss>>,
    /// Those in the same directory.
    relatives: Relatives,
    /// Number of the first chunk of the stream, and when it begins; `None` if there is none.
    begins: Option<(u64, u64)>,
}

impl Facts {
    /// What a ring has not kept.
    fn dropped(&self) -> Option<String> {
        let (chunks @ 1.., time) = self.begins? else {
            return None;
        };
        let (chunks, seconds) = (counted(chunks, "chunk"), time as f64 / 1e9);
        Some(format!(
            "the first {seconds:.3} s, {chunks}, which were beyond --ring"
        ))
    }

    fn of(reader: &Reader) -> Result<Self, Error> {
        let stream = || {
            reader
                .chunks()
                .filter(|chunk| chunk.kind == ChunkKind::Stream)
        };
        Ok(Facts {
            steps: reader.summary().and_then(|summary| summary.steps),
            size: reader.size()?,
            codes: reader.codes()?.len(),
            sources: reader.sources()?.len(),
            stream_chunks: reader.stream_len(),
            stream_stored: stream().map(|chunk| chunk.stored).sum(),
            stream_bytes: stream().map(|chunk| chunk.raw).sum(),
            losses: None,
            relatives: Relatives::of(reader),
            begins: stream().next().map(|chunk| (chunk.sequence, chunk.time)),
        })
    }

    fn json(&self, reader: &Reader) -> String {
        let summary = reader.summary();
        let object = json!({
            "file": reader.path().to_string_lossy(),
            "uuid": reader.uuid().to_string(),
            "ending": ending(reader.ending()),
            "header": reader.header(),
            "children": self.relatives.children.iter().map(|child| json!({
                "uuid": child.uuid.to_string(),
                "pid": child.pid,
                "path": child.path.to_string_lossy(),
            })).collect::<Vec<_>>(),
            "steps": self.steps,
            "summary": summary,
            "losses": self.losses.as_ref().map(|losses| losses.iter().map(as_json).collect::<Vec<_>>()),
            "size": self.size,
            "codes": self.codes,
            "sources": self.sources,
            "stream": {
                "dropped": self.begins.map_or(0, |begins| begins.0),
                "chunks": self.stream_chunks,
                "stored": self.stream_stored,
                "bytes": self.stream_bytes,
            },
        });
        format!("{object}\n")
    }

    fn text(&self, reader: &Reader) -> String {
        let header = reader.header();
        let interpreter = &header.interpreter;
        let [major, minor, micro] = interpreter.version;
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "{name:<13} {}", escaped(value));
        };
        line("file", &reader.path().to_string_lossy());
        line("recording", &reader.uuid().to_string());
        line("command", &header.command.join(" "));
        line("directory", &header.directory);
        line(
            "interpreter",
            &format!(
                "{} {major}.{minor}.{micro} on {}",
                interpreter.implementation, header.platform
            ),
        );
        line("process", &header.pid.to_string());
        if let Some(parent) = &header.parent {
            let (pid, uuid) = (parent.pid, &parent.uuid);
            let told = match &self.relatives.parent {
                Some(path) => format!("process {pid}, {}", path.display()),
                None => format!("process {pid}, recording {uuid}"),
            };
            line("parent", &told);
        }
        for child in &self.relatives.children {
            line(
                "child",
                &format!("process {}, {}", child.pid, child.path.display()),
            );
        }
        line("started", &utc(header.start));
        line("ended", &self.ended(reader));
        if let Some(steps) = self.steps {
            line("steps", &grouped(steps));
        }
        if let Some(dropped) = self.dropped() {
            line("dropped", &dropped);
        }
        for loss in self.losses.iter().flatten().take(MOST_LOSSES) {
            line("missing", &format!("at step {}: {}", loss.step, loss.what));
        }
        if let Some(lost @ 1..) = reader.summary().and_then(|summary| summary.lost) {
            let times = counted(lost, "time");
            line(
                "lost",
                &format!("{times} something was too large to be recorded"),
            );
        }
        line("size", &size(self.size));
        line(
            "stream",
            &format!(
                "{}, {} for {}",
                counted(self.stream_chunks as u64, "chunk"),
                size(self.stream_stored),
                size(self.stream_bytes)
            ),
        );
        line("code objects", &grouped(self.codes as u64));
        line("source files", &grouped(self.sources as u64));
        line("debugop", &header.debugop);
        text
    }

    fn ended(&self, reader: &Reader) -> String {
        let Some(summary) = reader.summary() else {
            return ending(reader.ending());
        };
        let mut text = format!("after {:.3} s", summary.duration as f64 / 1e9);
        if let Some(status) = summary.exit_status {
            let _ = match status {
                0.. => write!(text, ", exit status {status}"),
                _ => write!(text, ", by signal {}", status.unsigned_abs()),
            };
        }
        if summary.recovered {
            text.push_str(", recovered from a damaged or unfinished recording");
        }
        if !summary.gaps.is_empty() {
            let _ = write!(text, " with {} gaps", summary.gaps.len());
        }
        text
    }
}

fn ending(ending: Ending) -> String {
    match ending {
        Ending::Finished => "finished".into(),
        Ending::Writing => "is being written".into(),
        Ending::Killed => "killed, or recording failed".into(),
        Ending::Failed(0) => "recording failed".into(),
        Ending::Failed(error) => {
            let error = io::Error::from_raw_os_error(error.cast_signed());
            format!("recording failed: {error}")
        }
        Ending::Unfinished => "unfinished".into(),
    }
}

/// Nanoseconds since 1970-01-01 as date and time.
fn utc(nanoseconds: u64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    let (days, second) = (seconds / 86400, seconds % 86400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Year, month and day of a day counted from 1970-01-01.
fn date(mut day: u64) -> (u64, u64, u64) {
    let leap =
        |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    // 400 years are always as long; then at most 400 years are left to count.
    let mut year = 1970 + 400 * (day / 146_097);
    day %= 146_097;
    loop {
        let length = if leap(year) { 366 } else { 365 };
        if day < length {
            break;
        }
        day -= length;
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    (year, month, day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_as_dates() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_827_696_500_000_000), "2000-02-29 12:34:56 UTC");
        assert_eq!(utc(1_795_256_283_000_000_000), "2026-11-21 10:18:03 UTC");
        assert_eq!(utc(u64::MAX), "2554-07-21 23:34:33 UTC");
    }

    #[test]
    fn sizes_are_shown_with_three_digits() {
        assert_eq!(size(1023), "1023 bytes");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(3 << 20), "3.0 MiB");
        assert_eq!(size(5 << 30), "5.00 GiB");
    }
}
