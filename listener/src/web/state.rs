//! The state of the fleet, asked once a second while at least one page is open.
//!
//! It is asked as everybody asks it, over the run directory's socket, and once for all pages. When
//! nobody looks nobody is asked.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use fleetlog_protocol::client;
use fleetlog_protocol::message::{Reply, Request};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use super::Shared;
use super::events::event;
use super::shown::show_all;

/// How often.
const PERIOD: Duration = Duration::from_secs(1);

/// How long the listener may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What pages are told: an event, ready to be sent.
pub(super) type Told = Bytes;

/// Asks for ever, while somebody looks.
pub(super) async fn keep(shared: Arc<Shared>) {
    let mut ticks = interval(PERIOD);
    // After a slow answer the next question has its second too.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        while shared.state.receiver_count() == 0 {
            shared.looked_at.notified().await;
        }
        ticks.tick().await;
        let asked = Arc::clone(&shared);
        if let Ok(told) = tokio::task::spawn_blocking(move || ask(&asked)).await {
            shared.state.send_replace(told);
        }
    }
}

fn ask(shared: &Shared) -> Told {
    let state = match client::request(&shared.run_dir, Request::Status, PATIENCE, |_| ()) {
        Ok(Reply::Status(json)) => {
            serde_json::from_str::<Value>(&json).map_err(|error| error.to_string())
        }
        Ok(_) => Err("the listener answered something else".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    match state {
        Ok(mut state) => {
            show_all(&mut state);
            event("state", &state)
        }
        Err(why) => event("trouble", &json!({ "error": why })),
    }
}
