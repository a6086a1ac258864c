//! What was recorded last of objects that can change: enough to see whether they have.

use debugop_recording::stream::{Change, Kind};
use pyo3::ffi;

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
}

/// Whether a word may be the address of an object. Of a few numbers it is not known better.
#[inline]
pub(super) fn is_address(word: u64) -> bool {
    word >> 48 == 0 && word != EMPTY
}

/// Of a value that is not there.
pub(super) const EMPTY: u64 = 1;

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
            Layout::Items if self.length == now.length => one(Change::Replace(at)),
            Layout::Pairs if self.length == now.length && at % 2 == 1 => {
                one(Change::Replace(at / 2))
            }
            Layout::Values => now.attribute(self, at),
            _ => Difference::Many,
        }
    }

    /// Attribute `at` is all that differs from `old`, but for empty ones.
    fn attribute(&self, old: &Self, at: usize) -> Difference {
        if at == 0 {
            return Difference::Many;
        }
        let before = self.words[1..at].iter().filter(|&&word| word != EMPTY);
        let place = before.count();
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
            Layout::Items | Layout::Pairs if more.is_empty() => one(Change::Length),
            Layout::Items if more.len() == 1 && now.length == self.length + 1 => {
                one(Change::Insert(common))
            }
            Layout::Pairs if more.len() == 2 && now.length == self.length + 1 => {
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

    #[inline]
    pub(super) fn get_mut(&mut self, index: u32) -> &mut Shadow {
        &mut self.all[index as usize]
    }
}
