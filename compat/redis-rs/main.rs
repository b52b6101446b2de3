//! redis-rs: a job through a list, one that is claimed again from a stream, one that is due later; and pipelines,
//! transactions, scripts and channels.

use std::error::Error;
use std::time::Duration;

use redis::{Client, Commands, Connection, Script};

/// How much later the job that is due later is.
const DELAY_MS: i64 = 500;
/// Moves what is due from a sorted set to a list.
const MOVE: &str = "
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local moved = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 10)
for _, job in ipairs(moved) do redis.call('ZREM', KEYS[1], job) redis.call('LPUSH', KEYS[2], job) end
return #moved";

type Checked = Result<(), Box<dyn Error>>;

fn main() -> Checked {
    let url = std::env::var("REDIS_URL").map_err(|_| "set REDIS_URL to the server's address")?;
    for url in [url.clone(), format!("{url}?protocol=resp3")] {
        let client = Client::open(url)?;
        let mut connection = client.get_connection()?;
        let () = redis::cmd("FLUSHALL").query(&mut connection)?;
        list(&client, &mut connection)?;
        stream(&mut connection)?;
        schedule(&mut connection)?;
        transactions(&client, &mut connection)?;
        channels(&client, &mut connection)?;
    }
    println!("ok");
    Ok(())
}

fn list(client: &Client, connection: &mut Connection) -> Checked {
    let mut worker = client.get_connection()?;
    let taken = std::thread::spawn(move || -> redis::RedisResult<String> {
        redis::cmd("BLMOVE").arg(&["jobs", "mine", "RIGHT", "LEFT", "10"]).query(&mut worker)
    });
    let _: i64 = connection.lpush("jobs", "plain")?;
    assert_eq!(taken.join().expect("the worker does not panic")?, "plain");
    assert_eq!(connection.lrem::<_, _, i64>("mine", 1, "plain")?, 1);
    Ok(())
}

fn stream(connection: &mut Connection) -> Checked {
    // The client's own types for streams are a feature that nothing else here needs.
    type Entries = Vec<(String, Vec<String>)>;
    let mut ask = |words: &str| redis::Cmd::new().arg(words.split(' ').collect::<Vec<_>>()).query(connection);
    let _: redis::Value = ask("XGROUP CREATE stream workers 0 MKSTREAM")?;
    let entry: redis::Value = ask("XADD stream * kind failing")?;
    let entry: String = redis::from_redis_value(entry)?;
    let read = ask("XREADGROUP GROUP workers first COUNT 1 STREAMS stream >")?;
    let read: Vec<(String, Entries)> = redis::from_redis_value(read)?;
    let taken = vec![(entry.clone(), vec!["kind".into(), "failing".into()])];
    assert_eq!(read, [("stream".into(), taken.clone())]);
    let again = ask("XAUTOCLAIM stream workers second 0 0")?;
    let (_, claimed, _): (String, Entries, Vec<String>) = redis::from_redis_value(again)?;
    assert_eq!(claimed, taken);
    let acknowledged = ask(&format!("XACK stream workers {entry}"))?;
    assert_eq!(redis::from_redis_value::<i64>(acknowledged)?, 1);
    Ok(())
}

fn schedule(connection: &mut Connection) -> Checked {
    let script = Script::new(MOVE);
    let mut invocation = script.prepare_invoke();
    invocation.key("schedule").key("jobs");
    let due = now_ms(connection)? + DELAY_MS;
    let _: i64 = connection.zadd("schedule", "late", due)?;
    assert_eq!(invocation.invoke::<i64>(connection)?, 0);
    while invocation.invoke::<i64>(connection)? == 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(now_ms(connection)? >= due);
    assert_eq!(connection.brpop::<_, (String, String)>("jobs", 1.0)?, ("jobs".into(), "late".into()));
    Ok(())
}

fn transactions(client: &Client, connection: &mut Connection) -> Checked {
    let mut pipe = redis::pipe();
    pipe.atomic().set("counter", 1).ignore().incr("counter", 4).ttl("counter");
    assert_eq!(pipe.query::<(i64, i64)>(connection)?, (5, -1));
    let mut other = client.get_connection()?;
    let mut attempts = 0;
    let (last,): (i64,) = redis::transaction(connection, &["counter"], |connection, pipe| {
        attempts += 1;
        let before: i64 = connection.get("counter")?;
        if attempts == 1 {
            let _: i64 = other.incr("counter", 1)?;
        }
        pipe.set("counter", before + 10).ignore().get("counter").query(connection)
    })?;
    assert_eq!((attempts, last), (2, 16));
    let wrong = connection.lpush::<_, _, i64>("counter", "x").err().ok_or("a list was pushed to a string")?;
    assert_eq!(wrong.code(), Some("WRONGTYPE"));
    Ok(())
}

fn channels(client: &Client, connection: &mut Connection) -> Checked {
    let mut listener = client.get_connection()?;
    let mut news = listener.as_pubsub();
    news.subscribe("news")?;
    assert_eq!(connection.publish::<_, _, i64>("news", "hello")?, 1);
    assert_eq!(news.get_message()?.get_payload::<String>()?, "hello");
    Ok(())
}

fn now_ms(connection: &mut Connection) -> redis::RedisResult<i64> {
    let (seconds, micros): (i64, i64) = redis::cmd("TIME").query(connection)?;
    Ok(seconds * 1000 + micros / 1000)
}
