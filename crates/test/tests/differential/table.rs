//! Which commands are made: a line each, with placeholders.
//!
//! A word with bars is one of its alternatives, and left out when that is empty. `$s $h $l $t $z $x $p` are keys, mostly
//! of a string, hash, list, set, sorted set, stream or HyperLogLog; `$k` is any key; `$v` a value, `$m` a field or member,
//! `$n` a number, `$c` a count, `$f` a score, `$b` a bound of scores, `$y` one of members, `$i` an id, `$e` a moment far
//! away. What is chosen at random, depends on
//! the time or on how things lie in memory is not here, nor what docs/compatibility.md says is different.

/// A command and its arguments.
pub type Command = Vec<String>;

/// The keys of most commands.
pub const KEYS: &[&str] = &["s1", "s2", "h1", "h2", "l1", "l2", "t1", "t2", "z1", "z2", "x1", "p1", "p2"];
/// Keys of commands whose replies are the same only for some values.
pub const OWN_KEYS: &[&str] = &["f1", "lex"];

const TABLE: &[&str] = &[
    // Transactions.
    "MULTI",
    "MULTI",
    "EXEC",
    "EXEC",
    "EXEC",
    "DISCARD",
    "WATCH $k",
    "UNWATCH",
    // Keys.
    "DEL $k $k",
    "DEL $k",
    "UNLINK $k",
    "EXISTS $k $k $k",
    "TOUCH $k $k",
    "TYPE $k",
    "KEYS *|s*|?1|[hl]*",
    "EXPIREAT $k $e NX|XX|GT|LT||||",
    "PEXPIREAT $k $e000 NX|XX|GT|LT|||",
    "PEXPIREAT $k 1",
    "PERSIST $k",
    "EXPIRETIME $k",
    "PEXPIRETIME $k",
    "RENAME $k $k",
    "RENAMENX $k $k",
    "COPY $k $k REPLACE|",
    "MOVE $k 1",
    "OBJECT ENCODING $k",
    "SORT $l ASC|DESC| ALPHA| LIMIT| $n $n",
    "SORT $l ALPHA DESC|",
    "SORT $l ALPHA LIMIT $n $n GET #|s*|h*->a|z",
    "SORT $t ALPHA STORE $k",
    "SORT $l BY nosort STORE $k",
    "SORT $z",
    "SWAPDB 0 0|16|x",
    // Strings.
    "SET $s $v",
    "SET $s $v KEEPTTL| NX|XX| GET|",
    "SET $s $v EXAT $e NX|XX| GET|",
    "SETNX $s $v",
    "GET $s",
    "GETSET $s $v",
    "GETDEL $s",
    "GETEX $s PERSIST|",
    "GETEX $s EXAT $e",
    "MSET $s $v $k $v",
    "MSETNX $s $v $s $v",
    "MGET $s $k",
    "APPEND $s $v",
    "STRLEN $s",
    "INCR $s",
    "DECR $s",
    "INCRBY $s $n",
    "DECRBY $s -9223372036854775808|9223372036854775807|1",
    "INCRBYFLOAT f1 0.5|-2.25|1e3|inf|3|x",
    "GETRANGE $s $n $n",
    "SETRANGE $s $n $v",
    "SETBIT $s $c 0|1|2",
    "GETBIT $s $n",
    "BITCOUNT $s",
    "BITCOUNT $s $n $n BYTE|BIT|",
    "BITPOS $s 0|1",
    "BITPOS $s 0|1 $n $n BYTE|BIT|",
    "BITOP AND|OR|XOR $s $s $s",
    "BITOP NOT $s $s",
    "BITFIELD $s SET u8|i5|u63|i64 $c|#1 $n GET u4 0",
    "BITFIELD $s OVERFLOW WRAP|SAT|FAIL INCRBY i8|u2|u16 $c $n",
    "BITFIELD_RO $s GET i8|u3 $c",
    "LCS $s $s LEN|IDX| WITHMATCHLEN|",
    // HyperLogLog.
    "PFADD $p $m $v $n",
    "PFADD $p $c $n",
    "PFADD $p",
    "PFCOUNT $p",
    "PFCOUNT $p $p",
    "PFMERGE $p $p",
    "GET $p",
    // Hashes.
    "HSET $h $m $v $m $v",
    "HSETNX $h $m $v",
    "HGET $h $m",
    "HMGET $h $m $m",
    "HGETALL $h",
    "HDEL $h $m $m",
    "HLEN $h",
    "HEXISTS $h $m",
    "HINCRBY $h $m $n",
    "HINCRBYFLOAT $h number 1.5|-0.25|x",
    "HKEYS $h",
    "HVALS $h",
    "HSTRLEN $h $m",
    // Lists.
    "LPUSH $l $v $v",
    "RPUSH $l $v $v $n",
    "LPUSHX|RPUSHX $l $v",
    "LPOP|RPOP $l 0|1|2|-1|||",
    "LLEN $l",
    "LRANGE $l $n $n",
    "LINDEX $l $n",
    "LSET $l $n $v",
    "LREM $l $n $v",
    "LTRIM $l $n $n",
    "LINSERT $l BEFORE|AFTER|X $v $v",
    "LMOVE $l $l LEFT|RIGHT LEFT|RIGHT",
    "RPOPLPUSH $l $l",
    "LMPOP 2 $l $l LEFT|RIGHT COUNT 2",
    "LPOS $l $v RANK $n COUNT $n MAXLEN 2|0",
    // Sets.
    "SADD $t $m $m $n",
    "SADD $t $n $n",
    "SREM $t $m $n",
    "SISMEMBER $t $m",
    "SMISMEMBER $t $m $n",
    "SMEMBERS $t",
    "SCARD $t",
    "SMOVE $t $t $m",
    "SINTER|SUNION|SDIFF $t $t",
    "SINTERSTORE|SUNIONSTORE|SDIFFSTORE $k $t $t",
    "SINTERCARD 2 $t $t LIMIT $c",
    // Sorted sets.
    "ZADD $z $f $m $f $m",
    "ZADD $z NX|XX|GT|LT| CH| INCR| $f $m",
    "ZADD $z 0 $m 0 $m",
    "ZINCRBY $z $f $m",
    "ZREM $z $m $m",
    "ZSCORE $z $m",
    "ZMSCORE $z $m $m",
    "ZCARD $z",
    "ZRANK|ZREVRANK $z $m",
    "ZCOUNT $z $b $b",
    "ZADD lex 0 $m 0 $m",
    "ZADD lex 0 $m 0 $m",
    "ZLEXCOUNT lex $y $y",
    "ZRANGE $z $n $n REV| WITHSCORES|",
    "ZRANGE $z $b $b BYSCORE LIMIT $n $n WITHSCORES|",
    "ZRANGE $z $b $b BYSCORE REV",
    "ZRANGE lex $y $y BYLEX REV|",
    "ZRANGEBYSCORE $z $b $b WITHSCORES| LIMIT $n $n",
    "ZREVRANGEBYSCORE $z $b $b",
    "ZRANGEBYLEX|ZREVRANGEBYLEX lex $y $y",
    "ZREMRANGEBYRANK $z $n $n",
    "ZREMRANGEBYSCORE $z $b $b",
    "ZREMRANGEBYLEX lex $y $y",
    "ZPOPMIN|ZPOPMAX $z 2|1|0||",
    "ZMPOP 2 $z $z MIN|MAX COUNT $c",
    "ZUNION|ZINTER 2 $z $z WEIGHTS 2 3 AGGREGATE SUM|MIN|MAX WITHSCORES|",
    "ZDIFF 2 $z $t WITHSCORES|",
    "ZUNIONSTORE|ZINTERSTORE $k 2 $z $t WEIGHTS 2 3",
    "ZDIFFSTORE $k 2 $z $z",
    "ZINTERCARD 2 $z $z LIMIT $c",
    "ZRANGESTORE $k $z $n $n REV|",
    // Streams.
    "XADD $x $i f $v",
    "XADD $x $i f $v",
    "XADD $x MAXLEN|MINID =| $c $i f $v",
    "XADD $x NOMKSTREAM $i f v",
    "XLEN $x",
    "XRANGE $x - + COUNT 3",
    "XRANGE $x $i (9-1",
    "XREVRANGE $x + $i",
    "XDEL $x $i $i",
    "XTRIM $x MAXLEN $c",
    "XREAD COUNT 2 STREAMS $x $i",
    "XGROUP CREATE $x g 0|$|$i MKSTREAM|",
    "XGROUP CREATECONSUMER $x g alice|bob",
    "XGROUP DELCONSUMER $x g alice|bob",
    "XGROUP DESTROY $x g",
    "XGROUP SETID $x g $i",
    "XREADGROUP GROUP g alice|bob COUNT 2 NOACK|||| STREAMS $x >",
    "XREADGROUP GROUP g alice|bob STREAMS $x 0|$i",
    "XACK $x g $i $i",
    "XCLAIM $x g alice|bob 0 $i FORCE| JUSTID|",
    "XAUTOCLAIM $x g bob 0 0 COUNT 2 JUSTID|",
    "XPENDING $x g",
    "XSETID $x 30-3|31-1",
    // Scripts.
    "@script SET $k $v",
    "@script LPUSH $l $v",
    "@script HGET $h $m",
    "@script ZADD $z $f $m",
    "@script ZRANGE $z 0 -1 WITHSCORES",
    "@script SMISMEMBER $t $m $m",
    "@script INCR $s",
    "@script SORT $t BY nosort ALPHA|",
    "@script NOSUCH",
    "@script GET",
    "@protected INCR $s",
    "@protected LRANGE $l 0 -1",
    "@several SET $s $v ; APPEND $s $v ; STRLEN $s ; INCR $s ; GET $s",
    "@several RPUSH $l $v $v ; LMOVE $l $l LEFT RIGHT ; LRANGE $l 0 -1 ; LPOP $l 2",
    "@several HSET $h $m $v ; HINCRBY $h $m $n ; HMGET $h $m $m ; HDEL $h $m ; HLEN $h",
    "@several ZADD $z $f $m ; ZINCRBY $z $f $m ; ZSCORE $z $m ; ZRANGE $z 0 -1 WITHSCORES ; ZPOPMIN $z",
    "@several XADD $x $i f $v ; XREADGROUP GROUP g alice COUNT 1 STREAMS $x > ; XACK $x g $i ; XLEN $x",
    "@several DEL $k ; SADD $k $m ; EXPIREAT $k $e ; SMOVE $k $t $m ; EXISTS $k ; TYPE $k",
    "@several SELECT 1 ; SET $k $v ; SELECT 0 ; GET $k ; NOSUCH ; GET",
    "EVAL return|x{ 0",
];

const VALUES: &[&str] =
    &["", "a", "b", "10", "-3", "9223372036854775807", "3.5", "x y", "0", "abcab", "a\r\nb"];
const MEMBERS: &[&str] =
    &["a", "b", "c", "d", "7", "", "a longer member of more than sixty-four bytes, which no listpack holds"];
const SCORES: &[&str] = &["0", "1", "2", "-1", "1.5", "inf", "-inf", "3e2", "x"];
const BOUNDS: &[&str] = &["-inf", "+inf", "0", "(1", "1.5", "(2", "10", "x"];
const LEX_BOUNDS: &[&str] = &["-", "+", "[a", "(a", "[c", "(d", "x"];
const IDS: &[&str] =
    &["1-1", "2-1", "2-2", "3-0", "5-*", "7-3", "9", "1", "0-0", "x", "12-1", "20-2", "30-3"];
const MOMENTS: &[&str] = &["9999999999", "9999999990", "9999999995"];

/// What a script runs: the command that its arguments are.
const SCRIPT: &str = "return redis.call(unpack(ARGV))";
const PROTECTED: &str =
    "local r = redis.pcall(unpack(ARGV)) return type(r) == 'table' and (r.err or #r) or r";

/// As that, for commands with semicolons between; answers all that they answer.
const SEVERAL: &str = "local replies, words = {}, {} \
    local function call() replies[#replies + 1] = redis.pcall(unpack(words)) words = {} end \
    for _, word in ipairs(ARGV) do if word == ';' then call() else words[#words + 1] = word end end \
    call() return replies";

/// A sequence of commands, the same for the same seed.
pub fn sequence(seed: u64, length: usize) -> Vec<Command> {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    (0..length).map(|_| command(&mut dice)).collect()
}

fn command(dice: &mut Dice) -> Command {
    let line = TABLE[dice.below(TABLE.len())];
    let mut words: Command =
        line.split(' ').map(|word| fill(word, dice)).filter(|word| word != LEFT_OUT).collect();
    for (mark, script) in [("@script", SCRIPT), ("@protected", PROTECTED), ("@several", SEVERAL)] {
        if words[0] == mark {
            words.splice(0..1, ["EVAL", script, "0"].map(str::to_owned));
        }
    }
    words
}

/// Stands for an alternative that is empty, which a value may be.
const LEFT_OUT: &str = "\0";

fn fill(word: &str, dice: &mut Dice) -> String {
    let mut of = |words: &[&str]| words[dice.below(words.len())].to_owned();
    match word {
        "$s" => of_kind(dice, &["s1", "s2"]),
        "$h" => of_kind(dice, &["h1", "h2"]),
        "$l" => of_kind(dice, &["l1", "l2"]),
        "$t" => of_kind(dice, &["t1", "t2"]),
        "$z" => of_kind(dice, &["z1", "z2"]),
        "$x" => of_kind(dice, &["x1"]),
        "$p" => of_kind(dice, &["p1", "p2"]),
        "$k" => of(KEYS),
        "$v" => of(VALUES),
        "$m" => of(MEMBERS),
        "$f" => of(SCORES),
        "$b" => of(BOUNDS),
        "$y" => of(LEX_BOUNDS),
        "$i" => of(IDS),
        "$e" => of(MOMENTS),
        "$e000" => of(MOMENTS) + "000",
        "$n" => (dice.below(12) as i64 - 4).to_string(),
        "$c" => dice.below(20).to_string(),
        _ if word.contains('|') => {
            let alternatives: Vec<&str> = word.split('|').collect();
            match alternatives[dice.below(alternatives.len())] {
                "" => LEFT_OUT.to_owned(),
                chosen if chosen.len() > 1 && chosen.starts_with('$') => fill(chosen, dice),
                chosen => chosen.to_owned(),
            }
        }
        plain => plain.to_owned(),
    }
}

/// Mostly one of a kind's keys, at times another.
fn of_kind(dice: &mut Dice, keys: &[&str]) -> String {
    let all = if dice.below(16) == 0 { KEYS } else { keys };
    all[dice.below(all.len())].to_owned()
}

/// Numbers that look like chance: xorshift.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }
}
