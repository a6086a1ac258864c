//! What the program is shown of the code that it runs: the originals, never the probed copies.
//!
//! A program that rewrites bytecode takes parts of `function.__code__`, `co_code` say, and puts them together with parts of its
//! own. If it were shown a probed copy, what it makes would crash: the copy's exception table covers code that is no longer there. So
//! the getters of `__code__`, `f_code`, `gi_code` and their like answer with the original while anybody watches whole programs, and
//! those of `f_lasti` and `tb_lasti` with the offset in it. As in [`super::setter`], the functions in the types' own tables are
//! replaced. What is a plain member (`tb_lasti`; in 3.11 `gi_code` and its like) gets a getset descriptor in its place.

use std::ffi::{CStr, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::exceptions::PyRuntimeError;
use pyo3::types::{PyAnyMethods, PyCode, PyDict};
use pyo3::{Bound, IntoPyObject, PyAny, PyResult, Python, ffi};

use super::setter::GetSetDescriptor;
use crate::function;
use crate::gil::GilCell;
use crate::interpreter::is_main;
use crate::registry;

/// `PyTracebackObject` up to `tb_lasti` (`Include/cpython/traceback.h`, the same in 3.11-3.15).
#[repr(C)]
pub(crate) struct Traceback {
    ob_base: ffi::PyObject,
    tb_next: *mut ffi::PyObject,
    pub tb_frame: *mut ffi::PyObject,
    pub tb_lasti: c_int,
}

type Getter = unsafe extern "C" fn(*mut ffi::PyObject, *mut c_void) -> *mut ffi::PyObject;

/// What an attribute says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A code object.
    Code,
    /// An offset in the code of the frame that it is asked of.
    FrameOffset,
    /// An offset in the code of the traceback's frame.
    TracebackOffset,
}

/// An attribute that a probed copy could be seen through.
struct Attribute {
    class: fn() -> *mut ffi::PyTypeObject,
    name: &'static CStr,
    kind: Kind,
    ours: Getter,
}

impl Attribute {
    const fn new(
        class: fn() -> *mut ffi::PyTypeObject,
        name: &'static CStr,
        kind: Kind,
        ours: Getter,
    ) -> Self {
        Self {
            class,
            name,
            kind,
            ours,
        }
    }

    /// The type's own dict.
    fn dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let class = (self.class)();
        // SAFETY: a static type of the interpreter. `PyType_GetDict` gives a new reference (3.12+, where a static type's dict
        // is not always in `tp_dict`); before that `tp_dict` holds the dict.
        unsafe {
            #[cfg(Py_3_12)]
            let dict = Bound::from_owned_ptr_or_err(py, ffi::PyType_GetDict(class))?;
            #[cfg(not(Py_3_12))]
            let dict = Bound::from_borrowed_ptr_or_err(py, (*class).tp_dict)?;
            Ok(dict.cast_into()?)
        }
    }
}

/// All of them; the number of a getter is its place here.
static ATTRIBUTES: [Attribute; 7] = {
    use Kind::{Code, FrameOffset, TracebackOffset};
    [
        Attribute::new(
            || &raw mut ffi::PyFunction_Type,
            c"__code__",
            Code,
            get::<0>,
        ),
        Attribute::new(|| &raw mut ffi::PyFrame_Type, c"f_code", Code, get::<1>),
        Attribute::new(|| &raw mut ffi::PyGen_Type, c"gi_code", Code, get::<2>),
        Attribute::new(|| &raw mut ffi::PyCoro_Type, c"cr_code", Code, get::<3>),
        Attribute::new(|| &raw mut ffi::PyAsyncGen_Type, c"ag_code", Code, get::<4>),
        Attribute::new(
            || &raw mut ffi::PyFrame_Type,
            c"f_lasti",
            FrameOffset,
            get::<5>,
        ),
        Attribute::new(
            || &raw mut ffi::PyTraceBack_Type,
            c"tb_lasti",
            TracebackOffset,
            get::<6>,
        ),
    ]
};

/// What CPython has where ours stands.
#[derive(Clone, Copy)]
enum Theirs {
    /// The function in a getset descriptor's table entry.
    Getter(*mut ffi::PyGetSetDef, Getter),
    /// The member's descriptor; our reference to it is never given back.
    Member(*mut ffi::PyObject),
}

/// In the order of [`ATTRIBUTES`].
static THEIRS: [GilCell<Option<Theirs>>; ATTRIBUTES.len()] =
    [const { GilCell::new(None) }; ATTRIBUTES.len()];

/// Our descriptors for members, in the order of [`ATTRIBUTES`]: our references to them are never given back, as somebody may hold a descriptor for as long as they like.
static OURS: [GilCell<Option<*mut ffi::PyObject>>; ATTRIBUTES.len()] =
    [const { GilCell::new(None) }; ATTRIBUTES.len()];

/// Whether ours stand there.
static SHOWING: GilCell<bool> = GilCell::new(false);

/// `types.TracebackType.__new__`, in the same way.
static NEW_TRACEBACK: GilCell<Option<ffi::newfunc>> = GilCell::new(None);

/// Puts our getters in place.
///
/// # Errors
/// The interpreter is not as it should be.
pub(super) fn watch(py: Python<'_>) -> PyResult<()> {
    if SHOWING.get(py) {
        return Ok(());
    }
    for ((attribute, theirs), ours) in ATTRIBUTES.iter().zip(&THEIRS).zip(&OURS) {
        let found = match theirs.get(py) {
            Some(found) => found,
            None => find(py, attribute)?,
        };
        theirs.set(py, Some(found));
        match found {
            // SAFETY: the table is writable static data of the interpreter (not declared const in 3.11-3.15) that lives as long
            // as it does; the GIL is held, and both getters have the same signature.
            Theirs::Getter(entry, _) => unsafe { (*entry).get = Some(attribute.ours) },
            Theirs::Member(_) => replace_member(py, attribute, ours)?,
        }
    }
    // SAFETY: a static type, writable as its slots are in all versions; the GIL is held, and ours has the same signature.
    unsafe {
        let class = &raw mut ffi::PyTraceBack_Type;
        if NEW_TRACEBACK.get(py).is_none() {
            NEW_TRACEBACK.set(py, (*class).tp_new);
        }
        if NEW_TRACEBACK.get(py).is_some() {
            (*class).tp_new = Some(new_traceback);
        }
    }
    SHOWING.set(py, true);
    Ok(())
}

/// Puts CPython's back.
pub(super) fn unwatch(py: Python<'_>) {
    if !SHOWING.get(py) {
        return;
    }
    SHOWING.set(py, false);
    for (attribute, theirs) in ATTRIBUTES.iter().zip(&THEIRS) {
        match theirs.get(py) {
            // SAFETY: as in `watch`.
            Some(Theirs::Getter(entry, getter)) => unsafe { (*entry).get = Some(getter) },
            Some(Theirs::Member(descriptor)) => {
                // SAFETY: the reference is never given back.
                let descriptor = unsafe { Bound::from_borrowed_ptr(py, descriptor) };
                if let Err(error) = put(py, attribute, &descriptor) {
                    error.write_unraisable(py, None);
                }
            }
            None => {}
        }
    }
    // SAFETY: as in `watch`.
    unsafe {
        if let Some(new) = NEW_TRACEBACK.get(py) {
            ffi::PyTraceBack_Type.tp_new = Some(new);
        }
    }
}

/// What stands behind an attribute.
fn find(py: Python<'_>, attribute: &Attribute) -> PyResult<Theirs> {
    let descriptor = attribute.dict(py)?.get_item(attribute.name)?;
    // SAFETY: compares types, and reads fields of an object of that very type; its table entry is static data.
    unsafe {
        let class = ffi::Py_TYPE(descriptor.as_ptr());
        if class == &raw mut ffi::PyMemberDescr_Type {
            return Ok(Theirs::Member(descriptor.into_ptr()));
        }
        if class == &raw mut ffi::PyGetSetDescr_Type {
            let entry = (*descriptor.as_ptr().cast::<GetSetDescriptor>()).d_getset;
            if let Some(getter) = (*entry).get {
                return Ok(Theirs::Getter(entry, getter));
            }
        }
    }
    Err(PyRuntimeError::new_err(format!(
        "debugop does not know this interpreter: {} is an unknown kind of attribute",
        attribute.name.to_string_lossy()
    )))
}

/// Puts a descriptor with our getter in the place of a member's.
fn replace_member(
    py: Python<'_>,
    attribute: &Attribute,
    ours: &GilCell<Option<*mut ffi::PyObject>>,
) -> PyResult<()> {
    if let Some(descriptor) = ours.get(py) {
        // SAFETY: the reference is never given back.
        return put(py, attribute, &unsafe {
            Bound::from_borrowed_ptr(py, descriptor)
        });
    }
    let definition = Box::leak(Box::new(ffi::PyGetSetDef {
        name: attribute.name.as_ptr(),
        get: Some(attribute.ours),
        set: None,
        doc: std::ptr::null(),
        closure: std::ptr::null_mut(),
    }));
    // SAFETY: a static type and a definition that is never freed; the result is a new reference or NULL with an exception.
    let descriptor = unsafe {
        Bound::from_owned_ptr_or_err(py, ffi::PyDescr_NewGetSet((attribute.class)(), definition))?
    };
    ours.set(py, Some(descriptor.clone().into_ptr()));
    put(py, attribute, &descriptor)
}

/// Puts `descriptor` into the type's dict.
fn put(py: Python<'_>, attribute: &Attribute, descriptor: &Bound<'_, PyAny>) -> PyResult<()> {
    attribute.dict(py)?.set_item(attribute.name, descriptor)?;
    // SAFETY: a static type; what has been looked up in it is forgotten.
    unsafe { ffi::PyType_Modified((attribute.class)()) };
    Ok(())
}

/// # Safety
/// Called by CPython as the getter of `ATTRIBUTES[N]` with an object of its class.
unsafe extern "C" fn get<const N: usize>(
    object: *mut ffi::PyObject,
    closure: *mut c_void,
) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached and the object alive, by CPython's calling convention.
    let (py, object) = unsafe {
        let py = Python::assume_attached();
        (py, Bound::from_borrowed_ptr(py, object))
    };
    let value = theirs(N, &object, closure);
    let Some(value) = value else {
        return std::ptr::null_mut();
    };
    if !is_main(py) {
        return value.into_ptr();
    }
    let shown = catch_unwind(AssertUnwindSafe(|| {
        shown(ATTRIBUTES[N].kind, &object, &value)
    }));
    shown.ok().flatten().unwrap_or(value).into_ptr()
}

/// What CPython's own getter of `ATTRIBUTES[which]` says; `None` with an exception.
fn theirs<'py>(
    which: usize,
    object: &Bound<'py, PyAny>,
    closure: *mut c_void,
) -> Option<Bound<'py, PyAny>> {
    let py = object.py();
    let Some(theirs) = THEIRS[which].get(py) else {
        PyRuntimeError::new_err("debugop's getter stands where it was never put").restore(py);
        return None;
    };
    // SAFETY: CPython's own function with the arguments that it expects, or a member descriptor's with an object of its class.
    // The result is a new reference or NULL with an exception.
    unsafe {
        let value = match theirs {
            Theirs::Getter(_, getter) => getter(object.as_ptr(), closure),
            Theirs::Member(descriptor) => ffi::PyObject_CallMethodObjArgs(
                descriptor,
                crate::names::get(py).as_ptr(),
                object.as_ptr(),
                std::ptr::null_mut::<ffi::PyObject>(),
            ),
        };
        Bound::from_owned_ptr_or_opt(py, value)
    }
}

/// The code that a generator, coroutine or asynchronous generator really runs; `None` for other objects.
pub(super) fn code_of_generator<'py>(object: &Bound<'py, PyAny>) -> Option<Bound<'py, PyCode>> {
    let class = object.get_type_ptr();
    let which = ATTRIBUTES.iter().position(|attribute| {
        attribute.kind == Kind::Code && std::ptr::eq((attribute.class)(), class)
    })?;
    THEIRS[which].get(object.py())?;
    let code = theirs(which, object, std::ptr::null_mut())?;
    code.cast_into_exact().ok()
}

/// What is shown in place of `value`; None if that is all right.
fn shown<'py>(
    kind: Kind,
    object: &Bound<'py, PyAny>,
    value: &Bound<'py, PyAny>,
) -> Option<Bound<'py, PyAny>> {
    let py = value.py();
    let frame = match kind {
        Kind::Code => {
            let entry = registry::of_copy(value.cast_exact::<PyCode>().ok()?)?;
            return Some(entry.original(py).clone().into_any());
        }
        Kind::FrameOffset => object.clone(),
        // SAFETY: the getter is called with tracebacks only, which own their frames.
        Kind::TracebackOffset => unsafe {
            Bound::from_borrowed_ptr(py, (*object.as_ptr().cast::<Traceback>()).tb_frame)
        },
    };
    let entry = registry::of_copy(&function::code_of_frame(frame.cast().ok()?))?;
    let copied = u32::try_from(value.extract::<i64>().ok()?).ok()?;
    // A callback that raised because an exception was leaving did so in what is appended to the copy: that has no place.
    let offset = entry.shown_offset(copied).unwrap_or(0);
    let Ok(offset) = offset.into_pyobject(py);
    Some(offset.into_any())
}

/// # Safety
/// Called by CPython as `types.TracebackType.__new__`.
unsafe extern "C" fn new_traceback(
    class: *mut ffi::PyTypeObject,
    arguments: *mut ffi::PyObject,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached, by CPython's calling convention; CPython's own function gets what it expects. What it
    // returns, if that is not NULL, is a new traceback, whose frame is alive.
    unsafe {
        let py = Python::assume_attached();
        let Some(new) = NEW_TRACEBACK.get(py) else {
            PyRuntimeError::new_err("debugop's TracebackType stands where it was never put")
                .restore(py);
            return std::ptr::null_mut();
        };
        let made = new(class, arguments, keywords);
        if !made.is_null() && is_main(py) {
            let traceback = made.cast::<Traceback>();
            let offset = catch_unwind(AssertUnwindSafe(|| {
                let frame = Bound::from_borrowed_ptr(py, (*traceback).tb_frame);
                let entry = registry::of_copy(&function::code_of_frame(frame.cast().ok()?))?;
                let offset = entry.copied_offset(u32::try_from((*traceback).tb_lasti).ok()?)?;
                c_int::try_from(offset).ok()
            }));
            if let Ok(Some(offset)) = offset {
                (*traceback).tb_lasti = offset;
            }
        }
        made
    }
}
