//! Function objects: reading their code and module, replacing and restoring their code.

use std::sync::Arc;

use debugop_filter::{CodeFilter, CodeNames};
use debugop_value::Value;
use pyo3::types::{
    PyAnyMethods, PyCode, PyDict, PyDictMethods, PyFrame, PyFunction, PyModule, PyModuleMethods,
    PyString, PyTuple, PyTupleMethods,
};
use pyo3::{Bound, Py, PyAny, PyResult, Python, ffi};
use rustc_hash::FxHashMap;

use crate::code_object;
use crate::layout::FunctionObject;
use crate::modules;
use crate::names;
use crate::probed::ProbedCode;
use crate::value::{Limits, capture, lossy, string};

#[cfg(Py_3_13)]
mod version;

/// The code object that `function` runs.
pub(crate) fn code<'py>(function: &Bound<'py, PyFunction>) -> Bound<'py, PyCode> {
    // SAFETY: PyFunction_GetCode returns a borrowed reference to the function's code object, never NULL for a function.
    unsafe {
        Bound::from_borrowed_ptr(function.py(), ffi::PyFunction_GetCode(function.as_ptr()))
            .cast_into_unchecked()
    }
}

/// The code object that `frame` really runs, whatever `f_code` shows to programs ([`crate::whole`]).
pub(crate) fn code_of_frame<'py>(frame: &Bound<'py, PyFrame>) -> Bound<'py, PyCode> {
    // SAFETY: PyFrame_GetCode returns a new reference, never NULL.
    unsafe {
        let code = ffi::PyFrame_GetCode(frame.as_ptr().cast());
        Bound::from_owned_ptr(frame.py(), code.cast()).cast_into_unchecked()
    }
}

/// `__name__` in the function's globals; empty if there is no such string. Runs no code: globals of functions are dicts
/// and a look-up of an exact string in a dict with string keys only compares strings.
pub(crate) fn module(function: &Bound<'_, PyFunction>) -> String {
    let py = function.py();
    // SAFETY: PyFunction_GetGlobals returns a borrowed reference to the function's globals, never NULL for a function.
    let globals =
        unsafe { Bound::from_borrowed_ptr(py, ffi::PyFunction_GetGlobals(function.as_ptr())) };
    module_name(&globals)
}

/// `__name__` of a namespace, if it is a dict and holds a string; otherwise empty.
pub(crate) fn module_name(globals: &Bound<'_, PyAny>) -> String {
    let name = globals
        .cast_exact::<PyDict>()
        .ok()
        .and_then(|globals| globals.get_item("__name__").ok().flatten());
    name.and_then(|name| name.cast_into_exact::<PyString>().ok())
        .map(|name| string(&name))
        .unwrap_or_default()
}

/// Whether `filter` allows `code`, which runs in the module `module`.
pub(crate) fn allowed(filter: &CodeFilter, code: &Bound<'_, PyCode>, module: &str) -> bool {
    let (qualname, file) = (code_object::qualname(code), code_object::filename(code));
    let names = CodeNames {
        module,
        qualname: &lossy(&qualname),
        file: &lossy(&file),
    };
    filter.allows(names, || home(code.py(), module))
}

/// The file of the module `module`: empty if it has none, `None` if there is no such module. Runs no code of the program's.
fn home(py: Python<'_>, module: &str) -> Option<String> {
    if module.is_empty() {
        return Some(String::new());
    }
    let modules = modules::sys(py, c"modules").ok()?;
    let module = modules
        .cast_exact::<PyDict>()
        .ok()?
        .get_item(module)
        .ok()??;
    let Ok(module) = module.cast_into_exact::<PyModule>() else {
        return Some(String::new());
    };
    let file = module.dict().get_item("__file__").ok().flatten();
    let file = file.and_then(|file| file.cast_into_exact::<PyString>().ok());
    Some(file.map(|file| string(&file)).unwrap_or_default())
}

/// A text attribute of a code object; lossy where it has surrogates.
#[must_use]
pub fn code_text(code: &Bound<'_, PyCode>, attribute: &str) -> String {
    let text = code
        .getattr(attribute)
        .ok()
        .and_then(|text| text.cast_into::<PyString>().ok());
    text.map(|text| string(&text)).unwrap_or_default()
}

/// A tuple of strings of a code object.
#[must_use]
pub fn code_texts(code: &Bound<'_, PyCode>, attribute: &str) -> Vec<String> {
    let tuple = code
        .getattr(attribute)
        .ok()
        .and_then(|texts| texts.cast_into::<PyTuple>().ok());
    let text = |text: Bound<'_, PyAny>| text.cast::<PyString>().map(string).unwrap_or_default();
    tuple
        .map(|tuple| tuple.iter().map(text).collect())
        .unwrap_or_default()
}

/// The names of localsplus in the order of the frame's slots: locals, cells that are not arguments, free variables
/// (`Objects/codeobject.c`, `_PyCode_GetVarnames` and its neighbours).
#[must_use]
pub fn localsplus_names(code: &Bound<'_, PyCode>) -> Vec<String> {
    let mut names = code_texts(code, "co_varnames");
    let cells = code_texts(code, "co_cellvars")
        .into_iter()
        .filter(|cell| !names.contains(cell))
        .collect::<Vec<_>>();
    names.extend(cells);
    names.extend(code_texts(code, "co_freevars"));
    names
}

/// The constants of a code object, as data.
#[must_use]
pub fn code_constants(code: &Bound<'_, PyCode>, limits: &Limits) -> Vec<Value> {
    let tuple = code
        .getattr("co_consts")
        .ok()
        .and_then(|constants| constants.cast_into::<PyTuple>().ok());
    tuple
        .map(|tuple| {
            tuple
                .iter()
                .map(|constant| capture(&constant, limits))
                .collect()
        })
        .unwrap_or_default()
}

/// Makes `function` run `code`, which has the same signature, flags and free variables as what it runs. Calls of it stay specialised.
///
/// # Errors
/// What an audit hook raises.
pub(crate) fn set_code(function: &Bound<'_, PyFunction>, code: &Bound<'_, PyCode>) -> PyResult<()> {
    #[cfg(Py_3_13)]
    let version = version::Version::of(function);
    function.setattr(names::code(function.py()), code)?;
    #[cfg(Py_3_13)]
    version.keep(code);
    Ok(())
}

/// Makes `function`, which has never been called, run `code`, which has the same signature and free variables. Nobody is told,
/// unlike with [`set_code`].
pub(crate) fn set_code_of_new(function: &Bound<'_, PyFunction>, code: &Bound<'_, PyCode>) {
    let raw = function.as_ptr().cast::<FunctionObject>();
    // SAFETY: an exact function owns a reference to its code object. What a call site specialises on (`func_version`, argument
    // counts) does not change, and everything else is read from `func_code` at each call (Python/bytecodes.c: frame
    // pushes use `func->func_code`). The new code is in place before the old one is released, which can run destructors.
    // Checked on 3.11.7, 3.12.1, 3.13.0, 3.14.10, 3.15.2.
    unsafe {
        let old = std::mem::replace(&mut (*raw).func_code, code.clone().into_ptr());
        ffi::Py_DECREF(old);
    }
}

/// Every function in the heap.
pub(crate) fn all(py: Python<'_>) -> Vec<Bound<'_, PyFunction>> {
    let mut found = Vec::new();
    heap::visit(py, &mut |object| {
        // SAFETY: the heap walk hands out live objects.
        unsafe {
            if ffi::Py_TYPE(object) == &raw mut ffi::PyFunction_Type {
                found.push(Bound::from_borrowed_ptr(py, object).cast_into_unchecked());
            }
        }
    });
    found
}

/// Gives functions that run a retired copy their original code back: `known` ones, and, if anything else still holds a
/// retired copy, every function in the heap.
///
/// # Errors
/// The first error; the other functions are restored all the same.
pub(crate) fn restore(
    py: Python<'_>,
    known: &[Py<PyFunction>],
    retired: &[(Arc<ProbedCode>, Py<PyCode>)],
) -> PyResult<()> {
    let originals: FxHashMap<usize, &Arc<ProbedCode>> = retired
        .iter()
        .map(|(code, copy)| (copy.as_ptr() as usize, code))
        .collect();
    let mut outcome = Ok(());
    let mut restore_one = |function: &Bound<'_, PyFunction>| {
        if let Some(probed) = originals.get(&(code(function).as_ptr() as usize)) {
            let restored = set_code(function, probed.original(py));
            if outcome.is_ok() {
                outcome = restored;
            }
        }
    };
    for function in known {
        restore_one(function.bind(py));
    }
    if held_elsewhere(py, retired) {
        for function in all(py) {
            restore_one(&function);
        }
    }
    outcome
}

/// Whether somebody but us and the parents' constants holds a retired copy: functions made while tracing, or frames.
fn held_elsewhere(py: Python<'_>, retired: &[(Arc<ProbedCode>, Py<PyCode>)]) -> bool {
    let mut in_constants: FxHashMap<*const ProbedCode, isize> = FxHashMap::default();
    for (code, _) in retired {
        for nested in code.nested() {
            *in_constants.entry(Arc::as_ptr(nested)).or_default() += 1;
        }
    }
    retired.iter().any(|(code, copy)| {
        let own = 1 + in_constants
            .get(&Arc::as_ptr(code))
            .copied()
            .unwrap_or_default();
        ref_count(copy, py) > own
    })
}

fn ref_count(object: &Py<PyCode>, _py: Python<'_>) -> isize {
    // SAFETY: a live object; the GIL is held.
    unsafe { ffi::Py_REFCNT(object.as_ptr()) as isize }
}

#[cfg(Py_3_12)]
pub(crate) mod heap {
    use std::ffi::{c_int, c_void};

    use pyo3::{Python, ffi};

    unsafe extern "C" {
        /// Visits every tracked object, frozen ones too (`Modules/gcmodule.c`, 3.12; `Python/gc.c`, 3.13+).
        fn PyUnstable_GC_VisitObjects(
            callback: extern "C" fn(*mut ffi::PyObject, *mut c_void) -> c_int,
            arg: *mut c_void,
        );
    }

    pub(crate) type Visitor<'a> = &'a mut dyn FnMut(*mut ffi::PyObject);

    extern "C" fn visit_one(object: *mut ffi::PyObject, arg: *mut c_void) -> c_int {
        // SAFETY: `arg` is the visitor that `visit` passed in, which outlives the walk.
        let visitor = unsafe { &mut *arg.cast::<Visitor<'_>>() };
        visitor(object);
        1
    }

    /// Calls `visitor` for every object that the garbage collector tracks. It may take references but not drop any.
    pub(crate) fn visit(_py: Python<'_>, mut visitor: Visitor<'_>) {
        // SAFETY: the GIL is held; the callback neither allocates Python objects nor drops references, as the function asks.
        unsafe { PyUnstable_GC_VisitObjects(visit_one, (&raw mut visitor).cast()) }
    }
}

#[cfg(not(Py_3_12))]
pub(crate) mod heap {
    use pyo3::sync::PyOnceLock;
    use pyo3::types::{PyAnyMethods, PyList, PyListMethods};

    use crate::modules;
    use pyo3::{Bound, Py, PyAny, PyErr, PyResult, Python, ffi};

    /// `gc.get_objects`.
    static GET_OBJECTS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

    /// Finds the function. To be called when nothing is watched yet: to import a module runs code.
    ///
    /// # Errors
    /// The interpreter is not as it should be.
    pub(crate) fn prepare(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
        let found = GET_OBJECTS.get_or_try_init(py, || {
            let function = modules::builtin(py, "gc")?.getattr("get_objects")?;
            Ok::<_, PyErr>(function.unbind())
        });
        found.map(|function| function.bind(py))
    }

    /// Calls `visitor` for every object that `gc.get_objects` returns. That leaves out what `gc.freeze` has set aside,
    /// for which 3.11 has no interface.
    pub(crate) fn visit(py: Python<'_>, visitor: &mut dyn FnMut(*mut ffi::PyObject)) {
        let objects = prepare(py).and_then(PyAnyMethods::call0);
        if let Some(objects) = objects
            .ok()
            .and_then(|objects| objects.cast_into::<PyList>().ok())
        {
            for object in objects.iter() {
                visitor(object.as_ptr());
            }
        }
    }
}
