//! Tracers on code that has no DEBUG_OPs: with the other engines, and in place of DEBUG_OPs where they cannot get into a frame.

use std::sync::Arc;

use pyo3::types::{PyAnyMethods, PyCode};
use pyo3::{Bound, PyAny, PyResult, Python};

use super::Tracer;
use crate::breakpoint;
use crate::engine::{self, Engine};
use crate::frame::Frame;
use crate::function;
use crate::gil::{GilCell, release};
use crate::probed::{MAX_NESTING, ProbeError, ProbedCode};
use crate::references::is_unshared;
use crate::registry;

/// From this many code objects on that a tracer has found itself, those are let go that nobody else keeps alive.
const FIRST_SWEEP: usize = 1 << 12;

/// What a tracer observes.
pub(super) struct Observing {
    codes: GilCell<Vec<Arc<ProbedCode>>>,
    /// With how many code objects the next sweep comes.
    sweep_at: GilCell<usize>,
}

impl Default for Observing {
    fn default() -> Self {
        Self {
            codes: GilCell::default(),
            sweep_at: GilCell::new(FIRST_SWEEP),
        }
    }
}

impl Tracer {
    /// The entry of `code` for an engine that this uses, other than [`Engine::Inject`].
    #[inline]
    pub(super) fn observed(
        &self,
        py: Python<'_>,
        code: &Bound<'_, PyCode>,
    ) -> Option<Arc<ProbedCode>> {
        let address = code.as_ptr() as usize;
        self.entered.with(py, |entered| {
            entered.iter().find_map(|engine| engine.find(py, address))
        })
    }

    /// Reports frames that are running already from their next instruction on: those of all threads, those of `generators`, and, if
    /// code is watched wherever it runs, those of all suspended generators, coroutines and asynchronous generators. Where DEBUG_OPs
    /// cannot get into a frame because it runs the original of watched code, another engine reports it until it ends.
    ///
    /// # Errors
    /// RuntimeError: another tool is in the way; names it.
    pub fn attach_running<'py>(
        self: &Arc<Self>,
        py: Python<'py>,
        generators: &[Bound<'py, PyAny>],
    ) -> PyResult<()> {
        let all = self.options.everywhere.is_some();
        let all = all.then(|| engine::generators(py));
        for frame in engine::running_frames(py, all.as_deref().unwrap_or(generators))? {
            self.attach_frame(py, &frame)?;
        }
        Ok(())
    }

    fn attach_frame(self: &Arc<Self>, py: Python<'_>, frame: &Bound<'_, PyAny>) -> PyResult<()> {
        let code = function::code_of_frame(frame.cast()?);
        let own = self.options.engine;
        if own == Engine::Inject {
            let known = registry::find(&code);
            if known.as_ref().is_some_and(|(_, copy)| copy.is(&code)) {
                // DEBUG_OPs are in it.
                return Ok(());
            }
            let module = match known {
                Some((entry, _)) if entry.is_watched_by(py, self) => {
                    entry.names().module.to_owned()
                }
                _ => {
                    let module = function::module_name(&frame.getattr("f_globals")?);
                    let is_wanted = self.options.everywhere.as_ref();
                    if !is_wanted.is_some_and(|filter| function::allowed(filter, &code, &module)) {
                        return Ok(());
                    }
                    module
                }
            };
            let fallback = Engine::FALLBACK;
            self.enter_engine(py, fallback)?;
            if cfg!(Py_3_12) && self.records() {
                // What the frame is moved to; nobody else may run it.
                self.watch_or_leave(py, &code, &module)?;
            }
            let outcome = self.observe_with(py, fallback, &code, &module);
            if !self.watched(&code, outcome)? {
                return Ok(());
            }
            fallback.count_frame(py, &code);
            fallback.arm(frame);
            return Ok(());
        }
        self.enter(py)?;
        let known = own.find(py, code.as_ptr() as usize);
        if known.is_some_and(|entry| entry.is_watched_by(py, self))
            || self.discover_in(py, &frame.getattr("f_globals")?, &code)?
        {
            own.arm(frame);
        }
        Ok(())
    }

    /// A frame of `code` that another engine reported in place of DEBUG_OPs was the last one: reports it no more.
    pub(crate) fn filled_in(
        self: &Arc<Self>,
        py: Python<'_>,
        code: &Arc<ProbedCode>,
    ) -> PyResult<()> {
        let engine = code.engine();
        if engine == self.options.engine {
            return Ok(());
        }
        let (gone, last) = self.observing.codes.with(py, |codes| {
            let at = codes.iter().position(|one| Arc::ptr_eq(one, code));
            let gone = at.map(|at| codes.swap_remove(at));
            (gone, !codes.iter().any(|one| one.engine() == engine))
        });
        if gone.is_none() {
            return Ok(());
        }
        self.unhook(py, code)?;
        if last {
            self.entered
                .with(py, |entered| entered.retain(|one| *one != engine));
            engine.leave(py, self)?;
        }
        Ok(())
    }

    /// Takes the hook out of observed code, whose events end with the last one.
    fn unhook(self: &Arc<Self>, py: Python<'_>, code: &Arc<ProbedCode>) -> PyResult<()> {
        self.detach(py, code);
        if code.has_watchers(py) {
            return Ok(());
        }
        code.engine().disable(py, code)
    }

    /// Observes nothing any more.
    pub(super) fn stop_observing(self: &Arc<Self>, py: Python<'_>) -> PyResult<()> {
        let mut outcome = Ok(());
        let codes = self.observing.codes.take(py);
        for code in &codes {
            outcome = outcome.and(self.unhook(py, code));
        }
        release(codes);
        outcome
    }

    /// Watches `code` without a copy, and the code nested in it with `nesting`: in how many code objects it is nested itself.
    pub(super) fn observe(
        self: &Arc<Self>,
        py: Python<'_>,
        code: &Bound<'_, PyCode>,
        module: &str,
        nesting: Option<u32>,
    ) -> Result<(), ProbeError> {
        if nesting.is_some_and(|nesting| nesting >= MAX_NESTING) {
            return Err(ProbeError::too_deep(code));
        }
        self.enter(py)?;
        let copy_of = registry::of_copy(code);
        if let Some(probed) = copy_of.as_ref().filter(|entry| !entry.is_woven()) {
            // Another tracer has put DEBUG_OPs into it, which report to all.
            return Ok(self.adopt(py, probed, code)?);
        }
        let engine = self.options.engine;
        let original = copy_of.as_ref().map_or(code, |entry| entry.original(py));
        self.observe_with(py, engine, original, module)?;
        // Breakpoints come and go; frames run what their function had when it was called.
        let woven = breakpoint::copy(original);
        let running = copy_of.is_some().then_some(code);
        for copy in woven.iter().chain(running) {
            self.observe_with(py, engine, copy, module)?;
        }
        if nesting.is_none() {
            return Ok(());
        }
        let constants = original.getattr("co_consts")?;
        for constant in constants.try_iter()? {
            let Ok(nested) = constant?.cast_into_exact::<PyCode>() else {
                continue;
            };
            let outcome = self.observe(py, &nested, module, nesting.map(|nesting| nesting + 1));
            self.watched(&nested, outcome)?;
        }
        Ok(())
    }

    fn observe_with(
        self: &Arc<Self>,
        py: Python<'_>,
        engine: Engine,
        code: &Bound<'_, PyCode>,
        module: &str,
    ) -> Result<(), ProbeError> {
        let entry = engine.obtain(py, code, module)?;
        if !self.attach(py, &entry) {
            return Ok(());
        }
        self.observing
            .codes
            .with(py, |codes| codes.push(Arc::clone(&entry)));
        Ok(engine.enable(py, &entry)?)
    }

    /// Watches `woven`, the original of which is watched with `engine`, too.
    pub(crate) fn observe_woven(
        self: &Arc<Self>,
        engine: Engine,
        woven: &Bound<'_, PyCode>,
        module: &str,
    ) -> PyResult<()> {
        let outcome = self.observe_with(woven.py(), engine, woven, module);
        self.watched(woven, outcome).map(|_| ())
    }

    /// Whether `code` is reported in place of DEBUG_OPs.
    #[cfg(Py_3_12)]
    pub(crate) fn fills_in(&self, code: &ProbedCode) -> bool {
        code.engine() != self.options.engine
    }

    /// Watches `code`, which `frame` begins to run, if it is wanted wherever it runs; says whether it is.
    pub(crate) fn discover(
        self: &Arc<Self>,
        py: Python<'_>,
        frame: Frame<'_>,
        code: &Bound<'_, PyCode>,
    ) -> PyResult<bool> {
        self.discover_in(py, &frame.globals(py), code)
    }

    fn discover_in(
        self: &Arc<Self>,
        py: Python<'_>,
        globals: &Bound<'_, PyAny>,
        code: &Bound<'_, PyCode>,
    ) -> PyResult<bool> {
        let Some(filter) = self
            .options
            .everywhere
            .as_ref()
            .filter(|_| self.discovers())
        else {
            return Ok(false);
        };
        let module = function::module_name(globals);
        if !function::allowed(filter, code, &module) {
            return Ok(false);
        }
        let outcome = self.observe(py, code, &module, None);
        if !self.watched(code, outcome)? {
            return Ok(false);
        }
        self.sweep(py).map(|()| true)
    }

    /// Whether it looks for code that nobody has named when it begins to run; with [`Engine::Inject`] that happens when functions are
    /// made.
    pub(crate) fn discovers(&self) -> bool {
        self.options.everywhere.is_some() && self.options.engine != Engine::Inject
    }

    /// Lets code objects go that only this keeps alive, when there are twice as many as the last time: a program can make and
    /// drop them without end.
    fn sweep(self: &Arc<Self>, py: Python<'_>) -> PyResult<()> {
        let observing = &self.observing;
        let count = || observing.codes.with(py, |codes| codes.len());
        if count() < observing.sweep_at.get(py) {
            return Ok(());
        }
        let gone: Vec<_> = observing.codes.with(py, |codes| {
            codes
                .extract_if(.., |code| is_unshared(code.observed(py)))
                .collect()
        });
        for code in &gone {
            self.unhook(py, code)?;
        }
        release(gone);
        observing.sweep_at.set(py, FIRST_SWEEP.max(2 * count()));
        Ok(())
    }
}
