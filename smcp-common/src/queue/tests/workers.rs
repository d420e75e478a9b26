use super::*;
use crate::sandbox::{Finding, Key, Report, Require, State, Tier};

conformance!(
    a_duty_is_one_workers_until_its_lease_is_over,
    a_dead_workers_duty_is_free_at_once,
    a_duty_survives_a_clock_that_is_set_back,
    somebody_is_on_duty_as_long_as_the_lease,
    a_draining_worker_takes_nothing,
    a_draining_worker_takes_nothing_with_the_end_of_its_job,
    all_workers_are_drained_at_once_and_it_is_recorded,
    what_a_worker_does_is_shown,
    a_worker_tells_how_its_machine_confines_plugins,
);

const DUTY: &str = "duty";
const TERM: Duration = Duration::from_secs(30);

impl World {
    async fn takes(&self, worker: &str) -> bool {
        self.queue.take_duty(DUTY, worker, TERM).await.unwrap()
    }
}

async fn a_duty_is_one_workers_until_its_lease_is_over(world: World) {
    assert!(world.takes("w1").await && world.takes("w1").await);
    assert!(!world.takes("w2").await);
    world.clock.advance(TERM * 3 / 4);
    assert!(world.takes("w1").await, "renewed");
    world.clock.advance(TERM / 2);
    assert!(!world.takes("w2").await, "the renewal counts");
    world.clock.advance(TERM);
    assert!(world.takes("w2").await);
    assert!(!world.takes("w1").await);
}

async fn a_dead_workers_duty_is_free_at_once(world: World) {
    assert!(world.takes("w1").await);
    let mut news = world.queue.news();
    news.mark_unchanged();
    world.queue.lose_worker("w1").await.unwrap();
    let heard = tokio::time::timeout(Duration::from_secs(10), news.changed());
    heard.await.unwrap().unwrap();
    assert!(world.takes("w2").await);
}

async fn a_duty_survives_a_clock_that_is_set_back(world: World) {
    assert!(world.takes("w1").await);
    let earlier = ManualClock::at(START.minus(Duration::from_secs(3_600)));
    let set_back = Queue::open(&options(world.path(), world.commit), earlier).unwrap();
    assert!(set_back.take_duty(DUTY, "w2", TERM).await.unwrap());
}

async fn somebody_is_on_duty_as_long_as_the_lease(world: World) {
    let on_duty = || world.queue.is_on_duty(DUTY).unwrap();
    assert!(!on_duty());
    assert!(world.takes("w1").await && on_duty());
    world.clock.advance(TERM);
    assert!(!on_duty());
}

impl World {
    async fn drain(&self, worker: Option<&str>) -> Vec<String> {
        self.queue.drain_workers(worker, "ada").await.unwrap()
    }

    fn states(&self) -> Vec<WorkerState> {
        let workers = self.queue.workers().unwrap();
        workers.iter().map(|worker| worker.state).collect()
    }
}

async fn a_draining_worker_takes_nothing(world: World) {
    world.register("w1").await;
    world.submit(job()).await;
    assert_eq!(world.drain(Some("w1")).await, ["w1"]);
    assert!(world.claim("w1").await.is_none());
    assert!(world.queue.has_drained("w1").unwrap());
    assert_eq!(world.drain(Some("w2")).await, [""; 0], "there is none");
    assert!(world.claim("w2").await.is_some());
}

async fn a_draining_worker_takes_nothing_with_the_end_of_its_job(world: World) {
    world.register("w1").await;
    let (first, second) = (world.submit(job()).await, world.submit(job()).await);
    let hold = world.claim_as_hold("w1").await;
    let other = world.second();
    let mut news = other.news();
    news.mark_unchanged();
    world.drain(Some("w1")).await;
    let heard = tokio::time::timeout(Duration::from_secs(10), news.changed());
    heard.await.unwrap().unwrap();
    assert!(!world.queue.has_drained("w1").unwrap(), "it has a job");
    let finish = end(&hold, Outcome::Succeeded);
    assert_eq!(world.queue.finish(finish, true).await.unwrap(), None);
    assert_eq!(world.job(&first).state, StateName::Succeeded);
    assert_eq!(world.job(&second).state, StateName::Queued);
    assert!(world.queue.has_drained("w1").unwrap());
}

async fn all_workers_are_drained_at_once_and_it_is_recorded(world: World) {
    for worker in ["w1", "w2", "w3"] {
        world.register(worker).await;
    }
    world.queue.release_all("w3").await.unwrap();
    assert_eq!(world.drain(None).await, ["w1", "w2"]);
    assert_eq!(world.drain(None).await, ["w1", "w2"], "again");
    let records = world.audited("worker.draining");
    assert_eq!(
        records,
        [r#"ada {"worker":"w1"}"#, r#"ada {"worker":"w2"}"#]
    );
    assert_eq!(world.broken_audit(), None);
}

async fn what_a_worker_does_is_shown(world: World) {
    use WorkerState::{Draining, Idle, Running, Silent};
    for worker in ["w1", "w2", "w3"] {
        world.register(worker).await;
        world.clock.advance(Duration::from_secs(1));
    }
    let scheduler = world.queue.take_duty(SCHEDULER, "w3", TERM);
    assert!(scheduler.await.unwrap());
    let id = world.submit(job()).await;
    world.claim_as_hold("w1").await;
    world.drain(Some("w2")).await;
    assert_eq!(world.states(), [Running, Draining, Idle]);
    let [first, second, third] = world.queue.workers().unwrap().try_into().unwrap();
    assert_eq!(
        (first.job, first.tool.as_deref()),
        (Some(id), Some("math__add"))
    );
    assert!(first.managed && !first.scheduler && !second.scheduler && third.scheduler);
    world.clock.advance(LEASE);
    world.queue.see_worker("w2").await.unwrap();
    assert_eq!(world.states(), [Silent, Draining, Silent]);
}

async fn a_worker_tells_how_its_machine_confines_plugins(world: World) {
    let finding = Finding {
        state: State::Partial,
        by: vec!["RLIMIT_AS per process".into()],
        why: Some("no cgroup".into()),
        fix: None,
    };
    let report = Report {
        tier: Tier::Isolated,
        require: Require::Strict,
        refusal: None,
        keys: BTreeMap::from([(Key::Memory, finding)]),
        self_test: None,
    };
    let told = world
        .queue
        .register_worker("w1", "host", "1.0", true, Some(&report));
    told.await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    world.register("w2").await;
    let [first, second] = world.second().workers().unwrap().try_into().unwrap();
    assert_eq!((first.sandbox, second.sandbox), (Some(report), None));
}
