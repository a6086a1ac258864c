//! `int` objects of 3.11 (`Include/cpython/longintrepr.h`).

use pyo3::ffi::PyVarObject;

/// `PyLongObject` up to its first digit.
#[repr(C)]
pub(crate) struct LongObject {
    /// Its size is the number of digits, negative for a negative int.
    ob_base: PyVarObject,
    ob_digit: [u32; 1],
}

impl LongObject {
    /// The value of an int of at most one digit (30 bits).
    #[inline]
    pub(crate) fn compact(&self) -> Option<i64> {
        // Zero has a first digit too, whose value is not defined: the size alone says 0.
        let size = self.ob_base.ob_size as i64;
        (size.unsigned_abs() <= 1).then(|| size * i64::from(self.ob_digit[0]))
    }

    /// Whether it has at most one digit, which is less than this.
    #[inline]
    pub(crate) fn is_below(&self, limit: u32) -> bool {
        let compact = self.compact();
        compact.is_some_and(|int| int.unsigned_abs() < u64::from(limit))
    }

    /// The value of an int of two or three digits, if it fits.
    #[inline]
    pub(crate) fn few_digits(&self) -> Option<i64> {
        let (is_negative, digits) = self.digits();
        let magnitude = match *digits {
            [low, high] => i64::from(high) << 30 | i64::from(low),
            [low, middle, high @ ..8] => {
                i64::from(high) << 60 | i64::from(middle) << 30 | i64::from(low)
            }
            _ => return None,
        };
        Some(if is_negative { -magnitude } else { magnitude })
    }

    /// Whether it is negative, and its digits of 30 bits, the lowest first.
    #[inline]
    pub(crate) fn digits(&self) -> (bool, &[u32]) {
        let size = self.ob_base.ob_size;
        // SAFETY: an int has as many digits as its size says, behind its head.
        let digits =
            unsafe { std::slice::from_raw_parts(self.ob_digit.as_ptr(), size.unsigned_abs()) };
        (size < 0, digits)
    }
}

/// Where the fields are.
pub(crate) fn offsets() -> [(&'static str, usize); 2] {
    use std::mem::offset_of;
    [
        (
            "PyLongObject.ob_base.ob_size",
            size_of::<pyo3::ffi::PyObject>(),
        ),
        ("PyLongObject.ob_digit", offset_of!(LongObject, ob_digit)),
    ]
}
