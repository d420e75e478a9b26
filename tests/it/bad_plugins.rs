//! Plugins that misbehave: each gets a clear error or its answer, and leaves nothing behind.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::processes;
use crate::world::{World, eventually, failure_of, job_of, text_of};

/// Somewhat more than is kept of an output, and far less than what the plugin prints.
const MAX_GROWTH_KIB: u64 = 40 * 1024;

/// How long a plugin may take to heed SIGTERM; what heeds it, or is killed at once, takes less.
const GRACE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_gigabyte_of_output_is_capped_and_fills_no_memory() {
    let (world, [_api, worker]) = World::running();
    let client = world.client().await;
    let before = peak_memory_kib(worker.pid());
    let answer = client.call("awkward__gigabyte", json!({})).await;
    assert_eq!(answer.is_error, Some(false));
    let text = text_of(&answer);
    let id = job_of(&answer);
    assert!(
        text.len() < 2 * 1024 * 1024,
        "the answer has {} bytes",
        text.len()
    );
    assert!(
        text.contains("output_truncated: The plugin printed 1073741824 bytes, of which the first 16777216 have been kept.]"),
        "{text}"
    );
    let last = client
        .json(
            "jobs__output",
            json!({"id": id, "offset": 16_777_208, "limit": 100}),
        )
        .await;
    assert_eq!(last["text"], "89abcdef");
    assert_eq!(
        (&last["total_bytes"], &last["truncated"]),
        (&json!(16_777_216), &json!(true))
    );
    let growth = peak_memory_kib(worker.pid()) - before;
    assert!(
        growth < MAX_GROWTH_KIB,
        "the worker took {growth} KiB more than before"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_ends_are_told() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let binary = client.call("awkward__binary", json!({})).await;
    assert_eq!(binary.is_error, Some(false));
    assert_eq!(
        text_of(&binary),
        "caf\u{fffd} \u{fffd}\u{fffd} and \u{fffd} end"
    );

    for (signal, how) in [
        (9, "9 (SIGKILL)"),
        (11, "11 (SIGSEGV)"),
        (15, "15 (SIGTERM)"),
        (1, "1"),
    ] {
        let killed = client
            .call("awkward__suicide", json!({"signal": signal}))
            .await;
        assert_eq!(
            failure_of(&killed),
            (
                "plugin_error".into(),
                format!("Plugin was killed by signal {how} (no output)")
            )
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_takes_too_long_is_stopped() {
    let mut world = World::new().with("MCP_PLUGIN_TIMEOUT", "1");
    let _roles = [world.api(), world.worker()];
    world.wait_for_tools();
    let client = world.client().await;

    // It has closed its output and dies of SIGTERM.
    let lockfile = world.outside("mute");
    let begun = Instant::now();
    let mute = client
        .call("awkward__mute", json!({"lockfile": lockfile}))
        .await;
    assert!(begun.elapsed() < GRACE, "{:?}", begun.elapsed());
    assert!(!is_alive(&lockfile));
    assert_eq!(
        failure_of(&mute),
        (
            "timeout".into(),
            "Plugin command timed out after 1.0 seconds. Partial output: the last words".into()
        )
    );

    // It ignores SIGTERM, and is killed after the grace of 5 s.
    let lockfile = world.outside("hang");
    let hang = client
        .call("awkward__hang", json!({"lockfile": lockfile}))
        .await;
    assert!(!is_alive(&lockfile));
    assert_eq!(
        failure_of(&hang),
        (
            "timeout".into(),
            "Plugin command timed out after 1.0 seconds. Partial output:  [Stderr: hanging]".into()
        )
    );
    let job = world.smcp_json(&["jobs", "show", &job_of(&hang)]);
    assert_eq!(
        (&job["state"], &job["error"]["code"]),
        (&json!("failed"), &json!("timeout"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_ends_with_its_call() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    for quiet in [false, true] {
        let lockfile = world.outside(&format!("daemon-{quiet}"));
        let begun = Instant::now();
        let answer = client
            .call(
                "awkward__daemon",
                json!({"lockfile": lockfile, "quiet": quiet}),
            )
            .await;
        assert!(begun.elapsed() < GRACE, "{:?}", begun.elapsed());
        assert_eq!(text_of(&answer), "{\"ok\": true}");
        assert!(!is_alive(&lockfile), "the daemon outlives its call");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_plugins_are_told_of_and_the_others_served() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let listing = client.json("plugins__list", json!({})).await;
    let plugin = |name: &str| {
        listing["plugins"]
            .as_array()
            .unwrap()
            .iter()
            .find(|plugin| plugin["name"] == name)
            .unwrap()
    };

    let broken = plugin("broken");
    assert_eq!(broken["tools"], json!([]));
    let problems: Vec<_> = broken["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| problem.as_str().unwrap())
        .collect();
    let expected = [
        "commands[0].parameters[0].type 'str' is not one of array|boolean|integer|number|object|string",
        "commands[0].parameters[1].required must be a boolean",
        "commands[1].name 'not a name' must match ^[a-zA-Z0-9_-]+$",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(expected), "{problem}");
    }
    let crashing = plugin("crashing");
    assert_eq!(crashing["tools"], json!([]));
    assert!(
        crashing["problems"][0]
            .as_str()
            .unwrap()
            .contains("RuntimeError: this plugin cannot start"),
        "{crashing}"
    );

    assert_eq!(plugin("awkward")["problems"], json!([]));
    assert_eq!(client.json("health", json!({})).await["status"], "healthy");
    let echo = client
        .call("demo_text__echo", json!({"message": "served"}))
        .await;
    assert!(text_of(&echo).contains("served"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_has_disappeared_is_named() {
    let world = World::new();
    let plugin = world.path("own/shellcli");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/plugins/shellcli/cli");
    fs::create_dir_all(&plugin).unwrap();
    fs::copy(fixture, plugin.join("cli")).unwrap();
    let directory = world.path("own").display().to_string();
    let mut world = world.with_plugins(directory);
    let (_api, worker) = (world.api(), world.worker());
    world.wait_for_tools();
    let client = world.client().await;
    let hello = client.call("shellcli__greet", json!({"name": "Ada"})).await;
    assert_eq!(text_of(&hello), "Hello, Ada");

    // A job that has been recorded, of a plugin that is not there any more when it is run.
    worker.kill();
    let job = client
        .submit("shellcli__greet", json!({"name": "Ada"}))
        .await;
    fs::remove_dir_all(&plugin).unwrap();
    let _worker = world.worker();
    let error = &client.ended(&job).await["error"];
    assert_eq!(error["code"], "plugin_not_found");
    let found_missing = format!(
        "Plugin shellcli is gone: there is no {}/cli any more.",
        plugin.display()
    );
    let scanned_before = "Tool shellcli__greet is no longer offered by any plugin.";
    assert!(
        [&found_missing, scanned_before].contains(&error["message"].as_str().unwrap()),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_directory_that_does_not_exist_is_a_problem_and_no_end() {
    let world = World::new();
    let directory = world.path("missing");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/demo_text");
    let mut world = world.with_plugins(directory.display().to_string());
    let _roles = [world.api(), world.worker()];
    world.wait_for_tools();
    let client = world.client().await;
    let listing = client.json("plugins__list", json!({})).await;
    assert_eq!(listing["plugins"], json!([]));
    let problem = format!(
        "plugin directory {} cannot be read: No such file or directory (os error 2)",
        directory.display()
    );
    assert_eq!(listing["catalogue"]["problems"], json!([problem]));
    assert_eq!(client.json("health", json!({})).await["plugins"], 0);

    fs::create_dir(&directory).unwrap();
    std::os::unix::fs::symlink(fixture, directory.join("demo_text")).unwrap();
    let listing = client.json("plugins__reload", json!({})).await;
    assert_eq!(listing["catalogue"]["problems"], json!([]));
    let echo = client
        .call("demo_text__echo", json!({"message": "found"}))
        .await;
    assert!(text_of(&echo).contains("found"));
}

/// Whether the process that has taken this lock, or anything that it has started, is still there.
fn is_alive(lockfile: &Path) -> bool {
    eventually("the plugin has taken its lock", || {
        lockfile.exists().then_some(())
    });
    processes::is_locked(lockfile)
}

fn peak_memory_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
