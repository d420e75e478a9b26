//! The keys of added agents, as requests show them: found by digest, noted when used, and looked at again for as long as
//! an event stream is open that one of them has opened.

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use futures::StreamExt as _;
use smcp_common::clock::Timestamp;
use smcp_common::queue::{Bearer, Queue, QueueError};

/// How exactly the last use of a key is known.
const NOTED_EVERY: Duration = Duration::from_mins(1);

/// The keys in the database.
#[derive(Debug)]
pub struct StoredKeys {
    queue: Queue,
    /// When the use of which key was noted last: a burst of requests is one note.
    noted: Mutex<HashMap<String, Timestamp>>,
}

impl StoredKeys {
    /// Those of that database.
    pub fn new(queue: Queue) -> Self {
        Self {
            queue,
            noted: Mutex::default(),
        }
    }

    /// Whom the key with that digest stands for, if it is good for something; that it was shown is noted later.
    ///
    /// # Errors
    /// Database errors.
    pub fn find(&self, digest: &[u8; 32]) -> Result<Option<Bearer>, QueueError> {
        let bearer = self.queue.bearer(digest)?;
        if let Some(bearer) = &bearer {
            self.note(bearer);
        }
        Ok(bearer)
    }

    /// Notes the use of a key once in a while, without keeping the request waiting.
    fn note(&self, bearer: &Bearer) {
        let now = self.queue.clock().now();
        let is_recent = |at: &Timestamp| now.since(*at) < NOTED_EVERY;
        if bearer.last_used_at.as_ref().is_some_and(is_recent) {
            return;
        }
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.get(&bearer.key).is_some_and(is_recent) {
            return;
        }
        noted.insert(bearer.key.clone(), now);
        drop(noted);
        let (queue, key) = (self.queue.clone(), bearer.key.clone());
        tokio::spawn(async move {
            if let Err(error) = queue.note_key_use(&key).await {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(key.id = key, error, "the use of a key could not be noted");
            }
        });
    }

    /// Ends an event stream at its next event, or sign of life, once the key that has opened it is good for nothing any
    /// more. Other answers are complete already.
    pub(crate) fn guard(self: &Arc<Self>, key: Bearer, response: Response) -> Response {
        let kind = response.headers().get(CONTENT_TYPE);
        let is_stream = |kind: &HeaderValue| kind.as_bytes().starts_with(b"text/event-stream");
        if !kind.is_some_and(is_stream) {
            return response;
        }
        let keys = Arc::clone(self);
        let (head, body) = response.into_parts();
        let events = body
            .into_data_stream()
            .take_while(move |_| ready(keys.is_live(&key)));
        Response::from_parts(head, Body::from_stream(events))
    }

    /// A key that cannot be looked at is taken for dead: its client comes back, and is told more.
    fn is_live(&self, bearer: &Bearer) -> bool {
        match self.queue.key_is_live(&bearer.key) {
            Ok(true) => true,
            Ok(false) => {
                tracing::info!(
                    key.id = bearer.key,
                    caller.agent = bearer.agent,
                    "stream ended with its key"
                );
                false
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(key.id = bearer.key, error, "a key cannot be looked at");
                false
            }
        }
    }
}
