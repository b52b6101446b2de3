//! The codec against itself: what is written is read back the same, and nothing that is not a file is taken for one.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use proptest::prelude::*;

use super::*;
use crate::config::Config;
use crate::object::Object;
use crate::time::Time;
use crate::types::{Group, Id, Stream};

/// Every key with its database, its end and its value, in an order that does not depend on how it came to be.
fn content(engine: &Engine) -> BTreeMap<(usize, Vec<u8>), (Option<u64>, String)> {
    let databases = engine.state.databases.iter().enumerate();
    let entries = databases.flat_map(|(db, keyspace)| keyspace.iter().map(move |entry| (db, entry)));
    entries
        .map(|(db, entry)| ((db, entry.key.to_vec()), (entry.expires_ms(), describe(&entry.value))))
        .collect()
}

fn describe(value: &Object) -> String {
    match value {
        Object::String(text) => format!("{text:?}"),
        Object::List(list) => format!("{:?}", list.iter().collect::<Vec<_>>()),
        Object::Hash(hash) => format!("{:?}", hash.iter().collect::<BTreeMap<_, _>>()),
        Object::Set(set) => {
            format!("{:?}", set.iter().map(|member| member.to_vec()).collect::<BTreeSet<_>>())
        }
        // 0 and -0 are the same score; which of the two a member has depends on the order in which members came.
        Object::SortedSet(zset) => {
            format!("{:?}", zset.iter().map(|(member, score)| (member, score + 0.0)).collect::<Vec<_>>())
        }
        Object::Stream(stream) => describe_stream(stream),
    }
}

fn describe_stream(stream: &Stream) -> String {
    let entries: Vec<_> =
        stream.range(Id::MIN, Id::MAX).map(|(id, fields)| (id, fields.collect::<Vec<_>>())).collect();
    let groups: Vec<_> = stream.groups().map(|(name, group)| (name, describe_group(group))).collect();
    let past = (stream.last_id(), stream.max_deleted_id(), stream.entries_added());
    format!("{past:?} {entries:?} {groups:?}")
}

fn describe_group(group: &Group) -> String {
    let pending = group.pending_range(Id::MIN, Id::MAX).map(|(id, pending)| {
        let name = &group.consumer(pending.consumer).name;
        (id, name, pending.delivered_ms, pending.deliveries)
    });
    let pending: Vec<_> = pending.collect();
    let consumers: Vec<_> = group.consumers().map(|consumer| (&consumer.name, consumer.seen_ms)).collect();
    format!("{:?} {:?} {consumers:?} {pending:?}", group.last_id, group.entries_read)
}

fn new_engine() -> Engine {
    Engine::new(Config::default())
}

/// Runs lines of words, none of which may be answered with an error.
fn run(engine: &mut Engine, lines: &[String]) {
    let session = engine.open_session("test", Time::default());
    for line in lines {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let reply = engine.execute(session, &words, Time::from_millis(1000)).reply;
        assert!(reply.as_ref().is_some_and(|reply| !reply.is_error()), "{line}: {reply:?}");
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

fn save(engine: &Engine) -> Vec<u8> {
    let mut file = Vec::new();
    let bytes = engine.save_rdb(&mut file).unwrap();
    assert_eq!(bytes, file.len() as u64);
    file
}

fn load(file: &[u8]) -> Result<(Engine, Loaded)> {
    let mut engine = new_engine();
    let loaded = engine.load_rdb(&mut &*file)?;
    Ok((engine, loaded))
}

/// A bit of everything.
fn small() -> Engine {
    let mut engine = new_engine();
    let text = "
        SET text hello
        SET number -70000 PX 5000
        RPUSH list a 1 -300 b
        SADD integers 1 2 70000
        SADD set a b
        HSET hash f v g 12
        ZADD zset 1.5 a -inf b 3 c
        XADD stream 5-1 f v g w
        XADD stream 5-2 f v g x
        XADD stream 6-0 h 1
        XADD stream 9-0 h 2
        XGROUP CREATE stream group 0
        XREADGROUP GROUP group me COUNT 3 STREAMS stream >
        XGROUP CREATECONSUMER stream group idle
        XDEL stream 5-2
        XGROUP CREATE stream late 6-0
        SELECT 3
        SET elsewhere 1
    ";
    run(&mut engine, &lines(text));
    engine
}

#[test]
fn everything_is_read_back_as_it_was_written() {
    let engine = small();
    let file = save(&engine);
    let (other, loaded) = load(&file).unwrap();
    assert_eq!(content(&other), content(&engine));
    assert_eq!(loaded, Loaded { keys: 9, bytes: file.len() as u64, version: 10 });
}

#[test]
fn what_follows_the_file_is_left() {
    let mut file = save(&small());
    let length = file.len();
    file.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    let mut rest = &file[..];
    assert_eq!(new_engine().load_rdb(&mut rest).unwrap().bytes, length as u64);
    assert_eq!(rest, &file[length..]);
}

#[test]
fn a_file_in_small_pieces_is_read() {
    let engine = small();
    let file = save(&engine);
    let mut pieces = std::io::BufReader::with_capacity(3, &file[..]);
    let mut other = new_engine();
    other.load_rdb(&mut pieces).unwrap();
    assert_eq!(content(&other), content(&engine));
}

#[test]
fn no_part_of_a_file_is_taken_for_one() {
    let file = save(&small());
    for end in 0..file.len() {
        assert!(load(&file[..end]).is_err(), "{end} bytes");
    }
}

#[test]
fn no_file_with_a_changed_bit_is_taken_for_one() {
    let mut file = save(&small());
    for bit in 0..file.len() * 8 {
        file[bit / 8] ^= 1 << (bit % 8);
        assert!(load(&file).is_err(), "bit {bit}");
        file[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn a_failure_of_the_input_is_told_as_it_is() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the cable is out"))
        }
    }
    let file = save(&small());
    for end in [0, 5, 30] {
        let mut input = std::io::BufReader::new((&file[..end]).chain(Failing));
        let error = new_engine().load_rdb(&mut input).unwrap_err();
        assert!(matches!(&error, Error::Input(_)) && error.to_string() == "the cable is out", "{error:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let with = |body: &[u8]| [b"REDIS0010", body].concat();
    for (file, words) in [
        (
            b"REDIS0012\xff".to_vec(),
            "it has RDB version 12; versions up to 11 are read, which Redis up to 7.2 and Valkey up to 8 write",
        ),
        (b"REDIS0000\xff".to_vec(), "at byte 0: it does not begin as an RDB file"),
        (b"RODIS0010\xff".to_vec(), "at byte 0: it does not begin as an RDB file"),
        (with(b"\xf6\x01f"), "at byte 9 it holds a library of functions in the form of a version before 7.0"),
        (
            with(b"\xf5\x01f\xff\0\0\0\0\0\0\0\0"),
            "at byte 9: a library of functions fails: ERR Missing library metadata",
        ),
        (
            with(b"\xf7\x81\x40\x00\x00\x00\x00\x00\x00\x00"),
            "at byte 9 it holds data of the module `QAAAAAAAA`",
        ),
        (with(b"\x07\x01k\x81\0\0\0\0\0\0\0\0"), "at byte 9 it holds a value of the module `AAAAAAAAA`"),
        (with(b"\xfe\x10"), "at byte 10 it holds the database 16, and there are only 16"),
        (with(b"\x16\x01k"), "at byte 9: there is no type 22"),
        (with(b"\0\x01k\x01v\0\x01k\x01v"), "at byte 14: a key is there twice"),
        (with(b"\x02\x01k\x02\x01a\x01a"), "at byte 12: a member of a set is there twice"),
        (with(b"\x05\x01k\x01\x01a\0\0\0\0\0\0\xf8\x7f"), "at byte 12: a score is not a number"),
        (
            with(b"\0\x01k\x81\0\0\0\x02\0\0\0\0"),
            "at byte 21: a string has 8589934592 bytes, which are too many",
        ),
        (with(b"\0\x01k\x80\x7f\xff\xff\xffshort"), "at byte 22: it ends early"),
    ] {
        assert_eq!(load(&file).err().unwrap().to_string(), words);
    }
}

#[test]
fn versions_without_a_checksum_and_files_written_without_one_are_read() {
    let old = b"REDIS0004\xfe\0\xfd\x10\0\0\0\0\x01k\xc1\x2c\x01\xff";
    let (engine, _) = load(old).unwrap();
    assert_eq!(content(&engine), [((0, b"k".to_vec()), (Some(16_000), "b\"300\"".into()))].into());
    let mut new = save(&small());
    let end = new.len() - 8;
    new[end..].fill(0);
    assert_eq!(content(&load(&new).unwrap().0), content(&small()));
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{0,30}",
        any::<i64>().prop_map(|number| number.to_string()),
        (-40_000..40_000_i32).prop_map(|number| number.to_string()),
        (0..20_000_usize, 0..26_u8)
            .prop_map(|(length, letter)| { String::from_utf8(vec![b'a' + letter; length]).unwrap() }),
    ]
}

fn command() -> impl Strategy<Value = String> {
    let key = || 0..4_u8;
    let words = |max: usize| prop::collection::vec(word(), 1..max).prop_map(|words| words.join(" "));
    prop_oneof![
        (key(), word()).prop_map(|(key, text)| format!("SET string{key} {text}")),
        (key(), words(40)).prop_map(|(key, words)| format!("RPUSH list{key} {words}")),
        (key(), words(40)).prop_map(|(key, words)| format!("SADD set{key} {words}")),
        (key(), 0..2000_i64).prop_map(|(key, count)| {
            format!("SADD integers{key} {}", (0..=count).map(|n| n.to_string()).collect::<Vec<_>>().join(" "))
        }),
        (key(), prop::collection::vec((word(), word()), 1..40)).prop_map(|(key, pairs)| {
            let pairs: Vec<String> = pairs.into_iter().map(|(field, value)| format!("{field} {value}")).collect();
            format!("HSET hash{key} {}", pairs.join(" "))
        }),
        (key(), prop::collection::vec((any::<f64>(), word()), 1..40)).prop_map(|(key, pairs)| {
            let pairs = pairs.into_iter().filter(|(score, _)| !score.is_nan());
            let pairs: Vec<String> = pairs.map(|(score, member)| format!("{score:e} {member}")).collect();
            format!("ZADD zset{key} 0 zero {}", pairs.join(" "))
        }),
        (key(), words(6), words(6)).prop_map(|(key, a, b)| {
            let twice = |words: &str| words.split(' ').map(|w| format!("{w} {w}")).collect::<Vec<_>>().join(" ");
            format!("XADD stream{key} * {}\nXADD stream{key} * {}", twice(&a), twice(&b))
        }),
        (key(), 1..300_u16).prop_map(|(key, count)| {
            let add = |n| format!("XADD stream{key} * number {n} same field\n");
            (0..count).map(add).collect::<String>() + &format!("XTRIM stream{key} MAXLEN 250")
        }),
        (key(), 0..3_u8, 1..90_u8).prop_map(|(key, name, count)| format!(
            "XGROUP CREATE stream{key} g{name} 0 MKSTREAM\nXREADGROUP GROUP g{name} c{count} COUNT {count} STREAMS stream{key} >"
        )),
        key().prop_map(|key| format!("XDEL stream{key} 1000-0 1000-3 1000-7 1000-8")),
        (key(), 0..9_000_000_u64).prop_map(|(key, at)| format!("PEXPIREAT string{key} {}", at + 2000)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_written_is_read(commands in prop::collection::vec(command(), 1..30)) {
        let mut engine = new_engine();
        let session = engine.open_session("test", Time::default());
        for line in commands.iter().flat_map(|command| command.lines()) {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            // A group that is there already is no matter.
            engine.execute(session, &words, Time::from_millis(1000));
        }
        let (other, _) = load(&save(&engine)).unwrap();
        prop_assert_eq!(content(&other), content(&engine));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Without a checksum changed bytes can lead to another content, and never to a panic.
    #[test]
    fn changed_bytes_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut file = save(&small());
        let end = file.len() - 8;
        file[end..].fill(0);
        for (place, byte) in changes {
            file[9 + place.index(end - 9)] = byte;
        }
        if let Ok((engine, _)) = load(&file) {
            // What was taken can be written, and is the same then.
            let (again, _) = load(&save(&engine)).unwrap();
            prop_assert_eq!(content(&again), content(&engine));
        }
    }
}

#[test]
fn libraries_of_functions_go_with_the_keys_and_one_by_one() {
    let mut engine = small();
    let session = engine.open_session("test", Time::default());
    let source: &[u8] = b"#!lua name=a\nredis.register_function('f', function() return 5 end)";
    engine.execute(session, &[b"FUNCTION", b"LOAD", source], Time::default());
    let file = save(&engine);
    let (mut other, loaded) = load(&file).unwrap();
    assert_eq!(loaded.keys, content(&engine).len() as u64);
    let session = other.open_session("test", Time::default());
    let outcome = other.execute(session, &[b"FCALL", b"f", b"0"], Time::default());
    assert_eq!(outcome.reply, Some(windlass_resp::Value::Integer(5)));
    assert_eq!(save(&other).len(), file.len());
    let records = records(&file).unwrap();
    assert_eq!(records[0], Record::Library(Library::new(source.to_vec()).unwrap()));
    assert_eq!(records.len() as u64, loaded.keys + 1);
    let mut copy = Vec::new();
    let mut writer = Writer::new(&mut copy);
    for record in &records {
        match record {
            Record::Library(library) => writer.write_library(library),
            Record::Key(saved) => writer.write(saved).unwrap(),
        }
    }
    writer.finish().unwrap();
    assert_eq!(self::records(&copy).unwrap(), records);
}

fn records(file: &[u8]) -> Result<Vec<Record>> {
    let mut input = file;
    let mut reader = Reader::open(&mut input)?;
    std::iter::from_fn(|| reader.next_record().transpose()).collect()
}

#[test]
fn a_library_without_a_name_is_refused_record_by_record_as_well() {
    let error = records(b"REDIS0010\xf5\x01f\xff\0\0\0\0\0\0\0\0").unwrap_err();
    assert_eq!(error.to_string(), "at byte 9: a library of functions fails: ERR Missing library metadata");
}

#[test]
fn a_library_between_the_end_of_a_key_and_the_key_takes_nothing_from_it() {
    let library = b"#!lua name=a\nx";
    let file = [b"REDIS0004\xfd\x10\0\0\0\xf5", &[library.len() as u8][..], library, b"\0\x01k\x01v\xff"];
    let records = records(&file.concat()).unwrap();
    assert!(matches!(
        &records[..],
        [Record::Library(_), Record::Key(Saved { expires_ms: Some(16_000), .. })]
    ));
}
