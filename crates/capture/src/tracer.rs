//! A tracer: who is told of which steps of which code.

use std::sync::Arc;

use debugop_bytecode::InstrIdx;
use debugop_filter::{CodeFilter, CodeNames, Decision, Predicate, StepFacts};
use pyo3::types::{PyAnyMethods, PyCode, PyFunction};
use pyo3::{Bound, Py, PyAny, PyResult, Python};
use rustc_hash::FxHashSet;

use crate::engine::{self, Engine};
use crate::event::{Event, EventKind, Raised};
use crate::follow;
use crate::frame::{Frame, LiveFrame, Scope, SlotValue};
use crate::function;
use crate::gil::{GilCell, release};
use crate::handled;
use crate::layout::VERSION;
use crate::native::Native;
use crate::probed::{ProbeError, ProbedCode};
use crate::references::is_unshared;
use crate::registry;

/// Receives the steps of a tracer.
pub trait Handler: Send + Sync {
    /// Whether [`Handler::step`] may run Python code. If so, what that code does is not reported to the same tracer on the
    /// same thread, and `live` stays valid for exactly as long as the call.
    fn runs_python(&self) -> bool;

    /// What may be done in place of [`Handler::step`] where every step is wanted, with the same effect and at less cost.
    fn native(&self) -> Option<Native> {
        None
    }

    /// One step.
    ///
    /// # Errors
    /// An exception is raised in the program, at the instruction.
    fn step<'py>(
        &self,
        py: Python<'py>,
        tracer: &Arc<Tracer>,
        event: &Event<'_, 'py>,
        live: Option<LiveFrame>,
    ) -> PyResult<()>;
}

/// Which calls are followed.
#[derive(Clone, Debug)]
pub struct Follow {
    /// Which callees.
    pub code: CodeFilter,
    /// How many calls deep below the first traced frame; `None`: any number.
    pub depth: Option<u32>,
}

/// What a tracer is told when it is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which steps are reported.
    pub wanted: Predicate,
    /// Which calls are followed; `None`: none.
    pub follow: Option<Follow>,
    /// After how many steps reporting ends; `None`: never.
    pub limit: Option<u64>,
    /// How steps are delivered.
    pub engine: Engine,
    /// Code that is watched wherever it runs, without having been named; not with [`Engine::Inject`].
    pub everywhere: Option<CodeFilter>,
}

/// Reports steps of the code that it watches to a handler.
pub struct Tracer {
    handler: Box<dyn Handler>,
    /// What the handler says of itself.
    runs_python: bool,
    native: Option<Native>,
    options: Options,
    running: GilCell<bool>,
    steps: GilCell<u64>,
    codes: GilCell<Vec<Arc<ProbedCode>>>,
    /// Addresses of the probed copies in `codes`.
    addresses: GilCell<FxHashSet<usize>>,
    functions: GilCell<Vec<Py<PyFunction>>>,
    /// The engines that it has entered.
    entered: GilCell<Vec<Engine>>,
    /// With how many code objects the next sweep comes.
    sweep_at: GilCell<usize>,
}

/// From this many code objects on that a tracer has found itself, those are let go that nobody else keeps alive.
const FIRST_SWEEP: usize = 1 << 12;

/// A tracer's interest in one code object.
#[derive(Clone)]
pub(crate) struct Hook {
    tracer: Arc<Tracer>,
    /// Per instruction; `None`: all are wanted.
    decisions: Option<Arc<[Decision]>>,
}

impl Tracer {
    /// A tracer that watches nothing yet.
    #[must_use]
    pub fn new(handler: Box<dyn Handler>, options: Options) -> Arc<Self> {
        Arc::new(Self {
            runs_python: handler.runs_python(),
            native: handler.native(),
            handler,
            options,
            running: GilCell::new(true),
            steps: GilCell::default(),
            codes: GilCell::default(),
            addresses: GilCell::default(),
            functions: GilCell::default(),
            entered: GilCell::default(),
            sweep_at: GilCell::new(FIRST_SWEEP),
        })
    }

    /// Steps reported so far.
    #[must_use]
    pub fn steps(&self, py: Python<'_>) -> u64 {
        self.steps.get(py)
    }

    /// How many code objects are watched.
    #[must_use]
    pub fn watched(&self, py: Python<'_>) -> usize {
        self.codes.with(py, |codes| codes.len())
    }

    /// Whether steps are still reported: not stopped, and the limit not reached.
    #[must_use]
    pub fn is_running(&self, py: Python<'_>) -> bool {
        self.running.get(py)
    }

    /// Whether `frame` runs code that this tracer watches.
    #[must_use]
    pub fn watches(&self, py: Python<'_>, frame: Frame<'_>) -> bool {
        self.addresses
            .with(py, |addresses| addresses.contains(&frame.code_address()))
    }

    /// How many watched frames of this thread are below `frame`.
    #[must_use]
    pub fn call_depth(&self, py: Python<'_>, frame: Frame<'_>) -> u32 {
        let mut depth = 0;
        let mut below = frame.previous();
        while let Some(frame) = below {
            depth += u32::from(self.watches(py, frame));
            below = frame.previous();
        }
        depth
    }

    /// Watches `code` and the code nested in it, and returns its probed copy, which somebody must run for anything to be
    /// reported. Watching code again changes nothing.
    ///
    /// # Errors
    /// The code cannot be probed.
    pub fn watch<'py>(
        self: &Arc<Self>,
        py: Python<'py>,
        code: &Bound<'py, PyCode>,
        module: &str,
    ) -> Result<Bound<'py, PyCode>, ProbeError> {
        if self.options.engine != Engine::Inject {
            self.observe(py, code, module, true)?;
            return Ok(code.clone());
        }
        let probed = match registry::obtain(py, code, module) {
            Ok(probed) => probed,
            Err(error) => {
                registry::drop_unused(py);
                return Err(error);
            }
        };
        self.adopt(py, &probed);
        engine::share(py, &probed);
        Ok(probed.probed(py).unwrap_or_else(|| code.clone()))
    }

    /// Watches the code of `function` and makes it run the probed copy until [`Tracer::stop`].
    ///
    /// # Errors
    /// The code cannot be probed.
    pub fn watch_function<'py>(
        self: &Arc<Self>,
        py: Python<'py>,
        function: &Bound<'py, PyFunction>,
    ) -> Result<(), ProbeError> {
        self.functions
            .with(py, |functions| functions.push(function.clone().unbind()));
        self.probe_function(py, function)
    }

    fn probe_function<'py>(
        self: &Arc<Self>,
        py: Python<'py>,
        function: &Bound<'py, PyFunction>,
    ) -> Result<(), ProbeError> {
        let code = function::code(function);
        let probed = self.watch(py, &code, &function::module(function))?;
        if !probed.is(&code) {
            function::set_code(function, &probed)?;
        }
        Ok(())
    }

    /// Enters its engine, so that code which nobody has named is found; the first code that is watched does it too.
    ///
    /// # Errors
    /// RuntimeError: another tool is in the way; names it.
    pub fn enter(self: &Arc<Self>, py: Python<'_>) -> PyResult<()> {
        self.enter_engine(py, self.options.engine)
    }

    fn enter_engine(self: &Arc<Self>, py: Python<'_>, engine: Engine) -> PyResult<()> {
        let known = self.entered.with(py, |entered| {
            let known = entered.contains(&engine);
            if !known {
                entered.push(engine);
            }
            known
        });
        if known {
            return Ok(());
        }
        let outcome = engine.enter(py, self);
        if outcome.is_err() {
            self.entered
                .with(py, |entered| entered.retain(|one| *one != engine));
        }
        outcome
    }

    /// Reports frames that are running already from their next instruction on: those of all threads, and of `generators`.
    /// Where DEBUG_OPs cannot get into a frame because it runs the original of watched code, another engine reports it until it
    /// ends.
    ///
    /// # Errors
    /// RuntimeError: another tool is in the way; names it.
    pub fn attach<'py>(
        self: &Arc<Self>,
        py: Python<'py>,
        generators: &[Bound<'py, PyAny>],
    ) -> PyResult<()> {
        for frame in engine::running_frames(py, generators)? {
            self.attach_frame(py, &frame)?;
        }
        Ok(())
    }

    fn attach_frame(self: &Arc<Self>, py: Python<'_>, frame: &Bound<'_, PyAny>) -> PyResult<()> {
        let code: Bound<'_, PyCode> = frame.getattr("f_code")?.cast_into()?;
        let own = self.options.engine;
        if own == Engine::Inject {
            let Some(probed) = registry::find_original(py, code.as_ptr() as usize) else {
                return Ok(());
            };
            let copy = probed.probed(py).map(|copy| copy.as_ptr() as usize);
            let watched = self.addresses.with(py, |addresses| {
                copy.is_some_and(|copy| addresses.contains(&copy))
            });
            if !watched {
                return Ok(());
            }
            let fallback = Engine::FALLBACK;
            self.enter_engine(py, fallback)?;
            match self.observe_with(py, fallback, &code, probed.names().module) {
                Ok(()) => fallback.count_frame(py, &code),
                Err(ProbeError::Bytecode { .. }) => return Ok(()),
                Err(ProbeError::Python(error)) => return Err(error),
            }
            fallback.arm(frame);
            return Ok(());
        }
        self.enter(py)?;
        let watched = self.addresses.with(py, |addresses| {
            addresses.contains(&(code.as_ptr() as usize))
        });
        if watched || self.discover_in(py, &frame.getattr("f_globals")?, &code)? {
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
        let (gone, last) = self.codes.with(py, |codes| {
            let at = codes.iter().position(|one| Arc::ptr_eq(one, code));
            let gone = at.map(|at| codes.swap_remove(at));
            (gone, !codes.iter().any(|one| one.engine() == engine))
        });
        if gone.is_none() {
            return Ok(());
        }
        self.addresses.with(py, |addresses| {
            addresses.remove(&(code.original(py).as_ptr() as usize))
        });
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
        let mut hooks = code.hooks(py);
        hooks.retain(|hook| !Arc::ptr_eq(&hook.tracer, self));
        code.set_hooks(py, hooks);
        code.release(py);
        if code.unused(py) {
            return code.engine().disable(py, code);
        }
        Ok(())
    }

    /// Watches `code`, and the code nested in it if it `is_whole`, without a copy.
    fn observe(
        self: &Arc<Self>,
        py: Python<'_>,
        code: &Bound<'_, PyCode>,
        module: &str,
        is_whole: bool,
    ) -> Result<(), ProbeError> {
        self.enter(py)?;
        if let Some(probed) = registry::find_probed(py, code.as_ptr() as usize) {
            // Another tracer has put DEBUG_OPs into it, which report to all.
            self.adopt(py, &probed);
            return Ok(());
        }
        self.observe_with(py, self.options.engine, code, module)?;
        if !is_whole {
            return Ok(());
        }
        let constants = code.getattr("co_consts")?;
        for constant in constants.try_iter()? {
            let Ok(nested) = constant?.cast_into_exact::<PyCode>() else {
                continue;
            };
            match self.observe(py, &nested, module, true) {
                // Hand-made code that cannot be analysed is left alone.
                Ok(()) | Err(ProbeError::Bytecode { .. }) => {}
                Err(error) => return Err(error),
            }
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
        let new = self
            .addresses
            .with(py, |addresses| addresses.insert(code.as_ptr() as usize));
        if !new {
            return Ok(());
        }
        entry.retain(py);
        self.codes.with(py, |codes| codes.push(Arc::clone(&entry)));
        if let Some(hook) = self.hook(&entry) {
            let mut hooks = entry.hooks(py);
            hooks.push(hook);
            entry.set_hooks(py, hooks);
        }
        Ok(engine.enable(py, &entry)?)
    }

    /// Whether it looks for code that nobody has named.
    #[cfg(Py_3_12)]
    pub(crate) fn discovers(&self) -> bool {
        self.options.everywhere.is_some()
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
        let Some(filter) = &self.options.everywhere else {
            return Ok(false);
        };
        let module = function::module_name(globals);
        let qualname = function::code_text(code, "co_qualname");
        let file = function::code_text(code, "co_filename");
        let names = CodeNames {
            module: &module,
            qualname: &qualname,
            file: &file,
        };
        if !filter.allows(names) {
            return Ok(false);
        }
        match self.observe(py, code, &module, false) {
            Ok(()) => self.sweep(py).map(|()| true),
            Err(ProbeError::Bytecode { .. }) => Ok(false),
            Err(ProbeError::Python(error)) => Err(error),
        }
    }

    /// Lets code objects go that only this keeps alive, when there are twice as many as the last time: a program can make and
    /// drop them without end.
    fn sweep(self: &Arc<Self>, py: Python<'_>) -> PyResult<()> {
        if self.watched(py) < self.sweep_at.get(py) {
            return Ok(());
        }
        let gone: Vec<_> = self.codes.with(py, |codes| {
            codes
                .extract_if(.., |code| {
                    code.is_observed() && is_unshared(code.original(py))
                })
                .collect()
        });
        for code in &gone {
            self.addresses.with(py, |addresses| {
                addresses.remove(&(code.original(py).as_ptr() as usize))
            });
            self.unhook(py, code)?;
        }
        release(gone);
        self.sweep_at.set(py, FIRST_SWEEP.max(2 * self.watched(py)));
        Ok(())
    }

    pub(crate) fn adopt(self: &Arc<Self>, py: Python<'_>, code: &Arc<ProbedCode>) {
        let Some(copy) = code.probed(py) else { return };
        let new = self
            .addresses
            .with(py, |addresses| addresses.insert(copy.as_ptr() as usize));
        if !new {
            return;
        }
        code.retain(py);
        self.codes.with(py, |codes| codes.push(Arc::clone(code)));
        if let Some(hook) = self.hook(code) {
            let mut hooks = code.hooks(py);
            hooks.push(hook);
            code.set_hooks(py, hooks);
        }
        for nested in code.nested() {
            self.adopt(py, nested);
        }
    }

    /// The interest in `code`, or `None` if no step of it can ever be wanted and no call in it is to be followed.
    fn hook(self: &Arc<Self>, code: &ProbedCode) -> Option<Hook> {
        let wanted = &self.options.wanted;
        if *wanted == Predicate::Always {
            return Some(Hook {
                tracer: Arc::clone(self),
                decisions: None,
            });
        }
        let analysis = code.analysis();
        let decisions: Arc<[Decision]> = (0..analysis.instructions().len() as u32)
            .map(|index| wanted.decide(&facts(code, InstrIdx(index))))
            .collect();
        let idle = self.options.follow.is_none()
            && decisions.iter().all(|decision| *decision == Decision::No);
        (!idle).then(|| Hook {
            tracer: Arc::clone(self),
            decisions: Some(decisions),
        })
    }

    /// What the handler of a tracer that is native only ([`Hook::native_only`]) does.
    #[inline]
    pub(crate) fn native(&self) -> Option<&Native> {
        self.native.as_ref()
    }

    /// Counts `steps` steps of a tracer that is native only.
    #[inline]
    pub(crate) fn count(&self, py: Python<'_>, steps: u32) {
        self.steps.set(py, self.steps.get(py) + u64::from(steps));
    }

    /// Follows the call that is about to be made.
    fn follow<'py>(self: &Arc<Self>, py: Python<'py>, event: &Event<'_, 'py>) -> PyResult<()> {
        let Some(follow) = &self.options.follow else {
            return Ok(());
        };
        let Some(below_top) = event.code.callable_depth(event.instruction) else {
            return Ok(());
        };
        let Some(slot) = event.depth.checked_sub(below_top) else {
            return Ok(());
        };
        let callable = match event.stack(py, slot) {
            Some(SlotValue::Object(callable)) => callable,
            // A call without `self` leaves the slot below its callable empty (3.11, 3.12).
            Some(SlotValue::Null) => match event.stack(py, slot + 1) {
                Some(SlotValue::Object(callable)) => callable,
                _ => return Ok(()),
            },
            _ => return Ok(()),
        };
        if let Some(limit) = follow.depth
            && self.call_depth(py, event.frame) >= limit
        {
            return Ok(());
        }
        self.follow_callable(py, follow, &callable)
    }

    fn follow_callable<'py>(
        self: &Arc<Self>,
        py: Python<'py>,
        follow: &Follow,
        callable: &Bound<'py, PyAny>,
    ) -> PyResult<()> {
        follow::functions(py, callable, &mut |function| {
            let code = function::code(function);
            let address = code.as_ptr() as usize;
            if self
                .addresses
                .with(py, |addresses| addresses.contains(&address))
            {
                return Ok(());
            }
            let module = function::module(function);
            let qualname = function::code_text(&code, "co_qualname");
            let file = function::code_text(&code, "co_filename");
            if !follow.code.allows(CodeNames {
                module: &module,
                qualname: &qualname,
                file: &file,
            }) {
                return Ok(());
            }
            match self.probe_function(py, function) {
                // Hand-made code that cannot be analysed runs as it is.
                Ok(()) | Err(ProbeError::Bytecode { .. }) => Ok(()),
                Err(ProbeError::Python(error)) => Err(error),
            }
        })
    }

    /// Ends reporting and restores every function. What still runs probed code (suspended generators) finishes with
    /// probes that do nothing.
    ///
    /// # Errors
    /// Python raised while a function's code was put back; the others are put back all the same.
    pub fn stop(self: &Arc<Self>, py: Python<'_>) -> PyResult<()> {
        self.running.set(py, false);
        let codes = self.codes.take(py);
        self.addresses.take(py);
        let mut retired = Vec::new();
        let mut outcome = Ok(());
        for code in &codes {
            if code.is_observed() {
                outcome = outcome.and(self.unhook(py, code));
                continue;
            }
            let mut hooks = code.hooks(py);
            hooks.retain(|hook| !Arc::ptr_eq(&hook.tracer, self));
            code.set_hooks(py, hooks);
            if let Some(copy) = registry::release(py, code) {
                retired.push((Arc::clone(code), copy));
            }
        }
        for engine in self.entered.take(py) {
            outcome = outcome.and(engine.leave(py, self));
        }
        outcome.and(function::restore(py, &self.functions.take(py), &retired))
    }
}

fn facts(code: &ProbedCode, index: InstrIdx) -> StepFacts<'_> {
    let analysis = code.analysis();
    StepFacts {
        code: code.names(),
        opcode: analysis.get(index).opcode.name(VERSION),
        line: analysis.location(index).line,
    }
}

impl Hook {
    /// Whose it is.
    pub(crate) fn tracer(&self) -> Arc<Tracer> {
        Arc::clone(&self.tracer)
    }

    /// Reports `event` if it is wanted, and follows the call that it announces.
    #[inline]
    pub(crate) fn fire<'py>(&self, py: Python<'py>, event: &Event<'_, 'py>) -> Result<(), Raised> {
        let tracer = &self.tracer;
        if !tracer.running.get(py) {
            return Ok(());
        }
        match self.decide(py, event) {
            Ok(()) => Ok(()),
            Err(error) => {
                if event.kind == EventKind::Instruction {
                    handled::settle(
                        py,
                        event.frame,
                        event.shape,
                        event.code.analysis(),
                        event.instruction,
                    );
                }
                Err(Raised::set(py, error))
            }
        }
    }

    /// The tracer, if there is nothing to do for a step but what its handler does natively: all steps are wanted, without
    /// limit, and no call is followed.
    pub(crate) fn native_only(&self) -> Option<Arc<Tracer>> {
        let options = &self.tracer.options;
        let plain = self.decisions.is_none() && options.limit.is_none() && options.follow.is_none();
        (plain && self.tracer.native.is_some()).then(|| Arc::clone(&self.tracer))
    }

    #[inline]
    fn decide<'py>(&self, py: Python<'py>, event: &Event<'_, 'py>) -> PyResult<()> {
        let tracer = &self.tracer;
        let wanted = match &self.decisions {
            None => true,
            Some(decisions) => match decisions[event.instruction.0 as usize] {
                Decision::No => false,
                Decision::Yes => true,
                Decision::AskDepth => {
                    let depth = tracer.call_depth(py, event.frame);
                    tracer
                        .options
                        .wanted
                        .holds(&facts(event.code, event.instruction), depth)
                }
            },
        };
        if wanted {
            self.report(py, event)?;
        }
        if event.kind == EventKind::Instruction && tracer.options.follow.is_some() {
            tracer.follow(py, event)?;
        }
        Ok(())
    }

    #[inline]
    fn report<'py>(&self, py: Python<'py>, event: &Event<'_, 'py>) -> PyResult<()> {
        let tracer = &self.tracer;
        let scope = if tracer.runs_python {
            let Some(scope) = Scope::enter(py, event.frame, Arc::as_ptr(tracer) as usize) else {
                return Ok(());
            };
            Some(scope)
        } else {
            None
        };
        let steps = tracer.steps.get(py) + 1;
        tracer.steps.set(py, steps);
        if tracer.options.limit.is_some_and(|limit| steps >= limit) {
            tracer.running.set(py, false);
        }
        tracer.handler.step(
            py,
            tracer,
            event,
            scope.as_ref().map(|scope| scope.live(event.frame)),
        )
    }
}
