//! Other tools of `sys.monitoring` (3.12+): they name originals and see originals.
//!
//! Events belong to the code object that runs, the copy. What a tool asks for an original is asked for its copy too, and its callbacks are
//! wrapped: they are given the original and offsets in it, and nothing of what happens in probes.

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use pyo3::exceptions::PyRuntimeError;
use pyo3::types::{PyAnyMethods, PyCFunction, PyCode, PyInt, PyTuple, PyTupleMethods};
use pyo3::{Bound, IntoPyObject, PyAny, PyErr, PyResult, Python, ffi};

use crate::engine::OWN_CALLBACK;
use crate::gil::GilCell;
use crate::interpreter::is_main;
use crate::modules;
use crate::probed::ProbedCode;
use crate::registry;

type Fast = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *mut *mut ffi::PyObject,
    ffi::Py_ssize_t,
) -> *mut ffi::PyObject;

/// `PyCFunctionObject` up to the definition (`Include/cpython/methodobject.h`, the same in 3.12-3.15).
#[repr(C)]
struct FunctionObject {
    ob_base: ffi::PyObject,
    m_ml: *mut ffi::PyMethodDef,
}

/// What CPython has where ours stand.
struct Originals {
    set_local_events: Fast,
    register_callback: Fast,
}

static ORIGINALS: OnceLock<Originals> = OnceLock::new();

/// Whether any tool may have asked for events of one code object.
static LOCAL_EVENTS: GilCell<bool> = GilCell::new(false);

/// Tool identifiers that programs can use.
const TOOLS: std::ops::RangeInclusive<u8> = 0..=5;

/// Bits of an event set that have been given to events, with room for more.
const EVENTS: u32 = 24;

/// Puts our functions in place.
///
/// # Errors
/// `RuntimeError`: the interpreter is not as it should be.
pub(super) fn put_on(py: Python<'_>) -> PyResult<()> {
    if ORIGINALS.get().is_some() {
        return Ok(());
    }
    let monitoring = modules::sys(py, c"monitoring")?;
    let (set, register) = (
        definition(&monitoring, "set_local_events")?,
        definition(&monitoring, "register_callback")?,
    );
    // SAFETY: `definition` has checked the calling convention, which says what the union holds. The table is writable static data of
    // the interpreter (`methods` in `Python/instrumentation.c`, 3.12-3.15) that lives as long as it does.
    unsafe {
        ORIGINALS.get_or_init(|| Originals {
            set_local_events: (*set).ml_meth.PyCFunctionFast,
            register_callback: (*register).ml_meth.PyCFunctionFast,
        });
        (*set).ml_meth.PyCFunctionFast = set_local_events;
        (*register).ml_meth.PyCFunctionFast = register_callback;
    }
    wrap_registered(py, &monitoring)
}

/// The table entry of a function of `sys.monitoring`.
fn definition(monitoring: &Bound<'_, PyAny>, name: &str) -> PyResult<*mut ffi::PyMethodDef> {
    let function = monitoring.getattr(name)?;
    if function.cast_exact::<PyCFunction>().is_ok() {
        // SAFETY: an exact builtin function has this layout.
        unsafe {
            let definition = (*function.as_ptr().cast::<FunctionObject>()).m_ml;
            if (*definition).ml_flags == ffi::METH_FASTCALL {
                return Ok(definition);
            }
        }
    }
    Err(PyRuntimeError::new_err(format!(
        "debugop does not know this interpreter: sys.monitoring.{name} is not what it should be"
    )))
}

/// Wraps the callbacks that tools have registered before.
fn wrap_registered(py: Python<'_>, monitoring: &Bound<'_, PyAny>) -> PyResult<()> {
    for tool in TOOLS {
        if monitoring.call_method1("get_tool", (tool,))?.is_none() {
            continue;
        }
        LOCAL_EVENTS.set(py, true);
        for event in (0..EVENTS).map(|bit| 1_u32 << bit) {
            let register =
                |callback| monitoring.call_method1("register_callback", (tool, event, callback));
            // CPython says ValueError for a bit that is no event.
            if let Ok(callback) = register(py.None().into_bound(py))
                && !callback.is_none()
            {
                register(callback)?;
            }
        }
    }
    Ok(())
}

/// What tools have asked for `original` is asked for its copy, which is new.
pub(crate) fn hand_on(original: &Bound<'_, PyCode>, copy: &Bound<'_, PyCode>) -> PyResult<()> {
    let py = original.py();
    let Some(originals) = ORIGINALS.get().filter(|_| LOCAL_EVENTS.get(py)) else {
        return Ok(());
    };
    let monitoring = modules::sys(py, c"monitoring")?;
    for tool in TOOLS {
        if monitoring.call_method1("get_tool", (tool,))?.is_none() {
            continue;
        }
        let events = monitoring.call_method1("get_local_events", (tool, original))?;
        if events.is_truthy()? {
            let tool = tool.into_pyobject(py)?;
            call(
                originals.set_local_events,
                &monitoring,
                &[tool.as_any(), copy.as_any(), &events],
            )?;
        }
    }
    Ok(())
}

/// Calls one of CPython's functions.
fn call<'py>(
    function: Fast,
    module: &Bound<'py, PyAny>,
    arguments: &[&Bound<'py, PyAny>],
) -> PyResult<Bound<'py, PyAny>> {
    let mut pointers: Vec<_> = arguments.iter().map(|one| one.as_ptr()).collect();
    // SAFETY: a function of the METH_FASTCALL convention, with live arguments; a new reference or NULL with an exception.
    unsafe {
        let result = function(
            module.as_ptr(),
            pointers.as_mut_ptr(),
            pointers.len().cast_signed(),
        );
        Bound::from_owned_ptr_or_err(module.py(), result)
    }
}

/// # Safety
/// Called by CPython as `sys.monitoring.set_local_events`.
unsafe extern "C" fn set_local_events(
    module: *mut ffi::PyObject,
    arguments: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: by the calling convention: the thread is attached, `arguments` holds `count` borrowed references.
    unsafe {
        replace(module, arguments, count, |own, module, arguments| {
            let py = module.py();
            let result = call(own.set_local_events, module, arguments)?;
            LOCAL_EVENTS.set(py, true);
            if let [tool, code, events] = arguments
                && let Ok(code) = code.cast_exact::<PyCode>()
                && let Some((_, copy)) = registry::find(code)
                && !copy.is(code)
            {
                call(own.set_local_events, module, &[tool, copy.as_any(), events])?;
            }
            Ok(result)
        })
    }
}

/// # Safety
/// Called by CPython as `sys.monitoring.register_callback`.
unsafe extern "C" fn register_callback(
    module: *mut ffi::PyObject,
    arguments: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: as in `set_local_events`.
    unsafe {
        replace(module, arguments, count, |own, module, arguments| {
            let before = match arguments {
                [tool, event, callback] if !callback.is_none() && !is_own(callback) => {
                    let wrapped = wrap(event, callback)?;
                    call(own.register_callback, module, &[tool, event, &wrapped])?
                }
                _ => call(own.register_callback, module, arguments)?,
            };
            Ok(wrapped_by(&before).unwrap_or(before))
        })
    }
}

type Replacement = for<'py> fn(
    &Originals,
    &Bound<'py, PyAny>,
    &[&Bound<'py, PyAny>],
) -> PyResult<Bound<'py, PyAny>>;

/// Runs `replacement` in place of one of CPython's functions.
///
/// # Safety
/// The thread is attached, and `arguments` holds `count` borrowed references.
unsafe fn replace(
    module: *mut ffi::PyObject,
    arguments: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    replacement: Replacement,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract above.
    let (py, module, arguments) = unsafe {
        let py = Python::assume_attached();
        let arguments: Vec<_> = (0..count.unsigned_abs())
            .map(|index| Bound::from_borrowed_ptr(py, *arguments.add(index)))
            .collect();
        (py, Bound::from_borrowed_ptr(py, module), arguments)
    };
    let arguments: Vec<_> = arguments.iter().collect();
    let outcome = catch_unwind(AssertUnwindSafe(|| match ORIGINALS.get() {
        Some(own) => replacement(own, &module, &arguments),
        None => Ok(py.None().into_bound(py)),
    }));
    let outcome = outcome.unwrap_or_else(|_| {
        Err(PyRuntimeError::new_err(
            "debugop failed inside sys.monitoring",
        ))
    });
    match outcome {
        Ok(result) => result.into_ptr(),
        Err(error) => {
            error.restore(py);
            std::ptr::null_mut()
        }
    }
}

/// The name of the table entry of a builtin function.
fn definition_name<'a>(function: &'a Bound<'_, PyAny>) -> Option<&'a CStr> {
    function.cast_exact::<PyCFunction>().ok()?;
    // SAFETY: an exact builtin function has this layout, and its definition has a name and lives as long as it does.
    unsafe {
        let definition = (*function.as_ptr().cast::<FunctionObject>()).m_ml;
        Some(CStr::from_ptr((*definition).ml_name))
    }
}

fn is_own(callback: &Bound<'_, PyAny>) -> bool {
    definition_name(callback) == Some(OWN_CALLBACK)
}

const WRAPPER: &CStr = c"debugop.wrapped_callback";

/// A callback that calls `callback` with originals.
fn wrap<'py>(
    event: &Bound<'py, PyAny>,
    callback: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    /// A table entry is never written once it is in use here, and read by whoever holds the GIL.
    struct Definition(std::cell::UnsafeCell<ffi::PyMethodDef>);
    // SAFETY: see above.
    unsafe impl Sync for Definition {}
    static DEFINITION: Definition = Definition(std::cell::UnsafeCell::new(ffi::PyMethodDef {
        ml_name: WRAPPER.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunctionFast: wrapped,
        },
        ml_flags: ffi::METH_FASTCALL,
        ml_doc: std::ptr::null(),
    }));
    let py = callback.py();
    let state = PyTuple::new(py, [callback, event])?;
    // SAFETY: the definition is static and its function has the signature of METH_FASTCALL. A new reference or NULL.
    unsafe {
        let function =
            ffi::PyCFunction_NewEx(DEFINITION.0.get(), state.as_ptr(), std::ptr::null_mut());
        Bound::from_owned_ptr_or_err(py, function)
    }
}

/// What a callback of ours wraps.
fn wrapped_by<'py>(callback: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    if definition_name(callback) != Some(WRAPPER) {
        return None;
    }
    let state = callback.getattr("__self__").ok()?;
    state.cast_exact::<PyTuple>().ok()?.get_item(0).ok()
}

/// # Safety
/// Called by CPython as a callback; `state` is what `wrap` has made.
unsafe extern "C" fn wrapped(
    state: *mut ffi::PyObject,
    arguments: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: as in `replace`.
    unsafe {
        replace(state, arguments, count, |_, state, arguments| {
            let state = state.cast_exact::<PyTuple>().map_err(PyErr::from)?;
            let (callback, event) = (state.get_item(0)?, state.get_item(1)?);
            let py = callback.py();
            if let [code, rest @ ..] = arguments
                && is_main(py)
                && let Ok(code) = code.cast_exact::<PyCode>()
                && let Some(entry) = registry::of_copy(code)
            {
                let rest: Vec<_> = rest.iter().map(|one| (*one).clone()).collect();
                let Some(rest) = translated(&entry, event.extract()?, rest)? else {
                    return Ok(py.None().into_bound(py));
                };
                let original = entry.original(py).clone().into_any();
                let all = PyTuple::new(
                    py,
                    std::iter::once(original).chain(rest).collect::<Vec<_>>(),
                )?;
                return callback.call1(all);
            }
            callback.call1(PyTuple::new(py, arguments)?)
        })
    }
}

/// Events whose numbers this has to know: their bits, from `sys.monitoring.events`.
struct Numbers {
    line: u32,
    /// The instruction and where it goes.
    moves: u32,
}

fn numbers(py: Python<'_>) -> PyResult<&'static Numbers> {
    static NUMBERS: OnceLock<Numbers> = OnceLock::new();
    if let Some(numbers) = NUMBERS.get() {
        return Ok(numbers);
    }
    let events = modules::sys(py, c"monitoring")?.getattr("events")?;
    let mut numbers = Numbers { line: 0, moves: 0 };
    for (name, is_move) in [
        ("LINE", false),
        ("JUMP", true),
        ("BRANCH", true),
        ("BRANCH_LEFT", true),
        ("BRANCH_RIGHT", true),
    ] {
        // The last two came with 3.14.
        if let Some(number) = events.getattr_opt(name)? {
            let number: u32 = number.extract()?;
            *(if is_move {
                &mut numbers.moves
            } else {
                &mut numbers.line
            }) |= number;
        }
    }
    Ok(NUMBERS.get_or_init(|| numbers))
}

/// The arguments of a callback after the code object, as they are for the original; `None` if it happened in a probe.
fn translated<'py>(
    entry: &ProbedCode,
    event: u32,
    mut arguments: Vec<Bound<'py, PyAny>>,
) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
    let Some(first) = arguments.first() else {
        return Ok(Some(arguments));
    };
    let py = first.py();
    let numbers = numbers(py)?;
    if event & numbers.line != 0 {
        return Ok(Some(arguments));
    }
    let offset = |value: &Bound<'py, PyAny>| -> Option<u32> {
        value.cast_exact::<PyInt>().ok()?.extract().ok()
    };
    let Some(original) = offset(first).and_then(|new| entry.original_of_own(new)) else {
        return Ok(None);
    };
    arguments[0] = original.into_pyobject(py)?.into_any();
    if event & numbers.moves != 0
        && let Some(target) = arguments.get_mut(1)
        && let Some(original) = offset(target).and_then(|new| entry.original_offset(new))
    {
        *target = original.into_pyobject(py)?.into_any();
    }
    Ok(Some(arguments))
}
