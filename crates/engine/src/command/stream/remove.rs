//! XDEL, XACK and XSETID.

use windlass_resp::Value;

use super::id;
use crate::command::Answer;
use crate::error::{Error, Result};
use crate::state::Call;
use crate::types::{Id, Stream};

pub fn xdel(call: &mut Call<'_>) -> Answer {
    let key = call.args[1];
    if call.get::<Stream>(key)?.is_none() {
        return Ok(Value::Integer(0));
    }
    let ids = ids(call.args.from(2))?;
    let mut stream = call.get_mut::<Stream>(key)?.expect("checked above");
    let removed = ids.into_iter().filter(|id| stream.remove(*id)).count();
    drop(stream);
    if removed > 0 {
        call.modified(key);
        call.log();
    }
    Ok(Value::from(removed))
}

pub fn xack(call: &mut Call<'_>) -> Answer {
    let (key, group) = (call.args[1], call.args[2]);
    if call.get::<Stream>(key)?.and_then(|stream| stream.group(group)).is_none() {
        return Ok(Value::Integer(0));
    }
    let ids = ids(call.args.from(3))?;
    let mut stream = call.get_mut::<Stream>(key)?.expect("checked above");
    let acked = stream.edit_group(group, |group| ids.into_iter().filter(|id| group.ack(*id)).count());
    drop(stream);
    let acked = acked.expect("checked above");
    if acked > 0 {
        call.log();
    }
    Ok(Value::from(acked))
}

pub fn xsetid(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let (key, last_id) = (args[1], id::parse(args[2])?);
    let (mut entries_added, mut max_deleted_id) = (None, None);
    let mut at = 3;
    while at < args.len() {
        match args.word(at).as_str() {
            "ENTRIESADDED" if at + 1 < args.len() => {
                let count = u64::try_from(args.integer(at + 1)?);
                entries_added = Some(count.map_err(|_| Error::new("ERR entries_added must be positive"))?);
            }
            "MAXDELETEDID" if at + 1 < args.len() => {
                let id = id::parse(args[at + 1])?;
                if last_id < id {
                    return Err(Error::new(
                        "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                    ));
                }
                max_deleted_id = Some(id).filter(|id| *id > Id::MIN);
            }
            _ => return Err(Error::SYNTAX),
        }
        at += 2;
    }
    let Some(mut stream) = call.get_mut::<Stream>(key)? else { return Err(Error::NO_KEY) };
    if stream.last_entry().is_some_and(|last| last_id < last) {
        return Err(Error::new("ERR The ID specified in XSETID is smaller than the target stream top item"));
    }
    if !stream.is_empty() && entries_added.is_some_and(|count| count < stream.len() as u64) {
        return Err(Error::new(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    if !stream.is_empty() && last_id < stream.max_deleted_id() {
        return Err(Error::new(
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        ));
    }
    stream.set_history(last_id, entries_added, max_deleted_id);
    drop(stream);
    call.notify_write(key);
    call.log();
    Ok(Value::OK)
}

/// All ids, before any of them is used: one that is invalid refuses the whole command.
fn ids(args: &[&[u8]]) -> Result<Vec<Id>> {
    args.iter().map(|arg| id::parse(arg)).collect()
}
