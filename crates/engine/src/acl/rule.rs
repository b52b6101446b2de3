//! The words of ACL SETUSER, and a user in such words.

use super::absent;
use super::access::Access;
use super::user::{KeyPattern, Rule, Subject};
use super::{User, hex, sha256};
use crate::args::Args;
use crate::blob::Blob;
use crate::command::category;
use crate::command::own::Table;

const SYNTAX: &str = "Syntax error";
const UNKNOWN: &str = "Unknown command or category name in ACL";
const NO_PASSWORD: &str = "The password you are trying to remove from the user does not exist";
const BAD_HASH: &str =
    "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters";
const KEYS_AFTER_ALL: &str = "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not \
     have any effect. Try 'resetkeys' to start with an empty list of patterns";
const CHANNELS_AFTER_ALL: &str = "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and \
     does not have any effect. Try 'resetchannels' to start with an empty list of channels";

type Applied = Result<(), &'static str>;

impl User {
    /// Does what a word says; the error says what is wrong with it.
    pub fn apply(&mut self, word: &[u8], commands: &Table) -> Applied {
        let text = String::from_utf8_lossy(word).to_ascii_lowercase();
        match text.as_str() {
            "on" => self.is_enabled = true,
            "off" => self.is_enabled = false,
            "nopass" => {
                self.needs_no_password = true;
                self.passwords.clear();
            }
            "resetpass" => {
                self.needs_no_password = false;
                self.passwords.clear();
            }
            "sanitize-payload" => self.sanitizes = Some(true),
            "skip-sanitize-payload" => self.sanitizes = Some(false),
            "allkeys" | "~*" => self.has_all_keys = true,
            "resetkeys" => {
                self.has_all_keys = false;
                self.keys.clear();
            }
            "allchannels" | "&*" => self.has_all_channels = true,
            "resetchannels" => {
                self.has_all_channels = false;
                self.channels.clear();
            }
            "allcommands" | "+@all" => self.set_all_commands(true),
            "nocommands" | "-@all" => self.set_all_commands(false),
            "clearselectors" => {}
            "reset" => *self = Self { sanitizes: Some(true), ..Self::default() },
            _ => return self.apply_marked(word, commands),
        }
        Ok(())
    }

    fn set_all_commands(&mut self, allows: bool) {
        self.allows_commands = allows;
        self.rules.clear();
    }

    /// A word whose first character says what it is.
    fn apply_marked(&mut self, word: &[u8], commands: &Table) -> Applied {
        let Some((mark, rest)) = word.split_first() else { return Err(SYNTAX) };
        match mark {
            b'>' => self.add_password(sha256(rest)),
            b'#' => self.add_password(parse_hash(rest)?),
            b'<' => self.remove_password(&sha256(rest))?,
            b'!' => self.remove_password(&parse_hash(rest)?)?,
            b'~' => self.add_keys(rest, Access { reads: true, writes: true })?,
            b'%' => {
                if self.has_all_keys {
                    return Err(KEYS_AFTER_ALL);
                }
                let tilde = rest.iter().position(|byte| *byte == b'~').filter(|at| *at > 0).ok_or(SYNTAX)?;
                let letters = rest[..tilde].to_ascii_uppercase();
                if letters.iter().any(|letter| !b"RW".contains(letter)) {
                    return Err(SYNTAX);
                }
                let access = Access { reads: letters.contains(&b'R'), writes: letters.contains(&b'W') };
                self.add_keys(&rest[tilde + 1..], access)?;
            }
            b'&' => {
                if self.has_all_channels {
                    return Err(CHANNELS_AFTER_ALL);
                }
                if !self.channels.iter().any(|known| **known == *rest) {
                    self.channels.push(Blob::from(rest));
                }
            }
            b'+' | b'-' => {
                let subject = parse_subject(rest, commands)?;
                self.add_rule(Rule { allows: *mark == b'+', subject });
            }
            _ => return Err(SYNTAX),
        }
        Ok(())
    }

    fn add_password(&mut self, hash: [u8; 32]) {
        self.needs_no_password = false;
        if !self.passwords.contains(&hash) {
            self.passwords.push(hash);
        }
    }

    fn remove_password(&mut self, hash: &[u8; 32]) -> Applied {
        let at = self.passwords.iter().position(|known| known == hash).ok_or(NO_PASSWORD)?;
        self.passwords.remove(at);
        Ok(())
    }

    fn add_keys(&mut self, pattern: &[u8], access: Access) -> Applied {
        if self.has_all_keys {
            return Err(KEYS_AFTER_ALL);
        }
        if pattern.iter().any(|byte| byte.is_ascii_whitespace() || *byte == 0) {
            return Err(SYNTAX);
        }
        match self.keys.iter_mut().find(|known| *known.pattern == *pattern) {
            Some(known) => {
                known.access.reads |= access.reads;
                known.access.writes |= access.writes;
            }
            None => self.keys.push(KeyPattern { pattern: Blob::from(pattern), access }),
        }
        Ok(())
    }

    /// A rule on a command stands for those on the same command, or on a subcommand of it, that were before.
    fn add_rule(&mut self, rule: Rule) {
        self.rules.retain(|known| match (&known.subject, &rule.subject) {
            (Subject::Command(known), Subject::Command(new)) => {
                known != new && known.split_once('|').is_none_or(|(container, _)| container != *new)
            }
            (known, new) => known != new,
        });
        // Without a rule that says otherwise, one that says what is so anyway says nothing.
        let is_told = self.rules.iter().chain([&rule]).any(|known| known.allows != self.allows_commands);
        if is_told {
            self.rules.push(rule);
        }
    }

    /// The rules on commands, as words.
    pub fn commands_text(&self) -> String {
        let mut text = if self.allows_commands { "+@all" } else { "-@all" }.to_owned();
        for Rule { allows, subject } in &self.rules {
            let mark = if *allows { '+' } else { '-' };
            text += &match subject {
                Subject::Command(name) => format!(" {mark}{name}"),
                Subject::Category(name) => format!(" {mark}@{name}"),
            };
        }
        text
    }

    /// The patterns of keys, as words.
    pub fn keys_text(&self) -> String {
        if self.has_all_keys {
            return "~*".into();
        }
        let word = |rule: &KeyPattern| {
            let mark = match rule.access {
                Access { reads: true, writes: true } => "~",
                Access { reads: true, .. } => "%R~",
                Access { .. } => "%W~",
            };
            format!("{mark}{}", String::from_utf8_lossy(&rule.pattern))
        };
        self.keys.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    /// The patterns of channels, as words.
    pub fn channels_text(&self) -> String {
        if self.has_all_channels {
            return "&*".into();
        }
        let words = self.channels.iter().map(|name| format!("&{}", String::from_utf8_lossy(name)));
        words.collect::<Vec<_>>().join(" ")
    }

    /// The words of its flags.
    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.is_enabled { "on" } else { "off" }];
        if self.needs_no_password {
            flags.push("nopass");
        }
        match self.sanitizes {
            Some(true) => flags.push("sanitize-payload"),
            Some(false) => flags.push("skip-sanitize-payload"),
            None => {}
        }
        flags
    }

    /// The hashes of its passwords.
    pub fn password_hashes(&self) -> impl Iterator<Item = String> {
        self.passwords.iter().map(|hash| hex(hash))
    }

    /// The whole user in words that make it again.
    pub fn description(&self) -> String {
        let mut words: Vec<String> = self.flags().into_iter().map(str::to_owned).collect();
        words.extend(self.password_hashes().map(|hash| format!("#{hash}")));
        words.push(self.keys_text());
        if !self.has_all_channels {
            words.push("resetchannels".into());
        }
        words.push(self.channels_text());
        words.push(self.commands_text());
        words.retain(|word| !word.is_empty());
        words.join(" ")
    }
}

fn parse_hash(text: &[u8]) -> Result<[u8; 32], &'static str> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(BAD_HASH),
    };
    let text: &[u8; 64] = text.try_into().map_err(|_| BAD_HASH)?;
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(text.as_chunks::<2>().0) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(hash)
}

fn parse_subject(text: &[u8], commands: &Table) -> Result<Subject, &'static str> {
    if let Some(name) = text.strip_prefix(b"@") {
        let known =
            category::CATEGORIES.into_iter().find(|known| name.eq_ignore_ascii_case(known.as_bytes()));
        return known.map(Subject::Category).ok_or(UNKNOWN);
    }
    if let Some(name) = absent::name(text) {
        return Ok(Subject::Command(name));
    }
    let mut parts = text.splitn(2, |byte| *byte == b'|');
    let container = commands.find(parts.next().unwrap_or_default()).ok_or(UNKNOWN)?;
    let Some(subcommand) = parts.next() else { return Ok(Subject::Command(container.name)) };
    if container.subcommands.is_empty() {
        return Err("Allowing first-arg of a command is not supported");
    }
    let found = container.descend(Args(&[container.name.as_bytes(), subcommand])).map_err(|_| UNKNOWN)?;
    Ok(Subject::Command(found.name))
}
