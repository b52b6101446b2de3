//! A script that runs for too long: the others are told so, and it can be stopped as long as it has not written.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use windlass_db::Database;
use windlass_server::Config;

use crate::{Running, any_port, check, memory_with};

const BUSY: &str =
    "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n";
/// Runs until it is stopped.
const ENDLESS: &str = "EVAL \"while true do end\" 0\r\n";

/// A database on which a script is soon slow, and is not stopped by its budget.
fn impatient() -> Database {
    memory_with(|engine| {
        engine.script_time_max_ms = 10;
        engine.script_instructions_max = u64::MAX;
    })
}

/// A server of one thread: what it answers while a script runs, it answers from elsewhere than the script's thread.
fn start() -> Running {
    Running::start_on(Config { threads: 1, ..any_port() }, impatient())
}

async fn line(client: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        line.push(client.read_u8().await.expect("a line"));
    }
    String::from_utf8(line).expect("text")
}

async fn ask(client: &mut TcpStream, request: &str) -> String {
    client.write_all(request.as_bytes()).await.expect("the server reads");
    line(client).await
}

/// Asks until the answer is that the server is busy.
async fn until_busy(client: &mut TcpStream) {
    while ask(client, "PING\r\n").await != BUSY {}
}

#[tokio::test]
async fn others_are_told_and_the_script_can_be_killed() {
    let server = start();
    let (mut runner, mut other) = (server.connect().await, server.connect().await);
    assert!(
        ask(&mut other, "SCRIPT KILL\r\n").await.starts_with("-NOTBUSY No scripts in execution right now.")
    );
    runner.write_all(ENDLESS.as_bytes()).await.expect("the server reads");
    until_busy(&mut other).await;
    // Who comes now is served as well.
    let mut late = server.connect().await;
    check(&mut late, "GET k\r\nEVAL \"return 1\" 0\r\n", &BUSY.repeat(2)).await;
    check(&mut late, "SCRIPT KILL\r\n", "+OK\r\n").await;
    let killed = line(&mut runner).await;
    assert_eq!(
        killed,
        "-ERR Script killed by user with SCRIPT KILL... script: 694a5fe1ddb97a4c6a1bf299d9537c7d3d0f84e7, on \
         @user_script:1.\r\n"
    );
    for client in [&mut runner, &mut other, &mut late] {
        check(client, "PING\r\nEVAL \"return 1\" 0\r\n", "+PONG\r\n:1\r\n").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_script_can_be_killed_in_the_midst_of_what_it_calls() {
    let server = start();
    let (mut runner, mut other) = (server.connect().await, server.connect().await);
    for script in [
        "while true do string.format(('%9.9f '):rep(9), 1, 2, 3, 4, 5, 6, 7, 8, 9) end",
        "return string.find(('a'):rep(9999), ('.-'):rep(9) .. 'b')",
        "table.insert({}, -2^31 + 1, 1)",
    ] {
        runner.write_all(format!("EVAL \"{script}\" 0\r\n").as_bytes()).await.expect("the server reads");
        until_busy(&mut other).await;
        check(&mut other, "SCRIPT KILL\r\n", "+OK\r\n").await;
        assert!(line(&mut runner).await.starts_with("-ERR Script killed by user"));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_script_that_holds_the_only_thread_can_be_killed_by_who_comes_then() {
    let database = impatient();
    let server = Running::start_on(Config { threads: 1, ..any_port() }, database.clone());
    let mut runner = server.connect().await;
    // Quick as long as the key is not there, and so it is run on the thread that serves its client.
    let script = "EVAL \"if redis.call('get', 'k') then while true do end end return 1\" 0\r\n";
    check(&mut runner, &format!("{script}SET k 1\r\n"), ":1\r\n+OK\r\n").await;
    runner.write_all(script.as_bytes()).await.expect("the server reads");
    while !database.is_busy() {
        tokio::task::yield_now().await;
    }
    let mut late = server.connect().await;
    check(&mut late, "PING\r\nSCRIPT KILL\r\n", &format!("{BUSY}+OK\r\n")).await;
    assert!(line(&mut runner).await.starts_with("-ERR Script killed by user"));
    server.stop().await;
}

#[tokio::test]
async fn a_function_is_told_of_and_killed_as_a_function() {
    const BUSY: &str =
        "-BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.\r\n";
    let server = start();
    let (mut runner, mut other) = (server.connect().await, server.connect().await);
    let source = "#!lua name=a\nredis.register_function('f', function() while true do end end)";
    let load = format!("*3\r\n$8\r\nFUNCTION\r\n$4\r\nLOAD\r\n${}\r\n{source}\r\n", source.len());
    check(&mut runner, &load, "$1\r\na\r\n").await;
    runner.write_all(b"FCALL f 1 key\r\n").await.expect("the server reads");
    while ask(&mut other, "PING\r\n").await != BUSY {}
    check(&mut other, "SCRIPT KILL\r\n", BUSY).await;
    let running = "*4\r\n$14\r\nrunning_script\r\n*6\r\n$4\r\nname\r\n$1\r\nf\r\n$7\r\ncommand\r\n*4\r\n$5\r\nfcall\r\n\
                   $1\r\nf\r\n$1\r\n1\r\n$3\r\nkey\r\n$11\r\nduration_ms\r\n:";
    check(&mut other, "FUNCTION STATS\r\n", running).await;
    for text in ["$7\r\n", "engines\r\n", "*0\r\n"] {
        // The duration stands before the first of them.
        while line(&mut other).await != text {}
    }
    check(&mut other, "FUNCTION KILL\r\n", "+OK\r\n").await;
    let killed = line(&mut runner).await;
    assert!(killed.starts_with("-ERR Script killed by user with SCRIPT KILL... script: f,"), "{killed}");
    check(&mut runner, "PING\r\n", "+PONG\r\n").await;
    server.stop().await;
}

#[tokio::test]
async fn a_script_that_has_written_is_waited_for() {
    let server = start();
    let (mut runner, mut other) = (server.connect().await, server.connect().await);
    // Both lines end in time whatever the machine: the first by a number of turns.
    let script = "EVAL \"redis.call('set', 'k', 1) for i = 1, 3e7 do end return 'done'\" 0\r\n";
    runner.write_all(script.as_bytes()).await.expect("the server reads");
    until_busy(&mut other).await;
    let refused = ask(&mut other, "SCRIPT KILL\r\n").await;
    assert!(refused.starts_with("-UNKILLABLE Sorry the script already executed write commands"), "{refused}");
    check(&mut runner, "", "$4\r\ndone\r\n").await;
    check(&mut other, "GET k\r\n", "$1\r\n1\r\n").await;
    server.stop().await;
}

#[tokio::test]
async fn a_transaction_that_missed_a_command_does_not_run() {
    let server = start();
    let (mut runner, mut early, mut late) =
        (server.connect().await, server.connect().await, server.connect().await);
    check(&mut early, "MULTI\r\nSET a 1\r\n", "+OK\r\n+QUEUED\r\n").await;
    runner.write_all(ENDLESS.as_bytes()).await.expect("the server reads");
    until_busy(&mut late).await;
    check(&mut early, "SET b 1\r\n", BUSY).await;
    check(&mut late, "MULTI\r\nSET c 1\r\n", &BUSY.repeat(2)).await;
    check(&mut late, "SCRIPT KILL\r\n", "+OK\r\n").await;
    assert!(line(&mut runner).await.starts_with("-ERR Script killed by user"));
    const ABORTED: &str = "-EXECABORT Transaction discarded because of previous errors.\r\n";
    check(&mut early, "EXEC\r\n", ABORTED).await;
    check(&mut late, "SET d 1\r\nEXEC\r\n", &format!("{BUSY}{ABORTED}")).await;
    check(&mut late, "EXISTS a b c d\r\n", ":0\r\n").await;
    server.stop().await;
}

#[tokio::test]
async fn a_script_in_a_transaction_keeps_nobody_from_being_told() {
    let server = start();
    let (mut runner, mut other) = (server.connect().await, server.connect().await);
    // That it was queued at once does not make it quick.
    let queued = format!("MULTI\r\n{ENDLESS}PING\r\n");
    check(&mut runner, &queued, "+OK\r\n+QUEUED\r\n+QUEUED\r\n").await;
    for _ in 0..2 {
        runner.write_all(b"EXEC\r\n").await.expect("the server reads");
        until_busy(&mut other).await;
        check(&mut other, "SCRIPT KILL\r\n", "+OK\r\n").await;
        assert_eq!(line(&mut runner).await, "*2\r\n");
        assert!(line(&mut runner).await.starts_with("-ERR Script killed by user"));
        assert_eq!(line(&mut runner).await, "+PONG\r\n");
        check(&mut runner, &queued, "+OK\r\n+QUEUED\r\n+QUEUED\r\n").await;
    }
    server.stop().await;
}

/// The thread of the one who sent EXEC waited for the script's end to learn of the session's protocol, and with it
/// everybody whom it serves.
#[tokio::test]
async fn an_exec_that_is_refused_keeps_nobody_from_being_told() {
    let server = start();
    let (mut runner, mut other) = (server.connect().await, server.connect().await);
    check(&mut other, "SET k 1\r\nMULTI\r\nINCR k\r\n", "+OK\r\n+OK\r\n+QUEUED\r\n").await;
    runner.write_all(ENDLESS.as_bytes()).await.expect("the server reads");
    let mut late = server.connect().await;
    until_busy(&mut late).await;
    let aborted = format!("-EXECABORT Transaction discarded because of: {}", &BUSY[1..]);
    check(&mut other, "EXEC\r\nSCRIPT KILL\r\n", &format!("{aborted}+OK\r\n")).await;
    assert!(line(&mut runner).await.starts_with("-ERR Script killed by user"));
    check(&mut other, "GET k\r\n", "$1\r\n1\r\n").await;
    server.stop().await;
}

#[tokio::test]
async fn who_leaves_meanwhile_is_forgotten_afterwards() {
    let server = start();
    let (mut runner, mut other, mut waiting) =
        (server.connect().await, server.connect().await, server.connect().await);
    check(&mut waiting, "PING\r\nBLPOP list 0\r\n", "+PONG\r\n").await;
    runner.write_all(ENDLESS.as_bytes()).await.expect("the server reads");
    until_busy(&mut other).await;
    drop(waiting);
    let ended = server.connect().await;
    drop(ended);
    check(&mut other, "SCRIPT KILL\r\n", "+OK\r\n").await;
    assert!(line(&mut runner).await.starts_with("-ERR Script killed by user"));
    // The server sees by and by that the connections are gone; then nobody takes what is pushed.
    while !ask(&mut other, "CLIENT LIST TYPE normal\r\n").await.is_empty() {
        let listed = clients(&mut other).await;
        if listed == 2 {
            break;
        }
    }
    check(&mut other, "RPUSH list a\r\nLLEN list\r\n", ":1\r\n:1\r\n").await;
    server.stop().await;
}

/// Reads the rest of a reply to CLIENT LIST; answers how many clients it has.
async fn clients(client: &mut TcpStream) -> usize {
    let mut count = 0;
    loop {
        match line(client).await.as_str() {
            "\r\n" => return count,
            _ => count += 1,
        }
    }
}

#[tokio::test]
async fn who_has_not_given_the_password_cannot_kill() {
    let server = Running::start_on(
        Config { threads: 1, ..any_port() },
        memory_with(|engine| {
            engine.script_time_max_ms = 10;
            engine.script_instructions_max = u64::MAX;
            engine.password = "secret".into();
        }),
    );
    let (mut runner, mut known, mut stranger) =
        (server.connect().await, server.connect().await, server.connect().await);
    for client in [&mut runner, &mut known] {
        check(client, "AUTH secret\r\n", "+OK\r\n").await;
    }
    runner.write_all(ENDLESS.as_bytes()).await.expect("the server reads");
    until_busy(&mut known).await;
    let refused = "-NOAUTH Authentication required.\r\n";
    check(&mut stranger, "SCRIPT KILL\r\nSHUTDOWN NOSAVE\r\n", &refused.repeat(2)).await;
    check(&mut known, "SCRIPT KILL\r\n", "+OK\r\n").await;
    assert!(line(&mut runner).await.starts_with("-ERR Script killed by user"));
    server.stop().await;
}

#[tokio::test]
async fn a_shutdown_ends_the_server_in_the_midst_of_a_script() {
    let database = impatient();
    let server = Running::start_on(
        Config { threads: 1, stop_grace: Duration::from_millis(50), ..any_port() },
        database.clone(),
    );
    let (mut runner, mut other) = (server.connect().await, server.connect().await);
    runner.write_all(ENDLESS.as_bytes()).await.expect("the server reads");
    until_busy(&mut other).await;
    other.write_all(b"SHUTDOWN NOSAVE\r\n").await.expect("the server reads");
    server.task.await.expect("no panic").expect("a clean end");
    assert!(database.is_shutdown_asked());
    // The script has not written, so that the end of the database ends it, too.
    database.stop().expect("nothing to lose in memory");
}
