//! HELLO and AUTH.

use windlass_resp::{Protocol, Value};

use super::client::check_name;
use crate::acl::DEFAULT;
use crate::blob::Blob;
use crate::command::Answer;
use crate::command::server::REDIS_VERSION;
use crate::error::{Error, Result};
use crate::state::Call;

pub fn auth(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    match args.len() {
        2 if call.state.users.get(DEFAULT).is_some_and(|user| user.needs_no_password) => Err(Error::new(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        )),
        2 => authenticate(call, DEFAULT, args[1]).map(|()| Value::OK),
        3 => authenticate(call, args[1], args[2]).map(|()| Value::OK),
        _ => Err(Error::SYNTAX),
    }
}

fn authenticate(call: &mut Call<'_>, user: &[u8], password: &[u8]) -> Result<()> {
    if !call.state.users.get(user).is_some_and(|user| user.accepts(password)) {
        return Err(Error::WRONG_PASS);
    }
    call.session.is_authenticated = true;
    call.session.user = Blob::from(user);
    Ok(())
}

pub fn hello(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let protocol = match args.get(1) {
        None => call.session.protocol,
        Some(_) => match args.integer(1) {
            Ok(2) => Protocol::Resp2,
            Ok(3) => Protocol::Resp3,
            Ok(_) => return Err(Error::new("NOPROTO unsupported protocol version")),
            Err(_) => return Err(Error::new("ERR Protocol version is not an integer or out of range")),
        },
    };
    let (mut credentials, mut name) = (None, None);
    let mut at = 2;
    while at < args.len() {
        match args.word(at).as_str() {
            "AUTH" if at + 2 < args.len() => {
                credentials = Some((args[at + 1], args[at + 2]));
                at += 3;
            }
            "SETNAME" if at + 1 < args.len() => {
                name = Some(check_name(args[at + 1])?);
                at += 2;
            }
            _ => {
                let shown = String::from_utf8_lossy(args[at]);
                return Err(Error::new(format!("ERR Syntax error in HELLO option '{shown}'")));
            }
        }
    }
    if let Some((user, password)) = credentials {
        authenticate(call, user, password)?;
    }
    if !call.session.is_authenticated {
        return Err(Error::new(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH \
             <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the \
             same time",
        ));
    }
    if let Some(name) = name {
        call.session.name = Blob::from(name);
    }
    call.session.protocol = protocol;
    let version = if protocol == Protocol::Resp3 { 3 } else { 2 };
    let fact = |name: &str, value: Value| (Value::from(name), value);
    Ok(Value::Map(vec![
        fact("server", Value::from("redis")),
        fact("version", Value::from(REDIS_VERSION)),
        fact("proto", Value::Integer(version)),
        fact("id", Value::Integer(call.session.id.0 as i64)),
        fact("mode", Value::from("standalone")),
        fact("role", Value::from("master")),
        fact("modules", Value::Array(Vec::new())),
    ]))
}
