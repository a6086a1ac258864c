//! A quick test for addresses that are surely not in the table: one bit for 16 bytes of memory, modulo 256 MiB.
//!
//! It is read by every `free` in the process, also in interpreters with a GIL of their own, and written with the main interpreter's GIL.
//! The bits of neighbours are neighbours, so a program that frees what it has just used finds them in the cache.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const BITS: usize = 1 << 24;
const WORDS: usize = BITS / 64;

/// Memory of it is only used where a bit has been set, or read.
static FILTER: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];
/// Bits that are left set, because two addresses share them.
static SHARED: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];

#[inline]
fn place(address: usize) -> (usize, u64) {
    let bit = (address >> 4) % BITS;
    (bit / 64, 1 << (bit % 64))
}

/// Whether `address` may have been added.
#[inline]
pub(super) fn may_have(address: usize) -> bool {
    let (word, bit) = place(address);
    FILTER[word].load(Relaxed) & bit != 0
}

/// Adds an address that is not there.
pub(super) fn add(address: usize) {
    let (word, bit) = place(address);
    let old = FILTER[word].load(Relaxed);
    if old & bit != 0 {
        let shared = SHARED[word].load(Relaxed);
        SHARED[word].store(shared | bit, Relaxed);
    }
    FILTER[word].store(old | bit, Relaxed);
}

/// Adds an address that [surely is not there](may_have), nor one that shares its bit.
#[inline]
pub(super) fn add_new(address: usize) {
    let (word, bit) = place(address);
    FILTER[word].store(FILTER[word].load(Relaxed) | bit, Relaxed);
}

/// Removes an address that has been added.
#[inline]
pub(super) fn remove(address: usize) {
    let (word, bit) = place(address);
    if SHARED[word].load(Relaxed) & bit == 0 {
        FILTER[word].store(FILTER[word].load(Relaxed) & !bit, Relaxed);
    }
}

/// Removes all.
pub(super) fn clear() {
    for words in [&FILTER, &SHARED] {
        // Only what is set is written: the rest is not to become memory.
        for word in words.iter().filter(|word| word.load(Relaxed) != 0) {
            word.store(0, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_misses_and_forgets() {
        let far = BITS * 16;
        let all = [48, 64, 48 + far, 112];
        assert!(all.iter().all(|&address| !may_have(address)));
        for address in all {
            match may_have(address) {
                true => add(address),
                false => add_new(address),
            }
        }
        assert!(all.iter().all(|&address| may_have(address)));
        assert!(!may_have(80) && may_have(112 + far));
        remove(48);
        remove(112);
        assert!(may_have(48 + far) && may_have(64) && !may_have(112));
        clear();
        assert!(all.iter().all(|&address| !may_have(address)));
    }
}
