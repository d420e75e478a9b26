//! Decisions without a job: a call that was not allowed leaves an audit record and nothing else, and one of a built-in tool
//! that changes what is everybody's leaves one before it is carried out.

use std::net::IpAddr;

use serde::Serialize;

use super::{Command, Tx};
use crate::audit::Copied;
use crate::canonical;
use crate::clock::Timestamp;
use crate::job::{NewJob, code};
use crate::limit::Exceeded;
use crate::policy::Via;
use crate::queue::{Decided, Denial, QueueError};

#[derive(Debug)]
pub(in crate::queue) struct Decide {
    pub(in crate::queue) call: Decided,
    /// Why it was denied, as told to the caller; `None` where it was allowed.
    pub(in crate::queue) code: Option<String>,
}

/// The details of a decision.
#[derive(Debug, Serialize)]
struct Recorded<'d> {
    address: Option<IpAddr>,
    arguments: Copied<'d>,
    arguments_digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'d str>,
    /// When the limit that did not admit it admits the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    frees_at: Option<Timestamp>,
    /// What that limit allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<String>,
    policy: Option<&'d str>,
    rules: &'d [String],
    tool: &'d str,
    transport: Option<&'d str>,
    via: Via,
}

impl Command for Decide {
    type Answer = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), QueueError> {
        record(tx, &self.call, self.code.as_deref())
    }
}

/// Records that a call was denied, with whatever follows from that.
pub(super) fn deny(tx: &mut Tx<'_>, denial: &Denial) -> Result<(), QueueError> {
    record(tx, &denial.call, Some(denial.code))
}

fn record(tx: &mut Tx<'_>, call: &Decided, code: Option<&str>) -> Result<(), QueueError> {
    let bytes = canonical::call(&call.tool, &call.arguments);
    let entrance = call.entrance.as_ref();
    let data = Recorded {
        address: entrance.and_then(|entrance| entrance.address),
        arguments: Copied::of(&call.arguments, &call.secret),
        arguments_digest: canonical::hex(&tx.digest_key.digest(&bytes)),
        code,
        frees_at: None,
        limit: None,
        policy: call.policy.as_deref(),
        rules: &call.rules,
        tool: &call.tool,
        transport: entrance.map(|entrance| entrance.transport),
        via: call.via,
    };
    let kind = if code.is_some() {
        "call.denied"
    } else {
        "call.allowed"
    };
    tx.audit(kind, &call.agent, None, &data)
}

/// Records that a limit did not admit a job.
pub(super) fn deny_by_limit(
    tx: &mut Tx<'_>,
    job: &NewJob,
    Exceeded {
        limit, frees_at, ..
    }: &Exceeded,
) -> Result<(), QueueError> {
    let bytes = canonical::call(&job.tool, &job.arguments);
    let entrance = job.entrance.as_ref();
    let data = Recorded {
        address: entrance.and_then(|entrance| entrance.address),
        arguments: Copied::of(&job.arguments, &job.secret),
        arguments_digest: canonical::hex(&tx.digest_key.digest(&bytes)),
        code: Some(code::LIMIT_EXCEEDED),
        frees_at: Some(*frees_at),
        limit: Some(limit.kind.to_string()),
        policy: Some(&job.policy),
        rules: std::slice::from_ref(&limit.rule),
        tool: &job.tool,
        transport: entrance.map(|entrance| entrance.transport),
        via: job.source.via(),
    };
    tx.audit("call.denied", &job.agent, None, &data)
}
