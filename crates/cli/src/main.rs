//! The `windlass` command: serves a database, looks at jobs and measures.

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
            if std::env::args().any(|word| word == "serve") {
                args::explain(&mut error);
            }
            let code = if error.use_stderr() { exit::USAGE } else { exit::OK };
            // Help and version go to standard output; when that is closed there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match command::run(args) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(failure) => failure.report(),
    }
}
