//! Workflows are driven on: whenever a job of one has ended or one of its times has come, what follows is decided and
//! written. Without any, this is one look into an index.

use std::time::Duration;

use serde_json::{Map, Value};
use smcp_common::clock::Timestamp;
use smcp_common::job::{Failure, JobId, NewJob, Origin, Source, code};
use smcp_common::plugin::{Binding, Order, Tool, misfits, normalise};
use smcp_common::policy::{Grant, Session, Via};
use smcp_common::queue::{NoJob, Queue, QueueError, Workflow};
use smcp_common::workflow::{Call, WorkflowId};

use super::RETRY;
use super::rules::{Rules, RulesNow};
use super::tools::{KnownTools, Tools};

/// Drives on every workflow that is due; answers when the next one is, apart from news.
///
/// # Errors
/// Database errors that a later try may not meet.
pub(super) async fn perform(
    queue: &Queue,
    known: &mut KnownTools,
    rules: &Rules,
    worker: &str,
    default_timeout: Option<Duration>,
) -> Result<Option<Timestamp>, QueueError> {
    let (due, next) = queue.workflows_due()?;
    if due.is_empty() {
        return Ok(next);
    }
    let tools = known.current(queue)?;
    let by = format!("worker:{worker}");
    let rules = rules.now(queue, known.digests())?;
    let mut unreadable = Vec::new();
    for id in due {
        match advance(queue, &id, &by, &tools, &rules, default_timeout).await {
            Ok(()) => {}
            Err(error) if error.is_transient() => return Err(error),
            // One that cannot be read must not keep the others from going on.
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(workflow.id = %id, error, "a workflow cannot be driven on");
                unreadable.push(id);
            }
        }
    }
    // One of these may have set itself a time, or changed meanwhile.
    let (due, next) = queue.workflows_due()?;
    let now = queue.clock().now();
    if due.iter().any(|id| !unreadable.contains(id)) {
        return Ok(Some(now));
    }
    // The time of one that cannot be read may have come for good.
    let earliest = if unreadable.is_empty() {
        now
    } else {
        now.plus(RETRY)
    };
    Ok(next.map(|next| next.max(earliest)))
}

/// Drives on one workflow, as its owner.
async fn advance(
    queue: &Queue,
    id: &WorkflowId,
    by: &str,
    tools: &Tools,
    rules: &RulesNow,
    default_timeout: Option<Duration>,
) -> Result<(), QueueError> {
    let Some(workflow) = queue.workflow(id)? else {
        return Ok(());
    };
    let subject = queue.subject(&workflow.agent)?;
    let session = Session::unattended(Via::Workflow, queue.clock().now());
    let grant = &mut |tool: &Tool, arguments: &Map<String, Value>| {
        let grant = rules.grant(&subject, tool, arguments, &session)?;
        let binding = rules.binding(tool, &grant);
        Ok((grant, binding))
    };
    let mut make =
        |workflow: &Workflow, call: Call<'_>| job(tools, workflow, call, grant, default_timeout);
    queue.advance_workflow(id, by, tools, &mut make).await?;
    Ok(())
}

/// Asks the rules.
type Granting<'a> =
    dyn FnMut(&Tool, &Map<String, Value>) -> Result<(Grant, Binding), NoJob> + Send + 'a;

/// The job that carries out a call of a workflow.
fn job(
    tools: &Tools,
    workflow: &Workflow,
    call: Call<'_>,
    grant: &mut Granting<'_>,
    default_timeout: Option<Duration>,
) -> Result<NewJob, NoJob> {
    let Some(tool) = tools.get(call.tool) else {
        let message = format!(
            "There is no tool '{}' any more; plugins__list says what became of its plugin.",
            call.tool
        );
        return Err(Failure::new(code::PLUGIN_NOT_FOUND, message).into());
    };
    let arguments = normalise(tool, call.arguments);
    if let Some((name, problem)) = misfits(tool, &arguments, |_| false).first() {
        let message = format!(
            "Step '{}' cannot call {}: argument '{name}': {problem}.",
            call.step.id, call.tool
        );
        return Err(Failure::new(code::INVALID_ARGUMENTS, message).into());
    }
    let (grant, binding) = grant(tool, &arguments).map_err(|none| {
        let Failure { code, message } = none.failure;
        let message = format!("Step '{}' cannot run. {message}", call.step.id);
        NoJob {
            failure: Failure { code, message },
            ..none
        }
    })?;
    let order = Order {
        id: JobId::random(),
        agent: workflow.agent.clone(),
        source: Source::Workflow,
        origin: Some(Origin::Workflow {
            workflow: workflow.id.to_string(),
            step: call.step.id.clone(),
        }),
        arguments,
        entrance: None,
        idempotency_key: None,
        run_at: None,
        priority: 0,
        retry: None,
        grant,
        binding,
    };
    Ok(tool.job(order, default_timeout))
}
