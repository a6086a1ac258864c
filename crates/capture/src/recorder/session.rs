//! A recording from its beginning to its end: who is recorded, and by what.

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use debugop_filter::{CodeFilter, CodeNames, Pattern, Predicate};
use pyo3::exceptions::PyRuntimeError;
use pyo3::types::{PyAnyMethods, PyCode};
use pyo3::{Bound, PyResult, Python, ffi};

use super::bounds::Bounds;
use super::{
    DENSITY, Density, ENDED, Ear, Finished, Limits, Most, Recorder, Store, assigned, running,
};
use crate::engine::Engine;
use crate::event::Event;
use crate::frame::LiveFrame;
use crate::gil::GilCell;
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
    /// How much of the run.
    pub most: Most,
    /// Whether tracers may watch the same code at every step; recording costs more then.
    pub with_tracers: bool,
}

/// Whether functions are found when they are made. Until 3.12 nobody is told of them: they are found by the code that makes them, which has to be watched.
const FUNCTIONS_ARE_FOUND: bool = cfg!(Py_3_12);

/// The tracer of the session that ends by itself after a number of steps.
static LIMITED: GilCell<Option<Arc<Tracer>>> = GilCell::new(None);

/// What there is of that at the end, from when it has ended by itself.
static KEPT: GilCell<Option<Finished>> = GilCell::new(None);

/// Whether a recording has ended by itself and is to be taken by who has begun it.
pub(super) fn is_kept(py: Python<'_>) -> bool {
    KEPT.with(py, |kept| kept.is_some())
}

/// All that may be recorded has been: as soon as the main thread can, the program runs its own code again.
pub(super) fn wind_up_soon(_py: Python<'_>) {
    extern "C" fn wind_up(_: *mut c_void) -> c_int {
        // SAFETY: CPython makes pending calls with the thread attached.
        let py = unsafe { Python::assume_attached() };
        let Some(tracer) = LIMITED.take(py).filter(|_| !ENDED.0.get().is_null()) else {
            return 0;
        };
        output::unwatch(py);
        KEPT.set(py, Recorder::stop(py));
        DENSITY.set(py, Density::Steps);
        match tracer.stop(py) {
            Ok(()) => 0,
            Err(error) => {
                error.restore(py);
                -1
            }
        }
    }
    // SAFETY: the function needs no argument. If too many calls are pending, this one is left out, and the session ends all of it.
    unsafe { ffi::Py_AddPendingCall(Some(wind_up), std::ptr::null_mut()) };
}

/// A recording that is being made. There is one at a time.
pub struct Session {
    tracer: Arc<Tracer>,
    /// Only functions that one of these names are watched, if there are any.
    functions: Vec<Pattern>,
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
        } else if super::is_being_made(py) {
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
        recorder.bounds = Bounds::new(&plan.most);
        let mut filter = plan.filter;
        if !FUNCTIONS_ARE_FOUND {
            recorder.functions = std::mem::take(&mut filter.functions);
        }
        let functions = filter.functions.clone();
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
            everywhere: Some(filter),
        };
        assigned::watch(py)?;
        let tell = Arc::clone(&left_out);
        let tracer = Tracer::new(Box::new(Follower { left_out }), options);
        if Recorder::start(py, recorder).is_err() {
            return Err(PyRuntimeError::new_err("a recording is being made already"));
        }
        if plan.most.steps.is_some() {
            LIMITED.set(py, Some(Arc::clone(&tracer)));
        }
        let session = Self { tracer, functions };
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

    /// The probed copy of `code`, which is to run in its place; the code itself if it cannot be recorded, or is not to be by its name.
    ///
    /// # Errors
    /// What CPython raises, such as `MemoryError`.
    pub fn watch<'py>(
        &self,
        py: Python<'py>,
        code: &Bound<'py, PyCode>,
        module: &str,
    ) -> PyResult<Bound<'py, PyCode>> {
        let file: String = code.getattr("co_filename")?.extract()?;
        let qualname: String = code.getattr("co_qualname")?.extract()?;
        let names = CodeNames {
            module,
            qualname: &qualname,
            file: &file,
        };
        let mut functions = self.functions.iter();
        match self.functions.is_empty() || functions.any(|one| one.matches_function(names)) {
            true => self.tracer.watch_or_leave(py, code, module),
            false => Ok(code.clone()),
        }
    }

    /// Ends the recording. `None` if it has ended early.
    ///
    /// # Errors
    /// Python raised while functions were given their own code again.
    pub fn stop(&self, py: Python<'_>) -> PyResult<Option<Finished>> {
        LIMITED.set(py, None);
        if let Some(kept) = KEPT.take(py) {
            return Ok(Some(kept));
        }
        output::unwatch(py);
        let recorder = Recorder::stop(py);
        DENSITY.set(py, Density::Steps);
        self.tracer.stop(py)?;
        Ok(recorder)
    }

    /// Before a fork: no thread of the recorder's runs until something is recorded again.
    pub fn pause(&self, py: Python<'_>) {
        super::with_active(py, |recorder| recorder.store.pause());
        // SAFETY: the pointer is that of a live box (`retire`, `take`); the GIL is held, and pausing neither gives it up nor comes here.
        if let Some(ended) = unsafe { ENDED.0.get().as_mut() } {
            ended.store.pause();
        }
        KEPT.with(py, |kept| {
            if let Some(kept) = kept {
                kept.store.pause();
            }
        });
    }

    /// In the child of a fork: it is not recorded, and what the parent has is left alone.
    ///
    /// # Errors
    /// As [`Session::stop`].
    pub fn abandon(&self, py: Python<'_>) -> PyResult<()> {
        LIMITED.set(py, None);
        if let Some(kept) = KEPT.take(py) {
            kept.store.forget();
        }
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
