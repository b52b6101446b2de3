//! Names of keys are made in one file: a key spelled elsewhere is one that a migration forgets.

use std::path::Path;

use super::File;

const HOME: &str = "crates/windlass/src/keys.rs";

pub fn check(_: &Path, files: &[File]) -> Vec<String> {
    let sources = files.iter().filter(|file| {
        file.path.starts_with("crates/windlass/")
            && (file.path.contains("/src/") || file.path.ends_with(".lua"))
    });
    sources
        .filter(|file| file.path != HOME)
        .flat_map(|file| {
            let spelled = file.code().filter(|(_, line)| line.contains("\"wl:") || line.contains("'wl:"));
            spelled.map(move |(number, _)| format!("{}:{number}: a key is spelled outside {HOME}", file.path))
        })
        .collect()
}
