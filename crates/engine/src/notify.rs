//! Keyspace notifications: messages on what happens to keys, as far as `notify-keyspace-events` asks for them.

use crate::command::Command;
use crate::state::{Call, State};

/// A set of classes of events, and of the channels that tell of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes(u32);

/// The letter of each class, in the order in which CONFIG GET shows them.
const LETTERS: [(char, Classes); 14] = [
    ('g', Classes::GENERIC),
    ('$', Classes::STRING),
    ('l', Classes::LIST),
    ('s', Classes::SET),
    ('h', Classes::HASH),
    ('z', Classes::SORTED_SET),
    ('x', Classes::EXPIRED),
    ('e', Classes::EVICTED),
    ('t', Classes::STREAM),
    ('d', Classes::MODULE),
    ('n', Classes::NEW),
    ('K', Classes::KEYSPACE),
    ('E', Classes::KEYEVENT),
    ('m', Classes::MISS),
];

impl Classes {
    /// A channel for each key, with the names of events.
    pub const KEYSPACE: Self = Self(1);
    /// A channel for each event, with the names of keys.
    pub const KEYEVENT: Self = Self(1 << 1);
    /// What is done to keys of any type.
    pub const GENERIC: Self = Self(1 << 2);
    pub const STRING: Self = Self(1 << 3);
    pub const LIST: Self = Self(1 << 4);
    pub const SET: Self = Self(1 << 5);
    pub const HASH: Self = Self(1 << 6);
    pub const SORTED_SET: Self = Self(1 << 7);
    pub const EXPIRED: Self = Self(1 << 8);
    pub const EVICTED: Self = Self(1 << 9);
    pub const STREAM: Self = Self(1 << 10);
    /// A key was looked for and is not there.
    pub const MISS: Self = Self(1 << 11);
    pub const MODULE: Self = Self(1 << 12);
    /// A key is made.
    pub const NEW: Self = Self(1 << 13);
    /// What the letter `A` stands for: neither misses nor new keys.
    const ALL: Self = Self(
        Self::GENERIC.0
            | Self::STRING.0
            | Self::LIST.0
            | Self::SET.0
            | Self::HASH.0
            | Self::SORTED_SET.0
            | Self::EXPIRED.0
            | Self::EVICTED.0
            | Self::STREAM.0
            | Self::MODULE.0,
    );

    /// The classes that letters name; none when a letter names none.
    ///
    /// As in Redis, letters without `K` or `E` are remembered and have no effect.
    pub fn parse(letters: &str) -> Option<Self> {
        letters.chars().try_fold(Self::default(), |classes, letter| {
            let class = match letter {
                'A' => Self::ALL,
                _ => LETTERS.iter().find(|(known, _)| *known == letter)?.1,
            };
            Some(Self(classes.0 | class.0))
        })
    }

    /// The letters, with `A` for all that it stands for.
    pub fn letters(self) -> String {
        let mut letters = String::new();
        let mut left = self;
        if self.has(Self::ALL) {
            letters.push('A');
            left = Self(self.0 & !Self::ALL.0);
            // Redis shows new keys only beside single classes.
            left = Self(left.0 & !Self::NEW.0);
        }
        letters.extend(LETTERS.iter().filter(|(_, class)| left.has(*class)).map(|(letter, _)| letter));
        letters
    }

    /// True when nothing is to be told.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn has(self, class: Self) -> bool {
        self.0 & class.0 == class.0
    }
}

/// What happened to a key: the class and the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event(pub Classes, pub &'static str);

impl Event {
    pub const DEL: Self = Self(Classes::GENERIC, "del");
    pub const EXPIRE: Self = Self(Classes::GENERIC, "expire");
    pub const EXPIRED: Self = Self(Classes::EXPIRED, "expired");
    pub const MISS: Self = Self(Classes::MISS, "keymiss");
    pub const NEW: Self = Self(Classes::NEW, "new");

    /// The event that a command is, unless it says otherwise.
    fn of(command: &Command) -> Self {
        let class = match command.group {
            "string" | "bitmap" | "hyperloglog" => Classes::STRING,
            "list" => Classes::LIST,
            "hash" => Classes::HASH,
            "set" => Classes::SET,
            "sorted-set" => Classes::SORTED_SET,
            "stream" => Classes::STREAM,
            _ => Classes::GENERIC,
        };
        let name = match command.name {
            "getset" | "mset" | "msetnx" | "setnx" | "setex" | "psetex" | "bitop" => "set",
            "incr" | "decr" | "decrby" => "incrby",
            "bitfield" => "setbit",
            "pfmerge" => "pfadd",
            "hmset" | "hsetnx" => "hset",
            "lpushx" => "lpush",
            "rpushx" => "rpush",
            "blpop" => "lpop",
            "brpop" => "rpop",
            "zincrby" => "zincr",
            "bzpopmin" => "zpopmin",
            "bzpopmax" => "zpopmax",
            "expireat" | "pexpire" | "pexpireat" | "getex" => return Self::EXPIRE,
            "copy" => "copy_to",
            "sort" => return Self(Classes::LIST, "sortstore"),
            "xgroup|create" => "xgroup-create",
            "xgroup|createconsumer" => "xgroup-createconsumer",
            "xgroup|delconsumer" => "xgroup-delconsumer",
            "xgroup|destroy" => "xgroup-destroy",
            "xgroup|setid" => "xgroup-setid",
            name => name,
        };
        Self(class, name)
    }
}

impl State {
    /// True when somebody may want to know of events of a class. Nearly always nobody does.
    pub fn notifies(&self, class: Classes) -> bool {
        self.settings.notify.0 & class.0 != 0
    }

    /// Tells of an event, if that is asked for.
    pub fn notify(&mut self, db: usize, event: Event, key: &[u8]) {
        let Event(class, name) = event;
        if !self.notifies(class) {
            return;
        }
        if self.settings.notify.has(Classes::KEYSPACE) {
            let channel = [format!("__keyspace@{db}__:").as_bytes(), key].concat();
            self.publish(&channel, name.as_bytes());
        }
        if self.settings.notify.has(Classes::KEYEVENT) {
            self.publish(format!("__keyevent@{db}__:{name}").as_bytes(), key);
        }
    }
}

impl Call<'_> {
    /// Tells of an event at a key of the selected database.
    pub fn notify(&mut self, event: Event, key: &[u8]) {
        self.state.notify(self.session.db, event, key);
    }

    /// Tells of an event of the command's own class.
    pub fn notify_as(&mut self, name: &'static str, key: &[u8]) {
        if self.is_notifying() {
            let Event(class, _) = Event::of(self.command);
            self.notify(Event(class, name), key);
        }
    }

    /// Names what the command does from now on, where that is not the usual.
    pub fn does(&mut self, name: &'static str) {
        if self.is_notifying() {
            let Event(class, _) = Event::of(self.command);
            self.event = Some(Event(class, name));
        }
    }

    /// Tells of the command's write to a key.
    pub fn notify_write(&mut self, key: &[u8]) {
        if self.is_notifying() {
            self.notify(self.event.unwrap_or_else(|| Event::of(self.command)), key);
        }
    }

    /// True when somebody asks for events. Which event a command is takes longer to find than most commands do, and nearly
    /// always nobody asks.
    fn is_notifying(&self) -> bool {
        self.state.settings.notify != Classes::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_come_back_as_redis_shows_them() {
        for (given, shown) in [
            ("", ""),
            ("KEA", "AKE"),
            ("Kg$lshzxetd", "AK"),
            ("KElx", "lxKE"),
            ("AKEm", "AKEm"),
            ("nE", "nE"),
        ] {
            assert_eq!(Classes::parse(given).expect("they are letters").letters(), shown, "{given}");
        }
        assert_eq!(Classes::parse("Kq"), None);
    }
}
