//! Results of operators on numbers, as CPython computes them, on every machine the same.
//!
//! They are guesses to whoever uses them: `None`, or something else than CPython's result, is never wrong. Only what IEEE 754 defines exactly is
//! computed with the machine's floats.

use crate::value::Value;

/// A binary operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
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
        Binary::Right => one >> shift()?.min(63),
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
}
