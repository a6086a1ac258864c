//! Whole programs: every function that there is or will be, whoever makes or calls it.
//!
//! Everything that runs bytecode runs through a function object: the bodies of modules and classes, and what `exec` and
//! `eval` are given, get one made for them (`PyEval_EvalCode`, `Python/ceval.c`). So it is enough to see each function when it
//! is made, and to give it the probed copy of its code before it is called for the first time:
//!
//! - 3.12+: CPython tells of each new function ([`watcher`]).
//! - 3.11: the few ways by which code comes to run that is not made by probed code ([`roots`]).
//! - Assignment to `__code__` ([`setter`]).
//! - The functions that exist already are found by a walk over the heap.
//!
//! The program is shown the originals all the same ([`shown`]).

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use debugop_filter::CodeFilter;
use pyo3::types::{PyAnyMethods, PyBytesMethods, PyCode, PyFunction, PyTupleMethods};
use pyo3::{Bound, Py, PyResult, Python, ffi};

use crate::breakpoint;
use crate::code_object;
use crate::engine;
use crate::extra;
use crate::function;
use crate::gil::GilCell;
use crate::interpreter::is_main;
use crate::probed::{ProbeError, ProbedCode};
use crate::registry;
use crate::tracer::Tracer;

#[cfg(Py_3_12)]
pub(crate) mod events;
mod marshalled;
mod referrers;
#[cfg(not(Py_3_12))]
mod roots;
mod setter;
mod shown;
mod sizes;
mod told;
mod trace_object;
#[cfg(Py_3_12)]
mod watcher;

#[cfg(not(Py_3_12))]
use roots as births;
#[cfg(not(Py_3_12))]
pub(crate) use roots::makes;
pub(crate) use setter::GetSetDescriptor;
pub(crate) use shown::Traceback;
pub(crate) use told::{
    Instant, expect_all as expect_trace_functions, goes_on_elsewhere, is_telling, meet, told_of,
};
pub(crate) use trace_object::of_thread as trace_object;
#[cfg(Py_3_12)]
use watcher as births;

/// A tracer that watches whole programs.
struct Member {
    tracer: Arc<Tracer>,
    filter: CodeFilter,
}

impl Member {
    fn wants(&self, code: &Bound<'_, PyCode>, module: &str) -> bool {
        function::allowed(&self.filter, code, module)
    }
}

static MEMBERS: GilCell<Option<Rc<[Member]>>> = GilCell::new(None);

/// Counts the changes of [`MEMBERS`]: what nobody wanted in an earlier generation somebody may want now.
static GENERATION: GilCell<u64> = GilCell::new(0);

/// Probed copies that were made last: code that is run again and again (`exec` in a loop) is probed once, and code that is
/// run once does not accumulate.
static RECENT: GilCell<Recent> = GilCell::new(Recent {
    copies: VecDeque::new(),
    weight: 0,
});

struct Recent {
    copies: VecDeque<Kept>,
    /// What they weigh together ([`weight`]).
    weight: usize,
}

/// A copy that is kept.
struct Kept {
    code: Py<PyCode>,
    /// The original, which the copy keeps alive.
    original: *mut ffi::PyObject,
    weight: usize,
}

/// How many of the last copies [`sweep`] looks at: modules that import one another, and what they run.
const SWEPT: usize = 8;

/// The weight of [`RECENT`], at most.
const RECENT_LIMIT: usize = 1 << 17;

/// How much memory a probed copy takes, in probed instructions of about 90 bytes: its own, and as many as the rest takes.
fn weight(code: &ProbedCode) -> usize {
    code.length() + 32
}

/// Makes what [`hide_copies`] needs; to be called when debugop is imported.
///
/// # Errors
/// The interpreter is not as it should be.
pub(crate) fn prepare(py: Python<'_>) -> PyResult<()> {
    #[cfg(not(Py_3_12))]
    function::heap::prepare(py)?;
    referrers::prepare(py)
}

/// From now on the program is shown originals in place of copies: there is going to be one.
///
/// # Errors
/// The interpreter is not as it should be.
pub(crate) fn hide_copies(py: Python<'_>) -> PyResult<()> {
    shown::watch(py)?;
    sizes::watch(py);
    told::watch(py)?;
    marshalled::watch(py)?;
    referrers::watch(py)?;
    #[cfg(Py_3_12)]
    events::watch(py)?;
    Ok(())
}

/// `copy` of `original` is new: what tools have asked for the one is asked for the other.
///
/// # Errors
/// `MemoryError`.
pub(crate) fn hand_on_events(
    original: &Bound<'_, PyCode>,
    copy: &Bound<'_, PyCode>,
) -> PyResult<()> {
    #[cfg(Py_3_12)]
    return events::hand_on(original, copy);
    #[cfg(not(Py_3_12))]
    {
        let _ = (original, copy);
        Ok(())
    }
}

/// Ends that, if there is no copy any more.
pub(crate) fn hide_nothing(py: Python<'_>) {
    if registry::all(py).is_empty() {
        shown::unwatch(py);
        #[cfg(Py_3_12)]
        events::unwatch(py);
    }
}

/// `tracer` watches every function whose code `filter` allows.
///
/// # Errors
/// CPython refuses to tell of new functions.
pub(crate) fn join(py: Python<'_>, tracer: &Arc<Tracer>, filter: CodeFilter) -> PyResult<()> {
    births::watch(py)?;
    setter::watch(py)?;
    change_members(py, |members| {
        members.push(Member {
            tracer: Arc::clone(tracer),
            filter,
        });
    });
    for code in registry::all(py).iter().filter(|code| !code.is_woven()) {
        attach(py, code);
    }
    for function in function::all(py) {
        adopt_existing(&function)?;
    }
    Ok(())
}

/// [`replacement`] is asked about every new function from now on.
///
/// # Errors
/// CPython refuses to tell of new functions.
pub(crate) fn see_functions(py: Python<'_>) -> PyResult<()> {
    births::watch(py)?;
    setter::watch(py)
}

/// There are no breakpoints any more.
pub(crate) fn see_functions_no_more(py: Python<'_>) {
    if MEMBERS.cloned(py).is_none() {
        births::unwatch(py);
        setter::unwatch(py);
    }
}

/// `tracer` watches nothing new any more.
pub(crate) fn leave(py: Python<'_>, tracer: &Arc<Tracer>) {
    if !is_member(py, tracer) {
        return;
    }
    change_members(py, |members| {
        members.retain(|member| !Arc::ptr_eq(&member.tracer, tracer));
    });
    if MEMBERS.cloned(py).is_none() {
        if !breakpoint::sees_functions(py) {
            births::unwatch(py);
            setter::unwatch(py);
        }
        let copies = RECENT.with(py, |recent| {
            recent.weight = 0;
            std::mem::take(&mut recent.copies)
        });
        drop(copies);
    }
}

fn is_member(py: Python<'_>, tracer: &Arc<Tracer>) -> bool {
    let members = MEMBERS.cloned(py);
    members.is_some_and(|members| {
        members
            .iter()
            .any(|member| Arc::ptr_eq(&member.tracer, tracer))
    })
}

fn change_members(py: Python<'_>, change: impl FnOnce(&mut Vec<Member>)) {
    let old = MEMBERS.cloned(py);
    let mut members = old
        .iter()
        .flat_map(|members| members.iter())
        .map(|member| Member {
            tracer: Arc::clone(&member.tracer),
            filter: member.filter.clone(),
        })
        .collect();
    change(&mut members);
    let members = (!members.is_empty()).then(|| Rc::from(members));
    drop(MEMBERS.replace(py, members));
    GENERATION.set(py, GENERATION.get(py) + 1);
}

/// Makes every tracer that wants `code` watch it.
fn attach(py: Python<'_>, code: &Arc<ProbedCode>) {
    for member in MEMBERS.cloned(py).iter().flat_map(|members| members.iter()) {
        if member.wants(code.original(py), code.names().module) {
            member.tracer.attach(py, code);
        }
    }
}

/// Whether `code` was made by `PyCode_NewEmpty` (`Objects/codeobject.c`), for C code that puts frames of its own into tracebacks, as
/// pyexpat and every module of Cython's does. It raises `AssertionError` and is never run.
///
/// `PyFrame_New` makes a function of such code, and then lets the frame point into the code that it was given. If the function had
/// another one by then, the frame's instruction would be anywhere.
fn is_placeholder(code: &Bound<'_, PyCode>) -> bool {
    /// `PY_CODE_LOCATION_INFO_NO_COLUMNS` in the head of an entry of the location table.
    const ONE_LINE: u8 = 0x80 | 13 << 3;
    code_object::consts(code).is_empty()
        && matches!(code_object::lines(code).as_bytes(), [head, 0] if head & 0xf8 == ONE_LINE)
}

/// The probed copy that is to run in place of `code` in the module `module`; `None` if nobody wants it, if it is one already, or
/// if it cannot be probed.
///
/// # Errors
/// What CPython raises, such as `MemoryError`.
pub(crate) fn replacement<'py>(
    code: &Bound<'py, PyCode>,
    module: impl FnOnce() -> String,
) -> PyResult<Option<Bound<'py, PyCode>>> {
    let py = code.py();
    if !is_main(py) {
        return Ok(None);
    }
    let woven = registry::of_copy(code).filter(|entry| entry.is_woven());
    let code = woven.as_ref().map_or(code, |entry| entry.original(py));
    let generation = GENERATION.get(py);
    let broken = || breakpoint::replacement_of_root(code);
    let known = extra::peek(code, |extra| {
        (
            extra.unwanted.get(py) == generation,
            extra.copy_of.with(py, |code| code.is_some()),
        )
    });
    match known {
        Some((_, true)) => return Ok(None),
        Some((true, false)) => return broken(),
        _ => {}
    }
    if let Some((entry, copy)) = registry::find(code)
        && entry.has_watchers(py)
    {
        return Ok(Some(copy));
    }
    let Some(members) = MEMBERS.cloned(py) else {
        return broken();
    };
    if is_placeholder(code) {
        extra::with(code, |extra| extra.unwanted.set(py, generation))?;
        return Ok(None);
    }
    let module = module();
    let wanted =
        |code: &Bound<'_, PyCode>| members.iter().any(|member| member.wants(code, &module));
    let outcome = if wanted(code) {
        registry::obtain(code, &module, &wanted)
    } else {
        extra::with(code, |extra| extra.unwanted.set(py, generation))?;
        return broken();
    };
    match outcome {
        Ok((entry, copy)) => {
            attach_all(py, &entry)?;
            engine::share(py, &entry, &copy)?;
            keep(py, &entry, &copy);
            Ok(Some(copy))
        }
        Err(ProbeError::Python(error)) => Err(error),
        Err(error) => {
            extra::with(code, |extra| extra.unwanted.set(py, generation))?;
            let reason = error.to_string();
            for member in members.iter().filter(|member| member.wants(code, &module)) {
                member.tracer.tell_left_out(code, &reason)?;
            }
            Ok(None)
        }
    }
}

/// [`attach`] for `code` and what is nested in it; whoever wants what is nested and left as it is is told.
fn attach_all(py: Python<'_>, code: &Arc<ProbedCode>) -> PyResult<()> {
    attach(py, code);
    for (refused, reason) in code.refused(py) {
        for member in MEMBERS.cloned(py).iter().flat_map(|members| members.iter()) {
            if member.wants(&refused, code.names().module) {
                member.tracer.tell_left_out(&refused, &reason)?;
            }
        }
    }
    code.nested()
        .iter()
        .try_for_each(|nested| attach_all(py, nested))
}

/// Keeps the copy for a while.
fn keep(py: Python<'_>, entry: &ProbedCode, copy: &Bound<'_, PyCode>) {
    let weight = weight(entry);
    let mut dropped = Vec::new();
    RECENT.with(py, |recent| {
        recent.copies.push_back(Kept {
            code: copy.clone().unbind(),
            original: entry.original(py).as_ptr(),
            weight,
        });
        recent.weight += weight;
        while recent.weight > RECENT_LIMIT
            && let Some(copy) = recent.copies.pop_front()
        {
            recent.weight -= copy.weight;
            dropped.push(copy.code);
        }
    });
    for copy in dropped {
        copy.drop_ref(py);
    }
}

/// Lets go of the last copies whose original nobody has any more: what has been run once from a text. Code objects die when they would
/// without debugop, at least as long as functions come and go.
pub(crate) fn sweep(py: Python<'_>) {
    if !is_main(py) {
        return;
    }
    let copies = RECENT.with(py, |recent| {
        let first = recent.copies.len().saturating_sub(SWEPT);
        let mut dropped = Vec::new();
        for place in (first..recent.copies.len()).rev() {
            // SAFETY: the copy keeps the original alive; the GIL is held. The one reference is that of its entry.
            if unsafe { ffi::Py_REFCNT(recent.copies[place].original) } == 1
                && let Some(copy) = recent.copies.remove(place)
            {
                recent.weight -= copy.weight;
                dropped.push(copy.code);
            }
        }
        dropped
    });
    for copy in copies {
        copy.drop_ref(py);
    }
}

/// Code that functions made at this moment are to run itself: its address, or 0.
static AS_IT_IS: GilCell<usize> = GilCell::new(0);

/// Runs `f`, which makes a function of `code` that is to have no copy of it.
pub(crate) fn as_it_is<R>(code: &Bound<'_, PyCode>, f: impl FnOnce() -> R) -> R {
    let before = AS_IT_IS.replace(code.py(), code.as_ptr() as usize);
    let result = f();
    AS_IT_IS.set(code.py(), before);
    result
}

/// Gives a function that has just been made the probed copy of its code.
pub(crate) fn adopt_new(function: &Bound<'_, PyFunction>) -> PyResult<()> {
    let code = function::code(function);
    if AS_IT_IS.get(code.py()) == code.as_ptr() as usize {
        return Ok(());
    }
    if let Some(copy) = replacement(&code, || function::module(function))? {
        function::set_code_of_new(function, &copy);
    }
    Ok(())
}

/// Gives a function that may have been called already the probed copy of its code.
fn adopt_existing(function: &Bound<'_, PyFunction>) -> PyResult<()> {
    let code = function::code(function);
    match replacement(&code, || function::module(function))? {
        Some(copy) if !copy.is(&code) => function::set_code(function, &copy),
        _ => Ok(()),
    }
}
