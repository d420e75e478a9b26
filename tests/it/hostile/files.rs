//! Rows 1 to 5: files, the environment, and descriptors.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde_json::{Value, json};

use super::four_ways;
use super::ways::{Arena, SECRETS, Setting, Way};

four_ways!(rows_1_to_5, super::rows);

fn rows(way: Way) {
    let arena = Arena::open(
        way,
        Setting {
            leaks: true,
            ..Setting::default()
        },
    );
    // First, as what has been written beside an interpreter that waits would be seen.
    row_5_nothing_is_inherited(&arena);
    row_1_nothing_is_written_outside(&arena);
    row_2_secrets_cannot_be_read(&arena);
    row_3_nor_by_another_name(&arena);
    row_4_nor_changed(&arena);
    let usable = arena.attack("hostile", "usable", json!({}));
    assert_eq!(usable["copy"], "done", "{way}: {usable}");
    assert_eq!(usable["rename"], "done", "{way}: {usable}");
    assert_eq!(usable["remove"], "done", "{way}: {usable}");
}

fn row_1_nothing_is_written_outside(arena: &Arena) {
    let name = arena
        .path("")
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let new: Vec<_> = [
        "outside",
        "data",
        "home",
        "plugins/hostile",
        "plugins",
        "readable",
        "",
    ]
    .iter()
    .map(|directory| arena.path(directory).join("new"))
    .chain(
        ["/tmp", "/var/tmp", "/dev/shm", "/run", "/etc", "/usr", "/"]
            .map(|directory| Path::new(directory).join(format!("new-{name}"))),
    )
    .collect();
    let old = [
        arena.path("outside/secret"),
        arena.path("plugins/hostile/cli.py"),
        arena.path("smcp.toml"),
        arena.path("data/smcp.db"),
    ];
    let before = old.each_ref().map(|path| fs::read(path).unwrap().len());
    let plan = json!({"new": new, "old": old});
    let achieved = arena.attack("hostile", "write", plan);

    for path in &new {
        let is_there = path.symlink_metadata().is_ok();
        let seen = &achieved["new"][path.to_str().unwrap()];
        arena.assert_held(
            "filesystem",
            &format!("1 make {}", path.display()),
            !is_there,
            seen,
        );
    }
    for attack in ["old", "removed"] {
        arena.assert_all_refused("filesystem", &format!("1 {attack}"), &achieved[attack]);
    }
    let after = old.each_ref().map(|path| fs::read(path).unwrap().len());
    assert_eq!(before[..3], after[..3], "{}", arena.way);
    assert_eq!(
        fs::read(&old[0]).unwrap(),
        b"hostile-secret",
        "{}",
        arena.way
    );
}

fn row_2_secrets_cannot_be_read(arena: &Arena) {
    let plan = json!({
        "secret": arena.path("outside/secret"),
        "granted": arena.path("granted"),
        "others": [
            arena.path("data/smcp.db"),
            arena.path("smcp.toml"),
            arena.path("log"),
            "/etc/shadow",
            "/etc/hostname",
            "/root/.bashrc",
        ],
        "directories": [arena.path("outside"), arena.path("data"), arena.path("home"), Path::new("/root")],
    });
    let achieved = arena.attack("hostile", "read", plan);
    arena.assert_all_refused("filesystem", "2 read", &achieved["read"]);
    arena.assert_all_refused("filesystem", "2 list", &achieved["listed"]);
    let is_hidden = achieved["named"] != "done";
    arena.assert_as_claimed("filesystem", "2 stat", is_hidden, "names, sizes and times");
}

fn row_3_nor_by_another_name(arena: &Arena) {
    let secret = arena.path("outside/secret");
    let plan = json!({"secret": secret, "granted": arena.path("granted")});
    let achieved = arena.attack("hostile", "link", plan);
    arena.assert_all_refused("filesystem", "3", &achieved);
    assert_eq!(fs::metadata(&secret).unwrap().nlink(), 1);
    assert_eq!(fs::read(&secret).unwrap(), b"hostile-secret");
}

fn row_4_nor_changed(arena: &Arena) {
    let secret = arena.path("outside/secret");
    // Whatever changes a file changes this time, which nobody can set.
    let changed = |path: &Path| {
        let data = fs::metadata(path).unwrap();
        (data.ctime(), data.ctime_nsec(), data.mode(), data.size())
    };
    let before = changed(&secret);
    let achieved = arena.attack("hostile", "change", json!({"secret": secret}));
    let held = changed(&secret) == before;
    for (what, seen) in achieved.as_object().unwrap() {
        arena.tell("filesystem", &format!("4 {what}"), seen);
    }
    let hole = "modes and times of the user's own changed";
    arena.assert_as_claimed("filesystem", "4 change", held, hole);
}

fn row_5_nothing_is_inherited(arena: &Arena) {
    let seen = arena.attack("hostile", "inherited", json!({}));
    let environment = seen["environment"].as_object().unwrap();
    let known = BTreeSet::from([
        "HOME",
        "LANG",
        "LC_CTYPE",
        "PATH",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONIOENCODING",
        "PYTHONUNBUFFERED",
        "SMCP_ATTEMPT",
        "SMCP_EVENTS_FD",
        "SMCP_JOB_ID",
        "TMPDIR",
    ]);
    let more: Vec<_> = environment
        .keys()
        .filter(|name| !known.contains(name.as_str()))
        .collect();
    arena.assert_held("isolation", "5 environment", more.is_empty(), &json!(more));
    let told = seen.to_string();
    for (name, value) in SECRETS {
        assert!(
            !told.contains(name) && !told.contains(value),
            "{}: {told}",
            arena.way
        );
    }
    let events: Value = environment["SMCP_EVENTS_FD"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let mut expected = vec![json!(0), json!(1), json!(2), events];
    expected.dedup();
    let descriptors = &seen["descriptors"];
    let held = *descriptors == json!(expected);
    arena.assert_held("isolation", "5 descriptors", held, descriptors);
    let home = &seen["home"];
    arena.assert_held(
        "filesystem",
        "5 the scratch directory is empty",
        *home == json!([]),
        home,
    );
}
