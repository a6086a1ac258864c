//! Frames that run when a recording begins.
//!
//! They run the original of their code, into which no probe gets, so another engine reports their steps, from 3.12 on until they can be moved into the copy
//! ([`Tracer::attach_running`](crate::Tracer::attach_running)). At a step is recorded what the plan wants to be looked at before it, and what behind the instruction that the frame
//! has executed before it, as if the probes there had fired. The recording's first chunk with a frame describes all of them.

#[cfg(not(Py_3_12))]
use debugop_bytecode::Op;
use debugop_bytecode::{InstrIdx, Place};
#[cfg(not(Py_3_12))]
use debugop_recording::stream::Progress;
use pyo3::Python;
use rustc_hash::FxHashMap;

use super::frames::Frames;
use super::greenlets::{Stack, Stacks};
use super::planned::{IGNORED, PlannedCode, PlannedSite};
#[cfg(Py_3_12)]
use super::straight::at_work;
use super::threads::{Shadow, Thread, top_frame};
use super::{Left, Recorder, Suspendable, with_active};
use crate::engine::Engine;
use crate::event::{Event, EventKind};
use crate::frame::Frame;
use crate::layout::ThreadState;
#[cfg(not(Py_3_12))]
use crate::layout::VERSION;
use crate::probed::ProbedCode;
use crate::registry;
use crate::thread;

/// A thread that is in no chunk yet.
const NO_CHUNK: u32 = u32::MAX;

/// By the addresses of frames that another engine reports: the address of the frame's code, and the instruction that it has begun last.
pub(super) type Begun = FxHashMap<usize, (usize, InstrIdx)>;

/// Begins to record the frames on the stacks of all threads.
pub(super) fn begin(py: Python<'_>) {
    with_active(py, |recorder| recorder.begin_in_the_middle(py));
}

/// A step of a frame that may be reported by another engine.
pub(super) fn step(py: Python<'_>, event: &Event<'_, '_>) {
    if !event.code.is_observed() {
        // Its sites tell of it.
        return;
    }
    let Some(code) = event.code.plan_observed(py) else {
        return;
    };
    match event.kind {
        EventKind::Instruction => {
            #[cfg(not(Py_3_12))]
            with_active(py, |recorder| recorder.has_jumped_unseen(py, event));
            for site in sites(py, code, event).into_iter().flatten() {
                super::fire(py, site);
            }
        }
        EventKind::Unwind => {
            let exception = event.exception(py);
            with_active(py, |recorder| {
                recorder.begun.remove(&event.frame.address());
                if let (Some(site), Some(exception)) = (code.plan_sites().last(), &exception) {
                    let left = Left {
                        exception: exception.as_ptr(),
                        unit: event.instruction().offset / 2,
                    };
                    recorder.left(py, site, event.frame, left);
                }
            });
        }
    }
}

/// Whether the step of an instruction says nothing to a recording, and nobody else is told of the code.
#[cfg(Py_3_12)]
pub(crate) fn passes_over(py: Python<'_>, entry: &ProbedCode, at: InstrIdx) -> bool {
    let passes = entry.planned().is_some_and(|code| code.passes_over(at));
    let tracers = || entry.tracers(py);
    passes && !tracers().is_empty() && tracers().iter().all(|tracer| tracer.records())
}

/// Whether frames that run code, which another engine reports, are to be moved into its copy.
#[cfg(Py_3_12)]
pub(crate) fn may_move(py: Python<'_>, entry: &ProbedCode) -> bool {
    let is_alone = |copy: &ProbedCode| {
        let tracers = copy.tracers(py);
        !tracers.is_empty() && tracers.iter().all(|tracer| tracer.records())
    };
    let Some((to, _)) = entry.movable(py).filter(|_| is_alone(entry)) else {
        return false;
    };
    at_work(py, || {
        to.plan_now(py);
    });
    to.planned().is_some()
}

/// Moves a frame that another engine reports, and that begins a line, into the copy of its code, if that can be; says whether it has. The sites before the line's first
/// instruction, or behind the one before it, have not fired: they fire in the copy.
///
/// The tool with this number, which is the engine's, is told of the line now.
#[cfg(Py_3_12)]
pub(crate) fn move_on(py: Python<'_>, entry: &ProbedCode, frame: Frame<'_>, tool: u8) -> bool {
    let Some(from) = entry.planned().filter(|_| may_move(py, entry)) else {
        return false;
    };
    let at = frame
        .instruction_offset()
        .and_then(|offset| entry.observed_from(offset));
    let Some(at) = at else { return false };
    let begun = with_active(py, |recorder| recorder.begun.get(&frame.address()).copied());
    let fallen = fallen_through(entry, from, begun.flatten(), (frame.code_address(), at));
    let Some(entrance) = entry.entrance(py, frame, at, fallen.is_some(), tool) else {
        return false;
    };
    let copy = std::sync::Arc::clone(&entrance.entry);
    let Some(to) = copy.planned() else {
        return false;
    };
    if with_active(py, |recorder| recorder.can_follow(py, frame, from, to)) != Some(true) {
        return false;
    }
    let before = frame.code_address();
    // SAFETY: `entry` is told of the line that the frame begins with `at`, by a callback, which calls this.
    if !unsafe { entrance.enter(py, frame) } {
        return false;
    }
    with_active(py, |recorder| {
        recorder.has_moved(py, frame, before, from, to);
    });
    true
}

/// The site behind the instruction that a frame has executed before the one at which it is `now`, if it has fallen through.
fn fallen_through<'a>(
    entry: &ProbedCode,
    code: &'a PlannedCode,
    begun: Option<(usize, InstrIdx)>,
    now: (usize, InstrIdx),
) -> Option<&'a PlannedSite> {
    let (copy, before) = begun?;
    let at = now.1;
    let fell = copy == now.0 && before.0 + 1 == at.0 && !entry.analysis().is_handler(at);
    code.at(Place::After(before)).filter(|_| fell)
}

/// The sites that would have fired since the frame's last step: behind the instruction that this was before, and before the next one.
fn sites<'a>(
    py: Python<'_>,
    code: &'a PlannedCode,
    event: &Event<'_, '_>,
) -> [Option<&'a PlannedSite>; 2] {
    let at = event.instruction;
    let now = (event.frame.code_address(), at);
    let begun = with_active(py, |recorder| {
        recorder.begun.insert(event.frame.address(), now)
    })
    .flatten();
    let fallen = fallen_through(event.code, code, begun, now);
    [fallen, code.at(Place::Before(at))]
}

/// The planned sites of the code that a frame runs, if that is recorded.
fn recorded(py: Python<'_>, frame: Frame<'_>) -> Option<*const PlannedCode> {
    if let Some(entry) = Engine::FALLBACK.find(py, frame.code_address()) {
        // It lives as long as the tracer that has attached the frame observes it.
        let records = entry.tracers(py).iter().any(|tracer| tracer.records());
        return entry
            .plan_observed(py)
            .filter(|_| records)
            .map(std::ptr::from_ref);
    }
    let entry = registry::of_copy(&frame.code(py))?;
    // It lives as long as a frame that runs it.
    let watched = !entry.is_woven() && entry.has_watchers(py);
    let planned = watched.then(|| entry.plan_now(py)).flatten();
    planned.map(std::ptr::from_ref)
}

impl Recorder {
    fn begin_in_the_middle(&mut self, py: Python<'_>) {
        let current = thread::address(py);
        let mut states = thread::states(py);
        states.sort_by_key(|state| *state as usize != current);
        for state in states {
            let is_current = state as usize == current;
            // SAFETY: a state of this interpreter's, and the GIL is held until all are done; nothing here runs Python.
            let innermost = unsafe { top_frame(state.cast::<ThreadState>()) };
            let frames = std::iter::successors(innermost, |frame| frame.previous());
            let found: Vec<_> = frames
                .filter_map(|frame| Some((frame, self.meet_in_the_middle(py, frame)?)))
                .collect();
            let Some(innermost) = innermost.filter(|_| is_current || !found.is_empty()) else {
                continue;
            };
            let name = thread::thread_name(py, innermost.thread_ident());
            let mut shadows = Frames::default();
            for (frame, code) in found.into_iter().rev() {
                // SAFETY: the code of a frame that runs.
                let code = unsafe { &*code };
                // Nobody has looked whether it calculates with numbers.
                code.go_whole(py, false);
                shadows.push(self.known_from_now(frame, code));
            }
            let (native, number) = (innermost.native_thread(), self.threads.len() as u32);
            let stack = Stack::of(py, state.cast(), is_current);
            let thread = Thread::new(state.cast(), native, stack, number, name, NO_CHUNK);
            self.add_thread(thread.with(shadows));
        }
        if self.threads.iter().all(|thread| thread.frames.is_empty()) {
            self.threads.clear();
            self.stacks = Stacks::default();
            return;
        }
        self.current = 0;
        self.state = self.threads[0].state;
        self.next_chunk(py, None);
    }

    /// A frame is where its first step is told, and has got there unseen: before the recording began it had executed a comparison and the jump behind it as one
    /// instruction (`COMPARE_OP_INT_JUMP` and its like, `Python/ceval.c`, 3.11), and then let other threads run; it points to the comparison meanwhile. What the jump's
    /// site would have looked at is gone. So a chunk begins here.
    #[cfg(not(Py_3_12))]
    fn has_jumped_unseen(&mut self, py: Python<'_>, event: &Event<'_, '_>) {
        let (frame, at) = (event.frame, event.instruction);
        let Some(&(copy, before)) = self.begun.get(&frame.address()) else {
            return;
        };
        let analysis = event.code.analysis();
        let jump = InstrIdx(before.0 + 1);
        let compares = || {
            let info = analysis.get(before).opcode.info(VERSION);
            info.is_some_and(|info| info.op == Op::CompareOp)
        };
        let is_unseen = at != jump && analysis.target(jump) == Some(at) && compares();
        if copy == frame.code_address() && is_unseen {
            self.before = Some((frame.address(), at, Progress::Arrived));
            self.next_chunk(py, None);
            self.before = None;
        }
    }

    /// The planned sites of a frame's code, which have numbers then.
    fn meet_in_the_middle(
        &mut self,
        py: Python<'_>,
        frame: Frame<'_>,
    ) -> Option<*const PlannedCode> {
        let code = recorded(py, frame)?;
        // One that is about to leave its copy stands in none of the original's instructions: it is met where its next site fires.
        // SAFETY: the code of a frame that runs.
        unsafe { (*code).unit(frame.instruction_offset()?) }?;
        // SAFETY: as above.
        let site = unsafe { (*code).sites.first() }?;
        (site.number.get() < IGNORED || self.meet(py, site)).then_some(code)
    }

    fn known_from_now(&mut self, frame: Frame<'_>, code: &PlannedCode) -> Shadow {
        let number = self.next_frame;
        self.next_frame += 1;
        let shadow = Shadow::new(frame, code, number);
        let copy = frame.code_address();
        let at = shadow.unit(frame);
        if let Some(at) = at.and_then(|unit| code.probed().analysis().at_offset(unit * 2))
            && code.probed().is_observed()
        {
            self.begun.insert(frame.address(), (copy, at));
        }
        if frame.is_generators() {
            let chunk = NO_CHUNK;
            let address = frame.address();
            let one = Suspendable::new(address, number, copy, chunk);
            self.generators.insert(one);
        }
        shadow
    }

    /// Whether a frame that runs the original, with sites `from`, can go on with those of the copy, `to`.
    #[cfg(Py_3_12)]
    fn can_follow(
        &mut self,
        py: Python<'_>,
        frame: Frame<'_>,
        from: &PlannedCode,
        to: &PlannedCode,
    ) -> bool {
        let (Some(first), Some(site)) = (from.sites.first(), to.sites.first()) else {
            return false;
        };
        let is_met = first.number.get() < IGNORED;
        let is_known = is_met && (site.number.get() < IGNORED || self.meet(py, site));
        is_known
            && site.number.get() == first.number.get()
            && self.shadow_of(frame, frame.code_address()).is_some()
    }

    /// What is known of a frame that runs, or has just run, the code at address `code`.
    #[cfg(Py_3_12)]
    fn shadow_of(&mut self, frame: Frame<'_>, code: usize) -> Option<&mut Shadow> {
        let state = frame.thread_address();
        let mut frames = self
            .threads
            .iter_mut()
            .filter(|thread| thread.state as usize == state)
            .flat_map(|thread| thread.frames.iter_mut().rev());
        frames.find(|shadow| shadow.address == frame.address() && shadow.copy == code)
    }

    /// A frame that ran the original, at the address `before`, with sites `from`, runs the copy now, whose sites `to` have the same numbers.
    #[cfg(Py_3_12)]
    fn has_moved(
        &mut self,
        py: Python<'_>,
        frame: Frame<'_>,
        before: usize,
        from: &PlannedCode,
        to: &PlannedCode,
    ) {
        // Nobody has looked whether it calculates with numbers.
        to.go_whole(py, false);
        self.begun.remove(&frame.address());
        if let Some(shadow) = self.shadow_of(frame, before) {
            shadow.has_moved(frame, from, to);
        }
        if let Some(known) = self.generators.get_mut(frame.address())
            && known.copy == before
        {
            known.copy = frame.code_address();
        }
    }

    /// An exception leaves a frame that another engine reports.
    fn left(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>, left: Left) {
        let is_known = site.number.get() < IGNORED || self.meet(py, site);
        if is_known && frame.code_address() == site.copy.get() {
            self.record_left(py, site, frame, left);
        }
    }
}
