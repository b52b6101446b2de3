//! Commands on strings.

use windlass_resp::Value;

use super::{Answer, Command, Flags, Keys, Run};
use crate::blob::Blob;
use crate::object::Object;
use crate::state::Call;

pub const COMMANDS: &[Command] = &[
    Command {
        name: "get",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: Keys::Range(1, 1, 1),
        group: "string",
        summary: "Get the value of a key",
        run: Run::Call(get),
    },
    Command {
        name: "set",
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENY_OOM),
        keys: Keys::Range(1, 1, 1),
        group: "string",
        summary: "Set the string value of a key",
        run: Run::Call(set),
    },
];

fn get(call: &mut Call<'_>) -> Answer {
    Ok(call.get::<Blob>(call.args[1])?.map_or(Value::Nil, Value::bulk))
}

fn set(call: &mut Call<'_>) -> Answer {
    let (key, value) = (call.args[1], call.args[2]);
    call.set(key, Object::String(Blob::from(value)), None);
    call.log();
    Ok(Value::OK)
}
