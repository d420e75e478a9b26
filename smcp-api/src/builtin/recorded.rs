//! What is recorded of a decision about a call of a built-in tool: its arguments, but for what is secret in them.

use serde_json::{Map, Value};
use smcp_common::policy::Via;
use smcp_common::queue::Decided;

use super::Builtin;
use crate::app::App;
use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::tools::Tools;

impl Builtin {
    /// The record of a decision about a call.
    pub(super) fn decided(
        &self,
        app: &App,
        caller: &Caller,
        arguments: Map<String, Value>,
        rules: Vec<String>,
        policy: String,
    ) -> Result<Decided, Refusal> {
        let tools = app.tools.current(&app.queue)?;
        let within = arguments
            .iter()
            .filter(|(name, value)| may_hold_secrets(&tools, name, value, &arguments))
            .map(|(name, _)| name);
        Ok(Decided {
            agent: caller.agent.clone(),
            tool: self.name().to_owned(),
            rules,
            policy: Some(policy),
            via: Via::Call,
            entrance: Some(caller.entrance()),
            secret: self.secrets().chain(within).cloned().collect(),
            arguments,
        })
    }
}

/// What a call within a call, or a case of a test, calls its arguments.
const ARGUMENTS: [&str; 2] = ["arguments", "args"];

/// Whether `value`, which is called `name` and stands beside others, is or has in it the arguments for a `tool` that takes
/// secret ones, or that nobody knows.
fn may_hold_secrets(tools: &Tools, name: &str, value: &Value, beside: &Map<String, Value>) -> bool {
    match value {
        Value::Object(fields) => {
            let tool = beside.get("tool").and_then(Value::as_str);
            let takes_none = || {
                let tool = tool.and_then(|tool| tools.find(tool));
                tool.is_some_and(|tool| tool.tool.secret_parameters().is_empty())
            };
            let are_arguments = ARGUMENTS.contains(&name) && !fields.is_empty();
            (are_arguments && !takes_none())
                || fields
                    .iter()
                    .any(|(name, value)| may_hold_secrets(tools, name, value, fields))
        }
        Value::Array(items) => items
            .iter()
            .any(|item| may_hold_secrets(tools, "", item, beside)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
