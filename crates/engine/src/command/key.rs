//! Commands on keys of any type.

use windlass_resp::Value;

use super::{Answer, Command, Flags, Keys, Run};
use crate::state::Call;

pub const COMMANDS: &[Command] = &[Command {
    name: "del",
    arity: -2,
    flags: Flags::WRITE,
    keys: Keys::Range(1, -1, 1),
    group: "generic",
    summary: "Delete keys",
    run: Run::Call(del),
}];

fn del(call: &mut Call<'_>) -> Answer {
    let mut removed: Vec<&[u8]> = vec![b"DEL"];
    for key in call.args.from(1) {
        if call.remove(key) {
            removed.push(key);
        }
    }
    if removed.len() > 1 {
        call.log_as(&removed);
    }
    Ok(Value::from(removed.len() - 1))
}
