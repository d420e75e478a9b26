//! The event streams of a session. None of them holds more than the message that is being sent: what comes next is read
//! from the queue when the client has taken the last one, so that a slow reader costs nothing and a lost one loses nothing.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt as _, stream};
use rmcp::ErrorData;
use rmcp::model::{
    CallToolResult, JsonRpcMessage, ProgressNotification, ProgressToken, RequestId,
    ServerNotification, ServerResult, ToolListChangedNotification,
};
use rmcp::transport::streamable_http_server::session::ServerSseMessage;
use smcp_common::clock::Timestamp;
use smcp_common::job::JobId;
use tokio_util::sync::CancellationToken;

use super::cursor::Cursor;
use super::open::{OpenSession, Outgoing, Slot};
use crate::answer;
use crate::app::App;
use crate::mcp::call::notification;
use crate::mcp::follow::{Follower, Told};
use crate::mcp::hand_over::hand_over;
use crate::mcp::legacy_sse::RETRY;
use crate::mcp::revision::for_revision;
use crate::refusal::Refusal;

/// Server-sent events, as rmcp writes them.
pub(super) type Events = Pin<Box<dyn Stream<Item = ServerSseMessage> + Send + Sync>>;

/// A call that is followed to its end.
#[derive(Debug)]
pub(super) struct Following {
    pub(super) app: Arc<App>,
    pub(super) session: Arc<OpenSession>,
    pub(super) follower: Follower,
    pub(super) request: RequestId,
    pub(super) job: JobId,
    pub(super) token: Option<ProgressToken>,
    pub(super) since: Timestamp,
    /// Cancelled when the client takes the call back: then there is no answer.
    pub(super) taken_back: CancellationToken,
    pub(super) _slot: Slot,
}

impl Following {
    /// The id of the event that says that the job's event number `seen` has been heard.
    pub(super) fn cursor(&self, seen: i64) -> Cursor {
        Cursor::Job {
            request: self.request.clone(),
            job: self.job.clone(),
            seen,
            token: self.token.clone(),
            since: self.since,
        }
    }

    /// The rest of the call's stream: its progress, and its answer last.
    pub(super) fn events(self) -> Events {
        Box::pin(stream::unfold(Some(self), async |following| {
            let mut following = following?;
            let event = following.next().await?;
            let is_last = event.event_id.as_deref() == Some(&*Cursor::End.to_string())
                || event.message.is_none();
            Some((event, (!is_last).then_some(following)))
        }))
    }

    async fn next(&mut self) -> Option<ServerSseMessage> {
        loop {
            let told = tokio::select! {
                told = self.follower.next() => told,
                () = self.taken_back.cancelled() => return None,
                () = self.session.ended.cancelled() => return None,
            };
            let answer = match told {
                Ok(Told::Progress(seq, step)) => {
                    let Some(token) = self.token.clone() else {
                        continue;
                    };
                    let id = self.cursor(seq).to_string();
                    return Some(ServerSseMessage::new(
                        id,
                        progress(notification(token, step)),
                    ));
                }
                Ok(Told::Alive(step)) => {
                    let Some(token) = self.token.clone() else {
                        continue;
                    };
                    // Without an id: there is nothing in it that would have to be told again.
                    let message = progress(notification(token, step));
                    return Some(ServerSseMessage::from_message(message));
                }
                Ok(Told::Ended(answer)) => Ok(*answer),
                Ok(Told::Waited) => hand_over(&self.app, &self.job).await,
                // The client comes back with the id that it has, to whoever answers then.
                Ok(Told::Stopping) => return Some(ServerSseMessage::retry(RETRY)),
                Err(refusal) => Err(refusal),
            };
            let answer = answer.unwrap_or_else(|refusal| answer::refused(&refusal));
            return Some(last(response(&self.session, self.request.clone(), answer)));
        }
    }
}

/// The first event of a stream that can be resumed: the receipt for the request.
pub(super) fn receipt(cursor: &Cursor) -> ServerSseMessage {
    ServerSseMessage::priming(cursor.to_string(), RETRY)
}

/// The last event of a stream: whoever comes back after it finds nothing more.
pub(super) fn last(message: Outgoing) -> ServerSseMessage {
    ServerSseMessage::new(Cursor::End.to_string(), message)
}

/// A stream of a single answer, which closes with it.
pub(super) fn single(message: Outgoing) -> Events {
    Box::pin(stream::iter([last(message)]))
}

/// A stream without events.
pub(super) fn nothing() -> Events {
    Box::pin(stream::empty())
}

/// What comes when it is there, unless the session ends or this process stops before.
pub(super) fn eventually(
    app: Arc<App>,
    session: Arc<OpenSession>,
    slot: Slot,
    message: impl Future<Output = Option<Outgoing>> + Send + Sync + 'static,
) -> Events {
    Box::pin(
        stream::once(async move {
            let _open = slot;
            tokio::select! {
                biased;
                message = message => message.map(last),
                () = session.ended.cancelled() => None,
                () = app.drain.cancelled() => Some(ServerSseMessage::retry(RETRY)),
            }
        })
        .filter_map(std::future::ready),
    )
}

/// The stream of what concerns the session as a whole, to a client that has heard of the catalogue's version `known`.
pub(super) fn of_session(
    app: Arc<App>,
    session: Arc<OpenSession>,
    slot: Slot,
    known: Option<i64>,
) -> Events {
    let behind = known.is_some_and(|known| app.queue.catalogue_version().is_ok_and(|v| v != known));
    if behind {
        session.list_changed.notify_one();
    }
    Box::pin(stream::unfold(Some(slot), move |slot| {
        let (app, session) = (Arc::clone(&app), Arc::clone(&session));
        async move {
            let slot = slot?;
            tokio::select! {
                () = session.list_changed.notified() => {
                    let version = app.queue.catalogue_version().unwrap_or_default();
                    let id = Cursor::Catalogue(version).to_string();
                    Some((ServerSseMessage::new(id, list_changed()), Some(slot)))
                }
                () = session.ended.cancelled() => None,
                () = app.drain.cancelled() => Some((ServerSseMessage::retry(RETRY), None)),
            }
        }
    }))
}

/// The answer to a call, as the session's revision has it.
pub(super) fn response(
    session: &OpenSession,
    request: RequestId,
    answer: CallToolResult,
) -> Outgoing {
    let answer = for_revision(answer, session.version());
    let mut result = ServerResult::CallToolResult(answer);
    result.strip_result_type_for_legacy_peer();
    JsonRpcMessage::response(result, request)
}

/// A call that cannot be answered at all.
pub(super) fn failure(request: RequestId, error: ErrorData) -> Outgoing {
    JsonRpcMessage::error(error, Some(request))
}

/// A refusal as a JSON-RPC error, where there is no tool whose answer it could be.
pub(super) fn broken(request: RequestId, refusal: &Refusal) -> Outgoing {
    failure(request, refusal.to_protocol_error())
}

fn progress(params: rmcp::model::ProgressNotificationParam) -> Outgoing {
    let notification = ProgressNotification::new(params);
    JsonRpcMessage::notification(ServerNotification::ProgressNotification(notification))
}

fn list_changed() -> Outgoing {
    let notification = ToolListChangedNotification::default();
    JsonRpcMessage::notification(ServerNotification::ToolListChangedNotification(
        notification,
    ))
}
