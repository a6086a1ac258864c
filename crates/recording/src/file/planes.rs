//! Floats apart from the rest of a chunk, and their highest bytes apart from the others: signs and exponents are alike where
//! mantissas are not, and what stands between floats is alike where they are not.
//!
//! Whatever the bytes are: a float is taken to be what is behind each byte that could be its tag, so nothing has to be understood, and what was no
//! float comes back all the same.

use crate::stream::tag::FLOAT;

/// The bytes of a float.
const WIDE: usize = 8;

/// Contents in four parts.
#[derive(Debug, Default)]
pub(super) struct Planes {
    /// All but the floats.
    pub(super) rest: Vec<u8>,
    /// The highest byte of each float: sign and most of the exponent.
    pub(super) highest: Vec<u8>,
    /// The one below.
    pub(super) next: Vec<u8>,
    /// The six others, from the lowest.
    pub(super) low: Vec<u8>,
}

impl Planes {
    /// How many floats there are.
    pub(super) fn floats(&self) -> usize {
        self.highest.len()
    }

    /// Takes contents apart; what it held before is gone.
    pub(super) fn split(&mut self, contents: &[u8]) {
        let Planes {
            rest,
            highest,
            next,
            low,
        } = self;
        for part in [&mut *rest, &mut *highest, &mut *next, &mut *low] {
            part.clear();
        }
        let mut from = contents;
        while let Some(at) = memchr::memchr(FLOAT, from) {
            let (before, behind) = from.split_at(at + 1);
            let Some((float, others)) = behind.split_first_chunk::<WIDE>() else {
                break;
            };
            rest.extend_from_slice(before);
            let &[ref lowest @ .., below, top] = float;
            low.extend_from_slice(lowest);
            next.push(below);
            highest.push(top);
            from = others;
        }
        rest.extend_from_slice(from);
    }

    /// The contents, `None` if the parts do not belong together.
    pub(super) fn join(&self) -> Option<Vec<u8>> {
        let floats = self.floats();
        if self.next.len() != floats || self.low.len() != floats * (WIDE - 2) {
            return None;
        }
        let mut contents = Vec::with_capacity(self.rest.len() + floats * WIDE);
        let mut from = &self.rest[..];
        let lows = self.low.chunks_exact(WIDE - 2);
        for ((low, next), highest) in lows.zip(&self.next).zip(&self.highest) {
            let (before, behind) = from.split_at(memchr::memchr(FLOAT, from)? + 1);
            contents.extend_from_slice(before);
            contents.extend_from_slice(low);
            contents.extend_from_slice(&[*next, *highest]);
            from = behind;
        }
        contents.extend_from_slice(from);
        Some(contents)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn halves(contents: &[u8]) -> (Vec<u8>, usize) {
        let mut planes = Planes::default();
        planes.split(contents);
        (planes.rest.clone(), planes.floats())
    }

    #[test]
    fn floats_are_taken_out_and_the_rest_stays() {
        let mut contents = vec![1, FLOAT];
        contents.extend(1.5_f64.to_le_bytes());
        contents.extend([2, FLOAT, 3]);
        assert_eq!(halves(&contents), (vec![1, FLOAT, 2, FLOAT, 3], 1));
    }

    #[test]
    fn parts_that_do_not_belong_together_are_refused() {
        let floats = |rest: &[u8], next: usize, low: usize| Planes {
            rest: rest.to_vec(),
            highest: vec![0],
            next: vec![0; next],
            low: vec![0; low],
        };
        assert!(floats(&[FLOAT], 1, 6).join().is_some());
        assert!(floats(&[], 1, 6).join().is_none());
        assert!(floats(&[FLOAT], 2, 6).join().is_none());
        assert!(floats(&[FLOAT], 1, 5).join().is_none());
    }

    proptest! {
        #[test]
        fn what_was_taken_apart_comes_back(contents in prop::collection::vec(prop_oneof![Just(FLOAT), any::<u8>()], 0..300)) {
            let mut planes = Planes::default();
            planes.split(b"\x4a12345678what was there before");
            planes.split(&contents);
            prop_assert_eq!(planes.join(), Some(contents));
        }
    }
}
