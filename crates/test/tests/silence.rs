//! What CLIENT REPLY leaves of transactions, byte by byte: no fixture can hold an array that is cut short.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use windlass_test::our_server::OurServer;
use windlass_test::redis_server::RedisServer;

/// Lines of commands, and what is sent for them.
const CASES: &[(&str, &str)] = &[
    (
        "MULTI|ECHO a|CLIENT REPLY OFF|ECHO b|EXEC|PING|CLIENT REPLY ON",
        "+OK +QUEUED +QUEUED +QUEUED *3 $1 a +OK",
    ),
    (
        "MULTI|CLIENT REPLY OFF|ECHO a|CLIENT REPLY ON|ECHO b|EXEC",
        "+OK +QUEUED +QUEUED +QUEUED +QUEUED *4 +OK $1 b",
    ),
    ("CLIENT REPLY OFF|MULTI|ECHO a|CLIENT REPLY ON|ECHO b|EXEC", "+OK $1 b"),
    ("MULTI|ECHO a|CLIENT REPLY SKIP|ECHO b|EXEC|PING", "+OK +QUEUED +QUEUED +QUEUED *3 $1 a $1 b"),
    ("MULTI|CLIENT REPLY SKIP|CLIENT REPLY ON|EXEC|PING", "+OK +QUEUED +QUEUED *2 +OK"),
    ("CLIENT REPLY SKIP|MULTI|CLIENT REPLY SKIP|EXEC|PING", "+QUEUED *1"),
    ("MULTI|ECHO a|CLIENT REPLY FOO|EXEC", "+OK +QUEUED +QUEUED *2 $1 a -ERR syntax error"),
    (
        "MULTI|CLIENT REPLY OFF|SUBSCRIBE c|CLIENT REPLY ON|EXEC",
        "+OK +QUEUED +QUEUED +QUEUED *3 *3 $9 subscribe $1 c :1 +OK *2 $4 pong",
    ),
    ("CLIENT REPLY SKIP|BLPOP k 0.01", ""),
];

/// The answer to the last command of a case, in whatever it is wrapped.
const END: &str = "$3\r\nend\r\n";

#[test]
fn replies_within_a_transaction_are_kept_back_as_in_redis() {
    let ours = OurServer::start();
    check(ours.address());
    if let Some(redis) = RedisServer::start_or_skip(&[]) {
        check(redis.address());
    }
}

fn check(address: SocketAddr) {
    for (commands, expected) in CASES {
        let mut stream = TcpStream::connect(address).expect("the server listens");
        let lines = format!("{commands}|PING end|").replace('|', "\r\n");
        stream.write_all(lines.as_bytes()).expect("the server reads");
        let mut said = String::new();
        while !said.ends_with(END) {
            let mut bytes = [0; 1024];
            let count = stream.read(&mut bytes).expect("the server answers");
            assert_ne!(count, 0, "{commands}: {said}");
            said += std::str::from_utf8(&bytes[..count]).expect("it is text");
        }
        let told = said.strip_suffix(END).expect("just seen").replace("\r\n", " ");
        assert_eq!(told.trim_end(), *expected, "{commands}");
    }
}
