//! Where debugop's own arguments end and the program's begin.
//!
//! As for `python` itself, `-m MODULE`, `-c CODE` or a script ends the options: what follows is the program's,
//! whatever it looks like. (`debugop debug` has another `-c`.) clap cannot end on an option, so the arguments are split before it sees them; which options
//! take a value is read from clap's own definition.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Args, Command, Error};

use crate::record::size;

/// Commands that run a program.
const COMMANDS: [&str; 5] = ["run", "record", "debug", "debug-child", "selfcheck"];

/// What is to be run, and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// What is run.
    pub target: Target,
    /// The program's own arguments: `sys.argv[1:]`.
    pub args: Vec<OsString>,
}

/// What a command runs.
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

impl Target {
    fn script(arg: &OsStr) -> Self {
        if arg == "-" {
            Target::Stdin
        } else {
            Target::Script(arg.into())
        }
    }
}

/// The program on the command line, for clap's help; clap itself never sees one.
#[derive(Debug, Args)]
pub(crate) struct ProgramArguments {
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

/// Splits `args` (with the command's name first) into what clap parses and the program to run.
pub(crate) fn split(
    command: &Command,
    args: Vec<OsString>,
) -> Result<(Vec<OsString>, Option<Program>), Error> {
    let name = args
        .get(1)
        .filter(|name| COMMANDS.iter().any(|one| name == one));
    let Some(run) = name.and_then(|name| command.find_subcommand(name)) else {
        return Ok((args, None));
    };
    let mut index = 2;
    while let Some(arg) = args.get(index) {
        let text = arg.to_string_lossy();
        if text == "--" {
            let program = args.get(index + 1).map(|script| Program {
                target: Target::script(script),
                args: args[index + 2..].to_vec(),
            });
            return Ok((args[..index].to_vec(), program));
        }
        if text == "-" || !text.starts_with('-') {
            let program = Program {
                target: Target::script(arg),
                args: args[index + 1..].to_vec(),
            };
            return Ok((args[..index].to_vec(), Some(program)));
        }
        if let Some(long) = text.strip_prefix("--") {
            let mut arguments = run.get_arguments();
            let takes_value = arguments
                .find(|arg| arg.get_long() == Some(long))
                .is_some_and(|arg| wants_value(arg) && !may_lack_value(arg, args.get(index + 1)));
            index += if takes_value { 2 } else { 1 };
            continue;
        }
        match short_options(run, &text) {
            Short::Target {
                before,
                letter,
                value,
            } => {
                let (value, used) = match value {
                    Some(value) => (OsString::from(value), 1),
                    None => match args.get(index + 1) {
                        Some(value) => (value.clone(), 2),
                        None => return Err(missing(letter)),
                    },
                };
                let text = value
                    .into_string()
                    .map_err(|value| not_unicode(letter, &value))?;
                let target = match letter {
                    'm' => Target::Module(text),
                    _ => Target::Command(text),
                };
                let mut own = args[..index].to_vec();
                own.extend(before.map(OsString::from));
                let args = args[index + used..].to_vec();
                return Ok((own, Some(Program { target, args })));
            }
            Short::Own { value_follows } => index += if value_follows { 2 } else { 1 },
        }
    }
    Ok((args, None))
}

enum Short {
    /// `-m` or `-c` is in this cluster: the options before it, and its value if that is attached.
    Target {
        before: Option<String>,
        letter: char,
        value: Option<String>,
    },
    /// Only debugop's own options.
    Own { value_follows: bool },
}

/// Reads a cluster of short options: `-qm json.tool` is `-q -m json.tool`, `-oFILE` is `-o FILE`.
fn short_options(run: &Command, text: &str) -> Short {
    for (at, letter) in text.char_indices().skip(1) {
        let rest = &text[at + letter.len_utf8()..];
        // The debugger's `-c` is a command of its own.
        if letter == 'm' || letter == 'c' && run.get_name() != "debug" {
            return Short::Target {
                before: (at > 1).then(|| text[..at].to_owned()),
                letter,
                value: (!rest.is_empty()).then(|| rest.to_owned()),
            };
        }
        let takes_value = run
            .get_arguments()
            .any(|arg| arg.get_short() == Some(letter) && wants_value(arg));
        if takes_value {
            return Short::Own {
                value_follows: rest.is_empty(),
            };
        }
    }
    Short::Own {
        value_follows: false,
    }
}

fn wants_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

/// Whether an option's value may be left out, and `next` is none.
fn may_lack_value(arg: &Arg, next: Option<&OsString>) -> bool {
    let least = arg.get_num_args().map_or(1, |range| range.min_values());
    let is_size = |next: &OsString| next.to_str().is_some_and(|text| size(text).is_ok());
    least == 0 && !next.is_some_and(is_size)
}

fn missing(letter: char) -> Error {
    let (what, example) = match letter {
        'm' => ("the name of a module", "-m json.tool data.json"),
        _ => ("Python code", "-c 'print(1 + 2)'"),
    };
    Error::raw(
        ErrorKind::InvalidValue,
        format!("-{letter} needs {what}, as in: debugop run {example}"),
    )
}

fn not_unicode(letter: char, value: &OsString) -> Error {
    Error::raw(
        ErrorKind::InvalidUtf8,
        format!("the value of -{letter} is not UTF-8: {value:?}"),
    )
}
