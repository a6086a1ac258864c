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
    /// Instructions that start before this word; 0 if none starts in it.
    before: u32,
}

const BITS: u32 = u64::BITS;

impl Starts {
    /// Of so many code units, none of which starts an instruction yet.
    pub(crate) fn new(units: u32) -> Self {
        Self {
            words: smallvec![Word::default(); units.div_ceil(BITS) as usize],
            units,
        }
    }

    /// Notes the first unit of the next instruction, which is the one with this index.
    #[inline]
    pub(crate) fn push(&mut self, unit: u32, index: u32) {
        let word = &mut self.words[(unit / BITS) as usize];
        if word.bits == 0 {
            word.before = index;
        }
        word.bits |= 1 << (unit % BITS);
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
        let through = u64::MAX >> (BITS - 1 - unit % BITS);
        let number = (unit / BITS) as usize;
        let word = self.words[number];
        let bits = word.bits & through;
        if bits != 0 {
            return Some(word.before + bits.count_ones() - 1);
        }
        // It starts in an earlier word, of which no instruction skips more than one.
        let before = self.words[..number].iter().rev();
        let mut before = before.skip_while(|word| word.bits == 0);
        before
            .next()
            .map(|word| word.before + word.bits.count_ones() - 1)
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
            let mut starts = Starts::new(units);
            for (index, &first) in (0..).zip(&firsts) {
                starts.push(first, index);
            }
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
