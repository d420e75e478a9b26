use super::*;
use crate::job::CancelRequest;
use crate::sandbox::{Confinement, Key, Start, Tier};

conformance!(
    a_success_is_recorded_once,
    a_failure_keeps_its_reason,
    a_finish_may_claim_the_next_job,
    a_late_worker_changes_nothing,
    a_renewed_lease_holds_and_a_lost_one_does_not,
    a_lost_job_runs_again_where_it_may,
    a_lost_job_that_must_not_repeat_ends_unknown,
    a_job_that_kills_its_workers_is_given_up,
    a_dead_workers_jobs_are_settled_at_once,
    a_stopping_worker_gives_back_without_cost,
    a_waiting_job_is_cancelled_at_once,
    a_running_job_is_asked_to_stop,
    to_cancel_the_ended_or_the_missing,
    output_is_kept_and_read_by_range,
    a_new_attempt_begins_with_no_output,
    news_come_in_order,
    news_are_read_in_pages_of_bounded_size,
    workers_are_listed_until_they_stop,
    what_held_an_attempt_is_kept_with_it,
);

async fn a_success_is_recorded_once(world: World) {
    let id = world.submit(job()).await;
    let hold = world.claim_as_hold("w").await;
    world.clock.advance(Duration::from_secs(2));
    world.finish(&hold, Outcome::Succeeded).await.unwrap();
    let again = world.finish(&hold, failed()).await.unwrap_err();
    assert!(matches!(again, QueueError::LeaseLost { attempt: 1, .. }));

    let job = world.job(&id);
    let ended_at = START.plus(Duration::from_secs(2));
    assert_eq!(
        (job.state, job.finished_at, job.error),
        (StateName::Succeeded, Some(ended_at), None)
    );
    let [attempt] = job.attempts.try_into().unwrap();
    assert_eq!(
        (
            attempt.worker.as_str(),
            attempt.started_at,
            attempt.ended_at
        ),
        ("w", START, Some(ended_at))
    );
    assert_eq!(attempt.outcome.as_deref(), Some("succeeded"));
    assert_eq!(
        world.kinds(&id),
        [EventKind::Queued, EventKind::Started, EventKind::Finished]
    );
    assert_eq!(world.broken_audit(), None);
}

async fn a_failure_keeps_its_reason(world: World) {
    let id = world.submit(job()).await;
    let hold = world.claim_as_hold("w").await;
    world.finish(&hold, failed()).await.unwrap();
    let job = world.job(&id);
    assert_eq!(job.state, StateName::Failed);
    assert_eq!(
        job.error,
        Some(Failure::new("plugin_error", "it did not work"))
    );
    assert_eq!(job.attempts[0].error, job.error);
}

async fn a_finish_may_claim_the_next_job(world: World) {
    world.submit(job()).await;
    let second = world.submit(job()).await;
    let hold = world.claim_as_hold("w").await;
    let next = world
        .queue
        .finish(end(&hold, Outcome::Succeeded), true)
        .await
        .unwrap();
    assert_eq!(
        next.unwrap().id,
        second,
        "its lane is free within the same commit"
    );
}

async fn a_late_worker_changes_nothing(world: World) {
    let id = world.submit(job()).await;
    let late = world.claim_as_hold("w1").await;
    world.clock.advance(LEASE + Duration::from_millis(1));
    assert_eq!(world.lose_expired().await, 1);
    let current = world.claim_as_hold("w2").await;
    assert_eq!(current.attempt, 2);

    let output = News::Output(b"late".to_vec());
    for refused in [
        world.finish(&late, Outcome::Succeeded).await,
        world.queue.append(&late, vec![output]).await,
        world.queue.renew(&late).await.map(drop),
    ] {
        assert!(matches!(
            refused,
            Err(QueueError::LeaseLost { attempt: 1, .. })
        ));
    }
    world.finish(&current, failed()).await.unwrap();
    let job = world.job(&id);
    assert_eq!((job.state, job.output_bytes), (StateName::Failed, 0));
}

async fn a_renewed_lease_holds_and_a_lost_one_does_not(world: World) {
    world.submit(job()).await;
    let hold = world.claim_as_hold("w").await;
    for _ in 0..5 {
        world.clock.advance(RENEW_EVERY);
        let lease = world.queue.renew(&hold).await.unwrap();
        assert_eq!(
            lease,
            Lease {
                until: crate::clock::Clock::now(&*world.clock).plus(LEASE),
                cancelling: false
            }
        );
    }
    assert_eq!(world.lose_expired().await, 0);
    world.clock.advance(LEASE + Duration::from_millis(1));
    assert_eq!(world.lose_expired().await, 1);
}

async fn a_lost_job_runs_again_where_it_may(world: World) {
    let id = world.submit(job()).await;
    world.claim_as_hold("w1").await;
    assert_eq!(world.queue.lose_worker("w1").await.unwrap(), 1);
    assert_eq!(world.job(&id).state, StateName::Queued);
    assert_eq!(
        world.kinds(&id),
        [EventKind::Queued, EventKind::Started, EventKind::Requeued]
    );
    assert_eq!(world.claim_as_hold("w2").await.attempt, 2);
    assert_eq!(
        world.job(&id).attempts[0].outcome.as_deref(),
        Some("worker_lost")
    );
}

async fn a_lost_job_that_must_not_repeat_ends_unknown(world: World) {
    let id = world
        .submit(NewJob {
            effect: Effect::Once,
            ..job()
        })
        .await;
    world.claim_as_hold("w1").await;
    world.queue.lose_worker("w1").await.unwrap();
    let job = world.job(&id);
    assert_eq!(job.state, StateName::OutcomeUnknown);
    assert_eq!(job.error.unwrap().code, "outcome_unknown");
    assert_eq!(world.claim("w2").await, None);
}

async fn a_job_that_kills_its_workers_is_given_up(world: World) {
    let id = world.submit(job()).await;
    for n in 1..=3 {
        assert_eq!(world.claim_as_hold("w").await.attempt, n);
        world.queue.lose_worker("w").await.unwrap();
    }
    let job = world.job(&id);
    let error = job.error.unwrap();
    assert_eq!(
        (job.state, error.code.as_str()),
        (StateName::Failed, "worker_lost")
    );
    assert!(
        error.message.contains("the last of its 3 attempts"),
        "{error:?}"
    );
    assert_eq!(world.claim("w").await, None);
}

async fn a_dead_workers_jobs_are_settled_at_once(world: World) {
    let lost = world
        .submit(NewJob {
            lane: None,
            ..job()
        })
        .await;
    let kept = world
        .submit(NewJob {
            lane: None,
            ..job()
        })
        .await;
    world.claim_as_hold("dead").await;
    world.claim_as_hold("alive").await;
    world.queue.lose_worker("dead").await.unwrap();
    assert_eq!(world.job(&lost).state, StateName::Queued);
    assert_eq!(world.job(&kept).state, StateName::Running);
}

async fn a_stopping_worker_gives_back_without_cost(world: World) {
    let repeatable = world
        .submit(NewJob {
            lane: None,
            retry: Some(Retry {
                max_attempts: 1,
                ..Retry::default()
            }),
            ..job()
        })
        .await;
    let once = world
        .submit(NewJob {
            lane: None,
            effect: Effect::Once,
            ..job()
        })
        .await;
    for _ in 0..2 {
        world.claim_as_hold("w").await;
    }
    assert_eq!(world.queue.release_all("w").await.unwrap(), 2);
    assert_eq!(
        world.job(&repeatable).state,
        StateName::Queued,
        "though only one attempt may be held against it"
    );
    assert_eq!(
        world.job(&once).state,
        StateName::OutcomeUnknown,
        "it had begun and must not be repeated"
    );
}

async fn a_waiting_job_is_cancelled_at_once(world: World) {
    let id = world.submit(job()).await;
    assert_eq!(
        world
            .queue
            .cancel(&id, "ada", Some("not needed"))
            .await
            .unwrap(),
        StateName::Cancelled
    );
    let job = world.job(&id);
    assert_eq!(job.state, StateName::Cancelled);
    let request = CancelRequest {
        at: START,
        by: "ada".into(),
        reason: Some("not needed".into()),
    };
    assert_eq!(job.cancel, Some(request));
    assert_eq!(
        world.kinds(&id),
        [
            EventKind::Queued,
            EventKind::CancelRequested,
            EventKind::Finished
        ]
    );
    assert_eq!(world.claim("w").await, None);
}

async fn a_running_job_is_asked_to_stop(world: World) {
    let id = world.submit(job()).await;
    let hold = world.claim_as_hold("w").await;
    assert!(!world.queue.is_cancelling(&hold).unwrap());
    assert_eq!(
        world.queue.cancel(&id, "ada", None).await.unwrap(),
        StateName::Running
    );
    assert!(world.queue.is_cancelling(&hold).unwrap());
    assert!(world.queue.renew(&hold).await.unwrap().cancelling);
    world.finish(&hold, Outcome::Stopped).await.unwrap();
    assert_eq!(world.job(&id).state, StateName::Cancelled);
}

async fn to_cancel_the_ended_or_the_missing(world: World) {
    let id = world.submit(job()).await;
    let hold = world.claim_as_hold("w").await;
    world.finish(&hold, Outcome::Succeeded).await.unwrap();
    assert_eq!(
        world.queue.cancel(&id, "ada", None).await.unwrap(),
        StateName::Succeeded
    );
    assert_eq!(world.job(&id).cancel, None);
    let missing = world.queue.cancel(&JobId::random(), "ada", None).await;
    assert!(matches!(missing, Err(QueueError::NoSuchJob(_))));
}

async fn output_is_kept_and_read_by_range(world: World) {
    let id = world.submit(job()).await;
    let hold = world.claim_as_hold("w").await;
    for chunk in ["hello ", "wide "] {
        world
            .queue
            .append(&hold, vec![News::Output(chunk.into())])
            .await
            .unwrap();
    }
    let last = Finish {
        output: b"world".to_vec(),
        printed_bytes: Some(99),
        ..end(&hold, Outcome::Succeeded)
    };
    world.queue.finish(last, false).await.unwrap();
    for (offset, limit, expected) in [
        (0, 100, "hello wide world"),
        (3, 5, "lo wi"),
        (11, 100, "world"),
        (16, 9, ""),
    ] {
        let read = world.queue.output(&id, offset, limit).await.unwrap();
        assert_eq!(
            String::from_utf8(read).unwrap(),
            expected,
            "{limit} bytes from {offset}"
        );
    }
    let job = world.job(&id);
    assert_eq!((job.output_bytes, job.output_truncated), (16, true));
    assert_eq!(job.printed_bytes, Some(99));
}

async fn a_new_attempt_begins_with_no_output(world: World) {
    let id = world.submit(job()).await;
    let lost = world.claim_as_hold("w1").await;
    let half = vec![News::Output(b"half".to_vec())];
    world.queue.append(&lost, half).await.unwrap();
    world.queue.lose_worker("w1").await.unwrap();
    assert_eq!(world.queue.output(&id, 0, 100).await.unwrap(), b"half");

    let hold = world.claim_as_hold("w2").await;
    assert_eq!(world.queue.output(&id, 0, 100).await.unwrap(), b"");
    let whole = Finish {
        output: b"whole".to_vec(),
        ..end(&hold, Outcome::Succeeded)
    };
    world.queue.finish(whole, false).await.unwrap();
    assert_eq!(world.queue.output(&id, 0, 100).await.unwrap(), b"whole");
    assert_eq!(world.job(&id).output_bytes, 5);
}

async fn news_come_in_order(world: World) {
    let id = world.submit(job()).await;
    let hold = world.claim_as_hold("w").await;
    let progress = json!({"progress": 1, "total": 2});
    world
        .queue
        .append(
            &hold,
            vec![News::Progress(progress.clone()), News::Log("a line".into())],
        )
        .await
        .unwrap();
    world.finish(&hold, Outcome::Succeeded).await.unwrap();

    let events = world.queue.events(&id, 2, 2).unwrap();
    assert_eq!(
        events.iter().map(|event| event.kind).collect::<Vec<_>>(),
        [EventKind::Progress, EventKind::Log]
    );
    assert_eq!(
        (&events[0].data, &events[1].data),
        (&progress, &json!({"message": "a line"}))
    );
    let last = world.queue.events(&id, events[1].seq, 10).unwrap();
    assert_eq!(last[0].data, json!({"state": "succeeded"}));
    assert_eq!(world.queue.last_event().unwrap(), last[0].seq);
}

async fn news_are_read_in_pages_of_bounded_size(world: World) {
    let id = world.submit(job()).await;
    let hold = world.claim_as_hold("w").await;
    let line = "x".repeat(EVENTS_BYTES / 3);
    let lines = vec![News::Log(line); 10];
    world.queue.append(&hold, lines).await.unwrap();
    let (mut last, mut pages) = (2, Vec::new());
    while let page = world.queue.events(&id, last, 1_000).unwrap()
        && let Some(newest) = page.last()
    {
        last = newest.seq;
        pages.push(page.len());
    }
    assert_eq!(pages, [3, 3, 3, 1]);
}

async fn workers_are_listed_until_they_stop(world: World) {
    world
        .queue
        .register_worker("w", "host", "1.0", false, None)
        .await
        .unwrap();
    let id = world.submit(job()).await;
    world.claim_as_hold("w").await;
    world.clock.advance(Duration::from_secs(5));
    world.queue.see_worker("w").await.unwrap();
    let [worker] = world.queue.workers().unwrap().try_into().unwrap();
    assert_eq!((worker.pid, worker.job), (std::process::id(), Some(id)));
    assert_eq!(
        (worker.started_at, worker.last_seen),
        (START, START.plus(Duration::from_secs(5)))
    );
    world.queue.release_all("w").await.unwrap();
    assert!(world.queue.workers().unwrap().is_empty());
}

async fn what_held_an_attempt_is_kept_with_it(world: World) {
    let id = world.submit(job()).await;
    let held = Confinement {
        tier: Tier::Isolated,
        by: vec!["mount namespace".into(), "seccomp".into()],
        partial: vec![Key::Memory],
        start: Start::Warm,
        cold_because: None,
    };
    let refused = world.claim_as_hold("w").await;
    let again = Outcome::Snoozed { after_ms: 0 };
    world.finish(&refused, again).await.unwrap();
    let hold = world.claim_as_hold("w").await;
    let finish = Finish {
        confinement: Some(held.clone()),
        ..end(&hold, Outcome::Succeeded)
    };
    world.queue.finish(finish, false).await.unwrap();
    let attempts = world.job(&id).attempts;
    let sandboxes: Vec<_> = attempts
        .into_iter()
        .map(|attempt| attempt.sandbox)
        .collect();
    assert_eq!(sandboxes, [None, Some(held)], "the first had no process");
}
