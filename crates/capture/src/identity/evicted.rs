//! Addresses whose objects have been forgotten while they lived.

/// Exact where one address has a place for itself; where two meet, both stay until [`Evicted::clear`].
#[derive(Default)]
pub(super) struct Evicted {
    /// The rest of the address of the one that is there; 0: none. As many as [`PLACES`], or none as long as nothing was added.
    rests: Vec<u32>,
}

const PLACES: usize = 1 << 21;
const MET: u32 = u32::MAX;

fn place(address: usize) -> (usize, u32) {
    let block = address >> 4;
    // User addresses have at most 57 bits, with 25 taken here. Never 0 and never `MET`.
    let rest = u32::try_from(block / PLACES).map_or(MET - 1, |rest| rest.min(MET - 2));
    (block % PLACES, rest + 1)
}

impl Evicted {
    pub(super) fn add(&mut self, address: usize) {
        if self.rests.is_empty() {
            self.rests = vec![0; PLACES];
        }
        let (place, rest) = place(address);
        let there = &mut self.rests[place];
        *there = if *there == 0 || *there == rest {
            rest
        } else {
            MET
        };
    }

    /// Whether `address` may be one.
    pub(super) fn has(&self, address: usize) -> bool {
        let (place, rest) = place(address);
        self.rests
            .get(place)
            .is_some_and(|&there| there == rest || there == MET)
    }

    /// Whether `address` surely was one; it is none any more.
    pub(super) fn remove(&mut self, address: usize) -> bool {
        let (place, rest) = place(address);
        match self.rests.get_mut(place) {
            Some(there) if *there == rest => {
                *there = 0;
                true
            }
            _ => false,
        }
    }

    pub(super) fn clear(&mut self) {
        self.rests = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_exact_until_two_meet() {
        let mut evicted = Evicted::default();
        let far = PLACES * 16;
        assert!(!evicted.has(4096) && !evicted.remove(4096));
        evicted.add(4096);
        assert!(evicted.has(4096) && !evicted.has(4112) && !evicted.has(4096 + far));
        assert!(!evicted.remove(4096 + far));
        assert!(evicted.remove(4096) && !evicted.has(4096));
        evicted.add(4096);
        evicted.add(4096 + far);
        assert!(evicted.has(4096) && evicted.has(4096 + far));
        assert!(!evicted.remove(4096) && evicted.has(4096));
        evicted.clear();
        assert!(!evicted.has(4096));
    }
}
