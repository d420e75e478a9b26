//! Workflows as they are stored, read as they are shown and as what follows is decided from.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use super::{CheckRecord, Printed, StepRecord, Workflow};
use crate::clock::Timestamp;
use crate::job::{CancelRequest, Failure, JobId, StateName, code};
use crate::plugin::Output;
use crate::queue::{QueueError, row};
use crate::workflow::{
    Check, Graph, JobEnd, MAX_RESULT_BYTES, Progress, StepJob, StepProgress, StepState, WorkflowId,
    result,
};

/// A workflow with its steps and their checks.
pub(super) fn find(
    connection: &Connection,
    id: &WorkflowId,
) -> Result<Option<Workflow>, QueueError> {
    let found = connection
        .prepare_cached(include_str!("../sql/workflow_get.sql"))?
        .query_row([id.as_str()], |row| Ok(read(row)))
        .optional()?
        .transpose()?;
    let Some(mut workflow) = found else {
        return Ok(None);
    };
    let mut statement = connection.prepare_cached(include_str!("../sql/workflow_steps.sql"))?;
    let steps = statement.query_map([id.as_str()], |row| Ok(step(id, row)))?;
    workflow.steps = steps.map(|step| step?).collect::<Result<_, _>>()?;
    let mut statement = connection.prepare_cached(include_str!("../sql/workflow_checks.sql"))?;
    let mut checks = statement.query([id.as_str()])?;
    while let Some(row) = checks.next()? {
        let (n, check) = check(row)?;
        if let Some(step) = workflow.steps.get_mut(n) {
            step.checks.push(check);
        }
    }
    if workflow.steps.len() != workflow.definition.steps.len() {
        let what = "its steps are not those of its definition";
        return Err(row::corrupt("workflows", id.as_str(), what));
    }
    Ok(Some(workflow))
}

/// Reads the columns of `workflow_get.sql`.
pub(super) fn read(row: &Row<'_>) -> Result<Workflow, QueueError> {
    let id = row::workflow_id(&row.get::<_, String>(0)?)?;
    let unreadable =
        |error: serde_json::Error| row::corrupt("workflows", id.as_str(), &error.to_string());
    let cancel = match (
        row.get::<_, Option<i64>>(8)?,
        row.get::<_, Option<String>>(9)?,
    ) {
        (Some(at), Some(by)) => Some(CancelRequest {
            at: Timestamp::from_millis(at),
            by,
            reason: row.get(10)?,
        }),
        _ => None,
    };
    Ok(Workflow {
        agent: row.get(1)?,
        name: row.get(2)?,
        definition: serde_json::from_str(&row.get::<_, String>(3)?).map_err(unreadable)?,
        rules: serde_json::from_str(&row.get::<_, String>(4)?).map_err(unreadable)?,
        state: row::workflow_state(id.as_str(), &row.get::<_, String>(5)?)?,
        revision: row.get(6)?,
        schedule: row.get(7)?,
        cancel,
        error: row::failure(row.get(11)?, row.get(12)?),
        created_at: Timestamp::from_millis(row.get(13)?),
        finished_at: row.get::<_, Option<i64>>(14)?.map(Timestamp::from_millis),
        steps: Vec::new(),
        id,
    })
}

/// Reads the columns of `workflow_steps.sql`.
fn step(workflow: &WorkflowId, row: &Row<'_>) -> Result<StepRecord, QueueError> {
    let state: String = row.get(1)?;
    let instant = |column| -> rusqlite::Result<Option<Timestamp>> {
        Ok(row
            .get::<_, Option<i64>>(column)?
            .map(Timestamp::from_millis))
    };
    let job_error = row::failure(row.get(9)?, row.get(10)?);
    Ok(StepRecord {
        id: row.get(0)?,
        state: StepState::parse(&state).ok_or_else(|| {
            row::corrupt(
                "workflow_steps",
                workflow.as_str(),
                &format!("state '{state}'"),
            )
        })?,
        job: row
            .get::<_, Option<String>>(2)?
            .map(|id| row::job_id(&id))
            .transpose()?,
        started_at: instant(3)?,
        ended_at: instant(4)?,
        error: row::failure(row.get(5)?, row.get(6)?),
        job_state: job_state(workflow, row.get(7)?)?,
        job_end: instant(8)?.map(|at| (at, job_error)),
        output: Printed {
            bytes: row.get::<_, Option<u64>>(11)?.unwrap_or_default(),
            truncated: row.get::<_, Option<bool>>(12)?.unwrap_or_default(),
            tool: row.get::<_, Option<String>>(13)?.unwrap_or_default(),
        },
        checks: Vec::new(),
    })
}

/// Reads the columns of `workflow_checks.sql`: the place of the step, and the check.
fn check(row: &Row<'_>) -> Result<(usize, CheckRecord), QueueError> {
    let job = row::job_id(&row.get::<_, String>(2)?)?;
    let state = row.get::<_, Option<String>>(4)?;
    let record = CheckRecord {
        n: row.get(1)?,
        state: state
            .map(|state| row::state_name(job.as_str(), &state))
            .transpose()?,
        started_at: Timestamp::from_millis(row.get(3)?),
        ended_at: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_millis),
        job,
    };
    Ok((row.get(0)?, record))
}

fn job_state(workflow: &WorkflowId, text: Option<String>) -> Result<Option<StateName>, QueueError> {
    text.map(|text| row::state_name(workflow.as_str(), &text))
        .transpose()
}

/// All that decides what follows for a workflow; of the results, those to which a step may still refer.
pub(super) fn progress(
    connection: &Connection,
    workflow: &Workflow,
    form: &dyn Fn(&str) -> Output,
) -> Result<Progress, QueueError> {
    let wanted = Graph::results_wanted(&workflow.definition, |n| {
        !workflow.steps[n].state.is_final()
    });
    let steps = workflow.steps.iter().enumerate().map(|(n, step)| {
        let job = step.job.as_ref().map(|id| {
            let end = job_end(connection, step, id, wanted.contains(&n), form)?;
            Ok::<_, QueueError>(StepJob {
                id: id.clone(),
                end,
            })
        });
        Ok(StepProgress {
            state: step.state,
            job: job.transpose()?,
            checks: step.checks.iter().map(progress_of_check).collect(),
            error: step.error.clone(),
        })
    });
    Ok(Progress {
        cancelled: workflow.cancel.is_some(),
        steps: steps.collect::<Result<_, QueueError>>()?,
    })
}

fn progress_of_check(check: &CheckRecord) -> Check {
    let end = match (check.ended_at, check.state) {
        (Some(at), Some(state)) => Some((at, state)),
        // Its job is not kept any more: nobody can say that it succeeded.
        (None, None) => Some((check.started_at, StateName::OutcomeUnknown)),
        (Some(_), None) | (None, Some(_)) => None,
    };
    Check {
        job: check.job.clone(),
        begun_at: check.started_at,
        end,
    }
}

fn job_end(
    connection: &Connection,
    step: &StepRecord,
    id: &JobId,
    wanted: bool,
    form: &dyn Fn(&str) -> Output,
) -> Result<Option<JobEnd>, QueueError> {
    let gone = || "its result is not kept any more".to_owned();
    let Some(state) = step.job_state else {
        // Nothing removes a job whose workflow runs; were it so, nobody could say how it ended.
        return Ok(Some(JobEnd {
            at: step
                .ended_at
                .or(step.started_at)
                .unwrap_or(Timestamp::from_millis(0)),
            state: StateName::OutcomeUnknown,
            error: Some(Failure::new(
                code::OUTCOME_UNKNOWN,
                "The job is not kept any more.",
            )),
            result: Err(gone()),
        }));
    };
    let Some((at, error)) = step.job_end.clone() else {
        return Ok(None);
    };
    let result = if !wanted || state != StateName::Succeeded {
        Err(gone())
    } else if step.output.truncated {
        Err(format!(
            "of the output of step '{}' only the first {} bytes have been kept",
            step.id, step.output.bytes
        ))
    } else if step.output.bytes > MAX_RESULT_BYTES as u64 {
        Err(format!(
            "the output of step '{}' is longer than {MAX_RESULT_BYTES} bytes",
            step.id
        ))
    } else {
        Ok(printed(connection, id, form(&step.output.tool))?)
    };
    Ok(Some(JobEnd {
        at,
        state,
        error,
        result,
    }))
}

fn printed(connection: &Connection, job: &JobId, form: Output) -> Result<Value, QueueError> {
    let mut statement = connection.prepare_cached(include_str!("../sql/output_read.sql"))?;
    let mut rows = statement.query(params![job.as_str(), 0])?;
    let mut output = Vec::new();
    while let Some(row) = rows.next()? {
        let chunk = row.get_ref(1)?.as_blob();
        let chunk =
            chunk.map_err(|error| row::corrupt("outputs", job.as_str(), &error.to_string()))?;
        output.extend_from_slice(chunk);
    }
    Ok(result(form, &output))
}
