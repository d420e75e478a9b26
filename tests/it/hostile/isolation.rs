//! Rows 6 to 8: other processes.

use std::fs;

use serde_json::{Value, json};

use super::four_ways;
use super::peers::Sleepers;
use super::ways::{Arena, Setting, Way};
use crate::processes;

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
    ["6 cmdline", "6 status", "6 task"]
        .iter()
        .any(|public| what.starts_with(public))
}

fn row_7_nobody_can_be_traced(arena: &Arena, pids: &Value) {
    let achieved = arena.attack("hostile", "trace", pids.clone());
    arena.assert_all_refused("isolation", "7", &achieved);
}

fn row_8_nobody_can_be_killed(arena: &Arena, pids: &Value, victim: &mut Sleepers) {
    let manners = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields = stat.rsplit_once(')').unwrap().1.to_owned();
        // Its niceness, and its class of scheduling.
        let fields: Vec<_> = fields.split_whitespace().collect();
        (fields[16].to_owned(), fields[38].to_owned())
    };
    let limits = |pid: u32| fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let all = [arena.worker(), victim.pid()];
    let before = all.map(|pid| (manners(pid), limits(pid)));
    // Its own end, where it succeeds in that, is no answer: what is asked is who lives.
    let answer = arena.call("hostile", "kill", pids.clone());
    let seen = crate::world::text_of(&answer);
    arena.tell("isolation", "8", &Value::from(seen.clone()));

    assert!(
        processes::is_running(arena.worker()),
        "{}: {seen}",
        arena.way
    );
    arena.assert_held("isolation", "8 signal", victim.lives(), &json!(seen));
    let after = all.map(|pid| (manners(pid), limits(pid)));
    arena.assert_held(
        "isolation",
        "8 limits and priorities",
        before == after,
        &json!(seen),
    );
}
