//! What the program writes to its standard output and standard error, when it writes it.
//!
//! The C functions by which Python programs write are replaced in their definitions, as in [`crate::replace`]: `TextIOWrapper.write`,
//! `BufferedWriter.write`, `FileIO.write`, `os.write` and `os.writev`; `print`, `writelines`, tracebacks and `input`'s prompt (where it is no
//! terminal) come through these. Where they write to is found by going down to the file descriptor. What an upper one has told of
//! is not told again when it comes by further down ([`pending`]), so a byte belongs to the instruction that wrote it, not to
//! the one that made a buffer overflow; bytes come in the order in which the program wrote them, which is that in which the operating system gets
//! them unless the program writes around a buffer that is not empty.
//!
//! A lower function tells instead, so when the buffer is emptied, where it is not known without running code of the program what an upper
//! one will make of the text: in subclasses, for other encodings than UTF-8, ASCII and Latin-1, with other error handlers than those built in,
//! and with a translation of newlines.
//!
//! Not seen: other descriptors that lead to the same place (`os.dup(1)`, `/dev/stdout`), what C code writes (`faulthandler`, `printf`, GNU readline's
//! prompt), child processes, sub-interpreters, `os.sendfile` and `os.splice`; and objects with a `__buffer__` method
//! of the program's, given to `os.write` or a raw file. A stream that does not block and was full may be told of twice.

mod pending;

use std::ffi::{CStr, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use pyo3::exceptions::PyRuntimeError;
use pyo3::types::{
    PyAnyMethods, PyByteArray, PyByteArrayMethods, PyBytes, PyBytesMethods, PyDict, PyDictMethods,
    PyInt, PyListMethods, PyString, PyStringMethods, PyTuple, PyTupleMethods, PyType,
    PyTypeMethods,
};
use pyo3::{Bound, Py, PyAny, PyResult, Python, ffi};

use crate::follow::lookup;
use crate::gil::GilCell;
use crate::interpreter::is_main;
use crate::{modules, names};
use pending::Pending;

/// A stream of the program's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// File descriptor 1.
    Output,
    /// File descriptor 2.
    Error,
}

/// Who is told.
pub trait Listener: Send + Sync {
    /// The program has written `bytes`, or is about to, in the instruction that this thread is executing. Must not run code of the program's.
    fn written(&self, py: Python<'_>, stream: Stream, bytes: &[u8]);
}

/// What is needed to follow a stream down, made when somebody begins to watch.
struct Types {
    text: Py<PyType>,
    buffered: Py<PyType>,
    file: Py<PyType>,
    /// The method of files.
    fileno: Py<PyAny>,
    /// Where a `TextIOWrapper` has what it makes of a newline: NULL if that is a newline.
    newline: usize,
}

static TYPES: GilCell<Option<Arc<Types>>> = GilCell::new(None);
static LISTENER: GilCell<Option<Arc<dyn Listener>>> = GilCell::new(None);
static PENDING: GilCell<Pending> = GilCell::new(Pending::new());

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

/// Tells `listener` from now on, instead of whom was told before.
///
/// # Errors
/// `RuntimeError`: the interpreter is not as it should be; `MemoryError`.
pub fn watch(py: Python<'_>, listener: Arc<dyn Listener>) -> PyResult<()> {
    if !TYPES.with(py, |types| types.is_some()) {
        let types = Types::find(py)?;
        types.place(py)?;
        TYPES.set(py, Some(Arc::new(types)));
    }
    PENDING.set(py, Pending::new());
    LISTENER.set(py, Some(listener));
    Ok(())
}

/// Tells nobody any more. Our functions stay and pass everything on.
pub fn unwatch(py: Python<'_>) {
    LISTENER.set(py, None);
    PENDING.set(py, Pending::new());
}

fn unknown(what: &str) -> pyo3::PyErr {
    PyRuntimeError::new_err(format!(
        "debugop does not know this interpreter: {what} is not what it is in CPython {}",
        crate::layout::VERSION
    ))
}

impl Types {
    fn find(py: Python<'_>) -> PyResult<Self> {
        let io = modules::builtin(py, "_io")?;
        let class =
            |name: &str| -> PyResult<Bound<'_, PyType>> { Ok(io.getattr(name)?.cast_into()?) };
        let file = class("FileIO")?;
        let text = class("TextIOWrapper")?;
        let newline = newline_field(py, &io, &text)?;
        Ok(Self {
            fileno: file.getattr("fileno")?.unbind(),
            text: text.unbind(),
            buffered: class("BufferedWriter")?.unbind(),
            file: file.unbind(),
            newline,
        })
    }

    /// Puts our functions in place.
    fn place(&self, py: Python<'_>) -> PyResult<()> {
        const OF_CLASS: c_int = ffi::METH_METHOD | ffi::METH_FASTCALL | ffi::METH_KEYWORDS;
        // SAFETY (all): the entries are static, writable data of the interpreter's, which it reads at each call; the flags, which are
        // compared, say which member of the union is set, and ours have the same signatures. The GIL is held.
        unsafe {
            for (class, original, ours) in [
                (&self.text, &TEXT, write_text as One),
                (&self.buffered, &BUFFERED, write_buffered as One),
            ] {
                let entry = method(class.bind(py), c"write")?;
                if (*entry).ml_flags != ffi::METH_O {
                    return Err(unknown("the write method of a stream"));
                }
                original.get_or_init(|| (*entry).ml_meth.PyCFunction);
                (*entry).ml_meth.PyCFunction = ours;
            }
            let entry = method(self.file.bind(py), c"write")?;
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

    /// The stream of an object that writes to a descriptor itself; `None` if it is none of the program's two, or closed.
    fn stream(&self, raw: &Bound<'_, PyAny>) -> Option<Stream> {
        let py = raw.py();
        if !raw.is_instance(self.file.bind(py)).unwrap_or(false) {
            return None;
        }
        // The method of `FileIO` itself, which only reads a number. The error, that the file is closed, will be met by who writes.
        let descriptor = self.fileno.bind(py).call1((raw,)).ok()?;
        stream(&descriptor)
    }

    /// The object that a `BufferedWriter` writes to, and its stream.
    fn below_buffer<'py>(
        &self,
        buffered: &Bound<'py, PyAny>,
    ) -> Option<(Bound<'py, PyAny>, Stream)> {
        let py = buffered.py();
        if !buffered.get_type().is(self.buffered.bind(py)) {
            return None;
        }
        // A member of the C type; the error, that it is detached, will be met by who writes.
        let raw = buffered.getattr(names::raw(py)).ok()?;
        let stream = self.stream(&raw)?;
        Some((raw, stream))
    }
}

/// The stream of a descriptor.
fn stream(descriptor: &Bound<'_, PyAny>) -> Option<Stream> {
    if !descriptor.is_instance_of::<PyInt>() {
        return None;
    }
    // SAFETY: an integer, which is only read.
    match unsafe { ffi::PyLong_AsLong(descriptor.as_ptr()) } {
        1 => Some(Stream::Output),
        2 => Some(Stream::Error),
        -1 => {
            // SAFETY: the thread is attached. An integer that is too large for a descriptor.
            unsafe { ffi::PyErr_Clear() };
            None
        }
        _ => None,
    }
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

/// Where in a `TextIOWrapper` the pointer is that is NULL as long as a newline is written as such (`writenl`, `Modules/_io/textio.c`,
/// whose struct is in no header): the one word that differs so between streams that differ so.
fn newline_field(
    py: Python<'_>,
    io: &Bound<'_, PyAny>,
    text: &Bound<'_, PyType>,
) -> PyResult<usize> {
    let make = |newline: Option<&str>| {
        let named = PyDict::new(py);
        named.set_item("encoding", "utf-8")?;
        named.set_item("newline", newline)?;
        text.call((io.getattr("BytesIO")?.call0()?,), Some(&named))
    };
    let kept = [make(Some("\n"))?, make(Some(""))?, make(None)?];
    let changed = [make(Some("\r\n"))?, make(Some("\r"))?];
    // SAFETY: live objects of `tp_basicsize` bytes, a multiple of the size of a word, which are only read, with the GIL held.
    let word = |one: &Bound<'_, PyAny>, at: usize| unsafe {
        one.as_ptr().cast::<u8>().add(at).cast::<usize>().read()
    };
    // SAFETY: a live type.
    let size = unsafe { (*text.as_type_ptr()).tp_basicsize };
    let mut found = (size_of::<ffi::PyObject>()..size.cast_unsigned())
        .step_by(size_of::<usize>())
        .filter(|&at| {
            kept.iter().all(|one| word(one, at) == 0)
                && changed.iter().all(|one| word(one, at) != 0)
        });
    match (found.next(), found.next()) {
        (Some(at), None) => Ok(at),
        _ => Err(unknown("TextIOWrapper")),
    }
}

/// The bytes of an object, if they can be had without running code of the program's.
fn with_bytes<R>(object: &Bound<'_, PyAny>, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
    if let Ok(bytes) = object.cast_exact::<PyBytes>() {
        return Some(f(bytes.as_bytes()));
    }
    if let Ok(bytes) = object.cast_exact::<PyByteArray>() {
        return Some(f(&bytes.to_vec()));
    }
    let py = object.py();
    if let Some(slot) = lookup(py, &object.get_type(), names::buffer_slot(py).as_any()) {
        // What a C type has in its slot is wrapped; anything else is the program's (3.12+).
        // SAFETY: a comparison of addresses.
        let is_wrapper =
            unsafe { ffi::Py_TYPE(slot.as_ptr()) == &raw mut ffi::PyWrapperDescr_Type };
        if !is_wrapper {
            return None;
        }
    }
    let mut view = std::mem::MaybeUninit::<ffi::Py_buffer>::uninit();
    // SAFETY: the thread is attached; the view is filled if the result is 0, and released.
    unsafe {
        if ffi::PyObject_GetBuffer(object.as_ptr(), view.as_mut_ptr(), ffi::PyBUF_SIMPLE) != 0 {
            // Who writes will meet the error.
            ffi::PyErr_Clear();
            return None;
        }
        let mut view = view.assume_init();
        let bytes = if view.len == 0 {
            &[]
        } else {
            std::slice::from_raw_parts(view.buf.cast::<u8>(), view.len.cast_unsigned())
        };
        let result = f(bytes);
        ffi::PyBuffer_Release(&raw mut view);
        Some(result)
    }
}

/// The text as a `TextIOWrapper` of this encoding will write it, if that is known.
fn encoded<'py>(
    wrapper: &Bound<'py, PyAny>,
    text: &Bound<'py, PyString>,
) -> Option<Bound<'py, PyBytes>> {
    const ENCODINGS: [(&str, &CStr); 8] = [
        ("utf-8", c"utf-8"),
        ("utf8", c"utf-8"),
        ("ascii", c"ascii"),
        ("us-ascii", c"ascii"),
        ("ansi_x3.4-1968", c"ascii"),
        ("latin-1", c"latin-1"),
        ("iso-8859-1", c"latin-1"),
        ("iso8859-1", c"latin-1"),
    ];
    /// Those that the codecs know without asking the registry.
    const HANDLERS: [(&str, &CStr); 6] = [
        ("strict", c"strict"),
        ("surrogateescape", c"surrogateescape"),
        ("backslashreplace", c"backslashreplace"),
        ("replace", c"replace"),
        ("ignore", c"ignore"),
        ("xmlcharrefreplace", c"xmlcharrefreplace"),
    ];
    let py = wrapper.py();
    let among = |name: &Bound<'py, PyString>, known: &[(&str, &'static CStr)]| {
        let name = wrapper.getattr(name).ok()?;
        let name = name
            .cast_exact::<PyString>()
            .ok()?
            .to_cow()
            .ok()?
            .to_ascii_lowercase();
        known.iter().find(|one| one.0 == name).map(|one| one.1)
    };
    let encoding = among(names::encoding(py), &ENCODINGS)?;
    let errors = among(names::errors(py), &HANDLERS)?;
    // SAFETY: a string and two C strings; a new reference or NULL with an exception, which who writes will meet too.
    let bytes = unsafe {
        let bytes =
            ffi::PyUnicode_AsEncodedString(text.as_ptr(), encoding.as_ptr(), errors.as_ptr());
        Bound::from_owned_ptr_or_err(py, bytes)
    };
    bytes.ok()?.cast_into_exact().ok()
}

/// Who is to be told, if anybody, and by whom.
fn asked(py: Python<'_>) -> Option<(Arc<dyn Listener>, Arc<Types>)> {
    if !is_main(py) {
        return None;
    }
    let listener = LISTENER.cloned(py)?;
    Some((listener, TYPES.cloned(py)?))
}

/// Runs `f`, whose panics end here: they must not go through C.
fn guarded<R>(
    py: Python<'_>,
    f: impl FnOnce(&Arc<dyn Listener>, &Types) -> Option<R>,
) -> Option<R> {
    let (listener, types) = asked(py)?;
    catch_unwind(AssertUnwindSafe(|| f(&listener, &types))).unwrap_or_else(|_| {
        // The message of the panic has been written already; another one must not follow at each write.
        unwatch(py);
        None
    })
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

fn tell(py: Python<'_>, listener: &Arc<dyn Listener>, stream: Stream, bytes: &[u8]) {
    if !bytes.is_empty() {
        listener.written(py, stream, bytes);
    }
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
            )
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
