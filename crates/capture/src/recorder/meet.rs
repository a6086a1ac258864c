//! An object is met that nobody has known, of a type that has been met: most new objects, written without asking anything twice.

use debugop_recording::stream::{Encoder, Kind, ObjectId, Short};
use pyo3::{Python, ffi};

use super::identities::{Entry, NONE};
use super::pen::{CONTENTS_RESERVE, IS_TYPE, Pen, UNNAMED, is_mutable};
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
    /// What is known of an object about which nothing is special: it is new, it may be looked into, and there is room for its contents
    /// ([`CONTENTS_RESERVE`]).
    #[inline(always)]
    pub(super) fn is_usual(
        &self,
        py: Python<'_>,
        has_room: bool,
        object: *mut ffi::PyObject,
    ) -> Option<Met> {
        // SAFETY: a live object.
        let (block, class) = unsafe { (block_of(object), ffi::Py_TYPE(object)) };
        if !self.identities.is_new(py, block) || !self.redacted.is_off() || !has_room {
            return None;
        }
        let number = self.recent_number(py, class)?;
        Some(Met { block, number })
    }

    /// The number of a type, if it has been looked up lately. Those that have one have been judged; those of what is recorded by value, or has a tag of its own, have
    /// none.
    #[inline(always)]
    fn recent_number(&self, py: Python<'_>, class: *mut ffi::PyTypeObject) -> Option<u32> {
        match is_heap_type(class) {
            true => Some(self.identities.recent_index(py, class)? & !IS_TYPE),
            false => self.types.find_near(class),
        }
    }

    /// Writes an object that has an id, and its definition, if it is to have one in this chunk; `inside` so many containers. Whether it is one about which nothing is
    /// special: otherwise nothing is written.
    #[inline(always)]
    pub(super) fn name_again(
        &mut self,
        py: Python<'_>,
        to: &mut Encoder<'_>,
        object: *mut ffi::PyObject,
        inside: u32,
    ) -> bool {
        // SAFETY: a live object.
        let (block, class) = unsafe { (block_of(object), ffi::Py_TYPE(object)) };
        // Of a tuple it has to be found out whether it is the one that is known.
        if class == &raw mut ffi::PyTuple_Type
            || !self.redacted.is_off()
            || !to.has_room(CONTENTS_RESERVE)
        {
            return false;
        }
        let Some((place, known)) = self.identities.whereabouts(py, block) else {
            return false;
        };
        if known.id == UNNAMED {
            return false;
        }
        let with_contents = known.epoch & 1 == 1;
        if known.epoch >> 1 == self.chunk && (with_contents || inside > self.limits.depth) {
            self.identities
                .change_at(py, object, place, known, with_contents);
            to.object(&mut self.recent, ObjectId(known.id.get()));
            return true;
        }
        let Some(number) = self.recent_number(py, class) else {
            return false;
        };
        let kind = self.types.get_ref(number).kind;
        let bare = self.is_bare(kind, inside);
        let index = match !bare && known.index == NONE && is_mutable(kind) {
            true => self.new_shadow(py, inside),
            false => known.index,
        };
        let entry = Entry {
            id: known.id,
            epoch: self.chunk << 1 | u32::from(!bare),
            index,
        };
        self.identities.change_at(py, object, place, entry, !bare);
        match bare {
            true => self.head(to, entry, number, true, None),
            false => self.describe(py, to, object, (number, kind), entry, inside),
        }
        true
    }

    /// Writes its definition, if all that is recorded of it is its type, which has been recorded in this chunk. Whether that is so: otherwise nothing is written.
    #[inline(always)]
    pub(super) fn meet_opaque(
        &mut self,
        py: Python<'_>,
        to: &mut Short<'_>,
        object: *mut ffi::PyObject,
        Met { block, number }: Met,
    ) -> bool {
        let class = self.types.get_ref(number);
        if class.kind != Kind::Opaque || class.chunk != self.chunk {
            return false;
        }
        let (id, in_chunk) = (self.next_id(), class.in_chunk);
        let is_little =
            to.little_define(&mut self.recent, ObjectId(id.get()), false, in_chunk, None);
        if is_little {
            let entry = Entry {
                id,
                epoch: self.chunk << 1 | 1,
                index: NONE,
            };
            self.identities.insert_new(py, object, block, entry, true);
        }
        is_little
    }

    /// Writes its definition; `inside` so many containers.
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
        let bare = self.is_bare(kind, inside);
        let entry = Entry {
            id: self.next_id(),
            epoch: self.chunk << 1 | u32::from(!bare),
            index: match !bare && is_mutable(kind) {
                true => self.new_shadow(py, inside),
                false => NONE,
            },
        };
        // Some tuples are used again for others.
        let stands = !bare && kind != Kind::Tuple;
        self.identities.insert_new(py, object, block, entry, stands);
        match kind {
            // Nothing is known of what is in it.
            Kind::Opaque => self.head(to, entry, number, false, None),
            _ if bare => self.head(to, entry, number, true, None),
            _ => self.describe(py, to, object, (number, kind), entry, inside),
        }
    }
}
