//! Why a queued job does not run, in words and for programs.

use serde_json::{Value, json};
use smcp_common::clock::Timestamp;
use smcp_common::job::{JobId, Waiting};

use crate::app::App;
use crate::refusal::Refusal;

/// The reasons as objects of `code`, `message` and details, what must change first in front; none where the job is not
/// queued or a worker is about to take it.
///
/// # Errors
/// Database errors.
pub(crate) async fn reasons(app: &App, id: &JobId) -> Result<Vec<Value>, Refusal> {
    let waiting = app.queue.waiting(id).await?.unwrap_or_default();
    Ok(list(&waiting, app.queue.clock().now()))
}

/// Those reasons of a job as objects.
pub(crate) fn list(waiting: &[Waiting], now: Timestamp) -> Vec<Value> {
    let object = |reason: &Waiting| {
        let mut object = json!(reason);
        object["message"] = reason.message(now).into();
        object
    };
    waiting.iter().map(object).collect()
}

/// All of it as the rest of a sentence about the job; `None` where nothing is in the way.
pub(crate) fn clause(waiting: &[Waiting], now: Timestamp) -> Option<String> {
    let clauses: Vec<_> = waiting.iter().map(|reason| reason.clause(now)).collect();
    (!clauses.is_empty()).then(|| clauses.join("; "))
}
