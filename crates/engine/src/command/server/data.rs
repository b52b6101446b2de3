//! Whole databases: counting, emptying, exchanging them.

use windlass_resp::Value;

use super::GROUP;
use crate::command::{Answer, Command, Keys};
use crate::error::{Error, Result};
use crate::keyspace::Keyspace;
use crate::state::Call;

pub fn dbsize(call: &mut Call<'_>) -> Answer {
    Ok(Value::from(call.db().len()))
}

pub fn flushdb(call: &mut Call<'_>) -> Answer {
    check_mode(call)?;
    if empty(call, call.session.db) {
        call.log_as(&[b"FLUSHDB"]);
    }
    Ok(Value::OK)
}

pub fn flushall(call: &mut Call<'_>) -> Answer {
    check_mode(call)?;
    let mut has_emptied = false;
    for db in 0..call.state.databases.len() {
        has_emptied |= empty(call, db);
    }
    if has_emptied {
        call.log_as(&[b"FLUSHALL"]);
    }
    Ok(Value::OK)
}

/// ASYNC and SYNC are the same: the keys are gone at once, their memory is freed later.
fn check_mode(call: &Call<'_>) -> Result<()> {
    let is_known = call.args.is(1, "ASYNC") || call.args.is(1, "SYNC");
    if call.args.len() == 1 || call.args.len() == 2 && is_known { Ok(()) } else { Err(Error::SYNTAX) }
}

/// Empties a database; true if there was something in it.
fn empty(call: &mut Call<'_>, db: usize) -> bool {
    if call.state.databases[db].len() == 0 {
        return false;
    }
    touch_all(call, db, |databases, key| databases[db].entry(key).is_some());
    let mut fresh = Keyspace::new(call.state.config.seed);
    fresh.set_clock(call.now);
    let old = std::mem::replace(&mut call.state.databases[db], fresh);
    call.state.garbage.add_keyspace(old);
    true
}

/// Breaks who watches a key of `db` that is concerned, and looks again at everything that somebody waits for there.
fn touch_all(call: &mut Call<'_>, db: usize, is_concerned: impl Fn(&[Keyspace], &[u8]) -> bool) {
    let state = &mut *call.state;
    for ((watched_db, key), sessions) in &state.watchers {
        if *watched_db != db || !is_concerned(&state.databases, key) {
            continue;
        }
        for id in sessions {
            match state.sessions.get_mut(id) {
                Some(Some(session)) => session.is_watch_broken = true,
                // The session that executes this is not among the others meanwhile.
                _ if *id == call.session.id => call.session.is_watch_broken = true,
                _ => {}
            }
        }
    }
    state.ready.extend(state.waits.keys_of(db));
}

pub fn swapdb(call: &mut Call<'_>) -> Answer {
    let number = |index: usize, which: &str| {
        let number = call.args.integer(index).ok().filter(|number| i32::try_from(*number).is_ok());
        number.ok_or_else(|| Error::new(format!("ERR invalid {which} DB index")))
    };
    let (first, second) = (number(1, "first")?, number(2, "second")?);
    let count = call.state.databases.len();
    let check = |number: i64| usize::try_from(number).ok().filter(|db| *db < count).ok_or(Error::DB_RANGE);
    let (first, second) = (check(first)?, check(second)?);
    if first != second {
        for db in [first, second] {
            touch_all(call, db, |databases, key| {
                databases[first].entry(key).is_some() || databases[second].entry(key).is_some()
            });
        }
        call.state.databases.swap(first, second);
        call.log();
    }
    Ok(Value::OK)
}

pub const MEMORY: &[Command] = &[
    GROUP.sub("memory|doctor", 2, flags![], Keys::None, "", "What is wrong with the use of memory.", |_| {
        Ok(Value::Verbatim("txt", "Nothing to report: MEMORY STATS shows what the data takes.\n".into()))
    }),
    GROUP.help("memory|help"),
    GROUP.sub(
        "memory|malloc-stats",
        2,
        flags![],
        Keys::None,
        "",
        "What the allocator tells: nothing.",
        |_| Ok(Value::from("Stats not supported for the current allocator")),
    ),
    GROUP.sub("memory|purge", 2, flags![], Keys::None, "", "Accepted; memory goes back by itself.", |_| {
        Ok(Value::OK)
    }),
    GROUP.sub("memory|stats", 2, flags![], Keys::None, "", "What the data takes.", stats),
    GROUP.sub(
        "memory|usage",
        -3,
        flags![READONLY],
        Keys::Range(2, 2, 1),
        "<key> [SAMPLES <count>]",
        "About how many bytes a key takes; SAMPLES is accepted, the count is kept all the time.",
        usage,
    ),
];

fn stats(call: &mut Call<'_>) -> Answer {
    call.state.note_memory();
    let (bytes, peak) = (call.state.bytes(), call.state.stats.memory_peak);
    let keys: usize = call.state.databases.iter().map(Keyspace::len).sum();
    let share = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    let fact = |name: &str, value: Value| (Value::from(name), value);
    Ok(Value::Map(vec![
        fact("peak.allocated", Value::from(peak)),
        fact("total.allocated", Value::from(bytes)),
        fact("keys.count", Value::from(keys)),
        fact("keys.bytes-per-key", Value::from(bytes.checked_div(keys).unwrap_or(0))),
        fact("dataset.bytes", Value::from(bytes)),
        fact("dataset.percentage", Value::Double(share(bytes, bytes))),
        fact("peak.percentage", Value::Double(share(bytes, peak))),
    ]))
}

fn usage(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    match args.len() {
        3 => {}
        5 if args.is(3, "SAMPLES") => {
            if args.integer(4)? < 0 {
                return Err(Error::SYNTAX);
            }
        }
        _ => return Err(Error::SYNTAX),
    }
    Ok(call.entry(args[2]).map(|entry| size_of_val(entry) + entry.bytes()).into())
}
