//! Links by which an approver decides about one job in a browser: signed, bound to what would run, and of no use once
//! its bearer's word has been taken.
//!
//! A link stands for the agent that has made it, for one job alone. To open it changes nothing, as whatever looks through
//! messages opens links: a button on its page does.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use sha2::digest::common::Block;
use smcp_common::approval::{Digest, Obstacle, Voice};
use smcp_common::canonical::{self, hex, unhex};
use smcp_common::clock::Timestamp;
use smcp_common::job::{Entrance, JobId};
use smcp_common::key_file::Key;
use smcp_common::queue::{OpenRequest, QueueError};

use crate::app::App;
use crate::approval::{Word, refusal, take};
use crate::caller::Transport;
use crate::refusal::Refusal;
use crate::serve::Peer;

/// A longer token is none of ours.
const MAX_TOKEN_BYTES: usize = 2048;
/// The code of a link that is none.
const INVALID: &str = "approval_link_invalid";
/// A page that loads nothing, runs nothing, is framed by nobody, and whose address is told to nobody.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'";

/// What a link says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// The job that waits.
    pub(crate) job: JobId,
    /// In whose name its bearer speaks.
    pub(crate) agent: String,
    /// What was to run when it was made.
    pub(crate) digest: Digest,
    /// When it was made.
    pub(crate) made_at: Timestamp,
    /// It is of no use from then on.
    pub(crate) expires_at: Timestamp,
}

/// The routes of links; they need no key but the link itself.
pub(crate) fn routes(app: &Arc<App>) -> Router {
    Router::new()
        .route("/approvals/{token}", get(page))
        .route("/approvals/{token}/approve", post(approve))
        .route("/approvals/{token}/deny", post(deny))
        .with_state(Arc::clone(app))
}

/// Where a link leads.
pub(crate) fn path(token: &str) -> String {
    format!("/approvals/{token}")
}

impl Link {
    /// The link as a token, signed with `key`.
    pub(crate) fn seal(&self, key: &Key) -> String {
        let said = json!({
            "agent": self.agent, "digest": hex(&self.digest), "expires_at": self.expires_at, "job": self.job,
            "made_at": self.made_at,
        });
        let said = canonical::to_string(&said);
        let signature = signature(key, said.as_bytes()).finalize().into_bytes();
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        format!("{}.{}", text(said.as_bytes()), text(&signature))
    }

    /// Whether it was made for that request, and not for one of the same job before.
    fn is_for(&self, open: &OpenRequest) -> bool {
        open.request.digest == self.digest && open.requested_at <= self.made_at
    }

    /// Reads a token; `None` where it was not signed with `key`.
    pub(crate) fn open(token: &str, key: &Key) -> Option<Self> {
        let (said, signed) = token
            .split_once('.')
            .filter(|_| token.len() <= MAX_TOKEN_BYTES)?;
        let bytes = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        let (said, signed) = (bytes(said)?, bytes(signed)?);
        signature(key, &said).verify_slice(&signed).ok()?;
        let said: Value = serde_json::from_slice(&said).ok()?;
        let instant = |name: &str| said[name].as_i64().map(Timestamp::from_millis);
        Some(Self {
            job: said["job"].as_str()?.parse().ok()?,
            agent: said["agent"].as_str()?.to_owned(),
            digest: unhex(said["digest"].as_str()?)?,
            made_at: instant("made_at")?,
            expires_at: instant("expires_at")?,
        })
    }
}

fn signature(key: &Key, said: &[u8]) -> Hmac<Sha256> {
    // A shorter key is filled up with zeros in any case (RFC 2104, section 2).
    let mut block = Block::<Sha256>::default();
    block[..key.len()].copy_from_slice(key.as_slice());
    let mut hmac = Hmac::<Sha256>::new(&block);
    hmac.update(said);
    hmac
}

async fn page(State(app): State<Arc<App>>, peer: Peer, Path(token): Path<String>) -> Response {
    let link = match admit(&app, peer, &token).await {
        Ok(link) => link,
        Err(refusal) => return refused(&refusal),
    };
    match app.queue.open_request(&link.job) {
        Ok(Some(open)) if link.is_for(&open) => {
            let arguments = serde_json::to_string_pretty(&open.arguments).unwrap_or_default();
            let mut body = String::new();
            // Writing to a String cannot fail.
            write!(
                body,
                "<p><b>{}</b> asks to run <b>{}</b> with</p><pre>{}</pre><p>You decide as <b>{}</b>, until {}.</p>\
                 <form method=post action=\"{path}/approve\"><button>Approve</button></form>\
                 <form method=post action=\"{path}/deny\"><button>Deny</button></form>",
                escape(&open.agent),
                escape(&open.tool),
                escape(&arguments),
                escape(&link.agent),
                link.expires_at,
                path = path(&escape(&token)),
            )
            .unwrap_or_default();
            html(StatusCode::OK, "Approve?", &body)
        }
        Ok(Some(_)) => refused(&refusal(&Obstacle::Changed)),
        Ok(None) => refused(&refusal(&Obstacle::NotPending(link.job.to_string()))),
        Err(error) => refused(&error.into()),
    }
}

async fn approve(app: State<Arc<App>>, peer: Peer, token: Path<String>) -> Response {
    decide(app, peer, token, Voice::Approve).await
}

async fn deny(app: State<Arc<App>>, peer: Peer, token: Path<String>) -> Response {
    decide(app, peer, token, Voice::Deny).await
}

async fn decide(
    State(app): State<Arc<App>>,
    peer: Peer,
    Path(token): Path<String>,
    voice: Voice,
) -> Response {
    let decided = async {
        let link = admit(&app, peer, &token).await?;
        let word = Word {
            job: link.job.clone(),
            voice,
            reason: None,
            seen: Some(link.digest),
            seen_at: Some(link.made_at),
            via: "link",
        };
        let state = take(&app, &link.agent, word).await?;
        Ok::<_, Refusal>((link.job, state))
    };
    match decided.await {
        Ok((job, state)) => {
            let said = format!(
                "<p>Job {job} is now {}.</p>",
                state.as_str().replace('_', " ")
            );
            html(StatusCode::OK, "Thank you", &said)
        }
        Err(refusal) => refused(&refusal),
    }
}

/// The link of that token; what is none is recorded.
async fn admit(app: &App, Peer(peer): Peer, token: &str) -> Result<Link, Refusal> {
    let link = match Link::open(token, &app.link_key) {
        Some(link) if is_its_makers(app, &link)? => link,
        Some(_) | None => {
            let entrance = Entrance {
                transport: Transport::Http.as_str(),
                address: Some(peer),
            };
            app.strangers.refused(entrance, INVALID).await;
            let message = "This link is of no use: it was not made by this server, not all of it has come through, or whoever \
                           made it was revoked.";
            return Err(Refusal::new(INVALID, message));
        }
    };
    if link.expires_at <= app.queue.clock().now() {
        return Err(refusal(&Obstacle::Expired(link.expires_at)));
    }
    Ok(link)
}

/// Whether the agent of that name is still the one that has made the link: one that was added later is somebody else.
fn is_its_makers(app: &App, link: &Link) -> Result<bool, Refusal> {
    match app.queue.agent(&link.agent) {
        Ok(agent) => Ok(agent.created_at.is_none_or(|at| at <= link.made_at)),
        Err(QueueError::NoSuchAgent(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn refused(refusal: &Refusal) -> Response {
    let status = match refusal.code {
        INVALID | "approval_not_allowed" | "approval_own_request" => StatusCode::FORBIDDEN,
        "approval_expired" | "approval_not_pending" => StatusCode::GONE,
        "approval_changed" | "approval_repeated" => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let said = format!("<p>{}</p>", escape(&refusal.message));
    html(status, "Nothing was decided", &said)
}

fn html(status: StatusCode, title: &str, body: &str) -> Response {
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{title} - SMCP</title><style>body{{font:1rem sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}}\
         pre{{background:#eee;padding:1rem;overflow:auto}}form{{display:inline}}button{{font:inherit;padding:.5rem 1.5rem}}\
         </style><h1>{title}</h1>{body}\n"
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        // Without a referrer, browsers would not say either from which page a form comes, and it would be refused.
        (REFERRER_POLICY, "same-origin"),
    ];
    (status, headers, page).into_response()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link {
            job: JobId::random(),
            agent: "ann".into(),
            digest: [7; 32],
            made_at: Timestamp::from_millis(1),
            expires_at: Timestamp::from_millis(1_000),
        }
    }

    #[test]
    fn a_link_is_what_was_signed_and_nothing_else() {
        let (key, other) = (Key::new([1; 32]), Key::new([2; 32]));
        let link = link();
        let token = link.seal(&key);
        assert_eq!(Link::open(&token, &key), Some(link));
        assert_eq!(Link::open(&token, &other), None);
        for n in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[n] = if forged[n] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(Link::open(&forged, &key), None, "{n}");
            assert_eq!(Link::open(&token[..n], &key), None, "{n}");
        }
    }

    #[test]
    fn what_a_caller_sends_is_text_on_the_page() {
        assert_eq!(escape("<b a='\"&"), "&lt;b a=&#39;&quot;&amp;");
    }
}
