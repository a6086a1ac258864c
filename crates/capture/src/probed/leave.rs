//! How frames that run on when nobody watches any more leave the copy: they are moved to the original.
//!
//! What the interpreter goes on with in a frame (its code, the next instruction, the stack pointer) it keeps in registers while the frame runs and while
//! it calls C functions. It reads all that anew from the frame where a Python function returns whose call it has inlined. So behind
//! the code of copies with loops there is a detour ([`debugop_bytecode::Detour`]) for each loop (`yield from` and `await` are loops), to which one of its
//! probes is made to jump (of copies with breakpoints: for each breakpoint in a loop, if there may be an object on the stack):
//!
//! ```text
//! LOAD_CONST <site>; UNARY_INVERT      # `ProbedCode::leave`: a function of ours if the frame can be moved now, otherwise NoneType
//! PUSH_NULL; CALL 0; POP_TOP           # 3.11, 3.12: PUSH_NULL first
//! JUMP_BACKWARD_NO_INTERRUPT           # behind the probe
//! ```
//!
//! The function has three instructions, `LOAD_CONST <move>; UNARY_INVERT; RETURN_VALUE`, of which the second moves the frame below. What a function returns is
//! pushed; so a frame is moved where the instruction before has left an object on top of its stack: that is taken off and returned.
//!
//! The function has no `RESUME`. Therefore nothing of the program's runs in it (only there and at backward jumps the interpreter looks
//! for signals, other threads and garbage), it is never instrumented, and its frame counts as incomplete, which no traceback and no
//! `sys._getframe` shows. From the moment that `leave` says yes to the return of the function nothing else happens.
//!
//! A frame stays, and asks again when it comes by the next time, while
//!
//! - its thread has a trace or profile function, or the copy or the original is instrumented (3.12+);
//! - the recursion limit is near;
//! - somebody holds its frame object, and not only in tracebacks, whose offsets are changed.
//!
//! After [`MOST_REFUSALS`] the probe is jumped over as others are. The JIT knows which code an inlined call returns to; with it there is no detour taken.

use std::ffi::CStr;

use debugop_bytecode::{Analysis, CodeParts, Detour, InstrIdx, Op, Opcode, Place, Version};
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCode, PyDict, PyTuple};
use pyo3::{Bound, Py, PyAny, PyResult, Python, ffi};

use super::silence::Live;
use super::{ProbedCode, SiteInfo};
use crate::code_object;
use crate::frame::{CodeShape, Frame};
use crate::function::heap;
use crate::gil::GilCell;
use crate::invert_type::{self, Unary};
use crate::layout::VERSION;
use crate::layout::slot::Content;
use crate::whole::Traceback;

/// How often frames of one copy may ask in vain.
const MOST_REFUSALS: u32 = 100;

/// As how many counts a walk over the heap that finds no more than that others hold the frame.
const WALK: u32 = MOST_REFUSALS / 3;

/// A detour's code, which loads this constant.
pub(crate) fn sequence(constant: usize) -> Vec<(Opcode, u32)> {
    let all: &[Op] = match VERSION {
        Version::V3_11 => &[
            Op::PushNull,
            Op::LoadConst,
            Op::UnaryInvert,
            Op::Precall,
            Op::Call,
            Op::PopTop,
        ],
        Version::V3_12 => &[
            Op::PushNull,
            Op::LoadConst,
            Op::UnaryInvert,
            Op::Call,
            Op::PopTop,
        ],
        _ => &[
            Op::LoadConst,
            Op::UnaryInvert,
            Op::PushNull,
            Op::Call,
            Op::PopTop,
        ],
    };
    let arg = |op: Op| {
        if op == Op::LoadConst {
            constant as u32
        } else {
            0
        }
    };
    let one = |&op: &Op| (op.opcode(VERSION).unwrap_or(Opcode(0)), arg(op));
    all.iter().map(one).collect()
}

/// The detours with these sequences.
pub(super) fn detours<'a>(
    places: &[(usize, InstrIdx)],
    sequences: &'a [Vec<(Opcode, u32)>],
) -> Vec<Detour<'a>> {
    let both = places.iter().zip(sequences);
    both.map(|(&(insertion, _), sequence)| Detour {
        insertion,
        sequence,
    })
    .collect()
}

/// Where frames leave code that has sites at `places`.
pub(super) fn places(
    analysis: &Analysis,
    places: &[Place],
    sites: &[SiteInfo],
) -> Vec<(usize, InstrIdx)> {
    debugop_bytecode::leaving_places(analysis, places, |number| !sites[number].is_summing())
}

impl SiteInfo {
    /// In place of a depth: it stands in a detour.
    const LEAVES: u32 = u32::MAX - 2;

    /// A site in the detour of the probe with the site of this number, which moves frames to `next`. It counts among those that have something
    /// to do besides reporting.
    pub(super) fn leaving(probe: usize, next: InstrIdx) -> Self {
        Self {
            first: next,
            further: probe as u32,
            count: Self::STORES,
            depth: Self::LEAVES,
        }
    }

    /// The number of the site of its detour's probe.
    pub(crate) fn probe(self) -> usize {
        self.further as usize
    }

    /// Whether it stands in a detour.
    #[inline]
    pub(crate) fn leaves(self) -> bool {
        self.depth == Self::LEAVES
    }
}

/// A frame that is about to be moved.
struct Leaving {
    /// Its address, and that of the copy.
    frame: usize,
    copy: usize,
    shape: CodeShape,
    depth: u32,
    original: Py<PyCode>,
    /// Where it goes on there, in bytes.
    offset: u32,
    /// Tracebacks that refer to it, and their offsets in the original.
    tracebacks: Vec<(Py<PyAny>, u32)>,
}

/// What a detour has said yes to. At most one: what it calls comes next.
static LEAVING: GilCell<Option<Leaving>> = GilCell::new(None);

impl Leaving {
    fn let_go(self, py: Python<'_>) {
        self.original.drop_ref(py);
        for (traceback, _) in self.tracebacks {
            traceback.drop_ref(py);
        }
    }
}

impl ProbedCode {
    /// What a detour is to call: a new reference. `site` is its site.
    #[cold]
    pub(crate) fn leave(&self, py: Python<'_>, site: &SiteInfo) -> *mut ffi::PyObject {
        let function = MOVER.get(py);
        match (function, self.leaving(py, site.first)) {
            (Some(function), Ok(leaving)) => {
                if let Some(old) = LEAVING.replace(py, Some(leaving)) {
                    old.let_go(py);
                }
                return function.clone_ref(py).into_ptr();
            }
            (_, Err(refusals)) if self.silenced.get(py) => {
                let before = self.refusals.get(py);
                let now = before.saturating_add(refusals);
                self.refusals.set(py, now);
                if before < MOST_REFUSALS && now >= MOST_REFUSALS {
                    self.stay(py);
                }
            }
            _ => {}
        }
        // SAFETY: the type of a live object, of which the caller gets a reference.
        unsafe { ffi::Py_NewRef(ffi::Py_TYPE(ffi::Py_None()).cast()) }
    }

    /// How the running frame goes on with `next` in the original, or as how many refusals it counts that it cannot.
    fn leaving(&self, py: Python<'_>, next: InstrIdx) -> Result<Leaving, u32> {
        let (frame, shape) = self.running(py).ok_or(1_u32)?;
        let copy = self.probed(py).ok_or(1_u32)?;
        let depth = self.analysis().depth(next).ok_or(1_u32)?;
        let can = || {
            frame.code_address() == copy.as_ptr() as usize
                && self.silenced.get(py)
                && !self.has_watchers(py)
                && frame.is_undisturbed()
                && is_quiet(&copy, self.original(py))
        };
        // Of the original such a slot would have offsets in the copy.
        if self.is_woven() && (0..depth).any(|slot| self.holds_lasti(next, slot)) {
            return Err(1);
        }
        let top = depth.checked_sub(1).map(|top| frame.content(shape, top));
        if !matches!(top, Some(Content::Object(_))) || !can() {
            return Err(1);
        }
        let tracebacks = self.tracebacks(py, frame).ok_or(WALK)?;
        let leaving = Leaving {
            frame: frame.address(),
            copy: frame.code_address(),
            shape: *shape,
            depth,
            original: self.original.clone_ref(py),
            offset: self.analysis().get(next).start,
            tracebacks: tracebacks
                .into_iter()
                .map(|(one, at)| (one.unbind(), at))
                .collect(),
        };
        // To find tracebacks can run code of the program's (an audit hook on 3.11).
        if can() {
            return Ok(leaving);
        }
        leaving.let_go(py);
        Err(1)
    }

    /// The tracebacks that refer to `frame`, each with its offset in the original, which is what it counts in once the frame is moved. `None`
    /// if others hold the frame's object too, or one of them is in what is only in the copy.
    fn tracebacks<'py>(
        &self,
        py: Python<'py>,
        frame: Frame<'_>,
    ) -> Option<Vec<(Bound<'py, PyAny>, u32)>> {
        let found = tracebacks_of(py, frame);
        if frame.is_held() {
            // SAFETY: the frame has a reference to it.
            let holders = unsafe { ffi::Py_REFCNT(frame.object_address()) } - 1;
            if usize::try_from(holders) != Ok(found.len()) {
                return None;
            }
        }
        let offset = |traceback: Bound<'py, PyAny>| {
            // SAFETY: it is one.
            let lasti = unsafe { (*traceback.as_ptr().cast::<Traceback>()).tb_lasti };
            let offset = self.shown_offset(u32::try_from(lasti).ok()?)?;
            Some((traceback, offset))
        };
        found.into_iter().map(offset).collect()
    }
}

/// The tracebacks that refer to `frame`.
pub(super) fn tracebacks_of<'py>(py: Python<'py>, frame: Frame<'_>) -> Vec<Bound<'py, PyAny>> {
    let mut found = Vec::new();
    if !frame.is_held() {
        return found;
    }
    let object = frame.object_address();
    heap::visit(py, &mut |one| {
        // SAFETY: a live object; its type says what it is.
        unsafe {
            if ffi::Py_TYPE(one) == &raw mut ffi::PyTraceBack_Type
                && (*one.cast::<Traceback>()).tb_frame == object
            {
                found.push(Bound::from_borrowed_ptr(py, one));
            }
        }
    });
    found
}

/// Whether neither the copy, which a frame runs, nor the original is instrumented for anything: the original had no events when it was last called, and has
/// none in its bytecode.
fn is_quiet(copy: &Bound<'_, PyCode>, original: &Bound<'_, PyCode>) -> bool {
    [copy, original]
        .into_iter()
        .all(|code| Live::of(code).is_quiet())
}

/// The function that moves the frame that calls it.
static MOVER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Makes it. The garbage collector does not know it, so that it is not found among the program's functions.
///
/// # Errors
/// `MemoryError`.
pub(crate) fn prepare(py: Python<'_>) -> PyResult<()> {
    if MOVER.get(py).is_some() {
        return Ok(());
    }
    let doc = c"Executing ~leave in a function that debugop calls makes the caller go on in its own code.";
    let (function, _) = mover(py, (c"debugop.Leave", doc), go_on)?;
    MOVER.get_or_init(py, || function);
    Ok(())
}

/// A function that executes `~object`, which is `invert`, and returns what that answers: `invert` moves the frame that has called it. The object's type has this name
/// and documentation. And an empty code object.
pub(crate) fn mover<'py>(
    py: Python<'py>,
    type_of: (&'static CStr, &'static CStr),
    invert: Unary,
) -> PyResult<(Py<PyAny>, Bound<'py, PyCode>)> {
    let object = invert_type::single(py, type_of, invert_type::by_name, invert)?;
    // SAFETY: the code object is made by CPython's own function, with a name and no bytecode of use; a new reference, or NULL with an exception.
    let empty = unsafe {
        let empty = ffi::PyCode_NewEmpty(c"<debugop>".as_ptr(), c"leave".as_ptr(), 1);
        Bound::from_owned_ptr_or_err(py, empty.cast())?.cast_into_unchecked::<PyCode>()
    };
    let opcode = |op: Op| op.opcode(VERSION).map_or(0, |opcode| opcode.0);
    let parts = CodeParts {
        code: [Op::LoadConst, Op::UnaryInvert, Op::ReturnValue]
            .into_iter()
            .flat_map(|op| [opcode(op), 0])
            .collect(),
        exception_table: Vec::new(),
        // Three units without a line (`Objects/locations.md`).
        location_table: vec![0x80 | 15 << 3 | 2],
        stack_size: 1,
    };
    let code = code_object::with_parts(&empty, &parts, &PyTuple::new(py, [object])?)?;
    // SAFETY: both are alive, a code object and a dictionary; a new reference to a function, or NULL with an exception. What is never
    // freed need not be tracked.
    unsafe {
        let globals = PyDict::new(py);
        let function = ffi::PyFunction_New(code.as_ptr(), globals.as_ptr());
        let function = Bound::from_owned_ptr_or_err(py, function)?;
        ffi::PyObject_GC_UnTrack(function.as_ptr().cast());
        Ok((function.unbind(), empty))
    }
}

/// # Safety
/// Called by CPython as `nb_invert`: in the function that a detour has called, if there is a frame that waits for it.
unsafe extern "C" fn go_on(_: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached, by CPython's calling convention.
    let py = unsafe { Python::assume_attached() };
    let top = LEAVING.take(py).and_then(|leaving| {
        let caller = Frame::current(py)?.direct_caller();
        let caller = caller.filter(|caller| {
            caller.address() == leaving.frame && caller.code_address() == leaving.copy
        });
        let Some(caller) = caller else {
            leaving.let_go(py);
            return None;
        };
        let original = leaving.original.into_bound(py);
        // SAFETY: the caller's frame is below this one, which is no entry of C code, so its call was inlined; that it is the one for which
        // `leave` has just said yes shows that it is in the detour, and nothing has run since. The original has the copy's variables
        // (`with_parts`), the copy's stack is as large or larger, and a detour stands where the same instruction comes next in both.
        let top =
            unsafe { caller.go_on_in(&leaving.shape, leaving.depth, original, leaving.offset) };
        for (traceback, offset) in leaving.tracebacks {
            if top.is_some() {
                // SAFETY: a live traceback; the field is a plain number.
                unsafe { (*traceback.as_ptr().cast::<Traceback>()).tb_lasti = offset.cast_signed() }
            }
            traceback.drop_ref(py);
        }
        top
    });
    top.unwrap_or_else(|| py.None().into_bound(py)).into_ptr()
}
