//! Choosing fields at random.

use windlass_resp::{Protocol, Value};

use crate::blob::Blob;
use crate::command::Answer;
use crate::command::random::{Count, count};
use crate::error::Error;
use crate::state::Call;
use crate::types::Hash;

/// The largest count for which Redis can say how long the reply with values is.
const WITH_VALUES_MAX: usize = i64::MAX as usize / 2;

pub fn hrandfield(call: &mut Call<'_>) -> Answer {
    let (args, key) = (call.args, call.args[1]);
    let mut random = call.state.random.clone();
    if args.len() == 2 {
        let field = call.get::<Hash>(key)?.and_then(|hash| hash.choose(&mut random));
        let reply = field.map(|(field, _)| Value::bulk(field)).into();
        call.state.random = random;
        return Ok(reply);
    }
    let asked = count(args, 2)?;
    let with_values = args.len() == 4 && args.is(3, "WITHVALUES");
    if args.len() > 3 && !with_values {
        return Err(Error::SYNTAX);
    }
    if with_values && asked.size() > WITH_VALUES_MAX {
        return Err(Error::new("ERR value is out of range"));
    }
    let is_nested = call.session.protocol == Protocol::Resp3;
    let Some(hash) = call.get::<Hash>(key)? else { return Ok(Value::Array(Vec::new())) };
    asked.check()?;
    let pairs: Vec<(&Blob, &Blob)> = match asked {
        Count::Distinct(size) => hash.sample(size, &mut random),
        Count::Repeated(size) => (0..size).filter_map(|_| hash.choose(&mut random)).collect(),
    };
    let reply = pairs.into_iter().flat_map(|(field, value)| match (with_values, is_nested) {
        (false, _) => vec![Value::bulk(field)],
        (true, false) => vec![Value::bulk(field), Value::bulk(value)],
        (true, true) => vec![Value::Array(vec![Value::bulk(field), Value::bulk(value)])],
    });
    let reply = Value::Array(reply.collect());
    call.state.random = random;
    Ok(reply)
}
