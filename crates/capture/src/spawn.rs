//! New programs that the process is about to execute, and its end by `os._exit`.
//!
//! Whoever starts another program from Python comes through a few builtin functions (`subprocess` and `multiprocessing` through
//! `_posixsubprocess.fork_exec`, `os.exec*` through `posix.execv` and `execve`). The C functions behind them are replaced in their
//! definitions, which references to them that somebody has kept share; their arguments stay what the program has passed but for the
//! command line. What `os.system` and programs in other languages start cannot be changed in this way; those processes get a variable in their
//! environment, if one is wanted.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::OnceLock;

use pyo3::types::{
    PyAnyMethods, PyBytes, PyBytesMethods, PyDict, PyDictMethods, PyInt, PyList, PyListMethods,
    PyString, PyTuple, PyTupleMethods,
};
use pyo3::{Bound, PyAny, PyResult, Python, ffi};

use crate::builtin::{self, Arguments, Function, Watched};
use crate::modules;

/// Who is asked.
pub trait Spawn: Send + Sync {
    /// Whether `executables`, of which the first that exists is executed, is an interpreter whose programs are to be traced.
    fn is_ours(&self, executables: &[OsString], by_name: bool) -> bool;

    /// The command line to be executed in place of `command`. `replaces`: this very process will run it.
    fn command(&self, command: &[OsString], replaces: bool) -> Option<Vec<OsString>>;

    /// `NAME=value` for the environment of programs that are no such interpreters. The process has it in its own environment, so it matters where
    /// another environment is given.
    fn variable(&self) -> Option<OsString>;

    /// The process ends now, by `os._exit`, with this status, if that is a number.
    fn ends(&self, py: Python<'_>, status: Option<i32>);
}

/// A builtin function that executes programs.
struct Spawning {
    module: &'static str,
    name: &'static str,
    /// Which arguments are the executable (or a list of candidates) and the command line; `None` for `_exit`.
    places: Option<(usize, usize)>,
    /// Which argument is the environment, if there is one: a mapping, or, for `fork_exec`, a list of `NAME=value`.
    environment: Option<usize>,
    /// Whether the executable is looked for in PATH.
    by_name: bool,
    /// Whether this process executes it.
    replaces: bool,
}

const fn spawning(
    module: &'static str,
    name: &'static str,
    places: Option<(usize, usize)>,
) -> Spawning {
    Spawning {
        module,
        name,
        places,
        environment: None,
        by_name: false,
        replaces: false,
    }
}

const BUILTINS: [Spawning; 6] = [
    Spawning {
        environment: Some(5),
        ..spawning("_posixsubprocess", "fork_exec", Some((1, 0)))
    },
    Spawning {
        environment: Some(2),
        ..spawning("posix", "posix_spawn", Some((0, 1)))
    },
    Spawning {
        by_name: true,
        environment: Some(2),
        ..spawning("posix", "posix_spawnp", Some((0, 1)))
    },
    Spawning {
        replaces: true,
        ..spawning("posix", "execv", Some((0, 1)))
    },
    Spawning {
        replaces: true,
        environment: Some(2),
        ..spawning("posix", "execve", Some((0, 1)))
    },
    spawning("posix", "_exit", None),
];

static ORIGINALS: [OnceLock<Function>; 6] = [const { OnceLock::new() }; 6];
static ASKED: OnceLock<Box<dyn Spawn>> = OnceLock::new();

/// Asks `spawn` about every program that is executed from now on, until the process ends.
///
/// # Errors
/// `RuntimeError` if somebody is asked already; what CPython raises if it has not the modules.
pub fn watch(py: Python<'_>, spawn: Box<dyn Spawn>) -> PyResult<()> {
    if ASKED.set(spawn).is_err() {
        return Err(pyo3::exceptions::PyRuntimeError::new_err(
            "child processes are followed already",
        ));
    }
    place::<0>(py)?;
    place::<1>(py)?;
    place::<2>(py)?;
    place::<3>(py)?;
    place::<4>(py)?;
    place::<5>(py)
}

fn place<const WHICH: usize>(py: Python<'_>) -> PyResult<()> {
    let builtin = &BUILTINS[WHICH];
    match modules::builtin(py, builtin.module)?.getattr_opt(builtin.name)? {
        Some(function) => builtin::place::<Spawns<WHICH>>(&function),
        // posix_spawn is not there on every system.
        None => Ok(()),
    }
}

/// `BUILTINS[WHICH]`, watched.
struct Spawns<const WHICH: usize>;

impl<const WHICH: usize> Watched for Spawns<WHICH> {
    fn original() -> &'static OnceLock<Function> {
        &ORIGINALS[WHICH]
    }

    fn look<'py>(py: Python<'py>, arguments: &mut Arguments<'py>) -> PyResult<()> {
        let replaced = replaced(py, WHICH, |place| arguments.positional(place).cloned())?;
        if let Some((place, command)) = replaced {
            arguments.set(place, command);
        }
        let (Some(place), Some(asked)) = (BUILTINS[WHICH].environment, ASKED.get()) else {
            return Ok(());
        };
        let given = arguments
            .get(place, "env")
            .map(|(at, given)| (at, given.clone()));
        if let (Some(variable), Some((at, given))) = (asked.variable(), given)
            && let Some(environment) = with_variable(&given, &variable)?
        {
            arguments.set(at, environment);
        }
        Ok(())
    }
}

/// The command line to put in the place of an argument, and which argument; `None` if everything stays.
fn replaced<'py>(
    py: Python<'py>,
    which: usize,
    argument: impl Fn(usize) -> Option<Bound<'py, PyAny>>,
) -> PyResult<Option<(usize, Bound<'py, PyAny>)>> {
    let (builtin, Some(asked)) = (&BUILTINS[which], ASKED.get()) else {
        return Ok(None);
    };
    let Some((executable, command)) = builtin.places else {
        // Only what is an int already: nothing of the program's runs here.
        let status = argument(0).and_then(|given| given.cast_into_exact::<PyInt>().ok());
        asked.ends(py, status.and_then(|status| status.extract().ok()));
        return Ok(None);
    };
    let (Some(executables), Some(given)) = (argument(executable), argument(command)) else {
        return Ok(None);
    };
    let candidates = match items(&executables)? {
        Some(candidates) => words(candidates.into_iter()),
        None => words(std::iter::once(executables)),
    };
    if !candidates.is_some_and(|candidates| asked.is_ours(&candidates, builtin.by_name)) {
        return Ok(None);
    }
    let Some(items) = items(&given)? else {
        return Ok(None);
    };
    // The items are converted once, here instead of there.
    let items = items
        .iter()
        .map(|item| {
            // SAFETY: the thread is attached; a new reference or NULL with an exception.
            unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyOS_FSPath(item.as_ptr())) }
        })
        .collect::<PyResult<Vec<_>>>()?;
    let traced =
        words(items.iter().cloned()).and_then(|command| asked.command(&command, builtin.replaces));
    let made = match traced {
        Some(traced) => {
            let traced = traced
                .into_iter()
                .map(|word| PyBytes::new(py, &word.into_vec()));
            PyList::new(py, traced.collect::<Vec<_>>())?
        }
        None => PyList::new(py, items)?,
    };
    Ok(Some((command, made.into_any())))
}

/// Gives the process itself the variable anew, which says something else in the child of a fork.
pub fn announce_in_forked_child(name: &OsStr, value: &OsStr) {
    // SAFETY: in the child of a fork, before it goes on, there is only this thread (POSIX; CPython calls what is registered with `os.register_at_fork` there),
    // so nobody else reads or changes the environment meanwhile.
    unsafe { std::env::set_var(name, value) }
}

/// `environment` with `variable` in it; `None` if it is nothing that has variables.
fn with_variable<'py>(
    environment: &Bound<'py, PyAny>,
    variable: &OsStr,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = environment.py();
    if environment.is_none() {
        return Ok(None);
    }
    if let Ok(list) = environment.cast_exact::<PyList>() {
        let list = list.get_slice(0, list.len());
        list.append(PyBytes::new(py, variable.as_bytes()))?;
        return Ok(Some(list.into_any()));
    }
    // The keys and the values are asked for once, here instead of there (`parse_envlist`, `Modules/posixmodule.c`).
    // SAFETY: the thread is attached; new references, or NULL with an exception.
    let (keys, values) = unsafe {
        if ffi::PyMapping_Check(environment.as_ptr()) == 0 {
            return Ok(None);
        }
        let keys = Bound::from_owned_ptr_or_err(py, ffi::PyMapping_Keys(environment.as_ptr()))?;
        let values = ffi::PyMapping_Values(environment.as_ptr());
        (keys, Bound::from_owned_ptr_or_err(py, values)?)
    };
    let dict = PyDict::new(py);
    for (key, value) in keys.try_iter()?.zip(values.try_iter()?) {
        let key = key?;
        if !key.is_exact_instance_of::<PyString>() && !key.is_exact_instance_of::<PyBytes>() {
            return Ok(None);
        }
        dict.set_item(key, value?)?;
    }
    let variable = variable.as_bytes();
    let at = variable.iter().position(|byte| *byte == b'=').unwrap_or(0);
    let (name, value) = (&variable[..at], variable.get(at + 1..).unwrap_or_default());
    dict.set_item(PyBytes::new(py, name), PyBytes::new(py, value))?;
    Ok(Some(dict.into_any()))
}

/// The items of a list or tuple; `None` for anything else.
fn items<'py>(sequence: &Bound<'py, PyAny>) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
    if let Ok(list) = sequence.cast_exact::<PyList>() {
        return list.try_iter()?.collect::<PyResult<_>>().map(Some);
    }
    let tuple = sequence.cast_exact::<PyTuple>().ok();
    Ok(tuple.map(|tuple| tuple.iter().collect()))
}

/// Exact strings and bytes as the operating system has them; `None` for anything else.
fn words<'py>(items: impl Iterator<Item = Bound<'py, PyAny>>) -> Option<Vec<OsString>> {
    items
        .map(|item| {
            if let Ok(bytes) = item.cast_exact::<PyBytes>() {
                return Some(OsString::from_vec(bytes.as_bytes().to_vec()));
            }
            item.extract().ok()
        })
        .collect()
}
