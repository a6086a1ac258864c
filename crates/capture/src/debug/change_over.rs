//! 3.11: places where a session that runs stops besides lines, in the bytecode; and how a frame goes over to the copy that has them.
//!
//! Where all the code objects are known that have such places, each gets a site before the instruction ([`Breakpoint::at`]). What a site
//! does is to have the session step: the opcode event of that very instruction asks the owner, as always, and
//! if it does not stop there, the session runs on.
//!
//! A watchpoint on a variable is set in a function that runs already, in other code. As [`crate::probed`] says of frames that leave a copy, the
//! interpreter reads everything of a frame anew where a function returns whose call it has inlined. After an opcode event it reads the next
//! instruction and the stack pointer anew, too: so such an event has the frame execute a `CALL` that is in code of our own
//! ([`Frame::detour`]), and the function that it calls moves the frame. One that a traceback refers to stays, and is traced.

use std::sync::Arc;

use debugop_bytecode::{CodeParts, Op};
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyAnyMethods, PyCode, PyFrame, PyTuple};
use pyo3::{Bound, Py, PyAny, PyResult, Python, ffi};

use super::compiled;
use super::places::{Offsets, original_offset};
use super::session::{self, Session};
use crate::breakpoint::{self, Breakpoint, Listener};
use crate::code_object;
use crate::frame::{CodeShape, Frame};
use crate::function::heap;
use crate::gil::{GilCell, release};
use crate::layout::slot::Content;
use crate::layout::{CodeObject, VERSION};
use crate::probed::mover;
use crate::registry;
use crate::whole::Traceback;

/// What is at instructions of one code object, an original.
struct Placed {
    code: Py<PyCode>,
    offsets: Arc<Offsets>,
    breakpoint: Arc<Breakpoint>,
}

static PLACED: GilCell<Vec<Placed>> = GilCell::new(Vec::new());

/// Has the session step for one look.
struct Looks;

impl Listener for Looks {
    fn stop<'py>(
        &self,
        py: Python<'py>,
        _breakpoint: &Arc<Breakpoint>,
        _frame: &Bound<'py, PyFrame>,
        _raised: bool,
    ) -> PyResult<()> {
        let Some(session) = session::current(py).filter(|session| session.is_running(py)) else {
            return Ok(());
        };
        session.looks.set(py, true);
        compiled::step(py, &session)
    }

    fn log(&self, _: Python<'_>, _: &Arc<Breakpoint>, _: &str) -> PyResult<()> {
        Ok(())
    }
}

/// Adds to `all` what the session has places for now, and says whether that is what there was.
///
/// # Errors
/// What the session's owner raises.
pub(super) fn agree(
    py: Python<'_>,
    session: &Arc<Session>,
    all: &mut Vec<Arc<Breakpoint>>,
) -> PyResult<bool> {
    let wanted = if session.decides && session::all(py).len() == 1 {
        session.known_places(py)?.unwrap_or_default()
    } else {
        Vec::new()
    };
    let old = PLACED.take(py);
    let mut same = old.len() == wanted.len();
    let mut new = Vec::with_capacity(wanted.len());
    for (code, offsets) in wanted {
        let known = old
            .iter()
            .find(|one| one.code.is(&code) && Arc::ptr_eq(&one.offsets, &offsets));
        same &= known.is_some();
        let breakpoint = known.map_or_else(
            || {
                let mut at: Vec<u32> = offsets.always.iter().copied().collect();
                at.sort_unstable();
                let thread = session.thread.get(py);
                Breakpoint::at(code.bind(py), at, thread, Arc::new(Looks))
            },
            |known| Arc::clone(&known.breakpoint),
        );
        all.push(Arc::clone(&breakpoint));
        new.push(Placed {
            code,
            offsets,
            breakpoint,
        });
    }
    release((old, PLACED.replace(py, new)));
    Ok(same)
}

/// A session has ended; says whether it had any.
pub(super) fn forget(py: Python<'_>) -> bool {
    let old = PLACED.take(py);
    let any = !old.is_empty();
    release(old);
    any
}

/// How the innermost frame goes on.
struct Ready<'py> {
    frame: Frame<'py>,
    copy: Bound<'py, PyCode>,
    /// The offset of its instruction there.
    offset: u32,
}

/// The innermost frame, which has an opcode event, if it can go over to the copy of its code that has all breakpoints.
fn ready(py: Python<'_>) -> Option<Ready<'_>> {
    let frame = Frame::current(py)?;
    let code = frame.code(py);
    let entry = registry::of_copy(&code);
    if entry.as_ref().is_some_and(|entry| !entry.is_woven()) {
        return None;
    }
    let original = entry.map_or_else(|| code.clone(), |entry| entry.original(py).clone());
    let copy = breakpoint::copy(&original).filter(|copy| !copy.is(&code))?;
    let target = registry::of_copy(&copy)?;
    let offset = original_offset(&code, frame.instruction_offset())?;
    let at = target.analysis().at_start(offset)?;
    let instruction = target.analysis().get(at);
    let (from, to) = (CodeShape::of(&code), CodeShape::of(&copy));
    let top = target.analysis().depth(at)?.checked_sub(1)?;
    let op = instruction.opcode.info(VERSION)?.op;
    let can = instruction.start == instruction.offset
        // The names of a call's arguments are in a variable of C.
        && !matches!(op, Op::Precall | Op::Call | Op::ExtendedArg)
        && from.nlocalsplus == to.nlocalsplus
        && to.stacksize <= from.stacksize
        // NULL in place of the top, and the function.
        && i64::from(top) + 2 <= i64::from(from.stacksize)
        && matches!(frame.content(&from, top), Content::Object(_))
        && frame.has_saved_top(&from, top);
    let offset = target.copied_opcode(offset).filter(|_| can)?;
    // What is the first unit of an instruction there may be the last one here.
    let before = offset.checked_sub(2)?;
    // SAFETY: a live code object, and a unit within its bytecode.
    let before = unsafe {
        let first = std::ptr::addr_of!((*copy.as_ptr().cast::<CodeObject>()).co_code_adaptive);
        first.cast::<u8>().add(before as usize).read()
    };
    let prefix = Op::ExtendedArg.opcode(VERSION).map(|opcode| opcode.0);
    (Some(before) != prefix).then_some(Ready {
        frame,
        copy,
        offset,
    })
}

/// Whether it can.
pub(super) fn can(py: Python<'_>) -> bool {
    ready(py).is_some()
}

/// Whether a traceback refers to the innermost frame.
fn has_tracebacks(py: Python<'_>) -> bool {
    let Some(frame) = Frame::current(py) else {
        return false;
    };
    let object = frame.object_address();
    let mut found = false;
    heap::visit(py, &mut |one| {
        // SAFETY: a live object; its type says what it is.
        found |= unsafe {
            ffi::Py_TYPE(one) == &raw mut ffi::PyTraceBack_Type
                && (*one.cast::<Traceback>()).tb_frame == object
        };
    });
    found
}

/// A frame that is about to go over.
struct Pending {
    frame: usize,
    copy: Py<PyCode>,
    offset: u32,
    /// What was on top of its stack.
    top: Py<PyAny>,
}

static PENDING: GilCell<Option<Pending>> = GilCell::new(None);

/// The innermost frame goes over, for which [`can`] has said yes, and the session runs.
///
/// # Errors
/// `MemoryError`; what an audit hook raises.
pub(super) fn start(py: Python<'_>, session: &Arc<Session>) -> PyResult<()> {
    if has_tracebacks(py) {
        // Their offsets are in the code that the frame runs now.
        session.behind.set(py, 0);
        return Ok(());
    }
    let (function, pad) = parts(py)?;
    compiled::run(py, session)?;
    // An audit hook may have done anything.
    let ready = ready(py).filter(|ready| ready.frame.is_undisturbed() && session.is_running(py));
    let Some(Ready {
        frame,
        copy,
        offset,
    }) = ready
    else {
        return compiled::step(py, session);
    };
    // SAFETY: a live code object.
    let unit = unsafe { std::ptr::addr_of!((*pad.as_ptr().cast::<CodeObject>()).co_code_adaptive) };
    // SAFETY: `ready` has looked at the stack; the frame is the innermost one, and CPython has called the session's trace function for an
    // opcode event of its. The code of `unit` lives for ever and calls the function, for which there is room (`is_undisturbed`) and
    // in which no other code runs; it moves the frame (`go_on`).
    let top = unsafe { frame.detour(function, unit.cast()) };
    let pending = Pending {
        frame: frame.address(),
        copy: copy.unbind(),
        offset,
        top: top.unbind(),
    };
    PENDING.set(py, Some(pending));
    Ok(())
}

/// Makes what gives up the GIL once.
///
/// # Errors
/// `MemoryError`.
pub(crate) fn prepare(py: Python<'_>) -> PyResult<()> {
    parts(py).map(drop)
}

/// The function that moves the frame that calls it, and code whose first instruction calls it.
fn parts(py: Python<'_>) -> PyResult<(Bound<'_, PyAny>, Bound<'_, PyCode>)> {
    static MADE: PyOnceLock<(Py<PyAny>, Py<PyCode>)> = PyOnceLock::new();
    let (function, pad) = MADE.get_or_try_init(py, || {
        let doc = c"Executing ~change in a function that debugop calls makes the caller go on in other code.";
        let (function, empty) = mover(py, (c"debugop.ChangeOver", doc), go_on)?;
        let call = Op::Call.opcode(VERSION).map_or(0, |opcode| opcode.0);
        // With the caches of a CALL (`Include/internal/pycore_code.h`, 3.11).
        let mut code = vec![call];
        code.resize(10, 0);
        let parts = CodeParts {
            code,
            exception_table: Vec::new(),
            // Five units without a line (`Objects/locations.md`).
            location_table: vec![0x80 | 15 << 3 | 4],
            stack_size: 2,
        };
        let pad = code_object::with_parts(&empty, &parts, &PyTuple::empty(py))?;
        PyResult::Ok((function, pad.unbind()))
    })?;
    Ok((function.bind(py).clone(), pad.bind(py).clone()))
}

/// # Safety
/// Called by CPython as `nb_invert`: in the function that [`start`] has a frame call, if there is one that waits for it.
unsafe extern "C" fn go_on(_: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached, by CPython's calling convention.
    let py = unsafe { Python::assume_attached() };
    let top = PENDING.take(py).and_then(|pending| {
        let caller = Frame::current(py)?.direct_caller();
        let caller = caller.filter(|caller| caller.address() == pending.frame)?;
        // SAFETY: the frame below is the one that waits, whose call of this function was inlined. `ready` has compared the sizes, and the
        // copy comes to the offset with the stack that the frame had, whose top is what the function returns.
        unsafe { caller.go_on_with(pending.copy.into_bound(py), pending.offset) };
        Some(pending.top.into_bound(py))
    });
    top.unwrap_or_else(|| py.None().into_bound(py)).into_ptr()
}
