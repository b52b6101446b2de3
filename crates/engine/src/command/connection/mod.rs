//! Commands about the connection itself. `hello` says who is there and in which protocol, `client` looks at the
//! sessions of all clients.

use windlass_resp::{Protocol, Value};

use super::{Answer, Command, Flags, Group, Keys};
use crate::acl::DEFAULT;
use crate::blob::Blob;
use crate::engine::Message;
use crate::error::Error;
use crate::session::Silence;
use crate::state::Call;

mod client;
mod hello;

const NONE: Keys = Keys::None;
/// Allowed before the password was given.
const OPEN: Flags = flags![NO_SCRIPT, LOADING, STALE, FAST, NO_AUTH, ALLOW_BUSY];
/// Allowed everywhere and at once.
const ALWAYS: Flags = OPEN.and(flags![IMMEDIATE, SUBSCRIBED]);
const PLAIN: Flags = flags![LOADING, STALE, FAST];

pub const COMMANDS: &[Command] = &[
    GROUP.row("auth", -2, OPEN, NONE, "Give the password", hello::auth),
    GROUP.container("client", "Look at and control the clients' connections", client::SUBCOMMANDS),
    GROUP.row("echo", 2, PLAIN, NONE, "Answer the given text", echo),
    GROUP.row(
        "hello",
        -1,
        OPEN,
        NONE,
        "Choose the protocol, give password and name, get to know the server",
        hello::hello,
    ),
    GROUP.row("ping", -1, flags![FAST, SUBSCRIBED], NONE, "Answer PONG, or the given text", ping),
    GROUP.row("quit", -1, ALWAYS, NONE, "Close the connection", quit),
    GROUP.row("reset", 1, ALWAYS, NONE, "Make the connection as it was when it was opened", reset),
    GROUP.row("select", 2, PLAIN, NONE, "Choose the database that the connection works on", select),
];

/// What makes the rows of this family.
const GROUP: Group = Group("connection");

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
    call.session.db = call.args.database(1, call.state.databases.len())?;
    Ok(Value::OK)
}

fn quit(call: &mut Call<'_>) -> Answer {
    call.state.deliver(call.session.id, Message::Close);
    Ok(Value::OK)
}

fn reset(call: &mut Call<'_>) -> Answer {
    call.state.pubsub.unsubscribe_all(call.session);
    call.state.unwatch(call.session);
    call.state.monitors.retain(|id| *id != call.session.id);
    let session = &mut *call.session;
    session.transaction = None;
    session.silence = Silence::None;
    session.skips_next = false;
    session.is_monitor = false;
    session.db = 0;
    session.protocol = Protocol::Resp2;
    session.name = Blob::default();
    session.is_authenticated = call.state.users.is_default_free();
    session.user = Blob::from(DEFAULT);
    Ok(Value::Simple("RESET".into()))
}
