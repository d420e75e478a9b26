//! ② Who may do what: the one step that every call passes before anything is recorded or run.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use smcp_common::agent::OPERATORS;
use smcp_common::policy::{Grant, Policies, Question, Rejection, Session, Unready, Via};
use smcp_common::queue::QueueError;

use crate::app::App;
use crate::caller::Caller;
use crate::denial::Denied;
use crate::profiles::Profiles;
use crate::refusal::Refusal;
use crate::tools::PluginTool;

/// Decides about a call of a plugin's tool with exactly these arguments: rules first, and then what the agent keeps attached, which
/// can only narrow.
///
/// # Errors
/// What to tell the caller, and to record.
pub fn decide(
    app: &App,
    caller: &Caller,
    tool: &PluginTool,
    arguments: &Map<String, Value>,
    session: &Session,
) -> Result<Grant, Box<Denied>> {
    let name = tool.tool.name.as_str();
    let grant = rules(app)?.grant(&Question {
        subject: &app.queue.subject(&caller.agent)?,
        plugin: &tool.tool.plugin,
        tool: name,
        arguments,
        session,
    })?;
    check_attached(app, caller, name)?;
    Ok(grant)
}

/// Whether some arguments and some time could allow the caller that tool, which is then worth to be planned with.
///
/// # Errors
/// What to tell the caller, and to record.
pub fn decide_roughly(app: &App, caller: &Caller, tool: &PluginTool) -> Result<(), Box<Denied>> {
    let name = tool.tool.name.as_str();
    let rules = rules(app)?;
    if !rules
        .listed(&app.queue.subject(&caller.agent)?)
        .contains(name)
    {
        let message = format!(
            "'{}' may not call {name}, whatever the arguments: no rule permits it, or one forbids it. Ask an operator; \
             `smcp policy explain {name} --agent {}` tells them more.",
            caller.agent, caller.agent
        );
        return Err(Rejection {
            code: "not_allowed",
            message,
            rules: Vec::new(),
            policy: rules.hash().to_owned(),
        }
        .into());
    }
    check_attached(app, caller, name)
}

/// The rules in force.
///
/// # Errors
/// `policy_error`: nothing may run without rules.
pub fn rules(app: &App) -> Result<Arc<Policies>, Refusal> {
    app.rules.current().map_err(|unready| match unready {
        Unready::Queue(error) => error.into(),
        unready @ Unready::Rules(_) => {
            let error: &dyn std::error::Error = &unready;
            tracing::error!(error, "nothing can be decided");
            Refusal::new(
                "policy_error",
                format!("Nothing is allowed: {unready}. An operator can see what is wrong with them in the log of this server."),
            )
        }
    })
}

/// The circumstances of a call that somebody makes now.
pub fn session(app: &App, caller: &Caller) -> Session {
    let now = app.queue.clock().now();
    Session::of(Via::Call, Some(&caller.entrance()), now)
}

fn check_attached(app: &App, caller: &Caller, name: &str) -> Result<(), Box<Denied>> {
    let attached = Attached::of(app, caller)?;
    if attached.has(name) {
        return Ok(());
    }
    let tools = app.tools.current(&app.queue)?;
    let attached = tools.names().filter(|tool| attached.has(tool)).collect();
    Err(not_attached(name, &attached).into())
}

/// Whether the caller may see and cancel a job of `agent`: its own, and operators everybody's.
pub fn may_follow(app: &App, caller: &Caller, agent: &str) -> bool {
    caller.agent == agent || is_operator(app, caller)
}

/// Whether the caller is a member of the operators, who see what is everybody's. Where that cannot be read, it is not.
pub fn is_operator(app: &App, caller: &Caller) -> bool {
    let subject = app.queue.subject(&caller.agent);
    subject.is_ok_and(|subject| subject.groups.contains(OPERATORS))
}

/// The tools that an agent keeps attached.
#[derive(Debug)]
pub struct Attached<'a> {
    /// `None` where the agent never chose.
    chosen: Option<BTreeSet<String>>,
    profiles: &'a Profiles,
}

impl<'a> Attached<'a> {
    /// Those of the caller.
    ///
    /// # Errors
    /// Database errors.
    pub fn of(app: &'a App, caller: &Caller) -> Result<Self, QueueError> {
        Ok(Self {
            chosen: app.queue.attachments(&caller.agent)?,
            profiles: &app.profiles,
        })
    }

    /// Whether that tool is attached.
    pub fn has(&self, tool: &str) -> bool {
        match &self.chosen {
            Some(chosen) => chosen.contains(tool),
            None => self.profiles.has_initially(tool),
        }
    }
}

/// The refusal of a tool that the agent has detached, in the original's words.
fn not_attached(tool: &str, attached: &BTreeSet<&str>) -> Refusal {
    let hint = format!("Run sanctum__tools action=attach tool={tool} or action=attach-profile");
    Refusal {
        code: "tool_not_attached",
        message: format!("Tool {tool} is not attached. {hint}"),
        details: Some(json!({"tool": tool, "hint": hint, "attached": attached})),
    }
}

/// The text of a blocked call, as clients of the original expect it.
pub fn blocked_text(refusal: &Refusal) -> Option<String> {
    if refusal.code != "tool_not_attached" {
        return None;
    }
    let mut text = json!({"error": refusal.code});
    if let Some(Value::Object(details)) = &refusal.details {
        for (key, value) in details {
            text[key] = value.clone();
        }
    }
    Some(text.to_string())
}
