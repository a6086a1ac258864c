//! Threads: their states, and their names, read without running any of the program's code.

use pyo3::types::{
    PyAnyMethods, PyDict, PyDictMethods, PyInt, PyModule, PyModuleMethods, PyString,
};
use pyo3::{Bound, PyAny, Python, ffi};

use crate::follow::lookup;
use crate::names;
use crate::value::string;

unsafe extern "C" {
    fn PyInterpreterState_ThreadHead(
        interpreter: *mut ffi::PyInterpreterState,
    ) -> *mut ffi::PyThreadState;
    fn PyThreadState_Next(state: *mut ffi::PyThreadState) -> *mut ffi::PyThreadState;
}

/// The states of this interpreter's threads.
pub(crate) fn states(_py: Python<'_>) -> Vec<*mut ffi::PyThreadState> {
    let mut all = Vec::new();
    // SAFETY: with the GIL held no thread state goes away.
    unsafe {
        let mut state = PyInterpreterState_ThreadHead(ffi::PyInterpreterState_Get());
        while !state.is_null() {
            all.push(state);
            state = PyThreadState_Next(state);
        }
    }
    all
}

/// Which thread this is: the address of its state.
pub(crate) fn address(_py: Python<'_>) -> usize {
    // SAFETY: the thread is attached, so it has a state.
    unsafe { ffi::PyThreadState_Get() as usize }
}

/// The name of the `threading.Thread` of the thread with this `threading.get_ident()`; `None` if `threading` does not know the
/// thread (yet), or if reading it could run code of the program.
#[must_use]
pub fn thread_name(py: Python<'_>, ident: u64) -> Option<String> {
    // SAFETY: the module dictionary is alive as long as the interpreter; a borrowed reference, turned into one of our own.
    let modules = unsafe { Bound::from_borrowed_ptr_or_opt(py, ffi::PyImport_GetModuleDict()) }?;
    let threading = get(modules.cast_exact::<PyDict>().ok()?, "threading")?;
    let namespace = threading.cast_exact::<PyModule>().ok()?.dict();
    let active = get(&namespace, "_active")?;
    let is_it = |key: &Bound<'_, PyAny>| {
        key.is_exact_instance_of::<PyInt>() && key.extract::<u64>().ok() == Some(ident)
    };
    // Every key is looked at, instead of looking one up, so that no `__eq__` or `__hash__` of the program's runs.
    let mut entries = active.cast_exact::<PyDict>().ok()?.iter();
    let (_, thread) = entries.find(|(key, _)| is_it(key))?;
    let attribute = names::private_name(py);
    if lookup(py, &thread.get_type(), attribute.as_any()).is_some() {
        // A property or descriptor, perhaps.
        return None;
    }
    // SAFETY: both are live objects. `PyObject_GenericGetAttr` does not look at `__getattr__`, and where the type has no such attribute it
    // only looks in the instance's own dictionary (Objects/object.c, 3.11-3.15). A new reference, or an error, which is taken away.
    let name = unsafe {
        Bound::from_owned_ptr_or_err(
            py,
            ffi::PyObject_GenericGetAttr(thread.as_ptr(), attribute.as_ptr()),
        )
    };
    Some(string(name.ok()?.cast_exact::<PyString>().ok()?))
}

/// The value of a name in a dictionary of names; keys that are no exact strings are passed over.
fn get<'py>(names: &Bound<'py, PyDict>, name: &str) -> Option<Bound<'py, PyAny>> {
    let is_it = |key: &Bound<'py, PyAny>| {
        key.cast_exact::<PyString>()
            .is_ok_and(|key| string(key) == name)
    };
    names
        .iter()
        .find(|(key, _)| is_it(key))
        .map(|(_, value)| value)
}
