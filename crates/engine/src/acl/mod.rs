//! Users and what they may do. `user` holds one user's rights, `rule` reads the words of ACL SETUSER, `access` says what
//! commands do with their keys, `absent` which commands rules may name though they are not there, `sha256` hashes passwords.

use std::collections::BTreeMap;

use crate::args::Args;
use crate::blob::Blob;
use crate::command::Command;

mod absent;
mod access;
mod rule;
mod sha256;
mod user;

pub use sha256::{hex, sha256};
pub use user::User;

/// The user of sessions that name none.
pub const DEFAULT: &[u8] = b"default";

/// Why a user may not run a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    Command,
    Key(Blob),
    Channel(Blob),
}

/// Every user, by name. The default one is always there.
#[derive(Debug)]
pub struct Users {
    by_name: BTreeMap<Blob, User>,
    /// True while there is no user but one who may do everything: then nothing need be looked up.
    is_open: bool,
}

impl Users {
    /// The default user alone, who may do everything; without a password when that is empty.
    pub fn new(password: &str) -> Self {
        let mut users = Self { by_name: BTreeMap::new(), is_open: true };
        users.put(DEFAULT, User::unrestricted());
        users.set_default_password(password);
        users
    }

    /// Replaces the default user's passwords by one, or by none needed.
    pub fn set_default_password(&mut self, password: &str) {
        let mut user = self.get(DEFAULT).expect("the default user is always there").clone();
        user.set_only_password(password);
        self.put(DEFAULT, user);
    }

    pub fn get(&self, name: &[u8]) -> Option<&User> {
        self.by_name.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Blob, &User)> {
        self.by_name.iter()
    }

    /// Makes or replaces a user.
    pub fn put(&mut self, name: &[u8], user: User) {
        self.by_name.insert(Blob::from(name), user);
        self.note_open();
    }

    /// Removes a user; true when it was there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let is_removed = self.by_name.remove(name).is_some();
        self.note_open();
        is_removed
    }

    /// True when everybody may do everything.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    fn note_open(&mut self) {
        self.is_open = self.by_name.len() == 1 && self.by_name.values().all(User::may_do_everything);
    }

    /// Why a user may not run a command; none when it may.
    pub fn denial(&self, name: &[u8], command: &Command, args: Args<'_>) -> Option<Denial> {
        self.denial_as(name, |user| user.denial(command, args))
    }

    /// As [`denial`](Self::denial), for a command that another one calls: its keys and channels are looked at, not the
    /// right to run it.
    pub fn denial_of_names(&self, name: &[u8], command: &Command, args: Args<'_>) -> Option<Denial> {
        self.denial_as(name, |user| user.denial_of_names(command, args))
    }

    fn denial_as(&self, name: &[u8], denial: impl FnOnce(&User) -> Option<Denial>) -> Option<Denial> {
        if self.is_open {
            return None;
        }
        self.by_name.get(name).map_or(Some(Denial::Command), denial)
    }

    /// True when a session of nobody in particular may do what the default user may.
    pub fn is_default_free(&self) -> bool {
        self.get(DEFAULT).is_some_and(|user| user.is_enabled && user.needs_no_password)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::own::Table;

    #[test]
    fn a_user_may_do_what_the_last_rule_that_concerns_it_says() {
        let commands = Table::default();
        let mut user = User::default();
        for word in ["+@read", "-get", "~a:*"] {
            user.apply(word.as_bytes(), &commands).expect("a rule");
        }
        let mut users = Users::new("");
        users.put(b"alice", user);
        let denial = |words: &[&[u8]]| {
            let command = commands.resolve(Args(words)).expect("a command");
            users.denial(b"alice", command, Args(words))
        };
        assert_eq!(denial(&[b"GET", b"a:1"]), Some(Denial::Command));
        assert_eq!(denial(&[b"STRLEN", b"a:1"]), None);
        assert_eq!(denial(&[b"STRLEN", b"b"]), Some(Denial::Key(Blob::from(b"b"))));
        assert_eq!(denial(&[b"SET", b"a:1", b"v"]), Some(Denial::Command));
    }
}
