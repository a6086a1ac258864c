//! What an object refers to: read from its fields.

use debugop_recording::stream::Kind;
use pyo3::ffi;

use super::types::Member;
use crate::layout::collections::{Deque, each_ordered};
use crate::layout::objects::{
    Attributes, ListObject, SetObject, TUPLE_ITEMS, Values, attributes, attributes_behind,
};

/// What an object refers to, in the order in which it is recorded.
pub(super) enum Parts {
    /// So many, in memory one after the other.
    Items(*const *mut ffi::PyObject, usize),
    Set(*const SetObject),
    Dict(*mut ffi::PyObject),
    /// A `collections.OrderedDict`, or an instance of a subclass.
    Ordered(*mut ffi::PyObject),
    Deque(*const Deque),
    Attributes(Values),
    None,
}

/// # Safety
/// `object` is a live list or tuple.
#[inline]
pub(super) unsafe fn sequence(object: *mut ffi::PyObject, kind: Kind) -> Parts {
    // SAFETY: by the contract; layouts checked against the headers.
    unsafe {
        let list = object.cast::<ListObject>();
        let length = (*list).ob_base.ob_size.unsigned_abs();
        if kind == Kind::List {
            Parts::Items((*list).ob_item, length)
        } else {
            Parts::Items(object.cast::<u8>().add(TUPLE_ITEMS).cast(), length)
        }
    }
}

/// The value of a member of `__slots__`; NULL if it is not set.
///
/// # Safety
/// `object` is alive, and of a class that has this member.
#[inline(always)]
pub(super) unsafe fn member(object: *mut ffi::PyObject, member: &Member) -> *mut ffi::PyObject {
    // SAFETY: by the contract (`Objects/structmember.c`).
    unsafe { *object.cast::<u8>().offset(member.1).cast() }
}

/// Calls `see` with the first `limit` keys and values (items and NULL); returns how many there are altogether.
///
/// # Safety
/// The object that the parts are of is alive, and `see` runs nothing that could change it.
pub(super) unsafe fn each(
    parts: &Parts,
    limit: usize,
    mut see: impl FnMut(*mut ffi::PyObject, *mut ffi::PyObject),
) -> usize {
    let none = std::ptr::null_mut();
    // SAFETY: by the contract; `PyDict_Next` only reads.
    unsafe {
        match *parts {
            Parts::None => 0,
            Parts::Items(first, length) => {
                for index in 0..length.min(limit) {
                    see(*first.add(index), none);
                }
                length
            }
            Parts::Set(set) => {
                let mut seen = 0;
                for index in 0..=(*set).mask.unsigned_abs() {
                    if seen == limit {
                        break;
                    }
                    let entry = (*set).table.add(index);
                    if !(*entry).key.is_null() && (*entry).hash != -1 {
                        see((*entry).key, none);
                        seen += 1;
                    }
                }
                (*set).used.unsigned_abs()
            }
            Parts::Dict(dict) => {
                let (mut at, mut key, mut value) = (0, none, none);
                let mut seen = 0;
                while seen < limit
                    && ffi::PyDict_Next(dict, &raw mut at, &raw mut key, &raw mut value) != 0
                {
                    see(key, value);
                    seen += 1;
                }
                ffi::PyDict_Size(dict).unsigned_abs()
            }
            Parts::Ordered(dict) => each_ordered(dict, limit, see),
            Parts::Deque(deque) => (*deque).each(limit, |item| see(item, none)),
            Parts::Attributes(values) => {
                let mut seen = 0;
                for index in 0..values.len() {
                    let (name, value) = values.get(index);
                    if !value.is_null() {
                        if seen < limit {
                            see(name, value);
                        }
                        seen += 1;
                    }
                }
                seen
            }
        }
    }
}

/// The attributes of an instance; its `__slots__` are not among them.
///
/// # Safety
/// A live object of a type of this kind.
#[inline]
pub(super) unsafe fn attribute_parts(object: *mut ffi::PyObject, kind: Kind) -> Parts {
    // SAFETY: by the contract.
    unsafe {
        let class = ffi::Py_TYPE(object);
        let found = match kind {
            Kind::TupleSubclass => attributes_behind(object, class),
            _ => attributes(object, class),
        };
        match found {
            Attributes::Values(values) => Parts::Attributes(values),
            Attributes::Dict(dict) if ffi::PyDict_CheckExact(dict) != 0 => Parts::Dict(dict),
            _ => Parts::None,
        }
    }
}
