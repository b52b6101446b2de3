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

/// A float as `strtod` reads it, without surrounding space; `inf` and `infinity` in any case; never NaN.
pub fn parse_float(text: &[u8]) -> Option<f64> {
    // Scores mostly are times and counts. So few digits are a number without loss, and read in a fraction of the time.
    if matches!(text.len(), 1..=EXACT_DIGITS) && text.iter().all(u8::is_ascii_digit) {
        let whole = text.iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
        return Some(whole as f64);
    }
    let text = std::str::from_utf8(text).ok()?;
    if let Some(number) = parse_hexadecimal(text) {
        return Some(number);
    }
    text.parse::<f64>().ok().filter(|number| !number.is_nan())
}

/// `strtod` also reads `0x1F`; fractions and exponents in base 16 are not read.
fn parse_hexadecimal(text: &str) -> Option<f64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"))?;
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
    u64::from_str_radix(digits, 16).ok().map(|number| sign * number as f64)
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
