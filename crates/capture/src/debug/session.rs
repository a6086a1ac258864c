//! Sessions of a `bdb.Bdb`: which events enter Python.
//!
//! A session belongs to the thread that started it and is in one of two modes. *Stepping*, the thread has a trace function that calls
//! `Bdb.trace_dispatch`, with the events that may stop there only. *Running*, after `continue`, it has none: breakpoints are in the bytecode, and from 3.12 on
//! [`watch`](super::watch) has the interpreter tell of what cannot be there and of nothing else; 3.11 cannot do that and
//! goes on stepping where there is such a thing ([`compiled::tells_all`]).
//!
//! What may stop is decided by the attributes that every version's `Bdb` has (`stopframe`, `stoplineno`, `returnframe`, `breaks`),
//! generously: whatever may stop is handed to the standard library's own `dispatch_*`, which decide exactly. Where a
//! subclass has methods of its own in their place, everything is handed over.

use std::ffi::c_int;
use std::sync::Arc;

use pyo3::types::{PyAnyMethods, PyCode, PyFrame, PyList};
use pyo3::{Bound, Py, PyAny, PyResult, Python, ffi, intern};

use super::breakpoint::{self, Effective, Lines, Table};
#[cfg(not(Py_3_12))]
use super::change_over;
use super::compiled;
use super::places::Places;
use super::sentinels;
use super::trampoline::{self, Event};
use super::turns::{self, following, has_gone_over};
#[cfg(Py_3_12)]
use super::watch;
use crate::frame::Frame;
use crate::gil::{GilCell, release};
use crate::modules;
use crate::registry;
use crate::thread;

/// One thread's debugger.
pub(super) struct Session {
    /// The address of the thread's state.
    pub(super) thread: GilCell<usize>,
    /// It goes over to whichever thread comes to a stop ([`turns`]).
    pub(super) follows: bool,
    /// The thread that it was started in, and its `botframe`.
    pub(super) home: GilCell<(usize, Option<Py<PyAny>>)>,
    /// The `Bdb`.
    pub(super) owner: Py<PyAny>,
    /// Its bound `trace_dispatch`.
    pub(super) dispatch: Py<PyAny>,
    /// `Breakpoint`, the class.
    pub(super) breakpoints: Py<PyAny>,
    /// No method that decides what stops has been replaced.
    pub(super) decides: bool,
    /// `user_call` has been replaced.
    pub(super) hears_calls: bool,
    table: GilCell<Table>,
    pub(super) mode: GilCell<Mode>,
    /// Breakpoints have come or gone.
    stale: GilCell<bool>,
    /// Opcode events have been asked for.
    opcodes: GilCell<bool>,
    /// Events that are being handed over.
    pub(super) inside: GilCell<u32>,
    /// What Python is going to ask.
    answer: GilCell<Option<Answer>>,
    /// What stops besides lines.
    pub(super) places: GilCell<Places>,
    /// The address of the frame object whose next instruction has not begun, while that is being handed over; 0: none.
    before: GilCell<usize>,
    /// 3.11: the address of the object of the only frame that runs other code than it should; 0: none.
    #[cfg(not(Py_3_12))]
    pub(super) behind: GilCell<usize>,
    /// 3.11: it steps only until it has looked at a place in the bytecode.
    #[cfg(not(Py_3_12))]
    pub(super) looks: GilCell<bool>,
}

/// The breakpoint that is in effect in a frame.
struct Answer {
    /// The address of the frame object.
    frame: usize,
    breakpoint: Py<PyAny>,
    deletable: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Starting,
    Stepping,
    Running,
}

/// What a session is started with.
pub struct Start<'a, 'py> {
    /// The `Bdb`.
    pub owner: &'a Bound<'py, PyAny>,
    /// Its bound `trace_dispatch`.
    pub dispatch: &'a Bound<'py, PyAny>,
    /// The class of its breakpoints.
    pub breakpoints: &'a Bound<'py, PyAny>,
    /// No method of the class that decides what stops is other than the standard library's.
    pub decides: bool,
    /// `user_call` is.
    pub hears_calls: bool,
}

pub(super) static SESSIONS: GilCell<Vec<Arc<Session>>> = GilCell::new(Vec::new());

/// This thread's session.
pub(super) fn current(py: Python<'_>) -> Option<Arc<Session>> {
    let thread = thread::address(py);
    SESSIONS.with(py, |sessions| {
        sessions
            .iter()
            .find(|one| one.thread.get(py) == thread)
            .cloned()
    })
}

/// All of them.
pub(super) fn all(py: Python<'_>) -> Vec<Arc<Session>> {
    SESSIONS.cloned(py)
}

/// Starts a session in this thread, in place of the one that it has.
///
/// # Errors
/// What setting a trace function raises; TypeError: `owner.breaks` is not a dictionary of lists.
pub fn start(start: &Start<'_, '_>) -> PyResult<()> {
    let py = start.owner.py();
    let follows = start
        .owner
        .getattr_opt(intern!(py, "_follows_threads"))?
        .map_or(Ok(false), |follows| follows.is_truthy())?;
    let follows = follows && cfg!(Py_3_12);
    if follows {
        turns::take(py)?;
    }
    stop(py)?;
    let mut home = (thread::address(py), None);
    if let Some(other) = following(py).filter(|one| one.owner.is(start.owner)) {
        home = other.home.take(py);
        other.end(py)?;
    }
    let session = Arc::new(Session {
        thread: GilCell::new(thread::address(py)),
        follows,
        home: GilCell::new(home),
        owner: start.owner.clone().unbind(),
        dispatch: start.dispatch.clone().unbind(),
        breakpoints: start.breakpoints.clone().unbind(),
        decides: start.decides,
        hears_calls: start.hears_calls,
        table: GilCell::new(Table::default()),
        mode: GilCell::new(Mode::Starting),
        stale: GilCell::new(true),
        opcodes: GilCell::new(false),
        inside: GilCell::new(0),
        answer: GilCell::new(None),
        places: GilCell::default(),
        before: GilCell::new(0),
        #[cfg(not(Py_3_12))]
        behind: GilCell::new(0),
        #[cfg(not(Py_3_12))]
        looks: GilCell::new(false),
    });
    SESSIONS.with(py, |sessions| sessions.push(Arc::clone(&session)));
    compiled::begin(py)?;
    // A turn that has been taken ends with the first event that is handed over.
    session.settle(py)
}

/// Ends this thread's session, if there is one; the thread has no trace function afterwards, whoever has set it.
///
/// # Errors
/// As for [`start`].
pub fn stop(py: Python<'_>) -> PyResult<()> {
    let at_home = |one: &Arc<Session>| one.home.with(py, |home| home.0) == thread::address(py);
    if let Some(session) = following(py).filter(at_home) {
        // Another thread may be in the middle of a stop.
        let own = turns::is_own(py);
        turns::take(py)?;
        let ended = if session.is_over(py) {
            Ok(())
        } else {
            session.end(py)
        };
        if !own {
            turns::end(py);
        }
        ended?;
    } else if let Some(session) = current(py) {
        session.end(py)?;
    }
    trampoline::set_trace(py.None().bind(py))
}

/// As [`breakpoint::effective`]; what has been found out already for the event that is being handed over is not asked again.
///
/// # Errors
/// What the attributes of the breakpoints raise.
pub fn effective<'py>(
    breakpoints: &Bound<'py, PyAny>,
    frame: &Bound<'py, PyFrame>,
) -> PyResult<Effective<'py>> {
    let py = frame.py();
    let answer = current(py).and_then(|session| session.answer.take(py));
    match answer {
        Some(answer) if answer.frame == frame.as_ptr() as usize => {
            Ok(Some((answer.breakpoint.into_bound(py), answer.deletable)))
        }
        _ => breakpoint::effective(breakpoints, frame),
    }
}

/// What `owner` has to stop at is different now.
///
/// # Errors
/// As for [`start`].
pub fn changed(owner: &Bound<'_, PyAny>, breaks: bool) -> PyResult<()> {
    let py = owner.py();
    let sessions = SESSIONS.cloned(py);
    for session in sessions.iter().filter(|one| one.owner.is(owner)) {
        if breaks {
            session.stale.set(py, true);
        }
        // An event that is being handed over settles when it is done; another thread's session when it has an event.
        if session.inside.get(py) == 0 && session.thread.get(py) == thread::address(py) {
            session.settle(py)?;
        }
    }
    Ok(())
}

/// As [`super::set_places`].
pub(super) fn set_places(owner: &Bound<'_, PyAny>, places: impl Fn() -> Places) -> PyResult<()> {
    let py = owner.py();
    for session in &SESSIONS.cloned(py) {
        if session.owner.is(owner) {
            release(session.places.replace(py, places()));
        }
    }
    changed(owner, true)
}

/// Prints what a log point says: the debugger's own output, `message` of `pdb.Pdb`, or the standard output that the process started with.
///
/// # Errors
/// What writing raises.
pub(super) fn say(owner: &Bound<'_, PyAny>, text: &str) -> PyResult<()> {
    let py = owner.py();
    if let Some(message) = owner.getattr_opt(intern!(py, "message"))? {
        return message.call1((text,)).map(drop);
    }
    let output = modules::sys(py, c"__stdout__")?;
    if output.is_none() {
        return Ok(());
    }
    output.call_method1(intern!(py, "write"), (format!("{text}\n"),))?;
    output.call_method0(intern!(py, "flush")).map(drop)
}

impl Session {
    /// Runs `hand_over`, while `frame` is about to execute an instruction.
    pub(super) fn before_instruction<T>(
        &self,
        frame: &Bound<'_, PyFrame>,
        hand_over: impl FnOnce() -> PyResult<T>,
    ) -> PyResult<T> {
        let py = frame.py();
        let outer = self.before.replace(py, frame.as_ptr() as usize);
        let result = hand_over();
        self.before.set(py, outer);
        result
    }

    /// Whether `frame` is stopped, about to execute an instruction.
    pub(super) fn is_before_instruction(&self, frame: &Bound<'_, PyFrame>) -> bool {
        self.before.get(frame.py()) == frame.as_ptr() as usize
    }

    /// Whether it has been ended, or another one has taken its place.
    pub(super) fn is_over(self: &Arc<Self>, py: Python<'_>) -> bool {
        SESSIONS.with(py, |sessions| {
            !sessions.iter().any(|one| Arc::ptr_eq(one, self))
        })
    }

    fn end(self: &Arc<Self>, py: Python<'_>) -> PyResult<()> {
        let gone = SESSIONS.with(py, |sessions| {
            let at = sessions.iter().position(|one| Arc::ptr_eq(one, self));
            at.map(|at| sessions.remove(at))
        });
        release(gone);
        if SESSIONS.with(py, |sessions| sessions.is_empty()) {
            sentinels::set(py, Vec::new())?;
        }
        compiled::forget(py)?;
        #[cfg(Py_3_12)]
        if self.mode.get(py) == Mode::Running {
            watch::leave(py)?;
        }
        Ok(())
    }

    pub(super) fn attribute<'py>(
        &self,
        py: Python<'py>,
        name: &Bound<'py, pyo3::types::PyString>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.owner.bind(py).getattr(name)
    }

    /// Whether only breakpoints stop: what `set_continue` asks for.
    fn wants_to_run(&self, py: Python<'_>) -> PyResult<bool> {
        if !self.decides || self.attribute(py, intern!(py, "quitting"))?.is_truthy()? {
            return Ok(false);
        }
        let bottom = self.attribute(py, intern!(py, "botframe"))?;
        if bottom.is_none()
            || !self.attribute(py, intern!(py, "stopframe"))?.is(&bottom)
            || !self.attribute(py, intern!(py, "returnframe"))?.is_none()
            || !self.attribute(py, intern!(py, "stoplineno"))?.eq(-1)?
        {
            return Ok(false);
        }
        // An exception that ends an iteration stops where the bottom frame is a generator (`Bdb.dispatch_exception`).
        let bottom = bottom.cast_into::<PyFrame>()?;
        Ok(!breakpoint::suspends(py, &breakpoint::code_of(&bottom))?)
    }

    /// Brings the mode and the table of breakpoints into agreement with what the owner wants.
    pub(super) fn settle(self: &Arc<Self>, py: Python<'_>) -> PyResult<()> {
        let stale = self.stale.replace(py, false);
        if stale {
            let table = Table::read(&self.attribute(py, intern!(py, "breaks"))?)?;
            drop(self.table.replace(py, table));
        }
        let before = self.mode.get(py);
        let mut after = Mode::Stepping;
        #[cfg_attr(not(Py_3_12), expect(unused_variables, reason = "nothing to refresh"))]
        let stale = if self.wants_to_run(py)? {
            let changed = compiled::agree(py, self)?;
            if compiled::tells_all(py, self, changed)? {
                after = Mode::Running;
            }
            stale || changed
        } else {
            stale
        };
        self.mode.set(py, after);
        if after == Mode::Stepping {
            compiled::pause(py, self);
        }
        match (before, after) {
            #[cfg(Py_3_12)]
            (Mode::Running, Mode::Running) => {
                if stale {
                    watch::refresh(py)?;
                }
            }
            #[cfg(not(Py_3_12))]
            (_, Mode::Running) => trampoline::set_trace(py.None().bind(py))?,
            #[cfg(Py_3_12)]
            (_, Mode::Running) => {
                trampoline::set_trace(py.None().bind(py))?;
                if !watch::enter(py)? {
                    // Every tool identifier is taken.
                    self.mode.set(py, Mode::Stepping);
                    self.trace(py)?;
                }
            }
            (Mode::Stepping, Mode::Stepping) => {
                if self.has_places(py) {
                    self.prepare_all(py)?;
                }
                // 3.12 looks only when a trace function is set whether some frame wants opcode events (gh-114480).
                let opcodes = self.has_instructions(py)? || self.has_places(py);
                if opcodes && !self.opcodes.replace(py, opcodes) {
                    self.trace(py)?;
                }
            }
            _ => {
                #[cfg(Py_3_12)]
                if before == Mode::Running {
                    watch::leave(py)?;
                }
                if self.has_places(py) {
                    self.prepare_all(py)?;
                    self.opcodes.set(py, true);
                }
                self.trace(py)?;
            }
        }
        Ok(())
    }

    /// Whether it goes on to the next stop without a trace function.
    pub(super) fn is_running(&self, py: Python<'_>) -> bool {
        self.mode.get(py) == Mode::Running
    }

    /// Whether an event is being handed over.
    #[cfg(Py_3_12)]
    pub(super) fn is_inside(&self, py: Python<'_>) -> bool {
        self.inside.get(py) > 0
    }

    pub(super) fn trace(&self, py: Python<'_>) -> PyResult<()> {
        trampoline::set_with(self.dispatch.bind(py), step)
    }

    /// Frames that were entered while running have no trace function yet, which they would have if their calls had been told.
    pub(super) fn arm_callers(&self, py: Python<'_>, frame: &Bound<'_, PyFrame>) -> PyResult<()> {
        let bottom = self.attribute(py, intern!(py, "botframe"))?;
        let owner = self.owner.bind(py);
        let mut at = frame.getattr(intern!(py, "f_back"))?;
        while !at.is_none() && !at.is(&bottom) {
            if at.getattr(intern!(py, "f_trace"))?.is_none()
                && owner
                    .call_method1(intern!(py, "break_anywhere"), (&at,))?
                    .is_truthy()?
            {
                at.setattr(intern!(py, "f_trace"), &self.dispatch)?;
            }
            at = at.getattr(intern!(py, "f_back"))?;
        }
        Ok(())
    }

    /// The breakpoints in the file of `code`; `None` if there are none.
    fn lines(&self, code: &Bound<'_, PyCode>) -> PyResult<Option<Arc<Lines>>> {
        let py = code.py();
        if let Some(known) = self.table.with(py, |table| table.known(code)) {
            return Ok(known);
        }
        let name = breakpoint::filename(code)?;
        let owner = self.owner.bind(py);
        let canonic: String = owner
            .call_method1(intern!(py, "canonic"), (&name,))?
            .extract()?;
        Ok(self.table.with(py, |table| table.learn(name, &canonic)))
    }

    /// Whether `code` has a line with a breakpoint.
    pub(super) fn breaks_in(&self, code: &Bound<'_, PyCode>) -> PyResult<bool> {
        match self.lines(code)? {
            Some(lines) => lines.any_in(code),
            None => Ok(false),
        }
    }

    /// The breakpoints that may be in effect at `line` of `code`. Every line that is reached is asked about here.
    pub(super) fn breaks_at<'py>(
        &self,
        code: &Bound<'py, PyCode>,
        line: u32,
    ) -> PyResult<Option<Bound<'py, PyList>>> {
        let Some(lines) = self.lines(code)? else {
            return Ok(None);
        };
        let placed = self
            .breakpoints
            .bind(code.py())
            .getattr(intern!(code.py(), "bplist"))?;
        lines.any_at(code, line, &placed)
    }

    /// Whether one of `breakpoints` is in effect in `frame`. Python is told of it and asks for the answer again, which it gets from
    /// [`effective`].
    pub(super) fn is_in_effect<'py>(
        &self,
        breakpoints: &Bound<'py, PyList>,
        frame: &Bound<'py, PyFrame>,
    ) -> PyResult<bool> {
        let answer = self.interruptible(frame.py(), || {
            trampoline::with_locals(frame, || breakpoint::effective(breakpoints.as_any(), frame))
        })?;
        let Some((breakpoint, deletable)) = answer else {
            return Ok(false);
        };
        self.decide(frame, breakpoint.unbind(), deletable);
        Ok(true)
    }

    /// Runs `f`, which evaluates a condition and is not traced: an interrupt ends it, where `pdb.Pdb` would else set a trace function
    /// that nothing calls.
    fn interruptible<T>(&self, py: Python<'_>, f: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
        let (owner, name) = (self.owner.bind(py), intern!(py, "allow_kbdint"));
        let Some(before) = owner.getattr_opt(name)? else {
            return f();
        };
        owner.setattr(name, true)?;
        let result = f();
        owner.setattr(name, before)?;
        result
    }

    /// `breakpoint` is in effect in `frame`.
    pub(super) fn decide(
        &self,
        frame: &Bound<'_, PyFrame>,
        breakpoint: Py<PyAny>,
        deletable: bool,
    ) {
        let answer = Answer {
            frame: frame.as_ptr() as usize,
            breakpoint,
            deletable,
        };
        release(self.answer.replace(frame.py(), Some(answer)));
    }

    /// Whether one has been found to be in effect in `frame`, and Python has not been told yet.
    pub(super) fn has_answer(&self, frame: &Bound<'_, PyFrame>) -> bool {
        let address = frame.as_ptr() as usize;
        self.answer.with(frame.py(), |answer| {
            answer
                .as_ref()
                .is_some_and(|answer| answer.frame == address)
        })
    }

    /// Whether `Bdb.stop_here` may say yes.
    fn stops_here(&self, py: Python<'_>, frame: &Bound<'_, PyFrame>) -> PyResult<bool> {
        let stop = self.attribute(py, intern!(py, "stopframe"))?;
        if !stop.is(frame) {
            return Ok(stop.is_none());
        }
        let line = self.attribute(py, intern!(py, "stoplineno"))?;
        Ok(!line.eq(-1)? && !line.gt(breakpoint::line_of(frame))?)
    }

    /// Whether `Bdb.trace_dispatch` may do something with an event.
    fn concerns(&self, py: Python<'_>, frame: &Bound<'_, PyFrame>, event: Event) -> PyResult<bool> {
        if !self.decides || self.attribute(py, intern!(py, "quitting"))?.is_truthy()? {
            return Ok(true);
        }
        match event {
            Event::Call => Ok(self.attribute(py, intern!(py, "botframe"))?.is_none()
                || self.stops_here(py, frame)?
                || self.lines(&breakpoint::code_of(frame))?.is_some()),
            Event::Line => {
                // 3.11: one that is compiled into the code.
                if self.stops_here(py, frame)? || self.has_answer(frame) {
                    return Ok(true);
                }
                let line = breakpoint::line_of(frame);
                match self.breaks_at(&breakpoint::code_of(frame), line)? {
                    Some(breakpoints) => self.is_in_effect(&breakpoints, frame),
                    None => Ok(false),
                }
            }
            Event::Return => Ok(self.stops_here(py, frame)?
                || self.attribute(py, intern!(py, "returnframe"))?.is(frame)),
            Event::Exception => {
                let stop = self.attribute(py, intern!(py, "stopframe"))?;
                if self.stops_here(py, frame)? || stop.is(frame) {
                    return self.stops_here(py, frame);
                }
                let stop = stop.cast_into::<PyFrame>()?;
                breakpoint::suspends(py, &breakpoint::code_of(&stop))
            }
            // What is left of going by instruction; before 3.13 `trace_dispatch` does not know the event.
            Event::Opcode => Ok(!self
                .attribute(py, intern!(py, "_has_gone_by_instruction"))?
                .is_truthy()?
                || self
                    .owner
                    .bind(py)
                    .hasattr(intern!(py, "dispatch_opcode"))?),
            Event::Other => Ok(true),
        }
    }

    /// Whether the owner goes from instruction to instruction by itself: `debugop.bdb.Bdb._by_instruction`.
    fn has_instructions(&self, py: Python<'_>) -> PyResult<bool> {
        self.attribute(py, intern!(py, "_by_instruction"))?
            .is_truthy()
    }

    /// An instruction is about to be executed, in a frame that has opcode events.
    fn opcode(self: &Arc<Self>, py: Python<'_>, frame: &Bound<'_, PyFrame>) -> PyResult<()> {
        if self.is_place(py)? && self.stops_at_place(frame)? {
            return self
                .stop_at_place(frame)
                .inspect_err(|_| trampoline::forget(frame));
        }
        if self.has_instructions(py)? {
            return self.instruction(py, frame);
        }
        #[cfg(not(Py_3_12))]
        if self.inside.get(py) == 0 {
            if self.looks.replace(py, false) {
                return self.settle(py);
            }
            if self.behind.get(py) == frame.as_ptr() as usize
                && change_over::can(py)
                && self.wants_to_run(py)?
            {
                return change_over::start(py, self);
            }
        }
        Ok(())
    }

    /// An instruction is about to be executed, and the owner wants to know.
    fn instruction(self: &Arc<Self>, py: Python<'_>, frame: &Bound<'_, PyFrame>) -> PyResult<()> {
        let owner = self.owner.bind(py);
        self.hand_over(py, frame, || {
            self.before_instruction(frame, || {
                trampoline::with_locals(frame, || {
                    owner.call_method1(intern!(py, "_at_instruction"), (frame,))
                })
            })
            .inspect_err(|_| trampoline::forget(frame))
            .map(drop)
        })
    }

    /// Runs `hand_over`, which calls `trace_dispatch`, and settles. A failure ends the session.
    pub(super) fn hand_over<T>(
        self: &Arc<Self>,
        py: Python<'_>,
        frame: &Bound<'_, PyFrame>,
        hand_over: impl FnOnce() -> PyResult<T>,
    ) -> PyResult<T> {
        if self.follows {
            turns::take(py)?;
        }
        if self.is_running(py) {
            // Now, because breakpoints may be gone afterwards.
            self.arm_callers(py, frame)?;
        }
        compiled::tell_counts(py)?;
        compiled::pause(py, self);
        self.inside.set(py, self.inside.get(py) + 1);
        let result = hand_over();
        release(self.answer.take(py));
        self.inside.set(py, self.inside.get(py) - 1);
        if let Err(error) = &result {
            crate::breakpoint::failed(py, error);
        }
        let outcome = if self.is_over(py) {
            result
        } else {
            match result {
                Ok(value) => self.settle(py).map(|()| value),
                Err(error) => self.end(py).and(Err(error)),
            }
        };
        self.end_turn(py);
        outcome
    }
}

/// Whether the running frame is at an instruction that is not the program's: a breakpoint's or a probe's.
fn is_inserted(py: Python<'_>) -> bool {
    let Some(frame) = Frame::current(py) else {
        return false;
    };
    registry::of_copy(&frame.code(py))
        .zip(frame.instruction_offset())
        .is_some_and(|(entry, offset)| entry.original_unit(offset).is_none())
}

/// The C trace function of a thread that steps; `dispatch` is the session's.
extern "C" fn step(
    dispatch: *mut ffi::PyObject,
    frame: *mut ffi::PyFrameObject,
    event: c_int,
    argument: *mut ffi::PyObject,
) -> c_int {
    trampoline::guarded(|py| {
        // SAFETY: CPython hands over a live frame object.
        let object =
            unsafe { Bound::from_borrowed_ptr(py, frame.cast()).cast_into_unchecked::<PyFrame>() };
        // SAFETY: what CPython has called us with is passed on.
        let deliver = || unsafe { trampoline::deliver(py, dispatch, frame, event, argument) };
        let kind = Event::of(event);
        let session = current(py);
        // SAFETY: what the thread has as its trace function's object, which outlives the call.
        if session.is_none() && has_gone_over(&unsafe { Bound::from_borrowed_ptr(py, dispatch) }) {
            return trampoline::set_trace(py.None().bind(py));
        }
        if kind != Event::Call && !trampoline::has_local(&object) {
            return Ok(());
        }
        if kind == Event::Opcode && is_inserted(py) {
            return Ok(());
        }
        match session {
            Some(session) if kind == Event::Opcode && session.has_places(py) => {
                session.opcode(py, &object)
            }
            #[cfg(not(Py_3_12))]
            Some(session)
                if kind == Event::Opcode && session.behind.get(py) == object.as_ptr() as usize =>
            {
                session.opcode(py, &object)
            }
            Some(session) if kind == Event::Opcode && session.has_instructions(py)? => {
                session.instruction(py, &object)
            }
            Some(session) if kind == Event::Call && session.has_places(py) => {
                if session.concerns(py, &object, kind)? {
                    session.hand_over(py, &object, deliver)?;
                }
                if session.is_over(py) || session.mode.get(py) != Mode::Stepping {
                    return Ok(());
                }
                session.prepare(&object)
            }
            Some(session) if kind == Event::Exception && session.hears_exceptions(py) => {
                // SAFETY: CPython hands over (type, value, traceback), alive as long as the call.
                let raised = unsafe { Bound::from_borrowed_ptr_or_opt(py, argument) };
                if let Some(raised) = raised {
                    let (value, traceback) = (raised.get_item(1)?, raised.get_item(2)?);
                    if session.stops_at_exception(&object, &value, Some(traceback))? {
                        return session
                            .stop_at_exception(&object)
                            .inspect_err(|_| trampoline::forget(&object));
                    }
                }
                if !session.concerns(py, &object, kind)? {
                    return Ok(());
                }
                session.hand_over(py, &object, deliver)
            }
            Some(session) => {
                if !session.concerns(py, &object, kind)? {
                    return Ok(());
                }
                session.hand_over(py, &object, || match kind {
                    Event::Line | Event::Opcode => session.before_instruction(&object, deliver),
                    _ => deliver(),
                })?;
                match kind {
                    Event::Return => session.leave_thread(py, &object),
                    _ => Ok(()),
                }
            }
            None => deliver(),
        }
    })
}
