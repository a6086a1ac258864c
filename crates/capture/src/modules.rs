//! Modules of the interpreter.
//!
//! `PyImport_Import`, which PyO3 uses, calls the `__import__` of the namespace that is running (`Python/import.c`). Here that is
//! the program's, which may have none, or one of its own.

use std::ffi::{CStr, CString, c_int};

use pyo3::exceptions::PyRuntimeError;
use pyo3::types::PyAnyMethods;
use pyo3::{Bound, PyAny, PyErr, PyResult, Python, ffi};

/// An attribute of `sys`, whatever the program has put into `sys.modules`.
///
/// # Errors
/// RuntimeError if somebody has deleted it.
pub(crate) fn sys<'py>(py: Python<'py>, name: &CStr) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the GIL is held, the name is a C string; a borrowed reference or NULL without an exception.
    unsafe { Bound::from_borrowed_ptr_or_opt(py, ffi::PySys_GetObject(name.as_ptr())) }
        .ok_or_else(|| PyRuntimeError::new_err(format!("sys has no {}", name.to_string_lossy())))
}

/// A module that is built into the interpreter. It is in `sys.modules` afterwards if it was before, and otherwise not.
///
/// # Errors
/// `ImportError`.
pub(crate) fn builtin<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    let modules = sys(py, c"modules")?;
    let was_there = modules.contains(name)?;
    let module = import(py, name)?;
    if !was_there {
        modules.del_item(name)?;
    }
    Ok(module)
}

fn import<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    let name = CString::new(name)?;
    let none = std::ptr::null_mut;
    // SAFETY: the GIL is held; without a namespace and a list of names this is `import name` (`Python/import.c`). A new reference
    // or NULL with an exception.
    unsafe {
        let module = ffi::PyImport_ImportModuleLevel(name.as_ptr(), none(), none(), none(), 0);
        Bound::from_owned_ptr_or_opt(py, module).ok_or_else(|| PyErr::fetch(py))
    }
}

/// The entry of the builtin function `name` in the table that a module was made from, whatever the name stands for now.
///
/// # Errors
/// `RuntimeError`: there is no such function, or its calling convention is not `flags`.
pub(crate) fn method(
    module: &Bound<'_, PyAny>,
    name: &str,
    flags: c_int,
) -> PyResult<*mut ffi::PyMethodDef> {
    // SAFETY: for a module made by CPython, its definition and the table in it are static data, which ends in a NULL name; anything
    // else has no definition.
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
