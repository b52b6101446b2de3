//! URLs of stores: what [`Connection::open`](crate::Connection::open) accepts.

use std::path::PathBuf;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

use crate::error::{Error, Result};

/// What an error about a URL tells its reader.
pub const ACCEPTED: &str = "expected a directory such as `./jobs` or `file:./jobs`, `memory:`, `memory:NAME`, \
                            `redis://[USER:PASSWORD@]HOST[:PORT][/DB]`, `rediss://…` or `unix:PATH`";

/// A store, as its URL names it.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "embedded"),
    expect(dead_code, reason = "such a store is named in order to be refused")
)]
pub enum Url {
    /// A database in memory of its own.
    Memory,
    /// A database in memory that this process shares under a name.
    SharedMemory(String),
    /// A database in a directory.
    Directory(PathBuf),
    /// A server.
    Server(Address),
}

/// Where a server is and how to introduce oneself to it.
#[derive(Clone, Debug)]
pub struct Address {
    pub place: Place,
    pub redis: RedisConnectionInfo,
}

/// Where a server listens.
#[derive(Clone, Debug)]
pub enum Place {
    Tcp { host: String, port: u16, is_tls: bool },
    Unix(PathBuf),
}

#[cfg(feature = "embedded")]
impl Address {
    /// The server of another process on this machine.
    pub fn unix(path: PathBuf) -> Self {
        Self { place: Place::Unix(path), redis: RedisConnectionInfo::default() }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { host, port, .. } if host.contains(':') => write!(out, "[{host}]:{port}"),
            Self::Tcp { host, port, .. } => write!(out, "{host}:{port}"),
            Self::Unix(path) => path.display().fmt(out),
        }
    }
}

impl Url {
    /// Reads a URL. A path needs no scheme.
    pub fn parse(text: &str) -> Result<Self> {
        let Some((scheme, rest)) = split_scheme(text) else {
            return match text {
                "" => Err(bad(text, "nothing is named")),
                path => Ok(Self::Directory(path.into())),
            };
        };
        match scheme.to_ascii_lowercase().as_str() {
            "memory" => match rest {
                "" => Ok(Self::Memory),
                name if name.starts_with("//") => Err(bad(text, "`memory:` takes a name without slashes")),
                name => Ok(Self::SharedMemory(name.into())),
            },
            "file" => match rest.strip_prefix("//").unwrap_or(rest) {
                "" => Err(bad(text, "the path is missing")),
                path => Ok(Self::Directory(path.into())),
            },
            "redis" | "valkey" => server(text, &format!("redis:{rest}"), false),
            "rediss" | "valkeys" => tls_server(text, rest),
            "unix" | "redis+unix" | "valkey+unix" => match rest.strip_prefix("//").unwrap_or(rest) {
                "" => Err(bad(text, "the path is missing")),
                path if path.starts_with('/') => server(text, &format!("unix://{path}"), false),
                path => {
                    let absolute =
                        std::path::absolute(path).map_err(|error| bad(text, &error.to_string()))?;
                    server(text, &format!("unix://{}", absolute.display()), false)
                }
            },
            _ if rest.starts_with(|first: char| first.is_ascii_digit()) => {
                Err(bad(text, &format!("a host and a port need `redis://` before them (`redis://{text}`)")))
            }
            _ => Err(bad(text, &format!("the scheme `{scheme}` is unknown"))),
        }
    }
}

/// The text before the first colon, when it looks like a scheme rather than like a part of a path.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char));
    is_scheme.then_some((scheme, rest))
}

#[cfg(feature = "tls")]
fn tls_server(text: &str, rest: &str) -> Result<Url> {
    if text.contains('#') {
        return Err(bad(
            text,
            "a certificate that is not checked protects nothing, so that no `#` part is accepted",
        ));
    }
    server(text, &format!("redis:{rest}"), true)
}

#[cfg(not(feature = "tls"))]
fn tls_server(text: &str, _: &str) -> Result<Url> {
    Err(Error::MissingFeature { url: without_password(text), feature: "tls" })
}

/// What may stand behind the `?` of a server's URL, and of a socket's.
const OPTIONS: [&str; 1] = ["protocol"];
const SOCKET_OPTIONS: [&str; 4] = ["db", "pass", "protocol", "user"];

/// Refuses what redis-rs would read over: whoever wrote it means something by it.
fn check_options(text: &str, plain: &str) -> Result<()> {
    if text.contains('#') {
        return Err(bad(text, "nothing is meant by a `#` part; a `#` of a password is written `%23`"));
    }
    let Some((_, options)) = text.split_once('?') else { return Ok(()) };
    let is_socket = plain.starts_with("unix:");
    if !is_socket && options.contains('@') {
        return Err(bad(text, "an `@` stands behind the `?`; a `?` of a password is written `%3F`"));
    }
    let known = if is_socket { &SOCKET_OPTIONS[..] } else { &OPTIONS };
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let name = option.split('=').next().unwrap_or_default();
        if !known.contains(&name) {
            let known = known.join("`, `");
            return Err(bad(text, &format!("the option `{name}` is unknown (what is known is `{known}`)")));
        }
    }
    Ok(())
}

/// Lets redis-rs read the URL, so that users, passwords, databases and options mean the same as there. TLS is ours,
/// so that `plain` never asks for it.
fn server(text: &str, plain: &str, is_tls: bool) -> Result<Url> {
    check_options(text, plain)?;
    let info: ConnectionInfo = plain.into_connection_info().map_err(|error| {
        let reason = error.detail().map_or_else(|| error.to_string(), str::to_owned);
        bad(text, reason.trim_end_matches(" - InvalidClientConfig"))
    })?;
    let place = match info.addr() {
        ConnectionAddr::Tcp(host, port) => Place::Tcp { host: host.clone(), port: *port, is_tls },
        ConnectionAddr::Unix(path) => Place::Unix(path.clone()),
        _ => return Err(bad(text, "the address is of an unknown kind")),
    };
    Ok(Url::Server(Address { place, redis: info.redis_settings().clone() }))
}

fn bad(text: &str, reason: &str) -> Error {
    Error::BadUrl { url: without_password(text), reason: reason.to_owned() }
}

/// The URL as it may be shown: what stands between the first colon after the slashes and the last `@` is hidden, and the
/// values of options whose names begin as that of the password does.
fn without_password(text: &str) -> String {
    let text = without_user_password(text);
    let Some((place, options)) = text.split_once('?') else { return text };
    let hide = |option: &str| match option.split_once('=') {
        Some((name, _)) if name.starts_with("pass") => format!("{name}=…"),
        _ => option.to_owned(),
    };
    let options: Vec<String> = options.split('&').map(hide).collect();
    format!("{place}?{}", options.join("&"))
}

fn without_user_password(text: &str) -> String {
    let Some(start) = text.find("//").map(|at| at + 2) else { return text.into() };
    let Some(end) = text[start..].rfind('@').map(|at| at + start) else { return text.into() };
    match text[start..end].find(':') {
        Some(colon) => format!("{}:…{}", &text[..start + colon], &text[end..]),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match Url::parse(text) {
            Ok(Url::Memory) => "memory".into(),
            Ok(Url::SharedMemory(name)) => format!("memory {name}"),
            Ok(Url::Directory(path)) => format!("directory {}", path.display()),
            Ok(Url::Server(address)) => format!("server {} db {}", address.place, address.redis.db()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_accepted_form_names_its_store() {
        let cases = [
            ("memory:", "memory"),
            ("memory:jobs", "memory jobs"),
            ("./jobs", "directory ./jobs"),
            ("/var/lib/jobs", "directory /var/lib/jobs"),
            ("./a:b", "directory ./a:b"),
            ("file:./jobs", "directory ./jobs"),
            ("file:///var/lib/jobs", "directory /var/lib/jobs"),
            ("redis://127.0.0.1", "server 127.0.0.1:6379 db 0"),
            ("redis://user:p%40ss@cache:6380/3", "server cache:6380 db 3"),
            ("valkey://[::1]:7000", "server [::1]:7000 db 0"),
            ("redis://host/2?protocol=resp3", "server host:6379 db 2"),
            ("unix:/run/redis.sock", "server /run/redis.sock db 0"),
            ("redis+unix:///run/redis.sock?db=2", "server /run/redis.sock db 2"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn a_wrong_url_says_what_is_wrong_and_what_is_accepted() {
        let cases = [
            ("", "nothing is named"),
            ("http://localhost", "the scheme `http` is unknown"),
            ("localhost:6379", "a host and a port need `redis://` before them (`redis://localhost:6379`)"),
            ("redis://", "Missing hostname"),
            ("redis://host/x", "Invalid database number"),
            ("redis://host:99999", "Redis URL did not parse"),
            ("unix:", "the path is missing"),
            ("file:", "the path is missing"),
            ("redis://host?foo=1", "the option `foo` is unknown (what is known is `protocol`)"),
            (
                "redis://host/1?protocol=resp3&db=2",
                "the option `db` is unknown (what is known is `protocol`)",
            ),
            ("redis://:p?w@host", "an `@` stands behind the `?`; a `?` of a password is written `%3F`"),
            ("redis://host#insecure", "nothing is meant by a `#` part; a `#` of a password is written `%23`"),
            (
                "unix:/run/redis.sock?paswd=x",
                "the option `paswd` is unknown (what is known is `db`, `pass`, `protocol`, `user`)",
            ),
            ("memory://x", "`memory:` takes a name without slashes"),
        ];
        for (text, reason) in cases {
            assert_eq!(shown(text), format!("{reason} in {:?}; {ACCEPTED}", without_password(text)));
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        assert!(shown("redis://user:secret@host/x").contains("redis://user:…@host/x"));
        assert!(!shown("redis://:sec@ret@host/x").contains("ret"));
        assert!(shown("unix:/x?db=1&password=secret").contains("unix:/x?db=1&password=…"));
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn tls_without_the_feature_says_so() {
        assert_eq!(
            shown("rediss://host"),
            "\"rediss://host\" needs the feature `tls` of windlass, which this build leaves out"
        );
    }
}
