//! The events of one page: the state of the fleet once a second, and the lines of a log.
//!
//! Both come through one bounded channel. A page that does not take them loses events, never
//! anybody's time: a state that finds no room is left out, because the next one is newer, and lines
//! are skipped with a mark.
//!
//! An event is a name and one line of JSON: JSON has an escape for every character that could end
//! a line, so that no text of a record can end an event or begin another one.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_core::Stream;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{Receiver, Sender, channel, error::TrySendError};

use super::Shared;

/// The events that may wait for a page: with the state that they have in common, less than 1 MiB
/// of a page's own.
const WAITING_MAX: usize = 8;

/// An event as it goes over the wire.
pub(super) fn event(name: &str, value: &impl Serialize) -> Bytes {
    let json = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
    format!("event: {name}\ndata: {json}\n\n").into()
}

/// The writing end of a page's events.
#[derive(Clone, Debug)]
pub(super) struct Feed(Sender<Bytes>);

/// Why an event was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The page has not read what waits; here is the event back.
    Full(Bytes),
    /// The page is gone.
    Closed,
}

impl Feed {
    /// Hands over an event, or gives it back at once.
    pub(super) fn send(&self, event: Bytes) -> Result<(), Refused> {
        self.0.try_send(event).map_err(|refused| match refused {
            TrySendError::Full(event) => Refused::Full(event),
            TrySendError::Closed(_) => Refused::Closed,
        })
    }

    /// Whether the page has read so much that going on is worth while.
    pub(super) fn has_room(&self) -> bool {
        self.0.capacity() > WAITING_MAX / 2 || self.0.is_closed()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// The reading end: the body of the answer.
#[derive(Debug)]
struct Events {
    waiting: Receiver<Bytes>,
    /// The page's place among those that may be open.
    _permit: OwnedSemaphorePermit,
}

impl Stream for Events {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.waiting.poll_recv(context).map(|event| event.map(Ok))
    }
}

/// A page's events: the answer, and the end into which they are written.
pub(super) fn open(shared: &Arc<Shared>, permit: OwnedSemaphorePermit) -> (Response, Feed) {
    let (sender, waiting) = channel(WAITING_MAX);
    tokio::spawn(tell_state(Arc::clone(shared), sender.clone()));
    let body = Body::from_stream(Events { waiting, _permit: permit });
    let response = ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], body);
    (response.into_response(), Feed(sender))
}

/// Passes each new state on, as long as the page is there.
async fn tell_state(shared: Arc<Shared>, page: Sender<Bytes>) {
    let mut state = shared.state.subscribe();
    shared.looked_at.notify_one();
    loop {
        tokio::select! {
            changed = state.changed() => if changed.is_err() { return },
            () = page.closed() => return,
        }
        let told = state.borrow_and_update().clone();
        if let Err(TrySendError::Closed(_)) = page.try_send(told) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_an_event_or_begins_another_one() {
        let evil = "a\n\ndata: b\r\rid: c\u{2028}event: d\0";
        let bytes = event("lines", &serde_json::json!([{ "text": evil }]));
        let text = std::str::from_utf8(&bytes).unwrap();
        let lines: Vec<_> = text.split(['\n', '\r']).collect();
        assert_eq!(lines.len(), 4, "{text:?}");
        assert_eq!((lines[0], lines[2], lines[3]), ("event: lines", "", ""));
        let json: serde_json::Value =
            serde_json::from_str(lines[1].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(json[0]["text"], evil);
    }

    #[test]
    fn a_page_that_reads_nothing_costs_no_more_than_the_channel() {
        let (sender, mut waiting) = channel(WAITING_MAX);
        let feed = Feed(sender);
        for number in 0..WAITING_MAX {
            assert_eq!(feed.send(event("n", &number)), Ok(()));
        }
        let extra = event("n", &"extra");
        assert_eq!(feed.send(extra.clone()), Err(Refused::Full(extra.clone())));
        assert!(waiting.try_recv().is_ok());
        assert_eq!(feed.send(extra.clone()), Ok(()));
        drop(waiting);
        assert!(feed.is_closed());
        assert_eq!(feed.send(extra), Err(Refused::Closed));
    }
}
