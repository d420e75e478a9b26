//! Stored columns ⇄ values. The only place that reads stored strings; what cannot be read is named by table and row.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::QueueError;
use crate::clock::Timestamp;
use crate::job::{
    Attempt, CancelRequest, Causes, Decision, Effect, Entrance, EventKind, Failure, InvalidJobId,
    Job, JobEvent, JobId, NewJob, Origin, Pause, Policy, Retry, Scope, Source, State, StateName,
};
use crate::policy::Session;
use crate::workflow::{InvalidWorkflowId, WorkflowId, WorkflowState};

pub(super) fn job_id(text: &str) -> Result<JobId, QueueError> {
    text.parse()
        .map_err(|error: InvalidJobId| corrupt("jobs", text, &error.to_string()))
}

pub(super) fn workflow_id(text: &str) -> Result<WorkflowId, QueueError> {
    text.parse()
        .map_err(|error: InvalidWorkflowId| corrupt("workflows", text, &error.to_string()))
}

pub(super) fn workflow_state(id: &str, text: &str) -> Result<WorkflowState, QueueError> {
    WorkflowState::parse(text).ok_or_else(|| corrupt("workflows", id, &format!("state '{text}'")))
}

pub(super) fn effect(id: &str, text: &str) -> Result<Effect, QueueError> {
    [Effect::ReadOnly, Effect::Idempotent, Effect::Once]
        .into_iter()
        .find(|effect| effect.as_str() == text)
        .ok_or_else(|| corrupt("jobs", id, &format!("effect '{text}'")))
}

pub(super) fn state_name(id: &str, text: &str) -> Result<StateName, QueueError> {
    StateName::parse(text).ok_or_else(|| corrupt("jobs", id, &format!("state '{text}'")))
}

pub(super) fn state(
    id: &str,
    name: &str,
    attempt: u32,
    failures: u32,
    cancelling: bool,
) -> Result<State, QueueError> {
    Ok(match state_name(id, name)? {
        StateName::AwaitingApproval => State::AwaitingApproval { attempt, failures },
        StateName::Queued => State::Queued { attempt, failures },
        StateName::Running => State::Running {
            attempt,
            failures,
            cancelling,
        },
        StateName::Succeeded => State::Succeeded,
        StateName::Failed => State::Failed,
        StateName::Cancelled => State::Cancelled,
        StateName::OutcomeUnknown => State::OutcomeUnknown,
        StateName::Denied => State::Denied,
        StateName::Expired => State::Expired,
    })
}

pub(super) fn object(
    table: &'static str,
    row: &str,
    text: &str,
) -> Result<Map<String, Value>, QueueError> {
    serde_json::from_str(text).map_err(|error| corrupt(table, row, &error.to_string()))
}

/// The stored form of what was decided about a new job.
#[derive(Serialize, Deserialize)]
struct Decided<'d> {
    address: Option<IpAddr>,
    policy: Cow<'d, str>,
    /// `none` for a call for which nobody is connected.
    transport: Cow<'d, str>,
}

/// What is stored of the decision about a new job.
pub(super) fn decision_text(job: &NewJob) -> Result<String, QueueError> {
    let entrance = job.entrance.as_ref();
    let decided = Decided {
        address: entrance.and_then(|entrance| entrance.address),
        policy: job.policy.as_str().into(),
        transport: entrance
            .map_or(Session::NOBODY, |entrance| entrance.transport)
            .into(),
    };
    serde_json::to_string(&decided)
        .map_err(|error| corrupt("jobs", job.id.as_str(), &error.to_string()))
}

/// The stored decision about a job of that source, which was recorded then.
pub(super) fn decision(
    id: &str,
    text: &str,
    source: &str,
    recorded_at: i64,
) -> Result<Decision, QueueError> {
    let decided: Decided<'_> = serde_json::from_str(text)
        .map_err(|error| corrupt("jobs", id, &format!("decision: {error}")))?;
    let source = Source::ALL
        .into_iter()
        .find(|known| known.as_str() == source)
        .ok_or_else(|| corrupt("jobs", id, &format!("source '{source}'")))?;
    Ok(Decision {
        at: Timestamp::from_millis(recorded_at),
        policy: decided.policy.into_owned(),
        via: source.via(),
        entrance: Entrance::recorded(&decided.transport, decided.address),
    })
}

/// Names, as a JSON array.
pub(super) fn names(table: &'static str, row: &str, text: &str) -> Result<Vec<String>, QueueError> {
    serde_json::from_str(text).map_err(|error| corrupt(table, row, &error.to_string()))
}

/// The retry policy as stored; none means that nobody has declared one.
pub(super) fn retry(id: &str, text: Option<&str>) -> Result<Option<Retry>, QueueError> {
    text.map(|text| {
        serde_json::from_str(text).map_err(|error| corrupt("jobs", id, &format!("retry: {error}")))
    })
    .transpose()
}

/// The rules that the transitions of a job depend on.
pub(super) fn policy(
    id: &str,
    effect: &str,
    max_attempts: u32,
    retry: Option<&Retry>,
) -> Result<Policy, QueueError> {
    Ok(Policy {
        effect: self::effect(id, effect)?,
        max_attempts,
        retry_on: retry.map_or_else(Causes::default, Retry::causes),
    })
}

/// Reads the columns of `job_get.sql`; attempts are added by the caller.
pub(super) fn job(row: &Row<'_>) -> Result<(i64, Job), QueueError> {
    let id = job_id(&row.get::<_, String>(1)?)?;
    let cancel = match (
        row.get::<_, Option<i64>>(15)?,
        row.get::<_, Option<String>>(16)?,
    ) {
        (Some(at), Some(by)) => Some(CancelRequest {
            at: Timestamp::from_millis(at),
            by,
            reason: row.get(17)?,
        }),
        _ => None,
    };
    let job = Job {
        tool: row.get(2)?,
        plugin: row.get(3)?,
        agent: row.get(4)?,
        source: row.get(5)?,
        state: state_name(id.as_str(), &row.get::<_, String>(6)?)?,
        lane: row.get(7)?,
        priority: row.get(8)?,
        effect: row.get(9)?,
        run_at: Timestamp::from_millis(row.get(10)?),
        arguments: object("jobs", id.as_str(), &row.get::<_, String>(11)?)?.into(),
        timeout_ms: row.get(12)?,
        max_attempts: row.get(13)?,
        retry: retry(id.as_str(), row.get::<_, Option<String>>(24)?.as_deref())?,
        origin: origin(row)?,
        idempotency_key: row.get(14)?,
        cancel,
        attempts: Vec::new(),
        error: failure(row.get(18)?, row.get(19)?),
        output_bytes: row.get(20)?,
        output_truncated: row.get_ref(21)? != ValueRef::Null,
        printed_bytes: row.get(21)?,
        created_at: Timestamp::from_millis(row.get(22)?),
        finished_at: row.get::<_, Option<i64>>(23)?.map(Timestamp::from_millis),
        id,
    };
    Ok((row.get(0)?, job))
}

/// Reads the columns of `job_attempts.sql`.
pub(super) fn attempt(job: &JobId, row: &Row<'_>) -> Result<Attempt, QueueError> {
    Ok(Attempt {
        n: row.get(0)?,
        worker: row.get(1)?,
        started_at: Timestamp::from_millis(row.get(2)?),
        ended_at: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_millis),
        outcome: row.get(4)?,
        error: failure(row.get(5)?, row.get(6)?),
        sandbox: sandbox("attempts", job.as_str(), row.get(7)?)?,
    })
}

/// What is stored of a sandbox, if anything is.
pub(super) fn sandbox<T: DeserializeOwned>(
    table: &'static str,
    row: &str,
    text: Option<String>,
) -> Result<Option<T>, QueueError> {
    text.map(|text| {
        serde_json::from_str(&text)
            .map_err(|error| corrupt(table, row, &format!("sandbox: {error}")))
    })
    .transpose()
}

/// Reads the columns of `events_of_job.sql`.
pub(super) fn event(job: &JobId, row: &Row<'_>) -> Result<JobEvent, QueueError> {
    let (seq, kind, data): (i64, String, String) = (row.get(0)?, row.get(2)?, row.get(3)?);
    Ok(JobEvent {
        seq,
        job: job.clone(),
        at: Timestamp::from_millis(row.get(1)?),
        kind: EventKind::parse(&kind)
            .ok_or_else(|| corrupt("job_events", &seq.to_string(), &format!("kind '{kind}'")))?,
        data: serde_json::from_str(&data)
            .map_err(|error| corrupt("job_events", &seq.to_string(), &error.to_string()))?,
    })
}

/// The stored plugins, as text by name.
pub(super) fn plugin_texts(
    connection: &Connection,
) -> Result<BTreeMap<String, String>, QueueError> {
    let mut statement = connection.prepare_cached(include_str!("sql/plugin_list.sql"))?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn scope(scope: &str, name: String) -> Result<Scope, QueueError> {
    Scope::parse(scope, name).ok_or_else(|| corrupt("pauses", scope, "an unknown scope"))
}

/// Reads the columns of `pause_list.sql`.
pub(super) fn pause(row: &Row<'_>) -> Result<Pause, QueueError> {
    Ok(Pause {
        scope: scope(&row.get::<_, String>(0)?, row.get(1)?)?,
        since: Timestamp::from_millis(row.get(2)?),
        by: row.get(3)?,
        reason: row.get(4)?,
    })
}

pub(super) fn corrupt(table: &'static str, row: &str, what: &str) -> QueueError {
    QueueError::Corrupt {
        table,
        row: row.to_owned(),
        what: what.to_owned(),
    }
}

fn origin(row: &Row<'_>) -> rusqlite::Result<Option<Origin>> {
    let schedule: Option<String> = row.get(25)?;
    let (workflow, step) = (row.get(26)?, row.get(27)?);
    Ok(match (schedule, workflow, step) {
        (Some(schedule), _, _) => Some(Origin::Schedule { schedule }),
        (None, Some(workflow), Some(step)) => Some(Origin::Workflow { workflow, step }),
        (None, _, _) => None,
    })
}

pub(super) fn failure(code: Option<String>, message: Option<String>) -> Option<Failure> {
    Some(Failure {
        code: code?,
        message: message?,
    })
}
