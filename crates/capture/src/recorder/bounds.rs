//! How much is recorded at most: so many frames above one another, and so many steps.

use std::collections::hash_map::Entry;

use debugop_bytecode::{Analysis, Flow, InstrIdx, SiteKind};
use pyo3::Python;
use rustc_hash::{FxHashMap, FxHashSet};

use super::planned::{Arrival, PlannedSite};
use super::threads::Shadow;
use super::{Recorder, raised, retire};
use crate::frame::Frame;
use crate::layout::VERSION;
use crate::registry;

/// What of a run is recorded at most. With it all records go the general way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Most {
    /// Frames that have as many recorded code objects' frames below them in their thread are left out; `None`: none.
    pub depth: Option<u32>,
    /// The recording ends with the first record behind about as many steps; `None`: it does not.
    pub steps: Option<u64>,
}

/// What has been left out and counted by it.
pub(super) struct Bounds {
    most: Most,
    /// Frames that are left out until another one starts in their place: their addresses, and those of the code that they run.
    left_out: FxHashMap<usize, usize>,
    /// How many steps have been executed, by the shortest ways that lead from one record to the next.
    steps: u64,
    /// How many lead from one site to another, by their numbers, or to where the frame ends or is suspended, by [`Self::END`].
    ways: FxHashMap<(u32, u32), u64>,
}

impl Bounds {
    /// `None` if there are none.
    pub(super) fn new(most: &Most) -> Option<Box<Self>> {
        (*most != Most::default()).then(|| {
            Box::new(Self {
                most: most.clone(),
                left_out: FxHashMap::default(),
                steps: 0,
                ways: FxHashMap::default(),
            })
        })
    }

    /// Whether not all frames are recorded whose code is.
    pub(super) fn leave_out_frames(&self) -> bool {
        self.most.depth.is_some()
    }

    /// Whether the frame, in which the first site fires if it `starts`, is left out.
    fn leaves_out(&mut self, py: Python<'_>, frame: Frame<'_>, starts: bool) -> bool {
        let Some(most) = self.most.depth else {
            return false;
        };
        if !starts {
            return self.left_out.get(&frame.address()) == Some(&frame.code_address());
        }
        let below = std::iter::successors(frame.previous(), |frame| frame.previous());
        // One that has not come to its first site, or goes on and has not come to the next one, is not known to be there.
        let is_known = |frame: &Frame<'_>| {
            let entry = registry::of_copy(&frame.code(py));
            let code = entry.as_ref().and_then(|entry| entry.planned());
            let code = code.filter(|code| code.is_recorded());
            let offset = frame.instruction_offset();
            let both = code.zip(offset);
            both.is_some_and(|(code, offset)| code.arrival(offset) != Arrival::Arriving)
        };
        let is_too_deep = below.filter(is_known).take(most as usize).count() == most as usize;
        match is_too_deep {
            true => self.left_out.insert(frame.address(), frame.code_address()),
            false => self.left_out.remove(&frame.address()),
        };
        is_too_deep
    }

    /// The number of no site.
    const END: u32 = u32::MAX;

    /// Counts what has been executed up to a site, in whose frame `last` has fired before; whether that is enough.
    fn are_reached(&mut self, last: Option<&PlannedSite>, site: &PlannedSite) -> bool {
        let Some(most) = self.most.steps else {
            return false;
        };
        let last = last.filter(|_| site.kind != SiteKind::Handler);
        self.steps += match last {
            // The `RESUME`, or what has raised.
            None => 1,
            Some(last) => match self.ways.entry((last.number.get(), site.number.get())) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(unknown) => {
                    let analysis = site.code().probed().analysis();
                    let is_behind = |count, at| count > 0 && at == site.next;
                    *unknown.insert(steps(analysis, last.next, is_behind).unwrap_or(1))
                }
            },
        };
        self.steps >= most
    }

    /// Counts what a frame has executed behind the site that has fired last in it, if any has: it has ended, or is suspended.
    pub(super) fn count_end(&mut self, last: Option<&PlannedSite>) {
        let is_counted =
            |last: &&PlannedSite| self.most.steps.is_some() && last.kind != SiteKind::Unwind;
        let Some(last) = last.filter(is_counted) else {
            return;
        };
        self.steps += match self.ways.entry((last.number.get(), Self::END)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => {
                let analysis = last.code().probed().analysis();
                let leaves = |_, at| matches!(flow(analysis, at), Flow::Return | Flow::Yield);
                *unknown.insert(1 + steps(analysis, last.next, leaves).unwrap_or(0))
            }
        };
    }
}

/// How many instructions are executed at least from one on before an end, which is told so many; `None` if no way leads to one but by an exception.
fn steps(
    analysis: &Analysis,
    from: InstrIdx,
    is_end: impl Fn(u64, InstrIdx) -> bool,
) -> Option<u64> {
    let mut met = FxHashSet::default();
    let mut now = vec![from];
    let mut count = 0;
    while !now.is_empty() {
        if now.iter().any(|&at| is_end(count, at)) {
            return Some(count);
        }
        let next = now.iter().flat_map(|&at| destinations(analysis, at));
        now = next.filter(|&at| met.insert(at)).collect();
        count += 1;
    }
    None
}

fn flow(analysis: &Analysis, at: InstrIdx) -> Flow {
    let info = analysis.get(at).opcode.info(VERSION);
    info.map_or(Flow::Next, |info| info.flow)
}

/// Where an instruction may lead to, and perhaps more. The end of a loop goes on behind the target: it leaves out `END_FOR` and what pops.
fn destinations(analysis: &Analysis, at: InstrIdx) -> impl Iterator<Item = InstrIdx> {
    let target = analysis.target(at);
    let targets = target.map_or(0..0, |target| target.0..target.0 + 3);
    let falls = matches!(
        flow(analysis, at),
        Flow::Next | Flow::Conditional | Flow::Yield
    );
    let next = falls.then_some(at.0 + 1);
    let count = analysis.instructions().len() as u32;
    let all = next.into_iter().chain(targets);
    all.filter(move |&one| one < count).map(InstrIdx)
}

impl Recorder {
    /// Whether nothing is recorded of the frame, in which the site fires, because too many are below it.
    pub(super) fn is_too_deep(
        &mut self,
        py: Python<'_>,
        site: &PlannedSite,
        frame: Frame<'_>,
    ) -> bool {
        if self.bounds.is_none() || self.begins_again(frame) {
            return false;
        }
        let Some(bounds) = &mut self.bounds else {
            return false;
        };
        let starts = match site.kind {
            SiteKind::Start => true,
            SiteKind::Handler | SiteKind::Unwind => {
                raised::unit(py, site, frame, None).is_some_and(|raised| raised.starts)
            }
            _ => false,
        };
        let is_too_deep = bounds.leaves_out(py, frame, starts);
        if is_too_deep && starts {
            // Who is known there has ended.
            for thread in &mut self.threads {
                for shadow in &mut thread.frames {
                    if shadow.address == frame.address() {
                        shadow.address = Shadow::NOWHERE;
                    }
                }
            }
        }
        is_too_deep
    }

    /// The site, of a frame in which `last` had fired, is recorded: ends the recording behind it if enough has been.
    #[cold]
    pub(super) fn is_enough(
        &mut self,
        py: Python<'_>,
        last: Option<&PlannedSite>,
        site: &PlannedSite,
        frame: Frame<'_>,
    ) -> bool {
        let bounds = self.bounds.as_mut();
        let is_reached = bounds.is_some_and(|bounds| bounds.are_reached(last, site));
        if !is_reached || !site.ends_chunk {
            return false;
        }
        self.next_chunk(py, Some((site, frame)));
        retire(py);
        true
    }

    /// Whether the frame is about to execute again the `RESUME` with which it has started.
    fn begins_again(&self, frame: Frame<'_>) -> bool {
        let mut frames = self.threads.iter().flat_map(|thread| thread.frames.iter());
        self.has_begun_again && frames.any(|one| one.is(frame) && one.told == Shadow::AGAIN)
    }
}
