//! The first line of a script, where it may declare what it is: `#!lua flags=no-writes,allow-oom`.

use crate::error::{Error, Result};

/// What a script declares of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declaration {
    /// True when there is such a line at all: Redis then holds the script to what it declares.
    pub is_explicit: bool,
    pub no_writes: bool,
    pub allow_oom: bool,
}

/// Reads the declaration, and answers with it the Lua code that follows. The line's end stays, so that errors tell
/// the right line.
///
/// # Errors
/// In Redis's words, when the line names another language or an option or flag that does not exist.
pub fn split(source: &[u8]) -> Result<(Declaration, &[u8])> {
    if !source.starts_with(b"#!") {
        return Ok((Declaration::default(), source));
    }
    let end = source
        .iter()
        .position(|byte| *byte == b'\n')
        .ok_or_else(|| Error::new("ERR Invalid script shebang"))?;
    let line = String::from_utf8_lossy(&source[..end]);
    let mut words = line.split_ascii_whitespace();
    let engine = words.next().unwrap_or_default();
    if engine != "#!lua" {
        return Err(Error::new(format!("ERR Unexpected engine in script shebang: {engine}")));
    }
    let mut declaration = Declaration { is_explicit: true, ..Declaration::default() };
    for word in words {
        let Some(flags) = word.strip_prefix("flags=") else {
            return Err(Error::new(format!("ERR Unknown lua shebang option: {word}")));
        };
        for flag in flags.split(',').filter(|flag| !flag.is_empty()) {
            match flag {
                "no-writes" => declaration.no_writes = true,
                "allow-oom" => declaration.allow_oom = true,
                // These speak of replicas and clusters, which do not exist here.
                "allow-stale" | "no-cluster" | "allow-cross-slot-keys" => {}
                other => return Err(Error::new(format!("ERR Unexpected flag in script shebang: {other}"))),
            }
        }
    }
    Ok((declaration, &source[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_is_read_and_its_line_end_kept() {
        let (declaration, code) =
            split(b"#!lua flags=no-writes,allow-oom\nreturn 1").expect("it is well-formed");
        assert_eq!(declaration, Declaration { is_explicit: true, no_writes: true, allow_oom: true });
        assert_eq!(code, b"\nreturn 1");
    }

    #[test]
    fn a_script_without_a_declaration_is_taken_whole() {
        assert_eq!(split(b"return 1"), Ok((Declaration::default(), &b"return 1"[..])));
    }
}
