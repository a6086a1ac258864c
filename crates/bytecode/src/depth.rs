//! Depth of the value stack before each instruction.
//!
//! Abstract interpretation: from the first instruction along fall-through and jumps, then from each handler that covers something
//! reached (`Python/flowgraph.c`, `calculate_stackdepth`, goes the same ways). Each instruction is visited once.

use smallvec::SmallVec;

use crate::analysis::{Analysis, NONE, flag};
use crate::error::Error;
use crate::instruction::{Instruction, distance_end};
use crate::opcode::{Facts, Flow};

/// Fills `depths` and the handler-only flags.
pub(crate) fn compute(analysis: &mut Analysis, stack_size: u32) -> Result<(), Error> {
    let count = analysis.instructions.len();
    if count == 0 {
        return Err(Error::Empty);
    }
    let mut flags = std::mem::take(&mut analysis.flags);
    let mut walk = Walk {
        depths: vec![NONE; count],
        flags: &mut flags,
        mark: 0,
        facts: analysis.version.facts(),
        covered: Covered {
            from: 0,
            to: 0,
            entry: None,
        },
        entered: vec![false; analysis.entries.len()],
        handlers: Vec::new(),
        pending: SmallVec::new(),
        stack_size,
        analysis,
    };
    walk.visit(0, 0)?;
    walk.mark = flag::HANDLER_ONLY;
    while let Some(entry) = walk.handlers.pop() {
        let entry = walk.analysis.entries[entry as usize];
        if let Some(handler) = walk.analysis.starts.at_byte(i64::from(entry.target)) {
            walk.visit(handler, entry.handler_depth())?;
        }
    }
    analysis.depths = walk.depths;
    analysis.flags = flags;
    Ok(())
}

struct Walk<'a> {
    analysis: &'a Analysis,
    facts: &'static [Facts; 256],
    depths: Vec<u32>,
    flags: &'a mut [u8],
    /// The flag of what is reached now.
    mark: u8,
    /// The exception-table entry around the instruction that was looked at last.
    covered: Covered,
    /// The exception-table entries that cover a reached instruction.
    entered: Vec<bool>,
    /// Those whose handlers are still to be visited.
    handlers: Vec<u32>,
    /// Reached by a jump, to be gone on from.
    pending: SmallVec<[u32; 16]>,
    stack_size: u32,
}

/// Byte offsets between which all instructions are covered by the same exception-table entry, or by none.
struct Covered {
    from: u32,
    to: u32,
    entry: Option<u32>,
}

impl Covered {
    /// Entries are sorted and do not overlap.
    fn around(analysis: &Analysis, start: u32) -> Self {
        let entries = &analysis.entries;
        let after = entries.partition_point(|entry| entry.start <= start);
        let next = entries.get(after).map_or(u32::MAX, |entry| entry.start);
        match after.checked_sub(1).map(|last| (last, &entries[last])) {
            Some((last, entry)) if start < entry.end => Self {
                from: entry.start,
                to: entry.end,
                entry: Some(last as u32),
            },
            last => Self {
                from: last.map_or(0, |(_, entry)| entry.end),
                to: next,
                entry: None,
            },
        }
    }
}

impl Walk<'_> {
    /// Whether this is the first way to the instruction.
    #[inline]
    fn reach(&mut self, index: u32, depth: u32) -> Result<bool, Error> {
        let known = &mut self.depths[index as usize];
        if *known == depth {
            return Ok(false);
        }
        if *known != NONE || depth > self.stack_size {
            return Err(self.refuse(index, depth));
        }
        *known = depth;
        self.flags[index as usize] |= self.mark;
        Ok(true)
    }

    #[cold]
    fn refuse(&self, index: u32, depth: u32) -> Error {
        let offset = self.analysis.instructions[index as usize].offset;
        let first = self.depths[index as usize];
        if first == NONE {
            Error::StackOverflow {
                offset,
                depth,
                stack_size: self.stack_size,
            }
        } else {
            Error::StackMismatch {
                offset,
                first,
                second: depth,
            }
        }
    }

    /// Notes the handler of what is executed.
    #[inline]
    fn enter(&mut self, start: u32) {
        if self.covered.from <= start && start < self.covered.to {
            return;
        }
        self.covered = Covered::around(self.analysis, start);
        if let Some(entry) = self.covered.entry
            && !std::mem::replace(&mut self.entered[entry as usize], true)
        {
            self.handlers.push(entry);
        }
    }

    /// Goes every way that leads on from an instruction, handlers aside.
    fn visit(&mut self, index: u32, depth: u32) -> Result<(), Error> {
        if self.reach(index, depth)? {
            self.pending.push(index);
        }
        while let Some(index) = self.pending.pop() {
            self.go_on(index)?;
        }
        Ok(())
    }

    /// Goes on from a reached instruction until the way ends or meets another.
    fn go_on(&mut self, mut index: u32) -> Result<(), Error> {
        loop {
            let instruction = &self.analysis.instructions[index as usize];
            let depth = self.depths[index as usize];
            self.enter(instruction.start);
            let facts = &self.facts[usize::from(instruction.opcode.0)];
            let (next, jump) = match facts.effects(instruction.arg) {
                Some(effects) => effects,
                None => self.effects(instruction),
            };
            if facts.jumps() {
                let target = distance_end(instruction, facts.reference)
                    .and_then(|target| self.analysis.starts.at_byte(target));
                if let Some(target) = target
                    && self.reach(target, after(instruction, depth, jump)?)?
                {
                    self.pending.push(target);
                }
            }
            let next = after(instruction, depth, next)?;
            if !matches!(facts.flow, Flow::Next | Flow::Conditional | Flow::Yield) {
                return Ok(());
            }
            index += 1;
            if index as usize == self.depths.len() {
                return Err(Error::FallsOffEnd {
                    offset: instruction.offset,
                });
            }
            if !self.reach(index, next)? {
                return Ok(());
            }
        }
    }

    /// Of going on and of jumping.
    fn effects(&self, instruction: &Instruction) -> (i64, i64) {
        let info = instruction.opcode.info(self.analysis.version);
        info.map_or((0, 0), |info| {
            let effect = info.effect;
            (
                effect.next.of(instruction.arg).into(),
                effect.jump.of(instruction.arg).into(),
            )
        })
    }
}

/// A depth that is beyond all bounds is for [`Walk::reach`] to refuse.
#[inline]
fn after(instruction: &Instruction, depth: u32, effect: i64) -> Result<u32, Error> {
    let after = (i64::from(depth) + effect).min(i64::from(NONE - 1));
    u32::try_from(after).map_err(|_| Error::StackUnderflow {
        offset: instruction.offset,
        depth,
    })
}
