//! What is changed: pieces of the scripts, each for another of the same length.

use std::path::Path;
use std::{fmt, fs, io};

/// Operators that are taken for others.
const SWAPS: [(&str, &str); 8] = [
    (" == ", " ~= "),
    (" ~= ", " == "),
    (" <= ", " >  "),
    (" >= ", " <  "),
    (" < ", " >="),
    (" > ", " <="),
    (" + ", " - "),
    (" - ", " + "),
];

/// A change of one line of a script.
pub struct Change {
    file: String,
    line: usize,
    /// The line with those around it, so that it is the only one of its kind.
    before: String,
    after: String,
    what: String,
}

impl Change {
    /// The program with the change wherever the script is part of it; none if it is not.
    pub fn apply(&self, program: &[u8]) -> Option<Vec<u8>> {
        let (before, after) = (self.before.as_bytes(), self.after.as_bytes());
        let mut changed = program.to_vec();
        let mut places = 0;
        let mut from = 0;
        while let Some(at) = find(&program[from..], before) {
            changed[from + at..from + at + before.len()].copy_from_slice(after);
            from += at + before.len();
            places += 1;
        }
        (places > 0).then_some(changed)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// The first place of a piece of text; by its first byte, which is quick enough in programs of this size.
fn find(bytes: &[u8], piece: &[u8]) -> Option<usize> {
    let first = *piece.first()?;
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == first) {
        if bytes[from + at..].starts_with(piece) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

/// Every change there is, in the order of files and lines.
pub fn all(root: &Path) -> io::Result<Vec<Change>> {
    let mut files: Vec<_> = fs::read_dir(root.join("crates/windlass/lua"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    files.sort();
    let mut changes = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path)?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        for (at, line) in lines.iter().enumerate() {
            for (changed, what) in of_line(line) {
                assert_eq!(changed.len(), line.len(), "{what}");
                let around = |line: &str| {
                    let (from, to) = (at.saturating_sub(2), (at + 3).min(lines.len()));
                    [&lines[from..at].concat(), line, &lines[at + 1..to].concat()].concat()
                };
                changes.push(Change {
                    file: file.clone(),
                    line: at + 1,
                    before: around(line),
                    after: around(&changed),
                    what,
                });
            }
        }
    }
    Ok(changes)
}

/// What a line can be changed to, and how that is called.
fn of_line(line: &str) -> Vec<(String, String)> {
    let code = line.trim();
    if code.starts_with("--") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (from, to) in SWAPS {
        for (at, _) in line.match_indices(from) {
            let changed = [&line[..at], to, &line[at + from.len()..]].concat();
            found.push((changed, format!("`{}` for `{}` in `{code}`", to.trim(), from.trim())));
        }
    }
    if let Some(at) = line.find("not ") {
        found.push(([&line[..at], "    ", &line[at + 4..]].concat(), format!("no `not` in `{code}`")));
    }
    if let Some((from, to)) = condition(line) {
        for value in ["true", "false"] {
            let whole = format!("{value:<width$}", width = to - from);
            found.push((
                [&line[..from], &whole, &line[to..]].concat(),
                format!("{value} for the condition of `{code}`"),
            ));
        }
    }
    if is_statement(code) {
        let blank = " ".repeat(line.trim_end().len());
        found.push(([&blank, &line[line.trim_end().len()..]].concat(), format!("nothing for `{code}`")));
    }
    found
}

/// Where the condition of an `if` is that is long enough for any other.
fn condition(line: &str) -> Option<(usize, usize)> {
    let from = line.find("if ")? + 3;
    let to = from + line[from..].find(" then")?;
    (to - from >= 5).then_some((from, to))
}

/// Whether a line is a whole statement that can be left out: a command to the store, a call, or an assignment to what
/// is there already.
fn is_statement(code: &str) -> bool {
    let is_closed = code.matches('(').count() == code.matches(')').count()
        && code.matches('{').count() == code.matches('}').count();
    let word = code.split([' ', '(', '.', '[', ',']).next().unwrap_or_default();
    let is_keyword = [
        "local", "if", "for", "while", "return", "end", "else", "elseif", "function", "repeat", "until",
        "break", "",
    ]
    .contains(&word);
    let is_operand = code.starts_with(|c: char| !c.is_ascii_alphabetic());
    is_closed && !is_keyword && !is_operand && (code.ends_with(')') || code.contains(" = "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_changed_in_each_way_that_it_allows() {
        let whats = |line: &str| of_line(line).into_iter().map(|(line, _)| line).collect::<Vec<_>>();
        assert_eq!(
            whats("if count > 0 then return end\n"),
            [
                "if count <=0 then return end\n",
                "if true      then return end\n",
                "if false     then return end\n"
            ]
        );
        assert_eq!(whats("  redis.call('DEL', key)\n"), ["                        \n"]);
        assert_eq!(whats("n = n + 1\n"), ["n = n - 1\n", "         \n"]);
        assert!(whats("-- If it is > 0.\n").is_empty() && whats("local a = f(\n").is_empty());
    }

    #[test]
    fn a_change_is_made_wherever_the_text_is() {
        let change = Change {
            file: String::new(),
            line: 1,
            before: "a < b".into(),
            after: "a >=b".into(),
            what: String::new(),
        };
        assert_eq!(change.apply(b"x a < b y a < b").as_deref(), Some(&b"x a >=b y a >=b"[..]));
        assert_eq!(change.apply(b"nothing"), None);
    }
}
