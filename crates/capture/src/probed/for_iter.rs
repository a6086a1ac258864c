//! 3.12+: `FOR_ITER` is specialised while lines are told of where it would be without probes, and nowhere else.
//!
//! When a generator ends a `for` loop, a specialised `FOR_ITER` executes the `END_FOR` behind the loop, which tells trace functions and tools
//! of a `StopIteration` then (`INSTRUMENTED_END_FOR`); one that is not specialised jumps over it. The interpreter keeps an instruction with
//! which a line begins, or that is jumped to, from being specialised: it takes the specialisation back when it puts `INSTRUMENTED_LINE` in its
//! place, and that pauses its counter each time (`Python/instrumentation.c`, `Python/bytecodes.c`). Where a probe stands before a
//! `FOR_ITER`, `INSTRUMENTED_LINE` is in the place of the probe's first unit. So it is done here, when something is told.

use debugop_bytecode::{InstrIdx, Op};
use pyo3::Bound;
use pyo3::types::PyCode;

use super::ProbedCode;
use super::silence::{Live, opcode_of};
use crate::layout::{BACKOFF_BITS, OPCODES, VERSION};

/// A `FOR_ITER` behind a probe.
pub(super) struct ForIter {
    /// The probe's first code unit in the copy.
    probe: usize,
    /// Its opcode's.
    at: usize,
}

impl ProbedCode {
    /// Keeps each `FOR_ITER` of `copy` whose line event a probe has from being specialised.
    pub(crate) fn keep_general(&self, copy: &Bound<'_, PyCode>) {
        let live = Live::of(copy);
        let general = opcode_of(Op::ForIter);
        for found in self.for_iters() {
            if Some(live.get(found.probe)[0]) != OPCODES.instrumented_line {
                continue;
            }
            let [opcode, argument] = live.get(found.at);
            if Some(opcode) == OPCODES.for_iter_gen {
                live.set(found.at, [general, argument]);
            } else if opcode != general {
                continue;
            }
            // The first unit behind it, its cache, is the counter: it specialises when the count is 0, and otherwise counts down. As
            // not every line is told of, it gets the largest.
            let counter = u16::from_ne_bytes(live.get(found.at + 1)) | u16::MAX << BACKOFF_BITS;
            live.set(found.at + 1, counter.to_ne_bytes());
        }
    }

    fn for_iters(&self) -> &[ForIter] {
        if let Some(found) = self.for_iters.get() {
            return found;
        }
        // As `analyse_again`.
        let found = self.find_for_iters();
        self.for_iters.get_or_init(|| found)
    }

    fn find_for_iters(&self) -> Box<[ForIter]> {
        let analysis = self.analysis();
        let find = |index: u32| {
            let instruction = analysis.get(InstrIdx(index));
            // Where there are prefixes, a line begins with the first of them.
            if Some(instruction.opcode) != Op::ForIter.opcode(VERSION)
                || instruction.start != instruction.offset
            {
                return None;
            }
            let probe = self.copied_landing(instruction.offset)?;
            let at = self.copied_opcode(instruction.offset)?;
            // Without a probe there are prefixes at most, and code is not so long that it has jumps with three (`MAX_CODE`).
            let has_probe = at - probe >= 3 * 2;
            has_probe.then_some(ForIter {
                probe: probe as usize / 2,
                at: at as usize / 2,
            })
        };
        (0..analysis.instructions().len() as u32)
            .filter_map(find)
            .collect()
    }
}
