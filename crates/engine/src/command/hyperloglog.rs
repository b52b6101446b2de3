//! Commands that count different elements. The value is a string, whose bytes are those of Redis.

use windlass_resp::Value;

use super::{Answer, Command, Group, Keys};
use crate::blob::Blob;
use crate::error::{Error, Result};
use crate::state::Call;
use crate::types::hyperloglog::{self as hll, Corrupt, REGISTERS};

/// The longest sparse form in bytes, as Redis's `hll-sparse-max-bytes`.
pub const SPARSE_MAX: usize = 3000;

const KEYS: Keys = Keys::Range(1, -1, 1);

pub const COMMANDS: &[Command] = &[
    GROUP.row(
        "pfadd",
        -2,
        flags![WRITE, DENY_OOM, FAST],
        Keys::Range(1, 1, 1),
        "Add elements that are to be counted",
        pfadd,
    ),
    GROUP.row(
        "pfcount",
        -2,
        flags![READONLY, MAY_REPLICATE],
        KEYS,
        "Estimate how many different elements were added",
        pfcount,
    ),
    GROUP.row(
        "pfmerge",
        -2,
        flags![WRITE, DENY_OOM],
        KEYS,
        "Count the elements of several keys in one",
        pfmerge,
    ),
];

/// What makes the rows of this family.
const GROUP: Group = Group("hyperloglog");

impl From<Corrupt> for Error {
    fn from(_: Corrupt) -> Self {
        Self::new("INVALIDOBJ Corrupted HLL object detected")
    }
}

/// The bytes at a key, if there are any.
fn read<'a>(call: &'a mut Call<'_>, key: &[u8]) -> Result<Option<&'a Blob>> {
    match call.get::<Blob>(key)? {
        Some(bytes) if !hll::is_one(bytes) => {
            Err(Error::new("WRONGTYPE Key is not a valid HyperLogLog string value."))
        }
        bytes => Ok(bytes),
    }
}

pub fn pfadd(call: &mut Call<'_>) -> Answer {
    let key = call.args[1];
    let before = read(call, key)?;
    let mut has_changed = before.is_none();
    let mut bytes = before.map_or_else(hll::create, |bytes| bytes.to_vec());
    for element in call.args.from(2) {
        has_changed |= hll::add(&mut bytes, element, SPARSE_MAX)?;
    }
    if has_changed {
        write(call, key, bytes)?;
    }
    Ok(Value::from(has_changed))
}

/// Puts the registers back; how many elements they stand for is not known any more.
fn write(call: &mut Call<'_>, key: &[u8], mut bytes: Vec<u8>) -> Result<()> {
    hll::forget_count(&mut bytes);
    *call.make::<Blob>(key)? = Blob::from(bytes);
    call.changed(key);
    call.log();
    Ok(())
}

pub fn pfcount(call: &mut Call<'_>) -> Answer {
    let keys = call.args.from(1);
    if let [key] = keys {
        return count_one(call, key);
    }
    let mut all = Box::new([0; REGISTERS]);
    for key in keys {
        if let Some(bytes) = read(call, key)? {
            hll::merge(&mut all, &*hll::registers(bytes)?);
        }
    }
    Ok(answer(hll::estimate(&all)))
}

fn count_one(call: &mut Call<'_>, key: &[u8]) -> Answer {
    let Some(bytes) = read(call, key)? else { return Ok(Value::Integer(0)) };
    if let Some(noted) = hll::noted_count(bytes) {
        return Ok(answer(noted));
    }
    let count = hll::estimate(&*hll::registers(bytes)?);
    // The count is noted in the value, which is a write; a log that takes none must not miss one.
    if call.state.write_refusal.is_none() {
        let mut value = call.get_mut::<Blob>(key)?.expect("the key was just read");
        hll::note_count(&mut value, count);
        drop(value);
        call.touched(key);
        call.log();
    }
    Ok(answer(count))
}

fn answer(count: u64) -> Value {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

pub fn pfmerge(call: &mut Call<'_>) -> Answer {
    let (keys, target) = (call.args.from(1), call.args[1]);
    let mut all = Box::new([0; REGISTERS]);
    let mut is_dense = false;
    for key in keys {
        if let Some(bytes) = read(call, key)? {
            is_dense |= hll::is_dense(bytes);
            hll::merge(&mut all, &*hll::registers(bytes)?);
        }
    }
    let mut bytes = read(call, target)?.map_or_else(hll::create, |bytes| bytes.to_vec());
    if is_dense {
        hll::make_dense(&mut bytes)?;
    }
    for (index, run) in all.iter().enumerate().filter(|(_, run)| **run > 0) {
        hll::raise(&mut bytes, index, *run, SPARSE_MAX)?;
    }
    write(call, target, bytes)?;
    Ok(Value::OK)
}
