//! Where original instructions are in code with insertions, and the way back.

/// Translates byte offsets between the original `co_code` and the one with insertions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetMap {
    /// Opcode unit of each original instruction.
    pub(crate) original: Vec<u32>,
    /// Where jumps to each original instruction land now: on the first unit of what was inserted before it.
    pub(crate) landing: Vec<u32>,
    /// Opcode unit of each original instruction now.
    pub(crate) new: Vec<u32>,
    /// Length of the new code without appended blocks, in bytes.
    pub(crate) body: u32,
}

impl OffsetMap {
    /// The new offset of the opcode unit of the original instruction at `original`. `None` when no opcode unit is there.
    pub fn to_new(&self, original: u32) -> Option<u32> {
        let index = self.original.binary_search(&original).ok()?;
        Some(self.new[index])
    }

    /// Where a jump to the original instruction at `original` lands in the new code.
    pub fn to_landing(&self, original: u32) -> Option<u32> {
        let index = self.original.binary_search(&original).ok()?;
        Some(self.landing[index])
    }

    /// The original offset of the instruction whose opcode unit is at `new`. `None` for every other unit.
    pub fn to_original(&self, new: u32) -> Option<u32> {
        let index = self.new.binary_search(&new).ok()?;
        Some(self.original[index])
    }

    /// The original offset of the instruction that the unit at `new` belongs to: the instruction's own units and what is
    /// inserted before it; what is inserted after an instruction belongs to that one. `None` in appended blocks and past the
    /// end. Answers what `frame.f_lasti` and `traceback.tb_lasti` mean.
    pub fn covering(&self, new: u32) -> Option<u32> {
        if new >= self.body {
            return None;
        }
        let after = self.landing.partition_point(|&landing| landing <= new);
        Some(self.original[after.checked_sub(1)?])
    }
}
