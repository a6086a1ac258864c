//! A recording from its beginning to its end: who is recorded, and by what.

use std::sync::Arc;

use debugop_filter::{CodeFilter, Pattern, Predicate};
use pyo3::exceptions::PyRuntimeError;
use pyo3::types::PyCode;
use pyo3::{Bound, PyResult, Python};

use super::{DENSITY, Density, Ear, Finished, Limits, Recorder, Store, assigned, running};
use crate::engine::Engine;
use crate::event::Event;
use crate::frame::LiveFrame;
use crate::interpreter;
use crate::native::Native;
use crate::output;
use crate::registry;
use crate::tracer::{Handler, LeftOut, Options, Tracer};

/// What is recorded, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which code.
    pub filter: CodeFilter,
    /// How much of each value.
    pub limits: Limits,
    /// Names whose values are left out.
    pub redact: Vec<Pattern>,
    /// Whether tracers may watch the same code at every step; recording costs more then.
    pub with_tracers: bool,
}

/// A recording that is being made. There is one at a time.
pub struct Session {
    tracer: Arc<Tracer>,
}

/// What a recorder is told besides what planned sites tell it.
type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// The tracer that finds what is to be recorded.
struct Follower {
    left_out: Tell,
}

impl Handler for Follower {
    fn runs_python(&self) -> bool {
        false
    }

    fn native(&self) -> Option<Native> {
        Some(Native::Record)
    }

    fn left_out(&self, _: Python<'_>, what: &str) {
        (self.left_out)(what);
    }

    fn step<'py>(
        &self,
        py: Python<'py>,
        _: &Arc<Tracer>,
        event: &Event<'_, 'py>,
        _: Option<LiveFrame>,
    ) -> PyResult<()> {
        running::step(py, event);
        Ok(())
    }
}

impl Session {
    /// Whether a recording could begin.
    ///
    /// # Errors
    /// `RuntimeError` says why not.
    pub fn check(py: Python<'_>) -> PyResult<()> {
        let problem = if !interpreter::is_main(py) {
            "only the main interpreter can be recorded"
        } else if super::is_active(py) {
            "a recording is being made already: end it before the next one begins"
        } else if registry::all(py).iter().any(|code| code.has_watchers(py)) {
            "a trace is running: end it before the recording begins"
        } else {
            return Ok(());
        };
        Err(PyRuntimeError::new_err(problem))
    }

    /// Begins to record everything that the filter allows: what is called from now on, and, with `attach`, frames that run already. `left_out` is told of
    /// code that is not recorded.
    ///
    /// # Errors
    /// As [`Session::check`].
    pub fn start(
        py: Python<'_>,
        store: Store,
        plan: Plan,
        left_out: Tell,
        attach: bool,
    ) -> PyResult<Self> {
        Self::check(py)?;
        let mut recorder = Recorder::new(py, store, plan.limits, plan.redact)?;
        let density = if plan.with_tracers {
            recorder.beside_witness = true;
            Density::Both
        } else {
            Density::Planned
        };
        DENSITY.set(py, density);
        let options = Options {
            wanted: Predicate::Always,
            follow: None,
            limit: None,
            engine: Engine::Inject,
            everywhere: Some(plan.filter),
        };
        assigned::watch(py)?;
        let tell = Arc::clone(&left_out);
        let tracer = Tracer::new(Box::new(Follower { left_out }), options);
        if Recorder::start(py, recorder).is_err() {
            return Err(PyRuntimeError::new_err("a recording is being made already"));
        }
        let session = Self { tracer };
        output::watch(py, Arc::new(Ear))?;
        if let Err(error) = session.tracer.enter(py) {
            session.stop(py)?;
            return Err(error);
        }
        if attach {
            if let Err(error) = session.tracer.attach_running(py, &[]) {
                tell(&format!("frames that run already: {error}"));
            }
            running::begin(py);
        }
        Ok(session)
    }

    /// The probed copy of `code`, which is to run in its place; the code itself if it cannot be recorded.
    ///
    /// # Errors
    /// What CPython raises, such as `MemoryError`.
    pub fn watch<'py>(
        &self,
        py: Python<'py>,
        code: &Bound<'py, PyCode>,
        module: &str,
    ) -> PyResult<Bound<'py, PyCode>> {
        self.tracer.watch_or_leave(py, code, module)
    }

    /// Ends the recording. `None` if it has ended early.
    ///
    /// # Errors
    /// Python raised while functions were given their own code again.
    pub fn stop(&self, py: Python<'_>) -> PyResult<Option<Finished>> {
        output::unwatch(py);
        let recorder = Recorder::stop(py);
        DENSITY.set(py, Density::Steps);
        self.tracer.stop(py)?;
        Ok(recorder)
    }

    /// Before a fork: no thread of the recorder's runs until something is recorded again.
    pub fn pause(&self, py: Python<'_>) {
        super::with_active(py, |recorder| recorder.store.pause());
    }

    /// In the child of a fork: it is not recorded, and what the parent has is left alone.
    ///
    /// # Errors
    /// As [`Session::stop`].
    pub fn abandon(&self, py: Python<'_>) -> PyResult<()> {
        output::unwatch(py);
        Recorder::abandon(py);
        DENSITY.set(py, Density::Steps);
        self.tracer.stop(py)
    }

    /// Code that was to be recorded and is not.
    #[must_use]
    pub fn left_out(&self, py: Python<'_>) -> LeftOut {
        self.tracer.left_out(py)
    }
}
