//! Which scripts have shown that they are quick. A task that serves many clients on its thread runs only these itself: a
//! script that it does not know might run for seconds, and is given a thread of its own.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::time::Duration;

use parking_lot::Mutex;

use crate::name::{is, is_one_of};

/// A script that took no longer, with the wait for its turn, is quick.
pub const QUICK: Duration = Duration::from_millis(10);
/// The most scripts that are remembered; then all are forgotten and shown anew.
const SCRIPTS_MAX: usize = 4096;

/// The commands that run a script or a function, which their first argument names.
const RUNNERS: [&[u8]; 7] = [b"EVALSHA", b"EVAL", b"EVALSHA_RO", b"EVAL_RO", b"FCALL", b"FCALL_RO", FUNCTION];
/// Runs none, but gives names to other functions.
const FUNCTION: &[u8] = b"FUNCTION";

/// The scripts that were quick when they last ran apart.
#[derive(Default)]
pub struct QuickScripts {
    known: Mutex<HashSet<Script>>,
    hasher: RandomState,
}

/// A script by the hash of its text or name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Script(u64);

impl QuickScripts {
    /// The script that a command runs, unless it is known to be quick.
    pub fn unknown(&self, args: &[&[u8]]) -> Option<Script> {
        let name = *args.first()?;
        if !is_one_of(name, &RUNNERS) {
            return None;
        }
        if is(name, FUNCTION) {
            self.known.lock().clear();
            return None;
        }
        let script = Script(self.hasher.hash_one(args.get(1)?));
        (!self.known.lock().contains(&script)).then_some(script)
    }

    /// Remembers a script that was quick.
    pub fn note(&self, script: Script) {
        let mut known = self.known.lock();
        if known.len() >= SCRIPTS_MAX {
            known.clear();
        }
        known.insert(script);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_unknown_until_it_was_quick() {
        let quick = QuickScripts::default();
        let script = quick.unknown(&[b"eval", b"return 1", b"0"]).expect("nobody knows it");
        quick.note(script);
        assert_eq!(quick.unknown(&[b"EVAL", b"return 1", b"1", b"k"]), None);
        assert!(quick.unknown(&[b"EVAL", b"return 2", b"0"]).is_some());
        assert_eq!(quick.unknown(&[b"GET", b"return 2"]), None);
        assert_eq!(quick.unknown(&[b"EVAL"]), None);
        // The name may be that of other code now.
        assert_eq!(quick.unknown(&[b"function", b"LOAD", b"REPLACE", b"#!lua name=l"]), None);
        assert_eq!(quick.unknown(&[b"EVAL", b"return 1", b"0"]), Some(script));
    }
}
