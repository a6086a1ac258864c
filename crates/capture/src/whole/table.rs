//! Tables of functions that CPython reads at each call.

use std::ffi::{CStr, c_int};

use pyo3::exceptions::PyRuntimeError;
use pyo3::{Bound, PyAny, PyResult, ffi};

/// The entry of the builtin function `name` in the table of the module's methods, whatever the name stands for now.
///
/// # Errors
/// `RuntimeError`: there is no such function, or its calling convention is not `flags`.
pub(super) fn method(
    module: &Bound<'_, PyAny>,
    name: &str,
    flags: c_int,
) -> PyResult<*mut ffi::PyMethodDef> {
    // SAFETY: a module object made by CPython; its definition and the table in it are static data, which ends in a NULL name.
    // Anything else has no definition.
    unsafe {
        let definition = ffi::PyModule_GetDef(module.as_ptr());
        if !definition.is_null() {
            let mut entry = (*definition).m_methods;
            while !entry.is_null() && !(*entry).ml_name.is_null() {
                if CStr::from_ptr((*entry).ml_name).to_bytes() == name.as_bytes()
                    && (*entry).ml_flags == flags
                {
                    return Ok(entry);
                }
                entry = entry.add(1);
            }
        }
        // What `PyModule_GetDef` raises for other objects.
        ffi::PyErr_Clear();
    }
    Err(PyRuntimeError::new_err(format!(
        "debugop does not know this interpreter: the builtin {name} is not what it is in CPython {}",
        crate::layout::VERSION
    )))
}
