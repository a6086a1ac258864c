//! New programs that the process is about to execute, and its end by `os._exit`.
//!
//! Whoever starts another program from Python comes through a few builtin functions (`subprocess` and `multiprocessing` through
//! `_posixsubprocess.fork_exec`, `os.exec*` through `posix.execv` and `execve`). The C functions behind them are replaced in their
//! definitions, which references to them that somebody has kept share; their arguments stay what the program has passed but for the
//! command line. Not seen: `os.system`, and what programs in other languages start.

use std::ffi::{OsString, c_int};
use std::os::unix::ffi::OsStringExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use pyo3::exceptions::PySystemError;
use pyo3::types::{PyAnyMethods, PyBytes, PyBytesMethods, PyList, PyTuple, PyTupleMethods};
use pyo3::{Bound, PyAny, PyResult, Python, ffi};

use crate::interpreter::is_main;
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

#[derive(Clone, Copy)]
enum Function {
    Arguments(ffi::PyCFunction),
    Fast(ffi::PyCFunctionFast),
    FastWithKeywords(ffi::PyCFunctionFastWithKeywords),
}

/// A builtin function that executes programs.
struct Builtin {
    module: &'static str,
    name: &'static str,
    /// Which arguments are the executable (or a list of candidates) and the command line; `None` for `_exit`.
    places: Option<(usize, usize)>,
    /// Whether the executable is looked for in PATH.
    by_name: bool,
    /// Whether this process executes it.
    replaces: bool,
}

const fn builtin(
    module: &'static str,
    name: &'static str,
    places: Option<(usize, usize)>,
) -> Builtin {
    Builtin {
        module,
        name,
        places,
        by_name: false,
        replaces: false,
    }
}

const BUILTINS: [Builtin; 6] = [
    builtin("_posixsubprocess", "fork_exec", Some((1, 0))),
    builtin("posix", "posix_spawn", Some((0, 1))),
    Builtin {
        by_name: true,
        ..builtin("posix", "posix_spawnp", Some((0, 1)))
    },
    Builtin {
        replaces: true,
        ..builtin("posix", "execv", Some((0, 1)))
    },
    Builtin {
        replaces: true,
        ..builtin("posix", "execve", Some((0, 1)))
    },
    builtin("posix", "_exit", None),
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
    let Some(function) = modules::builtin(py, builtin.module)?.getattr_opt(builtin.name)? else {
        // posix_spawn is not there on every system.
        return Ok(());
    };
    // SAFETY: an exact builtin function has the layout of PyCFunctionObject; its definition is static and writable data of the
    // module's. The flags say which member of the union is valid; the definition's function is read at each call
    // (`Objects/methodobject.c`, 3.11-3.15).
    unsafe {
        if ffi::PyCFunction_CheckExact(function.as_ptr()) == 0 {
            return Ok(());
        }
        let definition = (*function.as_ptr().cast::<ffi::PyCFunctionObject>()).m_ml;
        let method = (*definition).ml_meth;
        const KEYWORDS: c_int = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;
        let (original, ours) = match (*definition).ml_flags {
            ffi::METH_VARARGS => (
                Function::Arguments(method.PyCFunction),
                ffi::PyMethodDefPointer {
                    PyCFunction: arguments::<WHICH>,
                },
            ),
            ffi::METH_FASTCALL => (
                Function::Fast(method.PyCFunctionFast),
                ffi::PyMethodDefPointer {
                    PyCFunctionFast: fast::<WHICH>,
                },
            ),
            KEYWORDS => (
                Function::FastWithKeywords(method.PyCFunctionFastWithKeywords),
                ffi::PyMethodDefPointer {
                    PyCFunctionFastWithKeywords: fast_with_keywords::<WHICH>,
                },
            ),
            _ => return Err(lost()),
        };
        ORIGINALS[WHICH].get_or_init(|| original);
        (*definition).ml_meth = ours;
    }
    Ok(())
}

fn lost() -> pyo3::PyErr {
    PySystemError::new_err("debugop does not know this interpreter's functions that start programs")
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
    if !is_main(py) {
        return Ok(None);
    }
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

/// The arguments with the command line replaced, and what keeps it alive. With `Err` an exception is set.
fn prepared<'py>(
    py: Python<'py>,
    which: usize,
    given: &[*mut ffi::PyObject],
) -> Result<(Vec<*mut ffi::PyObject>, Option<Bound<'py, PyAny>>), ()> {
    let argument = |index: usize| {
        let argument = *given.get(index)?;
        // SAFETY: an argument is alive during the call.
        Some(unsafe { Bound::from_borrowed_ptr(py, argument) })
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| replaced(py, which, argument)));
    let mut all = given.to_vec();
    match outcome.unwrap_or_else(|_| Err(lost())) {
        Ok(None) => Ok((all, None)),
        Ok(Some((index, made))) => {
            all[index] = made.as_ptr();
            Ok((all, Some(made)))
        }
        Err(error) => {
            error.restore(py);
            Err(())
        }
    }
}

/// # Safety
/// Called by CPython as a `METH_VARARGS` function.
unsafe extern "C" fn arguments<const WHICH: usize>(
    module: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached and `args` is a tuple, by CPython's calling convention.
    let (py, args) = unsafe {
        let py = Python::assume_attached();
        (
            py,
            Bound::from_borrowed_ptr(py, args).cast_into_unchecked::<PyTuple>(),
        )
    };
    let given: Vec<_> = args.iter_borrowed().map(pyo3::Borrowed::as_ptr).collect();
    let Ok((all, kept)) = prepared(py, WHICH, &given) else {
        return std::ptr::null_mut();
    };
    let Some(Function::Arguments(original)) = ORIGINALS[WHICH].get() else {
        lost().restore(py);
        return std::ptr::null_mut();
    };
    let args = if kept.is_some() {
        // SAFETY: the arguments are alive: `args` and `kept` hold them.
        let all = all
            .into_iter()
            .map(|one| unsafe { Bound::from_borrowed_ptr(py, one) });
        match PyTuple::new(py, all.collect::<Vec<_>>()) {
            Ok(args) => args,
            Err(error) => {
                error.restore(py);
                return std::ptr::null_mut();
            }
        }
    } else {
        args
    };
    // SAFETY: CPython's own function with arguments of the kinds that it expects.
    unsafe { original(module, args.as_ptr()) }
}

/// # Safety
/// Called by CPython as a `METH_FASTCALL` function.
unsafe extern "C" fn fast<const WHICH: usize>(
    module: *mut ffi::PyObject,
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached and there are `count` arguments, by CPython's calling convention.
    let (py, given) = unsafe { (Python::assume_attached(), slice(args, count)) };
    let Ok((mut all, _kept)) = prepared(py, WHICH, given) else {
        return std::ptr::null_mut();
    };
    match ORIGINALS[WHICH].get() {
        // SAFETY: CPython's own function with arguments of the kinds that it expects, which `_kept` and the caller keep alive.
        Some(Function::Fast(original)) => unsafe {
            original(module, all.as_mut_ptr(), all.len().cast_signed())
        },
        _ => {
            lost().restore(py);
            std::ptr::null_mut()
        }
    }
}

/// # Safety
/// Called by CPython as a `METH_FASTCALL | METH_KEYWORDS` function.
unsafe extern "C" fn fast_with_keywords<const WHICH: usize>(
    module: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached and there are `count` arguments followed by the keywords' values, by CPython's calling
    // convention.
    let (py, positional, given) = unsafe {
        let py = Python::assume_attached();
        let positional = ffi::PyVectorcall_NARGS(count.cast_unsigned());
        let named = if keywords.is_null() {
            0
        } else {
            ffi::PyTuple_GET_SIZE(keywords)
        };
        (py, positional, slice(args.cast_mut(), positional + named))
    };
    // What is passed by name stays.
    let Ok((mut all, _kept)) = prepared(py, WHICH, &given[..positional.cast_unsigned()]) else {
        return std::ptr::null_mut();
    };
    all.extend_from_slice(&given[positional.cast_unsigned()..]);
    match ORIGINALS[WHICH].get() {
        // SAFETY: as in `fast`.
        Some(Function::FastWithKeywords(original)) => unsafe {
            original(module, all.as_ptr(), positional, keywords)
        },
        _ => {
            lost().restore(py);
            std::ptr::null_mut()
        }
    }
}

/// # Safety
/// `args` are `count` pointers that live as long as the call; it may be NULL if there are none.
unsafe fn slice<'a>(
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> &'a [*mut ffi::PyObject] {
    if count == 0 {
        return &[];
    }
    // SAFETY: by the contract above.
    unsafe { std::slice::from_raw_parts(args, count.cast_unsigned()) }
}
