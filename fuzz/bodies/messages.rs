//! `POST /messages/?session_id=…` beside the event stream that opened the session.

use arbitrary::{Arbitrary, Unstructured};
use futures::StreamExt as _;

use crate::edge::play;
use crate::request::{Header, Payload, USUAL, initialize};

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    /// The revision that is agreed on at first, if one is.
    version: u8,
    opening: Vec<Header<'a>>,
    posts: Vec<Post<'a>>,
}

#[derive(Debug, Arbitrary)]
struct Post<'a> {
    query: Query<'a>,
    headers: Vec<Header<'a>>,
    payload: Payload<'a>,
    /// Whether the client reads the stream afterwards.
    listens: bool,
}

#[derive(Debug, Arbitrary)]
enum Query<'a> {
    /// The session that is open.
    Session,
    /// The same, and something behind it.
    SessionAnd(&'a str),
    Other(&'a str),
}

/// In the place of a version.
const NO_SESSION: u8 = 0;

pub(crate) fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else {
        return;
    };
    play(async |edge| {
        let headers = (&*input.opening, &USUAL[..]);
        let Some(opened) = edge.send("GET", "/sse", headers, Vec::new()).await else {
            return;
        };
        let mut stream = opened.into_body().into_data_stream().fuse();
        edge.listen(&mut stream).await;
        if input.version != NO_SESSION {
            let uri = format!("/messages/?session_id={}", edge.session);
            let body = initialize(input.version);
            drop(edge.send("POST", &uri, (&[], &USUAL), body).await);
            edge.listen(&mut stream).await;
        }
        for post in input.posts.iter().take(24) {
            let session = &edge.session;
            let uri = match post.query {
                Query::Session => format!("/messages/?session_id={session}"),
                Query::SessionAnd(more) => format!("/messages/?session_id={session}{more}"),
                Query::Other(query) => format!("/messages/{query}"),
            };
            let (headers, body) = ((&*post.headers, &USUAL[..]), post.payload.bytes());
            drop(edge.send("POST", &uri, headers, body).await);
            if post.listens {
                edge.listen(&mut stream).await;
            }
        }
    });
}
