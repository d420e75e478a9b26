use super::*;

conformance!(
    a_submitted_job_is_queued_and_announced,
    the_same_key_and_arguments_give_the_same_job,
    the_same_key_and_other_arguments_conflict,
    a_key_belongs_to_its_agent,
    many_callers_at_once_all_get_their_jobs,
    jobs_are_listed_newest_first_and_filtered,
    arguments_keep_their_order_and_depth,
);

async fn a_submitted_job_is_queued_and_announced(world: World) {
    let id = world.submit(job()).await;
    let stored = world.job(&id);
    assert_eq!(
        (stored.state, stored.created_at, stored.run_at),
        (StateName::Queued, START, START)
    );
    assert_eq!(world.kinds(&id), [EventKind::Queued]);
    assert_eq!(world.queue.tail(0).unwrap(), [(1, id)]);
    assert_eq!(world.broken_audit(), None);
}

async fn the_same_key_and_arguments_give_the_same_job(world: World) {
    let keyed = || NewJob {
        idempotency_key: Some("k".into()),
        ..job()
    };
    let first = world.queue.submit(keyed()).await.unwrap();
    let second = world.queue.submit(keyed()).await.unwrap();
    assert_eq!(
        second,
        Submitted {
            id: first.id.clone(),
            existing: true
        }
    );

    let hold = world.claim_as_hold("w").await;
    world.finish(&hold, Outcome::Succeeded).await.unwrap();
    assert_eq!(
        world.queue.submit(keyed()).await.unwrap().id,
        first.id,
        "also after its end"
    );
    assert_eq!(
        world.kinds(&first.id),
        [EventKind::Queued, EventKind::Started, EventKind::Finished]
    );
}

async fn the_same_key_and_other_arguments_conflict(world: World) {
    let keyed = |a: i32| NewJob {
        idempotency_key: Some("k".into()),
        arguments: arguments(json!({ "a": a })),
        ..job()
    };
    let first = world.submit(keyed(1)).await;
    let conflict = world.queue.submit(keyed(2)).await.unwrap_err();
    assert!(
        matches!(&conflict, QueueError::IdempotencyConflict { key, job } if key == "k" && *job == first)
    );
    assert_eq!(world.queue.jobs(all()).await.unwrap().len(), 1);
}

async fn a_key_belongs_to_its_agent(world: World) {
    let keyed = |agent: &str| NewJob {
        idempotency_key: Some("k".into()),
        agent: agent.into(),
        ..job()
    };
    assert_ne!(
        world.submit(keyed("ada")).await,
        world.submit(keyed("bob")).await
    );
}

async fn many_callers_at_once_all_get_their_jobs(world: World) {
    let shared = || NewJob {
        idempotency_key: Some("k".into()),
        ..job()
    };
    let first = world.submit(shared()).await;
    let conflicting = || NewJob {
        arguments: Map::new(),
        ..shared()
    };
    let callers = (0..64).map(|n| {
        let queue = world.queue.clone();
        let new = if n % 8 == 0 { conflicting() } else { job() };
        tokio::spawn(async move { queue.submit(new).await })
    });
    let mut recorded = 0;
    for caller in callers.collect::<Vec<_>>() {
        match caller.await.unwrap() {
            Ok(submitted) => {
                assert_eq!(world.job(&submitted.id).state, StateName::Queued);
                recorded += 1;
            }
            Err(error) => assert!(
                matches!(error, QueueError::IdempotencyConflict { job, .. } if job == first)
            ),
        }
    }
    assert_eq!(recorded, 56, "one caller's error harms nobody else");
    assert_eq!(world.broken_audit(), None);
}

async fn jobs_are_listed_newest_first_and_filtered(world: World) {
    let first = world.submit(in_lane("a")).await;
    let second = world
        .submit(NewJob {
            agent: "ada".into(),
            ..in_lane("b")
        })
        .await;
    let ids = |jobs: Vec<Job>| jobs.into_iter().map(|job| job.id).collect::<Vec<_>>();
    assert_eq!(
        ids(world.queue.jobs(all()).await.unwrap()),
        [second.clone(), first.clone()]
    );
    assert_eq!(
        ids(world
            .queue
            .jobs(Filter {
                lane: Some("a".into()),
                ..all()
            })
            .await
            .unwrap()),
        [first]
    );
    assert_eq!(
        ids(world
            .queue
            .jobs(Filter {
                agent: Some("ada".into()),
                ..all()
            })
            .await
            .unwrap()),
        [second.clone()]
    );
    assert_eq!(
        ids(world
            .queue
            .jobs(Filter { limit: 1, ..all() })
            .await
            .unwrap()),
        [second]
    );
    let running = Filter {
        state: Some(StateName::Running),
        ..all()
    };
    assert!(world.queue.jobs(running).await.unwrap().is_empty());
}

async fn arguments_keep_their_order_and_depth(world: World) {
    let given = r#"{"z":[{"b":1,"a":"é"}],"a":1.0}"#;
    let id = world
        .submit(NewJob {
            arguments: serde_json::from_str(given).unwrap(),
            ..job()
        })
        .await;
    assert_eq!(world.job(&id).arguments.to_string(), given);
    let claimed = world.claim("w").await.unwrap();
    assert_eq!(Value::from(claimed.arguments).to_string(), given);
}

fn all() -> Filter {
    Filter {
        limit: 100,
        ..Filter::default()
    }
}
