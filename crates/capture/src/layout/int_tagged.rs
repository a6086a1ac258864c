//! `int` objects of 3.12-3.15 (`Include/cpython/longintrepr.h`).

use pyo3::ffi::PyObject;

/// `PyLongObject` up to its first digit.
#[repr(C)]
pub(crate) struct LongObject {
    ob_base: PyObject,
    lv_tag: usize,
    ob_digit: [u32; 1],
}

/// Bits 0-1 of `lv_tag`: 0 positive, 1 zero, 2 negative; bit 2 is a flag of 3.14+; above it the number of digits.
const SIGN: usize = 3;
const COMPACT_END: usize = 2 << 3;

impl LongObject {
    /// The value of an int of at most one digit (30 bits).
    #[inline]
    pub(crate) fn compact(&self) -> Option<i64> {
        let sign = 1 - (self.lv_tag & SIGN).cast_signed() as i64;
        (self.lv_tag < COMPACT_END).then(|| sign * i64::from(self.ob_digit[0]))
    }

    /// Whether it has at most one digit, which is less than this. (That of zero is 0: `_PyLong_New`, `Objects/longobject.c`, 3.12-3.15.)
    #[inline]
    pub(crate) fn is_below(&self, limit: u32) -> bool {
        self.lv_tag < COMPACT_END && self.ob_digit[0] < limit
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
        // SAFETY: an int has as many digits as its tag says, behind its head.
        let digits =
            unsafe { std::slice::from_raw_parts(self.ob_digit.as_ptr(), self.lv_tag >> 3) };
        (self.lv_tag & SIGN == 2, digits)
    }
}

/// Where the fields are.
pub(crate) fn offsets() -> [(&'static str, usize); 2] {
    use std::mem::offset_of;
    [
        (
            "PyLongObject.long_value.lv_tag",
            offset_of!(LongObject, lv_tag),
        ),
        (
            "PyLongObject.long_value.ob_digit",
            offset_of!(LongObject, ob_digit),
        ),
    ]
}
