//! `debugop._core.Tracer`: what `debugop.trace` is made of.

use std::sync::Arc;

use debugop_capture::{Event, Follow, Handler, LiveFrame, Native, Options, Tracer as Core};
use debugop_filter::{CodeFilter, Libraries, Pattern, Predicate as Condition};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyCode, PyFunction};

use crate::convert;
use crate::predicate::Predicate;
use crate::ring::TopOfStack;
use crate::step::Callback;

/// Counts steps and does nothing else.
struct Counter;

impl Handler for Counter {
    fn runs_python(&self) -> bool {
        false
    }

    fn native(&self) -> Option<Native> {
        Some(Native::Count)
    }

    fn step<'py>(&self, _: Python<'py>, _: &Arc<Core>, _: &Event<'_, 'py>, _: Option<LiveFrame>) -> PyResult<()> {
        Ok(())
    }
}

/// Which calls are followed, as `_core.Tracer` takes it.
#[pyclass(frozen, module = "debugop", name = "Follow")]
pub(crate) struct PyFollow {
    follow: Follow,
}

#[pymethods]
impl PyFollow {
    #[new]
    #[pyo3(signature = (*, include = vec![], exclude = vec![], all = false, depth = None, libraries = vec![]))]
    fn new(include: Vec<String>, exclude: Vec<String>, all: bool, depth: Option<u32>, libraries: Vec<String>) -> PyResult<Self> {
        let code = CodeFilter {
            all,
            include: patterns(&include)?,
            exclude: patterns(&exclude)?,
            libraries: Libraries { directories: libraries },
        };
        Ok(Self { follow: Follow { code, depth } })
    }
}

fn patterns(texts: &[String]) -> PyResult<Vec<Pattern>> {
    let parse = |text: &String| text.parse().map_err(|error: debugop_filter::PatternError| PyValueError::new_err(error.to_string()));
    texts.iter().map(parse).collect()
}

/// Reports the steps of the code it watches.
#[pyclass(frozen, module = "debugop")]
pub(crate) struct Tracer {
    core: Arc<Core>,
}

#[pymethods]
impl Tracer {
    #[new]
    #[pyo3(signature = (callback = None, *, wanted = None, follow = None, limit = None))]
    fn new(callback: Option<Bound<'_, PyAny>>, wanted: Option<&Predicate>, follow: Option<&PyFollow>, limit: Option<u64>) -> Self {
        let handler: Box<dyn Handler> = match callback {
            None => Box::new(Counter),
            Some(callback) => match callback.cast_exact::<TopOfStack>() {
                Ok(native) => Box::new(Arc::clone(&native.get().ring)),
                Err(_) => Box::new(Callback::new(callback.unbind())),
            },
        };
        let wanted = wanted.map_or(Condition::Always, |wanted| wanted.condition.clone());
        let options = Options { wanted, follow: follow.map(|follow| follow.follow.clone()), limit };
        Self { core: Core::new(handler, options) }
    }

    /// Watches a code object and returns its probed copy.
    #[pyo3(signature = (code, module = ""))]
    fn watch<'py>(&self, py: Python<'py>, code: &Bound<'py, PyCode>, module: &str) -> PyResult<Bound<'py, PyCode>> {
        self.core.watch(py, code, module).map_err(convert::probe_error)
    }

    /// Watches a function until `stop`.
    fn watch_function<'py>(&self, py: Python<'py>, function: &Bound<'py, PyFunction>) -> PyResult<()> {
        self.core.watch_function(py, function).map_err(convert::probe_error)
    }

    /// Ends reporting and restores every function.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        self.core.stop(py)
    }

    /// Steps reported so far.
    #[getter]
    fn steps(&self, py: Python<'_>) -> u64 {
        self.core.steps(py)
    }
}
