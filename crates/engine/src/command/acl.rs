//! ACL: the users.

use windlass_resp::Value;

use super::{Answer, Command, Group, Keys, category};
use crate::acl::{DEFAULT, Denial, User, hex, sha256};
use crate::args::Args;
use crate::blob::Blob;
use crate::error::{Error, Result};
use crate::session::SessionId;
use crate::state::Call;

/// How many bits ACL GENPASS gives when it is not told, and at most.
const PASSWORD_BITS: i64 = 256;
const PASSWORD_BITS_MAX: i64 = 4096;
const BITS_PER_DIGIT: usize = 4;

pub const COMMANDS: &[Command] = &[GROUP.container("acl", "Manage the users", SUBCOMMANDS)];

/// What makes the rows of this family.
const GROUP: Group = Group("server");

const NONE: Keys = Keys::None;

const SUBCOMMANDS: &[Command] = &[
    GROUP.sub(
        "acl|cat",
        -2,
        flags![NO_SCRIPT, LOADING, STALE],
        NONE,
        "[<category>]",
        "The categories, or the commands of one.",
        cat,
    ),
    GROUP.sub(
        "acl|deluser",
        -3,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE],
        NONE,
        "<name> [<name> ...]",
        "Remove users, and close their connections.",
        deluser,
    ),
    GROUP.sub(
        "acl|dryrun",
        -4,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE],
        NONE,
        "<name> <command> [<arg> ...]",
        "Whether a user might run a command.",
        dryrun,
    ),
    GROUP.sub(
        "acl|genpass",
        -2,
        flags![NO_SCRIPT, LOADING, STALE],
        NONE,
        "[<bits>]",
        "A password that nobody guesses.",
        genpass,
    ),
    GROUP.sub(
        "acl|getuser",
        3,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE],
        NONE,
        "<name>",
        "What a user may do.",
        getuser,
    ),
    GROUP.help("acl|help"),
    GROUP.sub(
        "acl|list",
        2,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE],
        NONE,
        "",
        "The users, in rules.",
        list,
    ),
    GROUP.sub(
        "acl|setuser",
        -3,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE],
        NONE,
        "<name> [<rule> ...]",
        "Make a user, or change what it may do.",
        setuser,
    ),
    GROUP.sub(
        "acl|users",
        2,
        flags![ADMIN, NO_SCRIPT, LOADING, STALE],
        NONE,
        "",
        "The names of users.",
        users,
    ),
    GROUP.sub("acl|whoami", 2, flags![NO_SCRIPT, LOADING, STALE], NONE, "", "Who the connection is.", whoami),
];

impl From<Denial> for Error {
    fn from(denial: Denial) -> Self {
        let what = match denial {
            Denial::Command => return Self::new("NOPERM this user has no permissions to run the command"),
            Denial::Key(_) => "keys",
            Denial::Channel(_) => "channels",
        };
        Self::new(format!(
            "NOPERM this user has no permissions to access one of the {what} used as arguments"
        ))
    }
}

/// The error for a session that may not run a command.
pub fn denied(denial: &Denial, command: &Command) -> Error {
    let what = match denial {
        Denial::Command => format!("run the '{}' command", command.name),
        Denial::Key(_) => "access one of the keys used as arguments".into(),
        Denial::Channel(_) => "access one of the channels used as arguments".into(),
    };
    Error::new(format!("NOPERM this user has no permissions to {what}"))
}

/// The error for a command in a script whose caller may not run it.
pub fn denied_in_script(denial: &Denial) -> Error {
    Error::new(match denial {
        Denial::Command => "ERR The user executing the script can't run this command or subcommand",
        Denial::Key(_) => {
            "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments"
        }
        Denial::Channel(_) => {
            "ERR The user executing the script can't publish to the channel mentioned in the command"
        }
    })
}

/// The error for a command of an embedder's that came to what its caller may not use.
pub fn denied_in_own(denial: &Denial, command: &Command) -> Error {
    let what = match denial {
        Denial::Command => "run the command",
        Denial::Key(_) => "access one of the keys used by the command",
        Denial::Channel(_) => "access one of the channels used by the command",
    };
    Error::new(format!("NOPERM this user has no permissions to {what} '{}'", command.name))
}

/// The error for a command of a transaction that was allowed when it was queued.
pub fn denied_in_exec(denial: &Denial) -> Error {
    let reason = match denial {
        Denial::Command => "no permission to execute the command or subcommand",
        Denial::Key(_) => "no permission to touch the specified keys",
        Denial::Channel(_) => "no permission to access one of the channels used as arguments to the command",
    };
    Error::new(format!(
        "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command \
         is no longer allowed for the following reason: {reason}"
    ))
}

fn whoami(call: &mut Call<'_>) -> Answer {
    Ok(Value::bulk(&call.session.user))
}

fn users(call: &mut Call<'_>) -> Answer {
    Ok(Value::Array(call.state.users.iter().map(|(name, _)| Value::bulk(name)).collect()))
}

fn list(call: &mut Call<'_>) -> Answer {
    let line = |(name, user): (&Blob, &User)| {
        Value::bulk([b"user ", &**name, b" ", user.description().as_bytes()].concat())
    };
    Ok(Value::Array(call.state.users.iter().map(line).collect()))
}

fn getuser(call: &mut Call<'_>) -> Answer {
    let Some(user) = call.state.users.get(call.args[2]) else { return Ok(Value::Nil) };
    let fact = |name: &str, value: Value| (Value::from(name), value);
    let passwords = user.password_hashes().map(|hash| Value::from(hash.as_str()));
    Ok(Value::Map(vec![
        fact("flags", Value::Set(user.flags().into_iter().map(Value::from).collect())),
        fact("passwords", Value::Array(passwords.collect())),
        fact("commands", Value::bulk(user.commands_text())),
        fact("keys", Value::bulk(user.keys_text())),
        fact("channels", Value::bulk(user.channels_text())),
        fact("selectors", Value::Array(Vec::new())),
    ]))
}

fn setuser(call: &mut Call<'_>) -> Answer {
    let name = call.args[2];
    if name.iter().any(|byte| byte.is_ascii_whitespace() || *byte == 0) {
        return Err(Error::new("ERR Usernames can't contain spaces or null characters"));
    }
    let mut user = call.state.users.get(name).cloned().unwrap_or_default();
    for word in call.args.from(3) {
        user.apply(word, &call.state.commands).map_err(|reason| {
            let word = String::from_utf8_lossy(word);
            Error::new(format!("ERR Error in ACL SETUSER modifier '{word}': {reason}"))
        })?;
    }
    call.state.users.put(name, user);
    Ok(Value::OK)
}

fn deluser(call: &mut Call<'_>) -> Answer {
    let names = call.args.from(2);
    if names.contains(&DEFAULT) {
        return Err(Error::new("ERR The 'default' user cannot be removed"));
    }
    let mut removed = 0_usize;
    for name in names {
        if !call.state.users.remove(name) {
            continue;
        }
        removed += 1;
        let others = call.state.sessions.values().filter_map(Option::as_deref);
        let sessions = others.chain([&*call.session]).filter(|session| *session.user == **name);
        let sessions: Vec<SessionId> = sessions.map(|session| session.id).collect();
        sessions.into_iter().for_each(|id| call.close(id));
    }
    Ok(Value::from(removed))
}

fn dryrun(call: &mut Call<'_>) -> Answer {
    let (name, args) = (call.args[2], Args(call.args.from(3)));
    let shown = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    let Some(user) = call.state.users.get(name) else {
        return Err(Error::new(format!("ERR User '{}' not found", shown(name))));
    };
    let command = call.state.commands.find(args[0]).and_then(|command| command.descend(args).ok());
    let command = command.ok_or_else(|| Error::new(format!("ERR Command '{}' not found", shown(args[0]))))?;
    if !command.accepts(args.len()) {
        return Err(Error::arity(command.name));
    }
    let what = match user.denial(command, args) {
        None => return Ok(Value::OK),
        Some(Denial::Command) => format!("run the '{}' command", command.name),
        Some(Denial::Key(key)) => format!("access the '{}' key", shown(&key)),
        Some(Denial::Channel(channel)) => format!("access the '{}' channel", shown(&channel)),
    };
    Ok(Value::bulk(format!("This user has no permissions to {what}")))
}

fn cat(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let Some(given) = args.get(2) else {
        return Ok(Value::Array(category::CATEGORIES.into_iter().map(Value::from).collect()));
    };
    if args.len() > 3 {
        return Err(Error::subcommand_arguments("acl", args[1]));
    }
    let known = category::CATEGORIES.into_iter().find(|known| given.eq_ignore_ascii_case(known.as_bytes()));
    let known = known
        .ok_or_else(|| Error::new(format!("ERR Unknown category '{}'", String::from_utf8_lossy(given))))?;
    let all = call.state.commands.all().flat_map(|command| [command].into_iter().chain(command.subcommands));
    let found =
        all.filter(|command| category::is_in(command, known)).map(|command| Value::from(command.name));
    Ok(Value::Array(found.collect()))
}

fn genpass(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let bits = if args.len() > 2 { args.integer(2)? } else { PASSWORD_BITS };
    if args.len() > 3 || !(1..=PASSWORD_BITS_MAX).contains(&bits) {
        return Err(Error::new(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
        ));
    }
    let digits = usize::try_from(bits).map_or(0, |bits| bits.div_ceil(BITS_PER_DIGIT));
    let mut text = String::new();
    let entropy = entropy(call)?;
    for block in 0_u8.. {
        text += &hex(&sha256(&[&entropy[..], &[block]].concat()));
        if text.len() >= digits {
            break;
        }
    }
    text.truncate(digits);
    Ok(Value::bulk(text))
}

/// Random bytes, which only the owner of the engine has. They are used once.
fn entropy(call: &mut Call<'_>) -> Result<[u8; 32]> {
    let entropy = call.state.entropy.take();
    entropy.ok_or_else(|| Error::new("ERR there is no source of random bytes for a password"))
}
