//! ② Who may do what: the one step that every call passes before anything is recorded or run.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use smcp_common::queue::QueueError;

use crate::app::App;
use crate::auth::OPERATOR;
use crate::caller::Caller;
use crate::profiles::Profiles;
use crate::refusal::Refusal;
use crate::tools::PluginTool;

/// Why a call is allowed, for the audit record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// The rules that allowed it.
    pub rules: Vec<String>,
}

/// Decides about a call of a plugin's tool.
///
/// # Errors
/// The refusal to tell the caller; the caller of this function records it.
pub fn decide(app: &App, caller: &Caller, tool: &PluginTool) -> Result<Allowed, Refusal> {
    let name = tool.tool.name.as_str();
    let attached = Attached::of(app, caller)?;
    if attached.has(name) {
        Ok(Allowed { rules: vec!["builtin:agents-call-attached-tools".to_owned()] })
    } else {
        let tools = app.tools.current(&app.queue)?;
        Err(not_attached(name, &tools.names().filter(|tool| attached.has(tool)).collect()))
    }
}

/// Whether the caller may see and cancel a job of `agent`: its own, and operators everybody's.
pub fn may_follow(caller: &Caller, agent: &str) -> bool {
    caller.agent == agent || is_operator(caller)
}

/// Whether the caller administers this server.
pub fn is_operator(caller: &Caller) -> bool {
    caller.agent == OPERATOR
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
        Ok(Self { chosen: app.queue.attachments(&caller.agent)?, profiles: &app.profiles })
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
