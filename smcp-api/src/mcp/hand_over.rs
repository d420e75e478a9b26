//! ⑨ The answer to a caller who has waited long enough: the job goes on, and this is how to follow it.
//!
//! A client's own time limit, 60 s with many, would throw the result away when it comes; this answer comes before it.

use rmcp::model::{CallToolResult, ContentBlock, MetaObject};
use serde_json::{Value, json};
use smcp_common::clock::Timestamp;
use smcp_common::job::{Job, JobId, Waiting};

use crate::answer::JOB_META;
use crate::app::App;
use crate::refusal::Refusal;
use crate::waiting::{clause, list};

/// Set in `_meta` of an answer that is none yet.
pub const PENDING_META: &str = "smcp/pending";

/// Names the job and the tools to follow it.
///
/// # Errors
/// `no_such_job`; database errors.
pub(super) async fn hand_over(app: &App, id: &JobId) -> Result<CallToolResult, Refusal> {
    let job = app
        .queue
        .job(id)?
        .ok_or_else(|| Refusal::no_such_job(id.as_str()))?;
    let promises_structure = app
        .tools
        .current(&app.queue)?
        .find(&job.tool)
        .is_some_and(|tool| tool.tool.output_schema.is_some());
    let waiting = if job.state.is_waiting() {
        app.queue.waiting(id).await?.unwrap_or_default()
    } else {
        Vec::new()
    };
    let now = app.queue.clock().now();
    Ok(hint(&job, &waiting, now, promises_structure))
}

/// Clients check the structured content of a success against the tool's output schema, so that a tool with one can
/// only say this as an error.
fn hint(
    job: &Job,
    waiting: &[Waiting],
    now: Timestamp,
    promises_structure: bool,
) -> CallToolResult {
    let (id, tool, state) = (&job.id, &job.tool, job.state);
    let why = clause(waiting, now).map(|why| format!(" It waits: {why}."));
    let text = format!(
        "The call goes on as job {id}, which is {state}.{why} jobs__wait with this id waits for its answer, jobs__get shows \
         where it stands, jobs__output what it has printed, and jobs__cancel stops it. Do not call {tool} again: that \
         would be a second job.",
        state = state.as_str().replace('_', " "),
        why = why.unwrap_or_default()
    );
    let mut place = json!({"id": id, "state": state});
    if state.is_waiting() {
        place["waiting"] = list(waiting, now).into();
    }
    let content = vec![ContentBlock::text(&*text)];
    let mut result = if promises_structure {
        let mut result = CallToolResult::error(content);
        let error = json!({"code": "still_running", "message": text, "job": place});
        result.structured_content = Some(json!({ "error": error }));
        result
    } else {
        let mut result = CallToolResult::success(content);
        result.structured_content = Some(json!({ "job": place }));
        result
    };
    let mut meta = MetaObject::new();
    meta.0.insert(JOB_META.to_owned(), Value::from(id.as_str()));
    meta.0.insert(PENDING_META.to_owned(), Value::from(true));
    result.meta = Some(meta);
    result
}
