//! Odd input and output that cannot be written: the command says so and does not panic.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output, Stdio};

use super::{code, command, stderr, succeed, windlass};

/// A run whose standard output is a pipe that nobody reads any more.
fn into_closed_pipe(mut command: Command) -> Output {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    command.stdout(writer).stderr(Stdio::piped()).output().expect("the command runs")
}

/// A run on whose standard output nothing can be written.
#[cfg(target_os = "linux")]
fn into_full_disk(mut command: Command) -> Output {
    let full = std::fs::File::create("/dev/full").expect("Linux has it");
    command.stdout(full).stderr(Stdio::piped()).output().expect("the command runs")
}

#[test]
fn an_argument_that_is_no_text_is_wrong_usage() {
    let folder = tempfile::tempdir().expect("a folder");
    for args in [&["job", "push", "k", "--args"][..], &["serve", "--maxmemory"], &["queue", "ls", "--store"]]
    {
        let output =
            command(folder.path(), args).arg(OsStr::from_bytes(b"\"\xff\"")).output().expect("it runs");
        assert_eq!(code(&output), 2, "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("UTF-8"), "{}", stderr(&output));
    }
    let mut listing = command(folder.path(), &["queue", "ls"]);
    let output = listing.env("WINDLASS_URL", OsStr::from_bytes(b"\xff")).output().expect("it runs");
    assert_eq!(code(&output), 4);
    assert!(stderr(&output).contains("WINDLASS_URL is not text"), "{}", stderr(&output));
}

#[test]
fn whoever_has_seen_enough_ends_the_command_quietly() {
    let folder = tempfile::tempdir().expect("a folder");
    succeed(folder.path(), &["job", "push", "mail"]);
    for args in [
        &["job", "ls", "--limit", "5000"][..],
        &["queue", "ls"],
        &["queue", "ls", "--json"],
        &["limit", "ls"],
        &["cron", "ls"],
        &["check", "windlass-data"],
        &["completion", "bash"],
        &["--help"],
    ] {
        let output = into_closed_pipe(command(folder.path(), args));
        assert_eq!((code(&output), stderr(&output)), (141, String::new()), "{args:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    succeed(folder.path(), &["job", "push", "mail"]);
    for args in [&["queue", "ls"][..], &["job", "ls", "--json"], &["completion", "bash"], &["--help"]] {
        let output = into_full_disk(command(folder.path(), args));
        assert_eq!(code(&output), 1, "{args:?}");
        assert!(stderr(&output).contains("standard output (No space left"), "{args:?}: {}", stderr(&output));
        // Nor does it matter when nobody can be told of that.
        let mut silent = command(folder.path(), args);
        let full = || std::fs::File::create("/dev/full").expect("Linux has it");
        let status = silent.stdout(full()).stderr(full()).status().expect("the command runs");
        assert_eq!(status.code(), Some(1), "{args:?}");
    }
    let mut wrong = command(folder.path(), &["job", "show", "no id"]);
    let status = wrong.stderr(std::fs::File::create("/dev/full").expect("Linux has it")).status();
    assert_eq!(status.expect("the command runs").code(), Some(2));
}

#[test]
fn a_push_whose_id_cannot_be_written_is_told_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let push = || command(folder.path(), &["job", "push", "mail"]);
    let runs = [
        (into_closed_pipe(push()), 141),
        #[cfg(target_os = "linux")]
        (into_full_disk(push()), 1),
    ];
    for (output, wanted) in &runs {
        let said = stderr(output);
        assert_eq!(code(output), *wanted, "{said}");
        let id = said.split(' ').find(|word| word.starts_with("default/")).expect("it says what was pushed");
        assert!(said.contains("was pushed all the same"), "{said}");
        assert_eq!(code(&windlass(folder.path(), &["job", "show", id])), 0, "{id} is there");
    }
    let paused = into_closed_pipe(command(folder.path(), &["queue", "pause", "default"]));
    assert_eq!(code(&paused), 141);
    assert!(stderr(&paused).contains("done all the same: default is paused"), "{}", stderr(&paused));
}
