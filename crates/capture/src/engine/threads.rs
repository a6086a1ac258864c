//! New threads: whoever starts one, it has the trace function of the engine `settrace` before it executes anything, and what tells of trace functions
//! of its own ([`whole::expect_trace_functions`]).
//!
//! Threads are started by builtin functions of the module `_thread`. They make the new thread's state and do not let go of the
//! GIL before they return (`Modules/_threadmodule.c`), so that the trace function can be set then. The functions are replaced
//! in their definitions, which references to them that somebody has kept share.

use pyo3::types::PyAnyMethods;
use pyo3::{PyResult, Python, ffi};

use super::settrace;
use crate::gil::GilCell;
use crate::interpreter::is_main;
use crate::modules;
use crate::whole;

/// A function that starts threads, and what it was defined as.
#[derive(Clone, Copy)]
enum Starter {
    Plain(*mut ffi::PyMethodDef, ffi::PyCFunction),
    WithKeywords(*mut ffi::PyMethodDef, ffi::PyCFunctionWithKeywords),
}

const NAMES: [&str; 3] = ["start_new_thread", "start_new", "start_joinable_thread"];

static STARTERS: GilCell<[Option<Starter>; 3]> = GilCell::new([None; 3]);

/// Who wants to know of new threads.
#[derive(Clone, Copy)]
struct Wanted {
    /// The engine.
    engine: bool,
    /// Who stands before the program's trace functions; for ever.
    told: bool,
}

static WANTED: GilCell<Wanted> = GilCell::new(Wanted {
    engine: false,
    told: false,
});

/// The engine begins to watch.
pub(super) fn watch(py: Python<'_>) -> PyResult<()> {
    let before = WANTED.get(py);
    if !before.told {
        place(py)?;
    }
    WANTED.set(
        py,
        Wanted {
            engine: true,
            ..before
        },
    );
    Ok(())
}

/// The program's trace functions are expected in new threads too.
///
/// # Errors
/// There is no module `_thread`.
pub(crate) fn expect(py: Python<'_>) -> PyResult<()> {
    let before = WANTED.get(py);
    if !before.engine && !before.told {
        place(py)?;
    }
    WANTED.set(
        py,
        Wanted {
            told: true,
            ..before
        },
    );
    Ok(())
}

fn place(py: Python<'_>) -> PyResult<()> {
    let module = modules::builtin(py, "_thread")?;
    let replacements: [(ffi::PyCFunction, ffi::PyCFunctionWithKeywords); 3] = [
        (plain::<0>, with_keywords::<0>),
        (plain::<1>, with_keywords::<1>),
        (plain::<2>, with_keywords::<2>),
    ];
    let mut starters = [None; 3];
    for (index, name) in NAMES.into_iter().enumerate() {
        // `start_joinable_thread` came with 3.13.
        let Some(function) = module.getattr_opt(name)? else {
            continue;
        };
        // SAFETY: an exact builtin function has the layout of PyCFunctionObject; its definition is static and writable data of the
        // module's (`thread_methods`). Its flags say which member of the union is valid, and which calling convention is used:
        // for these two the definition's function is read at each call (`cfunction_call` in `Objects/methodobject.c`).
        unsafe {
            if ffi::PyCFunction_CheckExact(function.as_ptr()) == 0 {
                continue;
            }
            let definition = (*function.as_ptr().cast::<ffi::PyCFunctionObject>()).m_ml;
            let (plain, with_keywords) = replacements[index];
            if (*definition).ml_flags == ffi::METH_VARARGS {
                starters[index] = Some(Starter::Plain(
                    definition,
                    (*definition).ml_meth.PyCFunction,
                ));
                (*definition).ml_meth = ffi::PyMethodDefPointer { PyCFunction: plain };
            } else if (*definition).ml_flags == ffi::METH_VARARGS | ffi::METH_KEYWORDS {
                starters[index] = Some(Starter::WithKeywords(
                    definition,
                    (*definition).ml_meth.PyCFunctionWithKeywords,
                ));
                (*definition).ml_meth = ffi::PyMethodDefPointer {
                    PyCFunctionWithKeywords: with_keywords,
                };
            }
        }
    }
    STARTERS.set(py, starters);
    Ok(())
}

/// The engine watches no more: puts the functions back, if nobody else does.
pub(super) fn forget(py: Python<'_>) {
    let told = WANTED.get(py).told;
    WANTED.set(
        py,
        Wanted {
            engine: false,
            told,
        },
    );
    if told {
        return;
    }
    for starter in STARTERS.replace(py, [None; 3]).into_iter().flatten() {
        // SAFETY: as in `watch`, which took both from there.
        unsafe {
            match starter {
                Starter::Plain(definition, function) => {
                    (*definition).ml_meth = ffi::PyMethodDefPointer {
                        PyCFunction: function,
                    };
                }
                Starter::WithKeywords(definition, function) => {
                    (*definition).ml_meth = ffi::PyMethodDefPointer {
                        PyCFunctionWithKeywords: function,
                    };
                }
            }
        }
    }
}

/// What the function called; the new thread, if there is one, gets the trace function.
fn started(py: Python<'_>, result: *mut ffi::PyObject) -> *mut ffi::PyObject {
    if result.is_null() || !is_main(py) {
        return result;
    }
    let wanted = WANTED.get(py);
    if wanted.told {
        whole::expect_trace_functions(py);
    }
    if wanted.engine
        && let Err(error) = settrace::install(py)
    {
        error.restore(py);
        // SAFETY: the result is a new reference, which nobody gets.
        unsafe { ffi::Py_DECREF(result) };
        return std::ptr::null_mut();
    }
    result
}

unsafe extern "C" fn plain<const WHICH: usize>(
    module: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls builtin functions with the thread attached.
    let py = unsafe { Python::assume_attached() };
    match STARTERS.get(py)[WHICH] {
        // SAFETY: the arguments are passed on as they came, to the function that they were meant for.
        Some(Starter::Plain(_, function)) => started(py, unsafe { function(module, args) }),
        _ => gone(py),
    }
}

unsafe extern "C" fn with_keywords<const WHICH: usize>(
    module: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls builtin functions with the thread attached.
    let py = unsafe { Python::assume_attached() };
    match STARTERS.get(py)[WHICH] {
        Some(Starter::WithKeywords(_, function)) => {
            // SAFETY: the arguments are passed on as they came, to the function that they were meant for.
            started(py, unsafe { function(module, args, keywords) })
        }
        _ => gone(py),
    }
}

/// Cannot be reached: a replacement stands in a definition only while what it replaces is known.
fn gone(py: Python<'_>) -> *mut ffi::PyObject {
    pyo3::exceptions::PySystemError::new_err("debugop lost a function that starts threads")
        .restore(py);
    std::ptr::null_mut()
}
