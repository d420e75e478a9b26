//! ⑨ The answer: what a tool call returns for a job that has ended, made of its row and its output.

use rmcp::model::{CallToolResult, ContentBlock, ResultType};
use serde_json::{Value, json};
use smcp_common::job::{Failure, Job, JobId, StateName, code};
use smcp_common::plugin::Output;

use crate::app::App;
use crate::refusal::Refusal;

/// As much of a long output is in the answer itself; `jobs__output` reads the rest.
const INLINE_BYTES: usize = 1024 * 1024;

/// The name under which answers carry their job's id.
pub const JOB_META: &str = "smcp/job";

/// The answer to a call whose job has ended; `None` while it has not.
///
/// # Errors
/// `no_such_job`; database errors.
pub async fn answer(app: &App, id: &JobId) -> Result<Option<CallToolResult>, Refusal> {
    let job = app
        .queue
        .job(id)?
        .ok_or_else(|| Refusal::no_such_job(id.as_str()))?;
    if !job.state.is_final() {
        return Ok(None);
    }
    let mut result = if job.state == StateName::Succeeded {
        success(app, &job).await?
    } else {
        failure(&job)
    };
    let meta = result.meta.get_or_insert_default();
    meta.0.insert(JOB_META.to_owned(), Value::from(id.as_str()));
    Ok(Some(result))
}

/// The answer to a call that was refused.
pub fn refused(refusal: &Refusal) -> CallToolResult {
    let text = crate::policy::blocked_text(refusal).unwrap_or_else(|| refusal.message.clone());
    let mut result = CallToolResult::error(vec![ContentBlock::text(text)]);
    result.structured_content = Some(refusal.to_json());
    result
}

/// The answer of a built-in tool: the value itself, and its text for clients that read only that.
pub fn value(value: Value) -> CallToolResult {
    let text = serde_json::to_string_pretty(&value).unwrap_or_else(|_| value.to_string());
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = Some(value);
    result
}

async fn success(app: &App, job: &Job) -> Result<CallToolResult, Refusal> {
    let output = app.queue.output(&job.id, 0, INLINE_BYTES).await?;
    let whole = job.output_bytes <= output.len() as u64 && !job.output_truncated;
    let text = String::from_utf8_lossy(&output);
    let text = text.trim();
    if !whole {
        return Ok(CallToolResult::success(vec![ContentBlock::text(excerpt(
            job, text,
        ))]));
    }
    let form = app
        .tools
        .current(&app.queue)?
        .find(&job.tool)
        .map_or(Output::Text, |tool| tool.tool.output);
    Ok(match form {
        Output::Text => CallToolResult::success(vec![ContentBlock::text(text)]),
        Output::Json => structured(job, text),
        Output::Mcp => whole_result(job, text),
    })
}

fn structured(job: &Job, text: &str) -> CallToolResult {
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return broken_promise(job, "JSON");
    };
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = Some(value);
    result
}

fn whole_result(job: &Job, text: &str) -> CallToolResult {
    let Ok(mut result) = serde_json::from_str::<CallToolResult>(text) else {
        return broken_promise(job, "an MCP tool result");
    };
    // Plugins need not know of it, and the newest revision demands it.
    result.result_type = Some(ResultType::COMPLETE);
    result
}

fn broken_promise(job: &Job, promised: &str) -> CallToolResult {
    let message = format!(
        "{} ran and ended well, but did not print {promised}, as it declares; jobs__output with id {} shows what it printed.",
        job.tool, job.id
    );
    refused(&Refusal::new("invalid_output", message))
}

fn excerpt(job: &Job, head: &str) -> String {
    let (total, lost) = (
        job.output_bytes,
        if job.output_truncated {
            ", and what came after that was not kept"
        } else {
            ""
        },
    );
    format!(
        "{head}\n[The output is cut here: it has {total} bytes{lost}. jobs__output with id {} reads the rest.]",
        job.id
    )
}

fn failure(job: &Job) -> CallToolResult {
    let missing = || {
        Failure::new(
            code::INTERNAL,
            "The job failed, and why has not been recorded.",
        )
    };
    let Failure { code, message } = job.error.clone().unwrap_or_else(missing);
    let mut result = CallToolResult::error(vec![ContentBlock::text(&*message)]);
    result.structured_content = Some(json!({"error": {"code": code, "message": message}}));
    result
}
