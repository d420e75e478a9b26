use super::*;
use crate::clock::Clock as _;
use crate::plugin::{Manifest, Tool};
use crate::schedule::{
    CatchUp, Due, Missed, Overlap, Run, Schedule, Spec, Standing, Target, Tick, TickKind,
    TickOutcome, plan,
};
use crate::workflow::{WorkflowId, WorkflowState};

conformance!(
    a_tick_becomes_one_job_and_the_next_tick_is_written_with_it,
    two_schedulers_with_the_same_plan_make_one_job,
    many_schedulers_at_once_make_one_job_a_tick,
    a_plan_for_another_state_is_left_alone,
    a_tick_that_has_been_decided_about_is_not_run_again,
    a_tick_is_skipped_while_the_run_before_goes_on,
    a_tick_waits_for_the_run_before_and_is_run_once,
    no_more_ticks_wait_than_a_hundred,
    a_tick_replaces_the_run_before,
    missed_ticks_are_caught_up_with_as_wanted,
    a_paused_schedule_misses_nothing,
    a_change_keeps_the_history_and_the_tick_that_is_due,
    names_are_unique_for_each_owner,
    a_schedule_ends_with_its_last_run,
    a_triggered_run_is_beside_the_others,
    a_tick_becomes_one_workflow,
    a_workflow_that_runs_counts_as_the_run_before,
    a_tool_that_is_gone_is_refused_and_the_schedule_goes_on,
    a_denied_tick_is_recorded_with_what_becomes_of_it,
    a_deleted_schedule_takes_its_ticks_along_and_leaves_its_jobs,
    schedules_of_the_future_cost_an_index_lookup,
    many_ticks_are_kept_but_not_all,
    clocks_that_change_neither_lose_nor_double_a_run,
);

const MINUTE: Duration = Duration::from_secs(60);

pub(super) fn spec() -> Spec {
    Spec {
        cron: "* * * * *".into(),
        zone: "UTC".into(),
        target: Target::Tool {
            tool: "math__add".into(),
            arguments: arguments(json!({"a": 1})),
        },
        start_at: None,
        end_at: None,
        max_runs: None,
        jitter: Duration::ZERO,
        overlap: Overlap::Skip,
        catch_up: CatchUp::None,
        catch_up_window: Duration::from_secs(24 * 60 * 60),
        retry: None,
        priority: 7,
    }
}

/// What is scheduled.
pub(super) fn tool() -> Tool {
    let document =
        json!({"commands": [{"name": "add", "parameters": [{"name": "a", "type": "integer"}]}]});
    let (tools, _) = Manifest::parse(&document).unwrap().into_tools("math");
    tools.into_iter().next().unwrap()
}

/// What a scheduler decides about a schedule.
pub(super) fn firing(schedule: &Schedule, now: Timestamp) -> Firing {
    let cron = schedule.spec.cron().unwrap();
    let next = schedule.next.unwrap();
    let plan = plan(&cron, &schedule.spec, schedule.runs, next, now, 0.5);
    let run = || run(schedule);
    Firing {
        schedule: schedule.id.clone(),
        version: schedule.version,
        ticks: plan.run.into_iter().map(|tick| (tick, run())).collect(),
        missed: plan.missed,
        next: plan.next,
        unusable: None,
    }
}

/// What a tick becomes, where the tool of the schedule is there.
fn run(schedule: &Schedule) -> Result<Run, NoJob> {
    let tool = tool();
    schedule.run(|_| Some(&tool), |_, _| Ok(granted()), None)
}

impl World {
    async fn schedule(&self, spec: Spec) -> String {
        let id = Schedule::random_id();
        let created = self.queue.create_schedule(&id, "ada", "nightly", spec);
        created.await.unwrap();
        id
    }

    fn stored(&self, id: &str) -> Schedule {
        self.queue.schedule(id).unwrap().unwrap()
    }

    /// Does what a scheduler does now.
    async fn fire(&self) -> Fired {
        let now = self.clock.now();
        let due = self.queue.due_schedules(now, 50).unwrap();
        let firings = due.iter().map(|due| firing(due, now)).collect();
        let fired = self
            .queue
            .fire_schedules(firings, "worker:w")
            .await
            .unwrap();
        for (id, tick) in self.queue.waiting_ticks(50).unwrap() {
            let schedule = self.stored(&id);
            let fired = self
                .queue
                .fire_waiting(&id, tick, run(&schedule), "worker:w");
            assert!(fired.await.unwrap());
        }
        fired
    }

    /// A minute passes.
    async fn next_minute(&self) -> Fired {
        self.clock.advance(MINUTE);
        self.fire().await
    }

    fn ticks(&self, id: &str) -> Vec<Tick> {
        self.queue.ticks(id, 1_000).unwrap()
    }

    /// What became of the ticks, oldest first.
    fn outcomes(&self, id: &str) -> Vec<&'static str> {
        let ticks = self.ticks(id).into_iter().rev();
        ticks.map(|tick| tick.outcome.as_str()).collect()
    }

    async fn jobs(&self) -> Vec<Job> {
        let filter = Filter {
            limit: 1_000,
            ..Filter::default()
        };
        self.queue.jobs(filter).await.unwrap()
    }

    async fn run_one(&self) {
        let hold = self.claim_as_hold("w").await;
        self.finish(&hold, Outcome::Succeeded).await.unwrap();
    }

    fn schedule_audit(&self) -> Vec<String> {
        let sql = self.sql();
        let mut kinds = sql
            .prepare("SELECT kind FROM audit WHERE kind LIKE 'schedule.%' ORDER BY seq")
            .unwrap();
        let rows = kinds.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }
}

async fn a_tick_becomes_one_job_and_the_next_tick_is_written_with_it(world: World) {
    let id = world.schedule(spec()).await;
    let created = world.stored(&id);
    let first = created.next.unwrap();
    assert_eq!(
        first.tick,
        START.plus(MINUTE),
        "the start is a whole minute"
    );
    assert_eq!(created.standing(), Standing::Active);
    assert_eq!(world.queue.next_due().unwrap(), Some(first.fire_at));
    assert_eq!(world.fire().await, Fired::default());

    assert_eq!(world.next_minute().await.submitted, 1);
    assert_eq!(world.fire().await, Fired::default());
    let [job] = world.jobs().await.try_into().unwrap();
    assert_eq!(
        (
            job.agent.as_str(),
            job.source.as_str(),
            job.priority,
            &job.arguments
        ),
        ("ada", "schedule", 7, &json!({"a": 1}))
    );
    let schedule = id.clone();
    assert_eq!(job.origin, Some(crate::job::Origin::Schedule { schedule }));
    let stored = world.stored(&id);
    assert_eq!(
        (stored.runs, stored.last_tick, stored.next.unwrap().tick),
        (1, Some(first.tick), first.tick.plus(MINUTE))
    );
    let expected = Tick {
        tick: first.tick,
        kind: TickKind::Cron,
        outcome: TickOutcome::Submitted,
        job: Some(job.id),
        workflow: None,
        detail: None,
        at: first.tick,
    };
    assert_eq!(world.ticks(&id), [expected]);
    assert_eq!(
        world.schedule_audit(),
        ["schedule.created", "schedule.fired"]
    );
    assert_eq!(world.broken_audit(), None);
}

async fn two_schedulers_with_the_same_plan_make_one_job(world: World) {
    let id = world.schedule(spec()).await;
    world.clock.advance(MINUTE);
    let now = world.clock.now();
    let other = world.second();
    let seen = world.stored(&id);
    let due = other.due_schedules(now, 50).unwrap();
    assert_eq!(due, std::slice::from_ref(&seen));
    let first = world
        .queue
        .fire_schedules(vec![firing(&seen, now)], "worker:a");
    assert_eq!(first.await.unwrap().submitted, 1);
    let second = other.fire_schedules(vec![firing(&seen, now)], "worker:b");
    assert_eq!(second.await.unwrap(), Fired::default());
    assert_eq!((world.jobs().await.len(), world.ticks(&id).len()), (1, 1));
}

async fn many_schedulers_at_once_make_one_job_a_tick(world: World) {
    let spec = Spec {
        cron: "* * * * * *".into(),
        overlap: Overlap::Queue,
        ..spec()
    };
    let id = world.schedule(spec).await;
    let queues = [world.queue.clone(), world.second(), world.second()];
    for _ in 0..20 {
        world.clock.advance(Duration::from_secs(1));
        let now = world.clock.now();
        let tasks = queues.clone().map(|queue| {
            let schedule = queue.schedule(&id).unwrap().unwrap();
            tokio::spawn(async move {
                loop {
                    let firing = firing(&schedule, now);
                    match queue.fire_schedules(vec![firing], "worker:w").await {
                        Err(QueueError::Busy) => tokio::task::yield_now().await,
                        fired => return fired.unwrap(),
                    }
                }
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
    }
    let outcomes = world.outcomes(&id);
    assert_eq!(outcomes.len(), 20);
    assert_eq!((outcomes[0], outcomes[1]), ("submitted", "waiting"));
    assert_eq!((world.jobs().await.len(), world.stored(&id).runs), (1, 20));
    assert_eq!(world.broken_audit(), None);
}

async fn a_plan_for_another_state_is_left_alone(world: World) {
    let id = world.schedule(spec()).await;
    world.clock.advance(MINUTE);
    let now = world.clock.now();
    for change in 0..3 {
        let planned = firing(&world.stored(&id), now);
        match change {
            0 => world.queue.pause_schedule(&id, "ada").await.unwrap(),
            1 => {
                world.queue.resume_schedule(&id, "ada").await.unwrap();
                let due = world.stored(&id).next.unwrap();
                assert_eq!(
                    due.tick,
                    now.plus(MINUTE),
                    "what came meanwhile was not wanted"
                );
            }
            _ => world.queue.delete_schedule(&id, "ada").await.unwrap(),
        }
        let fired = world.queue.fire_schedules(vec![planned], "worker:w").await;
        assert_eq!(fired.unwrap(), Fired::default(), "{change}");
    }
    assert!(world.jobs().await.is_empty());
}

async fn a_tick_that_has_been_decided_about_is_not_run_again(world: World) {
    let id = world.schedule(spec()).await;
    world.next_minute().await;
    // As if somebody had set the row back.
    let sql = world.sql();
    sql.execute_batch("UPDATE schedules SET last_tick = NULL, next_tick = next_tick - 60000, fire_at = fire_at - 60000")
        .unwrap();
    assert_eq!(world.fire().await, Fired::default());
    assert_eq!((world.jobs().await.len(), world.ticks(&id).len()), (1, 1));
    assert_eq!(world.stored(&id).next.unwrap().tick, START.plus(MINUTE * 2));
}

async fn a_tick_is_skipped_while_the_run_before_goes_on(world: World) {
    let id = world.schedule(spec()).await;
    world.next_minute().await;
    assert_eq!(world.next_minute().await.skipped, 1, "it is queued");
    let hold = world.claim_as_hold("w").await;
    assert_eq!(world.next_minute().await.skipped, 1, "it is running");
    world.finish(&hold, Outcome::Succeeded).await.unwrap();
    assert_eq!(world.next_minute().await.submitted, 1);
    assert_eq!(
        world.outcomes(&id),
        ["submitted", "skipped", "skipped", "submitted"]
    );
    assert_eq!(world.stored(&id).runs, 2);
    let skipped = &world.ticks(&id)[1];
    assert_eq!(
        skipped.detail.as_deref(),
        Some("The run before had not ended.")
    );
}

async fn a_tick_waits_for_the_run_before_and_is_run_once(world: World) {
    let queued = Spec {
        overlap: Overlap::Queue,
        ..spec()
    };
    let id = world.schedule(queued).await;
    for _ in 0..3 {
        world.next_minute().await;
    }
    assert_eq!(world.outcomes(&id), ["submitted", "waiting", "waiting"]);
    world.run_one().await;
    let [(schedule, tick)] = world.queue.waiting_ticks(50).unwrap().try_into().unwrap();
    assert_eq!((&schedule, tick), (&id, START.plus(MINUTE * 2)));
    let job = || run(&world.stored(&id));
    let other = world.second();
    assert!(
        world
            .queue
            .fire_waiting(&id, tick, job(), "worker:a")
            .await
            .unwrap()
    );
    assert!(
        !other
            .fire_waiting(&id, tick, job(), "worker:b")
            .await
            .unwrap()
    );
    let after = tick.plus(MINUTE);
    assert!(
        !other
            .fire_waiting(&id, after, job(), "worker:b")
            .await
            .unwrap(),
        "one after the other"
    );
    assert_eq!(world.outcomes(&id), ["submitted", "submitted", "waiting"]);
    world.run_one().await;
    world.queue.pause_schedule(&id, "ada").await.unwrap();
    assert!(world.queue.waiting_ticks(50).unwrap().is_empty());
    world.queue.resume_schedule(&id, "ada").await.unwrap();
    world.fire().await;
    assert_eq!(world.outcomes(&id), ["submitted"; 3]);
    assert_eq!((world.jobs().await.len(), world.stored(&id).runs), (3, 3));
}

async fn no_more_ticks_wait_than_a_hundred(world: World) {
    let queued = Spec {
        overlap: Overlap::Queue,
        catch_up: CatchUp::All,
        ..spec()
    };
    let id = world.schedule(queued).await;
    world.clock.advance(MINUTE * 150);
    assert_eq!(world.fire().await.skipped, 0, "a hundred at a time");
    assert_eq!(world.fire().await.skipped, 49);
    let outcomes = world.outcomes(&id);
    let count = |what| outcomes.iter().filter(|outcome| **outcome == what).count();
    assert_eq!(
        (count("submitted"), count("waiting"), count("skipped")),
        (1, 100, 49)
    );
}

async fn a_tick_replaces_the_run_before(world: World) {
    let replacing = Spec {
        overlap: Overlap::Replace,
        ..spec()
    };
    let id = world.schedule(replacing).await;
    world.next_minute().await;
    world.next_minute().await;
    let [second, first] = world.jobs().await.try_into().unwrap();
    assert_eq!(
        (first.state, second.state),
        (StateName::Cancelled, StateName::Queued)
    );
    let cancel = first.cancel.unwrap();
    assert_eq!(cancel.by, "schedule:nightly");
    let hold = world.claim_as_hold("w").await;
    assert_eq!(hold.job, second.id);
    world.next_minute().await;
    world.next_minute().await;
    let second = world.job(&second.id);
    assert!(second.state == StateName::Running && second.cancel.is_some());
    assert_eq!(world.outcomes(&id), ["submitted"; 4]);
}

async fn missed_ticks_are_caught_up_with_as_wanted(world: World) {
    let mut ids = Vec::new();
    for catch_up in CatchUp::ALL {
        let id = Schedule::random_id();
        let spec = Spec {
            catch_up,
            overlap: Overlap::Queue,
            ..spec()
        };
        let created = world
            .queue
            .create_schedule(&id, "ada", catch_up.as_str(), spec);
        created.await.unwrap();
        ids.push(id);
    }
    // Nobody was there for three ticks; half a minute has passed since.
    world.clock.advance(MINUTE * 7 / 2);
    world.fire().await;
    let of = |n: usize| {
        world
            .ticks(&ids[n])
            .into_iter()
            .rev()
            .map(|tick| tick.tick)
            .collect::<Vec<_>>()
    };
    let [first, second, third] = [1, 2, 3].map(|n| START.plus(MINUTE * n));
    assert_eq!(
        (of(0), of(1), of(2)),
        (vec![], vec![third], vec![first, second, third])
    );
    for id in &ids {
        assert_eq!(world.stored(id).next.unwrap().tick, START.plus(MINUTE * 4));
    }
    let missed: Vec<String> = {
        let sql = world.sql();
        let mut records = sql
            .prepare("SELECT data FROM audit WHERE kind = 'schedule.missed' ORDER BY seq")
            .unwrap();
        let rows = records.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let span = |record: &String| {
        let record: Value = serde_json::from_str(record).unwrap();
        let instant = |key: &str| Timestamp::from_millis(record[key].as_i64().unwrap());
        let name = record["name"].as_str().unwrap().to_owned();
        (name, instant("from"), instant("to"))
    };
    let mut spans: Vec<_> = missed.iter().map(span).collect();
    spans.sort();
    assert_eq!(
        spans,
        [
            ("none".to_owned(), first, third),
            ("one".to_owned(), first, second)
        ]
    );
}

async fn a_paused_schedule_misses_nothing(world: World) {
    let all = Spec {
        catch_up: CatchUp::All,
        ..spec()
    };
    let id = world.schedule(all).await;
    world.queue.pause_schedule(&id, "bob").await.unwrap();
    world.queue.pause_schedule(&id, "eve").await.unwrap();
    assert_eq!(world.next_minute().await, Fired::default());
    assert_eq!(world.queue.next_due().unwrap(), None);
    let paused = world.stored(&id);
    assert_eq!(
        (paused.standing(), paused.paused.unwrap().by),
        (Standing::Paused, "bob".to_owned())
    );
    world.clock.advance(MINUTE * 3);
    for _ in 0..2 {
        world.queue.resume_schedule(&id, "bob").await.unwrap();
    }
    assert_eq!(world.fire().await, Fired::default());
    assert_eq!(world.next_minute().await.submitted, 1);
    assert_eq!(world.ticks(&id).len(), 1);
    let audited = [
        "schedule.created",
        "schedule.paused",
        "schedule.resumed",
        "schedule.fired",
    ];
    assert_eq!(world.schedule_audit(), audited);
}

async fn a_change_keeps_the_history_and_the_tick_that_is_due(world: World) {
    let id = world.schedule(spec()).await;
    world.next_minute().await;
    world.clock.advance(MINUTE);
    let slower = Spec {
        priority: 0,
        ..spec()
    };
    let update =
        |name: &'static str, spec: Spec| world.queue.update_schedule(&id, name, spec, "bob");
    update("hourly", slower).await.unwrap();
    let kept = world.stored(&id);
    assert_eq!(
        (kept.name.as_str(), kept.runs, kept.next.unwrap().tick),
        ("hourly", 1, START.plus(MINUTE * 2)),
        "it is due"
    );
    let hourly = Spec {
        cron: "@hourly".into(),
        ..spec()
    };
    update("hourly", hourly).await.unwrap();
    let stored = world.stored(&id);
    let Due { tick, .. } = stored.next.unwrap();
    assert_eq!((stored.runs, tick.as_millis() % 3_600_000), (1, 0));
    assert!(tick > world.clock.now());
    assert_eq!(
        (world.outcomes(&id), world.jobs().await.len()),
        (vec!["submitted"], 1)
    );

    let spent = Spec {
        max_runs: Some(1),
        ..stored.spec.clone()
    };
    update("hourly", spent).await.unwrap();
    assert_eq!(world.stored(&id).standing(), Standing::Ended);
    let more = Spec {
        max_runs: Some(2),
        ..stored.spec
    };
    update("hourly", more).await.unwrap();
    assert_eq!(world.stored(&id).next.unwrap().tick, tick);
    assert_eq!(world.broken_audit(), None);
}

async fn names_are_unique_for_each_owner(world: World) {
    let id = world.schedule(spec()).await;
    let create = async |agent: &str, name: &str| {
        let id = Schedule::random_id();
        let created = world.queue.create_schedule(&id, agent, name, spec()).await;
        created.map(|()| id)
    };
    let taken = create("ada", "nightly").await.unwrap_err();
    assert!(matches!(&taken, QueueError::ScheduleExists(name) if name == "nightly"));
    create("bob", "nightly").await.unwrap();
    let weekly = create("ada", "weekly").await.unwrap();
    let renamed = world
        .queue
        .update_schedule(&weekly, "nightly", spec(), "ada")
        .await;
    assert!(matches!(renamed, Err(QueueError::ScheduleExists(_))));
    let names = |listed: Vec<Schedule>| listed.into_iter().map(|one| one.name).collect::<Vec<_>>();
    let of_ada = world
        .queue
        .schedules(Some("ada".into()), None, 10)
        .await
        .unwrap();
    assert_eq!(names(of_ada), ["nightly", "weekly"]);
    let nightly = world
        .queue
        .schedules(None, Some("nightly".into()), 10)
        .await
        .unwrap();
    assert_eq!(nightly.len(), 2);
    for refused in [
        world.queue.pause_schedule("none", "ada").await,
        world.queue.resume_schedule("none", "ada").await,
        world.queue.delete_schedule("none", "ada").await,
        world
            .queue
            .update_schedule("none", "x", spec(), "ada")
            .await,
    ] {
        assert!(matches!(refused, Err(QueueError::NoSuchSchedule(_))));
    }
    assert_eq!(world.stored(&id).name, "nightly");
}

async fn a_schedule_ends_with_its_last_run(world: World) {
    let two = Spec {
        max_runs: Some(2),
        ..spec()
    };
    let id = world.schedule(two).await;
    world.next_minute().await;
    assert_eq!(world.next_minute().await.skipped, 1, "which is no run");
    world.run_one().await;
    world.next_minute().await;
    let ended = world.stored(&id);
    assert_eq!(
        (ended.standing(), ended.runs, ended.next),
        (Standing::Ended, 2, None)
    );
    assert_eq!(world.queue.next_due().unwrap(), None);
    assert_eq!(world.next_minute().await, Fired::default());
}

async fn a_triggered_run_is_beside_the_others(world: World) {
    let id = world.schedule(spec()).await;
    world.next_minute().await;
    let before = world.stored(&id);
    let mut jobs = Vec::new();
    for _ in 0..2 {
        let run = run(&before).unwrap();
        jobs.push(run.job().unwrap().clone());
        let triggered = world.queue.trigger_schedule(&id, run, "operator").await;
        triggered.unwrap();
    }
    assert_ne!(jobs[0], jobs[1]);
    assert_eq!(world.stored(&id), before, "the next tick is as it was");
    let ticks = world.ticks(&id);
    let kinds: Vec<_> = ticks.iter().map(|tick| tick.kind.as_str()).collect();
    assert_eq!(kinds, ["manual", "manual", "cron"]);
    assert!(
        ticks[..2]
            .iter()
            .all(|tick| tick.tick.as_millis() % 1_000 != 0)
    );
    assert_eq!(ticks[1].job.as_ref(), Some(&jobs[0]));
    assert_eq!(world.job(&jobs[0]).agent, "ada");
}

async fn a_tool_that_is_gone_is_refused_and_the_schedule_goes_on(world: World) {
    let id = world.schedule(spec()).await;
    world.clock.advance(MINUTE);
    let now = world.clock.now();
    let mut planned = firing(&world.stored(&id), now);
    let gone = Failure::new("plugin_not_found", "There is no tool 'math__add' any more.");
    planned.ticks[0].1 = Err(gone.into());
    let fired = world
        .queue
        .fire_schedules(vec![planned], "worker:w")
        .await
        .unwrap();
    assert_eq!((fired.submitted, fired.refused), (0, 1));
    let tick = &world.ticks(&id)[0];
    assert_eq!(
        (tick.outcome, tick.detail.as_deref()),
        (
            TickOutcome::Refused,
            Some("There is no tool 'math__add' any more.")
        )
    );
    assert_eq!(world.stored(&id).runs, 0);
    assert_eq!(world.next_minute().await.submitted, 1);
    assert_eq!(world.schedule_audit()[1], "schedule.refused");
    assert_eq!(world.broken_audit(), None);
}

async fn a_denied_tick_is_recorded_with_what_becomes_of_it(world: World) {
    let id = world.schedule(spec()).await;
    world.clock.advance(MINUTE);
    let now = world.clock.now();
    let before = world.stored(&id);
    // Two schedulers decide alike; the tick is one, and so is its denial.
    for _ in 0..2 {
        let mut planned = firing(&before, now);
        planned.ticks[0].1 = Err(denied());
        let fired = world.queue.fire_schedules(vec![planned], "worker:w");
        fired.await.unwrap();
    }
    let tick = &world.ticks(&id)[0];
    assert_eq!(
        (tick.outcome, tick.detail.as_deref()),
        (TickOutcome::Refused, Some("No rule permits it."))
    );
    assert_eq!(world.audited("call.denied").len(), 1);
    assert_eq!(world.audited("schedule.refused").len(), 1);
    assert_eq!(world.broken_audit(), None);
}

async fn a_deleted_schedule_takes_its_ticks_along_and_leaves_its_jobs(world: World) {
    let id = world.schedule(spec()).await;
    world.next_minute().await;
    world.queue.delete_schedule(&id, "ada").await.unwrap();
    assert_eq!(world.queue.schedule(&id).unwrap(), None);
    assert_eq!((world.ticks(&id).len(), world.jobs().await.len()), (0, 1));
    let again = world.schedule(spec()).await;
    assert_ne!(again, id, "the name is free");
}

async fn schedules_of_the_future_cost_an_index_lookup(world: World) {
    world.schedule(spec()).await;
    let sql = world.sql();
    for statement in [
        include_str!("../sql/schedule_due.sql"),
        include_str!("../sql/schedule_next_due.sql"),
        include_str!("../sql/schedule_waiting.sql"),
        include_str!("../sql/schedule_is_running.sql"),
        include_str!("../sql/schedule_running.sql"),
        include_str!("../sql/schedule_waiting_count.sql"),
    ] {
        let mut explain = sql
            .prepare(&format!("EXPLAIN QUERY PLAN {statement}"))
            .unwrap();
        let parameters = vec![1_i64; explain.parameter_count()];
        let steps = explain
            .query_map(rusqlite::params_from_iter(parameters), |row| {
                row.get::<_, String>(3)
            })
            .unwrap();
        let steps = steps.map(Result::unwrap).collect::<Vec<_>>().join("; ");
        let uses_index =
            steps.contains("INDEX schedule") || steps.contains("INDEX jobs_of_schedule_open");
        assert!(
            uses_index && !steps.contains("TEMP B-TREE"),
            "{statement}: {steps}"
        );
    }
}

async fn many_ticks_are_kept_but_not_all(world: World) {
    let all = Spec {
        cron: "* * * * * *".into(),
        catch_up: CatchUp::All,
        ..spec()
    };
    let id = world.schedule(all).await;
    world.clock.advance(Duration::from_secs(1_150));
    while world.fire().await != Fired::default() {}
    let ticks = world.queue.ticks(&id, 2_000).unwrap();
    assert_eq!(ticks.len(), 1_001);
    assert_eq!(ticks[0].tick, world.clock.now());
    let missed: Option<Missed> = firing(&world.stored(&id), world.clock.now()).missed;
    assert_eq!(missed, None);
}

/// The local times of the ticks of half a day around the instant at which a zone's clocks change.
async fn around(world: &World, cron: &str, zone: &str, change: &str) -> Vec<String> {
    let change = Timestamp::parse(change).unwrap();
    let half_before = change.minus(MINUTE * 90);
    world.clock.advance(half_before.since(world.clock.now()));
    let spec = Spec {
        cron: cron.into(),
        zone: zone.into(),
        overlap: Overlap::Queue,
        ..spec()
    };
    let id = world.schedule(spec).await;
    for _ in 0..36 {
        world.clock.advance(MINUTE * 5);
        world.fire().await;
        // Once more, as after a restart at that instant.
        assert_eq!(world.fire().await, Fired::default());
    }
    let cron = world.stored(&id).spec.cron().unwrap();
    let ticks = world.ticks(&id);
    world.queue.delete_schedule(&id, "ada").await.unwrap();
    let local = |tick: &Tick| cron.local(tick.tick).local[11..].to_owned();
    ticks.iter().rev().map(local).collect()
}

async fn clocks_that_change_neither_lose_nor_double_a_run(world: World) {
    const HALF_HOURLY: &str = "*/30 * * * *";
    let rows: [(&str, &str, &str, &[&str]); 12] = [
        (
            "30 2 * * *",
            "America/New_York",
            "2027-03-14T07:00:00Z",
            &["03:00:00-04:00"],
        ),
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2027-03-28T01:00:00Z",
            &["03:00:00+02:00"],
        ),
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2027-04-03T15:00:00Z",
            &["01:45:00+11:00"],
        ),
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2027-10-02T15:30:00Z",
            &["02:30:00+11:00"],
        ),
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2027-10-31T01:00:00Z",
            &["02:30:00+02:00"],
        ),
        (
            "30 1 * * *",
            "America/New_York",
            "2027-11-07T06:00:00Z",
            &["01:30:00-04:00"],
        ),
        (
            HALF_HOURLY,
            "America/New_York",
            "2028-03-12T07:00:00Z",
            &[
                "01:00:00-05:00",
                "01:30:00-05:00",
                "03:00:00-04:00",
                "03:30:00-04:00",
                "04:00:00-04:00",
                "04:30:00-04:00",
            ],
        ),
        (
            HALF_HOURLY,
            "Europe/Berlin",
            "2028-03-26T01:00:00Z",
            &[
                "01:00:00+01:00",
                "01:30:00+01:00",
                "03:00:00+02:00",
                "03:30:00+02:00",
                "04:00:00+02:00",
                "04:30:00+02:00",
            ],
        ),
        (
            HALF_HOURLY,
            "Australia/Lord_Howe",
            "2028-04-01T15:00:00Z",
            &[
                "01:00:00+11:00",
                "01:30:00+11:00",
                "01:30:00+10:30",
                "02:00:00+10:30",
                "02:30:00+10:30",
                "03:00:00+10:30",
            ],
        ),
        (
            HALF_HOURLY,
            "Australia/Lord_Howe",
            "2028-09-30T15:30:00Z",
            &[
                "01:00:00+10:30",
                "01:30:00+10:30",
                "02:30:00+11:00",
                "03:00:00+11:00",
                "03:30:00+11:00",
                "04:00:00+11:00",
            ],
        ),
        (
            HALF_HOURLY,
            "Europe/Berlin",
            "2028-10-29T01:00:00Z",
            &[
                "02:00:00+02:00",
                "02:30:00+02:00",
                "02:00:00+01:00",
                "02:30:00+01:00",
                "03:00:00+01:00",
                "03:30:00+01:00",
            ],
        ),
        (
            HALF_HOURLY,
            "America/New_York",
            "2028-11-05T06:00:00Z",
            &[
                "01:00:00-04:00",
                "01:30:00-04:00",
                "01:00:00-05:00",
                "01:30:00-05:00",
                "02:00:00-05:00",
                "02:30:00-05:00",
            ],
        ),
    ];
    for (cron, zone, change, expected) in rows {
        assert_eq!(
            around(&world, cron, zone, change).await,
            expected,
            "{cron} in {zone} at {change}"
        );
    }
}

/// One step, run every minute.
fn of_workflow(overlap: Overlap) -> Spec {
    let steps = json!({"name": "sums", "steps": [{"id": "add", "tool": "math__add"}]});
    let target = Target::Workflow {
        workflow: Box::new(serde_json::from_value(steps).unwrap()),
        rules: BTreeMap::new(),
    };
    Spec {
        target,
        overlap,
        ..spec()
    }
}

impl World {
    /// The workflows of the ticks, last first, each with its state.
    fn workflows_of(&self, schedule: &str) -> Vec<Option<WorkflowState>> {
        let ticks = self.ticks(schedule);
        let state = |id: &WorkflowId| self.queue.workflow(id).unwrap().unwrap().state;
        ticks
            .iter()
            .map(|tick| tick.workflow.as_ref().map(state))
            .collect()
    }
}

async fn a_tick_becomes_one_workflow(world: World) {
    let id = world.schedule(of_workflow(Overlap::Skip)).await;
    let before = world.stored(&id);
    world.clock.advance(MINUTE);
    let now = world.clock.now();
    let firings = || vec![firing(&before, now)];
    let other = world.second();
    world
        .queue
        .fire_schedules(firings(), "worker:a")
        .await
        .unwrap();
    other.fire_schedules(firings(), "worker:b").await.unwrap();
    let [tick] = world.ticks(&id).try_into().unwrap();
    assert_eq!((tick.outcome, tick.job), (TickOutcome::Submitted, None));
    let workflow = world
        .queue
        .workflow(&tick.workflow.unwrap())
        .unwrap()
        .unwrap();
    assert_eq!(
        (
            workflow.agent.as_str(),
            workflow.name.as_deref(),
            workflow.schedule.as_deref()
        ),
        ("ada", Some("sums"), Some(id.as_str()))
    );
    let all = WorkflowFilter {
        limit: 10,
        ..WorkflowFilter::default()
    };
    assert_eq!(world.queue.workflows(all).await.unwrap().len(), 1);
    assert_eq!(world.broken_audit(), None);
}

async fn a_workflow_that_runs_counts_as_the_run_before(world: World) {
    use WorkflowState::Running;
    let id = world.schedule(of_workflow(Overlap::Skip)).await;
    world.next_minute().await;
    world.next_minute().await;
    assert_eq!(world.outcomes(&id), ["submitted", "skipped"]);
    world.queue.delete_schedule(&id, "ada").await.unwrap();

    let id = world.schedule(of_workflow(Overlap::Queue)).await;
    world.next_minute().await;
    world.next_minute().await;
    assert_eq!(world.outcomes(&id), ["submitted", "waiting"]);
    assert_eq!(world.queue.waiting_ticks(9).unwrap(), []);
    world.queue.delete_schedule(&id, "ada").await.unwrap();

    let id = world.schedule(of_workflow(Overlap::Replace)).await;
    world.next_minute().await;
    world.next_minute().await;
    assert_eq!(world.outcomes(&id), ["submitted", "submitted"]);
    assert_eq!(world.workflows_of(&id), [Some(Running), Some(Running)]);
    let replaced = world.ticks(&id).pop().unwrap().workflow.unwrap();
    let cancel = world
        .queue
        .workflow(&replaced)
        .unwrap()
        .unwrap()
        .cancel
        .unwrap();
    assert_eq!(cancel.by, "schedule:nightly");
}
