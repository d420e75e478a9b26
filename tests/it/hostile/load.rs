//! Rows 15, 18 and 19: using more than is granted.

use std::fs;

use serde_json::{Value, json};

use super::four_ways;
use super::peers::Sleepers;
use super::ways::{Arena, Setting, Way};
use crate::world::eventually;

const PROCESSES: u64 = 32;
const SETTING: Setting = Setting {
    plugins: &[
        (
            "hostile",
            "limits = { processes = 32, stdout_kb = 1024, stderr_kb = 64 }",
        ),
        (
            "hostile_small",
            "filesystem.scratch_mb = 16\nlimits = { memory_mb = 128, cpu_seconds = 1, file_mb = 8 }",
        ),
    ],
    warm: "auto",
    leaks: false,
    port: 0,
};

four_ways!(row_15, super::row_15_forks);
four_ways!(row_18, super::row_18_floods);
four_ways!(row_19, super::row_19_hoards);

fn row_15_forks(way: Way) {
    let mut arena = Arena::open(way, SETTING);
    arena.start_worker(false);
    let _sleepers = Sleepers::many(&arena, 80);
    let gate = arena.path("granted/gate");
    let bomb = arena.submit("hostile", "bomb", json!({ "gate": gate }));
    let forked = arena.path("granted/gate.forked");
    let count: u64 = eventually("no more can be forked", || {
        fs::read_to_string(&forked).ok()?.parse().ok()
    });
    let beside = arena.attack("hostile_small", "fork", json!({}));
    fs::write(&gate, "").unwrap();
    let ended = arena.ended(&bomb);

    assert_eq!(ended["state"], "succeeded", "{way}: {ended}");
    if arena.why("processes").contains("shared") {
        // Others of the user who have ended meanwhile leave it more, but not without a limit.
        arena.assert_held("processes", "15 fork bomb", count < 400, &json!(count));
    } else {
        arena.assert_held(
            "processes",
            "15 fork bomb",
            count <= PROCESSES,
            &json!(count),
        );
    }
    assert!(count > 0, "{way}: it could not fork at all: {ended}");
    assert_eq!(beside["fork"], "done", "{way}: the job beside it");
}

fn row_18_floods(way: Way) {
    let arena = Arena::open(way, SETTING);
    let before = peak_bytes(arena.worker());
    // A worker that is not optimised takes its time with what could be lines.
    let stderr_mib = if cfg!(debug_assertions) { 128 } else { 1024 };
    for (to, mib, kept) in [(1, 1024, 1024 * 1024), (2, stderr_mib, 0)] {
        let plan = json!({"to": to, "mib": mib});
        let job = arena.failing("hostile", "flood", plan);
        assert_eq!(job["state"], "succeeded", "{way}: {job}");
        let is_flagged = job["warning"]["code"] == "output_truncated";
        assert_eq!(is_flagged, to == 1, "{way}: {job}");
        let output = arena.output(job["id"].as_str().unwrap());
        assert_eq!(output["total_bytes"], kept, "{way}: {output}");
    }
    let grown = peak_bytes(arena.worker()).saturating_sub(before);
    arena.tell("memory", "18 the worker has grown by", &json!(grown));
    assert!(grown < 64 * 1024 * 1024, "{way}: {grown} bytes");

    let ready = arena.path("granted/mute");
    let mute = arena.failing("hostile", "mute", json!({ "ready": ready }));
    assert!(ready.exists(), "{way}: {mute}");
    assert_eq!(mute["error"]["code"], "timeout", "{way}: {mute}");
}

/// The most memory that a process has had.
fn peak_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() * 1024
}

fn row_19_hoards(way: Way) {
    let arena = Arena::open(way, SETTING);
    let code = |job: &Value| job["error"]["code"].as_str().unwrap_or_default().to_owned();

    let one = arena.failing("hostile_small", "allocate", json!({"mib": 8192}));
    assert_eq!(code(&one), "memory_limit", "{way}: {one}");
    // Ten of them need five times of what one may have.
    let crowd = json!({"count": 10, "mib": 60});
    let crowd = arena.failing("hostile_small", "crowd", crowd);
    let held = crowd["state"] != "succeeded";
    arena.assert_as_claimed(
        "memory",
        "19 together",
        held,
        "each process may use as much",
    );

    let one = arena.failing("hostile_small", "spin", json!({"children": 0}));
    assert_eq!(code(&one), "cpu_limit", "{way}: {one}");
    let crowd = arena.failing("hostile_small", "spin", json!({"children": 3}));
    let held = crowd["state"] != "succeeded";
    arena.assert_as_claimed("cpu", "19 together", held, "each process may use as much");

    let plan = json!({"one_mib": 1024, "files": 1000, "bytes": 32 * 1024});
    let disk = arena.attack("hostile_small", "disk", plan);
    let one = &disk["one"];
    assert_eq!(
        (&one["failure"], &one["grown"]),
        (&json!("EFBIG"), &json!("EFBIG")),
        "{way}"
    );
    assert_eq!(one["mib"], 8, "{way}");
    let held = disk["many"]["failure"] == "ENOSPC";
    arena.assert_as_claimed("disk", "19 many files", held, "the number of files");
}
