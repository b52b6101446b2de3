//! Commands on keys.

use windlass_engine::{Answer, Context, Error};
use windlass_resp::Value;

/// DELETE key, and MDELETE key [key ...]: how many were there. The end of a key goes with it; the original kept that,
/// and stumbled on it later.
pub fn delete(context: &mut Context<'_>) -> Answer {
    let mut args = context.args().to_vec();
    args[0] = b"DEL";
    context.call(&args)
}

/// POP key: the string that was there, or nothing.
pub fn pop(context: &mut Context<'_>) -> Answer {
    context.call(&[b"GETDEL", context.args()[1]])
}

/// MPOP key [key ...]: the strings that were there, and nothing where there was none. A key of another type is an error
/// before anything was taken.
pub fn mpop(context: &mut Context<'_>) -> Answer {
    let keys = &context.args()[1..];
    for key in keys {
        context.call(&[b"STRLEN", key])?;
    }
    let taken = keys.iter().map(|key| context.call(&[b"GETDEL", key]));
    Ok(Value::Array(taken.collect::<Result<_, _>>()?))
}

/// MSETEX seconds key value [key value ...]: all of them or, when the seconds are none or a key has no value, not one.
pub fn msetex(context: &mut Context<'_>) -> Answer {
    let (seconds, pairs) = (context.args()[1], &context.args()[2..]);
    if !pairs.len().is_multiple_of(2) {
        return Err(Error::arity("msetex"));
    }
    for pair in pairs.chunks_exact(2) {
        // The first pair finds out whether the seconds are right, before anything is set.
        context.call(&[b"SETEX", pair[0], seconds, pair[1]])?;
    }
    Ok(Value::OK)
}

/// LEN: how many keys there are. Those that have ended go by themselves; the original counted them for ever.
pub fn len(context: &mut Context<'_>) -> Answer {
    context.call(&[b"DBSIZE"])
}

/// LFLUSH key: how long the list was. To ask for one that is not there does not make it.
pub fn lflush(context: &mut Context<'_>) -> Answer {
    let key = context.args()[1];
    let length = context.call(&[b"LLEN", key])?;
    context.call(&[b"DEL", key])?;
    Ok(length)
}
