//! ②③ From a call to a recorded job. Whatever way a call comes in, it ends here: policy first, row second, so that
//! a denied call leaves an audit record and no job.

use serde_json::{Map, Value, json};
use smcp_common::clock::Timestamp;
use smcp_common::job::{JobId, Retry, Source};
use smcp_common::plugin::{OnDisconnect, Order};
use smcp_common::policy::Via;
use smcp_common::queue::{RetiredTool, SessionCall};

use crate::app::App;
use crate::caller::Caller;
use crate::denial;
use crate::policy::{decide, session};
use crate::refusal::Refusal;
use crate::retry_policy;
use crate::tools::Tools;
use crate::watch::Subscription;

/// What is asked for.
#[derive(Debug)]
pub struct Request {
    /// The id that a new job gets.
    pub id: JobId,
    /// The tool, `plugin__command`.
    pub tool: String,
    /// Its arguments, as sent.
    pub arguments: Map<String, Value>,
    /// How it was asked for.
    pub source: Source,
    /// The caller's key for this deed.
    pub idempotency_key: Option<String>,
    /// Not before this instant.
    pub run_at: Option<Timestamp>,
    /// −100 to 100.
    pub priority: i32,
    /// The caller's own retry policy in the place of the tool's.
    pub retry: Option<Retry>,
    /// The request in a session that asks, by which the job is found again.
    pub call: Option<SessionCall>,
}

/// A recorded job, watched since before it existed.
#[derive(Debug)]
pub struct Ticket {
    /// The job.
    pub job: JobId,
    /// True where the idempotency key had been used for it before.
    pub existing: bool,
    /// Its news.
    pub news: Subscription,
    /// What happens to it when its caller goes away.
    pub on_disconnect: OnDisconnect,
}

/// Records a job for what is asked; it is durable when this returns.
///
/// # Errors
/// The refusal to tell the caller. No job has been recorded then.
#[tracing::instrument(name = "submit", skip_all, fields(job.tool = request.tool, job.agent = caller.agent))]
pub async fn submit(app: &App, caller: &Caller, request: Request) -> Result<Ticket, Refusal> {
    check_size(&request.arguments, app.max_arguments_bytes)?;
    let tools = app.tools.current(&app.queue)?;
    let Some(tool) = tools.find(&request.tool) else {
        return Err(missing(app, &tools, &request.tool)?);
    };
    check_key(request.idempotency_key.as_deref())?;
    retry_policy::check(app, request.retry.as_ref())?;
    let arguments = tool.arguments(request.arguments)?;
    let session = session(app, caller);
    let grant = match decide(app, caller, tool, &arguments, &session) {
        Ok(grant) => grant,
        Err(denied) => {
            let told = denial::record(app, caller, Via::Call, &tool.tool, arguments, denied);
            return Err(told.await?);
        }
    };
    let binding = app.queue.binding(&grant, tools.digest(&tool.tool.plugin));
    let news = app.watch.subscribe(&request.id);
    let order = Order {
        id: request.id,
        agent: caller.agent.clone(),
        source: request.source,
        origin: None,
        arguments,
        entrance: Some(caller.entrance()),
        idempotency_key: request.idempotency_key,
        run_at: request.run_at,
        priority: request.priority,
        retry: request.retry,
        grant,
        binding,
    };
    let job = tool.tool.job(order, app.default_timeout);
    let id = job.id.clone();
    let submitted = match request.call {
        Some(call) => app.queue.submit_for(job, call).await?,
        None => app.queue.submit(job).await?,
    };
    let news = if submitted.id == id {
        news
    } else {
        app.watch.subscribe(&submitted.id)
    };
    tracing::info!(job.id = %submitted.id, existing = submitted.existing, "job recorded");
    Ok(Ticket {
        job: submitted.id,
        existing: submitted.existing,
        news,
        on_disconnect: tool.tool.on_disconnect,
    })
}

/// Refuses arguments that are larger than `max_bytes` of JSON.
///
/// # Errors
/// The refusal to tell the caller, with both sizes.
pub(crate) fn check_size(arguments: &Map<String, Value>, max_bytes: usize) -> Result<(), Refusal> {
    let mut counted = Counted(0);
    // A sink that takes all and values that are JSON: it does not fail.
    drop(serde_json::to_writer(&mut counted, arguments));
    let Counted(bytes) = counted;
    if bytes <= max_bytes {
        return Ok(());
    }
    Err(Refusal {
        code: "arguments_too_large",
        message: format!(
            "The arguments are {bytes} bytes of JSON, of which {max_bytes} are allowed. Nothing has been run. Pass less, or put \
             the data where the tool can read it and pass its name."
        ),
        details: Some(json!({"bytes": bytes, "max_bytes": max_bytes})),
    })
}

/// A sink that counts.
struct Counted(usize);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn check_key(key: Option<&str>) -> Result<(), Refusal> {
    match key {
        Some(key) if key.is_empty() || key.chars().count() > 255 => Err(
            Refusal::invalid_arguments("An idempotency key must have 1 to 255 characters."),
        ),
        Some(_) | None => Ok(()),
    }
}

/// What to say of a tool that there is not.
pub(crate) fn missing(app: &App, tools: &Tools, name: &str) -> Result<Refusal, Refusal> {
    // As in `Tools::find`.
    let tool = tools
        .aliased(name)
        .map_or_else(|| name.replacen('.', "__", 1), ToOwned::to_owned);
    if let Some((plugin, was_accepted)) = tools.quarantined(&tool) {
        return Ok(quarantined(&tool, plugin, was_accepted));
    }
    let Some(retired) = app.queue.retired_tool(&tool)? else {
        return Ok(unknown(tools, name));
    };
    let RetiredTool { plugin, retired_at } = retired;
    Ok(Refusal {
        code: "tool_removed",
        message: format!(
            "There is no tool '{tool}' any more: plugin {plugin} has not offered it since {retired_at}. tools/list names \
             the tools that there are; plugins__list says what became of the plugin."
        ),
        details: Some(json!({"tool": tool, "plugin": plugin, "removed_at": retired_at})),
    })
}

fn quarantined(tool: &str, plugin: &str, was_accepted: bool) -> Refusal {
    let why = if was_accepted {
        "has changed since it was accepted"
    } else {
        "is new and has not been accepted"
    };
    Refusal {
        code: "plugin_quarantined",
        message: format!(
            "Tool '{tool}' cannot be called: plugin {plugin} {why}. It is not run until an operator has looked at it and \
             accepted it: smcp plugins accept {plugin}, or plugins__diff and plugins__accept."
        ),
        details: Some(json!({"tool": tool, "plugin": plugin})),
    }
}

fn unknown(tools: &Tools, name: &str) -> Refusal {
    if let Some(tool) = tools.aliased(name) {
        let message = format!("'{name}' stands for the tool '{tool}', which is not there.");
        return Refusal::new("unknown_tool", message);
    }
    let name: String = name.chars().take(80).collect();
    let plugin = name.split(['.', '_']).next().unwrap_or_default();
    let near: Vec<_> = tools
        .names()
        .filter(|tool| !plugin.is_empty() && tool.starts_with(plugin))
        .take(10)
        .collect();
    let advice = if near.is_empty() {
        "tools/list names the tools that there are".to_owned()
    } else {
        format!("there are: {}", near.join(", "))
    };
    Refusal::new(
        "unknown_tool",
        format!("There is no tool '{name}'; {advice}."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_may_be_as_large_as_is_allowed_and_no_larger() {
        let arguments = Map::from_iter([("ä".to_owned(), json!("\n"))]);
        let bytes = r#"{"ä":"\n"}"#.len();
        assert_eq!(check_size(&arguments, bytes), Ok(()));
        let refusal = check_size(&arguments, bytes - 1).unwrap_err();
        let details = json!({"bytes": bytes, "max_bytes": bytes - 1});
        assert_eq!(
            (refusal.code, refusal.details),
            ("arguments_too_large", Some(details))
        );
    }
}
