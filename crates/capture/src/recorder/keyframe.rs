//! The beginning of a chunk: every recorded frame of every thread; and frames that are met in the middle.

use debugop_bytecode::SiteKind;
use debugop_recording::stream::{Encoder, FrameNumber, Reason, ThreadNumber};
use pyo3::Python;

use super::planned::{PlannedCode, PlannedSite, taken};
use super::threads::{Caller, Shadow};
use super::{Recorder, TIME_EVERY};
use crate::frame::Frame;

/// Of so many frames of a thread every value is written into a keyframe that there is room for; of those below, as long as half of the
/// chunk is free.
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

    /// Ends the last chunk: says which frames have ended.
    pub(super) fn end(&mut self, py: Python<'_>) {
        let mut to = Encoder::new(self.store.bytes(), self.at);
        let to = &mut to;
        let current = self.current;
        for (index, thread) in self.threads.iter_mut().enumerate() {
            if thread.chunk != self.pen.chunk || thread.frames.is_empty() {
                continue;
            }
            let live = thread.live(py).len();
            for shadow in &mut thread.frames {
                self.pen.look_again(py, to, shadow);
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
        self.time = self.now();
        self.store.next(self.time);
        self.pen.begin_chunk(py);
        self.predictor.clear();
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
        for index in threads {
            let mut live = self.threads[index].live(py);
            if let Some((site, running)) = running
                && !site.ends_chunk
            {
                live.retain(|(_, frame)| frame.address() != running.address());
            }
            let mut kept = Vec::with_capacity(live.len());
            self.threads[index].chunk = chunk;
            let capacity = self.store.capacity();
            let first = Self::left_out(&self.threads[index].frames, &live, capacity / 4);
            let thread = &mut self.threads[index];
            to.keyframe_thread(
                ThreadNumber(thread.number),
                thread.native,
                thread.name.as_bytes(),
                first as u64,
                (live.len() - first) as u64,
            );
            for (rank, &(at, frame)) in live.iter().enumerate().skip(first) {
                let spare = match live.len() - rank {
                    ..=FULL_FRAMES => SLOT_RESERVE,
                    _ => capacity / 2,
                };
                let (number, code) = {
                    let shadow = &self.threads[index].frames[at];
                    (shadow.number, shadow.code)
                };
                // SAFETY: the frame is alive, and with it its code.
                let code = unsafe { &*code };
                let site = running.filter(|(_, running)| running.address() == frame.address());
                let site = site.map(|(site, _)| site);
                self.frame(py, to, code, frame, number, site, spare);
                if let Some(known) = self.generators.get_mut(&frame.address())
                    && known.number == number
                {
                    known.chunk = chunk;
                }
                kept.push(at);
            }
            let mut at = 0;
            self.threads[index].frames.retain_mut(|shadow| {
                shadow.last = u32::MAX;
                let keep = kept.binary_search(&at).is_ok();
                at += 1;
                keep
            });
        }
        self.at = to.at();
        self.store.commit(self.at);
        self.limit = self.at + TIME_EVERY;
    }

    /// How many frames, the lowest of a thread, are left out of a keyframe because all would not go into `room` bytes without their values. They
    /// are attached when they go on; what they execute before their next site is not known then.
    fn left_out(frames: &[Shadow], live: &[(usize, Frame<'_>)], room: usize) -> usize {
        let mut left = room;
        let fits = |&&(at, _): &&(usize, Frame<'_>)| {
            // SAFETY: the frame is alive, and with it its code.
            let code = unsafe { &*frames[at].code };
            let slots = code.probed().shape().map_or(0, |shape| {
                shape.nlocalsplus.unsigned_abs() + shape.stacksize.unsigned_abs()
            });
            let least = 24 + 2 * slots as usize;
            let fits = least <= left;
            left = left.saturating_sub(least);
            fits
        };
        live.len() - live.iter().rev().take_while(fits).count()
    }

    /// A frame in the middle: `site` has fired in it, or it is executing a call. Values are written as long as `spare` bytes are left.
    #[expect(clippy::too_many_arguments, reason = "what a frame is described by")]
    fn frame(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        code: &PlannedCode,
        frame: Frame<'_>,
        number: u64,
        site: Option<&PlannedSite>,
        spare: usize,
    ) {
        let analysis = code.probed().analysis();
        let locals = code.locals();
        let (unit, executing, depth) = match site {
            Some(site) => (site.unit(), false, site.depth),
            None => {
                let unit = frame
                    .instruction_offset()
                    .and_then(|offset| code.unit(offset))
                    .unwrap_or_default();
                let at = analysis.at_offset(unit * 2);
                // What the instruction takes may be taken already.
                let depth = at.map_or(0, |at| {
                    let depth = analysis.depth(at).unwrap_or_default();
                    depth.saturating_sub(taken(analysis, at))
                });
                (unit, true, depth)
            }
        };
        crate::concatenation::put_back(py, frame);
        let slots = locals + depth;
        let at = site.map_or_else(|| analysis.at_offset(unit * 2), |site| Some(site.next));
        to.frame(
            FrameNumber(number),
            code.number.get(),
            unit,
            executing,
            u64::from(slots),
        );
        for slot in 0..slots {
            if to.has_room(spare) {
                // SAFETY: a local, or below the depth of the stack.
                let content = unsafe { frame.local(slot) };
                let is_lasti = slot >= locals
                    && at.is_some_and(|at| code.probed().holds_lasti(at, slot - locals));
                if self.pen.redacted.holds(code.number.get(), at, slot) {
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
        if let Caller::Unit(unit) | Caller::Foreign(Some(unit)) = caller {
            to.inside(*unit);
        }
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
        if site.kind == SiteKind::Unwind {
            self.unwinding(py, to, site.code(), frame, number, raised);
        } else {
            self.frame(py, to, site.code(), frame, number, Some(site), SLOT_RESERVE);
        }
    }

    /// A frame that an exception is leaving, raised by `unit`: its stack is gone.
    fn unwinding(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        code: &PlannedCode,
        frame: Frame<'_>,
        number: u64,
        raised: Option<u32>,
    ) {
        to.frame(
            FrameNumber(number),
            code.number.get(),
            raised.unwrap_or_default(),
            true,
            u64::from(code.locals()),
        );
        for slot in 0..code.locals() {
            if to.has_room(SLOT_RESERVE) {
                // SAFETY: a local.
                let content = unsafe { frame.local(slot) };
                if self.pen.redacted.holds(code.number.get(), None, slot) {
                    self.pen.redact_slot(py, to, content);
                } else {
                    self.pen.slot(py, to, content);
                }
            } else {
                to.unknown(Reason::TOO_LARGE);
            }
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
