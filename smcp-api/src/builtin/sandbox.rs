//! How the workers confine plugins, in short: workers of one machine say the same, and what is in order needs no words.

use serde_json::{Map, Value, json};
use smcp_common::queue::WorkerInfo;
use smcp_common::sandbox::{Report, State};

/// What the workers say of their machines, taken out of their own records: once for all that say the same.
pub(super) fn summary(workers: &mut [WorkerInfo]) -> Value {
    let mut reports: Vec<(Report, Vec<String>)> = Vec::new();
    let mut unknown = Vec::new();
    for worker in workers {
        let id = worker.id.clone();
        let Some(mut report) = worker.sandbox.take() else {
            unknown.push(id);
            continue;
        };
        if let Some(test) = &mut report.self_test {
            // Two runs take different times and mean the same.
            test.duration_ms = 0;
        }
        match reports.iter_mut().find(|(known, _)| *known == report) {
            Some((_, ids)) => ids.push(id),
            None => reports.push((report, vec![id])),
        }
    }
    let reports: Vec<_> = reports
        .iter()
        .map(|(report, ids)| shown(report, ids))
        .collect();
    json!({ "reports": reports, "unknown": unknown })
}

fn shown(report: &Report, workers: &[String]) -> Value {
    let mut keys = Map::new();
    let mut gaps = Map::new();
    for (key, finding) in &report.keys {
        keys.insert(key.to_string(), json!(finding.state));
        if finding.state != State::Enforced {
            gaps.insert(
                key.to_string(),
                json!({ "state": finding.state, "why": finding.why, "fix": finding.fix }),
            );
        }
    }
    let failures = report.self_test.as_ref().map(|test| &test.failures);
    json!({
        "workers": workers,
        "tier": report.tier,
        "require": report.require,
        "refusal": report.refusal,
        "keys": keys,
        "gaps": gaps,
        "probes_failed": failures,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use smcp_common::clock::Timestamp;
    use smcp_common::queue::WorkerState;
    use smcp_common::sandbox::{Finding, Key, Require, SelfTest, Tier};

    use super::*;

    fn worker(id: &str, sandbox: Option<Report>) -> WorkerInfo {
        WorkerInfo {
            id: id.to_owned(),
            host: "here".to_owned(),
            pid: 1,
            version: "1".to_owned(),
            managed: true,
            started_at: Timestamp::from_millis(0),
            last_seen: Timestamp::from_millis(0),
            state: WorkerState::Idle,
            job: None,
            tool: None,
            scheduler: false,
            sandbox,
        }
    }

    fn report(tier: Tier, duration_ms: u64) -> Report {
        let finding = |state, why: Option<&str>| Finding {
            state,
            by: vec!["something".to_owned()],
            why: why.map(ToOwned::to_owned),
            fix: why.map(|_| "mend it".to_owned()),
        };
        Report {
            tier,
            require: Require::Restricted,
            refusal: None,
            keys: BTreeMap::from([
                (Key::Filesystem, finding(State::Enforced, None)),
                (Key::Memory, finding(State::Partial, Some("no cgroup"))),
            ]),
            self_test: Some(SelfTest {
                probes: 12,
                failures: Vec::new(),
                duration_ms,
            }),
        }
    }

    #[test]
    fn workers_that_say_the_same_are_told_of_together_and_gaps_with_their_reasons() {
        let mut workers = [
            worker("w1", Some(report(Tier::Isolated, 5))),
            worker("w2", Some(report(Tier::Restricted, 5))),
            worker("w3", None),
            worker("w4", Some(report(Tier::Isolated, 7))),
        ];
        let one = |tier: &str, workers: &[&str]| {
            json!({
                "workers": workers, "tier": tier, "require": "restricted", "refusal": null,
                "keys": {"filesystem": "enforced", "memory": "partial"},
                "gaps": {"memory": {"state": "partial", "why": "no cgroup", "fix": "mend it"}},
                "probes_failed": [],
            })
        };
        let expected = json!({
            "reports": [one("isolated", &["w1", "w4"]), one("restricted", &["w2"])],
            "unknown": ["w3"],
        });
        assert_eq!(summary(&mut workers), expected);
        assert!(workers.iter().all(|worker| worker.sandbox.is_none()));
    }
}
