//! What a probe does when it is executed: the steps of its site, told to the hooks.

use std::rc::Rc;
use std::sync::Arc;

use debugop_bytecode::InstrIdx;
use pyo3::Python;
use pyo3::types::PyTupleMethods;

use super::{ProbedCode, SiteInfo};
use crate::code_object;
use crate::concatenation;
use crate::event::{Event, EventKind, Raised};
use crate::frame::{CodeShape, Frame};
use crate::gil::release;
use crate::native::Native;
use crate::ring::TopOfStack;
use crate::tracer::{Hook, Tracer};
use crate::whole;

impl ProbedCode {
    /// Counts the steps of `site`, one that reports steps and nothing else, if there is no more to do.
    #[inline(always)]
    pub(crate) fn count(&self, py: Python<'_>, site: &SiteInfo) -> bool {
        // SAFETY: NULL, or in the tracer that `native` holds (`set_hooks`).
        let Some(counter) = (unsafe { self.counter.get(py).as_ref() }) else {
            return false;
        };
        // Only sites of additions have more in `count` than a number.
        counter.set(py, counter.get(py) + u64::from(site.count) + 1);
        true
    }

    /// Does all there is to do at `site`, if that is native.
    #[inline]
    pub(crate) fn fire_natively(self: &Arc<Self>, py: Python<'_>, site: &SiteInfo) -> bool {
        self.native.with(py, |tracer| {
            let Some(tracer) = tracer else { return false };
            match tracer.native() {
                None => false,
                Some(Native::Count) => {
                    tracer.count(py, site.steps());
                    true
                }
                Some(Native::Record) => true,
                Some(Native::TopOfStack(ring)) => self.encode(py, site, tracer, ring),
            }
        })
    }

    /// Hands the steps of `site` to `ring`; false if there is none.
    #[inline]
    fn encode(&self, py: Python<'_>, site: &SiteInfo, tracer: &Tracer, ring: &TopOfStack) -> bool {
        let Some((frame, shape)) = self.running(py) else {
            return false;
        };
        if site.is_unwind() {
            return false;
        }
        let top = |depth: u32| Some(frame.glance(py, shape, depth.checked_sub(1)?));
        let code = self.original.as_ptr() as u64;
        ring.step(py, code, site.first, top(site.depth));
        if site.further() > 0 {
            for &instruction in self.further(site) {
                ring.step(py, code, instruction, top(site.depth));
            }
        }
        tracer.count(py, site.steps());
        true
    }

    /// Runs the hooks of the site that has just been reached by the running frame.
    #[inline]
    pub(crate) fn fire(self: &Arc<Self>, py: Python<'_>, site: &SiteInfo) -> Result<(), Raised> {
        match self.running(py) {
            Some((frame, shape)) => self.fire_all(py, frame, shape, site),
            None => Ok(()),
        }
    }

    /// The running frame, if it runs this code.
    #[inline]
    pub(super) fn running<'py>(&self, py: Python<'py>) -> Option<(Frame<'py>, &CodeShape)> {
        let (frame, shape) = (Frame::current(py)?, self.shape.get()?);
        // `~site` outside the code that it was made for: a copy that somebody edited, or plain Python. Not ours to report.
        // Whoever has a hook here also keeps the probed copy alive (`Tracer::stop` takes the hook out before it lets go), so
        // its address is its own.
        frame.has_shape(shape).then_some((frame, shape))
    }

    fn fire_all(
        self: &Arc<Self>,
        py: Python<'_>,
        frame: Frame<'_>,
        shape: &CodeShape,
        site: &SiteInfo,
    ) -> Result<(), Raised> {
        let Some(hooks) = Hooks::of(self, py) else {
            return Ok(());
        };
        whole::meet(py, frame.thread_address());
        let fire = |kind, instruction, depth| {
            let event = Event {
                kind,
                code: self,
                instruction,
                frame,
                shape,
                depth,
            };
            hooks
                .fire(py, &event)
                .inspect_err(|_| self.give_line(frame, instruction))
        };
        if site.is_unwind() {
            let raising = self.raising_instruction(py, frame, shape);
            return fire(EventKind::Unwind, raising.unwrap_or(site.first), 0);
        }
        fire(EventKind::Instruction, site.first, site.depth)?;
        for &instruction in self.further(site) {
            fire(EventKind::Instruction, instruction, site.depth)?;
        }
        Ok(())
    }

    /// The same, if an exception has been raised there.
    pub(crate) fn settle(&self, py: Python<'_>, site: &SiteInfo) {
        if site.stores_sum()
            && !concatenation::is_settled(py)
            && let Some((frame, _)) = self.running(py)
        {
            concatenation::settle(py, frame);
        }
    }

    /// What is left to do at a site that has a part in an addition to a variable, the copy's site of that number.
    pub(crate) fn sum(&self, py: Python<'_>, site: &SiteInfo, number: usize) {
        self.settle(py, site);
        let (Some(local), Some((frame, shape))) = (site.adds_to(), self.running(py)) else {
            return;
        };
        let depth = match site.is_silent() {
            true => self.analysis().depth(site.first).unwrap_or_default(),
            false => site.depth,
        };
        let hooks = |hooks: &mut Option<Rc<[Hook]>>| match hooks {
            Some(hooks) => (true, hooks.iter().any(Hook::reads_locals)),
            None => (false, false),
        };
        let (is_watched, reads_locals) = self.hooks.with(py, hooks);
        if !reads_locals
            && !concatenation::extend(py, frame, shape, (local, depth), is_watched)
            && self.silenced.get(py)
        {
            let add = *self.further(site).last().unwrap_or(&site.first);
            let constants = code_object::consts(self.original(py)).len();
            self.silence_addition(py, frame, add, constants + number);
        }
    }

    /// An exception is about to be raised at `instruction`, for which a probe speaks. Where the probe has no line, the traceback gets that of
    /// the instruction, or, if it has none either, the function's, which its `RESUME` has: tools take for granted that there is one.
    #[cold]
    fn give_line(&self, frame: Frame<'_>, instruction: InstrIdx) {
        if frame.is_on_a_line() {
            return;
        }
        let analysis = self.analysis();
        let mut places = std::iter::once(instruction).chain(analysis.first_resume());
        let at = places.find(|at| analysis.location(*at).line.is_some());
        if let Some(offset) = at.and_then(|at| self.copied_opcode(analysis.get(at).offset)) {
            frame.raise_at(offset);
        }
    }

    /// Runs the hooks for an instruction of observed code that `frame` is about to execute, if it is a step.
    #[inline]
    pub(crate) fn fire_step(
        self: &Arc<Self>,
        py: Python<'_>,
        frame: Frame<'_>,
        instruction: InstrIdx,
    ) -> Result<(), Raised> {
        if self.reported.get(instruction.0 as usize) != Some(&true) {
            return Ok(());
        }
        let depth = self.analysis().depth(instruction).unwrap_or_default();
        self.fire_observed(py, frame, EventKind::Instruction, instruction, depth)
    }

    /// Runs the hooks for an exception that `instruction` of observed code raised and that is leaving `frame`.
    pub(crate) fn fire_unwind(
        self: &Arc<Self>,
        py: Python<'_>,
        frame: Frame<'_>,
        instruction: InstrIdx,
    ) -> Result<(), Raised> {
        // A generator that never started has no step, and no DEBUG_OP sees an exception that is thrown into it.
        if self
            .analysis()
            .first_resume()
            .is_none_or(|first| instruction < first)
        {
            return Ok(());
        }
        self.fire_observed(py, frame, EventKind::Unwind, instruction, 0)
    }

    #[inline]
    fn fire_observed(
        self: &Arc<Self>,
        py: Python<'_>,
        frame: Frame<'_>,
        kind: EventKind,
        instruction: InstrIdx,
        depth: u32,
    ) -> Result<(), Raised> {
        let (Some(hooks), Some(shape)) = (Hooks::of(self, py), self.shape.get()) else {
            return Ok(());
        };
        if !frame.has_shape(shape) {
            return Ok(());
        }
        let event = Event {
            kind,
            code: self,
            instruction,
            frame,
            shape,
            depth,
        };
        hooks.fire(py, &event)
    }

    /// The instructions after the first that `site` speaks for.
    #[inline]
    fn further(&self, site: &SiteInfo) -> &[InstrIdx] {
        let (start, count) = (site.further as usize, site.further() as usize);
        self.further.get(start..start + count).unwrap_or_default()
    }
}

/// The hooks as they are at a step; what they do may replace them.
struct Hooks(Rc<[Hook]>);

impl Hooks {
    #[inline]
    fn of(code: &ProbedCode, py: Python<'_>) -> Option<Self> {
        code.hooks.cloned(py).map(Self)
    }

    #[inline]
    fn fire<'py>(&self, py: Python<'py>, event: &Event<'_, 'py>) -> Result<(), Raised> {
        for hook in &*self.0 {
            hook.fire(py, event)?;
        }
        Ok(())
    }
}

impl Drop for Hooks {
    #[inline]
    fn drop(&mut self) {
        // They have been replaced: with them a tracer may go, and the program's callback.
        if Rc::strong_count(&self.0) == 1 {
            release(std::mem::replace(&mut self.0, Rc::new([])));
        }
    }
}
