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
        "pfdebug",
        3,
        flags![WRITE, DENY_OOM, ADMIN],
        Keys::Range(2, 2, 1),
        "Tell how a HyperLogLog is kept",
        pfdebug,
    ),
    GROUP.row(
        "pfmerge",
        -2,
        flags![WRITE, DENY_OOM],
        KEYS,
        "Count the elements of several keys in one",
        pfmerge,
    ),
    GROUP.row(
        "pfselftest",
        1,
        flags![ADMIN],
        Keys::None,
        "Check the forms and the estimate against each other",
        pfselftest,
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

/// What tests of the forms need: GETREG, DECODE, ENCODING, TODENSE.
fn pfdebug(call: &mut Call<'_>) -> Answer {
    let key = call.args[2];
    let Some(bytes) = read(call, key)? else {
        return Err(Error::new("ERR The specified key does not exist"));
    };
    let is_dense = hll::is_dense(bytes);
    match call.args.word(1).as_str() {
        // As in Redis, to look at the registers changes the form.
        "GETREG" => {
            to_dense(call, key)?;
            let bytes = read(call, key)?.expect("the key was just read");
            let registers = hll::registers(bytes)?;
            Ok(Value::Array(registers.iter().map(|run| Value::Integer(i64::from(*run))).collect()))
        }
        "DECODE" if is_dense => Err(Error::new("ERR HLL encoding is not sparse")),
        "DECODE" => Ok(Value::bulk(hll::describe_sparse(read(call, key)?.expect("the key was just read")))),
        "ENCODING" => Ok(Value::Simple(if is_dense { "dense" } else { "sparse" }.into())),
        "TODENSE" => Ok(Value::from(to_dense(call, key)?)),
        _ => {
            let given = String::from_utf8_lossy(call.args[1]);
            Err(Error::new(format!("ERR Unknown PFDEBUG subcommand '{given}'")))
        }
    }
}

/// Gives the value at `key` its dense form; true when it had another.
fn to_dense(call: &mut Call<'_>, key: &[u8]) -> Result<bool> {
    let Some(bytes) = read(call, key)?.filter(|bytes| !hll::is_dense(bytes)) else { return Ok(false) };
    let mut bytes = bytes.to_vec();
    hll::make_dense(&mut bytes)?;
    *call.make::<Blob>(key)? = Blob::from(bytes);
    call.touched(key);
    call.log_as(&[b"PFDEBUG", b"TODENSE", key]);
    Ok(true)
}

/// Redis adds ten million elements and takes seconds; so many hold nobody up.
const SELF_TEST_ELEMENTS: u64 = 20_000;

/// Adds the same elements to both forms, and compares them with each other and the estimate with the truth.
fn pfselftest(call: &mut Call<'_>) -> Answer {
    let seed = call.state.random.next();
    let failed = |what: String| Err(Error::new(format!("TESTFAILED {what}")));
    let (mut sparse, mut dense) = (hll::create(), hll::create());
    hll::make_dense(&mut dense)?;
    let mut checkpoint = 1;
    for number in 1..=SELF_TEST_ELEMENTS {
        let element = (number ^ seed).to_le_bytes();
        hll::add(&mut sparse, &element, SPARSE_MAX)?;
        hll::add(&mut dense, &element, SPARSE_MAX)?;
        if number != checkpoint {
            continue;
        }
        if number < SPARSE_MAX as u64 / 2 && hll::is_dense(&sparse) {
            return failed("sparse encoding not used".into());
        }
        let registers = hll::registers(&dense)?;
        if registers != hll::registers(&sparse)? {
            return failed("dense/sparse disagree".into());
        }
        // Six times the standard error, and one more where the number is small.
        let wrong_by = hll::estimate(&registers).abs_diff(number);
        let wrong_max = (6.0 * 1.04 / (REGISTERS as f64).sqrt() * number as f64).ceil() as u64;
        if wrong_by > wrong_max.max(1) {
            return failed(format!("Too big error. card:{number} abserr:{wrong_by}"));
        }
        checkpoint *= 10;
    }
    Ok(Value::OK)
}
