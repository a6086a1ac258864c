//! A tracer: who is told of which steps of which code.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use debugop_bytecode::InstrIdx;
use debugop_filter::{CodeFilter, Decision, Predicate, StepFacts};
use pyo3::exceptions::PyRuntimeError;
use pyo3::types::{PyAnyMethods, PyCode, PyFunction};
use pyo3::{Bound, Py, PyAny, PyResult, Python};

use crate::engine::{self, Engine};
use crate::event::{Event, EventKind, Raised};
use crate::extra;
use crate::follow;
use crate::frame::{Frame, LiveFrame, Scope, SlotValue};
use crate::function;
use crate::gil::{GilCell, release};
use crate::handled;
use crate::layout::VERSION;
use crate::native::Native;
use crate::probed::{ProbeError, ProbedCode};
use crate::recorder;
use crate::registry;
use observing::Observing;

mod observing;

/// Receives the steps of a tracer.
pub trait Handler: Send + Sync {
    /// Whether [`Handler::step`] may run Python code. If so, what that code does is not reported to the same tracer on the
    /// same thread, and `live` stays valid for exactly as long as the call.
    fn runs_python(&self) -> bool;

    /// What may be done in place of [`Handler::step`] where every step is wanted, with the same effect and at less cost.
    fn native(&self) -> Option<Native> {
        None
    }

    /// Whether [`Handler::step`] reads local variables by other means than the frame object, which knows what is
    /// ahead ([`crate::concatenation`]).
    fn reads_locals(&self) -> bool {
        false
    }

    /// A code object is left as it is, because it is not what a compiler writes or is too large: `what` names it and says why. Once
    /// for each. Must not run Python code.
    fn left_out(&self, py: Python<'_>, what: &str) {
        let _ = (py, what);
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
    /// Code that is watched wherever it runs, without having been named, from [`Tracer::enter`] on.
    pub everywhere: Option<CodeFilter>,
}

/// Reports steps of the code that it watches to a handler.
pub struct Tracer {
    serial: u64,
    handler: Box<dyn Handler>,
    /// What the handler says of itself.
    runs_python: bool,
    reads_locals: bool,
    native: Option<Native>,
    options: Options,
    running: GilCell<bool>,
    steps: GilCell<u64>,
    /// What it watches by name, with the probed copies.
    codes: GilCell<Vec<(Arc<ProbedCode>, Py<PyCode>)>>,
    functions: GilCell<Vec<Py<PyFunction>>>,
    /// The engines that it has entered.
    entered: GilCell<Vec<Engine>>,
    observing: Observing,
    left_out: GilCell<LeftOut>,
}

/// Code objects that a tracer was to watch and that are left as they are.
#[derive(Clone, Debug, Default)]
pub struct LeftOut {
    /// How many.
    pub count: usize,
    /// Name, file and reason of the first [`LeftOut::NAMED`].
    pub named: Vec<String>,
}

impl LeftOut {
    /// As many are named; a program can make others without end.
    pub const NAMED: usize = 20;
}

static NEXT_SERIAL: AtomicU64 = AtomicU64::new(1);

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
            serial: NEXT_SERIAL.fetch_add(1, Ordering::Relaxed),
            runs_python: handler.runs_python(),
            reads_locals: handler.reads_locals(),
            native: handler.native(),
            handler,
            options,
            running: GilCell::new(true),
            steps: GilCell::default(),
            codes: GilCell::default(),
            functions: GilCell::default(),
            entered: GilCell::default(),
            observing: Observing::default(),
            left_out: GilCell::default(),
        })
    }

    /// Which tracer it is: no other has the same number.
    #[inline]
    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    /// Steps reported so far.
    #[must_use]
    pub fn steps(&self, py: Python<'_>) -> u64 {
        self.steps.get(py)
    }

    /// Counts from nothing: a forked child goes on with a report of its own.
    pub fn restart(&self, py: Python<'_>) {
        self.steps.set(py, 0);
        self.left_out.take(py);
    }

    /// Code objects that it was to watch and that are left as they are.
    #[must_use]
    pub fn left_out(&self, py: Python<'_>) -> LeftOut {
        self.left_out.cloned(py)
    }

    /// Notes down, once for each code object, that `code` is left as it is.
    pub(crate) fn tell_left_out(&self, code: &Bound<'_, PyCode>, reason: &str) -> PyResult<()> {
        let py = code.py();
        let new = extra::with(code, |extra| {
            extra.told.with(py, |told| {
                let new = !told.contains(&self.serial);
                if new {
                    told.push(self.serial);
                }
                new
            })
        })?;
        if !new {
            return Ok(());
        }
        let is_named = self.left_out.with(py, |left_out| {
            left_out.count += 1;
            let is_named = left_out.named.len() < LeftOut::NAMED;
            if is_named {
                left_out.named.push(reason.to_owned());
            }
            is_named
        });
        if is_named {
            self.handler.left_out(py, reason);
        }
        Ok(())
    }

    /// What became of an attempt to watch `code`: a refusal is told, an error passed on.
    fn watched(&self, code: &Bound<'_, PyCode>, outcome: Result<(), ProbeError>) -> PyResult<bool> {
        match outcome {
            Ok(()) => Ok(true),
            Err(ProbeError::Python(error)) => Err(error),
            Err(refusal) => {
                self.tell_left_out(code, &refusal.to_string())?;
                Ok(false)
            }
        }
    }

    /// Whether steps are still reported: not stopped, and the limit not reached.
    #[must_use]
    pub fn is_running(&self, py: Python<'_>) -> bool {
        self.running.get(py)
    }

    /// Whether `frame` runs code that this tracer watches.
    #[must_use]
    pub fn watches(&self, py: Python<'_>, frame: Frame<'_>) -> bool {
        let code = frame.code(py);
        let of_copy = || registry::of_copy(&code);
        self.observed(py, &code)
            .or_else(of_copy)
            .is_some_and(|code| code.is_watched_by(py, self))
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
            self.observe(py, code, module, Some(0))?;
            return Ok(code.clone());
        }
        self.check_density(py)?;
        let everywhere = self.everywhere();
        let wants = |nested: &Bound<'_, PyCode>| {
            everywhere.is_none_or(|filter| function::allowed(filter, nested, module))
        };
        let (probed, copy) = registry::obtain(code, module, &wants)?;
        self.adopt(py, &probed, &copy)?;
        engine::share(py, &probed, &copy)?;
        Ok(copy)
    }

    /// The same; code that cannot be probed is returned as it is, and told to the handler.
    ///
    /// # Errors
    /// What CPython raises, such as `MemoryError`.
    pub fn watch_or_leave<'py>(
        self: &Arc<Self>,
        py: Python<'py>,
        code: &Bound<'py, PyCode>,
        module: &str,
    ) -> PyResult<Bound<'py, PyCode>> {
        match self.watch(py, code, module) {
            Ok(copy) => Ok(copy),
            Err(ProbeError::Python(error)) => Err(error),
            Err(refusal) => {
                self.tell_left_out(code, &refusal.to_string())?;
                Ok(code.clone())
            }
        }
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

    /// Enters its engine, so that code which nobody has named is found; the first code that is watched without a copy does it too.
    ///
    /// # Errors
    /// RuntimeError: another tool is in the way; names it.
    pub fn enter(self: &Arc<Self>, py: Python<'_>) -> PyResult<()> {
        self.check_density(py)?;
        self.enter_engine(py, self.options.engine)
    }

    /// Whether copies are made that have what this tracer needs.
    fn check_density(&self, py: Python<'_>) -> PyResult<()> {
        let is_recorders = matches!(self.native, Some(Native::Record));
        if self.options.engine == Engine::Inject
            && !is_recorders
            && recorder::density(py) == recorder::Density::Planned
        {
            return Err(PyRuntimeError::new_err(
                "a recording is being made, which takes the places that a trace needs: use another engine, or end it first",
            ));
        }
        Ok(())
    }

    /// Whether the engine can be entered, which is left at once again.
    ///
    /// # Errors
    /// RuntimeError: another tool is in the way; names it.
    pub fn try_engine(engine: Engine, py: Python<'_>) -> PyResult<()> {
        struct Nobody;
        impl Handler for Nobody {
            fn runs_python(&self) -> bool {
                false
            }
            fn step<'py>(
                &self,
                _: Python<'py>,
                _: &Arc<Tracer>,
                _: &Event<'_, 'py>,
                _: Option<LiveFrame>,
            ) -> PyResult<()> {
                Ok(())
            }
        }
        let options = Options {
            wanted: Predicate::Always,
            follow: None,
            limit: None,
            engine,
            everywhere: None,
        };
        let tracer = Self::new(Box::new(Nobody), options);
        tracer.enter(py)?;
        tracer.stop(py)
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

    /// Code that is watched wherever it runs.
    pub(crate) fn everywhere(&self) -> Option<&CodeFilter> {
        self.options.everywhere.as_ref()
    }

    /// Watches `code`, whose probed copy is `copy`, and what is nested in it.
    pub(crate) fn adopt<'py>(
        self: &Arc<Self>,
        py: Python<'py>,
        code: &Arc<ProbedCode>,
        copy: &Bound<'py, PyCode>,
    ) -> PyResult<()> {
        if !self.attach(py, code) {
            return Ok(());
        }
        for (refused, reason) in code.refused(py) {
            self.tell_left_out(&refused, &reason)?;
        }
        let kept = (Arc::clone(code), copy.clone().unbind());
        self.codes.with(py, |codes| codes.push(kept));
        for nested in code.nested() {
            if let Some(copy) = nested.probed(py) {
                self.adopt(py, nested, &copy)?;
            }
        }
        Ok(())
    }

    /// Reports what `code` alone executes from now on; false if it did already.
    pub(crate) fn attach(self: &Arc<Self>, py: Python<'_>, code: &Arc<ProbedCode>) -> bool {
        let new = code.add_watcher(py, self);
        if new && let Some(hook) = self.hook(code) {
            let mut hooks = code.hooks(py);
            hooks.push(hook);
            code.set_hooks(py, hooks);
        }
        new
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

    /// Whether it is a recorder's.
    pub(crate) fn records(&self) -> bool {
        matches!(self.native, Some(Native::Record))
    }

    /// Where steps are counted, if a tracer that is native only does nothing else.
    pub(crate) fn counter(&self) -> Option<&GilCell<u64>> {
        matches!(self.native, Some(Native::Count)).then_some(&self.steps)
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
            let known = self
                .observed(py, &code)
                .or_else(|| registry::of_copy(&code));
            if known.is_some_and(|code| code.is_watched_by(py, self))
                || !function::allowed(&follow.code, &code, &function::module(function))
            {
                return Ok(());
            }
            let outcome = self.probe_function(py, function);
            self.watched(&code, outcome).map(|_| ())
        })
    }

    /// Ends reporting and restores every function. What still runs probed code (suspended generators) jumps over the probes.
    ///
    /// # Errors
    /// Python raised while a function's code was put back; the others are put back all the same.
    pub fn stop(self: &Arc<Self>, py: Python<'_>) -> PyResult<()> {
        self.running.set(py, false);
        let mut outcome = self.stop_observing(py);
        for engine in self.entered.take(py) {
            outcome = outcome.and(engine.leave(py, self));
        }
        let mut retired = Vec::new();
        for code in registry::all(py) {
            if self.detach(py, &code)
                && !code.has_watchers(py)
                && let Some(copy) = code.probed(py)
            {
                retired.push((code, copy.unbind()));
            }
        }
        drop(self.codes.take(py));
        outcome = outcome.and(function::restore(py, &self.functions.take(py), &retired));
        release(retired);
        for code in registry::all(py) {
            if !code.has_watchers(py) {
                code.silence(py);
            }
        }
        crate::whole::hide_nothing(py);
        outcome
    }

    /// Reports what `code` executes no more; false if it did not.
    fn detach(self: &Arc<Self>, py: Python<'_>, code: &Arc<ProbedCode>) -> bool {
        let was_watched = code.remove_watcher(py, self);
        if was_watched {
            let mut hooks = code.hooks(py);
            hooks.retain(|hook| !Arc::ptr_eq(&hook.tracer, self));
            code.set_hooks(py, hooks);
        }
        was_watched
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

    /// [`Handler::reads_locals`].
    pub(crate) fn reads_locals(&self) -> bool {
        self.tracer.reads_locals
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
