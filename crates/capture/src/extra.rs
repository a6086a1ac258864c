//! What is remembered about a code object, in the code object: its `co_extra`.
//!
//! CPython frees it together with the code object, so it can neither go stale nor be mistaken for another's, and there is as
//! much of it as there is code that somebody asked about (`Objects/codeobject.c`: `PyUnstable_Code_SetExtra`, `code_dealloc`).

use std::ffi::c_void;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use pyo3::exceptions::PySystemError;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyCode;
use pyo3::{Bound, PyErr, PyResult, Python, ffi};

use crate::gil::GilCell;
use crate::layout::CodeObject;
use crate::op_target::{Facts, Origin};
use crate::probed::ProbedCode;

/// All that is remembered.
#[derive(Default)]
pub(crate) struct Extra {
    /// For code that executes [`crate::debug_op`].
    pub facts: GilCell<Option<Rc<Facts>>>,
    /// For code that [`crate::insert_debug_op`] made.
    pub origin: GilCell<Option<Rc<Origin>>>,
    /// For a probed copy: what it is the copy of.
    pub copy_of: GilCell<Option<Arc<ProbedCode>>>,
    /// For code that has been probed, as long as anybody uses the copy.
    pub probed: GilCell<Weak<ProbedCode>>,
    /// In which generation of [`crate::breakpoint`] there was none for it.
    pub unbroken: GilCell<u64>,
    /// In which generation of [`crate::whole`] nobody wanted it.
    pub unwanted: GilCell<u64>,
    /// Why it is left without probes: name, file and reason.
    pub refused: GilCell<Option<Rc<str>>>,
    /// Serial numbers of the tracers that know that it is.
    pub told: GilCell<Vec<u64>>,
}

/// The slot of `co_extra` that is ours.
static INDEX: PyOnceLock<ffi::Py_ssize_t> = PyOnceLock::new();

/// # Safety
/// Called by CPython with what [`with`] has set, when the code object dies.
unsafe extern "C" fn free(extra: *mut c_void) {
    // CPython calls this for NULL, too, when another user's slot made it allocate the array.
    if !extra.is_null() {
        // SAFETY: the thread is attached; the pointer came from `Box::into_raw` and is given back exactly once.
        let (py, extra) = unsafe {
            (
                Python::assume_attached(),
                Box::from_raw(extra.cast::<Extra>()),
            )
        };
        // At once: dropping a `Py` would wait until this thread enters our code again.
        if let Some(origin) = extra.origin.take(py).and_then(Rc::into_inner) {
            origin.code.drop_ref(py);
        }
        if let Some(code) = extra.copy_of.take(py) {
            code.lose_copy(py);
            ProbedCode::let_go(py, code);
        }
    }
}

/// Our slot of `co_extra`. To be asked for once when the module is imported: the first time gives up the GIL.
pub(crate) fn index(py: Python<'_>) -> PyResult<ffi::Py_ssize_t> {
    let index = INDEX.get_or_try_init(py, || {
        // SAFETY: the GIL is held; `free` has the right signature and lives as long as the process.
        match unsafe { ffi::PyUnstable_Eval_RequestCodeExtraIndex(free) } {
            index if index >= 0 => Ok(index),
            _ => Err(PySystemError::new_err(
                "the 255 users of co_extra that CPython allows are there already",
            )),
        }
    })?;
    Ok(*index)
}

/// What is remembered about `code`, borrowed from it; NULL if there is nothing.
fn find(code: &Bound<'_, PyCode>) -> PyResult<*mut c_void> {
    let mut extra = std::ptr::null_mut();
    // SAFETY: `code` is a code object and the index was given to us. What is in our slot is NULL or an `Extra` of ours.
    let done =
        unsafe { ffi::PyUnstable_Code_GetExtra(code.as_ptr(), index(code.py())?, &raw mut extra) };
    if done < 0 {
        return Err(PyErr::fetch(code.py()));
    }
    Ok(extra)
}

/// Runs `f` on what is remembered about `code`, which makes room for it if there is none. `f` must not drop `code`.
///
/// # Errors
/// `MemoryError`; `SystemError`: CPython has no slot for us.
pub(crate) fn with<R>(code: &Bound<'_, PyCode>, f: impl FnOnce(&Extra) -> R) -> PyResult<R> {
    let py = code.py();
    let mut extra = find(code)?;
    if extra.is_null() {
        extra = Box::into_raw(Box::new(Extra::default())).cast();
        // SAFETY: as in `find`. Nothing has run since the slot was found empty, so nothing is overwritten. The array is the code object's
        // own; those of its slots that are cut off are empty, because it has just been made, and whoever uses one has it made longer.
        unsafe {
            let array = &raw const (*code.as_ptr().cast::<CodeObject>()).co_extra;
            let is_new = (*array).is_null();
            if ffi::PyUnstable_Code_SetExtra(code.as_ptr(), index(py)?, extra) < 0 {
                drop(Box::from_raw(extra.cast::<Extra>()));
                return Err(PyErr::fetch(py));
            }
            if is_new && !(*array).is_null() {
                // CPython makes room for every user there is, and when the code object dies calls the `free` of each, with NULL
                // where it has put nothing. Without us there would be no array, and nobody would be called.
                (**array).size = index(py)? + 1;
            }
        }
    }
    // SAFETY: an `Extra` of ours stays until `code` dies, and the caller holds `code`.
    Ok(f(unsafe { &*extra.cast::<Extra>() }))
}

/// Runs `f` on what is remembered about `code`; `None` if that is nothing. `f` must not drop `code`.
#[inline]
pub(crate) fn peek<R>(code: &Bound<'_, PyCode>, f: impl FnOnce(&Extra) -> R) -> Option<R> {
    let extra = find(code).ok().filter(|extra| !extra.is_null())?;
    // SAFETY: as in `with`.
    Some(f(unsafe { &*extra.cast::<Extra>() }))
}
