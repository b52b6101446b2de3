//! XGROUP.

use windlass_resp::Value;

use super::{id, no_group_of_key};
use crate::command::Answer;
use crate::error::{Error, Result};
use crate::state::Call;
use crate::types::{Group, Id, Stream};

const NO_STREAM: &str = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use \
     the MKSTREAM option to create an empty stream automatically.";

/// The options of CREATE and SETID.
#[derive(Default)]
struct Options {
    may_create_stream: bool,
    entries_read: Option<u64>,
}

pub fn create(call: &mut Call<'_>) -> Answer {
    let options = options(call)?;
    let (key, group, text) = (call.args[2], call.args[3], call.args[4]);
    let stream = call.get::<Stream>(key)?;
    if stream.is_none() && !options.may_create_stream {
        return Err(Error::new(NO_STREAM));
    }
    let is_new = stream.is_none();
    let last_id = match text {
        b"$" => stream.map_or(Id::MIN, Stream::last_id),
        text => id::parse(text)?,
    };
    let is_added = call.make::<Stream>(key)?.add_group(group, Group::new(last_id, options.entries_read));
    if !is_added {
        return Err(Error::new("BUSYGROUP Consumer Group name already exists"));
    }
    if is_new {
        call.changed(key);
    } else {
        call.notify_write(key);
    }
    call.log();
    Ok(Value::OK)
}

pub fn set_id(call: &mut Call<'_>) -> Answer {
    let options = options(call)?;
    let (key, group, text) = (call.args[2], call.args[3], call.args[4]);
    let last_id = existing_group(call)?.last_id();
    if call.args.len() != 5 && call.args.len() != 7 {
        return Err(Error::subcommand_arguments("xgroup", call.args[1]));
    }
    let last_id = if text == b"$" { last_id } else { id::parse_loose(text, 0)? };
    let mut stream = call.get_mut::<Stream>(key)?.expect("checked above");
    stream.edit_group(group, |group| {
        group.last_id = last_id;
        group.entries_read = options.entries_read;
    });
    drop(stream);
    call.notify_write(key);
    call.log();
    Ok(Value::OK)
}

pub fn destroy(call: &mut Call<'_>) -> Answer {
    let (key, group) = (call.args[2], call.args[3]);
    let Some(mut stream) = call.get_mut::<Stream>(key)? else { return Err(Error::new(NO_STREAM)) };
    let is_removed = stream.remove_group(group);
    drop(stream);
    if is_removed {
        // Who waits for new entries of the group is told that it is gone.
        call.wake(key);
        call.notify_write(key);
        call.log();
    }
    Ok(Value::from(is_removed))
}

pub fn create_consumer(call: &mut Call<'_>) -> Answer {
    let (key, group, name) = (call.args[2], call.args[3], call.args[4]);
    if existing_group(call)?.group(group).is_some_and(|group| group.find_consumer(name).is_some()) {
        return Ok(Value::Integer(0));
    }
    let now_ms = call.now.millis();
    let mut stream = call.get_mut::<Stream>(key)?.expect("checked above");
    stream.edit_group(group, |group| group.see_consumer(name, now_ms));
    drop(stream);
    call.notify_write(key);
    call.log();
    Ok(Value::Integer(1))
}

pub fn remove_consumer(call: &mut Call<'_>) -> Answer {
    let (key, group, name) = (call.args[2], call.args[3], call.args[4]);
    existing_group(call)?;
    let mut stream = call.get_mut::<Stream>(key)?.expect("checked above");
    let pending = stream.edit_group(group, |group| group.remove_consumer(name)).flatten();
    drop(stream);
    if pending.is_some() {
        call.notify_write(key);
        call.log();
    }
    Ok(Value::from(pending.unwrap_or(0)))
}

/// The stream at the key, which has the group.
fn existing_group<'a>(call: &'a mut Call<'_>) -> Result<&'a Stream> {
    let (key, group) = (call.args[2], call.args[3]);
    let stream = call.get::<Stream>(key)?.ok_or_else(|| Error::new(NO_STREAM))?;
    if stream.group(group).is_none() {
        return Err(no_group_of_key(key, group));
    }
    Ok(stream)
}

fn options(call: &Call<'_>) -> Result<Options> {
    let (args, mut options, mut at) = (call.args, Options::default(), 5);
    while at < args.len() {
        if args.is(at, "MKSTREAM") && args.is(1, "CREATE") {
            options.may_create_stream = true;
            at += 1;
        } else if args.is(at, "ENTRIESREAD") && at + 1 < args.len() {
            let count = args.integer(at + 1)?;
            if count < -1 {
                return Err(Error::new("ERR value for ENTRIESREAD must be positive or -1"));
            }
            options.entries_read = u64::try_from(count).ok();
            at += 2;
        } else {
            return Err(Error::subcommand_arguments("xgroup", args[1]));
        }
    }
    Ok(options)
}
