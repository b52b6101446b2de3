//! The words after the key of SORT.

use std::ops::Range;

use super::pattern::Pattern;
use crate::args::Args;
use crate::error::{Error, Result};

/// What is asked for.
pub struct Options<'a> {
    pub is_descending: bool,
    pub is_alphabetic: bool,
    pub limit: Limit,
    pub by: Option<Pattern<'a>>,
    pub gets: Vec<Pattern<'a>>,
    pub store: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    pub fn parse(args: Args<'a>, may_store: bool, may_look_up: bool) -> Result<Self> {
        let mut options = Self {
            is_descending: false,
            is_alphabetic: false,
            limit: Limit { start: 0, count: -1 },
            by: None,
            gets: Vec::new(),
            store: None,
        };
        let mut at = 2;
        while at < args.len() {
            let left = args.len() - at - 1;
            match args.word(at).as_str() {
                "ASC" => options.is_descending = false,
                "DESC" => options.is_descending = true,
                "ALPHA" => options.is_alphabetic = true,
                "LIMIT" if left >= 2 => {
                    options.limit = Limit { start: args.integer(at + 1)?, count: args.integer(at + 2)? };
                    at += 2;
                }
                "STORE" if may_store && left >= 1 => {
                    at += 1;
                    options.store = Some(args[at]);
                }
                "BY" if left >= 1 => {
                    at += 1;
                    let by = Pattern(args[at]);
                    if !may_look_up && !by.is_constant() {
                        return Err(denied("BY"));
                    }
                    options.by = Some(by);
                }
                "GET" if left >= 1 => {
                    at += 1;
                    if !may_look_up {
                        return Err(denied("GET"));
                    }
                    options.gets.push(Pattern(args[at]));
                }
                _ => return Err(Error::SYNTAX),
            }
            at += 1;
        }
        Ok(options)
    }
}

/// Patterns lead to keys that are not among the arguments: only who may read all keys may use them.
fn denied(option: &str) -> Error {
    Error::new(format!("ERR {option} option of SORT denied due to insufficient ACL permissions."))
}

/// Which of the sorted elements are wanted; a negative count is all.
pub struct Limit {
    start: i64,
    count: i64,
}

impl Limit {
    pub fn range(&self, length: usize) -> Range<usize> {
        let start = usize::try_from(self.start.max(0)).unwrap_or(usize::MAX).min(length);
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        start..start.saturating_add(count).min(length)
    }
}
