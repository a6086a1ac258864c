//! The beginning of a chunk: every recorded frame of every thread; and frames that are met in the middle.

use std::ptr::NonNull;

use debugop_bytecode::{InstrIdx, Op, SiteKind};
use debugop_recording::stream::{Encoder, FrameNumber, Progress, Reason, SHORT, ThreadNumber};
use pyo3::Python;

use super::planned::{PlannedCode, PlannedSite, taken};
use super::threads::{Caller, Shadow};
use super::{CHUNK, RESERVE, Recorder, TIME_EVERY, following};
use crate::frame::Frame;
use crate::layout::VERSION;

/// So many frames of a thread are more likely to go on soon: when those below have taken a quarter of a chunk with their values, there is still an eighth
/// for these. All frames without their values may take another half, so that there always is room for records.
const FULL_FRAMES: usize = 256;

/// The room that a slot is left.
const SLOT_RESERVE: usize = 4 << 10;

impl Recorder {
    /// The first chunk.
    pub(super) fn begin(&mut self) {
        let mut to = Encoder::new(self.store.bytes(), 0);
        to.keyframe(
            0,
            self.pen.recent.newest(),
            FrameNumber(self.next_frame),
            0,
            ThreadNumber(0),
        );
        self.at = to.at();
        self.store.commit(self.at);
    }

    /// Ends the last chunk: says which frames have ended, and where the others are.
    pub(super) fn end(&mut self, py: Python<'_>) {
        if self
            .threads
            .iter()
            .any(|thread| !thread.live(py, None).is_empty())
        {
            // The chunk before goes as far as they have come.
            self.begin_changed(py);
        }
        let mut to = Encoder::new(self.store.bytes(), self.at);
        let to = &mut to;
        let current = self.current;
        for (index, thread) in self.threads.iter_mut().enumerate() {
            if thread.chunk != self.pen.chunk || thread.frames.is_empty() {
                continue;
            }
            let live = thread.live(py, None).len();
            for shadow in &mut thread.frames {
                self.pen.look_again(py, to, shadow);
            }
            if thread.is_hidden(py) {
                continue;
            }
            if live == 0 {
                to.thread_end(ThreadNumber(thread.number));
                thread.frames.clear();
            } else if index == current && live < thread.frames.len() {
                to.pop((thread.frames.len() - live) as u32);
            }
        }
        self.at = to.at();
        self.store.commit(self.at);
    }

    /// Ends the chunk and begins the next one. The running frame, if there is one, is right behind the site; where that cannot be said, it
    /// is left out, and attached when it goes on.
    pub(super) fn next_chunk(
        &mut self,
        py: Python<'_>,
        running: Option<(&PlannedSite, Frame<'_>)>,
    ) {
        self.tell_waiting(py);
        self.time = self.now();
        self.store.next(self.time);
        self.pen.begin_chunk(py);
        self.followers.clear();
        self.strides.clear();
        let chunk = self.pen.chunk;
        let mut to = Encoder::new(self.store.bytes(), 0);
        let to = &mut to;
        let threads: Vec<usize> = (0..self.threads.len())
            .filter(|&index| {
                index == self.current
                    || (!self.threads[index].frames.is_empty()
                        && super::threads::is_alive(
                            py,
                            self.threads[index].state,
                            self.threads[index].native,
                        ))
            })
            .collect();
        let current = self
            .threads
            .get(self.current)
            .map_or(0, |thread| thread.number);
        to.keyframe(
            self.time,
            self.pen.recent.newest(),
            FrameNumber(self.next_frame),
            threads.len() as u64,
            ThreadNumber(current),
        );
        let capacity = self.store.capacity();
        let lives: Vec<Vec<(usize, Frame<'_>)>> = threads
            .iter()
            .map(|&index| {
                let mut live = self.threads[index].live(py, running.map(|(_, frame)| frame));
                // A trace function may be told that an exception has left one: it has nothing on its stack, and nothing to do.
                live.retain(|&(at, _)| !self.threads[index].frames[at].has_been_left());
                if let Some((site, running)) = running
                    && !site.ends_chunk
                {
                    live.retain(|(_, frame)| frame.address() != running.address());
                }
                if let Some((address, ..)) = self.without {
                    live.retain(|(_, frame)| frame.address() != address);
                }
                live
            })
            .collect();
        let mut needed = 0;
        for (&index, live) in threads.iter().zip(&lives) {
            let frames = &self.threads[index].frames;
            needed += live
                .iter()
                .map(|&(at, _)| Self::least(&frames[at]))
                .sum::<usize>();
        }
        // Each thread has its share only if there is not room for all frames of all threads.
        let share = match needed <= capacity / 2 {
            true => capacity / 2,
            false => capacity / 2 / threads.len().max(1),
        };
        for (index, live) in threads.into_iter().zip(lives) {
            let mut kept = Vec::with_capacity(live.len());
            self.threads[index].chunk = chunk;
            let thread = &self.threads[index];
            let first = match thread.is_hidden(py) {
                true => thread.frames.len(),
                false => Self::left_out(&thread.frames, &live, share),
            };
            to.keyframe_thread(
                ThreadNumber(thread.number),
                thread.native,
                thread.name.as_bytes(),
                first as u64,
                live.len().saturating_sub(first) as u64,
            );
            for (rank, &(at, frame)) in live.iter().enumerate().skip(first) {
                let spare = match live.len() - rank {
                    ..=FULL_FRAMES => capacity / 8 * 5,
                    _ => capacity / 4 * 3,
                };
                let (number, code, doing) = {
                    let shadow = &self.threads[index].frames[at];
                    let doing = shadow.doing(py, frame, &self.refused);
                    (shadow.number, shadow.code, doing)
                };
                // SAFETY: the frame is alive, and with it its code.
                let code = unsafe { &*code };
                let site = running.filter(|(_, running)| running.address() == frame.address());
                let standing = match site {
                    Some((site, _)) => Standing::at(site),
                    None => match (self.before, doing.unwrap_or((0, Progress::Executing))) {
                        (Some((address, at, progress)), _) if address == frame.address() => {
                            Standing::before(code, at, progress)
                        }
                        (_, (unit, Progress::Executing)) => {
                            Standing::inside(code, unit).up_to(code, frame.most_slots())
                        }
                        (_, (unit, progress)) => Standing::told(code, unit, progress),
                    },
                };
                self.frame(py, to, code, frame, number, standing, spare);
                if standing.progress == Progress::Executing {
                    self.threads[index].frames[at].told = standing.unit;
                }
                if let Some(known) = self.generators.get_mut(frame.address())
                    && known.number == number
                {
                    known.chunk = chunk;
                }
                kept.push(at);
            }
            let mut at = 0;
            self.threads[index].frames.retain_mut(|shadow| {
                shadow.last = following::nothing();
                let keep = kept.binary_search(&at).is_ok();
                at += 1;
                keep
            });
        }
        self.at = to.at();
        self.store.commit(self.at);
        self.forget_refused();
        let most = (self.store.capacity() - RESERVE).min(self.pen.limits.chunk);
        self.full = CHUNK.max(2 * self.at).min(most);
        let time = TIME_EVERY.min(self.pen.limits.chunk);
        self.limit = (self.at + time).min(self.store.capacity() - SHORT);
    }

    /// The bytes that a frame takes in a keyframe without its values.
    fn least(shadow: &Shadow) -> usize {
        // SAFETY: the frame is alive, and with it its code.
        let code = unsafe { &*shadow.code };
        let slots = code.probed().shape().map_or(0, |shape| {
            shape.nlocalsplus.unsigned_abs() + shape.stacksize.unsigned_abs()
        });
        24 + 2 * slots as usize
    }

    /// How many frames, the lowest of a thread, are left out of a keyframe because all would not go into `room` bytes without their values. They
    /// are attached when they go on; what they execute before their next site is not known then.
    fn left_out(frames: &[Shadow], live: &[(usize, Frame<'_>)], room: usize) -> usize {
        let mut left = room;
        let fits = |&&(at, _): &&(usize, Frame<'_>)| {
            let least = Self::least(&frames[at]);
            let fits = least <= left;
            left = left.saturating_sub(least);
            fits
        };
        live.len() - live.iter().rev().take_while(fits).count()
    }

    /// A frame in the middle. Values are written as long as `spare` bytes are left.
    #[expect(clippy::too_many_arguments, reason = "what a frame is described by")]
    fn frame(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        code: &PlannedCode,
        frame: Frame<'_>,
        number: u64,
        standing: Standing,
        spare: usize,
    ) {
        let Standing {
            unit,
            progress,
            at,
            depth,
            storing,
            ending,
        } = standing;
        if at.is_some() {
            crate::concatenation::put_back(py, frame);
        }
        let locals = code.locals();
        let slots = locals + depth;
        to.frame(
            FrameNumber(number),
            code.number.get(),
            unit,
            progress,
            u64::from(slots),
        );
        for slot in 0..slots {
            if to.has_room(spare) {
                // SAFETY: a local, or below the depth of the stack.
                let content = unsafe { frame.local(slot) };
                let is_lasti = slot >= locals
                    && at.is_some_and(|at| code.probed().holds_lasti(at, slot - locals));
                let is_half_stored = storing.is_some_and(|(local, from)| {
                    // SAFETY: as above: a slot of the stack that the instruction has taken; it is compared only.
                    slot == local && content != unsafe { frame.local(locals + from) }
                });
                let is_ending = ending
                    .is_some_and(|(first, end)| (locals + first..locals + end).contains(&slot));
                if is_half_stored || is_ending {
                    to.unknown(Reason::UNSPECIFIED);
                } else if self.pen.redacted.holds(code.number.get(), at, slot) {
                    self.pen.redact_slot(py, to, content);
                } else if !is_lasti {
                    self.pen.slot(py, to, content);
                } else if let Some(units) = Self::lasti(to, code, content) {
                    to.int(units);
                }
            } else {
                to.unknown(Reason::TOO_LARGE);
            }
        }
    }

    /// Which instruction of its caller a frame is in that is attached next.
    pub(super) fn say_inside(to: &mut Encoder<'_>, caller: &Caller) {
        match *caller {
            Caller::Unit(unit) | Caller::Foreign(Some(unit)) => to.inside(unit),
            Caller::Told(..) | Caller::Foreign(None) => {}
        }
    }

    /// How the frame on top of the current thread's stands, which a trace function is told of.
    #[cold]
    pub(super) fn say_stands(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        unit: u32,
        progress: Progress,
    ) {
        let thread = &self.threads[self.current];
        let Some(top) = thread.frames.last() else {
            return;
        };
        let (Some(address), Some(state)) = (
            NonNull::new(top.address as *mut _),
            NonNull::new(thread.state),
        ) else {
            return;
        };
        let (number, code) = (top.number, top.code);
        // SAFETY: a frame of the running thread, which has been found on its stack and has begun; it keeps its code alive.
        let (frame, code) = unsafe { (Frame::at(address, state), &*code) };
        to.stands();
        let standing = match progress {
            Progress::Executing => Standing::inside(code, unit),
            _ => Standing::told(code, unit, progress),
        };
        self.frame(py, to, code, frame, number, standing, SLOT_RESERVE);
    }

    /// The frame of `site`, in which nothing is known to have happened in this chunk.
    pub(super) fn attach(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        site: &PlannedSite,
        frame: Frame<'_>,
        number: u64,
        raised: Option<u32>,
    ) {
        to.attach();
        let standing = match site.kind {
            SiteKind::Unwind => Standing::leaving(raised),
            _ => Standing::at(site),
        };
        self.frame(py, to, site.code(), frame, number, standing, SLOT_RESERVE);
    }
}

/// Where a frame is, and how many slots of its value stack are known to be live there.
#[derive(Clone, Copy)]
struct Standing {
    unit: u32,
    /// How far it is with the instruction at `unit`.
    progress: Progress,
    /// That instruction; `None` when its stack is gone.
    at: Option<InstrIdx>,
    depth: u32,
    /// The local variable that the instruction stores to as its last, and from which slot of the stack; while what the first one held is coming to its end,
    /// that has not been done.
    storing: Option<(u32, u32)>,
    /// The slots of the stack, from the first and before the second, that held what has been delegated to, which may be coming to its end (`END_SEND`). What
    /// that has returned is behind them.
    ending: Option<(u32, u32)>,
}

impl Standing {
    /// `site` has just fired.
    fn at(site: &PlannedSite) -> Self {
        Self {
            unit: site.unit(),
            progress: Progress::Ready,
            at: Some(site.next),
            depth: site.depth,
            storing: None,
            ending: None,
        }
    }

    /// What tells of the instruction at `unit`, which has not begun, runs.
    fn told(code: &PlannedCode, unit: u32, progress: Progress) -> Self {
        let analysis = code.probed().analysis();
        let at = analysis.at_offset(unit * 2);
        let depth = at.and_then(|at| analysis.depth(at));
        Self {
            unit,
            progress,
            at,
            depth: depth.unwrap_or_default(),
            storing: None,
            ending: None,
        }
    }

    /// It is about to execute this instruction.
    fn before(code: &PlannedCode, at: InstrIdx, progress: Progress) -> Self {
        let analysis = code.probed().analysis();
        Self {
            unit: analysis.get(at).offset / 2,
            progress,
            at: Some(at),
            depth: analysis.depth(at).unwrap_or_default(),
            storing: None,
            ending: None,
        }
    }

    /// The instruction at `unit` is being executed: what it takes may be taken already.
    fn inside(code: &PlannedCode, unit: u32) -> Self {
        let analysis = code.probed().analysis();
        let at = analysis.at_offset(unit * 2);
        let depth = at.map_or(0, |at| {
            let depth = analysis.depth(at).unwrap_or_default();
            depth.saturating_sub(taken(analysis, at))
        });
        let is = |wanted: Op, at: InstrIdx| {
            let info = analysis.get(at).opcode.info(VERSION);
            info.is_some_and(|info| info.op == wanted)
        };
        let storing = at
            .filter(|&at| is(Op::StoreFastStoreFast, at))
            .map(|at| (analysis.get(at).arg & 15, depth));
        // It moves the value down, and what it tells of (`INSTRUMENTED_END_SEND`) and what it lets go of may run code (3.12 and later).
        let ending = at.filter(|&at| is(Op::EndSend, at)).map(|at| {
            let full = analysis.depth(at).unwrap_or_default();
            (depth, full.saturating_sub(1))
        });
        let depth = ending.map_or(depth, |(_, value)| value + 1);
        Self {
            unit,
            progress: Progress::Executing,
            at,
            depth,
            storing,
            ending,
        }
    }

    /// At most so many slots, locals included, are live.
    fn up_to(self, code: &PlannedCode, slots: u32) -> Self {
        let depth = self.depth.min(slots.saturating_sub(code.locals()));
        Self { depth, ..self }
    }

    /// An exception that was raised at a unit is leaving the frame: its stack is gone.
    fn leaving(raised: Option<u32>) -> Self {
        Self {
            unit: raised.unwrap_or_default(),
            progress: Progress::Executing,
            at: None,
            depth: 0,
            storing: None,
            ending: None,
        }
    }
}

impl PlannedSite {
    /// The unit of the original that is executed next.
    pub(super) fn unit(&self) -> u32 {
        let analysis = self.code().probed().analysis();
        analysis.get(self.next).offset / 2
    }
}
