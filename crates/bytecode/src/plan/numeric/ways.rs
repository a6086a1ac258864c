//! Which sites can be left out of a plan without a way becoming ambiguous.

use rustc_hash::FxHashSet;

use crate::analysis::{Analysis, InstrIdx};
use crate::insert::Place;
use crate::opcode::Flow;
use crate::plan::{Plan, PlanSite, SiteKind};

/// From a site at most so many instructions are reached without passing another one, if one on the way is left out.
const MOST: usize = 256;

/// What is reached from a site without passing another one.
#[derive(Clone, Default)]
struct Reach {
    instructions: Vec<u32>,
    /// The sites where it ends.
    ends: Vec<u32>,
    /// How many instructions of these leave or suspend the frame.
    exits: u32,
    /// There are more instructions, and maybe exits, than these.
    is_partial: bool,
}

pub(super) struct Shape<'a> {
    plan: &'a Plan,
    reach: Vec<Reach>,
}

impl<'a> Shape<'a> {
    /// `knows_all_ends`: of what is partial, too. `None` if more than `budget` instructions would have to be looked at for that.
    pub(super) fn new(
        analysis: &Analysis,
        plan: &'a Plan,
        knows_all_ends: bool,
        mut budget: usize,
    ) -> Option<Self> {
        let mut reach_of = |site: &PlanSite| match site.kind {
            SiteKind::Unwind => Some(Reach::default()),
            _ => reach(analysis, plan, site.place, knows_all_ends, &mut budget),
        };
        let reach: Option<Vec<Reach>> = plan.sites.iter().map(&mut reach_of).collect();
        Some(Self {
            plan,
            reach: reach?,
        })
    }

    /// Whether a site can be left out, for all that is known before the others are looked at.
    pub(super) fn may_go(&self, site: u32) -> bool {
        let planned = &self.plan.sites[site as usize];
        let is_for_values = !planned.captures.is_empty() || !planned.touches.is_empty();
        let reach = &self.reach[site as usize];
        planned.kind == SiteKind::Step
            && is_for_values
            && !reach.is_partial
            && !reach.ends.contains(&site)
    }

    /// Which of the sites for which nothing else speaks go.
    pub(super) fn gone(&self, may_go: impl Fn(u32) -> bool) -> Vec<bool> {
        let count = self.plan.sites.len();
        let mut reach = self.reach.clone();
        let mut before: Vec<FxHashSet<u32>> = vec![FxHashSet::default(); count];
        for (site, found) in (0..).zip(&reach) {
            for &end in &found.ends {
                before[end as usize].insert(site);
            }
        }
        let mut gone = vec![false; count];
        for site in (0..count as u32).rev() {
            let index = site as usize;
            if !may_go(site) || reach[index].ends.contains(&site) {
                continue;
            }
            let leading: Vec<u32> = before[index].iter().copied().collect();
            let fits = |&from: &u32| reach[from as usize].is_disjoint(&reach[index]);
            if leading.is_empty() || !leading.iter().all(fits) {
                continue;
            }
            gone[index] = true;
            let behind = std::mem::take(&mut reach[index]);
            for &end in &behind.ends {
                before[end as usize].remove(&site);
                before[end as usize].extend(&leading);
            }
            for from in leading {
                reach[from as usize].go_on(site, &behind);
            }
        }
        gone
    }
}

impl Reach {
    /// Whether what it leads to can be reached through one of its ends, too, without there being two ways to anything.
    fn is_disjoint(&self, behind: &Self) -> bool {
        let length = self.instructions.len() + behind.instructions.len();
        if self.is_partial || behind.is_partial || length > MOST || self.exits + behind.exits > 1 {
            return false;
        }
        let is_new = |all: &[u32], others: &[u32]| {
            let all: FxHashSet<u32> = all.iter().copied().collect();
            !others.iter().any(|other| all.contains(other))
        };
        is_new(&self.instructions, &behind.instructions) && is_new(&self.ends, &behind.ends)
    }

    fn go_on(&mut self, end: u32, behind: &Self) {
        self.ends.retain(|&site| site != end);
        self.ends.extend(&behind.ends);
        self.instructions.extend(&behind.instructions);
        self.exits += behind.exits;
    }
}

fn reach(
    analysis: &Analysis,
    plan: &Plan,
    place: Place,
    knows_all_ends: bool,
    budget: &mut usize,
) -> Option<Reach> {
    let mut reach = Reach::default();
    let mut todo: Vec<u32> = Vec::new();
    match place {
        Place::Before(at) => todo.push(at.0),
        Place::After(at) => {
            let next = InstrIdx(at.0 + 1);
            match plan.at(Place::Before(next)) {
                Some(site) => reach.ends.push(site),
                None => todo.push(next.0),
            }
        }
    }
    while let Some(at) = todo.pop() {
        if reach.instructions.len() < MOST {
            reach.instructions.push(at);
        } else {
            reach.is_partial = true;
            if !knows_all_ends {
                break;
            }
        }
        *budget = budget.checked_sub(1)?;
        let flow = analysis.info(at).map_or(Flow::Next, |info| info.flow);
        reach.exits += u32::from(matches!(flow, Flow::Return | Flow::Yield));
        let here = InstrIdx(at);
        let falls = matches!(flow, Flow::Next | Flow::Conditional | Flow::Yield);
        let fallen = falls.then(|| (InstrIdx(at + 1), plan.at(Place::After(here))));
        let jumped = analysis.target(here).map(|target| (target, None));
        for (next, between) in fallen.into_iter().chain(jumped) {
            match between.or_else(|| plan.at(Place::Before(next))) {
                Some(site) => reach.ends.push(site),
                None if next.usize() < analysis.instructions.len() => todo.push(next.0),
                None => {}
            }
        }
    }
    Some(reach)
}
