//! CPython's functions that give object memory back, with a look at the address first.
//!
//! `malloc`, `free` and `realloc` of `PYMEM_DOMAIN_OBJ` are replaced (`PyMem_SetAllocator`, `Objects/obmalloc.c`); `calloc` and the
//! context stay, so an interpreter on another thread that reads the five words while they change finds no mixture that does
//! harm. `malloc` is for the entries of tracebacks: they are made when an exception is raised, before anything of the frame changes.
//! `sys._debugmallocstats` asks which `malloc` there is, and says less.
//!
//! Others hook here too (`tracemalloc`, memory profilers). Who comes after us calls us; when it leaves, it puts us back. Who came before
//! us throws us out when it leaves: [`Place::is_as_seen`] notices. We leave by restoring what we found, or, with others above us, by
//! staying where we are and passing everything on.

use std::ffi::c_void;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi::{self, PyMemAllocatorDomain::PYMEM_DOMAIN_OBJ, PyMemAllocatorEx};
use pyo3::{PyResult, Python};

use crate::gil::GilCell;
use crate::layout::objects::Traceback;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
use crate::loaded::{self, Header};

type Malloc = extern "C" fn(*mut c_void, usize) -> *mut c_void;
type Free = extern "C" fn(*mut c_void, *mut c_void);
type Realloc = extern "C" fn(*mut c_void, *mut c_void, usize) -> *mut c_void;

/// What a pair of functions of ours passes on to, fixed when it is first used.
struct Original {
    malloc: Malloc,
    free: Free,
    realloc: Realloc,
}

/// So many times may we be put on top of something that we have not been on top of.
const LEVELS: usize = 6;
static ORIGINALS: [OnceLock<Original>; LEVELS] = [const { OnceLock::new() }; LEVELS];
const OURS: [(Malloc, Free, Realloc); LEVELS] = [
    (malloc::<0>, free::<0>, realloc::<0>),
    (malloc::<1>, free::<1>, realloc::<1>),
    (malloc::<2>, free::<2>, realloc::<2>),
    (malloc::<3>, free::<3>, realloc::<3>),
    (malloc::<4>, free::<4>, realloc::<4>),
    (malloc::<5>, free::<5>, realloc::<5>),
];

/// What an entry of a traceback takes: a `PyTracebackObject` (`Include/cpython/traceback.h`, 3.11-3.15) and the collector's header.
const TRACEBACK: usize = size_of::<Traceback>() + 16;

/// How often so much has been asked for.
static ASKED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn malloc<const LEVEL: usize>(context: *mut c_void, size: usize) -> *mut c_void {
    if size == TRACEBACK {
        asked(true);
    }
    let Some(original) = ORIGINALS[LEVEL].get() else {
        // Cannot be reached: it is set before the function is.
        return std::ptr::null_mut();
    };
    let block = (original.malloc)(context, size);
    if block.is_null() {
        asked(false);
    }
    block
}

#[cold]
#[inline(never)]
fn asked(has_memory: bool) {
    ASKED.fetch_add(1, Relaxed);
    if super::holds_our_gil() {
        // SAFETY: object memory is asked for by threads that hold their interpreter's GIL, and this one's is ours.
        let py = unsafe { Python::assume_attached() };
        crate::recorder::raising(py, has_memory);
    }
}

/// An address that is freed to find out whether we are told.
static EXPECTED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn free<const LEVEL: usize>(context: *mut c_void, block: *mut c_void) {
    if super::filter::may_have(block as usize) {
        freed(block as usize);
    }
    if let Some(original) = ORIGINALS[LEVEL].get() {
        (original.free)(context, block);
    }
}

extern "C" fn realloc<const LEVEL: usize>(
    context: *mut c_void,
    block: *mut c_void,
    size: usize,
) -> *mut c_void {
    let Some(original) = ORIGINALS[LEVEL].get() else {
        // Cannot be reached: it is set before the function is.
        return std::ptr::null_mut();
    };
    let moved = (original.realloc)(context, block, size);
    // Whoever gets the old block next must wait for the GIL. If there was no memory it is as it was.
    if !moved.is_null() && super::filter::may_have(block as usize) {
        freed(block as usize);
    }
    moved
}

#[cold]
#[inline(never)]
fn freed(block: usize) {
    if EXPECTED.load(Relaxed) == block {
        EXPECTED.store(0, Relaxed);
    }
    super::died(block);
}

fn current(_attached: Python<'_>) -> PyMemAllocatorEx {
    let mut now = PyMemAllocatorEx {
        ctx: std::ptr::null_mut(),
        malloc: None,
        calloc: None,
        realloc: None,
        free: None,
    };
    // SAFETY: the thread is attached; the function fills the struct (3.11-3.15).
    unsafe { ffi::PyMem_GetAllocator(PYMEM_DOMAIN_OBJ, &raw mut now) };
    now
}

fn set(_attached: Python<'_>, mut now: PyMemAllocatorEx) {
    // SAFETY: the thread is attached. The five words are those of `current` but for functions that call what they replace, with its own
    // context, so what has been allocated before can be freed after and the other way round.
    unsafe { ffi::PyMem_SetAllocator(PYMEM_DOMAIN_OBJ, &raw mut now) };
}

/// Whether objects that are freed come by here, whoever may be above us.
pub(super) fn is_called(_attached: Python<'_>) -> bool {
    // SAFETY: the thread is attached; memory of our own.
    let block = unsafe { ffi::PyObject_Malloc(16) };
    if block.is_null() {
        return false;
    }
    EXPECTED.store(block as usize, Relaxed);
    super::filter::add(block as usize);
    // SAFETY: it has just been allocated.
    unsafe { ffi::PyObject_Free(block) };
    super::filter::remove(block as usize);
    EXPECTED.swap(0, Relaxed) == 0
}

/// Whether what asks for an entry of a traceback comes by here.
fn is_asked(_attached: Python<'_>) -> bool {
    let before = ASKED.load(Relaxed);
    // SAFETY: the thread is attached; memory of our own, or NULL.
    unsafe { ffi::PyObject_Free(ffi::PyObject_Malloc(TRACEBACK)) };
    ASKED.load(Relaxed) != before
}

/// Where CPython keeps its `free`, once it has been looked for.
static WORD: OnceLock<Option<&'static AtomicUsize>> = OnceLock::new();

#[cold]
#[inline(never)]
fn current_free(py: Python<'_>) -> usize {
    current(py).free.map_or(0, |free| free as usize)
}

/// A word, and what is in it as long as CPython calls what it called when the last [`Place`] was made; here to be found without following
/// a pointer.
static WATCHED: GilCell<(&AtomicUsize, usize)> = GilCell::new(NEVER);

/// Something else is in the word: the place must be asked.
const NEVER: (&AtomicUsize, usize) = {
    static ZERO: AtomicUsize = AtomicUsize::new(0);
    (&ZERO, 1)
};

/// As [`Place::is_as_seen`] of the last place, but `false` where that has to call a function.
#[inline(always)]
pub(super) fn is_as_seen(py: Python<'_>) -> bool {
    let (word, seen) = WATCHED.get(py);
    word.load(Relaxed) == seen
}

/// Where we stand.
pub(super) struct Place {
    word: Option<&'static AtomicUsize>,
    /// CPython's `free` when we were last sure that we are called.
    seen: usize,
    /// Whether we hear of tracebacks then.
    pub(super) hears: bool,
}

impl Place {
    /// Puts our functions in place, if they are not called already.
    ///
    /// # Errors
    /// `RuntimeError`: we have been put on top of [`LEVELS`] others.
    pub(super) fn take(py: Python<'_>) -> PyResult<Self> {
        if !is_called(py) {
            let now = current(py);
            let (Some(malloc), Some(free), Some(realloc)) = (now.malloc, now.free, now.realloc)
            else {
                return Err(PyRuntimeError::new_err(
                    "debugop does not know this allocator",
                ));
            };
            let same = |original: &Original| {
                std::ptr::fn_addr_eq(original.malloc, malloc)
                    && std::ptr::fn_addr_eq(original.free, free)
                    && std::ptr::fn_addr_eq(original.realloc, realloc)
            };
            let level = ORIGINALS.iter().position(|place| {
                let _ = place.set(Original {
                    malloc,
                    free,
                    realloc,
                });
                place.get().is_some_and(same)
            });
            let Some(level) = level else {
                return Err(PyRuntimeError::new_err(
                    "debugop has been put on top of too many other hooks of the memory allocator",
                ));
            };
            let (malloc, free, realloc) = OURS[level];
            let ours = PyMemAllocatorEx {
                malloc: Some(malloc),
                free: Some(free),
                realloc: Some(realloc),
                ..now
            };
            set(py, ours);
            WORD.get_or_init(|| find(&ours));
            if !is_called(py) {
                set(py, now);
                return Err(PyRuntimeError::new_err(
                    "debugop does not know this interpreter: its allocator does not call what PyMem_SetAllocator sets",
                ));
            }
        }
        let word = WORD.get().copied().flatten();
        let mut place = Self {
            word,
            seen: 0,
            hears: is_asked(py),
        };
        place.seen = place.now(py);
        WATCHED.set(
            py,
            match word {
                Some(word) => (word, place.seen),
                None => NEVER,
            },
        );
        Ok(place)
    }

    #[inline]
    fn now(&self, py: Python<'_>) -> usize {
        match self.word {
            Some(word) => word.load(Relaxed),
            None => current_free(py),
        }
    }

    /// Whether CPython calls what it called when this was made. If not, [`is_called`] knows more.
    #[inline]
    pub(super) fn is_as_seen(&self, py: Python<'_>) -> bool {
        self.now(py) == self.seen
    }

    /// Puts back what was there, unless somebody has hooked over us.
    pub(super) fn leave(py: Python<'_>) {
        let now = current(py);
        let level = OURS.iter().position(|ours| {
            now.free
                .is_some_and(|free| std::ptr::fn_addr_eq(free, ours.1))
        });
        if let Some(original) = level.and_then(|level| ORIGINALS[level].get()) {
            set(
                py,
                PyMemAllocatorEx {
                    malloc: Some(original.malloc),
                    free: Some(original.free),
                    realloc: Some(original.realloc),
                    ..now
                },
            );
        }
    }
}

/// Where the interpreter keeps the five words of its object allocator: in its writable data, found by what has just been set. So
/// it can be looked at without calling a function, which takes a lock in 3.13+. `None` if it is not found exactly once.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn find(ours: &PyMemAllocatorEx) -> Option<&'static AtomicUsize> {
    let address = |function: Option<*const ()>| function.map_or(0, |function| function as usize);
    let wanted = [
        ours.ctx as usize,
        address(ours.malloc.map(|function| function as *const ())),
        address(ours.calloc.map(|function| function as *const ())),
        address(ours.realloc.map(|function| function as *const ())),
        address(ours.free.map(|function| function as *const ())),
    ];
    let found = loaded::interpreter(|info| {
        let is_writable = |header: &&Header| {
            header.kind == Header::LOADED && header.flags & Header::WRITABLE != 0
        };
        let mut found: Vec<&'static AtomicUsize> = Vec::new();
        for header in info.headers().iter().filter(is_writable) {
            let span = info.span(header);
            let first = span.start.next_multiple_of(8);
            let count = span.end.saturating_sub(first) / 8;
            // SAFETY: the segment is mapped, readable and writable, as long as the interpreter is loaded; words that other threads
            // write meanwhile are read as atomics.
            let words = unsafe { std::slice::from_raw_parts(first as *const AtomicUsize, count) };
            let is_it = |five: &&[AtomicUsize]| {
                let mut both = five.iter().zip(&wanted);
                both.all(|(word, wanted)| word.load(Relaxed) == *wanted)
            };
            found.extend(words.windows(5).filter(is_it).map(|five| &five[4]));
        }
        found
    });
    match found.as_deref() {
        Some([word]) => Some(word),
        _ => None,
    }
}

/// Elsewhere the allocator is asked for by its function.
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
fn find(_ours: &PyMemAllocatorEx) -> Option<&'static AtomicUsize> {
    None
}
