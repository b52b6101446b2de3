//! A way to a server over which every reply takes longer, as over a network.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{io, thread};

use anyhow::Context;

/// Pieces of replies that may be under way at once on one connection; the server waits for more.
const UNDER_WAY_MAX: usize = 4096;
/// The most bytes of a piece.
const PIECE_BYTES_MAX: usize = 64 << 10;

/// Answers a URL by which the server of `url` is reached, with `delay` added to whatever it says. Threads of the system
/// carry it, whose sleep is finer than the runtime's.
pub fn delayed(url: &str, delay: Duration) -> anyhow::Result<String> {
    let rest = url.strip_prefix("redis://").context("--reply-delay is for a store of redis://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let server = if host.contains(':') { host.to_owned() } else { format!("{host}:6379") };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let at = if user.is_empty() { "" } else { "@" };
    let url = format!("redis://{user}{at}{}/{path}", listener.local_addr()?);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // What fails closes the client's connection, and the client says so.
            let _ = TcpStream::connect(&server).and_then(|server| join(client, server, delay));
        }
    });
    Ok(url)
}

/// Carries what both say until one of them has ended.
fn join(client: TcpStream, server: TcpStream, delay: Duration) -> io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut asks, mut serves) = (client.try_clone()?, server.try_clone()?);
    let (mut hears, mut answers) = (client, server);
    thread::spawn(move || {
        let _ = io::copy(&mut asks, &mut serves);
        let _ = serves.shutdown(Shutdown::Both);
    });
    let (held, due) = mpsc::sync_channel::<(Instant, Vec<u8>)>(UNDER_WAY_MAX);
    thread::spawn(move || {
        let mut piece = vec![0; PIECE_BYTES_MAX];
        while let Ok(read @ 1..) = answers.read(&mut piece) {
            if held.send((Instant::now() + delay, piece[..read].to_vec())).is_err() {
                return;
            }
        }
    });
    thread::spawn(move || {
        for (at, piece) in due {
            thread::sleep(at.saturating_duration_since(Instant::now()));
            if hears.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = hears.shutdown(Shutdown::Both);
    });
    Ok(())
}
