//! Modules of the interpreter.
//!
//! `PyImport_Import`, which PyO3 uses, calls the `__import__` of the namespace that is running (`Python/import.c`). Here that is
//! the program's, which may have none, or one of its own.

use std::ffi::{CStr, CString};

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
