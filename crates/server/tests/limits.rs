//! Who is let in, and from where.

use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use windlass_server::Config;

use crate::{Running, any_port, check, memory, memory_with, rest};

/// An address of this machine under which others reach it. Nothing is sent.
fn outside() -> Option<SocketAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?;
    (!address.ip().is_loopback() && !address.ip().is_unspecified()).then_some(address)
}

#[tokio::test]
async fn without_a_password_clients_from_elsewhere_are_denied() {
    let Some(outside) = outside() else {
        eprintln!("skipped: this machine has no address but its loopback");
        return;
    };
    let config = Config { tcp: vec!["0.0.0.0:0".into()], ..any_port() };
    let server = Running::start_on(config.clone(), memory());
    let port = server.port();
    let from_outside = async || TcpStream::connect((outside.ip(), port)).await.expect("it listens");
    let said = rest(from_outside().await).await;
    assert!(
        said.starts_with("-DENIED Redis is running in protected mode because protected mode is enabled"),
        "{said}"
    );
    assert!(said.ends_with("for the server to start accepting connections from the outside.\r\n"), "{said}");
    assert!(!said.contains("  "), "{said}");
    let mut inside = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    check(&mut inside, "CONFIG SET protected-mode no\r\n", "+OK\r\n").await;
    check(&mut from_outside().await, "PING\r\n", "+PONG\r\n").await;
    check(&mut inside, "CONFIG SET protected-mode yes\r\n", "+OK\r\n").await;
    assert!(rest(from_outside().await).await.starts_with("-DENIED"));
    server.stop().await;

    let server = Running::start_on(config, memory_with(|engine| engine.password = "secret".into()));
    let mut client = TcpStream::connect((outside.ip(), server.port())).await.expect("it listens");
    check(&mut client, "AUTH secret\r\nPING\r\n", "+OK\r\n+PONG\r\n").await;
    server.stop().await;
}

#[tokio::test]
async fn the_number_of_clients_can_be_changed() {
    let server = Running::start(any_port());
    let mut first = server.connect().await;
    check(&mut first, "CONFIG SET maxclients 1\r\n", "+OK\r\n").await;
    assert_eq!(rest(server.connect().await).await, "-ERR max number of clients reached\r\n");
    check(&mut first, "CONFIG SET maxclients 2\r\n", "+OK\r\n").await;
    check(&mut server.connect().await, "PING\r\n", "+PONG\r\n").await;
    server.stop().await;
}

#[tokio::test]
async fn it_listens_on_addresses_of_both_kinds() {
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    let config = Config { tcp: vec!["127.0.0.1:0".into(), "[::1]:0".into()], ..any_port() };
    let server = Running::start(config);
    assert!(server.addresses[1].starts_with("[::1]:"), "{:?}", server.addresses);
    for address in &server.addresses {
        let mut client = TcpStream::connect(address).await.expect("it listens");
        check(&mut client, "INCR n\r\n", if address.starts_with('[') { ":2\r\n" } else { ":1\r\n" }).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_unix_socket_has_the_permissions_that_were_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let server = Running::start(Config { unix: Some(path.clone()), unix_mode: 0o770, ..any_port() });
    assert_eq!(std::fs::metadata(&path).expect("the socket").permissions().mode() & 0o777, 0o770);
    server.stop().await;
}

#[tokio::test]
async fn a_request_beyond_the_limits_ends_the_connection() {
    let server = Running::start(any_port());
    let mut operator = server.connect().await;
    let set = "CONFIG SET client-query-buffer-limit 1mb proto-max-bulk-len 1mb\r\n";
    check(&mut operator, set, "+OK\r\n").await;
    let value = "x".repeat(900_000);
    let mut client = server.connect().await;
    check(&mut client, &format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$900000\r\n{value}\r\n"), "+OK\r\n").await;
    // Each argument is short enough, and all of them are not; what cannot be sent any more is cut.
    let request = format!("*4\r\n$3\r\nDEL\r\n$900000\r\n{value}\r\n$900000\r\n{value}\r\n");
    let _ = client.write_all(request.as_bytes()).await;
    let mut said = Vec::new();
    let _ = client.read_to_end(&mut said).await;
    assert!(said.is_empty());
    let mut client = server.connect().await;
    client.write_all(b"*2\r\n$3\r\nGET\r\n$1048577\r\n").await.expect("the server reads");
    assert_eq!(rest(client).await, "-ERR Protocol error: invalid bulk length\r\n");
    check(&mut operator, "STRLEN k\r\n", ":900000\r\n").await;
    server.stop().await;
}
