//! Clients that stop reading while there is much to say: what waits for them is bounded, they are cut off, and nothing
//! is lost by that.

use std::fs;
use std::time::Duration;

use smcp_api::http_config::{HttpConfig, Limits};
use smcp_common::queue::Hold;
use tokio::time::timeout;

use crate::http::Events;
use crate::server::{Server, config};
use crate::sse;
use crate::streamable_http::{LIST, Session, call_of};
use crate::worker::Worker;

const STEPS: usize = 1_000;
const MESSAGE_BYTES: usize = 64 * 1024;
/// By how much this process may grow while 64 MB wait for each of two clients; other tests run in it, too.
const GROWTH_BYTES: usize = 64 * 1024 * 1024;
/// As small as the system lets it be, so that the server notices soon.
const RECEIVE_BUFFER: Option<u32> = Some(4096);
const PATIENCE: Duration = Duration::from_secs(60);

/// Memory of this process that is not backed by a file, in bytes.
fn memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let anonymous = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = anonymous.unwrap().trim().strip_suffix(" kB").unwrap();
    kib.parse::<usize>().unwrap() * 1024
}

/// Reports all steps of a job, each with a long message, and watches how much memory that takes.
async fn flood(worker: &Worker, hold: &Hold) {
    let message = "x".repeat(MESSAGE_BYTES);
    let before = memory();
    for first in (1..=STEPS).step_by(20) {
        worker.report(hold, first..first + 20, &message).await;
        let growth = memory().saturating_sub(before);
        assert!(growth < GROWTH_BYTES, "{growth} bytes at step {first}");
    }
}

/// The steps that come, up to the answer or the end of the stream, and the answer's text.
async fn hear(stream: &mut Events) -> (Vec<usize>, Option<String>) {
    let mut steps = Vec::new();
    while let Some((_, data)) = stream.next().await {
        let message: serde_json::Value = serde_json::from_str(&data).unwrap();
        if message["id"] == 7 {
            let text = message["result"]["content"][0]["text"].as_str();
            return (steps, text.map(ToOwned::to_owned));
        }
        let step = message["params"]["progress"].as_f64().unwrap();
        steps.push(format!("{step}").parse().unwrap());
    }
    (steps, None)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_is_cut_off_and_loses_nothing() {
    let defaults = config();
    let limits = Limits {
        max_streams_per_session: 1,
        ..defaults.limits
    };
    let config = HttpConfig { limits, ..defaults };
    let (server, worker) = Server::working(config).await;
    // Two callers of one job, one on each transport.
    let session = Session::open(&server).await;
    let mut stream = session.call("long", RECEIVE_BUFFER).await;
    assert!(stream.event().await.is_some(), "the receipt");
    let hold = worker.take().await;
    let old = sse::Session::with_buffer(&server, "ann", RECEIVE_BUFFER).await;
    old.send(&call_of("long")).await;

    // And two who read.
    let others = async {
        let session = Session::open(&server).await;
        let mut stream = session.call("short", None).await;
        let mut old = sse::Session::open(&server, "ann").await;
        old.send(&call_of("short")).await;
        let hold = worker.take().await;
        worker.report(&hold, 1..4, "a step").await;
        worker.finish(hold, "undisturbed").await;
        [hear(&mut stream).await, hear(&mut old.events).await]
    };
    let (heard, ()) = tokio::join!(timeout(PATIENCE, others), flood(&worker, &hold));
    for heard in heard.unwrap() {
        assert_eq!(heard, (vec![1, 2, 3], Some("undisturbed".into())));
    }

    let cut_off = async {
        // It may have one stream: when it may have another, the first one has gone.
        while session.post(LIST).await.body.contains("max_streams") {}
        while old.post(sse::PING).await.status != 404 {}
    };
    timeout(PATIENCE, cut_off).await.unwrap();
    assert_eq!(worker.state(&hold.job), "running");
    worker.finish(hold, "all of it").await;

    let (mut steps, answer) = hear(&mut stream).await;
    assert!(steps.len() < STEPS, "nothing was cut off");
    assert_eq!(answer, None);
    let last = stream.last_event_id.unwrap();
    let mut rest = session.come_back(&last).await;
    let (more, answer) = hear(&mut rest).await;
    steps.extend(more);
    assert!(steps.iter().copied().eq(1..=STEPS), "{steps:?}");
    assert_eq!(answer.as_deref(), Some("all of it"));
}
