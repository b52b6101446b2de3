//! Strings as arrays of bits; the first bit is the highest of the first byte.

use windlass_resp::Value;

use super::STRING_MAX;
use super::range::{clip, clip_each};
use crate::blob::Blob;
use crate::command::Answer;
use crate::error::{Error, Result};
use crate::object::Object;
use crate::state::Call;

/// The number of a bit at argument `index`.
fn offset(call: &Call<'_>, index: usize) -> Result<usize> {
    call.args
        .integer(index)
        .ok()
        .and_then(|offset| usize::try_from(offset).ok())
        .filter(|offset| offset / 8 < STRING_MAX)
        .ok_or_else(|| Error::new("ERR bit offset is not an integer or out of range"))
}

/// The bit `at` of `text`, which goes on with zeros.
fn bit_of(text: &[u8], at: usize) -> bool {
    text.get(at / 8).is_some_and(|byte| byte & (0x80 >> (at % 8)) != 0)
}

pub fn setbit(call: &mut Call<'_>) -> Answer {
    let (key, at) = (call.args[1], offset(call, 2)?);
    let on = match call.args.integer(3) {
        Ok(0) => false,
        Ok(1) => true,
        _ => return Err(Error::new("ERR bit is not an integer or out of range")),
    };
    let text = call.get::<Blob>(key)?;
    let before = text.is_some_and(|text| bit_of(text, at));
    let grows = text.is_none_or(|text| text.len() <= at / 8);
    if before != on || grows {
        let mut text = call.make::<Blob>(key)?;
        if grows {
            text.edit(|text| text.resize(at / 8 + 1, 0));
        }
        let mask = 0x80 >> (at % 8);
        if on {
            text[at / 8] |= mask;
        } else {
            text[at / 8] &= !mask;
        }
        drop(text);
        call.changed(key);
        call.log();
    }
    Ok(Value::from(before))
}

pub fn getbit(call: &mut Call<'_>) -> Answer {
    let at = offset(call, 2)?;
    Ok(Value::from(call.get::<Blob>(call.args[1])?.is_some_and(|text| bit_of(text, at))))
}

/// True when the unit of a range, the argument at `index`, is the bit.
fn counts_bits(call: &Call<'_>, index: usize) -> Result<bool> {
    match call.args.word(index).as_str() {
        "" if call.args.len() <= index => Ok(false),
        "BYTE" => Ok(false),
        "BIT" => Ok(true),
        _ => Err(Error::SYNTAX),
    }
}

pub fn bitcount(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    if args.len() == 2 {
        let text = call.get::<Blob>(args[1])?;
        return Ok(Value::from(text.map_or(0, |text| ones(text))));
    }
    // Redis looks for the key before it looks at the other arguments.
    if call.get::<Blob>(args[1])?.is_none() {
        return Ok(Value::from(0_usize));
    }
    if args.len() != 4 && args.len() != 5 {
        return Err(Error::SYNTAX);
    }
    let (start, end) = (args.integer(2)?, args.integer(3)?);
    let in_bits = counts_bits(call, 4)?;
    let Some(text) = call.get::<Blob>(args[1])? else { return Ok(Value::from(0_usize)) };
    let length = if in_bits { text.len() * 8 } else { text.len() };
    let Some((from, to)) = clip(start, end, length) else { return Ok(Value::from(0_usize)) };
    if !in_bits {
        return Ok(Value::from(ones(&text[from..=to])));
    }
    let whole = ones(&text[from / 8..=to / 8]);
    let before = text[from / 8] & !(0xff >> (from % 8));
    let after = text[to / 8] & (0x7f >> (to % 8));
    Ok(Value::from(whole - (before.count_ones() + after.count_ones()) as usize))
}

fn ones(bytes: &[u8]) -> usize {
    bytes.iter().map(|byte| byte.count_ones() as usize).sum()
}

pub fn bitpos(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let wanted = match args.integer(2)? {
        0 => false,
        1 => true,
        _ => return Err(Error::new("ERR The bit argument must be 1 or 0.")),
    };
    // Redis looks for the key before it looks at the other arguments.
    if call.get::<Blob>(args[1])?.is_none() {
        return Ok(Value::Integer(if wanted { -1 } else { 0 }));
    }
    if args.len() > 6 {
        return Err(Error::SYNTAX);
    }
    let start = if args.len() > 3 { args.integer(3)? } else { 0 };
    let in_bits = counts_bits(call, 5)?;
    let end = if args.len() > 4 { args.integer(4)? } else { -1 };
    let Some(text) = call.get::<Blob>(args[1])? else {
        return Ok(Value::Integer(if wanted { -1 } else { 0 }));
    };
    let length = if in_bits { text.len() * 8 } else { text.len() };
    let Some((from, to)) = clip_each(start, end, length) else { return Ok(Value::Integer(-1)) };
    let (from, to) = if in_bits { (from, to) } else { (from * 8, to * 8 + 7) };
    // Bytes without the wanted bit are passed over as a whole.
    let dull = if wanted { 0x00 } else { 0xff };
    let mut at = from;
    while at <= to {
        if at.is_multiple_of(8) && text[at / 8] == dull {
            at += 8;
        } else if bit_of(text, at) == wanted {
            return Ok(Value::from(at));
        } else {
            at += 1;
        }
    }
    // Without an explicit end the text is thought to go on with zeros.
    let goes_on = !wanted && args.len() <= 4;
    Ok(if goes_on { Value::from(text.len() * 8) } else { Value::Integer(-1) })
}

pub fn bitop(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let (target, sources) = (args[2], args.from(3));
    let combine: fn(u8, u8) -> u8 = match args.word(1).as_str() {
        "AND" => |a, b| a & b,
        "OR" => |a, b| a | b,
        "XOR" => |a, b| a ^ b,
        "NOT" if sources.len() == 1 => |a, _| !a,
        "NOT" => return Err(Error::new("ERR BITOP NOT must be called with a single source key.")),
        _ => return Err(Error::SYNTAX),
    };
    let mut texts: Vec<Vec<u8>> = Vec::with_capacity(sources.len());
    for key in sources {
        texts.push(call.get::<Blob>(key)?.map_or_else(Vec::new, |text| text.to_vec()));
    }
    let length = texts.iter().map(Vec::len).max().unwrap_or(0);
    let byte = |text: &Vec<u8>, at: usize| text.get(at).copied().unwrap_or(0);
    let mut result: Vec<u8> = (0..length).map(|at| byte(&texts[0], at)).collect();
    if sources.len() == 1 && args.is(1, "NOT") {
        result.iter_mut().for_each(|byte| *byte = combine(*byte, 0));
    }
    for text in &texts[1..] {
        for (at, out) in result.iter_mut().enumerate() {
            *out = combine(*out, byte(text, at));
        }
    }
    if result.is_empty() {
        if call.remove(target) {
            call.log_as(&[b"DEL", target]);
        }
    } else {
        call.set(target, Object::String(Blob::from(result)), None);
        call.log();
    }
    Ok(Value::from(length))
}
