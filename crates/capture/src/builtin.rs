//! Builtin functions of modules whose arguments are looked at, and replaced where they have to be, before CPython's own function is
//! called.
//!
//! The C function stands in a function's definition (`PyMethodDef`), which CPython reads at each call and all references to the function
//! share, those of sub-interpreters too. So nothing about the function object changes.

use std::ffi::{CStr, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use pyo3::exceptions::{PyRuntimeError, PySystemError};
use pyo3::types::{PyDict, PyDictMethods, PyString, PyTuple, PyTupleMethods};
use pyo3::{Bound, PyAny, PyErr, PyResult, Python, ffi};

use crate::interpreter::is_main;

type Tuple = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject) -> *mut ffi::PyObject;
type TupleAndDict = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *mut ffi::PyObject,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;
type Fast = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *mut *mut ffi::PyObject,
    ffi::Py_ssize_t,
) -> *mut ffi::PyObject;
type FastWithKeywords = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *const *mut ffi::PyObject,
    ffi::Py_ssize_t,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

/// A builtin's C function, by its calling convention (`ml_flags`).
#[derive(Clone, Copy)]
pub(crate) enum Function {
    /// `METH_VARARGS`
    Tuple(Tuple),
    /// `METH_VARARGS | METH_KEYWORDS`
    TupleAndDict(TupleAndDict),
    /// `METH_FASTCALL`
    Fast(Fast),
    /// `METH_FASTCALL | METH_KEYWORDS`
    FastWithKeywords(FastWithKeywords),
}

/// What is done with one builtin function.
pub(crate) trait Watched {
    /// Where CPython's function is kept.
    fn original() -> &'static OnceLock<Function>;

    /// Looks at the arguments of a call in the main interpreter, and replaces some.
    ///
    /// # Errors
    /// What the call shall raise.
    fn look<'py>(py: Python<'py>, arguments: &mut Arguments<'py>) -> PyResult<()>;

    /// Whether [`Watched::after`] does anything.
    const HAS_AFTER: bool = false;

    /// CPython's function has returned, whose arguments [`Watched::look`] has seen.
    fn after(_py: Python<'_>) {}
}

/// `result`, which CPython's function has returned.
fn returned<W: Watched>(py: Python<'_>, result: *mut ffi::PyObject) -> *mut ffi::PyObject {
    if W::HAS_AFTER && is_main(py) {
        W::after(py);
    }
    result
}

/// The arguments of one call.
pub(crate) struct Arguments<'py> {
    values: Vec<Bound<'py, PyAny>>,
    /// The names of the last of `values`.
    names: Vec<Bound<'py, PyString>>,
    changed: bool,
}

impl<'py> Arguments<'py> {
    /// The argument at `place` among the positional ones.
    pub(crate) fn positional(&self, place: usize) -> Option<&Bound<'py, PyAny>> {
        self.values[..self.positional_count()].get(place)
    }

    /// The argument that is passed at `place` or by `name`, and its number for [`Self::set`].
    pub(crate) fn get(&self, place: usize, name: &str) -> Option<(usize, &Bound<'py, PyAny>)> {
        if let Some(value) = self.positional(place) {
            return Some((place, value));
        }
        let named = self.names.iter().position(|given| *given == name)?;
        let index = self.positional_count() + named;
        Some((index, &self.values[index]))
    }

    /// Replaces an argument; the number of a positional one is its place.
    pub(crate) fn set(&mut self, index: usize, value: Bound<'py, PyAny>) {
        self.values[index] = value;
        self.changed = true;
    }

    /// Adds a positional argument.
    pub(crate) fn push(&mut self, value: Bound<'py, PyAny>) {
        self.values.insert(self.positional_count(), value);
        self.changed = true;
    }

    /// The values as CPython's calling conventions want them.
    fn pointers(&self) -> Vec<*mut ffi::PyObject> {
        self.values.iter().map(Bound::as_ptr).collect()
    }

    fn positional_count(&self) -> usize {
        self.values.len() - self.names.len()
    }
}

/// Puts `W` in the place of `function`; does nothing if it stands there already, or if `function` is no builtin function.
///
/// # Errors
/// `SystemError`: the function's calling convention is not known.
pub(crate) fn place<W: Watched>(function: &Bound<'_, PyAny>) -> PyResult<()> {
    const NAMED: c_int = ffi::METH_VARARGS | ffi::METH_KEYWORDS;
    const FAST_NAMED: c_int = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;
    if W::original().get().is_some() {
        return Ok(());
    }
    // SAFETY: an exact builtin function has the layout of PyCFunctionObject; its definition is static and writable data of the
    // module's. The flags say which member of the union is valid; the definition's function is read at each call
    // (`Objects/methodobject.c`, 3.11-3.15).
    unsafe {
        if ffi::PyCFunction_CheckExact(function.as_ptr()) == 0 {
            return Ok(());
        }
        let definition = (*function.as_ptr().cast::<ffi::PyCFunctionObject>()).m_ml;
        let method = (*definition).ml_meth;
        let (original, ours) = match (*definition).ml_flags {
            ffi::METH_VARARGS => (
                Function::Tuple(method.PyCFunction),
                ffi::PyMethodDefPointer {
                    PyCFunction: tuple::<W>,
                },
            ),
            NAMED => (
                Function::TupleAndDict(method.PyCFunctionWithKeywords),
                ffi::PyMethodDefPointer {
                    PyCFunctionWithKeywords: tuple_and_dict::<W>,
                },
            ),
            ffi::METH_FASTCALL => (
                Function::Fast(method.PyCFunctionFast),
                ffi::PyMethodDefPointer {
                    PyCFunctionFast: fast::<W>,
                },
            ),
            FAST_NAMED => (
                Function::FastWithKeywords(method.PyCFunctionFastWithKeywords),
                ffi::PyMethodDefPointer {
                    PyCFunctionFastWithKeywords: fast_with_keywords::<W>,
                },
            ),
            flags => {
                return Err(PySystemError::new_err(format!(
                    "debugop does not know this interpreter: the calling convention of {function} is {flags}"
                )));
            }
        };
        W::original().get_or_init(|| original);
        (*definition).ml_meth = ours;
    }
    Ok(())
}

/// The entry of the builtin function `name` in the table of the module's methods, whatever the name stands for now.
///
/// # Errors
/// `RuntimeError`: there is no such function, or its calling convention is not `flags`.
pub(crate) fn definition(
    module: &Bound<'_, PyAny>,
    name: &str,
    flags: c_int,
) -> PyResult<*mut ffi::PyMethodDef> {
    // SAFETY: a module object made by CPython; its definition and the table in it are static data, which ends in a NULL name.
    // Anything else has no definition.
    unsafe {
        let definition = ffi::PyModule_GetDef(module.as_ptr());
        if !definition.is_null() {
            let mut entry = (*definition).m_methods;
            while !entry.is_null() && !(*entry).ml_name.is_null() {
                if CStr::from_ptr((*entry).ml_name).to_bytes() == name.as_bytes()
                    && (*entry).ml_flags == flags
                {
                    return Ok(entry);
                }
                entry = entry.add(1);
            }
        }
        // What `PyModule_GetDef` raises for other objects.
        ffi::PyErr_Clear();
    }
    Err(PyRuntimeError::new_err(format!(
        "debugop does not know this interpreter: the builtin {name} is not what it is in CPython {}",
        crate::layout::VERSION
    )))
}

fn lost() -> PyErr {
    PySystemError::new_err("debugop lost the builtin function that it stands for")
}

/// Lets `W` look at the arguments: those to be passed in place of the given ones, `None` if these stay. With `Err` an exception is set.
fn looked<'py, W: Watched>(
    py: Python<'py>,
    given: impl FnOnce() -> PyResult<Arguments<'py>>,
) -> Result<Option<Arguments<'py>>, ()> {
    if !is_main(py) {
        return Ok(None);
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut arguments = given()?;
        W::look(py, &mut arguments)?;
        Ok(arguments.changed.then_some(arguments))
    }));
    outcome
        .unwrap_or_else(|_| Err(lost()))
        .map_err(|error: PyErr| error.restore(py))
}

/// # Safety
/// Called by CPython as a `METH_VARARGS` function.
unsafe extern "C" fn tuple<W: Watched>(
    module: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached and `args` is a tuple, by CPython's calling convention.
    let (py, given) = unsafe {
        let py = Python::assume_attached();
        (py, positional(py, args))
    };
    let (Ok(changed), Some(Function::Tuple(original))) = (
        looked::<W>(py, || {
            Ok(Arguments {
                values: given.iter().collect(),
                names: Vec::new(),
                changed: false,
            })
        }),
        W::original().get(),
    ) else {
        return failed(py);
    };
    let args = match changed.map(|changed| PyTuple::new(py, changed.values)) {
        None => given,
        Some(Ok(args)) => args,
        Some(Err(error)) => {
            error.restore(py);
            return std::ptr::null_mut();
        }
    };
    // SAFETY: CPython's own function with arguments of the kinds that it expects.
    returned::<W>(py, unsafe { original(module, args.as_ptr()) })
}

/// # Safety
/// Called by CPython as a `METH_VARARGS | METH_KEYWORDS` function.
unsafe extern "C" fn tuple_and_dict<W: Watched>(
    module: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached, `args` is a tuple and `keywords` NULL or a dict with strings for keys, by CPython's calling
    // convention.
    let (py, given, named) = unsafe {
        let py = Python::assume_attached();
        let named = Bound::from_borrowed_ptr_or_opt(py, keywords)
            .map(|named| named.cast_into_unchecked::<PyDict>());
        (py, positional(py, args), named)
    };
    let (Ok(changed), Some(Function::TupleAndDict(original))) = (
        looked::<W>(py, || {
            let mut values: Vec<_> = given.iter().collect();
            let mut names = Vec::new();
            for (name, value) in named.iter().flat_map(PyDictMethods::iter) {
                names.push(name.cast_into()?);
                values.push(value);
            }
            Ok(Arguments {
                values,
                names,
                changed: false,
            })
        }),
        W::original().get(),
    ) else {
        return failed(py);
    };
    let (args, named) = match changed.map(|changed| apart(py, &changed)) {
        None => (given, named),
        Some(Ok((args, named))) => (args, Some(named)),
        Some(Err(error)) => {
            error.restore(py);
            return std::ptr::null_mut();
        }
    };
    let named = named.as_ref().map_or(std::ptr::null_mut(), Bound::as_ptr);
    // SAFETY: CPython's own function with arguments of the kinds that it expects.
    returned::<W>(py, unsafe { original(module, args.as_ptr(), named) })
}

/// # Safety
/// Called by CPython as a `METH_FASTCALL` function.
unsafe extern "C" fn fast<W: Watched>(
    module: *mut ffi::PyObject,
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached and there are `count` arguments, by CPython's calling convention.
    let (py, given) = unsafe { (Python::assume_attached(), slice(args, count)) };
    let (Ok(changed), Some(Function::Fast(original))) = (
        looked::<W>(py, || {
            Ok(Arguments {
                values: bound(py, given),
                names: Vec::new(),
                changed: false,
            })
        }),
        W::original().get(),
    ) else {
        return failed(py);
    };
    let Some(changed) = changed else {
        // SAFETY: CPython's own function with what was meant for it.
        return returned::<W>(py, unsafe { original(module, args, count) });
    };
    let mut all = changed.pointers();
    // SAFETY: CPython's own function with arguments of the kinds that it expects, which `changed` keeps alive.
    let result = unsafe { original(module, all.as_mut_ptr(), all.len().cast_signed()) };
    returned::<W>(py, result)
}

/// # Safety
/// Called by CPython as a `METH_FASTCALL | METH_KEYWORDS` function.
unsafe extern "C" fn fast_with_keywords<W: Watched>(
    module: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached, `keywords` is NULL or a tuple of strings, and there are `count` arguments followed by the
    // keywords' values, by CPython's calling convention.
    let (py, given, named) = unsafe {
        let py = Python::assume_attached();
        let named = Bound::from_borrowed_ptr_or_opt(py, keywords)
            .map(|named| named.cast_into_unchecked::<PyTuple>());
        let total = ffi::PyVectorcall_NARGS(count.cast_unsigned())
            + named.as_ref().map_or(0, |named| named.len().cast_signed());
        (py, slice(args, total), named)
    };
    let (Ok(changed), Some(Function::FastWithKeywords(original))) = (
        looked::<W>(py, || {
            let names = named.iter().flat_map(PyTupleMethods::iter);
            Ok(Arguments {
                values: bound(py, given),
                names: names
                    .map(|name| Ok(name.cast_into()?))
                    .collect::<PyResult<_>>()?,
                changed: false,
            })
        }),
        W::original().get(),
    ) else {
        return failed(py);
    };
    let Some(changed) = changed else {
        // SAFETY: CPython's own function with what was meant for it.
        return returned::<W>(py, unsafe { original(module, args, count, keywords) });
    };
    let all = changed.pointers();
    let count = changed.positional_count().cast_signed();
    // SAFETY: as in `fast`.
    returned::<W>(py, unsafe {
        original(module, all.as_ptr(), count, keywords)
    })
}

/// Ends a call whose exception is set, or should be.
fn failed(py: Python<'_>) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached.
    if unsafe { ffi::PyErr_Occurred() }.is_null() {
        lost().restore(py);
    }
    std::ptr::null_mut()
}

/// The arguments as a tuple and a dict.
fn apart<'py>(
    py: Python<'py>,
    arguments: &Arguments<'py>,
) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
    let (positional, named) = arguments.values.split_at(arguments.positional_count());
    let dict = PyDict::new(py);
    for (name, value) in arguments.names.iter().zip(named) {
        dict.set_item(name, value)?;
    }
    Ok((PyTuple::new(py, positional)?, dict))
}

/// # Safety
/// `args` is a tuple.
unsafe fn positional(py: Python<'_>, args: *mut ffi::PyObject) -> Bound<'_, PyTuple> {
    // SAFETY: by the contract above.
    unsafe { Bound::from_borrowed_ptr(py, args).cast_into_unchecked() }
}

fn bound<'py>(py: Python<'py>, given: &[*mut ffi::PyObject]) -> Vec<Bound<'py, PyAny>> {
    given
        .iter()
        // SAFETY: an argument is alive during the call.
        .map(|one| unsafe { Bound::from_borrowed_ptr(py, *one) })
        .collect()
}

/// # Safety
/// `args` are `count` pointers that live as long as the call; it may be NULL if there are none.
unsafe fn slice<'a>(
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> &'a [*mut ffi::PyObject] {
    if count == 0 {
        return &[];
    }
    // SAFETY: by the contract above.
    unsafe { std::slice::from_raw_parts(args, count.cast_unsigned()) }
}
