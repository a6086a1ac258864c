//! Which of a plan's sites and captures are not needed as long as what is calculated with is numbers.
//!
//! Replay computes `a + b` itself if it knows both and they are exact `float`s or small `int`s. So a site that would only look at such a result can be left out, if the sites
//! before have made sure of the operands: they look whether what they capture is such a number (a *guard*). When a guard fails, the code object is recorded by the
//! whole plan from then on. Whatever the whole plan knows before an instruction is then known, too: looked at by a site that both have, or computed.
//!
//! [`Numeric::new`] is a forward data flow over the ways between the plan's sites: which slots hold [numbers](Number), and of what a site captures, what is
//! computed from these. A value that nobody has looked at yet is taken for a number if the site that captures it can have a guard. A backward one then finds the guards that something
//! rests on. Ways stay unique, because a site is left out only if whatever is reached from it is not reached
//! from any site before it in another way, and no more than one instruction leaves the frame then.
//!
//! Results of `int`s are bounded: a guard lets through those below 2^[`GUARDED_BITS`], and what could be larger than 2^[`MOST_BITS`] is no number here.

pub mod check;
mod number;
mod ways;

use std::collections::BTreeSet;

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

pub use number::{GUARDED_BITS, MOST_BITS, Number};

use super::{
    LAST_MISSING_ENDS_VERSION, LAST_WHOLE_VERSION, Locals, PLAN_VERSION, Plan, PlanSite, SiteKind,
    Slot,
};
use crate::analysis::{Analysis, InstrIdx};
use crate::effect::{Common, Output};
use crate::insert::Place;
use crate::opcode::{Flow, Op};

/// So often every instruction may be looked at; code that needs more has no numeric plan.
const MOST_ROUNDS: usize = 64;
/// A result rests on so many values of a way at most.
const MOST_DEPENDENCIES: usize = 8;

/// A site of a plan as long as it holds that numbers are calculated with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumericSite {
    /// Which of the plan's sites it is: index.
    pub site: u32,
    /// What is captured of what that captures.
    pub captures: SmallVec<[Slot; 4]>,
    /// As that of the plan's site; nothing if it is a number that would be changed.
    pub touches: SmallVec<[Slot; 4]>,
    /// Slots that have to hold numbers, as [`Number::GUARDED`] says.
    pub guards: SmallVec<[Slot; 4]>,
}

/// The sites that are left of a plan while numbers are calculated with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numeric {
    /// In the plan's order. Empty if no site of the plan can be left out and nothing need be captured less.
    pub sites: Vec<NumericSite>,
}

/// The sites of a plan and, behind them, those of its numeric half, as recordings number them; of each the plan's site at the same place.
pub fn all_sites(plan: &Plan, numeric: &Numeric) -> (Vec<PlanSite>, Vec<u32>) {
    let left = numeric.sites.iter().map(|left| PlanSite {
        captures: left.captures.clone(),
        touches: left.touches.clone(),
        ..plan.sites[left.site as usize].clone()
    });
    let whole = 0..plan.sites.len() as u32;
    let numbers = whole.chain(numeric.sites.iter().map(|left| left.site));
    (
        plan.sites.iter().cloned().chain(left).collect(),
        numbers.collect(),
    )
}

/// What numbers are in the slots of a frame.
type Facts = FxHashMap<Slot, Number>;

/// A value on a way.
#[derive(Clone, Debug)]
struct Value {
    origin: Origin,
    number: Option<Number>,
    /// It is `True` or `False`.
    is_bool: bool,
    /// The values that had to be numbers for this.
    rests_on: SmallVec<[u32; 4]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// In this slot where the way begins.
    Before(Slot),
    /// Made on the way by what replay cannot compute.
    Made,
    /// Constant or computed.
    Known,
}

/// A way from one site to the next.
struct Way {
    from: u32,
    to: u32,
    values: Vec<Value>,
    /// What is in the slots where it ends, if that is not what was there before.
    slots: FxHashMap<Slot, u32>,
}

impl Way {
    /// What is in a slot where it ends: its number, and the values that this rests on.
    fn at(&self, slot: Slot, facts: &Facts) -> (Origin, Option<Number>, SmallVec<[Basis; 4]>) {
        match self.slots.get(&slot) {
            Some(&index) => {
                let value = &self.values[index as usize];
                let rests_on =
                    value
                        .rests_on
                        .iter()
                        .map(|&on| match self.values[on as usize].origin {
                            Origin::Before(slot) => Basis::Before(slot),
                            _ => Basis::Made(on),
                        });
                (value.origin, value.number, rests_on.collect())
            }
            None => {
                let number = facts.get(&slot).copied();
                let rests_on = number.iter().map(|_| Basis::Before(slot));
                (Origin::Before(slot), number, rests_on.collect())
            }
        }
    }
}

/// What a number rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Basis {
    Before(Slot),
    Made(u32),
}

struct Flowing<'a> {
    analysis: &'a Analysis,
    locals: Locals,
    plan: &'a Plan,
    constants: &'a [Option<Number>],
    /// Before each site, of all ways to it that are known so far.
    arriving: Vec<Option<Facts>>,
    /// Of the captures of each site, those that are needed.
    needed: Vec<FxHashSet<Slot>>,
    /// Whether what the instruction behind a site may change can be another object than a number.
    touching: Vec<bool>,
    /// Sites that stay whatever is known.
    stays: Vec<bool>,
    /// What may still be looked at.
    budget: usize,
    /// Ways go on through these sites.
    passed: Vec<bool>,
    /// A result rests on so many values at most.
    most: usize,
}

impl Numeric {
    /// What is left of a plan; `constants`: which constants of the code object are numbers. Linear in the size of the code.
    pub fn new(
        analysis: &Analysis,
        locals: &Locals,
        plan: &Plan,
        constants: &[Option<Number>],
    ) -> Self {
        Self::of_version(analysis, locals, plan, constants, PLAN_VERSION)
    }

    /// What is left of a plan [of this version](Plan::of_version).
    pub fn of_version(
        analysis: &Analysis,
        locals: &Locals,
        plan: &Plan,
        constants: &[Option<Number>],
        version: u16,
    ) -> Self {
        if version <= LAST_WHOLE_VERSION {
            return Self::default();
        }
        let mut flowing = Flowing {
            analysis,
            locals: *locals,
            plan,
            constants,
            arriving: vec![None; plan.sites.len()],
            needed: vec![FxHashSet::default(); plan.sites.len()],
            touching: vec![false; plan.sites.len()],
            stays: Vec::new(),
            passed: vec![false; plan.sites.len()],
            most: MOST_DEPENDENCIES,
            budget: (analysis.instructions.len() + 16) * MOST_ROUNDS,
        };
        if !flowing.calculates() {
            return Self::default();
        }
        let knows_all_ends = version > LAST_MISSING_ENDS_VERSION;
        let shape = ways::Shape::new(analysis, plan, knows_all_ends, flowing.budget);
        let Some(shape) = shape else {
            return Self::default();
        };
        flowing.stays = (0..plan.sites.len())
            .map(|site| !shape.may_go(site as u32))
            .collect();
        flowing.finish(&shape).unwrap_or_default()
    }
}

impl Flowing<'_> {
    fn calculates(&self) -> bool {
        let mut all = 0..self.analysis.instructions.len() as u32;
        all.any(|at| matches!(self.analysis.op(at), Some(Op::BinaryOp)))
    }

    fn is_pinned(&self, site: &PlanSite) -> bool {
        let next = match site.place {
            Place::Before(at) => at,
            Place::After(at) => InstrIdx(at.0 + 1),
        };
        let delegates = self.analysis.version.throwing_ends_delegation()
            && self
                .analysis
                .references
                .iter()
                .any(|&(from, to)| to == next.0 && self.analysis.op(from) == Some(Op::Send));
        matches!(
            site.kind,
            SiteKind::Start | SiteKind::Handler | SiteKind::Unwind
        ) || delegates
    }

    fn finish(&mut self, shape: &ways::Shape<'_>) -> Option<Numeric> {
        let mut todo: BTreeSet<u32> = BTreeSet::new();
        let mut pinned = vec![false; self.plan.sites.len()];
        for (index, site) in (0..).zip(&self.plan.sites) {
            if self.is_pinned(site) {
                pinned[index as usize] = true;
                self.arriving[index as usize] = Some(Facts::default());
                self.needed[index as usize].extend(&site.captures);
                self.touching[index as usize] = true;
                todo.insert(index);
            }
            if site.kind == SiteKind::Resume {
                self.needed[index as usize].extend(&site.captures);
            }
        }
        while let Some(from) = todo.pop_first() {
            let facts = self.behind(from);
            for way in self.ways(from, &facts)? {
                if !pinned[way.to as usize] && self.arrive(&way, &facts) {
                    todo.insert(way.to);
                }
            }
        }
        Some(self.result(shape))
    }

    fn is_kept(&self, site: u32) -> bool {
        let index = site as usize;
        self.stays[index] || !self.needed[index].is_empty() || self.touching[index]
    }

    /// What numbers there are behind a site.
    fn behind(&self, site: u32) -> Facts {
        let index = site as usize;
        let mut facts = self.arriving[index].clone().unwrap_or_default();
        if self.is_kept(site) {
            for number in facts.values_mut() {
                *number = number.guarded();
            }
        }
        for &slot in &self.needed[index] {
            let float = facts.get(&slot).is_some_and(|number| number.float);
            let guarded = Number {
                float,
                ..Number::GUARDED
            };
            facts.insert(slot, guarded);
        }
        facts
    }

    /// What a way brings to the site at its end; whether that is less than was known.
    fn arrive(&mut self, way: &Way, facts: &Facts) -> bool {
        let plan = self.plan;
        let site = &plan.sites[way.to as usize];
        let to = way.to as usize;
        let kept = self.is_kept(way.to);
        let is_looked_at = |on: &Basis| match on {
            Basis::Before(_) => true,
            Basis::Made(made) => {
                let mut captures = site.captures.iter();
                captures.any(|slot| way.slots.get(slot) == Some(made))
            }
        };
        let known = |slot: Slot| {
            let (origin, number, rests_on) = way.at(slot, facts);
            (origin, number.filter(|_| rests_on.iter().all(is_looked_at)))
        };
        for &slot in &site.captures {
            let (origin, number) = known(slot);
            if number.is_none() || origin == Origin::Made {
                self.needed[to].insert(slot);
            }
        }
        if !site.touches.is_empty() && !self.touching[to] {
            self.touching[to] = match self.changed_number(site) {
                Some(slot) => known(slot).1.is_none(),
                None => true,
            };
        }
        let depth = self.depth(site);
        let end = self.locals.slots + depth;
        let is_first = self.arriving[to].is_none();
        let mut changed = is_first || kept != self.is_kept(way.to);
        if is_first {
            let slots = facts.keys().chain(way.slots.keys());
            let slots: FxHashSet<Slot> = slots.copied().filter(|&slot| slot < end).collect();
            let found = slots
                .into_iter()
                .filter_map(|slot| Some((slot, known(slot).1?)));
            self.arriving[to] = Some(found.collect());
        } else if let Some(mut before) = self.arriving[to].take() {
            before.retain(|&slot, number| {
                let Some(here) = known(slot).1 else {
                    changed = true;
                    return false;
                };
                let both = number.or(here);
                if both == *number {
                    return true;
                }
                changed = true;
                // Whatever grows from round to round soon grows too large.
                let grows = !both.float && both.bits > number.bits && !kept;
                *number = both;
                if grows {
                    number.bits = number.bits.max(MOST_BITS / 2);
                }
                true
            });
            self.arriving[to] = Some(before);
        }
        changed
    }

    /// The slot of the left operand, if the instruction behind a site changes nothing but that, and it not if it is a number.
    fn changed_number(&self, site: &PlanSite) -> Option<Slot> {
        let next = match site.place {
            Place::Before(at) => at,
            Place::After(at) => InstrIdx(at.0 + 1),
        };
        let depth = self.analysis.depth(next)?;
        let is_binary = self.analysis.op(next.0) == Some(Op::BinaryOp);
        (is_binary && site.touches.len() == 1 && depth >= 2).then(|| self.locals.slots + depth - 2)
    }

    fn depth(&self, site: &PlanSite) -> u32 {
        let next = match site.place {
            Place::Before(at) => at,
            Place::After(at) => InstrIdx(at.0 + 1),
        };
        self.analysis.depth(next).unwrap_or(0)
    }

    /// The guards that something rests on, and what is left.
    fn result(&mut self, shape: &ways::Shape<'_>) -> Numeric {
        let plan = self.plan;
        self.budget = usize::MAX;
        let mut all: Vec<Way> = Vec::new();
        let mut behind: Vec<Facts> = Vec::new();
        for site in 0..plan.sites.len() as u32 {
            if self.arriving[site as usize].is_none() {
                // Nothing leads here.
                self.needed[site as usize].extend(&plan.sites[site as usize].captures);
                self.touching[site as usize] = true;
                self.arriving[site as usize] = Some(Facts::default());
            }
        }
        for site in 0..plan.sites.len() as u32 {
            let facts = self.behind(site);
            all.extend(self.ways(site, &facts).unwrap_or_default());
            behind.push(facts);
        }
        let mut to: Vec<Vec<usize>> = vec![Vec::new(); plan.sites.len()];
        for (index, way) in all.iter().enumerate() {
            to[way.to as usize].push(index);
        }
        let mut wanted: Vec<FxHashSet<Slot>> = vec![FxHashSet::default(); plan.sites.len()];
        let mut guards: Vec<BTreeSet<Slot>> = vec![BTreeSet::new(); plan.sites.len()];
        let mut todo: Vec<(u32, Slot)> = Vec::new();
        // Before each site: what has to be a number, so that nobody need look at it or what it changes.
        let mut before: Vec<(u32, Slot)> = Vec::new();
        for (index, site) in (0..).zip(&plan.sites) {
            let needed = &self.needed[index as usize];
            let computed = site.captures.iter().filter(|slot| !needed.contains(slot));
            before.extend(computed.map(|&slot| (index, slot)));
            if !site.touches.is_empty()
                && !self.touching[index as usize]
                && let Some(slot) = self.changed_number(site)
            {
                before.push((index, slot));
            }
        }
        let rest = |site: u32,
                    slot: Slot,
                    guards: &mut Vec<BTreeSet<Slot>>,
                    todo: &mut Vec<(u32, Slot)>| {
            for &index in &to[site as usize] {
                let way = &all[index];
                let (origin, _, rests_on) = way.at(slot, &behind[way.from as usize]);
                for on in rests_on {
                    match on {
                        Basis::Before(slot) => todo.push((way.from, slot)),
                        Basis::Made(made) => {
                            let mut captures = plan.sites[site as usize].captures.iter();
                            let slot = captures.find(|slot| way.slots.get(slot) == Some(&made));
                            guards[site as usize].extend(slot);
                        }
                    }
                }
                if origin == Origin::Made {
                    guards[site as usize].insert(slot);
                }
            }
        };
        for (site, slot) in before {
            rest(site, slot, &mut guards, &mut todo);
        }
        while let Some((site, slot)) = todo.pop() {
            let index = site as usize;
            if !wanted[index].insert(slot) {
                continue;
            }
            if self.needed[index].contains(&slot) {
                guards[index].insert(slot);
                continue;
            }
            let arriving = self.arriving[index]
                .as_ref()
                .and_then(|facts| facts.get(&slot));
            if self.is_kept(site) && arriving.is_some_and(|number| !number.is_guarded()) {
                guards[index].insert(slot);
            }
            rest(site, slot, &mut guards, &mut todo);
        }
        let gone = shape.gone(|site| !self.is_kept(site));
        let mut sites: Vec<NumericSite> = Vec::new();
        let mut less = false;
        for (index, site) in (0..).zip(&plan.sites) {
            if gone[index as usize] {
                less = true;
                continue;
            }
            let needed = &self.needed[index as usize];
            let captures = site.captures.iter().copied();
            let captures: SmallVec<[Slot; 4]> =
                captures.filter(|slot| needed.contains(slot)).collect();
            let touches = match self.touching[index as usize] {
                true => site.touches.clone(),
                false => SmallVec::new(),
            };
            less |= captures.len() < site.captures.len();
            sites.push(NumericSite {
                site: index,
                captures,
                touches,
                guards: guards[index as usize].iter().copied().collect(),
            });
        }
        if !less {
            sites.clear();
        }
        Numeric { sites }
    }

    /// All ways from a site to the next ones. `None` if that has become too much.
    fn ways(&mut self, from: u32, facts: &Facts) -> Option<Vec<Way>> {
        let plan = self.plan;
        let site = &plan.sites[from as usize];
        let mut ended = Vec::new();
        if site.kind == SiteKind::Unwind {
            return Some(ended);
        }
        let way = Way {
            from,
            to: from,
            values: Vec::new(),
            slots: FxHashMap::default(),
        };
        let mut going: Vec<(InstrIdx, Way)> = Vec::new();
        match site.place {
            Place::Before(at) => going.push((at, way)),
            Place::After(at) => self.go(way, InstrIdx(at.0 + 1), None, &mut going, &mut ended),
        }
        while let Some((at, way)) = going.pop() {
            self.budget = self.budget.checked_sub(1)?;
            let flow = self.flow(at.0);
            let target = self.analysis.target(at);
            let falls = matches!(flow, Flow::Next | Flow::Conditional | Flow::Yield);
            if let Some(target) = target {
                let mut jumped = Way {
                    values: way.values.clone(),
                    slots: way.slots.clone(),
                    ..way
                };
                self.execute(&mut jumped, at, true, facts);
                self.go(jumped, target, None, &mut going, &mut ended);
            }
            if falls {
                let mut way = way;
                self.execute(&mut way, at, false, facts);
                self.go(way, InstrIdx(at.0 + 1), Some(at), &mut going, &mut ended);
            }
        }
        Some(ended)
    }

    fn go(
        &self,
        mut way: Way,
        next: InstrIdx,
        fallen: Option<InstrIdx>,
        going: &mut Vec<(InstrIdx, Way)>,
        ended: &mut Vec<Way>,
    ) {
        let stops = |site: &u32| !self.passed[*site as usize];
        let after = fallen.and_then(|from| self.plan.at(Place::After(from)));
        let after = after.filter(stops);
        match after.or_else(|| self.plan.at(Place::Before(next)).filter(stops)) {
            Some(site) => {
                way.to = site;
                ended.push(way);
            }
            None if next.usize() < self.analysis.instructions.len() => going.push((next, way)),
            None => {}
        }
    }

    fn flow(&self, at: u32) -> Flow {
        self.analysis.info(at).map_or(Flow::Next, |info| info.flow)
    }

    /// What an instruction does to the slots.
    fn execute(&self, way: &mut Way, at: InstrIdx, jump: bool, facts: &Facts) {
        let instruction = &self.analysis.instructions[at.usize()];
        let (opcode, arg) = (instruction.opcode, instruction.arg);
        let version = self.analysis.version;
        let (Some(effect), Some(depth)) = (
            self.plan.effect(version, opcode, arg, jump),
            self.analysis.depth(at),
        ) else {
            return;
        };
        let top = self.locals.slots + depth;
        let below = |below: u32| top.saturating_sub(below);
        let computed = self.computed(way, at, top, facts);
        let value = |way: &mut Way, output: Output| -> u32 {
            match output {
                Output::Below(depth) => find(way, below(depth), facts),
                Output::Local(local) => find(way, local, facts),
                Output::Constant(index) => {
                    let number = self.constants.get(index as usize).copied().flatten();
                    new(way, Origin::Known, number, SmallVec::new())
                }
                Output::SmallInt(int) => {
                    new(way, Origin::Known, Number::int(int.into()), SmallVec::new())
                }
                Output::Common(Common::MinusOne) => {
                    new(way, Origin::Known, Number::int(-1), SmallVec::new())
                }
                Output::Null | Output::Next(_) | Output::Common(_) => {
                    new(way, Origin::Known, None, SmallVec::new())
                }
                Output::Bool | Output::Produced => match &computed {
                    Some((number, rests_on)) => {
                        new(way, Origin::Known, Some(*number), rests_on.clone())
                    }
                    None => {
                        let made = made(way);
                        way.values[made as usize].is_bool = output == Output::Bool;
                        made
                    }
                },
            }
        };
        let pushes: SmallVec<[u32; 4]> = effect
            .pushes
            .iter()
            .map(|&output| value(way, output))
            .collect();
        let writes: SmallVec<[(Slot, u32); 2]> = effect
            .writes
            .iter()
            .map(|&(local, output)| (local, value(way, output)))
            .collect();
        if effect.swap > 1 {
            let (one, other) = (below(1), below(effect.swap));
            let (first, second) = (find(way, one, facts), find(way, other, facts));
            way.slots.insert(one, second);
            way.slots.insert(other, first);
        }
        for (local, value) in writes {
            way.slots.insert(local, value);
        }
        for (slot, value) in (below(effect.pops)..).zip(pushes) {
            way.slots.insert(slot, value);
        }
    }

    /// The number that an instruction makes of numbers, and what that rests on.
    fn computed(
        &self,
        way: &mut Way,
        at: InstrIdx,
        top: u32,
        facts: &Facts,
    ) -> Option<(Number, SmallVec<[u32; 4]>)> {
        let operand = |way: &mut Way, below: u32| {
            let value = find(way, top.checked_sub(below)?, facts);
            let value = &way.values[value as usize];
            Some((value.number?, value.rests_on.clone()))
        };
        match self.analysis.op(at.0)? {
            Op::BinaryOp => {
                let symbols = self.analysis.version.binary_ops();
                let arg = self.analysis.instructions[at.usize()].arg;
                let symbol = symbols.get(arg as usize)?;
                let (one, mut rests_on) = operand(way, 2)?;
                let (other, others) = operand(way, 1)?;
                for on in others {
                    if !rests_on.contains(&on) {
                        rests_on.push(on);
                    }
                }
                if rests_on.len() > self.most {
                    return None;
                }
                Some((Number::binary(symbol, one, other)?, rests_on))
            }
            Op::UnaryNegative => {
                let (one, rests_on) = operand(way, 1)?;
                (!one.wild).then_some((one, rests_on))
            }
            _ => None,
        }
    }
}

fn new(way: &mut Way, origin: Origin, number: Option<Number>, rests_on: SmallVec<[u32; 4]>) -> u32 {
    way.values.push(Value {
        is_bool: false,
        origin,
        number,
        rests_on,
    });
    way.values.len() as u32 - 1
}

fn made(way: &mut Way) -> u32 {
    let index = way.values.len() as u32;
    let rests_on = SmallVec::from_slice(&[index]);
    new(way, Origin::Made, Some(Number::GUARDED), rests_on)
}

/// What is in a slot.
fn find(way: &mut Way, slot: Slot, facts: &Facts) -> u32 {
    if let Some(&known) = way.slots.get(&slot) {
        return known;
    }
    let index = way.values.len() as u32;
    let number = facts.get(&slot).copied();
    let rests_on = SmallVec::from_slice(&[index]);
    let value = new(way, Origin::Before(slot), number, rests_on);
    way.slots.insert(slot, value);
    value
}
