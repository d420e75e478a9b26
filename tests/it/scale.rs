//! Workers come and go as operators say; settings are changed while SMCP runs; old jobs are pruned.

use std::fs;

use serde_json::{Value, json};

use crate::naps::Naps;
use crate::world::{Role, World, eventually, failure_of, text};

/// A key of an agent whose calls are not made here.
const STRANGER: &str = "a-key-of-somebody-else";

impl World {
    fn listed(&self) -> Vec<Value> {
        let workers = self.smcp_json(&["workers", "list"]);
        workers.as_array().unwrap().clone()
    }

    /// The ids of the workers that are in that state.
    fn in_state(&self, state: &str) -> Vec<String> {
        let id = |worker: &Value| worker["id"].as_str().unwrap().to_owned();
        let workers = self.listed();
        let found = workers.iter().filter(|worker| worker["state"] == state);
        found.map(id).collect()
    }

    /// What a command says, which must succeed.
    fn said(&self, arguments: &[&str]) -> String {
        let output = self.smcp(arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    /// What a command that must fail says, with its exit code.
    fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.smcp(arguments);
        let code = output.status.code().unwrap();
        assert_ne!(code, 0, "{}", text(&output.stdout));
        (code, text(&output.stderr))
    }

    /// Starts `smcp up` as it was left.
    fn up_again(&mut self) -> Role {
        let mut command = self.command(&["up", "--port", "0"]);
        command.stderr(fs::File::create(self.path("log")).unwrap());
        self.start_up(command)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_workers_run_as_are_wanted() {
    // Whoever is told to stop rather than to drain would stop its job.
    let mut world = World::new();
    world.configure("[workers]\ndrain_timeout_s = 0\n");
    let (_up, _) = world.up(1);
    let naps = Naps::of(&world);
    let said = world.said(&["workers", "scale", "3", "--wait"]);
    assert!(
        said.starts_with("3 workers wanted; 1 is running, smcp up starts 2 more\n"),
        "{said}"
    );
    assert!(
        said.ends_with("3 workers wanted; 3 are running\n"),
        "{said}"
    );
    let workers = world.listed();
    assert_eq!(workers.len(), 3);
    for worker in &workers {
        assert_eq!(
            (&worker["managed"], &worker["version"]),
            (&json!(true), &json!(env!("CARGO_PKG_VERSION")))
        );
        assert!(worker["host"].is_string() && worker["last_seen"].is_i64());
    }
    let scheduler = |worker: &&Value| worker["scheduler"] == true;
    assert_eq!(workers.iter().filter(scheduler).count(), 1);

    let id = world
        .client()
        .await
        .submit("sleepy__nap", naps.until_open("n"))
        .await;
    naps.started("n");
    let [busy] = world.in_state("running").try_into().unwrap();
    world.said(&["workers", "scale", "1", "--wait"]);
    assert_eq!(
        world.in_state("running"),
        [busy.as_str()],
        "idle ones go first"
    );
    assert_eq!(world.listed().len(), 1);
    assert_eq!(world.listed()[0]["tool"], "sleepy__nap");
    assert_eq!(world.listed()[0]["job"], id.as_str());

    let said = world.said(&["workers", "scale", "0"]);
    assert_eq!(said, "0 workers wanted; 1 is running, smcp up lets 1 end\n");
    eventually("the busy worker drains", || {
        (world.in_state("draining") == [busy.as_str()]).then_some(())
    });
    naps.open();
    let job = world.client().await.ended(&id).await;
    assert_eq!(
        (&job["state"], &job["attempts"][0]["worker"]),
        (&json!("succeeded"), &json!(busy))
    );
    eventually("nothing runs", || world.listed().is_empty().then_some(()));
    let waits = world
        .client()
        .await
        .submit("demo_math__calculate", json!({"expression": "2+2"}))
        .await;
    assert_eq!(
        world.smcp_json(&["jobs", "show", &waits])["state"],
        "queued"
    );
    world.said(&["workers", "scale", "1", "--wait"]);
    let job = world.client().await.ended(&waits).await;
    assert_eq!(job["state"], "succeeded");
    assert!(!world.log().contains("ended unasked"), "{}", world.log());
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn drained_workers_are_replaced_and_finish_what_they_run() {
    let mut world = World::new().with("MCP_API_KEY", STRANGER);
    let (_up, _) = world.up(2);
    let naps = Naps::of(&world);
    let id = world
        .client()
        .await
        .submit("sleepy__nap", naps.until_open("n"))
        .await;
    naps.started("n");
    let [busy] = world.in_state("running").try_into().unwrap();
    assert_eq!(strangers_view(&world).await, [Value::Null, Value::Null]);
    let before: Vec<_> = world.workers();
    assert_eq!(before.len(), 2);
    let drained = world.smcp_json(&["workers", "drain", "all"]);
    assert_eq!(drained["draining"].as_array().unwrap().len(), 2);
    eventually("two others are there, while the busy one drains", || {
        let others = world.in_state("idle").len() == 2;
        (others && world.in_state("draining") == [busy.as_str()]).then_some(())
    });
    naps.open();
    let job = world.client().await.ended(&id).await;
    assert_eq!(job["state"], "succeeded");
    assert_eq!(job["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(job["attempts"][0]["worker"], busy);
    eventually("the drained ones have gone", || {
        let now = world.workers();
        (now.len() == 2 && now.iter().all(|pid| !before.contains(pid))).then_some(())
    });
    assert!(!world.log().contains("ended unasked"), "{}", world.log());
}

/// The jobs of the workers, as an agent sees them that has none.
async fn strangers_view(world: &World) -> Vec<Value> {
    let stranger = world.client_with_key(STRANGER).await;
    let listed = stranger.json("workers__list", json!({})).await;
    let health = stranger.json("health", json!({})).await;
    assert_eq!(listed["workers"].as_array().unwrap().len(), 2);
    let jobs = |answer: &Value| {
        let workers = answer["workers"].as_array().unwrap();
        let jobs = workers.iter().map(|worker| worker["job"].clone());
        jobs.collect::<Vec<_>>()
    };
    assert_eq!(jobs(&listed), jobs(&health));
    jobs(&listed)
}

#[test]
fn the_number_of_workers_outlives_up_and_a_flag_wins() {
    let mut world = World::new();
    let up = world.up_again();
    assert_eq!(
        world.smcp_json(&["settings", "get", "workers.count"])["value"],
        1
    );
    world.said(&["workers", "scale", "2", "--wait"]);
    up.terminate();
    assert_eq!(up.wait(), Some(0));

    let up = world.up_again();
    eventually("two workers are there", || {
        (world.workers().len() == 2).then_some(())
    });
    let shown = world.smcp_json(&["settings", "get", "workers.count"]);
    assert_eq!(
        (&shown["value"], &shown["changed_by"]),
        (&json!(2), &json!("operator"))
    );
    up.terminate();
    assert_eq!(up.wait(), Some(0));

    let up = world.up_again();
    world.said(&["workers", "scale", "0", "--wait"]);
    up.terminate();
    assert_eq!(up.wait(), Some(0));
    let up = world.up_again();
    let scale = world.said(&["workers", "list"]);
    assert_eq!(scale, "no workers\n0 workers wanted; none is running\n");
    up.terminate();
    assert_eq!(up.wait(), Some(0));

    let (_up, said) = world.up(3);
    assert!(said.contains("workers  3\n"), "{said}");
    eventually("three workers are there", || {
        (world.workers().len() == 3).then_some(())
    });
    let shown = world.smcp_json(&["settings", "get", "workers.count"]);
    assert_eq!(
        (&shown["value"], &shown["changed_by"]),
        (&json!(3), &json!("up"))
    );
    world.said(&["settings", "set", "workers.count", "default"]);
    eventually("one worker is there", || {
        (world.listed().len() == 1).then_some(())
    });
}

#[test]
fn a_worker_that_was_started_by_hand_is_shown_and_can_be_drained() {
    let (world, [_api, worker]) = World::running();
    let said = world.said(&["workers", "scale", "3"]);
    assert_eq!(
        said,
        "3 workers wanted, but no smcp up is running, which alone starts and ends workers; \
         1 was started otherwise, and not touched\n"
    );
    let (code, why) = world.refused(&["workers", "scale", "2", "--wait"]);
    assert!(code == 1 && why.contains("nothing to wait for"), "{why}");
    let [shown] = world.listed().try_into().unwrap();
    assert_eq!(
        (&shown["managed"], &shown["pid"]),
        (&json!(false), &json!(worker.pid()))
    );
    let (code, why) = world.refused(&["workers", "drain", "w-none"]);
    assert!(
        code == 1 && why.contains("There is no worker w-none"),
        "{why}"
    );
    let id = shown["id"].as_str().unwrap();
    assert_eq!(
        world.said(&["workers", "drain", id]),
        format!("draining {id}\n")
    );
    assert_eq!(worker.wait(), Some(0));
    assert!(world.listed().is_empty() && world.worker_directories().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_have_bounds_and_only_operators_change_them() {
    let (world, _roles) = World::running();
    let all = world.smcp_json(&["settings", "list"]);
    assert!(all.as_array().unwrap().len() >= 5, "{all}");
    let said = world.said(&["settings", "set", "retention.age_s", "7d"]);
    assert!(
        said.starts_with("retention.age_s is 604800 seconds (7 d)\n"),
        "{said}"
    );
    assert!(said.contains("\nChanged by operator at "), "{said}");
    assert!(
        world
            .said(&["settings", "list"])
            .contains("retention.age_s")
    );
    let said = world.said(&["settings", "set", "retention.age_s", "default"]);
    assert!(
        said.starts_with("retention.age_s is 2592000 seconds (30 d)\n"),
        "{said}"
    );

    let (code, why) = world.refused(&["settings", "set", "workers.count", "257"]);
    assert!(
        code == 2 && why.contains("between 0 and 256"),
        "{code} {why}"
    );
    let (code, why) = world.refused(&["settings", "set", "workers.cuont", "1"]);
    assert!(code == 2 && why.contains("workers.count"), "{code} {why}");

    let key = fs::read_to_string(world.path("operator.key")).unwrap();
    let operator = world.client_with_key(key.trim()).await;
    let bad = json!({"name": "retention.jobs", "value": -1});
    let (code, message) = failure_of(&operator.call("settings__set", bad).await);
    assert_eq!(code, "invalid_arguments");
    assert_eq!(
        message,
        "retention.jobs is -1, but must be a number of jobs between 0 and 1000000000."
    );
    let stranger = world.client().await;
    for (tool, arguments) in [
        (
            "settings__set",
            json!({"name": "retention.jobs", "value": 1}),
        ),
        ("workers__scale", json!({"count": 1})),
        ("workers__drain", json!({"worker": "all"})),
    ] {
        let (code, _) = failure_of(&stranger.call(tool, arguments).await);
        assert_eq!(code, "not_allowed", "{tool}");
    }
    let shown = stranger
        .json("settings__get", json!({"name": "retention.jobs"}))
        .await;
    assert_eq!(shown["settings"][0]["value"], 100_000);
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn old_jobs_are_pruned_as_soon_as_the_settings_say_so() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let sum = json!({"expression": "2+2"});
    let old = client.submit("demo_math__calculate", sum.clone()).await;
    client.ended(&old).await;
    let aged =
        "UPDATE jobs SET created_at = created_at - 7200000, finished_at = finished_at - 7200000";
    world.sql().execute(aged, []).unwrap();
    let young = client.submit("demo_math__calculate", sum).await;
    client.ended(&young).await;
    world.said(&["settings", "set", "retention.age_s", "1h"]);
    let gone = eventually("the old job has gone", || {
        let shown = world.smcp(&["jobs", "show", &old]);
        (!shown.status.success()).then(|| text(&shown.stderr))
    });
    assert!(gone.contains(&format!("There is no job {old}")), "{gone}");
    assert_eq!(
        world.smcp_json(&["jobs", "show", &young])["state"],
        "succeeded"
    );
    world.assert_sound();
}
