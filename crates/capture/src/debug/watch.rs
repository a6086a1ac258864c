//! 3.12+: lines with breakpoints, told by `sys.monitoring`, and nothing else.
//!
//! A code object with a breakpoint has local LINE events, and JUMP events because the line that a loop jumps back to from itself is a
//! line event for debuggers (`Python/legacy_tracing.c`, `sys_trace_jump_func`). The first event of every other line, of every
//! jump and of the beginning of every code object without breakpoints answers DISABLE, after which it costs nothing.

use std::sync::Arc;

use debugop_bytecode::Op;
use pyo3::types::{PyAnyMethods, PyCode, PyFrame};
use pyo3::{Bound, Py, PyAny, PyResult, Python, ffi};
use rustc_hash::{FxHashMap, FxHashSet};

use super::places::original_offset;
use super::sentinels;
use super::session::{self, Session};
use super::trampoline;
use super::turns;
use crate::code_object::CodeFields;
use crate::engine::monitoring::{Answer, answer, builtin};
use crate::event::Raised;
use crate::frame::Frame;
use crate::gil::GilCell;
use crate::layout::VERSION;
use crate::modules;
use crate::probed;
use crate::whole::events::as_it_is;

/// The tool's name, which others see.
pub(crate) const NAME: &str = "debugop debugger";

/// `sys.monitoring.DEBUGGER_ID`, and what else is free if somebody has that.
const IDS: [u8; 4] = [0, 1, 2, 5];

/// The tool, as long as a session runs.
#[derive(Default)]
struct State {
    tool: Option<u8>,
    /// How many sessions run.
    users: usize,
    /// Code objects with local events, and which.
    codes: Vec<(Py<PyCode>, u32)>,
    /// What is known of their instructions, by the address of the code object and the offset in it.
    wants: FxHashMap<(usize, u32), Want>,
    /// The instruction behind which [`tell_next`] has asked last, in the same way.
    asked: Option<(usize, u32)>,
    /// Such instructions that are always followed by the same one, which tells.
    settled: FxHashSet<(usize, u32)>,
}

/// When the sessions want to hear of an instruction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Always,
    /// If a place that is watched has changed.
    Changed,
    /// Only if [`tell_next`] has asked.
    Never,
    /// It is none of the program's.
    Inserted,
}

static STATE: GilCell<Option<State>> = GilCell::new(None);

fn state<R>(py: Python<'_>, f: impl FnOnce(&mut State) -> R) -> R {
    STATE.with(py, |state| f(state.get_or_insert_with(State::default)))
}

struct Interface<'py> {
    monitoring: Bound<'py, PyAny>,
    events: Bound<'py, PyAny>,
}

impl<'py> Interface<'py> {
    fn new(py: Python<'py>) -> PyResult<Self> {
        let monitoring = modules::sys(py, c"monitoring")?;
        let events = monitoring.getattr("events")?;
        Ok(Self { monitoring, events })
    }

    fn event(&self, name: &str) -> PyResult<u32> {
        self.events.getattr(name)?.extract()
    }

    fn union(&self, names: &[&str]) -> PyResult<u32> {
        names
            .iter()
            .try_fold(0, |all, name| Ok(all | self.event(name)?))
    }
}

/// Events that tell of code which begins or goes on.
const GLOBAL: [&str; 3] = ["PY_START", "PY_RESUME", "PY_THROW"];
/// Events of a code object with breakpoints.
const LOCAL: [&str; 2] = ["LINE", "JUMP"];
/// Events of a code object with instructions that a session wants to hear of.
const INSTRUCTIONS: [&str; 1] = ["INSTRUCTION"];
/// Events of exceptions: where they are raised and wherever they come to.
const EXCEPTIONS: [&str; 1] = ["RAISE"];

/// A session begins to run; says whether there was a tool identifier for it.
pub(super) fn enter(py: Python<'_>) -> PyResult<bool> {
    probed::keep(py);
    if state(py, |state| state.tool.is_none()) {
        let Some(id) = take_tool(py)? else {
            return Ok(false);
        };
        state(py, |state| state.tool = Some(id));
    }
    state(py, |state| state.users += 1);
    refresh(py)?;
    Ok(true)
}

fn take_tool(py: Python<'_>) -> PyResult<Option<u8>> {
    let interface = Interface::new(py)?;
    let monitoring = &interface.monitoring;
    for id in IDS {
        if !monitoring.call_method1("get_tool", (id,))?.is_none() {
            continue;
        }
        monitoring.call_method1("use_tool_id", (id, NAME))?;
        let callbacks = [
            ("PY_START", builtin(py, begin)?),
            ("PY_RESUME", builtin(py, begin)?),
            ("PY_THROW", builtin(py, thrown)?),
            ("LINE", builtin(py, line)?),
            ("JUMP", builtin(py, jump)?),
            ("INSTRUCTION", builtin(py, instruction)?),
            ("RAISE", builtin(py, raised)?),
        ];
        for (name, callback) in &callbacks {
            let event = interface.event(name)?;
            as_it_is(py, || {
                monitoring.call_method1("register_callback", (id, event, callback))
            })?;
        }
        return Ok(Some(id));
    }
    Ok(None)
}

/// Breakpoints have changed, or a session has begun to run: everything is looked at anew.
pub(super) fn refresh(py: Python<'_>) -> PyResult<()> {
    let Some(tool) = state(py, |state| state.tool) else {
        return Ok(());
    };
    clear(py, tool)?;
    let interface = Interface::new(py)?;
    let monitoring = &interface.monitoring;
    let mut events = interface.union(&GLOBAL)?;
    if session::all(py).iter().any(|one| one.hears_exceptions(py)) {
        events |= interface.union(&EXCEPTIONS)?;
    }
    monitoring.call_method1("set_events", (tool, events))?;
    monitoring.call_method0("restart_events")?;
    // What is on the stack of this thread has begun already.
    let mut frame = Frame::current(py);
    while let Some(one) = frame {
        watch_if_wanted(py, &one.code(py))?;
        frame = one.previous();
    }
    Ok(())
}

/// A session runs no more; with the last one nothing is left.
pub(super) fn leave(py: Python<'_>) -> PyResult<()> {
    let tool = state(py, |state| {
        state.users = state.users.saturating_sub(1);
        if state.users == 0 {
            state.tool.take()
        } else {
            None
        }
    });
    let Some(tool) = tool else {
        return Ok(());
    };
    clear(py, tool)?;
    let interface = Interface::new(py)?;
    let monitoring = &interface.monitoring;
    monitoring.call_method1("set_events", (tool, 0))?;
    for name in [&GLOBAL[..], &LOCAL, &INSTRUCTIONS, &EXCEPTIONS].concat() {
        let event = interface.event(name)?;
        as_it_is(py, || {
            monitoring.call_method1("register_callback", (tool, event, py.None()))
        })?;
    }
    monitoring.call_method1("free_tool_id", (tool,))?;
    Ok(())
}

/// Takes the local events away.
fn clear(py: Python<'_>, tool: u8) -> PyResult<()> {
    state(py, |state| {
        state.wants.clear();
        state.settled.clear();
        state.asked = None;
    });
    for (code, _) in state(py, |state| std::mem::take(&mut state.codes)) {
        set_local(py, tool, code.bind(py), 0)?;
    }
    Ok(())
}

fn set_local(py: Python<'_>, tool: u8, code: &Bound<'_, PyCode>, events: u32) -> PyResult<()> {
    let monitoring = modules::sys(py, c"monitoring")?;
    as_it_is(py, || {
        monitoring.call_method1("set_local_events", (tool, code, events))
    })?;
    Ok(())
}

/// Which local events `code` has.
fn local(py: Python<'_>, code: &Bound<'_, PyCode>) -> u32 {
    state(py, |state| {
        let found = state.codes.iter().find(|(one, _)| one.is(code));
        found.map_or(0, |(_, events)| *events)
    })
}

/// Gives `code` these local events and no others.
fn give(py: Python<'_>, code: &Bound<'_, PyCode>, events: u32) -> PyResult<()> {
    let tool = state(py, |state| {
        let tool = state.tool?;
        match state.codes.iter().position(|(one, _)| one.is(code)) {
            Some(at) => state.codes[at].1 = events,
            None => state.codes.push((code.clone().unbind(), events)),
        }
        Some(tool)
    });
    match tool {
        Some(tool) => set_local(py, tool, code, events),
        None => Ok(()),
    }
}

/// Whether `code` has a breakpoint of any session that line events tell of, or an instruction that one wants to hear of; if so it has local events afterwards.
fn watch_if_wanted(py: Python<'_>, code: &Bound<'_, PyCode>) -> PyResult<bool> {
    if local(py, code) != 0 {
        return Ok(true);
    }
    let (mut lines, mut instructions) = (false, false);
    let complete = crate::breakpoint::is_complete(code);
    for session in session::all(py) {
        lines |= !complete && session.breaks_in(code)?;
        let offsets = session.offsets(code)?;
        instructions |= offsets.is_some_and(|offsets| offsets.any_running());
    }
    if !lines && !instructions {
        return Ok(false);
    }
    let interface = Interface::new(py)?;
    let mut events = 0;
    if lines {
        events |= interface.union(&LOCAL)?;
    }
    if instructions {
        events |= interface.union(&INSTRUCTIONS)?;
    }
    give(py, code, events)?;
    Ok(true)
}

/// The frame object of the running frame.
fn frame_object(py: Python<'_>) -> Option<Bound<'_, PyFrame>> {
    Frame::current(py)?.object(py)?.cast_into::<PyFrame>().ok()
}

/// PY_START(code, offset), PY_RESUME(code, offset).
unsafe extern "C" fn begin(
    _: *mut ffi::PyObject,
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: the arguments are passed on as they came.
    unsafe {
        answer(args, count, |py, code, _, _| {
            begun(py, code).map_err(|error| Raised::set(py, error))
        })
    }
}

/// PY_THROW(code, offset, exception), which cannot be disabled.
unsafe extern "C" fn thrown(
    _: *mut ffi::PyObject,
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: the arguments are passed on as they came.
    unsafe {
        answer(args, count, |py, code, _, _| {
            begun(py, code).map_err(|error| Raised::set(py, error))?;
            Ok(Answer::Go)
        })
    }
}

fn begun(py: Python<'_>, code: &Bound<'_, PyCode>) -> PyResult<Answer> {
    if !watch_if_wanted(py, code)? && !crate::breakpoint::is_complete(code) {
        return Ok(Answer::Disable);
    }
    let Some(session) = session::current(py).filter(|session| session.hears_calls) else {
        // A session of another thread may want to hear of its calls.
        let heard = session::all(py).iter().any(|session| session.hears_calls);
        return Ok(if heard { Answer::Go } else { Answer::Disable });
    };
    if session.breaks_in(code)? {
        deliver(py, &session, "call")?;
    }
    Ok(Answer::Go)
}

/// Hands the running frame's event over.
fn deliver(py: Python<'_>, session: &Arc<Session>, event: &str) -> PyResult<()> {
    let Some(frame) = frame_object(py) else {
        return Ok(());
    };
    let dispatch = session.dispatch.bind(py).clone();
    // As if its call had been told: what is asked for now, a step perhaps, goes by the frame's own trace function.
    frame.setattr("f_trace", &dispatch)?;
    let tell = || trampoline::call_python(&dispatch, &frame, event);
    let result = session.hand_over(py, &frame, || match event {
        "line" => session.before_instruction(&frame, tell),
        _ => tell(),
    });
    if result.is_err() {
        frame.setattr("f_trace", py.None())?;
    }
    result.map(drop)
}

/// LINE(code, line).
unsafe extern "C" fn line(
    _: *mut ffi::PyObject,
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: the arguments are passed on as they came.
    unsafe {
        answer(args, count, |py, code, line, _| {
            reached(py, code, line).map_err(|error| Raised::set(py, error))
        })
    }
}

/// JUMP(code, from, to).
unsafe extern "C" fn jump(
    _: *mut ffi::PyObject,
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: the arguments are passed on as they came.
    unsafe {
        answer(args, count, |py, code, from, to| {
            let to = to.and_then(|to| to.extract::<u32>().ok());
            let Some(to) = to.filter(|&to| to <= from) else {
                return Ok(Answer::Disable);
            };
            let (line, before) = (line_at(code, to), line_at(code, from));
            if line != before {
                // The line's own event tells.
                return Ok(Answer::Disable);
            }
            reached(py, code, line).map_err(|error| Raised::set(py, error))
        })
    }
}

fn line_at(code: &Bound<'_, PyCode>, offset: u32) -> u32 {
    let offset = std::ffi::c_int::try_from(offset).unwrap_or(std::ffi::c_int::MAX);
    // SAFETY: a live code object; an offset that is not its own gives -1.
    let line = unsafe { ffi::PyCode_Addr2Line(code.as_ptr().cast(), offset) };
    u32::try_from(line).unwrap_or(0)
}

/// A breakpoint that is compiled into `code`, which runs, has been reached: what is executed next tells of its line.
pub(super) fn arm(py: Python<'_>, code: &Bound<'_, PyCode>) -> PyResult<()> {
    if state(py, |state| state.tool.is_none()) {
        return Ok(());
    }
    let interface = Interface::new(py)?;
    let (has, lines) = (local(py, code), interface.union(&LOCAL)?);
    if has & lines == lines {
        return Ok(());
    }
    interface.monitoring.call_method0("restart_events")?;
    give(py, code, has | lines)
}

/// The line event has come; if the session steps now, everything has been taken away already.
fn disarm(py: Python<'_>, code: &Bound<'_, PyCode>) -> PyResult<()> {
    let has = local(py, code);
    if has == 0 {
        return Ok(());
    }
    give(py, code, has & !Interface::new(py)?.union(&LOCAL)?)
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
            place(py, code, offset).map_err(|error| Raised::set(py, error))
        })
    }
}

/// The instruction at `offset` of `code` is about to be executed.
fn place(py: Python<'_>, code: &Bound<'_, PyCode>, offset: u32) -> PyResult<Answer> {
    let at = (code.as_ptr() as usize, offset);
    let want = match state(py, |state| state.wants.get(&at).copied()) {
        Some(want) => want,
        None => learn(py, code, offset)?,
    };
    if !concerns(py) {
        let go = want != Want::Never || sentinels::is_told(py);
        return Ok(if go { Answer::Go } else { Answer::Disable });
    }
    let asks = match want {
        Want::Inserted => return Ok(Answer::Disable),
        Want::Always => true,
        Want::Changed | Want::Never => sentinels::changed(py),
    };
    if !asks {
        return Ok(match want {
            Want::Never => Answer::Disable,
            _ => Answer::Go,
        });
    }
    let go = want != Want::Never || settle(py, code, at)?;
    ask(
        py,
        |session, frame| session.stops_at_place(frame),
        Session::stop_at_place,
    )?;
    Ok(if go { Answer::Go } else { Answer::Disable })
}

/// Whether a session that runs may stop in this thread.
fn concerns(py: Python<'_>) -> bool {
    let own = session::current(py);
    own.map_or_else(
        || turns::follows(py),
        |session| session.is_running(py) && !session.is_inside(py),
    )
}

/// Asks the session for this thread whether it `stops` at the running frame; if so, `tell` tells the owner.
fn ask(
    py: Python<'_>,
    stops: impl FnOnce(&Arc<Session>, &Bound<'_, PyFrame>) -> PyResult<bool>,
    tell: impl FnOnce(&Arc<Session>, &Bound<'_, PyFrame>) -> PyResult<()>,
) -> PyResult<()> {
    let Some(session) = turns::for_stop(py)? else {
        return Ok(());
    };
    let asked = match frame_object(py) {
        Some(frame) => stops(&session, &frame).and_then(|stops| {
            if stops {
                stop(&session, &frame, tell)
            } else {
                Ok(())
            }
        }),
        None => Ok(()),
    };
    session.end_turn(py);
    asked
}

/// When the sessions want to hear of the instruction at `offset` of `code`.
fn learn(py: Python<'_>, code: &Bound<'_, PyCode>, offset: u32) -> PyResult<Want> {
    let mut want = Want::Inserted;
    if let Some(original) = original_offset(code, Some(offset)) {
        want = Want::Never;
        for session in session::all(py) {
            let Some(offsets) = session.offsets(code)? else {
                continue;
            };
            if offsets.always.contains(&original) {
                want = Want::Always;
            } else if want == Want::Never && offsets.changed.contains(&original) {
                want = Want::Changed;
            }
        }
    }
    let at = (code.as_ptr() as usize, offset);
    state(py, |state| {
        // Others are not kept alive.
        if state.codes.iter().any(|(one, _)| one.is(code)) {
            state.wants.insert(at, want);
        }
    });
    Ok(want)
}

/// What cannot be followed by anything but the next instruction, but where it raises.
const STORES: [Op; 8] = [
    Op::StoreName,
    Op::StoreGlobal,
    Op::StoreAttr,
    Op::StoreSubscr,
    Op::DeleteName,
    Op::DeleteGlobal,
    Op::DeleteAttr,
    Op::DeleteSubscr,
];

/// The instruction `at` is the first one behind a change. Says whether it is always asked from now on: then [`tell_next`] has nothing to do.
fn settle(py: Python<'_>, code: &Bound<'_, PyCode>, at: (usize, u32)) -> PyResult<bool> {
    let Some(asked) = state(py, |state| state.asked.take()) else {
        return Ok(false);
    };
    if asked.0 != at.0 || local(py, code) == 0 {
        return Ok(false);
    }
    let fields = CodeFields::read(code)?;
    let opcode = fields.view().code.get(asked.1 as usize).copied();
    if opcode.is_none()
        || !STORES
            .iter()
            .any(|store| store.opcode(VERSION).map(|known| known.0) == opcode)
    {
        return Ok(false);
    }
    state(py, |state| {
        state.settled.insert(asked);
        state.wants.insert(at, Want::Changed);
    });
    Ok(true)
}

/// For how many frames below the running one events are asked for.
const MOST_FRAMES: usize = 100;

/// A place that is watched is about to be changed by the instruction that this thread executes: the first one behind it tells.
pub(super) fn tell_next(py: Python<'_>) -> PyResult<()> {
    if !concerns(py) {
        return Ok(());
    }
    let Some(frame) = Frame::current(py) else {
        return Ok(());
    };
    let asked = frame
        .instruction_offset()
        .map(|offset| (frame.code_address(), offset));
    let settled = state(py, |state| {
        state.asked = asked;
        asked.is_some_and(|asked| state.settled.contains(&asked))
    });
    if settled {
        return Ok(());
    }
    let instructions = Interface::new(py)?.union(&INSTRUCTIONS)?;
    // Where an exception leaves the frame, one of its callers tells.
    let mut done = FxHashSet::default();
    let mut next = Some(frame);
    while let Some(frame) = next.filter(|_| done.len() < MOST_FRAMES) {
        if done.insert(frame.code_address()) {
            let code = frame.code(py);
            let has = local(py, &code);
            if has & instructions != 0 {
                // Those that are disabled come again when all have been taken away.
                give(py, &code, has & !instructions)?;
            }
            give(py, &code, has | instructions)?;
        }
        next = frame.previous();
    }
    Ok(())
}

/// RAISE(code, offset, exception), which cannot be disabled.
unsafe extern "C" fn raised(
    _: *mut ffi::PyObject,
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: the arguments are passed on as they came.
    unsafe {
        answer(args, count, |py, _, _, exception| {
            if let Some(exception) = exception
                && concerns(py)
            {
                let asked = ask(
                    py,
                    |session, frame| {
                        Ok(session.hears_exceptions(py)
                            && session.stops_at_exception(frame, &exception, None)?)
                    },
                    Session::stop_at_exception,
                );
                asked.map_err(|error| Raised::set(py, error))?;
            }
            Ok(Answer::Go)
        })
    }
}

/// Has `tell` tell the owner of where it stops.
fn stop(
    session: &Arc<Session>,
    frame: &Bound<'_, PyFrame>,
    tell: impl FnOnce(&Arc<Session>, &Bound<'_, PyFrame>) -> PyResult<()>,
) -> PyResult<()> {
    frame.setattr("f_trace", session.dispatch.bind(frame.py()))?;
    let result = tell(session, frame);
    if result.is_err() {
        frame.setattr("f_trace", frame.py().None())?;
    }
    result
}

/// `line` of `code` is about to be executed.
fn reached(py: Python<'_>, code: &Bound<'_, PyCode>, line: u32) -> PyResult<Answer> {
    let own = session::current(py);
    let complete = crate::breakpoint::is_complete(code);
    let mut wanted = false;
    for session in session::all(py) {
        let Some(breakpoints) = session.breaks_at(code, line)? else {
            continue;
        };
        wanted = true;
        let is_own = own.as_ref().is_some_and(|own| Arc::ptr_eq(own, &session));
        if !is_own && (complete || !session.follows) {
            continue;
        }
        let Some(frame) = frame_object(py) else {
            continue;
        };
        if session.follows && turns::for_stop(py)?.is_none() {
            continue;
        }
        let answer = || {
            if complete {
                Ok(session.has_answer(&frame))
            } else if let Some(stops) = crate::breakpoint::reached_by_event(code, line)? {
                Ok(stops)
            } else {
                session.is_in_effect(&breakpoints, &frame)
            }
        };
        let stops = answer();
        if !matches!(stops, Ok(true)) {
            session.end_turn(py);
        }
        let stops = stops?;
        if stops {
            let outcome = deliver(py, &session, "line");
            // Breakpoints that have changed meanwhile are in another copy, and events tell of them in this one.
            if complete && crate::breakpoint::is_complete(code) {
                disarm(py, code)?;
            }
            outcome?;
        }
    }
    // CPython leaves out the INSTRUCTION event of an instruction whose LINE event has just answered DISABLE (`instrument` in
    // `INSTRUMENTED_LINE` goes on with what was there before it; seen on 3.12.1 and 3.13.0).
    Ok(if wanted || is_place(py)? {
        Answer::Go
    } else {
        Answer::Disable
    })
}

/// Whether some session may want to hear of the instruction that the running frame is at.
fn is_place(py: Python<'_>) -> PyResult<bool> {
    for session in session::all(py) {
        if session.may_be_place(py)? {
            return Ok(true);
        }
    }
    Ok(false)
}
