//! Approvals: calls that wait for somebody's word, whose word counts, and what is approved of.

use std::fs;

use serde_json::{Value, json};

use crate::agents::said;
use crate::approvers::{approvals, approve, governed, listed, waiting, word};
use crate::http::{Events, Session, Transport, modern, send};
use crate::naps::Naps;
use crate::world::{World, failure_of};

/// Calls a tool and listens to what comes.
async fn call(session: &Session, tool: &str, arguments: Value) -> Events {
    let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": "p"}});
    let body = json!({"jsonrpc": "2.0", "id": 8, "method": "tools/call", "params": params});
    Events::of(
        session
            .request()
            .body(body.to_string())
            .send()
            .await
            .unwrap(),
    )
}

/// What is heard next: a message of progress, or the answer.
async fn heard(events: &mut Events) -> Result<String, Value> {
    let mut heard: Value = serde_json::from_str(&events.next().await).unwrap();
    match heard["params"]["message"].as_str() {
        Some(message) => Ok(message.to_owned()),
        None => Err(heard["result"].take()),
    }
}

/// The answer, whatever is heard before.
async fn answer(events: &mut Events) -> Value {
    loop {
        if let Err(answer) = heard(events).await {
            return answer;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_waits_for_those_whose_word_counts_and_for_nobody_else() {
    let (world, _roles, people, naps) = governed(World::new());
    let session = Session::open_as(&world, Transport::StreamableHttp, Some(&people.ci)).await;
    let mut called = call(&session, "sleepy__nap", naps.lasting(0.0, "once")).await;
    let said_first = heard(&mut called).await.unwrap();
    assert!(
        said_first.starts_with("The job waits for the approval of ops until "),
        "{said_first}"
    );

    let shown = waiting(&world);
    let (job, digest) = (word(&shown, "job"), word(&shown, "digest"));
    assert_eq!(world.state_of(&job), "awaiting_approval");
    assert_eq!(shown["arguments"], naps.lasting(0.0, "once"));
    assert_eq!(shown["rules"], json!(["asks-ops"]));
    assert_eq!(shown["may_approve"], false, "operators are not asked");
    let seen = said(&world, &["approvals", "show", &job]);
    for line in [
        format!("job        {job}\n"),
        "agent      ci\n".to_owned(),
        "tool       sleepy__nap\n".to_owned(),
        "label = \"once\"\n".to_owned(),
        "needs      1 of ops\n".to_owned(),
        format!("digest     {digest}\n"),
        "may not: only members of ops may approve of this job\n".to_owned(),
    ] {
        assert!(seen.contains(&line), "{line}: {seen}");
    }
    let (_, by_ann) = approvals(&world, &people.ann, &["list"]);
    let row = by_ann.lines().nth(1).unwrap();
    assert!(row.starts_with(&job) && row.ends_with("  yes"), "{by_ann}");
    assert_eq!(listed(&world, &people.ci)[0]["may_approve"], false);
    assert_eq!(listed(&world, &people.eve), [Value::Null; 0]);
    let (code, hidden) = approvals(&world, &people.eve, &["show", &job]);
    assert!(code == 1 && hidden.contains("or not for yours"), "{hidden}");

    let mut refusals = Vec::new();
    let operator = fs::read_to_string(world.path("operator.key")).unwrap();
    for (key, expected) in [
        (&*people.ci, "approval_own_request"),
        (&people.eve, "approval_not_allowed"),
        (operator.trim(), "approval_not_allowed"),
    ] {
        let client = world.client_with_key(key).await;
        for tool in ["approvals__approve", "approvals__deny"] {
            let (code, _) = failure_of(&client.call(tool, json!({"job": job})).await);
            assert_eq!(code, expected, "{tool}");
            refusals.push(code);
        }
    }
    let other = "0".repeat(64);
    let (code, changed) = approvals(&world, &people.ann, &["approve", &job, "--digest", &other]);
    assert!(
        code == 1 && changed.contains("not what you have seen"),
        "{changed}"
    );
    refusals.push("approval_changed".to_owned());
    let (code, asked) = approvals(&world, &people.ann, &["approve", &job]);
    assert!(
        code == 2 && asked.contains("nobody can be asked here"),
        "{asked}"
    );
    assert_eq!(naps.lines().len(), 0, "nothing has been run");
    assert_eq!(world.state_of(&job), "awaiting_approval");

    let done = approvals(&world, &people.ann, &["approve", &job, "--digest", &digest]);
    assert_eq!(done, (0, format!("{job} is queued\n")));
    assert_eq!(
        heard(&mut called).await.unwrap(),
        "ann approved of the job (1 of 1)."
    );
    let result = answer(&mut called).await;
    assert_eq!(result["isError"], false, "{result}");
    let printed = result["content"][0]["text"].as_str().unwrap();
    assert!(printed.contains("once"), "{result}");
    assert_eq!(naps.told("once", "start").len(), 1);

    let (code, late) = approvals(&world, &people.ben, &["approve", &job, "--yes"]);
    assert!(
        code == 1 && late.contains("waits for nobody's approval"),
        "{late}"
    );
    refusals.push("approval_not_pending".to_owned());
    assert_eq!(
        said(&world, &["approvals", "list"]),
        "Nothing waits for an approval.\n"
    );
    let mut recorded: Vec<_> = world
        .recorded("approval.refused")
        .iter()
        .map(|data| word(data, "code"))
        .collect();
    recorded.sort_unstable();
    refusals.sort_unstable();
    assert_eq!(recorded, refusals);
    let voted = world.recorded("approval.voted");
    assert_eq!((voted.len(), &voted[0]["digest"]), (1, &json!(digest)));
    assert_eq!(
        world.recorded("job.approved"),
        [json!({"by": ["ann"], "digest": digest})]
    );
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_is_not_run_and_its_caller_is_told_why() {
    let (world, _roles, people, naps) = governed(World::new());
    for transport in [Transport::Sse, Transport::StreamableHttp] {
        let mut session = Session::open_as(&world, transport, Some(&people.ci)).await;
        let nap = naps.lasting(0.0, "denied");
        let asked = tokio::spawn(async move { session.call("sleepy__nap", nap).await });
        let job = word(&waiting(&world), "job");
        let deny = ["deny", &job, "--reason", "not on a Friday", "--yes"];
        let done = approvals(&world, &people.ann, &deny);
        assert_eq!(done, (0, format!("{job} is denied\n")));
        let result = asked.await.unwrap();
        let error = &result["structuredContent"]["error"];
        assert_eq!(
            (&result["isError"], &error["code"], &error["message"]),
            (
                &json!(true),
                &json!("approval_denied"),
                &json!("ann did not approve of the job: not on a Friday")
            )
        );
        assert_eq!(world.state_of(&job), "denied");
        let (code, _) = approvals(&world, &people.ben, &["approve", &job, "--yes"]);
        assert_eq!(code, 1, "there is nothing to approve of any more");
    }
    assert_eq!(naps.lines().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_for_one_time() {
    let (world, _roles, people, naps) = governed(World::new());
    let ci = world.client_with_key(&people.ci).await;
    let job = ci.submit("sleepy__nap", naps.lasting(0.0, "again")).await;
    let deny = approvals(&world, &people.ann, &["deny", &job, "--yes"]);
    assert_eq!(deny.0, 0, "{deny:?}");
    said(&world, &["jobs", "retry", &job]);
    assert_eq!(world.state_of(&job), "awaiting_approval");
    approve(&world, &people.ann, &job, "queued");
    assert_eq!(ci.ended(&job).await["state"], "succeeded");
    assert_eq!(naps.told("again", "start").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_approves_of_in_time_is_not_run() {
    let (world, _roles, people, naps) = governed(World::new());
    said(&world, &["settings", "set", "approvals.expire_s", "1s"]);
    let mut session = Session::open_as(&world, Transport::Sse, Some(&people.ci)).await;
    let result = session.call("sleepy__nap", naps.lasting(0.0, "late")).await;
    let error = &result["structuredContent"]["error"];
    assert_eq!(
        (&result["isError"], &error["code"]),
        (&json!(true), &json!("approval_expired"))
    );
    let jobs = world.smcp_json(&["jobs", "list", "--state", "expired"]);
    let job = word(&jobs[0], "id");
    let (code, late) = approvals(&world, &people.ann, &["approve", &job, "--yes"]);
    assert!(
        code == 1 && late.contains("waits for nobody's approval"),
        "{late}"
    );
    assert_eq!(naps.lines().len(), 0);
    assert_eq!(
        world.recorded("job.not_approved"),
        [json!({"code": "approval_expired", "state": "expired"})]
    );
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_two_are_asked_one_is_not_enough() {
    let (world, _roles, people, naps) = governed(World::new());
    let ci = world.client_with_key(&people.ci).await;
    let job = ci
        .submit("sleepy__once-nap", naps.lasting(0.0, "two"))
        .await;
    approve(&world, &people.ann, &job, "awaiting approval");
    let (code, again) = approvals(&world, &people.ann, &["approve", &job, "--yes"]);
    assert!(
        code == 1 && again.contains("approved of this job already"),
        "{again}"
    );
    let (_, shown) = approvals(&world, &people.ben, &["list"]);
    assert!(shown.contains("  1 of 2  "), "{shown}");
    let reasons = ci.json("jobs__get", json!({"id": job})).await["waiting"].take();
    let reason = reasons[0]["message"].as_str().unwrap();
    assert!(
        reason.starts_with(
            "It needs the approval of 2, 1 of whom have approved of it already, of ops until"
        ),
        "{reason}"
    );
    assert_eq!(naps.lines().len(), 0);
    approve(&world, &people.ben, &job, "queued");
    assert_eq!(ci.ended(&job).await["state"], "succeeded");
    assert_eq!(
        world.recorded("job.approved")[0]["by"],
        json!(["ann", "ben"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_rules_what_destroys_waits_for_an_operator() {
    let (world, _roles) = World::running();
    let naps = Naps::of(&world);
    let client = world.client().await;
    let job = client
        .submit("sleepy__wipe", naps.lasting(0.0, "wiped"))
        .await;
    let shown = waiting(&world);
    assert_eq!(
        (&shown["agent"], &shown["groups"]),
        (&json!("local"), &json!(["operators"]))
    );
    assert_eq!(shown["may_approve"], true);
    assert_eq!(world.state_of(&job), "awaiting_approval");
    let own = client.call("approvals__approve", json!({"job": job})).await;
    assert_eq!(failure_of(&own).0, "approval_own_request");
    assert_eq!(naps.lines().len(), 0);
    assert_eq!(
        said(&world, &["approvals", "approve", &job, "--yes"]),
        format!("{job} is queued\n")
    );
    assert_eq!(client.ended(&job).await["state"], "succeeded");
    assert_eq!(naps.told("wiped", "start").len(), 1);
    let at_once = said(&world, &["call", "sleepy__wipe", "seconds=0", "label=mine"]);
    assert!(at_once.contains("mine"), "operators need nobody: {at_once}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_and_an_approval_outlive_every_process() {
    let (mut world, [api, worker], people, naps) = governed(World::new());
    let ci = world.client_with_key(&people.ci).await;
    let job = ci.submit("sleepy__nap", naps.lasting(0.0, "kept")).await;
    let before = waiting(&world);
    api.kill();
    worker.kill();
    let api = world.api();
    let after = waiting(&world);
    assert_eq!(
        (&after["job"], &after["digest"]),
        (&json!(job), &before["digest"])
    );
    approve(&world, &people.ann, &job, "queued");
    api.kill();
    let _roles = [world.api(), world.worker()];
    let ci = world.client_with_key(&people.ci).await;
    assert_eq!(ci.ended(&job).await["state"], "succeeded");
    assert_eq!(naps.told("kept", "start").len(), 1);
    assert_eq!(
        world.recorded("approval.requested").len(),
        1,
        "it was asked once"
    );
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_waits_for_an_approval_says_so() {
    let world = World::new();
    world.configure("[calls]\ntask_after_s = 0.2\n");
    let (world, _roles, people, naps) = governed(world);
    let tasks = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    let ask = async |method: &str, name: &str, params: Value| {
        let asked = modern(&world, method, Some(name), params, &tasks).bearer_auth(&people.ci);
        send(asked).await.json()["result"].take()
    };
    let arguments = naps.lasting(0.0, "task");
    let params = json!({"name": "sleepy__nap", "arguments": arguments});
    let created = ask("tools/call", "sleepy__nap", params).await;
    assert_eq!(
        (&created["resultType"], &created["status"]),
        (&json!("task"), &json!("input_required"))
    );
    let id = created["taskId"].as_str().unwrap();
    let task = ask("tasks/get", id, json!({"taskId": id})).await;
    assert_eq!(
        (&task["status"], &task["inputRequests"]),
        (&json!("input_required"), &json!({}))
    );
    let message = task["statusMessage"].as_str().unwrap();
    assert!(
        message.starts_with("It waits: it needs the approval of ops until "),
        "{message}"
    );
    approve(&world, &people.ann, id, "queued");
    let ci = world.client_with_key(&people.ci).await;
    ci.ended(id).await;
    let task = ask("tasks/get", id, json!({"taskId": id})).await;
    assert_eq!(task["status"], "completed", "{task}");
    let printed = task["result"]["content"][0]["text"].as_str().unwrap();
    assert!(printed.contains("task"), "{task}");
}
