//! The words of a [`Glance`](super::shadows::Glance): what is kept of a value to see whether another one has taken its place.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use debugop_recording::digest::Digest;
use debugop_recording::stream::Kind;
use pyo3::{Python, ffi};

use crate::layout::LongObject;

/// Of a value that is not there.
pub(super) const EMPTY: u64 = 1;

/// Whether a word may be the address of an object that can die. Of a few numbers it is not known better.
#[inline]
pub(super) fn is_address(word: u64) -> bool {
    // SAFETY: only addresses of static objects are taken, which never die.
    let fixed = unsafe { [ffi::Py_None(), ffi::Py_True(), ffi::Py_False()] };
    word >> 48 == 0
        && word != EMPTY
        && !SmallInts::has(word)
        && fixed.iter().all(|&object| word != object as u64)
}

/// The ints of which there is one object each, in one row in the interpreter's data. Their words are their addresses: who finds such an address where it was
/// need not look at the int.
pub(super) struct SmallInts;

/// Where the first of them is. Where no object can be and no other word is as long as that is not known: then they have words like any other numbers.
static SMALL_INTS: AtomicU64 = AtomicU64::new(1 << 62);

impl SmallInts {
    /// Since 3.11 at least these (`_PY_NSMALLNEGINTS`, `_PY_NSMALLPOSINTS`; 3.15 has more).
    const FIRST: i64 = -5;
    const COUNT: u64 = 262;
    /// What one takes (`PyLongObject` with one digit).
    const SIZE: u64 = 32;

    /// Finds them.
    pub(super) fn find(py: Python<'_>) {
        let address = |index: u64| {
            let _: Python<'_> = py;
            // SAFETY: the GIL is held, and there is such an object already, which stays when the reference is given back.
            unsafe {
                let int = ffi::PyLong_FromLongLong(Self::FIRST + index.cast_signed());
                ffi::Py_DECREF(int);
                int as u64
            }
        };
        let first = address(0);
        let is_row = (0..Self::COUNT).all(|index| address(index) == first + index * Self::SIZE);
        if is_row {
            SMALL_INTS.store(first, Relaxed);
        }
    }

    /// The word of an int that is one of them.
    #[inline(always)]
    fn address(value: i64) -> Option<u64> {
        let index = value.wrapping_sub(Self::FIRST).cast_unsigned();
        (index < Self::COUNT).then(|| SMALL_INTS.load(Relaxed) + index * Self::SIZE)
    }

    /// Whether a word is the address of one of them.
    #[inline]
    fn has(word: u64) -> bool {
        word.wrapping_sub(SMALL_INTS.load(Relaxed)) < Self::COUNT * Self::SIZE
    }
}

/// A value at a glance: by value where it is recorded by value, else by its address.
#[inline(always)]
pub(super) fn glance_word(object: *mut ffi::PyObject) -> u64 {
    word_at_once(object).unwrap_or_else(|| digest_word(object))
}

/// The same; `None` where that takes a call.
#[inline(always)]
pub(super) fn word_at_once(object: *mut ffi::PyObject) -> Option<u64> {
    if object.is_null() {
        return Some(EMPTY);
    }
    // SAFETY: a live object; fields of exact types are read.
    unsafe {
        let class = ffi::Py_TYPE(object);
        if class == &raw mut ffi::PyLong_Type {
            let int = &*object.cast::<LongObject>();
            let Some(value) = int.compact() else {
                return Some(few_word(int.few_digits()?));
            };
            return Some(int_word(value));
        }
        if class == &raw mut ffi::PyFloat_Type {
            return Some(float_word(ffi::PyFloat_AS_DOUBLE(object).to_bits()));
        }
        (class != &raw mut ffi::PyComplex_Type).then_some(object as u64)
    }
}

/// Of an int of one digit.
#[inline(always)]
pub(super) fn int_word(value: i64) -> u64 {
    match SmallInts::address(value) {
        Some(address) => address,
        // Neither `EMPTY` nor an address.
        None => value.cast_unsigned() << 1 ^ 1 << 63 | 1 << 62,
    }
}

/// Of a float with these bits: like no int and no address, but for one in 2^64.
#[inline(always)]
pub(super) fn float_word(bits: u64) -> u64 {
    bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xa5b3_5705_f10a_7f4d
}

/// Of an int of two or three digits.
#[inline(always)]
pub(super) fn few_word(value: i64) -> u64 {
    // As a float.
    let bits = value.cast_unsigned();
    bits.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ 0x5a3c_a8f1_0ef5_8b27
}

/// Of an int of more digits, or a complex number.
#[inline(never)]
fn digest_word(object: *mut ffi::PyObject) -> u64 {
    quick_word(Digest::new(Kind::Opaque), object).value()
}

/// A value in a quick digest: by value where it is recorded by value, else by its address.
#[inline]
pub(super) fn quick_word(digest: Digest, object: *mut ffi::PyObject) -> Digest {
    if object.is_null() {
        return digest.null();
    }
    // SAFETY: a live object; fields of exact types are read.
    unsafe {
        let class = ffi::Py_TYPE(object);
        if class == &raw mut ffi::PyLong_Type {
            if let Some(value) = (*object.cast::<LongObject>()).compact() {
                return digest.and(value.cast_unsigned());
            }
            let (negative, digits) = crate::layout::objects::digits(object);
            let start = digest.and(u64::from(negative)).and(digits.len() as u64);
            return digits
                .iter()
                .fold(start, |digest, &digit| digest.and(u64::from(digit)));
        }
        if class == &raw mut ffi::PyFloat_Type {
            return digest.and(ffi::PyFloat_AS_DOUBLE(object).to_bits());
        }
        if class == &raw mut ffi::PyComplex_Type {
            let value = (*object.cast::<ffi::PyComplexObject>()).cval;
            return digest.and(value.real.to_bits()).and(value.imag.to_bits());
        }
        digest.and(object as u64)
    }
}
