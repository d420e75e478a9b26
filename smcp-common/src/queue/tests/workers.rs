use super::*;

conformance!(
    a_duty_is_one_workers_until_its_lease_is_over,
    a_dead_workers_duty_is_free_at_once,
    a_duty_survives_a_clock_that_is_set_back,
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
