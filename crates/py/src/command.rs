//! The command line: what it asks for is carried out here, or is a request to the Python half.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use debugop_cli::{
    Answer, Command, DebugChildOptions, DebugOptions, Outcome, Output, Screen, SelfcheckOptions,
    Subject,
};
use pyo3::prelude::*;

use crate::main_program::{Described, described};
use crate::progress;
use crate::recording::RecordRequest;
use crate::run::{RunRequest, terminal_width};

/// Parses the command line; `argv[0]` is the command's own name.
///
/// Returns a RunRequest, DebugRequest, DebugChildRequest or SelfcheckRequest, or (text, to_stderr, status) to be printed before exiting.
#[pyfunction]
pub(crate) fn parse_command_line<'py>(
    py: Python<'py>,
    argv: Vec<OsString>,
    color: bool,
) -> PyResult<Bound<'py, PyAny>> {
    match debugop_cli::parse(argv, color) {
        Outcome::Command(Command::Run(options)) => {
            Ok(Bound::new(py, RunRequest::new(*options))?.into_any())
        }
        Outcome::Command(Command::Record(options)) => {
            Ok(Bound::new(py, RecordRequest::new(*options))?.into_any())
        }
        Outcome::Command(Command::InstallRecord(install)) => {
            Ok(Bound::new(py, InstallRequest { install })?.into_any())
        }
        Outcome::Command(Command::Debug(options)) => {
            Ok(Bound::new(py, DebugRequest { options: *options })?.into_any())
        }
        Outcome::Command(Command::DebugChild(options)) => {
            Ok(Bound::new(py, DebugChildRequest { options: *options })?.into_any())
        }
        Outcome::Command(Command::Selfcheck(options)) => {
            Ok(Bound::new(py, SelfcheckRequest { options: *options })?.into_any())
        }
        Outcome::Command(Command::Info(options)) => answer(py, || options.answer()),
        Outcome::Command(Command::Pack(options)) => answer(py, || options.answer(progress::tell)),
        Outcome::Command(Command::Query(options)) => answer(py, || options.answer(progress::tell)),
        Outcome::Command(Command::Show(options)) => {
            let stdout = io::stdout();
            let is_terminal = stdout.is_terminal();
            let screen = Screen {
                is_terminal,
                columns: is_terminal.then(terminal_width),
            };
            answer(py, || {
                options.show(Box::new(stdout), screen, progress::tell)
            })
        }
        Outcome::Print {
            text,
            to_stderr,
            status,
        } => Ok((text, to_stderr, status).into_pyobject(py)?.into_any()),
        Outcome::Command(_) => Err(pyo3::exceptions::PyNotImplementedError::new_err(
            "this command is not known here",
        )),
    }
}

/// Carries out a command that needs no Python: (text, to_stderr, status).
fn answer<'py>(
    py: Python<'py>,
    carry_out: impl FnOnce() -> Answer + Send,
) -> PyResult<Bound<'py, PyAny>> {
    let answer = py.detach(carry_out);
    Ok((answer.text, answer.to_stderr, answer.status)
        .into_pyobject(py)?
        .into_any())
}

/// A parsed `debugop record --install` or `--uninstall`.
#[pyclass(frozen, module = "debugop._core")]
pub(crate) struct InstallRequest {
    /// Which of them.
    #[pyo3(get)]
    install: bool,
}

/// The command line by which a Python that was started as `command` becomes `debugop record` of the same program, with its options; None if it
/// runs no program, or that already. `directory` is where the package `debugop` is, `path` the file to record into.
#[pyfunction]
#[expect(
    clippy::needless_pass_by_value,
    reason = "PyO3 hands over what it extracts"
)]
pub(crate) fn record_command(
    command: Vec<OsString>,
    directory: OsString,
    path: PathBuf,
    options: Vec<OsString>,
) -> Option<Vec<OsString>> {
    let output = Output {
        path,
        children: true,
    };
    let here = std::env::current_dir().unwrap_or_default();
    let mut options = options;
    options.extend(output.child_option(&here, false));
    options.push("--children".into());
    debugop_cli::under_debugop(&command, &directory, "record", &options)
}

/// The command line by which a Python that was started as `command` does under debugop what it would do: `ours` is debugop's own command with its
/// options. None if it runs no program, or that already.
#[pyfunction]
#[expect(
    clippy::needless_pass_by_value,
    reason = "PyO3 hands over what it extracts"
)]
pub(crate) fn child_command(
    command: Vec<OsString>,
    directory: OsString,
    ours: Vec<OsString>,
) -> Option<Vec<OsString>> {
    let (name, options) = ours.split_first()?;
    debugop_cli::under_debugop(&command, &directory, name.to_str()?, options)
}

/// A parsed `debugop debug`.
#[pyclass(frozen, module = "debugop._core")]
pub(crate) struct DebugRequest {
    options: DebugOptions,
}

#[pymethods]
impl DebugRequest {
    /// What is run: (kind, name or text, arguments). None: it is a recording.
    #[getter]
    fn program(&self) -> Option<Described> {
        match &self.options.subject {
            Subject::Program(program) => Some(described(program)),
            Subject::Recording { .. } => None,
        }
    }

    /// A recording to go through: (path, whether from where its program failed). None: it is a program.
    #[getter]
    fn recording(&self) -> Option<(PathBuf, bool)> {
        match &self.options.subject {
            Subject::Program(_) => None,
            Subject::Recording { path, at_failure } => Some((path.clone(), *at_failure)),
        }
    }

    /// How many bytes of history are kept; None: there is none.
    #[getter]
    fn history(&self) -> Option<u64> {
        self.options.history
    }

    /// Commands that the debugger carries out before it asks.
    #[getter]
    fn commands(&self) -> Vec<OsString> {
        self.options.commands.clone()
    }
}

/// A parsed `debugop debug-child`.
#[pyclass(frozen, module = "debugop._core")]
pub(crate) struct DebugChildRequest {
    options: DebugChildOptions,
}

#[pymethods]
impl DebugChildRequest {
    /// What is run: (kind, name or text, arguments).
    #[getter]
    fn program(&self) -> Described {
        described(&self.options.program)
    }

    /// The file in which the debugger of the process that has started this one says what goes along.
    #[getter]
    fn session(&self) -> PathBuf {
        self.options.session.clone()
    }
}

/// A parsed `debugop selfcheck`.
#[pyclass(frozen, module = "debugop._core")]
pub(crate) struct SelfcheckRequest {
    options: SelfcheckOptions,
}

#[pymethods]
impl SelfcheckRequest {
    /// What is run: (kind, name or text, arguments).
    #[getter]
    fn program(&self) -> Described {
        described(&self.options.program)
    }

    /// Whether a recording is compared with the run that it is of.
    #[getter]
    fn record(&self) -> bool {
        self.options.record
    }

    /// Options of `debugop run` for each engine's run.
    #[getter]
    fn options(&self) -> Vec<OsString> {
        self.options.options.clone()
    }
}
