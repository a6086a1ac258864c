//! `debugop run`: trace a program.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::error::ErrorKind;
use clap::{Args, Error, ValueEnum};

use crate::program::Program;
use debugop_filter::{Pattern, PatternError};

/// Options of `debugop run`, complete and checked.
#[derive(Debug)]
pub struct RunOptions {
    /// Report only what happens in functions that one of these matches; empty for all. Matched against the function's
    /// `__name__`, `__qualname__` and everything that [`Pattern::matches`] looks at.
    pub functions: Vec<Pattern>,
    /// Follow what one of these matches, also if it would not be followed by default.
    pub include: Vec<Pattern>,
    /// Do not follow what one of these matches; wins over `include`.
    pub exclude: Vec<Pattern>,
    /// Follow everything, library code too.
    pub all: bool,
    /// How many calls deep to follow, the first traced function being at depth 1.
    pub depth: Option<u32>,
    /// How many steps to report.
    pub limit: Option<u64>,
    /// How steps are delivered.
    pub engine: Engine,
    /// The form of the report.
    pub format: Format,
    /// Where the report goes; stderr if `None`.
    pub output: Option<PathBuf>,
    /// Whether child processes are traced too, each with a report of its own.
    pub children: bool,
    /// Whether the text report is coloured.
    pub color: Color,
    /// The words of the command line before the program, without the command's name.
    pub own: Vec<OsString>,
    /// What is run.
    pub target: Target,
    /// The program's own arguments: `sys.argv[1:]`.
    pub args: Vec<OsString>,
}

/// What `debugop run` runs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// A Python file, or a directory or zip file with a `__main__`.
    Script(PathBuf),
    /// `-m MODULE`.
    Module(String),
    /// `-c CODE`.
    Command(String),
    /// `-`: the program is read from stdin.
    Stdin,
}

/// What stands in the name of a report for the number of the process that writes it.
const PID: &str = "{pid}";

impl RunOptions {
    /// Where the process with the number `pid` writes its report; stderr if `None`.
    #[must_use]
    pub fn output_of(&self, pid: u32) -> Option<PathBuf> {
        let output = self.output.as_ref()?;
        Some(if self.children {
            expanded(output, pid)
        } else {
            output.clone()
        })
    }

    /// The same for a child that this process has forked, for which `output_of` would be its parent's.
    #[must_use]
    pub fn output_of_child(&self, pid: u32) -> Option<PathBuf> {
        Some(expanded(&self.template()?, pid))
    }

    /// The options for a Python that this process starts, or, if it `replaces` it, becomes. `directory` is the working directory.
    #[must_use]
    pub fn child_options(&self, directory: &Path, replaces: bool) -> Vec<OsString> {
        let mut options = self.own.clone();
        if let Some(template) = self.template() {
            let mut template = directory.join(template).into_os_string();
            if replaces {
                // It has the number of the report that ends here.
                template.push(".exec");
            }
            options.extend(["-o".into(), template]);
        }
        options
    }

    fn template(&self) -> Option<PathBuf> {
        self.output.as_deref().map(template)
    }
}

/// `output`, with a place for the number of the process if it has none.
pub(crate) fn template(output: &Path) -> PathBuf {
    let has_place = output
        .as_os_str()
        .as_encoded_bytes()
        .windows(PID.len())
        .any(|part| part == PID.as_bytes());
    let mut template = output.as_os_str().to_owned();
    if !has_place {
        template.push(".");
        template.push(PID);
    }
    template.into()
}

/// `path` with the number in place of `{pid}`, wherever that stands.
pub(crate) fn expanded(path: &Path, pid: u32) -> PathBuf {
    let (mut rest, mut made) = (path.as_os_str().as_bytes(), Vec::new());
    while let Some(at) = rest
        .windows(PID.len())
        .position(|part| part == PID.as_bytes())
    {
        made.extend_from_slice(&rest[..at]);
        made.extend_from_slice(pid.to_string().as_bytes());
        rest = &rest[at + PID.len()..];
    }
    made.extend_from_slice(rest);
    OsString::from_vec(made).into()
}

impl Target {
    pub(crate) fn script(arg: &OsStr) -> Self {
        if arg == "-" {
            Target::Stdin
        } else {
            Target::Script(arg.into())
        }
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
    /// Report only functions that match; may be repeated
    ///
    /// NAME is a function's name (`parse`), qualified name (`Parser.parse`) or full name (`pkg.mod.Parser.parse`),
    /// and may contain the wildcards * ? and [a-z].
    #[arg(long = "function", short = 'f', value_name = "NAME")]
    functions: Vec<String>,

    /// Follow also what matches; may be repeated
    ///
    /// By default debugop follows your own code: not the standard library, not site-packages. A PATTERN without `/`
    /// is matched against module and qualified name, and covers everything below (`json` covers `json.decoder.JSONDecoder.decode`);
    /// one with `/` is matched against the file's path (`src/**/*.py`). Wildcards are * ? [a-z] and, in paths, **.
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,

    /// Do not follow what matches; wins over --include; may be repeated
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,

    /// Follow everything: the standard library and installed packages too
    #[arg(long, short)]
    all: bool,

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
    /// What os.fork, multiprocessing and subprocess start, if it is the same Python. Each process writes a report of its own:
    /// FILE.<pid>, or FILE with its number in place of {pid}, if -o names that.
    #[arg(long)]
    children: bool,

    /// When to colour the report
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN", hide_default_value = true)]
    color: Color,

    /// Run a library module as a script; ends the options
    #[arg(
        short,
        value_name = "MODULE",
        help_heading = "Program",
        display_order = 1
    )]
    module: Option<String>,

    /// Run a piece of Python code; ends the options
    #[arg(
        short,
        value_name = "CODE",
        help_heading = "Program",
        display_order = 2
    )]
    command: Option<String>,

    /// Python file to run, or a directory or zip file with a __main__; - reads the program from stdin
    #[arg(value_name = "SCRIPT", help_heading = "Program", display_order = 3)]
    script: Option<PathBuf>,

    /// Arguments of the program: everything after it, also what looks like an option
    #[arg(value_name = "ARGS", help_heading = "Program", display_order = 4)]
    args: Vec<OsString>,
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
        let Some(Program { target, args }) = program else {
            return Err(Error::raw(
                ErrorKind::MissingRequiredArgument,
                "there is nothing to run: name a script, -m MODULE or -c CODE, as in:
  debugop run script.py
  debugop run -m json.tool data.json
  debugop run -c 'print(1 + 2)'",
            ));
        };
        if self.children && self.output.is_none() {
            return Err(Error::raw(
                ErrorKind::MissingRequiredArgument,
                "--children needs -o FILE: every process writes a report of its own, FILE.<pid>",
            ));
        }
        Ok(RunOptions {
            functions: patterns("--function", &self.functions)?,
            include: patterns("--include", &self.include)?,
            exclude: patterns("--exclude", &self.exclude)?,
            all: self.all,
            depth: self.depth,
            limit: self.limit,
            engine: self.engine,
            format: self.format,
            output: self.output,
            children: self.children,
            color: self.color,
            own,
            target,
            args,
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
