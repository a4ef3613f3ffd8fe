//! What the workers log, told and changed from a page.
//!
//! It is asked of the listener as `fleetlog level` asks it; whatever it refuses, it refuses here
//! in the same words.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use fleetlog_protocol::client;
use fleetlog_protocol::message::{LevelChange, Reply, Request};
use serde::Deserialize;
use serde_json::Value;

use super::Shared;
use super::guard::refusal;
use super::shown::{show_all, shown};

/// How long the listener may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a page asks to be changed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    directives: String,
    #[serde(default)]
    worker: Option<String>,
    #[serde(default)]
    for_seconds: Option<u64>,
}

/// Which change a page takes back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TakenBack {
    #[serde(default)]
    worker: Option<String>,
}

pub(super) async fn tell(State(shared): State<Arc<Shared>>) -> Response {
    ask(shared, Request::Levels).await
}

pub(super) async fn set(State(shared): State<Arc<Shared>>, Json(change): Json<Change>) -> Response {
    let Change { directives, worker, for_seconds } = change;
    ask(shared, Request::SetLevel(LevelChange { directives, worker, for_seconds })).await
}

pub(super) async fn reset(
    State(shared): State<Arc<Shared>>,
    Json(TakenBack { worker }): Json<TakenBack>,
) -> Response {
    ask(shared, Request::ResetLevel { worker }).await
}

/// Asks in a thread where waiting holds up nobody.
async fn ask(shared: Arc<Shared>, request: Request) -> Response {
    let asked = tokio::task::spawn_blocking(move || {
        client::request(&shared.run_dir, request, PATIENCE, |_| ())
    });
    match asked.await {
        Ok(Ok(Reply::Levels(json))) => match serde_json::from_str::<Value>(&json) {
            Ok(mut levels) => {
                show_all(&mut levels);
                ([(header::CONTENT_TYPE, "application/json")], levels.to_string()).into_response()
            }
            Err(error) => refusal(StatusCode::BAD_GATEWAY, &error.to_string()),
        },
        Ok(Ok(_)) => refusal(StatusCode::BAD_GATEWAY, "the listener answered something else"),
        Ok(Err(error)) if error.is_timed_out() => {
            refusal(StatusCode::GATEWAY_TIMEOUT, &error.to_string())
        }
        // It may repeat what the page sent.
        Ok(Err(error)) => refusal(StatusCode::BAD_REQUEST, &shown(&error.to_string()).0),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}
