//! The keys of a store of any kind: listed, read whole and written, whatever the store is and however old.

use anyhow::{Context, Result, anyhow, bail};
use redis::aio::ConnectionLike;
use redis::{Pipeline, Value as Reply};
use windlass_conn::Connection;
use windlass_db::carry::{Content, Digest, Kind, Saved, Scratch, Value};

/// About how many keys one step lists, reads and writes.
pub const SCAN_COUNT: usize = 256;
/// What a store says to the payload of a version that it does not know.
const UNKNOWN_PAYLOAD: [&str; 2] = ["DUMP payload version or checksum are wrong", "Bad data format"];
/// The first version of Redis that knows how many entries a stream had.
const VERSION_OF_STREAM_COUNTS: u64 = 7;

/// A key on its way.
#[derive(Clone, Debug)]
pub struct Item {
    pub saved: Saved,
    /// Of its value.
    pub digest: Digest,
}

impl Item {
    /// The digest of the key with its value and its end.
    pub fn whole(&self) -> Digest {
        Digest::of_key(self.saved.db, &self.saved.key, self.digest, self.saved.expires_ms)
    }

    /// True when both hold the same and end together, give or take so many milliseconds.
    pub fn is_same(&self, other: &Self, tolerance_ms: u64) -> bool {
        let ends = match (self.saved.expires_ms, other.saved.expires_ms) {
            (Some(one), Some(other)) => one.abs_diff(other) <= tolerance_ms,
            (one, other) => one == other,
        };
        ends && self.digest == other.digest
    }
}

/// How values are given to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// As their payload came.
    AsIs,
    /// As payloads of the version that Redis 7.0 knows.
    Restored,
    /// By the commands of their types.
    Commands,
}

/// A session of a store, for one who reads and writes whole keys.
pub struct Store {
    connection: Connection,
    pub url: String,
    scratch: Scratch,
    manner: Manner,
    /// False for a store that does not take DUMP.
    dumps: bool,
    /// False for a store before Redis 7.
    knows_expiretime: bool,
    major: u64,
}

impl Store {
    /// A session of its own on `connection`, which `url` names.
    pub async fn open(connection: &Connection, url: &str) -> Result<Self> {
        let mut connection = connection.session().await?;
        let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or_default();
        let major = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or_default();
        Ok(Self {
            connection,
            url: super::shown(url),
            scratch: Scratch::default(),
            manner: Manner::AsIs,
            dumps: true,
            knows_expiretime: true,
            major,
        })
    }

    /// Reads keys by the commands of their types from now on.
    pub fn read_by_type(&mut self) {
        self.dumps = false;
    }

    /// Writes keys by the commands of their types from now on.
    pub fn write_by_type(&mut self) {
        self.manner = Manner::Commands;
    }

    /// By how many milliseconds the end of a key may be told wrongly.
    pub fn tolerance_ms(&self) -> u64 {
        if self.knows_expiretime { 0 } else { 1_000 }
    }

    /// The databases that hold keys, and how many.
    pub async fn databases(&mut self) -> Result<Vec<(u64, u64)>> {
        let info: String = redis::cmd("INFO").arg("keyspace").query_async(&mut self.connection).await?;
        let line = |line: &str| {
            let (db, rest) = line.trim().strip_prefix("db")?.split_once(":keys=")?;
            Some((db.parse().ok()?, rest.split(',').next()?.parse().ok()?))
        };
        Ok(info.lines().filter_map(line).collect())
    }

    /// Some keys of a database, and the cursor to go on with; 0 is the end. A key may come twice.
    pub async fn scan(&mut self, db: u64, cursor: u64, pattern: Option<&str>) -> Result<(u64, Vec<Vec<u8>>)> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("SCAN").arg(cursor).arg("COUNT").arg(SCAN_COUNT);
        if let Some(pattern) = pattern {
            pipeline.arg("MATCH").arg(pattern);
        }
        let reply = self.send(db, &pipeline).await?.pop().context("SCAN was not answered")?;
        Ok(redis::from_redis_value(check(reply)?)?)
    }

    /// The keys with their values; none for one that is not there.
    pub async fn fetch(&mut self, db: u64, keys: &[Vec<u8>]) -> Result<Vec<Option<Item>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let ends = self.ends(db, keys).await?;
        let payloads = if self.dumps { self.dump(db, keys).await? } else { vec![None; keys.len()] };
        let mut items = Vec::with_capacity(keys.len());
        for ((key, expires_ms), payload) in keys.iter().zip(ends).zip(payloads) {
            let Some(expires_ms) = expires_ms else {
                items.push(None);
                continue;
            };
            let known = payload.and_then(|payload| Some((self.scratch.content(&payload)?, payload)));
            let (content, payload) = match known {
                Some(known) => known,
                None => match self.read(db, key).await? {
                    Some(read) => read,
                    None => {
                        items.push(None);
                        continue;
                    }
                },
            };
            let saved = Saved { db, key: key.clone(), expires_ms, payload };
            items.push(Some(Item { saved, digest: Digest::of(&content) }));
        }
        Ok(items)
    }

    /// Which of the keys are there.
    pub async fn exist(&mut self, db: u64, keys: &[Vec<u8>]) -> Result<Vec<bool>> {
        let replies = self.send(db, &each("EXISTS", keys)).await?;
        replies.into_iter().map(|reply| Ok(redis::from_redis_value(check(reply)?)?)).collect()
    }

    /// Puts keys of one database, in place of those of their names.
    pub async fn put(&mut self, db: u64, items: &[Item]) -> Result<()> {
        while self.manner != Manner::Commands {
            if self.restore(db, items).await? {
                return Ok(());
            }
            // What was put before the first that is not understood is put once more.
            self.manner = if self.manner == Manner::AsIs { Manner::Restored } else { Manner::Commands };
        }
        for item in items {
            self.write(item).await.with_context(|| self.about("write", &item.saved.key))?;
        }
        Ok(())
    }

    /// Removes keys.
    pub async fn remove(&mut self, db: u64, keys: &[Vec<u8>]) -> Result<()> {
        let replies = self.send(db, &each("DEL", keys)).await?;
        replies.into_iter().try_for_each(|reply| check(reply).map(drop))
    }

    /// Runs commands in a database, and answers each of them.
    pub async fn send(&mut self, db: u64, pipeline: &Pipeline) -> Result<Vec<Reply>> {
        // The database goes along each time: a session that connected anew is in the first one.
        let mut all = redis::pipe();
        all.cmd("SELECT").arg(db);
        for cmd in pipeline.cmd_iter() {
            all.add_command(cmd.clone());
        }
        let count = pipeline.cmd_iter().count() + 1;
        let mut replies = self.connection.req_packed_commands(&all, 0, count).await?;
        check(replies.remove(0)).with_context(|| format!("{} has no database {db}", self.url))?;
        Ok(replies)
    }

    /// When keys end: none for one that is not there.
    async fn ends(&mut self, db: u64, keys: &[Vec<u8>]) -> Result<Vec<Option<Option<u64>>>> {
        if self.knows_expiretime {
            let replies = self.send(db, &each("PEXPIRETIME", keys)).await?;
            self.knows_expiretime = !matches!(replies.first(), Some(Reply::ServerError(_)));
            if self.knows_expiretime {
                let end = |reply| Ok(end_of(redis::from_redis_value(check(reply)?)?, 0));
                return replies.into_iter().map(end).collect();
            }
        }
        let mut pipeline = redis::pipe();
        pipeline.cmd("TIME");
        for key in keys {
            pipeline.cmd("PTTL").arg(key);
        }
        let mut replies = self.send(db, &pipeline).await?.into_iter();
        let time = check(replies.next().context("TIME was not answered")?)?;
        let (seconds, micros): (u64, u64) = redis::from_redis_value(time)?;
        let now_ms = seconds * 1_000 + micros / 1_000;
        replies.map(|reply| Ok(end_of(redis::from_redis_value(check(reply)?)?, now_ms))).collect()
    }

    async fn dump(&mut self, db: u64, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        let replies = self.send(db, &each("DUMP", keys)).await?;
        if matches!(replies.first(), Some(Reply::ServerError(_))) {
            self.dumps = false;
            return Ok(vec![None; keys.len()]);
        }
        replies.into_iter().map(|reply| Ok(redis::from_redis_value(check(reply)?)?)).collect()
    }

    /// Reads a key by the command of its type: its content, and a payload of it.
    async fn read(&mut self, db: u64, key: &[u8]) -> Result<Option<(Content, Vec<u8>)>> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("TYPE").arg(key);
        let reply = self.send(db, &pipeline).await?.pop().context("TYPE was not answered")?;
        let kind: String = redis::from_redis_value(check(reply)?)?;
        if kind == "none" {
            return Ok(None);
        }
        let question = Kind::by_name(&kind).with_context(|| {
            format!("{}: it is a {kind}, which is carried by no other store", self.about("read", key))
        })?;
        let mut pipeline = redis::pipe();
        let words = question.question(key);
        pipeline.cmd(std::str::from_utf8(words[0])?);
        for word in &words[1..] {
            pipeline.arg(*word);
        }
        let reply = self.send(db, &pipeline).await?.pop().context("the key was not answered")?;
        // It may have ended, or become of another type, since.
        let Some(content) = question.content(value(reply)) else {
            return if self.exist(db, &[key.to_vec()]).await? == [true] {
                Err(anyhow!("{}: the reply of a {kind} is not understood", self.about("read", key)))
            } else {
                Ok(None)
            };
        };
        let payload = self.scratch.payload(&content);
        let payload =
            payload.with_context(|| format!("{}: its value cannot be made", self.about("read", key)))?;
        Ok(Some((content, payload)))
    }

    /// Puts keys by RESTORE; false when the store does not understand the payloads.
    async fn restore(&mut self, db: u64, items: &[Item]) -> Result<bool> {
        let mut pipeline = redis::pipe();
        for Item { saved, .. } in items {
            let fresh = match self.manner {
                Manner::AsIs => None,
                _ => self.scratch.content(&saved.payload).and_then(|content| self.scratch.payload(&content)),
            };
            let payload = fresh.as_ref().unwrap_or(&saved.payload);
            let at = saved.expires_ms.unwrap_or(0);
            pipeline.cmd("RESTORE").arg(&saved.key).arg(at).arg(payload).arg("REPLACE").arg("ABSTTL");
        }
        for (reply, item) in self.send(db, &pipeline).await?.into_iter().zip(items) {
            if let Reply::ServerError(error) = &reply
                && (UNKNOWN_PAYLOAD
                    .iter()
                    .any(|text| error.details().is_some_and(|said| said.contains(text)))
                    || error.details().is_some_and(|said| said.contains("unknown command")))
            {
                return Ok(false);
            }
            check(reply).with_context(|| self.about("write", &item.saved.key))?;
        }
        Ok(true)
    }

    /// Puts a key by the commands of its type, all at once.
    async fn write(&mut self, item: &Item) -> Result<()> {
        let saved = &item.saved;
        let commands =
            self.scratch.commands(&saved.key, &saved.payload).context("its value is not understood")?;
        let mut pipeline = redis::pipe();
        pipeline.cmd("MULTI").cmd("DEL").arg(&saved.key);
        for mut words in commands {
            if self.major < VERSION_OF_STREAM_COUNTS {
                without_counts(&mut words);
            }
            pipeline.cmd(std::str::from_utf8(&words[0])?);
            for word in &words[1..] {
                pipeline.arg(word);
            }
        }
        if let Some(at) = saved.expires_ms {
            pipeline.cmd("PEXPIREAT").arg(&saved.key).arg(at);
        }
        pipeline.cmd("EXEC");
        let done = self.send(saved.db, &pipeline).await?.pop().context("EXEC was not answered")?;
        match check(done)? {
            Reply::Array(replies) => replies.into_iter().try_for_each(|reply| check(reply).map(drop)),
            _ => bail!("the transaction was not run"),
        }
    }

    fn about(&self, verb: &str, key: &[u8]) -> String {
        format!("cannot {verb} the key `{}` of {}", String::from_utf8_lossy(key), self.url)
    }
}

/// A command for each key.
fn each(name: &str, keys: &[Vec<u8>]) -> Pipeline {
    let mut pipeline = redis::pipe();
    for key in keys {
        pipeline.cmd(name).arg(key);
    }
    pipeline
}

/// The end of a key as PEXPIRETIME and PTTL tell it; what counts from `from_ms`.
fn end_of(told: i64, from_ms: u64) -> Option<Option<u64>> {
    match told {
        -2 => None,
        told => Some(u64::try_from(told).ok().map(|end| end + from_ms)),
    }
}

/// Leaves out what stores before Redis 7 do not know of a stream.
fn without_counts(words: &mut Vec<Vec<u8>>) {
    let is = |at: usize, word: &str| {
        words.get(at).is_some_and(|found| found.eq_ignore_ascii_case(word.as_bytes()))
    };
    if is(0, "XSETID") {
        words.truncate(3);
    } else if is(0, "XGROUP") && is(1, "SETID") {
        words.truncate(5);
    }
}

fn check(reply: Reply) -> Result<Reply> {
    match reply {
        Reply::ServerError(error) => Err(redis::RedisError::from(error).into()),
        other => Ok(other),
    }
}

/// A reply in the terms in which contents are read; what cannot be part of one is nil.
fn value(reply: Reply) -> Value {
    let all = |items: Vec<Reply>| items.into_iter().map(value).collect();
    match reply {
        Reply::Int(number) => Value::Integer(number),
        Reply::BulkString(bytes) => Value::Bulk(bytes),
        Reply::SimpleString(text) => Value::Simple(text.into()),
        Reply::Okay => Value::OK,
        Reply::Double(number) => Value::Double(number),
        Reply::Boolean(is) => Value::Boolean(is),
        Reply::VerbatimString { text, .. } => Value::Bulk(text.into_bytes()),
        Reply::Array(items) => Value::Array(all(items)),
        Reply::Set(items) => Value::Set(all(items)),
        Reply::Map(pairs) => {
            Value::Map(pairs.into_iter().map(|(name, inner)| (value(name), value(inner))).collect())
        }
        _ => Value::Nil,
    }
}
