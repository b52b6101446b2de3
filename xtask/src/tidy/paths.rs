//! A path of somebody's machine works on nobody else's.

use std::path::Path;

use super::File;

pub fn check(_: &Path, files: &[File]) -> Vec<String> {
    // Spelled in two pieces, so that this file passes its own check.
    let homes = [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];
    files
        .iter()
        .flat_map(|file| {
            let lines = file.text.lines().enumerate();
            let found = lines.filter(|(_, line)| homes.iter().any(|home| line.contains(home)));
            found
                .map(|(at, _)| format!("{}:{}: a path of one machine", file.path, at + 1))
                .collect::<Vec<_>>()
        })
        .collect()
}
