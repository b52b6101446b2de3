//! Calls of several writers at once, and the judgement of what an opening finds of them.

use windlass_resp::Value;

use super::ledger::{send, send_line, text};
use crate::database::Database;
use crate::progress::Position;
use crate::session::Session;

/// The list of all calls, in the order in which they ran.
const ORDER: &str = "order";

/// Writers that call at once. Each call is a transaction that adds its number to the list of its writer, and to the one of
/// all: so what an opening finds tells which calls are there, and that each is whole.
#[derive(Debug)]
pub struct Crowd {
    writers: usize,
}

impl Crowd {
    /// So many writers, of which none has called yet.
    pub fn new(writers: usize) -> Self {
        Self { writers }
    }

    /// Makes a call of a writer, which counts its own calls from 1 on; answers where the log has to be for it to be safe.
    pub fn call(&self, session: &Session, writer: usize, number: usize) -> Position {
        let own = format!("RPUSH {} {number}", Self::list(writer));
        let lines = ["MULTI", &own, &format!("RPUSH {ORDER} {writer}/{number}"), "EXEC"];
        let (refusal, position) = send(session, &lines.map(str::to_owned));
        assert_eq!(refusal, None, "nothing refuses a call here");
        position
    }

    /// The calls in the order in which they ran.
    pub fn order(&self, database: &Database) -> Vec<String> {
        items(database, ORDER)
    }

    /// Holds that the data of `database` is what it was after some of the calls that `ran`, and that so many of each
    /// writer, which were `acknowledged`, are among them.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn judge(&self, database: &Database, ran: &[String], acknowledged: &[usize]) -> Result<(), String> {
        let found = self.order(database);
        if !ran.starts_with(&found) {
            return Err(format!("the {} calls that are there are not the first that ran", found.len()));
        }
        assert_eq!(acknowledged.len(), self.writers, "a figure for each writer");
        for (writer, least) in acknowledged.iter().enumerate() {
            let own = items(database, &Self::list(writer));
            let start = format!("{writer}/");
            if !own.iter().eq(found.iter().filter_map(|call| call.strip_prefix(start.as_str()))) {
                return Err(format!("a call of writer {writer} is not whole"));
            }
            if own.len() < *least {
                return Err(format!(
                    "{least} calls of writer {writer} were acknowledged and {} are there",
                    own.len()
                ));
            }
        }
        Ok(())
    }

    fn list(writer: usize) -> String {
        format!("writer:{writer}")
    }
}

fn items(database: &Database, list: &str) -> Vec<String> {
    match send_line(&database.session("judge"), &format!("LRANGE {list} 0 -1")).0 {
        Value::Array(items) => items.iter().map(text).collect(),
        other => unreachable!("LRANGE answers an array and not {other:?}"),
    }
}
