//! A value at a glance: what can be read of an object in a few nanoseconds.

use pyo3::types::{PyFloat, PyInt};
use pyo3::{Python, ffi};

use crate::frame::{CodeShape, Frame};
use crate::layout::LongObject;
use crate::layout::slot::Content;

/// What a value-stack slot holds, without a reference of our own.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Glance {
    /// NULL, or a word of the interpreter's own.
    Null,
    /// An exact `int` that fits, or the interpreter's own bare integer.
    Int(i64),
    /// An exact `float`.
    Float(f64),
    /// Any other object: its address.
    Object(u64),
}

impl Frame<'_> {
    /// Value-stack slot `index`, bottom first.
    #[inline]
    pub(crate) fn glance(self, py: Python<'_>, shape: &CodeShape, index: u32) -> Glance {
        match self.content(shape, index) {
            Content::Null => Glance::Null,
            Content::Object(object) => glance(py, object),
            #[cfg(Py_3_14)]
            Content::Tagged(value) => Glance::Int(value as i64),
            #[cfg(Py_3_14)]
            Content::Opaque => Glance::Null,
        }
    }
}

#[inline]
fn glance(py: Python<'_>, object: *mut ffi::PyObject) -> Glance {
    use pyo3::PyTypeInfo;
    // SAFETY: the slot that `object` was read from keeps it alive, and nothing here runs code that could change the slot: the
    // fields of an exact float and an exact int are read (layouts checked on 3.11.7, 3.12.1, 3.13.0, 3.14.10, 3.15.2).
    unsafe {
        let class = ffi::Py_TYPE(object);
        if class == PyInt::type_object_raw(py) {
            if let Some(value) = (*object.cast::<LongObject>()).compact() {
                return Glance::Int(value);
            }
            if let Some(value) = wide(object) {
                return Glance::Int(value);
            }
        } else if class == PyFloat::type_object_raw(py) {
            return Glance::Float(ffi::PyFloat_AS_DOUBLE(object));
        }
    }
    Glance::Object(object as u64)
}

/// The value of an exact int of several digits, if it fits.
///
/// # Safety
/// `object` is a live exact int.
#[cold]
unsafe fn wide(object: *mut ffi::PyObject) -> Option<i64> {
    let mut overflow = 0;
    // SAFETY: by the contract above; reads the digits.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(object, &raw mut overflow) };
    (overflow == 0).then_some(value)
}
