//! Rows 16, 17 and 20: nothing outlives its call, however that ends.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use super::four_ways;
use super::peers::kill;
use super::survivors::Lock;
use super::ways::{Arena, Setting, Way};
use crate::processes;
use crate::world::eventually;

four_ways!(rows_16_17_and_20, super::with_waiting_interpreters);
four_ways!(rows_16_17_and_20_cold, super::without);

fn with_waiting_interpreters(way: Way) {
    rows(way, "auto");
}

fn without(way: Way) {
    rows(way, "off");
}

fn rows(way: Way, warm: &'static str) {
    let setting = Setting {
        warm,
        ..Setting::default()
    };
    let mut arena = Arena::open(way, setting);
    row_16_a_daemon_ends(&arena);
    row_17_so_do_others(&arena);
    rows_16_and_17_at_a_time_limit(&arena);
    no_segments_stay(&arena);
    row_20_a_job_is_not_disturbed(&arena);
    row_20_nor_is_it_left_alone(&mut arena);
}

fn row_16_a_daemon_ends(arena: &Arena) {
    let lock = Lock::new(arena, "daemon");
    let left = arena.attack("hostile", "leave", lock.plan(&["daemon", "daemon"]));
    assert_eq!(left["left"].as_array().unwrap().len(), 2);
    lock.assert_released_soon(arena, "16 daemon");
}

fn row_17_so_do_others(arena: &Arena) {
    let kinds = [
        "chain", "chain", "chain", "chain", "chain", "chain", "stopped", "stopped",
    ];
    let lock = Lock::new(arena, "chains");
    arena.attack("hostile", "leave", lock.plan(&kinds));
    lock.assert_released_soon(arena, "17 chains and stopped children");
}

fn rows_16_and_17_at_a_time_limit(arena: &Arena) {
    let lock = Lock::new(arena, "limit");
    let job = arena.failing(
        "hostile",
        "linger",
        lock.plan(&["daemon", "stopped", "chain"]),
    );
    assert_eq!(job["error"]["code"], "timeout", "{}: {job}", arena.way);
    lock.assert_released_soon(arena, "16 and 17 at the time limit");
}

/// What no process owns would be neither counted nor removed.
fn no_segments_stay(arena: &Arena) {
    let count = || {
        let kinds = ["shm", "sem", "msg"];
        kinds.map(|kind| {
            let table = fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap();
            let ids = table.lines().skip(1).map(|line| {
                let mut fields = line.split_whitespace();
                fields.nth(1).unwrap().to_owned()
            });
            ids.collect::<BTreeSet<_>>()
        })
    };
    let before = count();
    let seen = arena.attack("hostile", "segments", json!({}));
    let stays = (0..3).any(|kind| count()[kind].difference(&before[kind]).next().is_some());
    arena.assert_held("tree_kill", "16 shared memory of no process", !stays, &seen);
}

/// A plugin must not end when a thread of its worker does: the supervisor's parent, for the kernel, is the thread that
/// has started it. So a job runs while the worker does much else with threads that come and go.
fn row_20_a_job_is_not_disturbed(arena: &Arena) {
    let lock = Lock::new(arena, "undisturbed");
    let job = arena.submit("hostile", "stay", lock.plan(&["daemon"]));
    lock.wait_until_ready();
    for _ in 0..3 {
        arena.reload();
    }
    assert!(lock.is_held(), "{}: it has ended", arena.way);
    lock.open_gate();
    let ended = arena.ended(&job);
    assert_eq!(ended["state"], "succeeded", "{}: {ended}", arena.way);
    lock.assert_released_soon(arena, "20 a job that ends by itself");
}

fn row_20_nor_is_it_left_alone(arena: &mut Arena) {
    let started = |arena: &Arena, name: &str, kinds: &[&str]| {
        let lock = Lock::new(arena, name);
        let before = processes::children_of(arena.worker());
        let job = arena.submit("hostile", "stay", lock.plan(kinds));
        lock.wait_until_ready();
        (lock, job, before)
    };

    // The plugin's first process: that of its namespace, or the plugin itself.
    let (lock, job, before) = started(arena, "first", &["daemon", "stopped"]);
    let supervisor = supervisor(arena, &before, &lock);
    kill(processes::children_of(supervisor)[0]);
    lock.assert_released_soon(arena, "20 its first process is killed");
    assert_failed(arena, &arena.ended(&job));

    let (lock, job, before) = started(arena, "supervisor", &["daemon", "stopped"]);
    kill(self::supervisor(arena, &before, &lock));
    assert_failed(arena, &arena.ended(&job));
    let what = "20 its supervisor is killed";
    if arena.is_enforced("tree_kill") {
        lock.assert_released_soon(arena, what);
    } else {
        // The job has ended, and with it what is to end.
        let hole = "killed from outside";
        arena.assert_as_claimed("tree_kill", what, !lock.is_held(), hole);
        lock.kill_holders();
        lock.released();
    }

    let (lock, ..) = started(arena, "worker", &["daemon", "stopped", "chain"]);
    arena.kill_worker();
    lock.assert_released_soon(arena, "20 its worker is killed");
}

/// The supervisor of the job that runs, which has the only tree with a process that holds the lock.
fn supervisor(arena: &Arena, before: &[u32], lock: &Lock) -> u32 {
    assert!(lock.is_held());
    eventually("the job has a supervisor", || {
        let now = processes::children_of(arena.worker());
        let mut busy = now.into_iter().filter(|&child| holds(child, lock));
        let found = busy.next();
        assert_eq!(busy.next(), None, "{before:?}");
        found
    })
}

/// Whether `pid`, or a process below it, holds the lock.
fn holds(pid: u32, lock: &Lock) -> bool {
    let directory = format!("/proc/{pid}/fd");
    let mut held = fs::read_dir(directory).into_iter().flatten().flatten();
    // In a namespace of its own the path begins elsewhere, but ends the same.
    let is_lock =
        held.any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.file_name() == lock.file_name()));
    is_lock
        || processes::children_of(pid)
            .into_iter()
            .any(|child| holds(child, lock))
}

fn assert_failed(arena: &Arena, job: &Value) {
    let state = job["state"].as_str().unwrap();
    let ended = ["failed", "outcome_unknown", "retrying", "dead"];
    assert!(ended.contains(&state), "{}: {job}", arena.way);
}
