//! Built-in tools called in a session. Most may simply be called again by a client that comes back; the answer of one that
//! may not is kept before it is told.

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use rmcp::ErrorData;
use rmcp::model::{CallToolResult, RequestId};
use serde_json::{Map, Value};
use smcp_common::queue::Became;
use tokio_util::task::AbortOnDropHandle;

use super::cursor::Cursor;
use super::events::{self, Events};
use super::open::{OpenSession, Slot};
use crate::answer;
use crate::app::App;
use crate::builtin::{self, Builtin};
use crate::caller::Caller;
use crate::refusal::Refusal;

/// A request that is to be answered by a built-in tool.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) app: Arc<App>,
    pub(super) session: Arc<OpenSession>,
    pub(super) slot: Slot,
    pub(super) id: RequestId,
}

impl Asked {
    /// Calls the tool for a new request; the answer comes after a receipt.
    pub(super) fn call(
        self,
        caller: Caller,
        tool: &'static Builtin,
        arguments: Map<String, Value>,
    ) -> Events {
        if !tool.may_repeat() {
            let request = self.id.clone();
            let receipt = events::receipt(&Cursor::Kept { request });
            return Box::pin(stream::iter([receipt]).chain(self.keep(caller, tool, arguments)));
        }
        let json = serde_json::to_string(&arguments);
        let fits = json.is_ok_and(|json| json.len() <= Cursor::MAX_ARGUMENTS);
        let fits = fits && !tool.takes_secrets();
        let receipt = fits.then(|| {
            events::receipt(&Cursor::Again {
                request: self.id.clone(),
                tool: tool.name().to_owned(),
                arguments: arguments.clone(),
            })
        });
        Box::pin(stream::iter(receipt).chain(self.again(caller, tool, arguments)))
    }

    /// Calls a tool that may be called any number of times, which is what a client does that comes back.
    pub(super) fn again(
        self,
        caller: Caller,
        tool: &'static Builtin,
        arguments: Map<String, Value>,
    ) -> Events {
        let app = Arc::clone(&self.app);
        let called = tokio::spawn(async move { answer_of(&app, &caller, tool, arguments).await });
        // Nobody waits any more where the client has gone.
        let called = AbortOnDropHandle::new(called);
        self.events(async move { called.await.ok() })
    }

    /// Calls a tool that must not be called again: its answer is kept before it is told.
    fn keep(self, caller: Caller, tool: &'static Builtin, arguments: Map<String, Value>) -> Events {
        let keeping = self.session.begin_keeping(&self.id);
        let call = self.session.call(&self.id);
        let app = Arc::clone(&self.app);
        // On its own, so that it is carried out and kept also where the client goes away meanwhile.
        let called = tokio::spawn(async move {
            let _until_then = keeping;
            let answer = answer_of(&app, &caller, tool, arguments).await;
            let json = if tool.is_told_once() {
                serde_json::to_string(&answer::refused(&told_once()))
            } else {
                serde_json::to_string(&answer)
            };
            let json = json.unwrap_or_default();
            if let Err(error) = app.queue.keep_answer(call, json).await {
                // The deed is done all the same, and a client that does not lose this answer needs no other.
                let error: &dyn std::error::Error = &error;
                tracing::warn!(
                    tool.name = tool.name(),
                    error,
                    "an answer could not be kept"
                );
            }
            answer
        });
        self.events(async move { called.await.ok() })
    }

    /// The answer that has been kept, or is about to be.
    pub(super) async fn kept(self) -> Events {
        self.session.kept(&self.id).await;
        let call = self.session.call(&self.id);
        events::single(match self.app.queue.became(&call) {
            Ok(Some(Became::Answer(json))) => match serde_json::from_str(&json) {
                Ok(answer) => events::response(&self.session, self.id, answer),
                Err(_) => events::failure(self.id, lost()),
            },
            Ok(Some(Became::Job(_)) | None) => events::failure(self.id, lost()),
            Err(error) => events::broken(self.id, &error.into()),
        })
    }

    fn events(
        self,
        answer: impl Future<Output = Option<CallToolResult>> + Send + Sync + 'static,
    ) -> Events {
        let Self {
            app,
            session,
            slot,
            id,
        } = self;
        let asker = Arc::clone(&session);
        let message = async move {
            Some(match answer.await {
                Some(answer) => events::response(&asker, id, answer),
                None => events::failure(id, lost()),
            })
        };
        events::eventually(app, session, slot, message)
    }
}

async fn answer_of(
    app: &App,
    caller: &Caller,
    tool: &'static Builtin,
    arguments: Map<String, Value>,
) -> CallToolResult {
    match builtin::call(app, caller, tool, arguments).await {
        Ok(value) => answer::value(value),
        Err(refusal) => answer::refused(&refusal),
    }
}

/// What is kept in the place of an answer that holds a key.
fn told_once() -> Refusal {
    Refusal::new(
        "told_once",
        "The answer held a key, which is told once and kept nowhere; the connection broke meanwhile. What was asked for has \
         perhaps been done: see agents__list, and make another key with agents__rotate and overlap_s 0.",
    )
}

/// What a client is told whose answer nobody can give any more.
pub(super) fn lost() -> ErrorData {
    ErrorData::internal_error(
        "the answer has been lost with the process that was to give it; nothing tells whether the request was \
         carried out, so look before you send it again",
        None,
    )
}
