//! `debugop._core.Written`: what the tests ask about the program's own output.

use std::sync::{Arc, Mutex};

use debugop_capture::output::{self, Listener, Stream};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// What is written is kept here, by its stream.
#[derive(Default)]
struct Kept(Mutex<Vec<(u8, Vec<u8>)>>);

impl Listener for Kept {
    fn written(&self, _py: Python<'_>, stream: Stream, bytes: &[u8]) {
        let number = match stream {
            Stream::Output => 1,
            Stream::Error => 2,
        };
        if let Ok(mut kept) = self.0.lock() {
            kept.push((number, bytes.to_vec()));
        }
    }
}

/// Keeps what the program writes to its standard output and error, from when it is made until `stop`.
#[pyclass(frozen, module = "debugop._core")]
pub(crate) struct Written {
    kept: Arc<Kept>,
}

#[pymethods]
impl Written {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        let kept = Arc::new(Kept::default());
        output::watch(py, kept.clone())?;
        Ok(Self { kept })
    }

    /// Pairs of 1 or 2 and what was written since this was last called, a pair for each write.
    fn take<'py>(&self, py: Python<'py>) -> Vec<(u8, Bound<'py, PyBytes>)> {
        let kept = self
            .kept
            .0
            .lock()
            .map(|mut kept| std::mem::take(&mut *kept));
        let kept = kept.unwrap_or_default();
        kept.into_iter()
            .map(|(stream, bytes)| (stream, PyBytes::new(py, &bytes)))
            .collect()
    }

    /// Keeps nothing more.
    #[staticmethod]
    fn stop(py: Python<'_>) {
        output::unwatch(py);
    }
}
