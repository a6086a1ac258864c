//! `s += t` for a long local string, done by the probe before it: with a probe between `BINARY_OP` and `STORE_FAST` CPython would copy `s`.
//!
//! CPython extends a string in place that only the local variable and the stack refer to. So does this, and leaves `s + t` and the empty string on the stack: `BINARY_OP` answers with its left operand then
//! (`PyUnicode_Concat`, `Objects/unicodeobject.c`, 3.11-3.15). All instructions are executed as ever and find what they would without this, but
//! that the variable has its new value one instruction earlier. For whoever looks at it in between through our means, the old one is put
//! back: it is where the new one begins.

#[cfg(doc)]
use debugop_bytecode::stores_sum;
use pyo3::{Python, ffi};

use crate::frame::{CodeShape, Frame};
use crate::gil::GilCell;
use crate::layout::slot::{self, Content, Slot};

/// Shorter strings, in characters, are left to CPython: to copy one takes some 0.1 µs.
pub(crate) const LONG: ffi::Py_ssize_t = 1000;

/// A variable that has its new value already.
#[derive(Clone, Copy)]
struct Ahead {
    /// The address of the frame.
    frame: usize,
    local: u32,
    /// How many characters the old value has.
    length: ffi::Py_ssize_t,
}

/// Between the probe before the addition and the end of that before the store. At most one a frame; mostly none.
static AHEAD: GilCell<Vec<Ahead>> = GilCell::new(Vec::new());

/// Does the addition that `frame` comes to next, with so many slots on its stack, if it is one of strings to the variable `local` for which
/// CPython would do it in place ([`stores_sum`]). If it `is_watched`, the site before the store must call [`settle`].
/// Says whether strings are added, at all.
#[inline]
pub(crate) fn extend<'py>(
    py: Python<'py>,
    frame: Frame<'py>,
    shape: &CodeShape,
    (local, depth): (u32, u32),
    is_watched: bool,
) -> bool {
    let Some(left) = depth.checked_sub(2) else {
        return false;
    };
    let (Content::Object(string), Content::Object(addend)) =
        (frame.content(shape, left), frame.content(shape, left + 1))
    else {
        return false;
    };
    // SAFETY: the stack keeps both alive.
    let fits = unsafe { are_strings(string, addend) };
    if fits && i64::from(local) < i64::from(shape.nlocalsplus) {
        let slots = Slots {
            // SAFETY: the frame's code has the variable: it has the sizes of `shape`.
            variable: unsafe { frame.local_slot(local) },
            left: frame.slot(shape, left),
            right: frame.slot(shape, left + 1),
        };
        // SAFETY: the slots are the frame's; the objects are what is in the latter two.
        if let Some(length) = unsafe { slots.extend(string, addend) }
            && is_watched
        {
            let ahead = Ahead {
                frame: frame.address(),
                local,
                length,
            };
            AHEAD.with(py, |all| {
                all.retain(|one| one.frame != ahead.frame);
                all.push(ahead);
            });
        }
    }
    fits
}

/// # Safety
/// Live objects.
#[inline]
unsafe fn are_strings(string: *mut ffi::PyObject, addend: *mut ffi::PyObject) -> bool {
    // SAFETY: by the contract.
    unsafe { ffi::PyUnicode_CheckExact(string) != 0 && ffi::PyUnicode_CheckExact(addend) != 0 }
}

/// What takes part in an addition.
struct Slots {
    variable: *mut Slot,
    left: *mut Slot,
    right: *mut Slot,
}

impl Slots {
    /// Extends `string` by `addend` where they are in the latter two slots, and returns how long it was; `None`: all is as it was.
    ///
    /// # Safety
    /// Slots of a frame that is below this native call; the objects are exact strings, and what the slots hold.
    #[inline(never)]
    unsafe fn extend(
        &self,
        string: *mut ffi::PyObject,
        addend: *mut ffi::PyObject,
    ) -> Option<ffi::Py_ssize_t> {
        // SAFETY: by the contract. Nothing here runs code that could change the slots: neither allocating nor freeing a string collects
        // garbage. The words are exchanged for ones that own, or borrow, as those before them did, so that whoever has compiled
        // on that knowledge (3.14+) stays right: a borrowed word on the stack is backed by the variable, which `STORE_FAST` overwrites
        // only after `BINARY_OP` has taken it. Strings are changed only while this is their only reference, as `PyUnicode_Append`
        // does. Checked on 3.11.7, 3.12.1, 3.13.0, 3.14.10, 3.15.2.
        unsafe {
            let (length, more) = (
                ffi::PyUnicode_GetLength(string),
                ffi::PyUnicode_GetLength(addend),
            );
            let is_owned = slot::owns(*self.left);
            let is_theirs = string != addend
                && slot::owns(*self.variable)
                && slot::content(*self.variable) == Content::Object(string)
                && ffi::Py_REFCNT(string) == 1 + isize::from(is_owned);
            if length < LONG || more < 0 || !is_theirs {
                return None;
            }
            let all = length.checked_add(more)?;
            let empty = ffi::PyUnicode_New(0, 0);
            if empty.is_null() {
                ffi::PyErr_Clear();
                return None;
            }
            (*self.variable, *self.left) = (slot::NULL, slot::NULL);
            if is_owned {
                ffi::Py_DECREF(string);
            }
            let mut sum = string;
            let is_longer = ffi::PyUnicode_Resize(&raw mut sum, all) == 0;
            let done =
                is_longer && ffi::PyUnicode_CopyCharacters(sum, length, addend, 0, more) == more;
            if !done {
                // No memory, or a character that needs wider units than the others. `BINARY_OP` will see to it.
                ffi::PyErr_Clear();
                if is_longer {
                    ffi::PyUnicode_Resize(&raw mut sum, length);
                }
            }
            *self.variable = slot::from_owned(sum);
            *self.left = if is_owned {
                slot::from_owned(ffi::Py_NewRef(sum))
            } else {
                slot::borrowed(sum)
            };
            if !done {
                ffi::Py_DECREF(empty);
                return None;
            }
            let right = self.right.replace(slot::from_owned(empty));
            slot::release(right);
            Some(length)
        }
    }
}

/// Whether no variable is ahead.
#[inline]
pub(crate) fn is_settled(py: Python<'_>) -> bool {
    AHEAD.with(py, |all| all.is_empty())
}

/// The store comes next.
#[inline]
pub(crate) fn settle(py: Python<'_>, frame: Frame<'_>) {
    AHEAD.with(py, |all| all.retain(|one| one.frame != frame.address()));
}

/// Puts the old value back if `frame` has a variable that is ahead: somebody wants to look at it.
#[inline]
pub(crate) fn put_back<'py>(py: Python<'py>, frame: Frame<'py>) {
    let of_frame = |all: &mut Vec<Ahead>| {
        let found = all.iter().position(|one| one.frame == frame.address())?;
        Some(all.swap_remove(found))
    };
    if let Some(ahead) = AHEAD.with(py, of_frame) {
        put_back_value(frame, ahead);
    }
}

#[cold]
fn put_back_value(frame: Frame<'_>, ahead: Ahead) {
    // SAFETY: the frame is the one that `extend` was given, whose code has the variable, and stands before the store, so the new value is on
    // the stack too. What is released is a reference to that string; no code runs.
    unsafe {
        let variable = frame.local_slot(ahead.local);
        let Content::Object(string) = slot::content(*variable) else {
            return;
        };
        let old = ffi::PyUnicode_Substring(string, 0, ahead.length);
        if old.is_null() {
            // No memory, or a callback has put something else there: it stays.
            ffi::PyErr_Clear();
            return;
        }
        let new = variable.replace(slot::from_owned(old));
        slot::release(new);
    }
}
