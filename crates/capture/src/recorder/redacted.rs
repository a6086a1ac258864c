//! `--redact`: values that stay out of the recording.
//!
//! A value is left out where it has one of the names: in a variable, under an attribute or a key, and on the value stack on its way to or from one
//! ([`named_slots`]). From then on the same object is left out wherever it turns up; ints, floats and the like have no identity by which to tell.

use debugop_bytecode::{InstrIdx, Names, named_slots};
use debugop_filter::Pattern;
use debugop_recording::file::{CodeRecord, Constant};
use debugop_recording::stream::Encoder;
use pyo3::{Python, ffi};
use rustc_hash::{FxHashMap, FxHashSet};

use super::pen::{Pen, is_by_value};
use super::planned::{PlannedCode, PlannedSite};
use crate::layout::slot::Content;

/// Names whose values are left out, and what has been left out.
pub(super) struct Redacted {
    patterns: Vec<Pattern>,
    /// Ids of objects.
    objects: FxHashSet<u64>,
    /// Slots of frames, by the number of the code object.
    slots: FxHashMap<u32, NamedSlots>,
}

/// Slots of the frames of a code object that hold a value with one of the names.
struct NamedSlots {
    locals: Box<[bool]>,
    /// Of the value stack, before an instruction.
    stack: Box<[(InstrIdx, u32)]>,
}

impl NamedSlots {
    fn holds(&self, next: InstrIdx, slot: u32) -> bool {
        let slot = slot as usize;
        match self.locals.get(slot) {
            Some(local) => *local,
            None => {
                let above = (slot - self.locals.len()) as u32;
                self.stack.binary_search(&(next, above)).is_ok()
            }
        }
    }
}

/// The names of a code object, and which of them are asked for.
struct Wanted<'a> {
    redacted: &'a Redacted,
    code: &'a CodeRecord,
}

impl Wanted<'_> {
    fn covers(&self, name: &[u8]) -> bool {
        self.redacted.covers(&String::from_utf8_lossy(name))
    }

    fn is_name(&self, constant: &Constant) -> bool {
        matches!(constant, Constant::Str(text) if self.covers(text))
    }
}

impl Names for Wanted<'_> {
    fn name(&self, index: u32) -> bool {
        let name = self.code.names.get(index as usize);
        name.is_some_and(|name| self.covers(name))
    }

    fn local(&self, index: u32) -> bool {
        let local = self.code.locals.get(index as usize);
        local.is_some_and(|local| self.covers(&local.name))
    }

    fn constant(&self, index: u32) -> bool {
        let constant = self.code.constants.get(index as usize);
        constant.is_some_and(|constant| self.is_name(constant))
    }

    fn constants(&self, index: u32) -> Vec<bool> {
        match self.code.constants.get(index as usize) {
            Some(Constant::Tuple(items)) => items.iter().map(|item| self.is_name(item)).collect(),
            _ => Vec::new(),
        }
    }
}

impl Redacted {
    pub(super) fn new(patterns: Vec<Pattern>) -> Self {
        Self {
            patterns,
            objects: FxHashSet::default(),
            slots: FxHashMap::default(),
        }
    }

    /// Whether nothing is ever left out.
    #[inline]
    pub(super) fn is_off(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether the values of this name are left out.
    pub(super) fn covers(&self, name: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.is(name))
    }

    /// Finds what is to be left out of the frames of a code object, whose sites are told.
    pub(super) fn meet(&mut self, code: &PlannedCode, record: &CodeRecord) {
        if self.is_off() {
            return;
        }
        let wanted = Wanted {
            redacted: self,
            code: record,
        };
        let slots = NamedSlots {
            locals: (0..code.locals())
                .map(|local| wanted.local(local))
                .collect(),
            stack: named_slots(code.probed().analysis(), &wanted).into(),
        };
        for site in &code.sites {
            let named = |slot: &u32| slots.holds(site.next, *slot);
            let captures = site.captures.iter().map(named);
            site.redacts
                .set(captures.zip(0..).fold(0, |bits, (named, index)| {
                    bits | u64::from(named) << PlannedSite::bit(index)
                }));
        }
        self.slots.insert(record.number, slots);
    }

    /// The same of code whose sites are those of `other`, which has been met.
    pub(super) fn meet_again(&self, code: &PlannedCode, other: &PlannedCode) {
        for (site, same) in code.sites.iter().zip(&other.sites) {
            site.redacts.set(same.redacts.get());
        }
    }

    /// Whether a slot of a frame, `next` being executed next, is left out.
    pub(super) fn holds(&self, code: u32, next: Option<InstrIdx>, slot: u32) -> bool {
        let slots = self.slots.get(&code);
        slots.is_some_and(|slots| slots.holds(next.unwrap_or(InstrIdx(u32::MAX)), slot))
    }
}

impl Pen {
    /// Leaves out what a slot holds.
    #[cold]
    pub(super) fn redact_slot(&mut self, py: Python<'_>, to: &mut Encoder<'_>, content: Content) {
        match content {
            Content::Object(object) => self.redact(py, to, object),
            content => self.slot(py, to, content),
        }
    }

    /// Leaves out an object, here and wherever it turns up from now on.
    #[cold]
    pub(super) fn redact(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        object: *mut ffi::PyObject,
    ) {
        if !is_by_value(object) {
            let id = self.id_of(py, object);
            self.redacted.objects.insert(id);
        }
        to.redacted();
    }

    /// Whether an object has been left out elsewhere.
    pub(super) fn has_redacted(&self, id: u64) -> bool {
        self.redacted.objects.contains(&id)
    }
}
