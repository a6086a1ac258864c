//! Python objects as data, without running any of the program's code.
//!
//! Objects of exact built-in types are read by C functions that only read memory. Everything else is its type's name and
//! its identity: no `__repr__`, `__getattr__`, property or descriptor of the program's is called.

use std::borrow::Cow;

use debugop_value::{BigInt, Bytes, Exception, Items, Pairs, Text, Value};
use pyo3::exceptions::PyBaseException;
use pyo3::sync::PyOnceLock;
use pyo3::types::string::PyStringData;
use pyo3::types::{
    PyAnyMethods, PyBool, PyByteArray, PyByteArrayMethods, PyBytes, PyBytesMethods, PyCFunction,
    PyCode, PyComplex, PyComplexMethods, PyDict, PyDictMethods, PyFloat, PyFloatMethods,
    PyFrozenSet, PyFrozenSetMethods, PyFunction, PyInt, PyList, PyListMethods, PyModule, PyRange,
    PySet, PySetMethods, PySlice, PyString, PyStringMethods, PyTuple, PyTupleMethods, PyType,
    PyTypeMethods,
};
use pyo3::{Bound, IntoPyObject, Py, PyAny, PyResult, Python, ffi};

use crate::follow::lookup;
use crate::frame::SlotValue;
use crate::names;

unsafe extern "C" {
    /// The type of bound methods (`Include/cpython/classobject.h`).
    pub(crate) static mut PyMethod_Type: ffi::PyTypeObject;
    /// The function of a bound method, borrowed (`Objects/classobject.c`).
    pub(crate) fn PyMethod_Function(method: *mut ffi::PyObject) -> *mut ffi::PyObject;
    /// The types of methods of classes written in C: `str.join`, `dict.fromkeys` in the class's own dictionary, and `int.__add__`
    /// (`Include/descrobject.h`).
    pub(crate) static mut PyMethodDescr_Type: ffi::PyTypeObject;
    static mut PyClassMethodDescr_Type: ffi::PyTypeObject;
    static mut PyWrapperDescr_Type: ffi::PyTypeObject;
}

/// The type of `(1).__add__`, which is not exported. To be asked for once when the module is imported: the first time gives up the GIL.
pub(crate) fn bound_slot(py: Python<'_>) -> Option<&Py<PyType>> {
    static BOUND_SLOT: PyOnceLock<Option<Py<PyType>>> = PyOnceLock::new();
    let find = || {
        let Ok(zero) = 0_i32.into_pyobject(py);
        Some(zero.getattr("__add__").ok()?.get_type().unbind())
    };
    BOUND_SLOT.get_or_init(py, find).as_ref()
}

/// Whether instances of `class` are methods of a class written in C that are not bound to anything, or slots of such a class.
pub(crate) fn describes_c(py: Python<'_>, class: *mut ffi::PyTypeObject) -> bool {
    let exported = [
        &raw mut PyMethodDescr_Type,
        &raw mut PyClassMethodDescr_Type,
        &raw mut PyWrapperDescr_Type,
    ];
    exported.contains(&class)
        || bound_slot(py).is_some_and(|slot| std::ptr::eq(slot.as_ptr(), class.cast()))
}

/// `Type.name`. All attributes read are members and getters of exactly known types.
fn descriptor_name(descriptor: &Bound<'_, PyAny>, name: &str) -> String {
    match descriptor.getattr(names::objclass(descriptor.py())) {
        Ok(class) => match class.cast::<PyType>() {
            Ok(class) => format!("{}.{name}", type_name(class)),
            Err(_) => name.to_owned(),
        },
        Err(_) => name.to_owned(),
    }
}

/// How much of a value is captured.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Items of a container.
    pub items: usize,
    /// Nesting of containers; 0: only the outermost object's own kind.
    pub depth: u32,
    /// Code points of a string, bytes of a bytes object.
    pub length: usize,
    /// Bits of an integer beyond which only its size is kept.
    pub bits: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            items: 16,
            depth: 3,
            length: 256,
            bits: 4096,
        }
    }
}

/// What a slot holds, as data.
#[must_use]
pub fn capture_slot(slot: &SlotValue<'_>, limits: &Limits) -> Value {
    match slot {
        SlotValue::Null | SlotValue::Opaque => Value::Null,
        SlotValue::Tagged(value) => Value::TaggedInt(*value as i64),
        SlotValue::Object(object) => capture(object, limits),
    }
}

/// `object` as data.
#[must_use]
pub fn capture(object: &Bound<'_, PyAny>, limits: &Limits) -> Value {
    // An exact built-in whose C function fails (out of memory) is shown as any other object; the error is dropped with it.
    scalar(object, limits)
        .or_else(|| container(object, limits))
        .or_else(|| named(object, limits))
        .unwrap_or_else(|| Value::Object {
            type_name: type_name(&object.get_type()).into(),
            id: id(object),
        })
}

fn id(object: &Bound<'_, PyAny>) -> u64 {
    object.as_ptr() as u64
}

fn scalar(object: &Bound<'_, PyAny>, limits: &Limits) -> Option<Value> {
    let py = object.py();
    if object.is_none() {
        return Some(Value::None);
    }
    if let Ok(int) = object.cast_exact::<PyInt>() {
        return integer(int, limits);
    }
    if let Ok(text) = object.cast_exact::<PyString>() {
        return Some(Value::Str(head_of(text, limits.length)));
    }
    if let Ok(boolean) = object.cast_exact::<PyBool>() {
        return Some(Value::Bool(pyo3::types::PyBoolMethods::is_true(boolean)));
    }
    if let Ok(float) = object.cast_exact::<PyFloat>() {
        return Some(Value::Float(float.value()));
    }
    if let Ok(complex) = object.cast_exact::<PyComplex>() {
        return Some(Value::Complex {
            real: complex.real(),
            imaginary: complex.imag(),
        });
    }
    if let Ok(bytes) = object.cast_exact::<PyBytes>() {
        return Some(Value::Bytes(cut(bytes.as_bytes(), limits.length)));
    }
    if let Ok(array) = object.cast_exact::<PyByteArray>() {
        let length = array.len();
        // SAFETY: the bytes are copied before anything else can run, and `length` was read in the same breath.
        let bytes = unsafe { std::slice::from_raw_parts(array.data().cast_const(), length) };
        return Some(Value::ByteArray(cut(bytes, limits.length)));
    }
    if object.is(py.Ellipsis()) {
        return Some(Value::Ellipsis);
    }
    object
        .is(py.NotImplemented())
        .then_some(Value::NotImplemented)
}

fn integer(int: &Bound<'_, PyInt>, limits: &Limits) -> Option<Value> {
    let mut overflow = 0;
    // SAFETY: `int` is an exact int, for which the function only reads digits.
    let small = unsafe { ffi::PyLong_AsLongLongAndOverflow(int.as_ptr(), &raw mut overflow) };
    if overflow == 0 {
        return Some(Value::Int(small));
    }
    let bits: u64 = int.call_method0("bit_length").ok()?.extract().ok()?;
    let big = if bits <= limits.bits {
        let bytes = int
            .call_method1("__abs__", ())
            .ok()?
            .call_method1("to_bytes", (bits.div_ceil(8), "little"))
            .ok()?;
        BigInt::from_bytes_le(overflow < 0, bytes.cast::<PyBytes>().ok()?.as_bytes())
    } else {
        let leading = int
            .call_method0("__abs__")
            .ok()?
            .call_method1("__rshift__", (bits - 64,))
            .ok()?
            .extract()
            .ok()?;
        BigInt::Huge {
            negative: overflow < 0,
            leading,
            bits,
        }
    };
    Some(Value::BigInt(Box::new(big)))
}

fn cut(bytes: &[u8], limit: usize) -> Bytes {
    Bytes {
        head: bytes[..bytes.len().min(limit)].into(),
        length: bytes.len() as u64,
    }
}

/// The first `limit` code points of a string. The object's own UTF-8 cache is not filled, which would change its size.
fn head_of(text: &Bound<'_, PyString>, limit: usize) -> Text {
    let mut wtf8 = Vec::new();
    // SAFETY: the data is copied while we hold the object, and strings are immutable.
    let length = match unsafe { text.data() } {
        Ok(data) => push_data(&mut wtf8, data, limit),
        Err(_) => 0,
    };
    Text::from_wtf8(wtf8, length as u64)
}

/// Appends the first `limit` code points as WTF-8; returns how many there are altogether.
pub(crate) fn push_data(wtf8: &mut Vec<u8>, data: PyStringData<'_>, limit: usize) -> usize {
    match data {
        PyStringData::Ucs1(units) if units[..units.len().min(limit)].is_ascii() => {
            wtf8.extend_from_slice(&units[..units.len().min(limit)]);
            units.len()
        }
        PyStringData::Ucs1(units) => {
            push_points(wtf8, units.iter().map(|&unit| u32::from(unit)), limit)
        }
        PyStringData::Ucs2(units) => {
            push_points(wtf8, units.iter().map(|&unit| u32::from(unit)), limit)
        }
        PyStringData::Ucs4(units) => push_points(wtf8, units.iter().copied(), limit),
    }
}

/// Appends the first `limit` code points, surrogates included, as WTF-8; returns how many there are altogether.
fn push_points(
    wtf8: &mut Vec<u8>,
    points: impl ExactSizeIterator<Item = u32>,
    limit: usize,
) -> usize {
    let length = points.len();
    for point in points.take(limit) {
        match char::from_u32(point) {
            Some(character) => {
                wtf8.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            // A lone surrogate, in the three bytes that UTF-8 would have for it.
            None => wtf8.extend([
                0xe0 | (point >> 12) as u8,
                0x80 | (point >> 6 & 0x3f) as u8,
                0x80 | (point & 0x3f) as u8,
            ]),
        }
    }
    length
}

/// A whole string; surrogates become replacement characters.
pub(crate) fn string(text: &Bound<'_, PyString>) -> String {
    lossy(text).into_owned()
}

/// The same, without a copy where it is ASCII.
pub(crate) fn lossy<'a>(text: &'a Bound<'_, PyString>) -> Cow<'a, str> {
    // SAFETY: strings are immutable, and the object is held as long as what is returned.
    if let Ok(PyStringData::Ucs1(units)) = unsafe { text.data() }
        && units.is_ascii()
        && let Ok(text) = str::from_utf8(units)
    {
        return Cow::Borrowed(text);
    }
    Cow::Owned(String::from_utf8_lossy(head_of(text, usize::MAX).as_wtf8()).into_owned())
}

fn container(object: &Bound<'_, PyAny>, limits: &Limits) -> Option<Value> {
    let inner = Limits {
        depth: limits.depth.saturating_sub(1),
        ..*limits
    };
    let item = |item: Bound<'_, PyAny>| {
        if limits.depth == 0 {
            Value::Deeper
        } else {
            capture(&item, &inner)
        }
    };
    let items = |all: &mut dyn Iterator<Item = Bound<'_, PyAny>>, length: usize| Items {
        id: id(object),
        items: all.take(limits.items).map(item).collect(),
        length: length as u64,
    };
    if let Ok(tuple) = object.cast_exact::<PyTuple>() {
        return Some(Value::Tuple(items(&mut tuple.iter(), tuple.len())));
    }
    if let Ok(list) = object.cast_exact::<PyList>() {
        return Some(Value::List(items(&mut list.iter(), list.len())));
    }
    if let Ok(dict) = object.cast_exact::<PyDict>() {
        let pairs = dict
            .iter()
            .take(limits.items)
            .map(|(key, value)| (item(key), item(value)))
            .collect();
        return Some(Value::Dict(Pairs {
            id: id(object),
            pairs,
            length: dict.len() as u64,
        }));
    }
    if let Ok(set) = object.cast_exact::<PySet>() {
        return Some(Value::Set(items(&mut set.iter(), set.len())));
    }
    if let Ok(set) = object.cast_exact::<PyFrozenSet>() {
        return Some(Value::FrozenSet(items(&mut set.iter(), set.len())));
    }
    let parts = |whole: &Bound<'_, PyAny>| -> Option<Box<[Value; 3]>> {
        let part = |name| whole.getattr(name).ok().map(&item);
        let py = whole.py();
        let (start, stop, step) = (names::start(py), names::stop(py), names::step(py));
        Some(Box::new([part(start)?, part(stop)?, part(step)?]))
    };
    if object.is_exact_instance_of::<PyRange>() {
        return parts(object).map(Value::Range);
    }
    object
        .is_exact_instance_of::<PySlice>()
        .then(|| parts(object).map(Value::Slice))
        .flatten()
}

fn named(object: &Bound<'_, PyAny>, limits: &Limits) -> Option<Value> {
    let py = object.py();
    let id = id(object);
    let text = |name: &Bound<'_, PyString>| -> Option<Box<str>> {
        Some(string(object.getattr(name).ok()?.cast::<PyString>().ok()?).into())
    };
    if object.is_exact_instance_of::<PyFunction>() {
        return Some(Value::Function {
            qualname: text(names::qualname(py))?,
            id,
        });
    }
    if object.is_exact_instance_of::<PyCFunction>() {
        return Some(Value::Builtin {
            name: builtin_name(object, &text(names::name(py))?).into(),
            id,
        });
    }
    if describes_c(py, object.get_type().as_type_ptr()) {
        return Some(Value::Builtin {
            name: descriptor_name(object, &text(names::name(py))?).into(),
            id,
        });
    }
    if let Ok(class) = object.cast::<PyType>() {
        return Some(Value::Class {
            name: type_name(class).into(),
            id,
        });
    }
    if object.is_exact_instance_of::<PyModule>() {
        // SAFETY: an exact module; the function looks `__name__` up in the module's dict.
        let name = unsafe {
            Bound::from_owned_ptr_or_err(py, ffi::PyModule_GetNameObject(object.as_ptr()))
        }
        .ok()?;
        return Some(Value::Module {
            name: string(name.cast().ok()?).into(),
            id,
        });
    }
    if object.is_exact_instance_of::<PyCode>() {
        return Some(Value::Code {
            qualname: text(names::co_qualname(py))?,
            id,
        });
    }
    // SAFETY: type checks of a live object; the method's function and the cell's contents are taken as references of our
    // own at once.
    unsafe {
        let kind = ffi::Py_TYPE(object.as_ptr());
        if kind == &raw mut PyMethod_Type {
            let function = Bound::from_borrowed_ptr_or_opt(py, PyMethod_Function(object.as_ptr()))?;
            let qualname = match function.cast_exact::<PyFunction>() {
                Ok(function) => string(function.getattr(names::qualname(py)).ok()?.cast().ok()?),
                Err(_) => type_name(&function.get_type()),
            };
            return Some(Value::Method {
                qualname: qualname.into(),
                id,
            });
        }
        if kind == &raw mut ffi::PyCell_Type {
            let contents = Bound::from_owned_ptr_or_opt(py, ffi::PyCell_Get(object.as_ptr()));
            let inner = Limits {
                depth: limits.depth.saturating_sub(1),
                ..*limits
            };
            let contents = contents.map(|contents| {
                if limits.depth == 0 {
                    Value::Deeper
                } else {
                    capture(&contents, &inner)
                }
            });
            return Some(Value::Cell {
                id,
                contents: contents.map(Box::new),
            });
        }
    }
    let exception = object.cast::<PyBaseException>().ok()?;
    let args = exception_args(py, exception)
        .ok()
        .and_then(|args| arguments(&args, limits));
    Some(Value::Exception(Box::new(Exception {
        type_name: type_name(&object.get_type()).into(),
        id,
        args,
    })))
}

/// The name of a function, builtin, class, module, code object or generator; empty for anything else.
pub(crate) fn capture_name(object: &Bound<'_, PyAny>) -> String {
    match named(object, &Limits::default()) {
        Some(
            Value::Function { qualname: name, .. }
            | Value::Code { qualname: name, .. }
            | Value::Builtin { name, .. }
            | Value::Class { name, .. }
            | Value::Module { name, .. },
        ) => name.into(),
        _ => String::new(),
    }
}

/// `args`, read by the getter of `BaseException` itself: a subclass may have replaced the attribute.
fn exception_args<'py>(
    py: Python<'py>,
    exception: &Bound<'py, PyBaseException>,
) -> PyResult<Bound<'py, PyTuple>> {
    let getter = py.get_type::<PyBaseException>().getattr(names::args(py))?;
    Ok(getter.call_method1("__get__", (exception,))?.cast_into()?)
}

fn arguments(args: &Bound<'_, PyTuple>, limits: &Limits) -> Option<Box<[Value]>> {
    let inner = Limits {
        depth: 1,
        ..*limits
    };
    args.iter()
        .take(limits.items)
        .map(|arg| scalar(&arg, &inner).or_else(|| container(&arg, &inner)))
        .collect()
}

/// `Type.name` for a bound C method, the bare name for a function of a module.
fn builtin_name(function: &Bound<'_, PyAny>, name: &str) -> String {
    let owner = function
        .getattr(names::receiver(function.py()))
        .ok()
        .filter(|owner| !owner.is_none());
    match owner {
        Some(owner) if owner.cast_exact::<PyModule>().is_err() => match owner.cast::<PyType>() {
            Ok(class) => format!("{}.{name}", type_name(class)),
            Err(_) => format!("{}.{name}", type_name(&owner.get_type())),
        },
        _ => name.to_owned(),
    }
}

/// A class's name with its module, without it for built-in ones, read without attribute look-up on the class.
pub(crate) fn type_name(class: &Bound<'_, PyType>) -> String {
    let py = class.py();
    // SAFETY: PyType_GetQualName reads the heap type's own field, or derives the name from `tp_name` (3.11+).
    let qualname =
        unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_GetQualName(class.as_type_ptr())) };
    let qualname = qualname
        .ok()
        .and_then(|name| name.cast_into::<PyString>().ok())
        .map(|name| string(&name))
        .unwrap_or_default();
    let module = lookup(py, class, names::module(py).as_any());
    let module = module
        .and_then(|module| module.cast_into_exact::<PyString>().ok())
        .map(|module| string(&module));
    // SAFETY: `tp_name` of a static type is a constant C string, "module.name".
    let in_name = || unsafe {
        let name = std::ffi::CStr::from_ptr((*class.as_type_ptr()).tp_name)
            .to_string_lossy()
            .into_owned();
        name.rsplit_once('.').map(|(module, _)| module.to_owned())
    };
    match module.or_else(in_name) {
        Some(module) if module != "builtins" => format!("{module}.{qualname}"),
        _ => qualname,
    }
}
