//! What COMMAND DOCS tells of versions and arguments, out of one line for each command in `docs.txt`.
//!
//! ```text
//! getset 1.0.0-6.2.0 key value
//! lpop 1.0.0 key [count:integer^6.2.0]
//! xtrim 5.0.0 key trim(strategy(MAXLEN|MINID^6.2.0) [operator(==equal:token|~=approximately:token)] threshold)
//! ```
//!
//! A line has the name, the version that Redis has the command since (`-` and since when Redis advises against it),
//! `!` and a flag, and the arguments. An argument is `TOKEN=name:type`, with the parts of a block or the choices of a
//! `oneof` in brackets and `^` before its versions. A word that is no name is a token named like itself. The type is
//! `string` if none is given; of keys it ends in the number of their specification, and `key` alone is `key:key0`. `[`
//! and `]` say that it is optional, `*` that there may be several, `**` that each has the token.

use std::collections::HashMap;
use std::sync::LazyLock;

use windlass_resp::Value;

use super::Command;

static LINES: LazyLock<HashMap<&'static str, &'static str>> =
    LazyLock::new(|| include_str!("docs.txt").lines().filter_map(|line| line.split_once(' ')).collect());

/// A name and what it stands for.
type Fact = (Value, Value);

/// The name of a command and what is told of it; of an embedder's there is no line.
pub fn of(command: &Command) -> Fact {
    let line = LINES.get(command.name).copied().unwrap_or_default();
    let (versions, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (since, deprecated) = self::versions(versions);
    let (flag, arguments) = match rest.strip_prefix('!') {
        Some(rest) => rest.split_once(' ').unwrap_or((rest, "")),
        None => (if deprecated.is_some() { "deprecated" } else { "" }, rest),
    };
    let facts = [
        Some(fact("summary", command.summary)),
        since,
        Some(fact("group", command.group)),
        (!flag.is_empty()).then(|| fact("doc_flags", Value::Set(vec![Value::Simple(flag.into())]))),
        deprecated,
        (!arguments.is_empty()).then(|| fact("arguments", Parser(arguments).arguments().1)),
        (!command.subcommands.is_empty())
            .then(|| fact("subcommands", Value::Map(command.subcommands.iter().map(of).collect()))),
    ];
    (Value::from(command.name), Value::Map(facts.into_iter().flatten().collect()))
}

fn fact(name: &str, value: impl Into<Value>) -> Fact {
    (Value::from(name), value.into())
}

/// The version since which there is something, and since which it is advised against.
fn versions(text: &str) -> (Option<Fact>, Option<Fact>) {
    let (since, deprecated) = text.split_once('-').unwrap_or((text, ""));
    let told = |name, version: &str| (!version.is_empty()).then(|| fact(name, version));
    (told("since", since), told("deprecated_since", deprecated))
}

/// Reads arguments from the front of a text.
struct Parser<'a>(&'a str);

impl<'a> Parser<'a> {
    /// Arguments up to a closing bracket or the end, and their type together.
    fn arguments(&mut self) -> (&'static str, Value) {
        let mut kind = "block";
        let mut arguments = vec![self.argument()];
        loop {
            if self.skip("|") {
                kind = "oneof";
            } else if !self.skip(" ") {
                return (kind, Value::Array(arguments));
            }
            arguments.push(self.argument());
        }
    }

    fn argument(&mut self) -> Value {
        let is_optional = self.skip("[");
        let word = self.word();
        // A token may itself be a sign of this language.
        let (token, name) = match word[1..].find('=') {
            Some(at) => (Some(&word[..=at]), &word[at + 2..]),
            None if word.starts_with(|first: char| first.is_ascii_lowercase()) => (None, word),
            None => (Some(word), ""),
        };
        // Some names have a colon.
        const TYPES: [&str; 7] = ["double", "integer", "key", "pattern", "string", "token", "unix-time"];
        let typed = name.rsplit_once(':').and_then(|(name, kind)| {
            let (kind, key) =
                kind.split_at(kind.trim_end_matches(|digit: char| digit.is_ascii_digit()).len());
            TYPES.contains(&kind).then_some((name, kind, key))
        });
        let (name, mut kind, key) = match typed.unwrap_or((name, "string", "")) {
            ("", ..) => (word, "token", ""),
            ("key", "string", _) => ("key", "key", "0"),
            typed => typed,
        };
        let parts = self.skip("(").then(|| {
            let (together, parts) = self.arguments();
            self.skip(")");
            kind = together;
            fact("arguments", parts)
        });
        let (since, deprecated) = if self.skip("^") { versions(self.word()) } else { (None, None) };
        self.skip("]");
        let is_multiple = self.skip("*");
        let marks = [
            (is_optional, "optional"),
            (is_multiple, "multiple"),
            (is_multiple && self.skip("*"), "multiple_token"),
        ];
        let flags: Vec<Value> = marks
            .iter()
            .filter(|(is_set, _)| *is_set)
            .map(|(_, flag)| Value::Simple((*flag).into()))
            .collect();
        let facts = [
            Some(fact("name", name.to_ascii_lowercase().as_str())),
            Some(fact("type", if kind == "token" { "pure-token" } else { kind })),
            key.parse().ok().map(|key| fact("key_spec_index", Value::Integer(key))),
            token.map(|token| fact("token", token)),
            since,
            deprecated,
            (!flags.is_empty()).then(|| fact("flags", Value::Set(flags))),
            parts,
        ];
        Value::Map(facts.into_iter().flatten().collect())
    }

    /// The text up to the next sign, and at least one character of it.
    fn word(&mut self) -> &'a str {
        let end =
            self.0[1..].find([' ', '(', ')', '[', ']', '|', '^', '*']).map_or(self.0.len(), |at| at + 1);
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        word
    }

    fn skip(&mut self, sign: &str) -> bool {
        let rest = self.0.strip_prefix(sign);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use crate::command::all;

    #[test]
    fn every_command_has_its_line_and_every_line_its_command() {
        let mut names: Vec<_> = all()
            .flat_map(|command| [command].into_iter().chain(command.subcommands))
            .map(|row| row.name)
            .collect();
        names.sort_unstable();
        let lines: Vec<_> =
            include_str!("docs.txt").lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(lines, names);
    }
}
