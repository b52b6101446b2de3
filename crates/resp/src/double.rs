//! Floating-point numbers as C's `printf` writes them, which is how Redis 7.0 shows scores.

/// A number as Redis 7.0 writes a score: `%.17g`, integers without a point, `inf`, `-inf`, `nan`.
///
/// ```
/// assert_eq!(windlass_resp::format_double(0.1), "0.10000000000000001");
/// assert_eq!(windlass_resp::format_double(3.0), "3");
/// ```
pub fn format_double(number: f64) -> String {
    if number.is_nan() {
        return "nan".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf".into() } else { "-inf".into() };
    }
    if number == 0.0 {
        return if number.is_sign_negative() { "-0".into() } else { "0".into() };
    }
    if number.fract() == 0.0 && number.abs() < 1e17 {
        return itoa::Buffer::new().format(number as i64).to_owned();
    }
    format_general(number, 17)
}

/// C's `%.{precision}g` of a finite number: at most so many significant digits, trailing zeros dropped.
///
/// ```
/// assert_eq!(windlass_resp::format_general(1234567.0, 3), "1.23e+06");
/// ```
pub fn format_general(number: f64, precision: usize) -> String {
    let scientific = format!("{number:.*e}", precision - 1);
    let (mantissa, exponent) = scientific.split_once('e').expect("the e format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is an integer");
    if exponent < -4 || exponent >= precision as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim_zeros(mantissa), exponent.abs());
    }
    let decimals = (precision as i32 - 1 - exponent) as usize;
    trim_zeros(&format!("{number:.decimals$}")).to_owned()
}

fn trim_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_percent_17g() {
        for (number, text) in [
            (3.0, "3"),
            (0.1, "0.10000000000000001"),
            (1e20, "1e+20"),
            (1.5e-7, "1.4999999999999999e-07"),
            (-2.5, "-2.5"),
            (f64::INFINITY, "inf"),
            (1e16, "10000000000000000"),
        ] {
            assert_eq!(format_double(number), text);
        }
    }
}
