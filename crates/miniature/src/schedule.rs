//! The schedule of a database: data and the time at which each is due, in one sorted set.
//!
//! Times are seconds since 1970 with as many digits behind the point as one likes; the original took text without a time
//! zone. The same data is scheduled once: to add it again moves it.

use windlass_engine::{Answer, Context, Error};
use windlass_resp::Value;

/// The key of the schedule, for Redis's commands on sorted sets.
pub const SCHEDULE: &[u8] = b"schedule";

/// The most that one READ answers, so that no call takes long; the next one gives more.
const READ_MAX: i64 = 1000;
/// The longest reservation, a year.
const RESERVE_SECONDS_MAX: i64 = 366 * 86_400;

/// ADD timestamp data: 1, or 0 when the data was scheduled already and has moved.
pub fn add(context: &mut Context<'_>) -> Answer {
    let (at, data) = (time(context.args()[1])?, context.args()[2]);
    context.call(&[b"ZADD", SCHEDULE, at.as_bytes(), data])
}

/// READ [timestamp] [RESERVE seconds] [COUNT count]: what is due then, or now, the earliest first; no more than a
/// thousand.
///
/// What is read is gone, and who dies with it in hands has lost it, as ever. With RESERVE it stays instead, due again
/// after so many seconds from now: who has done it removes it with `ZREM schedule data`.
pub fn read(context: &mut Context<'_>) -> Answer {
    let options = Options::parse(context)?;
    let count = options.count.to_string();
    let range: [&[u8]; 7] =
        [b"ZRANGEBYSCORE", SCHEDULE, b"-inf", options.until.as_bytes(), b"LIMIT", b"0", count.as_bytes()];
    let due = context.call(&range)?;
    let Value::Array(items) = &due else { return Ok(due) };
    for item in items {
        let Value::Bulk(data) = item else { continue };
        match &options.again_at {
            Some(at) => context.call(&[b"ZADD", SCHEDULE, at.as_bytes(), data])?,
            None => context.call(&[b"ZREM", SCHEDULE, data])?,
        };
    }
    Ok(due)
}

/// LENGTH_SCHEDULE: how much is scheduled.
pub fn length(context: &mut Context<'_>) -> Answer {
    context.call(&[b"ZCARD", SCHEDULE])
}

/// FLUSH_SCHEDULE: how much was scheduled.
pub fn flush(context: &mut Context<'_>) -> Answer {
    let length = length(context)?;
    context.call(&[b"DEL", SCHEDULE])?;
    Ok(length)
}

/// What READ is to do.
struct Options {
    until: String,
    again_at: Option<String>,
    count: i64,
}

impl Options {
    fn parse(context: &Context<'_>) -> Result<Self, Error> {
        let args = context.args();
        let is = |at: usize, word: &str| {
            args.get(at).is_some_and(|arg: &&[u8]| arg.eq_ignore_ascii_case(word.as_bytes()))
        };
        let mut options = Self { until: seconds(context, 0), again_at: None, count: READ_MAX };
        let mut at = 1;
        if args.len() > 1 && !is(1, "RESERVE") && !is(1, "COUNT") {
            options.until = time(args[1])?;
            at = 2;
        }
        while at < args.len() {
            let number = context.integer(at + 1);
            if is(at, "RESERVE") {
                let seconds_ahead = number.ok().filter(|seconds| (1..=RESERVE_SECONDS_MAX).contains(seconds));
                let problem = || Error::new(format!("ERR RESERVE takes 1 to {RESERVE_SECONDS_MAX} seconds"));
                options.again_at = Some(seconds(context, seconds_ahead.ok_or_else(problem)?));
            } else if is(at, "COUNT") {
                let count = number.ok().filter(|count| (1..=READ_MAX).contains(count));
                options.count =
                    count.ok_or_else(|| Error::new(format!("ERR COUNT takes 1 to {READ_MAX}")))?;
            } else {
                return Err(Error::SYNTAX);
            }
            at += 2;
        }
        Ok(options)
    }
}

/// The time of the call and so many seconds, as a score.
fn seconds(context: &Context<'_>, ahead: i64) -> String {
    let micros = context.now().micros();
    let second = (micros / 1_000_000).saturating_add_signed(ahead);
    format!("{second}.{:06}", micros % 1_000_000)
}

/// A time as it was given, if it is one.
fn time(text: &[u8]) -> Result<String, Error> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    number
        .filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
        .map(|_| String::from_utf8_lossy(text).into_owned())
        .ok_or_else(|| Error::new("ERR a timestamp is a number of seconds since 1970, such as 1700000000.5"))
}
