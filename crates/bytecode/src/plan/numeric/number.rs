//! What is known of a number before the program runs.

/// A guard lets an `int` through whose magnitude has so many bits.
pub const GUARDED_BITS: u8 = 20;
/// What is computed has at most so many.
pub const MOST_BITS: u8 = 62;
/// An exact `float`, or an exact `int` that is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// It is a `float`.
    pub float: bool,
    /// If it is an `int`, its magnitude is below 2 to the power of this.
    pub bits: u8,
    /// If it is a `float`, it may be infinite or no number.
    pub wild: bool,
}

impl Number {
    /// What a guard lets through: a finite `float` or a small `int`.
    pub const GUARDED: Self = Self {
        float: false,
        bits: GUARDED_BITS,
        wild: false,
    };

    /// That of an `int`.
    pub fn int(int: i64) -> Option<Self> {
        let bits = (64 - int.unsigned_abs().leading_zeros()) as u8;
        (bits <= MOST_BITS).then_some(Self {
            float: false,
            bits,
            wild: false,
        })
    }

    /// That of a `float`.
    pub fn float(bits: u64) -> Option<Self> {
        f64::from_bits(bits).is_finite().then_some(Self {
            float: true,
            bits: 0,
            wild: false,
        })
    }

    /// What both are.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            float: self.float && other.float,
            bits: self.bits.max(other.bits),
            wild: self.wild || other.wild,
        }
    }

    /// What it is once a guard has let it through.
    pub(super) fn guarded(self) -> Self {
        Self {
            float: self.float,
            ..Self::GUARDED
        }
    }

    pub(super) fn is_guarded(self) -> bool {
        !self.wild && (self.float || self.bits <= GUARDED_BITS)
    }

    /// The result of a binary operator.
    pub(super) fn binary(symbol: &str, one: Self, other: Self) -> Option<Self> {
        let float = one.float || other.float;
        let wild = one.wild || other.wild;
        let made = |bits: u8, wild: bool| {
            (float || bits <= MOST_BITS).then_some(Self {
                float,
                bits: bits.min(MOST_BITS),
                wild,
            })
        };
        match symbol.strip_suffix('=').unwrap_or(symbol) {
            "+" | "-" => made(one.bits.max(other.bits) + 1, true),
            "*" => made(one.bits + other.bits, true),
            "/" => Some(Self {
                float: true,
                bits: 0,
                wild: true,
            }),
            "//" if !wild => made(one.bits, true),
            "%" if !wild => made(other.bits, false),
            "&" | "|" | "^" if !float => made(one.bits.max(other.bits) + 1, false),
            ">>" if !float => made(one.bits, false),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(symbol: &str, one: Number, other: Number, expected: Option<(bool, u8, bool)>) {
        let found = Number::binary(symbol, one, other);
        let found = found.map(|number| (number.float, number.bits, number.wild));
        assert_eq!(found, expected, "{one:?} {symbol} {other:?}");
    }

    #[test]
    fn results_are_bounded() {
        let int = |int| Number::int(int).expect("small");
        let float = Number::float(0.5_f64.to_bits()).expect("finite");
        check("+", int(1), int(255), Some((false, 9, true)));
        check(
            "*=",
            Number::GUARDED,
            Number::GUARDED,
            Some((false, 40, true)),
        );
        check("*", int(1 << 40), int(1 << 40), None);
        check("*", float, int(1 << 61), Some((true, MOST_BITS, true)));
        check("/", int(1), int(3), Some((true, 0, true)));
        check("%", int(1 << 50), int(7), Some((false, 3, false)));
        check("&", float, int(1), None);
        check("**", int(2), int(2), None);
        check("<<", int(2), int(2), None);
        check("[]", int(2), int(2), None);
        let wild = Number {
            wild: true,
            ..float
        };
        check("%", wild, int(7), None);
        assert_eq!(Number::int(i64::MIN), None);
        assert_eq!(Number::float(f64::NAN.to_bits()), None);
    }
}
