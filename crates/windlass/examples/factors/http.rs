//! The service: `POST` and `GET /factors`, `GET /jobs/{id}`.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use windlass::{Client, JobId, Push, State as JobState};

use crate::job::{Factor, NUMBER_MAX};
use crate::post_back;

/// Makes a repeated submission push nothing twice.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A number to factor, as JSON or as a query.
#[derive(Debug, Deserialize)]
struct Submission {
    number: Number,
    post_back_url: Option<String>,
}

/// A number as text, or as JSON's own when it is small.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Number {
    Text(String),
    Small(u64),
}

/// Listens on `address`, or says what to do.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| {
        format!("cannot listen on {address}: {error}; choose other ports with --listen and --receiver")
    })
}

/// Serves until the task is ended.
pub async fn serve(listener: TcpListener, client: Client) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/factors", get(submit_query).post(submit_json))
        .route("/jobs/{*id}", get(show))
        .with_state(client);
    axum::serve(listener, routes).await
}

async fn submit_json(
    State(client): State<Client>,
    headers: HeaderMap,
    body: Result<Json<Submission>, JsonRejection>,
) -> Response {
    match body {
        Ok(Json(submission)) => submit(&client, &headers, submission).await,
        Err(rejection) => refuse(rejection.status(), rejection.body_text()),
    }
}

async fn submit_query(
    State(client): State<Client>,
    headers: HeaderMap,
    query: Result<Query<Submission>, QueryRejection>,
) -> Response {
    match query {
        Ok(Query(submission)) => submit(&client, &headers, submission).await,
        Err(rejection) => refuse(rejection.status(), rejection.body_text()),
    }
}

async fn submit(client: &Client, headers: &HeaderMap, submission: Submission) -> Response {
    let text = match submission.number {
        Number::Text(text) => text,
        Number::Small(number) => number.to_string(),
    };
    let number = match text.parse::<u128>() {
        Ok(number) if (1..=NUMBER_MAX).contains(&number) => number,
        _ => {
            let problem = format!("`{text}` is not a whole number from 1 to 2^96 = {NUMBER_MAX}");
            return refuse(StatusCode::UNPROCESSABLE_ENTITY, problem);
        }
    };
    // Told at once, it reaches the one who can change it; a name is looked at again when it is resolved.
    if let Some(url) = &submission.post_back_url
        && let Err(problem) = post_back::check(url)
    {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, problem);
    }
    let job = Factor {
        number: number.to_string(),
        post_back_url: submission.post_back_url,
        submitted_ms: now_ms(),
    };
    let mut options = Push::new();
    if let Some(key) = headers.get(IDEMPOTENCY_KEY) {
        match key.to_str() {
            Ok(key) => options = options.key(key),
            Err(_) => return refuse(StatusCode::BAD_REQUEST, format!("{IDEMPOTENCY_KEY} is not plain text")),
        }
    }
    match client.push_with(job, options).await {
        Ok(handle) => (StatusCode::ACCEPTED, Json(json!({ "id": handle.id().to_string() }))).into_response(),
        Err(error) => refuse(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

async fn show(State(client): State<Client>, Path(id): Path<String>) -> Response {
    let id = match JobId::parse(&id) {
        Ok(id) => id,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let handle = client.handle::<serde_json::Value>(id.clone());
    let answer = match handle.state().await {
        Ok(Some(JobState::Completed)) => handle
            .result()
            .await
            .map(|result| json!({ "id": id.to_string(), "state": "completed", "result": result })),
        Ok(Some(state)) => Ok(json!({ "id": id.to_string(), "state": state.as_str() })),
        Ok(None) => {
            return refuse(StatusCode::NOT_FOUND, format!("no job {id}; results are kept for an hour"));
        }
        Err(error) => Err(error),
    };
    match answer {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => refuse(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

fn refuse(status: StatusCode, error: String) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}

/// Milliseconds since the epoch.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis() as u64)
}
