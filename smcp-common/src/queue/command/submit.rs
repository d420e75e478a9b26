//! ③ The job row: recorded with its first news and its audit record, or found under its idempotency key.

use std::borrow::Cow;
use std::net::IpAddr;

use rusqlite::{OptionalExtension, params};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::approval::request;
use super::key::refuse_revoked;
use super::secret::vault;
use super::session::note;
use super::{Command, Tx, denial, json, limit};
use crate::audit::Copied;
use crate::canonical;
use crate::clock::Timestamp;
use crate::job::{EventKind, JobId, NewJob, Origin, Retry};
use crate::limit::Exceeded;
use crate::policy::Via;
use crate::queue::{QueueError, SessionCall, Submitted, row};
use crate::secret::{Purpose, hidden, shown};

#[derive(Debug)]
pub(in crate::queue) struct Submit {
    pub(in crate::queue) job: NewJob,
    /// The request that asks for it, where one in a session does.
    pub(in crate::queue) call: Option<SessionCall>,
}

impl Command for Submit {
    /// What a limit does not admit is an answer, too: its denial is recorded, and others of its transaction go on.
    type Answer = Result<Submitted, Exceeded>;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Result<Submitted, Exceeded>, QueueError> {
        let submitted = match record(tx, &self.job)? {
            Ok(submitted) => submitted,
            Err(exceeded) => {
                denial::deny_by_limit(tx, &self.job, &exceeded)?;
                return Ok(Err(exceeded));
            }
        };
        if let Some(call) = &self.call {
            note(tx, call, Some(submitted.id.as_str()), None)?;
        }
        Ok(Ok(submitted))
    }
}

/// Records a job, or finds the one that its idempotency key already names; nothing where a limit does not admit it.
pub(super) fn record(
    tx: &mut Tx<'_>,
    job: &NewJob,
) -> Result<Result<Submitted, Exceeded>, QueueError> {
    // The tool is covered, too: one key, one deed.
    let call = canonical::call(&job.tool, &job.arguments);
    let stored = conceal(tx, job, &call)?;
    let digest = stored.digest;
    if let Some(key) = &job.idempotency_key
        && let Some(existing) = find_key(tx, job, key, &digest)?
    {
        return Ok(Ok(existing));
    }
    refuse_revoked(tx, &job.agent)?;
    if let Err(exceeded) = limit::admit(tx.connection, &job.agent, &job.limits, tx.now)? {
        return Ok(Err(exceeded));
    }
    limit::use_up(tx, &job.agent, &job.limits)?;
    insert(tx, job, &stored)?;
    let num = tx.connection.last_insert_rowid();
    let run_at = job.run_at;
    tx.event(num, EventKind::Queued, &Queued { run_at })?;
    let entrance = job.entrance.as_ref();
    let data = Recorded {
        address: entrance.and_then(|entrance| entrance.address),
        approval: job.approval.is_some(),
        arguments: Copied::of(&job.arguments, &job.secret),
        arguments_digest: canonical::hex(&tx.digest_key.digest(&call)),
        lane: job.lane.as_deref(),
        policy: &job.policy,
        rules: &job.rules,
        run_at,
        source: job.source.as_str(),
        tool: &job.tool,
        transport: entrance.map(|entrance| entrance.transport),
        via: job.source.via(),
    };
    tx.audit("job.queued", &job.agent, Some(job.id.as_str()), &data)?;
    if let Some(asked) = &job.approval {
        request(tx, &job.id, num, 1, asked, &job.agent)?;
    }
    Ok(Ok(Submitted {
        id: job.id.clone(),
        existing: false,
    }))
}

/// The news of a new job.
#[derive(Debug, Serialize)]
struct Queued {
    run_at: Option<Timestamp>,
}

/// The details of a new job.
#[derive(Debug, Serialize)]
struct Recorded<'j> {
    address: Option<IpAddr>,
    /// Whether it waits for one.
    approval: bool,
    arguments: Copied<'j>,
    arguments_digest: String,
    lane: Option<&'j str>,
    policy: &'j str,
    rules: &'j [String],
    run_at: Option<Timestamp>,
    source: &'j str,
    tool: &'j str,
    transport: Option<&'j str>,
    via: Via,
}

fn find_key(
    tx: &Tx<'_>,
    job: &NewJob,
    key: &str,
    digest: &[u8; 32],
) -> Result<Option<Submitted>, QueueError> {
    let found: Option<(String, [u8; 32])> = tx
        .connection
        .prepare_cached(include_str!("../sql/submit_find_key.sql"))?
        .query_row(params![job.agent, key], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((id, stored)) = found else {
        return Ok(None);
    };
    let id: JobId = crate::queue::row::job_id(&id)?;
    if stored == *digest {
        Ok(Some(Submitted { id, existing: true }))
    } else {
        Err(QueueError::IdempotencyConflict {
            key: key.to_owned(),
            job: id,
        })
    }
}

/// The arguments as they are stored.
struct Stored<'j> {
    /// As they may be shown.
    shown: Cow<'j, Map<String, Value>>,
    /// The secret ones.
    sealed: Option<Vec<u8>>,
    /// Of all of them. With secret ones it is a keyed one, as short ones could be guessed from another.
    digest: [u8; 32],
}

/// `call` is the canonical text of tool and arguments.
fn conceal<'j>(tx: &Tx<'_>, job: &'j NewJob, call: &str) -> Result<Stored<'j>, QueueError> {
    let shown = shown(&job.arguments, &job.secret);
    let Some(hidden) = hidden(&job.arguments, &job.secret) else {
        return Ok(Stored {
            shown,
            sealed: None,
            digest: Sha256::digest(call).into(),
        });
    };
    let vault = vault(tx)?;
    let purpose = Purpose::Arguments {
        job: job.id.as_str(),
    };
    Ok(Stored {
        shown,
        sealed: Some(vault.seal(purpose, hidden.as_bytes())),
        digest: vault.digest(call),
    })
}

fn insert(tx: &Tx<'_>, job: &NewJob, stored: &Stored<'_>) -> Result<(), QueueError> {
    let run_at = job.run_at.unwrap_or(tx.now);
    let arguments = json("jobs", job.id.as_str(), &*stored.shown)?;
    let retry = job.retry.as_ref();
    let max_attempts = retry.map_or_else(
        || Retry::undeclared().max_attempts,
        |retry| retry.max_attempts,
    );
    let retry = retry
        .map(|retry| json("jobs", job.id.as_str(), retry))
        .transpose()?;
    let decision = row::decision_text(job)?;
    let (schedule, workflow, step) = match &job.origin {
        Some(Origin::Schedule { schedule }) => (Some(schedule), None, None),
        Some(Origin::Workflow { workflow, step }) => (None, Some(workflow), Some(step)),
        None => (None, None, None),
    };
    tx.execute(
        include_str!("../sql/submit_insert_job.sql"),
        params![
            job.id.as_str(),
            job.tool,
            job.plugin,
            job.agent,
            job.source.as_str(),
            job.lane,
            job.priority,
            job.effect.as_str(),
            run_at.as_millis(),
            run_at <= tx.now,
            arguments,
            stored.digest,
            job.timeout
                .map(|limit| i64::try_from(limit.as_millis().max(1)).unwrap_or(i64::MAX)),
            max_attempts,
            job.idempotency_key,
            tx.now.as_millis(),
            retry,
            schedule,
            workflow,
            step,
            job.approval.is_some(),
            stored.sealed,
            job.strict_sandbox,
            decision
        ],
    )?;
    Ok(())
}
