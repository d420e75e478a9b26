//! Ticks of schedules: what becomes of each is decided and recorded in one transaction, with its job and the next tick,
//! so that a crash at any instruction, or another scheduler, leaves exactly one job a tick.

mod settle;

use rusqlite::params;
use serde_json::json;

use self::settle::{REVOKED, Settled, Settling, admit, admitted, is_running, settle};
use super::key::is_revoked;
use super::schedule::{find, look_up};
use super::{Command, Tx, denial};
use crate::clock::Timestamp;
use crate::limit::Exceeded;
use crate::queue::{Fired, Firing, NoJob, QueueError};
use crate::schedule::{Missed, Run, Schedule, TickKind, TickOutcome};

/// Ticks of a schedule that are kept.
const KEPT_TICKS: u32 = 1_000;

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
