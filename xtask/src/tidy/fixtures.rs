//! Every command of the table has a fixture: one that none shows may answer anything, and nobody notices.

use std::collections::BTreeSet;
use std::path::Path;

use super::File;

const COMMANDS: &str = "crates/engine/src/command/";
const FIXTURES: &str = "crates/test/fixtures/commands/";

/// What a row of the table begins with; its name follows.
const ROWS: [&str; 6] = [".row(", ".engine_row(", ".container(", ".sub(", ".help(", "row("];

pub fn check(_: &Path, files: &[File]) -> Vec<String> {
    let shown: BTreeSet<String> = files
        .iter()
        .filter(|file| file.path.starts_with(FIXTURES))
        .flat_map(|file| file.text.lines())
        .flat_map(calls)
        .collect();
    let tables = files.iter().filter(|file| file.path.starts_with(COMMANDS) && file.path.ends_with(".rs"));
    let rows = tables.flat_map(|file| names(file).into_iter().map(move |name| (file, name)));
    rows.filter(|(_, name)| !shown.contains(name))
        .map(|(file, name)| format!("{}: no fixture in {FIXTURES} calls `{name}`", file.path))
        .collect()
}

/// The names of the rows in a file.
fn names(file: &File) -> BTreeSet<String> {
    let code: String = file.code().map(|(_, line)| line.trim()).collect();
    let mut found = BTreeSet::new();
    for row in ROWS {
        for rest in code.split(row).skip(1) {
            // What is not followed by a name is no row, but a definition or a call of something else.
            let name = rest.strip_prefix('"').and_then(|rest| rest.split_once('"')).map(|(name, _)| name);
            found.extend(name.map(str::to_owned));
        }
    }
    found
}

/// The command that a line of a fixture calls, alone and with its first argument as subcommands are named.
fn calls(line: &str) -> Vec<String> {
    let Some((session, command)) = line.split_once("> ") else { return Vec::new() };
    if !session.bytes().all(|byte| byte.is_ascii_digit()) {
        return Vec::new();
    }
    let mut words = command.split_whitespace().map(str::to_ascii_lowercase);
    let name = words.next().unwrap_or_default();
    let subcommand = words.next().map(|word| format!("{name}|{word}"));
    subcommand.into_iter().chain([name]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into() }
    }

    #[test]
    fn a_row_without_a_fixture_is_a_problem() {
        let table = file(
            &format!("{COMMANDS}some.rs"),
            "    GROUP.row(\n        \"get\",\n        2,\n    ),\n    GROUP.sub(\"client|list\", 2),\n",
        );
        let whole = file(&format!("{FIXTURES}some.txt"), "== block\n> GET k\nnil\n12> client LIST\n?\n");
        assert_eq!(check(Path::new(""), &[table, whole]), Vec::<String>::new());
        let table = file(&format!("{COMMANDS}some.rs"), "    GROUP.row(\"get\", 2),\n");
        let other = file(&format!("{FIXTURES}some.txt"), "> GETEX k\n# > GET k\n");
        assert_eq!(check(Path::new(""), &[table, other]).len(), 1);
    }
}
