//! Stores that are not fit for jobs, as a server says that knows nothing but its version and one key.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::{code, stderr, windlass};

/// A server that answers INFO with this version and GET with this layout; it ends with the test.
fn start(version: &'static str, layout: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("redis://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream, version, layout));
        }
    });
    url
}

/// Answers commands until the other end has enough, which reading then fails by.
fn serve(stream: TcpStream, version: &str, layout: &str) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let name = read_command(&mut reader)?;
        let info = format!("# Server\r\nredis_version:{version}\r\n");
        let reply = match name.as_str() {
            "PING" => "+PONG\r\n".to_owned(),
            "INFO" => format!("${}\r\n{info}\r\n", info.len()),
            "GET" => format!("${}\r\n{layout}\r\n", layout.len()),
            "SET" => "$-1\r\n".to_owned(),
            _ => "-ERR unknown command\r\n".to_owned(),
        };
        writer.write_all(reply.as_bytes()).ok()?;
    }
}

/// The name of the next command.
fn read_command(reader: &mut impl BufRead) -> Option<String> {
    let count = read_number(reader)?;
    let mut name = None;
    for _ in 0..count {
        let mut word = vec![0; read_number(reader)? + 2];
        reader.read_exact(&mut word).ok()?;
        name = name.or_else(|| Some(String::from_utf8_lossy(&word).trim_end().to_uppercase()));
    }
    name
}

/// The number in a line that begins with a sign.
fn read_number(reader: &mut impl BufRead) -> Option<usize> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    line.get(1..)?.trim_end().parse().ok()
}

#[test]
fn a_store_that_is_not_fit_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases = [
        (
            "5.0.14",
            "1",
            "the store is Redis 5.0.14; Windlass needs Redis 6.2 or later, or Valkey: upgrade the server",
        ),
        ("7.0.15", "99", "has layout 99, and Windlass"),
    ];
    for (version, layout, wanted) in cases {
        let url = start(version, layout);
        for command in [&["job", "push", "mail"][..], &["queue", "ls"]] {
            let output = windlass(folder.path(), &[&["--store", &url], command].concat());
            let said = stderr(&output);
            assert!(said.contains(wanted) && !said.contains("panicked"), "{command:?} said {said}");
            assert_eq!(code(&output), 4, "{command:?} said {said}");
        }
    }
}
