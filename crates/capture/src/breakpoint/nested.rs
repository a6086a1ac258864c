//! 3.11: functions that are made by code which runs already.
//!
//! CPython 3.11 does not tell of new functions. What woven code makes has its breakpoints because the copies are among the constants of the copy;
//! so when breakpoints change, these constants do, also in copies that are in force no more but still run. They are the copies' own: what the
//! program is shown are the constants of the originals. Code that is run by `exec`, such as modules, gets a copy for this even before there is a breakpoint, as long as a
//! debugger may still set some.

use pyo3::types::{PyCode, PyTupleMethods};
use pyo3::{Bound, Py, PyAny, PyResult, Python, ffi};

use super::weave::Woven;
use super::{replacement, state, wanted};
use crate::code_object;
use crate::gil::{GilCell, release};
use crate::registry;
use crate::whole;

static KEPT: GilCell<bool> = GilCell::new(false);

/// Whether code that runs from now on gets a copy even if there is no breakpoint for it.
///
/// # Errors
/// The interpreter is not as it should be.
pub(crate) fn keep(py: Python<'_>, kept: bool) -> PyResult<()> {
    KEPT.set(py, kept);
    if kept {
        return whole::see_functions(py);
    }
    if !super::any(py) {
        whole::see_functions_no_more(py);
        let old = state(py, |state| std::mem::take(&mut state.woven));
        release((old, state(py, |state| std::mem::take(&mut state.stale))));
        whole::hide_nothing(py);
    }
    Ok(())
}

pub(super) fn are_kept(py: Python<'_>) -> bool {
    KEPT.get(py)
}

/// Gives what copies make the breakpoints that there are now; `retired` are those that are in force no more.
pub(super) fn renew(py: Python<'_>, retired: Vec<Woven>) -> PyResult<()> {
    let dropped = state(py, |state| {
        state.stale.extend(retired);
        // Copies that nobody else has, and that have no breakpoints.
        let (kept, mut dropped): (Vec<_>, Vec<_>) = std::mem::take(&mut state.stale)
            .into_iter()
            .partition(|one| is_used(py, one));
        state.stale = kept;
        let unused: Vec<usize> = state
            .woven
            .iter()
            .filter(|(_, one)| one.breakpoints.is_empty() && !is_used(py, one))
            .map(|(address, _)| *address)
            .collect();
        dropped.extend(unused.iter().filter_map(|one| state.woven.remove(one)));
        dropped
    });
    release(dropped);
    /// A copy, and the originals of what is nested in it, with their indices in its constants.
    type Nested = (Py<PyCode>, Vec<(usize, Py<PyCode>)>);
    let all: Vec<Nested> = state(py, |state| {
        let all = state.woven.values().chain(&state.stale);
        all.map(|one| {
            let nested = one.nested.iter();
            let nested = nested.map(|(index, code)| (*index, code.clone_ref(py)));
            (one.copy.clone_ref(py), nested.collect())
        })
        .collect()
    });
    for (copy, nested) in all {
        for (index, original) in nested {
            let original = original.into_bound(py);
            let wanted = replacement(&original)?.unwrap_or(original);
            set_constant(copy.bind(py), index, wanted.into_any());
        }
    }
    Ok(())
}

/// Whether anything but what is known of it has a copy.
fn is_used(py: Python<'_>, woven: &Woven) -> bool {
    // SAFETY: a live object, and the GIL is held.
    unsafe { ffi::Py_REFCNT(woven.copy.bind(py).as_ptr()) > 1 }
}

/// Replaces a constant of a copy that we have made.
fn set_constant(copy: &Bound<'_, PyCode>, index: usize, value: Bound<'_, PyAny>) {
    let py = copy.py();
    let constants = code_object::consts(copy);
    if index >= constants.len() {
        return;
    }
    // SAFETY: the tuple was made for this copy (`weave`), which is never shown, so nobody relies on its being the same; the index is within
    // it, and the evaluation loop reads it anew with each LOAD_CONST (3.11.7). The old item is given up after the new one is there.
    let old = unsafe {
        let items = (&raw mut (*constants.as_ptr().cast::<ffi::PyTupleObject>()).ob_item)
            .cast::<*mut ffi::PyObject>();
        let item = items.add(index);
        let old = std::mem::replace(&mut *item, value.into_ptr());
        Bound::from_owned_ptr(py, old)
    };
    drop(old);
}

/// Whether functions that `code` makes, which runs, may have breakpoints that are not in them.
pub(crate) fn may_make_unbroken(code: &Bound<'_, PyCode>) -> bool {
    // A copy of ours has what is nested in it up to date.
    if registry::of_copy(code).is_some_and(|entry| entry.is_woven()) {
        return false;
    }
    // What is nested in it is in the same file.
    let nests = code_object::consts(code)
        .iter()
        .any(|constant| constant.cast_exact::<PyCode>().is_ok());
    nests && wanted(code).is_some()
}
