//! `marshal.dumps` of a code object writes the same bytes whether its copy is there or not.
//!
//! It marks what has more than one reference (`w_ref`, `Python/marshal.c`), and copies refer to the names and constants of their originals. So the
//! references of the copies are given up while it writes. What is written is alive all the while: the originals hold it. And nobody can meet it in this
//! state: nothing is done for values in which there is anything but what `marshal` writes without calling a program's code.

use std::sync::OnceLock;

use pyo3::types::{
    PyAnyMethods, PyBool, PyBytes, PyCode, PyComplex, PyDict, PyDictMethods, PyFloat, PyFrozenSet,
    PyInt, PyList, PySet, PySlice, PyString, PyTuple, PyTupleMethods,
};
use pyo3::{Borrowed, Bound, Py, PyAny, PyResult, Python, ffi};
use rustc_hash::{FxHashMap, FxHashSet};

use super::RECENT;
use crate::builtin::{self, Arguments, Function, Watched};
use crate::code_object;
use crate::collector;
use crate::gil::GilCell;
use crate::modules;
use crate::registry;

static ORIGINAL: OnceLock<Function> = OnceLock::new();

/// Values with more parts are written as they are.
const MOST: usize = 1 << 16;

/// What has been given up for the call that is going on.
struct GivenUp {
    /// One reference of each entry.
    objects: Vec<*mut ffi::PyObject>,
    /// Those that hold them, and take no notice.
    copies: Vec<Py<PyCode>>,
    _collector: collector::Pause,
}

static GIVEN_UP: GilCell<Option<GivenUp>> = GilCell::new(None);

/// Stands in the place of `marshal.dumps` until the process ends.
///
/// # Errors
/// The interpreter is not as it should be.
pub(super) fn watch(py: Python<'_>) -> PyResult<()> {
    if ORIGINAL.get().is_some() {
        return Ok(());
    }
    let function = modules::builtin(py, "marshal")?.getattr("dumps")?;
    builtin::place::<Dumps>(&function)
}

struct Dumps;

impl Watched for Dumps {
    fn original() -> &'static OnceLock<Function> {
        &ORIGINAL
    }

    fn look<'py>(py: Python<'py>, arguments: &mut Arguments<'py>) -> PyResult<()> {
        let Some(value) = arguments.positional(0) else {
            return Ok(());
        };
        let Some(codes) = codes(value)? else {
            return Ok(());
        };
        let mut given_up = GivenUp {
            objects: Vec::new(),
            copies: Vec::new(),
            _collector: collector::Pause::new(py),
        };
        let held = held(py, &codes);
        for code in codes {
            give_up_copies(&code, &held, &mut given_up);
        }
        if !given_up.objects.is_empty() {
            GIVEN_UP.set(py, Some(given_up));
        }
        Ok(())
    }

    const HAS_AFTER: bool = true;

    fn after(py: Python<'_>) {
        let Some(given_up) = GIVEN_UP.take(py) else {
            return;
        };
        for object in given_up.objects {
            // SAFETY: see `give_up`.
            unsafe { ffi::Py_INCREF(object) };
        }
        for copy in given_up.copies {
            copy.drop_ref(py);
        }
    }
}

/// The code objects in a value, each once; `None` if there is anything in it whose code `marshal` could call, or too much.
fn codes<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Vec<Bound<'py, PyCode>>>> {
    let mut codes: Vec<Bound<'py, PyCode>> = Vec::new();
    let mut known = FxHashSet::default();
    let mut ahead = vec![value.clone()];
    let mut seen = 0;
    while let Some(value) = ahead.pop() {
        seen += 1;
        if seen > MOST {
            return Ok(None);
        }
        if let Ok(code) = value.cast_exact::<PyCode>() {
            if known.insert(code.as_ptr() as usize) {
                ahead.extend(code_object::consts(code).iter());
                codes.push(code.clone());
            }
        } else if let Ok(tuple) = value.cast_exact::<PyTuple>() {
            ahead.extend(tuple.iter());
        } else if value.is_exact_instance_of::<PyList>()
            || value.is_exact_instance_of::<PySet>()
            || value.is_exact_instance_of::<PyFrozenSet>()
        {
            for item in value.try_iter()? {
                ahead.push(item?);
            }
        } else if let Ok(dict) = value.cast_exact::<PyDict>() {
            for (key, item) in dict.iter() {
                ahead.extend([key, item]);
            }
        } else if value.is_exact_instance_of::<PySlice>() {
            for part in ["start", "stop", "step"] {
                ahead.push(value.getattr(part)?);
            }
        } else if !is_simple(&value) {
            return Ok(None);
        }
    }
    Ok((!codes.is_empty()).then_some(codes))
}

fn is_simple(value: &Bound<'_, PyAny>) -> bool {
    value.is_none()
        || value.is_exact_instance_of::<PyString>()
        || value.is_exact_instance_of::<PyInt>()
        || value.is_exact_instance_of::<PyBytes>()
        || value.is_exact_instance_of::<PyFloat>()
        || value.is_exact_instance_of::<PyBool>()
        || value.is_exact_instance_of::<PyComplex>()
        || value.is(value.py().Ellipsis())
}

/// How often we hold each copy ourselves: among the last, and in the constants of the copies of `codes`.
fn held(py: Python<'_>, codes: &[Bound<'_, PyCode>]) -> FxHashMap<usize, isize> {
    let mut held = FxHashMap::default();
    let mut add = |address: usize| *held.entry(address).or_insert(0) += 1;
    RECENT.with(py, |recent| {
        let copies = recent.copies.iter();
        copies.for_each(|copy| add(copy.code.as_ptr() as usize));
    });
    for copy in codes.iter().flat_map(registry::copies) {
        let consts = code_object::consts(&copy);
        let nested = consts.iter_borrowed();
        nested
            .filter(|constant| constant.is_exact_instance_of::<PyCode>())
            .for_each(|constant| add(constant.as_ptr() as usize));
    }
    held
}

/// Gives up what the copies of `code` refer to, and what refers to `code` on their behalf.
fn give_up_copies(
    code: &Bound<'_, PyCode>,
    held: &FxHashMap<usize, isize>,
    given_up: &mut GivenUp,
) {
    for copy in registry::copies(code) {
        if copy.is(code) {
            continue;
        }
        let head = code_object::head(&copy);
        // Which tuples both have is `code_object::with_parts`'s.
        let consts = code_object::consts(&copy);
        let slots = code_object::slot_names(&copy);
        let names = code_object::names(&copy);
        let own_names = !names.is(code_object::names(code));
        // Nested copies are nowhere in the original.
        let shared = consts.iter_borrowed().filter(|constant| {
            let code = constant.cast_exact::<PyCode>();
            code.map_or(true, |code| registry::of_copy(&code.to_owned()).is_none())
        });
        let items = shared.chain(slots.iter_borrowed());
        let names = names.iter_borrowed().filter(|_| own_names);
        let parts = items.chain(names).map(Borrowed::as_ptr);
        let fields = [
            head.co_names,
            head.co_filename,
            head.co_name,
            head.co_qualname,
        ];
        for object in parts.chain(fields) {
            give_up(object, given_up);
        }
        // Without debugop functions and frames refer to the original.
        let ours = 1 + held.get(&(copy.as_ptr() as usize)).copied().unwrap_or(0);
        // SAFETY: a live object, with the GIL held.
        if unsafe { ffi::Py_REFCNT(copy.as_ptr()) } <= ours {
            give_up(code.as_ptr(), given_up);
        }
        given_up.copies.push(copy.unbind());
    }
}

/// Gives up one reference, if it is not the last.
fn give_up(object: *mut ffi::PyObject, given_up: &mut GivenUp) {
    // SAFETY: a live object, which a copy or its entry holds, both of which live until `after` has given the reference back. There is another one, and whoever has that keeps it meanwhile: nothing but `marshal` runs, which takes references of its own.
    unsafe {
        if ffi::Py_REFCNT(object) > 1 {
            ffi::Py_DECREF(object);
            given_up.objects.push(object);
        }
    }
}
