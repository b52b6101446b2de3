//! Finding keys.

use windlass_resp::Value;

use crate::blob::Blob;
use crate::command::{Answer, scan};
use crate::error::Error;
use crate::keyspace::Entry;
use crate::pattern;
use crate::state::Call;

/// How many keys SCAN aims at when it is not told.
const COUNT_DEFAULT: usize = 10;
/// How many buckets SCAN looks at per wanted key before it gives up on sparse ones, as in Redis.
const BUCKETS_PER_KEY: usize = 10;

/// True for a key whose time is over but which nobody has removed yet.
fn has_ended(entry: &Entry, now_ms: u64) -> bool {
    entry.expires_ms().is_some_and(|at| at <= now_ms)
}

pub fn keys(call: &mut Call<'_>) -> Answer {
    let (wanted, now_ms) = (call.args[1], call.now.millis());
    let matching = |entry: &&Entry| !has_ended(entry, now_ms) && pattern::matches(wanted, &entry.key);
    Ok(Value::Array(call.db().iter().filter(matching).map(|entry| Value::bulk(&entry.key)).collect()))
}

pub fn scan(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let mut cursor = scan::cursor(args, 1)?;
    let (mut wanted, mut count, mut kind) = (None, COUNT_DEFAULT, None);
    let mut at = 2;
    while at < args.len() {
        let value = args.expect(at + 1)?;
        match args.word(at).as_str() {
            "COUNT" => {
                let number = args.integer(at + 1)?;
                count = usize::try_from(number).ok().filter(|count| *count > 0).ok_or(Error::SYNTAX)?;
            }
            "MATCH" => wanted = Some(value),
            "TYPE" => kind = Some(value),
            _ => return Err(Error::SYNTAX),
        }
        at += 2;
    }
    let now_ms = call.now.millis();
    let (mut found, mut visited) = (Vec::new(), 0);
    for _ in 0..count.saturating_mul(BUCKETS_PER_KEY) {
        cursor = call.db().scan(cursor, |entry| {
            visited += 1;
            let is_wanted = !has_ended(entry, now_ms)
                && wanted.is_none_or(|wanted| pattern::matches(wanted, &entry.key))
                && kind.is_none_or(|kind| kind.eq_ignore_ascii_case(entry.value.type_name().as_bytes()));
            if is_wanted {
                found.push(Value::bulk(&entry.key));
            }
        });
        if cursor == 0 || visited >= count {
            break;
        }
    }
    Ok(Value::Array(vec![Value::bulk(itoa::Buffer::new().format(cursor)), Value::Array(found)]))
}

pub fn randomkey(call: &mut Call<'_>) -> Answer {
    let now_ms = call.now.millis();
    loop {
        let state = &mut *call.state;
        let Some(entry) = state.databases[call.session.db].choose(&mut state.random) else {
            return Ok(Value::Nil);
        };
        // While clients are paused nothing goes, and Redis, too, answers such a key then.
        if !has_ended(entry, now_ms) || state.pause.is_on(call.now) {
            return Ok(Value::bulk(&entry.key));
        }
        let key: Blob = entry.key.clone();
        state.expire(call.session.db, &key);
    }
}
