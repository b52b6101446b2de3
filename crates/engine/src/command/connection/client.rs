//! CLIENT: looking at sessions, naming, closing and waking them.

use windlass_resp::{Protocol, Value, encode_command};

use super::GROUP;
use crate::acl::Users;
use crate::args::Args;
use crate::blob::Blob;
use crate::command::{Answer, Command, Keys};
use crate::engine::{Engine, Message};
use crate::error::{Error, Result};
use crate::pubsub::Kind as Subscription;
use crate::session::{Session, SessionId, Silence};
use crate::state::Call;
use crate::time::Time;

pub const SUBCOMMANDS: &[Command] = &[
    GROUP.sub(
        "client|getname",
        2,
        flags![NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "",
        "The connection's name.",
        getname,
    ),
    GROUP.help("client|help"),
    GROUP.sub(
        "client|id",
        2,
        flags![NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "",
        "The connection's number.",
        id,
    ),
    GROUP.sub(
        "client|info",
        2,
        flags![NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "",
        "What LIST shows of this connection.",
        info,
    ),
    GROUP.sub(
        "client|kill",
        -3,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "<ip:port> | [ID <id>] [ADDR <ip:port>] [LADDR <ip:port>] [TYPE <type>] [USER <name>] [SKIPME yes|no]",
        "Close connections.",
        kill,
    ),
    GROUP.sub(
        "client|list",
        -2,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "[TYPE normal|pubsub|master|replica | ID <id> [<id> ...]]",
        "A line for each connection.",
        list,
    ),
    GROUP.sub(
        "client|no-evict",
        3,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "ON|OFF",
        "Accepted; no connection is ever closed for memory.",
        no_evict,
    ),
    GROUP.sub(
        "client|setinfo",
        4,
        flags![NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "LIB-NAME|LIB-VER <text>",
        "Tell which library the client uses.",
        setinfo,
    ),
    GROUP.sub(
        "client|setname",
        3,
        flags![NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "<name>",
        "Name the connection.",
        setname,
    ),
    GROUP.sub(
        "client|unblock",
        -3,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "<id> [TIMEOUT|ERROR]",
        "End another connection's wait.",
        unblock,
    ),
    GROUP.sub(
        "client|getredir",
        2,
        flags![NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "",
        "Where invalidations go: nowhere, there is no tracking.",
        getredir,
    ),
    GROUP.sub(
        "client|pause",
        -3,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "<milliseconds> [WRITE|ALL]",
        "Put off the commands of all clients, or those that write.",
        pause,
    ),
    GROUP.engine_sub(
        "client|reply",
        3,
        flags![NO_SCRIPT, LOADING, STALE],
        "ON|OFF|SKIP",
        "Which replies to send.",
        reply,
    ),
    GROUP.sub(
        "client|trackinginfo",
        2,
        flags![NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "",
        "How reads are tracked: not at all.",
        trackinginfo,
    ),
    GROUP.sub(
        "client|unpause",
        2,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE],
        Keys::None,
        "",
        "End the pause.",
        unpause,
    ),
];

/// A name that fits in a line of CLIENT LIST.
pub fn check_name(name: &[u8]) -> Result<&[u8]> {
    if name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        Ok(name)
    } else {
        Err(Error::new("ERR Client names cannot contain spaces, newlines or special characters."))
    }
}

fn id(call: &mut Call<'_>) -> Answer {
    Ok(Value::Integer(call.session.id.0 as i64))
}

fn getname(call: &mut Call<'_>) -> Answer {
    let name = &call.session.name;
    Ok(if name.is_empty() { Value::Nil } else { Value::bulk(name) })
}

fn setname(call: &mut Call<'_>) -> Answer {
    call.session.name = Blob::from(check_name(call.args[2])?);
    Ok(Value::OK)
}

fn setinfo(call: &mut Call<'_>) -> Answer {
    let (option, text) = (call.args.word(2), call.args[3]);
    let text = check_name(text).map_err(|_| {
        Error::new(format!(
            "ERR {} cannot contain spaces, newlines or special characters.",
            option.to_ascii_lowercase()
        ))
    })?;
    match option.as_str() {
        "LIB-NAME" => call.session.library = Blob::from(text),
        "LIB-VER" => call.session.library_version = Blob::from(text),
        _ => return Err(Error::new(format!("ERR Unrecognized option '{}'", option.to_ascii_lowercase()))),
    }
    Ok(Value::OK)
}

fn no_evict(call: &mut Call<'_>) -> Answer {
    let is_on = call.args.is(2, "ON");
    if !is_on && !call.args.is(2, "OFF") {
        return Err(Error::SYNTAX);
    }
    call.session.is_kept = is_on;
    Ok(Value::OK)
}

/// The kind of client that CLIENT LIST and KILL filter by; replicas and masters do not exist here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    PubSub,
    Other,
}

impl Kind {
    fn parse(args: Args<'_>, index: usize) -> Result<Self> {
        match args.word(index).as_str() {
            "NORMAL" => Ok(Self::Normal),
            "PUBSUB" => Ok(Self::PubSub),
            "MASTER" | "REPLICA" | "SLAVE" => Ok(Self::Other),
            _ => {
                let shown = String::from_utf8_lossy(args[index]);
                Err(Error::new(format!("ERR Unknown client type '{shown}'")))
            }
        }
    }

    fn of(session: &Session) -> Self {
        if session.is_subscribed() { Self::PubSub } else { Self::Normal }
    }
}

/// Every session, the calling one included, in the order in which they were opened.
fn sessions<'s>(call: &'s Call<'_>) -> Vec<&'s Session> {
    let others = call.state.sessions.values().filter_map(|session| session.as_deref());
    let others = others.filter(|session| session.is_client());
    let mut all: Vec<&Session> = others.chain([&*call.session]).collect();
    all.sort_by_key(|session| session.id);
    all
}

fn info(call: &mut Call<'_>) -> Answer {
    Ok(Value::Verbatim("txt", line(call, call.session)))
}

fn list(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let is_shown: Box<dyn Fn(&Session) -> bool> = match args.word(2).as_str() {
        "" if args.len() == 2 => Box::new(|_| true),
        "TYPE" if args.len() == 4 => {
            let kind = Kind::parse(args, 3)?;
            Box::new(move |session| Kind::of(session) == kind)
        }
        "ID" if args.len() > 3 => {
            let ids = (3..args.len()).map(|index| args.integer(index));
            let ids: Vec<i64> =
                ids.collect::<Result<_>>().map_err(|_| Error::new("ERR Invalid client ID"))?;
            Box::new(move |session| ids.contains(&(session.id.0 as i64)))
        }
        _ => return Err(Error::SYNTAX),
    };
    let shown = sessions(call).into_iter().filter(|session| is_shown(session));
    Ok(Value::Verbatim("txt", shown.map(|session| line(call, session)).collect()))
}

/// What CLIENT LIST shows of a session, in Redis's fields. Of the buffers there are the request in hand, what is queued
/// since MULTI, and what was sent and is not taken.
fn line(call: &Call<'_>, session: &Session) -> String {
    let seconds_since = |moment: crate::time::Time| call.now.seconds().saturating_sub(moment.seconds());
    let mut flags = String::new();
    for (is_set, flag) in [
        (session.is_monitor, 'O'),
        (session.is_subscribed(), 'P'),
        (session.transaction.is_some(), 'x'),
        (call.state.waits.get(session.id).is_some(), 'b'),
        (session.is_watch_broken, 'd'),
        (session.is_unix(), 'U'),
        (session.is_kept, 'e'),
    ] {
        if is_set {
            flags.push(flag);
        }
    }
    if flags.is_empty() {
        flags.push('N');
    }
    // Only the caller has a request in hand.
    let is_caller = session.id == call.session.id;
    let request = if is_caller { encoded_len(call.args.0) } else { 0 };
    let words: usize = if is_caller { call.args.0.iter().map(|arg| arg.len()).sum() } else { 0 };
    let queue = session.transaction.iter().flat_map(|transaction| &transaction.queue);
    let queued: usize = queue.flatten().map(|arg| size_of::<Blob>() + arg.heap_bytes()).sum();
    let multi = session.transaction.as_ref().map_or(-1, |transaction| transaction.queue.len() as i64);
    [
        ("id", session.id.0.to_string()),
        ("addr", session.address.clone()),
        ("laddr", session.local_address.clone()),
        ("fd", session.descriptor.unwrap_or(-1).to_string()),
        ("name", session.name.escape_ascii().to_string()),
        ("age", seconds_since(session.opened).to_string()),
        ("idle", seconds_since(session.last_used).to_string()),
        ("flags", flags),
        ("db", session.db.to_string()),
        ("sub", session.subscriptions(Subscription::Channel).len().to_string()),
        ("psub", session.subscriptions(Subscription::Pattern).len().to_string()),
        ("ssub", session.subscriptions(Subscription::Shard).len().to_string()),
        ("multi", multi.to_string()),
        ("qbuf", request.to_string()),
        ("qbuf-free", "0".into()),
        ("argv-mem", words.to_string()),
        ("multi-mem", queued.to_string()),
        ("rbs", "0".into()),
        ("rbp", "0".into()),
        ("obl", "0".into()),
        ("oll", u8::from(session.unread > 0).to_string()),
        ("omem", session.unread.to_string()),
        ("tot-mem", (size_of::<Session>() + request + words + queued + session.unread).to_string()),
        ("events", "r".into()),
        ("cmd", session.last_command.map_or("NULL", |command| command.name).into()),
        ("user", session.user.escape_ascii().to_string()),
        ("redir", "-1".into()),
        ("resp", if session.protocol == Protocol::Resp3 { "3" } else { "2" }.into()),
        ("lib-name", session.library.escape_ascii().to_string()),
        ("lib-ver", session.library_version.escape_ascii().to_string()),
    ]
    .map(|(name, value)| format!("{name}={value}"))
    .join(" ")
        + "\n"
}

/// The bytes of a request on the wire.
fn encoded_len(args: &[&[u8]]) -> usize {
    let mut bytes = Vec::new();
    encode_command(args, &mut bytes);
    bytes.len()
}

/// Which sessions CLIENT KILL closes.
struct Filter<'a> {
    id: Option<SessionId>,
    address: Option<&'a [u8]>,
    local_address: Option<&'a [u8]>,
    kind: Option<Kind>,
    user: Option<&'a [u8]>,
    skips_caller: bool,
}

impl<'a> Filter<'a> {
    fn parse(args: Args<'a>, users: &Users) -> Result<Self> {
        let mut filter =
            Self { id: None, address: None, local_address: None, kind: None, user: None, skips_caller: true };
        let mut at = 2;
        while at < args.len() {
            let value = args.expect(at + 1)?;
            match args.word(at).as_str() {
                "ID" => {
                    let id = args.integer(at + 1).ok().and_then(|id| u64::try_from(id).ok());
                    let id = id.filter(|id| *id > 0);
                    filter.id = Some(SessionId(
                        id.ok_or_else(|| Error::new("ERR client-id should be greater than 0"))?,
                    ));
                }
                "ADDR" => filter.address = Some(value),
                "LADDR" => filter.local_address = Some(value),
                "TYPE" => filter.kind = Some(Kind::parse(args, at + 1)?),
                "USER" if users.get(value).is_some() => filter.user = Some(value),
                "USER" => {
                    let shown = String::from_utf8_lossy(value);
                    return Err(Error::new(format!("ERR No such user '{shown}'")));
                }
                "SKIPME" if args.is(at + 1, "YES") => filter.skips_caller = true,
                "SKIPME" if args.is(at + 1, "NO") => filter.skips_caller = false,
                _ => return Err(Error::SYNTAX),
            }
            at += 2;
        }
        Ok(filter)
    }

    fn selects(&self, session: &Session, caller: SessionId) -> bool {
        self.id.is_none_or(|id| session.id == id)
            && self.address.is_none_or(|address| session.address.as_bytes() == address)
            && self.local_address.is_none_or(|address| session.local_address.as_bytes() == address)
            && self.kind.is_none_or(|kind| Kind::of(session) == kind)
            && self.user.is_none_or(|user| *session.user == *user)
            && !(self.skips_caller && session.id == caller)
    }
}

fn kill(call: &mut Call<'_>) -> Answer {
    let is_old_form = call.args.len() == 3;
    let filter = if is_old_form {
        let address = Some(call.args[2]);
        Filter { id: None, address, local_address: None, kind: None, user: None, skips_caller: false }
    } else {
        Filter::parse(call.args, &call.state.users)?
    };
    let caller = call.session.id;
    let selected = sessions(call).into_iter().filter(|session| filter.selects(session, caller));
    let selected: Vec<SessionId> = selected.map(|session| session.id).collect();
    selected.iter().for_each(|id| call.close(*id));
    match (is_old_form, selected.is_empty()) {
        (true, true) => Err(Error::new("ERR No such client")),
        (true, false) => Ok(Value::OK),
        (false, _) => Ok(Value::from(selected.len())),
    }
}

fn pause(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let is_for_all = match args.word(3).as_str() {
        "" | "ALL" if args.len() <= 4 => true,
        "WRITE" if args.len() == 4 => false,
        _ => return Err(Error::new("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let millis = args.integer(2).map_err(|_| Error::new("ERR timeout is not an integer or out of range"))?;
    let millis = u64::try_from(millis).map_err(|_| Error::TIMEOUT_NEGATIVE)?;
    let until_ms = call.now.millis().saturating_add(millis);
    call.state.pause.start(call.now, until_ms, is_for_all);
    Ok(Value::OK)
}

fn unpause(call: &mut Call<'_>) -> Answer {
    call.state.pause.stop();
    Ok(Value::OK)
}

fn reply(_: &mut Engine, session: &mut Session, args: Args<'_>, _: Time) -> Option<Value> {
    match args.word(2).as_str() {
        "ON" => {
            session.silence = Silence::None;
            return Some(Value::OK);
        }
        "OFF" => session.silence = Silence::All,
        // While nothing is answered, there is nothing to skip.
        "SKIP" => session.skips_next |= session.silence != Silence::All,
        _ => return Some(Error::SYNTAX.into()),
    }
    None
}

fn getredir(_: &mut Call<'_>) -> Answer {
    Ok(Value::Integer(-1))
}

fn trackinginfo(_: &mut Call<'_>) -> Answer {
    let fact = |name: &str, value: Value| (Value::from(name), value);
    Ok(Value::Map(vec![
        fact("flags", Value::Set(vec![Value::from("off")])),
        fact("redirect", Value::Integer(-1)),
        fact("prefixes", Value::Array(Vec::new())),
    ]))
}

fn unblock(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    if args.len() > 4 {
        return Err(Error::subcommand_arguments("client", args[1]));
    }
    let is_error = args.is(3, "ERROR");
    if args.len() == 4 && !is_error && !args.is(3, "TIMEOUT") {
        return Err(Error::new("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
    }
    let Ok(id) = u64::try_from(args.integer(2)?).map(SessionId) else { return Ok(Value::from(false)) };
    let Some(wait) = call.state.waits.remove(id) else { return Ok(Value::from(false)) };
    let reply = if is_error {
        Error::new("UNBLOCKED client unblocked via CLIENT UNBLOCK").into()
    } else {
        wait.timeout_reply
    };
    call.state.deliver(id, Message::Reply(reply));
    Ok(Value::from(true))
}
