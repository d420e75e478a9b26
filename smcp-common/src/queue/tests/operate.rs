use super::*;
use crate::job::Origin;

conformance!(
    jobs_are_selected_by_state_tool_lane_age_and_error,
    brackets_in_a_pattern_mean_themselves,
    an_ended_job_runs_again_as_a_new_attempt,
    what_has_not_failed_is_not_run_again,
    a_step_of_a_workflow_is_not_run_again_alone,
    a_collision_skips_one_job,
    a_repeated_job_is_no_longer_its_sessions,
    queued_jobs_are_flushed_in_batches,
    what_has_begun_meanwhile_is_not_flushed,
    ended_jobs_are_flushed_with_all_that_is_kept_of_them,
    an_answer_that_a_session_may_come_back_for_is_kept,
    priorities_change_the_order,
);

fn all(state: StateName) -> Selection {
    Selection {
        state,
        tool: None,
        lane: None,
        plugin: None,
        error_code: None,
        before: None,
        since: None,
        limit: 1_000,
    }
}

fn of(tool: &str) -> NewJob {
    NewJob {
        tool: tool.into(),
        plugin: tool.split_once("__").unwrap().0.into(),
        lane: None,
        ..job()
    }
}

impl World {
    async fn found(&self, selection: Selection) -> Vec<JobId> {
        let found = self.queue.select(selection).await.unwrap();
        found.into_iter().map(|found| found.id).collect()
    }

    /// A job that has ended that way.
    async fn ended(&self, job: NewJob, outcome: Outcome) -> JobId {
        let id = self.submit(job).await;
        let hold = self.claim_as_hold("w").await;
        self.finish(&hold, outcome).await.unwrap();
        id
    }

    async fn revive(&self, id: &JobId) -> Result<(), Obstacle> {
        let each = self
            .queue
            .revive(std::slice::from_ref(id), "operator", None);
        only(each.await.unwrap())
    }
}

impl World {
    async fn flush(&self, id: &JobId, state: StateName) -> Result<(), Obstacle> {
        let ids = std::slice::from_ref(id);
        only(
            self.queue
                .flush(ids, state, "operator", None)
                .await
                .unwrap(),
        )
    }

    async fn prioritise(&self, id: &JobId, priority: i32) -> Result<(), Obstacle> {
        let ids = std::slice::from_ref(id);
        only(
            self.queue
                .prioritise(ids, priority, "operator")
                .await
                .unwrap(),
        )
    }
}

fn only(mut each: Each) -> Result<(), Obstacle> {
    assert_eq!(each.len(), 1);
    each.remove(0).1
}

async fn jobs_are_selected_by_state_tool_lane_age_and_error(world: World) {
    let failed = world.ended(of("math__add"), failed()).await;
    let done = world.ended(of("math__sub"), Outcome::Succeeded).await;
    world.clock.advance(Duration::from_secs(10));
    let old = world.submit(of("math__add")).await;
    world.clock.advance(Duration::from_secs(10));
    let new = world
        .submit(NewJob {
            lane: Some("text".into()),
            ..of("text__add")
        })
        .await;
    let queued = || all(StateName::Queued);
    let tool = |tool: &str| Selection {
        tool: Some(tool.into()),
        ..queued()
    };
    let (lane, plugin) = (Some("text".to_owned()), Some("math".to_owned()));
    let between = Some(START.plus(Duration::from_secs(15)));
    let error = |code: &str| Selection {
        error_code: Some(code.into()),
        ..all(StateName::Failed)
    };
    let rows = [
        (queued(), vec![&old, &new]),
        (all(StateName::Succeeded), vec![&done]),
        (tool("*__add"), vec![&old, &new]),
        (tool("math__*"), vec![&old]),
        (tool("math__ad?"), vec![&old]),
        (tool("math"), vec![]),
        (Selection { lane, ..queued() }, vec![&new]),
        (Selection { plugin, ..queued() }, vec![&old]),
        (
            Selection {
                before: between,
                ..queued()
            },
            vec![&old],
        ),
        (
            Selection {
                since: between,
                ..queued()
            },
            vec![&new],
        ),
        (
            Selection {
                limit: 1,
                ..queued()
            },
            vec![&old],
        ),
        (error("plugin_error"), vec![&failed]),
        (error("timeout"), vec![]),
    ];
    for (selection, expected) in rows {
        let said = format!("{selection:?}");
        assert_eq!(
            world.found(selection).await.iter().collect::<Vec<_>>(),
            expected,
            "{said}"
        );
    }
}

async fn brackets_in_a_pattern_mean_themselves(world: World) {
    world.submit(of("math__add")).await;
    let odd = world.submit(of("math__[a]dd")).await;
    for (pattern, expected) in [("math__[a]dd", vec![odd]), ("math__[^b]dd", vec![])] {
        let tool = Some(pattern.to_owned());
        let selection = Selection {
            tool,
            ..all(StateName::Queued)
        };
        assert_eq!(world.found(selection).await, expected, "{pattern}");
    }
}

async fn an_ended_job_runs_again_as_a_new_attempt(world: World) {
    let id = world.ended(job(), failed()).await;
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(world.revive(&id).await, Ok(()));
    let queued = world.job(&id);
    assert_eq!(
        (
            queued.state,
            queued.error,
            queued.finished_at,
            queued.run_at
        ),
        (StateName::Queued, None, None, world.queue.clock().now())
    );
    let events = world.queue.events(&id, 0, 10).unwrap();
    let last = events.last().unwrap();
    let data = json!({"attempt": 1, "reason": "retry asked by operator", "run_at": null});
    assert_eq!((last.kind, &last.data), (EventKind::Requeued, &data));
    let hold = world.claim_as_hold("w").await;
    assert_eq!((&hold.job, hold.attempt), (&id, 2));
    world.finish(&hold, Outcome::Succeeded).await.unwrap();
    assert_eq!(world.job(&id).attempts.len(), 2);

    let cancelled = world.submit(job()).await;
    world
        .queue
        .cancel(&cancelled, "ci", Some("no"))
        .await
        .unwrap();
    assert_eq!(world.revive(&cancelled).await, Ok(()));
    assert_eq!(world.job(&cancelled).cancel, None);
    world.claim("w").await.unwrap();
    let once = NewJob {
        effect: Effect::Once,
        ..in_lane("once")
    };
    let unknown = world.submit(once).await;
    world.claim("v").await.unwrap();
    world.queue.lose_worker("v").await.unwrap();
    assert_eq!(world.job(&unknown).state, StateName::OutcomeUnknown);
    assert_eq!(world.revive(&unknown).await, Ok(()));
    assert_eq!(world.claim("v").await.unwrap().attempt, 2);
    assert_eq!(world.broken_audit(), None);
}

async fn what_has_not_failed_is_not_run_again(world: World) {
    let done = world.ended(job(), Outcome::Succeeded).await;
    let running = world.submit(job()).await;
    world.claim("w").await.unwrap();
    let queued = world.submit(job()).await;
    let refused = |state| Err(Obstacle::State(state));
    assert_eq!(world.revive(&done).await, refused(StateName::Succeeded));
    assert_eq!(world.revive(&running).await, refused(StateName::Running));
    assert_eq!(world.revive(&queued).await, refused(StateName::Queued));
    assert_eq!(world.revive(&JobId::random()).await, Err(Obstacle::Missing));
    let failed = world.ended(of("a__b"), failed()).await;
    let only_unknown = world.queue.revive(
        std::slice::from_ref(&failed),
        "operator",
        Some(StateName::OutcomeUnknown),
    );
    assert_eq!(
        only(only_unknown.await.unwrap()),
        refused(StateName::Failed)
    );
}

async fn a_step_of_a_workflow_is_not_run_again_alone(world: World) {
    let origin = Some(Origin::Workflow {
        workflow: "release".into(),
        step: "build".into(),
    });
    let step = NewJob {
        source: Source::Workflow,
        origin,
        ..job()
    };
    let id = world.ended(step, failed()).await;
    let workflow = || Err(Obstacle::Workflow("release".into()));
    assert_eq!(world.revive(&id).await, workflow());
    let flush = world.flush(&id, StateName::Failed);
    assert_eq!(flush.await, workflow());
}

async fn a_collision_skips_one_job(world: World) {
    let mut jobs = Vec::new();
    for tool in ["a__b", "a__b", "c__d"] {
        jobs.push(world.ended(of(tool), failed()).await);
    }
    // Whatever may be there once only, now or one day.
    let unique = "CREATE UNIQUE INDEX one_of_a_kind ON jobs (tool) WHERE state = 'queued'";
    world.sql().execute(unique, []).unwrap();
    let each = world.queue.revive(&jobs, "operator", None).await.unwrap();
    let became: Vec<_> = each.into_iter().map(|(_, became)| became).collect();
    assert_eq!(became, [Ok(()), Err(Obstacle::Collision), Ok(())]);
    assert_eq!(world.job(&jobs[1]).state, StateName::Failed);
    assert_eq!(world.kinds(&jobs[1]).last(), Some(&EventKind::Finished));
    assert_eq!(world.broken_audit(), None);
}

async fn called(world: &World) -> (JobId, SessionCall) {
    let session = Session {
        agent: "local".into(),
        parameters: "{}".into(),
    };
    let open = world.queue.open_session("s", session, 10);
    assert!(open.await.unwrap());
    let call = SessionCall {
        session: "s".into(),
        request: "1".into(),
    };
    let submitted = world.queue.submit_for(job(), call.clone()).await.unwrap();
    let hold = world.claim_as_hold("w").await;
    world.finish(&hold, failed()).await.unwrap();
    (submitted.id, call)
}

/// The end of a session stops what belongs to its calls; this one has been answered.
async fn a_repeated_job_is_no_longer_its_sessions(world: World) {
    let (id, call) = called(&world).await;
    assert!(world.queue.became(&call).unwrap().is_some());
    assert_eq!(world.revive(&id).await, Ok(()));
    assert!(world.queue.became(&call).unwrap().is_none());
}

async fn queued_jobs_are_flushed_in_batches(world: World) {
    let mut jobs = Vec::new();
    for _ in 0..=BATCH {
        jobs.push(world.submit(job()).await);
    }
    let flush = world
        .queue
        .flush(&jobs, StateName::Queued, "operator", Some("too many"));
    let each = flush.await.unwrap();
    assert!(each.iter().all(|(_, became)| became.is_ok()));
    assert_eq!(
        each.iter().map(|(id, _)| id).collect::<Vec<_>>(),
        jobs.iter().collect::<Vec<_>>()
    );
    let last = world.job(&jobs[BATCH]);
    let cancel = last.cancel.unwrap();
    assert_eq!(
        (last.state, cancel.by.as_str(), cancel.reason.as_deref()),
        (StateName::Cancelled, "operator", Some("too many"))
    );
    assert_eq!(world.claim("w").await, None);
    assert_eq!(world.broken_audit(), None);
}

async fn what_has_begun_meanwhile_is_not_flushed(world: World) {
    let id = world.submit(job()).await;
    let hold = world.claim_as_hold("w").await;
    let flush = world.flush(&id, StateName::Queued);
    let running = Err(Obstacle::State(StateName::Running));
    assert_eq!(flush.await, running);
    assert!(!world.queue.is_cancelling(&hold).unwrap());
}

async fn ended_jobs_are_flushed_with_all_that_is_kept_of_them(world: World) {
    let id = world.submit(job()).await;
    let hold = world.claim_as_hold("w").await;
    let output = b"text".to_vec();
    let finish = Finish {
        output,
        ..end(&hold, failed())
    };
    world.queue.finish(finish, false).await.unwrap();
    let flush = world.flush(&id, StateName::Failed);
    assert_eq!(flush.await, Ok(()));
    assert_eq!(world.queue.job(&id).unwrap(), None);
    for table in ["jobs", "attempts", "job_events", "outputs"] {
        let count = format!("SELECT count(*) FROM {table}");
        let left: u32 = world.sql().query_row(&count, [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0, "{table}");
    }
    assert_eq!(world.broken_audit(), None, "what happened stays on record");
}

async fn an_answer_that_a_session_may_come_back_for_is_kept(world: World) {
    let (id, _) = called(&world).await;
    let flush = async || world.flush(&id, StateName::Failed).await;
    assert_eq!(flush().await, Err(Obstacle::Awaited));
    world.queue.close_session("s").await.unwrap();
    assert_eq!(flush().await, Ok(()));
}

async fn priorities_change_the_order(world: World) {
    let first = world.submit(of("a__b")).await;
    let second = world.submit(of("a__b")).await;
    let set = world.prioritise(&second, 7);
    assert_eq!(set.await, Ok(()));
    assert_eq!(world.job(&second).priority, 7);
    assert_eq!(world.claim("w").await.unwrap().id, second);
    let set = world.prioritise(&second, 1);
    let running = Err(Obstacle::State(StateName::Running));
    assert_eq!(set.await, running);
    assert_eq!(world.claim("w").await.unwrap().id, first);
    assert_eq!(world.broken_audit(), None);
}
