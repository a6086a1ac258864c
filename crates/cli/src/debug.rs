//! `debugop debug`: a program in the debugger.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Args, Error};

use crate::program::{Program, Target};

/// Options of `debugop debug`, complete and checked.
#[derive(Debug)]
pub struct DebugOptions {
    /// Commands that the debugger carries out before it asks, in order.
    pub commands: Vec<OsString>,
    /// What is run, and with which arguments.
    pub program: Program,
}

/// Run a program in the debugger: pdb's commands, and what happens between lines.
///
/// The console is this Python's own pdb, with its commands, aliases, .pdbrc files, completion and history; `help` lists
/// them. Added are `stepi` and `nexti`, which go from instruction to instruction, `stack`, which prints the value
/// stack, and `dis`, which disassembles around the current instruction. Lines without breakpoints are not slowed down
/// after `continue` (CPython 3.12+).
///
/// To stop at a place of a program that is run as usual: `debugop.set_trace()`, or `breakpoint()` with
/// PYTHONBREAKPOINT=debugop.set_trace.
#[derive(Debug, Args)]
#[command(
    name = "debug",
    override_usage = "debugop debug [-c COMMAND]... SCRIPT [ARGS]...
       debugop debug [-c COMMAND]... -m MODULE [ARGS]...",
    after_help = EXAMPLES,
    disable_version_flag = true
)]
pub(crate) struct DebugArguments {
    /// Carry out a command of the debugger, after those of .pdbrc; may be repeated
    #[arg(short, long = "command", value_name = "COMMAND")]
    commands: Vec<OsString>,

    /// Debug a library module as a script; ends the options
    #[arg(
        short,
        value_name = "MODULE",
        help_heading = "Program",
        display_order = 1
    )]
    module: Option<String>,

    /// Python file to debug, or a directory or zip file with a __main__ where this Python's pdb can
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
  debugop debug -m json.tool data.json";

impl DebugArguments {
    /// `program` is what was split off before parsing; clap itself never sees a program.
    pub(crate) fn into_options(self, program: Option<Program>) -> Result<DebugOptions, Error> {
        let Some(program) = program else {
            return Err(Error::raw(
                ErrorKind::MissingRequiredArgument,
                "there is nothing to debug: name a script or -m MODULE",
            ));
        };
        if program.target == Target::Stdin {
            return Err(Error::raw(
                ErrorKind::InvalidValue,
                "stdin is for the debugger's commands: name a script or -m MODULE",
            ));
        }
        Ok(DebugOptions {
            commands: self.commands,
            program,
        })
    }
}
