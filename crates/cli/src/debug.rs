//! `debugop debug`: a program in the debugger, or a recording.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::error::ErrorKind;
use clap::{Args, Error};

use crate::program::{Program, Target};
use crate::record::size;

/// Options of `debugop debug`, complete and checked.
#[derive(Debug)]
pub struct DebugOptions {
    /// Commands that the debugger carries out before it asks, in order.
    pub commands: Vec<OsString>,
    /// How many bytes of history a program keeps, to go back in; `None`: no history.
    pub history: Option<u64>,
    /// What is debugged.
    pub subject: Subject,
}

/// What is debugged.
#[derive(Debug, PartialEq, Eq)]
pub enum Subject {
    /// A program that is run, and its arguments.
    Program(Program),
    /// A recording.
    Recording {
        /// The file.
        path: PathBuf,
        /// Whether it begins where the program failed.
        at_failure: bool,
    },
}

/// What a recording begins with.
const MAGIC: &[u8] = b"\x89debugop";
/// What the names of recordings end with.
const EXTENSION: &str = "debugop";

/// Whether a file is a recording, or is called one.
fn is_recording(path: &Path) -> bool {
    let mut head = [0; MAGIC.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    (read.is_ok() && head == MAGIC) || path.extension().is_some_and(|end| end == EXTENSION)
}

/// The recording in a directory that was written last.
fn newest(directory: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(directory).ok()?.flatten();
    let recordings = entries.filter_map(|entry| {
        let path = entry.path();
        let named = path.extension().is_some_and(|end| end == EXTENSION);
        let written: SystemTime = entry.metadata().ok()?.modified().ok()?;
        named.then_some((written, path))
    });
    recordings.max().map(|(_, path)| path)
}

/// Run a program in the debugger: pdb's commands, and what happens between lines. Or go through a recording, forwards and backwards.
///
/// The console is this Python's own pdb, with its commands, aliases, .pdbrc files, completion and history; `help` lists
/// them. Added are `stepi` and `nexti`, which go from instruction to instruction, `stack`, which prints the value
/// stack, and `dis`, which disassembles around the current instruction. Lines without breakpoints are not slowed down
/// after `continue` (CPython 3.12+).
///
/// Over a recording the same commands go through what was recorded, and `rs`, `rn`, `rsi`, `rni`, `rfinish` and `rc` go back; `goto`, `when`,
/// `origin`, `writes`, `watch` and `catch` are explained by `help`. Expressions are evaluated over the recorded values.
///
/// With --history a program that is run can go back, too: it is recorded meanwhile, and at each stop the commands that go back lead into what has been recorded,
/// and those that go forwards out of it to where the program stands. Its history begins with the program: `debugop.set_trace()` has none.
///
/// To stop at a place of a program that is run as usual: `debugop.set_trace()`, or `breakpoint()` with
/// PYTHONBREAKPOINT=debugop.set_trace.
#[derive(Debug, Args)]
#[command(
    name = "debug",
    override_usage = "debugop debug [-c COMMAND]... [--history [SIZE]] SCRIPT [ARGS]...
       debugop debug [-c COMMAND]... [--history [SIZE]] -m MODULE [ARGS]...
       debugop debug [-c COMMAND]... RECORDING
       debugop debug [-c COMMAND]... --last",
    after_help = EXAMPLES,
    disable_version_flag = true
)]
pub(crate) struct DebugArguments {
    /// Carry out a command of the debugger, after those of .pdbrc; may be repeated
    #[arg(short, long = "command", value_name = "COMMAND")]
    commands: Vec<OsString>,

    /// Keep the newest SIZE of history, 64M if none is given, to go back in
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = size,
        num_args = 0..=1,
        default_missing_value = "64M"
    )]
    history: Option<u64>,

    /// Open the newest recording in the working directory where its program failed
    #[arg(long)]
    last: bool,

    /// Debug a library module as a script; ends the options
    #[arg(
        short,
        value_name = "MODULE",
        help_heading = "Program",
        display_order = 1
    )]
    module: Option<String>,

    /// Python file to debug, or a directory or zip file with a __main__ where this Python's pdb can; or a recording
    #[arg(value_name = "SCRIPT", help_heading = "Program", display_order = 3)]
    script: Option<OsString>,

    /// Arguments of the program: everything after it, also what looks like an option
    #[arg(value_name = "ARGS", help_heading = "Program", display_order = 4)]
    args: Vec<OsString>,
}

const EXAMPLES: &str = "\
Examples:
  debugop debug script.py --verbose          --verbose is the script's own argument
  debugop debug -c 'break 12' -c continue script.py
  debugop debug -m json.tool data.json
  debugop debug --history script.py          `rs`, `rn`, `rc` go back from wherever it stops
  debugop debug script.debugop               go through what debugop record has recorded
  debugop debug --last                       where the program that was recorded last failed";

impl DebugArguments {
    /// `program` is what was split off before parsing; clap itself never sees a program.
    pub(crate) fn into_options(self, program: Option<Program>) -> Result<DebugOptions, Error> {
        Ok(DebugOptions {
            subject: self.subject(program)?,
            commands: self.commands,
            history: self.history,
        })
    }

    fn subject(&self, program: Option<Program>) -> Result<Subject, Error> {
        let wrong = |kind, text: &str| Err(Error::raw(kind, text));
        let Some(program) = program else {
            if !self.last {
                return wrong(
                    ErrorKind::MissingRequiredArgument,
                    "there is nothing to debug: name a script, -m MODULE, a recording, or --last",
                );
            }
            let Some(path) = newest(Path::new(".")) else {
                return wrong(
                    ErrorKind::InvalidValue,
                    "there is no recording (*.debugop) in the working directory",
                );
            };
            return Ok(Subject::Recording {
                path,
                at_failure: true,
            });
        };
        if self.last {
            return wrong(
                ErrorKind::ArgumentConflict,
                "--last is about a recording, so there is no program to name",
            );
        }
        match &program.target {
            Target::Stdin => wrong(
                ErrorKind::InvalidValue,
                "stdin is for the debugger's commands: name a script or -m MODULE",
            ),
            Target::Script(path) if is_recording(path) => {
                if self.history.is_some() {
                    return wrong(
                        ErrorKind::ArgumentConflict,
                        "--history is about a program that runs: a recording is all history",
                    );
                }
                if !program.args.is_empty() {
                    return wrong(
                        ErrorKind::TooManyValues,
                        "a recording takes no arguments: nothing is run",
                    );
                }
                Ok(Subject::Recording {
                    path: path.clone(),
                    at_failure: false,
                })
            }
            _ => Ok(Subject::Program(program)),
        }
    }
}
