//! Sites of handlers that fire before their frame comes to them, because something is told of the handler's line before.
//!
//! An exception that is caught brings its frame to the handler's probe, which tells of it. Where that has a line (that of the `with` which the exception leaves), a trace function or
//! the like is told of the line first. What it runs is recorded, too, and says where the frame below stands; replay has to know by then how that has come there.

use debugop_bytecode::{InstrIdx, SiteKind};
use pyo3::Python;

use super::planned::{Arrival, IGNORED, PlannedSite};
use super::{Recorder, is_active, raised, with_active};
use crate::frame::Frame;
use crate::registry;

/// A site that has fired early.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Early {
    /// The addresses of the frame and of its code.
    frame: (usize, usize),
    handler: InstrIdx,
    /// The address of what has arrived there.
    exception: usize,
}

/// Something is going to be told of what the running frame does next.
pub(crate) fn telling(py: Python<'_>) {
    if is_active(py) {
        with_active(py, |recorder| recorder.fire_handler(py));
    }
}

impl Early {
    fn of(site: &PlannedSite, frame: Frame<'_>) -> Option<Self> {
        Some(Self {
            frame: (frame.address(), frame.code_address()),
            handler: site.next,
            exception: raised::exception(site, frame)? as usize,
        })
    }

    /// Whether it is one of this frame (its address, and that of its code).
    pub(super) fn is_of(&self, frame: (usize, usize)) -> bool {
        self.frame == frame
    }
}

impl Recorder {
    /// If the running frame stands in a handler's probe that has not fired, its site fires.
    fn fire_handler(&mut self, py: Python<'_>) {
        let Some(frame) = Frame::current(py) else {
            return;
        };
        if Self::is_the_debuggers(py, frame) {
            return;
        }
        let Some(entry) = registry::of_copy(&frame.code(py)) else {
            return;
        };
        let at_handler = || {
            let code = entry.planned()?;
            let Arrival::At(unit) = code.arrival(frame.instruction_offset()?) else {
                return None;
            };
            let analysis = entry.analysis();
            let at = analysis.at_offset(unit * 2);
            let at = at.filter(|&at| analysis.is_handler(at))?;
            let mut sites = code.plan_sites().iter();
            sites.find(|site| site.kind == SiteKind::Handler && site.next == at)
        };
        let Some(site) = at_handler().filter(|site| frame.code_address() == site.copy.get()) else {
            return;
        };
        let Some(early) = Early::of(site, frame).filter(|early| !self.early.contains(early)) else {
            return;
        };
        let is_known = site.number.get() < IGNORED || self.meet(py, site);
        if let Some(site) = site.firing(py, frame).filter(|_| is_known) {
            self.record(py, site, frame);
            self.early.retain(|one| one.frame != early.frame);
            self.early.push(early);
        }
    }

    /// Whether a handler's site has fired before its frame has come to it.
    pub(super) fn has_fired_early(&mut self, site: &PlannedSite, frame: Frame<'_>) -> bool {
        if self.early.is_empty() {
            return false;
        }
        let place = (frame.address(), frame.code_address());
        let Some(found) = self.early.iter().position(|one| one.frame == place) else {
            return false;
        };
        let early = self.early.swap_remove(found);
        Early::of(site, frame) == Some(early)
    }
}
