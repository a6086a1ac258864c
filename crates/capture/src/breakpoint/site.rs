//! What is executed where a condition holds: objects whose inversion asks whether to stop there.
//!
//! Like [`crate::site`]: `LOAD_CONST <site>; UNARY_INVERT` enters [`fire`]. Unlike there, it returns a bool, which the
//! bytecode around it branches by.

use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use pyo3::exceptions::PySystemError;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use pyo3::{Bound, Py, PyAny, PyErr, PyResult, Python, ffi};

use super::{Breakpoint, inside};
use crate::site::InvertType;

/// What a site is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The condition holds, or there is none. Returns whether it has stopped.
    Holds,
    /// The condition has raised. Returns whether it has stopped.
    Raised,
    /// The same, between [`Kind::Enter`] and [`Kind::Leave`].
    RaisedInside,
    /// The condition is to be evaluated by `eval`. Returns whether it has stopped.
    Evaluate,
    /// The same, between [`Kind::Enter`] and [`Kind::Leave`].
    EvaluateInside,
    /// A condition that calls something is about to be evaluated. Returns whether it is to be: not if this thread
    /// evaluates one already.
    Enter,
    /// It has been evaluated. Returns True.
    Leave,
}

#[repr(C)]
struct SiteObject {
    ob_base: ffi::PyObject,
    /// From `Arc::into_raw`; never null.
    breakpoint: *const Breakpoint,
    kind: Kind,
}

static SITE_TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();

fn site_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    let made = SITE_TYPE.get_or_try_init(py, || {
        let parts = InvertType {
            name: c"debugop.BreakSite",
            doc: c"A breakpoint's place in bytecode: executing ~site asks whether to stop.",
            size: size_of::<SiteObject>(),
            dealloc,
            repr,
            invert: fire,
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
        (&raw mut (*object).kind).write(kind);
        Ok(Bound::from_owned_ptr(py, object.cast()))
    }
}

/// # Safety
/// Called by CPython as `tp_dealloc` of a site.
unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    // SAFETY: the last reference is gone, and the thread is attached; the breakpoint came from `Arc::into_raw` and is given back
    // exactly once. Memory came from `_PyObject_New`, whose counterpart is `PyObject_Free`; a heap type's instance owns a
    // reference to its type.
    unsafe {
        let site_type = ffi::Py_TYPE(object);
        let breakpoint = Arc::from_raw((*object.cast::<SiteObject>()).breakpoint);
        crate::gil::release(breakpoint);
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

/// # Safety
/// Called by CPython as `nb_invert` of a site. Anybody may write `~site` in Python, so nothing is assumed about the caller.
unsafe extern "C" fn fire(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: `object` is a site and the thread is attached, both by CPython's calling convention.
    let (py, site) = unsafe { (Python::assume_attached(), &*object.cast::<SiteObject>()) };
    // SAFETY: the site's own share, borrowed: whoever called us holds the site.
    let breakpoint = ManuallyDrop::new(unsafe { Arc::from_raw(site.breakpoint) });
    let outcome = catch_unwind(AssertUnwindSafe(|| match site.kind {
        Kind::Holds => breakpoint.reached(py, false),
        Kind::Raised => breakpoint.reached(py, true),
        Kind::RaisedInside => {
            inside::leave();
            breakpoint.reached(py, true)
        }
        Kind::Evaluate => breakpoint.evaluate(py),
        Kind::EvaluateInside => {
            inside::leave();
            breakpoint.evaluate(py)
        }
        Kind::Enter => Ok(inside::enter()),
        Kind::Leave => {
            inside::leave();
            Ok(true)
        }
    }));
    let error = match outcome {
        // SAFETY: the thread is attached; a new reference.
        Ok(Ok(answer)) => return unsafe { ffi::PyBool_FromLong(answer.into()) },
        Ok(Err(error)) => error,
        Err(_) => PySystemError::new_err("debugop failed at a breakpoint"),
    };
    error.restore(py);
    std::ptr::null_mut()
}
