//! Types: which kind of contents their objects have, and what they are called.

use std::rc::Rc;

use debugop_recording::stream::Kind;
use pyo3::types::PyType;
use pyo3::{Bound, Python, ffi};
use rustc_hash::FxHashMap;

use crate::layout::collections::deque_class;
use crate::layout::objects::slot_names;
use crate::value::{PyMethod_Type, describes_c, type_name};

/// A member of `__slots__`: its name, which is kept alive, and its offset in the object.
pub(super) type Member = (*mut ffi::PyObject, isize);

/// A type that has been met.
pub(super) struct Type {
    pub(super) kind: Kind,
    pub(super) name: Box<str>,
    /// The chunk that defines it last, and its number there.
    pub(super) chunk: u32,
    pub(super) in_chunk: u32,
    /// Members of its `__slots__` and those of its bases.
    pub(super) members: Rc<[Member]>,
    /// Where the first of them is, if they stand one behind the other in an object.
    pub(super) row: Option<isize>,
    /// Whether its objects have a dict, or places for attributes, beside them.
    pub(super) has_dict: bool,
}

/// All types of a recording.
pub(super) struct Types {
    /// Numbers of static types, which never die. Those of others are in their entries as objects.
    fixed: FxHashMap<usize, u32>,
    /// Some of these: address and number, each in the one place for its address.
    near: [(usize, u32); NEAR],
    all: Vec<Type>,
    /// `collections.deque`, once it has been found.
    deque: Option<*mut ffi::PyTypeObject>,
}

const NEAR: usize = 64;

#[inline(always)]
fn near(class: usize) -> usize {
    // Static types are some 400 bytes each.
    (class >> 4 ^ class >> 9) % NEAR
}

impl Default for Types {
    fn default() -> Self {
        Self {
            fixed: FxHashMap::default(),
            near: [(0, 0); NEAR],
            all: Vec::new(),
            deque: None,
        }
    }
}

impl Types {
    /// The number of a static type, if it has been met, and no other one has its place since.
    #[inline(always)]
    pub(super) fn find_near(&self, class: *mut ffi::PyTypeObject) -> Option<u32> {
        let (known, number) = self.near[near(class as usize)];
        (known == class as usize).then_some(number)
    }

    /// The number of a static type, if it has been met.
    #[inline]
    pub(super) fn find(&mut self, class: *mut ffi::PyTypeObject) -> Option<u32> {
        let number = self.fixed.get(&(class as usize)).copied()?;
        self.near[near(class as usize)] = (class as usize, number);
        Some(number)
    }

    /// Meets `class`.
    pub(super) fn add(&mut self, py: Python<'_>, class: *mut ffi::PyTypeObject) -> u32 {
        // SAFETY: the class of a live object is alive.
        let bound =
            unsafe { Bound::from_borrowed_ptr(py, class.cast()).cast_into_unchecked::<PyType>() };
        let kind = self.kind_of(py, class);
        let number = self.all.len() as u32;
        let members = if has_members(kind) {
            members(class).into()
        } else {
            Rc::default()
        };
        self.all.push(Type {
            kind,
            name: type_name(&bound).into(),
            chunk: 0,
            in_chunk: 0,
            row: row(&members),
            members,
            // SAFETY: a live type.
            has_dict: unsafe { (*class).tp_dictoffset } != 0,
        });
        if !is_heap_type(class) {
            self.fixed.insert(class as usize, number);
        }
        number
    }

    #[inline]
    pub(super) fn get_ref(&self, number: u32) -> &Type {
        &self.all[number as usize]
    }

    /// As [`Self::get_ref`], where nobody catches panics.
    #[inline(always)]
    pub(super) fn find_ref(&self, number: u32) -> Option<&Type> {
        self.all.get(number as usize)
    }

    /// The member of `__slots__` with this index.
    #[inline]
    pub(super) fn member(&self, number: u32, index: usize) -> Option<&Member> {
        self.find_ref(number)?.members.get(index)
    }

    #[inline]
    pub(super) fn get(&mut self, number: u32) -> &mut Type {
        &mut self.all[number as usize]
    }
}

/// Whether objects of this kind may have values of `__slots__` beside what else is in them.
pub(super) fn has_members(kind: Kind) -> bool {
    kind == Kind::Instance || has_attributes_beside(kind)
}

/// Whether objects of this kind may have attributes beside what else is in them.
pub(super) fn has_attributes_beside(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::ListSubclass
            | Kind::TupleSubclass
            | Kind::SetSubclass
            | Kind::FrozenSetSubclass
            | Kind::DictSubclass
            | Kind::Deque
    )
}

/// Whether a class can die: only those that were made while Python ran.
#[inline]
pub(super) fn is_heap_type(class: *mut ffi::PyTypeObject) -> bool {
    // SAFETY: the class of a live object is alive.
    unsafe { (*class).tp_flags & ffi::Py_TPFLAGS_HEAPTYPE != 0 }
}

impl Types {
    fn kind_of(&mut self, py: Python<'_>, class: *mut ffi::PyTypeObject) -> Kind {
        macro_rules! exact {
        ($($type:ident => $kind:ident,)*) => {
            $(if class == &raw mut ffi::$type { return Kind::$kind; })*
        };
    }
        // SAFETY: only addresses of static types are taken, and flags of a live type are read.
        #[allow(unused_unsafe)]
        unsafe {
            exact! {
                PyUnicode_Type => Str,
                PyBytes_Type => Bytes,
                PyByteArray_Type => ByteArray,
                PyList_Type => List,
                PyTuple_Type => Tuple,
                PySet_Type => Set,
                PyFrozenSet_Type => FrozenSet,
                PyDict_Type => Dict,
                PyCell_Type => Cell,
                PyFunction_Type => Function,
                PyCFunction_Type => Builtin,
                PyModule_Type => Module,
                PyRange_Type => Range,
                PySlice_Type => Slice,
                PyCode_Type => Code,
            }
            if class == &raw mut PyMethod_Type {
                return Kind::Method;
            }
            if describes_c(py, class) {
                return Kind::Builtin;
            }
            let flags = (*class).tp_flags;
            if flags & ffi::Py_TPFLAGS_TYPE_SUBCLASS != 0 {
                Kind::Type
            } else if flags & ffi::Py_TPFLAGS_BASE_EXC_SUBCLASS != 0 {
                Kind::Exception
            } else if flags & ffi::Py_TPFLAGS_LIST_SUBCLASS != 0 {
                Kind::ListSubclass
            } else if flags & ffi::Py_TPFLAGS_TUPLE_SUBCLASS != 0 {
                Kind::TupleSubclass
            } else if flags & ffi::Py_TPFLAGS_DICT_SUBCLASS != 0 {
                Kind::DictSubclass
            } else if ffi::PyType_IsSubtype(class, &raw mut ffi::PySet_Type) != 0 {
                Kind::SetSubclass
            } else if ffi::PyType_IsSubtype(class, &raw mut ffi::PyFrozenSet_Type) != 0 {
                Kind::FrozenSetSubclass
            } else if self.is_deque(py, class) {
                Kind::Deque
            } else if is_heap_type(class) && has_attributes(class) {
                Kind::Instance
            } else {
                Kind::Opaque
            }
        }
    }

    /// Whether it is `collections.deque`, or a subclass.
    fn is_deque(&mut self, py: Python<'_>, class: *mut ffi::PyTypeObject) -> bool {
        if self.deque.is_none() {
            self.deque = deque_class(py);
        }
        // SAFETY: live types; of what was found only the address is compared; the module `collections` holds it.
        self.deque
            .is_some_and(|deque| unsafe { ffi::PyType_IsSubtype(class, deque) != 0 })
    }
}

/// Whether instances have attributes that can be read without asking the program.
fn has_attributes(class: *mut ffi::PyTypeObject) -> bool {
    // SAFETY: a live type.
    let dict_offset = unsafe { (*class).tp_dictoffset };
    // 3.11 and later keep managed dicts where the offset says -1.
    dict_offset != 0 || !members(class).is_empty()
}

/// Where the first of these members is, if each of the others is right behind the one before.
fn row(members: &[Member]) -> Option<isize> {
    let first = members.first()?.1;
    let size = size_of::<*mut ffi::PyObject>().cast_signed();
    let mut places = members.iter().zip(0..);
    let is_row = places.all(|(member, at)| member.1 == first + at * size);
    is_row.then_some(first)
}

/// The names in `__slots__` of a class and its bases, with the offsets of their values.
fn members(class: *mut ffi::PyTypeObject) -> Box<[Member]> {
    let mut found = Vec::new();
    let mut class = class;
    while !class.is_null() && is_heap_type(class) {
        // SAFETY: a live heap type: `ht_slots` is NULL or a tuple of names, and `tp_members` is NULL or an array that ends with a NULL
        // name (`Objects/typeobject.c`, `type_new_slots`).
        unsafe {
            let names = slot_names(class);
            let mut member = (*class).tp_members;
            if !names.is_null() && !member.is_null() {
                while !(*member).name.is_null() {
                    if (*member).type_code == ffi::Py_T_OBJECT_EX {
                        // Interned: the very string that `__slots__` has.
                        let name = ffi::PyUnicode_InternFromString((*member).name);
                        if name.is_null() {
                            ffi::PyErr_Clear();
                        } else {
                            found.push((name, (*member).offset));
                        }
                    }
                    member = member.add(1);
                }
            }
            class = (*class).tp_base;
        }
    }
    found.into()
}
