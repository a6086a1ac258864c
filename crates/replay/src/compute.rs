//! Results of operators on numbers, as CPython computes them, on every machine the same.
//!
//! They are guesses to whoever uses them: `None`, or something else than CPython's result, is never wrong. Only what IEEE 754 defines exactly is
//! computed with the machine's floats.

use crate::value::Value;

/// A binary operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Remainder,
    Power,
    And,
    Or,
    Xor,
    Left,
    Right,
}

impl Binary {
    /// That of a symbol, in place or not.
    pub(crate) fn of(symbol: &str) -> Option<Self> {
        Some(match symbol.strip_suffix('=').unwrap_or(symbol) {
            "+" => Binary::Add,
            "-" => Binary::Subtract,
            "*" => Binary::Multiply,
            "/" => Binary::Divide,
            "//" => Binary::FloorDivide,
            "%" => Binary::Remainder,
            "**" => Binary::Power,
            "&" => Binary::And,
            "|" => Binary::Or,
            "^" => Binary::Xor,
            "<<" => Binary::Left,
            ">>" => Binary::Right,
            _ => return None,
        })
    }
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Less,
    LessEqual,
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
}

impl Comparison {
    pub(crate) fn of(symbol: &str) -> Option<Self> {
        Some(match symbol {
            "<" => Comparison::Less,
            "<=" => Comparison::LessEqual,
            "==" => Comparison::Equal,
            "!=" => Comparison::NotEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterEqual,
            _ => return None,
        })
    }

    fn holds<T: PartialOrd>(self, one: &T, other: &T) -> bool {
        match self {
            Comparison::Less => one < other,
            Comparison::LessEqual => one <= other,
            Comparison::Equal => one == other,
            Comparison::NotEqual => one != other,
            Comparison::Greater => one > other,
            Comparison::GreaterEqual => one >= other,
        }
    }
}

/// What an instruction computes of its operands, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calculation {
    /// Of two.
    Binary(Binary),
    /// `-x`.
    Negative,
}

impl Calculation {
    /// The result for exact `int`s and `float`s, bit by bit as CPython has it; `nan`: what its machine makes of `inf - inf`. `None` for
    /// anything else, and where an `int` is too large.
    pub(crate) fn of(self, (one, other): (Value, Value), nan: u64) -> Option<Value> {
        let is_number = |value| matches!(value, Value::Int(_) | Value::Float(_));
        if !is_number(one) {
            return None;
        }
        let result = match self {
            Calculation::Negative => negative(one)?,
            Calculation::Binary(_) if !is_number(other) => return None,
            Calculation::Binary(operator) => match (one, other) {
                (Value::Int(one), Value::Int(other)) if operator == Binary::Divide => {
                    Value::Float(quotient(one, other)?.to_bits())
                }
                (Value::Int(one), Value::Int(other)) => of_ints(operator, one, other)?,
                // The nearest `float`, as `PyLong_AsDouble` has it.
                (Value::Int(one), Value::Float(other)) => {
                    of_floats(operator, one as f64, f64::from_bits(other))?
                }
                (Value::Float(one), Value::Int(other)) => {
                    of_floats(operator, f64::from_bits(one), other as f64)?
                }
                (Value::Float(one), Value::Float(other)) => {
                    of_floats(operator, f64::from_bits(one), f64::from_bits(other))?
                }
                _ => return None,
            },
        };
        Some(match result {
            Value::Float(bits)
                if f64::from_bits(bits).is_nan() && self != Calculation::Negative =>
            {
                Value::Float(nan)
            }
            result => result,
        })
    }
}

/// The `float` nearest to a quotient of `int`s (`long_true_divide`, `Objects/longobject.c`).
fn quotient(one: i64, other: i64) -> Option<f64> {
    if other == 0 {
        return None;
    }
    if one == 0 {
        return Some(if other < 0 { -0.0 } else { 0.0 });
    }
    let (dividend, divisor) = (
        u128::from(one.unsigned_abs()),
        u128::from(other.unsigned_abs()),
    );
    let shift = dividend.leading_zeros() - 1;
    let (whole, rest) = ((dividend << shift) / divisor, (dividend << shift) % divisor);
    // At least 63 bits, so the last one only says on which side of the middle it is.
    let rounded = (whole | u128::from(rest != 0)) as f64;
    let result = rounded * (0.5_f64).powi(shift as i32);
    Some(if (one < 0) != (other < 0) {
        -result
    } else {
        result
    })
}

/// Ints up to this are floats without a difference.
const EXACT: i64 = 1 << 53;

fn int(value: Value) -> Option<i64> {
    match value {
        Value::Int(int) => Some(int),
        Value::Bool(bool) => Some(bool.into()),
        _ => None,
    }
}

fn float(value: Value) -> Option<f64> {
    match value {
        Value::Float(bits) => Some(f64::from_bits(bits)),
        value => int(value)
            .filter(|int| (-EXACT..=EXACT).contains(int))
            .map(|int| int as f64),
    }
}

/// The result of a binary operator.
pub(crate) fn binary(operator: Binary, one: Value, other: Value) -> Option<Value> {
    if let (Value::Bool(one), Value::Bool(other)) = (one, other) {
        match operator {
            Binary::And => return Some(Value::Bool(one & other)),
            Binary::Or => return Some(Value::Bool(one | other)),
            Binary::Xor => return Some(Value::Bool(one ^ other)),
            _ => {}
        }
    }
    match (int(one), int(other)) {
        (Some(one), Some(other)) => of_ints(operator, one, other),
        _ => of_floats(operator, float(one)?, float(other)?),
    }
}

fn of_ints(operator: Binary, one: i64, other: i64) -> Option<Value> {
    let floor = |one: i64, other: i64| {
        let quotient = one.checked_div(other)?;
        let remainder = one.checked_rem(other)?;
        let down = remainder != 0 && (remainder < 0) != (other < 0);
        Some(match down {
            true => (quotient - 1, remainder + other),
            false => (quotient, remainder),
        })
    };
    let shift = || u32::try_from(other).ok();
    Some(Value::Int(match operator {
        Binary::Add => one.checked_add(other)?,
        Binary::Subtract => one.checked_sub(other)?,
        Binary::Multiply => one.checked_mul(other)?,
        Binary::FloorDivide => floor(one, other)?.0,
        Binary::Remainder => floor(one, other)?.1,
        Binary::And => one & other,
        Binary::Or => one | other,
        Binary::Xor => one ^ other,
        Binary::Left => {
            let shifted = one.checked_shl(shift()?)?;
            (shifted >> shift()? == one).then_some(shifted)?
        }
        Binary::Right => one >> u32::try_from(other.min(63)).ok()?,
        Binary::Power => match u32::try_from(other) {
            Ok(exponent) => one.checked_pow(exponent)?,
            Err(_) => return None,
        },
        Binary::Divide => {
            return of_floats(operator, float(Value::Int(one))?, float(Value::Int(other))?);
        }
    }))
}

/// `Objects/floatobject.c`: `float_div_mod`, `float_rem`, `float_pow`.
fn of_floats(operator: Binary, one: f64, other: f64) -> Option<Value> {
    let remainder = || {
        let remainder = one % other;
        match remainder {
            0.0 => 0.0_f64.copysign(other),
            _ if (other < 0.0) != (remainder < 0.0) => remainder + other,
            _ => remainder,
        }
    };
    let divides = matches!(
        operator,
        Binary::Divide | Binary::FloorDivide | Binary::Remainder
    );
    if divides && other == 0.0 {
        return None;
    }
    let result = match operator {
        Binary::Add => one + other,
        Binary::Subtract => one - other,
        Binary::Multiply => one * other,
        Binary::Divide => one / other,
        Binary::Remainder => remainder(),
        Binary::FloorDivide => {
            let rest = one % other;
            let mut quotient = (one - rest) / other;
            if rest != 0.0 && (other < 0.0) != (rest < 0.0) {
                quotient -= 1.0;
            }
            if quotient == 0.0 {
                0.0_f64.copysign(one / other)
            } else {
                let floor = quotient.floor();
                if quotient - floor > 0.5 {
                    floor + 1.0
                } else {
                    floor
                }
            }
        }
        Binary::Power => power(one, other)?,
        _ => return None,
    };
    Some(Value::Float(result.to_bits()))
}

/// A float and how much is missing from it.
#[derive(Clone, Copy)]
struct Double(f64, f64);

impl Double {
    /// The product of two floats, exactly (Dekker).
    fn product(one: f64, other: f64) -> Self {
        let split = |whole: f64| {
            let large = whole * 134_217_729.0;
            let high = large - (large - whole);
            (high, whole - high)
        };
        let product = one * other;
        let ((a, b), (c, d)) = (split(one), split(other));
        Double(product, a * c - product + a * d + b * c + b * d)
    }

    fn times(self, other: Self) -> Self {
        let product = Self::product(self.0, other.0);
        let rest = product.1 + (self.0 * other.1 + self.1 * other.0);
        Double(product.0, 0.0).plus(rest)
    }

    fn plus(self, small: f64) -> Self {
        let rest = self.1 + small;
        let sum = self.0 + rest;
        Double(sum, rest - (sum - self.0))
    }

    fn root(self) -> Self {
        let root = self.0.sqrt();
        let square = Self::product(root, root);
        let rest = (self.0 - square.0) - square.1 + self.1;
        Double(root, 0.0).plus(rest / (2.0 * root))
    }

    /// 1 divided by it.
    fn inverse(self) -> Self {
        let first = 1.0 / self.0;
        let product = Double(first, 0.0).times(self);
        let rest = (1.0 - product.0) - product.1;
        Double(first, 0.0).plus(first * rest)
    }
}

/// Powers with multiples of one half, rounded once as a rule: so does the C library, almost always.
fn power(base: f64, exponent: f64) -> Option<f64> {
    let halves = exponent * 2.0;
    let fits = base > 1e-60 && base < 1e60 && halves.abs() <= 16.0 && halves.fract() == 0.0;
    if exponent == 2.0 {
        return Some(base * base);
    }
    if !fits {
        return None;
    }
    let count = halves.abs() as u32;
    let mut result = Double(1.0, 0.0);
    for _ in 0..count / 2 {
        result = result.times(Double(base, 0.0));
    }
    if count % 2 == 1 {
        result = result.times(Double(base, 0.0).root());
    }
    if exponent < 0.0 {
        result = result.inverse();
    }
    let result = result.0 + result.1;
    (result.is_normal()).then_some(result)
}

/// The square root, as `math.sqrt` computes it.
pub(crate) fn root(value: Value) -> Option<Value> {
    let root = float(value).filter(|float| *float >= 0.0)?.sqrt();
    Some(Value::Float(root.to_bits()))
}

/// The result of a comparison of numbers; other values are equal if they are the same.
pub(crate) fn compare(comparison: Comparison, one: Value, other: Value) -> Option<Value> {
    let holds = match (int(one), int(other)) {
        (Some(one), Some(other)) => comparison.holds(&one, &other),
        _ => match (float(one), float(other)) {
            (Some(one), Some(other)) => comparison.holds(&one, &other),
            _ => match comparison {
                Comparison::Equal => one == other,
                Comparison::NotEqual => one != other,
                _ => return None,
            },
        },
    };
    Some(Value::Bool(holds))
}

/// The result of a unary minus.
pub(crate) fn negative(value: Value) -> Option<Value> {
    match value {
        Value::Float(bits) => Some(Value::Float(bits ^ 1 << 63)),
        value => Some(Value::Int(int(value)?.checked_neg()?)),
    }
}

/// The result of `~`.
pub(crate) fn inverted(value: Value) -> Option<Value> {
    Some(Value::Int(!int(value)?))
}

/// The absolute value.
pub(crate) fn absolute(value: Value) -> Option<Value> {
    match value {
        Value::Float(bits) => Some(Value::Float(bits & !(1 << 63))),
        value => Some(Value::Int(int(value)?.checked_abs()?)),
    }
}

/// Whether a number, a bool or `None` counts as true.
pub(crate) fn truth(value: Value) -> Option<bool> {
    match value {
        Value::None => Some(false),
        Value::Float(bits) => Some(f64::from_bits(bits) != 0.0),
        value => Some(int(value)? != 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: f64) -> Value {
        Value::Float(value.to_bits())
    }

    fn check(symbol: &str, one: Value, other: Value, expected: Option<Value>) {
        let operator = Binary::of(symbol).expect("an operator");
        assert_eq!(
            binary(operator, one, other),
            expected,
            "{one:?} {symbol} {other:?}"
        );
    }

    /// From an interactive CPython 3.13.
    #[test]
    fn results_are_those_of_python() {
        let int = Value::Int;
        check("+", int(2), Value::Bool(true), Some(int(3)));
        check("+=", int(i64::MAX), int(1), None);
        check("//", int(-7), int(2), Some(int(-4)));
        check("%", int(-7), int(2), Some(int(1)));
        check("%", int(7), int(-2), Some(int(-1)));
        check("//", int(7), int(0), None);
        check("//", int(i64::MIN), int(-1), None);
        check("<<", int(1), int(62), Some(int(1 << 62)));
        check("<<", int(1), int(63), None);
        check("<<", int(-1), int(63), Some(int(i64::MIN)));
        check("<<", int(1), int(-1), None);
        check(">>", int(-5), int(400), Some(int(-1)));
        check("**", int(3), int(4), Some(int(81)));
        check("/", int(1), int(3), Some(of(1.0 / 3.0)));
        check("%", of(-7.5), of(2.0), Some(of(0.5)));
        check("%", of(6.0), of(-2.0), Some(of(-0.0)));
        check("//", of(-7.5), of(2.0), Some(of(-4.0)));
        check("//", of(0.0), of(-2.0), Some(of(-0.0)));
        check("/", of(1.0), of(0.0), None);
        check(
            "&",
            Value::Bool(true),
            Value::Bool(false),
            Some(Value::Bool(false)),
        );
        check("+", Value::None, int(1), None);
        check("+", int(EXACT + 1), of(1.0), None);
        check("**", of(2.0), of(-1.5), Some(of(0.353_553_390_593_273_8)));
        check("**", of(3.7), of(0.5), Some(of(1.923_538_406_167_134_6)));
        check(
            "**",
            of(12.3),
            of(-1.5),
            Some(of(0.023_181_542_622_447_194)),
        );
        check("**", of(-2.0), of(0.5), None);
    }

    #[test]
    fn comparisons_know_what_is_no_number() {
        let nan = of(f64::NAN);
        for (symbol, holds) in [("==", false), ("!=", true), ("<", false), (">=", false)] {
            let comparison = Comparison::of(symbol).expect("a comparison");
            assert_eq!(
                compare(comparison, nan, nan),
                Some(Value::Bool(holds)),
                "{symbol}"
            );
        }
        assert_eq!(compare(Comparison::Less, Value::None, Value::None), None);
        assert_eq!(negative(of(0.0)), Some(of(-0.0)));
        assert_eq!(negative(Value::Int(i64::MIN)), None);
    }

    fn calculated(symbol: &str, one: Value, other: Value) -> Option<Value> {
        let operator = Binary::of(symbol).expect("an operator");
        Calculation::Binary(operator).of((one, other), 7)
    }

    /// As CPython has them.
    #[test]
    fn quotients_of_ints_are_the_nearest_float() {
        for (one, other, bits) in [
            (0, -9007199254740993, 0x8000000000000000),
            (0, 1048575, 0x0),
            (1, -1, 0xbff0000000000000),
            (1, -7, 0xbfc2492492492492),
            (1, 9007199254740993, 0x3c9fffffffffffff),
            (1, -9007199254740993, 0xbc9fffffffffffff),
            (1, 2305843009213693955, 0x3c20000000000000),
            (1, 1048575, 0x3eb0000100001000),
            (-1, -1, 0x3ff0000000000000),
            (-1, 3, 0xbfd5555555555555),
            (-1, -7, 0x3fc2492492492492),
            (-1, 9007199254740993, 0xbc9fffffffffffff),
            (-1, -4611686018427387903, 0x3c10000000000000),
            (3, 1, 0x4008000000000000),
            (3, 9007199254740993, 0x3cb7ffffffffffff),
            (3, 4611686018427387903, 0x3c28000000000000),
            (3, -4611686018427387903, 0xbc28000000000000),
            (3, 2305843009213693955, 0x3c38000000000000),
            (3, 999999937, 0x3e29c511f7772084),
            (7, 1, 0x401c000000000000),
            (7, 3, 0x4002aaaaaaaaaaab),
            (7, 7, 0x3ff0000000000000),
            (7, -9007199254740993, 0xbccbffffffffffff),
            (7, 2305843009213693955, 0x3c4c000000000000),
            (7, 1048575, 0x3edc0001c0001c00),
            (-7, 3, 0xc002aaaaaaaaaaab),
            (-7, -9007199254740993, 0x3ccbffffffffffff),
            (-7, 4611686018427387903, 0xbc3c000000000000),
        ] {
            let found = calculated("/", Value::Int(one), Value::Int(other));
            assert_eq!(found, Some(Value::Float(bits)), "{one} / {other}");
        }
        assert_eq!(calculated("/", Value::Int(1), Value::Int(0)), None);
    }

    /// As CPython has them.
    #[test]
    fn remainders_and_floors_of_floats_have_their_signs() {
        for (symbol, one, other, bits) in [
            ("%", 0.0_f64, -7.25_f64, 0x8000000000000000),
            ("%", 0.1_f64, 1.5_f64, 0x3fb999999999999a),
            ("%", 1e+300_f64, -1.5_f64, 0x8000000000000000),
            ("%", -7.25_f64, -7.25_f64, 0x8000000000000000),
            ("%", -7.25_f64, 3.0_f64, 0x3ffc000000000000),
            ("%", 3.0_f64, 0.1_f64, 0x3fb999999999998e),
            ("%", 3.0_f64, 3.0_f64, 0x0),
            ("//", 0.0_f64, -1.5_f64, 0x8000000000000000),
            ("//", 0.0_f64, 0.1_f64, 0x0),
            ("//", 0.0_f64, 1e+300_f64, 0x0),
            ("//", 0.0_f64, 3.0_f64, 0x0),
            ("//", -0.0_f64, 1.5_f64, 0x8000000000000000),
            ("//", -0.0_f64, -1.5_f64, 0x0),
            ("//", 1.5_f64, 1.5_f64, 0x3ff0000000000000),
            ("//", 1.5_f64, 0.1_f64, 0x402c000000000000),
            ("//", -1.5_f64, 1.5_f64, 0xbff0000000000000),
            ("//", -1.5_f64, 1e+300_f64, 0xbff0000000000000),
            ("//", -1.5_f64, 3.0_f64, 0xbff0000000000000),
            ("//", 1e+300_f64, 1e+300_f64, 0x3ff0000000000000),
            ("//", -7.25_f64, 3.0_f64, 0xc008000000000000),
            ("//", 3.0_f64, 1.5_f64, 0x4000000000000000),
            ("//", 3.0_f64, 1e+300_f64, 0x0),
        ] {
            let found = calculated(symbol, of(one), of(other));
            assert_eq!(found, Some(Value::Float(bits)), "{one} {symbol} {other}");
        }
    }

    #[test]
    fn only_numbers_are_calculated_with() {
        let infinite = of(f64::INFINITY);
        assert_eq!(calculated("-", infinite, infinite), Some(Value::Float(7)));
        assert_eq!(calculated("+", Value::Bool(true), Value::Int(1)), None);
        assert_eq!(calculated("+", Value::Int(i64::MAX), Value::Int(1)), None);
        assert_eq!(calculated("*", Value::Null, of(1.0)), None);
        assert_eq!(
            calculated("+", Value::Int((1 << 53) + 1), of(0.0)),
            Some(of(9_007_199_254_740_992.0))
        );
        assert_eq!(
            calculated(">>", Value::Int(-5), Value::Int(1 << 40)),
            Some(Value::Int(-1))
        );
        let negative = Calculation::Negative.of((of(0.0), Value::Null), 7);
        assert_eq!(negative, Some(of(-0.0)));
    }
}
