//! SLOWLOG and LATENCY.

use windlass_resp::Value;

use super::GROUP;
use crate::command::{Answer, Command, Keys};
use crate::error::Error;
use crate::state::Call;

/// How many calls SLOWLOG GET shows when it is not told.
const SHOWN: usize = 10;

pub const SLOWLOG: &[Command] = &[
    GROUP.sub(
        "slowlog|get",
        -2,
        flags![ADMIN, LOADING, STALE],
        Keys::None,
        "[<count>]",
        "The newest calls that took long; -1 is all.",
        get,
    ),
    GROUP.help("slowlog|help"),
    GROUP.sub(
        "slowlog|len",
        2,
        flags![ADMIN, LOADING, STALE],
        Keys::None,
        "",
        "How many calls are kept.",
        |call| Ok(Value::from(call.state.slow.calls.len())),
    ),
    GROUP.sub("slowlog|reset", 2, flags![ADMIN, LOADING, STALE], Keys::None, "", "Forget them.", |call| {
        call.state.slow.calls.clear();
        Ok(Value::OK)
    }),
];

fn get(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let count = match args.len() {
        2 => SHOWN,
        3 => match args.integer(2) {
            Ok(-1) => usize::MAX,
            Ok(count) if count >= 0 => usize::try_from(count).unwrap_or(usize::MAX),
            _ => return Err(Error::new("ERR count should be greater than or equal to -1")),
        },
        _ => return Err(Error::arity("slowlog|get")),
    };
    let calls = call.state.slow.calls.iter().take(count).map(|call| {
        Value::Array(vec![
            number(call.number),
            number(call.at_s),
            number(call.took_us),
            Value::Array(call.args.iter().map(Value::bulk).collect()),
            Value::bulk(&call.address),
            Value::bulk(&call.name),
        ])
    });
    Ok(Value::Array(calls.collect()))
}

pub const LATENCY: &[Command] = &[
    GROUP.sub(
        "latency|doctor",
        2,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "",
        "What took long, in words.",
        doctor,
    ),
    GROUP.help("latency|help"),
    GROUP.sub(
        "latency|histogram",
        -2,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "[<command> ...]",
        "How many calls of commands took how long.",
        histogram,
    ),
    GROUP.sub(
        "latency|history",
        3,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "<event>",
        "When an event took how many milliseconds.",
        history,
    ),
    GROUP.sub(
        "latency|latest",
        2,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "",
        "The last and the longest of each event.",
        latest,
    ),
    GROUP.sub(
        "latency|reset",
        -2,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "[<event> ...]",
        "Forget events.",
        reset,
    ),
];

fn number(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn latest(call: &mut Call<'_>) -> Answer {
    let events = call.state.slow.delays.iter().filter_map(|(name, delays)| {
        let (at_s, took_ms) = *delays.last.back()?;
        let parts = [at_s, took_ms, delays.max_ms].map(number);
        Some(Value::Array([Value::from(*name)].into_iter().chain(parts).collect()))
    });
    Ok(Value::Array(events.collect()))
}

fn history(call: &mut Call<'_>) -> Answer {
    let name = String::from_utf8_lossy(call.args[2]);
    let delays = call.state.slow.delays.get(&*name);
    let delays = delays.iter().flat_map(|delays| &delays.last);
    let pair = |(at_s, took_ms): &(u64, u64)| Value::Array(vec![number(*at_s), number(*took_ms)]);
    Ok(Value::Array(delays.map(pair).collect()))
}

fn reset(call: &mut Call<'_>) -> Answer {
    let names = call.args.from(2);
    let before = call.state.slow.delays.len();
    call.state.slow.delays.retain(|name, _| {
        !names.is_empty() && names.iter().all(|given| !given.eq_ignore_ascii_case(name.as_bytes()))
    });
    Ok(Value::from(before - call.state.slow.delays.len()))
}

fn doctor(call: &mut Call<'_>) -> Answer {
    let delays = &call.state.slow.delays;
    if call.state.settings.latency_min_ms == 0 {
        let text =
            "Nothing is watched: set latency-monitor-threshold to the milliseconds that are too many.\n";
        return Ok(Value::Verbatim("txt", text.into()));
    }
    let mut text = String::new();
    for (name, delays) in delays {
        text += &format!(
            "{name}: {} times too long, {} ms at the most. SLOWLOG GET shows the calls.\n",
            delays.last.len(),
            delays.max_ms
        );
    }
    if text.is_empty() {
        text = "Nothing took too long.\n".into();
    }
    Ok(Value::Verbatim("txt", text))
}

fn histogram(call: &mut Call<'_>) -> Answer {
    let names = call.args.from(2);
    let is_named = |name: &str| {
        names.is_empty()
            || names.iter().any(|given| {
                let container = name.split_once('|').map(|(container, _)| container);
                [Some(name), container]
                    .into_iter()
                    .flatten()
                    .any(|name| given.eq_ignore_ascii_case(name.as_bytes()))
            })
    };
    let counts = call.state.stats.tally.commands();
    let timed = counts.into_iter().filter(|count| count.is_timed() && is_named(count.name));
    let histograms = timed.map(|count| {
        let buckets = count.histogram();
        let calls = buckets.last().map_or(0, |(_, sum)| *sum);
        let buckets = buckets.into_iter().map(|(micros, sum)| (number(micros), number(sum)));
        let facts = vec![
            (Value::from("calls"), number(calls)),
            (Value::from("histogram_usec"), Value::Map(buckets.collect())),
        ];
        (Value::from(count.name), Value::Map(facts))
    });
    Ok(Value::Map(histograms.collect()))
}
