//! What is executed where a condition holds: objects whose inversion asks whether to stop there.
//!
//! Like [`crate::site`]: `LOAD_CONST <site>; UNARY_INVERT` enters [`fire`]. Unlike there, it returns a bool, which the
//! bytecode around it branches by. Where jumps ask any object whether it is true (before 3.13), the site itself is jumped on, and that is
//! its answer.

use std::ffi::c_int;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use pyo3::exceptions::PySystemError;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use pyo3::{Bound, Py, PyAny, PyErr, PyResult, Python, ffi};

use super::{Breakpoint, inside};
use crate::gil::GilCell;
use crate::invert_type::InvertType;

/// What a site is for. All return a bool; the last four, whether they have stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The line has been reached. Returns whether the condition is to be evaluated.
    Arrives,
    /// The same, and until [`Kind::Leaves`] no other breakpoint counts: the condition calls something.
    Enters,
    /// The condition has been evaluated. Returns True.
    Leaves,
    /// The condition, which has been evaluated, holds.
    Holds,
    /// The condition has raised.
    Raised,
    /// The line has been reached, and there is no condition, or `eval` is to evaluate it.
    Reached,
    /// A local that the condition names is unbound: `eval` is to evaluate it.
    Unbound,
}

#[repr(C)]
struct SiteObject {
    ob_base: ffi::PyObject,
    /// From `Arc::into_raw`; never null.
    breakpoint: *const Breakpoint,
    /// From `Arc::into_raw`; never null: whether the code that it stands in is in force.
    armed: *const GilCell<bool>,
    kind: Kind,
}

static SITE_TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// Makes the type of sites.
///
/// # Errors
/// `MemoryError`.
pub(super) fn prepare(py: Python<'_>) -> PyResult<()> {
    site_type(py).map(drop)
}

fn site_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    let made = SITE_TYPE.get_or_try_init(py, || {
        let parts = InvertType {
            name: c"debugop.BreakSite",
            doc: c"A breakpoint's place in bytecode: executing ~site asks whether to stop.",
            size: size_of::<SiteObject>(),
            dealloc,
            repr,
            invert: fire,
            truth: JUMPED_ON.then_some(truth),
        };
        parts.make(py)
    });
    made.map(|site_type| site_type.bind(py))
}

/// A new site.
///
/// # Errors
/// `MemoryError`.
pub(super) fn new<'py>(
    py: Python<'py>,
    breakpoint: &Arc<Breakpoint>,
    armed: &Arc<GilCell<bool>>,
    kind: Kind,
) -> PyResult<Bound<'py, PyAny>> {
    let site_type = site_type(py)?.as_ptr().cast::<ffi::PyTypeObject>();
    // SAFETY: `_PyObject_New` allocates `basicsize` bytes, sets the header and takes a reference to the heap type; the other
    // fields are written before the object is shown to anybody. Checked on 3.11.7, 3.12.1, 3.13.0, 3.14.10, 3.15.2.
    unsafe {
        let object = ffi::PyObject_New::<SiteObject>(site_type);
        if object.is_null() {
            return Err(PyErr::fetch(py));
        }
        (&raw mut (*object).breakpoint).write(Arc::into_raw(Arc::clone(breakpoint)));
        (&raw mut (*object).armed).write(Arc::into_raw(Arc::clone(armed)));
        (&raw mut (*object).kind).write(kind);
        Ok(Bound::from_owned_ptr(py, object.cast()))
    }
}

/// # Safety
/// Called by CPython as `tp_dealloc` of a site.
unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    // SAFETY: the last reference is gone, and the thread is attached; the shares came from `Arc::into_raw` and are given back
    // exactly once. Memory came from `_PyObject_New`, whose counterpart is `PyObject_Free`; a heap type's instance owns a
    // reference to its type.
    unsafe {
        let site_type = ffi::Py_TYPE(object);
        let site = &*object.cast::<SiteObject>();
        let shares = (Arc::from_raw(site.breakpoint), Arc::from_raw(site.armed));
        crate::gil::release(shares);
        ffi::PyObject_Free(object.cast());
        ffi::Py_DECREF(site_type.cast());
    }
}

/// # Safety
/// Called by CPython as `tp_repr` of a site.
unsafe extern "C" fn repr(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: `object` is a site, which holds its breakpoint, and the thread is attached, both by CPython's calling convention.
    let (py, breakpoint) = unsafe {
        let site = &*object.cast::<SiteObject>();
        (Python::assume_attached(), &*site.breakpoint)
    };
    let text = format!(
        "<debugop.BreakSite of line {} in {}>",
        breakpoint.line, breakpoint.file
    );
    pyo3::types::PyString::new(py, &text).into_ptr()
}

/// Whether jumps take any object.
pub(super) const JUMPED_ON: bool = cfg!(not(Py_3_13));

/// # Safety
/// Called by CPython as `nb_bool` of a site. Anybody may write `bool(site)` in Python, so nothing is assumed about the caller.
unsafe extern "C" fn truth(object: *mut ffi::PyObject) -> c_int {
    // SAFETY: as this function's.
    match unsafe { answer(object) } {
        Some(answer) => c_int::from(answer),
        None => -1,
    }
}

/// # Safety
/// Called by CPython as `nb_invert` of a site. Anybody may write `~site` in Python, so nothing is assumed about the caller.
unsafe extern "C" fn fire(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: as this function's.
    match unsafe { answer(object) } {
        Some(answer) => bool_object(answer),
        None => std::ptr::null_mut(),
    }
}

/// What a site answers; `None`: an exception is set.
///
/// # Safety
/// `object` is a site, and the thread is attached.
#[inline(always)]
unsafe fn answer(object: *mut ffi::PyObject) -> Option<bool> {
    // SAFETY: `object` is a site and the thread is attached, both by the contract.
    let (py, site) = unsafe { (Python::assume_attached(), &*object.cast::<SiteObject>()) };
    // SAFETY: the site's own shares, borrowed: whoever called us holds the site.
    let (breakpoint, armed) = unsafe {
        (
            ManuallyDrop::new(Arc::from_raw(site.breakpoint)),
            &*site.armed,
        )
    };
    match site.kind {
        Kind::Arrives => return Some(breakpoint.arrives(py, armed)),
        Kind::Enters => {
            let arrives = breakpoint.arrives(py, armed);
            if arrives {
                inside::enter(py);
            }
            return Some(arrives);
        }
        Kind::Leaves => {
            inside::leave(py);
            return Some(true);
        }
        Kind::Reached if breakpoint.passes(py, armed) => return Some(false),
        _ => {}
    }
    decide(py, site.kind, &breakpoint, armed)
}

/// What only Rust can say.
#[cold]
fn decide(
    py: Python<'_>,
    kind: Kind,
    breakpoint: &Arc<Breakpoint>,
    armed: &GilCell<bool>,
) -> Option<bool> {
    let outcome = catch_unwind(AssertUnwindSafe(|| match kind {
        Kind::Holds => breakpoint.stop(py, false),
        Kind::Raised => breakpoint.stop(py, true),
        Kind::Reached => breakpoint.reached(py, armed),
        _ => breakpoint.evaluate(py),
    }));
    let error = match outcome {
        Ok(Ok(answer)) => return Some(answer),
        Ok(Err(error)) => error,
        Err(_) => PySystemError::new_err("debugop failed at a breakpoint"),
    };
    error.restore(py);
    None
}

/// A new reference to True or False.
#[inline]
fn bool_object(value: bool) -> *mut ffi::PyObject {
    // SAFETY: both are live objects. Since 3.12 they are immortal (PEP 683): references to them are not counted.
    unsafe {
        let object = if value {
            ffi::Py_True()
        } else {
            ffi::Py_False()
        };
        #[cfg(not(Py_3_12))]
        ffi::Py_INCREF(object);
        object
    }
}
