//! The pure crates take time and seed as arguments: only so do the same calls always lead to the same state.

use std::path::Path;

use super::File;

const PURE: [&str; 2] = ["crates/resp/src/", "crates/engine/src/"];
const IMPURE: [&str; 10] = [
    "SystemTime",
    "Instant",
    "std::fs",
    "std::net",
    "std::thread",
    "std::env",
    "std::process",
    "tokio",
    "RandomState",
    "getrandom",
];

pub fn check(_: &Path, files: &[File]) -> Vec<String> {
    let pure = files.iter().filter(|file| PURE.iter().any(|folder| file.path.starts_with(folder)));
    pure.flat_map(|file| {
        file.code().flat_map(move |(number, line)| {
            let found = IMPURE.iter().filter(move |word| line.contains(**word));
            found.map(move |word| format!("{}:{number}: `{word}` in a pure crate", file.path))
        })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_in_the_engine_is_found() {
        let file =
            File { path: "crates/engine/src/x.rs".into(), text: "let now = SystemTime::now();".into() };
        assert_eq!(check(Path::new(""), &[file]).len(), 1);
    }
}
