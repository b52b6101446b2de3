//! CONFIG REWRITE: settings as they are now, written into the settings file line by line, so that its comments and its
//! order stay. What the lines then say is compared with what they were to say before the file is replaced.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use toml::{Table, Value};
use windlass_db::Setting;

/// The table of what `serve` has an option for, and the table of the rest, under Redis's names.
const OWN_TABLE: &str = "serve";
const REST_TABLE: &str = "serve.config";

/// The settings that `serve` has an option of the same name for.
const OWN: [&str; 8] = [
    "busy-reply-threshold",
    "client-output-buffer-limit",
    "maxclients",
    "maxmemory",
    "maxmemory-policy",
    "protected-mode",
    "tcp-keepalive",
    "timeout",
];

/// What keeps settings in a file.
pub struct Keeper {
    path: PathBuf,
    /// The password that a file of its own gave: it is not to be written where more people may read it.
    password: String,
}

impl Keeper {
    /// A keeper of the file at `path`, for a server that began with this password.
    pub fn new(path: PathBuf, password: String) -> Self {
        Self { path, password }
    }

    /// Writes the settings to the file, which is replaced whole or not at all.
    pub fn keep(&self, settings: &[Setting]) -> Result<(), String> {
        let shown = self.path.display();
        let before =
            fs::read_to_string(&self.path).map_err(|error| format!("cannot read {shown}: {error}"))?;
        let kept = settings.iter().filter(|it| it.name != "requirepass" || it.value != self.password);
        let lines: Vec<Line> = kept.map(Line::new).collect();
        let after = edit(&before, &lines)?;
        if after == before {
            return Ok(());
        }
        replace(&self.path, &after).map_err(|error| format!("cannot write {shown}: {error}"))
    }
}

/// What one line of the file is to say.
struct Line {
    table: &'static str,
    key: String,
    value: String,
    /// Not needed where there is none.
    is_default: bool,
}

impl Line {
    fn new(setting: &Setting) -> Self {
        let is_own = OWN.contains(&setting.name);
        Self {
            table: if is_own { OWN_TABLE } else { REST_TABLE },
            key: if is_own { setting.name.replace('-', "_") } else { setting.name.to_owned() },
            value: setting.value.clone(),
            is_default: setting.is_default,
        }
    }
}

/// The text with these lines in it; an error when it is not a file that can be changed by lines.
fn edit(text: &str, wanted: &[Line]) -> Result<String, String> {
    let parse = |text: &str| text.parse::<Table>().map_err(|error| error.to_string());
    let mut meant = parse(text)?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for line in wanted {
        let place = find(&lines, line);
        if place.is_none() && line.is_default {
            continue;
        }
        let value = Value::String(line.value.clone()).to_string();
        match place {
            Some(place) => {
                let rest = after_value(&lines[place]).to_owned();
                lines[place] = format!("{} = {value}{rest}", line.key);
            }
            None => {
                let end = end_of_table(&mut lines, line.table);
                lines.insert(end, format!("{} = {value}", line.key));
            }
        }
        let mut table = &mut meant;
        for name in line.table.split('.') {
            let inner = table.entry(name).or_insert_with(|| Value::Table(Table::new()));
            table = inner.as_table_mut().ok_or_else(|| format!("`{name}` is no table"))?;
        }
        table.insert(line.key.clone(), Value::String(line.value.clone()));
    }
    let mut edited = lines.join("\n");
    edited.push('\n');
    if parse(&edited).is_ok_and(|said| said == meant) {
        Ok(edited)
    } else {
        Err("the file is not written one `key = \"value\"` a line under [serve]; change it by hand".into())
    }
}

/// The lines of a table: from behind its header to the next one.
fn lines_of(lines: &[String], table: &str) -> Option<std::ops::Range<usize>> {
    let header = format!("[{table}]");
    let is_header = |line: &String| line.split('#').next().is_some_and(|line| line.trim() == header);
    let start = lines.iter().position(is_header)? + 1;
    let length = lines[start..].iter().position(|line| line.trim_start().starts_with('['));
    Some(start..length.map_or(lines.len(), |length| start + length))
}

/// Where the line of a key is.
fn find(lines: &[String], wanted: &Line) -> Option<usize> {
    let mut range = lines_of(lines, wanted.table)?;
    range.find(|place| {
        let key = lines[*place].split_once('=').map(|(key, _)| key.trim().trim_matches(['"', '\'']));
        key == Some(&wanted.key)
    })
}

/// Behind the last line of a table that says something; the table is made if it is not there.
fn end_of_table(lines: &mut Vec<String>, table: &str) -> usize {
    let Some(range) = lines_of(lines, table) else {
        if lines.last().is_some_and(|line| !line.trim().is_empty()) {
            lines.push(String::new());
        }
        lines.push(format!("[{table}]"));
        return lines.len();
    };
    let says = |line: &String| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let last = lines[range.clone()].iter().rposition(says);
    last.map_or(range.start, |last| range.start + last + 1)
}

/// What follows the value of a line: a comment, mostly.
fn after_value(line: &str) -> &str {
    let Some((_, value)) = line.split_once('=') else { return "" };
    let value = value.trim_start();
    let end = match value.chars().next() {
        Some('"') => {
            let mut is_escaped = false;
            value.char_indices().skip(1).find_map(|(at, character)| {
                let ends = character == '"' && !is_escaped;
                is_escaped = character == '\\' && !is_escaped;
                ends.then_some(at + 1)
            })
        }
        Some('\'') => value[1..].find('\'').map(|at| at + 2),
        _ => value.find([' ', '\t', '#']),
    };
    end.map_or("", |end| &value[end..])
}

/// Writes a file beside the one that it then replaces.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension("toml.new");
    let mut file = File::create(&beside)?;
    // Who could not read the old one is not to read the new one.
    file.set_permissions(fs::metadata(path)?.permissions())?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(table: &'static str, key: &str, value: &str, is_default: bool) -> Line {
        Line { table, key: key.to_owned(), value: value.to_owned(), is_default }
    }

    #[test]
    fn lines_change_where_they_are_and_comments_stay() {
        let before = "# ours\nstore = \"data\"\n\n[serve]\ntimeout = \"5\" # seconds\n# the rest\n\n[serve.config]\n\
                      'slowlog-max-len' = \"1\"\n";
        let wanted = [
            line(OWN_TABLE, "timeout", "60", false),
            line(OWN_TABLE, "maxclients", "10000", true),
            line(OWN_TABLE, "maxmemory", "5\"0", false),
            line(REST_TABLE, "slowlog-max-len", "128", true),
            line(REST_TABLE, "notify-keyspace-events", "Ex", false),
        ];
        let after = "# ours\nstore = \"data\"\n\n[serve]\ntimeout = \"60\" # seconds\nmaxmemory = '5\"0'\n# the rest\n\n\
                     [serve.config]\nslowlog-max-len = \"128\"\nnotify-keyspace-events = \"Ex\"\n";
        assert_eq!(edit(before, &wanted), Ok(after.to_owned()));
        assert_eq!(edit(after, &wanted), Ok(after.to_owned()));
    }

    #[test]
    fn tables_that_are_missing_are_made() {
        let wanted = [
            line(OWN_TABLE, "timeout", "60", false),
            line(REST_TABLE, "latency-monitor-threshold", "5", false),
        ];
        let after = "[serve]\ntimeout = \"60\"\n\n[serve.config]\nlatency-monitor-threshold = \"5\"\n";
        assert_eq!(edit("", &wanted), Ok(after.to_owned()));
    }

    #[test]
    fn a_file_that_says_it_otherwise_is_left_alone() {
        for before in [
            "serve = { timeout = \"5\" }\n",
            "serve.timeout = \"5\"\n",
            "[serve]\ntimeout = \"\"\"\n5\"\"\"\n",
            "[serve]\ndir = \"\"\"\ntimeout = \"\"\"\n",
        ] {
            let wanted = [line(OWN_TABLE, "timeout", "60", false)];
            assert!(edit(before, &wanted).is_err(), "{before}");
        }
    }
}
