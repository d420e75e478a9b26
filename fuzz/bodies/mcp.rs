//! `/mcp`: several requests of one client, in one session or none.

use arbitrary::{Arbitrary, Unstructured};

use crate::edge::{Edge, Header, Payload, USUAL, play};

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
    let Ok(steps) = Vec::<Step<'_>>::arbitrary_take_rest(Unstructured::new(data)) else {
        return;
    };
    play(async |edge| {
        for step in steps.iter().take(24) {
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
    let usual: Vec<_> = USUAL.into_iter().chain(extra).collect();
    let sent = edge.send(method, "/mcp", (&*step.headers, &*usual), body);
    let Some(response) = sent.await else { return };
    if let Some(session) = response.headers().get("mcp-session-id") {
        edge.session = String::from_utf8_lossy(session.as_bytes()).into_owned();
    }
    if step.listens {
        let mut stream = response.into_body().into_data_stream();
        edge.listen(&mut stream).await;
    }
}
