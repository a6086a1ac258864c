//! The program's garbage collector.

use pyo3::Python;

/// Keeps the cyclic collector from running while our own allocations happen, so that it runs the program's finalisers only
/// when the program's allocations make it.
///
/// Since 3.12 the collector runs only between instructions (`Python/ceval_gil.c`), never inside an allocation, so there is
/// nothing to do.
#[must_use]
pub struct Pause {
    #[cfg(not(Py_3_12))]
    was_enabled: bool,
}

#[cfg(not(Py_3_12))]
unsafe extern "C" {
    fn PyGC_Disable() -> std::ffi::c_int;
    fn PyGC_Enable() -> std::ffi::c_int;
}

impl Pause {
    /// Pauses the collector until dropped.
    pub fn new(_py: Python<'_>) -> Self {
        Self {
            // SAFETY: the thread is attached; the call sets a flag.
            #[cfg(not(Py_3_12))]
            was_enabled: unsafe { PyGC_Disable() } != 0,
        }
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        #[cfg(not(Py_3_12))]
        if self.was_enabled {
            // SAFETY: as above; the GIL was not released since `new`.
            unsafe {
                PyGC_Enable();
            }
        }
    }
}
