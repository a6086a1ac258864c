//! Assignment to a function's `__code__`: the function gets the probed copy of what is assigned.
//!
//! The function watchers of 3.12+ are told before the assignment and cannot change what is assigned, and 3.11 has none. So the
//! setter in the type's own table is replaced while anybody watches whole programs (`func_getsetlist`, `Objects/funcobject.c`).

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use pyo3::exceptions::PyRuntimeError;
use pyo3::types::{PyAnyMethods, PyCode, PyFunction};
use pyo3::{Bound, PyResult, Python, ffi};

use crate::function;
use crate::gil::GilCell;
use crate::interpreter::is_main;

/// `PyGetSetDescrObject` (`Include/cpython/descrobject.h`, the same in 3.11-3.15).
#[repr(C)]
pub(crate) struct GetSetDescriptor {
    ob_base: ffi::PyObject,
    d_type: *mut ffi::PyTypeObject,
    d_name: *mut ffi::PyObject,
    d_qualname: *mut ffi::PyObject,
    pub(crate) d_getset: *mut ffi::PyGetSetDef,
}

type Setter = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject, *mut c_void) -> c_int;

/// The setter that CPython has, once ours has stood in its place. Not under the GIL: sub-interpreters with a GIL of their own call
/// the setter too.
static ORIGINAL: OnceLock<Setter> = OnceLock::new();

/// Whether ours stands there now.
static IN_PLACE: GilCell<bool> = GilCell::new(false);

/// The table entry of `types.FunctionType.__code__`.
fn entry(py: Python<'_>) -> PyResult<*mut ffi::PyGetSetDef> {
    let descriptor = py
        .get_type::<PyFunction>()
        .getattr("__dict__")?
        .get_item("__code__")?;
    // SAFETY: compares a type, and reads a field of an object of that very type.
    unsafe {
        if ffi::Py_TYPE(descriptor.as_ptr()) != &raw mut ffi::PyGetSetDescr_Type {
            return Err(PyRuntimeError::new_err(
                "debugop does not know this interpreter: FunctionType.__code__ is no getset descriptor",
            ));
        }
        Ok((*descriptor.as_ptr().cast::<GetSetDescriptor>()).d_getset)
    }
}

/// Puts our setter in place.
///
/// # Errors
/// The interpreter is not as it should be.
pub(super) fn watch(py: Python<'_>) -> PyResult<()> {
    if IN_PLACE.get(py) {
        return Ok(());
    }
    let entry = entry(py)?;
    // SAFETY: the table is writable static data of the interpreter (it is not declared const in 3.11-3.15) that lives as long
    // as it does; the GIL is held, and both setters have the same signature.
    unsafe {
        let Some(setter) = (*entry).set else {
            return Err(PyRuntimeError::new_err(
                "debugop does not know this interpreter: FunctionType.__code__ cannot be set",
            ));
        };
        ORIGINAL.get_or_init(|| setter);
        (*entry).set = Some(set);
    }
    IN_PLACE.set(py, true);
    Ok(())
}

/// Puts CPython's setter back.
pub(super) fn unwatch(py: Python<'_>) {
    if !IN_PLACE.replace(py, false) {
        return;
    }
    if let (Some(original), Ok(entry)) = (ORIGINAL.get(), entry(py)) {
        // SAFETY: as in `watch`.
        unsafe { (*entry).set = Some(*original) };
    }
}

/// # Safety
/// Called by CPython as the setter of `__code__`; `value` is NULL for a deletion.
unsafe extern "C" fn set(
    object: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    closure: *mut c_void,
) -> c_int {
    // SAFETY: the thread is attached and the object is a function, by CPython's calling convention.
    let (py, function, code) = unsafe {
        let py = Python::assume_attached();
        let function = Bound::from_borrowed_ptr(py, object).cast_into_unchecked::<PyFunction>();
        (py, function, Bound::from_borrowed_ptr_or_opt(py, value))
    };
    let Some(original) = ORIGINAL.get() else {
        // Cannot be reached: `watch` sets it first.
        PyRuntimeError::new_err("debugop lost the setter of __code__").restore(py);
        return -1;
    };
    let replaced = catch_unwind(AssertUnwindSafe(|| {
        let code = code.as_ref()?.cast_exact::<PyCode>().ok()?;
        if !is_main(py) {
            return None;
        }
        match super::replacement(code, || function::module(&function)) {
            Ok(copy) => copy,
            Err(error) => {
                error.write_unraisable(py, Some(function.as_any()));
                None
            }
        }
    }));
    let copy: Option<Bound<'_, PyCode>> = replaced.unwrap_or_default();
    let value = copy.as_ref().map_or(value, Bound::as_ptr);
    // SAFETY: CPython's own setter with the arguments that it expects; `copy` is alive until it returns.
    unsafe { original(object, value, closure) }
}
