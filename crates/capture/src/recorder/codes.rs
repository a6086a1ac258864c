//! Code objects as a recording keeps them, and when they get into it.

use std::ffi::CString;

use debugop_bytecode::PLAN_VERSION;
use debugop_recording::file::{CodeRecord, Constant, Local, LocalKind};
use pyo3::types::{
    PyAnyMethods, PyBool, PyBytes, PyBytesMethods, PyCode, PyComplex, PyComplexMethods, PyFloat,
    PyFloatMethods, PyFrozenSet, PyInt, PySlice, PyString, PyStringMethods, PyTuple,
};
use pyo3::{Bound, PyAny, PyResult, Python, ffi};

use super::Recorder;
use super::planned::{IGNORED, PlannedCode, PlannedSite};
use crate::code_object::CodeFields;
use crate::collector::Pause;
use crate::engine::Engine;
use crate::frame::Frame;
use crate::layout::objects::digits;
use crate::registry;
use crate::value::{capture_name, push_data, type_name};

/// Constants nested deeper are named by their types only, as the file has it.
const MAX_DEPTH: u32 = 64;

impl Recorder {
    /// Gives the sites of a code object their numbers, if it is to be recorded.
    #[cold]
    pub(super) fn meet(&mut self, py: Python<'_>, site: &PlannedSite) -> bool {
        if site.number.get() == IGNORED {
            return false;
        }
        if Frame::current(py).is_some_and(|frame| self.is_at_a_prompt(py, frame)) {
            return false;
        }
        let code = site.code();
        let names = code.probed().names();
        let is_named = || self.functions.iter().any(|one| one.matches_function(names));
        if !self.functions.is_empty() && !is_named() {
            code.ignore();
            return false;
        }
        if cfg!(Py_3_12) && self.meet_again(py, code) {
            return true;
        }
        let count = code.sites.len() as u32;
        let (Some(after), Some(next)) = (
            self.sites
                .checked_add(count)
                .filter(|sites| *sites < IGNORED),
            self.codes.checked_add(1),
        ) else {
            code.ignore();
            return false;
        };
        let Some(record) = self.store.add_code(py, code, self.codes, self.sites) else {
            code.ignore();
            return false;
        };
        self.pen.redacted.meet(code, &record);
        self.followers.grow(py, after as usize);
        self.strides.grow(after as usize);
        let numeric = self.may_calculate(code);
        code.set_numbers(py, self.codes, self.sites, numeric);
        (self.sites, self.codes) = (after, next);
        true
    }

    /// Whether code may be recorded by the sites that are left while numbers are calculated with. Tracers may change what is on the stack, and the
    /// original's frames are met in the middle.
    fn may_calculate(&self, code: &PlannedCode) -> bool {
        let probed = code.probed();
        let is_left_alone =
            probed.is_for_recorders() || self.beside_witness && !probed.is_observed();
        self.calculates && is_left_alone && self.pen.redacted.is_off()
    }

    /// Gives the sites of a code object the numbers that it has already, if frames run both the original and the copy, and the other of these has been met: frames
    /// are moved from one to the other.
    fn meet_again(&mut self, py: Python<'_>, code: &PlannedCode) -> bool {
        let original = code.probed().original(py);
        let other = match code.probed().is_observed() {
            true => registry::find(original).map(|(entry, _)| entry),
            false => Engine::FALLBACK.find(py, original.as_ptr() as usize),
        };
        let other = other.as_ref().and_then(|entry| entry.planned());
        let Some(other) = other.filter(|other| other.is_recorded() && !std::ptr::eq(*other, code))
        else {
            return false;
        };
        let numeric = self.may_calculate(code);
        self.pen.redacted.meet_again(code, other);
        code.set_numbers(py, other.number.get(), other.sites[0].number.get(), numeric);
        true
    }
}

/// The code object of `code`, with its number and that of its first site.
///
/// # Errors
/// `MemoryError`.
pub(super) fn record(
    py: Python<'_>,
    code: &PlannedCode,
    number: u32,
    base: u32,
) -> PyResult<CodeRecord> {
    // Nothing of the program's may run meanwhile; what is asked for are fields of an exact code object.
    let _pause = Pause::new(py);
    let original = code.probed().original(py);
    let fields = CodeFields::read(original)?;
    let view = fields.view();
    let integer = |name: &str| attribute(original, name)?.extract::<u32>();
    Ok(CodeRecord {
        number,
        site_base: base,
        captures: code
            .sites
            .iter()
            .map(|site| site.captures.len() as u32)
            .collect(),
        plan_version: PLAN_VERSION,
        name: text(&attribute(original, "co_name")?),
        qualname: text(&attribute(original, "co_qualname")?),
        filename: text(&attribute(original, "co_filename")?),
        first_line: view.first_line,
        flags: integer("co_flags")?,
        argument_count: integer("co_argcount")?,
        positional_only_count: integer("co_posonlyargcount")?,
        keyword_only_count: integer("co_kwonlyargcount")?,
        stack_size: view.stack_size,
        code: view.code.to_vec(),
        exception_table: view.exception_table.to_vec(),
        location_table: view.location_table.to_vec(),
        names: texts(original, "co_names")?,
        locals: locals(original)?,
        constants: items(&attribute(original, "co_consts")?, 0)?,
        source_hash: None,
    })
}

/// An attribute of a builtin object. Where there is no memory for its name, that is an error, and no panic as in `getattr`.
fn attribute<'py>(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    let name = CString::new(name).unwrap_or_default();
    // SAFETY: a live object and a text; the result is a new reference, or NULL with an exception.
    unsafe {
        let found = ffi::PyObject_GetAttrString(object.as_ptr(), name.as_ptr());
        Bound::from_owned_ptr_or_err(object.py(), found)
    }
}

fn text(object: &Bound<'_, PyAny>) -> Vec<u8> {
    let mut wtf8 = Vec::new();
    if let Ok(text) = object.cast::<PyString>() {
        // SAFETY: the data are copied while the string is held, and strings do not change.
        if let Ok(data) = unsafe { text.data() } {
            push_data(&mut wtf8, data, usize::MAX);
        }
    }
    wtf8
}

fn texts(code: &Bound<'_, PyCode>, name: &str) -> PyResult<Vec<Vec<u8>>> {
    let tuple = attribute(code, name)?.cast_into::<PyTuple>()?;
    tuple.try_iter()?.map(|one| Ok(text(&one?))).collect()
}

/// localsplus: local variables, cells that are no local variables, free variables (`Objects/codeobject.c`).
fn locals(code: &Bound<'_, PyCode>) -> PyResult<Vec<Local>> {
    const LOCAL: u8 = 0x20;
    const CELL: u8 = 0x40;
    const FREE: u8 = 0x80;
    let mut locals: Vec<Local> = Vec::new();
    let mut add = |name: Vec<u8>, kind: u8| {
        let kind = LocalKind(kind);
        locals.push(Local { name, kind });
    };
    let cells = texts(code, "co_cellvars")?;
    let variables = texts(code, "co_varnames")?;
    for name in &variables {
        let cell = if cells.contains(name) { CELL } else { 0 };
        add(name.clone(), LOCAL | cell);
    }
    for name in cells {
        if !variables.contains(&name) {
            add(name, CELL);
        }
    }
    for name in texts(code, "co_freevars")? {
        add(name, FREE);
    }
    Ok(locals)
}

fn items(object: &Bound<'_, PyAny>, depth: u32) -> PyResult<Vec<Constant>> {
    object
        .try_iter()?
        .map(|item| constant(&item?, depth))
        .collect()
}

fn constant(object: &Bound<'_, PyAny>, depth: u32) -> PyResult<Constant> {
    let py = object.py();
    if depth > MAX_DEPTH {
        return Ok(Constant::Other(Vec::new()));
    }
    if object.is_none() {
        return Ok(Constant::None);
    }
    if object.is(py.Ellipsis()) {
        return Ok(Constant::Ellipsis);
    }
    if let Ok(value) = object.cast_exact::<PyBool>() {
        return Ok(Constant::Bool(pyo3::types::PyBoolMethods::is_true(value)));
    }
    if let Ok(value) = object.cast_exact::<PyInt>() {
        return Ok(integer(value));
    }
    if let Ok(value) = object.cast_exact::<PyFloat>() {
        return Ok(Constant::Float(value.value().to_bits()));
    }
    if let Ok(value) = object.cast_exact::<PyComplex>() {
        let parts = (value.real().to_bits(), value.imag().to_bits());
        return Ok(Constant::Complex(parts.0, parts.1));
    }
    if object.cast_exact::<PyString>().is_ok() {
        return Ok(Constant::Str(text(object)));
    }
    if let Ok(value) = object.cast_exact::<PyBytes>() {
        return Ok(Constant::Bytes(value.as_bytes().to_vec()));
    }
    if object.cast_exact::<PyTuple>().is_ok() {
        return Ok(Constant::Tuple(items(object, depth + 1)?));
    }
    if object.cast_exact::<PyFrozenSet>().is_ok() {
        return Ok(Constant::FrozenSet(items(object, depth + 1)?));
    }
    if object.cast_exact::<PySlice>().is_ok() {
        let part = |name: &str| constant(&attribute(object, name)?, depth + 1);
        let parts = [part("start")?, part("stop")?, part("step")?];
        return Ok(Constant::Slice(Box::new(parts)));
    }
    if object.cast_exact::<PyCode>().is_ok() {
        return Ok(Constant::Code(capture_name(object).into_bytes(), None));
    }
    Ok(Constant::Other(type_name(&object.get_type()).into_bytes()))
}

fn integer(value: &Bound<'_, PyInt>) -> Constant {
    let mut overflow = 0;
    // SAFETY: an exact int, of which digits are read.
    let small = unsafe { ffi::PyLong_AsLongLongAndOverflow(value.as_ptr(), &raw mut overflow) };
    if overflow == 0 {
        return Constant::Int(small);
    }
    // SAFETY: an exact int, which `value` holds.
    let (negative, digits) = unsafe { digits(value.as_ptr()) };
    let mut magnitude = Vec::with_capacity(digits.len() * 4);
    let (mut pending, mut bits) = (0_u64, 0);
    for &digit in digits {
        pending |= u64::from(digit) << bits;
        bits += 30;
        while bits >= 8 {
            magnitude.push(pending as u8);
            pending >>= 8;
            bits -= 8;
        }
    }
    magnitude.push(pending as u8);
    while magnitude.last() == Some(&0) {
        magnitude.pop();
    }
    Constant::BigInt(negative, magnitude)
}
