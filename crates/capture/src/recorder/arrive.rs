//! A site fires in another frame or thread than the last one: what has ended, begun or gone on meanwhile.

use debugop_bytecode::SiteKind;
use debugop_recording::stream::{Encoder, FrameNumber, ThreadNumber};
use pyo3::Python;

use super::following::{self, Follower};
use super::greenlets::Stack;
use super::planned::PlannedSite;
use super::raised::Raise;
use super::threads::{Caller, Place, Shadow, Thread};
use super::{Left, Pen, Recorder, Suspendable, raised};
use crate::frame::Frame;
use crate::whole;

impl Recorder {
    /// Another thread runs, or the same one on another stack.
    #[cold]
    pub(super) fn switch(&mut self, py: Python<'_>, to: &mut Encoder<'_>, frame: Frame<'_>) {
        let (state, native) = (frame.thread_state(), frame.native_thread());
        if self.state != state {
            self.state = state;
            self.end_threads(py, to);
        }
        self.current = self.thread_of(py, frame).unwrap_or_else(|| {
            whole::meet(py, frame.thread_address());
            let name = crate::thread::thread_name(py, frame.thread_ident());
            let name = match self.has_other_stack(frame) {
                true => name.map(|name| format!("{name}, greenlet")),
                false => name,
            };
            let stack = Stack::of(py, state, true);
            let number = self.threads.len() as u32;
            self.add_thread(Thread::new(state, native, stack, number, name, 0))
        });
        let thread = &mut self.threads[self.current];
        if thread.chunk == self.pen.chunk {
            to.thread(ThreadNumber(thread.number));
        } else {
            thread.chunk = self.pen.chunk;
            let below = thread.frames.len() as u64;
            // They are attached again when they go on.
            thread.frames.clear();
            to.new_thread(
                ThreadNumber(thread.number),
                thread.native,
                thread.name.as_bytes(),
                below,
            );
        }
        self.meet_stack(py, to);
    }

    /// Says which threads have ended.
    pub(super) fn end_threads(&mut self, py: Python<'_>, to: &mut Encoder<'_>) {
        for thread in &mut self.threads {
            if thread.frames.is_empty() || !thread.has_ended(py) {
                continue;
            }
            self.pen.end_frames(py, to, thread);
        }
    }

    /// The frame in which `site` fires is not the one that recorded last, or something happened to it that is to be told.
    pub(super) fn arrive(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        site: &PlannedSite,
        frame: Frame<'_>,
        left: Option<Left>,
    ) -> &'static Follower {
        let begins_again = self.has_begun_again && site.kind == SiteKind::Start;
        if matches!(site.kind, SiteKind::Start | SiteKind::Resume) && !begins_again {
            return self.enter(py, to, site, frame, None);
        }
        let frames = &self.threads[self.current].frames;
        let mut known = frames.iter().rposition(|shadow| shadow.is(frame));
        if begins_again {
            if known.is_none_or(|at| frames[at].told != Shadow::AGAIN) {
                return self.enter(py, to, site, frame, None);
            }
            // It was to go the general way this time only.
            site.set_number(py, site.number.get());
        }
        let raised = match site.kind {
            SiteKind::Handler | SiteKind::Unwind => {
                self.take_refused(site, frame, left).or_else(|| {
                    let shadow = known.map(|at| &self.threads[self.current].frames[at]);
                    match left {
                        Some(left) => Some(raised::left(site, frame, shadow, left)),
                        None => raised::unit(py, site, frame, shadow),
                    }
                })
            }
            _ => None,
        };
        if raised.is_some_and(|raised| raised.starts) {
            // What is known there is a frame that has ended.
            known = None;
        }
        let inside = raised.and_then(Raise::inside);
        // A suspended frame goes on where an exception was thrown into it.
        let resumed = inside.is_some_and(|unit| raised::is_suspension(site, unit));
        let last = match known {
            Some(at) if !resumed => {
                let arrived = match (left, site.kind) {
                    (Some(left), _) => Some(left.exception as usize),
                    (None, SiteKind::Handler | SiteKind::Unwind) => {
                        raised::exception(site, frame).map(|exception| exception as usize)
                    }
                    _ => None,
                };
                let pops = self.pop_to(py, to, at + 1, arrived);
                let frames = &self.threads[self.current].frames;
                let told = match inside {
                    // Nobody has said that it raises.
                    Some(unit) if frames[at].is_untold(unit) => {
                        self.tell(py, to, unit, site.intact())
                    }
                    _ => false,
                };
                let last = self.threads[self.current].frames[at].last;
                last.behind(pops > 0 && !told)
            }
            _ => self.enter(py, to, site, frame, raised),
        };
        Self::say_raised(to, site, raised);
        last
    }

    /// Only so many frames of the current thread are left; returns how many were more. `arrived`: the address of the exception that has arrived at the site that
    /// fires, if that is known.
    pub(super) fn pop_to(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        left: usize,
        arrived: Option<usize>,
    ) -> u32 {
        if !self.refused.is_empty() {
            self.leave_past_all(py, to, left, arrived);
        }
        let frames = &mut self.threads[self.current].frames;
        let pops = frames.len() - left;
        for shadow in &mut frames[left..] {
            if let Some(bounds) = &mut self.bounds
                && shadow.address != Shadow::NOWHERE
            {
                // SAFETY: the site lives as long as its code, which is not gone (`forget`).
                bounds.count_end(unsafe { shadow.site.as_ref() });
            }
            if shadow.has_touched() {
                self.pen.look_again(py, to, shadow);
            }
        }
        frames.truncate(left);
        to.pop(pops as u32);
        pops as u32
    }

    fn say_raised(to: &mut Encoder<'_>, site: &PlannedSite, raised: Option<Raise>) {
        // A handler's code may be reached without an exception, too.
        if let (SiteKind::Handler | SiteKind::Unwind, Some(raised)) = (site.kind, raised) {
            to.raised(raised.unit, raised.progress);
        }
    }

    /// A frame that is not among the recorded ones starts, goes on, or is met in the middle.
    pub(super) fn enter(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        site: &PlannedSite,
        frame: Frame<'_>,
        raised: Option<Raise>,
    ) -> &'static Follower {
        let thread = &mut self.threads[self.current];
        // A generator that was suspended and goes on without that anything else was recorded meanwhile.
        let Place { pops, caller } = thread.place(py, frame, &self.refused);
        if pops > 0 && thread.frames.len() == pops as usize {
            self.meet_stack(py, to);
        }
        let frames = &self.threads[self.current].frames;
        let below = frames.len().saturating_sub(pops as usize);
        self.pop_to(py, to, below, None);
        let thread = &mut self.threads[self.current];
        if let (Caller::Unit(unit) | Caller::Foreign(Some(unit)), Some(top)) =
            (&caller, thread.frames.last_mut())
        {
            if !top.is_touching(*unit) {
                // An instruction before the one that calls may have changed them.
                self.pen.look_again(py, to, top);
            } else if matches!(caller, Caller::Unit(_)) {
                // Where frames may be left out, that this one is recorded says nothing of the next one of its code.
                let is_known = !self
                    .bounds
                    .as_ref()
                    .is_some_and(|one| one.leave_out_frames());
                top.has_called(py, site, frame, is_known);
            } else if frame.maker().is_some_and(|maker| top.is(maker)) {
                top.has_called(py, site, frame, false);
            }
        }
        if let Caller::Told(unit, progress) = caller {
            self.say_stands(py, to, unit, progress);
        }
        let told = self.tell_caller(py, to, &caller);
        let goes_on = self.is_left_out(frame);
        if goes_on {
            // It was to go the general way this time only.
            site.set_number(py, site.number.get());
        }
        let thread = &mut self.threads[self.current];
        let last = thread
            .frames
            .last()
            .map_or(following::nothing(), |top| top.last)
            .behind(pops > 0 && !told);
        let chunk = self.pen.chunk;
        if site.kind == SiteKind::Start && !goes_on {
            match caller {
                Caller::Unit(unit) => to.enter(unit),
                Caller::Foreign(unit) => to.enter_foreign(unit),
                Caller::Told(..) => to.enter_foreign(None),
            }
            let number = self.next_frame;
            self.next_frame += 1;
            thread.frames.push(Shadow::new(frame, site.code(), number));
            if frame.is_generators() {
                let (address, copy) = (frame.address(), frame.code_address());
                let one = Suspendable::new(address, number, copy, chunk);
                self.generators.insert(one);
            }
            return last;
        }
        let known = self
            .generators
            .get_mut(frame.address())
            .filter(|known| known.copy == frame.code_address())
            .filter(|_| !raised.is_some_and(|raised| raised.starts));
        let number = match known {
            Some(known) if known.chunk == chunk => {
                let number = FrameNumber(known.number);
                match caller {
                    Caller::Unit(unit) => to.reenter(number, unit),
                    Caller::Foreign(unit) => to.reenter_foreign(number, unit),
                    Caller::Told(..) => to.reenter_foreign(number, None),
                }
                known.number
            }
            known => {
                let number = match known {
                    Some(known) => {
                        known.chunk = chunk;
                        known.number
                    }
                    None => {
                        // Nobody has looked whether it calculates with numbers.
                        site.code().go_whole(py, false);
                        self.number_of_left_out(frame).unwrap_or_else(|| {
                            self.next_frame += 1;
                            self.next_frame - 1
                        })
                    }
                };
                Self::say_inside(to, &caller);
                let unit = raised.map(|raised| raised.unit);
                self.attach(py, to, site, frame, number, unit);
                number
            }
        };
        self.threads[self.current]
            .frames
            .push(Shadow::new(frame, site.code(), number));
        last
    }
}

impl Pen {
    /// All frames of a thread have ended, or are gone.
    pub(super) fn end_frames(&mut self, py: Python<'_>, to: &mut Encoder<'_>, thread: &mut Thread) {
        for shadow in &mut thread.frames {
            self.look_again(py, to, shadow);
        }
        thread.frames.clear();
        if thread.chunk == self.chunk {
            to.thread_end(ThreadNumber(thread.number));
        }
    }
}
