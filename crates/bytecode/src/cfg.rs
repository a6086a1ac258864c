//! Basic blocks and the edges between them.

use smallvec::SmallVec;

use crate::analysis::{Analysis, InstrIdx, flag};
use crate::opcode::Flow;

/// Index of a basic block in its code object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockIdx(pub u32);

/// Instructions that are entered only at the first and left only after the last, exceptions aside.
///
/// An exception-table range starts and ends blocks too, so a block has one handler or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The first instruction.
    pub first: InstrIdx,
    /// Past the last instruction.
    pub end: InstrIdx,
    /// Where control goes from the last instruction: the fall-through first, then the jump.
    pub successors: SmallVec<[BlockIdx; 2]>,
    /// Where an exception raised in the block is handled.
    pub handler: Option<BlockIdx>,
}

pub(crate) fn blocks(analysis: &Analysis) -> Vec<Block> {
    let count = analysis.instructions.len();
    let mut leads = vec![false; count + 1];
    leads[0] = true;
    leads[count] = true;
    for (index, flags) in analysis.flags.iter().enumerate() {
        leads[index] |= flags & (flag::JUMP_TARGET | flag::HANDLER) != 0;
        let flow = analysis
            .info(index as u32)
            .map_or(Flow::Next, |info| info.flow);
        leads[index + 1] |= flow != Flow::Next;
    }
    let mut mark = |offset: u32| {
        if let Some(index) = analysis.at_start(offset) {
            leads[index.usize()] = true;
        }
    };
    for entry in &analysis.entries {
        mark(entry.start);
        mark(entry.end);
    }

    let mut block_of = vec![0; count];
    let mut blocks = 0;
    for index in 0..count {
        blocks += u32::from(leads[index]);
        block_of[index] = blocks - 1;
    }
    let block = |index: InstrIdx| BlockIdx(block_of[index.usize()]);
    let starts: Vec<u32> = (0..=count as u32)
        .filter(|&index| leads[index as usize])
        .collect();
    starts
        .windows(2)
        .map(|bounds| {
            let (first, end) = (InstrIdx(bounds[0]), InstrIdx(bounds[1]));
            let last = InstrIdx(end.0 - 1);
            let flow = analysis.info(last.0).map_or(Flow::Next, |info| info.flow);
            let mut successors = SmallVec::new();
            if matches!(flow, Flow::Next | Flow::Conditional | Flow::Yield) && end.usize() < count {
                successors.push(block(end));
            }
            successors.extend(analysis.target(last).map(block));
            let handler = analysis
                .exception_entry(first)
                .and_then(|entry| analysis.at_start(entry.target))
                .map(block);
            Block {
                first,
                end,
                successors,
                handler,
            }
        })
        .collect()
}
