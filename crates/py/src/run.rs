//! `debugop run`: the parsed command line, and the run of a program under a report.

mod count;
pub(crate) mod output;
mod reporter;
mod threads;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use debugop_capture::{Engine, GilCell, Handler, Options, Tracer as Core, fork, toplevel};
use debugop_cli::{Color, Format, RunOptions, Target};
use debugop_filter::{CodeFilter, Libraries, Predicate};
use debugop_report::{
    CheckReport, JsonlReport, Report, Sources, Summary, SummaryReport, TextOptions, TextReport,
};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyCode, PyDict, PyTuple};

use crate::children;
use crate::main_program::{Described, ReplacedExec, described};
use count::{Counting, Counts};
use output::{Notes, Output};
pub(crate) use reporter::{Codes, code_info, describe};
use reporter::{Reporter, Sink};

/// Columns of a report that does not go to a terminal.
const FILE_WIDTH: usize = 100;

/// A parsed `debugop run`.
#[pyclass(frozen, module = "debugop._core")]
pub(crate) struct RunRequest {
    options: Arc<RunOptions>,
}

/// Makes the report, given the texts of code that has no file, by file name.
type MakeReport = Box<dyn FnOnce(&[(String, String)]) -> Box<dyn Report> + Send>;

/// A report, and the tracer that feeds it.
#[pyclass(frozen, module = "debugop._core")]
pub(crate) struct Run {
    core: Arc<Core>,
    sink: Arc<Mutex<Sink>>,
    /// With `--format none`, which needs no steps in its sink.
    counts: Option<Arc<Counts>>,
    options: Arc<RunOptions>,
    /// Texts of code that has no file.
    texts: Mutex<Vec<(String, String)>>,
    make_report: Mutex<Option<MakeReport>>,
    replaced: ReplacedExec,
    began: GilCell<Option<Instant>>,
}

impl RunRequest {
    pub(crate) fn new(options: RunOptions) -> Self {
        Self {
            options: Arc::new(options),
        }
    }
}

#[pymethods]
impl RunRequest {
    /// What is run: (kind, name or text, arguments).
    #[getter]
    fn program(&self) -> Described {
        described(&self.options.program)
    }

    /// Whether child processes are traced too.
    #[getter]
    fn children(&self) -> bool {
        self.options.output.as_ref().is_some_and(|to| to.children)
    }

    /// Opens the output and makes the tracer. `libraries` are the directories of code that is not the user's own, `own` those of
    /// debugop itself.
    ///
    /// Raises OSError if the output cannot be opened, ValueError if this interpreter does not have the engine, RuntimeError if another
    /// tool is in the engine's way.
    fn open(&self, py: Python<'_>, libraries: Vec<String>, own: Vec<String>) -> PyResult<Run> {
        let options = &self.options;
        let engine = Engine::named(options.engine.name()).map_err(PyValueError::new_err)?;
        Core::try_engine(engine, py)?;
        let script = match &options.program.target {
            Target::Script(path) => Some(path.as_path()),
            _ => None,
        };
        let path = options.output.as_ref().map(|to| to.of(std::process::id()));
        let output = output::open(path.as_deref(), script).map_err(|error| {
            let name = path
                .clone()
                .map_or("<stderr>".into(), std::path::PathBuf::into_os_string);
            PyOSError::new_err((error.raw_os_error(), error_text(&error), name))
        })?;
        let sink = Arc::new(Mutex::new(Sink::default()));
        let counts = (options.format == Format::None).then(Counts::new);
        let handler: Box<dyn Handler> = match &counts {
            Some(counts) => Box::new(Counting {
                counts: Arc::clone(counts),
                notes: Notes::open(),
            }),
            None => Box::new(Reporter::new(Arc::clone(&sink))),
        };
        let make_report = Mutex::new(Some(make_report(options, output)));
        let directories = libraries;
        let filter = options.filters.with(Libraries { directories, own });
        let core = Core::new(handler, tracer_options(options, filter, engine));
        Ok(Run {
            core,
            sink,
            counts,
            options: Arc::clone(options),
            texts: Mutex::default(),
            make_report,
            replaced: ReplacedExec::default(),
            began: GilCell::default(),
        })
    }
}

fn tracer_options(options: &RunOptions, filter: CodeFilter, engine: Engine) -> Options {
    let names = match options.functions.as_slice() {
        [] => Predicate::Always,
        names => Predicate::Or(names.iter().cloned().map(Predicate::Function).collect()),
    };
    // The main program is at depth 1 on the command line, the first traced frame at depth 0 here.
    let depth = options.depth.map(|depth| depth.saturating_sub(1));
    let wanted = match depth {
        Some(depth) => Predicate::And(vec![names, Predicate::Depth(0..=depth)]),
        None => names,
    };
    Options {
        wanted,
        follow: None,
        limit: options.limit,
        engine,
        everywhere: Some(filter),
    }
}

fn make_report(options: &RunOptions, output: Output) -> MakeReport {
    let Output {
        writer,
        is_terminal,
    } = output;
    match options.format {
        Format::Jsonl => Box::new(|_| Box::new(JsonlReport::new(writer))),
        Format::Check => Box::new(|_| Box::new(CheckReport::new(writer))),
        Format::None => Box::new(|_| Box::new(SummaryReport::new(writer))),
        _ => {
            let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let color = match options.color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => is_terminal && !no_color,
            };
            let width = if is_terminal {
                terminal_width()
            } else {
                FILE_WIDTH
            };
            let options = TextOptions {
                width,
                color,
                flush_each_step: is_terminal,
            };
            let directory = working_directory();
            Box::new(move |texts| {
                let mut sources = Sources::new();
                for (file, text) in texts {
                    sources.register(file, text.clone());
                }
                let report = TextReport::new(writer, options, sources);
                Box::new(match directory {
                    Some(directory) => report.relative_to(directory),
                    None => report,
                })
            })
        }
    }
}

/// The directory that the report names files from; none if it has no name, or one that no code object can have.
pub(crate) fn working_directory() -> Option<String> {
    std::env::current_dir()
        .ok()?
        .into_os_string()
        .into_string()
        .ok()
}

/// The operating system's words for an error, without the number that Python adds itself.
pub(crate) fn error_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

pub(crate) fn terminal_width() -> usize {
    let columns = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok());
    columns
        .or_else(|| {
            terminal_size::terminal_size_of(io::stderr()).map(|(width, _)| usize::from(width.0))
        })
        .unwrap_or(FILE_WIDTH)
}

#[pymethods]
impl Run {
    /// Starts the report and returns the copy of the main program's code that `execute` is to run. `sources` are the texts
    /// of code that has no file, by file name.
    fn begin<'py>(
        &self,
        py: Python<'py>,
        code: &Bound<'py, PyCode>,
        sources: Vec<(String, String)>,
    ) -> PyResult<Bound<'py, PyCode>> {
        let make = self
            .make_report
            .lock()
            .ok()
            .and_then(|mut make| make.take());
        let (Some(make), Ok(mut sink)) = (make, self.sink.lock()) else {
            return Err(PyRuntimeError::new_err("this run has begun already"));
        };
        sink.report = Some(make(&sources));
        drop(sink);
        if let Ok(mut texts) = self.texts.lock() {
            *texts = sources;
        }
        fork::watch();
        self.core.enter(py)?;
        let watched = self.core.watch_or_leave(py, code, "__main__")?;
        self.began.set(py, Some(Instant::now()));
        Ok(watched)
    }

    /// Calls `function`, as if nothing had called it; what it runs with `exec`, a name in its globals, is the main program.
    /// Returns None, or the exception that came out.
    fn execute_by<'py>(
        slf: &Bound<'py, Self>,
        function: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
    ) -> PyResult<Option<PyErr>> {
        let exec = slf.getattr("exec")?;
        slf.get().replaced.call(exec, function, args)
    }

    /// Stands in for the builtin `exec` where the main program is run.
    fn exec<'py>(
        &self,
        py: Python<'py>,
        code: &Bound<'py, PyCode>,
        globals: &Bound<'py, PyDict>,
    ) -> PyResult<()> {
        self.replaced.put_back(py)?;
        let probed = self.begin(py, code, Vec::new())?;
        toplevel::evaluate(py, &probed, globals).map(|_| ())
    }

    /// Ends tracing in a forked child: the report is the parent's.
    fn detach(&self, py: Python<'_>) -> PyResult<()> {
        fork::acknowledge();
        if let Ok(mut sink) = self.sink.lock() {
            // Dropping the report would write its buffer a second time.
            std::mem::forget(sink.report.take());
        }
        self.core.stop(py)
    }

    /// Goes on in a forked child with a report of its own.
    fn restart(&self, py: Python<'_>) {
        let own = self.options.output.as_ref();
        let path = own.map(|to| to.of_child(std::process::id()));
        fork::acknowledge();
        threads::forget_thread();
        self.core.restart(py);
        if let Some(counts) = &self.counts {
            counts.restart(py);
        }
        let (Ok(mut sink), Ok(texts)) = (self.sink.lock(), self.texts.lock()) else {
            return;
        };
        let began = sink.report.is_some();
        // Dropping the report would write its buffer a second time.
        std::mem::forget(std::mem::take(&mut *sink).report);
        if !began {
            return;
        }
        match output::open(path.as_deref(), None) {
            Ok(output) => sink.report = Some(make_report(&self.options, output)(&texts)),
            Err(error) => sink.failure = Some(error),
        }
        drop(sink);
        self.began.set(py, Some(Instant::now()));
    }

    /// The command of debugop and its options for a Python that a child process starts.
    fn child_variable(slf: Py<Self>) -> OsString {
        let directory = std::env::current_dir().unwrap_or_default();
        children::variable_of(&Followed { run: slf }, &directory)
    }

    /// Traces the Pythons that this process starts, too. `directory` is where the package `debugop` is; `variable` is the name of what goes to the
    /// environment of other programs.
    #[pyo3(signature = (directory, variable=None))]
    fn follow_children(
        slf: Py<Self>,
        py: Python<'_>,
        directory: OsString,
        variable: Option<OsString>,
    ) -> PyResult<()> {
        children::follow(py, Followed { run: slf }, directory, variable)
    }

    /// Hands what was reported so far to the operating system.
    fn flush(&self) {
        if let Ok(mut sink) = self.sink.lock() {
            sink.flush(Instant::now());
        }
    }

    /// Ends the report. Returns what went wrong with the output, if anything did; a reader that went away is not an error.
    fn finish(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let steps = self.core.steps(py);
        self.core.stop(py)?;
        let Ok(mut sink) = self.sink.lock() else {
            return Ok(Some("the report failed and ends early".to_owned()));
        };
        sink.end_threads(steps + 1);
        let summary = match &self.counts {
            Some(counts) => counts.summary(py),
            None => sink.counter.summary(),
        };
        let summary = Summary {
            elapsed: self.began.get(py).map(|began| began.elapsed()),
            limit_reached: self.options.limit.is_some_and(|limit| steps >= limit),
            ..summary
        };
        let ended = sink
            .report
            .take()
            .map_or(Ok(()), |report| report.finish(&summary));
        let failure = sink.failure.take().or(ended.err());
        Ok(failure
            .filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
            .map(|error| error_text(&error)))
    }
}

/// What the Pythons that a traced process starts are to do as well.
struct Followed {
    run: Py<Run>,
}

impl children::Followed for Followed {
    const COMMAND: &str = "run";

    fn child_options(&self, directory: &Path, replaces: bool) -> Vec<OsString> {
        self.run.get().options.child_options(directory, replaces)
    }

    fn end(&self, py: Python<'_>, _status: Option<i32>) {
        // Nobody is left who could be told of a failure.
        let _ = self.run.get().finish(py);
    }
}
