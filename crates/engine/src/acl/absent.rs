//! Commands of Redis 7.0 that are not there. A rule may name them, so that the rules of a user that was made for Redis are
//! taken whole: who may or may not run such a command is all the same.

/// Their names.
const ABSENT: &[&str] = &[
    "asking",
    "cluster",
    "failover",
    "geoadd",
    "geodist",
    "geohash",
    "geopos",
    "georadius",
    "georadius_ro",
    "georadiusbymember",
    "georadiusbymember_ro",
    "geosearch",
    "geosearchstore",
    "lolwut",
    "migrate",
    "psync",
    "readonly",
    "readwrite",
    "replconf",
    "replicaof",
    "restore-asking",
    "slaveof",
    "sync",
];

/// The name of the command that this is, in any case.
pub fn name(text: &[u8]) -> Option<&'static str> {
    ABSENT.iter().copied().find(|name| text.eq_ignore_ascii_case(name.as_bytes()))
}
