//! Commands that an embedder adds: rows like those of Redis's commands, whose bodies call Redis's commands.
//!
//! Such a command is atomic as any is, and it leaves nothing in the log but the effects of what it called: a Redis that
//! starts on the log need not know it.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::acl::denied_in_own;
use super::{Answer, Command, Flags, Keys, NAME_MAX, Run, all, find};
use crate::args::Args;
use crate::error::{Error, Result};
use crate::session::Session;
use crate::state::State;
use crate::time::Time;

/// The group of commands that are not Redis's.
pub(crate) const GROUP: &str = "module";

/// The body of a command that an embedder adds.
pub type OwnBody = fn(&mut Context<'_>) -> Answer;

impl Command {
    /// The row of a command of your own, for [`Config::commands`](crate::Config::commands): its name in lower case, how
    /// many arguments it takes with its name (negative for at least so many), how it behaves, which arguments are
    /// keys, what it does in a sentence, and its body.
    ///
    /// The row promises: a body may only call commands that write if `flags` has [`Flags::WRITE`], and only those that
    /// may add data if it has [`Flags::DENY_OOM`]. So all that may refuse the command does so before its body begins.
    ///
    /// ```
    /// use windlass_engine::{Command, Config, Engine, Flags, Keys, Time};
    /// use windlass_resp::Value;
    ///
    /// /// Takes a value away and answers it.
    /// static COMMANDS: &[Command] = &[Command::own(
    ///     "pop",
    ///     2,
    ///     Flags::WRITE.and(Flags::FAST),
    ///     Keys::Range(1, 1, 1),
    ///     "Take a value away and answer it",
    ///     |context| context.call(&[b"GETDEL", context.args()[1]]),
    /// )];
    ///
    /// let now = Time::from_millis(1_700_000_000_000);
    /// let mut engine = Engine::new(Config { commands: COMMANDS, ..Config::default() });
    /// let session = engine.open_session("test", now);
    /// engine.execute(session, &[b"SET", b"k", b"v"], now);
    /// assert_eq!(engine.execute(session, &[b"POP", b"k"], now).reply, Some(Value::from("v")));
    /// assert_eq!(engine.execute(session, &[b"POP", b"k"], now).reply, Some(Value::Nil));
    /// ```
    pub const fn own(
        name: &'static str,
        arity: i8,
        flags: Flags,
        keys: Keys,
        summary: &'static str,
        body: OwnBody,
    ) -> Self {
        let run = Run::Own(body);
        Self { name, arity, flags, keys, group: GROUP, summary, usage: "", subcommands: &[], run }
    }

    /// True for a command that an embedder added.
    pub(crate) fn is_own(&self) -> bool {
        matches!(self.run, Run::Own(_))
    }
}

/// What the body of a command of your own works with.
pub struct Context<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) session: &'a mut Session,
    command: &'static Command,
    args: Args<'a>,
    now: Time,
}

impl<'a> Context<'a> {
    /// The arguments, the first of which is the command's name as it was given. There are as many as the row says.
    pub fn args(&self) -> &'a [&'a [u8]] {
        self.args.0
    }

    /// The argument at `index` as a number.
    ///
    /// # Errors
    /// In Redis's words, when it is none or is missing.
    pub fn integer(&self, index: usize) -> Result<i64> {
        self.args.integer(index)
    }

    /// The time of the call; it stands still until the body has ended.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Calls one of Redis's commands, as the session that called this one, in the database that it selected. What a
    /// command answers where it would wait is its answer here.
    ///
    /// What was called before stays done when a later call fails: a body checks first and writes then, or goes on.
    ///
    /// The keys and channels that the called command names have to be the caller's to use, whatever the row says of
    /// keys. Its right to the command that it called is enough for those that are called for it.
    ///
    /// # Errors
    /// The command's error, and one in the manner of scripts when there is no such command, it is another one of your
    /// own, it may not be called from scripts either, the row does not promise what it does, or the caller may not use
    /// a key or a channel.
    pub fn call(&mut self, args: &[&[u8]]) -> Answer {
        let (command, body) = self.admit(Args(args))?;
        if let Some(denial) = self.state.users.denial_of_names(&self.session.user, command, Args(args)) {
            return Err(denied_in_own(&denial, self.command));
        }
        let db = self.session.db;
        self.state.databases[db].set_clock(self.now);
        self.state.call(self.session, command, body, Args(args), self.now).0
    }

    fn admit(&self, args: Args<'_>) -> Result<(&'static Command, super::Body)> {
        let refused = |called: &str, why: &str| {
            Error::new(format!("ERR '{}' called '{called}', which {why}", self.command.name))
        };
        let name = args.0.first().copied().unwrap_or_default();
        let command = find(name).and_then(|command| command.descend(args).ok());
        let command = command.ok_or_else(|| {
            let shown = String::from_utf8_lossy(&name[..name.len().min(NAME_MAX)]);
            refused(&shown, "is no command of Redis")
        })?;
        if !command.accepts(args.len()) {
            return Err(Error::arity(command.name));
        }
        let allowed = match command.run {
            Run::Call(body) if !command.flags.has(Flags::NO_SCRIPT) => Ok((command, body)),
            _ => Err(refused(command.name, "is not allowed")),
        };
        let promises = [
            (Flags::WRITE, "writes"),
            (Flags::MAY_REPLICATE, "has an effect"),
            (Flags::DENY_OOM, "may add data"),
        ];
        for (flag, does) in promises {
            let is_promised = self.command.flags.has(flag)
                || flag == Flags::MAY_REPLICATE && self.command.flags.has(Flags::WRITE);
            if command.flags.has(flag) && !is_promised {
                return Err(refused(command.name, &format!("{does}: its row does not say so")));
            }
        }
        allowed
    }
}

impl State {
    /// Runs the body of a command of an embedder's.
    pub(crate) fn call_own(
        &mut self,
        session: &mut Session,
        command: &'static Command,
        body: OwnBody,
        args: Args<'_>,
        now: Time,
    ) -> Answer {
        let db = session.db;
        let answer = body(&mut Context { state: self, session, command, args, now });
        // A SELECT in a body is over with it, as in a script.
        session.db = db;
        self.stats.tally.called(command, answer.is_err());
        answer
    }
}

/// The commands of one engine: Redis's, and those that its owner added.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: &'static [Command],
    by_name: HashMap<&'static [u8], &'static Command, FixedState>,
}

impl Table {
    /// Redis's commands and these rows.
    ///
    /// # Panics
    /// When [`problems`] finds any.
    pub fn new(rows: &'static [Command]) -> Self {
        let problems = problems(rows);
        assert!(problems.is_empty(), "the commands of your own are not well-formed: {}", problems.join("; "));
        Self { rows, by_name: rows.iter().map(|row| (row.name.as_bytes(), row)).collect() }
    }

    /// The command of this name, in any case. Those of an embedder are looked for where Redis has none.
    pub fn find(&self, name: &[u8]) -> Option<&'static Command> {
        find(name).or_else(|| self.find_own(name))
    }

    #[cold]
    fn find_own(&self, name: &[u8]) -> Option<&'static Command> {
        if self.by_name.is_empty() || name.len() > NAME_MAX {
            return None;
        }
        self.by_name.get(&*name.to_ascii_lowercase()).copied()
    }

    /// The command that `args` are, down to the subcommand.
    pub fn resolve(&self, args: Args<'_>) -> Result<&'static Command> {
        let command = self.find(args[0]).ok_or_else(|| super::unknown(args))?.descend(args)?;
        if command.accepts(args.len()) { Ok(command) } else { Err(Error::arity(command.name)) }
    }

    /// Every command.
    pub fn all(&self) -> impl Iterator<Item = &'static Command> {
        all().chain(self.rows)
    }
}

/// What is wrong with rows of commands, in words.
pub fn problems(rows: &[Command]) -> Vec<String> {
    let mut problems = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        let name = row.name;
        let mut check = |is_right: bool, what: &str| {
            if !is_right {
                problems.push(format!("the command `{name}` {what}"));
            }
        };
        let is_word = name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte));
        check(
            !name.is_empty() && name.len() <= NAME_MAX && is_word,
            &format!("has a name that is not 1 to {NAME_MAX} lower-case letters, digits, `.`, `_` or `-`"),
        );
        check(find(name.as_bytes()).is_none(), "has the name of one of Redis's; choose another");
        check(rows[..place].iter().all(|other| other.name != name), "is there twice");
        check(row.arity != 0, "takes 0 arguments; its name is one");
        check(!row.summary.is_empty(), "has no summary; COMMAND DOCS shows it");
        check(row.is_own(), "is not made by `Command::own`");
        let (writes, reads) = (row.flags.has(Flags::WRITE), row.flags.has(Flags::READONLY));
        check(!(writes && reads), "is said to write and to only read; choose one");
        check(
            writes || !row.flags.has(Flags::DENY_OOM),
            "may add data and is not said to write; add `Flags::WRITE`",
        );
        check(!row.flags.has(Flags::BLOCKING), "is said to wait, which it cannot");
    }
    problems
}
