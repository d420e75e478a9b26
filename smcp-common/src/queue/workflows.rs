//! Workflows: submitted and followed by callers, driven on by the scheduler.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::command as c;
use super::{Queue, QueueError, row};
use crate::clock::Timestamp;
use crate::job::{CancelRequest, Failure, JobId, NewJob, StateName};
use crate::plugin::{Output, Tool};
use crate::workflow::{
    Call, Check, Definition, Graph, JobEnd, MAX_RESULT_BYTES, Progress, StepJob, StepProgress,
    StepState, WorkflowId, WorkflowState, advance, result,
};

/// The rules that allow each tool of a workflow, for the audit records of its jobs.
pub type AllowedBy = BTreeMap<String, Vec<String>>;

/// A workflow to be recorded. Everything in it has been decided: it is checked, its tools are named by their own names
/// and allowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewWorkflow {
    /// The id that it gets.
    pub id: WorkflowId,
    /// Who asks; its jobs are this agent's.
    pub agent: String,
    /// What it is to do.
    pub definition: Definition,
    /// The rules that allow each of its tools.
    pub rules: AllowedBy,
    /// The schedule that fires it.
    pub schedule: Option<String>,
    /// The agent's key for this deed.
    pub idempotency_key: Option<String>,
}

/// The answer to [`Queue::submit_workflow`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkflowSubmitted {
    /// It has been recorded.
    New(WorkflowId),
    /// This one has been recorded for the same key and definition before.
    Existing(WorkflowId),
    /// This one has the key, with another definition. Nothing has been recorded.
    Conflict(WorkflowId),
}

/// Which workflows to list; `None` admits all.
#[derive(Debug, Clone, Default)]
pub struct WorkflowFilter {
    /// In that state.
    pub state: Option<WorkflowState>,
    /// Of that agent.
    pub agent: Option<String>,
    /// At most so many, newest first.
    pub limit: u32,
}

/// A workflow as it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Workflow {
    /// Its id.
    pub id: WorkflowId,
    /// What people call it.
    pub name: Option<String>,
    /// Who asked for it.
    pub agent: String,
    /// The schedule that fired it.
    pub schedule: Option<String>,
    /// Where it stands.
    pub state: WorkflowState,
    /// Grows with every change of it and with every end of one of its jobs.
    pub revision: i64,
    /// Who asked for it to be stopped, when and why.
    pub cancel: Option<CancelRequest>,
    /// Why it did not succeed.
    pub error: Option<Failure>,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// What it is to do.
    #[serde(skip)]
    pub definition: Definition,
    /// The rules that allow each of its tools.
    #[serde(skip)]
    pub rules: AllowedBy,
    /// Its steps, in the order of the definition; empty in lists.
    #[serde(skip)]
    pub steps: Vec<StepRecord>,
}

/// A step as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRecord {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: StepState,
    /// Its job.
    pub job: Option<JobId>,
    /// Where its job stands; `None` where there is none, or where it is not kept any more.
    pub job_state: Option<StateName>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<Failure>,
    /// Its checks, first to last.
    pub checks: Vec<CheckRecord>,
    job_end: Option<(Timestamp, Option<Failure>)>,
    output: Printed,
}

/// A check of a step as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckRecord {
    /// Its number, from 1.
    pub n: u32,
    /// Its job.
    pub job: JobId,
    /// Where its job stands; `None` where it is not kept any more.
    pub state: Option<StateName>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What a step's job has printed, without the text itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Printed {
    tool: String,
    bytes: u64,
    truncated: bool,
}

impl Queue {
    /// Records a workflow; the scheduler begins its first steps.
    ///
    /// # Errors
    /// Database errors.
    pub async fn submit_workflow(&self, new: NewWorkflow) -> Result<WorkflowSubmitted, QueueError> {
        self.store.write(c::SubmitWorkflow(new)).await
    }

    /// Asks for a workflow to be stopped: its running jobs are cancelled, and what waits is skipped. To ask again, or of
    /// an ended workflow, changes nothing. Answers where it stands; `None` where there is no such workflow.
    ///
    /// # Errors
    /// Database errors.
    pub async fn cancel_workflow(
        &self,
        id: &WorkflowId,
        by: &str,
        reason: Option<&str>,
    ) -> Result<Option<WorkflowState>, QueueError> {
        let command = c::CancelWorkflow {
            id: id.clone(),
            by: by.to_owned(),
            reason: reason.map(ToOwned::to_owned),
        };
        self.store.write(command).await
    }

    /// A workflow with its steps.
    ///
    /// # Errors
    /// Database errors.
    pub fn workflow(&self, id: &WorkflowId) -> Result<Option<Workflow>, QueueError> {
        self.store.read(|connection| find(connection, id))
    }

    /// Where a workflow stands and its revision, without a look at its steps: for who waits for another one.
    ///
    /// # Errors
    /// Database errors.
    pub fn workflow_revision(
        &self,
        id: &WorkflowId,
    ) -> Result<Option<(WorkflowState, i64)>, QueueError> {
        self.store.read(|connection| {
            let found: Option<(String, i64)> = connection
                .prepare_cached(include_str!("sql/workflow_state.sql"))?
                .query_row([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            found
                .map(|(state, revision)| Ok((row::workflow_state(id.as_str(), &state)?, revision)))
                .transpose()
        })
    }

    /// Workflows, newest first, without their steps.
    ///
    /// # Errors
    /// Database errors.
    pub async fn workflows(&self, filter: WorkflowFilter) -> Result<Vec<Workflow>, QueueError> {
        let query = move |connection: &Connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/workflow_list.sql"))?;
            let WorkflowFilter {
                state,
                agent,
                limit,
            } = filter;
            let rows = statement.query_map(
                params![state.map(WorkflowState::as_str), agent, limit],
                |row| Ok(read(row)),
            )?;
            rows.map(|row| row?).collect()
        };
        self.store.scan(query).await
    }

    /// The workflows, at most 100, of which something is to be decided now; and when the next one is, apart from news.
    ///
    /// # Errors
    /// Database errors.
    pub fn workflows_due(&self) -> Result<(Vec<WorkflowId>, Option<Timestamp>), QueueError> {
        let now = self.clock.now();
        self.store.read(|connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/workflow_due.sql"))?;
            let ids = statement.query_map([now.as_millis()], |row| row.get::<_, String>(0))?;
            let due = ids
                .map(|id| row::workflow_id(&id?))
                .collect::<Result<Vec<_>, _>>()?;
            let wake: Option<i64> = connection
                .prepare_cached(include_str!("sql/workflow_wake.sql"))?
                .query_row([], |row| row.get(0))?;
            Ok((due, wake.map(Timestamp::from_millis)))
        })
    }

    /// Decides what follows for a workflow, and does it, in one transaction; `by` is who decides. `tools` are those of the
    /// catalogue, by name; `make` turns a call into the job that carries it out. Answers false where something has
    /// changed meanwhile: nothing has been done then, and the workflow is due again.
    ///
    /// # Errors
    /// Database errors.
    pub async fn advance_workflow(
        &self,
        id: &WorkflowId,
        by: &str,
        tools: &BTreeMap<String, Tool>,
        make: &mut (dyn FnMut(&Workflow, Call<'_>) -> Result<NewJob, Failure> + Send),
    ) -> Result<bool, QueueError> {
        let form = |tool: &str| tools.get(tool).map_or(Output::Text, |tool| tool.output);
        let read = self.store.read(|connection| {
            let Some(workflow) = find(connection, id)? else {
                return Ok(None);
            };
            let progress = progress(connection, &workflow, &form)?;
            Ok(Some((workflow, progress)))
        })?;
        let Some((workflow, progress)) = read else {
            return Ok(true);
        };
        let decision = (workflow.state == WorkflowState::Running).then(|| {
            advance(
                &workflow.definition,
                &progress,
                self.clock.now(),
                &mut |call| make(&workflow, call),
            )
        });
        let command = c::AdvanceWorkflow {
            id: id.clone(),
            revision: workflow.revision,
            steps: workflow.steps.into_iter().map(|step| step.id).collect(),
            by: by.to_owned(),
            decision,
        };
        self.store.write(command).await
    }
}

fn find(connection: &Connection, id: &WorkflowId) -> Result<Option<Workflow>, QueueError> {
    let found = connection
        .prepare_cached(include_str!("sql/workflow_get.sql"))?
        .query_row([id.as_str()], |row| Ok(read(row)))
        .optional()?
        .transpose()?;
    let Some(mut workflow) = found else {
        return Ok(None);
    };
    let mut statement = connection.prepare_cached(include_str!("sql/workflow_steps.sql"))?;
    let steps = statement.query_map([id.as_str()], |row| Ok(step(id, row)))?;
    workflow.steps = steps.map(|step| step?).collect::<Result<_, _>>()?;
    let mut statement = connection.prepare_cached(include_str!("sql/workflow_checks.sql"))?;
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
fn read(row: &Row<'_>) -> Result<Workflow, QueueError> {
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
fn progress(
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
                "outcome_unknown",
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
    } else if step.output.truncated || step.output.bytes > MAX_RESULT_BYTES as u64 {
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
    let mut statement = connection.prepare_cached(include_str!("sql/output_read.sql"))?;
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
