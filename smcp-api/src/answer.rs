//! ⑨ The answer: what a tool call returns for a job that has ended, made of its row and its output.

mod excerpt;
mod tool_result;

use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Value, json};
use smcp_common::job::{Failure, Job, JobId, StateName, code};
use smcp_common::plugin::Output;

use crate::app::App;
use crate::output_schema::OutputSchema;
use crate::refusal::Refusal;

/// A text up to this size is in the answer as a whole; of a longer one, the head and the tail.
pub const INLINE_TEXT_BYTES: usize = 64 * 1024;
/// The same for documents, JSON or MCP, which are nothing if they are not whole.
const INLINE_DOCUMENT_BYTES: usize = 1024 * 1024;
/// A longer code of a plugin is none.
const MAX_CODE_BYTES: usize = 128;

/// The name under which answers carry their job's id.
pub const JOB_META: &str = "smcp/job";
/// The name under which answers say that they have an excerpt of the output, and which bytes it leaves out.
pub const EXCERPT_META: &str = "smcp/excerpt";

/// The name under which answers carry what the caller should know beside how the job ended: `code` and `message`.
pub const WARNING_META: &str = "smcp/warning";

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
        failure(app, &job).await?
    };
    let meta = result.meta.get_or_insert_default();
    meta.0.insert(JOB_META.to_owned(), Value::from(id.as_str()));
    if let Some(warning) = job.warning() {
        meta.0.insert(WARNING_META.to_owned(), json!(warning));
    }
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
    let tools = app.tools.current(&app.queue)?;
    let tool = tools.find(&job.tool);
    let form = tool.map_or(Output::Text, |tool| tool.tool.output);
    let schema = tool.and_then(|tool| tool.output_schema.as_ref());
    let inline_bytes = match form {
        Output::Text => INLINE_TEXT_BYTES,
        Output::Json | Output::Mcp => INLINE_DOCUMENT_BYTES,
    };
    if job.output_truncated || job.output_bytes > inline_bytes as u64 {
        return cut(app, job, form, schema).await;
    }
    let output = app.queue.output(&job.id, 0, inline_bytes).await?;
    let text = String::from_utf8_lossy(&output);
    let text = text.trim();
    let read = match form {
        Output::Text => return Ok(CallToolResult::success(vec![ContentBlock::text(text)])),
        Output::Json => json_result(text),
        Output::Mcp => tool_result::read(text)
            .map_err(|wrong| format!("did not print an MCP tool result, as it declares: {wrong}")),
    };
    Ok(read
        .and_then(|result| fitting(result, schema))
        .unwrap_or_else(|wrong| broken_promise(job, &wrong)))
}

fn json_result(text: &str) -> Result<CallToolResult, String> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| format!("did not print JSON, as it declares: {error}"))?;
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = Some(value);
    Ok(result)
}

/// The result, if its structured content is what the tool declares. Errors need not be.
fn fitting(
    result: CallToolResult,
    schema: Option<&OutputSchema>,
) -> Result<CallToolResult, String> {
    let Some(schema) = schema.filter(|_| result.is_error != Some(true)) else {
        return Ok(result);
    };
    let Some(structured) = &result.structured_content else {
        return Err("printed no structuredContent, though it declares an output_schema".to_owned());
    };
    let problems = schema.problems(structured);
    if problems.is_empty() {
        return Ok(result);
    }
    Err(format!(
        "what it printed does not match its output_schema: {}",
        problems.join("; ")
    ))
}

/// The answer where the output does not fit one. A document that is cut is none any more; a client that was promised
/// structured content would refuse an answer without, unless it is an error.
async fn cut(
    app: &App,
    job: &Job,
    form: Output,
    schema: Option<&OutputSchema>,
) -> Result<CallToolResult, Refusal> {
    let reason = match form {
        Output::Text => String::new(),
        Output::Json | Output::Mcp if job.output_truncated => format!(
            "It is shown as text, since what is left of it is no {} any more. ",
            form.as_str()
        ),
        Output::Json | Output::Mcp => format!(
            "It is shown as text, since up to {INLINE_DOCUMENT_BYTES} bytes can be answered as {}. ",
            form.as_str()
        ),
    };
    let mut result = excerpt::answer(app, job, &reason).await?;
    if schema.is_some() {
        let refusal = match job.warning() {
            Some(Failure { message, .. }) => Refusal::new(
                code::OUTPUT_TRUNCATED,
                format!(
                    "{} ran and ended well, but cannot be answered with structured content. {message} jobs__output with \
                     id {} reads them.",
                    job.tool, job.id
                ),
            ),
            None => Refusal::new(
                "output_too_large",
                format!(
                    "{} ran and ended well, but its output of {} bytes is too large to be answered as structured \
                     content; jobs__output with id {} reads it.",
                    job.tool, job.output_bytes, job.id
                ),
            ),
        };
        result.is_error = Some(true);
        result.structured_content = Some(refusal.to_json());
    }
    Ok(result)
}

fn broken_promise(job: &Job, wrong: &str) -> CallToolResult {
    let wrong = wrong.trim_end_matches('.');
    let message = format!(
        "{} ran and ended well, but {wrong}. jobs__output with id {} shows what it printed.",
        job.tool, job.id
    );
    refused(&Refusal::new("invalid_output", message))
}

async fn failure(app: &App, job: &Job) -> Result<CallToolResult, Refusal> {
    let missing = || {
        Failure::new(
            code::INTERNAL,
            "The job failed, and why has not been recorded.",
        )
    };
    let Failure { code, message } = job.error.clone().unwrap_or_else(missing);
    let mut result = CallToolResult::error(vec![ContentBlock::text(&*message)]);
    let mut error = json!({"code": code, "message": message});
    if code == code::PLUGIN_ERROR
        && let Some(own) = own_code(app, job).await?
    {
        error["plugin_code"] = own.into();
    }
    result.structured_content = Some(json!({ "error": error }));
    Ok(result)
}

/// The plugin's own code for its failure, where it has printed one, so that a program can tell failures apart.
async fn own_code(app: &App, job: &Job) -> Result<Option<String>, Refusal> {
    let output = app.queue.output(&job.id, 0, INLINE_TEXT_BYTES).await?;
    let printed: Option<Value> = serde_json::from_slice(&output).ok();
    let code = printed
        .as_ref()
        .and_then(|printed| printed["code"].as_str());
    Ok(code
        .filter(|code| !code.is_empty() && code.len() <= MAX_CODE_BYTES)
        .map(ToOwned::to_owned))
}
