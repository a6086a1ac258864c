//! What a program sees of code that is probed: the original.
//!
//! Functions, frames, generators and tracebacks have attributes that show which code runs and where it is: `__code__`, `f_code`,
//! `f_lasti`, `gi_code`, `cr_code`, `ag_code`, `tb_lasti`. The interpreter itself reads the fields behind them, and those name the copy.
//! The attributes answer with the original and with offsets in it, from the first copy on and for good: a copy may live on in a
//! frame or traceback when nobody traces any more. Tools of `sys.monitoring` see the same ([`monitoring`]).

use std::ffi::{CStr, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use pyo3::exceptions::PyRuntimeError;
use pyo3::types::{PyAnyMethods, PyCode, PyFrame, PyInt, PyString};
use pyo3::{Bound, IntoPyObject, Py, PyAny, PyResult, Python, ffi};

use crate::function;
use crate::interpreter::is_main;
use crate::names;
use crate::registry;

#[cfg(Py_3_12)]
pub(crate) mod monitoring;

/// `PyGetSetDescrObject` (`Include/cpython/descrobject.h`, the same in 3.11-3.15).
#[repr(C)]
pub(crate) struct GetSetDescriptor {
    ob_base: ffi::PyObject,
    d_type: *mut ffi::PyTypeObject,
    d_name: *mut ffi::PyObject,
    d_qualname: *mut ffi::PyObject,
    pub d_getset: *mut ffi::PyGetSetDef,
}

/// What CPython has where ours stands. Sub-interpreters with a GIL of their own come here too.
enum Original {
    /// The function in the type's table.
    Getter(ffi::getter),
    /// The descriptor of a field, whose place in the type's namespace ours has taken.
    Member(Py<PyAny>),
}

/// An attribute that answers with the original.
struct Attribute {
    kind: fn() -> *mut ffi::PyTypeObject,
    name: &'static CStr,
    get: ffi::getter,
    original: OnceLock<Original>,
}

macro_rules! attributes {
    ($($index:literal: $kind:ident $name:literal $translate:ident;)*) => {
        static ATTRIBUTES: [Attribute; 7] = [$(
            Attribute {
                kind: || &raw mut ffi::$kind,
                name: $name,
                get: {
                    /// # Safety
                    /// Called by CPython as a getter.
                    unsafe extern "C" fn get(object: *mut ffi::PyObject, _: *mut c_void) -> *mut ffi::PyObject {
                        // SAFETY: by the contract above.
                        unsafe { answer(&ATTRIBUTES[$index], object, $translate) }
                    }
                    get
                },
                original: OnceLock::new(),
            },
        )*];
    };
}

attributes! {
    0: PyFunction_Type c"__code__" code;
    1: PyFrame_Type c"f_code" code;
    2: PyGen_Type c"gi_code" code;
    3: PyCoro_Type c"cr_code" code;
    4: PyAsyncGen_Type c"ag_code" code;
    5: PyFrame_Type c"f_lasti" frame_offset;
    6: PyTraceBack_Type c"tb_lasti" traceback_offset;
}

/// Makes the attributes answer with the original, the first time.
///
/// # Errors
/// `RuntimeError`: the interpreter is not as it should be. `MemoryError`.
pub(crate) fn put_on(py: Python<'_>) -> PyResult<()> {
    #[cfg(Py_3_12)]
    monitoring::put_on(py)?;
    if ATTRIBUTES.iter().all(|one| one.original.get().is_some()) {
        return Ok(());
    }
    for attribute in &ATTRIBUTES {
        if attribute.original.get().is_none() {
            attribute.put_on(py)?;
        }
    }
    Ok(())
}

impl Attribute {
    fn put_on(&'static self, py: Python<'_>) -> PyResult<()> {
        let kind = (self.kind)();
        let namespace = namespace(py, kind)?;
        let name = PyString::new(py, &self.name.to_string_lossy());
        let descriptor = namespace.get_item(&name)?;
        // SAFETY: the type of the descriptor is compared before it is taken for one. A table entry is writable static data of the
        // interpreter (not declared const in 3.11-3.15) that lives as long as it does, and both getters have the same signature.
        // A namespace of a static type is changed as `type.__setattr__` would, with the caches told, before any other code runs.
        unsafe {
            let class = ffi::Py_TYPE(descriptor.as_ptr());
            if class == &raw mut ffi::PyGetSetDescr_Type {
                let entry = (*descriptor.as_ptr().cast::<GetSetDescriptor>()).d_getset;
                if let Some(getter) = (*entry).get {
                    self.original.get_or_init(|| Original::Getter(getter));
                    (*entry).get = Some(self.get);
                    return Ok(());
                }
            } else if class == &raw mut ffi::PyMemberDescr_Type {
                let definition = Box::leak(Box::new(ffi::PyGetSetDef {
                    name: self.name.as_ptr(),
                    get: Some(self.get),
                    ..ffi::PyGetSetDef::default()
                }));
                let ours = ffi::PyDescr_NewGetSet(kind, definition);
                let ours = Bound::from_owned_ptr_or_err(py, ours)?;
                self.original
                    .get_or_init(|| Original::Member(descriptor.unbind()));
                namespace.set_item(&name, ours)?;
                ffi::PyType_Modified(kind);
                return Ok(());
            }
        }
        Err(PyRuntimeError::new_err(format!(
            "debugop does not know this interpreter: the attribute {} is not what it should be",
            self.name.to_string_lossy()
        )))
    }
}

/// The dict behind the `__dict__` of a type.
fn namespace(py: Python<'_>, kind: *mut ffi::PyTypeObject) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: a static type that is ready. From 3.12 on such types keep their namespace per interpreter (`Objects/typeobject.c`,
    // `lookup_tp_dict`) and this asks for it; before that it is in the type.
    unsafe {
        #[cfg(Py_3_12)]
        let dict = Bound::from_owned_ptr_or_opt(py, PyType_GetDict(kind));
        #[cfg(not(Py_3_12))]
        let dict = Bound::from_borrowed_ptr_or_opt(py, (*kind).tp_dict);
        dict.ok_or_else(|| PyRuntimeError::new_err("a type of the interpreter's has no namespace"))
    }
}

#[cfg(Py_3_12)]
unsafe extern "C" {
    /// A new reference to a type's namespace (`Objects/typeobject.c`).
    fn PyType_GetDict(kind: *mut ffi::PyTypeObject) -> *mut ffi::PyObject;
}

/// What is answered instead of a value; `None`: that value.
type Translate = for<'py> fn(&Bound<'py, PyAny>, &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>>;

/// Asks CPython's own attribute of `object`, and translates what it says.
///
/// # Safety
/// Called by CPython as a getter for `object`, which has the attribute's type.
unsafe fn answer(
    attribute: &Attribute,
    object: *mut ffi::PyObject,
    translate: Translate,
) -> *mut ffi::PyObject {
    let value = match attribute.original.get() {
        // SAFETY: CPython's own getter, which has no closure in any of the tables.
        Some(Original::Getter(getter)) => unsafe { getter(object, std::ptr::null_mut()) },
        // SAFETY: the descriptor of a type that `object` has; descriptors of fields have this slot.
        Some(Original::Member(descriptor)) => unsafe {
            let descriptor = descriptor.as_ptr();
            let slot = ffi::PyType_GetSlot(ffi::Py_TYPE(descriptor), ffi::Py_tp_descr_get);
            let get = std::mem::transmute::<*mut c_void, ffi::descrgetfunc>(slot);
            get(descriptor, object, ffi::Py_TYPE(object).cast())
        },
        None => std::ptr::null_mut(),
    };
    // SAFETY: the thread is attached, by CPython's calling convention.
    let py = unsafe { Python::assume_attached() };
    if value.is_null() || !is_main(py) {
        return value;
    }
    // SAFETY: `object` is alive during the call; `value` is a new reference, which is given away or handed on below.
    let (object, value) = unsafe {
        (
            Bound::from_borrowed_ptr(py, object),
            Bound::from_owned_ptr(py, value),
        )
    };
    let translated = catch_unwind(AssertUnwindSafe(|| translate(&object, &value)));
    translated.unwrap_or_default().unwrap_or(value).into_ptr()
}

/// The original in place of a copy.
fn code<'py>(_: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let code = value.cast_exact::<PyCode>().ok()?;
    let entry = registry::of_copy(code)?;
    Some(entry.original(value.py()).clone().into_any())
}

/// The offset in the original in place of that in the copy, which `frame` runs.
fn frame_offset<'py>(
    frame: &Bound<'py, PyAny>,
    value: &Bound<'py, PyAny>,
) -> Option<Bound<'py, PyAny>> {
    let frame = frame.cast_exact::<PyFrame>().ok()?;
    let entry = registry::of_copy(&function::code_of_frame(frame))?;
    let offset: u32 = value.cast_exact::<PyInt>().ok()?.extract().ok()?;
    let unit = entry.original_unit(offset / 2)?;
    let Ok(offset) = (2 * unit).into_pyobject(value.py());
    Some(offset.into_any())
}

/// The same, for the frame of a traceback entry.
fn traceback_offset<'py>(
    traceback: &Bound<'py, PyAny>,
    value: &Bound<'py, PyAny>,
) -> Option<Bound<'py, PyAny>> {
    let frame = traceback.getattr(names::tb_frame(value.py())).ok()?;
    frame_offset(&frame, value)
}
