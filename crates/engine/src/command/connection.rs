//! Commands about the connection itself.

use windlass_resp::Value;

use super::{Answer, Command, Flags, Keys, Run};
use crate::error::Error;
use crate::state::Call;

pub const COMMANDS: &[Command] = &[
    Command {
        name: "ping",
        arity: -1,
        flags: Flags::FAST.and(Flags::SUBSCRIBED),
        keys: Keys::None,
        group: "connection",
        summary: "Answer PONG, or the given text",
        run: Run::Call(ping),
    },
    Command {
        name: "select",
        arity: 2,
        flags: Flags::FAST,
        keys: Keys::None,
        group: "connection",
        summary: "Choose the database that the connection works on",
        run: Run::Call(select),
    },
];

fn ping(call: &mut Call<'_>) -> Answer {
    Ok(call.args.get(1).map_or(Value::Simple("PONG".into()), Value::bulk))
}

fn select(call: &mut Call<'_>) -> Answer {
    let index = usize::try_from(call.args.integer(1)?).unwrap_or(usize::MAX);
    if index >= call.state.databases.len() {
        return Err(Error::DB_RANGE);
    }
    call.session.db = index;
    Ok(Value::OK)
}
