//! Which slots of the value stack hold a value that a program binds to, or gets by, a certain name.
//!
//! A value goes by a name if an instruction stores it under the name (a variable, an attribute, a key that is a literal, a keyword argument) or has
//! loaded it by the name. Both are followed through the instructions that only move values ([`effect`](mod@crate::effect)), over all ways.

use crate::analysis::{Analysis, InstrIdx};
use crate::argument::{Argument, NameUse, argument};
use crate::cfg::Block;
use crate::effect::{Effect, Output, effect};
use crate::opcode::Op;

/// The names that are asked for, as a code object has them.
pub trait Names {
    /// One of `co_names`.
    fn name(&self, index: u32) -> bool;
    /// One of localsplus.
    fn local(&self, index: u32) -> bool;
    /// A string in `co_consts`.
    fn constant(&self, index: u32) -> bool;
    /// The strings of a tuple in `co_consts`; empty if it is none.
    fn constants(&self, index: u32) -> Vec<bool>;
}

/// Slots of the value stack, counted from the bottom, that hold a value of one of `names` before an instruction; in order.
pub fn named_slots(analysis: &Analysis, names: &impl Names) -> Vec<(InstrIdx, u32)> {
    let pass = Pass {
        analysis,
        names,
        blocks: analysis.blocks(),
        constants: Vec::new(),
    };
    pass.run()
}

/// Whether the value in each slot, from the bottom, goes by a name.
type Slots = Vec<bool>;

struct Pass<'a, N> {
    analysis: &'a Analysis,
    names: &'a N,
    blocks: Vec<Block>,
    /// Before each instruction: the slots that hold a constant loaded in the same block, with its index.
    constants: Vec<Vec<(u32, u32)>>,
}

impl<N: Names> Pass<'_, N> {
    fn run(mut self) -> Vec<(InstrIdx, u32)> {
        self.find_constants();
        let count = self.analysis.instructions().len();
        let empty: Vec<Slots> = (0..count)
            .map(|at| vec![false; self.depth(at as u32)])
            .collect();
        let (mut stored, mut loaded) = (empty.clone(), empty);
        while self.backwards(&mut stored) {}
        while self.forwards(&mut loaded) {}
        let mut found = Vec::new();
        for (at, (stored, loaded)) in stored.iter().zip(&loaded).enumerate() {
            for slot in 0..stored.len() {
                if stored[slot] || loaded[slot] {
                    found.push((InstrIdx(at as u32), slot as u32));
                }
            }
        }
        found
    }

    fn depth(&self, at: u32) -> usize {
        self.analysis.depth(InstrIdx(at)).unwrap_or(0) as usize
    }

    fn effect(&self, at: u32, jump: bool) -> Option<Effect> {
        let instruction = self.analysis.get(InstrIdx(at));
        effect(
            self.analysis.version(),
            instruction.opcode,
            instruction.arg,
            jump,
        )
    }

    fn find_constants(&mut self) {
        self.constants = vec![Vec::new(); self.analysis.instructions().len()];
        for block in &self.blocks {
            let mut known: Vec<(u32, u32)> = Vec::new();
            for at in block.first.0..block.end.0 {
                let depth = self.depth(at) as u32;
                let Some(effect) = self.effect(at, false) else {
                    break;
                };
                self.constants[at as usize].clone_from(&known);
                let left = depth.saturating_sub(effect.pops);
                if effect.swap != 0 {
                    let (top, other) = (depth.wrapping_sub(1), depth.wrapping_sub(effect.swap));
                    known.retain(|(slot, _)| *slot != top && *slot != other);
                }
                known.retain(|(slot, _)| *slot < left);
                for (push, output) in effect.pushes.iter().enumerate() {
                    if let Output::Constant(index) = output {
                        known.push((left + push as u32, *index));
                    }
                }
            }
        }
    }

    /// The constant in a slot before an instruction.
    fn constant(&self, at: u32, slot: usize) -> Option<u32> {
        let known = &self.constants[at as usize];
        known
            .iter()
            .find(|(known, _)| *known as usize == slot)
            .map(|(_, index)| *index)
    }

    fn has_key(&self, at: u32, slot: usize) -> bool {
        self.constant(at, slot)
            .is_some_and(|index| self.names.constant(index))
    }

    /// One turn from the ends to the beginnings; whether anything is new.
    fn backwards(&self, before: &mut [Slots]) -> bool {
        let mut news = false;
        for block in self.blocks.iter().rev() {
            let last = block.end.0 - 1;
            for at in (block.first.0..block.end.0).rev() {
                let mut slots = before[at as usize].clone();
                if at < last {
                    self.stored(at, false, &before[at as usize + 1], &mut slots);
                } else {
                    self.stored(at, false, &[], &mut slots);
                    for &next in &block.successors {
                        let first = self.blocks[next.0 as usize].first;
                        let jump = self.analysis.target(InstrIdx(at)) == Some(first);
                        self.stored(at, jump, &before[first.0 as usize], &mut slots);
                    }
                }
                news |= slots != before[at as usize];
                before[at as usize] = slots;
            }
        }
        news
    }

    /// What an instruction stores, and what comes of what it moves.
    fn stored(&self, at: u32, jump: bool, after: &[bool], slots: &mut [bool]) {
        let (Some(effect), depth) = (self.effect(at, jump), slots.len()) else {
            return;
        };
        let mut mark = |below: u32| {
            if let Some(slot) = depth.checked_sub(below as usize)
                && let Some(slot) = slots.get_mut(slot)
            {
                *slot = true;
            }
        };
        for &(local, output) in &effect.writes {
            if let Output::Below(below) = output
                && self.names.local(local)
            {
                mark(below);
            }
        }
        let left = depth.saturating_sub(effect.pops as usize);
        for (push, output) in effect.pushes.iter().enumerate() {
            if let Output::Below(below) = output
                && after.get(left + push) == Some(&true)
            {
                mark(*below);
            }
        }
        for below in self.names_given(at, depth) {
            mark(below);
        }
        for (slot, named) in after.iter().enumerate().take(left) {
            let swap = effect.swap as usize;
            let from = match depth - slot {
                1 if swap > 0 => depth.checked_sub(swap),
                above if above == swap => depth.checked_sub(1),
                _ => Some(slot),
            };
            if *named && let Some(from) = from.and_then(|from| slots.get_mut(from)) {
                *from = true;
            }
        }
    }

    /// Slots, counted from the top (1), to whose values an instruction gives a name.
    fn names_given(&self, at: u32, depth: usize) -> Vec<u32> {
        let analysis = self.analysis;
        let instruction = analysis.get(InstrIdx(at));
        let arg = instruction.arg;
        let key = |below: u32| {
            let slot = depth.checked_sub(below as usize);
            slot.is_some_and(|slot| self.has_key(at, slot))
        };
        // The values of the names in a tuple, the last one `top` below the top.
        let named = |index: Option<u32>, top: u32| {
            let names = index.map_or_else(Vec::new, |index| self.names.constants(index));
            let count = names.len() as u32;
            let wanted = names.into_iter().zip(0..).filter(|(wanted, _)| *wanted);
            wanted.map(|(_, index)| top + count - 1 - index).collect()
        };
        let top = || {
            depth
                .checked_sub(1)
                .and_then(|slot| self.constant(at, slot))
        };
        let one = |wanted: bool, below: u32| if wanted { vec![below] } else { Vec::new() };
        match analysis.op(at) {
            Some(Op::StoreName | Op::StoreGlobal) => one(self.names.name(arg), 1),
            Some(Op::StoreDeref) => one(self.names.local(arg), 1),
            Some(Op::StoreAttr) => one(self.names.name(arg), 2),
            Some(Op::StoreSubscr) => one(key(1), 3),
            Some(Op::MapAdd) => one(key(2), 1),
            Some(Op::KwNames) => named(Some(arg), 1),
            Some(Op::CallKw | Op::BuildConstKeyMap) => named(top(), 2),
            Some(Op::BuildMap) => {
                let keys = (1..=arg).filter(|pair| key(2 * pair));
                keys.map(|pair| 2 * pair - 1).collect()
            }
            _ => Vec::new(),
        }
    }

    /// One turn from the beginnings to the ends; whether anything is new.
    fn forwards(&self, before: &mut [Slots]) -> bool {
        let mut news = false;
        let mut flow = |at: u32, jump: bool, to: u32, before: &mut [Slots]| {
            let after = self.loaded(at, jump, &before[at as usize]);
            for (slot, named) in before[to as usize].iter_mut().zip(after) {
                news |= named && !*slot;
                *slot |= named;
            }
        };
        for block in &self.blocks {
            let last = block.end.0 - 1;
            for at in block.first.0..last {
                flow(at, false, at + 1, before);
            }
            for &next in &block.successors {
                let first = self.blocks[next.0 as usize].first;
                let jump = self.analysis.target(InstrIdx(last)) == Some(first);
                flow(last, jump, first.0, before);
            }
        }
        news
    }

    /// The slots after an instruction.
    fn loaded(&self, at: u32, jump: bool, before: &[bool]) -> Slots {
        let (Some(effect), depth) = (self.effect(at, jump), before.len()) else {
            return Slots::new();
        };
        let mut slots = before.to_vec();
        let swap = effect.swap as usize;
        if swap > 0 && swap <= depth {
            slots.swap(depth - 1, depth - swap);
        }
        slots.truncate(depth.saturating_sub(effect.pops as usize));
        let is_named = self.gets_by_name(at, depth);
        for output in &effect.pushes {
            slots.push(match *output {
                Output::Below(below) => {
                    let slot = depth.checked_sub(below as usize);
                    slot.is_some_and(|slot| before[slot])
                }
                Output::Local(local) => self.names.local(local),
                Output::Produced => is_named,
                _ => false,
            });
        }
        slots
    }

    /// Whether an instruction gets a value by one of the names.
    fn gets_by_name(&self, at: u32, depth: usize) -> bool {
        let analysis = self.analysis;
        let instruction = analysis.get(InstrIdx(at));
        let top_key = || {
            depth
                .checked_sub(1)
                .is_some_and(|slot| self.has_key(at, slot))
        };
        let loads = || analysis.op(at).is_some_and(|op| op != Op::ImportName);
        match argument(analysis.version(), instruction) {
            Argument::Name(index, NameUse::Plain | NameUse::Null) => {
                loads() && self.names.name(index)
            }
            Argument::Free(index) => self.names.local(index),
            Argument::BinaryOp("[]") => top_key(),
            _ => analysis.op(at) == Some(Op::BinarySubscr) && top_key(),
        }
    }
}
