//! Which site comes next: so that a site that is where the last one led last time costs no byte.

use super::SiteNumber;

/// What came last in the frame that is on top after a record's `POP`s and before its `ENTER`, `REENTER` or `ATTACH`; the
/// predictor's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Last(u64);

impl Last {
    /// There is no such frame, or no site of it has fired in this chunk.
    pub const NOTHING: Last = Last(0);

    /// The last site that fired in this frame; `popped`: the record has `POP`s, so the frame goes on after a call.
    #[inline]
    #[must_use]
    pub fn site(site: SiteNumber, popped: bool) -> Self {
        Last(2 * u64::from(site.0) + 2 + u64::from(popped))
    }
}

/// For each site the site that followed it last time in this chunk; twice, with and without a call in between.
///
/// Both sides keep one a recording, a writer perhaps in another form, [`clear`](Self::clear) it where a chunk begins and ask it once a record.
#[derive(Debug)]
pub struct Predictor {
    /// The site, or [`NOTHING`]; index 2·site + 2 + popped, 0 for [`Last::NOTHING`].
    following: Vec<u32>,
    /// The indices of those that are not `NOTHING`, with room for all: so a chunk begins in proportion to what the last one has met.
    known: Vec<u32>,
}

/// It is not known what follows: no site has this number.
const NOTHING: u32 = u32::MAX;

impl Default for Predictor {
    fn default() -> Self {
        Predictor {
            following: vec![NOTHING; 2],
            known: Vec::with_capacity(2),
        }
    }
}

impl Predictor {
    /// The largest number of sites a recording may have.
    pub const MAX_SITES: usize = 1 << 30;

    /// A predictor for `sites` sites.
    #[must_use]
    pub fn new(sites: usize) -> Self {
        let mut new = Predictor::default();
        new.grow(sites);
        new
    }

    /// Makes room for sites up to this number of them (at most [`MAX_SITES`](Self::MAX_SITES)); a site that there is no room for is never predicted. Allocates.
    pub fn grow(&mut self, sites: usize) {
        let wanted = 2 * sites.min(Self::MAX_SITES) + 2;
        if wanted > self.following.len() {
            self.following.resize(wanted, NOTHING);
            self.known.reserve(wanted - self.known.len());
        }
    }

    /// A new chunk begins: nothing is predicted.
    pub fn clear(&mut self) {
        for index in self.known.drain(..) {
            self.following[index as usize] = NOTHING;
        }
    }

    /// The writer's side: `site` follows `last`. Whether that was predicted, that is whether `SITE` is left out.
    #[inline]
    #[must_use]
    pub fn follows(&mut self, last: Last, site: SiteNumber) -> bool {
        match self.following.get_mut(last.0 as usize) {
            // What is no site's number is not predicted either.
            Some(known) if *known == site.0 => site.0 != NOTHING,
            Some(known) => {
                if *known == NOTHING {
                    self.known.push(last.0 as u32);
                }
                *known = site.0;
                false
            }
            None => false,
        }
    }

    /// The reader's side: what follows `last`, if that is known.
    #[inline]
    #[must_use]
    pub fn predicted(&self, last: Last) -> Option<SiteNumber> {
        let &known = self.following.get(last.0 as usize)?;
        (known != NOTHING).then_some(SiteNumber(known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_last_time_is_predicted_until_the_chunk_ends() {
        let mut predictor = Predictor::new(3);
        let last = Last::site(SiteNumber(1), false);
        assert_eq!(predictor.predicted(last), None);
        assert!(!predictor.follows(last, SiteNumber(2)));
        assert!(predictor.follows(last, SiteNumber(2)));
        assert_eq!(predictor.predicted(last), Some(SiteNumber(2)));
        assert_eq!(predictor.predicted(Last::site(SiteNumber(1), true)), None);
        assert_eq!(predictor.predicted(Last::NOTHING), None);
        assert!(!predictor.follows(last, SiteNumber(0)));
        assert_eq!(predictor.predicted(last), Some(SiteNumber(0)));
        predictor.clear();
        assert_eq!(predictor.predicted(last), None);
        assert!(!predictor.follows(last, SiteNumber(2)));
    }

    #[test]
    fn a_site_without_room_is_never_predicted() {
        let mut predictor = Predictor::new(1);
        for site in [1, 7, u32::MAX / 2, u32::MAX] {
            let last = Last::site(SiteNumber(site), true);
            if site < u32::MAX / 2 {
                assert!(!predictor.follows(last, SiteNumber(0)));
                assert!(!predictor.follows(last, SiteNumber(0)));
            }
        }
    }
}
