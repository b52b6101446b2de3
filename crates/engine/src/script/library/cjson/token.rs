//! The tokens of JSON, read as leniently as Lua CJSON reads them.

use std::borrow::Cow;

/// A token, with its value when it has one.
pub enum Token<'a> {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    String(Cow<'a, [u8]>),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Error(&'static str),
}

impl Token<'_> {
    /// What errors call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ObjectBegin => "T_OBJ_BEGIN",
            Self::ObjectEnd => "T_OBJ_END",
            Self::ArrayBegin => "T_ARR_BEGIN",
            Self::ArrayEnd => "T_ARR_END",
            Self::String(_) => "T_STRING",
            Self::Number(_) => "T_NUMBER",
            Self::Boolean(_) => "T_BOOLEAN",
            Self::Null => "T_NULL",
            Self::Colon => "T_COLON",
            Self::Comma => "T_COMMA",
            Self::End => "T_END",
            Self::Error(reason) => reason,
        }
    }
}

pub struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    start: usize,
    takes_invalid: bool,
}

impl<'a> Lexer<'a> {
    /// `takes_invalid`: whether numbers that JSON does not have are read.
    pub fn new(text: &'a [u8], takes_invalid: bool) -> Self {
        Self { text, at: 0, start: 0, takes_invalid }
    }

    /// Where reading is.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Where the last token began, or where in it the error is.
    pub fn token_start(&self) -> usize {
        self.start
    }

    pub fn next(&mut self) -> Token<'a> {
        while matches!(self.peek(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.start = self.at;
        let token = match self.peek(0) {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b',' => Token::Comma,
            b':' => Token::Colon,
            0 => return Token::End,
            b'"' => return self.string(),
            b'-' | b'0'..=b'9' if !self.takes_invalid && self.is_invalid_number() => {
                return Token::Error("invalid number");
            }
            b'-' | b'0'..=b'9' => return self.number(),
            _ => return self.word(),
        };
        self.at += 1;
        token
    }

    /// The byte so far ahead; zero at the end, as in a string of C.
    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn word(&mut self) -> Token<'a> {
        let rest = &self.text[self.at..];
        for (word, token) in
            [("true", Token::Boolean(true)), ("false", Token::Boolean(false)), ("null", Token::Null)]
        {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                return token;
            }
        }
        if self.takes_invalid && self.is_invalid_number() {
            return self.number();
        }
        Token::Error("invalid token")
    }

    fn number(&mut self) -> Token<'a> {
        match number_prefix(&self.text[self.at..]) {
            Some((number, length)) => {
                self.at += length;
                Token::Number(number)
            }
            None => Token::Error("invalid number"),
        }
    }

    /// True for what C reads as a number and JSON does not have.
    fn is_invalid_number(&self) -> bool {
        let rest = &self.text[self.at..];
        let rest = match rest {
            [b'+', ..] => return true,
            [b'-', rest @ ..] => rest,
            rest => rest,
        };
        match rest {
            [b'0', b'x' | b'X' | b'0'..=b'9', ..] => true,
            [first, ..] if *first <= b'9' => false,
            rest => rest
                .get(..3)
                .is_some_and(|word| word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"nan")),
        }
    }

    fn string(&mut self) -> Token<'a> {
        self.at += 1;
        let begin = self.at;
        let plain = self.text[begin..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0));
        let length = plain.unwrap_or(self.text.len() - begin);
        self.at += length;
        if self.peek(0) == b'"' {
            self.at += 1;
            return Token::String(Cow::Borrowed(&self.text[begin..begin + length]));
        }
        let mut bytes = self.text[begin..self.at].to_vec();
        loop {
            match self.peek(0) {
                b'"' => {
                    self.at += 1;
                    return Token::String(Cow::Owned(bytes));
                }
                0 => return self.fail("unexpected end of string"),
                b'\\' => {
                    if let Err(reason) = self.escape(&mut bytes) {
                        return self.fail(reason);
                    }
                }
                byte => {
                    bytes.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    fn fail(&mut self, reason: &'static str) -> Token<'a> {
        self.start = self.at;
        Token::Error(reason)
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), &'static str> {
        let byte = match self.peek(1) {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 0x08,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 0x0c,
            b'r' => b'\r',
            b'u' => {
                let (character, length) = self.unicode().ok_or("invalid unicode escape code")?;
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                self.at += length;
                return Ok(());
            }
            _ => return Err("invalid escape code"),
        };
        bytes.push(byte);
        self.at += 2;
        Ok(())
    }

    /// The character of the escape that reading is at, and the escape's length: twelve for a surrogate pair.
    fn unicode(&self) -> Option<(char, usize)> {
        let high = self.digits(2)?;
        if !(0xd800..=0xdfff).contains(&high) {
            return Some((char::from_u32(high)?, 6));
        }
        if high >= 0xdc00 || self.peek(6) != b'\\' || self.peek(7) != b'u' {
            return None;
        }
        let low = self.digits(8).filter(|low| (0xdc00..=0xdfff).contains(low))?;
        Some((char::from_u32(0x1_0000 + ((high & 0x3ff) << 10 | (low & 0x3ff)))?, 12))
    }

    fn digits(&self, ahead: usize) -> Option<u32> {
        (ahead..ahead + 4)
            .try_fold(0, |number, ahead| Some(number << 4 | char::from(self.peek(ahead)).to_digit(16)?))
    }
}

/// The longest beginning that C's `strtod` reads, and its length.
fn number_prefix(text: &[u8]) -> Option<(f64, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let factor = if text.first() == Some(&b'-') { -1.0 } else { 1.0 };
    let rest = &text[sign..];
    let begins =
        |word: &str| rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()));
    for (word, number) in [("infinity", f64::INFINITY), ("inf", f64::INFINITY), ("nan", f64::NAN)] {
        if begins(word) {
            return Some((factor * number, sign + word.len()));
        }
    }
    if begins("0x") && rest.get(2).is_some_and(u8::is_ascii_hexdigit) {
        let digits = rest[2..].iter().take_while(|byte| byte.is_ascii_hexdigit());
        let (number, count) = digits.fold((0.0, 0), |(number, count), digit| {
            (number * 16.0 + f64::from(char::from(*digit).to_digit(16).unwrap_or(0)), count + 1)
        });
        return Some((factor * number, sign + 2 + count));
    }
    let digits =
        |from: usize| rest.get(from..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count();
    let whole = digits(0);
    let mut length = whole;
    if rest.get(whole) == Some(&b'.') {
        let fraction = digits(whole + 1);
        if whole + fraction > 0 {
            length = whole + 1 + fraction;
        }
    }
    if length == 0 {
        return None;
    }
    if matches!(rest.get(length), Some(b'e' | b'E')) {
        let exponent_sign = usize::from(matches!(rest.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits(length + 1 + exponent_sign);
        if exponent > 0 {
            length += 1 + exponent_sign + exponent;
        }
    }
    let text = std::str::from_utf8(&rest[..length]).ok()?;
    text.parse().ok().map(|number: f64| (factor * number, sign + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_far_as_they_go() {
        for (text, number, length) in [
            ("1 2", 1.0, 1),
            ("-1.5e3,", -1500.0, 6),
            ("1.", 1.0, 2),
            ("1e", 1.0, 1),
            ("1e+", 1.0, 1),
            ("0x10]", 16.0, 4),
            ("0xg", 0.0, 1),
            ("+5", 5.0, 2),
            ("-Infinity", f64::NEG_INFINITY, 9),
        ] {
            assert_eq!(number_prefix(text.as_bytes()), Some((number, length)), "{text}");
        }
        assert_eq!(number_prefix(b"-"), None);
        assert_eq!(number_prefix(b""), None);
    }
}
