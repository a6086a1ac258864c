//! Proves that what is left of a plan is enough while the guards hold, by going every way from every site that is left.
//!
//! For tests, as [`check`](mod@crate::plan::check).

use std::collections::VecDeque;

use rustc_hash::FxHashSet;

use super::{Facts, Flowing, Number, Numeric, Origin, Way, find};
use crate::analysis::{Analysis, InstrIdx};
use crate::effect::nature;
use crate::insert::Place;
use crate::opcode::{Flow, Op};
pub use crate::plan::check::Violation;
use crate::plan::{Locals, Plan, SiteKind, Slot};
use crate::sites::is_call_part;

struct Checker<'a> {
    flowing: Flowing<'a>,
    numeric: &'a Numeric,
    /// By the plan's sites, the index of what is left of each.
    left: Vec<Option<usize>>,
}

/// Checks what is left of a plan that has itself been checked.
///
/// # Errors
/// The first [`Violation`] found.
pub fn check(
    analysis: &Analysis,
    locals: &Locals,
    plan: &Plan,
    constants: &[Option<Number>],
    numeric: &Numeric,
) -> Result<(), Violation> {
    if numeric.sites.is_empty() {
        return Ok(());
    }
    let mut left = vec![None; plan.sites.len()];
    for (index, site) in numeric.sites.iter().enumerate() {
        left[site.site as usize] = Some(index);
    }
    let flowing = Flowing {
        analysis,
        locals: *locals,
        plan,
        constants,
        arriving: vec![None; plan.sites.len()],
        needed: Vec::new(),
        touching: Vec::new(),
        stays: Vec::new(),
        budget: usize::MAX,
        // On a way that passes sites which have been left out more comes together.
        most: usize::MAX,
        passed: left.iter().map(Option::is_none).collect(),
    };
    let mut checker = Checker {
        flowing,
        numeric,
        left,
    };
    checker.beginnings()?;
    checker.flow();
    for site in &numeric.sites {
        checker.ways(site.site)?;
    }
    Ok(())
}

impl Checker<'_> {
    fn beginnings(&self) -> Result<(), Violation> {
        for (site, planned) in (0..).zip(&self.flowing.plan.sites) {
            if planned.kind == SiteKind::Step {
                continue;
            }
            let left = self.left[site as usize].map(|left| &self.numeric.sites[left]);
            if left.is_none_or(|left| left.captures != planned.captures) {
                return Err(Violation::Needed { site });
            }
        }
        Ok(())
    }

    fn is_pinned(&self, site: u32) -> bool {
        self.flowing
            .is_pinned(&self.flowing.plan.sites[site as usize])
    }

    /// What numbers are behind a site, by its guards.
    fn behind(&self, site: u32) -> Facts {
        let mut facts = self.flowing.arriving[site as usize]
            .clone()
            .unwrap_or_default();
        let Some(left) = self.left[site as usize].map(|left| &self.numeric.sites[left]) else {
            return facts;
        };
        for slot in &left.captures {
            facts.remove(slot);
        }
        for &slot in &left.guards {
            let float = facts.get(&slot).is_some_and(|number| number.float);
            facts.insert(
                slot,
                Number {
                    float,
                    ..Number::GUARDED
                },
            );
        }
        facts
    }

    /// What is a number before each site, whatever way is gone.
    fn flow(&mut self) {
        let mut todo: VecDeque<u32> = self.numeric.sites.iter().map(|left| left.site).collect();
        for site in &self.numeric.sites {
            if self.is_pinned(site.site) {
                self.flowing.arriving[site.site as usize] = Some(Facts::default());
            }
        }
        while let Some(from) = todo.pop_front() {
            if self.flowing.arriving[from as usize].is_none() {
                continue;
            }
            let facts = self.behind(from);
            for way in self.flowing.ways(from, &facts).unwrap_or_default() {
                if !self.is_pinned(way.to) && self.arrive(&way, &facts) {
                    todo.push_back(way.to);
                }
            }
        }
    }

    fn arrive(&mut self, way: &Way, facts: &Facts) -> bool {
        let to = way.to as usize;
        let here = |slot: Slot| {
            way.at(slot, facts)
                .1
                .filter(|_| self.rests(way, slot, facts))
        };
        match &self.flowing.arriving[to] {
            None => {
                let slots: FxHashSet<Slot> =
                    facts.keys().chain(way.slots.keys()).copied().collect();
                let found = slots
                    .into_iter()
                    .filter_map(|slot| Some((slot, here(slot)?)));
                self.flowing.arriving[to] = Some(found.collect());
                true
            }
            Some(before) => {
                let after: Facts = before
                    .iter()
                    .filter_map(|(&slot, number)| Some((slot, number.or(here(slot)?))))
                    .collect();
                let changed = after != *before;
                self.flowing.arriving[to] = Some(after);
                changed
            }
        }
    }

    /// Whether what a value rests on has been a number, by the guards of the site where the way ends.
    fn rests(&self, way: &Way, slot: Slot, facts: &Facts) -> bool {
        let Some(left) = self.left[way.to as usize].map(|left| &self.numeric.sites[left]) else {
            return false;
        };
        way.at(slot, facts).2.iter().all(|on| match on {
            super::Basis::Before(_) => true,
            super::Basis::Made(made) => {
                let mut captures = left.captures.iter();
                captures.any(|slot| way.slots.get(slot) == Some(made) && left.guards.contains(slot))
            }
        })
    }

    /// Goes every way from a site.
    fn ways(&mut self, site: u32) -> Result<(), Violation> {
        let planned = &self.flowing.plan.sites[site as usize];
        if planned.kind == SiteKind::Unwind {
            return Ok(());
        }
        let facts = self.behind(site);
        let start = Way {
            from: site,
            to: site,
            values: Vec::new(),
            slots: rustc_hash::FxHashMap::default(),
        };
        let (mut going, mut ended) = (Vec::new(), Vec::new());
        match planned.place {
            Place::Before(at) => going.push((at, start)),
            Place::After(at) => {
                let next = InstrIdx(at.0 + 1);
                self.flowing.go(start, next, None, &mut going, &mut ended);
            }
        }
        let mut reached = FxHashSet::default();
        let mut left = false;
        let mut is_first = true;
        while let Some((at, mut way)) = going.pop() {
            if !reached.insert(at) {
                return Err(Violation::Ambiguous { site, at: at.0 });
            }
            let flow = self.flowing.flow(at.0);
            if matches!(flow, Flow::Return | Flow::Yield) && std::mem::replace(&mut left, true) {
                return Err(Violation::TwoExits { site, at: at.0 });
            }
            self.touches(site, at, &mut way, &facts, is_first)?;
            is_first &= is_call_part(self.flowing.analysis, at.0 + 1);
            let target = self
                .flowing
                .analysis
                .target(at)
                .map(|target| (target, true));
            let falls = matches!(flow, Flow::Next | Flow::Conditional | Flow::Yield);
            let next = falls.then_some((InstrIdx(at.0 + 1), false));
            for (to, jump) in target.into_iter().chain(next) {
                let mut after = Way {
                    values: way.values.clone(),
                    slots: way.slots.clone(),
                    ..way
                };
                self.flowing.execute(&mut after, at, jump, &facts);
                self.is_kept(site, at, &way, &mut after, jump)?;
                let fallen = (!jump).then_some(at);
                self.flowing.go(after, to, fallen, &mut going, &mut ended);
            }
        }
        let mut sites = FxHashSet::default();
        for way in &ended {
            if !sites.insert(way.to) {
                return Err(Violation::Ambiguous { site, at: u32::MAX });
            }
            self.end(way, &facts)?;
        }
        Ok(())
    }

    fn touches(
        &self,
        site: u32,
        at: InstrIdx,
        way: &mut Way,
        facts: &Facts,
        is_first: bool,
    ) -> Result<(), Violation> {
        let analysis = self.flowing.analysis;
        let instruction = analysis.get(at);
        let nature = nature(analysis.version(), instruction.opcode, instruction.arg);
        let touches = nature.is_some_and(|nature| nature.touches.count > 0);
        let left = self.left[site as usize].map(|left| &self.numeric.sites[left]);
        let is_told = is_first && left.is_some_and(|left| !left.touches.is_empty());
        if !touches || is_told || is_call_part(analysis, at.0) {
            return Ok(());
        }
        let depth = analysis.depth(at).unwrap_or(0);
        let is_number = analysis.op(at.0) == Some(Op::BinaryOp) && depth >= 2 && {
            let slot = self.flowing.locals.slots + depth - 2;
            let value = find(way, slot, facts);
            let value = &way.values[value as usize];
            let made = |on: &u32| way.values[*on as usize].origin == Origin::Made;
            value.number.is_some() && !value.rests_on.iter().any(made)
        };
        is_number
            .then_some(())
            .ok_or(Violation::Untouched { site, at: at.0 })
    }

    /// What was made on the way, and nobody has looked at, is still there behind an instruction.
    fn is_kept(
        &self,
        site: u32,
        at: InstrIdx,
        before: &Way,
        after: &mut Way,
        jump: bool,
    ) -> Result<(), Violation> {
        let analysis = self.flowing.analysis;
        let depth = |at: InstrIdx| analysis.depth(at).unwrap_or(0);
        let next = match jump {
            true => analysis.target(at),
            false => Some(InstrIdx(at.0 + 1)),
        };
        let end = self.flowing.locals.slots + next.map_or(0, depth);
        after.slots.retain(|&slot, _| slot < end);
        let instruction = analysis.get(at);
        let nature = nature(analysis.version(), instruction.opcode, instruction.arg);
        let top = (self.flowing.locals.slots + depth(at)).wrapping_sub(1);
        // The direction of a jump tells.
        let told = nature
            .and_then(|nature| nature.jumps_if)
            .filter(|_| analysis.version().jumps_on_bools() || self.is_bool(before, top))
            .and_then(|_| before.slots.get(&top));
        let kept: FxHashSet<u32> = after.slots.values().copied().collect();
        let is_made = |value: &u32| before.values[*value as usize].origin == Origin::Made;
        let mut made = before.slots.values().filter(|value| is_made(value));
        match made.any(|value| !kept.contains(value) && Some(value) != told) {
            true => Err(Violation::Unknown { site, at: at.0 }),
            false => {
                if let Some(&told) = told.filter(|told| is_made(told)) {
                    after.values[told as usize].origin = Origin::Known;
                }
                Ok(())
            }
        }
    }

    fn is_bool(&self, way: &Way, slot: Slot) -> bool {
        way.slots
            .get(&slot)
            .is_some_and(|&value| way.values[value as usize].is_bool)
    }

    /// All that was made is looked at where a way ends.
    fn end(&self, way: &Way, facts: &Facts) -> Result<(), Violation> {
        let planned = &self.flowing.plan.sites[way.to as usize];
        let at = match planned.place {
            Place::Before(at) | Place::After(at) => at.0,
        };
        let unknown = Err(Violation::Unknown { site: way.from, at });
        let Some(left) = self.left[way.to as usize].map(|left| &self.numeric.sites[left]) else {
            return unknown;
        };
        let seen: FxHashSet<u32> = left
            .captures
            .iter()
            .filter_map(|slot| way.slots.get(slot).copied())
            .collect();
        let is_made = |value: &u32| way.values[*value as usize].origin == Origin::Made;
        if way
            .slots
            .values()
            .any(|value| is_made(value) && !seen.contains(value))
        {
            return unknown;
        }
        for &slot in &planned.captures {
            let (origin, number, _) = way.at(slot, facts);
            let is_computed =
                origin != Origin::Made && number.is_some() && self.rests(way, slot, facts);
            if !left.captures.contains(&slot) && !is_computed {
                return unknown;
            }
        }
        Ok(())
    }
}
