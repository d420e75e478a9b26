//! The protocol's end of a session of the HTTP+SSE transport.

use std::future::Future;
use std::sync::Arc;

use rmcp::RoleServer;
use rmcp::model::{ClientNotification, ClientRequest, JsonRpcMessage, RequestId};
use rmcp::transport::Transport;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::legacy_session::Outgoing;
use super::message::Incoming;
use super::session::too_many_streams;

/// What a session's protocol reads from and writes to. It takes so many calls at a time; further ones it answers
/// itself, since each may have to wait with its answer for a client that does not read.
#[derive(Debug)]
pub(super) struct Pipe {
    inbox: mpsc::Receiver<Box<Incoming>>,
    outbox: mpsc::Sender<Box<Outgoing>>,
    limit: u32,
    places: Arc<Semaphore>,
    /// Calls that have not been answered, each with its place.
    calls: Vec<(RequestId, OwnedSemaphorePermit)>,
    /// An answer of our own that waits for room.
    refusal: Option<Box<Outgoing>>,
}

impl Pipe {
    /// Takes at most `limit` calls at a time.
    pub(super) fn new(
        inbox: mpsc::Receiver<Box<Incoming>>,
        outbox: mpsc::Sender<Box<Outgoing>>,
        limit: u32,
    ) -> Self {
        Self {
            inbox,
            outbox,
            limit,
            places: Arc::new(Semaphore::new(limit as usize)),
            calls: Vec::new(),
            refusal: None,
        }
    }

    /// Notes what a message means to the number of calls; false where it is one too many.
    fn admit(&mut self, message: &Incoming) -> bool {
        match message {
            JsonRpcMessage::Request(message) => {
                if !matches!(message.request, ClientRequest::CallToolRequest(_)) {
                    return true;
                }
                let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                    let error = too_many_streams(self.limit);
                    let refusal = JsonRpcMessage::error(error, Some(message.id.clone()));
                    self.refusal = Some(Box::new(refusal));
                    return false;
                };
                self.calls.push((message.id.clone(), place));
                true
            }
            JsonRpcMessage::Notification(message) => {
                if let ClientNotification::CancelledNotification(cancelled) = &message.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    // It will not be answered.
                    drop(self.leave(id));
                }
                true
            }
            JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => true,
        }
    }

    fn leave(&mut self, id: &RequestId) -> Option<OwnedSemaphorePermit> {
        let index = self.calls.iter().position(|(call, _)| call == id)?;
        Some(self.calls.swap_remove(index).1)
    }
}

impl Transport<RoleServer> for Pipe {
    type Error = StreamEnded;

    fn send(
        &mut self,
        message: Outgoing,
    ) -> impl Future<Output = Result<(), StreamEnded>> + Send + 'static {
        let place = match &message {
            JsonRpcMessage::Response(response) => self.leave(&response.id),
            JsonRpcMessage::Error(error) => error.id.as_ref().and_then(|id| self.leave(id)),
            JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => None,
        };
        let (outbox, message) = (self.outbox.clone(), Box::new(message));
        async move {
            // Its place is free when the answer does not wait here any more.
            let _place = place;
            outbox.send(message).await.map_err(|_| StreamEnded)
        }
    }

    /// May be dropped at any await, and loses nothing then.
    async fn receive(&mut self) -> Option<Incoming> {
        loop {
            if self.refusal.is_some() {
                let room = self.outbox.reserve().await.ok()?;
                if let Some(refusal) = self.refusal.take() {
                    room.send(refusal);
                }
            }
            let message = self.inbox.recv().await?;
            if self.admit(&message) {
                return Some(*message);
            }
        }
    }

    async fn close(&mut self) -> Result<(), StreamEnded> {
        self.inbox.close();
        Ok(())
    }
}

/// The client has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the event stream has ended")]
pub(super) struct StreamEnded;

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use rmcp::model::{EmptyResult, ServerResult};
    use serde_json::{Value, json};

    use super::*;
    use crate::mcp::message;

    fn parse(message: &Value) -> Box<Incoming> {
        Box::new(message::parse(message.to_string().as_bytes()).unwrap())
    }

    fn call(id: i64) -> Box<Incoming> {
        let params = json!({"name": "t"});
        parse(&json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}))
    }

    fn answer(id: i64) -> Outgoing {
        let empty = ServerResult::EmptyResult(EmptyResult {});
        JsonRpcMessage::response(empty, RequestId::Number(id))
    }

    #[tokio::test]
    async fn a_session_may_only_wait_for_so_many_answers() {
        let (client, inbox) = mpsc::channel(8);
        let (outbox, mut stream) = mpsc::channel(1);
        let mut pipe = Pipe::new(inbox, outbox, 2);
        for id in [1, 2, 3] {
            client.send(call(id)).await.unwrap();
        }
        let ping = json!({"jsonrpc": "2.0", "id": 4, "method": "ping"});
        client.send(parse(&ping)).await.unwrap();
        assert!(pipe.receive().await.is_some());
        assert!(pipe.receive().await.is_some());
        // The third is refused, and what is no call is not counted.
        let next = json!(pipe.receive().await.unwrap());
        assert_eq!(next["method"], "ping");
        let refused = json!(stream.recv().await.unwrap());
        assert_eq!(refused["id"], 3);
        let message = refused["error"]["message"].as_str().unwrap();
        assert!(message.contains("max_streams_per_session"), "{message}");

        // An answer that waits for room is still waited for; a call that was taken back is not.
        pipe.send(answer(9)).await.unwrap();
        let waiting = tokio::spawn(pipe.send(answer(1)));
        tokio::task::yield_now().await;
        client.send(call(5)).await.unwrap();
        assert!(pipe.receive().now_or_never().is_none(), "no room to refuse");
        assert_eq!(json!(stream.recv().await.unwrap())["id"], 9);
        assert!(pipe.receive().now_or_never().is_none(), "still refusing");
        assert_eq!(json!(stream.recv().await.unwrap())["id"], 1);
        waiting.await.unwrap().unwrap();
        assert!(pipe.receive().now_or_never().is_none(), "nothing more");
        assert_eq!(json!(stream.recv().await.unwrap())["id"], 5);
        let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}});
        client.send(parse(&cancel)).await.unwrap();
        for id in [6, 7] {
            client.send(call(id)).await.unwrap();
        }
        for _ in 0..3 {
            assert!(pipe.receive().await.is_some());
        }
        assert!(stream.try_recv().is_err(), "none was refused");

        drop(stream);
        assert_eq!(pipe.send(answer(6)).await, Err(StreamEnded));
    }
}
