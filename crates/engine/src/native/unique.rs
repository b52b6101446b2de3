//! The bodies of `push_unique.lua`, for jobs of which no equal one is there, and of `release_unique.lua`.

use std::collections::HashSet;

use windlass_resp::Value;

use super::check::Check;
use super::push::{append, has_ids_left};
use super::ruled::Base;
use super::{number, wake};
use crate::blob::Blob;
use crate::error::Result;
use crate::object::Object;
use crate::script::Scene;
use crate::types::{ENTRY_BYTES_MAX, SortedSet, Stream};

/// The keys before the locks, and the arguments before the envelopes.
const KEYS: usize = 12;
const OPTIONS: usize = 6;
/// The most jobs of one call; beyond that Lua has limits of its own.
const JOBS_MAX: usize = 1024;

pub fn push(scene: &mut Scene, keys: &[&[u8]], argv: &[&[u8]]) -> Option<Value> {
    let (options, envelopes) = argv.split_first_chunk::<OPTIONS>()?;
    let (keys, locks) = keys.split_first_chunk::<KEYS>()?;
    let (&[queue, _, life, _, due, _], stream, mark) = (options, keys[2], keys[10]);
    let life_ms = number(life)?;
    let is_usual = due.is_empty() && locks.len() == envelopes.len() && locks.len() <= JOBS_MAX;
    // A job of a lane goes another way.
    let is_plain = |envelope: &&[u8]| {
        envelope.len() < ENTRY_BYTES_MAX / 2 && !envelope.windows(6).any(|word| word == b"\"lane\"")
    };
    let base = Base::of(keys[0])?;
    let is_own = stream == base.key("q:", queue) && mark == base.key("wake:", queue);
    if !is_usual || !is_own || !envelopes.iter().all(is_plain) {
        return None;
    }
    let mut check = Check::begin(scene)?;
    if !check.value::<Stream>(stream)?.is_none_or(has_ids_left) {
        return None;
    }
    check.value::<SortedSet>(mark)?;
    let mut seen = HashSet::with_capacity(locks.len());
    for lock in locks {
        let is_free = check.last_value::<Blob>(lock)?.is_none();
        if !is_free || !base.has(lock, b"unique:") || !seen.insert(*lock) {
            return None;
        }
    }
    let answer = add(scene, (queue, stream, mark), life_ms, locks, envelopes);
    Some(answer.expect("all keys were seen to be as the commands need them"))
}

fn add(
    scene: &mut Scene,
    (queue, stream, mark): (&[u8], &[u8], &[u8]),
    life_ms: u64,
    locks: &[&[u8]],
    envelopes: &[&[u8]],
) -> Result<Value> {
    let mut answer = Vec::with_capacity(locks.len());
    for (lock, envelope) in locks.iter().zip(envelopes) {
        let entry = append(scene, stream, &[b"j", envelope])?;
        let id = [queue, b"/", &*entry.text()].concat();
        hold(scene, lock, &id, life_ms);
        answer.push(Value::Array(vec![Value::Integer(1), Value::Bulk(id)]));
    }
    if !answer.is_empty() {
        wake(scene, mark)?;
    }
    Ok(Value::Array(answer))
}

/// As SET of a key that is not there, with its life unless it has none.
fn hold(scene: &mut Scene, lock: &[u8], id: &[u8], life_ms: u64) {
    let expires_ms = (life_ms > 0).then(|| scene.now.millis() + life_ms);
    let mut call = scene.view(&[]);
    call.set(lock, Object::String(Blob::from(id)), expires_ms);
    let mut digits = itoa::Buffer::new();
    match expires_ms {
        Some(at) => call.log_as(&[b"SET", lock, id, b"PXAT", digits.format(at).as_bytes()]),
        None => call.log_as(&[b"SET", lock, id]),
    }
}

pub fn release(scene: &mut Scene, locks: &[&[u8]], ids: &[&[u8]]) -> Option<Value> {
    if locks.len() != ids.len() || locks.len() > JOBS_MAX {
        return None;
    }
    let check = Check::begin(scene)?;
    let mut command: Vec<&[u8]> = vec![b"DEL"];
    for (lock, id) in locks.iter().zip(ids) {
        let is_its = check.last_value::<Blob>(lock)?.is_some_and(|held| **held == **id);
        command.extend(is_its.then_some(*lock));
    }
    if command.len() == 1 {
        return Some(Value::Integer(0));
    }
    Some(scene.run(&command).expect("DEL takes keys of any type"))
}
