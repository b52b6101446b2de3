//! Which commands have to do with the store beside running in its engine.

use crate::name;

/// The commands that concern the store.
const CONCERNS: [(&[u8], Concern); 10] = [
    (b"SHUTDOWN", Concern::Facts),
    (b"INFO", Concern::Facts),
    (b"BGREWRITEAOF", Concern::Facts),
    (b"BGSAVE", Concern::Facts),
    (b"SAVE", Concern::Facts),
    (b"LASTSAVE", Concern::Facts),
    (b"CONFIG", Concern::Config),
    (b"CLIENT", Concern::Clients),
    (b"ACL", Concern::Users),
    (b"EXEC", Concern::Transaction),
];

/// What a command has to do with the store beside running in its engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Concern {
    Nothing,
    /// Its answer holds what only the store knows.
    Facts,
    Config,
    Clients,
    Users,
    Transaction,
}

impl Concern {
    pub fn of(args: &[&[u8]]) -> Self {
        let Some(given) = args.first() else { return Self::Nothing };
        let found = CONCERNS.iter().find(|(other, _)| name::is(given, other));
        found.map_or(Self::Nothing, |(_, concern)| *concern)
    }
}
