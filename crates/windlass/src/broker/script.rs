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
    ($($name:ident = $($file:literal)+;)+) => {
        $(pub(super) static $name: LazyLock<Script> = LazyLock::new(|| Script::new(concat!($(include_str!(concat!("../../lua/", $file, ".lua"))),+)));)+
    };
}

scripts! {
    BEAT = "beat";
    FAIL = "fence" "trim" "fail";
    FETCH = "fetch";
    FINISH = "fence" "finish";
    LEAVE = "leave";
    PROMOTE = "enqueue" "promote";
    PRUNE = "trim" "prune";
    PUSH = "push";
    PUSH_ONCE = "push_once";
    RECOVER = "trim" "recover";
    RELEASE = "fence" "release";
    REMOVE = "remove";
    RENEW = "fence" "renew";
    REQUEUE = "enqueue" "requeue";
    RESUME = "resume";
    SCHEDULE = "schedule";
    SHOW = "show";
    UNPARK = "enqueue" "unpark";
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
}

impl Broker {
    /// Runs a call. A store that does not know the script, or has forgotten it, is told it.
    pub(super) async fn run(&self, script: &Script, call: &Cmd) -> Result<Value> {
        match self.send(call).await {
            Err(Error::Store(error)) if error.code() == Some("NOSCRIPT") => {
                let mut load = redis::cmd("SCRIPT");
                load.arg("LOAD").arg(script.code);
                self.send(&load).await?;
                self.send(call).await
            }
            answer => answer,
        }
    }
}
