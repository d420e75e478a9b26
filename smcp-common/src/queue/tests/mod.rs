//! Conformance: every behaviour of the queue, on every engine and way of committing. Time is a manual clock.

mod agents;
mod approvals;
mod attempts;
mod audit;
mod catalogue;
mod claims;
mod clock;
mod faults;
mod keys;
mod limits;
mod operate;
mod pauses;
mod pins;
mod policies;
mod retention;
mod retries;
mod schedules;
mod secrets;
mod sessions;
mod settings;
mod soundness;
mod submits;
mod turns;
mod waiting;
mod workers;
mod workflows;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::params;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::command as c;
use super::*;
use crate::audit::{DigestKey, Finding, Trust};
use crate::clock::{ManualClock, Timestamp};
use crate::job::{
    Claimed, Effect, EventKind, Failure, Job, JobId, NewJob, News, Outcome, Retry, Source,
    StateName,
};
use crate::key_file::Key;
use crate::plugin::{Binding, Plugin};
use crate::policy::{Grant, Obligations, Via};

/// One test per behaviour and engine. A second engine adds a line here.
macro_rules! conformance {
    ($($behaviour:ident),+ $(,)?) => {
        mod sqlite_grouped {
            $(#[tokio::test] async fn $behaviour() { super::$behaviour(crate::queue::tests::World::new(crate::queue::Commit::Grouped)).await; })+
        }
        mod sqlite_inline {
            $(#[tokio::test] async fn $behaviour() { super::$behaviour(crate::queue::tests::World::new(crate::queue::Commit::Inline)).await; })+
        }
    };
}
pub(super) use conformance;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A queue of its own in a directory of its own.
struct World {
    queue: Queue,
    clock: Arc<ManualClock>,
    commit: Commit,
    directory: TempDir,
}

impl World {
    fn new(commit: Commit) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(START);
        let queue = Queue::open(
            &options(directory.path().join("smcp.db"), commit),
            clock.clone(),
        )
        .unwrap();
        Self {
            queue,
            clock,
            commit,
            directory,
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("smcp.db")
    }

    /// The same database, as another process would open it.
    fn second(&self) -> Queue {
        Queue::open(&options(self.path(), self.commit), self.clock.clone()).unwrap()
    }

    async fn register(&self, worker: &str) {
        let registered = self
            .queue
            .register_worker(worker, "host", "1.0", true, None);
        registered.await.unwrap();
    }

    async fn submit(&self, job: NewJob) -> JobId {
        self.queue.submit(job).await.unwrap().id
    }

    async fn claim(&self, worker: &str) -> Option<Claimed> {
        match self.queue.claim(worker).await.unwrap() {
            Work::Job(job) => Some(*job),
            Work::None { .. } => None,
        }
    }

    async fn claim_as_hold(&self, worker: &str) -> Hold {
        let job = self.claim(worker).await.expect("there is a job to claim");
        Hold {
            job: job.id,
            attempt: job.attempt,
            worker: worker.into(),
        }
    }

    async fn finish(&self, hold: &Hold, outcome: Outcome) -> Result<(), QueueError> {
        self.queue.finish(end(hold, outcome), false).await.map(drop)
    }

    /// Settles expired leases, as a worker does that has been watching them for long.
    async fn lose_expired(&self) -> usize {
        let (mut watch, start) = (LeaseWatch::default(), std::time::Instant::now());
        let seen = self.queue.lose_expired(&mut watch, start).await.unwrap();
        assert_eq!(seen, 0, "one look is not enough");
        let later = start + 2 * RENEW_EVERY;
        self.queue.lose_expired(&mut watch, later).await.unwrap()
    }

    fn job(&self, id: &JobId) -> Job {
        self.queue.job(id).unwrap().expect("the job exists")
    }

    fn kinds(&self, id: &JobId) -> Vec<EventKind> {
        self.queue
            .events(id, 0, 1_000)
            .unwrap()
            .into_iter()
            .map(|event| event.kind)
            .collect()
    }

    fn sql(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }

    /// The audit records of a kind, each as its agent and its data.
    fn audited(&self, kind: &str) -> Vec<String> {
        let sql = self.sql();
        let mut records = sql
            .prepare("SELECT agent || ' ' || data FROM audit WHERE kind = ?1 ORDER BY seq")
            .unwrap();
        let records = records.query_map([kind], |row| row.get(0)).unwrap();
        records.map(Result::unwrap).collect()
    }

    /// The number of the first record of the audit chain that does not fit, if any.
    fn broken_audit(&self) -> Option<i64> {
        let condition = check(&self.path(), Trust::default()).unwrap();
        assert!(condition.audit_records > 0, "something has been recorded");
        condition.broken_audit.map(|finding| finding.record)
    }
}

fn options(path: PathBuf, commit: Commit) -> Options {
    Options {
        secrets_key: crate::secret::KeyFile::at(path.with_file_name("secrets.key")),
        path,
        durability: Durability::Normal,
        commit,
        wake: Wake::Auto,
        check: true,
        digest_key: DigestKey::new(&Key::new([7; 32])),
    }
}

/// A job of tool `math__add` in lane `math`.
fn job() -> NewJob {
    NewJob {
        id: JobId::random(),
        tool: "math__add".into(),
        plugin: "math".into(),
        agent: "local".into(),
        source: Source::Call,
        origin: None,
        lane: Some("math".into()),
        priority: 0,
        effect: Effect::Idempotent,
        run_at: None,
        arguments: arguments(json!({"a": 1})),
        secret: Vec::new(),
        entrance: None,
        timeout: Some(Duration::from_secs(300)),
        retry: None,
        idempotency_key: None,
        rules: vec!["builtin".into()],
        approval: None,
        policy: String::new(),
        limits: Vec::new(),
        strict_sandbox: false,
    }
}

/// What rules say that ask for nothing.
fn granted() -> (Grant, Binding) {
    let grant = Grant {
        rules: vec!["builtin".into()],
        policy: String::new(),
        obligations: Obligations::default(),
    };
    let binding = Binding {
        plugin: String::new(),
        until: START,
    };
    (grant, binding)
}

/// What rules say that do not permit a call.
fn denied() -> NoJob {
    let call = Decided {
        agent: "ada".into(),
        tool: "math__add".into(),
        rules: Vec::new(),
        policy: Some("hash".into()),
        via: Via::Schedule,
        entrance: None,
        arguments: Map::new(),
        secret: Vec::new(),
    };
    let code = "not_allowed";
    NoJob {
        failure: Failure::new(code, "No rule permits it."),
        denial: Some(Box::new(Denial { call, code })),
    }
}

fn arguments(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

fn in_lane(lane: &str) -> NewJob {
    NewJob {
        lane: Some(lane.into()),
        ..job()
    }
}

fn end(hold: &Hold, outcome: Outcome) -> Finish {
    Finish {
        hold: hold.clone(),
        outcome,
        output: Vec::new(),
        printed_bytes: None,
        confinement: None,
    }
}

fn failed() -> Outcome {
    Outcome::failed(Failure::new("plugin_error", "it did not work"))
}
