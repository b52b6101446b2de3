//! A file of more than a few pages is one that nobody enjoys reading: it is split by family.

use std::path::Path;

use super::File;

/// Lines of one Rust source, its tests left out.
const LINES_MAX: usize = 500;

pub fn check(_: &Path, files: &[File]) -> Vec<String> {
    let sources = files.iter().filter(|file| file.path.contains("/src/") && file.path.ends_with(".rs"));
    sources
        .filter_map(|file| {
            let lines = file.text.lines().take_while(|line| line.trim() != "#[cfg(test)]").count();
            (lines > LINES_MAX)
                .then(|| format!("{}: {lines} lines; split it by family (at most {LINES_MAX})", file.path))
        })
        .collect()
}
