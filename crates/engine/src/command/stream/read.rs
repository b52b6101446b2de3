//! XREAD and XREADGROUP.

use windlass_resp::{Protocol, Value};

use super::effect::{Delivered, Progress, Target};
use super::{entry_value, entry_with_id, id, id_value};
use crate::command::Answer;
use crate::error::{Error, Result};
use crate::number::parse_integer;
use crate::state::Call;
use crate::types::{Id, Pending, Stream};

const NO_GROUP_OPTION: &str =
    "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.";
const NO_NOACK_OPTION: &str =
    "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.";
const NO_NEW_ID: &str =
    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.";
const NO_LAST_ID: &str = "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history \
     of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an \
     empty result set.";

/// The most entries for which room is made before they are seen.
const EXPECTED_MAX: usize = 128;

/// The options of XREAD and XREADGROUP.
struct Options<'a> {
    count: usize,
    block_ms: Option<u64>,
    is_noack: bool,
    /// Group and consumer.
    group: Option<(&'a [u8], &'a [u8])>,
    keys: &'a [&'a [u8]],
    ids: &'a [&'a [u8]],
}

/// Where the reading of a stream starts.
#[derive(Clone, Copy, Debug)]
enum Start {
    /// After this id; of a group's consumer, in what is pending under it.
    After(Id),
    /// After the last entry that the group has seen.
    New,
}

pub fn xread(call: &mut Call<'_>) -> Answer {
    let options = parse(call)?;
    let is_waiting = is_waiting(call);
    let mut starts = Vec::with_capacity(options.keys.len());
    for (key, text) in options.keys.iter().zip(options.ids) {
        let stream = match call.get::<Stream>(key) {
            // One who waits for a stream is not told that the key has another type for now.
            Err(_) if is_waiting => None,
            stream => stream?,
        };
        starts.push(match *text {
            b"$" => stream.map_or(Id::MIN, Stream::last_id),
            b">" => return Err(Error::new(NO_NEW_ID)),
            text => id::parse(text)?,
        });
    }
    let mut streams = Vec::new();
    for (key, start) in options.keys.iter().zip(&starts) {
        if let (Ok(Some(stream)), Some(from)) = (call.get::<Stream>(key), start.next())
            && stream.last_entry().is_some_and(|last| last > *start)
        {
            let entries = stream.range(from, Id::MAX).take(options.count).map(entry_value).collect();
            streams.push((Value::bulk(key), Value::Array(entries)));
        }
    }
    if !streams.is_empty() {
        return Ok(streams_value(call, streams));
    }
    if let Some(timeout_ms) = options.block_ms {
        // `$` means the last id of now, not the one of the moment when something arrives.
        let texts: Vec<_> = starts.iter().map(|start| start.text()).collect();
        let mut args = call.args.0[..call.args.len() - texts.len()].to_vec();
        args.extend(texts.iter().map(|text| &**text));
        call.wait_as(options.keys, timeout_ms, &args);
    }
    Ok(Value::NilArray)
}

pub fn xreadgroup(call: &mut Call<'_>) -> Answer {
    let options = parse(call)?;
    let Some((group, consumer)) = options.group else {
        return Err(Error::new("ERR Missing GROUP option for XREADGROUP"));
    };
    let is_waiting = is_waiting(call);
    let mut starts = Vec::with_capacity(options.keys.len());
    for (key, text) in options.keys.iter().zip(options.ids) {
        let stream = match call.get::<Stream>(key) {
            Ok(None) | Err(_) if is_waiting => {
                return Err(Error::new("UNBLOCKED the stream key no longer exists"));
            }
            stream => stream?,
        };
        if stream.and_then(|stream| stream.group(group)).is_none() {
            return Err(missing_group(key, group, is_waiting));
        }
        starts.push(match *text {
            b"$" => return Err(Error::new(NO_LAST_ID)),
            b">" => Start::New,
            text => Start::After(id::parse(text)?),
        });
    }
    let mut streams = Vec::new();
    for (key, start) in options.keys.iter().zip(starts) {
        let reader = Reader { target: Target { key, group }, consumer };
        let entries = match start {
            Start::After(id) => Some(reader.history(call, id, options.count)?),
            Start::New if options.is_noack => reader.take_acked(call, options.count)?,
            Start::New => reader.take(call, options.count)?,
        };
        streams.extend(entries.map(|entries| (Value::bulk(key), Value::Array(entries))));
    }
    if !streams.is_empty() {
        return Ok(streams_value(call, streams));
    }
    if let Some(timeout_ms) = options.block_ms {
        call.wait(options.keys, timeout_ms);
    }
    Ok(Value::NilArray)
}

/// A consumer that reads from one stream.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    pub target: Target<'a>,
    pub consumer: &'a [u8],
}

/// What it is called that a consumer was made.
pub const NEW_CONSUMER: &str = "xgroup-createconsumer";

impl Reader<'_> {
    /// Takes entries that the group has not seen and makes them pending; none when there are no such entries.
    pub fn take(self, call: &mut Call<'_>, count: usize) -> Result<Option<Vec<Value>>> {
        let Target { key, group } = self.target;
        let delivered_ms = call.now.millis();
        let Some(mut stream) = call.get_mut::<Stream>(key)?.filter(|stream| stream.has_new(group)) else {
            return Ok(None);
        };
        let seen = stream.edit_group(group, |group| group.see_consumer(self.consumer, delivered_ms));
        let (consumer, is_new) = seen.expect("a group with new entries exists");
        // The stream may be long and the count without a limit: what is new is not known yet.
        let expected = count.min(stream.len()).min(EXPECTED_MAX);
        let (mut entries, mut ids) = (Vec::with_capacity(expected), Vec::with_capacity(expected));
        stream.advance(group, count, |group, id, fields| {
            group.assign(id, Pending { consumer, delivered_ms, deliveries: 1 });
            let text = id.text();
            entries.push(entry_with_id(&text, fields));
            ids.push(text);
        });
        let progress = progress(&stream, group);
        drop(stream);
        if is_new {
            call.notify_as(NEW_CONSUMER, key);
        }
        self.target.log_delivered_alike(call, self.consumer, &ids, (delivered_ms, 1));
        self.target.log_progress(call, progress);
        Ok(Some(entries))
    }

    /// As [`take`](Self::take), for a reader that will not acknowledge: nothing becomes pending.
    fn take_acked(self, call: &mut Call<'_>, count: usize) -> Result<Option<Vec<Value>>> {
        let Target { key, group } = self.target;
        if !call.get::<Stream>(key)?.is_some_and(|stream| stream.has_new(group)) {
            return Ok(None);
        }
        self.see_consumer(call)?;
        let mut stream = call.get_mut::<Stream>(key)?.expect("checked above");
        let mut entries = Vec::new();
        stream.advance(group, count, |_, id, fields| entries.push(entry_value((id, fields))));
        let progress = progress(&stream, group);
        drop(stream);
        self.target.log_progress(call, progress);
        Ok(Some(entries))
    }

    /// Delivers again what is pending under the consumer after `id`; a deleted entry has no fields.
    fn history(self, call: &mut Call<'_>, after: Id, count: usize) -> Result<Vec<Value>> {
        let Target { key, group } = self.target;
        self.see_consumer(call)?;
        let delivered_ms = call.now.millis();
        let Some(mut stream) = call.get_mut::<Stream>(key)? else { return Ok(Vec::new()) };
        let (mut entries, mut redelivered) = (Vec::new(), Vec::new());
        if let Some(from) = after.next()
            && let Some(state) = stream.group(group)
            && let Some(index) = state.find_consumer(self.consumer)
        {
            for (id, pending) in state.pending_range_of(index, from, Id::MAX).take(count) {
                if let Some(fields) = stream.get(id) {
                    entries.push(entry_value((id, fields)));
                    redelivered.push((id, pending.again(index, delivered_ms)));
                } else {
                    entries.push(Value::Array(vec![id_value(id), Value::NilArray]));
                }
            }
        }
        stream.edit_group(group, |group| {
            for (id, pending) in &redelivered {
                group.assign(*id, *pending);
            }
        });
        drop(stream);
        let delivered: Vec<_> = redelivered
            .into_iter()
            .map(|(id, pending)| Delivered { id, delivered_ms, deliveries: pending.deliveries })
            .collect();
        self.target.log_delivered(call, self.consumer, &delivered);
        Ok(entries)
    }

    fn see_consumer(self, call: &mut Call<'_>) -> Result<()> {
        let now_ms = call.now.millis();
        let Some(mut stream) = call.get_mut::<Stream>(self.target.key)? else { return Ok(()) };
        let seen = stream.edit_group(self.target.group, |group| group.see_consumer(self.consumer, now_ms));
        drop(stream);
        if let Some((_, true)) = seen {
            call.notify_as(NEW_CONSUMER, self.target.key);
            self.target.log_consumer(call, self.consumer);
        }
        Ok(())
    }
}

fn progress(stream: &Stream, group: &[u8]) -> Progress {
    let group = stream.group(group).expect("the group was there");
    Progress { last_id: group.last_id, entries_read: group.entries_read }
}

/// True when the command runs again for a session that waits.
fn is_waiting(call: &Call<'_>) -> bool {
    call.state.waits.get(call.session.id).is_some()
}

fn missing_group(key: &[u8], group: &[u8], is_waiting: bool) -> Error {
    if is_waiting {
        return Error::new("NOGROUP the consumer group this client was blocked on no longer exists");
    }
    let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(group));
    Error::new(format!(
        "NOGROUP No such key '{key}' or consumer group '{group}' in XREADGROUP with GROUP option"
    ))
}

/// Streams with their entries: a map in RESP3, but a list of pairs, not a flat list, in RESP2.
fn streams_value(call: &Call<'_>, streams: Vec<(Value, Value)>) -> Value {
    if call.session.protocol == Protocol::Resp3 {
        return Value::Map(streams);
    }
    Value::Array(streams.into_iter().map(|(key, entries)| Value::Array(vec![key, entries])).collect())
}

fn parse<'a>(call: &Call<'a>) -> Result<Options<'a>> {
    let args = call.args;
    let of_group = args.is(0, "XREADGROUP");
    let mut options =
        Options { count: usize::MAX, block_ms: None, is_noack: false, group: None, keys: &[], ids: &[] };
    let mut at = 1;
    loop {
        let left = args.len().saturating_sub(at + 1);
        match args.word(at).as_str() {
            "BLOCK" if left >= 1 && call.session.is_script => {
                let name = String::from_utf8_lossy(args[0]);
                return Err(Error::new(format!(
                    "ERR {name} command is not allowed with BLOCK option from scripts"
                )));
            }
            "BLOCK" if left >= 1 => {
                at += 1;
                options.block_ms = Some(block_ms(args[at])?);
            }
            "COUNT" if left >= 1 => {
                at += 1;
                let count = usize::try_from(args.integer(at)?).unwrap_or(0);
                options.count = if count == 0 { usize::MAX } else { count };
            }
            "STREAMS" if left >= 1 => {
                if !left.is_multiple_of(2) {
                    // Redis names XREAD and `$` for XREADGROUP, too.
                    return Err(Error::new(
                        "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
                    ));
                }
                (options.keys, options.ids) = args.from(at + 1).split_at(left / 2);
                return Ok(options);
            }
            "GROUP" if left >= 2 => {
                if !of_group {
                    return Err(Error::new(NO_GROUP_OPTION));
                }
                options.group = Some((args[at + 1], args[at + 2]));
                at += 2;
            }
            "NOACK" => {
                if !of_group {
                    return Err(Error::new(NO_NOACK_OPTION));
                }
                options.is_noack = true;
            }
            // An unknown word, or the end without STREAMS.
            _ => return Err(Error::SYNTAX),
        }
        at += 1;
    }
}

fn block_ms(text: &[u8]) -> Result<u64> {
    let timeout =
        parse_integer(text).ok_or_else(|| Error::new("ERR timeout is not an integer or out of range"))?;
    u64::try_from(timeout).map_err(|_| Error::TIMEOUT_NEGATIVE)
}
