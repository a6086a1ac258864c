//! The constants of a code object that is being made.

use pyo3::types::{PyTuple, PyTupleMethods};
use pyo3::{Bound, PyAny, PyResult, Python, ffi};

/// A tuple that is filled from the left.
pub(crate) struct Constants<'py> {
    tuple: Bound<'py, PyTuple>,
    filled: usize,
    /// Whether there is a constant that could be part of a reference cycle.
    may_have_cycles: bool,
}

impl<'py> Constants<'py> {
    /// Room for so many.
    ///
    /// # Errors
    /// `MemoryError`.
    pub(crate) fn new(py: Python<'py>, length: usize) -> PyResult<Self> {
        // SAFETY: the GIL is held. Slots are NULL until they are filled, which the tuple's own functions and the garbage collector expect.
        let tuple = unsafe {
            let tuple = ffi::PyTuple_New(isize::try_from(length)?);
            Bound::from_owned_ptr_or_err(py, tuple)?.cast_into_unchecked()
        };
        Ok(Self {
            tuple,
            filled: 0,
            may_have_cycles: false,
        })
    }

    /// The next constant; one too many is dropped.
    pub(crate) fn push(&mut self, constant: Bound<'py, PyAny>) {
        self.may_have_cycles |= may_have_cycles(&constant, NESTING);
        let at = self.filled as isize;
        self.filled += 1;
        // SAFETY: `PyTuple_SetItem` checks the index and that nobody else has the tuple; it takes the reference over in any case.
        unsafe {
            if ffi::PyTuple_SetItem(self.tuple.as_ptr(), at, constant.into_ptr()) < 0 {
                ffi::PyErr_Clear();
            }
        }
    }

    /// The tuple.
    pub(crate) fn finish(self) -> Bound<'py, PyTuple> {
        if !self.may_have_cycles {
            // SAFETY: a tuple that nobody else has. The garbage collector untracks such tuples itself when it first meets them
            // (`untrack_tuples`, `Modules/gcmodule.c`, `Python/gc.c`), after it has looked at each item more than once. 3.11-3.15.
            unsafe { ffi::PyObject_GC_UnTrack(self.tuple.as_ptr().cast()) }
        }
        self.tuple
    }
}

/// How deep tuples among the constants are looked into.
const NESTING: u32 = 8;

/// Whether `constant` could be part of a reference cycle, for all that is known.
fn may_have_cycles(constant: &Bound<'_, PyAny>, nesting: u32) -> bool {
    // SAFETY: a live object.
    if unsafe { ffi::PyObject_IS_GC(constant.as_ptr()) } == 0 {
        return false;
    }
    match constant.cast_exact::<PyTuple>() {
        Ok(tuple) if nesting > 0 => tuple.iter().any(|item| may_have_cycles(&item, nesting - 1)),
        _ => true,
    }
}
