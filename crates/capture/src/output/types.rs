//! How streams lead to file descriptors, and what they make of text; read without running code of the program's.

use std::ffi::CStr;

use pyo3::types::{
    PyAnyMethods, PyByteArray, PyByteArrayMethods, PyBytes, PyBytesMethods, PyDict, PyDictMethods,
    PyInt, PyString, PyStringMethods, PyType, PyTypeMethods,
};
use pyo3::{Bound, Py, PyAny, PyResult, Python, ffi};

use super::{Stream, unknown};
use crate::follow::lookup;
use crate::{modules, names};

/// What is needed to follow a stream down, made when somebody begins to watch.
pub(super) struct Types {
    pub(super) text: Py<PyType>,
    pub(super) buffered: Py<PyType>,
    pub(super) file: Py<PyType>,
    /// The method of files.
    fileno: Py<PyAny>,
    /// Where a `TextIOWrapper` has what it makes of a newline: NULL if that is a newline.
    pub(super) newline: usize,
}

impl Types {
    pub(super) fn find(py: Python<'_>) -> PyResult<Self> {
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

    /// The stream of an object that writes to a descriptor itself; `None` if it is none of the program's two, or closed.
    pub(super) fn stream(&self, raw: &Bound<'_, PyAny>) -> Option<Stream> {
        let py = raw.py();
        if !raw.is_instance(self.file.bind(py)).unwrap_or(false) {
            return None;
        }
        // The method of `FileIO` itself, which only reads a number. The error, that the file is closed, will be met by who writes.
        let descriptor = self.fileno.bind(py).call1((raw,)).ok()?;
        stream(&descriptor)
    }

    /// The object that a `BufferedWriter` writes to, and its stream.
    pub(super) fn below_buffer<'py>(
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
pub(super) fn stream(descriptor: &Bound<'_, PyAny>) -> Option<Stream> {
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
pub(super) fn with_bytes<R>(object: &Bound<'_, PyAny>, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
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
pub(super) fn encoded<'py>(
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
