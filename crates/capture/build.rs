//! Gives the crate `cfg(Py_3_12)` and the like for the interpreter it is built against.
fn main() {
    pyo3_build_config::use_pyo3_cfgs();
}
