//! What CPython's JIT has made of bytecode that changes.

#[cfg(Py_3_13)]
use pyo3::ffi;
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

/// Whether bytecode is compiled in this process, or may be; that is settled when the interpreter starts.
#[cfg(Py_3_13)]
pub(crate) fn may_compile(py: Python<'_>) -> bool {
    use std::sync::OnceLock;

    static MAY: OnceLock<bool> = OnceLock::new();

    *MAY.get_or_init(|| match cfg!(Py_3_14) {
        true => is_enabled(py),
        // Who has built it in may have turned it on.
        false => invalidate().is_some(),
    })
}

/// There is no JIT before 3.13.
#[cfg(not(Py_3_13))]
pub(crate) fn may_compile(_py: Python<'_>) -> bool {
    false
}

/// Throws away what has been compiled of `code`, as instrumentation does (`Python/instrumentation.c`).
#[cfg(Py_3_13)]
pub(crate) fn forget(code: &Bound<'_, PyCode>) {
    if let Some(invalidate) = invalidate() {
        // SAFETY: the thread is attached; code that runs compiled notices after the call that it is in.
        unsafe { invalidate(ffi::PyInterpreterState_Get(), code.as_ptr().cast(), 1) }
    }
}

/// `_Py_Executors_InvalidateDependency` (`Include/internal/pycore_optimizer.h`, 3.13-3.15).
#[cfg(Py_3_13)]
type Invalidate =
    unsafe extern "C" fn(*mut ffi::PyInterpreterState, *mut std::ffi::c_void, std::ffi::c_int);

/// That, where the JIT is built in.
#[cfg(Py_3_13)]
fn invalidate() -> Option<Invalidate> {
    use std::ffi::{c_char, c_void};
    use std::sync::OnceLock;

    unsafe extern "C" {
        fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    }

    /// `<dlfcn.h>`.
    const RTLD_DEFAULT: isize = if cfg!(target_vendor = "apple") { -2 } else { 0 };

    static INVALIDATE: OnceLock<Option<Invalidate>> = OnceLock::new();

    *INVALIDATE.get_or_init(|| {
        let name = c"_Py_Executors_InvalidateDependency";
        // SAFETY: this handle searches the program and its libraries. Interpreters that are built without the JIT have no
        // such function; the others have it with this signature.
        unsafe {
            let found = dlsym(RTLD_DEFAULT as *mut c_void, name.as_ptr());
            (!found.is_null()).then(|| std::mem::transmute::<*mut c_void, Invalidate>(found))
        }
    })
}

/// There is no JIT before 3.13.
#[cfg(not(Py_3_13))]
pub(crate) fn forget(_code: &Bound<'_, PyCode>) {}
