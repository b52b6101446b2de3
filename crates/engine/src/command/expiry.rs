//! When a key ends, as commands give it: relative or absolute, in seconds or milliseconds.

use crate::args::Args;
use crate::error::{Error, Result};
use crate::time::Time;

/// How a number says when a key ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    pub is_seconds: bool,
    pub is_absolute: bool,
}

impl Unit {
    pub const EX: Self = Self { is_seconds: true, is_absolute: false };
    pub const PX: Self = Self { is_seconds: false, is_absolute: false };
    pub const EXAT: Self = Self { is_seconds: true, is_absolute: true };
    pub const PXAT: Self = Self { is_seconds: false, is_absolute: true };

    /// The unit that an option of SET or GETEX names.
    pub fn of_option(word: &str) -> Option<Self> {
        match word {
            "EX" => Some(Self::EX),
            "PX" => Some(Self::PX),
            "EXAT" => Some(Self::EXAT),
            "PXAT" => Some(Self::PXAT),
            _ => None,
        }
    }

    /// The milliseconds since the epoch that `number` means; none beyond the range of a 64-bit signed integer.
    pub fn absolute(self, number: i64, now: Time) -> Option<i64> {
        let millis = if self.is_seconds { number.checked_mul(1000)? } else { number };
        let base = if self.is_absolute { 0 } else { i64::try_from(now.millis()).ok()? };
        millis.checked_add(base)
    }

    /// The expiry at `index` of a command that sets a value with it: it must be positive.
    pub fn positive(self, args: Args<'_>, index: usize, name: &str, now: Time) -> Result<u64> {
        let number = args.integer(index)?;
        let at = if number > 0 { self.absolute(number, now) } else { None };
        at.and_then(|at| u64::try_from(at).ok()).ok_or_else(|| Error::invalid_expire(name))
    }
}
