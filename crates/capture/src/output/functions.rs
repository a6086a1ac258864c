//! The C functions that stand where CPython's stood.

use std::ffi::{CStr, c_int};
use std::sync::{Arc, OnceLock};

use pyo3::exceptions::PyRuntimeError;
use pyo3::types::{
    PyAnyMethods, PyBytesMethods, PyInt, PyListMethods, PyString, PyTuple, PyTupleMethods, PyType,
    PyTypeMethods,
};
use pyo3::{Bound, PyAny, PyResult, Python, ffi};

use super::types::{Types, encoded, stream, with_bytes};
use super::{Listener, PENDING, Stream, guarded, tell, unknown};
use crate::{modules, names};

type One = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject) -> *mut ffi::PyObject;
type Fast = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *mut *mut ffi::PyObject,
    ffi::Py_ssize_t,
) -> *mut ffi::PyObject;

static TEXT: OnceLock<One> = OnceLock::new();
static BUFFERED: OnceLock<One> = OnceLock::new();
/// 3.11.
static FILE: OnceLock<One> = OnceLock::new();
/// 3.12+, where the method is told the class that defines it.
static FILE_OF_CLASS: OnceLock<ffi::PyCMethod> = OnceLock::new();
static WRITE: OnceLock<Fast> = OnceLock::new();
static WRITEV: OnceLock<Fast> = OnceLock::new();

/// Puts our functions in place.
///
/// # Errors
/// `RuntimeError`: the interpreter is not as it should be.
pub(super) fn place(types: &Types, py: Python<'_>) -> PyResult<()> {
    const OF_CLASS: c_int = ffi::METH_METHOD | ffi::METH_FASTCALL | ffi::METH_KEYWORDS;
    // SAFETY: the entries are static, writable data of the interpreter's, which it reads at each call; the flags, which are
    // compared, say which member of the union is set, and ours have the same signatures. The GIL is held.
    unsafe {
        for (class, original, ours) in [
            (&types.text, &TEXT, write_text as One),
            (&types.buffered, &BUFFERED, write_buffered as One),
        ] {
            let entry = method(class.bind(py), c"write")?;
            if (*entry).ml_flags != ffi::METH_O {
                return Err(unknown("the write method of a stream"));
            }
            original.get_or_init(|| (*entry).ml_meth.PyCFunction);
            (*entry).ml_meth.PyCFunction = ours;
        }
        let entry = method(types.file.bind(py), c"write")?;
        match (*entry).ml_flags {
            ffi::METH_O => {
                FILE.get_or_init(|| (*entry).ml_meth.PyCFunction);
                (*entry).ml_meth.PyCFunction = write_file;
            }
            OF_CLASS => {
                FILE_OF_CLASS.get_or_init(|| (*entry).ml_meth.PyCMethod);
                (*entry).ml_meth.PyCMethod = write_file_of_class;
            }
            _ => return Err(unknown("the write method of a file")),
        }
        for (name, original, ours) in [
            ("write", &WRITE, os_write as Fast),
            ("writev", &WRITEV, os_writev as Fast),
        ] {
            let Some(function) = modules::builtin(py, "posix")?.getattr_opt(name)? else {
                // writev is not there on every system.
                continue;
            };
            if ffi::PyCFunction_CheckExact(function.as_ptr()) == 0 {
                // Somebody has replaced it; ours would not be called.
                continue;
            }
            let entry = (*function.as_ptr().cast::<ffi::PyCFunctionObject>()).m_ml;
            if (*entry).ml_flags != ffi::METH_FASTCALL {
                return Err(unknown("os.write"));
            }
            original.get_or_init(|| (*entry).ml_meth.PyCFunctionFast);
            (*entry).ml_meth.PyCFunctionFast = ours;
        }
    }
    Ok(())
}

/// The definition of a method of a type.
fn method(class: &Bound<'_, PyType>, name: &CStr) -> PyResult<*mut ffi::PyMethodDef> {
    // SAFETY: `tp_methods` of a builtin type is an array that ends in a NULL name (3.11-3.15).
    unsafe {
        let mut entry = (*class.as_type_ptr()).tp_methods;
        while !entry.is_null() && !(*entry).ml_name.is_null() {
            if CStr::from_ptr((*entry).ml_name) == name {
                return Ok(entry);
            }
            entry = entry.add(1);
        }
    }
    Err(unknown("a stream"))
}

/// `TextIOWrapper.write(text)` is going to happen. What [`Pending::arrived`] is to be told when it has.
fn text_written(
    listener: &Arc<dyn Listener>,
    types: &Types,
    wrapper: &Bound<'_, PyAny>,
    text: &Bound<'_, PyAny>,
) -> Option<u64> {
    let py = wrapper.py();
    let text = text.cast::<PyString>().ok()?;
    if !wrapper.get_type().is(types.text.bind(py)) {
        return None;
    }
    // SAFETY: a live object of exactly the type in which the field was found.
    let newline = unsafe {
        wrapper
            .as_ptr()
            .cast::<u8>()
            .add(types.newline)
            .cast::<usize>()
            .read()
    };
    if newline != 0 {
        return None;
    }
    // A member of the C type; the error, that it is detached, will be met by who writes.
    let buffer = wrapper.getattr(names::buffer(py)).ok()?;
    let stream = match types.below_buffer(&buffer) {
        Some((_, stream)) => stream,
        None => types.stream(&buffer)?,
    };
    let bytes = encoded(wrapper, text)?;
    let token = PENDING.with(py, |pending| {
        pending.expect(buffer.as_ptr() as usize, bytes.as_bytes())
    });
    tell(py, listener, stream, bytes.as_bytes());
    Some(token)
}

/// `BufferedWriter.write(data)` is going to happen.
fn buffered_written(
    listener: &Arc<dyn Listener>,
    types: &Types,
    buffered: &Bound<'_, PyAny>,
    data: &Bound<'_, PyAny>,
) -> Option<()> {
    let py = buffered.py();
    let (raw, stream) = types.below_buffer(buffered)?;
    with_bytes(data, |bytes| {
        let new = PENDING.with(py, |pending| {
            let new = pending.together(buffered.as_ptr() as usize, bytes);
            pending.expect(raw.as_ptr() as usize, bytes);
            new
        });
        tell(py, listener, stream, &bytes[..new]);
    })
}

/// `FileIO.write(data)` has happened.
fn file_written(
    listener: &Arc<dyn Listener>,
    types: &Types,
    file: &Bound<'_, PyAny>,
    data: &Bound<'_, PyAny>,
    result: &Bound<'_, PyAny>,
) -> Option<()> {
    let py = file.py();
    let stream = types.stream(file)?;
    let count = count(result)?;
    with_bytes(data, |bytes| {
        let bytes = &bytes[..count.min(bytes.len())];
        let new = PENDING.with(py, |pending| pending.cut(file.as_ptr() as usize, bytes));
        for range in new {
            tell(py, listener, stream, &bytes[range]);
        }
    })
}

/// How many bytes were written; `None` if none, because the descriptor does not block.
fn count(result: &Bound<'_, PyAny>) -> Option<usize> {
    result.cast_exact::<PyInt>().ok()?.extract().ok()
}

/// The thread's token and two arguments.
///
/// # Safety
/// Called in a function that CPython calls with two live objects.
unsafe fn pair<'py>(
    one: *mut ffi::PyObject,
    other: *mut ffi::PyObject,
) -> (Python<'py>, Bound<'py, PyAny>, Bound<'py, PyAny>) {
    // SAFETY: by the contract; the thread is attached, by CPython's calling convention.
    unsafe {
        let py = Python::assume_attached();
        (
            py,
            Bound::from_borrowed_ptr(py, one),
            Bound::from_borrowed_ptr(py, other),
        )
    }
}

fn lost(py: Python<'_>) -> *mut ffi::PyObject {
    // Cannot be reached: it is set before ours is in place.
    PyRuntimeError::new_err("debugop lost a function that writes").restore(py);
    std::ptr::null_mut()
}

/// # Safety
/// Called by CPython as the method `write` of a `TextIOWrapper`.
unsafe extern "C" fn write_text(
    wrapper: *mut ffi::PyObject,
    text: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: by CPython's calling convention.
    let (py, own, argument) = unsafe { pair(wrapper, text) };
    let token = guarded(py, |listener, types| {
        text_written(listener, types, &own, &argument)
    });
    // SAFETY: CPython's own function with what we are called with.
    let result = TEXT
        .get()
        .map_or_else(|| lost(py), |original| unsafe { original(wrapper, text) });
    if let Some(token) = token {
        PENDING.with(py, |pending| pending.arrived(token));
    }
    result
}

/// # Safety
/// Called by CPython as the method `write` of a `BufferedWriter`.
unsafe extern "C" fn write_buffered(
    buffered: *mut ffi::PyObject,
    data: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: by CPython's calling convention.
    let (py, own, argument) = unsafe { pair(buffered, data) };
    guarded(py, |listener, types| {
        buffered_written(listener, types, &own, &argument)
    });
    // SAFETY: CPython's own function with what we are called with.
    BUFFERED
        .get()
        .map_or_else(|| lost(py), |original| unsafe { original(buffered, data) })
}

/// After a call that has written: tells, and returns `result`.
///
/// # Safety
/// `result` is a new reference, or NULL with an exception.
unsafe fn after(
    py: Python<'_>,
    result: *mut ffi::PyObject,
    f: impl FnOnce(&Arc<dyn Listener>, &Types, &Bound<'_, PyAny>) -> Option<()>,
) -> *mut ffi::PyObject {
    if !result.is_null() {
        // SAFETY: by the contract.
        let result = unsafe { Bound::from_borrowed_ptr(py, result) };
        guarded(py, |listener, types| f(listener, types, &result));
    }
    result
}

/// # Safety
/// Called by CPython 3.11 as the method `write` of a `FileIO`.
unsafe extern "C" fn write_file(
    file: *mut ffi::PyObject,
    data: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: by CPython's calling convention; its own function with what we are called with.
    unsafe {
        let (py, own, argument) = pair(file, data);
        let Some(original) = FILE.get() else {
            return lost(py);
        };
        after(py, original(file, data), |listener, types, result| {
            file_written(listener, types, &own, &argument, result)
        })
    }
}

/// # Safety
/// Called by CPython 3.12+ as the method `write` of a `FileIO`.
unsafe extern "C" fn write_file_of_class(
    file: *mut ffi::PyObject,
    class: *mut ffi::PyTypeObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: by CPython's calling convention; its own function with what we are called with, which is one argument unless it is an
    // error.
    unsafe {
        let py = Python::assume_attached();
        let Some(original) = FILE_OF_CLASS.get() else {
            return lost(py);
        };
        let result = original(file, class, args, count, keywords);
        if result.is_null() || ffi::PyVectorcall_NARGS(count.cast_unsigned()) != 1 {
            return result;
        }
        let (py, own, argument) = pair(file, *args);
        after(py, result, |listener, types, result| {
            file_written(listener, types, &own, &argument, result)
        })
    }
}

/// Tells of `os.write` and `os.writev`.
///
/// # Safety
/// Called in a `METH_FASTCALL` function with its arguments.
unsafe fn fast(
    original: &OnceLock<Fast>,
    module: *mut ffi::PyObject,
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    told: impl FnOnce(&Arc<dyn Listener>, Stream, &Bound<'_, PyAny>, usize) -> Option<()>,
) -> *mut ffi::PyObject {
    // SAFETY: by the contract; CPython's own function with what we are called with.
    unsafe {
        let py = Python::assume_attached();
        let Some(original) = original.get() else {
            return lost(py);
        };
        let result = original(module, args, count);
        if result.is_null() || count != 2 {
            return result;
        }
        let (_, descriptor, data) = pair(*args, *args.add(1));
        after(py, result, |listener, _, result| {
            told(listener, stream(&descriptor)?, &data, self::count(result)?)
        })
    }
}

/// # Safety
/// Called by CPython as `posix.write`.
unsafe extern "C" fn os_write(
    module: *mut ffi::PyObject,
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    let told = |listener: &Arc<dyn Listener>, stream, data: &Bound<'_, PyAny>, count: usize| {
        with_bytes(data, |bytes| {
            tell(
                data.py(),
                listener,
                stream,
                &bytes[..count.min(bytes.len())],
            );
        })
    };
    // SAFETY: by CPython's calling convention.
    unsafe { fast(&WRITE, module, args, count, told) }
}

/// # Safety
/// Called by CPython as `posix.writev`.
unsafe extern "C" fn os_writev(
    module: *mut ffi::PyObject,
    args: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    let told =
        |listener: &Arc<dyn Listener>, stream, buffers: &Bound<'_, PyAny>, mut count: usize| {
            // Not converted: who makes a list or a tuple may start a garbage collection (3.11).
            let buffers: Box<dyn Iterator<Item = Bound<'_, PyAny>>> = match buffers.cast_exact() {
                Ok(list) => Box::new(PyListMethods::iter(list)),
                Err(_) => Box::new(buffers.cast_exact::<PyTuple>().ok()?.iter()),
            };
            for buffer in buffers {
                count -= with_bytes(&buffer, |bytes| {
                    let bytes = &bytes[..count.min(bytes.len())];
                    tell(buffer.py(), listener, stream, bytes);
                    bytes.len()
                })?;
            }
            Some(())
        };
    // SAFETY: by CPython's calling convention.
    unsafe { fast(&WRITEV, module, args, count, told) }
}
