//! The debugop command line: one file a command. No Python, no unsafe.
//!
//! [`parse`] turns arguments into a [`Command`] for the host to carry out, or into text for it to print. Commands that
//! need no program carry themselves out and give an [`Answer`]. Nothing here prints, exits, or touches the program that
//! is to be run.

mod completions;
mod debug;
mod debug_child;
mod filters;
mod info;
mod output;
mod pack;
mod program;
mod progress;
mod python_command;
mod query;
mod record;
mod run;
mod selfcheck;
mod show;

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use clap_complete::Shell;
pub use debug::{DebugOptions, Subject};
pub use debug_child::DebugChildOptions;
pub use debugop_filter::{Pattern, PatternError};
pub use filters::Filters;
pub use info::InfoOptions;
pub use output::Output;
pub use pack::PackOptions;
pub use program::{Program, Target};
pub use python_command::under_debugop;
pub use query::QueryOptions;
pub use record::{RecordLimits, RecordOptions};
pub use run::{Color, Engine, Format, RunOptions};
pub use selfcheck::SelfcheckOptions;
pub use show::{Screen, ShowOptions};

/// What the arguments ask for.
#[derive(Debug)]
pub enum Outcome {
    /// To be carried out by the host.
    Command(Command),
    /// To be printed; the process then exits.
    Print {
        /// Complete lines, with ANSI colours only if they were asked for.
        text: String,
        /// Whether it goes to stderr: it is an error, not an answer.
        to_stderr: bool,
        /// Exit status: 0, or 2 for wrong usage.
        status: u8,
    },
}

/// A command and its options.
#[derive(Debug)]
#[non_exhaustive]
pub enum Command {
    /// `debugop run`: trace a program.
    Run(Box<RunOptions>),
    /// `debugop record`: record a program.
    Record(Box<RecordOptions>),
    /// `debugop record --install` or, if false, `--uninstall`.
    InstallRecord(bool),
    /// `debugop debug`: a program in the debugger, or a recording.
    Debug(Box<DebugOptions>),
    /// `debugop debug-child`: a program that a debugged one has started.
    DebugChild(Box<DebugChildOptions>),
    /// `debugop selfcheck`: compare what the engines say of a program.
    Selfcheck(Box<SelfcheckOptions>),
    /// `debugop info`: show what a recording is of.
    Info(InfoOptions),
    /// `debugop pack`: make a recording smaller.
    Pack(PackOptions),
    /// `debugop show`: the report of a run, from its recording.
    Show(ShowOptions),
    /// `debugop query`: questions to a recording.
    Query(Box<QueryOptions>),
}

/// What a command has to say that needs no program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Complete lines.
    pub text: String,
    /// Whether it goes to stderr: it is an error.
    pub to_stderr: bool,
    /// Exit status: 0, or 1 for an error.
    pub status: u8,
}

impl Answer {
    fn text(text: String) -> Self {
        Answer {
            text,
            to_stderr: false,
            status: 0,
        }
    }

    /// Why there is no answer from a file.
    fn failure(path: &std::path::Path, reason: &str) -> Self {
        Answer {
            text: format!("debugop: {}: {reason}\n", info::shown(path)),
            to_stderr: true,
            status: 1,
        }
    }

    /// An error about a file, and what helps with it.
    fn error(path: &std::path::Path, error: &dyn std::error::Error, advice: &str) -> Self {
        Answer {
            text: format!("debugop: {}: {error}{advice}\n", info::shown(path)),
            to_stderr: true,
            status: 1,
        }
    }
}

#[derive(Debug, Parser)]
#[command(
    name = "debugop",
    version,
    about = "See every bytecode instruction a Python program executes, with its value stack.",
    after_help = EXAMPLES,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
struct Arguments {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    Run(Box<run::RunArguments>),
    Record(Box<record::RecordArguments>),
    Debug(Box<debug::DebugArguments>),
    DebugChild(Box<debug_child::DebugChildArguments>),
    Selfcheck(Box<selfcheck::SelfcheckArguments>),
    Show(show::ShowArguments),
    Query(Box<query::QueryArguments>),
    Info(info::InfoArguments),
    Pack(pack::PackArguments),
    Completions(completions::CompletionsArguments),
}

const EXAMPLES: &str = "\
Examples:
  debugop run script.py              watch script.py execute
  debugop run -c 'print(1 + 2)'      watch one line of Python
  debugop debug script.py            stop in it, line by line or instruction by instruction
  debugop record script.py           keep the whole run in script.debugop
  debugop show script.debugop        look at it afterwards
  debugop debug script.debugop       go through it, forwards and backwards
  debugop run --help                 everything that run can do";

/// Parses the arguments, `args[0]` being the name of the command itself.
///
/// `color` says whether help and error messages may contain ANSI colours.
pub fn parse(args: impl IntoIterator<Item = OsString>, color: bool) -> Outcome {
    parse_for(Arguments::command(), args, color)
}

fn parse_for(
    mut command: clap::Command,
    args: impl IntoIterator<Item = OsString>,
    color: bool,
) -> Outcome {
    let args: Vec<OsString> = args.into_iter().collect();
    let args_name = args.get(1).map(|name| name.to_string_lossy().into_owned());
    let (own, program) = match program::split(&command, args) {
        Ok(split) => split,
        Err(error) => {
            let name = args_name.as_deref().unwrap_or("run");
            return refused(&about(name, error, &mut command), color);
        }
    };
    let parsed = command
        .try_get_matches_from_mut(&own)
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(error) => return refused(&with_advice(error, &own), color),
    };
    match arguments.command {
        Subcommands::Run(run) => match run.into_options(program, own[2..].to_vec()) {
            Ok(options) => Outcome::Command(Command::Run(Box::new(options))),
            Err(error) => refused(&about("run", error, &mut command), color),
        },
        Subcommands::Record(record) if record.installation().is_some() => {
            Outcome::Command(Command::InstallRecord(record.installation() == Some(true)))
        }
        Subcommands::Record(record) => match record.into_options(program, own[2..].to_vec()) {
            Ok(options) => Outcome::Command(Command::Record(Box::new(options))),
            Err(error) => refused(&about("record", error, &mut command), color),
        },
        Subcommands::Debug(debug) => match debug.into_options(program) {
            Ok(options) => Outcome::Command(Command::Debug(Box::new(options))),
            Err(error) => refused(&about("debug", error, &mut command), color),
        },
        Subcommands::DebugChild(child) => match child.into_options(program) {
            Ok(options) => Outcome::Command(Command::DebugChild(Box::new(options))),
            Err(error) => refused(&about("debug-child", error, &mut command), color),
        },
        Subcommands::Selfcheck(selfcheck) => match selfcheck.into_options(program) {
            Ok(options) => Outcome::Command(Command::Selfcheck(Box::new(options))),
            Err(error) => refused(&about("selfcheck", error, &mut command), color),
        },
        Subcommands::Show(show) => match show.into_options() {
            Ok(options) => Outcome::Command(Command::Show(options)),
            Err(error) => refused(&about("show", error, &mut command), color),
        },
        Subcommands::Query(query) => {
            Outcome::Command(Command::Query(Box::new(query.into_options())))
        }
        Subcommands::Info(info) => Outcome::Command(Command::Info(info.into_options())),
        Subcommands::Pack(pack) => Outcome::Command(Command::Pack(pack.into_options())),
        Subcommands::Completions(completions) => Outcome::Print {
            text: completions.script(&mut command),
            to_stderr: false,
            status: 0,
        },
    }
}

/// Gives an error of ours the usage lines of a command.
fn about(name: &str, error: clap::Error, command: &mut clap::Command) -> clap::Error {
    match command.find_subcommand_mut(name) {
        Some(run) => error.format(run),
        None => error,
    }
}

/// Somebody who types `debugop script.py` means `debugop run script.py`.
fn with_advice(mut error: clap::Error, args: &[OsString]) -> clap::Error {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let looks_like_program = |arg: &OsString| {
        let text = arg.to_string_lossy();
        text.ends_with(".py") || text.contains('/') || matches!(&*text, "-m" | "-c")
    };
    let misplaced = matches!(
        error.kind(),
        ErrorKind::InvalidSubcommand | ErrorKind::UnknownArgument
    );
    if let Some(first) = args
        .get(1)
        .filter(|first| misplaced && looks_like_program(first))
    {
        let advice = format!(
            "to trace a program: debugop run {} …",
            first.to_string_lossy()
        );
        error.insert(
            ContextKind::Suggested,
            ContextValue::StyledStrs(vec![advice.into()]),
        );
        error.remove(ContextKind::SuggestedSubcommand);
    }
    error
}

fn refused(error: &clap::Error, color: bool) -> Outcome {
    let rendered = error.render();
    let text = if color {
        rendered.ansi().to_string()
    } else {
        rendered.to_string()
    };
    Outcome::Print {
        text,
        to_stderr: error.use_stderr(),
        status: u8::try_from(error.exit_code()).unwrap_or(2),
    }
}

#[cfg(test)]
mod tests;
