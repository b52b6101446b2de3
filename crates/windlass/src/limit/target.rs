//! What a rule is for.

use std::fmt;
use std::str::FromStr;

use super::lane::check_group_key;
use crate::error::{Error, Result};
use crate::name::check_name;

/// What a rule is for. Its text is the name of the limit: `queue:mail`, `kind:resize`, `key:mail` for each key of the
/// queue `mail`, `key:mail/acme` for one.
///
/// ```
/// use windlass::Target;
/// assert_eq!("key:mail/acme".parse::<Target>()?, Target::key("mail", "acme"));
/// # Ok::<(), windlass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Target {
    /// A queue.
    Queue(String),
    /// A kind, in all queues.
    Kind(String),
    /// Each group key of a queue that has no rule of its own.
    EachKey(String),
    /// One group key of a queue.
    Key(String, String),
}

impl Target {
    /// A queue.
    pub fn queue(queue: impl Into<String>) -> Self {
        Self::Queue(queue.into())
    }

    /// A kind, in all queues.
    pub fn kind(kind: impl Into<String>) -> Self {
        Self::Kind(kind.into())
    }

    /// Each group key of a queue that has no rule of its own.
    pub fn each_key(queue: impl Into<String>) -> Self {
        Self::EachKey(queue.into())
    }

    /// One group key of a queue.
    pub fn key(queue: impl Into<String>, key: impl Into<String>) -> Self {
        Self::Key(queue.into(), key.into())
    }

    /// Checks the names.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::Queue(queue) | Self::EachKey(queue) => check_name("queue", queue),
            Self::Kind(kind) => check_name("kind", kind),
            Self::Key(queue, key) => check_name("queue", queue).and_then(|()| check_group_key(key)),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue(queue) => write!(f, "queue:{queue}"),
            Self::Kind(kind) => write!(f, "kind:{kind}"),
            Self::EachKey(queue) => write!(f, "key:{queue}"),
            Self::Key(queue, key) => write!(f, "key:{queue}/{key}"),
        }
    }
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let target = match text.split_once(':') {
            Some(("queue", queue)) => Self::queue(queue),
            Some(("kind", kind)) => Self::kind(kind),
            Some(("key", rest)) => match rest.split_once('/') {
                Some((queue, key)) => Self::key(queue, key),
                None => Self::each_key(rest),
            },
            _ => {
                return Err(Error::Config(vec![format!(
                    "`{text}` is nothing that a rule is for; use queue:QUEUE, kind:KIND, key:QUEUE or key:QUEUE/KEY"
                )]));
            }
        };
        target.check().map(|()| target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_target_is_read_back() {
        for text in ["queue:mail", "kind:resize", "key:mail", "key:mail/a/b:c"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        for wrong in ["", "mail", "queue:", "kind:a b", "key:mail/", "lane:x"] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }
}
