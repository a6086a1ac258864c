//! Arithmetic coding of bits.

/// Codes bits, in one direction or the other.
pub(super) trait Coder {
    /// A bit that is set with a chance of `chance` / 65536, neither 0 nor 1. Returns the bit; a coder that reads does not look at `bit`.
    fn code(&mut self, chance: u32, bit: bool) -> bool;

    /// Nothing is left to be read.
    fn is_over(&self) -> bool;
}

/// What has been narrowed down of a number of infinitely many bits: the next 32 of them are at least `low` and at most `high`.
#[derive(Debug)]
struct Interval {
    low: u32,
    high: u32,
}

impl Interval {
    const ALL: Interval = Interval {
        low: 0,
        high: u32::MAX,
    };

    /// The last number of the part for a set bit.
    #[inline]
    fn middle(&self, chance: u32) -> u32 {
        let range = self.high - self.low;
        self.low + ((u64::from(range) * u64::from(chance)) >> 16) as u32
    }

    #[inline]
    fn narrow(&mut self, middle: u32, bit: bool) {
        if bit {
            self.high = middle;
        } else {
            self.low = middle + 1;
        }
    }

    /// The first byte, if it is certain; it is taken off.
    #[inline]
    fn shift(&mut self) -> Option<u8> {
        if (self.low ^ self.high) >> 24 != 0 {
            return None;
        }
        let byte = (self.high >> 24) as u8;
        self.low <<= 8;
        self.high = self.high << 8 | 0xff;
        Some(byte)
    }
}

/// Writes.
#[derive(Debug)]
pub(super) struct Writer {
    interval: Interval,
    out: Vec<u8>,
}

impl Writer {
    pub(super) fn new() -> Self {
        Writer {
            interval: Interval::ALL,
            out: Vec::new(),
        }
    }

    /// The bytes; zeros at their end are left out, as they are read behind it anyway.
    pub(super) fn finish(mut self) -> Vec<u8> {
        // The shortest that lies in the interval with zeros behind it.
        let Interval { low, high } = self.interval;
        let end = (0..=4)
            .map(|bytes| {
                let mask = u32::MAX.checked_shr(8 * bytes).unwrap_or(0);
                (low.saturating_add(mask) & !mask, bytes)
            })
            .find(|&(number, _)| number >= low && number <= high);
        if let Some((number, bytes)) = end {
            self.out
                .extend_from_slice(&number.to_be_bytes()[..bytes as usize]);
        }
        while self.out.last() == Some(&0) {
            self.out.pop();
        }
        self.out
    }
}

impl Coder for Writer {
    #[inline]
    fn code(&mut self, chance: u32, bit: bool) -> bool {
        let middle = self.interval.middle(chance);
        self.interval.narrow(middle, bit);
        while let Some(byte) = self.interval.shift() {
            self.out.push(byte);
        }
        bit
    }

    fn is_over(&self) -> bool {
        false
    }
}

/// Reads.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    interval: Interval,
    /// The 32 bits that come next.
    next: u32,
    rest: &'a [u8],
    /// So many bytes have been read behind the end.
    beyond: u32,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut new = Reader {
            interval: Interval::ALL,
            next: 0,
            rest: bytes,
            beyond: 0,
        };
        for _ in 0..4 {
            new.byte();
        }
        new
    }

    fn byte(&mut self) {
        let byte = match self.rest.split_first() {
            Some((&byte, rest)) => {
                self.rest = rest;
                byte
            }
            None => {
                self.beyond = self.beyond.saturating_add(1);
                0
            }
        };
        self.next = self.next << 8 | u32::from(byte);
    }
}

impl Coder for Reader<'_> {
    #[inline]
    fn code(&mut self, chance: u32, _: bool) -> bool {
        let middle = self.interval.middle(chance);
        let bit = self.next <= middle;
        self.interval.narrow(middle, bit);
        while self.interval.shift().is_some() {
            self.byte();
        }
        bit
    }

    fn is_over(&self) -> bool {
        // Zeros at the end are left out, but there are few where something is still said.
        self.beyond > 64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(bits in prop::collection::vec((1_u32..65536, any::<bool>()), 0..2000)) {
            let mut writer = Writer::new();
            for &(chance, bit) in &bits {
                writer.code(chance, bit);
            }
            let bytes = writer.finish();
            let mut reader = Reader::new(&bytes);
            for &(chance, bit) in &bits {
                prop_assert_eq!(reader.code(chance, !bit), bit);
            }
        }
    }

    #[test]
    fn what_is_certain_costs_nothing() {
        let mut writer = Writer::new();
        for _ in 0..10_000 {
            writer.code(65_520, true);
        }
        assert!(writer.finish().len() < 5);
    }
}
