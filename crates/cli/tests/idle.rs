//! What clients cost that say nothing: 10,000 of them, or as many as this machine's limit of open files lets us have.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::command;

const CLIENTS: u64 = 10_000;
/// The most memory that one of them may take.
const BYTES_MAX: u64 = 20 << 10;
/// The files that this process has open besides.
const FILES_RESERVED: u64 = 100;

struct Server {
    child: Child,
    address: String,
    _output: BufReader<ChildStdout>,
}

impl Server {
    fn start(folder: &std::path::Path) -> Self {
        let mut serve = command(folder, &["serve", "--bind", "127.0.0.1:0"]);
        let mut child = serve.stdout(Stdio::piped()).spawn().expect("the command runs");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("it says where it listens");
        let address = line.strip_prefix("ready on ").and_then(|rest| rest.split(',').next());
        let address = address.unwrap_or_else(|| panic!("it said {line}")).to_owned();
        Self { child, address, _output: output }
    }

    /// The bytes of memory that it has from the system.
    fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kilobytes << 10
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As many clients as there are to be and can be.
fn possible() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = CLIENTS + FILES_RESERVED;
    let allowed = limit.maximum.map_or(wanted, |maximum| wanted.min(maximum));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum: limit.maximum });
    let files = if raised.is_ok() { allowed } else { limit.current.unwrap_or(allowed) };
    files.saturating_sub(FILES_RESERVED).min(CLIENTS)
}

/// Sends to each and takes its reply.
fn exchange(clients: &mut [TcpStream], request: &[u8], reply_bytes: usize) {
    let mut reply = vec![0; reply_bytes];
    for client in clients {
        client.write_all(request).expect("the server reads");
        client.read_exact(&mut reply).expect("the server answers");
    }
}

#[test]
fn an_idle_client_costs_little_whatever_it_did_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path());
    let connect = || TcpStream::connect(&server.address).expect("it listens");
    let value = "x".repeat(100 << 10);
    let set = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n{value}\r\n", value.len());
    exchange(&mut [connect()], set.as_bytes(), "+OK\r\n".len());
    let before = server.resident();
    let mut clients: Vec<TcpStream> = (0..possible()).map(|_| connect()).collect();
    exchange(&mut clients, b"*1\r\n$4\r\nPING\r\n", "+PONG\r\n".len());
    let count = clients.len() as u64;
    let idle = server.resident().saturating_sub(before) / count;
    println!("{count} idle clients took {idle} bytes each");
    assert!(count >= 100, "only {count} clients are possible");
    assert!(idle <= BYTES_MAX, "{idle} bytes each");
    // Long replies, a long request, and one that was only announced, leave nothing behind.
    let reply_bytes = format!("${}\r\n{value}\r\n", value.len()).len();
    exchange(&mut clients[..1000.min(count as usize)], b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", reply_bytes);
    exchange(&mut clients[..1000.min(count as usize)], set.as_bytes(), "+OK\r\n".len());
    for client in &mut clients {
        client.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nxyz").expect("the server reads");
    }
    exchange(&mut [connect()], b"PING\r\n", "+PONG\r\n".len());
    let after = server.resident().saturating_sub(before) / count;
    println!("and {after} bytes each after long replies and announced requests");
    assert!(after <= BYTES_MAX, "{after} bytes each");
}
