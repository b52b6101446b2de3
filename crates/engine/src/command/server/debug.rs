//! DEBUG: what tests of a server need, where the configuration allows it.

use windlass_resp::Value;

use super::digest;
use crate::blob::Blob;
use crate::command::Answer;
use crate::config::DebugCommand;
use crate::error::{Error, Result};
use crate::number::parse_float;
use crate::object::Object;
use crate::rdb::{Payload, encode_value};
use crate::state::Call;

/// What DUMP adds to a value: the type before it, version and checksum behind it.
const DUMP_EXTRA_BYTES: usize = 11;

/// What DEBUG HELP answers.
const HELP: [&str; 30] = [
    "DEBUG <subcommand> [<arg> ...]. Subcommands are:",
    "DIGEST",
    "    A sum of all data.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    A sum of each value.",
    "ERROR <text>",
    "    Answer with this error.",
    "LOG <message>",
    "    Accepted; there is no log of words.",
    "OBJECT <key>",
    "    How a value is stored.",
    "PAUSE-CRON 0|1",
    "    Accepted; nothing here goes by a tick.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Make so many strings.",
    "PROTOCOL <type>",
    "    Answer with a value of this type of the protocol.",
    "QUICKLIST-PACKED-THRESHOLD <bytes>",
    "    Accepted; lists are not stored so.",
    "RELOAD [NOSAVE|NOFLUSH|MERGE ...]",
    "    Write every value as a snapshot does, and read it back.",
    "SET-ACTIVE-EXPIRE 0|1",
    "    Whether keys that end go by themselves.",
    "REPLYBUFFER PEAK-RESET-TIME|RESIZING <value>",
    "    Accepted; replies are not kept in a buffer of each client.",
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
        ("DIGEST", 2) => digest::dataset(call),
        ("DIGEST-VALUE", 2..) => digest::values(call),
        ("ERROR", 3) => Ok(error(call.args[2])),
        ("LOG" | "PAUSE-CRON" | "QUICKLIST-PACKED-THRESHOLD", 3) | ("REPLYBUFFER", 4) => Ok(Value::OK),
        ("OBJECT", 3) => object(call),
        ("POPULATE", 3..=5) => populate(call),
        ("PROTOCOL", 3) => protocol(call),
        ("RELOAD", 2..) => reload(call),
        ("SET-ACTIVE-EXPIRE", 3) => set_active_expire(call),
        ("SLEEP", 3) => sleep(call),
        ("STRINGMATCH-LEN", 4) => stringmatch_len(call),
        _ => Err(Error::subcommand_arguments("debug", call.args[1])),
    }
}

/// Refuses whom the configuration does not allow it.
fn check_allowed(call: &Call<'_>) -> Result<()> {
    let address = &call.session.address;
    let is_local = call.session.is_unix() || ["127.", "[::1]"].iter().any(|start| address.starts_with(start));
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

/// The text with what would end its line turned into spaces.
fn error(text: &[u8]) -> Value {
    Value::Error(String::from_utf8_lossy(text).replace(['\r', '\n'], " ").into())
}

fn object(call: &mut Call<'_>) -> Answer {
    let forms = call.state.settings.forms.clone();
    let Some(entry) = call.entry(call.args[2]) else { return Err(Error::NO_KEY) };
    let (encoding, length) =
        (forms.encoding(&entry.value), encode_value(&entry.value).len() - DUMP_EXTRA_BYTES);
    let text = format!(
        "Value at:0x0 refcount:1 encoding:{encoding} serializedlength:{length} lru:0 lru_seconds_idle:0"
    );
    Ok(Value::Simple(text.into()))
}

/// The most keys that one call makes, and the most bytes of one value.
const POPULATE_MAX: usize = 10_000_000;

/// Makes `key:0` with `value:0` and so on, where there is no such key yet.
fn populate(call: &mut Call<'_>) -> Answer {
    let count = call.args.count(2)?.min(POPULATE_MAX);
    let prefix = call.args.get(3).unwrap_or(b"key").to_vec();
    let size = if call.args.len() > 4 { Some(call.args.count(4)?.min(POPULATE_MAX)) } else { None };
    for index in 0..count {
        let number = index.to_string();
        let key = [&*prefix, b":", number.as_bytes()].concat();
        if call.entry(&key).is_some() {
            continue;
        }
        let mut value = format!("value:{number}").into_bytes();
        if let Some(size) = size {
            value.resize(size, 0);
        }
        call.log_as(&[b"SET", &key, &value]);
        call.set(&key, Object::String(Blob::from(&*value)), None);
    }
    Ok(Value::OK)
}

/// One value of each type that a reply can have. A number beyond 64 bits and an attribute are never replied here.
fn protocol(call: &mut Call<'_>) -> Answer {
    let three = || (0..3).map(Value::Integer);
    Ok(match call.args.word(2).as_str() {
        "STRING" => Value::from("Hello World"),
        "INTEGER" => Value::Integer(12345),
        // What Redis answers, and no attempt at a constant of mathematics.
        "DOUBLE" => Value::Double(3141.0 / 1000.0),
        "NULL" => Value::Nil,
        "ARRAY" => Value::Array(three().collect()),
        "SET" => Value::Set(three().collect()),
        "MAP" => {
            Value::Map(three().map(|key| (key.clone(), Value::Boolean(key == Value::Integer(1)))).collect())
        }
        "TRUE" => Value::Boolean(true),
        "FALSE" => Value::Boolean(false),
        "VERBATIM" => Value::Verbatim("txt", "This is a verbatim\nstring".into()),
        _ => {
            return Err(Error::new(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|null|array|set|map|verbatim|true|false",
            ));
        }
    })
}

fn reload(call: &mut Call<'_>) -> Answer {
    let seed = call.state.config.seed;
    for db in 0..call.state.databases.len() {
        let entries: Vec<_> = call.state.databases[db].iter().cloned().collect();
        for entry in entries {
            let bytes = encode_value(&entry.value);
            let read = Payload::parse(&bytes).and_then(|payload| payload.decode(seed));
            let value = read.ok_or_else(|| Error::new("ERR Error trying to load the RDB dump"))?;
            let expires_ms = entry.expires_ms();
            call.state.databases[db].insert(entry.key, value, expires_ms);
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
