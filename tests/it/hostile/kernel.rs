//! Rows 13 and 14: system calls, and privileges.

use std::fs;

use serde_json::json;

use super::four_ways;
use super::ways::{Arena, Setting, Way, allow, is_root};

four_ways!(rows_13_and_14, super::rows);

fn rows(way: Way) {
    let arena = Arena::open(way, Setting::default());
    row_13_the_kernel_refuses(&arena);
    row_14_no_privileges_are_gained(&arena);
}

fn row_13_the_kernel_refuses(arena: &Arena) {
    let achieved = arena.attack("hostile", "calls", json!({}));
    for (call, seen) in achieved.as_object().unwrap() {
        // Any other error says that the kernel has looked at the arguments.
        let held = ["EPERM", "ENOSYS", "EACCES"]
            .iter()
            .any(|error| seen == error);
        arena.assert_held("syscalls", &format!("13 {call}"), held, seen);
    }
}

#[expect(clippy::print_stderr, reason = "what is left out is said")]
fn row_14_no_privileges_are_gained(arena: &Arena) {
    let program = is_root().then(|| {
        let program = arena.path("readable/id");
        fs::copy("/usr/bin/id", &program).unwrap();
        allow(&program, 0o4755);
        program
    });
    if program.is_none() {
        eprintln!(
            "SKIPPED {}: no setuid program, as only root can make one",
            arena.way
        );
    }
    let achieved = arena.attack("hostile", "privileges", json!({"setuid": program}));
    for ids in ["uid", "gid"] {
        let is_root = achieved[ids].as_array().unwrap().contains(&json!(0));
        arena.assert_held("privileges", &format!("14 {ids}"), !is_root, &achieved[ids]);
    }
    for (field, expected) in [
        ("capabilities", json!([0, 0, 0, 0, 0, 0])),
        ("no_new_privs", json!(1)),
        (
            "groups",
            if arena.way.is_root() {
                json!([])
            } else {
                achieved["groups"].clone()
            },
        ),
    ] {
        let seen = &achieved[field];
        arena.assert_held(
            "privileges",
            &format!("14 {field}"),
            *seen == expected,
            seen,
        );
    }
    let mode = &achieved["seccomp"];
    arena.assert_held("syscalls", "14 filter", *mode == 2, mode);
    arena.assert_all_refused("privileges", "14", &achieved["attempts"]);
    if program.is_some() {
        let ran = &achieved["setuid program"];
        let own = achieved["uid"][0].to_string();
        arena.assert_held("privileges", "14 setuid program", *ran == own.as_str(), ran);
    }
}
