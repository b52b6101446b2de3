//! Checks of the repository itself: `cargo run -p xtask -- tidy`, and of its tests: `-- mutate`.

use std::path::Path;
use std::process::ExitCode;

mod mutate;
mod tidy;

const USAGE: &str = "usage: cargo run -p xtask -- tidy
       cargo run -p xtask -- mutate [--every N] [--from N] [--at-once N]";

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository");
    let mut args = std::env::args().skip(1);
    let problems = match args.next().as_deref() {
        Some("tidy") => tidy::check(root),
        Some("mutate") => match options(args).map(|options| mutate::run(root, &options)) {
            None => vec![USAGE.to_owned()],
            Some(Err(error)) => vec![error.to_string()],
            Some(Ok(0)) => Vec::new(),
            Some(Ok(survivors)) => vec![format!("{survivors} mutants survived")],
        },
        _ => vec![USAGE.to_owned()],
    };
    for problem in &problems {
        eprintln!("{problem}");
    }
    match problems.first() {
        None => ExitCode::SUCCESS,
        Some(problem) if problem == USAGE => ExitCode::from(2),
        Some(_) => ExitCode::FAILURE,
    }
}

fn options(mut args: impl Iterator<Item = String>) -> Option<mutate::Options> {
    let mut options = mutate::Options { every: 1, from: 0, at_once: 1 };
    while let Some(option) = args.next() {
        let value = args.next()?.parse().ok()?;
        match option.as_str() {
            "--every" => options.every = value,
            "--from" => options.from = value,
            "--at-once" => options.at_once = value,
            _ => return None,
        }
    }
    Some(options)
}
