//! The body of `exchange.lua` with the parts for lanes and rules in front, for queues whose jobs have priorities and
//! groups but no rules: these take turns, and nothing holds them up.
//!
//! What rules hold up is left to the text. The commands here are those of the text, in its order.

mod names;
mod take;
mod turns;

use windlass_resp::Value;

pub use self::names::Base;
pub use self::turns::floor;

use self::names::Names;
use self::take::Take;
use super::check::Check;
use super::exchange::{Parts, Queue, Request, Room};
use super::push::has_ids_left;
use super::{GROUP, NUMBER_END, wake};
use crate::error::Result;
use crate::number::parse_integer;
use crate::script::Scene;
use crate::types::{Hash, SortedSet, Stream};

/// The field of a gate that says that its queue has lanes or rules.
pub const RULED: &[u8] = b"ruled";
/// The history of a job that has none.
pub const HISTORY: &[u8] = b"{\"state\":\"enqueued\"}";
/// The fields of a gate that mean something unusual.
const UNUSUAL: [&[u8]; 3] = [b"paused", b"suspect", b"recovered"];

pub fn exchange(scene: &mut Scene, keys: &[&[u8]], argv: &[&[u8]]) -> Option<Value> {
    // How many the asker can begin at once matters to what is limited alone.
    let request = Request::parse(keys, argv).filter(|request| request.free.is_some())?;
    let base = Base::of(keys.first()?)?;
    let (asleep, rules) = (base.key("asleep", b""), base.key("rules", b""));
    let shared = Shared { jobs: base.key("jobs", b""), permits: base.ended(&request)? };
    let names = request.queues.iter().map(|queue| base.queue(queue)).collect::<Option<Vec<_>>>()?;
    let (next, fenced) = {
        let mut check = Check::begin(scene)?;
        let next = until_next_opens(&mut check, &asleep)?;
        let rules = check.value::<Hash>(&rules)?;
        shared.check(&mut check, request.moved, rules)?;
        for (queue, names) in request.queues.iter().zip(&names) {
            names.check(&mut check, queue, rules)?;
        }
        (next, request.check_ended(&mut check)?)
    };
    let answer = request.act_with(scene, fenced, |scene, number, queue, room, answer| {
        let names = &names[number as usize - 1];
        let is_ruled = scene.view(&[]).get::<Hash>(queue.gate)?.is_some_and(|gate| gate.get(RULED).is_some());
        if !is_ruled {
            return request.take(scene, number, queue, room, answer);
        }
        take_ruled(scene, &request, (number, queue), names, room, answer)
    });
    // Which lanes have a turn is found out on the way, so that theirs are the keys which nobody has looked at.
    Some(answer.map_or_else(
        |error| Value::Error(error.into_text()),
        |mut answer| {
            answer.push(Value::Array(vec![Value::Integer(0), Value::Integer(next)]));
            Value::Array(answer)
        },
    ))
}

fn take_ruled(
    scene: &mut Scene,
    request: &Request<'_>,
    (number, queue): (i64, &Queue<'_>),
    names: &Names,
    room: &mut Room,
    answer: &mut Parts,
) -> Result<()> {
    answer.push(Value::Array(vec![Value::Integer(number), Value::from("ruled")]));
    let mut take = Take::begin(scene, request, queue, names, room)?;
    take.run(scene)?;
    let (entries, leaves_work) = take.finish(scene)?;
    if leaves_work {
        wake(scene, queue.wake)?;
    }
    room.count(&entries);
    if !entries.is_empty() {
        answer.push(Value::Array(vec![Value::Integer(number), Value::Array(entries)]));
    }
    Ok(())
}

/// How long until something that waits for a limit may go on, or -1. None when it may go on now.
fn until_next_opens<'a>(check: &mut Check<'a>, asleep: &'a [u8]) -> Option<i64> {
    let Some((_, at)) = check.value::<SortedSet>(asleep)?.and_then(|asleep| asleep.iter().next()) else {
        return Some(-1);
    };
    let wait = at - check.now_ms() as f64;
    (wait >= 1.0 && wait < NUMBER_END as f64).then_some(wait as i64)
}

/// What all queues of a namespace share.
struct Shared {
    jobs: Vec<u8>,
    /// What the ended jobs may hold of limits.
    permits: Vec<u8>,
}

impl Shared {
    fn check<'a>(&'a self, check: &mut Check<'a>, moved: &'a [u8], rules: Option<&Hash>) -> Option<()> {
        check.value::<Hash>(&self.jobs)?;
        check.value::<Hash>(moved)?;
        check.absent(&self.permits)?;
        let is_set = |field: &[u8]| rules.is_some_and(|rules| rules.get(field).is_some());
        let has_kinds = rules.and_then(|rules| rules.get(b"kinds")).is_some_and(|count| &**count != b"0");
        (!is_set(b"breakers") && !has_kinds).then_some(())
    }
}

impl Names {
    /// Looks whether everything of a queue is as usual, and no rule is for it.
    fn check<'a>(&'a self, check: &mut Check<'a>, queue: &Queue<'a>, rules: Option<&Hash>) -> Option<()> {
        let stream = check.value::<Stream>(queue.stream)??;
        stream.group(GROUP)?;
        check.value::<SortedSet>(queue.wake)?;
        let Some(gate) = check.value::<Hash>(queue.gate)? else { return Some(()) };
        if UNUSUAL.iter().any(|field| gate.get(field).is_some()) || !has_ids_left(stream) {
            return None;
        }
        if let Some(rules) = rules {
            let has_keys = rules.get(&self.key_rules).is_some_and(|count| &**count != b"0");
            if has_keys || rules.get(&self.queue_rule).is_some() || rules.get(&self.key_rule).is_some() {
                return None;
            }
        }
        check.value::<SortedSet>(&self.turns)?;
        check.value::<Hash>(&self.waits)?;
        let is_number =
            |text: &[u8]| parse_integer(text).is_some_and(|number| number.unsigned_abs() < NUMBER_END);
        let is_usual = |pace: &Hash| pace.iter().all(|(_, value)| is_number(value));
        check.value::<Hash>(&self.pace)?.is_none_or(is_usual).then_some(())
    }
}
