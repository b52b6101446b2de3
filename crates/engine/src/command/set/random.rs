//! Choosing members at random.

use windlass_resp::Value;

use crate::blob::Blob;
use crate::command::Answer;
use crate::command::random::{Count, count};
use crate::error::Error;
use crate::state::Call;
use crate::types::Set;

/// The most members of one SREM in the log.
const LOGGED_MAX: usize = 1000;

pub fn srandmember(call: &mut Call<'_>) -> Answer {
    let (args, key) = (call.args, call.args[1]);
    let mut random = call.state.random.clone();
    if args.len() == 2 {
        let member = call.get::<Set>(key)?.and_then(|set| set.choose(&mut random));
        let reply = member.map(|member| Value::bulk(&**member)).into();
        call.state.random = random;
        return Ok(reply);
    }
    if args.len() > 3 {
        return Err(Error::SYNTAX);
    }
    let asked = count(args, 2)?;
    let Some(set) = call.get::<Set>(key)? else { return Ok(Value::Array(Vec::new())) };
    asked.check()?;
    let members = match asked {
        Count::Distinct(size) => set.sample(size, &mut random),
        Count::Repeated(size) => (0..size).filter_map(|_| set.choose(&mut random)).collect(),
    };
    let reply = Value::Array(members.into_iter().map(|member| Value::bulk(&**member)).collect());
    call.state.random = random;
    Ok(reply)
}

pub fn spop(call: &mut Call<'_>) -> Answer {
    let (args, key) = (call.args, call.args[1]);
    match args.len() {
        2 => Ok(pop(call, key, 1)?.pop().map(Value::bulk).into()),
        3 => {
            let count = args.integer(2).ok().and_then(|count| usize::try_from(count).ok());
            let members = pop(call, key, count.ok_or(Error::NOT_POSITIVE)?)?;
            Ok(Value::Set(members.into_iter().map(Value::bulk).collect()))
        }
        _ => Err(Error::SYNTAX),
    }
}

/// Takes at most `count` members out, chosen at random, and logs which.
fn pop(call: &mut Call<'_>, key: &[u8], count: usize) -> Result<Vec<Blob>, Error> {
    let mut random = call.state.random.clone();
    let Some(mut set) = call.get_mut::<Set>(key)? else { return Ok(Vec::new()) };
    let members: Vec<Blob> =
        set.sample(count, &mut random).into_iter().map(std::borrow::Cow::into_owned).collect();
    let are_all = members.len() == set.len();
    if !are_all {
        for member in &members {
            set.remove(member);
        }
    }
    drop(set);
    call.state.random = random;
    if members.is_empty() {
        return Ok(members);
    }
    if are_all {
        call.notify_write(key);
        call.remove(key);
        call.log_as(&[b"DEL", key]);
        return Ok(members);
    }
    call.changed(key);
    for chunk in members.chunks(LOGGED_MAX) {
        let mut record: Vec<&[u8]> = vec![b"SREM", key];
        record.extend(chunk.iter().map(|member| &**member));
        call.log_as(&record);
    }
    Ok(members)
}
