//! Code objects as data: what the bytecode crate needs of one, and one made of what it returns.

use std::ffi::c_int;

use debugop_bytecode::{CodeParts, CodeView, Inserted, OffsetMap};
use pyo3::types::{PyAnyMethods, PyBytes, PyBytesMethods, PyCode, PyString, PyTuple};
use pyo3::{Bound, PyAny, PyResult, ffi};

use crate::layout::VERSION;
use crate::names;

/// A code object's fields as bytes, read from Python.
pub struct CodeFields<'py> {
    code: Bound<'py, PyBytes>,
    exception_table: Bound<'py, PyBytes>,
    location_table: Bound<'py, PyBytes>,
    first_line: i32,
    stack_size: u32,
}

impl<'py> CodeFields<'py> {
    /// Reads the fields of `code`. `co_code` is the base form: without specialisation and instrumentation.
    ///
    /// # Errors
    /// `MemoryError`.
    pub fn read(code: &Bound<'py, PyCode>) -> PyResult<Self> {
        let py = code.py();
        Ok(Self {
            code: code.getattr(names::co_code(py))?.cast_into()?,
            exception_table: code.getattr(names::co_exceptiontable(py))?.cast_into()?,
            location_table: code.getattr(names::co_linetable(py))?.cast_into()?,
            first_line: code.getattr(names::co_firstlineno(py))?.extract()?,
            stack_size: code.getattr(names::co_stacksize(py))?.extract()?,
        })
    }

    /// The same as the bytecode crate's view.
    #[must_use]
    pub fn view(&self) -> CodeView<'_> {
        CodeView {
            version: VERSION,
            code: self.code.as_bytes(),
            exception_table: self.exception_table.as_bytes(),
            location_table: self.location_table.as_bytes(),
            first_line: self.first_line,
            stack_size: self.stack_size,
        }
    }
}

/// What a code object is made of that has the insertions, and where they are.
pub(crate) fn parts(inserted: Inserted) -> (CodeParts, OffsetMap) {
    let Inserted {
        code,
        exception_table,
        location_table,
        stack_size,
        map,
        ..
    } = inserted;
    (
        CodeParts {
            code,
            exception_table,
            location_table,
            stack_size,
        },
        map,
    )
}

unsafe extern "C" {
    /// A new code object; a new reference or NULL (`Objects/codeobject.c`). `code.replace` and `CodeType` come here too, after raising an
    /// audit event that the program would see.
    #[cfg_attr(Py_3_12, link_name = "PyUnstable_Code_NewWithPosOnlyArgs")]
    fn PyCode_NewWithPosOnlyArgs(
        argcount: c_int,
        posonlyargcount: c_int,
        kwonlyargcount: c_int,
        nlocals: c_int,
        stacksize: c_int,
        flags: c_int,
        code: *mut ffi::PyObject,
        consts: *mut ffi::PyObject,
        names: *mut ffi::PyObject,
        varnames: *mut ffi::PyObject,
        freevars: *mut ffi::PyObject,
        cellvars: *mut ffi::PyObject,
        filename: *mut ffi::PyObject,
        name: *mut ffi::PyObject,
        qualname: *mut ffi::PyObject,
        firstlineno: c_int,
        linetable: *mut ffi::PyObject,
        exceptiontable: *mut ffi::PyObject,
    ) -> *mut ffi::PyObject;
}

/// A copy of `original` that has these parts and constants.
///
/// # Errors
/// `MemoryError`; `ValueError`: the parts do not go together.
pub(crate) fn with_parts<'py>(
    original: &Bound<'py, PyCode>,
    parts: &CodeParts,
    consts: Vec<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyCode>> {
    with_parts_and_names(original, parts, consts, None)
}

/// The same, with these names in place of the original's.
///
/// # Errors
/// As for [`with_parts`].
pub(crate) fn with_parts_and_names<'py>(
    original: &Bound<'py, PyCode>,
    parts: &CodeParts,
    consts: Vec<Bound<'py, PyAny>>,
    new_names: Option<Vec<Bound<'py, PyAny>>>,
) -> PyResult<Bound<'py, PyCode>> {
    let py = original.py();
    let number = |name: &Bound<'py, PyString>| original.getattr(name)?.extract::<c_int>();
    let tuple = |name: &Bound<'py, PyString>| -> PyResult<Bound<'py, PyTuple>> {
        Ok(original.getattr(name)?.cast_into()?)
    };
    let text = |name: &Bound<'py, PyString>| -> PyResult<Bound<'py, PyString>> {
        Ok(original.getattr(name)?.cast_into()?)
    };
    let stack_size = c_int::try_from(parts.stack_size)?;
    let code = PyBytes::new(py, &parts.code);
    let consts = PyTuple::new(py, consts)?;
    let names = match new_names {
        Some(names) => PyTuple::new(py, names)?,
        None => tuple(names::co_names(py))?,
    };
    let varnames = tuple(names::co_varnames(py))?;
    let (freevars, cellvars) = (
        tuple(names::co_freevars(py))?,
        tuple(names::co_cellvars(py))?,
    );
    let (filename, name) = (text(names::co_filename(py))?, text(names::co_name(py))?);
    let qualname = text(names::co_qualname(py))?;
    let line_table = PyBytes::new(py, &parts.location_table);
    let exception_table = PyBytes::new(py, &parts.exception_table);
    // SAFETY: the thread is attached, and every object has the type that the function asks for; it takes references of its own, and
    // checks what goes together. Signature checked on 3.11.7, 3.12.1, 3.13.0, 3.14.10, 3.15.2.
    unsafe {
        let copy = PyCode_NewWithPosOnlyArgs(
            number(names::co_argcount(py))?,
            number(names::co_posonlyargcount(py))?,
            number(names::co_kwonlyargcount(py))?,
            number(names::co_nlocals(py))?,
            stack_size,
            number(names::co_flags(py))?,
            code.as_ptr(),
            consts.as_ptr(),
            names.as_ptr(),
            varnames.as_ptr(),
            freevars.as_ptr(),
            cellvars.as_ptr(),
            filename.as_ptr(),
            name.as_ptr(),
            qualname.as_ptr(),
            number(names::co_firstlineno(py))?,
            line_table.as_ptr(),
            exception_table.as_ptr(),
        );
        Ok(Bound::from_owned_ptr_or_err(py, copy)?.cast_into_unchecked())
    }
}
