//! Types whose `nb_invert` is what an opcode does: `LOAD_CONST <object>; UNARY_INVERT` calls it without an argument tuple (`PyNumber_Invert`,
//! `Objects/abstract.c`).

use std::ffi::{CStr, c_int, c_uint, c_void};

use pyo3::types::{PyInt, PyType};
use pyo3::{Bound, IntoPyObject, Py, PyAny, PyResult, Python, ffi};

/// A C function of one argument, as in slots such as `nb_invert`.
pub(crate) type Unary = unsafe extern "C" fn(*mut ffi::PyObject) -> *mut ffi::PyObject;

/// What tells the types apart whose `nb_invert` is an opcode's implementation.
pub(crate) struct InvertType {
    pub name: &'static CStr,
    pub doc: &'static CStr,
    /// Of an instance, in bytes.
    pub size: usize,
    pub dealloc: unsafe extern "C" fn(*mut ffi::PyObject),
    pub repr: Unary,
    pub invert: Unary,
    /// Its truth; `None`: as of every object.
    pub truth: Option<unsafe extern "C" fn(*mut ffi::PyObject) -> c_int>,
}

impl InvertType {
    /// Makes the type, which nobody can instantiate or change from Python.
    ///
    /// # Errors
    /// Whatever CPython says if the type cannot be made.
    pub(crate) fn make(&self, py: Python<'_>) -> PyResult<Py<PyType>> {
        let mut methods = [
            ffi::PyMethodDef {
                ml_name: c"__reduce__".as_ptr(),
                ml_meth: ffi::PyMethodDefPointer {
                    PyCFunction: reduce,
                },
                ml_flags: ffi::METH_NOARGS,
                ml_doc: c"Reduces to the integer 0, which leaves a harmless ~0 in pickled code."
                    .as_ptr(),
            },
            ffi::PyMethodDef::zeroed(),
        ];
        // The type keeps pointers to its method table for ever.
        let methods = Box::leak(Box::new(std::mem::replace(
            &mut methods,
            [ffi::PyMethodDef::zeroed(); 2],
        )));
        let slot = |slot: c_int, pfunc: *mut c_void| ffi::PyType_Slot { slot, pfunc };
        let mut slots = [
            slot(ffi::Py_tp_doc, self.doc.as_ptr().cast_mut().cast()),
            slot(ffi::Py_tp_dealloc, self.dealloc as *mut c_void),
            slot(ffi::Py_tp_repr, self.repr as *mut c_void),
            slot(ffi::Py_tp_methods, methods.as_mut_ptr().cast()),
            slot(ffi::Py_nb_invert, self.invert as *mut c_void),
            // A slot of number 0 ends them.
            self.truth.map_or(slot(0, std::ptr::null_mut()), |truth| {
                slot(ffi::Py_nb_bool, truth as *mut c_void)
            }),
            slot(0, std::ptr::null_mut()),
        ];
        let mut spec = ffi::PyType_Spec {
            name: self.name.as_ptr(),
            basicsize: self.size as c_int,
            itemsize: 0,
            flags: (ffi::Py_TPFLAGS_DEFAULT
                | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION
                | ffi::Py_TPFLAGS_IMMUTABLETYPE) as c_uint,
            slots: slots.as_mut_ptr(),
        };
        // SAFETY: the spec and its slots are valid for the call; what outlives it (name, doc, methods) is static or leaked.
        // Each slot function has the C signature that CPython expects for it.
        unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpec(&raw mut spec)) }
            .and_then(|made| Ok(made.cast_into::<PyType>()?.unbind()))
    }
}

/// The only object of a type without fields; executing `~object` calls `invert`, and `repr` says what it is, [`by_name`] that of its type.
///
/// # Errors
/// Whatever CPython says if the type or the object cannot be made.
pub(crate) fn single<'py>(
    py: Python<'py>,
    (name, doc): (&'static CStr, &'static CStr),
    repr: Unary,
    invert: Unary,
) -> PyResult<Bound<'py, PyAny>> {
    let parts = InvertType {
        name,
        doc,
        size: size_of::<ffi::PyObject>(),
        dealloc,
        repr,
        invert,
        truth: None,
    };
    let kind = parts.make(py)?;
    // SAFETY: `_PyObject_New` allocates `basicsize` bytes, sets the header, the only field, and takes a reference to the heap type (3.11-3.15).
    unsafe {
        let object = ffi::PyObject_New::<ffi::PyObject>(kind.as_ptr().cast());
        Bound::from_owned_ptr_or_err(py, object)
    }
}

/// # Safety
/// Called by CPython as `tp_dealloc` of what [`single`] has made.
unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    // SAFETY: the last reference is gone. Memory came from `_PyObject_New`, whose counterpart is `PyObject_Free`; a heap type's instance owns a
    // reference to its type.
    unsafe {
        let kind = ffi::Py_TYPE(object);
        ffi::PyObject_Free(object.cast());
        ffi::Py_DECREF(kind.cast());
    }
}

/// # Safety
/// Called by CPython as `tp_repr`.
pub(crate) unsafe extern "C" fn by_name(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: a live object, whose type's name is static ([`InvertType::name`]).
    unsafe { ffi::PyUnicode_FromFormat(c"<%s>".as_ptr(), (*ffi::Py_TYPE(object)).tp_name) }
}

/// # Safety
/// Called by CPython as a METH_NOARGS method of an object of such a type.
unsafe extern "C" fn reduce(
    _object: *mut ffi::PyObject,
    _unused: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached, by CPython's calling convention.
    let py = unsafe { Python::assume_attached() };
    let parts = (py.get_type::<PyInt>(), ());
    match parts.into_pyobject(py) {
        Ok(parts) => parts.into_ptr(),
        Err(error) => {
            error.restore(py);
            std::ptr::null_mut()
        }
    }
}
