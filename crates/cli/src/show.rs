//! `debugop show`: the report of a run, from its recording.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Error, error::ErrorKind};
use debugop_recording::file;
use debugop_replay::{OpenError, Progress, Recording, State};
use debugop_report::replayed::{Described, PlayError, Player, Shown, play};
use debugop_report::{
    Counter, JsonlReport, Report, Sources, Summary, SummaryReport, TextOptions, TextReport,
};
use rustc_hash::FxHashSet;

use crate::run::{Color, Format};
use crate::{Answer, progress};

/// Columns of a report that does not go to a terminal.
const FILE_WIDTH: usize = 100;

/// Show a recording as `debugop run` would have reported the run: every instruction, with its value stack.
///
/// Lists, dicts and other objects are shown as they were when they were last looked at: after each instruction that may have changed them.
///
/// Steps are numbered from 0. Without a range the whole recording is shown.
#[derive(Debug, Args)]
#[command(name = "show", after_help = EXAMPLES, disable_version_flag = true)]
pub(crate) struct ShowArguments {
    /// The recording
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Show steps FROM up to and without TO; either may be left out
    #[arg(
        long,
        short,
        value_name = "FROM..TO",
        default_value = "..",
        hide_default_value = true
    )]
    steps: String,

    /// Show only functions with this name or qualified name; may be repeated
    #[arg(long = "function", short = 'f', value_name = "NAME")]
    functions: Vec<String>,

    /// The form of the report
    #[arg(long, value_enum, default_value_t = Format::Text, hide_default_value = true)]
    format: Format,

    /// When to colour the report
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN", hide_default_value = true)]
    color: Color,

    /// Mark contents with ? that code which is not recorded, C code, a finaliser or another thread may have changed since they were looked at
    #[arg(long)]
    doubts: bool,
}

const EXAMPLES: &str = "\
Examples:
  debugop show script.debugop                     everything
  debugop show script.debugop -s 1000..1100       a hundred steps
  debugop show script.debugop -f Parser.parse     one function
  debugop show script.debugop --format jsonl | jq .";

/// Options of `debugop show`, complete and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShowOptions {
    /// The recording.
    pub file: PathBuf,
    /// The first step.
    pub from: u64,
    /// The step before which it ends.
    pub to: u64,
    /// Names of functions; none: all.
    pub functions: Vec<String>,
    /// The form.
    pub format: Format,
    /// When to colour.
    pub color: Color,
    /// Whether to mark contents that may have changed since they were looked at.
    pub doubts: bool,
}

/// What the report goes to.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// Whether it is a terminal.
    pub is_terminal: bool,
    /// Its columns, where they are known.
    pub columns: Option<usize>,
}

impl ShowArguments {
    pub(crate) fn into_options(self) -> Result<ShowOptions, Error> {
        let bad = || {
            Error::raw(
                ErrorKind::ValueValidation,
                format!(
                    "--steps: {:?} is no range of steps; write FROM..TO, as in 1000..1100, 1000.. or ..1100",
                    self.steps
                ),
            )
        };
        let (from, to) = self.steps.split_once("..").ok_or_else(bad)?;
        let number = |text: &str, otherwise: u64| match text.trim() {
            "" => Ok(otherwise),
            text => step(text).map_err(|_| bad()),
        };
        Ok(ShowOptions {
            from: number(from, 0)?,
            to: number(to, u64::MAX)?,
            file: self.file,
            functions: self.functions,
            doubts: self.doubts,
            format: self.format,
            color: self.color,
        })
    }
}

/// The number of a step, as it is printed, too: thousands may be apart.
pub(crate) fn step(text: &str) -> Result<u64, &'static str> {
    text.replace(['_', ','], "")
        .parse()
        .map_err(|_| "a step is a number, such as the answers of `debugop query hits` and `calls` begin with; 0 is the first")
}

impl ShowOptions {
    /// Carries the command out: writes the report to `out`. The answer is empty unless something is wrong; a reader who has gone away is
    /// no error.
    pub fn show(
        &self,
        out: Box<dyn Write + Send>,
        screen: Screen,
        progress: fn(&Path, Progress),
    ) -> Answer {
        let recording = match progress::open(&self.file, progress) {
            Ok(recording) => Arc::new(recording),
            Err(error) => return Answer::error(&self.file, &error, advice(&error)),
        };
        let codes = match self.codes(&recording) {
            Ok(codes) => codes,
            Err(answer) => return answer,
        };
        let mut report = self.report(&recording, out, screen);
        let mut described = Described::default();
        let mut counter = Counter::default();
        let mut wanted = |step: &debugop_replay::Step, _: &State| {
            codes
                .as_ref()
                .is_none_or(|codes| codes.contains(&step.code))
        };
        let mut show = |shown: Shown<'_>| match shown {
            Shown::Step(step) => {
                counter.step(step);
                report.step(step)
            }
            Shown::Lost(loss) => report.lost(loss),
            Shown::Thread(event) => report.thread(event),
            Shown::Written(written) => report.written(written),
        };
        let played = Player::new(&recording, self.from)
            .map_err(PlayError::from)
            .and_then(|player| {
                let mut player = player.with_doubts(self.doubts);
                play(&mut player, &mut described, self.to, &mut wanted, &mut show)
            });
        let summary = Summary {
            elapsed: None,
            ..counter.summary()
        };
        let finished = match played {
            Ok(()) => report.finish(&summary),
            Err(PlayError::Output(error)) => Err(error),
            Err(PlayError::Recording(error)) => {
                // What could be shown has been shown.
                return match report.finish(&summary) {
                    Ok(()) => Answer::error(&self.file, &error, ""),
                    Err(_) => Answer::error(&self.file, &error, ""),
                };
            }
        };
        match finished {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Answer::error(&self.file, &error, "")
            }
            _ => Answer::text(String::new()),
        }
    }

    /// The numbers of the code objects that are shown; `None`: all.
    fn codes(&self, recording: &Recording) -> Result<Option<FxHashSet<u32>>, Answer> {
        if self.functions.is_empty() {
            return Ok(None);
        }
        let mut codes = FxHashSet::default();
        for name in &self.functions {
            let known = codes.len();
            codes.extend(recording.functions(name).map(|code| code.data().number));
            if codes.len() == known {
                return Err(no_function(&self.file, recording, name));
            }
        }
        Ok(Some(codes))
    }

    fn report(
        &self,
        recording: &Recording,
        out: Box<dyn Write + Send>,
        screen: Screen,
    ) -> Box<dyn Report> {
        match self.format {
            Format::Jsonl => Box::new(JsonlReport::new(out)),
            Format::None => Box::new(SummaryReport::new(BufWriter::new(out))),
            Format::Text | Format::Check => {
                let options = TextOptions {
                    width: screen.columns.unwrap_or(FILE_WIDTH),
                    color: match self.color {
                        Color::Always => true,
                        Color::Never => false,
                        Color::Auto => screen.is_terminal,
                    },
                    flush_each_step: false,
                };
                let report = TextReport::new(out, options, sources(recording));
                Box::new(report.relative_to(recording.reader().header().directory.clone()))
            }
        }
    }
}

/// The source texts that the recording holds; other files are read where they are now.
pub(crate) fn sources(recording: &Recording) -> Sources {
    let mut sources = Sources::new();
    // Damaged sources are as if they had not been recorded.
    for source in recording.reader().sources().unwrap_or_default() {
        let name = String::from_utf8_lossy(&source.filename);
        let text = String::from_utf8_lossy(&source.text);
        sources.register(&name, text);
    }
    sources
}

/// What helps when a recording cannot be opened.
pub(crate) fn advice(error: &OpenError) -> &'static str {
    match error {
        OpenError::File(error) => advice_on_file(error),
        _ => "",
    }
}

/// The same of its file.
pub(crate) fn advice_on_file(error: &file::Error) -> &'static str {
    match error {
        file::Error::Damaged { .. } => {
            "\n  debugop info FILE --recover OUT takes what is intact into a new file"
        }
        _ => "",
    }
}

/// That no function has this name, and which have similar ones.
pub(crate) fn no_function(file: &Path, recording: &Recording, name: &str) -> Answer {
    let wanted = name.to_lowercase();
    let mut similar: Vec<String> = recording
        .codes()
        .iter()
        .map(|code| code.qualname())
        .filter(|known| known.to_lowercase().contains(&wanted))
        .collect();
    similar.sort();
    similar.dedup();
    similar.truncate(5);
    let advice = match similar.is_empty() {
        true => String::new(),
        false => format!("; similar names: {}", similar.join(", ")),
    };
    Answer::failure(
        file,
        &format!("no recorded function is called {name:?}{advice}"),
    )
}
