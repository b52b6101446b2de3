//! Other protocols that were made to speak to the server: their connections end before any command of them runs.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{Running, any_port, check};

/// What an attacker hides in what is sent: lines that would be commands.
const HIDDEN: &str = "SET hidden 1\r\nINCR hidden:count\r\n";

/// How each of them begins. A command hidden in what follows is put in place of `~`, or behind.
const REQUESTS: &[&str] = &[
    // HTTP, by each of its methods, as browsers and servers send it.
    "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /~ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET /\r\n~ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /x\r\n",
    "GET / HTTP/1.1\nHost: localhost\n\n",
    "GET http://127.0.0.1:6380/ HTTP/1.1\r\nHost: 127.0.0.1:6380\r\n\r\n",
    "get / http/1.1\r\nhost: localhost\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 40\r\n\r\n",
    "POST /\r\n",
    "post / HTTP/1.1\r\n\r\n",
    "POST\r\n",
    "PUT /x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "DELETE /x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "PATCH /x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "CONNECT localhost:6380 HTTP/1.1\r\nHost: localhost:6380\r\n\r\n",
    "PROPFIND / HTTP/1.1\r\nDepth: 1\r\n\r\n",
    "COPY /a HTTP/1.1\r\nDestination: /b\r\n\r\n",
    "MOVE /a HTTP/1.1\r\nDestination: /b\r\n\r\n",
    "LOCK /a HTTP/1.1\r\n\r\n",
    "SEARCH / HTTP/1.1\r\n\r\n",
    "PURGE / HTTP/1.1\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    "GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
    // Headers first: what is left of a request whose line went elsewhere, or was broken by CRLF in a URL.
    "Host: localhost\r\n",
    "host: localhost\r\n",
    "User-Agent: curl/8\r\n",
    "Content-Length: 10\r\n\r\n",
    "Cookie: a=b\r\n",
    "X-Custom:\r\n",
    "Transfer-Encoding: chunked\r\n\r\n",
    "GET / HTTP/1.1\r\nX: \r\n~",
    "\r\nPOST / HTTP/1.1\r\n\r\n",
    "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    // Its relatives.
    "OPTIONS rtsp://localhost/ RTSP/1.0\r\nCSeq: 1\r\n\r\n",
    "INVITE sip:bob@localhost SIP/2.0\r\nVia: SIP/2.0/TCP localhost\r\n\r\n",
    "REQMOD icap://localhost/ ICAP/1.0\r\nHost: localhost\r\n\r\n",
    "SOURCE /stream ICE/1.0\r\n\r\n",
    // Mail, files, chat, shells.
    "EHLO localhost\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n~.\r\n",
    "HELO localhost\r\n",
    "USER anonymous\r\nPASS x\r\n",
    "NICK bob\r\nUSER bob 0 * :bob\r\n",
    "a001 LOGIN bob secret\r\n",
    "CAPA\r\n",
    "<policy-file-request/>\0\r\n",
    "SSH-2.0-OpenSSH_9.6\r\n",
    "{\"jsonrpc\":\"2.0\",\"method\":\"x\"}\r\n",
    "<?xml version=\"1.0\"?>\r\n<stream:stream>\r\n",
    // Gopher: the selector of a menu.
    "/1/menu\r\n",
    "/1/menu\tquery\r\n",
    // Memcached, as text and as bytes.
    "version\r\nstats\r\n",
    "add k 0 0 5\r\nhello\r\n",
    "\u{0080}\r\n",
    // TLS, whose tickets and names may hold any bytes.
    "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\r\n",
    "\u{16}\u{3}\u{1}\r\n~",
    // Databases.
    "\0\0\0\u{8}\u{4}\r\n",
    "\u{3}\0\0\u{13}\r\n",
    "STARTTLS\r\n",
];

#[tokio::test]
async fn no_command_of_another_protocol_runs() {
    const { assert!(REQUESTS.len() >= 50) };
    let server = Running::start(any_port());
    let mut watcher = server.connect().await;
    let before = commands(&mut watcher).await;
    for (number, request) in REQUESTS.iter().enumerate() {
        let sent =
            if request.contains('~') { request.replace('~', HIDDEN) } else { format!("{request}{HIDDEN}") };
        let mut client = server.connect().await;
        if number % 2 == 0 {
            client.write_all(sent.as_bytes()).await.expect("the server reads");
        } else {
            // In pieces: the end of the connection may come before all are sent.
            for piece in sent.as_bytes().chunks(7) {
                if client.write_all(piece).await.is_err() {
                    break;
                }
            }
        }
        let mut said = Vec::new();
        // A connection that ends before all is read is reset.
        let _ = client.read_to_end(&mut said).await;
        let said = String::from_utf8_lossy(&said);
        assert!(said.is_empty() || said.starts_with("-ERR "), "{request:?} was answered {said}");
        assert_eq!(said.lines().count(), usize::from(!said.is_empty()), "{request:?} was answered {said}");
    }
    assert_eq!(commands(&mut watcher).await - before, 1, "only the looking itself");
    check(&mut watcher, "DBSIZE\r\n", ":0\r\n").await;
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_request_names_itself() {
    let server = Running::start(any_port());
    for (request, said) in [
        ("*1\r\nPING\r\n", "-ERR Protocol error: expected '$', got 'P'\r\n"),
        ("*-x\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
        ("*2147483648\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
        ("*1\r\n$629145600\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
    ] {
        let mut client = server.connect().await;
        client.write_all(request.as_bytes()).await.expect("the server reads");
        assert_eq!(crate::rest(client).await, said, "{request:?}");
    }
    server.stop().await;
}

/// How many commands the server has executed.
async fn commands(client: &mut tokio::net::TcpStream) -> u64 {
    client.write_all(b"INFO stats\r\n").await.expect("the server reads");
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") && !text.contains("keyspace_misses:") {
        let mut buffer = [0; 4096];
        let count = client.read(&mut buffer).await.expect("a reply");
        text.push_str(std::str::from_utf8(&buffer[..count]).expect("text"));
    }
    let line = text.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
    line.expect("the counter").parse().expect("a number")
}
