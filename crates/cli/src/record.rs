//! `debugop record`: record a program.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Args, Error};

use crate::filters::{FilterArguments, Filters, FunctionArguments};
use crate::output::Output;
use crate::program::{Program, ProgramArguments, Target};
use crate::run::{at_least_one, patterns};
use debugop_filter::Pattern;

/// Options of `debugop record`, complete and checked.
#[derive(Debug)]
pub struct RecordOptions {
    /// Record only functions that one of these names; empty for all.
    pub functions: Vec<Pattern>,
    /// Which code is followed.
    pub filters: Filters,
    /// How many calls deep is recorded, the main program being at depth 1; `None`: all.
    pub depth: Option<u32>,
    /// After how many steps, at least, the recording ends; `None`: not before the program.
    pub limit: Option<u64>,
    /// Names whose values are left out.
    pub redact: Vec<Pattern>,
    /// How much of a value is recorded.
    pub limits: RecordLimits,
    /// How many bytes of the newest history are kept; `None`: everything.
    pub ring: Option<u64>,
    /// Whether it is kept only if the program fails.
    pub on_exception: bool,
    /// Where the recordings of this process and, on request, of its children go.
    pub output: Output,
    /// The recording of the process that has started this one, and the number of that process.
    pub parent: Option<(String, u32)>,
    /// Where a witness of the run writes what it sees, for `debugop selfcheck --record`.
    pub witness: Option<PathBuf>,
    /// The words of the command line before the program, without the command's name.
    pub own: Vec<OsString>,
    /// What is run, and with which arguments.
    pub program: Program,
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
    /// The options for a Python that this process starts, or, if it `replaces` it, becomes. `directory` is the working directory, `parent` the recording
    /// of this process.
    #[must_use]
    pub fn child_options(
        &self,
        directory: &Path,
        replaces: bool,
        parent: Option<(String, u32)>,
    ) -> Vec<OsString> {
        let mut options = self.own.clone();
        options.extend(self.output.child_option(directory, replaces));
        if let Some((uuid, pid)) = parent {
            options.extend(["--parent".into(), format!("{uuid}:{pid}").into()]);
        }
        options
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
       debugop record [OPTIONS] -c CODE [ARGS]...
       debugop record --install | --uninstall",
    after_help = EXAMPLES,
    disable_version_flag = true
)]
pub(crate) struct RecordArguments {
    /// Write the recording to FILE [default: the program's name with .debugop]
    #[arg(long, short, value_name = "FILE", overrides_with = "output")]
    output: Option<PathBuf>,

    #[command(flatten)]
    functions: FunctionArguments,

    #[command(flatten)]
    filters: FilterArguments,

    /// Record calls only N deep; 1 records no calls at all
    #[arg(long, value_name = "N", value_parser = at_least_one::<u32>)]
    depth: Option<u32>,

    /// End the recording after about N steps; the program runs on
    #[arg(long, value_name = "N", value_parser = at_least_one::<u64>)]
    limit: Option<u64>,

    /// Leave out the values of names that match; may be repeated
    ///
    /// Variables, attributes, keys of dictionaries and keyword arguments with such a name, as in --redact '*password*'; the same
    /// object is then left out everywhere.
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
    nesting: u32,

    /// Keep only the newest SIZE of history, as in 500M
    #[arg(long, value_name = "SIZE", value_parser = size)]
    ring: Option<u64>,

    /// Keep the recording only if the program fails: an exception ends it, or its exit status is not 0
    #[arg(long)]
    on_exception: bool,

    /// Record child processes too, in FILE.<pid>
    #[arg(long)]
    children: bool,

    /// Let every process of this Python that is started with DEBUGOP_RECORD=FILE record itself
    ///
    /// Writes a line into its site-packages; where that has not been done, nobody looks at the variable. Without the variable nothing changes, but that
    /// --children follows what a shell starts, too. The file's name may contain {pid}, and gets it otherwise; DEBUGOP_RECORD_OPTIONS may hold options of this command.
    #[arg(long, exclusive = true)]
    install: bool,

    /// Undo --install
    #[arg(long, exclusive = true)]
    uninstall: bool,

    /// For `debugop selfcheck --record`: write every slot at every step to FILE
    #[arg(long, value_name = "FILE", hide = true)]
    witness: Option<PathBuf>,

    /// For child processes: the recording of the process that has started this one, and its number
    #[arg(long, value_name = "UUID:PID", hide = true, value_parser = parent, overrides_with = "parent")]
    parent: Option<(String, u32)>,

    /// For tests: end each chunk of the recording after N bytes
    #[arg(long, value_name = "N", hide = true)]
    chunk: Option<usize>,

    #[command(flatten)]
    program: ProgramArguments,
}

const EXAMPLES: &str = "\
Examples:
  debugop record script.py --verbose      into script.debugop
  debugop record -o run.debugop -m json.tool data.json
  debugop record -f parse script.py       only functions called parse
  debugop record --limit 1000000 script.py    only how it begins
  debugop record --on-exception script.py     then debugop debug --last
  debugop record --redact '*password*' --ring 200M server.py";

/// What a ring holds at least, in bytes.
const LEAST_RING: u64 = 1 << 20;

/// A number of bytes, with K, M or G, or KiB, MiB or GiB, behind it for powers of 1024.
pub(crate) fn size(text: &str) -> Result<u64, &'static str> {
    let wrong = "a size of at least 1M is needed, as in 500M or 2G";
    let text = text.strip_suffix("iB").unwrap_or(text);
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

/// A recording, by its 32 hexadecimal digits, and the process that makes it.
fn parent(text: &str) -> Result<(String, u32), &'static str> {
    let wrong = "a recording and a process are needed, as in UUID:PID";
    let (uuid, pid) = text.split_once(':').ok_or(wrong)?;
    let is_uuid = uuid.len() == 32 && uuid.bytes().all(|digit| digit.is_ascii_hexdigit());
    match pid.parse() {
        Ok(pid) if is_uuid => Ok((uuid.to_owned(), pid)),
        _ => Err(wrong),
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
    /// Whether the command is to be installed (`true`) or taken away (`false`) for processes that others start.
    pub(crate) fn installation(&self) -> Option<bool> {
        (self.install || self.uninstall).then_some(self.install)
    }

    /// `program` is what was split off before parsing; clap itself never sees a program.
    pub(crate) fn into_options(
        self,
        program: Option<Program>,
        own: Vec<OsString>,
    ) -> Result<RecordOptions, Error> {
        let Some(program) = program else {
            return Err(Error::raw(
                ErrorKind::MissingRequiredArgument,
                "there is nothing to record: name a script, -m MODULE or -c CODE, as in:
  debugop record script.py
  debugop record -m json.tool data.json
  debugop record -c 'print(1 + 2)'",
            ));
        };
        let path = self.output;
        let path = path.unwrap_or_else(|| default_output(&program.target));
        let children = self.children;
        Ok(RecordOptions {
            functions: self.functions.into_patterns()?,
            filters: self.filters.into_filters()?,
            redact: patterns("--redact", &self.redact)?,
            limits: RecordLimits {
                items: self.items,
                length: self.length,
                bits: self.bits,
                depth: self.nesting.min(8),
                chunk: self.chunk,
            },
            depth: self.depth,
            limit: self.limit,
            ring: self.ring,
            on_exception: self.on_exception,
            output: Output { path, children },
            parent: self.parent,
            witness: self.witness,
            own,
            program,
        })
    }
}
