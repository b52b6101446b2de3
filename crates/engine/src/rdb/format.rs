//! The numbers of the format, with the names of Redis's `rdb.h`.

/// How a file begins; four digits of its version follow.
pub const MARK: &[u8] = b"REDIS";
/// The digits of the version.
pub const VERSION_DIGITS: usize = 4;
/// The latest version that is read, that of Redis 7.2.
pub const VERSION_READ_MAX: u32 = 11;
/// The version that is written, that of Redis 7.0.
pub const VERSION_WRITTEN: u32 = 10;
/// The first version whose files end with a checksum.
pub const VERSION_CHECKSUM: u32 = 5;
/// The longest string. A packed collection counts its own bytes in 32 bits.
pub const STRING_BYTES_MAX: u64 = u32::MAX as u64;
/// The bytes of a stream entry's id where it is written raw: milliseconds and number, the highest byte first.
pub const ID_BYTES: usize = 16;

/// What is between the values.
pub mod opcode {
    pub const FUNCTION: u8 = 245;
    pub const FUNCTION_PRE_GA: u8 = 246;
    pub const MODULE_AUX: u8 = 247;
    pub const IDLE: u8 = 248;
    pub const FREQ: u8 = 249;
    pub const AUX: u8 = 250;
    pub const RESIZE_DB: u8 = 251;
    pub const EXPIRE_TIME_MS: u8 = 252;
    pub const EXPIRE_TIME: u8 = 253;
    pub const SELECT_DB: u8 = 254;
    pub const EOF: u8 = 255;
}

/// The types of values, each with its form.
pub mod kind {
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    pub const ZSET: u8 = 3;
    pub const HASH: u8 = 4;
    pub const ZSET_2: u8 = 5;
    pub const MODULE_PRE_GA: u8 = 6;
    pub const MODULE_2: u8 = 7;
    pub const HASH_ZIPMAP: u8 = 9;
    pub const LIST_ZIPLIST: u8 = 10;
    pub const SET_INTSET: u8 = 11;
    pub const ZSET_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    pub const LIST_QUICKLIST: u8 = 14;
    pub const STREAM_LISTPACKS: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const ZSET_LISTPACK: u8 = 17;
    pub const LIST_QUICKLIST_2: u8 = 18;
    pub const STREAM_LISTPACKS_2: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    pub const STREAM_LISTPACKS_3: u8 = 21;
}

/// The forms of a node of a quicklist.
pub mod node {
    /// One item.
    pub const PLAIN: u64 = 1;
    /// A listpack.
    pub const PACKED: u64 = 2;
}

/// The marks of a stream's entry.
pub mod entry {
    pub const DELETED: i64 = 1;
    pub const SAME_FIELDS: i64 = 2;
}
