//! The settings that the engine keeps for whoever serves its clients, under Redis's names for CONFIG.
//!
//! A new one gets an arm in [`shown`] and in [`set`], and a row of `command/server/config.rs`.

use crate::command::string::STRING_MAX;
use crate::config::{Config, DebugCommand, Eviction, OutputLimit};
use crate::number::parse_integer;

/// The greatest number of seconds, and of clients.
const NUMBER_MAX: u64 = i32::MAX as u64;
/// The most keys that are drawn to find an idle one; more would hold everybody up.
const SAMPLES_MAX: u64 = 64;
/// The least that a request and its arguments can be held to.
const MEMORY_MIN: usize = 1 << 20;
/// What Redis grants replicas. There are none here, and it can be set as it is only.
const REPLICA: &str = "slave 268435456 67108864 60";

/// The value of a setting. Not each of them can be changed while the engine runs: who may call DEBUG is settled before.
///
/// # Panics
/// When the name is none of this file's.
pub fn shown(config: &Config, name: &str) -> String {
    let clients = &config.clients;
    let output = |limit: &OutputLimit| format!("{} {} {}", limit.hard, limit.soft, limit.soft_s);
    match name {
        "auto-aof-rewrite-min-size" => config.rewrite.bytes_min.to_string(),
        "auto-aof-rewrite-percentage" => config.rewrite.percentage.to_string(),
        "busy-reply-threshold" | "lua-time-limit" => config.script_time_max_ms.to_string(),
        "client-output-buffer-limit" => {
            format!("normal {} {REPLICA} pubsub {}", output(&clients.replies), output(&clients.messages))
        }
        "client-query-buffer-limit" => clients.request_max.to_string(),
        "enable-debug-command" => match config.debug_command {
            DebugCommand::No => "no",
            DebugCommand::Yes => "yes",
            DebugCommand::Local => "local",
        }
        .to_owned(),
        "maxclients" => clients.count_max.to_string(),
        "maxmemory-policy" => config.eviction.name().to_owned(),
        "maxmemory-samples" => config.eviction_samples.to_string(),
        "proto-max-bulk-len" => clients.argument_max.to_string(),
        "protected-mode" => if clients.is_protected { "yes" } else { "no" }.to_owned(),
        "tcp-keepalive" => clients.keepalive_s.to_string(),
        "timeout" => clients.idle_s.to_string(),
        other => unreachable!("`{other}` is no setting of clients"),
    }
}

/// Changes a setting.
///
/// # Errors
/// What is wrong with the value, in Redis's words.
pub fn set(config: &mut Config, name: &str, value: &str) -> Result<(), String> {
    let clients = &mut config.clients;
    match name {
        "auto-aof-rewrite-min-size" => {
            config.rewrite.bytes_min = bytes(value).ok_or("argument must be a memory value")? as u64;
        }
        "auto-aof-rewrite-percentage" => config.rewrite.percentage = number(value, 0, NUMBER_MAX)?,
        "busy-reply-threshold" | "lua-time-limit" => {
            config.script_time_max_ms = number(value, 0, i64::MAX as u64)?;
        }
        "client-output-buffer-limit" => set_output(config, value)?,
        "client-query-buffer-limit" => clients.request_max = memory(value, i64::MAX as usize)?,
        "enable-debug-command" => {
            config.debug_command = match value.to_ascii_lowercase().as_str() {
                "no" => DebugCommand::No,
                "yes" => DebugCommand::Yes,
                "local" => DebugCommand::Local,
                _ => return Err("argument(s) must be one of the following: no, yes, local".into()),
            }
        }
        "maxclients" => clients.count_max = number(value, 1, u64::from(u32::MAX))? as usize,
        "maxmemory-policy" => {
            let known = [Eviction::NoEviction, Eviction::AllkeysLru];
            let named = known.into_iter().find(|policy| value.eq_ignore_ascii_case(policy.name()));
            config.eviction =
                named.ok_or("argument(s) must be one of the following: noeviction, allkeys-lru")?;
        }
        "maxmemory-samples" => config.eviction_samples = number(value, 1, SAMPLES_MAX)? as usize,
        "proto-max-bulk-len" => clients.argument_max = memory(value, STRING_MAX)?,
        "protected-mode" => {
            clients.is_protected = match value.to_ascii_lowercase().as_str() {
                "yes" => true,
                "no" => false,
                _ => return Err("argument must be 'yes' or 'no'".into()),
            }
        }
        "tcp-keepalive" => clients.keepalive_s = number(value, 0, NUMBER_MAX)?,
        "timeout" => clients.idle_s = number(value, 0, NUMBER_MAX)?,
        other => return Err(format!("`{other}` is no setting of clients")),
    }
    Ok(())
}

/// A number of bytes with a unit such as `1mb`.
pub fn bytes(text: &str) -> Option<usize> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1_000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(factor)
}

/// A limit of memory that is no less than Redis allows.
fn memory(value: &str, max: usize) -> Result<usize, String> {
    let bytes = bytes(value).ok_or("argument must be a memory value")?;
    if (MEMORY_MIN..=max).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(format!("argument must be between {MEMORY_MIN} and {max} inclusive"))
    }
}

fn number(value: &str, min: u64, max: u64) -> Result<u64, String> {
    let number = parse_integer(value.as_bytes()).ok_or("argument couldn't be parsed into an integer")?;
    match u64::try_from(number) {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(format!("argument must be between {min} and {max} inclusive")),
    }
}

/// Groups of class, hard limit, soft limit and seconds; a class that is not named keeps its limits.
fn set_output(config: &mut Config, value: &str) -> Result<(), String> {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    if words.is_empty() || !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    }
    for group in words.chunks_exact(4) {
        let wrong =
            || "Error in hard, soft or soft_seconds setting in buffer limit configuration.".to_owned();
        let limit = OutputLimit {
            hard: bytes(group[1]).ok_or_else(wrong)?,
            soft: bytes(group[2]).ok_or_else(wrong)?,
            soft_s: group[3].parse().map_err(|_| wrong())?,
        };
        match group[0].to_ascii_lowercase().as_str() {
            "normal" => config.clients.replies = limit,
            "pubsub" => config.clients.messages = limit,
            // There are no replicas: their limit is accepted and has no effect.
            "slave" | "replica" => {}
            _ => return Err("Invalid client class specified in buffer limit configuration.".into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown_after(name: &str, value: &str) -> Result<String, String> {
        let mut config = Config::default();
        set(&mut config, name, value)?;
        Ok(shown(&config, name))
    }

    #[test]
    fn every_setting_can_be_set_to_what_is_shown() {
        for name in [
            "busy-reply-threshold",
            "client-output-buffer-limit",
            "client-query-buffer-limit",
            "enable-debug-command",
            "lua-time-limit",
            "maxclients",
            "proto-max-bulk-len",
            "protected-mode",
            "tcp-keepalive",
            "timeout",
        ] {
            let value = shown(&Config::default(), name);
            assert_eq!(shown_after(name, &value), Ok(value), "{name}");
        }
    }

    #[test]
    fn output_limits_are_read_by_class_and_with_units() {
        assert_eq!(
            shown_after("client-output-buffer-limit", "pubsub 1mb 512kb 7 normal 2 1 3"),
            Ok(format!("normal 2 1 3 {REPLICA} pubsub 1048576 524288 7"))
        );
        for (value, why) in [
            ("pubsub 1 2", "Wrong number of arguments in buffer limit configuration."),
            ("friends 1 2 3", "Invalid client class specified in buffer limit configuration."),
            ("pubsub x 2 3", "Error in hard, soft or soft_seconds setting in buffer limit configuration."),
        ] {
            assert_eq!(shown_after("client-output-buffer-limit", value), Err(why.into()));
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused_in_the_words_of_redis() {
        assert_eq!(
            shown_after("maxclients", "0"),
            Err("argument must be between 1 and 4294967295 inclusive".into())
        );
        assert_eq!(
            shown_after("timeout", "-1"),
            Err("argument must be between 0 and 2147483647 inclusive".into())
        );
        assert_eq!(shown_after("timeout", "x"), Err("argument couldn't be parsed into an integer".into()));
        assert_eq!(shown_after("enable-debug-command", "LOCAL"), Ok("local".into()));
        assert_eq!(
            shown_after("enable-debug-command", "remote"),
            Err("argument(s) must be one of the following: no, yes, local".into())
        );
        assert_eq!(shown_after("protected-mode", "maybe"), Err("argument must be 'yes' or 'no'".into()));
    }
}
