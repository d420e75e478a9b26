//! What owners do with schedules: create, change, pause, resume and delete them. The next tick is chosen in the same
//! transaction, so that it always belongs to what is stored.

use rusqlite::{OptionalExtension, params};
use serde::Serialize;
use serde_json::json as data;

use super::{Command, Tx, json};
use crate::canonical;
use crate::clock::Timestamp;
use crate::queue::{QueueError, row, schedules};
use crate::schedule::{CatchUp, Due, Overlap, Schedule, Spec, first};

/// Records a schedule with its first tick.
#[derive(Debug)]
pub(in crate::queue) struct CreateSchedule {
    pub(in crate::queue) id: String,
    pub(in crate::queue) agent: String,
    pub(in crate::queue) name: String,
    pub(in crate::queue) spec: Spec,
    pub(in crate::queue) chance: f64,
}

/// Changes a schedule; what it has run stays.
#[derive(Debug)]
pub(in crate::queue) struct UpdateSchedule {
    pub(in crate::queue) id: String,
    pub(in crate::queue) name: String,
    pub(in crate::queue) spec: Spec,
    pub(in crate::queue) by: String,
    pub(in crate::queue) chance: f64,
}

/// Keeps a schedule from running.
#[derive(Debug)]
pub(in crate::queue) struct PauseSchedule {
    pub(in crate::queue) id: String,
    pub(in crate::queue) by: String,
}

/// Lets a schedule run again, from its next tick on.
#[derive(Debug)]
pub(in crate::queue) struct ResumeSchedule {
    pub(in crate::queue) id: String,
    pub(in crate::queue) by: String,
    pub(in crate::queue) chance: f64,
}

/// Removes a schedule with its ticks. Its jobs stay.
#[derive(Debug)]
pub(in crate::queue) struct DeleteSchedule {
    pub(in crate::queue) id: String,
    pub(in crate::queue) by: String,
}

impl Command for CreateSchedule {
    type Answer = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), QueueError> {
        let cron = schedules::cron(&self.id, &self.spec)?;
        let next = first(&cron, &self.spec, 0, None, tx.now, self.chance);
        let stored = Stored::of(&self.id, &self.spec, next)?;
        let spec = &self.spec;
        let inserted = tx.execute(
            include_str!("../sql/schedule_insert.sql"),
            params![
                self.id,
                self.agent,
                self.name,
                spec.cron,
                spec.zone,
                stored.target,
                stored.start_at,
                stored.end_at,
                spec.max_runs,
                stored.jitter_ms,
                spec.overlap.as_str(),
                spec.catch_up.as_str(),
                stored.catch_up_window_ms,
                stored.retry,
                spec.priority,
                stored.next_tick,
                stored.fire_at,
                tx.now.as_millis()
            ],
        )?;
        if inserted == 0 {
            return Err(QueueError::ScheduleExists(self.name.clone()));
        }
        // The scheduler sleeps until the next tick that it knows of.
        tx.marks.rings = true;
        let data = recorded(&self.id, &self.agent, &self.name, spec);
        tx.audit("schedule.created", &self.agent, None, &data)
    }
}

impl Command for UpdateSchedule {
    type Answer = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), QueueError> {
        let before = find(tx, &self.id)?;
        let is_taken: bool = tx
            .connection
            .prepare_cached(include_str!("../sql/schedule_is_taken.sql"))?
            .query_row(params![before.agent, self.name, self.id], |row| row.get(0))?;
        if is_taken {
            return Err(QueueError::ScheduleExists(self.name.clone()));
        }
        let (now, spec) = (tx.now, &self.spec);
        let next = match before.next {
            _ if spec.is_spent(before.runs) => None,
            // One that is due, or was missed, is not lost by a change of something else.
            Some(next) if spec.has_ticks_of(&before.spec) => Due::of(spec, next.tick, self.chance),
            Some(_) | None => {
                let cron = schedules::cron(&self.id, spec)?;
                first(&cron, spec, before.runs, before.last_tick, now, self.chance)
            }
        };
        let stored = Stored::of(&self.id, spec, next)?;
        tx.execute(
            include_str!("../sql/schedule_update.sql"),
            params![
                self.id,
                self.name,
                spec.cron,
                spec.zone,
                stored.target,
                stored.start_at,
                stored.end_at,
                spec.max_runs,
                stored.jitter_ms,
                spec.overlap.as_str(),
                spec.catch_up.as_str(),
                stored.catch_up_window_ms,
                stored.retry,
                spec.priority,
                stored.next_tick,
                stored.fire_at,
                now.as_millis()
            ],
        )?;
        tx.marks.rings = true;
        let data = recorded(&self.id, &before.agent, &self.name, spec);
        tx.audit("schedule.updated", &self.by, None, &data)
    }
}

impl Command for PauseSchedule {
    type Answer = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), QueueError> {
        let before = find(tx, &self.id)?;
        let paused = tx.execute(
            include_str!("../sql/schedule_pause.sql"),
            params![self.id, tx.now.as_millis(), self.by],
        )?;
        if paused == 0 {
            return Ok(());
        }
        tx.audit("schedule.paused", &self.by, None, &named(&before))
    }
}

impl Command for ResumeSchedule {
    type Answer = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), QueueError> {
        let before = find(tx, &self.id)?;
        if before.paused.is_none() {
            return Ok(());
        }
        // What would have come meanwhile was not wanted: it is not missed.
        let cron = schedules::cron(&self.id, &before.spec)?;
        let next = first(
            &cron,
            &before.spec,
            before.runs,
            before.last_tick,
            tx.now,
            self.chance,
        );
        tx.execute(
            include_str!("../sql/schedule_resume.sql"),
            params![
                self.id,
                next.map(|next| next.tick.as_millis()),
                next.map(|next| next.fire_at.as_millis()),
                tx.now.as_millis()
            ],
        )?;
        tx.marks.rings = true;
        tx.audit("schedule.resumed", &self.by, None, &named(&before))
    }
}

impl Command for DeleteSchedule {
    type Answer = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), QueueError> {
        let before = find(tx, &self.id)?;
        tx.execute(include_str!("../sql/schedule_delete.sql"), [&self.id])?;
        tx.audit("schedule.deleted", &self.by, None, &named(&before))
    }
}

/// The schedule as it is now.
pub(super) fn find(tx: &Tx<'_>, id: &str) -> Result<Schedule, QueueError> {
    look_up(tx, id)?.ok_or_else(|| QueueError::NoSuchSchedule(id.to_owned()))
}

/// The same, if it is still there.
pub(super) fn look_up(tx: &Tx<'_>, id: &str) -> Result<Option<Schedule>, QueueError> {
    tx.connection
        .prepare_cached(include_str!("../sql/schedule_get.sql"))?
        .query_row([id], |row| Ok(schedules::read(row)))
        .optional()?
        .transpose()
}

/// Values as the table has them.
struct Stored {
    target: String,
    start_at: Option<i64>,
    end_at: Option<i64>,
    jitter_ms: i64,
    catch_up_window_ms: i64,
    retry: Option<String>,
    next_tick: Option<i64>,
    fire_at: Option<i64>,
}

impl Stored {
    fn of(id: &str, spec: &Spec, next: Option<Due>) -> Result<Self, QueueError> {
        let millis = |duration: std::time::Duration| {
            i64::try_from(duration.as_millis())
                .map_err(|error| row::corrupt("schedules", id, &error.to_string()))
        };
        let retry = spec.retry.as_ref();
        Ok(Self {
            target: json("schedules", id, &spec.target)?,
            start_at: spec.start_at.map(Timestamp::as_millis),
            end_at: spec.end_at.map(Timestamp::as_millis),
            jitter_ms: millis(spec.jitter)?,
            catch_up_window_ms: millis(spec.catch_up_window)?,
            retry: retry
                .map(|retry| json("schedules", id, retry))
                .transpose()?,
            next_tick: next.map(|next| next.tick.as_millis()),
            fire_at: next.map(|next| next.fire_at.as_millis()),
        })
    }
}

/// The details of a schedule that is created or changed; of its arguments only the digest.
#[derive(Debug, Serialize)]
struct Recorded<'s> {
    arguments: String,
    catch_up: CatchUp,
    cron: &'s str,
    end_at: Option<Timestamp>,
    max_runs: Option<u32>,
    name: &'s str,
    overlap: Overlap,
    owner: &'s str,
    priority: i32,
    schedule: &'s str,
    start_at: Option<Timestamp>,
    target: &'s str,
    zone: &'s str,
}

fn recorded<'s>(id: &'s str, owner: &'s str, name: &'s str, spec: &'s Spec) -> Recorded<'s> {
    Recorded {
        arguments: canonical::hex(&spec.target.digest()),
        catch_up: spec.catch_up,
        cron: &spec.cron,
        end_at: spec.end_at,
        max_runs: spec.max_runs,
        name,
        overlap: spec.overlap,
        owner,
        priority: spec.priority,
        schedule: id,
        start_at: spec.start_at,
        target: spec.target.name(),
        zone: &spec.zone,
    }
}

/// Which schedule it was, for the audit record.
fn named(schedule: &Schedule) -> serde_json::Value {
    data!({"name": schedule.name, "owner": schedule.agent, "schedule": schedule.id})
}
