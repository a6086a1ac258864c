//! Which site comes next, as the stream's [`Predictor`](debugop_recording::stream::Predictor) knows it; here found by a pointer, which each site and each
//! recorded frame has, instead of a number.
//!
//! What is kept of a site stays where it is as long as the process lives, so that a pointer to it needs no look whether there is still a recording.

use std::cell::Cell;

use debugop_recording::stream::{Predictor, SiteNumber};
use pyo3::Python;

use crate::gil::GilCell;

/// No site has followed.
const NOTHING: u32 = u32::MAX;
/// No site ever follows: nothing is kept.
const NEVER: u32 = u32::MAX - 1;

/// The number of the site that followed last time in this chunk.
#[repr(transparent)]
#[derive(Debug)]
pub(super) struct Follower(Cell<u32>);

impl Follower {
    /// Whether it was this one, whose number is below [`Predictor::MAX_SITES`].
    #[inline(always)]
    pub(super) fn is(&self, site: SiteNumber) -> bool {
        self.0.get() == site.0
    }

    /// From now on it is this one; it was not. Whether some site was known: otherwise nothing is changed.
    #[inline(always)]
    pub(super) fn corrects(&self, site: SiteNumber) -> bool {
        debug_assert!(!self.is(site));
        let is_known = self.0.get() < NEVER;
        if is_known {
            self.0.set(site.0);
        }
        is_known
    }
}

/// What followed a site last time.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Following {
    at_once: Follower,
    /// Where a call came in between.
    popped: Follower,
}

// SAFETY: read and written with the GIL held only; see `GilCell`.
unsafe impl Sync for Following {}

impl Following {
    const fn new(at_once: u32, popped: u32) -> Self {
        Self {
            at_once: Follower(Cell::new(at_once)),
            popped: Follower(Cell::new(popped)),
        }
    }

    /// What a site does that fires next in the same frame: with nothing in between.
    #[inline(always)]
    pub(super) fn at_once(&'static self) -> &'static Follower {
        &self.at_once
    }

    /// The same where the record says that a frame above has ended or been suspended. Of [no site](nothing) that is never known.
    #[inline(always)]
    pub(super) fn popped(&'static self) -> &'static Follower {
        &self.popped
    }

    /// What is kept where `popped` says whether the record says that frames have ended.
    pub(super) fn behind(&'static self, popped: bool) -> &'static Follower {
        match popped && !std::ptr::eq(self, nothing()) {
            true => &self.popped,
            false => &self.at_once,
        }
    }
}

static NO_SITE: Following = Following::new(NOTHING, NEVER);
static NO_ROOM: Following = Following::new(NEVER, NEVER);

/// Where there is no frame, or no site of it has fired in this chunk.
#[inline(always)]
pub(super) fn nothing() -> &'static Following {
    &NO_SITE
}

/// For a site that has no number.
#[inline(always)]
pub(super) fn never() -> &'static Following {
    &NO_ROOM
}

/// So many sites' have one block.
const BLOCK: usize = 1 << 9;

static ALL: GilCell<Vec<&'static [Following; BLOCK]>> = GilCell::new(Vec::new());

/// What is kept of the site with this number: nothing, if there is [no room](Followers::grow) for it.
pub(super) fn of(py: Python<'_>, site: u32) -> &'static Following {
    ALL.with(py, |all| {
        let block = all.get(site as usize / BLOCK);
        block.map_or(&NO_ROOM, |block| &block[site as usize % BLOCK])
    })
}

/// Knows what has followed in this chunk.
#[derive(Default)]
pub(super) struct Followers {
    known: Vec<&'static Follower>,
}

impl Followers {
    /// A recording begins, the only one there is.
    pub(super) fn begin(py: Python<'_>) {
        ALL.with(py, |all| {
            for one in all.iter().flat_map(|block| block.iter()) {
                one.at_once.0.set(NOTHING);
                one.popped.0.set(NOTHING);
            }
        });
        NO_SITE.at_once.0.set(NOTHING);
    }

    /// Makes room for sites up to this number of them, at most [`Predictor::MAX_SITES`].
    pub(super) fn grow(&mut self, py: Python<'_>, sites: usize) {
        let blocks = sites.min(Predictor::MAX_SITES).div_ceil(BLOCK);
        ALL.with(py, |all| {
            while all.len() < blocks {
                let block = [const { Following::new(NOTHING, NOTHING) }; BLOCK];
                all.push(Box::leak(Box::new(block)));
            }
        });
    }

    /// A new chunk begins: nothing is predicted.
    pub(super) fn clear(&mut self) {
        for known in self.known.drain(..) {
            known.0.set(NOTHING);
        }
    }

    /// `site` follows. Whether that was predicted, that is whether `SITE` is left out.
    #[inline]
    pub(super) fn follows(&mut self, last: &'static Follower, site: SiteNumber) -> bool {
        let known = last.0.get();
        if known == site.0 {
            return true;
        }
        if known == NOTHING {
            self.known.push(last);
        }
        if known != NEVER {
            last.0.set(site.0);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use debugop_recording::stream::Last;

    /// Any sequence of sites is predicted as the stream's reader predicts it.
    #[test]
    fn predicts_what_a_reader_does() {
        // SAFETY: a token, for cells that nobody else uses: this is the only test of these.
        let py = unsafe { Python::assume_attached() };
        let sites = 3 * BLOCK as u32 / 2;
        let mut seed = 1_u64;
        let mut random = |below: u32| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % u64::from(below)) as u32
        };
        for _ in 0..3 {
            Followers::begin(py);
            let mut followers = Followers::default();
            let mut reader = Predictor::new(sites as usize);
            followers.grow(py, sites as usize);
            let mut outcomes = [0; 4];
            for _ in 0..100_000 {
                if random(10_000) == 0 {
                    followers.clear();
                    reader.clear();
                }
                let (popped, site) = (random(2) == 1, SiteNumber(random(3)));
                let (last, key) = match random(4) {
                    0 => (nothing(), Last::NOTHING),
                    _ => {
                        let number = [0, 1, sites - 1][random(3) as usize];
                        (of(py, number), Last::site(SiteNumber(number), popped))
                    }
                };
                let is_nothing = std::ptr::eq(last, nothing());
                let follower = last.behind(popped);
                match random(3) {
                    0 if popped && is_nothing => {
                        assert!(!last.popped().is(site) && !last.popped().corrects(site));
                    }
                    0 => {
                        let predicted = reader.predicted(key);
                        assert_eq!(follower.is(site), predicted == Some(site));
                        let corrected = !follower.is(site) && follower.corrects(site);
                        let is_other = predicted.is_some_and(|other| other != site);
                        assert_eq!(corrected, is_other);
                        assert!(!corrected || !reader.follows(key, site));
                        outcomes[usize::from(corrected)] += 1;
                    }
                    _ => {
                        let follows = followers.follows(follower, site);
                        assert_eq!(follows, reader.follows(key, site));
                        outcomes[2 + usize::from(follows)] += 1;
                    }
                }
            }
            assert!(outcomes.iter().all(|&count| count > 1000), "{outcomes:?}");
        }
        assert!(!Followers::default().follows(never().behind(true), SiteNumber(1)));
        assert!(!Followers::default().follows(never().behind(true), SiteNumber(1)));
        assert!(std::ptr::eq(of(py, u32::MAX - 2), never()));
    }
}
