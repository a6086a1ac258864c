//! `code.replace` of a probed copy: what it makes is made from the original.
//!
//! A program that replaces the constants of a function's code must not get bytecode that still loads our sites from them:
//! `LOAD_CONST` trusts its argument. One that replaces the bytecode too, by what it made of the copy's, gets the copy's constants, to
//! which it belongs. So the C function behind `code.replace` (and `code.__replace__`, 3.13+) is replaced in the
//! table that CPython reads at each call (`code_methods`, `Objects/codeobject.c`), from the first copy on and for good: copies
//! may live on when nobody traces any more.

use std::ffi::CStr;
use std::sync::OnceLock;

use pyo3::exceptions::PyRuntimeError;
use pyo3::types::{PyAnyMethods, PyCode};
use pyo3::{Bound, PyResult, Python, ffi};

use crate::interpreter::is_main;
use crate::names;
use crate::registry;

/// What CPython has where ours stands. Sub-interpreters with a GIL of their own come here too.
static ORIGINAL: OnceLock<ffi::PyCFunctionFastWithKeywords> = OnceLock::new();

const NAMES: [&CStr; 2] = [c"replace", c"__replace__"];

/// Puts our function in place, the first time.
///
/// # Errors
/// `RuntimeError`: the interpreter is not as it should be.
pub(crate) fn watch(_attached: Python<'_>) -> PyResult<()> {
    if ORIGINAL.get().is_some() {
        return Ok(());
    }
    // SAFETY: the table is writable static data of the interpreter (3.11-3.15, not declared const) that ends in a NULL name; the
    // GIL is held. The flags, which are compared, say which member of the union is set, and ours has the same signature.
    unsafe {
        let mut entry = ffi::PyCode_Type.tp_methods;
        while !entry.is_null() && !(*entry).ml_name.is_null() {
            if NAMES.contains(&CStr::from_ptr((*entry).ml_name))
                && (*entry).ml_flags == ffi::METH_FASTCALL | ffi::METH_KEYWORDS
            {
                ORIGINAL.get_or_init(|| (*entry).ml_meth.PyCFunctionFastWithKeywords);
                (*entry).ml_meth.PyCFunctionFastWithKeywords = replace;
            }
            entry = entry.add(1);
        }
    }
    match ORIGINAL.get() {
        Some(_) => Ok(()),
        None => Err(PyRuntimeError::new_err(
            "debugop does not know this interpreter: code.replace is not what it is in CPython 3.11-3.15",
        )),
    }
}

/// # Safety
/// Called by CPython as the method `replace` of code objects.
unsafe extern "C" fn replace(
    code: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached and `code` is a code object, by CPython's calling convention.
    let (py, code) = unsafe {
        let py = Python::assume_attached();
        let code = Bound::from_borrowed_ptr(py, code).cast_into_unchecked::<PyCode>();
        (py, code)
    };
    let Some(original) = ORIGINAL.get() else {
        // Cannot be reached: `watch` sets it first.
        PyRuntimeError::new_err("debugop lost code.replace").restore(py);
        return std::ptr::null_mut();
    };
    // SAFETY: CPython passes NULL or a tuple of exact strings, which the caller keeps alive.
    let keeps_code = unsafe { Bound::from_borrowed_ptr_or_opt(py, keywords) }
        .is_none_or(|names| !names.contains(names::co_code(py)).unwrap_or(true));
    let entry = if keeps_code && is_main(py) {
        registry::of_copy(&code)
    } else {
        None
    };
    let from = entry
        .as_ref()
        .map_or(code.as_ptr(), |entry| entry.original(py).as_ptr());
    // SAFETY: CPython's own method with the arguments that it expects; `code` and `entry` keep what `from` is alive.
    unsafe { original(from, args, count, keywords) }
}
