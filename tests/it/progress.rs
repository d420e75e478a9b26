//! Progress and log lines on their way to the caller, and calls that are taken back.

use std::fs;

use serde_json::{Value, json};

use crate::processes;
use crate::world::{World, eventually};

#[test]
fn progress_and_log_lines_arrive_in_order() {
    let (world, _roles) = World::running();
    for transport in ["sse", "http"] {
        let answers = world.python(
            transport,
            &json!([{"call": "sleepy__steps", "arguments": {"count": 3, "seconds": 0.05}, "progress": true},
                    {"call": "sleepy__steps", "arguments": {"count": 1, "seconds": 0.05}}]),
        );
        let [_hello, steps, silent] = answers.try_into().unwrap();
        assert_eq!(steps["is_error"], false, "{steps}");
        let reports = steps["progress"].as_array().unwrap();
        let messages: Vec<_> = reports
            .iter()
            .map(|report| report["message"].as_str().unwrap())
            .collect();
        // Two descriptors have no order between them; each has its own.
        let of = |log: bool| {
            messages
                .iter()
                .filter(|message| message.ends_with("is done") == log)
                .copied()
                .collect::<Vec<_>>()
        };
        assert_eq!(of(false), ["step 1 of 3", "step 2 of 3", "step 3 of 3"]);
        assert_eq!(
            of(true),
            [
                "step 1 of 3 is done",
                "step 2 of 3 is done",
                "step 3 of 3 is done"
            ]
        );
        let counts: Vec<_> = reports
            .iter()
            .map(|report| report["progress"].as_f64().unwrap())
            .collect();
        assert!(counts.is_sorted_by(|a, b| a < b), "{counts:?}");
        let counted: Vec<_> = reports
            .iter()
            .filter(|report| !report["message"].as_str().unwrap().ends_with("is done"))
            .collect();
        assert_eq!(counted[2]["progress"], 3.0);
        assert!(
            counted.iter().all(|report| report["total"] == 3.0),
            "{reports:?}"
        );
        assert_eq!(silent["progress"], json!([]), "nobody asked");
    }
}

#[test]
fn a_call_that_is_taken_back_is_killed_at_once() {
    let (world, _roles) = World::running();
    for transport in ["sse", "http"] {
        let journal = world.outside(&format!("{transport}.journal"));
        let begun = std::time::Instant::now();
        let answers = world.python(
            transport,
            &json!([{"call": "sleepy__steps", "arguments": {"count": 1000, "seconds": 0.1, "journal": journal},
                     "cancel_after_progress": 1},
                    {"call": "health"}]),
        );
        assert_eq!(answers[1]["cancelled"], true, "{answers:?}");
        assert_eq!(answers[2]["is_error"], false, "the session goes on");
        let job = eventually("the job has ended", || {
            let jobs =
                world.smcp_json(&["jobs", "list", "--tool", "sleepy__steps", "--limit", "1"]);
            (!jobs[0]["finished_at"].is_null()).then(|| jobs[0].clone())
        });
        assert_eq!(job["state"], "cancelled");
        assert_eq!(
            (&job["cancel"]["by"], &job["cancel"]["reason"]),
            (&json!("local"), &json!("enough progress"))
        );
        let took_ms = job["finished_at"].as_i64().unwrap() - job["cancel"]["at"].as_i64().unwrap();
        assert!(took_ms < 1000, "it took {took_ms} ms to stop");
        assert!(begun.elapsed().as_secs() < 60);
        let started: Value =
            serde_json::from_str(fs::read_to_string(&journal).unwrap().trim()).unwrap();
        let run = std::path::Path::new(started["run"].as_str().unwrap());
        assert!(!processes::is_locked(run));
    }
}
