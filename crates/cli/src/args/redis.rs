//! What users of Redis type after `windlass serve`, and what stands for it here.
//!
//! A setting of Redis that cannot be a flag gets its name in a row of [`ANSWERS`].

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Names of settings, each alone or the beginning of several when it ends in a dash, and what to do instead.
const ANSWERS: &[(&[&str], &str)] = &[
    (
        &["appendfsync", "appendonly", "no-appendfsync-on-rewrite", "aof-"],
        "every write is logged; --durability always, everysec or none says when it is safe",
    ),
    (
        &["save", "dbfilename", "rdbcompression", "rdbchecksum", "rdb-", "stop-writes-on-bgsave-error"],
        "every write is logged, so there are no points to save at; `windlass backup` and `windlass export` copy",
    ),
    (
        &["requirepass"],
        "others on this machine see a command line: write the password into a file, --requirepass-file FILE",
    ),
    (
        &["daemonize", "pidfile", "supervised", "set-proc-title", "proc-title-template"],
        "it stays in the foreground: have systemd, a container or a shell keep it",
    ),
    (
        &["logfile", "loglevel", "syslog-", "crash-"],
        "it logs to standard error; WINDLASS_LOG=info says how much",
    ),
    (&["databases"], "there are 16 databases"),
    (
        &[
            "replicaof",
            "slaveof",
            "replica-",
            "slave-",
            "repl-",
            "min-replicas-",
            "min-slaves-",
            "masterauth",
            "masteruser",
        ],
        "there are no replicas; `windlass backup` copies while the server runs",
    ),
    (&["cluster-"], "there is no cluster"),
    (&["io-threads", "io-threads-do-reads"], "there is a thread for every two processors"),
    (
        &["aclfile", "user", "acllog-", "acl-"],
        "users live as long as the process: add them with ACL SETUSER once it runs",
    ),
    (&["loadmodule", "enable-module-command"], "there are no modules"),
    (&["rename-command"], "commands keep their names; ACL SETUSER default -NAME takes one away"),
    (&["include"], "settings are read from windlass.toml in the current folder"),
    (
        &[
            "auto-aof-rewrite-",
            "hash-max-",
            "latency-monitor-threshold",
            "list-compress-depth",
            "list-max-",
            "lua-time-limit",
            "maxmemory-samples",
            "notify-keyspace-events",
            "set-max-intset-entries",
            "slowlog-",
            "stream-node-max-entries",
            "zset-max-",
        ],
        "in windlass.toml in the current folder, write it under [serve.config]: NAME = \"VALUE\"; or use CONFIG SET",
    ),
    (
        &[
            "activedefrag",
            "active-",
            "activerehashing",
            "dynamic-hz",
            "hz",
            "jemalloc-bg-thread",
            "lazyfree-",
            "lfu-",
            "maxmemory-",
            "oom-",
            "tcp-backlog",
            "tls-",
            "tracking-",
            "latency-tracking",
        ],
        "there is no such setting here, and nothing to set in its place",
    ),
];

/// Adds to an error about the command line of `serve` what to do instead, when the flag is one of redis-server.
pub fn explain(error: &mut clap::Error) {
    if error.kind() != ErrorKind::UnknownArgument {
        return;
    }
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return };
    let Some(tip) = instead_of(argument) else { return };
    // The name that looks alike has nothing to do with it.
    error.remove(ContextKind::SuggestedArg);
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
}

fn instead_of(argument: &str) -> Option<&'static str> {
    let Some(name) = argument.strip_prefix("--") else {
        return argument
            .ends_with(".conf")
            .then_some("settings are read from windlass.toml in the current folder, and no other file");
    };
    let is_named = |known: &&str| *known == name || known.ends_with('-') && name.starts_with(*known);
    ANSWERS.iter().find(|(names, _)| names.iter().any(is_named)).map(|(_, tip)| *tip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_of_redis_are_explained_and_others_are_not() {
        let logged = instead_of("--appendonly").expect("it is one of Redis");
        assert!(logged.contains("--durability"), "{logged}");
        let set = instead_of("--slowlog-max-len").expect("it is one of Redis");
        assert!(set.contains("[serve.config]"), "{set}");
        let file = instead_of("/etc/redis/redis.conf").expect("it is one of Redis");
        assert!(file.contains("windlass.toml"), "{file}");
        assert_eq!(instead_of("--saves"), None);
        assert_eq!(instead_of("queue"), None);
    }
}
