//! Which int comes next at a capture: loops count, and so do indices and sums.

use super::SiteNumber;

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    last: i64,
    stride: i64,
    epoch: u32,
}

impl Entry {
    /// This int is there now. Whether it was expected.
    #[inline]
    fn follows(&mut self, epoch: u32, value: i64) -> bool {
        let known = self.epoch == epoch;
        let expected = known && self.last.wrapping_add(self.stride) == value;
        self.stride = if known {
            value.wrapping_sub(self.last)
        } else {
            0
        };
        self.last = value;
        self.epoch = epoch;
        expected
    }
}

/// For each capture the int that was there last, and by how much it was more than the one before.
///
/// Both sides keep one a recording, [`clear`](Self::clear) it where a chunk begins and tell it each int that a site captures. A
/// capture's entry is that with the number of its site + its index among the site's captures, so that few more entries
/// than sites are needed; where two captures share one, less is predicted. Which captures have one must not depend on how many sites are
/// known by then: the writer learns of them one by one, a reader has them all.
#[derive(Debug)]
pub struct Strides {
    entries: Vec<Entry>,
    epoch: u32,
}

/// The captures of a site before this one have entries.
const CAPTURES: usize = 64;

impl Default for Strides {
    fn default() -> Self {
        Strides {
            entries: Vec::new(),
            epoch: 1,
        }
    }
}

impl Strides {
    /// For `sites` sites.
    #[must_use]
    pub fn new(sites: usize) -> Self {
        let mut new = Strides::default();
        new.grow(sites);
        new
    }

    /// Makes room for sites up to this number of them; an int of a site that there is no room for is never expected. Allocates.
    pub fn grow(&mut self, sites: usize) {
        let wanted = sites.min(super::Predictor::MAX_SITES) + CAPTURES;
        if wanted > self.entries.len() {
            self.entries.resize(wanted, Entry::default());
        }
    }

    /// A new chunk begins: nothing is expected. Takes no time.
    pub fn clear(&mut self) {
        if let Some(next) = self.epoch.checked_add(1) {
            self.epoch = next;
        } else {
            self.entries.fill(Entry::default());
            self.epoch = 1;
        }
    }

    #[inline]
    fn entry(&mut self, site: SiteNumber, capture: usize) -> Option<&mut Entry> {
        if capture >= CAPTURES || site.0 as usize >= super::Predictor::MAX_SITES {
            return None;
        }
        self.entries.get_mut(site.0 as usize + capture)
    }

    /// A site captures this int. Whether it was expected.
    #[inline]
    #[must_use]
    pub fn follows(&mut self, site: SiteNumber, capture: usize, value: i64) -> bool {
        let epoch = self.epoch;
        let entry = self.entry(site, capture);
        entry.is_some_and(|entry| entry.follows(epoch, value))
    }

    /// The same, for a capture that may have an entry for certain.
    #[inline]
    pub(super) fn follows_first(&mut self, site: SiteNumber, capture: usize, value: i64) -> bool {
        debug_assert!(capture < CAPTURES && (site.0 as usize) < super::Predictor::MAX_SITES);
        let entry = self.entries.get_mut(site.0 as usize + capture);
        entry.is_some_and(|entry| entry.follows(self.epoch, value))
    }

    /// What is expected there.
    #[inline]
    pub(super) fn expected(&mut self, site: SiteNumber, capture: usize) -> Option<i64> {
        let epoch = self.epoch;
        let entry = self.entry(site, capture)?;
        (entry.epoch == epoch).then(|| entry.last.wrapping_add(entry.stride))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_expected_from_the_third_on() {
        let mut strides = Strides::new(2);
        let site = SiteNumber(1);
        assert_eq!(strides.expected(site, 0), None);
        assert!(!strides.follows(site, 0, 7));
        assert_eq!(strides.expected(site, 0), Some(7));
        assert!(strides.follows(site, 0, 7));
        assert!(!strides.follows(site, 0, 17));
        assert!(strides.follows(site, 0, 27));
        assert_eq!(strides.expected(site, 0), Some(37));
        strides.clear();
        assert_eq!(strides.expected(site, 0), None);
        assert!(!strides.follows(site, CAPTURES, 0), "no room");
        assert_eq!(strides.expected(site, CAPTURES), None);
        assert!(!strides.follows(site, 0, i64::MIN));
        assert!(!strides.follows(site, 0, i64::MAX));
        assert_eq!(strides.expected(site, 0), Some(i64::MAX - 1), "it wraps");
    }

    /// A writer meets one code object after the other; whoever reads knows them all from the beginning.
    #[test]
    fn sites_that_come_later_change_nothing() {
        let (mut writer, mut reader) = (Strides::new(0), Strides::new(100));
        let mut sites = 0;
        for (site, capture, value) in [
            (0, 0, 1),
            (1, 1, 1),
            (1, 1, 1),
            (2, 0, 9),
            (9, 63, 5),
            (50, 22, 7),
            (1, 1, 1),
            (9, 70, 5),
            (99, 7, 3),
            (99, 7, 3),
        ] {
            sites = sites.max(site as usize + 1);
            writer.grow(sites);
            let site = SiteNumber(site);
            let expected = reader.expected(site, capture);
            let follows = writer.follows(site, capture, value);
            assert_eq!(follows, expected == Some(value), "{site:?} {capture}");
            assert_eq!(reader.follows(site, capture, value), follows);
        }
    }
}
