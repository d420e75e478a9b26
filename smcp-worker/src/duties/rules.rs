//! The rules that jobs made here are under: each schedule's tick and each step of a workflow is decided when it comes, as its owner,
//! with the groups that it is in then.

use std::sync::Arc;

use serde_json::{Map, Value};
use smcp_common::plugin::Tool;
use smcp_common::policy::{
    Grant, Keeper, Policies, Question, Rejection, Session, Subject, Unready, Via,
};
use smcp_common::queue::{Decided, Queue, QueueError};

/// The rules in force, read again only when they or the catalogue have changed.
#[derive(Debug)]
pub(super) struct Rules(Keeper);

/// The rules as they are at one time.
#[derive(Debug)]
pub(super) struct RulesNow(Result<Arc<Policies>, String>);

/// What was denied, to be recorded.
pub(super) type Denials = Vec<(Decided, &'static str)>;

impl Rules {
    /// Those of `queue`.
    pub(super) const fn new(queue: Queue) -> Self {
        Self(Keeper::new(queue, Vec::new()))
    }

    /// The rules in force.
    ///
    /// # Errors
    /// Database errors.
    pub(super) fn now(&self) -> Result<RulesNow, QueueError> {
        match self.0.current() {
            Ok(policies) => Ok(RulesNow(Ok(policies))),
            Err(Unready::Queue(error)) => Err(error),
            Err(Unready::Rules(fault)) => {
                let error: &dyn std::error::Error = &fault;
                tracing::error!(error, "the rules in force cannot be used: nothing is run");
                Ok(RulesNow(Err(Unready::Rules(fault).to_string())))
            }
        }
    }
}

impl RulesNow {
    /// What the rules say to a call by `subject`; a denial is noted in `denials`.
    ///
    /// # Errors
    /// Why it may not run.
    pub(super) fn grant(
        &self,
        subject: &Subject,
        tool: &Tool,
        arguments: &Map<String, Value>,
        session: &Session,
        denials: &mut Denials,
    ) -> Result<Grant, Rejection> {
        let name = tool.name.as_str();
        let asked = match &self.0 {
            Ok(policies) => policies.grant(&Question {
                subject,
                plugin: &tool.plugin,
                tool: name,
                arguments,
                session,
            }),
            Err(problem) => Err(Rejection {
                code: "policy_error",
                message: format!("{name} is not allowed: {problem}."),
                rules: Vec::new(),
                policy: String::new(),
            }),
        };
        // Nothing that is made here can wait for an approval.
        let granted = asked.and_then(|grant| grant.without_approval(name));
        if let Err(rejection) = &granted {
            let denied = denied(subject, tool, arguments, session.via, rejection);
            denials.push((denied, rejection.code));
        }
        granted
    }
}

fn denied(
    subject: &Subject,
    tool: &Tool,
    arguments: &Map<String, Value>,
    via: Via,
    rejection: &Rejection,
) -> Decided {
    Decided {
        agent: subject.agent.clone(),
        tool: tool.name.to_string(),
        rules: rejection.rules.clone(),
        policy: Some(rejection.policy.clone()),
        via,
        entrance: None,
        arguments: arguments.clone(),
        secret: tool.secret_parameters(),
    }
}

/// Records what was denied.
///
/// # Errors
/// Database errors.
pub(super) async fn record(queue: &Queue, denials: Denials) -> Result<(), QueueError> {
    for (denied, code) in denials {
        queue.record_denial(denied, code).await?;
    }
    Ok(())
}
