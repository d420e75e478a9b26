//! The rules that jobs made here are under: each schedule's tick and each step of a workflow is decided when it comes, as its owner,
//! with the groups that it is in then.

use std::sync::Arc;

use serde_json::{Map, Value};
use smcp_common::job::Failure;
use smcp_common::plugin::{Binding, Tool};
use smcp_common::policy::{
    Grant, Keeper, Policies, Question, Rejection, Session, Subject, Unready, Via,
};
use smcp_common::queue::{Decided, Denial, NoJob, Queue, QueueError};

use super::tools::Digests;

/// The rules in force, read again only when they or the catalogue have changed.
#[derive(Debug)]
pub(super) struct Rules(Keeper);

/// The rules as they are at one time.
#[derive(Debug)]
pub(super) struct RulesNow {
    queue: Queue,
    policies: Result<Arc<Policies>, Unready>,
    /// Of the files of each plugin.
    digests: Arc<Digests>,
}

impl Rules {
    /// Those of `queue`.
    pub(super) const fn new(queue: Queue) -> Self {
        Self(Keeper::new(queue, Vec::new()))
    }

    /// The rules in force; `digests` are those of the plugins' files.
    ///
    /// # Errors
    /// Database errors.
    pub(super) fn now(&self, queue: &Queue, digests: Arc<Digests>) -> Result<RulesNow, QueueError> {
        let policies = match self.0.current() {
            Err(Unready::Queue(error)) => return Err(error),
            current @ (Ok(_) | Err(Unready::Rules(_))) => current,
        };
        Ok(RulesNow {
            queue: queue.clone(),
            policies,
            digests,
        })
    }
}

impl RulesNow {
    /// What the rules say to a call by `subject`.
    ///
    /// # Errors
    /// Why it may not run, with what is to be recorded of that.
    pub(super) fn grant(
        &self,
        subject: &Subject,
        tool: &Tool,
        arguments: &Map<String, Value>,
        session: &Session,
    ) -> Result<Grant, NoJob> {
        let name = tool.name.as_str();
        let granted = match &self.policies {
            Ok(policies) => policies.grant(&Question {
                subject,
                plugin: &tool.plugin,
                tool: name,
                arguments,
                session,
            }),
            Err(unready) => Err(unready.rejection(name)),
        };
        granted.map_err(|rejection| denied(subject, tool, arguments, session.via, rejection))
    }

    /// What the approval of a call of that tool is bound to, where `grant` needs one.
    pub(super) fn binding(&self, tool: &Tool, grant: &Grant) -> Binding {
        let plugin = self.digests.get(&tool.plugin).map_or("", String::as_str);
        self.queue.binding(grant, plugin)
    }
}

fn denied(
    subject: &Subject,
    tool: &Tool,
    arguments: &Map<String, Value>,
    via: Via,
    rejection: Rejection,
) -> NoJob {
    let call = Decided {
        agent: subject.agent.clone(),
        tool: tool.name.to_string(),
        rules: rejection.rules,
        policy: Some(rejection.policy),
        via,
        entrance: None,
        arguments: arguments.clone(),
        secret: tool.secret_parameters(),
    };
    let code = rejection.code;
    NoJob {
        failure: Failure::new(code, rejection.message),
        denial: Some(Box::new(Denial { call, code })),
    }
}
