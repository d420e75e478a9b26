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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use smcp_common::clock::ManualClock;
    use smcp_common::queue::{Commit, Durability, NewAgent, NewKey, Options, Wake};

    use super::*;

    const DIGEST: [u8; 32] = [7; 32];

    async fn keys(directory: &tempfile::TempDir, clock: Arc<ManualClock>) -> StoredKeys {
        let options = Options {
            path: directory.path().join("smcp.db"),
            durability: Durability::Normal,
            commit: Commit::Grouped,
            wake: Wake::Auto,
            digest_key: smcp_common::audit::DigestKey::new(&smcp_common::key_file::Key::new(
                [0; 32],
            )),
            check: false,
            secrets_key: smcp_common::secret::KeyFile::at(directory.path().join("secrets.key")),
        };
        let queue = Queue::open(&options, clock).unwrap();
        let agent = NewAgent {
            name: "ada".into(),
            groups: BTreeSet::new(),
            max_running: None,
        };
        let key = NewKey {
            id: "1".into(),
            digest: DIGEST,
            prefix: "smcp_abcd".into(),
            lifetime: None,
        };
        queue.add_agent(agent, key, "operator").await.unwrap();
        StoredKeys::new(queue)
    }

    #[tokio::test]
    async fn the_use_of_a_key_is_noted_once_a_minute() {
        let directory = tempfile::tempdir().unwrap();
        let start = Timestamp::from_millis(1_800_000_000_000);
        let clock = ManualClock::at(start);
        let keys = keys(&directory, clock.clone()).await;
        let noted = || keys.queue.agent("ada").unwrap().keys[0].last_used_at;
        let eventually = async |at: Timestamp| {
            while noted() != Some(at) {
                tokio::task::yield_now().await;
            }
        };
        assert!(keys.find(&[8; 32]).unwrap().is_none());
        assert_eq!(noted(), None);
        for _ in 0..3 {
            assert_eq!(keys.find(&DIGEST).unwrap().unwrap().agent, "ada");
        }
        eventually(start).await;
        clock.advance(Duration::from_millis(59_999));
        keys.find(&DIGEST).unwrap();
        // Nothing was handed to the writer before this, as it would have been written before.
        keys.queue.note_key_use("other").await.unwrap();
        assert_eq!(noted(), Some(start));
        clock.advance(Duration::from_millis(1));
        keys.find(&DIGEST).unwrap();
        eventually(start.plus(NOTED_EVERY)).await;
    }

    #[tokio::test]
    async fn only_streams_end_with_their_key() {
        let directory = tempfile::tempdir().unwrap();
        let keys = Arc::new(keys(&directory, ManualClock::at(Timestamp::from_millis(1))).await);
        let key = keys.find(&DIGEST).unwrap().unwrap();
        keys.queue.revoke_key("ada", "1", "operator").await.unwrap();
        for (kind, expected) in [
            ("application/json", "{}"),
            ("text/event-stream", ""),
            ("text/event-stream; charset=utf-8", ""),
        ] {
            let answer = Response::builder().header(CONTENT_TYPE, kind);
            let answer = answer.body(Body::from("{}")).unwrap();
            let body = keys.guard(key.clone(), answer).into_body();
            let body = axum::body::to_bytes(body, 100).await.unwrap();
            assert_eq!(body, expected, "{kind}");
        }
    }
}
