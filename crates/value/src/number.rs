//! Numbers written as Python writes them.

use std::fmt;

/// An `int` that does not fit 64 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BigInt {
    /// All of it.
    Exact(num_bigint::BigInt),
    /// Only its size and its first digits: it was larger than what is captured.
    Huge {
        /// Whether it is below zero.
        negative: bool,
        /// The 64 most significant bits of its magnitude; the highest bit is set.
        leading: u64,
        /// `int.bit_length()`, more than 64.
        bits: u64,
    },
}

impl BigInt {
    /// From sign and magnitude, least significant byte first.
    pub fn from_bytes_le(negative: bool, magnitude: &[u8]) -> Self {
        let sign = if negative {
            num_bigint::Sign::Minus
        } else {
            num_bigint::Sign::Plus
        };
        BigInt::Exact(num_bigint::BigInt::from_bytes_le(sign, magnitude))
    }

    /// Whether it is below zero, and its magnitude, least significant byte first; `None` if that is not known.
    pub fn to_bytes_le(&self) -> Option<(bool, Vec<u8>)> {
        match self {
            BigInt::Exact(int) => {
                let (sign, magnitude) = int.to_bytes_le();
                Some((sign == num_bigint::Sign::Minus, magnitude))
            }
            BigInt::Huge { .. } => None,
        }
    }

    /// `int.bit_length()`.
    pub fn bits(&self) -> u64 {
        match self {
            BigInt::Exact(int) => int.bits(),
            BigInt::Huge { bits, .. } => *bits,
        }
    }
}

/// Decimal digits of an exact value; of a huge one the sign and its leading hexadecimal digits.
impl fmt::Display for BigInt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BigInt::Exact(int) => int.fmt(f),
            BigInt::Huge {
                negative,
                leading,
                bits,
            } => {
                // Hexadecimal digits group bits from the bottom, so drop from the 64 leading bits what belongs to a
                // digit that is not complete.
                let digits = leading >> ((4 - bits % 4) % 4);
                write!(f, "{}{digits:#x}", if *negative { "-" } else { "" })
            }
        }
    }
}

/// `repr(float)`: the shortest digits that read back as the same number; an exponent below 1e-4 and from 1e16 on.
pub fn float_repr(value: f64) -> String {
    float_digits(value, ".0")
}

/// `repr(complex)`.
pub fn complex_repr(real: f64, imaginary: f64) -> String {
    let imaginary_digits = float_digits(imaginary, "");
    if real == 0.0 && real.is_sign_positive() {
        return format!("{imaginary_digits}j");
    }
    let sign = if imaginary_digits.starts_with('-') {
        ""
    } else {
        "+"
    };
    format!("({}{sign}{imaginary_digits}j)", float_digits(real, ""))
}

/// `whole` is what a number without fraction and exponent is followed by.
fn float_digits(value: f64, whole: &str) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.into();
    }
    let shortest = format!("{value:e}");
    // Of two shortest texts at the same distance Python takes the even one, as rounding to that many digits does.
    let fraction = shortest
        .split_once('.')
        .map_or(0, |(_, after)| after.find('e').unwrap_or(after.len()));
    let rounded = format!("{value:.fraction$e}");
    let scientific = if rounded.parse() == Ok(value) {
        rounded
    } else {
        shortest
    };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    let sign = if mantissa.starts_with('-') { "-" } else { "" };
    let mut digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    // Where the point stands among the digits: before all of them for numbers below 1.
    let Ok(point) = usize::try_from(exponent + 1) else {
        let zeros = "0".repeat(exponent.unsigned_abs() as usize - 1);
        return format!("{sign}0.{zeros}{digits}");
    };
    while digits.len() < point {
        digits.push('0');
    }
    match digits.split_at(point) {
        (integer, "") => format!("{sign}{integer}{whole}"),
        ("", fraction) => format!("{sign}0.{fraction}"),
        (integer, fraction) => format!("{sign}{integer}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_as_python_prints_them() {
        let expected = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (0.5, "0.5"),
            (-123.25, "-123.25"),
            // Halfway between two texts of sixteen digits: the even one.
            (-95_102_114_576_161.12, "-95102114576161.12"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1.5e300, "1.5e+300"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (-f64::NAN, "nan"),
        ];
        for (value, text) in expected {
            assert_eq!(float_repr(value), text);
        }
    }

    #[test]
    fn complex_as_python_prints_them() {
        assert_eq!(complex_repr(0.0, 1.0), "1j");
        assert_eq!(complex_repr(-0.0, 1.0), "(-0+1j)");
        assert_eq!(complex_repr(1.5, -2.0), "(1.5-2j)");
        assert_eq!(complex_repr(f64::NAN, f64::INFINITY), "(nan+infj)");
        assert_eq!(complex_repr(0.0, -0.0), "-0j");
    }

    #[test]
    fn leading_digits_of_a_huge_int_are_whole_hexadecimal_digits() {
        // 1 << 100 has 101 bits: its first hexadecimal digit is 1.
        let huge = |bits| {
            BigInt::Huge {
                negative: true,
                leading: 1 << 63,
                bits,
            }
            .to_string()
        };
        assert_eq!(huge(101), "-0x1000000000000000");
        assert_eq!(huge(102), "-0x2000000000000000");
        assert_eq!(huge(103), "-0x4000000000000000");
        assert_eq!(huge(104), "-0x8000000000000000");
    }
}
