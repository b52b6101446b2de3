//! Which commands a connection lets through: those that would change the session under a clone are refused.

use crate::error::{Error, Result};

/// Who may use a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Clones use it side by side; what belongs to a session is not theirs to change.
    Shared,
    /// It was opened for one user by [`Connection::session`](crate::Connection::session).
    Exclusive,
}

/// Commands whose meaning depends on what the same user sends next.
const OF_A_SESSION: [&str; 6] = ["MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH", "SELECT"];
/// Commands that are answered by messages, which only a subscription can receive.
const OF_A_SUBSCRIPTION: [&str; 7] =
    ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "MONITOR"];
/// Commands that the URL or the connection itself takes care of.
const OF_THE_CONNECTION: [&str; 6] = ["AUTH", "HELLO", "RESET", "QUIT", "SYNC", "PSYNC"];

/// Checks that a command may run on a session shared in this way.
pub fn check(args: &[&[u8]], sharing: Sharing) -> Result<()> {
    let name = args[0];
    // No name in the lists is shorter or longer, so that most commands are let through by their length or first byte.
    if !matches!(name.len(), 4..=12) || !b"cmewdusaphrqCMEWDUSAPHRQ".contains(&name[0]) {
        return Ok(());
    }
    let is_in = |names: &[&str]| names.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes()));
    let hint = if sharing == Sharing::Shared && is_in(&OF_A_SESSION) {
        "clones of a connection share one session; use an atomic pipeline, or a connection of your own from `session()`"
    } else if is_in(&OF_A_SUBSCRIPTION) {
        "use `subscribe()`, whose messages come apart from the replies"
    } else if is_in(&OF_THE_CONNECTION) {
        "user, password and protocol belong into the URL, and dropping the connection ends it"
    } else if is_in(&["CLIENT"]) && args.get(1).is_some_and(|word| word.eq_ignore_ascii_case(b"REPLY")) {
        "every call of a connection waits for its reply; to ignore one, drop its result"
    } else {
        return Ok(());
    };
    Err(Error::Refused { command: String::from_utf8_lossy(name).to_ascii_uppercase(), hint })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_session_refuses_what_changes_it() {
        for name in OF_A_SESSION.iter().chain(&OF_A_SUBSCRIPTION).chain(&OF_THE_CONNECTION) {
            assert!(check(&[name.as_bytes()], Sharing::Shared).is_err(), "{name}");
            assert!(check(&[name.to_ascii_lowercase().as_bytes()], Sharing::Shared).is_err(), "{name}");
        }
        assert!(check(&[b"SET"], Sharing::Shared).is_ok());
        assert!(check(&[b"PUBLISH"], Sharing::Shared).is_ok());
    }

    #[test]
    fn a_session_of_ones_own_allows_transactions_but_not_subscriptions() {
        assert!(OF_A_SESSION.iter().all(|name| check(&[name.as_bytes()], Sharing::Exclusive).is_ok()));
        assert!(OF_A_SUBSCRIPTION.iter().all(|name| check(&[name.as_bytes()], Sharing::Exclusive).is_err()));
    }

    #[test]
    fn nobody_silences_the_replies_that_calls_wait_for() {
        for sharing in [Sharing::Shared, Sharing::Exclusive] {
            assert!(check(&[b"client", b"reply", b"OFF"], sharing).is_err());
            assert!(check(&[b"CLIENT", b"SETNAME", b"reply"], sharing).is_ok());
            assert!(check(&[b"CLIENT"], sharing).is_ok());
        }
    }
}
