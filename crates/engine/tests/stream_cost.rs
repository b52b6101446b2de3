//! What a queue's life costs: `cargo test --release -p windlass-engine --test stream_cost -- --ignored --nocapture`.

use std::time::Instant;

use windlass_engine::{Config, Engine, SessionId, Time};
use windlass_resp::Value;

const ENTRIES: usize = 1_000_000;
const PAYLOAD: usize = 200;
const BATCH: usize = 100;
/// Jobs that go through one at a time, as in a queue that is not behind.
const SINGLES: usize = 100_000;

struct Queue {
    engine: Engine,
    session: SessionId,
    log: Vec<u8>,
}

impl Queue {
    fn new(is_recording: bool) -> Self {
        let mut engine = Engine::new(Config::default());
        engine.effects().set_recording(is_recording);
        let session = engine.open_session("test", Time::default());
        Self { engine, session, log: Vec::new() }
    }

    fn run(&mut self, args: &[&[u8]]) -> Value {
        let reply = self.engine.execute(self.session, args, Time::from_millis(1_700_000_000_000)).reply;
        // As a database does: the log's buffer is taken after every call.
        self.log.clear();
        self.engine.effects().append_to(&mut self.log);
        reply.expect("nothing waits")
    }

    /// The ids of the entries taken.
    fn take(&mut self, count: usize) -> Vec<Vec<u8>> {
        let count = count.to_string();
        let count = count.as_bytes();
        let reply = self.run(&[b"XREADGROUP", b"GROUP", b"g", b"c", b"COUNT", count, b"STREAMS", b"q", b">"]);
        let mut entries = list(list(list(reply).remove(0)).remove(1));
        entries.iter_mut().map(|entry| text(list(std::mem::replace(entry, Value::Nil)).remove(0))).collect()
    }

    fn end(&mut self, command: &[&[u8]], ids: &[Vec<u8>]) {
        let args: Vec<&[u8]> = command.iter().copied().chain(ids.iter().map(Vec::as_slice)).collect();
        assert_eq!(self.run(&args), Value::from(ids.len()));
    }
}

fn list(value: Value) -> Vec<Value> {
    let Value::Array(items) = value else { panic!("a list was expected, not {value:?}") };
    items
}

fn text(value: Value) -> Vec<u8> {
    let Value::Bulk(text) = value else { panic!("a text was expected, not {value:?}") };
    text
}

/// Bytes of memory that the process has; 0 where the system does not say.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap_or_default() * 1024
}

/// Nanoseconds of processor time that `work` takes; of time where the system does not say.
fn nanos(work: impl FnOnce()) -> usize {
    let (start, before) = (Instant::now(), processor_nanos());
    work();
    match (before, processor_nanos()) {
        (Some(before), Some(after)) => after - before,
        _ => start.elapsed().as_nanos() as usize,
    }
}

fn processor_nanos() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

#[test]
#[ignore = "a measurement"]
fn a_million_jobs_go_through_a_stream() {
    let payload = vec![b'x'; PAYLOAD];
    for is_recording in [false, true] {
        eprintln!("recording: {is_recording}");
        let (mut queue, before) = (Queue::new(is_recording), resident());
        let calling = nanos(|| {
            for _ in 0..ENTRIES {
                queue.run(&[b"GET", b"none"]);
            }
        });
        eprintln!("  GET of nothing, as a measure of a call and of the machine: {} ns", calling / ENTRIES);
        queue.run(&[b"XGROUP", b"CREATE", b"q", b"g", b"0", b"MKSTREAM"]);
        let adding = nanos(|| {
            for _ in 0..ENTRIES {
                queue.run(&[b"XADD", b"q", b"*", b"j", &payload]);
            }
        });
        eprintln!("  XADD: {} ns", adding / ENTRIES);
        let (counted, grown) = (queue.engine.bytes() / ENTRIES, (resident() - before) / ENTRIES);
        eprintln!("  bytes per entry: {counted} counted, {grown} resident, of which {PAYLOAD} payload");
        let (mut taken, mut reading, mut acking, mut deleting) = (0, 0, 0, 0);
        while taken < ENTRIES {
            let mut ids = Vec::new();
            reading += nanos(|| ids = queue.take(BATCH));
            acking += nanos(|| queue.end(&[b"XACK", b"q", b"g"], &ids));
            deleting += nanos(|| queue.end(&[b"XDEL", b"q"], &ids));
            taken += ids.len();
        }
        eprintln!("  XREADGROUP COUNT {BATCH}, per entry: {} ns", reading / ENTRIES);
        eprintln!("  XACK of {BATCH}, per entry: {} ns", acking / ENTRIES);
        eprintln!("  XDEL of {BATCH}, per entry: {} ns", deleting / ENTRIES);
        let singles = nanos(|| {
            for _ in 0..SINGLES {
                queue.run(&[b"XADD", b"q", b"*", b"j", &payload]);
                let ids = queue.take(1);
                queue.end(&[b"XACK", b"q", b"g"], &ids);
                queue.end(&[b"XDEL", b"q"], &ids);
            }
        });
        eprintln!("  one job alone, all four commands: {} ns", singles / SINGLES);
    }
}
