use super::*;
use crate::job::{Pause, Scope};

conformance!(
    a_paused_lane_is_skipped,
    a_paused_plugin_is_skipped_inside_a_shared_lane,
    while_all_is_paused_nothing_is_claimed_nor_waited_for,
    a_pause_survives_and_stands_for_every_worker,
    a_pause_does_not_touch_what_runs,
    a_finish_claims_nothing_that_is_paused,
    who_pauses_twice_pauses_once,
    a_deep_backlog_behind_a_pause_costs_a_step,
    what_is_paused_and_falls_due_wakes_nobody_twice,
    the_queue_is_told_lane_by_lane,
);

fn lane(name: &str) -> Scope {
    Scope::Lane(name.into())
}

fn plugin(name: &str) -> Scope {
    Scope::Plugin(name.into())
}

fn of(plugin: &str, lane: Option<&str>) -> NewJob {
    NewJob {
        tool: format!("{plugin}__do"),
        plugin: plugin.into(),
        lane: lane.map(Into::into),
        ..job()
    }
}

impl World {
    async fn pauses(&self, scope: Scope) -> bool {
        let paused = self.queue.pause(scope, "operator", Some("maintenance"));
        paused.await.unwrap()
    }

    async fn resumes(&self, scope: Scope) -> bool {
        self.queue.resume(scope, "operator").await.unwrap()
    }
}

async fn a_paused_lane_is_skipped(world: World) {
    let a = world.submit(in_lane("a")).await;
    let b = world.submit(in_lane("b")).await;
    assert!(world.pauses(lane("a")).await);
    assert_eq!(world.claim("w1").await.unwrap().id, b);
    assert_eq!(world.claim("w2").await, None);
    assert!(world.resumes(lane("a")).await);
    assert_eq!(world.claim("w2").await.unwrap().id, a);
}

async fn a_paused_plugin_is_skipped_inside_a_shared_lane(world: World) {
    let first = world.submit(of("math", Some("shared"))).await;
    let second = world.submit(of("text", Some("shared"))).await;
    let laneless = world.submit(of("math", None)).await;
    let free = world.submit(of("text", None)).await;
    world.pauses(plugin("math")).await;
    assert_eq!(world.claim("w1").await.unwrap().id, second);
    assert_eq!(world.claim("w2").await.unwrap().id, free);
    assert_eq!(world.claim("w3").await, None);
    world.resumes(plugin("math")).await;
    assert_eq!(
        world.claim("w3").await.unwrap().id,
        laneless,
        "the lane is busy"
    );
    assert_eq!(world.claim("w4").await, None);
    assert_eq!(world.job(&first).state, StateName::Queued);
}

async fn while_all_is_paused_nothing_is_claimed_nor_waited_for(world: World) {
    world.submit(job()).await;
    let soon = Some(START.plus(Duration::from_secs(1)));
    world
        .submit(NewJob {
            run_at: soon,
            ..job()
        })
        .await;
    world.pauses(Scope::All).await;
    world.clock.advance(Duration::from_secs(2));
    // A worker that were told to come back at an instant that has passed would ask without end.
    let nothing = Work::None { next_due: None };
    assert_eq!(world.queue.claim("w").await.unwrap(), nothing);
    world.resumes(Scope::All).await;
    assert!(world.claim("w").await.is_some());
}

async fn a_pause_survives_and_stands_for_every_worker(world: World) {
    world.submit(in_lane("a")).await;
    world.pauses(lane("a")).await;
    let other = world.second();
    let expected = Pause {
        scope: lane("a"),
        since: START,
        by: "operator".into(),
        reason: Some("maintenance".into()),
    };
    assert_eq!(other.pauses().unwrap(), [expected]);
    assert!(matches!(other.claim("w").await.unwrap(), Work::None { .. }));
    let mut news = other.news();
    news.mark_unchanged();
    world.resumes(lane("a")).await;
    let heard = tokio::time::timeout(Duration::from_secs(10), news.changed());
    heard.await.unwrap().unwrap();
    assert!(matches!(other.claim("w").await.unwrap(), Work::Job(_)));
    assert_eq!(world.broken_audit(), None);
}

async fn a_pause_does_not_touch_what_runs(world: World) {
    let id = world.submit(in_lane("a")).await;
    let hold = world.claim_as_hold("w").await;
    world.pauses(lane("a")).await;
    assert!(!world.queue.renew(&hold).await.unwrap().cancelling);
    world.finish(&hold, Outcome::Succeeded).await.unwrap();
    assert_eq!(world.job(&id).state, StateName::Succeeded);
}

async fn a_finish_claims_nothing_that_is_paused(world: World) {
    world.submit(in_lane("a")).await;
    world.submit(in_lane("a")).await;
    let hold = world.claim_as_hold("w").await;
    world.pauses(lane("a")).await;
    let next = world
        .queue
        .finish(end(&hold, Outcome::Succeeded), true)
        .await;
    assert_eq!(next.unwrap(), None);
}

async fn who_pauses_twice_pauses_once(world: World) {
    assert!(world.pauses(lane("a")).await);
    world.clock.advance(Duration::from_secs(1));
    assert!(!world.pauses(lane("a")).await);
    assert_eq!(world.queue.pauses().unwrap()[0].since, START);
    assert!(
        !world.resumes(plugin("a")).await,
        "a plugin of that name is another thing"
    );
    assert!(world.resumes(lane("a")).await);
    assert!(!world.resumes(lane("a")).await);
}

/// Not one job of the backlog is looked at, whatever pause it stands behind.
async fn a_deep_backlog_behind_a_pause_costs_a_step(world: World) {
    for _ in 0..500 {
        world.submit(of("math", Some("shared"))).await;
    }
    let late = world.submit(of("text", Some("shared"))).await;
    world.pauses(plugin("math")).await;
    let sql = world.sql();
    // What the plan says of an index is not what is read of it.
    let instructions = |statement: &str, parameters: &[&str]| {
        let mut statement = sql.prepare(statement).unwrap();
        let group: String = statement
            .query_row(rusqlite::params_from_iter(parameters), |row| row.get(0))
            .unwrap();
        let instructions = statement.get_status(rusqlite::StatementStatus::VmStep);
        assert!(instructions < 100, "{instructions} to find {group}");
    };
    instructions(include_str!("../sql/claim_lane.sql"), &[""]);
    instructions(include_str!("../sql/claim_plugin.sql"), &["shared", "math"]);
    assert_eq!(world.claim("w").await.unwrap().id, late);
}

async fn what_is_paused_and_falls_due_wakes_nobody_twice(world: World) {
    let (soon, later) = (Duration::from_secs(1), Duration::from_secs(9));
    for delay in [soon, later] {
        let run_at = Some(START.plus(delay));
        world
            .submit(NewJob {
                run_at,
                ..in_lane("a")
            })
            .await;
    }
    world.pauses(lane("a")).await;
    world.clock.advance(soon);
    // The first look lets it compete, the second one knows that there is nothing to do until the next falls due.
    assert_eq!(world.claim("w").await, None);
    let next_due = Some(START.plus(later));
    assert_eq!(
        world.queue.claim("w").await.unwrap(),
        Work::None { next_due }
    );
}

async fn the_queue_is_told_lane_by_lane(world: World) {
    let running = world.submit(of("math", Some("math"))).await;
    world.claim("w").await.unwrap();
    world.submit(of("math", Some("math"))).await;
    world.clock.advance(Duration::from_secs(1));
    world.submit(of("math", Some("math"))).await;
    let later = Some(START.plus(Duration::from_secs(60)));
    world
        .submit(NewJob {
            run_at: later,
            ..of("text", None)
        })
        .await;
    world.pauses(lane("empty")).await;
    world.pauses(plugin("text")).await;

    let queues = world.queue.queues().await.unwrap();
    let [without, empty, math] = &queues.lanes[..] else {
        panic!("{queues:?}")
    };
    assert_eq!(queues.pauses.len(), 2);
    assert_eq!(
        (&without.lane, without.queued, without.scheduled),
        (&None, 0, 1)
    );
    assert_eq!(without.paused[0].scope, plugin("text"));
    assert_eq!(
        (empty.lane.as_deref(), empty.queued, empty.paused.len()),
        (Some("empty"), 0, 1)
    );
    assert_eq!((math.queued, math.oldest_due), (2, Some(START)));
    assert_eq!(math.running[0].id, running);
    let load = |queued, scheduled, running| Load {
        queued,
        scheduled,
        running,
    };
    assert_eq!(queues.load(&Scope::All), load(2, 1, 1));
    assert_eq!(queues.load(&lane("math")), load(2, 0, 1));
    assert_eq!(queues.load(&plugin("text")), load(0, 1, 0));
    assert_eq!(queues.load(&plugin("none")), Load::default());
    assert!(math.paused.is_empty());
}
