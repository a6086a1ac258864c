//! Engines: the ways in which steps get from the interpreter to the hooks of a code object.
//!
//! `inject` puts DEBUG_OP into copies ([`crate::probed`]). The two others leave code objects as they are and take the
//! interpreter's own events: [`monitoring`] those of `sys.monitoring` (3.12+), [`settrace`] those of a C trace function. All
//! call the same hooks with the same [`Event`](crate::Event)s.

#[cfg(Py_3_12)]
pub(crate) mod monitoring;
mod observed;
pub(crate) mod running;
mod settrace;
#[cfg(Py_3_12)]
mod shared;
pub(crate) mod threads;

use std::sync::Arc;

use pyo3::types::PyCode;
use pyo3::{Bound, Py, PyAny, PyResult, Python};

use crate::frame::Frame;
use crate::gil::{GilCell, release};
use crate::layout::VERSION;
use crate::probed::{ProbeError, ProbedCode};
use crate::tracer::Tracer;
use crate::whole;

#[cfg(Py_3_12)]
pub(crate) use monitoring::NAME as TOOL_NAME;

/// Which engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// DEBUG_OP in copies of the code objects.
    #[default]
    Inject,
    /// Events of `sys.monitoring`; not on 3.11.
    Monitoring,
    /// Events of a trace function, as for `sys.settrace`.
    Settrace,
}

impl Engine {
    /// Reports frames that DEBUG_OPs cannot get into.
    pub(crate) const FALLBACK: Self = if cfg!(Py_3_12) {
        Self::Monitoring
    } else {
        Self::Settrace
    };

    /// Its name on the command line and in Python.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inject => "inject",
            Self::Monitoring => "monitoring",
            Self::Settrace => "settrace",
        }
    }

    /// The engine of this name.
    ///
    /// # Errors
    /// A sentence for people: there is no such engine, or this interpreter does not have it.
    pub fn named(name: &str) -> Result<Self, String> {
        let all = [Self::Inject, Self::Monitoring, Self::Settrace];
        let engine = all
            .into_iter()
            .find(|engine| engine.name() == name)
            .ok_or_else(|| {
                format!(
                    "there is no engine {name:?}: the engines are inject, monitoring and settrace"
                )
            })?;
        if engine == Self::Monitoring && cfg!(not(Py_3_12)) {
            return Err(format!(
                "the engine monitoring needs CPython 3.12 or newer, and this is {VERSION}; use inject or settrace"
            ));
        }
        Ok(engine)
    }

    /// The entry of the code object at this address for this engine; none for [`Engine::Inject`].
    #[inline]
    pub(crate) fn find(self, py: Python<'_>, address: usize) -> Option<Arc<ProbedCode>> {
        match self {
            Self::Inject => None,
            _ => observed::find(py, self, address),
        }
    }

    /// The entry of `code` for this engine, which is not [`Engine::Inject`]; makes it if there is none.
    pub(crate) fn obtain(
        self,
        py: Python<'_>,
        code: &Bound<'_, PyCode>,
        module: &str,
    ) -> Result<Arc<ProbedCode>, ProbeError> {
        observed::obtain(py, self, code, module)
    }

    /// `tracer` begins to use the engine.
    ///
    /// # Errors
    /// RuntimeError: another tool is in the way; names it.
    pub(crate) fn enter(self, py: Python<'_>, tracer: &Arc<Tracer>) -> PyResult<()> {
        match self {
            Self::Inject => match tracer.everywhere() {
                Some(filter) => whole::join(py, tracer, filter.clone()),
                None => Ok(()),
            },
            #[cfg(Py_3_12)]
            Self::Monitoring => monitoring::enter(py, tracer),
            #[cfg(not(Py_3_12))]
            Self::Monitoring => Err(unavailable()),
            Self::Settrace => settrace::enter(py, tracer),
        }
    }

    /// `tracer` uses the engine no more; with the last one nothing of it is left.
    pub(crate) fn leave(self, py: Python<'_>, tracer: &Arc<Tracer>) -> PyResult<()> {
        match self {
            Self::Inject => {
                whole::leave(py, tracer);
                Ok(())
            }
            #[cfg(Py_3_12)]
            Self::Monitoring => monitoring::leave(py, tracer),
            #[cfg(not(Py_3_12))]
            Self::Monitoring => Err(unavailable()),
            Self::Settrace => settrace::leave(py, tracer),
        }
    }

    /// Events of `code` are wanted from now on.
    pub(crate) fn enable(self, py: Python<'_>, code: &Arc<ProbedCode>) -> PyResult<()> {
        match self {
            Self::Inject => Ok(()),
            #[cfg(Py_3_12)]
            Self::Monitoring => monitoring::enable(py, code),
            #[cfg(not(Py_3_12))]
            Self::Monitoring => Err(unavailable()),
            Self::Settrace => settrace::enable(py, code),
        }
    }

    /// `frame` runs watched code already.
    pub(crate) fn arm(self, frame: &Bound<'_, PyAny>) {
        if self == Self::Settrace
            && let Ok(frame) = frame.cast::<pyo3::types::PyFrame>()
        {
            settrace::arm(frame);
        }
    }

    /// One more frame of `code` that is reported until it ends, in place of DEBUG_OPs.
    pub(crate) fn count_frame(self, py: Python<'_>, code: &Bound<'_, PyCode>) {
        let address = code.as_ptr() as usize;
        FILLED.with(py, |filled| {
            match filled.iter_mut().find(|one| one.0 == address) {
                Some(entry) => entry.1 += 1,
                None => filled.push((address, 1)),
            }
        });
    }

    /// Nobody wants events of `code` any more.
    pub(crate) fn disable(self, py: Python<'_>, code: &Arc<ProbedCode>) -> PyResult<()> {
        observed::forget(py, self, code);
        let address = code.observed(py).as_ptr() as usize;
        FILLED.with(py, |filled| filled.retain(|one| one.0 != address));
        match self {
            #[cfg(Py_3_12)]
            Self::Monitoring => monitoring::disable(py, code),
            Self::Settrace => settrace::disable(py, code),
            _ => Ok(()),
        }
    }
}

#[cfg(not(Py_3_12))]
fn unavailable() -> pyo3::PyErr {
    pyo3::exceptions::PyRuntimeError::new_err(Engine::named("monitoring").err().unwrap_or_default())
}

/// Code whose running frames an engine reports in place of DEBUG_OPs: its address, and how many frames have not ended.
static FILLED: GilCell<Vec<(usize, usize)>> = GilCell::new(Vec::new());

/// A frame of `code` has ended. With the last one that is reported in place of DEBUG_OPs, its events end.
fn ended(py: Python<'_>, code: &Arc<ProbedCode>) -> PyResult<()> {
    let address = code.observed(py).as_ptr() as usize;
    let last = FILLED.with(py, |filled| {
        filled
            .iter_mut()
            .find(|one| one.0 == address)
            .is_some_and(|entry| {
                entry.1 = entry.1.saturating_sub(1);
                entry.1 == 0
            })
    });
    if last {
        for tracer in code.tracers(py) {
            tracer.filled_in(py, code)?;
        }
    }
    Ok(())
}

pub(crate) use observed::all as observed;
pub use running::current_frames;
pub(crate) use running::{generators, running_frames};

/// Tells those who watch the original of `probed` without a copy that `copy` will run from now on.
pub(crate) fn share(
    py: Python<'_>,
    probed: &Arc<ProbedCode>,
    copy: &Bound<'_, PyCode>,
) -> PyResult<()> {
    let address = probed.original(py).as_ptr() as usize;
    for engine in [Engine::Monitoring, Engine::Settrace] {
        if let Some(entry) = observed::find(py, engine, address) {
            for tracer in entry.tracers(py) {
                tracer.adopt(py, probed, copy)?;
            }
        }
    }
    for nested in probed.nested() {
        if let Some(copy) = nested.probed(py) {
            share(py, nested, &copy)?;
        }
    }
    Ok(())
}

/// Tells those who watch `original` without a copy that functions will run `woven`, which has breakpoints in it.
///
/// # Errors
/// CPython refuses to tell of its events; `MemoryError`.
pub(crate) fn share_woven(original: &Bound<'_, PyCode>, woven: &Bound<'_, PyCode>) -> PyResult<()> {
    let py = original.py();
    let address = original.as_ptr() as usize;
    for engine in [Engine::Monitoring, Engine::Settrace] {
        if let Some(entry) = observed::find(py, engine, address) {
            for tracer in entry.tracers(py) {
                tracer.observe_woven(engine, woven, entry.names().module)?;
            }
        }
    }
    Ok(())
}

/// Exceptions that are leaving observed frames, each while its event is delivered: frame, exception.
static LEAVING: GilCell<Vec<(usize, Py<PyAny>)>> = GilCell::new(Vec::new());

/// The exception that is leaving `frame`.
pub(crate) fn leaving<'py>(py: Python<'py>, frame: Frame<'py>) -> Option<Bound<'py, PyAny>> {
    LEAVING.with(py, |leaving| {
        let entry = leaving.iter().rev().find(|one| one.0 == frame.address());
        entry.map(|one| one.1.bind(py).clone())
    })
}

/// Runs `deliver` while `exception` is known to be leaving `frame`.
fn while_leaving<'py, R>(
    py: Python<'py>,
    frame: Frame<'py>,
    exception: Bound<'py, PyAny>,
    deliver: impl FnOnce() -> R,
) -> R {
    let address = frame.address();
    LEAVING.with(py, |leaving| leaving.push((address, exception.unbind())));
    let result = deliver();
    let done = LEAVING.with(py, |leaving| {
        let at = leaving.iter().rposition(|one| one.0 == address);
        at.map(|at| leaving.remove(at))
    });
    // Dropped here, with the cell closed: a destructor may run Python.
    release(done);
    result
}

/// Offers the code that `frame` begins to run, which nobody watches, to the tracers that look for code themselves; says whether one
/// wants it.
fn discover(
    py: Python<'_>,
    tracers: &[Arc<Tracer>],
    frame: Frame<'_>,
    code: &Bound<'_, PyCode>,
) -> PyResult<bool> {
    let mut wanted = false;
    for tracer in tracers {
        wanted |= tracer.discover(py, frame, code)?;
    }
    Ok(wanted)
}
