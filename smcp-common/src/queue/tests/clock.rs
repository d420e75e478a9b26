//! What happens when somebody sets the clock by an hour, or the machine has slept for one.

use std::time::Instant;

use super::*;

conformance!(
    a_clock_set_forward_takes_no_job_from_a_worker_that_renews,
    a_worker_that_is_silent_loses_its_job_whatever_the_clock,
    a_clock_set_back_keeps_no_job_of_a_silent_worker,
    a_clock_set_back_keeps_no_scan_of_a_silent_worker,
    a_late_scanner_changes_nothing,
    a_job_that_was_due_stays_due_when_the_clock_is_set_back,
    an_expired_lease_that_is_renewed_in_time_is_kept,
);

const HOUR: Duration = Duration::from_hours(1);

/// Somebody who looks at the leases every ten seconds.
struct Watcher {
    watch: LeaseWatch,
    at: Instant,
}

impl Watcher {
    fn new() -> Self {
        Self {
            watch: LeaseWatch::default(),
            at: Instant::now(),
        }
    }

    /// Looks, and says how many jobs were lost. Both clocks go on by the time between two looks.
    async fn look(&mut self, world: &World) -> usize {
        let lost = world.queue.lose_expired(&mut self.watch, self.at).await;
        self.at += RENEW_EVERY;
        world.clock.advance(RENEW_EVERY);
        lost.unwrap()
    }
}

async fn a_clock_set_forward_takes_no_job_from_a_worker_that_renews(world: World) {
    let id = world.submit(job()).await;
    let hold = world.claim_as_hold("w").await;
    let mut watcher = Watcher::new();
    for step in [HOUR, HOUR, Duration::ZERO, 24 * HOUR] {
        world.clock.advance(step);
        // The worst order: the others look just before the worker renews.
        for _ in 0..4 {
            assert_eq!(watcher.look(&world).await, 0);
            world.queue.renew(&hold).await.unwrap();
        }
    }
    world.finish(&hold, Outcome::Succeeded).await.unwrap();
    assert_eq!(world.job(&id).state, StateName::Succeeded);
}

async fn a_worker_that_is_silent_loses_its_job_whatever_the_clock(world: World) {
    let id = world.submit(job()).await;
    world.claim_as_hold("w").await;
    let mut watcher = Watcher::new();
    let mut lost = Vec::new();
    for _ in 0..5 {
        lost.push(watcher.look(&world).await);
    }
    assert_eq!(
        lost,
        [0, 0, 0, 0, 1],
        "the first look after its lease's end"
    );
    assert_eq!(world.job(&id).state, StateName::Queued);

    world.claim_as_hold("w").await;
    let mut watcher = Watcher::new();
    world.clock.advance(HOUR);
    let mut lost = Vec::new();
    for _ in 0..3 {
        lost.push(watcher.look(&world).await);
    }
    assert_eq!(lost, [0, 0, 1], "seen for long enough");
}

async fn a_clock_set_back_keeps_no_job_of_a_silent_worker(world: World) {
    let id = world.submit(job()).await;
    world.claim_as_hold("w").await;
    world.clock.set(START.minus(HOUR));
    let mut watcher = Watcher::new();
    let mut lost = Vec::new();
    for _ in 0..3 {
        lost.push(watcher.look(&world).await);
    }
    assert_eq!(lost, [0, 0, 1]);
    assert_eq!(world.job(&id).state, StateName::Queued);
    assert!(world.claim("w2").await.is_some(), "and it can be claimed");
}

async fn an_expired_lease_that_is_renewed_in_time_is_kept(world: World) {
    world.submit(job()).await;
    let hold = world.claim_as_hold("w").await;
    let expired = world.queue.store.read(c::leases).unwrap();
    world.clock.advance(HOUR);
    // Between somebody's look and the commit that follows from it.
    world.queue.renew(&hold).await.unwrap();
    let lost = world.queue.store.write(c::LoseExpired(expired)).await;
    assert_eq!(lost.unwrap(), 0);
    world.finish(&hold, Outcome::Succeeded).await.unwrap();
}

async fn a_clock_set_back_keeps_no_scan_of_a_silent_worker(world: World) {
    world.queue.want_scan("ada").await.unwrap();
    world.queue.take_scan("dead").await.unwrap().unwrap();
    assert_eq!(world.queue.take_scan("alive").await.unwrap(), None);
    world.clock.set(START.minus(HOUR));
    assert!(world.queue.take_scan("alive").await.unwrap().is_some());
}

async fn a_late_scanner_changes_nothing(world: World) {
    let plugin = |name: &str| catalogue::plugin(name, "1");
    let wanted = world.queue.want_scan("ada").await.unwrap();
    world.queue.take_scan("late").await.unwrap().unwrap();
    world.clock.advance(HOUR);
    world.queue.take_scan("current").await.unwrap().unwrap();
    let finish = async |worker: &str, found| {
        let finished = world
            .queue
            .finish_scan(worker, wanted, vec![found], Vec::new());
        finished.await.unwrap()
    };
    assert!(!finish("late", plugin("old")).await);
    assert!(finish("current", plugin("new")).await);
    assert!(!finish("late", plugin("old")).await);
    let catalogue = world.queue.catalogue().unwrap();
    assert_eq!((catalogue.version, catalogue.scanned), (1, wanted));
    assert_eq!(catalogue.plugins[0].name, "new");
}

async fn a_job_that_was_due_stays_due_when_the_clock_is_set_back(world: World) {
    let later = NewJob {
        run_at: Some(START.plus(HOUR)),
        ..in_lane("later")
    };
    let (now, later) = (world.submit(job()).await, world.submit(later).await);
    world.clock.set(START.minus(HOUR));
    assert_eq!(world.claim("w").await.unwrap().id, now);
    assert_eq!(world.claim("w").await, None);
    world.clock.set(START.plus(HOUR));
    assert_eq!(world.claim("w").await.unwrap().id, later);
}
