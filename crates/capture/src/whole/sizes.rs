//! `sys.getsizeof` of frames and generators: as large as they would be with the original, whose value stack is shorter than the copy's.
//!
//! `__sizeof__` is looked up in the types' method tables (`frame_methods`, `gen_methods`, …), which CPython reads at each call.

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use pyo3::exceptions::PyRuntimeError;
use pyo3::types::{PyAnyMethods, PyCode, PyFrame};
use pyo3::{Bound, IntoPyObject, PyAny, PyResult, Python, ffi};

use super::shown;
use crate::code_object;
use crate::function;
use crate::interpreter::is_main;
use crate::registry;

/// `__sizeof__` (`METH_NOARGS`).
type SizeOf = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject) -> *mut ffi::PyObject;

/// Types whose objects hold a frame.
const TYPES: [fn() -> *mut ffi::PyTypeObject; 4] = [
    || &raw mut ffi::PyFrame_Type,
    || &raw mut ffi::PyGen_Type,
    || &raw mut ffi::PyCoro_Type,
    || &raw mut ffi::PyAsyncGen_Type,
];

/// In the order of [`TYPES`].
const OURS: [SizeOf; TYPES.len()] = [size::<0>, size::<1>, size::<2>, size::<3>];

/// What CPython has where ours stand. Sub-interpreters with a GIL of their own come here too.
static THEIRS: [OnceLock<SizeOf>; TYPES.len()] = [const { OnceLock::new() }; TYPES.len()];

/// Puts ours in place, until the process ends.
pub(super) fn watch(_attached: Python<'_>) {
    for (which, class) in TYPES.iter().enumerate() {
        if THEIRS[which].get().is_some() {
            continue;
        }
        // SAFETY: the table is writable static data of the interpreter (3.11-3.15, not declared const) that ends in a NULL name; the
        // GIL is held. The flags, which are compared, say which member of the union is set, and ours has the same signature.
        unsafe {
            let mut entry = (*class()).tp_methods;
            while !entry.is_null() && !(*entry).ml_name.is_null() {
                if CStr::from_ptr((*entry).ml_name) == c"__sizeof__"
                    && (*entry).ml_flags == ffi::METH_NOARGS
                {
                    THEIRS[which].get_or_init(|| (*entry).ml_meth.PyCFunction);
                    (*entry).ml_meth.PyCFunction = OURS[which];
                }
                entry = entry.add(1);
            }
        }
    }
}

/// # Safety
/// Called by CPython as `__sizeof__` of `TYPES[WHICH]`.
unsafe extern "C" fn size<const WHICH: usize>(
    object: *mut ffi::PyObject,
    nothing: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached and the object alive, by CPython's calling convention; CPython's own method gets what was meant for
    // it. A new reference or NULL with an exception.
    let (py, object, size) = unsafe {
        let py = Python::assume_attached();
        let Some(original) = THEIRS[WHICH].get() else {
            // Cannot be reached: `watch` sets it first.
            PyRuntimeError::new_err("debugop lost __sizeof__").restore(py);
            return std::ptr::null_mut();
        };
        let size = Bound::from_owned_ptr_or_opt(py, original(object, nothing));
        (py, Bound::from_borrowed_ptr(py, object), size)
    };
    let Some(size) = size else {
        return std::ptr::null_mut();
    };
    if !is_main(py) {
        return size.into_ptr();
    }
    let shown = catch_unwind(AssertUnwindSafe(|| without_growth::<WHICH>(&object, &size)));
    match shown {
        Ok(Ok(Some(shown))) => shown.into_ptr(),
        _ => size.into_ptr(),
    }
}

/// `size` without the slots that the copy has more than the original; `None` if the object's frame runs no copy.
fn without_growth<'py, const WHICH: usize>(
    object: &Bound<'py, PyAny>,
    size: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    const SLOT: isize = size_of::<*mut ffi::PyObject>().cast_signed();
    let py = object.py();
    let code = match object.cast::<PyFrame>() {
        Ok(frame) => Some(function::code_of_frame(frame)),
        Err(_) => shown::code_of_generator(object),
    };
    let Some(code) = code else {
        return Ok(None);
    };
    let Some(entry) = registry::of_copy(&code) else {
        return Ok(None);
    };
    let slots = |code: &Bound<'_, PyCode>| code_object::head(code).co_stacksize as isize;
    let growth = slots(&code) - slots(entry.original(py));
    let size = size.extract::<isize>()? - growth * SLOT;
    let Ok(size) = size.into_pyobject(py);
    Ok(Some(size.into_any()))
}
