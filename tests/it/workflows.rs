//! Workflows, through the running binary: the worked example of docs/workflows.md both ways, what is refused, what is
//! cancelled, and what `kill -9` may not do to them.

use std::fs;

use serde_json::{Value, json};

use crate::naps::Naps;
use crate::world::{Client, PATIENCE, Role, World, failure_of, text};

/// The example of the guide with a shop that notes what happens to it; its checks, 20 seconds apart, are made to come faster here.
const EXAMPLE: &str = include_str!("workflows/shop.toml");

#[test]
fn a_healthy_deployment_succeeds() {
    let (world, _roles) = shop();
    let (code, out, err) = submit(&world, "2.0");
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(
        journal(&world),
        ["deploy 2.0 1", "health 2.0", "health 2.0", "health 2.0"]
    );
    assert_eq!(fs::read_to_string(world.outside("shop")).unwrap(), "2.0");

    let id = out
        .lines()
        .next()
        .unwrap()
        .strip_prefix("workflow ")
        .unwrap();
    let shown = text(&world.smcp(&["workflows", "show", id]).stdout);
    for line in [
        "name       shop 2.0",
        "state      succeeded",
        "before  succeeded  shop__version  ",
        "└─ deploy  succeeded  shop__deploy  ",
        "verified by 3 of 5 shop__health: 3 succeeded",
        "   ├─ check 1  succeeded  ",
        "   ├─ check 3  succeeded  ",
        "   └─ rollback  skipped  shop__deploy  at the failure of deploy",
    ] {
        assert!(shown.contains(line), "{line:?} is not in\n{shown}");
        assert!(out.contains(line), "{line:?} is not in\n{out}");
    }
    assert!(out.contains(" deploy check 2: succeeded\n"), "{out}");

    let workflow = world.smcp_json(&["workflows", "show", id]);
    let deploy = step(&workflow, "deploy");
    assert_eq!(deploy["needs"], json!(["before"]));
    assert_eq!(deploy["attempts"][0]["outcome"], "succeeded");
    let job = world.smcp_json(&["jobs", "show", deploy["job"].as_str().unwrap()]);
    assert_eq!(
        (&job["source"], &job["origin"]),
        (
            &json!("workflow"),
            &json!({"workflow": id, "step": "deploy"})
        )
    );
    let listed = world.smcp_json(&["workflows", "list"]);
    assert_eq!(
        (&listed[0]["id"], &listed[0]["state"]),
        (&json!(id), &json!("succeeded"))
    );
    assert_eq!(
        world.smcp_json(&["workflows", "list", "--state", "failed"]),
        json!([])
    );
    world.assert_sound();
}

#[test]
fn three_of_five_are_enough() {
    let (world, _roles) = shop();
    let (code, out, err) = submit(&world, "2.0-flaky");
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(journal(&world).len(), 1 + 5, "{out}");
    assert!(out.contains("check 4  failed"), "{out}");
}

#[test]
fn an_unhealthy_deployment_is_rolled_back_to_the_version_before() {
    let (world, _roles) = shop();
    let (code, out, err) = submit(&world, "2.0-broken");
    assert_eq!(code, 1, "{out}{err}");
    // Two more could not make three of five.
    assert_eq!(
        journal(&world),
        [
            "deploy 2.0-broken 1",
            "health 2.0-broken",
            "health 2.0-broken",
            "health 2.0-broken",
            "deploy 1.0 1"
        ]
    );
    assert_eq!(fs::read_to_string(world.outside("shop")).unwrap(), "1.0");
    for line in [
        "state      failed",
        "why        step_failed: Step 'deploy' failed (verification_failed): 3 of at most 5 checks with shop__health failed, \
         so that 3 cannot succeed. Then 'rollback' was run, and succeeded.",
        "└─ deploy  failed  shop__deploy  ",
        "   └─ rollback  succeeded  shop__deploy  ",
    ] {
        assert!(out.contains(line), "{line:?} is not in\n{out}");
    }
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_is_refused_at_once_and_nothing_is_stored() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let rows = [
        (
            json!([
                {"id": "a", "tool": "demo_text__echo", "arguments": {"message": "x"}, "needs": ["c"]},
                {"id": "b", "tool": "demo_text__echo", "arguments": {"message": "${steps.a.result}"}},
                {"id": "c", "tool": "demo_text__echo", "arguments": {"message": "x"}, "needs": ["b"]},
            ]),
            "steps[0].needs: the steps wait for each other in a cycle: a → c → b → a.",
        ),
        (
            json!([
                {"id": "build", "tool": "demo_text__echo", "arguments": {"message": "x"}},
                {"id": "b", "tool": "demo_text__echo", "arguments": {"message": "v${steps.biuld.result.version}"}},
            ]),
            "steps[1].arguments.message: ${steps.biuld.result.version}: there is no step 'biuld'; did you mean 'build'?",
        ),
        (
            json!([
                {"id": "a", "tool": "demo_text__echo", "arguments": {"message": "x"}, "on_failure": "run:undo"},
                {"id": "b", "tool": "demo_text__echo", "arguments": {"message": "${steps.a.error.message}"}},
                {"id": "undo", "tool": "demo_text__echo", "arguments": {"message": "${steps.b.result}"}},
            ]),
            "steps[1].arguments.message: ${steps.a.error.message}: 'a' need not have failed when 'b' begins; only a step that is \
             run at its failure (on_failure = \"run:…\") can refer to its error. steps[2].arguments.message: ${steps.b.result}: \
             'b' need not have run when 'a' fails; let the step that fails need it.",
        ),
        (
            json!([
                {"id": "a", "tool": "demo_text__ecko", "arguments": {"message": "x"}},
                {"id": "b", "tool": "demo_text__echo", "arguments": {"massage": "${steps.a.result}"}},
                {"id": "c", "tool": "jobs__list"},
            ]),
            "steps[0].tool: There is no tool 'demo_text__ecko'; there are: demo_",
        ),
        (
            json!([{"id": "a", "tool": "demo_text__echo", "arguments": {"message": 7}}]),
            "steps[0].arguments: ",
        ),
        (
            json!([{"id": "a", "tool": "demo_text__echo", "arguments": {"message": "x"},
                    "verify": {"tool": "demo_text__echo", "arguments": {"message": "y"}, "every": 1, "need": 6, "of": 5, "deadline": 1}}]),
            "steps[0].verify.need: it must be 1 to 'of', which is 5.",
        ),
        (
            json!([{"id": "a", "tool": "demo_text__echo", "arguments": {"message": "x"}, "on_failure": "panic"}]),
            "steps[0]: on_failure is \"stop\", \"continue\" or \"run:STEP\", but not 'panic'",
        ),
    ];
    for (steps, expected) in rows {
        let refused = client
            .call("workflows__submit", json!({"steps": steps}))
            .await;
        let (code, message) = failure_of(&refused);
        assert_eq!(code, "invalid_workflow", "{message}");
        assert!(
            message.contains(expected),
            "{expected}\nis not in\n{message}"
        );
        assert!(message.starts_with("The workflow cannot run, and has not been recorded. "));
    }
    let file = world.path("cycle.toml");
    let cycle = "[[steps]]\nid = 'a'\ntool = 'demo_text__echo'\narguments = { message = 'x' }\nneeds = ['a']\n";
    fs::write(&file, cycle).unwrap();
    let refused = world.smcp(&["workflows", "submit", file.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(
        said.contains("steps[0].needs[0]: a step cannot wait for itself."),
        "{said}"
    );
    fs::write(&file, "[[steps]\n").unwrap();
    let refused = world.smcp(&["workflows", "submit", file.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));

    // A tool that the agent has detached is not allowed in a workflow either.
    client
        .json(
            "sanctum__tools",
            json!({"action": "detach", "tool": "demo_text__echo"}),
        )
        .await;
    let steps = json!([{"id": "a", "tool": "demo_text__echo", "arguments": {"message": "x"}}]);
    let denied = client
        .call("workflows__submit", json!({ "steps": steps }))
        .await;
    let error = &denied.structured_content.as_ref().unwrap()["error"];
    assert_eq!(error["code"], "tool_not_attached", "{denied:?}");
    let denials = "SELECT count(*) FROM audit WHERE kind = 'call.denied'";
    let denials: i64 = world
        .sql()
        .query_row(denials, [], |row| row.get(0))
        .unwrap();
    assert_eq!(denials, 1);

    for table in ["workflows", "workflow_steps", "jobs"] {
        let count = format!("SELECT count(*) FROM {table}");
        let rows: i64 = world.sql().query_row(&count, [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_gives_one_workflow_and_agents_see_their_own() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let submit = |message: &str| {
        json!({"idempotency_key": "k", "steps": [
            {"id": "a", "tool": "demo_text.echo", "arguments": {"message": message}},
            {"id": "b", "tool": "demo_text__echo", "arguments": {"message": "${steps.a.state}: $${steps.a.state}"}},
        ]})
    };
    let first = client.json("workflows__submit", submit("x")).await;
    let again = client.json("workflows__submit", submit("x")).await;
    assert_eq!(
        (&first["id"], &first["existing"], &again["existing"]),
        (&again["id"], &json!(false), &json!(true))
    );
    let (code, _) = failure_of(&client.call("workflows__submit", submit("y")).await);
    assert_eq!(code, "idempotency_conflict");

    let id = first["id"].as_str().unwrap();
    let workflow = ended(&client, id).await;
    assert_eq!(workflow["state"], "succeeded", "{workflow}");
    assert_eq!(step(&workflow, "a")["tool"], "demo_text__echo");
    let job = client
        .ended(step(&workflow, "b")["job"].as_str().unwrap())
        .await;
    assert_eq!(job["arguments"]["message"], "succeeded: ${steps.a.state}");

    // The command shows the operator's key, and the operator sees everybody's.
    assert_eq!(world.smcp_json(&["workflows", "list"])[0]["id"], id);
    let file = world.path("own.json");
    let own =
        json!({"steps": [{"id": "a", "tool": "demo_text__echo", "arguments": {"message": "x"}}]});
    fs::write(&file, own.to_string()).unwrap();
    let own = world.smcp_json(&["workflows", "submit", file.to_str().unwrap()]);
    let others = client
        .call("workflows__get", json!({"id": own["id"]}))
        .await;
    assert_eq!(failure_of(&others).0, "no_such_workflow");
    let listed = client.json("workflows__list", json!({})).await;
    assert_eq!(listed["workflows"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_workflow_stops_what_runs_and_begins_nothing() {
    let (world, _roles) = World::running();
    let (client, naps) = (world.client().await, Naps::of(&world));
    let submitted = client
        .json(
            "workflows__submit",
            json!({"steps": [
                {"id": "first", "tool": "sleepy__nap", "arguments": naps.lasting(0.0, "first")},
                {"id": "long", "tool": "sleepy__nap", "arguments": naps.until_open("long"), "needs": ["first"],
                 "on_failure": "run:undo"},
                {"id": "after", "tool": "sleepy__nap", "arguments": naps.lasting(0.0, "after"), "needs": ["long"]},
                {"id": "undo", "tool": "sleepy__nap", "arguments": naps.lasting(0.0, "undo")},
            ]}),
        )
        .await;
    let id = submitted["id"].as_str().unwrap();
    let running = naps.started("long");
    let cancelled = world.smcp(&["workflows", "cancel", id, "--reason", "wrong branch"]);
    assert_eq!(text(&cancelled.stdout), "it is being stopped\n");
    let workflow = ended(&client, id).await;
    running.wait_for_death();
    assert_eq!(workflow["state"], "cancelled", "{workflow}");
    assert_eq!(workflow["error"]["code"], "workflow_cancelled");
    assert_eq!(
        (&workflow["cancel"]["by"], &workflow["cancel"]["reason"]),
        (&json!("operator"), &json!("wrong branch"))
    );
    assert_eq!(
        states(&workflow),
        ["succeeded", "cancelled", "skipped", "skipped"]
    );
    assert!(naps.told("after", "start").is_empty() && naps.told("undo", "start").is_empty());
    let again = client.json("workflows__cancel", json!({"id": id})).await;
    assert_eq!(again["state"], "cancelled");
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_begins_once_whatever_dies() {
    let (mut world, [mut api, mut worker]) = World::running();
    let (client, naps) = (world.client().await, Naps::of(&world));
    let mut steps =
        vec![json!({"id": "s0", "tool": "sleepy__once-nap", "arguments": naps.lasting(0.0, "s0")})];
    for n in 1..12 {
        steps.push(json!({
            "id": format!("s{n}"), "tool": "sleepy__nap", "needs": [format!("s{}", n - 1)],
            "arguments": naps.lasting(0.05, &format!("s{n}")),
        }));
    }
    // What must not be repeated counts as failed where its worker dies; here, the others go on all the same.
    steps.push(json!({
        "id": "once", "tool": "sleepy2__once-nap", "arguments": naps.until_open("once"), "needs": ["s11"],
        "on_failure": "continue",
    }));
    steps.push(json!({
        "id": "last", "tool": "sleepy2__once-nap", "arguments": naps.lasting(0.0, "last"), "needs": ["once"],
    }));
    let submitted = client
        .json("workflows__submit", json!({ "steps": steps }))
        .await;
    let id = submitted["id"].as_str().unwrap().to_owned();
    for n in [2, 5, 9] {
        naps.started(&format!("s{n}"));
        worker.kill();
        if n == 5 {
            api.kill();
            api = world.api();
        }
        worker = world.worker();
    }
    let once = naps.started("once");
    worker.kill();
    once.wait_for_death();
    let _worker = world.worker();
    let client = world.client().await;
    let workflow = ended(&client, &id).await;
    assert_eq!(workflow["state"], "succeeded", "{workflow}");
    let once = step(&workflow, "once");
    assert_eq!(
        (&once["state"], &once["job_state"], &once["error"]["code"]),
        (
            &json!("failed"),
            &json!("outcome_unknown"),
            &json!("outcome_unknown")
        )
    );
    assert_eq!(step(&workflow, "last")["state"], "succeeded");
    let sql = world.sql();
    let jobs: i64 = sql
        .query_row("SELECT count(*) FROM jobs", [], |row| row.get(0))
        .unwrap();
    assert_eq!(jobs, 14, "one job a step");
    for label in ["s0", "once", "last"] {
        assert_eq!(naps.told(label, "start").len(), 1, "{label}");
    }
    drop(api);
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_without_what_is_referred_to_fails_the_step() {
    let (world, _roles) = shop();
    let client = world.client().await;
    let steps = json!([
        {"id": "before", "tool": "shop__version"},
        {"id": "all", "tool": "shop__deploy", "on_failure": "continue",
         "arguments": {"version": "${steps.before.result.versions[3]}"}},
        {"id": "typed", "tool": "shop__deploy", "on_failure": "continue",
         "arguments": {"version": "v${steps.before.result.versions[0]}", "replicas": "${steps.before.result.version}"}},
        {"id": "end", "tool": "shop__version", "needs": ["all", "typed"]},
    ]);
    let submitted = client
        .json("workflows__submit", json!({ "steps": steps }))
        .await;
    let workflow = ended(&client, submitted["id"].as_str().unwrap()).await;
    assert_eq!(
        states(&workflow),
        ["succeeded", "failed", "failed", "succeeded"]
    );
    assert_eq!(workflow["state"], "succeeded");
    let error = &step(&workflow, "all")["error"];
    assert_eq!(error["code"], "unresolved_reference");
    assert_eq!(
        error["message"],
        "${steps.before.result.versions[3]} leads nowhere: result.versions has no element [3]."
    );
    let error = &step(&workflow, "typed")["error"];
    assert_eq!(error["code"], "invalid_arguments", "{error}");
    assert_eq!(
        error["message"],
        "Step 'typed' cannot call shop__deploy: argument 'replicas': it must be of type integer."
    );
    assert!(journal(&world).is_empty());
}

/// A world with a shop at version 1.0.
fn shop() -> (World, [Role; 2]) {
    let world = World::new();
    let settings = "[plugins]\npass_env = [\"SHOP_STATE\"]\n";
    world.configure(settings);
    world.write_outside("shop", "1.0");
    let state = world.outside("shop").to_str().unwrap().to_owned();
    world.with("SHOP_STATE", state).started()
}

fn submit(world: &World, version: &str) -> (i32, String, String) {
    submit_example(world, EXAMPLE, version)
}

/// Submits an example with another version and fast checks, and waits for its end.
pub(crate) fn submit_example(world: &World, example: &str, version: &str) -> (i32, String, String) {
    assert!(example.contains("version = \"2.0\"") && example.contains("every = 20\n"));
    let definition = example
        .replace("version = \"2.0\"", &format!("version = \"{version}\""))
        .replace("every = 20\n", "every = 0.05\n");
    let file = world.path("deploy.toml");
    fs::write(&file, definition).unwrap();
    let output = world.smcp(&["workflows", "submit", file.to_str().unwrap(), "--wait"]);
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn journal(world: &World) -> Vec<String> {
    let journal = fs::read_to_string(world.outside("shop.journal")).unwrap_or_default();
    journal.lines().map(ToOwned::to_owned).collect()
}

/// Waits for the end of a workflow, and answers it.
pub(crate) async fn ended(client: &Client, id: &str) -> Value {
    let mut question = json!({"id": id, "wait_s": 0});
    for _ in 0..1_000 {
        let workflow = client.json("workflows__get", question).await;
        if workflow["state"] != "running" {
            return workflow;
        }
        question = json!({"id": id, "after": workflow["revision"], "wait_s": PATIENCE.as_secs()});
    }
    panic!("workflow {id} has changed a thousand times and not ended")
}

fn step<'w>(workflow: &'w Value, id: &str) -> &'w Value {
    let steps = workflow["steps"].as_array().unwrap();
    steps.iter().find(|step| step["id"] == id).unwrap()
}

fn states(workflow: &Value) -> Vec<&str> {
    let steps = workflow["steps"].as_array().unwrap().iter();
    steps.map(|step| step["state"].as_str().unwrap()).collect()
}
