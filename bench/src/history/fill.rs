//! Large databases, quickly: rows as the queue would have left them, written past it in bulk.
//!
//! Jobs, attempts, events and audit records are filled, three events and records for each finished job and one for each
//! waiting one. The audit records have random hashes, so that the chain does not verify; a claim only appends to it.

use std::fs::File;
use std::path::Path;

use rusqlite::{Connection, params};
use smcp_common::clock::{Clock as _, SystemClock};
use smcp_common::queue::{Commit, Wake};

use crate::scratch::{self, Durability};

/// Makes an empty database.
pub(super) fn create(path: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let _in_runtime = runtime.enter();
    drop(scratch::open(
        path,
        Durability::Normal,
        Commit::Inline,
        Wake::Never,
    )?);
    Ok(())
}

/// Adds `jobs` finished jobs to an empty database.
pub(super) fn finished(path: &Path, jobs: u32) -> anyhow::Result<()> {
    let recorded = SystemClock.now().as_millis() - i64::from(jobs);
    fill(path, |database| {
        database.execute(JOBS, params![jobs, recorded, "succeeded", 0, 0, 1])?;
        database.execute(ATTEMPTS, [])?;
        database.execute(EVENTS, [3])?;
        database.execute(AUDIT, [3])?;
        Ok(())
    })
}

/// Adds `jobs` jobs of a higher priority to an empty database, all due in about an hour.
pub(super) fn future(path: &Path, jobs: u32) -> anyhow::Result<()> {
    let recorded = SystemClock.now().as_millis() - i64::from(jobs);
    let wait = 3_600_000 + i64::from(jobs);
    fill(path, |database| {
        database.execute(JOBS, params![jobs, recorded, "queued", 10, wait, 0])?;
        database.execute(EVENTS, [1])?;
        database.execute(AUDIT, [1])?;
        Ok(())
    })
}

/// Gathers the planner's statistics, as the queue's own maintenance does, and leaves nothing to be written back.
pub(super) fn settle(path: &Path) -> anyhow::Result<()> {
    let database = Connection::open(path)?;
    database.execute_batch("PRAGMA analysis_limit = 2000; ANALYZE")?;
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    File::open(path)?.sync_all()?;
    Ok(())
}

fn fill(path: &Path, rows: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> anyhow::Result<()> {
    let mut database = Connection::open(path)?;
    // A broken fill is thrown away with its directory.
    database.pragma_update(None, "journal_mode", "OFF")?;
    database.pragma_update(None, "synchronous", "OFF")?;
    database.pragma_update(None, "cache_size", -200_000)?;
    let transaction = database.transaction()?;
    rows(&transaction)?;
    transaction.commit()?;
    Ok(())
}

/// ?1 jobs, the first recorded at ?2, in state ?3, of priority ?4, due ?5 ms later; ?6: the number of attempts.
const JOBS: &str = "
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
INSERT INTO jobs (num, id, tool, plugin, agent, source, state, lane, priority, effect, run_at, due, arguments,
                  arguments_digest, timeout_ms, max_attempts, attempt, created_at, finished_at)
SELECT n, printf('%08x-%04x-7000-8000-%012x', (?2 + n) >> 16, (?2 + n) & 65535, n),
       'demo_math__calculate', 'demo_math', 'local', 'call', ?3, 'demo_math', ?4, 'read_only', ?2 + n + ?5,
       ?5 = 0, '{\"expression\":\"2+2\"}', randomblob(32), 300000, 3, ?6, ?2 + n, iif(?6, ?2 + n + 1, NULL)
FROM n";

const ATTEMPTS: &str = "
INSERT INTO attempts (job, n, worker, started_at, ended_at, outcome)
SELECT num, 1, 'bench', created_at, finished_at, 'succeeded' FROM jobs ORDER BY num";

/// The first ?1 events of each job.
const EVENTS: &str = "
INSERT INTO job_events (job, at, kind, data)
SELECT num, created_at, kind, data
FROM jobs CROSS JOIN (SELECT column1 AS nth, column2 AS kind, column3 AS data FROM (VALUES
  (1, 'queued', '{\"run_at\":null}'),
  (2, 'started', '{\"attempt\":1,\"worker\":\"bench\"}'),
  (3, 'finished', '{\"state\":\"succeeded\"}')))
WHERE nth <= ?1 ORDER BY num, nth";

/// The first ?1 audit records of each job.
const AUDIT: &str = "
INSERT INTO audit (at, kind, agent, job, data, hash)
SELECT created_at, kind, agent, id, data, randomblob(32)
FROM jobs CROSS JOIN (SELECT column1 AS nth, column2 AS kind, column3 AS data FROM (VALUES
  (1, 'job.queued', '{\"arguments\":\"' || hex(zeroblob(32)) ||
     '\",\"lane\":\"demo_math\",\"rules\":[\"builtin\"],\"run_at\":null,\"source\":\"call\",\"tool\":\"demo_math__calculate\"}'),
  (2, 'job.claimed', '{\"attempt\":1,\"worker\":\"bench\"}'),
  (3, 'job.attempted', '{\"attempt\":1,\"code\":null,\"outcome\":\"succeeded\",\"state\":\"succeeded\"}')))
WHERE nth <= ?1 ORDER BY num, nth";
