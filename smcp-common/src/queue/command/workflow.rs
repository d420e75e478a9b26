//! Workflows: recorded, driven on, and cancelled. What follows from a workflow's progress is decided outside, by a pure
//! function; here it is written, jobs and all, if nothing has changed since: so each step begins exactly once.

use rusqlite::{OptionalExtension, params};
use serde::Serialize;
use serde_json::{Value, json};

use super::denial::deny;
use super::submit::record;
use super::{Cancel, Command, Tx, denial, json as text, key};
use crate::canonical;
use crate::clock::Timestamp;
use crate::job::{Failure, JobId, NewJob, code};
use crate::limit::Exceeded;
use crate::queue::workflows::{AllowedBy, NewWorkflow, WorkflowSubmitted};
use crate::queue::{Denial, QueueError, row};
use crate::sentence::sentence;
use crate::workflow::{Action, Decision, StepState, WorkflowId, WorkflowState};

#[derive(Debug)]
pub(in crate::queue) struct SubmitWorkflow(pub(in crate::queue) NewWorkflow);

impl Command for SubmitWorkflow {
    type Answer = WorkflowSubmitted;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<WorkflowSubmitted, QueueError> {
        insert(tx, &self.0)
    }
}

/// Records a workflow, or finds the one that its key already names. The scheduler takes it from there.
pub(super) fn insert(tx: &mut Tx<'_>, new: &NewWorkflow) -> Result<WorkflowSubmitted, QueueError> {
    let definition = text("workflows", new.id.as_str(), &new.definition)?;
    let digest = {
        let object = row::object("workflows", new.id.as_str(), &definition)?;
        canonical::digest("workflow", &object)
    };
    if let Some(key) = &new.idempotency_key
        && let Some(found) = find_key(tx, &new.agent, key, &digest)?
    {
        return Ok(found);
    }
    key::refuse_revoked(tx, &new.agent)?;
    tx.execute(
        include_str!("../sql/workflow_insert.sql"),
        params![
            new.id.as_str(),
            new.agent,
            new.definition.name,
            definition,
            digest,
            text("workflows", new.id.as_str(), &new.rules)?,
            new.schedule,
            new.idempotency_key,
            tx.now.as_millis()
        ],
    )?;
    for (n, step) in new.definition.steps.iter().enumerate() {
        tx.execute(
            include_str!("../sql/workflow_step_insert.sql"),
            params![new.id.as_str(), place(n), step.id],
        )?;
    }
    let data = Submitted {
        definition: canonical::hex(&digest),
        rules: &new.rules,
        schedule: new.schedule.as_deref(),
        steps: new.definition.steps.len(),
        workflow: &new.id,
    };
    tx.audit("workflow.submitted", &new.agent, None, &data)?;
    tx.marks.rings = true;
    Ok(WorkflowSubmitted::New(new.id.clone()))
}

fn find_key(
    tx: &Tx<'_>,
    agent: &str,
    key: &str,
    digest: &[u8; 32],
) -> Result<Option<WorkflowSubmitted>, QueueError> {
    let found: Option<(String, [u8; 32])> = tx
        .connection
        .prepare_cached(include_str!("../sql/workflow_find_key.sql"))?
        .query_row([agent, key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((id, stored)) = found else {
        return Ok(None);
    };
    let id = row::workflow_id(&id)?;
    Ok(Some(if stored == *digest {
        WorkflowSubmitted::Existing(id)
    } else {
        WorkflowSubmitted::Conflict(id)
    }))
}

/// Notes that something has happened to a workflow: one of its jobs has ended.
pub(super) fn touch(tx: &Tx<'_>, workflow: &str) -> Result<(), QueueError> {
    tx.execute(include_str!("../sql/workflow_touch.sql"), [workflow])?;
    Ok(())
}

/// The details of a new workflow; of its definition only the digest.
#[derive(Debug, Serialize)]
struct Submitted<'w> {
    definition: String,
    rules: &'w AllowedBy,
    schedule: Option<&'w str>,
    steps: usize,
    workflow: &'w WorkflowId,
}

/// Writes what was decided for a workflow at a revision.
#[derive(Debug)]
pub(in crate::queue) struct AdvanceWorkflow {
    pub(in crate::queue) id: WorkflowId,
    pub(in crate::queue) revision: i64,
    /// The ids of its steps, by their places.
    pub(in crate::queue) steps: Vec<String>,
    /// Who decided, for the audit record.
    pub(in crate::queue) by: String,
    /// `None` where the workflow has ended before, and only its last checks are noted.
    pub(in crate::queue) decision: Option<Decision<NewJob>>,
    /// The calls that were denied in deciding.
    pub(in crate::queue) denials: Vec<Denial>,
}

impl Command for AdvanceWorkflow {
    /// False where something has changed since the decision was made: nothing has been written then.
    type Answer = bool;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, QueueError> {
        let id = self.id.as_str();
        let Some(decision) = &self.decision else {
            let cleaned = tx.execute(
                include_str!("../sql/workflow_clean.sql"),
                params![id, self.revision],
            )?;
            tx.execute(include_str!("../sql/workflow_checks_settle.sql"), [id])?;
            return Ok(cleaned > 0);
        };
        let (state, error) = match &decision.end {
            Some(end) => (end.state, end.error.as_ref()),
            None => (WorkflowState::Running, None),
        };
        let written = tx.execute(
            include_str!("../sql/workflow_write.sql"),
            params![
                id,
                self.revision,
                decision.wake_at.map(Timestamp::as_millis),
                state.as_str(),
                error.map(|error| &error.code),
                error.map(|error| &error.message),
                decision.end.as_ref().map(|_| tx.now.as_millis())
            ],
        )?;
        if written == 0 {
            return Ok(false);
        }
        tx.execute(include_str!("../sql/workflow_checks_settle.sql"), [id])?;
        for denial in &self.denials {
            deny(tx, denial)?;
        }
        for action in &decision.actions {
            self.act(tx, action)?;
        }
        if decision.end.is_some() {
            let data =
                json!({"code": error.map(|error| &error.code), "state": state, "workflow": id});
            tx.audit("workflow.finished", &self.by, None, &data)?;
        }
        // Whoever follows the workflow hears of every step that ends, also where no job begins.
        tx.marks.rings |= !decision.actions.is_empty() || decision.end.is_some();
        Ok(true)
    }
}

impl AdvanceWorkflow {
    fn act(&self, tx: &mut Tx<'_>, action: &Action<NewJob>) -> Result<(), QueueError> {
        let id = self.id.as_str();
        match action {
            Action::Begin { step, job } => {
                if let Err(exceeded) = record(tx, job)? {
                    return self.refused(tx, *step, job, &exceeded);
                }
                let begun = tx.execute(
                    include_str!("../sql/workflow_step_begin.sql"),
                    params![id, place(*step), job.id.as_str(), tx.now.as_millis()],
                )?;
                self.expect_one(begun, *step)?;
                self.began(tx, *step, None, &job.id)
            }
            Action::Verify { step } => {
                let changed = tx.execute(
                    include_str!("../sql/workflow_step_verify.sql"),
                    params![id, place(*step)],
                )?;
                self.expect_one(changed, *step)
            }
            Action::Check { step, job } => {
                if let Err(exceeded) = record(tx, job)? {
                    return self.refused(tx, *step, job, &exceeded);
                }
                let n: u32 = tx
                    .connection
                    .prepare_cached(include_str!("../sql/workflow_check_insert.sql"))?
                    .query_row(
                        params![id, place(*step), job.id.as_str(), tx.now.as_millis()],
                        |row| row.get(0),
                    )?;
                self.began(tx, *step, Some(n), &job.id)
            }
            Action::StopCheck { job } => stop(
                tx,
                job,
                &self.by,
                Some("The verification that it is a part of has ended."),
            ),
            Action::End {
                step,
                state,
                at,
                error,
            } => self.end(tx, *step, *state, *at, error.as_ref()),
        }
    }

    /// Ends a step of which a limit does not admit the next job. What follows from that is decided next.
    fn refused(
        &self,
        tx: &mut Tx<'_>,
        step: usize,
        job: &NewJob,
        exceeded: &Exceeded,
    ) -> Result<(), QueueError> {
        denial::deny_by_limit(tx, job, exceeded)?;
        let failure = Failure::new(code::LIMIT_EXCEEDED, sentence(exceeded));
        self.end(tx, step, StepState::Failed, tx.now, Some(&failure))?;
        touch(tx, self.id.as_str())
    }

    fn end(
        &self,
        tx: &mut Tx<'_>,
        step: usize,
        state: StepState,
        at: Timestamp,
        error: Option<&Failure>,
    ) -> Result<(), QueueError> {
        let ended = tx.execute(
            include_str!("../sql/workflow_step_end.sql"),
            params![
                self.id.as_str(),
                place(step),
                state.as_str(),
                at.as_millis(),
                error.map(|error| &error.code),
                error.map(|error| &error.message)
            ],
        )?;
        self.expect_one(ended, step)?;
        self.ended(tx, step, state, error)
    }

    fn began(
        &self,
        tx: &mut Tx<'_>,
        step: usize,
        check: Option<u32>,
        job: &JobId,
    ) -> Result<(), QueueError> {
        let data = json!({"check": check, "step": self.name(step), "workflow": self.id});
        tx.audit("workflow.step_begun", &self.by, Some(job.as_str()), &data)
    }

    fn ended(
        &self,
        tx: &mut Tx<'_>,
        step: usize,
        state: StepState,
        error: Option<&Failure>,
    ) -> Result<(), QueueError> {
        let data = json!({
            "code": error.map(|error| &error.code),
            "state": state,
            "step": self.name(step),
            "workflow": self.id,
        });
        tx.audit("workflow.step_ended", &self.by, None, &data)
    }

    fn name(&self, step: usize) -> &str {
        self.steps.get(step).map_or("", String::as_str)
    }

    /// The revision is the fence; that a step is elsewhere all the same means that rows contradict each other.
    fn expect_one(&self, changed: usize, step: usize) -> Result<(), QueueError> {
        if changed == 1 {
            return Ok(());
        }
        let what = format!("step '{}' is in another state", self.name(step));
        Err(row::corrupt("workflow_steps", self.id.as_str(), &what))
    }
}

/// Asks for a workflow to be stopped: what runs is cancelled now, what waits is skipped by the next decision.
#[derive(Debug)]
pub(in crate::queue) struct CancelWorkflow {
    pub(in crate::queue) id: WorkflowId,
    pub(in crate::queue) by: String,
    pub(in crate::queue) reason: Option<String>,
}

impl Command for CancelWorkflow {
    /// Where it stands now; `None` where there is no such workflow.
    type Answer = Option<WorkflowState>;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Option<WorkflowState>, QueueError> {
        let id = self.id.as_str();
        if stop_advancing(tx, &self.id, &self.by, self.reason.as_deref())? {
            for job in open_jobs(tx, id)? {
                stop(tx, &job, &self.by, self.reason.as_deref())?;
            }
        }
        let state: Option<String> = tx
            .connection
            .prepare_cached(include_str!("../sql/workflow_state.sql"))?
            .query_row([id], |row| row.get(0))
            .optional()?;
        state
            .map(|state| row::workflow_state(id, &state))
            .transpose()
    }
}

/// Keeps a workflow from beginning further steps; those that run go on. False where it has ended, or was stopped before.
pub(super) fn stop_advancing(
    tx: &mut Tx<'_>,
    id: &WorkflowId,
    by: &str,
    reason: Option<&str>,
) -> Result<bool, QueueError> {
    let marked = tx.execute(
        include_str!("../sql/workflow_cancel.sql"),
        params![id.as_str(), tx.now.as_millis(), by, reason],
    )?;
    if marked == 0 {
        return Ok(false);
    }
    let data: Value = json!({"reason": reason, "workflow": id});
    tx.audit("workflow.cancel_requested", by, None, &data)?;
    tx.marks.rings = true;
    Ok(true)
}

fn open_jobs(tx: &Tx<'_>, workflow: &str) -> Result<Vec<JobId>, QueueError> {
    let mut statement = tx
        .connection
        .prepare_cached(include_str!("../sql/workflow_jobs_open.sql"))?;
    let ids = statement.query_map([workflow], |row| row.get::<_, String>(0))?;
    ids.map(|id| row::job_id(&id?)).collect()
}

fn stop(tx: &mut Tx<'_>, job: &JobId, by: &str, reason: Option<&str>) -> Result<(), QueueError> {
    let cancel = Cancel {
        job: job.clone(),
        by: by.to_owned(),
        reason: reason.map(ToOwned::to_owned),
    };
    cancel.apply(tx).map(drop)
}

fn place(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
