//! Which store, and how to serve: flag over environment over `windlass.toml` over default.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde::Deserialize;

use crate::args::{ServeArgs, StoreArgs};
use crate::exit::{CONFIGURATION, Failure, Result};

/// The file that is read from the current folder, if it is there.
const FILE: &str = "windlass.toml";
const STORE_DEFAULT: &str = "windlass-data";
const BIND_DEFAULT: &str = "127.0.0.1:6380";
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
    bind: Option<String>,
    unixsocket: Option<PathBuf>,
    durability: Option<String>,
    requirepass_file: Option<PathBuf>,
    maxmemory: Option<String>,
}

/// The store that a command works on.
#[derive(Clone, Debug)]
pub struct Store {
    pub url: String,
    pub namespace: String,
    pub ca_file: Option<PathBuf>,
    pub json: bool,
}

/// How to serve.
#[derive(Debug)]
pub struct Serve {
    pub dir: PathBuf,
    pub bind: String,
    pub unixsocket: Option<PathBuf>,
    pub durability: windlass_db::Durability,
    pub password: String,
    pub memory_max: usize,
}

/// Settles the store from flags, environment, file and defaults.
pub fn store(args: &StoreArgs) -> Result<Store> {
    let file = file()?;
    let environment = ["WINDLASS_URL", "REDIS_URL"].iter().find_map(|name| std::env::var(name).ok());
    let url = args.store.clone().or(environment).or(file.store).unwrap_or_else(|| STORE_DEFAULT.into());
    let namespace = args.namespace.clone().or(file.namespace).unwrap_or_else(|| NAMESPACE_DEFAULT.into());
    let ca_file = args.ca_file.clone().or(file.ca_file);
    Ok(Store { url, namespace, ca_file, json: args.json })
}

/// Settles how to serve from flags, file and defaults.
pub fn serve(args: ServeArgs) -> Result<Serve> {
    let file = file()?.serve;
    let durability = args.durability.or(file.durability).unwrap_or_else(|| "always".into());
    let password = match args.requirepass_file.or(file.requirepass_file) {
        Some(path) => password(&path).map_err(|error| Failure::new(CONFIGURATION, error))?,
        None => String::new(),
    };
    let memory_max = match args.maxmemory.or(file.maxmemory) {
        Some(size) => bytes(&size).map_err(|error| Failure::new(CONFIGURATION, error))?,
        None => 0,
    };
    Ok(Serve {
        dir: args.dir.or(file.dir).unwrap_or_else(|| STORE_DEFAULT.into()),
        bind: args.bind.or(file.bind).unwrap_or_else(|| BIND_DEFAULT.into()),
        unixsocket: args.unixsocket.or(file.unixsocket),
        durability: self::durability(&durability)?,
        password,
        memory_max,
    })
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
fn bytes(text: &str) -> anyhow::Result<usize> {
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
    fn an_unknown_key_of_the_file_is_named() {
        let error = toml::from_str::<File>("stroe = \"x\"").expect_err("a misspelt key");
        assert!(error.to_string().contains("stroe"), "{error}");
    }
}
