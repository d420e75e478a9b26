//! A call of a tool as a job: what the tool declares, and what the call itself wants.

use std::time::Duration;

use serde_json::{Map, Value};

use super::Tool;
use crate::approval::Request;
use crate::clock::Timestamp;
use crate::job::{Entrance, JobId, NewJob, Origin, Retry, Source};
use crate::policy::{Grant, Obligations};
use crate::secret::masked;

/// What a call asks for beside what its tool declares. Everything in it has been decided.
#[derive(Debug, Clone)]
pub struct Order {
    /// The id that the job gets.
    pub id: JobId,
    /// Who asks.
    pub agent: String,
    /// How it is asked for.
    pub source: Source,
    /// The schedule or the workflow's step that asks.
    pub origin: Option<Origin>,
    /// Exactly what will run.
    pub arguments: Map<String, Value>,
    /// How the caller came in; `None` where nobody is connected.
    pub entrance: Option<Entrance>,
    /// The caller's key for this deed.
    pub idempotency_key: Option<String>,
    /// Not before this instant.
    pub run_at: Option<Timestamp>,
    /// −100 to 100.
    pub priority: i32,
    /// The caller's own policy in the place of the tool's.
    pub retry: Option<Retry>,
    /// What the rules say to it.
    pub grant: Grant,
    /// What an approval is bound to, where it needs one.
    pub binding: Binding,
}

/// What the approval of a call is bound to, beside the call itself and the rules.
#[derive(Debug, Clone)]
pub struct Binding {
    /// The digest of the plugin's files.
    pub plugin: String,
    /// When the call is given up.
    pub until: Timestamp,
}

impl Tool {
    /// The job that carries out `order`. `default_timeout` is for tools that declare none. Rules can only shorten what tool and
    /// caller ask for.
    pub fn job(&self, order: Order, default_timeout: Option<Duration>) -> NewJob {
        let approval = order.approval(self);
        let Grant {
            rules,
            policy,
            obligations,
        } = order.grant;
        let retry = order.retry.or_else(|| self.retry.clone());
        NewJob {
            tool: self.name.to_string(),
            plugin: self.plugin.clone(),
            lane: self.lane.render(&self.plugin, &order.arguments),
            effect: self.effect,
            timeout: self.timeout(&obligations, default_timeout),
            retry: at_most(retry, obligations.max_attempts),
            id: order.id,
            agent: order.agent,
            source: order.source,
            origin: order.origin,
            priority: order.priority,
            run_at: order.run_at,
            arguments: order.arguments,
            secret: self.secret_parameters(),
            entrance: order.entrance,
            idempotency_key: order.idempotency_key,
            rules,
            policy,
            approval,
            limits: obligations.limits,
            strict_sandbox: obligations.strict_sandbox,
        }
    }

    /// The longest run: what the tool declares, else the default, and no longer than rules allow.
    pub fn timeout(
        &self,
        obligations: &Obligations,
        default: Option<Duration>,
    ) -> Option<Duration> {
        let declared = self.timeout_ms.map(Duration::from_millis).or(default);
        let longest = obligations.timeout_ms.map(Duration::from_millis);
        [declared, longest].into_iter().flatten().min()
    }
}

impl Order {
    /// What must be approved of before it runs.
    fn approval(&self, tool: &Tool) -> Option<Request> {
        // Most calls need none, and masking copies the arguments.
        self.grant.obligations.approval.as_ref()?;
        let shown = masked(tool, &self.arguments);
        self.grant.request(
            &self.agent,
            tool.name.as_str(),
            &shown,
            &self.binding.plugin,
            self.binding.until,
        )
    }
}

/// A policy of no more attempts than rules allow.
fn at_most(retry: Option<Retry>, most: Option<u32>) -> Option<Retry> {
    let Some(most) = most else { return retry };
    let mut retry = retry.unwrap_or_else(Retry::undeclared);
    retry.max_attempts = retry.max_attempts.min(most);
    Some(retry)
}
