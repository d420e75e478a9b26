//! Pauses, and how the queue stands lane by lane: for operators.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde::Serialize;

use super::command as c;
use super::{Queue, QueueError, row};
use crate::clock::Timestamp;
use crate::job::{JobId, Pause, Scope};

/// How the queue stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queues {
    /// The lanes in which jobs wait or run, or that are paused, by name; the jobs without a lane first.
    pub lanes: Vec<LaneState>,
    /// The same by plugin.
    pub plugins: BTreeMap<String, Load>,
    /// What is paused.
    pub pauses: Vec<Pause>,
}

/// How much there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Load {
    /// Jobs that could run now.
    pub queued: u64,
    /// Jobs whose time has not come.
    pub scheduled: u64,
    /// Jobs that run.
    pub running: u64,
}

impl Queues {
    /// How much there is to do in `scope`.
    pub fn load(&self, scope: &Scope) -> Load {
        let lanes = self.lanes.iter().filter(|state| match scope {
            Scope::All => true,
            Scope::Lane(lane) => state.lane.as_ref() == Some(lane),
            Scope::Plugin(_) => false,
        });
        match scope {
            Scope::Plugin(plugin) => self.plugins.get(plugin).copied().unwrap_or_default(),
            Scope::All | Scope::Lane(_) => lanes.fold(Load::default(), |load, state| Load {
                queued: load.queued + state.queued,
                scheduled: load.scheduled + state.scheduled,
                running: load.running + state.running.len() as u64,
            }),
        }
    }
}

/// How one lane stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LaneState {
    /// Its name; `None` for the jobs without a lane.
    pub lane: Option<String>,
    /// Jobs that could run now.
    pub queued: u64,
    /// Jobs whose time has not come.
    pub scheduled: u64,
    /// The jobs that run: one at the most, in a lane.
    pub running: Vec<LaneJob>,
    /// Since when the longest-waiting job could have run.
    pub oldest_due: Option<Timestamp>,
    /// The pauses that keep some of its jobs back.
    pub paused: Vec<Pause>,
}

/// A running job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LaneJob {
    /// Its id.
    pub id: JobId,
    /// Its tool.
    pub tool: String,
    /// Whose it is.
    pub agent: String,
    /// The plugin of its tool.
    pub plugin: String,
}

impl Queue {
    /// Keeps workers from taking jobs of `scope`, until somebody resumes it; running jobs are not touched. False where it
    /// was paused already, and that pause stands as it was.
    ///
    /// # Errors
    /// Database errors.
    pub async fn pause(
        &self,
        scope: Scope,
        by: &str,
        reason: Option<&str>,
    ) -> Result<bool, QueueError> {
        let (by, reason) = (by.to_owned(), reason.map(ToOwned::to_owned));
        self.store.write(c::PauseQueue { scope, by, reason }).await
    }

    /// Ends a pause of exactly that scope; false where there is none.
    ///
    /// # Errors
    /// Database errors.
    pub async fn resume(&self, scope: Scope, by: &str) -> Result<bool, QueueError> {
        let by = by.to_owned();
        self.store.write(c::ResumeQueue { scope, by }).await
    }

    /// What is paused.
    ///
    /// # Errors
    /// Database errors.
    pub fn pauses(&self) -> Result<Vec<Pause>, QueueError> {
        self.store.read(c::pauses)
    }

    /// How the queue stands, lane by lane.
    ///
    /// # Errors
    /// Database errors.
    pub async fn queues(&self) -> Result<Queues, QueueError> {
        self.store.scan(queues).await
    }
}

fn queues(connection: &Connection) -> Result<Queues, QueueError> {
    let pauses = c::pauses(connection)?;
    let mut lanes = BTreeMap::<Option<String>, LaneState>::new();
    let mut plugins = BTreeMap::<String, Load>::new();
    for pause in &pauses {
        if let Scope::Lane(lane) = &pause.scope {
            enter(&mut lanes, Some(lane.clone()), None, &pauses);
        }
    }
    for (sql, is_due) in [
        (include_str!("sql/queue_waiting.sql"), true),
        (include_str!("sql/queue_scheduled.sql"), false),
    ] {
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let plugin: String = row.get(1)?;
            let state = enter(&mut lanes, row.get(0)?, Some(&plugin), &pauses);
            let (load, count) = (plugins.entry(plugin).or_default(), row.get::<_, u64>(2)?);
            if is_due {
                state.queued += count;
                load.queued += count;
                let oldest = row.get::<_, Option<i64>>(3)?.map(Timestamp::from_millis);
                state.oldest_due = [state.oldest_due, oldest].into_iter().flatten().min();
            } else {
                state.scheduled += count;
                load.scheduled += count;
            }
        }
    }
    let mut statement = connection.prepare_cached(include_str!("sql/queue_running.sql"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let job = LaneJob {
            id: row::job_id(&row.get::<_, String>(2)?)?,
            tool: row.get(3)?,
            agent: row.get(4)?,
            plugin: row.get(1)?,
        };
        let state = enter(&mut lanes, row.get(0)?, Some(&job.plugin), &pauses);
        plugins.entry(job.plugin.clone()).or_default().running += 1;
        state.running.push(job);
    }
    Ok(Queues {
        lanes: lanes.into_values().collect(),
        plugins,
        pauses,
    })
}

/// The entry of a lane, with the pauses that concern it and the jobs of `plugin` in it.
fn enter<'l>(
    lanes: &'l mut BTreeMap<Option<String>, LaneState>,
    lane: Option<String>,
    plugin: Option<&str>,
    pauses: &[Pause],
) -> &'l mut LaneState {
    let state = lanes.entry(lane.clone()).or_insert_with(|| LaneState {
        lane,
        ..LaneState::default()
    });
    for pause in pauses {
        let covers = match (&pause.scope, plugin) {
            (Scope::Plugin(_), None) => false,
            (scope, plugin) => scope.covers(state.lane.as_deref(), plugin.unwrap_or_default()),
        };
        if covers && !state.paused.contains(pause) {
            state.paused.push(pause.clone());
        }
    }
    state
}
