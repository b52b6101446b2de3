//! The end of `windlass serve` by a client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::command;

struct Server {
    child: Child,
    address: String,
    _folder: TempDir,
}

impl Server {
    fn start(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let args = [&["serve", "--bind", "127.0.0.1:0"], flags].concat();
        let mut serve = command(folder.path(), &args);
        let mut child = serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the command runs");
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("it says where it listens");
        let address = line.strip_prefix("ready on ").and_then(|rest| rest.split(',').next());
        let address = address.unwrap_or_else(|| panic!("it said {line}")).to_owned();
        Self { child, address, _folder: folder }
    }

    /// A client that has sent something.
    fn ask(&self, request: &str) -> BufReader<TcpStream> {
        let mut client = TcpStream::connect(&self.address).expect("it listens");
        client.write_all(request.as_bytes()).expect("the server reads");
        BufReader::new(client)
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// The code that it ends with when somebody asks for that.
    fn code_after_shutdown(mut self) -> Option<i32> {
        let mut client = self.ask("SHUTDOWN NOSAVE\r\n");
        let mut said = String::new();
        let _ = client.read_to_string(&mut said);
        assert_eq!(said, "", "a shutdown that works is not answered");
        self.child.wait().expect("it ends").code()
    }
}

#[test]
fn shutdown_ends_the_process() {
    let server = Server::start(&[]);
    assert_eq!(server.code_after_shutdown(), Some(0));
}

#[test]
fn shutdown_ends_the_process_in_the_midst_of_a_script_that_has_written() {
    let (server, _runner) = held();
    assert_eq!(server.code_after_shutdown(), Some(0));
}

/// A server that a script holds which cannot be stopped any more.
fn held() -> (Server, BufReader<TcpStream>) {
    let server = Server::start(&["--busy-reply-threshold", "10"]);
    let runner = server.ask("EVAL \"redis.call('set', 'k', 1) while true do end\" 0\r\n");
    let mut said = String::new();
    while !said.starts_with("-BUSY") {
        said.clear();
        server.ask("PING\r\n").read_line(&mut said).expect("an answer");
    }
    (server, runner)
}

#[test]
fn a_second_signal_forces_the_end_while_a_script_is_busy() {
    for second in [Signal::TERM, Signal::INT] {
        let (mut server, _runner) = held();
        server.signal(Signal::TERM);
        std::thread::sleep(Duration::from_millis(300));
        assert!(server.child.try_wait().expect("it can be asked").is_none(), "it waits for the script");
        server.signal(second);
        assert_eq!(server.child.wait().expect("it ends").code(), Some(5));
    }
}

#[test]
fn a_signal_that_comes_twice_at_once_is_one() {
    let (mut server, _runner) = held();
    for _ in 0..2 {
        server.signal(Signal::TERM);
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    assert!(server.child.try_wait().expect("it can be asked").is_none(), "it waits for the script");
    server.signal(Signal::TERM);
    assert_eq!(server.child.wait().expect("it ends").code(), Some(5));
}
