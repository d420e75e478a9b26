//! Why a job does not run.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::command as c;
use super::{LEASE, OpenRequest, Queue, QueueError, row};
use crate::clock::Timestamp;
use crate::job::{JobId, Line, POSITION_LIMIT, Situation, Waiting, ahead, waiting};

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
    let Some(job) = Queued::find(connection, job)? else {
        return Ok(None);
    };
    let (lane, head) = (job.head.lane.as_deref(), &job.head);
    let mut pauses = c::pauses(connection)?;
    pauses.retain(|pause| pause.scope.covers(lane, &head.plugin));
    let alive_since = now.minus(LEASE).as_millis();
    let (workers, busy) = connection
        .prepare_cached(include_str!("sql/waiting_workers.sql"))?
        .query_row([alive_since], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let lane_job: Option<String> = connection
        .prepare_cached(include_str!("sql/waiting_lane_job.sql"))?
        .query_row([lane], |row| row.get(0))
        .optional()?;
    let full: Option<u64> = connection
        .prepare_cached(include_str!("sql/waiting_full.sql"))?
        .query_row([&head.agent], |row| row.get(0))
        .optional()?;
    let (barred, turns) = (c::Barred::read(connection)?, c::Turns::read(connection)?);
    Ok(Some(Situation {
        run_at: Timestamp::from_millis(head.run_at),
        attempt: job.attempt,
        pauses,
        lane_job: lane_job.map(|id| row::job_id(&id)).transpose()?,
        ahead_in_lane: ahead_in_lane(connection, &barred, &turns, head)?,
        ahead_elsewhere: ahead_elsewhere(connection, &barred, &turns, head)?,
        workers,
        busy,
        full,
        agent: job.head.agent,
        lane: job.head.lane,
    }))
}

/// A job that waits.
struct Queued {
    head: c::Head,
    attempt: u32,
}

impl Queued {
    fn find(connection: &Connection, id: &JobId) -> Result<Option<Self>, QueueError> {
        Ok(connection
            .prepare_cached(include_str!("sql/waiting_job.sql"))?
            .query_row([id.as_str()], |row| {
                let head = c::Head {
                    num: row.get(0)?,
                    lane: row.get(1)?,
                    plugin: row.get(2)?,
                    agent: row.get(3)?,
                    priority: row.get(4)?,
                    run_at: row.get(5)?,
                };
                let attempt = row.get(6)?;
                Ok(Self { head, attempt })
            })
            .optional()?)
    }
}

/// How many jobs of the same lane, or of those without one, go first. Those of other plugins and agents that are kept back do not.
fn ahead_in_lane(
    connection: &Connection,
    barred: &c::Barred,
    turns: &c::Turns,
    own: &c::Head,
) -> Result<u64, QueueError> {
    let lane = own.lane.as_deref();
    let mut lines = Lines::new(turns, lane, own);
    let mut jobs = connection.prepare_cached(include_str!("sql/waiting_group.sql"))?;
    for group in c::heads_of(connection, lane)? {
        let is_own = (&group.plugin, &group.agent) == (&own.plugin, &own.agent);
        if !is_own && barred.covers(lane, &group.plugin, &group.agent) {
            continue;
        }
        let parameters = params![
            lane,
            group.plugin,
            group.agent,
            own.priority,
            POSITION_LIMIT
        ];
        let mut rows = jobs.query(parameters)?;
        while let Some(row) = rows.next()? {
            lines.add(&group.agent, row.get(1)?, row.get(2)?, row.get(0)?);
        }
    }
    Ok(lines.ahead())
}

/// How many other lanes have a job that goes first.
fn ahead_elsewhere(
    connection: &Connection,
    barred: &c::Barred,
    turns: &c::Turns,
    own: &c::Head,
) -> Result<u64, QueueError> {
    let heads = c::heads(connection, barred)?;
    let mut lines = Lines::new(turns, None, own);
    let (mut free, lanes): (Vec<_>, Vec<_>) = turns
        .firsts(&heads)
        .into_iter()
        .filter(|head| head.lane != own.lane)
        .partition(|head| head.lane.is_none());
    // Those without a lane count as one.
    free.sort_by_key(|head| turns.rank(None, head));
    for head in free.into_iter().take(1).chain(lanes) {
        lines.add(&head.agent, head.priority, head.run_at, head.num);
    }
    Ok(lines.ahead())
}

/// What waits beside a job, by agents.
struct Lines<'t> {
    turns: &'t c::Turns,
    /// The lane in which they take turns; `None` where they do among all.
    lane: Option<&'t str>,
    job: &'t c::Head,
    own: Line,
    others: BTreeMap<String, Line>,
}

impl<'t> Lines<'t> {
    fn new(turns: &'t c::Turns, lane: Option<&'t str>, job: &'t c::Head) -> Self {
        Self {
            turns,
            lane,
            job,
            own: Line::new(turns.served(lane, &job.agent)),
            others: BTreeMap::new(),
        }
    }

    fn add(&mut self, agent: &str, priority: i64, run_at: i64, num: i64) {
        let job = self.job;
        if agent != job.agent {
            let served = self.turns.served(self.lane, agent);
            let line = self.others.entry(agent.to_owned());
            let line = line.or_insert_with(|| Line::new(served));
            line.add(priority, run_at, num);
        } else if (Reverse(priority), run_at, num) < (Reverse(job.priority), job.run_at, job.num) {
            self.own.add(priority, run_at, num);
        }
    }

    fn ahead(self) -> u64 {
        let Self {
            job,
            mut own,
            others,
            ..
        } = self;
        own.add(job.priority, job.run_at, job.num);
        ahead(own, others.into_values())
    }
}
