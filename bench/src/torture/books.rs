//! What the database says in the end.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

/// All jobs, by id.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) jobs: BTreeMap<String, Job>,
}

/// A job, with all that is on the books of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Job {
    pub(super) key: String,
    pub(super) effect: String,
    pub(super) state: String,
    pub(super) lane: String,
    pub(super) max_attempts: u32,
    /// The number of the last attempt, as the job has it.
    pub(super) attempt: u32,
    /// The attempts in their order: number and outcome.
    pub(super) attempts: Vec<(u32, Option<String>)>,
    /// The standard output that is kept of the last attempt.
    pub(super) output: String,
    /// How often each thing happened, by the kind of its event and of its audit record.
    pub(super) happened: BTreeMap<String, u32>,
}

impl Job {
    /// How many attempts ended so.
    pub(super) fn count(&self, outcome: &str) -> usize {
        let is_so = |(_, found): &&(u32, Option<String>)| found.as_deref() == Some(outcome);
        self.attempts.iter().filter(is_so).count()
    }

    pub(super) fn times(&self, kind: &str) -> u32 {
        self.happened.get(kind).copied().unwrap_or_default()
    }
}

impl Books {
    pub(super) fn read(data: &Path) -> anyhow::Result<Self> {
        let sql = open_database(data)?;
        let mut jobs = BTreeMap::new();
        let mut ids = BTreeMap::new();
        let mut statement = sql.prepare(
            "SELECT num, id, idempotency_key, effect, state, lane, max_attempts, attempt,
                    (SELECT CAST(group_concat(data, '') AS TEXT) FROM outputs o WHERE o.job = num AND o.attempt = j.attempt)
             FROM jobs j",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id: String = row.get(1)?;
            let job = Job {
                key: row.get(2)?,
                effect: row.get(3)?,
                state: row.get(4)?,
                lane: row.get(5)?,
                max_attempts: row.get(6)?,
                attempt: row.get(7)?,
                output: row.get::<_, Option<String>>(8)?.unwrap_or_default(),
                ..Job::default()
            };
            ids.insert(row.get::<_, i64>(0)?, id.clone());
            jobs.insert(id, job);
        }
        let mut statement = sql.prepare("SELECT job, n, outcome FROM attempts ORDER BY job, n")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if let Some(job) = ids.get(&row.get(0)?).and_then(|id| jobs.get_mut(id)) {
                job.attempts.push((row.get(1)?, row.get(2)?));
            }
        }
        let mut statement = sql.prepare(
            "SELECT j.id, 'event ' || e.kind, count(*) FROM job_events e JOIN jobs j ON j.num = e.job GROUP BY 1, 2
             UNION ALL SELECT job, 'audit ' || kind, count(*) FROM audit WHERE job IS NOT NULL GROUP BY 1, 2",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if let Some(job) = jobs.get_mut(&row.get::<_, String>(0)?) {
                job.happened.insert(row.get(1)?, row.get(2)?);
            }
        }
        Ok(Self { jobs })
    }

    /// How many jobs there are of each effect and end, and how many attempts of each outcome.
    pub(super) fn figures(&self) -> Vec<(&'static str, Value)> {
        let jobs =
            |is: &dyn Fn(&Job) -> bool| json!(self.jobs.values().filter(|job| is(job)).count());
        let attempts = |outcome: &str| {
            json!(
                self.jobs
                    .values()
                    .map(|job| job.count(outcome))
                    .sum::<usize>()
            )
        };
        vec![
            ("jobs: read_only", jobs(&|job| job.effect == "read_only")),
            ("jobs: idempotent", jobs(&|job| job.effect == "idempotent")),
            ("jobs: once", jobs(&|job| job.effect == "once")),
            ("ended: succeeded", jobs(&|job| job.state == "succeeded")),
            ("ended: failed", jobs(&|job| job.state == "failed")),
            (
                "ended: outcome_unknown",
                jobs(&|job| job.state == "outcome_unknown"),
            ),
            (
                "attempts",
                json!(
                    self.jobs
                        .values()
                        .map(|job| job.attempts.len())
                        .sum::<usize>()
                ),
            ),
            ("attempts: succeeded", attempts("succeeded")),
            ("attempts: failed", attempts("failed")),
            ("attempts: worker_lost", attempts("worker_lost")),
        ]
    }
}

/// How many jobs have not ended.
pub(super) fn open_jobs(data: &Path) -> anyhow::Result<u32> {
    let open = "SELECT count(*) FROM jobs WHERE finished_at IS NULL";
    Ok(open_database(data)?.query_row(open, [], |row| row.get(0))?)
}

fn open_database(data: &Path) -> anyhow::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sql = Connection::open_with_flags(data.join("smcp.db"), flags)?;
    sql.busy_timeout(std::time::Duration::from_secs(30))?;
    Ok(sql)
}
