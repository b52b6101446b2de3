//! Values and commands to bytes.

use crate::Value;
use crate::double::format_double;

/// The version of the protocol that a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// The protocol of every client since Redis 2.0, the default of a connection.
    #[default]
    Resp2,
    /// The typed protocol, asked for with `HELLO 3`.
    Resp3,
}

/// Appends `value` to `out` in the given protocol.
///
/// ```
/// use windlass_resp::{Protocol, Value, encode};
///
/// let mut out = Vec::new();
/// encode(&Value::Nil, Protocol::Resp3, &mut out);
/// assert_eq!(out, b"_\r\n");
/// ```
pub fn encode(value: &Value, protocol: Protocol, out: &mut Vec<u8>) {
    let typed = protocol == Protocol::Resp3;
    match value {
        Value::Nil | Value::NilArray if typed => out.extend_from_slice(b"_\r\n"),
        Value::Nil => out.extend_from_slice(b"$-1\r\n"),
        Value::NilArray => out.extend_from_slice(b"*-1\r\n"),
        Value::Simple(text) => line(b'+', text.as_bytes(), out),
        Value::Error(text) => line(b'-', text.as_bytes(), out),
        Value::Integer(number) => header(b':', *number, out),
        Value::Double(number) if typed => line(b',', format_double(*number).as_bytes(), out),
        Value::Double(number) => bulk(format_double(*number).as_bytes(), out),
        Value::Boolean(yes) if typed => out.extend_from_slice(if *yes { b"#t\r\n" } else { b"#f\r\n" }),
        Value::Boolean(yes) => header(b':', i64::from(*yes), out),
        Value::Bulk(bytes) => bulk(bytes, out),
        Value::Verbatim(format, text) if typed => {
            header(b'=', length(text.len() + 4), out);
            out.extend_from_slice(format.as_bytes());
            out.push(b':');
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Value::Verbatim(_, text) => bulk(text.as_bytes(), out),
        Value::Array(items) => aggregate(b'*', items, protocol, out),
        Value::Set(items) => aggregate(if typed { b'~' } else { b'*' }, items, protocol, out),
        Value::Push(items) => aggregate(if typed { b'>' } else { b'*' }, items, protocol, out),
        Value::Head(len) => header(b'*', length(*len), out),
        Value::Map(pairs) => {
            let (mark, count) = if typed { (b'%', pairs.len()) } else { (b'*', pairs.len() * 2) };
            header(mark, length(count), out);
            for (key, value) in pairs {
                encode(key, protocol, out);
                encode(value, protocol, out);
            }
        }
    }
}

/// Appends a request, an array of bulk strings, to `out`: the form of a command on the wire and in the log.
///
/// ```
/// let mut out = Vec::new();
/// windlass_resp::encode_command(&[b"GET", b"k"], &mut out);
/// assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
/// ```
pub fn encode_command(args: &[&[u8]], out: &mut Vec<u8>) {
    // Each change of a store is one of these, and most of their lengths have few digits: what is between two arguments is
    // written as one word.
    match args.len() {
        count @ 0..=9 => out.extend_from_slice(&[b'*', b'0' + count as u8]),
        count => {
            out.push(b'*');
            out.extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
        }
    }
    for arg in args {
        let digit = |place| b'0' + (arg.len() / place % 10) as u8;
        match arg.len() {
            0..=9 => short([b'\r', b'\n', b'$', digit(1), b'\r', b'\n', 0, 0], 6, out),
            10..=99 => short([b'\r', b'\n', b'$', digit(10), digit(1), b'\r', b'\n', 0], 7, out),
            100..=999 => short([b'\r', b'\n', b'$', digit(100), digit(10), digit(1), b'\r', b'\n'], 8, out),
            len => {
                out.extend_from_slice(b"\r\n");
                header(b'$', length(len), out);
            }
        }
        out.extend_from_slice(arg);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the first bytes of a word.
#[inline]
fn short(word: [u8; 8], len: usize, out: &mut Vec<u8>) {
    let end = out.len() + len;
    out.extend_from_slice(&word);
    out.truncate(end);
}

fn aggregate(mark: u8, items: &[Value], protocol: Protocol, out: &mut Vec<u8>) {
    header(mark, length(items.len()), out);
    for item in items {
        encode(item, protocol, out);
    }
}

fn bulk(bytes: &[u8], out: &mut Vec<u8>) {
    header(b'$', length(bytes.len()), out);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Most numbers are lengths of one or two digits, which need no formatting.
#[inline]
fn header(mark: u8, number: i64, out: &mut Vec<u8>) {
    match u8::try_from(number) {
        Ok(number @ 0..=9) => out.extend_from_slice(&[mark, b'0' + number, b'\r', b'\n']),
        Ok(number @ 10..=99) => {
            out.extend_from_slice(&[mark, b'0' + number / 10, b'0' + number % 10, b'\r', b'\n']);
        }
        _ => line(mark, itoa::Buffer::new().format(number).as_bytes(), out),
    }
}

fn line(mark: u8, text: &[u8], out: &mut Vec<u8>) {
    out.push(mark);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

fn length(count: usize) -> i64 {
    i64::try_from(count).expect("nothing in memory is longer than i64::MAX")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_tells_the_number_and_the_lengths_of_its_arguments() {
        for len in [0, 1, 9, 10, 42, 99, 100, 507, 999, 1000, 12_345] {
            for count in [0, 1, 9, 10, 1000] {
                let arg = vec![b'x'; len];
                let mut out = b"before".to_vec();
                encode_command(&vec![arg.as_slice(); count], &mut out);
                let args = format!("${len}\r\n{}\r\n", "x".repeat(len)).repeat(count);
                assert_eq!(out, format!("before*{count}\r\n{args}").as_bytes());
            }
        }
    }
}
