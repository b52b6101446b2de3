//! Publishing and subscribing. A subscription is confirmed by messages, not by a reply.

use windlass_resp::Value;

use super::{Answer, Command, Flags, Group, Keys};
use crate::args::Args;
use crate::blob::Blob;
use crate::engine::Message;
use crate::error::Error;
use crate::pattern;
use crate::pubsub::Kind;
use crate::session::Session;
use crate::state::{Call, State};

const LISTEN: Flags = flags![PUBSUB, NO_SCRIPT, LOADING, STALE, SUBSCRIBED];
const SEND: Flags = flags![PUBSUB, LOADING, STALE, FAST, MAY_REPLICATE];
const LOOK: Flags = flags![PUBSUB, LOADING, STALE];
const NONE: Keys = Keys::None;
const FIRST: Keys = Keys::Range(1, 1, 1);
const ALL: Keys = Keys::Range(1, -1, 1);

pub const COMMANDS: &[Command] = &[
    GROUP.engine_row(
        "psubscribe",
        -2,
        LISTEN,
        NONE,
        "Listen to channels that match patterns",
        |e, s, args, _| subscribe(&mut e.state, s, args, Kind::Pattern),
    ),
    GROUP.row("publish", 3, SEND, NONE, "Send a message to a channel", publish),
    GROUP.container("pubsub", "Look at channels and who listens", SUBCOMMANDS),
    GROUP.engine_row("punsubscribe", -1, LISTEN, NONE, "Stop listening to patterns", |e, s, args, _| {
        unsubscribe(&mut e.state, s, args, Kind::Pattern)
    }),
    GROUP.row("spublish", 3, SEND, FIRST, "Send a message to a shard channel", spublish),
    GROUP.engine_row("ssubscribe", -2, LISTEN, ALL, "Listen to shard channels", |e, s, args, _| {
        subscribe(&mut e.state, s, args, Kind::Shard)
    }),
    GROUP.engine_row("subscribe", -2, LISTEN, NONE, "Listen to channels", |e, s, args, _| {
        subscribe(&mut e.state, s, args, Kind::Channel)
    }),
    GROUP.engine_row("sunsubscribe", -1, LISTEN, ALL, "Stop listening to shard channels", |e, s, args, _| {
        unsubscribe(&mut e.state, s, args, Kind::Shard)
    }),
    GROUP.engine_row("unsubscribe", -1, LISTEN, NONE, "Stop listening to channels", |e, s, args, _| {
        unsubscribe(&mut e.state, s, args, Kind::Channel)
    }),
];

/// What makes the rows of this family.
const GROUP: Group = Group("pubsub");

const SUBCOMMANDS: &[Command] = &[
    GROUP.sub(
        "pubsub|channels",
        -2,
        LOOK,
        NONE,
        "[<pattern>]",
        "The channels that somebody listens to by name.",
        |call| channels(call, Kind::Channel),
    ),
    GROUP.help("pubsub|help"),
    GROUP.sub("pubsub|numpat", 2, LOOK, NONE, "", "How many patterns are listened to.", numpat),
    GROUP.sub(
        "pubsub|numsub",
        -2,
        LOOK,
        NONE,
        "[<channel> ...]",
        "How many listen to each channel.",
        |call| numsub(call, Kind::Channel),
    ),
    GROUP.sub(
        "pubsub|shardchannels",
        -2,
        LOOK,
        NONE,
        "[<pattern>]",
        "The shard channels that somebody listens to.",
        |call| channels(call, Kind::Shard),
    ),
    GROUP.sub(
        "pubsub|shardnumsub",
        -2,
        LOOK,
        NONE,
        "[<channel> ...]",
        "How many listen to each shard channel.",
        |call| numsub(call, Kind::Shard),
    ),
];

fn subscribe(state: &mut State, session: &mut Session, args: Args<'_>, kind: Kind) -> Option<Value> {
    let verb = match kind {
        Kind::Channel => "subscribe",
        Kind::Pattern => "psubscribe",
        Kind::Shard => "ssubscribe",
    };
    for name in args.from(1) {
        state.pubsub.subscribe(kind, session, name);
        confirm(state, session, kind, verb, Some(name));
    }
    None
}

fn unsubscribe(state: &mut State, session: &mut Session, args: Args<'_>, kind: Kind) -> Option<Value> {
    let verb = match kind {
        Kind::Channel => "unsubscribe",
        Kind::Pattern => "punsubscribe",
        Kind::Shard => "sunsubscribe",
    };
    let names: Vec<Blob> = if args.len() > 1 {
        args.from(1).iter().map(|name| Blob::from(*name)).collect()
    } else {
        session.subscriptions(kind).iter().cloned().collect()
    };
    for name in &names {
        state.pubsub.unsubscribe(kind, session, name);
        confirm(state, session, kind, verb, Some(name));
    }
    if names.is_empty() {
        confirm(state, session, kind, verb, None);
    }
    None
}

/// Tells a session how many subscriptions it has after one came or went; those to shards are counted by themselves.
fn confirm(state: &mut State, session: &Session, kind: Kind, verb: &str, name: Option<&[u8]>) {
    let count = |kind| session.subscriptions(kind).len();
    let count = match kind {
        Kind::Shard => count(Kind::Shard),
        Kind::Channel | Kind::Pattern => count(Kind::Channel) + count(Kind::Pattern),
    };
    let name = name.map_or(Value::Nil, Value::bulk);
    let message = Value::Push(vec![Value::from(verb), name, Value::from(count)]);
    state.deliver(session.id, Message::Push(message));
}

fn publish(call: &mut Call<'_>) -> Answer {
    Ok(Value::from(call.state.publish(call.args[1], call.args[2])))
}

fn spublish(call: &mut Call<'_>) -> Answer {
    Ok(Value::from(call.state.publish_shard(call.args[1], call.args[2])))
}

fn channels(call: &mut Call<'_>, kind: Kind) -> Answer {
    if call.args.len() > 3 {
        return Err(Error::subcommand_arguments("pubsub", call.args[1]));
    }
    let wanted = call.args.get(2);
    let names = call.state.pubsub.of(kind).keys();
    let names = names.filter(|name| wanted.is_none_or(|wanted| pattern::matches(wanted, name)));
    Ok(Value::Array(names.map(Value::bulk).collect()))
}

fn numpat(call: &mut Call<'_>) -> Answer {
    Ok(Value::from(call.state.pubsub.of(Kind::Pattern).len()))
}

fn numsub(call: &mut Call<'_>, kind: Kind) -> Answer {
    let listeners = call.state.pubsub.of(kind);
    let count = |name: &&[u8]| Value::from(listeners.get(*name).map_or(0, |sessions| sessions.len()));
    let pairs = call.args.from(2).iter().flat_map(|name| [Value::bulk(name), count(name)]);
    Ok(Value::Array(pairs.collect()))
}
