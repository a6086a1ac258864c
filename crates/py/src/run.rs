//! `debugop run`: the parsed command line, and the handler that feeds a report.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use debugop_capture::activation::{Activation, Activations};
use debugop_capture::collector::Pause;
use debugop_capture::value::{Limits, capture, capture_slot};
use debugop_capture::{Event, EventKind, Follow, Handler, LiveFrame, Options, ProbedCode, Tracer as Core, thread_ident};
use debugop_cli::{Color, Command, Format, Outcome, RunOptions, Target};
use debugop_filter::{CodeFilter, Libraries, Predicate};
use debugop_report::{CodeInfo, CodeNames, Counter, JsonlReport, Report, Step, Summary, SummaryReport, TextOptions, TextReport};
use debugop_value::Value;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyCode, PyDict};
use rustc_hash::FxHashMap;

use crate::convert;

/// Columns of a report that does not go to a terminal.
const FILE_WIDTH: usize = 100;

/// What a report handler does under its lock. Nothing in here runs Python: values are captured before the lock is taken.
struct Sink {
    report: Option<Box<dyn Report>>,
    counter: Counter,
    began: Instant,
    activations: Activations,
    codes: FxHashMap<usize, (Arc<ProbedCode>, Arc<CodeInfo>)>,
    failure: Option<io::Error>,
}

/// Feeds a report.
struct Reporter {
    sink: Arc<Mutex<Sink>>,
    limits: Limits,
}

impl Handler for Reporter {
    fn runs_python(&self) -> bool {
        false
    }

    fn step<'py>(&self, py: Python<'py>, tracer: &Arc<Core>, event: &Event<'_, 'py>, _: Option<LiveFrame>) -> PyResult<()> {
        let _pause = Pause::new(py);
        let stack: Vec<Value> = (0..event.stack_len())
            .map(|index| event.stack(py, index).map_or(Value::Null, |slot| capture_slot(&slot, &self.limits)))
            .collect();
        let exception = event.exception(py).map(|exception| capture(&exception, &self.limits));
        // The lock is only ever held for work that neither runs Python nor waits for the GIL; a poisoned one means that a
        // report panicked, and then there is nothing left to report to.
        let Ok(mut sink) = self.sink.lock() else { return Ok(()) };
        let sink = &mut *sink;
        if sink.report.is_none() {
            return Ok(());
        }
        let Activation { id: frame, depth } = sink.activations.of(py, tracer, event);
        let code = code_info(py, &mut sink.codes, event.code);
        let step = Step {
            number: tracer.steps(py),
            thread: thread_ident(py),
            frame,
            depth,
            code: &code,
            instruction: event.instruction,
            event: match event.kind {
                EventKind::Unwind => debugop_report::Event::Unwind,
                _ => debugop_report::Event::Instruction,
            },
            stack: &stack,
            exception: exception.as_ref(),
        };
        sink.counter.step(&step);
        if let Some(Err(error)) = sink.report.as_mut().map(|report| report.step(&step)) {
            // A closed pipe or a full disk ends the report, not the program.
            sink.failure = Some(error);
            sink.report = None;
        }
        Ok(())
    }
}

/// The description of `code`, made at its first step.
fn code_info(
    py: Python<'_>,
    known: &mut FxHashMap<usize, (Arc<ProbedCode>, Arc<CodeInfo>)>,
    code: &Arc<ProbedCode>,
) -> Arc<CodeInfo> {
    let next = known.len() as u32;
    // The entry keeps the code alive, so that its address names no other for as long as it stands here.
    let make = || (Arc::clone(code), Arc::new(describe(py, next, code)));
    let entry = known.entry(Arc::as_ptr(code) as usize).or_insert_with(make);
    Arc::clone(&entry.1)
}

/// The description of `code` for reports, as number `id`.
pub(crate) fn describe(py: Python<'_>, id: u32, code: &ProbedCode) -> CodeInfo {
    let original = code.original(py);
    let text = |attribute: &str| debugop_capture::code_text(original, attribute);
    let texts = |attribute: &str| debugop_capture::code_texts(original, attribute);
    let names = CodeNames {
        name: text("co_name"),
        qualname: code.names().qualname.to_owned(),
        filename: code.names().file.to_owned(),
        first_line: original.getattr("co_firstlineno").and_then(|line| line.extract()).unwrap_or(0),
        module: Some(code.names().module.to_owned()).filter(|module| !module.is_empty()),
        consts: debugop_capture::code_constants(original, &Limits::default()),
        names: texts("co_names"),
        localsplus: debugop_capture::localsplus_names(original),
    };
    CodeInfo::new(id, names, code.analysis())
}

/// A parsed `debugop run`.
#[pyclass(frozen, module = "debugop._core")]
pub(crate) struct RunRequest {
    options: RunOptions,
}

/// A report under way, and the tracer that feeds it.
#[pyclass(frozen, module = "debugop._core")]
pub(crate) struct Run {
    core: Arc<Core>,
    sink: Arc<Mutex<Sink>>,
    limit: Option<u64>,
}

/// Parses the command line; `argv[0]` is the command's own name.
///
/// Returns a RunRequest, or (text, to_stderr, status) to be printed before exiting.
#[pyfunction]
pub(crate) fn parse_command_line<'py>(py: Python<'py>, argv: Vec<OsString>, color: bool) -> PyResult<Bound<'py, PyAny>> {
    match debugop_cli::parse(argv, color) {
        Outcome::Command(Command::Run(options)) => Ok(Bound::new(py, RunRequest { options: *options })?.into_any()),
        Outcome::Print { text, to_stderr, status } => Ok((text, to_stderr, status).into_pyobject(py)?.into_any()),
        Outcome::Command(_) => Err(pyo3::exceptions::PyNotImplementedError::new_err("this command is not known here")),
    }
}

#[pymethods]
impl RunRequest {
    /// What is run: ("script" | "module" | "command" | "stdin", text).
    #[getter]
    fn target(&self) -> (&'static str, OsString) {
        match &self.options.target {
            Target::Script(path) => ("script", path.clone().into_os_string()),
            Target::Module(name) => ("module", name.into()),
            Target::Command(code) => ("command", code.into()),
            _ => ("stdin", "-".into()),
        }
    }

    /// The program's own arguments.
    #[getter]
    fn args(&self) -> Vec<OsString> {
        self.options.args.clone()
    }

    /// Opens the report and makes the tracer. `sources` are texts of code that has no file, by file name.
    ///
    /// Raises OSError if the output cannot be opened.
    fn start(&self, libraries: Vec<String>, sources: Vec<(String, String)>) -> PyResult<Run> {
        let options = &self.options;
        let (out, is_terminal): (Box<dyn Write + Send>, bool) = match &options.output {
            Some(path) => {
                let file = File::create(path).map_err(|error| {
                    PyOSError::new_err((error.raw_os_error(), error_text(&error), path.clone().into_os_string()))
                })?;
                (Box::new(file), false)
            }
            None => (Box::new(io::stderr()), io::stderr().is_terminal()),
        };
        let report = self.report(out, is_terminal, sources);
        let sink = Arc::new(Mutex::new(Sink {
            report: Some(report),
            counter: Counter::default(),
            began: Instant::now(),
            activations: Activations::default(),
            codes: FxHashMap::default(),
            failure: None,
        }));
        let code = CodeFilter {
            all: false,
            include: options.include.clone(),
            exclude: options.exclude.clone(),
            libraries: Libraries { directories: libraries },
        };
        let wanted = match options.functions.as_slice() {
            [] => Predicate::Always,
            names => Predicate::Or(names.iter().cloned().map(Predicate::Function).collect()),
        };
        // The main program is at depth 1 on the command line, the first traced frame at depth 0 here.
        let depth = options.depth.map(|depth| depth.saturating_sub(1));
        let follow = (depth != Some(0)).then_some(Follow { code, depth });
        let handler = Box::new(Reporter { sink: Arc::clone(&sink), limits: Limits::default() });
        let core = Core::new(handler, Options { wanted, follow, limit: options.limit });
        Ok(Run { core, sink, limit: options.limit })
    }
}

impl RunRequest {
    fn report(&self, out: Box<dyn Write + Send>, is_terminal: bool, sources: Vec<(String, String)>) -> Box<dyn Report> {
        match self.options.format {
            Format::Jsonl => Box::new(JsonlReport::new(out)),
            Format::None => Box::new(SummaryReport::new(out)),
            _ => {
                let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                let color = match self.options.color {
                    Color::Always => true,
                    Color::Never => false,
                    Color::Auto => is_terminal && !no_color,
                };
                let width = if is_terminal { terminal_width() } else { FILE_WIDTH };
                let options = TextOptions { width, color, flush_each_step: is_terminal };
                let mut cache = debugop_report::Sources::new();
                for (file, text) in sources {
                    cache.register(&file, text);
                }
                Box::new(TextReport::new(out, options, cache))
            }
        }
    }
}

/// The operating system's words for an error, without the number that Python adds itself.
fn error_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn terminal_width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    columns.or_else(|| terminal_size::terminal_size_of(io::stderr()).map(|(width, _)| usize::from(width.0))).unwrap_or(FILE_WIDTH)
}

#[pymethods]
impl Run {
    /// Runs the main program's code in `globals`, traced, as if nothing had called it. Returns None, or the exception
    /// that it raised.
    fn execute<'py>(
        &self,
        py: Python<'py>,
        code: &Bound<'py, PyCode>,
        globals: &Bound<'py, PyDict>,
    ) -> PyResult<Option<PyErr>> {
        let probed = self.core.watch(py, code, "__main__").map_err(convert::probe_error)?;
        Ok(debugop_capture::toplevel::run(py, &probed, globals).err())
    }

    /// Ends tracing in a forked child: the report is the parent's.
    fn detach(&self, py: Python<'_>) -> PyResult<()> {
        if let Ok(mut sink) = self.sink.lock() {
            // Dropping the report would write its buffer a second time.
            std::mem::forget(sink.report.take());
        }
        self.core.stop(py)
    }

    /// Hands what was reported so far to the operating system.
    fn flush(&self) {
        if let Ok(mut sink) = self.sink.lock() {
            if let Some(Err(error)) = sink.report.as_mut().map(|report| report.flush()) {
                sink.failure = Some(error);
                sink.report = None;
            }
        }
    }

    /// Ends the report. Returns what went wrong with the output, if anything did; a reader that went away is not an error.
    fn finish(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let steps = self.core.steps(py);
        self.core.stop(py)?;
        let Ok(mut sink) = self.sink.lock() else {
            return Ok(Some("the report failed and ends early".to_owned()));
        };
        let summary = Summary {
            elapsed: Some(sink.began.elapsed()),
            limit_reached: self.limit.is_some_and(|limit| steps >= limit),
            ..sink.counter.summary()
        };
        let ended = sink.report.take().map_or(Ok(()), |report| report.finish(&summary));
        let failure = sink.failure.take().or(ended.err());
        Ok(failure.filter(|error| error.kind() != io::ErrorKind::BrokenPipe).map(|error| error_text(&error)))
    }
}

/// Prints an uncaught exception as the interpreter does for a main program.
#[pyfunction]
pub(crate) fn report_uncaught(py: Python<'_>, error: Bound<'_, PyAny>) {
    debugop_capture::toplevel::report_uncaught(py, PyErr::from_value(error));
}
