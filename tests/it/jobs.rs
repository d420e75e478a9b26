//! Jobs that are submitted, followed, delayed, repeated, ordered and cancelled.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rmcp::model::{CallToolRequestParams, RequestMetaObject};
use serde_json::{Value, json};

use crate::http::{Session, Transport};
use crate::processes;
use crate::world::{Client, World, failure_of, job_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_submitted_job_is_followed_to_its_end() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let arguments = json!({"count": 2, "seconds": 0.05, "label": "x"});
    let submitted = client
        .json(
            "jobs__submit",
            json!({"tool": "sleepy__steps", "arguments": arguments, "priority": 5}),
        )
        .await;
    let id = submitted["id"].as_str().unwrap();
    assert_eq!(submitted["existing"], false);

    let kinds = kinds(&client, id).await;
    assert_eq!(
        (
            kinds.first().unwrap().as_str(),
            kinds.last().unwrap().as_str()
        ),
        ("queued", "finished")
    );
    let count = |kind: &str| kinds.iter().filter(|other| *other == kind).count();
    assert_eq!(
        (count("started"), count("progress"), count("log")),
        (1, 2, 2),
        "{kinds:?}"
    );

    let waited = client.json("jobs__wait", json!({"id": id})).await;
    assert_eq!(
        (&waited["done"], &waited["state"]),
        (&json!(true), &json!("succeeded"))
    );
    let output = client.json("jobs__output", json!({"id": id})).await;
    let printed: Value = serde_json::from_str(output["text"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&printed["command"], &printed["label"]),
        (&json!("steps"), &json!("x"))
    );

    let job = world.smcp_json(&["jobs", "show", id]);
    assert_eq!(job, client.json("jobs__get", json!({"id": id})).await);
    assert_eq!(job["arguments"], arguments);
    let expected = json!({"id": id, "tool": "sleepy__steps", "agent": "local", "state": "succeeded", "lane": "sleepy",
                          "priority": 5, "source": "submit", "error": null});
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(job[key], *value, "{key}");
    }
    let result = &job["result"];
    assert_eq!(
        (&result["is_error"], result["text"].as_str().unwrap()),
        (&json!(false), output["text"].as_str().unwrap().trim())
    );
    let attempt = &job["attempts"][0];
    assert_eq!(
        (&attempt["n"], &attempt["outcome"], &attempt["error"]),
        (&json!(1), &json!("succeeded"), &json!(null))
    );
    assert!(
        attempt["worker"].as_str().unwrap().starts_with("w-"),
        "{attempt}"
    );
    let times: Vec<_> = [
        &job["created_at"],
        &attempt["started_at"],
        &attempt["ended_at"],
        &job["finished_at"],
    ]
    .map(|time| time.as_i64().unwrap())
    .to_vec();
    assert!(times.is_sorted(), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_newest_first_and_filtered() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let mut ids = Vec::new();
    for (tool, arguments) in [
        ("demo_text__echo", json!({"message": "a"})),
        ("awkward__silent-fail", json!({})),
        ("demo_math__coin_flip", json!({})),
    ] {
        ids.push(job_of(&client.call(tool, arguments).await));
    }
    let [echo, failed, coin] = ids.try_into().unwrap();
    for (filter, expected) in [
        (json!({}), vec![&coin, &failed, &echo]),
        (json!({"limit": 2}), vec![&coin, &failed]),
        (json!({"state": "failed"}), vec![&failed]),
        (json!({"tool": "demo_text__echo"}), vec![&echo]),
        (json!({"lane": "awkward"}), vec![&failed]),
        (
            json!({"state": "succeeded", "tool": "awkward__silent-fail"}),
            vec![],
        ),
        (
            json!({"agent": "local", "state": "succeeded"}),
            vec![&coin, &echo],
        ),
    ] {
        let listing = client.json("jobs__list", filter.clone()).await;
        let found: Vec<_> = listing["jobs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|job| job["id"].as_str().unwrap())
            .collect();
        assert_eq!(found, expected, "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_gives_the_same_job() {
    let mut world = World::new().with("MCP_API_KEY", "secret");
    let _roles = [world.api(), world.worker()];
    world.wait_for_tools();
    let client = world.client().await;
    let journal = world.outside("journal");
    let nap = json!({"seconds": 0, "journal": journal, "label": "once"});

    // In _meta, where a call is repeated and waited for …
    let by_meta = async |arguments: &Value| {
        let mut params = CallToolRequestParams::new("sleepy__once-nap")
            .with_arguments(arguments.as_object().unwrap().clone());
        let mut meta = RequestMetaObject::new();
        meta.0
            .0
            .insert("smcp/idempotency-key".to_owned(), json!("deed-1"));
        params.meta = Some(meta);
        client.0.call_tool(params).await.unwrap()
    };
    let (first, second) = (by_meta(&nap).await, by_meta(&nap).await);
    let job = job_of(&first);
    assert_eq!(
        (job_of(&second), &second.content),
        (job.clone(), &first.content)
    );

    // … in the header …
    let mut session = Session::open(&world, Transport::StreamableHttp).await;
    let call = json!({"jsonrpc": "2.0", "id": 99, "method": "tools/call", "params": {"name": "sleepy__once-nap", "arguments": nap}});
    let reply = crate::http::send(
        session
            .request()
            .header("idempotency-key", "deed-1")
            .body(call.to_string()),
    )
    .await;
    assert_eq!(reply.json()["result"]["_meta"]["smcp/job"], job);

    // … and in jobs__submit; an equal number and the other spelling of a name are the same arguments.
    let submit = |arguments: Value| json!({"tool": "sleepy__once-nap", "idempotency_key": "deed-1", "arguments": arguments});
    let same = json!({"label": "once", "journal": journal, "seconds": 0});
    let again = client.json("jobs__submit", submit(same)).await;
    assert_eq!(
        again,
        json!({"id": job, "state": "succeeded", "existing": true})
    );
    assert_eq!(runs(&journal), 1);

    let other = json!({"seconds": 0, "journal": journal, "label": "another"});
    for refused in [
        by_meta(&other).await,
        client.call("jobs__submit", submit(other.clone())).await,
    ] {
        let message = format!(
            "Idempotency key 'deed-1' was used for job {job}, which has another tool or other arguments."
        );
        assert_eq!(
            failure_of(&refused),
            ("idempotency_conflict".to_owned(), message)
        );
        assert_eq!(refused.structured_content.unwrap()["error"]["job"], job);
    }
    let conflict = session
        .call(
            "jobs__submit",
            json!({"tool": "demo_math__coin_flip", "idempotency_key": "deed-1"}),
        )
        .await;
    assert_eq!(
        conflict["structuredContent"]["error"]["code"],
        "idempotency_conflict"
    );
    assert_eq!(runs(&journal), 1);

    // A key is the agent's own.
    let legacy = world.client_with_key("secret").await;
    let theirs = legacy.json("jobs__submit", submit(other)).await;
    assert_eq!(theirs["existing"], false);
    legacy.json("jobs__wait", json!({"id": theirs["id"]})).await;
    assert_eq!(runs(&journal), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_not_run_before_its_time() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let submit = async |when: Value| {
        let mut request = json!({"tool": "demo_math__coin_flip"});
        request
            .as_object_mut()
            .unwrap()
            .extend(when.as_object().unwrap().clone());
        client.call("jobs__submit", request).await
    };
    let id = |answer: &rmcp::model::CallToolResult| {
        answer.structured_content.as_ref().unwrap()["id"].clone()
    };

    // By this clock, which the server reads later.
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let delayed = id(&submit(json!({"delay_s": 0.5})).await);
    let past = id(&submit(json!({"run_at": "2020-02-29T12:00:00+01:00"})).await);
    let future = id(&submit(json!({"run_at": "2999-12-31T23:59:59Z"})).await);
    let past = client.json("jobs__wait", json!({"id": past})).await;
    assert_eq!(past["state"], "succeeded");
    let delayed = client.json("jobs__wait", json!({"id": delayed})).await;
    assert_eq!(delayed["state"], "succeeded");
    let time = |value: &Value| value.as_i64().unwrap();
    let due = before + Duration::from_millis(500);
    assert!(u128::from(delayed["run_at"].as_u64().unwrap()) >= due.as_millis());
    assert!(time(&delayed["attempts"][0]["started_at"]) >= time(&delayed["run_at"]));
    let future = client
        .json("jobs__wait", json!({"id": future, "timeout_s": 0.1}))
        .await;
    assert_eq!(
        (&future["state"], &future["done"], &future["attempts"]),
        (&json!("queued"), &json!(false), &json!([]))
    );

    for (when, expected) in [
        (
            json!({"run_at": "2030-01-01T00:00:00Z", "delay_s": 1}),
            "Only one of 'run_at' and 'delay_s' can be given.",
        ),
        (
            json!({"run_at": "tomorrow"}),
            "argument 'run_at': 'tomorrow' is not an RFC 3339 instant",
        ),
        (
            json!({"run_at": "2030-02-30T00:00:00Z"}),
            "is not an RFC 3339 instant",
        ),
        (json!({"delay_s": -1}), "argument 'delay_s'"),
        (json!({"priority": 101}), "argument 'priority'"),
        (
            json!({"tool": "jobs__list"}),
            "jobs__list is a built-in tool",
        ),
    ] {
        let (code, message) = failure_of(&submit(when).await);
        assert_eq!(code, "invalid_arguments");
        assert!(message.contains(expected), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn higher_priorities_run_first_and_equal_ones_in_order() {
    let (world, [_api, worker]) = World::running();
    worker.kill();
    let client = world.client().await;
    let journal = world.outside("journal");
    let mut last = Value::Null;
    for (label, plugin, priority) in [
        ("1", "sleepy", 0),
        ("2", "sleepy2", -100),
        ("3", "sleepy", 100),
        ("4", "sleepy2", 0),
        ("5", "sleepy", 1),
        ("6", "sleepy", 0),
    ] {
        let arguments = json!({"seconds": 0, "journal": journal, "label": label});
        let request =
            json!({"tool": format!("{plugin}__nap"), "arguments": arguments, "priority": priority});
        let submitted = client.json("jobs__submit", request).await;
        if priority == -100 {
            last = submitted["id"].clone();
        }
    }
    let _worker = world.worker();
    let ended = client.json("jobs__wait", json!({"id": last})).await;
    assert_eq!(ended["state"], "succeeded");
    let lines = fs::read_to_string(&journal).unwrap();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let started: String = lines
        .filter(|line| line["event"] == "start")
        .map(|line| line["label"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(started, "351462");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_ends_and_says_who_and_why() {
    let (world, _roles) = World::running();
    let client = world.client().await;

    let waiting = client
        .json(
            "jobs__submit",
            json!({"tool": "demo_math__coin_flip", "delay_s": 3600}),
        )
        .await["id"]
        .clone();
    assert_eq!(
        client.json("jobs__cancel", json!({"id": waiting})).await,
        json!({"id": waiting, "state": "cancelled"})
    );

    let lockfile = world.outside("lock");
    let running = client
        .json(
            "jobs__submit",
            json!({"tool": "awkward__mute", "arguments": {"lockfile": lockfile}}),
        )
        .await["id"]
        .clone();
    crate::world::eventually("the plugin runs", || lockfile.exists().then_some(()));
    let told = client
        .json(
            "jobs__cancel",
            json!({"id": running, "reason": "no longer needed"}),
        )
        .await;
    assert_eq!(told, json!({"id": running, "state": "running"}));
    let job = client.json("jobs__wait", json!({"id": running})).await;
    assert_eq!(
        (&job["state"], &job["done"]),
        (&json!("cancelled"), &json!(true))
    );
    assert!(!processes::is_locked(&lockfile));
    assert_eq!(
        (&job["cancel"]["by"], &job["cancel"]["reason"]),
        (&json!("local"), &json!("no longer needed"))
    );
    assert_eq!(job["attempts"][0]["outcome"], "stopped");
    assert_eq!(job["result"]["structured"]["error"]["code"], "cancelled");
    let output = client.json("jobs__output", json!({"id": running})).await;
    assert_eq!(
        output["text"], "the last words\n",
        "what it said before stays"
    );

    // What has ended stays as it is.
    let again = client.json("jobs__cancel", json!({"id": running})).await;
    assert_eq!(again["state"], "cancelled");
    let done = job_of(&client.call("demo_math__coin_flip", json!({})).await);
    assert_eq!(
        client.json("jobs__cancel", json!({"id": done})).await["state"],
        "succeeded"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_name_no_job_are_refused() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    for tool in [
        "jobs__get",
        "jobs__wait",
        "jobs__output",
        "jobs__events",
        "jobs__cancel",
    ] {
        let unknown = "019a0000-0000-7000-8000-000000000000";
        let refused = client.call(tool, json!({"id": unknown})).await;
        assert_eq!(
            failure_of(&refused),
            (
                "no_such_job".to_owned(),
                format!("There is no job {unknown}.")
            )
        );
        let refused = client.call(tool, json!({"id": "latest"})).await;
        let (code, message) = failure_of(&refused);
        assert_eq!(code, "invalid_arguments");
        assert!(message.contains("latest"), "{message}");
    }
}

/// The kinds of a job's events, page by page, until it has ended.
async fn kinds(client: &Client, id: &str) -> Vec<String> {
    let (mut kinds, mut after) = (Vec::new(), 0);
    loop {
        let news = client
            .json(
                "jobs__events",
                json!({"id": id, "after": after, "limit": 2, "wait_s": 30}),
            )
            .await;
        for event in news["events"].as_array().unwrap() {
            let seq = event["seq"].as_i64().unwrap();
            assert!(seq > after && event["job"] == id, "{event}");
            after = seq;
            kinds.push(event["kind"].as_str().unwrap().to_owned());
        }
        assert_eq!(news["last"], after);
        if news["done"] == true {
            return kinds;
        }
    }
}

/// How many calls have left a journal entry.
fn runs(journal: &Path) -> usize {
    fs::read_to_string(journal)
        .unwrap()
        .lines()
        .filter(|line| line.contains("\"start\""))
        .count()
}
