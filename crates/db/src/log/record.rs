//! One record of the log: a command as an array of bulk strings.

/// The most arguments of a record; as of a request.
const ARGS_MAX: usize = 1 << 20;
/// The longest argument; as of a request.
const ARG_BYTES_MAX: usize = 512 << 20;
/// The longest header line, line end included: a mark, ten digits at the most, CR LF.
const HEADER_BYTES_MAX: usize = 16;

/// What [`parse`] found at the start of the bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A whole record; its length in bytes.
    Record(usize),
    /// The start of a record.
    Part,
    /// No record; why.
    Malformed(&'static str),
}

/// Reads the record at the start of `bytes` and leaves its arguments in `args`, a list that is used again, so that
/// a replay does not make one for each record.
pub fn parse<'a>(bytes: &'a [u8], args: &mut Vec<&'a [u8]>) -> Parsed {
    args.clear();
    let mut at = 0;
    let count = match header(bytes, &mut at, b'*', ARGS_MAX) {
        Ok(count) => count,
        Err(stop) => return stop,
    };
    if count == 0 {
        return Parsed::Malformed("a record has no argument");
    }
    for _ in 0..count {
        let length = match header(bytes, &mut at, b'$', ARG_BYTES_MAX) {
            Ok(length) => length,
            Err(stop) => return stop,
        };
        let Some(arg) = bytes.get(at..at + length) else { return Parsed::Part };
        match bytes.get(at + length..at + length + 2) {
            Some(b"\r\n") => {}
            Some(_) => return Parsed::Malformed("an argument does not end where its length says"),
            None => return Parsed::Part,
        }
        args.push(arg);
        at += length + 2;
    }
    Parsed::Record(at)
}

/// Reads `<mark><number>\r\n` at `at` and moves `at` behind it.
fn header(bytes: &[u8], at: &mut usize, mark: u8, max: usize) -> Result<usize, Parsed> {
    let rest = &bytes[*at..];
    match rest.first() {
        None => return Err(Parsed::Part),
        Some(byte) if *byte != mark => return Err(Parsed::Malformed("a record does not have its marks")),
        Some(_) => {}
    }
    let window = &rest[..rest.len().min(HEADER_BYTES_MAX)];
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        let is_part = rest.len() < HEADER_BYTES_MAX;
        return Err(if is_part { Parsed::Part } else { Parsed::Malformed("a length has no end") });
    };
    let number = window[1..end]
        .strip_suffix(b"\r")
        .and_then(decimal)
        .filter(|number| *number <= max)
        .ok_or(Parsed::Malformed("a length is not a number or is too large"))?;
    *at += end + 1;
    Ok(number)
}

/// A number in plain digits, of which a header line has room for few. A log has one for each word: reading them by way
/// of a text took a sixth of a replay.
fn decimal(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_usize, |number, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit <= 9).then(|| number * 10 + usize::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_of_a_record_is_a_part_of_it() {
        let mut bytes = Vec::new();
        windlass_resp::encode_command(&[b"SET", b"k", b"a\r\nb"], &mut bytes);
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end], &mut Vec::new()), Parsed::Part, "at {end}");
        }
        let mut args: Vec<&[u8]> = vec![b"of", b"the", b"record", b"before"];
        assert_eq!(parse(&bytes, &mut args), Parsed::Record(bytes.len()));
        assert_eq!(args, [b"SET".as_slice(), b"k", b"a\r\nb"]);
    }

    #[test]
    fn what_is_not_a_record_is_told_so() {
        for bytes in [
            "x",
            "*0\r\n",
            "*-1\r\n",
            "*1\r\n:1\r\n",
            "*1\r\n$1\r\nabc",
            "*99999999\r\n",
            "*1\n",
            "*11111111111111111",
        ] {
            assert!(matches!(parse(bytes.as_bytes(), &mut Vec::new()), Parsed::Malformed(_)), "{bytes:?}");
        }
    }
}
