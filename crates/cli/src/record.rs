//! `debugop record`: record a program.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Args, Error};

use crate::program::Program;
use crate::run::{Target, at_least_one, expanded, patterns, template};
use debugop_filter::Pattern;

/// Options of `debugop record`, complete and checked.
#[derive(Debug)]
pub struct RecordOptions {
    /// Record what one of these matches, also if it would not be recorded by default.
    pub include: Vec<Pattern>,
    /// Do not record what one of these matches; wins over `include`.
    pub exclude: Vec<Pattern>,
    /// Record everything, library code too.
    pub all: bool,
    /// Names whose values are left out.
    pub redact: Vec<Pattern>,
    /// How much of a value is recorded.
    pub limits: RecordLimits,
    /// How many bytes of the newest history are kept; `None`: everything.
    pub ring: Option<u64>,
    /// Where the recording goes.
    pub output: PathBuf,
    /// Whether child processes are recorded too, each in a file of its own.
    pub children: bool,
    /// Where a witness of the run writes what it sees, for `debugop selfcheck --record`.
    pub witness: Option<PathBuf>,
    /// The words of the command line before the program, without the command's name.
    pub own: Vec<OsString>,
    /// What is run.
    pub target: Target,
    /// The program's own arguments: `sys.argv[1:]`.
    pub args: Vec<OsString>,
}

/// How much of a value is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLimits {
    /// Items of a container, attributes of an instance.
    pub items: usize,
    /// Code points of a string, bytes of a bytes object.
    pub length: usize,
    /// Bits of an int beyond which only its size is kept.
    pub bits: u64,
    /// How deep containers inside a container have contents, too.
    pub depth: u32,
    /// After so many bytes a chunk of the recording ends, for tests; `None`: when its memory is full.
    pub chunk: Option<usize>,
}

impl RecordOptions {
    /// Where a child with the process number `pid`, which this process has forked, is recorded.
    #[must_use]
    pub fn output_of_child(&self, pid: u32) -> PathBuf {
        expanded(&template(&self.output), pid)
    }

    /// The options for a Python that this process starts, or, if it `replaces` it, becomes. `directory` is the working directory.
    #[must_use]
    pub fn child_options(&self, directory: &Path, replaces: bool) -> Vec<OsString> {
        let mut options = self.own.clone();
        let mut output = directory.join(template(&self.output)).into_os_string();
        if replaces {
            // It has the number of the recording that ends here.
            output.push(".exec");
        }
        options.extend(["-o".into(), output]);
        options
    }

    /// Where the process with the number `pid` is recorded.
    #[must_use]
    pub fn output_of(&self, pid: u32) -> PathBuf {
        if self.children {
            expanded(&self.output, pid)
        } else {
            self.output.clone()
        }
    }
}

/// Record a Python program: every bytecode instruction that it executes can be shown afterwards, with all values.
///
/// The program behaves as under plain python: same output, same exit status.
#[derive(Debug, Args)]
#[command(
    name = "record",
    override_usage = "debugop record [OPTIONS] SCRIPT [ARGS]...
       debugop record [OPTIONS] -m MODULE [ARGS]...
       debugop record [OPTIONS] -c CODE [ARGS]...",
    after_help = EXAMPLES,
    disable_version_flag = true
)]
pub(crate) struct RecordArguments {
    /// Write the recording to FILE [default: the program's name with .debugop]
    #[arg(long, short, value_name = "FILE", overrides_with = "output")]
    output: Option<PathBuf>,

    /// Record also what matches; may be repeated
    ///
    /// By default your own code is recorded: not the standard library, not site-packages. A PATTERN is what it is for
    /// `debugop run`.
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,

    /// Do not record what matches; wins over --include; may be repeated
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,

    /// Record everything: the standard library and installed packages too
    #[arg(long, short)]
    all: bool,

    /// Leave out the values of names that match; may be repeated
    ///
    /// Attributes, keys of dictionaries and variables with such a name, as in --redact '*password*'.
    #[arg(long, value_name = "PATTERN")]
    redact: Vec<String>,

    /// Items of a container and attributes of an object that are recorded
    #[arg(long, value_name = "N", default_value_t = 16)]
    items: usize,

    /// Characters of a string and bytes of a bytes object that are recorded
    #[arg(long, value_name = "N", default_value_t = 256)]
    length: usize,

    /// Bits of an int that are recorded; of a larger one only its size
    #[arg(long, value_name = "N", default_value_t = 4096)]
    bits: u64,

    /// How deep containers inside a container are recorded with what is in them
    #[arg(long, value_name = "N", default_value_t = 1)]
    depth: u32,

    /// Keep only the newest SIZE of history, as in 500M
    #[arg(long, value_name = "SIZE", value_parser = size)]
    ring: Option<u64>,

    /// Record child processes too, in FILE.<pid>
    #[arg(long)]
    children: bool,

    /// For `debugop selfcheck --record`: write every slot at every step to FILE
    #[arg(long, value_name = "FILE", hide = true)]
    witness: Option<PathBuf>,

    /// For tests: end each chunk of the recording after N bytes
    #[arg(long, value_name = "N", hide = true)]
    chunk: Option<usize>,

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
  debugop record script.py --verbose      into script.debugop
  debugop record -o run.debugop -m json.tool data.json
  debugop record --redact '*password*' --ring 200M server.py";

/// What a ring holds at least, in bytes.
const LEAST_RING: u64 = 1 << 20;

/// A number of bytes, with K, M or G behind it for powers of 1024.
fn size(text: &str) -> Result<u64, &'static str> {
    let wrong = "a size of at least 1M is needed, as in 500M or 2G";
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 = at_least_one(digits).map_err(|_| wrong)?;
    let size = number.checked_mul(1 << shift).ok_or(wrong)?;
    if size < LEAST_RING {
        Err(wrong)
    } else {
        Ok(size)
    }
}

/// The program's name with `.debugop`, in the working directory.
fn default_output(target: &Target) -> PathBuf {
    let mut name = match target {
        Target::Script(path) => path.file_stem().map(OsStr::to_owned),
        Target::Module(name) => Some(name.into()),
        Target::Command(_) => Some("command".into()),
        Target::Stdin => Some("stdin".into()),
    }
    .unwrap_or_else(|| "program".into());
    name.push(".debugop");
    name.into()
}

impl RecordArguments {
    /// `program` is what was split off before parsing; clap itself never sees a program.
    pub(crate) fn into_options(
        self,
        program: Option<Program>,
        own: Vec<OsString>,
    ) -> Result<RecordOptions, Error> {
        let Some(Program { target, args }) = program else {
            return Err(Error::raw(
                ErrorKind::MissingRequiredArgument,
                "there is nothing to record: name a script, -m MODULE or -c CODE, as in:
  debugop record script.py
  debugop record -m json.tool data.json
  debugop record -c 'print(1 + 2)'",
            ));
        };
        Ok(RecordOptions {
            include: patterns("--include", &self.include)?,
            exclude: patterns("--exclude", &self.exclude)?,
            redact: patterns("--redact", &self.redact)?,
            all: self.all,
            limits: RecordLimits {
                items: self.items,
                length: self.length,
                bits: self.bits,
                depth: self.depth.min(8),
                chunk: self.chunk,
            },
            ring: self.ring,
            output: self.output.unwrap_or_else(|| default_output(&target)),
            children: self.children,
            witness: self.witness,
            own,
            target,
            args,
        })
    }
}
