//! Which callables change nothing of what they are given, or only one thing, so that the rest need not be looked at again.

use std::ffi::CStr;

use pyo3::types::{PyAnyMethods, PyType};
use pyo3::{Bound, PyAny, PyResult, Python, ffi};
use rustc_hash::FxHashMap;

use crate::layout::objects::{BuiltinObject, DescriptorObject, MethodWrapper};
use crate::modules;
use crate::value::{PyMethodDescr_Type, bound_slot};

/// What a callable may change of what it is called with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changes {
    /// All of it, and nobody knows how long it takes.
    Anything,
    /// All of it, but it does not wait for anything.
    Everything,
    /// Instances of classes only, whose methods it may call.
    Instances,
    /// The object that it is a method of.
    Itself,
    /// As [`Self::Instances`]; nothing if the last argument is a plain class, because then it runs nothing.
    Checks,
}

/// Functions of the module `builtins` that read only.
const FUNCTIONS: &[(&str, Changes)] = &[
    ("len", Changes::Instances),
    ("isinstance", Changes::Checks),
    ("issubclass", Changes::Checks),
    ("id", Changes::Instances),
    ("callable", Changes::Instances),
    ("abs", Changes::Instances),
    ("ord", Changes::Instances),
    ("chr", Changes::Instances),
    ("hash", Changes::Instances),
    ("repr", Changes::Instances),
    ("format", Changes::Instances),
    ("round", Changes::Instances),
    ("divmod", Changes::Instances),
    ("pow", Changes::Instances),
    ("min", Changes::Instances),
    ("max", Changes::Instances),
    ("sum", Changes::Instances),
    ("sorted", Changes::Instances),
    ("iter", Changes::Instances),
    ("print", Changes::Instances),
];

/// Methods of `list`, `dict`, `set` and `str` that change their object only, or nothing.
fn methods() -> [(*mut ffi::PyTypeObject, &'static [(&'static str, Changes)]); 4] {
    use Changes::{Instances, Itself};
    [
        (
            &raw mut ffi::PyList_Type,
            &[
                ("append", Itself),
                ("insert", Itself),
                ("pop", Itself),
                ("clear", Itself),
                ("reverse", Itself),
                ("copy", Instances),
                ("index", Instances),
                ("count", Instances),
            ],
        ),
        (
            &raw mut ffi::PyDict_Type,
            &[
                ("get", Instances),
                ("keys", Instances),
                ("values", Instances),
                ("items", Instances),
                ("copy", Instances),
                ("setdefault", Itself),
                ("pop", Itself),
                ("clear", Itself),
            ],
        ),
        (
            &raw mut ffi::PySet_Type,
            &[
                ("add", Itself),
                ("discard", Itself),
                ("remove", Itself),
                ("clear", Itself),
                ("copy", Instances),
            ],
        ),
        (&raw mut ffi::PyUnicode_Type, &[("join", Instances)]),
    ]
}

/// What the callables that are known change, by the address of their definition or class.
pub(super) struct Callables(FxHashMap<usize, Changes>);

impl Callables {
    /// # Errors
    /// What CPython raises, such as `MemoryError`.
    pub(super) fn new(py: Python<'_>) -> PyResult<Self> {
        let mut known = FxHashMap::default();
        let builtins = modules::builtin(py, "builtins")?;
        for &(name, changes) in FUNCTIONS {
            // Whatever the program has put there is no builtin function of this name.
            if let Ok(function) = builtins.getattr(name)
                && let Some(definition) = definition_of(function.as_ptr(), name)
            {
                known.insert(definition, changes);
            }
        }
        for (class, methods) in methods() {
            // SAFETY: a static type.
            let class: Bound<'_, PyAny> = unsafe { Bound::from_borrowed_ptr(py, class.cast()) };
            let class = class.cast_into::<PyType>()?;
            for &(name, changes) in methods {
                if let Some(definition) = definition_of(class.getattr(name)?.as_ptr(), name) {
                    known.insert(definition, changes);
                }
            }
        }
        let classes = [
            &raw mut ffi::PyRange_Type,
            &raw mut ffi::PyLong_Type,
            &raw mut ffi::PyFloat_Type,
            &raw mut ffi::PyBool_Type,
            &raw mut ffi::PyUnicode_Type,
            &raw mut ffi::PyType_Type,
            &raw mut ffi::PyList_Type,
            &raw mut ffi::PyTuple_Type,
            &raw mut ffi::PySet_Type,
            &raw mut ffi::PyFrozenSet_Type,
            &raw mut ffi::PyDict_Type,
            &raw mut ffi::PyEnum_Type,
            &raw mut ffi::PyReversed_Type,
        ];
        known.extend(classes.map(|class| (class as usize, Changes::Instances)));
        Ok(Self(known))
    }

    /// `callable` is one that `key` identifies, alive.
    #[cold]
    pub(super) fn changes(&self, key: usize, callable: *mut ffi::PyObject) -> Changes {
        match self.0.get(&key) {
            Some(changes) => *changes,
            None if calculates(callable) => Changes::Everything,
            None => Changes::Anything,
        }
    }
}

/// Modules of C code that only calculates: what is in them waits for nothing.
const CALCULATE: &[&str] = &[
    "_bisect",
    "_collections",
    "_datetime",
    "_decimal",
    "_functools",
    "_heapq",
    "_json",
    "_operator",
    "_random",
    "_sre",
    "_struct",
    "array",
    "binascii",
    "cmath",
    "collections",
    "datetime",
    "decimal",
    "functools",
    "itertools",
    "math",
    "operator",
    "random",
    "re",
    "unicodedata",
];

/// Functions of `builtins` that run other code or wait for something, of those about which nothing else is known.
const WAIT: &[&str] = &[
    "__import__",
    "breakpoint",
    "eval",
    "exec",
    "input",
    "next",
    "open",
];

/// Whether a callable that has an [identity] waits for nothing by itself: a class, a method of one that only holds values, a function of a module that calculates.
fn calculates(callable: *mut ffi::PyObject) -> bool {
    // SAFETY: a live object of one of the exact types that `identity` knows, whose fields are read; names are static, or as the module keeps them.
    unsafe {
        let class = ffi::Py_TYPE(callable);
        if class == &raw mut PyMethodDescr_Type {
            return holds_values((*callable.cast::<DescriptorObject>()).d_type);
        }
        if class != &raw mut ffi::PyCFunction_Type {
            return true;
        }
        let function = callable.cast::<BuiltinObject>();
        let (owner, definition) = ((*function).m_self, (*function).m_ml);
        if owner.is_null() {
            return false;
        }
        if ffi::PyModule_CheckExact(owner) == 0 {
            return match ffi::PyType_Check(owner) {
                0 => holds_values(ffi::Py_TYPE(owner)),
                _ => holds_values(owner.cast()),
            };
        }
        let module = ffi::PyModule_GetDef(owner);
        if module.is_null() || (*module).m_name.is_null() {
            return false;
        }
        let name = CStr::from_ptr((*module).m_name).to_bytes();
        match name {
            b"builtins" => {
                let name = CStr::from_ptr((*definition).ml_name).to_bytes();
                WAIT.iter().all(|waits| waits.as_bytes() != name)
            }
            _ => CALCULATE.iter().any(|module| module.as_bytes() == name),
        }
    }
}

/// Whether the methods of a static type calculate only: it is a builtin one, or of a module that does.
///
/// # Safety
/// The type is alive.
unsafe fn holds_values(class: *mut ffi::PyTypeObject) -> bool {
    // SAFETY: by the contract; C code names its types by strings that stay.
    let name = unsafe { CStr::from_ptr((*class).tp_name) }.to_bytes();
    match name.iter().position(|byte| *byte == b'.') {
        None => {
            // A class that a program has made has a name without a module, too.
            // SAFETY: by the contract.
            unsafe { (*class).tp_flags & ffi::Py_TPFLAGS_HEAPTYPE == 0 }
        }
        Some(end) => CALCULATE
            .iter()
            .any(|module| module.as_bytes() == &name[..end]),
    }
}

/// What identifies a callable of C code: its definition, or the class; and the object that it is bound to, or NULL. `None` for others.
///
/// # Safety
/// `callable` is alive.
#[inline]
pub(super) unsafe fn identity(
    py: Python<'_>,
    callable: *mut ffi::PyObject,
) -> Option<(usize, *mut ffi::PyObject)> {
    // SAFETY: fields of exact types are read.
    unsafe {
        let class = ffi::Py_TYPE(callable);
        if class == &raw mut PyMethodDescr_Type {
            let definition = (*callable.cast::<DescriptorObject>()).d_method;
            Some((definition as usize, std::ptr::null_mut()))
        } else if class == &raw mut ffi::PyCFunction_Type {
            let function = callable.cast::<BuiltinObject>();
            Some(((*function).m_ml as usize, (*function).m_self))
        } else if class == &raw mut ffi::PyType_Type {
            Some((callable as usize, std::ptr::null_mut()))
        } else if bound_slot(py).is_some_and(|slot| slot.as_ptr() == class.cast()) {
            // As `super().__init__`: its definition is the descriptor, which the class keeps.
            let wrapper = callable.cast::<MethodWrapper>();
            Some(((*wrapper).descr as usize, (*wrapper).receiver))
        } else {
            None
        }
    }
}

/// The definition of a builtin function or method of this name.
fn definition_of(callable: *mut ffi::PyObject, name: &str) -> Option<usize> {
    // SAFETY: a live object; definitions and their names are static.
    unsafe {
        let class = ffi::Py_TYPE(callable);
        let definition = if class == &raw mut PyMethodDescr_Type {
            (*callable.cast::<DescriptorObject>()).d_method
        } else if class == &raw mut ffi::PyCFunction_Type {
            (*callable.cast::<BuiltinObject>()).m_ml
        } else {
            return None;
        };
        let found = CStr::from_ptr((*definition).ml_name);
        (found.to_bytes() == name.as_bytes()).then_some(definition as usize)
    }
}
