//! The other side: takes post-backs, checks their signatures and remembers them across runs.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Router, routing::post};
use tokio::sync::Notify;

use crate::http::now_ms;
use crate::post_back::{PostBack, SIGNATURE, secret, sign};

/// What the receiver has had so far, of this run and of those that it continues.
#[derive(Debug, Default)]
pub struct Seen {
    pub jobs: HashSet<String>,
    /// Milliseconds from submission to post-back, of each job.
    pub waits_ms: Vec<u64>,
    pub attempts: u64,
    pub duplicates: u64,
    pub refused: u64,
    /// How many an earlier run had received.
    pub from_before: usize,
}

/// The receiver's own memory: a line for each first post-back.
pub struct Journal {
    /// Names the run, in the keys of its submissions.
    pub run: String,
    file: Mutex<File>,
    seen: Mutex<Seen>,
    pub news: Notify,
}

impl Journal {
    /// Opens the journal at `path`, or begins one for a new run.
    pub fn open(path: &str) -> io::Result<Self> {
        let mut seen = Seen::default();
        let mut run = None;
        if let Ok(file) = File::open(path) {
            for line in BufReader::new(file).lines() {
                let line = line?;
                let fields: Vec<&str> = line.split(' ').collect();
                match fields[..] {
                    ["run", name] => run = Some(name.to_owned()),
                    // A line that a kill cut short is a post-back that was not answered: it comes again.
                    ["got", job, wait, attempt, "."] => {
                        seen.add(job, wait.parse().unwrap_or(0), attempt.parse().unwrap_or(1))
                    }
                    _ => {}
                }
            }
        }
        seen.from_before = seen.jobs.len();
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        let run = match run {
            Some(run) => run,
            None => {
                let run = format!("run-{}", now_ms());
                writeln!(file, "run {run}")?;
                run
            }
        };
        // The end of a line that was cut short must not swallow the next.
        writeln!(file)?;
        Ok(Self { run, file: Mutex::new(file), seen: Mutex::new(seen), news: Notify::new() })
    }

    pub fn count(&self) -> usize {
        self.lock().jobs.len()
    }

    pub fn take(&self) -> Seen {
        std::mem::take(&mut self.lock())
    }

    fn receive(&self, post: &PostBack) -> io::Result<()> {
        let wait = now_ms().saturating_sub(post.submitted_ms);
        let mut seen = self.lock();
        if !seen.jobs.contains(&post.job) {
            let mut file = self.file.lock().unwrap_or_else(|poison| poison.into_inner());
            writeln!(file, "got {} {wait} {} .", post.job, post.attempt)?;
        }
        seen.add(&post.job, wait, post.attempt);
        drop(seen);
        self.news.notify_one();
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(|poison| poison.into_inner())
    }
}

impl Seen {
    fn add(&mut self, job: &str, wait_ms: u64, attempt: u32) {
        if self.jobs.insert(job.to_owned()) {
            self.waits_ms.push(wait_ms);
            self.attempts += u64::from(attempt);
        } else {
            self.duplicates += 1;
        }
    }
}

/// Serves until the task is ended.
pub async fn serve(address: SocketAddr, journal: Arc<Journal>) -> Result<(), String> {
    let listener = crate::http::bind(address).await?;
    let routes = Router::new().route("/posts", post(receive)).with_state(journal);
    axum::serve(listener, routes).await.map_err(|error| error.to_string())
}

async fn receive(State(journal): State<Arc<Journal>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers.get(SIGNATURE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if signature != sign(&secret(), &body) {
        journal.lock().refused += 1;
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(post) = serde_json::from_slice::<PostBack>(&body) else { return StatusCode::UNPROCESSABLE_ENTITY };
    match journal.receive(&post) {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
