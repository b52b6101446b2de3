//! Which store, and how to serve: flag over environment over `windlass.toml` over default.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, anyhow};
use serde::Deserialize;
use tokio::sync::Mutex;
use windlass::{Client, Subscription};
use windlass_server::ClientCertificates;

use crate::args::{ServeArgs, StoreArgs};
use crate::exit::{CONFIGURATION, Failure, Result};

/// The file that is read from the current folder, if it is there.
const FILE: &str = "windlass.toml";
const STORE_DEFAULT: &str = "windlass-data";
const BIND_DEFAULT: &str = "127.0.0.1";
const PORT_DEFAULT: u16 = 6380;
const NAMESPACE_DEFAULT: &str = "default";

/// The settings file. Every key is optional; an unknown one is an error, because it is most likely misspelt.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    store: Option<String>,
    namespace: Option<String>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    serve: ServeFile,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServeFile {
    dir: Option<PathBuf>,
    #[serde(default)]
    in_memory: bool,
    bind: Option<Addresses>,
    port: Option<u16>,
    unixsocket: Option<PathBuf>,
    unixsocketperm: Option<String>,
    tls_port: Option<u16>,
    #[serde(default)]
    tls_only: bool,
    tls_cert_file: Option<PathBuf>,
    tls_key_file: Option<PathBuf>,
    tls_ca_cert_file: Option<PathBuf>,
    tls_auth_clients: Option<String>,
    protected_mode: Option<String>,
    maxclients: Option<String>,
    timeout: Option<String>,
    tcp_keepalive: Option<String>,
    client_output_buffer_limit: Option<String>,
    busy_reply_threshold: Option<String>,
    enable_debug_command: Option<String>,
    durability: Option<String>,
    rewrite_rate: Option<String>,
    rewrite_memory: Option<String>,
    requirepass_file: Option<PathBuf>,
    maxmemory: Option<String>,
    maxmemory_policy: Option<String>,
    /// Further settings under the names that CONFIG SET knows them by.
    #[serde(default)]
    config: BTreeMap<String, String>,
}

/// One address or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Addresses {
    One(String),
    Many(Vec<String>),
}

/// The store that a command works on.
#[derive(Clone, Debug)]
pub struct Store {
    pub url: String,
    pub namespace: String,
    pub ca_file: Option<PathBuf>,
    pub json: bool,
    /// The client that the command has opened there, and what it hears of its moves.
    pub opened: Arc<OnceLock<(Client, Mutex<Subscription>)>>,
}

impl Store {
    /// The URL as it may be shown: without a password.
    pub fn shown(&self) -> String {
        crate::carry::shown(&self.url)
    }

    /// True for a store in the memory of this process alone.
    pub fn is_memory(&self) -> bool {
        self.url.to_ascii_lowercase().starts_with("memory:")
    }
}

/// How to serve.
#[derive(Debug)]
pub struct Serve {
    /// None for data in memory only.
    pub dir: Option<PathBuf>,
    pub listen: windlass_server::Config,
    pub durability: windlass_db::Durability,
    /// The most bytes a second that a rewrite writes; 0 for no limit.
    pub rewrite_bytes_per_s: u64,
    /// The most bytes of memory that it takes for what is changed meanwhile.
    pub preimage_bytes_max: u64,
    pub engine: windlass_db::EngineConfig,
    /// What CONFIG SET is to set before anybody is served.
    pub config: BTreeMap<String, String>,
    /// The settings file, if there was one.
    pub file: Option<PathBuf>,
}

/// Settles the store from flags, environment, file and defaults.
pub fn store(args: &StoreArgs) -> Result<Store> {
    let file = file()?;
    let environment = ["WINDLASS_URL", "REDIS_URL"].into_iter().find_map(|name| {
        let value = std::env::var_os(name)?.into_string();
        Some(value.map_err(|_| Failure::new(CONFIGURATION, anyhow!("{name} is not text in UTF-8"))))
    });
    let url = args
        .store
        .clone()
        .map(Ok)
        .or(environment)
        .transpose()?
        .or(file.store)
        .unwrap_or_else(|| STORE_DEFAULT.into());
    let namespace = args.namespace.clone().or(file.namespace).unwrap_or_else(|| NAMESPACE_DEFAULT.into());
    let ca_file = args.ca_file.clone().or(file.ca_file);
    Ok(Store { url, namespace, ca_file, json: args.json, opened: Arc::default() })
}

/// Settles how to serve from flags, file and defaults.
pub fn serve(args: ServeArgs) -> Result<Serve> {
    let file = file()?.serve;
    let wrong = |error| Failure::new(CONFIGURATION, error);
    let is_in_memory = args.in_memory || file.in_memory;
    for (name, is_set) in [
        ("dir", args.dir.is_some() || !args.in_memory && file.dir.is_some()),
        ("durability", args.durability.is_some() || !args.in_memory && file.durability.is_some()),
    ] {
        if is_in_memory && is_set {
            return Err(wrong(anyhow!(
                "{name} and in-memory exclude each other: nothing is kept in memory only"
            )));
        }
    }
    let durability = args.durability.clone().or(file.durability.clone()).unwrap_or_else(|| "always".into());
    let listen = self::listen(&args, &file).map_err(wrong)?;
    let mut engine = windlass_db::EngineConfig::default();
    if let Some(path) = args.requirepass_file.or(file.requirepass_file) {
        engine.password = password(&path).map_err(wrong)?;
    }
    if let Some(size) = args.maxmemory.or(file.maxmemory) {
        engine.memory_max = bytes(&size).map_err(wrong)?;
    }
    let size = |size: Option<String>| size.map(|size| bytes(&size).map_err(wrong)).transpose();
    let defaults = windlass_db::Config::default();
    let rewrite_bytes_per_s = size(args.rewrite_rate.or(file.rewrite_rate))?.map(|size| size as u64);
    let preimage_bytes_max = size(args.rewrite_memory.or(file.rewrite_memory))?.map(|size| size as u64);
    for (name, value) in [
        ("maxmemory-policy", args.maxmemory_policy.or(file.maxmemory_policy)),
        ("protected-mode", args.protected_mode.or(file.protected_mode)),
        ("maxclients", args.maxclients.or(file.maxclients)),
        ("timeout", args.timeout.or(file.timeout)),
        ("tcp-keepalive", args.tcp_keepalive.or(file.tcp_keepalive)),
        ("client-output-buffer-limit", args.client_output_buffer_limit.or(file.client_output_buffer_limit)),
        ("busy-reply-threshold", args.busy_reply_threshold.or(file.busy_reply_threshold)),
        ("enable-debug-command", args.enable_debug_command.or(file.enable_debug_command)),
    ] {
        if let Some(value) = value {
            engine.set(name, &value).map_err(|why| wrong(anyhow!("`{value}` is no {name}: {why}")))?;
        }
    }
    Ok(Serve {
        dir: (!is_in_memory).then(|| args.dir.or(file.dir).unwrap_or_else(|| STORE_DEFAULT.into())),
        listen,
        durability: self::durability(&durability)?,
        rewrite_bytes_per_s: rewrite_bytes_per_s.unwrap_or(defaults.rewrite_bytes_per_s),
        preimage_bytes_max: preimage_bytes_max.unwrap_or(defaults.preimage_bytes_max),
        engine,
        config: file.config,
        file: std::path::absolute(FILE).ok().filter(|path| path.exists()),
    })
}

/// Settles where to listen.
fn listen(args: &ServeArgs, file: &ServeFile) -> anyhow::Result<windlass_server::Config> {
    let addresses = match &file.bind {
        _ if !args.bind.is_empty() => args.bind.clone(),
        Some(Addresses::One(address)) => vec![address.clone()],
        Some(Addresses::Many(addresses)) => addresses.clone(),
        None => vec![BIND_DEFAULT.to_owned()],
    };
    let port = args.port.or(file.port);
    // The file's port may be for the file's addresses, in whose place there are others now.
    let must_be_used = args.port.is_some() || args.bind.is_empty();
    if let Some(port) = port
        && must_be_used
        && addresses.iter().all(|address| has_port(address))
    {
        return Err(anyhow!("port {port} is for no address: each that is to be bound names its own"));
    }
    let addresses: Vec<String> =
        addresses.into_iter().map(|address| with_some_port(address, port.unwrap_or(PORT_DEFAULT))).collect();
    let tls_port = args.tls_port.or(file.tls_port);
    let tls_tcp = match tls_port {
        Some(port) => {
            addresses.iter().map(|address| with_port(address, port)).collect::<anyhow::Result<_>>()?
        }
        None => Vec::new(),
    };
    let mut config = windlass_server::Config {
        tcp: addresses,
        tls_tcp,
        unix: args.unixsocket.clone().or(file.unixsocket.clone()),
        ..windlass_server::Config::default()
    };
    if args.tls_only || file.tls_only {
        config.tcp.clear();
    }
    if tls_port.is_some() {
        config.tls = Some(tls(args, file)?);
    } else if let Some(name) = tls_given(args, file) {
        return Err(anyhow!("{name} is for --tls-port, which is missing: nothing would be encrypted"));
    }
    if let Some(bits) = args.unixsocketperm.as_ref().or(file.unixsocketperm.as_ref()) {
        config.unix_mode = u32::from_str_radix(bits, 8)
            .map_err(|_| anyhow!("`{bits}` is no unixsocketperm: write permission bits such as 770"))?;
    }
    Ok(config)
}

/// What was said of TLS, if anything was.
fn tls_given(args: &ServeArgs, file: &ServeFile) -> Option<&'static str> {
    let is_given = [
        ("--tls-cert-file", args.tls_cert_file.is_some() || file.tls_cert_file.is_some()),
        ("--tls-key-file", args.tls_key_file.is_some() || file.tls_key_file.is_some()),
        ("--tls-ca-cert-file", args.tls_ca_cert_file.is_some() || file.tls_ca_cert_file.is_some()),
        ("--tls-auth-clients", args.tls_auth_clients.is_some() || file.tls_auth_clients.is_some()),
        ("--tls-only", args.tls_only || file.tls_only),
    ];
    is_given.into_iter().find(|(_, is_given)| *is_given).map(|(name, _)| name)
}

/// Settles who the server is to clients of its TLS port.
fn tls(args: &ServeArgs, file: &ServeFile) -> anyhow::Result<windlass_server::Tls> {
    let needed = |of: &Option<PathBuf>, or: &Option<PathBuf>, name: &str| {
        of.clone().or(or.clone()).ok_or_else(|| anyhow!("--tls-port needs {name}"))
    };
    let clients = args.tls_auth_clients.as_deref().or(file.tls_auth_clients.as_deref()).unwrap_or("yes");
    let tls = windlass_server::Tls {
        cert_file: needed(&args.tls_cert_file, &file.tls_cert_file, "--tls-cert-file")?,
        key_file: needed(&args.tls_key_file, &file.tls_key_file, "--tls-key-file")?,
        ca_file: args.tls_ca_cert_file.clone().or(file.tls_ca_cert_file.clone()),
        clients: match clients {
            "yes" => ClientCertificates::Required,
            "optional" => ClientCertificates::Optional,
            "no" => ClientCertificates::Unasked,
            other => return Err(anyhow!("unknown tls-auth-clients `{other}`; it is yes, no or optional")),
        },
    };
    if tls.ca_file.is_none() && tls.clients != ClientCertificates::Unasked {
        return Err(anyhow!(
            "--tls-port needs --tls-ca-cert-file, which says whose clients are let in, or --tls-auth-clients no"
        ));
    }
    Ok(tls)
}

/// An address with this port if it names none.
fn with_some_port(address: String, port: u16) -> String {
    match address.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, port).to_string(),
        Err(_) if has_port(&address) => address,
        Err(_) => format!("{address}:{port}"),
    }
}

/// Whether there is a port behind a name, or behind an address of IPv6 in its brackets.
fn has_port(address: &str) -> bool {
    address.parse::<IpAddr>().is_err()
        && address.rsplit_once(':').is_some_and(|(host, _)| !host.starts_with('[') || host.ends_with(']'))
}

/// An address with another port.
fn with_port(address: &str, port: u16) -> anyhow::Result<String> {
    let (host, _) =
        address.rsplit_once(':').with_context(|| format!("`{address}` is no address; write HOST:PORT"))?;
    Ok(format!("{host}:{port}"))
}

/// The mode of this name.
pub fn durability(name: &str) -> Result<windlass_db::Durability> {
    match name {
        "always" => Ok(windlass_db::Durability::Always),
        "everysec" => Ok(windlass_db::Durability::Everysec),
        "none" => Ok(windlass_db::Durability::None),
        other => {
            let error = anyhow!("unknown durability `{other}`; it is always, everysec or none");
            Err(Failure::new(CONFIGURATION, error))
        }
    }
}

fn file() -> Result<File> {
    let text = match std::fs::read_to_string(FILE) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(File::default()),
        Err(error) => {
            return Err(Failure::new(CONFIGURATION, anyhow!(error).context(format!("cannot read {FILE}"))));
        }
    };
    toml::from_str(&text)
        .map_err(|error| Failure::new(CONFIGURATION, anyhow!("{FILE} has a mistake: {error}")))
}

fn password(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the password from {}", path.display()))?;
    match text.lines().next().map(str::trim) {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(anyhow!("the first line of {} holds no password", path.display())),
    }
}

/// A size as Redis writes it: `k`, `m`, `g` are powers of 1000, `kb`, `mb`, `gb` of 1024.
pub fn bytes(text: &str) -> anyhow::Result<usize> {
    let lower = text.to_ascii_lowercase();
    let split = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
    let (number, unit) = lower.split_at(split);
    let factor = match unit {
        "" | "b" => 1_usize,
        "k" => 1_000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return Err(anyhow!("`{text}` is no size; write a number and b, kb, mb or gb, such as 512mb")),
    };
    let number: usize =
        number.parse().with_context(|| format!("`{text}` does not begin with a whole number"))?;
    number.checked_mul(factor).with_context(|| format!("`{text}` is more than this machine can address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_redis_reads_them() {
        assert_eq!(bytes("512mb").expect("a size"), 512 << 20);
        assert_eq!(bytes("1k").expect("a size"), 1_000);
        assert_eq!(bytes("0").expect("a size"), 0);
        for text in ["", "mb", "1tb", "-1", "1.5gb"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_without_a_port_gets_one() {
        for (given, expected) in [
            ("0.0.0.0", "0.0.0.0:9"),
            ("::1", "[::1]:9"),
            ("[::1]", "[::1]:9"),
            ("localhost", "localhost:9"),
            ("10.0.0.1:7", "10.0.0.1:7"),
            ("[::1]:7", "[::1]:7"),
            ("localhost:0", "localhost:0"),
        ] {
            assert_eq!(with_some_port(given.into(), 9), expected);
        }
    }

    #[test]
    fn an_unknown_key_of_the_file_is_named() {
        let error = toml::from_str::<File>("stroe = \"x\"").expect_err("a misspelt key");
        assert!(error.to_string().contains("stroe"), "{error}");
    }
}
