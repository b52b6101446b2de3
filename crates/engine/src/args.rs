//! The arguments of one command, and their parsing into types that cannot be wrong.

use crate::decimal::Decimal;
use crate::error::{Error, Result};
use crate::number::{parse_float, parse_integer};

/// The arguments of a command; the first is its name. The table has checked the arity before a command sees them.
#[derive(Clone, Copy)]
pub struct Args<'a>(pub &'a [&'a [u8]]);

impl<'a> Args<'a> {
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// The arguments from `index` on.
    pub fn from(self, index: usize) -> &'a [&'a [u8]] {
        self.0.get(index..).unwrap_or_default()
    }

    pub fn get(self, index: usize) -> Option<&'a [u8]> {
        self.0.get(index).copied()
    }

    /// The argument at `index`, or a syntax error where there is none: an option lacks its value.
    pub fn expect(self, index: usize) -> Result<&'a [u8]> {
        self.get(index).ok_or(Error::SYNTAX)
    }

    /// True when the argument at `index` is `word` in any case; `word` is upper case.
    pub fn is(self, index: usize, word: &str) -> bool {
        self.get(index).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// The argument at `index` in upper case, as text, to be matched against words; empty when it is no word.
    pub fn word(self, index: usize) -> String {
        let arg = self.get(index).filter(|arg| arg.len() <= 32).unwrap_or_default();
        arg.iter().map(|byte| byte.to_ascii_uppercase() as char).collect()
    }

    pub fn integer(self, index: usize) -> Result<i64> {
        parse_integer(self.expect(index)?).ok_or(Error::NOT_INTEGER)
    }

    pub fn float(self, index: usize) -> Result<f64> {
        parse_float(self.expect(index)?).ok_or(Error::NOT_FLOAT)
    }

    /// The number of one of so many databases.
    pub fn database(self, index: usize, count: usize) -> Result<usize> {
        let number = self.integer(index)?;
        if i32::try_from(number).is_err() {
            return Err(Error::new(
                "ERR value is out of range, value must between -2147483648 and 2147483647",
            ));
        }
        usize::try_from(number).ok().filter(|number| *number < count).ok_or(Error::DB_RANGE)
    }

    /// A count that must not be negative.
    pub fn count(self, index: usize) -> Result<usize> {
        usize::try_from(self.integer(index)?).map_err(|_| Error::NOT_POSITIVE)
    }

    /// The timeout of a blocking command at `index` in seconds, fractions allowed, as milliseconds; 0 is for ever.
    pub fn timeout_ms(self, index: usize) -> Result<u64> {
        let seconds = Decimal::parse(self.expect(index)?).ok_or(Error::TIMEOUT_NOT_FLOAT)?;
        // Redis takes what is too large for a negative number, and a moment before 0 for 0.
        let millis = seconds.ceil_thousands().and_then(|millis| u64::try_from(millis).ok());
        millis.ok_or(Error::TIMEOUT_NEGATIVE)
    }
}

impl<'a> std::ops::Index<usize> for Args<'a> {
    type Output = &'a [u8];

    fn index(&self, index: usize) -> &&'a [u8] {
        &self.0[index]
    }
}
