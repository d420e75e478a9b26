use serde_json::Map;
use smcp_common::audit::DigestKey;
use smcp_common::clock::{Clock as _, ManualClock, Timestamp};
use smcp_common::job::{Effect, JobId, NewJob, Source};
use smcp_common::key_file::Key;
use smcp_common::queue::{Commit, Durability, Options, Wake};
use tokio::sync::mpsc;

use super::*;

/// Far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_hours(1);

/// Says which job it has run.
struct Says(mpsc::UnboundedSender<JobId>);

impl Run for Says {
    async fn run(&self, job: Claimed) -> Ending {
        self.0.send(job.id).unwrap();
        Ending {
            outcome: Outcome::Succeeded,
            output: Vec::new(),
            printed_bytes: None,
            confinement: None,
        }
    }
}

fn due(run_at: Timestamp) -> NewJob {
    NewJob {
        id: JobId::random(),
        tool: "math__add".into(),
        plugin: "math".into(),
        agent: "local".into(),
        source: Source::Call,
        origin: None,
        lane: None,
        priority: 0,
        effect: Effect::ReadOnly,
        run_at: Some(run_at),
        arguments: Map::new(),
        secret: Vec::new(),
        entrance: None,
        timeout: None,
        retry: None,
        idempotency_key: None,
        approval: None,
        rules: Vec::new(),
        policy: String::new(),
        limits: Vec::new(),
        strict_sandbox: false,
    }
}

#[tokio::test]
async fn a_job_that_falls_due_as_the_clock_is_set_runs_without_news() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(Timestamp::from_millis(1_800_000_000_000));
    let options = Options {
        path: directory.path().join("smcp.db"),
        durability: Durability::Normal,
        commit: Commit::Inline,
        wake: Wake::Auto,
        check: false,
        digest_key: DigestKey::new(&Key::default()),
        secrets_key: smcp_common::secret::KeyFile::at(directory.path().join("secrets.key")),
    };
    let open = || Queue::open(&options, clock.clone()).unwrap();
    let later = open().submit(due(clock.now().plus(HOUR))).await.unwrap();
    // To this one the job is no news.
    let queue = open();
    let (says, mut said) = mpsc::unbounded_channel();
    let shutdown = Shutdown::default();
    let worker = tokio::spawn(run(
        queue,
        "w".into(),
        Arc::new(Says(says)),
        shutdown.clone(),
    ));
    // On one thread, on which nothing blocks: whoever can go on has done so, and the worker waits for the job.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    clock.advance(HOUR);
    let ran = tokio::time::timeout(PATIENCE, said.recv()).await.unwrap();
    assert_eq!(ran.unwrap(), later.id);
    shutdown.begin();
    worker.await.unwrap();
}
