//! A debugger that stops the recorded program and looks back: where the program stands, and that what is executed at the debugger's prompt is none of it.
//!
//! A thread that is *held* records nothing; others go on. Where it stops it may be in front of a probe whose site tells what the instruction before has made. That
//! site fires when the thread is held, so that everything up to the stop is recorded, and not once more when the thread goes on. Before somebody looks at the
//! recording, and when something may have been changed that replay would not see (a variable was assigned to, the frame goes on somewhere else), a new chunk begins,
//! which describes everything as it is.

use debugop_bytecode::{InstrIdx, SiteKind};
use debugop_recording::stream::Progress;
use pyo3::types::PyFrame;
use pyo3::{Bound, Python};

use super::{IGNORED, PlannedSite, Recorder, with_active};
use crate::frame::Frame;
use crate::gil::GilCell;
use crate::layout::ThreadState;
use crate::probed::ProbedCode;
use crate::registry;

/// Where a held thread stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its number in the recording.
    pub thread: u32,
    /// Its recorded frames, outermost first: number, and the code unit of the original that the frame is executing; of the frame that has stopped, the
    /// one that it will execute next.
    pub frames: Vec<(u64, u32)>,
    /// Whether the last of them is the frame that has stopped, and not one that has called it.
    pub stopped: bool,
}

/// A thread that a debugger has stopped, or that has not gone on since.
pub(super) struct Held {
    thread: *mut ThreadState,
    /// Whether it stands still.
    stands: bool,
    /// The frame that stands before an instruction, by its address.
    stopped: Option<usize>,
    /// The frame, by its address, and the site in it that has fired before its turn.
    early: Option<(usize, *const PlannedSite)>,
    /// Whether replay may not know what is there now.
    changed: bool,
}

/// What a debugger that runs in the program executes while the program is traced is not recorded either: conditions of breakpoints.
static DEBUGGED: GilCell<bool> = GilCell::new(false);

/// From now on a debugger in this process, whose trace functions are none of the program, uses the recording.
pub fn debugged(py: Python<'_>, debugged: bool) {
    DEBUGGED.set(py, debugged);
}

/// Holds this thread, which has stopped in `frame`: `before` an instruction, or else in the course of one. Returns where it stands; `None` if nothing is recorded, or nothing of this thread has
/// been yet.
///
/// [`describe`] makes the recording fit for looking at.
pub fn hold(py: Python<'_>, frame: Option<&Bound<'_, PyFrame>>, before: bool) -> Option<Standing> {
    with_active(py, |recorder| recorder.hold(py, frame, before)).flatten()
}

/// Begins a chunk of the recording that says how things are now that this thread is held.
pub fn describe(py: Python<'_>) {
    with_active(py, |recorder| recorder.describe(py));
}

/// Lets this thread go on; `changed`: what the program sees may be other than when it was held.
pub fn release(py: Python<'_>, changed: bool) {
    with_active(py, |recorder| recorder.release(py, changed));
}

/// Where a frame stands that runs a copy with planned sites.
struct Before<'a> {
    /// The instruction of the original that it will execute next.
    at: InstrIdx,
    /// Whether it is about to: everything that is inserted before it has been executed.
    exactly: bool,
    /// The site there that is still to fire, if it is a single one.
    site: Option<&'a PlannedSite>,
}

fn before<'a>(py: Python<'_>, frame: Frame<'_>, entry: &'a ProbedCode) -> Option<Before<'a>> {
    /// A probe has three instructions, of one unit each.
    const PROBE: u32 = 6;
    let offset = frame.instruction_offset()?;
    let end = entry.shape()?.units.unsigned_abs() as u32 * 2;
    let next = (offset..end)
        .step_by(2)
        .find(|&offset| entry.original_unit(offset).is_some())?;
    let at = entry.covering(entry.original_unit(next)?)?;
    let mut sites = entry.plan_now(py)?.plan_sites().iter().filter(|site| {
        let fires = matches!(
            site.kind,
            SiteKind::Step | SiteKind::Start | SiteKind::Resume
        );
        fires && site.next == at
    });
    let (site, another) = (sites.next(), sites.next());
    // Behind the first instruction of a probe its site has fired, or is about to.
    let fires = next - offset >= PROBE && another.is_none();
    Some(Before {
        at,
        exactly: next == offset,
        site: site.filter(|_| fires),
    })
}

/// The frame of this thread at an address.
fn at_address(py: Python<'_>, address: usize) -> Option<Frame<'_>> {
    let mut frames = std::iter::successors(Frame::current(py), |frame| frame.previous());
    frames.find(|frame| frame.address() == address)
}

impl Recorder {
    fn hold(
        &mut self,
        py: Python<'_>,
        stopped: Option<&Bound<'_, PyFrame>>,
        is_before: bool,
    ) -> Option<Standing> {
        // What is done at the prompt may assign to locals.
        self.go_whole(py);
        let innermost = Frame::current(py)?;
        let thread = innermost.thread_state();
        let mut frames = std::iter::successors(Some(innermost), |frame| frame.previous());
        let stopped = stopped.and_then(|object| frames.find(|frame| frame.stands_for(object)));
        let mut held = Held {
            thread,
            stands: true,
            stopped: stopped.filter(|_| is_before).map(Frame::address),
            early: None,
            changed: false,
        };
        if let Some(known) = self.held.iter().position(|held| held.thread == thread) {
            let known = self.held.swap_remove(known);
            (held.early, held.changed) = (known.early, known.changed);
        }
        let mut next = None;
        if is_before
            && let Some(frame) = stopped
            && let Some(entry) = registry::of_copy(&frame.code(py))
            && let Some(before) = before(py, frame, &entry)
        {
            next = Some(entry.analysis().get(before.at).offset / 2);
            if let Some(site) = before.site
                && held.early.is_none()
                && frame.code_address() == site.copy.get()
                && self.fire_early(py, site, frame)
            {
                held.early = Some((frame.address(), std::ptr::from_ref(site)));
            }
        }
        let early = held.early.map(|(address, _)| address);
        let fired = stopped.filter(|frame| early == Some(frame.address()));
        // Whoever comes next, this thread too, has to come by `goes_on`.
        self.state = std::ptr::null_mut();
        self.held.push(held);
        let known = &self.threads[self.thread_of(py, innermost)?];
        let live = known.live(py, fired);
        let is_last = live.last().map(|(_, frame)| *frame) == stopped;
        let live = live.into_iter().filter_map(|(at, frame)| {
            let shadow = &known.frames[at];
            let here = next.filter(|_| stopped == Some(frame));
            Some((shadow.number, here.or_else(|| shadow.unit(frame))?))
        });
        Some(Standing {
            thread: known.number,
            frames: live.collect(),
            stopped: is_last && stopped.is_some(),
        })
    }

    /// A site fires that the frame has not come to; whether it is recorded.
    fn fire_early(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) -> bool {
        // The debugger has stopped the program in a trace function.
        let debugged = DEBUGGED.replace(py, false);
        let is_known = site.number.get() < IGNORED || self.meet(py, site);
        if is_known {
            self.record(py, site, frame);
        }
        DEBUGGED.set(py, debugged);
        is_known
    }

    fn release(&mut self, py: Python<'_>, changed: bool) {
        let Some(frame) = Frame::current(py) else {
            return;
        };
        let thread = frame.thread_state();
        let Some(index) = self.held.iter().position(|held| held.thread == thread) else {
            return;
        };
        self.held[index].changed |= changed;
        if self.held[index].changed {
            self.describe(py);
        }
        self.held[index].stands = false;
    }

    /// Begins a chunk that says how things are, if this thread is held where that can be said; else one begins as soon as it goes on.
    fn describe(&mut self, py: Python<'_>) {
        let Some(innermost) = Frame::current(py) else {
            return;
        };
        let thread = innermost.thread_state();
        let Some(index) = self.held.iter().position(|held| held.thread == thread) else {
            return;
        };
        let stopped = self.held[index].stopped.and_then(|at| at_address(py, at));
        let entry = stopped.and_then(|frame| registry::of_copy(&frame.code(py)));
        let stands = stopped
            .zip(entry.as_deref())
            .and_then(|(frame, entry)| Some((frame, before(py, frame, entry)?)));
        let Some((frame, before)) = stands else {
            // What an exception has left is over.
            self.without = self.unwound(innermost);
            self.next_chunk(py, None);
            self.without = None;
            self.held[index].changed = false;
            return;
        };
        let early = self.held[index].early;
        let has_fired = |site: &PlannedSite| {
            early == Some((frame.address(), std::ptr::from_ref(site))) && site.ends_chunk
        };
        let fired = before.site.filter(|site| has_fired(site));
        if before.exactly {
            // If a site has fired early, the frame has been told to go on somewhere else.
            self.held[index].early = None;
            self.before = Some((frame.address(), before.at, Progress::Ready));
            self.next_chunk(py, None);
            self.before = None;
        } else if let Some(site) = fired {
            self.next_chunk(py, Some((site, frame)));
        } else {
            return;
        }
        self.held[index].changed = false;
    }

    /// The recorded frame of the thread of `innermost` that an exception has left and that is still there, as [`Recorder::without`] has it.
    fn unwound(&self, innermost: Frame<'_>) -> Option<(usize, usize, u64)> {
        let mut frames = std::iter::successors(Some(innermost), |frame| frame.previous());
        let shadows = self.threads.iter().flat_map(|thread| &thread.frames);
        let shadow = frames.find_map(|frame| shadows.clone().find(|shadow| shadow.is(frame)))?;
        // SAFETY: the site lives as long as the frame, which is one of the running thread's.
        let site = unsafe { shadow.site.as_ref() }?;
        let is_over = site.kind == SiteKind::Unwind;
        is_over.then_some((shadow.address, shadow.copy, shadow.number))
    }

    /// Whether what a site tells is to be recorded, after another thread has recorded or a debugger has held this one.
    #[cold]
    #[inline(never)]
    pub(super) fn goes_on(&mut self, py: Python<'_>, site: &PlannedSite, frame: Frame<'_>) -> bool {
        if Self::is_the_debuggers(py, frame) {
            return false;
        }
        let thread = frame.thread_state();
        let Some(index) = self.held.iter().position(|held| held.thread == thread) else {
            return true;
        };
        if self.held[index].stands {
            return false;
        }
        let held = self.held.swap_remove(index);
        let Some((address, early)) = held.early else {
            if held.changed {
                self.begin_anew(py, frame);
            }
            return true;
        };
        if address != frame.address() || !std::ptr::eq(early, site) {
            // It has been told to go on somewhere else.
            self.begin_anew(py, frame);
            return true;
        }
        if held.changed && site.ends_chunk {
            self.next_chunk(py, Some((site, frame)));
        } else if held.changed {
            self.begin_anew(py, frame);
        }
        false
    }

    /// Whether the thread is in a trace function, and that is a debugger's.
    #[inline]
    pub(super) fn is_the_debuggers(py: Python<'_>, frame: Frame<'_>) -> bool {
        // SAFETY: the frame executes on this thread, so its state is alive.
        DEBUGGED.get(py)
            && unsafe { frame.thread_state().as_ref() }.is_some_and(|state| state.tracing > 0)
    }

    /// Whether what runs in this thread is not the program.
    pub(super) fn is_at_a_prompt(&self, py: Python<'_>, frame: Frame<'_>) -> bool {
        let thread = frame.thread_state();
        let mut held = self.held.iter();
        held.any(|held| held.thread == thread && held.stands) || Self::is_the_debuggers(py, frame)
    }

    /// Whether this thread is held.
    pub(super) fn is_held_here(&self, py: Python<'_>) -> bool {
        let is_held = |frame: Frame<'_>| {
            let thread = frame.thread_state();
            let mut held = self.held.iter();
            held.any(|held| held.thread == thread && held.stands)
        };
        !self.held.is_empty() && Frame::current(py).is_some_and(is_held)
    }

    /// Begins a chunk that describes everything but this frame, of which it is not known where it has been; the frame is attached when it tells of itself.
    fn begin_anew(&mut self, py: Python<'_>, frame: Frame<'_>) {
        let mut shadows = self
            .threads
            .iter()
            .flat_map(|thread| thread.frames.iter().rev());
        let known = shadows.find(|shadow| shadow.is(frame));
        self.without = known.map(|shadow| (frame.address(), frame.code_address(), shadow.number));
        self.next_chunk(py, None);
    }

    /// Whether the chunk's beginning leaves a frame out.
    pub(super) fn is_left_out(&self, frame: Frame<'_>) -> bool {
        let place = (frame.address(), frame.code_address());
        self.without
            .is_some_and(|(address, copy, _)| place == (address, copy))
    }

    /// The number that such a frame had.
    pub(super) fn number_of_left_out(&mut self, frame: Frame<'_>) -> Option<u64> {
        let is_it = self.is_left_out(frame);
        let (_, _, number) = self.without.take()?;
        is_it.then_some(number)
    }
}
