//! The categories of commands that rules of ACL name. They follow from a command's group and flags.

use super::{Command, Flags};

/// Every category there is, in Redis's order.
pub const CATEGORIES: [&str; 21] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// Commands of the server that work on all keys.
const KEYSPACE: [&str; 4] = ["dbsize", "flushall", "flushdb", "swapdb"];
/// Commands that are an operator's by category alone: anybody's scripts may run them.
const ADMIN: [&str; 2] = ["lastsave", "role"];

/// The categories that a command is in, without the `@`, in that order.
pub fn categories(command: &Command) -> Vec<&'static str> {
    CATEGORIES.into_iter().filter(|category| is_in(command, category)).collect()
}

/// True when a command is in a category.
pub fn is_in(command: &Command, category: &str) -> bool {
    let has = |flag: Flags| command.flags.has(flag);
    // SORT works on three types and belongs to none.
    let is_sort = matches!(command.name, "sort" | "sort_ro");
    match category {
        "write" => has(Flags::WRITE),
        "read" => has(Flags::READONLY) && command.group != "scripting",
        "admin" => has(Flags::ADMIN) || ADMIN.contains(&command.name),
        "dangerous" => has(Flags::ADMIN) || has(Flags::DANGEROUS),
        "pubsub" => has(Flags::PUBSUB),
        "fast" => has(Flags::FAST),
        "slow" => !has(Flags::FAST),
        "blocking" => has(Flags::BLOCKING),
        "connection" if matches!(command.name, "command" | "wait") => true,
        // A container is in no category of its group: its commands are.
        _ if !command.subcommands.is_empty() => false,
        "keyspace" => {
            KEYSPACE.contains(&command.name)
                || command.group == "generic" && !matches!(command.name, "sort" | "sort_ro" | "wait")
        }
        "set" => command.group == "set" || is_sort,
        "sortedset" => command.group == "sorted-set" || is_sort,
        "list" => command.group == "list" || is_sort,
        "transaction" => command.group == "transactions",
        "connection" => command.group == "connection" || command.name.starts_with("command|"),
        category => command.group == category,
    }
}
