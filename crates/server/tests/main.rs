//! The server, seen from its sockets.

mod busy;
mod foreign;
mod limits;
mod peers;
mod tls;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use windlass_db::Database;
use windlass_server::{Config, Error, Result, Server};

/// A server that runs until it is stopped.
struct Running {
    addresses: Vec<String>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<()>>,
}

impl Running {
    fn start(config: Config) -> Self {
        Self::start_on(config, memory())
    }

    fn start_on(config: Config, database: Database) -> Self {
        let server = Server::bind(config, database).expect("a free port");
        let addresses = server.addresses().to_vec();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run_until(async {
            let _ = stopped.await;
        }));
        Self { addresses, stop, task }
    }

    fn port(&self) -> u16 {
        self.addresses[0].rsplit_once(':').expect("a port").1.parse().expect("a number")
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.addresses[0]).await.expect("it listens")
    }

    async fn stop(self) {
        self.stop.send(()).expect("it runs");
        self.task.await.expect("no panic").expect("a clean end");
    }
}

fn memory() -> Database {
    Database::memory(windlass_db::Config::default()).expect("the default configuration is valid")
}

/// A database in memory with other settings of its engine.
fn memory_with(set: impl FnOnce(&mut windlass_db::EngineConfig)) -> Database {
    let mut config = windlass_db::Config::default();
    set(&mut config.engine);
    Database::memory(config).expect("a configuration that can be used")
}

fn any_port() -> Config {
    Config { tcp: vec!["127.0.0.1:0".into()], threads: 2, ..Config::default() }
}

async fn check(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin), request: &str, reply: &str) {
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let mut got = vec![0; reply.len()];
    stream.read_exact(&mut got).await.expect("a reply");
    assert_eq!(String::from_utf8_lossy(&got), reply);
}

/// A section of INFO.
async fn info(stream: &mut TcpStream, section: &str) -> String {
    stream.write_all(format!("INFO {section}\r\n").as_bytes()).await.expect("the server reads");
    let mut reader = BufReader::new(stream);
    let mut header = String::new();
    reader.read_line(&mut header).await.expect("a header");
    let length: usize = header[1..].trim().parse().expect("a length");
    let mut text = vec![0; length + 2];
    reader.read_exact(&mut text).await.expect("the section");
    String::from_utf8(text).expect("INFO is text")
}

/// A line of INFO that is a number.
fn number(info: &str, name: &str) -> u64 {
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{name} is not in {info}")).parse().expect("a number")
}

async fn rest(mut stream: impl AsyncReadExt + Unpin) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("the end");
    text
}

#[tokio::test]
async fn clients_on_all_threads_share_the_database() {
    let server = Running::start(any_port());
    let mut clients = Vec::new();
    for number in 1..=6 {
        let mut client = server.connect().await;
        check(&mut client, "INCR n\r\n", &format!(":{number}\r\n")).await;
        clients.push(client);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_unix_socket_is_for_this_user_and_goes_with_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    // A socket that a server left when it crashed is replaced.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
    let server = Running::start(Config { unix: Some(path.clone()), ..any_port() });
    let mut client = UnixStream::connect(&path).await.expect("it listens");
    check(&mut client, "PING\r\n", "+PONG\r\n").await;
    // Redis shows a client of a unix socket by the path, on both sides.
    let mut operator = server.connect().await;
    let kill = format!("CLIENT KILL ADDR {0}:0 LADDR {0}:0\r\n", path.display());
    check(&mut operator, &kill, ":1\r\n").await;
    assert_eq!(rest(client).await, "");
    assert_eq!(std::fs::metadata(&path).expect("the socket").permissions().mode() & 0o777, 0o600);
    server.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_client_too_many_is_told_so() {
    let server = Running::start_on(any_port(), memory_with(|engine| engine.clients.count_max = 1));
    let mut first = server.connect().await;
    check(&mut first, "PING\r\n", "+PONG\r\n").await;
    assert_eq!(rest(server.connect().await).await, "-ERR max number of clients reached\r\n");
    let told = info(&mut first, "everything").await;
    assert_eq!([number(&told, "maxclients"), number(&told, "rejected_connections")], [1, 1], "{told}");
    check(&mut first, "CONFIG RESETSTAT\r\n", "+OK\r\n").await;
    assert_eq!(number(&info(&mut first, "stats").await, "rejected_connections"), 0);
    check(&mut first, "QUIT\r\n", "+OK\r\n").await;
    assert_eq!(rest(first).await, "");
    server.stop().await;
}

#[tokio::test]
async fn a_stopping_server_ends_waiting_and_idle_clients() {
    let server = Running::start(any_port());
    let mut waiting = server.connect().await;
    check(&mut waiting, "PING\r\nBLPOP list 0\r\n", "+PONG\r\n").await;
    let mut idle = server.connect().await;
    check(&mut idle, "PING\r\n", "+PONG\r\n").await;
    server.stop().await;
    assert_eq!((rest(waiting).await, rest(idle).await), (String::new(), String::new()));
}

#[tokio::test]
async fn a_client_that_takes_no_replies_does_not_hold_the_server() {
    let server = Running::start(Config { stop_grace: Duration::from_millis(50), ..any_port() });
    let mut client = server.connect().await;
    let value = "x".repeat(1 << 20);
    check(&mut client, &format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n{value}\r\n", value.len()), "+OK\r\n")
        .await;
    client.write_all("GET k\r\n".repeat(64).as_bytes()).await.expect("the server reads");
    server.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let error = Server::bind(Config { tcp: vec![address.clone()], ..Config::default() }, memory()).err();
    assert_eq!(
        error.expect("it is taken").to_string(),
        format!(
            "cannot listen on {address} (Address already in use (os error 98)): another program listens there; end it, \
             or choose another port"
        )
    );
}

#[tokio::test]
async fn a_socket_that_is_served_or_cannot_be_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let served = folder.path().join("s");
    let _listener = std::os::unix::net::UnixListener::bind(&served).expect("a socket");
    let long = folder.path().join("x".repeat(120));
    let nowhere = folder.path().join("no/s");
    let file = folder.path().join("file");
    std::fs::write(&file, "somebody's").expect("a file");
    for (path, reason) in [
        (served, "another program listens there"),
        (long, "choose a shorter path"),
        (nowhere, "make it first"),
        (file.clone(), "a file that is no socket is there"),
        (folder.path().to_owned(), "a folder is there"),
    ] {
        let error = Server::bind(Config { unix: Some(path.clone()), ..Config::default() }, memory()).err();
        let Some(error @ Error::Socket { .. }) = error else { panic!("{error:?}") };
        let said = error.to_string();
        assert!(said.contains(path.to_str().expect("a plain path")) && said.contains(reason), "{said}");
    }
    assert_eq!(std::fs::read_to_string(file).expect("it is there"), "somebody's");
}

#[test]
fn a_configuration_names_every_problem() {
    let config = Config { backlog: 0, threads: 0, unix_mode: 0o1000, ..Config::default() };
    assert_eq!(
        config.validate().expect_err("nothing of it works").to_string(),
        "the configuration is not valid: `tcp`, `tls_tcp` or `unix` must say where to listen; `unix_mode` must be \
         permission bits, such as 0o770; `backlog` must be at least 1; `threads` must be at least 1"
    );
    let config = Config { tls_tcp: vec!["127.0.0.1:0".into()], ..Config::default() };
    assert_eq!(
        config.validate().expect_err("there is no certificate").to_string(),
        "the configuration is not valid: `tls` must name the certificate for `tls_tcp`"
    );
}

#[tokio::test]
async fn shutdown_ends_the_server_and_its_clients_without_a_reply() {
    let running = Running::start(any_port());
    let mut client = running.connect().await;
    check(&mut client, "SHUTDOWN FOO\r\n", "-ERR syntax error\r\n").await;
    client.write_all(b"SHUTDOWN NOSAVE\r\n").await.expect("the server reads");
    assert_eq!(rest(client).await, "");
    running.task.await.expect("no panic").expect("a clean end");
}

#[tokio::test]
async fn a_pause_holds_a_client_and_lets_it_go() {
    let running = Running::start(any_port());
    let (mut operator, mut client) = (running.connect().await, running.connect().await);
    check(&mut operator, "CLIENT PAUSE 100000 WRITE\r\n", "+OK\r\n").await;
    client.write_all(b"SET k v\r\nGET k\r\n").await.expect("the server reads");
    check(&mut operator, "GET k\r\n", "$-1\r\n").await;
    check(&mut operator, "CLIENT UNPAUSE\r\n", "+OK\r\n").await;
    check(&mut client, "", "+OK\r\n$1\r\nv\r\n").await;
    drop((operator, client));
    running.stop().await;
}

#[tokio::test]
async fn a_client_that_was_killed_is_gone_at_once() {
    let running = Running::start(any_port());
    let (mut operator, mut client) = (running.connect().await, running.connect().await);
    check(&mut client, "CLIENT SETNAME victim\r\n", "+OK\r\n").await;
    let local = client.peer_addr().expect("it is connected");
    check(&mut operator, &format!("CLIENT KILL LADDR {local}\r\n"), ":1\r\n").await;
    check(&mut operator, "CLIENT KILL TYPE normal\r\n", ":0\r\n").await;
    assert_eq!(rest(client).await, "");
    drop(operator);
    running.stop().await;
}
