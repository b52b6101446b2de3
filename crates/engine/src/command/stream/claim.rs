//! XCLAIM and XAUTOCLAIM: taking over what is pending under another consumer.

use windlass_resp::Value;

use super::effect::{Delivered, Progress, Target};
use super::read::NEW_CONSUMER;
use super::{entry_value, id, id_value, no_key_or_group};
use crate::args::Args;
use crate::command::Answer;
use crate::error::{Error, Result};
use crate::number::parse_integer;
use crate::state::Call;
use crate::time::Time;
use crate::types::{ConsumerIndex, Id, Pending, Stream};

/// How many entries XAUTOCLAIM looks at for each that it may answer.
const ATTEMPTS_PER_ENTRY: usize = 10;
const AUTOCLAIM_COUNT: usize = 100;

/// How XCLAIM and XAUTOCLAIM take over an entry.
#[derive(Clone, Copy, Default)]
struct Options {
    idle_min_ms: u64,
    /// When the entry counts as delivered; now if none.
    delivered_ms: Option<i64>,
    deliveries: Option<u64>,
    is_forced: bool,
    only_ids: bool,
    last_id: Id,
}

/// Entries that were looked at.
#[derive(Default)]
struct Claimed {
    taken: Vec<Delivered>,
    /// Those that are no longer in the stream: they are no longer pending, either.
    dropped: Vec<Id>,
    /// True when the consumer was not there before.
    has_made_consumer: bool,
}

pub fn xclaim(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let (target, consumer) = (target(call)?, args[3]);
    let idle_min_ms = idle_min_ms(args[4], "XCLAIM")?;
    let ids: Vec<Id> = args.from(5).iter().map_while(|text| id::parse(text).ok()).collect();
    let options = Options { idle_min_ms, ..parse_options(args, 5 + ids.len(), call.now)? };
    let now = call.now;
    let mut stream = call.get_mut::<Stream>(target.key)?.expect("the target was found");
    let group = stream.group(target.group).expect("the target was found");
    let progress = (options.last_id > group.last_id)
        .then_some(Progress { last_id: options.last_id, entries_read: group.entries_read });
    let mut claimed = Claimed::default();
    for id in ids {
        let exists = stream.contains(id);
        // One id may be given twice, so each is decided on what the one before it left.
        stream.edit_group(target.group, |group| {
            let pending = group.pending(id);
            match pending {
                Some(_) if !exists => {
                    group.ack(id);
                    claimed.dropped.push(id);
                }
                None if !exists || !options.is_forced => {}
                Some(pending) if is_too_fresh(pending, &options, now) => {}
                pending => {
                    // A consumer is made only by what it takes, so the XCLAIM of the log makes it, too.
                    let (index, is_new) = group.see_consumer(consumer, now.millis());
                    claimed.has_made_consumer |= is_new;
                    let pending = options.claim(pending, index, now);
                    group.assign(id, pending);
                    claimed.taken.push(delivered(id, pending));
                }
            }
        });
    }
    if progress.is_some() {
        stream.edit_group(target.group, |group| group.last_id = options.last_id);
    }
    let reply = claimed.reply(&stream, options.only_ids);
    drop(stream);
    claimed.log(call, target, consumer);
    if let Some(progress) = progress {
        target.log_progress(call, progress);
    }
    Ok(Value::Array(reply))
}

pub fn xautoclaim(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let idle_min_ms = idle_min_ms(args[4], "XAUTOCLAIM")?;
    let start = id::parse_start(args[5])?;
    let (mut options, mut count, mut at) =
        (Options { idle_min_ms, ..Options::default() }, AUTOCLAIM_COUNT, 6);
    while at < args.len() {
        match args.word(at).as_str() {
            "COUNT" if at + 1 < args.len() => {
                at += 1;
                count = auto_count(args[at])?;
            }
            "JUSTID" => options.only_ids = true,
            _ => return Err(Error::SYNTAX),
        }
        at += 1;
    }
    let (target, consumer) = (target(call)?, args[3]);
    let now = call.now;
    let mut stream = call.get_mut::<Stream>(target.key)?.expect("the target was found");
    let group = stream.group(target.group).expect("the target was found");
    let mut assigned = Vec::new();
    let mut claimed = Claimed::default();
    let mut pending = group.pending_range(start, Id::MAX);
    for (id, pending) in pending.by_ref().take(count.saturating_mul(ATTEMPTS_PER_ENTRY)) {
        if !stream.contains(id) {
            claimed.dropped.push(id);
        } else if !is_too_fresh(pending, &options, now) {
            assigned.push((id, pending));
        }
        if claimed.dropped.len() + assigned.len() >= count {
            break;
        }
    }
    let next = pending.next().map_or(Id::MIN, |(id, _)| id);
    drop(pending);
    stream.edit_group(target.group, |group| {
        for id in &claimed.dropped {
            group.ack(*id);
        }
        for (id, pending) in assigned {
            let (index, is_new) = group.see_consumer(consumer, now.millis());
            claimed.has_made_consumer |= is_new;
            let pending = options.claim(Some(pending), index, now);
            group.assign(id, pending);
            claimed.taken.push(delivered(id, pending));
        }
    });
    let reply = claimed.reply(&stream, options.only_ids);
    drop(stream);
    claimed.log(call, target, consumer);
    let dropped = claimed.dropped.into_iter().map(id_value).collect();
    Ok(Value::Array(vec![id_value(next), Value::Array(reply), Value::Array(dropped)]))
}

impl Options {
    /// The entry as it is pending after it was taken over; `before` is none when it was not pending.
    fn claim(&self, before: Option<Pending>, consumer: ConsumerIndex, now: Time) -> Pending {
        let now_ms = now.millis();
        let delivered_ms = match self.delivered_ms.map(u64::try_from) {
            None => now_ms,
            // A replay has no clock: what was logged is right.
            Some(Ok(time)) if time <= now_ms || now == Time::default() => time,
            Some(_) => now_ms,
        };
        // What is forced into the pending list counts as delivered before, as in Redis.
        let before = before.unwrap_or(Pending { consumer, delivered_ms, deliveries: 1 });
        let claimed = if self.only_ids { before } else { before.again(consumer, delivered_ms) };
        let deliveries = self.deliveries.unwrap_or(claimed.deliveries);
        Pending { consumer, delivered_ms, deliveries }
    }
}

impl Claimed {
    fn reply(&self, stream: &Stream, only_ids: bool) -> Vec<Value> {
        let entry = |taken: &Delivered| {
            if only_ids {
                return Some(id_value(taken.id));
            }
            stream.get(taken.id).map(|fields| entry_value((taken.id, fields)))
        };
        self.taken.iter().filter_map(entry).collect()
    }

    fn log(&self, call: &mut Call<'_>, target: Target<'_>, consumer: &[u8]) {
        if self.has_made_consumer {
            call.notify_as(NEW_CONSUMER, target.key);
        }
        target.log_delivered(call, consumer, &self.taken);
        target.log_dropped(call, &self.dropped);
    }
}

fn delivered(id: Id, pending: Pending) -> Delivered {
    Delivered { id, delivered_ms: pending.delivered_ms, deliveries: pending.deliveries }
}

fn is_too_fresh(pending: Pending, options: &Options, now: Time) -> bool {
    now.millis().saturating_sub(pending.delivered_ms) < options.idle_min_ms
}

/// The key and group that the command names, which must exist.
fn target<'a>(call: &mut Call<'a>) -> Result<Target<'a>> {
    let (key, group) = (call.args[1], call.args[2]);
    let found = call.get::<Stream>(key)?.and_then(|stream| stream.group(group)).is_some();
    if found { Ok(Target { key, group }) } else { Err(no_key_or_group(key, group)) }
}

fn idle_min_ms(text: &[u8], command: &str) -> Result<u64> {
    let number = parse_integer(text);
    let number =
        number.ok_or_else(|| Error::new(format!("ERR Invalid min-idle-time argument for {command}")))?;
    Ok(u64::try_from(number).unwrap_or(0))
}

fn auto_count(text: &[u8]) -> Result<usize> {
    let max = i64::MAX / 16;
    let count = parse_integer(text).filter(|count| (1..=max).contains(count));
    let count = count.and_then(|count| usize::try_from(count).ok());
    count.ok_or_else(|| Error::new("ERR COUNT must be > 0"))
}

fn parse_options(args: Args<'_>, first: usize, now: Time) -> Result<Options> {
    let (mut options, mut at) = (Options::default(), first);
    while at < args.len() {
        let has_more = at + 1 < args.len();
        let word = args.word(at);
        let number = || {
            let number = parse_integer(args[at + 1]);
            number.ok_or_else(|| Error::new(format!("ERR Invalid {word} option argument for XCLAIM")))
        };
        match word.as_str() {
            "FORCE" => options.is_forced = true,
            "JUSTID" => options.only_ids = true,
            "IDLE" if has_more => {
                let now_ms = i64::try_from(now.millis()).unwrap_or(i64::MAX);
                options.delivered_ms = Some(now_ms.wrapping_sub(number()?)).filter(|time| *time != -1);
            }
            "TIME" if has_more => options.delivered_ms = Some(number()?).filter(|time| *time != -1),
            "RETRYCOUNT" if has_more => options.deliveries = u64::try_from(number()?).ok(),
            "LASTID" if has_more => options.last_id = id::parse(args[at + 1])?,
            _ => {
                let option = String::from_utf8_lossy(args[at]);
                return Err(Error::new(format!("ERR Unrecognized XCLAIM option '{option}'")));
            }
        }
        at += if matches!(word.as_str(), "FORCE" | "JUSTID") { 1 } else { 2 };
    }
    Ok(options)
}
