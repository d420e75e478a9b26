//! Approvals: calls that wait for somebody's word, whose word counts, and what is approved of.

use std::fs;
use std::path::PathBuf;

use reqwest::Method;
use serde_json::{Value, json};

use crate::agents::{added, said};
use crate::http::{Events, Reply, Session, Transport, modern, request, send};
use crate::naps::Naps;
use crate::world::{Client, Role, World, eventually, failure_of, text};

/// What `ci` may do, and whose approval it needs.
const RULES: &str = r#"
@id("asks-ops")
@requireApproval("ops")
permit (principal == Smcp::Agent::"ci", action == Smcp::Action::"sleepy__nap", resource);

@id("asks-two")
@requireApproval("ops")
@approvals("2")
permit (principal == Smcp::Agent::"ci", action == Smcp::Action::"sleepy__once-nap", resource);

@id("asks-nobody")
permit (principal == Smcp::Agent::"ci", action == Smcp::Action::"sleepy__steps", resource);

@id("asks-nobody-either")
permit (principal == Smcp::Agent::"ci", action == Smcp::Action::"sleepy__held-nap", resource);
"#;

impl World {
    /// Puts these rules in force, and waits until they are.
    pub(crate) fn govern(&self, rules: &str) {
        let changes = || -> i64 {
            let count = "SELECT count(*) FROM audit WHERE kind = 'policy.changed'";
            self.sql().query_row(count, [], |row| row.get(0)).unwrap()
        };
        let (before, directory) = (changes(), self.path("policies"));
        fs::create_dir_all(&directory).unwrap();
        let draft = directory.join(".draft");
        fs::write(&draft, rules).unwrap();
        fs::rename(draft, directory.join("rules.cedar")).unwrap();
        eventually("the rules are in force", || {
            (changes() > before).then_some(())
        });
    }

    /// The same tools from a directory that a test may change: the plugin `sleepy` alone.
    fn with_own_plugin(self) -> Self {
        let plugins = self.path("plugins");
        fs::create_dir_all(plugins.join("sleepy")).unwrap();
        let world = self.with_plugins(plugins.display().to_string());
        world.write_sleepy("");
        world
    }

    /// Writes that plugin, with something more at its end.
    fn write_sleepy(&self, more: &str) {
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/plugins/sleepy");
        let program = fs::read_to_string(source.join("cli.py")).unwrap() + more;
        let draft = self.path("plugins/sleepy/.draft");
        fs::write(&draft, program).unwrap();
        fs::rename(draft, self.path("plugins/sleepy/cli.py")).unwrap();
    }

    /// Changes that plugin, and waits until that has been noticed.
    fn change_sleepy(&self, more: &str) {
        let digest = || self.smcp_json(&["plugins", "list"])["plugins"][0]["digest"].take();
        let before = digest();
        self.write_sleepy(more);
        eventually("the change has been noticed", || {
            (digest() != before).then_some(())
        });
    }

    /// Where a job stands.
    fn state_of(&self, job: &str) -> String {
        let shown = self.smcp_json(&["jobs", "show", job]);
        shown["state"].as_str().unwrap().to_owned()
    }

    /// Waits until a job stands there.
    fn wait_for_state(&self, job: &str, state: &str) {
        eventually(&format!("the job is {state}"), || {
            (self.state_of(job) == state).then_some(())
        });
    }

    /// The data of the audit records of one kind.
    fn recorded(&self, kind: &str) -> Vec<Value> {
        let found = self.smcp_json(&["audit", "search", "--kind", kind]);
        let found = found.as_array().unwrap().iter();
        found.map(|record| record["data"].clone()).collect()
    }
}

/// Who takes part: `ci` asks, `ann` and `ben` approve with it in one group, and `eve` is in none. The keys.
struct People {
    ci: String,
    ann: String,
    ben: String,
    eve: String,
}

impl People {
    fn of(world: &World) -> Self {
        let ops = |name| added(world, &[name, "--group", "ops"]);
        Self {
            ci: ops("ci"),
            ann: ops("ann"),
            ben: ops("ben"),
            eve: added(world, &["eve"]),
        }
    }
}

/// A world under these rules.
fn governed(world: World) -> (World, [Role; 2], People, Naps) {
    let (world, roles) = world.started();
    world.govern(RULES);
    let (people, naps) = (People::of(&world), Naps::of(&world));
    (world, roles, people, naps)
}

/// What `smcp approvals` does with `key`: its exit code, and what it prints.
fn approvals(world: &World, key: &str, arguments: &[&str]) -> (i32, String) {
    let output = world.smcp(&[&["approvals"], arguments, &["--api-key", key]].concat());
    let printed = text(&output.stdout) + &text(&output.stderr);
    (output.status.code().unwrap(), printed)
}

/// Approves of a job, which then stands there.
fn approve(world: &World, key: &str, job: &str, state: &str) {
    let said = approvals(world, key, &["approve", job, "--yes"]);
    assert_eq!(said, (0, format!("{job} is {state}\n")));
}

/// The requests that `key` is shown.
fn listed(world: &World, key: &str) -> Vec<Value> {
    let listed = world.smcp_json(&["approvals", "list", "--api-key", key]);
    listed.as_array().unwrap().clone()
}

/// The one request that waits.
fn waiting(world: &World) -> Value {
    eventually("a request waits", || {
        let listed = world.smcp_json(&["approvals", "list"]);
        listed.get(0).cloned()
    })
}

fn word(request: &Value, name: &str) -> String {
    request[name].as_str().unwrap().to_owned()
}

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

/// An approved job that cannot begin yet: its lane is taken until the naps' gate opens.
async fn held(world: &World, naps: &Naps, people: &People) -> (Client, String) {
    let ci = world.client_with_key(&people.ci).await;
    ci.submit("sleepy__held-nap", naps.until_open("first"))
        .await;
    naps.started("first");
    let second = ci.submit("sleepy__nap", naps.lasting(0.0, "second")).await;
    approve(world, &people.ann, &second, "queued");
    (ci, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_plugin_is_not_what_was_approved_of() {
    let (world, _roles, people, naps) = governed(World::new().with_own_plugin());
    let (ci, job) = held(&world, &naps, &people).await;
    world.change_sleepy("# changed\n");
    naps.open();
    world.wait_for_state(&job, "awaiting_approval");
    assert_eq!(naps.told("second", "start").len(), 0, "nothing has begun");

    // It changes once more while the request waits: what is approved of must be what would run now.
    let seen = word(&waiting(&world), "digest");
    world.change_sleepy("# changed again\n");
    let ann = world.client_with_key(&people.ann).await;
    for arguments in [json!({"job": job}), json!({"job": job, "digest": seen})] {
        let refused = ann.call("approvals__approve", arguments).await;
        assert_eq!(failure_of(&refused).0, "approval_changed");
    }
    let now = word(&waiting(&world), "digest");
    assert_ne!(now, seen);
    let approved = ann.json("approvals__approve", json!({"job": job, "digest": now}));
    assert_eq!(approved.await, json!({"job": job, "state": "queued"}));
    assert_eq!(ci.ended(&job).await["state"], "succeeded");
    assert_eq!(naps.told("second", "start").len(), 1);
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_rules_ask_again() {
    let (world, _roles, people, naps) = governed(World::new());
    let (ci, job) = held(&world, &naps, &people).await;
    let more = r#"@id("more") permit (principal == Smcp::Agent::"eve", action == Smcp::Action::"sleepy__nap", resource);"#;
    world.govern(&format!("{RULES}\n{more}\n"));
    naps.open();
    world.wait_for_state(&job, "awaiting_approval");
    assert_eq!(naps.told("second", "start").len(), 0, "nothing has begun");
    approve(&world, &people.ann, &job, "queued");
    assert_eq!(ci.ended(&job).await["state"], "succeeded");
    assert_eq!(naps.told("second", "start").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_mean_the_same_are_the_same() {
    let (world, _roles, people, naps) = governed(World::new());
    let (ci, job) = held(&world, &naps, &people).await;
    world.govern(&format!("// Asked for by the audit.\n{RULES}"));
    naps.open();
    assert_eq!(ci.ended(&job).await["state"], "succeeded");
    assert_eq!(world.recorded("approval.requested").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forbidden_since_is_not_run_although_it_was_approved_of() {
    let (world, _roles, people, naps) = governed(World::new());
    let (ci, job) = held(&world, &naps, &people).await;
    let forbid =
        r#"@id("freeze") forbid (principal, action == Smcp::Action::"sleepy__nap", resource);"#;
    world.govern(&format!("{RULES}\n{forbid}\n"));
    naps.open();
    let ended = ci.ended(&job).await;
    assert_eq!(
        (&ended["state"], &ended["error"]["code"]),
        (&json!("failed"), &json!("not_allowed")),
        "{ended}"
    );
    assert_eq!(naps.told("second", "start").len(), 0);
    let denied = world.recorded("call.denied");
    let denied = denied.last().unwrap();
    assert_eq!(denied["rules"], json!(["freeze"]), "{denied}");
}

/// A link of whoever has that key.
fn link(world: &World, key: &str, job: &str) -> String {
    let (code, printed) = approvals(world, key, &["link", job]);
    assert_eq!(code, 0, "{printed}");
    printed.trim().to_owned()
}

async fn get(url: &str) -> Reply {
    send(request(Method::GET, url)).await
}

/// Presses a button of the page, as a browser does.
async fn press(world: &World, url: &str, button: &str) -> Reply {
    let post = request(Method::POST, &format!("{url}/{button}")).header("origin", world.url());
    send(post.header("content-type", "application/x-www-form-urlencoded")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_decides_once_in_the_name_of_whoever_has_made_it() {
    let (world, _roles, people, naps) = governed(World::new().with("SMCP_LOG", "trace"));
    let ci = world.client_with_key(&people.ci).await;
    let job = ci.submit("sleepy__nap", naps.lasting(0.0, "<b>&\"'")).await;
    for (key, expected) in [
        (&people.ci, "approved of by the agent that asks"),
        (&people.eve, "waits for nobody's approval"),
    ] {
        let (code, refused) = approvals(&world, key, &["link", &job]);
        assert!(code == 1 && refused.contains(expected), "{refused}");
    }
    let url = link(&world, &people.ann, &job);
    assert!(
        url.starts_with(&format!("{}/approvals/", world.url())),
        "{url}"
    );

    for _look in 0..2 {
        let page = get(&url).await;
        assert_eq!(page.status, 200, "{page:?}");
        for part in [
            "<b>ci</b> asks to run <b>sleepy__nap</b>",
            "&lt;b&gt;&amp;",
            "You decide as <b>ann</b>",
            "<button>Approve</button>",
            "<button>Deny</button>",
        ] {
            assert!(page.body.contains(part), "{part}: {}", page.body);
        }
        assert!(!page.body.contains("<b>&"), "{}", page.body);
        assert_headers(&page);
    }
    assert_eq!(
        world.state_of(&job),
        "awaiting_approval",
        "a look decides nothing"
    );
    let elsewhere =
        request(Method::POST, &format!("{url}/approve")).header("origin", "https://evil.example");
    assert_eq!(send(elsewhere).await.status, 403);
    assert_eq!(
        send(request(Method::GET, &format!("{url}/approve")))
            .await
            .status,
        405
    );
    assert_eq!(world.state_of(&job), "awaiting_approval");

    let decided = press(&world, &url, "approve").await;
    assert_eq!(decided.status, 200, "{decided:?}");
    assert!(decided.body.contains(&format!("Job {job} is now queued.")));
    assert_headers(&decided);
    for again in [
        get(&url).await,
        press(&world, &url, "approve").await,
        press(&world, &url, "deny").await,
    ] {
        assert_eq!(again.status, 410, "{again:?}");
        assert_headers(&again);
    }
    assert_eq!(ci.ended(&job).await["state"], "succeeded");
    let voted = &world.recorded("approval.voted")[0];
    assert_eq!(
        (&voted["via"], &voted["voice"]),
        (&json!("link"), &json!("approve"))
    );
    let token = url.rsplit('/').next().unwrap();
    assert!(!world.log().contains(token), "a link is as good as a key");
}

fn assert_headers(page: &Reply) {
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    // With `no-referrer` a browser would send `Origin: null` with the form, which is refused.
    assert_eq!(page.header("referrer-policy"), Some("same-origin"));
    let policy = page.header("content-security-policy").unwrap();
    for part in [
        "default-src 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_of_no_use_for_anything_but_what_it_was_made_for() {
    let (world, _roles, people, naps) = governed(World::new().with_own_plugin());
    let ci = world.client_with_key(&people.ci).await;
    let submit = async || ci.submit("sleepy__nap", naps.lasting(0.0, "n")).await;

    let decided = submit().await;
    let url = link(&world, &people.ann, &decided);
    let denied = approvals(&world, &people.ben, &["deny", &decided, "--yes"]);
    assert_eq!(denied.0, 0, "{denied:?}");
    assert_eq!(get(&url).await.status, 410);
    assert_eq!(press(&world, &url, "approve").await.status, 410);
    assert_eq!(world.state_of(&decided), "denied");

    let job = submit().await;
    let other = link(&world, &people.ann, &job);
    let forged = [
        format!("{}x", &other[..other.len() - 2]),
        format!("{}.{}", split(&url).0, split(&other).1),
        format!("{}/approvals/none", world.url()),
    ];
    for forged in &forged {
        assert_eq!(get(forged).await.status, 403, "{forged}");
        assert_eq!(
            press(&world, forged, "approve").await.status,
            403,
            "{forged}"
        );
    }
    let denied = world.recorded("call.denied");
    let codes: Vec<_> = denied.iter().map(|data| word(data, "code")).collect();
    assert_eq!(codes, ["approval_link_invalid"; 6]);

    world.change_sleepy("# changed\n");
    assert_eq!(press(&world, &other, "approve").await.status, 409);
    assert_eq!(
        get(&other).await.status,
        409,
        "it was made for what would have run then"
    );
    assert_eq!(world.state_of(&job), "awaiting_approval");

    let renewed = link(&world, &people.ann, &job);
    said(&world, &["agents", "revoke", "ann"]);
    assert_eq!(press(&world, &renewed, "approve").await.status, 403);
    assert_eq!(world.state_of(&job), "awaiting_approval");
    let by_ben = link(&world, &people.ben, &job);
    assert_eq!(press(&world, &by_ben, "deny").await.status, 200);
    assert_eq!(world.state_of(&job), "denied");
    assert_eq!(naps.lines().len(), 0);
}

/// What a link says, with its address, and its signature.
fn split(url: &str) -> (&str, &str) {
    url.rsplit_once('.').unwrap()
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

#[tokio::test(flavor = "multi_thread")]
async fn secret_arguments_are_approved_of_unseen() {
    let (world, _roles, people, _) = governed(World::new());
    let rule = r#"@id("asks-too") @requireApproval("ops") permit (principal == Smcp::Agent::"ci", action == Smcp::Action::"keeper__leak", resource);"#;
    world.govern(&format!("{RULES}\n{rule}\n"));
    world.set_secret(&["KEEPER_TOKEN"], "the token of keeper");
    world.set_secret(&["keeper_key"], "the key of keeper");
    let ci = world.client_with_key(&people.ci).await;
    let arguments = json!({"pass-word": "pa55word<of>ci", "how": "text"});
    let job = ci.submit("keeper__leak", arguments).await;
    let shown = waiting(&world);
    assert_eq!(
        shown["arguments"],
        json!({"pass-word": "[redacted]", "how": "text"})
    );
    let page = get(&link(&world, &people.ann, &job)).await;
    assert!(
        page.body.contains("[redacted]") && !page.body.contains("pa55word"),
        "{page:?}"
    );
    approve(&world, &people.ann, &job, "queued");
    assert_eq!(ci.ended(&job).await["state"], "succeeded");
}
