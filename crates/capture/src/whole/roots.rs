//! 3.11: the ways by which code comes to run that no probed code has made.
//!
//! What probed code makes (`MAKE_FUNCTION`, class bodies) is probed with it. That leaves code objects that are handed to the
//! builtins `exec` and `eval`, which importing a module is as well, and to `types.FunctionType`. The C functions behind them are
//! replaced in the tables that CPython reads at each call, so that references which were taken earlier are covered, and
//! nothing about the objects changes. And frames that run already run the original of their code: what they make is given its copy
//! by the engine that reports them, when they come to `MAKE_FUNCTION`.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

use debugop_bytecode::{InstrIdx, Op};
use pyo3::exceptions::PyRuntimeError;
use pyo3::types::{
    PyAnyMethods, PyBytes, PyBytesMethods, PyCode, PyDict, PyFunction, PyString, PyStringMethods,
};
use pyo3::{Bound, PyAny, PyErr, PyResult, Python, ffi};

use crate::builtin;
use crate::frame::{Frame, SlotValue};
use crate::function;
use crate::gil::GilCell;
use crate::interpreter::is_main;
use crate::layout::VERSION;
use crate::modules;
use crate::probed::ProbedCode;

/// What CPython has where ours stands.
#[derive(Clone, Copy)]
struct Originals {
    exec: ffi::PyCFunctionFastWithKeywords,
    eval: ffi::PyCFunctionFast,
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
    let (py, probed) = unsafe {
        let py = Python::assume_attached();
        (py, with_probed_code(py, args, count, keywords, "exec"))
    };
    let (Some((all, replaced)), Some(originals)) = (probed, originals(py)) else {
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
    let (py, probed) = unsafe {
        let py = Python::assume_attached();
        (
            py,
            with_probed_code(py, args, count, std::ptr::null_mut(), "eval"),
        )
    };
    let (Some((mut all, replaced)), Some(originals)) = (probed, originals(py)) else {
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

/// `frame`, whose code another engine observes as `entry`, is about to execute the instruction at `at`. If that makes a function, it is of the
/// copy that whoever watches it wherever it runs is to have.
pub(crate) fn makes(py: Python<'_>, entry: &ProbedCode, frame: Frame<'_>, at: InstrIdx) {
    let analysis = entry.analysis();
    let info = analysis.get(at).opcode.info(VERSION);
    if info.is_none_or(|info| info.op != Op::MakeFunction) {
        return;
    }
    let top = analysis.depth(at).and_then(|depth| depth.checked_sub(1));
    let (Some(top), Some(shape)) = (top, entry.shape()) else {
        return;
    };
    let SlotValue::Object(code) = frame.read(py, shape, top) else {
        return;
    };
    let Ok(code) = code.cast_into_exact::<PyCode>() else {
        return;
    };
    match super::replacement(&code, || function::module_name(&frame.globals(py))) {
        // `MAKE_FUNCTION` takes a code object (`Python/ceval.c`), and the constant keeps the original alive.
        Ok(Some(copy)) => frame.write(shape, top, copy.into_any()),
        Ok(None) => {}
        Err(error) => error.write_unraisable(py, Some(&code)),
    }
}

/// Arguments in the first of which code is replaced by probed code, and text by what it compiles to, and that code (`None` if nothing is
/// replaced). `None` with an exception: the text does not compile.
///
/// # Safety
/// `args` are `count` objects, followed by the values of `keywords` if that is not NULL.
unsafe fn with_probed_code<'py>(
    py: Python<'py>,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
    mode: &str,
) -> Option<(Vec<*mut ffi::PyObject>, Option<Bound<'py, PyCode>>)> {
    // SAFETY: by the contract above.
    let (all, named) = unsafe {
        let named = if keywords.is_null() {
            0
        } else {
            ffi::PyTuple_GET_SIZE(keywords)
        };
        let length = ffi::PyVectorcall_NARGS(count.cast_unsigned()) + named;
        (
            std::slice::from_raw_parts(args, length.cast_unsigned()),
            named,
        )
    };
    let mut all = all.to_vec();
    if all.is_empty() || !is_main(py) {
        return Some((all, None));
    }
    // SAFETY: an argument is alive during the call.
    let first = unsafe { Bound::from_borrowed_ptr(py, all[0]) };
    let positional = all.len() - named.cast_unsigned();
    let argument = |place: usize| {
        // SAFETY: as above.
        (place < positional).then(|| unsafe { Bound::from_borrowed_ptr(py, all[place]) })
    };
    let (globals, locals) = (argument(1), argument(2));
    // SAFETY: compares addresses.
    let has_closure = all[positional..]
        .iter()
        .any(|closure| *closure != unsafe { ffi::Py_None() });
    let takes_text =
        !has_closure && positional <= 3 && are_namespaces(globals.as_ref(), locals.as_ref());
    let replaced = catch_unwind(AssertUnwindSafe(|| {
        replacement(py, &first, globals.as_ref(), takes_text.then_some(mode))
    }));
    match replaced {
        Ok(Ok(Some(code))) => {
            all[0] = code.as_ptr();
            Some((all, Some(code)))
        }
        Ok(Ok(None)) | Err(_) => Some((all, None)),
        Ok(Err(Failure::Text(error))) => {
            // Compiled once more it would warn once more.
            match add_builtins(py, globals.as_ref()) {
                Ok(()) => error.restore(py),
                Err(error) => error.restore(py),
            }
            None
        }
        Ok(Err(Failure::Ours(error))) => {
            error.write_unraisable(py, None);
            Some((all, None))
        }
    }
}

/// Whether `exec` and `eval` take these for namespaces; otherwise they say so before they compile anything.
fn are_namespaces(globals: Option<&Bound<'_, PyAny>>, locals: Option<&Bound<'_, PyAny>>) -> bool {
    // SAFETY: a live object; the function looks at its type.
    let is_mapping =
        |locals: &Bound<'_, PyAny>| unsafe { ffi::PyMapping_Check(locals.as_ptr()) } != 0;
    globals.is_none_or(|globals| globals.is_none() || globals.is_instance_of::<PyDict>())
        && locals.is_none_or(|locals| locals.is_none() || is_mapping(locals))
}

/// Puts `__builtins__` into the namespace, if it has none, as `exec` and `eval` do before they compile.
fn add_builtins(py: Python<'_>, globals: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let Some(Ok(globals)) = globals.map(|globals| globals.cast::<PyDict>()) else {
        return Ok(());
    };
    if globals.contains("__builtins__")? {
        return Ok(());
    }
    // SAFETY: the thread is attached; a borrowed reference to the builtins of the running frame.
    let builtins = unsafe { Bound::from_borrowed_ptr_or_err(py, ffi::PyEval_GetBuiltins())? };
    globals.set_item("__builtins__", builtins)
}

/// Why there is no code to be run.
enum Failure {
    /// The program's text does not compile.
    Text(PyErr),
    /// It cannot be probed.
    Ours(PyErr),
}

/// The code to be run in place of `source`, probed if somebody wants it; that may be a text if a `mode` is given.
fn replacement<'py>(
    py: Python<'py>,
    source: &Bound<'py, PyAny>,
    globals: Option<&Bound<'py, PyAny>>,
    mode: Option<&str>,
) -> Result<Option<Bound<'py, PyCode>>, Failure> {
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
        return super::replacement(code, module).map_err(Failure::Ours);
    }
    let compiled = match mode {
        Some(mode) => compile(py, source, mode),
        None => None,
    };
    match compiled {
        Some(code) => {
            let code = code.map_err(Failure::Text)?;
            let copy = super::replacement(&code, module).map_err(Failure::Ours)?;
            Ok(Some(copy.unwrap_or(code)))
        }
        None => Ok(None),
    }
}

/// What `exec` or `eval` would compile a text to, in the scope of the running frame; `None` if it is none that they compile, so that
/// the original says why.
fn compile<'py>(
    py: Python<'py>,
    source: &Bound<'py, PyAny>,
    mode: &str,
) -> Option<PyResult<Bound<'py, PyCode>>> {
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
    // SAFETY: the flags are a local that the functions fill in and read; the text ends in NUL. The result is a new reference to a code
    // object (no other flag is given than the running frame's) or NULL with an exception.
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
        let code = Bound::from_owned_ptr_or_err(py, code);
        Some(code.map(|code| code.cast_into_unchecked()))
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
