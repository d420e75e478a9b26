//! Somebody's word about a job that waits for an approval, by whichever way it comes: a built-in tool or a link.

use serde_json::{Value, json};
use smcp_common::approval::{Digest, Obstacle, Request, Voice, admit};
use smcp_common::canonical::hex;
use smcp_common::job::{JobId, StateName};
use smcp_common::policy::Subject;
use smcp_common::queue::OpenRequest;

use crate::app::App;
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
    /// By which way, for the record: `tool` or `link`.
    pub(crate) via: &'static str,
}

/// Takes a word; answers where the job stands now.
///
/// # Errors
/// Why it does not count, which has been recorded; database errors.
pub(crate) async fn take(app: &App, voter: Subject, word: Word) -> Result<StateName, Refusal> {
    let changed = match app.queue.open_request(&word.job)? {
        Some(open) if word.voice == Voice::Approve => changed(app, &open)?,
        Some(_) | None => None,
    };
    let vote = smcp_common::queue::Vote {
        job: word.job,
        voter,
        voice: word.voice,
        reason: word.reason,
        seen: word.seen,
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
    let _ = (app, open);
    Ok(None)
}

/// Whether an agent is shown a request: it has asked, or its word would count but for that.
pub(crate) fn is_shown(open: &OpenRequest, subject: &Subject, is_operator: bool) -> bool {
    let mut groups = open.request.of.groups.iter();
    is_operator || open.agent == subject.agent || groups.any(|group| subject.groups.contains(group))
}

/// A request, with all that its approver must see.
pub(crate) fn show(app: &App, open: &OpenRequest, subject: &Subject) -> Value {
    let now = app.queue.clock().now();
    let admitted = admit(&open.request, &open.agent, &open.given, subject, None, now);
    let given = open.given.iter();
    let given: Vec<_> = given
        .map(|approver| json!({"agent": approver.agent, "groups": approver.groups, "at": approver.at}))
        .collect();
    json!({
        "job": open.job,
        "agent": open.agent,
        "tool": open.tool,
        "arguments": open.arguments,
        "source": open.source,
        "groups": open.request.of.groups,
        "approvals": open.request.of.approvals,
        "given": given,
        "rules": open.request.rules,
        "requested_at": open.requested_at,
        "expires_at": open.request.expires_at,
        "digest": hex(&open.request.digest),
        "may_approve": admitted.is_ok(),
        "why_not": admitted.err().map(|obstacle| obstacle.to_string()),
    })
}

/// Why a word does not count, for whoever has spoken.
pub(crate) fn refusal(obstacle: &Obstacle) -> Refusal {
    let said = obstacle.to_string();
    let mut letters = said.chars();
    let first = letters
        .next()
        .map(|letter| letter.to_uppercase().to_string());
    Refusal::new(
        obstacle.code(),
        format!("{}{}.", first.unwrap_or_default(), letters.as_str()),
    )
}
