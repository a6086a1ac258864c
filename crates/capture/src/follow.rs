//! Auto-follow: from the callable on the value stack to the Python functions that the call will run.

use pyo3::sync::PyOnceLock;
use pyo3::types::{PyAnyMethods, PyCFunction, PyFunction, PyType, PyTypeMethods};
use pyo3::{Bound, Py, PyAny, PyResult, Python, ffi};

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
    let wrapper_type = callable.get_type();
    for (known, attribute) in wrappers(py)? {
        if wrapper_type.is(known) {
            return callable.getattr_opt(*attribute);
        }
    }
    Ok(None)
}

/// The wrapper types, each with the attribute that holds what it wraps.
fn wrappers(py: Python<'_>) -> PyResult<&'static [(Py<PyType>, &'static str)]> {
    static WRAPPERS: PyOnceLock<Vec<(Py<PyType>, &'static str)>> = PyOnceLock::new();
    let wrappers = WRAPPERS.get_or_try_init(py, || -> PyResult<_> {
        let named = |module: &str, name: &str| -> PyResult<Py<PyType>> {
            let named = modules::builtin(py, module)?.getattr(name)?;
            Ok(named.cast_into::<PyType>()?.unbind())
        };
        // SAFETY: a type that lives as long as the interpreter.
        let method = unsafe { PyType::from_borrowed_type_ptr(py, &raw mut PyMethod_Type) };
        Ok(vec![
            (method.unbind(), "__func__"),
            (named("_functools", "partial")?, "func"),
            (named("builtins", "staticmethod")?, "__func__"),
            (named("builtins", "classmethod")?, "__func__"),
            (named("_functools", "_lru_cache_wrapper")?, "__wrapped__"),
        ])
    })?;
    Ok(wrappers)
}
