//! What becomes of a tick: decided, and written with its run and its records.

use std::borrow::Cow;

use rusqlite::{Connection, params};
use serde_json::json;

use super::super::denial::deny;
use super::super::key::is_revoked;
use super::super::submit::record;
use super::super::{Cancel, CancelWorkflow, Command as _, Tx, limit, workflow};
use crate::clock::Timestamp;
use crate::job::JobId;
use crate::limit::Exceeded;
use crate::queue::{Denial, NoJob, QueueError, row};
use crate::schedule::{Overlap, Run, Schedule, Step, TickKind, TickOutcome};
use crate::sentence::sentence;
use crate::workflow::WorkflowId;

/// Why a run is cancelled where the next one replaces it.
const REPLACED: &str = "The next run takes its place.";

/// Why nothing is run for an agent that is none any more.
pub(super) const REVOKED: &str = "Its owner was revoked.";

/// Whether a run of the schedule has not ended.
pub(super) fn is_running(connection: &Connection, schedule: &str) -> Result<bool, QueueError> {
    Ok(connection
        .prepare_cached(include_str!("../../sql/schedule_is_running.sql"))?
        .query_row([schedule], |row| row.get(0))?)
}

/// Whether its limits admit a run. The steps of a workflow are admitted one by one, as they begin.
pub(super) fn admit(tx: &Tx<'_>, run: &Run) -> Result<Result<(), Exceeded>, QueueError> {
    match run {
        Run::Job(job) => limit::admit(tx.connection, &job.agent, &job.limits, tx.now),
        Run::Workflow(_) => Ok(Ok(())),
    }
}

/// What becomes of a tick.
#[derive(Debug)]
pub(super) struct Settled<'j> {
    pub(super) outcome: TickOutcome,
    pub(super) run: Option<&'j Run>,
    pub(super) detail: Option<Cow<'j, str>>,
    pub(super) denial: Option<&'j Denial>,
}

impl<'j> Settled<'j> {
    pub(super) const fn submitted(run: &'j Run) -> Self {
        Self {
            outcome: TickOutcome::Submitted,
            run: Some(run),
            detail: None,
            denial: None,
        }
    }

    pub(super) fn refused(reason: impl Into<Cow<'j, str>>) -> Self {
        Self {
            outcome: TickOutcome::Refused,
            run: None,
            detail: Some(reason.into()),
            denial: None,
        }
    }

    pub(super) fn without_job(none: &'j NoJob) -> Self {
        Self {
            denial: none.denial.as_deref(),
            ..Self::refused(none.failure.message.as_str())
        }
    }

    pub(super) const fn without_run(outcome: TickOutcome, detail: &'j str) -> Self {
        Self {
            outcome,
            run: None,
            detail: Some(Cow::Borrowed(detail)),
            denial: None,
        }
    }
}

/// What becomes of a tick that is to be run.
pub(super) fn admitted<'j>(tx: &Tx<'_>, run: &'j Run) -> Result<Settled<'j>, QueueError> {
    Ok(match admit(tx, run)? {
        Ok(()) => Settled::submitted(run),
        Err(exceeded) => Settled::refused(sentence(&exceeded)),
    })
}

/// Decides about a tick, and cancels the run before where that is wanted.
pub(super) fn settle<'j>(
    tx: &mut Tx<'_>,
    schedule: &Schedule,
    run: Result<&'j Run, &'j NoJob>,
) -> Result<Settled<'j>, QueueError> {
    let run = match run {
        Ok(run) => run,
        Err(none) => return Ok(Settled::without_job(none)),
    };
    if is_revoked(tx, &schedule.agent)? {
        return Ok(Settled::refused(REVOKED));
    }
    let waiting = tx
        .connection
        .prepare_cached(include_str!("../../sql/schedule_waiting_count.sql"))?
        .query_row([&schedule.id], |row| row.get(0))?;
    let is_running = is_running(tx.connection, &schedule.id)?;
    Ok(match schedule.spec.overlap.decide(is_running, waiting) {
        Step::Submit => admitted(tx, run)?,
        Step::Replace => {
            let settled = admitted(tx, run)?;
            // A run that is not admitted takes nobody's place.
            if settled.run.is_some() {
                cancel_running(tx, schedule)?;
            }
            settled
        }
        Step::Wait => {
            Settled::without_run(TickOutcome::Waiting, "The run before has not ended yet.")
        }
        Step::Skip if schedule.spec.overlap == Overlap::Queue => Settled::without_run(
            TickOutcome::Skipped,
            "So many ticks wait for the run before that no more are taken.",
        ),
        Step::Skip => Settled::without_run(TickOutcome::Skipped, "The run before had not ended."),
    })
}

fn cancel_running(tx: &mut Tx<'_>, schedule: &Schedule) -> Result<(), QueueError> {
    let running: Vec<String> = tx
        .connection
        .prepare_cached(include_str!("../../sql/schedule_running.sql"))?
        .query_map([&schedule.id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in running {
        let cancel = Cancel {
            job: row::job_id(&id)?,
            by: format!("schedule:{}", schedule.name),
            reason: Some(REPLACED.to_owned()),
        };
        cancel.apply(tx)?;
    }
    let running: Vec<String> = tx
        .connection
        .prepare_cached(include_str!("../../sql/schedule_running_workflows.sql"))?
        .query_map([&schedule.id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in running {
        let cancel = CancelWorkflow {
            id: row::workflow_id(&id)?,
            by: format!("schedule:{}", schedule.name),
            reason: Some(REPLACED.to_owned()),
        };
        cancel.apply(tx)?;
    }
    Ok(())
}

/// A tick that something becomes of.
#[derive(Debug)]
pub(super) struct Settling<'s> {
    pub(super) schedule: &'s Schedule,
    pub(super) tick: Timestamp,
    pub(super) kind: TickKind,
    pub(super) by: &'s str,
}

impl Settling<'_> {
    /// Records a new tick and its run; false where the tick is there already.
    pub(super) fn insert(
        &self,
        tx: &mut Tx<'_>,
        settled: &Settled<'_>,
    ) -> Result<bool, QueueError> {
        let inserted = tx.execute(
            include_str!("../../sql/schedule_tick_insert.sql"),
            params![
                self.schedule.id,
                self.tick.as_millis(),
                self.kind.as_str(),
                settled.outcome.as_str(),
                settled.run.and_then(Run::job).map(JobId::as_str),
                settled.run.and_then(Run::workflow).map(WorkflowId::as_str),
                settled.detail.as_deref(),
                tx.now.as_millis()
            ],
        )?;
        self.finish(tx, settled, inserted)
    }

    /// Records what becomes of a tick that has waited; false where it does not wait any more.
    pub(super) fn update(
        &self,
        tx: &mut Tx<'_>,
        settled: &Settled<'_>,
    ) -> Result<bool, QueueError> {
        let updated = tx.execute(
            include_str!("../../sql/schedule_tick_settle.sql"),
            params![
                self.schedule.id,
                self.tick.as_millis(),
                settled.outcome.as_str(),
                settled.run.and_then(Run::job).map(JobId::as_str),
                settled.run.and_then(Run::workflow).map(WorkflowId::as_str),
                settled.detail.as_deref(),
                tx.now.as_millis()
            ],
        )?;
        self.finish(tx, settled, updated)
    }

    pub(super) fn finish(
        &self,
        tx: &mut Tx<'_>,
        settled: &Settled<'_>,
        rows: usize,
    ) -> Result<bool, QueueError> {
        if rows == 0 {
            return Ok(false);
        }
        match settled.run {
            Some(Run::Job(job)) => drop(record(tx, job)??),
            Some(Run::Workflow(workflow)) => drop(workflow::insert(tx, workflow)?),
            None => {}
        }
        if let Some(denial) = settled.denial {
            deny(tx, denial)?;
        }
        let kind = match settled.outcome {
            TickOutcome::Submitted => "schedule.fired",
            TickOutcome::Waiting => "schedule.waiting",
            TickOutcome::Skipped => "schedule.skipped",
            TickOutcome::Refused => "schedule.refused",
        };
        let data = json!({"kind": self.kind, "name": self.schedule.name, "reason": settled.detail.as_deref(),
                          "schedule": self.schedule.id, "tick": self.tick,
                          "workflow": settled.run.and_then(Run::workflow)});
        let job = settled.run.and_then(Run::job).map(JobId::as_str);
        tx.audit(kind, self.by, job, &data)?;
        Ok(true)
    }
}
