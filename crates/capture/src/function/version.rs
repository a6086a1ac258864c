//! What calls of a function are specialised for, over a change of its code to a copy of it, or back (3.13+).
//!
//! An assignment to `__code__` clears `func_version` for good: calls of such a function are never specialised again
//! (`_PyFunction_GetVersionForCurrentState` in `Objects/funcobject.c`, `specialize_py_call` in `Python/specialize.c`; on 3.11 and 3.12 there it
//! gets a new one). What is specialised by the version compares it, and reads everything else of `func_code` at each call: the
//! count of arguments (or it takes for granted that it is the one that the version was met with: properties, `__getattribute__` and
//! `__getitem__`), the flags, the size of the frame, where to begin (`Python/bytecodes.c`: `_CHECK_FUNCTION_VERSION`,
//! `_CHECK_FUNCTION_EXACT_ARGS`, `_PY_FRAME_GENERAL`, `_PY_FRAME_KW`, `LOAD_ATTR_PROPERTY`, `LOAD_ATTR_GETATTRIBUTE_OVERRIDDEN`,
//! `BINARY_SUBSCR_GETITEM`, and what they are made of in 3.14 and 3.15). A copy has all of that in common with its original, so the version may stay.
//! Not so where traces are compiled: they hold the code itself that the version stood for.

use pyo3::types::{PyCode, PyFunction};
use pyo3::{Bound, PyAny, ffi};

use crate::jit;
use crate::layout::FunctionObject;

/// The version of a function, and what else clears it.
pub(super) struct Version<'a, 'py> {
    function: &'a Bound<'py, PyFunction>,
    version: u32,
    defaults: Option<Bound<'py, PyAny>>,
    kwdefaults: Option<Bound<'py, PyAny>>,
    vectorcall: *mut ffi::PyObject,
}

impl<'a, 'py> Version<'a, 'py> {
    /// That of `function`, of which the code is about to be changed.
    pub(super) fn of(function: &'a Bound<'py, PyFunction>) -> Self {
        let py = function.py();
        // SAFETY: an exact function; its fields are its own references, or NULL. Checked on 3.13.0, 3.14.10, 3.15.2.
        unsafe {
            let raw = function.as_ptr().cast::<FunctionObject>();
            Self {
                function,
                version: (*raw).func_version,
                defaults: Bound::from_borrowed_ptr_or_opt(py, (*raw).func_defaults),
                kwdefaults: Bound::from_borrowed_ptr_or_opt(py, (*raw).func_kwdefaults),
                vectorcall: (*raw).vectorcall,
            }
        }
    }

    /// The function runs `code` now, unless an audit hook, a watcher of functions or a destructor has changed it meanwhile.
    pub(super) fn keep(self, code: &Bound<'_, PyCode>) {
        if jit::may_compile(self.function.py()) {
            return;
        }
        let is = |object: &Option<Bound<'_, PyAny>>, now: *mut ffi::PyObject| {
            object.as_ref().map_or(std::ptr::null_mut(), Bound::as_ptr) == now
        };
        // SAFETY: as in `of`. The version was that of a function with these defaults and this way to call it, which are alive, so that they are the same
        // if they are at the same addresses; and of the rest of its code that calls depend on `code` has the same.
        unsafe {
            let raw = self.function.as_ptr().cast::<FunctionObject>();
            if (*raw).func_code == code.as_ptr()
                && (*raw).vectorcall == self.vectorcall
                && is(&self.defaults, (*raw).func_defaults)
                && is(&self.kwdefaults, (*raw).func_kwdefaults)
            {
                (*raw).func_version = self.version;
            }
        }
    }
}
