//! Frames that run when a recording begins.
//!
//! They run the original of their code, into which no probe gets, so another engine reports their steps until they end
//! ([`Tracer::attach_running`](crate::Tracer::attach_running)). At a step is recorded what the plan wants to be looked at before it, and what behind the instruction that the frame
//! has executed before it, as if the probes there had fired. The recording's first chunk with a frame describes all of them.

use debugop_bytecode::{InstrIdx, Place};
use pyo3::Python;
use rustc_hash::FxHashMap;

use super::frames::Frames;
use super::planned::{IGNORED, PlannedCode, PlannedSite};
use super::threads::{Shadow, Thread, top_frame};
use super::{Left, Recorder, Suspendable, with_active};
use crate::engine::Engine;
use crate::event::{Event, EventKind};
use crate::frame::Frame;
use crate::layout::ThreadState;
#[cfg(Py_3_12)]
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
    let fallen = match begun {
        Some((copy, before))
            if copy == now.0 && before.0 + 1 == at.0 && !event.code.analysis().is_handler(at) =>
        {
            code.at(Place::After(before))
        }
        _ => None,
    };
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
                shadows.push(self.known_from_now(frame, unsafe { &*code }));
            }
            self.threads.push(Thread {
                state: state.cast(),
                native: innermost.native_thread(),
                number: self.threads.len() as u32,
                name: name.unwrap_or_default().into(),
                chunk: NO_CHUNK,
                frames: shadows,
            });
        }
        if self.threads.iter().all(|thread| thread.frames.is_empty()) {
            self.threads.clear();
            return;
        }
        self.current = 0;
        self.state = self.threads[0].state;
        self.next_chunk(py, None);
    }

    /// The planned sites of a frame's code, which have numbers then.
    fn meet_in_the_middle(
        &mut self,
        py: Python<'_>,
        frame: Frame<'_>,
    ) -> Option<*const PlannedCode> {
        let code = recorded(py, frame)?;
        // SAFETY: the code of a frame that runs.
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

    /// An exception leaves a frame that another engine reports.
    fn left(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>, left: Left) {
        let is_known = site.number.get() < IGNORED || self.meet(py, site);
        if is_known && frame.code_address() == site.copy.get() {
            self.record_left(py, site, frame, left);
        }
    }
}
