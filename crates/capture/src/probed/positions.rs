//! Offsets in the probed copy and in the original, one from the other.

use debugop_bytecode::{InstrIdx, Op};
use pyo3::Bound;
use pyo3::types::PyCode;

use super::ProbedCode;
use super::silence::{Live, opcode_of};

impl ProbedCode {
    /// The offset in the original of what the probed copy has at byte offset `new`
    /// ([`OffsetMap::covering`](debugop_bytecode::OffsetMap::covering)).
    pub(crate) fn original_offset(&self, new: u32) -> Option<u32> {
        match self.map() {
            Some(map) => map.covering(new),
            None => Some(new),
        }
    }

    /// The unit of the original to which a frame has come that stands at byte `new` of the probed copy, in a probe that has not fired yet. It stands
    /// there only while a trace function or the like is told of the probe's own instructions. `None` where an instruction is being executed, or is
    /// as good as that: its probe has fired.
    pub(crate) fn arrived(&self, new: u32) -> Option<u32> {
        let original = self.original_offset(new)?;
        let at = self.covering(original)?;
        let instruction = self.analysis().get(at);
        let opcode = self.copied_opcode(original)?;
        let first = opcode.checked_sub(instruction.offset - instruction.start)?;
        // The last unit of a probe is a `POP_TOP`: it has fired.
        if new < first {
            return (new + 2 != first).then_some(original / 2);
        }
        let next = self.analysis().instructions().get(at.0 as usize + 1)?;
        let behind = new >= opcode + (instruction.end() - instruction.offset);
        let fired = behind && self.map()?.to_landing(next.offset) == Some(new + 2);
        fired.then_some(next.offset / 2)
    }

    /// What `f_lasti` and `tb_lasti` would say without probes where they say `new`: as
    /// [`original_offset`](Self::original_offset), and within an instruction's caches the same unit of them. `None` in what is appended to the
    /// copy.
    pub(crate) fn shown_offset(&self, new: u32) -> Option<u32> {
        let original = self.original_offset(new)?;
        let index = self.covering(original)?;
        let instruction = self.analysis().get(index);
        let copied = self.copied_opcode(original)?;
        if new < copied {
            // What is told of at the first unit of a probe is told of at the first prefix otherwise.
            let is_first = || match index.0.checked_sub(1) {
                None => new == 0,
                Some(before) => {
                    let before = self.analysis().get(InstrIdx(before));
                    let copied = self.copied_opcode(before.offset);
                    copied.is_some_and(|copied| new == copied + (before.end() - before.offset))
                }
            };
            return match self.original_unit(new) {
                Some(unit) => Some(unit),
                None if is_first() => Some(instruction.start),
                None => Some(original),
            };
        }
        let within = new - copied;
        let behind = instruction.end() - original;
        // The same of a probe behind an instruction, which is told of as part of that.
        let next = || {
            let next = self.analysis().instructions().get(index.0 as usize + 1);
            next.filter(|_| within == behind).map(|next| next.start)
        };
        Some(match within < behind {
            true => original + within,
            false => next().unwrap_or(original),
        })
    }

    /// The way back: where the unit at `original` is in the probed copy; `None` past the end.
    pub(crate) fn copied_offset(&self, original: u32) -> Option<u32> {
        let instruction = &self.analysis().instructions()[self.covering(original)?.0 as usize];
        if original >= instruction.end() {
            return None;
        }
        let copied = self.copied_opcode(instruction.offset)?;
        Some(copied + original.saturating_sub(instruction.offset))
    }

    /// The offset in the original of the unit at `new`, an opcode's or that of one of its `EXTENDED_ARG`s; `None` for what has been inserted.
    pub(crate) fn original_unit(&self, new: u32) -> Option<u32> {
        let original = self.original_offset(new)?;
        let instruction = &self.analysis().instructions()[self.covering(original)?.0 as usize];
        let before = self.copied_opcode(original)?.checked_sub(new)?;
        (before <= original - instruction.start).then(|| original - before)
    }

    /// Whether an `opcode` event at byte `new` of `copy` is one of the original's. 3.12+ has one for each unit; 3.11 one for an instruction and its
    /// prefixes, of which the copy may have more, at the first.
    pub(crate) fn tells_opcode(&self, copy: &Bound<'_, PyCode>, new: u32) -> bool {
        if cfg!(Py_3_12) {
            return self.original_unit(new).is_some();
        }
        let live = Live::of(copy);
        let prefixes = (new as usize / 2..)
            .take_while(|at| {
                live.try_get(*at)
                    .is_some_and(|unit| unit[0] == opcode_of(Op::ExtendedArg))
            })
            .count();
        self.original_unit(new + 2 * prefixes as u32).is_some()
    }

    /// The instruction that what observed code has at byte `new` belongs to: its prefixes and caches, and a breakpoint before it.
    pub(crate) fn observed_at(&self, new: u32) -> Option<InstrIdx> {
        self.covering(self.original_offset(new)?)
    }

    /// The instruction of observed code whose first unit, prefix or not, is at byte `new`.
    pub(crate) fn observed_from(&self, new: u32) -> Option<InstrIdx> {
        if self.begins.is_empty() {
            return self.analysis().at_start(new);
        }
        let found = self.begins.binary_search_by_key(&new, |begin| begin.0);
        Some(self.begins[found.ok()?].1)
    }

    /// The instruction that the code unit at byte `offset` of the original belongs to, its prefixes and caches included.
    pub(crate) fn covering(&self, offset: u32) -> Option<InstrIdx> {
        let instructions = self.analysis().instructions();
        let after = instructions.partition_point(|one| one.start <= offset);
        Some(InstrIdx(u32::try_from(after.checked_sub(1)?).ok()?))
    }

    /// Where the opcode at `original` is in the probed copy.
    pub(crate) fn copied_opcode(&self, original: u32) -> Option<u32> {
        match self.map() {
            Some(map) => map.to_new(original),
            None => Some(original),
        }
    }

    /// Where a jump to the original instruction at this offset lands in the copy: at what is inserted before it, if anything is.
    #[cfg(Py_3_12)]
    pub(super) fn copied_landing(&self, original: u32) -> Option<u32> {
        match self.map() {
            Some(map) => map.to_landing(original),
            None => Some(original),
        }
    }
}
