//! The body of `push.lua`: adds ready jobs to one queue.

use windlass_resp::Value;

use super::check::Check;
use super::wake;
use crate::command::stream::id_value;
use crate::error::Result;
use crate::script::Scene;
use crate::types::{ENTRY_BYTES_MAX, Id, NewId, SortedSet, Stream};

/// The field of an entry that holds the envelope.
const ENVELOPE: &[u8] = b"j";

pub fn push(scene: &mut Scene, keys: &[&[u8]], argv: &[&[u8]]) -> Option<Value> {
    let (&[stream, mark], [form, envelopes @ ..]) = (keys, argv) else { return None };
    let wants_ids = match *form {
        b"ids" => true,
        b"count" => false,
        _ => return None,
    };
    if envelopes.iter().any(|envelope| envelope.len() + ENVELOPE.len() > ENTRY_BYTES_MAX) {
        return None;
    }
    let mut check = Check::begin(scene)?;
    if !check.value::<Stream>(stream)?.is_none_or(has_ids_left) {
        return None;
    }
    check.value::<SortedSet>(mark)?;
    let ids = add(scene, stream, envelopes).and_then(|ids| wake(scene, mark).map(|()| ids));
    let ids = ids.expect("both keys were seen to be of the right type");
    Some(if wants_ids { Value::Array(ids.into_iter().map(id_value).collect()) } else { ids.len().into() })
}

/// True when a stream has an id for each of as many entries as there can be.
pub fn has_ids_left(stream: &Stream) -> bool {
    stream.last_id().ms < u64::MAX
}

/// As XADD of one entry, to a stream that has ids left.
pub fn append(scene: &mut Scene, key: &[u8], fields: &[&[u8]]) -> Result<Id> {
    let now_ms = scene.now.millis();
    let mut call = scene.view(&[]);
    let mut stream = call.make::<Stream>(key)?;
    let id = stream.next_id(NewId::Auto, now_ms).expect("the stream was seen to have ids left");
    stream.push(id, fields);
    drop(stream);
    call.grew(key);
    let text = id.text();
    let effect: Vec<&[u8]> = [b"XADD", key, &text].into_iter().chain(fields.iter().copied()).collect();
    call.log_as(&effect);
    Ok(id)
}

/// As XADD for each envelope, with one look at the key.
fn add(scene: &mut Scene, key: &[u8], envelopes: &[&[u8]]) -> Result<Vec<Id>> {
    if envelopes.is_empty() {
        return Ok(Vec::new());
    }
    let now_ms = scene.now.millis();
    let mut call = scene.view(&[]);
    let mut ids = Vec::with_capacity(envelopes.len());
    let mut stream = call.make::<Stream>(key)?;
    for envelope in envelopes {
        let id = stream.next_id(NewId::Auto, now_ms).expect("the stream was seen to have ids left");
        stream.push(id, &[ENVELOPE, envelope]);
        ids.push(id);
    }
    drop(stream);
    call.grew(key);
    for (id, envelope) in ids.iter().zip(envelopes) {
        call.log_as(&[b"XADD", key, &id.text(), ENVELOPE, envelope]);
    }
    Ok(ids)
}
