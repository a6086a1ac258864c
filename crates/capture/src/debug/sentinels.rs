//! Places that watchpoints look at without Python: whether the object there is another one.
//!
//! From 3.12 on CPython tells of every change of a dictionary that somebody watches (`PyDict_Watch`, `Objects/dictobject.c`): of a namespace, of an
//! instance's or a class's attributes, of the items of a dictionary. Nothing else of the program is slower. What is told is that a key
//! is about to be changed; the instruction that does it has not ended yet, so the next one is asked to tell. On 3.11 a dictionary has the version of its contents.
//! Items of lists and attributes with a place in the object itself are compared by their address, behind the instructions that may write to one.

#[cfg(Py_3_12)]
use std::ffi::c_int;

use pyo3::types::{PyAnyMethods, PyCode, PyDict, PyList, PyListMethods, PyTuple};
use pyo3::{Bound, Py, PyAny, PyResult, Python, ffi};

#[cfg(Py_3_12)]
use crate::frame::Frame;
use crate::gil::{GilCell, release};
#[cfg(Py_3_12)]
use crate::registry;

/// One place.
pub(super) enum Sentinel {
    /// An item of a dictionary.
    Dictionary {
        /// The dictionary, or one of a class derived from `dict`.
        dictionary: Py<PyAny>,
        /// Of a builtin type; what has not to be compared by a `__eq__`.
        #[cfg_attr(not(Py_3_12), expect(dead_code, reason = "any change counts"))]
        key: Py<PyAny>,
        /// `PyDictObject.ma_version_tag` at the last look.
        #[cfg(not(Py_3_12))]
        version: u64,
    },
    /// An item of a list, by its index, and what was there at the last look.
    Item(Py<PyList>, isize, Option<Py<PyAny>>),
    /// A pointer in an object, by its offset in bytes, and what was there at the last look.
    Slot(Py<PyAny>, usize, Option<Py<PyAny>>),
}

impl Sentinel {
    /// From what Python has for it: (dictionary, key), (list, index), or (object, descriptor of a member of its class).
    ///
    /// # Errors
    /// `TypeError`: it is none of these.
    pub(super) fn new(description: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (owner, which): (Bound<'_, PyAny>, Bound<'_, PyAny>) =
            description.cast::<PyTuple>()?.extract()?;
        if owner.is_instance_of::<PyDict>() {
            return Ok(Self::Dictionary {
                #[cfg(not(Py_3_12))]
                version: version(&owner),
                dictionary: owner.unbind(),
                key: which.unbind(),
            });
        }
        if let Some(offset) = slot_offset(&owner, &which) {
            let mut slot = Self::Slot(owner.clone().unbind(), offset, None);
            slot.look(owner.py());
            return Ok(slot);
        }
        let list = owner.cast_into::<PyList>()?;
        let mut item = Self::Item(list.clone().unbind(), which.extract()?, None);
        item.look(list.py());
        Ok(item)
    }

    /// Whether there is another object now; what has been is dropped by the caller.
    fn look(&mut self, py: Python<'_>) -> Option<Option<Py<PyAny>>> {
        let (now, last) = match self {
            #[cfg(Py_3_12)]
            Self::Dictionary { .. } => return None,
            #[cfg(not(Py_3_12))]
            Self::Dictionary {
                dictionary,
                version: last,
                ..
            } => {
                let now = version(dictionary.bind(py));
                return (std::mem::replace(last, now) != now).then_some(None);
            }
            Self::Item(list, index, last) => (item(list.bind(py), *index), last),
            Self::Slot(object, offset, last) => {
                // SAFETY: the object is alive, and `slot_offset` has found a member of its class there that is an object or NULL.
                let now = unsafe {
                    let at = object.as_ptr().byte_add(*offset);
                    *at.cast::<*mut ffi::PyObject>()
                };
                (now, last)
            }
        };
        if last.as_ref().map_or(std::ptr::null_mut(), Py::as_ptr) == now {
            return None;
        }
        // SAFETY: what a live list or object refers to, or NULL.
        let now = unsafe { Bound::from_borrowed_ptr_or_opt(py, now) };
        Some(std::mem::replace(last, now.map(Bound::unbind)))
    }
}

/// The item of a list at an index that may count from the end; NULL: there is none.
fn item(list: &Bound<'_, PyList>, index: isize) -> *mut ffi::PyObject {
    let length = list.len().cast_signed();
    let at = if index < 0 { index + length } else { index };
    if at < 0 || at >= length {
        return std::ptr::null_mut();
    }
    // SAFETY: a list, and an index within it; a borrowed reference.
    unsafe { ffi::PyList_GetItem(list.as_ptr(), at) }
}

/// Where in `object` the member `descriptor` of its class is, if that is an object or NULL (`__slots__`).
fn slot_offset(object: &Bound<'_, PyAny>, descriptor: &Bound<'_, PyAny>) -> Option<usize> {
    // SAFETY: `PyMemberDescr_Type` is a static type; of an instance of exactly this type the fields may be read (`Include/descrobject.h`,
    // 3.11-3.15), and its definition lives as long as it does. The member belongs to instances of `d_type`.
    unsafe {
        if ffi::Py_TYPE(descriptor.as_ptr()) != &raw mut ffi::PyMemberDescr_Type {
            return None;
        }
        let descriptor = descriptor.as_ptr().cast::<ffi::PyMemberDescrObject>();
        let member = &*(*descriptor).d_member;
        if member.type_code != ffi::Py_T_OBJECT_EX
            || ffi::PyObject_TypeCheck(object.as_ptr(), (*descriptor).d_common.d_type) == 0
        {
            return None;
        }
        usize::try_from(member.offset).ok()
    }
}

/// What changes with every change of a dictionary.
#[cfg(not(Py_3_12))]
fn version(dictionary: &Bound<'_, PyAny>) -> u64 {
    // SAFETY: a dictionary, whose field is public (`Include/cpython/dictobject.h`, 3.11).
    unsafe { (*dictionary.as_ptr().cast::<ffi::PyDictObject>()).ma_version_tag }
}

/// What is watched now, for all sessions.
#[derive(Default)]
struct State {
    watched: Vec<Sentinel>,
    /// A dictionary has changed since the last look, or is about to.
    changed: bool,
    /// Which instruction has done it: a code object, an original, and an offset in it.
    writer: Option<(Py<PyCode>, u32)>,
    /// The number that CPython has given to our callback.
    #[cfg(Py_3_12)]
    watcher: Option<c_int>,
}

static STATE: GilCell<Option<State>> = GilCell::new(None);

fn state<R>(py: Python<'_>, f: impl FnOnce(&mut State) -> R) -> R {
    STATE.with(py, |state| f(state.get_or_insert_with(State::default)))
}

/// Looks at these places from now on, in place of all others.
///
/// # Errors
/// `RuntimeError`: eight others watch dictionaries already, which is all that CPython allows.
pub(super) fn set(py: Python<'_>, sentinels: Vec<Sentinel>) -> PyResult<()> {
    #[cfg(Py_3_12)]
    watching::begin(py, &sentinels)?;
    let old = state(py, |state| {
        state.changed = false;
        (
            std::mem::replace(&mut state.watched, sentinels),
            state.writer.take(),
        )
    });
    #[cfg(Py_3_12)]
    watching::end(py, &old.0)?;
    release(old);
    Ok(())
}

/// Whether a place has changed since the last time that this was asked, as far as it can be told without running code of the program.
#[inline]
pub(super) fn changed(py: Python<'_>) -> bool {
    let mut dropped = None;
    let changed = state(py, |state| {
        let mut changed = std::mem::take(&mut state.changed);
        for one in &mut state.watched {
            if let Some(old) = one.look(py) {
                changed = true;
                if let Some(old) = old {
                    dropped.get_or_insert_with(Vec::new).push(old);
                }
            }
        }
        changed
    });
    if dropped.is_some() {
        release(dropped);
    }
    changed
}

/// Whether a dictionary has changed, or is about to, and [`changed`] has not been asked.
#[cfg(Py_3_12)]
pub(super) fn is_told(py: Python<'_>) -> bool {
    state(py, |state| state.changed)
}

/// The instruction that has changed a dictionary last, a code object and an offset in it, if that is known; the next one to ask gets none.
pub fn writer(py: Python<'_>) -> Option<(Bound<'_, PyCode>, u32)> {
    let (code, offset) = state(py, |state| state.writer.take())?;
    Some((code.into_bound(py), offset))
}

#[cfg(Py_3_12)]
mod watching {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[cfg(all(Py_3_13, not(Py_3_14)))]
    use pyo3::IntoPyObject;
    use pyo3::PyErr;

    use super::{
        Bound, Frame, PyAny, PyAnyMethods, PyResult, Python, Sentinel, c_int, ffi, registry, state,
    };
    use crate::debug::watch;

    /// `PyDict_EVENT_DELETED` (`Include/cpython/dictobject.h`, 3.12-3.15): up to it events have a key.
    const DELETED: c_int = 2;
    /// `PyDict_EVENT_DEALLOCATED`.
    const DEALLOCATED: c_int = 5;

    type Callback = unsafe extern "C" fn(
        c_int,
        *mut ffi::PyObject,
        *mut ffi::PyObject,
        *mut ffi::PyObject,
    ) -> c_int;

    unsafe extern "C" {
        fn PyDict_AddWatcher(callback: Callback) -> c_int;
        fn PyDict_ClearWatcher(watcher: c_int) -> c_int;
        fn PyDict_Watch(watcher: c_int, dictionary: *mut ffi::PyObject) -> c_int;
        fn PyDict_Unwatch(watcher: c_int, dictionary: *mut ffi::PyObject) -> c_int;
    }

    fn dictionaries<'a, 'py: 'a>(
        py: Python<'py>,
        sentinels: &'a [Sentinel],
    ) -> impl Iterator<Item = &'a Bound<'py, PyAny>> {
        sentinels.iter().filter_map(move |one| match one {
            Sentinel::Dictionary { dictionary, .. } => Some(dictionary.bind(py)),
            Sentinel::Item(..) | Sentinel::Slot(..) => None,
        })
    }

    fn succeeded(py: Python<'_>, outcome: c_int) -> PyResult<c_int> {
        if outcome < 0 {
            return Err(PyErr::fetch(py));
        }
        Ok(outcome)
    }

    /// Has CPython tell of the dictionaries of `sentinels`.
    pub(super) fn begin(py: Python<'_>, sentinels: &[Sentinel]) -> PyResult<()> {
        for dictionary in dictionaries(py, sentinels) {
            let watcher = if let Some(watcher) = state(py, |state| state.watcher) {
                watcher
            } else {
                // SAFETY: the GIL is held; the callback has the right signature and lives as long as the process.
                let watcher = succeeded(py, unsafe { PyDict_AddWatcher(on_event) })?;
                state(py, |state| state.watcher = Some(watcher));
                watcher
            };
            #[cfg(all(Py_3_13, not(Py_3_14)))]
            own_values(dictionary)?;
            // SAFETY: our own watcher and a live dictionary.
            succeeded(py, unsafe { PyDict_Watch(watcher, dictionary.as_ptr()) })?;
        }
        Ok(())
    }

    /// CPython 3.13 does not tell of changes of a dictionary whose values are in the object that it belongs to (seen on 3.13.0; 3.12, 3.14 and 3.15
    /// do): it gets values of its own, as it does when it grows.
    #[cfg(all(Py_3_13, not(Py_3_14)))]
    fn own_values(dictionary: &Bound<'_, PyAny>) -> PyResult<()> {
        // SAFETY: a dictionary, whose fields are public (`Include/cpython/dictobject.h`).
        let values = unsafe { (*dictionary.as_ptr().cast::<ffi::PyDictObject>()).ma_values };
        if values.is_null() {
            return Ok(());
        }
        // Such a dictionary is exactly a `dict`, and its keys are strings: nothing of the program runs, and no other thread.
        let py = dictionary.py();
        let (key, value) = if dictionary.is_empty()? {
            ("debugop".into_pyobject(py)?.into_any(), None)
        } else {
            let last = dictionary.call_method0("popitem")?;
            (last.get_item(0)?, Some(last.get_item(1)?))
        };
        match value {
            Some(value) => dictionary.set_item(key, value),
            None => {
                dictionary.set_item(key, py.None())?;
                dictionary.call_method0("popitem").map(drop)
            }
        }
    }

    /// The dictionaries of `old` are told of no more, but for those that are watched now.
    pub(super) fn end(py: Python<'_>, old: &[Sentinel]) -> PyResult<()> {
        let Some(watcher) = state(py, |state| state.watcher) else {
            return Ok(());
        };
        for dictionary in dictionaries(py, old) {
            let is_watched = state(py, |state| {
                dictionaries(py, &state.watched).any(|one| one.is(dictionary))
            });
            if !is_watched {
                // SAFETY: our own watcher and a live dictionary.
                succeeded(py, unsafe { PyDict_Unwatch(watcher, dictionary.as_ptr()) })?;
            }
        }
        if state(py, |state| {
            dictionaries(py, &state.watched).next().is_none()
        }) {
            state(py, |state| state.watcher = None);
            // SAFETY: our own watcher.
            succeeded(py, unsafe { PyDict_ClearWatcher(watcher) })?;
        }
        Ok(())
    }

    /// # Safety
    /// Called by CPython before a dictionary changes, with borrowed references or NULL.
    unsafe extern "C" fn on_event(
        event: c_int,
        dictionary: *mut ffi::PyObject,
        key: *mut ffi::PyObject,
        _new_value: *mut ffi::PyObject,
    ) -> c_int {
        if event >= DEALLOCATED {
            return 0;
        }
        // SAFETY: the thread is attached, by CPython's calling convention.
        let py = unsafe { Python::assume_attached() };
        let concerns = state(py, |state| {
            state.watched.iter().any(|one| match one {
                Sentinel::Dictionary {
                    dictionary: own,
                    key: wanted,
                    ..
                } => {
                    // SAFETY: live objects; `key` is one for these events.
                    own.as_ptr() == dictionary
                        && (event > DELETED || unsafe { may_be_equal(key, wanted.as_ptr()) })
                }
                Sentinel::Item(..) | Sentinel::Slot(..) => false,
            })
        });
        if concerns {
            // An exception that is set already stays.
            let pending = PyErr::take(py);
            let outcome = catch_unwind(AssertUnwindSafe(|| tell(py)));
            if let Ok(Err(error)) = outcome {
                error.write_unraisable(py, None);
            }
            if let Some(pending) = pending {
                pending.restore(py);
            }
        }
        0
    }

    /// Whether two keys may be equal. No code of the program runs: keys of other types may be.
    ///
    /// # Safety
    /// Live objects, or NULL.
    unsafe fn may_be_equal(one: *mut ffi::PyObject, other: *mut ffi::PyObject) -> bool {
        if one == other || one.is_null() {
            return true;
        }
        // SAFETY: live objects; comparing two strings reads memory.
        unsafe {
            ffi::PyUnicode_CheckExact(one) == 0
                || ffi::PyUnicode_CheckExact(other) == 0
                || (ffi::PyUnicode_GetLength(one) == ffi::PyUnicode_GetLength(other)
                    && ffi::PyUnicode_Compare(one, other) == 0)
        }
    }

    /// A place is about to change: what is executed next tells.
    fn tell(py: Python<'_>) -> PyResult<()> {
        let frame = Frame::current(py);
        let writer = frame.and_then(|frame| {
            let code = frame.code(py);
            let offset = frame.instruction_offset()?;
            let entry = registry::of_copy(&code);
            let offset = entry
                .as_ref()
                .map_or(Some(offset), |entry| entry.original_unit(offset))?;
            let code = entry.map_or(code, |entry| entry.original(py).clone());
            Some((code.unbind(), offset))
        });
        let old = state(py, |state| {
            state.changed = true;
            std::mem::replace(&mut state.writer, writer)
        });
        super::release(old);
        watch::tell_next(py)
    }
}
