//! `windlass torture` notices each of its guards that is taken out. `scripts/test` runs the stages with all guards, by a
//! release build.

use std::process::{Command, Output};

/// A run of the command, on a folder that it removes.
fn torture(args: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
    command.current_dir(folder.path()).arg("torture").args(args).arg("--dir").arg(folder.path());
    command.env_remove("WINDLASS_URL").env_remove("REDIS_URL").output().expect("the command runs")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The names under a heading of `--list`, each with what stands in parentheses at the end of its line.
fn listed(heading: &str) -> Vec<(String, String)> {
    let output = torture(&["--list"]);
    let text = said(&output);
    let lines = text.lines().skip_while(|line| !line.starts_with(heading)).skip(1);
    let rows = lines.take_while(|line| line.starts_with("  "));
    let row = |line: &str| {
        let name = line.split_whitespace().next().expect("a name").to_owned();
        let last = line.rsplit('(').next().expect("the end").trim_end_matches(')').to_owned();
        (name, last)
    };
    rows.map(row).collect()
}

#[test]
fn a_simulated_store_holds_what_it_acknowledged() {
    let output = torture(&["simulate", "--seed", "7"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn the_stages_are_those_of_the_page() {
    let page = include_str!("../../../docs/durability.md");
    for (stage, _) in listed("stages") {
        assert!(page.contains(&format!("| `{stage}`")), "docs/durability.md does not tell of {stage}");
    }
}

#[test]
fn a_guard_that_is_taken_out_is_noticed() {
    let guards = listed("guards");
    assert_eq!(guards.len(), 16);
    for (guard, stage) in guards {
        let is_noticed = |seed: &str| {
            let mut args = vec![&*stage, "--without", &guard, "--seed", seed];
            if matches!(&*stage, "kill" | "jobs") {
                args.extend(["--kills", "8"]);
            }
            let output = torture(&args);
            let (said, code) = (said(&output), output.status.code());
            let tells = said.contains("VIOLATION") && said.contains(&format!("seed {seed}"));
            assert!(code == Some(0) || code == Some(1) && tells, "without {guard}: {said}");
            code == Some(1)
        };
        // Where processes are killed the moment is the machine's, and a busy one may miss the few that tell.
        assert!(["3", "4", "5"].into_iter().any(is_noticed), "without {guard} nothing is noticed");
    }
}

#[test]
fn a_stage_or_guard_that_is_not_there_is_named_with_those_that_are() {
    for (args, text) in [
        (&["kil"][..], "there is no stage `kil`"),
        (&["cut", "--without", "x"], "no guard `x`"),
        (&["cut", "--without", "lease"], "the stage cut does not look for the guard lease; simulate does"),
        (&["clock", "--kills", "5"], "--kills is for the stages that kill: kill, jobs"),
        (&["cut", "--store", "data"], "--store is not for this command"),
        (&["cut", "--namespace", "n"], "--namespace is not for this command"),
    ] {
        let output = torture(args);
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output).contains(text), "{}", said(&output));
    }
}

#[test]
fn a_stage_that_cannot_run_here_is_a_failure_where_none_may_be_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
        // Without a path there is no compiler.
        command.env("PATH", folder.path()).args(["torture", "preload", "--dir"]).arg(folder.path());
        command.args(flags).output().expect("the command runs")
    };
    let skipped = run(&[]);
    assert_eq!(skipped.status.code(), Some(0), "{}", said(&skipped));
    let failed = run(&["--no-skips"]);
    assert_eq!(failed.status.code(), Some(1), "{}", said(&failed));
    assert!(
        said(&failed).contains("the stage preload could not run here: it needs the C compiler"),
        "{}",
        said(&failed)
    );
}
