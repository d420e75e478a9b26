use super::*;
use crate::job::Origin;
use crate::workflow::{Call, StepState, WorkflowId, WorkflowState, read};

conformance!(
    a_workflow_is_driven_by_the_ends_of_its_jobs,
    a_step_does_not_get_half_of_what_another_has_printed,
    a_denied_step_is_recorded_where_it_ends_and_nowhere_else,
    a_decision_that_comes_too_late_is_not_written,
    a_key_names_one_definition,
    a_verification_is_driven_by_the_clock,
    a_cancelled_workflow_ends_its_jobs,
    a_step_whose_job_is_cancelled_or_lost_has_failed,
    what_is_due_is_found_without_a_look_at_the_rest,
);

const BY: &str = "worker:w";

impl World {
    async fn workflow(&self, steps: Value) -> WorkflowId {
        let submitted = self.queue.submit_workflow(new(steps)).await.unwrap();
        let WorkflowSubmitted::New(id) = submitted else {
            panic!("{submitted:?}")
        };
        id
    }

    /// Does what is due, as the scheduler would.
    async fn advance(&self) {
        for id in self.queue.workflows_due().unwrap().0 {
            let written = self
                .queue
                .advance_workflow(&id, BY, &BTreeMap::new(), &mut made)
                .await;
            assert!(written.unwrap());
        }
        assert_eq!(self.queue.workflows_due().unwrap().0, []);
    }

    /// Claims the next job, ends it so, and does what is due then.
    async fn run(&self, outcome: Outcome, output: &str) -> JobId {
        let hold = self.claim_as_hold("w").await;
        let finish = Finish {
            output: output.into(),
            ..end(&hold, outcome)
        };
        self.queue.finish(finish, false).await.unwrap();
        self.advance().await;
        hold.job
    }

    fn stands(&self, id: &WorkflowId) -> Workflow {
        self.queue.workflow(id).unwrap().unwrap()
    }

    fn step_states(&self, id: &WorkflowId) -> Vec<StepState> {
        self.stands(id)
            .steps
            .iter()
            .map(|step| step.state)
            .collect()
    }

    /// The kinds of the audit records since the workflow was submitted.
    fn workflow_audit(&self) -> Vec<String> {
        let sql = self.sql();
        let mut records = sql
            .prepare("SELECT kind FROM audit WHERE kind LIKE 'workflow.%' ORDER BY seq")
            .unwrap();
        let kinds = records.query_map([], |row| row.get(0)).unwrap();
        kinds.map(Result::unwrap).collect()
    }

    fn count_of_jobs(&self) -> i64 {
        self.sql()
            .query_row("SELECT count(*) FROM jobs", [], |row| row.get(0))
            .unwrap()
    }
}

pub(super) fn new(steps: Value) -> NewWorkflow {
    let definition = Map::from_iter([("name".into(), json!("n")), ("steps".into(), steps)]);
    let definition = read(&definition.into()).unwrap();
    assert_eq!(crate::workflow::check(&definition), []);
    NewWorkflow {
        id: WorkflowId::random(),
        agent: "local".into(),
        definition,
        rules: AllowedBy::from([("math__add".into(), vec!["builtin".into()])]),
        schedule: None,
        idempotency_key: None,
    }
}

/// The job of a call, as the worker would make it.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the worker's may fail, and so the queue expects"
)]
pub(super) fn made(workflow: &Workflow, call: Call<'_>) -> Result<NewJob, NoJob> {
    Ok(NewJob {
        tool: call.tool.into(),
        source: Source::Workflow,
        origin: Some(Origin::Workflow {
            workflow: workflow.id.to_string(),
            step: call.step.id.clone(),
        }),
        arguments: call.arguments,
        effect: Effect::Once,
        lane: None,
        ..job()
    })
}

pub(super) fn step(id: &str, needs: &[&str]) -> Value {
    json!({"id": id, "tool": "math__add", "needs": needs})
}

async fn a_step_does_not_get_half_of_what_another_has_printed(world: World) {
    let mut second = step("b", &[]);
    second["arguments"] = json!({"x": "${steps.a.result}"});
    let id = world.workflow(json!([step("a", &[]), second])).await;
    world.advance().await;
    let hold = world.claim_as_hold("w").await;
    let cut = Finish {
        output: b"half".to_vec(),
        printed_bytes: Some(8),
        ..end(&hold, Outcome::Succeeded)
    };
    world.queue.finish(cut, false).await.unwrap();
    world.advance().await;
    assert_eq!(
        world.step_states(&id),
        [StepState::Succeeded, StepState::Failed]
    );
    let error = world.stands(&id).steps.remove(1).error.unwrap();
    assert!(
        error
            .message
            .contains("step 'a' only the first 4 bytes have been kept"),
        "{error:?}"
    );
}

async fn a_workflow_is_driven_by_the_ends_of_its_jobs(world: World) {
    let mut second = step("b", &[]);
    second["arguments"] = json!({"x": "${steps.a.result.list[1]}"});
    let id = world.workflow(json!([step("a", &[]), second])).await;
    assert_eq!(
        world.step_states(&id),
        [StepState::Waiting, StepState::Waiting]
    );
    assert_eq!(
        world.queue.workflows_due().unwrap().0,
        std::slice::from_ref(&id)
    );
    world.advance().await;
    assert_eq!(
        world.step_states(&id),
        [StepState::Running, StepState::Waiting]
    );
    let begun = world.stands(&id);

    world.clock.advance(Duration::from_secs(2));
    let first = world
        .run(Outcome::Succeeded, r#"{"list": [1, {"é": 2}]}"#)
        .await;
    assert_eq!(
        world.step_states(&id),
        [StepState::Succeeded, StepState::Running]
    );
    let stands = world.stands(&id);
    assert!(stands.revision > begun.revision);
    let [a, b] = &stands.steps[..] else {
        panic!("{stands:?}")
    };
    assert_eq!(
        (a.job.as_ref(), a.started_at, a.ended_at),
        (
            Some(&first),
            Some(START),
            Some(START.plus(Duration::from_secs(2)))
        )
    );
    let job = world.job(b.job.as_ref().unwrap());
    assert_eq!(job.arguments, json!({"x": {"é": 2}}));
    assert_eq!(
        job.origin,
        Some(Origin::Workflow {
            workflow: id.to_string(),
            step: "b".into()
        })
    );

    world.run(Outcome::Succeeded, "").await;
    let stands = world.stands(&id);
    assert_eq!(
        (stands.state, stands.error, stands.finished_at),
        (
            WorkflowState::Succeeded,
            None,
            Some(START.plus(Duration::from_secs(2)))
        )
    );
    assert_eq!(
        world.workflow_audit(),
        [
            "workflow.submitted",
            "workflow.step_begun",
            "workflow.step_ended",
            "workflow.step_begun",
            "workflow.step_ended",
            "workflow.finished"
        ]
    );
    assert_eq!(world.broken_audit(), None);
    let listed = world.queue.workflows(WorkflowFilter {
        state: Some(WorkflowState::Succeeded),
        agent: Some("local".into()),
        limit: 10,
    });
    assert_eq!(listed.await.unwrap()[0].id, id);
}

async fn a_denied_step_is_recorded_where_it_ends_and_nowhere_else(world: World) {
    let id = world.workflow(json!([step("a", &[])])).await;
    for comes_too_late in [true, false] {
        let written = world
            .queue
            .advance_workflow(&id, BY, &BTreeMap::new(), &mut |_, _| {
                if comes_too_late {
                    let changed = "UPDATE workflows SET revision = revision + 1";
                    world.sql().execute(changed, []).unwrap();
                }
                Err(denied())
            })
            .await;
        assert_eq!(written.unwrap(), !comes_too_late);
        let denials = world.audited("call.denied").len();
        assert_eq!(denials, usize::from(!comes_too_late));
    }
    assert_eq!(world.step_states(&id), vec![StepState::Failed]);
    assert_eq!(world.broken_audit(), None);
}

async fn a_decision_that_comes_too_late_is_not_written(world: World) {
    let id = world.workflow(json!([step("a", &[])])).await;
    let others = world.second();
    let written = world
        .queue
        .advance_workflow(&id, BY, &BTreeMap::new(), &mut |workflow, call| {
            // Between reading and writing, another worker does the same.
            let changed = "UPDATE workflows SET revision = revision + 1";
            world.sql().execute(changed, []).unwrap();
            made(workflow, call)
        })
        .await;
    assert!(!written.unwrap());
    assert_eq!(
        (world.step_states(&id), world.count_of_jobs()),
        (vec![StepState::Waiting], 0)
    );

    for queue in [&world.queue, &others] {
        let written = queue
            .advance_workflow(&id, BY, &BTreeMap::new(), &mut made)
            .await;
        assert!(written.unwrap());
    }
    assert_eq!(
        (world.step_states(&id), world.count_of_jobs()),
        (vec![StepState::Running], 1)
    );
    assert_eq!(world.broken_audit(), None);
}

async fn a_key_names_one_definition(world: World) {
    let keyed = |steps: Value, agent: &str| NewWorkflow {
        idempotency_key: Some("k".into()),
        agent: agent.into(),
        ..new(steps)
    };
    let submit = |workflow| world.queue.submit_workflow(workflow);
    let first = submit(keyed(json!([step("a", &[])]), "ada")).await.unwrap();
    let WorkflowSubmitted::New(id) = first else {
        panic!("{first:?}")
    };
    let again = submit(keyed(json!([step("a", &[])]), "ada")).await.unwrap();
    assert_eq!(again, WorkflowSubmitted::Existing(id.clone()));
    let other = submit(keyed(json!([step("b", &[])]), "ada")).await.unwrap();
    assert_eq!(other, WorkflowSubmitted::Conflict(id));
    let others = submit(keyed(json!([step("b", &[])]), "bob")).await.unwrap();
    assert!(matches!(others, WorkflowSubmitted::New(_)));
    assert_eq!(world.workflow_audit(), ["workflow.submitted"; 2]);
}

async fn a_verification_is_driven_by_the_clock(world: World) {
    let mut deploy = step("a", &[]);
    deploy["verify"] =
        json!({"tool": "math__check", "every": 10, "need": 2, "of": 3, "deadline": 25});
    let id = world.workflow(json!([deploy.clone()])).await;
    world.advance().await;
    world.run(Outcome::Succeeded, "").await;
    assert_eq!(world.step_states(&id), [StepState::Verifying]);
    let first = world.run(failed(), "").await;
    let wake = |s| Some(START.plus(Duration::from_secs(s)));
    assert_eq!(world.queue.workflows_due().unwrap(), (vec![], wake(10)));
    for _ in 0..2 {
        world.clock.advance(Duration::from_secs(10));
        world.advance().await;
        world.run(Outcome::Succeeded, "").await;
    }
    let stands = world.stands(&id);
    assert_eq!(stands.state, WorkflowState::Succeeded);
    let checks = &stands.steps[0].checks;
    assert_eq!(
        (checks.len(), checks[0].n, &checks[0].job, checks[0].state),
        (3, 1, &first, Some(StateName::Failed))
    );
    assert_eq!(checks[2].ended_at, wake(20));
    assert_eq!(stands.steps[0].ended_at, wake(20));

    // The deadline stops the check that runs, and what it says afterwards is of no use.
    let id = world.workflow(json!([deploy])).await;
    world.advance().await;
    world.run(Outcome::Succeeded, "").await;
    let check = world.claim_as_hold("w").await;
    world.clock.advance(Duration::from_secs(25));
    world.advance().await;
    assert!(world.queue.is_cancelling(&check).unwrap());
    let stands = world.stands(&id);
    assert_eq!(stands.state, WorkflowState::Failed);
    let error = stands.steps[0].error.as_ref().unwrap();
    assert_eq!(error.code, "verification_failed");
    world.finish(&check, Outcome::Stopped).await.unwrap();
    world.advance().await;
    let stands = world.stands(&id);
    assert_eq!(stands.steps[0].checks[0].state, Some(StateName::Cancelled));
    assert_eq!(world.queue.workflows_due().unwrap(), (vec![], None));
    assert_eq!(world.broken_audit(), None);
}

async fn a_cancelled_workflow_ends_its_jobs(world: World) {
    let id = world
        .workflow(json!([step("a", &[]), step("b", &[]), step("c", &["a"])]))
        .await;
    world.advance().await;
    let running = world.claim_as_hold("w").await;
    let cancel = || world.queue.cancel_workflow(&id, "ada", Some("enough"));
    assert_eq!(cancel().await.unwrap(), Some(WorkflowState::Running));
    world.advance().await;
    assert_eq!(
        world.step_states(&id),
        [StepState::Running, StepState::Cancelled, StepState::Skipped]
    );
    assert!(world.queue.is_cancelling(&running).unwrap());
    assert_eq!(cancel().await.unwrap(), Some(WorkflowState::Running));
    world.finish(&running, Outcome::Stopped).await.unwrap();
    world.advance().await;
    let stands = world.stands(&id);
    assert_eq!(stands.state, WorkflowState::Cancelled);
    let cancel_request = stands.cancel.unwrap();
    assert_eq!(
        (cancel_request.by.as_str(), cancel_request.reason.as_deref()),
        ("ada", Some("enough"))
    );
    assert_eq!(cancel().await.unwrap(), Some(WorkflowState::Cancelled));
    let asked = world.workflow_audit();
    let asked = asked
        .iter()
        .filter(|kind| *kind == "workflow.cancel_requested");
    assert_eq!(asked.count(), 1);
    let unknown = WorkflowId::random();
    let missing = world.queue.cancel_workflow(&unknown, "ada", None);
    assert_eq!(missing.await.unwrap(), None);
    assert_eq!(world.broken_audit(), None);
}

async fn a_step_whose_job_is_cancelled_or_lost_has_failed(world: World) {
    let steps =
        || json!([{"id": "a", "tool": "math__add", "on_failure": "run:undo"}, step("undo", &[])]);
    let cancelled = world.workflow(steps()).await;
    world.advance().await;
    let job = world.stands(&cancelled).steps[0].job.clone().unwrap();
    world.queue.cancel(&job, "ada", None).await.unwrap();
    world.advance().await;
    assert_eq!(
        world.step_states(&cancelled),
        [StepState::Failed, StepState::Running]
    );
    world.run(Outcome::Succeeded, "").await;
    assert_eq!(world.stands(&cancelled).state, WorkflowState::Failed);

    let lost = world.workflow(steps()).await;
    world.advance().await;
    world.claim_as_hold("w").await;
    world.clock.advance(LEASE + Duration::from_secs(1));
    assert_eq!(world.lose_expired().await, 1);
    world.advance().await;
    let stands = world.stands(&lost);
    let error = stands.steps[0].error.as_ref().unwrap();
    assert_eq!(
        (stands.steps[0].state, error.code.as_str()),
        (StepState::Failed, "outcome_unknown")
    );
    assert_eq!(stands.steps[1].state, StepState::Running);
}

async fn what_is_due_is_found_without_a_look_at_the_rest(world: World) {
    for statement in [
        include_str!("../sql/workflow_due.sql"),
        include_str!("../sql/workflow_wake.sql"),
    ] {
        let sql = world.sql();
        let mut plan = sql
            .prepare(&format!("EXPLAIN QUERY PLAN {statement}"))
            .unwrap();
        let parameters = plan.parameter_count();
        let steps = plan
            .query_map(rusqlite::params_from_iter(vec![0; parameters]), |row| {
                row.get::<_, String>(3)
            })
            .unwrap();
        let steps: Vec<_> = steps.map(Result::unwrap).collect();
        let of_table: Vec<_> = steps
            .iter()
            .filter(|step| step.contains("workflows"))
            .collect();
        assert!(!of_table.is_empty());
        for step in of_table {
            assert!(
                step.contains("INDEX workflows_dirty") || step.contains("INDEX workflows_wake"),
                "{steps:?}"
            );
        }
    }
}
