//! Removing, renaming, copying and moving keys.

use windlass_resp::Value;

use crate::command::Answer;
use crate::error::Error;
use crate::state::Call;

/// DEL and UNLINK: a big value is always freed later.
pub fn del(call: &mut Call<'_>) -> Answer {
    let mut removed: Vec<&[u8]> = vec![b"DEL"];
    for key in call.args.from(1) {
        if call.remove(key) {
            removed.push(key);
        }
    }
    if removed.len() > 1 {
        call.log_as(&removed);
    }
    Ok(Value::from(removed.len() - 1))
}

pub fn exists(call: &mut Call<'_>) -> Answer {
    Ok(Value::from(call.args.from(1).iter().filter(|key| call.entry(key).is_some()).count()))
}

pub fn type_of(call: &mut Call<'_>) -> Answer {
    let name = call.entry(call.args[1]).map_or("none", |entry| entry.value.type_name());
    Ok(Value::Simple(name.into()))
}

pub fn rename(call: &mut Call<'_>) -> Answer {
    let (from, to) = (call.args[1], call.args[2]);
    if call.entry(from).is_none() {
        return Err(Error::NO_KEY);
    }
    if from != to {
        rename_existing(call, from, to);
    }
    Ok(Value::OK)
}

pub fn renamenx(call: &mut Call<'_>) -> Answer {
    let (from, to) = (call.args[1], call.args[2]);
    if call.entry(from).is_none() {
        return Err(Error::NO_KEY);
    }
    let is_free = call.entry(to).is_none();
    if is_free {
        rename_existing(call, from, to);
    }
    Ok(Value::from(is_free))
}

fn rename_existing(call: &mut Call<'_>, from: &[u8], to: &[u8]) {
    let entry = call.db().remove(from).expect("the caller saw the key");
    let (expires_ms, value) = (entry.expires_ms(), entry.value);
    call.does("rename_from");
    call.changed(from);
    call.does("rename_to");
    call.set(to, value, expires_ms);
    call.log();
}

fn same_place() -> Error {
    Error::new("ERR source and destination objects are the same")
}

pub fn copy(call: &mut Call<'_>) -> Answer {
    let (args, from, to) = (call.args, call.args[1], call.args[2]);
    let mut target = call.session.db;
    let mut replaces = false;
    let mut at = 3;
    while at < args.len() {
        match args.word(at).as_str() {
            "REPLACE" => replaces = true,
            "DB" if at + 1 < args.len() => {
                at += 1;
                target = call.args.database(at, call.state.databases.len())?;
            }
            _ => return Err(Error::SYNTAX),
        }
        at += 1;
    }
    if target == call.session.db && from == to {
        return Err(same_place());
    }
    let Some(entry) = call.entry(from).cloned() else {
        return Ok(Value::from(false));
    };
    let (expires_ms, value) = (entry.expires_ms(), entry.value);
    let is_set = in_database(call, target, |call| {
        let may_set = replaces || call.entry(to).is_none();
        if may_set {
            call.set(to, value, expires_ms);
        }
        may_set
    });
    if is_set {
        call.log();
    }
    Ok(Value::from(is_set))
}

/// As EXISTS, and the keys count as used.
pub fn touch(call: &mut Call<'_>) -> Answer {
    let keys = call.args.from(1);
    let count = keys.iter().filter(|key| call.entry(key).is_some()).count();
    for key in keys {
        call.db().used_entry(key);
    }
    Ok(Value::from(count))
}

pub fn move_to_db(call: &mut Call<'_>) -> Answer {
    let key = call.args[1];
    let target = call.args.database(2, call.state.databases.len())?;
    if target == call.session.db {
        return Err(same_place());
    }
    if call.entry(key).is_none() || in_database(call, target, |call| call.entry(key).is_some()) {
        return Ok(Value::from(false));
    }
    let entry = call.db().remove(key).expect("the key was just seen");
    let (expires_ms, value) = (entry.expires_ms(), entry.value);
    call.does("move_from");
    call.changed(key);
    call.does("move_to");
    in_database(call, target, |call| call.set(key, value, expires_ms));
    call.log();
    Ok(Value::from(true))
}

/// Does something in another database than the one that is selected.
fn in_database<T>(call: &mut Call<'_>, db: usize, act: impl FnOnce(&mut Call<'_>) -> T) -> T {
    let before = std::mem::replace(&mut call.session.db, db);
    let result = act(call);
    call.session.db = before;
    result
}
