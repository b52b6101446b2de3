//! Addition of decimal numbers, for INCRBYFLOAT and HINCRBYFLOAT.
//!
//! Redis adds C's `long double`, whose size differs between processors, and prints 17 decimals. What people store are
//! short decimals, so these are added exactly here: 0.1 and 0.2 make 0.3, as in Redis. Numbers beyond the exact range
//! are added as `f64`.

use crate::number::{has_value, is_long_double, parse_any_float};

/// Decimals that Redis prints.
const DECIMALS: usize = 17;
const SCALE: i128 = 10_i128.pow(DECIMALS as u32);
/// Digits before the point that the exact form takes; with the decimals they fit in an `i128`.
const DIGITS_MAX: usize = 20;

/// A finite number, exact where it can be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decimal {
    /// In units of the last decimal.
    Exact(i128),
    /// Too large or too fine for that.
    Float(f64),
}

impl Decimal {
    /// Reads a number as INCRBYFLOAT does; not NaN, and nothing beyond the range of a `long double`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if let Some(units) = exact(text) {
            return Some(Self::Exact(units));
        }
        let number = parse_any_float(text).filter(|_| is_long_double(text))?;
        // A `long double` is not 0 yet where an `f64` is.
        let is_tiny = number == 0.0 && has_value(text);
        Some(Self::Float(if is_tiny { f64::MIN_POSITIVE.copysign(number) } else { number }))
    }

    /// A thousand times the number, rounded up; none where that is no `i64`.
    pub fn ceil_thousands(self) -> Option<i64> {
        match self {
            Self::Exact(units) => {
                let unit = SCALE / 1000;
                i64::try_from(units.div_euclid(unit) + i128::from(units.rem_euclid(unit) > 0)).ok()
            }
            Self::Float(number) => {
                let thousands = (number * 1000.0).ceil();
                // The greatest `i64` is no `f64`, and 2^63 is one too many.
                let is_integer = thousands >= i64::MIN as f64 && thousands < i64::MAX as f64;
                is_integer.then_some(thousands as i64)
            }
        }
    }

    /// The sum; none where it is not a finite number.
    pub fn add(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) => Some(Self::Exact(a + b)),
            (a, b) => Some(a.float() + b.float()).filter(|sum| sum.is_finite()).map(Self::Float),
        }
    }

    /// As Redis prints it: no exponent, no trailing zeros.
    pub fn format(self) -> String {
        let text = match self {
            Self::Exact(units) => {
                let sign = if units < 0 { "-" } else { "" };
                let units = units.unsigned_abs();
                let (whole, part) = (units / SCALE.unsigned_abs(), units % SCALE.unsigned_abs());
                format!("{sign}{whole}.{part:0DECIMALS$}")
            }
            Self::Float(number) => format!("{number:.DECIMALS$}"),
        };
        let text = text.trim_end_matches('0').trim_end_matches('.');
        if text == "-0" { "0".into() } else { text.to_owned() }
    }

    fn float(self) -> f64 {
        match self {
            Self::Exact(units) => units as f64 / SCALE as f64,
            Self::Float(number) => number,
        }
    }
}

/// Reads `-12.50` or `1.5e3` without loss, or nothing.
fn exact(text: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?;
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().ok().filter(|exponent| (-20..=20).contains(exponent))?;
    let (is_negative, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + part.len() == 0 || whole.len() > DIGITS_MAX || part.len() > DECIMALS {
        return None;
    }
    let mut units: i128 = 0;
    for digit in whole.bytes().chain(part.bytes()) {
        units = units * 10 + i128::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    // The digits now stand for units of ten to the power of minus `part.len()`.
    let shift = DECIMALS as i32 + exponent - part.len() as i32;
    let power = 10_i128.checked_pow(shift.unsigned_abs())?;
    let units =
        if shift >= 0 { units.checked_mul(power)? } else { (units % power == 0).then_some(units / power)? };
    let limit = 10_i128.pow((DIGITS_MAX + DECIMALS) as u32);
    (units < limit).then_some(if is_negative { -units } else { units })
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    #[test]
    fn sums_are_printed_as_people_expect() {
        for (a, b, sum) in [
            ("10.50", "0.1", "10.6"),
            ("0.1", "0.2", "0.3"),
            ("5.0e3", "2.0e2", "5200"),
            ("-0.5", "0.5", "0"),
            ("1", "-2.25", "-1.25"),
            ("99999999999999999999", "1", "100000000000000000000"),
            ("1e30", "1", "1000000000000000019884624838656"),
            (".5", "5.", "5.5"),
        ] {
            let (a, b) = (Decimal::parse(a.as_bytes()).unwrap(), Decimal::parse(b.as_bytes()).unwrap());
            assert_eq!(a.add(b).map(Decimal::format).as_deref(), Some(sum));
        }
    }

    #[test]
    fn thousands_are_rounded_up() {
        for (text, thousands) in [
            ("0.0001", Some(1)),
            ("-0.0009", Some(0)),
            ("-0.001", Some(-1)),
            ("1e-400", Some(1)),
            ("-1e-400", Some(0)),
            ("9223372036854775.807", Some(i64::MAX)),
            ("9223372036854775.808", None),
            ("1e300", None),
            ("-inf", None),
            ("0x1p-4", Some(63)),
        ] {
            assert_eq!(Decimal::parse(text.as_bytes()).unwrap().ceil_thousands(), thousands, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-", ".", "a", "1a", "1e", "nan", " 1", "1 ", "1e5000", "1e-5000"] {
            assert_eq!(Decimal::parse(text.as_bytes()), None, "{text:?}");
        }
        let infinite = Decimal::parse(b"inf").unwrap();
        assert_eq!(infinite.add(Decimal::parse(b"1").unwrap()), None);
    }
}
