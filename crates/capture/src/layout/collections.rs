//! What is in the containers of `collections` that are written in C.
//!
//! Both layouts are the same in 3.11-3.15 as far as they are declared here.

use std::ffi::CStr;

use pyo3::ffi::{self, PyObject, PyTypeObject, PyVarObject};
use pyo3::{Python, types::PyString};
use rustc_hash::FxHashMap;

/// `BLOCKLEN` (`Modules/_collectionsmodule.c`).
const BLOCK_LENGTH: usize = 64;

/// `block` (`Modules/_collectionsmodule.c`).
#[repr(C)]
struct Block {
    left: *const Block,
    data: [*mut PyObject; BLOCK_LENGTH],
    right: *const Block,
}

/// The first fields of `dequeobject` (`Modules/_collectionsmodule.c`).
#[repr(C)]
pub(crate) struct Deque {
    ob_base: PyVarObject,
    left_block: *const Block,
    right_block: *const Block,
    left_index: isize,
    right_index: isize,
}

impl Deque {
    /// Calls `see` with the first `limit` items, the left one first; returns how many there are altogether.
    ///
    /// # Safety
    /// It is a live deque; `see` runs nothing that could change it.
    pub(crate) unsafe fn each(&self, limit: usize, mut see: impl FnMut(*mut PyObject)) -> usize {
        let length = self.ob_base.ob_size.unsigned_abs();
        let (mut block, mut index) = (self.left_block, self.left_index.unsigned_abs());
        for _ in 0..length.min(limit) {
            // SAFETY: of `length` items the first is at `left_index` of the left block, and behind the last one of a block comes the first of its right neighbour.
            // Checked on 3.11.7, 3.12.1, 3.13.0, 3.14.10, 3.15.2.
            unsafe {
                if index == BLOCK_LENGTH {
                    (block, index) = ((*block).right, 0);
                }
                see((&raw const (*block).data)
                    .cast::<*mut PyObject>()
                    .add(index)
                    .read());
            }
            index += 1;
        }
        length
    }
}

/// `collections.deque`, if it has been imported.
pub(crate) fn deque_class(py: Python<'_>) -> Option<*mut PyTypeObject> {
    // SAFETY: borrowed references to what the interpreter and the module hold; nothing runs meanwhile. The class is that which the extension module has made, unless the
    // program has put another one in its place: that has another name or is smaller.
    unsafe {
        let module = value_of(py, ffi::PyImport_GetModuleDict(), "_collections")?;
        if ffi::PyModule_CheckExact(module) == 0 {
            return None;
        }
        let class = value_of(py, ffi::PyModule_GetDict(module), "deque")?;
        if ffi::PyType_Check(class) == 0 {
            return None;
        }
        let class = class.cast::<PyTypeObject>();
        let is_it = CStr::from_ptr((*class).tp_name) == c"collections.deque"
            && (*class).tp_basicsize.unsigned_abs() > size_of::<Deque>()
            && (*class).tp_itemsize == 0;
        is_it.then_some(class)
    }
}

/// The value of a key of a dict, found without asking any key whether it is equal.
///
/// # Safety
/// NULL or a live dict.
unsafe fn value_of(py: Python<'_>, dict: *mut PyObject, key: &str) -> Option<*mut PyObject> {
    // SAFETY: by the contract; `PyDict_Next` only reads.
    unsafe {
        if dict.is_null() || ffi::PyDict_Check(dict) == 0 {
            return None;
        }
        let (mut at, mut found, mut value) = (0, std::ptr::null_mut(), std::ptr::null_mut());
        while ffi::PyDict_Next(dict, &raw mut at, &raw mut found, &raw mut value) != 0 {
            let name = pyo3::Borrowed::from_ptr(py, found);
            if let Ok(name) = name.cast_exact::<PyString>()
                && name == key
            {
                return Some(value);
            }
        }
        None
    }
}

unsafe extern "C" {
    static mut PyODict_Type: PyTypeObject;
}

/// `_ODictNode` (`Objects/odictobject.c`).
#[repr(C)]
struct Node {
    key: *mut PyObject,
    hash: isize,
    next: *const Node,
    previous: *const Node,
}

/// What follows the dict in `PyODictObject` (`Objects/odictobject.c`).
#[repr(C)]
struct Order {
    first: *const Node,
    last: *const Node,
    fast_nodes: *const *const Node,
    fast_nodes_size: isize,
    resize_sentinel: *const u8,
    state: usize,
    attributes: *mut PyObject,
    weak_references: *mut PyObject,
}

/// Whether an object is a `collections.OrderedDict`, or of a subclass.
///
/// # Safety
/// A live object.
pub(crate) unsafe fn is_ordered(object: *mut PyObject) -> bool {
    // SAFETY: by the contract; flags and the order of bases are read.
    unsafe { ffi::PyType_IsSubtype(ffi::Py_TYPE(object), &raw mut PyODict_Type) != 0 }
}

/// Where the order of the keys is in an `OrderedDict`; `None` if the interpreter has another layout than is known here.
///
/// # Safety
/// [`is_ordered`].
unsafe fn order(dict: *mut PyObject) -> Option<*const Order> {
    // SAFETY: fields of static types; the offsets of the last two fields are those that the type says, so the others are where they are taken to be.
    unsafe {
        let begin = ffi::PyDict_Type.tp_basicsize;
        let attributes = begin + std::mem::offset_of!(Order, attributes).cast_signed();
        let weak = begin + std::mem::offset_of!(Order, weak_references).cast_signed();
        let is_known =
            PyODict_Type.tp_dictoffset == attributes && PyODict_Type.tp_weaklistoffset == weak;
        is_known.then(|| dict.cast::<u8>().offset(begin).cast_const().cast())
    }
}

/// Calls `see` with the first `limit` keys and values of an `OrderedDict` in its order; returns how many there are altogether. With none of them if that is not known, or would take
/// long to find out.
///
/// # Safety
/// [`is_ordered`], and it is alive; `see` runs nothing that could change it.
pub(crate) unsafe fn each_ordered(
    dict: *mut PyObject,
    limit: usize,
    mut see: impl FnMut(*mut PyObject, *mut PyObject),
) -> usize {
    // SAFETY: by the contract; `PyDict_Next` only reads. Keys of nodes are those of the dict, which holds them; they are compared by their addresses. Between the dict's change
    // and that of the nodes a key's `__eq__` may run, so that one has a key which the other has not.
    unsafe {
        let length = ffi::PyDict_Size(dict).unsigned_abs();
        let Some(order) = order(dict) else {
            return length;
        };
        let pairs = |see: &mut dyn FnMut(*mut PyObject, *mut PyObject) -> bool| {
            let (mut at, mut key, mut value) = (0, std::ptr::null_mut(), std::ptr::null_mut());
            while ffi::PyDict_Next(dict, &raw mut at, &raw mut key, &raw mut value) != 0
                && see(key, value)
            {}
        };
        // As a rule no key has been moved.
        let (mut node, mut shown, mut is_same) = ((*order).first, 0, true);
        let shown_at_most = length.min(limit);
        pairs(&mut |key, _| {
            is_same = shown == shown_at_most || !node.is_null() && (*node).key == key;
            if shown == shown_at_most || !is_same {
                return false;
            }
            node = (*node).next;
            shown += 1;
            true
        });
        if is_same {
            let mut left = shown;
            pairs(&mut |key, value| {
                if left > 0 {
                    see(key, value);
                    left -= 1;
                }
                left > 0
            });
            return length;
        }
        if length > limit.saturating_mul(SEARCHED) {
            return length;
        }
        let mut values: FxHashMap<usize, *mut PyObject> = FxHashMap::default();
        pairs(&mut |key, value| {
            values.insert(key as usize, value);
            true
        });
        let mut node = (*order).first;
        for _ in 0..shown_at_most {
            if node.is_null() {
                break;
            }
            if let Some(&value) = values.get(&((*node).key as usize)) {
                see((*node).key, value);
            }
            node = (*node).next;
        }
        length
    }
}

/// In a dict of up to so many times as many pairs as are recorded the values of keys that have been moved are looked for.
const SEARCHED: usize = 8;
