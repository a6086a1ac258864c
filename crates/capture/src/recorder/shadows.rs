//! What was recorded last of objects that can change: enough to see whether they have.

use debugop_recording::stream::{Change, Kind};
use pyo3::ffi;

use super::words::EMPTY;

/// What is in an object, at a glance.
#[derive(Debug, Default)]
pub(super) struct Glance {
    /// Of each part that is recorded a word: its address, or, of what is recorded by value, that. For other kinds than lists, tuples,
    /// sets, dicts, cells and instances a digest.
    pub(super) words: Vec<u64>,
    /// How many parts there are, recorded or not.
    pub(super) length: u64,
    pub(super) layout: Layout,
}

/// What the words of a [`Glance`] are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Layout {
    #[default]
    Other,
    /// One an item.
    Items,
    /// Two a pair.
    Pairs,
    /// The address of the keys, then one for each of those; [`EMPTY`] where there is no such attribute.
    Values,
    /// One for each member of `__slots__`, [`EMPTY`] where it is not set. There are no other attributes.
    Members,
    /// One an item, of an instance of a subclass of `list`, or of a deque, that has no attributes.
    ItemsAlone,
    /// Two a pair, of an instance of a subclass of `dict` that has no attributes.
    PairsAlone,
    /// There are none: an instance that has had no attribute yet, with no place for one but a dict to come (of a subclass of `list`).
    Nothing,
}

/// Where contents differ from a shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Difference {
    None,
    /// In one place; and the index of the word.
    One(Change, usize),
    Many,
}

/// What was recorded of an object.
#[derive(Debug)]
pub(super) struct Shadow {
    /// What was in it.
    pub(super) glance: Glance,
    /// How many objects had died by then.
    pub(super) deaths: u64,
    /// The newest id by then.
    pub(super) newest: u64,
    /// Its class, which it keeps alive, the number of that and the kind.
    pub(super) class: *mut ffi::PyTypeObject,
    pub(super) number: u32,
    pub(super) kind: Kind,
}

impl Default for Shadow {
    fn default() -> Self {
        Self {
            glance: Glance::default(),
            deaths: 0,
            newest: 0,
            class: std::ptr::null_mut(),
            number: 0,
            kind: Kind::Opaque,
        }
    }
}

impl Glance {
    pub(super) fn clear(&mut self) {
        self.words.clear();
        (self.length, self.layout) = (0, Layout::Other);
    }

    /// Whether a word can come without more memory.
    #[inline(always)]
    pub(super) fn has_place(&self) -> bool {
        self.words.len() < self.words.capacity()
    }

    /// Changes a word, or adds one at the end if [there is a place](Self::has_place).
    #[inline(always)]
    pub(super) fn set(&mut self, at: usize, word: u64) {
        if let Some(kept) = self.words.get_mut(at) {
            *kept = word;
        } else if at == self.words.len() && self.has_place() {
            self.words.push(word);
        }
    }

    /// Changes all words, if these need no more memory; whether it does.
    #[inline(always)]
    pub(super) fn set_all(&mut self, words: &[u64]) -> bool {
        let has_places = words.len() <= self.words.capacity();
        if has_places {
            self.words.clear();
            self.words.extend_from_slice(words);
        }
        has_places
    }

    /// Where `now` differs from this.
    pub(super) fn difference(&self, now: &Self) -> Difference {
        let (old, new) = (&self.words[..], &now.words[..]);
        if self.layout != now.layout {
            return Difference::Many;
        }
        let common = old.len().min(new.len());
        let place = (0..common).find(|&at| old[at] != new[at]);
        let Some(at) = place else {
            return self.longer(now, common);
        };
        // Behind the first difference everything is the same; attributes that no object of the class had when this was cast are empty.
        let rest = |words: &[u64]| words[common..].iter().all(|&word| word == EMPTY);
        let same_size = old.len() == new.len() || self.layout == Layout::Values;
        if !same_size || old[at + 1..common] != new[at + 1..common] || !rest(old) || !rest(new) {
            return Difference::Many;
        }
        let one = |change| Difference::One(change, at);
        match self.layout {
            Layout::Items | Layout::ItemsAlone if self.length == now.length => {
                one(Change::Replace(at))
            }
            Layout::Pairs | Layout::PairsAlone if self.length == now.length && at % 2 == 1 => {
                one(Change::Replace(at / 2))
            }
            Layout::Values | Layout::Members => now.attribute(self, at),
            _ => Difference::Many,
        }
    }

    /// How many attributes there are before word `at`.
    #[inline]
    pub(super) fn parts_before(&self, at: usize) -> usize {
        let keys = usize::from(self.layout == Layout::Values);
        let before = self.words.get(keys..at).unwrap_or_default();
        before.iter().filter(|&&word| word != EMPTY).count()
    }

    /// Attribute `at` is all that differs from `old`, but for empty ones.
    fn attribute(&self, old: &Self, at: usize) -> Difference {
        if at == 0 && self.layout == Layout::Values {
            return Difference::Many;
        }
        let place = self.parts_before(at);
        let was = old.words.get(at).copied().unwrap_or(EMPTY);
        let change = match (was == EMPTY, self.words[at] == EMPTY) {
            (false, false) if self.length == old.length => Change::Replace(place),
            (true, false) if self.length == old.length + 1 => Change::Insert(place),
            _ => return Difference::Many,
        };
        Difference::One(change, at)
    }

    /// As [`Self::difference`], where the first `common` words are the same.
    fn longer(&self, now: &Self, common: usize) -> Difference {
        let more = &now.words[common..];
        let one = |change| Difference::One(change, common);
        match now.layout {
            Layout::Values if self.words.len() <= common => {
                let mut set = (common..now.words.len()).filter(|&at| now.words[at] != EMPTY);
                match (set.next(), set.next()) {
                    (None, _) if self.length == now.length => Difference::None,
                    (Some(at), None) => now.attribute(self, at),
                    _ => Difference::Many,
                }
            }
            _ if self.words.len() > common => Difference::Many,
            _ if more.is_empty() && self.length == now.length => Difference::None,
            Layout::Items | Layout::Pairs | Layout::ItemsAlone | Layout::PairsAlone
                if more.is_empty() =>
            {
                one(Change::Length)
            }
            Layout::Items | Layout::ItemsAlone
                if more.len() == 1 && now.length == self.length + 1 =>
            {
                one(Change::Insert(common))
            }
            Layout::Pairs | Layout::PairsAlone
                if more.len() == 2 && now.length == self.length + 1 =>
            {
                one(Change::Insert(common / 2))
            }
            _ => Difference::Many,
        }
    }
}

/// Shadows, by the index that an object's entry has.
#[derive(Default)]
pub(super) struct Shadows {
    all: Vec<Shadow>,
    free: Vec<u32>,
}

impl Shadows {
    /// A new index.
    pub(super) fn add(&mut self) -> u32 {
        if let Some(index) = self.free.pop() {
            return index;
        }
        self.all.push(Shadow::default());
        self.all.len() as u32 - 1
    }

    /// The object is gone.
    pub(super) fn free(&mut self, index: u32) {
        self.free.push(index);
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> &Shadow {
        &self.all[index as usize]
    }

    /// As [`Self::get`], where nobody catches panics.
    #[inline(always)]
    pub(super) fn find(&self, index: u32) -> Option<&Shadow> {
        self.all.get(index as usize)
    }

    /// As [`Self::find`].
    #[inline(always)]
    pub(super) fn find_mut(&mut self, index: u32) -> Option<&mut Shadow> {
        self.all.get_mut(index as usize)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: u32) -> &mut Shadow {
        &mut self.all[index as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glance(layout: Layout, length: u64, words: &[u64]) -> Glance {
        Glance {
            words: words.to_vec(),
            length,
            layout,
        }
    }

    fn difference(layout: Layout, old: (u64, &[u64]), new: (u64, &[u64])) -> Difference {
        glance(layout, old.0, old.1).difference(&glance(layout, new.0, new.1))
    }

    #[test]
    fn a_list_changes_in_one_place() {
        use Difference::{Many, None, One};
        let list = |old, new| difference(Layout::Items, old, new);
        assert_eq!(list((2, &[5, 6]), (2, &[5, 6])), None);
        assert_eq!(list((2, &[5, 6]), (2, &[7, 6])), One(Change::Replace(0), 0));
        assert_eq!(
            list((2, &[5, 6]), (3, &[5, 6, 7])),
            One(Change::Insert(2), 2)
        );
        assert_eq!(list((16, &[5, 6]), (17, &[5, 6])), One(Change::Length, 2));
        assert_eq!(list((2, &[5, 6]), (2, &[6, 5])), Many);
        assert_eq!(list((2, &[5, 6]), (1, &[5])), Many);
        assert_eq!(list((17, &[5, 6]), (18, &[7, 6])), Many);
        assert_eq!(list((2, &[5, 6]), (4, &[5, 6, 7, 8])), Many);
    }

    #[test]
    fn an_instance_changes_in_one_place() {
        use Difference::{Many, None, One};
        let instance = |old, new| difference(Layout::Values, old, new);
        // Attribute 1 of the class is not there: the value behind it is the first pair but one.
        let old: (u64, &[u64]) = (2, &[9, 5, EMPTY, 6]);
        assert_eq!(instance(old, (2, &[9, 5, EMPTY, 6, EMPTY])), None);
        assert_eq!(
            instance(old, (2, &[9, 5, EMPTY, 7])),
            One(Change::Replace(1), 3)
        );
        assert_eq!(instance(old, (3, &[9, 5, 8, 6])), One(Change::Insert(1), 2));
        assert_eq!(
            instance(old, (3, &[9, 5, EMPTY, 6, EMPTY, 7])),
            One(Change::Insert(2), 5)
        );
        assert_eq!(instance(old, (1, &[9, 5, EMPTY, EMPTY])), Many);
        assert_eq!(instance(old, (2, &[8, 5, EMPTY, 6])), Many, "other keys");
        assert_eq!(instance(old, (4, &[9, 5, 7, 6, 7])), Many);
    }

    #[test]
    fn slots_change_in_one_place() {
        use Difference::{Many, None, One};
        let slots = |old, new| difference(Layout::Members, old, new);
        let old: (u64, &[u64]) = (2, &[EMPTY, 5, EMPTY, 6]);
        assert_eq!(slots(old, old), None);
        assert_eq!(
            slots(old, (2, &[EMPTY, 5, EMPTY, 7])),
            One(Change::Replace(1), 3)
        );
        assert_eq!(
            slots(old, (3, &[8, 5, EMPTY, 6])),
            One(Change::Insert(0), 0)
        );
        assert_eq!(
            slots(old, (3, &[EMPTY, 5, 8, 6])),
            One(Change::Insert(1), 2)
        );
        assert_eq!(slots(old, (1, &[EMPTY, EMPTY, EMPTY, 6])), Many);
        assert_eq!(slots(old, (2, &[5, EMPTY, EMPTY, 6])), Many);
    }

    #[test]
    fn a_dict_changes_in_one_place() {
        use Difference::{Many, One};
        let dict = |old, new| difference(Layout::Pairs, old, new);
        assert_eq!(
            dict((2, &[5, 6, 7, 8]), (2, &[5, 6, 7, 9])),
            One(Change::Replace(1), 3)
        );
        assert_eq!(
            dict((1, &[5, 6]), (2, &[5, 6, 7, 9])),
            One(Change::Insert(1), 2)
        );
        assert_eq!(dict((1, &[5, 6]), (1, &[7, 6])), Many, "another key");
    }
}
