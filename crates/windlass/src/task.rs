//! Tasks that are started once, or rarely.
//!
//! The runtime's code around a task is compiled anew for each type of future, twice over for its two kinds of runtime.
//! Behind a box all futures are of one type, at the price of an allocation and of a jump for each poll. What is started or
//! polled for each job goes without.

use std::pin::Pin;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// As [`tokio::spawn`].
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    spawn_on(&Handle::current(), future)
}

/// As [`Handle::spawn`].
pub(crate) fn spawn_on(
    runtime: &Handle,
    future: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let future: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(future);
    runtime.spawn(future)
}

/// As [`tokio::task::spawn_local`].
pub(crate) fn spawn_local(future: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
    let future: Pin<Box<dyn Future<Output = ()>>> = Box::pin(future);
    tokio::task::spawn_local(future)
}
