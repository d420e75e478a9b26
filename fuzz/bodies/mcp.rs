//! `/mcp`: several requests of one client, in one session or none.

use arbitrary::{Arbitrary, Unstructured};
use axum::body::Body;
use axum::http::Response;
use futures::StreamExt as _;

use crate::edge::{Edge, play};
use crate::request::{Header, Payload, USUAL, initialize};

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    /// The revision of the session that is opened at first, if one is.
    version: u8,
    steps: Vec<Step<'a>>,
}

/// In the place of a version.
const NO_SESSION: u8 = 0;

#[derive(Debug, Arbitrary)]
struct Step<'a> {
    method: Method,
    /// Whether it names the session that is open.
    in_session: bool,
    headers: Vec<Header<'a>>,
    payload: Payload<'a>,
    /// Whether the client reads the answer, or hangs up.
    listens: bool,
}

#[derive(Debug, Arbitrary)]
enum Method {
    Post,
    Get,
    Delete,
    Other,
}

pub(crate) fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else {
        return;
    };
    play(async |edge| {
        if input.version != NO_SESSION {
            let sent = edge.send("POST", "/mcp", (&[], &USUAL), initialize(input.version));
            if let Some(response) = sent.await {
                answered(edge, response, true).await;
            }
        }
        for step in input.steps.iter().take(24) {
            take(edge, step).await;
        }
    });
}

async fn take(edge: &mut Edge, step: &Step<'_>) {
    let (method, body) = match step.method {
        Method::Post => ("POST", step.payload.bytes()),
        Method::Get => ("GET", Vec::new()),
        Method::Delete => ("DELETE", Vec::new()),
        Method::Other => ("OPTIONS", step.payload.bytes()),
    };
    let session = step.in_session.then(|| edge.session.clone());
    let extra = session.iter().map(|id| ("mcp-session-id", id.as_str()));
    let modern = step.payload.headers();
    let usual: Vec<_> = USUAL.into_iter().chain(modern).chain(extra).collect();
    let sent = edge.send(method, "/mcp", (&*step.headers, &*usual), body);
    if let Some(response) = sent.await {
        answered(edge, response, step.listens).await;
    }
}

async fn answered(edge: &mut Edge, response: Response<Body>, listens: bool) {
    if let Some(session) = response.headers().get("mcp-session-id") {
        edge.session = String::from_utf8_lossy(session.as_bytes()).into_owned();
    }
    if listens {
        let mut stream = response.into_body().into_data_stream().fuse();
        edge.listen(&mut stream).await;
    }
}
