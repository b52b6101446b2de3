//! Damage as its finder meets it: what start, check and repair say, and the codes that they end with.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Serving, code, command, stderr, stdout, succeed, windlass};

/// A directory `data` with some jobs, and its log.
fn written(folder: &Path) -> PathBuf {
    for kind in ["one", "two", "three"] {
        succeed(folder, &["--store", "data", "job", "push", kind]);
    }
    folder.join("data/appendonlydir/appendonly.aof.1.incr.aof")
}

/// Changes the log where the job `two` is.
fn damage(log: &Path) {
    let mut bytes = fs::read(log).expect("a log");
    let at = bytes.windows(3).position(|window| window == b"two").expect("the job");
    bytes[at] = b'T';
    fs::write(log, bytes).expect("a file");
}

#[test]
fn a_whole_directory_is_checked_with_0() {
    let folder = tempfile::tempdir().expect("a folder");
    written(folder.path());
    let said = succeed(folder.path(), &["check", "data"]);
    assert!(said.contains("appendonlydir/appendonly.aof.1.incr.aof") && said.contains("whole: "), "{said}");
    let json: serde_json::Value =
        serde_json::from_str(&succeed(folder.path(), &["check", "data", "--json"])).expect("JSON");
    assert_eq!((&json["whole"], &json["open"]), (&true.into(), &false.into()));
    assert!(json["records"].as_u64().is_some_and(|records| records > 3), "{json}");
    assert_eq!(succeed(folder.path(), &["repair", "data"]), "data is whole, there is nothing to repair");
}

#[test]
fn a_check_says_when_a_process_has_the_directory_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = Serving::start(folder.path(), &["--dir", "data"]);
    succeed(folder.path(), &["--store", &serving.url(), "job", "push", "mail"]);
    let said = succeed(folder.path(), &["check", "data", "--quick"]);
    assert!(said.contains(&format!("a process has it open (pid {})", serving.0.id())), "{said}");
}

#[test]
fn damage_stops_the_start_and_a_repair_is_shown_before_it_is_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = written(folder.path());
    damage(&log);
    let bytes = fs::read(&log).expect("a log");

    let refused = windlass(folder.path(), &["serve", "--dir", "data", "--bind", "127.0.0.1:0"]);
    assert_eq!(code(&refused), 4);
    let said = stderr(&refused);
    for text in [
        "appendonly.aof.1.incr.aof",
        "at byte",
        "windlass check",
        "windlass repair",
        "Nothing of it was loaded",
    ] {
        assert!(said.contains(text), "{text}: {said}");
    }
    let checked = windlass(folder.path(), &["check", "data"]);
    assert_eq!(code(&checked), 1);
    assert!(stdout(&checked).contains("damaged: data/appendonlydir/"), "{}", stdout(&checked));
    assert!(stderr(&checked).contains("`windlass repair data`"), "{}", stderr(&checked));

    let shown = succeed(folder.path(), &["repair", "data"]);
    assert!(shown.contains("would be kept") && shown.contains("nothing was changed"), "{shown}");
    assert_eq!(fs::read(&log).expect("a log"), bytes);

    let done = succeed(folder.path(), &["repair", "data", "--yes"]);
    assert!(done.contains("repaired: "), "{done}");
    let aside = fs::read_dir(folder.path().join("data"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path());
    let aside =
        aside.into_iter().find(|path| path.to_string_lossy().contains("damaged-2")).expect("kept aside");
    assert_eq!(fs::read(aside.join("appendonly.aof.1.incr.aof")).expect("the old log"), bytes);
    let listed = succeed(folder.path(), &["--store", "data", "job", "ls"]);
    assert!(listed.contains("one") && !listed.contains("three"), "{listed}");
}

#[test]
fn a_repair_that_keeps_later_records_takes_a_relative_path() {
    let folder = tempfile::tempdir().expect("a folder");
    damage(&written(folder.path()));
    let shown = succeed(folder.path(), &["repair", "data", "--keep-later"]);
    assert!(shown.contains("would be kept"), "{shown}");
    let done = succeed(folder.path(), &["repair", "./data", "--keep-later", "--yes"]);
    assert!(done.contains("records are kept") && done.contains("repaired: "), "{done}");
    let listed = succeed(folder.path(), &["--store", "data", "job", "ls"]);
    assert!(listed.contains("one") && listed.contains("three"), "{listed}");
}

#[test]
fn what_is_kept_is_not_told_before_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    damage(&written(folder.path()));
    let lock =
        fs::File::options().write(true).open(folder.path().join("data/windlass.lock")).expect("a lock");
    lock.lock().expect("nobody has it");
    let refused = windlass(folder.path(), &["repair", "data", "--yes"]);
    assert_eq!(code(&refused), 3);
    assert!(!stdout(&refused).contains("kept"), "{}", stdout(&refused));
}

#[test]
fn what_is_no_directory_of_ours_is_said_so() {
    let folder = tempfile::tempdir().expect("a folder");
    for command in ["check", "repair"] {
        let output = windlass(folder.path(), &[command, "absent"]);
        assert_eq!(code(&output), 4);
        assert!(stderr(&output).contains("absent is not a Windlass directory"), "{}", stderr(&output));
    }
}

#[test]
fn a_backup_of_a_running_server_is_started_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = Serving::start(folder.path(), &["--dir", "data"]);
    let id = succeed(folder.path(), &["--store", &serving.url(), "job", "push", "mail"]);
    let said = succeed(folder.path(), &["backup", "data", "--to", "copy"]);
    assert!(said.contains("copy is a copy of data: "), "{said}");
    let copy = Serving::start(folder.path(), &["--dir", "copy"]);
    assert!(succeed(folder.path(), &["--store", &copy.url(), "job", "ls"]).contains(&id));
    let again = windlass(folder.path(), &["backup", "data", "--to", "copy"]);
    assert_eq!(code(&again), 1);
    assert!(stderr(&again).contains("copy is there already"), "{}", stderr(&again));
}

/// What a server says on its standard error until it is ready, and until `act` is done.
pub fn says(mut serve: Command, act: impl FnOnce(&str)) -> String {
    let mut child = serve.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the server starts");
    let output = child.stdout.take().expect("a pipe");
    let line = BufReader::new(output).lines().next().expect("a line").expect("text");
    act(line.trim_start_matches("ready on ").split(',').next().expect("an address"));
    let ended = Command::new("kill").arg(child.id().to_string()).status().expect("it runs");
    assert!(ended.success() && child.wait().expect("it ends").success());
    let mut said = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
    said
}

fn serve(folder: &Path) -> Command {
    command(folder, &["serve", "--dir", "data", "--bind", "127.0.0.1:0"])
}

#[test]
fn a_cut_end_is_told_with_what_may_have_been_in_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = written(folder.path());
    let bytes = fs::read(&log).expect("a log");
    fs::write(&log, &bytes[..bytes.len() - 3]).expect("a file");
    let said = says(serve(folder.path()), |_| {});
    assert!(said.contains("cut the end of ") && said.contains("bytes that are not whole"), "{said}");
    assert!(
        said.contains("unless the file was copied in part") && !said.contains("never acknowledged"),
        "{said}"
    );
}

#[test]
fn a_long_replay_tells_how_far_it_is() {
    // A second of work, by either build.
    const RECORDS: usize = if cfg!(debug_assertions) { 300_000 } else { 5_000_000 };
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("data")).expect("a folder");
    // As Redis wrote it before it had a folder for it.
    let record = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n";
    fs::write(folder.path().join("data/appendonly.aof"), record.repeat(RECORDS)).expect("a file");
    let total = format!(" of {} MB, ", (record.len() * RECORDS) >> 20);
    let said = says(serve(folder.path()), |_| {});
    let progress = said.lines().find(|line| line.starts_with("replayed ") && line.contains(" of "));
    assert!(progress.is_some_and(|line| line.contains(&total) && line.ends_with(" records")), "{said}");
    assert!(said.contains(&format!("replayed {RECORDS} records, ")), "{said}");
}

#[test]
fn a_log_that_fails_and_comes_back_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    // No file may grow beyond some blocks; a fresh log of the one key has room.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$0\" serve --dir data --bind 127.0.0.1:0"]);
    limited.arg(env!("CARGO_BIN_EXE_windlass")).current_dir(folder.path());
    limited.env_remove("WINDLASS_URL").env_remove("REDIS_URL");
    let said = says(limited, |address| {
        let open =
            || redis::Client::open(format!("redis://{address}")).and_then(|client| client.get_connection());
        let set = || redis::cmd("SET").arg("k").arg(vec![b'v'; 4096]).exec(&mut open().expect("it serves"));
        while set().is_ok() {}
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while set().is_err() {
            assert!(std::time::Instant::now() < patience, "it does not come back");
        }
    });
    assert!(said.contains("the log failed: ") && said.contains("File too large"), "{said}");
    assert!(said.contains("was replaced by a fresh one"), "{said}");
}
