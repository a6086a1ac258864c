//! The extension module `debugop._core`: PyO3 classes and conversion, nothing else.

/// The native half of `debugop`; its public names are re-exported by the Python package.
#[pyo3::pymodule(gil_used = true)]
mod _core {
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
