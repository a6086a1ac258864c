//! What the program's own trace functions are told.
//!
//! CPython calls those of `sys.settrace` by one C function, its trampoline (`trace_trampoline`, `Python/sysmodule.c`); `PyEval_SetTrace` sets others. One of ours
//! stands in front of each such function: `opcode` events of what has been inserted into a copy are kept back, and calls and lines keep each `FOR_ITER` as it
//! would be (`ProbedCode::keep_general`). It is put into a thread's state when the thread's trace function changes, of which [`trace_object`] tells. That is
//! prepared for each thread that there is, for each that Python starts, and for others when a probe tells something in them ([`meet`]). Before that
//! the functions behind `sys.settrace` and `sys._settraceallthreads`, which are replaced in the module's table, see to it.

use std::ffi::{c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use pyo3::exceptions::PySystemError;
use pyo3::{PyResult, Python, ffi};

use super::trace_object;
use crate::builtin;
use crate::engine::threads;
use crate::frame::Frame;
use crate::gil::GilCell;
use crate::interpreter::is_main;
use crate::layout::ThreadState;
use crate::modules;
#[cfg(Py_3_12)]
use crate::probed;
use crate::recorder::{self, Told};
use crate::registry;
use crate::thread;

type Setter = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject) -> *mut ffi::PyObject;

/// `METH_O` functions of `sys`, and whether they set the trace function of all threads.
#[cfg(Py_3_12)]
const SETTERS: [(&str, bool); 2] = [("settrace", false), ("_settraceallthreads", true)];
#[cfg(not(Py_3_12))]
const SETTERS: [(&str, bool); 1] = [("settrace", false)];

/// What CPython has where ours stand.
static THEIRS: [OnceLock<Setter>; SETTERS.len()] = [const { OnceLock::new() }; SETTERS.len()];

/// The function that ours has been put in front of last: for who calls ours, of which it has read the address, with an object of its own.
static LAST: GilCell<Option<ffi::Py_tracefunc>> = GilCell::new(None);

static WATCHING: GilCell<bool> = GilCell::new(false);

/// What a trace function is being told of.
struct Telling {
    /// The addresses of the thread's state and of the frame.
    thread: usize,
    frame: usize,
    event: Instant,
}

/// What of a frame a trace function is told before it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instant {
    /// A line begins: its first instruction is to come, and the probe before that.
    Line,
    /// An instruction is to come; the probe before it has fired.
    Instruction,
    /// Nothing: a jump is being executed.
    #[cfg(Py_3_13)]
    Jump,
}

#[cfg(Py_3_12)]
impl Instant {
    /// What is to come of a frame that is told of a jump, by where it points then (`_Py_call_instrumentation_jump`, `Python/instrumentation.c`): up to 3.12 to the destination, which has
    /// not begun; later it is still executing the jump.
    #[cfg(Py_3_13)]
    pub(crate) const JUMPED: Self = Self::Jump;
    #[cfg(not(Py_3_13))]
    pub(crate) const JUMPED: Self = Self::Line;
}

/// What the program's trace functions are told of at this moment, those of each thread in their order.
static TELLING: GilCell<Vec<Telling>> = GilCell::new(Vec::new());

/// Whether a trace function of the program is being told of something.
#[inline]
pub(crate) fn is_telling(py: Python<'_>) -> bool {
    TELLING.with(py, |telling| !telling.is_empty())
}

/// What of a live frame is to come, if a trace function of the program is being told of that.
pub(crate) fn told_of(py: Python<'_>, frame: Frame<'_>) -> Option<Instant> {
    let (thread, frame) = (frame.thread_address(), frame.address());
    // SAFETY: the state of the thread that has the frame, which is alive as long as that is. A thread that a fork has left in its trace function
    // has an entry for ever; another one at its address is in none, as a rule.
    let is_traced = || unsafe { (*(thread as *const ThreadState)).tracing > 0 };
    TELLING.with(py, |telling| {
        let mut newest = telling.iter().rev();
        let of_frame = newest.find(|one| one.frame == frame && one.thread == thread);
        of_frame.filter(|_| is_traced()).map(|one| one.event)
    })
}

/// What is told of the frame at this address has had it go on at a line, which is to come.
pub(crate) fn goes_on_elsewhere(py: Python<'_>, frame: usize) {
    TELLING.with(py, |telling| {
        if let Some(one) = telling.iter_mut().rfind(|one| one.frame == frame) {
            one.event = Instant::Line;
        }
    });
}

/// Whether the trace function that is going to be called is told of a jump back, as of a line (`sys_trace_jump_func`, `Python/legacy_tracing.c`, 3.12 and later).
#[cfg(Py_3_12)]
fn is_of_jump(py: Python<'_>) -> bool {
    /// `PY_MONITORING_EVENT_JUMP` (`Include/cpython/monitoring.h`).
    const JUMP: c_int = 7;
    let state = Frame::current(py).map(|frame| frame.thread_address() as *const ThreadState);
    // SAFETY: the state of the thread that runs.
    state.is_some_and(|state| unsafe { (*state).what_event } == JUMP)
}

/// Events of a trace function (`Include/cpython/pystate.h`).
const CALL: c_int = 0;
const EXCEPTION: c_int = 1;
const LINE: c_int = 2;
const OPCODE: c_int = 7;

/// `<dlfcn.h>`.
#[repr(C)]
struct DlInfo {
    file_name: *const c_char,
    file_base: *mut c_void,
    symbol_name: *const c_char,
    symbol: *mut c_void,
}

unsafe extern "C" {
    fn dladdr(address: *const c_void, info: *mut DlInfo) -> c_int;
}

/// Puts ours in front of the trace function of each thread that has one, or will have one, until the process ends.
///
/// # Errors
/// The interpreter is not as it should be.
pub(super) fn watch(py: Python<'_>) -> PyResult<()> {
    if WATCHING.replace(py, true) {
        return Ok(());
    }
    trace_object::watch(py)?;
    place::<0>(py)?;
    #[cfg(Py_3_12)]
    place::<1>(py)?;
    threads::expect(py)?;
    for state in thread::states(py) {
        expect(py, state);
    }
    Ok(())
}

/// Ours is put in front of the trace function of each thread that has none yet, or no trace function. To be called where one of debugop's own has
/// been taken away, and where a thread has been made.
pub(crate) fn expect_all(py: Python<'_>) {
    if WATCHING.get(py) {
        for state in thread::states(py) {
            expect(py, state);
        }
    }
}

/// The address of the state of the thread that a probe has told something in last; 0 if some trace function may have changed since, or a thread ended.
static MET: GilCell<usize> = GilCell::new(0);

/// A probe tells something in the thread with the state at this address, the one that runs, of which nobody has told if C code has started it.
#[inline]
pub(crate) fn meet(py: Python<'_>, state: usize) {
    if MET.get(py) != state {
        meet_another(py, state);
    }
}

#[cold]
fn meet_another(py: Python<'_>, state: usize) {
    if WATCHING.get(py) && is_main(py) {
        MET.set(py, state);
        expect(py, state as *mut ffi::PyThreadState);
    }
}

/// Whichever thread is met next may be a new one at an old one's address, or have another trace function.
pub(super) fn forget_met(py: Python<'_>) {
    MET.set(py, 0);
}

/// Puts ours in front of the trace function of a live thread of this interpreter, if it has one that is not debugop's, and sees to it that it is when
/// that changes.
pub(super) fn expect(py: Python<'_>, state: *mut ffi::PyThreadState) {
    // SAFETY: a live thread state, with the GIL held; the field is that of the layout, checked against the headers. What is in it is NULL
    // or a `Py_tracefunc`.
    let (field, found) = unsafe {
        let field = &raw mut (*state.cast::<ThreadState>()).c_tracefunc;
        let found = std::mem::transmute::<*mut c_void, Option<ffi::Py_tracefunc>>(*field);
        (field, found)
    };
    #[cfg(Py_3_12)]
    if found.is_some() {
        probed::keep(py);
    }
    let function = match found {
        // SAFETY: as above; NULL or a live object.
        Some(found) if address(found) == address(trace) => unsafe {
            let object = (*state.cast::<ThreadState>()).c_traceobj;
            trace_object::function(object).or_else(|| LAST.get(py))
        },
        Some(found) if is_own(py, found) => return,
        found => found,
    };
    // The object says which function ours is in front of.
    if trace_object::plant(py, state, function) && found.is_some() {
        LAST.set(py, function);
        // SAFETY: as above. Ours has the same signature, and the interpreter only calls it and compares it with NULL
        // (`Python/legacy_tracing.c`, `Python/ceval.c` of 3.11).
        unsafe { *field = address(trace) };
    }
}

fn address(function: ffi::Py_tracefunc) -> *mut c_void {
    function as *mut c_void
}

/// Whether a trace function is debugop's.
fn is_own(py: Python<'_>, function: ffi::Py_tracefunc) -> bool {
    let is_known = LAST.get(py).map(address) == Some(address(function));
    !is_known && library(address(function)) == library(address(trace))
}

/// Where the library or program begins in memory that a function is in.
fn library(function: *mut c_void) -> Option<*mut c_void> {
    let mut info = DlInfo {
        file_name: std::ptr::null(),
        file_base: std::ptr::null_mut(),
        symbol_name: std::ptr::null(),
        symbol: std::ptr::null_mut(),
    };
    // SAFETY: any address may be asked about; the answer is written to a structure of its own.
    (unsafe { dladdr(function, &raw mut info) } != 0).then_some(info.file_base)
}

fn place<const WHICH: usize>(py: Python<'_>) -> PyResult<()> {
    let module = modules::builtin(py, "sys")?;
    let entry = builtin::definition(&module, SETTERS[WHICH].0, ffi::METH_O)?;
    // SAFETY: the table is writable static data of the interpreter (`Python/sysmodule.c`, 3.11-3.15); the flags, which were compared, say
    // which member of the union is set, and ours has the same signature. The GIL is held.
    unsafe {
        THEIRS[WHICH].get_or_init(|| (*entry).ml_meth.PyCFunction);
        (*entry).ml_meth.PyCFunction = set::<WHICH>;
    }
    Ok(())
}

/// # Safety
/// Called by CPython as a function of [`SETTERS`].
unsafe extern "C" fn set<const WHICH: usize>(
    module: *mut ffi::PyObject,
    function: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached, by CPython's calling convention; CPython's own function gets what was meant for it.
    unsafe {
        let py = Python::assume_attached();
        let Some(original) = THEIRS[WHICH].get() else {
            // Cannot be reached: `place` sets it first.
            PySystemError::new_err("debugop lost the function that sets trace functions")
                .restore(py);
            return std::ptr::null_mut();
        };
        let result = original(module, function);
        if !result.is_null() && is_main(py) {
            if SETTERS[WHICH].1 {
                expect_all(py);
            } else {
                expect(py, ffi::PyThreadState_Get());
            }
        }
        result
    }
}

/// # Safety
/// Called by CPython as a `Py_tracefunc`, in the place of the one that `object` names.
extern "C" fn trace(
    object: *mut ffi::PyObject,
    frame: *mut ffi::PyFrameObject,
    event: c_int,
    argument: *mut ffi::PyObject,
) -> c_int {
    // SAFETY: CPython calls trace functions with the thread attached.
    let py = unsafe { Python::assume_attached() };
    if matches!(event, CALL | LINE | OPCODE) && is_main(py) {
        let is_told = catch_unwind(AssertUnwindSafe(|| is_told(py, event)));
        if is_told.is_ok_and(|is_told| !is_told) {
            return 0;
        }
    }
    let Some(function) = trace_object::function(object).or_else(|| LAST.get(py)) else {
        // Cannot be reached: `expect` sets it first.
        PySystemError::new_err("debugop lost a trace function").restore(py);
        return -1;
    };
    #[cfg(Py_3_12)]
    let is_of_jump = event == LINE && is_of_jump(py);
    #[cfg(not(Py_3_12))]
    let is_of_jump = false;
    let thread = begin_telling(
        py,
        match event {
            #[cfg(Py_3_12)]
            LINE if is_of_jump => Some(Instant::JUMPED),
            LINE => Some(Instant::Line),
            OPCODE => Some(Instant::Instruction),
            _ => None,
        },
    );
    #[cfg(not(Py_3_13))]
    let locals = Some(py)
        .filter(|&py| is_main(py))
        .and_then(recorder::Locals::before);
    // SAFETY: the function gets what was meant for it.
    let result = unsafe { function(trace_object::unwrapped(object), frame, event, argument) };
    #[cfg(not(Py_3_13))]
    if let Some(locals) = locals {
        locals.after(py);
    }
    if result < 0 && is_main(py) {
        let told = match event {
            EXCEPTION => Told::Exception,
            _ if is_of_jump => Told::Jump,
            _ => Told::Instruction,
        };
        recorder::refused(py, told);
    }
    if let Some(thread) = thread {
        end_telling(py, thread);
    }
    result
}

/// Calls a callback of the program's, which tells of the running frame `told`, or what is to come, if that is given. `None`: it has raised.
#[cfg(Py_3_12)]
pub(super) fn telling<T>(
    py: Python<'_>,
    event: Option<Instant>,
    told: Told,
    callback: impl FnOnce() -> Option<T>,
) -> Option<T> {
    let thread = begin_telling(py, event);
    let result = callback();
    if result.is_none() {
        recorder::refused(py, told);
    }
    if let Some(thread) = thread {
        end_telling(py, thread);
    }
    result
}

/// Notes down what is going to be told; in which thread, if it is something that is to come.
fn begin_telling(py: Python<'_>, event: Option<Instant>) -> Option<usize> {
    let event = event?;
    let frame = Frame::current(py).filter(|_| is_main(py))?;
    recorder::telling(py);
    let (thread, frame) = (frame.thread_address(), frame.address());
    TELLING.with(py, |telling| {
        telling.push(Telling {
            thread,
            frame,
            event,
        });
    });
    Some(thread)
}

fn end_telling(py: Python<'_>, thread: usize) {
    TELLING.with(py, |telling| {
        let last = telling.iter().rposition(|one| one.thread == thread);
        if let Some(last) = last {
            telling.remove(last);
        }
    });
}

/// Whether the program is to hear of an event of the running frame.
fn is_told(py: Python<'_>, event: c_int) -> bool {
    let Some(frame) = Frame::current(py) else {
        return true;
    };
    let code = frame.code(py);
    let Some(entry) = registry::of_copy(&code) else {
        return true;
    };
    if event == OPCODE {
        let offset = frame.instruction_offset();
        return offset.is_none_or(|offset| entry.tells_opcode(&code, offset));
    }
    #[cfg(Py_3_12)]
    entry.keep_general(&code);
    #[cfg(not(Py_3_12))]
    if event == LINE
        && let Some(offset) = frame.instruction_offset()
    {
        return !entry.is_behind_detour(&code, offset);
    }
    true
}
