//! Options of all commands that one of them has no use for: refused by name, because whoever gives one means something by
//! it. A command that connects to no store gets its rows here.

use super::{BenchCommand, Command, StoreArgs};

impl Command {
    /// The options of all commands that this one has no use for, each with what to do instead.
    fn unused(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Serve(_) => &[
                ("store", "`windlass serve` keeps its data in --dir DIR, or --in-memory"),
                ("namespace", "all namespaces of the data are served, and each client names its own"),
                ("ca-file", "--tls-ca-cert-file FILE says whose clients are let in"),
                ("json", "it answers its clients, in their protocol"),
            ],
            Self::Check(_) | Self::Repair(_) | Self::Backup(_) => &[
                ("store", "this command works on a directory, which is its argument: `windlass check DIR`"),
                ("namespace", "this command works on a directory as a whole"),
                ("ca-file", "this command works on a directory, and connects to nothing"),
            ],
            Self::Move(_) => &[("store", "`windlass move` takes --from URL and --to URL")],
            Self::Bench(BenchCommand::Store(_)) => &[
                ("store", "`windlass bench store` starts the servers it measures"),
                ("namespace", "`windlass bench store` measures no namespace"),
                ("ca-file", "`windlass bench store` connects to the servers it starts"),
            ],
            Self::Bench(_) => {
                &[("namespace", "a bench measures in a namespace of its own, which it removes")]
            }
            #[cfg(feature = "torture")]
            Self::Torture(torture) if torture.work.is_none() => &[
                ("store", "`windlass torture` makes the stores that it tries, in --dir DIRECTORY"),
                ("namespace", "`windlass torture` makes the stores that it tries"),
                ("ca-file", "`windlass torture` makes the stores that it tries"),
            ],
            Self::Completion { .. } => &[
                ("store", "a completion script is of no store"),
                ("namespace", "a completion script is of no store"),
                ("ca-file", "a completion script is of no store"),
                ("json", "a completion script is for a shell"),
            ],
            _ => &[],
        }
    }

    /// What to say of an option that was given and would do nothing.
    pub fn refuse(&self, given: &StoreArgs) -> Option<String> {
        let is_given = |name| match name {
            "store" => given.store.is_some(),
            "namespace" => given.namespace.is_some(),
            "ca-file" => given.ca_file.is_some(),
            _ => given.json,
        };
        let (name, instead) = self.unused().iter().find(|(name, _)| is_given(*name))?;
        Some(format!("--{name} is not for this command: {instead}"))
    }
}
