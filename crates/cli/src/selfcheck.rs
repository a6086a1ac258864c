//! `debugop selfcheck`: do the engines say the same of a program?

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Args, Error};

use crate::filters::FilterArguments;
use crate::program::{Program, ProgramArguments, Target};
use crate::run::at_least_one;

/// Options of `debugop selfcheck`, complete and checked.
#[derive(Debug)]
pub struct SelfcheckOptions {
    /// Options of `debugop run` that say what is reported, as they are to be passed on.
    pub options: Vec<OsString>,
    /// Whether a recording is compared with the run that it is of, instead of one engine with another.
    pub record: bool,
    /// What is run, and with which arguments.
    pub program: Program,
}

/// Run a program under each engine and compare what they report, step for step.
///
/// Each engine runs the program in a process of its own, with nothing to read and its output set aside. Compared are the
/// frame, the instruction, the value stack and exceptions of each step, the output and the exit status. Process numbers,
/// addresses and times may differ, and are counted. Otherwise the program has to do the same each time: what depends on the
/// order of threads, or of sets of objects, is reported as a difference.
#[derive(Debug, Args)]
#[command(
    name = "selfcheck",
    override_usage = "debugop selfcheck [OPTIONS] SCRIPT [ARGS]...
       debugop selfcheck [OPTIONS] -m MODULE [ARGS]...
       debugop selfcheck [OPTIONS] -c CODE [ARGS]...",
    after_help = EXAMPLES,
    disable_version_flag = true
)]
pub(crate) struct SelfcheckArguments {
    #[command(flatten)]
    filters: FilterArguments,

    /// Follow calls only N deep; 1 reports no calls at all
    #[arg(long, value_name = "N", value_parser = at_least_one::<u32>)]
    depth: Option<u32>,

    /// Stop comparing after N steps
    #[arg(long, value_name = "N", value_parser = at_least_one::<u64>)]
    limit: Option<u64>,

    /// Compare a recording, replayed, with every slot of every frame as the same run had it
    #[arg(long, conflicts_with_all = ["depth", "limit"])]
    record: bool,

    /// For tests: end each chunk of the recording after N bytes
    #[arg(long, value_name = "N", hide = true, requires = "record")]
    chunk: Option<usize>,

    #[command(flatten)]
    program: ProgramArguments,
}

const EXAMPLES: &str = "\
Examples:
  debugop selfcheck script.py --verbose      --verbose is the script's own argument
  debugop selfcheck -m json.tool data.json
  debugop selfcheck --record script.py       is a recording of it exact?
  debugop selfcheck --include json -c 'import json; print(json.dumps([1]))'";

impl SelfcheckArguments {
    /// `program` is what was split off before parsing; clap itself never sees a program.
    pub(crate) fn into_options(self, program: Option<Program>) -> Result<SelfcheckOptions, Error> {
        let Some(program) = program else {
            return Err(Error::raw(
                ErrorKind::MissingRequiredArgument,
                "there is nothing to run: name a script, -m MODULE or -c CODE",
            ));
        };
        if program.target == Target::Stdin {
            return Err(Error::raw(
                ErrorKind::InvalidValue,
                "a program from stdin can be run only once: name a script, -m MODULE or -c CODE",
            ));
        }
        let mut options = self.filters.into_filters()?.options();
        if let Some(depth) = self.depth {
            options.extend(["--depth".into(), depth.to_string().into()]);
        }
        if let Some(limit) = self.limit {
            options.extend(["--limit".into(), limit.to_string().into()]);
        }
        if let Some(chunk) = self.chunk {
            options.extend(["--chunk".into(), chunk.to_string().into()]);
        }
        Ok(SelfcheckOptions {
            options,
            record: self.record,
            program,
        })
    }
}
