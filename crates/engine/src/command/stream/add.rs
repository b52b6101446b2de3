//! XADD and XTRIM, which share their options.

use windlass_resp::Value;

use super::{id, id_value};
use crate::args::Args;
use crate::command::Answer;
use crate::error::{Error, Result};
use crate::state::Call;
use crate::types::{ENTRIES_MAX, ENTRY_BYTES_MAX, Id, NewId, Precision, Stream, Trim};

/// Most blocks that a trim with `~` deletes when LIMIT does not say.
const TRIM_BLOCKS: usize = 100;

/// The options of XADD and XTRIM.
struct Options {
    trim: Option<(Trim, Precision)>,
    may_create: bool,
    id: NewId,
    /// The index of the argument after the id.
    next: usize,
}

/// Which of the two commands the options are of.
#[derive(Clone, Copy, PartialEq)]
enum Use {
    Add,
    Trim,
}

pub fn xadd(call: &mut Call<'_>) -> Answer {
    let block_max = call.state.settings.stream_block_max;
    let options = parse(call.args, Use::Add, block_max)?;
    let (key, fields) = (call.args[1], call.args.from(options.next));
    if fields.is_empty() || !fields.len().is_multiple_of(2) {
        return Err(Error::arity("xadd"));
    }
    if options.id == NewId::Exact(Id::MIN) {
        return Err(Error::new("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let existing = call.get::<Stream>(key)?;
    if existing.is_some_and(|stream| stream.last_id() == Id::MAX) {
        return Err(Error::new(
            "ERR The stream has exhausted the last possible ID, unable to add more items",
        ));
    }
    if existing.is_none() && !options.may_create {
        return Ok(Value::Nil);
    }
    if fields.iter().map(|item| item.len()).sum::<usize>() > ENTRY_BYTES_MAX {
        return Err(Error::new("ERR Elements are too large to be stored"));
    }
    let now_ms = call.now.millis();
    let mut stream = call.make::<Stream>(key)?;
    let Some(id) = stream.next_id(options.id, now_ms) else {
        return Err(Error::new(
            "ERR The ID specified in XADD is equal or smaller than the target stream top item",
        ));
    };
    stream.limit_blocks(block_max);
    stream.push(id, fields);
    let trimmed = options.trim.map_or(0, |(to, precision)| stream.trim(to, precision));
    let len = stream.len();
    drop(stream);
    call.grew(key);
    if trimmed > 0 {
        call.notify_as("xtrim", key);
    }
    let (id_text, mut len_text) = (id.text(), itoa::Buffer::new());
    let mut effect: Vec<&[u8]> = Vec::with_capacity(fields.len() + 6);
    effect.extend([b"XADD", key]);
    if trimmed > 0 {
        // What a trim leaves depends on the blocks; the number left does not.
        effect.extend([b"MAXLEN".as_slice(), b"=", len_text.format(len).as_bytes()]);
    }
    effect.push(&id_text);
    effect.extend_from_slice(fields);
    call.log_as(&effect);
    Ok(id_value(id))
}

pub fn xtrim(call: &mut Call<'_>) -> Answer {
    let options = parse(call.args, Use::Trim, call.state.settings.stream_block_max)?;
    let (to, precision) = options.trim.expect("XTRIM without a strategy is refused");
    let key = call.args[1];
    let Some(mut stream) = call.get_mut::<Stream>(key)? else { return Ok(Value::Integer(0)) };
    let trimmed = stream.trim(to, precision);
    let len = stream.len();
    drop(stream);
    if trimmed > 0 {
        call.modified(key);
        call.log_as(&[b"XTRIM", key, b"MAXLEN", b"=", itoa::Buffer::new().format(len).as_bytes()]);
    }
    Ok(Value::from(trimmed))
}

fn parse(args: Args<'_>, usage: Use, block_max: u16) -> Result<Options> {
    let entries_max = TRIM_BLOCKS * usize::from(if block_max == 0 { ENTRIES_MAX } else { block_max });
    let (mut to, mut is_approximate, mut limit) = (None, false, None);
    let (mut may_create, mut new_id) = (true, NewId::Auto);
    let mut at = 2;
    while at < args.len() {
        // Most calls have no option and begin with the id.
        if usage == Use::Add && (args[at] == b"*" || args[at].first().is_some_and(u8::is_ascii_digit)) {
            new_id = if args[at] == b"*" { NewId::Auto } else { id::parse_new(args[at])? };
            break;
        }
        let has_more = at + 1 < args.len();
        let word = args.word(at);
        match word.as_str() {
            "MAXLEN" | "MINID" if has_more => {
                if to.is_some() {
                    return Err(Error::new(
                        "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
                    ));
                }
                at += 1;
                is_approximate = args[at] == b"~" && at + 1 < args.len();
                if is_approximate || (args[at] == b"=" && at + 1 < args.len()) {
                    at += 1;
                }
                to = Some(if word == "MAXLEN" {
                    let len = usize::try_from(args.integer(at)?);
                    Trim::Len(len.map_err(|_| Error::new("ERR The MAXLEN argument must be >= 0."))?)
                } else {
                    Trim::From(id::parse(args[at])?)
                });
            }
            "LIMIT" if has_more => {
                at += 1;
                let count = usize::try_from(args.integer(at)?);
                limit = Some(count.map_err(|_| Error::new("ERR The LIMIT argument must be >= 0."))?);
            }
            "NOMKSTREAM" if usage == Use::Add => may_create = false,
            _ if usage == Use::Add => {
                new_id = id::parse_new(args[at])?;
                break;
            }
            _ => return Err(Error::SYNTAX),
        }
        at += 1;
    }
    if limit.is_some_and(|limit| limit > 0) && to.is_none() {
        return Err(Error::new(
            "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
        ));
    }
    if usage == Use::Trim && to.is_none() {
        return Err(Error::new("ERR syntax error, XTRIM must be called with a trimming strategy"));
    }
    if limit.is_some() && !is_approximate {
        return Err(Error::new("ERR syntax error, LIMIT cannot be used without the special ~ option"));
    }
    let precision = match limit {
        _ if !is_approximate => Precision::Exact,
        Some(0) => Precision::Blocks { entries_max: usize::MAX },
        limit => Precision::Blocks { entries_max: limit.unwrap_or(entries_max) },
    };
    Ok(Options { trim: to.map(|to| (to, precision)), may_create, id: new_id, next: at + 1 })
}
