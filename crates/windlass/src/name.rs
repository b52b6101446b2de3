//! The rule for names that become part of keys.

use crate::error::{Error, Result};

/// Longest name of a queue, kind or namespace, in bytes.
pub const NAME_LEN_MAX: usize = 64;

/// Checks a name: 1 to 64 characters of `A-Z a-z 0-9 _ . -`.
///
/// ```
/// assert!(windlass::check_name("queue", "mail-eu.2").is_ok());
/// assert!(windlass::check_name("queue", "a/b").is_err());
/// ```
///
/// # Errors
/// [`Error::Name`] with what was to be named.
pub fn check_name(what: &'static str, name: &str) -> Result<()> {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if (1..=NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(is_fit) {
        return Ok(());
    }
    Err(Error::Name { what, name: name.chars().take(NAME_LEN_MAX + 1).collect() })
}
