//! Load on a server: connections that each keep a number of commands in flight, and count the lines of the replies.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How many connections there are.
pub const CONNECTIONS: u32 = 50;
/// Different buffers of commands that a connection sends in turn.
const BUFFERS: u32 = 32;
/// How many different keys, members or fields the commands name.
const NAMES: u32 = 100_000;
/// So many bytes of replies are read at once.
pub const READ_BYTES: usize = 16 * 1024;

/// A kind of command, and how many lines each of its replies has.
#[derive(Clone, Copy)]
pub struct Load {
    pub name: &'static str,
    /// Words; `#` stands for a number that changes from command to command, `$` for a value of 16 bytes.
    pub commands: &'static [&'static str],
    /// Lines of the replies to all of them.
    pub lines: usize,
}

/// Keeps `in_flight` commands of each connection on their way for a time; answers commands per second.
pub async fn run(address: SocketAddr, load: Load, in_flight: usize, time: Duration) -> anyhow::Result<f64> {
    let mut connections = JoinSet::new();
    let start = Instant::now();
    for number in 0..CONNECTIONS {
        connections.spawn(connection(address, load, in_flight, start + time, number));
    }
    let mut commands = 0;
    while let Some(done) = connections.join_next().await {
        commands += done??;
    }
    Ok(commands as f64 / start.elapsed().as_secs_f64())
}

async fn connection(
    address: SocketAddr,
    load: Load,
    in_flight: usize,
    end: Instant,
    number: u32,
) -> anyhow::Result<usize> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let repeats = in_flight.div_ceil(load.commands.len());
    let buffers = calls(load, repeats, number);
    let lines = repeats * load.lines;
    let mut read = vec![0; READ_BYTES];
    let mut commands = 0;
    for buffer in buffers.iter().cycle() {
        stream.write_all(buffer).await?;
        let mut left = lines;
        while left > 0 {
            let count = stream.read(&mut read).await?;
            anyhow::ensure!(count > 0, "the server closed a connection");
            left = lines_left(left, &read[..count])?;
        }
        commands += repeats * load.commands.len();
        if Instant::now() >= end {
            break;
        }
    }
    Ok(commands)
}

/// The buffers of one connection, each with the commands of a load so many times.
pub fn calls(load: Load, repeats: usize, connection: u32) -> Vec<Vec<u8>> {
    let mut random = connection.wrapping_mul(2_654_435_761) | 1;
    (0..BUFFERS).map(|_| encode(load, repeats, &mut random)).collect()
}

/// How many lines are still to come after these bytes of replies.
pub fn lines_left(left: usize, bytes: &[u8]) -> anyhow::Result<usize> {
    anyhow::ensure!(bytes[0] != b'-', "{}", String::from_utf8_lossy(bytes).trim());
    Ok(left - bytes.iter().filter(|byte| **byte == b'\n').count().min(left))
}

fn encode(load: Load, repeats: usize, random: &mut u32) -> Vec<u8> {
    let mut buffer = Vec::new();
    for command in load.commands.iter().cycle().take(repeats * load.commands.len()) {
        // A generator by Marsaglia, "Xorshift RNGs" (2003): names need only be spread.
        *random ^= *random << 13;
        *random ^= *random >> 17;
        *random ^= *random << 5;
        let name = (*random % NAMES).to_string();
        let words: Vec<String> = command
            .split(' ')
            .map(|word| word.replace('#', &name).replace('$', "xxxxxxxxxxxxxxxx"))
            .collect();
        buffer.extend(format!("*{}\r\n", words.len()).bytes());
        for word in words {
            buffer.extend(format!("${}\r\n{word}\r\n", word.len()).bytes());
        }
    }
    buffer
}
