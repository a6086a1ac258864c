//! Offsets in the probed copy and in the original, one from the other.

use debugop_bytecode::InstrIdx;
use debugop_recording::stream::Progress;

use super::ProbedCode;

impl ProbedCode {
    /// The offset in the original of what the probed copy has at byte offset `new`
    /// ([`OffsetMap::covering`](debugop_bytecode::OffsetMap::covering)).
    pub(crate) fn original_offset(&self, new: u32) -> Option<u32> {
        match self.map() {
            Some(map) => map.covering(new),
            None => Some(new),
        }
    }

    /// How far a frame is that stands at byte `new` of the probed copy with the instruction that this belongs to. It is in a probe only while
    /// something is told of the probe's own instructions, a trace function of a line for one.
    pub(crate) fn progress(&self, new: u32) -> Progress {
        let before = self
            .original_offset(new)
            .and_then(|original| Some((original, self.covering(original)?)))
            .and_then(|(original, at)| {
                let instruction = self.analysis().get(at);
                let begins = self.copied_opcode(original)?;
                Some(begins.checked_sub(instruction.offset - instruction.start)?.checked_sub(new)?)
            });
        match before {
            None | Some(0) => Progress::Executing,
            // The last unit of a probe, `POP_TOP`.
            Some(2) => Progress::Ready,
            Some(_) => Progress::Arrived,
        }
    }

    /// What `f_lasti` and `tb_lasti` would say without probes where they say `new`: as
    /// [`original_offset`](Self::original_offset), and within an instruction's caches the same unit of them. `None` in what is appended to the
    /// copy.
    pub(crate) fn shown_offset(&self, new: u32) -> Option<u32> {
        let original = self.original_offset(new)?;
        let instruction = &self.analysis().instructions()[self.covering(original)?.0 as usize];
        let copied = self.copied_opcode(original)?;
        let within = new.saturating_sub(copied);
        Some(if within < instruction.end() - original {
            original + within
        } else {
            original
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
    pub(super) fn copied_opcode(&self, original: u32) -> Option<u32> {
        match self.map() {
            Some(map) => map.to_new(original),
            None => Some(original),
        }
    }
}
