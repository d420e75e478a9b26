use super::keys::key;
use super::*;
use crate::agent::{LEGACY, LOCAL, OPERATOR, OPERATORS, USERS};
use crate::schedule::Schedule;
use crate::workflow::{StepState, WorkflowId, WorkflowState};

conformance!(
    groups_are_those_that_were_given_last,
    the_jobs_that_run_at_a_time_are_limited_and_let_go,
    a_revoked_agent_leaves_nothing_that_begins,
    what_runs_of_a_revoked_agent_goes_on_to_the_end_of_its_attempt,
    what_runs_of_a_revoked_agent_is_stopped_where_that_is_asked,
    nothing_is_recorded_for_a_revoked_agent,
    a_revoked_agent_can_come_back_without_its_keys,
    every_change_is_recorded_and_no_key_with_it,
);

pub(super) const HOUR_MS: u64 = 60 * 60 * 1_000;
pub(super) const HOUR: Duration = Duration::from_millis(HOUR_MS);
pub(super) const BY: &str = "operator";

pub(super) fn groups<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(ToOwned::to_owned).into()
}

impl World {
    fn groups_of(&self, agent: &str) -> BTreeSet<String> {
        self.queue.subject(agent).unwrap().groups
    }

    async fn revoke(&self, agent: &str, stop: bool) -> Revoked {
        self.queue.revoke_agent(agent, stop, BY).await.unwrap()
    }

    async fn change(
        &self,
        agent: &str,
        change: GroupChange,
    ) -> Result<BTreeSet<String>, QueueError> {
        self.queue.change_groups(agent, change, BY).await
    }
}

fn of_ada(lane: &str) -> NewJob {
    NewJob {
        agent: "ada".into(),
        ..in_lane(lane)
    }
}

async fn groups_are_those_that_were_given_last(world: World) {
    world.add("ada", "1", None).await;
    assert_eq!(world.groups_of("ada"), groups(["ci"]));
    assert_eq!(world.groups_of("eve"), groups([]));
    assert_eq!(world.groups_of(LEGACY), groups([USERS]));
    let change = |add, remove| GroupChange::Change { add, remove };
    let both = change(groups(["ops", "x"]), groups(["ci"]));
    assert_eq!(
        world.change("ada", both).await.unwrap(),
        groups(["ops", "x"])
    );
    let more = change(groups(["ci"]), groups([]));
    let both = groups(["ci", USERS]);
    assert_eq!(world.change(LOCAL, more).await.unwrap(), both);
    assert_eq!(world.second().subject(LOCAL).unwrap().groups, both);
    let set = GroupChange::Set(groups(["ci"]));
    world.change(LOCAL, set.clone()).await.unwrap();
    assert_eq!(world.groups_of(LOCAL), groups(["ci"]));
    // The operator cannot shut itself out.
    for out in [set, change(groups([]), groups([OPERATORS]))] {
        let refused = world.change(OPERATOR, out).await;
        assert!(matches!(refused, Err(QueueError::OperatorStays)));
    }
    let more = change(groups(["ops"]), groups([]));
    world.change(OPERATOR, more).await.unwrap();
    assert_eq!(world.groups_of(OPERATOR), groups([OPERATORS, "ops"]));
    let nobody = world.change("eve", GroupChange::Set(groups([]))).await;
    assert!(matches!(nobody, Err(QueueError::NoSuchAgent(_))));
    let listed = world.queue.agents().unwrap();
    let names: Vec<_> = listed
        .iter()
        .map(|agent| (&*agent.name, agent.built_in))
        .collect();
    assert_eq!(
        names,
        [
            ("ada", false),
            (LEGACY, true),
            (LOCAL, true),
            (OPERATOR, true)
        ]
    );
}

async fn the_jobs_that_run_at_a_time_are_limited_and_let_go(world: World) {
    world.add("ada", "1", None).await;
    for (agent, lane) in [("ada", "a"), ("ada", "b"), (LOCAL, "c"), (LOCAL, "d")] {
        let job = NewJob {
            agent: agent.into(),
            ..in_lane(lane)
        };
        world.submit(job).await;
    }
    let limit = async |agent, most| world.queue.limit_running(agent, most, BY).await;
    for agent in ["ada", LOCAL] {
        limit(agent, Some(1)).await.unwrap();
        let found = world.queue.agent(agent).unwrap();
        assert_eq!(found.max_running, Some(1));
        assert!(found.groups.contains("ci") || found.groups.contains(USERS));
    }
    assert!(world.claim("w1").await.is_some() && world.claim("w2").await.is_some());
    assert_eq!(world.claim("w3").await, None);
    // Groups and limits leave each other alone.
    let set = GroupChange::Set(groups(["x"]));
    world.change(LOCAL, set).await.unwrap();
    assert_eq!(world.claim("w3").await, None);
    for _ in 0..2 {
        limit(LOCAL, None).await.unwrap();
    }
    assert_eq!(world.claim("w3").await.unwrap().agent, LOCAL);
    assert_eq!(world.groups_of(LOCAL), groups(["x"]));
    assert_eq!(
        world.audited("agent.changed"),
        [
            r#"operator {"agent":"ada","max_running":1,"old_max_running":2}"#,
            r#"operator {"agent":"local","max_running":1,"old_max_running":null}"#,
            r#"operator {"agent":"local","groups":["x"],"old_groups":["users"]}"#,
            r#"operator {"agent":"local","max_running":null,"old_max_running":1}"#,
        ]
    );
    let nobody = limit("eve", None).await;
    assert!(matches!(nobody, Err(QueueError::NoSuchAgent(_))));
    world.revoke("ada", false).await;
    let gone = limit("ada", None).await;
    assert!(matches!(gone, Err(QueueError::AgentRevoked(_))));
    assert_eq!(world.broken_audit(), None);
}

async fn a_revoked_agent_leaves_nothing_that_begins(world: World) {
    world.add("ada", "1", None).await;
    world.register("w").await;
    let due = world.submit(of_ada("a")).await;
    let future = NewJob {
        run_at: Some(START.plus(HOUR)),
        ..of_ada("b")
    };
    let future = world.submit(future).await;
    let others = world.submit(in_lane("c")).await;
    let schedule = Schedule::random_id();
    let created = world
        .queue
        .create_schedule(&schedule, "ada", "nightly", schedules::spec());
    created.await.unwrap();
    let steps = json!([workflows::step("a", &[]), workflows::step("b", &["a"])]);
    let new = NewWorkflow {
        agent: "ada".into(),
        ..workflows::new(steps)
    };
    let WorkflowSubmitted::New(workflow) = world.queue.submit_workflow(new).await.unwrap() else {
        panic!("it is new")
    };
    let session = Session {
        agent: "ada".into(),
        parameters: "{}".into(),
    };
    assert!(world.queue.open_session("s", session, 9).await.unwrap());

    let revoked = world.revoke("ada", false).await;
    assert_eq!(
        revoked,
        Revoked {
            cancelled: 2,
            keys: 1,
            schedules: 1,
            stopped: 0,
            workflows: 1
        }
    );
    assert_eq!(world.bearer("1"), None);
    assert_eq!(world.groups_of("ada"), groups([]));
    assert_eq!(world.queue.session("s").unwrap(), None);
    for job in [&due, &future] {
        let job = world.job(job);
        assert_eq!(job.state, StateName::Cancelled);
        let cancel = job.cancel.unwrap();
        assert_eq!(cancel.reason.as_deref(), Some("its agent was revoked"));
        assert_eq!(cancel.by, BY);
    }
    let paused = world.queue.schedule(&schedule).unwrap().unwrap().paused;
    assert!(paused.is_some());
    advance(&world, &workflow).await;
    let stands = world.queue.workflow(&workflow).unwrap().unwrap();
    assert_eq!(stands.state, WorkflowState::Cancelled);
    assert!(
        stands
            .steps
            .iter()
            .all(|step| step.state == StepState::Skipped)
    );
    assert_eq!(world.claim("w").await.unwrap().id, others);
    assert_eq!(world.claim("w").await.map(|job| job.id), None);

    // Whoever resumes the schedule all the same is told why nothing comes of it.
    world.queue.resume_schedule(&schedule, "bob").await.unwrap();
    world.clock.advance(2 * HOUR);
    let now = world.queue.clock().now();
    let due = world.queue.due_schedules(now, 9).unwrap();
    let firings = due.iter().map(|due| schedules::firing(due, now)).collect();
    let fired = world
        .queue
        .fire_schedules(firings, "worker:w")
        .await
        .unwrap();
    assert_eq!((fired.submitted, fired.refused), (0, 1));
    assert!(world.audited("schedule.refused")[0].contains("Its owner was revoked."));
    let again = world.queue.revoke_agent("ada", false, BY).await;
    assert!(matches!(again, Err(QueueError::AgentRevoked(name)) if name == "ada"));
    assert_eq!(world.broken_audit(), None);
}

async fn advance(world: &World, id: &WorkflowId) {
    let none = BTreeMap::new();
    let mut make = workflows::made;
    let advanced = world
        .queue
        .advance_workflow(id, "worker:w", &none, &mut make);
    assert!(advanced.await.unwrap());
}

async fn what_runs_of_a_revoked_agent_goes_on_to_the_end_of_its_attempt(world: World) {
    world.add("ada", "1", None).await;
    world.register("w").await;
    for lane in ["a", "b"] {
        let job = NewJob {
            retry: Some(Retry::default()),
            ..of_ada(lane)
        };
        world.submit(job).await;
    }
    let (first, second) = (
        world.claim_as_hold("w").await,
        world.claim_as_hold("w").await,
    );
    let revoked = world.revoke("ada", false).await;
    assert_eq!((revoked.cancelled, revoked.stopped), (0, 0));
    assert!(!world.queue.renew(&first).await.unwrap().cancelling);
    world.finish(&first, Outcome::Succeeded).await.unwrap();
    assert_eq!(world.job(&first.job).state, StateName::Succeeded);
    // There is no further attempt.
    world.finish(&second, failed()).await.unwrap();
    let job = world.job(&second.job);
    assert_eq!(job.state, StateName::Cancelled);
    assert_eq!(
        job.cancel.unwrap().reason.as_deref(),
        Some("its agent was revoked")
    );
    let revived = world
        .queue
        .revive(std::slice::from_ref(&second.job), BY, None)
        .await
        .unwrap();
    assert_eq!(revived, [(second.job, Err(Obstacle::AgentRevoked))]);
    assert_eq!(world.broken_audit(), None);
}

async fn what_runs_of_a_revoked_agent_is_stopped_where_that_is_asked(world: World) {
    world.add("ada", "1", None).await;
    world.register("w").await;
    world.submit(of_ada("a")).await;
    let hold = world.claim_as_hold("w").await;
    let revoked = world.revoke("ada", true).await;
    assert_eq!((revoked.cancelled, revoked.stopped), (0, 1));
    assert!(world.queue.renew(&hold).await.unwrap().cancelling);
}

async fn nothing_is_recorded_for_a_revoked_agent(world: World) {
    world.add("ada", "1", None).await;
    world.revoke("ada", false).await;
    let refused = world.queue.submit(of_ada("a")).await.unwrap_err();
    assert_eq!(refused.to_string(), "agent 'ada' was revoked");
    let new = NewWorkflow {
        agent: "ada".into(),
        ..workflows::new(json!([workflows::step("a", &[])]))
    };
    let refused = world.queue.submit_workflow(new).await;
    assert!(matches!(refused, Err(QueueError::AgentRevoked(_))));
    let refused = world.change("ada", GroupChange::Set(groups([]))).await;
    assert!(matches!(refused, Err(QueueError::AgentRevoked(_))));
    let refused = world
        .queue
        .rotate_key("ada", key("2", None), HOUR, BY)
        .await;
    assert!(matches!(refused, Err(QueueError::AgentRevoked(_))));
}

async fn a_revoked_agent_can_come_back_without_its_keys(world: World) {
    world.add("ada", "1", None).await;
    world.revoke("ada", false).await;
    world.add("ada", "2", None).await;
    assert_eq!(world.bearer("1"), None);
    assert_eq!(world.bearer("2").as_deref(), Some("ada"));
    assert_eq!(world.groups_of("ada"), groups(["ci"]));
    world.submit(of_ada("a")).await;
}

async fn every_change_is_recorded_and_no_key_with_it(world: World) {
    world.add("ada", "k1", Some(HOUR)).await;
    let rotated = world
        .queue
        .rotate_key("ada", key("k2", None), HOUR, BY)
        .await;
    rotated.unwrap();
    for _ in 0..2 {
        let set = GroupChange::Set(groups(["b", "a"]));
        world.change("ada", set).await.unwrap();
    }
    world.queue.revoke_key("ada", "k1", BY).await.unwrap();
    world.revoke("ada", false).await;
    let audited = |kind| world.audited(kind);
    assert_eq!(
        audited("agent.added"),
        [r#"operator {"again":false,"agent":"ada","groups":["ci"],"max_running":2}"#]
    );
    assert_eq!(
        audited("key.created"),
        [
            r#"operator {"agent":"ada","expires_at":1800003600000,"key":"k1","replaces":null}"#,
            r#"operator {"agent":"ada","expires_at":null,"key":"k2","replaces":{"keys":["k1"],"until":1800003600000}}"#,
        ]
    );
    assert_eq!(
        audited("agent.changed"),
        [r#"operator {"agent":"ada","groups":["a","b"],"old_groups":["ci"]}"#]
    );
    assert_eq!(
        audited("key.revoked"),
        [
            r#"operator {"agent":"ada","key":"k1"}"#,
            r#"operator {"agent":"ada","key":"k2"}"#
        ]
    );
    assert_eq!(
        audited("agent.revoked"),
        [
            r#"operator {"agent":"ada","cancelled":0,"keys":1,"schedules":0,"stopped":0,"workflows":0}"#
        ]
    );
    assert_eq!(world.broken_audit(), None);
}
