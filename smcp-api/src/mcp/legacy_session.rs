//! The open sessions of the HTTP+SSE transport.
//!
//! A session is two bounded channels: the inbox that POSTs fill and the protocol drains, and the outbox that the
//! protocol fills and the event stream drains. It lives as long as its event stream.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::service::TxJsonRpcMessage;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::legacy_pipe::Pipe;
use super::message::Incoming;
use crate::http_config::Limits;

/// A message to a client.
pub(super) type Outgoing = TxJsonRpcMessage<RoleServer>;

/// Messages of the client that wait for the protocol, and the largest batch that a client may post.
pub(super) const INBOX: usize = 64;
/// Messages that wait for the client. A message of progress may have 64 KiB.
pub(super) const OUTBOX: usize = 16;

/// Every open session, by id.
#[derive(Debug, Clone, Default)]
pub(super) struct Sessions(Arc<Mutex<HashMap<String, Session>>>);

impl Sessions {
    /// Opens a session that belongs to `agent`, unless as many are open as may be.
    pub(super) fn open(&self, agent: &str, limits: &Limits) -> Option<(Registration, Pipe)> {
        // 128 bits from the system's secure generator: to know the id is to have been told it.
        let id = format!("{:032x}", rand::random::<u128>());
        // Boxed, as a channel keeps room for 32 of what it carries, and an idle session should cost little.
        let (inbox, received) = mpsc::channel(INBOX);
        let (outbox, outgoing) = mpsc::channel(OUTBOX);
        let session = Session {
            agent: agent.to_owned(),
            inbox,
            outbox: outbox.downgrade(),
        };
        let mut open = self.lock();
        if open.len() >= limits.max_sessions as usize {
            return None;
        }
        open.insert(id.clone(), session);
        drop(open);
        let registration = Registration {
            sessions: self.clone(),
            id,
            outgoing,
        };
        let pipe = Pipe::new(received, outbox, limits.max_streams_per_session);
        Some((registration, pipe))
    }

    /// Hands `messages` from `agent` to session `id`, all of them or none.
    ///
    /// # Errors
    /// [`DeliveryError`]; nothing has been delivered then.
    pub(super) async fn deliver(
        &self,
        id: &str,
        agent: &str,
        messages: Vec<Incoming>,
        patience: Duration,
    ) -> Result<(), DeliveryError> {
        let session = self.find(id, agent)?;
        timeout(patience, session.accept(messages))
            .await
            .unwrap_or(Err(DeliveryError::Busy))
    }

    /// Succeeds if session `id` is open and belongs to `agent`.
    pub(super) fn find(&self, id: &str, agent: &str) -> Result<Session, DeliveryError> {
        self.lock()
            .get(id)
            .filter(|session| session.agent == agent)
            .cloned()
            .ok_or(DeliveryError::NoSession)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What POSTs need to know of a session.
#[derive(Debug, Clone)]
pub(super) struct Session {
    agent: String,
    inbox: mpsc::Sender<Box<Incoming>>,
    /// Weak, since the event stream has to end when the protocol drops its end.
    outbox: mpsc::WeakSender<Box<Outgoing>>,
}

impl Session {
    async fn accept(&self, messages: Vec<Incoming>) -> Result<(), DeliveryError> {
        // A client that does not read its answers may not ask for more of them: behind a full outbox, every
        // further answer would wait in memory.
        let outbox = self.outbox.upgrade().ok_or(DeliveryError::NoSession)?;
        let room = outbox
            .reserve()
            .await
            .map_err(|_| DeliveryError::NoSession)?;
        drop(room);
        let places = self
            .inbox
            .reserve_many(messages.len())
            .await
            .map_err(|_| DeliveryError::NoSession)?;
        for (place, message) in places.zip(messages) {
            place.send(Box::new(message));
        }
        Ok(())
    }
}

/// The event stream's end of a session; dropping it ends the session.
#[derive(Debug)]
pub(super) struct Registration {
    sessions: Sessions,
    id: String,
    outgoing: mpsc::Receiver<Box<Outgoing>>,
}

impl Registration {
    /// The id that clients post under: 32 hexadecimal digits.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Waits for the next message to the client; `None` once the protocol has ended.
    pub(super) async fn next(&mut self) -> Option<Box<Outgoing>> {
        self.outgoing.recv().await
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // Dropping the inbox is the end of input for the protocol.
        self.sessions.lock().remove(&self.id);
    }
}

/// Why messages were not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DeliveryError {
    /// The session never was, has ended, or belongs to another agent: the answer must not tell which.
    #[error("Could not find session: it has ended or never existed; open a new one with GET /sse")]
    NoSession,
    /// The session has no room: the client does not read, or sends faster than it is served.
    #[error("The session is busy: read its event stream, then send the message again")]
    Busy,
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use rmcp::model::{ErrorData, JsonRpcMessage};
    use rmcp::transport::Transport as _;

    use super::*;
    use crate::mcp::message;

    const NO_WAIT: Duration = Duration::ZERO;

    fn one() -> Limits {
        Limits {
            max_sessions: 1,
            ..Limits::default()
        }
    }

    fn pings(n: usize) -> Vec<Incoming> {
        let ping = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        (0..n).map(|_| message::parse(ping).unwrap()).collect()
    }

    #[tokio::test]
    async fn a_session_serves_only_its_agent_and_only_while_it_is_open() {
        let sessions = Sessions::default();
        let (registration, mut pipe) = sessions.open("ann", &one()).unwrap();
        let id = registration.id().to_owned();
        assert_eq!(id.len(), 32);
        let bob = sessions.deliver(&id, "bob", pings(1), NO_WAIT).await;
        assert_eq!(bob, Err(DeliveryError::NoSession));
        let ann = sessions.deliver(&id, "ann", pings(1), NO_WAIT).await;
        assert_eq!(ann, Ok(()));
        assert!(pipe.receive().await.is_some());

        assert!(
            sessions.open("bob", &one()).is_none(),
            "one is the limit here"
        );

        drop(registration);
        let late = sessions.deliver(&id, "ann", pings(1), NO_WAIT).await;
        assert_eq!(late, Err(DeliveryError::NoSession));
        assert!(pipe.receive().await.is_none());
    }

    #[tokio::test]
    async fn a_full_inbox_takes_nothing_of_a_batch() {
        let sessions = Sessions::default();
        let (registration, mut pipe) = sessions.open("ann", &one()).unwrap();
        let id = registration.id().to_owned();
        let most = sessions
            .deliver(&id, "ann", pings(INBOX - 1), NO_WAIT)
            .await;
        assert_eq!(most, Ok(()));
        let over = sessions.deliver(&id, "ann", pings(2), NO_WAIT).await;
        assert_eq!(over, Err(DeliveryError::Busy));
        let mut received = 0;
        while let Some(Some(_)) = pipe.receive().now_or_never() {
            received += 1;
        }
        assert_eq!(received, INBOX - 1);
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_may_not_send() {
        let sessions = Sessions::default();
        let (registration, mut pipe) = sessions.open("ann", &one()).unwrap();
        let id = registration.id().to_owned();
        for _ in 0..OUTBOX {
            let unread = JsonRpcMessage::error(ErrorData::internal_error("unread", None), None);
            pipe.send(unread).await.unwrap();
        }
        let refused = sessions.deliver(&id, "ann", pings(1), NO_WAIT).await;
        assert_eq!(refused, Err(DeliveryError::Busy));
    }
}
