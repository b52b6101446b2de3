//! The database over TCP and unix sockets.
//!
//! What it is: [`Server`], which listens, limits how many clients there are, spreads them over threads and ends them
//! in good order, in the clear or by TLS. What it is not: it knows no commands and no protocol; each client is served by
//! [`windlass_db::serve`].
//!
//! ```
//! use windlass_db::Database;
//! use windlass_server::{Config, Server};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let database = Database::memory(windlass_db::Config::default())?;
//! let config = Config { tcp: vec!["127.0.0.1:0".into()], ..Config::default() };
//! let server = Server::bind(config, database)?;
//! println!("listening on {:?}", server.addresses());
//! server.run_until(async { /* until SIGTERM, say */ }).await?;
//! # Ok(()) }
//! ```

mod config;
mod error;
mod listen;
mod server;
mod tls;
mod worker;

pub use config::{ClientCertificates, Config, Tls};
pub use error::{Error, Result};
pub use server::Server;
