//! Whole values: SET and its many relatives.

use windlass_resp::Value;

use crate::args::Args;
use crate::blob::Blob;
use crate::command::Answer;
use crate::command::expiry::Unit;
use crate::error::{Error, Result};
use crate::notify::{Classes, Event};
use crate::object::Object;
use crate::state::Call;
use crate::time::Time;

pub fn get(call: &mut Call<'_>) -> Answer {
    Ok(call.get::<Blob>(call.args[1])?.map_or(Value::Nil, Value::bulk))
}

pub fn mget(call: &mut Call<'_>) -> Answer {
    let keys = call.args.from(1);
    let read = |key: &&[u8]| match call.get::<Blob>(key) {
        Ok(Some(text)) => Value::bulk(text),
        // Another type counts as no value here.
        Ok(None) | Err(_) => Value::Nil,
    };
    Ok(Value::Array(keys.iter().map(read).collect()))
}

/// What SET does besides setting.
#[derive(Default)]
struct SetOptions {
    only_new: bool,
    only_existing: bool,
    gives_before: bool,
    keeps_expiry: bool,
    expires_ms: Option<u64>,
}

impl SetOptions {
    fn parse(args: Args<'_>, now: Time) -> Result<Self> {
        let mut options = Self::default();
        let mut expiry = None;
        let mut at = 3;
        while at < args.len() {
            let word = args.word(at);
            match word.as_str() {
                "NX" if !options.only_existing => options.only_new = true,
                "XX" if !options.only_new => options.only_existing = true,
                "GET" => options.gives_before = true,
                "KEEPTTL" if expiry.is_none() => options.keeps_expiry = true,
                word if !options.keeps_expiry => {
                    let unit = Unit::of_option(word).ok_or(Error::SYNTAX)?;
                    // The same unit may come again, and the last number counts.
                    if expiry.is_some_and(|(other, _)| other != unit) {
                        return Err(Error::SYNTAX);
                    }
                    at += 1;
                    args.expect(at)?;
                    expiry = Some((unit, at));
                }
                _ => return Err(Error::SYNTAX),
            }
            at += 1;
        }
        // The number is looked at only when the whole grammar is right.
        if let Some((unit, at)) = expiry {
            options.expires_ms = Some(unit.positive(args, at, "set", now)?);
        }
        Ok(options)
    }
}

pub fn set(call: &mut Call<'_>) -> Answer {
    let (key, value) = (call.args[1], call.args[2]);
    if call.args.len() == 3 {
        store(call, key, value, None);
        return Ok(Value::OK);
    }
    let options = SetOptions::parse(call.args, call.now)?;
    let before = if options.gives_before {
        Some(call.get::<Blob>(key)?.map_or(Value::Nil, Value::bulk))
    } else {
        None
    };
    let entry = call.entry(key);
    let is_there = entry.is_some();
    let kept = entry.and_then(|entry| entry.expires_ms()).filter(|_| options.keeps_expiry);
    if options.only_new && is_there || options.only_existing && !is_there {
        return Ok(before.unwrap_or(Value::Nil));
    }
    if options.keeps_expiry {
        call.set(key, Object::String(Blob::from(value)), kept);
        call.log_as(&[b"SET", key, value, b"KEEPTTL"]);
    } else {
        store(call, key, value, options.expires_ms);
    }
    Ok(before.unwrap_or(Value::OK))
}

/// Sets a value with its expiry, and logs that.
fn store(call: &mut Call<'_>, key: &[u8], value: &[u8], expires_ms: Option<u64>) {
    call.set(key, Object::String(Blob::from(value)), expires_ms);
    if expires_ms.is_some() {
        call.notify(Event::EXPIRE, key);
    }
    match expires_ms {
        Some(at) => {
            call.log_as(&[b"SET", key, value, b"PXAT", itoa::Buffer::new().format(at).as_bytes()]);
        }
        None => call.log_as(&[b"SET", key, value]),
    }
}

pub fn setex(call: &mut Call<'_>) -> Answer {
    set_for(call, Unit::EX)
}

pub fn psetex(call: &mut Call<'_>) -> Answer {
    set_for(call, Unit::PX)
}

fn set_for(call: &mut Call<'_>, unit: Unit) -> Answer {
    let at = unit.positive(call.args, 2, call.command.name, call.now)?;
    store(call, call.args[1], call.args[3], Some(at));
    Ok(Value::OK)
}

pub fn setnx(call: &mut Call<'_>) -> Answer {
    let key = call.args[1];
    let is_free = call.entry(key).is_none();
    if is_free {
        store(call, key, call.args[2], None);
    }
    Ok(Value::from(is_free))
}

pub fn getset(call: &mut Call<'_>) -> Answer {
    let before = get(call)?;
    store(call, call.args[1], call.args[2], None);
    Ok(before)
}

pub fn getdel(call: &mut Call<'_>) -> Answer {
    let before = get(call)?;
    if before != Value::Nil {
        call.remove(call.args[1]);
        call.log_as(&[b"DEL", call.args[1]]);
    }
    Ok(before)
}

pub fn getex(call: &mut Call<'_>) -> Answer {
    let (args, key) = (call.args, call.args[1]);
    let unit = if args.is(2, "PERSIST") { None } else { Unit::of_option(&args.word(2)) };
    // The same may be said again, and the last number counts.
    let is_well_formed = match unit {
        None => (2..args.len()).all(|at| args.is(at, "PERSIST")),
        Some(_) => {
            args.from(2).chunks(2).all(|pair| pair.len() == 2 && pair[0].eq_ignore_ascii_case(args[2]))
        }
    };
    if !is_well_formed {
        return Err(Error::SYNTAX);
    }
    let value = get(call)?;
    if value == Value::Nil || args.len() == 2 {
        return Ok(value);
    }
    let expires_ms = unit.map(|unit| unit.positive(args, args.len() - 1, "getex", call.now)).transpose()?;
    match expires_ms {
        Some(at) if at <= call.now.millis() => {
            call.remove(key);
            call.log_as(&[b"DEL", key]);
        }
        Some(at) => {
            call.db().set_expiry(key, Some(at));
            call.changed(key);
            call.log_as(&[b"PEXPIREAT", key, itoa::Buffer::new().format(at).as_bytes()]);
        }
        None => {
            if call.db().set_expiry(key, None).is_some() {
                call.event = Some(Event(Classes::GENERIC, "persist"));
                call.changed(key);
                call.log_as(&[b"PERSIST", key]);
            }
        }
    }
    Ok(value)
}

pub fn mset(call: &mut Call<'_>) -> Answer {
    check_pairs(call)?;
    set_pairs(call);
    Ok(Value::OK)
}

pub fn msetnx(call: &mut Call<'_>) -> Answer {
    check_pairs(call)?;
    let pairs = call.args.from(1);
    if pairs.iter().step_by(2).any(|key| call.entry(key).is_some()) {
        return Ok(Value::from(false));
    }
    set_pairs(call);
    Ok(Value::from(true))
}

fn check_pairs(call: &Call<'_>) -> Result<()> {
    if call.args.len().is_multiple_of(2) { Err(Error::arity(call.command.name)) } else { Ok(()) }
}

fn set_pairs(call: &mut Call<'_>) {
    for pair in call.args.from(1).chunks_exact(2) {
        call.set(pair[0], Object::String(Blob::from(pair[1])), None);
    }
    call.log();
}
