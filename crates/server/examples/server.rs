//! A server in memory: `cargo run --release -p windlass-server --example server -- 127.0.0.1:7000 2`, the address and
//! the number of threads. It ends with its standard input.

use windlass_db::Database;
use windlass_server::{Config, Server};

// As the `windlass` command has.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:0".into());
    let mut config = Config { tcp: vec![address], ..Config::default() };
    if let Some(threads) = args.next() {
        config.threads = threads.parse()?;
    }
    let database = Database::memory(windlass_db::Config::default())?;
    let server = Server::bind(config, database)?;
    eprintln!("listening on {}", server.addresses().join(", "));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let end = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        server
            .run_until(async {
                let _ = end.await;
            })
            .await
    })?;
    Ok(())
}
