//! The command as its users meet it: what it prints, and the codes that it ends with.

#[cfg(target_os = "linux")]
mod idle;
mod shutdown;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

#[path = "main/bench.rs"]
mod bench;
#[path = "main/carry.rs"]
mod carry;
#[path = "main/damage.rs"]
mod damage;
#[path = "main/events.rs"]
mod events;
#[path = "main/fit.rs"]
mod fit;
#[path = "main/libraries.rs"]
mod libraries;
#[path = "main/output.rs"]
mod output;
#[path = "main/serve.rs"]
mod serve;
#[path = "main/transfer.rs"]
mod transfer;

/// A run of `windlass` in an empty folder, without the user's environment.
fn windlass(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).output().expect("the command runs")
}

/// What a run that must succeed prints.
fn succeed(folder: &Path, args: &[&str]) -> String {
    let output = windlass(folder, args);
    assert_eq!(code(&output), 0, "{args:?}: {}", stderr(&output));
    assert_eq!(stderr(&output), "", "{args:?}");
    stdout(&output).trim().to_owned()
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
    command.current_dir(folder).args(args).env_remove("WINDLASS_URL").env_remove("REDIS_URL");
    command
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// Runs that fail, the code that they end with, and what they must say.
#[test]
fn a_wrong_command_line_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let occupied = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = occupied.local_addr().expect("an address").to_string();
    std::fs::create_dir(folder.path().join("foreign")).expect("a folder");
    std::fs::write(folder.path().join("foreign/notes.txt"), "not ours").expect("a file");
    succeed(folder.path(), &["job", "push", "mail"]);
    let cases: &[(&[&str], i32, &str)] = &[
        (&[], 2, "Usage"),
        (&["job"], 2, "Usage"),
        (&["serve", "--save", ""], 2, "`windlass backup`"),
        (&["serve", "--appendonly", "yes"], 2, "--durability always"),
        (&["serve", "--requirepass", "secret"], 2, "--requirepass-file FILE"),
        (&["serve", "--slowlog-max-len", "5"], 2, "[serve.config]"),
        (&["serve", "/etc/redis/redis.conf"], 2, "windlass.toml in the current folder"),
        (&["serve", "--port", "70000"], 2, "70000 is not in 0..=65535"),
        (&["serve", "--bind", "127.0.0.1:0", "--port", "1"], 4, "port 1 is for no address"),
        (&["serve", "--maxclients", "0"], 4, "`0` is no maxclients: argument must be between 1 and"),
        (&["serve", "--timeout", "soon"], 4, "`soon` is no timeout: argument couldn't be parsed"),
        (&["serve", "--protected-mode", "on"], 4, "argument must be 'yes' or 'no'"),
        (
            &["serve", "--client-output-buffer-limit", "pubsub 1"],
            4,
            "Wrong number of arguments in buffer limit",
        ),
        (&["serve", "--enable-debug-command", "remote"], 4, "must be one of the following: no, yes, local"),
        (&["serve", "--rewrite-rate", "fast"], 4, "`fast` is no size"),
        (&["serve", "--auto-aof-rewrite-percentage", "50"], 2, "[serve.config]"),
        (&["serve", "--store", "data"], 2, "keeps its data in --dir DIR"),
        (&["serve", "--namespace", "a"], 2, "--namespace is not for this command: all namespaces"),
        (&["serve", "--json"], 2, "--json is not for this command"),
        (&["serve", "--ca-file", "x"], 2, "--tls-ca-cert-file"),
        (&["serve", "--unixsocket", &"x".repeat(200)], 4, "choose a shorter path"),
        (&["serve", "--unixsocket", "none/socket"], 4, "there is no folder none; make it first"),
        (&["serve", "--unixsocket", "foreign/notes.txt"], 4, "a file that is no socket is there"),
        (&["serve", "--unixsocket", "foreign"], 4, "a folder is there"),
        (&["check", "data", "--store", "data"], 2, "`windlass check DIR`"),
        (&["check", "data", "--namespace", "a"], 2, "--namespace is not for this command"),
        (&["completion", "bash", "--json"], 2, "--json is not for this command"),
        (&["bench", "jobs", "--namespace", "a"], 2, "a bench measures in a namespace of its own"),
        (&["bench", "features", "--namespace", "a"], 2, "a bench measures in a namespace of its own"),
        (
            &["bench", "jobs", "--store", "memory:", "--durability", "none"],
            2,
            "--durability is for a directory that this command opens",
        ),
        (&["serve", "--in-memory", "--durability", "always"], 2, "cannot be used with"),
        (&["serve", "--in-memory", "--dir", "data"], 2, "cannot be used with"),
        (&["serve", "--unixsocketperm", "rwx"], 4, "`rwx` is no unixsocketperm"),
        (&["serve", "--tls-port", "0"], 4, "--tls-port needs --tls-cert-file"),
        (&["serve", "--tls-only"], 2, "--tls-port"),
        (
            &["serve", "--tls-port", "0", "--tls-cert-file", "no.crt", "--tls-key-file", "no.key"],
            4,
            "--tls-port needs --tls-ca-cert-file, which says whose clients are let in, or --tls-auth-clients no",
        ),
        (&["serve", "--tls-cert-file", "no.crt"], 4, "--tls-cert-file is for --tls-port, which is missing"),
        (&["serve", "--tls-auth-clients", "no"], 4, "--tls-auth-clients is for --tls-port"),
        (&["queue", "ls", "--stroe", "x"], 2, "--store"),
        (&["job", "push", "mail", "--args", "{oops"], 2, "--args is no JSON"),
        (&["job", "push", "mail", "--in", "5"], 2, "5m"),
        (&["job", "ls", "--state", "sleeping"], 2, "unknown state `sleeping`"),
        (&["job", "push", "mail", "--unique", "soon"], 2, "not started, done or ever"),
        (&["job", "push", "mail", "--replace"], 2, "--unique"),
        (&["job", "push", "mail", "--refuse"], 2, "--unique"),
        (&["job", "push", "mail", "--unique", "done", "--refuse", "--replace"], 2, "cannot be used with"),
        (&["job", "push", "mail", "--unique", "0s"], 2, "the unique of the push lasts no time at all"),
        (&["job", "push", "mail", "--key", ""], 2, "the key of the push is empty"),
        (&["job", "push", "mail", "--in", "1h", "--expires-in", "5m"], 2, "it could never run"),
        (&["limit", "set", "kind:k", "--rate", "5/1s", "--burst", "9"], 2, "--form bucket"),
        (&["job", "retry"], 2, "<ID>"),
        (&["job", "retry", "--kind", "mail"], 2, "Usage"),
        (&["job", "edit", "default/1-1", "--args", "{oops"], 2, "--args is no JSON"),
        (&["job", "edit", "default/1-1"], 2, "--args <JSON>"),
        (&["job", "reschedule", "default/1-1"], 2, "--in <DURATION>"),
        (&["job", "push", "mail", "--at", "tomorrow"], 2, "`tomorrow` is no time; write it as"),
        (&["job", "push", "mail", "--at", "2100-01-01T00:00Z", "--in", "1h"], 2, "cannot be used with"),
        (&["job", "reschedule", "default/1-1", "--in", "1h"], 1, "no job default/1-1"),
        (&["job", "cancel", "default/1-1"], 1, "no job default/1-1"),
        (
            &["limit", "set", "mail", "--cap", "2"],
            2,
            "use queue:QUEUE, kind:KIND, key:QUEUE or key:QUEUE/KEY",
        ),
        (&["limit", "set", "kind:mail"], 2, "a rule says something"),
        (&["limit", "set", "kind:mail", "--rate", "5"], 2, "100/1m"),
        (&["limit", "set", "kind:mail", "--weight", "2"], 1, "the rule of kind:mail: weight is for keys"),
        (&["limit", "set", "kind:mail", "--breaker", "3"], 2, "--window"),
        (&["job", "show", "no id"], 2, "is not the id of a job"),
        (&["job", "show", "default/1-1"], 1, "no job default/1-1"),
        (&["job", "push", "two words"], 1, "the kind `two words`"),
        (
            &["cron", "add", "n", "0 25 * * *", "k"],
            2,
            "the hour `25` of the cron entry `n` is out of range 0 to 23",
        ),
        (&["cron", "add", "n", "* * *", "k"], 2, "the spec `* * *` of the cron entry `n` has 3 fields"),
        (
            &["cron", "add", "n", "@daily", "k", "--zone", "Berlin"],
            2,
            "the zone `Berlin` of the cron entry `n` is not",
        ),
        (
            &["cron", "add", "n", "@daily", "k", "--jitter", "25h"],
            2,
            "the jitter `90000s` of the cron entry `n` is out of range",
        ),
        (
            &["cron", "add", "n", "@daily", "k", "--catch-up", "some"],
            2,
            "--catch-up is `some`, not skip, once or all:N",
        ),
        (
            &["cron", "add", "n", "@daily", "k", "--catch-up", "all:0"],
            2,
            "the catch_up `0` of the cron entry `n` is out of range 1 to 1000",
        ),
        (&["cron", "add", "n", "@daily", "k", "--overlap", "x"], 2, "--overlap is `x`, not allow or skip"),
        (&["cron", "add", "n", "@daily", "k", "--args", "{oops"], 2, "--args is no JSON"),
        (&["cron", "add", "a b", "@daily", "k"], 2, "the cron entry `a b` is not 1 to 64 characters"),
        (
            &["job", "push", "mail", "--in", "99999999999d"],
            2,
            "`99999999999d` is too long, the most is 365250d",
        ),
        (&["job", "reschedule", "default/1-0", "--in", "365251d"], 2, "is too long"),
        (&["cron", "pause", "n"], 1, "there is no cron entry `n`"),
        (&["cron", "run", "n"], 1, "there is no cron entry `n`"),
        (&["cron", "rm", "n"], 1, "there is no cron entry `n`"),
        (&["queue", "ls", "--store", "http://localhost"], 4, "the scheme `http` is unknown"),
        (&["queue", "ls", "--store", "redis://127.0.0.1?foo=1"], 4, "the option `foo` is unknown"),
        (&["job", "push", "mail", "--store", "memory:"], 4, "name a directory or a server with --store"),
        (&["queue", "ls", "--store", "redis://127.0.0.1:1"], 3, "cannot connect to 127.0.0.1:1"),
        (&["queue", "ls", "--store", "foreign"], 4, "is not a Windlass directory"),
        (&["queue", "ls", "--namespace", "a b"], 4, "the namespace `a b`"),
        (&["serve", "--durability", "sometimes"], 4, "always, everysec or none"),
        (&["serve", "--maxmemory", "lots"], 4, "such as 512mb"),
        (&["serve", "--requirepass-file", "absent"], 4, "cannot read the password from absent"),
        (&["serve", "--dir", "data", "--bind", &port], 4, &port),
        (&["serve", "--dir", "foreign"], 4, "foreign"),
    ];
    for (args, wanted, text) in cases {
        let output = windlass(folder.path(), args);
        let said = format!("{}{}", stdout(&output), stderr(&output));
        assert_eq!(code(&output), *wanted, "{args:?} said {said}");
        assert!(said.contains(text), "{args:?} said {said}");
        assert!(!said.contains("panicked"), "{args:?} said {said}");
    }
    assert_eq!(
        std::fs::read_dir(folder.path().join("foreign")).expect("a folder").count(),
        1,
        "nothing was added"
    );
}

#[test]
fn looking_makes_no_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases: &[&[&str]] = &[
        &["queue", "ls"],
        &["queue", "resume", "default"],
        &["job", "ls"],
        &["job", "show", "default/1-1"],
        &["job", "cancel", "default/1-1"],
        &["job", "retry", "--all"],
        &["limit", "ls"],
        &["limit", "rm", "kind:mail"],
        &["cron", "ls"],
        &["cron", "run", "n"],
        &["export", "x.jsonl"],
    ];
    for args in cases {
        let output = windlass(folder.path(), &[&["--store", "typo"], *args].concat());
        assert_eq!(code(&output), 4, "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("there is no store in typo: check the path"), "{}", stderr(&output));
    }
    let output = windlass(folder.path(), &["move", "--from", "typo", "--to", "other"]);
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing was made");
    std::fs::create_dir(folder.path().join("empty")).expect("a folder");
    assert_eq!(code(&windlass(folder.path(), &["--store", "file:empty", "queue", "ls"])), 4);
    assert_eq!(std::fs::read_dir(folder.path().join("empty")).expect("a folder").count(), 0);
}

#[test]
#[cfg(target_os = "linux")]
fn where_no_store_can_be_made_another_place_is_advised() {
    let folder = tempfile::tempdir().expect("a folder");
    for args in [&["job", "push", "mail", "--store", "/proc/nope"][..], &["serve", "--dir", "/proc/nope"]] {
        let output = windlass(folder.path(), args);
        assert_eq!(code(&output), 4, "{args:?}");
        assert!(stderr(&output).contains("Name a directory on a disk"), "{}", stderr(&output));
    }
}

#[test]
fn a_settings_file_with_a_mistake_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("windlass.toml"), "namespcae = \"x\"").expect("a file");
    let output = windlass(folder.path(), &["queue", "ls"]);
    assert_eq!(code(&output), 4);
    assert!(stderr(&output).contains("windlass.toml has a mistake"), "{}", stderr(&output));
}

#[test]
fn flags_win_over_environment_over_file() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("windlass.toml"), "store = \"of-file\"").expect("a file");
    let run = |args: &[&str], url: Option<&str>| {
        let mut command = command(folder.path(), args);
        if let Some(url) = url {
            command.env("WINDLASS_URL", url);
        }
        assert!(command.output().expect("the command runs").status.success());
    };
    run(&["job", "push", "a"], None);
    assert!(folder.path().join("of-file").exists());
    run(&["job", "push", "a"], Some("of-environment"));
    assert!(folder.path().join("of-environment").exists());
    run(&["job", "push", "a", "--store", "of-flag"], Some("of-environment-too"));
    assert!(folder.path().join("of-flag").exists() && !folder.path().join("of-environment-too").exists());
}

#[test]
fn a_job_is_pushed_looked_at_moved_and_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |args: &[&str]| succeed(folder.path(), args);
    let id = run(&["job", "push", "mail", "--queue", "letters", "--args", "{\"to\":\"ann\"}"]);
    assert!(id.starts_with("letters/"), "{id}");
    // That a job was there already is said beside the answer.
    let push_again = |args: &[&str]| {
        let pushed = windlass(folder.path(), args);
        assert_eq!(code(&pushed), 0, "{}", stderr(&pushed));
        assert!(stderr(&pushed).contains(" was there already and "), "{}", stderr(&pushed));
        stdout(&pushed).trim().to_owned()
    };
    let once = ["job", "push", "mail", "--key", "once"];
    assert_eq!(run(&once), push_again(&once));
    let unique = |args: &'static str| {
        ["job", "push", "report", "--unique", "done", "--unique-key", "r", "--replace", "--args", args]
    };
    let first = run(&unique("1"));
    assert_eq!(push_again(&unique("2")), first);
    assert!(run(&["job", "show", &first]).contains(r#""args":2"#));
    let hourly = ["job", "push", "report", "--unique", "1h"];
    assert_eq!(run(&hourly), push_again(&hourly));
    // What was there already is told apart, for people and for programs.
    let fields = ["--json", "job", "push", "bill", "--unique", "done", "--unique-field", "to", "--args"];
    let push = |more: &[&str]| {
        let said = run(&[&fields[..], more].concat());
        let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        (said["id"].as_str().expect("an id").to_owned(), said["pushed"].as_str().expect("a word").to_owned())
    };
    let (bill, is_new) = push(&[r#"{"to":"ann","no":1}"#]);
    assert_eq!(is_new, "new");
    assert_eq!(push(&[r#"{"to":"ann","no":2}"#]), (bill.clone(), "kept".into()));
    assert_eq!(push(&[r#"{"to":"ann","no":3}"#, "--replace"]), (bill.clone(), "replaced".into()));
    assert_eq!(push_again(&[&fields[1..], &[r#"{"to":"ann"}"#]].concat()), bill);
    let refused = windlass(folder.path(), &[&fields[1..], &[r#"{"to":"ann"}"#, "--refuse"]].concat());
    assert_eq!(code(&refused), 1);
    assert!(
        stderr(&refused).contains(&format!("an equal job is there already: {bill}")),
        "{}",
        stderr(&refused)
    );
    let shown: serde_json::Value = serde_json::from_str(&run(&["--json", "job", "show", &id])).expect("JSON");
    assert_eq!(shown["state"], "enqueued");
    assert_eq!(shown["envelope"]["args"]["to"], "ann");
    let large = "[123456789012345678901234567890, 18446744073709551616, 0.1000000000000000055]";
    let large_id = run(&["job", "push", "sum", "--queue", "sums", "--args", large]);
    for command in [&["job", "show", &large_id][..], &["job", "ls", "--queue", "sums"]] {
        let said = run(&[&["--json"], command].concat());
        assert!(said.contains(large), "numbers are shown as they are: {said}");
    }
    let later = run(&["job", "push", "mail", "--in", "1h"]);
    assert!(run(&["job", "ls", "--state", "scheduled"]).contains(&later));
    run(&["job", "retry", &later]);
    assert_eq!(run(&["job", "ls", "--state", "scheduled"]), "no jobs are scheduled");
    run(&["job", "rm", &later]);
    assert_eq!(code(&windlass(folder.path(), &["job", "rm", &later])), 1, "it is gone");
    let later = run(&["job", "push", "mail", "--in", "1h"]);
    assert_eq!(run(&["job", "edit", &later, "--args", "[1]"]), format!("{later} is changed"));
    let more = ["job", "edit", &later, "--priority", "3", "--max-attempts", "5", "--expires-in", "9h"];
    assert_eq!(run(&more), format!("{later} is changed"));
    let shown = run(&["--json", "job", "show", &later]);
    assert!(
        shown.contains(r#""args":[1]"#)
            && shown.contains(r#""max":5"#)
            && shown.contains(r#""lane":{"p":3}"#),
        "{shown}"
    );
    assert!(run(&["job", "reschedule", &later, "--in", "2h"]).contains("is due in"));
    assert!(
        run(&["job", "reschedule", &later, "--at", "2100-01-01T01:00+01:00"])
            .contains("2100-01-01T00:00:00Z")
    );
    assert!(run(&["job", "show", &later]).contains("2100-01-01T00:00:00Z"));
    assert_eq!(run(&["job", "cancel", &later]), format!("{later} is cancelled"));
    assert!(run(&["job", "ls", "--state", "cancelled"]).contains(&later));
    assert_eq!(code(&windlass(folder.path(), &["job", "cancel", &later])), 1, "it is cancelled already");
    assert!(run(&["job", "edit", &later, "--args", "[2]", "--retry"]).contains("in its queue now"));
    assert!(run(&["job", "edit", &id, "--args", "[3]"]).contains("the last one there"));
    assert_eq!(run(&["job", "kill", &later]), format!("{later} is dead"));
    assert_eq!(run(&["job", "retry", "--all", "--kind", "bill"]), "0 jobs are enqueued");
    assert_eq!(run(&["job", "retry", "--all", "--kind", "mail"]), "1 job is enqueued");
    run(&["queue", "pause", "letters"]);
    assert!(run(&["queue", "ls"]).contains("paused"));
    run(&["queue", "resume", "letters"]);
    assert!(!run(&["queue", "ls"]).contains("paused"));
}

#[test]
fn a_queue_with_limits_says_that_it_does_not_ask_for_kinds() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |args: &[&str]| succeed(folder.path(), args);
    run(&["queue", "kinds", "shared", "known"]);
    assert!(run(&["queue", "ls"]).contains("known kinds"));
    let output = windlass(folder.path(), &["limit", "set", "kind:mail", "--cap", "2"]);
    assert_eq!(code(&output), 0);
    let warning =
        "a queue with limits gives any job to any worker, also one that is to ask for kinds: shared";
    assert!(stderr(&output).contains(warning), "{}", stderr(&output));
    assert!(run(&["queue", "ls"]).contains("any kinds, for it has limits or lanes"));
    assert!(run(&["queue", "kinds", "shared", "known"]).contains("once it has no limits and lanes any more"));
}

#[test]
fn a_queue_is_forgotten() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |args: &[&str]| succeed(folder.path(), args);
    run(&["queue", "pause", "old"]);
    assert_eq!(run(&["queue", "rm", "old"]), "old is forgotten");
    assert!(!run(&["queue", "ls"]).contains("old"));
    run(&["job", "push", "mail", "--queue", "old"]);
    run(&["job", "push", "mail", "--queue", "old", "--in", "1h"]);
    let refused = windlass(folder.path(), &["queue", "rm", "old"]);
    assert_eq!(code(&refused), 1);
    let told = "old has 2 jobs that wait or run; --with-jobs removes those that do not run";
    assert!(stderr(&refused).contains(told), "{}", stderr(&refused));
    assert_eq!(run(&["queue", "rm", "old", "--with-jobs"]), "old is forgotten, and 2 jobs of it are removed");
    assert_eq!(code(&windlass(folder.path(), &["queue", "rm", "old"])), 1, "there is none");
}

#[test]
fn a_limit_is_set_shown_and_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |args: &[&str]| succeed(folder.path(), args);
    let first = run(&["job", "push", "mail"]);
    run(&["job", "rm", &first]);
    assert_eq!(run(&["limit", "ls"]), "no rules in the namespace default of windlass-data");
    assert_eq!(run(&["limit", "set", "kind:mail", "--cap", "2"]), "kind:mail has a rule now");
    let rate = ["limit", "set", "key:default/acme", "--rate", "100/1m", "--form", "bucket", "--burst", "10"];
    assert_eq!(run(&rate), "key:default/acme has a rule now");
    assert_eq!(run(&["limit", "pause", "mail"]), "mail is paused: no job of it is taken");
    let rules = run(&["limit", "ls", "--json"]);
    let rules: Vec<serde_json::Value> =
        rules.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let rate = serde_json::json!({ "form": "bucket", "n": 100, "per_ms": 60_000, "burst": 10 });
    assert_eq!(rules[0]["rule"], serde_json::json!({ "cap": 2, "paused": true }));
    assert_eq!(rules[1], serde_json::json!({ "target": "key:default/acme", "rule": { "rate": rate } }));
    let id = run(&["job", "push", "mail", "--priority", "3", "--group", "acme"]);
    let shown = run(&["job", "show", &id]);
    assert!(shown.contains("lane      default/004//acme\nwaits for its turn"), "{shown}");
    let queues = run(&["queue", "ls", "--json"]);
    let queue: serde_json::Value = serde_json::from_str(&queues).expect("JSON");
    assert_eq!((&queue["enqueued"], &queue["in_lanes"]), (&1.into(), &1.into()));
    assert!(run(&["job", "ls"]).contains(&id));
    assert_eq!(run(&["limit", "resume", "mail"]), "mail goes on");
    assert_eq!(run(&["limit", "rm", "kind:mail"]), "kind:mail has no rule now");
    assert_eq!(run(&["limit", "rm", "kind:mail"]), "kind:mail had no rule");
}

#[test]
fn a_cron_entry_is_added_listed_paused_run_and_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |args: &[&str]| succeed(folder.path(), args);
    run(&["job", "push", "bill"]);
    assert_eq!(run(&["cron", "ls"]), "no cron entries in the namespace default of windlass-data");
    let add = [
        "cron",
        "add",
        "leap",
        "0 0 29 2 *",
        "party",
        "--queue",
        "fun",
        "--args",
        "[1]",
        "--overlap",
        "skip",
    ];
    assert!(run(&add).starts_with("leap is put; it runs next at 20"));
    assert!(run(&add).starts_with("leap was there already; it runs next at 20"));
    let json = |args: &[&str]| -> serde_json::Value {
        serde_json::from_str(&run(&[&["--json"], args].concat())).expect("JSON")
    };
    let listed = json(&["cron", "ls"]);
    assert_eq!(
        (&listed["name"], &listed["zone"], &listed["kind"]),
        (&"leap".into(), &"UTC".into(), &"party".into())
    );
    assert_eq!((&listed["catch_up"], &listed["overlap"]), (&"once".into(), &"skip".into()));
    assert!(listed["next_ms"].as_u64().is_some_and(|next| next % 86_400_000 == 0));
    run(&["cron", "pause", "leap"]);
    assert!(run(&["cron", "ls"]).contains("paused"));
    assert_eq!(run(&add), "leap was there already; it is paused");
    assert_eq!(json(&["cron", "ls"])["next_ms"], serde_json::Value::Null);
    assert_eq!(run(&["cron", "resume", "leap"]), "leap goes on");
    assert_eq!(run(&["cron", "resume", "leap"]), "leap was not paused");
    let id = run(&["cron", "run", "leap"]);
    let job = json(&["job", "show", &id]);
    assert_eq!(job["envelope"]["meta"]["cron"]["name"], "leap");
    assert_eq!(json(&["cron", "rm", "leap"])["removed"], "leap");
    assert_eq!(run(&["--json", "cron", "ls"]), "");
}

/// A server that is ended with the test.
struct Serving(Child, String);

impl Serving {
    fn start(folder: &Path, args: &[&str]) -> Self {
        let mut child = command(folder, &[&["serve", "--bind", "127.0.0.1:0"], args].concat())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let output = child.stdout.take().expect("its output is piped");
        let line = BufReader::new(output).lines().next().expect("a line").expect("text");
        let address = line.trim_start_matches("ready on ").split(',').next().expect("an address").to_owned();
        Self(child, address)
    }

    fn url(&self) -> String {
        format!("redis://{}", self.1)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already, as the test wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_was_acknowledged_is_there_after_kill_9() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut serving = Serving::start(folder.path(), &["--dir", "data"]);
    let pushed = windlass(folder.path(), &["--store", &serving.url(), "job", "push", "mail"]);
    assert_eq!(code(&pushed), 0, "{}", stderr(&pushed));
    serving.0.kill().expect("ours to kill");
    serving.0.wait().expect("it ends");
    let serving = Serving::start(folder.path(), &["--dir", "data"]);
    let listed = windlass(folder.path(), &["--store", &serving.url(), "job", "ls"]);
    assert!(stdout(&listed).contains(stdout(&pushed).trim()), "{}", stdout(&listed));
    // Another process that names the directory gets in through its owner.
    let by_path = windlass(folder.path(), &["--store", "data", "job", "ls"]);
    assert_eq!(stdout(&by_path), stdout(&listed));
}

#[test]
fn a_password_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("secret"), "open sesame\n").expect("a file");
    let serving = Serving::start(folder.path(), &["--dir", "data", "--requirepass-file", "secret"]);
    let refused = windlass(folder.path(), &["--store", &serving.url(), "queue", "ls"]);
    assert_ne!(code(&refused), 0);
    // By its path it is not taken for a process that hangs, and the socket is named as it can be used.
    let by_path = windlass(folder.path(), &["--store", "data", "queue", "ls"]);
    assert_eq!(code(&by_path), 3);
    let said = stderr(&by_path);
    assert!(said.contains("asks for a password") && said.contains("redis://:PASSWORD@HOST:PORT"), "{said}");
    let socket = said.split('`').find(|text| text.starts_with("unix:")).expect("it names the socket");
    let by_socket = socket.replace("PASSWORD", "open%20sesame");
    let output = windlass(folder.path(), &["--store", &by_socket, "queue", "ls"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let with_password = format!("redis://:open%20sesame@{}", serving.1);
    let output = windlass(folder.path(), &["--store", &with_password, "queue", "ls"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn completion_and_help_go_to_standard_output() {
    let folder = tempfile::tempdir().expect("a folder");
    for args in [&["--help"][..], &["--version"], &["job", "push", "--help"], &["completion", "bash"]] {
        let output = windlass(folder.path(), args);
        assert_eq!(code(&output), 0, "{args:?}");
        assert!(stdout(&output).contains("windlass"), "{args:?}");
    }
}
