//! `debugop.Stack`: the value stack of a step as a sequence.

use debugop_capture::stack::{LiveStack, StackError};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyList, PySlice, PySliceMethods};

use crate::convert;

/// The value stack before an instruction: a sequence, bottom first, so that `stack[-1]` is the top as in the documentation
/// of `dis`.
///
/// Empty slots are `debugop.NULL`. Assigning to an index changes the running program. Usable only inside the callback that
/// the step was handed to; afterwards every access raises `debugop.StaleStep`.
#[pyclass(frozen, sequence, module = "debugop")]
pub(crate) struct Stack {
    live: LiveStack,
}

impl Stack {
    pub(crate) fn new(live: LiveStack) -> Self {
        Self { live }
    }

    /// Makes an object that nobody else has the stack that `live` points to.
    pub(crate) fn follow(&self, py: Python<'_>, live: &LiveStack) {
        self.live.follow(py, live);
    }

    /// The slot that a Python index means. One out of range becomes a slot past the top, which `get` and `set` refuse.
    fn slot(&self, index: &Bound<'_, PyAny>) -> PyResult<u32> {
        let index = convert::sequence_index(index, self.live.len(index.py()) as usize)?;
        Ok(index
            .and_then(|index| u32::try_from(index).ok())
            .unwrap_or(u32::MAX))
    }
}

/// The slots as a new list, bottom first.
pub(crate) fn to_list<'py>(py: Python<'py>, live: &LiveStack) -> PyResult<Bound<'py, PyList>> {
    let null = convert::null(py)?;
    live.list(py, null).map_err(convert::stack_error)
}

#[pymethods]
impl Stack {
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        match self.live.live_frame(py).get(py) {
            Some(_) => Ok(self.live.len(py) as usize),
            None => Err(convert::stack_error(StackError::Stale)),
        }
    }

    fn __getitem__<'py>(
        &self,
        py: Python<'py>,
        index: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Ok(slice) = index.cast_exact::<PySlice>() {
            let list = to_list(py, &self.live)?;
            let length = list.len();
            let bounds = slice.indices(length as isize)?;
            let whole = (bounds.start, bounds.step) == (0, 1) && bounds.slicelength == length;
            return if whole {
                Ok(list.into_any())
            } else {
                list.as_any().get_item(index)
            };
        }
        let slot = self
            .live
            .get(py, self.slot(index)?)
            .map_err(convert::stack_error)?;
        convert::slot(py, slot)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        to_list(py, &self.live)?.try_iter()
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let limits = debugop_capture::value::Limits::default();
        let short = |slot| {
            debugop_capture::value::capture_slot(slot, &limits)
                .short(60)
                .to_string()
        };
        match self.live.slots(py) {
            Ok(slots) => {
                let texts = slots.iter().map(short).collect::<Vec<_>>();
                format!("<debugop.Stack [{}]>", texts.join(", "))
            }
            Err(_) => "<debugop.Stack (over)>".to_owned(),
        }
    }

    fn __reversed__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        let list = to_list(py, &self.live)?;
        list.reverse()?;
        list.try_iter()
    }

    fn __contains__(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        to_list(py, &self.live)?.contains(value)
    }

    /// First index of `value` between `start` and `stop`; compares as a list does. ValueError if it is not there.
    #[pyo3(signature = (value, start = 0, stop = isize::MAX))]
    fn index<'py>(
        &self,
        py: Python<'py>,
        value: &Bound<'py, PyAny>,
        start: isize,
        stop: isize,
    ) -> PyResult<Bound<'py, PyAny>> {
        to_list(py, &self.live)?.call_method1("index", (value, start, stop))
    }

    /// How many slots equal `value`; compares as a list does.
    fn count<'py>(
        &self,
        py: Python<'py>,
        value: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        to_list(py, &self.live)?.call_method1("count", (value,))
    }

    /// The slots as a new list, bottom first.
    fn copy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        to_list(py, &self.live)
    }

    fn __delitem__(&self, _index: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a value stack cannot change its length",
        ))
    }

    fn __setitem__(
        &self,
        py: Python<'_>,
        index: &Bound<'_, PyAny>,
        value: Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if index.is_exact_instance_of::<PySlice>() {
            return Err(PyTypeError::new_err(
                "a value stack cannot change its length; assign to one index",
            ));
        }
        let value = (!convert::is_null(&value)).then_some(value);
        self.live
            .set(py, self.slot(index)?, value)
            .map_err(convert::stack_error)
    }
}
