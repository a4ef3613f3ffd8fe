//! The routes: what can be asked of the page's server.

use std::net::TcpListener;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;

use super::events::{self, event};
use super::gate::Gate;
use super::guard::{at_the_door, by_token, refusal};
use super::line::Reader;
use super::logs::file_name;
use super::pace::LINES_PER_SECOND;
use super::shown::shown;
use super::tail::Follower;
use super::{PAGES_MAX, Shared, files, levels, state};
use crate::tail::{Filter, Grep, Levels, Worker};

/// The body of a request: directives for some hundred targets.
const BODY_MAX: usize = 8 << 10;

/// A regular expression or a name that a page filters by.
const FILTER_TEXT_MAX: usize = 1024;

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) -> std::io::Result<()> {
    tokio::spawn(state::keep(Arc::clone(&shared)));
    axum::serve(Gate::new(listener)?, router(shared)).await
}

fn router(shared: Arc<Shared>) -> Router {
    let data = Router::new()
        .route("/events", get(open))
        .route("/levels", get(levels::tell).post(levels::set))
        .route("/levels/reset", post(levels::reset))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn_with_state(Arc::clone(&shared), by_token));
    files::routes()
        .merge(data)
        .fallback(|| async { refusal(StatusCode::NOT_FOUND, "there is nothing here") })
        .layer(from_fn(at_the_door))
        .with_state(shared)
}

/// What a page wants to see of which log.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    log: usize,
    file: Option<String>,
    level: String,
    worker: String,
    target: String,
    text: String,
}

impl Wanted {
    /// The filter, or the field that can't be read and why.
    fn filter(&self) -> Result<Filter, (&'static str, String)> {
        let fields = [
            ("level", &self.level),
            ("worker", &self.worker),
            ("target", &self.target),
            ("text", &self.text),
        ];
        if let Some((name, _)) = fields.iter().find(|(_, text)| text.len() > FILTER_TEXT_MAX) {
            return Err((name, format!("expected at most {FILTER_TEXT_MAX} bytes")));
        }
        // An empty field asks for nothing.
        let asked = |text: &'_ String| (!text.is_empty()).then(|| text.clone());
        let read = |name, error: String| (name, error);
        Ok(Filter {
            levels: asked(&self.level)
                .map(|text| Levels::parse(&text))
                .transpose()
                .map_err(|error| read("level", error))?,
            workers: asked(&self.worker)
                .map(|text| Worker::parse(&text))
                .transpose()
                .map_err(|error| read("worker", error))?
                .into_iter()
                .collect(),
            targets: asked(&self.target).into_iter().collect(),
            grep: asked(&self.text)
                .map(|text| Grep::parse(&text))
                .transpose()
                .map_err(|error| read("text", error))?,
            ..Filter::default()
        })
    }
}

/// Opens a page's events.
async fn open(
    State(shared): State<Arc<Shared>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Response {
    let Query(wanted) = match wanted {
        Ok(wanted) => wanted,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.body_text()),
    };
    let filter = match wanted.filter() {
        Ok(filter) => filter,
        Err((field, why)) => {
            let why = format!("{field}: {}", shown(&why).0);
            return refusal(StatusCode::BAD_REQUEST, &why);
        }
    };
    let Ok(permit) = Arc::clone(&shared.pages).try_acquire_owned() else {
        let why = format!("{PAGES_MAX} pages are open already, and no more can be; close one");
        return refusal(StatusCode::SERVICE_UNAVAILABLE, &why);
    };
    let asked = Arc::clone(&shared);
    // Folders of many files take their time to be listed.
    let (hello, log) =
        match tokio::task::spawn_blocking(move || (hello(&asked), log_of(&asked, &wanted))).await {
            Ok(both) => both,
            Err(error) => return refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        };
    let (response, feed) = events::open(&shared, permit);
    // The channel is new and has room.
    let _ = feed.send(event("hello", &hello));
    match log {
        Some(log) => {
            let follower = Follower::new(shared, feed, Reader::new(filter), log);
            if let Err(error) = follower.start() {
                return refusal(StatusCode::SERVICE_UNAVAILABLE, &error.to_string());
            }
        }
        None => {
            let mark = if shared.logs.is_empty() {
                "this listener writes no file, so that there is nothing to read here"
            } else {
                "there is no such file, or none yet"
            };
            let _ = feed.send(event("rows", &json!([{ "mark": mark }])));
        }
    }
    response
}

fn log_of(shared: &Shared, wanted: &Wanted) -> Option<std::path::PathBuf> {
    shared.logs.get(wanted.log)?.file(wanted.file.as_deref())
}

/// What a page has to know at its beginning.
fn hello(shared: &Shared) -> serde_json::Value {
    let mut logs = Vec::new();
    for (number, log) in shared.logs.iter().enumerate() {
        for file in log.files() {
            let name = file_name(&file);
            // The page sends the name back as it is, and shows it as it can be shown.
            let (shown_name, _) = shown(&name);
            let path = shown(&log.path().to_string_lossy()).0;
            logs.push(json!({ "log": number, "file": name, "name": shown_name, "path": path }));
        }
    }
    json!({ "logs": logs, "lines_per_second": LINES_PER_SECOND })
}
