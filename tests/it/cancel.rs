//! Stopping jobs, wherever they stand, from any process.

use serde_json::json;

use crate::processes;
use crate::world::{Client, World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_ignores_the_request_is_gone_within_a_second() {
    let (mut world, _roles) = World::running();
    let client = world.client().await;
    let lockfile = world.outside("lock");
    let id = client
        .submit("awkward__stubborn", json!({ "lockfile": lockfile }))
        .await;
    eventually("the plugin runs", || lockfile.exists().then_some(()));

    // Another process than the one that recorded the job.
    let _second = world.second_api();
    let other = Client::at(&world.url()).await;
    let reason = json!({"id": id, "reason": "it takes too long"});
    assert_eq!(other.json("jobs__cancel", reason).await["state"], "running");
    let job = client.ended(&id).await;
    assert_eq!(job["state"], "cancelled");
    assert_eq!(
        (&job["cancel"]["by"], &job["cancel"]["reason"]),
        (&json!("local"), &json!("it takes too long"))
    );
    let took_ms = job["finished_at"].as_i64().unwrap() - job["cancel"]["at"].as_i64().unwrap();
    assert!(took_ms < 1_000, "it took {took_ms} ms");
    assert!(!processes::is_locked(&lockfile), "a part of it lives");
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_for_its_next_attempt_is_cancelled() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let arguments =
        json!({"count": world.outside("count"), "times": 9, "say": "{\"retry_after\": 3600}"});
    let id = client.submit("flaky__plain", arguments).await;
    eventually("it waits", || {
        let job = world.smcp_json(&["jobs", "show", &id]);
        (job["state"] == "queued" && job["attempts"][0]["outcome"] == "failed").then_some(())
    });
    let cancelled = client.json("jobs__cancel", json!({ "id": id })).await;
    assert_eq!(cancelled["state"], "cancelled");
    let job = client.ended(&id).await;
    assert_eq!(job["error"]["code"], "cancelled");
    assert_eq!(job["attempts"].as_array().unwrap().len(), 1);
}
