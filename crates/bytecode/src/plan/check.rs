//! Proves that a plan is enough, by going every way from every site.
//!
//! For tests: it takes time for each site and each instruction that is reached from it.

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::{Locals, Plan, PlanSite, SiteKind, Slot, pending_before};
use crate::analysis::{Analysis, InstrIdx};
use crate::effect::{Class, Output, nature};
use crate::insert::Place;
use crate::opcode::{Flow, Op};
use crate::sites::{forbidden, is_call_part};

/// What is wrong with a plan, or with what is [left](mod@super::numeric::check) of it. `site` is the plan's one from which it is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// No probe may stand there.
    #[error("site {site} stands where it may not")]
    Forbidden {
        /// Index of the site.
        site: u32,
    },
    /// Sites are out of order.
    #[error("site {site} is out of order")]
    Order {
        /// Index of the site.
        site: u32,
    },
    /// A frame starts, goes on or handles an exception unseen.
    #[error(
        "there is no site at instruction {at}, where a frame begins, goes on or handles an exception"
    )]
    Missing {
        /// Index of the instruction.
        at: u32,
    },
    /// Two ways lead to the same instruction, or round in a circle.
    #[error("instruction {at} is reached from site {site} in two ways")]
    Ambiguous {
        /// Index of the site.
        site: u32,
        /// Index of the instruction.
        at: u32,
    },
    /// The frame can be left or suspended by two instructions.
    #[error("site {site} leads to two instructions that leave the frame, the second is {at}")]
    TwoExits {
        /// Index of the site.
        site: u32,
        /// Index of the instruction.
        at: u32,
    },
    /// A value has not been looked at before an instruction that may raise, or that makes it disappear.
    #[error("a value behind site {site} has not been looked at before instruction {at}")]
    Unseen {
        /// Index of the site.
        site: u32,
        /// Index of the instruction.
        at: u32,
    },
    /// What is pending in the middle of an instruction is not what the plan says.
    #[error(
        "a value is not pending where it should be in the middle of instruction {at} (from site {site})"
    )]
    Pending {
        /// Index of the site.
        site: u32,
        /// Index of the instruction.
        at: u32,
    },
    /// A slot in which a value is to be looked at in the middle of an instruction is not there, or is changed by it.
    #[error("slot {slot} does not last through instruction {at}")]
    Changing {
        /// The slot.
        slot: Slot,
        /// Index of the instruction.
        at: u32,
    },
    /// Of what is left while numbers are calculated with: a site that is there whatever is calculated with has been left out, or captures less.
    #[error("site {site} is needed whatever is calculated with")]
    Needed {
        /// Index of the site.
        site: u32,
    },
    /// The same: a value can neither be computed nor has it been looked at before it is lost.
    #[error("a value behind site {site} is not known before instruction {at}")]
    Unknown {
        /// Index of the site.
        site: u32,
        /// Index of the instruction.
        at: u32,
    },
    /// An object may have been changed by another instruction than the one behind a site.
    #[error(
        "instruction {at} may change an object, and no site that says so is before it (from site {site})"
    )]
    Untouched {
        /// Index of the site.
        site: u32,
        /// Index of the instruction.
        at: u32,
    },
}

type Symbols = FxHashMap<Slot, u32>;

struct Way {
    /// About to execute this.
    at: InstrIdx,
    symbols: Symbols,
    /// Whether the site is just behind.
    first: bool,
}

struct Checker<'a> {
    analysis: &'a Analysis,
    locals: &'a Locals,
    plan: &'a Plan,
}

/// Checks a plan.
///
/// # Errors
/// The first [`Violation`] found.
pub fn check(analysis: &Analysis, locals: &Locals, plan: &Plan) -> Result<(), Violation> {
    let checker = Checker {
        analysis,
        locals,
        plan,
    };
    let Some(entry) = analysis.first_resume() else {
        return Ok(());
    };
    checker.places()?;
    checker.slots()?;
    checker.beginnings(entry)?;
    for (number, site) in (0..).zip(&plan.sites) {
        if site.kind != SiteKind::Unwind {
            checker.ways(number, site)?;
        }
    }
    Ok(())
}

impl Checker<'_> {
    fn places(&self) -> Result<(), Violation> {
        let mut before = None;
        for (site, planned) in (0..).zip(&self.plan.sites) {
            if planned.kind == SiteKind::Unwind {
                continue;
            }
            if forbidden(self.analysis, planned.place).is_some() {
                return Err(Violation::Forbidden { site });
            }
            if before.is_some_and(|before| before >= planned.place.order()) {
                return Err(Violation::Order { site });
            }
            before = Some(planned.place.order());
        }
        Ok(())
    }

    fn beginnings(&self, entry: InstrIdx) -> Result<(), Violation> {
        for at in entry.0..self.analysis.instructions().len() as u32 {
            let here = InstrIdx(at);
            if self.analysis.depth(here).is_none() {
                continue;
            }
            let resumes = self.op(here) == Some(Op::Resume)
                && (here == entry || at > 0 && self.flow(InstrIdx(at - 1)) == Flow::Yield);
            let begun = self.plan.at(Place::After(here)).is_some()
                || self.plan.at(Place::Before(InstrIdx(at + 1))).is_some();
            if resumes && !begun {
                return Err(Violation::Missing { at });
            }
            if self.analysis.is_handler(here) && self.plan.at(Place::Before(here)).is_none() {
                return Err(Violation::Missing { at });
            }
        }
        Ok(())
    }

    /// In the middle of an instruction every slot that is looked at is there and holds what it held before.
    fn slots(&self) -> Result<(), Violation> {
        let version = self.analysis.version();
        for at in self.plan.with_pending() {
            let instruction = self.analysis.get(at);
            let (Some(depth), Some(effect), Some(nature)) = (
                self.analysis.depth(at),
                self.plan
                    .effect(version, instruction.opcode, instruction.arg, false),
                nature(version, instruction.opcode, instruction.arg),
            ) else {
                continue;
            };
            let top = self.locals.slots + depth;
            // It only moves, and runs nothing meanwhile: what it takes, or clears, is in its place until then.
            let is_quiet = nature.class == Class::Quiet;
            let lasting = match is_quiet {
                true => top,
                false => top.saturating_sub(effect.pops),
            };
            for &slot in self.plan.pending(at) {
                let is_stored = pending_before(self.analysis, self.locals, at, slot) != slot;
                let is_written = effect.writes.iter().any(|write| write.0 == slot);
                let is_changed = is_written != is_stored && !(is_written && is_quiet);
                if slot >= lasting || is_changed {
                    return Err(Violation::Changing { slot, at: at.0 });
                }
            }
        }
        Ok(())
    }

    fn op(&self, at: InstrIdx) -> Option<Op> {
        Some(
            self.analysis
                .get(at)
                .opcode
                .info(self.analysis.version())?
                .op,
        )
    }

    fn flow(&self, at: InstrIdx) -> Flow {
        let info = self.analysis.get(at).opcode.info(self.analysis.version());
        info.map_or(Flow::Next, |info| info.flow)
    }

    /// Goes every way from a site.
    fn ways(&self, site: u32, planned: &PlanSite) -> Result<(), Violation> {
        let mut ways = Vec::new();
        let start = Way {
            at: InstrIdx(0),
            symbols: Symbols::default(),
            first: true,
        };
        match planned.place {
            Place::Before(at) => ways.push(Way { at, ..start }),
            Place::After(at) => {
                let at = InstrIdx(at.0 + 1);
                if self.plan.at(Place::Before(at)).is_none() {
                    ways.push(Way { at, ..start });
                }
            }
        }
        let mut reached = FxHashSet::default();
        let mut sites = FxHashSet::default();
        let mut left = false;
        while let Some(way) = ways.pop() {
            let at = way.at;
            if !reached.insert(at) {
                return Err(Violation::Ambiguous { site, at: at.0 });
            }
            if matches!(self.flow(at), Flow::Return | Flow::Yield)
                && std::mem::replace(&mut left, true)
            {
                return Err(Violation::TwoExits { site, at: at.0 });
            }
            let told = self.before(site, &way)?;
            let flow = self.flow(at);
            if let Some(target) = self.analysis.target(at) {
                let symbols = self.execute(site, &way, true, told)?;
                let way = self.next(site, &way, target, symbols, None, &mut sites)?;
                ways.extend(way);
            }
            if matches!(flow, Flow::Next | Flow::Conditional | Flow::Yield) {
                let symbols = self.execute(site, &way, false, told)?;
                let next = InstrIdx(at.0 + 1);
                let way = self.next(site, &way, next, symbols, Some(at), &mut sites)?;
                ways.extend(way);
            }
        }
        Ok(())
    }

    /// Checks what must hold before an instruction; the symbol that its direction tells.
    fn before(&self, site: u32, way: &Way) -> Result<Option<u32>, Violation> {
        let (version, at) = (self.analysis.version(), way.at);
        let instruction = self.analysis.get(at);
        let Some(nature) = nature(version, instruction.opcode, instruction.arg) else {
            return Ok(None);
        };
        let depth = self.analysis.depth(at).unwrap_or(0);
        let top = (self.locals.slots + depth).wrapping_sub(1);
        let told = nature.jumps_if.and_then(|_| way.symbols.get(&top).copied());
        let is_bool = told.is_some_and(|told| version.jumps_on_bools() || told & BOOL != 0);
        let told = told.filter(|_| is_bool);
        let noted: FxHashSet<u32> = self
            .plan
            .pending(at)
            .iter()
            .map(|&slot| pending_before(self.analysis, self.locals, at, slot))
            .filter_map(|slot| way.symbols.get(&slot).copied())
            .collect();
        let is_noted = |symbol: &u32| noted.contains(symbol) || Some(*symbol) == told;
        // A frame that is in a RESUME has not told of itself yet; what was sent to it is all that is pending.
        let is_between = is_call_part(self.analysis, at.0) || self.op(at) == Some(Op::Resume);
        if !is_between && !way.symbols.values().all(is_noted) {
            return Err(Violation::Pending { site, at: at.0 });
        }
        if nature.touches.count > 0 && !way.first && !is_call_part(self.analysis, at.0) {
            return Err(Violation::Untouched { site, at: at.0 });
        }
        let leaves = matches!(self.flow(at), Flow::Return | Flow::Yield);
        if leaves && !way.symbols.is_empty() {
            return Err(Violation::Unseen { site, at: at.0 });
        }
        Ok(told)
    }

    /// The values not looked at after an instruction.
    fn execute(
        &self,
        site: u32,
        way: &Way,
        jump: bool,
        told: Option<u32>,
    ) -> Result<Symbols, Violation> {
        let (version, at) = (self.analysis.version(), way.at);
        let instruction = self.analysis.get(at);
        let (opcode, arg) = (instruction.opcode, instruction.arg);
        let Some(effect) = self.plan.effect(version, opcode, arg, jump) else {
            return Ok(Symbols::default());
        };
        let depth = self.analysis.depth(at).unwrap_or(0);
        let base = self.locals.slots;
        let mut symbols = way.symbols.clone();
        symbols.retain(|_, symbol| Some(*symbol) != told);
        let before = symbols.clone();
        let mut made = at.0 * 2 * (MOST_PUSHES + 1);
        let mut value = |output: Output| match output {
            Output::Below(below) => before.get(&(base + depth - below)).copied(),
            Output::Local(local) => before.get(&local).copied(),
            Output::Bool | Output::Produced => {
                made += 2;
                Some(made | if output == Output::Bool { BOOL } else { 0 })
            }
            Output::Next(_)
            | Output::Constant(_)
            | Output::SmallInt(_)
            | Output::Common(_)
            | Output::Null => None,
        };
        let pushes: Vec<_> = effect.pushes.iter().map(|&output| value(output)).collect();
        let writes: Vec<_> = effect
            .writes
            .iter()
            .map(|&(local, output)| (local, value(output)))
            .collect();
        let mut set = |slot: Slot, symbol: Option<u32>| match symbol {
            Some(symbol) => {
                symbols.insert(slot, symbol);
            }
            None => {
                symbols.remove(&slot);
            }
        };
        let left = base + depth - effect.pops;
        for slot in left..base + depth {
            set(slot, None);
        }
        for (local, symbol) in writes {
            set(local, symbol);
        }
        if effect.swap > 1 {
            let (one, other) = (base + depth - 1, base + depth - effect.swap);
            set(one, before.get(&other).copied());
            set(other, before.get(&one).copied());
        }
        for (slot, symbol) in (left..).zip(pushes) {
            set(slot, symbol);
        }
        let kept: FxHashSet<u32> = symbols.values().copied().collect();
        if before.values().any(|symbol| !kept.contains(symbol)) {
            return Err(Violation::Unseen { site, at: at.0 });
        }
        Ok(symbols)
    }

    /// Goes on to an instruction, or ends at a site before it.
    fn next(
        &self,
        site: u32,
        way: &Way,
        next: InstrIdx,
        symbols: Symbols,
        fallen: Option<InstrIdx>,
        sites: &mut FxHashSet<u32>,
    ) -> Result<Option<Way>, Violation> {
        let after = fallen.and_then(|from| self.plan.at(Place::After(from)));
        let Some(met) = after.or_else(|| self.plan.at(Place::Before(next))) else {
            return Ok(Some(Way {
                at: next,
                symbols,
                first: way.first && is_call_part(self.analysis, next.0),
            }));
        };
        if !sites.insert(met) {
            return Err(Violation::Ambiguous { site, at: next.0 });
        }
        let captures: &SmallVec<[Slot; 4]> = &self.plan.sites[met as usize].captures;
        let seen: FxHashSet<u32> = captures
            .iter()
            .filter_map(|slot| symbols.get(slot).copied())
            .collect();
        if symbols.values().any(|symbol| !seen.contains(symbol)) {
            return Err(Violation::Unseen { site, at: next.0 });
        }
        Ok(None)
    }
}

/// In a symbol: it is a bool.
const BOOL: u32 = 1;
/// So many names for what one instruction makes; with more the names repeat, which only hides a violation.
const MOST_PUSHES: u32 = 255;
