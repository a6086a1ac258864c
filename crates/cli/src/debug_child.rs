//! `debugop debug-child`: what a Python is started as that a debugged program starts. Nobody types it.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, Error};

use crate::program::{Program, ProgramArguments};

/// Options of `debugop debug-child`, complete and checked.
#[derive(Debug)]
pub struct DebugChildOptions {
    /// The file in which the debugger of the process that has started this one says what goes along.
    pub session: PathBuf,
    /// What is run, and with which arguments.
    pub program: Program,
}

/// Run a program that a debugged one has started, at the same terminal.
#[derive(Debug, Args)]
#[command(name = "debug-child", hide = true, disable_version_flag = true)]
pub(crate) struct DebugChildArguments {
    /// What the debugger of the process that has started this one says
    #[arg(long, value_name = "FILE")]
    session: PathBuf,

    #[command(flatten)]
    program: ProgramArguments,
}

impl DebugChildArguments {
    /// `program` is what was split off before parsing; clap itself never sees a program.
    pub(crate) fn into_options(self, program: Option<Program>) -> Result<DebugChildOptions, Error> {
        let Some(program) = program else {
            return Err(Error::raw(
                ErrorKind::MissingRequiredArgument,
                "there is nothing to run",
            ));
        };
        Ok(DebugChildOptions {
            session: self.session,
            program,
        })
    }
}
