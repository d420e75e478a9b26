//! Workflows: submitted and followed by callers, driven on by the scheduler.

mod stored;

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use self::stored::{find, progress, read};
use super::command as c;
use super::{NoJob, Queue, QueueError, row};
use crate::clock::Timestamp;
use crate::job::{CancelRequest, Failure, JobId, NewJob, StateName};
use crate::plugin::{Output, Tool};
use crate::workflow::{Call, Definition, StepState, WorkflowId, WorkflowState, advance};

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
    /// catalogue, by name; `make` turns a call into the job that carries it out, or says why there is none. Answers false where something has
    /// changed meanwhile: nothing has been done then, and the workflow is due again.
    ///
    /// # Errors
    /// Database errors.
    pub async fn advance_workflow(
        &self,
        id: &WorkflowId,
        by: &str,
        tools: &BTreeMap<String, Tool>,
        make: &mut (dyn FnMut(&Workflow, Call<'_>) -> Result<NewJob, NoJob> + Send),
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
        let mut denials = Vec::new();
        let decision = (workflow.state == WorkflowState::Running).then(|| {
            advance(
                &workflow.definition,
                &progress,
                self.clock.now(),
                &mut |call| {
                    make(&workflow, call).map_err(|none| {
                        denials.extend(none.denial.map(|denial| *denial));
                        none.failure
                    })
                },
            )
        });
        let command = c::AdvanceWorkflow {
            id: id.clone(),
            revision: workflow.revision,
            steps: workflow.steps.into_iter().map(|step| step.id).collect(),
            by: by.to_owned(),
            decision,
            denials,
        };
        self.store.write(command).await
    }
}
