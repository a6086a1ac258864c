//! `debugop._core.Tracer`: what `debugop.trace` is made of.

use std::sync::Arc;

use debugop_capture::{
    Engine, Event, Follow, Handler, LiveFrame, Native, Options, Tracer as Core, python_functions,
};
use debugop_filter::{CodeFilter, Libraries, Pattern, Predicate as Condition};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyCode;

use crate::convert;
use crate::predicate::{Predicate, pattern};
use crate::record::Records;
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

    fn step<'py>(
        &self,
        _: Python<'py>,
        _: &Arc<Core>,
        _: &Event<'_, 'py>,
        _: Option<LiveFrame>,
    ) -> PyResult<()> {
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
    #[expect(
        clippy::needless_pass_by_value,
        reason = "PyO3 hands over what it extracts"
    )]
    #[pyo3(signature = (*, include = vec![], exclude = vec![], all = false, depth = None, libraries = vec![], own = vec![]))]
    fn new(
        include: Vec<String>,
        exclude: Vec<String>,
        all: bool,
        depth: Option<u32>,
        libraries: Vec<String>,
        own: Vec<String>,
    ) -> PyResult<Self> {
        let code = CodeFilter {
            all,
            include: patterns(&include)?,
            exclude: patterns(&exclude)?,
            functions: Vec::new(),
            libraries: Libraries {
                directories: libraries,
                own,
            },
        };
        Ok(Self {
            follow: Follow { code, depth },
        })
    }
}

fn patterns(texts: &[String]) -> PyResult<Vec<Pattern>> {
    texts
        .iter()
        .map(|text| pattern(text, Pattern::new))
        .collect()
}

/// Reports the steps of the code it watches.
#[pyclass(frozen, module = "debugop")]
pub(crate) struct Tracer {
    core: Arc<Core>,
}

#[pymethods]
impl Tracer {
    /// Steps go to `handler`: `Records`, `TopOfStack`, or a function that is called with each `Step`; None only counts them.
    #[new]
    #[pyo3(signature = (handler = None, *, wanted = None, follow = None, limit = None, engine = "inject", everywhere = None))]
    fn new(
        handler: Option<&Bound<'_, PyAny>>,
        wanted: Option<&Predicate>,
        follow: Option<&PyFollow>,
        limit: Option<u64>,
        engine: &str,
        everywhere: Option<&PyFollow>,
    ) -> PyResult<Self> {
        let engine = Engine::named(engine).map_err(PyValueError::new_err)?;
        let handler: Box<dyn Handler> = match handler {
            None => Box::new(Counter),
            Some(handler) => match (
                handler.cast_exact::<Records>(),
                handler.cast_exact::<TopOfStack>(),
            ) {
                (Ok(records), _) => Box::new(records.get().collector()),
                (_, Ok(top)) => Box::new(Arc::clone(&top.get().ring)),
                _ => Box::new(Callback::new(handler.clone().unbind())),
            },
        };
        let wanted = wanted.map_or(Condition::Always, |wanted| wanted.condition.clone());
        let options = Options {
            wanted,
            follow: follow.map(|follow| follow.follow.clone()),
            limit,
            engine,
            everywhere: everywhere.map(|everywhere| everywhere.follow.code.clone()),
        };
        Ok(Self {
            core: Core::new(handler, options),
        })
    }

    /// Watches what calling `callable` enters first, until `stop`; returns how many functions that are.
    fn watch_callable(&self, py: Python<'_>, callable: &Bound<'_, PyAny>) -> PyResult<usize> {
        let functions = python_functions(callable)?;
        functions
            .iter()
            .try_for_each(|function| self.core.watch_function(py, function))
            .map_err(convert::probe_error)?;
        Ok(functions.len())
    }

    /// Begins to look for code that is wanted wherever it runs; what is watched by name does it too.
    fn enter(&self, py: Python<'_>) -> PyResult<()> {
        self.core.enter(py)
    }

    /// Watches a code object and returns its probed copy.
    #[pyo3(signature = (code, module = ""))]
    fn watch<'py>(
        &self,
        py: Python<'py>,
        code: &Bound<'py, PyCode>,
        module: &str,
    ) -> PyResult<Bound<'py, PyCode>> {
        self.core
            .watch(py, code, module)
            .map_err(convert::probe_error)
    }

    /// Reports frames that run watched code already, and those of suspended `generators`, from their next instruction on.
    #[pyo3(signature = (generators = vec![]))]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "PyO3 hands over what it extracts"
    )]
    fn attach<'py>(&self, py: Python<'py>, generators: Vec<Bound<'py, PyAny>>) -> PyResult<()> {
        self.core.attach_running(py, &generators)
    }

    /// Ends reporting and restores every function.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        self.core.stop(py)
    }

    /// Code objects that were to be watched and are left as they are: how many, and name, file and reason of the first of them.
    #[getter]
    fn left_out(&self, py: Python<'_>) -> (usize, Vec<String>) {
        let left_out = self.core.left_out(py);
        (left_out.count, left_out.named)
    }

    /// Whether steps are still reported: not stopped, and the limit not reached.
    #[getter]
    fn running(&self, py: Python<'_>) -> bool {
        self.core.is_running(py)
    }

    /// Steps reported so far.
    #[getter]
    fn steps(&self, py: Python<'_>) -> u64 {
        self.core.steps(py)
    }
}
