//! Which commands are made: a line each, with placeholders. More lines of a command make it more frequent.
//!
//! A word with bars is one of its alternatives, and left out when that is empty. `$s $h $l $t $z` are keys, mostly of
//! a string, hash, list, set or sorted set; `$k` is any key; `$v` a value, `$m` a field or member, `$n` a number,
//! `$p` a positive one, `$f` a score, `$b` a bound of scores, `$e` seconds, `$x` milliseconds, `$u` and `$w` a moment in
//! milliseconds or seconds since 1970.

use proptest::prelude::{Strategy, any};

use crate::state::START_MS;

/// A command and its arguments.
pub type Command = Vec<String>;

/// Most placeholders of a line.
const PLACEHOLDERS_MAX: usize = 10;

const TABLE: &[&str] = &[
    "@pass $x",
    "@pass $x",
    "@pass $x",
    "@pass 0|1|999|1000",
    "@tick",
    "@tick",
    "WATCH $k $k",
    "WATCH $k",
    "WATCH $k",
    "UNWATCH",
    "MULTI",
    "MULTI",
    "MULTI",
    "MULTI",
    "MULTI",
    "MULTI",
    "EXEC",
    "EXEC",
    "EXEC",
    "EXEC",
    "EXEC",
    "EXEC",
    "EXEC",
    "DISCARD",
    "GET",
    // Keys.
    "DEL $k $k",
    "UNLINK $k",
    "EXISTS $k $k $k",
    "TYPE $k",
    "KEYS *",
    "EXPIRE $k $e NX|XX|GT|LT|||||",
    "EXPIRE $k $e",
    "PEXPIRE $k $x",
    "PEXPIRE $k $x NX|XX|GT|LT",
    "EXPIREAT $k $w",
    "PEXPIREAT $k $u",
    "PEXPIREAT $k $u NX|XX|GT|LT|||||",
    "PERSIST $k",
    "TTL $k",
    "PTTL $k",
    "PTTL $k",
    "EXPIRETIME $k",
    "PEXPIRETIME $k",
    "RENAME $k $k",
    "RENAMENX $k $k",
    "COPY $k $k REPLACE|",
    // Strings.
    "SET $s $v",
    "SET $s $v KEEPTTL",
    "SET $s $v NX|XX| GET|",
    "SET $s $v PX $x NX|XX| GET|",
    "SET $s $v EX $p",
    "SET $s $v PXAT $u",
    "SETEX $s $p $v",
    "SETNX $s $v",
    "GET $s",
    "GETSET $s $v",
    "GETDEL $s",
    "GETEX $s PERSIST",
    "GETEX $s PX $x",
    "GETEX $s PXAT $u",
    "MSET $s $v $k $v",
    "MSETNX $s $v $s $v",
    "MGET $s $s $k",
    "APPEND $s $v",
    "STRLEN $s",
    "INCR $s",
    "DECRBY $s $n",
    "INCRBY $s $n",
    "INCRBY $s 9223372036854775807|-9223372036854775808|x",
    "GETRANGE $s $n $n",
    "SETRANGE $s $p $v",
    // Hashes.
    "HSET $h $m $v $m $v",
    "HSET $h $m $v",
    "HSETNX $h $m $v",
    "HGET $h $m",
    "HMGET $h $m $m",
    "HGETALL $h",
    "HDEL $h $m $m",
    "HLEN $h",
    "HEXISTS $h $m",
    "HINCRBY $h $m $n",
    "HINCRBY $h $m 9223372036854775807",
    "HKEYS $h",
    "HVALS $h",
    "HSTRLEN $h $m",
    // Lists.
    "LPUSH $l $v $v",
    "RPUSH $l $v $v $v",
    "LPUSHX $l $v",
    "RPUSHX $l $v",
    "LPOP $l",
    "RPOP $l",
    "LPOP $l 0|1|2|9",
    "RPOP $l 0|1|2|9",
    "LLEN $l",
    "LRANGE $l $n $n",
    "LRANGE $l 0 -1",
    "LINDEX $l $n",
    "LSET $l $n $v",
    "LREM $l $n $v",
    "LTRIM $l $n $n",
    "LINSERT $l BEFORE|AFTER $v $v",
    "LMOVE $l $l LEFT|RIGHT LEFT|RIGHT",
    "LPOS $l $v RANK $p",
    "LPOS $l $v RANK -1|-2|1 COUNT 0|1|2",
    // Sets.
    "SADD $t $m $m $m",
    "SREM $t $m $m",
    "SISMEMBER $t $m",
    "SMISMEMBER $t $m $m",
    "SMEMBERS $t",
    "SCARD $t",
    "SMOVE $t $t $m",
    "SINTER $t $t",
    "SUNION $t $t",
    "SDIFF $t $t",
    "SINTERSTORE $k $t $t",
    "SUNIONSTORE $k $t $t",
    "SDIFFSTORE $t $t $t",
    // Sorted sets.
    "ZADD $z $f $m $f $m",
    "ZADD $z CH $f $m $f $m",
    "ZADD $z NX|XX|GT|LT CH| $f $m $f $m",
    "ZADD $z XX|NX|GT|LT| INCR $f $m",
    "ZINCRBY $z $f $m",
    "ZREM $z $m $m",
    "ZSCORE $z $m",
    "ZMSCORE $z $m $m",
    "ZCARD $z",
    "ZRANK $z $m",
    "ZREVRANK $z $m",
    "ZCOUNT $z $b $b",
    "ZRANGE $z $n $n REV| WITHSCORES|",
    "ZRANGE $z 0 -1 WITHSCORES",
    "ZRANGEBYSCORE $z $b $b WITHSCORES|",
    "ZRANGEBYSCORE $z $b $b LIMIT $p $n",
    "ZREVRANGEBYSCORE $z $b $b WITHSCORES|",
    "ZREMRANGEBYRANK $z $n $n",
    "ZREMRANGEBYSCORE $z $b $b",
    "ZPOPMIN $z",
    "ZPOPMAX $z $p",
];

const KEYS: &[&str] = &["s1", "s2", "h1", "h2", "l1", "l2", "t1", "t2", "z1", "z2", "x"];
const VALUES: &[&str] =
    &["", "a", "b", "c", "10", "-3", "9223372036854775807", "3.5", "x y", "a\r\nlonger value"];
const MEMBERS: &[&str] = &["a", "b", "c", "d", "7", ""];
const SCORES: &[&str] = &["0", "1", "2", "-1", "1.5", "10", "2"];
const BOUNDS: &[&str] = &["-inf", "+inf", "0", "(1", "1.5", "2", "(2", "10", "-1"];

/// One command.
pub fn command() -> impl Strategy<Value = Command> {
    (0..TABLE.len(), any::<[u16; PLACEHOLDERS_MAX]>()).prop_map(|(line, choices)| {
        let mut choices = choices.into_iter().map(usize::from);
        let words = TABLE[line].split(' ');
        words.map(|word| fill(word, &mut choices)).filter(|word| word != LEFT_OUT).collect()
    })
}

/// Stands for an alternative that is empty, which a value may be.
const LEFT_OUT: &str = "\0";

fn fill(word: &str, choices: &mut impl Iterator<Item = usize>) -> String {
    if !word.contains(['$', '|']) {
        return word.to_owned();
    }
    let choice = choices.next().expect("the table has no line with more placeholders");
    let of = |words: &[&str]| words[choice % words.len()].to_owned();
    match word {
        "$s" => of_kind("s1", "s2", choice),
        "$h" => of_kind("h1", "h2", choice),
        "$l" => of_kind("l1", "l2", choice),
        "$t" => of_kind("t1", "t2", choice),
        "$z" => of_kind("z1", "z2", choice),
        "$k" => of(KEYS),
        "$v" => of(VALUES),
        "$m" => of(MEMBERS),
        "$n" => (choice as i64 % 12 - 4).to_string(),
        "$p" => (choice % 6 + 1).to_string(),
        "$f" => of(SCORES),
        "$b" => of(BOUNDS),
        "$e" => (choice as i64 % 9 - 1).to_string(),
        "$x" => (choice % 3000 + 1).to_string(),
        "$u" => (START_MS - 1000 + choice as u64 % 40_000).to_string(),
        "$w" => (START_MS / 1000 - 1 + choice as u64 % 40).to_string(),
        alternatives => match alternatives.split('|').nth(choice % alternatives.split('|').count()) {
            Some("") | None => LEFT_OUT.to_owned(),
            Some(word) => word.to_owned(),
        },
    }
}

/// Mostly one of two keys, at times a key of another kind.
fn of_kind(first: &str, second: &str, choice: usize) -> String {
    match choice % 16 {
        0..=8 => first.to_owned(),
        9..=13 => second.to_owned(),
        _ => KEYS[choice / 16 % KEYS.len()].to_owned(),
    }
}
