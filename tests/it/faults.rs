//! What goes wrong around processes that live: they are stopped and go on, the database is locked, the disk is full,
//! the one that does things for all dies.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::bad_start::{disk_of, may_mount, up_on_a_small_disk};
use crate::naps::Naps;
use crate::world::{Role, World, eventually, failure_of, signal, text_of};

/// Longer than a commit waits for another process's transaction.
const LOCKED: Duration = Duration::from_secs(8);
const CALLERS: u32 = 16;
/// How long a silent worker keeps what it does for all.
const TERM: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_stopped_for_too_long_changes_nothing() {
    let (world, [_api, late]) = World::running();
    let (client, naps) = (world.client().await, Naps::of(&world));
    let job = client.submit("sleepy__nap", naps.until_open("n")).await;
    let first = naps.started("n");
    signal(late.pid(), "STOP");
    // It holds its lock as a live worker does; that its lease is over is all that tells.
    world
        .sql()
        .execute("UPDATE jobs SET lease_until = 1", [])
        .unwrap();
    let current = world.worker();
    eventually("the job runs again", || {
        (naps.told("n", "start").len() == 2).then_some(())
    });

    signal(first.pid(), "KILL");
    signal(late.pid(), "CONT");
    world.wait_for_log("the result of an attempt was refused", 1);
    let during = client.json("jobs__get", json!({"id": job})).await;
    assert_eq!(
        (&during["state"], outcomes(&during)),
        (&json!("running"), vec!["worker_lost", "none"])
    );
    naps.open();
    let ended = client.ended(&job).await;
    assert_eq!(
        (&ended["state"], outcomes(&ended)),
        (&json!("succeeded"), vec!["worker_lost", "succeeded"])
    );
    let second = naps.told("n", "start")[1].run.clone();
    let result = ended["result"]["text"].as_str().unwrap();
    assert!(result.contains(&format!("\"run\": {second:?}")), "{result}");
    assert_eq!(ends(&world.sql(), &job), 1);
    // It goes on working, now alone.
    current.terminate();
    assert_eq!(current.wait(), Some(0));
    let answer = client.call("sleepy__nap", naps.lasting(0.0, "next")).await;
    assert_eq!(answer.is_error, Some(false), "{answer:?}");
    assert_eq!(world.workers(), [late.pid()]);
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_lock_that_is_held_for_long_loses_nothing() {
    let (world, [_api, worker]) = World::running();
    let (client, naps) = (world.client().await, Naps::of(&world));
    let running = client
        .submit("sleepy__once-nap", naps.until_open("running"))
        .await;
    naps.started("running");
    let mut clients = Vec::new();
    for _ in 0..CALLERS {
        clients.push(world.client().await);
    }
    let lock = world.sql();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = Instant::now();
    naps.open();
    // One after the other: the first are told that nothing was recorded, the last ones wait until the lock is free.
    let callers = clients.into_iter().zip(0..).map(|(client, n)| {
        let request = request(&naps, n);
        tokio::spawn(async move {
            tokio::time::sleep(LOCKED * n / CALLERS).await;
            let answer = client.call("jobs__submit", request.clone()).await;
            if answer.is_error != Some(true) {
                return Ok(answer.structured_content.unwrap());
            }
            assert_eq!(failure_of(&answer).0, "busy");
            Err(request)
        })
    });
    let callers: Vec<_> = callers.collect();
    thread::sleep(LOCKED.saturating_sub(begun.elapsed()));
    lock.execute_batch("COMMIT").unwrap();

    let (mut refused, mut jobs) = (0, vec![running]);
    for caller in callers {
        let submitted = match caller.await.unwrap() {
            Ok(submitted) => submitted,
            Err(request) => {
                refused += 1;
                client.json("jobs__submit", request).await
            }
        };
        assert_eq!(
            submitted["existing"], false,
            "what is refused is not recorded"
        );
        jobs.push(submitted["id"].as_str().unwrap().to_owned());
    }
    assert!((1..CALLERS).contains(&refused), "{refused} were refused");
    for job in &jobs {
        let job = client.ended(job).await;
        assert_eq!(
            (&job["state"], outcomes(&job)),
            (&json!("succeeded"), vec!["succeeded"])
        );
    }
    let count = world
        .sql()
        .query_row("SELECT count(*) FROM jobs", [], |row| row.get(0));
    assert_eq!(count, Ok(jobs.len()));
    assert_eq!(
        world.workers(),
        [worker.pid()],
        "it has not been started again"
    );
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_on_a_full_disk_is_recorded_when_there_is_room() {
    if !may_mount() {
        return;
    }
    let mut world = World::new();
    let up = up_on_a_small_disk(&mut world);
    let (client, naps) = (world.client().await, Naps::of(&world));
    let running = client
        .submit("sleepy__once-nap", naps.until_open("running"))
        .await;
    let waiting = client
        .submit("sleepy__nap", naps.lasting(0.0, "waiting"))
        .await;
    let plugin = naps.started("running");
    let health = client.json("health", json!({})).await;
    let ballast = disk_of(&world, &up).join("ballast");
    fs::write(&ballast, vec![0; 64 << 20]).unwrap_err();

    naps.open();
    plugin.wait_for_death();
    world.wait_for_log("the finish is tried again", 2);
    let refused = client.call("jobs__submit", request(&naps, 1)).await;
    assert_eq!(failure_of(&refused).0, "disk_full");
    let during = client.json("jobs__get", json!({"id": running})).await;
    assert_eq!(
        (&during["state"], &during["finished_at"]),
        (&json!("running"), &Value::Null)
    );

    fs::remove_file(ballast).unwrap();
    for job in [&running, &waiting] {
        let job = client.ended(job).await;
        assert_eq!(
            (&job["state"], outcomes(&job)),
            (&json!("succeeded"), vec!["succeeded"])
        );
    }
    let again = client.json("jobs__submit", request(&naps, 1)).await;
    assert_eq!(again["existing"], false, "a refused job was not recorded");
    let after = client.json("health", json!({})).await;
    assert_eq!(
        after["workers"][0]["id"], health["workers"][0]["id"],
        "the same worker"
    );
    assert_eq!(naps.told("running", "start").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scheduler_is_another_worker_when_its_own_dies() {
    let (world, [_api, first]) = World::running();
    let second = world.worker();
    eventually("both workers are there", || {
        (world.workers().len() == 2).then_some(())
    });
    let holder = scheduler(&world);
    let (dies, lives): (Role, Role) = match holder {
        pid if pid == first.pid() => (first, second),
        _ => (second, first),
    };
    assert_eq!(holder, dies.pid());
    dies.kill();
    let begun = Instant::now();
    eventually("the other one is the scheduler", || {
        (scheduler(&world) == lives.pid()).then_some(())
    });
    // A live holder's lease is never closer to its end than half of it.
    assert!(begun.elapsed() < TERM / 2, "the lease's end was waited for");
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_of_the_database_is_told() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let reader = world.sql();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM jobs")
        .unwrap();
    let naps = Naps::of(&world);
    let answer = client.call("sleepy__nap", naps.lasting(0.0, "n")).await;
    assert!(text_of(&answer).contains("sleepy"), "{answer:?}");
    let database = client.json("health", json!({})).await["database"].clone();
    assert!(database["wal_bytes"].as_u64().unwrap() > 0, "{database}");
    assert_eq!(database["warning"], Value::Null);
}

/// A job of its own lane and key.
fn request(naps: &Naps, n: u32) -> Value {
    let arguments = naps.lasting(0.0, &format!("job {n}"));
    json!({"tool": "sleepy2__nap", "arguments": arguments, "idempotency_key": format!("job {n}")})
}

fn outcomes(job: &Value) -> Vec<&str> {
    let attempts = job["attempts"].as_array().unwrap();
    attempts
        .iter()
        .map(|attempt| attempt["outcome"].as_str().unwrap_or("none"))
        .collect()
}

/// How often a job has ended.
fn ends(sql: &Connection, job: &str) -> u32 {
    let ends = "SELECT count(*) FROM job_events e JOIN jobs j ON j.num = e.job WHERE j.id = ?1 AND kind = 'finished'";
    sql.query_row(ends, [job], |row| row.get(0)).unwrap()
}

/// The process that does what one worker does for all.
fn scheduler(world: &World) -> u32 {
    let holder =
        "SELECT w.pid FROM duties d JOIN workers w ON w.id = d.worker WHERE d.name = 'scheduler'";
    eventually("there is a scheduler", || {
        world.sql().query_row(holder, [], |row| row.get(0)).ok()
    })
}
