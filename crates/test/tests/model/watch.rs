//! WATCH: what a session has seen, and whether it still holds.

use std::collections::BTreeMap;

use windlass_engine::{Flags, commands};

use crate::state::Entry;

/// The keys that the session watches.
#[derive(Default)]
pub struct Watch {
    keys: BTreeMap<String, Watched>,
}

/// A watched key.
struct Watched {
    last: Option<Entry>,
    has_changed: bool,
    was_written: bool,
}

/// What EXEC may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was touched: it runs.
    Runs,
    /// A watched key is not what it was: it does not run.
    Fails,
    /// A watched key was written and is what it was. Which writes count then is Redis's to say, by many small rules;
    /// the model takes either.
    Either,
}

impl Watch {
    /// Begins to watch a key; one that is watched already stays as it was.
    pub fn add(&mut self, key: &str, entry: Option<&Entry>) {
        let new = || Watched { last: entry.cloned(), has_changed: false, was_written: false };
        self.keys.entry(key.to_owned()).or_insert_with(new);
    }

    /// Looks at what a command, or the time, has done.
    pub fn look(&mut self, command: &[&str], keys: &BTreeMap<String, Entry>) {
        let writes = command.first().is_some_and(|name| is_write(name));
        for (key, watched) in &mut self.keys {
            let now = keys.get(key);
            watched.has_changed |= watched.last.as_ref() != now;
            watched.was_written |= writes && command.contains(&key.as_str());
            watched.last = now.cloned();
        }
    }

    /// Ends it all; answers what EXEC may do.
    pub fn end(&mut self) -> Verdict {
        let keys = std::mem::take(&mut self.keys);
        if keys.values().any(|watched| watched.has_changed) {
            Verdict::Fails
        } else if keys.values().any(|watched| watched.was_written) {
            Verdict::Either
        } else {
            Verdict::Runs
        }
    }
}

fn is_write(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    commands().any(|command| command.name == name && command.flags.has(Flags::WRITE))
}
