//! Types whose objects end in a free list instead of in `free`: their `tp_dealloc` is replaced by one that looks at the address first.
//!
//! A free list takes objects of one type only, never of a subclass, and only that type's `tp_dealloc` puts them there; the shortcuts around
//! `tp_dealloc` (`_Py_DECREF_SPECIALIZED` and its like in `ceval`, 3.11-3.15) are for int, float and str, which end in `free` or have
//! no identity here. Which types: [`super::freelists`], by reading every free list of the version.

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use pyo3::exceptions::PyRuntimeError;
use pyo3::types::{PyAnyMethods, PyType, PyTypeMethods};
use pyo3::{PyResult, Python, ffi};
use rustc_hash::FxHashMap;

use super::freelists::KINDS;
use super::{block_of, filter, trashcan};

/// How many types we can stand before. Modules that are imported again make new types of the same functions, which share a place.
const PLACES: usize = 24;

/// What a function of ours passes on to, and whether it has the trashcan.
struct Original {
    dealloc: ffi::destructor,
    has_trashcan: bool,
}

static ORIGINALS: [OnceLock<Original>; PLACES] = [const { OnceLock::new() }; PLACES];

macro_rules! ours {
    ($($place:literal)*) => { [$(dealloc::<$place>),*] };
}
const OURS: [ffi::destructor; PLACES] =
    ours!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23);

/// # Safety
/// Called by CPython as the type's `tp_dealloc`, or as a base's by the `tp_dealloc` of a subclass.
unsafe extern "C" fn dealloc<const PLACE: usize>(object: *mut ffi::PyObject) {
    // SAFETY: a dying object still has its type.
    let block = unsafe { block_of(object) };
    if filter::may_have(block) {
        super::died(block);
    }
    let Some(original) = ORIGINALS[PLACE].get() else {
        return; // Cannot be reached: it is set before the function is.
    };
    // SAFETY: the function that stood where we are called, with what we are called with. `Py_TRASHCAN_BEGIN` takes part only for objects whose
    // own `tp_dealloc` it is, and so do we.
    unsafe {
        let own = (*ffi::Py_TYPE(object)).tp_dealloc;
        if original.has_trashcan && own.is_some_and(|own| std::ptr::fn_addr_eq(own, OURS[PLACE])) {
            trashcan::dealloc(object, original.dealloc);
        } else {
            (original.dealloc)(object);
        }
    }
}

/// `Dl_info` (`dlfcn.h`).
#[repr(C)]
struct Origin {
    file: *const c_char,
    base: *mut c_void,
    symbol: *const c_char,
    address: *mut c_void,
}

unsafe extern "C" {
    fn dladdr(address: *const c_void, info: *mut Origin) -> c_int;
}

/// Where a function's file is mapped, and the file.
fn origin(address: usize) -> Option<(usize, CString)> {
    let mut info = Origin {
        file: std::ptr::null(),
        base: std::ptr::null_mut(),
        symbol: std::ptr::null(),
        address: std::ptr::null_mut(),
    };
    // SAFETY: the address is only compared; the struct is filled if the result is not 0, with a string that lives as long as the file
    // is mapped.
    unsafe {
        (dladdr(address as *const c_void, &raw mut info) != 0 && !info.file.is_null())
            .then(|| (info.base as usize, CStr::from_ptr(info.file).to_owned()))
    }
}

/// Whether a deallocation function is CPython's own, of the interpreter or of its standard library: all free lists of these are known.
/// Extension modules may have others (Cython's `freelist`).
fn is_cpythons(address: usize) -> bool {
    let Some((base, file)) = origin(address) else {
        return false;
    };
    let interpreter = origin(ffi::PyObject_Free as *const () as usize);
    if interpreter.is_some_and(|(interpreter, _)| interpreter == base) {
        return true;
    }
    let folder = Path::new(OsStr::from_bytes(file.as_bytes())).parent();
    folder.is_some_and(|folder| folder.ends_with("lib-dynload"))
}

/// What is known of deallocation functions, and which types we stand before.
#[derive(Default)]
pub(super) struct Deallocs {
    /// By the address of a function that is not `subtype_dealloc`: whether every object that it takes comes by us.
    known: FxHashMap<usize, bool>,
    /// `subtype_dealloc`, which every class made by a `class` statement has.
    subtype: usize,
    /// Static types, and others, of which we hold a reference.
    patched: Vec<*mut ffi::PyTypeObject>,
}

// SAFETY: the pointers are used with the GIL held only.
unsafe impl Send for Deallocs {}

impl Deallocs {
    /// Stands before the types that are there from the start.
    ///
    /// # Errors
    /// `RuntimeError`: the interpreter is not as it should be.
    pub(super) fn install(py: Python<'_>) -> PyResult<Self> {
        let mut deallocs = Self {
            subtype: subtype_dealloc(py)?,
            ..Self::default()
        };
        for kind in super::freelists::types() {
            // SAFETY: static types of the interpreter, ready since it started.
            unsafe { deallocs.judge(kind) };
        }
        Ok(deallocs)
    }

    /// Whether the end of every object of this type comes by us.
    ///
    /// # Safety
    /// `kind` is a live type that is ready; the GIL is held.
    #[inline]
    pub(super) unsafe fn judge(&mut self, kind: *mut ffi::PyTypeObject) -> bool {
        // SAFETY: by the contract. A type keeps its bases alive; `tp_base` of `object` is NULL.
        unsafe {
            let mut base = kind;
            let mut dealloc = address((*base).tp_dealloc);
            while dealloc == self.subtype && !base.is_null() {
                base = (*base).tp_base;
                dealloc = base.as_ref().map_or(0, |base| address(base.tp_dealloc));
            }
            match self.known.get(&dealloc) {
                Some(known) => *known && frees_here(kind),
                None => self.learn(base, dealloc) && frees_here(kind),
            }
        }
    }

    /// # Safety
    /// As for [`Self::judge`]; or `base` is NULL.
    #[cold]
    unsafe fn learn(&mut self, base: *mut ffi::PyTypeObject, dealloc: usize) -> bool {
        // SAFETY: by the contract; `tp_name` is a C string.
        let good = unsafe {
            match base.as_ref() {
                None => false,
                Some(_) if is_ours(dealloc) => true,
                Some(_) if !is_cpythons(dealloc) => false,
                Some(kind) => match KINDS
                    .iter()
                    .find(|known| known.0 == CStr::from_ptr(kind.tp_name))
                {
                    // Judged by what stands there from now on.
                    Some((_, has_trashcan)) => return self.stand_before(base, *has_trashcan),
                    None => true,
                },
            }
        };
        self.known.insert(dealloc, good);
        good
    }

    /// # Safety
    /// As for [`Self::judge`].
    unsafe fn stand_before(&mut self, kind: *mut ffi::PyTypeObject, has_trashcan: bool) -> bool {
        // SAFETY: by the contract. The field is read at each deallocation by whoever holds a GIL, as one word. The reference keeps
        // a type that is not static alive until `uninstall`.
        unsafe {
            let Some(dealloc) = (*kind).tp_dealloc else {
                return false;
            };
            let same = |original: &Original| {
                std::ptr::fn_addr_eq(original.dealloc, dealloc)
                    && original.has_trashcan == has_trashcan
            };
            let place = ORIGINALS.iter().position(|place| {
                let _ = place.set(Original {
                    dealloc,
                    has_trashcan,
                });
                place.get().is_some_and(same)
            });
            let Some(place) = place else {
                return false;
            };
            ffi::Py_INCREF(kind.cast());
            self.patched.push(kind);
            self.known.insert(OURS[place] as usize, true);
            word(kind).store(OURS[place] as usize, Relaxed);
            true
        }
    }

    /// Gives the types back what they had, unless somebody has replaced it again.
    pub(super) fn uninstall(self, _attached: Python<'_>) {
        for kind in self.patched {
            // SAFETY: we hold a reference; as in `stand_before`. A type that is not static and not used any more dies here.
            unsafe {
                let now = address((*kind).tp_dealloc);
                let place = OURS.iter().position(|ours| *ours as usize == now);
                if let Some(original) = place.and_then(|place| ORIGINALS[place].get()) {
                    word(kind).store(original.dealloc as usize, Relaxed);
                }
                ffi::Py_DECREF(kind.cast());
            }
        }
    }
}

fn address(dealloc: Option<ffi::destructor>) -> usize {
    dealloc.map_or(0, |dealloc| dealloc as usize)
}

fn is_ours(dealloc: usize) -> bool {
    OURS.iter().any(|ours| *ours as usize == dealloc)
}

/// # Safety
/// `kind` is a live type.
unsafe fn word<'a>(kind: *mut ffi::PyTypeObject) -> &'a AtomicUsize {
    // SAFETY: by the contract; `Option<fn>` is a word, NULL for None. Written with the GIL held, by one instruction, because
    // other interpreters' threads may read it.
    unsafe { AtomicUsize::from_ptr((&raw mut (*kind).tp_dealloc).cast()) }
}

/// Whether what `tp_dealloc` does last is to give the memory to the allocator that we see.
///
/// # Safety
/// `kind` is a live type.
#[inline]
unsafe fn frees_here(kind: *mut ffi::PyTypeObject) -> bool {
    // SAFETY: by the contract.
    let free = unsafe { (*kind).tp_free }.map_or(0, |free| free as usize);
    free == ffi::PyObject_GC_Del as *const () as usize
        || free == ffi::PyObject_Free as *const () as usize
        // Some static types without subclasses have none; they call one of the two themselves.
        || free == 0
}

/// The `tp_dealloc` of classes that are made by a `class` statement.
fn subtype_dealloc(py: Python<'_>) -> PyResult<usize> {
    // A class written in Python that every interpreter has.
    let class = crate::modules::builtin(py, "_frozen_importlib")?.getattr("ModuleSpec")?;
    let kind = class.cast::<PyType>()?.as_type_ptr();
    // SAFETY: a live type.
    let (dealloc, flags) = unsafe { (address((*kind).tp_dealloc), ffi::PyType_GetFlags(kind)) };
    if flags & ffi::Py_TPFLAGS_HEAPTYPE == 0 || !is_cpythons(dealloc) {
        return Err(PyRuntimeError::new_err(
            "debugop does not know this interpreter: importlib's ModuleSpec is no ordinary class",
        ));
    }
    Ok(dealloc)
}
