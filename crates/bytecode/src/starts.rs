//! Which code units start an instruction.

use smallvec::{SmallVec, smallvec};

/// A bit for each code unit, with the number of instructions before every 64th.
#[derive(Clone, Debug)]
pub(crate) struct Starts {
    words: SmallVec<[Word; 2]>,
    units: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Word {
    /// Bit `n`: an instruction starts at this word's unit `n`.
    bits: u64,
    /// Instructions that start before this word.
    before: u32,
}

const BITS: u32 = u64::BITS;

impl Starts {
    /// From the first unit of each instruction, in order, all below `units`.
    pub(crate) fn new(units: u32, starts: impl Iterator<Item = u32>) -> Self {
        let mut words: SmallVec<[Word; 2]> =
            smallvec![Word::default(); units.div_ceil(BITS) as usize];
        for unit in starts {
            words[(unit / BITS) as usize].bits |= 1 << (unit % BITS);
        }
        let mut before = 0;
        for word in &mut words {
            word.before = before;
            before += word.bits.count_ones();
        }
        Self { words, units }
    }

    /// Code units in total.
    pub(crate) fn units(&self) -> u32 {
        self.units
    }

    /// The index of the instruction that starts at a unit.
    #[inline]
    pub(crate) fn index(&self, unit: u32) -> Option<u32> {
        let word = self.words.get((unit / BITS) as usize)?;
        let bit = 1 << (unit % BITS);
        (word.bits & bit != 0).then(|| word.before + (word.bits & (bit - 1)).count_ones())
    }

    /// The index of the instruction that starts at a byte offset.
    #[inline]
    pub(crate) fn at_byte(&self, offset: i64) -> Option<u32> {
        let offset = u32::try_from(offset).ok()?;
        if offset % 2 == 0 {
            self.index(offset / 2)
        } else {
            None
        }
    }

    /// The index of the instruction that a unit is part of.
    #[inline]
    pub(crate) fn covering(&self, unit: u32) -> Option<u32> {
        if unit >= self.units {
            return None;
        }
        let word = self.words[(unit / BITS) as usize];
        let through = u64::MAX >> (BITS - 1 - unit % BITS);
        (word.before + (word.bits & through).count_ones()).checked_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn units_and_instructions_agree(lengths in prop::collection::vec(1u32..70, 0..40)) {
            let mut firsts = vec![0];
            firsts.extend(lengths.iter().scan(0, |end, length| { *end += length; Some(*end) }));
            let units = firsts.pop().unwrap_or(0);
            let starts = Starts::new(units, firsts.iter().copied());
            prop_assert_eq!(starts.units(), units);
            for unit in 0..units {
                let after = firsts.partition_point(|&first| first <= unit);
                prop_assert_eq!(starts.covering(unit), Some(after as u32 - 1));
                let index = firsts.binary_search(&unit).ok().map(|index| index as u32);
                prop_assert_eq!(starts.index(unit), index);
                prop_assert_eq!(starts.at_byte(i64::from(unit) * 2), index);
                prop_assert_eq!(starts.at_byte(i64::from(unit) * 2 + 1), None);
            }
            prop_assert_eq!(starts.covering(units), None);
            prop_assert_eq!(starts.index(units), None);
            prop_assert_eq!(starts.at_byte(-2), None);
        }
    }
}
