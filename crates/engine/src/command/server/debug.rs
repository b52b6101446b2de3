//! DEBUG: what tests of a server need, where the configuration allows it.

use windlass_resp::Value;

use crate::command::Answer;
use crate::config::DebugCommand;
use crate::error::{Error, Result};
use crate::number::parse_float;
use crate::rdb::{Payload, encode_value};
use crate::state::Call;

/// What DUMP adds to a value: the type before it, version and checksum behind it.
const DUMP_EXTRA_BYTES: usize = 11;

/// What DEBUG HELP answers.
const HELP: [&str; 14] = [
    "DEBUG <subcommand> [<arg> ...]. Subcommands are:",
    "OBJECT <key>",
    "    How a value is stored.",
    "QUICKLIST-PACKED-THRESHOLD <bytes>",
    "    Accepted; lists are not stored so.",
    "RELOAD",
    "    Write every value as a snapshot does, and read it back.",
    "SET-ACTIVE-EXPIRE 0|1",
    "    Whether keys that end go by themselves.",
    "SLEEP <seconds>",
    "    Let nobody do anything for so long.",
    "STRINGMATCH-LEN <length> <pattern>",
    "    Match a long text.",
    "HELP",
];

pub fn debug(call: &mut Call<'_>) -> Answer {
    check_allowed(call)?;
    match (call.args.word(1).as_str(), call.args.len()) {
        ("HELP", 2) => Ok(Value::Array(HELP.iter().map(|line| Value::Simple((*line).into())).collect())),
        ("OBJECT", 3) => object(call),
        ("QUICKLIST-PACKED-THRESHOLD", 3) => Ok(Value::OK),
        ("RELOAD", 2..) => reload(call),
        ("SET-ACTIVE-EXPIRE", 3) => set_active_expire(call),
        ("SLEEP", 3) => sleep(call),
        ("STRINGMATCH-LEN", 4) => stringmatch_len(call),
        _ => {
            let given = String::from_utf8_lossy(call.args[1]).into_owned();
            let text = "ERR unknown subcommand or wrong number of arguments for";
            Err(Error::new(format!("{text} '{given}'. Try DEBUG HELP.")))
        }
    }
}

/// Refuses whom the configuration does not allow it.
fn check_allowed(call: &Call<'_>) -> Result<()> {
    let address = &call.session.address;
    let is_local = ["127.", "[::1]", "unix"].iter().any(|start| address.starts_with(start));
    let is_allowed = match call.state.config.debug_command {
        DebugCommand::No => false,
        DebugCommand::Yes => true,
        DebugCommand::Local => is_local,
    };
    if !is_allowed {
        return Err(Error::new(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it \
             from a local connection, otherwise you need to set this option in the configuration file, and then \
             restart the server.",
        ));
    }
    Ok(())
}

fn object(call: &mut Call<'_>) -> Answer {
    let Some(entry) = call.entry(call.args[2]) else { return Err(Error::NO_KEY) };
    let (encoding, length) = (entry.value.encoding(), encode_value(&entry.value).len() - DUMP_EXTRA_BYTES);
    let text = format!(
        "Value at:0x0 refcount:1 encoding:{encoding} serializedlength:{length} lru:0 lru_seconds_idle:0"
    );
    Ok(Value::Simple(text.into()))
}

fn reload(call: &mut Call<'_>) -> Answer {
    let seed = call.state.config.seed;
    for db in 0..call.state.databases.len() {
        let entries: Vec<_> = call.state.databases[db].iter().cloned().collect();
        for entry in entries {
            let bytes = encode_value(&entry.value);
            let read = Payload::parse(&bytes).and_then(|payload| payload.decode(seed));
            let value = read.ok_or_else(|| Error::new("ERR Error trying to load the RDB dump"))?;
            call.state.databases[db].insert(entry.key, value, entry.expires_ms);
        }
    }
    Ok(Value::OK)
}

fn set_active_expire(call: &mut Call<'_>) -> Answer {
    call.state.settings.expires_actively = call.args.integer(2)? != 0;
    Ok(Value::OK)
}

/// The engine has no clock to wait by: everybody's commands are put off, and the caller's reply with them.
fn sleep(call: &mut Call<'_>) -> Answer {
    let seconds = parse_float(call.args[2]).filter(|seconds| seconds.is_finite()).unwrap_or(0.0).max(0.0);
    let millis = (seconds * 1000.0).ceil() as u64;
    if millis > 0 {
        let until_ms = call.now.millis().saturating_add(millis);
        call.state.pause.start(call.now, until_ms, true);
        call.wait(&[], millis);
        if let Some(wait) = &mut call.wait {
            wait.timeout_reply = Value::OK;
        }
    }
    Ok(Value::OK)
}

fn stringmatch_len(call: &mut Call<'_>) -> Answer {
    /// The longest text that is matched.
    const LENGTH_MAX: usize = 1 << 20;
    let text = vec![b'x'; call.args.count(2)?.min(LENGTH_MAX)];
    Ok(Value::from(crate::pattern::matches(call.args[3], &text)))
}
