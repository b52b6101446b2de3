//! Settings of the engine.

use crate::command::Command;
use crate::command::string::STRING_MAX;

/// How an engine behaves; fixed when it is made, but for what `CONFIG SET` may change.
#[derive(Clone, Debug)]
pub struct Config {
    /// Commands beside Redis's; see [`Command::own`]. They are there for clients, transactions and scripts of this
    /// engine alone, and are no part of what is logged.
    pub commands: &'static [Command],
    /// The number of databases that SELECT can choose.
    pub databases: usize,
    /// The password that a session must give before anything else; empty for none.
    pub password: String,
    /// The most bytes that the data may take before [`eviction`](Self::eviction) makes room or commands that add data
    /// are refused with OOM; 0 for no limit.
    pub memory_max: usize,
    /// What makes room at the memory limit.
    pub eviction: Eviction,
    /// How many keys of each database are drawn to find one that was not used for long.
    pub eviction_samples: usize,
    /// The seed of hashing and of the commands that choose at random. Not a secret in tests; a server draws it.
    pub seed: u64,
    /// After how many milliseconds of a script the engine's owner answers others that it is busy; 0 for never. The
    /// engine only keeps it, for CONFIG: it has no clock, and stops scripts by
    /// [`script_instructions_max`](Self::script_instructions_max).
    pub script_time_max_ms: u64,
    /// How the engine's owner treats its clients. The engine only keeps it, for CONFIG.
    pub clients: ClientLimits,
    /// When the engine's owner rewrites its log by itself. The engine only keeps it, for CONFIG.
    pub rewrite: RewriteLimits,
    /// How many instructions of Lua a script that has not written may run before it is stopped. The engine has no
    /// clock; the default takes about five seconds.
    pub script_instructions_max: u64,
    /// Who may call DEBUG, as Redis's `enable-debug-command`.
    pub debug_command: DebugCommand,
    /// Whether scripts that the engine knows by their digests run as native code: same replies and same effects,
    /// many times faster. See [`native_scripts`](crate::native_scripts).
    pub native_scripts: bool,
}

impl Config {
    /// What is wrong with the settings, in words; nothing in those that are well-formed.
    pub fn problems(&self) -> Vec<String> {
        crate::command::own::problems(self.commands)
    }

    /// Changes how clients are treated, under Redis's names: `maxclients`, say.
    ///
    /// ```
    /// let mut config = windlass_engine::Config::default();
    /// config.set("timeout", "60").unwrap();
    /// assert_eq!(config.clients.idle_s, 60);
    /// assert!(config.set("timeout", "a minute").is_err());
    /// ```
    ///
    /// # Errors
    /// What is wrong with the name or the value, in words.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        crate::limits::set(self, name, value)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            commands: &[],
            databases: 16,
            password: String::new(),
            memory_max: 0,
            eviction: Eviction::default(),
            eviction_samples: 5,
            seed: 0,
            script_time_max_ms: 5000,
            clients: ClientLimits::default(),
            rewrite: RewriteLimits::default(),
            script_instructions_max: 500_000_000,
            debug_command: DebugCommand::No,
            native_scripts: true,
        }
    }
}

/// What happens at the memory limit, as Redis's `maxmemory-policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Eviction {
    /// Nothing goes: commands that add data are refused. Whoever keeps jobs wants this.
    #[default]
    NoEviction,
    /// Any key may go, first those that were not used for long, as far as a few samples tell.
    AllkeysLru,
}

impl Eviction {
    /// The name in CONFIG.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoEviction => "noeviction",
            Self::AllkeysLru => "allkeys-lru",
        }
    }
}

/// A setting that CONFIG SET can change, under Redis's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What it is now.
    pub value: String,
    /// True when that is what it is in an engine that was not configured.
    pub is_default: bool,
}

/// How far a log grows before it is rewritten. The names in CONFIG are Redis's; both count what came after the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RewriteLimits {
    /// `auto-aof-rewrite-percentage`: more than so many hundredths of the base; 0 is never.
    pub percentage: u64,
    /// `auto-aof-rewrite-min-size`: and more than so many bytes.
    pub bytes_min: u64,
}

impl RewriteLimits {
    /// True when a log is to be rewritten that has these bytes after a base of those.
    pub fn is_reached(&self, bytes: u64, base_bytes: u64) -> bool {
        let share = u128::from(base_bytes) * u128::from(self.percentage) / 100;
        self.percentage > 0 && bytes > self.bytes_min && u128::from(bytes) > share
    }
}

impl Default for RewriteLimits {
    fn default() -> Self {
        Self { percentage: 200, bytes_min: 64 << 20 }
    }
}

/// How whoever serves clients treats them. The names in CONFIG are Redis's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// `maxclients`: the most at one time.
    pub count_max: usize,
    /// `timeout`: a client that says nothing for so many seconds is disconnected, unless it waits or listens; 0 for never.
    pub idle_s: u64,
    /// `tcp-keepalive`: after so many seconds without a word the system asks whether a client is still there; 0 for
    /// never.
    pub keepalive_s: u64,
    /// `client-output-buffer-limit normal`: what may lie unread of replies.
    pub replies: OutputLimit,
    /// `client-output-buffer-limit pubsub`: what may lie unread of messages.
    pub messages: OutputLimit,
    /// `client-query-buffer-limit`: a client is disconnected when so many bytes of a request have come without its end.
    pub request_max: usize,
    /// `proto-max-bulk-len`: the longest argument in bytes. What commands make of strings ends at 512 MB whatever this is,
    /// or a log could not be replayed under another setting.
    pub argument_max: usize,
    /// `protected-mode`: without a password only clients of this machine are served.
    pub is_protected: bool,
}

impl Default for ClientLimits {
    /// The limits of Redis.
    fn default() -> Self {
        Self {
            count_max: 10_000,
            idle_s: 0,
            keepalive_s: 300,
            replies: OutputLimit::default(),
            messages: OutputLimit { hard: 32 << 20, soft: 8 << 20, soft_s: 60 },
            request_max: 1 << 30,
            argument_max: STRING_MAX,
            is_protected: true,
        }
    }
}

/// How much of what was sent to a client may lie unread before it is disconnected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// At so many bytes at once; 0 for no limit.
    pub hard: usize,
    /// At so many bytes...; 0 for no limit.
    pub soft: usize,
    /// ...for so many seconds.
    pub soft_s: u64,
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
