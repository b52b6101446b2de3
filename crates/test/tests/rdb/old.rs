//! Files in the forms of other versions than that of the Redis at hand, made by hand. Those of older ones are read by
//! Redis as well, which must find the same in them; those of a newer one by us alone.

use std::collections::BTreeMap;
use std::fs;

use tempfile::tempdir;
use windlass_db::faults::Random;
use windlass_db::{Config, Database, EngineConfig};
use windlass_engine::Engine;

use crate::look::{Content, assert_same, content};
use crate::{open, start};

/// When keys end in these files, in seconds.
const LATER: u32 = 2_000_000_000;

fn length(length: usize) -> Vec<u8> {
    match length {
        0..=0x3f => vec![length as u8],
        0x40..=0x3fff => vec![0x40 | (length >> 8) as u8, length as u8],
        _ => [&[0x80][..], &(length as u32).to_be_bytes()].concat(),
    }
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&length(bytes.len()), bytes].concat()
}

fn entry(kind: u8, key: &str, value: &[u8]) -> Vec<u8> {
    [&[kind][..], &string(key.as_bytes()), value].concat()
}

/// A file without a checksum.
fn file(version: u32, entries: &[Vec<u8>]) -> Vec<u8> {
    let mut file = format!("REDIS{version:04}").into_bytes();
    file.extend([0xfe, 0]);
    file.extend(entries.concat());
    file.push(0xff);
    if version >= 5 {
        file.extend([0; 8]);
    }
    file
}

/// A ziplist of items that are already in their forms.
fn ziplist(items: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0; 10];
    let (mut before, mut tail) = (0_usize, 10);
    for item in items {
        tail = bytes.len();
        match u8::try_from(before) {
            Ok(short @ 0..254) => bytes.push(short),
            _ => bytes.extend([&[254][..], &(before as u32).to_le_bytes()].concat()),
        }
        bytes.extend(item);
        before = bytes.len() - tail;
    }
    bytes.push(255);
    let all = bytes.len() as u32;
    bytes[..4].copy_from_slice(&all.to_le_bytes());
    bytes[4..8].copy_from_slice(&(tail as u32).to_le_bytes());
    bytes[8..10].copy_from_slice(&(items.len() as u16).to_le_bytes());
    bytes
}

fn zip_text(text: &[u8]) -> Vec<u8> {
    let length = text.len();
    let head = match length {
        0..=0x3f => vec![length as u8],
        0x40..=0x3fff => vec![0x40 | (length >> 8) as u8, length as u8],
        _ => [&[0x80][..], &(length as u32).to_be_bytes()].concat(),
    };
    [&head, text].concat()
}

/// Items in every form that a ziplist has.
fn zip_items() -> Vec<Vec<u8>> {
    vec![
        zip_text(b""),
        zip_text(b"short"),
        zip_text(&[b'm'; 300]),
        zip_text(&[b'l'; 20_000]),
        b"\xf1".to_vec(),
        b"\xfd".to_vec(),
        b"\xfe\x9c".to_vec(),
        b"\xc0\x00\x80".to_vec(),
        b"\xf0\x01\x00\x80".to_vec(),
        b"\xd0\x00\x00\x00\x80".to_vec(),
        b"\xe0\x00\x00\x00\x00\x00\x00\x00\x80".to_vec(),
        zip_text(b"last"),
    ]
}

/// A listpack of short texts and of numbers below 128, each with how it is to be read.
fn listpack(items: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![0; 6];
    for item in items {
        let number = std::str::from_utf8(item).ok().and_then(|text| text.parse::<u8>().ok());
        let start = bytes.len();
        match number.filter(|number| *number < 128) {
            Some(number) => bytes.push(number),
            None => bytes.extend([&[0x80 | item.len() as u8][..], item].concat()),
        }
        bytes.push((bytes.len() - start) as u8);
    }
    bytes.push(255);
    let all = bytes.len() as u32;
    bytes[..4].copy_from_slice(&all.to_le_bytes());
    bytes[4..6].copy_from_slice(&(items.len() as u16).to_le_bytes());
    bytes
}

fn id(ms: u64, seq: u64) -> Vec<u8> {
    [ms.to_be_bytes(), seq.to_be_bytes()].concat()
}

/// A stream of three entries after 5-1, of which one is deleted, and a group in which two are pending.
fn stream(kind: u8) -> Vec<u8> {
    let node = listpack(&[
        b"2", b"1", b"1", b"f", b"0", // The head: two there, one deleted, one field.
        b"2", b"0", b"0", b"one", b"4", // 5-1, by the same fields.
        b"3", b"0", b"1", b"two", b"4", // 5-2, deleted.
        b"0", b"1", b"2", b"2", b"g", b"three", b"h", b"44", b"8", // 6-3, by its own.
    ]);
    let mut bytes = [length(1), string(&id(5, 1)), string(&node), length(2), length(6), length(3)].concat();
    if kind > 15 {
        // The first id, the greatest deleted, the number ever added.
        bytes.extend([5, 1, 5, 2, 3]);
    }
    bytes.extend([length(1), string(b"group"), length(6), length(3)].concat());
    if kind > 15 {
        bytes.extend(length(3));
    }
    bytes.extend(length(2));
    for (entry, count) in [(id(5, 1), 1), (id(5, 2), 300)] {
        bytes.extend([entry, 1_600_000_000_000_u64.to_le_bytes().to_vec(), length(count)].concat());
    }
    bytes.extend(length(2));
    for (name, pending) in [(&b"idle"[..], vec![]), (b"me", vec![id(5, 1), id(5, 2)])] {
        bytes.extend([string(name), 1_600_000_000_001_u64.to_le_bytes().to_vec()].concat());
        if kind == 21 {
            bytes.extend(1_600_000_000_000_u64.to_le_bytes());
        }
        bytes.extend([length(pending.len()), pending.concat()].concat());
    }
    bytes
}

/// Values of the types before Redis 7.
fn old_entries() -> Vec<Vec<u8>> {
    let pairs = |texts: &[&[u8]]| texts.iter().map(|text| string(text)).collect::<Vec<_>>().concat();
    let scored: Vec<Vec<u8>> = zip_items()
        .into_iter()
        .zip(0..)
        .flat_map(|(item, score)| {
            [
                item,
                if score % 2 == 0 { zip_text(format!("{score}.5").as_bytes()) } else { vec![0xf1 + score] },
            ]
        })
        .collect();
    vec![
        entry(0, "text", &string(b"plain")),
        entry(0, "compressed", b"\xc3\x05\x40\x6c\x00a\xe0\x62\x00"),
        [&[0xfd][..], &LATER.to_le_bytes(), &entry(0, "int8", b"\xc0\x85")].concat(),
        [&[0xfc][..], &(u64::from(LATER) * 1000 + 7).to_le_bytes(), &entry(0, "int16", b"\xc1\x00\x80")]
            .concat(),
        entry(0, "int32", b"\xc2\x00\x00\x00\x80"),
        entry(1, "list", &[length(3), pairs(&[b"a", b"1", b"a"])].concat()),
        entry(2, "set", &[length(2), pairs(&[b"a", b"-1"])].concat()),
        entry(
            3,
            "zset",
            &[length(4), string(b"a"), b"\x031.5".to_vec(), string(b"b"), b"\xfe".to_vec(), string(b"c")]
                .into_iter()
                .chain([b"\xff".to_vec(), string(b"d"), b"\x14-1.2345678901234e-10".to_vec()])
                .collect::<Vec<_>>()
                .concat(),
        ),
        entry(4, "hash", &[length(2), pairs(&[b"f", b"v", b"g", b"7"])].concat()),
        entry(9, "zipmap", &string(b"\x02\x03foo\x03\x00bar\x05hello\x05\x02worldxx\xff")),
        entry(10, "ziplist", &string(&ziplist(&zip_items()))),
        entry(11, "set16", &string(b"\x02\0\0\0\x03\0\0\0\x00\x80\xff\xff\x07\x00")),
        entry(11, "set32", &string(b"\x04\0\0\0\x02\0\0\0\xff\xff\xfe\xff\x00\x00\x01\x00")),
        entry(11, "set64", &string(b"\x08\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\x80")),
        entry(12, "zset of a ziplist", &string(&ziplist(&scored))),
        entry(13, "hash of a ziplist", &string(&ziplist(&zip_items()))),
        entry(
            14,
            "quicklist",
            &[length(2), string(&ziplist(&zip_items())), string(&ziplist(&[zip_text(b"z")]))].concat(),
        ),
    ]
}

fn ours(bytes: &[u8]) -> Content {
    let directory = tempdir().expect("a directory can be made");
    fs::write(directory.path().join("dump.rdb"), bytes).expect("a file can be made");
    open(directory.path()).1
}

fn check(bytes: &[u8], when: &str) {
    let found = ours(bytes);
    let directory = tempdir().expect("a directory can be made");
    fs::write(directory.path().join("dump.rdb"), bytes).expect("a file can be made");
    let Some((_server, mut redis)) = start(directory.path(), &[]) else { return };
    assert_same(&found, &content(&mut redis, false), when);
}

#[test]
fn the_forms_of_older_versions_are_read_as_redis_reads_them() {
    for version in [1, 4, 5, 9] {
        check(&file(version, &old_entries()), &format!("version {version}"));
    }
    let mut entries = old_entries();
    let used =
        [&b"\xf8\x05"[..], &entry(0, "idle", &string(b"v")), b"\xf9\x05", &entry(0, "often", &string(b"v"))];
    entries.insert(0, [b"\xfa", &*string(b"redis-ver"), &string(b"6.2.0"), b"\xfb\x11\x02"].concat());
    entries.push(used.concat());
    entries.push(entry(15, "stream", &stream(15)));
    check(&file(9, &entries), "with streams");
}

#[test]
fn the_forms_of_redis_7_2_are_read() {
    let old = ours(&file(10, &[old_entries(), vec![entry(19, "stream", &stream(19))]].concat()));
    let set = entry(20, "packed", &string(&listpack(&[b"a", b"12", b"a longer one"])));
    let found = ours(&file(11, &[old_entries(), vec![entry(21, "stream", &stream(21)), set]].concat()));
    let twin = Database::memory(Config::default()).expect("the default configuration");
    let mut session = twin.session("test");
    session.call(&[b"SADD", b"packed", b"a", b"12", b"a longer one"]);
    let expected: BTreeMap<_, _> = old.into_iter().chain(content(&mut session, false)).collect();
    assert_same(&found, &expected, "version 11");
}

/// No checksum says here that a byte is not right: the forms must bear it themselves.
#[test]
fn changed_bytes_in_any_form_never_panic() {
    const ROUNDS: usize = 4000;
    let all =
        [old_entries(), vec![entry(15, "stream", &stream(15)), entry(21, "newer", &stream(21))]].concat();
    let mut random = Random::new(7);
    let (mut taken, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        let mut file = file(11, &all[round % all.len()..][..1]);
        let (start, end) = (b"REDIS0011".len(), file.len() - 8);
        // The long texts are left alone mostly: little is to be found there.
        let reach = (end - start).min(if round % 8 == 0 { usize::MAX } else { 120 });
        for _ in 0..=random.below(3) {
            file[start + random.below(reach)] = random.draw() as u8;
        }
        let mut engine = Engine::new(EngineConfig::default());
        match engine.load_rdb(&mut &file[..]) {
            Ok(_) => {
                taken += 1;
                engine.save_rdb(&mut std::io::sink()).expect("nothing is written");
            }
            Err(_) => refused += 1,
        }
    }
    assert!(taken > ROUNDS / 20 && refused > ROUNDS / 20, "{taken} taken, {refused} refused");
}
