//! What a call would do, told without doing it: the decision with its rules, the command line, its place, its sandbox, and what is
//! left of its limits. Nothing is run and nothing of a limit is used; the decision is recorded as every other.

use rmcp::model::MetaObject;
use serde_json::{Map, Value, json};
use smcp_common::plugin::argv;
use smcp_common::policy::{Grant, Obligations, Session, Via};
use smcp_common::secret::masked;

use crate::app::App;
use crate::caller::Caller;
use crate::denial::{self, Denied, decided};
use crate::policy::{decide, session};
use crate::refusal::Refusal;
use crate::submit::{Request, check_size, missing};
use crate::tools::PluginTool;

/// Where a request says in its `_meta` that nothing is to be run.
pub const DRY_RUN_META: &str = "smcp/dry-run";

/// Whether a request says so.
///
/// # Errors
/// `invalid_arguments` where it says something else than yes or no.
pub(crate) fn asked(meta: &MetaObject) -> Result<bool, Refusal> {
    match meta.0.get(DRY_RUN_META) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(asked)) => Ok(*asked),
        Some(_) => Err(Refusal::invalid_arguments(format!(
            "_meta \"{DRY_RUN_META}\" must be true or false."
        ))),
    }
}

/// Refuses to try out a built-in tool: it answers at once, and what is not to be done must not be.
///
/// # Errors
/// `invalid_arguments` where the request asks for that.
pub(crate) fn check_builtin(meta: &MetaObject, tool: &str) -> Result<(), Refusal> {
    if asked(meta)? {
        return Err(Refusal::invalid_arguments(format!(
            "{tool} is a built-in tool, which cannot be tried out; nothing has been done. Only calls of the tools of plugins can."
        )));
    }
    Ok(())
}

/// What `request` would do.
///
/// # Errors
/// What is wrong with the call itself: no such tool, arguments that do not fit; database errors. That it is not allowed is no error
/// here.
pub(crate) async fn preview(
    app: &App,
    caller: &Caller,
    request: Request,
) -> Result<Value, Refusal> {
    check_size(&request.arguments, app.max_arguments_bytes)?;
    let tools = app.tools.current(&app.queue)?;
    let Some(tool) = tools.find(&request.tool) else {
        return Err(missing(app, &tools, &request.tool)?);
    };
    let arguments = tool.arguments(request.arguments)?;
    let session = Session {
        dry_run: true,
        ..session(app, caller)
    };
    let (mut told, asked) = match decide(app, caller, tool, &arguments, &session) {
        Ok(grant) => {
            let told = granted(app, caller, &grant).await?;
            let (rules, policy) = (grant.rules, Some(grant.policy));
            let arguments = arguments.clone();
            let decided = decided(caller, Via::Call, &tool.tool, arguments, rules, policy);
            app.queue.record_allowance(decided).await?;
            (told, grant.obligations)
        }
        Err(denied) => {
            let told = refused(app, caller, tool, &arguments, denied).await?;
            (told, Obligations::default())
        }
    };
    describe(app, tool, &arguments, &asked, &mut told).await?;
    Ok(told)
}

async fn granted(app: &App, caller: &Caller, grant: &Grant) -> Result<Value, Refusal> {
    let obligations = &grant.obligations;
    let left = app.queue.limits_left(&caller.agent, &obligations.limits);
    let limits: Vec<_> = left
        .await?
        .iter()
        .map(|left| {
            json!({"rule": left.limit.rule, "limit": left.limit.kind.to_string(), "used": left.used, "allowed": left.allowed,
                   "frees_at": left.frees_at.map(|at| at.to_string())})
        })
        .collect();
    Ok(json!({
        "dry_run": true, "decision": grant.as_str(), "rules": grant.rules, "policy": grant.policy,
        "approval": obligations.approval, "limits": limits, "max_attempts": obligations.max_attempts, "strict_sandbox": obligations.strict_sandbox,
    }))
}

async fn refused(
    app: &App,
    caller: &Caller,
    tool: &PluginTool,
    arguments: &Map<String, Value>,
    denied: Box<Denied>,
) -> Result<Value, Refusal> {
    let (rules, policy) = (denied.rules.clone(), denied.policy.clone());
    let told = denial::record(
        app,
        caller,
        Via::Call,
        &tool.tool,
        arguments.clone(),
        denied,
    );
    let refusal = told.await?;
    Ok(json!({
        "dry_run": true, "decision": "deny", "code": refusal.code, "message": refusal.message, "rules": rules, "policy": policy,
    }))
}

/// What follows from the tool and its plugin, whatever the decision; `asked` is what rules ask for.
async fn describe(
    app: &App,
    tool: &PluginTool,
    arguments: &Map<String, Value>,
    asked: &Obligations,
    told: &mut Value,
) -> Result<(), Refusal> {
    let shown = masked(&tool.tool, arguments);
    let command_line = argv::render(&tool.tool, &shown)
        .map_err(|error| Refusal::invalid_arguments(format!("{error}.")))?;
    told["tool"] = tool.tool.name.as_str().into();
    told["arguments"] = shown.into();
    told["command_line"] = command_line.into();
    told["effect"] = tool.tool.effect.as_str().into();
    let timeout = tool.tool.timeout(asked, app.default_timeout);
    let timeout_ms = timeout.and_then(|timeout| u64::try_from(timeout.as_millis()).ok());
    told["timeout_ms"] = timeout_ms.into();
    let lane = tool.tool.lane.render(&tool.tool.plugin, arguments);
    told["lane"] = match lane {
        Some(lane) => {
            let queues = app.queue.queues().await?;
            let found = queues
                .lanes
                .iter()
                .find(|state| state.lane.as_deref() == Some(&lane));
            let (queued, running) =
                found.map_or((0, 0), |state| (state.queued, state.running.len()));
            json!({"name": lane, "queued": queued, "running": running})
        }
        None => Value::Null,
    };
    let catalogue = app.queue.catalogue()?;
    let plugin = catalogue
        .plugins
        .iter()
        .find(|plugin| plugin.name == tool.tool.plugin);
    // It may have gone this moment.
    told["sandbox"] = json!(plugin.map(|plugin| {
        let (profile, _) = app.sandbox.permit(plugin, &plugin.asks(&tool.tool));
        profile
    }));
    Ok(())
}
