//! `factors`: what it promises when it is killed, and what it answers to a submission that it does not take.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use windlass::{Client, State};

use super::{lines, start_with};

const NUMBERS: usize = 200;
/// Post-backs that may have arrived and not been acknowledged when the process was killed: as many as are under way.
const POST_BACKS_MAX: usize = 64;

/// The addresses of the service and of the receiver, on ports that are free.
fn free() -> [String; 2] {
    let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    ports.map(|port| port.local_addr().expect("an address").to_string())
}

/// A run with traffic of its own.
fn run(folder: &Path, [listen, receiver]: &[String; 2]) -> Child {
    let numbers = NUMBERS.to_string();
    start_with("factors", folder, &["--numbers", &numbers, "--listen", listen, "--receiver", receiver])
}

/// The number behind a word of the report.
fn figure(said: &[String], word: &str) -> usize {
    let line = said.iter().find_map(|line| line.strip_prefix(word)).unwrap_or_else(|| panic!("{said:?}"));
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn every_number_is_answered_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let said: Vec<String> = lines(&mut run(folder.path(), &free())).collect();
    assert_eq!((figure(&said, "jobs "), figure(&said, "duplicates ")), (NUMBERS, 0));
    assert!(said.iter().any(|line| line.ends_with("0 were refused")), "{said:?}");
}

#[test]
fn a_killed_run_is_finished_by_the_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = || std::fs::read_to_string(folder.path().join("factors-run.log")).unwrap_or_default();
    // The answers of the first run are posted to where it listened.
    let addresses = free();
    let mut killed = run(folder.path(), &addresses);
    let started = Instant::now();
    while journal().lines().filter(|line| line.starts_with("got ")).count() < NUMBERS / 4 {
        assert!(started.elapsed() < Duration::from_secs(60), "answers come");
        std::thread::sleep(Duration::from_millis(2));
    }
    killed.kill().expect("ours to kill");
    killed.wait().expect("it ends");
    let received = journal().lines().filter(|line| line.starts_with("got ") && line.ends_with(" .")).count();
    assert!(received < NUMBERS, "it was killed in the midst");
    let said: Vec<String> = lines(&mut run(folder.path(), &addresses)).collect();
    assert!(figure(&said, "found ") > 0);
    assert_eq!(figure(&said, "an earlier run had "), received);
    assert_eq!(figure(&said, "jobs "), NUMBERS);
    // Only what was under way may come again, and the receiver knows it by its job.
    assert!(figure(&said, "duplicates ") <= POST_BACKS_MAX, "{said:?}");
}

/// A service without traffic of its own.
struct Service {
    child: Child,
    address: SocketAddr,
    /// What it said before it listened.
    said: Vec<String>,
    /// What it says from then on: it would not go on if nobody could read that.
    _says: Box<dyn Iterator<Item = String> + Send>,
}

impl Service {
    fn start(folder: &Path, args: &[&str]) -> Self {
        let args = [&["--serve", "--listen", "127.0.0.1:0"], args].concat();
        let mut child = start_with("factors", folder, &args);
        let mut said = Vec::new();
        let mut says = lines(&mut child);
        while let Some(line) = says.next() {
            if let Some(address) = line.strip_prefix("listening on http://") {
                let address = address.parse().expect("an address");
                return Self { child, address, said, _says: Box::new(says) };
            }
            said.push(line);
        }
        panic!("it does not listen: {said:?}");
    }

    /// The status and the body of an answer.
    fn ask(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, body.to_owned())
    }

    fn post(&self, post_back_url: &str) -> (u16, String) {
        let body = format!(r#"{{"number":"15","post_back_url":"{post_back_url}"}}"#);
        self.ask(&format!(
            "POST /factors HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_place_that_is_not_posted_to_is_refused_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let service = Service::start(folder.path(), &["--allow", "127.0.0.1:9"]);
    for (url, reason) in [
        ("http://10.0.0.1/", "10.0.0.1 is a private address"),
        ("http://127.0.0.1:10/", "127.0.0.1 is a private address"),
        ("ftp://example.com/", "use http or https"),
        ("nowhere", "`nowhere` is no URL"),
    ] {
        let (status, body) = service.post(url);
        assert_eq!(status, 422, "{body}");
        assert!(body.contains(reason), "{body}");
    }
    let asked = "GET /factors?number=15&post_back_url=http://10.0.0.1/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert_eq!(service.ask(asked).0, 422);
    assert_eq!(service.post("http://127.0.0.1:9/").0, 202);
}

#[tokio::test]
async fn jobs_that_wait_for_their_retry_are_counted_as_unfinished() {
    let folder = tempfile::tempdir().expect("a folder");
    // Nobody listens on the port of the discard service.
    let service = Service::start(folder.path(), &["--allow", "127.0.0.1:9"]);
    assert_eq!(service.said, Vec::<String>::new());
    assert_eq!(service.post("http://127.0.0.1:9/").0, 202);
    let store = folder.path().join("factors-data");
    let client = Client::open(store.to_str().expect("a plain path")).await.expect("its owner lets us in");
    let retries = async || {
        let stored = client.inspector().stats().await.expect("counts").stored;
        stored.into_iter().find(|(state, _)| *state == State::Retry).map_or(0, |(_, count)| count)
    };
    let started = Instant::now();
    while retries().await == 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "the first attempt fails");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(client);
    drop(service);
    let next = Service::start(folder.path(), &["--allow", "127.0.0.1:9"]);
    // The end of the job that asked for the post-back may not have been told yet.
    let found = [1, 2].map(|count| {
        vec![format!("found {count} unfinished jobs of an earlier run in factors-data; they go on now")]
    });
    assert!(found.contains(&next.said), "{:?}", next.said);
}
