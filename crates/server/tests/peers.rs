//! Peers that are gone without a word, and many that come at once.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::{Running, any_port, check, info, number};

/// The longest that anything here may take; most of it is for a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many connections the storm has, of which each is two files of this process.
const STORM: usize = 2000;

/// Waits until the server has so many clients. It tells nobody when one goes, so it is asked.
async fn until_clients_are(client: &mut TcpStream, count: u64) {
    let all_gone = async {
        while number(&info(client, "clients").await, "connected_clients") != count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all_gone).await.expect("those that are gone are noticed");
}

/// The keepalive timer of an accepted connection, in hundredths of a second until it fires; none when it has none.
async fn keepalive_timer(client: &TcpStream) -> Option<u64> {
    const NONE: &str = "00";
    const KEEPALIVE: &str = "02";
    // Until the reply is confirmed the connection has another timer.
    loop {
        match timer(client).expect("the connection is there") {
            (kind, left) if kind == KEEPALIVE => return Some(left),
            (kind, _) if kind == NONE => return None,
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// The kind of the timer that a connection has, and how long until it fires.
fn timer(client: &TcpStream) -> io::Result<(String, u64)> {
    let port = |text: &str| text.split_once(':').and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
    let (server, own) = (client.peer_addr()?.port(), client.local_addr()?.port());
    for line in std::fs::read_to_string("/proc/self/net/tcp")?.lines() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, local, remote, _, _, timer, ..] = fields[..] else { continue };
        if port(local) == Some(server) && port(remote) == Some(own) {
            let (kind, left) = timer.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
            let left = u64::from_str_radix(left, 16).map_err(io::Error::other)?;
            return Ok((kind.to_owned(), left));
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

#[tokio::test]
async fn the_system_looks_after_clients_as_often_as_was_set() {
    let server = Running::start(any_port());
    let mut operator = server.connect().await;
    for (setting, seconds) in [("300", 300), ("40", 40)] {
        check(&mut operator, &format!("CONFIG SET tcp-keepalive {setting}\r\n"), "+OK\r\n").await;
        let mut client = server.connect().await;
        check(&mut client, "PING\r\n", "+PONG\r\n").await;
        let left = keepalive_timer(&client).await.expect("it has the timer");
        assert!(left > 0 && left <= seconds * 100, "{left}");
        // It was set just now, so most of it is left.
        assert!(left > seconds * 50, "{left}");
    }
    check(&mut operator, "CONFIG SET tcp-keepalive 0\r\n", "+OK\r\n").await;
    let mut client = server.connect().await;
    check(&mut client, "PING\r\n", "+PONG\r\n").await;
    assert_eq!(keepalive_timer(&client).await, None);
    server.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_that_is_gone_without_a_word_is_noticed() {
    use socket2::{SockFilter, SockRef};

    /// What a filter says that lets no byte of a packet through.
    const RETURN: u16 = 0x06;
    let server = Running::start_on(any_port(), crate::memory_with(|engine| engine.clients.keepalive_s = 1));
    let mut half_open = server.connect().await;
    check(&mut half_open, "SUBSCRIBE c\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n").await;
    // From here on it hears nothing and answers nothing, as a machine that lost its power.
    SockRef::from(&half_open).attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)]).expect("a filter");
    let mut neighbour = server.connect().await;
    until_clients_are(&mut neighbour, 1).await;
    check(&mut neighbour, "PUBLISH c x\r\n", ":0\r\n").await;
    server.stop().await;
    drop(half_open);
}

/// Comes, says something, and goes: in good order, or as a process that was killed with something unread.
async fn come_and_go(address: String, is_reset: bool) -> io::Result<()> {
    let mut client = TcpStream::connect(address).await?;
    client.write_all(b"PING\r\n").await?;
    let mut reply = [0; 7];
    client.read_exact(&mut reply).await?;
    assert_eq!(&reply, b"+PONG\r\n");
    if is_reset {
        client.set_zero_linger()?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_connections_leaves_a_neighbour_well() {
    let allowed = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: allowed.maximum, ..allowed };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised)
        .expect("a process may go up to its limit");
    let files = allowed.maximum.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    // Some files are for the rest of the process.
    let count = STORM.min(files.saturating_sub(200) / 2);

    let server = Running::start(any_port());
    let mut neighbour = server.connect().await;
    check(&mut neighbour, "PING\r\n", "+PONG\r\n").await;
    let mut storm = JoinSet::new();
    for number in 0..count {
        storm.spawn(come_and_go(server.addresses[0].clone(), number % 2 == 0));
    }
    let mut answered = 0;
    let all_gone = async {
        while let Some(ended) = storm.join_next().await {
            ended.expect("no panic").expect("each is served");
            // The neighbour is answered between any two of them.
            check(&mut neighbour, "PING\r\n", "+PONG\r\n").await;
            answered += 1;
        }
    };
    tokio::time::timeout(PATIENCE, all_gone).await.expect("a storm passes");
    assert_eq!(answered, count);
    until_clients_are(&mut neighbour, 1).await;
    server.stop().await;
}
