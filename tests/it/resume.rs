//! Answers that survive what carries them: the connection, the API process, and the choice of another one.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::http::{Session, Transport, request, send};
use crate::proxy::{Cut, Proxy};
use crate::world::{Client, World, eventually};

/// A call of which everything is heard, and where the client is in its answer.
#[derive(Debug, Default)]
struct Heard {
    messages: Vec<Value>,
    last_event_id: Option<String>,
}

impl Heard {
    /// Reads a stream of events until it ends, in whatever way.
    async fn read(&mut self, mut response: reqwest::Response) {
        let mut unread = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            unread.extend_from_slice(&chunk);
            while let Some(end) = unread.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = unread.drain(..end + 2).collect();
                self.event(std::str::from_utf8(&event).unwrap());
            }
        }
    }

    fn event(&mut self, event: &str) {
        for line in event.lines() {
            if let Some(id) = line.strip_prefix("id:") {
                self.last_event_id = Some(id.trim().to_owned());
            } else if let Some(data) = line.strip_prefix("data:")
                && !data.trim().is_empty()
            {
                self.messages.push(serde_json::from_str(data).unwrap());
            }
        }
    }

    fn answers(&self) -> Vec<&Value> {
        let answers = self.messages.iter();
        answers.filter(|message| message["id"] == 77).collect()
    }

    fn progress(&self) -> Vec<(f64, &str)> {
        let notifications = self.messages.iter();
        notifications
            .filter(|message| message["method"] == "notifications/progress")
            .map(|message| {
                let params = &message["params"];
                assert_eq!(params["progressToken"], "p");
                let progress = params["progress"].as_f64().unwrap();
                (progress, params["message"].as_str().unwrap())
            })
            .collect()
    }
}

fn call(tool: &str, arguments: &Value, key: &str) -> String {
    let meta = json!({"progressToken": "p", "smcp/idempotency-key": key});
    let params = json!({"name": tool, "arguments": arguments, "_meta": meta});
    json!({"jsonrpc": "2.0", "id": 77, "method": "tools/call", "params": params}).to_string()
}

/// `GET /mcp` of a session, from the event that was heard last.
fn come_back(url: &str, session: &str, heard: &Heard) -> reqwest::RequestBuilder {
    let get = request(Method::GET, &format!("{url}/mcp"))
        .header("accept", "text/event-stream")
        .header("mcp-session-id", session);
    match &heard.last_event_id {
        Some(id) => get.header("last-event-id", id),
        None => get,
    }
}

/// Calls a tool as a client does that never gives up, and answers all that it has heard.
async fn persist(session: &Session, url: &str, body: &str) -> Heard {
    let mut heard = Heard::default();
    let patience = tokio::time::timeout(crate::world::PATIENCE, async {
        while heard.answers().is_empty() {
            let request = match heard.last_event_id {
                Some(_) => come_back(url, session.id(), &heard),
                // There is no receipt: only the key tells that this is no second call.
                None => session.request_to(url).body(body.to_owned()),
            };
            if let Ok(response) = request.send().await {
                assert_eq!(response.status(), 200);
                heard.read(response).await;
            }
        }
    });
    patience.await.unwrap();
    heard
}

fn starts(journal: &Path) -> usize {
    let lines = fs::read_to_string(journal).unwrap();
    lines.matches("\"start\"").count()
}

#[tokio::test]
async fn a_connection_may_break_at_every_event_of_a_call() {
    let (world, _roles) = World::running();
    let session = Session::open(&world, Transport::StreamableHttp).await;
    let target = world.url().replace("http://", "");
    // The receipt, four steps and their lines, and the answer.
    let events = 1 + 4 + 4 + 1;
    let cuts = (1..=events).map(Cut::AfterEvents);
    for cut in [Cut::BeforeTheAnswer, Cut::EveryEvent]
        .into_iter()
        .chain(cuts)
    {
        let name = format!("{cut:?}");
        let journal = world.outside(&name);
        let proxy = Proxy::start(&target, cut);
        let arguments = json!({"count": 4, "seconds": 0.05, "journal": journal});
        let body = call("sleepy__steps", &arguments, &name);
        let heard = persist(&session, &proxy.url(), &body).await;
        assert!(proxy.cuts() >= 1, "{name}: nothing was cut");
        if cut == Cut::EveryEvent {
            assert!(proxy.cuts() >= events - 1, "{name}: {}", proxy.cuts());
        }

        let [answer] = heard.answers()[..] else {
            panic!("{name}: {heard:?}")
        };
        assert_eq!(answer["result"]["structuredContent"]["error"], Value::Null);
        assert_eq!(starts(&journal), 1, "{name}: the tool runs once");
        let progress = heard.progress();
        assert!(
            progress.is_sorted_by(|one, next| one.0 < next.0),
            "{name}: {progress:?}"
        );
        let messages: BTreeSet<_> = progress.iter().map(|(_, message)| *message).collect();
        assert_eq!(
            (progress.len(), messages.len()),
            (8, 8),
            "{name}: {progress:?}"
        );
    }
}

/// The official client of Rust, which comes back by itself.
#[tokio::test]
async fn a_client_that_comes_back_notices_nothing() {
    let (world, _roles) = World::running();
    let target = world.url().replace("http://", "");
    for cut in [Cut::AfterEvents(1), Cut::AfterEvents(4), Cut::EveryEvent] {
        let journal = world.outside(&format!("{cut:?}"));
        let proxy = Proxy::start(&target, cut);
        let client = Client::at(&proxy.url()).await;
        let steps = json!({"count": 2, "seconds": 0.05, "journal": journal});
        let answer = client.call("sleepy__steps", steps).await;
        assert_eq!(answer.is_error, Some(false), "{cut:?}: {answer:?}");
        assert!(proxy.cuts() >= 1, "{cut:?}: nothing was cut");
        assert_eq!(starts(&journal), 1, "{cut:?}");
    }
}

/// The official client of Python does, too.
#[test]
fn the_python_client_comes_back() {
    let (world, _roles) = World::running();
    let target = world.url().replace("http://", "");
    for cut in [Cut::AfterEvents(1), Cut::AfterEvents(4)] {
        let journal = world.outside(&format!("{cut:?}"));
        let proxy = Proxy::start(&target, cut);
        let arguments = json!({"count": 2, "seconds": 0.05, "journal": journal});
        let steps = json!([{"call": "sleepy__steps", "arguments": arguments, "progress": true}]);
        let answers = World::python_at(&proxy.url(), &steps);
        assert_eq!(answers[1]["is_error"], false, "{cut:?}: {answers:?}");
        assert_eq!(proxy.cuts(), 1, "{cut:?}");
        assert_eq!(starts(&journal), 1, "{cut:?}");
    }
}

#[tokio::test]
async fn another_api_goes_on_where_one_was_killed() {
    let mut world = World::new();
    let api = world.api();
    let worker = world.worker();
    world.wait_for_tools();
    let session = Session::open(&world, Transport::StreamableHttp).await;
    let (journal, gate) = (world.outside("journal"), world.outside("gate"));
    let nap = json!({"seconds": 60, "gate": gate, "journal": journal});
    let body = call("sleepy__nap", &nap, "k");
    let mut heard = Heard::default();
    let response = session.request().body(body).send().await.unwrap();
    eventually("the plugin has begun", || journal.exists().then_some(()));
    api.kill();
    heard.read(response).await;
    assert!(heard.last_event_id.is_some(), "there was a receipt");
    assert_eq!(heard.answers(), Vec::<&Value>::new());

    // The same port again, while the call runs.
    let _again = world.api();
    let returning = come_back(&world.url(), session.id(), &heard).send().await;
    let returning = returning.unwrap();
    assert_eq!(returning.status(), 200);
    // And a second API beside it.
    let first = world.url();
    let _second = world.second_api();
    assert_ne!(first, world.url());
    let elsewhere = come_back(&world.url(), session.id(), &heard).send().await;
    let elsewhere = elsewhere.unwrap();
    assert_eq!(elsewhere.status(), 200);

    fs::write(gate, "").unwrap();
    for response in [returning, elsewhere] {
        let mut rest = Heard::default();
        rest.read(response).await;
        let [answer] = rest.answers()[..] else {
            panic!("{rest:?}")
        };
        assert_ne!(answer["result"]["isError"], true, "{answer}");
    }
    assert_eq!(starts(&journal), 1);

    // After it has ended, too; and whoever has heard the end hears nothing more.
    let response = come_back(&world.url(), session.id(), &heard).send().await;
    heard.read(response.unwrap()).await;
    assert_eq!(heard.answers().len(), 1);
    let response = come_back(&world.url(), session.id(), &heard).send().await;
    heard.read(response.unwrap()).await;
    assert_eq!(heard.answers().len(), 1);
    // The session goes on as well.
    let list = json!({"jsonrpc": "2.0", "id": 78, "method": "tools/list"});
    let list = send(session.request_to(&world.url()).body(list.to_string())).await;
    assert_eq!(list.json()["id"], 78, "{list:?}");
    drop(worker);
}

#[tokio::test]
async fn a_call_can_be_taken_back_from_another_api() {
    let mut world = World::new();
    let api = world.api();
    let _worker = world.worker();
    world.wait_for_tools();
    let session = Session::open(&world, Transport::StreamableHttp).await;
    let journal = world.outside("journal");
    let nap = json!({"seconds": 60, "journal": journal});
    let body = call("sleepy__nap", &nap, "k");
    let response = session.request().body(body).send().await.unwrap();
    eventually("the plugin has begun", || journal.exists().then_some(()));
    api.kill();
    drop(response);
    let _again = world.api();
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
                        "params": {"requestId": 77, "reason": "no need"}});
    assert_eq!(session.post(cancel.to_string()).await.status, 202);
    let job = eventually("the job has ended", || {
        let jobs = world.smcp_json(&["jobs", "list", "--limit", "1"]);
        (!jobs[0]["finished_at"].is_null()).then(|| jobs[0].clone())
    });
    assert_eq!(job["state"], "cancelled");
    assert_eq!(job["cancel"]["reason"], "no need");
}

#[tokio::test]
async fn a_stopping_api_says_when_to_come_back() {
    let mut world = World::new();
    let api = world.api();
    let _worker = world.worker();
    world.wait_for_tools();
    let session = Session::open(&world, Transport::StreamableHttp).await;
    let gate = world.outside("gate");
    let nap = json!({"seconds": 60, "gate": gate});
    let body = call("sleepy__nap", &nap, "k");
    let response = session.request().body(body).send().await.unwrap();
    let mut old = Session::open(&world, Transport::Sse).await;
    let params = json!({"name": "sleepy2__nap", "arguments": nap});
    let asked = tokio::spawn(async move { old.ask("tools/call", params).await });
    let sql = world.sql();
    let recorded = move || {
        eventually("both are recorded", || {
            let jobs = sql.query_row("SELECT count(*) FROM jobs", [], |row| row.get(0));
            (jobs == Ok(2)).then_some(())
        });
    };
    // Elsewhere, so that this thread is there for the call.
    tokio::task::spawn_blocking(recorded).await.unwrap();
    api.terminate();
    let text = response.text().await.unwrap();
    let handed_over = asked.await.unwrap();
    let (receipt, rest) = text.split_once("\n\n").unwrap();
    assert!(receipt.contains("id:"), "{receipt}");
    assert!(rest.contains("retry:"), "{rest}");
    // Nobody can come back for the answer of the old transport, so that it is told how to do without.
    let result = &handed_over["result"];
    assert_eq!(result["_meta"]["smcp/pending"], true, "{handed_over}");
    assert_eq!(api.wait(), Some(0));

    let _again = world.api();
    fs::write(gate, "").unwrap();
    let mut heard = Heard::default();
    heard.event(receipt);
    let response = come_back(&world.url(), session.id(), &heard).send().await;
    heard.read(response.unwrap()).await;
    assert_eq!(heard.answers().len(), 1);
    let id = result["_meta"]["smcp/job"].as_str().unwrap();
    let job = world.client().await.ended(id).await;
    assert_eq!(job["state"], "succeeded");
}

#[tokio::test]
async fn what_must_not_be_repeated_is_answered_from_the_record() {
    let (world, _roles) = World::running();
    let session = Session::open(&world, Transport::StreamableHttp).await;
    let submit = json!({"tool": "sleepy__nap", "arguments": {"seconds": 0}});
    let proxy = Proxy::start(&world.url().replace("http://", ""), Cut::AfterEvents(1));
    let heard = persist(&session, &proxy.url(), &call("jobs__submit", &submit, "")).await;
    assert_eq!(proxy.cuts(), 1);
    let [answer] = heard.answers()[..] else {
        panic!("{heard:?}")
    };
    let id = answer["result"]["structuredContent"]["id"]
        .as_str()
        .unwrap();
    let jobs = world.smcp_json(&["jobs", "list"]);
    assert_eq!(jobs.as_array().unwrap().len(), 1, "{jobs}");
    assert_eq!(jobs[0]["id"], id);

    // What only looks is looked at again.
    let proxy = Proxy::start(&world.url().replace("http://", ""), Cut::AfterEvents(1));
    let wait = call("jobs__wait", &json!({"id": id}), "");
    let heard = persist(&session, &proxy.url(), &wait).await;
    assert_eq!(proxy.cuts(), 1);
    let answer = heard.answers()[0];
    assert_eq!(answer["result"]["structuredContent"]["state"], "succeeded");
}

#[tokio::test]
async fn a_session_is_one_agents_and_ends_for_good() {
    let world = World::new().with("MCP_API_KEYS", "one");
    let (world, _roles) = world.started();
    let session = Session::open(&world, Transport::StreamableHttp).await;
    let journal = world.outside("journal");
    let nap = json!({"seconds": 60, "journal": journal});
    let body = call("sleepy__held-nap", &nap, "k");
    let mut response = session.request().body(body).send().await.unwrap();
    let mut heard = Heard::default();
    let receipt = response.chunk().await.unwrap().unwrap();
    heard.event(std::str::from_utf8(&receipt).unwrap());
    eventually("the plugin has begun", || journal.exists().then_some(()));

    let foreign = come_back(&world.url(), session.id(), &heard).bearer_auth("one");
    let unknown = come_back(&world.url(), "nobody", &heard);
    let (foreign, unknown) = (send(foreign).await, send(unknown).await);
    assert_eq!((foreign.status, unknown.status), (404, 404));
    assert_eq!(foreign.body, unknown.body);
    assert_eq!(foreign.json()["error"]["code"], -32001);
    // In a session of his own, a stranger's place in a stream is worth nothing.
    let mut other = Session::open_as(&world, Transport::StreamableHttp, Some("one")).await;
    let stolen = come_back(&world.url(), other.id(), &heard).bearer_auth("one");
    let answer = send(stolen).await.json();
    assert_eq!(
        answer["result"]["structuredContent"]["error"]["code"],
        "no_such_job"
    );
    assert_eq!(other.call("health", json!({})).await["isError"], false);

    let delete = request(Method::DELETE, &format!("{}/mcp", world.url()))
        .header("mcp-session-id", session.id());
    assert_eq!(send(delete).await.status, 204);
    let gone = send(come_back(&world.url(), session.id(), &heard)).await;
    assert_eq!(gone.status, 404);
    // Its tool wants to be stopped when its caller has gone for good.
    let job = eventually("the job has ended", || {
        let jobs = world.smcp_json(&["jobs", "list", "--limit", "1"]);
        (!jobs[0]["finished_at"].is_null()).then(|| jobs[0].clone())
    });
    assert_eq!(job["state"], "cancelled");
    assert_eq!(job["cancel"]["reason"], "its caller has ended the session");
}

#[tokio::test]
async fn a_session_may_only_wait_for_so_many_answers() {
    let world = World::new();
    world.configure("[http]\nmax_streams_per_session = 1\nmax_sessions = 2\n");
    let (world, _roles) = world.started();
    let mut session = Session::open(&world, Transport::StreamableHttp).await;
    let gate = world.outside("gate");
    let body = call("sleepy__nap", &json!({"seconds": 60, "gate": gate}), "k");
    let mut open = session.request().body(body).send().await.unwrap();
    assert!(open.chunk().await.unwrap().is_some(), "the receipt");
    let refused = session.ask("tools/list", json!({})).await;
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("max_streams_per_session"), "{message}");
    fs::write(gate, "").unwrap();
    open.text().await.unwrap();
    let listed = session.ask("tools/list", json!({})).await;
    assert!(listed["result"]["tools"].is_array(), "{listed}");

    let _second = Session::open(&world, Transport::StreamableHttp).await;
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}});
    let third = request(Method::POST, &format!("{}/mcp", world.url()))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(initialize.to_string());
    let third = send(third).await;
    assert_eq!(third.status, 503, "{third:?}");
    assert!(third.body.contains("max_sessions"), "{third:?}");
    assert!(third.header("retry-after").is_some());
}

/// A client that is only slow must not be taken for one that has gone.
#[tokio::test]
async fn a_quiet_call_is_kept_alive() {
    let world = World::new();
    world.configure("[calls]\nheartbeat_s = 0.05\n");
    let (world, _roles) = world.started();
    let session = Session::open(&world, Transport::StreamableHttp).await;
    let gate = world.outside("gate");
    let body = call("sleepy__nap", &json!({"seconds": 60, "gate": gate}), "k");
    let mut response = session.request().body(body).send().await.unwrap();
    let mut heard = Heard::default();
    while heard.progress().len() < 3 {
        let chunk = response.chunk().await.unwrap().unwrap();
        heard.event(std::str::from_utf8(&chunk).unwrap());
    }
    fs::write(gate, "").unwrap();
    heard.read(response).await;
    assert!(heard.progress().is_sorted_by(|one, next| one.0 < next.0));
    assert_eq!(heard.answers().len(), 1);
}
