use super::*;

conformance!(
    an_empty_queue_gives_nothing,
    a_lane_runs_one_job_at_a_time,
    jobs_without_a_lane_run_beside_each_other,
    a_backlog_behind_a_busy_lane_hides_nothing,
    higher_priority_first_then_first_come,
    the_best_job_of_all_free_lanes_comes_first,
    a_job_of_the_future_waits_for_its_time,
    a_future_job_of_high_priority_does_not_hold_up_the_present,
    every_claim_has_its_own_number,
    the_claim_agrees_with_the_state_machine,
    racing_workers_never_share_a_job,
    the_depth_counts_what_waits_and_runs,
);

async fn an_empty_queue_gives_nothing(world: World) {
    assert_eq!(
        world.queue.claim("w").await.unwrap(),
        Work::None { next_due: None }
    );
}

async fn a_lane_runs_one_job_at_a_time(world: World) {
    let first = world.submit(in_lane("a")).await;
    let second = world.submit(in_lane("a")).await;
    let other = world.submit(in_lane("b")).await;
    let hold = world.claim_as_hold("w1").await;
    assert_eq!(hold.job, first);
    assert_eq!(
        world.claim("w2").await.unwrap().id,
        other,
        "the other lane is free"
    );
    assert_eq!(world.claim("w3").await, None);
    world.finish(&hold, Outcome::Succeeded).await.unwrap();
    assert_eq!(world.claim("w3").await.unwrap().id, second);
}

async fn jobs_without_a_lane_run_beside_each_other(world: World) {
    for _ in 0..2 {
        world
            .submit(NewJob {
                lane: None,
                ..job()
            })
            .await;
    }
    assert!(world.claim("w1").await.is_some());
    assert!(world.claim("w2").await.is_some());
}

async fn a_backlog_behind_a_busy_lane_hides_nothing(world: World) {
    for _ in 0..50 {
        world.submit(in_lane("a")).await;
    }
    let late = world.submit(in_lane("b")).await;
    world.claim("w1").await.unwrap();
    assert_eq!(world.claim("w2").await.unwrap().id, late);
}

async fn higher_priority_first_then_first_come(world: World) {
    let mut submitted = Vec::new();
    for priority in [0, 5, 0, 5, -5] {
        submitted.push(
            world
                .submit(NewJob {
                    priority,
                    lane: None,
                    ..job()
                })
                .await,
        );
        world.clock.advance(Duration::from_millis(1));
    }
    let mut claimed = Vec::new();
    while let Some(job) = world.claim("w").await {
        claimed.push(job.id);
    }
    let order: Vec<_> = [1, 3, 0, 2, 4].map(|n: usize| submitted[n].clone()).into();
    assert_eq!(claimed, order);
}

async fn the_best_job_of_all_free_lanes_comes_first(world: World) {
    // (lane, priority), in the order of their coming. Lanes whose names begin alike are different lanes.
    let jobs = [
        (Some("b"), 1),
        (Some("a"), 0),
        (None, 0),
        (Some(""), 2),
        (Some("a!"), 2),
        (Some("a"), 3),
        (None, 3),
        (Some("b"), 3),
        (Some("ä"), -1),
        (Some(""), 4),
    ];
    let mut submitted = Vec::new();
    for (lane, priority) in jobs {
        let lane = lane.map(ToOwned::to_owned);
        let job = NewJob {
            lane,
            priority,
            ..job()
        };
        submitted.push(world.submit(job).await);
        world.clock.advance(Duration::from_millis(1));
    }
    let mut claimed = Vec::new();
    while let Some(job) = world.claim("w").await {
        claimed.push(submitted.iter().position(|id| *id == job.id).unwrap());
    }
    // Then every lane is busy: what is left waits behind a better job of its own.
    assert_eq!(claimed, [9, 5, 6, 7, 4, 2, 8]);
}

async fn a_job_of_the_future_waits_for_its_time(world: World) {
    let run_at = START.plus(Duration::from_secs(60));
    let id = world
        .submit(NewJob {
            run_at: Some(run_at),
            ..job()
        })
        .await;
    assert_eq!(
        world.queue.claim("w").await.unwrap(),
        Work::None {
            next_due: Some(run_at)
        }
    );
    world.clock.advance(Duration::from_secs(59));
    assert_eq!(world.claim("w").await, None);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.claim("w").await.unwrap().id, id);
}

async fn a_future_job_of_high_priority_does_not_hold_up_the_present(world: World) {
    let later = START.plus(Duration::from_secs(60));
    world
        .submit(NewJob {
            run_at: Some(later),
            priority: 100,
            ..in_lane("a")
        })
        .await;
    let now = world.submit(in_lane("a")).await;
    assert_eq!(world.claim("w").await.unwrap().id, now);
}

async fn every_claim_has_its_own_number(world: World) {
    let id = world.submit(job()).await;
    for attempt in 1..=3 {
        let hold = world.claim_as_hold("w").await;
        assert_eq!((&hold.job, hold.attempt), (&id, attempt));
        world.finish(&hold, Outcome::Released).await.unwrap();
    }
    let attempts = world.job(&id).attempts;
    assert_eq!(
        attempts.iter().map(|attempt| attempt.n).collect::<Vec<_>>(),
        [1, 2, 3]
    );
}

/// SQL is no second opinion: what it claims is what `next` lets be claimed.
async fn the_claim_agrees_with_the_state_machine(world: World) {
    use crate::job::{Event, Policy, State, next};
    let id = world.submit(job()).await;
    let policy = Policy {
        effect: Effect::Idempotent,
        max_attempts: 3,
        retry_on: crate::job::Causes::default(),
    };
    for name in StateName::ALL {
        let ended = name.is_final();
        let running = name == StateName::Running;
        let awaits = name == StateName::AwaitingApproval;
        let set = "UPDATE jobs SET state = ?2, attempt = 1, worker = iif(?3, 'w0', NULL), lease_until = iif(?3, 1, NULL),
                   finished_at = iif(?4, 1, NULL), approval_round = ?5 WHERE id = ?1";
        world
            .sql()
            .execute(
                set,
                params![id.as_str(), name.as_str(), running, ended, awaits],
            )
            .unwrap();
        let state = row::state(id.as_str(), name.as_str(), 1, 0, false).unwrap();
        let claimed = world.claim("w").await.map(|job| job.attempt);
        let expected = match next(state, Event::Claimed, policy) {
            Ok(State::Running { attempt, .. }) => Some(attempt),
            _ => None,
        };
        assert_eq!(claimed, expected, "{name}");
        world.sql().execute("DELETE FROM attempts", []).unwrap();
    }
}

async fn racing_workers_never_share_a_job(world: World) {
    for n in 0..40 {
        world
            .submit(NewJob {
                lane: (n % 2 == 0).then(|| format!("lane-{n}")),
                ..job()
            })
            .await;
    }
    let workers = (0..4).map(|n| {
        let queue = world.second();
        tokio::spawn(async move {
            let mut claimed = Vec::new();
            loop {
                match queue.claim(&format!("w{n}")).await {
                    Ok(Work::Job(job)) => claimed.push(job.id),
                    Ok(Work::None { .. }) => return claimed,
                    Err(QueueError::Busy) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        })
    });
    let mut claimed = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        claimed.extend(worker.await.unwrap());
    }
    claimed.sort();
    claimed.dedup();
    assert_eq!(claimed.len(), 40);
    assert_eq!(
        world.broken_audit(),
        None,
        "the chain holds with several writers"
    );
}

async fn the_depth_counts_what_waits_and_runs(world: World) {
    world.submit(in_lane("a")).await;
    world.submit(in_lane("a")).await;
    world
        .submit(NewJob {
            run_at: Some(START.plus(Duration::from_secs(9))),
            ..job()
        })
        .await;
    world.claim("w").await.unwrap();
    let depth = world.queue.depth().await.unwrap();
    assert_eq!(
        depth,
        Depth {
            queued: 1,
            scheduled: 1,
            running: 1,
            oldest_due: Some(START)
        }
    );
}
