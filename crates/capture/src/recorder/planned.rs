//! The planned sites of a code object.

use std::cell::{Cell, OnceCell};

#[cfg(Py_3_12)]
use debugop_bytecode::InstrIdx;
use debugop_bytecode::plan::numeric::{Numeric, all_sites};
use debugop_bytecode::{Place, Plan};
use pyo3::Python;

pub(super) use super::planned_site::{
    Callee, Calling, FEW, IGNORED, UNKNOWN, Way, is_number, taken,
};
pub(crate) use super::planned_site::{Now, PlannedSite};
pub(super) use super::spots::Arrival;
use super::spots::{Pending, Spot};
use crate::gil::GilCell;
use crate::probed::ProbedCode;
use crate::site;

/// The planned sites of one probed code object.
///
/// Belongs to a [`ProbedCode`], which the sites' objects keep alive.
pub(crate) struct PlannedCode {
    /// Those of the plan, and behind them those that are left while numbers are calculated with.
    pub(super) sites: Box<[PlannedSite]>,
    /// Of each the index of the plan's site at the same place.
    whole: Box<[u32]>,
    /// How many the plan has.
    count: usize,
    /// Something else has been calculated with: it is recorded by the whole plan from then on.
    is_whole: Cell<bool>,
    probed: *const ProbedCode,
    /// Address of the probed copy, 0 when it has died.
    pub(super) copy: Cell<usize>,
    /// Its number in the recording; meaningless until its sites have numbers.
    pub(super) number: Cell<u32>,
    /// By code unit of the probed copy.
    pub(super) spots: OnceCell<Box<[Spot]>>,
    /// The same of a frame that somebody may be told of.
    pub(super) arrivals: OnceCell<Box<[Arrival]>>,
    pub(super) pending: Pending,
    /// The plan, if another engine than DEBUG_OP reports the code.
    observed: OnceCell<Plan>,
    /// Of that, whether the step of an instruction says anything: see [`PlannedCode::passes_over`].
    #[cfg(Py_3_12)]
    looked_at: OnceCell<Box<[bool]>>,
}

// SAFETY: everything in it is used with the GIL held only; see `GilCell`.
unsafe impl Send for PlannedCode {}
// SAFETY: as above.
unsafe impl Sync for PlannedCode {}

/// How many copies with planned sites have died.
static DEATHS: GilCell<u64> = GilCell::new(0);

/// How many copies with planned sites have died: as long as it stays the same, the address of one names it.
#[inline]
pub(super) fn deaths(py: Python<'_>) -> u64 {
    DEATHS.get(py)
}

impl PlannedCode {
    /// The sites of `plan` in the copy that `probed` describes.
    pub(crate) fn new(plan: &Plan, numeric: &Numeric, probed: &ProbedCode) -> Box<Self> {
        let analysis = probed.analysis();
        let (all, whole) = all_sites(plan, numeric);
        let count = plan.sites.len();
        let sites = all.iter().enumerate().map(|(index, site)| {
            let left = index.checked_sub(count);
            let left = left.and_then(|left| numeric.sites.get(left));
            let guards = left.map_or(&[][..], |left| left.guards.as_slice());
            PlannedSite::new(site, guards, plan, analysis)
        });
        let made = Box::new(Self {
            sites: sites.collect(),
            whole: whole.into(),
            count,
            is_whole: Cell::new(false),
            probed: std::ptr::from_ref(probed),
            copy: Cell::new(0),
            number: Cell::new(0),
            spots: OnceCell::new(),
            arrivals: OnceCell::new(),
            pending: Pending::of(plan, analysis),
            observed: OnceCell::new(),
            #[cfg(Py_3_12)]
            looked_at: OnceCell::new(),
        });
        for site in &made.sites {
            site.code.set(&raw const *made);
        }
        made
    }

    /// Whether any site may have nothing to do while numbers are calculated with.
    pub(crate) fn may_leave_out(&self) -> bool {
        self.sites.len() > self.count
    }

    /// Whether the site with this index in the plan has nothing to do while numbers are calculated with.
    pub(crate) fn may_be_left_out(&self, index: u32) -> bool {
        let stay = &self.whole[self.count..];
        !stay.is_empty() && stay.binary_search(&index).is_err()
    }

    /// The site with this index in the plan.
    pub(crate) fn site(&self, index: u32) -> Option<&PlannedSite> {
        self.sites.get(index as usize)
    }

    /// The code object that it belongs to.
    #[inline]
    pub(super) fn probed(&self) -> &ProbedCode {
        // SAFETY: it owns this.
        unsafe { &*self.probed }
    }

    /// The sites of `plan` for frames that run the original itself.
    pub(crate) fn of_original(
        plan: Plan,
        numeric: &Numeric,
        probed: &ProbedCode,
        address: usize,
    ) -> Box<Self> {
        let made = Self::new(&plan, numeric, probed);
        made.set_copy(address);
        made.observed.get_or_init(|| plan);
        made
    }

    /// The site at a place of code that another engine reports.
    pub(super) fn at(&self, place: Place) -> Option<&PlannedSite> {
        self.site(self.observed.get()?.at(place)?)
    }

    /// Whether nothing needs to be known of the step of an instruction of code that another engine reports: it has no site, and how the frame has come to it
    /// does not matter.
    #[cfg(Py_3_12)]
    pub(super) fn passes_over(&self, at: InstrIdx) -> bool {
        let Some(plan) = self.observed.get() else {
            return false;
        };
        let looked_at = self.looked_at.get_or_init(|| self.make_looked_at(plan));
        looked_at.get(at.0 as usize) == Some(&false)
    }

    #[cfg(Py_3_12)]
    #[cold]
    fn make_looked_at(&self, plan: &Plan) -> Box<[bool]> {
        let analysis = self.probed().analysis();
        let count = analysis.instructions().len() as u32;
        let mut found: Box<[bool]> = (0..count)
            .map(InstrIdx)
            .map(|at| plan.at(Place::Before(at)).is_some() || analysis.is_handler(at))
            .collect();
        // Who falls through has a site behind; who does not has to be seen elsewhere next. A jump may go on behind what it leads to: `END_FOR` and its pop.
        for at in (0..count).filter(|&at| plan.at(Place::After(InstrIdx(at))).is_some()) {
            let target = analysis.target(InstrIdx(at));
            let targets = target.map_or(0..0, |target| target.0..target.0 + 3);
            for next in [at, at + 1].into_iter().chain(targets) {
                if let Some(looked_at) = found.get_mut(next as usize) {
                    *looked_at = true;
                }
            }
        }
        found
    }
}

impl PlannedCode {
    /// The probed copy has been made (its address), or has died (0).
    pub(crate) fn set_copy(&self, address: usize) {
        // SAFETY: copies are made and die with the GIL held.
        let py = unsafe { Python::assume_attached() };
        DEATHS.set(py, DEATHS.get(py) + 1);
        self.copy.set(address);
        for site in &self.sites {
            site.copy.set(address);
            site.calling.set(Calling::UNKNOWN);
            site.go_straight();
        }
    }

    /// Length of localsplus without the value stack.
    #[inline]
    pub(super) fn locals(&self) -> u32 {
        let shape = self.probed().shape();
        shape.map_or(0, |shape| shape.nlocalsplus.unsigned_abs())
    }

    /// The sites of its plan.
    pub(super) fn plan_sites(&self) -> &[PlannedSite] {
        &self.sites[..self.count]
    }

    /// Numbers its sites; `numeric`: those that numbers make unnecessary may be left out.
    pub(super) fn set_numbers(&self, py: Python<'_>, code: u32, base: u32, numeric: bool) {
        self.number.set(code);
        if numeric && self.sites.len() > self.count && !self.is_whole.get() {
            let (whole, left) = self.sites.split_at(self.count);
            for site in whole {
                site.instead.set(site);
            }
            for (site, &index) in left.iter().zip(&self.whole[self.count..]) {
                whole[index as usize].instead.set(site);
            }
            self.probed().jump_over_left_out(py);
        }
        for (site, number) in self.sites.iter().zip(base..) {
            site.set_number(py, number);
        }
        site::choose_again(py, self.probed());
    }

    /// From now on all sites of the plan fire; `for_good`: in other recordings, too.
    #[cold]
    pub(super) fn go_whole(&self, py: Python<'_>, for_good: bool) {
        self.is_whole.set(self.is_whole.get() || for_good);
        for site in self.plan_sites() {
            site.instead.set(std::ptr::null());
        }
        self.probed().put_back_left_out(py);
        site::choose_again(py, self.probed());
    }

    /// Forgets the numbers of another recording.
    pub(super) fn reset(&self, py: Python<'_>) {
        for site in &self.sites {
            site.instead.set(std::ptr::null());
            site.forget_number(UNKNOWN);
            site.callee.set(Callee::None);
            site.redacts.set(0);
        }
        self.probed().put_back_left_out(py);
        site::choose_again(py, self.probed());
    }

    /// Whether it has been met in this recording.
    pub(super) fn is_recorded(&self) -> bool {
        let first = self.sites.first();
        first.is_some_and(|site| site.number.get() < IGNORED)
    }

    /// Never records it.
    pub(super) fn ignore(&self) {
        for site in &self.sites {
            site.forget_number(IGNORED);
        }
    }
}

impl Drop for PlannedCode {
    fn drop(&mut self) {
        super::forget(self);
    }
}
