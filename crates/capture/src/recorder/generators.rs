//! The frames of generators and coroutines that have been recorded, by address: they may be suspended, and go on.
//!
//! Open addressing with linear probing. Nothing is taken out: a frame that has ended leaves its place to the next one at its address.

use debugop_recording::stream::{FrameNumber, Reenter};

/// A frame of a generator or coroutine that has been recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Suspendable {
    /// Where it is; 0: a place that is free.
    pub(super) address: usize,
    pub(super) number: u64,
    /// The probed copy that it runs.
    pub(super) copy: usize,
    /// The last chunk in which it is known.
    pub(super) chunk: u32,
    /// How a record says that it goes on.
    pub(super) reenter: Reenter,
}

impl Suspendable {
    /// The frame at `address` with this number, which runs `copy` and is known in `chunk`.
    #[inline]
    pub(super) fn new(address: usize, number: u64, copy: usize, chunk: u32) -> Self {
        Self {
            address,
            number,
            copy,
            chunk,
            reenter: Reenter::of(FrameNumber(number)),
        }
    }
}

/// A power of two of places, of which at most half are in use.
pub(super) struct Generators {
    places: Box<[Suspendable]>,
    used: usize,
}

const FIRST: usize = 1 << 8;

impl Default for Generators {
    fn default() -> Self {
        Self {
            places: [Suspendable::default(); FIRST].into(),
            used: 0,
        }
    }
}

impl Generators {
    /// Where a frame is looked for first.
    #[inline(always)]
    fn home(&self, address: usize) -> usize {
        // Fibonacci hashing, of which the highest bits are the ones that part neighbours; frames are at multiples of 8.
        let mixed = ((address as u64) >> 3).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((u128::from(mixed) * self.places.len() as u128) >> u64::BITS) as usize
    }

    /// Where a frame is, or would be.
    #[inline]
    fn place(&self, address: usize) -> usize {
        let mask = self.places.len() - 1;
        let mut place = self.home(address);
        loop {
            let there = self.places[place].address;
            if there == address || there == 0 {
                return place;
            }
            place = (place + 1) & mask;
        }
    }

    /// The one at an address, which is not 0, if it runs `copy` and is known in `chunk`.
    #[inline(always)]
    pub(super) fn known(&self, address: usize, copy: usize, chunk: u32) -> Option<&Suspendable> {
        self.find(address, copy, chunk).map(|(_, known)| known)
    }

    /// The same, and its place.
    #[inline(always)]
    pub(super) fn find(
        &self,
        address: usize,
        copy: usize,
        chunk: u32,
    ) -> Option<(usize, &Suspendable)> {
        let (place, known) = self.search(address)?;
        (known.copy == copy && known.chunk == chunk).then_some((place, known))
    }

    /// The one in this place, or none.
    #[inline(always)]
    pub(super) fn at(&self, place: u32) -> Option<&Suspendable> {
        self.places.get(place as usize)
    }

    /// The one at an address, which is not 0.
    #[inline(always)]
    pub(super) fn get(&self, address: usize) -> Option<&Suspendable> {
        self.search(address).map(|(_, known)| known)
    }

    #[inline(always)]
    fn search(&self, address: usize) -> Option<(usize, &Suspendable)> {
        let mask = self.places.len() - 1;
        let mut place = self.home(address);
        loop {
            let known = self.places.get(place)?;
            if known.address == address {
                return Some((place, known));
            }
            if known.address == 0 {
                return None;
            }
            place = (place + 1) & mask;
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, address: usize) -> Option<&mut Suspendable> {
        let place = self.place(address);
        let known = &mut self.places[place];
        (known.address == address).then_some(known)
    }

    /// This is the one at its address now.
    #[inline]
    pub(super) fn insert(&mut self, one: Suspendable) {
        let place = self.place(one.address);
        let known = &mut self.places[place];
        let is_new = known.address == 0;
        *known = one;
        if is_new {
            self.used += 1;
            if self.used * 2 > self.places.len() {
                self.grow();
            }
        }
    }

    /// Whether [`insert_in_room`](Self::insert_in_room) may be called.
    #[inline(always)]
    pub(super) fn has_room(&self) -> bool {
        (self.used + 1) * 2 <= self.places.len()
    }

    /// As [`insert`](Self::insert), where there is room for one more.
    #[inline(always)]
    pub(super) fn insert_in_room(&mut self, one: Suspendable) {
        debug_assert!(self.has_room());
        let mask = self.places.len() - 1;
        let mut place = self.home(one.address);
        while let Some(known) = self.places.get_mut(place) {
            let was = known.address;
            if was == one.address || was == 0 {
                *known = one;
                self.used += usize::from(was == 0);
                return;
            }
            place = (place + 1) & mask;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let twice = vec![Suspendable::default(); self.places.len() * 2];
        let old = std::mem::replace(&mut self.places, twice.into());
        for one in old.into_iter().filter(|one| one.address != 0) {
            let place = self.place(one.address);
            self.places[place] = one;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Any sequence of operations gives what a map of the standard library gives.
    #[test]
    fn is_a_map() {
        for addresses in [3, 100, 40_000] {
            let mut seed = 1_u64;
            let mut random = |below: usize| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                seed as usize % below
            };
            let (mut table, mut model) = (Generators::default(), HashMap::new());
            for number in 0..60_000 {
                let address = (random(addresses) + 1) * 8;
                if random(2) == 0 {
                    let one = Suspendable::new(address, number, random(3), random(5) as u32);
                    match table.has_room() {
                        true => table.insert_in_room(one),
                        false => table.insert(one),
                    }
                    model.insert(address, one);
                }
                assert_eq!(table.get(address), model.get(&address));
                assert_eq!(table.get_mut(address), model.get_mut(&address));
                let (copy, chunk) = (random(3), random(5) as u32);
                let known = model.get(&address);
                let known = known.filter(|one| (one.copy, one.chunk) == (copy, chunk));
                assert_eq!(table.known(address, copy, chunk), known);
                let found = table.find(address, copy, chunk);
                assert_eq!(found.and_then(|(place, _)| table.at(place as u32)), known);
                assert_eq!(table.used, model.len());
            }
        }
    }
}
