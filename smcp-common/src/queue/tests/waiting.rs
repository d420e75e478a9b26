use super::*;
use crate::job::{Scope, Waiting};

conformance!(
    what_runs_or_has_ended_does_not_wait,
    without_a_worker_that_is_the_reason,
    a_job_waits_for_its_pause_its_time_and_its_turn,
    a_job_waits_for_a_worker_behind_other_lanes,
    jobs_of_a_paused_plugin_do_not_go_first,
    a_repeated_job_waits_for_its_delay,
);

impl World {
    pub(super) async fn why(&self, id: &JobId) -> Vec<Waiting> {
        self.queue.waiting(id).await.unwrap().expect("it is queued")
    }
}

async fn what_runs_or_has_ended_does_not_wait(world: World) {
    let id = world.submit(job()).await;
    world.register("w").await;
    assert_eq!(world.why(&id).await, [], "the worker is about to take it");
    let hold = world.claim_as_hold("w").await;
    assert_eq!(world.queue.waiting(&id).await.unwrap(), None);
    world.finish(&hold, Outcome::Succeeded).await.unwrap();
    assert_eq!(world.queue.waiting(&id).await.unwrap(), None);
    assert_eq!(world.queue.waiting(&JobId::random()).await.unwrap(), None);
}

async fn without_a_worker_that_is_the_reason(world: World) {
    let id = world.submit(job()).await;
    assert_eq!(world.why(&id).await, [Waiting::NoWorker]);
    world.register("w").await;
    assert_eq!(world.why(&id).await, []);
    world.clock.advance(LEASE);
    assert_eq!(world.why(&id).await, []);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.why(&id).await, [Waiting::NoWorker], "it fell silent");
    world.queue.see_worker("w").await.unwrap();
    assert_eq!(world.why(&id).await, []);
    world.queue.release_all("w").await.unwrap();
    assert_eq!(world.why(&id).await, [Waiting::NoWorker], "it stopped");
}

async fn a_job_waits_for_its_pause_its_time_and_its_turn(world: World) {
    world.register("w").await;
    let first = world.submit(in_lane("a")).await;
    let third = world.submit(in_lane("a")).await;
    let behind = |position| Waiting::Behind {
        lane: Some("a".into()),
        position,
    };
    assert_eq!(world.why(&third).await, [behind(2)]);
    let second = world
        .submit(NewJob {
            priority: 1,
            ..in_lane("a")
        })
        .await;
    assert_eq!(world.why(&third).await, [behind(3)]);
    assert_eq!(world.why(&first).await, [behind(2)]);
    let running = world.claim("w").await.unwrap().id;
    assert_eq!(running, second);
    let lane_busy = |position| Waiting::LaneBusy {
        lane: "a".into(),
        job: running.clone(),
        position,
    };
    assert_eq!(world.why(&first).await, [lane_busy(1)]);
    assert_eq!(world.why(&third).await, [lane_busy(2)]);

    let run_at = START.plus(Duration::from_secs(60));
    let later = NewJob {
        run_at: Some(run_at),
        ..in_lane("a")
    };
    let later = world.submit(later).await;
    assert_eq!(world.why(&later).await, [Waiting::NotBefore { run_at }]);
    let paused = [Scope::Lane("a".into()), Scope::Plugin("text".into())];
    for scope in paused {
        world.queue.pause(scope, "operator", None).await.unwrap();
    }
    let [Waiting::Paused(pause), last] = &world.why(&later).await[..] else {
        panic!("the pause of another plugin is no reason")
    };
    assert_eq!(pause.scope, Scope::Lane("a".into()));
    assert_eq!(*last, Waiting::NotBefore { run_at });
}

async fn a_job_waits_for_a_worker_behind_other_lanes(world: World) {
    world.register("w").await;
    world.submit(in_lane("z")).await;
    world.claim("w").await.unwrap();
    world.submit(in_lane("a")).await;
    world.submit(in_lane("a")).await;
    world.submit(in_lane("z")).await;
    let id = world.submit(in_lane("m")).await;
    let busy = |workers, position| Waiting::WorkersBusy { workers, position };
    assert_eq!(
        world.why(&id).await,
        [busy(1, 2)],
        "of lane a one goes first, and z is busy"
    );
    world.register("v").await;
    assert_eq!(world.why(&id).await, [], "an idle worker looks for work");
    let lane = Scope::Lane("a".into());
    world.queue.pause(lane, "operator", None).await.unwrap();
    world.queue.release_all("v").await.unwrap();
    assert_eq!(world.why(&id).await, [busy(1, 1)]);
}

async fn a_repeated_job_waits_for_its_delay(world: World) {
    world.register("w").await;
    let id = world.submit(job()).await;
    let hold = world.claim_as_hold("w").await;
    let after_ms = 5_000;
    world
        .finish(&hold, Outcome::Snoozed { after_ms })
        .await
        .unwrap();
    let run_at = START.plus(Duration::from_millis(after_ms));
    assert_eq!(
        world.why(&id).await,
        [Waiting::Retrying { run_at, attempt: 2 }]
    );
}

async fn jobs_of_a_paused_plugin_do_not_go_first(world: World) {
    world.register("w").await;
    let first = world.submit(job()).await;
    let second = world.submit(job()).await;
    let other = NewJob {
        plugin: "text".into(),
        ..job()
    };
    let other = world.submit(other).await;
    let position = async |id| match &world.why(id).await[..] {
        [.., Waiting::Behind { position, .. }] => Some(*position),
        _ => None,
    };
    assert_eq!(position(&other).await, Some(3));
    let math = Scope::Plugin("math".into());
    world.queue.pause(math, "operator", None).await.unwrap();
    assert_eq!(position(&other).await, None);
    assert_eq!(position(&first).await, None);
    assert_eq!(position(&second).await, Some(2), "among its own");
}
