//! Addresses whose objects have been forgotten while they lived.

/// Exact where no more than [`PLACES`] addresses meet, which are those whose distances are multiples of 8 MiB; where more do, all that meet there are taken for forgotten
/// until [`Evicted::clear`]. So much memory and no more is used, however many objects live.
#[derive(Default)]
pub(super) struct Evicted {
    /// The rests of the addresses that meet; 0: none. As many as [`MEETINGS`], or none as long as nothing was added.
    rests: Vec<[u32; PLACES]>,
}

const PLACES: usize = 4;
const MEETINGS: usize = 1 << 19;
/// In the first place: there were more than there are places.
const CROWDED: u32 = u32::MAX;

/// Where an address meets others, and what it has of its own: neither 0 nor [`CROWDED`]. `None` where that has not enough room, which is beyond the 47 bits of the addresses
/// that a system gives to who asks for none (`Documentation/arch/x86/x86_64/5level-paging.rst` of Linux).
fn place(address: usize) -> (usize, Option<u32>) {
    let block = address >> 4;
    let rest = u32::try_from(block / MEETINGS + 1).ok();
    (block % MEETINGS, rest.filter(|&rest| rest != CROWDED))
}

impl Evicted {
    pub(super) fn add(&mut self, address: usize) {
        if self.rests.is_empty() {
            self.rests = vec![[0; PLACES]; MEETINGS];
        }
        let (meeting, rest) = place(address);
        let there = &mut self.rests[meeting];
        let Some(rest) = rest else {
            there[0] = CROWDED;
            return;
        };
        if there.contains(&rest) {
            return;
        }
        match there.iter_mut().find(|one| **one == 0) {
            Some(free) => *free = rest,
            None => there[0] = CROWDED,
        }
    }

    /// Whether `address` may be one.
    pub(super) fn has(&self, address: usize) -> bool {
        let (meeting, rest) = place(address);
        self.rests.get(meeting).is_some_and(|there| {
            there[0] == CROWDED || rest.is_some_and(|rest| there.contains(&rest))
        })
    }

    /// Whether `address` surely was one; it is none any more, but where it is crowded.
    pub(super) fn remove(&mut self, address: usize) -> bool {
        let (meeting, rest) = place(address);
        let (Some(there), Some(rest)) = (self.rests.get_mut(meeting), rest) else {
            return false;
        };
        let found = there.iter_mut().find(|one| **one == rest);
        found.map(|one| *one = 0).is_some()
    }

    pub(super) fn clear(&mut self) {
        self.rests = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;

    const FAR: usize = MEETINGS * 16;

    #[test]
    fn is_exact_until_five_meet() {
        let mut evicted = Evicted::default();
        assert!(!evicted.has(4096) && !evicted.remove(4096));
        let met: Vec<_> = (0..PLACES).map(|turn| 4096 + turn * FAR).collect();
        for &one in &met {
            assert!(!evicted.has(one));
            evicted.add(one);
            evicted.add(one);
            assert!(evicted.has(one) && !evicted.has(one + 16));
        }
        let fifth = 4096 + PLACES * FAR;
        assert!(!evicted.has(fifth) && !evicted.remove(fifth));
        assert!(met.iter().all(|&one| evicted.remove(one)));
        assert!(met.iter().all(|&one| !evicted.has(one)));

        for &one in met.iter().chain([&fifth]) {
            evicted.add(one);
        }
        assert!(met.iter().chain([&fifth]).all(|&one| evicted.has(one)));
        assert!(!evicted.remove(fifth) && evicted.has(fifth));
        assert!(!evicted.has(4112));
        evicted.clear();
        assert!(!evicted.has(4096) && !evicted.has(fifth));
    }

    /// What has no room is never mistaken for another.
    #[test]
    fn addresses_of_57_bits() {
        let mut evicted = Evicted::default();
        let (high, higher) = (1 << 56, (1 << 56) + FAR);
        evicted.add(high);
        assert!(evicted.has(high) && evicted.has(higher) && !evicted.has(high + 16));
        assert!(!evicted.remove(high) && !evicted.remove(higher) && evicted.has(high));
    }

    proptest! {
        #[test]
        fn none_is_missed(turns in prop::collection::vec((0..3usize, 0..12usize, any::<bool>()), 1..200)) {
            let mut evicted = Evicted::default();
            let (mut expected, mut most) = (HashSet::new(), HashMap::new());
            for (block, far, add) in turns {
                let address = 4096 + block * 16 + far * FAR;
                if add {
                    evicted.add(address);
                    expected.insert(address);
                    let now = expected.iter().filter(|&&one| one % FAR == address % FAR).count();
                    let most = most.entry(block).or_insert(0);
                    *most = now.max(*most);
                } else {
                    let is_exact = most.get(&block).is_none_or(|&most| most <= PLACES);
                    let had = expected.remove(&address);
                    let removed = evicted.remove(address);
                    prop_assert!(had || !removed);
                    prop_assert!(removed == had || !is_exact);
                    prop_assert!(!evicted.has(address) || !is_exact);
                }
                prop_assert!(expected.iter().all(|&one| evicted.has(one)));
            }
        }
    }
}
