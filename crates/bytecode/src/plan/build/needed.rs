//! Where a site is needed before an instruction.

use super::{Builder, State, Symbol, bit};
use crate::analysis::{InstrIdx, flag};
use crate::effect::Class;
use crate::insert::Place;
use crate::opcode::{Flow, Op};
use crate::plan::{PlanError, SiteKind, place_between};
use crate::sites::{Forbidden, forbidden, is_call_part};
use crate::version::Version;

impl Builder<'_> {
    /// Whether a site is needed before an instruction, and puts it there.
    pub(super) fn site_before(&mut self, index: u32, state: &mut State) -> Result<(), PlanError> {
        // What belongs to a call is looked at before its first part, if control comes that way.
        let reached = flag::JUMP_TARGET | flag::HANDLER;
        if is_call_part(self.analysis, index) && !self.analysis.has(InstrIdx(index), reached) {
            return Ok(());
        }
        let mut last = index;
        while is_call_part(self.analysis, last + 1) {
            last += 1;
        }
        let touches = self.nature(last).touches;
        if touches.count == 0 && !self.is_needed(last, state) {
            return Ok(());
        }
        let place = self
            .place_before(index)
            .ok_or_else(|| self.no_place(index))?;
        self.put(place, SiteKind::Step, state);
        let lowest = self.below(last, touches.below);
        if let Some(site) = self.sites.get_mut(&place.order()) {
            for slot in lowest..lowest + touches.count.min(8) {
                site.touches.push(slot);
            }
        }
        Ok(())
    }

    fn place_before(&self, index: u32) -> Option<Place> {
        let here = InstrIdx(index);
        let place = Place::Before(here);
        if forbidden(self.analysis, place).is_none() {
            return Some(place);
        }
        let shared = self.analysis.has(here, flag::JUMP_TARGET | flag::HANDLER);
        let before = InstrIdx(index.checked_sub(1).filter(|_| !shared)?);
        place_between(self.analysis, before)
    }

    fn is_needed(&self, index: u32, state: &State) -> bool {
        let here = InstrIdx(index);
        let class = self.class(index, state);
        if self.eager && class >= Class::Raises && !state.pending.is_empty() {
            return true;
        }
        if self.eager && class == Class::Opaque && state.touched {
            return true;
        }
        if self.reraises(index) || self.delegated.contains(&index) {
            return true;
        }
        let flow = self.flow(index);
        if matches!(flow, Flow::Return | Flow::Yield) {
            let known = |label| self.leaving.contains(label);
            if !state.pending.is_empty() || state.origins.iter().any(known) {
                return true;
            }
        }
        if self.loses(index, state) {
            return true;
        }
        let Some(target) = self.analysis.target(here) else {
            return false;
        };
        if target <= here {
            let label = self.block_labels[here.usize()];
            return state.is_outstanding() || state.origins[..] != [label];
        }
        // Beyond a jump that depends on a value there is no place for a site of its own.
        self.conflicts(target.0, state) || self.is_closed(target.0)
    }

    /// Whether an instruction raises again what has been raised before. That adds nothing to the traceback, so nobody could tell later
    /// which instruction it was.
    fn reraises(&self, index: u32) -> bool {
        match self.analysis.op(index) {
            Some(Op::Reraise | Op::EndAsyncFor | Op::CleanupThrow) => true,
            Some(Op::RaiseVarargs) => self.analysis.instructions[index as usize].arg == 0,
            _ => false,
        }
    }

    /// Whether control falls to an instruction that jumps lead to as well, with no place for a site on the way: at the end of a `for`
    /// loop. Then the others have one.
    pub(super) fn is_closed(&self, target: u32) -> bool {
        let before = InstrIdx(target - 1);
        let reason = forbidden(self.analysis, Place::After(before));
        reason == Some(Forbidden::ExhaustedFor)
    }

    /// The class of an instruction. On 3.11 and 3.12 jumps call what makes a bool of their operand, on 3.11 a local may be unbound.
    fn class(&self, index: u32, state: &State) -> Class {
        let nature = self.nature(index);
        let instruction = &self.analysis.instructions[index as usize];
        let top = self.below(index, 1);
        if nature.jumps_if.is_some() && state.symbol(top).is_some_and(|symbol| symbol.bool) {
            return Class::Quiet;
        }
        let bound = |local| bit(local) & !state.unbound != 0;
        match self.analysis.op(index) {
            Some(Op::LoadFast | Op::DeleteFast) if bound(instruction.arg) => Class::Quiet,
            _ => nature.class,
        }
    }

    /// Whether an instruction, which does not need a site otherwise, would lose a value nobody has looked at.
    fn loses(&self, index: u32, state: &State) -> bool {
        if state.pending.is_empty() {
            return false;
        }
        let known = self.told(index, state);
        let loses = |jump: bool| {
            let mut after = state.clone();
            self.apply(index, jump, &mut after, None);
            let kept = |symbol: &Symbol| after.pending.iter().any(|pending| pending.1 == *symbol);
            let mut symbols = state.pending.iter().map(|pending| pending.1);
            symbols.any(|symbol| !kept(&symbol) && Some(symbol) != known)
        };
        if loses(false) {
            return true;
        }
        if self.eager || self.analysis.target(InstrIdx(index)).is_none() {
            return false;
        }
        // At the end of a loop nothing may stand where the iterator goes.
        let top = self.below(index, 1);
        let iterator = top.saturating_sub(u32::from(self.analysis.version >= Version::V3_15));
        loses(true)
            || self.analysis.op(index) == Some(Op::ForIter)
                && (iterator..=top).any(|slot| state.symbol(slot).is_some())
    }
}
