//! How likely a bit is: three predictions by contexts of rising precision, mixed by how far each has been right.
//!
//! Everything is done in integers, so that every machine computes the same.

use std::sync::LazyLock;

use super::Coding;
use super::coder::Coder;

/// In the table of chances there are 2^20; codings 5 and 6 use the first 2^18, which stay in a processor's cache.
const TABLE: u32 = 20;
const SMALL_TABLE: u32 = 18;
/// Sets of weights: a context names one of 256, of which there are four, by how often the most precise chance has been told.
const SETS: usize = 256;
/// A chance in the table: 22 bits, and how often it has been told below.
const COUNT: u32 = 10;
/// It is told at most so often; then it forgets.
const LIMIT: usize = 255;
const HALF: u32 = 1 << 31;

/// What the weights begin with: the more often the most precise chance has been told, the more it says.
const FIRST_WEIGHTS: [[i32; 3]; 4] = [
    [24_000, 36_000, 0],
    [16_000, 28_000, 24_000],
    [10_000, 20_000, 40_000],
    [6_000, 12_000, 52_000],
];

/// What a bit, or a number, is told by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    hashes: [u32; 3],
    /// Which weights: the sort of what is coded.
    set: u8,
}

/// Two numbers as one.
#[inline]
pub(super) fn mix(one: u32, other: u32) -> u32 {
    let mixed = (one ^ other.wrapping_mul(0x85eb_ca6b)).wrapping_mul(0x9e37_79b1);
    mixed ^ mixed >> 15
}

/// The same of a longer one.
#[inline]
pub(super) fn mix_long(one: u32, other: u64) -> u32 {
    mix(mix(one, other as u32), (other >> 32) as u32)
}

impl Context {
    /// Of a sort, by the first number, by the first two, by all three.
    #[inline]
    pub(super) fn new(set: u8, first: u32, second: u32, third: u32) -> Self {
        let first = mix(first, u32::from(set) << 8 | 0x4b);
        let second = mix(first, second.wrapping_add(0x632b_e5ab));
        let third = mix(second, third.wrapping_add(0x1b56_c4e9));
        Context {
            hashes: [first, second, third],
            set,
        }
    }

    /// For something else in the same place.
    #[inline]
    pub(super) fn with(self, number: u32) -> Self {
        Context {
            hashes: each(self.hashes, |hash| mix(hash, number)),
            set: self.set.wrapping_add((number as u8).wrapping_mul(29)),
        }
    }
}

/// The logistic function: from -2047..=2047 to chances of 1/4096, and its inverse.
struct Logistic {
    squash: [i16; 4096],
    stretch: [i16; 4096],
}

static LOGISTIC: LazyLock<Box<Logistic>> = LazyLock::new(|| {
    // 4096 / (1 + e^-x) for x = -8..=8, by halves.
    const POINTS: [i32; 33] = [
        1, 2, 3, 6, 10, 16, 27, 45, 73, 120, 194, 310, 488, 747, 1101, 1546, 2047, 2549, 2994,
        3348, 3607, 3785, 3901, 3975, 4022, 4050, 4068, 4079, 4085, 4089, 4092, 4093, 4094,
    ];
    let mut new = Box::new(Logistic {
        squash: [0; 4096],
        stretch: [0; 4096],
    });
    for (index, squashed) in new.squash.iter_mut().enumerate() {
        let (point, part) = (index >> 7, (index & 127) as i32);
        let next = POINTS[(point + 1).min(32)];
        *squashed = ((POINTS[point] * (128 - part) + next * part + 64) >> 7).clamp(1, 4095) as i16;
    }
    let mut done = 0;
    for index in 0..4096_usize {
        let squashed = usize::from(new.squash[index].unsigned_abs());
        while done <= squashed {
            new.stretch[done] = index as i16 - 2048;
            done += 1;
        }
    }
    while done < 4096 {
        new.stretch[done] = 2047;
        done += 1;
    }
    new
});

/// 65536 / (n + 1.5) for every count that fits.
const SHARES: [u32; 1 << COUNT] = {
    let mut shares = [0; 1 << COUNT];
    let mut told = 0;
    while told < 1 << COUNT {
        let limited = if told < LIMIT { told } else { LIMIT };
        shares[told] = 131_072 / (2 * limited as u32 + 3);
        told += 1;
    }
    shares
};

/// Codes bits and numbers by what it has learned of their contexts.
pub(super) struct Model<C> {
    pub(super) coder: C,
    /// Chances, exclusive-or [`HALF`]: so a new table is of zeros.
    chances: Box<[u32; 1 << TABLE]>,
    weights: Box<[[i32; 3]; 4 * SETS]>,
    coding: Coding,
    /// Of a hash, to a place in the table.
    shift: u32,
    logistic: &'static Logistic,
    /// So many bits may still be coded: what is read must not grow without bound.
    left: u64,
}

impl<C: Coder> Model<C> {
    /// For at most so many bits.
    pub(super) fn new(coder: C, coding: Coding, most: u64) -> Self {
        let mut weights = Box::new([[28_000; 3]; 4 * SETS]);
        if coding != Coding::Four {
            for (sets, first) in weights.chunks_exact_mut(SETS).zip(FIRST_WEIGHTS) {
                sets.fill(first);
            }
        }
        Model {
            coder,
            // Made as a vector, so that it is not on the stack first.
            chances: vec![0; 1 << TABLE]
                .into_boxed_slice()
                .try_into()
                .unwrap_or_else(|_| unreachable!("it has this length")),
            weights,
            coding,
            shift: match coding {
                Coding::Four => 32 - TABLE,
                Coding::Five | Coding::Six => 32 - SMALL_TABLE,
            },
            logistic: &LOGISTIC,
            left: most,
        }
    }

    #[inline]
    pub(super) fn coding(&self) -> Coding {
        self.coding
    }

    /// Whether more is coded than can be meant, or nothing is left.
    pub(super) fn is_over(&self) -> bool {
        self.left == 0 || self.coder.is_over()
    }

    /// Takes so many bits' worth off what may still be coded; whether that much was left.
    pub(super) fn spend(&mut self, bits: u64) -> bool {
        self.left = self.left.saturating_sub(bits);
        self.left > 0
    }

    #[inline]
    pub(super) fn bit(&mut self, context: Context, bit: bool) -> bool {
        let slots = self.slots(context);
        self.coded(slots, context.set, bit)
    }

    /// Where a context's chances are.
    #[inline]
    fn slots(&self, context: Context) -> [usize; 3] {
        each(context.hashes, |hash| {
            (hash.wrapping_mul(0x9e37_79b1) >> self.shift) as usize
        })
    }

    #[inline]
    fn coded(&mut self, slots: [usize; 3], set: u8, bit: bool) -> bool {
        self.left = self.left.saturating_sub(1);
        let slots = each(slots, |slot| slot & ((1 << TABLE) - 1));
        let known = each(slots, |slot| self.chances[slot] ^ HALF);
        let told = known[2] & ((1 << COUNT) - 1);
        let sure = match self.coding {
            Coding::Four => 0,
            Coding::Five | Coding::Six => {
                usize::from(told > 0) + usize::from(told > 2) + usize::from(told > 15)
            }
        };
        let weights = &mut self.weights[sure * SETS + usize::from(set)];
        let logistic = self.logistic;
        let inputs = each(known, |known| {
            i32::from(logistic.stretch[(known >> 20) as usize])
        });
        let mut sum = 0_i64;
        for index in 0..3 {
            sum += i64::from(weights[index]) * i64::from(inputs[index]);
        }
        let sum = (sum >> 16).clamp(-2047, 2047);
        let chance = i32::from(logistic.squash[(sum + 2048) as usize & 4095]);
        let bit = self.coder.code((chance as u32) << 4, bit);
        let error = ((i32::from(bit) << 12) - chance) * 10;
        for index in 0..3 {
            let change = (inputs[index] * error + 0x8000) >> 16;
            weights[index] = (weights[index] + change * 4).clamp(-(1 << 20), 1 << 20);
        }
        // One place may be that of several: it learns several times.
        for slot in slots {
            self.chances[slot] = learned(self.chances[slot] ^ HALF, bit) ^ HALF;
        }
        bit
    }

    /// A bit that is as likely as not.
    #[inline]
    fn plain(&mut self, bit: bool) -> bool {
        self.left = self.left.saturating_sub(1);
        self.coder.code(1 << 15, bit)
    }

    /// A number of so many bits.
    #[inline]
    pub(super) fn symbol(&mut self, context: Context, bits: u32, given: u32) -> u32 {
        if self.coding == Coding::Six {
            return self.symbol_of_parts(context, bits, given);
        }
        let mut node = 1;
        for place in (0..bits).rev() {
            let bit = self.bit(tree(context, node), given >> place & 1 == 1);
            node = node << 1 | u32::from(bit);
        }
        node ^ 1 << bits
    }

    /// The same; the chances of four bits each are beside each other, where one look finds them in the table.
    fn symbol_of_parts(&mut self, context: Context, bits: u32, given: u32) -> u32 {
        let mut node = 1;
        let mut left = bits;
        while left > 0 {
            let part = left.min(4);
            left -= part;
            let slots = self.slots(tree(context, node));
            let mut near = 1;
            for place in (left..left + part).rev() {
                let bit = given >> place & 1 == 1;
                let bit = self.coded(each(slots, |slot| slot ^ near), context.set, bit);
                near = near << 1 | usize::from(bit);
            }
            node = node << part | near as u32 ^ 1 << part;
        }
        node ^ 1 << bits
    }

    /// Any number; small ones are likely.
    pub(super) fn number(&mut self, context: Context, given: u64) -> u64 {
        if self.bit(context, given == 0) {
            return 0;
        }
        let length = 64 - given.leading_zeros();
        let length = self.symbol(context.with(7), 6, length.wrapping_sub(1) & 63) + 1;
        let mut number = 1_u64;
        for place in (0..length - 1).rev() {
            let bit = given >> place & 1 == 1;
            let bit = if number < 1 << 8 {
                let context = tree(context, (number as u32) << 8 | length | 1 << 31);
                self.bit(context, bit)
            } else {
                self.plain(bit)
            };
            number = number << 1 | u64::from(bit);
        }
        number
    }

    /// Any number, likely near 0.
    pub(super) fn signed(&mut self, context: Context, given: i64) -> i64 {
        let zigzag = self.number(context, (given << 1 ^ given >> 63).cast_unsigned());
        (zigzag >> 1).cast_signed() ^ -((zigzag & 1).cast_signed())
    }

    /// Bits of a float.
    pub(super) fn float(&mut self, context: Context, given: u64) -> u64 {
        let zeros = self.symbol(context.with(1), 3, (given.trailing_zeros() / 8).min(7));
        let mut bits = 0_u64;
        for byte in (zeros..8).rev() {
            let value = (given >> (8 * byte) & 0xff) as u32;
            let value = if byte >= 5 {
                let before = mix_long(byte, bits);
                self.symbol(context.with(before), 8, value)
            } else {
                (0..8).rev().fold(0, |read, place| {
                    read << 1 | u32::from(self.plain(value >> place & 1 == 1))
                })
            };
            bits = bits << 8 | u64::from(value);
        }
        bits << (8 * zeros)
    }

    /// Text, as a rule.
    pub(super) fn bytes(&mut self, set: u8, given: &[u8]) -> Option<Box<[u8]>> {
        let length = self.number(Context::new(set, 0, 0, 0), given.len() as u64);
        let length = usize::try_from(length).ok()?;
        let mut bytes = Vec::new();
        let mut before = 0_u32;
        for index in 0..length {
            let context = Context::new(
                set,
                before & 0xff | 1 << 24,
                before >> 8 & 0xff,
                before >> 16,
            );
            let byte = given.get(index).copied().unwrap_or_default();
            let byte = self.symbol(context, 8, byte.into()) as u8;
            if self.is_over() {
                return None;
            }
            before = before << 8 | u32::from(byte);
            bytes.push(byte);
        }
        Some(bytes.into())
    }
}

/// A chance and its count, once more with this bit.
#[inline]
fn learned(known: u32, bit: bool) -> u32 {
    let told = known & ((1 << COUNT) - 1);
    let chance = i64::from(known >> COUNT);
    let target = if bit { (1 << 22) - 1 } else { 0 };
    let moved = chance + (((target - chance) * i64::from(SHARES[told as usize])) >> 16);
    (moved as u32) << COUNT | (told + 1).min(LIMIT as u32)
}

/// As `map`, which is not inlined everywhere.
#[inline(always)]
fn each<T: Copy, U>(of: [T; 3], to: impl Fn(T) -> U) -> [U; 3] {
    [to(of[0]), to(of[1]), to(of[2])]
}

/// A place in a tree of bits.
#[inline]
fn tree(context: Context, node: u32) -> Context {
    let by = node.wrapping_mul(0xc2b2_ae35);
    Context {
        hashes: each(context.hashes, |hash| hash.wrapping_add(by)),
        set: context.set,
    }
}

#[cfg(test)]
mod tests {
    use super::super::coder::{Reader, Writer};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_read_as_written(numbers in prop::collection::vec((any::<u64>(), 0_u32..64), 0..200)) {
            let numbers: Vec<u64> = numbers.into_iter().map(|(number, shift)| number >> shift).collect();
            let context = Context::new(1, 2, 3, 4);
            for coding in [Coding::Four, Coding::Five, Coding::Six] {
            let mut model = Model::new(Writer::new(), coding, u64::MAX);
            for &number in &numbers {
                model.number(context, number);
                model.signed(context.with(1), number.cast_signed());
                model.float(context.with(2), number << 20);
                model.bytes(9, &number.to_le_bytes());
            }
            let bytes = model.coder.finish();
            let mut model = Model::new(Reader::new(&bytes), coding, u64::MAX);
            for &number in &numbers {
                prop_assert_eq!(model.number(context, 0), number);
                prop_assert_eq!(model.signed(context.with(1), 0), number.cast_signed());
                prop_assert_eq!(model.float(context.with(2), 0), number << 20);
                prop_assert_eq!(model.bytes(9, b""), Some(number.to_le_bytes().into()));
            }
            }
        }
    }
}
