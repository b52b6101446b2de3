//! A file that nothing includes is read by people and by nobody else.

use std::path::Path;

use super::File;

pub fn check(_: &Path, files: &[File]) -> Vec<String> {
    files
        .iter()
        .filter(|file| is_dead(file, files))
        .map(|file| format!("{}: nothing includes it", file.path))
        .collect()
}

fn is_dead(file: &File, files: &[File]) -> bool {
    let (folder, name) = file.path.rsplit_once('/').unwrap_or_default();
    if let Some(stem) = name.strip_suffix(".rs") {
        if !folder.contains("/src") || ["lib", "main"].contains(&stem) || folder.ends_with("/src/bin") {
            return false;
        }
        let (parent, module) =
            if stem == "mod" { folder.rsplit_once('/').unwrap_or_default() } else { (folder, stem) };
        let module = if stem == "mod" { folder.rsplit('/').next().unwrap_or_default() } else { module };
        let declaration = format!("mod {module};");
        let homes = [
            format!("{parent}/mod.rs"),
            format!("{parent}/lib.rs"),
            format!("{parent}/main.rs"),
            format!("{parent}.rs"),
        ];
        return !files.iter().any(|other| homes.contains(&other.path) && other.text.contains(&declaration));
    }
    if name.ends_with(".lua") {
        return !files.iter().any(|other| other.path.ends_with(".rs") && other.text.contains(name));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_nobody_declares_is_found() {
        let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
        let files = [file("a/src/lib.rs", "mod used;"), file("a/src/used.rs", ""), file("a/src/lost.rs", "")];
        assert_eq!(check(Path::new(""), &files), ["a/src/lost.rs: nothing includes it"]);
    }
}
