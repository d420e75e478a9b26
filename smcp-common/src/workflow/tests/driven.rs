use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;
use crate::clock::Timestamp;
use crate::job::{Failure, JobId, StateName};

/// A workflow without a queue: what is decided is done here, one second a round.
struct Drive {
    definition: Definition,
    progress: Progress,
    now: Timestamp,
    /// The job that each step and check runs, by id: its step, and whether it is a check.
    jobs: BTreeMap<JobId, (usize, bool)>,
    /// What was begun, in order, with its arguments.
    begun: Vec<(String, Map<String, Value>)>,
    wake_at: Option<Timestamp>,
    end: Option<End>,
}

impl Drive {
    fn of(steps: Value) -> Self {
        let definition = definition(steps);
        assert_eq!(check(&definition), []);
        let steps = vec![StepProgress::default(); definition.steps.len()];
        let progress = Progress {
            cancelled: false,
            steps,
        };
        let mut drive = Self {
            definition,
            progress,
            now: Timestamp::from_millis(0),
            jobs: BTreeMap::new(),
            begun: Vec::new(),
            wake_at: None,
            end: None,
        };
        drive.advance();
        drive
    }

    fn advance(&mut self) {
        let decision = advance(&self.definition, &self.progress, self.now, &mut |call| {
            if call.tool == "gone__gone" {
                return Err(Failure::new("plugin_not_found", "There is no such tool."));
            }
            Ok((call.step.id.clone(), call.arguments))
        });
        for action in decision.actions {
            self.act(action);
        }
        self.wake_at = decision.wake_at;
        self.end = decision.end;
        let again = advance(&self.definition, &self.progress, self.now, &mut |call| {
            Ok(call.step.id.clone())
        });
        assert_eq!(again.actions, [], "nothing is decided twice");
    }

    fn act(&mut self, action: Action<(String, Map<String, Value>)>) {
        match action {
            Action::Begin { step, job } => {
                let id = JobId::random();
                let progress = &mut self.progress.steps[step];
                assert_eq!(progress.state, StepState::Waiting, "{} begins twice", job.0);
                progress.state = StepState::Running;
                progress.job = Some(StepJob {
                    id: id.clone(),
                    end: None,
                });
                self.jobs.insert(id, (step, false));
                self.begun.push(job);
            }
            Action::Verify { step } => self.progress.steps[step].state = StepState::Verifying,
            Action::Check { step, job } => {
                let id = JobId::random();
                self.progress.steps[step].checks.push(Check {
                    job: id.clone(),
                    begun_at: self.now,
                    end: None,
                });
                self.jobs.insert(id, (step, true));
                self.begun.push((format!("check of {}", job.0), job.1));
            }
            Action::StopCheck { job } => self.finish(&job, StateName::Cancelled, json!(null)),
            Action::End {
                step, state, error, ..
            } => {
                let progress = &mut self.progress.steps[step];
                assert!(!progress.state.is_final() && state.is_final());
                progress.state = state;
                progress.error = error;
            }
        }
    }

    /// The jobs that run, with their steps' names.
    fn running(&self) -> Vec<(JobId, String)> {
        let name = |(id, (step, is_check)): (&JobId, &(usize, bool))| {
            let of = &self.definition.steps[*step].id;
            let name = if *is_check {
                format!("check of {of}")
            } else {
                of.clone()
            };
            (id.clone(), name)
        };
        self.jobs.iter().map(name).collect()
    }

    /// Ends a job.
    fn finish(&mut self, id: &JobId, state: StateName, result: Value) {
        let (step, is_check) = self.jobs.remove(id).unwrap();
        let progress = &mut self.progress.steps[step];
        if is_check {
            let check = progress.checks.iter_mut().find(|check| check.job == *id);
            check.unwrap().end = Some((self.now, state));
        } else {
            let error = (state != StateName::Succeeded)
                .then(|| Failure::new("plugin_error", "It did not work."));
            progress.job.as_mut().unwrap().end = Some(JobEnd {
                at: self.now,
                state,
                error,
                result: Ok(result),
            });
        }
    }

    /// Ends the only job of that name a second later, and goes on.
    fn ends(&mut self, name: &str, state: StateName, result: Value) {
        let job = self.running().into_iter().find(|(_, of)| of == name);
        let (id, _) = job.unwrap_or_else(|| panic!("{name} does not run: {:?}", self.running()));
        self.now = self.now.plus(Duration::from_secs(1));
        self.finish(&id, state, result);
        self.advance();
    }

    fn succeeds(&mut self, name: &str) {
        self.ends(name, StateName::Succeeded, json!("done"));
    }

    fn fails(&mut self, name: &str) {
        self.ends(name, StateName::Failed, json!(null));
    }

    fn waits(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
        self.advance();
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.running().into_iter().map(|(_, name)| name).collect();
        names.sort();
        names
    }

    /// The state of each step, by its first three letters.
    fn states(&self) -> String {
        let steps = self.progress.steps.iter();
        let states: Vec<_> = steps.map(|step| &step.state.as_str()[..3]).collect();
        states.join(" ")
    }

    fn ended(&self) -> (WorkflowState, String) {
        let end = self.end.clone().expect("the workflow has ended");
        let why = end.error.map(|error| error.message).unwrap_or_default();
        (end.state, why)
    }
}

#[test]
fn steps_begin_when_what_they_need_has_ended() {
    let mut drive = Drive::of(json!([
        {"id": "d", "needs": ["b", "c"]},
        {"id": "a"},
        {"id": "b", "arguments": {"x": "${steps.a.result.n}", "y": "v${steps.a.result.n} of ${steps.a.state}"}},
        {"id": "c", "needs": ["a"]},
    ]));
    assert_eq!(drive.names(), ["a"]);
    drive.ends("a", StateName::Succeeded, json!({"n": 7}));
    assert_eq!(drive.names(), ["b", "c"]);
    assert_eq!(
        Value::from(drive.begun[1].1.clone()),
        json!({"x": 7, "y": "v7 of succeeded"})
    );
    drive.succeeds("c");
    assert_eq!(drive.names(), ["b"]);
    assert_eq!(drive.end, None);
    drive.succeeds("b");
    drive.succeeds("d");
    assert_eq!(drive.ended(), (WorkflowState::Succeeded, String::new()));
}

#[test]
fn on_failure_stop_lets_nothing_new_begin() {
    let mut drive = Drive::of(json!([
        {"id": "a"}, {"id": "b"}, {"id": "c", "needs": ["b"]}, {"id": "d", "needs": ["a"]},
    ]));
    drive.fails("a");
    assert_eq!(
        (drive.states().as_str(), drive.names()),
        ("fai run ski ski", vec!["b".to_owned()])
    );
    drive.succeeds("b");
    let why = "Step 'a' failed (plugin_error): It did not work.";
    assert_eq!(drive.ended(), (WorkflowState::Failed, why.to_owned()));
}

#[test]
fn on_failure_continue_lets_the_others_go_on() {
    let mut drive = Drive::of(json!([
        {"id": "a", "on_failure": "continue"},
        {"id": "b", "needs": ["a"], "arguments": {"x": "${steps.a.state}"}},
        {"id": "c", "arguments": {"x": "${steps.a.result.x}"}, "on_failure": "continue"},
    ]));
    drive.ends("a", StateName::OutcomeUnknown, json!(null));
    assert_eq!(drive.names(), ["b"]);
    assert_eq!(drive.begun[1].1["x"], "failed");
    let error = drive.progress.steps[2].error.as_ref().unwrap();
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        (
            "unresolved_reference",
            "${steps.a.result.x} leads nowhere: step 'a' has no result, as it did not succeed."
        )
    );
    drive.succeeds("b");
    assert_eq!(drive.ended().0, WorkflowState::Succeeded);
}

#[test]
fn on_failure_run_runs_that_step_and_no_other() {
    let steps = json!([
        {"id": "before"},
        {"id": "a", "needs": ["before"], "on_failure": "run:undo"},
        {"id": "b", "needs": ["a"], "on_failure": "run:undo"},
        {"id": "c", "needs": ["b"]},
        {"id": "undo", "arguments": {"to": "${steps.before.result}", "state": "${steps.a.state}"}},
    ]);
    let mut drive = Drive::of(steps.clone());
    drive.succeeds("before");
    drive.fails("a");
    assert_eq!(drive.states(), "suc fai ski ski run");
    assert_eq!(
        Value::from(drive.begun[2].1.clone()),
        json!({"to": "done", "state": "failed"})
    );
    drive.succeeds("undo");
    let (state, why) = drive.ended();
    assert_eq!(state, WorkflowState::Failed);
    assert!(
        why.ends_with("Then 'undo' was run, and succeeded."),
        "{why}"
    );

    let mut drive = Drive::of(steps.clone());
    drive.succeeds("before");
    drive.succeeds("a");
    drive.fails("b");
    drive.fails("undo");
    let (_, why) = drive.ended();
    assert!(
        why.ends_with("Then 'undo' was run, and failed (plugin_error): It did not work."),
        "{why}"
    );

    let mut drive = Drive::of(steps);
    for step in ["before", "a", "b", "c"] {
        drive.succeeds(step);
    }
    assert_eq!(drive.states(), "suc suc suc suc ski");
    assert_eq!(drive.ended().0, WorkflowState::Succeeded);
}

#[test]
fn a_step_that_fails_beside_another_one_has_its_own_step_run() {
    let mut drive = Drive::of(json!([
        {"id": "a"},
        {"id": "b", "on_failure": "run:undo"},
        {"id": "undo", "arguments": {"why": "${steps.b.error.code}"}},
    ]));
    drive.fails("a");
    assert_eq!(drive.states(), "fai run wai", "b may still fail");
    drive.fails("b");
    assert_eq!(drive.begun[2].1["why"], "plugin_error");
    drive.succeeds("undo");
    assert_eq!(drive.ended().0, WorkflowState::Failed);
}

#[test]
fn a_tool_that_is_gone_fails_its_step() {
    let drive = Drive::of(json!([{"id": "a", "tool": "gone__gone"}, {"id": "b", "needs": ["a"]}]));
    assert_eq!(drive.states(), "fai ski");
    assert_eq!(
        drive.ended().1,
        "Step 'a' failed (plugin_not_found): There is no such tool."
    );
}

#[test]
fn checks_follow_one_another_and_the_deadline_ends_them() {
    let verified = json!([
        {"id": "a", "verify": {"tool": "t__c", "arguments": {"of": "${steps.a.result}"}, "every": 10, "need": 2, "of": 3,
                               "deadline": 30}},
        {"id": "b", "needs": ["a"]},
    ]);
    let mut drive = Drive::of(verified.clone());
    drive.succeeds("a");
    assert_eq!(drive.names(), ["check of a"]);
    assert_eq!(drive.begun[1].1["of"], "done");
    drive.succeeds("check of a");
    assert_eq!(drive.names(), Vec::<String>::new());
    assert_eq!(drive.wake_at, Some(Timestamp::from_millis(11_000)));
    drive.waits(9);
    drive.fails("check of a");
    drive.waits(9);
    drive.succeeds("check of a");
    assert_eq!(
        (drive.states().as_str(), drive.names()),
        ("suc run", vec!["b".to_owned()])
    );

    let mut drive = Drive::of(verified.clone());
    drive.succeeds("a");
    drive.waits(40);
    assert_eq!(drive.states(), "fai ski");
    assert!(drive.names().is_empty(), "the check is stopped");
    assert_eq!(
        drive.progress.steps[0].error.as_ref().unwrap().code,
        "verification_failed"
    );

    let mut drive = Drive::of(verified);
    drive.succeeds("a");
    drive.fails("check of a");
    drive.waits(10);
    drive.fails("check of a");
    assert_eq!(drive.states(), "fai ski");
    assert!(
        drive.ended().1.contains("2 of at most 3 checks"),
        "{:?}",
        drive.ended()
    );
}

#[test]
fn a_cancelled_workflow_waits_for_what_runs_and_begins_nothing() {
    let mut drive = Drive::of(json!([
        {"id": "a", "on_failure": "run:undo"}, {"id": "b"}, {"id": "c", "needs": ["b"]}, {"id": "undo"},
    ]));
    drive.progress.cancelled = true;
    drive.advance();
    assert_eq!(drive.states(), "run run ski ski");
    drive.ends("a", StateName::Cancelled, json!(null));
    drive.succeeds("b");
    assert_eq!(drive.states(), "can suc ski ski");
    assert_eq!(drive.ended().0, WorkflowState::Cancelled);
}

/// Up to eight steps that need earlier ones; some are run at the failure of others, some are verified.
fn steps() -> impl Strategy<Value = Value> {
    let step = (any::<u8>(), 0..6_u8, any::<bool>());
    proptest::collection::vec(step, 1..8).prop_map(|steps| {
        let count = steps.len();
        let mut made: Vec<_> = steps
            .into_iter()
            .enumerate()
            .map(|(n, (needs, failure, verified))| {
                let needs: Vec<_> = (0..n)
                    .filter(|m| needs & (1 << m) != 0)
                    .map(|m| format!("s{m}"))
                    .collect();
                let on_failure = match failure {
                    0 | 1 => "stop",
                    2 | 3 => "continue",
                    4 => "run:h0",
                    _ => "run:h1",
                };
                let mut step =
                    json!({"id": format!("s{n}"), "needs": needs, "on_failure": on_failure});
                if verified {
                    step["verify"] =
                        json!({"tool": "t__c", "every": 2, "need": 2, "of": 3, "deadline": 9});
                }
                step
            })
            .collect();
        for handler in ["h0", "h1"] {
            let run = format!("run:{handler}");
            if made[..count].iter().any(|step| step["on_failure"] == run) {
                made.push(json!({"id": handler}));
            }
        }
        Value::from(made)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_workflow_ends_and_no_step_begins_early_or_twice(
        steps in steps(), chances in proptest::collection::vec(any::<u8>(), 200), cancel_at in 0..60_usize,
    ) {
        let mut drive = Drive::of(steps);
        let graph = Graph::of(&drive.definition);
        let mut seen = 0;
        for (round, chance) in chances.iter().enumerate() {
            // Whatever has begun since had all it needs.
            for (name, _) in &drive.begun[seen..] {
                if let Some(n) = drive.definition.position(name) {
                    for need in graph.needs(n) {
                        prop_assert!(drive.progress.steps[*need].state.is_final(), "{} began early", name);
                    }
                }
            }
            seen = drive.begun.len();
            if drive.end.is_some() {
                break;
            }
            let running = drive.running();
            prop_assert!(!running.is_empty() || drive.wake_at.is_some(), "nothing can happen any more");
            if round == cancel_at {
                drive.progress.cancelled = true;
                for (id, _) in running {
                    drive.now = drive.now.plus(Duration::from_millis(1));
                    drive.finish(&id, StateName::Cancelled, json!(null));
                }
            } else if let Some((id, _)) = running.get(usize::from(*chance) % (running.len() + 1)) {
                let state = match chance % 7 {
                    0 | 1 => StateName::Failed,
                    2 => StateName::OutcomeUnknown,
                    _ => StateName::Succeeded,
                };
                drive.finish(&id.clone(), state, json!({}));
            }
            drive.now = drive.now.plus(Duration::from_millis(500));
            drive.advance();
        }
        let end = drive.end.clone();
        prop_assert!(end.is_some(), "it does not end: {}", drive.states());
        prop_assert!(drive.running().is_empty() && drive.progress.steps.iter().all(|step| step.state.is_final()));
        let mut names: Vec<_> = drive.begun.iter().map(|(name, _)| name.as_str()).collect();
        names.retain(|name| !name.starts_with("check"));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        prop_assert_eq!(names.len(), count, "a step began twice");
        for n in 0..drive.definition.steps.len() {
            let has_failed = graph.handles(n).iter().any(|of| drive.progress.steps[*of].state == StepState::Failed);
            let has_begun = drive.progress.steps[n].job.is_some();
            if graph.is_handler(n) && !drive.progress.cancelled {
                prop_assert_eq!(has_begun, has_failed, "a step is run at a failure, and at nothing else");
            }
        }
    }
}
