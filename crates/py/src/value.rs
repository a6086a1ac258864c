//! `debugop.Value`: a captured Python value.

use debugop_value::{BigInt, Bytes, Items, Pairs, Text, Value as Data};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{
    PyByteArray, PyBytes, PyComplex, PyDict, PyFrozenSet, PyList, PyRange, PySet, PySlice,
    PyString, PyTuple,
};

use crate::convert;

/// Columns of `str()` and `repr()`.
const WIDTH: usize = 60;

/// A value of the traced program as it was at one step. It holds no reference to the program's object.
///
/// Exact built-in scalars are kept whole (a `str` or `bytes` up to 256 items, an `int` up to 4096 bits), exact built-in
/// containers to 16 items and 3 levels, anything else by type and identity. `str()` and `repr()` are a text of at most 60
/// columns. Equal to another `Value` with the same contents (floats by their bits, objects by identity), and to any Python
/// object that `value` equals.
#[pyclass(frozen, module = "debugop")]
pub(crate) struct Value {
    data: Data,
}

impl From<Data> for Value {
    fn from(data: Data) -> Self {
        Self { data }
    }
}

/// Why a value cannot be given back as an object.
fn lost<T>(what: impl Into<String>) -> PyResult<T> {
    Err(PyValueError::new_err(what.into()))
}

fn number<'py>(py: Python<'py>, big: &BigInt) -> PyResult<Bound<'py, PyAny>> {
    let BigInt::Exact(int) = big else {
        return lost(format!(
            "only the size of this int was captured: {} bits",
            big.bits()
        ));
    };
    let bytes = PyBytes::new(py, &int.to_signed_bytes_le());
    let options = PyDict::new(py);
    options.set_item("signed", true)?;
    py.get_type::<pyo3::types::PyInt>()
        .call_method("from_bytes", (bytes, "little"), Some(&options))
}

fn text<'py>(py: Python<'py>, text: &Text) -> PyResult<Bound<'py, PyAny>> {
    if text.is_cut() {
        return lost(format!(
            "only the beginning of this str was captured; its length is {}",
            text.len()
        ));
    }
    match text.as_str() {
        Some(text) => Ok(PyString::new(py, text).into_any()),
        None => PyBytes::new(py, text.as_wtf8()).call_method1("decode", ("utf-8", "surrogatepass")),
    }
}

fn head(bytes: &Bytes) -> PyResult<&[u8]> {
    if (bytes.head.len() as u64) < bytes.length {
        return lost(format!(
            "only the first {} of {} bytes were captured",
            bytes.head.len(),
            bytes.length
        ));
    }
    Ok(&bytes.head)
}

fn complete(captured: usize, length: u64) -> PyResult<()> {
    if (captured as u64) < length {
        return lost(format!("only {captured} of {length} items were captured"));
    }
    Ok(())
}

fn objects<'py>(py: Python<'py>, items: &Items) -> PyResult<Vec<Bound<'py, PyAny>>> {
    complete(items.items.len(), items.length)?;
    items.items.iter().map(|item| object(py, item)).collect()
}

/// A new object that equals what was captured.
fn object<'py>(py: Python<'py>, data: &Data) -> PyResult<Bound<'py, PyAny>> {
    let data = data.known();
    let parts = |all: &[Data; 3]| -> PyResult<[Bound<'py, PyAny>; 3]> {
        Ok([
            object(py, &all[0])?,
            object(py, &all[1])?,
            object(py, &all[2])?,
        ])
    };
    Ok(match data {
        Data::Null => convert::null(py)?.clone(),
        Data::None => py.None().into_bound(py),
        Data::Bool(value) => value.into_pyobject(py)?.to_owned().into_any(),
        Data::Ellipsis => py.Ellipsis().into_bound(py),
        Data::NotImplemented => py.NotImplemented().into_bound(py),
        Data::Int(value) | Data::TaggedInt(value) => value.into_pyobject(py)?.into_any(),
        Data::BigInt(big) => number(py, big)?,
        Data::Float(value) => value.into_pyobject(py)?.into_any(),
        Data::Complex { real, imaginary } => {
            PyComplex::from_doubles(py, *real, *imaginary).into_any()
        }
        Data::Str(captured) => text(py, captured)?,
        Data::Bytes(bytes) => PyBytes::new(py, head(bytes)?).into_any(),
        Data::ByteArray(bytes) => PyByteArray::new(py, head(bytes)?).into_any(),
        Data::List(items) => PyList::new(py, objects(py, items)?)?.into_any(),
        Data::Tuple(items) => PyTuple::new(py, objects(py, items)?)?.into_any(),
        Data::Set(items) => PySet::new(py, objects(py, items)?)?.into_any(),
        Data::FrozenSet(items) => PyFrozenSet::new(py, objects(py, items)?)?.into_any(),
        Data::Dict(pairs) => {
            complete(pairs.pairs.len(), pairs.length)?;
            let dict = PyDict::new(py);
            for (key, value) in &pairs.pairs {
                dict.set_item(object(py, key)?, object(py, value)?)?;
            }
            dict.into_any()
        }
        Data::Range(bounds) => py
            .get_type::<PyRange>()
            .call1(PyTuple::new(py, parts(bounds)?)?)?,
        Data::Slice(bounds) => py
            .get_type::<PySlice>()
            .call1(PyTuple::new(py, parts(bounds)?)?)?,
        Data::Unknown(reason) => return lost(format!("this value is unknown: {reason}")),
        Data::Deeper => return lost("this value was too deep in a container to be captured"),
        other => {
            return lost(format!(
                "an object of type {} is captured by its type and identity only",
                type_name(other)
            ));
        }
    })
}

/// `module.qualname` of the type, without the module for built-in ones.
fn type_name(data: &Data) -> &str {
    match data.known() {
        Data::Null => "NULL",
        Data::None => "NoneType",
        Data::Bool(_) => "bool",
        Data::Ellipsis => "ellipsis",
        Data::NotImplemented => "NotImplementedType",
        Data::Int(_) | Data::TaggedInt(_) | Data::BigInt(_) => "int",
        Data::Float(_) => "float",
        Data::Complex { .. } => "complex",
        Data::Str(_) => "str",
        Data::Bytes(_) => "bytes",
        Data::ByteArray(_) => "bytearray",
        Data::List(_) => "list",
        Data::Tuple(_) => "tuple",
        Data::Set(_) => "set",
        Data::FrozenSet(_) => "frozenset",
        Data::Dict(_) => "dict",
        Data::Range(_) => "range",
        Data::Slice(_) => "slice",
        Data::Function { .. } => "function",
        Data::Builtin { .. } => "builtin_function_or_method",
        Data::Method { .. } => "method",
        Data::Class { .. } => "type",
        Data::Module { .. } => "module",
        Data::Code { .. } => "code",
        Data::Cell { .. } => "cell",
        Data::Exception(exception) => &exception.type_name,
        Data::Object { type_name, .. }
        | Data::Instance { type_name, .. }
        | Data::Subclass { type_name, .. } => type_name,
        Data::Unknown(_) => "unknown",
        _ => "object",
    }
}

fn identity(data: &Data) -> Option<u64> {
    match data.known() {
        Data::List(items) | Data::Tuple(items) | Data::Set(items) | Data::FrozenSet(items) => {
            Some(items.id)
        }
        Data::Dict(pairs)
        | Data::Instance {
            attributes: pairs, ..
        }
        | Data::Subclass {
            attributes: pairs, ..
        } => Some(pairs.id),
        Data::Exception(exception) => Some(exception.id),
        Data::Function { id, .. }
        | Data::Builtin { id, .. }
        | Data::Method { id, .. }
        | Data::Class { id, .. }
        | Data::Module { id, .. }
        | Data::Code { id, .. }
        | Data::Cell { id, .. }
        | Data::Object { id, .. } => Some(*id),
        _ => None,
    }
}

/// Whether two values have the same contents; containers are compared by what is in them, not by identity.
fn same(left: &Data, right: &Data) -> bool {
    let all = |left: &[Data], right: &[Data]| {
        left.len() == right.len()
            && left
                .iter()
                .zip(right)
                .all(|(left, right)| same(left, right))
    };
    match (left.known(), right.known()) {
        (Data::Float(left), Data::Float(right)) => left.to_bits() == right.to_bits(),
        (
            Data::Complex {
                real: a,
                imaginary: b,
            },
            Data::Complex {
                real: c,
                imaginary: d,
            },
        ) => (a.to_bits(), b.to_bits()) == (c.to_bits(), d.to_bits()),
        (Data::List(left), Data::List(right))
        | (Data::Tuple(left), Data::Tuple(right))
        | (Data::Set(left), Data::Set(right))
        | (Data::FrozenSet(left), Data::FrozenSet(right)) => {
            left.length == right.length && all(&left.items, &right.items)
        }
        (Data::Dict(left), Data::Dict(right)) => same_pairs(left, right),
        (
            Data::Subclass {
                type_name: name,
                contents: left,
                attributes: ours,
            },
            Data::Subclass {
                type_name,
                contents: right,
                attributes,
            },
        ) => name == type_name && same(left, right) && same_pairs(ours, attributes),
        (Data::Slice(left), Data::Slice(right)) | (Data::Range(left), Data::Range(right)) => {
            all(&**left, &**right)
        }
        (left, right) => left == right,
    }
}

fn same_pairs(left: &Pairs, right: &Pairs) -> bool {
    let pair = |(left, right): (&(Data, Data), &(Data, Data))| {
        same(&left.0, &right.0) && same(&left.1, &right.1)
    };
    left.length == right.length
        && left.pairs.len() == right.pairs.len()
        && left.pairs.iter().zip(&right.pairs).all(pair)
}

#[pymethods]
impl Value {
    /// Name of the type with its module, without it for built-in types; `"NULL"` for an empty slot. Classes are `"type"`.
    #[getter]
    fn type_name(&self) -> &str {
        type_name(&self.data)
    }

    /// `id()` of the object, which is not kept alive, so that another may have it later; None for scalars.
    #[getter]
    fn id(&self) -> Option<u64> {
        identity(&self.data)
    }

    /// Whether the value was captured whole, so that `value` has it.
    #[getter]
    fn is_whole(&self, py: Python<'_>) -> bool {
        object(py, &self.data).is_ok()
    }

    /// Whether nothing can have changed what was captured of it, and of what is in it, since that was looked at. Of a recorded container False if code that is not recorded, or
    /// C code, has run since that might have.
    #[getter]
    fn is_certain(&self) -> bool {
        self.data.is_certain()
    }

    /// A new object that equals the program's: for scalars, and for containers of them, that were captured whole;
    /// `debugop.NULL` for an empty slot. For everything else ValueError says what was not captured.
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        object(py, &self.data)
    }

    /// Of an instance in a recording: its attributes that were captured, by name; None for other values.
    #[getter]
    fn attributes<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let (Data::Instance { attributes, .. } | Data::Subclass { attributes, .. }) =
            self.data.known()
        else {
            return Ok(None);
        };
        let dict = PyDict::new(py);
        for (name, data) in &attributes.pairs {
            if let Data::Str(name) = name {
                dict.set_item(text(py, name)?, Self::from(data.clone()))?;
            }
        }
        Ok(Some(dict))
    }

    /// Of an instance in a recording of a subclass of list, tuple, set, frozenset or dict: the container in it, as one of that class; of a `collections.deque`
    /// as a list; None for other values.
    #[getter]
    fn contents(&self) -> Option<Self> {
        match self.data.known() {
            Data::Subclass { contents, .. } => Some(Self::from((**contents).clone())),
            _ => None,
        }
    }

    /// A text of at most `width` columns: the `repr` where that is known and fits.
    fn short(&self, width: usize) -> String {
        self.data.as_seen().short(width).to_string()
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        if let Ok(other) = other.cast_exact::<Self>() {
            return Ok(same(&self.data, &other.get().data));
        }
        match object(other.py(), &self.data) {
            Ok(value) => value.eq(other),
            Err(error) if error.is_instance_of::<PyValueError>(other.py()) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn __repr__(&self) -> String {
        self.short(WIDTH)
    }
}
