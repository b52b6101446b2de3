//! Bytes to commands: an incremental decoder of requests, multibulk and inline.
//!
//! A request is never built as a tree: the decoder remembers where each argument lies in the caller's buffer. It
//! reserves memory for what has arrived only, never for what a length announces. The limits and the texts of the
//! errors are Redis's; a new limit gets a field in [`Limits`] and a variant of [`ProtocolError`].

use std::ops::Range;

use crate::inline;

/// The longest inline request and the longest line that announces a length, in bytes.
pub const LINE_MAX: usize = 64 * 1024;

/// Memory for so many arguments, and for lines of so many bytes, is kept from one request to the next.
const ARGS_KEPT: usize = 64;
const INLINE_KEPT: usize = 1024;

/// How large a request may be.
///
/// ```
/// use windlass_resp::Limits;
///
/// assert!(Limits::BEFORE_AUTH.args_max < Limits::DEFAULT.args_max);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most arguments, the name of the command included.
    pub args_max: usize,
    /// The longest argument in bytes.
    pub bulk_max: usize,
    /// True while the client has not given the password: the errors then name that as the reason.
    pub is_before_auth: bool,
}

impl Limits {
    /// As many arguments as Redis counts, of 512 MB. What of them is kept grows with what has arrived.
    pub const DEFAULT: Self =
        Self { args_max: i32::MAX as usize, bulk_max: 512 * 1024 * 1024, is_before_auth: false };
    /// 10 arguments of 16 KB: enough to give a password, too little to fill the memory of a server.
    pub const BEFORE_AUTH: Self = Self { args_max: 10, bulk_max: 16 * 1024, is_before_auth: true };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Bytes that are no request. The connection is closed after the error has been answered, because nobody can tell
/// where the next request begins.
///
/// ```
/// let error = windlass_resp::ProtocolError::InvalidBulkLength;
/// assert_eq!(error.to_string(), "Protocol error: invalid bulk length");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The number of arguments is no number, or too large.
    #[error("Protocol error: invalid multibulk length")]
    InvalidMultibulkLength,
    /// More arguments than a client without the password may send.
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedMultibulkLength,
    /// An argument does not begin with `$`.
    #[error("Protocol error: expected '$', got '{}'", char::from(*.0))]
    ExpectedBulk(u8),
    /// The length of an argument is no number, negative or too large.
    #[error("Protocol error: invalid bulk length")]
    InvalidBulkLength,
    /// A longer argument than a client without the password may send.
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulkLength,
    /// An inline request without an end.
    #[error("Protocol error: too big inline request")]
    InlineTooBig,
    /// The line that gives the number of arguments has no end.
    #[error("Protocol error: too big mbulk count string")]
    MultibulkCountTooBig,
    /// The line that gives the length of an argument has no end.
    #[error("Protocol error: too big bulk count string")]
    BulkCountTooBig,
    /// A quote of an inline request is not closed, or closed in the middle of a word.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
}

/// Finds the commands in a stream of bytes.
///
/// ```
/// use windlass_resp::{Decoder, Limits};
///
/// let bytes = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n";
/// let mut decoder = Decoder::default();
/// let length = decoder.decode(bytes, Limits::DEFAULT)?.expect("the first command is complete");
/// assert_eq!(decoder.args(bytes).collect::<Vec<_>>(), [&b"GET"[..], b"k"]);
/// let length = decoder.decode(&bytes[length..], Limits::DEFAULT)?.expect("and the second");
/// assert_eq!(length, 6);
/// # Ok::<(), windlass_resp::ProtocolError>(())
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
    /// Where to go on, counted from the start of the request.
    position: usize,
    /// Up to where the end of the current line was looked for in vain.
    searched: usize,
    /// Arguments as ranges of the buffer, or of `inline` for an inline request.
    args: Vec<Range<usize>>,
    /// The unquoted arguments of an inline request, one after the other.
    inline: Vec<u8>,
    is_inline: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// Between two requests.
    #[default]
    Start,
    /// Before the length of an argument; so many are left.
    BulkLength { left: usize },
    /// Before the content of an argument; so many are left, this one included.
    Bulk { left: usize, length: usize },
    /// A command is complete and the caller uses its arguments.
    Complete,
}

impl Decoder {
    /// Goes on with the request at the start of `buffer`. Once it is complete, gives its length in bytes: the caller
    /// uses [`Decoder::args`] with the same bytes and then calls again with those behind the request.
    ///
    /// While a request is incomplete, each call's `buffer` begins with the bytes of the one before. Requests without
    /// arguments are skipped. O(the bytes not looked at before).
    ///
    /// # Errors
    /// When the bytes are no request or go beyond `limits`; the decoder is then of no further use.
    pub fn decode(&mut self, buffer: &[u8], limits: Limits) -> Result<Option<usize>, ProtocolError> {
        loop {
            match self.state {
                State::Complete => {
                    self.begin_line(0);
                    self.args.clear();
                    self.is_inline = false;
                    self.state = State::Start;
                }
                State::Start => {
                    if let Some(end) = self.whole(buffer, limits) {
                        return Ok(Some(end));
                    }
                    let Some(first) = buffer.get(self.position) else { return Ok(None) };
                    let is_ready = if *first == b'*' {
                        self.multibulk_length(buffer, limits)?
                    } else {
                        self.inline(buffer)?
                    };
                    if !is_ready {
                        return Ok(None);
                    }
                }
                State::BulkLength { left: 0 } => {
                    self.state = State::Complete;
                    return Ok(Some(self.position));
                }
                State::BulkLength { left } => {
                    if !self.bulk_length(buffer, left, limits)? {
                        return Ok(None);
                    }
                }
                State::Bulk { left, length } => {
                    // The two bytes behind an argument are not looked at, as in Redis.
                    let end = self.position + length;
                    if buffer.len() < end + 2 {
                        return Ok(None);
                    }
                    self.args.push(self.position..end);
                    self.begin_line(end + 2);
                    self.state = State::BulkLength { left: left - 1 };
                }
            }
        }
    }

    /// The arguments of the command that [`Decoder::decode`] just found in `buffer`.
    ///
    /// # Panics
    /// When `buffer` is shorter than the one that was decoded.
    pub fn args<'a>(&'a self, buffer: &'a [u8]) -> impl ExactSizeIterator<Item = &'a [u8]> {
        let bytes = if self.is_inline { &self.inline } else { buffer };
        self.args.iter().map(|range| &bytes[range.clone()])
    }

    /// Where the arguments of that command stand in the buffer; of a line of words they stand elsewhere, and none is
    /// given.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = Range<usize>> {
        let given = if self.is_inline { &[][..] } else { &self.args };
        given.iter().cloned()
    }

    /// True when the command that [`Decoder::decode`] just found was a line of words.
    pub fn is_inline(&self) -> bool {
        self.is_inline
    }

    /// Gives back the memory that only a request with very many arguments needed. For who is done with the request.
    pub fn shrink(&mut self) {
        if self.args.capacity() > ARGS_KEPT || self.inline.capacity() > INLINE_KEPT {
            *self = Self::default();
        }
    }

    /// How many bytes the request at the start of the buffer needs before the next call can go on, if known: a caller
    /// can read so much at once.
    pub fn needed(&self) -> Option<usize> {
        match self.state {
            State::Bulk { length, .. } => Some(self.position + length + 2),
            _ => None,
        }
    }

    /// Reads a request as nearly all of them are, whole and with short lengths; answers where it ends. Of anything else
    /// it answers none and has changed nothing: line by line the same bytes take four times as long.
    fn whole(&mut self, buffer: &[u8], limits: Limits) -> Option<usize> {
        if *buffer.get(self.position)? != b'*' {
            return None;
        }
        let (count, mut position) = short_line(buffer, self.position + 1)?;
        if count == 0 || count > limits.args_max {
            return None;
        }
        for _ in 0..count {
            let arg = match buffer.get(position) {
                Some(b'$') => short_line(buffer, position + 1),
                _ => None,
            };
            let arg = arg
                .filter(|(length, start)| *length <= limits.bulk_max && buffer.len() - start >= length + 2);
            let Some((length, start)) = arg else {
                self.args.clear();
                return None;
            };
            self.args.push(start..start + length);
            position = start + length + 2;
        }
        self.begin_line(position);
        self.state = State::Complete;
        Some(position)
    }

    /// Reads the line `*count`; false when it is not complete.
    fn multibulk_length(&mut self, buffer: &[u8], limits: Limits) -> Result<bool, ProtocolError> {
        let Some(line) = self.line(buffer, ProtocolError::MultibulkCountTooBig)? else { return Ok(false) };
        let count =
            integer(&buffer[line.start + 1..line.end]).ok_or(ProtocolError::InvalidMultibulkLength)?;
        self.begin_line(line.end + 2);
        let Ok(count) = usize::try_from(count) else { return Ok(true) };
        if count > limits.args_max {
            return Err(if limits.is_before_auth && count <= Limits::DEFAULT.args_max {
                ProtocolError::UnauthenticatedMultibulkLength
            } else {
                ProtocolError::InvalidMultibulkLength
            });
        }
        if count > 0 {
            self.state = State::BulkLength { left: count };
        }
        Ok(true)
    }

    /// Reads the line `$length`; false when it is not complete.
    fn bulk_length(&mut self, buffer: &[u8], left: usize, limits: Limits) -> Result<bool, ProtocolError> {
        let Some(line) = self.line(buffer, ProtocolError::BulkCountTooBig)? else { return Ok(false) };
        let mark = buffer[line.start];
        if mark != b'$' {
            return Err(ProtocolError::ExpectedBulk(mark));
        }
        let length = integer(&buffer[line.start + 1..line.end])
            .and_then(|length| usize::try_from(length).ok())
            .filter(|length| *length <= Limits::DEFAULT.bulk_max)
            .ok_or(ProtocolError::InvalidBulkLength)?;
        if length > limits.bulk_max {
            return Err(if limits.is_before_auth {
                ProtocolError::UnauthenticatedBulkLength
            } else {
                ProtocolError::InvalidBulkLength
            });
        }
        self.position = line.end + 2;
        self.state = State::Bulk { left, length };
        Ok(true)
    }

    /// Reads an inline request; false when its line is not complete.
    fn inline(&mut self, buffer: &[u8]) -> Result<bool, ProtocolError> {
        let searchable = &buffer[..buffer.len().min(self.position + LINE_MAX + 1)];
        let Some(end) = memchr::memchr(b'\n', &searchable[self.searched..]).map(|at| at + self.searched)
        else {
            self.searched = searchable.len();
            let is_endless = searchable.len() - self.position > LINE_MAX;
            return if is_endless { Err(ProtocolError::InlineTooBig) } else { Ok(false) };
        };
        let line = &buffer[self.position..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.inline.clear();
        inline::split(line, &mut self.inline, &mut self.args).ok_or(ProtocolError::UnbalancedQuotes)?;
        self.begin_line(end + 1);
        if !self.args.is_empty() {
            self.is_inline = true;
            self.state = State::BulkLength { left: 0 };
        }
        Ok(true)
    }

    /// The line at the position without its end; none while the end has not arrived.
    fn line(&mut self, buffer: &[u8], too_big: ProtocolError) -> Result<Option<Range<usize>>, ProtocolError> {
        let searchable = &buffer[..buffer.len().min(self.position + LINE_MAX + 1)];
        let Some(end) = memchr::memchr(b'\r', &searchable[self.searched..]).map(|at| at + self.searched)
        else {
            self.searched = searchable.len();
            return if searchable.len() - self.position > LINE_MAX { Err(too_big) } else { Ok(None) };
        };
        self.searched = end;
        Ok((buffer.len() >= end + 2).then_some(self.position..end))
    }

    fn begin_line(&mut self, position: usize) {
        self.position = position;
        self.searched = position;
    }
}

/// The most digits of a length that is read at once.
const SHORT_DIGITS: usize = 4;

/// A short number and where the line behind it begins; none for anything else, a line that is not complete included.
fn short_line(buffer: &[u8], start: usize) -> Option<(usize, usize)> {
    let mut number = 0;
    for (place, byte) in buffer.get(start..)?.iter().enumerate().take(SHORT_DIGITS + 1) {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            // A leading zero is an error, which the longer way knows.
            if number == 0 && place > 0 {
                return None;
            }
            number = number * 10 + usize::from(digit);
        } else {
            let end = start + place;
            return (*byte == b'\r' && place > 0 && buffer.len() >= end + 2).then_some((number, end + 2));
        }
    }
    None
}

/// So many digits are no number that is too large.
const DIGITS_SAFE: usize = 18;

/// A number as Redis reads one in a header: no plus sign, no leading zeros, nothing around it.
fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_plain =
        digits.iter().all(u8::is_ascii_digit) && (digits[..] != *b"0" || digits.len() == text.len());
    if !is_plain || digits.is_empty() || (digits.len() > 1 && digits[0] == b'0') {
        return None;
    }
    if digits.len() > DIGITS_SAFE {
        return std::str::from_utf8(text).ok()?.parse().ok();
    }
    let size = digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
    Some(if digits.len() == text.len() { size } else { -size })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Commands = Vec<Vec<Vec<u8>>>;

    /// Feeds `bytes` in pieces that end at `cuts` and gives the commands, the error that ended them, and how many
    /// bytes were left over.
    fn decode_in_pieces(
        bytes: &[u8],
        cuts: &[usize],
        limits: Limits,
    ) -> (Commands, Option<ProtocolError>, usize) {
        let (mut decoder, mut commands, mut start) = (Decoder::default(), Commands::new(), 0);
        for end in cuts.iter().copied().chain([bytes.len()]) {
            loop {
                match decoder.decode(&bytes[start..end], limits) {
                    Ok(Some(length)) => {
                        commands.push(decoder.args(&bytes[start..end]).map(<[u8]>::to_vec).collect());
                        start += length;
                    }
                    Ok(None) => break,
                    Err(error) => return (commands, Some(error), bytes.len() - start),
                }
            }
        }
        (commands, None, bytes.len() - start)
    }

    fn error_of(bytes: &[u8], limits: Limits) -> String {
        decode_in_pieces(bytes, &[], limits).1.map_or_else(|| "none".into(), |error| error.to_string())
    }

    #[test]
    fn malformed_requests_have_the_errors_of_redis() {
        let long = |start: &str| [start.as_bytes(), &vec![b'1'; LINE_MAX + 1]].concat();
        let cases: &[(&[u8], &str)] = &[
            (b"*x\r\n", "Protocol error: invalid multibulk length"),
            (b"*2147483648\r\n", "Protocol error: invalid multibulk length"),
            (b"*99999999999999999999\r\n", "Protocol error: invalid multibulk length"),
            (b"*+1\r\n", "Protocol error: invalid multibulk length"),
            (b"*01\r\n", "Protocol error: invalid multibulk length"),
            (b"*\r\n", "Protocol error: invalid multibulk length"),
            (b"*1\r\nPING\r\n", "Protocol error: expected '$', got 'P'"),
            (b"*1\r\n:4\r\n", "Protocol error: expected '$', got ':'"),
            (b"*1\r\n$-1\r\n", "Protocol error: invalid bulk length"),
            (b"*1\r\n$x\r\n", "Protocol error: invalid bulk length"),
            (b"*1\r\n$536870913\r\n", "Protocol error: invalid bulk length"),
            (b"GET \"k\r\n", "Protocol error: unbalanced quotes in request"),
            (b"GET 'k'x\r\n", "Protocol error: unbalanced quotes in request"),
            (&long(""), "Protocol error: too big inline request"),
            (&long("*"), "Protocol error: too big mbulk count string"),
            (&long("*1\r\n$"), "Protocol error: too big bulk count string"),
        ];
        for (bytes, text) in cases {
            assert_eq!(error_of(bytes, Limits::DEFAULT), *text, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_client_without_the_password_gets_smaller_limits() {
        let limits = Limits::BEFORE_AUTH;
        assert_eq!(error_of(b"*11\r\n", limits), "Protocol error: unauthenticated multibulk length");
        assert_eq!(error_of(b"*1\r\n$16385\r\n", limits), "Protocol error: unauthenticated bulk length");
        assert_eq!(error_of(b"*10\r\n$16384\r\n", limits), "none");
    }

    #[test]
    fn requests_without_arguments_are_skipped() {
        let bytes = b"\r\n*0\r\n*-1\r\n   \r\n\nPING\r\n";
        let (commands, error, left) = decode_in_pieces(bytes, &[], Limits::DEFAULT);
        assert_eq!((commands, error, left), (vec![vec![b"PING".to_vec()]], None, 0));
    }

    #[test]
    fn an_announced_length_reserves_nothing() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.decode(b"*1048576\r\n$536870912\r\nx", Limits::DEFAULT), Ok(None));
        assert_eq!(decoder.args.capacity(), 0);
        assert_eq!(decoder.needed(), Some(10 + 12 + 536_870_912 + 2));
    }

    fn encoded(commands: &Commands) -> Vec<u8> {
        let mut bytes = Vec::new();
        for command in commands {
            let args: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
            crate::encode_command(&args, &mut bytes);
        }
        bytes
    }

    fn commands() -> impl Strategy<Value = Commands> {
        let bytes = |lengths| prop::collection::vec(any::<u8>(), lengths);
        let arg = prop_oneof![4 => bytes(0..40), 1 => bytes(90..130)];
        prop::collection::vec(prop::collection::vec(arg, 1..6), 0..8)
    }

    /// Bytes that often begin like a request, so that every state is reached.
    fn noise() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"*2\r\n".to_vec()),
            Just(b"$3\r\nabc\r\n".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"SET \"a b\\x00\" 'c'\n".to_vec()),
            Just(b"*-1\r\n".to_vec()),
            Just(b"$-0\r\n".to_vec()),
            prop::collection::vec(any::<u8>(), 0..12),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    fn sorted_cuts(cuts: Vec<prop::sample::Index>, length: usize) -> Vec<usize> {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.index(length + 1)).collect();
        cuts.sort_unstable();
        cuts
    }

    proptest! {
        #[test]
        fn any_split_gives_the_commands_that_were_encoded(
            commands in commands(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let bytes = encoded(&commands);
            let cuts = sorted_cuts(cuts, bytes.len());
            prop_assert_eq!(decode_in_pieces(&bytes, &cuts, Limits::DEFAULT), (commands, None, 0));
        }

        #[test]
        fn any_split_of_any_bytes_means_the_same(
            bytes in noise(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let cuts = sorted_cuts(cuts, bytes.len());
            let (commands, error, _) = decode_in_pieces(&bytes, &[], Limits::DEFAULT);
            let (split_commands, split_error, _) = decode_in_pieces(&bytes, &cuts, Limits::DEFAULT);
            prop_assert_eq!((commands, error), (split_commands, split_error));
        }

        #[test]
        fn an_integer_is_one_that_prints_back_the_same(text in "-?[0-9]{0,21}") {
            let expected = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
            prop_assert_eq!(integer(text.as_bytes()), expected);
        }
    }
}
