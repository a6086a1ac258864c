//! Frames that are running already.

use pyo3::types::{PyAnyMethods, PyDict, PyDictMethods};
use pyo3::{Bound, PyAny, PyResult, Python, ffi};

use crate::collector::Pause;
use crate::function::heap;
use crate::modules;

/// `sys._current_frames()`: the innermost frame of each thread, by `threading.get_ident()`.
///
/// Up to 3.11.8 it makes frame objects while it holds the lock that a thread needs to begin or end. If the collector ran there,
/// and called the program (`gc.callbacks`, a finaliser), that may let another thread run, which then waits for the lock with the
/// GIL held: for ever (gh-106883).
pub fn current_frames(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let _collector = Pause::new(py);
    Ok(modules::sys(py, c"_current_frames")?
        .call0()?
        .cast_into::<PyDict>()?)
}

/// The frames on the stacks of all threads, and those of `generators` (generators, coroutines, asynchronous generators) that are
/// suspended.
pub(crate) fn running_frames<'py>(
    py: Python<'py>,
    generators: &[Bound<'py, PyAny>],
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let mut frames = Vec::new();
    for (_, frame) in current_frames(py)?.iter() {
        let mut next = Some(frame);
        while let Some(frame) = next.filter(|frame| !frame.is_none()) {
            next = Some(frame.getattr("f_back")?);
            frames.push(frame);
        }
    }
    for generator in generators {
        for name in ["gi_frame", "cr_frame", "ag_frame"] {
            if let Some(frame) = generator.getattr_opt(name)?
                && !frame.is_none()
                && !generator
                    .getattr(name.replace("frame", "running"))?
                    .is_truthy()?
            {
                frames.push(frame);
            }
        }
    }
    Ok(frames)
}

/// Every generator, coroutine and asynchronous generator in the heap.
pub(crate) fn generators(py: Python<'_>) -> Vec<Bound<'_, PyAny>> {
    let mut found = Vec::new();
    heap::visit(py, &mut |object| {
        // SAFETY: the heap walk hands out live objects.
        unsafe {
            let kind = ffi::Py_TYPE(object);
            if kind == &raw mut ffi::PyGen_Type
                || kind == &raw mut ffi::PyCoro_Type
                || kind == &raw mut ffi::PyAsyncGen_Type
            {
                found.push(Bound::from_borrowed_ptr(py, object));
            }
        }
    });
    found
}
