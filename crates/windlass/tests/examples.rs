//! The examples do what they say.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

#[path = "examples/factors.rs"]
mod factors;
// With a test binary of its own the example would not be built as a program.
#[path = "../examples/factors/guard.rs"]
mod guard;

/// More than the example needs, about 18 MB, and less than that and its rows, of which the file alone has 18 MB.
#[cfg(target_os = "linux")]
const IMPORT_KIB_MAX: u64 = 32 << 10;

#[test]
fn fib_prints_the_last_digits_of_a_large_number() {
    let folder = tempfile::tempdir().expect("a folder");
    let said: Vec<_> = lines(&mut start("fib", folder.path())).collect();
    assert_eq!(said[0], "20899 digits, the last six are 746875");
    assert!(said[1].starts_with("1 completed"), "{said:?}");
}

#[test]
fn tenants_take_turns() {
    let folder = tempfile::tempdir().expect("a folder");
    let said: Vec<_> = lines(&mut start("tenants", folder.path())).collect();
    let drawn = said.iter().max_by_key(|line| line.len()).expect("a drawing");
    let count = |tenant| drawn.chars().filter(|letter| *letter == tenant).count();
    assert_eq!((count('A'), count('b'), count('c')), (1000, 20, 40));
    // From the first turn of the others to their last, everybody has a share by weight: 20, 20 and 40.
    let first = drawn.find(['b', 'c']).expect("they come");
    let last = drawn.rfind(['b', 'c']).expect("they come");
    let between = drawn[first..=last].chars().filter(|letter| *letter == 'A').count();
    assert!(between <= 40, "{between} jobs of the large tenant between: {}", &drawn[first..=last]);
    assert!(said.last().is_some_and(|line| line.starts_with("1060 completed")), "{:?}", said.last());
}

#[test]
fn a_batch_of_mails_ends_with_its_callback() {
    let folder = tempfile::tempdir().expect("a folder");
    let said: Vec<_> = lines(&mut start("mail", folder.path())).collect();
    assert_eq!(said[0], "10 jobs pushed, 0 have ended");
    assert_eq!(said.iter().filter(|line| line.starts_with("10 mails sent, ")).count(), 10, "{said:?}");
    assert_eq!(said[said.len() - 2], "all sent: 10 of 10 jobs succeeded");
    assert!(said[said.len() - 1].starts_with("11 completed, 0 failed"), "{said:?}");
    let again: Vec<_> = lines(&mut start("mail", folder.path())).collect();
    assert_eq!(again[0], "10 jobs pushed, 10 have ended", "it is the same letter");
    assert!(again[again.len() - 1].starts_with("0 completed, 0 failed"), "{again:?}");
}

#[test]
fn a_letter_whose_program_is_killed_is_sent_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = start("mail", folder.path());
    assert!(lines(&mut first).any(|line| line.starts_with("10 mails sent, ")));
    first.kill().expect("ours to kill");
    first.wait().expect("it ends");
    let said: Vec<_> = lines(&mut start("mail", folder.path())).collect();
    assert!(said[0].starts_with("10 jobs pushed, "), "{said:?}");
    let all_sent: Vec<_> = said.iter().filter(|line| line.starts_with("all sent: ")).collect();
    assert_eq!(all_sent, ["all sent: 10 of 10 jobs succeeded"]);
}

#[test]
#[cfg(unix)]
fn a_time_of_the_calendar_runs_once_whoever_looks() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut both = [start("cron", folder.path()), start("cron", folder.path())];
    let (said, heard) = std::sync::mpsc::channel();
    for process in &mut both {
        let (lines, said) = (lines(process), said.clone());
        std::thread::spawn(move || lines.for_each(|line| said.send(line).expect("the test hears it")));
    }
    drop(said);
    let is_report = |line: &String| line.starts_with("a report for Ada, as of Some(");
    // A process that is told to stop before it has begun says nothing of what it did.
    let mut reports: Vec<String> = Vec::new();
    let mut begun = 0;
    while begun < 2 || reports.is_empty() {
        let line = heard.recv().expect("both begin, and one reports within ten seconds");
        begun += usize::from(line.starts_with("worker ") && line.ends_with(" takes from default"));
        reports.extend(is_report(&line).then_some(line));
    }
    for process in &both {
        let kill = Command::new("kill").args(["-TERM", &process.id().to_string()]).status();
        assert!(kill.expect("there is `kill`").success());
    }
    let rest: Vec<String> = heard.iter().collect();
    assert_eq!(rest.iter().filter(|line| line.contains(" completed, 0 failed")).count(), 2, "{rest:?}");
    reports.extend(rest.into_iter().filter(is_report));
    let count = reports.len();
    reports.sort();
    reports.dedup();
    assert_eq!(reports.len(), count, "no time ran twice: {reports:?}");
    for process in &mut both {
        assert!(process.wait().expect("it ends").success());
    }
}

#[test]
fn an_import_goes_on_where_it_was_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = start("import", folder.path());
    assert!(lines(&mut first).any(|line| line == "300000 rows"));
    first.kill().expect("ours to kill");
    first.wait().expect("it ends");
    let mut second = start("import", folder.path());
    let process = second.id();
    let mut said = lines(&mut second).filter(|line| line.ends_with(" rows"));
    let began: u64 =
        said.next().and_then(|line| line.split(' ').next()?.parse().ok()).expect("a number of rows");
    // The next job begins while the end of the one before it is still being told.
    assert!(began >= 290_000, "it goes on, from {began}");
    assert!(said.any(|line| line == "990000 rows"));
    assert_memory(process);
    second.wait().expect("it ends");
    let rest: Vec<_> = lines(&mut start("import", folder.path())).collect();
    assert!(!rest.iter().any(|line| line.ends_with(" rows")), "it is done once: {rest:?}");
}

#[test]
fn an_import_adds_every_row_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let said: Vec<_> = lines(&mut start("import", folder.path())).collect();
    assert!(said.contains(&"the total is 500000500000".to_owned()), "{:?}", said.last());
    assert!(said.last().is_some_and(|line| line.starts_with("100 completed, 0 failed")), "{:?}", said.last());
}

#[cfg(target_os = "linux")]
fn assert_memory(process: u32) {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().split(' ').next()?.parse().ok());
    let peak: u64 = peak.expect("its peak of memory");
    println!("the peak is {peak} KiB");
    assert!(peak < IMPORT_KIB_MAX, "{peak} KiB");
}

#[cfg(not(target_os = "linux"))]
fn assert_memory(_: u32) {}

fn start(example: &str, folder: &Path) -> Child {
    start_with(example, folder, &[])
}

fn start_with(example: &str, folder: &Path, args: &[&str]) -> Child {
    let mut command = Command::new(example_path(example));
    command.current_dir(folder).args(args).env_remove("WINDLASS_URL").stdout(Stdio::piped());
    command.spawn().expect("the example runs")
}

/// Cargo builds examples beside the folder of test binaries.
fn example_path(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this binary has a path");
    test.parent().and_then(Path::parent).expect("the target folder").join("examples").join(name)
}

fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stdout.take().expect("its output is piped")).lines().map_while(Result::ok)
}
