//! Numbers as Redis reads and writes them.

pub use windlass_resp::{format_double as format_float, format_general};

/// So many decimal digits are always a float exactly: 10^15 is below 2^53.
const EXACT_DIGITS: usize = 15;

/// A 64-bit signed integer in Redis's strict form: no plus, no leading zero, no space.
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut value: u64 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u64::from(digit - b'0');
    }
    if negative { 0_i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// A float as Redis takes it from a command: as [`parse_any_float`], but none that is too large, or so small that
/// only 0 is left of it.
pub fn parse_float(text: &[u8]) -> Option<f64> {
    // Scores mostly are times and counts. So few digits are a number without loss, and read in a fraction of the time.
    if matches!(text.len(), 1..=EXACT_DIGITS) && text.iter().all(u8::is_ascii_digit) {
        let whole = text.iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
        return Some(whole as f64);
    }
    let number = parse_any_float(text)?;
    let is_out_of_range = number.is_infinite() && !is_infinity(text) || number == 0.0 && has_value(text);
    (!is_out_of_range).then_some(number)
}

/// A float as `strtod` reads it, without surrounding space; `inf` and `infinity` in any case; never NaN. What is too
/// large is infinite, what is too small 0.
pub fn parse_any_float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some((is_negative, digits)) = hexadecimal(text) {
        return parse_hexadecimal(digits).map(|number| if is_negative { -number } else { number });
    }
    text.parse::<f64>().ok().filter(|number| !number.is_nan())
}

/// True for the word, not for a number that is too large. In the word there is no digit.
pub fn is_infinity(text: &[u8]) -> bool {
    !text.iter().any(u8::is_ascii_digit)
}

/// True when the number that a text is has a digit other than 0 before its exponent.
pub fn has_value(text: &[u8]) -> bool {
    let is_hexadecimal = std::str::from_utf8(text).is_ok_and(|text| hexadecimal(text).is_some());
    let exponent: &[u8] = if is_hexadecimal { b"pP" } else { b"eE" };
    let digits = text.iter().take_while(|byte| !exponent.contains(byte));
    digits.filter(|byte| byte.is_ascii_hexdigit()).any(|digit| *digit != b'0')
}

/// What stands behind `0x`, and whether a minus stands before it.
fn hexadecimal(text: &str) -> Option<(bool, &str)> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"))?;
    Some((is_negative, digits))
}

/// So many bits of a number in base 16 are kept; of the rest only whether there is any.
const HEXADECIMAL_BITS: u32 = 64;
/// Exponents beyond this are as good as infinite, whatever the digits are that fit in a request.
const EXPONENT_MAX: i64 = 1 << 40;

/// `1F`, `1.8` or `1p-3`: digits in base 16, and an exponent of 2.
fn parse_hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P']).unwrap_or((text, "0"));
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + part.len() == 0 {
        return None;
    }
    let mut exponent = parse_exponent(exponent)?;
    let mut bits: u64 = 0;
    for (place, digit) in whole.bytes().chain(part.bytes()).enumerate() {
        let digit = u64::from(char::from(digit).to_digit(16)?);
        let is_part = place >= whole.len();
        if bits >> (HEXADECIMAL_BITS - 4) == 0 {
            bits = bits << 4 | digit;
            exponent -= if is_part { 4 } else { 0 };
        } else {
            // Rounding has to know of what is beyond, and no more.
            bits |= u64::from(digit > 0);
            exponent += if is_part { 0 } else { 4 };
        }
    }
    let mut number = bits as f64;
    // In steps that are exact: no power of two that a step needs is out of range.
    while exponent != 0 && number != 0.0 && number.is_finite() {
        let step = exponent.clamp(-1000, 1000);
        number *= 2_f64.powi(step as i32);
        exponent -= step;
    }
    Some(number)
}

/// A decimal exponent with or without a sign, cut at [`EXPONENT_MAX`].
fn parse_exponent(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] | digits => (1, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value =
        digits.iter().fold(0, |value, digit| (value * 10 + i64::from(digit - b'0')).min(EXPONENT_MAX));
    Some(sign * value)
}

/// The greatest exponent of 10, and the smallest, with which C's `long double` of x86 has a number.
const LONG_RANGE: std::ops::RangeInclusive<i64> = -4951..=4931;
/// The same of 2.
const LONG_RANGE_OF_2: std::ops::RangeInclusive<i64> = -16_446..=16_383;

/// True when a number that [`parse_any_float`] reads is within the range of a `long double`, in which Redis reads
/// timeouts and what INCRBYFLOAT adds.
pub fn is_long_double(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    if is_infinity(text.as_bytes()) || !has_value(text.as_bytes()) {
        return true;
    }
    let (digits, marks, of_digit, range) = match hexadecimal(text) {
        Some((_, digits)) => (digits, ['p', 'P'], 4, LONG_RANGE_OF_2),
        None => (text.trim_start_matches(['-', '+']), ['e', 'E'], 1, LONG_RANGE),
    };
    let (mantissa, exponent) = digits.split_once(marks).unwrap_or((digits, "0"));
    let point = mantissa.find('.').unwrap_or(mantissa.len());
    // The place of the first digit that is not 0, counted from the point; the point itself takes one.
    let first = mantissa.find(|digit| !matches!(digit, '0' | '.')).unwrap_or(0);
    let place = if first < point { point - first - 1 } else { first - point } as i64;
    let place = if first < point { place } else { -place };
    parse_exponent(exponent).is_some_and(|exponent| range.contains(&(exponent + place * of_digit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_the_floats_that_their_text_says() {
        for text in
            ["0", "007", "999999999999999", "9999999999999999", "1764000000000", "18446744073709551616"]
        {
            assert_eq!(parse_float(text.as_bytes()), text.parse().ok(), "{text}");
        }
        assert_eq!([b"".as_slice(), b"1x", b"-", b"nan"].map(parse_float), [None; 4]);
    }

    #[test]
    fn what_a_float_cannot_hold_is_none() {
        for text in ["1e400", "-1e400", "1e-400", "-1e-400", "1e5000", "1e-5000", "0x1p5000", "0x1p-1080"] {
            assert_eq!(parse_float(text.as_bytes()), None, "{text}");
            let number = parse_any_float(text.as_bytes()).expect("strtod reads it");
            assert!(number == 0.0 || number.is_infinite(), "{text}");
        }
        for (text, number) in [
            ("4.9e-324", 5e-324),
            ("0e-999999", 0.0),
            ("0x0p-5000", 0.0),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(parse_float(text.as_bytes()), Some(number), "{text}");
        }
    }

    #[test]
    fn base_16_is_read_with_fractions_and_exponents() {
        for (text, number) in [
            ("0x1p3", 8.0),
            ("-0X10", -16.0),
            ("0x1.8", 1.5),
            ("0x.8p+1", 1.0),
            ("0x1p-1074", 5e-324),
            ("0x1.fffffffffffffp1023", f64::MAX),
            ("0x100000000000008000000000000001", 2_f64.powi(116) * 1.000_000_000_000_000_2),
            ("0x0.00000000000000000000000001p100", 2_f64.powi(-4)),
        ] {
            assert_eq!(parse_float(text.as_bytes()), Some(number), "{text}");
        }
        for text in ["0x", "0x.", "0xp1", "0x1p", "0x1p1.5", "0x1.1.1", "0xg", "0x-1", "0x 1"] {
            assert_eq!(parse_float(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_long_double_has_more_room() {
        for text in
            ["1e400", "1e-400", "12345e4927", "0.001e4934", "0x1p16383", "inf", "0", "0e99999", "1e-4951"]
        {
            assert!(is_long_double(text.as_bytes()), "{text}");
        }
        for text in ["1e5000", "-1e5000", "1e-5000", "12345e4928", "0.001e-4949", "0x1p16384", "0x10p16380"] {
            assert!(!is_long_double(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn integers_are_read_strictly() {
        for (text, value) in [
            ("0", Some(0)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775807", Some(i64::MAX)),
        ] {
            assert_eq!(parse_integer(text.as_bytes()), value);
        }
        for text in
            ["", "-", "-0", "01", "+1", " 1", "1 ", "9223372036854775808", "99999999999999999999", "1a"]
        {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text:?}");
        }
    }
}
