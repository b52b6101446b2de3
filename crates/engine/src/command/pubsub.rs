//! Publishing and subscribing. A subscription is confirmed by messages, not by a reply.

use std::collections::{BTreeMap, BTreeSet};

use windlass_resp::Value;

use super::container::{Subcommand, dispatch};
use super::{Answer, Command, Flags, Keys, Run};
use crate::args::Args;
use crate::blob::Blob;
use crate::engine::{Engine, Message};
use crate::pattern;
use crate::pubsub::PubSub;
use crate::session::{Session, SessionId};
use crate::state::{Call, State};
use crate::time::Time;

const LISTEN: Flags = Flags::PUBSUB.and(Flags::NO_SCRIPT).and(Flags::SUBSCRIBED);

pub const COMMANDS: &[Command] = &[
    row("psubscribe", -2, LISTEN, "Listen to channels that match patterns", Run::Engine(psubscribe)),
    row("publish", 3, Flags::PUBSUB.and(Flags::FAST), "Send a message to a channel", Run::Call(publish)),
    row("pubsub", -2, Flags::PUBSUB, "Look at channels and who listens", Run::Call(pubsub)),
    row("punsubscribe", -1, LISTEN, "Stop listening to patterns", Run::Engine(punsubscribe)),
    row("subscribe", -2, LISTEN, "Listen to channels", Run::Engine(subscribe)),
    row("unsubscribe", -1, LISTEN, "Stop listening to channels", Run::Engine(unsubscribe)),
];

const fn row(name: &'static str, arity: i8, flags: Flags, summary: &'static str, run: Run) -> Command {
    Command { name, arity, flags, keys: Keys::None, group: "pubsub", summary, run }
}

fn subscribe(engine: &mut Engine, session: &mut Session, args: Args<'_>, _: Time) -> Option<Value> {
    let state = &mut *engine.state;
    for channel in args.from(1) {
        if session.channels.insert(Blob::from(*channel)) {
            PubSub::add(&mut state.pubsub.channels, channel, session.id);
        }
        confirm(state, session, "subscribe", Some(channel));
    }
    None
}

fn psubscribe(engine: &mut Engine, session: &mut Session, args: Args<'_>, _: Time) -> Option<Value> {
    let state = &mut *engine.state;
    for pattern in args.from(1) {
        if session.patterns.insert(Blob::from(*pattern)) {
            PubSub::add(&mut state.pubsub.patterns, pattern, session.id);
        }
        confirm(state, session, "psubscribe", Some(pattern));
    }
    None
}

fn unsubscribe(engine: &mut Engine, session: &mut Session, args: Args<'_>, _: Time) -> Option<Value> {
    let state = &mut *engine.state;
    let names = named_or_all(args, &session.channels);
    for channel in &names {
        if session.channels.remove(&**channel) {
            PubSub::remove(&mut state.pubsub.channels, channel, session.id);
        }
        confirm(state, session, "unsubscribe", Some(channel));
    }
    if names.is_empty() {
        confirm(state, session, "unsubscribe", None);
    }
    None
}

fn punsubscribe(engine: &mut Engine, session: &mut Session, args: Args<'_>, _: Time) -> Option<Value> {
    let state = &mut *engine.state;
    let names = named_or_all(args, &session.patterns);
    for pattern in &names {
        if session.patterns.remove(&**pattern) {
            PubSub::remove(&mut state.pubsub.patterns, pattern, session.id);
        }
        confirm(state, session, "punsubscribe", Some(pattern));
    }
    if names.is_empty() {
        confirm(state, session, "punsubscribe", None);
    }
    None
}

fn named_or_all(args: Args<'_>, all: &BTreeSet<Blob>) -> Vec<Blob> {
    if args.len() > 1 {
        args.from(1).iter().map(|name| Blob::from(*name)).collect()
    } else {
        all.iter().cloned().collect()
    }
}

/// Tells a session how many subscriptions it has after one came or went.
fn confirm(state: &mut State, session: &Session, verb: &str, name: Option<&[u8]>) {
    let count = session.channels.len() + session.patterns.len();
    let name = name.map_or(Value::Nil, Value::bulk);
    let message = Value::Push(vec![Value::from(verb), name, Value::from(count)]);
    state.deliver(session.id, Message::Push(message));
}

/// Ends every subscription of a session.
pub fn unsubscribe_all(pubsub: &mut PubSub, session: &mut Session) {
    for channel in std::mem::take(&mut session.channels) {
        PubSub::remove(&mut pubsub.channels, &channel, session.id);
    }
    for pattern in std::mem::take(&mut session.patterns) {
        PubSub::remove(&mut pubsub.patterns, &pattern, session.id);
    }
}

fn publish(call: &mut Call<'_>) -> Answer {
    let (channel, text) = (call.args[1], call.args[2]);
    let mut messages: Vec<(SessionId, Value)> = Vec::new();
    let pubsub = &call.state.pubsub;
    for session in pubsub.channels.get(channel).into_iter().flatten() {
        let message = vec![Value::from("message"), Value::bulk(channel), Value::bulk(text)];
        messages.push((*session, Value::Push(message)));
    }
    for (pattern, sessions) in pubsub.patterns.iter().filter(|(name, _)| pattern::matches(name, channel)) {
        for session in sessions {
            let message =
                vec![Value::from("pmessage"), Value::bulk(pattern), Value::bulk(channel), Value::bulk(text)];
            messages.push((*session, Value::Push(message)));
        }
    }
    let count = messages.len();
    for (session, message) in messages {
        call.state.deliver(session, Message::Push(message));
    }
    Ok(Value::from(count))
}

const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "channels",
        arity: -2,
        usage: "[<pattern>]",
        summary: "The channels that somebody listens to by name.",
        run: channels,
    },
    Subcommand {
        name: "numpat",
        arity: 2,
        usage: "",
        summary: "How many patterns are listened to.",
        run: numpat,
    },
    Subcommand {
        name: "numsub",
        arity: -2,
        usage: "[<channel> ...]",
        summary: "How many listen to each channel.",
        run: numsub,
    },
];

fn pubsub(call: &mut Call<'_>) -> Answer {
    dispatch(call, SUBCOMMANDS)
}

fn channels(call: &mut Call<'_>) -> Answer {
    if call.args.len() > 3 {
        return Err(crate::error::Error::unknown_subcommand("pubsub", call.args[1]));
    }
    let wanted = call.args.get(2);
    let names = call.state.pubsub.channels.keys();
    let names = names.filter(|name| wanted.is_none_or(|wanted| pattern::matches(wanted, name)));
    Ok(Value::Array(names.map(Value::bulk).collect()))
}

fn numpat(call: &mut Call<'_>) -> Answer {
    Ok(Value::from(call.state.pubsub.patterns.len()))
}

fn numsub(call: &mut Call<'_>) -> Answer {
    let listeners: &BTreeMap<Blob, BTreeSet<SessionId>> = &call.state.pubsub.channels;
    let count = |name: &&[u8]| Value::from(listeners.get(*name).map_or(0, BTreeSet::len));
    let pairs = call.args.from(2).iter().flat_map(|name| [Value::bulk(name), count(name)]);
    Ok(Value::Array(pairs.collect()))
}
