//! What is sent to a server at one time, and what a server's refusal says.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisError, RedisResult, Value};

/// What is sent at one time.
pub enum Request<'a> {
    /// A command.
    One(&'a Cmd),
    /// Commands, and which of their replies are wanted.
    Many { pipeline: &'a Pipeline, offset: usize, count: usize },
}

impl Request<'_> {
    /// True when it was not written whole if no more than so many bytes were written since: no server runs anything of a
    /// command that has not come whole.
    pub fn is_unsent(&self, written: u64) -> bool {
        match self {
            Self::One(cmd) => written < cmd.get_packed_command().len() as u64,
            Self::Many { .. } => written == 0,
        }
    }

    pub async fn send(&self, mut connection: MultiplexedConnection) -> RedisResult<Value> {
        match self {
            Self::One(cmd) => connection.send_packed_command(cmd).await,
            Self::Many { pipeline, offset, count } => {
                connection.send_packed_commands(pipeline, *offset, *count).await.map(Value::Array)
            }
        }
    }
}

/// True when the server says that it is a replica, or has become one while the call was blocked; the call has not run.
pub fn tells_of_demotion(outcome: &RedisResult<Value>) -> bool {
    match refusal(outcome) {
        Some(("READONLY", _)) => true,
        Some(("UNBLOCKED", why)) => why.contains("instance state changed"),
        _ => false,
    }
}

/// The code and the rest of an error that the server answered; of those of a pipeline the first.
pub fn refusal(outcome: &RedisResult<Value>) -> Option<(&str, &str)> {
    match outcome {
        Err(error) => Some((error.code()?, error.detail().unwrap_or_default())),
        Ok(Value::ServerError(error)) => Some((error.code(), error.details().unwrap_or_default())),
        Ok(Value::Array(replies)) => replies.iter().find_map(|reply| match reply {
            Value::ServerError(error) => Some((error.code(), error.details().unwrap_or_default())),
            _ => None,
        }),
        Ok(_) => None,
    }
}

/// True when who answers does not let this client in.
pub fn is_about_password(error: &RedisError) -> bool {
    let text = error.to_string();
    error.kind() == redis::ErrorKind::AuthenticationFailed
        || ["NOAUTH", "WRONGPASS", "NOPERM"].iter().any(|code| text.contains(code))
}
