//! From addresses to entries: open addressing with linear probing, removal by shifting back, bounded by a clock.

use std::num::NonZeroU64;

/// An [`Entry::index`] that means nothing.
pub const NO_INDEX: u32 = u32::MAX;

/// What is known of a live object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The object's number, never used for another.
    pub id: NonZeroU64,
    /// The recorder's own.
    pub epoch: u32,
    /// The recorder's own; it is told when the object has died ([`super::Identities::each_dead`]), unless it is [`NO_INDEX`].
    pub index: u32,
}

/// A place of the table. `key` is the address; 0: empty; with marks in its lowest bits, which no address has.
#[derive(Clone, Copy)]
struct Slot {
    key: usize,
    id: u64,
    epoch: u32,
    index: u32,
}

/// It has been looked up since the clock's hand came by.
const SEEN: usize = 1;
/// The object may have had another entry before.
const DOUBTFUL: usize = 2;
const MARKS: usize = SEEN | DOUBTFUL;
const EMPTY: Slot = Slot {
    key: 0,
    id: 0,
    epoch: 0,
    index: 0,
};

impl Slot {
    #[inline]
    fn address(self) -> usize {
        self.key & !MARKS
    }

    #[inline]
    fn entry(self) -> Entry {
        Entry {
            id: NonZeroU64::new(self.id).unwrap_or(NonZeroU64::MIN),
            epoch: self.epoch,
            index: self.index,
        }
    }
}

/// Addresses are multiples of 4 and not 0.
#[derive(Default)]
pub(super) struct Table {
    /// A power of two of them, or none; at most half are in use, so that who is looked for is found, or not, after few steps.
    slots: Vec<Slot>,
    len: usize,
    hand: usize,
}

const FIRST: usize = 1 << 10;

impl Table {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn home(&self, address: usize) -> usize {
        // Fibonacci hashing, of which the highest bits are the ones that part neighbours; blocks are multiples of 16.
        let mixed = ((address as u64) >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((u128::from(mixed) * self.slots.len() as u128) >> u64::BITS) as usize
    }

    #[inline]
    fn find(&self, address: usize) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mask = self.slots.len() - 1;
        let mut place = self.home(address);
        loop {
            let key = self.slots[place & mask].key;
            if key & !MARKS == address {
                return Some(place & mask);
            }
            if key == 0 {
                return None;
            }
            place += 1;
        }
    }

    #[inline]
    pub(super) fn lookup(&mut self, address: usize) -> Option<Entry> {
        let place = self.find(address)?;
        let slot = &mut self.slots[place];
        slot.key |= SEEN;
        Some(slot.entry())
    }

    /// The place of an entry, as long as none comes or goes, and the entry.
    #[inline(always)]
    pub(super) fn whereabouts(&self, address: usize) -> Option<(usize, Entry)> {
        let place = self.find(address)?;
        Some((place, self.slots[place].entry()))
    }

    /// Changes the entry in its [place](Self::whereabouts).
    #[inline(always)]
    pub(super) fn change_at(&mut self, place: usize, entry: Entry) {
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = Slot {
                key: slot.key | SEEN,
                id: entry.id.get(),
                epoch: entry.epoch,
                index: entry.index,
            };
        }
    }

    /// Changes an entry that is there; whether it is.
    pub(super) fn update(&mut self, address: usize, entry: Entry) -> bool {
        let place = self.find(address);
        if let Some(place) = place {
            self.change_at(place, entry);
        }
        place.is_some()
    }

    /// The object of an entry that is there may have had another one before.
    pub(super) fn doubt(&mut self, address: usize) {
        if let Some(place) = self.find(address) {
            self.slots[place].key |= DOUBTFUL;
        }
    }

    /// Whether [`Self::doubt`] has been told of it.
    pub(super) fn is_doubtful(&self, address: usize) -> bool {
        let place = self.find(address);
        place.is_some_and(|place| self.slots[place].key & DOUBTFUL != 0)
    }

    /// Adds an entry that is not there. It counts as looked up: else the hand, where it happens to be, would take out what has just come.
    #[inline]
    pub(super) fn insert(&mut self, address: usize, entry: Entry) {
        if (self.len + 1) * 2 > self.slots.len() {
            self.grow();
        }
        self.len += 1;
        self.place(Slot {
            key: address | SEEN,
            id: entry.id.get(),
            epoch: entry.epoch,
            index: entry.index,
        });
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(FIRST);
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; size]);
        self.hand = 0;
        for slot in old.into_iter().filter(|slot| slot.key != 0) {
            self.place(slot);
        }
    }

    #[inline]
    fn place(&mut self, slot: Slot) {
        let mask = self.slots.len() - 1;
        let mut place = self.home(slot.address());
        while let Some(there) = self.slots.get_mut(place & mask) {
            if there.key == 0 {
                *there = slot;
                return;
            }
            place += 1;
        }
    }

    /// Takes an entry out. Does not allocate.
    #[inline]
    pub(super) fn remove(&mut self, address: usize) -> Option<Entry> {
        let place = self.find(address)?;
        Some(self.take(place).1)
    }

    #[inline]
    fn take(&mut self, mut hole: usize) -> (usize, Entry) {
        let mask = self.slots.len() - 1;
        let taken = self.slots[hole];
        self.len -= 1;
        let mut next = (hole + 1) & mask;
        // What follows moves back unless that would put it before its home.
        while self.slots[next].key != 0 {
            let home = self.home(self.slots[next].address());
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(hole) & mask) {
                self.slots[hole] = self.slots[next];
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.slots[hole] = EMPTY;
        (taken.address(), taken.entry())
    }

    /// Takes out one that has not been looked up for a while; `None` if the table is empty.
    pub(super) fn evict(&mut self) -> Option<(usize, Entry)> {
        if self.len == 0 {
            return None;
        }
        let mask = self.slots.len() - 1;
        loop {
            let place = self.hand & mask;
            let slot = &mut self.slots[place];
            if slot.key & SEEN != 0 {
                slot.key &= !SEEN;
            } else if slot.key != 0 {
                // The hand stays: another may have moved to its place.
                return Some(self.take(place));
            }
            self.hand = place + 1;
        }
    }

    /// Empties the table and gives its memory back.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (usize, Entry)> + use<> {
        let old = std::mem::take(self);
        let slots = old.slots.into_iter().filter(|slot| slot.key != 0);
        slots.map(|slot| (slot.address(), slot.entry()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// An entry that is like no other's.
    fn entry(id: u32) -> Entry {
        Entry {
            id: NonZeroU64::MIN.saturating_add(id.into()),
            epoch: id % 7,
            index: id % 11,
        }
    }

    /// The same numbers each time: xorshift.
    struct Random(u64);

    impl Random {
        fn next(&mut self, below: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 as usize % below
        }
    }

    /// Any sequence of operations gives what a map of the standard library gives.
    #[test]
    fn is_a_map() {
        for (seed, addresses) in [(1, 40), (2, 900), (3, 5_000), (4, 100_000)] {
            let mut random = Random(seed);
            let (mut table, mut model) = (Table::default(), HashMap::new());
            for id in 1..60_000 {
                let address = random.next(addresses) * 16 + 16;
                match random.next(4) {
                    0 | 1 if !model.contains_key(&address) => {
                        table.insert(address, entry(id));
                        model.insert(address, entry(id));
                    }
                    1 => {
                        let there = model.contains_key(&address);
                        assert_eq!(table.update(address, entry(id)), there);
                        if there {
                            model.insert(address, entry(id));
                        }
                    }
                    2 => assert_eq!(table.remove(address), model.remove(&address)),
                    _ => assert_eq!(table.lookup(address), model.get(&address).copied()),
                }
                assert_eq!(table.len(), model.len());
            }
            let mut left: Vec<_> = table.drain().collect();
            left.sort_by_key(|one| one.0);
            let mut expected: Vec<_> = model.into_iter().collect();
            expected.sort_by_key(|one| one.0);
            assert_eq!(left, expected);
            assert_eq!(table.len(), 0);
        }
    }

    /// Every entry is evicted exactly once, and those in use last.
    #[test]
    fn evicts_what_is_not_in_use() {
        let mut table = Table::default();
        for (id, address) in (48..=48_000).step_by(48).enumerate() {
            table.insert(address, entry(id as u32));
        }
        // The hand comes by all of them.
        table.insert(48_048, entry(0));
        let first = table.evict().map(|one| one.0);
        let left = (48..=48_048).step_by(48).find(|at| Some(*at) == first);
        assert!(left.is_some() && table.len() == 1000);
        for (id, address) in (48..=24_000).step_by(48).enumerate() {
            let known = (Some(address) != first).then(|| entry(id as u32));
            assert_eq!(table.lookup(address), known);
        }
        let evicted: Vec<_> = std::iter::from_fn(|| table.evict()).collect();
        assert_eq!(evicted.len(), 1000);
        let mut addresses: Vec<_> = evicted.iter().map(|one| one.0).collect();
        // The first time round only what has not been looked up goes, but for what moves back over the hand.
        let early = addresses[..500]
            .iter()
            .filter(|&&address| address <= 500 * 48);
        assert!(early.count() < 20);
        addresses.sort_unstable();
        let all = (1..=1001).map(|id| id * 48);
        assert_eq!(
            addresses,
            all.filter(|at| Some(*at) != first).collect::<Vec<_>>()
        );
        assert!(table.evict().is_none());
    }

    /// What has just come stays for a round of the hand, wherever that is.
    #[test]
    fn what_is_new_is_not_evicted() {
        let mut table = Table::default();
        for address in (48..=48_000).step_by(48) {
            table.insert(address, entry(1));
        }
        table.evict();
        for address in (100_000..=120_000).step_by(48) {
            table.insert(address, entry(2));
            let (evicted, _) = table.evict().expect("there are a thousand");
            assert!(evicted <= 48_000, "{evicted} has just been inserted");
        }
    }
}
