//! The `windlass` command: serves a database, looks at jobs and measures.

// They panic where the output is a closed pipe or a full disk; `output` does not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use clap::Parser;

mod args;
mod bench;
mod carry;
mod command;
mod exit;
mod keep;
mod output;
mod settings;
#[cfg(feature = "torture")]
mod torture;

// A queue that was drained gives its pages back to the system, which the system allocator does not promise.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(mut error) => {
            if std::env::args_os().any(|word| word == "serve") {
                args::explain(&mut error);
            }
            let code = if error.use_stderr() { exit::USAGE } else { exit::OK };
            return match error.print() {
                // Help and version are answers.
                Err(cause) if !error.use_stderr() => output::unwritten(cause).report(),
                _ => ExitCode::from(code),
            };
        }
    };
    match command::run(args) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(failure) => failure.report(),
    }
}
