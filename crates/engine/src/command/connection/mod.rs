//! Commands about the connection itself. `hello` says who is there and in which protocol, `client` looks at the
//! sessions of all clients.

use windlass_resp::{Protocol, Value};

use super::{Answer, Command, Flags, Keys, Run, pubsub};
use crate::blob::Blob;
use crate::engine::Message;
use crate::error::Error;
use crate::state::Call;

mod client;
mod hello;

/// Allowed before the password was given.
const OPEN: Flags = Flags::NO_AUTH.and(Flags::NO_SCRIPT).and(Flags::FAST);
/// Allowed everywhere and at once.
const ALWAYS: Flags = OPEN.and(Flags::IMMEDIATE).and(Flags::SUBSCRIBED);
const PLAIN: Flags = Flags::FAST;

pub const COMMANDS: &[Command] = &[
    row("auth", -2, OPEN, "Give the password", hello::auth),
    row("client", -2, Flags::NO_SCRIPT, "Look at and control the clients' connections", client::client),
    row("echo", 2, PLAIN, "Answer the given text", echo),
    row(
        "hello",
        -1,
        OPEN,
        "Choose the protocol, give password and name, get to know the server",
        hello::hello,
    ),
    row("ping", -1, PLAIN.and(Flags::SUBSCRIBED), "Answer PONG, or the given text", ping),
    row("quit", -1, ALWAYS, "Close the connection", quit),
    row("reset", 1, ALWAYS, "Make the connection as it was when it was opened", reset),
    row("select", 2, PLAIN, "Choose the database that the connection works on", select),
];

const fn row(
    name: &'static str,
    arity: i8,
    flags: Flags,
    summary: &'static str,
    run: fn(&mut Call<'_>) -> Answer,
) -> Command {
    Command { name, arity, flags, keys: Keys::None, group: "connection", summary, run: Run::Call(run) }
}

fn ping(call: &mut Call<'_>) -> Answer {
    let text = call.args.get(1);
    if call.args.len() > 2 {
        return Err(Error::arity("ping"));
    }
    if call.session.is_subscribed() && call.session.protocol == Protocol::Resp2 {
        // Among messages of channels the answer has their form, so that a client can tell.
        return Ok(Value::Array(vec![Value::from("pong"), Value::bulk(text.unwrap_or_default())]));
    }
    Ok(text.map_or(Value::Simple("PONG".into()), Value::bulk))
}

fn echo(call: &mut Call<'_>) -> Answer {
    Ok(Value::bulk(call.args[1]))
}

fn select(call: &mut Call<'_>) -> Answer {
    let index = usize::try_from(call.args.integer(1)?).unwrap_or(usize::MAX);
    if index >= call.state.databases.len() {
        return Err(Error::DB_RANGE);
    }
    call.session.db = index;
    Ok(Value::OK)
}

fn quit(call: &mut Call<'_>) -> Answer {
    call.state.deliver(call.session.id, Message::Close);
    Ok(Value::OK)
}

fn reset(call: &mut Call<'_>) -> Answer {
    pubsub::unsubscribe_all(&mut call.state.pubsub, call.session);
    call.state.unwatch(call.session);
    let session = &mut *call.session;
    session.transaction = None;
    session.db = 0;
    session.protocol = Protocol::Resp2;
    session.name = Blob::default();
    session.is_authenticated = call.state.config.password.is_empty();
    Ok(Value::Simple("RESET".into()))
}
