//! The command table. A command is one row in its family's `COMMANDS` beside the function that the row names; the
//! row is the only place that knows its name, arity, flags, keys and summary, and `COMMAND` answers from it. For COMMAND
//! DOCS a line in `docs.txt` tells of its arguments.

use std::collections::HashMap;
use std::sync::LazyLock;

use windlass_resp::Value;

use crate::args::Args;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::session::Session;
use crate::state::Call;
use crate::time::Time;

/// A set of flags, by their names.
macro_rules! flags {
    ($($flag:ident),*) => { $crate::command::Flags::NONE$(.and($crate::command::Flags::$flag))* };
}

pub mod acl;
pub mod category;
pub mod connection;
pub mod container;
mod docs;
pub mod expiry;
pub mod function;
pub mod hash;
pub mod hyperloglog;
pub mod key;
pub mod list;
pub mod own;
pub mod pubsub;
pub mod random;
pub mod scan;
pub mod script;
pub mod server;
pub mod set;
pub mod stream;
pub mod string;
pub mod transaction;
pub mod zset;

pub(crate) use server::{configure, settings};

/// What a command answers.
pub type Answer = Result<Value>;

/// One row of the table.
#[derive(Debug)]
pub struct Command {
    /// Its name, in lower case.
    pub name: &'static str,
    /// The number of arguments with the name; negative for at least so many.
    pub arity: i8,
    /// How it behaves.
    pub flags: Flags,
    /// Which arguments are keys.
    pub keys: Keys,
    /// The group of Redis's documentation that it belongs to.
    pub group: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// The arguments of a subcommand, as HELP shows them.
    pub usage: &'static str,
    /// The commands of a container such as CONFIG; each is named `container|subcommand`.
    pub subcommands: &'static [Self],
    pub(crate) run: Run,
}

/// The body of a command that works on the state alone.
pub type Body = fn(&mut Call<'_>) -> Answer;

/// The body of a command that needs the engine.
pub(crate) type EngineBody = fn(&mut Engine, &mut Session, Args<'_>, Time) -> Option<Value>;

/// The body of a command.
#[derive(Debug)]
pub(crate) enum Run {
    /// Works on the state; most commands.
    Call(Body),
    /// Needs the engine itself: runs other commands, or answers by messages alone.
    Engine(EngineBody),
    /// Is an embedder's, and calls those that work on the state.
    Own(own::OwnBody),
}

/// The group of a family, which makes the family's rows.
pub(crate) struct Group(pub &'static str);

impl Group {
    /// The row of a command that works on the state alone.
    pub(crate) const fn row(
        self,
        name: &'static str,
        arity: i8,
        flags: Flags,
        keys: Keys,
        summary: &'static str,
        run: Body,
    ) -> Command {
        self.make(name, arity, flags, keys, summary, Run::Call(run))
    }

    /// The row of a command that needs the engine itself.
    pub(crate) const fn engine_row(
        self,
        name: &'static str,
        arity: i8,
        flags: Flags,
        keys: Keys,
        summary: &'static str,
        run: EngineBody,
    ) -> Command {
        self.make(name, arity, flags, keys, summary, Run::Engine(run))
    }

    /// The row of a subcommand that needs the engine itself and has no keys.
    pub(crate) const fn engine_sub(
        self,
        name: &'static str,
        arity: i8,
        flags: Flags,
        usage: &'static str,
        summary: &'static str,
        run: EngineBody,
    ) -> Command {
        Command { usage, ..self.engine_row(name, arity, flags, Keys::None, summary, run) }
    }

    /// The row of a container, which does nothing by itself.
    pub(crate) const fn container(
        self,
        name: &'static str,
        summary: &'static str,
        subcommands: &'static [Command],
    ) -> Command {
        let row = self.make(name, -2, Flags::NONE, Keys::None, summary, Run::Call(container::missing));
        Command { subcommands, ..row }
    }

    /// The row of a subcommand that works on the state alone; `name` is that of the container, a bar and its own.
    #[expect(clippy::too_many_arguments, reason = "a row of a table")]
    pub(crate) const fn sub(
        self,
        name: &'static str,
        arity: i8,
        flags: Flags,
        keys: Keys,
        usage: &'static str,
        summary: &'static str,
        run: Body,
    ) -> Command {
        Command { usage, ..self.make(name, arity, flags, keys, summary, Run::Call(run)) }
    }

    /// The row of a container's HELP.
    pub(crate) const fn help(self, name: &'static str) -> Command {
        let flags = flags![LOADING, STALE];
        self.sub(name, 2, flags, Keys::None, "", "Print this help.", container::help)
    }

    const fn make(
        self,
        name: &'static str,
        arity: i8,
        flags: Flags,
        keys: Keys,
        summary: &'static str,
        run: Run,
    ) -> Command {
        Command { name, arity, flags, keys, group: self.0, summary, usage: "", subcommands: &[], run }
    }
}

/// Which arguments are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// None.
    None,
    /// From the first to the last index (negative: from the end) at every step-th argument.
    Range(i8, i8, i8),
    /// As many as the argument at the index says, right after it.
    Counted(i8),
    /// A destination at index 1, and as many as the argument at the index says, right after it.
    StoreCounted(i8),
    /// The first half of what follows the word STREAMS.
    Streams,
    /// The argument at index 1, and what follows the last word STORE.
    Sort,
}

/// Properties of a command, as a set of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    /// Nothing special.
    pub const NONE: Self = Self(0);
    /// May change data.
    pub const WRITE: Self = Self(1);
    /// Only reads data.
    pub const READONLY: Self = Self(1 << 1);
    /// May need memory: refused when the limit is reached.
    pub const DENY_OOM: Self = Self(1 << 2);
    /// Takes constant or logarithmic time.
    pub const FAST: Self = Self(1 << 3);
    /// May wait.
    pub const BLOCKING: Self = Self(1 << 4);
    /// Not allowed in scripts.
    pub const NO_SCRIPT: Self = Self(1 << 5);
    /// Allowed before the password was given.
    pub const NO_AUTH: Self = Self(1 << 6);
    /// Runs at once inside a transaction, too.
    pub const IMMEDIATE: Self = Self(1 << 7);
    /// Allowed in RESP2 while subscribed.
    pub const SUBSCRIBED: Self = Self(1 << 8);
    /// An operator's command.
    pub const ADMIN: Self = Self(1 << 9);
    /// Works on channels.
    pub const PUBSUB: Self = Self(1 << 10);
    /// Allowed while the data is loaded.
    pub const LOADING: Self = Self(1 << 11);
    /// Allowed on a replica whose data is out of date.
    pub const STALE: Self = Self(1 << 12);
    /// Not shown to who monitors.
    pub const SKIP_MONITOR: Self = Self(1 << 13);
    /// Not written to the log of slow commands.
    pub const SKIP_SLOWLOG: Self = Self(1 << 14);
    /// Has an effect beyond the reply although it writes no data, as a message has; counts as a write where that
    /// matters.
    pub const MAY_REPLICATE: Self = Self(1 << 15);
    /// Keys may be left out.
    pub const NO_MANDATORY_KEYS: Self = Self(1 << 16);
    /// Not allowed while the data is replaced by a replica's.
    pub const NO_ASYNC_LOADING: Self = Self(1 << 17);
    /// Not allowed in transactions.
    pub const NO_MULTI: Self = Self(1 << 18);
    /// Allowed while a script runs for too long.
    pub const ALLOW_BUSY: Self = Self(1 << 19);
    /// In the category of what can do harm, beyond the operator's commands.
    pub const DANGEROUS: Self = Self(1 << 20);

    /// Both sets together.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// True when all of `other` are in this set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names that COMMAND gives.
    pub fn names(self) -> Vec<&'static str> {
        const NAMES: [(Flags, &str); 17] = [
            (Flags::WRITE, "write"),
            (Flags::READONLY, "readonly"),
            (Flags::DENY_OOM, "denyoom"),
            (Flags::ADMIN, "admin"),
            (Flags::PUBSUB, "pubsub"),
            (Flags::NO_SCRIPT, "noscript"),
            (Flags::BLOCKING, "blocking"),
            (Flags::LOADING, "loading"),
            (Flags::STALE, "stale"),
            (Flags::SKIP_MONITOR, "skip_monitor"),
            (Flags::SKIP_SLOWLOG, "skip_slowlog"),
            (Flags::FAST, "fast"),
            (Flags::NO_AUTH, "no_auth"),
            (Flags::NO_MANDATORY_KEYS, "no_mandatory_keys"),
            (Flags::NO_ASYNC_LOADING, "no_async_loading"),
            (Flags::NO_MULTI, "no_multi"),
            (Flags::ALLOW_BUSY, "allow_busy"),
        ];
        NAMES.iter().filter(|(flag, _)| self.has(*flag)).map(|(_, name)| *name).collect()
    }
}

impl Command {
    /// True when the command takes `count` arguments, its name included.
    pub fn accepts(&self, count: usize) -> bool {
        let arity = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 { count >= arity } else { count == arity }
    }

    /// The keys among `args`.
    ///
    /// # Errors
    /// When a count of keys is not a number or goes beyond the arguments.
    pub fn keys<'a>(&self, args: &'a [&'a [u8]]) -> Result<Vec<&'a [u8]>> {
        let args = Args(args);
        let counted = |at: i8| -> Result<Vec<&'a [u8]>> {
            let at = at as usize;
            let count = args.count(at)?;
            args.0.get(at + 1..).and_then(|rest| rest.get(..count)).map(<[_]>::to_vec).ok_or(Error::SYNTAX)
        };
        match self.keys {
            Keys::None => Ok(Vec::new()),
            Keys::Range(first, last, step) => {
                let last = if last < 0 { args.len() as i64 + i64::from(last) } else { i64::from(last) };
                let end = usize::try_from(last + 1).unwrap_or(0).min(args.len());
                let (first, step) = (first as usize, step as usize);
                Ok(args.0.get(first..end).unwrap_or_default().iter().step_by(step).copied().collect())
            }
            Keys::Counted(at) => counted(at),
            Keys::StoreCounted(at) => {
                let mut keys = vec![args.expect(1)?];
                keys.extend(counted(at)?);
                Ok(keys)
            }
            Keys::Streams => {
                let at = (0..args.len()).find(|at| args.is(*at, "STREAMS")).ok_or(Error::SYNTAX)?;
                let rest = args.from(at + 1);
                Ok(rest[..rest.len() / 2].to_vec())
            }
            Keys::Sort => {
                let stored =
                    (2..args.len()).rev().find(|at| args.is(*at, "STORE")).and_then(|at| args.get(at + 1));
                Ok([args.expect(1)?].into_iter().chain(stored).collect())
            }
        }
    }
}

/// Every family's rows.
const FAMILIES: &[&[Command]] = &[
    acl::COMMANDS,
    connection::COMMANDS,
    function::COMMANDS,
    hash::COMMANDS,
    hyperloglog::COMMANDS,
    key::COMMANDS,
    list::COMMANDS,
    pubsub::COMMANDS,
    script::COMMANDS,
    server::COMMANDS,
    set::COMMANDS,
    stream::COMMANDS,
    string::COMMANDS,
    transaction::COMMANDS,
    zset::add::COMMANDS,
    zset::combine::COMMANDS,
    zset::pop::COMMANDS,
    zset::random::COMMANDS,
    zset::range::COMMANDS,
    zset::read::COMMANDS,
    zset::remove::COMMANDS,
];

static BY_NAME: LazyLock<HashMap<&'static [u8], &'static Command, foldhash::fast::FixedState>> =
    LazyLock::new(|| all().map(|command| (command.name.as_bytes(), command)).collect());

/// The longest name of a command that is looked up.
const NAME_MAX: usize = 32;

/// Every command.
///
/// ```
/// assert!(windlass_engine::commands().any(|command| command.name == "get"));
/// ```
pub fn all() -> impl Iterator<Item = &'static Command> {
    FAMILIES.iter().flat_map(|family| family.iter())
}

/// The command of Redis's of this name, in any case. An engine's own are in its [`Table`](own::Table).
pub(crate) fn find(name: &[u8]) -> Option<&'static Command> {
    let mut lower = [0; NAME_MAX];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    BY_NAME.get(&*lower).copied()
}

/// The error for a command that is not there, in Redis's words.
pub(crate) fn unknown(args: Args<'_>) -> Error {
    const SHOWN_MAX: usize = 128;
    let name = String::from_utf8_lossy(&args[0][..args[0].len().min(SHOWN_MAX)]).into_owned();
    let mut shown = String::new();
    for arg in args.from(1) {
        if shown.len() >= SHOWN_MAX {
            break;
        }
        let rest = SHOWN_MAX - shown.len();
        shown += &format!("'{}' ", String::from_utf8_lossy(&arg[..arg.len().min(rest)]));
    }
    Error::new(format!("ERR unknown command '{name}', with args beginning with: {shown}"))
}
