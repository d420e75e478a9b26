//! Requests for approvals as their approvers see them, and somebody's word, by whichever way it comes: a built-in tool or a
//! link.

use serde_json::{Value, json};
use smcp_common::approval::{Digest, Obstacle, Request, Voice, digest};
use smcp_common::canonical::hex;
use smcp_common::clock::Timestamp;
use smcp_common::job::{JobId, StateName};
use smcp_common::policy::Subject;
use smcp_common::queue::OpenRequest;
use smcp_common::sentence::sentence;

use crate::app::App;
use crate::caller::Caller;
use crate::policy::{is_operator, rules};
use crate::refusal::Refusal;

/// Who may speak, and what it says.
#[derive(Debug)]
pub(crate) struct Word {
    /// The job.
    pub(crate) job: JobId,
    /// What it says.
    pub(crate) voice: Voice,
    /// Why, in its words.
    pub(crate) reason: Option<String>,
    /// The digest of what it was shown.
    pub(crate) seen: Option<Digest>,
    /// When it was shown that, where the word is for no request but the one that waited then.
    pub(crate) seen_at: Option<Timestamp>,
    /// By which way, for the record: `tool` or `link`.
    pub(crate) via: &'static str,
}

/// Takes a word of the agent `voter`; answers where the job stands now.
///
/// # Errors
/// Why it does not count, which has been recorded; database errors.
pub(crate) async fn take(app: &App, voter: &str, word: Word) -> Result<StateName, Refusal> {
    let changed = match app.queue.open_request(&word.job)? {
        Some(open) if word.voice == Voice::Approve => changed(app, &open)?,
        Some(_) | None => None,
    };
    let vote = smcp_common::queue::Vote {
        job: word.job,
        voter: voter.to_owned(),
        voice: word.voice,
        reason: word.reason,
        seen: word.seen,
        seen_at: word.seen_at,
        changed,
        via: word.via,
    };
    match app.queue.vote(vote).await? {
        Ok(state) => Ok(state),
        Err(obstacle) => Err(refusal(&obstacle)),
    }
}

/// The request as it is to be asked now, where it is not what it was when it was asked: the plugin or the rules have
/// changed since.
fn changed(app: &App, open: &OpenRequest) -> Result<Option<Request>, Refusal> {
    let tools = app.tools.current(&app.queue)?;
    let (plugin, policy) = (tools.digest(&open.plugin), rules(app)?);
    let digest = digest(
        &open.agent,
        &open.tool,
        &open.arguments,
        plugin,
        policy.hash(),
    );
    if digest == open.request.digest {
        return Ok(None);
    }
    // Whether it may run at all is decided once more before it does.
    Ok(Some(Request {
        digest,
        expires_at: app.queue.approval_until()?,
        ..open.request.clone()
    }))
}

/// Somebody who looks at requests.
#[derive(Debug)]
pub(crate) struct Viewer {
    subject: Subject,
    sees_all: bool,
}

impl Viewer {
    /// The caller as one.
    ///
    /// # Errors
    /// Database errors.
    pub(crate) fn of(app: &App, caller: &Caller) -> Result<Self, Refusal> {
        Ok(Self {
            subject: app.queue.subject(&caller.agent)?,
            sees_all: is_operator(app, caller),
        })
    }

    /// The requests that it is shown, oldest first.
    ///
    /// # Errors
    /// Database errors.
    pub(crate) async fn list(&self, app: &App) -> Result<Vec<OpenRequest>, Refusal> {
        let mut open = app.queue.open_requests().await?;
        open.retain(|open| self.is_shown(open));
        Ok(open)
    }

    /// The request of that job, if it is shown that.
    ///
    /// # Errors
    /// Database errors.
    pub(crate) fn find(&self, app: &App, job: &JobId) -> Result<Option<OpenRequest>, Refusal> {
        let open = app.queue.open_request(job)?;
        Ok(open.filter(|open| self.is_shown(open)))
    }

    /// Whether its approval would count now.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn may_approve(&self, app: &App, open: &OpenRequest) -> Result<(), Obstacle> {
        let now = app.queue.clock().now();
        open.admit(Voice::Approve, &self.subject, None, now)
            .map(drop)
    }

    /// A request, with all that its approver must see.
    pub(crate) fn show(&self, app: &App, open: &OpenRequest) -> Value {
        let admitted = self.may_approve(app, open);
        json!({
            "job": open.job,
            "agent": open.agent,
            "tool": open.tool,
            "arguments": open.arguments,
            "source": open.source,
            "groups": open.request.of.groups,
            "approvals": open.request.of.approvals,
            "given": open.given,
            "rules": open.request.rules,
            "requested_at": open.requested_at,
            "expires_at": open.request.expires_at,
            "digest": hex(&open.request.digest),
            "may_approve": admitted.is_ok(),
            "why_not": admitted.err().map(|obstacle| obstacle.to_string()),
        })
    }

    /// It has asked itself, or its word would count but for that, or it sees everything.
    fn is_shown(&self, open: &OpenRequest) -> bool {
        let Subject { agent, groups } = &self.subject;
        let mut asked = open.request.of.groups.iter();
        self.sees_all || open.agent == *agent || asked.any(|group| groups.contains(group))
    }
}

/// Why a word does not count, for whoever has spoken.
pub(crate) fn refusal(obstacle: &Obstacle) -> Refusal {
    Refusal::new(obstacle.code(), sentence(obstacle))
}
