//! `debugop._core.TopOfStack`: for benchmarks, what recording costs at least.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Given to `Tracer` in place of a callback: encodes the top of the value stack of every step into a ring of `capacity`
/// bytes, natively. The format is in `crates/capture/src/ring.rs`.
#[pyclass(frozen, module = "debugop._core")]
pub(crate) struct TopOfStack {
    pub(crate) ring: Arc<debugop_capture::TopOfStack>,
}

#[pymethods]
impl TopOfStack {
    #[new]
    #[pyo3(signature = (capacity = 1 << 20))]
    fn new(capacity: usize) -> Self {
        Self {
            ring: Arc::new(debugop_capture::TopOfStack::new(capacity)),
        }
    }

    /// Bytes written so far, those that were overwritten included.
    #[getter]
    fn written(&self, py: Python<'_>) -> usize {
        self.ring.written(py)
    }

    /// The records since the ring last started over.
    fn records<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.ring.records(py))
    }
}
