//! Code objects as data: what the bytecode crate needs of one, and one made of what it returns.

use std::ffi::c_int;

use debugop_bytecode::{CodeParts, CodeView, Inserted, OffsetMap};
use pyo3::types::{
    PyAnyMethods, PyBytes, PyBytesMethods, PyCode, PyString, PyTuple, PyTupleMethods,
};
use pyo3::{Borrowed, Bound, PyResult, ffi};

use crate::layout::{CodeHead, VERSION};
use crate::names;

/// The fields of `code` that never change.
pub(crate) fn head<'a>(code: &'a Bound<'_, PyCode>) -> &'a CodeHead {
    // SAFETY: a live code object, which begins so; what is read of it is not written any more. Offsets are checked on each version by
    // `python/tests/test_layout.py`.
    unsafe { &*code.as_ptr().cast::<CodeHead>() }
}

/// A field of a code object that holds an object of type `T`.
///
/// # Safety
/// `field` is such a field of a code object that lives for `'a`.
unsafe fn object<'a, 'py, T>(
    code: &'a Bound<'py, PyCode>,
    field: *mut ffi::PyObject,
) -> Borrowed<'a, 'py, T> {
    // SAFETY: the code object holds it, is held for `'a`, and never lets it go.
    unsafe { Borrowed::from_ptr(code.py(), field).cast_unchecked() }
}

/// `co_consts`.
pub(crate) fn consts<'a, 'py>(code: &'a Bound<'py, PyCode>) -> Borrowed<'a, 'py, PyTuple> {
    // SAFETY: a tuple since the code object was made (`_PyCode_Validate`, `Objects/codeobject.c`); 3.11-3.15.
    unsafe { object(code, head(code).co_consts) }
}

/// `co_names`.
pub(crate) fn names<'a, 'py>(code: &'a Bound<'py, PyCode>) -> Borrowed<'a, 'py, PyTuple> {
    // SAFETY: a tuple (`_PyCode_Validate`); 3.11-3.15.
    unsafe { object(code, head(code).co_names) }
}

/// `co_filename`.
pub(crate) fn filename<'py>(code: &Bound<'py, PyCode>) -> Bound<'py, PyString> {
    // SAFETY: a string (`_PyCode_Validate`), until `_imp._fix_co_filename` puts another there, which cannot happen before it is taken. 3.11-3.15.
    unsafe { object(code, head(code).co_filename).to_owned() }
}

/// `co_linetable`.
pub(crate) fn lines<'a, 'py>(code: &'a Bound<'py, PyCode>) -> Borrowed<'a, 'py, PyBytes> {
    // SAFETY: a bytes object (`_PyCode_Validate`); 3.11-3.15.
    unsafe { object(code, head(code).co_linetable) }
}

/// The names of all slots of local variables, in order.
pub(crate) fn slot_names<'a, 'py>(code: &'a Bound<'py, PyCode>) -> Borrowed<'a, 'py, PyTuple> {
    // SAFETY: a tuple (`_PyCode_Validate`); 3.11-3.15.
    unsafe { object(code, head(code).co_localsplusnames) }
}

/// Kinds of such slots (`Include/internal/pycore_code.h`, the same in 3.11-3.15).
const FAST_LOCAL: u8 = 0x20;
const FAST_CELL: u8 = 0x40;
const FAST_FREE: u8 = 0x80;

/// `co_varnames`, `co_cellvars` or `co_freevars`. Asked for their attributes, code objects would keep the tuples from then on (3.12+).
fn variables<'py>(code: &Bound<'py, PyCode>, kind: u8) -> PyResult<Bound<'py, PyTuple>> {
    // SAFETY: a bytes object with a byte for each slot (`_PyCode_Validate`); 3.11-3.15.
    let kinds: Borrowed<'_, '_, PyBytes> = unsafe { object(code, head(code).co_localspluskinds) };
    let slots = slot_names(code);
    let named = kinds.as_bytes().iter().zip(slots.iter_borrowed());
    let names = named.filter(|(is, _)| *is & kind != 0);
    PyTuple::new(code.py(), names.map(|(_, name)| name).collect::<Vec<_>>())
}

/// `co_name`.
pub(crate) fn name<'a, 'py>(code: &'a Bound<'py, PyCode>) -> Borrowed<'a, 'py, PyString> {
    // SAFETY: a string (`_PyCode_Validate`); 3.11-3.15.
    unsafe { object(code, head(code).co_name) }
}

/// `co_qualname`.
pub(crate) fn qualname<'a, 'py>(code: &'a Bound<'py, PyCode>) -> Borrowed<'a, 'py, PyString> {
    // SAFETY: a string (`_PyCode_Validate`); 3.11-3.15.
    unsafe { object(code, head(code).co_qualname) }
}

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
        let head = head(code);
        // SAFETY: a bytes object (`_PyCode_Validate`); 3.11-3.15.
        let exception_table = unsafe { object(code, head.co_exceptiontable).to_owned() };
        Ok(Self {
            code: code.getattr(names::co_code(code.py()))?.cast_into()?,
            exception_table,
            location_table: lines(code).to_owned(),
            first_line: head.co_firstlineno,
            stack_size: u32::try_from(head.co_stacksize)?,
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
    consts: &Bound<'py, PyTuple>,
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
    consts: &Bound<'py, PyTuple>,
    new_names: Option<&Bound<'py, PyTuple>>,
) -> PyResult<Bound<'py, PyCode>> {
    let py = original.py();
    let stack_size = c_int::try_from(parts.stack_size)?;
    let code = PyBytes::new(py, &parts.code);
    let names = match new_names {
        Some(names) => names.as_ptr(),
        // Held by `original`, as the others that `head` names.
        None => head(original).co_names,
    };
    let varnames = variables(original, FAST_LOCAL)?;
    let freevars = variables(original, FAST_FREE)?;
    let cellvars = variables(original, FAST_CELL)?;
    let line_table = PyBytes::new(py, &parts.location_table);
    let exception_table = PyBytes::new(py, &parts.exception_table);
    let head = head(original);
    // SAFETY: the thread is attached, and every object has the type that the function asks for; it takes references of its own, and
    // checks what goes together. What `head` names is held by `original`. Signature checked on 3.11.7, 3.12.1, 3.13.0, 3.14.10,
    // 3.15.2.
    unsafe {
        let copy = PyCode_NewWithPosOnlyArgs(
            head.co_argcount,
            head.co_posonlyargcount,
            head.co_kwonlyargcount,
            head.co_nlocals,
            stack_size,
            head.co_flags,
            code.as_ptr(),
            consts.as_ptr(),
            names,
            varnames.as_ptr(),
            freevars.as_ptr(),
            cellvars.as_ptr(),
            head.co_filename,
            head.co_name,
            head.co_qualname,
            head.co_firstlineno,
            line_table.as_ptr(),
            exception_table.as_ptr(),
        );
        Ok(Bound::from_owned_ptr_or_err(py, copy)?.cast_into_unchecked())
    }
}

/// A code object that is made of the same parts as `original`, and of which nobody has noted down anything yet.
///
/// # Errors
/// `MemoryError`.
#[cfg(Py_3_13)]
pub(crate) fn duplicate<'py>(original: &Bound<'py, PyCode>) -> PyResult<Bound<'py, PyCode>> {
    let fields = CodeFields::read(original)?;
    let view = fields.view();
    let parts = CodeParts {
        code: view.code.to_vec(),
        exception_table: view.exception_table.to_vec(),
        location_table: view.location_table.to_vec(),
        stack_size: view.stack_size,
    };
    with_parts(original, &parts, &consts(original))
}
