//! Schedules: what their owners do with them, and how their ticks become jobs.

use std::time::Duration;

use rusqlite::{OptionalExtension, Row, params};

use super::command as c;
use super::{NoJob, Queue, QueueError, row};
use crate::clock::Timestamp;
use crate::schedule::{
    CatchUp, Cron, Due, Missed, Overlap, Paused, Run, Schedule, Spec, Tick, TickKind, TickOutcome,
};

/// What is to be done about a schedule, decided from a state of it.
#[derive(Debug)]
pub struct Firing {
    /// The schedule's id.
    pub schedule: String,
    /// [`Schedule::version`] of that state; nothing is done where it is another one by now.
    pub version: i64,
    /// The ticks to run, first to last, each with what it becomes, or with why that is nothing.
    pub ticks: Vec<(Timestamp, Result<Run, NoJob>)>,
    /// The missed ticks that are given up.
    pub missed: Option<Missed>,
    /// The tick after all these.
    pub next: Option<Due>,
    /// Why the schedule cannot go on.
    pub unusable: Option<String>,
}

/// What came of ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fired {
    /// Jobs that were recorded.
    pub submitted: usize,
    /// Ticks that were skipped, as the run before was going on.
    pub skipped: usize,
    /// Ticks that could not be run.
    pub refused: usize,
}

impl Queue {
    /// Records a schedule of `agent`. Its spec has been checked.
    ///
    /// # Errors
    /// [`QueueError::ScheduleExists`] where the agent has one of that name; database errors.
    pub async fn create_schedule(
        &self,
        id: &str,
        agent: &str,
        name: &str,
        spec: Spec,
    ) -> Result<(), QueueError> {
        self.store
            .write(c::CreateSchedule {
                id: id.to_owned(),
                agent: agent.to_owned(),
                name: name.to_owned(),
                spec,
                chance: rand::random(),
            })
            .await
    }

    /// Gives a schedule another name and spec, which has been checked. Where the times stay the same, so does the next tick.
    ///
    /// # Errors
    /// [`QueueError::NoSuchSchedule`]; [`QueueError::ScheduleExists`] where its owner has another of that name; database
    /// errors.
    pub async fn update_schedule(
        &self,
        id: &str,
        name: &str,
        spec: Spec,
        by: &str,
    ) -> Result<(), QueueError> {
        self.store
            .write(c::UpdateSchedule {
                id: id.to_owned(),
                name: name.to_owned(),
                spec,
                by: by.to_owned(),
                chance: rand::random(),
            })
            .await
    }

    /// Keeps a schedule from running; its ticks until it is resumed never come. Again, it changes nothing.
    ///
    /// # Errors
    /// [`QueueError::NoSuchSchedule`]; database errors.
    pub async fn pause_schedule(&self, id: &str, by: &str) -> Result<(), QueueError> {
        let (id, by) = (id.to_owned(), by.to_owned());
        self.store.write(c::PauseSchedule { id, by }).await
    }

    /// Lets a paused schedule run again, from the next tick on.
    ///
    /// # Errors
    /// [`QueueError::NoSuchSchedule`]; database errors.
    pub async fn resume_schedule(&self, id: &str, by: &str) -> Result<(), QueueError> {
        self.store
            .write(c::ResumeSchedule {
                id: id.to_owned(),
                by: by.to_owned(),
                chance: rand::random(),
            })
            .await
    }

    /// Removes a schedule with the record of its ticks. Its jobs stay, and those that run go on.
    ///
    /// # Errors
    /// [`QueueError::NoSuchSchedule`]; database errors.
    pub async fn delete_schedule(&self, id: &str, by: &str) -> Result<(), QueueError> {
        let (id, by) = (id.to_owned(), by.to_owned());
        self.store.write(c::DeleteSchedule { id, by }).await
    }

    /// Runs a schedule now: records `run` with a tick of its own.
    ///
    /// # Errors
    /// [`QueueError::NoSuchSchedule`]; [`QueueError::LimitExceeded`], whose denial has been recorded then; database errors.
    pub async fn trigger_schedule(&self, id: &str, run: Run, by: &str) -> Result<(), QueueError> {
        let triggered = self
            .store
            .write(c::TriggerSchedule {
                schedule: id.to_owned(),
                run,
                by: by.to_owned(),
            })
            .await?;
        Ok(triggered?)
    }

    /// Carries out what has been decided about schedules, in one transaction. What was decided about a state that is not
    /// the current one any more is left alone.
    ///
    /// # Errors
    /// Database errors; nothing has been done then.
    pub async fn fire_schedules(
        &self,
        firings: Vec<Firing>,
        by: &str,
    ) -> Result<Fired, QueueError> {
        let by = by.to_owned();
        self.store.write(c::Fire { firings, by }).await
    }

    /// Runs a tick that has waited for the end of the run before: with its job, or with why there is none.
    /// False where it does not wait any more, or still has to.
    ///
    /// # Errors
    /// Database errors.
    pub async fn fire_waiting(
        &self,
        schedule: &str,
        tick: Timestamp,
        run: Result<Run, NoJob>,
        by: &str,
    ) -> Result<bool, QueueError> {
        self.store
            .write(c::FireWaiting {
                schedule: schedule.to_owned(),
                tick,
                run,
                by: by.to_owned(),
            })
            .await
    }

    /// A schedule.
    ///
    /// # Errors
    /// Database errors.
    pub fn schedule(&self, id: &str) -> Result<Option<Schedule>, QueueError> {
        self.store.read(|connection| {
            connection
                .prepare_cached(include_str!("sql/schedule_get.sql"))?
                .query_row([id], |row| Ok(read(row)))
                .optional()?
                .transpose()
        })
    }

    /// Schedules by owner and name, at most `limit`; of one owner and of one name where these are given.
    ///
    /// # Errors
    /// Database errors.
    pub async fn schedules(
        &self,
        agent: Option<String>,
        name: Option<String>,
        limit: u32,
    ) -> Result<Vec<Schedule>, QueueError> {
        let query = move |connection: &rusqlite::Connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/schedule_list.sql"))?;
            let rows = statement.query_map(params![agent, name, limit], |row| Ok(read(row)))?;
            rows.map(|row| row?).collect()
        };
        self.store.scan(query).await
    }

    /// The newest ticks of a schedule, at most `limit`.
    ///
    /// # Errors
    /// Database errors.
    pub fn ticks(&self, schedule: &str, limit: u32) -> Result<Vec<Tick>, QueueError> {
        self.store.read(|connection| {
            let mut statement =
                connection.prepare_cached(include_str!("sql/schedule_tick_list.sql"))?;
            let rows = statement
                .query_map(params![schedule, limit], |row| Ok(read_tick(schedule, row)))?;
            rows.map(|row| row?).collect()
        })
    }

    /// The schedules whose next tick is to be run by now, longest due first, at most `limit`. One whose row cannot be read
    /// is logged and left out: the others go on.
    ///
    /// # Errors
    /// Database errors.
    pub fn due_schedules(&self, now: Timestamp, limit: u32) -> Result<Vec<Schedule>, QueueError> {
        self.store.read(|connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/schedule_due.sql"))?;
            let mut rows = statement.query(params![now.as_millis(), limit])?;
            let mut due = Vec::new();
            while let Some(row) = rows.next()? {
                match read(row) {
                    Ok(schedule) => due.push(schedule),
                    Err(error) => {
                        let error: &dyn std::error::Error = &error;
                        tracing::error!(error, "a schedule does not run");
                    }
                }
            }
            Ok(due)
        })
    }

    /// When the next tick of any schedule is to be run.
    ///
    /// # Errors
    /// Database errors.
    pub fn next_due(&self) -> Result<Option<Timestamp>, QueueError> {
        self.store.read(|connection| {
            let next: Option<i64> = connection
                .prepare_cached(include_str!("sql/schedule_next_due.sql"))?
                .query_row([], |row| row.get(0))?;
            Ok(next.map(Timestamp::from_millis))
        })
    }

    /// The ticks that have waited for a run which has ended, at most one a schedule and `limit` in all.
    ///
    /// # Errors
    /// Database errors.
    pub fn waiting_ticks(&self, limit: u32) -> Result<Vec<(String, Timestamp)>, QueueError> {
        self.store.read(|connection| {
            let mut statement =
                connection.prepare_cached(include_str!("sql/schedule_waiting.sql"))?;
            let rows = statement.query_map([limit], |row| {
                Ok((row.get(0)?, Timestamp::from_millis(row.get(1)?)))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

/// Reads the columns of `schedule_get.sql` and its kin.
pub(super) fn read(row: &Row<'_>) -> Result<Schedule, QueueError> {
    let id: String = row.get(0)?;
    let unreadable = |what: &str, error: &dyn std::fmt::Display| {
        row::corrupt("schedules", &id, &format!("{what}: {error}"))
    };
    let instant = |column: usize| {
        let ms: Option<i64> = row.get(column)?;
        Ok::<_, QueueError>(ms.map(Timestamp::from_millis))
    };
    let millis = |column: usize| Ok::<_, QueueError>(Duration::from_millis(row.get(column)?));
    let (target, overlap, catch_up): (String, String, String) =
        (row.get(5)?, row.get(11)?, row.get(12)?);
    let retry: Option<String> = row.get(14)?;
    let spec = Spec {
        cron: row.get(3)?,
        zone: row.get(4)?,
        target: serde_json::from_str(&target).map_err(|error| unreadable("target", &error))?,
        start_at: instant(6)?,
        end_at: instant(7)?,
        max_runs: row.get(8)?,
        jitter: millis(10)?,
        overlap: named(&Overlap::ALL, Overlap::as_str, &overlap)
            .ok_or_else(|| unreadable("overlap", &overlap))?,
        catch_up: named(&CatchUp::ALL, CatchUp::as_str, &catch_up)
            .ok_or_else(|| unreadable("catch_up", &catch_up))?,
        catch_up_window: millis(13)?,
        retry: retry
            .map(|retry| serde_json::from_str(&retry))
            .transpose()
            .map_err(|error| unreadable("retry", &error))?,
        priority: row.get(15)?,
    };
    let paused = instant(16)?
        .zip(row.get(17)?)
        .map(|(at, by)| Paused { at, by });
    let next = instant(18)?
        .zip(instant(19)?)
        .map(|(tick, fire_at)| Due { tick, fire_at });
    Ok(Schedule {
        agent: row.get(1)?,
        name: row.get(2)?,
        spec,
        runs: row.get(9)?,
        paused,
        next,
        last_tick: instant(20)?,
        created_at: Timestamp::from_millis(row.get(21)?),
        updated_at: Timestamp::from_millis(row.get(22)?),
        version: row.get(23)?,
        id,
    })
}

/// The expression of a stored schedule.
pub(super) fn cron(id: &str, spec: &Spec) -> Result<Cron, QueueError> {
    spec.cron()
        .map_err(|error| row::corrupt("schedules", id, &error.to_string()))
}

fn read_tick(schedule: &str, row: &Row<'_>) -> Result<Tick, QueueError> {
    let (kind, outcome): (String, String) = (row.get(1)?, row.get(2)?);
    let unreadable = |what: &str| row::corrupt("schedule_ticks", schedule, what);
    let kinds = [TickKind::Cron, TickKind::Manual];
    let outcomes = [
        TickOutcome::Submitted,
        TickOutcome::Waiting,
        TickOutcome::Skipped,
        TickOutcome::Refused,
    ];
    let (job, workflow): (Option<String>, Option<String>) = (row.get(3)?, row.get(6)?);
    Ok(Tick {
        tick: Timestamp::from_millis(row.get(0)?),
        kind: named(&kinds, TickKind::as_str, &kind).ok_or_else(|| unreadable(&kind))?,
        outcome: named(&outcomes, TickOutcome::as_str, &outcome)
            .ok_or_else(|| unreadable(&outcome))?,
        job: job.map(|id| row::job_id(&id)).transpose()?,
        detail: row.get(4)?,
        at: Timestamp::from_millis(row.get(5)?),
        workflow: workflow.map(|id| row::workflow_id(&id)).transpose()?,
    })
}

fn named<T: Copy>(all: &[T], name: fn(T) -> &'static str, text: &str) -> Option<T> {
    all.iter().copied().find(|value| name(*value) == text)
}
