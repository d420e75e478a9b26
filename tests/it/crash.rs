//! `kill -9` during a call: nothing is lost, and what must not happen twice does not.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::naps::Naps;
use crate::world::{Client, World, eventually, text_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_may_be_repeated_outlives_its_worker() {
    let (world, [_api, worker]) = World::running();
    let (client, naps) = (world.client().await, Naps::of(&world));
    let arguments = naps.until_open("n");
    let call = tokio::spawn(async move { client.call("sleepy__nap", arguments).await });
    let first = naps.started("n");
    worker.kill();
    first.wait_for_death();
    naps.open();
    let _second = world.worker();

    let answer = call.await.unwrap();
    assert_eq!(answer.is_error, Some(false), "{answer:?}");
    let starts = naps.told("n", "start");
    assert_eq!(starts.len(), 2);
    assert!(text_of(&answer).contains(&format!("\"run\": {:?}", starts[1].run)));
    let job = world
        .client()
        .await
        .json(
            "jobs__get",
            json!({"id": answer.meta.unwrap().0["smcp/job"]}),
        )
        .await;
    assert_eq!(job["state"], "succeeded");
    assert_eq!(outcomes(&job), ["worker_lost", "succeeded"]);
    assert_ne!(job["attempts"][0]["worker"], job["attempts"][1]["worker"]);
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_must_not_be_repeated_ends_with_its_worker() {
    let (world, [_api, worker]) = World::running();
    let (client, naps) = (world.client().await, Naps::of(&world));
    let arguments = naps.until_open("n");
    let call = tokio::spawn(async move { client.call("sleepy__once-nap", arguments).await });
    let first = naps.started("n");
    worker.kill();
    first.wait_for_death();
    naps.open();
    let _second = world.worker();

    let answer = call.await.unwrap();
    assert_eq!(answer.is_error, Some(true));
    let error = &answer.structured_content.as_ref().unwrap()["error"];
    assert_eq!(error["code"], "outcome_unknown");
    assert!(text_of(&answer).contains("must not be repeated unasked"));
    let client = world.client().await;
    let job = client
        .json(
            "jobs__get",
            json!({"id": answer.meta.unwrap().0["smcp/job"]}),
        )
        .await;
    assert_eq!(job["state"], "outcome_unknown");
    assert_eq!(outcomes(&job), ["worker_lost"]);
    // The worker has been through the queue, and did not take it up again.
    assert_eq!(
        client
            .call("sleepy__nap", naps.lasting(0.0, "next"))
            .await
            .is_error,
        Some(false)
    );
    assert_eq!(naps.told("n", "start").len(), 1);
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_leaves_no_cgroup_behind() {
    let (world, [_api, worker]) = World::running();
    let (client, naps) = (world.client().await, Naps::of(&world));
    let listed = client.json("workers__list", json!({})).await;
    let id = listed["workers"][0]["id"].as_str().unwrap().to_owned();
    let arguments = naps.until_open("n");
    let _call = tokio::spawn(async move { client.call("sleepy__once-nap", arguments).await });
    let first = naps.started("n");
    let mechanisms = &listed["workers"][0]["sandbox"]["keys"]["cpu"]["by"];
    if mechanisms.to_string().contains("cgroup") {
        assert!(!cgroups(&id).is_empty(), "it has none while it runs one");
    }
    worker.kill();
    first.wait_for_death();
    eventually("its cgroups are gone", || {
        cgroups(&id).is_empty().then_some(())
    });
}

/// The cgroups of that worker.
fn cgroups(worker: &str) -> Vec<PathBuf> {
    let prefix = format!("smcp-{worker}-");
    let is_of_worker = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with(&prefix)
    };
    let directories = |directory: &Path| {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let paths = entries
            .map(|entry| entry.path())
            .filter(|path| path.is_dir());
        paths.collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    let mut level = vec![PathBuf::from("/sys/fs/cgroup")];
    // As deep as systemd and containers nest them.
    for _ in 0..6 {
        level = level.iter().flat_map(|above| directories(above)).collect();
        found.extend(level.iter().filter(|path| is_of_worker(path)).cloned());
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_outlives_the_api_that_took_it() {
    let (mut world, [api, _worker]) = World::running();
    let (client, naps) = (world.client().await, Naps::of(&world));
    let arguments = naps.until_open("n");
    let call = tokio::spawn(async move { client.call("sleepy__once-nap", arguments).await });
    naps.started("n");
    api.kill();
    let _api = world.api();

    let client = world.client().await;
    let id = only_job(&client, "sleepy__once-nap").await;
    assert_eq!(
        client.json("jobs__get", json!({"id": id})).await["state"],
        "running"
    );
    naps.open();
    let job = client.ended(&id).await;
    assert_eq!(
        (&job["state"], outcomes(&job)),
        (&json!("succeeded"), vec!["succeeded"])
    );
    assert!(
        job["result"]["text"]
            .as_str()
            .unwrap()
            .contains("\"label\": \"n\"")
    );
    assert_eq!(naps.told("n", "start").len(), 1);
    call.abort();
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_dies_and_every_job_is_accounted_for() {
    let (mut world, [api, worker]) = World::running();
    let second = world.worker();
    let (client, naps) = (world.client().await, Naps::of(&world));
    let again = client.submit("sleepy__nap", naps.until_open("again")).await;
    let once = client
        .submit("sleepy2__once-nap", naps.until_open("once"))
        .await;
    let waiting = client
        .submit("sleepy2__once-nap", naps.until_open("waiting"))
        .await;
    let running = [naps.started("again"), naps.started("once")];
    for role in [worker, api, second] {
        role.kill();
    }
    for plugin in running {
        plugin.wait_for_death();
    }
    naps.open();

    let _roles = [world.api(), world.worker()];
    let client = world.client().await;
    let again = client.ended(&again).await;
    assert_eq!(again["state"], "succeeded");
    assert_eq!(outcomes(&again), ["worker_lost", "succeeded"]);
    let once = client.ended(&once).await;
    assert_eq!(once["state"], "outcome_unknown");
    assert_eq!(outcomes(&once), ["worker_lost"]);
    let waiting = client.ended(&waiting).await;
    assert_eq!(waiting["state"], "succeeded");
    assert_eq!(outcomes(&waiting), ["succeeded"]);
    let starts = ["again", "once", "waiting"].map(|label| naps.told(label, "start").len());
    assert_eq!(starts, [2, 1, 1]);
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_workers_die_is_given_up() {
    let (world, [_api, mut worker]) = World::running();
    let (client, naps) = (world.client().await, Naps::of(&world));
    let poison = client.submit("sleepy__nap", naps.until_open("p")).await;
    for attempt in 1..=3 {
        eventually("the next attempt has begun", || {
            (naps.told("p", "start").len() == attempt).then_some(())
        });
        worker.kill();
        worker = world.worker();
    }
    let job = client.ended(&poison).await;
    assert_eq!(job["state"], "failed");
    assert_eq!(job["error"]["code"], "worker_lost");
    assert_eq!(outcomes(&job), ["worker_lost"; 3]);
    assert_eq!(
        client
            .call("sleepy__nap", naps.lasting(0.0, "n"))
            .await
            .is_error,
        Some(false)
    );
    world.assert_sound();
}

async fn only_job(client: &Client, tool: &str) -> String {
    let listed = client.json("jobs__list", json!({"tool": tool})).await;
    let [job] = listed["jobs"].as_array().unwrap().as_slice() else {
        panic!("{listed}")
    };
    job["id"].as_str().unwrap().to_owned()
}

fn outcomes(job: &Value) -> Vec<&str> {
    let attempts = job["attempts"].as_array().unwrap();
    attempts
        .iter()
        .map(|attempt| attempt["outcome"].as_str().unwrap_or("none"))
        .collect()
}
