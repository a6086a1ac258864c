//! Interior mutability under the GIL.

use std::cell::Cell;

use pyo3::Python;

/// A value that is only read and written by a thread that holds the GIL.
///
/// Free-threaded builds are refused at import ([`crate::interpreter::check`]), so on every interpreter that this crate
/// runs in, holding a [`Python`] token means that no other thread is inside [`GilCell::with`]'s read or write.
#[derive(Default)]
pub struct GilCell<T>(Cell<T>);

// SAFETY: every access goes through a `Python` token, that is, happens with the GIL held, and no access calls out while
// it holds a reference into the cell. Holds on all GIL builds, 3.11-3.15; free-threaded builds never get here.
unsafe impl<T> Sync for GilCell<T> {}
// SAFETY: as above; the value may be dropped by another thread than the one that made it, always with the GIL held.
unsafe impl<T> Send for GilCell<T> {}

impl<T> GilCell<T> {
    /// A cell that holds `value`.
    pub const fn new(value: T) -> Self {
        Self(Cell::new(value))
    }

    /// Replaces the value and returns the old one.
    pub fn replace(&self, _py: Python<'_>, value: T) -> T {
        self.0.replace(value)
    }

    /// Replaces the value.
    pub fn set(&self, _py: Python<'_>, value: T) {
        self.0.set(value);
    }

    /// Takes the value out and leaves the default.
    pub fn take(&self, _py: Python<'_>) -> T
    where
        T: Default,
    {
        self.0.take()
    }

    /// A copy of the value.
    #[inline]
    pub fn get(&self, _py: Python<'_>) -> T
    where
        T: Copy,
    {
        self.0.get()
    }

    /// A clone of the value. `T::clone` must not run Python code; only reference-count bumps are used here.
    #[inline]
    pub fn cloned(&self, _py: Python<'_>) -> T
    where
        T: Clone,
    {
        // SAFETY: the reference lives only during `clone`, which does not release the GIL or touch this cell.
        unsafe { (*self.0.as_ptr()).clone() }
    }

    /// Where the value is. It may be read as long as nothing runs that could change it.
    #[inline(always)]
    pub(crate) fn as_ptr(&self, _py: Python<'_>) -> *mut T {
        self.0.as_ptr()
    }

    /// Runs `f` on the value. `f` must not run Python code (it could come back here); it is for small structural edits.
    #[inline]
    pub(crate) fn with<R>(&self, _py: Python<'_>, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the GIL is held and `f`, by the contract above, neither releases it nor re-enters the cell, so the
        // reference is unique while it lives. Crate-private so that every caller can be read.
        f(unsafe { &mut *self.0.as_ptr() })
    }
}

/// Drops what holds references to Python objects now.
///
/// PyO3 puts the release of a [`pyo3::Py`] off until it is entered the next time, where it does not know that the thread is attached:
/// in a function that CPython calls without it.
pub(crate) fn release<T>(value: T) {
    Python::attach(|_| drop(value));
}

impl<T> GilCell<std::sync::Arc<T>> {
    /// Whether the cell holds this very object.
    #[inline]
    pub(crate) fn is(&self, py: Python<'_>, other: &std::sync::Arc<T>) -> bool {
        self.with(py, |own| std::sync::Arc::ptr_eq(own, other))
    }
}
