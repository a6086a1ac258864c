//! DEBUG_OP: the object that stands in a code object's constants, and the slot that is the opcode's implementation.
//!
//! A probe is `LOAD_CONST <site>; UNARY_INVERT; POP_TOP`. `UNARY_INVERT` is never specialised and calls `nb_invert` of the
//! site's type with no argument tuple (`PyNumber_Invert`, `Objects/abstract.c`), so executing a probe enters [`enter`], which goes to the
//! function that was chosen when the site was made.

use std::alloc::{Layout, alloc, dealloc as dealloc_memory};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;

use debugop_bytecode::SiteKind;
use pyo3::exceptions::{PyMemoryError, PySystemError};
use pyo3::ffi;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use pyo3::{Bound, Py, PyAny, PyErr, PyResult, Python};

use crate::event::Raised;
use crate::invert_type::{InvertType, Unary};
use crate::probed::{ProbedCode, SiteInfo};
use crate::recorder::{self, ANY, Now, PlannedSite};

/// Instance layout of `debugop.Site`.
#[repr(C)]
struct SiteObject {
    ob_base: ffi::PyObject,
    /// Of its [`Block`]'s share; never null.
    code: *const ProbedCode,
    /// What it reports, here so that executing it touches no more memory than needed.
    info: SiteInfo,
    /// The plan's site that is here, or NULL. Belongs to `code`.
    planned: *const PlannedSite,
    /// What [`fire_planned`] fires: that, or what fires in its place. Belongs to `code`.
    firing: *const PlannedSite,
    /// What executing it does: [`fire`], or where there is less to ask, [`fire_step`] or [`fire_planned`].
    run: Unary,
}

/// The memory of a code object's sites, which are made together and die one by one. Belongs to the code object, of which they have one
/// share together.
#[derive(Debug)]
pub(crate) struct Block {
    /// The first of them; dangling if there are none.
    first: NonNull<SiteObject>,
    /// How many were made.
    made: usize,
    /// How many are alive.
    alive: usize,
}

impl Default for Block {
    fn default() -> Self {
        Self {
            first: NonNull::dangling(),
            made: 0,
            alive: 0,
        }
    }
}

static SITE_TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// The type of sites, `debugop.Site`.
///
/// # Errors
/// Whatever CPython says if the type cannot be made.
pub fn site_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    let made = SITE_TYPE.get_or_try_init(py, || {
        let parts = InvertType {
            name: c"debugop.Site",
            doc: c"A place in probed bytecode: executing ~site is debugop's virtual opcode DEBUG_OP.",
            size: size_of::<SiteObject>(),
            dealloc,
            repr,
            invert: enter,
            truth: None,
        };
        parts.make(py)
    });
    made.map(|site_type| site_type.bind(py))
}

/// Makes the sites of `code`, which has none yet, and hands each to `take`, in order. Those of a plan are told what that says when one of them is met.
///
/// # Errors
/// `MemoryError`.
pub(crate) fn new_sites<'py>(
    py: Python<'py>,
    code: &Arc<ProbedCode>,
    infos: &[SiteInfo],
    is_planned: impl Fn(usize) -> bool,
    mut take: impl FnMut(Bound<'py, PyAny>),
) -> PyResult<()> {
    let site_type = site_type(py)?.as_ptr().cast::<ffi::PyTypeObject>();
    let layout = Layout::array::<SiteObject>(infos.len());
    let layout = layout.map_err(|_| PyMemoryError::new_err(()))?;
    if layout.size() == 0 {
        return Ok(());
    }
    // SAFETY: the layout is not empty.
    let memory = unsafe { alloc(layout) }.cast::<SiteObject>();
    let first = NonNull::new(memory).ok_or_else(|| PyMemoryError::new_err(()))?;
    let made = infos.len();
    let share = Arc::into_raw(Arc::clone(code));
    code.sites().set(
        py,
        Block {
            first,
            made,
            alive: made,
        },
    );
    for (number, &info) in infos.iter().enumerate() {
        // SAFETY: the memory holds `made` sites, and `number` is less. Each is complete before it is shown to anybody:
        // `PyObject_Init` writes the header and takes a reference to the heap type. An object need not come from CPython's allocators,
        // if its type's `tp_dealloc` does not give it back to them, as ours does not. 3.11-3.15.
        unsafe {
            let site = first.add(number).as_ptr();
            (&raw mut (*site).code).write(share);
            (&raw mut (*site).info).write(info);
            (&raw mut (*site).planned).write(std::ptr::null());
            (&raw mut (*site).firing).write(std::ptr::null());
            (&raw mut (*site).run).write(match is_planned(number) {
                true => fire_first,
                false if info.is_silent() || info.is_summing() => fire,
                false => fire_step,
            });
            let site = ffi::PyObject_Init(site.cast(), site_type);
            take(Bound::from_owned_ptr(py, site));
        }
    }
    Ok(())
}

/// Tells the sites of `code` what has been planned of them.
pub(crate) fn set_planned<'a>(
    py: Python<'_>,
    code: &ProbedCode,
    planned: impl Fn(usize) -> Option<&'a PlannedSite>,
) {
    code.sites().with(py, |block| {
        for number in 0..block.made {
            let Some(planned) = planned(number) else {
                continue;
            };
            // SAFETY: as in `choose_again`.
            unsafe {
                let site = block.first.add(number).as_ptr();
                let info = (*site).info;
                (&raw mut (*site).planned).write(planned);
                (&raw mut (*site).firing).write(planned);
                (&raw mut (*site).run).write(match info.is_silent() && !info.is_summing() {
                    true => of_count(planned),
                    false => fire,
                });
            }
        }
    });
}

/// Fires what has so many captures and stands there.
fn of_count(planned: &PlannedSite) -> Unary {
    match (planned.kind(), planned.count()) {
        (SiteKind::Start, 0) => fire_beginning::<0, false>,
        (SiteKind::Start, 1) => fire_beginning::<1, false>,
        (SiteKind::Start, 2) => fire_beginning::<2, false>,
        (SiteKind::Start, _) => fire_beginning::<ANY, false>,
        (SiteKind::Resume, 0) => fire_beginning::<0, true>,
        (SiteKind::Resume, 1) => fire_beginning::<1, true>,
        (SiteKind::Resume, 2) => fire_beginning::<2, true>,
        (SiteKind::Resume, _) => fire_beginning::<ANY, true>,
        (_, 0) => fire_planned::<0>,
        (_, 1) => fire_planned::<1>,
        (_, 2) => fire_planned::<2>,
        (_, _) => fire_planned::<ANY>,
    }
}

/// The same for what has guards.
fn guarded_of_count(planned: &PlannedSite) -> Unary {
    match planned.count() {
        0 => fire_guarded::<0>,
        1 => fire_guarded::<1>,
        2 => fire_guarded::<2>,
        _ => fire_guarded::<ANY>,
    }
}

/// Chooses anew what is done at the sites of `code` that are there for a recorder only: something else is [done there now](PlannedSite::now).
pub(crate) fn choose_again(py: Python<'_>, code: &ProbedCode) {
    code.sites().with(py, |block| {
        for number in 0..block.made {
            // SAFETY: the memory is that of `made` sites, dead ones among them, until the last of them is gone; what is planned belongs to the code. Who
            // executes one of them meanwhile has read what it needs.
            let (site, info, planned) = unsafe {
                let site = block.first.add(number).as_ptr();
                (site, (*site).info, (*site).planned.as_ref())
            };
            let Some(planned) = planned.filter(|_| info.is_silent() && !info.is_summing()) else {
                continue;
            };
            let (run, firing): (Unary, &PlannedSite) = match planned.now() {
                Now::Fires(fires) => (of_count(fires), fires),
                Now::Nothing => (pass, planned),
                Now::Guarded(fires) => (guarded_of_count(fires), fires),
            };
            // SAFETY: as above.
            unsafe {
                (&raw mut (*site).run).write(run);
                (&raw mut (*site).firing).write(firing);
            }
        }
    });
}

/// # Safety
/// Called by CPython as `tp_dealloc` of a site.
unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    // SAFETY: the last reference is gone, and the thread is attached; the site's block holds a share in `code` until the last of its
    // sites is gone, which is when share and memory are given back, with the layout that they were asked for with. A heap
    // type's instance owns a reference to its type.
    unsafe {
        let py = Python::assume_attached();
        ffi::Py_DECREF(ffi::Py_TYPE(object).cast());
        let code = (*object.cast::<SiteObject>()).code;
        let empty = (*code).sites().with(py, |block| {
            block.alive -= 1;
            (block.alive == 0).then(|| std::mem::take(block))
        });
        if let Some(block) = empty {
            if let Ok(layout) = Layout::array::<SiteObject>(block.made) {
                dealloc_memory(block.first.as_ptr().cast(), layout);
            }
            ProbedCode::let_go(py, Arc::from_raw(code));
        }
    }
}

/// # Safety
/// Called by CPython as `tp_repr` of a site.
unsafe extern "C" fn repr(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: `object` is a site and the thread is attached, both by CPython's calling convention.
    let (py, site) = unsafe { (Python::assume_attached(), &*object.cast::<SiteObject>()) };
    // SAFETY: a site's block holds its code alive.
    let code = unsafe { &*site.code };
    pyo3::types::PyString::new(py, &code.describe_site(site.info)).into_ptr()
}

/// Executes DEBUG_OP.
///
/// # Safety
/// Called by CPython as `nb_invert` of a site. Anybody may write `~site` in Python, so nothing is assumed about the caller.
unsafe extern "C" fn enter(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: `object` is a site, complete since before it was shown to anybody, and `run` takes what this takes.
    unsafe { ((*object.cast::<SiteObject>()).run)(object) }
}

/// What a site does that reports a step and nothing else. A step that is only counted, the least that there is to do, is counted here, in twelve
/// machine instructions with those of [`enter`]: no call, nothing spilled.
///
/// # Safety
/// As for [`enter`]; the site has no part in an addition and none in a recording.
unsafe extern "C" fn fire_step(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: `object` is a site and the thread is attached, both by CPython's calling convention; a site's block holds its code alive.
    let (py, site, code) = unsafe {
        let site = &*object.cast::<SiteObject>();
        (Python::assume_attached(), site, &*site.code)
    };
    if code.count(py, &site.info) {
        return none();
    }
    // SAFETY: the same object.
    unsafe { report_step(object) }
}

/// The rest of that. It has C's convention because what cannot unwind can be jumped to, without a frame.
///
/// # Safety
/// As for [`fire_step`].
#[inline(never)]
unsafe extern "C" fn report_step(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: as there.
    let (py, site) = unsafe { (Python::assume_attached(), &*object.cast::<SiteObject>()) };
    report(py, site)
}

/// Executes DEBUG_OP wherever it may be more than a step.
///
/// # Safety
/// As for [`enter`].
unsafe extern "C" fn fire(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: `object` is a site and the thread is attached, both by CPython's calling convention.
    let (py, site) = unsafe { (Python::assume_attached(), &*object.cast::<SiteObject>()) };
    if site.info.is_summing() {
        return fire_and_sum(py, site);
    }
    report(py, site)
}

/// What a site does that is there for the recorder only, and has so many captures, or [`ANY`] number.
///
/// # Safety
/// As for [`enter`]; the site has a part in a recording and reports no step.
unsafe extern "C" fn fire_planned<const CAPTURES: usize>(
    object: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: `object` is a site and the thread is attached, both by CPython's calling convention; what is planned there belongs to the code,
    // which the site keeps alive.
    unsafe {
        let planned = (*object.cast::<SiteObject>()).firing;
        recorder::fire_straight::<CAPTURES>(Python::assume_attached(), planned)
    }
}

/// The same where a frame starts, or, if it `RESUMES`, goes on after a suspension.
///
/// # Safety
/// As for [`fire_planned`].
unsafe extern "C" fn fire_beginning<const CAPTURES: usize, const RESUMES: bool>(
    object: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as in `fire_planned`.
    unsafe {
        let planned = (*object.cast::<SiteObject>()).firing;
        recorder::fire_beginning::<CAPTURES, RESUMES>(Python::assume_attached(), planned)
    }
}

/// What a site of a plan does that is the first of its code to be met.
///
/// # Safety
/// As for [`enter`].
unsafe extern "C" fn fire_first(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: as in `fire`.
    let (py, info, code) = unsafe {
        let site = object.cast::<SiteObject>();
        (Python::assume_attached(), (*site).info, &*(*site).code)
    };
    recorder::plan(py, code);
    // SAFETY: as above; what has been planned belongs to the code.
    unsafe {
        match (*object.cast::<SiteObject>()).planned.is_null() {
            // Nobody records.
            true if info.is_summing() => fire(object),
            true => none(),
            false => enter(object),
        }
    }
}

/// What a site does where a recorder has nothing to do as long as numbers are calculated with.
///
/// # Safety
/// As for [`enter`].
unsafe extern "C" fn pass(_: *mut ffi::PyObject) -> *mut ffi::PyObject {
    none()
}

/// What a site does where it depends on what is in slots what fires.
///
/// # Safety
/// As for [`fire_planned`].
unsafe extern "C" fn fire_guarded<const CAPTURES: usize>(
    object: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as in `fire_planned`.
    unsafe {
        let site = object.cast::<SiteObject>();
        let (firing, planned) = ((*site).firing, (*site).planned);
        recorder::fire_guarded::<CAPTURES>(Python::assume_attached(), firing, planned)
    }
}

/// Tells the recorder, if it wants to know.
#[inline(always)]
fn record(py: Python<'_>, site: &SiteObject) {
    // SAFETY: it belongs to the code, which the site keeps alive.
    if let Some(planned) = unsafe { site.planned.as_ref() } {
        recorder::fire(py, planned);
    }
}

/// Reports what a site reports, then what is left to do for an addition to a variable.
#[inline(never)]
fn fire_and_sum(py: Python<'_>, site: &SiteObject) -> *mut ffi::PyObject {
    if site.info.leaves() {
        return leave(py, site);
    }
    let reported = match site.info.is_silent() && site.planned.is_null() {
        true => none(),
        false => report(py, site),
    };
    // SAFETY: the block's share in its code keeps it alive.
    let code = unsafe { &*site.code };
    if reported.is_null() {
        code.settle(py, &site.info);
    } else {
        // SAFETY: a site is one of its block, which `first` is the first of.
        let number = code.sites().with(py, |block| unsafe {
            std::ptr::from_ref(site).offset_from(block.first.as_ptr())
        });
        let summed = catch_unwind(AssertUnwindSafe(|| {
            code.sum(py, &site.info, number.unsigned_abs());
        }));
        if let Err(panic) = summed {
            // SAFETY: our own reference to None.
            unsafe { ffi::Py_DECREF(reported) };
            return fail(py, &Err(panic));
        }
    }
    reported
}

/// What a detour is to call. If somebody watches again, its probe could not be put back: then this tells what that would.
#[cold]
fn leave(py: Python<'_>, site: &SiteObject) -> *mut ffi::PyObject {
    // SAFETY: the block's share in its code keeps it alive.
    let code = unsafe { &*site.code };
    if !code.is_silenced(py) {
        // SAFETY: `further` of a detour's site is the number of the probe's in the block, all of which are alive as long as the copy that runs.
        let probe = code.sites().with(py, |block| unsafe {
            &*block.first.as_ptr().add(site.info.probe())
        });
        let reported = report(py, probe);
        if reported.is_null() {
            return reported;
        }
        // SAFETY: our own reference to None.
        unsafe { ffi::Py_DECREF(reported) };
    }
    match catch_unwind(AssertUnwindSafe(|| code.leave(py, &site.info))) {
        Ok(callable) => callable,
        panic => fail(py, &panic.map(|_| Ok(()))),
    }
}

/// Tells the recorder and the tracers of what a site reports: a new reference to None, or NULL with the exception that is set.
#[inline]
fn report(py: Python<'_>, site: &SiteObject) -> *mut ffi::PyObject {
    record(py, site);
    if site.info.is_silent() && !site.planned.is_null() {
        return none();
    }
    // SAFETY: the share of the site's block in its code, borrowed: whoever called us holds the site.
    let code = ManuallyDrop::new(unsafe { Arc::from_raw(site.code) });
    if code.fire_natively(py, &site.info) {
        return none();
    }
    if code.is_watched(py) {
        execute(py, || code.fire(py, &site.info))
    } else {
        none()
    }
}

/// Runs an opcode's implementation: a new reference to None, or NULL with the exception that it has set.
#[inline]
pub(crate) fn execute(
    py: Python<'_>,
    implementation: impl FnOnce() -> Result<(), Raised>,
) -> *mut ffi::PyObject {
    match catch_unwind(AssertUnwindSafe(implementation)) {
        Ok(Ok(())) => none(),
        failed => fail(py, &failed),
    }
}

/// A new reference to None.
#[inline]
pub(crate) fn none() -> *mut ffi::PyObject {
    // SAFETY: None is a live object. Since 3.12 it is immortal (PEP 683): references to it are not counted.
    unsafe {
        #[cfg(not(Py_3_12))]
        ffi::Py_INCREF(ffi::Py_None());
        ffi::Py_None()
    }
}

/// Leaves the exception that an implementation has set, or sets one for its panic.
#[cold]
fn fail(py: Python<'_>, outcome: &std::thread::Result<Result<(), Raised>>) -> *mut ffi::PyObject {
    if let Err(panic) = outcome {
        panicked(panic).restore(py);
    }
    std::ptr::null_mut()
}

/// A panic of ours as an exception of the program's, which can be reported, where unwinding into C could not.
fn panicked(panic: &Box<dyn std::any::Any + Send>) -> PyErr {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown cause");
    PySystemError::new_err(format!("debugop failed inside DEBUG_OP: {text}"))
}
