//! To be told when a thread's trace function changes, whoever changes it: `PyEval_SetTrace` of C extensions has no other sign but an audit event,
//! and to hear audit events costs every program at every one.
//!
//! A thread's state holds what its trace function is called with (`c_traceobj`, NULL for none) and lets go of it when the function is set or taken
//! away: from 3.12 on after the new one is in place (`_PyEval_SetTrace` in `Python/legacy_tracing.c`), on 3.11 before that (`Python/ceval.c`). So an object
//! of ours is there in its stead, which holds it, and whose death tells. It costs nothing until then. On 3.11 a pending call looks afterwards, which the main
//! thread makes before it tells of anything: where the C function that has set the trace function returns, or at the next `RESUME`. In other threads the next
//! probe that tells something looks ([`super::told::meet`]). Who calls the trace function is to unwrap it, which ours
//! in front of it does ([`super::told`]), and so is `sys.gettrace`, which answers with it.

use std::ffi::c_void;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::exceptions::PySystemError;
use pyo3::{Bound, PyAny, PyResult, Python, ffi};

use crate::builtin;
use crate::frame::Frame;
use crate::interpreter::is_main;
use crate::layout::ThreadState;
use crate::modules;
#[cfg(Py_3_12)]
use crate::thread;

/// What is in the place of a trace function's object.
#[repr(C)]
struct TraceObject {
    head: ffi::PyObject,
    /// The thread's.
    state: *mut ffi::PyThreadState,
    /// The object; a reference, or NULL.
    object: *mut ffi::PyObject,
    /// The trace function that ours stands in front of, if it does.
    function: Option<ffi::Py_tracefunc>,
}

/// Its type, which lives for ever; NULL until [`watch`].
static TYPE: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(std::ptr::null_mut());

type NoArguments =
    unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject) -> *mut ffi::PyObject;

/// CPython's `sys.gettrace`.
static GETTRACE: OnceLock<NoArguments> = OnceLock::new();

/// Makes what is needed to [`plant`].
///
/// # Errors
/// The interpreter is not as it should be.
pub(super) fn watch(py: Python<'_>) -> PyResult<()> {
    let entry = builtin::definition(&modules::builtin(py, "sys")?, "gettrace", ffi::METH_NOARGS)?;
    let mut slots = [
        ffi::PyType_Slot {
            slot: ffi::Py_tp_dealloc,
            pfunc: dealloc as *mut c_void,
        },
        ffi::PyType_Slot {
            slot: 0,
            pfunc: std::ptr::null_mut(),
        },
    ];
    let mut spec = ffi::PyType_Spec {
        name: c"debugop.TraceObject".as_ptr(),
        basicsize: size_of::<TraceObject>() as i32,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT
            | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION
            | ffi::Py_TPFLAGS_IMMUTABLETYPE) as u32,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the spec and its slots are valid for the call, the name is static, the slot function has the signature that CPython expects for
    // it. The entry is in a writable table of the interpreter's (`Python/sysmodule.c`, 3.11-3.15); its flags, which were compared, say which
    // member of the union is set, and ours has the same signature. The GIL is held.
    unsafe {
        let kind = Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpec(&raw mut spec))?;
        TYPE.store(kind.into_ptr().cast(), Ordering::Relaxed);
        GETTRACE.get_or_init(|| (*entry).ml_meth.PyCFunction);
        (*entry).ml_meth.PyCFunction = gettrace;
    }
    Ok(())
}

fn is_ours(object: *mut ffi::PyObject) -> bool {
    // SAFETY: not NULL, and then a live object by the contract of those who call this.
    !object.is_null() && unsafe { ffi::Py_TYPE(object) } == TYPE.load(Ordering::Relaxed)
}

/// What the trace function is to be called with where the interpreter calls it with `object`, a live one or NULL; borrowed from it.
pub(super) fn unwrapped(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    if is_ours(object) {
        // SAFETY: the type says what it is.
        return unsafe { (*object.cast::<TraceObject>()).object };
    }
    object
}

/// The trace function that the interpreter means where it calls ours with `object`, a live one or NULL.
pub(super) fn function(object: *mut ffi::PyObject) -> Option<ffi::Py_tracefunc> {
    if is_ours(object) {
        // SAFETY: the type says what it is.
        return unsafe { (*object.cast::<TraceObject>()).function };
    }
    None
}

/// What the trace function of a live thread is called with.
pub(crate) fn of_thread(
    py: Python<'_>,
    state: *mut ffi::PyThreadState,
) -> Option<Bound<'_, PyAny>> {
    // SAFETY: a live thread state, with the GIL held; it has a reference to the object, if there is one.
    unsafe {
        let object = unwrapped((*state.cast::<ThreadState>()).c_traceobj);
        Bound::from_borrowed_ptr_or_opt(py, object)
    }
}

/// From now on [`super::told`] is told when the trace function of a live thread of the main interpreter changes, and the object says that it is
/// `function`, if that is not `None`; false if there is no memory. Nobody must call the thread's trace function but by way of ours.
pub(super) fn plant(
    _py: Python<'_>,
    state: *mut ffi::PyThreadState,
    function: Option<ffi::Py_tracefunc>,
) -> bool {
    let kind = TYPE.load(Ordering::Relaxed);
    // SAFETY: a live thread state, with the GIL held; the field is that of the layout, checked against the headers, and has a reference or is NULL:
    // the new object takes it over and is itself given up to the field. Memory comes from the allocator of objects, and all fields are set. The type of
    // what is there already says what it is.
    unsafe {
        let field = &raw mut (*state.cast::<ThreadState>()).c_traceobj;
        if kind.is_null() {
            return false;
        }
        if is_ours(*field) {
            let there = (*field).cast::<TraceObject>();
            (*there).function = function.or((*there).function);
            return true;
        }
        let memory = ffi::PyObject_Malloc(size_of::<TraceObject>());
        if memory.is_null() {
            return false;
        }
        let new = ffi::PyObject_Init(memory.cast(), kind).cast::<TraceObject>();
        (*new).state = state;
        (*new).object = *field;
        (*new).function = function;
        *field = new.cast();
    }
    true
}

/// # Safety
/// Called by CPython as `tp_dealloc`.
unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    // SAFETY: the thread is attached, the last reference is gone; memory came from `plant`, and a heap type's instance owns a reference to its type.
    // An exception may be set, which nothing here changes.
    unsafe {
        let py = Python::assume_attached();
        let TraceObject {
            state,
            object: inner,
            ..
        } = object.cast::<TraceObject>().read();
        let kind = ffi::Py_TYPE(object);
        ffi::PyObject_Free(object.cast());
        ffi::Py_DECREF(kind.cast());
        let is_main = is_main(py);
        if is_main {
            changed(py, state);
        }
        // As in `_PyEval_SetTrace`, at last: this can run code of the program's.
        ffi::Py_XDECREF(inner);
        if is_main {
            super::told::forget_met(py);
        }
    }
}

/// The state of a thread has let go of one of ours.
#[cfg(Py_3_12)]
fn changed(py: Python<'_>, state: *mut ffi::PyThreadState) {
    // SAFETY: the thread is attached.
    let is_current = unsafe { ffi::PyThreadState_Get() } == state;
    // Somebody else may have had a reference to ours for longer than there was a thread; a state that is cleared after a fork is in no list.
    if !is_current && !thread::states(py).contains(&state) {
        return;
    }
    // SAFETY: a live thread state, with the GIL held.
    let is_set = unsafe { !(*state.cast::<ThreadState>()).c_tracefunc.is_null() };
    // Without a function, the thread may also be about to end (`PyThreadState_Clear`), and nobody would free what were put there now. Then it
    // runs no Python, and other threads' states are told of by `sys` (`told::set`).
    if is_set || is_current && Frame::current(py).is_some() {
        super::told::expect(py, state);
    }
}

/// The same.
#[cfg(not(Py_3_12))]
fn changed(py: Python<'_>, state: *mut ffi::PyThreadState) {
    extern "C" fn look(_: *mut c_void) -> std::ffi::c_int {
        // SAFETY: CPython makes pending calls with the thread attached.
        let py = unsafe { Python::assume_attached() };
        if is_main(py) {
            super::told::expect_all(py);
        }
        0
    }
    // SAFETY: the thread is attached.
    let is_current = unsafe { ffi::PyThreadState_Get() } == state;
    // Otherwise the thread may be about to end.
    if is_current && Frame::current(py).is_some() {
        // SAFETY: the function needs no argument. If too many calls are pending, this one is left out, without an exception.
        unsafe { ffi::Py_AddPendingCall(Some(look), std::ptr::null_mut()) };
    }
}

/// # Safety
/// Called by CPython as `sys.gettrace`.
unsafe extern "C" fn gettrace(
    module: *mut ffi::PyObject,
    nothing: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the thread is attached, by CPython's calling convention; CPython's own function gets what was meant for it and returns a new
    // reference or NULL.
    unsafe {
        let Some(original) = GETTRACE.get() else {
            // Cannot be reached: `watch` sets it first.
            PySystemError::new_err("debugop lost sys.gettrace").restore(Python::assume_attached());
            return std::ptr::null_mut();
        };
        let found = original(module, nothing);
        if !is_ours(found) {
            return found;
        }
        let inner = unwrapped(found);
        let shown = if inner.is_null() {
            ffi::Py_None()
        } else {
            inner
        };
        ffi::Py_INCREF(shown);
        ffi::Py_DECREF(found);
        shown
    }
}
