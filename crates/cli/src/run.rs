//! `debugop run`: trace a program.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::error::ErrorKind;
use clap::{Args, Error, ValueEnum};

use crate::filters::{FilterArguments, Filters, FunctionArguments};
use crate::output::Output;
use crate::program::{Program, ProgramArguments};
use debugop_filter::{Pattern, PatternError};

/// Options of `debugop run`, complete and checked.
#[derive(Debug)]
pub struct RunOptions {
    /// Report only what happens in functions that one of these matches; empty for all. Matched against the function's
    /// `__name__`, `__qualname__` and everything that [`Pattern::matches`] looks at.
    pub functions: Vec<Pattern>,
    /// Which code is followed.
    pub filters: Filters,
    /// How many calls deep to follow, the first traced function being at depth 1.
    pub depth: Option<u32>,
    /// How many steps to report.
    pub limit: Option<u64>,
    /// How steps are delivered.
    pub engine: Engine,
    /// The form of the report.
    pub format: Format,
    /// Where the reports of this process and, on request, of its children go; stderr if `None`.
    pub output: Option<Output>,
    /// Whether the text report is coloured.
    pub color: Color,
    /// The words of the command line before the program, without the command's name.
    pub own: Vec<OsString>,
    /// What is run, and with which arguments.
    pub program: Program,
}

impl RunOptions {
    /// The options for a Python that this process starts, or, if it `replaces` it, becomes. `directory` is the working directory.
    #[must_use]
    pub fn child_options(&self, directory: &Path, replaces: bool) -> Vec<OsString> {
        let mut options = self.own.clone();
        if let Some(output) = &self.output {
            options.extend(output.child_option(directory, replaces));
        }
        options
    }
}

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Format {
    /// For people: source lines, instructions and stacks
    Text,
    /// For programs: one JSON object per line
    Jsonl,
    /// Only the summary
    None,
    /// For `debugop selfcheck`: one line a step, the same from each engine
    #[value(hide = true)]
    Check,
}

/// How steps are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Engine {
    /// Copies of the program's code with DEBUG_OP in them; the fastest
    Inject,
    /// Events of sys.monitoring (3.12 and newer)
    Monitoring,
    /// Events of a trace function
    Settrace,
}

impl Engine {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inject => "inject",
            Self::Monitoring => "monitoring",
            Self::Settrace => "settrace",
        }
    }
}

/// When the text report is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// When it goes to a terminal and NO_COLOR is not set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Run a Python program and report every bytecode instruction it executes, with its value stack.
///
/// The program behaves as under plain python: same output, same exit status. The report goes to stderr, or to a
/// file with -o, so the program's own output stays its own.
#[derive(Debug, Args)]
#[command(
    name = "run",
    override_usage = "debugop run [OPTIONS] SCRIPT [ARGS]...
       debugop run [OPTIONS] -m MODULE [ARGS]...
       debugop run [OPTIONS] -c CODE [ARGS]...",
    after_help = EXAMPLES,
    disable_version_flag = true
)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    functions: FunctionArguments,

    #[command(flatten)]
    filters: FilterArguments,

    /// Follow calls only N deep; 1 reports no calls at all
    #[arg(long, value_name = "N", value_parser = at_least_one::<u32>)]
    depth: Option<u32>,

    /// Stop reporting after N steps; the program runs on
    #[arg(long, value_name = "N", value_parser = at_least_one::<u64>)]
    limit: Option<u64>,

    /// How debugop learns of steps; all engines report the same
    #[arg(long, value_enum, default_value_t = Engine::Inject, hide_default_value = true)]
    engine: Engine,

    /// The form of the report
    #[arg(long, value_enum, default_value_t = Format::Text, hide_default_value = true)]
    format: Format,

    /// Write the report to FILE instead of stderr; the last one counts
    #[arg(long, short, value_name = "FILE", overrides_with = "output")]
    output: Option<PathBuf>,

    /// Trace child processes too, into FILE.<pid>
    ///
    /// What os.fork, multiprocessing and subprocess start, if it is the same Python; after debugop record --install also what a
    /// shell or another program starts. Each process writes a report of its own: FILE.<pid>, or FILE with its number in place
    /// of {pid}, if -o names that.
    #[arg(long)]
    children: bool,

    /// When to colour the report
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN", hide_default_value = true)]
    color: Color,

    #[command(flatten)]
    program: ProgramArguments,
}

const EXAMPLES: &str = "\
Examples:
  debugop run script.py --verbose         --verbose is the script's own argument
  debugop run -m json.tool data.json      run a module, as python -m does
  debugop run -c 'print(sum(range(3)))'   run one line of Python
  debugop run -f lol script.py            report one function only
  debugop run --include json script.py    follow calls into the json package too
  debugop run --limit 1000 -o trace.txt script.py
  debugop run --format jsonl -o trace.jsonl script.py
  debugop run --children -o trace.txt script.py
  debugop run --format none script.py     only count what is executed";

impl RunArguments {
    /// `program` is what was split off before parsing; clap itself never sees a program.
    pub(crate) fn into_options(
        self,
        program: Option<Program>,
        own: Vec<OsString>,
    ) -> Result<RunOptions, Error> {
        let Some(program) = program else {
            return Err(Error::raw(
                ErrorKind::MissingRequiredArgument,
                "there is nothing to run: name a script, -m MODULE or -c CODE, as in:
  debugop run script.py
  debugop run -m json.tool data.json
  debugop run -c 'print(1 + 2)'",
            ));
        };
        let children = self.children;
        if children && self.output.is_none() {
            return Err(Error::raw(
                ErrorKind::MissingRequiredArgument,
                "--children needs -o FILE: every process writes a report of its own, FILE.<pid>",
            ));
        }
        Ok(RunOptions {
            functions: self.functions.into_patterns()?,
            filters: self.filters.into_filters()?,
            depth: self.depth,
            limit: self.limit,
            engine: self.engine,
            format: self.format,
            output: self.output.map(|path| Output { path, children }),
            color: self.color,
            own,
            program,
        })
    }
}

pub(crate) fn at_least_one<N: FromStr + PartialOrd + From<u8>>(
    text: &str,
) -> Result<N, &'static str> {
    text.parse()
        .ok()
        .filter(|number| *number >= N::from(1))
        .ok_or("a whole number of at least 1 is needed")
}

pub(crate) fn patterns(option: &str, texts: &[String]) -> Result<Vec<Pattern>, Error> {
    let parse = |text: &String| {
        Pattern::new(text).map_err(|error: PatternError| {
            Error::raw(ErrorKind::ValueValidation, format!("{option}: {error}"))
        })
    };
    texts.iter().map(parse).collect()
}
