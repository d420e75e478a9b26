//! ①–③ and ⑨ for a session: a `tools/call` becomes a stream of events, which ends with the answer and can be resumed.
//!
//! Here and not in the handler, since what a client has heard is counted in the events of its job: any API process can
//! tell the rest.

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ErrorCode, ProgressToken, RequestId,
    RequestMetaObject,
};
use smcp_common::clock::Timestamp;
use smcp_common::job::{JobId, Source};
use smcp_common::queue::{Became, SessionCall};

use super::built_in::{Asked, lost};
use super::cursor::Cursor;
use super::events::{self, Events, Following};
use super::open::{OpenSession, Slot};
use crate::answer;
use crate::app::App;
use crate::auth::OPERATOR;
use crate::builtin;
use crate::caller::{Caller, Transport};
use crate::dry_run;
use crate::mcp::call::{idempotency_key, retry};
use crate::mcp::follow::Follower;
use crate::refusal::Refusal;
use crate::submit::{Request, Ticket, submit};
use crate::watch::Subscription;

/// Answers the calls of all sessions.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    pub(super) app: Arc<App>,
}

/// What a request to call a tool has come to.
enum Recorded {
    Job(Ticket),
    /// It only asked what would happen.
    Nothing(Box<CallToolResult>),
}

impl Calls {
    /// Whether a call of this tool is answered here. Of others the handler says that they do not exist.
    pub(super) fn knows(&self, tool: &str) -> bool {
        builtin::find(tool).is_some()
            || self
                .app
                .tools
                .current(&self.app.queue)
                .is_ok_and(|tools| tools.find(tool).is_some())
    }

    /// The answer to a call of a tool, as a stream.
    ///
    /// What the stream of a plugin's tool begins with is a receipt: whoever has it can come back for the answer, as the
    /// job has been recorded.
    pub(super) async fn answer(
        &self,
        session: &Arc<OpenSession>,
        slot: Slot,
        id: RequestId,
        request: CallToolRequest,
    ) -> Events {
        let caller = match Caller::of(&request.extensions) {
            Ok(caller) => caller.clone(),
            Err(error) => {
                let error = ErrorData::internal_error(error.to_string(), None);
                return events::single(events::failure(id, error));
            }
        };
        match builtin::find(&request.params.name) {
            Some(tool) => {
                let none = RequestMetaObject::default();
                let meta = request.extensions.get().unwrap_or(&none);
                if let Err(refusal) = dry_run::check_builtin(&meta.0, tool.name()) {
                    let answer = answer::refused(&refusal);
                    return events::single(events::response(session, id, answer));
                }
                let arguments = request.params.arguments.unwrap_or_default();
                self.asked(session, slot, id).call(caller, tool, arguments)
            }
            None => self.job(session, slot, id, caller, request).await,
        }
    }

    /// The rest of a stream that was interrupted.
    pub(super) async fn resume(
        &self,
        session: &Arc<OpenSession>,
        slot: Slot,
        cursor: Cursor,
    ) -> Events {
        match cursor {
            Cursor::End => events::nothing(),
            Cursor::Catalogue(known) => {
                events::of_session(self.app.clone(), session.clone(), slot, Some(known))
            }
            Cursor::Again {
                request,
                tool,
                arguments,
            } => match builtin::find(&tool).filter(|tool| tool.may_repeat()) {
                Some(tool) => {
                    let asked = self.asked(session, slot, request);
                    asked.again(caller(session), tool, arguments)
                }
                None => events::single(events::failure(request, lost())),
            },
            Cursor::Kept { request } => self.asked(session, slot, request).kept().await,
            Cursor::Job {
                request,
                job,
                seen,
                token,
                since,
            } => match self.app.queue.job(&job) {
                Ok(Some(found)) if may_follow(session, &found.agent) => {
                    let place = Place {
                        request,
                        job,
                        seen,
                        token,
                        since,
                    };
                    self.rest(session, slot, place, None)
                }
                Ok(_) => {
                    let refusal = Refusal::no_such_job(job.as_str());
                    let answer = answer::refused(&refusal);
                    events::single(events::response(session, request, answer))
                }
                Err(error) => events::single(events::broken(request, &error.into())),
            },
        }
    }

    fn asked(&self, session: &Arc<OpenSession>, slot: Slot, id: RequestId) -> Asked {
        Asked {
            app: Arc::clone(&self.app),
            session: Arc::clone(session),
            slot,
            id,
        }
    }

    async fn job(
        &self,
        session: &Arc<OpenSession>,
        slot: Slot,
        id: RequestId,
        caller: Caller,
        request: CallToolRequest,
    ) -> Events {
        let since = self.app.queue.clock().now();
        let none = RequestMetaObject::default();
        let meta = request.extensions.get().unwrap_or(&none);
        let token = meta.get_progress_token();
        let key = idempotency_key(&meta.0, &request.extensions);
        let retry = retry(&meta.0);
        let dry_run = dry_run::asked(&meta.0);
        let slot = slot.of_call(id.clone());
        let taken_back = session.begin_call(&id);
        let recorded = async {
            let CallToolRequestParams {
                name, arguments, ..
            } = request.params;
            let request = Request {
                id: JobId::random(),
                tool: name.into_owned(),
                arguments: arguments.unwrap_or_default(),
                source: Source::Call,
                idempotency_key: key?,
                run_at: None,
                priority: 0,
                retry: retry?,
                call: Some(session.call(&id)),
            };
            if dry_run? {
                let told = dry_run::preview(&self.app, &caller, request).await?;
                return Ok(Recorded::Nothing(Box::new(answer::value(told))));
            }
            let ticket = submit(&self.app, &caller, request).await?;
            if taken_back.is_cancelled() {
                // Taken back before it was recorded, when there was nothing yet to take back.
                let queue = &self.app.queue;
                queue.cancel(&ticket.job, &caller.agent, None).await?;
            }
            Ok::<_, Refusal>(Recorded::Job(ticket))
        };
        match recorded.await {
            Ok(Recorded::Nothing(told)) => events::single(events::response(session, id, *told)),
            Ok(Recorded::Job(ticket)) => {
                let place = Place {
                    request: id,
                    job: ticket.job,
                    seen: 0,
                    token,
                    since,
                };
                self.rest(session, slot, place, Some(ticket.news))
            }
            Err(refusal) => {
                self.app.counters.answered(true);
                let answer = answer::refused(&refusal);
                events::single(events::response(session, id, answer))
            }
        }
    }

    /// What is still to be told of a call; all of it, with a receipt first, where it has just been recorded.
    fn rest(
        &self,
        session: &Arc<OpenSession>,
        slot: Slot,
        place: Place,
        news: Option<Subscription>,
    ) -> Events {
        let Place {
            request,
            job,
            seen,
            token,
            since,
        } = place;
        let limit = match token {
            Some(_) => self.app.calls.wait_with_progress,
            None => self.app.calls.wait,
        };
        let is_new = news.is_some();
        let news = news.unwrap_or_else(|| self.app.watch.subscribe(&job));
        let follower = Follower::new(
            Arc::clone(&self.app),
            job.clone(),
            news,
            seen,
            token.is_some(),
            (since, limit),
        );
        let (slot, taken_back) = match session.open_call(&request) {
            Some(taken_back) => (slot, taken_back),
            None => (slot.of_call(request.clone()), session.begin_call(&request)),
        };
        let following = Following {
            app: Arc::clone(&self.app),
            session: Arc::clone(session),
            follower,
            request,
            job,
            token,
            since,
            taken_back,
            _slot: slot,
        };
        if is_new {
            let receipt = events::receipt(&following.cursor(seen));
            Box::pin(stream::iter([receipt]).chain(following.events()))
        } else {
            following.events()
        }
    }

    /// Stops the job of a call that the client takes back, and ends its stream. False where there is no such call.
    ///
    /// # Errors
    /// Database errors.
    pub(super) async fn take_back(
        &self,
        session: &OpenSession,
        request: &RequestId,
        reason: Option<&str>,
    ) -> Result<bool, Refusal> {
        let open = session.open_call(request);
        if let Some(taken_back) = &open {
            taken_back.cancel();
        }
        let call: SessionCall = session.call(request);
        let Some(Became::Job(job)) = self.app.queue.became(&call)? else {
            return Ok(open.is_some());
        };
        let reason = reason.or(Some("the client cancelled its call"));
        let queue = &self.app.queue;
        queue.cancel(&job, session.agent(), reason).await?;
        Ok(true)
    }
}

/// Where a client is in the answer to a call.
struct Place {
    request: RequestId,
    job: JobId,
    seen: i64,
    token: Option<ProgressToken>,
    since: Timestamp,
}

/// Too many calls of one session.
pub(in crate::mcp) fn too_many_streams(limit: u32) -> ErrorData {
    ErrorData::new(
        ErrorCode(-32000),
        format!(
            "this session waits for {limit} answers already, which is the limit (http.max_streams_per_session); \
             jobs__submit records a job without waiting for it"
        ),
        None,
    )
}

fn caller(session: &OpenSession) -> Caller {
    Caller {
        agent: session.agent().to_owned(),
        transport: Transport::StreamableHttp,
        address: None,
    }
}

fn may_follow(session: &OpenSession, agent: &str) -> bool {
    session.agent() == agent || session.agent() == OPERATOR
}
