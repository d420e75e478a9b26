//! Rows 6 to 8: other processes.

use std::fs;

use serde_json::{Value, json};

use super::four_ways;
use super::peers::Sleepers;
use super::ways::{Arena, Setting, Way};
use crate::processes;
use crate::world::eventually;

four_ways!(rows_6_to_8, super::with_waiting_interpreters);
four_ways!(rows_6_to_8_cold, super::without);

/// A forked call's parent is the plugin's own interpreter, which is not outside.
fn with_waiting_interpreters(way: Way) {
    let arena = Arena::open(way, Setting::default());
    let mut victim = Sleepers::one(&arena);
    let pids = json!({"pids": {"worker": arena.worker(), "victim": victim.pid()}});
    rows(&arena, &pids, &mut victim);
}

/// The parent is the supervisor, or the first process of the plugin's namespace.
fn without(way: Way) {
    let setting = Setting {
        warm: "off",
        ..Setting::default()
    };
    let arena = Arena::open(way, setting);
    let mut victim = Sleepers::one(&arena);
    let pids = json!({"pids": {"worker": arena.worker(), "victim": victim.pid(), "parent": null}});
    rows(&arena, &pids, &mut victim);
}

fn rows(arena: &Arena, pids: &Value, victim: &mut Sleepers) {
    row_6_proc_tells_nothing(arena, pids);
    row_7_nobody_can_be_traced(arena, pids);
    row_8_nobody_can_be_killed(arena, pids, victim);
}

fn row_6_proc_tells_nothing(arena: &Arena, pids: &Value) {
    let achieved = arena.attack("hostile", "snoop", pids.clone());
    for (who, seen) in achieved.as_object().unwrap() {
        for (what, seen) in seen.as_object().unwrap() {
            let what = format!("6 {what} of the {who}");
            let is_own_first = who == "parent" && arena.way.has_namespaces();
            if what.starts_with("6 there") {
                if !is_own_first {
                    let held = seen != "done";
                    arena.assert_as_claimed("isolation", &what, held, "can be seen");
                }
            } else if is_own_first && is_public(&what) {
                // The first process of the plugin's own namespace has no secrets, but a name.
                arena.tell("isolation", &what, seen);
            } else {
                arena.assert_refused("isolation", &what, seen);
            }
        }
    }
}

fn is_public(what: &str) -> bool {
    ["6 cmdline", "6 status", "6 task", "6 fd"]
        .iter()
        .any(|public| what.starts_with(public))
}

fn row_7_nobody_can_be_traced(arena: &Arena, pids: &Value) {
    let achieved = arena.attack("hostile", "trace", pids.clone());
    arena.assert_all_refused("isolation", "7", &achieved);
}

fn row_8_nobody_can_be_killed(arena: &Arena, pids: &Value, victim: &mut Sleepers) {
    let manners = |pid: u32| {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
        let (stat, status) = (read("stat"), read("status"));
        let fields: Vec<_> = stat
            .rsplit_once(')')
            .unwrap()
            .1
            .split_whitespace()
            .collect();
        let processors = status
            .lines()
            .find(|line| line.starts_with("Cpus_allowed:"));
        let niceness_and_class = (fields[16].to_owned(), fields[38].to_owned());
        (
            niceness_and_class,
            processors.unwrap().to_owned(),
            read("limits"),
        )
    };
    let all = [arena.worker(), victim.pid()];
    let before = all.map(manners);
    let job = arena.submit("hostile", "kill", pids.clone());
    let job = eventually("the attack has ended, or the worker has", || {
        let lives = processes::is_running(arena.worker());
        assert!(lives, "{}: the worker has been killed", arena.way);
        let job = arena.job(&job);
        let is_open = job["state"] == "queued" || job["state"] == "running";
        (!is_open).then_some(job)
    });
    let seen = &job["result"]["text"];
    arena.assert_held("isolation", "8 signals", victim.lives(), seen);
    let held = before == all.map(manners);
    arena.assert_held("isolation", "8 limits and priorities", held, seen);
}
