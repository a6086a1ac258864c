//! What CPython's JIT has made of bytecode that changes.

use pyo3::types::PyCode;
use pyo3::{Bound, Python};

/// Whether bytecode may be compiled.
#[cfg(Py_3_14)]
pub(crate) fn is_enabled(py: Python<'_>) -> bool {
    use pyo3::types::PyAnyMethods;

    // 3.14+: `sys._jit` (`Python/sysmodule.c`). Without it there is no JIT.
    let answer = crate::modules::sys(py, c"_jit")
        .and_then(|jit| jit.call_method0("is_enabled")?.is_truthy());
    answer.unwrap_or(false)
}

/// 3.13's is for experiments only, and says nowhere whether it is on; there is none before.
#[cfg(not(Py_3_14))]
pub(crate) fn is_enabled(_py: Python<'_>) -> bool {
    false
}

/// Throws away what has been compiled of `code`, as instrumentation does (`Python/instrumentation.c`).
#[cfg(Py_3_13)]
pub(crate) fn forget(code: &Bound<'_, PyCode>) {
    use std::ffi::{c_char, c_int, c_void};
    use std::sync::OnceLock;

    use pyo3::ffi;

    type Invalidate = unsafe extern "C" fn(*mut ffi::PyInterpreterState, *mut c_void, c_int);

    unsafe extern "C" {
        fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    }

    /// `<dlfcn.h>`.
    const RTLD_DEFAULT: isize = if cfg!(target_vendor = "apple") { -2 } else { 0 };

    static INVALIDATE: OnceLock<Option<Invalidate>> = OnceLock::new();

    let invalidate = INVALIDATE.get_or_init(|| {
        let name = c"_Py_Executors_InvalidateDependency";
        // SAFETY: this handle searches the program and its libraries. Interpreters that are built without the JIT have no
        // such function; the others have it with this signature (`Include/internal/pycore_optimizer.h`, 3.13-3.15).
        unsafe {
            let found = dlsym(RTLD_DEFAULT as *mut c_void, name.as_ptr());
            (!found.is_null()).then(|| std::mem::transmute::<*mut c_void, Invalidate>(found))
        }
    });
    if let Some(invalidate) = invalidate {
        // SAFETY: the thread is attached; code that runs compiled notices after the call that it is in.
        unsafe { invalidate(ffi::PyInterpreterState_Get(), code.as_ptr().cast(), 1) }
    }
}

/// There is no JIT before 3.13.
#[cfg(not(Py_3_13))]
pub(crate) fn forget(_code: &Bound<'_, PyCode>) {}
