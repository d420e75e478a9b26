//! Which jobs are not kept any more. What goes is found by reading, and removed in transactions that are small enough
//! to hold no claim up.

use std::time::Duration;

use rusqlite::Row;

use super::command as c;
use super::{Queue, QueueError, SetSetting};
use crate::clock::Timestamp;
use crate::setting::Setting;

/// Jobs in one transaction.
const BATCH_JOBS: usize = 100;
/// What they may weigh together, in rows and pages that are to be removed; one job may weigh more.
const BATCH_WEIGHT: u64 = 2_000;
const PAGE_BYTES: u64 = 4_096;
/// So many free pages are left in the file: what comes next needs them.
const SPARE_PAGES: u64 = 2_560;

/// How long, and how many, ended jobs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// So long after their end.
    pub age: Duration,
    /// So many at most.
    pub jobs: u64,
    /// At least so long after their end, whatever the others say.
    pub keep: Duration,
}

impl Retention {
    fn new(set: &[SetSetting]) -> Self {
        let number = |setting: Setting| {
            let found = set.iter().find(|set| set.setting == setting);
            let value = found.map_or(setting.default(), |set| set.value);
            u64::try_from(value).unwrap_or_default()
        };
        Self {
            age: Duration::from_secs(number(Setting::RetentionAge)),
            jobs: number(Setting::RetentionJobs),
            keep: Duration::from_secs(number(Setting::RetentionKeep)),
        }
    }
}

/// A walk through the jobs, from the first that was recorded, that finds those that go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// The number of the last job that was looked at.
    after: i64,
    /// Ended jobs that are yet to be passed before the newest begin, of which so many are kept.
    over: u64,
    /// What ended before that is too old.
    aged: Timestamp,
    /// What ended later than that is kept in any case.
    kept: Timestamp,
}

/// A job, as far as it matters whether it goes.
#[derive(Debug, Clone, Copy)]
struct Found {
    num: i64,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
    in_workflow: bool,
    output_bytes: u64,
    /// Somebody may still ask what became of it.
    awaited: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Goes,
    Stays,
    /// It stays, and so does whatever was recorded later.
    AllStay,
}

impl Walk {
    fn begin(limits: Retention, ended: u64, now: Timestamp) -> Self {
        Self {
            after: 0,
            over: ended.saturating_sub(limits.jobs),
            aged: now.minus(limits.age.max(limits.keep)),
            kept: now.minus(limits.keep),
        }
    }

    /// What becomes of the next job.
    fn pass(&mut self, job: Found) -> Fate {
        let too_many = self.over > 0;
        let before = if too_many { self.kept } else { self.aged };
        if job.created_at >= before {
            return Fate::AllStay;
        }
        self.after = job.num;
        let Some(finished_at) = job.finished_at else {
            return Fate::Stays;
        };
        self.over = self.over.saturating_sub(1);
        let is_old = finished_at < self.aged;
        let is_one_too_many = too_many && finished_at < self.kept && !job.in_workflow;
        if (is_old || is_one_too_many) && !job.awaited {
            Fate::Goes
        } else {
            Fate::Stays
        }
    }
}

impl Found {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            num: row.get(0)?,
            created_at: Timestamp::from_millis(row.get(1)?),
            finished_at: row.get::<_, Option<i64>>(2)?.map(Timestamp::from_millis),
            in_workflow: row.get(3)?,
            output_bytes: row.get(4)?,
            awaited: row.get(5)?,
        })
    }
}

/// A part of a walk: the jobs that go, and whether there is more to look at.
#[derive(Debug)]
struct Stretch {
    nums: Vec<i64>,
    walk: Option<Walk>,
}

impl Queue {
    /// The limits that are set.
    ///
    /// # Errors
    /// Database errors.
    pub fn retention(&self) -> Result<Retention, QueueError> {
        Ok(Retention::new(&self.settings()?))
    }

    /// Begins a walk.
    ///
    /// # Errors
    /// Database errors.
    pub async fn walk(&self, limits: Retention) -> Result<Walk, QueueError> {
        let count = |connection: &rusqlite::Connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/prune_count.sql"))?;
            Ok(statement.query_row([], |row| row.get(0))?)
        };
        let ended = self.store.scan(count).await?;
        Ok(Walk::begin(limits, ended, self.clock.now()))
    }

    /// Goes on with a walk for a stretch, and removes what goes, with news, output and attempts, in one transaction;
    /// a hundred jobs at most. Answers how the walk goes on, unless it has ended. What has not ended stays, and so does
    /// what an open session may ask for.
    ///
    /// # Errors
    /// Database errors.
    pub async fn prune(
        &self,
        walk: Walk,
        worker: &str,
    ) -> Result<(usize, Option<Walk>), QueueError> {
        let ended_before = walk.kept;
        let Stretch { nums, walk } = self
            .store
            .scan(move |connection| stretch(connection, walk))
            .await?;
        if nums.is_empty() {
            return Ok((0, walk));
        }
        let prune = c::PruneJobs {
            nums,
            ended_before,
            worker: worker.to_owned(),
        };
        Ok((self.store.write(prune).await?, walk))
    }

    /// Removes workflows that ended longer ago than jobs are kept, a hundred at most. True where there may be more.
    ///
    /// # Errors
    /// Database errors.
    pub async fn prune_workflows(
        &self,
        limits: Retention,
        worker: &str,
    ) -> Result<bool, QueueError> {
        let prune = c::PruneWorkflows {
            ended_before: self.clock.now().minus(limits.age.max(limits.keep)),
            most: BATCH_JOBS,
            worker: worker.to_owned(),
        };
        Ok(self.store.write(prune).await? == BATCH_JOBS)
    }

    /// Gives a mebibyte of the file back to the system where much of it is free. True where there is more to give.
    ///
    /// # Errors
    /// Database errors.
    pub async fn shrink(&self) -> Result<bool, QueueError> {
        if !self.has_to_spare()? {
            return Ok(false);
        }
        self.store.write(c::FreeSome).await?;
        self.has_to_spare()
    }

    fn has_to_spare(&self) -> Result<bool, QueueError> {
        self.store.read(|connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/free_pages.sql"))?;
            Ok(statement.query_row([], |row| {
                let (can, free, all) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok(can && is_to_spare(free, all))
            })?)
        })
    }
}

/// A tenth of the file may be free, and 10 MiB of a small one.
const fn is_to_spare(free: u64, all: u64) -> bool {
    free > SPARE_PAGES && free > all / 10
}

fn stretch(connection: &rusqlite::Connection, mut walk: Walk) -> Result<Stretch, QueueError> {
    let mut find = connection.prepare_cached(include_str!("sql/prune_find.sql"))?;
    let mut weigh = connection.prepare_cached(include_str!("sql/prune_weigh.sql"))?;
    let mut rows = find.query([walk.after])?;
    let (mut nums, mut weight, mut seen) = (Vec::new(), 0, false);
    while nums.len() < BATCH_JOBS && weight < BATCH_WEIGHT {
        let Some(row) = rows.next()? else {
            let walk = seen.then_some(walk);
            return Ok(Stretch { nums, walk });
        };
        seen = true;
        let job = Found::read(row)?;
        match walk.pass(job) {
            Fate::Goes => {
                let events: u64 = weigh.query_row([job.num], |row| row.get(0))?;
                weight += events + job.output_bytes / PAGE_BYTES;
                nums.push(job.num);
            }
            Fate::Stays => {}
            Fate::AllStay => return Ok(Stretch { nums, walk: None }),
        }
    }
    Ok(Stretch {
        nums,
        walk: Some(walk),
    })
}

#[cfg(test)]
mod tests {
    use super::Fate::{AllStay, Goes, Stays};
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const LIMITS: Retention = Retention {
        age: Duration::from_hours(24),
        jobs: 2,
        keep: Duration::from_hours(1),
    };

    /// A job that ended so many minutes ago, a minute after it was recorded.
    fn ended(minutes: u64) -> Found {
        Found {
            num: 1,
            created_at: NOW.minus(Duration::from_mins(minutes + 1)),
            finished_at: Some(NOW.minus(Duration::from_mins(minutes))),
            in_workflow: false,
            output_bytes: 0,
            awaited: false,
        }
    }

    fn fates(ended: u64, jobs: &[Found]) -> Vec<Fate> {
        let mut walk = Walk::begin(LIMITS, ended, NOW);
        jobs.iter().map(|job| walk.pass(*job)).collect()
    }

    #[test]
    fn what_is_old_goes_and_what_is_awaited_or_has_not_ended_stays() {
        let day = 24 * 60;
        let jobs = [
            ended(day + 1),
            Found {
                awaited: true,
                ..ended(day + 1)
            },
            Found {
                finished_at: None,
                ..ended(9 * day)
            },
            Found {
                in_workflow: true,
                ..ended(day + 1)
            },
            ended(day),
            ended(day - 1),
        ];
        assert_eq!(
            fates(2, &jobs),
            [Goes, Stays, Stays, Goes, Stays, AllStay],
            "by age"
        );
    }

    #[test]
    fn of_too_many_the_oldest_go_and_the_newest_stay() {
        let of_workflow = Found {
            in_workflow: true,
            ..ended(500)
        };
        let unfinished = Found {
            finished_at: None,
            ..ended(450)
        };
        let jobs = [
            ended(600),
            of_workflow,
            unfinished,
            ended(400),
            ended(300),
            ended(200),
        ];
        assert_eq!(
            fates(5, &jobs),
            [Goes, Stays, Stays, Goes, AllStay, AllStay],
            "three too many"
        );
        assert_eq!(fates(2, &jobs[..1]), [AllStay]);
        assert_eq!(
            fates(9, &[ended(60), ended(59)]),
            [Stays, AllStay],
            "too young"
        );
    }

    #[test]
    fn no_limit_removes_what_has_just_ended() {
        let limits = Retention {
            age: Duration::from_mins(1),
            jobs: 0,
            keep: Duration::from_hours(1),
        };
        let mut walk = Walk::begin(limits, 9, NOW);
        assert_eq!(walk.pass(ended(61)), Fate::Goes);
        assert_eq!(walk.pass(ended(60)), Fate::Stays);
        assert_eq!(walk.pass(ended(30)), Fate::AllStay);
    }

    #[test]
    fn a_file_keeps_some_free_pages() {
        assert!(!is_to_spare(2_560, 2_600));
        assert!(is_to_spare(2_561, 2_600));
        assert!(!is_to_spare(10_000, 100_000));
        assert!(is_to_spare(10_001, 100_000));
    }
}
