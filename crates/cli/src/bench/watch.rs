//! What a load takes for each job: time, and processor time of this process and of the store's. Of an embedded store the
//! latter is part of this process's.

use std::time::Instant;

use windlass_conn::Connection;

use super::process::{cpu_seconds, store_cpu};

/// When something began, and the processor time until then.
pub struct Watch {
    start: Instant,
    own: f64,
    store: Option<f64>,
}

/// What it took for each job.
pub struct Span {
    pub per_s: f64,
    pub own_us: f64,
    pub store_us: Option<f64>,
}

impl Watch {
    /// Begins now.
    pub async fn look(connection: &Connection) -> Self {
        let store = if connection.is_embedded() { None } else { store_cpu(connection).await };
        Self { start: Instant::now(), own: cpu_seconds(std::process::id()), store }
    }

    /// What has passed since then.
    pub async fn until_now(&self, connection: &Connection, jobs: u64) -> Span {
        let seconds = self.start.elapsed().as_secs_f64();
        let now = Self::look(connection).await;
        let us = |seconds: f64| seconds * 1e6 / jobs as f64;
        Span {
            per_s: jobs as f64 / seconds,
            own_us: us(now.own - self.own),
            store_us: now.store.zip(self.store).map(|(now, before)| us(now - before)),
        }
    }
}
