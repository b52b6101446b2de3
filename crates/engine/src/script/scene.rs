//! What a running script works on.

use std::cell::RefCell;

use super::cache::Digest;
use crate::blob::Blob;
use crate::session::Session;
use crate::state::State;
use crate::time::Time;

/// What runs, as errors name it.
#[derive(Clone, Debug)]
pub enum Caller {
    Script(Digest),
    /// A function, as it was called.
    Function(Blob),
}

impl Caller {
    pub fn name(&self) -> String {
        match self {
            Self::Script(digest) => digest.hex(),
            Self::Function(name) => String::from_utf8_lossy(name).into_owned(),
        }
    }
}

/// The engine's state and a session of the script's own, for the time of one script.
///
/// The functions that scripts call live as long as the Lua state and so can hold no reference to what one call
/// works on. It is moved to them instead, and taken back at the end.
pub struct Scene {
    pub state: Box<State>,
    /// Stands for the caller's session: a SELECT or a `redis.setresp` in a script is over with the script.
    pub session: Box<Session>,
    pub now: Time,
    pub caller: Caller,
    /// Set for EVAL_RO and for scripts that declare `no-writes`.
    pub is_read_only: bool,
    /// Set for scripts that declare `allow-oom`.
    pub allows_oom: bool,
    pub has_written: bool,
    /// The error reply of a script that failed, built where the error was raised: only there the line is known.
    pub failure: Option<String>,
}

thread_local! {
    /// Where the scene is while a script runs: on one thread from its start to its end.
    static STAGE: RefCell<Option<Scene>> = const { RefCell::new(None) };
}

/// Puts a scene on this thread's stage and answers the one that was there.
pub fn stage(scene: Option<Scene>) -> Option<Scene> {
    STAGE.replace(scene)
}

/// Lends the running script's scene to `work`; none when no script runs.
pub fn with_scene<R>(work: impl FnOnce(&mut Scene) -> R) -> Option<R> {
    STAGE.with_borrow_mut(|stage| stage.as_mut().map(work))
}

/// What functions of `redis` answer outside of a script.
pub const NO_SCENE: &str = "ERR redis functions work in a running script only";
