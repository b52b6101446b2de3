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
    ADOPT = "adopt.lua";
    BATCH_CANCEL = "ask.lua" "batch_cancel.lua";
    BATCH_END = "lane.lua" "record.lua" "hooks.lua" "unread.lua" "kept.lua" "batch_end.lua";
    BATCH_LOOK = "batch_look.lua";
    BATCH_PUSH = "lane.lua" "record.lua" "room.lua" "hooks.lua" "batch_push.lua";
    BEAT = "beat.lua";
    #[cfg(feature = "cron")]
    CRON_DUE = "cron_due.lua";
    #[cfg(feature = "cron")]
    CRON_FIRE = "lane.lua" "cron_fire.lua";
    #[cfg(feature = "cron")]
    CRON_LIST = "cron_list.lua";
    #[cfg(feature = "cron")]
    CRON_PAUSE = "cron_pause.lua";
    #[cfg(feature = "cron")]
    CRON_PUT = "lane.lua" "record.lua" "cron_put.lua";
    #[cfg(feature = "cron")]
    CRON_REMOVE = "cron_remove.lua";
    #[cfg(feature = "cron")]
    CRON_RESUME = "cron_resume.lua";
    #[cfg(feature = "cron")]
    CRON_RUN = "lane.lua" "cron_run.lua";
    CANCEL = "lane.lua" "record.lua" "find.lua" "hooks.lua" "unread.lua" "ask.lua" "kept.lua" "cancel.lua";
    COMPACT = "compact.lua";
    EDIT = "lane.lua" "record.lua" "find.lua" "enqueue.lua" "hooks.lua" "unread.lua" "kept.lua" "edit.lua";
    EVENTS = "events.lua";
    EXCHANGE = "fence.lua" "after.lua" "exchange.lua";
    EXCHANGE_RULED = "fence.lua" "after.lua" "lane.lua" "record.lua" "rule.lua" "turn.lua" "admit.lua" "plain.lua" "regain.lua" "ruled.lua" "exchange.lua";
    FAIL = "fence.lua" "kept.lua" "fail.lua";
    FAIL_FLOW = "lane.lua" "record.lua" "fence.lua" "kept.lua" "hooks.lua" "fail.lua";
    FAIL_RULED = "fence.lua" "kept.lua" "lane.lua" "record.lua" "rule.lua" "hooks.lua" "fail.lua";
    HELD = "lane.lua" "rule.lua" "held.lua";
    KNOW = "know.lua";
    LANE_LIST = "lane.lua" "lane_list.lua";
    LEAVE = "leave.lua";
    PASS = "fence.lua" "pass.lua";
    PROGRESS = "fence.lua" "progress.lua";
    PROMOTE = "lane.lua" "record.lua" "enqueue.lua" "promote.lua";
    PRUNE = "lane.lua" "record.lua" "hooks.lua" "unread.lua" "kept.lua" "prune.lua";
    PUSH = "push.lua";
    PUSH_LANE = "lane.lua" "push_lane.lua";
    PUSH_LIMITED = "lane.lua" "room.lua" "push_limited.lua";
    PUSH_ONCE = "lane.lua" "room.lua" "push_once.lua";
    PUSH_UNIQUE = "lane.lua" "record.lua" "find.lua" "enqueue.lua" "roomy.lua" "push_unique.lua";
    PUSH_UNIQUE_LIMITED = "lane.lua" "record.lua" "find.lua" "enqueue.lua" "room.lua" "push_unique.lua";
    QUEUE_ADD = "lane.lua" "queue_add.lua";
    QUEUE_RM = "lane.lua" "queue_rm.lua";
    RECOVER = "lane.lua" "record.lua" "rule.lua" "hooks.lua" "unread.lua" "kept.lua" "recover.lua";
    RELEASE = "fence.lua" "release.lua";
    RELEASE_UNIQUE = "release_unique.lua";
    REMOVE = "lane.lua" "record.lua" "hooks.lua" "unread.lua" "kept.lua" "remove.lua";
    RENEW = "fence.lua" "renew.lua";
    REQUEUE = "lane.lua" "record.lua" "enqueue.lua" "hooks.lua" "unread.lua" "kept.lua" "requeue.lua";
    REQUEUE_ALL = "lane.lua" "record.lua" "enqueue.lua" "hooks.lua" "unread.lua" "kept.lua" "requeue_all.lua";
    RESCHEDULE = "lane.lua" "record.lua" "find.lua" "hooks.lua" "unread.lua" "kept.lua" "reschedule.lua";
    RESUME = "resume.lua";
    RETAIN = "kept.lua" "retain.lua";
    SCHEDULE = "schedule.lua";
    RULE_SET = "lane.lua" "rule_set.lua";
    SETTLE = "lane.lua" "record.lua" "fence.lua" "hooks.lua" "settle.lua";
    SETTLE_RULED = "fence.lua" "lane.lua" "record.lua" "rule.lua" "hooks.lua" "settle.lua";
    SHOW = "lane.lua" "record.lua" "show.lua";
    UNPARK = "lane.lua" "record.lua" "enqueue.lua" "unpark.lua";
}

/// The texts of the scripts that the embedded engine knows by their digests, for the test that holds the two together:
/// pushing and exchanging, the same with lanes, and jobs that are unique.
#[doc(hidden)]
pub fn hot_scripts() -> [&'static str; 6] {
    [&PUSH, &EXCHANGE, &EXCHANGE_RULED, &PUSH_LANE, &PUSH_UNIQUE, &RELEASE_UNIQUE].map(|script| script.code)
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
