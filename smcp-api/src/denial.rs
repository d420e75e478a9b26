//! A call that is not allowed leaves an audit record: who wanted to call what, with which arguments, and why not.

use serde_json::{Map, Value, json};
use smcp_common::plugin::Tool;
use smcp_common::policy::{Rejection, Via};
use smcp_common::queue::{Decided, QueueError};

use crate::app::App;
use crate::caller::Caller;
use crate::refusal::Refusal;

/// A decision against a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Denied {
    /// What the caller is told.
    pub refusal: Refusal,
    /// The rules that decided, sorted; none where none permits it.
    pub rules: Vec<String>,
    /// The hash of the rules that were asked; `None` where the decision is not theirs.
    pub policy: Option<String>,
}

impl From<Rejection> for Box<Denied> {
    fn from(rejection: Rejection) -> Self {
        let Rejection {
            code,
            message,
            rules,
            policy,
        } = rejection;
        Self::new(Denied {
            refusal: Refusal {
                code,
                message,
                details: Some(json!({"rules": rules, "policy": policy})),
            },
            rules,
            policy: Some(policy),
        })
    }
}

impl From<Refusal> for Box<Denied> {
    fn from(refusal: Refusal) -> Self {
        Self::new(Denied {
            refusal,
            rules: Vec::new(),
            policy: None,
        })
    }
}

impl From<QueueError> for Box<Denied> {
    fn from(error: QueueError) -> Self {
        Refusal::from(error).into()
    }
}

/// Records that a call of a plugin's tool has been refused, and answers what to tell. `arguments` are those that would have run.
///
/// # Errors
/// Database errors. Whoever called is told of these, as nothing that is not recorded may be decided.
pub async fn record(
    app: &App,
    caller: &Caller,
    via: Via,
    tool: &Tool,
    arguments: Map<String, Value>,
    denied: Box<Denied>,
) -> Result<Refusal, Refusal> {
    let Denied {
        refusal,
        rules,
        policy,
    } = *denied;
    let decided = decided(caller, via, tool, arguments, rules, policy);
    app.queue.record_denial(decided, refusal.code).await?;
    Ok(refusal)
}

/// What is recorded of a decision about a call of a plugin's tool.
pub(crate) fn decided(
    caller: &Caller,
    via: Via,
    tool: &Tool,
    arguments: Map<String, Value>,
    rules: Vec<String>,
    policy: Option<String>,
) -> Decided {
    Decided {
        agent: caller.agent.clone(),
        tool: tool.name.to_string(),
        rules,
        policy,
        via,
        entrance: Some(caller.entrance()),
        arguments,
        secret: tool.secret_parameters(),
    }
}
