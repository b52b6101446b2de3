//! Looks at every key of a store by commands, so that two stores can be compared.

use std::collections::{BTreeMap, BTreeSet};

use windlass_db::{Called, Session};
use windlass_resp::{Value, format_double};
use windlass_test::fixture::notation;

/// Two contents that are compared have more keys than this: nothing must not equal nothing.
const KEYS_MIN: usize = 5;

/// What executes commands.
pub trait Store {
    /// The reply, as RESP2 has it.
    fn call(&mut self, args: &[&[u8]]) -> Value;
}

impl Store for redis::Connection {
    fn call(&mut self, args: &[&[u8]]) -> Value {
        let mut command = redis::Cmd::new();
        for arg in args {
            command.arg(arg);
        }
        match command.query(self) {
            Ok(value) => from_redis(value),
            Err(error) => Value::Error(error.to_string().into()),
        }
    }
}

impl Store for Session {
    fn call(&mut self, args: &[&[u8]]) -> Value {
        match Session::call(self, args) {
            Called::Reply(reply, position) => {
                self.database().wait_durable(position).expect("the disk is sound");
                reply
            }
            other => panic!("{} was answered with {other:?}", args[0].escape_ascii()),
        }
    }
}

/// A key's database and name.
type Place = (usize, Vec<u8>);

/// Every key with something that is known of it, as text.
pub type Content = BTreeMap<Place, String>;

/// Names of what a store tells of its inside, or by its clock.
const VAGUE: &[&str] = &["radix-tree-keys", "radix-tree-nodes"];
/// When a consumer was last seen is not in the records of a log, but is in a snapshot.
const SEEN: &str = "seen-time";

/// The bytes of a text; none for another value.
pub fn text(value: &Value) -> Option<&[u8]> {
    match value {
        Value::Bulk(bytes) => Some(bytes),
        Value::Simple(text) => Some(text.as_bytes()),
        _ => None,
    }
}

/// Everything in a store: type, end and value of each key. `with_seen` is whether it matters when consumers were last seen.
pub fn content(store: &mut impl Store, with_seen: bool) -> Content {
    let mut content = Content::new();
    each_key(store, |store, db, key| {
        content.insert((db, key.to_vec()), describe(store, key, with_seen));
    });
    content
}

/// The encoding of every key.
pub fn encodings(store: &mut impl Store) -> Content {
    let mut encodings = Content::new();
    each_key(store, |store, db, key| {
        let encoding = store.call(&[b"OBJECT", b"ENCODING", key]);
        encodings.insert((db, key.to_vec()), notation::render(&encoding));
    });
    encodings
}

/// Holds two contents equal, and names a key that is not, from where on it is not.
pub fn assert_same(found: &Content, expected: &Content, when: &str) {
    const SHOWN_MAX: usize = 300;
    let keys: BTreeSet<&Place> = found.keys().chain(expected.keys()).collect();
    assert!(keys.len() > KEYS_MIN, "{when}: there are only {} keys", keys.len());
    let different = || keys.iter().filter(|key| found.get(**key) != expected.get(**key));
    let Some(place) = different().next() else { return };
    let (found, expected) = (found.get(*place), expected.get(*place));
    let [found, expected] = [found, expected].map(|text| text.map_or("nothing", String::as_str));
    let same = found.bytes().zip(expected.bytes()).take_while(|(a, b)| a == b).count();
    let rest = |text: &str| {
        let bytes = &text.as_bytes()[same.saturating_sub(SHOWN_MAX / 3)..];
        String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_MAX)]).into_owned()
    };
    panic!(
        "{when}: {} of {} keys differ, first {} {}:\nfound    {}\nexpected {}",
        different().count(),
        keys.len(),
        place.0,
        place.1.escape_ascii(),
        rest(found),
        rest(expected),
    );
}

fn each_key<S: Store>(store: &mut S, mut visit: impl FnMut(&mut S, usize, &[u8])) {
    for db in 0..16_usize {
        store.call(&[b"SELECT", db.to_string().as_bytes()]);
        let Value::Array(keys) = store.call(&[b"KEYS", b"*"]) else { panic!("KEYS answers an array") };
        for key in keys {
            visit(store, db, text(&key).expect("a key is a text"));
        }
    }
    store.call(&[b"SELECT", b"0"]);
}

fn describe(store: &mut impl Store, key: &[u8], with_seen: bool) -> String {
    let kind = store.call(&[b"TYPE", key]);
    let value = match text(&kind).expect("TYPE answers a text") {
        b"string" => store.call(&[b"GET", key]),
        b"list" => store.call(&[b"LRANGE", key, b"0", b"-1"]),
        b"set" => sorted(store.call(&[b"SMEMBERS", key]), 1),
        b"hash" => sorted(store.call(&[b"HGETALL", key]), 2),
        b"zset" => store.call(&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"]),
        _ => {
            let full = store.call(&[b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"]);
            let groups = store.call(&[b"XINFO", b"GROUPS", key]);
            Value::Array(vec![plain(full, with_seen), plain(groups, with_seen)])
        }
    };
    assert!(!value.is_error(), "{}: {value:?}", key.escape_ascii());
    let all = [kind, store.call(&[b"PEXPIRETIME", key]), plain(value, with_seen)];
    all.iter().map(notation::render).collect::<Vec<_>>().join(" ")
}

/// An array or map in groups of so many, in order.
fn sorted(value: Value, group: usize) -> Value {
    let Value::Array(items) = plain(value, true) else { panic!("a collection is an array") };
    let mut groups: Vec<Vec<Value>> = items.chunks(group).map(<[Value]>::to_vec).collect();
    groups.sort_by(|a, b| text(&a[0]).cmp(&text(&b[0])));
    Value::Array(groups.concat())
}

/// The reply as RESP2 has it, without what is vague.
fn plain(value: Value, with_seen: bool) -> Value {
    match value {
        Value::Map(pairs) => plain(
            Value::Array(pairs.into_iter().flat_map(|(name, value)| [name, value]).collect()),
            with_seen,
        ),
        Value::Set(items) => plain(Value::Array(items), with_seen),
        Value::Array(items) => {
            let mut is_vague = false;
            let items = items.into_iter().map(|item| {
                let was_vague = std::mem::replace(&mut is_vague, false);
                let name = text(&item);
                is_vague = VAGUE.iter().any(|vague| name == Some(vague.as_bytes()))
                    || !with_seen && name == Some(SEEN.as_bytes());
                if was_vague { Value::Nil } else { plain(item, with_seen) }
            });
            Value::Array(items.collect())
        }
        Value::Double(number) => Value::bulk(format_double(number)),
        other => other,
    }
}

fn from_redis(value: redis::Value) -> Value {
    match value {
        redis::Value::Nil => Value::Nil,
        redis::Value::Int(number) => Value::Integer(number),
        redis::Value::BulkString(bytes) => Value::Bulk(bytes),
        redis::Value::Array(items) => Value::Array(items.into_iter().map(from_redis).collect()),
        redis::Value::SimpleString(text) => Value::Simple(text.into()),
        redis::Value::Okay => Value::Simple("OK".into()),
        other => panic!("RESP2 has no {other:?}"),
    }
}
