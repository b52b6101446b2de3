//! The connection, seen from outside: the same on an embedded database and on a real server.

mod both;
mod embedded;
mod owner;
mod remote;
mod server;
#[cfg(feature = "tls")]
mod tls;
mod wrong;
