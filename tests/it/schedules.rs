//! Schedules: cron ticks that become jobs, over MCP and on the command line, with workers that die.

use std::fs;
use std::process::Output;

use serde_json::{Value, json};
use smcp_common::clock::Timestamp;

use crate::naps::Naps;
use crate::world::{Client, World, eventually, failure_of, text};

const COIN: &str = "demo_math__coin_flip";

fn secondly(tool: &str, arguments: &Value) -> Value {
    json!({"name": "often", "cron": "* * * * * *", "tool": tool, "arguments": arguments})
}

/// The instants of a schedule's ticks that have had this outcome, oldest first, in seconds.
fn ticks(world: &World, outcome: &str) -> Vec<i64> {
    let sql = world.sql();
    let mut ticks = sql
        .prepare("SELECT tick / 1000 FROM schedule_ticks WHERE outcome = ?1 AND kind = 'cron' ORDER BY tick")
        .unwrap();
    let ticks = ticks.query_map([outcome], |row| row.get(0)).unwrap();
    ticks.map(Result::unwrap).collect()
}

fn count(world: &World, query: &str) -> i64 {
    world.sql().query_row(query, [], |row| row.get(0)).unwrap()
}

fn wait_for_ticks(world: &World, outcome: &str, least: usize) {
    eventually(&format!("{least} ticks are {outcome}"), || {
        (ticks(world, outcome).len() >= least).then_some(())
    });
}

async fn show(client: &Client, id: &str) -> Value {
    client.json("schedules__get", json!({ "id": id })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_fires_with_the_second() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let mut request = secondly(COIN, &json!({}));
    request["priority"] = json!(3);
    request["retry"] = json!({"max_attempts": 4, "initial_s": 0.5});
    let created = client.json("schedules__create", request).await;
    let expected = json!({"name": "often", "agent": "local", "state": "active", "cron": "* * * * * *", "tz": "UTC",
                          "reading": "Every second, in UTC", "tool": COIN, "arguments": {}, "runs": 0, "overlap": "skip",
                          "catch_up": "none", "catch_up_window_s": 86_400.0, "jitter_s": 0.0, "max_runs": null, "priority": 3});
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(created[key], *value, "{key}");
    }
    assert_eq!(created["upcoming"].as_array().unwrap().len(), 5);
    wait_for_ticks(&world, "submitted", 4);

    let id = created["id"].as_str().unwrap();
    client
        .json("schedules__pause", json!({"id": "often"}))
        .await;
    let shown = show(&client, id).await;
    assert_eq!(
        (&shown["state"], &shown["next"], &shown["upcoming"]),
        (&json!("paused"), &Value::Null, &json!([]))
    );
    let mut delays = Vec::new();
    for tick in shown["ticks"].as_array().unwrap() {
        assert_eq!(
            (&tick["kind"], &tick["tick"]["weekday"].is_string()),
            (&json!("cron"), &true)
        );
        let Some(job) = tick["job"].as_str() else {
            continue;
        };
        let job = client.ended(job).await;
        assert_eq!(
            (
                &job["state"],
                &job["source"],
                &job["origin"],
                &job["priority"],
                &job["max_attempts"]
            ),
            (
                &json!("succeeded"),
                &json!("schedule"),
                &json!({"schedule": id}),
                &json!(3),
                &json!(4)
            )
        );
        let tick = Timestamp::parse(tick["tick"]["utc"].as_str().unwrap()).unwrap();
        delays.push(job["created_at"].as_i64().unwrap() - tick.as_millis());
    }
    assert!(delays.iter().all(|delay| *delay >= 0), "{delays:?}");
    assert!(delays.iter().min().unwrap() < &250, "{delays:?}");
    let state = show(&client, id).await["ticks"][0]["job_state"].clone();
    assert_eq!(state, "succeeded");
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tick_is_lost_or_run_twice_where_the_scheduler_dies() {
    let (world, [_api, first]) = World::running();
    let mut workers = vec![first, world.worker(), world.worker()];
    let client = world.client().await;
    let mut request = secondly(COIN, &json!({}));
    request["overlap"] = json!("queue");
    request["catch_up"] = json!("all");
    client.json("schedules__create", request).await;
    for _ in 0..2 {
        let decided = count(&world, "SELECT count(*) FROM schedule_ticks");
        let more = format!("SELECT count(*) > {} FROM schedule_ticks", decided + 2);
        let fires = || (count(&world, &more) == 1).then_some(());
        eventually("the schedule fires", fires);
        let holder = "SELECT pid FROM duties JOIN workers ON workers.id = duties.worker WHERE name = 'scheduler'";
        let holder = u32::try_from(count(&world, holder)).unwrap();
        let n = workers
            .iter()
            .position(|worker| worker.pid() == holder)
            .unwrap();
        workers.remove(n).kill();
        let after = count(&world, "SELECT max(tick) FROM schedule_ticks");
        let later = format!("SELECT max(tick) > {after} FROM schedule_ticks");
        eventually("another worker fires it", || {
            (count(&world, &later) == 1).then_some(())
        });
    }
    client
        .json("schedules__pause", json!({"id": "often"}))
        .await;
    let all = "SELECT tick / 1000 FROM schedule_ticks ORDER BY tick";
    let all: Vec<i64> = {
        let sql = world.sql();
        let mut all = sql.prepare(all).unwrap();
        let all = all.query_map([], |row| row.get(0)).unwrap();
        all.map(Result::unwrap).collect()
    };
    let expected: Vec<_> = (all[0]..=*all.last().unwrap()).collect();
    assert_eq!(all, expected, "each second once");
    let jobs = count(
        &world,
        "SELECT count(*) FROM jobs WHERE source = 'schedule'",
    );
    let submitted = count(
        &world,
        "SELECT count(DISTINCT job) FROM schedule_ticks WHERE outcome = 'submitted'",
    );
    assert_eq!(jobs, submitted);
    let schedulers = count(
        &world,
        "SELECT count(DISTINCT agent) FROM audit WHERE kind = 'schedule.fired'",
    );
    assert!(schedulers >= 2, "{schedulers}");
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_is_refused_and_not_stored() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let good = json!({"name": "nightly", "cron": "0 3 * * *", "tz": "Europe/Berlin", "tool": "demo_text__echo",
                      "arguments": {"message": "good night"}});
    let kept = client.json("schedules__create", good.clone()).await;
    let rows: &[(&str, Value, &str, &str)] = &[
        (
            "cron",
            json!("0 0 30 2 *"),
            "invalid_arguments",
            "argument 'cron': '0 0 30 2 *' never comes: no date fits it.",
        ),
        (
            "cron",
            json!("0 25 * * *"),
            "invalid_arguments",
            "argument 'cron': '0 25 * * *' is no cron expression: the hour '25'",
        ),
        (
            "cron",
            json!("soon"),
            "invalid_arguments",
            "it has 5 fields",
        ),
        ("cron", json!(5), "invalid_arguments", "argument 'cron'"),
        (
            "tz",
            json!("Mars/Olympus"),
            "invalid_arguments",
            "argument 'tz': 'Mars/Olympus' is no time zone",
        ),
        (
            "tz",
            json!("europe/berlin"),
            "invalid_arguments",
            "did you mean Europe/Berlin?",
        ),
        (
            "tool",
            json!("demo_text__sing"),
            "unknown_tool",
            "There is no tool 'demo_text__sing'",
        ),
        (
            "tool",
            json!("jobs__list"),
            "invalid_arguments",
            "argument 'tool': jobs__list is a built-in tool",
        ),
        (
            "arguments",
            json!({}),
            "invalid_arguments",
            "\"message\" is a required property",
        ),
        (
            "arguments",
            json!({"message": 7, "x": 1}),
            "invalid_arguments",
            "argument 'message'",
        ),
        (
            "retry",
            json!({"max_attempts": -1}),
            "invalid_arguments",
            "argument 'retry.max_attempts'",
        ),
        (
            "retry",
            json!({"max_attempts": 1_000_000}),
            "invalid_arguments",
            "argument 'retry.max_attempts'",
        ),
        (
            "retry",
            json!({"max_s": 1, "initial_s": 2}),
            "invalid_arguments",
            "argument 'retry.max_s' must not be less",
        ),
        (
            "priority",
            json!(101),
            "invalid_arguments",
            "argument 'priority'",
        ),
        (
            "jitter_s",
            json!(-1),
            "invalid_arguments",
            "argument 'jitter_s'",
        ),
        (
            "jitter_s",
            json!(86_401),
            "invalid_arguments",
            "argument 'jitter_s'",
        ),
        (
            "catch_up_window_s",
            json!(-1),
            "invalid_arguments",
            "argument 'catch_up_window_s'",
        ),
        (
            "catch_up",
            json!("some"),
            "invalid_arguments",
            "argument 'catch_up'",
        ),
        (
            "overlap",
            json!("allow"),
            "invalid_arguments",
            "argument 'overlap'",
        ),
        (
            "max_runs",
            json!(0),
            "invalid_arguments",
            "argument 'max_runs'",
        ),
        (
            "start_at",
            json!("tomorrow"),
            "invalid_arguments",
            "argument 'start_at': 'tomorrow' is not an RFC 3339 instant",
        ),
        (
            "end_at",
            json!("2020-01-01T00:00:00Z"),
            "invalid_arguments",
            "argument 'end_at': the schedule would never run",
        ),
        ("name", json!("a b"), "invalid_arguments", "argument 'name'"),
        ("name", json!(""), "invalid_arguments", "argument 'name'"),
        (
            "name",
            json!("x".repeat(65)),
            "invalid_arguments",
            "argument 'name'",
        ),
        (
            "name",
            json!("nightly"),
            "schedule_exists",
            "There is a schedule 'nightly' already.",
        ),
        ("colour", json!("red"), "invalid_arguments", "colour"),
    ];
    for (key, value, code, expected) in rows {
        let mut request = good.clone();
        if *key != "name" {
            request["name"] = json!("other");
        }
        request[*key] = value.clone();
        let refused = failure_of(&client.call("schedules__create", request).await);
        assert_eq!(refused.0, *code, "{key} {value}: {}", refused.1);
        assert!(refused.1.contains(expected), "{key} {value}: {}", refused.1);
        if *key != "name" {
            let change = json!({"id": "nightly", *key: value});
            let refused = failure_of(&client.call("schedules__update", change).await);
            assert_eq!(refused.0, *code, "{key} {value}: {}", refused.1);
        }
    }
    let mut turned = good.clone();
    turned["name"] = json!("other");
    turned["start_at"] = json!("2030-01-02T00:00:00Z");
    turned["end_at"] = json!("2030-01-01T00:00:00Z");
    let refused = failure_of(&client.call("schedules__create", turned).await);
    assert!(
        refused
            .1
            .contains("argument 'end_at': 2030-01-01T00:00:00.000Z is not after start_at"),
        "{}",
        refused.1
    );
    for missing in ["name", "cron", "tool"] {
        let mut request = good.clone();
        request.as_object_mut().unwrap().remove(missing);
        let (code, message) = failure_of(&client.call("schedules__create", request).await);
        assert_eq!(code, "invalid_arguments");
        assert!(message.contains(missing), "{message}");
    }
    for tool in [
        "schedules__get",
        "schedules__pause",
        "schedules__resume",
        "schedules__delete",
        "schedules__trigger",
        "schedules__update",
    ] {
        let (code, message) = failure_of(&client.call(tool, json!({"id": "weekly"})).await);
        assert_eq!(
            (
                code.as_str(),
                message.starts_with("There is no schedule 'weekly';")
            ),
            ("no_such_schedule", true)
        );
    }
    let preview = client
        .call("schedules__preview", json!({"cron": "0 0 30 2 *"}))
        .await;
    assert!(failure_of(&preview).1.contains("never comes"));

    let listed = client.json("schedules__list", json!({})).await;
    let [only] = listed["schedules"].as_array().unwrap().as_slice() else {
        panic!("{listed}")
    };
    let mut kept = kept;
    kept.as_object_mut().unwrap().remove("upcoming");
    assert_eq!(*only, kept);
    assert_eq!(count(&world, "SELECT count(*) FROM schedules"), 1);
    assert_eq!(count(&world, "SELECT count(*) FROM jobs"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_shown_in_words_in_the_zone_and_in_utc() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let preview = client
        .json(
            "schedules__preview",
            json!({"cron": "30 9 * * 1", "tz": "Asia/Kathmandu"}),
        )
        .await;
    assert_eq!(preview["reading"], "At 09:30, on Monday, in Asia/Kathmandu");
    let upcoming = preview["upcoming"].as_array().unwrap();
    assert_eq!(upcoming.len(), 5);
    for time in upcoming {
        let (utc, local) = (
            time["utc"].as_str().unwrap(),
            time["local"].as_str().unwrap(),
        );
        assert!(
            utc.ends_with("T03:45:00Z") && local.ends_with("T09:30:00+05:45"),
            "{time}"
        );
        assert_eq!(time["weekday"], "Monday");
        assert_eq!(Timestamp::parse(utc), Timestamp::parse(local));
    }
    assert_eq!(count(&world, "SELECT count(*) FROM schedules"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_schedule_keeps_what_is_not_changed() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let request = json!({"name": "nightly", "cron": "0 3 * * *", "tool": COIN, "max_runs": 5, "end_at": "2999-01-01T00:00:00Z"});
    let created = client.json("schedules__create", request).await;
    let change = json!({"id": "nightly", "name": "early", "cron": "0 1 * * *", "tz": "Europe/Berlin", "clear": ["end_at"], "overlap": "queue"});
    let changed = client.json("schedules__update", change).await;
    let mut expected = created.clone();
    for (key, value) in [
        ("name", json!("early")),
        ("cron", json!("0 1 * * *")),
        ("tz", json!("Europe/Berlin")),
        ("reading", json!("At 01:00, in Europe/Berlin")),
        ("end_at", Value::Null),
        ("overlap", json!("queue")),
        ("next", changed["upcoming"][0].clone()),
        ("upcoming", changed["upcoming"].clone()),
        ("updated_at", changed["updated_at"].clone()),
    ] {
        expected[key] = value;
    }
    assert_eq!(changed, expected);
    let triggered = client
        .json("schedules__trigger", json!({"id": "early"}))
        .await;
    let job = client.ended(triggered["job"].as_str().unwrap()).await;
    assert_eq!(
        (&job["state"], &job["agent"]),
        (&json!("succeeded"), &json!("local"))
    );
    let shown = show(&client, "early").await;
    assert_eq!(
        (
            &shown["ticks"][0]["kind"],
            &shown["ticks"][0]["job"],
            &shown["runs"],
            &shown["next"]
        ),
        (&json!("manual"), &job["id"], &json!(0), &changed["next"])
    );
    let deleted = client
        .json("schedules__delete", json!({"id": "early"}))
        .await;
    assert_eq!(
        deleted,
        json!({"id": created["id"], "name": "early", "deleted": true})
    );
    assert_eq!(
        client.json("jobs__get", json!({"id": job["id"]})).await["state"],
        "succeeded"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_run_before_is_replaced_or_waited_for() {
    let (world, _roles) = World::running();
    let (client, naps) = (world.client().await, Naps::of(&world));
    let mut request = secondly("sleepy__nap", &naps.until_open("n"));
    request["overlap"] = json!("replace");
    client.json("schedules__create", request).await;
    let first = naps.started("n");
    first.wait_for_death();
    eventually("the next run has started", || {
        (naps.told("n", "start").len() >= 2).then_some(())
    });
    let cancelled =
        "SELECT count(*) FROM jobs WHERE state = 'cancelled' AND cancel_by = 'schedule:often'";
    assert!(count(&world, cancelled) >= 1);

    let queue = json!({"id": "often", "overlap": "queue", "max_runs": 50});
    client.json("schedules__update", queue).await;
    wait_for_ticks(&world, "waiting", 2);
    client
        .json("schedules__pause", json!({"id": "often"}))
        .await;
    let waiting = ticks(&world, "waiting");
    naps.open();
    eventually("what runs has ended", || {
        (count(
            &world,
            "SELECT count(*) FROM jobs WHERE finished_at IS NULL",
        ) == 0)
            .then_some(())
    });
    assert_eq!(
        ticks(&world, "waiting"),
        waiting,
        "they wait until the schedule is resumed"
    );
    client
        .json("schedules__resume", json!({"id": "often"}))
        .await;
    eventually("those that waited have run", || {
        let submitted = ticks(&world, "submitted");
        waiting
            .iter()
            .all(|tick| submitted.contains(tick))
            .then_some(())
    });
    client
        .json("schedules__delete", json!({"id": "often"}))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_outlives_its_tool() {
    let world = World::new();
    let plugin = world.path("plugins/passing");
    fs::create_dir_all(&plugin).unwrap();
    let commands = json!({"commands": [{"name": "run", "annotations": {"readOnlyHint": true}}]});
    let says = format!("print({:?})", commands.to_string());
    let plugins = world.path("plugins").display().to_string();
    fs::write(plugin.join("cli.py"), &says).unwrap();
    let (world, _roles) = world.with_plugins(plugins).started();
    let client = world.client().await;
    client
        .json("schedules__create", secondly("passing__run", &json!({})))
        .await;
    wait_for_ticks(&world, "submitted", 1);
    fs::remove_dir_all(&plugin).unwrap();
    wait_for_ticks(&world, "refused", 1);
    let shown = show(&client, "often").await;
    let refused = shown["ticks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|tick| tick["outcome"] == "refused");
    assert_eq!(
        refused.unwrap()["detail"],
        "There is no tool 'passing__run' any more."
    );
    assert_eq!(shown["state"], "active");
    fs::create_dir_all(&plugin).unwrap();
    fs::write(plugin.join("cli.py"), &says).unwrap();
    let so_far = ticks(&world, "submitted").len();
    wait_for_ticks(&world, "submitted", so_far + 1);
    client
        .json("schedules__delete", json!({"id": "often"}))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_whose_zone_is_unknown_by_now_stops_and_can_be_mended() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    client
        .json("schedules__create", secondly(COIN, &json!({})))
        .await;
    wait_for_ticks(&world, "submitted", 1);
    // As a version of this program with other time zones would find it.
    let sql = world.sql();
    sql.execute_batch("UPDATE schedules SET zone = 'Atlantis/Capital'")
        .unwrap();
    let stopped = "SELECT next_tick IS NULL FROM schedules";
    eventually("the schedule stops", || {
        (count(&world, stopped) == 1).then_some(())
    });
    let shown = show(&client, "often").await;
    assert_eq!(shown["state"], "ended");
    let reading = shown["reading"].as_str().unwrap();
    assert!(
        reading.starts_with("'Atlantis/Capital' is no time zone"),
        "{reading}"
    );
    assert!(text(&world.smcp(&["schedules", "show", "often"]).stdout).contains("Atlantis"));
    let before = ticks(&world, "submitted").len();
    let mended = client
        .json("schedules__update", json!({"id": "often", "tz": "UTC"}))
        .await;
    assert_eq!(mended["state"], "active");
    wait_for_ticks(&world, "submitted", before + 1);
    client
        .json("schedules__delete", json!({"id": "often"}))
        .await;
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_have_their_own_schedules_and_operators_reach_all() {
    let mut world = World::new().with("MCP_API_KEY", "secret");
    let _roles = [world.api(), world.worker()];
    world.wait_for_tools();
    let (local, legacy) = (world.client().await, world.client_with_key("secret").await);
    let request = json!({"name": "nightly", "cron": "@daily", "tool": COIN});
    let of_legacy = legacy.json("schedules__create", request.clone()).await;
    let (code, _) = failure_of(&local.call("schedules__get", json!({"id": "nightly"})).await);
    assert_eq!(code, "no_such_schedule");
    let (code, _) = failure_of(
        &local
            .call("schedules__delete", json!({"id": of_legacy["id"]}))
            .await,
    );
    assert_eq!(code, "no_such_schedule");
    assert_eq!(
        local.json("schedules__list", json!({})).await,
        json!({"schedules": []})
    );
    let agent = json!({"agent": of_legacy["agent"]});
    assert_eq!(
        local.json("schedules__list", agent).await,
        json!({"schedules": []})
    );

    // The command is an operator's.
    assert_eq!(
        world.smcp_json(&["schedules", "show", "nightly"])["id"],
        of_legacy["id"]
    );
    let job = world.smcp_json(&["schedules", "trigger", "nightly"]);
    let job = legacy.ended(job["job"].as_str().unwrap()).await;
    assert_eq!(job["agent"], of_legacy["agent"], "it runs as its owner");
    let of_local = local.json("schedules__create", request).await;
    let ambiguous = world.smcp(&["schedules", "pause", "nightly"]);
    assert_eq!(ambiguous.status.code(), Some(1));
    let said = text(&ambiguous.stderr);
    for one in [&of_local, &of_legacy] {
        let candidate = format!(
            "{} of {}",
            one["id"].as_str().unwrap(),
            one["agent"].as_str().unwrap()
        );
        assert!(said.contains(&candidate), "{said}");
    }
    let id = of_legacy["id"].as_str().unwrap();
    assert_eq!(
        world.smcp_json(&["schedules", "pause", id])["paused"]["by"],
        "operator"
    );
    assert_eq!(show(&local, "nightly").await["state"], "active");
    assert_eq!(
        world
            .smcp_json(&["schedules", "list"])
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn the_command_line_has_it_all() {
    let (world, _roles) = World::running();
    let run = |arguments: &[&str]| {
        let Output {
            status,
            stdout,
            stderr,
        } = world.smcp(&[&["schedules"], arguments].concat());
        (status.code().unwrap(), text(&stdout), text(&stderr))
    };
    assert_eq!(
        run(&["list"]),
        (0, "no schedules\n".to_owned(), String::new())
    );
    let (code, next, _) = run(&["next", "--cron", "0 9 * * 1", "--tz", "Europe/Berlin"]);
    let lines: Vec<_> = next.lines().collect();
    assert_eq!(
        (code, lines.len(), lines[0]),
        (0, 6, "At 09:00, on Monday, in Europe/Berlin")
    );
    for line in &lines[1..] {
        assert!(
            line.starts_with("Mon 2")
                && line.contains(" 09:00:00 +0")
                && line.contains(":00:00Z   in "),
            "{line}"
        );
    }
    let json = world.smcp_json(&["schedules", "next", "--cron", "@daily"]);
    assert_eq!(json["upcoming"].as_array().unwrap().len(), 5);

    let add = [
        "add",
        "sums",
        "--cron",
        "0 9 * * 1",
        "--tz",
        "Europe/Berlin",
        "--jitter",
        "1m",
        "--catch-up",
        "one",
        "--catch-up-window",
        "2h",
        "--attempts",
        "5",
        "--max-runs",
        "3",
        "--priority",
        "-5",
        "--start",
        "2026-01-01T00:00:00Z",
        "demo_math__calculate",
        "expression=2+2",
    ];
    let (code, added, err) = run(&add);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(
        added.contains("At 09:00, on Monday, in Europe/Berlin") && added.contains("\nNEXT\nMon "),
        "{added}"
    );
    let shown = world.smcp_json(&["schedules", "show", "sums"]);
    let expected = json!({"agent": "operator", "tool": "demo_math__calculate", "arguments": {"expression": "2+2"}, "jitter_s": 60.0,
                          "catch_up": "one", "catch_up_window_s": 7200.0, "max_runs": 3, "priority": -5,
                          "start_at": "2026-01-01T00:00:00.000Z", "ticks": []});
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(shown[key], *value, "{key}");
    }
    assert_eq!(
        (
            &shown["retry"]["max_attempts"],
            &shown["retry"]["initial_s"]
        ),
        (&json!(5), &json!(1.0))
    );

    let (code, job, _) = run(&["trigger", "sums"]);
    assert_eq!(code, 0);
    assert_eq!(
        world.smcp(&["jobs", "wait", job.trim()]).status.code(),
        Some(0)
    );
    let (_, history, _) = run(&["show", "sums"]);
    assert!(
        history.contains("manual  submitted") && history.contains("succeeded"),
        "{history}"
    );
    assert_eq!(
        run(&["pause", "sums"]),
        (0, "sums is paused\n".to_owned(), String::new())
    );
    let (_, resumed, _) = run(&["resume", "sums"]);
    assert!(
        resumed.starts_with("sums is active, next Mon "),
        "{resumed}"
    );
    let (_, listed, _) = run(&["list"]);
    assert!(listed.starts_with("NAME  STATE   AGENT     CRON       ZONE           RUNS                  NEXT\nsums  active"), "{listed}");
    assert_eq!(
        world.smcp_json(&["schedules", "list", "--agent", "nobody"]),
        json!([])
    );
    assert_eq!(
        run(&["remove", "sums"]),
        (0, "sums is removed\n".to_owned(), String::new())
    );

    for (arguments, code, expected) in [
        (
            vec!["add", "x", "--cron", "0 0 30 2 *", COIN],
            1,
            "argument 'cron': '0 0 30 2 *' never comes",
        ),
        (
            vec!["add", "x", "--cron", "@daily", "--tz", "Berlin", COIN],
            1,
            "did you mean Europe/Berlin?",
        ),
        (
            vec!["add", "x", "--cron", "@daily", "--attempts", "-1", COIN],
            1,
            "argument 'retry.max_attempts'",
        ),
        (
            vec!["add", "x", "--cron", "@daily", "coin_flip"],
            2,
            "did you mean demo_math__coin_flip?",
        ),
        (
            vec!["add", "x", "--cron", "@daily", COIN, "side=1"],
            2,
            "has no parameter 'side'",
        ),
        (vec!["add", "x", COIN], 2, "--cron"),
        (
            vec!["add", "x", "--cron", "@daily", "--overlap", "allow", COIN],
            2,
            "allow",
        ),
        (
            vec!["add", "x", "--cron", "@daily", "--jitter", "soon", COIN],
            2,
            "such as 90s",
        ),
        (
            vec!["next", "--cron", "61 * * * *"],
            1,
            "the minute '61' cannot be read",
        ),
        (vec!["show", "sums"], 1, "There is no schedule 'sums'"),
    ] {
        let (found, _, err) = run(&arguments);
        assert_eq!(found, code, "{arguments:?}: {err}");
        assert!(err.contains(expected), "{arguments:?}: {err}");
    }
    assert_eq!(world.smcp_json(&["schedules", "list"]), json!([]));
    world.assert_sound();
}

#[test]
fn a_limit_on_the_command_line_holds_for_scheduled_runs() {
    let mut world = World::new().with("MCP_PLUGIN_TIMEOUT", "7");
    let (_up, _said) = world.up(1);
    world.wait_for_tools();
    let add = [
        "schedules",
        "add",
        "often",
        "--cron",
        "* * * * * *",
        "--max-runs",
        "1",
        COIN,
    ];
    assert_eq!(world.smcp(&add).status.code(), Some(0));
    wait_for_ticks(&world, "submitted", 1);
    assert_eq!(
        count(
            &world,
            "SELECT timeout_ms FROM jobs WHERE source = 'schedule'"
        ),
        7_000
    );
    let ended = eventually("the schedule has ended", || {
        let shown = world.smcp_json(&["schedules", "show", "often"]);
        (shown["state"] == "ended").then_some(shown)
    });
    assert_eq!((&ended["runs"], &ended["next"]), (&json!(1), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_runs_a_workflow() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let steps = json!([
        {"id": "sum", "tool": "demo_math__calculate", "arguments": {"expression": "2+2"}},
        {"id": "say", "tool": "demo_text__echo", "arguments": {"message": "it is ${steps.sum.result.result}"}},
    ]);
    let request = json!({"name": "sums", "cron": "* * * * * *", "max_runs": 1, "workflow": {"name": "sum up", "steps": steps}});
    client.json("schedules__create", request.clone()).await;
    let workflow = eventually("the workflow has ended", || {
        let schedule = world.smcp_json(&["schedules", "show", "sums"]);
        let tick = schedule["ticks"].as_array()?.first()?.clone();
        (tick["workflow_state"] == "succeeded").then(|| tick["workflow"].clone())
    });
    let shown = client
        .json("workflows__get", json!({ "id": workflow }))
        .await;
    assert_eq!(
        (&shown["name"], &shown["agent"]),
        (&json!("sum up"), &json!("local"))
    );
    let said = client
        .json("jobs__get", json!({"id": shown["steps"][1]["job"]}))
        .await;
    assert!(
        said["result"]["text"].as_str().unwrap().contains("it is 4"),
        "{said}"
    );

    let triggered = client
        .json("schedules__trigger", json!({"id": "sums"}))
        .await;
    assert!(triggered["workflow"].is_string(), "{triggered}");

    for (change, expected) in [
        (json!({"workflow": {"steps": []}}), "steps"),
        (
            json!({"workflow": {"steps": [{"id": "a", "tool": "no__tool"}]}}),
            "steps[0].tool",
        ),
        (json!({"tool": "demo_math__coin_flip"}), "only one of them"),
        (json!({"retry": {"max_attempts": 2}}), "retry"),
        (json!({"workflow": null}), "one of them must be given"),
    ] {
        let mut bad = request.clone();
        bad["name"] = json!("bad");
        for (key, value) in change.as_object().unwrap() {
            bad[key] = value.clone();
        }
        let (_, message) = failure_of(&client.call("schedules__create", bad).await);
        assert!(message.contains(expected), "{change}: {message}");
    }
    let schedules = client.json("schedules__list", json!({})).await;
    assert_eq!(
        schedules["schedules"].as_array().unwrap().len(),
        1,
        "nothing bad is stored"
    );
    world.assert_sound();
}
