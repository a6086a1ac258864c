//! Objects whose fields the recorder reads: sets, instances' attributes, tracebacks, bound methods, ranges.
//!
//! What the C API would do for these allocates, changes the object (a materialised `__dict__`) or may run the program's code. The
//! layouts are the same in 3.11-3.15 but for [`TUPLE_ITEMS`], [`HEAP_TYPE_SLOTS`] and where attributes are kept ([`Values`]).

use std::mem::offset_of;

use pyo3::ffi::{PyObject, PyVarObject};

use super::LongObject;

/// `PySetObject` (`Include/cpython/setobject.h`).
#[repr(C)]
pub(crate) struct SetObject {
    ob_base: PyObject,
    fill: isize,
    /// How many items there are.
    pub used: isize,
    /// Size of the table - 1.
    pub mask: isize,
    pub table: *const SetEntry,
}

/// `setentry`. Empty where `key` is NULL, deleted where `hash` is -1, which is no object's hash.
#[repr(C)]
pub(crate) struct SetEntry {
    pub key: *mut PyObject,
    pub hash: isize,
}

/// `PyTracebackObject` (`Include/cpython/traceback.h`).
#[repr(C)]
pub(crate) struct Traceback {
    ob_base: PyObject,
    pub tb_next: *mut PyObject,
    pub tb_frame: *mut PyObject,
    /// Byte offset in the code that the frame runs.
    pub tb_lasti: i32,
    tb_lineno: i32,
}

/// `PyBaseExceptionObject` (`Include/cpython/pyerrors.h`).
#[repr(C)]
pub(crate) struct BaseException {
    ob_base: PyObject,
    pub dict: *mut PyObject,
    pub args: *mut PyObject,
    notes: *mut PyObject,
    pub traceback: *mut PyObject,
}

/// `PyMethodObject` (`Include/cpython/classobject.h`).
#[repr(C)]
pub(crate) struct MethodObject {
    ob_base: PyObject,
    pub im_func: *mut PyObject,
    pub im_self: *mut PyObject,
}

/// `PyFunctionObject` up to `func_code` (`Include/cpython/funcobject.h`).
#[repr(C)]
pub(crate) struct CodeOfFunction {
    ob_base: PyObject,
    func_globals: *mut PyObject,
    func_builtins: *mut PyObject,
    func_name: *mut PyObject,
    pub func_qualname: *mut PyObject,
    pub func_code: *mut PyObject,
}

/// `PyCFunctionObject` (`Include/cpython/methodobject.h`), up to `m_self`.
#[repr(C)]
pub(crate) struct BuiltinObject {
    ob_base: PyObject,
    pub m_ml: *const pyo3::ffi::PyMethodDef,
    pub m_self: *mut PyObject,
}

/// `PyMethodDescrObject` up to `d_method` (`Include/cpython/descrobject.h`).
#[repr(C)]
pub(crate) struct DescriptorObject {
    ob_base: PyObject,
    pub d_type: *mut pyo3::ffi::PyTypeObject,
    d_name: *mut PyObject,
    d_qualname: *mut PyObject,
    pub d_method: *const pyo3::ffi::PyMethodDef,
}

/// `wrapperobject` (`Objects/descrobject.c`): a slot of a class, bound to an object.
#[repr(C)]
pub(crate) struct MethodWrapper {
    ob_base: PyObject,
    pub descr: *mut PyObject,
    pub receiver: *mut PyObject,
}

/// `PyCellObject` (`Include/cpython/cellobject.h`).
#[repr(C)]
pub(crate) struct CellObject {
    ob_base: PyObject,
    pub ob_ref: *mut PyObject,
}

/// `PySliceObject` (`Include/sliceobject.h`) and `rangeobject` (`Objects/rangeobject.c`), up to `step`.
#[repr(C)]
pub(crate) struct SliceObject {
    ob_base: PyObject,
    pub parts: [*mut PyObject; 3],
}

/// `PyListObject` (`Include/cpython/listobject.h`).
#[repr(C)]
pub(crate) struct ListObject {
    pub ob_base: PyVarObject,
    pub ob_item: *const *mut PyObject,
}

/// Where the items of a tuple begin (`Include/cpython/tupleobject.h`): 3.14 put the hash before them.
pub(crate) const TUPLE_ITEMS: usize = if cfg!(Py_3_14) { 32 } else { 24 };

/// Where `ht_slots` is (`Include/cpython/object.h`); `ht_cached_keys` is two pointers behind.
const HEAP_TYPE_SLOTS: usize = if cfg!(Py_3_15) {
    872
} else if cfg!(Py_3_12) {
    864
} else {
    856
};
const HEAP_TYPE_KEYS: usize = HEAP_TYPE_SLOTS + 16;

/// `PyDictKeysObject` up to its indices (`Include/internal/pycore_dict.h`).
#[repr(C)]
struct Keys {
    dk_refcnt: isize,
    dk_log2_size: u8,
    dk_log2_index_bytes: u8,
    dk_kind: u8,
    dk_version: u32,
    dk_usable: isize,
    dk_nentries: isize,
    dk_indices: [u8; 0],
}

/// `PyDictUnicodeEntry`.
#[repr(C)]
struct UnicodeEntry {
    key: *mut PyObject,
    value: *mut PyObject,
}

/// `PyDictKeyEntry`.
#[repr(C)]
struct HashedEntry {
    hash: isize,
    key: *mut PyObject,
    value: *mut PyObject,
}

/// `DICT_KEYS_GENERAL`: the entries have hashes.
const GENERAL: u8 = 0;

const FLAG_MANAGED_DICT: u64 = 1 << 4;
#[cfg(Py_3_13)]
const FLAG_INLINE_VALUES: u64 = 1 << 2;

/// The attributes of an instance.
pub(crate) enum Attributes {
    /// There is no place for attributes in it, or there are none.
    None,
    /// They are values beside the keys of its class.
    Values(Values),
    /// They are in a dict.
    Dict(*mut PyObject),
}

/// Values beside the keys of a class. A value is NULL where the instance has no such attribute.
#[derive(Clone, Copy)]
pub(crate) struct Values {
    keys: *const Keys,
    values: *const *mut PyObject,
}

impl Values {
    /// How many keys there are.
    ///
    /// # Safety
    /// The instance is alive, and nothing has run since the values were asked for.
    #[inline]
    pub(crate) unsafe fn len(self) -> usize {
        // SAFETY: the class keeps its keys alive.
        unsafe { (*self.keys).dk_nentries.cast_unsigned() }
    }

    /// Where the keys are: their identity while the class lives.
    #[inline]
    pub(crate) fn keys_address(self) -> usize {
        self.keys as usize
    }

    /// Where the first value is.
    #[inline]
    pub(crate) fn first(self) -> *const *mut PyObject {
        self.values
    }

    /// Value number `index`, which may be NULL.
    ///
    /// # Safety
    /// As [`Self::get`].
    #[inline]
    pub(crate) unsafe fn value(self, index: usize) -> *mut PyObject {
        // SAFETY: there is a value for each key.
        unsafe { *self.values.add(index) }
    }

    /// Name and value number `index`; the value may be NULL.
    ///
    /// # Safety
    /// As [`Self::len`], and `index` is less than it.
    #[inline]
    pub(crate) unsafe fn get(self, index: usize) -> (*mut PyObject, *mut PyObject) {
        // SAFETY: entries follow the indices, whose size is a power of two (`DK_UNICODE_ENTRIES`). Keys that instances share are always
        // `DICT_KEYS_SPLIT`, whose entries have no hash; there is a value for each.
        unsafe {
            let indices = (&raw const (*self.keys).dk_indices).cast::<u8>();
            let entries = indices
                .add(1 << (*self.keys).dk_log2_index_bytes)
                .cast::<UnicodeEntry>();
            ((*entries.add(index)).key, *self.values.add(index))
        }
    }
}

/// The attributes of `object`, whose class has the flags `flags`, is `class`, and has its `tp_dictoffset` at `dict_offset` and its
/// `tp_basicsize` at `basic_size`.
///
/// # Safety
/// `object` is a live object of the class; the GIL is held. What is returned is valid until something runs.
#[inline]
pub(crate) unsafe fn attributes(
    object: *mut PyObject,
    class: *mut pyo3::ffi::PyTypeObject,
) -> Attributes {
    // SAFETY: the flags say what there is in front of or behind the object: `_PyObject_GetDictPtr`, `_PyObject_InlineValues`,
    // `_PyObject_ManagedDictPointer`, 3.11: `_PyObject_ValuesPointer`, 3.12: `_PyObject_DictOrValuesPointer`
    // (`Include/internal/pycore_object.h`). Checked on 3.11.7, 3.12.1, 3.13.0, 3.14.10, 3.15.2.
    unsafe {
        let flags = (*class).tp_flags;
        if flags & FLAG_MANAGED_DICT == 0 {
            let offset = (*class).tp_dictoffset;
            if offset <= 0 {
                return Attributes::None;
            }
            return dict(*object.cast::<u8>().offset(offset).cast::<*mut PyObject>());
        }
        let keys = *class.cast::<u8>().add(HEAP_TYPE_KEYS).cast::<*const Keys>();
        if let Some(values) = managed_values(object, class)
            && !keys.is_null()
            && (*keys).dk_kind != GENERAL
        {
            return Attributes::Values(Values { keys, values });
        }
        dict(managed_dict(object))
    }
}

/// The attributes of an instance of a subclass of `tuple`: a dict that is behind the items, if there is none of another kind.
///
/// # Safety
/// As [`attributes`], and `object` is a tuple.
pub(crate) unsafe fn attributes_behind(
    object: *mut PyObject,
    class: *mut pyo3::ffi::PyTypeObject,
) -> Attributes {
    // SAFETY: by the contract; where the dict is: `_PyObject_ComputedDictPointer` (`Objects/object.c`). Checked as in `attributes`.
    unsafe {
        let offset = (*class).tp_dictoffset;
        if offset >= 0 || (*class).tp_flags & FLAG_MANAGED_DICT != 0 {
            return attributes(object, class);
        }
        let items = (*object.cast::<PyVarObject>()).ob_size * (*class).tp_itemsize;
        let word = align_of::<*mut PyObject>();
        let size = ((*class).tp_basicsize + items)
            .unsigned_abs()
            .next_multiple_of(word);
        let place = object.cast::<u8>().add(size).offset(offset);
        dict(*place.cast::<*mut PyObject>())
    }
}

/// The attributes of `object`, of the class `class`, if they are values beside the keys at `keys`, which are those of the class and shared.
///
/// # Safety
/// As [`attributes`], which has found values beside these keys in an object of the class before.
#[inline(always)]
pub(crate) unsafe fn values_beside(
    object: *mut PyObject,
    class: *mut pyo3::ffi::PyTypeObject,
    keys: usize,
) -> Option<Values> {
    // SAFETY: as in `attributes`.
    unsafe {
        let now = *class.cast::<u8>().add(HEAP_TYPE_KEYS).cast::<*const Keys>();
        if now as usize != keys || (*class).tp_flags & FLAG_MANAGED_DICT == 0 {
            return None;
        }
        let values = managed_values(object, class)?;
        Some(Values { keys: now, values })
    }
}

/// `PyDictObject` (`Include/cpython/dictobject.h`).
#[repr(C)]
struct DictObject {
    ob_base: PyObject,
    ma_used: isize,
    /// In 3.14+ the watchers only.
    ma_version_tag: u64,
    ma_keys: *const Keys,
    ma_values: *const u8,
}

/// `DICT_KEYS_UNICODE`: all keys are strings, and the entries have no hashes.
const UNICODE: u8 = 1;

/// The keys and values of a dict from which no pair has been deleted, in turns.
#[derive(Clone, Copy)]
pub(crate) struct Pairs {
    /// The first key.
    first: *const *mut PyObject,
    len: usize,
    has_hashes: bool,
}

impl Pairs {
    /// How many pairs there are.
    #[inline]
    pub(crate) fn len(self) -> usize {
        self.len
    }

    /// Whether all keys and values stand one behind the other, from [`first`](Self::first) on.
    #[inline]
    pub(crate) fn is_row(self) -> bool {
        !self.has_hashes
    }

    /// Where the first key is.
    #[inline]
    pub(crate) fn first(self) -> *const *mut PyObject {
        self.first
    }

    /// The key or value with this number, twice that of the pair and one more for the value.
    ///
    /// # Safety
    /// The dict is alive, nothing has run since it was asked for its pairs, and there is such a pair.
    #[inline]
    pub(crate) unsafe fn get(self, at: usize) -> *mut PyObject {
        let hashes = if self.has_hashes { at / 2 } else { 0 };
        // SAFETY: by the contract.
        unsafe { *self.first.add(at + hashes) }
    }
}

/// The keys and values of a dict, unless a pair has been deleted or the values stand elsewhere.
///
/// # Safety
/// `dict` is a live dict, of that very class; the GIL is held. What is returned is valid until something runs.
#[inline]
pub(crate) unsafe fn pairs_of(dict: *mut PyObject) -> Option<Pairs> {
    // SAFETY: by the contract; where there are no values beside the keys, the entries behind the indices have them (`DK_ENTRIES`, `DK_UNICODE_ENTRIES`), as
    // many as `dk_nentries`, of which those of deleted pairs are NULL. Checked on 3.11.7, 3.12.1, 3.13.0, 3.14.10, 3.15.2.
    unsafe {
        let dict = &*dict.cast::<DictObject>();
        let keys = &*dict.ma_keys;
        if !dict.ma_values.is_null() || keys.dk_kind > UNICODE || keys.dk_nentries != dict.ma_used {
            return None;
        }
        let indices = (&raw const (*dict.ma_keys).dk_indices).cast::<u8>();
        let entries = indices.add(1 << keys.dk_log2_index_bytes);
        let has_hashes = keys.dk_kind == GENERAL;
        let key = match has_hashes {
            true => offset_of!(HashedEntry, key),
            false => offset_of!(UnicodeEntry, key),
        };
        Some(Pairs {
            first: entries.add(key).cast(),
            len: keys.dk_nentries.unsigned_abs(),
            has_hashes,
        })
    }
}

fn dict(dict: *mut PyObject) -> Attributes {
    if dict.is_null() {
        Attributes::None
    } else {
        Attributes::Dict(dict)
    }
}

#[cfg(Py_3_13)]
#[inline(always)]
unsafe fn managed_values(
    object: *mut PyObject,
    class: *mut pyo3::ffi::PyTypeObject,
) -> Option<*const *mut PyObject> {
    /// `PyDictValues`.
    #[repr(C)]
    struct InlineValues {
        capacity: u8,
        size: u8,
        embedded: u8,
        valid: u8,
        values: [*mut PyObject; 0],
    }
    // SAFETY: as in `attributes`: the values are right behind the object.
    unsafe {
        if (*class).tp_flags & FLAG_INLINE_VALUES == 0 {
            return None;
        }
        let values = object
            .cast::<u8>()
            .offset((*class).tp_basicsize)
            .cast::<InlineValues>();
        ((*values).valid != 0).then(|| (&raw const (*values).values).cast())
    }
}

#[cfg(all(Py_3_12, not(Py_3_13)))]
#[inline(always)]
unsafe fn managed_values(
    object: *mut PyObject,
    _: *mut pyo3::ffi::PyTypeObject,
) -> Option<*const *mut PyObject> {
    // SAFETY: as in `attributes`: the word says with its lowest bit that it points to values, one byte before them.
    unsafe {
        let word = *object.cast::<usize>().sub(3);
        (word & 1 != 0).then(|| (word + 1) as *const *mut PyObject)
    }
}

#[cfg(not(Py_3_12))]
#[inline(always)]
unsafe fn managed_values(
    object: *mut PyObject,
    _: *mut pyo3::ffi::PyTypeObject,
) -> Option<*const *mut PyObject> {
    // SAFETY: as in `attributes`.
    let values = unsafe { *object.cast::<*const *mut PyObject>().sub(4) };
    (!values.is_null()).then_some(values)
}

unsafe fn managed_dict(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: as in `attributes`; where the word is not a dict, `managed_values` has found values.
    unsafe {
        let word = *object.cast::<usize>().sub(3);
        #[cfg(all(Py_3_12, not(Py_3_13)))]
        let word = if word & 1 == 0 { word } else { 0 };
        word as *mut PyObject
    }
}

/// `ht_slots` of a class made by a `class` statement: a tuple of the names in its `__slots__`, or NULL.
///
/// # Safety
/// `class` is a live heap type.
pub(crate) unsafe fn slot_names(class: *mut pyo3::ffi::PyTypeObject) -> *mut PyObject {
    // SAFETY: by the contract above.
    unsafe {
        *class
            .cast::<u8>()
            .add(HEAP_TYPE_SLOTS)
            .cast::<*mut PyObject>()
    }
}

/// The digits of an int, 30 bits each, the lowest first, and whether it is negative.
///
/// # Safety
/// `int` is a live exact int; what is returned is valid as long as it.
pub(crate) unsafe fn digits<'a>(int: *mut PyObject) -> (bool, &'a [u32]) {
    // SAFETY: by the contract above; there are as many digits as the size says.
    unsafe { (*int.cast::<LongObject>()).digits() }
}

/// Where the fields are.
pub(crate) fn offsets() -> Vec<(&'static str, usize)> {
    vec![
        ("PySetObject.used", offset_of!(SetObject, used)),
        ("PySetObject.mask", offset_of!(SetObject, mask)),
        ("PySetObject.table", offset_of!(SetObject, table)),
        ("setentry.hash", offset_of!(SetEntry, hash)),
        ("PyTracebackObject.tb_next", offset_of!(Traceback, tb_next)),
        (
            "PyTracebackObject.tb_frame",
            offset_of!(Traceback, tb_frame),
        ),
        (
            "PyTracebackObject.tb_lasti",
            offset_of!(Traceback, tb_lasti),
        ),
        (
            "PyBaseExceptionObject.dict",
            offset_of!(BaseException, dict),
        ),
        (
            "PyBaseExceptionObject.args",
            offset_of!(BaseException, args),
        ),
        (
            "PyBaseExceptionObject.traceback",
            offset_of!(BaseException, traceback),
        ),
        ("PyMethodObject.im_func", offset_of!(MethodObject, im_func)),
        ("PyMethodObject.im_self", offset_of!(MethodObject, im_self)),
        (
            "PyFunctionObject.func_qualname",
            offset_of!(CodeOfFunction, func_qualname),
        ),
        (
            "PyFunctionObject.func_code",
            offset_of!(CodeOfFunction, func_code),
        ),
        ("PyCFunctionObject.m_ml", offset_of!(BuiltinObject, m_ml)),
        (
            "PyCFunctionObject.m_self",
            offset_of!(BuiltinObject, m_self),
        ),
        (
            "PyMethodDescrObject.d_method",
            offset_of!(DescriptorObject, d_method),
        ),
        ("PyCellObject.ob_ref", offset_of!(CellObject, ob_ref)),
        ("PySliceObject.start", offset_of!(SliceObject, parts)),
        ("PyListObject.ob_item", offset_of!(ListObject, ob_item)),
        ("PyTupleObject.ob_item", TUPLE_ITEMS),
        ("PyDictObject.ma_used", offset_of!(DictObject, ma_used)),
        ("PyDictObject.ma_keys", offset_of!(DictObject, ma_keys)),
        ("PyDictObject.ma_values", offset_of!(DictObject, ma_values)),
        ("PyHeapTypeObject.ht_slots", HEAP_TYPE_SLOTS),
        ("PyHeapTypeObject.ht_cached_keys", HEAP_TYPE_KEYS),
        (
            "PyDictKeysObject.dk_log2_index_bytes",
            offset_of!(Keys, dk_log2_index_bytes),
        ),
        ("PyDictKeysObject.dk_kind", offset_of!(Keys, dk_kind)),
        (
            "PyDictKeysObject.dk_nentries",
            offset_of!(Keys, dk_nentries),
        ),
        ("PyDictKeysObject.dk_indices", offset_of!(Keys, dk_indices)),
        (
            "PyDictUnicodeEntry.me_value",
            offset_of!(UnicodeEntry, value),
        ),
        ("PyDictKeyEntry.me_key", offset_of!(HashedEntry, key)),
        ("PyDictKeyEntry.me_value", offset_of!(HashedEntry, value)),
        ("PyDictValues.values", if cfg!(Py_3_13) { 8 } else { 0 }),
    ]
}
