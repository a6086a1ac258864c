//! Auto-follow: from the callable on the value stack to the Python functions that the call will run.

use pyo3::types::{
    PyAnyMethods, PyCFunction, PyDict, PyDictMethods, PyFunction, PyModule, PyModuleMethods,
    PyType, PyTypeMethods,
};
use pyo3::{Bound, Py, PyAny, PyResult, Python, ffi};

use crate::gil::GilCell;
use crate::modules;
use crate::names;
use crate::value::PyMethod_Type;

unsafe extern "C" {
    /// Looks a name up along the MRO without running code; a borrowed reference (`Objects/typeobject.c`, 3.11-3.15).
    fn _PyType_Lookup(this: *mut ffi::PyTypeObject, name: *mut ffi::PyObject)
    -> *mut ffi::PyObject;
}

/// How many wrappers (partials, bound methods, …) are looked through.
const MAX_WRAPPERS: usize = 16;

/// The Python functions that calling `callable` enters first, as [`functions`] finds them.
///
/// # Errors
/// What CPython raises while it is asked, such as `MemoryError`.
pub fn python_functions<'py>(
    callable: &Bound<'py, PyAny>,
) -> PyResult<Vec<Bound<'py, PyFunction>>> {
    let mut all = Vec::new();
    functions(callable.py(), callable, &mut |function| {
        all.push(function.clone());
        Ok(())
    })?;
    Ok(all)
}

/// Calls `found` for each Python function that calling `callable` enters first, as far as that can be told without running
/// any of the program's code: the function itself, through bound, static and class methods, `functools.partial` and
/// `functools.lru_cache`; for a class its metaclass's `__call__`, its `__new__` and `__init__`; for an instance its type's
/// `__call__`.
///
/// # Errors
/// What `found` returns.
pub(crate) fn functions<'py>(
    py: Python<'py>,
    callable: &Bound<'py, PyAny>,
    found: &mut dyn FnMut(&Bound<'py, PyFunction>) -> PyResult<()>,
) -> PyResult<()> {
    let mut callable = callable.clone();
    for _ in 0..MAX_WRAPPERS {
        if let Ok(function) = callable.cast_exact::<PyFunction>() {
            return found(function);
        }
        if callable.is_exact_instance_of::<PyCFunction>() {
            return Ok(());
        }
        if let Ok(class) = callable.cast::<PyType>() {
            return constructors(py, class, found);
        }
        let Some(inner) = unwrap(py, &callable)? else {
            let call = lookup(py, &callable.get_type(), names::call(py).as_any());
            return match call {
                Some(call) => match call.cast_exact::<PyFunction>() {
                    Ok(function) => found(function),
                    Err(_) => Ok(()),
                },
                None => Ok(()),
            };
        };
        callable = inner;
    }
    Ok(())
}

fn constructors<'py>(
    py: Python<'py>,
    class: &Bound<'py, PyType>,
    found: &mut dyn FnMut(&Bound<'py, PyFunction>) -> PyResult<()>,
) -> PyResult<()> {
    let metaclass_call = lookup(py, &class.get_type(), names::call(py).as_any());
    let new = lookup(py, class, names::new(py).as_any());
    let init = lookup(py, class, names::init(py).as_any());
    for method in [metaclass_call, new, init].into_iter().flatten() {
        if let Ok(function) = method.cast_exact::<PyFunction>() {
            found(function)?;
        } else if let Some(inner) = unwrap(py, &method)?
            && let Ok(function) = inner.cast_exact::<PyFunction>()
        {
            found(function)?;
        }
    }
    Ok(())
}

pub(crate) fn lookup<'py>(
    py: Python<'py>,
    class: &Bound<'py, PyType>,
    name: &Bound<'py, PyAny>,
) -> Option<Bound<'py, PyAny>> {
    // SAFETY: both are live objects of the right types; the borrowed result is turned into a reference of our own before
    // anything can drop it. Exported and unchanged in meaning in 3.11-3.15.
    unsafe {
        Bound::from_borrowed_ptr_or_opt(py, _PyType_Lookup(class.as_type_ptr(), name.as_ptr()))
    }
}

/// What a wrapper of an exactly known type wraps. Their attributes are plain members, so reading them runs no code of the
/// program's.
fn unwrap<'py>(
    py: Python<'py>,
    callable: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let class = callable.get_type();
    let is_method = [
        &raw mut PyMethod_Type,
        &raw mut ffi::PyStaticMethod_Type,
        &raw mut ffi::PyClassMethod_Type,
    ]
    .contains(&class.as_type_ptr());
    if is_method {
        return callable.getattr_opt("__func__");
    }
    match functools_attribute(py, &class)? {
        Some(attribute) => callable.getattr_opt(attribute),
        None => Ok(None),
    }
}

/// The types of `_functools` that wrap, each with the attribute that holds what it wraps.
const WRAPPERS: [(&str, &str); 2] = [("partial", "func"), ("_lru_cache_wrapper", "__wrapped__")];

/// Those that have been found. Not a `PyOnceLock`, which gives up the GIL when it is filled.
static FOUND: GilCell<[Option<Py<PyType>>; WRAPPERS.len()]> =
    GilCell::new([const { None }; WRAPPERS.len()]);

/// The attribute in which an object of `class` holds what it wraps, if that is a type of `_functools`. Nothing is imported: as long as that has not been, no object is of its
/// types.
fn functools_attribute(
    py: Python<'_>,
    class: &Bound<'_, PyType>,
) -> PyResult<Option<&'static str>> {
    // SAFETY: a field of a live type.
    let flags = unsafe { (*class.as_type_ptr()).tp_flags };
    // Classes of the program's never are.
    if flags & ffi::Py_TPFLAGS_IMMUTABLETYPE == 0 {
        return Ok(None);
    }
    let find = |found: &[Option<Py<PyType>>; WRAPPERS.len()]| {
        let is_it = |one: &Option<Py<PyType>>| one.as_ref().is_some_and(|one| class.is(one));
        found.iter().position(is_it)
    };
    let (known, is_full) = FOUND.with(py, |found| (find(found), found[0].is_some()));
    if known.is_some() || is_full {
        return Ok(known.map(|index| WRAPPERS[index].1));
    }
    let modules = modules::sys(py, c"modules")?;
    let Ok(modules) = modules.cast_exact::<PyDict>() else {
        return Ok(None);
    };
    let module = modules.get_item("_functools")?;
    let Some(module) = module.and_then(|module| module.cast_into_exact::<PyModule>().ok()) else {
        return Ok(None);
    };
    let mut found = [const { None }; WRAPPERS.len()];
    for (place, (name, _)) in found.iter_mut().zip(WRAPPERS) {
        let object = module.dict().get_item(name)?;
        *place = object.and_then(|object| Some(object.cast_into::<PyType>().ok()?.unbind()));
    }
    let known = find(&found);
    FOUND.set(py, found);
    Ok(known.map(|index| WRAPPERS[index].1))
}
