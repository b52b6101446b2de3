//! Where in its queue a job waits, when that is not simply at its end.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The priority of a job that asks for none. 0 comes first.
pub const PRIORITY_DEFAULT: u8 = 128;

/// Longest group key, in bytes.
pub const GROUP_KEY_LEN_MAX: usize = 128;

/// What a job asks for: a priority, the front, a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Lane {
    /// The priority; none is [`PRIORITY_DEFAULT`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p: Option<u8>,
    /// Whether it goes before every priority.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub front: bool,
    /// The group that it takes its turn with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Lane {
    /// The place among the priorities: 0 is the front, then each priority by one more.
    pub(crate) fn rank(&self) -> u16 {
        if self.front { 0 } else { u16::from(self.p.unwrap_or(PRIORITY_DEFAULT)) + 1 }
    }

    /// Whether it asks for what every job has.
    pub(crate) fn is_plain(&self) -> bool {
        self.key.is_none() && self.rank() == u16::from(PRIORITY_DEFAULT) + 1
    }

    /// Checks the group key, and that it asks for one place.
    pub(crate) fn check(&self) -> Result<()> {
        if self.front && self.p.is_some() {
            let problem = "goes before every priority, give one of the two".into();
            return Err(Error::Push { option: "front", problem });
        }
        self.key.as_deref().map_or(Ok(()), check_group_key)
    }
}

/// Checks a group key: it is part of keys and of names of limits.
pub(crate) fn check_group_key(key: &str) -> Result<()> {
    let is_fit = (1..=GROUP_KEY_LEN_MAX).contains(&key.len()) && !key.chars().any(char::is_control);
    if is_fit {
        return Ok(());
    }
    let shown: String = key.chars().take(GROUP_KEY_LEN_MAX).collect();
    Err(Error::Config(vec![format!(
        "the group key {shown:?} is not 1 to {GROUP_KEY_LEN_MAX} bytes without control characters"
    )]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_comes_before_the_first_priority() {
        let front = Lane { front: true, p: Some(9), key: None };
        assert_eq!((front.rank(), Lane { p: Some(0), ..Lane::default() }.rank()), (0, 1));
        assert!(Lane::default().is_plain());
        assert!(Lane { p: Some(PRIORITY_DEFAULT), ..Lane::default() }.is_plain());
    }

    #[test]
    fn group_keys_are_checked() {
        assert!(check_group_key("acme/eu ✓").is_ok());
        for wrong in ["", "a\nb", &"x".repeat(GROUP_KEY_LEN_MAX + 1)] {
            assert!(check_group_key(wrong).is_err(), "{wrong:?}");
        }
    }
}
