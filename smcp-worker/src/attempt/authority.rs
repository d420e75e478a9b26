//! ② once more, before anything begins: whether what was decided when the job was recorded still holds.
//!
//! A decision holds for a minute, as long as the rules are the same. What has waited for longer, or for an approval, is decided
//! again as it stands now: the rules, the time, the groups of its agent. What was approved of must be what would run.

use std::time::Duration;

use serde_json::{Map, Value};
use smcp_common::approval::{Request, digest};
use smcp_common::clock::Timestamp;
use smcp_common::job::{Advice, Claimed, Decision, Failure, Outcome};
use smcp_common::plugin::{Plugin, Tool};
use smcp_common::policy::{Grant, Obligations, Question, Rejection, Session, Unready, Via};
use smcp_common::queue::{Decided, QueueError};

use super::{Runner, unreadable};
use crate::work::{Ending, persist};

/// How long a decision holds.
const HOLDS: Duration = Duration::from_mins(1);

impl Runner {
    /// What rules ask for now, beside what they asked for when the job was recorded. `arguments` are exactly those that would run.
    ///
    /// # Errors
    /// The end of a job that must not begin now.
    pub(super) async fn authorise(
        &self,
        plugin: &Plugin,
        tool: &Tool,
        job: &Claimed,
        arguments: &Map<String, Value>,
    ) -> Result<Obligations, Ending> {
        match self.look_again(plugin, job, arguments).await {
            Ok(Standing::Holds(obligations)) => Ok(*obligations),
            Ok(Standing::NeedsApproval(request)) => {
                tracing::info!("the job waits for an approval of what would run now");
                Err(ended(Outcome::ApprovalVoided(request)))
            }
            Ok(Standing::Denied(rejection)) => {
                Err(self.denied(tool, job, arguments, rejection).await)
            }
            Err(error) => Err(unreadable(&error)),
        }
    }

    async fn look_again(
        &self,
        plugin: &Plugin,
        job: &Claimed,
        arguments: &Map<String, Value>,
    ) -> Result<Standing, QueueError> {
        let now = self.queue.clock().now();
        let in_force = persist("look at the rules", async || self.queue.policy_hash()).await?;
        // Nearly always, so that most workers never make the rules ready.
        if job.approved.is_none() && holds(&job.decision, job.attempt, &in_force, now) {
            return Ok(Standing::Holds(Box::default()));
        }
        let rules = persist("look at the rules", async || match self.rules.current() {
            Err(Unready::Queue(error)) => Err(error),
            current @ (Ok(_) | Err(Unready::Rules(_))) => Ok(current),
        });
        let policies = match rules.await? {
            Ok(policies) => policies,
            Err(unready) => return Ok(Standing::Denied(unready.rejection(&job.tool))),
        };
        let subject = persist("look at an agent", async || self.queue.subject(&job.agent)).await?;
        let granted = policies.grant(&Question {
            subject: &subject,
            plugin: &plugin.name,
            tool: &job.tool,
            arguments,
            session: &Session::of(via(job), job.decision.entrance.as_ref(), now),
        });
        let grant = match granted {
            Ok(grant) => grant,
            Err(rejection) => return Ok(Standing::Denied(rejection)),
        };
        if grant.obligations.approval.is_none() || is_approved(&grant, plugin, job) {
            return Ok(Standing::Holds(Box::new(grant.obligations)));
        }
        let until = persist("look at a setting", async || self.queue.approval_until()).await?;
        let (agent, tool, arguments) = (&job.agent, &job.tool, &job.arguments);
        let request = grant.request(agent, tool, arguments, &plugin.digest, until);
        Ok(match request {
            Some(request) => Standing::NeedsApproval(Box::new(request)),
            None => Standing::Holds(Box::new(grant.obligations)),
        })
    }

    async fn denied(
        &self,
        tool: &Tool,
        job: &Claimed,
        arguments: &Map<String, Value>,
        rejection: Rejection,
    ) -> Ending {
        let decided = Decided {
            agent: job.agent.clone(),
            tool: job.tool.clone(),
            rules: rejection.rules,
            policy: Some(rejection.policy),
            via: via(job),
            entrance: job.decision.entrance.clone(),
            arguments: arguments.clone(),
            secret: tool.secret_parameters(),
        };
        let recorded = persist("record of a denial", || {
            self.queue.record_denial(decided.clone(), rejection.code)
        });
        if let Err(error) = recorded.await {
            return unreadable(&error);
        }
        let message = format!(
            "The job was not begun, since it is not allowed any more: {}",
            rejection.message
        );
        ended(Outcome::Failed {
            failure: Failure::new(rejection.code, message),
            // Nothing changes by trying again.
            advice: Advice {
                retryable: Some(false),
                after_ms: None,
            },
        })
    }
}

/// Where a job stands when it is about to begin.
enum Standing {
    /// It may, as rules ask for now.
    Holds(Box<Obligations>),
    NeedsApproval(Box<Request>),
    Denied(Rejection),
}

/// Whether what was decided then need not be decided again. A clock that has been set back tells nothing of how long ago that was.
fn holds(decision: &Decision, attempt: u32, in_force: &str, now: Timestamp) -> bool {
    decision.policy == in_force
        && attempt == 1
        && decision.at <= now
        && now.since(decision.at) < HOLDS
}

/// By which way the job comes to run.
fn via(job: &Claimed) -> Via {
    match &job.approved {
        Some(_) => Via::Approval,
        None => job.decision.via,
    }
}

/// Whether what was approved of is what would run. The arguments of a job never change.
fn is_approved(grant: &Grant, plugin: &Plugin, job: &Claimed) -> bool {
    let (agent, tool, arguments) = (&job.agent, &job.tool, &job.arguments);
    job.approved
        == Some(digest(
            agent,
            tool,
            arguments,
            &plugin.digest,
            &grant.policy,
        ))
}

/// An end without a process.
fn ended(outcome: Outcome) -> Ending {
    Ending {
        outcome,
        output: Vec::new(),
        printed_bytes: None,
        confinement: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_holds_for_a_minute_of_the_same_rules() {
        let (at, minute) = (Timestamp::from_millis(1_000_000), Duration::from_mins(1));
        let decision = Decision {
            at,
            policy: "one".to_owned(),
            via: Via::Call,
            entrance: None,
        };
        let almost = minute.saturating_sub(Duration::from_millis(1));
        let before = Timestamp::from_millis(at.as_millis() - 1);
        for (attempt, in_force, now, expected) in [
            (1, "one", at, true),
            (1, "one", at.plus(almost), true),
            (1, "one", at.plus(minute), false),
            (1, "two", at, false),
            (2, "one", at, false),
            // The clock has been set back: it may have been a year ago.
            (1, "one", before, false),
        ] {
            let found = holds(&decision, attempt, in_force, now);
            assert_eq!(found, expected, "attempt {attempt}, {in_force}, {now}");
        }
    }
}
