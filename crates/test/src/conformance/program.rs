//! Jobs that are processes of their own: shell programs here.

use std::time::Duration;

use windlass::{Error, ProcessJob, Push, Retry, State};

use super::world::{Beside, Store, World, eventually};

const LATE: Duration = Duration::from_secs(50);

fn shell(kind: &str, program: &str) -> ProcessJob {
    ProcessJob::new(kind, "sh").arg("-c").arg(program).retry(Retry::Never)
}

fn keep() -> Push {
    Push::new().result_ttl(LATE).max_attempts(1)
}

async fn ended(world: &World, id: windlass::JobId) -> (State, String) {
    match world.client.handle::<serde_json::Value>(id).result().await {
        Ok(answer) => (State::Completed, answer.to_string()),
        Err(Error::Ended { state, message, .. }) => (state, message),
        Err(other) => panic!("{other:?}"),
    }
}

pub(super) async fn a_program_gets_its_arguments_and_answers(store: &Store) {
    let world = store.world().await;
    let folder = tempfile::tempdir().unwrap();
    let where_from =
        r#"cat > args; printf '["%s","%s","%s","%s"]' "$WINDLASS_KIND" "$WINDLASS_ATTEMPT" "$1" "$X""#;
    let full = shell("full", where_from).arg("sh").arg("word").env("X", "y").current_dir(folder.path());
    let id = world.push("full", r#"{"n":1}"#, keep()).await;
    let nothing = world.push("nothing", "1", keep()).await;
    let large: String = world.config.max_payload.to_string();
    // What is answered too large once is so again, whatever attempts are left.
    let large =
        shell("large", &format!("head -c {large} /dev/zero; echo; echo more")).retry(Retry::default());
    let too_large = world.push("large", "1", keep().max_attempts(9)).await;
    let worker = world.worker().register_process(full).register_process(shell("nothing", "exit 0"));
    let summary = worker.register_process(large).exit_when_empty().run().await.unwrap();
    assert_eq!((summary.completed, summary.failed), (2, 1));
    assert_eq!(ended(&world, id).await, (State::Completed, r#"["full","1","word","y"]"#.into()));
    assert_eq!(std::fs::read_to_string(folder.path().join("args")).unwrap(), r#"{"n":1}"#);
    assert_eq!(ended(&world, nothing).await, (State::Completed, "null".into()));
    let (state, message) = ended(&world, too_large).await;
    assert!(state == State::Dead && message.starts_with("it wrote more than the 1048576 bytes"), "{message}");
}

pub(super) async fn the_end_of_a_program_says_what_becomes_of_its_job(store: &Store) {
    let world = store.world().await;
    let programs = [
        ("fails", "echo first >&2; echo the disk is full >&2; exit 3"),
        ("dies", "echo not a picture >&2; exit 65"),
        ("aborts", "kill -ABRT $$"),
        ("babbles", "echo no JSON"),
        ("sleeps", "exit 75"),
    ];
    let mut worker = world.worker();
    let mut ids = Vec::new();
    for (kind, program) in programs {
        // Only of one is it known that another attempt would end in the same way.
        let retry = if kind == "babbles" { Retry::default() } else { Retry::Never };
        worker = worker.register_process(shell(kind, program).retry(retry));
        ids.push(world.push(kind, "1", keep().max_attempts(if kind == "babbles" { 9 } else { 1 })).await);
    }
    ids.push(world.push("absent", "1", keep()).await);
    worker = worker.register_process(ProcessJob::new("absent", "no-such-program").retry(Retry::Never));
    worker.exit_when_empty().run().await.unwrap();
    let mut all = Vec::new();
    for id in [0, 1, 2, 3, 5] {
        all.push(ended(&world, ids[id].clone()).await);
    }
    assert!(all.iter().all(|(state, _)| *state == State::Dead), "{all:?}");
    assert_eq!(all[0].1, "it ended with exit code 3: first\nthe disk is full");
    assert_eq!(all[1].1, "it ended with exit code 65: not a picture");
    assert_eq!(all[2].1, "it was ended by signal 6");
    assert!(all[3].1.starts_with("what it wrote as its result is not JSON"), "{}", all[3].1);
    assert!(all[4].1.starts_with("the program `no-such-program` does not start"), "{}", all[4].1);
    let snoozed = world.client.inspector().show(&ids[4]).await.unwrap().unwrap();
    assert_eq!((snoozed.state, snoozed.attempts), (State::Scheduled, 0));
}

/// Writes its process group to a file, starts a child that would go on for ever, and waits for it.
fn stubborn(ignore: &str) -> String {
    format!("{ignore} sleep 1000 & echo $$ > group.new; mv group.new group; wait; exit 1")
}

/// Whether any process of a group is there.
pub(super) fn lives(group: i32) -> bool {
    let group = rustix::process::Pid::from_raw(group).unwrap();
    rustix::process::test_kill_process_group(group).is_ok()
}

pub(super) async fn a_program_is_stopped_with_its_whole_group(store: &Store) {
    for (ignore, push, is_cancelled) in [
        ("trap '' TERM;", keep().timeout(Duration::from_millis(400)), false),
        ("", keep().timeout(LATE), true),
        ("trap '' TERM;", keep().timeout(LATE), true),
    ] {
        let world = store.world().await;
        let folder = tempfile::tempdir().unwrap();
        let job = shell("stubborn", &stubborn(ignore)).current_dir(folder.path());
        let job = job.grace(Duration::from_millis(50));
        let worker = Beside::start(world.worker().register_process(job));
        let id = world.push("stubborn", "1", push).await;
        let group = eventually(async || std::fs::read_to_string(folder.path().join("group")).ok()).await;
        let group: i32 = group.trim().parse().unwrap();
        if is_cancelled {
            world.client.handle::<()>(id.clone()).cancel().await.unwrap();
        }
        let (state, _) = ended(&world, id).await;
        assert_eq!(state, if is_cancelled { State::Cancelled } else { State::Dead });
        eventually(async || (!lives(group)).then_some(())).await;
        worker.stop().await;
    }
}

pub(super) async fn a_program_is_held_to_its_limits(store: &Store) {
    let world = store.world().await;
    // Waits for its arguments, as a program does; then it wants a lot.
    let hungry = shell("hungry", "read args; x=$(head -c 300000000 /dev/zero | tr '\\0' x); echo ${#x}");
    let busy = shell("busy", "read args; while :; do :; done").cpu_max(Duration::from_secs(1));
    // Starts a process before it is given anything: that one has the limits, too.
    let eager = shell("eager", "(echo \"[$(ulimit -v), $(ulimit -t), $1]\")").arg("sh").arg("7");
    let eager = eager.memory_max(100 << 20).cpu_max(Duration::from_millis(1500));
    let ids = [world.push("hungry", "1", keep()).await, world.push("busy", "1", keep()).await];
    let begun = world.push("eager", "1", keep()).await;
    let worker = world.worker().register_process(hungry.memory_max(100 << 20)).register_process(busy);
    worker.register_process(eager).exit_when_empty().run().await.unwrap();
    assert_eq!(ended(&world, begun).await, (State::Completed, "[102400,2,7]".into()));
    assert_eq!(ended(&world, ids[0].clone()).await.0, State::Dead);
    let (state, message) = ended(&world, ids[1].clone()).await;
    let is_killed = message.contains("signal 24") || message.contains("signal 9");
    assert!(state == State::Dead && is_killed, "{message}");
}

pub(super) async fn what_a_program_leaves_behind_ends_with_it(store: &Store) {
    let world = store.world().await;
    let folder = tempfile::tempdir().unwrap();
    // One of them holds its pipes.
    let leaver = shell("leaver", "sleep 1000 & (sleep 1000 > /dev/null 2>&1 &) ; echo $$ > group; echo 1");
    let id = world.push("leaver", "1", keep()).await;
    let worker = world.worker().register_process(leaver.current_dir(folder.path()));
    worker.exit_when_empty().run().await.unwrap();
    assert_eq!(ended(&world, id).await, (State::Completed, "1".into()));
    let group: i32 = std::fs::read_to_string(folder.path().join("group")).unwrap().trim().parse().unwrap();
    eventually(async || (!lives(group)).then_some(())).await;
}
