//! The scripts, with their digests, and how one is called.

use std::sync::LazyLock;

use redis::{Cmd, ToRedisArgs, Value};

use super::Broker;
use crate::error::{Error, Result};

/// A script's text and digest.
pub(super) struct Script {
    code: &'static str,
    hash: String,
}

macro_rules! scripts {
    ($($(#[$attribute:meta])? $name:ident = $($file:literal)+;)+) => {
        $($(#[$attribute])? pub(super) static $name: LazyLock<Script> = LazyLock::new(|| Script::new(concat!($(include_str!(concat!("../../lua/", $file))),+)));)+
    };
}

scripts! {
    BATCH_CANCEL = "batch_cancel.lua";
    BATCH_LOOK = "batch_look.lua";
    BATCH_PUSH = "hooks.lua" "batch_push.lua";
    BEAT = "beat.lua";
    #[cfg(feature = "cron")]
    CRON_DUE = "cron_due.lua";
    #[cfg(feature = "cron")]
    CRON_FIRE = "cron_fire.lua";
    #[cfg(feature = "cron")]
    CRON_LIST = "cron_list.lua";
    #[cfg(feature = "cron")]
    CRON_PAUSE = "cron_pause.lua";
    #[cfg(feature = "cron")]
    CRON_PUT = "cron_put.lua";
    #[cfg(feature = "cron")]
    CRON_REMOVE = "cron_remove.lua";
    #[cfg(feature = "cron")]
    CRON_RESUME = "cron_resume.lua";
    #[cfg(feature = "cron")]
    CRON_RUN = "cron_run.lua";
    CANCEL = "find.lua" "trim.lua" "hooks.lua" "cancel.lua";
    EDIT = "find.lua" "enqueue.lua" "hooks.lua" "edit.lua";
    EVENTS = "events.lua";
    EXCHANGE = "fence.lua" "exchange.lua";
    FAIL = "fence.lua" "trim.lua" "fail.lua";
    FAIL_FLOW = "fence.lua" "trim.lua" "hooks.lua" "fail.lua";
    LEAVE = "leave.lua";
    PROGRESS = "fence.lua" "progress.lua";
    PROMOTE = "enqueue.lua" "promote.lua";
    PRUNE = "trim.lua" "hooks.lua" "prune.lua";
    PUSH = "push.lua";
    PUSH_ONCE = "push_once.lua";
    PUSH_UNIQUE = "find.lua" "enqueue.lua" "push_unique.lua";
    RECOVER = "trim.lua" "hooks.lua" "recover.lua";
    RELEASE = "fence.lua" "release.lua";
    RELEASE_UNIQUE = "release_unique.lua";
    REMOVE = "hooks.lua" "remove.lua";
    RENEW = "fence.lua" "renew.lua";
    REQUEUE = "enqueue.lua" "hooks.lua" "requeue.lua";
    REQUEUE_ALL = "enqueue.lua" "hooks.lua" "requeue_all.lua";
    RESCHEDULE = "find.lua" "hooks.lua" "reschedule.lua";
    RESUME = "resume.lua";
    SCHEDULE = "schedule.lua";
    SETTLE = "fence.lua" "hooks.lua" "settle.lua";
    SHOW = "show.lua";
    UNPARK = "enqueue.lua" "unpark.lua";
}

/// The texts of the scripts that the embedded engine knows by their digests, for the test that holds the two together:
/// pushing, and exchanging.
#[doc(hidden)]
pub fn hot_scripts() -> [&'static str; 2] {
    [PUSH.code, EXCHANGE.code]
}

impl Script {
    fn new(code: &'static str) -> Self {
        Self { code, hash: redis::Script::new(code).get_hash().to_owned() }
    }

    /// Begins a call with its keys; the caller adds the arguments.
    pub(super) fn call<K: ToRedisArgs>(&self, keys: &[K]) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.hash).arg(keys.len());
        for key in keys {
            command.arg(key);
        }
        command
    }

    /// The same call with the script's text in place of its digest.
    fn with_text(&self, call: &Cmd) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(self.code);
        for arg in call.args_iter().skip(2) {
            if let redis::Arg::Simple(arg) = arg {
                command.arg(arg);
            }
        }
        command
    }
}

impl Broker {
    /// Runs a call. A store that does not know the script, or has forgotten it, is sent its text: one command,
    /// so that it cannot be forgotten in between.
    pub(super) async fn run(&self, script: &Script, call: &Cmd) -> Result<Value> {
        match self.send(call).await {
            Err(Error::Store(error)) if error.code() == Some("NOSCRIPT") => {
                self.send(&script.with_text(call)).await
            }
            answer => answer,
        }
    }
}
