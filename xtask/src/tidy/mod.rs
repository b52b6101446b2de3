//! What a reader may rely on without looking: each file is one rule, and says why it is one.

use std::fs;
use std::path::{Path, PathBuf};

mod dead;
mod fixtures;
mod keys;
mod layers;
mod paths;
mod purity;
mod size;
mod weight;

/// Looks at the root and the files under it, and says what is wrong, a sentence each.
type Rule = fn(&Path, &[File]) -> Vec<String>;

/// Every problem found under `root`, one sentence each, with the file.
pub fn check(root: &Path) -> Vec<String> {
    let files = files_under(root);
    const RULES: [Rule; 8] = [
        layers::check,
        purity::check,
        keys::check,
        dead::check,
        size::check,
        paths::check,
        fixtures::check,
        weight::check,
    ];
    RULES.iter().flat_map(|rule| rule(root, &files)).collect()
}

/// A text file of the repository.
pub struct File {
    /// Its path from the root, with `/`.
    pub path: String,
    pub text: String,
}

impl File {
    /// The code of a Rust file as numbered lines: without comments, and without the tests, which are at its end or in a
    /// file `tests.rs`.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_tests = self.path.ends_with("/tests.rs");
        let lines = self.text.lines().take_while(move |line| !is_tests && line.trim() != "#[cfg(test)]");
        lines
            .enumerate()
            .map(|(at, line)| (at + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

/// What holds nothing of ours.
const SKIPPED: [&str; 3] = [".git", "target", "node_modules"];

fn files_under(root: &Path) -> Vec<File> {
    let mut folders = vec![root.to_path_buf()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).expect("a folder of the repository can be read");
        let mut paths: Vec<PathBuf> =
            entries.map(|entry| entry.expect("an entry can be read").path()).collect();
        paths.sort();
        for path in paths {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if SKIPPED.contains(&name) {
                continue;
            } else if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let path = path
                    .strip_prefix(root)
                    .expect("the walk began there")
                    .to_string_lossy()
                    .replace('\\', "/");
                files.push(File { path, text });
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_repository_is_tidy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository");
        let problems = super::check(root);
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }
}
