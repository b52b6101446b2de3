//! Settings of the engine.

/// How an engine behaves; fixed when it is made, but for what `CONFIG SET` may change.
#[derive(Clone, Debug)]
pub struct Config {
    /// The number of databases that SELECT can choose.
    pub databases: usize,
    /// The password that a session must give before anything else; empty for none.
    pub password: String,
    /// The most bytes that the data may take before commands that add data are refused with OOM; 0 for no limit.
    pub memory_max: usize,
    /// The seed of hashing and of the commands that choose at random. Not a secret in tests; a server draws it.
    pub seed: u64,
    /// What CONFIG GET shows as `lua-time-limit`. The engine has no clock and stops scripts by
    /// [`script_instructions_max`](Self::script_instructions_max).
    pub script_time_max_ms: u64,
    /// How many instructions of Lua a script that has not written may run before it is stopped. The engine has no
    /// clock; the default takes about five seconds.
    pub script_instructions_max: u64,
    /// Who may call DEBUG, as Redis's `enable-debug-command`.
    pub debug_command: DebugCommand,
    /// Whether scripts that the engine knows by their digests run as native code: same replies and same effects,
    /// many times faster. See [`native_scripts`](crate::native_scripts).
    pub native_scripts: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            databases: 16,
            password: String::new(),
            memory_max: 0,
            seed: 0,
            script_time_max_ms: 5000,
            script_instructions_max: 500_000_000,
            debug_command: DebugCommand::No,
            native_scripts: true,
        }
    }
}

/// Who may call DEBUG, whose subcommands are for tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DebugCommand {
    /// Nobody.
    #[default]
    No,
    /// Everybody.
    Yes,
    /// Who connects from this machine.
    Local,
}
