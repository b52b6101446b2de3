//! Reading hashes.

use windlass_resp::Value;

use crate::command::{Answer, scan};
use crate::state::Call;
use crate::types::Hash;

pub fn hget(call: &mut Call<'_>) -> Answer {
    let field = call.args[2];
    Ok(call.get::<Hash>(call.args[1])?.and_then(|hash| hash.get(field)).map(Value::bulk).into())
}

pub fn hmget(call: &mut Call<'_>) -> Answer {
    let fields = call.args.from(2);
    let hash = call.get::<Hash>(call.args[1])?;
    let value = |field: &&[u8]| hash.and_then(|hash| hash.get(field)).map(Value::bulk).into();
    Ok(Value::Array(fields.iter().map(value).collect()))
}

pub fn hexists(call: &mut Call<'_>) -> Answer {
    let field = call.args[2];
    Ok(call.get::<Hash>(call.args[1])?.is_some_and(|hash| hash.get(field).is_some()).into())
}

pub fn hlen(call: &mut Call<'_>) -> Answer {
    Ok(call.get::<Hash>(call.args[1])?.map_or(0, Hash::len).into())
}

pub fn hstrlen(call: &mut Call<'_>) -> Answer {
    let field = call.args[2];
    let value = call.get::<Hash>(call.args[1])?.and_then(|hash| hash.get(field));
    Ok(value.map_or(0, |value| value.len()).into())
}

pub fn hgetall(call: &mut Call<'_>) -> Answer {
    let Some(hash) = call.get::<Hash>(call.args[1])? else { return Ok(Value::Map(Vec::new())) };
    Ok(Value::Map(hash.iter().map(|(field, value)| (Value::bulk(field), Value::bulk(value))).collect()))
}

pub fn hkeys(call: &mut Call<'_>) -> Answer {
    let Some(hash) = call.get::<Hash>(call.args[1])? else { return Ok(Value::Array(Vec::new())) };
    Ok(Value::Array(hash.iter().map(|(field, _)| Value::bulk(field)).collect()))
}

pub fn hvals(call: &mut Call<'_>) -> Answer {
    let Some(hash) = call.get::<Hash>(call.args[1])? else { return Ok(Value::Array(Vec::new())) };
    Ok(Value::Array(hash.iter().map(|(_, value)| Value::bulk(value)).collect()))
}

pub fn hscan(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let cursor = scan::cursor(args, 2)?;
    // Redis looks at the options only once it has found the key.
    let Some(hash) = call.get::<Hash>(args[1])? else { return Ok(scan::reply(0, Vec::new())) };
    let scan = scan::Scan::parse(args, 3)?;
    let mut elements = Vec::new();
    let next = scan.run(cursor, |cursor, visited| {
        hash.scan(cursor, |field, value| {
            *visited += 1;
            if scan.matches(field) {
                elements.extend([Value::bulk(field), Value::bulk(value)]);
            }
        })
    });
    Ok(scan::reply(next, elements))
}
