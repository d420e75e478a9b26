use super::*;
use crate::job::Origin;
use crate::setting::Setting;

conformance!(
    old_jobs_go_with_all_that_belongs_to_them,
    what_has_not_ended_or_may_be_asked_for_stays,
    of_too_many_the_newest_stay,
    a_job_that_is_taken_up_meanwhile_stays,
    a_prune_is_recorded_batch_by_batch,
    what_is_free_is_given_back,
    a_workflow_goes_after_its_end_and_keeps_its_jobs_till_then,
);

const DAY: Duration = Duration::from_hours(24);

impl World {
    /// A job that has ended without having begun.
    async fn cancelled(&self) -> JobId {
        let id = self.submit(job()).await;
        self.queue.cancel(&id, "ada", None).await.unwrap();
        id
    }

    async fn open_session(&self) {
        let session = Session {
            agent: "ada".into(),
            parameters: "{}".into(),
        };
        self.queue.open_session("s", session, 2).await.unwrap();
    }

    async fn limit(&self, setting: Setting, value: i64) {
        let set = self.queue.set_setting(setting, Some(value), "ada");
        set.await.unwrap();
    }

    /// Walks to the end, and answers how many jobs went in each transaction.
    async fn prune(&self) -> Vec<usize> {
        let limits = self.queue.retention().unwrap();
        let mut walk = Some(self.queue.walk(limits).await.unwrap());
        let mut batches = Vec::new();
        while let Some(here) = walk {
            let (gone, next) = self.queue.prune(here, "w").await.unwrap();
            batches.extend((gone > 0).then_some(gone));
            walk = next;
        }
        batches
    }

    fn is_there(&self, id: &JobId) -> bool {
        self.queue.job(id).unwrap().is_some()
    }

    fn rows(&self, table: &str) -> i64 {
        let count = format!("SELECT count(*) FROM {table}");
        self.sql().query_row(&count, [], |row| row.get(0)).unwrap()
    }
}

async fn old_jobs_go_with_all_that_belongs_to_them(world: World) {
    let old = world.submit(job()).await;
    let hold = world.claim_as_hold("w").await;
    let finish = Finish {
        output: b"done".to_vec(),
        ..end(&hold, Outcome::Succeeded)
    };
    world.queue.finish(finish, false).await.unwrap();
    world.clock.advance(DAY * 15);
    let young = world.cancelled().await;
    world.clock.advance(DAY * 16);
    assert_eq!(world.prune().await, [1]);
    assert!(!world.is_there(&old) && world.is_there(&young));
    assert_eq!((world.rows("attempts"), world.rows("outputs")), (0, 0));
    let events = world.queue.events(&old, 0, 10).unwrap();
    assert_eq!(events, []);
    assert!(world.rows("job_events") > 0, "those of the young one");
}

async fn what_has_not_ended_or_may_be_asked_for_stays(world: World) {
    world.limit(Setting::RetentionJobs, 0).await;
    let waiting = world.submit(in_lane("a")).await;
    let running = world.submit(in_lane("b")).await;
    world.queue.cancel(&waiting, "ada", None).await.unwrap();
    let waiting = world.submit(in_lane("a")).await;
    world.open_session().await;
    let call = SessionCall {
        session: "s".into(),
        request: "1".into(),
    };
    let called = world.queue.submit_for(in_lane("c"), call).await.unwrap().id;
    world.queue.cancel(&called, "ada", None).await.unwrap();
    let hold = world.claim_as_hold("w").await;
    assert_eq!(hold.job, running);
    world.clock.advance(DAY * 365);
    assert_eq!(world.prune().await, [1], "the cancelled one");
    for id in [&waiting, &running, &called] {
        assert!(world.is_there(id));
    }
    world.queue.close_session("s").await.unwrap();
    assert_eq!(world.prune().await, [1]);
    assert!(!world.is_there(&called));
}

async fn of_too_many_the_newest_stay(world: World) {
    world.limit(Setting::RetentionJobs, 2).await;
    let step = NewJob {
        source: Source::Workflow,
        origin: Some(Origin::Workflow {
            workflow: "wf".into(),
            step: "one".into(),
        }),
        ..job()
    };
    let step = world.submit(step).await;
    world.queue.cancel(&step, "ada", None).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(world.cancelled().await);
    }
    assert_eq!(world.prune().await, [0; 0], "too young");
    world.clock.advance(Duration::from_hours(1));
    world.clock.advance(Duration::from_millis(1));
    let waiting = world.submit(job()).await;
    assert_eq!(world.prune().await, [2]);
    let there: Vec<_> = ids.iter().map(|id| world.is_there(id)).collect();
    assert_eq!(there, [false, false, true, true]);
    assert!(world.is_there(&waiting) && world.is_there(&step));
    world.clock.advance(DAY * 31);
    assert_eq!(world.prune().await, [3], "age is no matter of number");
}

async fn a_job_that_is_taken_up_meanwhile_stays(world: World) {
    let (queued, called, other) = (
        world.cancelled().await,
        world.cancelled().await,
        world.cancelled().await,
    );
    world.clock.advance(DAY * 31);
    world.open_session().await;
    let taken_up = "UPDATE jobs SET state = 'queued', finished_at = NULL WHERE id = ?1";
    world.sql().execute(taken_up, [queued.as_str()]).unwrap();
    let noted = "INSERT INTO session_calls (session, request, job) VALUES ('s', '1', ?1)";
    world.sql().execute(noted, [called.as_str()]).unwrap();
    let prune = c::PruneJobs {
        nums: vec![1, 2, 3],
        ended_before: START.plus(DAY),
        worker: "w".into(),
    };
    assert_eq!(world.queue.store.write(prune).await.unwrap(), 1);
    assert!(world.is_there(&queued) && world.is_there(&called));
    let record = format!(r#"worker:w {{"count":1,"newest":"{other}","oldest":"{other}"}}"#);
    assert_eq!(world.audited("jobs.pruned"), [record]);
}

async fn a_prune_is_recorded_batch_by_batch(world: World) {
    let mut ids = Vec::new();
    for _ in 0..150 {
        ids.push(world.cancelled().await);
    }
    world.clock.advance(DAY * 31);
    assert_eq!(world.prune().await, [100, 50]);
    let record = |count: usize, oldest: &JobId, newest: &JobId| {
        format!(r#"worker:w {{"count":{count},"newest":"{newest}","oldest":"{oldest}"}}"#)
    };
    assert_eq!(
        world.audited("jobs.pruned"),
        [
            record(100, &ids[0], &ids[99]),
            record(50, &ids[100], &ids[149])
        ]
    );
    assert_eq!(world.broken_audit(), None);
}

async fn what_is_free_is_given_back(world: World) {
    let mut sizes = Vec::new();
    for _ in 0..4 {
        world.submit(job()).await;
        let hold = world.claim_as_hold("w").await;
        let finish = Finish {
            output: vec![b'x'; 8 * 1024 * 1024],
            ..end(&hold, Outcome::Succeeded)
        };
        world.queue.finish(finish, false).await.unwrap();
    }
    let pages = || {
        let sql = world.sql();
        let pages = sql.query_row("PRAGMA page_count", [], |row| row.get::<_, u64>(0));
        pages.unwrap()
    };
    sizes.push(pages());
    world.clock.advance(DAY * 31);
    assert_eq!(world.prune().await, [1; 4], "by their weight");
    while world.queue.shrink().await.unwrap() {}
    sizes.push(pages());
    assert!(sizes[0] > 8_000 && sizes[1] < 3_000, "{sizes:?}");
}

async fn a_workflow_goes_after_its_end_and_keeps_its_jobs_till_then(world: World) {
    use crate::workflow::WorkflowId;
    let id = WorkflowId::random();
    let steps = json!({"steps": [{"id": "add", "tool": "math__add"}]});
    let new = NewWorkflow {
        id: id.clone(),
        agent: "ada".into(),
        definition: serde_json::from_value(steps).unwrap(),
        rules: std::collections::BTreeMap::new(),
        schedule: None,
        idempotency_key: None,
    };
    world.queue.submit_workflow(new).await.unwrap();
    let step = NewJob {
        source: Source::Workflow,
        origin: Some(crate::job::Origin::Workflow {
            workflow: id.to_string(),
            step: "add".into(),
        }),
        ..job()
    };
    let job = world.submit(step).await;
    world.queue.cancel(&job, "ada", None).await.unwrap();
    let limits = world.queue.retention().unwrap();
    world.clock.advance(DAY * 365);
    let prune = async || {
        let walk = world.queue.walk(limits).await.unwrap();
        world.queue.prune(walk, "w").await.unwrap();
        world.queue.prune_workflows(limits, "w").await.unwrap();
    };
    prune().await;
    assert!(
        world.queue.job(&job).unwrap().is_some(),
        "its workflow runs"
    );
    let set = "UPDATE workflows SET state = 'failed', finished_at = ?1";
    let ended = crate::clock::Clock::now(&*world.clock);
    world.sql().execute(set, [ended.as_millis()]).unwrap();
    prune().await;
    assert_eq!(world.queue.job(&job).unwrap(), None);
    assert!(world.queue.workflow(&id).unwrap().is_some());
    world.clock.advance(DAY * 31);
    prune().await;
    assert_eq!(world.queue.workflow(&id).unwrap(), None);
    assert_eq!(world.broken_audit(), None);
}
