//! One user: passwords, rights to commands, keys and channels.

use super::access::{self, Access};
use super::{Denial, sha256};
use crate::args::Args;
use crate::blob::Blob;
use crate::command::{Command, Flags, category};
use crate::pattern;

/// What a rule on commands names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// A command with its subcommands, or one subcommand.
    Command(&'static str),
    Category(&'static str),
}

/// A rule on commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub allows: bool,
    pub subject: Subject,
}

/// Keys whose names match, and what may be done with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyPattern {
    pub pattern: Blob,
    pub access: Access,
}

/// One user. A new one may do nothing.
#[derive(Clone, Debug, Default)]
pub struct User {
    pub is_enabled: bool,
    pub needs_no_password: bool,
    /// What is shown of RESTORE's checks, which are always made.
    pub(super) sanitizes: Option<bool>,
    pub(super) passwords: Vec<[u8; 32]>,
    /// Whether commands that no rule names are allowed.
    pub(super) allows_commands: bool,
    /// The last that names a command decides.
    pub(super) rules: Vec<Rule>,
    pub(super) has_all_keys: bool,
    pub(super) keys: Vec<KeyPattern>,
    pub(super) has_all_channels: bool,
    pub(super) channels: Vec<Blob>,
}

impl User {
    /// One who may do everything.
    pub fn unrestricted() -> Self {
        Self {
            is_enabled: true,
            allows_commands: true,
            has_all_keys: true,
            has_all_channels: true,
            ..Self::default()
        }
    }

    pub fn may_do_everything(&self) -> bool {
        self.allows_commands && self.rules.is_empty() && self.has_all_keys && self.has_all_channels
    }

    /// Leaves one password, or none needed when it is empty.
    pub fn set_only_password(&mut self, password: &str) {
        self.needs_no_password = password.is_empty();
        self.passwords.clear();
        if !password.is_empty() {
            self.passwords.push(sha256(password.as_bytes()));
        }
    }

    /// True when the password is one of the user's, or none is needed.
    pub fn accepts(&self, password: &[u8]) -> bool {
        let hash = sha256(password);
        self.is_enabled
            && (self.needs_no_password || self.passwords.iter().any(|known| is_same(known, &hash)))
    }

    /// Why the user may not run a command; none when it may.
    pub fn denial(&self, command: &Command, args: Args<'_>) -> Option<Denial> {
        if !command.flags.has(Flags::NO_AUTH) && !self.may_run(command) {
            return Some(Denial::Command);
        }
        self.denial_of_names(command, args)
    }

    /// Why the user may not use the keys and channels that a command names.
    pub fn denial_of_names(&self, command: &Command, args: Args<'_>) -> Option<Denial> {
        // The names of shard channels stand where keys do, and are none.
        if command.group == "pubsub" {
            return self.channel_denial(command, args);
        }
        if self.has_all_keys {
            return None;
        }
        let keys = command.keys(args.0).unwrap_or_default();
        let is_denied =
            |(index, key): &(usize, &[u8])| !self.may_touch(key, access::of(command, args, *index));
        keys.into_iter().enumerate().find(is_denied).map(|(_, key)| Denial::Key(Blob::from(key)))
    }

    fn may_run(&self, command: &Command) -> bool {
        let names = |subject: &Subject| match subject {
            Subject::Command(name) => *name == command.name || Some(*name) == command.container(),
            Subject::Category(name) => category::is_in(command, name),
        };
        self.rules
            .iter()
            .rev()
            .find(|rule| names(&rule.subject))
            .map_or(self.allows_commands, |rule| rule.allows)
    }

    fn may_touch(&self, key: &[u8], access: Access) -> bool {
        self.keys.iter().any(|rule| {
            (rule.access.reads || !access.reads)
                && (rule.access.writes || !access.writes)
                && pattern::matches(&rule.pattern, key)
        })
    }

    /// True when every key may be read, as the patterns of SORT ask for.
    pub fn may_read_all(&self) -> bool {
        self.has_all_keys || self.keys.iter().any(|rule| rule.access.reads && *rule.pattern == *b"*")
    }

    fn channel_denial(&self, command: &Command, args: Args<'_>) -> Option<Denial> {
        if self.has_all_channels {
            return None;
        }
        let (names, is_literal) = match command.name {
            "publish" | "spublish" => (&args.from(1)[..1], false),
            "subscribe" | "ssubscribe" => (args.from(1), false),
            // A pattern is allowed as a whole, as it was given.
            "psubscribe" => (args.from(1), true),
            _ => return None,
        };
        let is_allowed = |name: &[u8]| {
            let mut channels = self.channels.iter();
            channels.any(|known| if is_literal { **known == *name } else { pattern::matches(known, name) })
        };
        names.iter().find(|name| !is_allowed(name)).map(|name| Denial::Channel(Blob::from(*name)))
    }
}

/// Compares in a time that does not tell how much of a guess is right.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | a ^ b) == 0
}
