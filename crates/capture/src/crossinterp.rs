//! Functions and code objects that are sent to other interpreters (3.13+): they get what the program has written.
//!
//! The modules `_interpreters`, `_interpqueues` and `_interpchannels` take the code that a function runs in C and marshal it
//! (`Python/crossinterp.c`). That would be a probed copy, whose sites cannot be marshalled; and they refuse code with a `co_extra`,
//! where we note down what we know, and on 3.13 code that somebody monitors. So their functions are given others in place of such
//! arguments, with the same code as new. These cannot be told from the given ones: all that gets across is the code.
//!
//! The modules are watched from when they are loaded: `_imp.exec_dynamic` and `exec_builtin` run their initialisation.

use std::sync::OnceLock;

use pyo3::exceptions::PySystemError;
use pyo3::types::{
    PyCode, PyDict, PyDictMethods, PyFunction, PyModule, PyModuleMethods, PyStringMethods,
};
use pyo3::{Bound, PyAny, PyErr, PyResult, Python, ffi};

use crate::builtin::{self, Arguments, Function, Watched};
use crate::code_object;
use crate::engine::Engine;
use crate::extra;
use crate::function;
use crate::gil::GilCell;
use crate::interpreter::is_main;
use crate::modules;
use crate::registry;

/// What CPython does with an argument.
#[derive(Clone, Copy)]
enum Role {
    /// Takes the code of a function, or a code object.
    Script,
    /// Sends a function if it is stateless; otherwise it is pickled, by its name.
    #[cfg(Py_3_14)]
    Callable,
    /// The same for any object; tuples are sent item by item.
    #[cfg(Py_3_14)]
    Object,
    /// What the argument `mode` says.
    #[cfg(Py_3_14)]
    ByMode,
}

/// A function that sends objects.
struct Sender {
    module: &'static str,
    name: &'static str,
    /// Puts ours in its place.
    place: fn(&Bound<'_, PyAny>) -> PyResult<()>,
    /// Place, name, role.
    parameters: &'static [(usize, &'static str, Role)],
}

/// `WHICH` is its place in [`SENDERS`].
const fn sender<const WHICH: usize>(
    name: &'static str,
    parameters: &'static [(usize, &'static str, Role)],
) -> Sender {
    Sender {
        module: "_interpreters",
        name,
        place: builtin::place::<Sends<WHICH>>,
        parameters,
    }
}

/// 3.13 sends nothing but the code of scripts.
#[cfg(not(Py_3_14))]
const SENDERS: [Sender; 3] = [
    sender::<0>("call", &[(1, "callable", Role::Script)]),
    sender::<1>("exec", &[(1, "code", Role::Script)]),
    sender::<2>("run_func", &[(1, "func", Role::Script)]),
];

/// The values of namespaces (`shared`, `updates`) must be shareable without any of this, which functions are not.
#[cfg(Py_3_14)]
const SENDERS: [Sender; 6] = [
    sender::<0>(
        "call",
        &[(1, "callable", Role::Callable), (2, "args", Role::Object)],
    ),
    sender::<1>("exec", &[(1, "code", Role::Script)]),
    sender::<2>("run_func", &[(1, "func", Role::Script)]),
    Sender {
        module: "_interpqueues",
        ..sender::<3>("put", &[(1, "obj", Role::Object)])
    },
    Sender {
        module: "_interpchannels",
        ..sender::<4>("send", &[(1, "obj", Role::Object)])
    },
    // By which CPython's own tests send.
    Sender {
        module: "_testinternalcapi",
        ..sender::<5>("get_crossinterp_data", &[(0, "obj", Role::ByMode)])
    },
];

static ORIGINALS: [OnceLock<Function>; SENDERS.len()] = [const { OnceLock::new() }; SENDERS.len()];

/// `_imp.exec_builtin` and `_imp.exec_dynamic` (`METH_O`).
const LOADERS: [&str; 2] = ["exec_builtin", "exec_dynamic"];

type Load = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject) -> *mut ffi::PyObject;

/// What CPython has where ours stand.
static LOADED_BY: [OnceLock<Load>; LOADERS.len()] = [const { OnceLock::new() }; LOADERS.len()];

static WATCHING: GilCell<bool> = GilCell::new(false);

/// Watches the modules, those that are loaded and those that will be, until the process ends.
///
/// # Errors
/// The interpreter is not as it should be.
pub(crate) fn watch(py: Python<'_>) -> PyResult<()> {
    if WATCHING.replace(py, true) {
        return Ok(());
    }
    let imp = modules::builtin(py, "_imp")?;
    place_loader::<0>(&imp)?;
    place_loader::<1>(&imp)?;
    let loaded = modules::sys(py, c"modules")?;
    let Ok(loaded) = loaded.cast_exact::<PyDict>() else {
        return Ok(());
    };
    for sender in &SENDERS {
        if let Some(module) = loaded.get_item(sender.module)? {
            place_senders(&module)?;
        }
    }
    Ok(())
}

fn place_loader<const WHICH: usize>(imp: &Bound<'_, PyAny>) -> PyResult<()> {
    let entry = builtin::definition(imp, LOADERS[WHICH], ffi::METH_O)?;
    // SAFETY: the table is writable static data of the interpreter (`Python/import.c`, 3.13-3.15); the flags, which were compared, say
    // which member of the union is set, and ours has the same signature. The GIL is held.
    unsafe {
        LOADED_BY[WHICH].get_or_init(|| (*entry).ml_meth.PyCFunction);
        (*entry).ml_meth.PyCFunction = load::<WHICH>;
    }
    Ok(())
}

/// # Safety
/// Called by CPython as `_imp.exec_builtin` or `_imp.exec_dynamic`.
unsafe extern "C" fn load<const WHICH: usize>(
    imp: *mut ffi::PyObject,
    module: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached and the module alive, by CPython's calling convention; CPython's own function gets what was
    // meant for it.
    unsafe {
        let py = Python::assume_attached();
        let Some(original) = LOADED_BY[WHICH].get() else {
            // Cannot be reached: `place_loader` sets it first.
            PySystemError::new_err("debugop lost the loader of modules").restore(py);
            return std::ptr::null_mut();
        };
        let status = original(imp, module);
        if !status.is_null() && is_main(py) {
            let module = Bound::from_borrowed_ptr(py, module);
            if let Err(error) = place_senders(&module) {
                error.write_unraisable(py, Some(&module));
            }
        }
        status
    }
}

/// Watches the functions of `module` that send objects, if it has any.
fn place_senders(module: &Bound<'_, PyAny>) -> PyResult<()> {
    let Ok(module) = module.cast_exact::<PyModule>() else {
        return Ok(());
    };
    let Ok(name) = module.name() else {
        return Ok(());
    };
    let name = name.to_cow()?;
    for sender in &SENDERS {
        if sender.module == name
            && let Some(function) = module.dict().get_item(sender.name)?
        {
            (sender.place)(&function)?;
        }
    }
    Ok(())
}

/// `SENDERS[WHICH]`, watched.
struct Sends<const WHICH: usize>;

impl<const WHICH: usize> Watched for Sends<WHICH> {
    fn original() -> &'static OnceLock<Function> {
        &ORIGINALS[WHICH]
    }

    fn look<'py>(_py: Python<'py>, arguments: &mut Arguments<'py>) -> PyResult<()> {
        for (place, name, role) in SENDERS[WHICH].parameters {
            let Some((index, given)) = arguments.get(*place, name) else {
                continue;
            };
            #[cfg(Py_3_14)]
            let role = &match role {
                Role::ByMode => match mode(arguments) {
                    Some(role) => role,
                    None => continue,
                },
                role => *role,
            };
            if let Some(sent) = sent_as(given, *role)? {
                arguments.set(index, sent);
            }
        }
        Ok(())
    }
}

/// What `_testinternalcapi.get_crossinterp_data` does with its argument; `None` if code is nothing to it.
#[cfg(Py_3_14)]
fn mode(arguments: &Arguments<'_>) -> Option<Role> {
    use pyo3::types::PyString;

    let (_, mode) = arguments.get(1, "mode")?;
    match &*mode.cast_exact::<PyString>().ok()?.to_cow().ok()? {
        "script" | "script-pure" => Some(Role::Script),
        "func" => Some(Role::Callable),
        "fallback" => Some(Role::Object),
        _ => None,
    }
}

/// What to send in place of `given`; `None` if that is all right.
fn sent_as<'py>(given: &Bound<'py, PyAny>, role: Role) -> PyResult<Option<Bound<'py, PyAny>>> {
    match role {
        Role::Script => {
            if let Ok(code) = given.cast_exact::<PyCode>() {
                return Ok(as_new(code)?.map(Bound::into_any));
            }
            match given.cast_exact::<PyFunction>() {
                Ok(function) => Ok(stand_in(function)?.map(Bound::into_any)),
                Err(_) => Ok(None),
            }
        }
        #[cfg(Py_3_14)]
        Role::Callable => stateless::function(given),
        #[cfg(Py_3_14)]
        Role::Object => stateless::object(given),
        #[cfg(Py_3_14)]
        Role::ByMode => Ok(None),
    }
}

/// What the program has written of `code`, with nothing of ours; `None` if there is nothing of ours.
fn as_new<'py>(code: &Bound<'py, PyCode>) -> PyResult<Option<Bound<'py, PyCode>>> {
    let py = code.py();
    let is_observed = || {
        [Engine::Monitoring, Engine::Settrace]
            .iter()
            .any(|engine| engine.find(py, code.as_ptr() as usize).is_some())
    };
    if extra::peek(code, |_| ()).is_none() && !is_observed() {
        return Ok(None);
    }
    match registry::of_copy(code) {
        Some(entry) => code_object::duplicate(entry.original(py)),
        None => code_object::duplicate(code),
    }
    .map(Some)
}

/// A function of the same namespace that runs what `function` shows as its code; `None` if it runs that itself. It has the closure, and no
/// default values.
fn stand_in<'py>(function: &Bound<'py, PyFunction>) -> PyResult<Option<Bound<'py, PyFunction>>> {
    let py = function.py();
    let code = function::code(function);
    let Some(new) = as_new(&code)? else {
        return Ok(None);
    };
    // SAFETY: a function's globals are never NULL, its closure is NULL or a tuple that fits its code. A new reference or NULL with an
    // exception. It is made of the code that is known to whoever is told of new functions.
    let made: Bound<'_, PyFunction> = unsafe {
        let globals = ffi::PyFunction_GetGlobals(function.as_ptr());
        let made = ffi::PyFunction_New(code.as_ptr(), globals);
        let made = Bound::from_owned_ptr_or_err(py, made)?;
        let closure = ffi::PyFunction_GetClosure(function.as_ptr());
        if !closure.is_null() && ffi::PyFunction_SetClosure(made.as_ptr(), closure) < 0 {
            return Err(PyErr::fetch(py));
        }
        made.cast_into_unchecked()
    };
    function::set_code_of_new(&made, &new);
    Ok(Some(made))
}

/// 3.14+ sends stateless functions by their code, and pickles the others, which takes the very function that its module has.
#[cfg(Py_3_14)]
mod stateless {
    use std::borrow::Cow;
    use std::ffi::c_int;

    use pyo3::types::{PyAnyMethods, PyFunction, PyTuple, PyTupleMethods};
    use pyo3::{Bound, PyAny, PyErr, PyResult, ffi};

    use super::stand_in;
    use crate::names;

    unsafe extern "C" {
        /// Whether all that a function needs is its code: 0, or -1 with an exception (`Objects/funcobject.c`). Exported for the
        /// modules that send functions.
        fn _PyFunction_VerifyStateless(
            tstate: *mut ffi::PyThreadState,
            function: *mut ffi::PyObject,
        ) -> c_int;
    }

    /// So many objects are looked at in one argument.
    const LOOKED_AT: usize = 1 << 16;

    /// Tuples nested deeper are left as they are.
    const DEEPEST: usize = 128;

    type Sent<'py> = PyResult<Option<Bound<'py, PyAny>>>;

    pub(super) fn function<'py>(given: &Bound<'py, PyAny>) -> Sent<'py> {
        let Ok(function) = given.cast_exact::<PyFunction>() else {
            return Ok(None);
        };
        // SAFETY: a function; borrowed references or NULL without an exception.
        let has_defaults = unsafe {
            !ffi::PyFunction_GetDefaults(function.as_ptr()).is_null()
                || !ffi::PyFunction_GetKwDefaults(function.as_ptr()).is_null()
        };
        if has_defaults {
            return Ok(None);
        }
        let Some(made) = stand_in(function)? else {
            return Ok(None);
        };
        // SAFETY: the thread is attached, and it is a function. An exception is taken away again.
        let is_stateless = unsafe {
            let outcome = _PyFunction_VerifyStateless(ffi::PyThreadState_Get(), made.as_ptr());
            ffi::PyErr_Clear();
            outcome == 0
        };
        // What has no name to be pickled by is refused, and it is said why its code cannot be sent.
        let is_nameless = || {
            let qualname = function.getattr(names::qualname(function.py()))?;
            Ok::<_, PyErr>(qualname.extract::<Cow<'_, str>>()?.contains('<'))
        };
        if is_stateless || is_nameless()? {
            Ok(Some(made.into_any()))
        } else {
            Ok(None)
        }
    }

    pub(super) fn object<'py>(given: &Bound<'py, PyAny>) -> Sent<'py> {
        nested(given, &mut LOOKED_AT.clone(), DEEPEST)
    }

    fn nested<'py>(given: &Bound<'py, PyAny>, left: &mut usize, deepest: usize) -> Sent<'py> {
        *left = left.saturating_sub(1);
        if *left == 0 || deepest == 0 {
            return Ok(None);
        }
        let Ok(tuple) = given.cast_exact::<PyTuple>() else {
            return function(given);
        };
        let mut items: Vec<_> = tuple.iter().collect();
        let mut changed = false;
        for item in &mut items {
            if let Some(sent) = nested(item, left, deepest - 1)? {
                *item = sent;
                changed = true;
            }
        }
        if !changed {
            return Ok(None);
        }
        Ok(Some(PyTuple::new(given.py(), items)?.into_any()))
    }
}
