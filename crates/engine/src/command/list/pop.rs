//! Taking items from the ends.

use windlass_resp::Value;

use super::end;
use crate::args::Args;
use crate::blob::Blob;
use crate::command::Answer;
use crate::error::{Error, Result};
use crate::state::Call;
use crate::types::{End, List};

pub fn lpop(call: &mut Call<'_>) -> Answer {
    pop(call, End::Left)
}

pub fn rpop(call: &mut Call<'_>) -> Answer {
    pop(call, End::Right)
}

fn pop(call: &mut Call<'_>, from: End) -> Answer {
    let (args, key) = (call.args, call.args[1]);
    match args.len() {
        2 => {
            let item = take(call, key, from, 1)?.and_then(|mut items| items.pop());
            if item.is_some() {
                call.log();
            }
            Ok(item.map(Value::bulk).into())
        }
        3 => {
            let count = args.integer(2).ok().and_then(|count| usize::try_from(count).ok());
            let Some(items) = take(call, key, from, count.ok_or(Error::NOT_POSITIVE)?)? else {
                return Ok(Value::NilArray);
            };
            if !items.is_empty() {
                call.log();
            }
            Ok(Value::Array(items.into_iter().map(Value::bulk).collect()))
        }
        _ => Err(Error::arity(call.command.name)),
    }
}

pub fn lmove(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let (from, to) = (end(args, 3)?, end(args, 4)?);
    let moved = shift(call, args[1], args[2], from, to)?;
    if moved.is_some() {
        call.log();
    }
    Ok(moved.map(Value::bulk).into())
}

pub fn rpoplpush(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let moved = shift(call, args[1], args[2], End::Right, End::Left)?;
    if moved.is_some() {
        call.log();
    }
    Ok(moved.map(Value::bulk).into())
}

pub fn lmpop(call: &mut Call<'_>) -> Answer {
    let request = MultiPop::parse(call.args, 1)?;
    for key in request.keys {
        if let Some(reply) = request.pop(call, key)? {
            return Ok(reply);
        }
    }
    Ok(Value::NilArray)
}

/// Takes at most `count` items; none when the key is not there.
pub fn take(call: &mut Call<'_>, key: &[u8], from: End, count: usize) -> Result<Option<Vec<Blob>>> {
    let Some(mut list) = call.get_mut::<List>(key)? else { return Ok(None) };
    let items: Vec<Blob> = (0..count.min(list.len())).filter_map(|_| list.pop(from)).collect();
    drop(list);
    if !items.is_empty() {
        call.does(popped(from));
        call.changed(key);
    }
    Ok(Some(items))
}

/// Moves one item between lists, or to the other end of its own; none when there is none.
pub fn shift(call: &mut Call<'_>, source: &[u8], target: &[u8], from: End, to: End) -> Result<Option<Blob>> {
    if call.get::<List>(source)?.is_none() {
        return Ok(None);
    }
    call.get::<List>(target)?;
    // Within one list the item goes and comes in one step, so that its key, and the key's expiry, stay.
    let mut list = call.get_mut::<List>(source)?.expect("it was looked at above");
    let item = list.pop(from).expect("no list is empty");
    if source == target {
        list.push(to, &item);
        drop(list);
        call.notify_as(pushed(to), source);
        call.does(popped(from));
        call.changed(source);
        return Ok(Some(item));
    }
    drop(list);
    call.make::<List>(target)?.push(to, &item);
    call.does(pushed(to));
    call.changed(target);
    call.does(popped(from));
    call.changed(source);
    Ok(Some(item))
}

/// What taking from an end is called.
fn popped(from: End) -> &'static str {
    if from == End::Left { "lpop" } else { "rpop" }
}

/// What adding to an end is called.
fn pushed(to: End) -> &'static str {
    if to == End::Left { "lpush" } else { "rpush" }
}

/// The arguments of LMPOP and BLMPOP.
pub struct MultiPop<'a> {
    pub keys: &'a [&'a [u8]],
    from: End,
    count: usize,
}

impl<'a> MultiPop<'a> {
    /// Reads the number of keys at `index` and what follows.
    pub fn parse(args: Args<'a>, index: usize) -> Result<Self> {
        let positive = |index: usize, name: &str| {
            let number = args.integer(index).ok().and_then(|number| usize::try_from(number).ok());
            number
                .filter(|number| *number > 0)
                .ok_or_else(|| Error::new(format!("ERR {name} should be greater than 0")))
        };
        let keys = positive(index, "numkeys")?;
        let keys = args.from(index + 1).get(..keys).ok_or(Error::SYNTAX)?;
        let at = index + 1 + keys.len();
        let from = end(args, at)?;
        let count = match args.len() - at {
            1 => 1,
            3 if args.is(at + 1, "COUNT") => positive(at + 2, "count")?,
            _ => return Err(Error::SYNTAX),
        };
        Ok(Self { keys, from, count })
    }

    /// Takes from the list at `key` and logs that; none when there is none.
    pub fn pop(&self, call: &mut Call<'_>, key: &[u8]) -> Result<Option<Value>> {
        let Some(items) = take(call, key, self.from, self.count)? else { return Ok(None) };
        let name: &[u8] = if self.from == End::Left { b"LPOP" } else { b"RPOP" };
        call.log_as(&[name, key, itoa::Buffer::new().format(items.len()).as_bytes()]);
        let items = items.into_iter().map(Value::bulk).collect();
        Ok(Some(Value::Array(vec![Value::bulk(key), Value::Array(items)])))
    }
}
