//! What a running script works on.

use mlua::Lua;

use super::cache::Digest;
use crate::session::Session;
use crate::state::State;
use crate::time::Time;

/// The engine's state and a session of the script's own, for the time of one script.
///
/// The functions that scripts call live as long as the Lua state and so can hold no reference to what one call
/// works on. It is moved to them instead, and taken back at the end.
pub struct Scene {
    pub state: Box<State>,
    /// Stands for the caller's session: a SELECT or a `redis.setresp` in a script is over with the script.
    pub session: Box<Session>,
    pub now: Time,
    pub digest: Digest,
    /// Set for EVAL_RO and for scripts that declare `no-writes`.
    pub is_read_only: bool,
    /// Set for scripts that declare `allow-oom`.
    pub allows_oom: bool,
    pub has_written: bool,
    /// The error reply of a script that failed, built where the error was raised: only there the line is known.
    pub failure: Option<String>,
}

/// The place in the Lua state where the scene is while a script runs.
#[derive(Default)]
pub struct Stage(pub Option<Scene>);

impl Stage {
    /// Lends the running script's scene to `work`.
    ///
    /// # Errors
    /// When no script runs.
    pub fn with<R>(lua: &Lua, work: impl FnOnce(&mut Scene) -> R) -> mlua::Result<R> {
        let mut stage = lua.app_data_mut::<Self>();
        let scene = stage.as_mut().and_then(|stage| stage.0.as_mut());
        scene
            .map(work)
            .ok_or_else(|| super::raise::reply("ERR redis functions work in a running script only"))
    }
}
