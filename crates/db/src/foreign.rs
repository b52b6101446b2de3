//! Other protocols that were made to speak to a database: HTTP from a browser or a server that fetches what it is told
//! to, mail, TLS without an answer to it. Their later lines can be commands, so the connection ends at the first line.
//!
//! Clients of the database send requests as arrays. What is looked at here is the other form, one line of words, which
//! people type. To know one more protocol, add its mark below and a row to the test in `tests/foreign.rs`.

/// The first words of requests of which Redis knows that they are HTTP.
const HTTP_WORDS: [&[u8]; 2] = [b"POST", b"Host:"];
/// How the last word of a request line begins in HTTP and in protocols that follow it.
const VERSIONS: [&[u8]; 4] = [b"HTTP/", b"RTSP/", b"SIP/", b"ICAP/"];

/// True when one line of words belongs to another protocol; more is taken for that in the first line of a connection.
pub fn is_foreign(line: &[u8], words: &[&[u8]], is_first: bool) -> bool {
    let is_http = HTTP_WORDS.iter().any(|word| words[0].eq_ignore_ascii_case(word));
    let begins_as_version = |last: &&[u8]| {
        VERSIONS
            .iter()
            .any(|version| last.get(..version.len()).is_some_and(|start| start.eq_ignore_ascii_case(version)))
    };
    is_http
        || is_header(words[0])
        || words.last().is_some_and(begins_as_version)
        || has_control(line)
        || (is_first && gets_path(words))
}

/// True for the oldest form of HTTP, and for a newer one of which a broken line left this. It is also a command, but one
/// that nobody types at the beginning.
fn gets_path(words: &[&[u8]]) -> bool {
    matches!(words, [get, path, ..] if get.eq_ignore_ascii_case(b"GET") && path.starts_with(b"/"))
}

/// True for the name of a header; no command ends with a colon.
fn is_header(word: &[u8]) -> bool {
    word.ends_with(b":")
}

/// True for bytes that nobody types: the start of TLS, and of protocols that are not text.
fn has_control(line: &[u8]) -> bool {
    line.iter().any(|byte| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\r' | b'\n'))
}
