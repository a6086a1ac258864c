//! `debugop query`: questions to a recording.

mod asked;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use debugop_recording::stream::ThreadNumber;
use debugop_replay::Progress;
use debugop_replay::query::Filter;
use debugop_value::{escaped, grouped};

use self::asked::{Asked, Refused};
use crate::show::{advice, no_function, step};
use crate::{Answer, progress};

/// Hops of an origin that are followed unless told otherwise.
const HOPS: usize = 20;

/// Ask a recording: where a value comes from, who wrote a variable, when a function was called, …
///
/// Answers are exact: they come from the executed instructions and the values that they met. A PLACE is a variable, as seen from the frame
/// that runs at a step, or an attribute or item in it: x, self.total, rows[0], table['key'].
#[derive(Debug, Args)]
#[command(name = "query", after_help = EXAMPLES, disable_version_flag = true)]
pub(crate) struct QueryArguments {
    #[command(subcommand)]
    question: Question,

    /// Answer in JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  debugop query hits script.debugop script.py:12
  debugop query hits script.debugop script.py:12 --count
  debugop query steps script.debugop --function Parser.parse --opcode STORE_ATTR
  debugop query state script.debugop 1000
  debugop query origin script.debugop 1000 total
  debugop query writes script.debugop 1000 self.total
  debugop query states script.debugop 1000 self.total
  debugop query calls script.debugop Parser.parse
  debugop query exceptions script.debugop --json
  debugop query output script.debugop --contains error
  debugop query diff good.debugop bad.debugop";

#[derive(Debug, Subcommand)]
enum Question {
    /// The frames just before a step: locals and value stack
    State {
        /// The recording
        file: PathBuf,
        /// The number of a step
        #[arg(value_parser = step)]
        step: u64,
    },
    /// Where a value comes from, hop by hop
    Origin {
        /// The recording
        file: PathBuf,
        /// The number of a step
        #[arg(value_parser = step)]
        step: u64,
        /// A variable, an attribute or item (self.total, rows[0]), or a slot of the value stack: stack[0] is its top
        place: String,
        /// Follow at most N hops
        #[arg(long, value_name = "N", default_value_t = HOPS)]
        hops: usize,
    },
    /// Every binding of a place
    Writes {
        /// The recording
        file: PathBuf,
        /// The number of a step, at which PLACE is looked up
        #[arg(value_parser = step)]
        step: u64,
        /// A place
        place: String,
        /// Only the last one before the step
        #[arg(long)]
        last: bool,
    },
    /// What a place has held, and from which step to which
    States {
        /// The recording
        file: PathBuf,
        /// The number of a step, at which PLACE is looked up
        #[arg(value_parser = step)]
        step: u64,
        /// A place
        place: String,
    },
    /// Every call of a function: arguments and result
    Calls {
        /// The recording
        file: PathBuf,
        /// Its name or qualified name
        function: String,
    },
    /// Every time that execution came to a source line
    Hits {
        /// The recording
        file: PathBuf,
        /// FILE:LINE, where FILE may be the end of the path
        line: String,
        /// Only how often: as quick for any length of the recording
        #[arg(long)]
        count: bool,
    },
    /// The steps of a function, of an opcode, of a line, of a thread, of a time
    Steps {
        /// The recording
        file: PathBuf,
        /// Of functions with this name or qualified name
        #[arg(short, long, value_name = "NAME")]
        function: Option<String>,
        /// Instructions with this name, as in dis
        #[arg(long, value_name = "OPNAME")]
        opcode: Option<String>,
        /// Instructions of this line, FILE:LINE
        #[arg(long, value_name = "FILE:LINE")]
        line: Option<String>,
        /// Of the thread with this number in the recording
        #[arg(long, value_name = "N")]
        thread: Option<u32>,
        /// From so many seconds after the beginning of the recording on
        #[arg(long, value_name = "SECONDS")]
        after: Option<f64>,
        /// Up to so many seconds after the beginning of the recording
        #[arg(long, value_name = "SECONDS")]
        before: Option<f64>,
        /// Stop after so many
        #[arg(long, value_name = "N", default_value_t = 1000)]
        limit: usize,
    },
    /// Every exception: where it was raised, and where it was handled
    Exceptions {
        /// The recording
        file: PathBuf,
    },
    /// What the program has written, each with the step that wrote it
    Output {
        /// The recording
        file: PathBuf,
        /// Only to stdout, or only to stderr
        #[arg(long, value_name = "NAME", value_parser = ["stdout", "stderr"])]
        stream: Option<String>,
        /// Only what has this text in it
        #[arg(long, value_name = "TEXT")]
        contains: Option<String>,
    },
    /// The first step at which two recordings of one program part
    Diff {
        /// A recording
        file: PathBuf,
        /// Another one
        other: PathBuf,
    },
}

/// Options of `debugop query`.
#[derive(Debug)]
pub struct QueryOptions {
    question: Question,
    json: bool,
}

impl Question {
    /// The step and the place that are asked for.
    fn place(&self) -> Option<(u64, &str)> {
        match self {
            Self::Origin { step, place, .. }
            | Self::Writes { step, place, .. }
            | Self::States { step, place, .. } => Some((*step, place)),
            _ => None,
        }
    }

    /// What an answer without a line says: `seen` is from where the place was looked up.
    fn found_nothing(&self, seen: &str) -> String {
        let what = match self {
            Self::State { step, .. } => format!("no frame is known at step {}", grouped(*step)),
            Self::Origin { place, .. } => format!("nothing tells where {place} comes from"),
            Self::Writes {
                place,
                step,
                last: true,
                ..
            } => format!("nothing binds {place} before step {}", grouped(*step)),
            Self::Writes { place, .. } => format!("nothing binds {place}"),
            Self::States { place, .. } => format!("{place} has held nothing"),
            Self::Calls { function, .. } => format!("no call of {function}"),
            Self::Hits { line, .. } => format!("no step comes to {line}"),
            Self::Steps { .. } => "no such step".to_owned(),
            Self::Exceptions { .. } => "no exceptions".to_owned(),
            Self::Output { .. } => "nothing written".to_owned(),
            Self::Diff { .. } => "no difference".to_owned(),
        };
        escaped(&format!("({what} in this recording{seen})")).into_owned()
    }
}

impl QueryArguments {
    pub(crate) fn into_options(self) -> QueryOptions {
        QueryOptions {
            question: self.question,
            json: self.json,
        }
    }
}

impl QueryOptions {
    /// Carries the command out.
    #[must_use]
    pub fn answer(&self, progress: fn(&Path, Progress)) -> Answer {
        let file = match &self.question {
            Question::State { file, .. }
            | Question::Origin { file, .. }
            | Question::Writes { file, .. }
            | Question::States { file, .. }
            | Question::Calls { file, .. }
            | Question::Hits { file, .. }
            | Question::Steps { file, .. }
            | Question::Exceptions { file }
            | Question::Output { file, .. }
            | Question::Diff { file, .. } => file,
        };
        let mut asked = match progress::open(file, progress) {
            Ok(recording) => Asked::new(Arc::new(recording), self.json),
            Err(error) => return Answer::error(file, &error, advice(&error)),
        };
        let done = match &self.question {
            Question::State { step, .. } => asked.state(*step),
            Question::Origin {
                step, place, hops, ..
            } => asked.origin(*step, place, *hops),
            Question::Writes {
                step, place, last, ..
            } => asked.writes(*step, place, *last),
            Question::States { step, place, .. } => asked.states(*step, place),
            Question::Calls { function, .. } => {
                if asked.recording.functions(function).next().is_none() {
                    return no_function(file, &asked.recording, function);
                }
                asked.calls(function)
            }
            Question::Hits { line, count, .. } => asked.hits(line, *count),
            Question::Steps {
                function,
                opcode,
                line,
                thread,
                after,
                before,
                limit,
                ..
            } => {
                if let Some(name) = function
                    && asked.recording.functions(name).next().is_none()
                {
                    return no_function(file, &asked.recording, name);
                }
                let time = (after.is_some() || before.is_some()).then(|| {
                    let nanoseconds = |seconds: f64| (seconds * 1e9) as u64;
                    after.map_or(0, nanoseconds)..before.map_or(u64::MAX, nanoseconds)
                });
                let line = line.as_ref().map(|line| asked.source_line(line));
                match line.transpose() {
                    Ok(line) => asked.steps(
                        &Filter {
                            function: function.clone(),
                            opcode: opcode.clone(),
                            line,
                            thread: thread.map(ThreadNumber),
                            time,
                        },
                        *limit,
                    ),
                    Err(refused) => Err(refused),
                }
            }
            Question::Exceptions { .. } => asked.exceptions(),
            Question::Output {
                stream, contains, ..
            } => asked.output(stream.as_deref(), contains.as_deref()),
            Question::Diff { other, .. } => match progress::open(other, progress) {
                Ok(other) => asked.diff(&Arc::new(other)),
                Err(error) => return Answer::error(other, &error, advice(&error)),
            },
        };
        match done {
            Ok(()) => {
                if asked.text.is_empty() && !self.json {
                    let place = self.question.place();
                    let seen = place.and_then(|(step, place)| asked.seen_from(step, place));
                    let nothing = self.question.found_nothing(&seen.unwrap_or_default());
                    asked.line(&nothing);
                }
                asked.say_what_is_missing();
                Answer::text(asked.text)
            }
            Err(Refused::Recording(error)) => Answer::error(file, &error, ""),
            Err(Refused::Said(reason)) => Answer::failure(file, &reason),
        }
    }
}
