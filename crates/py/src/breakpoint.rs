//! Breakpoints that are compiled into bytecode.

use std::sync::Arc;

use debugop_capture::breakpoint::{self, Breakpoint, Listener, Wanted};
use pyo3::prelude::*;
use pyo3::types::PyFrame;

/// Calls functions of Python's.
struct Callbacks {
    stop: Option<Py<PyAny>>,
    log: Option<Py<PyAny>>,
}

impl Listener for Callbacks {
    fn stop<'py>(
        &self,
        py: Python<'py>,
        breakpoint: &Arc<Breakpoint>,
        frame: &Bound<'py, PyFrame>,
        raised: bool,
    ) -> PyResult<()> {
        match &self.stop {
            Some(stop) => stop
                .bind(py)
                .call1((frame, breakpoint.line(), raised))
                .map(drop),
            None => Ok(()),
        }
    }

    fn log(&self, py: Python<'_>, _breakpoint: &Arc<Breakpoint>, text: &str) -> PyResult<()> {
        match &self.log {
            Some(log) => log.bind(py).call1((text,)).map(drop),
            None => Ok(()),
        }
    }
}

/// A breakpoint, in force while it is among those that `set_breakpoints` was given last.
///
/// `on_stop(frame, line, raised)` is called in the program's thread when it is reached, its condition holds (or has raised: `raised`) and it has been
/// passed over `ignore` times; what it raises is raised in the program. With `log`, an f-string's text, `on_log(text)` is
/// called instead.
///
/// Raises SyntaxError where the condition, or an expression in the text, is none.
#[pyclass(frozen, module = "debugop._core")]
pub(crate) struct CompiledBreakpoint(Arc<Breakpoint>);

#[pymethods]
impl CompiledBreakpoint {
    #[new]
    #[pyo3(signature = (file, line, *, condition = None, ignore = 0, log = None, on_stop = None, on_log = None))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword arguments of a Python class"
    )]
    fn new(
        py: Python<'_>,
        file: &str,
        line: u32,
        condition: Option<&str>,
        ignore: u64,
        log: Option<&str>,
        on_stop: Option<Py<PyAny>>,
        on_log: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let listener = Arc::new(Callbacks {
            stop: on_stop,
            log: on_log,
        });
        let wanted = Wanted {
            file,
            line,
            function: None,
            line_in_function: None,
            hidden_at: &[],
            condition,
            ignore,
            log,
            by_events: false,
            thread: None,
            listener,
        };
        Breakpoint::new(py, wanted).map(Self)
    }

    /// The file, made absolute.
    #[getter]
    fn file(&self) -> &str {
        self.0.file()
    }

    /// The line.
    #[getter]
    fn line(&self) -> u32 {
        self.0.line()
    }

    /// The condition as it was written.
    #[getter]
    fn condition(&self) -> Option<&str> {
        self.0.condition()
    }

    /// How often it was reached.
    #[getter]
    fn hits(&self, py: Python<'_>) -> u64 {
        self.0.hits(py)
    }

    /// How many times more it is passed over.
    #[getter]
    fn ignore(&self, py: Python<'_>) -> u64 {
        self.0.ignore(py)
    }

    #[setter]
    fn set_ignore(&self, py: Python<'_>, ignore: u64) {
        self.0.set_ignore(py, ignore);
    }
}

/// Puts `breakpoints` in force, in place of all that were, in every function there is and every one that will be made. Those that
/// were already stay where they are.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "an argument from Python")]
pub(crate) fn set_breakpoints(
    py: Python<'_>,
    breakpoints: Vec<PyRef<'_, CompiledBreakpoint>>,
) -> PyResult<()> {
    let all: Vec<_> = breakpoints.iter().map(|one| Arc::clone(&one.0)).collect();
    breakpoint::set(py, &all)
}

/// Stops evaluating breakpoints, or goes on.
#[pyfunction]
pub(crate) fn pause_breakpoints(py: Python<'_>, paused: bool) {
    breakpoint::pause(py, paused);
}

/// The code objects that have been left as they are although there are breakpoints for them, each with the reason.
#[pyfunction]
pub(crate) fn breakpoint_reasons(py: Python<'_>) -> Vec<String> {
    breakpoint::reasons(py)
}

/// What a log point's text says in a frame: the text of an f-string, or the exception that comes of it.
///
/// Raises SyntaxError if it is none.
#[pyfunction]
pub(crate) fn log_message(template: &str, frame: &Bound<'_, PyFrame>) -> PyResult<String> {
    breakpoint::message(template, frame)
}
