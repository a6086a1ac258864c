//! New programs that the process is about to execute, and its end by `os._exit`.
//!
//! Whoever starts another program from Python comes through a few builtin functions (`subprocess` and `multiprocessing` through
//! `_posixsubprocess.fork_exec`, `os.exec*` through `posix.execv` and `execve`). The C functions behind them are replaced in their
//! definitions, which references to them that somebody has kept share; their arguments stay what the program has passed but for the
//! command line. Not seen: `os.system`, and what programs in other languages start.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::OnceLock;

use pyo3::types::{PyAnyMethods, PyBytes, PyBytesMethods, PyList, PyTuple, PyTupleMethods};
use pyo3::{Bound, PyAny, PyResult, Python, ffi};

use crate::builtin::{self, Arguments, Function, Watched};
use crate::modules;

/// Who is asked.
pub trait Spawn: Send + Sync {
    /// Whether `executables`, of which the first that exists is executed, is an interpreter whose programs are to be traced.
    fn is_ours(&self, executables: &[OsString], by_name: bool) -> bool;

    /// The command line to be executed in place of `command`. `replaces`: this very process will run it.
    fn command(&self, command: &[OsString], replaces: bool) -> Option<Vec<OsString>>;

    /// The process ends now, by `os._exit`.
    fn ends(&self, py: Python<'_>);
}

/// A builtin function that executes programs.
struct Spawning {
    module: &'static str,
    name: &'static str,
    /// Which arguments are the executable (or a list of candidates) and the command line; `None` for `_exit`.
    places: Option<(usize, usize)>,
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
        by_name: false,
        replaces: false,
    }
}

const BUILTINS: [Spawning; 6] = [
    spawning("_posixsubprocess", "fork_exec", Some((1, 0))),
    spawning("posix", "posix_spawn", Some((0, 1))),
    Spawning {
        by_name: true,
        ..spawning("posix", "posix_spawnp", Some((0, 1)))
    },
    Spawning {
        replaces: true,
        ..spawning("posix", "execv", Some((0, 1)))
    },
    Spawning {
        replaces: true,
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
        asked.ends(py);
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
