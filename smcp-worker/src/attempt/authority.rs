//! ② once more, before anything begins: whether what was decided when the job was recorded still holds.
//!
//! A decision holds for a minute, as long as the rules are the same. What has waited for longer, or for an approval, is decided
//! again as it stands now: the rules, the time, the groups of its agent. What was approved of must be what would run.

use std::time::Duration;

use serde_json::{Map, Value};
use smcp_common::approval::{Request, digest};
use smcp_common::job::{Advice, Claimed, Failure, Outcome};
use smcp_common::plugin::{Plugin, Tool, normalise};
use smcp_common::policy::{Grant, Policies, Question, Rejection, Session, Unready, Via};
use smcp_common::queue::{Decided, QueueError};

use super::{Runner, unreadable};
use crate::work::{Ending, persist};

/// How long a decision holds.
const HOLDS: Duration = Duration::from_mins(1);

impl Runner {
    /// The end of a job that must not begin now; `None` where it may. `arguments` are exactly those that would run.
    pub(super) async fn unauthorised(
        &self,
        plugin: &Plugin,
        tool: &Tool,
        job: &Claimed,
        arguments: &Map<String, Value>,
    ) -> Option<Ending> {
        match self.look_again(plugin, tool, job, arguments).await {
            Ok(Standing::Holds) => None,
            Ok(Standing::NeedsApproval(request)) => {
                tracing::info!("the job waits for an approval of what would run now");
                Some(ended(Outcome::ApprovalVoided(request)))
            }
            Ok(Standing::Denied(rejection)) => {
                Some(self.denied(tool, job, arguments, rejection).await)
            }
            Err(error) => Some(unreadable(&error)),
        }
    }

    async fn look_again(
        &self,
        plugin: &Plugin,
        tool: &Tool,
        job: &Claimed,
        arguments: &Map<String, Value>,
    ) -> Result<Standing, QueueError> {
        let now = self.queue.clock().now();
        let in_force = persist("look at the rules", async || self.queue.policy_hash()).await?;
        let is_fresh = in_force == job.decision.policy
            && now.since(job.decision.at) < HOLDS
            && job.attempt == 1;
        // Nearly always, so that most workers never make the rules ready.
        if is_fresh && job.approved.is_none() {
            return Ok(Standing::Holds);
        }
        let rules = persist("look at the rules", async || match self.rules.current() {
            Ok(policies) => Ok(Ok(policies)),
            Err(Unready::Queue(error)) => Err(error),
            Err(unready @ Unready::Rules(_)) => Ok(Err(unready)),
        });
        let policies = match rules.await? {
            Ok(policies) => policies,
            Err(unready) => return Ok(Standing::Denied(unusable(job, &unready))),
        };
        let subject = persist("look at an agent", async || self.queue.subject(&job.agent)).await?;
        let session = Session {
            via: if job.approved.is_some() {
                Via::Approval
            } else {
                job.decision.via
            },
            transport: job.decision.transport,
            address: job.decision.address,
            now,
            dry_run: false,
        };
        let granted = policies.grant(&Question {
            subject: &subject,
            plugin: &plugin.name,
            tool: tool.name.as_str(),
            // A plugin that has changed meanwhile may have more defaults, which rules expect.
            arguments: &normalise(tool, arguments.clone()),
            session: &session,
        });
        let grant = match granted {
            Ok(grant) => grant,
            Err(rejection) => return Ok(Standing::Denied(rejection)),
        };
        if grant.obligations.approval.is_none() || is_approved(&policies, plugin, job) {
            return Ok(Standing::Holds);
        }
        let until = persist("look at a setting", async || self.queue.approval_until()).await?;
        let request = request(&grant, plugin, job, until);
        Ok(request.map_or(Standing::Holds, |request| {
            Standing::NeedsApproval(Box::new(request))
        }))
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
            via: job.decision.via,
            entrance: None,
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
    Holds,
    NeedsApproval(Box<Request>),
    Denied(Rejection),
}

/// Whether what was approved of is what would run. The arguments of a job never change.
fn is_approved(policies: &Policies, plugin: &Plugin, job: &Claimed) -> bool {
    let digest = digest(
        &job.agent,
        &job.tool,
        &job.arguments,
        &plugin.digest,
        policies.hash(),
    );
    job.approved == Some(digest)
}

fn request(
    grant: &Grant,
    plugin: &Plugin,
    job: &Claimed,
    until: smcp_common::clock::Timestamp,
) -> Option<Request> {
    grant.request(&job.agent, &job.tool, &job.arguments, &plugin.digest, until)
}

fn unusable(job: &Claimed, unready: &Unready) -> Rejection {
    let error: &dyn std::error::Error = unready;
    tracing::error!(error, "the rules in force cannot be used: nothing is run");
    Rejection {
        code: "policy_error",
        message: format!("{} is not allowed: {unready}.", job.tool),
        rules: Vec::new(),
        policy: String::new(),
    }
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
