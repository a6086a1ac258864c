//! The engine `monitoring`: events of `sys.monitoring` (PEP 669, 3.12+), taken by builtin functions of ours.
//!
//! A watched code object has local events: `INSTRUCTION` for its steps, `PY_START` and `PY_RESUME` for its `RESUME`s, which have
//! no INSTRUCTION event. Exceptions that leave frames can be asked for globally only (3.12-3.14), and so can code that nobody
//! has named yet. Callbacks run with `tstate->tracing` raised (`call_one_instrument` in `Python/instrumentation.c`), so what they do
//! is not reported to any tool.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use debugop_bytecode::InstrIdx;
use pyo3::exceptions::{PyRuntimeError, PySystemError};
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyAnyMethods, PyCode};
use pyo3::{Bound, Py, PyAny, PyErr, PyResult, Python, ffi};

use super::{Engine, discover, ended, observed, shared, while_leaving};
use crate::event::Raised;
use crate::frame::Frame;
use crate::gil::GilCell;
use crate::modules;
use crate::probed::ProbedCode;
use crate::recorder;
use crate::tracer::Tracer;
use crate::whole::events::as_it_is;

/// The tool's name, which others see.
pub(crate) const NAME: &str = "debugop";

/// Tool identifiers that PEP 669 does not set aside for a kind of tool, in the order in which they are tried.
const IDS: [u8; 2] = [4, 3];

/// Whether exceptions that leave frames can be asked for per code object. Asked for globally, such an event crashes 3.15.2 when an
/// exception leaves a frame that was hidden ([`crate::toplevel`]) when it was asked for: what is on the stack then is instrumented, and
/// the event takes that for granted (`get_tools_for_instruction` in `Python/instrumentation.c`).
const UNWIND_IS_LOCAL: bool = cfg!(Py_3_15);

/// Events by their names in `sys.monitoring.events`; their numbers differ from version to version.
#[derive(Clone, Copy)]
struct Events {
    instruction: u32,
    start: u32,
    resume: u32,
    throw: u32,
    unwind: u32,
    end: u32,
    line: u32,
}

/// What is constant as long as the process lives.
struct Interface {
    monitoring: Py<PyAny>,
    disable: Py<PyAny>,
    events: Events,
    callbacks: [(u32, Py<PyAny>); 7],
}

/// The tool, as long as somebody uses it.
#[derive(Default)]
struct State {
    tool: Option<u8>,
    tracers: Vec<Arc<Tracer>>,
    /// Some code has been told that its starts, or steps, are not wanted.
    disabled: bool,
    /// Tracers that look for code themselves.
    discovering: bool,
}

static STATE: GilCell<Option<State>> = GilCell::new(None);

fn state<R>(py: Python<'_>, f: impl FnOnce(&mut State) -> R) -> R {
    STATE.with(py, |state| f(state.get_or_insert_with(State::default)))
}

/// Makes what is constant when the module is imported: the first time gives up the GIL, and other threads would go on between a recording's
/// beginning and its description of their frames.
///
/// # Errors
/// `AttributeError`: the interpreter is not as it should be.
pub(crate) fn prepare(py: Python<'_>) -> PyResult<()> {
    interface(py).map(drop)
}

fn interface(py: Python<'_>) -> PyResult<&'static Interface> {
    static INTERFACE: PyOnceLock<Interface> = PyOnceLock::new();
    INTERFACE.get_or_try_init(py, || {
        let monitoring = modules::sys(py, c"monitoring")?;
        let numbers = monitoring.getattr("events")?;
        let number = |name: &str| -> PyResult<u32> { numbers.getattr(name)?.extract() };
        let events = Events {
            instruction: number("INSTRUCTION")?,
            start: number("PY_START")?,
            resume: number("PY_RESUME")?,
            throw: number("PY_THROW")?,
            unwind: number("PY_UNWIND")?,
            end: number("PY_RETURN")?,
            line: number("LINE")?,
        };
        let callbacks = [
            (events.instruction, builtin(py, instruction)?),
            (events.start, builtin(py, start)?),
            (events.resume, builtin(py, start)?),
            (events.throw, builtin(py, throw)?),
            (events.unwind, builtin(py, unwind)?),
            (events.end, builtin(py, end)?),
            (events.line, builtin(py, line)?),
        ];
        Ok(Interface {
            disable: monitoring.getattr("DISABLE")?.unbind(),
            monitoring: monitoring.unbind(),
            events,
            callbacks,
        })
    })
}

pub(crate) type Callback = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *mut *mut ffi::PyObject,
    ffi::Py_ssize_t,
) -> *mut ffi::PyObject;

/// A builtin function around `callback`.
pub(crate) fn builtin(py: Python<'_>, callback: Callback) -> PyResult<Py<PyAny>> {
    // The function keeps a pointer to its definition for ever; there are a few, made once.
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: c"debugop".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunctionFast: callback,
        },
        ml_flags: ffi::METH_FASTCALL,
        ml_doc: std::ptr::null(),
    }));
    // SAFETY: the definition is leaked and its function has the signature of METH_FASTCALL.
    unsafe {
        let function =
            ffi::PyCFunction_NewEx(definition, std::ptr::null_mut(), std::ptr::null_mut());
        Ok(Bound::from_owned_ptr_or_err(py, function)?.unbind())
    }
}

/// `tracer` begins to use the tool, which is taken into use with the first one.
///
/// # Errors
/// RuntimeError that names the tools which have the identifiers.
pub(super) fn enter(py: Python<'_>, tracer: &Arc<Tracer>) -> PyResult<()> {
    if state(py, |state| state.tool.is_none()) {
        let id = take_tool(py)?;
        state(py, |state| state.tool = Some(id));
    }
    state(py, |state| {
        state.tracers.push(Arc::clone(tracer));
        state.discovering |= tracer.discovers();
    });
    set_global(py)
}

fn take_tool(py: Python<'_>) -> PyResult<u8> {
    let interface = interface(py)?;
    let monitoring = interface.monitoring.bind(py);
    let mut others = Vec::new();
    for id in IDS {
        let other = monitoring.call_method1("get_tool", (id,))?;
        if !other.is_none() {
            others.push(format!("{id} by {}", other.str()?));
            continue;
        }
        monitoring.call_method1("use_tool_id", (id, NAME))?;
        for (event, callback) in &interface.callbacks {
            as_it_is(py, || {
                monitoring.call_method1("register_callback", (id, event, callback))
            })?;
        }
        return Ok(id);
    }
    Err(PyRuntimeError::new_err(format!(
        "the engine monitoring needs a tool identifier of sys.monitoring, and both are taken: {}",
        others.join(", ")
    )))
}

/// Asks for the events that concern all code.
fn set_global(py: Python<'_>) -> PyResult<()> {
    let interface = interface(py)?;
    let events = &interface.events;
    let (tool, discovering, disabled) = state(py, |state| {
        (
            state.tool,
            state.discovering,
            std::mem::take(&mut state.disabled),
        )
    });
    let Some(tool) = tool else { return Ok(()) };
    let monitoring = interface.monitoring.bind(py);
    let found = if discovering {
        events.start | events.resume | events.throw
    } else {
        0
    };
    let unwind = if UNWIND_IS_LOCAL { 0 } else { events.unwind };
    monitoring.call_method1("set_events", (tool, unwind | found))?;
    if disabled {
        monitoring.call_method0("restart_events")?;
    }
    Ok(())
}

/// `tracer` uses the tool no more; with the last one it is given back.
pub(super) fn leave(py: Python<'_>, tracer: &Arc<Tracer>) -> PyResult<()> {
    let (gone, tool) = state(py, |state| {
        let at = state
            .tracers
            .iter()
            .position(|one| Arc::ptr_eq(one, tracer));
        let gone = at.map(|at| state.tracers.remove(at));
        state.discovering = state.tracers.iter().any(|tracer| tracer.discovers());
        let unused = gone.is_some() && state.tracers.is_empty();
        (gone, if unused { state.tool.take() } else { None })
    });
    drop(gone);
    let Some(tool) = tool else {
        return set_global(py);
    };
    let interface = interface(py)?;
    let monitoring = interface.monitoring.bind(py);
    monitoring.call_method1("set_events", (tool, 0))?;
    for (event, _) in &interface.callbacks {
        as_it_is(py, || {
            monitoring.call_method1("register_callback", (tool, event, py.None()))
        })?;
    }
    monitoring.call_method1("free_tool_id", (tool,))?;
    Ok(())
}

/// Asks for the events of `code`.
pub(super) fn enable(py: Python<'_>, code: &Arc<ProbedCode>) -> PyResult<()> {
    let events = interface(py)?.events;
    let mut wanted = events.instruction | events.start | events.resume;
    if UNWIND_IS_LOCAL {
        wanted |= events.unwind;
    }
    if code.tracers(py).iter().any(|tracer| tracer.fills_in(code)) {
        wanted |= events.end;
    }
    let own = state(py, |state| state.tool);
    if let Some(own) = own
        && recorder::may_move(py, code)
        && code.is_only_for(py, own)
    {
        wanted |= events.line;
    }
    shared::set(py, code, own, || set_local(py, code, wanted))?;
    // Its starts may have been refused when nobody wanted them.
    if state(py, |state| std::mem::take(&mut state.disabled)) {
        interface(py)?
            .monitoring
            .bind(py)
            .call_method0("restart_events")?;
    }
    Ok(())
}

/// Takes the events of `code` away.
pub(super) fn disable(py: Python<'_>, code: &Arc<ProbedCode>) -> PyResult<()> {
    set_local(py, code, 0)
}

fn set_local(py: Python<'_>, code: &Arc<ProbedCode>, events: u32) -> PyResult<()> {
    let Some(tool) = state(py, |state| state.tool) else {
        return Ok(());
    };
    let arguments = (tool, code.observed(py), events);
    let monitoring = interface(py)?.monitoring.bind(py);
    as_it_is(py, || {
        monitoring.call_method1("set_local_events", arguments)
    })?;
    Ok(())
}

/// What a callback answers.
pub(crate) enum Answer {
    /// Go on reporting.
    Go,
    /// This location of this code is not wanted.
    Disable,
}

/// Runs a callback's implementation on its arguments.
///
/// # Safety
/// `args` and `count` are those of a METH_FASTCALL function.
pub(crate) unsafe fn answer(
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    implementation: impl FnOnce(
        Python<'_>,
        &Bound<'_, PyCode>,
        u32,
        Option<Bound<'_, PyAny>>,
    ) -> Result<Answer, Raised>,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls builtin functions with the thread attached and with `count` borrowed references in `args`.
    let (py, args) = unsafe {
        (
            Python::assume_attached(),
            std::slice::from_raw_parts(args, usize::try_from(count).unwrap_or_default()),
        )
    };
    let argument = |index: usize| {
        // SAFETY: as above.
        args.get(index)
            .map(|&object| unsafe { Bound::from_borrowed_ptr(py, object) })
    };
    let run = || {
        // Anybody can call the builtin who finds it, with anything.
        let code = argument(0).and_then(|code| code.cast_into::<PyCode>().ok());
        let offset = argument(1).and_then(|offset| offset.extract().ok());
        match (code, offset) {
            (Some(code), Some(offset)) => implementation(py, &code, offset, argument(2)),
            _ => Ok(Answer::Go),
        }
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(Answer::Go)) => py.None().into_ptr(),
        Ok(Ok(Answer::Disable)) => match interface(py) {
            Ok(interface) => interface.disable.clone_ref(py).into_ptr(),
            Err(error) => {
                error.restore(py);
                std::ptr::null_mut()
            }
        },
        Ok(Err(Raised)) => std::ptr::null_mut(),
        Err(_) => {
            PySystemError::new_err("debugop failed inside a callback of sys.monitoring")
                .restore(py);
            std::ptr::null_mut()
        }
    }
}

/// The running frame, if it runs `code`.
#[inline]
fn running<'py>(py: Python<'py>, code: &Bound<'py, PyCode>) -> Option<Frame<'py>> {
    Frame::current(py).filter(|frame| frame.code_address() == code.as_ptr() as usize)
}

/// INSTRUCTION(code, offset).
unsafe extern "C" fn instruction(
    _: *mut ffi::PyObject,
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: the arguments are passed on as they came.
    unsafe {
        answer(args, count, |py, code, offset, _| {
            let Some(entry) = observed::find(py, Engine::Monitoring, code.as_ptr() as usize) else {
                return Ok(Answer::Go);
            };
            if let Some(at) = instruction_at(&entry, offset) {
                if recorder::passes_over(py, &entry, at) {
                    state(py, |state| state.disabled = true);
                    return Ok(Answer::Disable);
                }
                report(py, code, &entry, at)?;
            }
            Ok(Answer::Go)
        })
    }
}

/// The instruction at `offset`. The unit of a prefix is no instruction's own.
#[inline]
fn instruction_at(entry: &ProbedCode, offset: u32) -> Option<InstrIdx> {
    entry.analysis().at_offset(entry.original_unit(offset)?)
}

/// Reports the instruction at `offset`, if it is watched.
#[inline]
fn step(py: Python<'_>, code: &Bound<'_, PyCode>, offset: u32) -> Result<bool, Raised> {
    let Some(entry) = observed::find(py, Engine::Monitoring, code.as_ptr() as usize) else {
        return Ok(false);
    };
    if let Some(at) = instruction_at(&entry, offset) {
        report(py, code, &entry, at)?;
    }
    Ok(true)
}

#[inline]
fn report(
    py: Python<'_>,
    code: &Bound<'_, PyCode>,
    entry: &Arc<ProbedCode>,
    at: InstrIdx,
) -> Result<(), Raised> {
    match running(py, code) {
        Some(frame) => entry.fire_step(py, frame, at),
        None => Ok(()),
    }
}

/// LINE(code, line): a frame that may be moved into its copy begins a line.
unsafe extern "C" fn line(
    _: *mut ffi::PyObject,
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: the arguments are passed on as they came.
    unsafe {
        answer(args, count, |py, code, _, _| {
            let entry = observed::find(py, Engine::Monitoring, code.as_ptr() as usize);
            let tool = state(py, |state| state.tool);
            let (Some(entry), Some(frame), Some(tool)) = (entry, running(py, code), tool) else {
                return Ok(Answer::Go);
            };
            // Anybody can call the builtin who finds it.
            if entry.is_told_of_line(py, frame) && recorder::move_on(py, &entry, frame, tool) {
                ended(py, &entry).map_err(|error| Raised::set(py, error))?;
            }
            Ok(Answer::Go)
        })
    }
}

/// PY_START(code, offset), PY_RESUME(code, offset): a RESUME.
unsafe extern "C" fn start(
    _: *mut ffi::PyObject,
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: the arguments are passed on as they came.
    unsafe {
        answer(args, count, |py, code, offset, _| {
            if step(py, code, offset)? {
                return Ok(Answer::Go);
            }
            if look_for(py, code)? {
                step(py, code, offset)?;
                return Ok(Answer::Go);
            }
            state(py, |state| state.disabled = true);
            Ok(Answer::Disable)
        })
    }
}

/// PY_THROW(code, offset, exception): a generator that may never have been seen goes on, with an exception.
unsafe extern "C" fn throw(
    _: *mut ffi::PyObject,
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: the arguments are passed on as they came.
    unsafe {
        answer(args, count, |py, code, _, _| {
            let known = observed::find(py, Engine::Monitoring, code.as_ptr() as usize);
            if known.is_none() {
                look_for(py, code)?;
            }
            Ok(Answer::Go)
        })
    }
}

/// Whether some tracer that looks for code itself wants the running frame's.
fn look_for(py: Python<'_>, code: &Bound<'_, PyCode>) -> Result<bool, Raised> {
    let tracers = state(py, |state| {
        if state.discovering {
            state.tracers.clone()
        } else {
            Vec::new()
        }
    });
    let Some(frame) = running(py, code) else {
        return Ok(false);
    };
    discover(py, &tracers, frame, code).map_err(|error: PyErr| Raised::set(py, error))
}

/// PY_UNWIND(code, offset, exception).
unsafe extern "C" fn unwind(
    _: *mut ffi::PyObject,
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: the arguments are passed on as they came.
    unsafe {
        answer(args, count, |py, code, offset, exception| {
            let entry = observed::find(py, Engine::Monitoring, code.as_ptr() as usize);
            if let (Some(entry), Some(frame), Some(exception)) =
                (entry, running(py, code), exception)
            {
                // The event's offset is that of a RERAISE, the frame's that of the instruction which raised first.
                let raised = frame.instruction_offset().unwrap_or(offset);
                if let Some(instruction) = entry.observed_at(raised) {
                    while_leaving(py, frame, exception, || {
                        entry.fire_unwind(py, frame, instruction)
                    })?;
                }
                ended(py, &entry).map_err(|error| Raised::set(py, error))?;
            }
            Ok(Answer::Go)
        })
    }
}

/// PY_RETURN(code, offset, value).
unsafe extern "C" fn end(
    _: *mut ffi::PyObject,
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: the arguments are passed on as they came.
    unsafe {
        answer(args, count, |py, code, _, _| {
            if let Some(entry) = observed::find(py, Engine::Monitoring, code.as_ptr() as usize) {
                ended(py, &entry).map_err(|error| Raised::set(py, error))?;
            }
            Ok(Answer::Go)
        })
    }
}
