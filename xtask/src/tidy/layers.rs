//! Imports point down only: a layer that knew what stands on it could not be read, tested or replaced by itself.

use std::path::Path;

use super::File;

/// Each package and the packages of ours that it may name.
const ARROWS: [(&str, &[&str]); 12] = [
    ("resp", &[]),
    ("engine", &["windlass-resp"]),
    ("miniature", &["windlass-engine", "windlass-resp"]),
    ("db", &["windlass-engine", "windlass-resp"]),
    ("conn", &["windlass-db", "windlass-resp"]),
    ("server", &["windlass-db", "windlass-resp"]),
    ("macros", &[]),
    ("windlass", &["windlass-conn", "windlass-macros"]),
    ("cli", &["windlass", "windlass-conn", "windlass-db", "windlass-server"]),
    (
        "test",
        &["windlass", "windlass-conn", "windlass-db", "windlass-engine", "windlass-resp", "windlass-server"],
    ),
    ("fuzz", &["windlass-engine", "windlass-resp"]),
    ("xtask", &[]),
];

pub fn check(_: &Path, files: &[File]) -> Vec<String> {
    let manifests = files.iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    manifests.flat_map(|file| check_manifest(&file.path, &file.text)).collect()
}

fn check_manifest(path: &str, text: &str) -> Vec<String> {
    let folder = path.trim_end_matches("/Cargo.toml").rsplit('/').next().unwrap_or_default();
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == folder) else {
        return vec![format!("{path}: a new package needs its line in xtask/src/tidy/layers.rs")];
    };
    named_packages(text)
        .into_iter()
        .filter(|name| !allowed.contains(name))
        .map(|name| {
            format!("{path}: {folder} may not know {name}; imports point down only (ARCHITECTURE.md)")
        })
        .collect()
}

/// The packages of ours under `[dependencies]`, and under those of single systems; tests may look further.
fn named_packages(manifest: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut is_list = false;
    for line in manifest.lines() {
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            // What a `cfg(…)` holds is quoted, and may have dots and brackets.
            let table = if table.starts_with("target.") { table.rsplit("'.").next() } else { Some(table) };
            let table = table.unwrap_or_default();
            is_list = table == "dependencies";
            names.extend(table.strip_prefix("dependencies."));
        } else if is_list {
            names.extend(line.split(['.', ' ', '=']).next());
        }
    }
    names.retain(|name| *name == "windlass" || name.starts_with("windlass-"));
    names
}

#[cfg(test)]
mod tests {
    use super::check_manifest;

    #[test]
    fn an_arrow_that_points_up_is_found() {
        let manifest =
            "[package]\nname = \"windlass-engine\"\n[dependencies]\nwindlass-db.workspace = true\n";
        assert_eq!(check_manifest("crates/engine/Cargo.toml", manifest).len(), 1);
        assert_eq!(check_manifest("crates/conn/Cargo.toml", manifest).len(), 0);
        for table in [
            "[target.'cfg(unix)'.dependencies]\nwindlass-db = \"1\"",
            "[target.'cfg(not(target_arch = \"x86\"))'.dependencies]\nwindlass-db = \"1\"",
            "[dependencies.windlass-db]\nversion = \"1\"",
            "[target.'cfg(unix)'.dependencies.windlass-db]\nversion = \"1\"",
        ] {
            assert_eq!(check_manifest("crates/engine/Cargo.toml", table).len(), 1, "{table}");
        }
        let tests = "[dev-dependencies]\nwindlass-db = \"1\"\n[target.'cfg(unix)'.dev-dependencies]\nwindlass-db = \"1\"";
        assert_eq!(check_manifest("crates/engine/Cargo.toml", tests).len(), 0);
    }
}
