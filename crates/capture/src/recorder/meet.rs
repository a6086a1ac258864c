//! An object is met that nobody has known, of a type that has been met: most new objects, written without asking anything twice.

use debugop_recording::stream::{Encoder, Kind};
use pyo3::{Python, ffi};

use super::identities::{Entry, NONE};
use super::pen::{CONTENTS_RESERVE, IS_TYPE, Pen, is_mutable};
use super::types::is_heap_type;
use crate::identity::block_of;

/// What is known of such an object.
#[derive(Clone, Copy)]
pub(super) struct Met {
    /// Where its memory begins.
    block: usize,
    /// The number of its type.
    number: u32,
}

impl Pen {
    /// What is known of an object about which nothing is special: it is new, it may be looked into, and there is room for its contents.
    #[inline(always)]
    pub(super) fn is_usual(
        &self,
        py: Python<'_>,
        to: &Encoder<'_>,
        object: *mut ffi::PyObject,
    ) -> Option<Met> {
        // SAFETY: a live object.
        let (block, class) = unsafe { (block_of(object), ffi::Py_TYPE(object)) };
        if !self.identities.is_new(py, block)
            || !self.redacted.is_off()
            || !to.has_room(CONTENTS_RESERVE)
        {
            return None;
        }
        // Those that have a number have been judged; what is recorded by value, or has a tag of its own, has none.
        let number = match is_heap_type(class) {
            true => self.identities.recent_index(py, class)? & !IS_TYPE,
            false => self.types.find_near(class)?,
        };
        Some(Met { block, number })
    }

    /// Writes its definition; `inside` so many containers, no more than may have contents.
    #[inline(never)]
    pub(super) fn meet(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        object: *mut ffi::PyObject,
        Met { block, number }: Met,
        inside: u32,
    ) {
        let kind = self.types.get_ref(number).kind;
        let entry = Entry {
            id: self.next_id(),
            epoch: self.chunk << 1 | 1,
            index: match is_mutable(kind) {
                true => self.new_shadow(py, inside),
                false => NONE,
            },
        };
        // Some tuples are used again for others.
        let stands = kind != Kind::Tuple;
        self.identities.insert_new(py, object, block, entry, stands);
        match kind {
            // Nothing is known of what is in it.
            Kind::Opaque => self.head(to, entry, number, None),
            _ => self.describe(py, to, object, (number, kind), entry, inside),
        }
    }
}
