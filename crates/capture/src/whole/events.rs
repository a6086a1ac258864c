//! 3.12+: what tools of `sys.monitoring` are shown.
//!
//! A tool names code objects as the program sees them, the originals ([`super::shown`]), so its local events go to the copy that
//! runs too; and its callbacks are called with the original and offsets in it, and not at all for what is only in the copy. The functions behind
//! `register_callback` and `set_local_events` are replaced in the module's table.

use std::panic::{AssertUnwindSafe, catch_unwind};

use std::ptr::NonNull;

use pyo3::exceptions::PyRuntimeError;
use pyo3::types::{PyAnyMethods, PyCode, PyTuple, PyTupleMethods};
use pyo3::{Bound, IntoPyObject, PyAny, PyResult, Python, ffi};

use super::told::{self, Instant};
use crate::builtin;
use crate::frame::Frame;
use crate::gil::GilCell;
use crate::interpreter::is_main;
use crate::modules;
use crate::probed::{self, ProbedCode};
use crate::recorder::Told;
use crate::registry;

/// Names and our functions.
static FUNCTIONS: [(&str, ffi::PyCFunctionFast); 2] = [
    ("register_callback", register_callback),
    ("set_local_events", set_local_events),
];

/// CPython's, in the same order; what has been found stays, because a call of ours may end after [`unwatch`].
static THEIRS: GilCell<[Option<ffi::PyCFunctionFast>; 2]> = GilCell::new([None; 2]);

static WATCHING: GilCell<bool> = GilCell::new(false);

/// Whether a tool may have asked for events of one code object.
static LOCAL_EVENTS: GilCell<bool> = GilCell::new(false);

/// Tool identifiers that programs can use.
const TOOLS: std::ops::RangeInclusive<u8> = 0..=5;

/// Bits of an event set that events have, with room for more.
const EVENTS: u32 = 24;

/// Calls of our own, which mean what they say.
static OWN_CALLS: GilCell<u32> = GilCell::new(0);

/// Runs `f`, whose calls of `sys.monitoring` are not changed.
pub(crate) fn as_it_is<R>(py: Python<'_>, f: impl FnOnce() -> R) -> R {
    OWN_CALLS.set(py, OWN_CALLS.get(py) + 1);
    let result = f();
    OWN_CALLS.set(py, OWN_CALLS.get(py) - 1);
    result
}

fn entries(py: Python<'_>) -> PyResult<[*mut ffi::PyMethodDef; 2]> {
    let monitoring = modules::sys(py, c"monitoring")?;
    let mut entries = [std::ptr::null_mut(); 2];
    for (entry, (name, _)) in entries.iter_mut().zip(&FUNCTIONS) {
        *entry = builtin::definition(&monitoring, name, ffi::METH_FASTCALL)?;
    }
    Ok(entries)
}

/// Puts our functions in place.
///
/// # Errors
/// The interpreter is not as it should be.
pub(super) fn watch(py: Python<'_>) -> PyResult<()> {
    if WATCHING.get(py) {
        return Ok(());
    }
    let entries = entries(py)?;
    let mut theirs = [None; 2];
    for ((entry, theirs), (_, ours)) in entries.iter().zip(&mut theirs).zip(&FUNCTIONS) {
        // SAFETY: the table is writable static data of the interpreter (Python/instrumentation.c, 3.12-3.15) that lives as long as
        // it does; the GIL is held. The flags, which were compared, say which member of the union is set.
        unsafe {
            *theirs = Some((**entry).ml_meth.PyCFunctionFast);
            (**entry).ml_meth.PyCFunctionFast = *ours;
        }
    }
    THEIRS.set(py, theirs);
    WATCHING.set(py, true);
    wrap_registered(py)
}

/// Wraps the callbacks that tools have registered before.
fn wrap_registered(py: Python<'_>) -> PyResult<()> {
    let monitoring = modules::sys(py, c"monitoring")?;
    let events = monitoring.getattr("events")?;
    // From 3.14 on BRANCH stands for two events, and what is registered for it takes the place of both callbacks.
    let both = match events.getattr_opt("BRANCH_LEFT")? {
        Some(_) => events.getattr("BRANCH")?.extract()?,
        None => 0_u32,
    };
    for tool in TOOLS {
        let name = monitoring.call_method1("get_tool", (tool,))?;
        let own = [crate::engine::TOOL_NAME, crate::debug::TOOL_NAME];
        if name.is_none() || own.iter().any(|own| name.eq(own).unwrap_or(false)) {
            continue;
        }
        LOCAL_EVENTS.set(py, true);
        let all = (0..EVENTS).map(|bit| 1 << bit);
        for event in all.filter(|event| *event != both) {
            let register =
                |callback| monitoring.call_method1("register_callback", (tool, event, callback));
            // CPython says ValueError for a bit that is no event.
            if let Ok(callback) = register(py.None().into_bound(py))
                && !callback.is_none()
            {
                probed::keep(py);
                register(callback)?;
            }
        }
    }
    Ok(())
}

/// What tools have asked for `original` is asked for its copy, which is new.
///
/// # Errors
/// `MemoryError`.
pub(crate) fn hand_on(original: &Bound<'_, PyCode>, copy: &Bound<'_, PyCode>) -> PyResult<()> {
    let py = original.py();
    if !LOCAL_EVENTS.get(py) {
        return Ok(());
    }
    let monitoring = modules::sys(py, c"monitoring")?;
    for tool in TOOLS {
        let name = monitoring.call_method1("get_tool", (tool,))?;
        if name.is_none() || name.eq(crate::engine::TOOL_NAME)? {
            continue;
        }
        let events = monitoring.call_method1("get_local_events", (tool, original))?;
        if events.is_truthy()? {
            as_it_is(py, || {
                monitoring.call_method1("set_local_events", (tool, copy, events))
            })?;
        }
    }
    Ok(())
}

/// Puts CPython's functions back.
pub(super) fn unwatch(py: Python<'_>) {
    if !WATCHING.get(py) {
        return;
    }
    WATCHING.set(py, false);
    let Ok(entries) = entries(py) else { return };
    for (entry, theirs) in entries.iter().zip(THEIRS.get(py)) {
        if let Some(theirs) = theirs {
            // SAFETY: as in `watch`.
            unsafe { (**entry).ml_meth.PyCFunctionFast = theirs };
        }
    }
}

/// CPython's function; NULL with an exception if it was never found.
///
/// # Safety
/// `args` are `count` objects.
unsafe fn call(
    py: Python<'_>,
    which: usize,
    module: *mut ffi::PyObject,
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    match THEIRS.get(py)[which] {
        // SAFETY: CPython's own function with the arguments that it expects.
        Some(theirs) => unsafe { theirs(module, args, count) },
        None => {
            PyRuntimeError::new_err("debugop's function stands where it was never put").restore(py);
            std::ptr::null_mut()
        }
    }
}

/// # Safety
/// Called by CPython as `sys.monitoring.set_local_events(tool_id, code, event_set)`.
unsafe extern "C" fn set_local_events(
    module: *mut ffi::PyObject,
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: by CPython's calling convention; the arguments are alive for the call, and the copies until it returns.
    unsafe {
        let py = Python::assume_attached();
        let result = call(py, 1, module, args, count);
        if result.is_null() || !is_main(py) || OWN_CALLS.get(py) > 0 || count != 3 {
            return result;
        }
        LOCAL_EVENTS.set(py, true);
        let copies = catch_unwind(AssertUnwindSafe(|| {
            let code = Bound::from_borrowed_ptr(py, *args.add(1));
            code.cast_exact::<PyCode>().map(registry::copies).ok()
        }));
        let mut result = result;
        for copy in copies.ok().flatten().unwrap_or_default() {
            if result.is_null() {
                break;
            }
            ffi::Py_DECREF(result);
            let mut changed = [*args, copy.as_ptr(), *args.add(2)];
            result = call(py, 1, module, changed.as_mut_ptr(), count);
        }
        result
    }
}

/// # Safety
/// Called by CPython as `sys.monitoring.register_callback(tool_id, event, func)`; returns the callback that was there.
unsafe extern "C" fn register_callback(
    module: *mut ffi::PyObject,
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: by CPython's calling convention; the arguments are alive for the call, and `wrapped` until it returns.
    unsafe {
        let py = Python::assume_attached();
        if !is_main(py) || OWN_CALLS.get(py) > 0 || count != 3 {
            return call(py, 0, module, args, count);
        }
        let mut changed = [*args, *args.add(1), *args.add(2)];
        let mut wrapped = None;
        if changed[2] != ffi::Py_None() {
            probed::keep(py);
            let event = Bound::from_borrowed_ptr(py, changed[1]);
            let callback = Bound::from_borrowed_ptr(py, changed[2]);
            match wrap(&event, &callback) {
                Ok(function) => changed[2] = wrapped.insert(function).as_ptr(),
                Err(error) => {
                    error.restore(py);
                    return std::ptr::null_mut();
                }
            }
        }
        let previous = call(py, 0, module, changed.as_mut_ptr(), count);
        drop(wrapped);
        let Some(previous) = Bound::from_owned_ptr_or_opt(py, previous) else {
            return std::ptr::null_mut();
        };
        match unwrap(&previous) {
            Some(callback) => callback.into_ptr(),
            None => previous.into_ptr(),
        }
    }
}

/// A builtin function that calls `callback` with what a tool is to see of an event. Its `self` is the tuple (callback, kind).
fn wrap<'py>(
    event: &Bound<'py, PyAny>,
    callback: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    struct Definition(ffi::PyMethodDef);
    // SAFETY: constant data that is never written.
    unsafe impl Sync for Definition {}
    static DEFINITION: Definition = Definition(ffi::PyMethodDef {
        ml_name: c"callback".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunctionFast: called,
        },
        ml_flags: ffi::METH_FASTCALL,
        ml_doc: std::ptr::null(),
    });
    let py = event.py();
    let kind = Kind::of(event)?;
    let state = PyTuple::new(
        py,
        [callback.clone(), (kind as u8).into_pyobject(py)?.into_any()],
    )?;
    // SAFETY: the definition is static and its function has the signature of METH_FASTCALL; CPython does not write it.
    unsafe {
        let definition = (&raw const DEFINITION.0).cast_mut();
        let function = ffi::PyCFunction_NewEx(definition, state.as_ptr(), std::ptr::null_mut());
        Bound::from_owned_ptr_or_err(py, function)
    }
}

/// The callback inside of what [`wrap`] has made.
fn unwrap<'py>(function: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let py = function.py();
    // SAFETY: compares a type; for builtin functions the two functions give a pointer and a borrowed reference, which is a tuple
    // where the pointer is ours.
    unsafe {
        if ffi::PyCFunction_CheckExact(function.as_ptr()) == 0
            || ffi::PyCFunction_GetFunction(function.as_ptr()).map(|found| found as usize)
                != Some(called as *const () as usize)
        {
            return None;
        }
        let state = ffi::PyCFunction_GetSelf(function.as_ptr());
        let state = Bound::from_borrowed_ptr_or_opt(py, state)?;
        state.cast_exact::<PyTuple>().ok()?.get_item(0).ok()
    }
}

/// What the arguments of an event mean after the code object.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    /// A line.
    Line,
    /// The offset of a unit that is going to be executed.
    Instruction,
    /// An offset and that of the destination.
    Jump,
    /// The offset of the instruction that an exception leaves the frame from.
    Unwind,
    /// The offset of an instruction that raises, or into which an exception is thrown, and the exception.
    Raise,
    /// An offset, and perhaps objects.
    Other,
}

impl Kind {
    fn of(event: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = event.py();
        let numbers = modules::sys(py, c"monitoring")?.getattr("events")?;
        let is = |name: &str| -> PyResult<bool> {
            numbers
                .getattr_opt(name)?
                .map_or(Ok(false), |number| number.eq(event))
        };
        if is("LINE")? {
            return Ok(Kind::Line);
        }
        if is("INSTRUCTION")? {
            return Ok(Kind::Instruction);
        }
        if is("PY_UNWIND")? {
            return Ok(Kind::Unwind);
        }
        if is("RAISE")? || is("PY_THROW")? {
            return Ok(Kind::Raise);
        }
        for name in ["JUMP", "BRANCH", "BRANCH_LEFT", "BRANCH_RIGHT"] {
            if is(name)? {
                return Ok(Kind::Jump);
            }
        }
        Ok(Kind::Other)
    }

    const fn from_number(number: u8) -> Self {
        match number {
            0 => Kind::Line,
            1 => Kind::Instruction,
            2 => Kind::Jump,
            3 => Kind::Unwind,
            4 => Kind::Raise,
            _ => Kind::Other,
        }
    }

    /// What is to come of which it tells.
    const fn instant(self) -> Option<Instant> {
        match self {
            Kind::Line => Some(Instant::Line),
            Kind::Jump => Some(Instant::JUMPED),
            Kind::Instruction => Some(Instant::Instruction),
            Kind::Unwind | Kind::Raise | Kind::Other => None,
        }
    }

    /// What it tells of.
    const fn told(self) -> Told {
        match self {
            Kind::Jump => Told::Jump,
            Kind::Raise => Told::Exception,
            _ => Told::Instruction,
        }
    }

    /// The arguments from the second on as they would be without probes; `None` for an event that there would not be.
    fn shown(
        self,
        py: Python<'_>,
        entry: &ProbedCode,
        arguments: &[Option<u32>; 2],
    ) -> Option<[Option<u32>; 2]> {
        let [first, second] = *arguments;
        Some(match self {
            Kind::Line => [None, None],
            Kind::Instruction => [Some(entry.original_unit(first?)?), None],
            Kind::Jump => {
                let first = first?;
                // A probe may bring a jump with it (before the `CALL` behind a `LOAD_SPECIAL`, 3.14+).
                entry.original_unit(first)?;
                [
                    Some(entry.shown_offset(first)?),
                    Some(entry.original_offset(second?)?),
                ]
            }
            // The last handler, which is ours, has set the frame back to where the exception was raised.
            Kind::Unwind => {
                let raised = entry.shown_offset(first?);
                let frame = || Frame::current(py)?.instruction_offset();
                [
                    Some(match raised {
                        Some(raised) => raised,
                        None => entry.shown_offset(frame()?)?,
                    }),
                    None,
                ]
            }
            Kind::Raise | Kind::Other => [Some(entry.shown_offset(first?)?), None],
        })
    }
}

/// # Safety
/// Called by CPython for an event, with the tuple that [`wrap`] has made as `state`.
unsafe extern "C" fn called(
    state: *mut ffi::PyObject,
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    const MOST: usize = 8;
    // SAFETY: by CPython's calling convention; `state` and the arguments are alive for the call, and what replaces them until it
    // returns.
    unsafe {
        let py = Python::assume_attached();
        let callback = ffi::PyTuple_GET_ITEM(state, 0);
        let count = count.unsigned_abs();
        let forward = |args: *mut *mut ffi::PyObject| {
            ffi::PyObject_Vectorcall(callback, args.cast_const(), count, std::ptr::null_mut())
        };
        if !(2..=MOST).contains(&count) {
            return forward(args);
        }
        if !is_main(py) {
            return forward(args);
        }
        let kind = ffi::PyTuple_GET_ITEM(state, 1);
        let kind = Bound::from_borrowed_ptr(py, kind)
            .extract()
            .map(Kind::from_number);
        let kind = kind.unwrap_or(Kind::Other);
        let forward = |args| {
            told::telling(py, kind.instant(), kind.told(), || {
                NonNull::new(forward(args))
            })
            .map_or(std::ptr::null_mut(), NonNull::as_ptr)
        };
        let shown = catch_unwind(AssertUnwindSafe(|| -> Option<_> {
            let code = Bound::from_borrowed_ptr(py, *args);
            let entry = registry::of_copy(code.cast_exact::<PyCode>().ok()?)?;
            let number = |place: usize| -> Option<u32> {
                if place >= count {
                    return None;
                }
                Bound::from_borrowed_ptr(py, *args.add(place))
                    .extract()
                    .ok()
            };
            let seen = [number(1), number(2)];
            if kind == Kind::Line {
                entry.keep_general(code.cast_exact::<PyCode>().ok()?);
            }
            let shown = kind.shown(py, &entry, &seen);
            Some((entry.original(py).clone(), shown))
        }));
        let Ok(Some((code, shown))) = shown else {
            return forward(args);
        };
        let Some(shown) = shown else {
            return ffi::Py_NewRef(ffi::Py_None());
        };
        let mut changed = [std::ptr::null_mut(); MOST];
        std::ptr::copy_nonoverlapping(args, changed.as_mut_ptr(), count);
        changed[0] = code.as_ptr();
        let mut kept = [const { None }; 2];
        for (place, number) in shown.into_iter().enumerate() {
            if let Some(number) = number {
                let Ok(number) = number.into_pyobject(py);
                changed[place + 1] = kept[place].insert(number).as_ptr();
            }
        }
        forward(changed.as_mut_ptr())
    }
}
