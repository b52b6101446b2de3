//! DUMP and RESTORE: one value as bytes, the same in every Redis.

use windlass_resp::Value;

use crate::command::Answer;
use crate::command::expiry::Unit;
use crate::error::{Error, Result};
use crate::rdb::{Payload, encode_value};
use crate::state::Call;

/// The greatest count of uses that FREQ takes.
const FREQ_MAX: i64 = 255;

pub fn dump(call: &mut Call<'_>) -> Answer {
    Ok(call.entry(call.args[1]).map_or(Value::Nil, |entry| Value::Bulk(encode_value(&entry.value))))
}

pub fn restore(call: &mut Call<'_>) -> Answer {
    let (args, key) = (call.args, call.args[1]);
    let Options { replaces, is_absolute, idle_s } = options(call)?;
    if !replaces && call.entry(key).is_some() {
        return Err(Error::new("BUSYKEY Target key name already exists."));
    }
    let ttl = args.integer(2)?;
    if ttl < 0 {
        return Err(Error::new("ERR Invalid TTL value, must be >= 0"));
    }
    let payload = Payload::parse(args[3])
        .ok_or_else(|| Error::new("ERR DUMP payload version or checksum are wrong"))?;
    let value = payload.decode(call.state.config.seed).ok_or_else(|| Error::new("ERR Bad data format"))?;
    let unit = Unit { is_seconds: false, is_absolute };
    let at = (ttl > 0).then(|| unit.absolute(ttl, call.now).ok_or_else(|| Error::invalid_expire("restore")));
    let at = at.transpose()?.map(i64::cast_unsigned);
    if at.is_some_and(|at| at <= call.now.millis()) {
        if call.remove(key) {
            call.log_as(&[b"DEL", key]);
        }
        return Ok(Value::OK);
    }
    // The log is for a Redis of the version that we write.
    let encoded = (!payload.is_written_version()).then(|| encode_value(&value));
    call.set(key, value, at);
    if let (Some(idle_s), now_s) = (idle_s, call.now.seconds())
        && let Some(entry) = call.entry(key)
    {
        entry.used.set(u32::try_from(now_s.saturating_sub(idle_s)).unwrap_or(u32::MAX));
    }
    let at = itoa::Buffer::new().format(at.unwrap_or(0)).to_owned();
    let payload = encoded.as_deref().unwrap_or(args[3]);
    call.log_as(&[b"RESTORE", key, at.as_bytes(), payload, b"REPLACE", b"ABSTTL"]);
    Ok(Value::OK)
}

struct Options {
    replaces: bool,
    is_absolute: bool,
    /// For how many seconds it was not used.
    idle_s: Option<u64>,
}

/// The words after the payload. How often the key was used is checked and not kept.
fn options(call: &Call<'_>) -> Result<Options> {
    let args = call.args;
    let mut options = Options { replaces: false, is_absolute: false, idle_s: None };
    let (mut is_idle, mut is_frequent) = (false, false);
    let mut at = 4;
    while at < args.len() {
        match args.word(at).as_str() {
            "REPLACE" => options.replaces = true,
            "ABSTTL" => options.is_absolute = true,
            "IDLETIME" if at + 1 < args.len() && !is_frequent => {
                at += 1;
                is_idle = true;
                let idle_s = u64::try_from(args.integer(at)?);
                let invalid = |_| Error::new("ERR Invalid IDLETIME value, must be >= 0");
                options.idle_s = Some(idle_s.map_err(invalid)?);
            }
            "FREQ" if at + 1 < args.len() && !is_idle => {
                at += 1;
                is_frequent = true;
                if !(0..=FREQ_MAX).contains(&args.integer(at)?) {
                    return Err(Error::new("ERR Invalid FREQ value, must be >= 0 and <= 255"));
                }
            }
            _ => return Err(Error::SYNTAX),
        }
        at += 1;
    }
    Ok(options)
}
