//! When keys end.

use windlass_resp::Value;

use crate::args::Args;
use crate::command::Answer;
use crate::command::expiry::Unit;
use crate::error::{Error, Result};
use crate::state::Call;

pub fn expire(call: &mut Call<'_>) -> Answer {
    set_expiry(call, Unit::EX)
}

pub fn pexpire(call: &mut Call<'_>) -> Answer {
    set_expiry(call, Unit::PX)
}

pub fn expireat(call: &mut Call<'_>) -> Answer {
    set_expiry(call, Unit::EXAT)
}

pub fn pexpireat(call: &mut Call<'_>) -> Answer {
    set_expiry(call, Unit::PXAT)
}

/// On which condition an expiry is set.
#[derive(Default)]
struct Condition {
    only_new: bool,
    only_existing: bool,
    only_later: bool,
    only_earlier: bool,
}

impl Condition {
    fn parse(args: Args<'_>) -> Result<Self> {
        let mut condition = Self::default();
        for (index, arg) in args.0.iter().enumerate().skip(3) {
            match args.word(index).as_str() {
                "NX" => condition.only_new = true,
                "XX" => condition.only_existing = true,
                "GT" => condition.only_later = true,
                "LT" => condition.only_earlier = true,
                _ => {
                    return Err(Error::new(format!(
                        "ERR Unsupported option {}",
                        String::from_utf8_lossy(arg)
                    )));
                }
            }
        }
        let Self { only_new, only_existing, only_later, only_earlier } = condition;
        if only_new && (only_existing || only_later || only_earlier) {
            return Err(Error::new("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if only_later && only_earlier {
            return Err(Error::new("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(condition)
    }

    /// Whether the expiry may become `at`; a key that never ends counts as ending after all others.
    fn allows(&self, before: Option<u64>, at: i64) -> bool {
        let before = before.map(|before| i64::try_from(before).unwrap_or(i64::MAX));
        !(self.only_new && before.is_some()
            || self.only_existing && before.is_none()
            || self.only_later && before.is_none_or(|before| at <= before)
            || self.only_earlier && before.is_some_and(|before| at >= before))
    }
}

fn set_expiry(call: &mut Call<'_>, unit: Unit) -> Answer {
    let key = call.args[1];
    let condition = Condition::parse(call.args)?;
    let number = call.args.integer(2)?;
    let at = unit.absolute(number, call.now).ok_or_else(|| Error::invalid_expire(call.command.name))?;
    let Some(entry) = call.entry(key) else { return Ok(Value::from(false)) };
    let before = entry.expires_ms();
    if !condition.allows(before, at) {
        return Ok(Value::from(false));
    }
    match u64::try_from(at) {
        Ok(at) if at > call.now.millis() => {
            if before != Some(at) {
                call.db().set_expiry(key, Some(at));
                call.log_as(&[b"PEXPIREAT", key, itoa::Buffer::new().format(at).as_bytes()]);
            }
            call.changed(key);
        }
        // A moment in the past deletes the key at once.
        _ => {
            call.remove(key);
            call.log_as(&[b"DEL", key]);
        }
    }
    Ok(Value::from(true))
}

pub fn persist(call: &mut Call<'_>) -> Answer {
    let key = call.args[1];
    let has_expiry = call.entry(key).is_some_and(|entry| entry.expires_ms().is_some());
    if has_expiry {
        call.db().set_expiry(key, None);
        call.changed(key);
        call.log();
    }
    Ok(Value::from(has_expiry))
}

pub fn ttl(call: &mut Call<'_>) -> Answer {
    // Half a second rounds up, so that a key just set to 10 seconds shows 10.
    left(call, |left_ms, _| (left_ms + 500) / 1000)
}

pub fn pttl(call: &mut Call<'_>) -> Answer {
    left(call, |left_ms, _| left_ms)
}

pub fn expiretime(call: &mut Call<'_>) -> Answer {
    // Rounded as the time that is left.
    left(call, |_, at_ms| (at_ms + 500) / 1000)
}

pub fn pexpiretime(call: &mut Call<'_>) -> Answer {
    left(call, |_, at_ms| at_ms)
}

/// -2 without the key, -1 without an expiry, otherwise what `form` makes of the rest and the end, in milliseconds.
fn left(call: &mut Call<'_>, form: fn(u64, u64) -> u64) -> Answer {
    let now_ms = call.now.millis();
    Ok(Value::Integer(match call.entry(call.args[1]).map(|entry| entry.expires_ms()) {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => i64::try_from(form(at.saturating_sub(now_ms), at)).unwrap_or(i64::MAX),
    }))
}
