//! Stopping, and what stands in the way of running: held locks, vanished files, lost clients.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::json;

use crate::naps::Naps;
use crate::processes;
use crate::world::{PATIENCE, Role, World, eventually, signal};

const DRAINING: &str = "what has begun is finished first";

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_finishes_what_it_has_begun_and_begins_nothing_new() {
    let (world, [_api, worker]) = World::new().with("SMCP_LOG", "info").started();
    let (client, naps) = (world.client().await, Naps::of(&world));
    let before = client.call("sleepy__nap", naps.lasting(0.0, "before"));
    assert_eq!(before.await.is_error, Some(false));
    let zombies = processes::zombies_of(worker.pid());
    assert!(zombies.is_empty(), "{zombies:?}");
    let running = client
        .submit("sleepy__nap", naps.until_open("running"))
        .await;
    naps.started("running");
    let waiting = client
        .submit("sleepy2__nap", naps.until_open("waiting"))
        .await;
    worker.terminate();
    world.wait_for_log(DRAINING, 1);
    naps.open();

    assert_eq!(worker.wait(), Some(0));
    assert_eq!(client.ended(&running).await["state"], "succeeded");
    let job = client.json("jobs__get", json!({"id": waiting})).await;
    assert_eq!(
        (&job["state"], &job["attempts"]),
        (&json!("queued"), &json!([]))
    );
    assert!(world.workers().is_empty());
    assert!(world.worker_directories().is_empty());
    let _next = world.worker();
    assert_eq!(client.ended(&waiting).await["state"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_stops_a_worker_at_once() {
    let world = World::new().with("SMCP_LOG", "info");
    stopped_at_once(world, |world, worker| {
        worker.terminate();
        world.wait_for_log(DRAINING, 1);
        worker.terminate();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_cannot_finish_in_time_stops() {
    let world = World::new();
    world.configure("[workers]\ndrain_timeout_s = 1\n");
    stopped_at_once(world, |_, worker| worker.terminate()).await;
}

/// A worker is stopped while it runs a job that may be repeated; the next one runs it, as if nothing had been.
async fn stopped_at_once(world: World, stop: impl Fn(&World, &Role)) {
    let (world, [_api, worker]) = world.started();
    let (client, naps) = (world.client().await, Naps::of(&world));
    let again = client.submit("sleepy__nap", naps.until_open("again")).await;
    let plugin = naps.started("again");
    stop(&world, &worker);
    assert_eq!(worker.wait(), Some(0));
    assert!(!plugin.is_running());
    assert!(world.workers().is_empty());
    assert!(world.worker_directories().is_empty());
    let (state, attempt, failures): (String, u32, u32) = world
        .sql()
        .query_row("SELECT state, attempt, failures FROM jobs", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    assert_eq!(
        (&*state, attempt, failures),
        ("queued", 1, 0),
        "a stop costs no attempt"
    );

    naps.open();
    let _next = world.worker();
    let job = client.ended(&again).await;
    assert_eq!(job["state"], "succeeded");
    assert_eq!(job["attempts"][0]["outcome"], "interrupted");
    assert_eq!(job["attempts"][1]["outcome"], "succeeded");
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_be_repeated_is_not_repeated_after_a_stop() {
    let (world, [_api, worker]) = World::new().with("SMCP_LOG", "info").started();
    let (client, naps) = (world.client().await, Naps::of(&world));
    let once = client
        .submit("sleepy__once-nap", naps.until_open("once"))
        .await;
    naps.started("once");
    worker.terminate();
    world.wait_for_log(DRAINING, 1);
    worker.terminate();
    assert_eq!(worker.wait(), Some(0));

    let job = client.ended(&once).await;
    assert_eq!(job["state"], "outcome_unknown");
    assert_eq!(job["attempts"][0]["outcome"], "interrupted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_held_for_long_costs_nothing_but_time() {
    let (world, [_api, first]) = World::running();
    let (client, naps) = (world.client().await, Naps::of(&world));
    let running = client
        .submit("sleepy__once-nap", naps.until_open("n"))
        .await;
    naps.started("n");
    let lock = world.sql();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    naps.open();
    world.wait_for_log("the finish is tried again", 1);
    let impatient = world.worker();
    world.wait_for_log("the registration is tried again", 1);
    impatient.terminate();
    assert_eq!(
        impatient.wait(),
        Some(0),
        "a worker that cannot begin can be stopped"
    );
    let second = world.worker();
    // The API answers after its busy timeout, the longest that anything waits for the lock.
    let refused = client
        .call("sleepy__nap", naps.lasting(0.0, "refused"))
        .await;
    assert_eq!(refused.structured_content.unwrap()["error"]["code"], "busy");
    eventually("the second worker has waited in vain for as long", || {
        let tried = world
            .log()
            .matches("the registration is tried again")
            .count();
        (tried > 8).then_some(())
    });
    lock.execute_batch("ROLLBACK").unwrap();

    let job = client.ended(&running).await;
    assert_eq!(
        (&job["state"], job["attempts"].as_array().unwrap().len()),
        (&json!("succeeded"), 1)
    );
    eventually("both workers are there", || {
        (world.workers().len() == 2).then_some(())
    });
    first.terminate();
    assert_eq!(first.wait(), Some(0));
    let answer = client.call("sleepy__nap", naps.lasting(0.0, "late")).await;
    assert_eq!(answer.is_error, Some(false));
    second.terminate();
    assert_eq!(second.wait(), Some(0));
    assert!(naps.told("refused", "start").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_vanishes_and_comes_back_has_lost_nothing() {
    let (world, _roles) = World::running();
    let (client, naps) = (world.client().await, Naps::of(&world));
    let running = client
        .submit("sleepy__once-nap", naps.until_open("n"))
        .await;
    naps.started("n");
    let away = world.path("away.db");
    fs::rename(world.database(), &away).unwrap();
    naps.open();
    world.wait_for_log("the finish is tried again", 1);
    let refused = client
        .call("sleepy__nap", naps.lasting(0.0, "refused"))
        .await;
    assert_eq!(refused.is_error, Some(true));
    assert!(!world.database().exists());
    fs::rename(&away, world.database()).unwrap();

    let job = client.ended(&running).await;
    assert_eq!(
        (&job["state"], job["attempts"].as_array().unwrap().len()),
        (&json!("succeeded"), 1)
    );
    let answer = client.call("sleepy__nap", naps.lasting(0.0, "n2")).await;
    assert_eq!(answer.is_error, Some(false));
    assert!(naps.told("refused", "start").is_empty());
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_stops_ends_its_streams_and_leaves_the_jobs_alone() {
    let (mut world, [api, _worker]) = World::running();
    let (client, naps) = (world.client().await, Naps::of(&world));
    let arguments = naps.until_open("n");
    let call = tokio::spawn(async move { client.call("sleepy__nap", arguments).await });
    naps.started("n");
    let mut stream = open_sse(&world);
    api.terminate();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(api.wait(), Some(0));
    call.abort();

    let _api = world.api();
    naps.open();
    let client = world.client().await;
    let listed = client.json("jobs__list", json!({})).await;
    let job = client
        .ended(listed["jobs"][0]["id"].as_str().unwrap())
        .await;
    assert_eq!(job["state"], "succeeded");
    assert_eq!(naps.told("n", "start").len(), 1);
}

/// An event stream whose first event has come.
fn open_sse(world: &World) -> TcpStream {
    let address = world.url();
    let mut stream = TcpStream::connect(address.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut said = Vec::new();
    while !said.windows(10).any(|part| part == b"session_id") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        said.extend(byte);
    }
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_outlives_its_client_over_sse() {
    a_job_outlives_its_client("sse").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_outlives_its_client_over_streamable_http() {
    a_job_outlives_its_client("http").await;
}

async fn a_job_outlives_its_client(transport: &str) {
    let (world, _roles) = World::running();
    let naps = Naps::of(&world);
    let steps = json!([{"call": "sleepy__nap", "arguments": naps.until_open("n")}]);
    let mut lost = world.start_python(transport, &steps);
    naps.started("n");
    signal(lost.id(), "KILL");
    lost.wait().unwrap();

    let client = world.client().await;
    let listed = client.json("jobs__list", json!({})).await;
    let id = listed["jobs"][0]["id"].as_str().unwrap();
    naps.open();
    assert_eq!(client.ended(id).await["state"], "succeeded");
    assert_eq!(naps.told("n", "end").len(), 1);
}
