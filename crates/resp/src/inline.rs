//! Inline requests: a line of words in the quoting of redis-cli, for people with telnet.

use std::ops::Range;

/// Splits `line` into words, appends their unquoted bytes to `out` and where each lies there to `words`. None when a
/// quote is not closed, or when a closing quote is not the end of its word.
///
/// Inside double quotes `\xHH`, `\n`, `\r`, `\t`, `\b` and `\a` are escapes and a backslash before anything else stands
/// for that; inside single quotes only `\'` is one. A zero byte ends the line, as it does in Redis.
pub fn split(line: &[u8], out: &mut Vec<u8>, words: &mut Vec<Range<usize>>) -> Option<()> {
    let mut rest = line.split(|byte| *byte == 0).next().unwrap_or_default();
    loop {
        rest = skip_space(rest);
        if rest.is_empty() {
            return Some(());
        }
        let start = out.len();
        rest = word(rest, out)?;
        words.push(start..out.len());
    }
}

/// Appends the word at the start of `rest` to `out` and gives what follows it.
fn word<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return Some(rest),
            [b' ' | b'\n' | b'\r' | b'\t', ..] => return Some(rest),
            [b'"', tail @ ..] => return end_of_word(double_quoted(tail, out)?),
            [b'\'', tail @ ..] => return end_of_word(single_quoted(tail, out)?),
            [byte, tail @ ..] => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, tail) = match rest {
            [] => return None,
            [b'"', tail @ ..] => return Some(tail),
            [b'\\', b'x', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (digit(*high) << 4 | digit(*low), tail)
            }
            [b'\\', escaped, tail @ ..] => (unescape(*escaped), tail),
            [byte, tail @ ..] => (*byte, tail),
        };
        out.push(byte);
        rest = tail;
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, tail) = match rest {
            [] => return None,
            [b'\'', tail @ ..] => return Some(tail),
            [b'\\', b'\'', tail @ ..] => (b'\'', tail),
            [byte, tail @ ..] => (*byte, tail),
        };
        out.push(byte);
        rest = tail;
    }
}

/// Only space may follow a closing quote.
fn end_of_word(rest: &[u8]) -> Option<&[u8]> {
    rest.first().is_none_or(|byte| is_space(*byte)).then_some(rest)
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

/// The value of a hexadecimal digit.
fn digit(byte: u8) -> u8 {
    char::from(byte).to_digit(16).map_or(0, |value| value as u8)
}

fn skip_space(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|byte| !is_space(*byte)).unwrap_or(line.len());
    &line[start..]
}

/// What C's `isspace` takes for space.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Option<Vec<String>> {
        let (mut out, mut ranges) = (Vec::new(), Vec::new());
        split(line.as_bytes(), &mut out, &mut ranges)?;
        Some(ranges.into_iter().map(|range| out[range].escape_ascii().to_string()).collect())
    }

    #[test]
    fn words_follow_the_quoting_of_redis_cli() {
        let cases: &[(&str, Option<&[&str]>)] = &[
            ("", Some(&[])),
            ("  GET \t k ", Some(&["GET", "k"])),
            (r#"SET k "a b""#, Some(&["SET", "k", "a b"])),
            (r#"SET k "" ''"#, Some(&["SET", "k", "", ""])),
            (r#""\x41\x00\n\q\"\\""#, Some(&[r#"A\x00\nq\"\\"#])),
            (r#""\xZZ""#, Some(&["xZZ"])),
            (r"'a\'b\n'", Some(&[r"a\'b\\n"])),
            (r#"pre"fix" x"#, Some(&["prefix", "x"])),
            ("a\0b", Some(&["a"])),
            (r#""a"b"#, None),
            (r"'a", None),
            (r#""a\"#, None),
            (r#""a"#, None),
        ];
        for (line, expected) in cases {
            let expected = expected.map(|list| list.iter().map(|word| (*word).to_owned()).collect());
            assert_eq!(words(line), expected, "{line}");
        }
    }
}
