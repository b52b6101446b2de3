//! What a key holds, as plain values.

/// The content of a key of any type.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A string.
    String(Vec<u8>),
    /// A list, from its head.
    List(Vec<Vec<u8>>),
    /// A set, in any order.
    Set(Vec<Vec<u8>>),
    /// A hash: fields with values, in any order.
    Hash(Vec<(Vec<u8>, Vec<u8>)>),
    /// A sorted set: members with scores.
    SortedSet(Vec<(Vec<u8>, f64)>),
    /// A stream with its groups.
    Stream(Stream),
}

/// A stream. Ids are as Redis writes them, `milliseconds-number`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// The greatest id that was ever given.
    pub last_id: String,
    /// How many entries were ever added; stores before Redis 7 do not know.
    pub entries_added: Option<i64>,
    /// The greatest id that was deleted; stores before Redis 7 do not know.
    pub max_deleted_id: Option<String>,
    /// The entries: id, and fields with values.
    pub entries: Vec<(String, Vec<Vec<u8>>)>,
    /// The consumer groups.
    pub groups: Vec<Group>,
}

/// A consumer group of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: Vec<u8>,
    /// The last id that it delivered.
    pub last_id: String,
    /// How many entries it has read, where that is known.
    pub entries_read: Option<i64>,
    /// Its consumers.
    pub consumers: Vec<Consumer>,
}

/// A consumer of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consumer {
    /// Its name.
    pub name: Vec<u8>,
    /// What was delivered to it and not acknowledged.
    pub pending: Vec<Pending>,
}

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Its id.
    pub id: String,
    /// When it was delivered, in milliseconds since the epoch.
    pub delivered_ms: i64,
    /// How often it was delivered.
    pub deliveries: i64,
}

impl Content {
    /// The type, as TYPE names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "string",
            Self::List(_) => "list",
            Self::Set(_) => "set",
            Self::Hash(_) => "hash",
            Self::SortedSet(_) => "zset",
            Self::Stream(_) => "stream",
        }
    }
}
