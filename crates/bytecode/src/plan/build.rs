//! Plans in one pass over the instructions, in their order.
//!
//! What is known on the way to an instruction ([`State`]): the sites from which it is reached without passing another one (*origins*),
//! the slots whose values are still to be looked at (*pending*), and whether an object may have changed unseen. Where ways meet, origins
//! must be disjoint, or a site is put on one of them; so from each site there is one way only. A backward jump has a site in its own
//! basic block, whose name is known before the pass gets there: so what its target is reached from is complete when the pass comes to it.

mod needed;

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::{SmallVec, smallvec};

use super::{
    LAST_EAGER_VERSION, LAST_LOOKING_AT_COMMON_VERSION, LAST_STARTING_AT_LINE_VERSION, Locals,
    Plan, PlanError, PlanSite, SiteKind, Slot, place_between,
};
use crate::analysis::{Analysis, InstrIdx, flag};
use crate::effect::{Effect, Nature, Output, nature};
use crate::insert::Place;
use crate::opcode::{Flow, Op};
use crate::sites::forbidden;
use crate::version::Version;

/// More origins than this are replaced by a site where ways meet.
const MANY_ORIGINS: usize = 8;
/// Where no site may stand, more are followed, up to so many.
const MOST_ORIGINS: usize = 64;
/// More values than this are looked at as soon as they are there.
const MANY_PENDING: usize = 8;

/// Names a site, or all sites of a basic block that ends with a backward jump.
type Label = u32;

/// A value that is still to be looked at. Slots with the same name hold the same value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Symbol {
    name: u32,
    /// It is `True` or `False`.
    bool: bool,
}

/// What is known on the way to an instruction.
#[derive(Clone, Debug, Default)]
struct State {
    origins: SmallVec<[Label; 4]>,
    pending: SmallVec<[(Slot, Symbol); 4]>,
    /// In plans that are [eager](Builder::eager): since the last site an instruction may have changed an object.
    touched: bool,
    /// Of the first 64 locals, those that may be unbound.
    unbound: u64,
}

impl State {
    fn symbol(&self, slot: Slot) -> Option<Symbol> {
        let found = self.pending.iter().find(|pending| pending.0 == slot);
        found.map(|pending| pending.1)
    }

    fn set(&mut self, slot: Slot, symbol: Option<Symbol>) {
        self.pending.retain(|pending| pending.0 != slot);
        self.pending.extend(symbol.map(|symbol| (slot, symbol)));
    }

    fn is_outstanding(&self) -> bool {
        self.touched || !self.pending.is_empty()
    }
}

struct Builder<'a> {
    analysis: &'a Analysis,
    locals: Locals,
    sites: BTreeMap<u64, PlanSite>,
    /// What leads to an instruction by jumps, and by falling through where it is reached in other ways too.
    reached: FxHashMap<u32, State>,
    /// Targets of backward jumps, with the labels that these have.
    heads: FxHashMap<u32, SmallVec<[Label; 2]>>,
    /// Of each instruction of a block that ends with a backward jump, the label of the block; else `u32::MAX`.
    block_labels: Vec<Label>,
    /// Instructions that are reached in several ways, each with every origin of the ways joined so far.
    joined: FxHashSet<(u32, Label)>,
    /// From where a frame is left or suspended.
    leaving: FxHashSet<Label>,
    /// Handlers that are given the code unit that raised.
    lasti: FxHashSet<u32>,
    /// Where frames go on without a `RESUME`: 3.11, behind a delegation that ends when something is thrown into it (`_gen_throw`,
    /// `Objects/genobject.c`).
    delegated: FxHashSet<u32>,
    /// Locals that some instruction unbinds, of the first 64.
    unbinds: u64,
    next_label: Label,
    next_symbol: u32,
    /// Whether values are looked at before each instruction that may raise, and changed objects before each one that may run anything.
    eager: bool,
    /// Whether the site of a frame's start stands behind the `RESUME`, where no jump comes.
    starts_apart: bool,
    /// Of each instruction what it does where it does not jump, and its nature: asked for several times each.
    known: Vec<(Effect, Nature)>,
    /// What is pending in the middle of instructions, in their order.
    plan: Plan,
}

pub(super) fn build(analysis: &Analysis, locals: &Locals, version: u16) -> Result<Plan, PlanError> {
    let Some(entry) = analysis.entry else {
        return Ok(Plan::default());
    };
    let eager = version <= LAST_EAGER_VERSION;
    let mut builder = Builder {
        analysis,
        locals: *locals,
        sites: BTreeMap::new(),
        reached: FxHashMap::default(),
        heads: FxHashMap::default(),
        block_labels: vec![u32::MAX; analysis.instructions.len()],
        joined: FxHashSet::default(),
        leaving: FxHashSet::default(),
        lasti: FxHashSet::default(),
        delegated: FxHashSet::default(),
        unbinds: 0,
        next_label: 0,
        next_symbol: 0,
        eager,
        starts_apart: version > LAST_STARTING_AT_LINE_VERSION,
        known: Vec::new(),
        plan: Plan {
            looks_at_common: version <= LAST_LOOKING_AT_COMMON_VERSION,
            ..Plan::default()
        },
    };
    let instructions = 0..analysis.instructions.len() as u32;
    let known =
        instructions.map(|index| (builder.effect_of(index, false), builder.nature_of(index)));
    builder.known = known.collect();
    builder.check_locals()?;
    let with_lasti = analysis.entries.iter().filter(|entry| entry.lasti);
    builder.lasti = with_lasti
        .filter_map(|entry| analysis.at_start(entry.target))
        .map(|handler| handler.0)
        .collect();
    builder.check_prefix(entry)?;
    builder.find_backward_jumps();
    if !eager && analysis.version == Version::V3_11 {
        builder.find_delegated();
    }
    builder.run(entry)?;
    let mut plan = builder.plan;
    let mut sites: Vec<PlanSite> = builder.sites.into_values().collect();
    for site in &mut sites {
        site.captures.sort_unstable();
        site.captures.dedup();
    }
    let last = InstrIdx(analysis.instructions.len() as u32 - 1);
    sites.push(PlanSite {
        place: Place::After(last),
        kind: SiteKind::Unwind,
        // The exception; the handler's stack is `[lasti, exception]`.
        captures: smallvec![locals.slots + 1],
        touches: SmallVec::new(),
    });
    plan.sites = sites;
    Ok(plan)
}

impl Builder<'_> {
    /// Refuses locals and stack slots that are not there, and collects those that are unbound.
    fn check_locals(&mut self) -> Result<(), PlanError> {
        let slots = self.locals.slots;
        let mut unbinds = 0;
        for (index, instruction) in self.analysis.instructions.iter().enumerate() {
            let Some(depth) = self.analysis.depth(InstrIdx(index as u32)) else {
                continue;
            };
            let effect = self.effect(index as u32);
            let below = effect.pushes.iter().map(|output| match output {
                Output::Below(below) | Output::Next(below) => *below,
                _ => 0,
            });
            let touched = self.nature(index as u32).touches;
            let deepest = below.max().unwrap_or(0).max(effect.swap).max(effect.pops);
            if deepest > depth || touched.count > 0 && touched.below > depth {
                let offset = instruction.offset;
                return Err(PlanError::Stack { offset });
            }
            let nothing = matches!(self.analysis.op(index as u32), Some(Op::Copy | Op::Swap));
            if nothing && instruction.arg == 0 {
                let offset = instruction.offset;
                return Err(PlanError::Stack { offset });
            }
            let read = effect.pushes.iter().filter_map(|output| match output {
                Output::Local(local) => Some(*local),
                _ => None,
            });
            let all = read.chain(effect.writes.iter().map(|write| write.0));
            if let Some(local) = all.clone().find(|&local| local >= slots) {
                return Err(PlanError::Local {
                    offset: instruction.offset,
                    local,
                    slots,
                });
            }
            for &(local, output) in &effect.writes {
                if output == Output::Null {
                    unbinds |= bit(local);
                }
            }
        }
        self.unbinds = unbinds;
        Ok(())
    }

    /// Refuses code that goes back to before its first `RESUME`.
    fn check_prefix(&self, entry: u32) -> Result<(), PlanError> {
        let jumps = self.analysis.references.iter();
        let mut back = jumps.filter(|&&(from, to)| {
            from >= entry
                && to < entry
                && self.analysis.target(InstrIdx(from)).is_some()
                && self.analysis.depth(InstrIdx(from)).is_some()
        });
        let handlers = self.analysis.entries.iter();
        let mut handlers = handlers
            .filter_map(|range| self.analysis.at_start(range.target))
            .filter(|handler| handler.0 < entry && self.analysis.depth(*handler).is_some());
        let found = back.next().map(|jump| jump.0);
        match found.or_else(|| handlers.next().map(|handler| handler.0)) {
            Some(index) => Err(self.no_place(index)),
            None => Ok(()),
        }
    }

    fn find_backward_jumps(&mut self) {
        let mut end = 0;
        for &(from, to) in &self.analysis.references {
            let jump = InstrIdx(from);
            if to > from || self.analysis.target(jump).is_none() {
                continue;
            }
            if self.analysis.depth(jump).is_none() {
                continue;
            }
            let label = self.next_label;
            self.next_label += 1;
            self.heads.entry(to).or_default().push(label);
            let mut index = from;
            loop {
                self.block_labels[index as usize] = label;
                if index <= end
                    || self
                        .analysis
                        .has(InstrIdx(index), flag::JUMP_TARGET | flag::HANDLER)
                    || self.flow(index - 1) != Flow::Next
                {
                    break;
                }
                index -= 1;
            }
            end = from + 1;
        }
    }

    fn find_delegated(&mut self) {
        for index in 0..self.analysis.instructions.len() as u32 {
            if self.analysis.op(index) == Some(Op::Send)
                && let Some(end) = self.analysis.target(InstrIdx(index))
                && forbidden(self.analysis, Place::Before(end)).is_none()
            {
                self.delegated.insert(end.0);
            }
        }
    }

    fn flow(&self, index: u32) -> Flow {
        self.analysis
            .info(index)
            .map_or(Flow::Next, |info| info.flow)
    }

    /// What an instruction does where it does not jump.
    fn effect(&self, index: u32) -> &Effect {
        &self.known[index as usize].0
    }

    fn nature(&self, index: u32) -> Nature {
        self.known[index as usize].1
    }

    fn effect_of(&self, index: u32, jump: bool) -> Effect {
        let instruction = &self.analysis.instructions[index as usize];
        let found = self.plan.effect(
            self.analysis.version,
            instruction.opcode,
            instruction.arg,
            jump,
        );
        found.unwrap_or_else(|| unreachable!("decoding has made sure that the opcode is defined"))
    }

    fn nature_of(&self, index: u32) -> Nature {
        let instruction = &self.analysis.instructions[index as usize];
        let found = nature(self.analysis.version, instruction.opcode, instruction.arg);
        found.unwrap_or_else(|| unreachable!("decoding has made sure that the opcode is defined"))
    }

    fn offset(&self, index: u32) -> u32 {
        self.analysis.instructions[index as usize].offset
    }

    fn no_place(&self, index: u32) -> PlanError {
        PlanError::NoPlace {
            offset: self.offset(index),
        }
    }

    /// Slot of the stack so many below the top before an instruction.
    fn below(&self, index: u32, below: u32) -> Slot {
        let depth = self.analysis.depth(InstrIdx(index)).unwrap_or(0);
        self.locals.slots + depth.saturating_sub(below)
    }

    /// Puts a site at a place, or uses the one that is there, and brings the state up to date.
    fn put(&mut self, place: Place, kind: SiteKind, state: &mut State) {
        let mut captures: SmallVec<[Slot; 4]> = SmallVec::new();
        let mut seen: SmallVec<[Symbol; 4]> = SmallVec::new();
        state.pending.sort_unstable_by_key(|pending| pending.0);
        for &(slot, symbol) in &state.pending {
            if !seen.contains(&symbol) {
                seen.push(symbol);
                captures.push(slot);
            }
        }
        let site = self.sites.entry(place.order()).or_insert_with(|| PlanSite {
            place,
            kind,
            captures: SmallVec::new(),
            touches: SmallVec::new(),
        });
        for slot in captures {
            if !site.captures.contains(&slot) {
                site.captures.push(slot);
            }
        }
        let label = match place {
            // The way straight to the backward jump at the end of the block.
            Place::Before(at) if self.block_labels[at.usize()] != u32::MAX => {
                self.block_labels[at.usize()]
            }
            _ => {
                self.next_label += 1;
                self.next_label - 1
            }
        };
        state.origins = smallvec![label];
        state.pending.clear();
        state.touched = false;
    }

    fn run(&mut self, entry: u32) -> Result<(), PlanError> {
        let mut current: Option<State> = None;
        let start = State {
            unbound: !self.arguments(),
            ..State::default()
        };
        self.reached.insert(entry, start);
        for index in 0..self.analysis.instructions.len() as u32 {
            let here = InstrIdx(index);
            if self.analysis.depth(here).is_none() {
                current = None;
                continue;
            }
            if index < entry {
                continue;
            }
            // What is reached only from before the first RESUME runs in a frame that nobody has seen start.
            let Some(mut state) = self.arrive(index, current.take())? else {
                return Err(self.no_place(index));
            };
            if self.analysis.op(index) == Some(Op::Resume) {
                self.resume(index, entry, &mut state)?;
                current = self.fall(index, state)?;
                continue;
            }
            self.site_before(index, &mut state)?;
            if !self.eager {
                self.note_pending(index, &state);
            }
            current = self.leave(index, state)?;
        }
        Ok(())
    }

    fn arguments(&self) -> u64 {
        match self.locals.arguments {
            64.. => u64::MAX,
            count => (1 << count) - 1,
        }
    }

    /// The site behind a `RESUME`.
    fn resume(&mut self, index: u32, entry: u32, state: &mut State) -> Result<(), PlanError> {
        let here = InstrIdx(index);
        let after_yield = index > 0 && self.flow(index - 1) == Flow::Yield;
        let kind = match index == entry {
            true => SiteKind::Start,
            false if after_yield => SiteKind::Resume,
            false => return Ok(()),
        };
        let apart = self.starts_apart && kind == SiteKind::Start;
        let apart = apart.then_some(Place::After(here));
        let place = apart
            .filter(|&place| forbidden(self.analysis, place).is_none())
            .or_else(|| place_between(self.analysis, here))
            .ok_or_else(|| self.no_place(index))?;
        self.put(place, kind, state);
        let slots: SmallVec<[Slot; 8]> = if kind == SiteKind::Start {
            let Locals {
                locals,
                slots,
                arguments,
            } = self.locals;
            // A local variable of a module's comprehension may be a cell (3.12 and later).
            let made = self.analysis.instructions[..entry as usize].iter();
            let cells = made
                .filter(|one| {
                    one.opcode.info(self.analysis.version).map(|info| info.op) == Some(Op::MakeCell)
                })
                .map(|one| one.arg)
                .filter(|cell| (arguments..locals).contains(cell));
            let arguments_and_cells = (0..arguments.min(slots)).chain(cells);
            // From 3.15 on a generator expression starts with its iterator on the stack.
            let depth = self.analysis.depth(here).unwrap_or(0);
            arguments_and_cells
                .chain(locals.max(arguments)..slots)
                .chain(slots..slots + depth)
                .collect()
        } else {
            smallvec![self.below(index, 1)]
        };
        if let Some(site) = self.sites.get_mut(&place.order()) {
            site.captures.extend(slots);
        }
        Ok(())
    }

    /// The state before an instruction, of all that leads to it.
    fn arrive(&mut self, index: u32, fallen: Option<State>) -> Result<Option<State>, PlanError> {
        let here = InstrIdx(index);
        let mut state = match (self.reached.remove(&index), fallen) {
            (Some(state), None) | (None, Some(state)) => Some(state),
            (None, None) => None,
            (Some(_), Some(_)) => {
                unreachable!(
                    "what falls to an instruction that is reached in other ways is joined to them"
                )
            }
        };
        if self.analysis.is_handler(here) {
            let mut state = state.unwrap_or_default();
            // Whatever was bound where the exception was raised.
            state.unbound |= !0;
            let place = Place::Before(here);
            if forbidden(self.analysis, place).is_some() {
                return Err(self.no_place(index));
            }
            self.put(place, SiteKind::Handler, &mut state);
            // The exception, and below it where it was raised, if the table asks for that.
            let slots = 1 + u32::from(self.lasti.contains(&index));
            let lowest = self.below(index, slots);
            if let Some(site) = self.sites.get_mut(&place.order()) {
                site.kind = SiteKind::Handler;
                for slot in lowest..lowest + slots {
                    if !site.captures.contains(&slot) {
                        site.captures.push(slot);
                    }
                }
            }
            return Ok(Some(state));
        }
        let Some(labels) = self.heads.get(&index) else {
            return self.few_origins(index, state);
        };
        let state = state.get_or_insert_default();
        state.origins.extend_from_slice(labels);
        state.unbound |= self.unbinds;
        let state = std::mem::take(state);
        self.few_origins(index, Some(state))
    }

    fn few_origins(
        &mut self,
        index: u32,
        state: Option<State>,
    ) -> Result<Option<State>, PlanError> {
        let Some(mut state) = state else {
            return Ok(None);
        };
        if state.origins.len() > MANY_ORIGINS {
            let place = Place::Before(InstrIdx(index));
            if forbidden(self.analysis, place).is_none() {
                self.put(place, SiteKind::Step, &mut state);
            } else if state.origins.len() > MOST_ORIGINS {
                return Err(PlanError::TooManyWays {
                    offset: self.offset(index),
                });
            }
        }
        Ok(Some(state))
    }

    /// Notes where the pending values are in the middle of an instruction: each in a slot that the instruction leaves alone or, where it only
    /// moves the value, in the slot from which it does.
    fn note_pending(&mut self, index: u32, state: &State) {
        if state.pending.is_empty() {
            return;
        }
        let told = self.told(index, state);
        let effect = self.effect(index);
        let depth = self.analysis.depth(InstrIdx(index)).unwrap_or(0);
        let left = (self.locals.slots + depth).saturating_sub(effect.pops);
        let stays = |slot: Slot| {
            let is_written = effect.writes.iter().any(|write| write.0 == slot);
            !is_written && (slot < self.locals.slots || slot < left)
        };
        let mut pending: SmallVec<[(Slot, Symbol); 8]> = state
            .pending
            .iter()
            .copied()
            .filter(|pending| Some(pending.1) != told)
            .collect();
        // A local that is overwritten may hold the same value again, which is on the stack meanwhile.
        let is_lost = |slot: Slot| !stays(slot) && slot < self.locals.slots;
        pending.sort_unstable_by_key(|&(slot, _)| (!stays(slot), is_lost(slot), slot));
        let mut seen: SmallVec<[Symbol; 8]> = SmallVec::new();
        let mut slots: SmallVec<[Slot; 8]> = SmallVec::new();
        for (slot, symbol) in pending {
            if !seen.contains(&symbol) {
                seen.push(symbol);
                slots.push(self.pending_slot(index, slot));
            }
        }
        slots.sort_unstable();
        self.plan.add_pending(InstrIdx(index), slots);
    }

    /// Where the value that is in a slot before an instruction is in the middle of it: [`pending_before`](super::pending_before) the other way round.
    fn pending_slot(&self, index: u32, slot: Slot) -> Slot {
        let instruction = &self.analysis.instructions[index as usize];
        match self.analysis.op(index) {
            Some(Op::StoreFastLoadFast) if slot == self.below(index, 1) => instruction.arg >> 4,
            _ => slot,
        }
    }

    /// The bool that the direction of a jump tells.
    fn told(&self, index: u32, state: &State) -> Option<Symbol> {
        self.nature(index).jumps_if?;
        let symbol = state.symbol(self.below(index, 1))?;
        (symbol.bool || self.analysis.version.jumps_on_bools()).then_some(symbol)
    }

    /// Moves the pending values as the instruction does; with `fresh`, what it makes is pending too.
    fn apply(&self, index: u32, jump: bool, state: &mut State, mut fresh: Option<&mut u32>) {
        let jumps = jump.then(|| self.effect_of(index, true));
        let effect = jumps.as_ref().unwrap_or_else(|| self.effect(index));
        let depth = self.analysis.depth(InstrIdx(index)).unwrap_or(0);
        let top = self.locals.slots + depth;
        let at = |below: u32| top.saturating_sub(below);
        let mut symbol = |state: &State, output: Output| match output {
            Output::Below(below) => state.symbol(at(below)),
            Output::Next(below) if self.eager => state.symbol(at(below)),
            Output::Local(local) => state.symbol(local),
            Output::Bool | Output::Produced => fresh.as_deref_mut().map(|next| {
                *next += 1;
                Symbol {
                    name: *next,
                    bool: output == Output::Bool,
                }
            }),
            // What is there next is another value.
            Output::Next(_)
            | Output::Constant(_)
            | Output::SmallInt(_)
            | Output::Common(_)
            | Output::Null => None,
        };
        let pushes: SmallVec<[Option<Symbol>; 4]> = effect
            .pushes
            .iter()
            .map(|&output| symbol(state, output))
            .collect();
        let writes: SmallVec<[(u32, Option<Symbol>); 2]> = effect
            .writes
            .iter()
            .map(|&(local, output)| (local, symbol(state, output)))
            .collect();
        let left = at(effect.pops);
        state
            .pending
            .retain(|pending| pending.0 < self.locals.slots || pending.0 < left);
        for (local, symbol) in writes {
            state.set(local, symbol);
        }
        if effect.swap > 1 {
            let (one, other) = (at(1), at(effect.swap));
            let (first, second) = (state.symbol(one), state.symbol(other));
            state.set(one, second);
            state.set(other, first);
        }
        for (slot, symbol) in (left..).zip(pushes) {
            if symbol.is_some() {
                state.pending.extend(symbol.map(|symbol| (slot, symbol)));
            }
        }
    }

    /// Goes on from an instruction: to its target, and to the next one.
    fn leave(&mut self, index: u32, mut state: State) -> Result<Option<State>, PlanError> {
        let flow = self.flow(index);
        if matches!(flow, Flow::Return | Flow::Yield) {
            self.leaving.extend(state.origins.iter().copied());
        }
        if let Some(told) = self.told(index, &state) {
            state.pending.retain(|pending| pending.1 != told);
        }
        for &(local, output) in &self.effect(index).writes {
            match output {
                Output::Null => state.unbound |= bit(local),
                _ => state.unbound &= !bit(local),
            }
        }
        let instruction = &self.analysis.instructions[index as usize];
        if self.analysis.op(index) == Some(Op::LoadFast) {
            // It is bound, or an exception was raised.
            state.unbound &= !bit(instruction.arg);
        }
        state.touched |= self.eager && self.nature(index).touches.count > 0;
        let mut next_symbol = self.next_symbol;
        if let Some(target) = self.analysis.target(InstrIdx(index))
            && target.0 > index
        {
            let mut jumped = state.clone();
            self.apply(index, true, &mut jumped, Some(&mut next_symbol));
            self.next_symbol = next_symbol;
            self.join(target.0, jumped);
            next_symbol = self.next_symbol;
        }
        if !matches!(flow, Flow::Next | Flow::Conditional | Flow::Yield) {
            return Ok(None);
        }
        self.apply(index, false, &mut state, Some(&mut next_symbol));
        self.next_symbol = next_symbol;
        self.fall(index, state)
    }

    /// Goes on to the next instruction, with a site on the way where one is needed.
    fn fall(&mut self, index: u32, mut state: State) -> Result<Option<State>, PlanError> {
        let next = index + 1;
        let shared = self
            .analysis
            .has(InstrIdx(next), flag::JUMP_TARGET | flag::HANDLER);
        let needed = shared && self.conflicts(next, &state);
        if needed || state.pending.len() > MANY_PENDING {
            match place_between(self.analysis, InstrIdx(index)) {
                Some(place) => self.put(place, SiteKind::Step, &mut state),
                None if needed || self.eager => return Err(self.no_place(next)),
                None => {}
            }
        }
        if shared {
            self.join(next, state);
            return Ok(None);
        }
        Ok(Some(state))
    }

    /// Whether a way to an instruction that is reached in other ways too needs a site.
    fn conflicts(&self, target: u32, state: &State) -> bool {
        if self.heads.contains_key(&target) && state.is_outstanding() {
            return true;
        }
        let Some(known) = self.reached.get(&target) else {
            return false;
        };
        let joined = |label: &Label| self.joined.contains(&(target, *label));
        known.pending.len() + state.pending.len() > 2 * MANY_PENDING
            || state.origins.iter().any(joined)
    }

    /// Joins a way to the others that lead to an instruction.
    fn join(&mut self, target: u32, state: State) {
        let labels = state.origins.iter().map(|&label| (target, label));
        self.joined.extend(labels);
        let Some(mut known) = self.reached.remove(&target) else {
            self.reached.insert(target, state);
            return;
        };
        let pending = std::mem::take(&mut known.pending);
        known.origins.extend(state.origins.iter().copied());
        known.touched |= state.touched;
        known.unbound |= state.unbound;
        let mut pairs: FxHashMap<(Option<Symbol>, Option<Symbol>), Symbol> = FxHashMap::default();
        for &(slot, _) in pending.iter().chain(&state.pending) {
            if known.symbol(slot).is_some() {
                continue;
            }
            let find = |pending: &[(Slot, Symbol)]| {
                let found = pending.iter().find(|pending| pending.0 == slot);
                found.map(|pending| pending.1)
            };
            let pair = (find(&pending), find(&state.pending));
            let symbol = match pair {
                (Some(one), Some(other)) if one == other => one,
                (one, other) => *pairs.entry(pair).or_insert_with(|| {
                    let is_bool = |symbol: Option<Symbol>| symbol.is_some_and(|symbol| symbol.bool);
                    self.next_symbol += 1;
                    Symbol {
                        name: self.next_symbol,
                        bool: is_bool(one) && is_bool(other),
                    }
                }),
            };
            known.pending.push((slot, symbol));
        }
        self.reached.insert(target, known);
    }
}

fn bit(local: u32) -> u64 {
    1u64.checked_shl(local).unwrap_or(0)
}
