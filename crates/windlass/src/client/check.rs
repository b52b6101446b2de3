//! What is checked of a store before jobs are trusted to it.

use redis::Value;

use crate::broker::{Broker, array, text};
use crate::error::{Error, Result};
use crate::keys::SCHEMA_VERSION;

/// The oldest Redis that has the commands used.
const VERSION_MIN: (u32, u32) = (6, 2);

/// Checks the version, the layout, and warns of settings that lose jobs.
pub(super) async fn store(broker: &Broker) -> Result<()> {
    // A store may refuse INFO and CONFIG; that alone is no reason not to use it.
    if let Ok(info) = broker.send(redis::cmd("INFO").arg("server")).await
        && let Ok(info) = text(info)
    {
        version(&info)?;
    }
    schema(broker).await?;
    // An embedded store is what its URL says: whoever asks for memory knows that it is gone with the process.
    if broker.connection().is_embedded() {
        return Ok(());
    }
    warn_of(broker, "appendonly", |value| value == "no", "its append log is off, a crash loses jobs").await;
    let evicts = |value: &str| value != "noeviction";
    warn_of(broker, "maxmemory-policy", evicts, "it may evict jobs when its memory is full").await;
    Ok(())
}

fn version(info: &str) -> Result<()> {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let Some(version) = field("redis_version") else { return Ok(()) };
    let mut numbers = version.split('.').map_while(|part| part.parse::<u32>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found >= VERSION_MIN {
        return Ok(());
    }
    let (major, minor) = VERSION_MIN;
    Err(Error::Unsupported(format!(
        "the store is Redis {version}; Windlass needs Redis {major}.{minor} or later, or Valkey: upgrade the server, or \
         name another store"
    )))
}

async fn schema(broker: &Broker) -> Result<()> {
    broker.check_writable().await?;
    let key = broker.keys().schema();
    let namespace = broker.keys().namespace();
    let found = match broker.send(redis::cmd("GET").arg(&key)).await {
        Err(Error::Store(error)) if error.code() == Some("WRONGTYPE") => {
            return Err(Error::Unsupported(format!(
                "the key `{key}` is no text, so that something other than Windlass has the namespace `{namespace}`: use \
                 another namespace, or delete the key if nobody needs it"
            )));
        }
        found => text(found?)?,
    };
    if found == SCHEMA_VERSION {
        return Ok(());
    }
    let own = env!("CARGO_PKG_VERSION");
    Err(Error::Unsupported(format!(
        "the namespace `{namespace}` has layout {found}, and Windlass {own} reads layout {SCHEMA_VERSION}: use a \
         version of Windlass that reads layout {found}, or another namespace"
    )))
}

async fn warn_of(broker: &Broker, name: &str, is_bad: impl Fn(&str) -> bool, why: &str) {
    let Ok(answer) = broker.send(redis::cmd("CONFIG").arg("GET").arg(name)).await else { return };
    let value = array(answer).ok().and_then(|pair| pair.into_iter().nth(1)).map(|value: Value| text(value));
    if let Some(Ok(value)) = value
        && is_bad(&value)
    {
        tracing::warn!(target: "windlass", "the store has {name} {value}: {why}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "the store is Redis 6.0.16; Windlass needs Redis 6.2 or later, or Valkey: upgrade the server, or \
                       name another store";

    #[test]
    fn old_stores_are_refused_by_name() {
        assert!(version("redis_version:6.2.0\r\n").is_ok());
        assert!(version("# Server\r\nredis_version:7.0.15\r\n").is_ok());
        assert!(version("nothing known").is_ok());
        let refused = version("redis_version:6.0.16\r\n").unwrap_err().to_string();
        assert_eq!(refused, OLD);
    }
}
