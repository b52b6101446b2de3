//! Setting and removing fields.

use windlass_resp::Value;

use crate::command::Answer;
use crate::error::Error;
use crate::state::Call;
use crate::types::{Hash, Put, WARM};

pub fn hset(call: &mut Call<'_>) -> Answer {
    Ok(set_all(call)?.into())
}

pub fn hmset(call: &mut Call<'_>) -> Answer {
    set_all(call)?;
    Ok(Value::OK)
}

/// Sets the fields that the arguments name; answers how many are new.
fn set_all(call: &mut Call<'_>) -> Result<usize, Error> {
    let (key, pairs) = (call.args[1], call.args.from(2));
    if !pairs.len().is_multiple_of(2) {
        return Err(Error::arity(call.command.name));
    }
    let mut hash = call.make::<Hash>(key)?;
    let (mut added, mut has_changed) = (0, false);
    for some in pairs.chunks(2 * WARM) {
        if some.len() > 2 {
            hash.warm(some.iter().step_by(2).copied());
        }
        for pair in some.chunks_exact(2) {
            let put = hash.set(pair[0], pair[1]);
            added += usize::from(put == Put::Added);
            has_changed |= put != Put::Kept;
        }
    }
    drop(hash);
    // Setting a value that was there already breaks a WATCH, as in Redis, but leaves nothing to log.
    call.grew(key);
    if has_changed {
        call.log();
    }
    Ok(added)
}

pub fn hsetnx(call: &mut Call<'_>) -> Answer {
    let (key, field, value) = (call.args[1], call.args[2], call.args[3]);
    if call.get::<Hash>(key)?.is_some_and(|hash| hash.get(field).is_some()) {
        return Ok(Value::Integer(0));
    }
    call.make::<Hash>(key)?.set(field, value);
    call.changed(key);
    call.log();
    Ok(Value::Integer(1))
}

pub fn hdel(call: &mut Call<'_>) -> Answer {
    let (key, fields) = (call.args[1], call.args.from(2));
    let Some(mut hash) = call.get_mut::<Hash>(key)? else { return Ok(Value::Integer(0)) };
    let removed = fields.iter().filter(|field| hash.remove(field)).count();
    drop(hash);
    if removed > 0 {
        call.changed(key);
        call.log();
    }
    Ok(removed.into())
}
