//! What an application compiles that depends on `windlass` alone, with its default features. A crate that comes in by
//! way of a feature of another, or with a new release of one, is seen here and not by who waits for it.
//!
//! A new name is a decision: what does it save, and what does it cost to compile (docs/benchmarks.md)? The names stand
//! without versions, so that an update says nothing.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::File;

/// Where it is counted; other systems have others in place of a few.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The crates, build scripts' and macros' included, ours left out.
const CRATES: &[&str] = &[
    "arcstr",
    "async-lock",
    "autocfg",
    "bstr",
    "bytes",
    "cc",
    "cfg-if",
    "combine",
    "crc32c",
    "either",
    "errno",
    "event-listener",
    "event-listener-strategy",
    "find-msvc-tools",
    "foldhash",
    "form_urlencoded",
    "futures-core",
    "futures-sink",
    "futures-task",
    "futures-util",
    "hmac-sha256",
    "idna",
    "idna_adapter",
    "idna_mapping",
    "itoa",
    "libc",
    "lock_api",
    "lua-src",
    "luajit-src",
    "memchr",
    "mio",
    "mlua",
    "mlua-sys",
    "num-traits",
    "once_cell",
    "parking",
    "parking_lot",
    "parking_lot_core",
    "percent-encoding",
    "pin-project-lite",
    "pkg-config",
    "proc-macro2",
    "quote",
    "redis",
    "rustc-hash",
    "rustc_version",
    "ryu",
    "scopeguard",
    "semver",
    "serde",
    "serde_core",
    "serde_derive",
    "serde_json",
    "sha1_smol",
    "shlex",
    "signal-hook-registry",
    "slab",
    "smallvec",
    "socket2",
    "syn",
    "thiserror",
    "thiserror-impl",
    "tinyvec",
    "tokio",
    "tokio-macros",
    "tokio-util",
    "tracing",
    "tracing-core",
    "unicode-bidi",
    "unicode-ident",
    "unicode-joining-type",
    "unicode-normalization",
    "url",
    "utf8_iter",
    "utf_types",
    "which",
    "xxhash-rust",
    "zmij",
];

pub fn check(root: &Path, _: &[File]) -> Vec<String> {
    let found = match crates(root) {
        Ok(found) => found,
        Err(reason) => return vec![format!("the crates of an application cannot be told: {reason}")],
    };
    let expected = CRATES.iter().map(|name| (*name).to_owned()).collect();
    let new = found.difference(&expected).map(|name| {
        format!("an application compiles `{name}`, too: leave it out, or list it in xtask/src/tidy/weight.rs")
    });
    let gone = expected.difference(&found).map(|name| {
        format!("no application compiles `{name}` any more: strike it out of xtask/src/tidy/weight.rs")
    });
    new.chain(gone).collect()
}

fn crates(root: &Path) -> Result<BTreeSet<String>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = Command::new(cargo)
        .current_dir(root)
        .args(["tree", "--locked", "--package", "windlass", "--edges", "normal,build", "--prefix", "none"])
        .args(["--target", TARGET, "--format", "{p}"])
        .output()
        .map_err(|error| format!("cargo tree: {error}"))?;
    if !tree.status.success() {
        return Err(String::from_utf8_lossy(&tree.stderr).into_owned());
    }
    let lines = String::from_utf8_lossy(&tree.stdout);
    let names = lines.lines().filter_map(|line| line.split(' ').next());
    Ok(names.filter(|name| !name.is_empty() && !name.starts_with("windlass")).map(str::to_owned).collect())
}
