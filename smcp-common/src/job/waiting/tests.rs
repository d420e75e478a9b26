use serde_json::json;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn id() -> JobId {
    "019a8c7e-5d2f-7b1a-9c41-2f6f0d3b8a55".parse().unwrap()
}

/// A job that a worker is about to take.
fn ready() -> Situation {
    Situation {
        run_at: NOW,
        attempt: 0,
        lane: Some("deploy".into()),
        agent: "ada".into(),
        full: None,
        pauses: Vec::new(),
        lane_job: None,
        ahead_in_lane: 0,
        ahead_elsewhere: 0,
        workers: 2,
        busy: 1,
    }
}

fn pause(scope: Scope) -> Pause {
    Pause {
        scope,
        since: NOW.minus(Duration::from_secs(300)),
        by: "operator".into(),
        reason: Some("maintenance".into()),
    }
}

#[test]
fn what_must_change_first_comes_first() {
    let later = NOW.plus(Duration::from_secs(60));
    let paused = || vec![pause(Scope::Lane("deploy".into()))];
    let rows: Vec<(&str, Situation, &[&str])> = vec![
        ("about to run", ready(), &[]),
        (
            "paused",
            Situation {
                pauses: paused(),
                ..ready()
            },
            &["paused"],
        ),
        (
            "alone",
            Situation {
                workers: 0,
                busy: 0,
                ..ready()
            },
            &["no_worker"],
        ),
        (
            "early",
            Situation {
                run_at: later,
                ..ready()
            },
            &["not_before"],
        ),
        (
            "again",
            Situation {
                run_at: later,
                attempt: 1,
                ..ready()
            },
            &["retrying"],
        ),
        (
            "busy lane",
            Situation {
                lane_job: Some(id()),
                ahead_in_lane: 3,
                ..ready()
            },
            &["lane_busy"],
        ),
        (
            "in line",
            Situation {
                ahead_in_lane: 3,
                busy: 2,
                ..ready()
            },
            &["behind"],
        ),
        (
            "no lane",
            Situation {
                lane: None,
                ahead_in_lane: 1,
                ..ready()
            },
            &["behind"],
        ),
        (
            "full agent",
            Situation {
                full: Some(2),
                busy: 2,
                ..ready()
            },
            &["agent_busy"],
        ),
        (
            "full agent and busy lane",
            Situation {
                full: Some(2),
                lane_job: Some(id()),
                ..ready()
            },
            &["agent_busy", "lane_busy"],
        ),
        (
            "busy workers",
            Situation {
                busy: 2,
                ahead_elsewhere: 4,
                ..ready()
            },
            &["workers_busy"],
        ),
        (
            "all at once",
            Situation {
                pauses: paused(),
                workers: 0,
                run_at: later,
                lane_job: Some(id()),
                ..ready()
            },
            &["paused", "no_worker", "not_before"],
        ),
        (
            "all but the time",
            Situation {
                pauses: paused(),
                workers: 0,
                lane_job: Some(id()),
                ..ready()
            },
            &["paused", "no_worker", "lane_busy"],
        ),
    ];
    for (name, situation, expected) in rows {
        let reasons = waiting(situation, NOW);
        let codes: Vec<_> = reasons
            .iter()
            .map(|reason| json!(reason)["code"].clone())
            .collect();
        assert_eq!(codes, expected, "{name}");
        let turn = ["agent_busy", "lane_busy", "behind", "workers_busy"];
        for reason in &reasons {
            let code = json!(reason)["code"].clone();
            assert_eq!(
                reason.is_turn(),
                turn.contains(&code.as_str().unwrap()),
                "{name}"
            );
        }
    }
}

#[test]
fn each_reason_is_a_sentence() {
    let run_at = NOW.plus(Duration::from_secs(60));
    let full = |running| Waiting::AgentBusy {
        agent: "ada".into(),
        running,
    };
    let busy = |position| Waiting::LaneBusy {
        lane: "deploy".into(),
        job: id(),
        position,
    };
    let behind = |lane: Option<&str>, position| Waiting::Behind {
        lane: lane.map(Into::into),
        position,
    };
    let workers = |workers, position| Waiting::WorkersBusy { workers, position };
    let quiet = Pause {
        since: NOW,
        reason: None,
        ..pause(Scope::All)
    };
    let rows = [
        (
            Waiting::Paused(pause(Scope::Lane("deploy".into()))),
            "Lane 'deploy' was paused by operator 5 min ago: maintenance.",
        ),
        (
            Waiting::Paused(pause(Scope::Plugin("devops".into()))),
            "Plugin 'devops' was paused by operator 5 min ago: maintenance.",
        ),
        (
            Waiting::Paused(quiet),
            "The whole queue was paused by operator just now.",
        ),
        (
            Waiting::NoWorker,
            "No worker is alive to run it; smcp worker starts one, and smcp up keeps some running.",
        ),
        (
            Waiting::NotBefore { run_at },
            "It is not to run before 2027-01-15T08:01:00.000Z.",
        ),
        (
            Waiting::Retrying { run_at, attempt: 2 },
            "Attempt 2 follows at 2027-01-15T08:01:00.000Z.",
        ),
        (
            full(1),
            "Agent 'ada' has a job running, and may have no other at a time.",
        ),
        (
            full(3),
            "Agent 'ada' has 3 jobs running, as many as it may at a time.",
        ),
        (
            busy(1),
            "Job 019a8c7e-5d2f-7b1a-9c41-2f6f0d3b8a55 runs in lane 'deploy', and this one is next.",
        ),
        (
            busy(3),
            "Job 019a8c7e-5d2f-7b1a-9c41-2f6f0d3b8a55 runs in lane 'deploy', and this one is number 3 of those that wait there.",
        ),
        (
            behind(Some("deploy"), 2),
            "It is number 2 of those that wait in lane 'deploy'.",
        ),
        (
            behind(None, POSITION_LIMIT),
            "It is number 1000 or more of those that wait and need no lane.",
        ),
        (
            workers(1, 1),
            "The only worker has another job, and this one is next.",
        ),
        (
            workers(3, 2),
            "All 3 workers have other jobs, and it is number 2 of those that are next.",
        ),
    ];
    for (waiting, expected) in rows {
        assert_eq!(waiting.message(NOW), expected);
    }
}

#[test]
fn a_reason_is_told_to_programs_with_its_details() {
    let paused = Waiting::Paused(pause(Scope::Lane("deploy".into())));
    let since = NOW.as_millis() - 300_000;
    let expected = json!({"code": "paused", "scope": "lane", "name": "deploy", "since": since, "by": "operator",
                          "reason": "maintenance"});
    assert_eq!(json!(paused), expected);
    let all = json!(pause(Scope::All));
    assert_eq!((&all["scope"], all.get("name")), (&json!("all"), None));
    assert_eq!(
        serde_json::from_value::<Pause>(all).unwrap(),
        pause(Scope::All)
    );
    assert_eq!(json!(Waiting::NoWorker), json!({"code": "no_worker"}));
}

#[test]
fn a_pause_covers_its_own_and_no_more() {
    let lane = |name: &str| Scope::Lane(name.to_owned());
    let plugin = |name: &str| Scope::Plugin(name.to_owned());
    let rows = [
        (Scope::All, None, true),
        (lane("a"), Some("a"), true),
        (lane("a"), Some("b"), false),
        (lane("a"), None, false),
        (plugin("p"), Some("b"), true),
        (plugin("p"), None, true),
        (plugin("a"), Some("a"), false),
    ];
    for (scope, of_lane, expected) in rows {
        assert_eq!(
            scope.covers(of_lane, "p"),
            expected,
            "{scope:?} {of_lane:?}"
        );
        let (stored, name) = scope.parts();
        assert_eq!(Scope::parse(stored, name.to_owned()), Some(scope));
    }
    assert_eq!(Scope::parse("world", String::new()), None);
}

#[test]
fn times_that_have_passed_are_told_roughly() {
    let rows = [
        (4, "just now"),
        (90, "90 s ago"),
        (300, "5 min ago"),
        (7_200, "2 h ago"),
        (172_800, "2 days ago"),
    ];
    for (seconds, expected) in rows {
        assert_eq!(ago(Duration::from_secs(seconds)), expected);
    }
}
