//! The recorded frames of one thread, so that one comes and goes in a few machine instructions.

use std::ops::{Deref, DerefMut};

use super::threads::Shadow;

/// Frames, bottom first; a slice of them.
///
/// Below the first one is a place that is no frame's, and above the last one at least one more: so whoever has the place of the last one
/// may look at the one below it.
pub(super) struct Frames {
    /// The first is no frame's; behind the last frame they are whatever has been there.
    places: Vec<Shadow>,
    /// How many frames there are.
    count: usize,
}

/// So many places there are at first.
const FIRST: usize = 16;

impl Default for Frames {
    fn default() -> Self {
        let mut places = Vec::new();
        places.resize_with(FIRST, Shadow::nobodys);
        Self { places, count: 0 }
    }
}

impl Frames {
    /// The place of the last frame; if there is none, that below the first.
    #[inline(always)]
    pub(super) fn top(&mut self) -> *mut Shadow {
        debug_assert!(self.count < self.places.len());
        // SAFETY: there are more places than frames. The pointer is that of all places, so that it may be moved to the others.
        unsafe { self.places.as_mut_ptr().add(self.count) }
    }

    /// One more frame comes, and stands at this place, where another one may have been.
    #[inline(always)]
    pub(super) fn add(&mut self) -> *mut Shadow {
        self.count += 1;
        if self.count + 1 >= self.places.len() {
            self.grow();
        }
        self.top()
    }

    /// Whether one more frame may come without that places are made for it.
    #[inline(always)]
    pub(super) fn has_place(&self) -> bool {
        self.count + 2 < self.places.len()
    }

    /// One more frame comes, for which there is a place: the next one.
    #[inline(always)]
    pub(super) fn rise(&mut self) {
        debug_assert!(self.has_place());
        self.count += 1;
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        let more = self.places.len() * 2;
        self.places.resize_with(more, Shadow::nobodys);
    }

    pub(super) fn push(&mut self, shadow: Shadow) {
        let place = self.add();
        // SAFETY: a place of ours.
        unsafe { *place = shadow };
    }

    /// The last frame has ended; there is one.
    #[inline(always)]
    pub(super) fn pop(&mut self) {
        debug_assert!(self.count > 0);
        self.count -= 1;
    }

    pub(super) fn truncate(&mut self, left: usize) {
        self.count = self.count.min(left);
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    /// Only those are left for which `keep` says so.
    pub(super) fn retain_mut(&mut self, mut keep: impl FnMut(&mut Shadow) -> bool) {
        let mut left = 0;
        for at in 1..=self.count {
            if keep(&mut self.places[at]) {
                left += 1;
                self.places.swap(left, at);
            }
        }
        self.count = left;
    }
}

impl Deref for Frames {
    type Target = [Shadow];

    #[inline]
    fn deref(&self) -> &[Shadow] {
        &self.places[1..=self.count]
    }
}

impl DerefMut for Frames {
    #[inline]
    fn deref_mut(&mut self) -> &mut [Shadow] {
        &mut self.places[1..=self.count]
    }
}

impl<'a> IntoIterator for &'a Frames {
    type Item = &'a Shadow;
    type IntoIter = std::slice::Iter<'a, Shadow>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> IntoIterator for &'a mut Frames {
    type Item = &'a mut Shadow;
    type IntoIter = std::slice::IterMut<'a, Shadow>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shadow(number: u64) -> Shadow {
        let mut made = Shadow::nobodys();
        (made.address, made.number) = (8, number);
        made
    }

    /// Any sequence of operations leaves what it leaves in a vector, and what is below the first is nobody's.
    #[test]
    fn is_a_vector() {
        let mut seed = 1_u64;
        let mut random = |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % below
        };
        let (mut frames, mut model) = (Frames::default(), Vec::new());
        for number in 0..20_000 {
            match random(40) {
                0 => {
                    let left = random(100) as usize;
                    frames.truncate(left);
                    model.truncate(left);
                }
                1 if random(30) == 0 => {
                    frames.clear();
                    model.clear();
                }
                2 => {
                    let divisor = random(9) + 2;
                    frames.retain_mut(|one| one.number % divisor != 0);
                    model.retain(|one| one % divisor != 0);
                }
                3 if frames.has_place() => {
                    let next = frames.top().wrapping_add(1);
                    frames.rise();
                    assert_eq!(frames.top(), next);
                    // SAFETY: a place of ours.
                    unsafe { *next = shadow(number) };
                    model.push(number);
                }
                4..12 if !model.is_empty() => {
                    frames.pop();
                    model.pop();
                }
                _ => {
                    frames.push(shadow(number));
                    model.push(number);
                }
            }
            assert!(
                frames
                    .iter()
                    .map(|one| one.number)
                    .eq(model.iter().copied())
            );
            // SAFETY: there is such a place, and as many below it as there are frames.
            unsafe {
                let top = frames.top();
                assert_eq!((*top.sub(model.len())).address, Shadow::NOWHERE);
                assert!(model.is_empty() || (*top).number == model[model.len() - 1]);
            }
        }
    }
}
