//! The value of a key: one of Redis's types.

use std::sync::Arc;

use crate::blob::Blob;
use crate::number::parse_integer;
use crate::types::{Budget, Hash, List, Set, SortedSet, Stream, copied};

/// A value of any type, in as many bytes whatever it holds. A clone shares all content; what is written afterwards is
/// copied then, and of a large collection no more than the blocks that the write touches.
#[derive(Clone, Debug)]
pub enum Object {
    String(Blob),
    List(Arc<List>),
    Hash(Arc<Hash>),
    Set(Arc<Set>),
    SortedSet(Arc<SortedSet>),
    Stream(Arc<Stream>),
}

/// The longest string that Redis keeps in one piece with its header; OBJECT ENCODING tells.
const EMBSTR_MAX: usize = 44;

impl Object {
    /// The name that TYPE gives.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::String(_) => "string",
            Self::List(_) => "list",
            Self::Hash(_) => "hash",
            Self::Set(_) => "set",
            Self::SortedSet(_) => "zset",
            Self::Stream(_) => "stream",
        }
    }

    /// The group of the commands on this type, as the command table names it.
    pub fn group(&self) -> &'static str {
        match self {
            Self::SortedSet(_) => "sorted-set",
            other => other.type_name(),
        }
    }

    /// The name that OBJECT ENCODING gives.
    pub fn encoding(&self) -> &'static str {
        match self {
            Self::String(text) if text.is_growable() => "raw",
            Self::String(text) if text.len() <= 20 && parse_integer(text).is_some() => "int",
            Self::String(text) if text.len() <= EMBSTR_MAX => "embstr",
            Self::String(_) => "raw",
            Self::List(list) => list.encoding(),
            Self::Hash(hash) => hash.encoding(),
            Self::Set(set) => set.encoding(),
            Self::SortedSet(zset) => zset.encoding(),
            Self::Stream(stream) => stream.encoding(),
        }
    }

    /// True for a collection that has lost its last member and must go. An empty string or stream may stay.
    pub fn is_empty_collection(&self) -> bool {
        match self {
            Self::String(_) | Self::Stream(_) => false,
            Self::List(list) => list.is_empty(),
            Self::Hash(hash) => hash.is_empty(),
            Self::Set(set) => set.is_empty(),
            Self::SortedSet(zset) => zset.is_empty(),
        }
    }

    /// Takes members, or a string's bytes, out of a value that the keyspace does not use any more, as far as the budget
    /// goes; true when little is left of it, and at once when somebody else shares it: then it is theirs to free.
    pub fn free_some(&mut self, budget: &mut Budget) -> bool {
        match self {
            Self::String(text) => text.free_some(budget),
            Self::List(list) => Arc::get_mut(list).is_none_or(|list| list.free_some(budget)),
            Self::Hash(hash) => Arc::get_mut(hash).is_none_or(|hash| hash.free_some(budget)),
            Self::Set(set) => Arc::get_mut(set).is_none_or(|set| set.free_some(budget)),
            Self::SortedSet(zset) => Arc::get_mut(zset).is_none_or(|zset| zset.free_some(budget)),
            Self::Stream(stream) => Arc::get_mut(stream).is_none_or(|stream| stream.free_some(budget)),
        }
    }

    /// Counts what stays with who shares all of it, before the keyspace lets go of it. What they share in part only is
    /// counted as it is freed.
    pub fn note_shared(&self) {
        match self {
            Self::String(text) => text.note_shared(),
            Self::List(list) => copied::note(list, |list| list.bytes()),
            Self::Hash(hash) => copied::note(hash, |hash| hash.bytes()),
            Self::Set(set) => copied::note(set, |set| set.bytes()),
            Self::SortedSet(zset) => copied::note(zset, |zset| zset.bytes()),
            Self::Stream(stream) => copied::note(stream, |stream| stream.bytes()),
        }
    }

    /// Approximate bytes of memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::String(text) => text.heap_bytes(),
            Self::List(list) => list.bytes(),
            Self::Hash(hash) => hash.bytes(),
            Self::Set(set) => set.bytes(),
            Self::SortedSet(zset) => zset.bytes(),
            Self::Stream(stream) => stream.bytes(),
        }
    }
}

/// A type that an [`Object`] can hold.
pub trait Kind: Sized {
    fn create(seed: u64) -> Self;
    fn of(object: &Object) -> Option<&Self>;
    fn of_mut(object: &mut Object) -> Option<&mut Self>;
    fn wrap(self) -> Object;
    fn bytes(&self) -> usize;
}

impl Kind for Blob {
    fn create(_: u64) -> Self {
        Self::default()
    }

    fn of(object: &Object) -> Option<&Self> {
        if let Object::String(text) = object { Some(text) } else { None }
    }

    fn of_mut(object: &mut Object) -> Option<&mut Self> {
        if let Object::String(text) = object { Some(text) } else { None }
    }

    fn wrap(self) -> Object {
        Object::String(self)
    }

    fn bytes(&self) -> usize {
        self.heap_bytes()
    }
}

macro_rules! collection {
    ($($name:ident),*) => {$(
        impl Kind for $name {
            fn create(seed: u64) -> Self {
                Self::new(seed)
            }

            fn of(object: &Object) -> Option<&Self> {
                if let Object::$name(value) = object { Some(value) } else { None }
            }

            fn of_mut(object: &mut Object) -> Option<&mut Self> {
                let Object::$name(value) = object else { return None };
                Some(copied::own(value, $name::clone_bytes))
            }

            fn wrap(self) -> Object {
                Object::$name(Arc::new(self))
            }

            fn bytes(&self) -> usize {
                $name::bytes(self)
            }
        }
    )*};
}

collection!(List, Hash, Set, SortedSet, Stream);
