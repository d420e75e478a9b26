//! Ticks of schedules: what becomes of each is decided and recorded in one transaction, with its job and the next tick,
//! so that a crash at any instruction, or another scheduler, leaves exactly one job a tick.

use std::borrow::Cow;

use rusqlite::{Connection, params};
use serde_json::json;

use super::denial::deny;
use super::key::is_revoked;
use super::schedule::{find, look_up};
use super::submit::record;
use super::{Cancel, CancelWorkflow, Command, Tx, denial, limit, workflow};
use crate::clock::Timestamp;
use crate::job::JobId;
use crate::limit::Exceeded;
use crate::queue::{Denial, Fired, Firing, NoJob, QueueError, row};
use crate::schedule::{Missed, Overlap, Run, Schedule, Step, TickKind, TickOutcome};
use crate::sentence::sentence;
use crate::workflow::WorkflowId;

/// Ticks of a schedule that are kept.
const KEPT_TICKS: u32 = 1_000;
/// Why a run is cancelled where the next one replaces it.
const REPLACED: &str = "The next run takes its place.";

/// Why nothing is run for an agent that is none any more.
const REVOKED: &str = "Its owner was revoked.";

/// Carries out plans for schedules.
#[derive(Debug)]
pub(in crate::queue) struct Fire {
    pub(in crate::queue) firings: Vec<Firing>,
    pub(in crate::queue) by: String,
}

impl Command for Fire {
    type Answer = Fired;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Fired, QueueError> {
        let mut fired = Fired::default();
        for firing in &self.firings {
            match look_up(tx, &firing.schedule)? {
                // The plan was made for just this state; whoever changed it makes another.
                Some(schedule)
                    if schedule.version == firing.version && schedule.paused.is_none() =>
                {
                    self.fire(tx, &schedule, firing, &mut fired)?;
                }
                Some(_) | None => {}
            }
        }
        Ok(fired)
    }
}

impl Fire {
    fn fire(
        &self,
        tx: &mut Tx<'_>,
        schedule: &Schedule,
        firing: &Firing,
        fired: &mut Fired,
    ) -> Result<(), QueueError> {
        if let Some(Missed { from, to }) = firing.missed {
            let data = json!({"catch_up": schedule.spec.catch_up, "from": from, "name": schedule.name,
                              "schedule": schedule.id, "to": to});
            tx.audit("schedule.missed", &self.by, None, &data)?;
        }
        if let Some(reason) = &firing.unusable {
            let data = json!({"name": schedule.name, "reason": reason, "schedule": schedule.id, "tick": null});
            tx.audit("schedule.refused", &self.by, None, &data)?;
        }
        let mut runs = schedule.runs;
        for (tick, run) in &firing.ticks {
            let settled = settle(tx, schedule, run.as_ref())?;
            let tick = Settling {
                schedule,
                tick: *tick,
                kind: TickKind::Cron,
                by: &self.by,
            };
            if !tick.insert(tx, &settled)? {
                continue;
            }
            match settled.outcome {
                TickOutcome::Submitted => {
                    fired.submitted += 1;
                    runs += 1;
                }
                TickOutcome::Waiting => runs += 1,
                TickOutcome::Skipped => fired.skipped += 1,
                TickOutcome::Refused => fired.refused += 1,
            }
        }
        let last = firing.ticks.last().map(|(tick, _)| *tick);
        let last = last.or(firing.missed.map(|missed| missed.to));
        let next = firing.next.filter(|_| !schedule.spec.is_spent(runs));
        tx.execute(
            include_str!("../sql/schedule_advance.sql"),
            params![
                schedule.id,
                runs,
                last.map(Timestamp::as_millis),
                next.map(|next| next.tick.as_millis()),
                next.map(|next| next.fire_at.as_millis())
            ],
        )?;
        if !firing.ticks.is_empty() {
            tx.execute(
                include_str!("../sql/schedule_tick_forget.sql"),
                params![schedule.id, KEPT_TICKS],
            )?;
        }
        Ok(())
    }
}

/// Runs the oldest tick of a schedule that waits, if the run before has ended.
#[derive(Debug)]
pub(in crate::queue) struct FireWaiting {
    pub(in crate::queue) schedule: String,
    pub(in crate::queue) tick: Timestamp,
    /// What it becomes, or why that is nothing.
    pub(in crate::queue) run: Result<Run, NoJob>,
    pub(in crate::queue) by: String,
}

impl Command for FireWaiting {
    /// Whether it has been carried out: another scheduler may have been faster.
    type Answer = bool;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, QueueError> {
        let Some(schedule) = look_up(tx, &self.schedule)? else {
            return Ok(false);
        };
        if schedule.paused.is_some() || is_running(tx.connection, &schedule.id)? {
            return Ok(false);
        }
        let settled = match &self.run {
            Ok(_) if is_revoked(tx, &schedule.agent)? => Settled::refused(REVOKED),
            Ok(run) => admitted(tx, run)?,
            Err(none) => Settled::without_job(none),
        };
        let tick = Settling {
            schedule: &schedule,
            tick: self.tick,
            kind: TickKind::Cron,
            by: &self.by,
        };
        tick.update(tx, &settled)
    }
}

/// Runs a schedule now, whatever its next tick is and whether or not another run is going on.
#[derive(Debug)]
pub(in crate::queue) struct TriggerSchedule {
    pub(in crate::queue) schedule: String,
    pub(in crate::queue) run: Run,
    pub(in crate::queue) by: String,
}

impl Command for TriggerSchedule {
    /// What a limit does not admit is not run, which is recorded as a denial.
    type Answer = Result<(), Exceeded>;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Result<(), Exceeded>, QueueError> {
        let schedule = find(tx, &self.schedule)?;
        if let Run::Job(job) = &self.run
            && let Err(exceeded) = admit(tx, &self.run)?
        {
            denial::deny_by_limit(tx, job, &exceeded)?;
            return Ok(Err(exceeded));
        }
        let mut tick = Settling {
            schedule: &schedule,
            tick: tx.now,
            kind: TickKind::Manual,
            by: &self.by,
        };
        let settled = Settled::submitted(&self.run);
        loop {
            // Whole seconds belong to the expression.
            if tick.tick.as_millis() % 1_000 != 0 && tick.insert(tx, &settled)? {
                return Ok(Ok(()));
            }
            tick.tick = Timestamp::from_millis(tick.tick.as_millis() + 1);
        }
    }
}

/// Whether a run of the schedule has not ended.
fn is_running(connection: &Connection, schedule: &str) -> Result<bool, QueueError> {
    Ok(connection
        .prepare_cached(include_str!("../sql/schedule_is_running.sql"))?
        .query_row([schedule], |row| row.get(0))?)
}

/// Whether its limits admit a run. The steps of a workflow are admitted one by one, as they begin.
fn admit(tx: &Tx<'_>, run: &Run) -> Result<Result<(), Exceeded>, QueueError> {
    match run {
        Run::Job(job) => limit::admit(tx.connection, &job.agent, &job.limits, tx.now),
        Run::Workflow(_) => Ok(Ok(())),
    }
}

/// What becomes of a tick.
#[derive(Debug)]
struct Settled<'j> {
    outcome: TickOutcome,
    run: Option<&'j Run>,
    detail: Option<Cow<'j, str>>,
    denial: Option<&'j Denial>,
}

impl<'j> Settled<'j> {
    const fn submitted(run: &'j Run) -> Self {
        Self {
            outcome: TickOutcome::Submitted,
            run: Some(run),
            detail: None,
            denial: None,
        }
    }

    fn refused(reason: impl Into<Cow<'j, str>>) -> Self {
        Self {
            outcome: TickOutcome::Refused,
            run: None,
            detail: Some(reason.into()),
            denial: None,
        }
    }

    fn without_job(none: &'j NoJob) -> Self {
        Self {
            denial: none.denial.as_deref(),
            ..Self::refused(none.failure.message.as_str())
        }
    }

    const fn without_run(outcome: TickOutcome, detail: &'j str) -> Self {
        Self {
            outcome,
            run: None,
            detail: Some(Cow::Borrowed(detail)),
            denial: None,
        }
    }
}

/// What becomes of a tick that is to be run.
fn admitted<'j>(tx: &Tx<'_>, run: &'j Run) -> Result<Settled<'j>, QueueError> {
    Ok(match admit(tx, run)? {
        Ok(()) => Settled::submitted(run),
        Err(exceeded) => Settled::refused(sentence(&exceeded)),
    })
}

/// Decides about a tick, and cancels the run before where that is wanted.
fn settle<'j>(
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
        .prepare_cached(include_str!("../sql/schedule_waiting_count.sql"))?
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
        .prepare_cached(include_str!("../sql/schedule_running.sql"))?
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
        .prepare_cached(include_str!("../sql/schedule_running_workflows.sql"))?
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
struct Settling<'s> {
    schedule: &'s Schedule,
    tick: Timestamp,
    kind: TickKind,
    by: &'s str,
}

impl Settling<'_> {
    /// Records a new tick and its run; false where the tick is there already.
    fn insert(&self, tx: &mut Tx<'_>, settled: &Settled<'_>) -> Result<bool, QueueError> {
        let inserted = tx.execute(
            include_str!("../sql/schedule_tick_insert.sql"),
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
    fn update(&self, tx: &mut Tx<'_>, settled: &Settled<'_>) -> Result<bool, QueueError> {
        let updated = tx.execute(
            include_str!("../sql/schedule_tick_settle.sql"),
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

    fn finish(
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
