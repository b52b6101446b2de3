//! What the SCAN family shares: its cursor, its options, its reply.

use windlass_resp::Value;

use crate::args::Args;
use crate::error::{Error, Result};
use crate::number::parse_integer;
use crate::pattern;

/// How many elements one call visits, about, unless COUNT says otherwise.
const COUNT: usize = 10;

/// The options of one call.
pub struct Scan<'a> {
    pattern: Option<&'a [u8]>,
    count: usize,
}

impl<'a> Scan<'a> {
    /// Reads MATCH and COUNT from the argument at `index` on.
    pub fn parse(args: Args<'a>, index: usize) -> Result<Self> {
        let mut scan = Self { pattern: None, count: COUNT };
        for option in args.from(index).chunks(2) {
            let [name, value] = option else { return Err(Error::SYNTAX) };
            match name.to_ascii_uppercase().as_slice() {
                b"MATCH" => scan.pattern = Some(value),
                b"COUNT" => {
                    let count = parse_integer(value).ok_or(Error::NOT_INTEGER)?;
                    scan.count =
                        usize::try_from(count).ok().filter(|count| *count > 0).ok_or(Error::SYNTAX)?;
                }
                _ => return Err(Error::SYNTAX),
            }
        }
        Ok(scan)
    }

    /// Calls `step`, which visits some elements from a cursor on and answers the next one, until enough were visited;
    /// `step` counts the elements that it visits in its second argument.
    pub fn run(&self, mut cursor: u64, mut step: impl FnMut(u64, &mut usize) -> u64) -> u64 {
        let mut visited = 0;
        loop {
            cursor = step(cursor, &mut visited);
            if cursor == 0 || visited >= self.count {
                return cursor;
            }
        }
    }

    pub fn matches(&self, text: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| pattern::matches(pattern, text))
    }
}

/// The cursor at `index`, which Redis reads with `strtoul`: a minus turns the number around, and nothing is none.
pub fn cursor(args: Args<'_>, index: usize) -> Result<u64> {
    let text = args.get(index).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
    if args.get(index).is_some_and(<[u8]>::is_empty) {
        return Ok(0);
    }
    let (is_negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let number: u64 = digits.parse().map_err(|_| Error::new("ERR invalid cursor"))?;
    Ok(if is_negative { number.wrapping_neg() } else { number })
}

/// The reply: the next cursor and the elements.
pub fn reply(cursor: u64, elements: Vec<Value>) -> Value {
    Value::Array(vec![Value::bulk(cursor.to_string()), Value::Array(elements)])
}
