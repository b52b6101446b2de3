//! What the model holds: maps of the standard library, and a time of its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use windlass_resp::Value;

use crate::watch::{Verdict, Watch};
use crate::{hash, key, list, set, string, zset};

/// When every sequence begins, in milliseconds.
pub const START_MS: u64 = 1_800_000_000_000;

/// A reply, or the error that a command ends with.
pub type Reply = Result<Value, Value>;

/// A value of any type.
#[derive(Clone, PartialEq)]
pub enum Data {
    String(String),
    Hash(BTreeMap<String, String>),
    List(VecDeque<String>),
    Set(BTreeSet<String>),
    Zset(BTreeMap<String, f64>),
}

/// A key's value, and the first millisecond in which it is gone: Redis keeps a key through that one as well, which
/// nobody can see whose clock goes on.
#[derive(Clone, PartialEq)]
pub struct Entry {
    pub data: Data,
    pub expires: Option<u64>,
}

/// The model: one database, one session.
pub struct Model {
    pub keys: BTreeMap<String, Entry>,
    pub now_ms: u64,
    queue: Option<Vec<Vec<String>>>,
    is_broken: bool,
    watch: Watch,
}

/// Makes what reads and makes values of one type.
macro_rules! typed {
    ($($get:ident $get_or_new:ident $variant:ident $type:ty;)+) => {
        $(
            pub fn $get(&mut self, key: &str) -> Result<Option<&mut $type>, Value> {
                match self.keys.get_mut(key).map(|entry| &mut entry.data) {
                    None => Ok(None),
                    Some(Data::$variant(value)) => Ok(Some(value)),
                    Some(_) => Err(wrong_type()),
                }
            }

            pub fn $get_or_new(&mut self, key: &str) -> Result<&mut $type, Value> {
                let new = || Entry { data: Data::$variant(Default::default()), expires: None };
                match &mut self.keys.entry(key.to_owned()).or_insert_with(new).data {
                    Data::$variant(value) => Ok(value),
                    _ => Err(wrong_type()),
                }
            }
        )+
    };
}

impl Model {
    pub fn new() -> Self {
        Self {
            keys: BTreeMap::new(),
            now_ms: START_MS,
            queue: None,
            is_broken: false,
            watch: Watch::default(),
        }
    }

    /// The names of the commands that wait for EXEC.
    pub fn queued_names(&self) -> Vec<String> {
        self.queue.iter().flatten().map(|command| command[0].clone()).collect()
    }

    /// Runs a command of a client. `got_nothing` says that the subject's answer was nil, for where Redis leaves the
    /// model no rule.
    pub fn run(&mut self, command: &[&str], got_nothing: bool) -> Value {
        self.pass();
        match (command[0], &mut self.queue) {
            ("MULTI", Some(_)) => error("ERR MULTI calls can not be nested"),
            ("MULTI", None) => {
                self.queue = Some(Vec::new());
                Value::OK
            }
            ("EXEC" | "DISCARD", None) => error(format!("ERR {} without MULTI", command[0])),
            ("DISCARD", Some(_)) => {
                self.queue = None;
                self.is_broken = false;
                self.watch.end();
                Value::OK
            }
            ("EXEC", queue) => {
                let queue = queue.take().unwrap_or_default();
                self.exec(&queue, got_nothing)
            }
            ("WATCH", Some(_)) => error("ERR WATCH inside MULTI is not allowed"),
            ("WATCH", None) => {
                for key in &command[1..] {
                    self.watch.add(key, self.keys.get(*key));
                }
                Value::OK
            }
            ("UNWATCH", None) => {
                self.watch.end();
                Value::OK
            }
            // The one command of the table that is not even well formed.
            ("GET", queue) if command.len() == 1 => {
                self.is_broken = queue.is_some();
                error("ERR wrong number of arguments for 'get' command")
            }
            (_, Some(queue)) => {
                queue.push(command.iter().map(ToString::to_string).collect());
                Value::QUEUED
            }
            (_, None) => self.apply(command),
        }
    }

    fn exec(&mut self, queue: &[Vec<String>], got_nothing: bool) -> Value {
        let verdict = self.watch.end();
        if std::mem::take(&mut self.is_broken) {
            return error("EXECABORT Transaction discarded because of previous errors.");
        }
        if verdict == Verdict::Fails || (verdict == Verdict::Either && got_nothing) {
            return Value::Nil;
        }
        let run = |command: &Vec<String>| {
            let command: Vec<&str> = command.iter().map(String::as_str).collect();
            self.apply(&command)
        };
        Value::Array(queue.iter().map(run).collect())
    }

    /// Removes the keys whose time is over.
    fn pass(&mut self) {
        let now = self.now_ms;
        self.keys.retain(|_, entry| entry.expires.is_none_or(|at| now < at));
        self.watch.look(&[], &self.keys);
    }

    fn apply(&mut self, command: &[&str]) -> Value {
        if command[0] == "UNWATCH" {
            return Value::OK;
        }
        self.pass();
        let (name, args) = (command[0], &command[1..]);
        let families = [key::run, string::run, hash::run, list::run, set::run, zset::run];
        let reply = families.iter().find_map(|family| family(self, name, args));
        self.keys.retain(|_, entry| !entry.data.is_empty());
        self.watch.look(command, &self.keys);
        match reply.unwrap_or_else(|| panic!("the model knows no {name}")) {
            Ok(reply) | Err(reply) => reply,
        }
    }

    /// Gives a key a new value, which never expires.
    pub fn put(&mut self, key: &str, data: Data) {
        self.keys.insert(key.to_owned(), Entry { data, expires: None });
    }

    typed! {
        string string_or_new String String;
        hash hash_or_new Hash BTreeMap<String, String>;
        list list_or_new List VecDeque<String>;
        set set_or_new Set BTreeSet<String>;
        zset zset_or_new Zset BTreeMap<String, f64>;
    }
}

impl Data {
    /// Whether nothing is left, so that the key goes.
    fn is_empty(&self) -> bool {
        match self {
            Self::String(_) => false,
            Self::Hash(fields) => fields.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Set(members) => members.is_empty(),
            Self::Zset(scores) => scores.is_empty(),
        }
    }
}

pub fn error(text: impl Into<String>) -> Value {
    Value::Error(text.into().into())
}

fn wrong_type() -> Value {
    error("WRONGTYPE Operation against a key holding the wrong kind of value")
}

pub fn int(number: impl TryInto<i64>) -> Value {
    Value::Integer(number.try_into().ok().expect("the model's numbers are small"))
}

pub fn bulk(text: impl AsRef<str>) -> Value {
    Value::bulk(text.as_ref())
}

/// The text, or nothing.
pub fn maybe(text: Option<impl AsRef<str>>) -> Value {
    text.map_or(Value::Nil, bulk)
}

pub fn bulks<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Value {
    Value::Array(texts.into_iter().map(bulk).collect())
}

/// An integer as Redis reads one.
pub fn number(text: &str, otherwise: &str) -> Result<i64, Value> {
    let number = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
    number.ok_or_else(|| error(otherwise))
}

pub const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";

/// An integer of the table, which has no others where this is used.
pub fn parsed(text: &str) -> i64 {
    text.parse().expect("the table has numbers")
}

/// Turns a range that may count from the end into places from the start, with the end left out.
pub fn range(start: &str, end: &str, len: usize) -> std::ops::Range<usize> {
    let len = len as i64;
    let place = |at: i64| if at < 0 { at + len } else { at };
    let (start, end) = (place(parsed(start)).max(0), place(parsed(end)).min(len - 1));
    if start > end { 0..0 } else { start as usize..end as usize + 1 }
}
