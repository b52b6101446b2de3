//! Commands about the connection itself.

use windlass_resp::Value;

use super::{Answer, Command, Flags, Keys, Run};
use crate::state::Call;

pub const COMMANDS: &[Command] = &[Command {
    name: "ping",
    arity: -1,
    flags: Flags::FAST.and(Flags::SUBSCRIBED),
    keys: Keys::None,
    group: "connection",
    summary: "Answer PONG, or the given text",
    run: Run::Call(ping),
}];

fn ping(call: &mut Call<'_>) -> Answer {
    Ok(call.args.get(1).map_or(Value::Simple("PONG".into()), Value::bulk))
}
