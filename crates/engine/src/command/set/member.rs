//! Adding, removing and asking for members.

use windlass_resp::Value;

use crate::command::{Answer, scan};
use crate::state::Call;
use crate::types::Set;

pub fn sadd(call: &mut Call<'_>) -> Answer {
    let (key, members) = (call.args[1], call.args.from(2));
    let mut set = call.make::<Set>(key)?;
    let added = members.iter().filter(|member| set.add(member)).count();
    drop(set);
    if added > 0 {
        call.grew(key);
        call.log();
    }
    Ok(added.into())
}

pub fn srem(call: &mut Call<'_>) -> Answer {
    let (key, members) = (call.args[1], call.args.from(2));
    let Some(mut set) = call.get_mut::<Set>(key)? else { return Ok(Value::Integer(0)) };
    let removed = members.iter().filter(|member| set.remove(member)).count();
    drop(set);
    if removed > 0 {
        call.changed(key);
        call.log();
    }
    Ok(removed.into())
}

pub fn smove(call: &mut Call<'_>) -> Answer {
    let (source, target, member) = (call.args[1], call.args[2], call.args[3]);
    let Some(set) = call.get::<Set>(source)? else { return Ok(Value::Integer(0)) };
    let is_there = set.contains(member);
    call.get::<Set>(target)?;
    if !is_there || source == target {
        return Ok(is_there.into());
    }
    let mut set = call.get_mut::<Set>(source)?.expect("the member was there");
    set.remove(member);
    drop(set);
    call.does("srem");
    call.changed(source);
    // A set that has the member already does not change.
    if call.make::<Set>(target)?.add(member) {
        call.does("sadd");
        call.changed(target);
    }
    call.log();
    Ok(Value::Integer(1))
}

pub fn scard(call: &mut Call<'_>) -> Answer {
    Ok(call.get::<Set>(call.args[1])?.map_or(0, Set::len).into())
}

pub fn sismember(call: &mut Call<'_>) -> Answer {
    let member = call.args[2];
    Ok(call.get::<Set>(call.args[1])?.is_some_and(|set| set.contains(member)).into())
}

pub fn smismember(call: &mut Call<'_>) -> Answer {
    let members = call.args.from(2);
    let set = call.get::<Set>(call.args[1])?;
    let is_there = |member: &&[u8]| set.is_some_and(|set| set.contains(member)).into();
    Ok(Value::Array(members.iter().map(is_there).collect()))
}

pub fn smembers(call: &mut Call<'_>) -> Answer {
    let Some(set) = call.get::<Set>(call.args[1])? else { return Ok(Value::Set(Vec::new())) };
    Ok(Value::Set(set.iter().map(|member| Value::bulk(&**member)).collect()))
}

pub fn sscan(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let cursor = scan::cursor(args, 2)?;
    // Redis looks at the options only once it has found the key.
    let Some(set) = call.get::<Set>(args[1])? else { return Ok(scan::reply(0, Vec::new())) };
    let scan = scan::Scan::parse(args, 3)?;
    let mut elements = Vec::new();
    let next = scan.run(cursor, |cursor, visited| {
        set.scan(cursor, |member| {
            *visited += 1;
            if scan.matches(member) {
                elements.push(Value::bulk(member));
            }
        })
    });
    Ok(scan::reply(next, elements))
}
