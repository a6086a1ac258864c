//! A site fires: in the course of the frame, or because an exception is handled there.

use std::sync::Arc;

use debugop_bytecode::{Flow, InstrIdx, Op, PassedBy, Place, SiteKind};
use debugop_recording::stream::Progress;

use super::{After, Machine, Unwound};
use crate::code::Code;
use crate::error::{Error, ErrorKind};
use crate::segment::{From, To, delegation, flow};
use crate::state::Frame;
use crate::value::Value;

impl Machine {
    /// The site fires.
    pub(super) fn site(&mut self) -> Result<(), Error> {
        if let Some(unit) = self.record.pending {
            return self.look(unit);
        }
        let Some(site) = self.record.site else {
            return Ok(());
        };
        let raised = self.raised;
        let Some(frame) = self.state.top() else {
            return Err(self.error(ErrorKind::NoFrame(site.0)));
        };
        let index = site.0.wrapping_sub(frame.object.data().site_base);
        if raised.is_none() && frame.from != From::Fired(index) {
            if (index as usize) >= frame.object.sites().len() {
                return Err(self.error(ErrorKind::ForeignSite(site.0)));
            }
            return match self.go(To::Site(index)) {
                Err(error) => self.handle_what_was_called(index).ok_or(error),
                went => went,
            };
        }
        let Some(kind) = frame
            .object
            .sites()
            .get(index as usize)
            .map(|site| site.kind)
        else {
            return Err(self.error(ErrorKind::ForeignSite(site.0)));
        };
        match raised {
            _ if frame.from == From::Fired(index) => {
                frame.from = From::Site(index);
                Ok(())
            }
            Some((unit, progress)) if matches!(kind, SiteKind::Handler | SiteKind::Unwind) => {
                let object = Arc::clone(&frame.object);
                let at = match progress {
                    Progress::Arrived => self.instruction(&object, unit)?,
                    _ => self.unit(&object, unit)?,
                };
                self.check_handler(&object, (at, progress), index)?;
                match progress {
                    Progress::Arrived => self.go(To::Before(at))?,
                    Progress::Told => self.go(To::Told(at))?,
                    Progress::Executing | Progress::Ready => self.raise(at)?,
                }
                let is_executing = progress == Progress::Executing;
                if self.values && is_executing && flow(&object, at) == Flow::Yield {
                    // What is thrown into a suspended frame comes with a None on the stack (`gen_send_ex`, `Objects/genobject.c`).
                    let depth = object.analysis().depth(at).unwrap_or_default();
                    let slot = object.locals().slots + depth.saturating_sub(1);
                    if let Some(frame) = self.top() {
                        frame.set(slot, Value::None);
                    }
                }
                self.after = After::Handle(index);
                Ok(())
            }
            _ => self.go(To::Site(index)),
        }
    }

    /// The frame on top is looked at in the middle of an instruction.
    fn look(&mut self, unit: u32) -> Result<(), Error> {
        let Some(frame) = self.state.top() else {
            return Err(self.error(ErrorKind::NothingPending));
        };
        let code = Arc::clone(&frame.object);
        let at = self.unit(&code, unit)?;
        if code.plan().pending(at).len() != self.record.values.len() {
            return Err(self.error(ErrorKind::NothingPending));
        }
        self.go(To::Pending(at))
    }

    /// A handler is come to, and nothing says which instruction raised; but the frame was in the middle of one, a call, that the handler is for. On 3.11
    /// the traceback of an exception does not tell when another one was raised while it was made, at the handler (`PyErr_NormalizeException`).
    fn handle_what_was_called(&mut self, site: u32) -> Option<()> {
        let frame = self.state.top()?;
        let at = frame.done?;
        let code = Arc::clone(&frame.object);
        let planned = code.sites().get(site as usize)?;
        if planned.kind != SiteKind::Handler {
            return None;
        }
        self.check_handler(&code, (at, Progress::Executing), site)
            .ok()?;
        self.after = After::Handle(site);
        Some(())
    }

    /// Whether an exception raised at an instruction is handled at a site.
    pub(super) fn check_handler(
        &self,
        code: &Code,
        (at, progress): (InstrIdx, Progress),
        site: u32,
    ) -> Result<(), Error> {
        let analysis = code.analysis();
        let planned = code.sites().get(site as usize);
        let handler = |at| {
            let entry = analysis.exception_entry(at);
            entry.and_then(|entry| analysis.at_start(entry.target))
        };
        let handles = |at| match (planned.map(|site| (site.kind, site.place)), handler(at)) {
            (Some((SiteKind::Unwind, _)), None) => true,
            (Some((SiteKind::Handler, place)), Some(handler)) => place == Place::Before(handler),
            _ => false,
        };
        // Has what tells of a line moved the frame before it raises, it is handled where the frame was (`INSTRUMENTED_LINE`, `Python/bytecodes.c`, 3.12 and later).
        let may_have_moved = || match planned.map(|site| (site.kind, site.place)) {
            Some((SiteKind::Unwind, _)) => true,
            Some((SiteKind::Handler, Place::Before(handler))) => {
                let mut entries = analysis.exception_entries().iter();
                let entry = entries.find(|entry| analysis.at_start(entry.target) == Some(handler));
                entry.is_some_and(|entry| {
                    analysis.depth(at).is_some_and(|depth| depth >= entry.depth)
                })
            }
            _ => false,
        };
        let passes = |stands| {
            let leaves = planned.is_some_and(|site| site.kind == SiteKind::Unwind);
            leaves && code.version().told_jumps_pass_handlers() == Some(stands)
        };
        let fits = handles(at)
            || match progress {
                // What is told of a jump finds the frame where that leads to, up to 3.12.
                Progress::Arrived => passes(PassedBy::AtDestination) || may_have_moved(),
                Progress::Executing if branches(code, at) => {
                    destinations(code, at).any(handles) || passes(PassedBy::AtJump)
                }
                _ => false,
            };
        fits.then_some(())
            .ok_or_else(|| self.error(ErrorKind::Handler(at.0)))
    }

    /// The frame on top goes on to the instruction that raises.
    pub(super) fn raise(&mut self, at: InstrIdx) -> Result<(), Error> {
        let Some(frame) = self.top() else {
            return Ok(());
        };
        if frame.done.is_none()
            && (matches!(frame.from, From::In(now) | From::Pending(now) if now == at)
                || is_thrown_in(&frame.object, frame.from, at))
        {
            return Ok(());
        }
        self.go(To::In(at))
    }

    pub(super) fn handled(&mut self, site: u32) {
        let number = self.record.site.unwrap_or_default();
        let current = self.state.current;
        let Some(thread) = self.state.threads.get_mut(current) else {
            return;
        };
        let Some(mut frame) = thread.frames.pop() else {
            return;
        };
        let planned = frame.object.sites().get(site as usize);
        let leaves = planned.is_some_and(|planned| planned.kind == SiteKind::Unwind);
        // Before what arrives takes the place of what the frame had on its stack.
        let first = leaves.then(|| raised_first(&frame)).flatten();
        self.capture(number, &mut frame);
        frame.from = From::Site(site);
        frame.done = None;
        if leaves {
            let exception = self.record.values.clone().next_back();
            let exception = exception.and_then(|index| self.state.chunk.value(index));
            if let Some(tally) = &mut self.tally {
                tally.unwound += 1;
            }
            let thread = &self.state.threads[current];
            self.unwound.push(Unwound {
                thread: thread.number,
                frame: frame.number,
                depth: thread.below as usize + thread.frames.len(),
                code: frame.code,
                at: first.unwrap_or(frame.at),
                exception: exception.map_or(Value::Null, Value::from),
            });
        }
        self.state.threads[current].frames.push(frame);
    }
}

/// Where the exception was raised that a frame raises again as its last: `RERAISE` sets the frame back to there, if the handler was told (`Python/bytecodes.c`;
/// 3.11: `Python/ceval.c`). Below the exception is by how many units that is behind the code's beginning.
fn raised_first(frame: &Frame) -> Option<InstrIdx> {
    let (code, analysis) = (&frame.object, frame.object.analysis());
    let again = analysis.get(frame.at);
    let info = again.opcode.info(code.version())?;
    if info.op != Op::Reraise || again.arg == 0 {
        return None;
    }
    let below = analysis.depth(frame.at)?.checked_sub(1 + again.arg)?;
    let unit = match frame.get(code.locals().slots + below) {
        Value::Int(unit) | Value::Tagged(unit) => u32::try_from(unit).ok()?,
        _ => return None,
    };
    code.at_unit(unit)
}

/// Whether tools of `sys.monitoring` are told of where an instruction leads to. What raises then is handled as if it had been raised there
/// (`INSTRUMENTED_JUMP`, `Python/ceval_macros.h`, 3.12 and later); or by nobody (3.12 and 3.13.0).
fn branches(code: &Code, at: InstrIdx) -> bool {
    let info = code.analysis().get(at).opcode.info(code.version());
    info.is_some_and(|info| {
        matches!(info.flow, Flow::Jump | Flow::Conditional)
            || matches!(info.op, Op::NotTaken | Op::PopIter | Op::EndAsyncFor)
    })
}

/// Where an instruction that [branches] may lead to. The end of a loop goes on behind the target: it leaves out `END_FOR` and, on 3.13, its pop.
fn destinations(code: &Code, at: InstrIdx) -> impl Iterator<Item = InstrIdx> {
    let target = code.analysis().target(at);
    let targets = target.map_or(0..0, |target| target.0..target.0 + 3);
    let count = code.analysis().instructions().len() as u32;
    let all = std::iter::once(at.0 + 1).chain(targets);
    all.filter(move |&one| one < count).map(InstrIdx)
}

/// Whether an exception that `at` raises has been thrown into a frame that is suspended. It is raised where the frame is to go on: behind
/// its `YIELD_VALUE` or, on 3.11, if what it delegates to has ended with it, at the end of the delegation's loop (`_gen_throw` in
/// `Objects/genobject.c`).
fn is_thrown_in(code: &Code, from: From, at: InstrIdx) -> bool {
    let From::In(yielding) = from else {
        return false;
    };
    if flow(code, yielding) != Flow::Yield {
        return false;
    }
    at.0 == yielding.0 + 1 || delegation(code, yielding).is_some_and(|(_, end)| end.0 == at.0 + 1)
}
