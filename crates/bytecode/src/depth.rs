//! Depth of the value stack before each instruction.
//!
//! Abstract interpretation: from the first instruction along fall-through and jumps, then from each handler that covers something
//! reached (`Python/flowgraph.c`, `calculate_stackdepth`, goes the same ways). Each instruction is visited once.

use crate::analysis::{Analysis, NONE, flag};
use crate::error::Error;
use crate::opcode::Flow;

/// Fills `depths` and the handler-only flags.
pub(crate) fn compute(analysis: &mut Analysis, stack_size: u32) -> Result<(), Error> {
    let count = analysis.instructions.len();
    if count == 0 {
        return Err(Error::Empty);
    }
    let mut walk = Walk {
        depths: vec![NONE; count],
        entry_of: entries_by_instruction(analysis),
        entered: vec![false; analysis.entries.len()],
        handlers: Vec::new(),
        pending: Vec::new(),
        targets: targets(analysis),
        stack_size,
        analysis,
    };
    walk.reach(0, 0)?;
    walk.drain()?;
    let by_flow = walk.depths.clone();
    while let Some(entry) = walk.handlers.pop() {
        let entry = walk.analysis.entries[entry as usize];
        let handler = walk.analysis.owners[entry.target as usize / 2];
        walk.reach(handler, entry.handler_depth())?;
        walk.drain()?;
    }
    let depths = walk.depths;
    for (flags, (&all, &flow)) in analysis.flags.iter_mut().zip(depths.iter().zip(&by_flow)) {
        if all != NONE && flow == NONE {
            *flags |= flag::HANDLER_ONLY;
        }
    }
    analysis.depths = depths;
    Ok(())
}

struct Walk<'a> {
    analysis: &'a Analysis,
    depths: Vec<u32>,
    /// For every instruction, the exception-table entry that covers it.
    entry_of: Vec<u32>,
    entered: Vec<bool>,
    /// Entries that cover a reached instruction and whose handlers are still to be visited.
    handlers: Vec<u32>,
    pending: Vec<u32>,
    targets: Vec<u32>,
    stack_size: u32,
}

impl Walk<'_> {
    fn reach(&mut self, index: u32, depth: u32) -> Result<(), Error> {
        let known = &mut self.depths[index as usize];
        if *known == depth {
            return Ok(());
        }
        let offset = self.analysis.instructions[index as usize].offset;
        if *known != NONE {
            return Err(Error::StackMismatch {
                offset,
                first: *known,
                second: depth,
            });
        }
        if depth > self.stack_size {
            return Err(Error::StackOverflow {
                offset,
                depth,
                stack_size: self.stack_size,
            });
        }
        *known = depth;
        self.pending.push(index);
        let entry = self.entry_of[index as usize];
        if entry != NONE && !std::mem::replace(&mut self.entered[entry as usize], true) {
            self.handlers.push(entry);
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<(), Error> {
        while let Some(mut index) = self.pending.pop() {
            // Follows the fall-through in place; `pending` holds only what jumps lead to.
            loop {
                let instruction = self.analysis.instructions[index as usize];
                let depth = self.depths[index as usize];
                let Some(info) = instruction.opcode.info(self.analysis.version) else {
                    break;
                };
                let after = |effect: i32| {
                    u32::try_from(i64::from(depth) + i64::from(effect)).map_err(|_| {
                        Error::StackUnderflow {
                            offset: instruction.offset,
                            depth,
                        }
                    })
                };
                if matches!(info.flow, Flow::Jump | Flow::Conditional) {
                    let target = self.targets[index as usize];
                    self.reach(target, after(info.effect.jump.of(instruction.arg))?)?;
                }
                let next = after(info.effect.next.of(instruction.arg))?;
                if !matches!(info.flow, Flow::Next | Flow::Conditional | Flow::Yield) {
                    break;
                }
                if index as usize + 1 == self.depths.len() {
                    return Err(Error::FallsOffEnd {
                        offset: instruction.offset,
                    });
                }
                index += 1;
                let before = self.pending.len();
                self.reach(index, next)?;
                if self.pending.len() == before {
                    break;
                }
                self.pending.pop();
            }
        }
        Ok(())
    }
}

fn targets(analysis: &Analysis) -> Vec<u32> {
    let mut targets = vec![NONE; analysis.instructions.len()];
    for &(from, to) in &analysis.references {
        targets[from as usize] = to;
    }
    targets
}

/// Entries are sorted and do not overlap, so one pass over both lists suffices.
fn entries_by_instruction(analysis: &Analysis) -> Vec<u32> {
    let mut entry_of = vec![NONE; analysis.instructions.len()];
    for (number, entry) in analysis.entries.iter().enumerate() {
        if entry.start == entry.end {
            continue;
        }
        let first = analysis.owners[entry.start as usize / 2] as usize;
        let last = analysis.owners[entry.end as usize / 2 - 1] as usize;
        entry_of[first..=last].fill(number as u32);
    }
    entry_of
}
