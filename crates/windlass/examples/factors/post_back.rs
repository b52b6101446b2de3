//! Posting an answer back: a job of its own, so that a slow or absent receiver holds up no factoring.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use hmac_sha256::HMAC;
use reqwest::{Url, redirect};
use serde::{Deserialize, Serialize};
use windlass::{Context, Failure, Job, Outcome};

use crate::guard::Guard;

pub const QUEUE: &str = "post-back";
/// Carries the hexadecimal HMAC-SHA256 of the body under the shared secret.
pub const SIGNATURE: &str = "windlass-signature";
/// How long one attempt waits for the receiver.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);

static POSTER: OnceLock<Poster> = OnceLock::new();

/// What one attempt needs, made once.
struct Poster {
    guard: Guard,
    http: reqwest::Client,
}

/// Settles where post-backs may go, before the first is run.
pub fn configure(allowed: Vec<SocketAddr>) -> reqwest::Result<()> {
    let guard = Guard::new(allowed);
    // A redirect would be followed to an address that nobody checked, and a proxy would resolve names by itself.
    let http = reqwest::Client::builder()
        .dns_resolver(guard.clone())
        .redirect(redirect::Policy::none())
        .no_proxy()
        .timeout(ANSWER_WAIT_MAX)
        .build()?;
    let _ = POSTER.set(Poster { guard, http });
    Ok(())
}

/// Reads a URL that answers are to be posted to; the error says why none are.
pub fn check(url: &str) -> Result<Url, String> {
    let read: Url = url.parse().map_err(|error| format!("`{url}` is no URL: {error}"))?;
    poster().guard.check(&read)?;
    Ok(read)
}

fn poster() -> &'static Poster {
    POSTER.get().expect("configured before anybody is served")
}

/// The shared secret of the signatures: `FACTORS_SECRET`, or one for trying out.
pub fn secret() -> String {
    std::env::var("FACTORS_SECRET").unwrap_or_else(|_| "a secret for trying out".into())
}

/// The signature of a body.
pub fn sign(secret: &str, body: &[u8]) -> String {
    HMAC::mac(body, secret).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An answer on its way to the one who asked.
#[derive(Debug, Serialize, Deserialize)]
pub struct PostBack {
    pub url: String,
    /// The id of the job that it answers: the receiver tells a repeated post by it.
    pub job: String,
    pub answer: serde_json::Value,
    pub submitted_ms: u64,
    /// The attempt of the job that it answers.
    pub attempt: u32,
}

impl Job for PostBack {
    const KIND: &'static str = "post-back";
    const QUEUE: &'static str = QUEUE;
    const MAX_ATTEMPTS: u32 = 12;
    type Output = ();

    async fn run(self, _: Context) -> Outcome<()> {
        // What was allowed when the number was submitted may not be any more.
        let url = check(&self.url).map_err(Failure::kill)?;
        let body = serde_json::to_vec(&self)?;
        let request = poster().http.post(url).header("content-type", "application/json");
        let answer = request.header(SIGNATURE, sign(&secret(), &body)).body(body).send().await?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status if status.as_u16() == 410 => Err(Failure::discard("the receiver answers that it is gone")),
            status => Err(Failure::retry(format!("the receiver answered {status}"))),
        }
    }
}
