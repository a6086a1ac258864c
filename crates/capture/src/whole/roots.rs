//! 3.11: the ways by which code comes to run that no probed code has made.
//!
//! What probed code makes (`MAKE_FUNCTION`, class bodies) is probed with it. That leaves code objects that are handed to the
//! builtins `exec` and `eval`, which importing a module is as well, and to `types.FunctionType`. The C functions behind them are
//! replaced in the tables that CPython reads at each call, so that references which were taken earlier are covered, and
//! nothing about the objects changes.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::exceptions::PyRuntimeError;
use pyo3::types::{
    PyAnyMethods, PyBytes, PyBytesMethods, PyCode, PyDict, PyFunction, PyString, PyStringMethods,
};
use pyo3::{Bound, PyAny, PyErr, PyResult, Python, ffi};

use crate::builtin;
use crate::frame::Frame;
use crate::function;
use crate::gil::GilCell;
use crate::interpreter::is_main;
use crate::modules;

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

/// What CPython has where ours stands.
#[derive(Clone, Copy)]
struct Originals {
    exec: FastWithKeywords,
    eval: Fast,
    new: ffi::newfunc,
}

static ORIGINALS: GilCell<Option<Originals>> = GilCell::new(None);

/// The table entries of `exec` and `eval`.
fn entries(py: Python<'_>) -> PyResult<(*mut ffi::PyMethodDef, *mut ffi::PyMethodDef)> {
    let builtins = modules::builtin(py, "builtins")?;
    Ok((
        builtin::definition(&builtins, "exec", ffi::METH_FASTCALL | ffi::METH_KEYWORDS)?,
        builtin::definition(&builtins, "eval", ffi::METH_FASTCALL)?,
    ))
}

/// Puts our functions in place.
///
/// # Errors
/// The interpreter is not as it should be.
pub(super) fn watch(py: Python<'_>) -> PyResult<()> {
    if ORIGINALS.get(py).is_some() {
        return Ok(());
    }
    let (exec_entry, eval_entry) = entries(py)?;
    let function_type = &raw mut ffi::PyFunction_Type;
    // SAFETY: the tables and the type are writable static data of the interpreter (3.11.7, Python/bltinmodule.c,
    // Objects/funcobject.c) that live as long as it does; the GIL is held. The flags, which were compared, say which member of
    // the union is set, and ours have the same signatures.
    unsafe {
        let Some(new) = (*function_type).tp_new else {
            return Err(PyRuntimeError::new_err("types.FunctionType has no tp_new"));
        };
        ORIGINALS.set(
            py,
            Some(Originals {
                exec: (*exec_entry).ml_meth.PyCFunctionFastWithKeywords,
                eval: (*eval_entry).ml_meth.PyCFunctionFast,
                new,
            }),
        );
        (*exec_entry).ml_meth.PyCFunctionFastWithKeywords = exec;
        (*eval_entry).ml_meth.PyCFunctionFast = eval;
        (*function_type).tp_new = Some(new_function);
    }
    Ok(())
}

/// Puts CPython's functions back.
pub(super) fn unwatch(py: Python<'_>) {
    let (Some(originals), Ok((exec_entry, eval_entry))) = (ORIGINALS.take(py), entries(py)) else {
        return;
    };
    // SAFETY: as in `watch`.
    unsafe {
        (*exec_entry).ml_meth.PyCFunctionFastWithKeywords = originals.exec;
        (*eval_entry).ml_meth.PyCFunctionFast = originals.eval;
        ffi::PyFunction_Type.tp_new = Some(originals.new);
    }
}

/// The originals, or the exception that says that there are none: a call that began before [`unwatch`] cannot end here.
fn originals(py: Python<'_>) -> Option<Originals> {
    let originals = ORIGINALS.get(py);
    if originals.is_none() {
        PyRuntimeError::new_err("debugop stopped in the middle of a call").restore(py);
    }
    originals
}

/// # Safety
/// Called by CPython as the builtin `exec`.
unsafe extern "C" fn exec(
    module: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached, by CPython's calling convention, and so are `args` and `count`.
    let (py, (all, replaced)) = unsafe {
        let py = Python::assume_attached();
        (py, with_probed_code(py, args, count, keywords, "exec"))
    };
    let Some(originals) = originals(py) else {
        return std::ptr::null_mut();
    };
    // SAFETY: the original with its own arguments but for the first, which `replaced` keeps alive.
    let result = unsafe {
        let args = if replaced.is_some() {
            all.as_ptr()
        } else {
            args
        };
        (originals.exec)(module, args, count, keywords)
    };
    drop(replaced);
    super::sweep(py);
    result
}

/// # Safety
/// Called by CPython as the builtin `eval`.
unsafe extern "C" fn eval(
    module: *mut ffi::PyObject,
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: as for `exec`.
    let (py, (mut all, replaced)) = unsafe {
        let py = Python::assume_attached();
        (
            py,
            with_probed_code(py, args, count, std::ptr::null_mut(), "eval"),
        )
    };
    let Some(originals) = originals(py) else {
        return std::ptr::null_mut();
    };
    // SAFETY: as for `exec`.
    let result = unsafe {
        let args = if replaced.is_some() {
            all.as_mut_ptr()
        } else {
            args
        };
        (originals.eval)(module, args, count)
    };
    drop(replaced);
    super::sweep(py);
    result
}

/// # Safety
/// Called by CPython as `tp_new` of `types.FunctionType`.
unsafe extern "C" fn new_function(
    function_type: *mut ffi::PyTypeObject,
    args: *mut ffi::PyObject,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached, by CPython's calling convention.
    let py = unsafe { Python::assume_attached() };
    let Some(originals) = originals(py) else {
        return std::ptr::null_mut();
    };
    // SAFETY: the original with its own arguments; a new reference or NULL.
    let made = unsafe {
        let made = (originals.new)(function_type, args, keywords);
        Bound::from_owned_ptr_or_opt(py, made)
    };
    let Some(made) = made else {
        return std::ptr::null_mut();
    };
    if let Ok(function) = made.cast_exact::<PyFunction>()
        && is_main(py)
    {
        let outcome = catch_unwind(AssertUnwindSafe(|| super::adopt_new(function)));
        if let Ok(Err(error)) = outcome {
            error.write_unraisable(py, Some(function.as_any()));
        }
    }
    made.into_ptr()
}

/// Arguments in the first of which code, or text that compiles, is replaced by probed code, and that code; `None` if nothing is
/// replaced.
///
/// # Safety
/// `args` are `count` objects, followed by the values of `keywords` if that is not NULL.
unsafe fn with_probed_code<'py>(
    py: Python<'py>,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
    mode: &str,
) -> (Vec<*mut ffi::PyObject>, Option<Bound<'py, PyCode>>) {
    // SAFETY: by the contract above.
    let all = unsafe {
        let named = if keywords.is_null() {
            0
        } else {
            ffi::PyTuple_GET_SIZE(keywords)
        };
        let length = ffi::PyVectorcall_NARGS(count.cast_unsigned()) + named;
        std::slice::from_raw_parts(args, length.cast_unsigned())
    };
    let mut all = all.to_vec();
    if all.is_empty() || !is_main(py) {
        return (all, None);
    }
    // SAFETY: an argument is alive during the call.
    let first = unsafe { Bound::from_borrowed_ptr(py, all[0]) };
    let globals = all.get(1).map(|globals| {
        // SAFETY: as above.
        unsafe { Bound::from_borrowed_ptr(py, *globals) }
    });
    let replaced = catch_unwind(AssertUnwindSafe(|| {
        replacement(py, &first, globals.as_ref(), mode).unwrap_or_else(|error| {
            error.write_unraisable(py, None);
            None
        })
    }))
    .unwrap_or_default();
    if let Some(code) = &replaced {
        all[0] = code.as_ptr();
    }
    (all, replaced)
}

/// The probed code to be run in place of `source`.
fn replacement<'py>(
    py: Python<'py>,
    source: &Bound<'py, PyAny>,
    globals: Option<&Bound<'py, PyAny>>,
    mode: &str,
) -> PyResult<Option<Bound<'py, PyCode>>> {
    let module = || {
        let given = globals.filter(|globals| globals.is_exact_instance_of::<PyDict>());
        match given {
            Some(globals) => function::module_name(globals),
            None => Frame::current(py)
                .map(|frame| function::module_name(&frame.globals(py)))
                .unwrap_or_default(),
        }
    };
    if let Ok(code) = source.cast_exact::<PyCode>() {
        return super::replacement(code, module);
    }
    let Some(code) = compile(py, source, mode) else {
        return Ok(None);
    };
    super::replacement(&code, module)
}

/// What `exec` or `eval` would compile a text to, in the scope of the running frame; `None` if it would not, so that the original
/// says why.
fn compile<'py>(
    py: Python<'py>,
    source: &Bound<'py, PyAny>,
    mode: &str,
) -> Option<Bound<'py, PyCode>> {
    let text = if let Ok(text) = source.cast::<PyString>() {
        text.to_cow().ok()?.into_owned().into_bytes()
    } else {
        source.cast::<PyBytes>().ok()?.as_bytes().to_vec()
    };
    let is_text = source.is_instance_of::<PyString>();
    let text = match mode {
        // As `builtin_eval_impl` does.
        "eval" => text
            .iter()
            .position(|byte| !matches!(byte, b' ' | b'\t'))
            .map_or(&[][..], |start| &text[start..]),
        _ => &text,
    };
    let text = std::ffi::CString::new(text).ok()?;
    let start = if mode == "eval" {
        ffi::Py_eval_input
    } else {
        ffi::Py_file_input
    };
    // SAFETY: the flags are a local that the functions fill in and read; the text ends in NUL. The result is a new reference or
    // NULL with an exception, which is dropped.
    unsafe {
        let mut flags = ffi::PyCompilerFlags {
            cf_flags: SOURCE_IS_UTF8,
            cf_feature_version: FEATURE_VERSION,
        };
        if is_text {
            flags.cf_flags |= IGNORE_COOKIE;
        }
        PyEval_MergeCompilerFlags(&raw mut flags);
        let code = Py_CompileStringExFlags(
            text.as_ptr(),
            c"<string>".as_ptr(),
            start,
            &raw mut flags,
            -1,
        );
        match Bound::from_owned_ptr_or_err(py, code) {
            Ok(code) => code.cast_into_exact::<PyCode>().ok(),
            Err(error) => {
                drop::<PyErr>(error);
                None
            }
        }
    }
}

/// `PyCF_SOURCE_IS_UTF8`, `PyCF_IGNORE_COOKIE` (`Include/cpython/compile.h`).
const SOURCE_IS_UTF8: c_int = 0x0100;
const IGNORE_COOKIE: c_int = 0x0800;
/// `PY_MINOR_VERSION`.
const FEATURE_VERSION: c_int = 11;

unsafe extern "C" {
    fn PyEval_MergeCompilerFlags(flags: *mut ffi::PyCompilerFlags) -> c_int;
    fn Py_CompileStringExFlags(
        text: *const std::ffi::c_char,
        filename: *const std::ffi::c_char,
        start: c_int,
        flags: *mut ffi::PyCompilerFlags,
        optimize: c_int,
    ) -> *mut ffi::PyObject;
}
