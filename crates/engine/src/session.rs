//! What the engine remembers of one client.

use std::collections::BTreeSet;

use windlass_resp::{Protocol, Value};

use crate::acl::DEFAULT;
use crate::blob::Blob;
use crate::command::Command;
use crate::pubsub::Kind;
use crate::time::Time;

/// The address of a session that is opened from within the process.
pub const EMBEDDED: &str = "embedded";

/// Names a session of an engine; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// One client's state.
#[derive(Debug)]
pub struct Session {
    pub id: SessionId,
    pub db: usize,
    pub protocol: Protocol,
    pub is_authenticated: bool,
    /// Who it is, by name.
    pub user: Blob,
    /// True for the session that stands for the caller in a script.
    pub is_script: bool,
    pub address: String,
    /// The server's end of its connection, and the handle of its socket, where it has one.
    pub local_address: String,
    pub descriptor: Option<i32>,
    /// Bytes that were sent to it and are not taken yet, as its owner last told.
    pub unread: usize,
    pub name: Blob,
    pub library: Blob,
    pub library_version: Blob,
    pub opened: Time,
    pub last_used: Time,
    pub last_command: Option<&'static Command>,
    pub silence: Silence,
    /// CLIENT REPLY SKIP: the next command is to have no reply.
    pub skips_next: bool,
    pub is_monitor: bool,
    /// What CLIENT NO-EVICT said; it is shown and changes nothing.
    pub is_kept: bool,
    /// Set once it is told to close: it is no client any more, and nothing that it sends is executed.
    pub is_closing: bool,
    pub transaction: Option<Transaction>,
    pub watched: Vec<(usize, Blob)>,
    /// Set when a watched key changed: EXEC then answers nil.
    pub is_watch_broken: bool,
    channels: BTreeSet<Blob>,
    patterns: BTreeSet<Blob>,
    shards: BTreeSet<Blob>,
}

/// Which replies CLIENT REPLY keeps from the client now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Silence {
    /// None.
    #[default]
    None,
    /// All.
    All,
    /// That to the present command.
    Present,
}

/// The commands queued since MULTI.
#[derive(Debug, Default)]
pub struct Transaction {
    pub queue: Vec<Vec<Blob>>,
    /// Set by a command that could not be queued: EXEC is then refused.
    pub has_failed: bool,
}

impl Session {
    pub fn new(id: SessionId, address: &str, is_authenticated: bool, now: Time) -> Self {
        Self {
            id,
            db: 0,
            protocol: Protocol::Resp2,
            is_authenticated,
            user: Blob::from(DEFAULT),
            is_script: false,
            address: address.to_owned(),
            local_address: String::new(),
            descriptor: None,
            unread: 0,
            name: Blob::default(),
            library: Blob::default(),
            library_version: Blob::default(),
            opened: now,
            last_used: now,
            last_command: None,
            silence: Silence::default(),
            skips_next: false,
            is_monitor: false,
            is_kept: false,
            is_closing: false,
            transaction: None,
            watched: Vec::new(),
            is_watch_broken: false,
            channels: BTreeSet::new(),
            patterns: BTreeSet::new(),
            shards: BTreeSet::new(),
        }
    }

    /// The reply to a command that ends, unless CLIENT REPLY keeps it back.
    pub fn let_through(&mut self, reply: Option<Value>) -> Option<Value> {
        let reply = reply.filter(|_| self.silence == Silence::None);
        if std::mem::take(&mut self.skips_next) {
            self.silence = Silence::Present;
        } else if self.silence == Silence::Present {
            self.silence = Silence::None;
        }
        reply
    }

    /// False for a session that is told to close, and for one of the process itself that has asked for nothing yet: who
    /// owns a directory keeps one.
    pub fn is_client(&self) -> bool {
        !self.is_closing && (self.last_command.is_some() || !self.is_of_process())
    }

    /// True for a session over a unix socket, whose address is its path with a port that no other has.
    pub fn is_unix(&self) -> bool {
        self.address == "unix" || self.address.ends_with(":0")
    }

    /// True for a session that the process has without a connection.
    pub fn is_of_process(&self) -> bool {
        self.address == EMBEDDED
    }

    /// True when the session may receive messages of channels.
    pub fn is_subscribed(&self) -> bool {
        !(self.channels.is_empty() && self.patterns.is_empty() && self.shards.is_empty())
    }

    /// What the session listens to.
    pub fn subscriptions(&self, kind: Kind) -> &BTreeSet<Blob> {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
            Kind::Shard => &self.shards,
        }
    }

    /// What the session listens to, to be changed together with who listens.
    pub fn subscriptions_mut(&mut self, kind: Kind) -> &mut BTreeSet<Blob> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shards,
        }
    }
}
