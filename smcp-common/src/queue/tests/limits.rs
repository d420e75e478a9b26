use super::*;
use crate::job::Origin;
use crate::limit::{Exceeded, Limit, LimitKind, Rate};
use crate::schedule::{Overlap, Run, Schedule, Spec};
use crate::workflow::{Call, StepState, WorkflowId, WorkflowState, read};

conformance!(
    a_rate_holds_within_any_such_time_also_after_a_restart,
    a_quota_begins_anew_with_its_window,
    a_cooldown_counts_from_the_call_before,
    processes_share_a_limit,
    each_agent_and_each_rule_counts_by_itself,
    a_repeated_key_uses_nothing_and_neither_does_a_retry,
    what_one_limit_refuses_no_other_counts,
    a_refusal_is_recorded_and_harms_no_other,
    a_limit_that_changes_goes_by_what_is_known,
    what_is_left_is_told_and_not_used,
    uses_that_do_not_matter_are_forgotten,
    a_tick_that_is_not_admitted_is_refused,
    a_step_that_is_not_admitted_fails,
);

const SECOND: Duration = Duration::from_secs(1);

fn rate(rule: &str, calls: u32, seconds: u64) -> Limit {
    let per_ms = seconds * 1_000;
    let kind = LimitKind::Rate(Rate { calls, per_ms });
    Limit {
        rule: rule.into(),
        kind,
    }
}

fn limited(limits: &[Limit]) -> NewJob {
    NewJob {
        limits: limits.to_vec(),
        ..job()
    }
}

impl World {
    /// Submits a job; the seconds from the start at which a limit admits it, where one does not now.
    async fn ask(&self, limits: &[Limit]) -> Result<(), u64> {
        match self.queue.submit(limited(limits)).await {
            Ok(submitted) => {
                assert!(!submitted.existing);
                Ok(())
            }
            Err(QueueError::LimitExceeded(Exceeded { frees_at, wait, .. })) => {
                assert_eq!(frees_at, self.clock_now().plus(wait));
                Err(frees_at.since(START).as_secs())
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn clock_now(&self) -> Timestamp {
        self.queue.clock().now()
    }

    fn counted(&self, sql: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {sql}");
        self.sql().query_row(&sql, [], |row| row.get(0)).unwrap()
    }
}

async fn a_rate_holds_within_any_such_time_also_after_a_restart(mut world: World) {
    let two = [rate("r", 2, 10)];
    assert_eq!(world.ask(&two).await, Ok(()));
    world.clock.advance(4 * SECOND);
    assert_eq!(world.ask(&two).await, Ok(()));
    assert_eq!(world.ask(&two).await, Err(10), "the first is 4 s old");
    world.queue = world.second();
    world.clock.advance(5 * SECOND);
    assert_eq!(world.ask(&two).await, Err(10), "another process knows");
    world.clock.advance(SECOND);
    assert_eq!(world.ask(&two).await, Ok(()));
    assert_eq!(world.ask(&two).await, Err(14), "the second is 6 s old");
    assert_eq!(world.counted("jobs"), 3);
}

async fn a_quota_begins_anew_with_its_window(world: World) {
    // The start is a multiple of a day's third, not of a day.
    let day = 86_400;
    let kind = LimitKind::Quota(Rate {
        calls: 2,
        per_ms: day * 1_000,
    });
    let quota = [Limit {
        rule: "r".into(),
        kind,
    }];
    let to_midnight = day - START.as_millis().unsigned_abs() / 1_000 % day;
    assert_eq!(world.ask(&quota).await, Ok(()));
    assert_eq!(world.ask(&quota).await, Ok(()));
    assert_eq!(world.ask(&quota).await, Err(to_midnight));
    world.clock.advance(Duration::from_secs(to_midnight));
    assert_eq!(world.ask(&quota).await, Ok(()));
    assert_eq!(world.ask(&quota).await, Ok(()));
    assert_eq!(world.ask(&quota).await, Err(to_midnight + day));
}

async fn a_cooldown_counts_from_the_call_before(world: World) {
    let kind = LimitKind::Cooldown(30_000);
    let cooldown = [Limit {
        rule: "r".into(),
        kind,
    }];
    assert_eq!(world.ask(&cooldown).await, Ok(()));
    world.clock.advance(29 * SECOND);
    assert_eq!(world.ask(&cooldown).await, Err(30), "a refusal is no call");
    world.clock.advance(SECOND);
    assert_eq!(world.ask(&cooldown).await, Ok(()));
    assert_eq!(world.ask(&cooldown).await, Err(60));
}

async fn processes_share_a_limit(world: World) {
    let submits = (0..4).map(|_| {
        let queue = world.second();
        tokio::spawn(async move {
            let (mut admitted, mut refused) = (0, 0);
            while admitted + refused < 5 {
                match queue.submit(limited(&[rate("r", 10, 60)])).await {
                    Ok(_) => admitted += 1,
                    Err(QueueError::LimitExceeded(_)) => refused += 1,
                    Err(QueueError::Busy) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
            admitted
        })
    });
    let mut admitted = 0;
    for submits in submits.collect::<Vec<_>>() {
        admitted += submits.await.unwrap();
    }
    assert_eq!((admitted, world.counted("jobs")), (10, 10));
    assert_eq!(world.audited("call.denied").len(), 10);
    assert_eq!(world.broken_audit(), None);
}

async fn each_agent_and_each_rule_counts_by_itself(world: World) {
    let other = NewJob {
        agent: "ada".into(),
        ..limited(&[rate("r", 1, 10)])
    };
    assert_eq!(world.ask(&[rate("r", 1, 10)]).await, Ok(()));
    assert_eq!(world.ask(&[rate("r", 1, 10)]).await, Err(10));
    assert_eq!(world.ask(&[rate("s", 1, 10)]).await, Ok(()));
    world.submit(other).await;
    assert_eq!(world.ask(&[]).await, Ok(()), "no rule, no limit");
}

async fn a_repeated_key_uses_nothing_and_neither_does_a_retry(world: World) {
    let one = [rate("r", 1, 10)];
    let keyed = || NewJob {
        idempotency_key: Some("k".into()),
        ..limited(&one)
    };
    let id = world.submit(keyed()).await;
    let again = world.queue.submit(keyed()).await.unwrap();
    assert_eq!((again.id, again.existing), (id.clone(), true));
    let hold = world.claim_as_hold("w").await;
    world.finish(&hold, Outcome::Released).await.unwrap();
    let hold = world.claim_as_hold("w").await;
    assert_eq!(hold.attempt, 2);
    world.finish(&hold, failed()).await.unwrap();
    let revived = world.queue.revive(&[id], "operator", None).await.unwrap();
    assert!(revived[0].1.is_ok());
    assert_eq!(world.counted("limit_uses"), 1);
    assert_eq!(world.ask(&one).await, Err(10));
}

async fn what_one_limit_refuses_no_other_counts(world: World) {
    let (one, three) = (rate("one", 1, 10), rate("three", 3, 60));
    let both = [one.clone(), three.clone()];
    assert_eq!(world.ask(&both).await, Ok(()));
    assert_eq!(world.ask(&both).await, Err(10));
    assert_eq!(world.ask(std::slice::from_ref(&three)).await, Ok(()));
    assert_eq!(world.ask(std::slice::from_ref(&three)).await, Ok(()));
    assert_eq!(world.ask(&both).await, Err(60), "the one that frees last");
    // Two limits of one rule count the same calls.
    let of_one_rule = [rate("r", 2, 60), rate("r", 1, 10)];
    assert_eq!(world.ask(&of_one_rule).await, Ok(()));
    assert_eq!(world.ask(&of_one_rule).await, Err(10));
    world.clock.advance(10 * SECOND);
    assert_eq!(world.ask(&of_one_rule).await, Ok(()));
    assert_eq!(world.ask(&of_one_rule).await, Err(60));
}

async fn a_refusal_is_recorded_and_harms_no_other(world: World) {
    let one = [rate("builtin:some", 1, 10)];
    let jobs = (0..20).map(|n| {
        let queue = world.queue.clone();
        let job = limited(if n % 2 == 0 { &one } else { &[] });
        tokio::spawn(async move { queue.submit(job).await })
    });
    let mut said = Vec::new();
    for answer in jobs.collect::<Vec<_>>() {
        if let Err(error) = answer.await.unwrap() {
            said.push(error.to_string());
        }
    }
    assert_eq!(world.counted("jobs"), 11, "ten without a limit, and one");
    let expected = "rule 'builtin:some' allows 1 call within 10 s; the next is possible at 2027-01-15T08:00:10.000Z, in 10 s";
    assert_eq!(said, vec![expected; 9]);
    let call = crate::canonical::call("math__add", &limited(&one).arguments);
    let digest = DigestKey::new(&Key::new([7; 32])).digest(&call);
    let data = json!({"address": null, "arguments": {"a": 1}, "arguments_digest": crate::canonical::hex(&digest),
                      "transport": null, "via": "call", "code": "limit_exceeded", "frees_at": START.plus(10 * SECOND), "limit": "1 call within 10 s", "policy": "",
                      "rules": ["builtin:some"], "tool": "math__add"});
    let record = format!("local {}", crate::canonical::to_string(&data));
    assert_eq!(world.audited("call.denied"), vec![record; 9]);
    assert_eq!(world.broken_audit(), None);
}

async fn a_limit_that_changes_goes_by_what_is_known(world: World) {
    for _ in 0..4 {
        assert_eq!(world.ask(&[rate("r", 4, 10)]).await, Ok(()));
        world.clock.advance(SECOND);
    }
    assert_eq!(world.ask(&[rate("r", 4, 10)]).await, Err(10));
    assert_eq!(
        world.ask(&[rate("r", 2, 10)]).await,
        Err(12),
        "the third counts"
    );
    assert_eq!(world.ask(&[rate("r", 5, 10)]).await, Ok(()));
    assert_eq!(world.ask(&[rate("r", 5, 10)]).await, Err(10));
    world.clock.advance(9 * SECOND);
    assert_eq!(world.ask(&[rate("r", 2, 10)]).await, Ok(()));
    assert_eq!(world.counted("limit_uses"), 2, "no more are asked about");
}

async fn what_is_left_is_told_and_not_used(world: World) {
    let limits = [
        rate("r", 3, 10),
        rate("s", 1, 10),
        Limit {
            rule: "r".into(),
            kind: LimitKind::Cooldown(2_000),
        },
    ];
    let left = async || {
        let left = world.queue.limits_left("local", &limits).await.unwrap();
        let told = left.into_iter().map(|left| {
            let frees_in = left.frees_at.map(|at| at.since(START).as_secs());
            (left.used, left.allowed, frees_in)
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(left().await, [(0, 3, None), (0, 1, None), (0, 1, None)]);
    for _ in 0..2 {
        assert_eq!(world.ask(&limits[..1]).await, Ok(()));
    }
    assert_eq!(left().await, [(2, 3, None), (0, 1, None), (1, 1, Some(2))]);
    world.clock.advance(3 * SECOND);
    assert_eq!(world.ask(&limits[..2]).await, Ok(()));
    assert_eq!(
        left().await,
        [(3, 3, Some(10)), (1, 1, Some(13)), (1, 1, Some(5))]
    );
    world.clock.advance(8 * SECOND);
    assert_eq!(left().await, [(1, 3, None), (1, 1, Some(13)), (0, 1, None)]);
    let others = world.queue.limits_left("ada", &limits).await.unwrap();
    assert!(others.iter().all(|left| left.used == 0));
}

async fn uses_that_do_not_matter_are_forgotten(world: World) {
    for rule in ["a", "b"] {
        for _ in 0..3 {
            assert_eq!(world.ask(&[rate(rule, 3, 10)]).await, Ok(()));
        }
    }
    world.clock.advance(5 * SECOND);
    assert_eq!(world.ask(&[rate("b", 9, 10)]).await, Ok(()));
    world.clock.advance(Duration::from_millis(4_999));
    assert!(!world.queue.prune_limits().await.unwrap());
    assert_eq!(world.counted("limit_uses"), 7);
    world.clock.advance(Duration::from_millis(1));
    assert!(!world.queue.prune_limits().await.unwrap());
    assert_eq!(world.counted("limit_uses"), 4, "all of a, none of b");
    assert_eq!(world.counted("limits"), 1);
}

async fn a_tick_that_is_not_admitted_is_refused(world: World) {
    let spec = Spec {
        overlap: Overlap::Replace,
        ..schedules::spec()
    };
    let id = Schedule::random_id();
    let created = world.queue.create_schedule(&id, "ada", "often", spec);
    created.await.unwrap();
    let schedule = || world.queue.schedule(&id).unwrap().unwrap();
    let run = || {
        let tool = schedules::tool();
        let mut run = schedule()
            .run(|_| Some(&tool), |_, _| Ok(granted()), None)
            .unwrap();
        if let Run::Job(job) = &mut run {
            job.limits = vec![rate("r", 1, 3_600)];
        }
        run
    };
    let fire = async |minutes: u64| {
        let now = START.plus(Duration::from_secs(60 * minutes));
        let firing = Firing {
            schedule: id.clone(),
            version: schedule().version,
            ticks: vec![(now, Ok(run()))],
            missed: None,
            next: schedule().next,
            unusable: None,
        };
        let fired = world.queue.fire_schedules(vec![firing], "worker:w").await;
        let fired = fired.unwrap();
        (fired.submitted, fired.refused)
    };
    let mut outcomes = Vec::new();
    for minutes in 0..2 {
        world.clock.advance(60 * SECOND);
        let sql = "UPDATE schedules SET next_tick = ?1, fire_at = ?1";
        let far = START.plus(Duration::from_secs(600 + minutes)).as_millis();
        world.sql().execute(sql, [far]).unwrap();
        outcomes.push(fire(minutes).await);
    }
    assert_eq!(outcomes, [(1, 0), (0, 1)]);
    let ticks = world.queue.ticks(&id, 10).unwrap();
    let why = "Rule 'r' allows 1 call within 1 h; the next is possible at 2027-01-15T09:01:00.000Z, in 3540 s.";
    assert_eq!(ticks[0].detail.as_deref(), Some(why));
    assert!(world.audited("schedule.refused")[0].contains(why));
    let first = world.job(ticks[1].job.as_ref().unwrap());
    assert_eq!(first.state, StateName::Queued, "nothing takes its place");

    let triggered = world.queue.trigger_schedule(&id, run(), "operator").await;
    assert!(matches!(triggered, Err(QueueError::LimitExceeded(_))));
    assert_eq!(world.queue.ticks(&id, 10).unwrap().len(), 2);
    assert_eq!(world.audited("call.denied").len(), 1);
}

async fn a_step_that_is_not_admitted_fails(world: World) {
    let steps = json!([{"id": "a", "tool": "math__add"},
                       {"id": "b", "tool": "math__add", "on_failure": "continue"},
                       {"id": "c", "tool": "text__add", "needs": ["a", "b"]},
                       {"id": "d", "tool": "text__add", "verify": {"tool": "math__add", "every": 5, "need": 1, "of": 1, "deadline": 60}}]);
    let definition = json!({"name": "n", "steps": steps});
    let definition = read(&definition).unwrap();
    let id = WorkflowId::random();
    let new = NewWorkflow {
        id: id.clone(),
        agent: "local".into(),
        definition,
        rules: AllowedBy::new(),
        schedule: None,
        idempotency_key: None,
    };
    world.queue.submit_workflow(new).await.unwrap();
    let math = rate("r", 1, 3_600);
    let mut made = |workflow: &Workflow, call: Call<'_>| {
        let limits = if call.tool == "math__add" {
            std::slice::from_ref(&math)
        } else {
            &[]
        };
        let origin = Origin::Workflow {
            workflow: workflow.id.to_string(),
            step: call.step.id.clone(),
        };
        Ok(NewJob {
            tool: call.tool.into(),
            source: Source::Workflow,
            origin: Some(origin),
            lane: None,
            ..limited(limits)
        })
    };
    let mut advance = async || {
        while let [id, ..] = &world.queue.workflows_due().unwrap().0[..] {
            let tools = BTreeMap::new();
            let advanced = world
                .queue
                .advance_workflow(id, "worker:w", &tools, &mut made);
            advanced.await.unwrap();
        }
    };
    let stands = || world.queue.workflow(&id).unwrap().unwrap();
    advance().await;
    let codes = || {
        let steps = stands().steps.into_iter();
        let told = steps.map(|step| (step.state, step.error.map(|error| error.code)));
        told.collect::<Vec<_>>()
    };
    let refused = || (StepState::Failed, Some("limit_exceeded".to_owned()));
    let running = || (StepState::Running, None);
    assert_eq!(
        codes(),
        [running(), refused(), (StepState::Waiting, None), running()]
    );
    while let Some(job) = world.claim("w").await {
        let hold = Hold {
            job: job.id,
            attempt: job.attempt,
            worker: "w".into(),
        };
        world.finish(&hold, Outcome::Succeeded).await.unwrap();
        advance().await;
    }
    let succeeded = || (StepState::Succeeded, None);
    assert_eq!(codes()[..2], [succeeded(), refused()]);
    assert_eq!(codes()[3], refused(), "its check is a call, too");
    assert_eq!(stands().state, WorkflowState::Failed);
    assert_eq!(world.audited("call.denied").len(), 2);
}
