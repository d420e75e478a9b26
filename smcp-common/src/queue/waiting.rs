//! Why a job does not run.

use rusqlite::{Connection, OptionalExtension, params};

use super::command as c;
use super::{LEASE, OpenRequest, Queue, QueueError, row};
use crate::clock::Timestamp;
use crate::job::{JobId, POSITION_LIMIT, Situation, Waiting, waiting};

impl Queue {
    /// Why a job does not run, what must change first in front; `None` where it does not wait, and nothing where a worker is
    /// about to take it.
    ///
    /// # Errors
    /// Database errors.
    pub async fn waiting(&self, job: &JobId) -> Result<Option<Vec<Waiting>>, QueueError> {
        let (job, now) = (job.clone(), self.clock.now());
        let query = move |connection: &Connection| {
            if let Some(open) = c::Open::find(connection, &job)? {
                return Ok(Some(vec![needed(&open.request)]));
            }
            let situation = situation(connection, &job, now)?;
            Ok(situation.map(|situation| waiting(situation, now)))
        };
        self.store.scan(query).await
    }
}

fn needed(open: &OpenRequest) -> Waiting {
    Waiting::Approval {
        groups: open.request.of.groups.clone(),
        approvals: open.request.of.approvals,
        given: u32::try_from(open.given.len()).unwrap_or(u32::MAX),
        expires_at: open.request.expires_at,
    }
}

fn situation(
    connection: &Connection,
    job: &JobId,
    now: Timestamp,
) -> Result<Option<Situation>, QueueError> {
    let found = connection
        .prepare_cached(include_str!("sql/waiting_job.sql"))?
        .query_row([job.as_str()], |row| {
            let head = c::Head {
                num: row.get(0)?,
                priority: row.get(3)?,
                run_at: row.get(4)?,
            };
            let lane: Option<String> = row.get(1)?;
            Ok((head, lane, row.get::<_, String>(2)?, row.get(5)?))
        })
        .optional()?;
    let Some((head, lane, plugin, attempt)) = found else {
        return Ok(None);
    };
    let mut pauses = c::pauses(connection)?;
    pauses.retain(|pause| pause.scope.covers(lane.as_deref(), &plugin));
    let alive_since = now.minus(LEASE).as_millis();
    let (workers, busy) = connection
        .prepare_cached(include_str!("sql/waiting_workers.sql"))?
        .query_row([alive_since], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let lane_job: Option<String> = connection
        .prepare_cached(include_str!("sql/waiting_lane_job.sql"))?
        .query_row([&lane], |row| row.get(0))
        .optional()?;
    let ahead_in_lane = connection
        .prepare_cached(include_str!("sql/waiting_ahead.sql"))?
        .query_row(
            params![
                lane,
                head.priority,
                head.run_at,
                head.num,
                POSITION_LIMIT,
                plugin
            ],
            |row| row.get(0),
        )?;
    Ok(Some(Situation {
        run_at: Timestamp::from_millis(head.run_at),
        attempt,
        pauses,
        lane_job: lane_job.map(|id| row::job_id(&id)).transpose()?,
        ahead_in_lane,
        ahead_elsewhere: ahead_elsewhere(connection, lane.as_deref(), head)?,
        workers,
        busy,
        lane,
    }))
}

/// How many other lanes have a job that goes first.
fn ahead_elsewhere(
    connection: &Connection,
    own: Option<&str>,
    head: c::Head,
) -> Result<u64, QueueError> {
    let paused = c::Paused::read(connection)?;
    let (mut ahead, mut last) = (0, None);
    c::heads(connection, &paused, |lane, other| {
        // Several plugins may share a lane, of whose jobs only one runs.
        if lane != own
            && other.goes_before(head)
            && last.as_deref() != Some(lane.unwrap_or_default())
        {
            ahead += 1;
            last = Some(lane.unwrap_or_default().to_owned());
        }
    })?;
    Ok(ahead)
}
